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


def of(kind, name, *, uid="", labels=None, **more):
    """An object that a controller of this kind and name owns; nobody does where the kind is ""."""
    found = {"metadata": meta(uid, (kind, name) if kind else None, labels, **more.pop("meta", {})), **more}
    return found


def owned_by(objects):
    return {"%s/%s" % (one.kind, one.name): sorted(pod["metadata"]["name"] for pod in one.pods) for one in workloads.workloads_of(objects)}


def test_only_a_schedule_takes_the_pods_of_its_jobs():
    """The Jobs of an operator, of KEDA, are none of its servers."""
    jobs = [of("CronJob", "nightly", uid="nightly-1", spec={}), of("Cluster", "pg", uid="pg-1-initdb", spec={})]
    pods = [pod("n", owner=("Job", "nightly-1")), pod("i", owner=("Job", "pg-1-initdb"), phase="Succeeded"), pod("pg-1", owner=("Cluster", "pg"))]
    assert owned_by({"jobs": jobs, "pods": pods}) == {"CronJob/nightly": ["n"], "Job/pg-1-initdb": ["i"], "Cluster/pg": ["pg-1"]}


def ending(policy, *containers, phase="Succeeded"):
    return pod("a", *containers, phase=phase, spec={"restartPolicy": policy})


ASKED = container(readinessProbe={"httpGet": {"port": 8000}})
BESIDE = container("istio-proxy", readinessProbe={"httpGet": {"port": 15021}})
FINITE = [
    ("a pod that nothing starts again", "Pod", [ending("Never")], True),
    ("one that is started again when it fails", "Pod", [ending("OnFailure", phase="Running")], True),
    ("one that is always started again", "Pod", [pod("a")], False),
    ("the steps of a workflow", "Workflow", [ending("Never"), ending("Never", phase="Running")], True),
    ("a step with a mesh beside it", "Workflow", [ending("Never", container(), BESIDE)], True),
    ("what an operator keeps running", "Cluster", [pod("a"), ending("Never")], False),
    ("one that is asked whether it serves", "Pod", [ending("Never", ASKED, phase="Running")], False),
    ("one without a pod", "Rollout", [], False),
    ("a Deployment's", "Deployment", [pod("a")], False),
    ("a Job's", "Job", [], True),
]


@pytest.mark.parametrize(("what", "kind", "found", "expected"), FINITE, ids=[case[0] for case in FINITE])
def test_what_does_its_work_and_ends(what, kind, found, expected):
    one = workloads.Workload(kind, "shop", "x", pods=found)
    assert (one.finite, one.supposed) == (expected, expected and kind != "Job")


def rolled(name, copies, owner=("Rollout", "worker"), revision=1, image="app:1", **status):
    notes = {"annotations": {workloads.ROLLOUT_REVISION: str(revision)}}
    spec = {"replicas": copies, "template": {"spec": {"containers": [{"name": "app", "image": image}]}}}
    return of(*owner, uid=name, meta=notes, spec=spec, status=status)


REFUSED = [{"type": "ReplicaFailure", "status": "True"}]
SETS = [
    ("its only one", [rolled("w-1", 2)], ("Rollout", "worker", 2, "app:1", 0)),
    ("the next beside the one that serves", [rolled("w-2", 1, revision=2, image="app:2"), rolled("w-1", 3)], ("Rollout", "worker", 4, "app:2", 0)),
    ("one that was given up", [rolled("w-2", 0, revision=2, image="app:2"), rolled("w-1", 2, conditions=REFUSED)], ("Rollout", "worker", 2, "app:1", 1)),
    ("scaled to nothing", [rolled("w-1", 0)], ("Rollout", "worker", 0, "app:1", 0)),
    ("one that nobody owns", [rolled("w-1", 2, ("", ""))], ("ReplicaSet", "w-1", 2, "app:1", 0)),
    ("one that nobody owns or wants", [rolled("w-1", 0, ("", ""))], None),
    ("a Deployment's, which could not be read", [replicaset("api-77", "api")], None),
]


@pytest.mark.parametrize(("what", "found", "expected"), SETS, ids=[case[0] for case in SETS])
def test_what_only_its_replicasets_tell_of(what, found, expected):
    told = [
        (one.kind, one.name, one.whole["spec"]["replicas"], one.template["spec"]["containers"][0]["image"], len(one.whole["status"].get("conditions", [])))
        for one in workloads.workloads_of({"replicasets": found})
    ]
    assert told == ([expected] if expected else [])


