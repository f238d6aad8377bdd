# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The whole way on the real reference stacks, on a cluster: what is found, what is left alone, what is never told."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import stacks
from api_proxy import door
from playing import play
from there import CALM, INVENTORY, TRIES, Kubectl, There, findings, until_healthy

STACKS = ("reference", "second")
# A component whose only work is to begin work of others: without it the stack comes to rest.
CLOCK = {"reference": ("aiops-ref", "deployment/beat"), "second": ("shop", "deployment/orders-clock")}
POSTGRES = {"reference": ("aiops-ref", "statefulset/postgres", "aiops", "aiops"), "second": ("shop-data", "statefulset/orders-db", "postgres", "orders")}
REDIS = {
    "reference": ("aiops-ref", "statefulset/redis", "redis-cli"),
    "second": ("shop", "deployment/orders-queue", 'REDISCLI_AUTH="$(cat /run/secrets/queue_password)" redis-cli'),
}
LASTING = "source <> 'session' AND name NOT LIKE 'application%'"
# Kinds that hold no wish of anybody's: the cluster writes them all the time.
PASSING = {"events", "events.events.k8s.io", "endpoints", "endpointslices.discovery.k8s.io", "pods.metrics.k8s.io"}


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> There:
    return request.getfixturevalue(request.param)


def name_of(stack: There) -> str:
    return stack.host.removesuffix("_kubernetes")


def test_a_healthy_stack_has_no_finding(stack: There, tmp_path: Path) -> None:
    report = until_healthy(lambda: stack.diagnose(tmp_path))
    assert (report["verdict"], findings(report), report["unknown"]) == ("healthy", {}, [])
    for name in ("report.json", "report.html", "report.md", "report.xml", "report.prom", "status.json"):
        assert (tmp_path / stack.host / "latest" / name).stat().st_size > 0
    assert stack.host in (tmp_path / stack.host / "latest" / "report.html").read_text(encoding="utf-8")


def test_both_stacks_in_one_run_by_the_inventory_of_the_tests(reference: There, second: There, tmp_path: Path) -> None:
    for _try in range(TRIES):
        played = play("diagnose", tmp_path, "-e", json.dumps({"limits": CALM}), inventory=INVENTORY)
        verdicts = [played.report(stack.host)["verdict"] for stack in (reference, second)]
        if verdicts == ["healthy", "healthy"]:
            break
    assert (played.status, verdicts) == (0, ["healthy", "healthy"]), played.output


def test_the_second_stack_is_understood_without_a_hint(second: There, tmp_path: Path) -> None:
    """Its neighbour in the same namespace is no part of it, and its database stands elsewhere."""
    topology = second.diagnose(tmp_path)["topology"]
    assert {component["id"]: component["role"] for component in topology["components"]} == {
        "orders-backend": "api",
        "orders-clock": "beat",
        "orders-db": "postgres",
        "orders-edge": "proxy",
        "orders-jobs": "worker",
        "orders-model": "llm",
        "orders-queue": "redis",
    }
    wanted = {("orders-backend", "orders-db"), ("orders-backend", "orders-queue"), ("orders-jobs", "orders-queue"), ("orders-edge", "orders-backend")}
    assert wanted <= {(edge["from"], edge["to"]) for edge in topology["edges"]}


def test_saved_observations_judge_the_same_with_no_cluster_in_reach(reference: There, tmp_path: Path) -> None:
    saved, again = tmp_path / "seen.json.gz", tmp_path / "again"
    again.mkdir()
    first = reference.diagnose(tmp_path, "-e", "save_observations=%s" % saved)
    second = reference.with_kubeconfig("/nowhere").diagnose(again, "-e", "observations=%s" % saved)
    for part in ("verdict", "headline", "root_causes", "findings", "ruled_out", "unknown", "topology"):
        assert first[part] == second[part], part


def test_traditional_chinese(reference: There, tmp_path: Path) -> None:
    options = ["-e", json.dumps({"lang": "zh-TW", "limits": CALM})]
    assert until_healthy(lambda: reference.diagnose(tmp_path, *options))["headline"] == "所有檢查項目皆正常。"


def test_the_other_jobs_that_only_look(reference: There, tmp_path: Path) -> None:
    parts = reference.play("info", tmp_path)
    assert parts.status == 0 and "role_source" in parts.output
    logs = reference.play("logs", tmp_path, "-e", '{"components": ["api", "nginx"], "since_minutes": 60}')
    assert logs.status == 0
    assert set(re.findall(r'"([\w-]+) \| ', logs.output)) <= {"api", "nginx"}
    wrong = reference.play("logs", tmp_path, "-e", '{"components": ["nobody"]}')
    assert wrong.status == 2 and "nobody" in wrong.output


