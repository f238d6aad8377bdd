"""What a pod's status says, in our words: one row a case."""

from __future__ import annotations

import pytest
from samples_kubernetes import container, pod, running

from ansible_collections.aiops.runbook.plugins.module_utils.platform import kubernetes_pods as pods

BACKOFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}
ENDED = {"exitCode": 3, "reason": "Error", "startedAt": "2026-01-01T00:00:10Z", "finishedAt": "2026-01-01T00:00:12Z"}
NOT_FOUND = 'failed to start: exec: "uvicornx": executable file not found in $PATH: unknown'
STATES = [
    ("runs", running(), {"state": "running", "exit_code": 0, "oom_killed": False}),
    ("keeps crashing", {"state": BACKOFF, "lastState": {"terminated": ENDED}}, {"state": "restarting", "exit_code": 3, "finished_at": 1767225612.0}),
    ("has just crashed", {"state": {"terminated": ENDED}}, {"state": "restarting", "exit_code": 3}),
    (
        "was killed for memory",
        {"state": BACKOFF, "lastState": {"terminated": {**ENDED, "exitCode": 137, "reason": "OOMKilled"}}},
        {"state": "restarting", "exit_code": 137, "oom_killed": True},
    ),
    (
        "a command that is not there",
        {"state": BACKOFF, "lastState": {"terminated": {"exitCode": 128, "reason": "StartError", "message": NOT_FOUND}}},
        {"state": "restarting", "exit_code": 127, "error": NOT_FOUND},
    ),
    (
        "an image that cannot be pulled",
        {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}},
        {"state": "created", "error": "ImagePullBackOff: Back-off pulling image", "started_at": 0.0},
    ),
    ("is being made", {"state": {"waiting": {"reason": "ContainerCreating"}}}, {"state": "created", "error": "ContainerCreating"}),
]


@pytest.mark.parametrize(("what", "status", "expected"), STATES, ids=[case[0] for case in STATES])
def test_state(what, status, expected):
    found = pods.read_state(pod("api-1", statuses={"app": status}), status)
    assert {key: found[key] for key in expected} == expected


