"""Judgements on containers: one row a case."""

from __future__ import annotations

import pytest
from samples import NOW, component, edge, event, found, instance, stack

from ansible_collections.aiops.runbook.plugins.module_utils.judge import containers
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import Finding

ENDED = {"state": "exited", "finished_at": NOW - 60}
CASES = [
    (
        "one of two copies was killed",
        component("worker", "worker", instance("a"), instance("b", exit_code=137, **ENDED)),
        [],
        [("container.copy_down", "worker")],
    ),
    (
        "one of two copies keeps ending",
        component("api", "api", instance("a"), instance("b", restarts=4, started_at=NOW - 2)),
        [],
        [("container.copy_down", "api")],
    ),
    ("one of two copies was just made", component("api", "api", instance("a"), instance("b", state="created", started_at=0, created_at=NOW - 3)), [], []),
    ("runs", component("api", "api"), [], []),
    ("stopped in good order", component("db", "postgres", instance(exit_code=0, **ENDED)), [], [("container.not_running", "db")]),
    ("stopped by TERM", component("worker", "worker", instance(exit_code=143, **ENDED)), [], [("container.not_running", "worker")]),
    (
        "stopped, did not end in time",
        component("api", "api", instance("a", exit_code=137, **ENDED)),
        [event("api", "stop", 60, "a")],
        [("container.not_running", "api")],
    ),
    ("beat switched off by choice", component("beat", "beat", instance(exit_code=0, **ENDED)), [], []),
    ("a migration that did its work", component("migrate", "migration", instance(exit_code=0, **ENDED)), [], []),
    ("a migration that failed", component("migrate", "migration", instance(exit_code=1, **ENDED)), [], [("container.crashed", "migrate")]),
    ("beat that crashed", component("beat", "beat", instance(exit_code=1, **ENDED)), [], [("container.crashed", "beat")]),
    ("killed from outside", component("api", "api", instance(exit_code=137, **ENDED)), [], [("container.killed", "api")]),
    ("out of memory", component("api", "api", instance(exit_code=137, oom_killed=True, **ENDED)), [], [("container.oom_killed", "api")]),
    (
        "out of memory by the engine's event",
        component("api", "api", instance("a", exit_code=137, **ENDED)),
        [event("api", "oom", 61, "a")],
        [("container.oom_killed", "api")],
    ),
    ("a child out of memory", component("api", "api", instance("a")), [event("api", "oom", 30, "a")], [("container.oom_killed", "api")]),
    ("a child out of memory long ago", component("api", "api", instance("a")), [event("api", "oom", 900, "a")], []),
    ("out of memory before it was made anew", component("api", "api", instance("b")), [event("api", "oom", 30, "a")], []),
    ("command not found", component("api", "api", instance(exit_code=127, **ENDED)), [], [("container.bad_command", "api")]),
    (
        "never started: no such program",
        component("api", "api", instance(state="created", started_at=0, exit_code=127, error='exec: "srv": executable file not found in $PATH')),
        [],
        [("container.bad_command", "api")],
    ),
    ("made and never started", component("api", "api", instance(state="created", started_at=0, created_at=NOW - 300)), [], [("container.not_running", "api")]),
    ("just made", component("api", "api", instance(state="created", started_at=0, created_at=NOW - 3)), [], []),
    ("crashed", component("api", "api", instance(exit_code=1, **ENDED)), [], [("container.crashed", "api")]),
    ("restarting", component("api", "api", instance(state="restarting", exit_code=1, restarts=4)), [], [("container.crashed", "api")]),
    ("caught while it runs between two crashes", component("api", "api", instance(restarts=4, started_at=NOW - 2)), [], [("container.crashed", "api")]),
    ("crashed long ago and recovered", component("api", "api", instance(restarts=4, started_at=NOW - 60)), [], []),
    (
        "ended once after a long life, and is back for good",
        component("api", "api", instance("a", restarts=1, started_at=NOW - 240)),
        [event("api", "start", 9000, "a"), event("api", "die", 250, "a", exitCode="1")],
        [],
    ),
    (
        "ended once after a long life, just now",
        component("api", "api", instance("a", restarts=1, started_at=NOW - 60)),
        [event("api", "start", 9000, "a"), event("api", "die", 61, "a", exitCode="1")],
        [("container.crashed", "api")],
    ),
    (
        "ended once after minutes, and has been back for two",
        component("api", "api", instance("a", restarts=1, started_at=NOW - 130)),
        [event("api", "start", 535, "a"), event("api", "die", 131, "a", exitCode="1")],
        [],
    ),
    (
        "ended again after minutes",
        component("api", "api", instance("a", restarts=2, started_at=NOW - 130)),
        [event("api", "start", 535, "a"), event("api", "die", 131, "a", exitCode="1")],
        [("container.crashed", "api")],
    ),
    (
        "killed once for its memory after minutes",
        component("api", "api", instance("a", restarts=1, started_at=NOW - 130, oom_killed=True)),
        [event("api", "start", 535, "a"), event("api", "die", 131, "a", exitCode="137")],
        [("container.oom_killed", "api")],
    ),
    ("paused", component("redis", "redis", instance(state="paused")), [], [("container.paused", "redis")]),
    ("a one-off run that failed", component("api", "api", instance(), instance("x", one_off=True, exit_code=1, **ENDED)), [], []),
    ("one of two copies ended", component("api", "api", instance(), instance("x", exit_code=0, **ENDED)), [], [("container.copy_down", "api")]),
]


