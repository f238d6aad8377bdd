# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on pods that do not come up: no node takes them, what they need is not there, what runs first does not end."""

from __future__ import annotations

import re
from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, INFO, WARNING, Clear, Finding, Unseen

UNSCHEDULABLE = ("pod.no_room", "pod.node_cordoned", "pod.taint_not_tolerated", "pod.no_matching_node", "pod.unschedulable")
# What the scheduler says of nodes, each with the number of them.
SAID = (
    ("cordoned", re.compile(r"(\d+) node\(s\) were unschedulable")),
    ("room", re.compile(r"(\d+) (?:Insufficient \S+|Too many pods)")),
    ("ports", re.compile(r"(\d+) node\(s\) didn't have free ports")),
    ("taint", re.compile(r"(\d+) node\(s\) had untolerated taint")),
    ("match", re.compile(r"(\d+) node\(s\) didn't (?:match|satisfy)")),
    ("volume", re.compile(r"(\d+) node\(s\) (?:had volume|had no available volume|didn't find available persistent|exceed max volume)")),
)
# Taints by which the control plane keeps its own nodes to itself, and by which a node that is not well is marked.
RESERVED = re.compile(r"(\d+) node\(s\) had untolerated taint(?:\(s\))? ?\{node-role\.kubernetes\.io/[^}]*\}")
UNWELL = re.compile(
    r"untolerated taint(?:\(s\))? ?\{node\.kubernetes\.io/(not-ready|unreachable|memory-pressure|disk-pressure|pid-pressure|network-unavailable)"
)
CLAIM = re.compile(r"unbound immediate PersistentVolumeClaims|persistentvolumeclaim \S+ (?:not found|bound to)|didn't find available persistent volumes")
SHORT = re.compile(r"(Insufficient [\w.\-/]+[\w\-]|Too many pods)")
# What the kubelet says when a container names a ConfigMap, a Secret or a key that is not there.
MISSING = re.compile(
    r"(?P<kind>configmap|secret|ConfigMap|Secret)s? \"(?P<name>[^\"]+)\" (?:not found|is forbidden)"
    r"|couldn't find key (?P<key>\S+) in (?P<kind2>ConfigMap|Secret) (?P<name2>\S+)"
    r"|references non-existent (?P<kind3>config|secret) key: (?P<key3>\S+)"
)
NOT_MADE = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PostStartHookError", "PreCreateHookError", "PreStartHookError")


