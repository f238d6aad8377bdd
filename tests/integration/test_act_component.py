# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Components started, restarted, given their networks back, and told to log more for a while, on real containers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from brokers import run_module
from playing import ROOT, ad_hoc, run
from predicting import predicted

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.door import ACT_SPEC, apply_one, undo_run
from ansible_collections.aiops.runbook.plugins.module_utils.act.records import Records

PROJECT = "parts"
PASSWORD = "Rk2-parts-cache"
PYTHON = {"image": "aiops-ref/llm:latest", "entrypoint": ["python3", "-u", "-c"], "stop_grace_period": "1s"}
SERVE = "import http.server as h\nh.ThreadingHTTPServer(('0.0.0.0', 8000), h.SimpleHTTPRequestHandler).serve_forever()"
SETTINGS = {"REDIS_URL": "redis://:%s@cache:6379/0" % PASSWORD, "LOG_LEVEL": "${LOG_LEVEL}", "SHOP_DEBUG": "0"}
STACK = {
    "services": {
        # One that nobody can reach would be ill as soon as it runs.
        "api": {**PYTHON, "command": [SERVE], "environment": SETTINGS, "networks": ["default", "back"], "ports": ["127.0.0.1:18786:8000"]},
        "cache": {
            "image": "aiops-ref/redis:latest",
            "command": ["redis-server", "--requirepass", PASSWORD],
            "stop_grace_period": "1s",
            "networks": {"back": {"aliases": ["sessions"], "ipv4_address": "10.213.7.9"}},
        },
    },
    "networks": {"default": None, "back": {"ipam": {"config": [{"subnet": "10.213.7.0/24"}]}}},
}
LEVEL = "LOG_LEVEL=INFO\n"


@pytest.fixture(scope="module", autouse=True)
def project(tmp_path_factory):
    run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "build", "reference")
    folder = tmp_path_factory.mktemp("parts")
    (folder / "compose.yml").write_text(json.dumps(STACK))
    (folder / ".env").write_text(LEVEL)
    command = ("docker", "compose", "-p", PROJECT, "--project-directory", str(folder), "-f", str(folder / "compose.yml"))
    try:
        run(*command, "up", "-d", "--force-recreate")
        yield folder
    finally:
        run(*command, "down", "-v", "--remove-orphans", "-t", "1")


@pytest.fixture
def place(tmp_path):
    usual = {key: option.get("default") for key, option in ACT_SPEC.items()}
    return {**usual, "compose_project": PROJECT, "state_dir": str(tmp_path / "state"), "hold_seconds": 0.0}


@pytest.fixture
def cure(place):
    def call(remedy: str, component: str, check: bool = False, **params) -> dict:
        return apply_one(place, Step(remedy, component, params), check)

    return call


def ask(name: str, form: str) -> str:
    return run("docker", "inspect", "-f", form, "%s-%s-1" % (PROJECT, name)).strip()


def address_of(name: str) -> str:
    """As the api finds it."""
    question = "import socket\ntry: print(socket.gethostbyname('%s'))\nexcept OSError: print('unknown')" % name
    return run("docker", "exec", PROJECT + "-api-1", "python3", "-c", question).strip()


def setting(name: str) -> str:
    return dict(pair.split("=", 1) for pair in json.loads(ask("api", "{{json .Config.Env}}")))[name]


def networks(name: str) -> str:
    found = json.loads(ask(name, "{{json .NetworkSettings.Networks}}"))
    return "on " + (", ".join(sorted(found)) or "no network")


def container(name: str, was: str, words: str) -> dict[str, str]:
    """What a difference must say of a container that was another one, or in another life, before."""
    return {"container %s-%s-1" % (PROJECT, name): words if ask(name, "{{.Id}} {{.State.StartedAt}}") != was else "the same"}


def life(name: str) -> str:
    return ask(name, "{{.Id}} {{.State.StartedAt}}")


