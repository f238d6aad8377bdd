# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Apply an approved plan, or take a run back; the approval is checked here, the acting is done where the stack lives."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import DESTRUCTIVE
from ansible_collections.aiops.runbook.plugins.module_utils.act.door import ACT_SPEC, APPROVAL_SPEC
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.plugin_utils.approve import allowed, check_plan, frozen
from ansible_collections.aiops.runbook.plugins.plugin_utils.jobs import Jobs, command, who
from ansible_collections.aiops.runbook.plugins.plugin_utils.plan import risks_of, worded
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.write import load


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _supports_check_mode = True
    _supports_diff = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validated, args = self.validate_argument_spec(
            {**ACT_SPEC, **APPROVAL_SPEC}, mutually_exclusive=[("plan", "report_file")], required_together=[("plan", "approve")]
        )
        args["stack"] = args["stack"] or task_vars.get("inventory_hostname", "")
        started = time.time()
        try:
            jobs = Jobs(self, args, task_vars)
            record = self._undo(jobs, args) if args["state"] == "undone" else self._apply(jobs, args)
        except StackError as error:
            return {**result, "failed": True, "changed": False, **error.as_failure(), **_refused(error, args, who(task_vars), started)}
        except AnsibleConnectionFailure as error:
            return {**result, "failed": True, "changed": False, "msg": "the stack's host cannot be reached: %s" % error.message}
        record = {"at": started, "by": jobs.by, "seconds": round(time.time() - started, 1), **record}
        steps = record.get("steps") or []
        return {
            **result,
            "changed": bool(record.pop("changed", False)),
            "record": record,
            "diff": [
                {"before": line["before"] + "\n", "after": line["after"] + "\n", "before_header": line["what"], "after_header": line["what"]}
                for step in steps
                for line in step.get("diff") or []
            ],
        }

    def _apply(self, jobs: Jobs, args: dict[str, Any]) -> dict[str, Any]:
        now = time.time()
        if args["plan"]:
            plan = check_plan(_read(args["plan"]), args["approve"], args["stack"], now)
            steps, approved, mode = plan["steps"], "digest %s" % plan["digest"], "approved"
        else:
            plan = load(args["report_file"]).get("plan") if args["report_file"] else None
            if not args["auto_approve"]:
                raise StackError(
                    "nothing is approved: give plan and approve (its digest), or let classes run by themselves by auto_approve",
                    kind="not_approved",
                    fix="ansible-playbook aiops.runbook.diagnose shows the plan and the command that approves it",
                )
            steps = self._allowed(jobs, (plan or {}).get("steps") or [], args["auto_approve"])
            approved, mode = "auto: %s" % ", ".join(args["auto_approve"]), "auto"
        # A run that died is settled also where there is nothing to cure.
        if not plan or not (steps or plan["unfinished"]):
            return {"result": "unchanged", "approved": approved, "run": None, "steps": [], "changed": False}
        why = frozen(args["freeze_windows"], now)
        if why and not (args["freeze_override"] and mode == "approved"):
            raise StackError(
                "nothing may be changed now: %s" % why, kind="frozen", fix="wait until it is over; an approved plan may go on with freeze_override: the reason"
            )
        if self._task.check_mode:
            return self._previewed(jobs, plan, steps, approved)
        order = {
            "digest": plan["digest"],
            "created_at": plan["created_at"],
            "identity": plan["identity"],
            "mode": mode,
            "auto_most_per_day": args["auto_most_per_day"],
            "backup_waiver": args["backup_waiver"] or "",
            "freeze_override": args["freeze_override"] or "",
        }
        titles = {step["number"]: step["title"] for step in steps}
        record = jobs.apply(order, steps)
        for step in record["steps"]:
            # One that the plan did not know is the start of what has ended meanwhile.
            step["title"] = titles.get(step["number"]) or worded(step, plan["lang"], plan["platform"])["title"]
        record["undo"] = command("undo", args["stack"], run=record["run"]) if record["run"] else ""
        reasons = {"freeze_override": why and args["freeze_override"], "backup_waiver": DESTRUCTIVE in risks_of(steps) and args["backup_waiver"]}
        return {**record, "digest": plan["digest"], "approved": approved, **{name: reason for name, reason in reasons.items() if reason}}

    @staticmethod
    def _allowed(jobs: Jobs, steps: list[dict[str, Any]], classes: list[str]) -> list[dict[str, Any]]:
        """Those of a plan's steps that may run by themselves."""
        kept = allowed(steps, classes)
        if kept == steps[: len(kept)]:
            return kept
        # The plan counts those before a step as done: without them it is another one, and may be of another class.
        found = {answer["number"]: answer for answer in jobs.preview(kept)["steps"]}
        anew = [{**step, "token": found[step["number"]].get("token") or step["token"]} for step in kept]
        return [step for step in anew if found[step["number"]].get("preview", step)["risk"] in classes]

    def _previewed(self, jobs: Jobs, plan: dict[str, Any], steps: list[dict[str, Any]], approved: str) -> dict[str, Any]:
        """What would be done, by the same code without the last step."""
        found = {answer["number"]: answer for answer in jobs.preview(steps)["steps"]}
        shown = []
        for step in steps:
            answer = found[step["number"]]
            entry = {key: step[key] for key in ("number", "remedy", "component", "finding", "title", "risk")}
            if "refused" in answer:
                raise StackError("step %d: %s" % (step["number"], answer["refused"]), kind="not_done", fix=answer["fix"])
            changed = answer["preview"]["changed"]
            if changed and answer["token"] != step["token"]:
                raise StackError("step %d: the stack is not as it was when the plan was made" % step["number"], kind="stale", fix="diagnose again")
            told = {key: answer["preview"][key] for key in ("diff", "touches")} if changed else {"diff": [], "touches": []}
            shown.append({**entry, **told, "result": "would be done" if changed else "unchanged"})
        return {"result": "unchanged", "digest": plan["digest"], "approved": approved, "run": None, "steps": shown,
                "changed": any(step["result"] == "would be done" for step in shown)}  # fmt: skip

    def _undo(self, jobs: Jobs, args: dict[str, Any]) -> dict[str, Any]:
        return {**jobs.undo(args["run"], self._task.check_mode), "approved": "undo"}


def _refused(error: StackError, args: Mapping[str, Any], by: str, started: float) -> dict[str, Any]:
    """The record of what was refused; none where it is not known whether anything was done."""
    if error.kind == "crashed":
        return {}
    record: dict[str, Any] = {
        "at": started,
        "by": by,
        "seconds": round(time.time() - started, 1),
        "approved": "undo" if args["state"] == "undone" else "",
        "digest": args["approve"] or "",
        "result": "refused",
        "reason": error.message,
        "kind": error.kind,
        "fix": error.details.get("fix", ""),
        "run": None,
        "steps": [],
        "settled": error.details.get("settled") or [],
    }
    return {"record": record}


def _read(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StackError("plan: %s cannot be read: %s" % (path, error), kind="bad_option") from error
