# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Questions that several judges ask of the observations of a whole stack. Pure."""

from __future__ import annotations

from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.model import why_unseen

# Roles whose absence is felt; any other component counts when somebody connects to it.
ESSENTIAL = frozenset(["api", "worker", "postgres", "redis", "proxy", "pgbouncer"])
# After its last end nobody needs longer than this to show that it stays.
RECOVERED_SECONDS = 180.0
ONCE_SECONDS, LONG_LIFE_SECONDS = 60.0, 120.0


def components(seen: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every component of the stack, by name."""
    for name in sorted(seen.get("components", {})):
        yield seen["components"][name]


def role(seen: dict[str, Any], component: str) -> str:
    return seen["components"].get(component, {}).get("role", "")


def instances(component: dict[str, Any]) -> list[dict[str, Any]]:
    """The instances that serve: one-off runs are left out."""
    return [one for one in component["instances"] if not one["one_off"]]


def running(component: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in instances(component) if one["state"] == "running"]


def runs(seen: dict[str, Any], name: str) -> bool:
    return name in seen["components"] and bool(running(seen["components"][name]))


def age(seen: dict[str, Any], one: dict[str, Any]) -> float:
    """Seconds since an instance was started."""
    return max(0.0, seen["now"] - one["started_at"])


def is_needed(seen: dict[str, Any], name: str) -> bool:
    """Whether somebody would miss this component: an essential role, or a component that connects to it."""
    return role(seen, name) in ESSENTIAL or is_used(seen, name)


def is_used(seen: dict[str, Any], name: str) -> bool:
    """Whether another component is told to connect to this one."""
    return any(edge["to"] == name and edge["from"] != name for edge in seen.get("edges", []))


def deaths(seen: dict[str, Any], name: str, within: float) -> list[dict[str, Any]]:
    """The times that an instance of a component ended with an error lately, oldest first."""
    events = seen.get("events")
    if why_unseen(events):
        return []
    return [
        event
        for event in events or []
        if event["component"] == name and event["action"] == "die" and event["detail"].get("exitCode", "0") != "0" and seen["now"] - event["time"] <= within
    ]


def was_stopped(seen: dict[str, Any], name: str, since: float) -> dict[str, Any] | None:
    """The event by which somebody stopped or killed an instance of this component after a UNIX time."""
    events = seen.get("events")
    if why_unseen(events):
        return None
    hits = [event for event in events or [] if event["component"] == name and event["action"] in ("stop", "kill") and event["time"] >= since]
    return hits[-1] if hits else None


def is_looping(seen: dict[str, Any], name: str, one: dict[str, Any]) -> bool:
    """Whether an instance keeps ending and being started again, caught in whichever phase.

    Running again counts as recovered once it has lived half as long again as its last life, at least 15 seconds and at most RECOVERED_SECONDS:
    who ran for days and ended once does not keep ending. How long that was is known only while the engine remembers (it holds 256
    events, and health checks fill them within minutes). Who ended once, after a life of minutes, is no loop once it has lived ONCE_SECONDS;
    what the kernel killed for its memory will need it again.
    """
    if one["state"] == "restarting":
        return True
    if one["state"] != "running" or not one["restarts"]:
        return False
    ends = [event for event in deaths(seen, name, 600) if event["instance"] == one["id"]]
    starts = (
        [event["time"] for event in seen["events"] if event["component"] == name and event["action"] == "start" and event["time"] < ends[-1]["time"]]
        if ends
        else []
    )
    life = ends[-1]["time"] - starts[-1] if starts else 0.0
    once = one["restarts"] == 1 and life >= LONG_LIFE_SECONDS and not one["oom_killed"]
    return age(seen, one) <= recovery_seconds(life, ONCE_SECONDS if once else RECOVERED_SECONDS)


def recovery_seconds(life: float, most: float = RECOVERED_SECONDS) -> float:
    """How long a program must live again to count as recovered, after a life that ended."""
    return min(max(15.0, 1.5 * life), most)


# Log signatures after which a program does not come up, whatever time it is given.
FATAL_AT_START = frozenset(
    ["import_error", "syntax_error", "setting_missing", "command_not_found", "permission_denied", "port_in_use", "postgres_malformed_url"]
)


def failing_start(seen: dict[str, Any], name: str, one: dict[str, Any]) -> dict[str, Any] | None:
    """What a program said that runs, has just been started, serves nobody, and has already met an error that it cannot survive.

    Caught so in the first seconds of a crash loop, it has not ended once yet.
    """
    component = seen["components"][name]
    # A server of several processes may listen before the first of them has read the application.
    serves = one["listening"] != [] and not why_unseen(seen.get("http", {}).get(name, {}).get("answers", True))
    if component["role"] != "api" or one["state"] != "running" or age(seen, one) > 30 or serves or why_unseen(component["logs"]):
        return None
    return next(
        (signature for signature in component["logs"]["signatures"] if signature["kind"] in FATAL_AT_START and signature["last"] >= one["started_at"]), None
    )


def is_starting(seen: dict[str, Any], name: str, limits: Limits) -> bool:
    """Whether a component has just been started for the first time and may still need its moment."""
    component = seen["components"].get(name)
    if not component:
        return False
    grace = limits.get("startup_grace_seconds", component=name) or 0
    alive = running(component)
    return bool(alive) and all(
        age(seen, one) < grace
        and not one["restarts"]
        and not is_looping(seen, name, one)
        and not failing_start(seen, name, one)
        and (one["health"] or {}).get("status") != "healthy"
        for one in alive
    )
