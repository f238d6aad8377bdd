"""Workloads, rollouts and probes: what is found, and what must not be. One row a case."""

from __future__ import annotations

import pytest
from samples import NOW, component, edge, instance, stack
from samples_cluster import RUNS, ago, answers, deployment, ended, event, judged, meta, objects, pod, replicaset, seen, service, waits

from ansible_collections.aiops.runbook.plugins.module_utils.judge import containers
from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes import awake, judge_kubernetes
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.judge.stack import judge_stack
from ansible_collections.aiops.runbook.plugins.module_utils.model import Clear, Finding, Unseen, unseen
from ansible_collections.aiops.runbook.plugins.plugin_utils.diagnose import diagnose

SET = [deployment(), replicaset()]
OVER = 'pods "api-abc123-x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2'
RANGE = 'pods "api-abc123-x" is forbidden: maximum memory usage per Container is 128Mi, but limit is 512Mi'
SECURITY = 'pods "api-abc123-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'


def test_nobody_is_asked_on_another_platform():
    assert judge_kubernetes(stack(component("api", "api")), Limits()) == []


def keda(name="api", **more):
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": name}, "minReplicas": 1, "maxReplicas": 5, "metrics": []}
    return {"metadata": meta("keda-hpa-" + name), "spec": {**spec, **more}, "status": {"conditions": []}}


ABSENT = [
    ("runs", deployment(), pod(), {}, []),
    ("scaled to nothing", deployment(replicas=0), None, {}, [("container.not_running", "api")]),
    ("scaled to nothing, and nobody misses it", deployment("beat", replicas=0), None, {"roles": {"beat": "beat"}}, []),
    ("scaled to nothing by KEDA", deployment(replicas=0), None, {"horizontalpodautoscalers": [keda()]}, []),
    ("no pod is made", deployment(status={"updatedReplicas": 1}), None, {}, [("container.not_running", "api")]),
    ("made just now", deployment(meta={"creationTimestamp": ago(3)}), None, {}, []),
]


@pytest.mark.parametrize(("what", "work", "one", "more", "expected"), ABSENT, ids=[case[0] for case in ABSENT])
def test_absent(what, work, one, more, expected):
    found = judged(seen(work, *([one] if one else []), **more))
    assert [answer for answer in found if answer[0] == "container.not_running"] == expected


def rollout(copies, *messages):
    """A worker that Argo Rollouts keeps; messages: why its pods are refused."""
    found = replicaset("worker", replicas=copies)
    found["metadata"]["ownerReferences"] = [{"kind": "Rollout", "name": "worker", "controller": True, "apiVersion": "argoproj.io/v1alpha1"}]
    found["status"]["conditions"] = [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message} for message in messages]
    return found


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([rollout(2, OVER)], [("container.not_running", "worker"), ("quota.exceeded", "worker")]),
        ([rollout(2)], [("container.not_running", "worker")]),
        ([rollout(1), pod("worker")], []),
    ],
)
def test_a_rollout_of_argo_is_there_without_a_pod(found, expected):
    document = seen(*found[1:], replicasets=found[:1], roles={"worker": "worker"})
    assert [one for one in judged(document) if one[0] != "resources.unset"] == expected
    work = document["kubernetes"]["workloads"]["worker"]
    assert (work["kind"], work["wanted"]) == ("Rollout", found[0]["spec"]["replicas"])
    assert work["managed_by"] == [{"tool": "Argo Rollouts", "name": "Rollout/worker"}]


def spare(name, role, of, image="shop/api:2", **kinds):
    """Two workloads, the second of them scaled to nothing."""
    up = [deployment(of, container={"image": "shop/api:1"}), replicaset(of), pod(of)]
    return seen(*up, deployment(name, replicas=0, container={"image": image}), roles={of: role, name: role}, **kinds)


def queues(length, consumers):
    fact = {"component": "redis", "answers": True, "workers": [], "queues": [{"name": "mail", "length": length, "consumers": consumers}]}
    return {"parts": {"celery": {"redis": fact}}}


GREEN = service("api-green", ready=0)
SERVED = {"services": [GREEN[0]], "endpointslices": [GREEN[1]]}
WAY_IN = {"rules": [{"http": {"paths": [{"path": "/", "backend": {"service": {"name": "api-green", "port": {"number": 80}}}}]}}]}
SPARES = [
    ("green while blue serves", spare("api-green", "api", "api-blue"), "info"),
    ("with a Service of its own that nobody uses", spare("api-green", "api", "api-blue", **SERVED), "info"),
    ("an Ingress leads there", spare("api-green", "api", "api-blue", ingresses=[{"metadata": meta("in"), "spec": WAY_IN}], **SERVED), "critical"),
    ("somebody uses it", spare("api-green", "api", "api-blue", parts={"edges": [edge("web", "api-green", "http")]}), "critical"),
    ("another program of that role", spare("admin", "api", "api-blue", "shop/admin:1"), "critical"),
    ("a replica of Redis", spare("redis-replicas", "redis", "redis-master"), "info"),
    ("a worker while nothing waits", spare("worker-mail", "worker", "worker", **queues(0, 0)), "warning"),
    ("a worker for whom tasks wait", spare("worker-mail", "worker", "worker", **queues(3, 0)), "critical"),
    ("a worker whose queues others consume", spare("worker-mail", "worker", "worker", **queues(3, 1)), "warning"),
    ("a worker of whom nothing is known", spare("worker-mail", "worker", "worker"), "critical"),
]


