"""Judgements on settings, reach and the way in: one row a case."""

from __future__ import annotations

import pytest
from samples import NOW, component, found, instance, stack

from ansible_collections.aiops.runbook.plugins.module_utils.judge import config, network
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import JUDGES, judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import Finding, Unseen

DOOR = {"inside": 8000, "host": "0.0.0.0", "outside": 8000}


def api(**changes):
    return component("api", "api", instance("shop-api-1", published=[DOOR], listening=[8000], **changes.pop("one", {})), **changes)


def db(**changes):
    return component("db", "postgres", instance("shop-db-1", listening=[5432], **changes.pop("one", {})), **changes)


def reach(**changes):
    fact = {"from": "api", "to": "db", "setting": "DATABASE_URL", "kind": "postgres", "host": "db", "port": 5432, "inside": True}
    return {**fact, "resolves": True, "addresses": ["172.20.0.3"], "connects": True, "error": "", "seconds": 0.001, **changes}


def test_they_register():
    modules = {judge.function.__module__ for judge in JUDGES if judge.domain == "stack"}
    assert {config.__name__, network.__name__} <= modules


def judged(*components, **changes):
    return list(judge_domain("stack", stack(*components, **changes), Limits()))


STOPPED = instance("shop-db-1", state="exited", exit_code=0, listening=None)
CASES = [
    ("connects", [api(), db()], reach(), []),
    ("no such host", [api(), db()], reach(to="", host="dbx", resolves=False, connects=None), [("config.host_unresolved", "api")]),
    ("the host is a stopped component", [api(), component("db", "postgres", STOPPED)], reach(resolves=False, connects=None), []),
    ("wrong port", [api(), db()], reach(port=5433, connects=False, error="refused"), [("config.wrong_port", "api")]),
    ("localhost is the container itself", [api(), db()], reach(to="api", host="localhost", connects=False, error="refused"), [("config.wrong_host", "api")]),
    (
        "localhost leads on through a container beside it, which does not listen",
        [api(one={"proxies": ["cloud-sql-proxy"]}), db()],
        reach(to="api", host="localhost", connects=False, error="refused"),
        [("network.refused", "api")],
    ),
    (
        "the database setting leads to Redis",
        [api(), component("redis", "redis", instance("r", listening=[6379]))],
        reach(to="redis", host="redis", connects=False, error="refused"),
        [("config.wrong_host", "api")],
    ),
    (
        "what browsers are told",
        [api(), db()],
        reach(to="api", kind="http", setting="SHOP_URL", host="localhost", connects=False, error="refused"),
        [],
    ),
    (
        "an unknown part before the database does not listen",
        [api(), component("pgpool", "unknown", instance("p", listening=[]))],
        reach(to="pgpool", host="pgpool", connects=False, error="refused"),
        [("network.refused", "api")],
    ),
    (
        "an unknown part before the database listens elsewhere",
        [api(), component("pgpool", "unknown", instance("p", listening=[9999]))],
        reach(to="pgpool", host="pgpool", connects=False, error="refused"),
        [("config.wrong_port", "api")],
    ),
    ("a rule rejects", [api(), db()], reach(connects=False, error="refused"), [("network.refused", "api")]),
    ("packets vanish", [api(), db()], reach(connects=False, error="timeout"), [("network.unreachable", "api")]),
    ("the database was taken off the network", [api(), db(one={"networks": {}})], reach(resolves=False, connects=None), [("network.partitioned", "db")]),
    (
        "the api was taken off the network",
        [api(one={"networks": {"other": "1.2.3.4"}}), db()],
        reach(resolves=False, connects=None),
        [("network.partitioned", "api")],
    ),
    (
        "no shared network by design",
        [api(), db(one={"networks": {"x": "1.1.1.1"}, "home_network": "x"})],
        reach(resolves=False, connects=None),
        [("network.partitioned", "api")],
    ),
    ("Podman's own network", [api(one={"home_network": "slirp4netns:mtu=1500", "networks": {}}), db()], reach(), []),
    ("the database is just starting", [api(), db(one={"started_at": NOW - 3})], reach(connects=False, error="refused"), []),
]


def test_a_server_of_another_stack_that_was_stopped_is_named():
    gone = {"instance": "data-pg-1", "project": "data", "state": "exited", "exit_code": 0, "finished_at": NOW - 60}
    fact = reach(to="", outer="warehouse:5432", host="warehouse", resolves=False, connects=None, elsewhere=gone)
    assert found(judged(api(), reach=[fact])) == [("container.not_running", "warehouse:5432")]
    assert found(judged(api(), reach=[{**fact, "elsewhere": None}])) == [("config.host_unresolved", "api")]


