"""What the diagnosis of a namespace leaves on the controller, and what it leaves alone on the cluster."""

from __future__ import annotations

import json
import os
import shlex
import stat
import sys

FOLDER = os.path.join(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "reports", "reference_kubernetes", "latest")
CLUSTER = os.path.join(os.environ["MOLECULE_PROJECT_DIRECTORY"], "tests", "cluster", "cluster.py")


def report(host):
    return json.loads(host.file(FOLDER + "/report.json").content_string)


def kubectl(host, *words):
    return host.check_output(shlex.join([sys.executable, CLUSTER, "kubectl", *words]))


def test_the_stack_is_healthy(host):
    found = report(host)
    assert found["verdict"] == "healthy"
    assert [one for one in found["findings"] if one["severity"] != "info"] == []
    assert found["unknown"] == []


def test_every_part_was_recognised(host):
    roles = {component["id"]: component["role"] for component in report(host)["topology"]["components"]}
    assert roles == {
        "api": "api",
        "worker": "worker",
        "beat": "beat",
        "postgres": "postgres",
        "redis": "redis",
        "llm": "llm",
        "nginx": "proxy",
        "migrate": "migration",
    }


def test_all_faces_are_written(host):
    for name in ("report.json", "report.html", "report.md", "report.xml", "report.prom", "status.json"):
        assert host.file("%s/%s" % (FOLDER, name)).size > 0


def test_nobody_else_can_read_observations(host):
    path = os.path.join(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "observations.json")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_the_stack_is_left_as_it_was(host):
    for pod in json.loads(kubectl(host, "-n", "aiops-ref", "get", "pods", "-o", "json"))["items"]:
        assert pod["status"]["phase"] in ("Running", "Succeeded"), pod["metadata"]["name"]
    for kind in ("deployments", "statefulsets"):
        for one in json.loads(kubectl(host, "-n", "aiops-ref", "get", kind, "-o", "json"))["items"]:
            writers = {field["manager"] for field in one["metadata"].get("managedFields", [])}
            assert "aiops-runbook" not in writers, one["metadata"]["name"]


def test_no_helper_is_left_behind(host):
    assert kubectl(host, "get", "pods", "--all-namespaces", "-l", "app.kubernetes.io/managed-by=aiops-runbook", "-o", "name") == ""