PODS = [
    ("a job that is done", pod("job", spec={"restartPolicy": "Never"}, phase="Succeeded"), {"state": {"terminated": {"exitCode": 0}}}, "exited", 0, ""),
    ("a job that failed", pod("job", spec={"restartPolicy": "Never"}, phase="Failed"), {"state": {"terminated": {"exitCode": 2}}}, "exited", 2, ""),
    ("evicted", pod("api", phase="Failed", status={"reason": "Evicted", "message": "low on memory"}), {}, "exited", 137, "Evicted: low on memory"),
    (
        "finds no node",
        pod("api", phase="Pending", status={"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]}),
        {},
        "created",
        0,
        "Unschedulable: 0/1 nodes",
    ),
    (
        "waits for an init container",
        pod("api", status={"initContainerStatuses": [{"name": "wait", "state": BACKOFF}]}),
        {"state": {"waiting": {"reason": "PodInitializing"}}},
        "created",
        0,
        "init container wait: CrashLoopBackOff",
    ),
]


@pytest.mark.parametrize(("what", "found", "status", "state", "code", "error"), PODS, ids=[case[0] for case in PODS])
def test_state_of_pod(what, found, status, state, code, error):
    seen = pods.read_state(found, status)
    assert (seen["state"], seen["exit_code"], seen["error"]) == (state, code, error)


CONTAINERS = [
    ("the only one", pod("a", container("x")), "api", ["x"]),
    ("beside a mesh", pod("a", container("istio-proxy"), container("api")), "api", ["api"]),
    ("by the image of the other", pod("a", container("log", image="docker.io/fluent/fluent-bit:3"), container("web")), "api", ["web"]),
    ("the one that is named for kubectl", pod("a", container("a"), container("b"), meta={"annotations": {pods.DEFAULT_CONTAINER: "b"}}), "x", ["b", "a"]),
    ("the one that is called like the workload", pod("a", container("cache"), container("api")), "api", ["api", "cache"]),
    ("the one that somebody comes to", pod("a", container("tail"), container("web", ports=[{"containerPort": 80}])), "shop", ["web", "tail"]),
    ("nothing but a sidecar", pod("a", container("otel-collector")), "otel", ["otel-collector"]),
]


@pytest.mark.parametrize(("what", "found", "workload", "expected"), CONTAINERS, ids=[case[0] for case in CONTAINERS])
def test_app_containers(what, found, workload, expected):
    assert [one["name"] for one in pods.app_containers(found, workload)] == expected


QUANTITIES = [("128Mi", 134217728), ("1G", 10**9), ("250m", 0.25), ("2", 2), ("1e3", 1000), ("0.5Gi", 536870912), ("", 0), (None, 0), ("many", 0)]


@pytest.mark.parametrize(("text", "expected"), QUANTITIES)
def test_quantity(text, expected):
    assert pods.read_quantity(text) == pytest.approx(expected)


PROBED = container(
    ports=[{"name": "http", "containerPort": 8000}],
    readinessProbe={"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 5, "failureThreshold": 2},
    livenessProbe={"httpGet": {"path": "/health", "port": 8000, "scheme": "HTTPS"}},
)
NOW = 1767225610.0
HEALTH = [
    ("ready", running(ready=True), "healthy"),
    ("no probe could have failed often enough", running("2026-01-01T00:00:05Z", ready=False), "starting"),
    ("not ready for long", running("2025-12-31T23:00:00Z", ready=False), "unhealthy"),
    ("not ready since it was started again", running("2026-01-01T00:00:05Z", ready=False, restartCount=2), "unhealthy"),
    ("its startup probe has not succeeded yet", {**running("2025-12-31T23:00:00Z", ready=False), "started": False}, "starting"),
]


@pytest.mark.parametrize(("what", "status", "expected"), HEALTH, ids=[case[0] for case in HEALTH])
def test_health(what, status, expected):
    assert pods.read_health(PROBED, status, {"count": 4, "message": "HTTP probe failed with statuscode: 503"}, NOW)["status"] == expected


STARTED = "2025-12-31T23:00:00Z"
EVER = [
    ("not ready since before its start", running(STARTED, ready=False), ("False", "2025-12-31T22:59:58Z"), True),
    ("from the second of its start on", running(STARTED, ready=False), ("False", STARTED), True),
    ("it was ready once", running(STARTED, ready=False), ("False", "2025-12-31T23:00:20Z"), False),
    ("it was started again", running(STARTED, ready=False, restartCount=1), ("False", "2025-12-31T22:59:58Z"), False),
    ("it is ready", running(STARTED, ready=True), ("True", "2025-12-31T23:00:20Z"), False),
    ("nothing tells", running(STARTED, ready=False), None, False),
]


@pytest.mark.parametrize(("what", "status", "ready", "expected"), EVER, ids=[case[0] for case in EVER])
def test_whether_it_was_ready_once(what, status, ready, expected):
    conditions = [{"type": "Ready", "status": ready[0], "lastTransitionTime": ready[1]}] if ready else []
    since = pods.unready_since(pod("api-1", status={"conditions": conditions}))
    assert pods.read_health(PROBED, status, None, NOW, since).get("never_ready", False) is expected


SAID = [
    ("uvicorn app:app --host 0.0.0.0 --port 8000", [8000]),
    ("gunicorn -b 0.0.0.0:8000 -w 4", [8000]),
    ("gunicorn --bind=[::]:8000", [8000]),
    ("manage.py runserver 0.0.0.0:8000", [8000]),
    ("exporter --web.listen-address=:9102 --statsd.listen-udp=:9125", [9102, 9125]),
    ("oauth2-proxy --http-address=http://0.0.0.0:4180 --upstream=http://127.0.0.1:8000", [4180]),
    ("cloud_sql_proxy -instances=a:b:c=tcp:5433", [5433]),
    ("socat TCP-LISTEN:9000,fork UNIX:/run/x", [9000]),
    ("psql postgres://u:12345@db:5432/x --password 12345 --retries=3000", []),
    ("wait-for-it postgres:5432 -- app", []),
    ("app", []),
]


@pytest.mark.parametrize(("text", "expected"), SAID)
def test_which_ports_a_command_line_has_opened(text, expected):
    assert pods.said_ports(text) == expected


def test_health_without_probe_is_none():
    assert pods.read_health(container(), running(), None, NOW) is None


def test_what_probes_ask():
    assert pods.health_test(PROBED) == ["http://localhost:8000/ready", "https://localhost:8000/health"]
    assert pods.health_timing(PROBED) == {"interval_seconds": 5.0, "timeout_seconds": 1.0, "start_period_seconds": 0.0, "retries": 2.0}


def test_instance():
    found = pod(
        "api-6d5f-x2",
        container(resources={"limits": {"memory": "256Mi", "cpu": "500m"}}, command=["python"], args=["-m", "app"]),
        ip="10.244.0.7",
        labels={"pod-template-hash": "6d5f"},
        statuses={"app": running(restartCount=1, imageID="registry.example/app@sha256:abcdef0123456789")},
    )
    one = pods.read_instance(found, found["spec"]["containers"][0], "u1")
    assert (one.state, one.restarts, one.image_id, one.revision or one.config_hash) == ("running", 1, "abcdef0123456789", "6d5f")
    assert (one.memory_limit, one.cpus, one.command, one.hostname) == (268435456, 0.5, ["python", "-m", "app"], "api-6d5f-x2")
    assert one.networks["pod"]["address"] == "10.244.0.7"


@pytest.mark.parametrize(("reason", "restarts", "code"), [("Error", 1, 255), ("Unknown", 0, 0), ("ContainerStatusUnknown", 0, 0)])
def test_who_goes_with_its_node_has_not_failed(reason, restarts, code):
    lost = {"exitCode": 255, "reason": reason, "startedAt": ENDED["startedAt"], "finishedAt": ENDED["finishedAt"]}
    one = pod("api-1", statuses={"app": running(lastState={"terminated": lost}, restartCount=1)})
    assert pods.read_instance(one, container("app"), "x").restarts == restarts
    assert [life["exit_code"] for life in pods.lives_of(one, "app")][:1] == [code]


BESIDE = [
    ("a proxy", [container("cloud-sql-proxy")], [], ["cloud-sql-proxy"]),
    ("an agent and a mesh", [container("promtail")], [container("istio-proxy", restartPolicy="Always")], []),
    ("one that begins first and stays", [], [container("pgbouncer", restartPolicy="Always"), container("migrate")], ["pgbouncer"]),
    ("a second program", [container("worker")], [], []),
]


@pytest.mark.parametrize(("what", "beside", "first", "expected"), BESIDE, ids=[case[0] for case in BESIDE])
def test_what_may_lead_on_from_localhost(what, beside, first, expected):
    assert pods.proxies_of(pod("api-1", spec={"containers": [container("api"), *beside], "initContainers": first}), "api") == expected
