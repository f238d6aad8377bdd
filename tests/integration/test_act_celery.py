# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""celery_control on a real broker with real workers: predicted, applied, verified, once only, taken back; and what it refuses."""

from __future__ import annotations

import json

import pytest
from acting import small_project
from brokers import CELERY_APP, wait_until
from playing import ROOT, run
from predicting import predicted

WORKER = {
    "image": "aiops-ref/app:latest",
    "entrypoint": [],
    "working_dir": "/srv/shop",
    "mem_limit": "400m",
    "stop_grace_period": "3s",
    "environment": {"CELERY_BROKER_URL": "redis://cache:6379/1", "CELERY_RESULT_BACKEND": "redis://cache:6379/2"},
}
QUIET = ["--without-mingle", "--without-gossip", "-l", "info"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A worker that consumes one queue, and a neighbour with a pool of threads at the same broker."""
    run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "build", "reference")
    folder = tmp_path_factory.mktemp("actcelery")
    code = folder / "code"
    code.mkdir()
    code.chmod(0o755)
    (code / "shop.py").write_text(CELERY_APP)
    (code / "shop.py").chmod(0o644)
    celery = ["celery", "-A", "shop", "worker", *QUIET]
    services = {
        "cache": {"image": "aiops-ref/redis:latest"},
        "worker": {**WORKER, "volumes": ["%s:/srv/shop:ro" % code], "command": [*celery, "-c", "1", "-Q", "celery"]},
        "mailer": {**WORKER, "volumes": ["%s:/srv/shop:ro" % code], "command": [*celery, "-c", "1", "-Q", "letters", "-P", "threads"]},
    }
    with small_project("actcelery", folder, services) as project:
        for service in ("worker", "mailer"):
            wait_until(lambda service=service: " ready." in project.compose("logs", "--no-log-prefix", service), "%s is ready" % service, 60)
        yield project


def cli(shop, *words: str) -> str:
    return run("docker", "exec", shop.container("cache"), "redis-cli", *words).strip()


def send(shop, task: str, *words: str) -> str:
    return shop.inside("worker", "celery", "-q", "-A", "shop", "call", task, *words).split()[-1]


def state_of(shop, identity: str) -> str:
    return json.loads(cli(shop, "-n", "2", "get", "celery-task-meta-" + identity) or '{"status": "PENDING"}')["status"]


def name_of(shop, service: str) -> str:
    return "celery@" + run("docker", "inspect", "-f", "{{.Config.Hostname}}", shop.container(service)).strip()


def processes(shop, service: str) -> int:
    told = shop.inside("worker", "celery", "-q", "-A", "shop", "inspect", "stats", "-d", name_of(shop, service), "--json")
    return len(json.loads(told)[name_of(shop, service)]["pool"]["processes"])


def consumed(shop, service: str) -> list[str]:
    name = name_of(shop, service)
    told = shop.inside("worker", "celery", "-q", "-A", "shop", "inspect", "active_queues", "-d", name, "--json")
    return sorted(queue["name"] for queue in json.loads(told)[name])


@pytest.mark.predicts("celery_consumers")
def test_a_queue_that_nobody_consumed(shop):
    send(shop, "shop.mail")
    assert cli(shop, "-n", "1", "llen", "mails") == "1"
    asked = {"component": "worker", "state": "consuming", "queues": ["mails"]}
    told = shop.act("celery_control", True, **asked)
    assert told["changed"] and told["risk"] == "safe" and consumed(shop, "worker") == ["celery"]
    done = shop.act("celery_control", **asked)
    assert done["record"]["result"] == "held", (done.get("msg"), done.get("record"))
    predicted("celery_consumers", told, done, {"queues of " + name_of(shop, "worker"): ", ".join(consumed(shop, "worker"))})
    assert consumed(shop, "worker") == ["celery", "mails"] and consumed(shop, "mailer") == ["letters"]
    wait_until(lambda: cli(shop, "-n", "1", "llen", "mails") == "0", "it is worked off")
    assert done["lasting"] == ["services.worker: its worker needs -Q celery,mails on its command line (it says -Q celery now), because a restart forgets it"]
    assert shop.act("celery_control", **asked)["changed"] is False
    assert shop.undo()["result"] == "undone" and consumed(shop, "worker") == ["celery"]


def test_a_queue_is_left_alone(shop):
    asked = {"component": "worker", "state": "not_consuming", "queues": ["celery"]}
    done = shop.act("celery_control", **asked)
    assert done["changed"] and done["risk"] == "disruptive" and consumed(shop, "worker") == []
    assert shop.act("celery_control", **asked)["changed"] is False
    shop.undo()
    assert consumed(shop, "worker") == ["celery"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"component": "worker", "state": "consuming", "queues": ["no-such-queue"]}, "the broker knows no queue no-such-queue"),
        ({"component": "cache", "state": "consuming", "queues": ["mails"]}, "name one of mailer, worker"),
        ({"component": "worker", "state": "scaled", "processes": 60}, "do not fit into"),
        ({"component": "mailer", "state": "scaled", "processes": 2}, "no pool of processes"),
        ({"component": "worker", "state": "scaled", "processes": 0}, "at least 1"),
        ({"component": "worker", "state": "retried", "task_ids": ["00000000"]}, "no result is kept"),
    ],
)
def test_refused(shop, asked, said):
    answer = shop.act("celery_control", **asked)
    assert answer.get("failed") and said in answer["msg"], answer.get("msg")


@pytest.mark.predicts("celery_scale")
def test_more_processes(shop):
    asked = {"component": "worker", "state": "scaled", "processes": 2}
    told, done = shop.act("celery_control", True, **asked), shop.act("celery_control", **asked)
    assert told["risk"] == "safe"
    predicted("celery_scale", told, done, {"processes of " + name_of(shop, "worker"): str(processes(shop, "worker"))})
    assert shop.act("celery_control", **asked)["changed"] is False
    fewer = shop.act("celery_control", True, component="worker", state="scaled", processes=1)
    assert fewer["risk"] == "disruptive" and fewer["diff"]["before"].endswith(": 2\n")
    assert shop.undo()["result"] == "undone"
    assert shop.act("celery_control", True, component="worker", state="scaled", processes=1)["changed"] is False


@pytest.mark.predicts("celery_scale")
def test_more_copies(shop):
    asked = {"component": "worker", "state": "scaled", "replicas": 2}
    first = run("docker", "inspect", "-f", "{{.Id}}", shop.container("worker"))
    told, done = shop.act("celery_control", True, **asked), shop.act("celery_control", **asked)
    assert shop.running("worker") == 2, done.get("msg")
    predicted("celery_scale", told, done, {"copies of worker": str(shop.running("worker"))})
    assert shop.act("celery_control", **asked)["changed"] is False
    # Each of them, and nobody else.
    both = shop.act("celery_control", True, component="worker", state="consuming", queues=["mails"])
    assert len(both["diff"]["after"].splitlines()) == 2
    assert shop.undo()["result"] == "undone" and shop.running("worker") == 1
    assert run("docker", "inspect", "-f", "{{.Id}}", shop.container("worker")) == first


def test_edited_files_are_not_deployed_by_scaling(shop):
    before = shop.file.read_text()
    shop.file.write_text(before.replace('"-c", "1", "-Q", "celery"', '"-c", "4", "-Q", "celery"'))
    try:
        answer = shop.act("celery_control", component="worker", state="scaled", replicas=2)
        assert answer.get("failed") and shop.running("worker") == 1
    finally:
        shop.file.write_text(before)


@pytest.mark.predicts("celery_retry")
def test_failed_tasks_are_run_again(shop):
    failed = [send(shop, "shop.divide", "--args", "[%d]" % by) for by in (3, 4)]
    shop.inside("worker", "touch", "/tmp/open")
    good = send(shop, "shop.divide", "--kwargs", '{"by": 2}')
    wait_until(lambda: state_of(shop, good) == "SUCCESS" and all(state_of(shop, one) == "FAILURE" for one in failed), "they are done")
    asked = {"component": "worker", "state": "retried", "task_name": "shop.divide"}
    assert "2 failed tasks match" in shop.act("celery_control", most=1, **asked)["msg"]
    told = shop.act("celery_control", True, **asked)
    assert told["changed"] and told["risk"] == "transient" and "RuntimeError" in told["diff"]["before"] and state_of(shop, failed[0]) == "FAILURE"
    done = shop.act("celery_control", **asked)
    assert done["record"]["result"] == "held", (done.get("msg"), done.get("record"))
    wait_until(lambda: all(state_of(shop, one) == "SUCCESS" for one in failed), "they succeed")
    predicted("celery_retry", told, done, {"failed task 1": "queued again in celery", "failed task 2": "queued again in celery"})
    results = [json.loads(cli(shop, "-n", "2", "get", "celery-task-meta-" + one))["result"] for one in (*failed, good)]
    assert results == [4.0, 3.0, 6.0] and int(cli(shop, "-n", "2", "ttl", "celery-task-meta-" + failed[0])) > 0
    assert shop.act("celery_control", **asked)["changed"] is False
    assert shop.act("celery_control", component="worker", state="retried", task_ids=failed)["changed"] is False