@judges(*UNSCHEDULABLE, domain=kube.DOMAIN)
def unschedulable(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Pods that no node takes, for longer than pod_pending_seconds, and why, by what the scheduler says of each node."""
    for work in kube.workloads(seen):
        name = work["component"]
        pending = [group for group in kube.staying(work) if group["scheduled"] and group["scheduled"]["reason"]]
        if not pending:
            yield Clear("pod.unschedulable", name, {"pods": kube.count(kube.staying(work))})
            continue
        group = pending[0]
        message, seconds = group["scheduled"]["message"], kube.age(seen, group["created"][0])
        if seconds < (limits.get("pod_pending_seconds", component=name) or 0):
            yield Unseen("pod.unschedulable", name, "%s was made %d s ago and has no node yet" % (group["names"][0], seconds), "run it again in a moment")
            continue
        if kube.scaling_up(seen, group):
            yield Unseen("pod.unschedulable", name, "the cluster is adding a node for %s" % group["names"][0], "run it again in some minutes")
            continue
        if CLAIM.search(message) and _claims_ill(seen, name):
            continue  # told by the judge of volumes
        evidence = {**kube.base(work, group), "message": message, "seconds": round(seconds), **_wishes(work), **_cordoned(seen)}
        yield Finding(why_no_node(seen, work, group["scheduled"]), name, kube.gravity(seen, name), {**evidence, "short": sorted(set(SHORT.findall(message)))})


def why_no_node(seen: dict[str, Any], work: dict[str, Any], scheduled: dict[str, Any]) -> str:
    """Which of the findings the scheduler's words mean.

    Each node is told with the first thing that speaks against it. A state of a node that passes (no room, cordoned) is named before a rule
    that the other nodes never fitted; a request that is larger than any node is a matter of room whatever else is said.
    """
    message = scheduled["message"]
    if scheduled["reason"] != "Unschedulable" or UNWELL.search(message) and _nodes_unwell(seen):
        return "pod.unschedulable"
    found = {what: sum(int(number) for number in pattern.findall(message)) for what, pattern in SAID}
    found["taint"] -= sum(int(number) for number in RESERVED.findall(message))
    if _too_large(seen, work):
        return "pod.no_room"
    if found["cordoned"]:
        return "pod.node_cordoned"
    if found["room"]:
        return "pod.no_room"
    if found["ports"] or found["volume"]:
        return "pod.unschedulable"
    if found["taint"] > 0:
        return "pod.taint_not_tolerated"
    if found["match"]:
        return "pod.no_matching_node"
    return "pod.unschedulable"


def _cordoned(seen: dict[str, Any]) -> dict[str, Any]:
    """{"cordoned": the nodes that could take it again, "node": the one, where there is but one}."""
    names = sorted(name for name, node in kube.facts(seen)["nodes"].items() if node["cordoned"] and node["ready"])
    return {"cordoned": names, "node": names[0] if len(names) == 1 else ""} if names else {}


def _wishes(work: dict[str, Any]) -> dict[str, Any]:
    """What the pod asks for, as the scheduler adds it up."""
    total: dict[str, float] = {}
    for one in work["containers"]:
        if not one["init"]:
            for resource, amount in one["requests"].items():
                total[resource] = total.get(resource, 0.0) + amount
    wishes: dict[str, Any] = {"requests": readable(total)}
    if work["node_selector"]:
        wishes["node_selector"] = ", ".join("%s=%s" % pair for pair in sorted(work["node_selector"].items()))
    return wishes


def readable(amounts: dict[str, float]) -> dict[str, str]:
    """Amounts of resources as a person writes them."""
    return {
        name: "%dMi" % round(amount / (1 << 20)) if "memory" in name or "storage" in name else "%gm" % round(amount * 1000) for name, amount in amounts.items()
    }


def _too_large(seen: dict[str, Any], work: dict[str, Any]) -> bool:
    nodes = kube.facts(seen)["nodes"].values()
    for resource in ("cpu", "memory"):
        wanted = sum(one["requests"].get(resource, 0.0) for one in work["containers"] if not one["init"])
        largest = max((node["allocatable"].get(resource, 0.0) for node in nodes), default=0.0)
        if largest and wanted > largest:
            return True
    return False


def _nodes_unwell(seen: dict[str, Any]) -> bool:
    return any(not node["ready"] or node["pressures"] for node in kube.facts(seen)["nodes"].values())


def _claims_ill(seen: dict[str, Any], component: str) -> bool:
    return any(component in claim["used_by"] and claim["phase"] != "Bound" for claim in kube.facts(seen)["claims"])


@judges("config.source_missing", "pod.cannot_be_made", domain=kube.DOMAIN)
def cannot_be_made(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """The kubelet cannot make a container: a ConfigMap, Secret or key that it names is not there, or it says another reason.

    A missing ConfigMap is told before the kubelet meets it, too: pods that run do so until they are restarted.
    """
    yield from kube.hidden(seen, "events", "pod.cannot_be_made")
    for work in kube.workloads(seen):
        name = work["component"]
        found = list(_not_made(seen, work))
        yield from found
        if any(one.id == "config.source_missing" for one in found):
            continue
        if work["finite"] and not kube.staying(work):
            continue  # it has done its work
        gone = [ref for ref in work["refs"] if ref["kind"] == "ConfigMap" and not ref["optional"] and not _there(seen, work["namespace"], ref)]
        if gone and not kube.is_hidden(seen, "configmaps"):
            ref = gone[0]
            keys = _keys_lost(seen, work["namespace"], ref)
            evidence = {**kube.base(work), **_source("configmap", ref["name"], ", ".join(keys)), "how": ref["how"]}
            yield Finding("config.source_missing", name, WARNING, {**evidence, "running": True, "message": ""})
        else:
            yield Clear("config.source_missing", name, {"sources": len(work["refs"])})


def _not_made(seen: dict[str, Any], work: dict[str, Any]) -> Iterator[Finding]:
    severity = kube.gravity(seen, work["component"])
    for group in kube.staying(work):
        waiting = [one for one in group["containers"] if one["state"] == "waiting" and one["reason"] in NOT_MADE and not (one["last"] or {}).get("exit_code")]
        mount = None if group["ready"] or group["started"] else kube.told(seen, group, "FailedMount")
        for one in waiting[:1]:
            missing = missing_source(one["message"])
            evidence = {**kube.base(work, group), "container": one["name"], "reason": one["reason"], "message": one["message"]}
            if missing:
                yield Finding("config.source_missing", work["component"], severity, {**evidence, **missing, "running": False})
            elif one["reason"] != "RunContainerError" and not bad_command(one["message"]):
                yield Finding("pod.cannot_be_made", work["component"], severity, evidence)
        missing = missing_source(mount["message"]) if mount and not waiting else None
        if mount and missing:
            evidence = {**kube.base(work, group), "reason": "FailedMount", "message": mount["message"]}
            yield Finding("config.source_missing", work["component"], severity, {**evidence, **missing, "running": False})
        if waiting or missing:
            return


def bad_command(message: str) -> bool:
    """Whether it is the command that cannot be run: told by the judge of containers, as on every platform."""
    return bool(re.search(r"executable file not found|no such file or directory|permission denied|exec format error", message, re.IGNORECASE))


def missing_source(message: str) -> dict[str, str] | None:
    """{"kind", "name", "key", "source"} of what a message of the kubelet says is not there; None where it says nothing such."""
    match = MISSING.search(message)
    if not match:
        return None
    kind = (match.group("kind") or match.group("kind2") or match.group("kind3") or "").lower().replace("config", "configmap").replace("mapmap", "map")
    name = match.group("name") or (match.group("name2") or "").rsplit("/", 1)[-1]
    return _source(kind, name.strip(".,"), match.group("key") or match.group("key3") or "")


def _source(kind: str, name: str, key: str) -> dict[str, str]:
    return {"kind": kind, "name": name, "key": key, "source": "%s/%s%s" % (kind, name, "[%s]" % key if key else "")}


def _there(seen: dict[str, Any], namespace: str, ref: dict[str, Any]) -> bool:
    return any((one["name"], one["namespace"]) == (ref["name"], namespace) for one in kube.facts(seen)["config"]) and not _keys_lost(seen, namespace, ref)


def _keys_lost(seen: dict[str, Any], namespace: str, ref: dict[str, Any]) -> list[str]:
    found = next((one for one in kube.facts(seen)["config"] if (one["name"], one["namespace"]) == (ref["name"], namespace)), None)
    return sorted(set(ref.get("required", ref["keys"]) or []) - set(found["keys"])) if found else []


@judges("pod.init_failing", "pod.init_waiting", domain=kube.DOMAIN)
def init(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """An init container that ends with an error again and again, or that does not end (init_seconds): nothing else of the pod is started."""
    for work in kube.workloads(seen):
        name = work["component"]
        stuck = None
        for group in kube.staying(work):
            for one in group["containers"]:
                if one["init"] and one["state"] != "terminated" or one["init"] and one["exit_code"]:
                    stuck = stuck or _init_stuck(seen, work, group, one, limits)
        if stuck:
            yield stuck
        elif any(one["init"] for one in work["containers"]):
            yield Clear("pod.init_failing", name, {"pods": kube.count(kube.staying(work))})


def _init_stuck(seen: dict[str, Any], work: dict[str, Any], group: dict[str, Any], one: dict[str, Any], limits: Limits) -> Answer | None:
    evidence = {**kube.base(work, group), "container": one["name"], "restarts": one["restarts"], "image": one["image"]}
    ended = one["last"] or {}
    code = one["exit_code"] if one["state"] == "terminated" else ended.get("exit_code")
    if code and (one["state"] != "running" or one["restarts"] > 1):
        words = {
            "exit_code": code,
            "message": one["message"] if one["state"] == "terminated" else ended.get("message", ""),
            "reason": ended.get("reason") or one["reason"],
        }
        return Finding("pod.init_failing", work["component"], kube.gravity(seen, work["component"]), {**evidence, **words})
    seconds = kube.age(seen, one["started_at"]) if one["started_at"] else 0.0
    if one["state"] == "running" and seconds >= (limits.get("init_seconds", component=work["component"]) or 0):
        return Finding("pod.init_waiting", work["component"], kube.gravity(seen, work["component"]), {**evidence, "seconds": round(seconds)})
    return None


@judges("pod.network_failed", domain=kube.DOMAIN)
def sandbox(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """The node cannot make the pod's own network or sandbox (FailedCreatePodSandBox), and the pod waits for it."""
    for work in kube.workloads(seen):
        for group in kube.staying(work):
            event = None if group["started"] else kube.told(seen, group, "FailedCreatePodSandBox", 300)
            if event and event["count"] > 1:
                evidence = {**kube.base(work, group), "message": event["message"], "count": event["count"], "nodes": sorted(group["nodes"])}
                yield Finding("pod.network_failed", work["component"], kube.gravity(seen, work["component"]), evidence)
                break


@judges("node.not_ready", "node.pressure", "node.cordoned", domain=kube.DOMAIN)
def nodes(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A node that bears pods of this stack and is not well. A cordoned node is a note: somebody means it so."""
    yield from kube.hidden(seen, "nodes", "node.not_ready")
    for name, node in sorted(kube.facts(seen)["nodes"].items()):
        where = "node/" + name
        evidence = {"node": name, "components": sorted(node["components"]), "seconds": round(kube.age(seen, node["since"]))}
        if not node["components"] and (node["ready"] or not _somebody_waits(seen)):
            continue
        if not node["ready"]:
            yield Finding("node.not_ready", where, CRITICAL, {**evidence, "reason": node["reason"], "message": node["message"]})
        else:
            yield Clear("node.not_ready", where, evidence)
        if node["pressures"]:
            yield Finding(
                "node.pressure", where, WARNING, {**evidence, "pressures": sorted(node["pressures"]), "message": "; ".join(node["pressures"].values())}
            )
        if node["cordoned"]:
            yield Finding("node.cordoned", where, INFO, evidence)


def _somebody_waits(seen: dict[str, Any]) -> bool:
    return any(group["scheduled"] for work in kube.workloads(seen) for group in kube.staying(work))
