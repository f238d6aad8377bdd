"""What a name means in a namespace, and who stands behind it: one row a case."""

from __future__ import annotations

import json

import pytest
from samples_kubernetes import container, endpoints, pod, service

from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_services import Services, matches, split_name

API = pod("api-1", container(ports=[{"name": "http", "containerPort": 8000}]), labels={"app": "api"}, ip="10.244.0.7")
DB = pod("db-0", labels={"app": "db"}, ip="10.244.0.8", spec={"hostname": "db-0", "subdomain": "db"})
OBJECTS = {
    "pods": [API, DB],
    "services": [
        service("api", {"app": "api"}, type="NodePort", ports=[{"port": 80, "targetPort": "http", "nodePort": 30080}]),
        service("db", {"app": "db"}, "None", ports=[{"port": 5432}]),
        service("ledger", {"app": "api"}, "", type="ExternalName", externalName="db.shop.svc.cluster.local"),
        service("vault", None, "", type="ExternalName", externalName="vault.example.com"),
        service("lost", {"app": "nobody"}, "10.96.0.9"),
    ],
    "endpointslices": [endpoints("api", "10.244.0.7"), endpoints("db", "10.244.0.8", port=5432, hostname="db-0")],
}
NAMES = [
    ("short", "api", ["10.96.0.5"]),
    ("with its namespace", "api.shop", ["10.96.0.5"]),
    ("long", "api.shop.svc", ["10.96.0.5"]),
    ("whole", "api.shop.svc.cluster.local.", ["10.96.0.5"]),
    ("headless", "db", ["10.244.0.8"]),
    ("a pod of a headless one", "db-0.db", ["10.244.0.8"]),
    ("another name for it", "ledger", ["10.244.0.8"]),
    ("another name for the world outside", "vault", None),
    ("of another namespace", "db.data", None),
    ("of the world", "db.example.com", None),
    ("nobody's", "warehouse", None),
]


@pytest.mark.parametrize(("what", "host", "expected"), NAMES, ids=[case[0] for case in NAMES])
def test_resolve(what, host, expected):
    assert Services(OBJECTS).resolve(host, "shop") == expected


def test_aliases_hold_every_name_of_a_pod():
    services = Services(OBJECTS)
    assert services.aliases(API) == ["api-1", "api", "api.shop", "api.shop.svc", "api.shop.svc.cluster.local", "10.96.0.5"]
    assert {"db", "db-0.db", "ledger", "ledger.shop"} <= set(services.aliases(DB))


READY = [
    ("its port", "api", 80, [("10.244.0.7", 8000)]),
    ("a port that it has not", "api", 81, []),
    ("nobody behind it", "lost", 80, []),
]


@pytest.mark.parametrize(("what", "name", "port", "expected"), READY, ids=[case[0] for case in READY])
def test_ready(what, name, port, expected):
    services = Services(OBJECTS)
    assert services.ready(services.named(name, "shop"), port) == expected


def test_one_that_is_not_ready_takes_no_requests():
    services = Services({"services": [service("api", {})], "endpointslices": [endpoints("api", "10.244.0.7", ready=False)]})
    assert services.ready(services.named("api", "shop"), 80) == []


def test_published_by_a_node_port():
    assert Services(OBJECTS).published(API, API["spec"]["containers"][0]) == [{"inside": 8000, "host": "10.9.9.9", "outside": 30080}]


PROXY = container("oauth2-proxy", ports=[{"name": "proxy", "containerPort": 4180}])
NATIVE = [{**PROXY, "restartPolicy": "Always"}]
TARGETS = [
    ("a port of its own by name", "http", [], [], {"inside": 8000}),
    ("of another container by name", "proxy", [PROXY], [], {"inside": 4180, "beside": True}),
    ("of another container by number", 4180, [PROXY], [], {"inside": 4180, "beside": True}),
    ("of one that begins first and stays", "proxy", [], NATIVE, {"inside": 4180, "beside": True}),
    ("of one that begins first and ends", "proxy", [], [PROXY], None),
    ("of nobody", "proxy", [], [], None),
]


@pytest.mark.parametrize(("what", "target", "beside", "first", "expected"), TARGETS, ids=[case[0] for case in TARGETS])
def test_a_target_port_may_be_any_containers(what, target, beside, first, expected):
    own = API["spec"]["containers"][0]
    one = pod("api-1", labels={"app": "api"}, ip="10.244.0.7", spec={"containers": [own, *beside], "initContainers": first})
    ports = [{"port": 80, "targetPort": target, "nodePort": 30080}]
    found = Services({"pods": [one], "services": [service("api", {"app": "api"}, type="NodePort", ports=ports)]}).published(one, own)
    assert found == ([{**expected, "host": "10.9.9.9", "outside": 30080}] if expected else [])


SPLIT = [
    ("api", ("shop", "api")),
    ("api.other", ("other", "api")),
    ("api.other.svc.cluster.local", ("other", "api")),
    ("api.example.com", None),
    ("a.b.c.svc", None),
]


@pytest.mark.parametrize(("host", "expected"), SPLIT)
def test_split_name(host, expected):
    assert split_name(host, "shop") == expected


def test_matches():
    assert matches({"a": "1"}, {"a": "1", "b": "2"}) and not matches({"a": "1"}, {"b": "2"})


NOTE = "kubectl.kubernetes.io/last-applied-configuration"
MEANT = {"spec": {"type": "NodePort", "ports": [{"port": 80, "targetPort": "http", "nodePort": 30080}]}}
UNPUBLISHED = [
    ("as it was applied", "NodePort", json.dumps(MEANT), []),
    ("taken from outside since", "ClusterIP", json.dumps(MEANT), [{"inside": 8000, "outside": 30080}]),
    (
        "of UDP, by which nobody comes for HTTP",
        "ClusterIP",
        json.dumps({"spec": {"type": "NodePort", "ports": [{"port": 53, "targetPort": "http", "nodePort": 30053, "protocol": "UDP"}]}}),
        [],
    ),
    ("never meant for outside", "ClusterIP", json.dumps({"spec": {"ports": [{"port": 80}]}}), []),
    ("made without kubectl apply", "ClusterIP", None, []),
    ("a note that nobody can read", "ClusterIP", "{", []),
]


@pytest.mark.parametrize(("what", "kind", "note", "expected"), UNPUBLISHED, ids=[case[0] for case in UNPUBLISHED])
def test_no_longer_published(what, kind, note, expected):
    one = service("api", {"app": "api"}, type=kind, ports=[{"port": 80, "targetPort": "http"}])
    one["metadata"]["annotations"] = {} if note is None else {NOTE: note}
    assert Services({"pods": [API], "services": [one], "endpointslices": []}).unpublished(API, API["spec"]["containers"][0]) == expected
