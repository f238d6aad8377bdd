# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a name means to a pod whose name server does not answer for it; one row a case."""

from __future__ import annotations

import pytest
from fake_namespace import CORE, FakeNamespace, Town, work
from samples_kubernetes import service

NAMES = [
    ("a Service", "db", None),
    ("no Service", "db-old", False),
    ("one of its own namespace, written out", "db-old.shop.svc", False),
    ("one of another namespace", "db.elsewhere", None),
    ("a name of the world", "db.example.com", None),
    ("an alias of what is no Service", "alias", False),
]


@pytest.mark.parametrize(("host", "resolves"), [case[1:] for case in NAMES], ids=[case[0] for case in NAMES])
def test_what_can_only_be_a_service_is_known_to_be_none(host, resolves, monkeypatch):
    cluster = FakeNamespace()
    cluster.put(work("api", {}))
    for one in (service("db", {"app": "db"}), service("alias", type="ExternalName", externalName="db-old")):
        cluster.objects["%s/services/%s" % (CORE, one["metadata"]["name"])] = one
    platform = Town(cluster, ["shop"])
    instance = platform.components()[0].instances[0]
    monkeypatch.setattr(platform, "_run", lambda *_words: (0, ("%s\t5432\t\tagain\t0.1\n" % host).encode(), b""))
    assert platform.reach(instance, [(host, 5432)], 1.0)[(host, 5432)]["resolves"] is resolves


@pytest.mark.parametrize(("sidecars", "connects"), [([], True), ([{"name": "istio-proxy", "image": "istio/proxyv2:1"}], None)], ids=["alone", "in a mesh"])
def test_a_connection_that_a_mesh_takes_is_no_proof(sidecars, connects, monkeypatch):
    cluster = FakeNamespace()
    cluster.put(work("api", {}))
    platform = Town(cluster, ["shop"])
    instance = platform.components()[0].instances[0]
    platform._seats[instance.id].pod["spec"]["containers"] += sidecars
    monkeypatch.setattr(platform, "_run", lambda *_words: (0, b"db\t5432\t10.0.0.1\t\t0.1\n", b""))
    assert platform.reach(instance, [("db", 5432)], 1.0)[("db", 5432)]["connects"] is connects
