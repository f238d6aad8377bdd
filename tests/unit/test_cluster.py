# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pure parts of the test cluster: names of a stack there, certificates, processes, the large namespace, what is built."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "cluster"), str(TESTS / "stack")]

import binaries  # noqa: E402
import certificates  # noqa: E402
import node  # noqa: E402
import places  # noqa: E402
import processes  # noqa: E402
import scale  # noqa: E402
import stacks  # noqa: E402

STACKS = sorted(path.parent.name for path in (TESTS / "stack").glob("*/stack.yml"))


def test_services_that_are_called_otherwise_on_the_cluster() -> None:
    spec: dict[str, Any] = {
        "kubernetes": {"url": "http://there", "services": {"api": "shop-backend"}},
        "services": {"api": "backend", "worker": "jobs"},
        "optional": "backend",
        "settings": {"database": {"services": ["backend", "jobs"], "host": "backend"}, "required": {"service": "backend", "variable": "X"}},
    }
    found = stacks.on_cluster(spec)
    assert found["services"] == {"api": "shop-backend", "worker": "jobs"}
    assert found["optional"] == "shop-backend"
    assert found["settings"]["database"] == {"services": ["shop-backend", "jobs"], "host": "backend"}
    assert found["settings"]["required"]["service"] == "shop-backend"
    assert spec["services"]["api"] == "backend"


def test_a_stack_without_a_cluster_keeps_its_names() -> None:
    spec = {"services": {"api": "backend"}, "settings": {}}
    assert stacks.on_cluster(spec)["services"] == {"api": "backend"}


@pytest.mark.parametrize("name", STACKS)
def test_what_stack_yml_names_stands_in_the_manifests(name: str) -> None:
    stack = stacks.load(name)
    folder = stack.folder / "kubernetes"
    documents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in folder.rglob("*.yml")]
    objects = [one for document in documents for one in (document["items"] if document["kind"] == "List" else [document])]
    workloads = {one["metadata"]["name"] for one in objects if one["kind"] in ("Deployment", "StatefulSet")}
    prefixes = {"", *(one["namePrefix"] for one in objects if "namePrefix" in one)}
    assert {one["metadata"]["name"] for one in objects if one["kind"] == "Namespace"} == set(stack.place["namespaces"])
    assert set(stack.spec["services"].values()) <= {prefix + workload for prefix in prefixes for workload in workloads}
    # Nothing is pulled: an image that the stack does not build would never come.
    images = {container["image"] for one in objects if one["kind"] in ("Deployment", "StatefulSet", "Job") for container in _containers(one)}
    assert images <= {"%s/%s:latest" % (stack.project, image) for image in stack.image_names}


def _containers(workload: dict[str, Any]) -> list[dict[str, Any]]:
    pod = workload["spec"]["template"]["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


def test_certificates_name_their_hosts_and_their_authority(tmp_path: Path) -> None:
    authority = certificates.Authority(tmp_path)
    authority.issue("server", "kube-apiserver", "system:masters", ("10.0.0.1", "kubernetes.default"))
    certificate, ca = (x509.load_pem_x509_certificate((tmp_path / name).read_bytes()) for name in ("server.crt", "ca.crt"))
    certificate.verify_directly_issued_by(ca)
    hosts = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one) for one in hosts.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    assert hosts.get_values_for_type(x509.DNSName) == ["kubernetes.default"]
    assert (tmp_path / "server.key").stat().st_mode & 0o077 == 0
    authority.kubeconfig(tmp_path / "config", "server", "https://there")
    assert yaml.safe_load((tmp_path / "config").read_text(encoding="utf-8"))["clusters"][0]["cluster"]["server"] == "https://there"


def test_a_process_is_known_by_its_birth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PIDS", tmp_path)
    assert processes.running("me") == 0
    (tmp_path / "me").write_text("%d %s" % (os.getpid(), processes._birth(os.getpid())), encoding="ascii")
    assert processes.running("me") == os.getpid()
    (tmp_path / "me").write_text("%d 1" % os.getpid(), encoding="ascii")
    assert processes.running("me") == 0, "another process has that number by now"


@pytest.mark.parametrize(("pods", "deployments"), [(1, 1), (100, 1), (101, 2), (2000, 20)])
def test_the_large_namespace_has_exactly_so_many_pods(pods: int, deployments: int) -> None:
    objects = scale.objects("many", pods)
    found = [one for one in objects if one["kind"] == "Deployment"]
    assert len(found) == deployments
    assert sum(one["spec"]["replicas"] for one in found) == pods
    assert all(one["spec"]["template"]["spec"]["nodeSelector"] for one in found), "none of them may run on the real node"


def test_what_is_built_is_said_exactly() -> None:
    for module, packages in binaries.PROGRAMS.items():
        text = (binaries.HERE / "go" / module / "go.mod").read_text(encoding="utf-8")
        assert all(package in text for package in packages if not package.startswith("."))
        assert binaries.folder(module).name.startswith(module + "-")
    assert "k8s.io/kubernetes v%s" % binaries.KUBERNETES in (binaries.HERE / "go" / binaries.CLUSTER / "go.mod").read_text(encoding="utf-8")


def test_the_names_server_has_the_plugins_that_it_is_told_to_use() -> None:
    corefile = (binaries.HERE / "addons.yml").read_text(encoding="utf-8").partition(".:53 {")[2].partition("\n        }")[0]
    plugins = re.findall(r"^ {12}(\w+)", corefile, re.MULTILINE)
    main = (binaries.HERE / "go" / binaries.CLUSTER / "coredns" / "main.go").read_text(encoding="utf-8")
    assert len(plugins) > 4
    assert [name for name in plugins if '/plugin/%s"' % name not in main or '"%s"' % name not in main.partition("Directives")[2]] == []


def test_only_the_cluster_s_own_rules_go_away() -> None:
    saved = """*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
:KUBE-SERVICES - [0:0]
:CNI-abc - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A FORWARD -s 10.244.0.0/24 -m comment --comment aiops-runbook-cluster -j ACCEPT
-A INPUT -m comment --comment "not KUBE-SERVICES" -j ACCEPT
-A KUBE-SERVICES -d 10.96.0.1/32 -j KUBE-SVC-X
COMMIT"""
    assert node.rules_away(saved) == [
        '-D PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        "-D FORWARD -s 10.244.0.0/24 -m comment --comment aiops-runbook-cluster -j ACCEPT",
        "-F KUBE-SERVICES",
        "-F CNI-abc",
        "-X KUBE-SERVICES",
        "-X CNI-abc",
    ]
    assert node.rules_away("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT") == []


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.19 linux/amd64", (1, 19, 0)),
        ("module example.org/go1.2/x\n\ngo 1.25.0\n", (1, 25, 0)),
        ("no version at all", (0, 0, 0)),
    ],
)
def test_versions_of_go(text: str, version: tuple[int, int, int]) -> None:
    assert binaries.go_version(text) == version


@pytest.mark.parametrize(
    ("version", "good"), [((1, 25, 9), False), ((1, 26, 4), True), ((1, 26, 8), True), ((1, 27, 0), False), ((1, 27, 3), False), ((0, 0, 0), False)]
)
def test_only_a_go_that_was_tried_builds(version: tuple[int, int, int], good: bool) -> None:
    assert binaries.suits(version) == good


def test_waiting_ends_with_what_was_awaited() -> None:
    with pytest.raises(places.ClusterError, match="the node is not ready after 0 s: no network"):
        places.wait("the node", lambda: "no network", 0)
    places.wait("the node", lambda: "", 0)
