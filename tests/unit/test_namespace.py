"""What /proc tells of a container's processes."""

from __future__ import annotations

import os
import subprocess
import sys

from ansible_collections.aiops.runbook.plugins.module_utils.connect import namespace

ID = "1f" * 32


def test_processes_are_shown_as_ps_shows_them(tmp_path, monkeypatch):
    started = [subprocess.Popen([sys.executable, "-c", "import time\ntime.sleep(60)"]), subprocess.Popen(["true"])]
    os.waitid(os.P_PID, started[1].pid, os.WEXITED | os.WNOWAIT)  # a zombie from now on
    (tmp_path / "below").mkdir()
    (tmp_path / "cgroup.procs").write_text("%d\n" % started[0].pid)
    (tmp_path / "below" / "cgroup.procs").write_text("%d\n%d\n" % (started[1].pid, 1 << 30))
    monkeypatch.setattr(namespace, "_cgroup_of", lambda _pid, _container: (str(tmp_path), "", ""))
    try:
        found = {process[0]: process[1:] for process in namespace.processes_of(1, ID)}
    finally:
        started[0].kill()
        for one in started:
            one.wait()
    me = os.getpid()
    assert found[started[0].pid] == (me, found[started[0].pid][1], "%s -c import time time.sleep(60)" % sys.executable)
    assert found[started[1].pid] == (me, "Z", "[true] <defunct>")
    assert len(found) == 2


def test_no_cgroup_is_no_answer(monkeypatch):
    monkeypatch.setattr(namespace, "_cgroup_of", lambda _pid, _container: ("", "", ""))
    assert namespace.processes_of(1, ID) == []


def test_a_process_that_is_not_of_the_container_any_more_tells_nothing_of_it():
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    try:
        for pid in (ended.pid, os.getpid()):
            assert namespace.processes_of(pid, ID) == [] and namespace.memory_of(pid, ID) is None
    finally:
        ended.wait()
