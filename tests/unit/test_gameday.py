# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pure parts of the game day: fault files, placeholders, scoring, shards, resuming, the record."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.aiops.runbook.plugins.module_utils.act.registry import remedies_on

TOOLS = Path(__file__).resolve().parents[1] / "tools"
sys.path[:0] = [str(TOOLS), str(TOOLS.parent / "stack")]

import cluster_bench  # noqa: E402
import cluster_steps  # noqa: E402
import cure  # noqa: E402
import faultfile  # noqa: E402
import gameday  # noqa: E402
import injection  # noqa: E402
import symptoms  # noqa: E402
from faultfile import Fault, FaultError  # noqa: E402

ON = {platform: {name: fault for name, fault in faultfile.read_folder(faultfile.FAULTS, platform).items() if platform in fault.on}
      for platform in faultfile.PLATFORMS}  # fmt: skip
FAULTS = ON["compose"]
STACKS = sorted(path.parent.name for path in (TOOLS.parent / "stack").glob("*/stack.yml"))
REQUIRED = (
    "pg-down redis-down worker-down pg-lock-held pg-too-many-clients app-pool-exhausted pg-idle-in-transaction pg-wrong-password pg-wrong-host pg-wrong-port "
    "pg-malformed-url stale-credentials redis-auth-mismatch redis-memory-full redis-save-failing worker-wrong-queue worker-stalled oom-killed bad-command "
    "crash-on-start net-partition port-not-published env-missing"
).split()
THERE = (
    "crash-on-start bad-command oom-killed probe-wrong probe-too-eager readiness-wrong image-bad-tag image-pull-denied config-missing env-missing "
    "service-selector port-not-published published-port-wrong target-port-wrong net-partition dns-broken hpa-no-metrics hpa-no-requests "
    "unschedulable-cordon unschedulable-taint unschedulable-selector unschedulable-requests quota-exceeded pvc-pending cert-expired stale-credentials "
    "cpu-throttled memory-leak"
).split()
CONTROLS = "healthy under-load near-threshold already-recovered optional-component-stopped red-herring hostile-text deploy-in-progress".split()
CONTROLS_THERE = [*CONTROLS, *"rollout-in-progress job-completed neighbour-broken policy-without-effect".split()]
NAMES = {"postgres": "db1", "api": "backend", "port": 5433, "database_services": ["backend", "jobs"]}
CATALOGUE = TOOLS.parents[1] / "plugins" / "plugin_utils" / "catalog"
GOOD: dict[str, Any] = {
    "id": "pg-down",
    "title": "PostgreSQL is stopped",
    "inject": [{"stop": "{postgres}"}],
    "symptom": {"request": "/", "fails": True},
    "expect": [{"finding": "container.not_running", "component": "{postgres}"}],
    "cure": [{"remedy": "component_start", "component": "{postgres}"}],
}


def result(fault: str = "a", stack: str = "reference", **more: Any) -> dict[str, Any]:
    score = {"exact": True, "expected": [], "named": [], "verdict": "healthy"}
    return {"fault": fault, "stack": stack, **score, "seconds": 2.5, "commit": "c", "time": "t", **more}


# Fault files


@pytest.mark.parametrize(("platform", "wanted"), [("compose", REQUIRED + CONTROLS), ("kubernetes", REQUIRED + CONTROLS_THERE + THERE)])
def test_the_files_hold_every_fault_that_is_wanted(platform: str, wanted: list[str]) -> None:
    assert not set(wanted) - set(ON[platform])
    assert len([fault for fault in ON[platform].values() if fault.id.startswith("pair-")]) >= 6


@pytest.mark.parametrize("name", sorted({*REQUIRED, *THERE}))
def test_a_fault_expects_a_cause_and_waits_for_a_symptom(name: str) -> None:
    for there in ON.values():
        for fault in [there[name]] if name in there else []:
            assert fault.expect
            assert all(symptoms for _name, symptoms in fault.phases)


@pytest.mark.parametrize("name", CONTROLS_THERE)
def test_a_control_expects_nothing(name: str) -> None:
    assert ON["kubernetes"][name].expect == ()


def test_pairs_expect_two_causes() -> None:
    assert all(len(fault.expect) >= 2 for there in ON.values() for fault in there.values() if fault.id.startswith("pair-"))


@pytest.mark.parametrize("platform", faultfile.PLATFORMS)
def test_every_fault_says_what_cures_it(platform: str) -> None:
    for fault in ON[platform].values():
        assert fault.cure is not None, fault.id
        assert bool(fault.cure or fault.by_hand) == bool(fault.expect), fault.id


