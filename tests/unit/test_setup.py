# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The set-up on machines that lack something, that are interrupted, and that have it all: with commands that only play their part."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from terminals import as_at_a_terminal

SETUP = Path(__file__).resolve().parents[1] / "tools" / "setup.sh"
# What every machine has; nothing of the rest is to be found.
USUAL = (
    "awk bash cat chmod cut df dirname dpkg-deb env find flock grep head id install kill ln mkdir mktemp mv nohup readlink rm rmdir sed "
    "setsid sha256sum sleep sort tail timeout touch tr"
).split()


class Machine:
    """A machine that has the usual commands and those that a test gives it; its own cache."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin, self.cache = folder, folder / "bin", folder / "cache"
        self.bin.mkdir()
        for name in USUAL:
            found = shutil.which(name)
            if found:
                (self.bin / name).symlink_to(found)

    def has(self, name: str, script: str) -> None:
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text('#!/bin/bash\necho "%s $*" >> %s/asked\n%s\n' % (name, self.folder, script), encoding="utf-8")
        (self.bin / name).chmod(0o755)

    def start(self, code: str, **more: str) -> subprocess.Popen[str]:
        environment = {"PATH": str(self.bin), "HOME": str(self.folder), "AIOPS_RUNBOOK_CACHE": str(self.cache), "LC_ALL": "C.UTF-8", **more}
        words = ["bash", "-c", "source %s; %s" % (SETUP, code)]
        return subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True, preexec_fn=as_at_a_terminal
        )

    def run(self, code: str, **more: str) -> tuple[int, list[str]]:
        process = self.start(code, **more)
        told = process.communicate(timeout=30)[0]
        return process.returncode, told.splitlines()

    def asked(self) -> list[str]:
        path = self.folder / "asked"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def user(machine: Machine, number: int) -> None:
    machine.has("id", 'case "$1" in -u) echo %d ;; *) echo somebody ;; esac' % number)


def debian(machine: Machine, status: int = 0) -> None:
    machine.has("apt-get", "echo 'E: Failed to fetch http://deb/x  Temporary failure resolving'; exit %d" % status if status else "exit 0")
    machine.has("dpkg", "exit 0")
    machine.has("dpkg-query", "exit 1")


@pytest.mark.parametrize(
    ("uid", "disk", "code", "told"),
    [
        (0, 99, "main nonsense", "there is no part 'nonsense'; the parts are venv, engine, base, lint-tools, test-tools"),
        (1000, 99, "main engine", "the Docker engine (Debian packages docker.io iptables) needs root: run it as root (sudo make …), or install it yourself"),
        (1000, 99, "main venv", "Python (Debian packages python3 python3-venv) needs root: run it as root (sudo make …), or install it yourself"),
        (0, 1, "main engine", "/var/cache/apt has 1 GB free, 5 GB are needed"),
        (0, 2, "main venv", "CACHE has 2 GB free, 5 GB are needed"),
        (0, 99, "main base", "no Docker engine answers; run 'make setup'"),
        (0, 99, "main lint-tools", "there is no Python environment yet; run 'make setup'"),
    ],
)
def test_what_is_missing_is_said_in_one_line(machine: Machine, uid: int, disk: int, code: str, told: str) -> None:
    user(machine, uid)
    debian(machine)
    machine.has("df", "echo head; echo /dev/x 0 0 %d 0 x" % (disk * 1048576))
    machine.has("shellcheck", "exit 0")
    machine.has("python3", "exit 1")
    status, lines = machine.run("find_python() { :; }; " + code)
    assert status == 1
    assert lines == ["setup: cannot go on: " + told.replace("CACHE", str(machine.cache))]


def test_no_debian(machine: Machine) -> None:
    user(machine, 0)
    machine.has("dpkg-query", "exit 1")
    status, lines = machine.run("main engine")
    assert status == 1 and len(lines) == 1
    assert "install docker.io iptables yourself (this machine has no apt-get; Debian 12 is what this is made for)" in lines[0]


def test_the_registry_does_not_answer(machine: Machine) -> None:
    user(machine, 0)
    debian(machine, 100)
    status, lines = machine.run("main engine")
    assert status == 1
    assert lines == [
        "setup: reading Debian's package lists",
        "  | E: Failed to fetch http://deb/x  Temporary failure resolving",
        "setup: cannot go on: Debian's package registry does not answer (apt-get update failed): see above",
    ]


def test_an_engine_that_refuses_this_user(machine: Machine) -> None:
    user(machine, 1000)
    machine.has("docker", "echo 'permission denied' >&2; exit 1")
    status, lines = machine.run("main engine")
    assert (status, lines) == (1, ["setup: cannot go on: no Docker engine answers to somebody: start it, join the group docker, or run this as root"])


def test_an_engine_elsewhere_that_does_not_answer(machine: Machine) -> None:
    user(machine, 0)
    machine.has("docker", "exit 1")
    status, lines = machine.run("main engine", DOCKER_HOST="tcp://10.0.0.1:2375")
    assert status == 1 and lines[0].endswith("no Docker engine answers at DOCKER_HOST=tcp://10.0.0.1:2375; unset it to use one on this machine")


def test_a_cache_that_cannot_be_written(machine: Machine) -> None:
    (machine.folder / "file").write_text("", encoding="utf-8")
    status, lines = machine.run("main engine", AIOPS_RUNBOOK_CACHE=str(machine.folder / "file" / "x"))
    assert status == 1 and lines[-1] == "setup: cannot go on: cannot write to %s" % (machine.folder / "file" / "x")


def test_nothing_is_done_where_all_is_there(machine: Machine) -> None:
    user(machine, 0)
    machine.has("docker", 'case "$1 $2" in "compose version") echo 2.26.1 ;; *) echo 20.10 ;; esac')
    for _time in (1, 2):
        assert machine.run("main engine base") == (0, [])
    assert {line.split()[1] for line in machine.asked() if line.startswith("docker ")} == {"version", "compose", "image"}


def test_a_long_step_is_told_of(machine: Machine) -> None:
    status, lines = machine.run("TELL_SECONDS=1; mkdir -p $CACHE; step 'doing it' sleep 2.5; echo done")
    assert (status, lines[0], lines[-1]) == (0, "setup: doing it", "done")
    assert lines[1:-1] in (["setup:   … 1 s", "setup:   … 2 s"], ["setup:   … 1 s", "setup:   … 2 s", "setup:   … 3 s"])


def test_a_step_that_fails_shows_its_last_lines(machine: Machine) -> None:
    status, lines = machine.run(
        "mkdir -p $CACHE; step 'doing it' bash -c 'seq() { for i in {1..40}; do echo line $i; done; }; seq; exit 7' || die \"it ended with $?\""
    )
    assert status == 1
    assert lines[1:] == ["  | line %d" % number for number in range(29, 41)] + ["setup: cannot go on: it ended with 7"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_and_again_from_the_start(machine: Machine, how: signal.Signals) -> None:
    code = "part_engine() { step 'a long step' sleep 987.5; }; main engine"
    process = machine.start(code)
    end = time.monotonic() + 20
    while not sleeping("987.5"):
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(how)
    process.communicate(timeout=10)
    assert process.returncode == 128 + how
    end = time.monotonic() + 5
    while sleeping("987.5"):
        assert time.monotonic() < end, "what it had started goes on"
        time.sleep(0.05)
    assert not list(machine.cache.glob("tmp.*"))
    assert machine.run("part_engine() { say again; }; main engine") == (0, ["setup: again"])


def sleeping(seconds: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[-2:-1] == [seconds.encode()] and os.path.basename(path.read_bytes().split(b"\0")[0]) == b"sleep":
                return True
        except OSError:
            continue
    return False


def test_two_at_once_wait_for_each_other(machine: Machine) -> None:
    first = machine.start("part_engine() { touch $CACHE/begun; sleep 2; }; main engine")
    end = time.monotonic() + 20
    while not (machine.cache / "begun").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    status, lines = machine.run("TELL_SECONDS=1; part_engine() { say mine; }; main engine")
    first.communicate(timeout=10)
    assert status == 0 and first.returncode == 0
    assert lines[0] == "setup: another set-up is at work on this machine; waiting for it" and lines[-1] == "setup: mine"


def test_what_a_killed_daemon_left_is_removed(machine: Machine) -> None:
    run = machine.folder / "run"
    (run / "docker" / "containerd").mkdir(parents=True)
    (run / "docker.pid").write_text("%d\n" % os.getpid(), encoding="utf-8")  # a number that another process has by now
    (run / "docker" / "containerd" / "containerd.pid").write_text("999999999", encoding="utf-8")
    (run / "docker" / "containerd" / "containerd.sock").write_text("", encoding="utf-8")
    status, lines = machine.run("clear_leftovers %s" % run)
    assert status == 0 and len(lines) == 2
    assert not list(run.rglob("*.pid")) and not list(run.rglob("*.sock"))


def test_a_python_that_only_says_so_is_none(machine: Machine) -> None:
    machine.has("python3.11", "exit 1")
    machine.has("python3", 'case "$*" in *realpath*) echo /opt/real/python3 ;; esac')
    assert machine.run("find_python") == (0, ["/opt/real/python3"])


def test_the_link_to_this_checkout_is_made_once(machine: Machine) -> None:
    (machine.cache / "venv" / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    link = machine.cache / "venv" / "lib" / "python3.11" / "site-packages" / "ansible_collections" / "aiops" / "runbook"
    assert machine.run("link_checkout") == (0, ["setup: aiops.runbook is now %s" % SETUP.parents[2]])
    assert link.resolve() == SETUP.parents[2]
    assert machine.run("link_checkout") == (0, [])
    link.unlink()
    link.mkdir()
    assert machine.run("link_checkout") == (1, ["setup: cannot go on: %s is not a link; remove it" % link])