@pytest.mark.parametrize(("what", "document", "severity"), SPARES, ids=[case[0] for case in SPARES])
def test_scaled_to_nothing_while_another_runs(what, document, severity):
    assert answers(document)["container.not_running"].severity == severity


def test_workers_that_sleep_are_not_missed_as_long_as_nothing_waits():
    document = seen(deployment("worker", replicas=0), roles={"worker": "worker"}, horizontalpodautoscalers=[keda("worker")])
    idle, busy = (Finding("celery.no_worker", "redis", "critical", {"waiting": waiting}) for waiting in (0, 7))
    assert [type(one) for one in awake(document, [idle, busy])] == [Clear, Finding]
    up = seen(deployment("worker"), replicaset("worker"), pod("worker"), roles={"worker": "worker"})
    assert awake(up, [idle]) == [idle]


def failing(message, **more):
    return deployment(conditions={"ReplicaFailure": ["True", "FailedCreate", message, 60]}, **more)


REFUSED = [
    ("quota", failing(OVER), [], ["container.not_running", "quota.exceeded"]),
    ("quota, while the others run", failing(OVER, replicas=2), [pod()], ["quota.exceeded"]),
    ("LimitRange", failing(RANGE), [], ["container.not_running", "quota.limit_range"]),
    ("security", failing(SECURITY), [], ["container.not_running", "workload.pods_refused"]),
    ("not any more", deployment(), [pod()], []),
]


@pytest.mark.parametrize(("what", "work", "pods", "expected"), REFUSED, ids=[case[0] for case in REFUSED])
def test_refused(what, work, pods, expected):
    assert [name for name, _where in judged(seen(work, replicaset(), *pods)) if name != "resources.unset"] == expected


def test_a_quota_is_told_with_its_figures():
    evidence = answers(seen(failing(OVER, replicas=3), replicaset(), pod()))["quota.exceeded"].evidence
    assert {key: evidence[key] for key in ("quota", "requested", "used", "limited", "made", "wanted")} == {
        "quota": "small",
        "requested": "pods=1",
        "used": "pods=2",
        "limited": "pods=2",
        "made": 1,
        "wanted": 3,
    }


def test_a_quota_that_refuses_something_is_told_once():
    full = {"metadata": meta("small"), "status": {"hard": {"pods": "2"}, "used": {"pods": "2"}}}
    found = judged(seen(failing(OVER, replicas=2), replicaset(), pod(), resourcequotas=[full]))
    assert [name for name, _where in found if name.startswith("quota")] == ["quota.exceeded"]


@pytest.mark.parametrize(("seconds", "made", "expected"), [(60, None, ["quota.exceeded"]), (5000, None, []), (60, 30, [])])
def test_a_controller_without_conditions_tells_by_events(seconds, made, expected):
    work = {**deployment("db", replicas=1), "spec": {**deployment("db")["spec"], "replicas": 2}}
    told = event("StatefulSet", "db", "FailedCreate", OVER, seconds=seconds)
    pods = []
    if made:
        pods = [pod("db", seconds=made)]
        pods[0]["metadata"]["ownerReferences"] = [{"kind": "StatefulSet", "name": "db", "controller": True}]
    given = objects(*pods, events=[told], statefulsets=[work])
    document = seen(**{**given, "deployments": []})
    assert [name for name, _where in judged(document) if name.startswith("quota")] == expected


STUCK = ["False", "ProgressDeadlineExceeded", 'ReplicaSet "api-def456" has timed out progressing.', 30]
ROLLOUTS = [
    ("done", deployment(), [pod()], []),
    ("goes on", deployment(status={"updatedReplicas": 0}), [pod(), pod(status=waits("ContainerCreating"), digest="def456", seconds=5)], []),
    ("stuck", deployment(conditions={"Progressing": STUCK}), [pod(), pod(status=waits("X"), digest="def456")], ["workload.rollout_stuck"]),
    ("paused in the middle", deployment(spec={"paused": True}, status={"updatedReplicas": 0}), [pod()], ["workload.rollout_paused"]),
]