@pytest.mark.parametrize("platform", faultfile.PLATFORMS)
def test_a_fault_is_cured_by_what_the_catalogue_names(platform: str) -> None:
    entries: dict[str, Any] = {}
    for path in CATALOGUE.glob("*.yml"):
        entries.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    for fault in ON[platform].values():
        if not fault.also:
            rules = [rule for cause in fault.expect for rule in entries[cause["finding"]].get("remedies") or []]
            known = {rule["remedy"] for rule in rules if rule.get("platform", platform) == platform} & set(remedies_on(platform) | remedies_on("compose"))
            asked = {one["remedy"] for one in fault.cure or ()}
            # What is at hand for an image that cannot be pulled differs from stack to stack.
            assert asked - {"{pull_cure}"} | ({"image_pull_secret", "stack_rollback"} if "{pull_cure}" in asked else set()) <= known, fault.id
            assert platform != "compose" or not fault.by_hand or not known & set(remedies_on(platform)), fault.id


@pytest.mark.parametrize("platform", faultfile.PLATFORMS)
def test_a_fault_asks_only_for_what_can_be_done_where_it_runs(platform: str) -> None:
    bench = {"compose": injection.Bench, "kubernetes": cluster_bench.ClusterBench}[platform]
    only_there = {"pod", "object", "workload"}
    for fault in ON[platform].values():
        for steps, signs in [*fault.phases, (fault.heal, ())]:
            assert {next(iter(step)) for step in steps} <= set(bench.steps), fault.id
            kinds = {kind for sign in signs for kind in sign if kind in faultfile.SYMPTOMS}
            assert kinds <= set(symptoms.SYMPTOM) | set(bench.symptoms) and (platform == "kubernetes" or not kinds & only_there), fault.id


def test_what_files_may_say_is_what_the_tools_can_do() -> None:
    there = cluster_bench.ClusterBench
    assert set(injection.STEP) | set(there.steps) == set(faultfile.STEPS)
    assert set(symptoms.SYMPTOM) | set(there.symptoms) == set(faultfile.SYMPTOMS)


