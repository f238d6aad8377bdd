# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Break the reference stacks on purpose, one fault at a time, and see whether the diagnosis names what was broken and nothing else,
whether its plan cures that and nothing else, and whether the cure can be taken back.

    gameday.py                                        every fault on every stack
    gameday.py --faults pg-down,redis-down --stack reference
    gameday.py --platform kubernetes                  on the cluster: the same faults, and those that only Kubernetes has
    gameday.py --platform kubernetes --stack ./ours   any stack there that a stack.yml describes (tests/stack/README.md), whoever deployed it
    gameday.py --shard 1/4 --resume                   a quarter of the cases, those left that have no result of this commit
    gameday.py --hold 5                               watch each cure for 5 s instead of 60; --no-cure: only diagnose
    gameday.py --no-diagnose                          only: does each fault break the stack, and does it heal
    gameday.py --inject pg-lock-held --stack second   leave a fault behind; --heal-all --stack second takes it back
    gameday.py --record docs/gameday.md               write the coverage record from tests/output/gameday.json

Results: tests/output/gameday.json (on Kubernetes: gameday-kubernetes.json), a list with one object a case.
Exit 0 when every case is exact, else 1; 2 for a mistake in the call.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(HERE.parent / "stack")]

import cure  # noqa: E402
import faultfile  # noqa: E402
from faultfile import Fault, FaultError  # noqa: E402

OUTPUT = ROOT / "tests" / "output"
RESULTS = {"compose": OUTPUT / "gameday.json", "kubernetes": OUTPUT / "gameday-kubernetes.json"}
DIAGNOSE_TIMEOUT = 180  # seconds
HOLD_SECONDS = 60  # for which a cure must hold
TITLES = {"compose": "Compose", "kubernetes": "Kubernetes"}

Result = dict[str, Any]


@dataclass
class Clock:
    """Seconds that each part of a case took."""

    parts: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.parts[name] = round(self.parts.get(name, 0) + now - self._since, 1)
        self._since = now


# Pure parts -----------------------------------------------------------------------------------------------------------


def cases(faults: Mapping[str, Fault], stacks: Sequence[str], platform: str = "compose") -> list[tuple[str, str]]:
    """Every (fault, stack) of this platform, stack by stack."""
    return [
        (name, stack) for stack in stacks for name, fault in faults.items() if platform in fault.on and (not fault.stacks or name_of(stack) in fault.stacks)
    ]


def name_of(stack: str) -> str:
    """What a stack is called: a folder beside the reference stacks, or a path."""
    return Path(stack).name


def shard(items: Sequence[Any], text: str) -> list[Any]:
    """The n-th of m parts, given as "n/m"; the parts differ by one item at most."""
    try:
        number, count = map(int, text.split("/"))
    except ValueError as error:
        raise FaultError("--shard: %r is not like 1/4" % text) from error
    if not 1 <= number <= count:
        raise FaultError("--shard: %r: the first number goes from 1 to the second" % text)
    return list(items[number - 1 :: count])


