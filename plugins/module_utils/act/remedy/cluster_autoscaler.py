# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Autoscalers: between which numbers of copies they may choose, and what they forbid others."""

from __future__ import annotations

import math
from typing import Any, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.act import cluster_room
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import DISRUPTIVE, SAFE, Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.cluster import ClusterObject
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.object import ObjectRemedy, Wish, copied, is_part
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.act.workload import Target
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import listed
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_owners import managers

GROW = "grow"
KIND = "HorizontalPodAutoscaler"
MOST_COPIES = 1000
# An autoscaler's controller looks every 15 seconds.
FOLLOWED_SECONDS = 60.0


class AutoscalerBounds(ObjectRemedy):
    """Gives an autoscaler another minimum or maximum. params: min, max (numbers; max also "grow"), autoscaler (its name, where the component has several)."""

    name = "autoscaler_bounds"

    def target(self, stage: Stage, step: Step) -> ClusterObject:
        one = the_scaler(stage, step.component, str(step.params.get("autoscaler") or ""))
        place = one["metadata"]
        path = "/apis/autoscaling/v2/namespaces/%s/horizontalpodautoscalers/%s" % (place["namespace"], place["name"])
        return ClusterObject(stage.platform.cluster, KIND, path)

    def wish(self, stage: Stage, step: Step, target: ClusterObject) -> Wish:
        owner = keda_of(target.object)
        if owner:
            raise Refused(
                "%s belongs to KEDA, which would take the change back" % target,
                fix="change minReplicaCount and maxReplicaCount of the %s" % owner,
                kind="owned",
            )
        spec = target.object["spec"]
        old = bounds_of(spec)
        least, most = bounds(step.params, old)
        if most == GROW:
            most = self._grown(stage, target, old[1])
        if least > most:
            raise Refused("a minimum of %d is more than the maximum of %d" % (least, most), fix="give both", kind="bad_option")
        made = copied(target.object)
        if least != old[0]:
            made["spec"]["minReplicas"] = least
        made["spec"]["maxReplicas"] = most
        component = step.component if is_part(stage, step.component) else ""
        now = int((target.object.get("status") or {}).get("currentReplicas") or 0)
        return Wish(
            made,
            # Copies above a smaller maximum end.
            DISRUPTIVE if most < now else SAFE,
            touches=[component] if component else [],
            texts={"autoscaler": target.name, "min": least, "max": most},
        )

    @staticmethod
    def _grown(stage: Stage, target: ClusterObject, old: int) -> int:
        """The next maximum: half as many copies again, as far as nodes and quotas have room for them."""
        ref = target.object["spec"]["scaleTargetRef"]
        work = next(
            (one for one in stage.platform.workloads.values() if (one.kind, one.namespace, one.name) == (ref["kind"], target.namespace, ref["name"])), None
        )
        if work is None or not work.template:
            raise Refused("what %s scales is not of this stack" % target, fix="give the maximum")
        more = max(1, math.ceil(old / 2))
        room = min(more, node_room(stage, work.template))
        if not room:
            raise Refused("the nodes have no room for one more pod of %s" % work.name, fix="add a node, or let each copy ask for less")
        quotas = [one for one in listed(stage.platform.objects, "resourcequotas") if one["metadata"]["namespace"] == target.namespace]
        room = within_quota(quotas, work.template, room)
        return old + room

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        target = self.target(stage, step)
        least, most = preview.texts["min"], preview.texts["max"]

        def problem() -> str:
            status = target.read().get("status") or {}
            wanted = int(status.get("desiredReplicas") or 0)
            asleep = any(one["type"] == "ScalingActive" and one.get("reason") == "ScalingDisabled" for one in status.get("conditions") or [])
            return "" if asleep or least <= wanted <= most else "%s wants %d copies still" % (target, wanted)

        return stage.wait(problem, FOLLOWED_SECONDS, 2.0)


def scalers_of(stage: Stage, kind: str, namespace: str, name: str) -> list[dict[str, Any]]:
    """The autoscalers of a workload; a StackError where they cannot be seen."""
    why = why_unseen(stage.platform.objects.get("horizontalpodautoscalers"))
    if why:
        raise StackError("whether an autoscaler looks after %s/%s cannot be seen: %s" % (kind.lower(), name, why["reason"]), kind=why["kind"], fix=why["fix"])
    return _seen_of(stage, kind, namespace, name)


def _seen_of(stage: Stage, kind: str, namespace: str, name: str) -> list[dict[str, Any]]:
    return [
        one
        for one in listed(stage.platform.objects, "horizontalpodautoscalers")
        if one["metadata"]["namespace"] == namespace and [(one["spec"].get("scaleTargetRef") or {}).get(key) for key in ("kind", "name")] == [kind, name]
    ]


def bounds_of(spec: dict[str, Any]) -> tuple[int, int]:
    """(the least, the most copies) that an autoscaler may choose."""
    return 1 if spec.get("minReplicas") is None else int(spec["minReplicas"]), int(spec["maxReplicas"])


