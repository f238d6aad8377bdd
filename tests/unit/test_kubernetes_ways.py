# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which way leads to a pod: straight where its address means something here, past the proxy of a mesh, else by a port-forward."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from samples_kubernetes import container, endpoints, pod, service

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform import kubernetes_ways
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import in_mesh
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_services import Services
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_ways import Ways

PLAIN = pod("plain", container("api"), ip="10.0.0.1")
SIDECAR = pod("meshed", container("api"), container("istio-proxy"), ip="10.0.0.2")
NATIVE = pod("native", container("api"), ip="10.0.0.2", spec={"containers": [container("api")], "initContainers": [container("linkerd-proxy")]})
AMBIENT = pod("ambient", container("api"), ip="10.0.0.2", meta={"annotations": {"ambient.istio.io/redirection": "enabled"}})


@pytest.mark.parametrize(("one", "expected"), [(PLAIN, False), (SIDECAR, True), (NATIVE, True), (AMBIENT, True)])
def test_whether_a_mesh_stands_between(one, expected):
    assert in_mesh(one) is expected


WAYS = [
    ("straight", PLAIN, "10.0.0.1", True, ("10.0.0.1", 8000)),
    ("from elsewhere", PLAIN, "10.0.0.1", False, ("127.0.0.1", "plain 8000")),
    ("past a mesh", SIDECAR, "10.0.0.2", True, ("127.0.0.1", "meshed 8000")),
    ("to a Service", PLAIN, "10.96.0.5", True, ("10.96.0.5", 80)),
    ("to a Service whose pods are in a mesh", SIDECAR, "10.96.0.5", True, ("127.0.0.1", "meshed 8000")),
    ("to a Service from elsewhere", SIDECAR, "10.96.0.5", False, ("127.0.0.1", "meshed 8000")),
]


@pytest.mark.parametrize(("what", "one", "address", "direct", "expected"), WAYS, ids=[case[0] for case in WAYS])
def test_ways(what, one, address, direct, expected, monkeypatch):
    objects = {"pods": [one], "services": [service("api", {"app": "api"})], "endpointslices": [endpoints("api", one["status"]["podIP"])]}
    ways = Ways(SimpleNamespace(), Services(objects))
    monkeypatch.setattr(Ways, "direct", direct)
    monkeypatch.setattr(Ways, "into", lambda self, namespace, name, port: ("127.0.0.1", "%s %d" % (name, port)))
    assert ways.to(address, 80 if address.startswith("10.96") else 8000) == expected


OUTSIDE = [("we get there", True, ("192.0.2.7", 8000)), ("we do not", False, "hidden")]


@pytest.mark.parametrize(("what", "answers", "expected"), OUTSIDE, ids=[case[0] for case in OUTSIDE])
def test_a_service_without_selector_leads_out_of_the_cluster(what, answers, expected, monkeypatch):
    ways = Ways(SimpleNamespace(), Services({"pods": [PLAIN], "services": [service("db")], "endpointslices": [endpoints("db", "192.0.2.7")]}))
    monkeypatch.setattr(Ways, "direct", False)
    monkeypatch.setattr(kubernetes_ways, "_answers", lambda address, port: answers)
    if expected == "hidden":
        with pytest.raises(StackError) as error:
            ways.to("10.96.0.5", 80)
        assert error.value.kind == "hidden"
    else:
        assert ways.to("10.96.0.5", 80) == expected
