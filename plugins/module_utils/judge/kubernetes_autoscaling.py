# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on autoscalers: can they see what they go by, and do they have room to act? One at its minimum is well."""

from __future__ import annotations

import re
from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import HIGH, INFO, MEDIUM, WARNING, Clear, Finding, Unseen

IDS = (
    "autoscaling.no_metrics",
    "autoscaling.no_requests",
    "autoscaling.metric_unknown",
    "autoscaling.target_missing",
    "autoscaling.at_maximum",
    "autoscaling.flapping",
)
NO_REQUEST = re.compile(r"missing request for (\w+) in container (\S+)|missing request for (\w+)")
NO_API = re.compile(
    r"could not find the requested resource|unable to (?:fetch|get) metrics|server is currently unable|no metrics known|failed to get .* metrics", re.IGNORECASE
)
# A controller looks every 15 seconds; what it has just been given it has not seen yet.
YOUNG_SECONDS = 60


@judges(*IDS, domain=kube.DOMAIN)
def autoscalers(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Each autoscaler, told apart: what it scales, what it is told, and how it has acted lately."""
    yield from kube.hidden(seen, "horizontalpodautoscalers", "autoscaling.metric_unknown", "autoscaling.at_maximum")
    for scaler in kube.facts(seen)["autoscalers"]:
        component = scaler["component"] or "autoscaler/" + scaler["name"]
        evidence: dict[str, Any] = {
            "autoscaler": scaler["name"],
            "namespace": scaler["namespace"],
            "target": "%s/%s" % (scaler["target"]["kind"].lower(), scaler["target"]["name"]),
            "current": scaler["current"],
            "desired": scaler["desired"],
            "min": scaler["min"],
            "max": scaler["max"],
            "metrics": [_figure(one) for one in scaler["metrics"]],
        }
        found = list(_judge(seen, scaler, component, evidence, limits))
        yield from found
        if not found:
            yield Clear("autoscaling.metric_unknown", component, evidence)


def _judge(seen: dict[str, Any], scaler: dict[str, Any], component: str, evidence: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    able, active = scaler["conditions"].get("AbleToScale") or {}, scaler["conditions"].get("ScalingActive") or {}
    message = active.get("message") or ""
    if able.get("status") == "False" and able.get("reason") in ("FailedGetScale", "FailedUpdateScale"):
        yield Finding("autoscaling.target_missing", component, WARNING, {**evidence, "message": able["message"]})
        return
    if active.get("status") == "False" and active.get("reason") != "ScalingDisabled":
        if kube.age(seen, scaler["created_at"]) < YOUNG_SECONDS or not _has_figures(seen, component):
            reason = "%s is too young for a figure, or no pod has been ready for long enough" % scaler["name"]
            yield Unseen("autoscaling.metric_unknown", component, reason, "run it again in a minute")
            return
        yield _blind(seen, scaler, component, {**evidence, "message": message})
        return
    yield from _busy(seen, scaler, component, evidence, limits)


def _blind(seen: dict[str, Any], scaler: dict[str, Any], component: str, evidence: dict[str, Any]) -> Finding:
    """The autoscaler gets no figure: the pods ask for nothing that it could be a share of, nobody offers metrics, or only this one is unknown."""
    request = NO_REQUEST.search(evidence["message"])
    lacking = without_requests(seen, scaler)
    if request or (lacking and not NO_API.search(evidence["message"])):
        resource = next((word for word in (request.group(1), request.group(3)) if word), "") if request else lacking[0][1]
        names = sorted({name for name, _resource in lacking}) or ([request.group(2)] if request and request.group(2) else [])
        return Finding("autoscaling.no_requests", component, WARNING, {**evidence, "resource": resource, "containers": names})
    api = kube.facts(seen)["metrics_api"]
    if any(one["type"] in ("Resource", "ContainerResource") for one in scaler["metrics"]) and not api["answers"]:
        why = api["why"] or {}
        if why.get("kind") in ("denied", "auth"):
            # We may not ask; what the autoscaler says of it is all there is.
            return Finding("autoscaling.metric_unknown", component, WARNING, evidence, MEDIUM)
        state = "missing" if api["registered"] is False or (api["registered"] is None and why.get("kind") == "not_found") else "not ready"
        told = {"state": state, "reason": api["reason"] or why.get("kind", ""), "api_message": api["message"] or why.get("reason", "")}
        return Finding("autoscaling.no_metrics", component, WARNING, {**evidence, **told}, HIGH)
    return Finding("autoscaling.metric_unknown", component, WARNING, evidence)


def without_requests(seen: dict[str, Any], scaler: dict[str, Any]) -> list[tuple[str, str]]:
    """(container, resource) for each container without a request that a percentage of this autoscaler would need, in its template and in its pods."""
    work = kube.facts(seen)["workloads"].get(scaler["component"]) or {}
    asked = work.get("asked_by_all") or {}
    wanted = [(one["name"], one["container"]) for one in scaler["metrics"] if one["kind"] == "percent"]
    return [
        (one["name"], resource)
        for resource, only in wanted
        for one in work.get("containers") or []
        if not one["init"] and only in ("", one["name"]) and resource not in {*one["requests"], *one["limits"], *asked.get(one["name"], ())}
    ]


def _has_figures(seen: dict[str, Any], component: str) -> bool:
    """Whether a pod has been ready for so long that there must be a figure of it: of others an autoscaler takes no account."""
    work = kube.facts(seen)["workloads"].get(component)
    return not work or any(group["ready"] and kube.age(seen, group["ready_since"]) >= YOUNG_SECONDS for group in kube.staying(work))


def _busy(seen: dict[str, Any], scaler: dict[str, Any], component: str, evidence: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    limited = scaler["conditions"].get("ScalingLimited") or {}
    over = [one for one in scaler["metrics"] if one["current"] is not None and one["target"] and one["current"] > one["target"]]
    at_top = scaler["current"] is not None and scaler["max"] is not None and scaler["current"] >= scaler["max"] and scaler["max"] > (scaler["min"] or 0)
    if at_top and limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas" and (over or not scaler["metrics"]):
        worst = max(over, key=lambda one: one["current"] / one["target"])
        wanted = {"metric": worst["name"], "value": worst["current"], "goal": worst["target"], "unit": "%" if worst["kind"] == "percent" else ""}
        yield Finding("autoscaling.at_maximum", component, WARNING, {**evidence, **wanted, "seconds": round(kube.age(seen, limited["since"]))})
    steps = [step for step in scaler["rescales"] if kube.age(seen, step["time"]) <= kube.RECENT_SECONDS]
    turns = turning_points([step["size"] for step in steps])
    many = limits.get("autoscaling_turns", component=component) or 0
    if turns >= many:
        evidence = {**evidence, "turns": turns, "minutes": kube.RECENT_SECONDS // 60, "sizes": [step["size"] for step in steps]}
        yield Finding("autoscaling.flapping", component, WARNING, evidence)
    elif at_top and scaler["min"] == scaler["max"]:
        yield Finding("autoscaling.at_maximum", component, INFO, evidence)


def turning_points(sizes: list[int]) -> int:
    """How often a series of sizes changes its direction."""
    steps = [after - before for before, after in zip(sizes, sizes[1:]) if after != before]
    return sum(1 for before, after in zip(steps, steps[1:]) if (before > 0) != (after > 0))


def _figure(one: dict[str, Any]) -> str:
    unit = "%" if one["kind"] == "percent" else ""
    now = "unknown" if one["current"] is None else "%g%s" % (one["current"], unit)
    return "%s %s/%g%s" % (one["name"] or one["type"], now, one["target"] or 0, unit)
