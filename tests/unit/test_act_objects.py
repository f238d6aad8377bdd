# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remedies on the objects of a cluster: what they choose, what they refuse, that the server tries exactly what is done, and that all of it comes back.

Settings: test_act_settings.py. The same on a real cluster: tests/kubernetes/test_act_objects.py.
"""

from __future__ import annotations

import base64
import copy
import importlib
import json
import time
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from fake_cluster import FakeCluster

from ansible_collections.aiops.runbook.plugins import modules
from ansible_collections.aiops.runbook.plugins.module_utils.act import cluster_room, difference
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.door import ACT_SPEC
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy import cluster_autoscaler as autoscaler
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy import cluster_service as services
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.cluster_autoscaler import AutoscalerBounds
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.cluster_node import NodeUncordon, kept_away
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.cluster_service import ServicePort, ServiceSelector
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload import StackRollback, WorkloadStart, roomier
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload_image import NAME, ImageSet
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload_probes import ComponentProbes
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload_pull_secret import ImagePullSecret
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload_resources import WorkloadResources, request_for
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload_scale import ComponentScale, WorkloadResume
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage as RealStage
from ansible_collections.aiops.runbook.plugins.module_utils.act.versions import choose, only_restarted, troubled, whole_since
from ansible_collections.aiops.runbook.plugins.module_utils.act.workload import Revision, Target, differences, rollout_seconds, start_seconds
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, unseen
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Instance
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_workloads import name_components, workloads_of
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

MIB = 1 << 20
GIB = 1 << 30
APPS, CORE = "/apis/apps/v1/namespaces/shop", "/api/v1/namespaces/shop"
API = APPS + "/deployments/api"
HPA = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/"


def ago(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds))


def meta(name, **more):
    return {"name": name, "namespace": "shop", "uid": "uid-" + name, "generation": 1, "creationTimestamp": ago(600), **more}


def template(image="shop/api:1", labels=None, spec=None, **container):
    one = {"name": "api", "image": image, "resources": {}, "ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}], **container}
    return {"metadata": {"labels": labels or {"app": "api"}}, "spec": {"containers": [one], **(spec or {})}}


def deployment(name="api", made=None, replicas=1, conditions=(), spec=None, **more):
    made = made or template()
    wanted = {"replicas": replicas, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": made["metadata"]["labels"]}, "template": made}
    return {"metadata": meta(name, **more), "spec": {**wanted, **(spec or {})}, "status": {"conditions": list(conditions)}}


def replicaset(number, made=None, seconds=300, ready=0, name="api"):
    about = meta("%s-%d" % (name, number), creationTimestamp=ago(seconds), annotations={"deployment.kubernetes.io/revision": str(number)})
    about["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": "uid-" + name, "controller": True}]
    made = copy.deepcopy(made or template())
    made["metadata"]["labels"]["pod-template-hash"] = str(number)
    return {"metadata": about, "spec": {"replicas": ready, "template": made}, "status": {"readyReplicas": ready}}


def pod(number=1, of="api", node="n1", made=None, status=None, seconds=100):
    labels = {**(made or template())["metadata"]["labels"], "pod-template-hash": str(number)}
    about = meta("%s-%d-x" % (of, number), creationTimestamp=ago(seconds), labels=labels)
    about["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "%s-%d" % (of, number), "controller": True}]
    told = status or {"state": {"running": {"startedAt": ago(seconds)}}, "ready": True}
    return {
        "metadata": about,
        "spec": {**(made or template())["spec"], "nodeName": node},
        "status": {"phase": "Running", "containerStatuses": [{"name": "api", **told}]},
    }


def node(name="n1", cpu="4", memory="8Gi", pods="110", ready="True", taints=(), **spec):
    status = {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}, "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name, "uid": "uid-" + name}, "spec": {"taints": list(taints), **spec}, "status": status}


def scaler(name="api", least=1, most=3, target="api", metrics=(), **more):
    spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}, "minReplicas": least, "maxReplicas": most}
    about = meta(name, **more)
    del about["generation"]
    return {"metadata": about, "spec": {**spec, "metrics": list(metrics)}, "status": {"currentReplicas": most, "desiredReplicas": most}}


def service(name="api", selector=None, port=80, target="http", applied=None, **spec):
    about = {key: value for key, value in meta(name).items() if key != "generation"}
    if applied:
        about["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"spec": applied})}
    return {"metadata": about, "spec": {"type": "ClusterIP", "selector": selector or {"app": "api"}, "ports": [{"port": port, "targetPort": target}], **spec}}


def slice_of(name="api"):
    about = meta(name + "-s", labels={"kubernetes.io/service-name": name})
    return {"metadata": about, "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}], "ports": [{"name": "", "port": 8000}]}


def secret(name="pull", accounts=None, kind="kubernetes.io/dockerconfigjson"):
    text = json.dumps({"auths": {place: {"username": who, "password": word} for place, (who, word) in (accounts or {}).items()}})
    return {"metadata": meta(name), "type": kind, "data": {".dockerconfigjson": base64.b64encode(text.encode()).decode()}}


PLACES = {
    "Deployment": "deployments", "StatefulSet": "statefulsets", "ReplicaSet": "replicasets", "HPA": "horizontalpodautoscalers", "Pod": "pods",
    "Service": "services", "EndpointSlice": "endpointslices", "Secret": "secrets", "ConfigMap": "configmaps", "ServiceAccount": "serviceaccounts",
    "ResourceQuota": "resourcequotas", "LimitRange": "limitranges", "PodMetrics": "podmetrics", "Node": "nodes", "Event": "events",
}  # fmt: skip
FOLDERS = {
    **dict.fromkeys(("deployments", "statefulsets", "replicasets", "controllerrevisions"), APPS),
    "horizontalpodautoscalers": "/apis/autoscaling/v2/namespaces/shop",
    "endpointslices": "/apis/discovery.k8s.io/v1/namespaces/shop",
    "nodes": "/api/v1",
}


class Stage:
    """A namespace on the fake cluster, as a remedy meets it; controllers do at once what is asked of them."""

    def __init__(self, roles=None, **kinds):
        self.cluster = FakeCluster()
        self.cluster.objects.clear()
        for kind, found in kinds.items():
            for one in found if isinstance(found, list) else [found]:
                self.cluster._keep("%s/%s/%s" % (FOLDERS.get(kind, CORE), kind, one["metadata"]["name"]), copy.deepcopy(one))
        self.roles, self.mask, self.params = roles or {}, Mask(), {}
        self.heard, self.used, self.hidden = {}, {}, {}
        self.renew()

    def renew(self):
        objects = {kind: [] for kind in PLACES.values()}
        for path, one in self.cluster.objects.items():
            objects.setdefault(path.split("/")[-2], []).append(copy.deepcopy(one))
        objects.update(self.hidden)
        works = workloads_of(objects)
        named = {name: works[place] for place, name in name_components(works).items()}
        parts = []
        for name, work in sorted(named.items()):
            copies = [self._instance(one) for one in work.pods]
            parts.append(Component(id=name, role=self.roles.get(name, "api"), instances=copies))
        self.scene = SimpleNamespace(components=parts, sockets={one.id: self.heard.get(part.id) for part in parts for one in part.instances})
        self.scene.running = lambda: [one for part in parts for one in part.running]
        self.platform = SimpleNamespace(
            name="kubernetes", cluster=self.cluster, namespaces=["shop"], objects=objects, workloads=named, events=lambda since: [],
            memory=lambda one: {"used": self.used.get(one.name, 0)}, logs=lambda one, since, tail: ["the last words"],
            run_inside=lambda one, words: (0, "MemAvailable: 4194304 kB\n"),
        )  # fmt: skip

    @staticmethod
    def _instance(one):
        told = one["status"]["containerStatuses"][0]
        limits = one["spec"]["containers"][0].get("resources", {}).get("limits", {})
        last = (told.get("lastState") or {}).get("terminated") or {}
        return Instance(
            one["metadata"]["uid"], one["metadata"]["name"], "running" if "running" in told["state"] else "restarting",
            oom_killed=last.get("reason") == "OOMKilled", memory_limit=int(cluster_room.read_quantity(limits.get("memory"))),
        )  # fmt: skip

    def component(self, name):
        found = next((one for one in self.scene.components if one.id == name), None)
        if found is None:
            raise StackError("no component %s" % name, kind="bad_option")
        return found

    def restart_risk(self, name):
        return RealStage.restart_risk(self, name)

    def instances(self, name):
        return self.component(name).instances

    def wait(self, problem, seconds, pause=0.5):
        return problem()

    def settle(self):
        """What the controllers would have done by now."""
        for path, one in list(self.cluster.objects.items()):
            if path.split("/")[-2] in ("deployments", "statefulsets"):
                for name in [name for name in self.cluster.objects if name.startswith("%s/pods/%s-" % (CORE, one["metadata"]["name"]))]:
                    self.cluster.objects[name] = pod(of=one["metadata"]["name"], made=one["spec"]["template"])
                self._number(one["metadata"]["name"], one["spec"]["template"])
                copies = one["spec"].get("replicas", 1)
                counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), copies)
                one["status"] = {**one["status"], **counts, "observedGeneration": one["metadata"]["generation"]}
        self.renew()

    def _number(self, name, made):
        """The latest version of a workload is this one."""
        kept = {one["metadata"]["name"]: one for path, one in self.cluster.objects.items() if path.startswith("%s/replicasets/%s-" % (APPS, name))}
        numbers = {key: int(one["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) for key, one in kept.items()}
        same = next((key for key, one in kept.items() if not differences(one["spec"]["template"], made)), "")
        if not same:
            new = replicaset(max(numbers.values(), default=0) + 1, made, 1, 1, name)
            self.cluster._keep("%s/replicasets/%s" % (APPS, new["metadata"]["name"]), new)
        elif numbers[same] < max(numbers.values()):
            kept[same]["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = str(max(numbers.values()) + 1)

    def export(self):
        """All that is wanted of all objects but those that controllers make."""
        kept = [(path, one) for path, one in self.cluster.objects.items() if path.split("/")[-2] not in ("pods", "replicasets")]
        return {path: difference.wanted(copy.deepcopy(one)) for path, one in kept}


def step(remedy, component="api", finding="", **params):
    return Step(remedy.name, component, params, finding)


def cured(remedy, stage, wanted, *changed):
    """The remedy from its preview to its undoing; the objects as they are after apply. changed: the only paths that may differ then."""
    before = stage.export()
    preview = remedy.preview(stage, wanted)
    assert preview.changed and preview.diff, preview
    assert stage.export() == before, "a preview changes nothing"
    assert stage.cluster.tried, "the server has tried it"
    remedy.evidence(stage, wanted, preview)
    record = json.loads(json.dumps(preview.undo))
    remedy.apply(stage, wanted, preview)
    stage.settle()
    after = stage.export()
    assert {path for path in {*before, *after} if before.get(path) != after.get(path)} == set(changed or [API])
    assert remedy.verify(stage, wanted, preview) == ""
    again = remedy.preview(stage, Step(wanted.remedy, wanted.component, wanted.params))
    assert not again.changed and not again.diff and not again.touches
    for _time in range(2):
        remedy.undo(stage, record)
        stage.settle()
        assert stage.export() == before
    return preview, after


def refused(remedy, stage, wanted, words):
    before = stage.export()
    with pytest.raises(StackError, match=words) as caught:
        remedy.preview(stage, wanted)
    assert stage.export() == before
    assert caught.value.details.get("fix") or caught.value.kind == "bad_option"
    return caught.value


# Places ------------------------------------------------------------------------------------------------------------------

OLD = {
    "metadata": {"labels": {"a": "1"}, "resourceVersion": "5"},
    "spec": {"containers": [{"name": "x", "env": [{"name": "P", "value": "secret"}]}, {"name": "y"}], "n": 1},
    "status": {"s": 1},
}


def changed_to(how):
    made = copy.deepcopy(OLD)
    how(made["spec"])
    return made


DIFFERENCES = [
    ("a number", lambda spec: spec.update(n=2), [("n", "1", "2")]),
    ("a key that was not there", lambda spec: spec["containers"][1].update(resources={"limits": {"cpu": "1"}}),
     [("container[y].resources", "(none)", '{"limits": {"cpu": "1"}}')]),
    ("a key that goes", lambda spec: spec.pop("n"), [("n", "1", "(none)")]),
    ("a setting", lambda spec: spec["containers"][0]["env"][0].update(value="other"), [("container[x].env[P].value", "as it is", "another")]),
    ("a container more", lambda spec: spec["containers"].append({"name": "z"}), None),
    ("nothing", lambda spec: None, []),
]  # fmt: skip


@pytest.mark.parametrize(("what", "how", "lines"), DIFFERENCES, ids=[case[0] for case in DIFFERENCES])
def test_places(what, how, lines):
    new = changed_to(how)
    places = difference.places(OLD, new)
    if lines is not None:
        assert [(one["what"], one["before"], one["after"]) for one in difference.told(places)] == lines
    assert not any("secret" in json.dumps(one) for one in difference.told(places))
    forth = FakeCluster()
    forth._keep("/x/y", copy.deepcopy(OLD))
    if places:
        forth.change("PATCH", "/x/y", difference.patch(OLD, places))
    assert difference.wanted(forth.get("/x/y")) == difference.wanted(new)
    back = difference.patch(forth.get("/x/y"), places, "before")
    if back:
        forth.change("PATCH", "/x/y", back)
    assert difference.wanted(forth.get("/x/y")) == difference.wanted(OLD)
    assert difference.patch(forth.get("/x/y"), places, "before") == [], "once is enough"


def test_a_place_is_found_again_among_others_and_what_others_changed_is_seen():
    places = difference.places(OLD, changed_to(lambda spec: spec["containers"][1].update(image="b")))
    later = changed_to(lambda spec: (spec["containers"].insert(0, {"name": "new"}), spec["containers"][2].update(image="b")))
    assert difference.patch(later, places, "before") == [{"op": "remove", "path": "/spec/containers/2/image"}]
    assert difference.moved_on(later, places) == []
    assert difference.moved_on(changed_to(lambda spec: spec["containers"][1].update(image="c")), places) == ["container[y].image"]
    assert difference.moved_on(changed_to(lambda spec: spec["containers"].pop()), places) == ["container[y].image"]


MINE = {
    "f:spec": {
        "f:replicas": {},
        "f:selector": {},
        "f:strategy": {".": {}, "f:type": {}},
        "f:containers": {
            'k:{"name":"api"}': {
                ".": {},
                "f:image": {},
                "f:env": {".": {}, 'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
                "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:name": {}}},
                "f:resources": {"f:limits": {".": {}, "f:memory": {}}},
            },
        },
    },
}


def written(manager="aiops-runbook", fields=None):
    """As the server keeps who wrote what of an object."""
    return [{"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": MINE if fields is None else fields}]


IN_API = ["spec", "containers", {"name": "api"}]
WRITERS = [
    ("a number", [{"at": ["spec", "replicas"], "before": 1, "after": 2}], True),
    ("what nobody says", [{"at": ["spec", "paused"], "after": True}], False),
    ("what is kept as one", [{"at": ["spec", "selector", "tier"], "before": "a", "after": "b"}], True),
    ("a thing in a list", [{"at": [*IN_API, "image"], "before": "a:1", "after": "a:2"}], True),
    ("the same of another thing", [{"at": ["spec", "containers", {"name": "web"}, "image"], "before": "a:1", "after": "a:2"}], False),
    ("by another key than the server's", [{"at": [*IN_API, "ports", {"name": "http"}, "name"], "before": "x", "after": "http"}], True),
    ("a branch", [{"at": [*IN_API, "resources"], "after": {"limits": {"memory": "1Gi"}}}], True),
    ("a branch of which another wrote a part", [{"at": [*IN_API, "resources"], "after": {"limits": {"memory": "1Gi", "cpu": "1"}}}], False),
    ("one more in a list", [{"at": [*IN_API, "env"], "before": [{"name": "B"}], "after": [{"name": "A", "value": "1"}, {"name": "B"}]}], True),
    ("one more, which another has added", [{"at": [*IN_API, "env"], "before": [{"name": "A"}], "after": [{"name": "A"}, {"name": "B"}]}], False),
    ("what was but removed", [{"at": ["spec", "replicas"], "before": 1}], False),
    ("something removed and something written", [{"at": ["spec", "paused"], "before": True}, {"at": ["spec", "replicas"], "before": 1, "after": 2}], True),
    ("one of two", [{"at": ["spec", "replicas"], "before": 1, "after": 2}, {"at": ["spec", "paused"], "after": True}], False),
]  # fmt: skip


@pytest.mark.parametrize(("what", "places", "ours"), WRITERS, ids=[case[0] for case in WRITERS])
def test_who_wrote_what_stands_there(what, places, ours):
    spec = {"replicas": 2, "containers": [{"name": "api", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"}]}, {"name": "web"}]}
    found = {"metadata": {"managedFields": [*written("kubectl", {"f:spec": {}}), *written()]}, "spec": spec}
    assert difference.written_by(found, places, "aiops-runbook") is ours
    assert not difference.written_by(found, places, "helm") and not difference.written_by({"metadata": {}, "spec": spec}, places, "aiops-runbook")


def test_a_thing_that_is_but_a_name_is_told_too():
    with_one = template(spec={"imagePullSecrets": [{"name": "pull"}]})
    assert [line["what"] for line in differences(template(), with_one)] == ["spec.imagePullSecrets[pull]"]


def mounts(*places):
    """Several of one volume, as a ConfigMap is mounted key by key."""
    return {"volumeMounts": [{"name": "cfg", "mountPath": place, "subPath": place[-1]} for place in places]}


def settings(*pairs):
    return {"env": [{"name": name, "value": value} for name, value in pairs]}


def ports(*named):
    return {"ports": [{"name": name, "containerPort": 53, "protocol": protocol} for name, protocol in named]}


def pods_with(**spec):
    return template(spec=spec)


TEMPLATES = [
    ("two mounts of one volume: the first", template(**mounts("/etc/a", "/etc/b")), template(**mounts("/etc/c", "/etc/b")),
     ["container[api].volumeMounts[/etc/a].name", "container[api].volumeMounts[/etc/a].subPath",
      "container[api].volumeMounts[/etc/c].name", "container[api].volumeMounts[/etc/c].subPath"]),
    ("one more of one volume", template(**mounts("/etc/b")), template(**mounts("/etc/a", "/etc/b")),
     ["container[api].volumeMounts[/etc/a].name", "container[api].volumeMounts[/etc/a].subPath"]),
    ("one mount of each volume", template(**mounts("/etc/b")), template(**mounts("/etc/a")),
     ["container[api].volumeMounts[cfg].mountPath", "container[api].volumeMounts[cfg].subPath"]),
    ("a setting twice: the first", template(**settings(("A", "s3cret"), ("A", "2"))), template(**settings(("A", "3"), ("A", "2"))),
     ["environment A of container[api]"]),
    ("a setting twice and once", template(**settings(("A", "s3cret"), ("A", "2"))), template(**settings(("A", "2"))), ["environment A of container[api]"]),
    ("a setting twice: where it stands", template(**settings(("A", "s3cret"), ("B", "$(A)"), ("A", "2"))),
     template(**settings(("A", "s3cret"), ("A", "2"), ("B", "$(A)"))), ["container[api].env"]),
    ("settings in another order", template(**settings(("A", "s3cret"), ("B", "$(A)"))), template(**settings(("B", "$(A)"), ("A", "s3cret"))),
     ["order of container[api].env"]),
    ("two ports of one name", template(**ports(("dns", "TCP"), ("dns", "UDP"))), template(**ports(("dns", "SCTP"), ("dns", "UDP"))),
     ["container[api].ports"]),
    ("two ports of one number", template(**ports(("dns", "UDP"), ("dns-tcp", "TCP"))), template(**ports(("dns", "SCTP"), ("dns-tcp", "TCP"))),
     ["container[api].ports[dns].protocol"]),
    ("what runs first in another order", pods_with(initContainers=[{"name": "a"}, {"name": "b"}]), pods_with(initContainers=[{"name": "b"}, {"name": "a"}]),
     ["order of spec.initContainers"]),
    ("an empty folder", template(), pods_with(volumes=[{"name": "tmp", "emptyDir": {}}]), ["spec.volumes[tmp].emptyDir"]),
    ("a label that is called env", template(labels={"app": "api", "env": "dev"}), template(labels={"app": "api", "env": "prod"}), ["metadata.labels.env"]),
    ("nothing", template(**mounts("/etc/a", "/etc/b")), template(**mounts("/etc/a", "/etc/b")), []),
]  # fmt: skip


@pytest.mark.parametrize(("what", "before", "after", "places"), TEMPLATES, ids=[case[0] for case in TEMPLATES])
def test_where_two_templates_differ(what, before, after, places):
    lines = differences(before, after)
    assert [line["what"] for line in lines] == places
    assert "s3cret" not in json.dumps(lines)


# Room --------------------------------------------------------------------------------------------------------------------


def quota(name="small", used=None, scopes=None, **hard):
    hard = {key.replace("__", "."): value for key, value in hard.items()}
    return {"metadata": meta(name), "spec": {"scopes": scopes or []}, "status": {"hard": hard, "used": used or {}}}


QUOTAS = [
    ({"requests.memory": GIB}, quota(memory="2Gi"), ""),
    ({"requests.memory": 3 * GIB}, quota(memory="2Gi"), "has 2048 MiB of memory left, and 3072 MiB more"),
    ({"limits.cpu": 1.5}, quota(limits__cpu="2", used={"limits.cpu": "1"}), "has 1 of limits.cpu left, and 1.5 more"),
    ({"pods": 1.0}, quota(pods="3", used={"pods": "3"}), "has 0 of pods left"),
    ({"pods": 0.0, "limits.cpu": -1.0}, quota(pods="3", used={"pods": "3"}), ""),
    ({"pods": 1.0}, quota(pods="0", scopes=["BestEffort"]), ""),
    ({"pods": 1.0}, quota(pods="0", scopes=["NotTerminating"]), "0 of pods left"),
]


@pytest.mark.parametrize(("more", "one", "words"), QUOTAS)
def test_quotas(more, one, words):
    said = cluster_room.over_quota([one], more)
    assert words in said if words else said == ""


ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
GROWTHS = [
    ({"type": "Recreate"}, 2, {"pods": 0.0, "requests.memory": 2.0 * GIB, "limits.memory": 2.0 * GIB}),
    (ROLLING, 2, {"pods": 1.0, "requests.memory": 3.0 * GIB, "limits.memory": 3.0 * GIB}),
    (ROLLING, 1, {"pods": 1.0, "requests.memory": 2.0 * GIB, "limits.memory": 2.0 * GIB}),
    ({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%", "maxSurge": 1}}, 2,
     {"pods": 0.0, "requests.memory": 2.0 * GIB, "limits.memory": 2.0 * GIB}),
    ({}, 1, {"pods": 1.0, "requests.memory": 2.0 * GIB, "limits.memory": 2.0 * GIB}),
]  # fmt: skip


@pytest.mark.parametrize(("strategy", "replicas", "wanted"), GROWTHS)
def test_what_a_rollout_needs_at_its_height(strategy, replicas, wanted):
    old, new = (template(resources={"limits": {"memory": size}}) for size in ("1Gi", "2Gi"))
    assert cluster_room.growth(deployment(replicas=replicas, spec={"strategy": strategy}), old, new) == wanted


def limit_range(**bounds):
    return {"metadata": meta("bounds"), "spec": {"limits": [{"type": "Pod", "max": {"cpu": "0"}}, {"type": "Container", **bounds}]}}


@pytest.mark.parametrize(
    ("bounds", "resources", "words"),
    [
        ({"max": {"memory": "1Gi"}}, {"limits": {"memory": "1Gi"}}, ""),
        ({"max": {"memory": "1Gi"}}, {"limits": {"memory": "2Gi"}}, "bounds allows at most 1Gi of memory"),
        ({"min": {"cpu": "100m"}}, {"requests": {"cpu": "50m"}}, "at least 100m of cpu"),
        ({"min": {"cpu": "100m"}}, {}, ""),
    ],
)
def test_limit_ranges(bounds, resources, words):
    said = cluster_room.out_of_range([limit_range(**bounds)], {"name": "api", "resources": resources})
    assert words in said if words else said == ""


ASKS = template(resources={"requests": {"cpu": "500m", "memory": "1Gi"}})
FITS = [
    ("an empty node", [node()], [], 8),
    ("half full", [node()], [pod(made=ASKS)] * 4, 4),
    ("memory ends first", [node(memory="3Gi")], [], 3),
    ("pods end first", [node(pods="2")], [pod(made=template())], 1),
    ("cordoned", [node(unschedulable=True)], [], 0),
    ("not ready", [node(ready="Unknown")], [], 0),
    ("kept for others", [node(taints=[{"key": "gpu", "effect": "NoSchedule"}])], [], 0),
    ("two nodes", [node(), node("n2", cpu="1")], [pod(made=ASKS, node="n2")], 9),
    ("what has ended takes no room", [node(cpu="1")], [{**pod(made=ASKS), "status": {"phase": "Succeeded"}}] * 4, 2),
]


@pytest.mark.parametrize(("what", "nodes", "pods", "wanted"), FITS, ids=[case[0] for case in FITS])
def test_how_many_more_fit(what, nodes, pods, wanted):
    assert cluster_room.fits(nodes, pods, ASKS) == wanted


def test_amounts_are_written_as_in_manifests():
    assert [cluster_room.quantity("memory", size) for size in (512 * MIB, 512 * MIB + 1)] == ["512Mi", "536870913"]
    assert [cluster_room.quantity("cpu", cores) for cores in (2.0, 0.5, 0.1, 1.25)] == ["2", "500m", "100m", "1250m"]


# Limits and requests -------------------------------------------------------------------------------------------------------

RESOURCES = WorkloadResources()


def limited(memory="64Mi", more=None, **kinds):
    resources = {"limits": {"memory": memory}, **(more or {})}
    made = template(resources=resources)
    killed = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"reason": "OOMKilled"}}}
    return Stage(deployments=deployment(made=made), pods=pod(made=made, status=killed), nodes=node(), **kinds)


def resources_of(after, path=API):
    return after[path]["spec"]["template"]["spec"]["containers"][0]["resources"]


def test_memory_grows_and_the_request_stays():
    stage = limited(more={"requests": {"memory": "32Mi"}})
    preview, after = cured(RESOURCES, stage, step(RESOURCES, finding="container.oom_killed@api", memory="grow"))
    assert resources_of(after) == {"limits": {"memory": "256Mi"}, "requests": {"memory": "32Mi"}}
    assert preview.diff == [{"what": "container[api].resources.limits.memory of deployment/api", "before": "64Mi", "after": "256Mi"}]
    assert preview.lasting == ["in the manifest of deployment/api: container[api].resources.limits.memory: 256Mi"]


def test_who_was_sure_of_all_of_it_stays_so():
    stage = limited(more={"requests": {"memory": "64Mi"}})
    _preview, after = cured(RESOURCES, stage, step(RESOURCES, finding="x@api", memory="grow"))
    assert resources_of(after) == {"limits": {"memory": "256Mi"}, "requests": {"memory": "256Mi"}}


def test_a_limit_that_a_limit_range_gave_the_pods_grows_in_the_template():
    given = template(resources={"limits": {"memory": "64Mi"}, "requests": {"memory": "64Mi"}})
    killed = {"state": {"running": {"startedAt": ago(100)}}, "ready": True, "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
    stage = Stage(deployments=deployment(), replicasets=replicaset(1), pods=pod(made=given, status=killed), nodes=node())
    _preview, after = cured(RESOURCES, stage, step(RESOURCES, finding="container.oom_killed@api", memory="grow"))
    assert resources_of(after) == {"limits": {"memory": "256Mi"}}


def test_the_limit_of_the_version_that_worked_is_the_least():
    stage = limited(
        replicasets=[replicaset(1, template(resources={"limits": {"memory": "512Mi"}})), replicaset(2, template(resources={"limits": {"memory": "64Mi"}}))]
    )
    _preview, after = cured(RESOURCES, stage, step(RESOURCES, finding="x@api", memory="grow"))
    assert resources_of(after)["limits"]["memory"] == "512Mi"


def test_a_person_who_lets_it_grow_changes_nothing_where_it_is_not_short():
    made = template(resources={"limits": {"memory": "256Mi"}})
    stage = Stage(deployments=deployment(made=made), pods=pod(made=made), nodes=node())
    assert not RESOURCES.preview(stage, step(RESOURCES, memory="grow")).changed
    stage.used["api-1-x"] = 230 * MIB
    assert RESOURCES.preview(stage, step(RESOURCES, memory="grow")).changed


def test_limits_that_a_person_gives_and_none_that_were_there():
    stage = Stage(deployments=deployment(), pods=pod(), nodes=node())
    _preview, after = cured(RESOURCES, stage, step(RESOURCES, memory=512 * MIB, cpus=1.5, requests={"cpu": 0.25}))
    assert resources_of(after) == {"limits": {"memory": "512Mi", "cpu": "1500m"}, "requests": {"cpu": "250m"}}


def usage(cpu="30m", memory="40Mi"):
    return {"metadata": {"name": "api-1-x", "namespace": "shop"}, "containers": [{"name": "api", "usage": {"cpu": cpu, "memory": memory}}]}


def test_requests_of_what_is_used():
    stage = Stage(deployments=deployment(), pods=pod(), nodes=node(), podmetrics=[usage("180m")])
    wanted = step(RESOURCES, finding="autoscaling.no_requests@api", requests={"cpu": "usage"}, containers=["api"])
    _preview, after = cured(RESOURCES, stage, wanted)
    assert resources_of(after) == {"requests": {"cpu": "400m"}}


@pytest.mark.parametrize(
    ("resource", "used", "limit", "wanted"),
    [("cpu", 0.001, None, 0.1), ("cpu", 0.07, None, 0.2), ("cpu", 0.9, 1.0, 1.0), ("memory", 40 * MIB, None, 64 * MIB), ("memory", 300 * MIB, None, 512 * MIB)],
)
def test_request_for(resource, used, limit, wanted):
    assert request_for(resource, used, limit) == wanted


@pytest.mark.parametrize(
    ("before", "wanted"),
    [(None, "500m"), ({"cpu": "1800m"}, "1800m"), ({"memory": "1Gi"}, "2"), ({"cpu": "64"}, "500m")],
    ids=["nothing is known", "what it had before", "no limit before", "more before than any node has"],
)
def test_cpus_grow_to_no_more_than_half_of_a_node(before, wanted):
    made = template(resources={"limits": {"cpu": "200m"}})
    versions = [replicaset(2, made, 60), replicaset(1, template(resources={"limits": before}), 500)] if before else []
    stage = Stage(deployments=deployment(made=made), pods=pod(2, made=made), nodes=node(), podmetrics=[usage("200m")], replicasets=versions)
    _preview, after = cured(RESOURCES, stage, step(RESOURCES, finding="container.cpu_at_limit@api", cpus="grow", containers=["api"]))
    assert resources_of(after) == {"limits": {"cpu": wanted}}


BAD_RESOURCES = [
    ("more than half of what is left", {"memory": "grow"}, limited("3Gi"), "only 5120 MiB left: no more"),
    ("more than half of the cores", {"cpus": "grow"}, limited(more={"limits": {"cpu": "1500m"}}), "no more than half of it"),
    ("no limit", {"cpus": "grow"}, limited(), "no limit of cpu that could grow"),
    ("no node has it", {"memory": 9 * GIB}, limited(), "no node has 9216 MiB of memory"),
    ("a LimitRange", {"memory": 2 * GIB}, limited(limitranges=[limit_range(max={"memory": "1Gi"})]), "LimitRange bounds allows at most 1Gi"),
    ("a quota", {"memory": 2 * GIB}, limited(resourcequotas=[quota(limits__memory="1Gi")]), "quota small has 1024 MiB"),
    ("below its request", {"memory": 96 * MIB}, limited(more={"requests": {"memory": "128Mi"}, "limits": {"memory": "256Mi"}}), "more than the limit 96 MiB"),
    ("nobody tells what it uses", {"requests": {"cpu": "usage"}}, limited(), "is not known"),
    ("a health check", {"healthcheck": {"retries": 1}}, limited(), "has probes instead"),
    ("nothing", {}, limited(), "nothing says"),
    ("no number", {"memory": "much"}, limited(), "neither grow nor a number"),
    ("of disks", {"requests": {"ephemeral-storage": 1}}, limited(), "only cpu and memory"),
    ("no such container", {"memory": GIB, "containers": ["web"]}, limited(), "no container web: it has api"),
]


@pytest.mark.parametrize(("what", "params", "stage", "words"), BAD_RESOURCES, ids=[case[0] for case in BAD_RESOURCES])
def test_resources_are_refused(what, params, stage, words):
    refused(RESOURCES, stage, step(RESOURCES, finding="x@api", **params), words)


def test_less_than_it_uses_is_refused():
    stage = Stage(deployments=deployment(), pods=pod(), nodes=node())
    stage.used["api-1-x"] = 100 * MIB
    refused(RESOURCES, stage, step(RESOURCES, memory=64 * MIB), "killed at once")


OWNED = [
    ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "Argo CD"),
    ({"labels": {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux"}}, "Flux"),
    ({"ownerReferences": [{"apiVersion": "shop.example/v1", "kind": "Shop", "name": "one"}]}, "Shop/one"),
]


@pytest.mark.parametrize(("about", "who"), OWNED, ids=[case[1] for case in OWNED])
def test_somebody_else_would_take_it_back(about, who):
    stage = Stage(deployments=deployment(**about), pods=pod(), nodes=node(), services=service(selector={"app": "web"}))
    for remedy, wanted in ((RESOURCES, {"memory": GIB}), (ImageSet(), {"image": "shop/api:2"}), (ComponentScale(), {"replicas": 2})):
        assert who in refused(remedy, stage, step(remedy, **wanted), "would take the change back").message


def test_a_release_of_helm_is_told_what_to_write():
    stage = Stage(deployments=deployment(annotations={"meta.helm.sh/release-name": "shop"}), pods=pod(), nodes=node())
    preview, _after = cured(RESOURCES, stage, step(RESOURCES, memory=GIB))
    assert "belongs to the Helm release shop" in preview.lasting[0]


def test_what_somebody_changes_meanwhile_is_not_overwritten():
    stage = Stage(deployments=deployment(), pods=pod(), nodes=node())
    wanted = step(RESOURCES, memory=GIB)
    preview = RESOURCES.preview(stage, wanted)
    stage.cluster.objects[API]["spec"]["replicas"] = 3  # an autoscaler's work is none of ours
    RESOURCES.apply(stage, wanted, preview)
    assert stage.cluster.get(API)["spec"]["replicas"] == 3
    stage.cluster.objects[API]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] = "3Gi"
    with pytest.raises(StackError, match="changed by somebody else since") as caught:
        RESOURCES.undo(stage, preview.undo)
    assert "container[api].resources.limits: (none)" in caught.value.details["fix"]
    with pytest.raises(StackError, match="changed by somebody else meanwhile"):
        RESOURCES.apply(stage, wanted, preview)


def test_what_the_server_makes_of_it_is_what_is_shown():
    stage = Stage(deployments=deployment(), pods=pod(), nodes=node())

    def canonical(found):
        limits = found["spec"]["template"]["spec"]["containers"][0]["resources"].get("limits", {})
        limits.update({key: "1Gi" for key, value in limits.items() if value == "1024Mi"})

    stage.cluster.defaults = canonical
    preview, _after = cured(RESOURCES, stage, step(RESOURCES, memory=GIB))
    assert preview.diff[0]["after"] == '{"memory": "1Gi"}'


def test_what_a_program_on_the_node_sees_counts_more_than_what_was_promised():
    made = template(resources={"limits": {"memory": "2Gi"}})
    stage = Stage(deployments=[deployment(made=made), deployment("web", template(labels={"app": "web"}))], nodes=node(),
                  pods=[pod(made=made, status={"state": {"waiting": {}}}), pod(of="web", made=template(labels={"app": "web"}))])  # fmt: skip
    refused(RESOURCES, stage, step(RESOURCES, finding="x@api", memory="grow"), "only 4096 MiB left")


# Probes --------------------------------------------------------------------------------------------------------------------

PROBES = ComponentProbes()


def http(port="http", path="/health", **more):
    return {"httpGet": {"port": port, "path": path, "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3, **more}


def probed(*revisions, **probe):
    made = template(**probe)
    return Stage(deployments=deployment(made=made), pods=pod(made=made), replicasets=list(revisions))


def container_of(after, path=API):
    return after[path]["spec"]["template"]["spec"]["containers"][0]


def test_time_to_start_is_a_startup_probe_that_asks_what_liveness_asks():
    stage = probed(livenessProbe=http(initialDelaySeconds=1, periodSeconds=5))
    _preview, after = cured(PROBES, stage, step(PROBES, start_seconds=47, container="api"))
    startup = container_of(after)["startupProbe"]
    assert startup == {"httpGet": {"port": "http", "path": "/health", "scheme": "HTTP"}, "periodSeconds": 5, "timeoutSeconds": 1, "failureThreshold": 10}
    assert container_of(after)["livenessProbe"] == http(initialDelaySeconds=1, periodSeconds=5)


def test_time_to_start_where_there_is_a_startup_probe():
    stage = probed(startupProbe=http(initialDelaySeconds=5, periodSeconds=2), livenessProbe=http())
    _preview, after = cured(PROBES, stage, step(PROBES, start_seconds=60))
    assert container_of(after)["startupProbe"] == http(initialDelaySeconds=5, periodSeconds=2, failureThreshold=28)


def test_the_wrong_thing_alone_is_corrected():
    stage = probed(livenessProbe=http(8081), readinessProbe=http(path="/ready"))
    _preview, after = cured(PROBES, stage, step(PROBES, probes={"liveness": {"port": "http"}}))
    assert container_of(after)["livenessProbe"] == http() and container_of(after)["readinessProbe"] == http(path="/ready")


def test_probes_as_they_were():
    before = template(startupProbe=http(failureThreshold=30), livenessProbe=http(periodSeconds=5))
    stage = probed(replicaset(1, before, seconds=500), livenessProbe=http(periodSeconds=1, failureThreshold=1))
    _preview, after = cured(PROBES, stage, step(PROBES, as_before=True))
    assert container_of(after)["startupProbe"] == http(failureThreshold=30) and container_of(after)["livenessProbe"] == http(periodSeconds=5)


def test_times_that_a_person_gives_and_defaults_that_are_not_written():
    stage = probed(readinessProbe={"tcpSocket": {"port": 8000}})
    _preview, after = cured(PROBES, stage, step(PROBES, probes={"readiness": {"timeout_seconds": 5, "failures": 3, "port": 8001}}))
    assert container_of(after)["readinessProbe"] == {"tcpSocket": {"port": 8001}, "timeoutSeconds": 5}


BAD_PROBES = [
    ("nothing", {}, "nothing says"),
    ("no such kind", {"probes": {"health": {"port": 1}}}, "no probe called health"),
    ("none there", {"probes": {"startup": {"port": 8000}}}, "has no startup probe"),
    ("a command has no port", {"probes": {"readiness": {"port": 8000}}}, "asks by exec: it has no port"),
    ("a port of no name", {"probes": {"liveness": {"port": "web"}}}, "no port called web"),
    ("what no probe has", {"probes": {"liveness": {"host": "x"}}}, "a probe has no host"),
    ("no time", {"start_seconds": "soon"}, "not a number"),
    ("a day", {"start_seconds": 86400}, "is no start"),
    ("as before, and nothing was", {"as_before": True}, "no earlier version"),
]


@pytest.mark.parametrize(("what", "params", "words"), BAD_PROBES, ids=[case[0] for case in BAD_PROBES])
def test_probes_are_refused(what, params, words):
    refused(PROBES, probed(livenessProbe=http(), readinessProbe={"exec": {"command": ["true"]}}), step(PROBES, **params), words)


def test_nothing_could_kill_it():
    refused(PROBES, probed(readinessProbe=http()), step(PROBES, start_seconds=60), "no probe that could kill it")
    assert not PROBES.preview(probed(livenessProbe=http(initialDelaySeconds=60)), step(PROBES, start_seconds=60)).changed


def test_a_paused_rollout_takes_nothing_in():
    made = template(livenessProbe=http())
    stage = Stage(deployments=deployment(made=made, spec={"paused": True}), pods=pod())
    for remedy, params in ((PROBES, {"start_seconds": 60}), (ImageSet(), {"image": "shop/api:2"})):
        refused(remedy, stage, step(remedy, **params), "is paused")


# Versions, images ------------------------------------------------------------------------------------------------------------


def revision(number, ready=0, name=""):
    return Revision(number, name or "api-%d" % number, {}, "", ready)


CHOICES = [
    ("the one before", [3, 2, 1], {}, "", (), 2),
    ("the one that serves still", [3, 2, 1], {1: 1}, "", (), 1),
    ("what the cluster calls the last whole one", [3, 2, 1], {}, "api-1", (), 1),
    ("not one whose pods did not come up", [3, 2, 1], {}, "", ("api-2",), 1),
    ("the least bad one", [3, 2], {}, "", ("api-2",), 2),
    ("none", [3], {}, "", (), None),
]


@pytest.mark.parametrize(("what", "numbers", "ready", "current", "ill", "wanted"), CHOICES, ids=[case[0] for case in CHOICES])
def test_the_version_to_go_back_to(what, numbers, ready, current, ill, wanted):
    known = [revision(number, ready.get(number, 0)) for number in numbers]
    chosen = choose(known, known[0], current, ill)
    assert (chosen.number if chosen else None) == wanted


def event(reason, name):
    return {"metadata": meta(name + reason), "reason": reason, "involvedObject": {"kind": "Pod", "name": name}}


def test_whose_pods_did_not_come_up():
    known = [revision(2, name="api-66f"), revision(1, name="api-5d4")]
    assert troubled([event("BackOff", "api-66f-x1"), event("Unhealthy", "api-5d4-y2"), event("Failed", "web-1")], known) == {"api-66f"}
    assert troubled([event("FailedScheduling", "api-5d4-y2")], known) == {"api-5d4"}, "what no node had room for"


def happened(reason, place, first, last=None):
    """An event about a place, first and last seen so many seconds ago."""
    return {**event(reason, place), "firstTimestamp": ago(first), "lastTimestamp": ago(first if last is None else last)}


def one_of(number, is_ready):
    """A pod of a version, as it is now."""
    found = pod(number)
    found["status"]["conditions"] = [{"type": "Ready", "status": "True" if is_ready else "False"}]
    return found


DAYS = 3 * 86400
# What is told of version 2, which was made so many seconds ago; more of it; its pods.
EVENTS = [
    ("its own rollout", 3000, [happened("BackOff", "api-2-x", 2900, 100)], {}, [], True),
    ("one pod more, days later", DAYS, [happened("FailedScheduling", "api-2-y", 500)], {}, [], False),
    ("one pod more, that is still not ready", DAYS, [happened("FailedScheduling", "api-2-x", 500)], {}, [one_of(2, False)], True),
    ("one pod more, and others serve", 3000, [happened("BackOff", "api-2-y", 2900)], {}, [one_of(2, True)], False),
    ("one pod more, and others serve, as is counted", 3000, [happened("BackOff", "api-2-y", 2900)], {"ready": 1}, [], False),
    ("its own rollout had to wait for a node", 3000, [happened("FailedScheduling", "api-2-x", 2990), happened("Scheduled", "api-2-x", 2900)], {}, [], False),
    ("no node for it again", 3000, [happened("Scheduled", "api-2-x", 2995), happened("FailedScheduling", "api-2-x", 2990)], {}, [], True),
    ("another pod had a node", 3000, [happened("FailedScheduling", "api-2-x", 2990), happened("Scheduled", "api-2-y", 2900)], {}, [], True),
    ("no room within the quota", 3000, [happened("FailedCreate", "api-2", 2990, 100), happened("SuccessfulCreate", "api-2", 2995)], {}, [], True),
    ("of a version that was deployed again nobody knows when", DAYS, [happened("BackOff", "api-2-x", 500)], {"again": True}, [], True),
]  # fmt: skip


@pytest.mark.parametrize(("what", "made", "events", "more", "pods", "ill"), EVENTS, ids=[case[0] for case in EVENTS])
def test_which_events_speak_against_a_version(what, made, events, more, pods, ill):
    known = [Revision(3, "api-3", {}, ago(60)), Revision(2, "api-2", {}, ago(made), **more)]
    assert troubled(events, known, pods) == ({"api-2"} if ill else set())


def test_a_moment_without_a_node_does_not_take_the_last_good_version_out_of_the_question():
    told = [happened("FailedScheduling", "api-2-y", 900)]
    kept = [replicaset(3, template("shop/api:9"), 60), replicaset(2, template("shop/api:8"), DAYS), replicaset(1, template("shop/api:7"), 2 * DAYS)]
    stage = Stage(deployments=deployment(made=template("shop/api:9"), conditions=[done(50)]), pods=pod(3), replicasets=kept, events=told)
    assert ROLLBACK.preview(stage, step(ROLLBACK, finding="container.crashed@api")).texts["revision"] == 2


def done(seconds, reason="NewReplicaSetAvailable"):
    return {"type": "Progressing", "status": "True", "reason": reason, "lastUpdateTime": ago(seconds)}


def test_since_when_a_version_has_been_whole():
    assert abs(whole_since(deployment(conditions=[done(100)])) - (time.time() - 100)) < 2
    assert whole_since(deployment(conditions=[done(100, "ReplicaSetUpdated")])) == 0.0


IMAGE, ROLLBACK = ImageSet(), StackRollback()


def released(*revisions, conditions=(), image="shop/api:9", **kinds):
    made = template(image)
    return Stage(deployments=deployment(made=made, conditions=conditions), pods=pod(2, made=made), replicasets=[replicaset(2, made, 60), *revisions], **kinds)


def test_the_image_alone_is_set_back():
    stage = released(replicaset(1, template("shop/api:8", env=[{"name": "A", "value": "1"}]), 500))
    preview, after = cured(IMAGE, stage, step(IMAGE, container="api"))
    assert container_of(after)["image"] == "shop/api:8" and "env" not in container_of(after)
    assert preview.texts["image"] == "shop/api:8" and preview.risk == "disruptive"


def test_an_image_that_a_person_names():
    stage = released()
    stage.roles = {"api": "worker"}
    stage.renew()
    preview, after = cured(IMAGE, stage, step(IMAGE, image="ghcr.io/shop/api:10"))
    assert container_of(after)["image"] == "ghcr.io/shop/api:10" and preview.risk == "transient"


@pytest.mark.parametrize(
    ("image", "good"),
    [
        ("api", True), ("shop/api:1.2", True), ("localhost:5000/a/b_c", True), ("ghcr.io/a@sha256:" + "0" * 64, True), ("[::1]:5000/a:b", True),
        ("shop/Api", False), ("shop/api:", False), ("api:1:2", False), ("", False), ("a b", False), ("https://x/y", False), ("x@sha256:12", False),
    ],
)  # fmt: skip
def test_names_of_images(image, good):
    assert bool(NAME.fullmatch(image)) is good


def test_images_are_refused():
    refused(IMAGE, released(), step(IMAGE), "no earlier version")
    refused(IMAGE, released(replicaset(1, template("shop/api:9", command=["x"]), 500)), step(IMAGE), "has had this image before")
    refused(IMAGE, released(), step(IMAGE, image="Shop/Api"), "no name of an image")
    refused(IMAGE, released(), step(IMAGE, image="x", container="web"), "no container web")


def config(seconds, name="settings"):
    return {"metadata": {**meta(name), "managedFields": [{"manager": "kubectl", "time": ago(seconds)}]}, "data": {}}


NAMES_IT = {"envFrom": [{"configMapRef": {"name": "settings"}}]}


def test_a_rollback_and_its_undoing():
    stage = released(replicaset(1, template("shop/api:8"), 500, ready=1))
    preview, after = cured(ROLLBACK, stage, step(ROLLBACK))
    assert after[API]["spec"]["template"] == template("shop/api:8") and preview.texts["revision"] == 1
    stage = released(replicaset(1, template("shop/api:8"), 500))
    assert ROLLBACK.preview(stage, step(ROLLBACK, revision=1)).diff[0]["after"] == '"shop/api:8"'


def rolled_back():
    """(a stage on which it was done, the record by which it is undone)."""
    stage = released(replicaset(1, template("shop/api:8"), 500, ready=1))
    preview = ROLLBACK.preview(stage, step(ROLLBACK))
    ROLLBACK.apply(stage, step(ROLLBACK), preview)
    return stage, json.loads(json.dumps(preview.undo))


def not_undone(remedy, stage, record, words):
    before = stage.export()
    stage.renew()
    with pytest.raises(StackError, match=words) as caught:
        remedy.undo(stage, record)
    assert caught.value.kind == "not_undone" and stage.export() == before


def test_the_undoing_of_a_rollback_leaves_what_somebody_has_deployed_since():
    stage, record = rolled_back()
    stage.cluster.objects[API]["spec"]["template"] = template("shop/api:10")
    not_undone(ROLLBACK, stage, record, "was changed by somebody else since")
    stage, record = rolled_back()
    stage.cluster.objects[API]["metadata"]["uid"] = "another"
    not_undone(ROLLBACK, stage, record, "was made anew since")
    stage, record = rolled_back()
    stage.cluster.objects[API]["spec"]["template"]["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": ago(1)}
    stage.renew()
    ROLLBACK.undo(stage, record)
    assert stage.export()[API]["spec"]["template"] == template("shop/api:9"), "a restart is no other version"


IMAGE_FIELDS = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"api"}': {"f:image": {}}}}}}}


@pytest.mark.parametrize("by", ["", "kubectl-set", "aiops-runbook"])
def test_the_same_cure_by_somebody_else_is_not_taken_back(by):
    """A run died about its change ("unsure"): what stands there is put back where the server says that we wrote it."""
    for remedy, wanted, fields in (
        (IMAGE, step(IMAGE, image="shop/api:8"), IMAGE_FIELDS),
        (ROLLBACK, step(ROLLBACK), IMAGE_FIELDS),
        (SCALE, step(SCALE, replicas=4), {"f:spec": {"f:replicas": {}}}),
    ):
        stage = released(replicaset(1, template("shop/api:8"), 500, ready=1))
        before = stage.export()
        record = {**json.loads(json.dumps(remedy.preview(stage, wanted).undo)), "unsure": True}
        remedy.undo(stage, record)
        assert stage.export() == before, "nothing was done yet"
        remedy.apply(stage, wanted, remedy.preview(stage, wanted))
        stage.cluster.objects[API]["metadata"]["managedFields"] = written(by, fields) if by else []
        if by == "aiops-runbook":
            stage.renew()
            remedy.undo(stage, record)
            assert stage.export() == before
        else:
            not_undone(remedy, stage, record, "nothing shows that the run itself has changed it: it stays")


def test_the_undoing_of_a_start_whose_copies_an_autoscaler_has_raised():
    start = WorkloadStart()
    for copies, problem in ((2, ""), (3, ""), (5, "somebody else has scaled")):
        stage = Stage(deployments=deployment(replicas=0), replicasets=replicaset(1), horizontalpodautoscalers=scaler(least=2))
        preview = start.preview(stage, step(start))
        start.apply(stage, step(start), preview)
        stage.cluster.objects[API]["spec"]["replicas"] = copies
        stage.renew()
        if problem:
            not_undone(start, stage, preview.undo, problem)
        else:
            start.undo(stage, preview.undo)
            assert stage.export()[API]["spec"]["replicas"] == 0
    # By hand, while the run was dead.
    stage.cluster.objects[API]["spec"]["replicas"] = 1
    not_undone(start, stage, {**preview.undo, "unsure": True}, "nothing shows that the run itself")
    stage.cluster.objects[API]["metadata"]["managedFields"] = written(fields={"f:spec": {"f:replicas": {}}})
    start.undo(stage, {**preview.undo, "unsure": True})
    assert stage.export()[API]["spec"]["replicas"] == 0


def mounted(first, image="shop/api:9"):
    return template(image, **mounts(first, "/etc/b"))


def test_a_rollback_sees_the_first_of_two_mounts_of_one_volume():
    now, before = mounted("/etc/wrong"), mounted("/etc/a")
    stage = Stage(deployments=deployment(made=now), pods=pod(2, made=now), replicasets=[replicaset(2, now, 60), replicaset(1, before, 500)])
    preview, after = cured(ROLLBACK, stage, step(ROLLBACK, finding="container.crashed@api"))
    assert (preview.texts["revision"], preview.texts["present"]) == (1, 2) and after[API]["spec"]["template"] == before


def test_the_undoing_of_a_rollback_leaves_the_mount_that_somebody_has_corrected_since():
    now, before = mounted("/etc/a"), mounted("/etc/a", "shop/api:8")
    stage = Stage(deployments=deployment(made=now), pods=pod(2, made=now), replicasets=[replicaset(2, now, 60), replicaset(1, before, 500)])
    preview = ROLLBACK.preview(stage, step(ROLLBACK))
    ROLLBACK.apply(stage, step(ROLLBACK), preview)
    stage.cluster.objects[API]["spec"]["template"] = mounted("/etc/corrected", "shop/api:8")
    not_undone(ROLLBACK, stage, json.loads(json.dumps(preview.undo)), "was changed by somebody else since")


def test_the_undoing_of_a_start_leaves_the_copies_that_somebody_has_asked_for_since():
    start = WorkloadStart()
    stage = Stage(deployments=deployment(replicas=0), replicasets=replicaset(1))
    preview = start.preview(stage, step(start))
    for copies, problem in ((0, ""), (1, ""), (5, "somebody else has scaled")):
        stage.cluster.objects[API]["spec"]["replicas"] = copies
        if problem:
            not_undone(start, stage, preview.undo, problem)
        else:
            start.undo(stage, preview.undo)
            assert stage.export()[API]["spec"]["replicas"] == 0
    with pytest.raises(StackError, match="has scaled deployment/api meanwhile") as caught:
        start.apply(stage, step(start), preview)
    assert caught.value.kind == "stale"


RESTARTED_AT = {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-11-28T00:00:00Z"}}


def restarted(reason, *earlier):
    """A broken rollout that has only a restart's mark over the version before it."""
    made, plain = template("shop/api:9", **NAMES_IT), template("shop/api:9", **NAMES_IT)
    made["metadata"].update(RESTARTED_AT)
    return Stage(deployments=deployment(made=made, conditions=[done(900, reason)]), pods=pod(3, made=made), configmaps=[config(950)],
                 replicasets=[replicaset(3, made, 60), replicaset(2, plain, 500, ready=1), *earlier])  # fmt: skip


