# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Cures of Redis and of Celery's workers on a real cluster: predicted exactly, done, nothing the second time, taken back; and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import places
import pytest
from brokers import CELERY_APP
from predicting import foretold
from there import RESOURCES, Kubectl, There, apply_all, held, service, workload

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

Cli = Callable[..., str]
MIB = 1 << 20
WORKER = ["celery", "-A", "shop", "worker", "--without-mingle", "--without-gossip", "-l", "info", "-c", "1", "-Q", "celery"]
REDIS = ["redis-server", "--maxmemory", "64mb", "--maxmemory-policy", "noeviction", "--save"]
GRACE = {"terminationGracePeriodSeconds": 10}
NAMES = ("statefulset/cache", "deployment/bare", "deployment/jobs")


@pytest.fixture(scope="module")
def shop(kubectl: Kubectl, namespace: str, place: There, images: dict[str, str]) -> There:
    """A Redis that keeps its data, one that does not, and a worker that uses both."""
    ask = {"exec": {"command": ["redis-cli", "ping"]}, "periodSeconds": 2}
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}}
    settings = {"CELERY_BROKER_URL": "redis://cache:6379/1", "CELERY_RESULT_BACKEND": "redis://cache:6379/2", "CACHE_URL": "redis://bare:6379/0"}
    redis = {"port": 6379, "readinessProbe": ask, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code"}, "data": {"shop.py": CELERY_APP}},
        *workload("cache", images["redis"], kind="StatefulSet", spec={"volumeClaimTemplates": [claim]}, pod=GRACE, args=[*REDIS, "3600 1"], **redis),
        *workload("bare", images["redis"], pod={**GRACE, "volumes": [{"name": "data", "emptyDir": {}}]}, args=[*REDIS, "3600 1"], **redis),
        *workload(
            "jobs",
            images["app"],
            pod={"volumes": [{"name": "code", "configMap": {"name": "code"}}]},
            command=WORKER,
            workingDir="/srv/shop",
            env=[{"name": name, "value": value} for name, value in settings.items()],
            resources={**RESOURCES, "limits": {"memory": "400Mi"}},
            volumeMounts=[{"name": "code", "mountPath": "/srv/shop"}],
        ),
        service("cache", 6379),
        service("bare", 6379),
    ]
    apply_all(kubectl, namespace, *objects)
    for name in NAMES:
        kubectl("-n", namespace, "rollout", "status", name, "--timeout=120s", timeout=130)
    places.wait("the worker", lambda: "" if " ready." in kubectl("-n", namespace, "logs", "deployment/jobs") else "it is not ready", 90)
    return place


@pytest.fixture
def cli(shop: There, kubectl: Kubectl, namespace: str) -> Cli:
    """cli(*words, of="statefulset/cache"): what redis-cli says inside."""

    def ask(*words: str, of: str = NAMES[0]) -> str:
        return kubectl("-n", namespace, "exec", of, "--", "redis-cli", *words, check=False).strip()

    return ask


@pytest.fixture
def inside(shop: There, kubectl: Kubectl, namespace: str) -> Cli:
    """inside(*words): what a command in the worker prints."""
    return lambda *words: kubectl("-n", namespace, "exec", "deployment/jobs", "--", *words).strip()


@pytest.fixture(autouse=True)
def calm(shop: There, kubectl: Kubectl, namespace: str, cli: Cli) -> Iterator[None]:
    """Who was refused by a Redis is started again by the kubelet: no test begins before that, nor with what another has left in a queue."""
    yield
    for name in NAMES:
        kubectl("-n", namespace, "rollout", "status", name, "--timeout=120s", check=False, timeout=130)
    cli("-n", "1", "unlink", "mails")


@pytest.fixture
def refused(shop: There) -> Callable[..., Any]:
    """refused(words, remedy, component, **params): the refusal, which says this and what to do instead."""

    def go(words: str, remedy: str, component: str, **params: Any) -> Any:
        with pytest.raises(StackError) as caught:
            shop.cure(remedy, component, **params)
        assert words in caught.value.message
        return caught.value

    return go


def setting(cli: Cli, name: str) -> str:
    return cli("config", "get", name).splitlines()[-1]


def consumed(inside: Cli) -> list[str]:
    found: dict[str, Any] = json.loads(inside("celery", "-q", "-A", "shop", "inspect", "active_queues", "--json"))
    return sorted(queue["name"] for queues in found.values() for queue in queues)


