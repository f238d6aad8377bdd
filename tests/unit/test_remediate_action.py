# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's half of acting: what of a plan is ordered, with which reasons, and what a refusal leaves for the report."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest
from samples_report import plan, step

from ansible_collections.aiops.runbook.plugins.action.stack_remediate import ActionModule, _refused
from ansible_collections.aiops.runbook.plugins.module_utils.act.door import ACT_SPEC, APPROVAL_SPEC
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.plugin_utils import jobs
from ansible_collections.aiops.runbook.plugins.plugin_utils.plan import digest_of

ALWAYS = [{"from": "2000-01-01T00:00", "until": "2100-01-01T00:00", "reason": "year-end closing"}]


class FakeJobs:
    """Takes orders; answers previews from {number: preview or refusal}."""

    def __init__(self, previews=None) -> None:
        self.previews, self.order, self.entries, self.previewed = previews or {}, None, [], []

    def preview(self, steps):
        self.previewed.append([one["number"] for one in steps])
        return {"steps": [{"number": one["number"], **self.previews[one["number"]]} for one in steps]}

    def apply(self, order, steps):
        self.order, self.entries = order, steps
        return {"result": "held", "run": "R1", "steps": [{**one, "result": "done"} for one in steps], "changed": True}


@pytest.fixture
def action():
    found = ActionModule.__new__(ActionModule)
    found._task = SimpleNamespace(check_mode=False)
    return found


def args(tmp_path, *steps, **given):
    """Options with a plan of these steps: approved, or (auto_approve) as the diagnosis of a moment ago."""
    made = plan(*steps, lang="en", expires_at=time.time() + 60)
    made["digest"] = digest_of(made)
    options = {name: option.get("default") for name, option in {**ACT_SPEC, **APPROVAL_SPEC}.items()}
    path = tmp_path / "plan.json"
    if given.get("auto_approve"):
        path.write_text(json.dumps({"plan": made}))
        return {**options, "stack": "shop", "report_file": str(path), **given}
    path.write_text(json.dumps(made))
    return {**options, "stack": "shop", "plan": str(path), "approve": made["digest"], **given}


@pytest.mark.parametrize(("risk", "told"), [("destructive", "a copy lies in the safe"), ("safe", None)])
def test_the_reason_to_do_without_a_backup_goes_along_and_is_recorded(action, tmp_path, risk, told) -> None:
    jobs = FakeJobs()
    record = action._apply(jobs, args(tmp_path, step(risk=risk), backup_waiver="a copy lies in the safe"))
    assert jobs.order["backup_waiver"] == "a copy lies in the safe" and record.get("backup_waiver") == told


def test_without_a_reason_none_goes_along(action, tmp_path) -> None:
    jobs = FakeJobs()
    record = action._apply(jobs, args(tmp_path, step(risk="destructive")))
    assert jobs.order["backup_waiver"] == "" and "backup_waiver" not in record and "freeze_override" not in record


def test_a_freeze_window_needs_a_reason_and_an_approved_plan(action, tmp_path) -> None:
    jobs = FakeJobs()
    for given in ({}, {"auto_approve": ["disruptive"], "freeze_override": "no"}):
        with pytest.raises(StackError, match="year-end closing") as caught:
            action._apply(jobs, args(tmp_path, step(), freeze_windows=ALWAYS, **given))
        assert caught.value.kind == "frozen" and jobs.order is None
    assert action._apply(jobs, args(tmp_path, step(), freeze_windows=ALWAYS, freeze_override="it is down"))["freeze_override"] == "it is down"
    assert "freeze_override" not in action._apply(jobs, args(tmp_path, step(), freeze_override="not needed"))


def preview(risk="disruptive", token="anew"):
    return {"preview": {"risk": risk}, "token": token}


@pytest.mark.parametrize(
    ("risks", "previews", "previewed", "done"),
    [
        (["disruptive", "disruptive"], {}, [], [(1, "old"), (2, "old")]),
        # What comes before it is done as planned.
        (["disruptive", "transient"], {}, [], [(1, "old")]),
        # Without the step before it, it is another one.
        (["transient", "disruptive"], {2: preview()}, [[2]], [(2, "anew")]),
        (["transient", "disruptive", "disruptive"], {2: preview(), 3: preview("transient")}, [[2, 3]], [(2, "anew")]),
        (["transient", "disruptive"], {2: {"refused": "no room", "fix": ""}}, [[2]], [(2, "old")]),
    ],
)
def test_what_may_run_by_itself_rests_on_nothing_that_may_not(action, tmp_path, risks, previews, previewed, done) -> None:
    jobs = FakeJobs(previews)
    steps = [step(number=number, risk=risk, token="old") for number, risk in enumerate(risks, 1)]
    action._apply(jobs, args(tmp_path, *steps, auto_approve=["disruptive"]))
    assert jobs.previewed == previewed and [(one["number"], one["token"]) for one in jobs.entries] == done


def test_a_refusal_leaves_a_record() -> None:
    error = StackError("the stack has gone on", kind="stale", fix="diagnose again", settled=[{"run": "R0", "by": "lee", "result": "undone"}])
    record = _refused(error, {"state": "applied", "approve": "abc"}, "kim", time.time())["record"]
    assert {key: record[key] for key in ("result", "reason", "kind", "fix", "by", "digest", "approved", "run", "steps")} == {
        "result": "refused",
        "reason": "the stack has gone on",
        "kind": "stale",
        "fix": "diagnose again",
        "by": "kim",
        "digest": "abc",
        "approved": "",
        "run": None,
        "steps": [],
    }
    assert record["settled"][0]["run"] == "R0"
    assert _refused(StackError("no such run"), {"state": "undone", "approve": None}, "kim", 0.0)["record"]["approved"] == "undo"


def test_where_nobody_knows_what_was_done_nothing_is_claimed() -> None:
    assert _refused(StackError("MODULE FAILURE", kind="crashed"), {"state": "applied", "approve": "abc"}, "kim", 0.0) == {}


def test_a_command_to_type_shows_no_account(monkeypatch):
    monkeypatch.setattr(
        jobs.context, "CLIARGS", {"extra_vars": ["http_url=https://u:Zx9-planted@shop.example/", "target=shop", "diagnose_redis_password=Zx9-planted"]}
    )
    assert jobs.command("remediate", "shop") == "ansible-playbook aiops.runbook.remediate -e 'http_url=https://u:***@shop.example/' -e target=shop"
