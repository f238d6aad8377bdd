# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What pods use: by the metrics API, and where that is not there by the kubelets' own summaries."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubernetes import Cluster
from ansible_collections.aiops.runbook.plugins.module_utils.model import why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import Objects, listed
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import read_quantity
from ansible_collections.aiops.runbook.plugins.module_utils.probes import Probes

# Summaries that are asked for: each is a kubelet's whole account of its node.
MOST_NODES = 8


class Usage:
    """The bytes in use by each container. source: metrics, kubelet, or "" as long as neither was there."""

    def __init__(self, cluster: Cluster, objects: Objects) -> None:
        self._cluster, self._objects = cluster, objects
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str, str], float] | None = None
        self.source = ""

    def memory(self, pod: dict[str, Any], container: str) -> float | None:
        """Bytes of the working set; None where nobody tells."""
        with self._lock:
            if self._found is None:
                self._found = self._read()
        return self._found.get((pod["metadata"]["namespace"], pod["metadata"]["name"], container))

    def _read(self) -> dict[tuple[str, str, str], float]:
        if not why_unseen(self._objects.get("podmetrics")):
            found = {}
            for one in listed(self._objects, "podmetrics"):
                for container in one.get("containers") or []:
                    found[(one["metadata"]["namespace"], one["metadata"]["name"], container["name"])] = read_quantity(
                        (container.get("usage") or {}).get("memory")
                    )
            if found:
                self.source = "metrics"
                return found
        nodes = sorted({str(pod["spec"].get("nodeName")) for pod in listed(self._objects, "pods") if pod["spec"].get("nodeName")})
        if len(nodes) > MOST_NODES:
            return {}
        found = {}
        asked = {node: partial(self._cluster.get, "/api/v1/nodes/%s/proxy/stats/summary" % node) for node in nodes}
        for answer in Probes().gather(asked, timeout=min(2.0, self._cluster.timeout)).values():
            for one in [] if why_unseen(answer) else answer.get("pods") or []:
                place = one.get("podRef") or {}
                for container in one.get("containers") or []:
                    used = (container.get("memory") or {}).get("workingSetBytes")
                    if used is not None:
                        found[(place.get("namespace", ""), place.get("name", ""), container["name"])] = float(used)
                        self.source = "kubelet"
        return found