def test_a_version_that_was_only_restarted_is_none_to_go_back_to():
    error = refused(ROLLBACK, restarted("ReplicaSetUpdated"), step(ROLLBACK), "was only restarted")
    assert error.details["fix"] == "put back what was changed in configmap/settings"
    before = replicaset(1, template("shop/api:8", **NAMES_IT), 900)
    assert ROLLBACK.preview(restarted("NewReplicaSetAvailable", before), step(ROLLBACK)).texts["revision"] == 1
    refused(ROLLBACK, restarted("NewReplicaSetAvailable"), step(ROLLBACK), "knows no earlier version")


def broken_and_restarted(good, broken, events=()):
    """Version 3 never came up, and somebody has restarted it. good, broken: how many pods of 2 and 3 serve."""
    made, plain = template("shop/api:9", livenessProbe=http(8081)), template("shop/api:9", livenessProbe=http(8081))
    made["metadata"].update(RESTARTED_AT)
    kept = [replicaset(4, made, 60), replicaset(3, plain, 300, broken), replicaset(2, template("shop/api:8", livenessProbe=http()), DAYS, good)]
    rollout = deployment(made=made, replicas=3, conditions=[done(900, "ProgressDeadlineExceeded")], spec={"strategy": {"type": "RollingUpdate"}})
    return Stage(deployments=rollout, pods=pod(4, made=made), replicasets=kept, events=list(events))


