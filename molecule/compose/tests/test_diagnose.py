"""What the diagnosis leaves on the controller, and what it leaves alone on the stack."""

from __future__ import annotations

import json
import os
import stat

FOLDER = os.path.join(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "reports", "reference", "latest")


def test_the_stack_is_healthy(host):
    report = json.loads(host.file(FOLDER + "/report.json").content_string)
    assert report["verdict"] == "healthy"
    assert report["findings"] == []
    assert report["unknown"] == []


def test_every_part_was_recognised(host):
    report = json.loads(host.file(FOLDER + "/report.json").content_string)
    roles = {component["role"] for component in report["topology"]["components"]}
    assert {"api", "worker", "beat", "postgres", "redis", "llm", "proxy", "migration"} <= roles


def test_all_faces_are_written(host):
    for name in ("report.json", "report.html", "report.md", "report.xml", "report.prom", "status.json"):
        assert host.file("%s/%s" % (FOLDER, name)).size > 0


def test_nobody_else_can_read_observations(host):
    path = os.path.join(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "observations.json")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_the_stack_is_left_as_it_was(host):
    for name in ("api", "worker", "postgres", "redis"):
        container = host.docker("aiops-ref-%s-1" % name)
        assert container.is_running
        assert container.inspect()["RestartCount"] == 0


def test_no_helper_is_left_behind(host):
    assert host.run("docker ps --all --quiet --filter label=aiops.runbook").stdout == ""
