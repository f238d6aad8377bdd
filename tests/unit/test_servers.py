"""Which servers of a scene are asked, with which accounts, and what is expected of them: one row a case."""

from __future__ import annotations

import hashlib
import types
from concurrent.futures import Future
from dataclasses import replace

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.connect.postgres import PostgresTarget, parse_url
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.redis import auth_mismatch
from ansible_collections.aiops.runbook.plugins.module_utils.model import Clear, Finding, StackError, Unseen, unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe import servers as observed
from ansible_collections.aiops.runbook.plugins.module_utils.observe.document import Document
from ansible_collections.aiops.runbook.plugins.module_utils.observe.postgres import Reader, _login_of
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Options, Scene
from ansible_collections.aiops.runbook.plugins.module_utils.observe.servers import Server, Servers
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import Target
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, File, Instance
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

FILES = {"/secrets/redis-password": File(b"pw\n", 0.0), "/secrets/user": File(b"shop_app\n", 0.0), "/secrets/database": File(b"shop", 0.0)}


def part(name, role, **changes):
    networks = {"lan": {"address": "10.0.0.%d" % (len(name) + 1), "aliases": [name]}}
    return Component(id=name, role=role, instances=[Instance(id="id-" + name, name=name, state="running", networks=networks, **changes)])


def servers(*parts, targets=(), **options):
    platform = types.SimpleNamespace(name="compose", components=lambda: list(parts), file=lambda _one, path: FILES.get(path), enter=lambda _one: None)
    scene = Scene(platform, Mask(), Options(**options))
    for target in targets:
        scene.targets.setdefault(target.component, []).append(target)
    return Servers(scene)


def to(host, kind="redis", setting="REDIS_URL", **changes):
    return Target("api", setting, "process", kind, host=host, port=6379, **changes)


NOAUTH = unseen("wants a password and none was given", kind="auth_required")
WRONG = unseen("does not accept the password", kind="auth")
API = part("api", "api")
ACCOUNTS = [
    ("its own, in a file", {"REDIS_PASSWORD_FILE": "/secrets/redis-password"}, [], "pw", (True, ["pw"])),
    ("its own", {"REDIS_PASSWORD": "pw"}, [], "pw", (True, ["pw"])),
    ("its own that is not in force", {"REDIS_PASSWORD": "pw"}, [], "", (True, ["pw", ""])),
    ("none is known", {}, [], "pw", ("no_account", [""])),
    ("none is known, and none is needed", {}, [], "", (True, [""])),
    ("a client's alone, where there is one", {"REDIS_PASSWORD": "pw"}, [to("redis")], "pw", ("auth_required", [""])),
]


def door(wanted, tried):
    """How a Redis answers that lets this password in alone; tried: those that it was given."""

    def ask(target, where):
        tried.append(target.password)
        return {"component": "redis", "answers": True if target.password == wanted else WRONG if target.password else NOAUTH}

    return ask


@pytest.mark.parametrize(("what", "environment", "targets", "wanted", "expected"), ACCOUNTS, ids=[case[0] for case in ACCOUNTS])
def test_accounts_of_a_redis(what, environment, targets, wanted, expected):
    found = servers(API, part("redis", "redis", environment=environment), targets=targets)
    found.go = lambda server, target: ("redis", "10.0.0.6", 6379)
    tried = []
    facts = found._look_with_accounts(found.found[0], "redis", door(wanted, tried))
    assert (facts["answers"] if facts["answers"] is True else facts["answers"]["unseen"]["kind"], list(dict.fromkeys(tried))) == expected
    assert isinstance(next(iter(auth_mismatch(facts, Limits()))), {"no_account": Unseen, "auth_required": Finding}.get(expected[0], Clear))


def test_the_applications_own_account_comes_first():
    targets = [replace(to("db", "postgres", user=name), component=name) for name in ("airflow", "jobs", "shop")]
    parts = [part("airflow", "unknown"), part("jobs", "worker"), part("shop", "api"), part("db", "postgres")]
    found = servers(*parts, targets=targets)
    assert [one.user for one in found._candidates(found.found[0])] == ["jobs", "shop", "airflow"]