@pytest.mark.parametrize(("what", "part", "events", "expected"), CASES, ids=[case[0] for case in CASES])
def test_ended(what, part, events, expected):
    assert found(judge_domain(containers.DOMAIN, stack(part, events=events), Limits())) == expected


ONCE = {"exit_code": 0, "restart_policy": "no", **ENDED}
SEEDS = [
    ("an api by its name only, beside another", {"role_source": "name"}, ONCE, []),
    ("one that is to be started again", {"role_source": "name"}, {**ONCE, "restart_policy": "always"}, [("container.not_running", "api-seed")]),
    ("a pod that is never started again", {"role_source": "name"}, {**ONCE, "restart_policy": "never"}, []),
    ("one that was told to end", {"role_source": "name"}, {**ONCE, "exit_code": 143}, [("container.not_running", "api-seed")]),
    ("one that is known by its program", {}, ONCE, [("container.not_running", "api-seed")]),
]


@pytest.mark.parametrize(("what", "source", "one", "expected"), SEEDS, ids=[case[0] for case in SEEDS])
def test_what_does_its_work_once(what, source, one, expected):
    seed = component("api-seed", "api", instance("s", **one), **source)
    assert found(judge_domain(containers.DOMAIN, stack(component("api", "api"), seed), Limits())) == expected
    alone = judge_domain(containers.DOMAIN, stack(seed, component("db", "postgres")), Limits())
    assert found(alone) == [("container.not_running", "api-seed")]


SHORT = {**ONCE, "started_at": NOW - 70}
IMAGES = [
    ("a script on a server's image", {"role_source": "image"}, SHORT, [], [], []),
    ("a server that was told to stop", {"role_source": "image"}, SHORT, [event("kv-2", "stop", 60, "s")], [], [("container.not_running", "kv-2")]),
    ("a server that ended after a day", {"role_source": "image"}, {**ONCE, "started_at": NOW - 86400}, [], [], [("container.not_running", "kv-2")]),
    ("one that somebody uses", {"role_source": "image"}, SHORT, [], [edge("api", "kv-2", "redis")], [("container.not_running", "kv-2")]),
    ("one that is to be started again", {"role_source": "image"}, {**SHORT, "restart_policy": "always"}, [], [], [("container.not_running", "kv-2")]),
    ("a server by its command", {"role_source": "command"}, SHORT, [], [], [("container.not_running", "kv-2")]),
]


@pytest.mark.parametrize(("what", "source", "one", "events", "edges", "expected"), IMAGES, ids=[case[0] for case in IMAGES])
def test_what_does_its_work_once_on_a_servers_image(what, source, one, events, edges, expected):
    seen = stack(component("api", "api"), component("kv", "redis"), component("kv-2", "redis", instance("s", **one), **source), events=events, edges=edges)
    assert found(judge_domain(containers.DOMAIN, seen, Limits())) == expected
    alone = stack(component("api", "api"), component("kv-2", "redis", instance("s", **one), **source), events=events, edges=edges)
    assert found(judge_domain(containers.DOMAIN, alone, Limits())) == [("container.not_running", "kv-2")]


@pytest.mark.parametrize(("source", "severity"), [("name", "warning"), ("command", "critical")])
def test_what_fails_to_do_its_work_once_is_no_outage(source, severity):
    seed = component("api-tests", "api", instance("s", **{**ONCE, "exit_code": 1}), role_source=source)
    answers = judge_domain(containers.DOMAIN, stack(component("api", "api"), seed), Limits())
    assert [(answer.id, answer.severity) for answer in answers if isinstance(answer, Finding)] == [("container.crashed", severity)]


