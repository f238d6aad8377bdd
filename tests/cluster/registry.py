# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A registry on loopback that asks for a password, for images that are truly pulled, or refused. Both the engine and the node trust it without TLS."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import processes
from places import DATA, run, say, wait

ADDRESS = "127.0.0.1:15000"
# Made up; the reference stack's pull secret holds the same.
USER, PASSWORD = "reader", "reg-8Wv3nYq6Rk2ZsB5t"


def up() -> None:
    folder = DATA / "registry"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "htpasswd").write_text(run(["htpasswd", "-niB", USER], stdin=PASSWORD), encoding="ascii")
    settings = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "images")}},
        "http": {"addr": ADDRESS},
        "auth": {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}},
    }
    (folder / "config.yml").write_text(json.dumps(settings), encoding="ascii")
    processes.start("registry", ["docker-registry", "serve", folder / "config.yml"])

    def problem() -> str:
        processes.expect_running("registry")
        return "" if _status() == 401 else processes.last_words("registry")

    wait("the registry", problem, 15)
    say("the registry answers at %s, user %s" % (ADDRESS, USER))


def down() -> None:
    processes.stop("registry")
    shutil.rmtree(DATA / "registry", ignore_errors=True)
    say("the registry is gone")


def push(image: str, name: str) -> str:
    """Put an image of the Docker engine into the registry under a name like team/app:1.0; what to pull."""
    pulled = "%s/%s" % (ADDRESS, name)
    with tempfile.TemporaryDirectory() as folder:
        login = base64.b64encode(("%s:%s" % (USER, PASSWORD)).encode()).decode()
        Path(folder, "config.json").write_text(json.dumps({"auths": {ADDRESS: {"auth": login}}}), encoding="ascii")
        run(["docker", "tag", image, pulled])
        try:
            run(["docker", "--config", folder, "push", "--quiet", pulled], 300)
        finally:
            run(["docker", "image", "rm", pulled], check=False)
    return pulled


def _status() -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open("http://%s/v2/" % ADDRESS, timeout=3) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0
