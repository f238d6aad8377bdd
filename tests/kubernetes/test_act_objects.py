# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Cures of objects on a real cluster: predicted exactly, done, nothing the second time, taken back to the same objects; and what is refused."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import places
import pytest
from predicting import foretold
from there import SERVE, Kubectl, There, apply_all, held, service, workload

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

Act = Callable[..., Any]
Get = Callable[[str], dict[str, Any]]
Export = Callable[[], dict[str, Any]]
# Bookkeeping of controllers, which goes on counting.
REVISION = "deployment.kubernetes.io/revision"
KINDS = "deployments,statefulsets,services,secrets,configmaps,serviceaccounts,horizontalpodautoscalers,resourcequotas"
ASK = {"httpGet": {"path": "/health", "port": "main"}, "periodSeconds": 1}


@pytest.fixture(scope="module")
def shop(kubectl: Kubectl, namespace: str, place: There, images: dict[str, str]) -> There:
    """An api, a worker that is a StatefulSet, and their Services."""
    command = ["python3", "-u", "-c", SERVE]
    objects = [
        *workload("api", images["llm"], port=8000, command=command, readinessProbe=ASK, livenessProbe={**ASK, "periodSeconds": 5}),
        *workload("jobs", images["llm"], kind="StatefulSet", port=8000, command=command, readinessProbe=ASK),
        *workload("web", images["llm"], port=8000, command=command, readinessProbe=ASK),
        service("api", 80, "main"),
        service("web", 80, "main"),
    ]
    apply_all(kubectl, namespace, *objects)
    for name in ("deployment/api", "deployment/web", "statefulset/jobs"):
        kubectl("-n", namespace, "rollout", "status", name, "--timeout=120s", timeout=130)
    return place


@pytest.fixture
def get(kubectl: Kubectl, namespace: str) -> Get:
    return lambda name: json.loads(kubectl("-n", namespace, "get", name, "-o", "json"))


@pytest.fixture
def export(kubectl: Kubectl, namespace: str) -> Export:
    """Every object as somebody wants it, without what the cluster notes, and without the records of acting."""

    def read() -> dict[str, Any]:
        kept = {}
        for one in json.loads(kubectl("-n", namespace, "get", KINDS, "-o", "json"))["items"]:
            name = "%s/%s" % (one["kind"].lower(), one["metadata"]["name"])
            if str(one.get("type", "")).startswith("aiops.runbook/") or name == "configmap/kube-root-ca.crt":
                continue
            meta = {key: dict(one["metadata"].get(key) or {}) for key in ("labels", "annotations")}
            meta["annotations"].pop(REVISION, None)
            kept[name] = {"meta": meta, **{key: value for key, value in one.items() if key not in ("metadata", "status", "apiVersion", "kind")}}
        return kept

    return read


@pytest.fixture(autouse=True)
def calm(kubectl: Kubectl, namespace: str) -> Iterator[None]:
    """No test begins while the pods of the one before are made anew."""
    yield
    for name in kubectl("-n", namespace, "get", "deployments,statefulsets", "-o", "name").split():
        kubectl("-n", namespace, "rollout", "status", name, "--timeout=90s", check=False, timeout=100)


@pytest.fixture
def act(shop: There) -> Act:
    """act(remedy, component, check=False, **params): what a remedy of the collection answers."""
    return shop.cure


@pytest.fixture
def cured(shop: There, act: Act, export: Export) -> Act:
    """cured(remedy, component, *objects that may differ, **params): all that a cure promises; the objects as they are while it stands."""

    def go(remedy: str, component: str, *names: str, **params: Any) -> dict[str, Any]:
        before = export()
        told = act(remedy, component, check=True, **params)
        assert told["changed"] and export() == before, "check mode tells, and changes nothing"
        done = act(remedy, component, **params)
        assert held(done) and foretold(remedy, told, done)
        after = export()
        assert {name for name in {*before, *after} if before.get(name) != after.get(name)} == set(names)
        assert not act(remedy, component, **params)["changed"], "nothing the second time"
        assert shop.undo()["result"] == "undone"
        assert export() == before, "taken back to the last key"
        return after

    return go


