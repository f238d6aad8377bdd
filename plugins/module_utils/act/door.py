# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a task's options to a job of acting: the same on the controller and on a remote Docker host."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import RISKS, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.engine import Run, preview_steps
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.component import needed_by
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.observe.door import LIMITS_SPEC, STACK_SPEC
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Scene

# How to act (doc fragment: aiops.runbook.acting).
ACT_SPEC: dict[str, dict[str, Any]] = {
    **STACK_SPEC,
    **LIMITS_SPEC,
    "state_dir": {"type": "path"},
    "hold_seconds": {"type": "float", "default": 20.0},
    "lease_wait": {"type": "float", "default": 0.0},
    "by": {"type": "str", "default": ""},
}

# What is approved; the controller's half (the action plugin stack_remediate) reads it.
APPROVAL_SPEC: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["applied", "undone"], "default": "applied"},
    "plan": {"type": "path"},
    "approve": {"type": "str"},
    "report_file": {"type": "path"},
    "auto_approve": {"type": "list", "elements": "str", "default": []},
    "auto_most_per_day": {"type": "int", "default": 10},
    "freeze_windows": {"type": "list", "elements": "dict", "default": []},
    "freeze_override": {"type": "str"},
    "backup_waiver": {"type": "str"},
    "run": {"type": "str"},
}
# An engine that was upgraded or renamed is the same one.
MAY_DIFFER = ("engine_version", "engine_name")


def preview_plan(params: Mapping[str, Any], steps: list[dict[str, Any]], scene: Scene | None = None) -> dict[str, Any]:
    """{"steps": what each of these steps would do now, "identity": whose plan it is}.

    scene: the stack as it was just observed, where that happened in this process.
    """
    stage = Stage(params, scene)
    return {"steps": preview_steps(stage, steps), "identity": stage.platform.identity()}


def apply_plan(params: Mapping[str, Any], plan: dict[str, Any], entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Apply these entries of a plan (Run.apply)."""
    stage = Stage(params)
    identity = stage.platform.identity()
    differing = [key for key, value in (plan.get("identity") or {}).items() if key not in MAY_DIFFER and identity.get(key) != value]
    if differing:
        raise Refused(
            "the plan was made for another stack: its %s is not the one here" % ", ".join(differing),
            fix="diagnose this stack, and approve its own plan",
            kind="other_stack",
        )
    return _run(stage, params).apply(plan, entries)


def undo_run(params: Mapping[str, Any], name: str | None, check_mode: bool = False) -> dict[str, Any]:
    """Take back a run (Run.undo), or say what that would do (Run.would_undo)."""
    run = _run(Stage(params), params)
    return run.would_undo(name) if check_mode else run.undo(name)


def do_job(job: str, params: Mapping[str, Any], order: Mapping[str, Any], scene: Scene | None = None) -> dict[str, Any]:
    """What the controller asks of the stack's host: preview, apply or undo."""
    if job == "preview":
        return preview_plan(params, order["steps"], scene)
    if job == "apply":
        return apply_plan(params, order["plan"], order["entries"])
    return undo_run(params, order.get("run"), bool(order.get("check_mode")))


def apply_one(params: Mapping[str, Any], step: Step, check_mode: bool, stage: Stage | None = None) -> dict[str, Any]:
    """One remedy that a person asks for by its own module: {"changed", "preview", "record"?}. stage: where, when that is no stack."""
    return _apply_steps(params, [step], check_mode, stage or Stage(params))


def apply_with_needed(params: Mapping[str, Any], step: Step, check_mode: bool) -> dict[str, Any]:
    """As apply_one, after what the step's component needs and does not run was started, in order of dependency."""
    stage = Stage(params)
    needed = [Step("component_start", name) for name in needed_by(stage, step.component)]
    shown = preview_steps(stage, map(vars, needed))
    down = [one for one, answer in zip(needed, shown) if answer.get("preview", {"changed": True})["changed"]]
    return _apply_steps(params, [*down, step], check_mode, stage)


def _apply_steps(params: Mapping[str, Any], steps: list[Step], check_mode: bool, stage: Stage) -> dict[str, Any]:
    """Each in its turn; the preview is that of all of them."""
    entries = [{**vars(step), "number": number} for number, step in enumerate(steps, 1)]
    previews = []
    for shown in preview_steps(stage, entries):
        if "refused" in shown:
            raise Refused(shown["refused"], fix=shown["fix"])
        previews.append(shown["preview"])
    preview = together(previews)
    if check_mode or not preview["changed"]:
        return {"changed": preview["changed"], "preview": preview}
    # Nobody approved an earlier state: what it finds under the lease is what was asked for.
    record = _run(stage, params).apply({"digest": ""}, entries)
    return {"changed": record["changed"], "preview": preview, "record": record}


def together(previews: list[dict[str, Any]]) -> dict[str, Any]:
    """The previews of steps that follow one another as one: the texts are those of the last. Pure."""
    return {
        **previews[-1],
        "risk": max((preview["risk"] for preview in previews), key=RISKS.index),
        "changed": any(preview["changed"] for preview in previews),
        **{name: list(dict.fromkeys(entry for preview in previews for entry in preview[name])) for name in ("touches", "lasting")},
        "diff": [line for preview in previews for line in preview["diff"]],
    }


def _run(stage: Stage, params: Mapping[str, Any]) -> Run:
    return Run(stage, {"by": params.get("by") or "somebody"}, float(params.get("hold_seconds") or 0.0), float(params.get("lease_wait") or 0.0))