@pytest.mark.predicts("redis_config")
def test_a_full_server_gets_room(shop: There, cli: Cli) -> None:
    cli("eval", "for i=1,20 do redis.call('SET', 'export:'..i, string.rep('x', 1048576)) end return 1", "0")
    used = next(line.split(":")[1] for line in cli("info", "memory").splitlines() if line.startswith("used_memory:"))
    limit = str(int(used) - MIB // 2)
    cli("config", "set", "maxmemory", limit)
    try:
        told = shop.cure("redis_config", "cache", check=True, maxmemory="grow")
        assert setting(cli, "maxmemory") == limit
        done = shop.cure("redis_config", "cache", maxmemory="grow")
        assert held(done) and foretold("redis_config", told, done) and int(setting(cli, "maxmemory")) >= 1.4 * int(limit) and told["preview"]["risk"] == "safe"
        assert done["preview"]["lasting"] == ["nothing to write down: command line says maxmemory 64mb, a restart brings that back"]
        assert not shop.cure("redis_config", "cache", maxmemory="grow")["changed"]
        assert shop.undo()["result"] == "undone" and setting(cli, "maxmemory") == limit
    finally:
        cli("config", "set", "maxmemory", "64mb")
        cli("eval", "for i=1,20 do redis.call('UNLINK', 'export:'..i) end return 1", "0")


def test_a_limit_of_ones_own(shop: There, cli: Cli, refused: Callable[..., Any]) -> None:
    done = shop.cure("redis_config", "cache", maxmemory=80 * MIB)
    assert held(done) and setting(cli, "maxmemory") == str(80 * MIB)
    assert done["preview"]["lasting"] == ["statefulset/cache's command says --maxmemory 64mb: write --maxmemory 80mb, a restart brings the old value back"]
    assert shop.undo()["result"] == "undone" and setting(cli, "maxmemory") == str(64 * MIB)
    refused("75 % of its container's 128 MiB", "redis_config", "cache", maxmemory=100 * MIB)
    refused("the queues of a Celery broker stand there", "redis_config", "cache", maxmemory_policy="allkeys-lru")


@pytest.mark.predicts("celery_consumers")
def test_a_queue_that_nobody_consumed(shop: There, cli: Cli, inside: Cli, refused: Callable[..., Any]) -> None:
    inside("celery", "-q", "-A", "shop", "call", "shop.mail")
    assert cli("-n", "1", "llen", "mails") == "1"
    told = shop.cure("celery_consumers", "jobs", check=True, queues=["mails"])
    assert consumed(inside) == ["celery"]
    done = shop.cure("celery_consumers", "jobs", queues=["mails"])
    assert held(done) and foretold("celery_consumers", told, done) and consumed(inside) == ["celery", "mails"]
    places.wait("the task", lambda: "" if cli("-n", "1", "llen", "mails") == "0" else "it is not worked off", 60)
    lasting = "deployment/jobs: its worker needs -Q celery,mails on its command line (it says -Q celery now), because a restart forgets it"
    assert done["preview"]["lasting"] == [lasting]
    assert not shop.cure("celery_consumers", "jobs", queues=["mails"])["changed"]
    assert shop.undo()["result"] == "undone" and consumed(inside) == ["celery"]
    refused("the broker knows no queue nowhere", "celery_consumers", "jobs", queues=["nowhere"])


@pytest.mark.predicts("celery_scale")
def test_processes_and_not_copies(shop: There, inside: Cli, refused: Callable[..., Any]) -> None:
    def processes() -> int:
        (found,) = json.loads(inside("celery", "-q", "-A", "shop", "inspect", "stats", "--json")).values()
        return len(found["pool"]["processes"])

    told = shop.cure("celery_scale", "jobs", check=True, processes=2)
    done = shop.cure("celery_scale", "jobs", processes=2)
    assert held(done) and foretold("celery_scale", told, done) and processes() == 2 and not shop.cure("celery_scale", "jobs", processes=2)["changed"]
    assert shop.undo()["result"] == "undone" and processes() == 1
    assert "component_scale" in refused("counted by deployment/jobs", "celery_scale", "jobs", replicas=2).details["fix"]


@pytest.mark.predicts("celery_retry")
def test_a_failed_task_runs_again(shop: There, cli: Cli, inside: Cli) -> None:
    task = inside("celery", "-q", "-A", "shop", "call", "shop.divide", "--args", "[3]").split()[-1]

    def state() -> str:
        return str(json.loads(cli("-n", "2", "get", "celery-task-meta-" + task) or '{"status": "PENDING"}')["status"])

    places.wait("the task", lambda: "" if state() == "FAILURE" else "it has not failed", 60)
    inside("touch", "/tmp/open")
    told = shop.cure("celery_retry", "jobs", check=True, task_ids=[task])
    assert state() == "FAILURE"
    assert foretold("celery_retry", told, shop.cure("celery_retry", "jobs", task_ids=[task]))
    places.wait("the task", lambda: "" if state() == "SUCCESS" else "it has not succeeded", 60)
    assert not shop.cure("celery_retry", "jobs", task_ids=[task])["changed"]


def mode(kubectl: Kubectl, namespace: str) -> str:
    return kubectl("-n", namespace, "exec", NAMES[0], "--", "stat", "-c", "%a", "/data").strip()


@pytest.mark.predicts("redis_persistence")
def test_a_save_that_fails_for_a_lost_right(shop: There, kubectl: Kubectl, namespace: str, cli: Cli, refused: Callable[..., Any]) -> None:
    """Inside, a command runs as root there, as the container's own user."""
    change = ("-n", namespace, "exec", NAMES[0], "--")
    kubectl(*change, "chmod", "0555", "/data")
    cli("bgsave")
    places.wait("the save", lambda: "" if "rdb_last_bgsave_status:err" in cli("info", "persistence") else "it has not failed", 60)
    told = shop.cure("redis_persistence", "cache", check=True)
    assert mode(kubectl, namespace) == "555"
    assert foretold("redis_persistence", told, shop.cure("redis_persistence", "cache"))
    assert mode(kubectl, namespace) == "755" and "rdb_last_bgsave_status:ok" in cli("info", "persistence")
    assert not shop.cure("redis_persistence", "cache")["changed"]
    assert shop.undo()["result"] == "undone" and mode(kubectl, namespace) == "555"
    kubectl(*change, "chown", "0", "/data")
    cli("bgsave")
    places.wait("the save", lambda: "" if "rdb_last_bgsave_status:err" in cli("info", "persistence") else "it has not failed", 60)
    assert "fsGroup" in refused("is not guessed", "redis_persistence", "cache").details["fix"]
    kubectl(*change, "chown", "redis", "/data")
    kubectl(*change, "chmod", "0755", "/data")
    # The cause is gone, the refusal is not: a save is all that is missing.
    assert held(shop.cure("redis_persistence", "cache")) and cli("set", "a", "b") == "OK"


def test_what_could_not_be_saved_at_the_end(shop: There, kubectl: Kubectl, namespace: str, cli: Cli, refused: Callable[..., Any]) -> None:
    """No save has failed yet, and the one at the end would."""
    change = ("-n", namespace, "exec", NAMES[0], "--", "chmod")
    cli("config", "set", "requirepass", "Run-t1me-8830")
    kubectl(*change, "0555", "/data")
    try:
        refused("it may not write into /data (mode 0555)", "redis_password", "cache")
    finally:
        kubectl(*change, "0755", "/data")
        kubectl("-n", namespace, "exec", NAMES[0], "--", "redis-cli", "-a", "Run-t1me-8830", "config", "set", "requirepass", "")


@pytest.mark.predicts("redis_password")
def test_a_password_set_at_run_time(shop: There, kubectl: Kubectl, namespace: str, cli: Cli) -> None:
    def pod() -> str:
        return kubectl("-n", namespace, "get", "pod", "cache-0", "-o", "jsonpath={.metadata.uid}")

    before = pod()
    cli("set", "kept", "yes")
    cli("config", "set", "requirepass", "Run-t1me-8831")
    told = shop.cure("redis_password", "cache", check=True)
    assert cli("ping").startswith("NOAUTH") and told["preview"]["risk"] == "disruptive" and "Run-t1me" not in json.dumps(told)
    done = shop.cure("redis_password", "cache")
    assert held(done) and foretold("redis_password", told, done) and pod() != before and cli("get", "kept") == "yes"
    assert not shop.cure("redis_password", "cache")["changed"]


def test_what_new_pods_would_lose(shop: There, cli: Cli, refused: Callable[..., Any]) -> None:
    """Data on a volume that goes with its pod are lost, whatever is saved."""
    cli("config", "set", "requirepass", "Run-t1me-8832", of="deployment/bare")
    refused("its data (/data) are on no volume that outlives its pod", "redis_password", "bare")
    assert cli("ping", of="deployment/bare").startswith("NOAUTH")
    done = shop.cure("redis_password", "bare", accept_data_loss=True)
    assert held(done) and done["preview"]["risk"] == "transient" and cli("ping", of="deployment/bare") == "PONG"