COMPARED = [
    ("the same", {"user": "a", "password": "pw"}, {"user": "a", "password": "pw"}, True),
    ("another password of the same user", {"user": "a", "password": "pw"}, {"user": "a", "password": "old"}, False),
    ("another user", {"user": "a", "password": "pw"}, {"user": "b", "password": "pw"}, None),
    ("the default user, by name and without", {"user": "default", "password": "pw"}, {"password": "pw"}, True),
    ("another password of the default user", {"user": "default", "password": "pw"}, {"password": "old"}, False),
]


@pytest.mark.parametrize(("what", "good", "other", "expected"), COMPARED, ids=[case[0] for case in COMPARED])
def test_what_one_login_tells_of_others(what, good, other, expected):
    found = servers(API, part("redis", "redis"), targets=[to("redis", **other)])
    assert [one["accepted"] for one in found._compare_accounts(found.found[0], to("redis", **good), [], "redis")] == [expected]


IN_FILES = {"POSTGRES_PASSWORD_FILE": "/secrets/redis-password", "POSTGRES_USER_FILE": "/secrets/user", "POSTGRES_DB_FILE": "/secrets/database"}
OWN = [
    ("the official image's", {"POSTGRES_PASSWORD": "pw", "POSTGRES_USER": "shop"}, ("shop", "pw", "shop", "POSTGRES_PASSWORD")),
    ("in a file", {"POSTGRES_PASSWORD_FILE": "/secrets/redis-password", "POSTGRES_DB": "d"}, ("postgres", "pw", "d", "POSTGRES_PASSWORD")),
    ("all of it in files", IN_FILES, ("shop_app", "pw", "shop", "POSTGRES_PASSWORD")),
    ("Bitnami's", {"POSTGRESQL_PASSWORD": "pw", "POSTGRESQL_USERNAME": "u", "POSTGRESQL_DATABASE": "d"}, ("u", "pw", "d", "POSTGRESQL_PASSWORD")),
    ("none", {"POSTGRES_HOST_AUTH_METHOD": "trust"}, None),
]


@pytest.mark.parametrize(("what", "environment", "expected"), OWN, ids=[case[0] for case in OWN])
def test_the_account_that_a_postgresql_was_made_with(what, environment, expected):
    found = servers(part("db", "postgres", environment=environment))
    own = found._own_account(found.found[0])
    assert ((own.user, own.password, own.database, own.setting) if own else None) == expected


BARE = {"url": "redis://kv/0", "password_setting": "REDIS_URL"}
GUESSED = {"url": "redis://kv/0", "password": "beside", "password_setting": "REDIS_PASSWORD"}
NONE_GIVEN, WRONG_GIVEN = "AuthenticationError: Authentication required.", "AuthenticationError: WRONGPASS invalid username-password pair"
HELLO = "AuthenticationError: HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used"
REFUSED = [
    ("its URL has no password, and it says nothing", BARE, "", "pw", ("no_account", [""], [None])),
    ("its URL has none, and it complains", BARE, NONE_GIVEN, "pw", ("auth_required", [""], [False])),
    ("its URL has none, and it complains in newer words", BARE, HELLO, "pw", ("auth_required", [""], [False])),
    ("what stands beside the URL is right", GUESSED, "", "beside", (True, ["beside"], [True])),
    ("what stands beside it is wrong, and it says nothing", GUESSED, "", "pw", ("no_account", ["beside"], [None])),
    ("what stands beside it is wrong, and it complains", GUESSED, WRONG_GIVEN, "pw", ("auth", ["beside"], [False])),
    ("what stands beside it would be right, and it gives none", GUESSED, NONE_GIVEN, "beside", ("auth_required", [""], [False])),
    ("the URL's own", {**BARE, "password": "own"}, "", "pw", ("auth", ["own"], [False])),
    ("in parts", {"password": "own", "password_setting": "REDIS_PASSWORD"}, "", "pw", ("auth", ["own"], [False])),
]


@pytest.mark.parametrize(("what", "client", "says", "wanted", "expected"), REFUSED, ids=[case[0] for case in REFUSED])
def test_who_is_refused_and_who_may_have_another_password(what, client, says, wanted, expected):
    found = servers(API, part("kv", "redis"), targets=[to("kv", **client)])
    found.scene.logs["id-api"] = ["2026-01-01T00:00:00Z " + says]
    found = Servers(found.scene)
    found.go = lambda server, target: ("kv", "10.0.0.3", 6379)
    tried = []
    facts = found._look_with_accounts(found.found[0], "redis", door(wanted, tried))
    answer = facts["answers"] if facts["answers"] is True else facts["answers"]["unseen"]["kind"]
    assert (answer, list(dict.fromkeys(tried)), [one["accepted"] for one in facts["accounts"]]) == expected
    assert isinstance(next(iter(auth_mismatch(facts, Limits()))), {"no_account": Unseen, True: Clear}.get(expected[0], Finding))


