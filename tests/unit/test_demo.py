# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the demo does and says about fixing and taking back, with playbooks that only leave their reports."""

from __future__ import annotations

import json
import sys
import time
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
    monkeypatch.setattr(demo, "LEFT", tmp_path / "left")
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
        (
            [{"root_causes": [CAUSE], "plan": plan(ENDED)}, {"root_causes": [], "record": done("held")}],
            0,
            "FAULT=pg-wrong-password STACK=second",
            2,
        ),
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

    def start(stack: demo.Stack) -> bool:
        made.append(stack)
        return True

    for one in demo.PLATFORMS.values():
        monkeypatch.setattr(one, "start", start)
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


class World:
    """What the demo runs, each command with what it leaves behind; a command that holds `breaks_at` is interrupted, one of `failing` fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ran: list[str] = []
        self.asked: list[str] = []
        self.breaks_at, self.failing = "", ""

    @property
    def journal(self) -> Path:
        return self.folder / "gameday" / "second" / "journal.json"

    def run(self, command: list[Any], stdout: int | None = None) -> int:
        words = " ".join(Path(word).name if "/" in str(word) else str(word) for word in command[1 if "python" in str(command[0]) else 0 :])
        self.ran.append(words)
        if "--inject" in words:
            self.journal.parent.mkdir(parents=True, exist_ok=True)
            self.journal.write_text("{}", encoding="utf-8")
        if "--heal-all" in words:
            self.journal.unlink()
        if words.startswith("ansible-playbook"):
            (self.folder / "reports" / "second" / ("2026112%dT000000Z" % len(self.ran))).mkdir(parents=True)
        if self.breaks_at and self.breaks_at in words:
            self.breaks_at = ""
            raise KeyboardInterrupt
        return int(bool(self.failing) and self.failing in words)

    def output(self, words: list[Any]) -> str:
        self.asked.append(" ".join(map(str, words)))
        if "images" in words and "docker" not in words:
            return "orders/backend:1 orders/db:2"
        return "%s:1\n%s:latest" % (words[-1], words[-1]) if words[:2] == ["docker", "images"] else ""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    for name in ("reports", "state"):
        monkeypatch.setattr(demo, name.upper(), tmp_path / name)
    monkeypatch.setattr(demo, "LEFT", tmp_path / "gameday")
    monkeypatch.setattr(demo, "run", made.run)
    monkeypatch.setattr(demo, "output", made.output)
    return made


UP = ["ctl.py up second", "ansible-playbook -i inventory.yml --limit second diagnose.yml"]
BREAK = [
    "ctl.py up second",
    "gameday.py --inject pg-down --stack second --platform compose",
    "ansible-playbook -i inventory.yml --limit second -e fail_on=never diagnose.yml",
]
HEAL = ["gameday.py --heal-all --stack second --platform compose"]


def test_up_twice_and_broken_twice(world: World) -> None:
    for words in (["up"], ["up"], ["break", "pg-down"], ["break", "pg-down"], ["up"]):
        assert demo.main([words[0], "second", *words[1:]]) == 0
    assert world.ran == UP + UP + BREAK + HEAL + BREAK + HEAL + UP


@pytest.mark.parametrize("where", ["ctl.py", "--inject", "ansible-playbook"])
def test_interrupted_anywhere_and_again_from_the_start(world: World, where: str) -> None:
    world.breaks_at = where
    with pytest.raises(KeyboardInterrupt):
        demo.main(["break", "second", "pg-down"])
    healed = world.journal.exists()
    begun = len(world.ran)
    assert demo.main(["break", "second", "pg-down"]) == 0
    assert world.ran[begun:] == (HEAL if healed else []) + BREAK


def test_down_leaves_nothing(world: World) -> None:
    (world.folder / "state" / "orders").mkdir(parents=True)
    (world.folder / "state" / "key").write_text("k", encoding="utf-8")
    demo.main(["break", "second", "pg-down"])
    assert demo.main(["down", "second"]) == 0
    assert world.ran[-2:] == [*HEAL, "ctl.py down second"]
    assert not (world.folder / "reports").exists() and not world.journal.parent.exists() and not (world.folder / "state").exists()
    assert sorted(line for line in world.asked if line.startswith("docker image rm")) == [
        "docker image rm orders/backend:1 orders/backend:latest",
        "docker image rm orders/db:1 orders/db:latest",
    ]
    assert demo.main(["down", "second"]) == 0  # also where nothing is


@pytest.mark.parametrize(
    ("words", "failing", "told"),
    [
        (["up", "third"], "", "there is no stack 'third'; the stacks are reference and second"),
        (["up", "second", "--platform", "nomad"], "", "there is no platform 'nomad'; the platforms are compose and kubernetes"),
        (["break", "second", "nonsense"], "", "there is no fault 'nonsense' for compose; the faults are: already-recovered"),
        (["up", "second"], "ctl.py", "the stack second did not start: see above"),
        (["break", "second", "pg-down"], "ctl.py", "the stack second did not start: see above"),
        (["break", "second", "pg-down"], "--inject", "the fault pg-down could not be injected: see above"),
        (["break", "second", "pg-down"], "ansible-playbook", "the diagnosis came to no end: see above; the way back: make demo STACK=second"),
    ],
)
def test_what_goes_wrong_is_said_in_one_line(world: World, capsys: pytest.CaptureFixture[str], words: list[str], failing: str, told: str) -> None:
    world.failing = failing
    assert demo.main(words) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("demo: cannot go on: " + told)


def test_a_long_step_is_told_of_and_what_could_not_be_healed_is_said(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(demo, "TELL_SECONDS", 0.05)
    slow = world.run
    monkeypatch.setattr(demo, "run", lambda command, stdout=None: time.sleep(0.2) or slow(command, stdout))
    demo.main(["break", "second", "pg-down"])
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("demo: injecting pg-down into second")
    assert lines[at + 1] == "demo:   … 0 s"
    world.failing = "--heal-all"
    demo.main(["up", "second"])
    assert "demo: not all of it could be taken back; make demo-down STACK=second takes everything away" in capsys.readouterr().out
