# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The cluster's processes: started apart from whoever starts them, found again by a later run, ended with what they left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from places import DATA, STATE, ClusterError

PIDS = STATE / "pids"


def start(name: str, command: Sequence[str | Path]) -> None:
    """Start a program as a daemon; its output goes to logs/<name>."""
    if running(name):
        return
    PIDS.mkdir(parents=True, exist_ok=True)
    logs = DATA / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with open(logs / name, "wb") as log:
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, cwd=DATA)
    (PIDS / name).write_text("%d %s" % (process.pid, _birth(process.pid)), encoding="ascii")


def running(name: str) -> int:
    """The pid of a program that an earlier start left running; 0 when it is gone: a pid alone may be another's by now."""
    try:
        pid, birth = (PIDS / name).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return 0
    return int(pid) if birth == _birth(int(pid)) else 0


def last_words(name: str) -> str:
    try:
        lines = (DATA / "logs" / name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1][-300:] if lines else "it said nothing"


def expect_running(*names: str) -> None:
    for name in names:
        if not running(name):
            raise ClusterError("%s ended: %s" % (name, last_words(name)))


def stop(name: str, seconds: float = 10) -> None:
    pid = running(name)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + seconds
        if not pid or not running(name):
            break
        _kill(pid, sign)
        while running(name) and time.monotonic() < end:
            time.sleep(0.1)
            _reap(pid)
    (PIDS / name).unlink(missing_ok=True)


def kill_all_with(word: str) -> None:
    """End every process whose command line has this word: containers' shims of a runtime that is gone."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if word.encode() in (entry / "cmdline").read_bytes():
                    _kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue


def _kill(pid: int, sign: signal.Signals) -> None:
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        pass


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def _birth(pid: int) -> str:
    """When a process was born, in ticks since boot; "" when it is gone or only waits to be reaped."""
    try:
        fields = Path("/proc/%d/stat" % pid).read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
