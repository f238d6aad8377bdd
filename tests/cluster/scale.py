# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A namespace of thousands of pods on the real API server: kwok plays their node, and nothing runs."""

from __future__ import annotations

import json
import time
from typing import Any

import binaries
import node
import processes
from places import KUBECONFIG, ClusterError, say, wait

NODE = "played"
MARK = {"kwok.x-k8s.io/node": "fake"}
FOR_EACH = 100  # pods of one Deployment
SECONDS = 300


def up(namespace: str, pods: int) -> None:
    """Idempotent; returns when every pod is ready."""
    if pods < 1 or namespace in ("default", "kube-system"):
        raise ClusterError("a namespace of its own and at least one pod are needed")
    binaries.build(binaries.KWOK)
    started = time.monotonic()
    processes.start(
        "kwok",
        [binaries.folder(binaries.KWOK) / "kwok", "--kubeconfig", KUBECONFIG, "--manage-all-nodes=false",
         "--manage-nodes-with-annotation-selector=%s=%s" % next(iter(MARK.items())), "--cidr=10.245.0.0/16", "--server-address=127.0.0.1:10247",
         # Its own heartbeat is slower than this cluster's patience with a node (node.py): the node would be lost, and its pods unready for good.
         "--node-lease-duration-seconds=16"],
    )  # fmt: skip
    node.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects(namespace, pods)}), timeout=SECONDS)

    def problem() -> str:
        processes.expect_running("kwok")
        found = json.loads(node.kubectl("-n", namespace, "get", "deployments", "-o", "json"))["items"]
        ready = sum(one["status"].get("readyReplicas", 0) for one in found)
        return "" if ready >= pods else "%d of %d pods are ready" % (ready, pods)

    wait("the namespace %s" % namespace, problem, SECONDS)
    say("%d pods are ready in the namespace %s after %.0f s" % (pods, namespace, time.monotonic() - started))


def down(namespace: str) -> None:
    """The pods need their player to end."""
    node.kubectl("delete", "namespace", namespace, "--ignore-not-found", timeout=2 * SECONDS)
    left = json.loads(node.kubectl("get", "pods", "--all-namespaces", "-o", "json", "--field-selector", "spec.nodeName=" + NODE))["items"]
    if not left:
        node.kubectl("delete", "node", NODE, "--ignore-not-found")
        processes.stop("kwok")
    say("the namespace %s is gone" % namespace)


def objects(namespace: str, pods: int) -> list[dict[str, Any]]:
    """The node, the namespace, and so many Deployments with their Services and settings that together they have that many pods."""
    found: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": NODE, "annotations": {**MARK, "node.alpha.kubernetes.io/ttl": "0"}, "labels": {"type": NODE}},
            "spec": {"taints": [{"key": next(iter(MARK)), "value": "fake", "effect": "NoSchedule"}]},
            "status": {name: {"cpu": "1k", "memory": "4Ti", "pods": "20k"} for name in ("capacity", "allocatable")},
        },
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
    ]
    for number, first in enumerate(range(0, pods, FOR_EACH)):
        found += _one("service-%02d" % number, namespace, min(FOR_EACH, pods - first))
    return found


def _one(name: str, namespace: str, replicas: int) -> list[dict[str, Any]]:
    about = {"name": name, "namespace": namespace, "labels": {"app": name}}
    container = {
        "name": "server",
        "image": "registry.example/%s:1.0" % name,
        "ports": [{"name": "http", "containerPort": 8000}],
        "envFrom": [{"configMapRef": {"name": name}}],
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}},
    }
    pod = {
        "nodeSelector": {"type": NODE},
        "tolerations": [{"key": next(iter(MARK)), "operator": "Exists"}],
        "automountServiceAccountToken": False,
        "containers": [container],
    }
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": {"LOG_LEVEL": "INFO", "WORKERS": "2"}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            # Not for this machine's kube-proxy: nobody sends anything to a played pod.
            "metadata": {**about, "labels": {"app": name, "service.kubernetes.io/service-proxy-name": NODE}},
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": about,
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}}, "spec": pod}},
        },
    ]