@pytest.fixture
def refused(act: Act) -> Act:
    """refused(words, remedy, component, **params): the refusal, which says this and what to do instead."""

    def go(words: str, remedy: str, component: str, **params: Any) -> Any:
        with pytest.raises(StackError) as caught:
            act(remedy, component, **params)
        assert words in caught.value.message
        return caught.value

    return go


def container(found: dict[str, Any], name: str = "deployment/api") -> dict[str, Any]:
    one: dict[str, Any] = found[name]["spec"]["template"]["spec"]["containers"][0]
    return one


@pytest.mark.predicts("component_resources")
def test_limits_and_requests(cured: Act) -> None:
    after = cured("component_resources", "api", "deployment/api", memory=200 << 20, cpus=0.5, requests={"cpu": 0.02})
    assert container(after)["resources"] == {"limits": {"cpu": "500m", "memory": "200Mi"}, "requests": {"cpu": "20m", "memory": "16Mi"}}


def test_requests_of_what_is_used(cured: Act, kubectl: Kubectl, namespace: str) -> None:
    """A StatefulSet, and a figure of the metrics API."""
    bare = [{"op": "remove", "path": "/spec/template/spec/containers/0/resources"}]
    kubectl("-n", namespace, "patch", "statefulset/jobs", "--type", "json", "-p", json.dumps(bare))
    kubectl("-n", namespace, "rollout", "status", "statefulset/jobs", "--timeout=90s", timeout=100)
    made = json.loads(kubectl("-n", namespace, "get", "pod", "jobs-0", "-o", "json"))["metadata"]["creationTimestamp"]

    def unknown() -> str:
        found = json.loads(kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/namespaces/%s/pods/jobs-0" % namespace, check=False) or "{}")
        return "" if found.get("timestamp", "") > made else "there is no figure of the new pod"

    places.wait("metrics-server", unknown, 120)
    after = cured("component_resources", "jobs", "statefulset/jobs", requests={"cpu": "usage", "memory": "usage"})
    assert set(container(after, "statefulset/jobs")["resources"]["requests"]) == {"cpu", "memory"}


@pytest.mark.predicts("component_start")
def test_one_that_was_scaled_to_zero(cured: Act, kubectl: Kubectl, namespace: str) -> None:
    kubectl("-n", namespace, "scale", "deployment/web", "--replicas=0")
    try:
        assert cured("component_start", "web", "deployment/web")["deployment/web"]["spec"]["replicas"] == 1
    finally:
        kubectl("-n", namespace, "scale", "deployment/web", "--replicas=1")


@pytest.mark.predicts("component_restart")
def test_new_pods_of_the_same_version(shop: There, act: Act, kubectl: Kubectl, namespace: str, export: Export) -> None:
    def pods() -> set[str]:
        found = json.loads(kubectl("-n", namespace, "get", "pods", "-l", "app=web", "-o", "json"))["items"]
        return {one["metadata"]["uid"] for one in found if "deletionTimestamp" not in one["metadata"]}

    before, standing = export(), pods()
    told = act("component_restart", "web", check=True)
    assert export() == before and pods() == standing
    done = act("component_restart", "web")
    assert held(done) and foretold("component_restart", told, done)
    after = export()
    assert {name for name in before if before[name] != after[name]} == {"deployment/web"}
    assert container(after, "deployment/web") == container(before, "deployment/web")
    places.wait("the old pods", lambda: "" if not pods() & standing else "they are still there", 60)
    assert shop.undo()["result"] == "unchanged", "there is nothing to put back"


def test_limits_that_cannot_be(refused: Act, export: Export, apply: Callable[..., None]) -> None:
    before = export()["deployment/api"]
    refused("no node has", "component_resources", "api", memory=1 << 40)
    refused("it would be killed at once", "component_resources", "api", memory=7 << 20)
    refused("has no container x", "component_resources", "api", memory=200 << 20, containers=["x"])
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"limits.memory": "600Mi"}}}
    bounds = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "bounds"}, "spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}}
    apply(quota, bounds)
    refused("LimitRange bounds allows at most 1Gi", "component_resources", "api", memory=2 << 30)
    refused("quota small has", "component_resources", "api", memory=1 << 30)
    assert export()["deployment/api"] == before


