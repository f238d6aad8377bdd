"""Which servers of a scene are asked, with which accounts, and what is expected of them: one row a case."""

from __future__ import annotations

import types
from dataclasses import replace

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.connect.postgres import parse_url
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.redis import auth_mismatch
from ansible_collections.aiops.runbook.plugins.module_utils.model import Clear, Finding, StackError, Unseen, unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Options, Scene
from ansible_collections.aiops.runbook.plugins.module_utils.observe.servers import Server, Servers
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import Target
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, File, Instance
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

FILES = {"/secrets/redis-password": File(b"pw\n", 0.0)}


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


@pytest.mark.parametrize(("what", "environment", "targets", "wanted", "expected"), ACCOUNTS, ids=[case[0] for case in ACCOUNTS])
def test_accounts_of_a_redis(what, environment, targets, wanted, expected):
    found = servers(API, part("redis", "redis", environment=environment), targets=targets)
    found.go = lambda server, target: ("redis", "10.0.0.6", 6379)
    tried = []

    def ask(target, where):
        tried.append(target.password)
        return {"component": "redis", "answers": True if target.password == wanted else WRONG if target.password else NOAUTH}

    facts = found._look_with_accounts(found.found[0], "redis", ask)
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


OWN = [
    ("the official image's", {"POSTGRES_PASSWORD": "pw", "POSTGRES_USER": "shop"}, ("shop", "pw", "shop", "POSTGRES_PASSWORD")),
    ("in a file", {"POSTGRES_PASSWORD_FILE": "/secrets/redis-password", "POSTGRES_DB": "d"}, ("postgres", "pw", "d", "POSTGRES_PASSWORD")),
    ("Bitnami's", {"POSTGRESQL_PASSWORD": "pw", "POSTGRESQL_USERNAME": "u", "POSTGRESQL_DATABASE": "d"}, ("u", "pw", "d", "POSTGRESQL_PASSWORD")),
    ("none", {"POSTGRES_HOST_AUTH_METHOD": "trust"}, None),
]


@pytest.mark.parametrize(("what", "environment", "expected"), OWN, ids=[case[0] for case in OWN])
def test_the_account_that_a_postgresql_was_made_with(what, environment, expected):
    found = servers(part("db", "postgres", environment=environment))
    own = found._own_account(found.found[0])
    assert ((own.user, own.password, own.database, own.setting) if own else None) == expected


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
    assert Server("db", "postgres", clients).expects_writes is expected
