"""Who owns which pod, and which pods stand for a workload: one row a case."""

from __future__ import annotations

import pytest
from samples_kubernetes import container, meta, pod

from ansible_collections.aiops.runbook.plugins.module_utils.platform import kubernetes_workloads as workloads


def deployment(name, **spec):
    return {"metadata": meta(name), "spec": {"replicas": 1, "template": {"spec": {"containers": [container()]}}, **spec}}


def replicaset(name, owner, revision=1, created="2026-01-01T00:00:00Z", image="app:1", **template):
    found = {"metadata": meta(name, ("Deployment", owner), creationTimestamp=created, annotations={workloads.REVISION: str(revision)})}
    found["spec"] = {"template": {"spec": {"containers": [{"name": "app", "image": image}]}, **template}}
    return found


OBJECTS = {
    "deployments": [deployment("api"), deployment("idle")],
    "replicasets": [replicaset("api-77", "api")],
    "jobs": [{"metadata": meta("nightly-1", ("CronJob", "nightly")), "spec": {}}, {"metadata": meta("migrate"), "spec": {}}],
    "cronjobs": [{"metadata": meta("nightly"), "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [container()]}}}}}}],
    "pods": [
        pod("api-77-x", owner=("ReplicaSet", "api-77")),
        pod("web-5-y", owner=("ReplicaSet", "web-5"), labels={"pod-template-hash": "5"}),
        pod("db-0", owner=("StatefulSet", "db")),
        pod("nightly-1-z", owner=("Job", "nightly-1"), phase="Succeeded"),
        pod("migrate-q", owner=("Job", "migrate"), phase="Succeeded"),
        pod("alone"),
        pod("roll-1-a", owner=("Rollout", "roll")),
    ],
}


def test_workloads_and_their_pods():
    found = {(one.kind, one.name): [pod["metadata"]["name"] for pod in one.pods] for one in workloads.workloads_of(OBJECTS)}
    assert found == {
        ("Deployment", "api"): ["api-77-x"],
        ("Deployment", "idle"): [],
        ("Deployment", "web"): ["web-5-y"],
        ("StatefulSet", "db"): ["db-0"],
        ("CronJob", "nightly"): ["nightly-1-z"],
        ("Job", "migrate"): ["migrate-q"],
        ("Pod", "alone"): ["alone"],
        ("Rollout", "roll"): ["roll-1-a"],
    }


def made(name, phase="Running", created="2026-01-01T00:00:00Z", leaving=False):
    more = {"deletionTimestamp": "2026-01-01T01:00:00Z"} if leaving else {}
    return pod(name, phase=phase, meta={"creationTimestamp": created, **more})


EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"
COUNT = [
    ("those on their way out do not", "Deployment", [made("a", leaving=True), made("b")], ["b"]),
    ("unless there is nobody else", "Deployment", [made("a", leaving=True)], ["a"]),
    ("what an eviction left does not", "Deployment", [made("a", "Failed"), made("b")], ["b"]),
    ("unless there is nobody else, again", "Deployment", [made("a", "Failed")], ["a"]),
    ("a job's attempt that succeeded, not the one before", "Job", [made("a", "Failed", EARLY), made("b", "Succeeded", LATE)], ["b"]),
    ("a job's last attempt", "Job", [made("a", "Failed", EARLY), made("b", "Failed", LATE)], ["b"]),
    ("a cron job's last run, though the one before went well", "CronJob", [made("a", "Succeeded", EARLY), made("b", "Failed", LATE)], ["b"]),
    ("a cron job's last run", "CronJob", [made("a", "Failed", EARLY), made("b", "Succeeded", LATE)], ["b"]),
]


@pytest.mark.parametrize(("what", "kind", "found", "expected"), COUNT, ids=[case[0] for case in COUNT])
def test_pods_that_count(what, kind, found, expected):
    assert [one["metadata"]["name"] for one in workloads.pods_that_count(workloads.Workload(kind, "shop", "x", pods=found))] == expected


NAMES = [
    ("alone", [("Deployment", "shop", "api")], ["api"]),
    ("a job of the same name", [("Deployment", "shop", "api"), ("Job", "shop", "api")], ["api", "api.shop"]),
    ("in two namespaces", [("Deployment", "shop", "api"), ("Deployment", "data", "api")], ["api", "api.data"]),
    ("all of it", [("Deployment", "shop", "api"), ("Job", "shop", "api"), ("StatefulSet", "shop", "api")], ["api", "api.job.shop", "api.shop"]),
]


@pytest.mark.parametrize(("what", "places", "expected"), NAMES, ids=[case[0] for case in NAMES])
def test_names(what, places, expected):
    found = workloads.name_components([workloads.Workload(*place) for place in places])
    assert [name for _place, name in sorted(found.items())] == expected


def test_changes():
    objects = {
        "replicasets": [
            replicaset("api-1", "api", 1, EARLY),
            replicaset("api-2", "api", 2, LATE, image="app:2"),
            replicaset("api-3", "api", 3, "2026-01-01T00:06:00Z", image="app:2", metadata={"annotations": {workloads.RESTARTED: "now"}}),
        ]
    }
    found = workloads.changes_of(objects, {("Deployment", "shop", "api"): "api"}, 0.0)
    assert [one["detail"] for one in found] == [
        {"revision": 2, "changed": "image", "image": "app:1 -> app:2"},
        {"revision": 3, "changed": "restart"},
    ]
    assert workloads.changes_of(objects, {("Deployment", "shop", "api"): "api"}, 1767225930.0)[0]["detail"]["revision"] == 3
