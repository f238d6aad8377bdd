# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A cluster that is not made of our own programs: the one of KUBECONFIG, or kind's where kind and its image are at hand."""

from __future__ import annotations

import json
import shutil

from node import kubectl
from places import KIND, KUBECONFIG, ClusterError, given, run, say

NAME = "aiops-runbook"


def check() -> None:
    """Raises ClusterError when the cluster of KUBECONFIG does not answer."""
    kubectl("--request-timeout=10s", "get", "namespaces", timeout=20)
    say("the cluster of KUBECONFIG=%s answers" % given())


def kind_is_at_hand() -> bool:
    return bool(shutil.which("kind") and run(["docker", "image", "ls", "-q", "kindest/node"], check=False).strip())


def kind_up() -> None:
    if NAME not in run(["kind", "get", "clusters"], check=False).split():
        image = run(["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "kindest/node"]).split()[0]
        run(["kind", "create", "cluster", "--name", NAME, "--image", image, "--wait", "120s", "--kubeconfig", KUBECONFIG], 300)
    KUBECONFIG.parent.mkdir(parents=True, exist_ok=True)
    run(["kind", "export", "kubeconfig", "--name", NAME, "--kubeconfig", KUBECONFIG])
    KIND.touch()


def kind_down() -> None:
    run(["kind", "delete", "cluster", "--name", NAME, "--kubeconfig", KUBECONFIG], 120)
    KIND.unlink(missing_ok=True)


def load_images(tags: list[str]) -> None:
    """Bring images to the nodes where that is possible; otherwise say what the nodes must be able to pull."""
    context = kubectl("config", "current-context").strip()
    if context.startswith("kind-") and shutil.which("kind"):
        run(["kind", "load", "docker-image", "--name", context.removeprefix("kind-"), *tags], 600)
    else:
        say("the nodes of this cluster must have or get the images %s" % " ".join(tags))


def address() -> str:
    """Where the node ports of its first node are reached."""
    nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    found = [one["address"] for node in nodes for one in node["status"].get("addresses", []) if one["type"] == "InternalIP"]
    if not found:
        raise ClusterError("no node of this cluster tells its address")
    return str(found[0])
