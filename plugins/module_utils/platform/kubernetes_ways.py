# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From this machine to a pod: straight to its address where that is known to be the cluster's, else by a port-forward."""

from __future__ import annotations

import errno
import socket
import threading
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubernetes import Cluster
from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubernetes_stream import Forward
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import app_containers, port_number
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_services import Services

TRY_SECONDS = 1.5


class Ways:
    """How this machine gets to pods and Services: chosen once for the whole run."""

    def __init__(self, cluster: Cluster, services: Services) -> None:
        self._cluster = cluster
        self.services = services
        self._lock = threading.Lock()
        self._direct: bool | None = None
        self._forwards: dict[tuple[str, str, int], Any] = {}

    @property
    def direct(self) -> bool:
        """Whether the addresses of pods mean the same here as in the cluster.

        An address that answers proves nothing: another network of this machine may use the same range. It counts where we run in
        the cluster ourselves, or on one of the nodes that bear its pods.
        """
        with self._lock:
            if self._direct is None:
                self._direct = self._cluster.access.in_cluster or self._on_a_node()
            return self._direct

    def _on_a_node(self) -> bool:
        here = [pod for pod in self.services.pods if is_own_address((pod.get("status") or {}).get("hostIP") or "")]
        reachable = [(pod["status"]["podIP"], port) for pod in here for port in _ports(pod) if pod["status"].get("podIP")]
        return any(_answers(address, port) for address, port in reachable[:3])

    def to(self, address: str, port: int) -> tuple[str, int]:
        """Where this machine reaches a port of a pod or a Service; what belongs to neither is where it says it is, if we get there."""
        service, pod = self.services.at(address), self.services.pod_behind(address)
        if service is None and pod is None:
            return _outside(address, port)
        ends = self.services.ready(service, port) if service is not None else [(address, port)]
        # A mesh may let only its own in, and that says nothing of the program: we go past its proxy, to the program's own loopback.
        if self.direct and not any(self.services.meshed(one) for one, _port in ends):
            return address, port
        if service is not None:
            if not ends:
                name = service["metadata"]["name"]
                known = any(one.get("port") == port for one in service["spec"].get("ports") or [])
                raise StackError("the Service %s has no %s" % (name, "endpoint that is ready" if known else "port %d" % port), kind="refused")
            address, port = ends[0]
            pod = self.services.pod_behind(address)
        return _outside(address, port) if pod is None else self.into(*pod, port)

    def into(self, namespace: str, pod: str, port: int) -> tuple[str, int]:
        """By a port-forward: also to what listens on the pod's own loopback."""
        place = (namespace, pod, port)
        with self._lock:
            made = self._forwards.get(place)
            if made is None:
                try:
                    made = Forward(self._cluster, *place, timeout=self._cluster.timeout)
                except StackError as error:
                    made = error
                self._forwards[place] = made
        if isinstance(made, StackError):
            raise made
        return "127.0.0.1", made.port


def is_own_address(address: str) -> bool:
    """Whether this machine bears an address."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
        return bool(address)
    except OSError:
        return False


def _ports(pod: dict[str, Any]) -> list[int]:
    return [
        port_number(one, port["containerPort"]) for one in app_containers(pod, "") for port in one.get("ports") or [] if port.get("protocol", "TCP") == "TCP"
    ]


def _outside(address: str, port: int) -> tuple[str, int]:
    """What is no pod of the cluster, where this machine gets there: that it does not says nothing of who stands there."""
    if not _answers(address, port):
        raise StackError("%s:%d cannot be reached from here" % (address, port), kind="hidden", fix="look from inside the cluster")
    return address, port


def _answers(address: str, port: int) -> bool:
    """Whether something is there, be it that nothing listens."""
    try:
        socket.create_connection((address, port), timeout=TRY_SECONDS).close()
    except OSError as error:
        return error.errno == errno.ECONNREFUSED
    return True
