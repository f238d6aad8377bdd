# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""component_resources on real containers: what is written, what is made anew, and that all of it comes back."""

from __future__ import annotations

import json
import os
import subprocess
import time
from functools import partial

import pytest
from playing import ROOT, ad_hoc, run
from predicting import predicted

from ansible_collections.aiops.runbook.plugins.module_utils.act import project_settings
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.door import ACT_SPEC, apply_one, undo_run
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.component import wait_healthy

PROJECT = "limits"
OVERRIDE = "compose.aiops-runbook.yml"
MIB = 1 << 20
PYTHON = {"image": "aiops-ref/llm:latest", "entrypoint": ["python3", "-u", "-c"], "stop_grace_period": "1s"}
SLEEP = "import time; time.sleep(3600)"
SERVE = "import http.server as h\nh.ThreadingHTTPServer(('0.0.0.0', 8000), h.SimpleHTTPRequestHandler).serve_forever()"
ASK = "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/', timeout=2)"
SERVICES = {
    "api": {
        **PYTHON,
        "command": [SERVE],
        "mem_limit": "64m",
        "scale": 2,
        "healthcheck": {"test": ["CMD", "python3", "-c", ASK], "interval": "1s", "timeout": "5s", "retries": 3, "start_period": "10s"},
    },
    "greedy": {**PYTHON, "command": ["b = b'x' * 120000000; " + SLEEP], "mem_limit": "64m", "memswap_limit": "64m"},
    "deployed": {**PYTHON, "command": [SLEEP], "deploy": {"resources": {"limits": {"memory": "64m", "cpus": "0.5"}}}},
    "migrate": {**PYTHON, "command": ["print('done')"]},
    "free": {**PYTHON, "command": [SLEEP]},
}


@pytest.fixture(scope="module", autouse=True)
def project(tmp_path_factory):
    run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "build", "reference")
    file = tmp_path_factory.mktemp("limits") / "compose.yml"
    file.write_text(json.dumps({"services": SERVICES}).replace("$", "$$"))
    command = ("docker", "compose", "-p", PROJECT, "-f", str(file))
    try:
        run(*command, "up", "-d", "--force-recreate", "--wait", check=False)
        yield file
    finally:
        run(*command, "down", "-v", "--remove-orphans", "-t", "1")


@pytest.fixture
def place(tmp_path):
    """The options that say where; records of the test's own."""
    usual = {key: option.get("default") for key, option in ACT_SPEC.items()}
    return {**usual, "compose_project": PROJECT, "state_dir": str(tmp_path / "state"), "hold_seconds": 0.0, "roles": {"migrate": "migration"}}


@pytest.fixture
def change(place):
    def call(component: str, check: bool = False, **params) -> dict:
        return apply_one(place, Step("component_resources", component, params), check)

    return call


def inspect(component: str, form: str) -> list[str]:
    names = run("docker", "ps", "-aq", "--filter", "label=com.docker.compose.project=" + PROJECT, "--filter", "label=com.docker.compose.service=" + component)
    return sorted(run("docker", "inspect", "-f", form, *names.split()).splitlines())


def memory(component: str) -> list[int]:
    return [int(text) for text in inspect(component, "{{.HostConfig.Memory}}")]


def everything() -> dict[str, list[str]]:
    """All that the containers were made with; what is another one each time they are made is left out."""
    found = {}
    for name in SERVICES:
        made = [json.loads(text) for text in inspect(name, '{"config": {{json .Config}}, "host": {{json .HostConfig}}}')]
        for one in made:
            del one["config"]["Hostname"]
            one["config"]["Labels"].pop("com.docker.compose.replace", None)
        found[name] = sorted(json.dumps(one, sort_keys=True) for one in made)
    return found