def test_a_login_that_the_server_lets_in_says_nothing_of_a_url_without_a_password():
    bare = to("db", "postgres", user="app", url="postgresql://app@db/s", password_setting="REDIS_URL")
    for says, expected in (("", None), ("fe_sendauth: no password supplied", False), ('password authentication failed for user "app"', False)):
        found = servers(API, part("db", "postgres"), targets=[bare])
        found.scene.logs["id-api"] = [says]
        assert [one["accepted"] for one in found._compare_accounts(found.found[0], replace(bare, password="pw", component="db"), [], "postgres")] == [expected]


CLIENT = {"component": "api", "user": "app", "database": "", "addresses": ["10.0.0.2"]}
RECORDS = [
    ("a wrong one", {"password": "wrong"}, False),
    ("none, of one whose URL has none", {"password": "", "guessed": True}, None),
    ("a wrong one that stands beside the URL", {"password": "wrong", "guessed": True}, None),
    ("the right one that stands beside the URL", {"password": "right", "guessed": True}, True),
]


@pytest.mark.parametrize(("what", "client", "expected"), RECORDS, ids=[case[0] for case in RECORDS])
def test_what_the_server_s_records_say_of_a_password_that_may_be_another_one(what, client, expected):
    verifier = "md5" + hashlib.md5(b"rightapp", usedforsecurity=False).hexdigest()
    reader = Reader(None, PostgresTarget(user="postgres"), Mask(), [{**CLIENT, **client}], {})
    entry = reader._credential(reader.clients[0], {"verifier": verifier, "can_login": True, "expired": False}, [], None)
    assert entry["matches"] is expected and bool(entry["reason"]) is (expected is None)
    refused = PostgresTarget(user="app", password=client["password"])
    assert _login_of(refused, reader.clients, "auth") == ([] if client.get("guessed") else ["api"])


BEHIND = Target("pool", "DB_HOST", "process", "postgres", host="db", port=5432, user="u", password="pw")
GATES = [
    ("a proxy", [part("sqlproxy", "gate")], [to("sqlproxy", "postgres")], {("sqlproxy:6379", "sqlproxy")}, []),
    ("a proxy that serves users, too", [part("haproxy", "proxy")], [to("haproxy")], {("haproxy:6379", "haproxy")}, []),
    ("a server of another make", [part("cockroach", "unknown")], [to("cockroach", "postgres")], {("cockroach:6379", "cockroach")}, []),
    (
        "two servers behind one",
        [part("haproxy", "gate")],
        [to("haproxy", "postgres"), replace(to("haproxy", "postgres"), port=5001)],
        {("haproxy:6379", "haproxy"), ("haproxy:5001", "haproxy")},
        [],
    ),
    ("a pooler that names no server", [part("pool", "pgbouncer")], [to("pool", "postgres")], {("pool:6379", "pool")}, []),
    ("a pooler that names one", [part("pool", "pgbouncer"), part("db", "postgres")], [to("pool", "postgres"), BEHIND], {("db", "")}, ["pool"]),
    ("a pooler that names one elsewhere", [part("pool", "pgbouncer")], [to("pool", "postgres"), BEHIND], {("db:5432", "")}, ["pool"]),
    ("a server of the other kind", [part("kv", "redis")], [to("kv", "postgres")], {("kv", "")}, []),
    ("a job", [part("fill", "job")], [to("fill", "postgres")], set(), []),
    ("a tool", [part("guard", "other")], [to("guard")], set(), []),
    ("the component itself", [], [to("api")], set(), []),
]


@pytest.mark.parametrize(("what", "parts", "targets", "expected", "doors"), GATES, ids=[case[0] for case in GATES])
def test_a_server_that_is_met_through_another_component(what, parts, targets, expected, doors):
    found = servers(API, *parts, targets=targets)
    assert {(server.component, server.through) for server in found.found} == expected
    assert [door.component for door in found.doors] == doors
    assert {"%s:%s" % (server.kind, server.component) for server in found.found} | {"door:" + door for door in doors} <= set(found.asking())
    known = {(edge["from"], edge["to"]) for edge in Document(found.scene)._edges()}
    assert {edge for server in found.found if server.through for edge in (("api", server.through), (server.through, server.component))} <= known


