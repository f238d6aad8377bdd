# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names and addresses of a namespace: which Service a name means, which pods stand behind it, and who is published outside. Pure."""

from __future__ import annotations

import json
from typing import Any, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import LAST_APPLIED, Objects, listed
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import in_mesh, others_ports, target_numbers

# So often a name may lead to another name.
MOST_HOPS = 4
DOMAIN = "cluster.local"
PUBLISHES = ("NodePort", "LoadBalancer")


class Services:
    """The Services of a stack's namespaces, from objects that were read once."""

    def __init__(self, objects: Objects) -> None:
        self._all: dict[tuple[str, str], dict[str, Any]] = {}
        self._slices: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._by_address: dict[str, dict[str, Any]] = {}
        self.add(listed(objects, "services"), listed(objects, "endpointslices"))
        self.pods: list[dict[str, Any]] = listed(objects, "pods")
        self._by_ip = {(pod.get("status") or {}).get("podIP"): pod for pod in self.pods if not gone(pod)}

    def add(self, services: Iterable[dict[str, Any]], slices: Iterable[dict[str, Any]]) -> None:
        """Take in what was read, also of a namespace that is not the stack's."""
        for one in services:
            self._all[(one["metadata"]["namespace"], one["metadata"]["name"])] = one
            self._by_address.update(dict.fromkeys(cluster_addresses(one), one))
        for one in slices:
            name = (one["metadata"].get("labels") or {}).get("kubernetes.io/service-name", "")
            self._slices.setdefault((one["metadata"]["namespace"], name), []).append(one)

    def named(self, host: str, namespace: str) -> dict[str, Any] | None:
        """The Service that a host name means in a namespace; None where it is none of these namespaces."""
        place = split_name(host, namespace)
        return self._all.get(place) if place else None

    def at(self, address: str) -> dict[str, Any] | None:
        """The Service that has this cluster address."""
        return self._by_address.get(address)

    def resolve(self, host: str, namespace: str, hops: int = 0) -> list[str] | None:
        """What the cluster's DNS answers for a name, as far as these objects tell: None where they do not tell."""
        host = host.rstrip(".")
        service = self.named(host, namespace)
        if service is None:
            return self._pod_name(host, namespace)
        if service["spec"].get("type") == "ExternalName":
            target = str(service["spec"].get("externalName") or "")
            return self.resolve(target, namespace, hops + 1) if hops < MOST_HOPS else None
        return cluster_addresses(service) or [address for address, _port in self.ready(service, None)]

    def led_to(self, host: str, namespace: str) -> str:
        """The name that a name leads to in the end through Services of the type ExternalName: itself where it is no such."""
        for _hop in range(MOST_HOPS):
            service = self.named(host, namespace)
            if service is None or service["spec"].get("type") != "ExternalName":
                break
            host = str(service["spec"].get("externalName") or "").rstrip(".")
        return host

    def pod_behind(self, address: str) -> tuple[str, str] | None:
        """(namespace, name) of the pod that has this address; None where no endpoint tells."""
        pod = self._by_ip.get(address)
        if pod is not None:
            return pod["metadata"]["namespace"], pod["metadata"]["name"]
        for slices in self._slices.values():
            for slice_ in slices:
                for end in slice_.get("endpoints") or []:
                    target = end.get("targetRef") or {}
                    if address in (end.get("addresses") or []) and target.get("kind") == "Pod":
                        return slice_["metadata"]["namespace"], target["name"]
        return None

    def meshed(self, address: str) -> bool:
        """Whether a mesh stands before the pod that has this address."""
        pod = self._by_ip.get(address)
        return pod is not None and in_mesh(pod)

    def _pod_name(self, host: str, namespace: str) -> list[str] | None:
        """pod-0.service: the pod of a headless Service by its host name."""
        first, _dot, rest = host.partition(".")
        service = self.named(rest, namespace) if rest else None
        if service is None:
            return None
        return [
            address for slice_ in self._of(service) for one in slice_.get("endpoints") or [] if one.get("hostname") == first for address in one["addresses"]
        ]

    def _of(self, service: dict[str, Any]) -> list[dict[str, Any]]:
        return self._slices.get((service["metadata"]["namespace"], service["metadata"]["name"]), [])

    def ready(self, service: dict[str, Any], port: int | None) -> list[tuple[str, int]]:
        """(address, port there) of the endpoints that take requests for this port of a Service, or for any."""
        asked = next((one for one in service["spec"].get("ports") or [] if one.get("port") == port), None)
        if port is not None and asked is None:
            return []
        found = []
        for slice_ in self._of(service):
            for one in slice_.get("ports") or [{}]:
                if asked is not None and (one.get("name") or "") != (asked.get("name") or ""):
                    continue
                for end in slice_.get("endpoints") or []:
                    if (end.get("conditions") or {}).get("ready") is not False:
                        found += [(address, int(one.get("port") or 0)) for address in end.get("addresses") or []]
        return list(dict.fromkeys(found))

    def aliases(self, pod: dict[str, Any]) -> list[str]:
        """The names and addresses by which the pod is reached: its Services', in their short and long forms."""
        meta = pod["metadata"]
        found = [meta["name"]]
        for service in self.selecting(pod):
            name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
            names = long_names(name, namespace)
            found += names + cluster_addresses(service)
            if pod["spec"].get("subdomain") == name and pod["spec"].get("hostname"):
                found += ["%s.%s" % (pod["spec"]["hostname"], one) for one in names]
            for other in self._external_to(names):
                found += long_names(other["metadata"]["name"], other["metadata"]["namespace"])
        return list(dict.fromkeys(found))

    def _external_to(self, names: Iterable[str]) -> list[dict[str, Any]]:
        wanted = set(names)
        return [
            one for one in self._all.values() if one["spec"].get("type") == "ExternalName" and str(one["spec"].get("externalName") or "").rstrip(".") in wanted
        ]

    def selecting(self, pod: dict[str, Any]) -> list[dict[str, Any]]:
        """The Services whose selector picks this pod, ready or not."""
        labels, namespace = (pod["metadata"].get("labels") or {}), pod["metadata"]["namespace"]
        return [
            service for (where, _name), service in self._all.items() if where == namespace and picks(service) and matches(service["spec"]["selector"], labels)
        ]

    def published(self, pod: dict[str, Any], container: dict[str, Any]) -> list[dict[str, Any]]:
        """[{"inside", "host", "outside"}]: the ports by which the pod is reached from outside the cluster, through NodePorts and load balancers.

        beside: the port is another container's of the pod.
        """
        found, others = [], others_ports(pod, container)
        for service in self.selecting(pod):
            kind = service["spec"].get("type")
            balancers = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
            for port in service["spec"].get("ports") or []:
                inside = next(iter(target_numbers(pod, port.get("targetPort", port["port"]))), 0)
                # A name that no port has is judged with the Service.
                if port.get("protocol", "TCP") != "TCP" or kind not in PUBLISHES or not inside:
                    continue
                mapping = {"inside": inside, **({"beside": True} if inside in others else {})}
                for balancer in balancers[:1]:
                    found.append({**mapping, "host": balancer.get("ip") or balancer.get("hostname") or "", "outside": int(port["port"])})
                if not balancers and port.get("nodePort"):
                    found.append({**mapping, "host": (pod.get("status") or {}).get("hostIP") or "", "outside": int(port["nodePort"])})
        return found

    def unpublished(self, pod: dict[str, Any], container: dict[str, Any]) -> list[dict[str, int]]:
        """[{"inside", "outside"}]: the ports that the manifest applied last publishes outside the cluster, and its Service no longer does."""
        found = []
        for service in self.selecting(pod):
            meant = applied(service)
            if meant.get("type") not in PUBLISHES or service["spec"].get("type") in PUBLISHES:
                continue
            for port in meant.get("ports") or []:
                inside = next(iter(target_numbers(pod, port.get("targetPort", port["port"]))), 0)
                if port.get("protocol", "TCP") == "TCP":
                    found.append({"inside": inside, "outside": int(port.get("nodePort") or port["port"])})
        return found


