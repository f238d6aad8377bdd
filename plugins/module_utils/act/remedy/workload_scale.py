# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many copies of a component run, and whether its rollout goes on."""

from __future__ import annotations

from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.act import cluster_room
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import DISRUPTIVE, SAFE, Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.cluster_autoscaler import refuse_scaled
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.object import (
    ObjectRemedy,
    TemplateRemedy,
    Wish,
    copied,
    put_back,
    refuse_another,
    refuse_unproven,
)
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload_resources import of_namespace
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.act.workload import Revision, Target, bare, differences, unmarked
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

# Beyond so many a number is a slip of the hand.
MOST_COPIES = 1000


class ComponentScale(ObjectRemedy):
    """Gives a component another number of copies, of whatever version: its pod template and its rollout stay as they are. params: replicas."""

    name = "component_scale"

    def target(self, stage: Stage, step: Step) -> Target:
        return Target(stage, step.component)

    def wish(self, stage: Stage, step: Step, target: Target) -> Wish:
        wanted = copies(step.params.get("replicas"))
        more = wanted - target.replicas
        if more:
            refuse_scaled(stage, target)
        asked = {"pods": float(more)}
        for what in ("requests", "limits"):
            asked.update({"%s.%s" % (what, name): amount * more for name, amount in cluster_room.total(target.template, what).items()})
        full = cluster_room.over_quota(of_namespace(stage, "resourcequotas", target.namespace), asked)
        if full:
            raise Refused(full, fix="raise the quota, or ask for fewer copies")
        made = copied(target.object)
        made["spec"]["replicas"] = wanted
        # What ends of a worker is gone; who grows disturbs nobody.
        risk = SAFE if more >= 0 else stage.restart_risk(step.component)
        return Wish(made, risk, touches=[step.component], texts={"replicas": wanted, "present": target.replicas}, state=target.replicas)

    def preview(self, stage: Stage, step: Step) -> Preview:
        found = super().preview(stage, step)
        if found.texts.get("replicas") == 0:
            found.brings = ["%s@%s" % (name, step.component) for name in ("container.not_running", "celery.no_worker")]
        return found

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        if self.target(stage, step).replicas != preview.texts["present"]:
            raise StackError("somebody else has scaled %s meanwhile" % step.component, kind="stale", fix="diagnose again")
        super().apply(stage, step, preview)

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        return self.target(stage, step).wait_scaled(stage, fewer=preview.texts["replicas"] < preview.texts["present"])


def copies(value: Any) -> int:
    """A number of copies; Refused where it is none."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if isinstance(value, bool) or not 0 <= number <= MOST_COPIES:
        raise Refused("replicas is not a number from 0 to %d" % MOST_COPIES, fix="give the number of copies", kind="bad_option")
    return number


class WorkloadResume(TemplateRemedy):
    """Lets a paused rollout go on: what was changed of its pods meanwhile takes effect."""

    name = "workload_resume"

    def target(self, stage: Stage, step: Step) -> Target:
        found = Target(stage, step.component)
        if found.kind != "Deployment":
            raise Refused("only the rollout of a Deployment can be paused: %s is none" % found, kind="bad_option")
        return found

    def wish(self, stage: Stage, step: Step, target: Target) -> Wish:
        made = copied(target.object)
        made["spec"].pop("paused", None)
        pending = held_back(target)
        # Nothing held back: nothing happens to the pods.
        risk = stage.restart_risk(step.component) if pending else DISRUPTIVE
        return Wish(made, risk, touches=[step.component], texts={"pending": [line["what"] for line in pending]}, state=pending)

    def preview(self, stage: Stage, step: Step) -> Preview:
        found = super().preview(stage, step)
        if found.changed:
            target = self.target(stage, step)
            one = present(target)
            if one is not None and one.template != bare(target.template):
                found.undo = {**(found.undo or {}), "held": bare(target.template), "served": one.template if one.ready else None}
        return found

    def told(self, target: Any, changed: list[dict[str, Any]]) -> list[dict[str, str]]:  # type: ignore[override]
        return super().told(target, changed) + (held_back(target) if changed else [])

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        """The pods get the version again that served before; then the rollout is paused, and holds back what it held back."""
        target = Target(stage, record["component"])
        if not record.get("held"):
            put_back(target, record)
            return
        refuse_another(target, record["uid"])
        held, served, paused = record["held"], record["served"], bool(target.object["spec"].get("paused"))
        if paused and same(target.template, held):
            return
        pause = "if it is to be as before, pause it: kubectl -n %s rollout pause %s" % (target.namespace, target)
        if paused or not any(one and same(target.template, one) for one in (held, served)):
            raise StackError("%s was changed by somebody else since" % target, kind="not_undone", fix=pause)
        refuse_unproven(target, record, record["places"])
        if not served:
            # Paused alone, a mixture of versions would stay.
            raise StackError("no version of %s served when it was let go on: its pods stay as they are" % target, kind="not_undone", fix=pause)
        if bare(target.template) != served:
            target.change([{"op": "replace", "path": "/spec/template", "value": served}], target.version)
        version = target.version
        problem = target.wait_rolled_out(stage)
        if problem:
            raise StackError("the version that served before does not: %s" % problem, kind="not_undone", fix="when it does, take the run back once more")
        # At once: a moment between the two would roll out what is to be held back.
        target.change([{"op": "add", "path": "/spec/paused", "value": True}, {"op": "replace", "path": "/spec/template", "value": held}], version)


def present(target: Target) -> Revision | None:
    """The version that the pods have while the rollout is paused: the oldest that still serves, else the newest; None where none is known."""
    known = target.revisions()
    serving = [one for one in known if one.ready] or known[:1]
    return serving[-1] if serving else None


def held_back(target: Target) -> list[dict[str, str]]:
    """What of the pods was changed while the rollout was paused: the version that they have has none of it."""
    one = present(target)
    return differences(one.template, target.template) if one is not None else []


def same(template: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two pod templates are of one version; a restart is no other one. Pure."""
    return unmarked(template) == unmarked(other)
