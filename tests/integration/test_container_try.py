# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A start command tried beside its component, on real containers: how it ends, what it says, and that nothing of it remains."""

from __future__ import annotations

import pytest
from acting import small_project
from brokers import run_module
from playing import ROOT, run

PYTHON = {"image": "aiops-ref/llm:latest", "entrypoint": ["python3", "-u", "-c"], "stop_grace_period": "1s"}
SECRET = "Zx9-start-command-4417"
ENDS = "import os, sys; print('token', os.environ['API_TOKEN']); raise SystemExit('ERROR the price list is gone')"
RAISES = "import socket; socket.create_connection(('db', 5432), timeout=3)"
WRITES = "open('/data/there', 'w').write('x')"
SERVICES = {
    "ends": {**PYTHON, "command": [ENDS], "environment": {"API_TOKEN": SECRET}, "ports": ["127.0.0.1:18781:8000"]},
    "lost": {**PYTHON, "command": ["/no/such/program"], "entrypoint": []},
    "stays": {**PYTHON, "command": ["import time; time.sleep(3600)"]},
    "far": {**PYTHON, "command": [RAISES]},
    "writes": {**PYTHON, "command": [WRITES], "user": "0", "volumes": ["/data"]},
    "greedy": {**PYTHON, "command": ["x = bytearray(200000000); print(len(x))"], "mem_limit": "32m", "memswap_limit": "32m"},
    "db": {**PYTHON, "command": ["import socket, time; s = socket.create_server(('', 5432)); time.sleep(3600)"]},
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "build", "reference")
    folder = tmp_path_factory.mktemp("trial")
    services = dict(SERVICES)
    lost = services.pop("lost")
    with small_project("trial", folder, services) as project:
        # One whose program is not there cannot be brought up: it is made, and stays as it is.
        labels = [word for name, value in (("project", "trial"), ("service", "lost")) for word in ("--label", "com.docker.compose.%s=%s" % (name, value))]
        run("docker", "create", "--name", "trial-lost-1", *labels, "--label", "com.docker.compose.oneoff=False", lost["image"], *lost["command"])
        try:
            yield project
        finally:
            run("docker", "rm", "-f", "trial-lost-1")


def containers() -> str:
    return run("docker", "ps", "-a", "--no-trunc", "--filter", "label=com.docker.compose.project=trial", "--format", "{{.ID}} {{.Names}}")


def tried(component: str, check_mode: bool = False, **options):
    return run_module("container_try", check_mode, compose_project="trial", component=component, **options)


def test_one_that_ends_says_why(shop):
    before = sorted(line.split()[1] for line in containers().splitlines())
    answer = tried("ends")
    assert (answer["ended"], answer["exit_code"], answer["network"], answer["changed"]) == (True, 1, "", True), answer
    assert "the price list is gone" in answer["last_words"]["sample"] and any("price list" in line for line in answer["lines"])
    assert SECRET not in str(answer)
    assert sorted(line.split()[1] for line in containers().splitlines()) == before


def test_one_whose_program_is_not_there(shop):
    answer = tried("lost")
    assert (answer["ended"], answer["exit_code"]) == (True, 127) and "no such file" in answer["error"], answer


def test_one_that_stays_up_is_ended_after_its_time(shop):
    answer = tried("stays", seconds=2)
    assert (answer["ended"], answer["exit_code"], answer["last_words"]) == (False, None, None) and 2 <= answer["seconds"] < 6


def test_the_network_is_there_only_when_it_is_asked_for(shop):
    alone, there = tried("far"), tried("far", network=True)
    assert (alone["exit_code"], alone["network"]) == (1, "") and (there["exit_code"], there["network"]) == (0, "trial_default")


def test_its_volumes_are_for_reading_only(shop):
    answer = tried("writes")
    assert answer["exit_code"] == 1 and "Read-only file system" in str(answer["lines"]), answer


def test_its_limits_hold(shop):
    answer = tried("greedy")
    assert (answer["exit_code"], answer["oom_killed"]) == (137, True), answer


def test_check_mode_runs_nothing(shop):
    before = containers()
    answer = tried("ends", check_mode=True)
    assert answer["instance"] == "trial-ends-1" and "ended" not in answer and containers() == before


def test_what_a_run_that_was_killed_left_is_taken_away(shop):
    labels = ["--label", "com.docker.compose.project=trial", "--label", "com.docker.compose.oneoff=True", "--label", "aiops.runbook.trial=True"]
    run("docker", "run", "-d", "--name", "trial-stays-1-run-left", *labels, "--entrypoint", "sleep", PYTHON["image"], "3600")
    tried("ends")
    assert "run-left" not in containers()


def test_bad_input_names_the_option(shop):
    assert "component: there is no nobody; the components are" in tried("nobody")["msg"]
    answer = run_module("container_try", compose_project="trial", component="ends", stack_platform="kubernetes", kubeconfig="/nowhere")
    assert answer["failed"] and ("stack_platform" in answer["msg"] or "kubeconfig" in answer["msg"])