def test_a_server_elsewhere_that_is_silent_is_judged_itself():
    fact = reach(to="", outer="db.example:5432", host="db.example", connects=False, error="refused")
    silent = {"answers": {"unseen": {"reason": "refused", "kind": "refused", "fix": ""}}}
    assert found(judged(api(), reach=[fact], postgres={"db.example:5432": silent})) == []
    assert found(judged(api(), reach=[fact], postgres={"db.example:5432": {"answers": True}})) == [("network.refused", "api")]
    assert found(judged(api(), reach=[fact])) == [("network.refused", "api")]


@pytest.mark.parametrize(("what", "parts", "fact", "expected"), CASES, ids=[case[0] for case in CASES])
def test_reach(what, parts, fact, expected):
    assert found(judged(*parts, reach=[fact])) == expected


def test_a_resolver_that_does_not_answer_is_not_a_wrong_host():
    answers = judged(api(), db(), reach=[reach(resolves={"unseen": {"reason": "slow", "kind": "dns_timeout", "fix": ""}})])
    assert not found(answers)
    assert any(isinstance(answer, Unseen) and answer.id == "config.host_unresolved" for answer in answers)


def target(**changes):
    fact = {"setting": "DATABASE_URL", "source": "process", "kind": "postgres", "host": "db", "port": 5432, "user": "u", "database": "d", "malformed": ""}
    return {**fact, **changes}


def test_malformed():
    assert found(judged(api(targets=[target(malformed="no host")]))) == [("config.url_malformed", "api")]
    assert not found(judged(api(targets=[target()])))


SORTS = [("amqp", "celery.no_worker"), ("redis+sentinel", "redis.not_answering"), ("postgresql+socket", "postgres.not_answering")]


@pytest.mark.parametrize(("scheme", "expected"), SORTS, ids=[case[0] for case in SORTS])
def test_a_server_that_is_not_looked_at_is_named(scheme, expected):
    answers = judged(api(targets=[target(kind="unsupported", scheme=scheme)]))
    assert [answer.id for answer in answers if isinstance(answer, Unseen) and scheme in answer.reason] == [expected]


def test_a_server_that_only_a_connection_shows_was_not_looked_at():
    peer = {"from": "api", "to": "10.1.2.3:5432", "kind": "peer", "setting": "", "source": "peers", "host": "", "port": 5432}
    unseen = [(answer.id, answer.component) for answer in judged(api(), edges=[peer]) if isinstance(answer, Unseen)]
    assert unseen == [("postgres.not_answering", "10.1.2.3:5432")]
    assert not [answer for answer in judged(api(), db(), edges=[{**peer, "to": "db"}]) if isinstance(answer, Unseen)]


BROKERS = [
    ("none", [], True),
    ("a cache", [target(kind="cache")], True),
    ("its broker", [target(kind="broker")], False),
    ("one of another kind", [target(kind="unsupported", scheme="amqp")], False),
]


@pytest.mark.parametrize(("what", "targets", "expected"), BROKERS, ids=[case[0] for case in BROKERS])
def test_a_worker_whose_broker_nobody_knows_was_not_looked_at(what, targets, expected):
    answers = judged(component("worker", "worker", targets=targets))
    assert any(isinstance(answer, Unseen) and answer.reason.startswith("no setting of it names") for answer in answers) is expected


CRASHED = {"state": "exited", "exit_code": 1}


def words(kind, **detail):
    return {"kind": kind, "about": None, "exception": "KeyError", "sample": "KeyError", "detail": detail}


def test_setting_missing_is_told_by_the_last_words():
    part = api(one={**CRASHED, "last_words": words("setting_missing", name="DATABASE_URL")})
    assert found(judged(part)) == [("config.setting_missing", "api")]


def test_a_setting_that_is_there_is_not_missing():
    part = api(
        one={**CRASHED, "last_words": words("setting_missing", name="DATABASE_URL")}, settings=[{"name": "DATABASE_URL", "set": True, "source": "container"}]
    )
    assert not found(judged(part))


def test_setting_missing_is_told_by_a_twin():
    twin = component("worker", "worker", targets=[target()])
    assert found(judged(api(one=CRASHED), twin)) == [("config.setting_missing", "api")]
    wrong = api(one=CRASHED, settings=[{"name": "DATABASE_URL", "set": True, "source": "container"}])
    assert not found(judged(wrong, twin)), "it is set, whatever is wrong with it"
    assert not found(judged(api(), twin)), "a component that runs does without it"
    assert not found(judged(component("api.tail", "unknown", one=CRASHED), twin)), "what ships logs needs none of it"