@pytest.mark.parametrize("platform", faultfile.PLATFORMS)
@pytest.mark.parametrize("stack", STACKS)
def test_every_placeholder_is_known_on_every_stack(stack: str, platform: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(injection, "OUTPUT", tmp_path)
    bench = gameday.bench_of(stack, platform)
    monkeypatch.setattr(bench, "broker_database", lambda: "0")
    for fault in ON[platform].values():
        if not fault.stacks or stack in fault.stacks:
            faultfile.fill([fault.phases, fault.options, fault.heal], bench.names())
            assert all(cause["component"] in bench.spec["services"].values() for cause in faultfile.expected(fault, bench.names()))
            assert all(one["component"] in bench.spec["services"].values() for one in faultfile.expected_cure(fault, bench.names()))


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
        ({"platforms": ["swarm"]}, "unknown platform"),
        ({"expect": [{**GOOD["expect"][0], "platform": "swarm"}]}, "expect: unknown platform"),
        ({"verdict": ["fine"]}, "none of"),
        ({"options": []}, "options: wanted a mapping"),
        ({"settle_seconds": "5"}, "wanted a number"),
        ({"cure": "restart"}, "cure: wanted a list .* or by_hand"),
        ({"cure": [{"remedy": "component_start"}]}, "cure: .*`component`"),
        ({"cure": [{"remedy": "docker start", "component": "x"}]}, "cure: .*a name"),
        ({"cure": []}, "names no remedy; .* by_hand"),
        ({"cure": None}, "cure: wanted a list"),
        ({"expect": [], "cure": [{"remedy": "component_start", "component": "x"}]}, "a control has none"),
        ({"expect": [], "cure": "by_hand"}, "nothing to cure"),
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


def test_joined_cures_add_up_and_one_that_is_not_said_is_not_guessed() -> None:
    start, cause = {"remedy": "component_start", "component": "c"}, {"finding": "p.q", "component": "d"}
    known = {"two": Fault("two", "", cure=(start,)), "three": Fault("three", "", cure=(), by_hand=(cause,)), "four": Fault("four", "", expect=(cause,))}
    both = faultfile.join(Fault("one", "", cure=(start,), also=("two", "three")), known)
    assert (both.cure, both.by_hand) == ((start,), (cause,))
    assert faultfile.join(Fault("one", "", cure=(), also=("four",)), known).cure is None


@pytest.mark.parametrize(
    ("content", "cures", "by_hand"),
    [
        (GOOD, ({"remedy": "component_start", "component": "{postgres}"},), ()),
        ({**GOOD, "cure": "by_hand"}, (), tuple(GOOD["expect"])),
        ({key: value for key, value in GOOD.items() if key != "cure"}, None, ()),
        ({"id": "pg-down", "title": "both", "also": ["a"]}, (), ()),
    ],
)
def test_a_cure_is_read(content: Any, cures: Any, by_hand: Any) -> None:
    fault = faultfile.parse(content, "pg-down")
    assert (fault.cure, fault.by_hand) == (cures, by_hand)


def test_what_is_for_one_platform_only_is_not_there_on_the_other() -> None:
    start, other = GOOD["cure"][0], {"finding": "pod.no_room", "component": "{api}"}
    content = {
        **GOOD,
        "inject": [{"stop": "a"}, {"cut": {"to": "a"}, "platform": "kubernetes"}],
        "expect": [*GOOD["expect"], {**other, "platform": "kubernetes"}],
        "cure": [{**start, "platform": "compose"}],
    }
    here, there = (faultfile.parse(content, "pg-down", platform) for platform in faultfile.PLATFORMS)
    assert (here.expect, here.cure, here.by_hand) == (tuple(GOOD["expect"]), (start,), ())
    assert here.phases[0][0] == ({"stop": "a"},) and there.phases[0][0] == ({"stop": "a"}, {"cut": {"to": "a"}})
    # What cures it on the other platform only is a person's affair here.
    assert (there.expect, there.cure, there.by_hand) == ((*GOOD["expect"], other), (), (*GOOD["expect"], other))


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
    where = {"component": "{database_services}"}
    fault = Fault("x", "", expect=({"finding": "config.stale_environment", **where},), cure=({"remedy": "component_recreate", **where},))
    assert [cause["component"] for cause in faultfile.expected(fault, NAMES)] == ["backend", "jobs"]
    assert [step["component"] for step in faultfile.expected_cure(fault, NAMES)] == ["backend", "jobs"]


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


def test_resuming_with_cures_wants_those_that_were_tried() -> None:
    assert [one["fault"] for one in gameday.kept([result("a"), result("b", planned=False)], "c", with_cure=True)] == ["b"]


def test_results_are_written_after_each_case_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, ran = tmp_path / "out" / "gameday.json", []

    def run_case(fault: Fault, stack: str, how: gameday.How) -> dict[str, Any]:
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
    monkeypatch.setattr(gameday, "run_case", lambda fault, stack, how: result(fault.id, stack, exact=fault.id == "a"))
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
    assert "| reference, Compose (seconds) | second, Compose (seconds) |" in text and "same on both" not in text
    assert "| a<br>Title | `postgres.lock_held` | – | exact (2.5) | **not exact**: named redis.save_failing on queue – x \\| y |" in text
    assert "| b<br> | none (control) | – | exact (2.5) | – |" in text


def test_the_record_shows_the_cures() -> None:
    text = gameday.record([cured("a"), cured("a", "second", held=False), cured("c", "second", **HAND)], {})
    assert "cured 2/2, held 1/2, clean 2/2, undone 2/2, wrong 0" in text
    assert "| a<br> | none (control) | `component_start` | exact (2.5); cured in 4.2 s, held, clean, undone | exact (2.5); **cured in 4.2 s, NOT HELD" in text
    assert "| c<br> | none (control) | by hand | – | exact (2.5); by hand |" in text


def test_the_record_compares_the_platforms() -> None:
    elsewhere = {"platform": "kubernetes", "expected": [LOCK], "named": [{**LOCK, "component": "shop-db"}]}
    results = [
        result("a", named=[LOCK], expected=[LOCK], verdict="down"),
        result("a", verdict="down", **elsewhere),
        result("a", "second", named=[LOCK], expected=[LOCK], verdict="degraded"),
        result("a", "second", verdict="down", **elsewhere),
        result("b", platform="kubernetes"),
    ]
    same, other = gameday.compared(results)
    assert same == [("a", "reference")] and [here["stack"] for here, _there in other] == ["second"]
    text = gameday.record(results, {})
    assert "same on both platforms: 1 of 2" in text
    assert "a on second differs: Compose: postgres.lock_held, degraded; Kubernetes: postgres.lock_held, down" in text
    assert "| reference, Compose (seconds) | second, Compose (seconds) | reference, Kubernetes (seconds) | second, Kubernetes (seconds) |" in text
    assert "| b<br> | none (control) | – | – | – | exact (2.5) | – |" in text
    assert "- Kubernetes: diagnosed 3/3" in text


def test_of_a_control_the_comparison_asks_for_no_alarm() -> None:
    expected = [{"id": "postgres.down", "component": "db"}]
    there = {"platform": "kubernetes", "verdict": "unknown"}
    assert gameday.compared([result(), result(**there)])[1] == []
    assert len(gameday.compared([result(), result(**{**there, "verdict": "degraded"})])[1]) == 1
    assert len(gameday.compared([result(expected=expected), result(expected=expected, **there)])[1]) == 1


def test_a_case_on_one_platform_says_nothing_of_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(gameday, "commit", lambda: "c")
    monkeypatch.setattr(gameday, "run_case", lambda fault, stack, how: ran.append(how.platform) or result(fault.id, stack, platform=how.platform))
    faults = {"a": Fault("a", "")}
    chosen, output = gameday.cases(faults, ["reference"]), tmp_path / "g.json"
    gameday.run_cases(chosen, faults, [], output)
    gameday.run_cases(chosen, faults, gameday.read_results(output), output, gameday.How(platform="kubernetes"))
    gameday.run_cases(chosen, faults, gameday.read_results(output), output, gameday.How(platform="kubernetes"))
    assert ran == ["compose", "kubernetes"]
    assert len(gameday.latest(gameday.read_results(output))) == 2


def test_a_stack_is_named_or_its_folder_is_given(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "stack.yml").write_text("project: ours", encoding="utf-8")
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "stack.yml").touch()
    folder = str(tmp_path / "ours")
    assert gameday.chosen_stacks("all") == STACKS
    assert gameday.chosen_stacks("second,%s" % folder) == ["second", folder]
    assert gameday.cases({"a": Fault("a", "", stacks=("ours",))}, [folder, "second"]) == [("a", folder)]
    for text, complaint in (("third", "there is no stack"), (str(tmp_path), "holds no stack.yml"), (str(tmp_path / "second"), "called second too")):
        with pytest.raises(FaultError, match=complaint):
            gameday.chosen_stacks(text)


