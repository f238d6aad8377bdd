# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on volumes: is each claim bound, can it be mounted, and is there room in it?"""

from __future__ import annotations

import re
from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube
from ansible_collections.aiops.runbook.plugins.module_utils.judge import view
from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes_pods import missing_source
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, INFO, WARNING, Clear, Finding, Unseen

CLASS_GONE = re.compile(r"storageclass(?:\.storage\.k8s\.io)? \"?(?P<name>[^\"\s]+)\"? not found", re.IGNORECASE)
WAITS_FOR_POD = "WaitForFirstConsumer"
BUSY = re.compile(r"Multi-Attach error", re.IGNORECASE)


@judges("storage.claim_pending", "storage.claim_lost", "storage.claim_missing", domain=kube.DOMAIN)
def claims(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A claim without a volume: its class is not there, nobody provisions for it, no volume fits; or the volume is gone, or the claim itself.

    One whose class waits for its first pod is well as long as no pod waits for it.
    """
    yield from kube.hidden(seen, "persistentvolumeclaims", "storage.claim_pending")
    for claim in kube.facts(seen)["claims"]:
        users = [name for name in claim["used_by"] if claim["phase"] != "Missing" or not _is_over(kube.facts(seen)["workloads"][name])]
        if claim["used_by"] and not users:
            continue
        component = users[0] if users else "claim/" + claim["name"]
        evidence: dict[str, Any] = {"claim": claim["name"], "namespace": claim["namespace"], "used_by": users}
        if claim["phase"] == "Missing":
            needed = any(kube.facts(seen)["workloads"][name]["wanted"] != 0 for name in users)
            yield Finding("storage.claim_missing", component, _gravity(seen, users) if needed else INFO, evidence)
            continue
        evidence.update({"class": claim["class"], "requested": "%gGi" % round(claim["requested"] / (1 << 30), 2), "volume": claim["volume"]})
        if claim["phase"] == "Bound":
            yield Clear("storage.claim_pending", component, evidence)
        elif claim["phase"] == "Lost":
            yield Finding("storage.claim_lost", component, CRITICAL, evidence)
        else:
            answer = _pending(seen, claim, component, evidence, limits)
            if answer:
                yield answer


def _is_over(work: dict[str, Any]) -> bool:
    """Whether a workload has done its work and asks for no volume again; a schedule's next run does."""
    return work["finite"] and work["kind"] != "CronJob" and not kube.staying(work)


def _gravity(seen: dict[str, Any], users: list[str]) -> str:
    return CRITICAL if any(not view.runs(seen, name) and view.is_needed(seen, name) for name in users) else WARNING


def _pending(seen: dict[str, Any], claim: dict[str, Any], component: str, evidence: dict[str, Any], limits: Limits) -> Answer | None:
    waiting = [group for name in claim["used_by"] for group in kube.staying(kube.facts(seen)["workloads"][name]) if group["scheduled"]]
    failed = claim["events"].get("ProvisioningFailed") or {}
    seconds = kube.age(seen, claim["created_at"])
    gone = CLASS_GONE.search(failed.get("message", ""))
    if claim["binding"] == WAITS_FOR_POD and not waiting and not failed:
        return None
    evidence = {**evidence, "seconds": round(seconds), "message": failed.get("message", ""), "classes": claim["classes"], "provisioner": claim["provisioner"]}
    if claim["class"] and (gone or claim["class_known"] is False):
        evidence["why"] = "class"
    elif not claim["class"]:
        # Without a class only a volume that somebody makes by hand will do.
        evidence["why"] = "no_class"
    elif failed:
        evidence["why"] = "provisioner"
    elif seconds < max(30.0, limits.get("pod_pending_seconds") or 0):
        return Unseen("storage.claim_pending", component, "%s was made %d s ago and is not bound yet" % (claim["name"], seconds), "run it again in a moment")
    else:
        evidence["why"] = "no_answer"
    return Finding("storage.claim_pending", component, _gravity(seen, claim["used_by"]), evidence)


@judges("storage.mount_failed", domain=kube.DOMAIN)
def mounts(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A volume that the node cannot attach or mount, and a pod that waits for it. A missing ConfigMap or Secret is told as that."""
    for work in kube.workloads(seen):
        for group in kube.staying(work):
            if group["ready"] or group["started"] or kube.is_mounted(group):
                continue
            event = (
                kube.told(seen, group, "FailedAttachVolume", 300)
                or kube.told(seen, group, "FailedMount", 300)
                or kube.told(seen, group, "FailedMapVolume", 300)
            )
            if event and not missing_source(event["message"]) and "not registered" not in event["message"]:
                evidence = {**kube.base(work, group), "message": event["message"], "busy": bool(BUSY.search(event["message"])), "claims": work["claims"]}
                yield Finding("storage.mount_failed", work["component"], kube.gravity(seen, work["component"]), evidence)
                break
        else:
            if work["claims"] or work["claim_templates"]:
                yield Clear("storage.mount_failed", work["component"], {"claims": work["claims"] + work["claim_templates"]})


@judges("storage.nearly_full", domain=kube.DOMAIN)
def room(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A claim's volume that is nearly full (storage_percent), where the kubelet tells."""
    for one in kube.facts(seen).get("volumes") or []:
        if not one["capacity"]:
            continue
        percent = round(100.0 * one["used"] / one["capacity"], 1)
        severity = limits.grade("storage_percent", percent, component=one["component"])
        # One that still has room stops no server.
        evidence = {**one, "percent": percent, "full": severity == CRITICAL}
        yield Finding("storage.nearly_full", one["component"], severity, evidence) if severity else Clear("storage.nearly_full", one["component"], evidence)