@pytest.mark.predicts("component_resources")
def test_exactly_what_was_said_and_all_of_it_back(change, place, project):
    before, ids = everything(), {name: inspect(name, "{{.Id}}") for name in SERVICES}
    wanted = {"memory": 96 * MIB, "cpus": 0.5, "healthcheck": {"interval_seconds": 2, "retries": 5, "test": ["CMD", "python3", "-c", ASK + " # $HOME"]}}
    told = change("api", check=True, **wanted)
    assert (told["changed"], told["preview"]["risk"], everything()) == (True, "disruptive", before)
    assert not (project.parent / OVERRIDE).exists()
    done = change("api", **wanted)
    assert done["record"]["result"] == "held", done["record"]
    check = json.loads(inspect("api", "{{json .Config.Healthcheck}}")[0])
    assert (check["Interval"], check["Timeout"], check["Retries"], check["StartPeriod"]) == (2_000_000_000, 5_000_000_000, 5, 10_000_000_000)
    assert check["Test"] == wanted["healthcheck"]["test"]
    swap, cpus = (inspect("api", form)[0] for form in ("{{.HostConfig.MemorySwap}}", "{{.HostConfig.NanoCpus}}"))
    seen = {
        "memory limit of api": "%d MiB" % (memory("api")[0] // MIB),
        "limit of memory and swap of api": "%d MiB" % (int(swap) // MIB),
        "processors of api": "%g" % (int(cpus) / 1e9),
        "health check of api": " ".join(check["Test"]),
        "health check's interval seconds of api": "%d" % (check["Interval"] / 1e9),
        "health check's retries of api": str(check["Retries"]),
        **{"container limits-api-%d" % number: "made anew" if not set(ids["api"]) & set(inspect("api", "{{.Id}}")) else "the same" for number in (1, 2)},
    }
    predicted("component_resources", told, done, seen)
    assert (memory("api"), inspect("api", "{{.HostConfig.NanoCpus}}")) == ([96 * MIB] * 2, ["500000000"] * 2)
    assert (project.parent / OVERRIDE).stat().st_mode & 0o777 == 0o600
    assert [name for name in SERVICES if inspect(name, "{{.Id}}") != ids[name]] == ["api"]
    assert '"mem_limit": "96m"' in done["preview"]["lasting"][0]
    again = change("api", **wanted)
    assert (again["changed"], "record" in again) == (False, False)
    assert undo_run(place, None)["result"] == "undone"
    assert everything() == before
    assert not (project.parent / OVERRIDE).exists()


def test_killed_for_want_of_memory_grows_once(change, place):
    assert inspect("greedy", "{{.State.OOMKilled}}") == ["true"]
    done = change("greedy", memory="grow")
    assert done["record"]["result"] == "held", done["record"]
    assert (memory("greedy"), inspect("greedy", "{{.State.Running}} {{.HostConfig.MemorySwap}}")) == ([256 * MIB], ["true %d" % (256 * MIB)])
    assert not change("greedy", memory="grow")["changed"]
    assert undo_run(place, None)["result"] == "undone"
    assert memory("greedy") == [64 * MIB]


def test_the_form_of_the_projects_own_files(change, place, project):
    done = change("deployed", memory=96 * MIB, cpus=0.25)
    assert done["record"]["result"] == "held", done["record"]
    written = json.loads((project.parent / OVERRIDE).read_text())["services"]["deployed"]
    assert written["deploy"] == {"resources": {"limits": {"memory": "96m", "cpus": "0.25"}}}
    assert (memory("deployed"), inspect("deployed", "{{.HostConfig.NanoCpus}}")) == ([96 * MIB], ["250000000"])
    assert undo_run(place, None)["result"] == "undone"


def test_two_changes_and_the_first_stays_when_the_second_is_taken_back(change, place, project):
    assert change("deployed", cpus=0.25)["record"]["result"] == "held"
    first = (project.parent / OVERRIDE).read_bytes()
    assert change("free", memory=96 * MIB)["record"]["result"] == "held"
    assert undo_run(place, None)["result"] == "undone"
    assert (project.parent / OVERRIDE).read_bytes() == first
    assert (memory("free"), inspect("deployed", "{{.HostConfig.NanoCpus}}")) == ([0], ["250000000"])
    assert undo_run(place, None)["result"] == "undone"
    assert not (project.parent / OVERRIDE).exists()


def test_a_change_that_makes_it_ill_is_taken_back(change, monkeypatch):
    monkeypatch.setattr(project_settings, "wait_healthy", partial(wait_healthy, seconds=3.0))
    before = everything()
    done = change("api", healthcheck={"test": ["CMD", "false"], "start_period_seconds": 0})
    assert (done["record"]["result"], done["record"]["steps"][0]["undone"]) == ("failed", True)
    assert "unhealthy" in done["record"]["steps"][0]["error"]
    assert everything() == before


REFUSED = {
    "a job that runs once": ("migrate", {"memory": 96 * MIB}, "runs once"),
    "less than it uses": ("api", {"memory": 6 * MIB}, "killed at once"),
    "more than the host has": ("api", {"memory": 1 << 50}, "in all"),
    "more processors than the host has": ("api", {"cpus": 4096}, "processors"),
    "to grow without a limit": ("free", {"memory": "grow"}, "no limit"),
    "times of no health check": ("free", {"healthcheck": {"interval_seconds": 5}}, "no health check"),
    "nothing": ("api", {}, "nothing says"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, change):
    component, params, words = REFUSED[case]
    before = everything()
    with pytest.raises(Refused, match=words):
        change(component, **params)
    assert everything() == before


def test_an_edit_that_is_not_deployed_is_not_deployed_by_us(change, project):
    whole = project.read_text()
    project.write_text(whole.replace('"mem_limit": "64m", "scale"', '"mem_limit": "64m", "environment": {"NEW": "1"}, "scale"'))
    try:
        with pytest.raises(Refused, match="NEW"):
            change("api", memory=96 * MIB)
    finally:
        project.write_text(whole)


def test_through_ansible(place, project):
    options = {"compose_project": PROJECT, "state_dir": place["state_dir"], "component": "free", "memory": "96M", "hold_seconds": 0}
    command = ad_hoc("component_resources", options)
    for words in ("CHANGED", "SUCCESS"):
        output = subprocess.run(command, env={**os.environ, "ANSIBLE_NOCOLOR": "1"}, capture_output=True, text=True, timeout=120, check=False).stdout
        assert words in output, output
    assert memory("free") == [96 * MIB]
    assert undo_run(place, None)["result"] == "undone"
    time.sleep(0.1)
    assert memory("free") == [0]
