# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who owns the pods of a namespace, and what has been changed there: workloads, their pods and their revisions. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import Objects, listed, owner_of
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import app_containers, image_name, probe_of
from ansible_collections.aiops.runbook.plugins.module_utils.times import read_time

# Kind of a workload: the key of its list.
WORKLOADS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets", "CronJob": "cronjobs", "Job": "jobs"}
FINITE_KINDS = ("Job", "CronJob")
ENDING = ("Never", "OnFailure")
REVISION = "deployment.kubernetes.io/revision"
ROLLOUT_REVISION = "rollout.argoproj.io/revision"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
# What tells the runs of one Job apart at the end of their names: a number, a version, a date, a digest, or what the API server makes up (no vowels in it).
RUN = re.compile(r"(?:-(?:v?\d+(?:\.\d+)*|(?=[^-]*\d)(?:[bcdfghjklmnpqrstvwxz2-9]{5,10}|[0-9a-f]{6,64})))+$")
# Labels that say which thing of an application an object is; the version of it is another one in each run.
LABELS, VERSION = "app.kubernetes.io/", "app.kubernetes.io/version"


@dataclass
class Workload:
    """What makes pods: kind and name, the object itself where it could be read, and the pods that count.

    sets: the ReplicaSets of one whose own kind is not read (an Argo Rollout), the newest of those that want pods last.
    """

    kind: str
    namespace: str
    name: str
    found: dict[str, Any] | None = None
    pods: list[dict[str, Any]] = field(default_factory=list)
    sets: list[dict[str, Any]] = field(default_factory=list)

    @property
    def finite(self) -> bool:
        """Whether it does its work and ends. Of a bare pod and of what a custom kind makes, that nothing starts it again after that says so."""
        return self.kind in FINITE_KINDS or self.supposed

    @property
    def supposed(self) -> bool:
        """Whether the pods' own word is all that says that it is finite; what is asked whether it serves is to stay."""
        if self.kind in WORKLOADS or not self.pods:
            return False
        ends = all((pod["spec"].get("restartPolicy") or "Always") in ENDING for pod in self.pods)
        return ends and not any(probe_of(one) for pod in self.pods for one in app_containers(pod, self.name))

    @property
    def whole(self) -> dict[str, Any]:
        """The object, or what its ReplicaSets together tell of one whose own kind is not read; {} where there is neither."""
        if self.found or not self.sets:
            return self.found or {}
        newest = self.sets[-1]
        told = [one.get("status") or {} for one in self.sets]
        status: dict[str, Any] = {key: sum(int(one.get(key) or 0) for one in told) for key in ("replicas", "readyReplicas", "availableReplicas")}
        status.update({"updatedReplicas": int(told[-1].get("replicas") or 0), "conditions": told[-1].get("conditions") or []})
        return {
            "metadata": {key: newest["metadata"].get(key) for key in ("creationTimestamp", "managedFields", "ownerReferences")},
            "spec": {"replicas": sum(copies_of(one) for one in self.sets), "template": (newest.get("spec") or {}).get("template")},
            "status": status,
        }

    @property
    def template(self) -> dict[str, Any] | None:
        """The pod template; None where the workload could not be read."""
        spec = self.whole.get("spec") or {}
        if self.kind == "CronJob":
            spec = (spec.get("jobTemplate") or {}).get("spec") or {}
        return spec.get("template")


def workloads_of(objects: Objects) -> list[Workload]:
    """Every workload with its pods, one without pods too; bare pods are workloads of their own."""
    found: dict[tuple[str, str, str], Workload] = {}
    over = followed_jobs(objects)
    for kind, key in WORKLOADS.items():
        for one in listed(objects, key):
            place = (kind, one["metadata"]["namespace"], one["metadata"]["name"])
            if kind == "Job" and ((owner_of(one) or {}).get("kind") == "CronJob" or place[1:] in over):
                continue
            found[place] = Workload(*place, found=one)
    for one in sorted(listed(objects, "replicasets"), key=lambda one: (copies_of(one) > 0, revision_of(one), str(one["metadata"].get("creationTimestamp")))):
        owner = owner_of(one)
        if owner and owner["kind"] not in WORKLOADS:
            place = (owner["kind"], one["metadata"]["namespace"], owner["name"])
            found.setdefault(place, Workload(*place)).sets.append(one)
        elif not owner and copies_of(one):  # of one that nobody owns and that is to make nothing, nobody wants anything
            place = ("ReplicaSet", one["metadata"]["namespace"], one["metadata"]["name"])
            found[place] = Workload(*place, found=one)
    owners = {
        kind: {(one["metadata"]["namespace"], one["metadata"]["name"]): owner_of(one) for one in listed(objects, kind)} for kind in ("replicasets", "jobs")
    }
    for pod in listed(objects, "pods"):
        place = workload_of(pod, owners)
        if place[0] != "Job" or place[1:] not in over:
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
        if (namespace, owner["name"]) in owners["replicasets"]:
            above = owners["replicasets"][(namespace, owner["name"])] or owner
            return above["kind"], namespace, above["name"]
        digest = (pod["metadata"].get("labels") or {}).get("pod-template-hash")
        if digest and owner["name"].endswith("-" + digest):
            return "Deployment", namespace, owner["name"][: -len(digest) - 1]
    if owner["kind"] == "Job":
        schedule = owners["jobs"].get((namespace, owner["name"]))
        if schedule and schedule["kind"] == "CronJob":  # whoever else makes Jobs is no job itself: it may have servers, too
            return schedule["kind"], namespace, schedule["name"]
    return owner["kind"], namespace, owner["name"]