ILL = [happened("BackOff", "api-3-x", 280, 70)]
RESTARTS = [
    ("the version before serves still", 3, 0, (), True),
    ("it serves beside one of the broken ones", 2, 1, ILL, True),
    ("nothing serves, and the restarted one never came up", 0, 0, ILL, True),
    ("nothing serves, and nothing speaks against the restarted one", 0, 0, (), False),
    ("the restarted one serves still", 0, 3, ILL, False),
]


@pytest.mark.parametrize(("what", "good", "broken", "events", "goes"), RESTARTS, ids=[case[0] for case in RESTARTS])
def test_a_restart_of_a_broken_version_does_not_make_it_one_that_worked(what, good, broken, events, goes):
    stage = broken_and_restarted(good, broken, events)
    wanted = [(ROLLBACK, step(ROLLBACK)), (IMAGE, step(IMAGE)), (PROBES, step(PROBES, as_before=True))]
    for remedy, one in wanted if not goes else []:
        refused(remedy, stage, one, "was only restarted")
    if goes:
        previews = [remedy.preview(stage, one) for remedy, one in wanted]
        assert previews[0].texts["revision"] == 2 and previews[1].texts["image"] == "shop/api:8"
        assert [line["what"] for line in previews[2].diff] == ["container[api].livenessProbe.httpGet.port of deployment/api"]


