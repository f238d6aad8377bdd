# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is a cluster's own way in the cures of Redis and of workers. The same on a real one: tests/kubernetes/test_act_servers.py."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from fake_namespace import APPS, CORE, FakeNamespace, stage_of, store, work

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.registry import remedy_of
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.redis import agrees, fallen_users, kept_where, read_start
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload_redis import WorkloadPassword
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.model import Finding

MIB = 1 << 20
PASSWORD = {"name": "REDIS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "cache", "key": "password"}}}
CONF = {"volumeMounts": [{"name": "conf", "mountPath": "/conf"}], "args": ["redis-server", "/conf/redis.conf"]}
BACK = "a restart brings the old value back"
VOLUMES = [{"name": "conf", "configMap": {"name": "conf"}}]


def shop(volumes: Any = None, spec: Any = None, **container: Any) -> FakeNamespace:
    """A Redis, and a worker that uses it. container: what the Redis' has besides."""
    cluster = FakeNamespace()
    cluster.put(
        store("Secret", "cache", password="Wq7-cache-pass"),
        store("ConfigMap", "conf", **{"redis.conf": "maxmemory 64mb\nrequirepass Wq7-cache-pass\nsave 60 1\n"}),
        work("cache", {"image": "redis:7", "env": [PASSWORD], **container}, kind="StatefulSet", volumes=volumes, spec=spec or {}),
        work("jobs", {"command": ["celery", "-A", "app", "worker"], "env": [{"name": "CELERY_BROKER_URL", "value": "redis://cache:6379/0"}]}),
    )
    return cluster


def of(stage: Stage, name: str = "cache") -> Any:
    return stage.instances(name)[0]


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"args": ["redis-server", "--requirepass", "$(REDIS_PASSWORD)"]}, ["docker-entrypoint.sh", "redis-server", "--requirepass", "Wq7-cache-pass"]),
        ({"args": ["--requirepass", "$(REDIS_PASSWORD)"]}, ["docker-entrypoint.sh", "--requirepass", "Wq7-cache-pass"]),
        ({"command": ["redis-server"], "args": ["--save", "$$(x) $(y)"]}, ["redis-server", "--save", "$(x) $(y)"]),
        ({}, []),
    ],
)
def test_with_what_the_next_pod_is_started(container, words):
    stage = stage_of(shop(**container))
    found, environment = stage.platform.started_with(of(stage))
    assert found == words and environment["REDIS_PASSWORD"] == "Wq7-cache-pass"


@pytest.mark.parametrize(
    ("container", "volumes", "where"),
    [
        ({"args": ["redis-server", "--requirepass", "$(REDIS_PASSWORD)"]}, None, "command line"),
        ({"args": ["--requirepass", "$(REDIS_PASSWORD)"]}, None, "command line"),
        (CONF, VOLUMES, "/conf/redis.conf"),
        ({"command": ["/start.sh"]}, None, "secret REDIS_PASSWORD"),
        (
            {"command": ["/start.sh"], "env": [], "volumeMounts": [{"name": "own", "mountPath": "/given"}]},
            [{"name": "own", "secret": {"secretName": "cache"}}],
            "secret password",
        ),
    ],
)
def test_the_start_agrees_with_the_clients(container, volumes, where):
    stage = stage_of(shop(volumes, **container))
    assert agrees(read_start(stage, of(stage)), "Wq7-cache-pass") == where
    assert "Wq7-cache-pass" not in stage.mask.text("it is Wq7-cache-pass")


def test_a_secret_that_was_changed_since_counts_as_it_is_now():
    cluster = shop(args=["--requirepass", "$(REDIS_PASSWORD)"])
    stage = stage_of(cluster)
    cluster.put(store("Secret", "cache", password="Zx9-another"))
    stage.renew()
    assert of(stage).environment["REDIS_PASSWORD"] == "Wq7-cache-pass"
    with pytest.raises(Refused, match="do not have the same password either"):
        agrees(read_start(stage, of(stage)), "Wq7-cache-pass")


