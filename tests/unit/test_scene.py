"""Who stands where a setting leads: one row a case."""

from __future__ import annotations

import types

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.observe.document import Document
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Options, Scene
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import Target
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, File, Instance, Process
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_services import long_names, search_domains
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask


def part(name, role, home="shop_lan", address="", aliases=()):
    networks = {"shop_lan": {"address": address, "aliases": [name, *aliases]}} if address else {}
    return Component(id=name, role=role, instances=[Instance(id="id-" + name, name=name, state="running", home_network=home, networks=networks)])


SHOP = [
    part("api", "api", address="10.0.0.2"),
    part("db", "postgres", address="10.0.0.3", aliases=["ledger"]),
    part("kv", "redis", home="container:id-api"),
    part("one", "worker", home="host"),
    part("two", "redis", home="host"),
    Component(id="idle", role="postgres", template=part("idle", "postgres", address=" ", aliases=["spare", "ledger"]).instances[0]),
    Component(
        id="gone", role="unknown", instances=[Instance(id="id-gone", name="gone", state="exited", networks={"shop_lan": {"address": "", "aliases": []}})]
    ),
]
CASES = [
    ("by its name", "api", "db", "postgres", "db"),
    ("by an alias", "api", "ledger", "postgres", "db"),
    ("by its address", "api", "10.0.0.3", "postgres", "db"),
    ("what is scaled to zero, by its Service's name", "api", "spare", "postgres", "idle"),
    ("nobody of this stack", "api", "warehouse", "postgres", None),
    ("no name, though one has no address", "api", "", "redis", None),
    ("itself", "api", "localhost", "postgres", "api"),
    ("who shares its network", "api", "127.0.0.1", "redis", "kv"),
    ("whose network it shares", "kv", "localhost", "api", "api"),
    ("who shares the network of the one that is named", "db", "api", "redis", "kv"),
    ("who stands on the host, too", "one", "localhost", "redis", "two"),
]


@pytest.mark.parametrize(("what", "client", "host", "kind", "expected"), CASES, ids=[case[0] for case in CASES])
def test_component_at(what, client, host, kind, expected):
    scene = Scene(types.SimpleNamespace(components=lambda: SHOP), Mask(), Options())
    found = scene.component_at(client, host, kind)
    assert (found.id if found else None) == expected


def pod(name, role, namespace, address, *services):
    """A component in a pod of a namespace, behind these Services."""
    names = [name for service in services for name in long_names(service, namespace)]
    one = Instance(id="id-" + name, name=name, state="running", networks={"pod": {"address": address, "aliases": [name, *names]}})
    one.search = search_domains(namespace)
    return Component(id=name, role=role, instances=[one])


CLUSTER = [
    pod("db", "postgres", "billing", "10.1.0.1", "db", "db-0.db"),
    pod("ledger", "postgres", "billing", "10.1.0.2"),
    pod("db.shop", "postgres", "shop", "10.1.0.3", "db", "db-0.db"),
    pod("api.shop", "api", "shop", "10.1.0.4", "api"),
    pod("api", "api", "billing", "10.1.0.5", "api"),
]
NAMES = [
    ("a short name in its own namespace", "api.shop", "db", "db.shop"),
    ("the same in another one", "api", "db", "db"),
    ("with another namespace", "api.shop", "db.billing", "db"),
    ("a pod of a headless Service", "api.shop", "db-0.db", "db.shop"),
    ("a pod of a headless Service of another namespace", "api.shop", "db-0.db.billing.svc", "db"),
    ("whole, with a dot at its end", "api.shop", "db.shop.svc.cluster.local.", "db.shop"),
    ("an address", "api.shop", "10.1.0.1", "db"),
    ("a name of another namespace", "api.shop", "ledger", None),
    ("by itself, where no Service leads there", "api", "ledger", "ledger"),
    ("a name of the world", "api", "db.example.com", None),
    ("itself", "api.shop", "localhost", "api.shop"),
]


@pytest.mark.parametrize(("what", "client", "host", "expected"), NAMES, ids=[case[0] for case in NAMES])
def test_a_name_means_what_it_means_in_the_clients_namespace(what, client, host, expected):
    scene = Scene(types.SimpleNamespace(components=lambda: CLUSTER), Mask(), Options())
    found = scene.component_at(client, host)
    assert (found.id if found else None) == expected


