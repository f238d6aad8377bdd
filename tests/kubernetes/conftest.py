# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The cluster that these tests run on: the one of KUBECONFIG, else the test cluster, which is brought up when it is not there.

Where none can be had the tests fail: none of them is ever skipped.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import predicting
import pytest
from there import CLUSTER, SERVE, Kubectl, There, apply_all, service, workload

from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubeconfig import find_access
from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubernetes import Cluster

# Its tests are those of two files, and are to tell as much as they would there.
pytest.register_assert_rewrite("wards")
sys.path[:0] = [str(CLUSTER.parent)]

import node  # noqa: E402
import places  # noqa: E402
import stacks  # noqa: E402


@pytest.fixture(autouse=True)
def _predictions_are_compared(request: pytest.FixtureRequest) -> Iterator[None]:
    yield from predicting.comparing(request)


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    """The admin's kubeconfig, of a cluster that answers."""
    if subprocess.run([sys.executable, CLUSTER, "status"], capture_output=True, check=False).returncode:
        brought = subprocess.run([sys.executable, CLUSTER, "up"], capture_output=True, text=True, check=False)
        assert brought.returncode == 0, "there is no cluster, and none could be brought up:\n%s" % brought.stderr[-2000:]
    return places.given() or str(places.KUBECONFIG)


@pytest.fixture(scope="session")
def images(kubeconfig: str) -> dict[str, str]:
    """The images of the reference stack by their short names, on the node: what small pods are made of."""
    stack = stacks.load("reference")
    stacks.bring_images(stack)
    return {name: "%s/%s:latest" % (stack.project, name) for name in stack.image_names}


@pytest.fixture(scope="session")
def kubectl(kubeconfig: str) -> Kubectl:
    """kubectl(*words, stdin=None, check=True, timeout=60): what it prints, as admin."""
    return node.kubectl


@pytest.fixture(scope="session")
def cluster(kubeconfig: str) -> Cluster:
    """The API server, asked as admin by the collection's own client."""
    return Cluster(find_access(kubeconfig), timeout=10.0)


@pytest.fixture(scope="module")
def namespace(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of this module's own, in which pods can be made; gone at its end."""
    name = "%s-%s" % (Path(str(request.path)).stem.replace("_", "-"), secrets.token_hex(3))
    kubectl("create", "namespace", name)

    def problem() -> str:
        return "" if kubectl("-n", name, "get", "serviceaccount", "default", "-o", "name", check=False) else "it has no service account yet"

    try:
        places.wait("the namespace %s" % name, problem, 30)
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false", check=False)


@pytest.fixture(scope="module")
def place(namespace: str, kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> There:
    """The module's own namespace as a stack."""
    return There(namespace, (namespace,), kubeconfig, tmp_path_factory.mktemp("state"))


def _stack(name: str, kubeconfig: str, state: Path) -> There:
    """A reference stack, up and ready."""
    stack = stacks.load(name)
    if stacks.ready(stack):
        stacks.up(stack)
    instance = stack.place.get("instance")
    selector = "app.kubernetes.io/instance=%s" % instance if instance else ""
    return There("%s_kubernetes" % name, tuple(stack.place["namespaces"]), kubeconfig, state, selector)


@pytest.fixture(scope="session")
def reference(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> There:
    """The reference stack."""
    return _stack("reference", kubeconfig, tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def second(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> There:
    """The second stack: two namespaces, told from its neighbour by a label."""
    return _stack("second", kubeconfig, tmp_path_factory.mktemp("state"))


def _apply(kubectl: Kubectl, namespace: str) -> Iterator[Callable[..., None]]:
    made: list[tuple[str, str]] = []

    def put(*objects: dict) -> None:
        apply_all(kubectl, namespace, *objects)
        made.extend((one["kind"], one["metadata"]["name"]) for one in objects)

    yield put
    for kind, name in reversed(made):
        kubectl("-n", namespace, "delete", kind, name, "--ignore-not-found", "--grace-period=1", "--wait=false", check=False)


@pytest.fixture
def apply(kubectl: Kubectl, namespace: str) -> Iterator[Callable[..., None]]:
    """apply(*objects): make or change these objects in the module's namespace; they are gone at the test's end."""
    yield from _apply(kubectl, namespace)


@pytest.fixture(scope="module")
def small(kubectl: Kubectl, namespace: str, place: There, images: dict[str, str]) -> There:
    """A small healthy stack in the module's namespace: an api that says yes to everything, and its Redis, the workload `cache`."""
    ping = {"exec": {"command": ["redis-cli", "ping"]}, "periodSeconds": 2}
    ask = {"httpGet": {"path": "/health", "port": "main"}, "periodSeconds": 2}
    settings = {"REDIS_URL": "redis://cache:6379/0"}
    given = [{"configMapRef": {"name": "settings"}}]
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": settings},
        *workload("cache", images["redis"], port=6379, readinessProbe=ping),
        service("cache", 6379),
        *workload("api", images["llm"], port=8000, command=["python3", "-u", "-c", SERVE], envFrom=given, readinessProbe=ask),
        service("api", 8000),
    ]
    apply_all(kubectl, namespace, *objects)
    for name in ("cache", "api"):
        kubectl("-n", namespace, "rollout", "status", "deployment/" + name, "--timeout=90s", timeout=100)
    return place
