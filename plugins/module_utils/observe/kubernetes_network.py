# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Services, Ingresses and NetworkPolicies of a namespace. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_cast import Cast
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_common import Neighbours, labels_of
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_common import place as place_of
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_meant import meant_for
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import Objects, listed
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import target_numbers
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_services import matches
from ansible_collections.aiops.runbook.plugins.module_utils.times import read_time

MOST_TARGETS = 5


def services(objects: Objects, cast: Cast, neighbours: Neighbours) -> list[dict[str, Any]]:
    """[{"name", "type", "selector", "ports", "selects": pods, "components", "meant_for", "ready", "not_ready", "waiting": pods that are not ready}].

    behind: the components whose pods are its endpoints, where it has no selector and somebody else makes them.
    foreign: it picks nothing of ours and bears the labels of another stack in the same namespace, whose pods were not read.
    """
    slices: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in listed(objects, "endpointslices"):
        name = (one["metadata"].get("labels") or {}).get("kubernetes.io/service-name", "")
        slices.setdefault((one["metadata"]["namespace"], name), []).append(one)
    by_namespace: dict[str, list[dict[str, Any]]] = {}
    for pod in listed(objects, "pods"):
        if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            by_namespace.setdefault(pod["metadata"]["namespace"], []).append(pod)
    found = []
    for service in listed(objects, "services"):
        spec, place = service.get("spec") or {}, place_of(service)
        picker = spec.get("selector") or {}
        pods = [pod for pod in by_namespace.get(place["namespace"], []) if picker and matches(picker, pod["metadata"].get("labels") or {})]
        components = sorted({cast.of_pod.get(str(pod["metadata"].get("uid") or pod["metadata"]["name"]), "") for pod in pods} - {""})
        templates = [
            name for name, one in cast.workloads.items() if picker and one.namespace == place["namespace"] and matches(picker, labels_of(one.template))
        ]
        foreign = not components and not templates and neighbours.has(service)
        own_slices = slices.get((place["namespace"], place["name"]), [])
        ends = _endpoints(own_slices)
        found.append(
            {
                **place,
                "type": spec.get("type") or "ClusterIP",
                "external_name": spec.get("externalName") or "",
                "headless": spec.get("clusterIP") == "None",
                "addresses": [one for one in spec.get("clusterIPs") or [spec.get("clusterIP")] if one and one != "None"],
                "not_ready_too": bool(spec.get("publishNotReadyAddresses")),
                "selector": picker,
                "ports": [_port(port, pods) for port in spec.get("ports") or []],
                "selects": len(pods),
                "components": components or sorted(templates),
                "behind": [] if picker else _behind(own_slices, by_namespace.get(place["namespace"], []), cast),
                "meant_for": "" if components or templates or foreign or not picker else meant_for(service, cast),
                "foreign": foreign,
                "balancer": bool(((service.get("status") or {}).get("loadBalancer") or {}).get("ingress")),
                **ends,
            }
        )
    return found


def _behind(slices: list[dict[str, Any]], pods: list[dict[str, Any]], cast: Cast) -> list[str]:
    """The components whose pods have the addresses of these endpoints."""
    addresses = {address for one in slices for end in one.get("endpoints") or [] for address in end.get("addresses") or []}
    at_them = [pod["metadata"] for pod in pods if (pod.get("status") or {}).get("podIP") in addresses]
    return sorted({cast.of_pod.get(str(meta.get("uid") or meta["name"]), "") for meta in at_them} - {""})


def _endpoints(slices: list[dict[str, Any]]) -> dict[str, Any]:
    """{"ready", "not_ready", "waiting"}: an address of each family counts once."""
    seen: dict[str, bool] = {}
    for one in slices:
        for end in one.get("endpoints") or []:
            who = (end.get("targetRef") or {}).get("name") or ",".join(end.get("addresses") or [])
            seen[who] = seen.get(who, False) or (end.get("conditions") or {}).get("ready") is not False
    waiting = sorted(who for who, ready in seen.items() if not ready)
    return {"ready": sum(seen.values()), "not_ready": len(waiting), "waiting": waiting[:MOST_TARGETS]}


def _port(port: dict[str, Any], pods: list[dict[str, Any]]) -> dict[str, Any]:
    """{"name", "port", "protocol", "target", "leads_to": [numbers in the pods], "unnamed": pods that have no port of that name}."""
    target = port.get("targetPort", port.get("port"))
    numbers: set[int] = set()
    unnamed = 0
    for pod in pods:
        found = target_numbers(pod, target)
        numbers.update(found)
        unnamed += not found
    return {
        "name": port.get("name") or "",
        "port": port.get("port"),
        "protocol": port.get("protocol", "TCP"),
        "node_port": port.get("nodePort"),
        "target": target,
        "leads_to": sorted(numbers),
        "unnamed": unnamed,
    }


def ingresses(objects: Objects) -> list[dict[str, Any]]:
    """[{"name", "class", "hosts", "tls": [{"secret", "hosts"}], "backends": [{"host", "path", "service", "port"}]}]."""
    found = []
    for one in listed(objects, "ingresses"):
        spec = one.get("spec") or {}
        backends = [("", "", spec["defaultBackend"])] if spec.get("defaultBackend") else []
        for rule in spec.get("rules") or []:
            for path in (rule.get("http") or {}).get("paths") or []:
                backends.append((rule.get("host") or "", path.get("path") or "/", path.get("backend") or {}))
        found.append(
            {
                **place_of(one),
                "class": spec.get("ingressClassName") or (one["metadata"].get("annotations") or {}).get("kubernetes.io/ingress.class") or "",
                "hosts": sorted({rule.get("host") for rule in spec.get("rules") or [] if rule.get("host")}),
                "tls": [{"secret": tls.get("secretName") or "", "hosts": tls.get("hosts") or []} for tls in spec.get("tls") or []],
                "backends": [
                    {"host": host, "path": path, "service": (to.get("service") or {}).get("name") or "", "port": _backend_port(to)}
                    for host, path, to in backends
                ],
            }
        )
    return found


def _backend_port(backend: dict[str, Any]) -> Any:
    port = (backend.get("service") or {}).get("port") or {}
    return port.get("number") or port.get("name")


def policies(objects: Objects) -> list[dict[str, Any]]:
    """The NetworkPolicies as they are: they are small, and hold no secret."""
    return [
        {
            **place_of(one),
            "selector": (one.get("spec") or {}).get("podSelector") or {},
            "types": (one.get("spec") or {}).get("policyTypes") or ["Ingress"] + (["Egress"] if (one.get("spec") or {}).get("egress") else []),
            "ingress": (one.get("spec") or {}).get("ingress") or [],
            "egress": (one.get("spec") or {}).get("egress") or [],
            "created_at": read_time(one["metadata"].get("creationTimestamp")),
        }
        for one in listed(objects, "networkpolicies")
    ]
