# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on one PostgreSQL server: one row a case."""

from __future__ import annotations

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.judge import postgres
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.outcome import outcome
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import JUDGES, judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import Clear, Finding, Unseen, unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.postgres import KEYS, _counts, _holders, protected_kind

IDS = {finding_id for judge in JUDGES if judge.domain == postgres.DOMAIN for finding_id in judge.ids}


def session(pid, **changes):
    one = {
        "pid": pid, "user": "app", "database": "shop", "application_name": "api", "client_addr": "172.18.0.5", "client_port": 40000 + pid,
        "state": "idle", "wait_event_type": "Client", "wait_event": "ClientRead", "backend_type": "client backend", "is_client": True, "visible": True,
        "xact_seconds": None, "query_seconds": 1.0, "state_seconds": 1.0, "backend_seconds": 100.0, "has_xid": False, "xmin_age": None,
        "query": "SELECT ?", "protected": "", "blocked_by": [], "waits_seconds": None,
    }  # fmt: skip
    return {**one, **changes}


def active(pid, seconds, **changes):
    return session(pid, **{"state": "active", "wait_event_type": None, "wait_event": None, "query_seconds": seconds, "xact_seconds": seconds, **changes})


def idle_in_transaction(pid, seconds, **changes):
    return session(pid, **{"state": "idle in transaction", "state_seconds": seconds, "xact_seconds": seconds + 1, **changes})


def waits(pid, seconds, *blocked_by, relation="items", held=None, locktype="relation"):
    """A waiting session and its row of the lock table."""
    one = active(pid, seconds, wait_event_type="Lock", wait_event=locktype, blocked_by=list(blocked_by), waits_seconds=seconds)
    modes = held or [{"pid": blocker, "mode": "AccessExclusiveLock"} for blocker in blocked_by]
    row = {
        "pid": pid,
        "mode": "AccessShareLock",
        "locktype": locktype,
        "blocked_by": list(blocked_by),
        "seconds": seconds,
        "relation": relation,
        "held": modes,
    }
    return one, row


def database(name="shop", **changes):
    one = {
        "database": name, "allows_connections": True, "connection_limit": -1, "frozen_age": 1000, "backends": 1, "deadlocks": 0, "checksum_failures": 0,
        "checksum_last_seconds": None, "connections": 0, "size": 1,
    }  # fmt: skip
    return {**one, **changes}


def facts(*sessions, waiting=(), **changes):
    """A healthy server with these sessions; waiting: pairs of waits()."""
    sessions = [*sessions, *(one for one, _row in waiting)]
    server = {
        "version": "15.4 (Debian)", "version_number": 150004, "started": 1000.0, "now": 5000.0, "in_recovery": False, "max_connections": 100,
        "superuser_reserved": 3, "reserved": 0, "usable": 97, "read_only": False, "default_transaction_read_only": False,
    }  # fmt: skip
    seen = {
        "component": "db", "answers": True, "target": {"where": "db:5432", "user": "app", "database": "shop"}, "server": server, "sessions": sessions,
        "others": [], "session_counts": _counts(sessions), "holders": _holders(sessions), "locks": {"waiters": [row for _one, row in waiting]},
        "prepared": [], "settings": {"values": {"autovacuum_freeze_max_age": {"value": "200000000", "unit": None}}, "overrides": []},
        "databases": [database()], "roles": [], "progress": [], "credentials": [], "expects_writes": None, "login_of": [],
    }  # fmt: skip
    return {**seen, **changes}


def refused(kind, **changes):
    why = unseen("it said no", kind=kind)
    seen = {"component": "db", "answers": why, "target": {"where": "db:5432", "user": "app", "database": "shop"}, "login_of": [], "same_names": {}}
    return {**seen, **dict.fromkeys(KEYS, why), **changes}


def judged(seen, **limits):
    return list(judge_domain(postgres.DOMAIN, seen, Limits(limits)))


def found(seen, **limits):
    return sorted((one.id.split(".")[1], one.component, one.severity) for one in judged(seen, **limits) if isinstance(one, Finding))


def evidence(seen, what):
    return next(one.evidence for one in judged(seen) if isinstance(one, Finding) and one.id == "postgres." + what)


def test_a_healthy_server_is_cleared_of_everything():
    answers = judged(facts(session(1), active(2, 0.1), idle_in_transaction(3, 0.5), credentials=[credential()]))
    assert {type(one) for one in answers} == {Clear}
    assert {one.id for one in answers} == IDS
    assert outcome(answers)["verdict"] == "healthy"


# --- refusals ---

