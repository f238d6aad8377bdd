# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a verdict ends the play: the severity that fails it, and the checks that must have been made."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from ansible_collections.aiops.runbook.plugins.plugin_utils.report.clean import unseen_ids

FAIL_ON = ("critical", "warning", "unknown", "never")
# What a job of acting can come to that nobody must overlook.
FAILED_RECORDS = ("failed", "partly undone", "refused")


class Gate(NamedTuple):
    """reason: passed, fail_on, required_checks or remediation. checks: the required ones that were not made."""

    failed: bool
    reason: str
    checks: tuple[str, ...] = ()


def gate(model: dict[str, Any], fail_on: str = "critical", required: Iterable[str] = ()) -> Gate:
    """The answer for one report.

    critical: a critical finding, or the verdict down. warning: any critical or warning, or the verdict degraded.
    unknown: also when anything could not be checked. The verdict unknown fails all of these: nothing seen is not healthy.
    never: report only, whatever was found.
    Whatever fail_on says, a cure that did not hold, an undo that was not whole, and one that was refused fail.
    """
    if model["record"] and model["record"]["result"] in FAILED_RECORDS:
        return Gate(True, "remediation")
    if fail_on == "never":
        return Gate(False, "passed")
    severities = {item.get("severity") for item in model["findings"] + model["root_causes"]}
    verdict = model["verdict"]
    reached = verdict in ("down", "unknown") or "critical" in severities
    if fail_on in ("warning", "unknown"):
        reached = reached or verdict == "degraded" or "warning" in severities
    if fail_on == "unknown":
        reached = reached or bool(model["unknown"])
    if reached:
        return Gate(True, "fail_on")
    missing = tuple(pattern for pattern in required if not _made(pattern, model))
    return Gate(bool(missing), "required_checks" if missing else "passed", missing)


def _made(pattern: str, model: dict[str, Any]) -> bool:
    """Whether some check of this pattern gave an answer, and none of them could not be made."""
    if any(_matches(pattern, item) for item in model["unknown"]):
        return False
    return any(_matches(pattern, item) for kind in ("findings", "ruled_out") for item in model[kind])


def _matches(pattern: str, item: dict[str, Any]) -> bool:
    names = [name for check in unseen_ids(item) for name in (check, "%s@%s" % (check, item["component"]))]
    return any(fnmatchcase(name, pattern) or name.startswith(pattern.rstrip(".") + ".") for name in names)
