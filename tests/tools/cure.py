# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Cure a broken reference stack by the plan of its diagnosis, take the cure back, and judge both by means of our own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faultfile
from faultfile import Fault, FaultError

ROOT = Path(__file__).resolve().parents[2]
REMEDIATE_SECONDS = 420  # on top of the hold: starting, waiting for health and for the finding to go
UNDO_SECONDS = 300
CALM_SECONDS = 30  # until a stack is as it was, after a cure or its undoing
STRIKES = 3  # probes in a row that fail: it does not work; fewer are a bad moment
PATIENCE_SECONDS = 10  # with one probe: it asks whether the stack works, not how fast
UNREAD = "unread"  # injection.UNREAD
OVERRIDE = "compose.aiops-runbook.yml"

# What a remedy may change about the components that its step names: of containers, and of workloads (which are told by other parts).
MAY_CHANGE: dict[str, tuple[str, ...]] = {
    "component_start": ("state",),
    "component_restart": ("state",),
    "component_recreate": ("state", "environment", "mounts", "files", "labels"),
    "component_resources": ("state", "memory", "processors", "healthcheck", "files", "labels", "resources"),
    "component_probes": ("probes",),
    "connection_setting": ("state", "environment", "mounts", "files", "labels"),
    "pool_tuning": ("state", "environment", "files", "labels"),
    "stack_env": ("state", "environment", "files", "labels"),
    "stack_rollback": ("image", "command", "environment", "probes", "resources", "mounts", "pull secrets", "pod"),
    "image_set": ("image",),
    "image_pull_secret": ("pull secrets",),
    "celery_consumers": ("state", "command", "environment", "files", "labels"),
    "network_connect": ("networks",),
    "postgres_terminate": (),
    "redis_config": ("state",),
    "redis_password": ("state",),
    "redis_persistence": ("state",),
    "component_scale": ("state",),
    "workload_resume": ("spec",),
    "service_selector": (),
    "service_port": (),
    "autoscaler_bounds": (),
    "node_uncordon": (),
}

# What a restart ends is gone for good: a process that hung, a password that was set at run time. Its undo has nothing to put back.
PUTS_NOTHING_BACK = ("component_restart", "redis_password")

Result = dict[str, Any]


# Pure parts -----------------------------------------------------------------------------------------------------------


def planned(plan: Mapping[str, Any] | None, cure: Iterable[Mapping[str, str]], by_hand: Iterable[Mapping[str, str]], fallen: Iterable[str] = ()) -> Result:
    """What a plan holds against what it should hold: planned (exactly that), wrong (steps that nobody expects), and the plan in short.

    fallen: components that the fault has ended as well; their start is no wrong step, and is not asked for.
    """
    plan = plan or {}
    wanted = {(one["remedy"], one["component"]) for one in cure}
    left = {(one["id"], one["component"]) for one in by_hand}
    steps = {(str(step["remedy"]), str(step["component"])) for step in plan.get("steps") or []} - {("component_start", name) for name in fallen} | (
        wanted & {("component_start", name) for name in fallen}
    )
    hands = {(str(one["finding"]).split("@", maxsplit=1)[0], str(one["component"])) for one in plan.get("by_hand") or []}
    return {
        "planned": steps == wanted and hands == left,
        "wrong": ["%s on %s" % one for one in sorted(steps - wanted)],
        "cure": {
            "expected": ["%s on %s" % one for one in sorted(wanted)],
            "steps": ["%s on %s" % one for one in sorted(steps)],
            "by_hand": ["%s on %s" % one for one in sorted(hands)],
            "expected_by_hand": ["%s on %s" % one for one in sorted(left)],
            "refused": ["%s on %s: %s" % (one["remedy"], one["component"], one.get("reason")) for one in plan.get("refused") or []],
        },
    }


def recovery(seen: Iterable[tuple[float, str]], hold_from: float) -> tuple[float | None, str]:
    """When a stack worked again for good, None where it never did, and what did not work while the cure was to hold.

    seen: what a probe met, "" where all worked, and when. Only failures that go on count: an illness may have its good moments, a cure its bad ones.
    """
    recovered, relapse, failures = None, "", 0
    for at, problem in seen:
        failures = failures + 1 if problem else 0
        if failures >= STRIKES:
            recovered = None
            relapse = problem if at > hold_from else relapse
        elif not problem and recovered is None:
            recovered = at
    return recovered, relapse


