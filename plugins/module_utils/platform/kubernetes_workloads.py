# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who owns the pods of a namespace, and what has been changed there: workloads, their pods and their revisions. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import Objects, listed, owner_of
from ansible_collections.aiops.runbook.plugins.module_utils.times import read_time

# Kind of a workload: the key of its list.
WORKLOADS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets", "CronJob": "cronjobs", "Job": "jobs"}
FINITE_KINDS = ("Job", "CronJob")
REVISION = "deployment.kubernetes.io/revision"
RESTARTED = "kubectl.kubernetes.io/restartedAt"


@dataclass
class Workload:
    """What makes pods: kind and name, the object itself where it could be read, and the pods that count."""

    kind: str
    namespace: str
    name: str
    found: dict[str, Any] | None = None
    pods: list[dict[str, Any]] = field(default_factory=list)

    @property
    def finite(self) -> bool:
        return self.kind in FINITE_KINDS

    @property
    def template(self) -> dict[str, Any] | None:
        """The pod template; None where the workload could not be read."""
        spec = (self.found or {}).get("spec") or {}
        if self.kind == "CronJob":
            spec = (spec.get("jobTemplate") or {}).get("spec") or {}
        return spec.get("template")


def workloads_of(objects: Objects) -> list[Workload]:
    """Every workload with its pods, one without pods too; bare pods are workloads of their own."""
    found: dict[tuple[str, str, str], Workload] = {}
    for kind, key in WORKLOADS.items():
        for one in listed(objects, key):
            if kind == "Job" and (owner_of(one) or {}).get("kind") == "CronJob":
                continue
            place = (kind, one["metadata"]["namespace"], one["metadata"]["name"])
            found[place] = Workload(*place, found=one)
    owners = {
        kind: {(one["metadata"]["namespace"], one["metadata"]["name"]): owner_of(one) for one in listed(objects, kind)} for kind in ("replicasets", "jobs")
    }
    for pod in listed(objects, "pods"):
        place = workload_of(pod, owners)
        found.setdefault(place, Workload(*place)).pods.append(pod)
    for workload in found.values():
        workload.pods = pods_that_count(workload)
    return [one for _place, one in sorted(found.items())]


def workload_of(pod: dict[str, Any], owners: dict[str, dict[tuple[str, str], dict[str, Any] | None]]) -> tuple[str, str, str]:
    """(kind, namespace, name) of what the pod belongs to in the end."""
    namespace = pod["metadata"]["namespace"]
    owner = owner_of(pod)
    if owner is None or owner["kind"] == "Node":
        return "Pod", namespace, pod["metadata"]["name"]
    if owner["kind"] == "ReplicaSet":
        above = owners["replicasets"].get((namespace, owner["name"]))
        if above:
            return above["kind"], namespace, above["name"]
        digest = (pod["metadata"].get("labels") or {}).get("pod-template-hash")
        if digest and owner["name"].endswith("-" + digest):
            return "Deployment", namespace, owner["name"][: -len(digest) - 1]
    if owner["kind"] == "Job":
        above = owners["jobs"].get((namespace, owner["name"]))
        if above:
            return above["kind"], namespace, above["name"]
    return owner["kind"], namespace, owner["name"]


def pods_that_count(workload: Workload) -> list[dict[str, Any]]:
    """The pods that stand for a workload now: not those on their way out, not what an eviction or an earlier attempt left behind."""
    staying = [pod for pod in workload.pods if not pod["metadata"].get("deletionTimestamp")] or workload.pods
    if workload.finite:
        newest = sorted(staying, key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""))
        done = [pod for pod in newest if (pod.get("status") or {}).get("phase") == "Succeeded"]
        return newest[-1:] if not done or newest[-1] is not done[-1] and workload.kind == "CronJob" else done[-1:]
    if workload.kind == "Pod":
        return staying
    return [pod for pod in staying if (pod.get("status") or {}).get("phase") not in ("Failed", "Succeeded")] or staying[-1:]


def name_components(workloads: list[Workload]) -> dict[int, str]:
    """What each workload is called as a component, by its place: its own name where that is the only one."""
    names: dict[int, str] = {}
    used: dict[str, int] = {}
    # Of two that share a name, the one that serves bears it.
    for place in sorted(range(len(workloads)), key=lambda place: (workloads[place].finite, place)):
        one = workloads[place]
        for name in (one.name, "%s.%s" % (one.name, one.namespace), "%s.%s.%s" % (one.name, one.kind.lower(), one.namespace)):
            if name not in used:
                used[name] = place
                names[place] = name
                break
    return names


def changes_of(objects: Objects, components: dict[tuple[str, str, str], str], since: float) -> list[dict[str, Any]]:
    """Revisions made since, as events: [{"time", "component", "instance", "action": "rollout", "detail"}]."""
    found = []
    for kind, key in (("Deployment", "replicasets"), ("StatefulSet", "controllerrevisions"), ("DaemonSet", "controllerrevisions")):
        by_owner: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        for one in listed(objects, key):
            owner = owner_of(one)
            if owner and owner["kind"] == kind:
                by_owner.setdefault((kind, one["metadata"]["namespace"], owner["name"]), []).append(one)
        for place, revisions in by_owner.items():
            revisions.sort(key=revision_of)
            for before, after in zip([None, *revisions], revisions):
                time = read_time(after["metadata"].get("creationTimestamp"))
                if before is None or time < since or place not in components:
                    continue
                was, now = template_of(before), template_of(after)
                parts = changed_parts(was, now)
                detail = {"revision": revision_of(after), "changed": ",".join(parts)}
                if "image" in parts:
                    detail["image"] = "%s -> %s" % (",".join(sorted(images_of(was))), ",".join(sorted(images_of(now))))
                found.append({"time": time, "component": components[place], "instance": "", "action": "rollout", "detail": detail})
    return found


def revision_of(found: dict[str, Any]) -> int:
    text = (found["metadata"].get("annotations") or {}).get(REVISION)
    return int(str(text)) if str(text or "").isdigit() else int(found.get("revision") or 0)


def template_of(found: dict[str, Any]) -> dict[str, Any]:
    """The pod template of a ReplicaSet or ControllerRevision."""
    spec = found.get("spec") or (found.get("data") or {}).get("spec") or {}
    return dict(spec.get("template") or {})


def images_of(template: dict[str, Any]) -> set[str]:
    return {str(one.get("image") or "") for one in (template.get("spec") or {}).get("containers") or []}


def changed_parts(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Which parts of the containers differ between two templates: image, env, resources, …; "restart" for a restart alone."""
    parts = set()
    old = {one["name"]: one for one in (before.get("spec") or {}).get("containers") or []}
    for one in (after.get("spec") or {}).get("containers") or []:
        was = old.get(one["name"], {})
        parts |= {key for key in {*was, *one} if was.get(key) != one.get(key)}
    outer = [{key: value for key, value in (found.get("spec") or {}).items() if key != "containers"} for found in (before, after)]
    parts |= {key for key in {*outer[0], *outer[1]} if outer[0].get(key) != outer[1].get(key)}
    if not parts and (before.get("metadata") or {}).get("annotations") != (after.get("metadata") or {}).get("annotations"):
        restarted = [((found.get("metadata") or {}).get("annotations") or {}).get(RESTARTED) for found in (before, after)]
        parts.add("restart" if restarted[0] != restarted[1] else "annotations")
    return sorted(parts)