def pods_that_count(workload: Workload) -> list[dict[str, Any]]:
    """The pods that stand for a workload now: not those on their way out, not what an eviction or an earlier attempt left behind."""
    staying = [pod for pod in workload.pods if not pod["metadata"].get("deletionTimestamp")] or workload.pods
    newest = sorted(staying, key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""))
    if workload.kind in FINITE_KINDS:
        done = [pod for pod in newest if (pod.get("status") or {}).get("phase") == "Succeeded"]
        return newest[-1:] if not done or newest[-1] is not done[-1] and workload.kind == "CronJob" else done[-1:]
    if workload.kind == "Pod":
        return staying
    return [pod for pod in staying if (pod.get("status") or {}).get("phase") not in ("Failed", "Succeeded")] or newest[-1:]


def followed_jobs(objects: Objects) -> set[tuple[str, str]]:
    """(namespace, name) of each Job that has ended and that a later one of its series follows: how it ended says nothing of now.

    Which Jobs of a schedule count is its CronJob's to say.
    """
    series: dict[Any, list[dict[str, Any]]] = {}
    for one in listed(objects, "jobs"):
        if (owner_of(one) or {}).get("kind") != "CronJob":
            series.setdefault(series_of(one), []).append(one)
    found = set()
    for runs in series.values():
        latest = max(read_time(one["metadata"].get("creationTimestamp")) for one in runs)
        for one in runs:
            made, ended = read_time(one["metadata"].get("creationTimestamp")), ended_at(one)
            # What was made beside it may do another part of the work; an owner makes one after the other without an end.
            if ended is not None and latest > (made if owner_of(one) else max(made, ended)):
                found.add((one["metadata"]["namespace"], one["metadata"]["name"]))
    return found


def series_of(job: dict[str, Any]) -> Any:
    """What the Jobs have in common that are runs of the same work: who owns them, and what they are called but for the run's own ending."""
    meta, spec, owner = job["metadata"], (job.get("spec") or {}).get("template", {}).get("spec") or {}, owner_of(job)
    generated = meta.get("generateName") or ""
    base = generated.rstrip("-") or RUN.sub("", meta["name"])
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    images = sorted(image_name(one.get("image") or "") for one in containers)
    if owner:
        return meta["namespace"], owner["kind"], owner["name"], base
    if generated:
        return meta["namespace"], "", base, json.dumps([images, [one.get("command") for one in containers]])
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key.startswith(LABELS) and key != VERSION}
    program = [images, [[one.get("command"), one.get("args")] for one in containers]]
    return meta["namespace"], "", base, json.dumps(labels or program, sort_keys=True)


def ended_at(job: dict[str, Any]) -> float | None:
    """When a Job was done or gave up, as a UNIX time; None while it has not ended."""
    conditions = (job.get("status") or {}).get("conditions") or []
    over = next((one for one in conditions if one.get("type") in ("Complete", "Failed") and one.get("status") == "True"), None)
    return read_time(over.get("lastTransitionTime") or job["metadata"].get("creationTimestamp")) if over else None


def copies_of(replicaset: dict[str, Any]) -> int:
    """How many pods a ReplicaSet is to make."""
    wanted = (replicaset.get("spec") or {}).get("replicas")
    return 1 if wanted is None else int(wanted)


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
    notes = found["metadata"].get("annotations") or {}
    text = notes.get(REVISION) or notes.get(ROLLOUT_REVISION)
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