def test_copies_that_differ():
    copies = [instance("a", environment_hashes={"X": "1", "HOSTNAME": "a"}, published=[DOOR]), instance("b", environment_hashes={"X": "2", "HOSTNAME": "b"})]
    assert found(judged(component("api", "api", *copies))) == [("config.setting_differs", "api")]
    copies[1]["environment_hashes"]["X"] = "1"
    assert not found(judged(component("api", "api", *copies)))


def test_copies_that_were_not_asked_are_not_compared():
    asked = [instance(name, environment_hashes={"X": "old"}, processes=[{"pid": 1}]) for name in "ab"]
    others = [instance(name, environment_hashes={"X": "new"}) for name in "cd"]
    assert not found(judged(component("worker", "worker", *asked, *others), platform="kubernetes"))
    asked[1]["environment_hashes"]["X"] = "other"
    assert found(judged(component("worker", "worker", *asked, *others), platform="kubernetes")) == [("config.setting_differs", "worker")]
    assert found(judged(component("worker", "worker", *others, instance("e", environment_hashes={"X": "other"})), platform="kubernetes"))


def account(**changes):
    return {"component": "api", "setting": "DATABASE_URL", "user": "u", "accepted": True, "password_changed_at": 0.0, **changes}


SAYS_REFUSED = {"component": "api", "now": NOW, "signatures": [{"kind": "postgres_auth", "first": NOW - 50, "last": NOW - 5, "count": 3}]}
ACCOUNTS = [
    ("accepted", account(), {}, {}, []),
    ("refused", account(accepted=False), {}, {}, [("postgres.password_rejected", "api")]),
    (
        "the files hold a newer one",
        account(accepted=False),
        {},
        {"api": {"accepted_after_restart": ["DATABASE_URL"], "networks_missing": [], "ports_missing": []}},
        [("config.stale_environment", "api"), ("postgres.password_rejected", "api")],
    ),
    (
        "the files hold a newer one that nobody needs yet",
        account(),
        {},
        {"api": {"accepted_after_restart": ["DATABASE_URL"], "networks_missing": [], "ports_missing": []}},
        [],
    ),
    (
        "the secret file is newer than the process, which is refused",
        account(password_changed_at=NOW - 60),
        {"logs": SAYS_REFUSED},
        {},
        [("config.stale_environment", "api"), ("postgres.password_rejected", "api")],
    ),
    ("the secret file is newer, and nobody complains", account(password_changed_at=NOW - 60), {}, {}, []),
]


@pytest.mark.parametrize(("what", "seen_account", "changes", "drift", "expected"), ACCOUNTS, ids=[case[0] for case in ACCOUNTS])
def test_accounts(what, seen_account, changes, drift, expected):
    facts = {"component": "db", "answers": True, "accounts": [seen_account]}
    assert found(judged(api(**changes), db(), postgres={"db": facts}, drift=drift)) == expected


def test_a_secret_that_one_client_is_refused_with_is_stale_for_all_who_started_before():
    facts = {"component": "db", "answers": True, "accounts": [account(password_changed_at=NOW - 60, component=name) for name in ("api", "worker")]}
    parts = [api(logs=SAYS_REFUSED), db(), component("worker", "worker")]
    causes = [name for what, name in found(judged(*parts, postgres={"db": facts})) if what == "config.stale_environment"]
    assert causes == ["api", "worker"]


LISTS = [
    ("not read", {"unseen": {"reason": "no superuser", "kind": "denied", "fix": ""}}, True),
    ("tells of it", [{"component": "api"}], False),
    ("does not tell of it", [{"component": "worker"}], True),
]


@pytest.mark.parametrize(("what", "credentials", "expected"), LISTS, ids=[case[0] for case in LISTS])
def test_an_account_that_was_not_tried(what, credentials, expected):
    facts = {"component": "db", "answers": True, "accounts": [account(accepted=None)], "credentials": credentials}
    answers = list(config.accounts(stack(api(), db(), postgres={"db": facts}), Limits()))
    assert any(isinstance(answer, Unseen) for answer in answers) is expected


def outside(**changes):
    fact = {"to": "api", "inside": 8000, "outside": 8000, "host": "0.0.0.0", "listening": True, "connects": True, "error": None, "status": 200, "seconds": 0.01}
    return {**fact, **changes}


def hangs_up(kind):
    return {"connects": False, "error": {"kind": kind, "reason": "x", "fix": ""}, "status": None}