@pytest.mark.parametrize(("what", "work", "pods", "expected"), ROLLOUTS, ids=[case[0] for case in ROLLOUTS])
def test_rollouts(what, work, pods, expected):
    found = judged(seen(work, replicaset(), replicaset(digest="def456", revision=2, seconds=90), *pods))
    assert [name for name, _where in found if name.startswith("workload.")] == expected


@pytest.mark.parametrize(("seconds", "expected"), [(700, ["workload.rollout_stuck"]), (60, [])])
def test_a_statefulset_has_no_deadline_of_its_own(seconds, expected):
    work = deployment("db", replicas=2)
    work["spec"]["strategy"], work["spec"]["updateStrategy"] = {}, {"type": "RollingUpdate"}
    work["status"] = {"replicas": 2, "readyReplicas": 1, "updatedReplicas": 1, "conditions": []}
    one = pod("db", status=waits("CrashLoopBackOff"), seconds=seconds)
    one["metadata"]["ownerReferences"] = [{"kind": "StatefulSet", "name": "db", "controller": True}]
    given = objects(one, statefulsets=[work])
    assert [name for name, _where in judged(seen(**{**given, "deployments": []})) if name.startswith("workload.")] == expected


def test_the_next_revision_is_not_a_copy_among_others():
    """While the old revision serves, what the new one meets is told as that, and is no outage."""
    old, new = instance("old", revision="a"), instance("new", revision="b", state="restarting", exit_code=1, restarts=3)
    (answer,) = [one for one in judge_domain(containers.DOMAIN, stack(component("api", "api", old, new)), Limits()) if isinstance(one, Finding)]
    assert (answer.id, answer.severity, answer.evidence["running"]) == ("container.crashed", "warning", 1)
    same = instance("new", revision="a", state="restarting", exit_code=1, restarts=3)
    (answer,) = [one for one in judge_domain(containers.DOMAIN, stack(component("api", "api", old, same)), Limits()) if isinstance(one, Finding)]
    assert answer.id == "container.copy_down"


def test_a_copy_that_waits_for_a_node_is_not_there_by_choice():
    waiting = instance("new", revision="a", state="created", started_at=0.0, created_at=NOW - 300)
    (answer,) = [
        one
        for one in judge_domain(containers.DOMAIN, stack(component("api", "api", instance("old", revision="a"), waiting)), Limits())
        if isinstance(one, Finding)
    ]
    assert (answer.id, answer.severity) == ("container.copy_down", "warning")


NO_NODE = "0/1 nodes are available: 1 Insufficient cpu."
CREATING, FIRST = waits("ContainerCreating"), waits("PodInitializing")


def prepares(seconds):
    return {"status": FIRST, "init": {"state": {"running": {"startedAt": ago(seconds)}}}}


COMING = [
    ("a node is being added", {"unscheduled": NO_NODE}, "TriggeredScaleUp", 60, "", Unseen),
    ("a node is being added by Karpenter", {"unscheduled": NO_NODE}, "Nominated", 60, "", Unseen),
    ("a node that never comes", {"unscheduled": NO_NODE}, "Nominated", 2000, "", Finding),
    ("no node is added", {"unscheduled": NO_NODE}, "", 60, "", Finding),
    ("what runs first has not taken long", prepares(55), "", 60, "", Unseen),
    ("what runs first takes long", prepares(200), "", 210, "", Finding),
    ("its image is being pulled", {"status": CREATING}, "Pulling", 60, "", Unseen),
    ("its image was pulled", {"status": CREATING}, "Pulled", 60, "", Finding),
    ("the rollout goes on", {"status": CREATING}, "", 60, "b", Unseen),
    ("the rollout has gone on for long", {"status": CREATING}, "", 700, "b", Finding),
]


@pytest.mark.parametrize(("what", "more", "reason", "seconds", "revision", "kind"), COMING, ids=[case[0] for case in COMING])
def test_a_copy_that_is_about_to_start_beside_others_is_not_down(what, more, reason, seconds, revision, kind):
    one = pod(number=2, seconds=seconds, **more)
    told = [event("Pod", one["metadata"]["name"], reason, type="Normal", seconds=20)] if reason else []
    work = deployment(replicas=2, pod_spec={"initContainers": [{"name": "prepare", "image": "shop/init:1"}]} if "init" in more else {})
    document = seen(work, replicaset(), pod(), one, events=told)
    for copy in document["components"]["api"]["instances"]:
        new = copy["state"] == "created"
        copy.update({"revision": revision if new and revision else "a", "created_at": NOW - (seconds if new else 9999)})
    found = [answer for answer in judge_domain(containers.DOMAIN, document, Limits()) if answer.id == "container.copy_down"]
    assert [type(answer) for answer in found] == [kind]
    unplaced = [name for name, _where in judged(document) if name == "pod.no_room"]
    assert unplaced == (["pod.no_room"] if "unscheduled" in more and kind is Finding else [])


