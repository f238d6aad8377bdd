# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A node that was cordoned takes pods again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import DISRUPTIVE, Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.cluster import ClusterObject
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.object import ObjectRemedy, Wish, copied, is_part, refuse_another, refuse_unproven
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage

# Who takes a node away for good, by the taint that says so.
TAKEN = {
    "ToBeDeletedByClusterAutoscaler": "the cluster autoscaler",
    "DeletionCandidateOfClusterAutoscaler": "the cluster autoscaler",
    "karpenter.sh/disrupted": "Karpenter",
    "karpenter.sh/disruption": "Karpenter",
    "node.cloudprovider.kubernetes.io/shutdown": "the cloud provider",
}
CORDON = "node.kubernetes.io/unschedulable"


class Node(ClusterObject):
    """A node of the cluster. Its labels and notes are written all the time: what is wanted of it is whether it takes pods."""

    @property
    def version(self) -> str:
        spec = self.object.get("spec") or {}
        taints = [one for one in spec.get("taints") or [] if one.get("key") != CORDON]
        kept = json.dumps([bool(spec.get("unschedulable")), taints], sort_keys=True)
        return hashlib.sha256(kept.encode("utf-8", "surrogateescape")).hexdigest()[:16]


class NodeUncordon(ObjectRemedy):
    """Lets a node take pods again. params: node. Never safe: somebody has cordoned it, for a reason that the cluster does not know."""

    name = "node_uncordon"

    def target(self, stage: Stage, step: Step) -> Node:
        name = str(step.params.get("node") or "")
        if not name:
            raise Refused("nothing says which node is meant", fix="give node", kind="bad_option")
        return Node(stage.platform.cluster, "Node", "/api/v1/nodes/" + name)

    def wish(self, stage: Stage, step: Step, target: Node) -> Wish:
        made = copied(target.object)
        if made["spec"].get("unschedulable"):
            why = kept_away(target.object)
            if why:
                raise Refused(why, fix="add a node, or wait until it is back")
            made["spec"].pop("unschedulable")
        touches = [step.component] if is_part(stage, step.component) else []
        return Wish(made, DISRUPTIVE, touches, {"node": target.name}, lasting=["who cordoned %s, and why, is not known here: tell them" % target])

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        return "%s does not take pods" % preview.texts["object"] if self.target(stage, step).object["spec"].get("unschedulable") else ""

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        node = Node(stage.platform.cluster, record["kind"], record["path"])
        refuse_another(node, record["uid"])
        if not node.object["spec"].get("unschedulable"):
            refuse_unproven(node, record, record["places"])
            node.change([{"op": "add", "path": "/spec/unschedulable", "value": True}], node.version)


def kept_away(node: dict[str, Any]) -> str:
    """Why a node should take no pods whatever its cordon says, in words; "" where nothing speaks against it. Pure."""
    name = node["metadata"]["name"]
    if node["metadata"].get("deletionTimestamp"):
        return "node %s is being deleted" % name
    for taint in (node.get("spec") or {}).get("taints") or []:
        if taint.get("key") in TAKEN:
            return "%s takes the node %s away (taint %s)" % (TAKEN[taint["key"]], name, taint["key"])
    ready = next((one["status"] for one in (node.get("status") or {}).get("conditions") or [] if one["type"] == "Ready"), "Unknown")
    return "" if ready == "True" else "node %s is not ready: no pod would run there" % name
