# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which remedies a diagnosis leads to, what a plan's digest covers, and who may apply it when."""

from __future__ import annotations

import copy
import datetime

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.act.registry import ON_KUBERNETES, REMEDIES
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.plugin_utils import approve, knowledge, plan

EDGES = [{"from": "api", "to": "db", "kind": "postgres"}, {"from": "worker", "to": "db", "kind": "postgres"}, {"from": "api", "to": "cache", "kind": "redis"}]


def root(finding, component="api", about=None, severity="critical", **evidence):
    key = "%s@%s" % (finding, component) + (">" + about if about else "")
    return {"id": finding, "component": component, "about": about, "key": key, "severity": severity, "title": "T", "evidence": evidence, "do": ["look"]}


def model(*roots):
    return {"stack": "shop", "platform": "compose", "lang": "en", "root_causes": list(roots), "topology": {"edges": EDGES}}


@pytest.mark.parametrize(
    ("found", "remedy", "component", "params"),
    [
        (root("container.not_running", "db"), "component_start", "db", {}),
        (root("container.copy_down", "api", why="stopped"), "component_start", "api", {}),
        (root("container.copy_down", "api", why="crashed"), None, None, None),
        (root("container.oom_killed", "worker"), "component_resources", "worker", {"memory": "grow"}),
        (root("postgres.lock_held", "db", pid=812, protected=""), "postgres_terminate", "db", {"pids": [812]}),
        (root("postgres.lock_held", "db", pid=812, protected="pg_dump"), None, None, None),
        (root("postgres.idle_in_transaction", "db", pids=[1, 2], count=2), "postgres_terminate", "db", {"pids": [1, 2], "most": 2}),
        (root("config.setting_missing", "api", setting="DATABASE_URL", twin="worker"), "stack_env", "api",
         {"set": {"DATABASE_URL": {"from": {"component": "worker"}}}}),
        (root("config.setting_missing", "api", setting="DATABASE_URL", twin=""), None, None, None),
        (root("config.wrong_port", "api", "db", setting="DB_PORT", kind="postgres"), "connection_setting", "api", {"setting": "DB_PORT", "kind": "postgres"}),
        (root("postgres.password_rejected", "api", "db", cause="password"), "connection_setting", "api", {"kind": "postgres"}),
        (root("postgres.password_rejected", "api", "db", cause="expired"), None, None, None),
        (root("postgres.pool_exhausted", "api", "db", below_default=True, cause="held_in_transaction"), "pool_tuning", "api", {}),
        (root("postgres.pool_exhausted", "api", "db", below_default=False, cause="too_small"), "pool_tuning", "api", {}),
        (root("postgres.pool_exhausted", "api", "db", below_default=False, cause="leak"), None, None, None),
        (root("celery.queue_without_consumer", "worker", queue="mails"), "celery_consumers", "worker", {"queues": ["mails"], "state": "added"}),
        (root("container.bad_command", "api"), None, None, None),
    ],
    ids=lambda value: value["key"] if isinstance(value, dict) and "key" in value else None,
)  # fmt: skip
def test_the_remedy_of_a_finding(found, remedy, component, params) -> None:
    steps, by_hand = plan.propose(model(found))
    if remedy is None:
        assert steps == [] and [one["finding"] for one in by_hand] == [found["key"]] and by_hand[0]["do"] == ["look"]
    else:
        assert by_hand == []
        assert [(step["remedy"], step["component"], step["params"], step["finding"]) for step in steps] == [(remedy, component, params, found["key"])]


def test_a_leak_is_for_the_code() -> None:
    leak = root("postgres.pool_exhausted", "api", "db", below_default=False, cause="leak")
    assert plan.propose(model(leak))[1][0]["code"] is True


def test_servers_come_before_those_who_use_them_and_notes_do_not_count() -> None:
    steps, _hand = plan.propose(
        model(root("container.not_running", "api"), root("container.not_running", "db"), root("container.paused", "cache", severity="info"))
    )
    assert [(step["number"], step["component"]) for step in steps] == [(1, "db"), (2, "api")]


