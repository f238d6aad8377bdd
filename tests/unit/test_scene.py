"""Who stands where a setting leads: one row a case."""

from __future__ import annotations

import types

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Options, Scene
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Instance, Process
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
]
CASES = [
    ("by its name", "api", "db", "postgres", "db"),
    ("by an alias", "api", "ledger", "postgres", "db"),
    ("by its address", "api", "10.0.0.3", "postgres", "db"),
    ("nobody of this stack", "api", "warehouse", "postgres", None),
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
