# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the demo does and says about fixing and taking back, with playbooks that only leave their reports."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import demo  # noqa: E402

CAUSE = {"id": "container.not_running", "component": "db1"}
STEP = {"remedy": "component_start", "title": "Start db1", "undo": "It is stopped again.", "can_undo": True}
ENDED = {"remedy": "postgres_terminate", "title": "End it", "undo": "Sessions that were ended cannot be put back.", "can_undo": False}


class Stage:
    """The reports that playbooks will leave, one after another, and the commands that were run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.coming: list[dict[str, Any]] = []
        self.ran: list[str] = []

    def run(self, command: list[Any], stdout: int | None = None) -> int:
        self.ran.append(" ".join(map(str, command)))
        report = self.coming.pop(0)
        run = self.folder / "reports" / "second" / ("2026112%dT000000Z" % len(self.ran))
        run.mkdir(parents=True)
        (run / "report.json").write_text(json.dumps(report), encoding="utf-8")
        if report.get("plan"):
            (run / "plan.json").write_text(json.dumps(report["plan"]), encoding="utf-8")
        return 0


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage(tmp_path)
    monkeypatch.setattr(demo, "REPORTS", tmp_path / "reports")
    monkeypatch.setattr(demo, "STATE", tmp_path / "state")
    (tmp_path / "state" / "orders").mkdir(parents=True)
    monkeypatch.setattr(demo, "run", made.run)
    monkeypatch.setattr(demo, "output", lambda words: "")
    for platform in (demo.Compose, demo.Kubernetes):
        monkeypatch.setattr(platform, "there", lambda stack: True)
    return made


def plan(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"digest": "abc", "approve": "ansible-playbook aiops.runbook.remediate -e approve=abc", "steps": list(steps)}


def done(result: str, approved: str = "digest abc") -> dict[str, Any]:
    return {"result": result, "run": "20261123T000000Z-1234", "digest": "abc", "approved": approved, "steps": []}


@pytest.mark.parametrize(
    ("reports", "status", "said", "commands"),
    [
        ([{"root_causes": [], "plan": None}], 0, "nothing is to be fixed", 1),
        ([{"root_causes": [CAUSE], "plan": plan()}], 0, "what a person must do stands above", 1),
        ([{"root_causes": [CAUSE], "plan": plan(STEP)}, {"root_causes": [], "record": done("held")}], 0, "take it back: make demo-undo STACK=second", 2),
        ([{"root_causes": [CAUSE], "plan": plan(ENDED)}, {"root_causes": [], "record": done("held")}], 0, "nothing for make demo-undo", 2),
        ([{"root_causes": [CAUSE], "plan": plan(STEP)}, {"root_causes": [CAUSE], "record": done("failed")}], 1, "did not hold", 2),
        ([{"root_causes": [CAUSE], "plan": plan(STEP)}, {"root_causes": [CAUSE], "record": done("held")}], 0, "must do still stands above", 2),
    ],
)
def test_fixing(stage: Stage, capsys: pytest.CaptureFixture[str], reports: list[dict[str, Any]], status: int, said: str, commands: int) -> None:
    stage.coming = list(reports)
    assert demo.main(["fix", "second"]) == status
    told = capsys.readouterr()
    assert said in told.out + told.err
    assert len(stage.ran) == commands
    if commands == 2:
        assert stage.ran[1] == reports[0]["plan"]["approve"]
        assert stage.ran[1] in told.out


@pytest.mark.parametrize(
    ("steps", "after", "said", "commands"),
    [
        ([STEP], {"root_causes": [CAUSE], "record": done("undone", "undo")}, "its fault included", 3),
        ([STEP], {"root_causes": [], "record": done("undone", "undo")}, "leaves nothing behind", 3),
        ([ENDED], {}, "cannot be taken back: Sessions that were ended cannot be put back.", 2),
    ],
)
def test_taking_back(stage: Stage, capsys: pytest.CaptureFixture[str], steps: list[dict[str, Any]], after: dict[str, Any], said: str, commands: int) -> None:
    stage.coming = [{"root_causes": [CAUSE], "plan": plan(*steps)}, {"root_causes": [], "record": done("held")}, after]
    demo.main(["fix", "second"])
    assert demo.main(["undo", "second"]) == 0
    assert said in capsys.readouterr().out
    assert len(stage.ran) == commands
    if commands == 3:
        assert demo.main(["undo", "second"]) == 0
        assert "that was done already" in capsys.readouterr().out
        assert len(stage.ran) == commands


def test_nothing_to_take_back(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["undo", "second"]) == 0
    assert "make demo-fix has changed nothing here" in capsys.readouterr().out
    assert not stage.ran


@pytest.mark.parametrize("verb", ["fix", "undo"])
def test_a_stack_that_is_not_there_is_said_to_be_so(stage: Stage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    monkeypatch.setattr(demo.Compose, "there", lambda stack: False)
    assert demo.main([verb, "second"]) == 1
    assert "second is not there" in capsys.readouterr().err
    assert not stage.ran


@pytest.mark.parametrize(
    ("arguments", "host", "words", "left"),
    [
        (["reference"], "reference", "", "reference"),
        (["second"], "second", " STACK=second", "second"),
        (["reference", "--platform", "kubernetes"], "reference_kubernetes", " PLATFORM=kubernetes", "reference-kubernetes"),
        (["second", "--platform", "kubernetes"], "second_kubernetes", " STACK=second PLATFORM=kubernetes", "second-kubernetes"),
    ],
)
def test_a_stack_on_its_platform(
    stage: Stage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], host: str, words: str, left: str
) -> None:
    made: list[demo.Stack] = []
    for one in demo.PLATFORMS.values():
        monkeypatch.setattr(one, "start", lambda stack: bool(made.append(stack) or True))
    stage.coming = [{"root_causes": []}]
    assert demo.main(["up", *arguments]) == 0
    (stack,) = made
    assert (stack.host, stack.journal.parent.name) == (host, left)
    assert "make demo-break%s\n" % words in capsys.readouterr().out
    assert "--limit %s " % host in stage.ran[0]
    assert stack.inventory.exists() and host + ":" in stack.inventory.read_text(encoding="utf-8")


def test_on_a_cluster_only_the_records_of_that_stack_go(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def kubectl(words: list[Any]) -> str:
        asked.append(" ".join(map(str, words[3:])))
        return "lease.coordination.k8s.io/aiops-runbook-0a1b2c3d\nlease.coordination.k8s.io/somebody-else" if "leases" in words else "secret/aiops-runbook-x"

    monkeypatch.setattr(demo, "output", kubectl)
    stack = demo.Kubernetes("second")
    assert stack.acted_on()
    stack.forget()
    assert asked[1] == "delete --request-timeout=10s -n shop secrets --field-selector=type=aiops.runbook/journal"
    assert asked[3] == "delete --request-timeout=10s -n shop lease.coordination.k8s.io/aiops-runbook-0a1b2c3d"
    assert (stage.folder / "state" / "orders").is_dir()
    demo.Compose("second").forget()
    assert not demo.Compose("second").acted_on()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["break", "reference", "no-such-fault"], "there is no fault 'no-such-fault' for compose"),
        (["break", "reference", "port-not-published", "--platform", "nowhere"], "there is no platform 'nowhere'"),
        (["break", "third", "pg-down", "--platform", "kubernetes"], "there is no stack 'third'"),
    ],
)
def test_what_is_not_there_is_named(stage: Stage, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert demo.main(arguments) == 1
    assert said in capsys.readouterr().err
    assert not stage.ran


def test_faults_are_offered_where_they_can_be(tmp_path: Path) -> None:
    texts = {"a": "platforms: [compose]\n", "b": "platforms: [kubernetes, compose]\n", "c": "title: both\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert [demo.on(tmp_path / name) for name in texts] == [["compose"], ["kubernetes", "compose"], ["compose", "kubernetes"]]
