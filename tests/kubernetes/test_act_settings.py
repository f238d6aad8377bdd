# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings changed on a real cluster: where they are kept, who is started anew, what is predicted, and the way back to the same objects."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import places
import pytest
from predicting import foretold
from there import SERVE, Kubectl, There, apply_all, service, workload

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.door import ACT_SPEC, apply_one
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

PASSWORD = "Wq7-shop-db"
URL = "postgresql://shop:%s@db:5432/shop" % PASSWORD
SHARED = {"envFrom": [{"configMapRef": {"name": "settings"}}]}
OWN_SECRET = "api-aiops-runbook"
LARGER = {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "256Mi"}}
# A program whose pool is as its settings say, and that tells what the pool has.
POOLED = """
import os, time
from sqlalchemy import create_engine, text
url = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:")
engine = create_engine(url, pool_size=int(os.environ["DATABASE_POOL_SIZE"]), max_overflow=int(os.environ["DATABASE_MAX_OVERFLOW"]))
while True:
    with engine.connect() as one:
        one.execute(text("SELECT 1"))
    with open("/tmp/draft", "w") as out:
        out.write("%d %d" % (engine.pool.size(), engine.pool._max_overflow))
    os.replace("/tmp/draft", "/tmp/pool")
    time.sleep(0.3)
"""


def by_key(name: str, kind: str, source: str, key: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {kind + "KeyRef": {"name": source, "key": key}}}