OUTER = [
    ("a short name in one of several namespaces", CLUSTER, "api.shop", "orders", "orders.shop:5432"),
    ("the same where there is one namespace", CLUSTER[:2] + CLUSTER[4:], "api", "orders", "orders:5432"),
    ("a name of the world", CLUSTER, "api", "db.example.com", "db.example.com:5432"),
    ("on Compose", SHOP, "api", "orders", "orders:5432"),
]


@pytest.mark.parametrize(("what", "parts", "client", "host", "expected"), OUTER, ids=[case[0] for case in OUTER])
def test_what_a_server_elsewhere_is_called(what, parts, client, host, expected):
    scene = Scene(types.SimpleNamespace(components=lambda: parts), Mask(), Options())
    assert scene.outer_name(Target(client, "DATABASE_URL", "", "postgres", host=host, port=5432)) == expected


ADDRESSES = [
    ("its own", "api", "10.0.0.2"),
    ("of the one whose network it shares", "kv", "10.0.0.2"),
    ("the host's", "one", "127.0.0.1"),
    ("none", "lost", ""),
]


@pytest.mark.parametrize(("what", "name", "expected"), ADDRESSES, ids=[case[0] for case in ADDRESSES])
def test_address_of(what, name, expected):
    scene = Scene(types.SimpleNamespace(components=lambda: [*SHOP, part("lost", "api")]), Mask(), Options())
    assert scene.address_of(next(component for component in scene.components if component.id == name).instances[0]) == expected


ENVIRONMENTS = [
    ("a start script that becomes the program", [(7, 1)], {7: {"A": "script"}}, "script"),
    ("a start script that stays", [(7, 1), (8, 7)], {7: {"A": "given"}, 8: {"A": "script"}}, "script"),
    ("a health check beside it", [(9, 1), (7, 1)], {7: {"A": "script"}, 9: {"A": "check"}}, "script"),
    ("a child that cannot be read", [(7, 1), (8, 7)], {7: {"A": "script"}}, "script"),
    ("nothing can be read", [(7, 1)], {}, "given"),
]


@pytest.mark.parametrize(("what", "table", "read", "expected"), ENVIRONMENTS, ids=[case[0] for case in ENVIRONMENTS])
def test_environment(what, table, read, expected):
    scene = Scene(types.SimpleNamespace(components=list, process_environment=lambda _one, pid: read.get(pid)), Mask(), Options())
    one = Instance(id="1", name="api", state="running", pid=7, environment={"A": "given"}, processes=[Process(pid, parent, "S", "x") for pid, parent in table])
    assert scene.environment(one)[0] == {"A": expected}


def shop(environment, kept_secret=(), mounts=(), files=None):
    """A platform of an api with these settings, a worker that has none of them, and a database that is called orders-db."""
    api = Instance(id="1", name="shop-api-1", state="running", environment=environment, secret_values=list(kept_secret))
    api.mounts = [{"source": "", "target": path, "kind": "bind"} for path in mounts]
    worker = Instance(id="2", name="shop-worker-1", state="running")
    parts = [
        Component(id="api", role="api", instances=[api]),
        Component(id="worker", role="worker", instances=[worker]),
        part("orders-db", "postgres", address="10.0.0.3"),
    ]
    held = files or {}
    return types.SimpleNamespace(
        name="compose",
        components=lambda: parts,
        process_environment=lambda _one, _pid: None,
        file=lambda _one, path: File(held[path].encode(), 0.0) if path in held else None,
    )


