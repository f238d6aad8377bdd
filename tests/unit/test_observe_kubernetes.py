"""What is written down of a namespace: small, without a secret, and the same whatever is missing."""

from __future__ import annotations

import json
import time

from samples import NOW
from samples_cluster import RUNS, ago, deployment, ended, event, meta, objects, pod, replicaset, service, waits

from ansible_collections.aiops.runbook.plugins.module_utils.model import unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes import compact
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_network import services
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask


def test_equal_pods_are_told_once():
    many = [pod(number=number, node="n%d" % (number % 7), seconds=3600 + number) for number in range(500)]
    ill = pod(status=waits("CrashLoopBackOff", "back-off 5m0s", lastState={"terminated": ended(1)}, restartCount=4), number=999)
    work = compact(objects(deployment(replicas=501), replicaset(), *many, ill), "shop", NOW)["workloads"]["api"]
    assert [(group["count"], group["ready"]) for group in work["pods"]] == [(1, False), (500, True)]
    assert work["pods"][1]["created"] == [NOW - 4099, NOW - 3600]
    assert len(work["pods"][1]["names"]) == 3 and len(work["pods"][1]["nodes"]) == 5


def test_two_thousand_pods_cost_little():
    given = objects(deployment(replicas=2000), replicaset(), *[pod(number=number) for number in range(2000)])
    given["services"], given["endpointslices"] = [[one] for one in service(ready=2000)]
    given["events"] = [event("Pod", "api-abc123-%d" % number, "Unhealthy", "Readiness probe failed: x") for number in range(2000)]
    begun = time.process_time()
    found = compact(given, "shop", NOW)
    assert time.process_time() - begun < 2.0
    assert len(json.dumps(found)) < 20_000


def test_what_is_hidden_is_said_and_nothing_fails():
    why = unseen("may not", kind="denied", fix="grant it")
    given = dict.fromkeys(objects(), why)
    given["pods"] = [pod()]
    found = compact(given, "shop", NOW)
    assert found["unseen"]["nodes"]["fix"] == "grant it" and "pods" not in found["unseen"]
    assert found["workloads"]["api"]["wanted"] is None and found["workloads"]["api"]["pods"][0]["count"] == 1


def test_no_value_of_a_setting_and_no_secret():
    secret = "n0t-to-be-seen-9"
    env = {
        "env": [{"name": "PASSWORD", "value": secret}, {"name": "URL", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "url"}}}],
        "command": ["run", secret],
    }
    settings = {"metadata": meta("settings"), "data": {"KEY": secret}}
    one = pod(status=waits("CrashLoopBackOff", "x", lastState={"terminated": ended(1, message="refused with " + secret)}, restartCount=1), container=env)
    told = event("Pod", one["metadata"]["name"], "Unhealthy", "Liveness probe failed: " + secret)
    mask = Mask()
    mask.learn(secret)
    found = json.dumps(compact(objects(deployment(container=env), replicaset(), one, configmaps=[settings], events=[told]), "shop", NOW, text=mask.text))
    assert secret not in found
    assert '"keys": ["url"]' in found and "refused with" in found


def test_no_message_ends_in_the_middle_of_a_secret():
    secret = "n0t-to-be-seen-9"
    mask = Mask()
    mask.learn(secret)
    for length in range(285, 600):
        said = "x" * length + " " + secret
        one = pod(status=waits("CrashLoopBackOff", said, lastState={"terminated": ended(1, message=said)}, restartCount=1))
        told = event("Pod", one["metadata"]["name"], "Unhealthy", said)
        found = json.dumps(compact(objects(deployment(), replicaset(), one, events=[told]), "shop", NOW, text=mask.text))
        assert "n0t" not in found, length


def test_who_looks_after_an_object():
    cases = [
        ({"annotations": {"meta.helm.sh/release-name": "shop"}}, {"tool": "Helm", "name": "shop"}),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/api"}}, {"tool": "Argo CD", "name": "shop"}),
        (
            {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux"}},
            {"tool": "Flux", "name": "Kustomization/flux/apps"},
        ),
        (
            {"ownerReferences": [{"apiVersion": "redis.example/v1", "kind": "Redis", "name": "cache"}]},
            {"tool": "operator", "name": "Redis/cache", "api": "redis.example/v1"},
        ),
    ]
    for more, expected in cases:
        assert compact(objects(deployment(meta=more)), "shop", NOW)["workloads"]["api"]["managed_by"] == [expected]
    assert compact(objects(deployment()), "shop", NOW)["workloads"]["api"]["managed_by"] == []


def test_pods_of_an_operator_are_a_workload_too():
    one = pod("db")
    one["metadata"]["ownerReferences"] = [{"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "name": "db", "controller": True}]
    work = compact(objects(one), "shop", NOW)["workloads"]["db"]
    assert (work["kind"], work["managed_by"][0]["name"], work["containers"][0]["name"]) == ("Cluster", "Cluster/db", "db")


def test_events_are_a_series_by_time():
    pods = [pod(number=1), pod(number=2)]
    told = [event("Pod", one["metadata"]["name"], "Unhealthy", "Readiness probe failed: x", seconds=60 - place, count=5) for place, one in enumerate(pods)]
    told += [event("Pod", pods[0]["metadata"]["name"], "Scheduled", type="Normal"), event("ReplicaSet", "api-abc123", "FailedCreate", "quota", seconds=300)]
    found = compact(objects(deployment(), replicaset(), *pods, events=told), "shop", NOW)["events"]
    assert [(one["component"], one["reason"], one["count"], one["objects"]) for one in found] == [
        ("api", "FailedCreate", 3, 1),
        ("api", "Unhealthy/readiness", 10, 2),
    ]


def test_whom_a_service_was_made_for():
    from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_cast import Cast
    from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_common import Neighbours

    given = objects(deployment(), deployment("worker"), replicaset(), pod())
    for name, selector, target, expected in (
        ("api", {"app": "apo"}, 1, "api"),
        ("front", {"app": "nobody"}, 1, ""),
        ("worker-metrics", {"app": "worker", "tier": "x"}, 1, "worker"),
        ("api", {"app": "api"}, 8000, ""),
    ):
        given["services"] = service(name, selector=selector, target=target)[:1]
        assert services(given, Cast(given), Neighbours(""))[0]["meant_for"] == expected


def test_what_a_revision_was():
    older, newer = replicaset(digest="aaa", revision=1, seconds=9000), replicaset(digest="bbb", revision=2, seconds=60)
    found = compact(objects(deployment(), older, newer, pod(digest="bbb")), "shop", NOW)["workloads"]["api"]["revisions"]
    assert [(one["revision"], one["hash"], one["images"]) for one in found] == [(2, "bbb", ["shop/api:1"]), (1, "aaa", ["shop/api:1"])]


def test_how_long_a_start_took():
    slow = pod(status={**RUNS, "state": {"running": {"startedAt": ago(100)}}}, seconds=110, ready_since=60)
    assert compact(objects(deployment(), replicaset(), slow), "shop", NOW)["workloads"]["api"]["pods"][0]["ready_after"] == [40.0, 40.0]