def test_of_several_results_of_a_case_the_newest_counts() -> None:
    results = [result("a", time="2", verdict="down"), result("a", time="1"), result("a", "second", time="1")]
    assert [(one["stack"], one["verdict"]) for one in gameday.latest(results)] == [("reference", "down"), ("second", "healthy")]


# Cures

START = {"remedy": "component_start", "component": "db1"}
STEP = {**START, "touches": ["db1"], "diff": [{"what": "container db1-1", "before": "exited", "after": "running"}]}
CAUSE = {"id": "network.port_not_published", "component": "edge"}
LEFT = {"finding": "network.port_not_published@edge", "component": "edge"}
HAND = {
    "cure": {"expected": [], "steps": [], "by_hand": ["x on edge"], "expected_by_hand": ["x on edge"], "refused": []},
    **dict.fromkeys(("cured", "held", "clean", "undone")),
}


def cured(fault: str = "a", stack: str = "reference", **more: Any) -> dict[str, Any]:
    told = {"expected": ["component_start on db1"], "steps": ["component_start on db1"], "by_hand": [], "expected_by_hand": [], "refused": [], "other": []}
    score = {"planned": True, "wrong": [], "cure": told, "cured": True, "held": True, "clean": True, "undone": True, "recovery_seconds": 4.2}
    return result(fault, stack, **{**score, **more})


@pytest.mark.parametrize(
    ("steps", "hands", "cures", "by_hand", "planned", "wrong"),
    [
        ([STEP], [], [START], [], True, []),
        ([STEP, STEP], [], [START], [], True, []),
        ([], [], [START], [], False, []),
        ([], [], [], [], True, []),
        ([STEP], [], [], [], False, ["component_start on db1"]),
        ([{**STEP, "component": "edge"}], [], [START], [], False, ["component_start on edge"]),
        ([STEP], [LEFT], [START], [CAUSE], True, []),
        ([STEP], [LEFT], [START], [], False, []),
        ([], [LEFT], [], [CAUSE], True, []),
        ([], [], [], [CAUSE], False, []),
    ],
)
def test_a_plan_is_right_only_with_every_step_and_no_other(steps: Any, hands: Any, cures: Any, by_hand: Any, planned: bool, wrong: list[str]) -> None:
    score = cure.planned({"steps": steps, "by_hand": hands, "refused": []}, cures, by_hand)
    assert (score["planned"], score["wrong"]) == (planned, wrong)