def test_what_does_not_run_leads_nowhere():
    stopped = part("sqlproxy", "gate")
    stopped.instances[0].state = "exited"
    assert servers(API, stopped, targets=[to("sqlproxy", "postgres")]).found == []


THROUGH = [
    ("a proxy that does not know the question", "sqlproxy", "protocol", "unsupported"),
    ("one that nobody stands behind, or that hangs up", "sqlproxy", "reset", "unsupported"),
    ("one that lets nobody in", "sqlproxy", "auth", "auth"),
    ("the server itself", "kv", "protocol", "protocol"),
]


PARTS = {"scheme": "settings", "user": "u"}
KINDS = [
    ("a URL says that it is one", {"scheme": "postgresql", "port": 8000}, "protocol"),
    ("parts, at its port", {**PARTS, "port": 5432}, "protocol"),
    ("parts, at another port", {**PARTS, "port": 8000}, "unsupported"),
]


@pytest.mark.parametrize(("what", "client", "expected"), KINDS, ids=[case[0] for case in KINDS])
def test_a_database_that_is_known_by_a_word_may_be_of_another_kind(what, client, expected):
    found = servers(API, part("surreal", "gate"), targets=[replace(to("surreal", "postgres"), **client)])
    found.go = lambda server, target: ("surreal", "10.0.0.3", target.port)
    server = found.found[0]
    facts = found._look_with_accounts(server, "postgres", lambda target, where: {"component": server.component, "answers": unseen("no", kind="protocol")})
    assert facts["answers"]["unseen"]["kind"] == expected


@pytest.mark.parametrize(("what", "host", "kind", "expected"), THROUGH, ids=[case[0] for case in THROUGH])
def test_a_redis_behind_a_proxy_is_not_called_dead_for_a_question_of_ours(what, host, kind, expected):
    found = servers(API, part("sqlproxy", "gate"), part("kv", "redis"), targets=[to(host, password="pw")])
    found.go = lambda server, target: (host, "10.0.0.3", 6379)
    server = next(one for one in found.found if one.clients)
    facts = found._look_with_accounts(server, "redis", lambda target, where: {"component": server.component, "answers": unseen("no", kind=kind)})
    assert facts["answers"]["unseen"]["kind"] == expected


LOGINS = [
    ("right", {"password": "right"}, "", True),
    ("wrong", {"password": "wrong"}, "auth", False),
    ("wrong, and only beside its URL", {"password": "wrong", "url": "postgresql://u@pool/s", "password_setting": "PGPASSWORD"}, "auth", None),
    ("the pooler waits for its server", {"password": "right"}, "timeout", None),
]


@pytest.mark.parametrize(("what", "client", "kind", "expected"), LOGINS, ids=[case[0] for case in LOGINS])
def test_at_the_door_of_a_pooler_only_logins_are_tried(what, client, kind, expected, monkeypatch):
    tried = []

    def connect(target, timeout):
        tried.append((target.user, target.password, target.host))
        if kind:
            raise StackError("it said no", kind=kind)
        return types.SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(observed.connect_postgres, "connect", connect)
    twice = [to("pool", "postgres", user="shop", **client), to("pool", "postgres", "OTHER_URL", user="shop", **client)]
    found = servers(API, part("pool", "pgbouncer"), part("db", "postgres"), targets=[*twice, BEHIND])
    found.go = lambda server, target: (target.host, "10.0.0.5", 6432)
    facts = found._look_at_door(found.doors[0])
    assert [(one["component"], one["accepted"]) for one in facts["accounts"]] == [("api", expected)] * 2
    assert tried == [("shop", client["password"], "pool")]


CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
REDIS_CA = "rediss://:pw@kv:6380/0?ssl_ca_certs=/certs/ca.pem"
POSTGRES_CA = "postgresql://u:p@db/s?sslmode=%s&sslrootcert=/certs/ca.pem"
AUTHORITIES = [
    ("of a Redis", REDIS_CA, CA, (CA, "/certs/ca.pem")),
    ("of a Redis, and cannot be read", REDIS_CA, None, ("", "/certs/ca.pem")),
    ("of a Redis whose certificate nobody checks", REDIS_CA + "&ssl_cert_reqs=none", CA, ("", "/certs/ca.pem")),
    ("of a PostgreSQL", POSTGRES_CA % "verify-full", CA, (CA, None)),
    ("of a PostgreSQL, and cannot be read", POSTGRES_CA % "verify-ca", None, ("", "/certs/ca.pem")),
    ("of a PostgreSQL that only must speak TLS", POSTGRES_CA % "require", None, ("", None)),
]


