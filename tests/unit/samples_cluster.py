"""A namespace as a Kubernetes API gives it, and what is observed of it: small enough to read in a table of cases."""

from __future__ import annotations

import datetime
from typing import Any

from samples import NOW, component, instance, stack

from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes import judge_kubernetes
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.model import Clear, Finding, Unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes import compact

HASH = "abc123"


def ago(seconds: float) -> str:
    """The time so many seconds before now, as the API writes it."""
    return datetime.datetime.fromtimestamp(NOW - seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def meta(name: str, seconds: float = 3600, owner: tuple[str, str] | None = None, **more: Any) -> dict[str, Any]:
    found = {"name": name, "namespace": "shop", "uid": "uid-" + name, "creationTimestamp": ago(seconds), **more}
    if owner:
        found["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "controller": True, "apiVersion": "apps/v1"}]
    return found


def deployment(name: str = "api", replicas: int = 1, container: dict[str, Any] | None = None, pod_spec: Any = None, **more: Any) -> dict[str, Any]:
    """more: status, conditions (type: [status, reason, message, seconds ago]), meta, spec."""
    one = {"name": name, "image": "shop/%s:1" % name, "ports": [{"name": "http", "containerPort": 8000}], **(container or {})}
    conditions = {"Progressing": ["True", "NewReplicaSetAvailable", "", 3000], **more.get("conditions", {})}
    return {
        "metadata": {**meta(name, 4000), **more.get("meta", {})},
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": 60,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [one], **(pod_spec or {})}},
            **more.get("spec", {}),
        },
        "status": {
            **dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), replicas),
            **more.get("status", {}),
            "conditions": [
                {"type": kind, "status": some[0], "reason": some[1], "message": some[2], "lastTransitionTime": ago(some[3])}
                for kind, some in conditions.items()
            ],
        },
    }


def replicaset(name: str = "api", digest: str = HASH, revision: int = 1, seconds: float = 4000, **more: Any) -> dict[str, Any]:
    found = meta("%s-%s" % (name, digest), seconds, ("Deployment", name), labels={"app": name, "pod-template-hash": digest})
    found["annotations"] = {"deployment.kubernetes.io/revision": str(revision)}
    return {
        "metadata": found,
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": name, "image": "shop/%s:1" % name}]}}, **more},
        "status": {},
    }


RUNS: dict[str, Any] = {"state": {"running": {"startedAt": ago(3590)}}, "ready": True, "started": True, "restartCount": 0, "imageID": "sha256:11"}


def waits(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}, "ready": False, "started": False, "restartCount": 0, **more}


def ended(code: int, lived: float = 10, seconds: float = 5, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"exitCode": code, "reason": reason, "message": message, "startedAt": ago(seconds + lived), "finishedAt": ago(seconds)}


def pod(name: str = "api", status: dict[str, Any] | None = None, number: int = 1, seconds: float = 3600, **more: Any) -> dict[str, Any]:
    """A pod of a Deployment. status: of its container. more: phase, unscheduled (message), init (status), deleting (seconds), node, spec, …"""
    told, digest = status or RUNS, more.get("digest", HASH)
    ready = bool(told.get("ready"))
    conditions = [{"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": ago(more.get("ready_since", seconds - 20))}]
    unscheduled = more.get("unscheduled")
    why = {"status": "False", "reason": "Unschedulable", "message": unscheduled} if unscheduled else {"status": "True"}
    conditions.append({"type": "PodScheduled", **why})
    found = meta("%s-%s-%d" % (name, digest, number), seconds, ("ReplicaSet", "%s-%s" % (name, digest)), labels={"app": name, "pod-template-hash": digest})
    if "deleting" in more:
        found.update({"deletionTimestamp": ago(more["deleting"]), "finalizers": more.get("finalizers", [])})
    spec = {"nodeName": "" if unscheduled else more.get("node", "n1"), "containers": [{"name": name, "image": "shop/%s:1" % name, **more.get("container", {})}]}
    result: dict[str, Any] = {"metadata": found, "spec": {**spec, **more.get("spec", {})}}
    result["status"] = {"phase": more.get("phase", "Running" if ready else "Pending"), "conditions": conditions, **more.get("pod_status", {})}
    if not unscheduled:
        result["status"]["containerStatuses"] = [{"name": name, **told}]
    if "init" in more:
        result["spec"]["initContainers"] = [{"name": "prepare", "image": "shop/init:1"}]
        result["status"]["initContainerStatuses"] = [{"name": "prepare", **more["init"]}]
    return result


