"""Pods that are not Ready although their application is well: one row a case."""

from __future__ import annotations

import pytest
from samples import edge
from samples_cluster import RUNS, ago, answers, deployment, ended, judged, pod, replicaset, seen, service, waits

from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes import judge_kubernetes
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.model import Finding, Unseen
from ansible_collections.aiops.runbook.plugins.plugin_utils.diagnose import diagnose

PROXY = {"name": "cloud-sql-proxy", "image": "gcr.io/cloud-sql-connectors/cloud-sql-proxy:2"}
PROBED = {**PROXY, "readinessProbe": {"tcpSocket": {"port": 5432}, "periodSeconds": 20, "failureThreshold": 3}}
LOOPS = waits("CrashLoopBackOff", "back-off 5m0s restarting failed container", restartCount=40, lastState={"terminated": ended(1)})
UNREADY = {**RUNS, "ready": False}


def lives(seconds, lived, code=1, restarts=40, reason="Error", ready=True):
    last = {"terminated": ended(code, lived, seconds + 1, reason)}
    return {**RUNS, "ready": ready, "state": {"running": {"startedAt": ago(seconds)}}, "restartCount": restarts, "lastState": last}


def beside(status, name="api", number=1, sidecar=None, first=False, app=None, **more):
    """A pod whose application runs, with a sidecar in this state. first: one of an init container's kind."""
    sidecar = sidecar or PROXY
    one = pod(name, status=app, number=number, **more)
    kind, told = ("initContainers", "initContainerStatuses") if first else ("containers", "containerStatuses")
    one["spec"][kind] = [*one["spec"].get(kind, []), {**sidecar, **({"restartPolicy": "Always"} if first else {})}]
    one["status"].setdefault(told, []).append({"name": sidecar["name"], **status})
    one["status"]["phase"] = "Running"
    one["status"]["conditions"][0]["status"] = "True" if status.get("ready") and (app or RUNS)["ready"] else "False"
    return one


def work(name="api", replicas=1, sidecar=None, first=False, **spec):
    found = deployment(name, replicas=replicas, **spec)
    inside = found["spec"]["template"]["spec"]
    kind = "initContainers" if first else "containers"
    inside[kind] = [*inside.get(kind, []), {**(sidecar or PROXY), **({"restartPolicy": "Always"} if first else {})}]
    return found


CASES = [
    ("it runs", RUNS, {}, None),
    ("it keeps ending", LOOPS, {}, "CrashLoopBackOff"),
    ("it keeps ending, of an init container's kind", LOOPS, {"first": True}, "CrashLoopBackOff"),
    ("it has ended", {"state": {"terminated": ended(0, reason="Completed")}, "ready": False}, {}, "Completed"),
    ("it keeps ending, and runs just now", lives(10, 60), {}, "CrashLoopBackOff"),
    ("it has recovered", lives(900, 60), {}, None),
    ("it was restarted once", lives(10, 60, restarts=1), {}, None),
    ("its node was started anew", lives(10, 60, 255, 4, "Unknown"), {}, None),
    ("it is not ready", UNREADY, {"sidecar": PROBED}, "NotReady"),
    ("it is not ready yet", lives(40, 60, restarts=0, ready=False), {"sidecar": PROBED}, None),
    ("its program is not there", waits("RunContainerError", "exec: executable file not found in $PATH"), {}, "RunContainerError"),
    ("its image is another's matter", waits("ImagePullBackOff", "not found"), {}, None),
    ("a Secret of it is another's matter", waits("CreateContainerConfigError", 'secret "keys" not found'), {}, None),
]


@pytest.mark.parametrize(("what", "status", "more", "expected"), CASES, ids=[case[0] for case in CASES])
def test_sidecars(what, status, more, expected):
    found = answers(seen(work(**more), replicaset(), beside(status, **more))).get("pod.sidecar_failing")
    assert (found and found.evidence["state"]) == expected


def test_a_failing_sidecar_is_named():
    document = seen(work(replicas=2), replicaset(), beside(LOOPS), beside(LOOPS, number=2))
    found = answers(document)["pod.sidecar_failing"]
    assert {key: found.evidence[key] for key in ("container", "exit_code", "restarts", "pods", "ready")} == {
        "container": "cloud-sql-proxy",
        "exit_code": 1,
        "restarts": 40,
        "pods": 2,
        "ready": 0,
    }
    assert found.severity == "warning"


