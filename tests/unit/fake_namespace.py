# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A namespace on an API server that only pretends, whose workloads make pods by themselves: what a pod was started with, it keeps."""

from __future__ import annotations

import copy
import itertools
import json
from types import SimpleNamespace
from typing import Any

from fake_cluster import FakeCluster
from samples_kubernetes import configmap, secret

from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Options, Scene
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance, Process
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes import Kubernetes
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_inside import Inside
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_settings import Settings, read_secret
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

APPS = "/apis/apps/v1/namespaces/shop"
CORE = "/api/v1/namespaces/shop"
PLURAL = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
OBJECTS = ("/deployments/", "/statefulsets/", "/configmaps/", "/secrets/")


class FakeNamespace(FakeCluster):
    """Its workloads roll out at once: each change of a template makes new pods, which read their ConfigMaps and Secrets as they are then.

    images: what an image sets by itself, for every program. stuck: workloads whose new pods do not come up.
    """

    def __init__(self) -> None:
        super().__init__()
        self.access = SimpleNamespace(authority=b"ca", server="https://cluster.example")
        self.images: dict[str, str] = {}
        self.stuck: set[str] = set()
        self.started: dict[str, dict[str, str]] = {}
        self._numbers = itertools.count(1)

    def text(self, path: str, query: Any = None) -> str:
        return "2026-01-01T00:00:00Z a line\n"

    def put(self, *found: dict[str, Any]) -> None:
        for one in found:
            kind = one["kind"]
            base = APPS if kind in PLURAL else CORE
            plural = PLURAL.get(kind) or kind.lower() + "s"
            one["metadata"].setdefault("uid", "uid-%s-%s" % (kind.lower(), one["metadata"]["name"]))
            self._keep("%s/%s/%s" % (base, plural, one["metadata"]["name"]), copy.deepcopy(one))
        self.roll()

    def change(self, method: str, path: str, body: Any = None, query: Any = None, content_type: str = "application/json") -> Any:
        answer = super().change(method, path, body, query, content_type)
        self.roll()
        return answer

    def _post(self, path: str, body: Any) -> Any:
        return super()._post(path, {**body, "metadata": {"uid": "uid-made-" + body["metadata"]["name"], **body["metadata"]}})

    def roll(self) -> None:
        """What the controllers do."""
        for path, work in list(self.objects.items()):
            if path.rsplit("/", 1)[0] not in ("%s/%s" % (APPS, plural) for plural in PLURAL.values()):
                continue
            mark = json.dumps(work["spec"]["template"], sort_keys=True)
            name, wanted = work["metadata"]["name"], work["spec"].get("replicas", 1)
            mine = {where: pod for where, pod in self.objects.items() if where.startswith(CORE + "/pods/") and pod["of"] == path}
            if any(pod["mark"] != mark for pod in mine.values()) or len(mine) != wanted:
                for where in mine:
                    del self.objects[where]
                for _copy in range(wanted):
                    self._start(path, work, mark)
            ready = 0 if name in self.stuck else wanted
            work["status"] = {
                "observedGeneration": work["metadata"]["generation"],
                **dict.fromkeys(("replicas", "updatedReplicas"), wanted),
                **dict.fromkeys(("readyReplicas", "availableReplicas"), ready),
            }

    def _start(self, path: str, work: dict[str, Any], mark: str) -> None:
        name = "%s-%d" % (work["metadata"]["name"], next(self._numbers))
        spec = work["spec"]["template"]["spec"]
        owner = {"kind": work["kind"], "name": work["metadata"]["name"], "uid": work["metadata"]["uid"], "controller": True, "apiVersion": "apps/v1"}
        pod = {
            "metadata": {
                "name": name,
                "namespace": "shop",
                "uid": "uid-" + name,
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"app": work["metadata"]["name"]},
                "ownerReferences": [owner],
            },
            "spec": copy.deepcopy(spec),
            "status": {
                "phase": "Running",
                "containerStatuses": [
                    {"name": one["name"], "ready": True, "started": True, "state": {"running": {"startedAt": "2026-01-01T00:00:10Z"}}}
                    for one in spec["containers"]
                ],
            },
            "of": path,
            "mark": mark,
        }
        if work["kind"] == "Deployment":  # without its ReplicaSet, by the name that this has
            pod["metadata"]["labels"]["pod-template-hash"] = "h1"
            owner.update(kind="ReplicaSet", name=work["metadata"]["name"] + "-h1")
        self.objects["%s/pods/%s" % (CORE, name)] = pod
        given = self.settings().given(pod, pod["spec"]["containers"][0])
        self.started["uid-" + name] = {**self.images, **given.environment}

    def settings(self) -> Settings:
        found = {kind: [one for path, one in self.objects.items() if path.startswith("%s/%s/" % (CORE, kind))] for kind in ("configmaps", "secrets")}
        return Settings(found, {("shop", one["metadata"]["name"]): read_secret(one, None) for one in found["secrets"]})

    def export(self) -> dict[str, Any]:
        """What somebody wants of the namespace."""
        kept = {}
        for path, one in self.objects.items():
            if any(word in path for word in OBJECTS):
                meta = {key: one["metadata"].get(key) for key in ("name", "labels", "annotations")}
                kept[path.rsplit("/", 2)[1] + "/" + path.rsplit("/", 1)[1]] = copy.deepcopy(
                    {"metadata": meta, **{key: value for key, value in one.items() if key not in ("metadata", "status")}}
                )
        return kept


class Town(Kubernetes):
    """The platform on it; inside its pods there is nothing but what the program was started with."""

    def _look(self, instance: Instance) -> Inside:
        started = self.cluster.started.get(instance.id, self._seats[instance.id].given.environment)
        return Inside([Process(1, 0, "S", "app")], environments={1: dict(started)})

    def file(self, instance: Instance, path: str, limit: int = 65536) -> Any:
        return self._seats[instance.id].given.files.get(path)

    def resolve(self, instance: Instance, host: str, timeout: float, inside: bool) -> list[str]:
        raise StackError("nobody is asked", kind="hidden")


def stage_of(cluster: FakeNamespace, selector: str = "", **params: Any) -> Stage:
    platform = Town(cluster, ["shop"], selector)
    scene = Scene(platform, Mask(), Options(stack="shop", timeout=1.0, ask_servers=False))
    scene.discover()
    return Stage({"stack_platform": "kubernetes", "timeout": 1.0, **params}, scene)


def work(name: str, container: dict[str, Any], kind: str = "Deployment", volumes: Any = None, **more: Any) -> dict[str, Any]:
    """A workload of one container. more: meta, spec, containers."""
    first = {"name": name, "image": "shop/app:1", **container}
    pod = {"containers": [first, *more.get("containers", [])], **({"volumes": volumes} if volumes else {})}
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "generation": 1, **more.get("meta", {})},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
            **more.get("spec", {}),
        },
    }


def store(kind: str, name: str, **data: str) -> dict[str, Any]:
    return {"kind": kind, **(secret(name, **data) if kind == "Secret" else configmap(name, **data))}
