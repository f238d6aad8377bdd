"""Autoscalers, resources, volumes, Jobs and changed settings: what is found, and what must not be. One row a case."""

from __future__ import annotations

import datetime

import pytest
from samples import NOW
from samples_cluster import RUNS, ago, answers, deployment, event, judged, meta, node, pod, replicaset, seen, waits

from ansible_collections.aiops.runbook.plugins.module_utils.judge.cron import Schedule, read_schedule
from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes_autoscaling import turning_points
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.stack import judge_stack
from ansible_collections.aiops.runbook.plugins.module_utils.model import Clear, Finding, StackError, Unseen, unseen
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_usage import Usage, volumes_of
from ansible_collections.aiops.runbook.plugins.plugin_utils.diagnose import diagnose

ASKS = {"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}}
API = [deployment(container=ASKS), replicaset(), pod(container=ASKS)]
BARE = [deployment(), replicaset(), pod()]
NO_API = "failed to get cpu utilization: unable to fetch metrics from resource metrics API: the server could not find the requested resource"
NO_REQUEST = "failed to get cpu utilization: missing request for cpu in container api of Pod api-abc123-1"
ABSENT = unseen("the API server answered 404 to GET /apis/metrics.k8s.io", kind="not_found")
SERVER = {"metadata": {"name": "v1beta1.metrics.k8s.io"}, "status": {"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]}}


def scaler(current=50, replicas=1, **more):
    """more: message (why it cannot see), able, limited, min, max, name, target, created."""
    conditions = [{"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale"}]
    if "able" in more:
        conditions = [{"type": "AbleToScale", "status": "False", "reason": "FailedGetScale", "message": more["able"]}]
    reason = more.get("reason", "FailedGetResourceMetric")
    seeing = {"status": "False", "reason": reason, "message": more["message"]} if "message" in more else {"status": "True", "reason": "ValidMetricFound"}
    conditions.append({"type": "ScalingActive", **seeing})
    conditions.append(
        {"type": "ScalingLimited", "status": "True" if more.get("limited") else "False", "reason": more.get("limited", ""), "lastTransitionTime": ago(90)}
    )
    now = [] if "message" in more else [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": current}}}]
    return {
        "metadata": meta("grow", more.get("created", 3600)),
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": more.get("target", "api")},
            "minReplicas": more.get("min", 1),
            "maxReplicas": more.get("max", 3),
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
        },
        "status": {"currentReplicas": replicas, "desiredReplicas": replicas, "conditions": conditions, "currentMetrics": now},
    }


SCALERS = [
    ("well", API, scaler(), {}, []),
    ("at its minimum", API, scaler(1, limited="TooFewReplicas"), {}, []),
    ("no metrics-server", API, scaler(message=NO_API), {"podmetrics": ABSENT}, ["autoscaling.no_metrics"]),
    ("metrics-server not ready", API, scaler(message=NO_API), {"podmetrics": ABSENT, "apiservices": [SERVER]}, ["autoscaling.no_metrics"]),
    ("no requests", BARE, scaler(message=NO_REQUEST), {}, ["autoscaling.no_requests"]),
    ("no requests and no metrics-server", BARE, scaler(message=NO_API), {"podmetrics": ABSENT}, ["autoscaling.no_metrics"]),
    ("a metric that nobody offers", API, scaler(message="unable to get external metric"), {}, ["autoscaling.metric_unknown"]),
    ("scaled to nothing by hand", API, scaler(message="scaling is disabled", reason="ScalingDisabled"), {}, []),
    ("made just now", API, scaler(message=NO_API, created=10), {"podmetrics": ABSENT}, []),
    ("nothing to scale", API, scaler(able='deployments.apps "apo" not found', target="apo"), {}, ["autoscaling.target_missing"]),
    ("at its maximum, and it would have more", API, scaler(95, 3, limited="TooManyReplicas"), {}, ["autoscaling.at_maximum"]),
    ("at its maximum, and that is enough", API, scaler(60, 3), {}, []),
]


@pytest.mark.parametrize(("what", "things", "one", "kinds", "expected"), SCALERS, ids=[case[0] for case in SCALERS])
def test_autoscalers(what, things, one, kinds, expected):
    found = judged(seen(*things, horizontalpodautoscalers=[one], **kinds))
    assert [name for name, _where in found if name.startswith("autoscaling.")] == expected


def by_container(**figures):
    """An autoscaler by the CPU of each container: its present percentage of 70 wished."""
    one = scaler(replicas=3, limited="TooManyReplicas")
    told = [("target", "averageUtilization", [70] * len(figures)), ("current", "averageUtilization", list(figures.values()))]
    wanted, now = (
        [
            {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": name.replace("_", "-"), key: {what: value}}}
            for name, value in zip(figures, values)
        ]
        for key, what, values in told
    )
    one["spec"]["metrics"], one["status"]["currentMetrics"] = wanted, now
    return one


@pytest.mark.parametrize(("busy", "found"), [(190, True), (60, False)])
def test_each_container_has_a_figure_of_its_own(busy, found):
    document = seen(*API, horizontalpodautoscalers=[by_container(api=busy, istio_proxy=12)])
    assert [one["current"] for one in document["kubernetes"]["autoscalers"][0]["metrics"]] == [busy, 12]
    assert ("autoscaling.at_maximum" in answers(document)) is found


QUEUE = "the HPA was unable to compute the replica count: unable to get external metric shop/depth/nil: no metrics returned from external metrics API"
GIVEN = [
    ("a LimitRange gives the requests", [pod(container=ASKS)], "autoscaling.metric_unknown"),
    ("not to every pod", [pod(container=ASKS), pod(number=2)], "autoscaling.no_requests"),
    ("nobody gives any", [pod()], "autoscaling.no_requests"),
]


@pytest.mark.parametrize(("what", "pods", "expected"), GIVEN, ids=[case[0] for case in GIVEN])
def test_requests_that_only_the_pods_have(what, pods, expected):
    found = judged(seen(deployment(), replicaset(), *pods, horizontalpodautoscalers=[scaler(message=QUEUE)]))
    assert [name for name, _where in found if name.startswith("autoscaling.")] == [expected]


YOUNG = pod(container=ASKS, ready_since=10, seconds=20, status={**RUNS, "state": {"running": {"startedAt": ago(15)}}})
UNREADY = pod(container=ASKS, status=waits("ContainerCreating"), seconds=300)


@pytest.mark.parametrize("pods", [[YOUNG], [UNREADY], [YOUNG, UNREADY], []])
def test_without_a_pod_that_has_been_ready_for_a_while_there_is_no_figure(pods):
    document = seen(API[0], API[1], *pods, horizontalpodautoscalers=[scaler(message="no metrics returned from resource metrics API")])
    assert "autoscaling.metric_unknown" in answers(document, Unseen) and "autoscaling.metric_unknown" not in answers(document)


def test_whether_a_metrics_server_is_missing_or_ill_is_told_apart():
    for services, state in (([], "missing"), ([SERVER], "not ready")):
        document = seen(*API, horizontalpodautoscalers=[scaler(message=NO_API)], podmetrics=ABSENT, apiservices=services)
        assert answers(document)["autoscaling.no_metrics"].evidence["state"] == state


@pytest.mark.parametrize(("sizes", "turns"), [([1, 2, 3, 4], 0), ([1, 3, 1, 3, 1], 3), ([2, 2, 2], 0), ([3, 1, 1, 3], 1)])
def test_turning_points(sizes, turns):
    assert turning_points(sizes) == turns


def test_flapping():
    """Kubernetes keeps one event for all changes to the same size: its first time, its last one, and how many."""

    def steps(size, last, first, count):
        told = "New size: %d; reason: x" % size
        return event("HorizontalPodAutoscaler", "grow", "SuccessfulRescale", told, last, count, type="Normal", firstTimestamp=ago(first))

    scaled = {"horizontalpodautoscalers": [scaler()]}
    assert "autoscaling.flapping" in answers(seen(*API, **scaled, events=[steps(3, 100, 600, 3), steps(1, 20, 520, 3)]))
    assert "autoscaling.flapping" not in answers(seen(*API, **scaled, events=[steps(3, 100, 600, 2), steps(1, 20, 20, 1)]))
    # The same changes over a day are no flapping.
    assert "autoscaling.flapping" not in answers(seen(*API, **scaled, events=[steps(3, 100, 80000, 3), steps(1, 20, 79000, 3)]))


# resources


def usage(cpu):
    return [{"metadata": meta("api-abc123-1"), "containers": [{"name": "api", "usage": {"cpu": cpu, "memory": "50Mi"}}]}]


LIMITED = {"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}}}
RESOURCES = [
    ("well", API, {}, []),
    ("nothing set", BARE, {}, [("resources.unset", "api")]),
    ("at its CPU limit", [deployment(container=LIMITED), pod()], {"podmetrics": usage("499m")}, [("container.cpu_at_limit", "api")]),
    ("below its CPU limit", [deployment(container=LIMITED), pod()], {"podmetrics": usage("300m")}, []),
    ("more is promised than there is", API, {"nodes": [node(memory="100Mi")]}, [("node.overcommitted", "node/n1")]),
]


@pytest.mark.parametrize(("what", "things", "kinds", "expected"), RESOURCES, ids=[case[0] for case in RESOURCES])
def test_resources(what, things, kinds, expected):
    assert judged(seen(*things, replicaset(), **kinds)) == expected


QUOTAS = [
    ("room", {"pods": "5"}, None, None),
    ("little room", {"pods": "9"}, "info", "pods"),
    ("full", {"pods": "10"}, "warning", "pods"),
    ("full by the other name", {"count/pods": "10"}, "warning", "count/pods"),
    ("no memory left", {"requests.memory": "10"}, "warning", "requests.memory"),
    ("no CPU left to limit", {"limits.cpu": "10", "services.nodeports": "10"}, "warning", "limits.cpu"),
    ("no disk left", {"requests.ephemeral-storage": "10"}, "warning", "requests.ephemeral-storage"),
    ("no room for settings by a new name", {"configmaps": "10"}, "warning", "configmaps"),
    # Counted when it is made, and as many as are wanted.
    ("all load balancers used", {"services.loadbalancers": "10", "pods": "3"}, "info", "services.loadbalancers"),
    ("all claims used", {"persistentvolumeclaims": "10"}, "info", "persistentvolumeclaims"),
    ("all load balancers used, and little room", {"services.loadbalancers": "10", "pods": "9"}, "info", "pods"),
    ("all devices used", {"requests.nvidia.com/gpu": "10"}, "info", "requests.nvidia.com/gpu"),
]


@pytest.mark.parametrize(("what", "used", "severity", "resource"), QUOTAS, ids=[case[0] for case in QUOTAS])
def test_quotas(what, used, severity, resource):
    quota = {"metadata": meta("small"), "status": {"hard": dict.fromkeys(used, "10"), "used": used}}
    found = answers(seen(*API, resourcequotas=[quota])).get("quota.nearly_used_up")
    assert (found and found.severity, found and found.evidence["resource"]) == (severity, resource)


# volumes


def claim(phase="Bound", name="standard", seconds=300, **more):
    spec = {"storageClassName": name, "resources": {"requests": {"storage": "1Gi"}}, "accessModes": ["ReadWriteOnce"], **more}
    return {"metadata": meta("data", seconds), "spec": {key: value for key, value in spec.items() if value is not None}, "status": {"phase": phase}}


def storageclass(name="standard", default=True, binding="Immediate"):
    notes = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {"metadata": {"name": name, "annotations": notes}, "provisioner": "example/disk", "volumeBindingMode": binding}


UNBOUND = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
VOLUME = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}
CLASS_GONE = event("PersistentVolumeClaim", "data", "ProvisioningFailed", 'storageclass.storage.k8s.io "nosuch" not found')
FULL = event("PersistentVolumeClaim", "data", "ProvisioningFailed", "failed to provision volume: no space")
CLAIMS = [
    ("bound", claim(), [storageclass()], [], []),
    ("no such class", claim("Pending", "nosuch"), [storageclass()], [CLASS_GONE], [("storage.claim_pending", "class")]),
    ("no class and no default", claim("Pending", None), [storageclass(default=False)], [], [("storage.claim_pending", "no_class")]),
    ("its provisioner fails", claim("Pending"), [storageclass()], [FULL], [("storage.claim_pending", "provisioner")]),
    ("nobody answers", claim("Pending"), [storageclass()], [], [("storage.claim_pending", "no_answer")]),
    ("made just now", claim("Pending", seconds=5), [storageclass()], [], []),
    ("lost", claim("Lost"), [storageclass()], [], [("storage.claim_lost", None)]),
    ("not there", None, [storageclass()], [], [("storage.claim_missing", None)]),
]


@pytest.mark.parametrize(("what", "one", "classes", "events", "expected"), CLAIMS, ids=[case[0] for case in CLAIMS])
def test_claims(what, one, classes, events, expected):
    waiting = pod(unscheduled=UNBOUND, seconds=300, spec=VOLUME, container=ASKS) if expected else pod(spec=VOLUME, container=ASKS)
    things = [deployment(container=ASKS, pod_spec=VOLUME), replicaset(), waiting]
    document = seen(*things, persistentvolumeclaims=[one] if one else [], storageclasses=classes, events=events)
    # The claim is the cause; that its pod has no node is not told once more.
    assert [(name, found.evidence.get("why")) for name, found in answers(document).items() if name.startswith(("storage.", "pod."))] == expected


def test_a_class_that_waits_for_its_first_pod():
    things = [deployment(container=ASKS), replicaset(), pod(container=ASKS)]
    document = seen(*things, persistentvolumeclaims=[claim("Pending")], storageclasses=[storageclass(binding="WaitForFirstConsumer")])
    assert "storage.claim_pending" not in answers(document)


@pytest.mark.parametrize(
    ("message", "reason", "expected"),
    [
        ('Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) db-0', "ContainerCreating", ["storage.mount_failed"]),
        ('MountVolume.SetUp failed for volume "kube-api-access-x" : object "shop"/"kube-root-ca.crt" not registered', "ContainerCreating", []),
        ('MountVolume.SetUp failed for volume "v" : configmap "files" not found', "ContainerCreating", []),
        ('MountVolume.SetUp failed for volume "v" : failed to sync configmap cache: timed out', "ImagePullBackOff", []),
    ],
)
def test_mounts(message, reason, expected):
    one = pod(status={"state": {"waiting": {"reason": reason}}, "ready": False}, container=ASKS)
    told = event("Pod", one["metadata"]["name"], "FailedAttachVolume" if "Multi" in message else "FailedMount", message)
    found = judged(seen(deployment(container=ASKS), replicaset(), one, events=[told]))
    assert [name for name, _where in found if name.startswith("storage.")] == expected


def summary(used):
    """A pod as a kubelet tells of it; the node's disk is no volume of its own."""
    data = {"name": "data", "usedBytes": used, "capacityBytes": 100, "pvcRef": {"name": "data-0", "namespace": "shop"}}
    return {"podRef": {"namespace": "shop", "name": "api-abc123-1"}, "volume": [data, {"name": "tmp", "usedBytes": 99, "capacityBytes": 100}]}


@pytest.mark.parametrize(("used", "severity"), [(50, None), (90, "warning"), (99, "critical")])
def test_how_full_a_volume_is(used, severity):
    found = answers(seen(*API, volumestats=volumes_of(summary(used)))).get("storage.nearly_full")
    assert (found and found.severity) == severity
    if found:
        assert (found.component, found.evidence["claim"], found.evidence["percent"]) == ("api", "data-0", float(used))


class Kubelets:
    """A cluster whose metrics API tells of memory, and whose kubelets may be asked or not."""

    timeout = 1.0

    def __init__(self, may):
        self.may, self.asked = may, []

    def get(self, path):
        self.asked.append(path)
        if not self.may:
            raise StackError("this account may not get nodes/proxy", kind="denied")
        return {"pods": [summary(90)]}


@pytest.mark.parametrize(("claims", "may", "asked", "told"), [(True, True, 1, 1), (True, False, 1, 0), (False, True, 0, 0)])
def test_kubelets_are_asked_for_the_volumes_of_claims(claims, may, asked, told):
    one = pod(spec={"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}]} if claims else {})
    objects, cluster = {"pods": [one], "podmetrics": usage("1m")}, Kubelets(may)
    used = Usage(cluster, objects)
    assert used.memory(one, "api") == 50 * (1 << 20) and used.source == "metrics"
    assert (len(cluster.asked), len(objects.get("volumestats", []))) == (asked, told)


# Jobs


def job(name="load", condition=None, owner=None, seconds=600, **spec):
    conditions = [
        {"type": condition, "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the limit", "lastTransitionTime": ago(60)}
    ]
    template = {"spec": {"containers": [{"name": "load", "image": "x", **ASKS}]}}
    return {
        "metadata": meta(name, seconds, owner),
        "spec": {"template": template, "backoffLimit": 2, **spec},
        "status": {"failed": 3 if condition == "Failed" else 0, "succeeded": int(condition == "Complete"), "conditions": conditions if condition else []},
    }


JOBS = [
    ("done", [job(condition="Complete")], []),
    ("runs", [job()], []),
    ("given up", [job(condition="Failed")], [("job.failed", "load", "critical")]),
    ("suspended", [job(suspend=True)], [("job.suspended", "load", "info")]),
    (
        "a schedule's last one",
        [job("load-2", "Failed", ("CronJob", "load"), 100), job("load-1", "Complete", ("CronJob", "load"), 900)],
        [("job.failed", "load", "warning")],
    ),
    ("made good by a later one", [job("load-2", "Complete", ("CronJob", "load"), 100), job("load-1", "Failed", ("CronJob", "load"), 900)], []),
    ("made good by the next release", [job("load-8", "Complete", seconds=50), job("load-7", "Failed", seconds=900)], []),
    ("failed again with the next release", [job("load-8", "Failed", seconds=50), job("load-7", "Failed", seconds=900)], [("job.failed", "load-8", "critical")]),
    ("failed beside another part", [job("load-8", "Complete", seconds=899), job("load-7", "Failed", seconds=900)], [("job.failed", "load-7", "critical")]),
]


def test_the_history_of_schedules_hides_no_job_of_its_own():
    history = [job("s%d-%d" % (place, number), "Complete", ("CronJob", "s%d" % place), 300 * number) for place in range(6) for number in range(1, 5)]
    schedules = [{**cronjob(), "metadata": meta("s%d" % place)} for place in range(6)]
    found = judged(seen(jobs=[*history, job("migrate", "Failed", seconds=9000)], cronjobs=schedules))
    assert ("job.failed", "migrate") in found


@pytest.mark.parametrize(("condition", "told"), [("Failed", True), ("Complete", False)])
def test_more_jobs_than_are_told(condition, told):
    document = seen(jobs=[job("j%d" % number, condition) for number in range(120)] + [job("last", "Failed", seconds=5)])
    assert ("job.failed", "last") in judged(document)
    assert ("job.failed" in answers(document, Unseen)) is told


def cronjob(schedule="*/5 * * * *", last=100.0, seconds=90000, success=-1.0, active=0, **spec):
    """last, success: seconds since the last start and the last success, None where there was none; every start has been one where nothing is said."""
    template = {"spec": {"template": {"spec": {"containers": [{"name": "load", "image": "x", **ASKS}]}}}}
    times = {"lastScheduleTime": last, "lastSuccessfulTime": last if success == -1.0 else success}
    status = {"active": [{}] * active, **{key: ago(time) for key, time in times.items() if time is not None}}
    return {"metadata": meta("load", seconds), "spec": {"schedule": schedule, "jobTemplate": template, **spec}, "status": status}


@pytest.mark.parametrize(("what", "found", "expected"), JOBS, ids=[case[0] for case in JOBS])
def test_jobs(what, found, expected):
    schedules = [cronjob()] if any(one["metadata"].get("ownerReferences") for one in found) else []
    document = seen(jobs=found, cronjobs=schedules, roles={"load": "job"})
    given = answers(document)
    assert [(name, one.component, one.severity) for name, one in given.items() if name.startswith("job.")] == expected


SCHEDULES = [
    ("in time", cronjob(), []),
    ("missed", cronjob(last=4000), ["schedule.missed"]),
    ("never yet, and not due either", cronjob("0 0 1 1 *", last=None, seconds=100), []),
    ("never, and long due", cronjob(last=None), ["schedule.missed"]),
    ("suspended", cronjob(last=4000, suspend=True), ["schedule.suspended"]),
    ("the one before is not over", cronjob(last=3500, success=3600, active=1, concurrencyPolicy="Forbid"), []),
    ("in another time zone", cronjob("0 22 * * *", last=4 * 3600 - 200, timeZone="Asia/Taipei"), []),
    ("not to be understood", cronjob("often"), []),
]


HOUR, DAY = 3600, 86400
# NOW is 46 minutes after the hour.
LAST = NOW % HOUR
FORBID = {"concurrencyPolicy": "Forbid"}
SCHEDULES += [
    ("starts in time, and the last success is days ago", cronjob("0 * * * *", LAST, 9e5, 5 * DAY), ["schedule.failing"]),
    ("never a success", cronjob("0 * * * *", LAST, 5 * DAY, None), ["schedule.failing"]),
    ("each start ends the one before", cronjob("0 * * * *", LAST, 9e5, 5 * DAY, 1, concurrencyPolicy="Replace"), ["schedule.failing"]),
    ("one run holds the others back for days", cronjob("0 * * * *", 5 * DAY, 9e5, 5 * DAY + 60, 1, **FORBID), ["schedule.failing"]),
    ("the last success is two starts ago", cronjob("0 * * * *", LAST, 9e5, LAST + 2 * HOUR - 60), []),
    ("a run that takes its time", cronjob("0 * * * *", LAST + HOUR, 9e5, LAST + 2 * HOUR - 60, 1, **FORBID), []),
    ("a long run of a rare one", cronjob("0 0 * * *", 20 * HOUR, 9e6, 21 * HOUR, 1, **FORBID), []),
    ("the first run is not over", cronjob(last=1000, seconds=1100, success=None, active=1, **FORBID), []),
    ("the first ones are not over", cronjob(last=100, seconds=2000, success=None, active=6), []),
    ("the first one is not due yet", cronjob("0 0 1 1 *", None, 100, None), []),
    ("changed since, and not often enough", cronjob("0 * * * *", LAST, 5 * DAY, None) | {"metadata": meta("load", 2 * HOUR)}, []),
    ("suspended for days", cronjob("0 * * * *", 5 * DAY, 9e5, 5 * DAY, suspend=True), ["schedule.suspended"]),
]


def test_a_success_that_only_its_job_tells_of_is_one():
    document = seen(cronjobs=[cronjob("0 * * * *", LAST, 9e5, None)], jobs=[job("load-1", "Complete", ("CronJob", "load"), 2000)], roles={"load": "job"})
    document["kubernetes"]["jobs"][0]["finished_at"] = NOW - 1900
    assert "schedule.failing" not in answers(document)


def test_a_job_that_went_away_before_its_end_was_seen_may_have_succeeded():
    found = {"cronjobs": [cronjob("0 * * * *", LAST, 9e5, 5 * DAY)], "roles": {"load": "job"}}
    gone = event("CronJob", "load", "MissingJob", "Active job went missing: load-1")
    assert "schedule.failing" in answers(seen(**found))
    assert "schedule.failing" not in answers(seen(**found, events=[gone]))


def test_a_failed_job_says_why_a_schedule_gets_nothing_done():
    jobs = [job("load-1", "Failed", ("CronJob", "load"), 2000)]
    document = seen(cronjobs=[cronjob("0 * * * *", LAST, 9e5, 5 * DAY)], jobs=jobs, roles={"load": "job"})
    result = diagnose(document, judge_stack(document, Limits()))
    assert [root["id"] for root in result["root_causes"]] == ["job.failed"]
    assert "schedule.failing" in {item["id"] for item in result["findings"]}


@pytest.mark.parametrize(("what", "one", "expected"), SCHEDULES, ids=[case[0] for case in SCHEDULES])
def test_schedules(what, one, expected):
    found = judged(seen(cronjobs=[one], roles={"load": "job"}))
    assert [name for name, _where in found if name.startswith("schedule.")] == expected


def user(kind, phase="", replicas=1):
    """What names a claim that is not there: a workload of this kind, and its pod where it has one."""
    template = {"template": {"spec": {"containers": [{"name": "load", "image": "x"}], "volumes": VOLUME["volumes"]}}}
    if kind == "Deployment":
        return {"deployments": [deployment(replicas=replicas, pod_spec=VOLUME)]}
    made = pod("load", spec={**VOLUME, "restartPolicy": "Never"}, status={**RUNS, "ready": False}, phase=phase)
    made["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "load", "controller": True}]
    works = {"cronjobs": [{**cronjob(), "spec": {"schedule": "@daily", "jobTemplate": {"spec": template}}}]}
    if kind == "Job":
        works = {"jobs": [{"metadata": meta("load"), "spec": template, "status": {}}]}
    return {**works, "pods": [made] if phase else []}


MISSING = [
    ("of a Job that is done", user("Job", "Succeeded"), None),
    ("of a Job that waits for it", user("Job", "Pending"), "warning"),
    ("of what a schedule starts next", user("CronJob"), "warning"),
    ("of what is scaled to nothing", user("Deployment", replicas=0), "info"),
    ("of what cannot start", user("Deployment"), "critical"),
]


@pytest.mark.parametrize(("what", "kinds", "severity"), MISSING, ids=[case[0] for case in MISSING])
def test_a_claim_that_is_not_there(what, kinds, severity):
    found = answers(seen(roles={"load": "job"}, **kinds)).get("storage.claim_missing")
    assert (found.severity if found else None) == severity


def test_a_schedule_that_the_cluster_cannot_read_either():
    told = event("CronJob", "load", "UnparseableSchedule", "unparseable schedule: often")
    found = judged(seen(cronjobs=[cronjob("often")], roles={"load": "job"}, events=[told]))
    assert ("schedule.invalid", "load") in found


def test_a_quota_explains_why_a_schedule_was_missed():
    over = "jobs.batch is forbidden: exceeded quota: few, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0"
    document = seen(cronjobs=[cronjob(last=4000)], roles={"load": "job"}, events=[event("CronJob", "load", "FailedCreate", over)])
    roots = [(root["id"], root["component"]) for root in diagnose(document, judge_stack(document, Limits()))["root_causes"]]
    assert roots == [("quota.exceeded", "load")]


def at(text):
    return datetime.datetime.fromisoformat(text + "+00:00").timestamp()


CRON = [
    ("*/15 * * * *", "", "2026-03-04T10:14:00", "2026-03-04T10:00:00"),
    ("0 3 * * *", "", "2026-03-04T02:59:00", "2026-03-03T03:00:00"),
    ("30 6 1 * *", "", "2026-03-04T10:00:00", "2026-03-01T06:30:00"),
    ("0 0 * * sun", "", "2026-03-04T10:00:00", "2026-03-01T00:00:00"),
    ("0 0 * * 7", "", "2026-03-04T10:00:00", "2026-03-01T00:00:00"),
    ("0 9-17/4 * * mon-fri", "", "2026-03-07T10:00:00", "2026-03-06T17:00:00"),
    ("0 0 13 * fri", "", "2026-03-12T00:00:00", "2026-03-06T00:00:00"),
    ("0 0 29 feb *", "", "2026-03-04T10:00:00", "2024-02-29T00:00:00"),
    ("@daily", "", "2026-03-04T10:00:00", "2026-03-04T00:00:00"),
    ("0 8 * * *", "Asia/Taipei", "2026-03-04T10:00:00", "2026-03-04T00:00:00"),
    ("TZ=Asia/Taipei 0 8 * * *", "", "2026-03-04T10:00:00", "2026-03-04T00:00:00"),
]


@pytest.mark.parametrize(("text", "zone", "now", "expected"), CRON)
def test_cron(text, zone, now, expected):
    found = read_schedule(text, zone)
    assert isinstance(found, Schedule)
    assert found.last_before(at(now)) == at(expected)


@pytest.mark.parametrize("text", ["", "* * * *", "61 * * * *", "*/0 * * * *", "a * * * *", "5-1 * * * *", "0 0 * * * *"])
def test_no_schedule(text):
    assert isinstance(read_schedule(text), str)


def test_a_day_that_never_comes():
    found = read_schedule("0 0 31 2 *")
    assert isinstance(found, Schedule) and found.last_before(NOW) is None


# changed settings


ENV = {**ASKS, "envFrom": [{"configMapRef": {"name": "settings"}}]}


def configmap(seconds):
    return {"metadata": {**meta("settings", 9999), "managedFields": [{"manager": "kubectl", "operation": "Update", "time": ago(seconds)}]}, "data": {"A": "1"}}


CHANGED = [
    ("older than the pod", 9000, {}, True, []),
    ("changed, with other values", 60, {"api": {"settings": ["A"], "accepted_after_restart": []}}, True, ["high"]),
    ("written anew with the same values", 60, {}, True, []),
    ("changed, and the values are not known", 60, unseen("not allowed", kind="denied"), True, ["medium"]),
    ("changed, and what the program was started with is not known", 60, {}, False, ["medium"]),
]


@pytest.mark.parametrize(("what", "seconds", "drift", "looked", "expected"), CHANGED, ids=[case[0] for case in CHANGED])
def test_changed_settings(what, seconds, drift, looked, expected):
    document = seen(deployment(container=ENV), replicaset(), pod(container=ENV), configmaps=[configmap(seconds)], parts={"drift": drift})
    document["components"]["api"]["instances"][0]["processes"] = [{"pid": 1, "parent": 0, "state": "S", "command": "api"}] if looked else []
    assert [one.confidence for name, one in answers(document).items() if name == "config.restart_pending"] == expected
    assert ("config.restart_pending" in answers(document, Clear)) is not bool(expected)
    assert all(one.severity == "info" for name, one in answers(document, Finding).items() if name == "config.restart_pending")
