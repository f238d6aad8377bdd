"""From findings to root causes: one row a case. The catalogue's own rules are used."""

from __future__ import annotations

import pytest
from samples import component, edge, event, stack

from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, INFO, WARNING, Clear, Finding, Unseen
from ansible_collections.aiops.runbook.plugins.plugin_utils.diagnose import diagnose

SHOP = [component("web", "proxy"), component("api", "api"), component("worker", "worker"), component("db", "postgres"), component("redis", "redis")]
EDGES = [
    edge("web", "api", "http"),
    edge("api", "db"),
    edge("worker", "db"),
    edge("api", "redis", "broker"),
    edge("worker", "redis", "broker"),
]


def finding(name, severity=CRITICAL, about=None, **evidence):
    what, _at, where = name.partition("@")
    return Finding(what, where, severity, evidence, about=about)


CASES = [
    ("nothing", [], []),
    ("a stopped database", ["container.not_running@db", "http.not_ready@api", "http.bad_gateway@web"], ["container.not_running@db"]),
    ("a lock", ["postgres.lock_held@db", "http.hung@api", "http.slow@api", "container.unhealthy@api"], ["postgres.lock_held@db"]),
    ("a stopped worker", ["container.not_running@worker", "celery.no_worker@redis"], ["container.not_running@worker"]),
    ("Redis full", ["redis.memory_full@redis", "http.not_ready@api"], ["redis.memory_full@redis"]),
    (
        "a probe's PING is answered with MISCONF",
        ["redis.save_failing@redis", "container.unhealthy@redis", "service.no_endpoints@redis"],
        ["redis.save_failing@redis"],
    ),
    (
        "two independent ones",
        ["postgres.lock_held@db", "redis.save_failing@redis", "http.hung@api"],
        ["postgres.lock_held@db", "redis.save_failing@redis"],
    ),
    ("a symptom that nothing explains stands for itself", ["http.errors@api"], ["http.errors@api"]),
    ("stale explains rejected", ["config.stale_environment@api", "postgres.password_rejected@api", "http.not_ready@api"], ["config.stale_environment@api"]),
    ("an illness of the proxy does not explain the api", ["container.unhealthy@web", "http.slow@api"], ["container.unhealthy@web", "http.slow@api"]),
]


@pytest.mark.parametrize(("what", "names", "expected"), CASES, ids=[case[0] for case in CASES])
def test_root_causes(what, names, expected):
    model = diagnose(stack(*SHOP, edges=EDGES), [finding(name) for name in names])
    assert sorted(root["key"] for root in model["root_causes"]) == expected
    assert all(item["caused_by"] for item in model["findings"] if not item["is_root"])


@pytest.mark.parametrize(("kind", "roots"), [("redis", ["redis.save_failing"]), ("postgres", ["network.refused", "redis.save_failing"])])
def test_a_redis_that_cannot_save_explains_that_its_own_port_refuses(kind, roots):
    """It answers a probe's PING with an error, and a Service leads to no pod that is not ready."""
    model = diagnose(stack(*SHOP, edges=EDGES), [finding("redis.save_failing@redis"), finding("network.refused@api", kind=kind)])
    assert sorted(root["id"] for root in model["root_causes"]) == roots


@pytest.mark.parametrize(("evidence", "roots"), [({"service": "api"}, 1), ({}, 2)], ids=["the Service between them", "a port for the outside alone"])
def test_a_port_that_leads_nowhere_is_in_the_way_of_those_that_come_through_it(evidence, roots):
    wrong = finding("network.published_port_wrong@api", **evidence)
    model = diagnose(stack(*SHOP, edges=EDGES), [wrong, finding("http.bad_gateway@web")])
    assert len(model["root_causes"]) == roots


def test_a_crash_is_explained_only_by_what_it_names():
    crash = finding("container.crashed@api", failure_about="postgres", failure_kind="postgres_refused")
    other = finding("container.crashed@api", failure_about="", failure_kind="import_error")
    down = finding("container.not_running@db")
    assert [root["id"] for root in diagnose(stack(*SHOP, edges=EDGES), [crash, down])["root_causes"]] == ["container.not_running"]
    assert sorted(root["id"] for root in diagnose(stack(*SHOP, edges=EDGES), [other, down])["root_causes"]) == ["container.crashed", "container.not_running"]


def test_a_crash_is_explained_only_by_a_server_of_the_kind_that_it_names():
    crash = finding("container.crashed@api", failure_about="postgres", failure_kind="postgres_auth")
    roots = [root["id"] for root in diagnose(stack(*SHOP, edges=EDGES), [crash, finding("container.paused@redis")])["root_causes"]]
    assert sorted(roots) == ["container.crashed", "container.paused"]
    assert [root["id"] for root in diagnose(stack(*SHOP, edges=EDGES), [crash, finding("container.paused@db")])["root_causes"]] == ["container.paused"]
    queue = finding("container.copy_down@worker", WARNING, failure_about="broker")
    assert [root["id"] for root in diagnose(stack(*SHOP, edges=EDGES), [queue, finding("container.paused@redis")])["root_causes"]] == ["container.paused"]


