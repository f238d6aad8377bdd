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
    """The bytes in use by each container. source: metrics, kubelet, or "" as long as neither was there.

    What kubelets say of the volumes of claims becomes the objects' "volumestats", where the account may ask them.
    """

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
        found = self._metrics()
        if found:
            self.source = "metrics"
        placed = [pod for pod in listed(self._objects, "pods") if pod["spec"].get("nodeName")]
        # What the metrics API tells of memory it does not of volumes.
        nodes = sorted({str(pod["spec"]["nodeName"]) for pod in placed if not found or _claims(pod)})
        if not nodes or len(nodes) > MOST_NODES:
            return found
        asked = {node: partial(self._cluster.get, "/api/v1/nodes/%s/proxy/stats/summary" % node) for node in nodes}
        answers = Probes().gather(asked, timeout=min(2.0, self._cluster.timeout)).values()
        told = [one for answer in answers if not why_unseen(answer) for one in answer.get("pods") or []]
        self._objects["volumestats"] = [volume for one in told for volume in volumes_of(one)]
        if not found:
            found = _working_sets(told)
            self.source = "kubelet" if found else ""
        return found

    def _metrics(self) -> dict[tuple[str, str, str], float]:
        if why_unseen(self._objects.get("podmetrics")):
            return {}
        return {
            (one["metadata"]["namespace"], one["metadata"]["name"], container["name"]): read_quantity((container.get("usage") or {}).get("memory"))
            for one in listed(self._objects, "podmetrics")
            for container in one.get("containers") or []
        }


def _claims(pod: dict[str, Any]) -> bool:
    return any(volume.get("persistentVolumeClaim") for volume in pod["spec"].get("volumes") or [])


def _working_sets(told: list[dict[str, Any]]) -> dict[tuple[str, str, str], float]:
    """The memory of each container, of a kubelet's summary of pods."""
    found = {}
    for one in told:
        place = one.get("podRef") or {}
        for container in one.get("containers") or []:
            used = (container.get("memory") or {}).get("workingSetBytes")
            if used is not None:
                found[(place.get("namespace", ""), place.get("name", ""), container["name"])] = float(used)
    return found


def volumes_of(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The volumes of claims in a kubelet's summary of a pod: [{"namespace", "pod", "claim", "volume", "used", "capacity"}], in bytes."""
    place = told.get("podRef") or {}
    return [
        {
            "namespace": place.get("namespace", ""),
            "pod": place.get("name", ""),
            "claim": volume["pvcRef"].get("name", ""),
            "volume": volume.get("name", ""),
            "used": float(volume["usedBytes"]),
            "capacity": float(volume["capacityBytes"]),
        }
        for volume in told.get("volume") or []
        # Of any other volume the kubelet tells the capacity of the node's disk.
        if volume.get("pvcRef") and volume.get("usedBytes") is not None and volume.get("capacityBytes")
    ]
