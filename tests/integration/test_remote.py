"""A Docker host over SSH: a real sshd, and the distribution's own Python with the distribution's own libraries."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from playing import ROOT, play, run

PYTHON = "/usr/bin/python3"
LIBRARIES = ["python3-docker", "python3-kombu", "python3-psycopg2", "python3-redis"]


def free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return link.getsockname()[1]


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """An inventory with one host, "far", that is reached by SSH."""
    run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "up", "reference")
    if not shutil.which("sshd", path="/usr/sbin:/usr/bin"):
        run("apt-get", "install", "-y", "--no-install-recommends", "openssh-server", "openssh-client")
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    keys = folder / "authorized_keys"
    keys.write_text((folder / "user.pub").read_text())
    keys.chmod(0o600)
    Path("/run/sshd").mkdir(exist_ok=True)
    port = free_port()
    options = ["Port=%d" % port, "ListenAddress=127.0.0.1", "HostKey=%s" % (folder / "host"), "AuthorizedKeysFile=%s" % keys]
    options += ["StrictModes=no", "UsePAM=no", "PidFile=none"]
    options += ["PermitRootLogin=prohibit-password", "Subsystem=sftp internal-sftp"]
    daemon = subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null"] + [word for option in options for word in ("-o", option)], stderr=subprocess.DEVNULL
    )
    inventory = folder / "inventory.yml"
    inventory.write_text(
        "all:\n  hosts:\n    far:\n      ansible_host: 127.0.0.1\n      ansible_port: %d\n      ansible_user: root\n      ansible_ssh_private_key_file: %s\n"
        "      ansible_ssh_extra_args: '-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no'\n"
        "      ansible_python_interpreter: %s\n      compose_project: aiops-ref\n" % (port, folder / "user", PYTHON)
    )
    for _try in range(50):
        with socket.socket() as link:
            if link.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield inventory
    daemon.terminate()
    daemon.wait(10)


def test_missing_libraries_name_the_role(host, tmp_path):
    bare = tmp_path / "bare"
    run(PYTHON, "-m", "venv", "--without-pip", str(bare))
    played = play("diagnose", tmp_path, "-e", "ansible_python_interpreter=%s/bin/python3" % bare, inventory=host)
    assert played.status == 2
    assert "aiops.runbook.prepare" in played.output


def test_prepare_then_diagnose(host, tmp_path):
    prepared = play("prepare", tmp_path, inventory=host, timeout=600)
    assert prepared.status == 0, prepared.output
    assert "changed=0" in play("prepare", tmp_path, inventory=host, timeout=600).output
    played = play("diagnose", tmp_path, inventory=host)
    report = played.report("far")
    assert (report["verdict"], report["findings"], report["unknown"]) == ("healthy", [], []), played.output


def test_the_remote_host_sees_what_is_wrong_there(host, tmp_path):
    play("prepare", tmp_path, inventory=host, timeout=600)
    run("docker", "stop", "-t", "3", "aiops-ref-redis-1")
    try:
        assert play("diagnose", tmp_path, inventory=host).causes("far") == [("container.not_running", "redis")]
    finally:
        run("docker", "start", "aiops-ref-redis-1")


def test_a_cure_and_its_undo_on_the_remote_host(host, tmp_path):
    """Planned, approved, applied, held and taken back by modules on the host itself, where the records are kept."""
    play("prepare", tmp_path, inventory=host, timeout=600)
    records = ["-e", "state_dir=%s" % (tmp_path / "state")]
    run("docker", "stop", "-t", "3", "aiops-ref-redis-1")
    try:
        report = play("diagnose", tmp_path, *records, inventory=host).report("far")
        plan = report["plan"]
        assert [(step["remedy"], step["component"]) for step in plan["steps"]] == [("component_start", "redis")]
        approval = ["-e", "plan=%s" % plan["path"], "-e", "approve=%s" % plan["digest"], "-e", "remediate_hold_seconds=3"]
        checked = play("remediate", tmp_path, *records, *approval, "--check", "-e", "fail_on=never", inventory=host)
        assert "changed=1" in checked.output and not list((tmp_path / "state").glob("*/*/journal")), checked.output
        played = play("remediate", tmp_path, *records, *approval, inventory=host)
        assert played.status == 0, played.output
        assert played.report("far")["record"]["result"] == "held"
        undone = play("undo", tmp_path, *records, "-e", "fail_on=never", inventory=host)
        assert undone.report("far")["record"]["result"] == "undone", undone.output
        assert run("docker", "inspect", "-f", "{{.State.Status}}", "aiops-ref-redis-1").strip() == "exited"
    finally:
        run("docker", "start", "aiops-ref-redis-1")
        run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "up", "reference")


def test_a_host_that_cannot_be_reached_still_gets_a_report(host, tmp_path):
    played = play("diagnose", tmp_path, "-e", "ansible_port=%d" % free_port(), inventory=host)
    report = played.report("far")
    assert (report["verdict"], [item["id"] for item in report["unknown"]]) == ("unknown", ["stack.unreachable"])
    assert played.status == 2


def test_a_user_who_may_not_use_the_engine_is_told_so(tmp_path):
    if os.geteuid() == 0:
        run("sh", "-c", "id probe >/dev/null 2>&1 || useradd -m probe")
    package = "ansible_collections.aiops.runbook.plugins.module_utils"
    module = "from %s.connect.docker import Engine\nfrom %s.model import StackError\n" % (package, package)
    module += "try:\n    Engine()\nexcept StackError as error:\n    print(error.kind, error.message)\n"
    script = tmp_path / "ask.py"
    script.write_text(module)
    os.chmod(tmp_path, 0o755)
    run(PYTHON, "-c", "import docker")
    site = tmp_path / "site" / "ansible_collections" / "aiops"
    site.mkdir(parents=True)
    shutil.copytree(ROOT / "plugins", site / "runbook" / "plugins")
    run("chmod", "-R", "a+rX", str(tmp_path))
    for parent in list(tmp_path.parents)[:3]:
        run("chmod", "a+x", str(parent), check=False)
    told = run("su", "probe", "-s", "/bin/sh", "-c", "PYTHONPATH=%s %s %s" % (tmp_path / "site", PYTHON, script))
    assert told.startswith("denied") and "group docker" in told