def test_of_restarts_in_a_row_the_first_version_tells_whether_it_worked():
    plain = template("shop/api:9")
    known = [Revision(number, "api-%d" % number, {}, "") for number in (4, 3, 2)] + [Revision(1, "api-1", plain, "")]
    others = [known[0], known[3]]
    assert only_restarted(known, others, known[0], "", {"api-3"}), "what was restarted twice had worked"
    assert not only_restarted(known, others, known[0], "", {"api-2"}), "a restart that was gone before anything was told of it"
    assert not only_restarted(known, others, known[0], "api-1", ()), "the cluster calls another one the last whole one"
    assert only_restarted(known, others, known[0], "api-2", {"api-2"})
    assert not only_restarted(known, known[:2], known[0], "", ()), "no restart"


def stateful(updates, **status):
    made, before = template("shop/api:9", **NAMES_IT), template("shop/api:8", **NAMES_IT)
    kept = deployment(made=made, spec={"updateStrategy": updates})
    kept["status"] = status
    found = []
    for number, one in ((2, made), (1, before)):
        about = replicaset(number, one)["metadata"]
        found.append({"metadata": about, "revision": number, "data": {"spec": {"template": {**one, "$patch": "replace"}}}})
    owned = pod(2, made=made, seconds=800)
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "api", "controller": True}]
    return Stage(statefulsets=kept, controllerrevisions=found, pods=owned, configmaps=[config(100)])


