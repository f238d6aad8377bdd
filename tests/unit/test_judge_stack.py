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
