# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which component each object of a namespace belongs to. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import Objects, listed, owner_of
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_workloads import (
    Workload,
    followed_jobs,
    name_components,
    workload_of,
    workloads_of,
)

Place = tuple[str, str, str]


class Cast:
    """The components of a stack's objects, named as the platform names them.

    workloads: by component. pods: by component, all of them, also those on their way out and those that an eviction left behind.
    followed: (namespace, name) of the Jobs that a later run of the same work stands for.
    """

    def __init__(self, objects: Objects) -> None:
        found = workloads_of(objects)
        names = name_components(found)
        self.workloads: dict[str, Workload] = {names[place]: one for place, one in enumerate(found)}
        self.names: dict[Place, str] = {(one.kind, one.namespace, one.name): name for name, one in self.workloads.items()}
        self.followed = followed_jobs(objects)
        self._owned: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        owners: dict[str, dict[tuple[str, str], dict[str, Any] | None]] = {}
        for kind in ("replicasets", "jobs"):
            owners[kind] = {}
            for one in listed(objects, kind):
                owner = owner_of(one)
                owners[kind][(one["metadata"]["namespace"], one["metadata"]["name"])] = owner
                if owner:
                    self._owned.setdefault((owner["kind"], one["metadata"]["namespace"], owner["name"]), []).append(one)
        self._owners = owners
        self.pods: dict[str, list[dict[str, Any]]] = {}
        self.of_pod: dict[str, str] = {}
        for pod in listed(objects, "pods"):
            name = self.names.get(workload_of(pod, owners))
            if name:
                self.pods.setdefault(name, []).append(pod)
                self.of_pod[str(pod["metadata"].get("uid") or pod["metadata"]["name"])] = name

    def owned(self, workload: Workload) -> list[dict[str, Any]]:
        """The ReplicaSets or Jobs that a workload made."""
        return self._owned.get((workload.kind, workload.namespace, workload.name), [])

    def named(self, kind: str, namespace: str, name: str) -> str:
        """The component of a workload, of a ReplicaSet or Job that it made, or "" where there is none."""
        own = self.names.get((kind, namespace, name))
        if own:
            return own
        above = self._owners.get({"ReplicaSet": "replicasets", "Job": "jobs"}.get(kind, ""), {}).get((namespace, name))
        return self.names.get((above["kind"], namespace, above["name"]), "") if above else ""