def test_the_start_of_what_the_fault_has_ended_is_right_and_not_asked_for() -> None:
    fallen = cure.off(changed("jobs 1", state="off"), changed("jobs 1", state="on"))
    assert fallen == {"jobs"} and cure.off(changed("jobs 1", state="off"), changed("jobs 1", state="off")) == set()
    also = {**STEP, "component": "jobs"}
    for steps in ([STEP], [STEP, also]):
        score = cure.planned({"steps": steps}, [START], [], fallen)
        assert (score["planned"], score["wrong"]) == (True, [])
    assert cure.planned({"steps": [also]}, [{**START, "component": "jobs"}], [], fallen)["planned"]
    assert cure.planned({"steps": [STEP, also]}, [START], [], [])["wrong"] == ["component_start on jobs"]


def test_what_ended_by_itself_may_end_again_when_the_illness_is_back() -> None:
    broken, now = changed("jobs 1", state="on"), changed("jobs 1", state="off")
    assert cure.not_undone(broken, now, [BACK], ["jobs"]) == [] != cure.not_undone(broken, now, [BACK])


def test_no_plan_is_right_for_a_control_only() -> None:
    assert cure.planned(None, [], [])["planned"]
    assert not cure.planned(None, [START], [])["planned"]


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        ({}, True),
        ({"undone": None}, True),
        ({"undone": False}, False),
        ({"held": False}, False),
        ({"clean": False}, False),
        ({"cured": False}, False),
        ({"planned": False}, False),
        ({"wrong": ["x on y"]}, False),
        ({"exact": False}, False),
        ({"error": "x"}, False),
        (HAND, True),
        ({**HAND, "planned": False}, False),
    ],
)
def test_a_case_passes_with_all_of_its_cure(change: dict[str, Any], passes: bool) -> None:
    assert gameday.passed(cured(**change)) == passes


def test_results_without_cures_are_still_read() -> None:
    assert gameday.passed(result())
    assert cure.summary([result(), result(exact=False)]) == "diagnosed 1/2"
    assert cure.summary([result(), cured(), cured(undone=None)]) == "diagnosed 3/3, cured 2/2, held 2/2, clean 2/2, undone 1/1, wrong 0"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "cured in 4.2 s, held, clean, undone"),
        ({"undone": None, "recovery_seconds": None}, "cured, held, clean"),
        ({"cured": False, "held": False, "undone": False}, "NOT CURED, NOT HELD, clean, NOT UNDONE"),
        ({"planned": False, "wrong": ["x on y"]}, "WRONG: x on y"),
        (HAND, "by hand"),
    ],
)
def test_a_cure_is_told(change: dict[str, Any], said: str) -> None:
    assert cure.words(cured(**change)) == said
    assert cure.words(result()) == ""


@pytest.mark.parametrize(
    ("symptom", "tells"),
    [
        ({"request": "/", "fails": True}, True),
        ({"request": "/", "slower_than_seconds": 3}, True),
        ({"request": "/", "succeeds": True}, False),
        ({"container": "db1", "state": "exited"}, True),
        ({"container": "db1", "state": "running"}, False),
        ({"container": "db1", "exit_code": 137}, False),
        ({"sql": "SELECT 1", "at_least": 5}, True),
        ({"sql": "SELECT true", "is": "t"}, False),
        ({"redis": ["PING"], "matches": "NOAUTH"}, True),
        ({"redis": ["-n", "1", "LLEN", "celery"], "matches": "[1-9]"}, False),
        ({"task": {"refused": True}}, True),
        ({"log": "api", "matches": "x"}, False),
        ({"event": "oom", "service": "api"}, False),
    ],
)
def test_a_symptom_tells_only_where_a_healthy_stack_has_it_not(symptom: dict[str, Any], tells: bool) -> None:
    assert cure.telling(symptom) == tells


@pytest.mark.parametrize(
    ("seen", "recovered", "relapse"),
    [
        ("xxx...........", 4, False),
        ("..............", 1, False),
        (".xxx..........", 5, False),  # an illness that has its good moments
        ("xxx....x..xx..", 4, False),
        ("xxx.......xxx.", 14, True),
        ("xxx........xxx", None, True),
        ("xxxxxxxxxxxxxx", None, True),
        ("", None, False),
    ],
)
def test_a_stack_works_again_when_it_goes_on_doing_so(seen: str, recovered: float | None, relapse: bool) -> None:
    found = cure.recovery([(number, "down" if one == "x" else "") for number, one in enumerate(seen, 1)], hold_from=8)
    assert (found[0], bool(found[1])) == (recovered, relapse)


