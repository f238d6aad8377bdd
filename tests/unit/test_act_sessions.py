# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which sessions are ended, in what order, and which never: a table of cases."""

from __future__ import annotations

import subprocess
import time
from types import SimpleNamespace

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy import backends, sessions
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.sessions import (
    BY_PROCESSES,
    Around,
    PostgresTerminate,
    behind,
    choose,
    left,
    protection,
)
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError


def session(pid: int, state: str | None = "idle in transaction", **more) -> dict:
    return {
        "pid": pid, "leader_pid": None, "backend_start": "start-%d" % pid, "query_start": "query-%d" % pid, "state": state, "user": "app", "database": "shop",
        "application_name": "api", "client_addr": "10.0.0.5", "superuser": False, "backend_type": "client backend", "hidden": False, "own": False,
        "state_seconds": 100.0, "query_seconds": 100.0, "query": "UPDATE items SET name = 'x'", **more,
    }  # fmt: skip


STACK = Around(accounts={"app"}, databases={"shop"}, insiders={"10.0.0.5"})


def around(**blocked_by: list[int]) -> Around:
    """p3=[1] says that 3 waits for 1."""
    return Around({"app"}, {int(pid[1:]): others for pid, others in blocked_by.items()}, {"shop"}, {"10.0.0.5"})