@pytest.mark.parametrize(("what", "url", "held", "expected"), AUTHORITIES, ids=[case[0] for case in AUTHORITIES])
def test_certificates_are_read_where_the_client_reads_them(what, url, held, expected):
    api = part("api", "api", environment={"STORE": url})
    found = servers(api)
    content = None if held is None else File(("# ours \u00e9\n%s\n" % held).encode(), 0.0)
    found.scene.platform.file = lambda _one, path, limit=65536: content if path == "/certs/ca.pem" else None
    found.scene.platform.process_environment = lambda _one, _pid: None
    target = found.scene._targets_of(api, api.instances[0])[0]
    if target.kind == "redis":
        wanted = found.redis_target(target, ("kv", "10.0.0.3", 6380))
        assert (wanted.ca_data, wanted.ca) == expected and wanted.verify is ("none" not in url)
    else:
        wanted = found.postgres_target(target, ("db", "10.0.0.3", 5432))
        assert (wanted.ca_data, wanted.options.get("sslrootcert")) == expected and "sslmode=" + wanted.sslmode in url


PROXIED = {"proxies": ["cloud-sql-proxy"]}
HERE = {"listening": [{"address": "127.0.0.1", "port": 6379}], "peers": []}
NOT_HERE = {"listening": [{"address": "0.0.0.0", "port": 8000}], "peers": []}
LOCALHOST = [
    ("something listens there", {}, HERE, [], {"api/127.0.0.1:6379"}),
    ("nothing listens there", {}, NOT_HERE, [], set()),
    ("nothing listens there, though something should lead on", PROXIED, NOT_HERE, [], set()),
    ("nobody could look, and something may lead on", PROXIED, None, [], {"api/127.0.0.1:6379"}),
    ("nobody could look", {}, None, [], set()),
    ("it is such a server itself", {"role": "redis"}, HERE, [], {"api"}),
    ("the server itself stands beside it", {}, HERE, [part("kv", "redis", home_network="container:id-api")], {"kv"}),
]


@pytest.mark.parametrize(("what", "one", "sockets", "more", "expected"), LOCALHOST, ids=[case[0] for case in LOCALHOST])
def test_what_is_met_at_localhost(what, one, sockets, more, expected):
    found = servers(part("api", **{"role": "api", **one}), *more, targets=[to("127.0.0.1")])
    found.scene.sockets["id-api"] = sockets
    assert {server.component for server in found._find()} == expected
    if expected == {"api/127.0.0.1:6379"}:
        with pytest.raises(StackError) as hidden:  # from outside the container
            found.go(found._find()[0], to("127.0.0.1"))
        assert hidden.value.kind == "hidden"
        found.scene.platform.name = "kubernetes"
        found.scene.platform.address = lambda one, address, port: ("by a port-forward", address, port)
        assert found.go(found._find()[0], to("127.0.0.1")) == ("127.0.0.1", "by a port-forward", "127.0.0.1", 6379)


def test_a_pooler_beside_it_is_no_server_elsewhere():
    found = servers(API, part("api.pool", "pgbouncer", home_network="container:id-api"), targets=[to("localhost", "postgres")])
    assert found.scene.server_at(to("localhost", "postgres"))[1] == "api.pool"


BROKERS = [
    ("a worker's only server", [("redis", "redis")], "redis"),
    ("told as such", [("redis", "redis"), ("broker", "redis")], "broker"),
    ("results only, beside RabbitMQ", [("results", "redis"), ("unsupported", "amqp")], None),
    ("a cache, beside RabbitMQ", [("redis", "redis"), ("unsupported", "amqp")], None),
    ("beside a socket of PostgreSQL", [("redis", "redis"), ("unsupported", "postgresql+socket")], "redis"),
]


@pytest.mark.parametrize(("what", "kinds", "expected"), BROKERS, ids=[case[0] for case in BROKERS])
def test_which_redis_is_the_broker(what, kinds, expected):
    targets = [
        Target("jobs", "S%d" % place, "process", kind, host="kv" if kind != "unsupported" else "x", scheme=scheme) for place, (kind, scheme) in enumerate(kinds)
    ]
    found = servers(part("jobs", "worker"), part("kv", "redis"), targets=targets)
    broker = found.broker_target(found.found[0])
    assert (broker.kind if broker else None) == expected


