# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the readers of single kinds of objects share. Pure."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_services import matches
from ansible_collections.aiops.runbook.plugins.module_utils.times import read_time

Text = Callable[[str], str]
Told = dict[Any, dict[str, Any]]


def place(found: dict[str, Any]) -> dict[str, str]:
    return {"name": found["metadata"]["name"], "namespace": found["metadata"].get("namespace", "")}


def conditions_of(found: dict[str, Any], text: Text) -> dict[str, dict[str, Any]]:
    return {
        one["type"]: {
            "status": one.get("status"),
            "reason": one.get("reason") or "",
            "message": text((one.get("message") or "")[:500]),
            "since": read_time(one.get("lastTransitionTime")),
        }
        for one in (found.get("status") or {}).get("conditions") or []
    }


def labels_of(template: dict[str, Any] | None) -> dict[str, str]:
    """The labels that pods of a template bear."""
    return ((template or {}).get("metadata") or {}).get("labels") or {}


def selected(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    """Whether a label selector of the API (matchLabels, matchExpressions) picks these labels; an empty one picks all."""
    selector = selector or {}
    if not matches(selector.get("matchLabels") or {}, labels):
        return False
    for one in selector.get("matchExpressions") or []:
        value, wanted = labels.get(one["key"]), one.get("values") or []
        ok = {"In": value in wanted, "NotIn": value not in wanted, "Exists": value is not None, "DoesNotExist": value is None}.get(
            one.get("operator", ""), False
        )
        if not ok:
            return False
    return True