def test_two_judges_of_one_illness_add_up():
    twice = [finding("postgres.password_rejected@api", about="db", cause="password"), finding("postgres.password_rejected@api", about="db", setting="PGDSN")]
    (root,) = diagnose(stack(*SHOP, edges=EDGES), twice)["root_causes"]
    assert root["evidence"] == {"cause": "password", "setting": "PGDSN"}


def test_a_server_elsewhere_is_not_looked_for_by_the_commands_of_this_stack():
    (root,) = diagnose(stack(*SHOP, edges=EDGES), [finding("postgres.not_answering@db.example:5432")])["root_causes"]
    assert "db.example:5432" in root["do"][0]
    assert not any("docker compose" in line for line in root["do"])


CELERY = [
    component("api", "api"), component("worker", "worker"), component("mailer", "worker"), component("redis", "redis"), component("exporter", "other"),
    component("db", "postgres"), component("analytics", "postgres"), component("metabase", "other"), component("llm", "llm"),
]  # fmt: skip
CELERY_EDGES = [
    *(edge(name, "redis", "broker") for name in ("api", "worker", "mailer")),
    edge("exporter", "redis", "redis"), edge("worker", "db"), edge("metabase", "analytics"), edge("api", "llm", "llm"),
]  # fmt: skip
APART = [
    ("another client of the broker", ["container.not_running@exporter", "celery.no_worker@redis"], 2),
    ("the api's way elsewhere", ["config.wrong_port@api", "celery.queue_without_consumer@redis"], 2),
    ("a worker", ["container.crashed@mailer", "celery.queue_without_consumer@redis"], 1),
    ("a database of no worker", ["postgres.long_query@analytics", "celery.queue_backlog@redis"], 2),
    ("the workers' database", ["postgres.long_query@db", "celery.queue_backlog@redis"], 1),
]


@pytest.mark.parametrize(("what", "names", "roots"), APART, ids=[case[0] for case in APART])
def test_what_stands_in_queues_is_explained_only_by_who_works_on_them(what, names, roots):
    found = diagnose(stack(*CELERY, edges=CELERY_EDGES), [finding(name) for name in names])["root_causes"]
    assert len(found) == roots


@pytest.mark.parametrize(("kind", "roots"), [("import_error", 2), ("port_in_use", 2), ("setting_missing", 1), ("", 1)])
def test_what_a_program_lacks_itself_has_nothing_to_do_with_its_settings(kind, roots):
    crash = finding("container.crashed@api", failure_kind=kind, failure_about="")
    names = [root["id"] for root in diagnose(stack(*CELERY, edges=CELERY_EDGES), [finding("config.wrong_port@api", about="llm"), crash])["root_causes"]]
    assert len(names) == roots and ("container.crashed" in names) == (roots == 2)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("config.host_unresolved", "host"),
        ("config.url_malformed", "setting"),
        ("logs.error_burst", "fingerprint"),
        ("postgres.connections_exhausted", "scope"),
        ("postgres.prepared_transaction", "gid"),
    ],
)
def test_several_illnesses_of_one_kind_are_all_told(name, key):
    one, other, again = (finding(name + "@api", **{key: value}) for value in ("a", "b", "a"))
    assert [found["evidence"][key] for found in diagnose(stack(component("api", "api")), [one, other, again])["findings"]] == ["a", "b"]


def test_a_slight_cause_stands_only_for_a_grave_symptom_without_a_graver_one():
    slight = finding("postgres.lock_held@db", INFO, pid=1)
    roots = [root["id"] for root in diagnose(stack(*SHOP, edges=EDGES), [slight, finding("http.hung@api")])["root_causes"]]
    assert roots == ["postgres.lock_held"]
    assert diagnose(stack(*SHOP, edges=EDGES), [slight])["root_causes"] == []
    roots = [root["id"] for root in diagnose(stack(*SHOP, edges=EDGES), [slight, finding("http.hung@api"), finding("container.paused@redis")])["root_causes"]]
    assert roots == ["container.paused"]


def test_the_path_leads_from_the_effect_to_the_cause():
    model = diagnose(
        stack(*SHOP, edges=EDGES), [finding("container.not_running@db", state="exited", exit_code=0), finding("http.not_ready@api", failing=["postgres"])]
    )
    (consequence,) = model["root_causes"][0]["consequences"]
    assert [step.split(":")[0] for step in consequence["path"]] == ["api", "db"]


