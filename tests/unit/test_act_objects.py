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
from ansible_collections.aiops.runbook.plugins.module_utils.act.versions import choose, troubled, whole_since
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


def test_a_thing_that_is_but_a_name_is_told_too():
    with_one = template(spec={"imagePullSecrets": [{"name": "pull"}]})
    assert [line["what"] for line in differences(template(), with_one)] == ["spec.imagePullSecrets[pull]"]


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
    stage.cluster.objects[CORE + "/secrets/made"]["metadata"]["annotations"] = {}
    PULL.undo(stage, preview.undo)
    assert CORE + "/secrets/made" in stage.cluster.objects


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
    preview, after = cured(RESUME, stage, step(RESUME))
    assert "paused" not in after[API]["spec"]
    assert preview.diff == [
        {"what": "paused of deployment/api", "before": "true", "after": "(none)"},
        {"what": "container[api].image", "before": '"shop/api:8"', "after": '"shop/api:1"'},
    ]


# Services --------------------------------------------------------------------------------------------------------------------------

SELECTOR, PORT = ServiceSelector(), ServicePort()
SERVICE = CORE + "/services/api"


def part(name, labels=None, port=8000, port_name="http"):
    made = template(labels=labels or {"app": name})
    made["spec"]["containers"][0]["ports"] = [{"name": port_name, "containerPort": port, "protocol": "TCP"}]
    return deployment(name, made)


def facing(one, *others, **kinds):
    works = [part("api"), *others]
    return Stage(deployments=works, pods=[pod(made=part("api")["spec"]["template"])], services=one, endpointslices=slice_of(), **kinds)


SELECTORS = [
    ("a label too many", service(selector={"app": "api", "track": "canary"}), (), "api", {"app": "api"}),
    ("another value", service(selector={"app": "apii"}), (), "api", {"app": "api"}),
    ("none of its labels", service(selector={"name": "x"}), (), "api", {"app": "api"}),
    ("as it was applied", service(selector={"app": "old"}, applied={"selector": {"app": "api"}}), (), "service/api", {"app": "api"}),
    ("the one that is nearest, when nobody is named", service(selector={"app": "api", "track": "x"}), (part("web"),), "service/api", {"app": "api"}),
    (
        "the one that has the port, when nobody is named",
        service(selector={"app": "api", "tier": "x"}),
        (part("web", port_name="web"),),
        "service/api",
        {"app": "api"},
    ),
]


@pytest.mark.parametrize(("what", "one", "others", "component", "wanted"), SELECTORS, ids=[case[0] for case in SELECTORS])
def test_a_selector(what, one, others, component, wanted):
    preview, after = cured(SELECTOR, facing(one, *others), step(SELECTOR, component, service="api", namespace="shop"), SERVICE)
    assert after[SERVICE]["spec"]["selector"] == wanted and preview.risk == "safe"


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
]  # fmt: skip


@pytest.mark.parametrize(("what", "one", "others", "component", "words"), BAD_SELECTORS, ids=[case[0] for case in BAD_SELECTORS])
def test_selectors_are_refused(what, one, others, component, words):
    refused(SELECTOR, facing(one, *others), step(SELECTOR, component, service="api", namespace="shop"), words)


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
