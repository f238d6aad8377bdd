# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Limits and requests of a component's containers on Kubernetes, within what nodes, quotas and LimitRanges allow."""

from __future__ import annotations

import time
from operator import itemgetter
from typing import Any, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act import cluster_room, room
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.object import TemplateRemedy, Wish, copied
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.resources import GROW, KILLED_SECONDS, SHORT_PERCENT, grown
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.act.versions import to_go_back_to
from ansible_collections.aiops.runbook.plugins.module_utils.act.workload import Target
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import listed
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import read_quantity

USAGE = "usage"
LEAST_CPUS = 0.5
# The least that a pod is given for sure.
LEAST = {"cpu": 0.1, "memory": float(64 * room.MIB)}
# Of what is used now, so much more is asked for; in steps that a moment's figure seldom crosses.
HEADROOM = 1.5
MEASURED = ("cpu", "memory")


class WorkloadResources(TemplateRemedy):
    """Gives containers of a component other limits or requests.

    params: memory, cpus: the limits (bytes, cores, or "grow"); requests: {"memory", "cpu"} (bytes, cores, or "usage": of what is used now);
    containers: those that are meant, else the component's own.
    """

    name = "component_resources"

    def wish(self, stage: Stage, step: Step, target: Target) -> Wish:
        asked = checked(step.params)
        made = copied(target.object)
        template = made["spec"]["template"]
        for name in step.params.get("containers") or [""]:
            container = target.container(str(name), template)
            self._limit(stage, step, target, container, asked)
            self._request(stage, target, container, asked["requests"])
            bounded(stage, target, container)
        more = cluster_room.growth(target.object, target.template, template)
        full = cluster_room.over_quota(of_namespace(stage, "resourcequotas", target.namespace), more)
        if full:
            raise Refused(full, fix="raise the quota, or ask for less")
        return Wish(made, stage.restart_risk(step.component), touches=[step.component])

    @staticmethod
    def _limit(stage: Stage, step: Step, target: Target, container: dict[str, Any], asked: Mapping[str, Any]) -> None:
        """Write the limits that are asked for into a container."""
        for key, resource in (("memory", "memory"), ("cpus", "cpu")):
            wanted = asked.get(key)
            if wanted is None:
                continue
            old = cluster_room.amounts(container, "limits").get(resource, 0.0)
            if wanted == GROW:
                old = old or given(target.pods, container["name"], resource)
                if not old:
                    raise Refused(
                        "container %s of %s has no limit of %s that could grow" % (container["name"], target, resource),
                        fix="see what else uses the node, or give it a limit",
                    )
                grow = next_memory if resource == "memory" else next_cpus
                wanted = grow(stage, step, target, container["name"], old)
            elif resource == "memory" and container["name"] == target.container()["name"]:
                refuse_too_small(stage, step.component, int(wanted))
            if wanted == old:
                continue
            resources = container.setdefault("resources", {})
            requests = resources.get("requests") or {}
            # One whose request is its limit stays as sure of it as it was.
            if old and read_quantity(requests.get(resource)) == old:
                requests[resource] = cluster_room.quantity(resource, wanted)
            resources.setdefault("limits", {})[resource] = cluster_room.quantity(resource, wanted)

    @staticmethod
    def _request(stage: Stage, target: Target, container: dict[str, Any], requests: Mapping[str, Any]) -> None:
        for resource, wanted in requests.items():
            if wanted == USAGE:
                if resource in cluster_room.amounts(container, "requests"):
                    continue
                wanted = request_for(resource, used_by(stage, target, container["name"], resource), cluster_room.amounts(container, "limits").get(resource))
            resources = container.setdefault("resources", {})
            if read_quantity((resources.get("requests") or {}).get(resource)) != wanted:
                resources.setdefault("requests", {})[resource] = cluster_room.quantity(resource, wanted)


def of_namespace(stage: Stage, kind: str, namespace: str) -> list[dict[str, Any]]:
    """The objects of a kind in a namespace; [] where they could not be read."""
    return [one for one in listed(stage.platform.objects, kind) if one["metadata"].get("namespace", "") == namespace]


