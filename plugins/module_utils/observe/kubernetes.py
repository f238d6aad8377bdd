# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the API's objects say of a stack, as one small JSON document without a secret and without an opinion. Pure.

{
  "namespace", "unseen": {kind: why it could not be read},
  "workloads": {component: {"kind", "name", "namespace", "managed_by", "wanted", "ready", "updated", "available", "conditions", "revisions",
                            "containers", "pull_secrets", "refs", …, "pods": [equal pods as one], "events"}},
  "services", "ingresses", "policies", "autoscalers", "budgets", "claims", "quotas", "ranges", "jobs", "schedules": [...],
  "volumes": [how full those of claims are, where kubelets may be asked],
  "jobs_left_out": failed or unfinished Jobs beyond the number that is told,
  "nodes": {name: {...}}, "config": [...], "secrets": [...], "metrics_api": {...},
  "events": [{"kind", "name", "component", "reason", "count", "first", "last", "message"}]      (the latest last)
}
"""

from __future__ import annotations

from typing import Any, Callable, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.model import why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe import kubernetes_network as network
from ansible_collections.aiops.runbook.plugins.module_utils.observe import kubernetes_scale as scale
from ansible_collections.aiops.runbook.plugins.module_utils.observe import kubernetes_stores as stores
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_cast import Cast
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_common import Neighbours
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_events import by_object, told_events
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_pods import asked_by_all, group_pods, template_fact, version_fact
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import Objects, changed_at, listed, owner_of
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_owners import managers
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_workloads import (
    FINITE_KINDS,
    Workload,
    images_of,
    revision_of,
    template_of,
)
from ansible_collections.aiops.runbook.plugins.module_utils.secret import shortened
from ansible_collections.aiops.runbook.plugins.module_utils.times import read_time

Text = Callable[[str], str]
MOST_REVISIONS = 6


def compact(objects: Objects, namespace: str, now: float, components: Iterable[Any] = (), text: Text = str, selector: str = "") -> dict[str, Any]:
    """The document above, of the API's raw objects: {plural name: list of objects, or an unseen entry}.

    namespace: the first one of the stack. now: UNIX time. components: those that the platform named of the same objects; nothing is asked of
    them. text: hides secrets in what programs and kubelets said. selector: what tells the stack from others in the same namespace.
    """
    cast = Cast(objects)
    events = by_object(listed(objects, "events"))
    neighbours = Neighbours(selector)
    services = network.services(objects, cast, neighbours)
    jobs, jobs_left_out = stores.jobs(objects, cast, text)
    doors = {(one["namespace"], one["name"]) for one in services if one["components"]}

    def ours(facts: list[dict[str, Any]], kind: str, refers: Callable[[dict[str, Any]], Any]) -> list[dict[str, Any]]:
        return neighbours.without(facts, listed(objects, kind), refers)

    return {
        "namespace": namespace,
        "unseen": {kind: why for kind, why in ((kind, why_unseen(found)) for kind, found in sorted(objects.items())) if why},
        "workloads": {name: workload_fact(objects, cast, name, workload, events, text) for name, workload in sorted(cast.workloads.items())},
        "services": services,
        "ingresses": ours(network.ingresses(objects), "ingresses", lambda one: any((one["namespace"], to["service"]) in doors for to in one["backends"])),
        "policies": network.policies(objects),
        "autoscalers": ours(scale.autoscalers(objects, cast, events, text), "horizontalpodautoscalers", lambda one: one["component"]),
        "budgets": ours(scale.budgets(objects, cast), "poddisruptionbudgets", lambda one: one["components"]),
        "claims": ours(stores.claims(objects, cast, events, text), "persistentvolumeclaims", lambda one: one["used_by"]),
        "quotas": stores.quotas(objects),
        "ranges": stores.ranges(objects),
        "jobs": jobs,
        "jobs_left_out": jobs_left_out,
        "schedules": stores.schedules(objects, cast, events, text),
        "nodes": stores.nodes(objects, cast, text),
        "config": stores.config(objects, cast),
        "secrets": listed(objects, "secretfacts"),
        "usage": scale.usage(objects, cast),
        "volumes": scale.volumes(objects, cast),
        "metrics_api": scale.metrics_api(objects, text),
        "events": told_events(listed(objects, "events"), cast, text),
    }


def workload_fact(objects: Objects, cast: Cast, name: str, workload: Workload, events: dict[Any, dict[str, Any]], text: Text) -> dict[str, Any]:
    """One workload: what it asks for, how far it has come, and its pods."""
    found = workload.whole
    spec, status = found.get("spec") or {}, found.get("status") or {}
    pods = cast.pods.get(name, [])
    template = workload.template or ({"metadata": pods[0]["metadata"], "spec": pods[0]["spec"]} if pods else {"spec": {}})
    meta = {**(template.get("metadata") or {}), "namespace": workload.namespace, "name": workload.name}
    told = {str(pod["metadata"].get("uid")): events.get(str(pod["metadata"].get("uid")), {}) for pod in pods}
    children = [owned["metadata"] for owned in cast.owned(workload)]
    own = [events.get(str(one.get("uid")), {}) for one in [found.get("metadata") or {}, *children]]
    strategy = spec.get("strategy") or spec.get("updateStrategy") or {}
    return {
        "component": name,
        "kind": workload.kind,
        "name": workload.name,
        "namespace": workload.namespace,
        "created_at": read_time((found.get("metadata") or {}).get("creationTimestamp")),
        "changed_at": read_time(changed_at(found)) if found else 0.0,
        "managed_by": managed_by(found, pods, workload),
        "finite": workload.finite,
        "wanted": wanted(workload),
        "ready": status.get("readyReplicas", status.get("numberReady", 0)) or 0,
        "updated": status.get("updatedReplicas", status.get("updatedNumberScheduled", 0)) or 0,
        "available": status.get("availableReplicas", status.get("numberAvailable", 0)) or 0,
        "total": status.get("replicas", status.get("currentNumberScheduled", 0)) or 0,
        "observed": status.get("observedGeneration", 0) >= (found.get("metadata") or {}).get("generation", 0) if found else None,
        "paused": bool(spec.get("paused")),
        "strategy": {
            "type": strategy.get("type") or "",
            "max_unavailable": (strategy.get("rollingUpdate") or {}).get("maxUnavailable"),
            "max_surge": (strategy.get("rollingUpdate") or {}).get("maxSurge"),
            "partition": (strategy.get("rollingUpdate") or {}).get("partition"),
            "deadline": spec.get("progressDeadlineSeconds"),
        },
        "conditions": {
            one["type"]: {
                "status": one.get("status"),
                "reason": one.get("reason") or "",
                "message": text(shortened(one.get("message") or "", 600)),
                "since": read_time(one.get("lastTransitionTime")),
                "updated": read_time(one.get("lastUpdateTime")),
            }
            for one in status.get("conditions") or []
            if workload.kind != "CronJob"
        },
        "revisions": revisions(objects, workload),
        "current_revision": status.get("currentRevision") or "",
        "update_revision": status.get("updateRevision") or "",
        "labels": {key: value for key, value in (meta.get("labels") or {}).items() if key not in ("pod-template-hash", "controller-revision-hash")},
        **template_fact(template.get("spec") or {}, {"metadata": meta, "spec": template.get("spec") or {}}, workload.name),
        "claim_templates": [one["metadata"]["name"] for one in spec.get("volumeClaimTemplates") or []],
        "pods": group_pods(pods, workload.name, told, text),
        "pod_count": len(pods),
        "asked_by_all": asked_by_all(pods),
        "events": _merged(own, text),
    }


def wanted(workload: Workload) -> int | None:
    """How many copies are asked for; None where nobody says."""
    found = workload.whole
    if workload.kind == "DaemonSet":
        return (found.get("status") or {}).get("desiredNumberScheduled")
    if workload.kind in FINITE_KINDS or not found:
        return 1 if workload.kind == "Pod" else None
    return int((found.get("spec") or {}).get("replicas", 1))


def revisions(objects: Objects, workload: Workload) -> list[dict[str, Any]]:
    """The latest revisions, the newest first: [{"revision", "name", "hash", "created_at", "wanted", "ready", "images", "containers", "rest"}].

    containers: {name: {"image", "probes"}}. rest: a hash of all else that its pods are, so that two which differ in their images alone are known.
    """
    key = {"Deployment": "replicasets", "StatefulSet": "controllerrevisions", "DaemonSet": "controllerrevisions"}.get(workload.kind)
    if key is None:
        return []
    found = []
    for one in listed(objects, key):
        owner = owner_of(one)
        if one["metadata"]["namespace"] != workload.namespace or not owner or (owner["kind"], owner["name"]) != (workload.kind, workload.name):
            continue
        labels = one["metadata"].get("labels") or {}
        found.append(
            {
                "revision": revision_of(one),
                "name": one["metadata"]["name"],
                "hash": labels.get("pod-template-hash") or labels.get("controller-revision-hash") or one["metadata"]["name"],
                "created_at": read_time(one["metadata"].get("creationTimestamp")),
                "wanted": (one.get("spec") or {}).get("replicas"),
                "ready": (one.get("status") or {}).get("readyReplicas", 0),
                "images": sorted(images_of(template_of(one))),
                **version_fact(template_of(one)),
            }
        )
    return sorted(found, key=lambda one: -one["revision"])[:MOST_REVISIONS]


def managed_by(found: dict[str, Any], pods: list[dict[str, Any]], workload: Workload) -> list[dict[str, str]]:
    """Who looks after a workload; of one that only its pods tell of, who owns those."""
    owners = None if found or not pods else pods[0]["metadata"].get("ownerReferences")
    return managers(found.get("metadata") or {}, workload.kind, workload.name, owners)


def _merged(found: list[dict[str, dict[str, Any]]], text: Text) -> dict[str, dict[str, Any]]:
    """What events say of an object and of what it owns, by reason."""
    merged: dict[str, dict[str, Any]] = {}
    for told in found:
        for reason, one in told.items():
            seen = merged.get(reason)
            if seen is None or one["last"] > seen["last"]:
                merged[reason] = {**one, "message": text(one["message"]), "count": one["count"] + (seen["count"] if seen else 0)}
    return merged
