# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pure parts of the game day: fault files, placeholders, scoring, shards, resuming, the record."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"
sys.path[:0] = [str(TOOLS), str(TOOLS.parent / "stack")]

import faultfile  # noqa: E402
import gameday  # noqa: E402
import injection  # noqa: E402
import symptoms  # noqa: E402
from faultfile import Fault, FaultError  # noqa: E402

FAULTS = faultfile.read_folder(faultfile.FAULTS)
STACKS = sorted(path.parent.name for path in (TOOLS.parent / "stack").glob("*/stack.yml"))
REQUIRED = (
    "pg-down redis-down worker-down pg-lock-held pg-too-many-clients app-pool-exhausted pg-idle-in-transaction pg-wrong-password pg-wrong-host pg-wrong-port "
    "pg-malformed-url stale-credentials redis-auth-mismatch redis-memory-full redis-save-failing worker-wrong-queue worker-stalled oom-killed bad-command "
    "crash-on-start net-partition port-not-published env-missing"
).split()
CONTROLS = "healthy under-load near-threshold already-recovered optional-component-stopped red-herring hostile-text deploy-in-progress".split()
NAMES = {"postgres": "db1", "api": "backend", "port": 5433, "database_services": ["backend", "jobs"]}
GOOD: dict[str, Any] = {
    "id": "pg-down",
    "title": "PostgreSQL is stopped",
    "inject": [{"stop": "{postgres}"}],
    "symptom": {"request": "/", "fails": True},
    "expect": [{"finding": "container.not_running", "component": "{postgres}"}],
}


def result(fault: str = "a", stack: str = "reference", **more: Any) -> dict[str, Any]:
    score = {"exact": True, "expected": [], "named": [], "verdict": "healthy"}
    return {"fault": fault, "stack": stack, **score, "seconds": 2.5, "commit": "c", "time": "t", **more}


# Fault files


def test_the_files_hold_every_fault_that_is_wanted() -> None:
    assert not set(REQUIRED + CONTROLS) - set(FAULTS)
    assert len([fault for fault in FAULTS.values() if fault.id.startswith("pair-")]) >= 6


@pytest.mark.parametrize("name", REQUIRED)
def test_a_fault_expects_a_cause_and_waits_for_a_symptom(name: str) -> None:
    fault = FAULTS[name]
    assert fault.expect
    assert all(symptoms for _name, symptoms in fault.phases)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_expects_nothing(name: str) -> None:
    assert FAULTS[name].expect == ()


def test_pairs_expect_two_causes() -> None:
    assert all(len(fault.expect) >= 2 for fault in FAULTS.values() if fault.id.startswith("pair-"))


def test_what_files_may_say_is_what_the_tools_can_do() -> None:
    assert set(injection.STEP) == set(faultfile.STEPS)
    assert set(symptoms.SYMPTOM) == set(faultfile.SYMPTOMS)


@pytest.mark.parametrize("stack", STACKS)
def test_every_placeholder_is_known_on_every_stack(stack: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(injection, "OUTPUT", tmp_path)
    bench = injection.Bench(stack)
    monkeypatch.setattr(bench, "broker_database", lambda: "0")
    for fault in FAULTS.values():
        if not fault.stacks or stack in fault.stacks:
            faultfile.fill([fault.phases, fault.options, fault.heal], bench.names())
            assert all(cause["component"] in bench.spec["services"].values() for cause in faultfile.expected(fault, bench.names()))


def test_a_good_file_is_read() -> None:
    fault = faultfile.parse(GOOD, "pg-down")
    assert fault.id == "pg-down"
    assert fault.phases == ((({"stop": "{postgres}"},), ({"request": "/", "fails": True},)),)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"id": "PG down"}, "lower-case"),
        ({"id": "other"}, "not the file's name"),
        ({"title": ""}, "title"),
        ({"expected": []}, "unknown keys: expected"),
        ({"inject": {"stop": "x"}}, "wanted a list"),
        ({"inject": [{"burn": "x"}]}, "not one step"),
        ({"inject": [{"stop": "x", "kill": "y"}]}, "not one step"),
        ({"symptom": {"within_seconds": 3}}, "exactly one of"),
        ({"symptom": []}, "symptom: is missing"),
        ({"expect": [{"finding": "lock", "component": "x"}]}, "domain.what"),
        ({"expect": [{"finding": "postgres.lock_held"}]}, "component"),
        ({"on": ["swarm"]}, "unknown platform"),
        ({"verdict": ["fine"]}, "none of"),
        ({"options": []}, "options: wanted a mapping"),
        ({"settle_seconds": "5"}, "wanted a number"),
    ],
)
def test_a_mistake_is_named(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(FaultError, match=complaint):
        faultfile.parse({**GOOD, **change}, "pg-down")


def test_a_file_without_expect_is_refused() -> None:
    with pytest.raises(FaultError, match="expect: is missing"):
        faultfile.parse({key: value for key, value in GOOD.items() if key != "expect"}, "pg-down")


def test_a_file_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(FaultError, match="not a mapping"):
        faultfile.parse(["x"], "x")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match="holds no fault file"):
        faultfile.read_folder(tmp_path)


