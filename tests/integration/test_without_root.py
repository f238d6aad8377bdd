"""An ordinary user of the group docker: what can be asked from the host is asked, and what cannot be seen is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from playing import ROOT, run
from test_findings import API, CACHE, PROJECT, project

USER = "aiops-operator"
HOME = Path("/home") / USER
# The program stands below root's home, into which nobody else may look: here, and here only, others see these parts of it.
OPEN = """set -e
mount -t tmpfs none /mnt
mkdir /mnt/home && mount --bind "$1" /mnt/home
mount -t tmpfs -o mode=755 none "$1"
home=$1 user=$2; shift 2
while [ "$1" != -- ]; do
    mkdir -p "$home/$1" && mount --bind "/mnt/home/$1" "$home/$1"; shift
done
shift
umount -l /mnt
exec setpriv --reuid "$user" --regid "$user" --init-groups --inh-caps=-all -- "$@"
"""


@pytest.fixture(scope="module", autouse=True)
def operator():
    """The user, with a home of its own."""
    run("userdel", "--remove", USER, check=False)
    run("useradd", "--create-home", "--home-dir", str(HOME), "--groups", "docker", USER)
    yield
    run("userdel", "--remove", USER)


def as_operator(*command: str) -> subprocess.CompletedProcess:
    home = Path.home()
    parts = [str(place.relative_to(home)) for place in map(Path, (sys.prefix, sys.base_prefix, ROOT)) if place.is_relative_to(home)]
    clean = ["env", "-i", "HOME=%s" % HOME, "PATH=%s:%s" % (Path(sys.executable).parent, os.defpath), "LC_ALL=C.UTF-8", "ANSIBLE_NOCOLOR=1"]
    words = ["unshare", "--mount", "sh", "-c", OPEN, "open", str(home), USER, *dict.fromkeys(parts), "--", *clean, *command]
    return subprocess.run(words, cwd=HOME, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False)


def diagnosed(stack: str, compose_project: str) -> dict:
    """The report of a run of this user; whatever it could not see, it says so in words."""
    settings = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}", "compose_project": compose_project}
    (HOME / "inventory.yml").write_text(
        json.dumps({"all": {"hosts": {stack: {**settings, "fail_on": "never", "limits": {"startup_grace_seconds_warning": 2}}}}})
    )
    played = as_operator("ansible-playbook", "-i", "inventory.yml", str(ROOT / "playbooks" / "diagnose.yml"))
    assert played.returncode == 0, played.stdout + played.stderr
    assert "Traceback" not in played.stdout + played.stderr
    return json.loads((HOME / "reports" / stack / "latest" / "report.json").read_text())


def test_it_is_an_ordinary_user():
    assert as_operator("id", "-un").stdout.strip() == USER
    assert as_operator("id", "-Gn").stdout.split() == [USER, "docker"]
    assert as_operator("ls", str(Path.home() / ".ssh")).returncode != 0
    assert as_operator("grep", "CapEff", "/proc/self/status").stdout.split()[-1].strip("0") == ""


@pytest.mark.parametrize(("stack", "project"), [("reference", "aiops-ref"), ("second", "orders")])
def test_a_healthy_stack(stack, project):
    run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "up", stack)
    report = diagnosed(stack, project)
    assert [item for item in report["findings"] if item["severity"] != "info"] == []
    assert report["verdict"] == "healthy", report["unknown"]


@pytest.mark.parametrize(
    ("listens", "unseen"), [(["--protected-mode", "no"], {"api"}), (["--protected-mode", "yes"], {"api", "cache"}), (["--bind", "127.0.0.1"], {"api", "cache"})]
)
def test_what_it_cannot_see_is_said(listens, unseen, tmp_path):
    api = {**API, "environment": {"REDIS_URL": "redis://localhost:6379/0"}}
    with project(tmp_path, api=api, cache={**CACHE, "command": ["redis-server", *listens], "network_mode": "service:api"}):
        report = diagnosed("shop", PROJECT)
        assert [item for item in report["findings"] if item["severity"] != "info"] == []
        assert report["verdict"] == "unknown"
        assert {item["component"] for item in report["unknown"] if item["fix"] == "run as root"} == unseen
