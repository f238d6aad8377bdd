"""Judgements on settings, reach and the way in: one row a case."""

from __future__ import annotations

import pytest
from samples import NOW, component, found, instance, stack

from ansible_collections.aiops.runbook.plugins.module_utils.judge import config, network
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import JUDGES, judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import Finding, Unseen, unseen

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


SORTS = [
    ("amqp", "celery.no_worker"),
    ("redis+sentinel", "redis.not_answering"),
    ("sentinel", "redis.not_answering"),
    ("postgresql+socket", "postgres.not_answering"),
]


@pytest.mark.parametrize(("scheme", "expected"), SORTS, ids=[case[0] for case in SORTS])
def test_a_server_that_is_not_looked_at_is_named(scheme, expected):
    answers = judged(api(targets=[target(kind="unsupported", scheme=scheme)]))
    assert [answer.id for answer in answers if isinstance(answer, Unseen) and scheme in answer.reason] == [expected]


def test_a_database_of_a_kind_that_nobody_knows_is_named():
    answers = judged(api(targets=[target(kind="database", scheme="gel", host="", port=0)]))
    assert [answer.id for answer in answers if isinstance(answer, Unseen) and "gel" in answer.reason] == ["postgres.not_answering"]


def led(user, used, kind="postgres"):
    return {"from": user, "to": used, "kind": kind, "setting": "DATABASE_URL", "source": "process", "host": used, "port": 5432}


NOT_ASKED = [
    ("a tool", [component("x", "other")], [led("api", "x")], {}, [], ["x"]),
    ("a broker", [component("x", "broker")], [led("api", "x", "cache")], {}, [], ["x"]),
    ("a server of the other kind", [component("x", "redis")], [led("api", "x")], {"redis": {"x": {"component": "x", "answers": True}}}, [], ["x"]),
    ("it was asked", [db()], [led("api", "db")], {"postgres": {"db": {"component": "db", "answers": True}}}, [], []),
    (
        "what it leads to was asked",
        [component("x", "gate")],
        [led("api", "x"), led("x", "x:5432")],
        {"postgres": {"x:5432": {"component": "x:5432", "answers": True}}},
        [],
        [],
    ),
    (
        "the database of a pooler was asked",
        [component("x", "pgbouncer"), db()],
        [led("api", "x"), led("x", "db")],
        {"postgres": {"db": {"component": "db", "answers": True}}},
        [],
        [],
    ),
    ("it cannot be reached, which is told", [component("x", "other")], [led("api", "x")], {}, [reach(to="x", connects=False, error="refused")], []),
    ("it does not run, which is told", [component("x", "other", instance("x", state="exited"))], [led("api", "x")], {}, [], []),
    ("who has the settings and uses other servers only", [component("x", "other"), component("clock", "beat")], [led("clock", "x")], {}, [], []),
    ("a call of another kind", [component("x", "other")], [led("api", "x", "http")], {}, [], []),
]


@pytest.mark.parametrize(("what", "parts", "edges", "servers", "reached", "expected"), NOT_ASKED, ids=[case[0] for case in NOT_ASKED])
def test_what_a_setting_leads_to_and_nobody_asked(what, parts, edges, servers, reached, expected):
    seen = stack(api(), *parts, edges=edges, reach=reached, **servers)
    assert [answer.component for answer in config.unasked(seen, Limits()) if isinstance(answer, Unseen)] == expected


DOORS = [
    ("let in", {"accepted": True, "reason": ""}, [], ["Clear"]),
    ("refused", {"accepted": False, "reason": "no"}, [("postgres.password_rejected", "api")], ["Finding"]),
    ("the pooler waits for its server", {"accepted": None, "reason": "no answer within 2.0 s"}, [], ["Unseen"]),
]