def test_one_that_is_about_to_start_hides_none_that_ended():
    document = seen(deployment(replicas=3), replicaset(), pod(), pod(number=2, seconds=60, **prepares(55)))
    new = next(copy for copy in document["components"]["api"]["instances"] if copy["state"] == "created")
    new["created_at"] = NOW - 60
    document["components"]["api"]["instances"].append(instance("ended", state="exited", exit_code=1, finished_at=NOW - 50))
    (found,) = [one for one in judge_domain(containers.DOMAIN, document, Limits()) if one.id == "container.copy_down"]
    assert found.evidence["instance"] == "ended"


@pytest.mark.parametrize(("seconds", "expected"), [(300, ["pod.terminating"]), (5, [])])
def test_terminating_for_ever(seconds, expected):
    leaving = pod(number=2, deleting=seconds, finalizers=["example/hold"])
    found = seen(*SET, pod(), leaving)
    assert [name for name, _where in judged(found) if name.startswith("pod.")] == expected
    if expected:
        assert answers(found)["pod.terminating"].evidence["finalizers"] == ["example/hold"]


@pytest.mark.parametrize(("seconds", "severity"), [(60, "warning"), (5000, "info")])
def test_evicted(seconds, severity):
    gone = pod(
        number=2, status=waits("X"), phase="Failed", ready_since=seconds, seconds=6000, pod_status={"reason": "Evicted", "message": "low on resource: memory"}
    )
    assert answers(seen(*SET, pod(), gone))["pod.evicted"].severity == severity


def budget(**status):
    return {"metadata": meta("hold"), "spec": {"selector": {"matchLabels": {"app": "api"}}, "minAvailable": 1}, "status": {"expectedPods": 1, **status}}


BUDGETS = [
    ("allows", budget(disruptionsAllowed=1, currentHealthy=2, desiredHealthy=1), []),
    ("blocks", budget(disruptionsAllowed=0, currentHealthy=1, desiredHealthy=1), ["workload.budget_blocks"]),
    ("blocks because one is ill just now", budget(disruptionsAllowed=0, currentHealthy=0, desiredHealthy=1), []),
]


@pytest.mark.parametrize(("what", "one", "expected"), BUDGETS, ids=[case[0] for case in BUDGETS])
def test_budgets(what, one, expected):
    assert [name for name, _where in judged(seen(*SET, pod(), poddisruptionbudgets=[one])) if name.startswith("workload.")] == expected


# probes


def http(port=8000, path="/health", **more):
    return {"httpGet": {"port": port, "path": path}, "periodSeconds": 5, "failureThreshold": 3, **more}


def killed(lived=17.0, restarts=3, ready=False):
    """A container that the kubelet ended, and that runs again."""
    return {**RUNS, "state": {"running": {"startedAt": ago(4)}}, "ready": ready, "restartCount": restarts, "lastState": {"terminated": ended(137, lived, 5)}}


def told(kind, message, one):
    name = one["metadata"]["name"]
    kubelet = "Container api failed %s probe, will be restarted" % kind
    return [event("Pod", name, "Unhealthy", "%s probe failed: %s" % (kind.capitalize(), message)), event("Pod", name, "Killing", kubelet, type="Normal")]


REFUSES = 'Get "http://10.244.0.2:8001/health": dial tcp 10.244.0.2:8001: connect: connection refused'
NOT_FOUND = "HTTP probe failed with statuscode: 404"
ILL = "HTTP probe failed with statuscode: 503"
SLOW = 'Get "http://10.244.0.2:8000/health": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
RECOVERED = {**RUNS, "state": {"running": {"startedAt": ago(600)}}, "restartCount": 1, "lastState": {"terminated": ended(137, 17, 605)}}
LIVENESS = [
    ("another port", {"livenessProbe": http(8001)}, REFUSES, killed(), ["container.probe_wrong"]),
    ("another path", {"livenessProbe": http(path="/nope")}, NOT_FOUND, killed(), ["container.probe_wrong"]),
    ("a port without that name", {"livenessProbe": http("web")}, "couldn't find port: web", killed(), ["container.probe_wrong"]),
    ("too eager", {"livenessProbe": http(initialDelaySeconds=1)}, REFUSES.replace("8001", "8000"), killed(), ["container.probe_too_eager"]),
    ("too eager at its start", {"startupProbe": http()}, REFUSES.replace("8001", "8000"), killed(), ["container.probe_too_eager"]),
    ("it hangs after a while", {"livenessProbe": http()}, SLOW, killed(lived=900), ["container.liveness_kills"]),
    ("it calls itself ill", {"livenessProbe": http()}, ILL, killed(), ["container.liveness_kills"]),
    ("killed once, and well again", {"livenessProbe": http()}, SLOW, RECOVERED, []),
]