def test_a_stopped_optional_component_is_missed_when_somebody_uses_it():
    seen = stack(component("llm", "llm", instance(exit_code=0, **ENDED)), component("api", "api"), edges=[edge("api", "llm", "llm")])
    assert found(judge_domain(containers.DOMAIN, seen, Limits())) == [("container.not_running", "llm")]


HEALTH = [
    ("healthy", {"status": "healthy", "failing": 0, "output": ""}, []),
    ("starting", {"status": "starting", "failing": 1, "output": "x"}, []),
    ("unhealthy", {"status": "unhealthy", "failing": 3, "output": "HTTP 503"}, ["container.unhealthy"]),
    (
        "no curl in the image",
        {"status": "unhealthy", "failing": 3, "output": 'OCI runtime exec failed: exec: "curl": executable file not found in $PATH'},
        ["container.healthcheck_broken"],
    ),
    ("no curl for the shell", {"status": "unhealthy", "failing": 3, "output": "/bin/sh: 1: curl: not found"}, ["container.healthcheck_broken"]),
]


@pytest.mark.parametrize(("what", "check", "expected"), HEALTH, ids=[case[0] for case in HEALTH])
def test_health(what, check, expected):
    seen = stack(component("api", "api", instance(health=check)))
    assert [finding for finding, _where in found(judge_domain(containers.DOMAIN, seen, Limits()))] == expected


@pytest.mark.parametrize(("used", "expected"), [(89, None), (90, "warning"), (97, "critical")])
def test_memory_near_limit(used, expected):
    seen = stack(component("api", "api", instance(memory={"used": used, "limit": 100})))
    got = [answer for answer in judge_domain(containers.DOMAIN, seen, Limits()) if answer.id == "container.memory_near_limit"]
    assert [getattr(answer, "severity", None) for answer in got] == [expected]


def test_memory_that_could_not_be_read_is_said():
    seen = stack(component("api", "api", instance(memory={"unseen": {"reason": "no answer", "kind": "timeout", "fix": ""}})))
    assert [answer.id for answer in judge_domain(containers.DOMAIN, seen, Limits()) if type(answer).__name__ == "Unseen"] == ["container.memory_near_limit"]


def said(kind: str) -> dict[str, object]:
    signature = {"kind": kind, "about": None, "count": 1, "first": NOW - 3, "last": NOW - 3, "sample": "ModuleNotFoundError", "detail": {}}
    return {"component": "api", "now": NOW, "signatures": [signature]}


YOUNG = {"started_at": NOW - 5}
FIRST_LIFE = [
    ("nothing said yet", instance(**YOUNG), "exception", []),
    ("an error that it cannot survive, before it ended once", instance(**YOUNG), "import_error", [("container.crashed", "api")]),
    ("it came up all the same", instance(**YOUNG, listening=[8000]) | {"listening": [8000]}, "import_error", []),
    ("long ago", instance(started_at=NOW - 300), "import_error", []),
]


@pytest.mark.parametrize(("what", "one", "kind", "expected"), FIRST_LIFE, ids=[case[0] for case in FIRST_LIFE])
def test_a_start_that_fails_is_told_before_the_first_end(what, one, kind, expected):
    assert found(judge_domain(containers.DOMAIN, stack(component("api", "api", one, logs=said(kind))), Limits())) == expected


def test_a_socket_that_nobody_serves_is_no_start():
    seen = stack(component("api", "api", instance(**YOUNG) | {"listening": [8000]}, logs=said("import_error")))
    seen["http"] = {"api": {"component": "api", "answers": {"unseen": {"reason": "no answer", "kind": "timeout", "fix": ""}}}}
    assert found(judge_domain(containers.DOMAIN, seen, Limits())) == [("container.crashed", "api")]


@pytest.mark.parametrize(("code", "severity"), [(0, "info"), (143, "info"), (137, "warning"), (1, "warning")])
def test_a_copy_that_was_told_to_end_is_a_note(code, severity):
    seen = stack(component("api", "api", instance("a"), instance("b", exit_code=code, **ENDED)))
    (answer,) = [one for one in judge_domain(containers.DOMAIN, seen, Limits()) if isinstance(one, Finding)]
    assert (answer.severity, answer.evidence["instance"]) == (severity, "b")