@pytest.mark.parametrize(("what", "login", "expected", "said"), DOORS, ids=[case[0] for case in DOORS])
def test_the_door_of_a_pooler(what, login, expected, said):
    facts = {"component": "pool", "accounts": [{"component": "api", "setting": "DATABASE_URL", "user": "u", "password_changed_at": 0.0, **login}]}
    answers = list(config.doors(stack(api(), component("pool", "pgbouncer"), doors={"pool": facts}), Limits()))
    assert (found(answers), [type(answer).__name__ for answer in answers]) == (expected, said)
    assert all(answer.about == "pool" for answer in answers if not isinstance(answer, Unseen))


def test_the_door_of_a_pooler_that_nobody_came_to():
    facts = {"component": "pool", "unasked": {"unseen": {"reason": "no answer within 5.0 s", "kind": "timeout", "fix": ""}}, "accounts": []}
    assert [answer.component for answer in config.doors(stack(api(), doors={"pool": facts}), Limits())] == ["pool"]
    assert not list(config.doors(stack(api()), Limits())), "observations that were saved before there were doors"


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


def last(kind, sample, about=None, **detail):
    return {"kind": kind, "about": about, "exception": None, "sample": sample, "detail": detail}


HEADS = last("migration_multiple_heads", "FAILED: Multiple head revisions are present for given argument 'head'")
WORDS = [
    ("it said nothing", "api", None, "CACHE_REDIS_URL"),
    ("words that name the setting", "api", last("exception", "KeyError: 'REDIS_URL'"), "REDIS_URL"),
    ("a setting of a longer name", "api", last("exception", "KeyError: 'OLD_REDIS_URL'"), None),
    ("words that list it", "api", last("setting_missing", "1 validation error", name="token", names=["token", "redis_url"]), "REDIS_URL"),
    ("words of such a server", "worker", last("redis_refused", "Error 111 connecting to localhost:6379", "redis"), "CACHE_REDIS_URL"),
    ("words of the broker", "worker", last("broker_unreachable", "consumer: Cannot connect", "broker"), "CACHE_REDIS_URL"),
    ("words of another server", "api", last("postgres_refused", "connection to server failed", "postgres"), None),
    ("words of something else", "api", last("import_error", "No module named 'pricing'"), None),
    ("a migration with two heads", "migration", HEADS, None),
    ("a migration without a database", "migration", last("redis_refused", "Error 111", "redis"), "CACHE_REDIS_URL"),
]


@pytest.mark.parametrize(("what", "role", "said", "expected"), WORDS, ids=[case[0] for case in WORDS])
def test_what_a_twin_has_is_missed_where_the_last_words_fit(what, role, said, expected):
    cache = [target(setting=name, kind=kind) for name, kind in (("REDIS_URL", "redis"), ("CACHE_REDIS_URL", "cache"))]
    ended = instance("shop-it-1", state="exited", exit_code=1, **({"last_words": said} if said else {}))
    it = component("it", role, ended, targets=[target()], settings=[{"name": "TOKEN", "set": True, "source": "container"}])
    seen = stack(it, component("twin", "worker", targets=[target(), *cache]))
    told = [one.evidence["setting"] for one in config.missing(seen, Limits()) if isinstance(one, Finding)]
    assert told == ([expected] if expected else [])


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


GRPC = {"inside": 50051, "outside": 50051}
MORE_PORTS = [
    ("gRPC beside HTTP", [outside(), outside(**GRPC, **hangs_up("protocol"))], []),
    ("a debugger beside HTTP", [outside(), outside(**GRPC, **hangs_up("reset"))], []),
    ("nobody could look, and something answers", [outside(), outside(**GRPC, **{**hangs_up("protocol"), "listening": None})], []),
    (
        "nobody could look, and somebody hangs up",
        [outside(), outside(**GRPC, **{**hangs_up("reset"), "listening": None})],
        [("outside_unreachable", "warning")],
    ),
    ("one more that refuses", [outside(), outside(**GRPC, **{**hangs_up("refused"), "listening": None})], [("outside_unreachable", "warning")]),
    ("one more without a listener", [outside(), outside(**GRPC, listening=False, connects=False)], [("published_port_wrong", "warning")]),
    # what must stay grave
    (
        "no other answers",
        [outside(connects=False), outside(**GRPC, listening=False, connects=False)],
        [("outside_unreachable", "critical"), ("published_port_wrong", "critical")],
    ),
    ("the only one hangs up", [outside(**hangs_up("protocol"))], [("outside_unreachable", "critical")]),
    ("a copy answers at the same port", [outside(), outside(outside=8001, **hangs_up("reset"))], [("outside_unreachable", "critical")]),
    (
        "another component answers",
        [outside(to="web"), outside(**GRPC, listening=False, connects=False)],
        [("published_port_wrong", "critical")],
    ),
    (
        "a proxy's door for TLS",
        [outside(to="web"), outside(to="web", inside=443, outside=443, listening=False, connects=False)],
        [("published_port_wrong", "critical")],
    ),
]