def test_a_replicaset_that_lost_its_deployment_keeps_its_pods():
    found = {"replicasets": [rolled("w-1", 1, ("", ""))], "pods": [pod("w-1-x", owner=("ReplicaSet", "w-1"), labels={"pod-template-hash": "1"})]}
    assert owned_by(found) == {"ReplicaSet/w-1": ["w-1-x"]}


def batch(name, created, ended="", condition="Failed", owner=None, labels=None, args="", **more):
    """created, ended: minutes of one hour."""
    conditions = [{"type": condition, "status": "True", "lastTransitionTime": "2026-01-01T00:%s:00Z" % ended}] if ended else []
    spec = {"template": {"spec": {"containers": [container("app", command=["run"], args=[args])]}}}
    found = {"metadata": meta(name, owner, labels, creationTimestamp="2026-01-01T00:%s:00Z" % created, **more), "spec": spec}
    return {**found, "status": {"conditions": conditions}}


PART, OTHER = ({"app.kubernetes.io/component": name, "app.kubernetes.io/version": "%d" % place} for place, name in enumerate(("migrate", "seed")))
KEDA, AUTO = ("ScaledJob", "resize"), {"generateName": "sync-"}
RUNS = [
    ("the revision after", [batch("migrate-7", "00", "01", labels=PART), batch("migrate-8", "05", "06", "Complete", labels=PART)], ["migrate-7"]),
    ("though it still runs", [batch("migrate-7", "00", "01", labels=PART), batch("migrate-8", "05", labels=PART)], ["migrate-7"]),
    ("by its program alone", [batch("migrate-7", "00", "01"), batch("migrate-8", "05", "06", "Complete")], ["migrate-7"]),
    ("of one version", [batch("migrate-1.4.2", "00", "01"), batch("migrate-1.5.0", "05", "06", "Complete")], ["migrate-1.4.2"]),
    ("of one commit", [batch("migrate-4f2c1aa", "00", "01"), batch("migrate-99ab3d0", "05", "06", "Complete")], ["migrate-4f2c1aa"]),
    ("by one beginning of their names", [batch("sync-x7k2p", "00", "01", **AUTO), batch("sync-bcdfg", "05", **AUTO)], ["sync-x7k2p"]),
    ("of one owner", [batch("resize-7xk2p", "00", "09", owner=KEDA), batch("resize-4bk2p", "05", "06", "Complete", owner=KEDA)], ["resize-7xk2p"]),
    ("the last one failed", [batch("migrate-7", "00", "01", "Complete"), batch("migrate-8", "05", "06")], ["migrate-7"]),
    ("both parts of one work", [batch("load-1", "00", "05"), batch("load-2", "01", "06", "Complete")], []),
    ("another part of it", [batch("load-1", "00", "01", args="a"), batch("load-2", "05", "06", "Complete", args="b")], []),
    ("another thing of that release", [batch("shop-1", "00", "01", labels=PART), batch("shop-2", "05", "06", "Complete", labels=OTHER)], []),
    ("another name", [batch("migrate", "00", "01", labels=PART), batch("seed", "05", "06", "Complete", labels=PART)], []),
    ("other work of one owner", [batch("pg-1-initdb", "00", "01", owner=("Cluster", "pg")), batch("pg-2-join", "05", owner=("Cluster", "pg"))], []),
    ("a schedule's", [batch("n-1", "00", "01", owner=("CronJob", "n")), batch("n-2", "05", "06", "Complete", owner=("CronJob", "n"))], []),
    ("the only one", [batch("migrate-7", "05", "01")], []),
]


@pytest.mark.parametrize(("what", "found", "expected"), RUNS, ids=[case[0] for case in RUNS])
def test_jobs_that_a_later_run_stands_for(what, found, expected):
    assert sorted(name for _namespace, name in workloads.followed_jobs({"jobs": found})) == expected


def test_what_a_later_run_made_good_is_no_part_any_more():
    pods = [pod("m7", owner=("Job", "migrate-7"), phase="Failed"), pod("m8", owner=("Job", "migrate-8"), phase="Succeeded")]
    assert owned_by({"jobs": RUNS[0][1], "pods": pods}) == {"Job/migrate-8": ["m8"]}


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
