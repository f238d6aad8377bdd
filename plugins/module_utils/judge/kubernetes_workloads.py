# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on workloads: are their pods made at all, does a rollout go on, does anything hold what should be gone?"""

from __future__ import annotations

import re
from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube
from ansible_collections.aiops.runbook.plugins.module_utils.judge import view
from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes_services import users
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, INFO, WARNING, Clear, Finding, Unseen, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import image_name

# A controller whose pods are refused asks again after at most so long.
BACKOFF_SECONDS = 1100
OVER_QUOTA = re.compile(r"exceeded quota: (?P<quota>[^,]+), requested: (?P<requested>.+?), used: (?P<used>.+?), limited: (?P<limited>.+)$")
OUT_OF_RANGE = re.compile(r"(maximum|minimum) \S+ usage per (Container|Pod)|limit to request ratio per")
SCALERS = ("KEDA",)


@judges("container.not_running", domain=kube.DOMAIN)
def absent(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A workload without a single pod: scaled to nothing, or its pods are not made.

    One that scales to zero by itself is no illness; one that another stands in for (blue and green, a server's replica) is a note.
    """
    for work in kube.workloads(seen):
        name = work["component"]
        if work["finite"] or work["wanted"] is None or work["pods"]:
            continue
        scaler = sleeper(seen, name)
        if work["wanted"] == 0 and (scaler or not view.is_needed(seen, name)):
            yield Clear("container.not_running", name, {"running": 0, "of": 0, "seconds": 0, "scaled_by": scaler})
            continue
        if work["wanted"] and kube.age(seen, max(work["created_at"], work["changed_at"])) < (limits.get("pod_pending_seconds", component=name) or 0):
            yield Unseen("container.not_running", name, "it was changed just now, and its pods are not made yet", "run it again in a moment")
            continue
        if not view.is_needed(seen, name):
            continue
        state = "no pod of %d" % work["wanted"] if work["wanted"] else "scaled to 0"
        severity = CRITICAL if view.role(seen, name) in view.ESSENTIAL else WARNING
        if work["wanted"] == 0 and is_spare(seen, work):
            # What a worker that sleeps would consume nobody knows: its queue may just be empty.
            severity = WARNING if view.role(seen, name) == "worker" else INFO
        evidence = {**kube.base(work), "instance": "%s/%s" % (work["kind"].lower(), work["name"]), "state": state, "exit_code": None}
        yield Finding("container.not_running", name, severity, {**evidence, "stopped_by": "scale" if not work["wanted"] else "", "wanted": work["wanted"]})


def sleeper(seen: dict[str, Any], name: str) -> str:
    """Who may scale this component to zero by itself, and does so where there is nothing to do; "" where nobody."""
    for one in kube.facts(seen)["autoscalers"]:
        if one["component"] == name and (one["by"] in SCALERS or one["min"] == 0):
            return one["by"] or "HorizontalPodAutoscaler"
    managers = kube.facts(seen)["workloads"][name]["managed_by"]
    return next((one["tool"] for one in managers if one["tool"] in SCALERS), "")


def is_spare(seen: dict[str, Any], work: dict[str, Any]) -> bool:
    """Whether nobody asks for a workload that was scaled to nothing: another of its role and image runs, and no way leads to this one.

    Workers of one image may have different queues: where that cannot be asked, or something waits that nobody takes, it is missed.
    """
    name = work["component"]
    role = view.role(seen, name)
    twins = [other for other in kube.workloads(seen) if other is not work and view.role(seen, other["component"]) == role and images(other) & images(work)]
    if not any(view.runs(seen, other["component"]) for other in twins) or view.is_used(seen, name):
        return False
    doors = [one for one in kube.facts(seen)["services"] if one["components"] == [name] or one["meant_for"] == name]
    if any(one["type"] in ("NodePort", "LoadBalancer") or users(seen, one) for one in doors):
        return False
    return role != "worker" or _all_consumed(seen)


def images(work: dict[str, Any]) -> set[str]:
    """The images of a workload's application, whatever their tags."""
    return {image_name(one["image"]) for one in work["containers"] if not one["init"] and not one["beside"]}


def _all_consumed(seen: dict[str, Any]) -> bool:
    """Whether all queues could be asked for, and somebody consumes each in which something waits."""
    brokers = list((seen.get("celery") or {}).values())
    if not brokers or any(why_unseen(one.get("answers")) or why_unseen(one.get("queues")) or why_unseen(one.get("workers")) for one in brokers):
        return False
    return all(queue["consumers"] or not queue["length"] for one in brokers for queue in one.get("queues") or [])


@judges("quota.exceeded", "quota.limit_range", "workload.pods_refused", domain=kube.DOMAIN)
def refused(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """The API server refuses the pods of a workload: a quota is used up, a LimitRange, a security rule or a webhook says no."""
    for work in kube.workloads(seen):
        message = refusal(seen, work)
        if not message:
            yield Clear("workload.pods_refused", work["component"], {"wanted": work["wanted"], "pods": work["pod_count"]})
            continue
        groups = kube.staying(work)
        evidence = {**kube.base(work), "wanted": work["wanted"], "made": kube.count(groups), "message": message}
        over, range_ = OVER_QUOTA.search(message), OUT_OF_RANGE.search(message)
        finding = "quota.exceeded" if over else "quota.limit_range" if range_ else "workload.pods_refused"
        if over:
            evidence.update(over.groupdict())
        yield Finding(finding, work["component"], kube.gravity(seen, work["component"]), evidence)


def refusal(seen: dict[str, Any], work: dict[str, Any]) -> str:
    """Why pods of this workload are refused now, in the API server's words; "" where they are not."""
    condition = work["conditions"].get("ReplicaFailure") or {}
    if condition.get("status") == "True":
        return condition["message"]
    event = kube.told(seen, work, "FailedCreate", BACKOFF_SECONDS)
    # What has been made since was not refused.
    lacking = work["wanted"] is None or kube.count(kube.staying(work)) < work["wanted"]
    newest = max((group["created"][1] for group in work["pods"]), default=0.0)
    return event["message"] if event and lacking and event["last"] > newest and not _done(seen, work) else ""


def _done(seen: dict[str, Any], work: dict[str, Any]) -> bool:
    return work["finite"] and any(group["phase"] == "Succeeded" for group in work["pods"])


@judges("workload.rollout_stuck", "workload.rollout_paused", domain=kube.DOMAIN)
def rollout(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A rollout that has made no progress for longer than its own deadline (Deployment), or rollout_seconds. One that goes on is no illness."""
    for kind in kube.WORKLOADS:
        yield from kube.hidden(seen, kind, "workload.rollout_stuck")
    for work in kube.workloads(seen):
        if work["kind"] not in ("Deployment", "StatefulSet", "DaemonSet") or work["wanted"] is None:
            continue
        name = work["component"]
        evidence = {**kube.base(work), "wanted": work["wanted"], "updated": work["updated"], "ready": work["ready"], "available": work["available"]}
        stuck = stuck_for(seen, work, limits)
        if work["paused"]:
            going = work["updated"] < work["wanted"]
            yield Finding("workload.rollout_paused", name, WARNING if going else INFO, evidence)
        elif stuck is not None:
            group = next((one for one in kube.staying(work) if not one["ready"]), None)
            newest = work["revisions"][0] if work["revisions"] else {}
            more = {"seconds": round(stuck), "revision": newest.get("revision"), "images": newest.get("images", [])}
            more["instance"] = group["names"][0] if group else ""
            more["max_unavailable"], more["max_surge"] = work["strategy"]["max_unavailable"], work["strategy"]["max_surge"]
            yield Finding("workload.rollout_stuck", name, WARNING, {**evidence, **more})
        else:
            yield Clear("workload.rollout_stuck", name, evidence)


def stuck_for(seen: dict[str, Any], work: dict[str, Any], limits: Limits) -> float | None:
    """Seconds since a rollout has stood still; None where none does."""
    progress = work["conditions"].get("Progressing") or {}
    if work["kind"] == "Deployment":
        if progress.get("status") == "False" and progress.get("reason") == "ProgressDeadlineExceeded":
            return kube.age(seen, progress["since"]) + (work["strategy"]["deadline"] or 0)
        return None
    behind = work["updated"] < work["wanted"] and not work["strategy"]["partition"] and work["strategy"]["type"] != "OnDelete"
    waiting = [group for group in kube.staying(work) if not group["ready"]]
    if not (behind and waiting):
        return None
    seconds = max(kube.age(seen, group["created"][0]) for group in waiting)
    return seconds if seconds >= (limits.get("rollout_seconds", component=work["component"]) or 0) else None


@judges("pod.terminating", domain=kube.DOMAIN)
def terminating(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A pod that should be gone by now (its grace is over): a finalizer holds it, or its node does not answer."""
    for work in kube.workloads(seen):
        leaving = [group for group in work["pods"] if group["deleting"] is not None]
        patience = limits.get("pod_terminating_seconds", component=work["component"]) or 0
        late = [group for group in leaving if kube.age(seen, group["deleting"]["since"]) >= patience]
        for group in late[:1]:
            evidence = {**kube.base(work, group), "finalizers": group["deleting"]["finalizers"], "nodes": sorted(group["nodes"])}
            yield Finding("pod.terminating", work["component"], WARNING, {**evidence, "seconds": round(kube.age(seen, group["deleting"]["since"]))})
        if not late:
            yield Clear("pod.terminating", work["component"], {"pods": kube.count(leaving)})


@judges("pod.evicted", domain=kube.DOMAIN)
def evicted(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Pods that the kubelet threw out for want of memory or disk, lately: a warning; what is over is a note."""
    for work in kube.workloads(seen):
        gone = [group for group in work["pods"] if group["phase"] == "Failed" and group["reason"] in ("Evicted", "Preempting", "Terminated", "NodeShutdown")]
        if not gone:
            yield Clear("pod.evicted", work["component"], {"pods": work["pod_count"]})
            continue
        latest = max(gone, key=lambda group: group["ready_since"])
        since = kube.age(seen, latest["ready_since"] or latest["created"][1])
        evidence = {
            **kube.base(work, latest),
            "pods": kube.count(gone),
            "message": latest["message"],
            "seconds": round(since),
            "nodes": sorted(latest["nodes"]),
        }
        yield Finding("pod.evicted", work["component"], WARNING if since <= kube.RECENT_SECONDS else INFO, evidence)


@judges("workload.budget_blocks", domain=kube.DOMAIN)
def budget(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A PodDisruptionBudget that can never allow an eviction, all pods being well: no node of its pods can be drained."""
    yield from kube.hidden(seen, "poddisruptionbudgets", "workload.budget_blocks")
    for one in kube.facts(seen)["budgets"]:
        component = one["components"][0] if one["components"] else "stack"
        evidence = {**one, "budget": one["name"]}
        healthy = one["healthy"] is not None and one["expected"] and one["healthy"] >= one["expected"]
        if one["allowed"] == 0 and healthy:
            yield Finding("workload.budget_blocks", component, INFO, evidence)
        else:
            yield Clear("workload.budget_blocks", component, evidence)