@pytest.mark.predicts("component_probes")
def test_time_to_start(cured: Act) -> None:
    assert container(cured("component_probes", "api", "deployment/api", start_seconds=33))["startupProbe"] == {
        "httpGet": {"path": "/health", "port": "main", "scheme": "HTTP"}, "periodSeconds": 5, "timeoutSeconds": 1, "failureThreshold": 7, "successThreshold": 1,
    }  # fmt: skip


def test_a_probe_that_asks_something_else(cured: Act) -> None:
    wanted = {"readiness": {"path": "/ready", "timeout_seconds": 3}, "liveness": {"port": "8000", "failures": 5}}
    after = container(cured("component_probes", "api", "deployment/api", probes=wanted))
    assert (after["readinessProbe"]["httpGet"]["path"], after["readinessProbe"]["timeoutSeconds"]) == ("/ready", 3)
    assert (after["livenessProbe"]["httpGet"]["port"], after["livenessProbe"]["failureThreshold"]) == (8000, 5)


@pytest.mark.predicts("image_set")
def test_an_image(cured: Act, refused: Act, images: dict[str, str]) -> None:
    assert container(cured("image_set", "api", "deployment/api", image=images["app"]))["image"] == images["app"]
    refused("is no name of an image", "image_set", "api", image="Shop/Api:1")


@pytest.mark.predicts("stack_rollback", "image_set")
def test_a_release_that_does_not_come_up(act: Act, refused: Act, shop: There, kubectl: Kubectl, namespace: str, get: Get, export: Export) -> None:
    """By its image alone, and whole; and taken back again, so that the broken one is there as it was."""
    good, number = export()["deployment/api"], int(get("deployment/api")["metadata"]["annotations"][REVISION])
    change = {"spec": {"template": {"spec": {"containers": [{"name": "api", "image": "127.0.0.1:9/shop/api:nope", "env": [{"name": "NEW", "value": "1"}]}]}}}}
    kubectl("-n", namespace, "patch", "deployment/api", "-p", json.dumps(change))
    broken = export()["deployment/api"]
    try:
        for remedy, params in (("stack_rollback", {"revision": number}), ("stack_rollback", {}), ("image_set", {})):
            told = act(remedy, "api", check=True, **params)
            done = act(remedy, "api", **params)
            assert held(done) and foretold(remedy, told, done)
            after = export()["deployment/api"]
            assert after == good if remedy == "stack_rollback" else container({"deployment/api": after})["env"] == [{"name": "NEW", "value": "1"}]
            # By its number a version is known only as long as it is not the present one again.
            assert params or not act(remedy, "api")["changed"], "what is healthy is the last that was"
            assert shop.undo()["result"] == "undone"
            assert export()["deployment/api"] == broken
        refused("has no revision 999", "stack_rollback", "api", revision=999)
    finally:
        kubectl("-n", namespace, "patch", "deployment/api", "--type", "json", "-p", json.dumps([{"op": "replace", "path": "/spec", "value": good["spec"]}]))


@pytest.mark.predicts("image_pull_secret")
def test_an_account_for_the_registry(cured: Act, refused: Act, apply: Callable[..., None]) -> None:
    accounts = {"auths": {"https://index.docker.io/v1/": {"username": "bot", "password": "Qz8-pull"}}}
    kept = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub"}, "type": "kubernetes.io/dockerconfigjson"}
    apply({**kept, "stringData": {".dockerconfigjson": json.dumps(accounts)}}, {**kept, "metadata": {"name": "other"}, "type": "Opaque"})
    after = cured("image_pull_secret", "api", "deployment/api", secret="hub")
    assert after["deployment/api"]["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "hub"}]
    after = cured("image_pull_secret", "jobs", "serviceaccount/default", secret="hub", attach="service_account")
    assert after["serviceaccount/default"]["imagePullSecrets"] == [{"name": "hub"}]
    refused("is of the type Opaque", "image_pull_secret", "api", secret="other")
    refused("there is no Secret nobody", "image_pull_secret", "api", secret="nobody")


def test_an_account_that_a_person_gives(shop: There, kubectl: Kubectl, namespace: str, get: Get, export: Export) -> None:
    """By the module itself: what a person gives goes by its options, and stands nowhere else."""
    password = "Vb5-of-the-registry"
    account = {"component": "api", "secret": "made", "registry": "docker.io", "user": "bot", "registry_password": password}
    before = export()
    told = shop.act("image_pull_secret", check_mode=True, **account)
    assert told["changed"] and export() == before, told
    done = shop.act("image_pull_secret", **account)
    assert not done.get("failed") and done["diff"] == told["diff"] and password not in json.dumps(done), done
    assert json.loads(base64.b64decode(get("secret/made")["data"][".dockerconfigjson"]))["auths"]["docker.io"]["password"] == password
    assert shop.act("image_pull_secret", **account)["changed"] is False
    assert "no image of deployment/api is at quay.io" in shop.act("image_pull_secret", **{**account, "registry": "quay.io"})["msg"]
    assert shop.undo()["result"] == "undone" and export() == before
    for one in json.loads(kubectl("-n", namespace, "get", "secrets", "-o", "json"))["items"]:
        held = b"".join(base64.b64decode(value) for value in (one.get("data") or {}).values())
        with contextlib.suppress(OSError):
            held += gzip.decompress(held)
        assert password.encode() not in held, one["metadata"]["name"]


def scaler(name: str, target: str) -> dict[str, Any]:
    """One that has nothing to do: nobody uses so much."""
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 100000}}}]
    spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}, "minReplicas": 1, "maxReplicas": 2, "metrics": metrics}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec}