@pytest.mark.parametrize(("what", "wish", "message", "status", "expected"), LIVENESS, ids=[case[0] for case in LIVENESS])
def test_liveness(what, wish, message, status, expected):
    one = pod(status=status, seconds=300)
    kind = next(iter(wish))[: -len("Probe")]
    document = seen(deployment(container=wish), replicaset(), one, events=told(kind, message, one))
    # The program listens on 8000 where it is up; what comes too late listens on nothing yet.
    for copy in document["components"]["api"]["instances"]:
        copy["listening"] = [] if "eager" in what else [8000]
    assert [name for name, _where in judged(document) if name.startswith("container.")] == expected


def test_what_a_killed_program_said_is_worth_more_than_its_time():
    one = pod(status=killed(), seconds=300)
    document = seen(deployment(container={"livenessProbe": http()}), replicaset(), one, events=told("liveness", REFUSES, one))
    copy = document["components"]["api"]["instances"][0]
    copy["listening"] = []
    copy["last_words"] = {"kind": "postgres_refused", "about": "postgres", "sample": "connection refused"}
    found = answers(document)
    assert found["container.liveness_kills"].evidence["failure_about"] == "postgres"
    assert "container.probe_too_eager" not in found


@pytest.mark.parametrize(("lived", "expected"), [(32.0, "container.probe_too_eager"), (44.0, "container.liveness_kills")])
def test_one_that_comes_up_while_it_is_given_time_to_end(lived, expected):
    """30 s are given: told to end after the first probes it was never up before, told so later it was."""
    one = pod(status=killed(lived=lived), seconds=300, ready_since=20)
    wish = {"livenessProbe": http(periodSeconds=1, failureThreshold=1), "readinessProbe": http()}
    document = seen(deployment(container=wish), replicaset(), one, events=told("liveness", REFUSES.replace("8001", "8000"), one))
    for copy in document["components"]["api"]["instances"]:
        copy["listening"] = []
    assert expected in answers(document)


def test_a_start_that_was_seen_to_take_longer_makes_it_certain():
    slow = pod(number=2, ready_since=100, status={**RUNS, "state": {"running": {"startedAt": ago(140)}}}, seconds=150)
    one = pod(status=killed(), seconds=300)
    document = seen(deployment(container={"livenessProbe": http()}), replicaset(), one, slow, events=told("liveness", REFUSES.replace("8001", "8000"), one))
    for copy in document["components"]["api"]["instances"]:
        copy["listening"] = []
    found = answers(document)["container.probe_too_eager"]
    assert (found.confidence, found.evidence["needs"]) == ("high", 40.0)


def probed_before(number, digest, **probes):
    one = replicaset(digest=digest, revision=number)
    wish = {"name": "api", "image": "shop/api:1", "ports": [{"name": "http", "containerPort": 8000}], **probes}
    one["spec"]["template"] = {"spec": {"containers": [wish]}}
    return one


WRONG = {"livenessProbe": http(8001)}
RIGHT = [
    ("as in the version before", WRONG, REFUSES, {"livenessProbe": http("http")}, [8000], {"port": "http"}),
    ("not as before: nobody listens there", WRONG, REFUSES, {"livenessProbe": http(8002)}, [8000, 9000], {"port": 8000}),
    ("as its twin", {**WRONG, "readinessProbe": http("http")}, REFUSES, None, [8000, 9000], {"port": "http"}),
    ("the only port that it says it has", WRONG, REFUSES, None, [8000, 9000], {"port": 8000}),
    ("the only port on which it listens", {**WRONG, "ports": []}, REFUSES, None, [9000], {"port": 9000}),
    ("two that it may be", {**WRONG, "ports": []}, REFUSES, None, [8000, 9000], None),
    ("a name that none has", {"livenessProbe": http("web")}, "couldn't find port: web", None, [8000], {"port": 8000}),
    ("the path before", {"livenessProbe": http(path="/nope")}, NOT_FOUND, {"livenessProbe": http(path="/live")}, [8000], {"path": "/live"}),
    ("the path of its twin", {"livenessProbe": http(path="/nope"), "startupProbe": http(path="/up")}, NOT_FOUND, None, [8000], {"path": "/up"}),
    ("readiness asks another question", {"livenessProbe": http(path="/nope"), "readinessProbe": http(path="/ready")}, NOT_FOUND, None, [8000], None),
    ("plain HTTP", {"livenessProbe": http()}, "http: server gave HTTP response to HTTPS client", None, [8000], {"scheme": "HTTP"}),
    ("TLS", {"livenessProbe": http()}, 'Get "http://x": malformed HTTP response', None, [8000], {"scheme": "HTTPS"}),
]


@pytest.mark.parametrize(("what", "wish", "message", "before", "listens", "expected"), RIGHT, ids=[case[0] for case in RIGHT])
def test_what_a_probe_should_ask(what, wish, message, before, listens, expected):
    one = pod(status=killed(), seconds=300)
    versions = [probed_before(2, "abc123", **wish), *([probed_before(1, "old", **before)] if before else [])]
    document = seen(deployment(container=wish), *versions, one, events=told("liveness", message, one))
    for copy in document["components"]["api"]["instances"]:
        copy["listening"] = listens
    assert answers(document)["container.probe_wrong"].evidence["right"] == expected