def compare(expected: Iterable[Mapping[str, str]], causes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What a diagnosis named against what was broken; severity and evidence do not count."""
    wanted = {(cause["id"], cause["component"]) for cause in expected}
    named = {(str(cause.get("id")), str(cause.get("component"))) for cause in causes}
    return {
        "detected": wanted <= named,
        "exact": wanted == named,
        "expected": [{"id": one, "component": where} for one, where in sorted(wanted)],
        "named": [{"id": one, "component": where} for one, where in sorted(named)],
    }


def judged(fault: Fault, expected: list[dict[str, str]], report: Mapping[str, Any]) -> Result:
    """The result of a case, from its report."""
    result = compare(expected, report["root_causes"])
    result["verdict"] = report["verdict"]
    if fault.verdict and report["verdict"] not in fault.verdict:
        result["error"] = "the verdict is %s, not %s" % (report["verdict"], " or ".join(fault.verdict))
    return result


def kept(results: Iterable[Result], commit: str, with_cure: bool = False) -> list[Result]:
    """Earlier results that still stand: those of this commit that came to an end."""
    return [result for result in results if result.get("commit") == commit and result.get("verdict") and (not with_cure or "planned" in result)]


def latest(results: Iterable[Result]) -> list[Result]:
    """One result a case, the newest."""
    newest: dict[tuple[str, str, str], Result] = {}
    for result in sorted(results, key=lambda result: result["time"]):
        newest[result["fault"], result["stack"], platform_of(result)] = result
    return list(newest.values())


def platform_of(result: Mapping[str, Any]) -> str:
    return str(result.get("platform") or "compose")


def compared(results: Iterable[Result]) -> tuple[list[tuple[str, str]], list[tuple[Result, Result]]]:
    """(the cases that both platforms diagnose alike, the pairs that they do not) of those that were tried on both: finding ids and verdict."""
    by_case = {(result["fault"], result["stack"], platform_of(result)): result for result in results}
    same, other = [], []
    for fault, stack, platform in sorted(by_case):
        if platform == "compose" and (fault, stack, "kubernetes") in by_case:
            here, there = by_case[fault, stack, "compose"], by_case[fault, stack, "kubernetes"]
            if answer_of(here) == answer_of(there):
                same.append((fault, stack))
            else:
                other.append((here, there))
    return same, other


def answer_of(result: Mapping[str, Any]) -> tuple[list[str], str]:
    """What a diagnosis said, but for the components, which may be called otherwise elsewhere.

    In the midst of a deploy chance decides whether the new instance answers already; of a control, "unknown" is as little an alarm as "healthy".
    """
    verdict = str(result.get("verdict"))
    calm = not result["expected"] and verdict in ("healthy", "unknown")
    return sorted(cause["id"] for cause in result["named"]), "no alarm" if calm else verdict


def passed(result: Result) -> bool:
    """A case that was diagnosed only passes by its diagnosis; one with a cure by its plan, too, and by what came of it."""
    return bool(result["exact"]) and not result.get("error") and cure.good(result)


def names_of(causes: Iterable[Mapping[str, str]]) -> str:
    return ", ".join("%s on %s" % (cause["id"], cause["component"]) for cause in causes) or "nothing"


def row(result: Result) -> str:
    text = "%-34s %-10s %-7s %6s s  " % (result["fault"], result["stack"], verdict_on(result), result.get("seconds", "-"))
    return text + "; ".join(filter(None, [_diagnosis(result), cure.words(result), result.get("error", "")]))


def verdict_on(result: Result) -> str:
    return ("cured" if cure.due(result) else "exact") if passed(result) else "FAILED"


def _diagnosis(result: Result) -> str:
    if result["exact"]:
        return names_of(result["named"])
    return "expected %s; named %s" % (names_of(result["expected"]), names_of(result["named"]))


def record(results: Sequence[Result], titles: Mapping[str, str]) -> str:
    """The coverage record: a line for each fault, a column for each stack on each platform."""
    columns = sorted({(result["stack"], platform_of(result)) for result in results}, key=lambda column: (column[1], column[0]))
    by_case = {(result["fault"], result["stack"], platform_of(result)): result for result in results}
    lines = [
        "# Game day: coverage record",
        "",
        "Written by `make gameday` and `python tests/tools/gameday.py --record docs/gameday.md`; do not edit.",
        "A case is exact when the diagnosis names every cause that was injected and nothing else as a root cause; a control expects none.",
        "It is cured when its plan holds exactly the remedies that are expected, the record says that they held, the next diagnosis names none of its",
        "causes, and a probe of the game day's own works again (after so many seconds); held when that probe still works after the hold, under load;",
        "undone when all settings are afterwards exactly as before the cure. Nothing else may have changed.",
        "",
        "- Commit: %s" % ", ".join("`%s`" % commit for commit in sorted({result["commit"] for result in results})),
        "- Time: %s to %s" % (min(result["time"] for result in results), max(result["time"] for result in results)),
        "- Cases: %d exact of %d" % (sum(bool(result["exact"]) and not result.get("error") for result in results), len(results)),
        "- In all: %s" % cure.summary(results),
    ]
    for platform in sorted({platform for _stack, platform in columns}) if len({platform for _stack, platform in columns}) > 1 else ():
        lines.append("- %s: %s" % (TITLES[platform], cure.summary([result for result in results if platform_of(result) == platform])))
    lines += [
        *_comparison(results),
        "",
        "| Fault | Expected root causes | Expected remedies | %s |" % " | ".join("%s, %s (seconds)" % (stack, TITLES[platform]) for stack, platform in columns),
        "|---|---|---|%s" % ("---|" * len(columns)),
    ]
    for fault in sorted({result["fault"] for result in results}):
        here = [result for result in results if result["fault"] == fault]
        cells = [_cell(by_case.get((fault, *column))) for column in columns]
        causes = ", ".join(sorted({"`%s`" % cause["id"] for result in here for cause in result["expected"]})) or "none (control)"
        cells = [causes, _remedies(here), *(cell.replace("|", "\\|").replace("\n", " ") for cell in cells)]
        lines.append("| %s<br>%s | %s |" % (fault, titles.get(fault, ""), " | ".join(cells)))
    return "\n".join(lines) + "\n"


def age(path: Path) -> str:
    """Whether a coverage record still speaks of the product as it is, in a line: what has changed of it since the oldest commit that was tried."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    line = re.search(r"^- Commit: (.*)$", text, re.MULTILINE)
    commits = re.findall(r"`([0-9a-f]+)(?:-dirty)?`", line[1]) if line else []
    if not commits:
        return "%s: no game day is recorded" % path.name
    told = re.search(r"^- In all: (.*)$", text, re.MULTILINE)
    behind = []
    for one in commits:
        command = ["git", "rev-list", "--count", "%s..HEAD" % one, "--", "plugins", "roles", "playbooks", "tests/faults"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            return "%s: of commit %s, which is not in this checkout: how old it is cannot be told" % (path.name, one)
        behind.append(int(done.stdout))
    what = "STALE, %d commits have changed the product or its faults since" % max(behind) if max(behind) else "of the product as it is"
    return "%s: %s; %s" % (path.name, told[1] if told else "?", what)


def _comparison(results: Sequence[Result]) -> list[str]:
    """Whether the same fault gives the same finding ids and the same verdict wherever the stack is; [] where one platform was tried alone."""
    same, other = compared(results)
    if not same and not other:
        return []
    lines = [
        "- Finding ids and verdict (of a control: no alarm) of what was tried on both platforms: same on both platforms: %d of %d"
        % (len(same), len(same) + len(other))
    ]
    for here, there in other:
        told = ["%s: %s, %s" % (TITLES[platform_of(one)], ", ".join(answer_of(one)[0]) or "nothing", answer_of(one)[1]) for one in (here, there)]
        lines.append("  - %s on %s differs: %s" % (here["fault"], here["stack"], "; ".join(told)))
    return lines


def _cell(result: Result | None) -> str:
    if result is None:
        return "–"
    if not result["exact"]:
        return "**not exact**: named %s%s" % (names_of(result["named"]), " – %s" % result["error"] if result.get("error") else "")
    text = "exact (%s)" % result["seconds"]
    told = "; ".join(filter(None, [cure.words(result), result.get("error")]))
    if not told:
        return text
    return "%s; %s" % (text, told if passed(result) else "**%s**" % told)


def _remedies(results: Iterable[Result]) -> str:
    """What is expected to cure a fault, as far as its results tell."""
    told = [result["cure"] for result in results if "cure" in result]
    if not told:
        return "–"
    steps = sorted({"`%s`" % step.split(" ")[0] for one in told for step in one["expected"]})
    return ", ".join([*steps, *(["by hand"] if any(one["expected_by_hand"] for one in told) else [])]) or "none"


# Files ----------------------------------------------------------------------------------------------------------------


def read_results(path: Path) -> list[Result]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def write_results(results: list[Result], path: Path) -> None:
    """All at once: a reader, and a run that is killed, never see half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def commit() -> str:
    """The commit that is tried, marked when the product's own files differ from it."""
    done = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--", "plugins", "roles", "playbooks", "tests"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return (done.stdout.strip() or "unknown") + ("-dirty" if changed.stdout.strip() else "")


# One case -------------------------------------------------------------------------------------------------------------


def diagnose(fault: Fault, bench: Any, options: Mapping[str, Any], folder: Path) -> cure.Played:
    """Run the playbook as a user does."""
    done = cure.play("diagnose", bench, options, folder, DIAGNOSE_TIMEOUT)
    if not done.report or not done.folder:
        raise FaultError("no report (exit status %d): %s" % (done.status, done.last_words))
    shutil.copyfile(done.folder / "report.json", OUTPUT / "gameday" / ("%s.%s.json" % (bench.host, fault.id)))
    return done


def prepare(bench: Any) -> None:
    """Heal what another run left, start what is not there, wait until the stack is healthy and quiet."""
    for problem in bench.heal():
        say("left from before and not undone: %s" % problem)
    if bench.unwell(3):
        bench.up()
    problem = bench.wait_well(60)
    if problem:
        rebuild(bench, problem)


def rebuild(bench: Any, reason: str) -> None:
    say("%s is made anew: %s" % (bench.host, reason))
    bench.rebuild()


def healed(bench: Any, before: Mapping[str, Any], steps: Iterable[Any], made_anew: Iterable[str] = ()) -> str:
    """Take the fault back and compare the stack with what it was; what is wrong with it now, in words.

    made_anew: services that a cure gave the present settings, which the healing has changed: they read them once more.
    """
    import ctl

    problems = []
    try:
        bench.inject(steps)
    except Exception as error:  # the undo must run whatever the fault's own steps do
        problems.append("heal: %s" % error)
    try:
        problems += bench.heal()
        for service in made_anew:
            bench.remake(service)
        problem = bench.wait_well(60)
    except (ctl.CtlError, FaultError) as error:
        problem = str(error)
    if problem:
        return "; ".join([*problems, "still unwell: %s" % problem])
    after = bench.settings()
    return "; ".join([*problems, *differences(before, after)])


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Where two views of a stack's settings differ, without the values: there are secrets among them."""
    found = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old != new:
            inside = [part for part in sorted({*old, *new}) if old.get(part) != new.get(part)] if isinstance(old, dict) and isinstance(new, dict) else []
            found.append("%s differs%s" % (key, " in %s" % ", ".join(inside) if inside else ""))
    return found


def break_it(bench: Any, fault: Fault, names: Mapping[str, Any], clock: Clock) -> None:
    from symptoms import wait_for

    bench.began = time.time()
    if fault.load:
        bench.load(fault.load["rate"])
    for steps, symptoms in faultfile.fill(fault.phases, names):
        bench.inject(steps)
        clock.lap("inject")
        wait_for(bench, symptoms)
        clock.lap("symptom")
    time.sleep(fault.settle_seconds)
    bench.keep_files()
    clock.lap("settle")


@dataclass(frozen=True)
class How:
    """What is done with a fault that was injected. hold: seconds for which a cure is watched; keep: where reports and records of failed cures go."""

    diagnose: bool = True
    cure: bool = True
    hold: float = HOLD_SECONDS
    keep: Path = OUTPUT / "gameday"
    platform: str = "compose"


def bench_of(stack: str, platform: str) -> Any:
    if platform == "kubernetes":
        import cluster_steps  # noqa: F401  (it knows what can be done to a stack there)
        from cluster_bench import ClusterBench

        return ClusterBench(stack)
    from injection import Bench

    return Bench(stack)


def run_case(fault: Fault, stack: str, how: How = How()) -> Result:
    import ctl

    bench, clock = bench_of(stack, how.platform), Clock()
    result: Result = {
        "fault": fault.id,
        "stack": bench.stack.name,
        "platform": how.platform,
        "detected": False,
        "exact": False,
        "expected": [],
        "named": [],
        "seconds": None,
    }
    with bench.alone(), case_folder(bench) as temp:
        prepare(bench)
        names, before = bench.names(), bench.settings()
        wanted = faultfile.expected(fault, names)
        result["expected"] = wanted
        clock.lap("prepare")
        curing = cure.Cure(bench, fault, names, before, Path(temp), how.hold)
        try:
            break_it(bench, fault, names, clock)
            if how.diagnose:
                done = diagnose(fault, bench, faultfile.fill(fault.options, names), Path(temp))
                result["seconds"] = done.seconds
                result.update(judged(fault, wanted, done.report))
                clock.lap("diagnose")
                if how.cure and fault.cure is not None:
                    result.update(curing.run(done))
        except (FaultError, ctl.CtlError, OSError, subprocess.SubprocessError, KeyError, ValueError) as error:
            result["error"] = "%s: %s" % (type(error).__name__, error)
        finally:
            clock.lap("cure" if "planned" in result else "diagnose")
            with undisturbed():
                problem = "; ".join(filter(None, [taken_back(curing), healed(bench, before, faultfile.fill(fault.heal, names), curing.made_anew)]))
                clock.lap("heal")
                if problem:
                    say("%s did not heal: %s" % (fault.id, problem))
                    rebuild(bench, problem)
                    result["not_healed"] = problem
                    if not how.diagnose:
                        result["error"] = "; ".join(filter(None, [result.get("error"), "not healed: %s" % problem]))
            if not cure.good(result):
                keep_papers(Path(temp), how.keep / bench.host / ("%s.failed" % fault.id))
    result["parts"] = {**clock.parts, **curing.parts}
    return result


def case_folder(bench: Any) -> tempfile.TemporaryDirectory[str]:
    """Where the reports and records of one case lie; those of a case that was killed go."""
    for folder in bench.folder.glob("case-*"):
        shutil.rmtree(folder, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix="case-", dir=bench.folder)


def taken_back(curing: cure.Cure) -> str:
    try:
        return curing.take_back()
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return "the cure was not taken back: %s" % error


def keep_papers(folder: Path, target: Path) -> None:
    """The reports, the log and the journals of a cure that failed: they say why."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, symlinks=True, ignore=shutil.ignore_patterns("key", "lease"))


class undisturbed:  # a context manager that reads as a word
    """Hold Ctrl-C back until the healing is done."""

    def __enter__(self) -> None:
        self._old: dict[int, Any] = {number: signal.signal(number, self._wait) for number in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *_: object) -> None:
        for number, old in self._old.items():
            signal.signal(number, old)

    @staticmethod
    def _wait(*_: object) -> None:
        say("healing first")


# Runs -----------------------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run_cases(chosen: list[tuple[str, str]], faults: Mapping[str, Fault], earlier: list[Result], output: Path, how: How = How()) -> int:
    """Run and score; the earlier results are those that still stand."""
    results, now = list(earlier), commit()
    done = {case_of(result) for result in results}
    if not earlier:
        write_results(results, output)
    for name, stack in chosen:
        if (name, name_of(stack), how.platform) in done:
            continue
        result = run_case(faults[name], stack, how)
        result.update(commit=now, time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        results.append(result)
        write_results(results, output)
        print(row(result), flush=True)
    wanted = {(name, name_of(stack), how.platform) for name, stack in chosen}
    here = [result for result in results if case_of(result) in wanted]
    good = sum(map(passed, here))
    print(cure.summary(here))
    print("%d passed, %d failed" % (good, len(here) - good))
    return 0 if good == len(here) else 1


def case_of(result: Mapping[str, Any]) -> tuple[str, str, str]:
    return result["fault"], result["stack"], platform_of(result)


def try_cases(chosen: list[tuple[str, str]], faults: Mapping[str, Fault], platform: str) -> int:
    """Break and heal only."""
    failed = 0
    for name, stack in chosen:
        result = run_case(faults[name], stack, How(diagnose=False, platform=platform))
        failed += bool(result.get("error"))
        parts = "  ".join("%s %.1f" % part for part in result["parts"].items() if part[0] not in ("diagnose", "cure"))
        print("%-34s %-10s %-7s %s  %s" % (name, name_of(stack), "FAILED" if result.get("error") else "ok", parts, result.get("error", "")), flush=True)
    print("%d passed, %d failed" % (len(chosen) - failed, failed))
    return 1 if failed else 0


def leave_broken(fault: Fault, stack: str, platform: str) -> int:
    bench = bench_of(stack, platform)
    with bench.alone():
        prepare(bench)
        try:
            break_it(bench, fault, bench.names(), Clock())
        except BaseException:
            with undisturbed():
                bench.heal()
            raise
    print("%s is broken by %s; --heal-all --stack %s takes it back" % (stack, fault.id, stack))
    return 0


def heal_all(stacks: Iterable[str], platform: str) -> int:
    failed = 0
    for stack in stacks:
        bench = bench_of(stack, platform)
        with bench.alone():
            problems = bench.heal()
            left = bench.wait_well(60)
        problems += [left] if left else []
        print("%s: %s" % (stack, "; ".join(problems) or "healed"))
        failed += bool(problems)
    return 1 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Break the reference stacks on purpose, score the diagnosis and the cure.")
    parser.add_argument("--faults", default="", metavar="ID,ID", help="only these")
    parser.add_argument("--fault-dir", default="", metavar="DIR", help="fault files of your own (default: tests/faults)")
    parser.add_argument("--stack", default="all", metavar="NAME", help="a folder below tests/stack, the path of one elsewhere (with a slash), or all")
    parser.add_argument("--platform", choices=faultfile.PLATFORMS, default="compose", help="where the stack stands (default: %(default)s)")
    parser.add_argument("--shard", default="", metavar="N/M", help="the n-th of m parts of the cases")
    parser.add_argument("--resume", action="store_true", help="keep the results of this commit and run what is left")
    parser.add_argument("--output", default="", metavar="FILE", help="where the results go (default: tests/output/gameday.json, on Kubernetes another)")
    parser.add_argument("--cure", action=argparse.BooleanOptionalAction, default=True, help="apply the plan of each diagnosis and take it back")
    parser.add_argument("--hold", type=float, default=HOLD_SECONDS, metavar="SECONDS", help="for which a cure must hold (default: %(default)s)")
    parser.add_argument("--no-diagnose", action="store_true", help="break and heal only; writes no result")
    parser.add_argument("--inject", default="", metavar="FAULT", help="break one stack and leave it so")
    parser.add_argument("--heal-all", action="store_true", help="take back what was left")
    parser.add_argument("--list", action="store_true", help="the cases, without running them")
    parser.add_argument(
        "--merge", default="", metavar="FILE,FILE", help="with --record: results of other runs (shards, stacks) too; the latest of a case counts"
    )
    parser.add_argument("--age", default="", metavar="FILE", help="whether a coverage record still speaks of the product as it is")
    parser.add_argument("--record", default="", metavar="FILE", help="write the coverage record after the run, or, alone, from the last results")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _act(options, list(arguments if arguments is not None else sys.argv[1:]))
    except FaultError as error:
        say("error: %s" % error)
        return 2
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except RuntimeError as error:
        say("error: %s" % error)
        return 1


def chosen_stacks(text: str) -> list[str]:
    """The stacks that are meant: names of folders below tests/stack, or paths of folders with a stack.yml."""
    known = sorted(path.parent.name for path in (ROOT / "tests" / "stack").glob("*/stack.yml"))
    stacks = known if text in ("", "all") else [str(Path(one).resolve()) if "/" in one else one for one in text.split(",")]
    for stack in stacks:
        if "/" in stack and not Path(stack, "stack.yml").is_file():
            raise FaultError("--stack: %s holds no stack.yml" % stack)
        if "/" not in stack and stack not in known:
            raise FaultError("--stack: there is no stack %r; known: all, %s; or give the path of a folder" % (stack, ", ".join(known)))
        if "/" in stack and Path(stack).name in known and Path(stack).parent != ROOT / "tests" / "stack":
            raise FaultError("--stack: a reference stack is called %s too: name the folder otherwise" % Path(stack).name)
    return stacks


def _act(options: argparse.Namespace, given: list[str]) -> int:
    if options.age:
        print(age(Path(options.age)))
        return 0
    stacks = chosen_stacks(options.stack)
    if options.heal_all:
        return heal_all(stacks, options.platform)
    faults = faultfile.read_folder(Path(options.fault_dir).resolve() if options.fault_dir else faultfile.FAULTS, options.platform)
    titles = {name: fault.title for name, fault in faults.items()}
    output = Path(options.output or RESULTS[options.platform])
    if options.record and not {word.split("=")[0] for word in given if word.startswith("--")} - {"--record", "--merge", "--output", "--fault-dir"}:
        return write_record(Path(options.record), titles, _outputs(options))
    if options.inject:
        if len(stacks) != 1 or options.inject not in faults:
            raise FaultError("--inject wants the name of a fault and --stack the name of one stack")
        return leave_broken(faults[options.inject], stacks[0], options.platform)
    wanted = [name.strip() for name in options.faults.split(",") if name.strip()]
    for name in wanted:
        if name not in faults:
            raise FaultError("--faults: there is no fault %r; --list shows them" % name)
    chosen = cases({name: fault for name, fault in faults.items() if not wanted or name in wanted}, stacks, options.platform)
    if options.shard:
        chosen = shard(chosen, options.shard)
    if options.list:
        for name, stack in chosen:
            print("%-34s %-10s %s" % (name, name_of(stack), titles[name]))
        return 0
    if not chosen:
        raise FaultError("no case is left to run")
    if options.no_diagnose:
        return try_cases(chosen, faults, options.platform)
    how = How(cure=options.cure, hold=options.hold, platform=options.platform)
    status = run_cases(chosen, faults, kept(read_results(output), commit(), options.cure) if options.resume else [], output, how)
    if options.record:
        write_record(Path(options.record), titles, _outputs(options))
    return status


def _outputs(options: argparse.Namespace) -> list[Path]:
    """Where the results lie from which the record is written: those of both platforms, or those that were named."""
    named = [Path(options.output)] if options.output else list(RESULTS.values())
    return [*named, *map(Path, filter(None, options.merge.split(",")))]


def write_record(path: Path, titles: Mapping[str, str], outputs: Iterable[Path]) -> int:
    results = latest(result for output in outputs for result in read_results(output))
    if not results:
        raise FaultError("no results yet: run a game day first")
    path.write_text(record(results, titles), encoding="utf-8")
    print("wrote %s" % path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