def told(component, setting, host="kv", database="0", kind="redis", **changes):
    return Target(component, setting, "process", kind, host=host, port=6379, database=database, **changes)


CHOICES = [
    ("its only one", [told("jobs", "REDIS_URL")], [], ("kv", 0)),
    ("a limiter beside it", [told("jobs", "RATE_LIMIT_STORAGE_URI", database="2"), told("jobs", "REDIS_URL")], [], ("kv", 0)),
    ("a limiter beside it that shares its database", [told("jobs", "RATE_LIMIT_STORAGE_URI"), told("jobs", "REDIS_URL")], [], ("kv", 0)),
    ("sessions in another Redis", [told("jobs", "REDIS_URL"), told("jobs", "SESSION_REDIS_URL", "kv-2")], [], ("kv", 0)),
    (
        "sockets and locks",
        [told("jobs", "LOCK_REDIS_HOST", "kv-2"), told("jobs", "REDIS_HOST"), told("jobs", "SOCKETIO_REDIS_URL", "kv-2", "3")],
        [],
        ("kv", 0),
    ),
    ("where a broker's keys were seen", [told("jobs", "REDIS_A_URL"), told("jobs", "REDIS_B_URL", database="1")], [("kv", 1)], ("kv", 1)),
    ("keys in another Redis", [told("jobs", "REDIS_A_URL"), told("jobs", "REDIS_B_URL", "kv-2")], [("kv-2", 0)], ("kv-2", 0)),
    ("the keys of two", [told("jobs", "REDIS_A_URL"), told("jobs", "REDIS_B_URL", database="1")], [("kv", 0), ("kv", 1)], None),
    ("nothing tells", [told("jobs", "REDIS_A_URL"), told("jobs", "REDIS_B_URL", database="1")], [], None),
    ("for something else only", [told("jobs", "SESSION_REDIS_URL")], [], None),
    ("for something else, and a broker's keys are there", [told("jobs", "SESSION_REDIS_URL")], [("kv", 0)], ("kv", 0)),
    ("Celery's by its name", [told("jobs", "CELERY_REDIS_URL", database="1"), told("jobs", "REDIS_URL")], [("kv", 0)], ("kv", 1)),
    ("told as such", [told("jobs", "CELERY_BROKER_URL", database="1", kind="broker"), told("jobs", "REDIS_URL")], [("kv", 0)], ("kv", 1)),
    ("who only sends, by a plain setting", [told("api", "REDIS_URL")], [("kv", 0)], None),
]


@pytest.mark.parametrize(("what", "targets", "held", "expected"), CHOICES, ids=[case[0] for case in CHOICES])
def test_whose_broker_is_where(what, targets, held, expected):
    found = servers(API, part("jobs", "worker"), part("kv", "redis"), part("kv-2", "redis"), targets=targets)
    place = found.brokers.of(targets[0].component, lambda server, database: (server, database) in held)
    assert (place.where if place else None) == expected


