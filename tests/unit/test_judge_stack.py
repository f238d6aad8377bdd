"""What is asked of a whole stack at once."""

from __future__ import annotations

from samples import component, found, instance, stack

from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.stack import judge_stack
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
