# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which parts of `make test` are run, and which of them beside each other."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))

import run_tests  # noqa: E402

TWO = 2  # parts at once


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["unit"], "unit"),
        (["lint", "unit"], "unit lint"),
        (["molecule"], "setup build molecule"),
        (["integration"], "setup build integration-stacks integration-servers"),
        (["integration-servers"], "setup build integration-servers"),
        (["kubernetes"], "setup cluster kubernetes"),
        (["kubernetes-gameday", "gameday"], "setup build cluster gameday kubernetes-gameday"),
        ([], " ".join(run_tests.PARTS)),
    ],
)
def test_the_parts_that_are_asked_for_and_what_they_need(words: list[str], parts: str) -> None:
    assert run_tests.chosen_parts(words) == parts.split()


def test_an_unknown_part_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tests.main(["kuberntes"]) == 2
    assert "there is no part kuberntes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("waiting", "running", "passed", "begun"),
    [
        ("setup unit build lint", "", "", "setup unit"),  # lint takes what unit has; build needs what setup makes
        ("build cluster lint gameday", "unit", "setup", "build cluster"),
        ("integration-stacks gameday molecule", "lint", "setup build", "integration-stacks"),  # they have the same stacks
        ("integration-stacks kubernetes gameday", "lint", "setup build cluster", "integration-stacks kubernetes"),
        ("integration-stacks integration-servers", "cluster lint", "setup build", "integration-stacks integration-servers"),
        ("integration-servers lint", "kubernetes gameday", "setup build cluster", "lint"),  # two that wait for answers are enough
        ("kubernetes", "cluster", "setup", ""),
    ],
)
def test_what_may_be_begun(monkeypatch: pytest.MonkeyPatch, waiting: str, running: str, passed: str, begun: str) -> None:
    monkeypatch.setattr(run_tests, "AT_ONCE", TWO)
    assert run_tests.startable(waiting.split(), running.split(), passed.split()) == begun.split()


def test_every_part_is_run_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_tests, "AT_ONCE", 1)
    waiting, passed = list(run_tests.PARTS), []
    while waiting:
        begun = run_tests.startable(waiting, [], passed)
        assert begun, "nothing can be begun of %s" % waiting
        passed += begun
        waiting = [name for name in waiting if name not in begun]


def test_tests_that_take_the_reference_stacks_are_named() -> None:
    folder = ROOT / "tests" / "integration"
    takers = {path.name for path in folder.glob("test_*.py") if re.search(r'"ctl\.py"\), "up"', path.read_text(encoding="utf-8"))}
    assert takers <= set(run_tests.ON_STACKS)
    assert all((folder / name).exists() for name in run_tests.ON_STACKS)


@pytest.mark.parametrize(
    ("code", "passed", "failed", "said"),
    [
        ("Result(passed=2)", 3, 0, "-- one: 2 ok, 0 not ok"),
        ("Result()", 0, 2, "it ran nothing"),
        ("1 / 0", 0, 2, "ZeroDivisionError"),
        ("os._exit(3)", 0, 2, ""),
    ],
)
def test_what_a_part_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str], code: str, passed: int, failed: int, said: str
) -> None:
    """Whatever becomes of a part's process, it counts; a part that needs one that failed is not run."""
    script = tmp_path / "parts.py"
    script.write_text(
        "import os, sys\n"
        "sys.path.insert(0, %r)\n"
        "import run_tests\n"
        "from run_tests import Part, Result\n"
        "run_tests.PARTS = {'one': Part('first', lambda: %s), 'two': Part('second', lambda: Result(passed=1), needs=('one',))}\n"
        "sys.exit(run_tests.main(sys.argv[1:]))\n" % (str(ROOT / "tests" / "tools"), code),
        encoding="utf-8",
    )
    parts = {"one": run_tests.Part("first", run_tests.Result), "two": run_tests.Part("second", run_tests.Result, needs=("one",))}
    monkeypatch.setattr(run_tests, "PARTS", parts)
    monkeypatch.setattr(run_tests, "PROGRAM", script)
    result = run_tests.run_parts(["one", "two"])
    assert (result.passed, result.failed) == (passed, failed)
    assert ("two: not run, because one failed" in result.notes) == bool(failed)
    assert said in capfd.readouterr().out


@pytest.mark.parametrize("folder", sorted(run_tests.LONG))
def test_every_long_file_is_there_and_has_its_day(folder: str) -> None:
    names = {"test_%s.py" % name for name in run_tests.LONG[folder].split()}
    assert all((ROOT / "tests" / folder / name).exists() for name in names)
    days = [names - run_tests.resting(folder, day) for day in range(1, run_tests.TURNS + 1)]
    assert set().union(*days) == names and sum(map(len, days)) == len(names) and all(days)


@pytest.mark.parametrize("folder", sorted(run_tests.MANY))
def test_every_test_of_the_files_with_many_has_its_day(folder: str) -> None:
    assert all((ROOT / "tests" / folder / ("test_%s.py" % name)).exists() for name in run_tests.MANY[folder].split())
    assert not set(run_tests.MANY[folder].split()) & set(run_tests.LONG[folder].split())
    tests = ["a[one]", "a[two]", "b", "c"]
    days = [set(tests) - set(run_tests.resting_tests(tests, day)) for day in range(1, run_tests.TURNS + 1)]
    assert set().union(*days) == set(tests) and sum(map(len, days)) == len(tests) and all(days)