def bounded(stage: Stage, target: Target, container: dict[str, Any]) -> None:
    """Refused where a LimitRange forbids this container, where its request is above its limit, or where no node has so much."""
    wrong = cluster_room.out_of_range(of_namespace(stage, "limitranges", target.namespace), container)
    if wrong:
        raise Refused(wrong, fix="give an amount that it allows, or change the LimitRange")
    limits, requests = cluster_room.amounts(container, "limits"), cluster_room.amounts(container, "requests")
    for resource in MEASURED:
        if limits.get(resource) and requests.get(resource, 0.0) > limits[resource]:
            raise Refused(
                "container %s of %s asks for %s of %s, which is more than the limit %s"
                % (container["name"], target, cluster_room.said(resource, requests[resource]), resource, cluster_room.said(resource, limits[resource])),
                fix="change the request, too",
            )
        most = cluster_room.largest(listed(stage.platform.objects, "nodes"), resource)
        wanted = max(limits.get(resource, 0.0), requests.get(resource, 0.0))
        if most is not None and wanted > most:
            raise Refused(
                "no node has %s of %s: the largest has %s" % (cluster_room.said(resource, wanted), resource, cluster_room.said(resource, most)),
                fix="ask for less",
            )


def next_memory(stage: Stage, step: Step, target: Target, container: str, limit: float) -> float:
    """The next limit of memory where it is short of it; the present one where it is not and no finding says so."""
    if not step.finding and not is_short(stage, stage.instances(step.component)):
        return limit
    available, there = memory_left(stage, target)
    most = cluster_room.largest(listed(stage.platform.objects, "nodes"), "memory")
    return grown(int(max(limit, possible(earlier_limits(stage, target, container), "memory", most) / 2)), there, available)


def is_short(stage: Stage, copies: list[Instance]) -> bool:
    """Whether these very containers were killed for want of memory lately, or are near their limit."""
    if any(one.oom_killed for one in copies):
        return True
    for one in copies:
        if one.running and one.memory_limit and stage.platform.memory(one)["used"] * 100 >= SHORT_PERCENT * one.memory_limit:
            return True
    mine = {one.id[:12] for one in copies}
    return any(event["action"] == "oom" and event["instance"] in mine for event in stage.platform.events(time.time() - KILLED_SECONDS))


def next_cpus(stage: Stage, step: Step, target: Target, container: str, limit: float) -> float:
    """Twice as many cores, half a one at least; no more than half of the largest node. The present limit where it is not short and no finding says so."""
    if not step.finding and used_by(stage, target, container, "cpu") * 100 < SHORT_PERCENT * limit:
        return limit
    most = cluster_room.largest(listed(stage.platform.objects, "nodes"), "cpu")
    if most is None:
        raise Refused("how many processors the nodes have cannot be seen", fix="give the limit in cores, or grant get and list on nodes")
    earlier = earlier_limits(stage, target, container)
    before = possible(earlier, "cpu", most)
    new = max(2 * limit, LEAST_CPUS, before)
    if earlier is not None and "cpu" not in earlier:
        new = max(new, most / 2)  # it had no limit before: how much it took then nobody knows
    # What has worked before is not too much.
    if new > max(most / 2, LEAST_CPUS, before):
        raise Refused(
            "the limit of %s would grow from %g to %g processors, and the largest node has %g: no more than half of it is given away"
            % (target, limit, new, most),
            fix="give the limit in cores, or run more copies: component_scale",
        )
    return new


def earlier_limits(stage: Stage, target: Target, container: str) -> dict[str, float] | None:
    """The limits that this container had in the version that would be gone back to; None where none is known."""
    try:
        return cluster_room.amounts(target.container(container, to_go_back_to(stage, target).template), "limits")
    except StackError:
        return None


def possible(limits: dict[str, float] | None, resource: str, most: float | None) -> float:
    """Of such limits the one of this resource; 0 where there is none, and where no node has so much (most; None: not known). Pure."""
    found = (limits or {}).get(resource, 0.0)
    return found if most is None or found <= most else 0.0