def test_it_is_what_an_application_that_was_never_started_waits_for():
    one = beside(LOOPS, first=True, app=waits("PodInitializing"))
    found = answers(seen(work(first=True), replicaset(), one))["pod.sidecar_failing"]
    assert found.severity == "critical"
    model = diagnose(seen(work(first=True), replicaset(), one), [found, Finding("container.not_running", "api", "critical", {"state": "created"})])
    assert [root["id"] for root in model["root_causes"]] == ["pod.sidecar_failing"]


def test_a_sidecar_of_all_copies_is_why_nobody_is_served():
    made, slices = service(ready=0)
    document = seen(work(), replicaset(), beside(LOOPS), services=[made], endpointslices=[slices], parts={"edges": [edge("web", "api", "http")]})
    found = [one for one in judge_kubernetes(document, Limits()) if isinstance(one, Finding)]
    model = diagnose(document, [*found, Finding("network.refused", "web", "critical", {"host": "api"}, about="api")])
    assert [(root["id"], root["severity"]) for root in model["root_causes"]] == [("pod.sidecar_failing", "critical")]


LOST = [
    ("what it reaches beside itself", "cloud-sql-proxy", "config.wrong_host", {"host": "127.0.0.1"}, 1),
    ("what it reaches elsewhere", "cloud-sql-proxy", "config.wrong_host", {"host": "db"}, 2),
    ("its database, by a proxy", "cloud-sql-proxy", "container.crashed", {"failure_about": "postgres"}, 1),
    ("its database, beside an exporter", "statsd-exporter", "container.crashed", {"failure_about": "postgres"}, 2),
    ("a module that is not there", "cloud-sql-proxy", "container.crashed", {"failure_about": ""}, 2),
]


@pytest.mark.parametrize(("what", "sidecar", "finding", "evidence", "roots"), LOST, ids=[case[0] for case in LOST])
def test_what_is_lost_with_a_sidecar(what, sidecar, finding, evidence, roots):
    document = seen(work(sidecar={**PROXY, "name": sidecar}), replicaset(), beside(LOOPS, sidecar={**PROXY, "name": sidecar}))
    model = diagnose(document, [answers(document)["pod.sidecar_failing"], Finding(finding, "api", "critical", evidence)])
    assert len(model["root_causes"]) == roots


GATE = "target-health.elbv2.k8s.aws/api"
GATES = [
    ("met", 900, "True", None),
    ("not met", 900, "False", Finding),
    ("never set", 900, None, Finding),
    ("just started", 40, "False", Unseen),
]


@pytest.mark.parametrize(("what", "seconds", "status", "kind"), GATES, ids=[case[0] for case in GATES])
def test_readiness_gates(what, seconds, status, kind):
    one = pod(spec={"readinessGates": [{"conditionType": GATE}]}, seconds=seconds + 30, status=lives(seconds, 0, 0, 0))
    one["status"]["conditions"][0]["status"] = "True" if status == "True" else "False"
    if status:
        one["status"]["conditions"].append({"type": GATE, "status": status})
    document = seen(deployment(), replicaset(), one)
    found = [type(answer) for answer in judge_kubernetes(document, Limits()) if answer.id == "pod.not_ready"]
    assert found == ([kind] if kind else [])


def test_a_pod_that_is_not_ready_for_no_known_reason_is_not_well():
    one = pod()
    one["status"]["conditions"][0]["status"] = "False"
    assert "pod.not_ready" in answers(seen(deployment(), replicaset(), one), Unseen)
    # Its own probe fails: told by the judge of containers, on both platforms.
    one["status"]["containerStatuses"][0]["ready"] = False
    assert "pod.not_ready" not in answers(seen(deployment(), replicaset(), one), Unseen)


def test_a_finished_job_with_a_sidecar_is_well():
    document = seen(work(), replicaset(), beside({"state": {"terminated": ended(0, reason="Completed")}, "ready": False}))
    document["kubernetes"]["workloads"]["api"]["finite"] = True
    assert not [name for name, _where in judged(document) if name.startswith("pod.")]
