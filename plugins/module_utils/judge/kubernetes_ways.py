# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Services mean to the judges of both platforms: where a setting leads that names one, and whether the ways in are known."""

from __future__ import annotations

from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube


def doors_hidden(seen: dict[str, Any]) -> dict[str, Any] | None:
    """Why it is not known which ways lead in; None where that is known (or this is another platform)."""
    unread = (seen.get("kubernetes") or {}).get("unseen") or {}
    return unread.get("services") or unread.get("ingresses")


def service_ports(seen: dict[str, Any], client: str, host: str) -> list[int] | None:
    """The ports that the Service of this name offers; None where the name is no Service of the stack (or this is another platform)."""
    if "workloads" not in (seen.get("kubernetes") or {}):
        return None
    service = kube.service_at(seen, host, kube.namespace_of(seen, client))
    if not service or (service["headless"] and service["components"]):
        return None  # a headless one is but a name for its pods: any port of theirs will do
    return sorted({port["port"] for port in service["ports"]})
