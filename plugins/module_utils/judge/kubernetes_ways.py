# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a setting that leads nowhere means where a Service stands between: asked by the judge of settings, on Kubernetes only."""

from __future__ import annotations

from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube


def service_ports(seen: dict[str, Any], client: str, host: str) -> list[int] | None:
    """The ports that the Service of this name offers; None where the name is no Service of the stack (or this is another platform)."""
    if "workloads" not in (seen.get("kubernetes") or {}):
        return None
    service = kube.service_at(seen, host, kube.namespace_of(seen, client))
    if not service or (service["headless"] and service["components"]):
        return None  # a headless one is but a name for its pods: any port of theirs will do
    return sorted({port["port"] for port in service["ports"]})
