# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Components started, restarted, given their networks back, and told to log more for a while, on real containers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playing import ROOT, ad_hoc, run

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.door import ACT_SPEC, apply_one, undo_run
from ansible_collections.aiops.runbook.plugins.module_utils.act.records import Records

PROJECT = "parts"
PASSWORD = "Rk2-parts-cache"
PYTHON = {"image": "aiops-ref/llm:latest", "entrypoint": ["python3", "-u", "-c"], "stop_grace_period": "1s"}
SERVE = "import http.server as h\nh.ThreadingHTTPServer(('0.0.0.0', 8000), h.SimpleHTTPRequestHandler).serve_forever()"
SETTINGS = {"REDIS_URL": "redis://:%s@cache:6379/0" % PASSWORD, "LOG_LEVEL": "${LOG_LEVEL}", "SHOP_DEBUG": "0"}
STACK = {
    "services": {
        "api": {**PYTHON, "command": [SERVE], "environment": SETTINGS, "networks": ["default", "back"]},
        "cache": {
            "image": "aiops-ref/redis:latest",
            "command": ["redis-server", "--requirepass", PASSWORD],
            "stop_grace_period": "1s",
            "networks": {"back": {"aliases": ["sessions"], "ipv4_address": "10.213.7.9"}},
        },
    },
    "networks": {"default": None, "back": {"ipam": {"config": [{"subnet": "10.213.7.0/24"}]}}},
}
LEVEL = "LOG_LEVEL=INFO\n"


@pytest.fixture(scope="module", autouse=True)
def project(tmp_path_factory):
    run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "build", "reference")
    folder = tmp_path_factory.mktemp("parts")
    (folder / "compose.yml").write_text(json.dumps(STACK))
    (folder / ".env").write_text(LEVEL)
    command = ("docker", "compose", "-p", PROJECT, "--project-directory", str(folder), "-f", str(folder / "compose.yml"))
    try:
        run(*command, "up", "-d", "--force-recreate")
        yield folder
    finally:
        run(*command, "down", "-v", "--remove-orphans", "-t", "1")


@pytest.fixture
def place(tmp_path):
    usual = {key: option.get("default") for key, option in ACT_SPEC.items()}
    return {**usual, "compose_project": PROJECT, "state_dir": str(tmp_path / "state"), "hold_seconds": 0.0}


@pytest.fixture
def cure(place):
    def call(remedy: str, component: str, check: bool = False, **params) -> dict:
        return apply_one(place, Step(remedy, component, params), check)

    return call


def ask(name: str, form: str) -> str:
    return run("docker", "inspect", "-f", form, "%s-%s-1" % (PROJECT, name)).strip()


def address_of(name: str) -> str:
    """As the api finds it."""
    question = "import socket\ntry: print(socket.gethostbyname('%s'))\nexcept OSError: print('unknown')" % name
    return run("docker", "exec", PROJECT + "-api-1", "python3", "-c", question).strip()


def setting(name: str) -> str:
    return dict(pair.split("=", 1) for pair in json.loads(ask("api", "{{json .Config.Env}}")))[name]