VERDICTS = [
    ("healthy", [], "healthy"),
    ("info changes nothing", [finding("redis.no_memory_limit@redis", INFO)], "healthy"),
    ("a warning", [finding("postgres.idle_in_transaction@db", WARNING)], "degraded"),
    ("critical behind the api", [finding("redis.save_failing@redis")], "degraded"),
    ("the api is kept from its database", [finding("postgres.password_rejected@api", about="db")], "down"),
    ("a worker is kept from its database", [finding("postgres.password_rejected@worker", about="db")], "degraded"),
    ("the api is kept from its broker", [finding("config.wrong_port@api", about="redis")], "degraded"),
    ("the api hangs", [finding("http.hung@api")], "down"),
    ("the api has too small a pool, and who asks late waits", [finding("postgres.pool_exhausted@api", about="db"), finding("http.hung@api")], "degraded"),
    (
        "its pool is held by what hangs",
        [finding("postgres.lock_held@db", pid=1), finding("postgres.pool_exhausted@api", about="db"), finding("http.hung@api")],
        "down",
    ),
    ("something unseen is not healthy", [Unseen("postgres.lock_held", "db", "no account")], "unknown"),
    ("ill, and something unseen", [finding("http.hung@api"), Unseen("postgres.lock_held", "db", "no account")], "down"),
]


@pytest.mark.parametrize(("what", "answers", "expected"), VERDICTS, ids=[case[0] for case in VERDICTS])
def test_verdict(what, answers, expected):
    assert diagnose(stack(*SHOP, edges=EDGES), answers)["verdict"] == expected


def test_ruled_out_are_the_candidates_that_were_looked_at():
    answers = [finding("http.hung@api"), Clear("postgres.lock_held", "db", {"waiting": 0}), Clear("celery.no_worker", "redis", {"workers": 1})]
    assert [item["id"] for item in diagnose(stack(*SHOP, edges=EDGES), answers)["ruled_out"]] == ["postgres.lock_held"]


def test_what_changed_lately_stands_with_the_cause():
    model = diagnose(stack(*SHOP, edges=EDGES, events=[event("db", "die", 60, exitCode="0"), event("api", "start", 30)]), [finding("container.not_running@db")])
    assert [change["what"] for change in model["root_causes"][0]["changed"]] == ["die exitCode=0"]


def test_an_event_of_a_cluster_is_told_in_a_line():
    events = [
        event("db", "failed_mount", 50, about="Pod/db-0", count=4, message="the claim is not there"),
        event("db", "pulled", 40, about="Pod/db-0", count=1, message="x"),
    ]
    model = diagnose(stack(*SHOP, edges=EDGES, events=events), [finding("container.not_running@db")])
    assert [change["what"] for change in model["root_causes"][0]["changed"]] == ["failed_mount Pod/db-0 4 times: the claim is not there"]


def test_probes_are_called_by_the_names_of_their_instances():
    seen = stack(*SHOP)
    seen["components"]["db"]["instances"][0].update(id="3cbc97d0-56b", name="shop-db-1")
    seen["timing"] = {
        "total_seconds": 2.0,
        "probes": {"logs:3cbc97d0-56b0-4299-8830-1f926022e66b": 1.0, "reach:cf644d556f29e4ddf1b2:db:5432": 0.5, "http:api": 0.1},
    }
    assert diagnose(seen, [])["timing"]["probes"] == {"logs:shop-db-1": 1.0, "reach:cf644d556f29e4ddf1b2:db:5432": 0.5, "http:api": 0.1}


def test_a_circle_of_explanations_still_has_a_root():
    loop = [finding("container.not_running@db", state="created"), finding("container.crashed@api", failure_about="postgres")]
    both_ways = [*EDGES, edge("db", "api")]
    assert len(diagnose(stack(*SHOP, edges=both_ways), loop)["root_causes"]) == 1


def test_traditional_chinese():
    model = diagnose(stack(*SHOP, edges=EDGES), [finding("container.paused@redis", instance="shop-redis-1")], lang="zh-TW")
    assert model["root_causes"][0]["title"] == "容器已被暫停"
    assert model["lang"] == "zh-TW"


def test_what_an_illness_hides_is_not_told_as_unseen():
    answers = [finding("http.hung@api"), Unseen("http.not_ready", "api", "no answer"), Unseen("postgres.lock_held", "db", "no account")]
    assert [item["id"] for item in diagnose(stack(*SHOP, edges=EDGES), answers)["unknown"]] == ["postgres.lock_held"]


def test_only_a_check_of_ones_own_brings_its_title_along():
    said = {"route": "/ready", "said": "503", "text": '{"status": "not ready"}', "failing": ["redis"], "details": {}}
    model = diagnose(stack(*SHOP, edges=EDGES), [finding("http.not_ready@api", **said), finding("custom.disk@api", text="The disk is old")])
    titles = {item["id"]: item["title"] for item in model["findings"]}
    assert titles == {"http.not_ready": "It is not ready: /ready answers 503", "custom.disk": "The disk is old"}