def event(kind: str, name: str, reason: str, message: str = "", seconds: float = 30, count: int = 3, **more: Any) -> dict[str, Any]:
    return {
        "metadata": meta("%s.%s" % (name, reason), seconds),
        "involvedObject": {"kind": kind, "name": name, "namespace": "shop", "uid": "uid-" + name},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "lastTimestamp": ago(seconds),
        "firstTimestamp": ago(seconds + 100),
        "count": count,
        **more,
    }


def node(name: str = "n1", ready: bool = True, cpu: str = "4", memory: str = "8Gi", **more: Any) -> dict[str, Any]:
    conditions = [
        {"type": "Ready", "status": "True" if ready else "Unknown", "reason": "KubeletReady", "lastTransitionTime": ago(100)},
        *more.get("conditions", []),
    ]
    return {"metadata": {"name": name}, "spec": more.get("spec", {}), "status": {"allocatable": {"cpu": cpu, "memory": memory}, "conditions": conditions}}


def service(name: str = "api", selector: dict[str, str] | None = None, port: int = 80, target: Any = 8000, ready: int = 1, **spec: Any) -> list[dict[str, Any]]:
    """[the Service, its slice]."""
    ends = [
        {"addresses": ["10.0.0.%d" % number], "conditions": {"ready": number < ready}, "targetRef": {"name": "p%d" % number}} for number in range(max(1, ready))
    ]
    return [
        {
            "metadata": meta(name),
            "spec": {"selector": selector or {"app": name}, "clusterIP": "10.96.0.9", "ports": [{"port": port, "targetPort": target}], **spec},
        },
        {"metadata": meta(name + "-x", labels={"kubernetes.io/service-name": name}), "endpoints": ends, "ports": [{"port": 8000}]},
    ]


def objects(*found: dict[str, Any], **kinds: Any) -> dict[str, Any]:
    """The API's answer: Deployments, ReplicaSets and pods by what they look like, other kinds by name; every other kind is empty."""
    all_kinds = (
        "deployments replicasets pods statefulsets daemonsets jobs cronjobs services endpointslices configmaps events nodes ingresses networkpolicies "
        "horizontalpodautoscalers poddisruptionbudgets resourcequotas limitranges persistentvolumeclaims storageclasses apiservices podmetrics serviceaccounts"
    )
    result: dict[str, Any] = {kind: [] for kind in all_kinds.split()}
    result["nodes"] = [node()]
    for one in found:
        owner = (one["metadata"].get("ownerReferences") or [{}])[0].get("kind")
        result["pods" if "containers" in one["spec"] else "replicasets" if owner == "Deployment" else "deployments"].append(one)
    return {**result, **kinds}


def seen(*found: dict[str, Any], roles: dict[str, str] | None = None, parts: dict[str, Any] | None = None, **kinds: Any) -> dict[str, Any]:
    """Observations of these objects. roles: of components, api by default. parts: further keys of the document. A component's copies run where its pods do."""
    given = objects(*found, **kinds)
    facts = compact(given, "shop", NOW)
    components = []
    for name, work in facts["workloads"].items():
        copies = [
            instance(group["names"][0], state="running" if group["started"] else "created", listening=[8000], started_at=(group["started"] or [0.0])[0])
            for group in work["pods"]
        ]
        role = (roles or {}).get(name, "api")
        one = component(name, role, *copies)
        components.append({**one, "instances": copies})
    return stack(*components, platform="kubernetes", kubernetes=facts, **(parts or {}))


def judged(document: dict[str, Any]) -> list[tuple[str, str]]:
    """The findings of this domain, as (id, component)."""
    return sorted((one.id, one.component) for one in judge_kubernetes(document, Limits()) if isinstance(one, Finding))


def answers(document: dict[str, Any], kind: type = Finding) -> dict[str, Any]:
    """{id: answer} of one kind."""
    return {one.id: one for one in judge_kubernetes(document, Limits()) if isinstance(one, kind)}


__all__ = ["NOW", "Clear", "Finding", "Unseen"]