EAGER = {"livenessProbe": http(initialDelaySeconds=1)}  # 16 s
TIMES = [
    ("nothing tells, and nothing to go back to", None, None, (False, 300)),
    ("the version before gave more", {"startupProbe": http(failureThreshold=30)}, None, (True, None)),
    ("the version before had no probe", {}, None, (True, None)),
    ("the version before was as eager", EAGER, None, (False, None)),
    ("a start was seen", EAGER, 40, (False, 80)),
    ("a start was seen that was fast", None, 3, (False, 24)),
]


@pytest.mark.parametrize(("what", "before", "needs", "expected"), TIMES, ids=[case[0] for case in TIMES])
def test_how_long_a_start_may_take(what, before, needs, expected):
    one = pod(status=killed(), seconds=300)
    versions = [probed_before(2, "abc123", **EAGER), *([probed_before(1, "old", **before)] if before is not None else [])]
    other = [pod(number=2, ready_since=100, status={**RUNS, "state": {"running": {"startedAt": ago(100 + needs)}}}, seconds=150)] if needs else []
    document = seen(deployment(container=EAGER), *versions, one, *other, events=told("liveness", REFUSES.replace("8001", "8000"), one))
    for copy in document["components"]["api"]["instances"]:
        copy["listening"] = []
    found = answers(document)["container.probe_too_eager"].evidence
    assert (found["patient_before"], found["start_seconds"]) == expected


UNREADY = {**RUNS, "ready": False}
READINESS = [
    ("another port", http(8001), REFUSES, UNREADY, ["container.probe_wrong"]),
    ("another path", http(path="/nope"), NOT_FOUND, UNREADY, ["container.probe_wrong"]),
    ("another scheme", http(), "http: server gave HTTP response to HTTPS client", UNREADY, ["container.probe_wrong"]),
    ("it calls itself not ready", http(), ILL, UNREADY, []),
    ("it is slow", http(), SLOW, UNREADY, []),
    ("just started", http(8001), REFUSES, {**UNREADY, "state": {"running": {"startedAt": ago(5)}}}, []),
    ("passes", http(), "", RUNS, []),
]


@pytest.mark.parametrize(("what", "probe", "message", "status", "expected"), READINESS, ids=[case[0] for case in READINESS])
def test_readiness(what, probe, message, status, expected):
    one = pod(status=status)
    events = [event("Pod", one["metadata"]["name"], "Unhealthy", "Readiness probe failed: " + message)] if message else []
    document = seen(deployment(container={"readinessProbe": probe}), replicaset(), one, events=events)
    assert [name for name, _where in judged(document) if name.startswith("container.")] == expected


HEALTHY, FAILS = ({"status": status, "failing": 0, "output": ILL if status == "unhealthy" else ""} for status in ("healthy", "unhealthy"))
NEVER = {**FAILS, "never_ready": True}
GOES_ON, DONE = ["True", "ReplicaSetUpdated", "", 50], ["True", "NewReplicaSetAvailable", "", 3000]
KILLS = ("Killing", "Container api failed liveness probe, will be restarted")
COMING_UP = [
    ("within the grace", 25, DONE, {}, 0, (), Unseen),
    ("the grace is over", 45, DONE, {}, 0, (), Finding),
    ("starts take as long", 45, DONE, {}, 30, (), Unseen),
    ("starts do not take as long", 70, DONE, {}, 30, (), Finding),
    ("another was not ready for a while, long ago", 700, DONE, {}, 3000, (), Finding),
    ("a rollout goes on", 90, GOES_ON, {}, 0, (), Unseen),
    ("a rollout has gone on for long", 700, GOES_ON, {}, 0, (), Finding),
    ("a rollout is stuck", 90, STUCK, {}, 0, (), Finding),
    ("it was ready once", 25, GOES_ON, {"health": FAILS}, 0, (), Finding),
    ("it has ended once", 25, GOES_ON, {"restarts": 1}, 0, (), Finding),
    ("its probe kills it", 25, GOES_ON, {}, 0, (KILLS,), Finding),
    ("no other serves", 90, GOES_ON, {"alone": True}, 0, (), Finding),
    ("its check is broken", 25, GOES_ON, {"health": {**NEVER, "output": "exec: curl: not found"}}, 0, (), Finding),
]