def test_a_folder_of_ones_own_can_join_the_projects_faults(tmp_path: Path) -> None:
    (tmp_path / "both.yml").write_text("{id: both, title: two, also: [pg-down, redis-down]}", encoding="utf-8")
    (both,) = faultfile.read_folder(tmp_path).values()
    assert [cause["component"] for cause in both.expect] == ["{postgres}", "{redis}"]


# Joining and filling


def test_joined_faults_add_up() -> None:
    cause = {"finding": "p.q", "component": "c"}
    one = Fault("one", "", phases=(("a", "x"),), expect=(cause,), load={"rate": 2}, also=("two",), settle_seconds=1, stacks=("reference",))
    two = Fault("two", "", phases=(("b", "y"),), expect=({"finding": "r.s", "component": "d"},), load={"rate": 8}, settle_seconds=5, options={"k": 1})
    both = faultfile.join(one, {"one": one, "two": two})
    assert both.phases == (("a", "x"), ("b", "y"))
    assert [cause["finding"] for cause in both.expect] == ["p.q", "r.s"]
    assert (both.load, both.settle_seconds, both.options, both.stacks) == ({"rate": 8}, 5, {"k": 1}, ("reference",))


@pytest.mark.parametrize("also", [("missing",), ("one",), ("two",)])
def test_joining_what_is_not_there_or_oneself_is_refused(also: tuple[str, ...]) -> None:
    one, two = Fault("one", "", also=also), Fault("two", "", also=("one",))
    with pytest.raises(FaultError):
        faultfile.join(one, {"one": one, "two": two})


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ("{postgres}", "db1"),
        ("{port}", 5433),
        ("at {postgres}:{port}", "at db1:5433"),
        ({"{api}": ["{postgres}", 3, None]}, {"backend": ["db1", 3, None]}),
        ("{{ lookup('pipe', 'id') }} {}", "{{ lookup('pipe', 'id') }} {}"),
        ('{"json": 1}', '{"json": 1}'),
    ],
)
def test_placeholders_are_filled(value: Any, filled: Any) -> None:
    assert faultfile.fill(value, NAMES) == filled


def test_an_unknown_placeholder_is_named() -> None:
    with pytest.raises(FaultError, match="postgers"):
        faultfile.fill("{postgers}", NAMES)


def test_a_component_that_is_a_list_stands_for_each() -> None:
    fault = Fault("x", "", expect=({"finding": "config.stale_environment", "component": "{database_services}"},))
    assert [cause["component"] for cause in faultfile.expected(fault, NAMES)] == ["backend", "jobs"]


@pytest.mark.parametrize(
    ("change", "url"),
    [
        ({}, "postgresql+psycopg2://u:p%40x@db:5432/app?sslmode=disable"),
        ({"port": 5433}, "postgresql+psycopg2://u:p%40x@db:5433/app?sslmode=disable"),
        ({"host": "other", "password": "q"}, "postgresql+psycopg2://u:q@other:5432/app?sslmode=disable"),
    ],
)
def test_a_url_changes_only_where_it_is_told(change: dict[str, Any], url: str) -> None:
    assert injection._Url("postgresql+psycopg2://u:p%40x@db:5432/app?sslmode=disable").changed(**change) == url


# Scoring

LOCK = {"id": "postgres.lock_held", "component": "db1", "severity": "critical"}
SAVE = {"id": "redis.save_failing", "component": "queue", "severity": "critical"}


@pytest.mark.parametrize(
    ("expected", "named", "detected", "exact"),
    [
        ([], [], True, True),
        ([], [LOCK], True, False),
        ([LOCK], [LOCK], True, True),
        ([LOCK], [LOCK, SAVE], True, False),
        ([LOCK, SAVE], [SAVE, LOCK], True, True),
        ([LOCK, SAVE], [LOCK], False, False),
        ([LOCK], [], False, False),
        ([LOCK], [{**LOCK, "component": "queue"}], False, False),
    ],
)
def test_a_case_is_exact_only_with_every_cause_and_nothing_else(expected: Any, named: Any, detected: bool, exact: bool) -> None:
    score = gameday.compare(expected, named)
    assert (score["detected"], score["exact"]) == (detected, exact)