HEALTHY = {
    "db1 1": {"state": "on", "memory": 1},
    "jobs 1": {"state": "on"},
    "redis": {"maxmemory": "a", "save": "s"},
    "project": {".env": "1", "secrets/key": "2"},
}
GROW = {"remedy": "redis_config", "component": "queue", "touches": ["queue"], "diff": [{"what": "maxmemory of queue", "before": "1", "after": "2"}]}
FIX = {"remedy": "service_fix", "component": "db1", "touches": ["db1"], "diff": [], "target": {"object": "service/db1", "namespace": "shop"}}
ROLL = {"remedy": "stack_rollback", "component": "db1", "touches": ["db1"], "diff": []}
WRITE = {"remedy": "stack_env", "component": "db1", "touches": ["db1"], "diff": [{"what": "/srv/orders/.env", "before": "", "after": "A=1"}]}


def changed(key: str, **parts: Any) -> dict[str, Any]:
    return {**HEALTHY, key: {**HEALTHY[key], **parts}}


@pytest.mark.parametrize(
    ("broken", "after", "step", "other"),
    [
        (changed("db1 1", state="off"), HEALTHY, STEP, []),
        (HEALTHY, changed("db1 1", state="off"), STEP, []),
        (HEALTHY, changed("db1 1", memory=2), STEP, ["db1 1 differs in memory"]),
        (HEALTHY, changed("jobs 1", state="off"), STEP, ["jobs 1 differs in state"]),
        (changed("jobs 1", state="off"), HEALTHY, STEP, []),
        ({**HEALTHY, "redis": "unread"}, HEALTHY, STEP, []),
        (HEALTHY, {**HEALTHY, "redis": "unread"}, STEP, ["redis differs", "redis differs in maxmemory", "redis differs in save"]),
        (changed("redis", maxmemory="b"), changed("redis", maxmemory="c"), GROW, []),
        (HEALTHY, changed("redis", maxmemory="c"), STEP, ["redis differs in maxmemory"]),
        (HEALTHY, changed("redis", save=""), GROW, ["redis differs in save"]),
        (HEALTHY, changed("project", **{".env": "9"}), WRITE, []),
        (HEALTHY, changed("project", **{"secrets/key": "9"}), WRITE, ["project differs in secrets/key"]),
        (HEALTHY, changed("project", **{"compose.aiops-runbook.yml": "9"}), STEP, ["project differs in compose.aiops-runbook.yml"]),
        (HEALTHY, {**HEALTHY, "jobs 2": {"state": "on"}}, STEP, ["jobs 2 differs in state"]),
        (HEALTHY, {**HEALTHY, "shop/service/db1": {"spec": "b"}}, FIX, []),
        (HEALTHY, {**HEALTHY, "shop/service/db": {"spec": "b"}}, FIX, ["shop/service/db differs in spec"]),
        (HEALTHY, {**HEALTHY, "db1 shop/deployment": {"image": "b"}}, ROLL, []),
        (HEALTHY, {**HEALTHY, "db1 shop/deployment": {"spec": "b"}}, ROLL, ["db1 shop/deployment differs in spec"]),
        (HEALTHY, {**HEALTHY, "jobs shop/statefulset": {"image": "b"}}, ROLL, ["jobs shop/statefulset differs in image"]),
    ],
)
def test_what_a_cure_changed_beyond_its_steps(broken: Any, after: Any, step: Any, other: list[str]) -> None:
    assert cure.unclean(HEALTHY, broken, after, [step]) == other


RESTART = {"remedy": "component_restart", "component": "db1", "touches": ["db1"], "can_undo": True}
ANEW = {"remedy": "component_recreate", "component": "db1", "touches": ["db1"], "can_undo": True}
BACK = {**STEP, "can_undo": True}


@pytest.mark.parametrize(
    ("broken", "now", "steps", "left"),
    [
        (HEALTHY, HEALTHY, [BACK], []),
        (HEALTHY, changed("db1 1", memory=2), [BACK], ["db1 1 differs in memory"]),
        (HEALTHY, changed("project", **{"compose.aiops-runbook.yml": "9"}), [BACK], ["project differs in compose.aiops-runbook.yml"]),
        ({**HEALTHY, "redis": "unread"}, HEALTHY, [BACK], ["redis differs", "redis differs in maxmemory", "redis differs in save"]),
        (HEALTHY, {**HEALTHY, "redis": "unread"}, [RESTART], ["redis differs", "redis differs in maxmemory", "redis differs in save"]),
        (changed("db1 1", files="a"), changed("db1 1", files="b"), [ANEW], []),
        (changed("db1 1", environment="a"), changed("db1 1", environment="b"), [ANEW], ["db1 1 differs in environment"]),
        (HEALTHY, changed("project", **{"compose.aiops-runbook.yml": "9"}), [ANEW], []),
        (HEALTHY, changed("jobs 1", files="b"), [ANEW], ["jobs 1 differs in files"]),
    ],
)
def test_what_an_undo_left(broken: Any, now: Any, steps: Any, left: list[str]) -> None:
    assert cure.not_undone(broken, now, steps) == left


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        (BACK, True),
        ({**BACK, "can_undo": False}, False),
        (RESTART, False),
        (ANEW, True),
        ({**ANEW, "diff": [{"what": "container db1-1", "before": "started before", "after": "restarted"}]}, False),
    ],
)
def test_what_an_undo_puts_back(step: dict[str, Any], answer: bool) -> None:
    assert cure.puts_back(step) == answer


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