def comes_up(seconds, progress, more, needs, events, probe=None):
    """A copy that was started so many seconds ago, beside an old one that took so long for its start."""
    old, new = pod(ready_since=3590 - needs), pod(number=2, status={**UNREADY, "state": {"running": {"startedAt": ago(seconds)}}}, phase="Running")
    told = [event("Pod", new["metadata"]["name"], *one, type="Normal") for one in events]
    work = deployment(replicas=2, conditions={"Progressing": progress}, container={"readinessProbe": probe or http()})
    document = seen(work, replicaset(), old, new, events=told)
    other, copy = sorted(document["components"]["api"]["instances"], key=lambda one: one["name"])
    other["health"] = NEVER if more.get("alone") else HEALTHY
    copy.update({"health": NEVER, **{key: value for key, value in more.items() if key != "alone"}})
    return document, copy


@pytest.mark.parametrize(("what", "seconds", "progress", "more", "needs", "events", "kind"), COMING_UP, ids=[case[0] for case in COMING_UP])
def test_a_copy_that_comes_up_beside_others_is_not_ill(what, seconds, progress, more, needs, events, kind):
    document, copy = comes_up(seconds, progress, more, needs, events)
    found = [one for one in judge_domain(containers.DOMAIN, document, Limits()) if one.id in ("container.unhealthy", "container.healthcheck_broken")]
    assert {type(one) for one in found if copy["name"] in str(one)} == {kind}


@pytest.mark.parametrize(("seconds", "kind"), [(3, Unseen), (90, Unseen), (700, Finding)])
def test_nor_is_it_when_it_is_asked_itself(seconds, kind):
    document, copy = comes_up(seconds, GOES_ON, {"health": {**NEVER, "status": "starting" if seconds < 20 else "unhealthy"}}, 0, ())
    document["http"] = {"api/2": {"component": "api", "answers": unseen("it listens on no port", kind="refused"), "port": 0, "instance": copy["name"]}}
    assert [type(one) for one in judge_stack(document, Limits()) if one.id == "http.unreachable"] == [kind]


def test_its_probe_may_be_wrong_all_the_same():
    """Beside old copies that serve, whose rollout goes on: what its probe asks is not there."""
    told = ("Unhealthy", "Readiness probe failed: " + NOT_FOUND)
    document, _copy = comes_up(45, GOES_ON, {}, 0, (told,), http(path="/nope"))
    document["outsiders"] = ["Ingress shop"]
    model = diagnose(document, judge_stack(document, Limits()))
    assert [(root["id"], root["severity"]) for root in model["root_causes"]] == [("container.probe_wrong", "warning")]


def beside(name, image="", **more):
    return {"name": name, "image": image or name + ":1", **more}


EXPORTER = beside("exporter", "prom/statsd-exporter:1")
CLOUD_SQL, ISTIO = beside("cloud-sql-proxy"), beside("istio-proxy", "istio/proxyv2:1")
OUTLET = beside("outlet", "socat:1", args=["tcp-listen:9102,fork", "tcp:10.0.0.1:9102"])
NGINX = beside("web", "nginx:1", ports=[{"containerPort": 8080}])
SAID = {"command": ["uvicorn", "app:app", "--port", "9000"]}
RIGHT_PORT, WRONG_PORT = http(8000), http(8001)
BESIDE = [
    ("nothing", [], RIGHT_PORT, [], {}, None),
    ("nothing, and it listens elsewhere", [], RIGHT_PORT, [9102], {}, 9102),
    ("a proxy to a database", [CLOUD_SQL], RIGHT_PORT, [5432], {}, None),
    ("a proxy to a database whose port is its own", [beside("sidecar", ports=[{"containerPort": 5433}])], RIGHT_PORT, [5433], {}, None),
    ("an exporter that says nothing", [EXPORTER], RIGHT_PORT, [9102], {}, None),
    ("an exporter whose command says it", [beside("exporter", args=["--web.listen-address=:9102"])], RIGHT_PORT, [9102], {}, None),
    ("an exporter that is asked for it", [beside("exporter", livenessProbe={"tcpSocket": {"port": 9102}})], RIGHT_PORT, [9102], {}, None),
    ("a mesh", [beside("linkerd-proxy", "linkerd/proxy:2")], RIGHT_PORT, [4140, 4143, 4191], {}, None),
    ("another program of the application", [NGINX], RIGHT_PORT, [8080], {}, None),
    ("a wrong port, in a mesh", [ISTIO], WRONG_PORT, [8000, 15001, 15090], {}, 8000),
    ("a wrong port, beside all of them", [CLOUD_SQL, EXPORTER, OUTLET], WRONG_PORT, [5432, 8000, 9102], {}, 8000),
    ("what it says is wrong, too, in a mesh", [ISTIO], RIGHT_PORT, [9000, 15001], {}, 9000),
    ("what it says is wrong, too, and its command tells", [EXPORTER], RIGHT_PORT, [9000, 9102], SAID, 9000),
    ("what it says is wrong, too, and nothing tells whose it is", [EXPORTER], RIGHT_PORT, [9000, 9102], {}, None),
]


