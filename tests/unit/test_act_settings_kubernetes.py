# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings changed where a cluster keeps them: which object, who is started anew, what is told, the way back; one row a case."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fake_namespace import APPS, CORE, FakeNamespace, stage_of, store, work

from ansible_collections.aiops.runbook.plugins.module_utils.act import cluster_settings, workload
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import DISRUPTIVE, TRANSIENT, Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.engine import preview_steps
from ansible_collections.aiops.runbook.plugins.module_utils.act.registry import remedy_of
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

URL = "postgresql://shop:Wq7-shop-db@db:5432/shop"
NEW_URL = "postgresql://shop:Zx9-other-db@db:5432/shop"
SETTINGS = {"envFrom": [{"configMapRef": {"name": "settings"}}]}


def by_key(name: str, kind: str, source: str, key: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {kind + "KeyRef": {"name": source, "key": key}}}


DATABASE_URL = by_key("DATABASE_URL", "secret", "db", "url")
API = [
    DATABASE_URL,
    {"name": "LITERAL", "value": "as it is"},
    by_key("LEVEL", "configMap", "own", "level"),
    by_key("TOKEN_KEY", "secret", "own", "token"),
    {"name": "JOINED", "value": "http://$(SEARCH_HOST):9200/$(LITERAL)"},
    {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
]


def shop(**api: Any) -> FakeNamespace:
    """An api, a worker with the same settings, and a database whose password stands in the same Secret. api: what its container has besides."""
    cluster = FakeNamespace()
    entries = [*API, *api.pop("env", [])]
    cluster.put(
        store("ConfigMap", "settings", RATE="100", SEARCH_HOST="search"),
        store("ConfigMap", "own", level="INFO", unused="x"),
        store("Secret", "own", token="Zx9-first-value"),
        store("Secret", "db", url=URL, password="Wq7-shop-db"),
        work("api", {**SETTINGS, "env": entries, **api}, meta={"labels": {"app": "api"}}),
        work("worker", {**SETTINGS, "env": [DATABASE_URL], "command": ["celery", "-A", "app", "worker"]}),
        work("db", {"env": [by_key("POSTGRES_PASSWORD", "secret", "db", "password")]}, kind="StatefulSet"),
    )
    return cluster


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch) -> None:
    monkeypatch.setattr(workload.Target, "wait_rolled_out", lambda self, stage, seconds=0.0: self.rolled_out())
    monkeypatch.setattr(cluster_settings, "STAND_SECONDS", 0.0)


def previewed(stage: Stage, remedy: str, **params: Any) -> Preview:
    return remedy_of(remedy, "kubernetes").preview(stage, Step(remedy, "api", params))


def applied(stage: Stage, preview: Preview, remedy: str = "stack_env", **params: Any) -> str:
    step = Step(remedy, "api", params)
    remedy_of(remedy, "kubernetes").apply(stage, step, preview)
    stage.renew()
    return remedy_of(remedy, "kubernetes").verify(stage, step, preview)


def undone(stage: Stage, preview: Preview, remedy: str = "stack_env") -> None:
    record = json.loads(json.dumps(preview.undo))  # as a journal keeps it
    stage.renew()
    remedy_of(remedy, "kubernetes").undo(stage, record)


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def running(cluster: FakeNamespace, name: str) -> dict[str, str]:
    pods = [pod for path, pod in cluster.objects.items() if path.startswith("%s/pods/%s-" % (CORE, name))]
    return cluster.started[pods[-1]["metadata"]["uid"]]