PROXY = component("web", "proxy", instance("shop-web-1", published=[{**DOOR, "inside": 80}], listening=[80]))
YOUNG = {"started_at": NOW - 3}
WAY_IN = [
    ("answers", [api()], [outside()], [], []),
    ("nothing published", [component("api", "api", instance(listening=[8000]))], [], [], [("network.port_not_published", "api")]),
    ("nothing published, a proxy of another stack shares the network", [component("api", "api", instance(listening=[8000]))], [], ["edge"], []),
    ("on the host's own network", [component("api", "api", instance(listening=[8000], home_network="host"))], [], [], []),
    (
        "its network is that of one that publishes",
        [component("api", "api", instance(home_network="container:vpn0" + "0" * 60)), component("vpn", "unknown", instance("vpn0", published=[DOOR]))],
        [],
        [],
        [],
    ),
    ("an unknown part publishes", [component("api", "api"), component("site", "unknown", instance(published=[DOOR]))], [], [], []),
    ("a tunnel", [component("api", "api"), component("way", "unknown", instance(command="cloudflared tunnel run"))], [], [], []),
    ("an unknown part publishes nothing", [component("api", "api"), component("site", "unknown")], [], [], [("network.port_not_published", "api")]),
    ("a server publishes", [component("api", "api"), db(one={"published": [DOOR]})], [], [], [("network.port_not_published", "api")]),
    ("the proxy publishes", [component("api", "api", instance(listening=[8000])), PROXY], [outside(to="web")], [], []),
    (
        "the proxy's port is gone",
        [component("api", "api", instance(listening=[8000])), component("web", "proxy", instance(listening=[80]))],
        [],
        [],
        [("network.port_not_published", "web")],
    ),
    ("mapped to a port where nobody listens", [api()], [outside(listening=False, connects=False)], [], [("network.published_port_wrong", "api")]),
    ("mapped so just now: an api may open another port yet", [api(one=YOUNG)], [outside(listening=False, connects=False)], [], []),
    (
        "mapped so just now: a proxy opens all of its ports at once",
        [api(), component("web", "proxy", instance("shop-web-1", published=[DOOR], listening=[80], **YOUNG))],
        [outside(to="web", listening=False, connects=False)],
        [],
        [("network.published_port_wrong", "web")],
    ),
    ("refused outside", [api()], [outside(connects=False, error={"kind": "refused", "reason": "x", "fix": ""})], [], [("network.outside_unreachable", "api")]),
    ("a proxy without a certificate for an address", [api(), PROXY], [outside(to="web", listening=None, **hangs_up("tls"))], [], []),
    ("a proxy that hangs up on who names no site", [api(), PROXY], [outside(to="web", **hangs_up("reset"))], [], []),
    (
        "hung up where it is not known what listens",
        [api(), PROXY],
        [outside(to="web", listening=None, **hangs_up("reset"))],
        [],
        [("network.outside_unreachable", "web")],
    ),
    ("an api hangs up", [api()], [outside(**hangs_up("reset"))], [], [("network.outside_unreachable", "api")]),
    ("bad gateway", [component("api", "api", instance(listening=[8000])), PROXY], [outside(to="web", status=502)], [], [("http.bad_gateway", "web")]),
    (
        "a proxy that serves by names",
        [component("api", "api", settings=[{"name": "VIRTUAL_HOST", "set": True}]), PROXY],
        [outside(to="web", status=503)],
        [],
        [],
    ),
    ("a proxy without anybody behind it", [component("api", "api"), PROXY], [outside(to="web", status=503)], [], [("http.bad_gateway", "web")]),
    ("the api itself says 503", [api()], [outside(status=503)], [], []),
]


@pytest.mark.parametrize(("what", "parts", "facts", "outsiders", "expected"), WAY_IN, ids=[case[0] for case in WAY_IN])
def test_way_in(what, parts, facts, outsiders, expected):
    assert found(judged(*parts, outside=facts, outsiders=outsiders)) == expected


def test_a_port_that_the_files_want_and_the_container_has_not():
    drift = {"api": {"ports_missing": [{"inside": 8000, "outside": 8000}], "networks_missing": [], "accepted_after_restart": []}}
    for part, severity in ((component("api", "api", instance(listening=[8000])), "critical"), (api(), "warning")):
        answers = [answer for answer in judged(part, drift=drift) if isinstance(answer, Finding)]
        assert [(answer.id, answer.severity) for answer in answers] == [("network.port_not_published", severity)]


def test_files_that_compose_cannot_read():
    drift = {"unseen": {"reason": "additional properties 'prots' not allowed", "kind": "compose_invalid", "fix": ""}}
    assert found(judged(api(), drift=drift)) == [("config.files_invalid", "stack")]
    drift = {"unseen": {"reason": "required variable X is missing a value", "kind": "variable_missing", "fix": ""}}
    answers = judged(api(), drift=drift)
    assert not found(answers) and any(isinstance(answer, Unseen) and answer.id == "config.files_invalid" for answer in answers)