@pytest.mark.predicts("component_scale")
def test_copies(cured: Act, refused: Act, apply: Callable[..., None]) -> None:
    assert cured("component_scale", "api", "deployment/api", replicas=2)["deployment/api"]["spec"]["replicas"] == 2
    assert cured("component_scale", "jobs", "statefulset/jobs", replicas=2)["statefulset/jobs"]["spec"]["replicas"] == 2
    assert cured("component_scale", "jobs", "statefulset/jobs", replicas=0)["statefulset/jobs"]["spec"]["replicas"] == 0
    apply(scaler("api", "api"), scaler("keda-hpa-web", "web"))
    assert "autoscaler_bounds" in refused("the autoscaler api decides", "component_scale", "api", replicas=7).details["fix"]
    assert "ScaledObject/web" in refused("KEDA decides", "component_scale", "web", replicas=7).details["fix"]
    refused("belongs to KEDA", "autoscaler_bounds", "web", max=4)


@pytest.mark.predicts("autoscaler_bounds")
def test_bounds_of_an_autoscaler(cured: Act, act: Act, refused: Act, apply: Callable[..., None]) -> None:
    apply(scaler("api", "api"))
    told = act("autoscaler_bounds", "api", check=True, max="grow")["preview"]
    assert told["diff"] == [{"what": "maxReplicas of horizontalpodautoscaler/api", "before": "2", "after": "3"}]
    name = "horizontalpodautoscaler/api"
    assert cured("autoscaler_bounds", "api", name, max=5)[name]["spec"]["maxReplicas"] == 5
    refused("more than the maximum of 2", "autoscaler_bounds", "api", min=3)