def telling(symptom: Mapping[str, Any]) -> bool:
    """Whether a symptom that is gone says that the stack is cured: not what a log keeps, nor what holds on a healthy stack too."""
    if "request" in symptom:
        return not symptom.get("succeeds")
    if "container" in symptom:
        return symptom.get("state", "running") != "running"
    if "sql" in symptom:
        return "at_least" in symptom
    if "redis" in symptom:  # a queue that holds something does so in health, too
        return "LLEN" not in symptom["redis"]
    return "task" in symptom


def unclean(healthy: Mapping[str, Any], broken: Mapping[str, Any], after: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a cure changed beyond its steps. What is as it was before the fault is no harm; what a broken server did not tell is taken to be so."""
    before = _flat({key: healthy.get(key) if value == UNREAD else value for key, value in broken.items()})
    good, now, found = _flat(healthy), _flat(after), []
    for key, part in sorted({*before, *now}):
        value = now.get((key, part))
        if value != before.get((key, part)) and value != good.get((key, part)) and not _allowed(key, part, steps):
            found.append("%s differs%s" % (key, " in %s" % part if part else ""))
    return found


def _flat(settings: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    return {(key, part): inner for key, value in settings.items() for part, inner in (value.items() if isinstance(value, dict) else [("", value)])}


def _allowed(key: str, part: str, steps: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one of the steps says that it changes this."""
    for step in steps:
        told = json.dumps([step.get(name) for name in ("diff", "lasting", "params", "target")])
        if key.rpartition(" ")[0] in step["touches"] and part in MAY_CHANGE.get(str(step["remedy"]), (part,)):
            return True
        if key == "project" and part.rpartition("/")[2] in told:
            return True
        # An object of a cluster, "namespace/kind/name" or "node/name", that the step names.
        if re.fullmatch(r"(\S+/)?[a-z]+/\S+", key) and re.search(r"\b%s\b" % re.escape("/".join(key.split("/")[-2:])), told):
            return True
        if key == "redis" and str(step["remedy"]).startswith("redis_") and part in told:
            return True
        if key == "redis folder" and step["remedy"] == "redis_persistence":
            return True
    return False


def off(settings: Mapping[str, Any], healthy: Mapping[str, Any]) -> set[str]:
    """The components of which a copy does not run that runs in health."""
    return {
        key.rpartition(" ")[0] for (key, part), value in _flat(settings).items() if (part, value, _flat(healthy).get((key, part))) == ("state", "off", "on")
    }


def not_undone(broken: Mapping[str, Any], now: Mapping[str, Any], steps: Sequence[Mapping[str, Any]], again: Iterable[str] = ()) -> list[str]:
    """What is not exactly as before the cure, but for what its steps cannot put back.

    again: components that had ended by themselves and were started again: with the illness back they may end again.
    """
    lasting = [step for step in steps if not puts_back(step)]
    anew = {step["component"] for step in steps if step["remedy"] == "component_recreate"}
    was, is_, found = _flat(broken), _flat(now), []
    for key, part in sorted({*was, *is_}):
        # What a broken server did not tell cannot be compared once it is well for good.
        if was.get((key, part)) == is_.get((key, part)) or (lasting and broken.get(key) == UNREAD):
            continue
        # The project's files were changed by somebody else and stay so: the old values are kept in a file of ours.
        if (key.rpartition(" ")[0] in anew and part in ("files", "labels")) or (anew and key == "project" and part == OVERRIDE):
            continue
        if key.rpartition(" ")[0] in again and part == "state":
            continue
        found.append("%s differs%s" % (key, " in %s" % part if part else ""))
    return found


def puts_back(step: Mapping[str, Any]) -> bool:
    """Whether undoing a step changes anything."""
    only_restarts = bool(step.get("diff")) and all(line["after"] == "restarted" for line in step["diff"])
    return bool(step.get("can_undo")) and step["remedy"] not in PUTS_NOTHING_BACK and not only_restarts


def good(result: Mapping[str, Any]) -> bool:
    """Whether the plan, and the cure where one was due, are as they should be; a result of a diagnosis alone has nothing to fail."""
    if "planned" not in result:
        return True
    if not result["planned"] or result["wrong"]:
        return False
    return not due(result) or bool(result.get("cured") and result.get("held") and result.get("clean") and result.get("undone") is not False)


def due(result: Mapping[str, Any]) -> bool:
    """Whether a remedy should have cured this case."""
    return bool((result.get("cure") or {}).get("expected"))


def words(result: Mapping[str, Any]) -> str:
    """The cure of a case in a few words; "" where there is nothing to tell."""
    if "planned" not in result:
        return ""
    cure = result["cure"]
    if not result["planned"]:
        if result["wrong"]:
            return "WRONG: %s" % ", ".join(result["wrong"])
        why = "; refused: %s" % "; ".join(cure["refused"]) if cure["refused"] else ""
        return "planned %s%s; expected %s" % (_named(cure["steps"], cure["by_hand"]), why, _named(cure["expected"], cure["expected_by_hand"]))
    if not due(result):
        return "by hand" if cure["by_hand"] else ""
    said = ["cured%s" % (" in %s s" % result["recovery_seconds"] if result.get("recovery_seconds") is not None else "") if result.get("cured") else "NOT CURED"]
    if "held" in result:
        said.append("held" if result["held"] else "NOT HELD")
        said.append("clean" if result["clean"] else "NOT CLEAN: %s" % ", ".join(cure.get("other", [])))
        said += {True: ["undone"], False: ["NOT UNDONE"]}.get(result["undone"], [])
    return ", ".join(said) + (" (%s)" % cure["why"] if cure.get("why") else "")


def _named(steps: Sequence[str], by_hand: Sequence[str]) -> str:
    return ", ".join([*steps, *("%s by hand" % one for one in by_hand)]) or "nothing"


def summary(results: Sequence[Mapping[str, Any]]) -> str:
    """diagnosed x/y, cured x/y, held x/y, undone x/y, wrong n."""
    tried = [result for result in results if due(result)]
    parts = ["diagnosed %d/%d" % (sum(bool(result["exact"]) for result in results), len(results))]
    if any("planned" in result for result in results):
        undone = [result["undone"] for result in tried if result.get("undone") is not None]
        parts += ["%s %d/%d" % (name, sum(bool(result.get(name)) for result in tried), len(tried)) for name in ("cured", "held", "clean")]
        parts += ["undone %d/%d" % (sum(undone), len(undone)), "wrong %d" % sum(bool(result.get("wrong")) for result in results)]
    return ", ".join(parts)


# Playbooks ------------------------------------------------------------------------------------------------------------


@dataclass
class Played:
    """What a playbook came to. report: its own report, {} where it wrote none; folder: where that lies."""

    status: int
    seconds: float
    last_words: str
    report: dict[str, Any]
    folder: Path | None


def play(name: str, bench: Any, variables: Mapping[str, Any], folder: Path, timeout: float) -> Played:
    """Run a playbook as a user does; it reports into the folder."""
    file = folder / ("%s.json" % name)
    file.write_text(json.dumps({**variables, "report_dir": str(folder / "reports"), "state_dir": str(folder / "state")}), encoding="utf-8")
    beside = Path(sys.executable).with_name("ansible-playbook")
    program = str(beside) if beside.exists() else shutil.which("ansible-playbook") or "ansible-playbook"
    command = [program, str(ROOT / "playbooks" / ("%s.yml" % name)), "-i", str(bench.inventory), "--limit", bench.host, "-e", "@%s" % file]
    earlier = set(folder.glob("reports/*/*/report.json"))
    started = time.monotonic()
    with open(folder / ("%s.log" % name), "w+", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            status = process.wait(timeout)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)  # it ends what it began, and its journal says how far it came
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            raise
        seconds = round(time.monotonic() - started, 1)
        log.seek(0)
        said = log.read().strip().splitlines()
    found = sorted((path for path in folder.glob("reports/*/*/report.json") if path not in earlier), key=lambda path: path.stat().st_mtime)
    found = [path for path in found if path.parent.name != "latest"]
    report = json.loads(found[-1].read_text(encoding="utf-8")) if found else {}
    errors = [line for line in said if "ERROR" in line or "fatal:" in line]
    return Played(status, seconds, " | ".join((errors or said)[-6:])[:1500], report, found[-1].parent if found else None)


# The stack meanwhile --------------------------------------------------------------------------------------------------


class Probe(threading.Thread):
    """Uses the stack as a user does, beside the cure: when it works again, and whether it goes on so."""

    def __init__(self, bench: Any, symptoms: Iterable[Mapping[str, Any]]) -> None:
        super().__init__(daemon=True)
        self.bench = bench
        self.symptoms = [symptom for symptom in symptoms if "task" not in symptom]  # a task's round trip is part of being ready
        self.started = time.monotonic()
        self.seen: list[tuple[float, str]] = []  # seconds since the start, and what did not work then
        self._over = threading.Event()

    def problem(self) -> str:
        """What does not work, in words."""
        import ctl
        from symptoms import look

        try:
            found = ctl.ready(self.bench.stack, PATIENCE_SECONDS)
            for symptom in [] if found else self.symptoms:
                there, seen = look(self.bench, symptom)
                if there:
                    return seen
            return found
        except (ctl.CtlError, FaultError, OSError, subprocess.SubprocessError) as error:
            return str(error)

    def run(self) -> None:
        while not self._over.is_set():
            begun = time.monotonic()
            found = self.problem()
            self.seen.append((round(time.monotonic() - self.started, 1), found))
            self._over.wait(max(0.2, min(2.0, 2 * (time.monotonic() - begun))))

    def end(self) -> None:
        from injection import FLOOD

        self._over.set()
        self.join(60)
        self.bench.redis("UNLINK", FLOOD + "0")  # a write that was tried, and done


def wait(problem: Any, seconds: float) -> Any:
    """Ask until there is no problem left or the time is over; the last problem."""
    end = time.monotonic() + seconds
    while True:
        left = problem()
        if not left or time.monotonic() > end:
            return left
        time.sleep(1)


# One cure -------------------------------------------------------------------------------------------------------------


@dataclass
class Cure:
    """The cure of one case: apply the plan, look, take it back. folder: the case's own, where reports and records lie."""

    bench: Any
    fault: Fault
    names: Mapping[str, Any]
    healthy: Mapping[str, Any]
    folder: Path
    hold: float
    made_anew: list[str] = field(default_factory=list)  # components that have read their settings anew, which no undo takes back
    open: bool = False  # something was begun and is not taken back
    parts: dict[str, float] = field(default_factory=dict)

    def run(self, diagnosed: Played) -> Result:
        """The result of a cure, from the diagnosis of the broken stack."""
        wanted, by_hand = faultfile.expected_cure(self.fault, self.names), faultfile.expected_by_hand(self.fault, self.names)
        for last in (False, True):
            plan = read_plan(diagnosed)
            broken = self.bench.settings()
            result = planned(plan, wanted, by_hand, off(broken, self.healthy))
            if plan is None or not plan["steps"] or result["wrong"]:
                return result
            cured = self._apply(plan, by_hand)
            if not cured["stale"] or last:
                break
            # The stack has gone on since it was diagnosed: as the refusal says, diagnose again, and approve the new plan.
            diagnosed = play("diagnose", self.bench, self._options(), self.folder, REMEDIATE_SECONDS)
        after = self.bench.settings()
        other = unclean(self.healthy, broken, after, plan["steps"])
        result.update({key: cured[key] for key in ("cured", "held", "recovery_seconds")}, clean=not other)
        result["cure"].update(other=other)
        result["undone"], left = self._undo(plan, broken, after, cured["again"])
        result["cure"]["why"] = "; ".join(filter(None, [cured["why"], left]))
        return result

    def _apply(self, plan: Mapping[str, Any], by_hand: Sequence[Mapping[str, str]]) -> Result:
        # What a person must still do keeps the stack from working: then only the records and the next diagnosis tell.
        probe = None if by_hand else Probe(self.bench, self._symptoms())
        if probe:
            probe.start()
        self.open = True
        self.made_anew = [step["component"] for step in plan["steps"] if step["remedy"] == "component_recreate"]
        orders = {"plan": plan["path"], "approve": plan["digest"], "remediate_hold_seconds": self.hold}
        done = play("remediate", self.bench, {**self._options(), **orders}, self.folder, REMEDIATE_SECONDS + self.hold)
        record = done.report.get("record") or {}
        recovered, ill = None, ""
        if probe:
            probe.end()
            recovered, ill = recovery(probe.seen, done.seconds - self.hold)
            ill = ill or wait(probe.problem, CALM_SECONDS if record.get("result") == "held" else 0)
        named = {(str(cause["id"]), str(cause["component"])) for cause in done.report.get("root_causes") or []}
        due = {(one["id"], one["component"]) for one in faultfile.expected(self.fault, self.names)} - {(one["id"], one["component"]) for one in by_hand}
        why = []
        if record.get("result") != "held":
            said = ["%s on %s: %s" % (step["remedy"], step["component"], step.get("error") or step["result"]) for step in record.get("steps") or []]
            why.append("the record says %s: %s" % (record.get("result", "nothing"), "; ".join(said) or done.last_words))
        why += ["%s on %s is named again" % cause for cause in sorted(named & due)]
        why += ["the probe: %s" % ill] if ill else []
        self.parts["remediate"] = done.seconds
        return {
            "cured": record.get("result") == "held" and bool(done.report) and not named & due and (probe is None or recovered is not None),
            "held": record.get("result") == "held" and not ill,
            "recovery_seconds": recovered,
            "why": "; ".join(why),
            # A step that the plan did not know is the start of what had ended by itself.
            "again": {str(step["component"]) for step in (record.get("steps") or [])[len(plan["steps"]) :]},
            "stale": record.get("kind") == "stale",
        }

    def _undo(self, plan: Mapping[str, Any], broken: Mapping[str, Any], after: Mapping[str, Any], again: set[str]) -> tuple[bool | None, str]:
        """Whether all is exactly as before the cure, None where it changed nothing that can be put back; and what is not, in words."""
        if not any(step.get("can_undo") for step in plan["steps"]):
            self.open = False
            return None, ""
        done = play("undo", self.bench, self._options(), self.folder, UNDO_SECONDS)
        self.parts["undo"] = done.seconds
        record = done.report.get("record") or {}
        failed = [step for step in record.get("steps") or [] if step["result"] == "failed"]
        left = wait(lambda: not_undone(broken, self.bench.settings(), plan["steps"], again), CALM_SECONDS)
        if not record or failed:
            said = ["%s: %s" % (step["remedy"], step.get("error") or step.get("by_hand")) for step in failed]
            return False, "undo: %s" % "; ".join([*(said or [done.last_words]), *left])
        self.open = False
        if left:
            return False, "after undo %s" % "; ".join(left)
        if not any(map(puts_back, plan["steps"])):
            return None, ""
        # What a worker consumes is no setting that can be read: the illness must be back.
        left = [] if _flat(broken) != _flat(after) else self._not_back()
        return not left, "; ".join(left)

    def _not_back(self) -> list[str]:
        from symptoms import wait_for

        try:
            wait_for(self.bench, self._symptoms())
        except FaultError as error:
            return ["after undo %s" % error]
        return []

    def _symptoms(self) -> list[Any]:
        return [one for _steps, symptoms in faultfile.fill(self.fault.phases, self.names) for one in symptoms if telling(one)]

    def take_back(self) -> str:
        """After a cure that was broken off: what it began must not outlive the case."""
        if not self.open:
            return ""
        done = play("undo", self.bench, self._options(), self.folder, UNDO_SECONDS)
        self.open = False
        result = (done.report.get("record") or {}).get("result")
        return "" if result in ("undone", "unchanged", "partly undone") else "the cure was not taken back: %s" % done.last_words

    def _options(self) -> dict[str, Any]:
        return {**faultfile.fill(self.fault.options, self.names), "fail_on": "never"}


def read_plan(diagnosed: Played) -> dict[str, Any] | None:
    """The plan that a diagnosis wrote beside its report, with its path; None where there is nothing to do."""
    path = diagnosed.folder / "plan.json" if diagnosed.folder else None
    if path is None or not path.exists():
        if (diagnosed.report.get("plan") or {}).get("steps"):
            raise FaultError("the diagnosis has a plan and wrote no plan.json")
        given = diagnosed.report.get("plan")
        return given or None
    return {**json.loads(path.read_text(encoding="utf-8")), "path": str(path)}