def test_healing_takes_back_what_a_cure_made_of_the_projects_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injection, "OUTPUT", tmp_path)
    bench = injection.Bench(STACKS[0])
    project = tmp_path / "project"
    (project / "secrets").mkdir(parents=True)
    for name in (".env", "compose.yml", "secrets/key"):
        (project / name).write_text(name, encoding="utf-8")
    bench.stack = type(bench.stack)(project)
    bench.stack.__dict__["spec"] = bench.spec
    made: list[tuple[str, bool]] = []
    monkeypatch.setattr(bench, "compose_up", lambda service, force: made.append((service, force)))
    monkeypatch.setattr(bench, "inspect", lambda service: [])
    bench.keep_files()
    inode = (project / ".env").stat().st_ino
    (project / ".env").write_text("something else", encoding="utf-8")
    (project / "compose.yml").unlink()
    (project / "compose.aiops-runbook.yml").write_text("ours", encoding="utf-8")
    assert bench.heal() == []
    assert sorted(path.name for path in project.iterdir()) == [".env", "compose.yml", "secrets"]
    assert (project / ".env").read_text(encoding="utf-8") == ".env"
    assert (project / ".env").stat().st_ino == inode
    assert {service for service, _force in made} == set(bench.spec["services"].values())


# A stack on a cluster

TEMPLATE = {
    "metadata": {"labels": {"app": "api"}, "annotations": {"kubectl.kubernetes.io/restartedAt": "x"}},
    "spec": {"containers": [{"name": "main", "image": "i", "env": [{"name": "A", "value": "1"}], "resources": {}}], "volumes": []},
}
API: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "api", "namespace": "shop", "uid": "u", "resourceVersion": "7", "annotations": {"deployment.kubernetes.io/revision": "3"}},
    "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "api"}}, "template": TEMPLATE},
    "status": {"replicas": 2},
}


def edited(**container: Any) -> dict[str, Any]:
    first = {**TEMPLATE["spec"]["containers"][0], **container}
    return {**API, "spec": {**API["spec"], "template": {**TEMPLATE, "spec": {**TEMPLATE["spec"], "containers": [first]}}}}


@pytest.mark.parametrize(
    ("after", "parts"),
    [
        ({**API, "metadata": {**API["metadata"], "resourceVersion": "8"}, "status": {}}, []),
        ({**API, "spec": {**API["spec"], "replicas": 1}}, []),  # an autoscaler's own affair
        ({**API, "spec": {**API["spec"], "replicas": 0}}, ["state"]),
        (edited(image="j"), ["image"]),
        (edited(env=[]), ["environment"]),
        (edited(envFrom=[{"secretRef": {"name": "s"}}]), ["environment"]),
        (edited(command=["x"]), ["command"]),
        (edited(livenessProbe={"tcpSocket": {"port": 1}}), ["probes"]),
        (edited(resources={"limits": {"cpu": 1}}), ["resources"]),
        (edited(tty=True), ["pod"]),
        ({**API, "spec": {**API["spec"], "strategy": {"type": "Recreate"}}}, ["spec"]),
        ({**API, "metadata": {**API["metadata"], "labels": {"a": "b"}}}, ["metadata"]),
    ],
)
def test_what_differs_about_a_workload_is_told_by_its_part(after: dict[str, Any], parts: list[str]) -> None:
    before, now = cluster_bench.parts_of(API), cluster_bench.parts_of(after)
    assert [part for part in before if before[part] != now[part]] == parts