def by_ansible(module: str, **options) -> subprocess.Popen:
    command = ad_hoc(module, {"compose_project": PROJECT, **options})
    return subprocess.Popen(command, env={**os.environ, "ANSIBLE_NOCOLOR": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.predicts("network_connect")
def test_a_lost_network_is_given_back_as_compose_would(cure, place):
    whole = ask("cache", "{{json .NetworkSettings.Networks.parts_back.IPAMConfig}} {{.NetworkSettings.Networks.parts_back.IPAddress}}")
    run("docker", "network", "disconnect", "parts_back", PROJECT + "-cache-1")
    assert address_of("cache") == "unknown"
    told = cure("network_connect", "cache", check=True, networks=["back"])
    assert told["preview"]["diff"] == [{"what": "container parts-cache-1", "before": "on no network", "after": "on parts_back"}]
    assert address_of("cache") == "unknown"
    done = cure("network_connect", "cache", networks=["back"])
    assert done["record"]["result"] == "held", done["record"]
    predicted("network_connect", told, done, {"container parts-cache-1": networks("cache")})
    assert [address_of(name) for name in ("cache", "sessions", "parts-cache-1")] == ["10.213.7.9"] * 3
    assert ask("cache", "{{json .NetworkSettings.Networks.parts_back.IPAMConfig}} {{.NetworkSettings.Networks.parts_back.IPAddress}}") == whole
    assert not cure("network_connect", "cache", networks=["parts_back"])["changed"]
    assert undo_run(place, None)["result"] == "undone"
    assert address_of("cache") == "unknown"
    assert cure("network_connect", "cache", networks=["parts_back"])["changed"]


def test_a_lost_network_by_the_module(place):
    options = {"compose_project": PROJECT, "component": "cache", "networks": ["back"], "state_dir": place["state_dir"], "hold_seconds": 0}
    before = networks("cache")
    run("docker", "network", "disconnect", "parts_back", PROJECT + "-cache-1", check=False)
    told = run_module("component_network", True, _ansible_diff=True, **options)
    assert told["changed"] and networks("cache") == "on no network" and told["networks"] == ["parts_back"], told
    done = run_module("component_network", _ansible_diff=True, **options)
    assert (done["changed"], done["diff"], done["risk"]) == (True, told["diff"], "safe") and networks("cache") == before, done
    assert not run_module("component_network", **options)["changed"]
    refused = run_module("component_network", **{**options, "networks": ["bridge"]})
    assert refused["failed"] and "do not put cache on a network" in refused["msg"] and refused["fix"]
    assert undo_run(place, None)["result"] == "undone" and networks("cache") == "on no network"
    assert run_module("component_network", **options)["changed"]


def test_a_network_that_the_files_do_not_give(cure):
    for name in ("bridge", "default"):
        with pytest.raises(Refused, match="do not put cache on a network"):
            cure("network_connect", "cache", networks=[name])


@pytest.mark.predicts("component_start")
def test_started_and_stopped_again(cure, place):
    run("docker", "stop", "-t", "20", PROJECT + "-cache-1")
    was = life("cache")
    told = cure("component_start", "cache", check=True)
    assert (told["preview"]["risk"], life("cache"), ask("cache", "{{.State.Status}}")) == ("safe", was, "exited")
    done = cure("component_start", "cache")
    predicted("component_start", told, done, {"container parts-cache-1": ask("cache", "{{.State.Status}}")})
    assert not cure("component_start", "cache")["changed"]
    assert undo_run(place, None)["result"] == "undone" and ask("cache", "{{.State.Status}}") == "exited"
    run("docker", "start", PROJECT + "-cache-1")


@pytest.mark.predicts("component_restart")
def test_restarted_and_nothing_to_put_back(cure, place):
    was, other = life("cache"), life("api")
    told = cure("component_restart", "cache", check=True)
    assert (told["preview"]["risk"], life("cache")) == ("disruptive", was)
    done = cure("component_restart", "cache")
    assert done["record"]["result"] == "held", done["record"]
    predicted("component_restart", told, done, container("cache", was, "restarted"))
    assert life("cache").split()[0] == was.split()[0] and life("api") == other
    (kept,) = (part for part in done["record"]["steps"][0]["evidence"] if part["what"] == "logs of cache")
    assert any("Ready to accept connections" in line for line in kept["lines"]) and PASSWORD not in json.dumps(done)
    assert undo_run(place, None)["result"] == "unchanged" and life("cache") != was


def test_what_a_component_needs_is_started_first(place):
    """The api is told to connect to the cache."""
    for name in ("api", "cache"):
        run("docker", "stop", "-t", "20", "%s-%s-1" % (PROJECT, name))
    options = {"compose_project": PROJECT, "component": "api", "state_dir": place["state_dir"], "hold_seconds": 0, "_ansible_diff": True}
    told = run_module("stack_component", True, **options)
    assert (told["changed"], told["touches"], told["risk"]) == (True, ["cache", "api"], "safe"), told
    done = run_module("stack_component", **options)
    assert (done["record"]["result"], done["diff"]) == ("held", told["diff"]), done
    assert [(step["component"], step["result"]) for step in done["record"]["steps"]] == [("cache", "done"), ("api", "done")]
    assert ask("cache", "{{.State.StartedAt}}") < ask("api", "{{.State.StartedAt}}")
    assert not run_module("stack_component", **options)["changed"]
    undone = undo_run(place, None)
    assert [step["component"] for step in undone["steps"]] == ["api", "cache"], "the last first"
    assert {ask(name, "{{.State.Status}}") for name in ("api", "cache")} == {"exited"}
    alone = run_module("stack_component", dependencies=False, **options)
    assert (alone["touches"], ask("cache", "{{.State.Status}}")) == (["api"], "exited"), alone
    # A restart of what runs starts what it needs, too.
    again = run_module("stack_component", state="restarted", **options)
    assert [(step["remedy"], step["component"]) for step in again["record"]["steps"]] == [("component_start", "cache"), ("component_restart", "api")], again


def test_started_and_restarted_by_the_module(place):
    run("docker", "stop", "-t", "1", PROJECT + "-cache-1")
    for state, words in (("started", "CHANGED"), ("started", "SUCCESS"), ("restarted", "CHANGED")):
        before = ask("cache", "{{.State.StartedAt}}")
        output = by_ansible("stack_component", component="cache", state=state, state_dir=place["state_dir"], hold_seconds=0).communicate(timeout=120)[0]
        assert words in output, output
        assert PASSWORD not in output
        assert ask("cache", "{{.State.Running}}") == "true"
        assert (ask("cache", "{{.State.StartedAt}}") != before) is (words == "CHANGED")


def put_back_processes() -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "comm").read_text().strip() == "aiops-put-back":
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def wait_for(what, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_another_level_for_a_while(place, project):
    """The task, its process and its folder are gone, and what waits holds no secret where others could read it."""
    already = set(put_back_processes())
    options = {"component": "api", "level": "DEBUG", "debug": True, "minutes": 0.8, "redis_password": PASSWORD}
    task = by_ansible("log_level", **options, state_dir=place["state_dir"], hold_seconds=0)
    output = task.communicate(timeout=120)[0]
    assert "CHANGED" in output, output
    assert PASSWORD not in output
    assert (setting("LOG_LEVEL"), setting("SHOP_DEBUG")) == ("DEBUG", "1")
    waiting = set(put_back_processes()) - already
    assert waiting
    for pid in waiting:
        assert PASSWORD not in Path("/proc/%d/cmdline" % pid).read_text() + Path("/proc/%d/environ" % pid).read_text()
        assert os.getsid(pid) != os.getsid(0)
        assert {os.readlink(link) for link in Path("/proc/%d/fd" % pid).iterdir()} == {"/dev/null"}
    # Put back, and its record closed.
    records = Records(place["state_dir"], PROJECT)
    wait_for(lambda: records.runs()[-1].open_steps() == [] and (records.runs()[-1].last("end") or {}).get("result") == "undone")
    assert (setting("LOG_LEVEL"), setting("SHOP_DEBUG")) == ("INFO", "0")
    assert (project / ".env").read_text() == LEVEL
    assert not (project / "compose.aiops-runbook.yml").exists()
    assert records.at_work() == {"lease": None, "unfinished": [], "overdue": []}
    wait_for(lambda: not set(put_back_processes()) - already, 5)


def test_put_back_also_when_the_task_was_killed(place, project):
    code = "import json, sys\nfrom ansible_collections.aiops.runbook.plugins.module_utils.act.door import apply_one\n"
    code += "from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Step\n"
    code += "apply_one(json.load(sys.stdin), Step('log_level', 'api', {'level': 'DEBUG', 'minutes': 0.3}), False)"
    task = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True)
    task.stdin.write(json.dumps({**place, "hold_seconds": 300.0}))
    task.stdin.close()
    records = Records(place["state_dir"], PROJECT)
    wait_for(lambda: any(journal.last("acted") for journal in records.runs()))
    assert setting("LOG_LEVEL") == "DEBUG"
    os.kill(task.pid, signal.SIGKILL)
    task.wait()
    wait_for(lambda: records.runs()[-1].open_steps() == [])
    assert setting("LOG_LEVEL") == "INFO"
    assert (project / ".env").read_text() == LEVEL
    wait_for(lambda: records.at_work() == {"lease": None, "unfinished": [], "overdue": []}, 10)


@pytest.mark.predicts("log_level")
def test_taken_back_by_a_person_before_its_time(cure, place):
    was = life("api")
    told = cure("log_level", "api", check=True, level="DEBUG", debug=True, minutes=10)
    assert (life("api"), setting("LOG_LEVEL")) == (was, "INFO")
    done = cure("log_level", "api", level="DEBUG", debug=True, minutes=10)
    assert (done["record"]["result"], setting("LOG_LEVEL")) == ("held", "DEBUG")
    places = {"LOG_LEVEL of api, in .env": setting("LOG_LEVEL"), "SHOP_DEBUG of api, in compose.aiops-runbook.yml": setting("SHOP_DEBUG")}
    predicted("log_level", told, done, {**places, **container("api", was, "made anew")})
    assert not cure("log_level", "api", level="DEBUG", debug=True, minutes=10)["changed"]
    with pytest.raises(Refused, match="logs at another level already"):
        cure("log_level", "api", level="WARNING", minutes=10)
    assert undo_run(place, done["record"]["run"])["result"] == "undone"
    assert setting("LOG_LEVEL") == "INFO"


def test_what_reads_no_variable_needs_a_change_in_the_code(cure):
    with pytest.raises(Refused, match="needs a change in the code") as refused:
        cure("log_level", "cache", level="DEBUG")
    assert "LOG_LEVEL" in refused.value.details["fix"]