REFUSALS = [
    ("refused", [("not_answering", "db", "critical")], set()),
    ("timeout", [("not_answering", "db", "critical")], set()),
    ("unreachable", [("not_answering", "db", "critical")], set()),
    ("protocol", [("not_answering", "db", "critical")], set()),
    ("starting_up", [("starting_up", "db", "warning")], {"not_answering"}),
    ("no_hba", [("access_denied", "db", "critical")], {"not_answering", "starting_up"}),
    ("role_missing", [("role_missing", "db", "critical")], {"not_answering", "starting_up", "access_denied"}),
    ("database_missing", [("database_missing", "db", "critical")], {"not_answering", "starting_up", "access_denied", "role_missing"}),
    ("too_many_clients", [("connections_exhausted", "db", "critical")], {"not_answering", "starting_up"}),
    ("auth", [], {"not_answering", "starting_up", "access_denied"}),
    ("dns", [], set()),
    ("tls", [], set()),
    ("missing_library", [], set()),
]


@pytest.mark.parametrize(("kind", "expected", "passed"), REFUSALS, ids=[case[0] for case in REFUSALS])
def test_refusals(kind, expected, passed):
    answers = judged(refused(kind))
    assert sorted((one.id.split(".")[1], one.component, one.severity) for one in answers if isinstance(one, Finding)) == expected
    assert {one.id.split(".")[1] for one in answers if isinstance(one, Clear)} == passed
    # Whatever was not answered is said to be unseen, never left out (exhausted takes the place of near).
    left_out = IDS - {one.id for one in answers}
    assert left_out == ({"postgres.connections_near_limit"} if kind == "too_many_clients" else set())


def test_a_refused_password_is_its_clients_illness():
    assert found(refused("auth", login_of=["api", "worker"])) == [("password_rejected", "api", "critical"), ("password_rejected", "worker", "critical")]


def test_one_client_that_names_another_database_errs_and_all_of_them_do_not():
    named = {"database": ["api"], "other_database": ["worker"]}
    assert found(refused("database_missing", same_names=named)) == [("database_missing", "api", "critical")]
    named = {"database": ["api", "worker"], "other_database": []}
    assert found(refused("database_missing", same_names=named)) == [("database_missing", "db", "critical")]


# --- credentials ---


def credential(component="api", **changes):
    one = {
        "component": component, "user": "app", "exists": True, "matches": True, "can_login": True, "valid_until_passed": False, "method": "scram-sha-256",
        "database": "shop", "database_exists": True, "sessions": 0, "reason": "",
    }  # fmt: skip
    return {**one, **changes}


CREDENTIALS = [
    ("fits", [credential()], [], []),
    ("does not fit", [credential(matches=False)], [("password_rejected", "api", "critical")], []),
    ("does not fit, sessions of before live on", [credential(matches=False, sessions=3)], [("password_rejected", "api", "warning")], []),
    ("does not fit, whose sessions is not known", [credential(matches=False, sessions=None)], [("password_rejected", "api", "critical")], []),
    ("does not fit, and the server trusts everybody", [credential(matches=False, method="trust")], [], []),
    ("does not fit, and the method is not known", [credential(matches=False, method=None)], [("password_rejected", "api", "critical")], []),
    ("another method", [credential(matches=False, method="ldap")], [], ["password_rejected"]),
    ("expired", [credential(valid_until_passed=True)], [("password_rejected", "api", "critical")], []),
    ("expired, and the server trusts everybody", [credential(valid_until_passed=True, method="trust")], [], []),
    ("may not log in", [credential(can_login=False)], [("password_rejected", "api", "critical")], []),
    ("cannot be told", [credential(matches=None)], [], ["password_rejected"]),
    ("one of two", [credential(matches=False), credential("worker")], [("password_rejected", "api", "critical")], []),
    ("two settings of one client", [credential(), credential(matches=False)], [("password_rejected", "api", "critical")], []),
    ("no such role", [credential(exists=False, matches=None), credential("worker", user="other")], [("role_missing", "api", "critical")], []),
    ("the role of all", [credential(exists=False, matches=None), credential("worker", exists=False)], [("role_missing", "db", "critical")], []),
    ("no such database", [credential(database_exists=False), credential("worker", database="other")], [("database_missing", "api", "critical")], []),
    ("not let in", [credential(method="reject")], [("access_denied", "db", "critical")], []),
]


@pytest.mark.parametrize(("credentials", "expected", "not_seen"), [case[1:] for case in CREDENTIALS], ids=[case[0] for case in CREDENTIALS])
def test_credentials(credentials, expected, not_seen):
    seen = facts(credentials=credentials)
    assert found(seen) == expected
    assert [one.id.split(".")[1] for one in judged(seen) if isinstance(one, Unseen)] == not_seen


