# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many copies of a component run, and whether its rollout goes on."""

from __future__ import annotations

from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.act import cluster_room
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import DISRUPTIVE, SAFE, Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.cluster_autoscaler import refuse_scaled
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.object import TemplateRemedy, Wish, copied
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload_resources import of_namespace
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.act.workload import Target, differences
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

# Beyond so many a number is a slip of the hand.
MOST_COPIES = 1000


class ComponentScale(TemplateRemedy):
    """Gives a component another number of copies. params: replicas."""

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

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        if self.target(stage, step).replicas != preview.texts["present"]:
            raise StackError("somebody else has scaled %s meanwhile" % step.component, kind="stale", fix="diagnose again")
        super().apply(stage, step, preview)


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

    def told(self, target: Any, changed: list[dict[str, Any]]) -> list[dict[str, str]]:  # type: ignore[override]
        return super().told(target, changed) + (held_back(target) if changed else [])


def held_back(target: Target) -> list[dict[str, str]]:
    """What of the pods was changed while the rollout was paused: the oldest version that still serves has none of it."""
    known = target.revisions()
    serving = [one for one in known if one.ready] or known[:1]
    return differences(serving[-1].template, target.template) if serving else []