def memory_left(stage: Stage, target: Target) -> tuple[int | None, int]:
    """(bytes that the node with most of the pods has left, how many of them are there).

    As a program on that node sees it; where none can tell, what the pods of this stack have not asked for.
    """
    pods = [pod for work in stage.platform.workloads.values() for pod in work.pods]
    node, there = busiest(target.pods)
    nodes = {one["metadata"]["name"]: one for one in listed(stage.platform.objects, "nodes")}
    if not node:
        free = [cluster_room.allocatable(one, "memory") for one in nodes.values() if cluster_room.takes_pods(one)]
        return (int(max(free)) if free else None), 1
    on_it = {pod["metadata"]["name"] for pod in pods if pod["spec"].get("nodeName") == node}
    for one in stage.scene.running():
        found = room.host_memory(stage.platform, one) if one.name.split("/")[0] in on_it else {}
        if found.get("MemAvailable"):
            return found["MemAvailable"], there
    if node not in nodes:
        return None, there
    asked = sum(cluster_room.total(pod, "requests").get("memory", 0.0) for pod in pods if pod["spec"].get("nodeName") == node)
    return int(cluster_room.allocatable(nodes[node], "memory") - asked), there


def refuse_too_small(stage: Stage, component: str, memory: int) -> None:
    used = max((stage.platform.memory(one)["used"] for one in stage.instances(component) if one.running), default=0)
    if memory < used:
        raise Refused("%s uses %s now: it would be killed at once with %s" % (component, room.shown(used), room.shown(memory)), fix="ask for more than it uses")


def used_by(stage: Stage, target: Target, container: str, resource: str) -> float:
    """The most that a pod's container uses now, by the metrics API."""
    names = {pod["metadata"]["name"] for pod in target.pods}
    found = [
        read_quantity((one.get("usage") or {}).get(resource))
        for pod in of_namespace(stage, "podmetrics", target.namespace)
        if pod["metadata"]["name"] in names
        for one in pod.get("containers") or []
        if one["name"] == container
    ]
    if not found:
        raise Refused(
            "what %s uses of %s is not known: the metrics API tells nothing" % (container, resource), fix="give the request itself, or install metrics-server"
        )
    return max(found)


# Pure.


def given(pods: Iterable[dict[str, Any]], container: str, resource: str) -> float:
    """The limit that pods have without their template's saying so: a LimitRange gave it to them; 0 where they have none."""
    found = [cluster_room.amounts(one, "limits").get(resource, 0.0) for pod in pods for one in pod["spec"]["containers"] if one["name"] == container]
    return max(found, default=0.0)


def busiest(pods: Iterable[dict[str, Any]]) -> tuple[str, int]:
    """(the node that bears most of these pods, how many of them); ("", 0) where none is placed."""
    nodes = [str(pod["spec"].get("nodeName") or "") for pod in pods]
    counts = {node: nodes.count(node) for node in sorted({*nodes}) if node}
    return max(counts.items(), key=itemgetter(1), default=("", 0))


def checked(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as {"memory", "cpus", "requests": {…}}, those that are given; Refused where they make no sense."""
    if params.get("healthcheck"):
        raise Refused("on Kubernetes a component has probes instead of a health check", fix="use component_probes", kind="bad_option")
    found: dict[str, Any] = {"requests": {}}
    for key, least, word in (("memory", float(6 * room.MIB), GROW), ("cpus", 0.01, GROW)):
        if params.get(key) not in (None, ""):
            found[key] = _amount(params[key], key, least, word)
    for resource, value in (params.get("requests") or {}).items():
        if resource not in MEASURED:
            raise Refused("requests of %s are not set here: only cpu and memory" % resource, kind="bad_option")
        found["requests"][resource] = _amount(value, "requests.%s" % resource, 0.001, USAGE)
    if len(found) == 1 and not found["requests"]:
        raise Refused("nothing says what is to be set", fix="give memory, cpus or requests", kind="bad_option")
    return found


def _amount(value: Any, what: str, least: float, word: str) -> Any:
    if value == word:
        return word
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise Refused("%s is neither %s nor a number from %g on" % (what, word, least), kind="bad_option")
    return number


def request_for(resource: str, used: float, limit: float | None = None) -> float:
    """A request from what is used: half as much again, doubled from the least on until that is covered; never above the limit."""
    found = LEAST[resource]
    while found < used * HEADROOM:
        found *= 2
    return min(found, limit) if limit else found
