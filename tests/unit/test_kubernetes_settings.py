"""What a container is given by ConfigMaps, Secrets and fields: one row a case."""

from __future__ import annotations

import pytest
from fake_namespace import FakeNamespace, Town, work
from samples_kubernetes import configmap, container, pod, secret

from ansible_collections.aiops.runbook.plugins.module_utils.model import unseen
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes import own_settings
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_settings import (
    Held,
    Settings,
    read_secret,
    secrets_referred,
    without_links,
)

OBJECTS = {"configmaps": [configmap("settings", MODE="fast", HOST="db"), configmap("files", **{"app.env": "A=1"})]}
DENIED = unseen("this account may not get secrets", kind="denied")["unseen"]
SECRETS = {
    ("shop", "db"): read_secret(secret("db", password="pw-1234", user="shop"), None),
    ("shop", "hidden"): Held(missing=DENIED),
}


def ref(kind, name, key, **more):
    return {"valueFrom": {kind + "KeyRef": {"name": name, "key": key, **more}}}


POD_NAME = {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
OWN = [
    ("a field", [POD_NAME], ["POD_NAME"]),
    ("made of a field", [POD_NAME, {"name": "ATTRIBUTES", "value": "a=b,pod=$(POD_NAME)"}], ["POD_NAME", "ATTRIBUTES"]),
    ("made of what is", [POD_NAME, {"name": "A", "value": "$(POD_NAME)"}, {"name": "B", "value": "x$(A)"}], ["POD_NAME", "A", "B"]),
    ("made of what stands behind it", [{"name": "A", "value": "$(POD_NAME)"}, POD_NAME], ["POD_NAME"]),
    ("a dollar sign", [POD_NAME, {"name": "A", "value": "$$(POD_NAME)"}], ["POD_NAME"]),
    ("made of another", [POD_NAME, {"name": "A", "value": "$(B)"}], ["POD_NAME"]),
]


@pytest.mark.parametrize(("what", "env", "expected"), OWN, ids=[case[0] for case in OWN])
def test_settings_of_a_copy_of_its_own(what, env, expected):
    assert own_settings({"env": env}) == expected


ENVIRONMENTS = [
    ("plain", [{"name": "A", "value": "1"}], {"A": "1"}, []),
    ("nothing", [{"name": "A"}], {"A": ""}, []),
    ("of a ConfigMap", [{"name": "A", **ref("configMap", "settings", "MODE")}], {"A": "fast"}, []),
    ("of a Secret", [{"name": "A", **ref("secret", "db", "password")}], {"A": "pw-1234"}, []),
    (
        "put together",
        [{"name": "P", **ref("secret", "db", "password")}, {"name": "URL", "value": "x://u:$(P)@db/$(NO)?$$"}],
        {"P": "pw-1234", "URL": "x://u:pw-1234@db/$(NO)?$"},
        [],
    ),
    ("a field of the pod", [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}], {"A": "api-1"}, []),
    ("a label", [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['tier']"}}}], {"A": "web"}, []),
    ("a limit", [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}}], {"A": "256"}, []),
    ("a key that is not there", [{"name": "A", **ref("configMap", "settings", "NO")}], {}, ["A"]),
    ("one that need not be there", [{"name": "A", **ref("configMap", "settings", "NO", optional=True)}], {}, []),
    ("a Secret that may not be read", [{"name": "A", **ref("secret", "hidden", "password")}], {}, ["A"]),
]


@pytest.mark.parametrize(("what", "env", "expected", "unread"), ENVIRONMENTS, ids=[case[0] for case in ENVIRONMENTS])
def test_environment(what, env, expected, unread):
    found = pod("api-1", container(env=env, resources={"limits": {"memory": "256Mi"}}), labels={"tier": "web"})
    given = Settings(OBJECTS, SECRETS).given(found, found["spec"]["containers"][0])
    assert given.environment == expected
    assert list(given.unread) == unread


def test_all_of_a_map_and_what_wins_over_it():
    found = pod("api-1", container(envFrom=[{"configMapRef": {"name": "settings"}, "prefix": "X_"}], env=[{"name": "X_MODE", "value": "slow"}]))
    assert Settings(OBJECTS, SECRETS).given(found, found["spec"]["containers"][0]).environment == {"X_MODE": "slow", "X_HOST": "db"}


def test_only_values_of_secrets_count_as_secret():
    found = pod("api-1", container(env=[{"name": "A", **ref("secret", "db", "password")}, {"name": "B", **ref("configMap", "settings", "MODE")}]))
    assert Settings(OBJECTS, SECRETS).given(found, found["spec"]["containers"][0]).secrets == ["pw-1234"]


def test_mounted_files():
    volumes = [
        {"name": "s", "secret": {"secretName": "db", "items": [{"key": "password", "path": "pw"}]}},
        {"name": "c", "configMap": {"name": "files"}},
        {"name": "d", "persistentVolumeClaim": {"claimName": "data"}},
    ]
    mounts = [{"name": "s", "mountPath": "/run/secrets"}, {"name": "c", "mountPath": "/app/.env", "subPath": "app.env"}, {"name": "d", "mountPath": "/data"}]
    found = pod("api-1", container(volumeMounts=mounts), spec={"volumes": volumes})
    given = Settings(OBJECTS, SECRETS).given(found, found["spec"]["containers"][0])
    assert {path: file.content for path, file in given.files.items()} == {"/run/secrets/pw": b"pw-1234", "/app/.env": b"A=1"}
    assert {"source": "data", "target": "/data", "kind": "persistentVolumeClaim"} in given.mounts


def test_secrets_are_wanted_by_key_or_whole():
    spec = pod(
        "a",
        container(
            env=[{"name": "A", **ref("secret", "db", "password")}, {"name": "B", **ref("secret", "db", "user")}], envFrom=[{"secretRef": {"name": "all"}}]
        ),
        spec={"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "tls", "items": [{"key": "ca.crt", "path": "ca"}]}}]}}]},
    )["spec"]
    assert secrets_referred([("shop", spec)]) == {("shop", "db"): {"password", "user"}, ("shop", "all"): None, ("shop", "tls"): {"ca.crt"}}


def test_secrets_of_the_containers_beside_are_known():
    cluster = FakeNamespace()
    cluster.put({"kind": "Secret", **secret("deploy", token="Zx9-planted")})
    init = {"name": "migrate", "image": "i", "env": [{"name": "T", **ref("secret", "deploy", "token")}, {"name": "API_KEY", "value": "Qy8-planted"}]}
    one = work("api", {})
    one["spec"]["template"]["spec"]["initContainers"] = [init]
    cluster.put(one)
    assert {"Zx9-planted", "Qy8-planted"} <= set(Town(cluster, ["shop"]).components()[0].instances[0].secret_values)


def test_of_a_secret_only_what_is_referred_to_is_kept():
    assert read_secret(secret("db", password="pw", other="no"), {"password"}).data == {"password": b"pw"}


def test_service_links_are_no_settings():
    seen = {
        "REDIS_SERVICE_HOST": "10.96.0.7",
        "REDIS_SERVICE_PORT": "6379",
        "REDIS_PORT": "tcp://10.96.0.7:6379",
        "REDIS_PORT_6379_TCP_ADDR": "10.96.0.7",
        "REDIS_HOST": "redis",
        "API_PORT": "8000",
        "DB_SERVICE_HOST": "db",
    }
    assert without_links(seen, {"DB_SERVICE_HOST": "db"}) == {"REDIS_HOST": "redis", "API_PORT": "8000", "DB_SERVICE_HOST": "db"}