TEXT = 'the worker says Zx9-planted: no host "orders-db", no role "orders_app", level WARNING'
CONNECTION = {"DB_HOST": "orders-db", "DB_USER": "orders_app", "DB_NAME": "orders_app", "DB_PASSWORD": "Zx9-planted", "LOG_LEVEL": "WARNING"}
LEARNED = [
    ("a setting", {"JWT_SALT": "Zx9-planted"}, (), (), {}),
    ("the account of a URL that leads to nobody we ask", {"MAIL": "smtp://u:Zx9-planted@mail"}, (), (), {}),
    ("a mounted file that no setting names", {}, (), ("/run/secrets/openai",), {"/run/secrets/openai": "Zx9-planted\n"}),
    ("a file that a setting names", {"OPENAI_API_KEY_FILE": "/etc/openai"}, (), (), {"/etc/openai": "Zx9-planted\n"}),
    ("a whole connection, kept in one Secret", CONNECTION, CONNECTION.values(), (), {}),
    ("a password that is the database's own name, beside it", {**CONNECTION, "OTHER_PASSWORD": "orders-db", "MORE_PASSWORD": "orders_app"}, (), (), {}),
    ("settings that speak of secrets", {**CONNECTION, "KEYDB_HOST": "orders-db", "AUTH_USER": "orders_app", "TOKEN_LEVEL_NAME": "WARNING"}, (), (), {}),
]


@pytest.mark.parametrize(("what", "environment", "kept_secret", "mounts", "files"), LEARNED, ids=[case[0] for case in LEARNED])
def test_secrets_are_known_before_anything_is_written_and_names_stay(what, environment, kept_secret, mounts, files):
    scene = Scene(shop(environment, kept_secret, mounts, files), Mask(), Options())
    scene._find_targets()
    assert scene.mask.text(TEXT) == TEXT.replace("Zx9-planted", "***")


def runs(name, *commands, role="unknown", image=""):
    one = part(name, role, address="10.0.0.9")
    one.instances[0].processes = [Process(number, 0, "S", command) for number, command in enumerate(commands)]
    one.instances[0].image = image
    return one


STRANGERS = [
    ("a PostgreSQL", runs("db", role="postgres"), "postgres", 5432, ("postgres", 5432)),
    ("what may stand before one", runs("db", "pgpool -n"), "postgres", 5432, ("postgres", 5432)),
    ("a MySQL", runs("db", "mysqld --user=mysql"), "postgres", 5432, None),
    ("a MariaDB that does not run", runs("db", image="mariadb:11"), "postgres", 5432, None),
    ("a memcached", runs("db", "memcached -m 64"), "cache", 6379, None),
    ("a RabbitMQ", runs("db", "/usr/lib/erlang/erts-14/bin/beam.smp -W w"), "broker", 6379, ("unsupported", 5672)),
]


@pytest.mark.parametrize(("what", "other", "kind", "port", "expected"), STRANGERS, ids=[case[0] for case in STRANGERS])
def test_parts_of_settings_mean_what_stands_there(what, other, kind, port, expected):
    scene = Scene(types.SimpleNamespace(components=lambda: [part("api", "api", address="10.0.0.2"), other]), Mask(), Options())
    found = scene._recognised(Target("api", "DB_HOST", "process", kind, host="db", port=port, scheme="settings"))
    assert ((found.kind, found.port) if found else None) == expected


def with_ports(one, *ports):
    one.instances[0].published = [{"inside": port, "host": "0.0.0.0", "outside": port} for port in ports]
    return one


LED = [
    ("what only its name makes a proxy", "proxy", "name", (), ("gate", "peers")),
    ("what only its name makes one, with a port outside", "proxy", "name", (8080,), ("gate", "peers")),
    ("what nobody recognised", "unknown", "", (), ("gate", "peers")),
    ("a proxy that offers nothing but the server outside", "proxy", "image", (5432,), ("gate", "peers")),
    ("a proxy that serves users, too", "proxy", "process", (443, 5432), ("proxy", "process")),
    ("a proxy with no port outside", "proxy", "process", (), ("proxy", "process")),
    ("what a person says of it", "unknown", "given", (), ("unknown", "given")),
    ("a PostgreSQL", "postgres", "name", (), ("postgres", "name")),
    ("an api", "api", "process", (), ("api", "process")),
]


@pytest.mark.parametrize(("what", "role", "source", "ports", "expected"), LED, ids=[case[0] for case in LED])
@pytest.mark.parametrize("led", [True, False], ids=["a setting leads there", "none does"])
def test_what_a_setting_for_a_server_leads_to_is_no_door_for_users(what, role, source, ports, expected, led):
    other = with_ports(part("db-proxy", role, address="10.0.0.9"), *ports)
    other.role_source = source
    scene = Scene(types.SimpleNamespace(components=lambda: [part("api", "api", address="10.0.0.2"), other]), Mask(), Options())
    scene.targets["api"] = [Target("api", "DATABASE_URL", "process", "postgres", host="db-proxy" if led else "db", port=5432)]
    scene._roles_by_use()
    assert (other.role, other.role_source) == (expected if led else (role, source))


