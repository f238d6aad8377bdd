# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The reference stacks on the cluster: the same images, the manifests of tests/stack/<name>/kubernetes."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import foreign as outside
import node
from places import HERE, ClusterError, foreign, say, wait

sys.path.insert(0, str(HERE.parent / "stack"))

import ctl

READY_SECONDS = 180
# psql in a database's pod, by the server's socket, which knows the system's user; its words follow.
PSQL = ("sh", "-c", 'if [ "$(id -u)" = 0 ]; then exec runuser -u postgres -- psql "$@"; else exec psql "$@"; fi', "psql")


@dataclass(frozen=True)
class OnCluster(ctl.Stack):
    """A stack as ctl.py knows it, reached where the cluster publishes it."""

    @cached_property
    def spec(self) -> dict[str, Any]:
        """As stack.yml says it, with the names that the workloads have on the cluster."""
        return on_cluster(super().spec)

    @property
    def place(self) -> dict[str, Any]:
        """{"url", "namespaces", perhaps "instance" and "services"} of stack.yml."""
        found = self.spec.get("kubernetes")
        if not isinstance(found, dict):
            raise ClusterError("the stack %s has no manifests for Kubernetes" % self.name)
        return found

    @property
    def url(self) -> str:
        """The cluster's own node is this machine; another's answers at its node's address."""
        url = str(self.place["url"])
        return url.replace("127.0.0.1", outside.address()) if foreign() else url


def on_cluster(spec: dict[str, Any]) -> dict[str, Any]:
    """stack.yml with the services that `kubernetes` calls otherwise under those names, wherever a service is named."""
    called = (spec.get("kubernetes") or {}).get("services") or {}
    names = {spec["services"][role]: name for role, name in called.items()}

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed(item) if key in ("service", "services") or isinstance(item, dict) else item for key, item in value.items()}
        if isinstance(value, list):
            return [renamed(item) for item in value]
        return names.get(value, value)

    changed = {key: renamed(spec[key]) for key in ("optional", "settings", "llm_admin") if key in spec}
    return {**spec, **changed, "services": {**spec["services"], **called}}


def load(name: str) -> OnCluster:
    return OnCluster(ctl.load_stack(name).folder)


def up(stack: OnCluster) -> None:
    """Bring its images, apply its manifests, wait until it truly works."""
    started = time.monotonic()
    bring_images(stack)
    _apply(stack.folder / "kubernetes")
    wait("the stack %s" % stack.name, lambda: ready(stack), READY_SECONDS)
    say("%s is ready at %s after %.0f s" % (stack.name, stack.url, time.monotonic() - started))


def bring_images(stack: OnCluster) -> None:
    """Build those that are missing, and bring them to the node."""
    ctl.build(stack)
    bring = outside.load_images if foreign() else node.load_images
    bring(sorted("%s/%s:latest" % (stack.project, name) for name in stack.image_names if name != "base"))


def _apply(folder: Path) -> None:
    """Plain manifests, or a kustomization (its passwords are the files that Compose mounts, which lie outside of it)."""
    if (folder / "kustomization.yml").exists():
        node.kubectl("apply", "-f", "-", stdin=node.kubectl("kustomize", "--load-restrictor", "LoadRestrictionsNone", folder))
        return
    # The namespaces first: what lies in them follows in whatever order.
    node.kubectl("apply", "-f", folder / "namespace.yml")
    node.kubectl("apply", "-f", folder)


def ready(stack: OnCluster) -> str:
    """What keeps the stack from working, in words: pods first, then a request and a task."""
    # What the application waits for lies in the last ones.
    for namespace in reversed(stack.place["namespaces"]):
        pods = json.loads(node.kubectl("-n", namespace, "get", "pods", "-o", "json"))["items"]
        waiting = [_named(pod) for pod in pods if pod["status"].get("phase") != "Succeeded" and not _is_ready(pod)]
        if waiting or not pods:
            return "waiting for %s" % (", ".join(waiting) or "its pods")
        blind = without_figure(json.loads(node.kubectl("-n", namespace, "get", "horizontalpodautoscalers", "-o", "json"))["items"])
        if blind:
            return blind
    return ctl.ready(stack, 5)


def without_figure(autoscalers: list[dict[str, Any]]) -> str:
    """Which autoscaler does not know yet how busy its pods are, in words: until then nobody can call it well."""
    for one in autoscalers:
        active = [said for said in one.get("status", {}).get("conditions", []) if said["type"] == "ScalingActive"]
        if not active or (active[0]["status"] == "False" and active[0].get("reason") != "ScalingDisabled"):
            return "the autoscaler %s has no figure yet" % one["metadata"]["name"]
    return ""


def _is_ready(pod: dict[str, dict[str, list[dict[str, str]]]]) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))


def _named(pod: dict[str, Any]) -> str:
    """Its name, and in brackets what Kubernetes says of why it is not ready."""
    status = pod["status"]
    states = [one.get("state", {}).get("waiting", {}) for one in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))]
    said = [one["reason"] for one in states if one.get("reason", "PodInitializing") not in ("PodInitializing", "ContainerCreating")]
    said += [one["message"] for one in status.get("conditions", ()) if one["type"] == "PodScheduled" and one["status"] == "False" and one.get("message")]
    return pod["metadata"]["name"] + (" (%s)" % said[0] if said else "")


def down(stack: OnCluster) -> None:
    for namespace in stack.place["namespaces"]:
        node.kubectl("delete", "namespace", namespace, "--ignore-not-found", timeout=180)
    say("%s is gone from the cluster" % stack.name)
