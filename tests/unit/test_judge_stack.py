"""What is asked of a whole stack at once."""

from __future__ import annotations

import pytest
from samples import NOW, component, found, instance, stack

from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.stack import _not_yet, judge_stack
from ansible_collections.aiops.runbook.plugins.module_utils.model import Clear, Finding, Unseen, unseen

DOOR = {"inside": 1, "outside": 1, "host": ""}
ACCOUNT = {"component": "api", "setting": "DATABASE_URL", "user": "u", "accepted": None}
REACH = {
    "from": "api",
    "to": "",
    "outer": "dbx:5432",
    "setting": "DATABASE_URL",
    "kind": "postgres",
    "host": "dbx",
    "port": 5432,
    "inside": True,
    "resolves": False,
}


def answered(name, status):
    route = {"kind": "health", "status": status, "seconds": 0.01, "error": None, "checks": {}, "state": None, "location": None}
    absent = unseen("none", kind="not_offered")
    return {
        "component": "api",
        "instance": name,
        "url": "http://x",
        "routes": {"/health": route},
        "answers": True,
        "metrics": absent,
        "metrics_after": absent,
    }


def test_one_of_two_copies_that_fails_is_named():
    two = component("api", "api", instance("a", published=[DOOR], listening=[1]), instance("b"))
    answers = judge_stack(stack(two, http={"api": answered("a", 200), "api/b": answered("b", 500)}), Limits())
    assert ("http.unhealthy", "api") in found(answers)
    assert [one.evidence["instance"] for one in answers if isinstance(one, Finding) and one.id == "http.unhealthy"] == ["b"]
    assert found(judge_stack(stack(two, http={"api": answered("a", 200), "api/b": answered("b", 200)}), Limits())) == []


def test_a_name_that_nobody_knows_is_told_once():
    nowhere = {"component": "dbx:5432", "answers": unseen("the name dbx has no address", kind="dns"), "accounts": [ACCOUNT]}
    seen = stack(component("api", "api", instance("a", published=[DOOR], listening=[1])), postgres={"dbx:5432": nowhere}, reach=[REACH])
    answers = [one for one in judge_stack(seen, Limits()) if one.id.startswith(("postgres.", "config.")) and not isinstance(one, Clear)]
    assert [(one.id, one.component) for one in answers] == [("config.host_unresolved", "api")]


def test_a_broker_that_cannot_be_told_is_said_of_its_server():
    why = unseen("nothing tells which of A_URL, B_URL leads to the broker of jobs", kind="untold", fix="name it CELERY_BROKER_URL")
    seen = stack(component("jobs", "worker"), component("kv", "redis"), celery={"kv/jobs": {"component": "kv", "answers": why}})
    told = [one for one in judge_stack(seen, Limits()) if isinstance(one, Unseen) and one.id == "celery.no_worker" and one.component == "kv"]
    assert [(one.reason, one.fix) for one in told] == [("the broker could not be asked: " + why["unseen"]["reason"], "name it CELERY_BROKER_URL")]


GATE = component("gate", "gate", instance("g", listening=[5432]))
MET = {**REACH, "to": "gate", "outer": "", "host": "gate", "port": 5432, "resolves": True, "addresses": ["10.0.0.3"], "connects": True, "error": ""}


@pytest.mark.parametrize(
    ("kind", "reached", "expected"),
    [
        ("protocol", MET, [("postgres.not_answering", "gate:5432")]),
        ("timeout", MET, [("postgres.not_answering", "gate:5432")]),
        ("refused", {**MET, "connects": False, "error": "refused"}, [("network.refused", "api")]),
        ("tls", MET, []),
    ],
    ids=["it hangs up", "it says nothing", "nothing listens", "it was not seen"],
)
def test_a_server_that_is_met_through_a_gate_is_blamed_where_the_gate_is_reached(kind, reached, expected):
    facts = {"component": "gate:5432", "answers": unseen("no", kind=kind), "target": {"where": "gate:5432", "user": "u", "database": "d"}, "through": "gate"}
    api = component("api", "api", instance("a", published=[DOOR], listening=[1]))
    answers = judge_stack(stack(api, GATE, postgres={"gate:5432": facts}, reach=[reached]), Limits())
    assert [one for one in found(answers) if one[0].startswith(("postgres.", "network.", "config."))] == expected
    assert expected or any(isinstance(one, Unseen) and one.component == "gate:5432" for one in answers)


