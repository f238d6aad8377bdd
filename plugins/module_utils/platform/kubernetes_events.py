# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What happened in a namespace, from its Events and from what the pods' status remembers, in the words of every platform. Pure."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import Objects, listed
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import lives_of
from ansible_collections.aiops.runbook.plugins.module_utils.secret import shortened
from ansible_collections.aiops.runbook.plugins.module_utils.times import read_time

# Events that tell what the status of the pods tells better.
TOLD = frozenset(["Started", "Created"])


def event_time(event: dict[str, Any]) -> float:
    """When it happened last."""
    series = event.get("series") or {}
    return read_time(event.get("lastTimestamp") or series.get("lastObservedTime") or event.get("eventTime") or event["metadata"].get("creationTimestamp"))


def event_start(event: dict[str, Any]) -> float:
    """When it happened first."""
    return read_time(event.get("firstTimestamp") or event.get("eventTime")) or event_time(event)


def event_times(event: dict[str, Any], most: int) -> list[float]:
    """When it happened each time, the last `most` times: the API server keeps the first and the last time of what repeats, between them it is reckoned."""
    last, count = event_time(event), event_count(event)
    apart = (last - event_start(event)) / (count - 1) if count > 1 else 0.0
    return [last - apart * place for place in range(min(count, most))][::-1]


def event_count(event: dict[str, Any]) -> int:
    return int((event.get("series") or {}).get("count") or event.get("count") or 1)


def probe_failures(objects: Objects) -> dict[str, dict[str, Any]]:
    """{uid of a pod: {"count", "message"}} of the latest event that told of a failing probe."""
    latest: dict[str, tuple[float, dict[str, Any]]] = {}
    for event in listed(objects, "events"):
        if event.get("reason") == "Unhealthy":
            uid, time = (event.get("involvedObject") or {}).get("uid", ""), event_time(event)
            if time >= latest.get(uid, (0.0, {}))[0]:
                latest[uid] = (time, {"count": event_count(event), "message": event.get("message") or ""})
    return {uid: found for uid, (_time, found) in latest.items()}


def read_events(objects: Objects, pods: dict[str, dict[str, Any]], owners: dict[str, str], containers: dict[str, str], since: float) -> list[dict[str, Any]]:
    """[{"time", "component", "instance", "action", "detail"}] since a time, oldest first.

    pods, owners, containers: by the instance's identity, its pod, component and container. The lives of a container are told as
    start, die and oom; a Killing as stop where it was not the kubelet's own probe; other events by their reason in lower case.
    """
    found: list[dict[str, Any]] = []
    by_uid: dict[str, str] = {}
    for identity, pod in pods.items():
        name = owners.get(identity)
        if name is None:
            continue
        by_uid.setdefault(str(pod["metadata"].get("uid")), identity)
        for life in lives_of(pod, containers[identity]):
            base = {"component": name, "instance": identity[:12]}
            if life["started_at"]:
                found.append({**base, "time": life["started_at"], "action": "start", "detail": {}})
            if life["finished_at"]:
                found.append({**base, "time": life["finished_at"], "action": "die", "detail": {"exitCode": str(life["exit_code"])}})
                if life["oom"]:
                    found.append({**base, "time": life["finished_at"], "action": "oom", "detail": {}})
    for event in listed(objects, "events"):
        about = event.get("involvedObject") or {}
        found_id = by_uid.get(str(about.get("uid")))
        if event.get("reason") in TOLD:
            continue
        found.append(
            {
                "time": event_time(event),
                "component": owners.get(found_id or "", ""),
                "instance": (found_id or "")[:12],
                "action": action_of(event),
                "detail": {
                    "about": "%s/%s" % (about.get("kind"), about.get("name")),
                    "count": event_count(event),
                    "message": shortened(str(event.get("message") or ""), 300),
                },
            }
        )
    return sorted((one for one in found if one["time"] >= since), key=lambda one: one["time"])


def action_of(event: dict[str, Any]) -> str:
    """One word for an event."""
    reason = str(event.get("reason") or "")
    if reason == "Killing":
        return "stop" if str(event.get("message") or "").startswith("Stopping container") else "killing"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", reason).lower()