def visited(monkeypatch, found, held=(), answers=True, seconds=4.0, slow=0.0):
    """What is said of the brokers of every Redis, {"server" or "server/database": facts}; held: (server, database) that hold a broker's keys."""
    clock = [1000.0]

    def look(component, target, _mask, _timeout, expected_workers=None, client=None):
        clock[0] += slow
        return {"component": component, "answers": True, "database": target.database, "asked_for": expected_workers}

    monkeypatch.setattr(observed, "observe_celery", look)
    monkeypatch.setattr(observed, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    for server in found.found:
        numbers = [database for name, database in held if name == server.component]
        said = {"answers": True, "broker_databases": numbers, "account": {"user": ""}, "accounts": []}
        found._firsts[server.component] = Future()
        found._firsts[server.component].set_result(said if answers is True else {"answers": answers})
    told_of = {}
    for server in found.found:
        facts = found._look_at_brokers(server, found._firsts[server.component].result(), None, clock[0] + seconds)
        told_of.update({"%s/%s" % (server.component, more): one for more, one in facts.pop("further", {}).items()})
        told_of.update({server.component: facts} if facts else {})
    return told_of


def said_of(facts):
    return [one["component"] for one in facts["expected"]], facts["worker_components"], facts.get("database")


SHOP, MEDIA = part("shop", "worker"), part("media", "worker")
LED = [
    ("one application", [told("shop", "CELERY_BROKER_URL", kind="broker")], {"kv": (["shop", "media"], ["shop", "media"], 0)}),
    (
        "two in one Redis",
        [told("shop", "CELERY_BROKER_URL", kind="broker"), told("media", "CELERY_BROKER_URL", database="1", kind="broker")],
        {"kv": (["shop"], ["shop"], 0), "kv/1": (["media"], ["media"], 1)},
    ),
    (
        "two in two",
        [told("shop", "CELERY_BROKER_URL", kind="broker"), told("media", "CELERY_BROKER_URL", "kv-2", kind="broker")],
        {"kv": (["shop"], ["shop"], 0), "kv-2": (["media"], ["media"], 0)},
    ),
    (
        "two that share a database",
        [told("shop", "CELERY_BROKER_URL", kind="broker"), told("media", "REDIS_URL")],
        {"kv": (["shop", "media"], ["shop", "media"], 0)},
    ),
    (
        "the api sends to another database than its worker looks at",
        [told("shop", "CELERY_BROKER_URL", kind="broker"), told("media", "REDIS_URL"), told("api", "CELERY_BROKER_URL", database="1", kind="broker")],
        {"kv": (["shop", "media"], ["shop", "media"], 0), "kv/1": ([], [], 1)},
    ),
    (
        "one of them works with RabbitMQ",
        [told("shop", "CELERY_BROKER_URL", kind="broker"), told("media", "BROKER_URL", kind="unsupported", scheme="amqp")],
        {"kv": (["shop"], ["shop"], 0)},
    ),
]


@pytest.mark.parametrize(("what", "targets", "expected"), LED, ids=[case[0] for case in LED])
def test_only_a_brokers_own_workers_are_expected_there(monkeypatch, what, targets, expected):
    found = servers(API, SHOP, MEDIA, part("kv", "redis"), part("kv-2", "redis"), targets=targets)
    assert {name: said_of(facts) for name, facts in visited(monkeypatch, found).items()} == expected


def test_who_is_led_to_nobody_is_missed_where_the_tasks_are(monkeypatch):
    targets = [told("api", "CELERY_BROKER_URL", kind="broker"), told("shop", "CELERY_BROKER_URL", "kvx", kind="broker")]
    found = servers(API, SHOP, part("kv", "redis"), targets=targets)
    assert said_of(visited(monkeypatch, found)["kv"]) == ([], [], 0)
    found = servers(API, SHOP, part("kv", "redis"), targets=targets)
    assert said_of(visited(monkeypatch, found, answers=unseen("no such name", kind="dns"))["kv"]) == ([], ["shop"], None)


def test_of_whom_nothing_tells_is_said_once(monkeypatch):
    targets = [told("shop", "REDIS_A_URL", "kv-2"), told("shop", "REDIS_B_URL"), told("media", "CELERY_BROKER_URL", kind="broker")]
    found = servers(API, SHOP, MEDIA, part("kv", "redis"), part("kv-2", "redis"), targets=targets)
    facts = visited(monkeypatch, found)
    assert set(facts) == {"kv", "kv/shop"} and said_of(facts["kv"]) == (["media"], ["media"], 0)
    assert facts["kv/shop"]["answers"]["unseen"]["reason"] == "nothing tells which of REDIS_A_URL, REDIS_B_URL leads to the broker of shop"
    assert set(visited(monkeypatch, found, held=[("kv-2", 0)])) == {"kv", "kv-2"}


def test_a_further_broker_is_asked_where_time_is_left(monkeypatch):
    targets = [told("shop", "CELERY_BROKER_URL", kind="broker"), told("media", "CELERY_BROKER_URL", database="1", kind="broker")]
    found = servers(API, SHOP, MEDIA, part("kv", "redis"), targets=targets)
    assert visited(monkeypatch, found, slow=2.0)["kv/1"]["answers"] is True
    facts = visited(monkeypatch, found, slow=3.5)
    assert facts["kv"]["answers"] is True and facts["kv/1"]["answers"]["unseen"]["kind"] == "timeout"


def test_a_redis_that_may_be_a_broker_is_visited_for_both():
    found = servers(API, SHOP, part("kv", "redis"), part("kv-2", "redis"), targets=[told("shop", "SESSION_REDIS_URL"), told("api", "REDIS_URL", "kv-2")])
    assert set(found.asking()) == {"redis:kv", "celery:kv", "redis:kv-2"}


WRITES = [
    ("nobody is told to go there", [], False),
    ("a client", [to("db")], True),
    ("for reads, by its name", [to("postgresql-read")], False),
    ("for reads, by its long name", [to("shop-db-repl.shop.svc.cluster.local")], False),
    ("a copy by its number", [to("redis-replicas-0.redis-headless")], False),
    ("for reads, at a provider", [to("shop.cluster-ro-abc.eu-west-1.rds.amazonaws.com")], False),
    ("for reads, by the setting", [to("10.0.0.3", setting="DATABASE_REPLICA_URL")], False),
    ("for both", [to("db-ro"), to("db-rw")], True),
    ("for whichever of several takes writes", [to("a", options=parse_url("postgresql://u@a,b/d?target_session_attrs=read-write"))], False),
    ("for any of several", [to("a", options=parse_url("postgresql://u@a,b/d"))], True),
    ("a name that only looks like it", [to("bread"), to("spread.shop")], True),
]


@pytest.mark.parametrize(("what", "clients", "expected"), WRITES, ids=[case[0] for case in WRITES])
def test_who_expects_to_write(what, clients, expected):
    assert Server("db", "postgres", clients, copies=1).expects_writes((clients or [to("db")])[0]) is expected


def from_(component, host, setting="DATABASE_URL", kind="postgres"):
    return replace(to(host, kind, setting=setting, user="app", password="pw"), component=component)


TWO_COPIES = [
    ("both in one program", [from_("api", "pg-ro", "DATABASE_REPLICA_URL"), from_("api", "pg-rw")], ("pg-rw", True)),
    ("the standby's client comes first by its name", [from_("analytics", "pg-ro"), from_("api", "pg-rw")], ("pg-rw", True)),
    ("by the setting alone", [from_("api", "10.0.0.8", "DATABASE_REPLICA_URL"), from_("api", "10.0.0.9")], ("10.0.0.9", True)),
    ("Zalando's names", [from_("api", "pg-repl", "DB_A"), from_("api", "pg", "DB_B")], ("pg", True)),
    ("a Redis", [from_("api", "pg-replicas", "CACHE", "redis"), from_("api", "pg-master", "REDIS_URL", "redis")], ("pg-master", True)),
    ("who reads goes where others write", [from_("api", "pg", "DATABASE_REPLICA_URL"), from_("jobs", "pg")], ("pg", True)),
    ("the standby alone is gone to", [from_("api", "pg-ro")], ("pg-ro", False)),
    ("one name for the two", [from_("api", "pg")], ("pg", True)),
]


@pytest.mark.parametrize(("what", "targets", "expected"), TWO_COPIES, ids=[case[0] for case in TWO_COPIES])
def test_a_primary_and_its_standby_in_one_workload(what, targets, expected):
    """Who writes is asked for first, and whether somebody writes is said of the copy that was met."""
    names = {"aliases": [target.host for target in targets]}
    kind = targets[0].server_kind
    copies = [
        Instance(id="id-%d" % place, name="pg-%d" % place, state="running", networks={"lan": {"address": "10.1.0.%d" % place, **names}}) for place in (1, 2)
    ]
    parts = [part(name, "api") for name in sorted({target.component for target in targets})]
    found = servers(*parts, Component(id="pg", role=kind, instances=copies), targets=targets)
    found.scene.platform.ports = lambda one, host: None
    (server,) = found.found
    first = found._candidates(server)[0]
    assert (first.host, found._expects_writes(server, first)) == expected
    # Beside the server stands whichever copy comes first.
    assert found._expects_writes(server, replace(first, component="pg")) is False
    for one in parts:
        one.instances[0].state = "exited"
    assert found._expects_writes(server, first) is False


def test_the_only_copy_is_written_to_wherever_it_is_asked():
    found = servers(part("api", "api"), part("pg", "postgres"), targets=[from_("api", "pg")])
    found.go = lambda server, target: ("pg", "10.0.0.3", 5432)
    facts = found._look_with_accounts(found.found[0], "postgres", lambda target, where: {"component": "pg", "answers": True})
    assert facts["expects_writes"] is True
    assert found._expects_writes(found.found[0], replace(from_("api", "pg"), component="pg")) is True