# params, what the program has then, the objects that say so, what is started anew
CASES: dict[str, tuple[dict[str, Any], dict[str, str | None], list[str], list[str]]] = {
    "a literal": ({"set": {"LITERAL": "$(x) $$ other"}}, {"LITERAL": "$(x) $$ other"}, ["deployments/api"], ["api"]),
    "a key of its own": ({"set": {"level": "DEBUG"}}, {"LEVEL": "DEBUG"}, ["configmaps/own", "deployments/api"], ["api"]),
    "a secret of its own": ({"secrets": {"TOKEN_KEY": "Zx9-second-value"}}, {"TOKEN_KEY": "Zx9-second-value"}, ["deployments/api", "secrets/own"], ["api"]),
    "a key that others read": ({"set": {"RATE": 200}}, {"RATE": "200"}, ["deployments/api"], ["api"]),
    "one from which another is put together": (
        {"set": {"SEARCH_HOST": "find"}},
        {"SEARCH_HOST": "find", "JOINED": "http://find:9200/as it is"},
        ["deployments/api"],
        ["api"],
    ),
    "a part of it": ({"set": {"JOINED": "http://search:9201/as it is"}}, {"JOINED": "http://search:9201/as it is"}, ["deployments/api"], ["api"]),
    "the part that comes from elsewhere": (
        {"set": {"JOINED": "http://find:9200/as it is"}},
        {"JOINED": "http://find:9200/as it is", "SEARCH_HOST": "find"},
        ["deployments/api"],
        ["api"],
    ),
    "a secret that others read": ({"secrets": {"DATABASE_URL": NEW_URL}}, {"DATABASE_URL": NEW_URL}, ["deployments/api", "secrets/api-aiops-runbook"], ["api"]),
    "a URL with a password, whatever it is called": ({"set": {"NEW": NEW_URL}}, {"NEW": NEW_URL}, ["deployments/api", "secrets/api-aiops-runbook"], ["api"]),
    "what nobody has said yet": ({"set": {"NEW": True}}, {"NEW": "true"}, ["deployments/api"], ["api"]),
    "a literal, a key and a name taken away": (
        {"unset": ["LITERAL", "LEVEL", "NOWHERE"]},
        {"LITERAL": None, "LEVEL": None, "NOWHERE": None, "JOINED": "http://search:9200/$(LITERAL)"},
        ["deployments/api"],
        ["api"],
    ),
    "several at once": ({"set": {"LITERAL": "x", "LEVEL": "DEBUG"}}, {"LITERAL": "x", "LEVEL": "DEBUG"}, ["configmaps/own", "deployments/api"], ["api"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_there_and_back(name) -> None:
    params, wanted, objects, touches = CASES[name]
    cluster = shop()
    stage = stage_of(cluster)
    before, others = cluster.export(), {name: dict(running(cluster, name)) for name in ("worker", "db")}
    preview = previewed(stage, "stack_env", **params)
    assert preview.changed and preview.touches == touches and preview.risk == DISRUPTIVE
    assert cluster.export() == before and cluster.tried, "a preview changes nothing, and the server has tried all of it"
    assert applied(stage, preview, **params) == ""
    assert {key: running(cluster, "api").get(key) for key in wanted} == wanted
    assert {name: running(cluster, name) for name in others} == others
    assert changed(before, cluster.export()) == objects
    assert len(preview.lasting) >= len(params.get("set", ())) + len(params.get("secrets", ()))
    told = json.dumps(preview.shown()) + json.dumps(preview_steps(stage, [{"number": 1, "remedy": "stack_env", "component": "api", "params": params}]))
    assert not any(secret in told for secret in ("Zx9-second-value", "Zx9-other-db", "Wq7-shop-db"))
    assert not previewed(stage, "stack_env", **params).changed, "the second time"
    undone(stage, preview)
    assert changed(before, cluster.export()) == []
    assert {key: running(cluster, "api").get(key) for key in wanted} == {key: running(shop(), "api").get(key) for key in wanted}
    undone(stage, preview)
    assert cluster.export() == before


def test_a_setting_of_another_component_is_taken_the_way_that_one_has_it() -> None:
    cluster = shop()
    template = cluster.objects[APPS + "/deployments/api"]["spec"]["template"]
    template["spec"]["containers"][0]["env"].remove(DATABASE_URL)
    cluster.roll()
    stage = stage_of(cluster)
    params = {"set": {"DATABASE_URL": {"from": {"component": "worker"}}}}
    assert applied(stage, previewed(stage, "stack_env", **params), **params) == ""
    assert running(cluster, "api")["DATABASE_URL"] == URL
    assert DATABASE_URL in cluster.objects[APPS + "/deployments/api"]["spec"]["template"]["spec"]["containers"][0]["env"]


def test_a_password_that_is_written_out_is_not_replaced_by_another_one() -> None:
    cluster = shop(env=[{"name": "CACHE_URL", "value": "redis://:Wq1-old-pw@cache:6379/0"}])
    stage = stage_of(cluster)
    preview = previewed(stage, "stack_env", set={"CACHE_URL": "redis://:Wq1-old-pw@other:6379/0"})
    assert preview.texts["places"] == ["deployment/api"]
    line = next(line for line in preview.diff if line["what"].startswith("CACHE_URL"))
    assert (line["before"], line["after"]) == ("redis://:***@cache:6379/0", "redis://:***@other:6379/0")
    assert previewed(stage, "stack_env", set={"CACHE_URL": "redis://:Wq1-new-pw@cache:6379/0"}).texts["places"] == ["secret/api-aiops-runbook"]


def test_a_copy_that_runs_with_the_value_of_before_is_started_anew_and_nothing_else_is_done() -> None:
    cluster = shop()
    cluster.objects[CORE + "/configmaps/own"]["data"]["level"] = "DEBUG"
    stage = stage_of(cluster)
    before = cluster.export()
    preview = previewed(stage, "stack_env", set={"LEVEL": "DEBUG"})
    assert preview.changed and [line["what"] for line in preview.diff] == ["LEVEL of api", "pods of deployment/api"]
    assert applied(stage, preview, set={"LEVEL": "DEBUG"}) == "" and running(cluster, "api")["LEVEL"] == "DEBUG"
    undone(stage, preview)
    assert cluster.export() == before


# Who else is corrected ---------------------------------------------------------------------------------------------------


def corrected(stage: Stage, wanted: dict[str, str | None], also: tuple[str, ...]) -> Preview:
    return cluster_settings.preview(stage, "api", wanted, also=lambda other: other in also)


def test_what_is_wrong_for_all_readers_is_corrected_where_it_is_kept() -> None:
    cluster = shop()
    stage = stage_of(cluster)
    before = cluster.export()
    preview = corrected(stage, {"SEARCH_HOST": "find"}, ("worker",))
    assert preview.touches == ["api", "worker"] and preview.risk == TRANSIENT, "a worker's tasks in flight end"
    assert applied(stage, preview) == ""
    assert changed(before, cluster.export()) == ["configmaps/settings", "deployments/api", "deployments/worker"]
    assert [running(cluster, name)["SEARCH_HOST"] for name in ("api", "worker")] == ["find", "find"]
    undone(stage, preview)
    assert cluster.export() == before and [running(cluster, name)["SEARCH_HOST"] for name in ("api", "worker")] == ["search", "search"]


@pytest.mark.parametrize(
    ("where", "more", "place"),
    [
        ("containers", {}, "deployment/api"),
        ("initContainers", {"restartPolicy": "Always"}, "deployment/api"),
        ("initContainers", {}, "configmap/own"),
    ],
)
def test_a_program_beside_it_that_reads_the_same_keeps_it(where, more, place) -> None:
    cluster = shop()
    pods = cluster.objects[APPS + "/deployments/api"]["spec"]["template"]["spec"]
    pods.setdefault(where, []).append({"name": "beside", "image": "shop/beside:1", "env": [by_key("LEVEL", "configMap", "own", "level")], **more})
    cluster.roll()
    assert previewed(stage_of(cluster), "stack_env", set={"LEVEL": "DEBUG"}).texts["places"] == [place]


def test_a_reader_that_is_well_with_it_keeps_it() -> None:
    stage = stage_of(shop())
    preview = corrected(stage, {"SEARCH_HOST": "find"}, ())
    assert preview.touches == ["api"] and preview.texts["places"] == ["deployment/api"]


def test_a_reader_that_runs_with_what_is_right_is_left_alone() -> None:
    cluster = shop()
    cluster.objects[CORE + "/configmaps/settings"]["data"]["SEARCH_HOST"] = "serach"  # since then only the api was started anew
    cluster.objects[APPS + "/deployments/api"]["spec"]["template"]["metadata"]["annotations"] = {"by": "hand"}
    cluster.roll()
    stage = stage_of(cluster)
    preview = corrected(stage, {"SEARCH_HOST": "search"}, ())
    assert preview.touches == ["api"] and preview.texts["places"] == ["configmap/settings"]


def test_a_reader_of_another_stack_is_not_touched() -> None:
    cluster = shop()
    cluster.put(work("reports", SETTINGS))
    for name in ("api", "worker", "db"):
        for one in cluster.objects.values():
            if one["metadata"]["name"].split("-")[0] == name:
                one["metadata"].setdefault("labels", {})["part-of"] = "shop"
    stage = stage_of(cluster, selector="part-of=shop")
    assert {one.id for one in stage.scene.components} == {"api", "worker", "db"}
    assert corrected(stage, {"SEARCH_HOST": "find"}, ("worker",)).texts["places"] == ["deployment/api"]


JOB = {"kind": "Job", "metadata": {"name": "migrate", "namespace": "shop"}, "spec": {"template": {"spec": {"containers": [{"name": "m", **SETTINGS}]}}}}


@pytest.mark.parametrize(("over", "place"), [(True, "configmap/settings"), (False, "deployment/api")])
def test_a_job_that_is_over_reads_nothing_any_more(over, place) -> None:
    cluster = shop()
    cluster.objects = {path: one for path, one in cluster.objects.items() if "/worker" not in path}
    job = {**JOB, "status": {"conditions": [{"type": "Complete", "status": "True"}]} if over else {}}
    cluster.objects["/apis/batch/v1/namespaces/shop/jobs/migrate"] = job
    assert previewed(stage_of(cluster), "stack_env", set={"RATE": 200}).texts["places"] == [place]


# Files -------------------------------------------------------------------------------------------------------------------


def with_file(cluster: FakeNamespace, name: str) -> None:
    spec = cluster.objects["%s/deployments/%s" % (APPS, name)]["spec"]["template"]["spec"]
    spec["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/run/secrets"}]
    spec["volumes"] = [{"name": "v", "secret": {"secretName": "files"}}]
    cluster.roll()


def test_a_password_in_a_mounted_secret() -> None:
    cluster = shop()
    cluster.put(store("Secret", "files", db_password="wrong\n", other="o"))
    with_file(cluster, "api")
    stage = stage_of(cluster)
    before = cluster.export()
    preview = cluster_settings.preview_file(stage, "api", "secret/files:db_password", "right-Wq7", {})
    assert preview.touches == ["api"] and "right-Wq7" not in json.dumps(preview.shown())
    assert applied(stage, preview) == ""
    assert changed(before, cluster.export()) == ["deployments/api", "secrets/files"]
    files = {name: file.content for name, file in stage.instances("api") and stage.platform._given(*seat(stage)).files.items()}
    assert files == {"/run/secrets/db_password": b"right-Wq7\n", "/run/secrets/other": b"o"}
    assert not cluster_settings.preview_file(stage, "api", "secret/files:db_password", "right-Wq7", {}).changed
    undone(stage, preview)
    assert cluster.export() == before
    with_file(cluster, "worker")
    with pytest.raises(Refused, match="read by others"):
        cluster_settings.preview_file(stage_of(cluster), "api", "secret/files:db_password", "right-Wq7", {})


def seat(stage: Stage) -> tuple[dict[str, Any], dict[str, Any]]:
    found = stage.platform._seats[stage.instances("api")[0].id]
    return found.pod, found.container


# The value of before -----------------------------------------------------------------------------------------------------


def test_stale_values_are_taken_by_new_pods() -> None:
    cluster = shop()
    cluster.put(store("Secret", "db", url=NEW_URL, password="Zx9-other-db"))
    cluster.objects[CORE + "/configmaps/settings"]["data"]["RATE"] = "7"
    stage = stage_of(cluster)
    before = cluster.export()
    preview = previewed(stage, "component_recreate", settings=["DATABASE_URL"])
    assert [line["what"] for line in preview.diff] == ["DATABASE_URL of api", "RATE of api", "pods of deployment/api"], "all that it takes is told"
    assert "Zx9-other-db" not in json.dumps(preview.shown()) and preview.undo == {}
    assert applied(stage, preview, "component_recreate", settings=["DATABASE_URL"]) == ""
    assert running(cluster, "api")["DATABASE_URL"] == NEW_URL and running(cluster, "worker")["DATABASE_URL"] == URL
    assert changed(before, cluster.export()) == ["deployments/api"]
    assert not previewed(stage, "component_recreate", settings=["DATABASE_URL"]).changed
    undone(stage, preview, "component_recreate")


# Refused -----------------------------------------------------------------------------------------------------------------


def immutable(cluster: FakeNamespace) -> None:
    cluster.objects[CORE + "/configmaps/own"]["immutable"] = True


def argo(cluster: FakeNamespace) -> None:
    cluster.objects[APPS + "/deployments/api"]["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/api"}


def operator(cluster: FakeNamespace) -> None:
    owner = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "own", "uid": "u"}
    cluster.objects[CORE + "/secrets/own"]["metadata"]["ownerReferences"] = [owner]


def paused(cluster: FakeNamespace) -> None:
    cluster.objects[APPS + "/deployments/api"]["spec"]["paused"] = True


def by_image(cluster: FakeNamespace) -> None:
    cluster.images["PYTHONUNBUFFERED"] = "1"
    cluster.started = {name: {**given, **cluster.images} for name, given in cluster.started.items()}


def taken(cluster: FakeNamespace) -> None:
    cluster.put(store("Secret", "api-aiops-runbook", other="x"))


def nothing(cluster: FakeNamespace) -> None:
    """As it is."""


REFUSED = {
    "an immutable ConfigMap": (immutable, {"set": {"LEVEL": "DEBUG"}}, "is immutable"),
    "kept by Argo CD": (argo, {"set": {"LITERAL": "x"}}, "Argo CD"),
    "a Secret that an operator keeps": (operator, {"secrets": {"TOKEN_KEY": "Zx9-second-value"}}, "ExternalSecret"),
    "a rollout that is paused": (paused, {"set": {"LITERAL": "x"}}, "paused"),
    "a field of the pod": (nothing, {"set": {"POD": "x"}}, "tells a pod of itself"),
    "what comes with all of a map that others read": (nothing, {"unset": ["RATE"]}, "others read"),
    "what the image sets": (by_image, {"unset": ["PYTHONUNBUFFERED"]}, "by its image"),
    "a Secret of that name which is not ours": (taken, {"secrets": {"DATABASE_URL": NEW_URL}}, "not ours"),
    "nothing at all": (nothing, {}, "which settings"),
    "from one that has it not": (nothing, {"set": {"X": {"from": {"component": "worker"}}}}, "has no setting X"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name) -> None:
    prepare, params, words = REFUSED[name]
    cluster = shop()
    prepare(cluster)
    stage = stage_of(cluster)
    before = cluster.export()
    with pytest.raises(Refused, match=words):
        previewed(stage, "stack_env", **params)
    assert cluster.export() == before


def test_who_else_reads_it_must_be_seen() -> None:
    cluster = shop()
    cluster.denied = {"list daemonsets"}
    with pytest.raises(Refused, match="may not list daemonsets") as caught:
        previewed(stage_of(cluster), "stack_env", set={"LEVEL": "DEBUG"})
    assert "daemonsets" in caught.value.details["fix"]


def test_no_level_for_a_while_where_nothing_would_put_it_back() -> None:
    with pytest.raises(Refused, match="put the level"):
        previewed(stage_of(shop()), "log_level", level="DEBUG")


@pytest.mark.parametrize(
    ("entry", "same"),
    [
        ({"name": "LITERAL", "value": "as it was"}, False),
        ({"name": "LITERAL", "value": "as it is"}, True),
        (by_key("LITERAL", "configMap", "own", "unused"), False),
        ({"name": "LITERAL", "value": "as $(NO) it is"}, False),
    ],
)
def test_a_version_with_the_same_settings_is_no_cure_of_a_wrong_one(entry, same) -> None:
    stage = stage_of(shop())
    target = workload.Target(stage, "api")
    other = json.loads(json.dumps(target.template))
    other["spec"]["containers"][0].update(image="shop/app:0", env=[entry if one["name"] == "LITERAL" else one for one in API])
    assert cluster_settings.same_settings(stage, target, other) is same


# When it goes wrong --------------------------------------------------------------------------------------------------------


def test_another_one_was_faster() -> None:
    cluster = shop()
    stage = stage_of(cluster)
    preview = previewed(stage, "stack_env", set={"LEVEL": "DEBUG"})
    cluster.put(store("ConfigMap", "own", level="INFO", unused="y"))
    before = cluster.export()
    with pytest.raises(StackError, match="changed by somebody else") as caught:
        applied(stage, preview, set={"LEVEL": "DEBUG"})
    assert caught.value.kind == "stale" and cluster.export() == before


def test_what_somebody_has_changed_since_stays_and_is_told() -> None:
    cluster = shop()
    stage = stage_of(cluster)
    preview = previewed(stage, "stack_env", set={"LEVEL": "DEBUG", "LITERAL": "x"})
    applied(stage, preview)
    cluster.objects[CORE + "/configmaps/own"]["data"]["level"] = "WARNING"
    with pytest.raises(StackError, match="configmap/own was changed by somebody else") as caught:
        undone(stage, preview)
    assert caught.value.kind == "not_undone" and "INFO" not in caught.value.message
    assert cluster.objects[CORE + "/configmaps/own"]["data"]["level"] == "WARNING"
    assert running(cluster, "api")["LITERAL"] == "as it is", "the rest is put back"


def test_half_of_it_is_put_back() -> None:
    cluster = shop()
    stage = stage_of(cluster)
    before = cluster.export()
    preview = previewed(stage, "stack_env", set={"LEVEL": "DEBUG"})
    cluster.denied = {"patch deployments"}
    with pytest.raises(StackError):
        applied(stage, preview)
    assert changed(before, cluster.export()) == ["configmaps/own"]
    cluster.denied = set()
    undone(stage, preview)
    assert cluster.export() == before


@pytest.mark.parametrize("by", ["kubectl-edit", "aiops-runbook"])
def test_what_a_run_that_died_may_not_have_done_itself(by: str) -> None:
    """It is put back where the server says that we wrote it: a person may have done the same."""
    cluster = shop()
    stage = stage_of(cluster)
    before = cluster.export()
    preview = previewed(stage, "stack_env", set={"LEVEL": "DEBUG"})
    own = cluster.objects[CORE + "/configmaps/own"]
    own["data"]["level"] = "DEBUG"
    own["metadata"]["managedFields"] = [{"manager": by, "operation": "Update", "fieldsV1": {"f:data": {"f:level": {}}}}]
    preview.undo = {**(preview.undo or {}), "unsure": True}
    if by == "aiops-runbook":
        undone(stage, preview)
        assert cluster.export() == before
        return
    with pytest.raises(StackError, match="configmap/own is as this run wanted it, but nothing shows that the run itself has changed it: it stays") as caught:
        undone(stage, preview)
    assert "INFO" not in caught.value.message and own["data"]["level"] == "DEBUG"


def test_pods_that_do_not_come_up_are_told() -> None:
    cluster = shop()
    stage = stage_of(cluster)
    preview = previewed(stage, "stack_env", set={"LITERAL": "x"})
    cluster.stuck = {"api"}
    with pytest.raises(StackError, match="0 of 1 pods serve"):
        applied(stage, preview)


def test_a_program_that_has_another_value_all_the_same_is_told() -> None:
    cluster = shop()
    stage = stage_of(cluster)
    preview = previewed(stage, "stack_env", set={"LITERAL": "x"})
    cluster.images["LITERAL"] = "y"
    remedy_of("stack_env", "kubernetes").apply(stage, Step("stack_env", "api"), preview)
    cluster.started = {name: {**given, "LITERAL": "y"} for name, given in cluster.started.items()}
    stage.renew()
    assert "has not got what was set: LITERAL" in cluster_settings.verify(stage, "api", preview)


def test_the_token_covers_what_stands_there_and_holds_no_time() -> None:
    cluster = shop()
    entry = {"number": 1, "remedy": "stack_env", "component": "api", "params": {"set": {"LEVEL": "DEBUG"}}}
    tokens = [preview_steps(stage_of(cluster), [entry])[0]["token"] for _time in range(2)]
    cluster.put(store("ConfigMap", "own", level="WARNING", unused="x"))
    other = preview_steps(stage_of(cluster), [entry])[0]["token"]
    assert tokens[0] == tokens[1] != other