def test_one_cure_for_two_findings_is_done_once() -> None:
    assert len(plan.propose(model(root("container.not_running", "db"), root("container.paused", "db")))[0]) == 1


GAVE_UP = {"state": "exited", "stopped_by": ""}
CAUSE = root("redis.save_failing", "cache")
OTHER = root("container.bad_command", "db")  # what no remedy mends


@pytest.mark.parametrize(
    ("fallen", "causes", "role", "starts"),
    [
        (root("container.not_running", "worker", **GAVE_UP), [CAUSE], "worker", True),
        (root("container.crashed", "worker", state="exited"), [CAUSE], "worker", True),
        (root("container.not_running", "worker", state="created", stopped_by=""), [CAUSE], "worker", True),
        (root("container.not_running", "worker", state="exited", stopped_by="stop"), [CAUSE], "worker", False),
        (root("container.crashed", "worker", state="restarting"), [CAUSE], "worker", False),
        (root("container.crashed", "worker", **GAVE_UP), [CAUSE], "migration", False),
        (root("container.oom_killed", "worker", **GAVE_UP), [CAUSE], "worker", False),
        (root("http.unreachable", "worker", **GAVE_UP), [CAUSE], "api", False),
        (root("container.not_running", "worker", **GAVE_UP), [CAUSE, OTHER], "worker", False),
        (root("container.not_running", "worker", **GAVE_UP), [OTHER], "worker", False),
    ],
)
def test_what_a_cause_has_ended_is_started_after_it(fallen, causes, role, starts) -> None:
    diagnosed = model(*({**cause, "consequences": [{"key": fallen["key"]}]} for cause in causes))
    diagnosed["topology"]["components"] = [{"id": "worker", "role": role}]
    diagnosed["findings"] = [fallen]
    steps, _hand = plan.propose(diagnosed)
    wanted = [("component_start", "worker", fallen["key"])] if starts else []
    assert [(step["remedy"], step["component"], step["finding"]) for step in steps if step["component"] == "worker"] == wanted
    if starts:
        assert [step["number"] for step in steps] == [1, 2]

        def refusing(steps):
            return {"steps": [{"number": 1, "refused": "no", "fix": ""}, *previewed(steps[1:])["steps"]]}

        assert plan.make_plan(diagnosed, refusing, "kim")["steps"] == [], "not started where its cause stays"
        assert len(plan.make_plan(diagnosed, previewed, "kim")["steps"]) == 2


def previewed(steps):
    answers = [
        {"number": step["number"], "token": "t%d" % step["number"],
         "preview": {"risk": "safe", "target": {}, "diff": [], "texts": {"instances": ["x"]}, "touches": [], "lasting": [], "changed": True, "can_undo": True}}
        for step in steps
    ]  # fmt: skip
    return {"steps": answers, "identity": {"engine": "e", "project": "shop"}}


def made(*roots):
    return plan.make_plan(model(*(roots or (root("container.not_running", "db"),))), previewed, "kim")


def test_no_plan_where_nothing_is_wrong() -> None:
    assert plan.make_plan(model(), previewed, "kim") is None


def test_a_plan_says_what_when_and_by_whom() -> None:
    found = made()
    assert found["steps"][0]["title"] == "Start db: x" and found["steps"][0]["token"] == "t1"
    assert (found["by"], found["stack"], found["identity"]["project"]) == ("kim", "shop", "shop")
    assert found["expires_at"] - found["created_at"] == 3600 and len(found["digest"]) == 14


