# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Autoscalers, disruption budgets, and the figures that they go by. Pure."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.model import why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_cast import Cast
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_common import Text, Told, conditions_of, labels_of, selected
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_common import place as place_of
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_events import event_times
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import Objects, listed, owner_of
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import read_quantity
from ansible_collections.aiops.runbook.plugins.module_utils.times import read_time

METRICS_API = "v1beta1.metrics.k8s.io"
# The changes of an autoscaler that are kept.
MOST_RESCALES = 20


def autoscalers(objects: Objects, cast: Cast, events: Told, text: Text) -> list[dict[str, Any]]:
    """[{"name", "target", "component", "min", "max", "current", "desired", "metrics", "conditions", "rescales": [{"time", "size"}], "by"}]."""
    rescales: dict[str, list[dict[str, Any]]] = {}
    for event in listed(objects, "events"):
        size = re.search(r"New size: (\d+)", event.get("message") or "") if event.get("reason") == "SuccessfulRescale" else None
        if size:
            about = str((event.get("involvedObject") or {}).get("uid"))
            rescales.setdefault(about, []).extend({"time": time, "size": int(size.group(1))} for time in event_times(event, MOST_RESCALES))
    found = []
    for one in listed(objects, "horizontalpodautoscalers"):
        spec, status, place = one.get("spec") or {}, one.get("status") or {}, place_of(one)
        target = spec.get("scaleTargetRef") or {}
        owner = owner_of(one) or next(iter(one["metadata"].get("ownerReferences") or []), {})
        found.append(
            {
                **place,
                "target": {"kind": target.get("kind") or "", "name": target.get("name") or ""},
                "component": cast.names.get((target.get("kind") or "", place["namespace"], target.get("name") or ""), ""),
                "min": spec.get("minReplicas", 1),
                "max": spec.get("maxReplicas"),
                "current": status.get("currentReplicas"),
                "desired": status.get("desiredReplicas"),
                "last_scale_at": read_time(status.get("lastScaleTime")),
                "created_at": read_time(one["metadata"].get("creationTimestamp")),
                "metrics": _metrics(spec.get("metrics") or [], status.get("currentMetrics") or []),
                "conditions": conditions_of(one, text),
                "rescales": sorted(rescales.get(str(one["metadata"].get("uid")), []), key=lambda step: step["time"])[-MOST_RESCALES:],
                "by": "KEDA" if owner.get("kind") == "ScaledObject" or place["name"].startswith("keda-hpa-") else "",
            }
        )
    return found


def _metrics(wanted: list[dict[str, Any]], current: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """[{"type", "name", "target", "kind": percent or value, "current"}]: figures as the API gives them, None where it has none."""
    got = {_metric_name(one): (one.get(_metric_key(one)) or {}).get("current") or {} for one in current if one.get("type")}
    found = []
    for one in wanted:
        target, name = (one.get(_metric_key(one)) or {}).get("target") or {}, _metric_name(one)
        now, by_percent = got.get(name), target.get("averageUtilization") is not None
        value = None if not now else now.get("averageUtilization") if by_percent else read_quantity(now.get("averageValue") or now.get("value"))
        found.append(
            {
                "type": one.get("type") or "",
                "name": name[2],
                "container": name[1],
                "kind": "percent" if by_percent else "value",
                "target": target.get("averageUtilization") if by_percent else read_quantity(target.get("averageValue") or target.get("value")),
                "current": value,
            }
        )
    return found


def _metric_key(one: dict[str, Any]) -> str:
    kind = str(one.get("type") or "")
    return kind[:1].lower() + kind[1:]


def _metric_name(one: dict[str, Any]) -> tuple[str, str, str]:
    """(type, container where it is of one alone, name)."""
    body = one.get(_metric_key(one)) or {}
    return str(one.get("type")), str(body.get("container") or ""), str(body.get("name") or (body.get("metric") or {}).get("name") or "")


def budgets(objects: Objects, cast: Cast) -> list[dict[str, Any]]:
    """[{"name", "components", "allowed", "healthy", "wanted", "expected", "min_available", "max_unavailable"}]."""
    found = []
    for one in listed(objects, "poddisruptionbudgets"):
        spec, status, place = one.get("spec") or {}, one.get("status") or {}, place_of(one)
        picked = [
            name
            for name, work in cast.workloads.items()
            if work.namespace == place["namespace"] and spec.get("selector") and selected(spec["selector"], labels_of(work.template))
        ]
        found.append(
            {
                **place,
                "components": sorted(picked),
                "allowed": status.get("disruptionsAllowed"),
                "healthy": status.get("currentHealthy"),
                "wanted": status.get("desiredHealthy"),
                "expected": status.get("expectedPods"),
                "min_available": spec.get("minAvailable"),
                "max_unavailable": spec.get("maxUnavailable"),
            }
        )
    return found


def usage(objects: Objects, cast: Cast) -> dict[str, dict[str, dict[str, Any]]]:
    """{component: {container: {"cpu": [least, most] in cores, "memory": [least, most] in bytes, "pods"}}}, of the metrics API."""
    named = {(pod["metadata"]["namespace"], pod["metadata"]["name"]): name for name, pods in cast.pods.items() for pod in pods}
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for one in listed(objects, "podmetrics"):
        name = named.get((one["metadata"]["namespace"], one["metadata"]["name"]))
        for container in (one.get("containers") or []) if name else []:
            cpu, memory = (read_quantity((container.get("usage") or {}).get(key)) for key in ("cpu", "memory"))
            seen = found.setdefault(str(name), {}).setdefault(container["name"], {"cpu": [cpu, cpu], "memory": [memory, memory], "pods": 0, "busiest": ""})
            seen["pods"] += 1
            if cpu >= seen["cpu"][1]:
                seen["busiest"] = one["metadata"]["name"]
            seen["cpu"] = [min(seen["cpu"][0], cpu), max(seen["cpu"][1], cpu)]
            seen["memory"] = [min(seen["memory"][0], memory), max(seen["memory"][1], memory)]
    return found


def volumes(objects: Objects, cast: Cast) -> list[dict[str, Any]]:
    """How full the volumes of claims are, where kubelets told: [{"component", "instance", "namespace", "claim", "volume", "used", "capacity"}]."""
    named = {(pod["metadata"]["namespace"], pod["metadata"]["name"]): name for name, pods in cast.pods.items() for pod in pods}
    found = []
    for one in listed(objects, "volumestats"):
        fact = {key: value for key, value in one.items() if key != "pod"}
        name = named.get((one["namespace"], one["pod"]))
        if name:
            found.append({**fact, "component": name, "instance": one["pod"]})
    return found


def metrics_api(objects: Objects, text: Text) -> dict[str, Any]:
    """{"registered": whether an APIService offers it (None: not allowed to see), "available", "reason", "message", "answers", "why"}."""
    why = why_unseen(objects.get("podmetrics"))
    seen = not why_unseen(objects.get("apiservices"))
    service = next((one for one in listed(objects, "apiservices") if one["metadata"]["name"] == METRICS_API), None)
    available = conditions_of(service, text).get("Available", {}) if service else {}
    return {
        "registered": (service is not None) if seen else None,
        "available": available.get("status") == "True" if service else None,
        "reason": available.get("reason", ""),
        "message": available.get("message", ""),
        "answers": why is None,
        "why": why,
    }
