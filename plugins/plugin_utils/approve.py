# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""May this plan be applied, here and now? Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import RISKS
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.plugin_utils.plan import SCHEMA, digest_of

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def check_plan(plan: Any, approve: str, stack: str, now: float) -> dict[str, Any]:
    """The plan, when these words approve it for this stack; a StackError says why not."""
    if not isinstance(plan, dict) or plan.get("schema") != SCHEMA:
        raise StackError("plan: this is no plan that diagnose wrote (schema %s)" % SCHEMA, kind="bad_option")
    digest = digest_of(plan)
    if plan.get("digest") != digest:
        raise StackError("plan: it was edited after it was made: its digest is not that of what it says", kind="edited", fix="diagnose again")
    if approve != digest:
        raise StackError(
            "approve: %s approves another plan than this one" % (approve or "nothing"), kind="not_approved", fix="read the plan, then approve its digest"
        )
    if plan["stack"] != stack:
        raise StackError("plan: it was made for the stack %s, not for %s" % (plan["stack"], stack), kind="other_stack", fix="--limit %s" % plan["stack"])
    if now >= plan["expires_at"]:
        minutes = (now - plan["expires_at"]) / 60
        raise StackError("plan: it expired %.0f minutes ago, and the stack has gone on since" % minutes, kind="expired", fix="diagnose again")
    return plan


def allowed(steps: Iterable[Mapping[str, Any]], classes: Iterable[str]) -> list[dict[str, Any]]:
    """The steps that may run by themselves: those of these risk classes."""
    classes = list(classes)
    unknown = sorted(set(classes) - set(RISKS))
    if unknown:
        raise StackError("auto_approve: %s is none of %s" % (", ".join(unknown), ", ".join(RISKS)), kind="bad_option")
    if "destructive" in classes:
        raise StackError("auto_approve: destructive remedies never run by themselves: approve their plan", kind="bad_option")
    return [dict(step) for step in steps if step["risk"] in classes]


def frozen(windows: Iterable[Mapping[str, Any]], now: float) -> str:
    """Why nothing may be changed now; "" when no freeze window holds.

    A window: {"from", "until"} as UTC times (2026-12-24T00:00), or {"days": [fri, sat], "from": "17:00", "until": "23:59"}, and a reason.
    One whose "until" is before its "from" goes over midnight and belongs to the day on which it begins.
    """
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    for window in windows:
        try:
            if _holds(window, moment):
                return str(window.get("reason") or "a freeze window")
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise StackError("freeze_windows: %s cannot be understood (%s)" % (dict(window), error), kind="bad_option") from error
    return ""


def _holds(window: Mapping[str, Any], moment: datetime.datetime) -> bool:
    begin, end = str(window["from"]), str(window["until"])
    if "T" in begin or "-" in begin:
        return _moment(begin) <= moment < _moment(end)
    days = [str(day).lower()[:3] for day in window.get("days") or DAYS]
    for day in days:
        if day not in DAYS:
            raise ValueError("%s is no day" % day)
    clock = moment.strftime("%H:%M")
    begin, end = begin.zfill(5), end.zfill(5)
    today, yesterday = DAYS[moment.weekday()], DAYS[moment.weekday() - 1]
    if begin <= end:
        return today in days and begin <= clock < end
    return (today in days and clock >= begin) or (yesterday in days and clock < end)


def _moment(text: str) -> datetime.datetime:
    found = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