def test_an_object_can_be_given_back_without_what_the_cluster_says() -> None:
    assert set(cluster_steps.portable(API)) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(cluster_steps.portable(API)["metadata"]) == {"name", "namespace", "annotations"}


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ({"exitCode": 1, "reason": "Error"}, 1),
        ({"exitCode": 128, "reason": "StartError", "message": 'exec: "gunicorn": executable file not found in $PATH'}, 127),
        ({"exitCode": 128, "reason": "StartError", "message": "permission denied"}, 126),
    ],
)
def test_an_exit_code_is_told_as_on_compose(end: dict[str, Any], code: int) -> None:
    assert cluster_steps.shown_code(end) == code


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cluster_bench.ClusterBench:
    """The bench of a stack that somebody else deployed."""
    monkeypatch.setattr(injection, "OUTPUT", tmp_path / "output")
    folder = tmp_path / "ours"
    folder.mkdir()
    lines = ['kubernetes: {url: "http://10.0.0.1", namespaces: [shop, data], selector: "team=ours"}', "services: {api: api, postgres: db}"]
    (folder / "stack.yml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return cluster_bench.ClusterBench(str(folder))


def test_a_stack_that_others_deployed_is_looked_for_where_it_says(elsewhere: cluster_bench.ClusterBench) -> None:
    (host,) = yaml.safe_load(Path(elsewhere.inventory).read_text(encoding="utf-8"))["all"]["hosts"].items()
    assert (elsewhere.host, host[0]) == ("ours_kubernetes", "ours_kubernetes")
    assert (host[1]["stack_namespace"], host[1]["stack_selector"]) == (["shop", "data"], "team=ours")
    with pytest.raises(FaultError, match="no manifests"):
        elsewhere.rebuild()


def test_a_fault_of_the_nodes_has_no_place_on_somebodys_cluster(elsewhere: cluster_bench.ClusterBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_bench, "foreign", lambda: True)
    for step in ({"nodes": "cordon"}, {"registry": {}}, {"patch": {"object": "deployment/metrics-server", "namespace": "kube-system", "change": {}}}):
        with pytest.raises(FaultError, match="only on the test cluster"):
            elsewhere.inject([step])
    assert elsewhere.journal() == []


def test_a_password_is_read_from_where_the_program_reads_it(elsewhere: cluster_bench.ClusterBench, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = {"name": "v", "projected": {"sources": [{"secret": {"name": "web"}}, {"secret": {"name": "db"}}]}}
    spec = {"containers": [{"name": "main", "volumeMounts": [{"name": "v", "mountPath": "/run/secrets"}]}], "volumes": [volume]}
    found = {**API, "spec": {**API["spec"], "template": {"spec": spec}}}
    monkeypatch.setattr(elsewhere, "workload", lambda service: found)
    monkeypatch.setattr(elsewhere, "held", lambda namespace, kind, name: {"db_password": "secret\n"} if name == "db" else {})
    monkeypatch.setitem(elsewhere.spec, "settings", {"database": {"services": ["api"], "mounted": "/run/secrets/db_password"}})
    assert elsewhere.mounted("api", "/run/secrets/db_password") == ("db", "db_password")
    assert elsewhere.database_password() == "secret"


def test_settings_are_resolved_through_what_they_refer_to(elsewhere: cluster_bench.ClusterBench, monkeypatch: pytest.MonkeyPatch) -> None:
    held = {("configmap", "settings"): {"A": "1", "B": "2"}, ("secret", "db"): {"url": "u"}}
    env = [{"name": "B", "value": "3"}, {"name": "C", "valueFrom": {"secretKeyRef": {"name": "db", "key": "url"}}}]
    monkeypatch.setattr(elsewhere, "workload", lambda service: edited(env=env, envFrom=[{"configMapRef": {"name": "settings"}}]))
    monkeypatch.setattr(elsewhere, "held", lambda namespace, kind, name: held[kind, name])
    assert elsewhere.environment("api") == {"A": "1", "B": "3", "C": "u"}


@pytest.mark.parametrize(
    ("changed", "recorded", "expected"),
    [
        ("docs/x.md", "{first}", "diagnosed 2/2; of the product as it is"),
        ("plugins/x.py", "{first}", "diagnosed 2/2; STALE, 1 commits"),
        ("tests/faults/x.yml", "{first}-dirty", "diagnosed 2/2; STALE, 1 commits"),
        ("plugins/x.py", "0123456789ab", "how old it is cannot be told"),
        ("plugins/x.py", "", "no game day is recorded"),
    ],
)
def test_a_stale_record_shows_as_stale(changed, recorded, expected, tmp_path, monkeypatch):
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout

    monkeypatch.setattr(gameday, "ROOT", tmp_path)
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    first = git("rev-parse", "--short=12", "HEAD").strip()
    (tmp_path / changed).parent.mkdir(parents=True)
    (tmp_path / changed).write_text("x")
    git("add", ".")
    git("commit", "-q", "-m", "second")
    (tmp_path / "gameday.md").write_text("- Commit: `%s`\n- In all: diagnosed 2/2\n" % recorded.format(first=first))
    assert expected in gameday.age(tmp_path / "gameday.md")
