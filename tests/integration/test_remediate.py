"""Plan, approve, apply, verify, undo through the playbooks, on a small stack of real containers; and everything that must stop it."""

from __future__ import annotations

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
    run("docker", "stop", "-t", "1", "rails-cache-1")
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

    def record(self) -> dict:
        return json.loads((self.folder / "shop" / "latest" / "report.json").read_text())["record"]

    def runs(self) -> list[Path]:
        return sorted(path.parent for path in (self.folder / "state").glob("*/*/journal"))

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in (self.runs()[-1] / "journal").read_text().splitlines()]


def state_of(name: str) -> str:
    return run("docker", "inspect", "-f", "{{.State.Status}}", "rails-%s-1" % name).strip()


def fingerprint() -> str:
    return run("docker", "inspect", "-f", "{{.Id}} {{.State.Status}} {{.State.StartedAt}} {{.Config.Env}}", "rails-api-1", "rails-cache-1")


def refused(played: Played, words: str) -> None:
    assert played.status != 0 and words in played.output, played.output
    assert state_of("cache") == "exited", "something was done all the same"


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
    assert "changed=1" in played.output and "+running" in played.output and "-exited (0)" in played.output, played.output
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
    refused(played, "it was made for the stack shop, not for other")


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
    assert desk.apply(path, plan["digest"], freeze_windows=window, freeze_override="the shop is down").status == 0
    assert json.loads((desk.runs()[-1] / "journal").read_text().splitlines()[0])["freeze_override"] == "the shop is down"


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


@pytest.mark.parametrize("after", ["acting", "cured"])
def test_a_controller_that_is_killed(broken, desk, after):
    path, plan = desk.plan()
    variables = {"plan": str(path), "approve": plan["digest"], "report_dir": str(desk.folder), "remediate_hold_seconds": 60}
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(desk.inventory), str(ROOT / "playbooks" / "remediate.yml"), "--limit", "shop"]
    process = subprocess.Popen(
        [*command, "-e", json.dumps(variables)], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 60
        while not (desk.runs() and after in desk.events()):
            assert time.monotonic() < end and process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
    finally:
        kill_all(process)
    assert "end" not in desk.events()
    looked = desk.play("diagnose", fail_on="never").report("shop")
    assert [one["run"] for one in (looked["plan"] or {}).get("unfinished") or []] == [desk.runs()[-1].name], "the next look tells of it"
    if after == "acting":
        played = desk.play("undo", fail_on="never")
        assert state_of("cache") == "exited" and desk.record()["result"] == "undone", played.output
        assert desk.apply(*approved(desk)).status == 0
    else:
        played = desk.play("remediate", auto_approve=["safe"], remediate_hold_seconds=1)
        assert played.status == 0 and state_of("cache") == "running", played.output
        assert desk.events()[-1] == "end", "a cure that holds is ended as such"


def kill_all(process: subprocess.Popen) -> None:
    """The controller with its workers, which stand in sessions of their own."""
    parents = {int(path.name): int(path.joinpath("stat").read_text().rpartition(")")[2].split()[1]) for path in Path("/proc").glob("[0-9]*")}
    doomed, more = {process.pid}, True
    while more:
        more = {child for child, parent in parents.items() if parent in doomed} - doomed
        doomed |= more
    for pid in doomed:
        os.kill(pid, signal.SIGKILL)
    process.wait(10)


def approved(desk) -> tuple[Path, str]:
    path, plan = desk.plan()
    return path, plan["digest"]