def test_a_login_that_was_tried_is_not_told_as_unseen():
    seen = facts(credentials=[credential(matches=None)], accounts=[{"component": "api", "accepted": True}])
    assert not [one for one in judged(seen) if isinstance(one, Unseen)]


# --- connections ---

CONNECTIONS = [
    ("few", 10, []),
    ("just below", 77, []),
    ("near", 78, [("connections_near_limit", "db", "warning")]),
    ("nearer", 88, [("connections_near_limit", "db", "critical")]),
    ("all", 97, [("connections_exhausted", "db", "critical")]),
    ("and the reserved ones", 99, [("connections_exhausted", "db", "critical")]),
]


@pytest.mark.parametrize(("count", "expected"), [case[1:] for case in CONNECTIONS], ids=[case[0] for case in CONNECTIONS])
def test_connections(count, expected):
    assert found(facts(*(session(pid) for pid in range(count)))) == expected


def test_the_largest_holder_is_named():
    sessions = [session(pid, application_name="leaky", client_addr="172.18.0.9") for pid in range(80)]
    seen = facts(*sessions, *(idle_in_transaction(pid, 2.0) for pid in range(200, 210)))
    told = evidence(seen, "connections_near_limit")
    assert (told["used"], told["usable"], told["holder"], told["holder_connections"], told["holder_idle"]) == (90, 97, "leaky (172.18.0.9)", 80, 80)
    assert [(one["application_name"], one["total"], one["idle_in_transaction"]) for one in told["holders"]] == [("leaky", 80, 0), ("api", 10, 10)]


def test_a_limit_of_a_database_or_a_role():
    assert found(facts(session(1), databases=[database(connection_limit=1, connections=1)])) == [("connections_exhausted", "db", "warning")]
    assert found(facts(session(1), roles=[{"user": "app", "connection_limit": 1, "connections": 1}])) == [("connections_exhausted", "db", "warning")]
    assert found(facts(session(1), roles=[{"user": "app", "connection_limit": 5, "connections": 1}])) == []


def test_a_threshold_of_ones_own():
    assert found(facts(*(session(pid) for pid in range(50))), postgres_connections_percent_warning=40) == [("connections_near_limit", "db", "warning")]


# --- locks ---

HOLDER = idle_in_transaction(8, 5.0, has_xid=True, query="LOCK TABLE items")
LOCKS = [
    ("nobody waits", [HOLDER], [], []),
    ("a moment", [HOLDER], [waits(11, 1.0, 8)], []),
    ("longer: a note", [HOLDER], [waits(11, 30.0, 8)], [("lock_held", "db", "info")]),
    ("a minute", [HOLDER], [waits(11, 61.0, 8)], [("lock_held", "db", "warning")]),
    ("two minutes", [HOLDER], [waits(11, 121.0, 8)], [("lock_held", "db", "critical")]),
    ("five wait", [HOLDER], [waits(pid, 2.5, 8) for pid in range(11, 16)], [("lock_held", "db", "warning")]),
    ("a busy row: ten wait for a moment", [active(8, 0.1)], [waits(pid, 0.03, 8) for pid in range(11, 21)], []),
    ("a leader and its standbys", [session(8)], [waits(pid, 7200.0, 8, locktype="advisory") for pid in range(11, 22)], [("lock_held", "db", "info")]),
    (
        "who waits for its turn as leader holds up others",
        [session(8)],
        [waits(11, 7200.0, 8, locktype="advisory"), waits(12, 130.0, 11, locktype="transactionid")],
        [("lock_held", "db", "critical")],
    ),
    (
        "ten wait, in a queue behind the first",
        [HOLDER],
        [waits(11, 3.0, 8), *(waits(pid, 2.0, 11) for pid in range(12, 21))],
        [("lock_held", "db", "critical")],
    ),
    ("the holder has been idle for long: told once", [idle_in_transaction(8, 70.0)], [waits(11, 3.0, 8)], [("lock_held", "db", "warning")]),
    ("the holder works for long: told once", [active(8, 400.0)], [waits(11, 130.0, 8)], [("lock_held", "db", "critical")]),
    ("two roots", [HOLDER, active(9, 1.0)], [waits(11, 61.0, 8), waits(12, 62.0, 9)], [("lock_held", "db", "warning")] * 2),
    ("a circle (the server ends it itself)", [], [waits(11, 1.5, 12), waits(12, 1.5, 11)], []),
    ("the holder cannot be seen", [], [waits(11, 61.0, 8)], [("lock_held", "db", "warning")]),
]


