# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the readers of single kinds of objects share. Pure."""

from __future__ import annotations

import re
from typing import Any, Callable, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_services import matches
from ansible_collections.aiops.runbook.plugins.module_utils.secret import shortened
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
            "message": text(shortened(one.get("message") or "", 500)),
            "since": read_time(one.get("lastTransitionTime")),
        }
        for one in (found.get("status") or {}).get("conditions") or []
    }


def labels_of(template: dict[str, Any] | None) -> dict[str, str]:
    """The labels that pods of a template bear."""
    return ((template or {}).get("metadata") or {}).get("labels") or {}


class Neighbours:
    """Of the objects of a namespace that are read whole, those of another stack in it. selector: the label selector of ours, "" where all is ours."""

    def __init__(self, selector: str) -> None:
        # Commas stand between requirements, and within the brackets of one.
        self._wanted = [one.strip() for one in re.split(r",(?![^(]*\))", selector) if one.strip()]

    def has(self, found: dict[str, Any]) -> bool:
        """Whether an object's labels are not those of our stack."""
        labels = found["metadata"].get("labels") or {}
        return not all(_holds(one, labels) for one in self._wanted)

    def without(self, facts: Iterable[dict[str, Any]], raw: Iterable[dict[str, Any]], ours: Callable[[dict[str, Any]], Any]) -> list[dict[str, Any]]:
        """The facts of these objects without a neighbour's; what refers to a part of ours is ours."""
        strangers = {(one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in raw if self.has(one)}
        return [one for one in facts if (one["namespace"], one["name"]) not in strangers or ours(one)]


def _holds(requirement: str, labels: dict[str, str]) -> bool:
    """Whether labels meet one requirement of a label selector, as kubectl writes it."""
    match = re.fullmatch(r"([^\s=!]+)\s*(?:(==?|!=)\s*(\S*)|(in|notin)\s*\(([^)]*)\))", requirement)
    if not match:
        return (requirement[1:].strip() not in labels) if requirement.startswith("!") else requirement in labels
    key, sign, value, word, values = match.groups()
    meant = [value] if sign else [one.strip() for one in values.split(",")]
    return (labels.get(key) in meant) is ((sign or word) not in ("!=", "notin"))


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