def test_a_namespace_that_is_not_there_is_not_healthy(kubeconfig: str, tmp_path: Path) -> None:
    nowhere = There("nowhere", ("no-such-namespace",), kubeconfig, tmp_path)
    report = nowhere.diagnose(tmp_path)
    assert (report["verdict"], findings(report)) == ("unknown", {}), report["headline"]


def test_by_port_forwards_alone_the_same_is_seen(stack: There, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a machine that has no way to the addresses of pods."""
    from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_ways import Ways

    monkeypatch.setattr(Ways, "direct", property(lambda ways: False))
    model = until_healthy(lambda: stack.look(limits=CALM))
    assert (model["verdict"], findings(model), model["unknown"]) == ("healthy", {}, [])


# Nothing is written ---------------------------------------------------------------------------------------------------


@pytest.fixture
def at_rest(stack: There, kubectl: Kubectl) -> Iterator[None]:
    """The stack without what sets it to work by the clock."""
    namespace, clock = CLOCK[name_of(stack)]
    kubectl("-n", namespace, "scale", clock, "--replicas=0")
    kubectl("-n", namespace, "rollout", "status", clock, "--timeout=60s", timeout=70)
    yield
    kubectl("-n", namespace, "scale", clock, "--replicas=1")
    kubectl("-n", namespace, "rollout", "status", clock, "--timeout=120s", timeout=130)


def exported(stack: There, kubectl: Kubectl) -> dict[str, Any]:
    """Every object of every kind in the stack's namespaces: all but its status and what the server counts."""
    kinds = [kind for kind in kubectl("api-resources", "--namespaced", "--verbs=list,get", "-o", "name").split() if kind not in PASSING]
    found = {}
    for namespace in stack.namespaces:
        for one in json.loads(kubectl("-n", namespace, "get", ",".join(kinds), "-o", "json", timeout=120))["items"]:
            about = {key: value for key, value in one["metadata"].items() if key not in ("resourceVersion", "managedFields")}
            about["changed_by"] = sorted({field["manager"] for field in one["metadata"].get("managedFields", []) if not field.get("subresource")})
            found["%s/%s/%s" % (namespace, one["kind"], one["metadata"]["name"])] = {**{key: one[key] for key in one if key != "status"}, "metadata": about}
    return found


def inside(kubectl: Kubectl, place: tuple[str, str], command: str) -> str:
    return kubectl("-n", place[0], "exec", place[1], "--", "sh", "-c", command).strip()


def rows_and_keys(stack: There, kubectl: Kubectl) -> dict[str, Any]:
    """What the servers hold, and what they count of what went wrong."""
    namespace, postgres, user, database = POSTGRES[name_of(stack)]

    def sql(text: str) -> str:
        command = [*stacks.PSQL, "-XqAt", "-U", user, "-d", database, "-f", "-"]
        return kubectl("-n", namespace, "exec", "-i", postgres, "--", *command, stdin=text).strip()

    space, redis, cli = REDIS[name_of(stack)]
    keys = inside(kubectl, (space, redis), cli + " --raw KEYS '*'").splitlines()
    counts = "relname || ':' || n_tup_ins || ':' || n_tup_upd || ':' || n_tup_del"
    return {
        "tables": sql("SELECT string_agg(%s, ',' ORDER BY relname) FROM pg_stat_user_tables" % counts),
        "settings": sql("SELECT md5(string_agg(name || setting, ',' ORDER BY name)) FROM pg_settings WHERE %s" % LASTING),
        "deadlocks": sql("SELECT sum(deadlocks) FROM pg_stat_database"),
        "failures": str(kubectl("-n", namespace, "logs", postgres).count("FATAL")),
        "errors": re.findall(r"errorstat_\S+", inside(kubectl, (space, redis), cli + " INFO errorstats")),
        "keys": sorted(key for key in keys if not re.match(r"unacked|celery-task-meta|_kombu\.binding\.reply", key)),
        "redis_settings": inside(kubectl, (space, redis), cli + " CONFIG GET '*'"),
    }


def test_nothing_is_written_to_the_stack(stack: There, at_rest: None, kubectl: Kubectl, tmp_path: Path) -> None:
    def everything() -> dict[str, Any]:
        return {"objects": exported(stack, kubectl), **rows_and_keys(stack, kubectl)}

    # The stack has a life of its own: what we did would show every time, what it did does not.
    for attempt in range(4):
        before = everything()
        time.sleep(3 * attempt)
        if everything() != before:
            continue
        for mode in ([], ["--check", "--diff"]):
            played = stack.play("diagnose", tmp_path, *mode)
            assert "changed=0" in played.output
            assert played.report(stack.host)["verdict"] != "down", played.output
        after = everything()
        if after == before:
            break
    assert after == before
    assert not [name for name, one in after["objects"].items() if any("aiops" in who for who in one["metadata"]["changed_by"])]


def test_everything_is_asked_once_and_nothing_that_changes_anything(reference: There, tmp_path: Path) -> None:
    with door(reference.kubeconfig) as way:
        report = reference.with_kubeconfig(way.kubeconfig(tmp_path)).diagnose(tmp_path)
    assert report["verdict"] != "down", report["headline"]
    assert {one.method for one in way.asked if not one.path.endswith(("/exec", "/portforward"))} == {"GET"}
    assert {one.agent.split("/")[0] for one in way.asked} == {"aiops.runbook"}
    lists = [one for one in way.asked if "/" not in one.what]
    twice = sorted({one.path for one in lists if sum(one.path == other.path and one.query == other.query for other in lists) > 1})
    assert twice == []
    assert not [one.path for one in way.asked if one.what == "secrets"], "Secrets are never listed"
    pods = {one.path for one in way.asked if re.fullmatch(r"pods/[^/]+", one.what)}
    assert not pods, "no pod is asked for by itself"


# Secrets --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def planted(reference: There, kubectl: Kubectl) -> Iterator[dict[str, str]]:
    """Values that nobody refers to: beside a key that is referred to, and in a Secret of somebody else's."""
    (namespace,) = reference.namespaces
    values = {"unreferred": "Zx9-unreferred-q7Lw3Vt8", "foreign": "Zx9-foreign-m4Kc8Rn2", "annotation": "Zx9-annotation-b5Hd6Xs1"}
    patch = {"stringData": {"somebody-elses": values["unreferred"]}}
    kubectl("-n", namespace, "patch", "secret", "database", "--type=merge", "-p", json.dumps(patch))
    kubectl("-n", namespace, "create", "secret", "generic", "foreign", "--from-literal=password=" + values["foreign"])
    kubectl("-n", namespace, "annotate", "secret", "foreign", "note=" + values["annotation"])
    yield values
    kubectl("-n", namespace, "patch", "secret", "database", "--type=json", "-p", '[{"op": "remove", "path": "/data/somebody-elses"}]')
    kubectl("-n", namespace, "delete", "secret", "foreign")


def test_no_secret_is_told_anywhere(reference: There, second: There, planted: dict[str, str], kubectl: Kubectl, tmp_path: Path) -> None:
    """Every output of a run at -vvv, the reports, the saved observations and Ansible's own temporary files."""
    values = dict(planted)
    for stack in (reference, second):
        for namespace in stack.namespaces:
            for secret in json.loads(kubectl("-n", namespace, "get", "secrets", "-o", "json"))["items"]:
                for key, data in (secret.get("data") or {}).items():
                    value = base64.b64decode(data).decode("utf-8", "replace").strip()
                    # A whole URL or document is told in parts: its password is another value here.
                    if len(value) >= 12 and "://" not in value and "\n" not in value and not value.startswith("{"):
                        values["%s/%s" % (secret["metadata"]["name"], key)] = value
    assert len(values) >= 10
    with door(reference.kubeconfig) as way:
        for stack in (reference, second):
            folder = tmp_path / stack.host
            folder.mkdir()
            there = stack.with_kubeconfig(way.kubeconfig(folder))
            temporary = {"ANSIBLE_LOCAL_TEMP": str(folder / "ansible"), "ANSIBLE_KEEP_REMOTE_FILES": "1"}
            played = there.play("diagnose", folder, "-vvv", "-e", "save_observations=%s" % (folder / "seen.json"), **temporary)
            assert played.report(stack.host)["verdict"] != "down", played.output
            (folder / "output.txt").write_text(played.output, encoding="utf-8")
    assert not [one.path for one in way.asked if one.path.endswith("/secrets/foreign")], "a Secret that nobody refers to was read"
    told = []
    for path in tmp_path.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for where, value in values.items():
            forms = {value, quote(value, safe=""), base64.b64encode(value.encode()).decode().rstrip("=")[:-1]}
            told += [(path.name, where) for form in forms if form.encode() in content]
    assert not told
