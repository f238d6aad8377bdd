"""Objects as a Kubernetes API gives them, small and with nothing that a test does not look at."""

from __future__ import annotations

import base64
from typing import Any


def meta(name: str, owner: tuple[str, str] | None = None, labels: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "namespace": "shop", "uid": "uid-" + name, "labels": labels or {}, "creationTimestamp": "2026-01-01T00:00:00Z"}
    if owner:
        found["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "controller": True}]
    return {**found, **more}


def container(name: str = "app", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "registry.example/%s:1" % name, **more}


def pod(name: str, *containers: dict[str, Any], owner: tuple[str, str] | None = None, labels: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """more: ip, phase, statuses (container name: state), spec, meta."""
    found = {
        "metadata": meta(name, owner, labels, **more.get("meta", {})),
        "spec": {"containers": list(containers) or [container()], "restartPolicy": "Always", **more.get("spec", {})},
        "status": {"phase": more.get("phase", "Running"), "podIP": more.get("ip", ""), "hostIP": "10.9.9.9", **more.get("status", {})},
    }
    if "statuses" in more:
        found["status"]["containerStatuses"] = [{"name": one, "ready": True, **state} for one, state in more["statuses"].items()]
    return found


def running(since: str = "2026-01-01T00:00:10Z", **more: Any) -> dict[str, Any]:
    return {"state": {"running": {"startedAt": since}}, "started": True, **more}


def service(name: str, selector: dict[str, str] | None = None, address: str = "10.96.0.5", ports: Any = None, **spec: Any) -> dict[str, Any]:
    ports = ports or [{"port": 80, "targetPort": 8000}]
    return {"metadata": meta(name), "spec": {"type": "ClusterIP", "selector": selector, "clusterIP": address, "clusterIPs": [address], "ports": ports, **spec}}


def endpoints(name: str, *addresses: str, port: int = 8000, ready: bool = True, **end: Any) -> dict[str, Any]:
    return {
        "metadata": meta(name + "-x1", labels={"kubernetes.io/service-name": name}),
        "ports": [{"name": "", "port": port}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}, **end} for address in addresses],
    }


def secret(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": meta(name), "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}}


def configmap(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": meta(name), "data": data}
