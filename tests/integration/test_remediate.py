"""Plan, approve, apply, verify, undo through the playbooks, on a small stack of real containers; and everything that must stop it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playing import ROOT, Played, play, run

PROJECT = "rails"
PYTHON = {"image": "aiops-ref/llm:latest", "entrypoint": ["python3", "-u", "-c"], "stop_grace_period": "1s"}
SERVE = "import http.server as h\nclass A(h.BaseHTTPRequestHandler):\n def do_GET(s): s.send_response(200); s.end_headers(); s.wfile.write(b'ok')\n"
SERVE += "h.ThreadingHTTPServer(('0.0.0.0', 8000), A).serve_forever()"
SERVICES = {
    "api": {**PYTHON, "command": [SERVE], "ports": ["127.0.0.1:18779:8000"], "environment": {"REDIS_URL": "redis://cache:6379/0"}},
    "cache": {"image": "aiops-ref/redis:latest", "stop_grace_period": "1s"},
}
CURE = ("component_start", "cache")


@pytest.fixture(scope="module", autouse=True)
def project(tmp_path_factory):
    """The stack of this file; gone afterwards."""
    run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "build", "reference")
    file = tmp_path_factory.mktemp("rails") / "compose.yml"
    file.write_text(json.dumps({"services": SERVICES}).replace("$", "$$"))
    command = ("docker", "compose", "-p", PROJECT, "-f", str(file))
    try:
        run(*command, "up", "-d", "--force-recreate")
        yield command
    finally:
        run(*command, "down", "-v", "--remove-orphans", "-t", "1")


@pytest.fixture
def broken(project):
    """The stack with its cache stopped; whole again afterwards."""
    run("docker", "stop", "-t", "20", "rails-cache-1")
    yield
    run(*project, "up", "-d")


@pytest.fixture
def desk(tmp_path):
    """An operator's desk: an inventory, a folder of reports, and the host's records."""
    settings = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "compose_project": PROJECT,
        "state_dir": str(tmp_path / "state"),
        "diagnose_limits": {"startup_grace_seconds_warning": 1},
    }
    (tmp_path / "inventory.yml").write_text(json.dumps({"all": {"hosts": {"shop": settings, "other": settings}}}))
    return Desk(tmp_path)


class Desk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = folder / "inventory.yml"

    def play(self, playbook: str, *arguments: str, limit: str = "shop", **variables) -> Played:
        given = ["-e", json.dumps(variables)] if variables else []
        return play(playbook, self.folder, "--limit", limit, *given, *arguments, inventory=self.inventory)

    def plan(self, **variables) -> tuple[Path, dict]:
        played = self.play("diagnose", fail_on="never", **variables)
        report = played.report("shop")
        assert report["plan"]["steps"], played.output
        path = Path(report["plan"]["path"])
        return path, json.loads(path.read_text())

    def apply(self, path: Path, digest: str, *arguments: str, **variables) -> Played:
        return self.play("remediate", *arguments, plan=str(path), approve=digest, remediate_hold_seconds=variables.pop("hold", 2), **variables)

    def begin(self, path: Path, digest: str, hold: float) -> subprocess.Popen:
        """The same, not waited for."""
        variables = {"plan": str(path), "approve": digest, "report_dir": str(self.folder / "beside"), "remediate_hold_seconds": hold}
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(self.inventory), str(ROOT / "playbooks" / "remediate.yml")]
        words = [*command, "--limit", "shop", "-e", json.dumps(variables)]
        return subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

    def record(self) -> dict:
        return json.loads((self.folder / "shop" / "latest" / "report.json").read_text())["record"]

    def runs(self) -> list[Path]:
        return sorted(path.parent for path in (self.folder / "state").glob("*/*/journal"))

    def journal(self, run: int = -1) -> list[dict]:
        return [json.loads(line) for line in (self.runs()[run] / "journal").read_text().splitlines()]

    def events(self) -> list[str]:
        return [entry["event"] for entry in self.journal()]


def state_of(name: str) -> str:
    return run("docker", "inspect", "-f", "{{.State.Status}}", "rails-%s-1" % name).strip()


def fingerprint() -> str:
    return run("docker", "inspect", "-f", "{{.Id}} {{.State.Status}} {{.State.StartedAt}} {{.Config.Env}}", "rails-api-1", "rails-cache-1")


def refused(played: Played, words: str, stack: str = "shop") -> None:
    """Nothing was done, the run has failed, and its report says why."""
    assert played.status != 0 and words in played.output, played.output
    assert state_of("cache") == "exited", "something was done all the same"
    record = played.report(stack)["record"]
    assert (record["result"], record["steps"], record["run"]) == ("refused", [], None) and words in record["reason"] and record["by"] and record["kind"]
    status = json.loads((played.reports / stack / "status.json").read_text())
    assert (status["failed"], status["exit_reason"], status["remediation"]) == (True, "remediation", "refused")


# The loop ---------------------------------------------------------------------------------------------------------------


def test_plan_approve_apply_and_undo(broken, desk):
    path, plan = desk.plan()
    assert [(step["remedy"], step["component"]) for step in plan["steps"]] == [CURE]
    assert plan["steps"][0]["risk"] == "safe" and state_of("cache") == "exited", "a plan changes nothing"
    played = desk.apply(path, plan["digest"])
    assert played.status == 0 and "changed=1" in played.output, played.output
    assert state_of("cache") == "running"
    record = desk.record()
    assert (record["result"], [step["result"] for step in record["steps"]], record["digest"]) == ("held", ["cured"], plan["digest"])
    (kept,) = record["steps"][0]["evidence"]
    assert kept["what"] == "logs of cache" and any("Server initialized" in line for line in kept["lines"]), kept
    assert all("Server initialized" in (desk.folder / "shop" / "latest" / name).read_text() for name in ("report.html", "report.md"))
    assert desk.events() == ["begin", "acting", "acted", "cured", "end"]
    again = desk.apply(path, plan["digest"])
    assert again.status == 0 and "changed=0" in again.output, again.output
    undone = desk.play("undo", fail_on="never")
    assert "changed=1" in undone.output and state_of("cache") == "exited", undone.output
    assert desk.record()["result"] == "undone"
    assert "changed=0" in desk.play("undo", fail_on="never").output


def test_check_mode_shows_what_would_be_done_and_does_nothing(broken, desk):
    path, plan = desk.plan()
    before = fingerprint()
    played = desk.apply(path, plan["digest"], "--check", "--diff", fail_on="never")
    assert "changed=1" in played.output and "+running" in played.output and "-exited (" in played.output, played.output
    assert fingerprint() == before and desk.runs() == []
    predicted = desk.record()["steps"][0]["diff"]
    assert desk.apply(path, plan["digest"]).status == 0
    assert desk.record()["steps"][0]["diff"] == predicted, "what was predicted is what was done"


def test_safe_remedies_by_themselves(broken, desk):
    played = desk.play("remediate", auto_approve=["safe"], remediate_hold_seconds=1)
    assert played.status == 0 and state_of("cache") == "running", played.output
    assert desk.record()["approved"] == "auto: safe"


def test_nothing_is_wrong(desk):
    played = desk.play("remediate", auto_approve=["safe"], remediate_hold_seconds=1)
    assert played.status == 0 and "changed=0" in played.output, played.output
    assert desk.runs() == []


# What stops it ----------------------------------------------------------------------------------------------------------


def test_a_wrong_digest(broken, desk):
    path, _plan = desk.plan()
    refused(desk.apply(path, "aaaaaaaaaaaaaa"), "approves another plan than this one")


def test_an_edited_plan(broken, desk):
    path, plan = desk.plan()
    plan["steps"][0]["component"] = "api"
    path.write_text(json.dumps(plan))
    refused(desk.apply(path, plan["digest"]), "it was edited after it was made")


def test_an_expired_plan(broken, desk):
    path, plan = desk.plan(diagnose_plan_valid_minutes=0)
    refused(desk.apply(path, plan["digest"]), "it expired")


def test_a_plan_for_another_stack(broken, desk):
    path, plan = desk.plan()
    played = desk.play("remediate", limit="other", plan=str(path), approve=plan["digest"])
    refused(played, "it was made for the stack shop, not for other", "other")


def test_a_plan_for_another_stack_of_the_same_name(broken, desk, project):
    """The same inventory name, now leading to another project with parts of the same names."""
    path, plan = desk.plan()
    other = (*project[:3], "rails2", *project[4:])
    desk.inventory.write_text(desk.inventory.read_text().replace('"rails"', '"rails2"'))
    edited = Path(project[-1]).with_name("rails2.yml")
    edited.write_text(Path(project[-1]).read_text().replace("18779", "18780"))
    other = (*other[:-1], str(edited))
    try:
        run(*other, "up", "-d")
        run("docker", "stop", "-t", "1", "rails2-cache-1")
        played = desk.apply(path, plan["digest"])
        refused(played, "the plan was made for another stack: its project is not the one here")
        assert run("docker", "inspect", "-f", "{{.State.Status}}", "rails2-cache-1").strip() == "exited"
    finally:
        run(*other, "down", "-v", "-t", "1")


def test_a_target_that_was_replaced_meanwhile(broken, desk, project):
    path, plan = desk.plan()
    run("docker", "rm", "-f", "rails-cache-1")
    run(*project, "create", "cache")
    played = desk.apply(path, plan["digest"])
    assert played.status != 0 and "the stack is not as it was when the plan was made" in played.output, played.output
    assert state_of("cache") == "created" and desk.runs() == []


def test_nothing_approved(broken, desk):
    refused(desk.play("remediate"), "nothing is approved")


def test_a_class_that_may_not_run_by_itself(broken, desk):
    played = desk.play("remediate", auto_approve=["disruptive"], fail_on="never")
    assert played.status == 0 and "changed=0" in played.output and state_of("cache") == "exited", played.output


def test_a_freeze_window(broken, desk):
    path, plan = desk.plan()
    window = [{"from": "00:00", "until": "23:59", "reason": "year-end closing"}, {"from": "23:59", "until": "00:01", "reason": "year-end closing"}]
    refused(desk.apply(path, plan["digest"], freeze_windows=window), "year-end closing")
    refused(desk.play("remediate", auto_approve=["safe"], freeze_windows=window, freeze_override="no"), "year-end closing")
    assert desk.apply(path, plan["digest"], freeze_windows=window, freeze_override="the shop is down", backup_waiver="no data here").status == 0
    assert (desk.journal()[0]["freeze_override"], desk.journal()[0]["backup_waiver"]) == ("the shop is down", "no data here")
    assert desk.record()["freeze_override"] == "the shop is down"


def test_the_cap_of_a_day(broken, desk):
    assert desk.play("remediate", auto_approve=["safe"], remediate_hold_seconds=1, remediate_auto_most_per_day=1).status == 0
    run("docker", "stop", "-t", "1", "rails-cache-1")
    refused(desk.play("remediate", auto_approve=["safe"], remediate_auto_most_per_day=1), "more than auto_most_per_day (1)")


def test_somebody_else_is_at_work(broken, desk):
    path, plan = desk.plan()
    lease = desk.folder / "state" / PROJECT / "lease"
    lease.parent.mkdir(parents=True, exist_ok=True)
    with open(lease, "w", encoding="utf-8") as held:
        json.dump({"by": "lee@desk-2", "run": "their-run", "since": "2026-11-22 20:00:00 UTC"}, held)
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        refused(desk.apply(path, plan["digest"]), "lee@desk-2 is at work on this stack since 2026-11-22 20:00:00 UTC")
        looked = desk.play("diagnose", fail_on="never").report("shop")
        assert looked["plan"]["lease"]["by"] == "lee@desk-2", "who looks is told, too"
    assert desk.apply(path, plan["digest"]).status == 0


def test_what_makes_it_worse_is_taken_back(broken, desk):
    """Started, the cache is cut off: the finding is gone and a graver one is there."""
    path, plan = desk.plan()
    run("docker", "network", "disconnect", "-f", "rails_default", "rails-cache-1")
    try:
        played = desk.apply(path, plan["digest"])
        assert played.status != 0, played.output
        record = desk.record()
        assert (record["result"], record["steps"][0]["result"], record["steps"][0]["undone"]) == ("failed", "undone", True), record
        assert state_of("cache") == "exited"
    finally:
        run("docker", "rm", "-f", "rails-cache-1")


def test_an_undo_that_fails_says_what_to_do_by_hand(broken, desk):
    path, plan = desk.plan()
    assert desk.apply(path, plan["digest"]).status == 0
    run("docker", "rm", "-f", "rails-cache-1")
    played = desk.play("undo")
    assert played.status != 0, played.output
    assert desk.record()["result"] == "partly undone" and desk.record()["steps"][0]["by_hand"]


def test_a_disk_that_is_full_while_the_journal_is_written(broken, desk, tmp_path_factory):
    small = tmp_path_factory.mktemp("small")
    run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small))
    try:
        path, plan = desk.plan(state_dir=str(small))
        with open(small / "filler", "wb") as filler:
            try:
                while True:
                    os.write(filler.fileno(), b"x" * 512)
            except OSError:
                pass
        refused(desk.apply(path, plan["digest"], state_dir=str(small)), "nothing is done that is not recorded first")
    finally:
        run("umount", str(small))


# A controller that dies -------------------------------------------------------------------------------------------------


def killed(desk, path: Path, digest: str, after: str, hold: float = 60) -> None:
    """A run whose controller and workers are killed as soon as this event is in its journal."""
    process = desk.begin(path, digest, hold)
    try:
        wait_for(desk, process, "acting")
        doomed = family(process)  # the worker is among them by now: the kill itself takes no time
        wait_for(desk, process, after)
        kill(doomed)
    finally:
        kill_all(process)
    assert "end" not in desk.events()
    looked = desk.play("diagnose", fail_on="never").report("shop")
    assert [one["run"] for one in (looked["plan"] or {}).get("unfinished") or []] == [desk.runs()[-1].name], "the next look tells of it"


def wait_for(desk, process: subprocess.Popen, event: str, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not (desk.runs() and event in desk.events()):
        assert time.monotonic() < end and process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)


@pytest.mark.parametrize("after", ["acting", "cured"])
def test_a_controller_that_is_killed(broken, desk, after):
    path, plan = desk.plan()
    killed(desk, path, plan["digest"], after)
    if after == "acting":
        played = desk.play("undo", fail_on="never")
        assert state_of("cache") == "exited" and desk.record()["result"] == "undone", played.output
        assert desk.apply(*approved(desk)).status == 0
    else:
        played = desk.play("remediate", auto_approve=["safe"], remediate_hold_seconds=1)
        assert played.status == 0 and state_of("cache") == "running", played.output
        assert desk.journal()[-1]["result"] == "held", "a cure that holds is ended as such"
        assert [(one["run"], one["result"]) for one in desk.record()["settled"]] == [(desk.runs()[-1].name, "held")]


def test_a_controller_that_is_killed_in_its_hold_and_the_cure_no_longer_holds(broken, desk):
    """The next run takes back what was left of it, and says so; the new plan cures it."""
    path, plan = desk.plan()
    killed(desk, path, plan["digest"], "cured")
    run("docker", "stop", "-t", "1", "rails-cache-1")
    played = desk.play("remediate", auto_approve=["safe"], remediate_hold_seconds=1)
    assert played.status == 0 and state_of("cache") == "running", played.output
    assert [one["result"] for one in desk.record()["settled"]] == ["undone"] and desk.journal(0)[-1]["result"] == "undone"
    assert "died in the middle" in played.output


def test_a_controller_that_is_killed_while_it_takes_back(broken, desk):
    """Its hold was broken (as below, the cure makes it worse): the next run goes on with the undoing."""
    path, plan = desk.plan()
    run("docker", "network", "disconnect", "-f", "rails_default", "rails-cache-1")
    try:
        killed(desk, path, plan["digest"], "undoing", hold=2)
        assert "not held" in desk.events() and "undone" not in desk.events()
        played = desk.play("remediate", auto_approve=["safe"], remediate_hold_seconds=1, fail_on="never")
        assert [entry.get("result") for entry in desk.journal(0)][-1] == "undone", played.output
        assert [one["result"] for one in desk.record()["settled"]] == ["undone"]
    finally:
        run("docker", "rm", "-f", "rails-cache-1")


def test_a_controller_that_is_killed_between_two_steps(broken, desk):
    """What the first one has cured stays, and the next plan does the rest."""
    run("docker", "stop", "-t", "1", "rails-api-1")
    path, plan = desk.plan()
    first, second = (step["component"] for step in plan["steps"])
    assert {first, second} == {"api", "cache"}
    killed(desk, path, plan["digest"], "cured")
    assert [entry["step"] for entry in desk.journal() if entry["event"] == "cured"] == [1]
    assert state_of(first) == "running"
    settled = desk.play("remediate", auto_approve=["safe"], remediate_hold_seconds=1, fail_on="never")
    assert desk.journal(0)[-1]["result"] == "partly held" and state_of(first) == "running", settled.output
    if state_of(second) != "running":  # it had been begun, and was taken back: that is what the plan did not know
        settled = desk.play("remediate", auto_approve=["safe"], remediate_hold_seconds=1)
    assert settled.status == 0 and (state_of("api"), state_of("cache")) == ("running", "running"), settled.output


def test_the_controller_alone_dies_and_its_worker_goes_on_under_the_lease(broken, desk):
    path, plan = desk.plan()
    process = desk.begin(path, plan["digest"], 45)
    wait_for(desk, process, "cured")
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    looked = desk.play("diagnose", fail_on="never").report("shop")
    assert looked["plan"]["lease"]["run"] == plan["digest"] and looked["plan"]["unfinished"] == [], "it is told as under way"
    end = time.monotonic() + 120
    while "end" not in desk.events():
        assert time.monotonic() < end, desk.events()
        time.sleep(0.2)
    assert desk.journal()[-1]["result"] == "held" and state_of("cache") == "running"


def test_two_operators_at_once(broken, desk):
    """One is told who is at work, one waits and finds that all is done."""
    path, plan = desk.plan()
    process = desk.begin(path, plan["digest"], 40)
    try:
        wait_for(desk, process, "cured")
        refused_by_lease(desk.apply(path, plan["digest"]))
        began = time.monotonic()
        waited = desk.apply(path, plan["digest"], remediate_lease_wait=120)
        assert process.wait(120) == 0
    finally:
        if process.poll() is None:
            kill_all(process)
    assert waited.status == 0 and "changed=0" in waited.output and time.monotonic() - began > 5, waited.output
    assert (desk.record()["result"], desk.record()["run"]) == ("unchanged", desk.runs()[-1].name) and len(desk.runs()) == 1


def test_two_operators_at_once_with_plans_of_their_own(broken, desk):
    """The second plan rests on what the first run changes while the second one waits: it is told so, and nothing is done twice."""
    path, plan = desk.plan()
    other_path, other = desk.plan()
    assert other["digest"] != plan["digest"]
    process = desk.begin(path, plan["digest"], 20)
    try:
        wait_for(desk, process, "cured")
        waited = desk.apply(other_path, other["digest"], remediate_lease_wait=120)
        assert process.wait(120) == 0
    finally:
        if process.poll() is None:
            kill_all(process)
    assert waited.status == 0 and "changed=0" in waited.output and len(desk.runs()) == 1, waited.output
    assert [step["result"] for step in desk.record()["steps"]] == ["unchanged"]


def refused_by_lease(played: Played) -> None:
    record = played.report("shop")["record"]
    assert played.status != 0 and (record["result"], record["kind"]) == ("refused", "leased"), played.output
    assert "is at work on this stack since" in record["reason"] and record["by"] in record["reason"], "who it is"


def family(process: subprocess.Popen) -> set[int]:
    """The controller with its workers, which stand in sessions of their own."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            parents[int(path.name)] = int(path.joinpath("stat").read_text().rpartition(")")[2].split()[1])
    doomed, more = {process.pid}, True
    while more:
        more = {child for child, parent in parents.items() if parent in doomed} - doomed
        doomed |= more
    return doomed


def kill(doomed: set[int]) -> None:
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_all(process: subprocess.Popen) -> None:
    if process.poll() is None:
        kill(family(process))
    process.wait(10)


def approved(desk) -> tuple[Path, str]:
    path, plan = desk.plan()
    return path, plan["digest"]