DATABASE_URL = by_key("DATABASE_URL", "secret", "database", "url")
API = [
    DATABASE_URL,
    {"name": "LITERAL", "value": "as it is"},
    {"name": "EMPTY"},
    by_key("LEVEL", "configMap", "own", "level"),
    by_key("TOKEN_KEY", "secret", "own", "token"),
    {"name": "JOINED", "value": "http://$(SEARCH_HOST):9200/$(RATE)"},
    {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
]


def store(kind: str, name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, ("stringData" if kind == "Secret" else "data"): data}


@pytest.fixture(scope="module")
def shop(kubectl: Kubectl, namespace: str, place: There, images: dict[str, str]) -> There:
    """An api and a worker that are told where their PostgreSQL is, in all the ways there are."""
    sleep = ["python3", "-u", "-c", "import time; time.sleep(3600)"]
    account = [
        {"name": "POSTGRES_USER", "value": "shop"},
        {"name": "POSTGRES_DB", "value": "shop"},
        by_key("POSTGRES_PASSWORD", "secret", "database", "password"),
    ]
    ready = {"exec": {"command": ["pg_isready", "-h", "127.0.0.1", "-U", "shop"]}, "periodSeconds": 2, "timeoutSeconds": 5}
    ask = {"httpGet": {"path": "/health", "port": "main"}, "periodSeconds": 1}
    files = [{"name": "files", "mountPath": "/run/secrets"}]
    # Its token would be mounted below /run/secrets.
    mounted = {"automountServiceAccountToken": False, "volumes": [{"name": "files", "secret": {"secretName": "files"}}]}
    objects = [
        store("ConfigMap", "settings", RATE="100", SEARCH_HOST="search", CACHE_URL="redis://cache:6379/0", MAIL_TOKEN="Zx9-mail-first"),
        store("ConfigMap", "own", level="INFO", unused="x"),
        store("Secret", "own", token="Zx9-first-value"),
        store("Secret", "database", url=URL, password=PASSWORD),
        store("Secret", "files", db_password=PASSWORD + "\n"),
        *workload("db", images["postgres"], kind="StatefulSet", port=5432, env=account, readinessProbe=ready, resources=LARGER),
        service("db", 5432),
        *workload("cache", images["redis"], port=6379, readinessProbe={"exec": {"command": ["redis-cli", "ping"]}, "periodSeconds": 2}),
        service("cache", 6379),
        *workload("api", images["llm"], port=8000, command=["python3", "-u", "-c", SERVE], env=API, readinessProbe=ask, **SHARED),
        service("api", 8000),
        *workload("worker", images["llm"], command=sleep, env=[DATABASE_URL, {"name": "LITERAL", "value": "the worker's"}], **SHARED),
        *workload(
            "reports",
            images["llm"],
            command=sleep,
            env=[{"name": name, "value": value} for name, value in (("DB_HOST", "db"), ("DB_USER", "shop"), ("DB_NAME", "shop"))],
            volumeMounts=files,
            pod=mounted,
        ),
    ]
    apply_all(kubectl, namespace, *objects)
    for name in ("statefulset/db", "deployment/cache", "deployment/api", "deployment/worker", "deployment/reports"):
        kubectl("-n", namespace, "rollout", "status", name, "--timeout=120s", timeout=130)
    return place


@pytest.fixture
def get(kubectl: Kubectl, namespace: str) -> Callable[[str], dict[str, Any]]:
    return lambda name: json.loads(kubectl("-n", namespace, "get", name, "-o", "json"))


@pytest.fixture
def export(kubectl: Kubectl, namespace: str) -> Callable[[], dict[str, Any]]:
    """Every object as somebody wants it, without what the cluster notes, and without the records of acting."""

    def read() -> dict[str, Any]:
        found = json.loads(kubectl("-n", namespace, "get", "deployments,statefulsets,configmaps,secrets,services", "-o", "json"))["items"]
        kept = {}
        for one in found:
            name = "%s/%s" % (one["kind"].lower(), one["metadata"]["name"])
            meta = {key: one["metadata"].get(key) for key in ("labels", "annotations")}
            (meta["annotations"] or {}).pop("deployment.kubernetes.io/revision", None)
            if str(one.get("type", "")).startswith("aiops.runbook/") or name == "configmap/kube-root-ca.crt":
                continue
            kept[name] = {"meta": meta, **{key: value for key, value in one.items() if key not in ("metadata", "status", "apiVersion", "kind")}}
        return kept

    return read


@pytest.fixture
def pods(kubectl: Kubectl, namespace: str) -> Callable[[], dict[str, str]]:
    """The pods that stay, by uid."""

    def read() -> dict[str, str]:
        found = json.loads(kubectl("-n", namespace, "get", "pods", "-o", "json"))["items"]
        return {one["metadata"]["uid"]: one["metadata"]["labels"]["app"] for one in found if "deletionTimestamp" not in one["metadata"]}

    return read


@pytest.fixture
def environment(kubectl: Kubectl, namespace: str) -> Callable[[str], dict[str, str]]:
    """What a component's program really was started with."""

    def read(name: str) -> dict[str, str]:
        kubectl("-n", namespace, "rollout", "status", "deployment/" + name, "--timeout=60s", timeout=70)
        found = kubectl("-n", namespace, "exec", "deployment/" + name, "--", "cat", "/proc/1/environ")
        return dict(entry.split("=", 1) for entry in found.split("\0") if "=" in entry)

    return read


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def act(shop: There, remedy: str, component: str, check_mode: bool = False, **params: Any) -> dict[str, Any]:
    """A remedy as a person asks for it, in this process."""
    defaults = {name: option.get("default") for name, option in ACT_SPEC.items()}
    return apply_one({**defaults, **shop.options, "by": "a test"}, Step(remedy, component, params), check_mode)


# options, what the program has then, the objects that say so
CASES: dict[str, tuple[dict[str, Any], dict[str, str | None], list[str]]] = {
    "a literal, and a key of a ConfigMap by a name in another case": (
        {"set": {"LITERAL": "$(x) other", "level": "DEBUG"}},
        {"LITERAL": "$(x) other", "LEVEL": "DEBUG"},
        ["configmap/own", "deployment/api"],
    ),
    "a key of a Secret alone": ({"secrets": {"TOKEN_KEY": "Zx9-second-value"}}, {"TOKEN_KEY": "Zx9-second-value"}, ["deployment/api", "secret/own"]),
    "a key that others read, and what is put together from it": (
        {"set": {"SEARCH_HOST": "find", "RATE": 200, "NEW": True}},
        {"SEARCH_HOST": "find", "RATE": "200", "NEW": "true", "JOINED": "http://find:9200/200"},
        ["deployment/api"],
    ),
    "a secret that others read": (
        {"set": {"MAIL_TOKEN": "Zx9-mail-second"}},
        {"MAIL_TOKEN": "Zx9-mail-second"},
        ["deployment/api", "secret/" + OWN_SECRET],
    ),
    "taken away": ({"unset": ["LITERAL", "LEVEL", "EMPTY"]}, {"LITERAL": None, "LEVEL": None, "EMPTY": None}, ["deployment/api"]),
}


@pytest.mark.predicts("stack_env")
@pytest.mark.parametrize("name", CASES)
def test_there_and_back(name: str, shop: There, export: Any, pods: Any, environment: Any) -> None:
    options, wanted, objects = CASES[name]
    before, standing, first = export(), pods(), environment("api")
    told = act(shop, "stack_env", "api", True, **options)
    assert told["changed"] and export() == before and pods() == standing
    done = act(shop, "stack_env", "api", **options)
    assert done["record"]["result"] == "held", json.dumps(done["record"])
    assert foretold("stack_env", told, done) and done["preview"]["touches"] == ["api"]
    assert {key: environment("api").get(key) for key in wanted} == wanted
    assert changed(before, export()) == objects
    assert {app for uid, app in standing.items() if uid not in pods()} == {"api"}, "nobody else is started anew"
    assert "Zx9" not in json.dumps(done) and done["preview"]["lasting"]
    assert not act(shop, "stack_env", "api", **options)["changed"]
    assert shop.undo()["result"] == "undone"
    assert changed(before, export()) == []
    assert {key: value for key, value in environment("api").items() if key not in ("POD", "HOSTNAME")} == {
        key: value for key, value in first.items() if key not in ("POD", "HOSTNAME")
    }


def test_by_its_module(shop: There, export: Any) -> None:
    before = export()
    told = shop.act("stack_env", True, component="worker", set={"LITERAL": "by a module"})
    assert told["changed"] and "LITERAL of worker, in deployment/worker: by a module" in told["diff"]["after"] and export() == before, told
    assert told["touches"] == ["worker"] and told["risk"] == "transient" and "LITERAL" in told["lasting"][0]


def test_a_setting_is_given_the_way_another_component_has_it(shop: There, kubectl: Kubectl, namespace: str, get: Any, export: Any) -> None:
    env = [entry for entry in get("deployment/api")["spec"]["template"]["spec"]["containers"][0]["env"] if entry["name"] != "DATABASE_URL"]
    kubectl("-n", namespace, "patch", "deployment/api", "--type=json", "-p", json.dumps([{"op": "replace", "path": ENV, "value": env}]))
    kubectl("-n", namespace, "rollout", "status", "deployment/api", "--timeout=60s")
    try:
        before = export()
        done = act(shop, "stack_env", "api", set={"DATABASE_URL": {"from": {"component": "worker"}}})
        assert done["record"]["result"] == "held", done["record"]
        assert DATABASE_URL in get("deployment/api")["spec"]["template"]["spec"]["containers"][0]["env"]
        assert changed(before, export()) == ["deployment/api"] and PASSWORD not in json.dumps(done)
        assert shop.undo()["result"] == "undone" and export() == before
    finally:
        kubectl("-n", namespace, "patch", "deployment/api", "--type=json", "-p", json.dumps([{"op": "replace", "path": ENV, "value": API}]))
        kubectl("-n", namespace, "rollout", "status", "deployment/api", "--timeout=60s")


ENV = "/spec/template/spec/containers/0/env"


@pytest.fixture
def given(kubectl: Kubectl, namespace: str) -> Any:
    """given(object, changes): the object patched as somebody would by mistake; put back at the end."""
    made: list[tuple[str, dict[str, Any]]] = []

    def rolled(name: str) -> None:
        if name.startswith("deployment/"):
            kubectl("-n", namespace, "rollout", "status", name, "--timeout=60s", timeout=70)

    def put(name: str, *changes: dict[str, Any]) -> None:
        made.append((name, json.loads(kubectl("-n", namespace, "get", name, "-o", "json"))))
        kubectl("-n", namespace, "patch", name, "--type=json", "-p", json.dumps(list(changes)))
        rolled(name)

    yield put
    for name, one in reversed(made):
        part = "spec" if "spec" in one else "data"
        kubectl("-n", namespace, "patch", name, "--type=json", "-p", json.dumps([{"op": "replace", "path": "/" + part, "value": one[part]}]))
        if part == "data":  # whoever reads it has the wrong value
            for reader in ("api", "worker"):
                kubectl("-n", namespace, "rollout", "restart", "deployment/" + reader)
                rolled("deployment/" + reader)
        rolled(name)


def base64_of(text: str) -> str:
    import base64

    return base64.b64encode(text.encode()).decode()


@pytest.mark.predicts("connection_setting")
def test_a_connection_is_corrected_the_way_a_twin_has_it(shop: There, given: Any, get: Any, export: Any) -> None:
    given("deployment/api", {"op": "replace", "path": ENV + "/0", "value": {"name": "DATABASE_URL", "value": URL.replace("@db:", "@db-old:")}})
    before = export()
    told = act(shop, "connection_setting", "api", True, kind="postgres", setting="DATABASE_URL")
    assert export() == before
    done = act(shop, "connection_setting", "api", kind="postgres", setting="DATABASE_URL")
    assert done["record"]["result"] == "held" and foretold("connection_setting", told, done), done["record"]
    assert DATABASE_URL in get("deployment/api")["spec"]["template"]["spec"]["containers"][0]["env"], "no password is written out"
    assert PASSWORD not in json.dumps(done) and "postgresql://shop:***@db:5432/shop" in json.dumps(done["preview"]["diff"])
    assert not act(shop, "connection_setting", "api", kind="postgres", setting="DATABASE_URL")["changed"]
    assert shop.undo()["result"] == "undone" and export() == before


def test_a_port_that_is_wrong_for_all_is_corrected_for_all(shop: There, given: Any, kubectl: Kubectl, namespace: str, export: Any, environment: Any) -> None:
    given("configmap/settings", {"op": "replace", "path": "/data/CACHE_URL", "value": "redis://cache:6380/0"})
    for name in ("api", "worker"):
        kubectl("-n", namespace, "rollout", "restart", "deployment/" + name)
        kubectl("-n", namespace, "rollout", "status", "deployment/" + name, "--timeout=60s", timeout=70)
    before = export()
    done = act(shop, "connection_setting", "api", kind="redis", setting="CACHE_URL")
    assert done["record"]["result"] == "held", done["record"]
    assert done["preview"]["touches"] == ["api", "worker"]
    assert changed(before, export()) == ["configmap/settings", "deployment/api", "deployment/worker"]
    assert [environment(name)["CACHE_URL"] for name in ("api", "worker")] == ["redis://cache:6379/0"] * 2
    assert not act(shop, "connection_setting", "worker", kind="redis", setting="CACHE_URL")["changed"]
    assert shop.undo()["result"] == "undone" and export() == before
    assert [environment(name)["CACHE_URL"] for name in ("api", "worker")] == ["redis://cache:6380/0"] * 2


def test_a_password_in_a_mounted_secret_is_corrected(shop: There, given: Any, get: Any, export: Any, kubectl: Kubectl, namespace: str) -> None:
    given("secret/files", {"op": "replace", "path": "/data/db_password", "value": base64_of("Zx9-not-it\n")})
    kubectl("-n", namespace, "rollout", "restart", "deployment/reports")
    kubectl("-n", namespace, "rollout", "status", "deployment/reports", "--timeout=60s", timeout=70)
    before = export()
    done = act(shop, "connection_setting", "reports", kind="postgres", setting="DB_HOST")
    assert done["record"]["result"] == "held", done["record"]
    assert get("secret/files")["data"]["db_password"] == base64_of(PASSWORD + "\n"), "the line end stays"
    assert PASSWORD not in json.dumps(done), json.dumps(done, indent=1)
    assert changed(before, export()) == ["deployment/reports", "secret/files"]
    assert shop.undo()["result"] == "undone" and export() == before


@pytest.mark.predicts("component_recreate")
def test_a_value_that_was_changed_meanwhile_is_taken_by_new_pods(shop: There, given: Any, export: Any, pods: Any, environment: Any) -> None:
    given("configmap/settings", {"op": "replace", "path": "/data/RATE", "value": "300"})
    before, standing = export(), pods()
    told = act(shop, "component_recreate", "worker", True, settings=["RATE"])
    assert told["changed"] and [line["what"] for line in told["preview"]["diff"]] == ["RATE of worker", "pods of deployment/worker"]
    done = act(shop, "component_recreate", "worker", settings=["RATE"])
    assert done["record"]["result"] == "held" and foretold("component_recreate", told, done), done["record"]
    assert environment("worker")["RATE"] == "300" and environment("api")["RATE"] == "100"
    assert {app for uid, app in standing.items() if uid not in pods()} == {"worker"} and changed(before, export()) == ["deployment/worker"]
    assert not act(shop, "component_recreate", "worker", settings=["RATE"])["changed"]
    assert shop.undo()["result"] == "unchanged", "there is nothing to put back"


@pytest.mark.predicts("postgres_terminate")
def test_a_session_is_ended(shop: There, kubectl: Kubectl, namespace: str) -> None:
    def sql(text: str, *words: str) -> str:
        return kubectl("-n", namespace, "exec", "statefulset/db", "--", "psql", "-XAqt", *(words or ("-U", "shop")), "-d", "shop", "-c", text, check=False)

    sql("CREATE ROLE clerk LOGIN")
    left = threading.Thread(target=sql, args=("SELECT pg_sleep(300)", "-U", "clerk"))
    left.start()
    asked = "SELECT pid FROM pg_stat_activity WHERE usename = 'clerk'"
    try:
        places.wait("the session", lambda: "" if sql(asked).strip() else "it is not there", 30)
        pid = int(sql(asked))
        told = act(shop, "postgres_terminate", "db", True, pids=[pid])
        assert sql(asked).strip() == str(pid)
        done = act(shop, "postgres_terminate", "db", pids=[pid])
        (line,) = foretold("postgres_terminate", told, done)
        assert line["what"] == "session %d" % pid and not sql(asked).strip() and done["record"]["result"] == "held"
    finally:
        sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'clerk'")
        left.join(30)
        sql("DROP ROLE clerk")


@pytest.mark.predicts("pool_tuning")
def test_a_pool_gets_another_size(shop: There, apply: Any, kubectl: Kubectl, namespace: str, images: dict[str, str], export: Any) -> None:
    sized = [DATABASE_URL, {"name": "DATABASE_POOL_SIZE", "value": "3"}, {"name": "DATABASE_MAX_OVERFLOW", "value": "2"}]
    apply(*workload("pooled", images["app"], command=["python3", "-u", "-c", POOLED], env=sized, resources=LARGER))
    kubectl("-n", namespace, "rollout", "status", "deployment/pooled", "--timeout=60s", timeout=70)
    pool = ("-n", namespace, "exec", "deployment/pooled", "--", "cat", "/tmp/pool")
    places.wait("the pool", lambda: "" if kubectl(*pool, check=False) == "3 2" else "it has none yet", 60)
    before = export()
    told = act(shop, "pool_tuning", "pooled", True, size=4, overflow=3)
    assert export() == before
    done = act(shop, "pool_tuning", "pooled", size=4, overflow=3)
    assert done["record"]["result"] == "held" and foretold("pool_tuning", told, done), done["record"]
    places.wait("the pool", lambda: "" if kubectl(*pool, check=False) == "4 3" else "it is as it was", 60)
    assert changed(before, export()) == ["deployment/pooled"]
    assert not act(shop, "pool_tuning", "pooled", size=4, overflow=3)["changed"]
    assert shop.undo()["result"] == "undone" and export() == before


def test_refused(shop: There, kubectl: Kubectl, namespace: str, apply: Any, images: dict[str, str], export: Any) -> None:
    fixed = {**store("ConfigMap", "fixed", MODE="slow"), "immutable": True}
    held = workload("held", images["llm"], command=["sleep", "3600"], env=[by_key("MODE", "configMap", "fixed", "MODE")], spec={"paused": False})
    apply(fixed, *held)
    kubectl("-n", namespace, "rollout", "status", "deployment/held", "--timeout=60s", timeout=70)
    before = export()
    for component, params, words in (
        ("held", {"set": {"MODE": "fast"}}, "configmap/fixed is immutable"),
        ("api", {"set": {"POD": "x"}}, "tells a pod of itself"),
        ("api", {"unset": ["RATE"]}, "others read"),
        ("api", {"unset": ["PYTHONUNBUFFERED"]}, "by its image"),
    ):
        with pytest.raises(StackError, match=words):
            act(shop, "stack_env", component, **params)
    answer = shop.act("log_level", component="api", level="DEBUG")
    assert answer["failed"] and "put the level" in answer["msg"] and export() == before
    kubectl("-n", namespace, "rollout", "pause", "deployment/held")
    with pytest.raises(StackError, match="paused"):
        act(shop, "stack_env", "held", set={"NEW": "1"})
