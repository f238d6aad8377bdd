# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""container_check on real containers: each ill in its own way, one that is well, and nothing changed by looking."""

from __future__ import annotations

import json

import pytest
from acting import Small, small_project
from brokers import run_module, wait_until
from playing import ROOT, run

SLEEP = "import time; time.sleep(3600)"
PYTHON = {"image": "aiops-ref/llm:latest", "entrypoint": ["python3", "-u", "-c"], "stop_grace_period": "1s", "command": [SLEEP]}
SERVICES = {
    "well": {**PYTHON, "healthcheck": {"test": ["CMD", "true"], "interval": "1s"}, "mem_limit": "128m"},
    "crashed": {**PYTHON, "command": ["raise SystemExit('no such setting: RATE')"]},
    "api": PYTHON,
    "unneeded": PYTHON,
    "paused": PYTHON,
    "unhealthy": {**PYTHON, "healthcheck": {"test": ["CMD", "false"], "interval": "1s", "retries": 1}},
    "probeless": {**PYTHON, "healthcheck": {"test": ["CMD", "no-such-program"], "interval": "1s", "retries": 1}},
    "greedy": {**PYTHON, "command": ["b = b'x' * 120000000; " + SLEEP], "mem_limit": "64m", "memswap_limit": "64m"},
    "wrong": {**PYTHON, "entrypoint": ["no-such-program"]},
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "build", "reference")
    file = {name: service for name, service in SERVICES.items() if name != "wrong"}
    with small_project("judged", tmp_path_factory.mktemp("judged"), file) as project:
        # What cannot be started at all ends an `up`.
        project.file.write_text(json.dumps({"services": SERVICES}).replace("$", "$$"))
        project.compose("up", "-d", "wrong", check=False)
        # In good order, that is with 143; only one of them is missed.
        project.compose("stop", "-t", "1", "api", "unneeded")
        project.compose("pause", "paused")
        for name, status in (("well", "healthy"), ("unhealthy", "unhealthy"), ("probeless", "unhealthy")):
            wait_until(lambda name=name, status=status: state(project, name, "{{.State.Health.Status}}") == status, "%s is %s" % (name, status), 60)
        wait_until(lambda: state(project, "greedy", "{{.State.Running}}") == "false", "it was killed", 60)
        yield project


def state(shop: Small, name: str, form: str) -> str:
    return run("docker", "inspect", "-f", form, shop.container(name)).strip()


def test_each_illness_by_its_name(shop):
    before = run("docker", "inspect", *shop.compose("ps", "-aq").split())
    answer = run_module("container_check", compose_project=shop.name, limits={"startup_grace_seconds_warning": 1})
    assert not answer.get("failed") and answer["changed"] is False, answer
    found = {(one["component"], one["id"]) for one in answer["findings"] if one["severity"] != "info"}
    assert found == {
        ("crashed", "container.crashed"),
        ("api", "container.not_running"),
        ("paused", "container.paused"),
        ("unhealthy", "container.unhealthy"),
        ("probeless", "container.healthcheck_broken"),
        ("greedy", "container.oom_killed"),
        ("wrong", "container.bad_command"),
    }
    assert answer["verdict"] == "down"
    evidence = {one["component"]: one["evidence"] for one in answer["findings"]}
    assert "no such setting: RATE" in json.dumps(evidence["crashed"]) and evidence["greedy"]["memory_limit"] == 64 << 20
    assert {one["id"] for one in answer["cleared"] if one["component"] == "well"} >= {"container.not_running", "container.unhealthy", "container.oom_killed"}
    assert set(answer["facts"]) == set(SERVICES)
    run_module("container_check", True, compose_project=shop.name)
    after = run("docker", "inspect", *shop.compose("ps", "-aq").split())
    assert [{key: one[key] for key in ("Id", "Config", "HostConfig", "RestartCount")} for one in json.loads(after)] == [
        {key: one[key] for key in ("Id", "Config", "HostConfig", "RestartCount")} for one in json.loads(before)
    ]


def test_a_project_that_is_not_there(shop):
    answer = run_module("container_check", compose_project="nobody-has-this")
    assert answer["failed"] and "has no containers on this engine" in answer["msg"] and answer["kind"] == "not_found" and answer["fix"]


def test_an_engine_that_does_not_answer():
    answer = run_module("container_check", compose_project="judged", docker_host="tcp://127.0.0.1:9")
    assert answer["failed"] and "127.0.0.1:9" in answer["msg"], answer