ROLLING = {"type": "RollingUpdate"}
WHOLE = {"currentRevision": "api-2", "updateRevision": "api-2"}
IDLE = [
    ("one pod after another is made anew by hand", {"type": "OnDelete"}, {"currentRevision": "api-1", "updateRevision": "api-2"}, "OnDelete"),
    ("only some are made anew", {**ROLLING, "rollingUpdate": {"partition": 2}}, {"currentRevision": "api-1", "updateRevision": "api-2"}, "partition"),
    ("settings were changed after the first pod of this version was made", ROLLING, WHOLE, "had rolled out this version whole before configmap/settings"),
]


@pytest.mark.parametrize(("what", "updates", "status", "words"), IDLE, ids=[case[0] for case in IDLE])
def test_a_statefulset_that_a_rollback_would_not_help(what, updates, status, words):
    refused(ROLLBACK, stateful(updates, **status), step(ROLLBACK), words)


def test_a_statefulset_in_the_middle_of_a_rollout_goes_back():
    preview = ROLLBACK.preview(stateful(ROLLING, currentRevision="api-1", updateRevision="api-2"), step(ROLLBACK))
    assert preview.texts["revision"] == 1 and preview.target["revision"] == 1


MEMORY = [
    ("the same program with as much", {}, {}, False),
    ("the same program with less", {}, {"resources": {"limits": {"memory": "64Mi"}}}, False),
    ("the same program with more", {"resources": {"limits": {"memory": "64Mi"}}}, {"resources": {"limits": {"memory": "128Mi"}}}, True),
    ("the same program without a limit", {"resources": {"limits": {"memory": "64Mi"}}}, {}, True),
    ("another start of it", {}, {"args": ["--workers", "2"]}, True),
]


@pytest.mark.parametrize(("what", "now", "then", "helps"), MEMORY, ids=[case[0] for case in MEMORY])
def test_what_helps_a_program_that_runs_out_of_memory(what, now, then, helps):
    assert roomier(template(**now)["spec"]["containers"][0], template(**then)) is helps


def with_settings(config_seconds, whole_seconds, reason="NewReplicaSetAvailable"):
    made = template("shop/api:9", **NAMES_IT)
    return Stage(deployments=deployment(made=made, conditions=[done(whole_seconds, reason)]), pods=pod(2, made=made), configmaps=[config(config_seconds)],
                 replicasets=[replicaset(2, made, 60), replicaset(1, template("shop/api:8", **NAMES_IT), 500)])  # fmt: skip


POINTLESS = [
    ("settings were changed after it had been whole", with_settings(100, 900), {}, "had rolled out this version whole before configmap/settings was changed"),
    ("what it needs is gone", released(replicaset(1, template("shop/api:8", **NAMES_IT), 500)), {}, "needs configmap/settings, which is not there any more"),
    ("what it needs is gone, named by a person", released(replicaset(1, template("shop/api:8", **NAMES_IT), 500)), {"revision": 1}, "not there any more"),
    ("no such revision", released(), {"revision": 7}, "has no revision 7: there are 2"),
    ("no earlier one", released(), {}, "knows no earlier version"),
]


@pytest.mark.parametrize(("what", "stage", "params", "words"), POINTLESS, ids=[case[0] for case in POINTLESS])
def test_a_pointless_rollback(what, stage, params, words):
    refused(ROLLBACK, stage, step(ROLLBACK, **params), words)


def deployed_again(whole, made, before, history=None, **more):
    """Version 5, made so many seconds ago, whole since so many; before: when version 4 was made. history: the numbers that it had earlier."""
    wanted, kept = template("shop/api:7"), replicaset(5, template("shop/api:7"), made)
    kept["metadata"]["annotations"].update({"deployment.kubernetes.io/revision-history": history} if history else {})
    return Stage(deployments=deployment(made=wanted, conditions=[done(whole)]), pods=pod(5), replicasets=[kept, replicaset(4, seconds=before)], **more)


LONG = [
    ("made and whole long ago", 29 * 86400, 30 * 86400, 40 * 86400, None, False),
    ("made long ago, deployed again ten minutes ago", 600, 30 * 86400, DAYS, None, True),
    ("deployed again after one that is older", 600, 30 * 86400, 40 * 86400, "3", True),
    ("deployed again long ago", 20 * 86400, 30 * 86400, 25 * 86400, "3", False),
    ("its rollout was paused for a while", 600, 30 * 86400, 40 * 86400, None, False),
]


@pytest.mark.parametrize(("what", "whole", "made", "before", "history", "goes"), LONG, ids=[case[0] for case in LONG])
def test_since_when_a_version_is_the_present_one(what, whole, made, before, history, goes):
    stage = deployed_again(whole, made, before, history)
    if goes:
        assert ROLLBACK.preview(stage, step(ROLLBACK, finding="container.crashed@api")).texts["revision"] == 4
    else:
        refused(ROLLBACK, stage, step(ROLLBACK), "for more than a week")


@pytest.mark.parametrize(("before", "goes"), [(DAYS, True), (40 * 86400, False)])
def test_since_when_a_version_of_a_statefulset_is_the_present_one(before, goes):
    stage = stateful(ROLLING, **WHOLE)
    for number, seconds in ((2, 30 * 86400), (1, before)):
        stage.cluster.objects["%s/controllerrevisions/api-%d" % (APPS, number)]["metadata"]["creationTimestamp"] = ago(seconds)
    stage.cluster.objects[CORE + "/configmaps/settings"]["metadata"]["managedFields"] = []
    stage.cluster.objects[CORE + "/configmaps/settings"]["metadata"]["creationTimestamp"] = ago(900)
    stage.renew()
    if goes:
        assert ROLLBACK.preview(stage, step(ROLLBACK)).texts["revision"] == 1
    else:
        refused(ROLLBACK, stage, step(ROLLBACK), "for more than a week")


def test_settings_that_came_with_the_rollout_or_before_it_say_nothing():
    for stage in (with_settings(930, 900), with_settings(100, 900, "ReplicaSetUpdated"), with_settings(880, 900)):
        assert ROLLBACK.preview(stage, step(ROLLBACK)).changed


def test_the_same_image_is_not_pulled_by_going_back():
    stage = released(replicaset(1, template("shop/api:9", command=["x"]), 500))
    refused(ROLLBACK, stage, step(ROLLBACK, finding="image.not_found@api"), "has the same images")
    assert ROLLBACK.preview(stage, step(ROLLBACK, finding="container.crashed@api")).changed


PERCENT = [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]


def test_a_version_with_which_an_autoscaler_cannot_reckon_is_told():
    stage = released(replicaset(1, template("shop/api:8"), 500), horizontalpodautoscalers=scaler(metrics=PERCENT))
    assert any("autoscaler api cannot reckon" in line for line in ROLLBACK.preview(stage, step(ROLLBACK)).lasting)


# Pull secrets ------------------------------------------------------------------------------------------------------------------

PULL = ImagePullSecret()
ACCOUNT = CORE + "/serviceaccounts/default"
DENIED = {"state": {"waiting": {"reason": "ImagePullBackOff"}}}


