# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on what pods are given and what they use. Memory against its limit is judged by judge/containers.py, on both platforms."""

from __future__ import annotations

import re
from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube
from ansible_collections.aiops.runbook.plugins.module_utils.judge import view
from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes_pods import readable
from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes_workloads import OVER_QUOTA, refusal
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import INFO, MEDIUM, WARNING, Clear, Finding

# What a program asks for that can be refused: a limit without a request counts as both.
MEASURED = ("cpu", "memory")
# What a rollout takes of a quota: one pod more, and settings under a new name. As many load balancers or claims as are wanted are there for long.
OF_A_ROLLOUT = re.compile(r"(count/)?(pods|configmaps|secrets)|((requests|limits)\.)?(cpu|memory|ephemeral-storage)")


@judges("container.cpu_at_limit", domain=kube.DOMAIN)
def cpu(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A container that uses as much CPU as it may (cpu_percent of its limit): the kernel makes it wait for the rest of each period."""
    usage = kube.facts(seen)["usage"]
    for work in kube.workloads(seen):
        name = work["component"]
        for one in work["containers"]:
            limit, used = one["limits"].get("cpu", 0.0), (usage.get(name) or {}).get(one["name"])
            if not limit or one["init"] or not used:
                continue
            percent = round(100.0 * used["cpu"][1] / limit, 1)
            evidence = {
                **kube.base(work),
                "container": one["name"],
                "instance": used["busiest"],
                "percent": percent,
                "cores": round(used["cpu"][1], 3),
                "limit": limit,
            }
            severity = limits.grade("cpu_percent", percent, component=name)
            yield Finding("container.cpu_at_limit", name, severity, evidence, MEDIUM) if severity else Clear("container.cpu_at_limit", name, evidence)


@judges("resources.unset", domain=kube.DOMAIN)
def unset(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Containers without requests or without a memory limit: a note, for they run as well or as badly as their neighbours let them."""
    for work in kube.workloads(seen):
        if work["finite"] or not view.is_needed(seen, work["component"]):
            continue
        bare = [one["name"] for one in work["containers"] if not one["init"] and not one["requests"] and not one["limits"]]
        endless = [one["name"] for one in work["containers"] if not one["init"] and "memory" not in one["limits"]]
        evidence = {**kube.base(work), "no_requests": bare, "no_memory_limit": endless}
        if bare or endless:
            yield Finding("resources.unset", work["component"], INFO, evidence)
        else:
            yield Clear("resources.unset", work["component"], evidence)


@judges("node.overcommitted", domain=kube.DOMAIN)
def overcommit(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A node whose memory this stack's limits alone could use up more than once: a note, for what runs there dies together then."""
    for name, node in sorted(kube.facts(seen)["nodes"].items()):
        room, promised = node["allocatable"].get("memory", 0.0), node["limits"].get("memory", 0.0)
        if not room or not node["components"]:
            continue
        evidence = {"node": name, "components": sorted(node["components"]), "percent": round(100.0 * promised / room), **_amounts(room, promised)}
        if promised > room:
            yield Finding("node.overcommitted", "node/" + name, INFO, evidence)
        else:
            yield Clear("node.overcommitted", "node/" + name, evidence)


def _amounts(room: float, promised: float) -> dict[str, str]:
    return {"room": readable({"memory": room})["memory"], "promised": readable({"memory": promised})["memory"]}


@judges("quota.nearly_used_up", domain=kube.DOMAIN)
def quotas(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A quota with little left (quota_percent): the next rollout needs room for a pod more, or its settings. One that refuses something is told as that."""
    yield from kube.hidden(seen, "resourcequotas", "quota.nearly_used_up")
    over = [(work["namespace"], OVER_QUOTA.search(refusal(seen, work))) for work in kube.workloads(seen)]
    refusing = {(namespace, found.group("quota")) for namespace, found in over if found}
    for quota in kube.facts(seen)["quotas"]:
        if (quota["namespace"], quota["name"]) in refusing:
            continue
        full = {name: one for name, one in quota["resources"].items() if one["hard"] not in ("0", 0)}
        if not full:
            continue
        bound = limits.get("quota_percent")
        # What a rollout would miss is told first.
        name, worst = max(full.items(), key=lambda pair: (bound is not None and pair[1]["percent"] >= bound and is_of_a_rollout(pair[0]), pair[1]["percent"]))
        evidence = {"quota": quota["name"], "namespace": quota["namespace"], "resource": name, **worst}
        if bound is not None and worst["percent"] >= bound:
            severity = WARNING if worst["percent"] >= 100 and is_of_a_rollout(name) else INFO
            yield Finding("quota.nearly_used_up", "quota/" + quota["name"], severity, evidence)
        else:
            yield Clear("quota.nearly_used_up", "quota/" + quota["name"], evidence)


def is_of_a_rollout(resource: str) -> bool:
    """Whether a new version needs room in this resource of a quota."""
    return OF_A_ROLLOUT.fullmatch(resource) is not None