IDLE = {"state": "idle in transaction"}
CASES = {
    "by pid": ([session(1), session(2)], {"pids": [2]}, STACK, [2], 0),
    "by pid, whatever it does": ([session(1, "idle"), session(2, "active")], {"pids": [1, 2]}, STACK, [1, 2], 0),
    "a pid that is gone": ([session(1)], {"pids": [9]}, STACK, [], 0),
    "a parallel worker means its leader": (
        [session(1, "active"), session(2, "active", leader_pid=1, backend_type="parallel worker")],
        {"pids": [2]},
        STACK,
        [1],
        0,
    ),
    "a parallel worker is not counted besides its leader": (
        [session(1, "active", leader_pid=1), session(2, "active", leader_pid=1, backend_type="parallel worker")],
        {"state": "active"},
        STACK,
        [1],
        0,
    ),
    "by state": ([session(1), session(2, "idle"), session(3, "active")], IDLE, STACK, [1], 0),
    "an aborted transaction is idle, too": ([session(1, "idle in transaction (aborted)")], IDLE, STACK, [1], 0),
    "the longest first": ([session(1, state_seconds=5.0), session(2, state_seconds=50.0)], IDLE, STACK, [2, 1], 0),
    "older than": ([session(1, state_seconds=59.0), session(2, state_seconds=60.0)], {**IDLE, "older_than_seconds": 60}, STACK, [2], 0),
    "a running one is as old as its statement": (
        [session(1, "active", state_seconds=500.0, query_seconds=5.0), session(2, "active", state_seconds=5.0, query_seconds=500.0)],
        {"older_than_seconds": 60},
        STACK,
        [2],
        0,
    ),
    "an age that is not known is none": ([session(1, state_seconds=None)], {**IDLE, "older_than_seconds": 60}, STACK, [], 0),
    "by application": ([session(1), session(2, application_name="report")], {"application_name": "report"}, STACK, [2], 0),
    "by address": ([session(1), session(2, client_addr="10.0.0.9")], {"client_addr": "10.0.0.9"}, STACK, [2], 0),
    "of other databases only when asked": ([session(1), session(2, database="books")], IDLE, STACK, [1], 0),
    "of a named database": ([session(1), session(2, database="books")], {**IDLE, "database": "books"}, STACK, [2], 0),
    "of all databases": ([session(1), session(2, database="books")], {**IDLE, "database": "*"}, STACK, [1, 2], 0),
    "outsiders, of any database": (
        [session(1, "idle"), session(2, "idle", client_addr="10.0.0.9"), session(3, "idle", client_addr="10.0.0.9", database="books")],
        {"outsiders": True, "state": "idle"},
        STACK,
        [2, 3],
        0,
    ),
    "who comes by the socket is no outsider": ([session(1, "idle", client_addr=None)], {"outsiders": True, "state": "idle"}, STACK, [], 0),
    "our own": ([session(1, own=True), session(2, application_name="aiops.runbook")], IDLE, STACK, [], 2),
    "a dump": ([session(1, application_name="pg_dump"), session(2)], IDLE, STACK, [2], 1),
    "a migration": ([session(1, query="UPDATE alembic_version SET version_num = 'a'")], IDLE, STACK, [], 1),
    "a schema change": ([session(1, "active", query="ALTER TABLE items ADD x int")], {"state": "active"}, STACK, [], 1),
    "a vacuum by pid": ([session(1, "active", query="VACUUM items")], {"pids": [1]}, STACK, [], 1),
    "a walsender": ([session(1, "active", backend_type="walsender")], {"state": "active"}, STACK, [], 1),
    "a superuser's": ([session(1, user="postgres", superuser=True)], IDLE, STACK, [], 1),
    "a superuser that the application is": ([session(1, superuser=True)], IDLE, STACK, [1], 0),
    "a superuser that is named": ([session(1, user="postgres", superuser=True)], {"user": "postgres"}, STACK, [1], 0),
    "one whose state may not be seen": ([session(1, None, hidden=True, query="<insufficient privilege>"), session(2)], IDLE, STACK, [2], 1),
    "one whose statement cannot be read": ([session(1, query=None)], IDLE, STACK, [], 1),
    "the root, and not who waits": ([session(1), session(2, "active"), session(3, "active")], {"roots": True}, around(p2=[1], p3=[2, 1]), [1], 0),
    "roots of two trees, the heavier first": (
        [session(1), session(2), session(3, "active"), session(4, "active"), session(5, "active")],
        {"roots": True},
        around(p3=[1], p4=[2], p5=[2]),
        [2, 1],
        0,
    ),
    "a root that is protected": ([session(1, application_name="pg_dump"), session(2, "active")], {"roots": True}, around(p2=[1]), [], 1),
    "nobody waits": ([session(1)], {"roots": True}, STACK, [], 0),
    "a root by pid": ([session(1), session(2)], {"roots": True, "pids": [1, 2]}, around(p3=[2]), [2], 0),
    "who waits for one that is ended lives on": ([session(1, "active"), session(2, "active")], {"state": "active"}, around(p2=[1]), [1], 1),
    "who waits for one that is not meant does not": ([session(1), session(2, "active")], {"state": "active"}, around(p2=[1]), [2], 0),
    "who waits is ended when it is named": ([session(1, "active"), session(2, "active")], {"pids": [1, 2]}, around(p2=[1]), [1, 2], 0),
    "blocked by a parallel worker": (
        [session(1, "active"), session(2, "active", leader_pid=1, backend_type="parallel worker"), session(3, "active")],
        {"roots": True},
        around(p3=[2]),
        [1],
        0,
    ),
    "a lock of a prepared transaction has no session": ([session(2, "active")], {"roots": True}, around(p2=[0]), [], 0),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_choose(case):
    sessions, params, where, wanted, spared = CASES[case]
    chosen, words = choose(sessions, params, where)
    assert [one["pid"] for one in chosen] == wanted
    assert len(words) == spared, words


@pytest.mark.parametrize("params", [{}, {"most": 5}, {"pids": []}, {"roots": False, "outsiders": False}])
def test_nothing_said_is_nobody(params):
    with pytest.raises(Refused, match="nothing says"):
        choose([session(1)], params, STACK)


def test_without_a_stack_there_are_no_outsiders():
    with pytest.raises(Refused, match="without a stack"):
        choose([session(1)], {"outsiders": True}, Around())


def test_protection_says_why():
    assert protection(session(1), {"app"}) == ""
    assert protection(session(1, application_name="pg_basebackup"), {"app"}) == "backup"
    assert protection(session(1, user="rdsadmin"), {"rdsadmin"}) == "provider's own"
    assert protection(session(1, None), {"app"}) == "its state is hidden from this account"


def test_behind():
    tree = {3: {2}, 2: {1}, 5: {6}, 6: {5}}
    assert behind(3, tree) == {1, 2}
    assert behind(1, tree) == set()
    assert behind(5, tree) == {5, 6}  # a deadlock that the server has not yet broken


@pytest.mark.parametrize(
    ("how", "now", "still"),
    [
        ("end", session(1), True),
        ("end", session(1, "idle"), True),
        ("end", session(1, backend_start="later"), False),
        ("end", session(2), False),
        ("cancel", session(1, "active"), True),
        ("cancel", session(1, "idle"), False),
        ("cancel", session(1, "idle in transaction (aborted)"), True),
        ("cancel", session(1, "active", query_start="later"), False),
    ],
)
def test_what_is_left(how, now, still):
    assert bool(left([now], [[1, "start-1", "query-1", how]])) is still


FULL = StackError("too many clients", kind="too_many_clients")
PARAMS = {"outsiders": True, "state": "idle"}


class Full(PostgresTerminate):
    """A server that lets nobody in until it was asked so often."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    def _read(self, stage, step):
        self.refusals -= 1
        if self.refusals >= 0:
            raise FULL
        return {"identity": "by statements"}


@pytest.mark.parametrize(
    ("refusals", "planned", "expected"),
    [
        (0, {}, "by statements"),
        (1, {}, BY_PROCESSES),
        (3, {"system_identifier": "7712"}, "by statements"),
        (0, {"system_identifier": BY_PROCESSES}, BY_PROCESSES),
    ],
    ids=["let in", "nobody is let in", "let in when it was planned, and again in a moment", "not let in when it was planned"],
)
def test_a_full_server_is_looked_at_as_the_plan_did(refusals, planned, expected, monkeypatch):
    monkeypatch.setattr(sessions, "Backends", lambda _stage, _component: SimpleNamespace(sessions=lambda: [{"pid": 1}]))
    stage = SimpleNamespace(server=lambda _component, _kind: SimpleNamespace(clients=[]), insiders=set)
    found = Full(refusals)._look(stage, Step("postgres_terminate", "db", PARAMS, target=planned))
    assert found["identity"] == expected


def test_a_full_server_that_shows_nothing_is_told_as_full(monkeypatch):
    monkeypatch.setattr(sessions, "Backends", lambda _stage, _component: SimpleNamespace(sessions=list))
    with pytest.raises(StackError, match="too many clients"):
        Full(1)._look(SimpleNamespace(), Step("postgres_terminate", "db", PARAMS))
    with pytest.raises(StackError, match="too many clients"):
        Full(1)._look(SimpleNamespace(), Step("postgres_terminate", "db", {"pids": [7]}))


TITLES = ("postgres: app shop 10.1.0.9(5001) idle", "postgres: app shop 10.1.0.9(5002) SELECT", "postgres: app shop 10.1.0.5(5003) idle in transaction")


@pytest.fixture
def pod():
    """A stage whose one pod is this machine, and processes that are called as PostgreSQL's are."""
    started = [subprocess.Popen(["bash", "-c", "exec -a '%s' sleep 60" % title]) for title in TITLES]
    one = SimpleNamespace(id="a", name="db-0", environment={"POSTGRES_USER": "shop"})

    def run_inside(_instance, command):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        return done.returncode, done.stdout + done.stderr

    platform = SimpleNamespace(name="kubernetes", run_inside=run_inside)
    stage = SimpleNamespace(platform=platform, component=lambda _name: SimpleNamespace(running=[one]))
    deadline = time.monotonic() + 20
    while sum("postgres: app shop" in title for _pid, _start, title in backends.by_list(run_inside(one, ["sh", "-c", backends.LIST])[1])) < len(TITLES):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield SimpleNamespace(stage=stage, started=started)
    for process in started:
        process.kill()
        process.wait()


def test_the_sessions_of_a_pod_that_lets_nobody_in_are_its_processes(pod):
    there = backends.Backends(pod.stage, "db")
    pids = [process.pid for process in pod.started]
    seen = {one["pid"]: one for one in there.sessions() if one["pid"] in pids}
    told = {pid: (one["state"], one["client_addr"]) for pid, one in seen.items()}
    assert told == {pids[0]: ("idle", "10.1.0.9"), pids[2]: ("idle in transaction", "10.1.0.5")}
    another = [pids[2], "1 5003", None, ""]
    there.end([[pids[0], seen[pids[0]]["backend_start"], None, ""], another])
    assert pod.started[0].wait(20) != 0
    assert [process.poll() for process in pod.started[1:]] == [None, None], "whoever is another one by now is left alone"
    assert pids[0] not in {one["pid"] for one in there.sessions()}