def full(name, started, **changes):
    """A PostgreSQL without a free slot."""
    server = {"version": "16.4", "started": started, "now": started + 60.0, "usable": 10}
    server.update(dict.fromkeys(("read_only", "in_recovery", "default_transaction_read_only"), False))
    counts = {"total": 10, "active": 10, "idle": 0, "idle_in_transaction": 0}
    return {"component": name, "answers": True, "server": server, "session_counts": counts, "sessions": unseen("not asked"), **changes}


@pytest.mark.parametrize(("started", "expected"), [(100.0, ["db"]), (200.0, ["db", "gate:5432"])], ids=["the same one", "another one"])
def test_a_server_of_the_stack_that_is_met_through_a_gate_too_is_blamed_once(started, expected):
    api = component("api", "api", instance("a", published=[DOOR], listening=[1]))
    servers = {"db": full("db", 100.0), "gate:5432": full("gate:5432", started, through="gate")}
    answers = judge_stack(stack(api, GATE, component("db", "postgres"), postgres=servers, reach=[MET]), Limits())
    assert sorted(name for what, name in found(answers) if what == "postgres.connections_exhausted") == expected


def test_logs_that_cannot_be_read_are_said():
    unread = {"unseen": {"reason": "the log driver none cannot be read back", "kind": "log_driver", "fix": "use json-file"}}
    stopped = {"unseen": {"reason": "no instance of it runs", "kind": "not_running", "fix": ""}}
    seen = stack(component("api", "api", logs=unread), component("beat", "beat", logs=stopped))
    told = [(answer.id, answer.component) for answer in judge_stack(seen, Limits()) if isinstance(answer, Unseen) and answer.id.startswith("logs.")]
    assert told == [("logs.error_burst", "api")]


def test_a_server_behind_a_rule_is_not_blamed():
    silent = {"component": "db", "answers": unseen("db:5432 gave no answer", kind="timeout"), "place": {"host": "db", "port": 5432}, "accounts": [ACCOUNT]}
    cut = {**REACH, "to": "db", "host": "db", "resolves": True, "addresses": ["10.0.0.3"], "connects": False, "error": "timeout", "seconds": 2.0}
    rule = {"rule": "-A DOCKER-USER -p tcp --dport 5432 -j DROP", "packets": 3, "where": ""}
    shown = {}
    for name, found_there in (("none", {"rule": "", "packets": 0, "where": ""}), ("denied", unseen("only root", kind="denied")), ("rule", rule)):
        api = component("api", "api", instance("a", published=[DOOR], listening=[1]))
        seen = stack(api, component("db", "postgres"), postgres={"db": silent}, reach=[{**cut, "filter": found_there}])
        answers = judge_stack(seen, Limits())
        evidence = next(one.evidence for one in answers if isinstance(one, Finding) and one.id == "network.unreachable")
        blamed = [one for one in found(answers) if one[0] == "postgres.not_answering"]
        shown[name] = (bool(blamed), evidence.get("blocking_rule"), evidence.get("rule_stands_in"), evidence.get("packet_filter"))
    assert shown == {"none": (True, None, None, None), "denied": (True, None, None, "only root"), "rule": (False, rule["rule"], "host", None)}


@pytest.mark.parametrize(
    ("hostname", "expected", "blamed"),
    [
        ("abc", [], True),
        ("jobs-0", [{"instance": "jobs-0", "hostname": "jobs-0"}], True),
        ("other-0", [{"instance": "jobs-0", "hostname": "jobs-0"}], False),
    ],
)
def test_a_worker_that_answers_is_up_however_young(hostname, expected, blamed):
    """On Compose it is called by its container's id, on a cluster by its pod."""
    worker = component("jobs", "worker", instance("jobs-0", id="abc", started_at=NOW - 3))
    seen = stack(worker, celery={"queue": {"workers": [{"hostname": hostname}], "expected": expected}})
    answer = _not_yet(seen, Finding("celery.queue_without_consumer", "jobs", "critical", {}), Limits())
    assert isinstance(answer, Finding) is blamed
