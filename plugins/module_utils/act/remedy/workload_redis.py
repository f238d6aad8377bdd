# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Redis on a cluster whose password is not its clients' any more: its pods are made anew, where their data outlive them."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.redis import RedisPassword, Start, saved_in
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.act.versions import present_version
from ansible_collections.aiops.runbook.plugins.module_utils.act.workload import Target, marked, now
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance

# Volumes that are the same for the next pod, on whatever node that is.
LASTING = ("persistentVolumeClaim", "nfs", "cephfs", "rbd", "iscsi")


class WorkloadPassword(RedisPassword):
    """The same by a rollout restart. What is not on a volume that outlives the pod is lost by it, and counts as lost."""

    def _meant(self, stage: Stage, component: str, copies: list[Instance]) -> tuple[list[str], dict[str, Any]]:
        target = Target(stage, component)
        target.refuse_owned()
        target.refuse_idle()
        present = present_version(target, target.revisions())
        if present is None or {one.revision for one in copies} - {present.name, present.name.rpartition("-")[2]}:
            raise Refused(
                "pods of %s are of another version than its template: a restart would bring that one" % target,
                fix="let the rollout come to its end, or go back: stack_rollback",
            )
        return ["pods of %s" % target], target.identity()

    def _restart(self, stage: Stage, step: Step, preview: Preview) -> None:
        target = Target(stage, step.component)
        target.change(marked(target.template, now()), preview.target["version"])
        # It may not be ready just for its password.
        target.drop_stuck()
        problem = target.wait_rolled_out(stage)
        if problem:
            raise StackError(problem, kind="not_verified")

    def _stands(self, stage: Stage, component: str) -> str:
        return Target(stage, component).wait_rolled_out(stage)

    def _danger(self, stage: Stage, component: str, instance: Instance, start: Start) -> str:
        target = Target(stage, component)
        lost = volume_danger(saved_in(start, instance), instance.mounts, target.kind, target.object["spec"])
        return super()._danger(stage, component, instance, start) or lost


# Pure.


def volume_danger(folder: str, mounts: Iterable[Mapping[str, str]], kind_of: str, spec: Mapping[str, Any]) -> str:
    """Why what was saved may not be there for the next pod of a workload of this kind; "" when it is."""
    over = [mount for mount in mounts if (folder.rstrip("/") + "/").startswith(mount["target"].rstrip("/") + "/")]
    kind = max(over, key=lambda mount: len(mount["target"]))["kind"] if over else ""
    if kind not in LASTING:
        return "its data (%s) are on no volume that outlives its pod" % folder
    strategy = (spec.get("strategy") or {}).get("type") or "RollingUpdate"
    if kind_of == "Deployment" and strategy != "Recreate":
        return "its next pod starts before the present one has saved (strategy %s)" % strategy
    return ""
