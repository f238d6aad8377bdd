"""What /proc tells of a container's processes."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading

import pytest

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


def served(records):
    """A name server that knows one name by these records, {kind: address} (3: no such name), and the kinds that it was asked for."""
    asked = []
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.bind(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                query, client = link.recvfrom(4096)
            except OSError:
                return
            kind = struct.unpack("!H", query[-4:-2])[0]
            asked.append(kind)
            data = [
                socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
                for known, address in records.items()
                if known == kind and address
            ]
            head = query[:2] + struct.pack("!5H", 0x8183 if 3 in records else 0x8180, 1, len(data), 0, 0)
            link.sendto(head + query[12:] + b"".join(struct.pack("!3HIH", 0xC00C, kind, 1, 60, len(one)) + one for one in data), client)

    threading.Thread(target=serve, daemon=True).start()
    return link, asked


@pytest.mark.parametrize(
    ("records", "expected", "kinds"),
    [
        ({1: "10.0.0.9", 28: "2001:db8::9"}, ["10.0.0.9"], [1]),
        ({28: "2001:db8::9"}, ["2001:db8::9"], [1, 28]),
        ({3: ""}, [], [1]),
        ({}, [], [1, 28]),
    ],
    ids=["both", "IPv6 only", "no such name", "none"],
)
def test_a_name_is_asked_for(monkeypatch, records, expected, kinds):
    link, asked = served(records)
    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", lambda self, place: connect(self, ("127.0.0.1", link.getsockname()[1]) if place[1] == 53 else place))
    try:
        assert namespace.ask_dns("127.0.0.1", "db.example", 2.0) == expected
        assert asked == kinds
    finally:
        link.close()
