# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Volumes, quotas, nodes, ConfigMaps and Jobs of a namespace. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.model import why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_cast import Cast
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_common import Text, Told, conditions_of
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_common import place as place_of
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_pods import references
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import Objects, changed_at, listed, owner_of
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import read_quantity
from ansible_collections.aiops.runbook.plugins.module_utils.times import read_time

DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
MEASURED = ("cpu", "memory", "pods", "ephemeral-storage")
# Jobs that are told: the latest of each schedule, and those of their own, the unfinished and the failed first.
MOST_RUNS = 3
MOST_JOBS = 100


def claims(objects: Objects, cast: Cast, events: Told, text: Text) -> list[dict[str, Any]]:
    """[{"name", "phase", "class", "class_known", "binding", "volume", "requested", "used_by", "created_at", "events"}]."""
    classes = {one["metadata"]["name"]: one for one in listed(objects, "storageclasses")}
    seen = not why_unseen(objects.get("storageclasses"))
    marked = [name for name, one in classes.items() if any((one["metadata"].get("annotations") or {}).get(key) == "true" for key in DEFAULT_CLASS)]
    users: dict[tuple[str, str], set[str]] = {}
    for name, pods in cast.pods.items():
        for pod in pods[:200]:
            for volume in pod["spec"].get("volumes") or []:
                claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
                if claim:
                    users.setdefault((pod["metadata"]["namespace"], claim), set()).add(name)
    for name, work in cast.workloads.items():
        for volume in ((work.template or {}).get("spec") or {}).get("volumes") or []:
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if claim:
                users.setdefault((work.namespace, claim), set()).add(name)
    found = []
    for one in listed(objects, "persistentvolumeclaims"):
        spec, status, place = one.get("spec") or {}, one.get("status") or {}, place_of(one)
        asked = spec.get("storageClassName")
        chosen: str = (marked or [""])[0] if asked is None else asked
        told = events.get(str(one["metadata"].get("uid")), {})
        found.append(
            {
                **place,
                "phase": status.get("phase") or "",
                "class": chosen,
                "asked_class": asked,
                "class_known": chosen in classes if seen else None,
                "classes": sorted(classes)[:10],
                "provisioner": (classes.get(chosen) or {}).get("provisioner") or "",
                "binding": (classes.get(chosen) or {}).get("volumeBindingMode") or "",
                "volume": spec.get("volumeName") or "",
                "modes": spec.get("accessModes") or [],
                "requested": read_quantity(((spec.get("resources") or {}).get("requests") or {}).get("storage")),
                "used_by": sorted(users.get((place["namespace"], place["name"]), ())),
                "created_at": read_time(one["metadata"].get("creationTimestamp")),
                "deleting": bool(one["metadata"].get("deletionTimestamp")),
                "events": {reason: {**event, "message": text(event["message"])} for reason, event in told.items()},
            }
        )
    known = {(one["namespace"], one["name"]) for one in found}
    if not why_unseen(objects.get("persistentvolumeclaims")):
        for (namespace, name), who in sorted(users.items()):
            if (namespace, name) not in known:
                found.append({"name": name, "namespace": namespace, "phase": "Missing", "used_by": sorted(who), "events": {}, "created_at": 0.0})
    return found


def quotas(objects: Objects) -> list[dict[str, Any]]:
    """[{"name", "namespace", "resources": {name: {"hard", "used", "percent"}}}]."""
    found = []
    for one in listed(objects, "resourcequotas"):
        status = one.get("status") or {}
        resources = {}
        for name, hard in (status.get("hard") or {}).items():
            limit, used = read_quantity(hard), read_quantity((status.get("used") or {}).get(name))
            resources[name] = {"hard": hard, "used": (status.get("used") or {}).get(name), "percent": round(100.0 * used / limit, 1) if limit else 100.0}
        found.append({**place_of(one), "resources": resources})
    return found


def ranges(objects: Objects) -> list[dict[str, Any]]:
    """The LimitRanges: [{"name", "namespace", "limits": as the API gives them}]."""
    return [{**place_of(one), "limits": (one.get("spec") or {}).get("limits") or []} for one in listed(objects, "limitranges")]


def config(objects: Objects, cast: Cast) -> list[dict[str, Any]]:
    """The ConfigMaps that the workloads name: [{"kind", "name", "namespace", "keys", "changed_at", "immutable", "used_by": [{"component", "how"}]}]."""
    users: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name, work in cast.workloads.items():
        spec: dict[str, Any] = (work.template or {}).get("spec") or next((pod["spec"] for pod in cast.pods.get(name, [])), {})
        for ref in references(spec):
            if ref["kind"] == "ConfigMap":
                users.setdefault((work.namespace, ref["name"]), []).append({"component": name, "how": ref["how"], "keys": ref["keys"]})
    found = []
    for one in listed(objects, "configmaps"):
        place = place_of(one)
        who = users.get((place["namespace"], place["name"]))
        if who:
            keys = sorted({*(one.get("data") or {}), *(one.get("binaryData") or {})})
            found.append(
                {"kind": "ConfigMap", **place, "keys": keys, "changed_at": read_time(changed_at(one)), "immutable": bool(one.get("immutable")), "used_by": who}
            )
    return found