def pulling(pod_spec=None, account=None, **kinds):
    made = template("r.example/api:1", spec=pod_spec or {})
    return Stage(
        deployments=deployment(made=made), pods=pod(made=made, status=DENIED), serviceaccounts={"metadata": meta("default"), **(account or {})}, **kinds
    )


def named(*names):
    return {"imagePullSecrets": [{"name": name} for name in names]}


def test_a_secret_that_is_there_is_attached():
    stage = pulling(secrets=secret(accounts={"r.example": ("bot", "pw")}))
    preview, after = cured(PULL, stage, step(PULL, secret="pull"))
    assert after[API]["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert "pw" not in json.dumps([preview.shown(), preview.undo])


def test_those_of_the_service_account_are_taken_along():
    stage = pulling(account=named("other"), secrets=secret(accounts={"r.example": ("bot", "pw")}))
    _preview, after = cured(PULL, stage, step(PULL, secret="pull"))
    assert after[API]["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "other"}, {"name": "pull"}]


def test_it_may_be_attached_to_the_service_account():
    stage = pulling(account=named("other"), secrets=secret(accounts={"r.example": ("bot", "pw")}))
    _preview, after = cured(PULL, stage, step(PULL, secret="pull", attach="service_account"), ACCOUNT)
    assert after[ACCOUNT]["imagePullSecrets"] == [{"name": "other"}, {"name": "pull"}]
    assert ("DELETE", CORE + "/pods/api-1-x") in stage.cluster.asked, "pods are given it when they are made"


def test_a_secret_is_made_of_what_a_person_gives_and_goes_again():
    stage = pulling()
    stage.params = {"registry_password": "k3y-of-the-bot"}
    wanted = step(PULL, secret="made", registry="r.example", user="bot")
    made = CORE + "/secrets/made"
    preview, after = cured(PULL, stage, wanted, API, made)
    assert json.loads(base64.b64decode(after[made]["data"][".dockerconfigjson"])) == {
        "auths": {"r.example": {"username": "bot", "password": "k3y-of-the-bot", "auth": base64.b64encode(b"bot:k3y-of-the-bot").decode()}}
    }
    told = json.dumps([preview.shown(), preview.undo, preview.state, wanted.params, stage.mask.text("k3y-of-the-bot")])
    assert "k3y" not in told and preview.diff[0] == {"what": "secret/made", "before": "(none)", "after": "the account bot at r.example"}
    assert made not in stage.cluster.objects, "taken back"


def test_a_secret_of_somebody_else_stays():
    stage = pulling()
    stage.params = {"registry_password": "pw"}
    wanted = step(PULL, secret="made", registry="r.example", user="bot")
    preview = PULL.preview(stage, wanted)
    PULL.apply(stage, wanted, preview)
    made = CORE + "/secrets/made"
    ours = copy.deepcopy(stage.cluster.objects[made])
    for change in ({"data": {".dockerconfigjson": "cGVyc29uJ3MgbmV3IGFjY291bnQ="}}, {"metadata": {**ours["metadata"], "annotations": {}}}):
        stage.cluster.objects[made] = {**copy.deepcopy(ours), **change}
        with pytest.raises(StackError, match="secret/made was changed by somebody else since") as caught:
            PULL.undo(stage, preview.undo)
        assert caught.value.kind == "not_undone" and made in stage.cluster.objects
        assert stage.export()[API]["spec"]["template"] == template("r.example/api:1"), "the rest is put back"
    PULL.undo(stage, {**preview.undo, "unsure": True})
    assert made in stage.cluster.objects, "this run had made none"


def test_a_secret_that_is_changed_while_it_is_deleted_stays(monkeypatch):
    stage = pulling()
    stage.params = {"registry_password": "pw"}
    wanted, made = step(PULL, secret="made", registry="r.example", user="bot"), CORE + "/secrets/made"
    preview = PULL.preview(stage, wanted)
    PULL.apply(stage, wanted, preview)
    read = stage.cluster.get

    def get(path, query=None):
        found = read(path, query)
        if path == made:
            stage.cluster._keep(made, {**copy.deepcopy(found), "data": {}})
        return found

    monkeypatch.setattr(stage.cluster, "get", get)
    with pytest.raises(StackError, match="409 to DELETE"):
        PULL.undo(stage, preview.undo)
    assert made in stage.cluster.objects


GOOD = secret(accounts={"r.example": ("bot", "pw")})
BAD_SECRETS = [
    ("nothing named", pulling(), {}, "which Secret is meant"),
    ("not there", pulling(), {"secret": "pull"}, "no Secret pull"),
    ("for another registry", pulling(secrets=secret(accounts={"quay.io": ("a", "b")})), {"secret": "pull"}, "is for quay.io, the images are at r.example"),
    ("of another kind", pulling(secrets=secret(kind="Opaque")), {"secret": "pull"}, "is of the type Opaque"),
    ("made without a password", pulling(), {"secret": "x", "registry": "r.example", "user": "bot"}, "with an account only"),
    ("its account does not count", pulling(named("mine"), secrets=GOOD), {"secret": "pull", "attach": "service_account"}, "pull secrets of its own"),
]


@pytest.mark.parametrize(("what", "stage", "params", "words"), BAD_SECRETS, ids=[case[0] for case in BAD_SECRETS])
def test_pull_secrets_are_refused(what, stage, params, words):
    refused(PULL, stage, step(PULL, **params), words)


def test_an_account_that_is_there_already():
    stage = pulling(named("pull"), secrets=GOOD)
    stage.params = {"registry_password": "pw"}
    assert not PULL.preview(stage, step(PULL, secret="pull", registry="r.example", user="bot")).changed
    stage.params = {"registry_password": "other"}
    refused(PULL, stage, step(PULL, secret="pull", registry="r.example", user="bot"), "says something else")
    refused(PULL, stage, step(PULL, secret="new", registry="quay.io", user="bot"), "no image of deployment/api is at quay.io")


# Copies --------------------------------------------------------------------------------------------------------------------------

SCALE, BOUNDS, RESUME = ComponentScale(), AutoscalerBounds(), WorkloadResume()


@pytest.mark.parametrize(("role", "replicas", "risk"), [("api", 3, "safe"), ("api", 1, "disruptive"), ("worker", 1, "transient"), ("worker", 0, "transient")])
def test_another_number_of_copies(role, replicas, risk):
    stage = Stage(roles={"api": role}, deployments=deployment(replicas=2), pods=pod())
    preview, after = cured(SCALE, stage, step(SCALE, replicas=replicas))
    assert after[API]["spec"]["replicas"] == replicas and preview.risk == risk
    # Who is scaled to nothing on purpose does not run: that is no failure of it.
    assert ("container.not_running@api" in preview.brings) == (not replicas)


def keda(name="keda-hpa-api"):
    return scaler(name, ownerReferences=[{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "api"}])


SCALED = [
    ("an autoscaler", {"horizontalpodautoscalers": scaler()}, {"replicas": 4}, "the autoscaler api decides", "autoscaler_bounds"),
    ("KEDA", {"horizontalpodautoscalers": keda()}, {"replicas": 4}, "KEDA decides", "ScaledObject/api"),
    ("a quota", {"resourcequotas": quota(pods="2", used={"pods": "2"})}, {"replicas": 3}, "has 0 of pods left", "fewer copies"),
    ("no number", {}, {"replicas": "many"}, "not a number", "number of copies"),
    ("too many", {}, {"replicas": 5000}, "not a number", "number of copies"),
]


@pytest.mark.parametrize(("what", "kinds", "params", "words", "fix"), SCALED, ids=[case[0] for case in SCALED])
def test_who_else_decides_of_copies(what, kinds, params, words, fix):
    stage = Stage(deployments=deployment(replicas=2), pods=pod(), **kinds)
    assert fix in refused(SCALE, stage, step(SCALE, **params), words).details["fix"]


def test_an_autoscaler_that_may_not_be_seen_may_be_there():
    stage = Stage(deployments=deployment(replicas=2), pods=pod())
    stage.hidden = {"horizontalpodautoscalers": unseen("this account may not list", kind="denied", fix="grant it")}
    stage.renew()
    refused(SCALE, stage, step(SCALE, replicas=3), "cannot be seen")


def test_a_number_that_somebody_else_changed_meanwhile():
    stage = Stage(deployments=deployment(replicas=2), pods=pod())
    wanted = step(SCALE, replicas=3)
    preview = SCALE.preview(stage, wanted)
    stage.cluster.objects[API]["spec"]["replicas"] = 5
    with pytest.raises(StackError, match="scaled api meanwhile"):
        SCALE.apply(stage, wanted, preview)


HASHES = "controller-revision-hash"
DB = APPS + "/statefulsets/db"


def database(updates=None, serving=(True, False, True), **status):
    """A StatefulSet in the midst of its rollout from db-1 to db-2: its pods are of db-1, the second of them does not serve."""
    made = template(labels={"app": "db"})
    kept = deployment("db", made, replicas=3, spec={"updateStrategy": updates or {"type": "RollingUpdate"}})
    kept["status"] = {"updatedReplicas": 0, "currentRevision": "db-1", "updateRevision": "db-2", "observedGeneration": 1, **status}
    pods = []
    for number, is_ready in enumerate(serving):
        one = pod(number, of="db", made=made)
        one["metadata"]["labels"].update({HASHES: "db-1"})
        one["metadata"]["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "uid-db", "controller": True}]
        one["status"]["conditions"] = [{"type": "Ready", "status": "True" if is_ready else "False"}]
        pods.append(one)
    return Stage(statefulsets=kept, pods=pods)


def held_still():
    """A paused Deployment of two copies that holds a change back."""
    kept = deployment(replicas=2, spec={"paused": True})
    kept["status"] = {"replicas": 2, "updatedReplicas": 0, "readyReplicas": 2, "availableReplicas": 2, "observedGeneration": 1}
    return Stage(deployments=kept, pods=pod())


def now_has(stage, path, **status):
    """What its controller says of it now."""
    kept = stage.cluster.objects[path]
    kept["status"] = {**kept["status"], "observedGeneration": kept["metadata"]["generation"], **status}


STANDING = [
    ("a paused rollout", held_still, "api", API, 4),
    ("OnDelete", lambda: database({"type": "OnDelete"}, updatedReplicas=1), "db", DB, 4),
    ("partition", lambda: database({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}, updatedReplicas=2), "db", DB, 5),
    ("a rollout under way", database, "db", DB, 4),
    ("fewer, of a paused rollout", held_still, "api", API, 1),
    ("fewer, by hand", lambda: database({"type": "OnDelete"}), "db", DB, 1),
]


@pytest.mark.parametrize(("what", "made", "component", "path", "wanted"), STANDING, ids=[case[0] for case in STANDING])
def test_copies_are_of_whatever_version(what, made, component, path, wanted):
    stage, asked = made(), step(SCALE, component, replicas=wanted)
    there = stage.cluster.get(path)["spec"]["replicas"]
    preview = SCALE.preview(stage, asked)
    SCALE.apply(stage, asked, preview)
    assert "has not seen the change" in SCALE.verify(stage, asked, preview)
    now_has(stage, path, replicas=max(there, wanted), readyReplicas=wanted - 1)
    words = "%d of %d pods serve" % (wanted - 1, wanted) if wanted > there else "%d pods are there, %d are wanted" % (there, wanted)
    assert words in SCALE.verify(stage, asked, preview)
    now_has(stage, path, replicas=wanted, readyReplicas=wanted if wanted > there else 0)
    assert SCALE.verify(stage, asked, preview) == "", "whether they serve is no matter where there are to be fewer"
    SCALE.undo(stage, json.loads(json.dumps(preview.undo)))
    assert stage.cluster.get(path)["spec"]["replicas"] == there
    assert not [method for method, _path in stage.cluster.asked if method == "DELETE"], "nobody's pod is made anew"


def test_fewer_copies_in_the_midst_of_a_rollout_that_stands_still():
    stage, asked = held_still(), step(SCALE, replicas=1)
    stage.cluster.objects[API]["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
    preview = SCALE.preview(stage, asked)
    SCALE.apply(stage, asked, preview)
    now_has(stage, API, replicas=2, updatedReplicas=1)
    assert SCALE.verify(stage, asked, preview) == "", "one more than is wanted, as its strategy says"
    now_has(stage, API, replicas=2, updatedReplicas=2)
    assert "2 pods are there" in SCALE.verify(stage, asked, preview)


def test_a_start_while_the_rollout_is_paused():
    start, stage = WorkloadStart(), held_still()
    stage.cluster.objects[API]["spec"]["replicas"] = 0
    stage.renew()
    preview = start.preview(stage, step(start))
    start.apply(stage, step(start), preview)
    now_has(stage, API, replicas=1, readyReplicas=0)
    assert "0 of 1 pods serve" in start.verify(stage, step(start), preview)
    now_has(stage, API, replicas=1, readyReplicas=1)
    assert start.verify(stage, step(start), preview) == ""


STUCK = [
    ("of the version before, not serving", None, (True, False, True), ["db-1-x"]),
    ("all serve", None, (True, True, True), []),
    ("OnDelete", {"type": "OnDelete"}, (True, False, True), []),
    ("partition", {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}, (True, False, True), []),
    ("partition 0", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}, (False, False, True), ["db-0-x", "db-1-x"]),
]


@pytest.mark.parametrize(("what", "updates", "serving", "gone"), STUCK, ids=[case[0] for case in STUCK])
def test_which_pods_a_rollout_would_wait_for_in_vain(what, updates, serving, gone):
    stage = database(updates, serving)
    Target(stage, "db").drop_stuck()
    assert [path.rpartition("/")[2] for method, path in stage.cluster.asked if method == "DELETE"] == gone
    assert [path for path in stage.cluster.objects if path.rpartition("/")[2] in gone] == []


@pytest.mark.parametrize(("how", "gone"), [("serves", False), ("is another one", False), ("fails once more", True), ("is gone", True)])
def test_a_pod_that_has_changed_since_it_was_seen_is_looked_at_once_more(how, gone):
    stage, place = database(), CORE + "/pods/db-1-x"
    look = stage.cluster.every

    def every(path, query=None, trim=None):
        found = look(path, query, trim)
        stage.cluster.every = look
        one = stage.cluster.objects.pop(place)
        if how == "is another one":
            one["metadata"].update(uid="another", labels={**one["metadata"]["labels"], HASHES: "db-2"})
        if how == "serves":
            one["status"]["conditions"][0]["status"] = "True"
        if how != "is gone":
            stage.cluster._keep(place, one)
        return found

    stage.cluster.every = every
    Target(stage, "db").drop_stuck()
    assert (place not in stage.cluster.objects) is gone


SCALER = HPA + "api"


def crowded(used=0, most=3, nodes=None, **kinds):
    """used: pods of others, each of half a core, on a node with 4."""
    others = [{**pod(made=ASKS), "metadata": meta("other-%d" % number)} for number in range(used)]
    stage = Stage(deployments=deployment(made=ASKS), pods=pod(made=ASKS), nodes=nodes or node(), horizontalpodautoscalers=scaler(most=most), **kinds)
    for one in others:
        stage.cluster._keep("/api/v1/pods/" + one["metadata"]["name"], one)
    return stage


def test_bounds_that_a_person_gives():
    preview, after = cured(BOUNDS, crowded(), step(BOUNDS, min=2, max=8), SCALER)
    assert (after[SCALER]["spec"]["minReplicas"], after[SCALER]["spec"]["maxReplicas"]) == (2, 8)
    assert preview.risk == "safe" and preview.texts["autoscaler"] == "api"
    assert BOUNDS.preview(crowded(), step(BOUNDS, max=1)).risk == "disruptive"


@pytest.mark.parametrize(("used", "most", "wanted"), [(0, 3, 5), (0, 8, 12), (7, 3, 4)])
def test_a_larger_maximum_as_far_as_there_is_room(used, most, wanted):
    stage = crowded(used, most)
    before = stage.export()
    preview = BOUNDS.preview(stage, step(BOUNDS, finding="autoscaling.at_maximum@api", autoscaler="api", max="grow"))
    assert preview.texts["max"] == wanted and stage.export() == before


BAD_BOUNDS = [
    ("no room", crowded(8), {"max": "grow"}, "no room for one more pod"),
    ("a quota", crowded(resourcequotas=quota(requests__cpu="1", used={"requests.cpu": "1"})), {"max": "grow"}, "has 0 of requests.cpu left"),
    ("the wrong way round", crowded(), {"min": 5}, "more than the maximum of 3"),
    ("nothing", crowded(), {}, "nothing says"),
    ("no number", crowded(), {"max": "more"}, "not a number"),
    ("none of that name", crowded(), {"max": 4, "autoscaler": "web"}, "no autoscaler web"),
    ("KEDA's", Stage(deployments=deployment(), pods=pod(), horizontalpodautoscalers=keda()), {"max": 9}, "belongs to KEDA"),
    ("none", Stage(deployments=deployment(), pods=pod()), {"max": 9}, "has no autoscaler"),
    ("two", Stage(deployments=deployment(), pods=pod(), horizontalpodautoscalers=[scaler(), scaler("too")]), {"max": 9}, "the autoscalers api, too"),
]


@pytest.mark.parametrize(("what", "stage", "params", "words"), BAD_BOUNDS, ids=[case[0] for case in BAD_BOUNDS])
def test_bounds_are_refused(what, stage, params, words):
    assert "ScaledObject/api" in refused(BOUNDS, stage, step(BOUNDS, **params), words).details["fix"] or "KEDA" not in words


def test_room_that_may_not_be_seen_is_no_room():
    stage = crowded()
    stage.cluster.denied.add("list pods")
    refused(BOUNDS, stage, step(BOUNDS, max="grow"), "how much room the nodes have cannot be seen")


def test_room_within_a_quota():
    assert autoscaler.within_quota([quota(requests__cpu="1")], ASKS, 5) == 2


def test_a_paused_rollout_goes_on():
    old = template("shop/api:8")
    stage = Stage(deployments=deployment(spec={"paused": True}), pods=pod(), replicasets=[replicaset(2), replicaset(1, old, 500, ready=1)])
    stage.wait = lambda problem, seconds, pause=0.5: stage.settle() or problem()
    preview, after = cured(RESUME, stage, step(RESUME))
    assert "paused" not in after[API]["spec"]
    assert preview.diff == [
        {"what": "paused of deployment/api", "before": "true", "after": "(none)"},
        {"what": "container[api].image", "before": '"shop/api:8"', "after": '"shop/api:1"'},
    ]


def let_go(ready=4):
    """(a paused Deployment that was let go on, and the record by which that is undone). ready: how many pods of the version from before served."""
    made = deployment(made=template("shop/api:9"), replicas=4, spec={"paused": True})
    stage = Stage(deployments=made, pods=pod(made=template("shop/api:8")), replicasets=replicaset(1, template("shop/api:8"), 500, ready=ready))
    preview = RESUME.preview(stage, step(RESUME))
    RESUME.apply(stage, step(RESUME), preview)
    return stage, json.loads(json.dumps(preview.undo))


def test_a_rollout_that_is_paused_again_has_the_pods_that_it_had():
    stage, record = let_go()
    seen = []

    def wait(problem, seconds, pause=0.5):
        spec = stage.cluster.objects[API]["spec"]
        seen.append((spec.get("paused"), spec["template"]["spec"]["containers"][0]["image"]))
        if len(seen) > 1:
            stage.settle()
        return problem()

    stage.wait = wait
    with pytest.raises(StackError, match="the version that served before does not") as caught:
        RESUME.undo(stage, record)
    assert caught.value.kind == "not_undone" and "paused" not in stage.cluster.objects[API]["spec"], "a mixture is not kept"
    # Gone on with by the next one.
    RESUME.undo(stage, record)
    spec = stage.cluster.objects[API]["spec"]
    assert seen == [(None, "shop/api:8")] * 2 and spec["paused"] is True and spec["template"] == template("shop/api:9")


def test_a_rollout_that_is_not_paused_again():
    stage, record = let_go()
    stage.cluster.objects[API]["spec"]["template"] = template("shop/api:10")
    not_undone(RESUME, stage, record, "was changed by somebody else since")
    stage, record = let_go()
    not_undone(RESUME, stage, {**record, "unsure": True}, "nothing shows that the run itself has changed it")
    stage, record = let_go(ready=0)
    not_undone(RESUME, stage, record, "its pods stay as they are")
    stage, record = let_go()
    stage.cluster.objects[API]["metadata"]["uid"] = "another"
    not_undone(RESUME, stage, record, "was made anew since")


# Services --------------------------------------------------------------------------------------------------------------------------

SELECTOR, PORT = ServiceSelector(), ServicePort()
SERVICE = CORE + "/services/api"


def part(name, labels=None, port=8000, port_name="http"):
    made = template(labels=labels or {"app": name})
    made["spec"]["containers"][0]["ports"] = [{"name": port_name, "containerPort": port, "protocol": "TCP"}]
    return deployment(name, made)


def facing(one, *others, **kinds):
    works = [part("api"), *others]
    pods = [pod(made=part("api")["spec"]["template"])]
    return Stage(**{"deployments": works, "pods": pods, "services": one, "endpointslices": slice_of(), **kinds})


TOO_MANY = {"app": "api", "track": "canary"}
WITH_TRACK, OF_ANOTHER_PORT = part("web", {"app": "web", "track": "y"}), part("web", {"app": "web", "track": "y"}, port_name="web")
# What is to become of them is {"app": "api"}.
SELECTORS = [
    ("another value", service(selector={"app": "apii"}), (), "api", "safe"),
    ("as it was applied", service(selector={"app": "old"}, applied={"selector": {"app": "api"}}), (), "service/api", "safe"),
    ("a label more than was applied", service(selector=TOO_MANY, applied={"selector": {"app": "api"}}), (), "api", "disruptive"),
    ("a label that another has", service(selector=TOO_MANY), (WITH_TRACK,), "api", "disruptive"),
    ("none of its labels", service(selector={"track": "x"}), (WITH_TRACK,), "api", "disruptive"),
    ("the one that is nearest, when nobody is named", service(selector={"app": "api", "track": "x"}), (WITH_TRACK,), "service/api", "disruptive"),
    ("the one that has the port, when nobody is named", service(selector=TOO_MANY), (OF_ANOTHER_PORT,), "service/api", "disruptive"),
]


@pytest.mark.parametrize(("what", "one", "others", "component", "risk"), SELECTORS, ids=[case[0] for case in SELECTORS])
def test_a_selector(what, one, others, component, risk):
    preview, after = cured(SELECTOR, facing(one, *others), step(SELECTOR, component, service="api", namespace="shop"), SERVICE)
    assert after[SERVICE]["spec"]["selector"] == {"app": "api"} and preview.risk == risk


def test_a_selector_that_a_person_gives():
    stage = facing(service(), part("web"))
    preview, after = cured(SELECTOR, stage, step(SELECTOR, service="api", selector={"app": "web"}), SERVICE)
    assert after[SERVICE]["spec"]["selector"] == {"app": "web"} and preview.risk == "disruptive"
    refused(SELECTOR, stage, step(SELECTOR, service="api", selector={"app": "nobody"}), "no workload of shop bears")


BAD_SELECTORS = [
    ("two are as near", service(selector={"app": "x", "track": "y"}, applied=None), (part("web"),), "service/api", "no workload of its namespace"),
    ("two share a label", service(selector={"part": "of", "app": "x"}), (part("web", {"app": "web", "part": "of"}), part("www", {"app": "www", "part": "of"})),
     "service/api", "may be for web or www"),
    ("its port is nobody's", service(selector={"app": "x"}, target=9999), (), "api", "no workload of its namespace has the ports"),
    ("its labels are others' too", service(selector={"app": "x"}), (part("web", {"app": "api"}),), "api", "do not tell its pods from others"),
    ("a name of the world", service(type="ExternalName", externalName="db.example"), (), "api", "only another name"),
    ("a label that nobody has", service(selector=TOO_MANY), (), "api", "the label track=canary, which stands in no template"),
    ("nobody bears the label of the leader", service(selector={"app": "api", "role": "master"}), (), "service/api", "role=master, which stands in no template"),
    ("that and a wrong value", service(selector={"app": "apii", "spilo-role": "master"}), (), "api", "spilo-role=master, which stands in no template"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "one", "others", "component", "words"), BAD_SELECTORS, ids=[case[0] for case in BAD_SELECTORS])
def test_selectors_are_refused(what, one, others, component, words):
    refused(SELECTOR, facing(one, *others), step(SELECTOR, component, service="api", namespace="shop"), words)


@pytest.mark.parametrize("label", [*services.PASSING])
def test_a_label_that_a_controller_gives_stays(label):
    """Also where a template has it by mistake, and where the manifest does not name it."""
    told = "the label %s=x, which a controller gives pods" % label
    one = {"app": "api", label: "x"}
    refused(SELECTOR, facing(service(selector=one), part("web", {"app": "web", label: "y"})), step(SELECTOR, service="api"), told)
    refused(SELECTOR, facing(service(selector=one, applied={"selector": {"app": "api"}})), step(SELECTOR, service="api"), told)


def running(*labels):
    """Pods of the api that were given labels while they run."""
    found = [pod(number, made=part("api")["spec"]["template"]) for number, _more in enumerate(labels)]
    for one, more in zip(found, labels):
        one["metadata"]["labels"].update(more)
    return found


LEADER, REPLICA = {"role": "master"}, {"role": "replica"}


def test_who_leads_now_is_told_by_a_label_that_no_template_has():
    asked = step(SELECTOR, service="api", namespace="shop")
    assert not SELECTOR.preview(facing(service(selector={"app": "api", **LEADER}), pods=running(LEADER, REPLICA)), asked).changed
    preview = SELECTOR.preview(facing(service(selector={"app": "apii", **LEADER}), pods=running(LEADER, REPLICA)), asked)
    assert [(line["before"], line["after"]) for line in preview.diff] == [("apii", "api")] and preview.risk == "safe"
    between = {"selector": {"app": "api", **LEADER}}
    for one in (service(**between), service(**between, applied={"selector": {"app": "api"}})):
        nobody = facing(one, part("web", {"app": "web", "role": "page"}), pods=running(REPLICA, REPLICA))
        refused(SELECTOR, nobody, asked, "role=master, which stands in no template of its pods")
    given = step(SELECTOR, service="api", selector={"app": "api", **LEADER})
    assert SELECTOR.preview(facing(service(selector={"app": "apii"}), pods=running(LEADER, REPLICA)), given).changed


def test_less_than_it_asked_for_is_nothing_that_nobody_notices():
    asked = step(SELECTOR, service="api", selector={"app": "api"})
    assert SELECTOR.preview(facing(service(selector={"app": "api", **LEADER}), pods=running(REPLICA)), asked).risk == "disruptive"


def test_a_service_of_a_rollout_is_its_own():
    one = service(selector={"app": "api", "rollouts-pod-template-hash": "5d4"})
    one["metadata"]["annotations"] = {"argo-rollouts.argoproj.io/managed-by-rollouts": "api"}
    for params in ({}, {"selector": {"app": "api"}}):
        error = refused(SELECTOR, facing(one), step(SELECTOR, service="api", **params), r"service/api is kept by Argo Rollouts \(api\)")
        assert (error.kind, error.details["fix"]) == ("owned", "change the Rollout")
    assert not SELECTOR.preview(facing(one, pods=running({"rollouts-pod-template-hash": "5d4"})), step(SELECTOR, service="api")).changed


def test_a_service_that_is_not_there_or_not_named():
    refused(SELECTOR, facing(service()), step(SELECTOR), "which Service is meant")
    refused(SELECTOR, facing(service()), step(SELECTOR, "service/web", service="web"), "no Service web")
    assert not SELECTOR.preview(facing(service()), step(SELECTOR, service="api")).changed


PORTS = [
    ("a number, where it was one", service(target=9), None, 8000),
    ("a name, where it was one", service(target="web"), None, "http"),
    ("as it was applied", service(target=9, applied={"ports": [{"port": 80, "targetPort": "http"}]}), None, "http"),
    ("what is applied is wrong, too", service(target=9, applied={"ports": [{"port": 80, "targetPort": 10}]}), None, 8000),
    ("what is listened on, not what is said", service(target=9), [8080], 8080),
    ("what its own number says", service(port=8080, target=9), [8080, 9090], 8080),
]


@pytest.mark.parametrize(("what", "one", "heard", "wanted"), PORTS, ids=[case[0] for case in PORTS])
def test_a_port(what, one, heard, wanted):
    stage = facing(one)
    if heard:
        stage.heard["api"] = {"listening": [{"address": "0.0.0.0", "port": port} for port in heard] + [{"address": "127.0.0.1", "port": 5555}]}
        stage.renew()
    preview, after = cured(PORT, stage, step(PORT, service="api", namespace="shop", port=one["spec"]["ports"][0]["port"]), SERVICE)
    assert after[SERVICE]["spec"]["ports"][0]["targetPort"] == wanted and preview.risk == "safe"


EXPORTER = {"name": "exporter", "image": "exporter:1", "ports": [{"name": "metrics", "containerPort": 9102}]}
ENVOY = {"name": "istio-proxy", "image": "istio/proxyv2:1"}
BESIDE = [
    ("what listens beside a program that hangs", service(target=8000), [EXPORTER], [9102], 8000),
    ("what it says, not what is beside it", service(target=9), [EXPORTER], [8000, 9102], 8000),
    ("what is left of a mesh's", service(target=9), [ENVOY], [8080, 15001, 15006], 8080),
    ("the port of what is beside it", service(target="metrics"), [EXPORTER], [8000, 9102], "metrics"),
]


@pytest.mark.parametrize(("what", "one", "others", "heard", "wanted"), BESIDE, ids=[case[0] for case in BESIDE])
def test_a_port_is_not_that_of_another_container(what, one, others, heard, wanted):
    stage = facing(one)
    for path, found in stage.cluster.objects.items():
        if "/deployments/" in path or "/pods/" in path:
            (found["spec"].get("template") or found)["spec"]["containers"] += copy.deepcopy(others)
    stage.heard["api"] = {"listening": [{"address": "0.0.0.0", "port": port} for port in heard]}
    stage.renew()
    preview = PORT.preview(stage, step(PORT, service="api", namespace="shop"))
    old = one["spec"]["ports"][0]["targetPort"]
    assert [line["after"] for line in preview.diff] == ([] if wanted == old else [str(wanted)])


BAD_PORTS = [
    ("two that it may be", service(target=9), [7000, 7001], {}, "listen on 7000, 7001"),
    ("it picks nobody", service(selector={"app": "x"}), None, {}, "picks no pods"),
    ("no such port", service(), None, {"port": 443}, "which is meant is not clear"),
    ("no such name", service(), None, {"target_port": "web"}, "has a port called web"),
]


@pytest.mark.parametrize(("what", "one", "heard", "params", "words"), BAD_PORTS, ids=[case[0] for case in BAD_PORTS])
def test_ports_are_refused(what, one, heard, params, words):
    stage = facing(one)
    if heard:
        stage.heard["api"] = {"listening": [{"address": "0.0.0.0", "port": port} for port in heard]}
        stage.renew()
    refused(PORT, stage, step(PORT, service="api", **params), words)


def test_a_port_that_is_right_stays_and_one_that_a_person_gives_counts():
    assert not PORT.preview(facing(service()), step(PORT, service="api")).changed
    _preview, after = cured(PORT, facing(service()), step(PORT, service="api", target_port=8000), SERVICE)
    assert after[SERVICE]["spec"]["ports"][0]["targetPort"] == 8000


@pytest.mark.parametrize(
    ("port", "ends", "wanted"),
    [(None, True, True), ("", True, True), ("web", True, False), (None, False, False)],
)
def test_whether_anybody_takes_it(port, ends, wanted):
    one = slice_of()
    one["endpoints"][0]["conditions"]["ready"] = ends
    assert services.serving([one], port) is wanted


# Nodes -------------------------------------------------------------------------------------------------------------------------------

UNCORDON = NodeUncordon()
NODE = "/api/v1/nodes/n1"


def test_a_node_takes_pods_again():
    stage = Stage(deployments=deployment(), pods=pod(), nodes=[node(unschedulable=True)])
    preview, after = cured(UNCORDON, stage, step(UNCORDON, node="n1"), NODE)
    assert "unschedulable" not in after[NODE]["spec"] and preview.risk == "disruptive"
    assert preview.lasting == ["who cordoned node/n1, and why, is not known here: tell them"]


def test_another_node_of_its_name_is_not_cordoned():
    stage = Stage(deployments=deployment(), pods=pod(), nodes=[node(unschedulable=True)])
    preview = UNCORDON.preview(stage, step(UNCORDON, node="n1"))
    UNCORDON.apply(stage, step(UNCORDON, node="n1"), preview)
    not_undone(UNCORDON, stage, {**preview.undo, "unsure": True}, "nothing shows that the run itself")
    stage.cluster.objects[NODE]["metadata"]["uid"] = "a-new-machine"
    not_undone(UNCORDON, stage, preview.undo, "node/n1 was made anew since")


TAKEN = {"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (node(), ""),
        (node(ready="Unknown"), "not ready"),
        (node(taints=[TAKEN]), "the cluster autoscaler takes the node n1 away"),
        (node(taints=[{"key": "gpu"}]), ""),
    ],
)
def test_a_node_that_had_better_not(one, words):
    said = kept_away(one)
    assert words in said if words else said == ""
    if words:
        one["spec"]["unschedulable"] = True
        refused(UNCORDON, Stage(nodes=one), step(UNCORDON, "node/n1", node="n1"), words)


def test_a_node_that_may_not_be_changed_is_told_with_the_rule():
    stage = Stage(nodes=node(unschedulable=True))
    stage.cluster.denied.add("patch nodes")
    assert 'resources: ["nodes"], verbs: ["patch"]' in refused(UNCORDON, stage, step(UNCORDON, "node/n1", node="n1"), "may not patch nodes").details["fix"]


START = {"startupProbe": http(initialDelaySeconds=3, failureThreshold=4), "readinessProbe": http(periodSeconds=100)}
STARTS = [
    ("by its startup probe", START, 43.0),
    ("by its readiness probe", {"readinessProbe": http(initialDelaySeconds=5, periodSeconds=20)}, 65.0),
    ("no probe says", {"livenessProbe": http()}, 0.0),
]


@pytest.mark.parametrize(("what", "container", "expected"), STARTS, ids=[case[0] for case in STARTS])
def test_how_long_a_start_may_last(what, container, expected):
    assert start_seconds(container) == expected


def rolling(surge=None, missing=None):
    return {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": missing}}}


SLOW = {"readinessProbe": http(periodSeconds=20)}
STATEFUL = {"kind": "StatefulSet", "updateStrategy": {"type": "RollingUpdate"}}
ROLLOUTS = [
    ("one copy, no probe", {"replicas": None}, {}, {}, 180),
    ("none at all", {"replicas": 0}, SLOW, {}, 180),
    ("one by one, each after the one before has ended", {**STATEFUL, "replicas": 3}, SLOW, {}, 3 * (30 + 30 + 60)),
    ("and with a grace of its own", {**STATEFUL, "replicas": 3}, SLOW, {"terminationGracePeriodSeconds": 120}, 3 * (120 + 30 + 60)),
    ("all at once, when the last has ended", {"replicas": 3, "strategy": {"type": "Recreate"}}, {}, {"terminationGracePeriodSeconds": 300}, 330),
    ("40 copies in waves of 10 more and 4 fewer", {**rolling("25%", "10%"), "replicas": 40}, SLOW, {}, 3 * 90),
    ("25 % each where nothing is said", {"replicas": 7}, SLOW, {}, 3 * 90),
    ("percentages are rounded up for more, down for fewer", {**rolling("10%", "10%"), "replicas": 5}, SLOW, {}, 5 * 90),
    ("nobody more: the old one ends first", {**rolling(0, "25%"), "replicas": 3}, SLOW, {}, 3 * (30 + 30 + 60)),
    ("the old ones end beside it", {**rolling(1, 0), "replicas": 3}, SLOW, {"terminationGracePeriodSeconds": 300}, 3 * 90),
    ("each has to stand for a while", {**rolling(1, 0), "replicas": 3, "minReadySeconds": 60}, SLOW, {}, 3 * 150),
    ("the slowest container", {**rolling(1, 0), "replicas": 3}, SLOW, {"containers": [START, SLOW, {}]}, 3 * 90),
    ("not for ever", {**STATEFUL, "replicas": 100}, SLOW, {}, 1800),
]


@pytest.mark.parametrize(("what", "spec", "container", "of_pod", "expected"), ROLLOUTS, ids=[case[0] for case in ROLLOUTS])
def test_how_long_a_rollout_may_last(what, spec, container, of_pod, expected):
    spec = {**spec, "template": {"spec": {"containers": [container], **of_pod}}}
    assert rollout_seconds({"kind": spec.pop("kind", "Deployment"), "spec": spec}) == expected


@pytest.mark.parametrize(("given", "expected"), [(None, 330.0), (5.0, 5.0)])
def test_a_rollout_is_waited_for_as_long_as_it_may_last(given, expected):
    stage, waited = Stage(deployments=deployment(made=template(spec={"terminationGracePeriodSeconds": 300}))), []
    stage.wait = lambda problem, seconds, pause: waited.append(seconds) or ""
    Target(stage, "api").wait_rolled_out(stage, given)
    assert waited == [expected]


# Modules -----------------------------------------------------------------------------------------------------------------------------


MODULES = sorted(path.stem for path in Path(modules.__path__[0]).glob("*.py") if "run_module(" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", MODULES)
def test_no_option_of_a_module_hides_one_of_the_stack(name):
    documented = yaml.safe_load(importlib.import_module(modules.__name__ + "." + name).DOCUMENTATION)
    assert not set(documented.get("options") or {}) & set(ACT_SPEC)


STEPS = [
    ("component_resources", {"memory": "200M", "requests": {"cpu": "usage", "memory": None}, "containers": ["api"]},
     ("component_resources", "api", {"memory": 200 * MIB, "requests": {"cpu": "usage"}, "containers": ["api"]})),
    ("component_probes", {"start_seconds": 30.0, "probes": {"liveness": {"port": "8000", "path": None}, "readiness": None, "startup": None}},
     ("component_probes", "api", {"start_seconds": 30.0, "probes": {"liveness": {"port": "8000"}}})),
    ("image_set", {"image": "x:1"}, ("image_set", "api", {"image": "x:1"})),
    ("image_pull_secret", {"secret": "pull", "attach": "workload", "registry": "r", "user": "u", "registry_password": "p"},
     ("image_pull_secret", "api", {"secret": "pull", "attach": "workload", "registry": "r", "user": "u"})),
    ("autoscaler_bounds", {"min": 0, "max": "grow"}, ("autoscaler_bounds", "api", {"min": 0, "max": "grow"})),
    ("service_fix", {"service": "web", "what": "selector", "labels": {"a": "b"}, "component": None, "port": None},
     ("service_selector", "service/web", {"service": "web", "selector": {"a": "b"}})),
    ("service_fix", {"service": "web", "what": "port", "port": "80", "target_port": "http"},
     ("service_port", "api", {"service": "web", "port": "80", "target_port": "http"})),
    ("stack_rollback", {"revision": 3}, ("stack_rollback", "api", {"revision": 3})),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "expected"), STEPS, ids=["%s %d" % (case[0], place) for place, case in enumerate(STEPS)])
def test_what_a_module_asks_for(name, options, expected):
    module = importlib.import_module(modules.__name__ + "." + name)
    given = defaultdict(lambda: None, {"component": "api", **options})
    made = module.step_of(given)
    assert (made.remedy, made.component, made.params) == expected