def behind(name, outside, home="shop_lan", state="running"):
    one = part(name, "postgres", home=home, address="10.0.0.3")
    one.instances[0].state, one.instances[0].published = state, [{"inside": 5432, "host": "0.0.0.0", "outside": outside}]
    return one


PUBLISHED = [
    ("from the host's network", "host", "localhost", 15432, "db"),
    ("by the host's name", "shop_lan", "host.docker.internal", 15432, "db"),
    ("another port of the host", "host", "localhost", 5432, None),
    ("localhost is the container itself", "shop_lan", "localhost", 15432, None),
    ("by its own name", "host", "db", 5432, None),
]


@pytest.mark.parametrize(("what", "home", "host", "port", "expected"), PUBLISHED, ids=[case[0] for case in PUBLISHED])
def test_a_server_behind_a_port_of_the_host(what, home, host, port, expected):
    for state in ("running", "exited"):
        scene = Scene(
            types.SimpleNamespace(components=lambda state=state: [part("api", "api", home=home), behind("db", 15432, state=state)]), Mask(), Options()
        )
        target = Target("api", "DATABASE_URL", "process", "postgres", host=host, port=port)
        found = scene.published_at(target)
        assert (found.id if found else None) == expected
        if expected:
            assert scene.server_at(target)[1] == expected


PEERS = [
    ("a PostgreSQL elsewhere", "10.1.2.3", 5432, [], ["10.1.2.3:5432"]),
    ("one that its settings may mean", "10.1.2.3", 5432, ["postgres"], []),
    ("a setting for another kind of server", "10.1.2.3", 6379, ["postgres"], ["10.1.2.3:6379"]),
    ("a component", "10.0.0.3", 5432, [], ["db"]),
    ("its own machine", "127.0.0.1", 5432, [], []),
    ("anybody", "10.1.2.3", 443, [], []),
]


@pytest.mark.parametrize(("what", "address", "port", "kinds", "expected"), PEERS, ids=[case[0] for case in PEERS])
def test_who_is_known_by_an_open_connection(what, address, port, kinds, expected):
    scene = Scene(types.SimpleNamespace(name="compose", components=lambda: SHOP[:2]), Mask(), Options())
    scene.targets["api"] = [Target("api", "X", "process", kind, host="pg.example", port=5432) for kind in kinds]
    scene.sockets["id-api"] = {"listening": [], "peers": [{"local_port": 40000, "address": address, "port": port}]}
    assert [edge["to"] for edge in Document(scene)._edges() if edge["source"] == "peers"] == expected


@pytest.mark.parametrize(("edited", "expected"), [(False, ["shop_lan2"]), (True, [])], ids=["disconnected", "an edit that is not deployed yet"])
def test_a_network_that_the_files_ask_for(edited, expected):
    scene = Scene(types.SimpleNamespace(components=lambda: SHOP[:1]), Mask(), Options())
    wanted = {"environment": {"A": "1"}, "networks": ["shop_lan", "shop_lan2"], "ports": [], "edited": edited}
    assert Document(scene).drift({"api": wanted})["api"]["networks_missing"] == expected


def test_every_broker_of_a_redis_has_a_place_of_its_own():
    scene = Scene(types.SimpleNamespace(name="compose", components=lambda: SHOP[:1], objects={}), Mask(), Options())
    further = {"1": {"component": "kv", "answers": True}, "jobs": {"component": "kv", "answers": {"unseen": {"reason": "x", "kind": "untold", "fix": ""}}}}
    answers = {"celery:kv": {"component": "kv", "answers": True, "further": further}, "celery:kv-2": {}, "redis:kv": {"component": "kv", "answers": True}}
    seen = Document(scene).write([], answers, {"identity": {}, "outsiders": [], "events": []})
    assert {name: facts["component"] for name, facts in seen["celery"].items()} == {"kv": "kv", "kv/1": "kv", "kv/jobs": "kv"}
    assert not any("further" in facts for facts in seen["celery"].values()) and set(seen["redis"]) == {"kv"}