@pytest.mark.predicts("service_selector", "service_port")
def test_a_selector_and_a_port(shop: There, act: Act, refused: Act, kubectl: Kubectl, namespace: str, export: Export) -> None:
    """Each as it was, whatever was done to it, and found without a word of what it was."""
    good = export()["service/api"]
    whole = json.dumps([{"op": "replace", "path": "/spec", "value": good["spec"]}])
    port = {"ports": [{"name": "main", "port": 80, "targetPort": 9}]}
    changes = [("selector", {"selector": {"app": "apii"}}, "safe"), ("selector", {"selector": {"track": "canary"}}, "disruptive"), ("port", port, "safe")]
    for what, change, risk in changes:
        kubectl("-n", namespace, "patch", "service/api", "-p", json.dumps({"spec": change}))
        broken = export()["service/api"]
        told = act("service_" + what, "api", check=True, service="api")
        assert export()["service/api"] == broken
        done = act("service_" + what, "api", service="api")
        assert held(done) and foretold("service_" + what, told, done) and done["preview"]["risk"] == risk
        assert export()["service/api"] == good
        assert not act("service_" + what, "api", service="api")["changed"]
        assert shop.undo()["result"] == "undone"
        assert export()["service/api"] == broken
        kubectl("-n", namespace, "patch", "service/api", "--type", "json", "-p", whole)
    bare = {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": None}}, "spec": {"selector": {"app": "x"}}}
    kubectl("-n", namespace, "patch", "service/api", "-p", json.dumps(bare))
    refused("no workload of its namespace has the ports", "service_selector", "service/api", service="api")
    done = shop.act("service_fix", service="api", component="api", what="selector", labels={"app": "api"})
    assert not done.get("failed") and export()["service/api"]["spec"]["selector"] == {"app": "api"}, done
    refused("there is no Service nobody", "service_port", "service/nobody", service="nobody")


@pytest.mark.predicts("workload_resume")
def test_a_rollout_that_was_paused(shop: There, act: Act, refused: Act, kubectl: Kubectl, namespace: str, export: Export) -> None:
    kubectl("-n", namespace, "rollout", "pause", "deployment/web")
    try:
        kubectl("-n", namespace, "set", "env", "deployment/web", "COLOUR=green")
        paused = export()["deployment/web"]
        refused("is paused", "component_resources", "web", memory=200 << 20)
        told = act("workload_resume", "web", check=True)
        assert export()["deployment/web"] == paused
        done = act("workload_resume", "web")
        assert held(done) and foretold("workload_resume", told, done) and done["preview"]["texts"]["pending"] == ["environment COLOUR of container[web]"]
        assert "paused" not in export()["deployment/web"]["spec"]
        assert not act("workload_resume", "web")["changed"]
        assert shop.undo()["result"] == "undone" and export()["deployment/web"] == paused
    finally:
        kubectl("-n", namespace, "rollout", "resume", "deployment/web", check=False)


@pytest.fixture
def spare(kubectl: Kubectl) -> Iterator[tuple[str, Callable[[], None]]]:
    """(a cordoned node of the test's own, on which nobody's pods may land; a call that lets it seem to live)."""
    name, over = "spare-for-a-test", threading.Event()
    taints = [{"key": "a-test", "value": "its-own", "effect": "NoSchedule"}]
    made = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"unschedulable": True, "taints": taints}}
    kubectl("apply", "-f", "-", stdin=json.dumps(made))

    def beat() -> None:
        while not over.wait(5):
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "a test says so", "lastHeartbeatTime": now}
            kubectl("patch", "node", name, "--subresource=status", "-p", json.dumps({"status": {"conditions": [ready]}}), check=False)

    def live() -> None:
        threading.Thread(target=beat, daemon=True).start()
        ready = ["get", "node", name, "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}"]
        places.wait("the node of the test", lambda: "" if kubectl(*ready) == "True" else "it is not ready", 60)

    yield name, live
    over.set()
    kubectl("delete", "node", name)


@pytest.mark.predicts("node_uncordon")
def test_a_node(shop: There, act: Act, refused: Act, kubectl: Kubectl, spare: tuple[str, Callable[[], None]]) -> None:
    name, live = spare
    refused("is not ready", "node_uncordon", "node/" + name, node=name)
    live()
    told = act("node_uncordon", "node/" + name, check=True, node=name)
    assert json.loads(kubectl("get", "node", name, "-o", "json"))["spec"]["unschedulable"] is True
    done = act("node_uncordon", "node/" + name, node=name)
    assert held(done) and foretold("node_uncordon", told, done) and done["preview"]["risk"] == "disruptive"
    assert "unschedulable" not in json.loads(kubectl("get", "node", name, "-o", "json"))["spec"]
    assert not act("node_uncordon", "node/" + name, node=name)["changed"]
    assert shop.undo()["result"] == "undone"
    assert json.loads(kubectl("get", "node", name, "-o", "json"))["spec"]["unschedulable"] is True


def test_who_else_looks_after_an_object(refused: Act, kubectl: Kubectl, namespace: str) -> None:
    kubectl("-n", namespace, "label", "deployment/web", "service/web", "argocd.argoproj.io/instance=shop-web")
    try:
        told = refused("is kept by Argo CD (shop-web)", "component_resources", "web", memory=200 << 20)
        assert "pause its automated sync" in told.details["fix"]
        refused("is kept by Argo CD", "service_port", "service/web", service="web", target_port=8000)
    finally:
        kubectl("-n", namespace, "label", "deployment/web", "service/web", "argocd.argoproj.io/instance-")
