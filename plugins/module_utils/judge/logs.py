# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Does a component's log hold a burst of one error? Known causes in it are evidence for others, and no findings by themselves."""

from __future__ import annotations

from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import WARNING, Clear, Finding
from ansible_collections.aiops.runbook.plugins.module_utils.observe.logs import SLOT_SECONDS

SILENT_SECONDS = 30


@judges("logs.error_burst", domain="logs", needs=["signatures"])
def error_burst(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """One unknown exception or error, logs_errors_in_window times within log_window_seconds (the runbook alerts on more than 10)."""
    component = seen["component"]
    window = limits.get("log_window_seconds", WARNING, component) or 0
    most = 0
    bursts = []
    for some in seen["signatures"]:
        if some["kind"] not in ("exception", "error"):
            continue
        # One that has fallen silent is over: the window tells how many, this how lately.
        count = recent(some, seen["now"], window) if seen["now"] - some["last"] <= SILENT_SECONDS else 0
        most = max(most, count)
        level = limits.grade("logs_errors_in_window", count, component)
        if level:
            bursts.append((level, count, some))
    for level, count, some in sorted(bursts, key=lambda burst: -burst[1]):
        yield Finding(
            "logs.error_burst",
            component,
            level,
            {
                "count": count,
                "seconds": int(window),
                "fingerprint": some["fingerprint"],
                "sample": some["sample"],
                "where": some["detail"].get("where", ""),
                "first": some["first"],
                "last": some["last"],
            },
        )
    if not bursts:
        yield Clear(
            "logs.error_burst",
            component,
            {"count": most, "seconds": int(window), "lines": seen.get("lines", 0), "limit": limits.get("logs_errors_in_window", WARNING, component)},
        )


def recent(signature: dict[str, Any], now: float, window: float) -> int:
    """How often a signature was seen in the last seconds."""
    return sum(count for slot, count in signature["slots"] if slot + SLOT_SECONDS > now - window)