def by_ansible(module: str, **options) -> subprocess.Popen:
    command = ad_hoc(module, {"compose_project": PROJECT, **options})
    return subprocess.Popen(command, env={**os.environ, "ANSIBLE_NOCOLOR": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_lost_network_is_given_back_as_compose_would(cure, place):
    whole = ask("cache", "{{json .NetworkSettings.Networks.parts_back.IPAMConfig}} {{.NetworkSettings.Networks.parts_back.IPAddress}}")
    run("docker", "network", "disconnect", "parts_back", PROJECT + "-cache-1")
    assert address_of("cache") == "unknown"
    told = cure("network_connect", "cache", check=True, networks=["back"])
    assert told["preview"]["diff"] == [{"what": "container parts-cache-1", "before": "on no network", "after": "on parts_back"}]
    assert address_of("cache") == "unknown"
    done = cure("network_connect", "cache", networks=["back"])
    assert done["record"]["result"] == "held", done["record"]
    assert [address_of(name) for name in ("cache", "sessions", "parts-cache-1")] == ["10.213.7.9"] * 3
    assert ask("cache", "{{json .NetworkSettings.Networks.parts_back.IPAMConfig}} {{.NetworkSettings.Networks.parts_back.IPAddress}}") == whole
    assert not cure("network_connect", "cache", networks=["parts_back"])["changed"]
    assert undo_run(place, None)["result"] == "undone"
    assert address_of("cache") == "unknown"
    assert cure("network_connect", "cache", networks=["parts_back"])["changed"]


def test_a_network_that_the_files_do_not_give(cure):
    for name in ("bridge", "default"):
        with pytest.raises(Refused, match="do not put cache on a network"):
            cure("network_connect", "cache", networks=[name])


def test_started_and_restarted_by_the_module(place):
    run("docker", "stop", "-t", "1", PROJECT + "-cache-1")
    for state, words in (("started", "CHANGED"), ("started", "SUCCESS"), ("restarted", "CHANGED")):
        before = ask("cache", "{{.State.StartedAt}}")
        output = by_ansible("stack_component", component="cache", state=state, state_dir=place["state_dir"], hold_seconds=0).communicate(timeout=120)[0]
        assert words in output, output
        assert PASSWORD not in output
        assert ask("cache", "{{.State.Running}}") == "true"
        assert (ask("cache", "{{.State.StartedAt}}") != before) is (words == "CHANGED")


def put_back_processes() -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "comm").read_text().strip() == "aiops-put-back":
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def wait_for(what, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_another_level_for_a_while(place, project):
    """The task, its process and its folder are gone, and what waits holds no secret where others could read it."""
    already = set(put_back_processes())
    options = {"component": "api", "level": "DEBUG", "debug": True, "minutes": 0.8, "redis_password": PASSWORD}
    task = by_ansible("log_level", **options, state_dir=place["state_dir"], hold_seconds=0)
    output = task.communicate(timeout=120)[0]
    assert "CHANGED" in output, output
    assert PASSWORD not in output
    assert (setting("LOG_LEVEL"), setting("SHOP_DEBUG")) == ("DEBUG", "1")
    waiting = set(put_back_processes()) - already
    assert waiting
    for pid in waiting:
        assert PASSWORD not in Path("/proc/%d/cmdline" % pid).read_text() + Path("/proc/%d/environ" % pid).read_text()
        assert os.getsid(pid) != os.getsid(0)
        assert {os.readlink(link) for link in Path("/proc/%d/fd" % pid).iterdir()} == {"/dev/null"}
    # Put back, and its record closed.
    records = Records(place["state_dir"], PROJECT)
    wait_for(lambda: records.runs()[-1].open_steps() == [] and (records.runs()[-1].last("end") or {}).get("result") == "undone")
    assert (setting("LOG_LEVEL"), setting("SHOP_DEBUG")) == ("INFO", "0")
    assert (project / ".env").read_text() == LEVEL
    assert not (project / "compose.aiops-runbook.yml").exists()
    assert records.at_work() == {"lease": None, "unfinished": [], "overdue": []}
    wait_for(lambda: not set(put_back_processes()) - already, 5)


def test_put_back_also_when_the_task_was_killed(place, project):
    code = "import json, sys\nfrom ansible_collections.aiops.runbook.plugins.module_utils.act.door import apply_one\n"
    code += "from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Step\n"
    code += "apply_one(json.load(sys.stdin), Step('log_level', 'api', {'level': 'DEBUG', 'minutes': 0.3}), False)"
    task = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True)
    task.stdin.write(json.dumps({**place, "hold_seconds": 300.0}))
    task.stdin.close()
    records = Records(place["state_dir"], PROJECT)
    wait_for(lambda: any(journal.last("acted") for journal in records.runs()))
    assert setting("LOG_LEVEL") == "DEBUG"
    os.kill(task.pid, signal.SIGKILL)
    task.wait()
    wait_for(lambda: records.runs()[-1].open_steps() == [])
    assert setting("LOG_LEVEL") == "INFO"
    assert (project / ".env").read_text() == LEVEL
    wait_for(lambda: records.at_work() == {"lease": None, "unfinished": [], "overdue": []}, 10)


def test_taken_back_by_a_person_before_its_time(cure, place):
    done = cure("log_level", "api", level="DEBUG", minutes=10)
    assert (done["record"]["result"], setting("LOG_LEVEL")) == ("held", "DEBUG")
    assert not cure("log_level", "api", level="DEBUG", minutes=10)["changed"]
    with pytest.raises(Refused, match="logs at another level already"):
        cure("log_level", "api", level="WARNING", minutes=10)
    assert undo_run(place, done["record"]["run"])["result"] == "undone"
    assert setting("LOG_LEVEL") == "INFO"


def test_what_reads_no_variable_needs_a_change_in_the_code(cure):
    with pytest.raises(Refused, match="needs a change in the code") as refused:
        cure("log_level", "cache", level="DEBUG")
    assert "LOG_LEVEL" in refused.value.details["fix"]