def test_what_is_refused_or_done_already_goes_to_a_person() -> None:
    def refusing(steps):
        answer = previewed(steps)
        answer["steps"][0] = {"number": 1, "refused": "not here", "fix": "do it by hand"}
        answer["steps"][1]["preview"]["changed"] = False
        return answer

    found = plan.make_plan(model(root("container.not_running", "db"), root("container.not_running", "cache")), refusing, "kim")
    assert found["steps"] == [] and [one["reason"] for one in found["refused"]] == ["not here", "everything that it would change is already so"]
    assert sorted(one["component"] for one in found["by_hand"]) == ["cache", "db"]


WRONG = root("config.wrong_port", "api", "db", setting="DB_PORT", kind="postgres")


def without(*names):
    """The host refuses these remedies."""

    def preview(steps):
        found = previewed(steps)
        found["steps"] = [
            {"number": step["number"], "refused": "not %s" % step["remedy"], "fix": ""} if step["remedy"] in names else answer
            for step, answer in zip(steps, found["steps"], strict=True)
        ]
        return found

    return preview


@pytest.mark.parametrize(
    ("names", "planned", "refused"),
    [
        ((), ["connection_setting"], []),
        (("connection_setting",), ["stack_rollback"], []),
        (("connection_setting", "stack_rollback"), [], ["not connection_setting", "not stack_rollback"]),
    ],
)
def test_what_is_refused_gives_way_to_the_next_remedy(names, planned, refused) -> None:
    found = plan.make_plan({**model(WRONG), "platform": "kubernetes"}, without(*names), "kim")
    assert [step["remedy"] for step in found["steps"]] == planned
    assert [one["reason"] for one in found["refused"]] == refused
    assert [one for step in found["steps"] for one in step["instead_of"]] == [{"remedy": one, "reason": "not " + one} for one in names if planned]
    assert [one["component"] for one in found["by_hand"]] == (["api"] if refused else [])
    assert not {"otherwise", "tried", "answer"} & set().union(*(set(one) for one in found["steps"] + found["refused"]))


def test_two_findings_that_are_left_with_the_same_remedy_share_it() -> None:
    other = root("config.host_unresolved", "api", setting="LLM_URL", kind="llm")
    found = plan.make_plan({**model(WRONG, other), "platform": "kubernetes"}, without("connection_setting"), "kim")
    assert [(step["remedy"], step["component"]) for step in found["steps"]] == [("stack_rollback", "api")]


CHANGES = [
    lambda one: one["steps"][0]["params"].update(pids=[1]),
    lambda one: one["steps"][0].update(component="api"),
    lambda one: one["steps"][0].update(token="other"),
    lambda one: one["steps"][0].update(risk="safe" if one["steps"][0]["risk"] != "safe" else "disruptive"),
    lambda one: one["steps"].append(copy.deepcopy(one["steps"][0])),
    lambda one: one["identity"].update(engine="another"),
    lambda one: one.update(stack="other"),
    lambda one: one.update(expires_at=one["expires_at"] + 60),
    lambda one: one.update(by="lee"),
]


@pytest.mark.parametrize("change", CHANGES, ids=range(len(CHANGES)))
def test_an_edited_plan_is_refused(change) -> None:
    found = made()
    change(found)
    with pytest.raises(StackError) as caught:
        approve.check_plan(found, found["digest"], "shop", found["created_at"])
    assert caught.value.kind == "edited"
    found["digest"] = plan.digest_of(found)  # and with a digest to match, the approval is of another one
    with pytest.raises(StackError) as caught:
        approve.check_plan(found, made()["digest"], "shop", found["created_at"])
    assert caught.value.kind == "not_approved"


@pytest.mark.parametrize(
    ("word", "stack", "after", "kind"),
    [("", "shop", 0, "not_approved"), ("aaaaaaaaaaaaaa", "shop", 0, "not_approved"), (None, "other", 0, "other_stack"), (None, "shop", 3601, "expired")],
)
def test_an_approval_that_does_not_hold(word, stack, after, kind) -> None:
    found = made()
    with pytest.raises(StackError) as caught:
        approve.check_plan(found, found["digest"] if word is None else word, stack, found["created_at"] + after)
    assert caught.value.kind == kind


