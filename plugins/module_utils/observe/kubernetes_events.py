# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the API's events say, counted: by object and reason, and as one list by time. Pure."""

from __future__ import annotations

import re
from typing import Any, Callable

from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_cast import Cast
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_events import event_count, event_start, event_time
from ansible_collections.aiops.runbook.plugins.module_utils.secret import shortened

MOST_TOLD = 80
MESSAGE = 500
# Events of everyday life that tell more than the objects' own status does.
WORTH_TELLING = frozenset(
    ["Killing", "ScalingReplicaSet", "SuccessfulRescale", "TriggeredScaleUp", "NotTriggerScaleUp", "Preempted", "SuccessfulCreate", "WaitForFirstConsumer"]
)
_PROBE = re.compile(r"\b(liveness|readiness|startup) probe", re.IGNORECASE)


def reason_of(event: dict[str, Any]) -> str:
    """The reason of an event, with the probe that it is about, and with "pull" where a failure is one of pulling."""
    reason, message = str(event.get("reason") or ""), str(event.get("message") or "")
    if reason in ("Unhealthy", "Killing"):
        probe = _PROBE.search(message)
        return "%s/%s" % (reason, probe.group(1).lower()) if probe else reason
    if reason == "Failed":
        return "Failed/pull" if message.startswith("Failed to pull image") else "Failed/again" if re.match("Error: .*Pull", message) else reason
    return reason


def by_object(found: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """{uid of an object: {reason: {"count", "last", "message"}}}; also by (kind, namespace, name), for objects that were made anew."""
    told: dict[Any, dict[str, Any]] = {}
    for event in found:
        about = event.get("involvedObject") or {}
        reason, time, count = reason_of(event), event_time(event), event_count(event)
        one = {"count": count, "last": time, "message": shortened(str(event.get("message") or ""), MESSAGE)}
        for key in (str(about.get("uid")), (about.get("kind"), about.get("namespace"), about.get("name"))):
            seen = told.setdefault(key, {}).get(reason)
            if seen is None:
                told[key][reason] = dict(one)
            else:
                newer = one if time >= seen["last"] else seen
                told[key][reason] = {"count": seen["count"] + count, "last": newer["last"], "message": newer["message"]}
    return told


def told_events(found: list[dict[str, Any]], cast: Cast, text: Callable[[str], str]) -> list[dict[str, Any]]:
    """The events of a namespace, those of equal objects as one, oldest first: warnings, and what else tells something."""
    series: dict[tuple[str, str, str], dict[str, Any]] = {}
    for event in found:
        reason, kind = reason_of(event), str((event.get("involvedObject") or {}).get("kind") or "")
        if event.get("type") != "Warning" and reason.split("/")[0] not in WORTH_TELLING or reason == "Failed/again":
            continue
        about = event.get("involvedObject") or {}
        name, namespace = str(about.get("name") or ""), str(about.get("namespace") or "")
        component = cast.of_pod.get(str(about.get("uid"))) or cast.named(kind, namespace, name)
        time = event_time(event)
        first = event_start(event)
        key = (kind, component or name, reason)
        one = series.setdefault(
            key, {"kind": kind, "name": name, "component": component, "reason": reason, "count": 0, "objects": 0, "first": first, "last": 0.0, "message": ""}
        )
        one["count"] += event_count(event)
        one["objects"] += 1
        one["first"] = min(one["first"], first)
        if time >= one["last"]:
            one.update({"last": time, "name": name, "message": shortened(str(event.get("message") or ""), MESSAGE)})
    latest = sorted(series.values(), key=lambda one: one["last"])[-MOST_TOLD:]
    for one in latest:
        one["message"] = text(one["message"])
    return latest