def hangs(others, probe, heard, more, injected=False):
    """An api that is not ready, beside others that are."""
    own = {"name": "api", "image": "shop/api:1", "ports": [{"name": "http", "containerPort": 8000}], "readinessProbe": probe, **more}
    one = pod(status=UNREADY, phase="Running", spec={"containers": [own, *others]})
    one["status"]["containerStatuses"] += [{"name": other["name"], **RUNS} for other in others]
    message = event("Pod", one["metadata"]["name"], "Unhealthy", "Readiness probe failed: " + REFUSES)
    made, slice_ = service(ready=0)
    template = {"containers": [own] if injected else [own, *others]}
    document = seen(deployment(pod_spec=template), replicaset(), one, events=[message], services=[made], endpointslices=[slice_])
    document["components"]["api"]["instances"][0].update(listening=heard)
    return document


@pytest.mark.parametrize(("what", "others", "probe", "heard", "more", "right"), BESIDE, ids=[case[0] for case in BESIDE])
def test_a_probe_is_not_wrong_for_what_listens_beside_the_program(what, others, probe, heard, more, right):
    found = answers(hangs(others, probe, heard, more)).get("container.probe_wrong")
    assert (found.evidence["right"] if found else None) == ({"port": right} if right else None)


@pytest.mark.parametrize(("what", "others", "probe", "heard", "more", "right"), BESIDE, ids=[case[0] for case in BESIDE])
def test_a_service_is_not_wrong_for_what_listens_beside_the_program(what, others, probe, heard, more, right):
    found = answers(hangs(others, probe, heard, more)).get("network.published_port_wrong")
    assert (found.evidence["listening"] if found else []) == ([right] if right and 8000 not in heard else [])


@pytest.mark.parametrize(("others", "heard", "expected"), [([EXPORTER], [9102], []), ([], [9000], [9000]), ([ISTIO], [9000, 15001], [9000])])
def test_nor_is_a_port_of_the_node(others, heard, expected):
    document = hangs(others, RIGHT_PORT, heard, {})
    document["kubernetes"]["services"] = []
    document["outside"] = [{"to": "api", "inside": 8000, "outside": 30080, "host": "10.9.9.9", "listening": False, "connects": False, "error": None}]
    found = [one.evidence["listening"] for one in judge_stack(document, Limits()) if one.id == "network.published_port_wrong" and isinstance(one, Finding)]
    assert found == ([expected] if expected else [])


@pytest.mark.parametrize(("other", "expected"), [(beside("linkerd-proxy", "linkerd/proxy:2"), True), (beside("agent"), False)])
def test_what_a_webhook_has_put_beside_the_program(other, expected):
    """It stands in no template, and says nothing of its ports."""
    found = answers(hangs([other], RIGHT_PORT, [4143, 9000], {}, injected=True))
    assert ("container.probe_wrong" in found) is expected and ("network.published_port_wrong" in found) is expected


def test_what_the_api_server_was_not_asked_for_is_unseen_once():
    document = seen(*SET, pod(), poddisruptionbudgets={"unseen": {"reason": "may not list", "kind": "denied", "fix": "grant it"}})
    assert answers(document, Unseen)["workload.budget_blocks"].fix == "grant it"


def test_a_finished_job_and_what_uses_it_are_well():
    job = {"metadata": meta("migrate"), "spec": {"template": {"spec": {"containers": [{"name": "migrate", "image": "x"}]}}}, "status": {"succeeded": 1}}
    job["status"]["conditions"] = [{"type": "Complete", "status": "True", "lastTransitionTime": ago(100)}]
    one = pod("migrate", status={"state": {"terminated": ended(0, reason="Completed")}, "ready": False}, phase="Succeeded")
    one["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "migrate", "controller": True}]
    document = seen(one, jobs=[job], roles={"migrate": "migration"}, parts={"edges": [edge("api", "migrate")]})
    assert judged(document) == []


@pytest.mark.parametrize(
    ("notes", "owner", "said"),
    [
        ({}, None, ""),
        ({"meta.helm.sh/release-name": "shop"}, {"tool": "Helm", "name": "shop"}, "deployment/api is kept by Helm (shop)"),
        (
            {"argocd.argoproj.io/tracking-id": "front:apps/Deployment:shop/api"},
            {"tool": "Argo CD", "name": "front"},
            "deployment/api is kept by Argo CD (front)",
        ),
    ],
)
def test_the_owner_of_a_workload_is_named_with_whatever_is_wrong_with_it(notes, owner, said):
    document = seen(deployment(meta={"annotations": notes}), replicaset(), pod())
    found = Finding("container.bad_command", "api", "critical", {"command": "x", "message": "no such file", "instance": "api-1"})
    item = diagnose(document, [found])["root_causes"][0]
    assert (item["evidence"].get("managed_by"), item["do"][0].partition(":")[0] if said else "") == (owner, said)