@pytest.mark.parametrize(
    ("container", "volumes", "line"),
    [
        (
            {"args": ["--maxmemory", "64mb"]},
            None,
            "statefulset/cache's command says --maxmemory 64mb: write --maxmemory 96mb, a restart brings the old value back",
        ),
        ({"args": ["redis-server"]}, None, "add --maxmemory 96mb to statefulset/cache's command: a restart forgets it"),
        (CONF, VOLUMES, "configmap/conf:redis.conf says maxmemory 64mb: write maxmemory 96mb, " + BACK),
    ],
)
def test_where_a_limit_is_to_be_written(container, volumes, line):
    stage = stage_of(shop(volumes, **container))
    assert kept_where(stage, "cache", of(stage), "maxmemory", 96 * MIB) == [line]


def test_the_kubelet_starts_who_has_ended():
    cluster = shop()
    for path, pod in cluster.objects.items():
        if path.startswith(CORE + "/pods/jobs"):
            pod["spec"]["restartPolicy"] = "Never"
            pod["status"] = {"phase": "Failed", "containerStatuses": [{"name": "jobs", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]}
    assert fallen_users(stage_of(cluster), "cache", ".") == []


def test_copies_are_counted_by_the_workload():
    with pytest.raises(Refused, match="counted by deployment/jobs") as refused:
        remedy_of("celery_scale", "kubernetes").preview(stage_of(shop()), Step("celery_scale", "jobs", {"replicas": 2}))
    assert refused.value.details["fix"] == "give it 2 copies: component_scale"


def versioned(cluster: FakeNamespace, pods_of: str = "cache-h1") -> Stage:
    """With the version that a controller notes of its pods."""
    found = cluster.objects[APPS + "/statefulsets/cache"]
    owner = [{"kind": "StatefulSet", "name": "cache", "uid": found["metadata"]["uid"]}]
    for path, pod in cluster.objects.items():
        if path.startswith(CORE + "/pods/cache"):
            pod["metadata"]["labels"]["controller-revision-hash"] = pods_of
    data = {"spec": {"template": copy.deepcopy(found["spec"]["template"])}}
    cluster.objects[APPS + "/controllerrevisions/cache-h1"] = {"metadata": {"name": "cache-h1", "ownerReferences": owner}, "revision": 1, "data": data}
    return stage_of(cluster)


def test_its_pods_are_made_anew():
    stage = versioned(shop())
    what, identity = WorkloadPassword()._meant(stage, "cache", stage.instances("cache"))
    assert what == ["pods of statefulset/cache"] and identity["object"] == "statefulset/cache" and identity["version"]


@pytest.mark.parametrize(
    ("spec", "pods_of", "said"),
    [
        ({}, "cache-h0", "are of another version"),
        ({"paused": True}, "cache-h1", "is paused"),
        ({"updateStrategy": {"type": "OnDelete"}}, "cache-h1", "makes no new pods by itself"),
    ],
)
def test_pods_that_would_not_be_made_anew_as_they_are(spec, pods_of, said):
    stage = versioned(shop(spec=spec), pods_of)
    with pytest.raises(Refused, match=said):
        WorkloadPassword()._meant(stage, "cache", stage.instances("cache"))


@pytest.mark.parametrize(
    ("component", "finding", "evidence", "comes"),
    [
        ("jobs", "container.crashed", {"state": "restarting", "seconds": 40}, True),
        ("jobs", "container.crashed", {"state": "running"}, True),
        ("jobs", "container.crashed", {"state": "restarting", "seconds": 5}, False),
        ("jobs", "container.crashed", {"state": "starting"}, False),
        ("jobs", "container.oom_killed", {"state": "restarting", "seconds": 40}, False),
        ("cache", "container.crashed", {"state": "restarting", "seconds": 40}, False),
    ],
)
def test_who_waits_to_be_started_again(component, finding, evidence, comes):
    """The kubelet's pause grows; a cure that stands since 20 s is not to blame for who ended before it."""
    one = Finding(finding, component, "critical", evidence)
    assert bool(stage_of(shop()).coming_back([one], ["cache"], time.time() - 20)) is comes
