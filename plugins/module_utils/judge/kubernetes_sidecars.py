# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on pods that are not Ready although their application is: for a container beside it, or for a condition of somebody else's."""

from __future__ import annotations

from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube
from ansible_collections.aiops.runbook.plugins.module_utils.judge import view
from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes_pods import NOT_MADE, bad_command
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import WARNING, Clear, Finding, Unseen
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import LOST

# In the order in which the kubelet asks them: a startup probe keeps the other two back.
PROBES = ("startup", "readiness", "liveness")
PATIENCE_SECONDS = 30.0


@judges("pod.sidecar_failing", domain=kube.DOMAIN)
def sidecars(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A container beside the application that keeps ending, has ended, or is not ready past its probe's patience: its pod is not Ready for it.

    A warning while the application runs; who is missed because of it is told by others, and explained by this.
    """
    for work in kube.workloads(seen):
        name = work["component"]
        ill = [(group, one, why) for group in kube.staying(work) for one in group["containers"] for why in [_why_ill(seen, work, group, one)] if why]
        if not ill:
            if any(one["beside"] for one in work["containers"]):
                yield Clear("pod.sidecar_failing", name, {"pods": kube.count(kube.staying(work))})
            continue
        group, one, why = max(ill, key=lambda found: found[1]["restarts"])
        last = (one if one["state"] == "terminated" else one["last"]) or {}
        evidence = {
            **kube.base(work, group),
            "pods": sum(other["count"] for other in kube.staying(work) if any(other is mine for mine, _one, _why in ill)),
            "container": one["name"],
            "image": one["image"],
            "state": why,
            "exit_code": last.get("exit_code"),
            "message": one["message"] or last.get("message") or "",
            "restarts": one["restarts"],
            # A sidecar of an init container's kind holds back all that comes after it.
            "starts_first": any(wish["name"] == one["name"] and wish["init"] for wish in work["containers"]),
            "running": bool(group["started"]),
            "ready": _ready(work),
        }
        yield Finding("pod.sidecar_failing", name, WARNING if evidence["ready"] else kube.gravity(seen, name), evidence)


def _ready(work: dict[str, Any]) -> int:
    return kube.count([group for group in kube.staying(work) if group["ready"]])


def _why_ill(seen: dict[str, Any], work: dict[str, Any], group: dict[str, Any], one: dict[str, Any]) -> str:
    """What is wrong with a container beside the application, in a word of the kubelet's; "" where nothing is, or another judge tells."""
    if not one["beside"]:
        return ""
    ended = one["last"] or {}
    if one["state"] == "waiting":
        unmade = one["reason"] in NOT_MADE and (bool(ended.get("exit_code")) or one["reason"] == "RunContainerError" or bad_command(one["message"]))
        looping = one["reason"] == "CrashLoopBackOff" and not (work["finite"] and not ended.get("exit_code"))
        return str(one["reason"]) if unmade or looping else ""
    if one["state"] == "terminated":
        # In a Job it may well end with the work; in any other pod it is missed.
        over = work["finite"] and not one["exit_code"] or one["reason"] in LOST
        return "" if over or group["ready"] else one["reason"] or "Error"
    if one["restarts"] > 1 and ended.get("exit_code") and ended.get("reason") not in LOST and not _stays(seen, one, ended):
        return "CrashLoopBackOff"
    return "NotReady" if not one["ready"] and not group["ready"] and kube.age(seen, one["started_at"]) > _patience(work, one) else ""


def _stays(seen: dict[str, Any], one: dict[str, Any], ended: dict[str, Any]) -> bool:
    """Whether it has lived half as long again as its last life: then it has recovered, as it is with every container."""
    return kube.age(seen, one["started_at"]) > view.recovery_seconds(ended["lived"][1])


def _patience(work: dict[str, Any], one: dict[str, Any]) -> float:
    """After how many seconds its probes should have passed."""
    asked: dict[str, Any] = next((wish["probes"] for wish in work["containers"] if wish["name"] == one["name"]), {})
    needed = [asked[kind]["initial"] + asked[kind]["period"] * asked[kind]["failures"] + asked[kind]["timeout"] for kind in PROBES if kind in asked]
    return max(PATIENCE_SECONDS, sum(needed))


@judges("pod.not_ready", domain=kube.DOMAIN)
def gates(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A pod all of whose containers are ready, and that is not: a readiness gate is not met (init_seconds: a load balancer takes its time)."""
    for work in kube.workloads(seen):
        name = work["component"]
        for group in kube.staying(work):
            if work["finite"] or group["ready"] or group["phase"] != "Running" or not _containers_ready(group) or _node_ill(seen, group):
                continue
            seconds = kube.age(seen, max([group["ready_since"], *group["started"]]))
            if seconds < PATIENCE_SECONDS and not group["gates"]:
                continue  # the kubelet is about to say so
            if group["gates"] and seconds >= (limits.get("init_seconds", component=name) or 0):
                evidence = {**kube.base(work, group), "gates": group["gates"], "seconds": round(seconds), "ready": _ready(work)}
                yield Finding("pod.not_ready", name, WARNING if evidence["ready"] else kube.gravity(seen, name), evidence)
            elif group["gates"]:
                reason = "%s waits for its readiness gate %s" % (group["names"][0], ", ".join(group["gates"]))
                yield Unseen("pod.not_ready", name, reason, "run it again in some minutes")
            else:
                reason = "%s is not ready although all of its containers are" % group["names"][0]
                yield Unseen("pod.not_ready", name, reason, "kubectl -n %s describe pod %s" % (work["namespace"], group["names"][0]))
            break


def _containers_ready(group: dict[str, Any]) -> bool:
    return all(one["ready"] for one in group["containers"] if not one["init"])


def _node_ill(seen: dict[str, Any], group: dict[str, Any]) -> bool:
    """Whether its node is not ready, which is told of the node."""
    return any((kube.facts(seen)["nodes"].get(name) or {}).get("ready") is False for name in group["nodes"])
