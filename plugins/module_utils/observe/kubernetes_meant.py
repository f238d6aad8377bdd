# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which workload a Service was made for whose selector picks nothing. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_cast import Cast
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_workloads import Workload

# A guess needs more than one weak hint.
ENOUGH = 2


def meant_for(service: dict[str, Any], cast: Cast) -> str:
    """The component that a Service fits best by its name, its labels and its ports; "" where none, or where two fit equally well."""
    place = service["metadata"]
    ranked = sorted(
        ((likeness(service, one), name) for name, one in cast.workloads.items() if one.namespace == place["namespace"] and not one.finite), reverse=True
    )
    if not ranked or ranked[0][0] < ENOUGH or (len(ranked) > 1 and ranked[1][0] == ranked[0][0]):
        return ""
    return ranked[0][1]


def likeness(service: dict[str, Any], workload: Workload) -> int:
    """How much speaks for it: the same name 3, a name within the other 1, each label that fits 1, a port that fits 1."""
    name, spec = service["metadata"]["name"], service.get("spec") or {}
    template = workload.template or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    points = 3 if name == workload.name else 1 if name in workload.name or workload.name in name else 0
    points += sum(1 for key, value in (spec.get("selector") or {}).items() if labels.get(key) == value)
    given = [port for one in (template.get("spec") or {}).get("containers") or [] for port in one.get("ports") or []]
    ports = {port["containerPort"] for port in given} | {port.get("name") for port in given}
    return points + any(port.get("targetPort", port.get("port")) in ports for port in spec.get("ports") or [])