def the_scaler(stage: Stage, component: str, name: str) -> dict[str, Any]:
    """The one autoscaler that is meant."""
    if is_part(stage, component):
        target = Target(stage, component)
        found = scalers_of(stage, target.kind, target.namespace, target.name)
    else:
        # One whose target is not there is told by its own name.
        found = [one for one in listed(stage.platform.objects, "horizontalpodautoscalers") if component == "autoscaler/" + one["metadata"]["name"]]
    found = [one for one in found if name in ("", one["metadata"]["name"])]
    if len(found) != 1:
        names = ", ".join(sorted(one["metadata"]["name"] for one in found))
        raise Refused(
            "%s has %s" % (component, "the autoscalers %s: which is meant is not clear" % names if found else "no autoscaler%s" % (" " + name if name else "")),
            fix="name one of them" if found else "make one: kubectl autoscale",
            kind="bad_option",
        )
    return found[0]


def keda_of(scaler: dict[str, Any]) -> str:
    """The ScaledObject that an autoscaler belongs to ("ScaledObject/api"); "" where to none. Pure."""
    meta = scaler["metadata"]
    owner = next((one["name"] for one in managers(meta) if one["tool"] == "KEDA"), "")
    return owner or ("ScaledObject/%s" % meta["name"][len("keda-hpa-") :] if meta["name"].startswith("keda-hpa-") else "")


def refuse_scaled(stage: Stage, target: Target) -> None:
    """Refused where somebody else decides how many copies there are, with what to change instead."""
    for one in scalers_of(stage, target.kind, target.namespace, target.name):
        owner = keda_of(one)
        if owner:
            raise Refused(
                "KEDA decides how many copies of %s there are" % target, fix="change minReplicaCount and maxReplicaCount of the %s" % owner, kind="owned"
            )
        raise Refused(
            "the autoscaler %s decides how many copies of %s there are" % (one["metadata"]["name"], target),
            fix="change its bounds: autoscaler_bounds",
            kind="owned",
        )


def may_have_chosen(stage: Stage, target: Target) -> bool:
    """Whether the number of copies of a workload is one that an autoscaler of it may choose."""
    found = [bounds_of(one["spec"]) for one in _seen_of(stage, target.kind, target.namespace, target.name)]
    return any(least <= target.replicas <= most for least, most in found)


def blinded(stage: Stage, target: Target, template: dict[str, Any]) -> list[tuple[str, str]]:
    """(autoscaler, resource) for each that could not reckon with this template: a container has no request that its percentage is one of."""
    found = []
    for one in listed(stage.platform.objects, "horizontalpodautoscalers"):
        ref = one["spec"].get("scaleTargetRef") or {}
        if (ref.get("kind"), one["metadata"]["namespace"], ref.get("name")) != (target.kind, target.namespace, target.name):
            continue
        for metric in one["spec"].get("metrics") or []:
            resource = metric.get("resource") or {}
            percent = (resource.get("target") or {}).get("averageUtilization") is not None
            lacking = [container for container in template["spec"]["containers"] if resource.get("name") not in cluster_room.amounts(container, "requests")]
            if percent and lacking:
                found.append((one["metadata"]["name"], resource["name"]))
    return found


def bounds(params: dict[str, Any], old: tuple[int, int]) -> tuple[int, Any]:
    """(minimum, maximum or "grow") as they are to be; Refused where they make no sense. Pure."""
    if params.get("min") is None and params.get("max") is None:
        raise Refused("nothing says what is to be changed", fix="give min or max", kind="bad_option")
    found: list[Any] = []
    for key, before in (("min", old[0]), ("max", old[1])):
        value = params.get(key)
        if value is None or (key == "max" and value == GROW):
            found.append(before if value is None else GROW)
            continue
        try:
            number = int(value)
        except (TypeError, ValueError):
            number = -1
        if isinstance(value, bool) or not (0 if key == "min" and not old[0] else 1) <= number <= MOST_COPIES:
            raise Refused("%s is not a number from 1 to %d" % (key, MOST_COPIES), kind="bad_option")
        found.append(number)
    return found[0], found[1]


def node_room(stage: Stage, template: dict[str, Any]) -> int:
    """How many more pods of this template the nodes take; Refused where that cannot be seen."""
    nodes = listed(stage.platform.objects, "nodes")
    if not nodes:
        raise Refused("how much room the nodes have cannot be seen", fix="give the maximum, or grant get and list on nodes")
    try:
        pods = stage.platform.cluster.every("/api/v1/pods", {"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"}, asking)
    except StackError as error:
        if error.kind != "denied":
            raise
        raise Refused("how much room the nodes have cannot be seen: %s" % error.message, fix="give the maximum, or %s" % error.details.get("fix", "")) from None
    return cluster_room.fits(nodes, pods, template)


def asking(pod: dict[str, Any]) -> dict[str, Any]:
    """What of a pod counts for the room on its node."""
    spec = pod["spec"]
    kept = {key: [{"resources": one.get("resources")} for one in spec.get(key) or []] for key in ("containers", "initContainers")}
    return {"spec": {**kept, "nodeName": spec.get("nodeName")}, "status": {"phase": (pod.get("status") or {}).get("phase")}}


def within_quota(quotas: Iterable[dict[str, Any]], template: dict[str, Any], wanted: int) -> int:
    """How many of so many more pods the quotas have room for; Refused where for none. Pure."""
    quotas, full = list(quotas), ""
    for number in range(wanted, 0, -1):
        asked = {"pods": float(number)}
        for what in ("requests", "limits"):
            asked.update({"%s.%s" % (what, name): amount * number for name, amount in cluster_room.total(template, what).items()})
        full = cluster_room.over_quota(quotas, asked)
        if not full:
            return number
    raise Refused(full, fix="raise the quota, or let each copy ask for less")