def applied(service: Mapping[str, Any]) -> dict[str, Any]:
    """The spec of the manifest by which somebody applied it last, as kubectl notes it; {} where there is none."""
    text = (service["metadata"].get("annotations") or {}).get(LAST_APPLIED) or ""
    try:
        found = json.loads(text).get("spec") if text else {}
    except (ValueError, AttributeError):
        found = {}
    return found if isinstance(found, dict) else {}


def split_name(host: str, namespace: str) -> tuple[str, str] | None:
    """(namespace, Service) of a name as the cluster's DNS reads it; None for a name of the world outside."""
    words = host.rstrip(".").lower().split(".")
    if len(words) == 1:
        return namespace, words[0]
    if len(words) == 2 or words[2:] in (["svc"], ["svc", *DOMAIN.split(".")]):
        return words[1], words[0]
    return None


def long_names(name: str, namespace: str) -> list[str]:
    return [name, "%s.%s" % (name, namespace), "%s.%s.svc" % (name, namespace), "%s.%s.svc.%s" % (name, namespace, DOMAIN)]


def search_domains(namespace: str) -> list[str]:
    """Where the resolver of a pod looks for a name, in this order, before it takes it as it is."""
    return ["%s.svc.%s" % (namespace, DOMAIN), "svc." + DOMAIN, DOMAIN]


def cluster_addresses(service: dict[str, Any]) -> list[str]:
    """The virtual addresses of a Service; [] of a headless one."""
    spec = service.get("spec") or {}
    return [address for address in spec.get("clusterIPs") or [spec.get("clusterIP")] if address and address != "None"]


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether a plain selector picks these labels."""
    return all(labels.get(key) == value for key, value in selector.items())


def picks(service: dict[str, Any]) -> bool:
    """Whether a Service has pods by its selector: that of an ExternalName, which tools put there, means nothing."""
    return bool(service["spec"].get("selector")) and service["spec"].get("type") != "ExternalName"


def gone(pod: dict[str, Any]) -> bool:
    """Whether a pod has done its time: its address is another's."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