@pytest.mark.parametrize(("what", "facts", "expected"), MORE_PORTS, ids=[case[0] for case in MORE_PORTS])
def test_an_api_may_publish_what_is_not_http(what, facts, expected):
    answers = [one for one in network.outside(stack(api(), PROXY, outside=facts), Limits()) if isinstance(one, Finding)]
    assert [(one.id.split(".")[1], one.severity) for one in answers] == expected


def test_what_is_no_http_is_told_as_that():
    given = list(network.outside(stack(api(), outside=[outside(), outside(**GRPC, **hangs_up("protocol"))]), Limits()))
    assert [one.evidence["status"] for one in given] == [200, "something else than HTTP"]


def asked_inside(status, **changes):
    return {"component": "api", "answers": True, "routes": {"/health": {"status": status}}, **changes}


def by_address(status, **changes):
    return outside(to="web", status=status, route="/health", **changes)


SITES = [
    ("HAProxy without a default", by_address(503), asked_inside(200), [], ["http.bad_gateway"]),
    ("Traefik", by_address(404), asked_inside(200), [], ["http.bad_gateway"]),
    ("an api that has no such route", by_address(503), asked_inside(404), [], ["http.bad_gateway"]),
    ("the api's own 404, handed on", by_address(404), asked_inside(404), [], []),
    ("the api's own 503, handed on", by_address(503), asked_inside(503), [("http.bad_gateway", "web")], []),
    ("the api is ill", by_address(503), asked_inside(500), [("http.bad_gateway", "web")], []),
    ("the api does not answer", by_address(503), asked_inside(200, answers=unseen("x", kind="timeout")), [("http.bad_gateway", "web")], []),
    ("what nginx says of an upstream that is gone", by_address(502), asked_inside(200), [("http.bad_gateway", "web")], []),
    ("saved before the route was noted", outside(to="web", status=503), asked_inside(200), [("http.bad_gateway", "web")], []),
]


@pytest.mark.parametrize(("what", "fact", "inside", "expected", "not_seen"), SITES, ids=[case[0] for case in SITES])
def test_a_proxy_that_may_serve_by_names(what, fact, inside, expected, not_seen):
    parts = [component("api", "api", instance(listening=[8000])), PROXY]
    answers = list(network.outside(stack(*parts, outside=[fact], http={"api": inside}), Limits()))
    assert (found(answers), [one.id for one in answers if isinstance(one, Unseen)]) == (expected, not_seen)
    assert all(one.fix == "name where users reach it by http_url" for one in answers if isinstance(one, Unseen))
    # Where users come is told: then what the address says is nothing, and what is met there counts.
    met = outside(to="", url="https://shop.example")
    told = list(network.outside(stack(*parts, outside=[fact, met], http={"api": inside}), Limits()))
    assert (found(told), [one for one in told if isinstance(one, Unseen)]) == (expected, [])
    ill = list(network.outside(stack(*parts, outside=[fact, {**met, "status": 503}], http={"api": inside}), Limits()))
    assert ("http.bad_gateway", "web") in found(ill)


def test_a_proxy_that_cannot_reach_the_api_is_not_spared():
    cut = component("api", "api", instance(listening=[8000], networks={"other": "172.21.0.2"}))
    answers = network.outside(stack(cut, PROXY, outside=[by_address(503)], http={"api": asked_inside(200)}), Limits())
    assert found(answers) == [("http.bad_gateway", "web")]


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
