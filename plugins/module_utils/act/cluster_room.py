# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a namespace and the nodes have room for: LimitRanges, quotas, allocatable resources. Pure, on the API's raw objects.

Amounts are in cores and bytes. What was not read bounds nothing: the server has the last word.
"""

from __future__ import annotations

import math
from typing import Any, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act.room import shown
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import read_quantity

Found = dict[str, Any]

# What a quota calls a request that is not called by its full name.
_SHORT = {"cpu": "requests.cpu", "memory": "requests.memory"}
# A quota with any other scope may not be about these pods.
_OF_ALL = {"NotTerminating", "NotBestEffort"}


def amounts(container: Found, what: str) -> dict[str, float]:
    """{resource: amount} of a container's requests or limits; a limit without a request counts as both."""
    resources = container.get("resources") or {}
    given = {**((resources.get("limits") or {}) if what == "requests" else {}), **(resources.get(what) or {})}
    return {name: read_quantity(value) for name, value in given.items()}


def total(template: Found, what: str) -> dict[str, float]:
    """What a pod of this template asks for: its containers together, or what one that runs before them asks for where that is more."""
    spec = template["spec"]
    found: dict[str, float] = {}
    for container in spec.get("containers") or []:
        for name, amount in amounts(container, what).items():
            found[name] = found.get(name, 0.0) + amount
    for container in spec.get("initContainers") or []:
        for name, amount in amounts(container, what).items():
            found[name] = max(found.get(name, 0.0), amount)
    return found


def out_of_range(ranges: Iterable[Found], container: Found) -> str:
    """What of a container a LimitRange would refuse, in words; "" where none does."""
    for one in ranges:
        for item in (one.get("spec") or {}).get("limits") or []:
            if item.get("type") != "Container":
                continue
            for bound, what, wrong in (("max", "limits", 1), ("max", "requests", 1), ("min", "requests", -1)):
                for resource, limit in (item.get(bound) or {}).items():
                    amount = amounts(container, what).get(resource)
                    if amount is not None and (amount - read_quantity(limit)) * wrong > 0:
                        least = "at most" if bound == "max" else "at least"
                        return "the LimitRange %s allows %s %s of %s for a container" % (one["metadata"]["name"], least, limit, resource)
    return ""


def over_quota(quotas: Iterable[Found], more: Mapping[str, float]) -> str:
    """Which quota has no room for this much more, in words; "" where all have. more: {"limits.memory": bytes, "requests.cpu": cores, "pods": 1, …}."""
    for one in quotas:
        spec, status = one.get("spec") or {}, one.get("status") or {}
        if spec.get("scopeSelector") or not set(spec.get("scopes") or []) <= _OF_ALL:
            continue
        for name, hard in (status.get("hard") or {}).items():
            wanted = more.get(_SHORT.get(name, name), 0.0)
            left = read_quantity(hard) - read_quantity((status.get("used") or {}).get(name))
            if wanted > 0 and wanted > left:
                return "the quota %s has %s of %s left, and %s more would be needed" % (
                    one["metadata"]["name"], said(name, max(0.0, left)), name, said(name, wanted))  # fmt: skip
    return ""


def growth(workload: Found, before: Found, after: Found) -> dict[str, float]:
    """What of a quota a rollout from one template to another needs at its height, beyond what is used now."""
    spec = workload["spec"]
    copies = 1 if spec.get("replicas") is None else int(spec["replicas"])
    extra = extra_pods(spec, copies)
    found: dict[str, float] = {"pods": float(extra)}
    for what in ("requests", "limits"):
        old, new = total(before, what), total(after, what)
        for name in {*old, *new}:
            was, will = old.get(name, 0.0), new.get(name, 0.0)
            found["%s.%s" % (what, name)] = max(will * extra, (will - was) * copies + was * extra)
    return found


def extra_pods(spec: Found, copies: int) -> int:
    """How many pods a Deployment has to make before it may end one; a rollout that may do with fewer gets by without."""
    strategy = spec.get("strategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate" or "strategy" not in spec:
        return 0
    rolling = strategy.get("rollingUpdate") or {}
    if share(rolling.get("maxUnavailable", "25%"), copies, up=False) > 0:
        return 0
    return max(1, share(rolling.get("maxSurge", "25%"), copies, up=True))


def share(value: Any, copies: int, up: bool) -> int:
    """A number of pods that may be given in percent."""
    if isinstance(value, str) and value.endswith("%"):
        part = copies * float(value[:-1]) / 100
        return math.ceil(part) if up else math.floor(part)
    return int(value or 0)


def takes_pods(node: Found) -> bool:
    """Whether a node is ready and not cordoned."""
    conditions = {one["type"]: one["status"] for one in (node.get("status") or {}).get("conditions") or []}
    return conditions.get("Ready") == "True" and not (node.get("spec") or {}).get("unschedulable")


def allocatable(node: Found, resource: str) -> float:
    return read_quantity(((node.get("status") or {}).get("allocatable") or {}).get(resource))


def largest(nodes: Iterable[Found], resource: str) -> float | None:
    """The most that a node which takes pods has in all; None where none was read."""
    return max((allocatable(one, resource) for one in nodes if takes_pods(one)), default=None)


def fits(nodes: Iterable[Found], pods: Iterable[Found], template: Found) -> int:
    """How many more pods of this template the nodes have room for. pods: all pods of the cluster, by what they ask for and where they are."""
    asked = {name: amount for name, amount in total(template, "requests").items() if name in ("cpu", "memory")}
    used: dict[str, dict[str, float]] = {}
    for pod in pods:
        node = pod["spec"].get("nodeName")
        if not node or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        there = used.setdefault(node, {"pods": 0.0})
        there["pods"] += 1
        for name, amount in total(pod, "requests").items():
            there[name] = there.get(name, 0.0) + amount
    found = 0
    for node in nodes:
        if not takes_pods(node) or any(taint.get("effect") in ("NoSchedule", "NoExecute") for taint in (node.get("spec") or {}).get("taints") or []):
            continue
        there = used.get(node["metadata"]["name"], {"pods": 0.0})
        room = [allocatable(node, "pods") - there["pods"]]
        # Beyond the precision of a float a full node is full.
        room += [(allocatable(node, name) - there.get(name, 0.0)) / amount + 1e-9 for name, amount in asked.items() if amount]
        found += max(0, math.floor(min(room)))
    return found


def said(name: str, amount: float) -> str:
    """An amount as a person writes it."""
    return shown(amount) if "memory" in name or "storage" in name else "%g" % round(amount, 3)


def quantity(name: str, amount: float) -> str:
    """An amount as a manifest says it."""
    if "memory" in name:
        mebi = amount / (1 << 20)
        return "%dMi" % mebi if mebi == int(mebi) else "%d" % math.ceil(amount)
    return "%d" % amount if amount == int(amount) else "%dm" % math.ceil(round(amount * 1000, 6))