def test_an_approved_plan_passes() -> None:
    found = made()
    assert approve.check_plan({**found, "path": "/x", "approve": "command"}, found["digest"], "shop", found["created_at"] + 3599)["steps"]


@pytest.mark.parametrize("text", [None, [], {}, {"schema": "something else"}])
def test_what_is_no_plan(text) -> None:
    with pytest.raises(StackError, match="no plan that diagnose wrote"):
        approve.check_plan(text, "x", "shop", 0)


def test_classes_that_run_by_themselves() -> None:
    steps = [{"number": 1, "risk": "safe"}, {"number": 2, "risk": "disruptive"}, {"number": 3, "risk": "destructive"}]
    assert [step["number"] for step in approve.allowed(steps, ["safe"])] == [1]
    assert [step["number"] for step in approve.allowed(steps, ["safe", "disruptive", "transient"])] == [1, 2]
    for wrong in (["harmless"], ["destructive"]):
        with pytest.raises(StackError) as caught:
            approve.allowed(steps, wrong)
        assert caught.value.kind == "bad_option"


def at(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()


@pytest.mark.parametrize(
    ("window", "moment", "holds"),
    [
        ({"from": "2026-12-24T00:00", "until": "2026-12-27T00:00"}, "2026-12-25T12:00", True),
        ({"from": "2026-12-24T00:00", "until": "2026-12-27T00:00"}, "2026-12-27T00:00", False),
        ({"from": "2026-12-24T01:00+01:00", "until": "2026-12-27T00:00Z"}, "2026-12-24T00:00", True),
        ({"days": ["fri"], "from": "17:00", "until": "23:59"}, "2026-11-20T18:00", True),
        ({"days": ["fri"], "from": "17:00", "until": "23:59"}, "2026-11-21T18:00", False),
        ({"days": ["fri"], "from": "17:00", "until": "06:00"}, "2026-11-21T05:59", True),
        ({"days": ["fri"], "from": "17:00", "until": "06:00"}, "2026-11-20T05:59", False),
        ({"from": "9:00", "until": "10:00"}, "2026-11-20T09:30", True),
    ],
)
def test_freeze_windows(window, moment, holds) -> None:
    assert bool(approve.frozen([window], at(moment))) is holds


@pytest.mark.parametrize("window", [{}, {"from": "17:00"}, {"from": "x-y", "until": "z"}, {"days": ["someday"], "from": "1:00", "until": "2:00"}])
def test_a_window_that_cannot_be_read_freezes_nothing_silently(window) -> None:
    with pytest.raises(StackError, match="freeze_windows"):
        approve.frozen([window], at("2026-11-20T18:00"))


# What the catalogue and the code know of each other ---------------------------------------------------------------------


RULES = [(name, rule) for name, entry in sorted(knowledge.catalogue().items()) for rule in entry.get("remedies") or []]


@pytest.mark.parametrize(("finding", "rule"), RULES, ids=[name for name, _rule in RULES])
def test_every_remedy_of_the_catalogue_exists(finding, rule) -> None:
    assert set(rule) <= {"remedy", "on", "with", "where"}
    assert rule["remedy"] in {**REMEDIES, **ON_KUBERNETES}, "%s names a remedy that does not exist" % finding


@pytest.mark.parametrize("name", sorted({**REMEDIES, **ON_KUBERNETES}))
def test_every_remedy_has_its_words(name) -> None:
    for platform in ("", "compose", "kubernetes"):
        words = knowledge.remedy_words(name, platform)
        assert set(words) == {"title", "interrupts", "undo"}
        assert all(set(texts) == {"en", "zh-TW"} for texts in words.values())


def test_a_platform_may_have_words_of_its_own() -> None:
    told = [knowledge.remedy_words("component_recreate", platform)["undo"]["en"] for platform in ("compose", "kubernetes")]
    assert told == ["It is made anew with the values that it had.", "Nothing is changed that could be put back."]