@pytest.mark.parametrize(("sessions", "waiting", "expected"), [case[1:] for case in LOCKS], ids=[case[0] for case in LOCKS])
def test_locks(sessions, waiting, expected):
    assert found(facts(*sessions, waiting=waiting)) == expected


def test_the_evidence_of_a_lock():
    seen = facts(HOLDER, waiting=[waits(11, 70.0, 8), waits(12, 60.0, 11)])
    told = evidence(seen, "lock_held")
    expected = {"pid": 8, "user": "app", "state": "idle in transaction", "seconds": 70.0, "waiting": 2, "waiting_pids": [11, 12], "relation": "items"}
    assert {key: told[key] for key in expected} == expected
    assert (told["mode"], told["wanted"], told["query"]) == ("AccessExclusiveLock", "AccessShareLock", "LOCK TABLE items")
    assert told["chain"] == [
        "11 api (172.18.0.5) waits 70 s for 8: AccessShareLock on items",
        "12 api (172.18.0.5) waits 60 s for 11: AccessShareLock on items",
    ]


def test_the_component_that_a_session_comes_from_is_named():
    holder = {**HOLDER, "client": "worker"}
    assert evidence(facts(holder, waiting=[waits(11, 70.0, 8)]), "lock_held")["from"] == "api (worker)"
    assert evidence(facts(idle_in_transaction(1, 61.0, application_name="", client="")), "idle_in_transaction")["from"] == "app (172.18.0.5)"


def test_a_note_leaves_the_lock_cleared():
    answers = judged(facts(HOLDER, waiting=[waits(11, 30.0, 8)]))
    assert [one.evidence for one in answers if isinstance(one, Clear) and one.id == "postgres.lock_held"] == [{"waiting": 1, "longest_seconds": 30.0}]
    assert outcome(answers)["verdict"] == "healthy"


# --- sessions ---

SESSIONS = [
    ("idle", [session(1, state_seconds=9999.0)], []),
    ("in a transaction for a moment", [idle_in_transaction(1, 59.0)], []),
    ("a minute", [idle_in_transaction(1, 61.0)], [("idle_in_transaction", "db", "warning")]),
    ("five minutes, holding nothing", [idle_in_transaction(1, 301.0)], [("idle_in_transaction", "db", "warning")]),
    ("five minutes with a transaction id", [idle_in_transaction(1, 301.0, has_xid=True)], [("idle_in_transaction", "db", "critical")]),
    ("five minutes with a snapshot", [idle_in_transaction(1, 301.0, xmin_age=5)], [("idle_in_transaction", "db", "critical")]),
    ("aborted ones count", [idle_in_transaction(1, 61.0, state="idle in transaction (aborted)")], [("idle_in_transaction", "db", "warning")]),
    ("many of one client are one finding", [idle_in_transaction(pid, 61.0) for pid in range(20)], [("idle_in_transaction", "db", "warning")]),
    ("of two clients", [idle_in_transaction(1, 61.0), idle_in_transaction(2, 61.0, client_addr="172.18.0.6")], [("idle_in_transaction", "db", "warning")] * 2),
    ("a dump between two tables", [idle_in_transaction(1, 61.0, protected="pg_dump")], []),
    ("a short query", [active(1, 59.0)], []),
    ("a long query", [active(1, 61.0)], [("long_query", "db", "warning")]),
    ("a very long query", [active(1, 301.0)], [("long_query", "db", "critical")]),
    ("the same query by many is one finding", [active(pid, 61.0) for pid in range(9)], [("long_query", "db", "warning")]),
    ("two queries", [active(1, 61.0), active(2, 61.0, query="UPDATE x")], [("long_query", "db", "warning")] * 2),
    ("a dump", [active(1, 4000.0, protected="pg_dump")], []),
    ("waits for a lock", [active(1, 4000.0, wait_event_type="Lock")], []),
    ("an index build seen by its progress", [active(77, 4000.0)], []),
]


@pytest.mark.parametrize(("sessions", "expected"), [case[1:] for case in SESSIONS], ids=[case[0] for case in SESSIONS])
def test_sessions(sessions, expected):
    assert found(facts(*sessions, progress=[{"what": "index build", "pid": 77, "phase": "building index"}])) == expected


