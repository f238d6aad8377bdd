# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remedies on a workload of a cluster: run it again, restart its rollout, roll it back to a version that worked."""

from __future__ import annotations

from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.act import cluster_room, difference
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import SAFE, Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.cluster_settings import same_settings
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.cluster_autoscaler import blinded, may_have_chosen
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.component import last_lines
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.object import refuse_another, refuse_unproven
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.act.versions import MEND, last_healthy, lost_sources, present_version
from ansible_collections.aiops.runbook.plugins.module_utils.act.workload import Revision, Target, bare, differences, marked, now, unmarked
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_workloads import images_of

# What a wrong setting brings about: a version with the same settings is no cure.
OF_SETTINGS = ("config.", "postgres.password_rejected", "redis.password_rejected")


class _OnWorkload:
    """What the remedies on a workload have in common: the evidence, and that a change has come about when its rollout is done."""

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        return {"logs": {step.component: last_lines(stage, step.component)}}

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        return Target(stage, step.component).wait_rolled_out(stage)


class WorkloadStart(_OnWorkload):
    """Run a workload again that was scaled to zero. params: replicas (1)."""

    name = "component_start"

    def preview(self, stage: Stage, step: Step) -> Preview:
        target = Target(stage, step.component)
        wanted = int(step.params.get("replicas") or 1)
        changed = target.replicas == 0
        if changed:
            target.refuse_owned()
            target.tried(_scale(wanted))
        return Preview(
            risk=SAFE,
            target=target.identity(),
            state=target.replicas,
            diff=[{"what": "replicas of %s" % target, "before": str(target.replicas), "after": str(wanted)}] if changed else [],
            undo={"component": step.component, "uid": target.uid, "replicas": target.replicas, "given": wanted},
            texts={"instances": [str(target)]},
            touches=[step.component] if changed else [],
            lasting=target.lasting(),
            changed=changed,
        )

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        target = Target(stage, step.component)
        if target.replicas != preview.state:
            raise StackError("somebody else has scaled %s meanwhile" % target, kind="stale", fix="diagnose again")
        target.change(_scale(int(step.params.get("replicas") or 1)), preview.target["version"])

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        """While its rollout is paused its copies are of an earlier version."""
        return Target(stage, step.component).wait_scaled(stage)

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        target = Target(stage, record["component"])
        refuse_another(target, record["uid"])
        if target.replicas == record["replicas"]:
            return
        # An autoscaler raises it to its minimum, and goes on from there.
        if target.replicas != record["given"] and not may_have_chosen(stage, target):
            raise StackError(
                "somebody else has scaled %s since" % target, kind="not_undone", fix="if it is to be as before, scale it to %d" % record["replicas"]
            )
        refuse_unproven(target, record, [{"at": ["spec", "replicas"], "before": record["replicas"], "after": record["given"]}])
        target.change(_scale(record["replicas"]), target.version)


class WorkloadRestart(_OnWorkload):
    """New pods of the same version, one after another, as kubectl rollout restart makes them."""

    name = "component_restart"

    def preview(self, stage: Stage, step: Step) -> Preview:
        target = Target(stage, step.component)
        target.refuse_owned()
        target.refuse_idle()
        if not target.replicas:
            raise Refused("%s is scaled to zero: there is nothing to restart" % target, fix="start it: component_start")
        return Preview(
            risk=stage.restart_risk(step.component),
            target=target.identity(),
            state=target.version,
            diff=[{"what": "pods of %s" % target, "before": "running", "after": "restarted"}],
            undo={},
            texts={"instances": [str(target)]},
            touches=[step.component],
        )

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        target = Target(stage, step.component)
        target.change(marked(target.template, now()), preview.target["version"])

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        """Nothing was changed that could be put back."""


