"""What the commands inside a pod print, read: one row a case. The look itself is run for real, by this machine's own shell."""

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.platform import kubernetes_inside as inside

STAT = "%d (%s) S %d 1 1 0 -1 4194560 0 0"


def printed(*parts):
    return ("\n%s " % inside.MARK).join(["", *("%s\n%s" % part for part in parts)]).encode()


OUTPUT = printed(
    ("self 40", ""),
    ("process 1", (STAT % (1, "gunicorn", 0)) + "\ngunicorn\0app:app\0"),
    ("process 7", (STAT % (7, "gunicorn", 1)) + "\ngunicorn\0app:app\0"),
    ("process 8", (STAT % (8, "z) (x", 1)) + "\n"),
    ("process 30", (STAT % (30, "python3", 0)) + "\npython3\0-c\0ask /health\0"),
    ("process 31", (STAT % (31, "python3", 30)) + "\npython3\0-c\0ask /health\0"),
    ("process 40", (STAT % (40, "sh", 0)) + "\nsh\0-c\0"),
    ("process 41", (STAT % (41, "cat", 40)) + "\ncat\0/proc/1/stat\0"),
    ("file /proc/net/tcp", "  sl  local_address rem_address   st\n   0: 00000000:1F40 00000000:0000 0A 0\n   1: 0700F40A:A000 0800F40A:1538 01 0\n"),
    ("file /sys/fs/cgroup/memory.current", "1000\n"),
    ("file /sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 300\n"),
    ("environment 1", "A=1\0B=x=y\nz\0"),
    ("folder 1", "/app\n"),
    ("end -", ""),
)


def test_look():
    found = inside.parse_look(OUTPUT)
    assert [(one.pid, one.parent, one.command) for one in found.processes] == [(1, 0, "gunicorn app:app"), (7, 1, "gunicorn app:app"), (8, 1, "[z) (x]")]
    assert found.sockets == {"listening": [{"address": "0.0.0.0", "port": 8000}], "peers": [{"local_port": 40960, "address": "10.244.0.8", "port": 5432}]}
    assert (found.environments, found.folders, found.memory, found.first) == ({1: {"A": "1", "B": "x=y\nz"}}, {1: "/app"}, 700, 1)


def test_look_where_containers_share_their_processes():
    """Then the first process is of none of them, and all count."""
    rows = [("process 1", (STAT % (1, "pause", 0)) + "\n/pause\0"), ("process 20", (STAT % (20, "gunicorn", 0)) + "\ngunicorn\0")]
    assert [one.pid for one in inside.parse_look(printed(("self 40", ""), *rows, ("end -", ""))).processes] == [1, 20]


def test_look_for_real():
    output = subprocess.run(["sh", "-c", inside.LOOK], capture_output=True, check=True, timeout=30).stdout
    found = inside.parse_look(output)
    assert found.sockets is not None
    assert [one.command for one in found.processes if one.pid == 1][0]
    assert not any(inside.MARK in one.command for one in found.processes)


REACHED = [
    ("reached", "db\t5432\t10.0.0.1\t\t0.01", {"resolves": True, "addresses": ["10.0.0.1"], "connects": True, "error": "", "seconds": 0.01}),
    ("refused", "db\t5432\t10.0.0.1\trefused\t0.01", {"resolves": True, "addresses": ["10.0.0.1"], "connects": False, "error": "refused", "seconds": 0.01}),
    ("no way", "db\t5432\t10.0.0.1\tos No route to host\t0", {"connects": False, "error": "No route to host"}),
    ("nobody's name", "db\t5432\t\tname\t0.01", {"resolves": False, "addresses": []}),
    ("no resolver", "db\t5432\t\tagain\t5", {"resolves": None}),
    ("closed, as nc tells", "db\t5432\t10.0.0.1\tclosed\t0", {"connects": False, "error": "refused"}),
]


@pytest.mark.parametrize(("what", "line", "expected"), REACHED, ids=[case[0] for case in REACHED])
def test_reach(what, line, expected):
    found = inside.parse_reach(line.encode() + b"\n")[("db", 5432)]
    assert {key: found[key] for key in expected} == expected


MESHED = [
    ("taken", "db\t5432\t10.0.0.1\t\t0.01", {"connects": None, "meshed": True, "resolves": True}),
    ("not taken all the same", "db\t5432\t10.0.0.1\trefused\t0.01", {"connects": False, "error": "refused"}),
    ("a program in the same pod", "db\t5432\t127.0.0.1\t\t0.01", {"connects": True}),
    ("no name", "db\t5432\t\tname\t0.01", {"resolves": False}),
]


@pytest.mark.parametrize(("what", "line", "expected"), MESHED, ids=[case[0] for case in MESHED])
def test_what_a_mesh_takes_proves_nothing(what, line, expected):
    found = inside.parse_reach(line.encode() + b"\n")
    inside.taken_by_proxy(found)
    assert {key: found[("db", 5432)][key] for key in expected} == expected
    assert ("meshed" in found[("db", 5432)]) is ("meshed" in expected)


def test_what_cannot_be_tried_is_not_told_as_closed():
    assert "connects" not in inside.parse_reach(b"db\t5432\t10.0.0.1\tunknown\t0\n")[("db", 5432)]


def test_a_name_server_that_says_nothing_is_told():
    words = inside.reach_commands([("db", 5432)], 1.0)[0]
    words[2] = "import socket, time\nsocket.getaddrinfo = lambda *asked, **more: time.sleep(20)\n" + words[2]
    found = inside.parse_reach(subprocess.run(words, capture_output=True, check=True, timeout=10).stdout)
    assert found == {("db", 5432): {"resolves": None, "addresses": []}}


@pytest.mark.parametrize("which", [0, 2], ids=["Python", "shell"])
def test_reach_for_real(which):
    command = inside.reach_commands([("localhost", 1), ("no-such-name.invalid", 80)], 1.0)[which]
    found = inside.parse_reach(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    assert found[("localhost", 1)]["resolves"] is True
    assert not found[("no-such-name.invalid", 80)]["resolves"]