def test_a_wrong_verdict_fails_an_exact_case() -> None:
    fault = Fault("x", "", verdict=("down",))
    score = gameday.judged(fault, [LOCK], {"root_causes": [LOCK], "verdict": "healthy"})
    assert score["exact"] and "healthy" in score["error"]
    assert not gameday.passed(score)


def test_cases_go_stack_by_stack_and_leave_out_what_is_not_for_them() -> None:
    faults = {"a": Fault("a", ""), "b": Fault("b", "", stacks=("second",)), "c": Fault("c", "", on=())}
    assert gameday.cases(faults, ["reference", "second"]) == [("a", "reference"), ("a", "second"), ("b", "second")]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_shards_cover_everything_once(count: int) -> None:
    items = list(range(17))
    parts = [gameday.shard(items, "%d/%d" % (number, count)) for number in range(1, count + 1)]
    assert sorted(item for part in parts for item in part) == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "a/b", "1/2/3"])
def test_a_bad_shard_is_refused(text: str) -> None:
    with pytest.raises(FaultError, match="--shard"):
        gameday.shard([], text)


def test_resuming_keeps_only_this_commits_ended_cases() -> None:
    results = [result("a"), result("b", commit="old"), result("c", verdict=None)]
    assert [one["fault"] for one in gameday.kept(results, "c")] == ["a"]


def test_results_are_written_after_each_case_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, ran = tmp_path / "out" / "gameday.json", []

    def run_case(fault: Fault, stack: str) -> dict[str, Any]:
        ran.append(fault.id)
        if len(ran) == 2:
            raise KeyboardInterrupt
        return result(fault.id, stack)

    monkeypatch.setattr(gameday, "run_case", run_case)
    monkeypatch.setattr(gameday, "commit", lambda: "c")
    faults = {name: Fault(name, "") for name in "abc"}
    chosen = gameday.cases(faults, ["reference"])
    with pytest.raises(KeyboardInterrupt):
        gameday.run_cases(chosen, faults, [], output)
    assert [one["fault"] for one in gameday.read_results(output)] == ["a"]
    assert gameday.run_cases(chosen, faults, gameday.kept(gameday.read_results(output), "c"), output) == 0
    assert ran == ["a", "b", "b", "c"]
    assert [one["fault"] for one in gameday.read_results(output)] == ["a", "b", "c"]


def test_a_case_that_is_not_exact_makes_the_exit_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(gameday, "run_case", lambda fault, stack: result(fault.id, stack, exact=fault.id == "a"))
    faults = {name: Fault(name, "") for name in "ab"}
    assert gameday.run_cases(gameday.cases(faults, ["reference"]), faults, [], tmp_path / "g.json") == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 1 failed"


def test_the_differences_of_settings_are_named_without_values() -> None:
    before = {"api 1": {"memory": 1, "ports": 2}, "roles": "x", "redis": {"save": "1"}}
    after = {"api 1": {"memory": 1, "ports": 3}, "roles": "y", "redis": {"save": "1"}}
    assert gameday.differences(before, after) == ["api 1 differs in ports", "roles differs"]


def test_the_record_has_a_line_a_fault_and_a_column_a_stack() -> None:
    text = gameday.record(
        [result("a", named=[], expected=[LOCK]), result("a", "second", exact=False, expected=[LOCK], named=[SAVE], error="x | y"), result("b")], {"a": "Title"}
    )
    assert "2 exact of 3" in text
    assert "| a<br>Title | `postgres.lock_held` | exact (2.5) | **not exact**: named redis.save_failing on queue – x \\| y |" in text
    assert "| b<br> | none (control) | exact (2.5) | – |" in text


def test_of_several_results_of_a_case_the_newest_counts() -> None:
    results = [result("a", time="2", verdict="down"), result("a", time="1"), result("a", "second", time="1")]
    assert [(one["stack"], one["verdict"]) for one in gameday.latest(results)] == [("reference", "down"), ("second", "healthy")]


# The journal


def test_the_journal_is_undone_backwards_whatever_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injection, "OUTPUT", tmp_path)
    undone: list[int] = []

    def undo(bench: Any, number: int) -> None:
        undone.append(number)
        if number == 2:
            raise FaultError("no way")

    monkeypatch.setitem(injection.UNDO, "test", undo)
    bench = injection.Bench(STACKS[0])
    for number in (1, 2, 3):
        bench.later("test", number=number)
    assert injection.Bench(STACKS[0]).heal() == ["test: no way"]
    assert undone == [3, 2, 1]
    assert bench.journal() == []