def test_what_is_hidden_is_not_healthy():
    seen = facts(session(1, state=None, visible=False, backend_type=None, query=""), session(2))
    not_seen = {one.id: one for one in judged(seen) if isinstance(one, Unseen)}
    assert set(not_seen) == {"postgres.idle_in_transaction", "postgres.long_query"}
    assert "1 of 2" in not_seen["postgres.long_query"].reason
    assert "pg_monitor" in not_seen["postgres.long_query"].fix
    assert outcome(judged(seen))["verdict"] == "unknown"
    assert found(facts(session(1, state=None, visible=False), active(2, 61.0))) == [("long_query", "db", "warning")]


PROTECTED = [
    ({"application_name": "pg_dump"}, "COPY items TO stdout", "pg_dump"),
    ({"backend_type": "walsender"}, "START_REPLICATION ?", "walsender"),
    ({"backend_type": "autovacuum worker"}, "autovacuum: VACUUM items", "autovacuum worker"),
    ({}, "VACUUM (ANALYZE) items", "vacuum"),
    ({}, "create unique index concurrently x ON y (z)", "index build"),
    ({}, "UPDATE alembic_version SET version_num=?", "alembic"),
    ({"state": "active", "state_seconds": 900.0}, "ALTER TABLE orders ADD COLUMN x int", "schema change"),
    ({"state": "idle in transaction", "state_seconds": 3.0}, "ALTER TABLE orders ADD COLUMN x int", "schema change"),
    ({"state": "idle in transaction", "state_seconds": 900.0}, "ALTER TABLE orders ADD COLUMN x int", ""),
    ({"state": "idle in transaction", "state_seconds": 900.0, "application_name": "pg_dump"}, "COPY items TO stdout", "pg_dump"),
    ({"application_name": "alembic"}, "", "alembic"),
    ({"application_name": "aiops.runbook"}, "SELECT ?", "aiops.runbook"),
    ({"user": "rdsadmin"}, "SELECT ?", "provider's own"),
    ({}, "SELECT vacuum FROM items", ""),
    ({"application_name": "api"}, "INSERT INTO items VALUES (?)", ""),
]


@pytest.mark.parametrize(("changes", "query", "expected"), PROTECTED)
def test_protected_kind(changes, query, expected):
    assert protected_kind(session(1, **changes), query) == expected


# --- the server ---

SERVER = [
    ("a standby where nobody is known to write", {"read_only": True, "in_recovery": True}, {}, []),
    ("a standby where somebody writes", {"read_only": True, "in_recovery": True}, {"expects_writes": True}, [("read_only", "db", "critical")]),
    ("set read-only", {"read_only": True, "default_transaction_read_only": True}, {"expects_writes": True}, [("read_only", "db", "critical")]),
    ("a primary", {}, {"expects_writes": True}, []),
    ("a damaged page", {}, {"databases": [database(checksum_failures=1, checksum_last_seconds=3.21)]}, [("checksum_failure", "db", "critical")]),
    ("checksums off", {}, {"databases": [database(checksum_failures=None)]}, []),
    ("autovacuum has just begun to freeze", {}, {"databases": [database(frozen_age=205_000_000)]}, []),
    ("not frozen in time", {}, {"databases": [database(frozen_age=221_000_000)]}, [("wraparound_near", "db", "warning")]),
    ("near the end", {}, {"databases": [database(frozen_age=1_300_000_000)]}, [("wraparound_near", "db", "critical")]),
    ("a fresh prepared transaction", {}, {"prepared": [{"gid": "g", "user": "app", "database": "shop", "seconds": 5.0}]}, []),
    ("a forgotten one", {}, {"prepared": [{"gid": "g", "user": "app", "database": "shop", "seconds": 400.0}]}, [("prepared_transaction", "db", "warning")]),
]


@pytest.mark.parametrize(("server", "changes", "expected"), [case[1:] for case in SERVER], ids=[case[0] for case in SERVER])
def test_server(server, changes, expected):
    seen = facts(**changes)
    seen["server"] = {**seen["server"], **server}
    assert found(seen) == expected


def test_a_prepared_transaction_that_others_wait_for():
    seen = facts(waiting=[waits(11, 130.0, 0)], prepared=[{"gid": "g", "user": "app", "database": "shop", "seconds": 400.0}])
    assert found(seen) == [("prepared_transaction", "db", "critical")]


def test_a_fact_that_could_not_be_read_costs_no_other():
    seen = facts(active(1, 61.0), databases=unseen("denied", kind="denied"))
    answers = judged(seen)
    assert found(seen) == [("long_query", "db", "warning")]
    assert {one.id for one in answers if isinstance(one, Unseen)} == {"postgres.checksum_failure", "postgres.wraparound_near"}
    assert outcome(answers)["verdict"] == "degraded"