class StackRollback(_OnWorkload):
    """Give a workload the pod template of an earlier version, its annotations included; what else it has stays. params: revision (the last healthy one)."""

    name = "stack_rollback"

    def preview(self, stage: Stage, step: Step) -> Preview:
        target = Target(stage, step.component)
        now, wanted = self._versions(stage, step, target, step.params.get("revision"))
        diff = differences(target.template, wanted.template)
        given = wanted.template
        if diff:
            target.refuse_owned()
            target.refuse_idle()
            self._refuse_pointless(stage, step, target, wanted)
            given = target.tried(_template(wanted.template))["spec"]["template"]
        return Preview(
            risk=stage.restart_risk(step.component),
            target={**target.identity(), "revision": wanted.number},
            state=[target.version, wanted.number],
            diff=diff,
            undo={"component": step.component, "uid": target.uid, "template": bare(target.template), "given": bare(given)},
            texts={"revision": wanted.number, "present": now.number if now else "?", "workload": str(target)},
            touches=[step.component] if diff else [],
            lasting=(target.lasting() + self._lasting(stage, target, wanted)) if diff else [],
            changed=bool(diff),
        )

    @staticmethod
    def _versions(stage: Stage, step: Step, target: Target, asked: Any) -> tuple[Revision | None, Revision]:
        """(the present version, the one to go back to); Refused where none is known or going back is pointless."""
        known = target.revisions()
        now = present_version(target, known)
        if not asked:
            return now, last_healthy(stage, step, target)
        named = next((one for one in known if one.number == int(asked)), None)
        if named is None:
            raise Refused("%s has no revision %s: there are %s" % (target, asked, ", ".join(str(one.number) for one in known) or "none"), kind="bad_option")
        return now, named

    @staticmethod
    def _refuse_pointless(stage: Stage, step: Step, target: Target, wanted: Revision) -> None:
        lost = lost_sources(stage, target, wanted.template)
        if lost:
            raise Refused("revision %d of %s needs %s, which is not there any more" % (wanted.number, target, ", ".join(lost)), fix="make it again first")
        if step.finding.startswith(OF_SETTINGS) and same_settings(stage, target, wanted.template):
            raise Refused("revision %d of %s gives it the same settings: going back corrects none" % (wanted.number, target), fix=MEND)
        if step.finding.startswith("image.") and images_of(target.template) == images_of(wanted.template):
            raise Refused("revision %d of %s has the same images: going back would pull them again" % (wanted.number, target), fix=MEND)

        if step.finding.startswith("container.oom_killed") and not roomier(target.container(), wanted.template):
            raise Refused(
                "revision %d of %s has the same program and no more memory: going back would not help it" % (wanted.number, target),
                fix="give it more memory: component_resources",
            )

    @staticmethod
    def _lasting(stage: Stage, target: Target, wanted: Revision) -> list[str]:
        found = ["the source from which %s was deployed still has the version that was rolled back" % target]
        for name, resource in blinded(stage, target, wanted.template):
            found.append("revision %d has no request of %s: the autoscaler %s cannot reckon with it" % (wanted.number, resource, name))
        return found

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        target = Target(stage, step.component)
        _now, wanted = self._versions(stage, step, target, preview.texts["revision"])
        target.change(_template(wanted.template), preview.target["version"])
        target.drop_stuck()

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        target = Target(stage, record["component"])
        refuse_another(target, record["uid"])
        if bare(target.template) == bare(record["template"]):
            return
        # A restart by somebody else is no other version.
        if unmarked(target.template) != unmarked(record["given"]):
            raise StackError(
                "%s was changed by somebody else since" % target,
                kind="not_undone",
                fix="see what it was changed to: kubectl -n %s rollout history %s" % (target.namespace, target),
            )
        before, after = ({"spec": {"template": record[side]}} for side in ("template", "given"))
        refuse_unproven(target, record, difference.places(before, after))
        target.change(_template(record["template"]), target.version)
        target.drop_stuck()


def roomier(container: dict[str, Any], earlier: dict[str, Any]) -> bool:
    """Whether an earlier pod template could keep this container from running out of memory: it gives it more, or another program or start of it. Pure."""
    before = next((one for one in earlier["spec"]["containers"] if one["name"] == container["name"]), None)
    if before is None or any(before.get(key) != container.get(key) for key in ("image", "command", "args", "env", "envFrom")):
        return True
    old, new = (cluster_room.amounts(one, "limits").get("memory", 0.0) for one in (container, before))
    return bool(old) and (not new or new > old)


def _scale(replicas: int) -> list[dict[str, Any]]:
    return [{"op": "add", "path": "/spec/replicas", "value": replicas}]


def _template(template: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"op": "replace", "path": "/spec/template", "value": template}]