def nodes(objects: Objects, cast: Cast, text: Text) -> dict[str, dict[str, Any]]:
    """{name: {"ready", "reason", "message", "since", "pressures", "cordoned", "taints", "allocatable", "requests", "limits", "components"}}.

    Of a large cluster only the nodes that bear pods of this stack, and those that are not well. requests, limits: of this stack's pods there.
    """
    placed: dict[str, dict[str, Any]] = {}
    for name, pods in cast.pods.items():
        for pod in pods:
            node = pod["spec"].get("nodeName")
            if not node or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                continue
            one = placed.setdefault(node, {"components": {}, "requests": {}, "limits": {}})
            one["components"][name] = one["components"].get(name, 0) + 1
            for container in pod["spec"].get("containers") or []:
                for what in ("requests", "limits"):
                    for resource, amount in ((container.get("resources") or {}).get(what) or {}).items():
                        one[what][resource] = one[what].get(resource, 0.0) + read_quantity(amount)
    found: dict[str, dict[str, Any]] = {}
    for one in listed(objects, "nodes"):
        name, spec, status = one["metadata"]["name"], one.get("spec") or {}, one.get("status") or {}
        conditions = conditions_of(one, text)
        ready = conditions.get("Ready") or {"status": None, "reason": "", "message": "", "since": 0.0}
        pressures = [kind for kind in PRESSURES if (conditions.get(kind) or {}).get("status") == "True"]
        if name not in placed and ready["status"] == "True" and not pressures and not spec.get("unschedulable") and len(found) >= 20:
            continue
        found[name] = {
            "ready": ready["status"] == "True",
            "reason": ready["reason"],
            "message": ready["message"],
            "since": ready["since"],
            "pressures": {kind: conditions[kind]["message"] for kind in pressures},
            "cordoned": bool(spec.get("unschedulable")),
            "taints": [{key: taint.get(key) or "" for key in ("key", "value", "effect")} for taint in spec.get("taints") or []],
            "allocatable": {key: read_quantity(value) for key, value in (status.get("allocatable") or {}).items() if key in MEASURED},
            "architecture": (status.get("nodeInfo") or {}).get("architecture") or "",
            **placed.get(name, {"components": {}, "requests": {}, "limits": {}}),
        }
    return found


def jobs(objects: Objects, cast: Cast, text: Text) -> tuple[list[dict[str, Any]], int]:
    """(the latest Jobs of each schedule and those that none owns, how many of these were left out though they did not succeed).

    One that has ended and that a later run of the same work follows is not told.

    By their age: [{"name", "component", "schedule", "active", "failed", "succeeded", "suspended", "conditions", "started_at", "finished_at"}].
    """
    found = []
    for one in listed(objects, "jobs"):
        if (one["metadata"]["namespace"], one["metadata"]["name"]) in cast.followed:
            continue
        spec, status, place, owner = one.get("spec") or {}, one.get("status") or {}, place_of(one), owner_of(one)
        by_schedule = owner["name"] if owner and owner["kind"] == "CronJob" else ""
        found.append(
            {
                **place,
                "component": cast.named("Job", place["namespace"], place["name"]),
                "schedule": by_schedule,
                "active": status.get("active", 0),
                "ready": status.get("ready", 0),
                "failed": status.get("failed", 0),
                "succeeded": status.get("succeeded", 0),
                "wanted": spec.get("completions", 1),
                "backoff_limit": spec.get("backoffLimit", 6),
                "deadline": spec.get("activeDeadlineSeconds"),
                "suspended": bool(spec.get("suspend")),
                "created_at": read_time(one["metadata"].get("creationTimestamp")),
                "started_at": read_time(status.get("startTime")),
                "finished_at": read_time(status.get("completionTime")),
                "conditions": conditions_of(one, text),
            }
        )
    # The history of one schedule must not push out another's, nor what runs but once.
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for job in sorted(found, key=lambda job: -job["created_at"]):
        runs.setdefault((job["namespace"], job["schedule"]), []).append(job)
    alone = sorted((job for (_place, schedule), some in runs.items() if not schedule for job in some), key=lambda job: (_succeeded(job), -job["created_at"]))
    shown = alone[:MOST_JOBS] + [job for (_place, schedule), some in runs.items() if schedule for job in some[:MOST_RUNS]]
    return sorted(shown, key=lambda job: job["created_at"]), sum(1 for job in alone[MOST_JOBS:] if not _succeeded(job))


def _succeeded(job: dict[str, Any]) -> bool:
    return (job["conditions"].get("Complete") or {}).get("status") == "True"


def schedules(objects: Objects, cast: Cast, events: Told, text: Text) -> list[dict[str, Any]]:
    """The CronJobs: [{"name", "component", "schedule", "time_zone", "suspended", "last_at", "last_success_at", "active", "starting_deadline", …}]."""
    found = []
    for one in listed(objects, "cronjobs"):
        spec, status, place = one.get("spec") or {}, one.get("status") or {}, place_of(one)
        told = events.get(str(one["metadata"].get("uid")), {})
        found.append(
            {
                **place,
                "component": cast.names.get(("CronJob", place["namespace"], place["name"]), place["name"]),
                "schedule": spec.get("schedule") or "",
                "time_zone": spec.get("timeZone") or "",
                "suspended": bool(spec.get("suspend")),
                "policy": spec.get("concurrencyPolicy") or "Allow",
                "starting_deadline": spec.get("startingDeadlineSeconds"),
                "created_at": read_time(one["metadata"].get("creationTimestamp")),
                "changed_at": read_time(changed_at(one)),
                "last_at": read_time(status.get("lastScheduleTime")),
                "last_success_at": read_time(status.get("lastSuccessfulTime")),
                "active": len(status.get("active") or []),
                "events": {reason: {**event, "message": text(event["message"])} for reason, event in told.items()},
            }
        )
    return found
