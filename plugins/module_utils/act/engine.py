# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Plan, apply, verify, undo: the same way for every remedy.

An event is in the journal before what it announces happens, so that a run that dies can be finished or taken back by the next.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Collection, Iterable, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import DESTRUCTIVE, Preview, Refused, Remedy, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.extract import extract
from ansible_collections.aiops.runbook.plugins.module_utils.act.records import BaseJournal
from ansible_collections.aiops.runbook.plugins.module_utils.act.registry import remedy_of
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, Finding, StackError, Unseen

# Between two looks while a post-check is held.
PAUSE_SECONDS = 2.0
# For how long a cured finding must be back, and a new one be there, to count.
BACK_SECONDS = 4.0
NEW_SECONDS = 30.0
# What a stack may need until a cured finding is gone: a pool that reconnects, a health check's interval.
CLEAR_SECONDS = 90.0

NOTHING_TO_UNDO: dict[str, Any] = {"result": "unchanged", "run": None, "records": None, "steps": [], "changed": False}
# The remedy for what an illness has ended.
START = "component_start"
# Results of a step after which a run goes on.
WELL = ("cured", "done", "unchanged")
# Those that have changed something.
DONE = ("cured", "done")


def preview_steps(stage: Stage, steps: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What each step would do now, or why it must not: {"number", "preview", "token"} or {"number", "refused", "fix"}."""
    found = []
    for step, preview in _previews(stage, [Step.of(entry) for entry in steps]):
        if isinstance(preview, StackError):
            found.append({"number": step.number, "refused": stage.mask.text(preview.message), "fix": stage.mask.text(preview.details.get("fix", ""))})
        else:
            found.append({"number": step.number, "preview": _masked(stage, preview), "token": _token(stage, preview)})
    return found


def _previews(stage: Stage, steps: Iterable[Step]) -> Iterator[tuple[Step, Preview | StackError]]:
    """Each step's preview, or why it must not be done, as it will be when those before it are done (stage.coming)."""
    stage.coming = []
    try:
        for step in steps:
            try:
                preview = remedy_of(step.remedy, stage.platform.name).preview(stage, step)
            except StackError as error:
                yield step, error
                continue
            stage.coming.append((step, preview))
            yield step, preview
    finally:
        stage.coming = []


def _masked(stage: Stage, preview: Preview) -> dict[str, Any]:
    shown = preview.shown()
    shown["diff"] = [{key: stage.mask.text(str(value)) for key, value in line.items()} for line in shown["diff"]]
    shown["lasting"] = [stage.mask.text(line) for line in shown["lasting"]]
    return shown


def _token(stage: Stage, preview: Preview) -> str:
    return stage.token([preview.target, preview.state, preview.changed])


class Run:
    """One job of acting: steps that somebody approved, under the lease, with a journal."""

    def __init__(self, stage: Stage, holder: dict[str, Any], hold_seconds: float, lease_wait: float = 0.0) -> None:
        self.stage = stage
        self.holder = holder
        self.hold_seconds = hold_seconds
        self.lease_wait = lease_wait
        self.journal: BaseJournal | None = None
        self.settled: list[dict[str, Any]] = []

    def apply(self, plan: dict[str, Any], entries: list[dict[str, Any]]) -> dict[str, Any]:
        """Apply these entries of a plan; the record of what was done. StackError (kind refused, stale, leased, …) when nothing of them was.

        plan: {"digest", "created_at", …}; each entry is a Step's, with "token" when its present state must be that of the plan.
        """
        with self.stage.records.lease({**self.holder, "job": "apply", "run": plan.get("digest", "")}, self.lease_wait):
            # Who had the lease until a moment ago may have changed what was seen before.
            self.stage.renew()
            try:
                self._settle_unfinished()
                return self._apply(plan, entries)
            except StackError as error:
                if not self.settled:
                    raise
                said = ", ".join("%s of %s: %s" % (one["run"], one["by"], one["result"]) for one in self.settled)
                kind, fix = (error.kind, error.details.get("fix", "")) if error.kind == "unfinished" else ("stale", "diagnose again, and approve the new plan")
                raise StackError("a run had died in the middle (%s); %s" % (said, error.message), kind=kind, fix=fix, settled=self.settled) from error

    def _apply(self, plan: dict[str, Any], entries: list[dict[str, Any]]) -> dict[str, Any]:
        again = self._applied_already(plan.get("digest") or "")
        if again is not None:
            return {"result": "unchanged", "run": again.name, "records": again.folder, "steps": [], **self._told_settled([])}
        steps = [(Step.of(entry), entry.get("token") or "") for entry in entries]
        previews = self._agreed(steps)
        self._refuse_beyond(plan, list(previews.values()))
        if not any(preview.changed for preview in previews.values()):
            return self._record("unchanged", [self._nothing(step, previews[step.number]) for step, _token in steps])
        before = self._illnesses()
        self.journal = self.stage.records.new_run()
        about = {key: plan[key] for key in ("mode", "backup_waiver", "freeze_override") if plan.get(key)}
        self.journal.write("begin", **self.holder, **about, plan=plan.get("digest", ""), steps=entries, before=sorted(before))
        known = [float(plan.get("created_at") or time.time())] + [preview.ill_since for preview in previews.values() if preview.ill_since]
        return self._steps([step for step, _token in steps], previews, before, min(known))

    def _settle_unfinished(self) -> None:
        """Runs that died in the middle: what was finished of them and stands is kept, the rest is taken back; what became of each."""
        for journal in self.stage.records.unfinished():
            kept = self._standing(journal)
            stays = kept | {entry["step"] for entry in journal.entries if entry["event"] == "unchanged"}
            if kept and stays >= {int(entry.get("number") or 1) for entry in journal.begin.get("steps") or []} | set(journal.open_steps()):
                journal.write("end", result="held", steps=[], by=self.holder.get("by"), finished_later=True)
                done: dict[str, Any] = {"result": "held", "steps": []}
            else:
                done = take_back(self.stage, journal, self.holder, kept)
            self.settled.append({"run": journal.name, "by": journal.begin.get("by"), "result": done["result"]})
            stuck = [step["by_hand"] for step in done["steps"] if step["result"] == "failed"]
            if stuck:
                raise Refused("the run %s cannot be taken back: %s" % (journal.name, "; ".join(stuck)), fix="do that by hand", kind="unfinished")
        if self.settled:
            self.stage.renew()

    def _standing(self, journal: BaseJournal) -> set[int]:
        """The steps of a run that died which were finished and whose cure holds; none when all of it was being taken back."""
        if journal.last("not held") or journal.last("undo"):
            return set()
        undoing = {entry["step"] for entry in journal.entries if entry["event"] == "undoing"}
        in_force = set(journal.open_steps()) - undoing
        finished = {entry["step"]: entry.get("finding") or "" for entry in journal.entries if entry["event"] in DONE and entry["step"] in in_force}
        standing: set[int] = set()

        def missing() -> str:
            """One look may meet a passing moment."""
            findings, unseen, problem = self._look()
            standing.clear()
            standing.update(number for number, finding in finished.items() if not problem and self._stands(journal, number, finding, findings, unseen))
            return "" if len(standing) == len(finished) else "not all"

        if finished:
            self.stage.wait(missing, BACK_SECONDS, PAUSE_SECONDS)
        return standing

    @staticmethod
    def _stands(journal: BaseJournal, number: int, finding: str, findings: Collection[Finding], unseen: Iterable[Unseen]) -> bool:
        """Whether what a step was to cure is gone, and what it acted on has no grave illness that is newer than the run."""
        component = (journal.last("acting", number) or {}).get("component")
        new = graver(set(journal.begin.get("before") or ()), [one for one in findings if one.component == component])
        return not new and not still_there([finding] if finding else [], findings, unseen)

    def _applied_already(self, digest: str) -> BaseJournal | None:
        """The run that has applied this very plan, and still stands."""
        for journal in reversed(self.stage.records.runs()):
            if digest and journal.begin.get("plan") == digest:
                return journal if (journal.last("end") or {}).get("result") == "held" else None
        return None

    def _refuse_beyond(self, plan: dict[str, Any], previews: list[Preview]) -> None:
        """What no approval covers: more than a day's share by itself, data without a way back."""
        if any(preview.risk == DESTRUCTIVE for preview in previews) and not plan.get("backup_waiver"):
            raise Refused(
                "this would change data that cannot be put back, and no fresh verified backup is known",
                fix="make and verify one, or give backup_waiver: the reason",
            )
        if plan.get("mode") == "auto":
            most, since = int(plan.get("auto_most_per_day") or 0), time.time() - 86400
            today = sum(len(journal.acted()) for journal in self.stage.records.runs() if journal.begin.get("mode") == "auto" and journal.begin["at"] >= since)
            wanted = sum(preview.changed for preview in previews)
            if today + wanted > most:
                raise Refused(
                    "%d remedies ran by themselves within a day, and %d more would be more than auto_most_per_day (%d)" % (today, wanted, most),
                    fix="find out why it comes back; an approved plan may still be applied",
                    kind="capped",
                )

    def _agreed(self, steps: list[tuple[Step, str]]) -> dict[int, Preview]:
        """The present previews, which must be those of the plan: before the first step, all of them."""
        previews: dict[int, Preview] = {}
        tokens = {step.number: token for step, token in steps}
        for step, preview in _previews(self.stage, [step for step, _token in steps]):
            if isinstance(preview, Refused):
                raise Refused("step %d (%s on %s): %s" % (step.number, step.remedy, step.component, preview.message), fix=preview.details.get("fix", ""))
            if isinstance(preview, StackError):
                raise preview
            token = tokens[step.number]
            if token and preview.changed and token != _token(self.stage, preview):
                raise Refused(
                    "step %d (%s on %s): the stack is not as it was when the plan was made" % (step.number, step.remedy, step.component),
                    fix="diagnose again, and approve the new plan",
                    kind="stale",
                )
            previews[step.number] = preview
        return previews

    def _steps(self, steps: list[Step], previews: dict[int, Preview], before: set[str], since: float) -> dict[str, Any]:
        done: list[dict[str, Any]] = []
        touched: set[str] = set()
        meant: set[str] = set()
        for step in steps:
            remedy = remedy_of(step.remedy, self.stage.platform.name)
            entry = _entry(step)
            done.append(entry)
            later = {other.finding.split("#")[0] for other in steps if other.number > step.number}
            started = time.monotonic()
            try:
                # What an earlier step of this run has changed is seen anew; everything else was compared with the plan a moment ago.
                if touched:
                    self.stage.renew()
                preview = self._anew(remedy, step, previews[step.number], touched) if touched else previews[step.number]
                entry.update(self._told(preview))
                entry["result"] = self._one(remedy, step, preview, entry, step.finding.split("#")[0] not in later)
                touched.update(preview.touches)
                meant.update(preview.brings)
            except StackError as error:
                entry.update(self._failed(error))
                self._take_back(entry)
            entry["seconds"] = round(time.monotonic() - started, 1)
            if entry["result"] not in WELL:
                break
        # What was done before a step failed stays, where it holds: without it the stack would be worse off.
        whole = done[-1]["result"] in WELL
        problem = self._held(done, before | meant, touched, since) if whole or any(entry["result"] in DONE for entry in done) else ""
        if problem:
            self._note("not held", problem=problem)
            for entry in reversed(done):
                if entry["result"] in DONE:
                    entry["error"] = problem
                    self._take_back(entry)
        result = "held" if all(entry["result"] in WELL for entry in done) else "failed"
        return self._record(result, done)

    def _anew(self, remedy: Remedy, step: Step, agreed: Preview, touched: Collection[str]) -> Preview:
        """What a step would do after those before it; Refused where what it acts on is another one by now, and none of them has touched it."""
        preview = remedy.preview(self.stage, step)
        if preview.changed and preview.target != agreed.target and not {step.component, *agreed.touches} & {*touched}:
            raise Refused(
                "step %d (%s on %s): somebody else has changed meanwhile what it acts on" % (step.number, step.remedy, step.component),
                fix="diagnose again, and approve the new plan",
                kind="stale",
            )
        return preview

    def _told(self, preview: Preview) -> dict[str, Any]:
        """What a record's entry says of what was about to be done."""
        shown = _masked(self.stage, preview)
        return {key: shown[key] for key in ("risk", "diff", "lasting", "touches", "can_undo")}

    def _failed(self, error: StackError) -> dict[str, Any]:
        return {"result": "failed", "error": self.stage.mask.text(error.message), "fix": self.stage.mask.text(error.details.get("fix", ""))}

    def _one(self, remedy: Remedy, step: Step, preview: Preview, entry: dict[str, Any], last: bool) -> str:
        """Evidence (its end into the record's entry), undo, act, verify: the result of one step. last: no later step cures a finding of the same kind."""
        if self.journal is None:
            raise StackError("a step needs a journal", kind="internal")
        if not preview.changed:
            self.journal.write("unchanged", step=step.number)
            return "unchanged"
        evidence = remedy.evidence(self.stage, step, preview)
        entry["evidence"] = extract(evidence, self.stage.mask.text)
        self.journal.keep("evidence-%d.json" % step.number, {"step": step.number, "finding": step.finding, **evidence})
        until = {"until": round(time.time() + preview.back_after_seconds, 1)} if preview.back_after_seconds else {}
        self.journal.write("acting", step=step.number, remedy=step.remedy, component=step.component, undo=preview.undo, diff=entry["diff"], **until)
        try:
            remedy.apply(self.stage, step, preview)
        except StackError as error:
            if error.kind == "not_verified":  # all was written, and is not well
                self.journal.write("acted", step=step.number)
            raise
        self.journal.write("acted", step=step.number)
        self.stage.renew()
        problem = remedy.verify(self.stage, step, preview)
        if problem:
            raise StackError(problem, kind="not_verified")
        if not step.finding or not last:
            self.journal.write("done", step=step.number, finding=step.finding)
            return "done"
        problem = self.stage.wait(lambda: self._left(step), CLEAR_SECONDS, PAUSE_SECONDS)
        if problem:
            raise StackError(problem, kind="not_cured")
        self.journal.write("cured", step=step.number, finding=step.finding)
        return "cured"

    def _illnesses(self) -> set[str]:
        """What is grave before the first step: only what comes on top of it speaks against a cure."""
        _seen, findings, _unseen = self.stage.judge()
        return {key_of(finding) for finding in findings if finding.severity == CRITICAL}

    def _look(self) -> tuple[list[Finding], list[Unseen], str]:
        """What the judges say now; or nothing, and in words why the stack cannot be looked at."""
        try:
            _seen, findings, unseen = self.stage.judge()
        except StackError as error:
            return [], [], "the stack cannot be looked at: %s" % self.stage.mask.text(error.message)
        return findings, unseen, ""

    def _left(self, step: Step) -> str:
        """What of a step's finding is left, in words; not to be able to look is no cure."""
        findings, unseen, problem = self._look()
        return problem or still_there([step.finding], findings, unseen)

    def _held(self, done: list[dict[str, Any]], before: set[str], touched: set[str], since: float) -> str:
        """Look again and again until the post-check has held; what broke it, in words.

        One look may meet a passing moment (a container that is being made, a busy processor), and what ended in the last seconds of the
        illness is told for a while: a problem counts when it stays, a new one when it stays for longer. What the illness has ended is
        started again, and the hold begins anew.
        """
        end, stood = time.monotonic() + self.hold_seconds, time.time()
        first: dict[str, float] = {}
        while True:
            findings, unseen, blind = self._look()
            # What was changed itself and ended is no victim of the illness; what was started once and ended again is none, either.
            excluded = touched | {entry["component"] for entry in done if entry["remedy"] == START}
            fallen = [finding for finding in self.stage.gave_up(findings, touched, since) if finding.component not in excluded]
            if fallen:
                problem = self._start(done, fallen[0])
                if problem:
                    return problem
                end = time.monotonic() + self.hold_seconds
                continue
            now = time.monotonic()
            cured = [entry["finding"] for entry in done if entry["finding"] and entry["result"] in WELL]
            back = blind or still_there(cured, findings, unseen)
            # Who waits to be started again was ended by the illness; who ends after it is another matter.
            new = graver(before | {key_of(finding) for finding in self.stage.coming_back(findings, touched, stood)}, findings)
            first = {problem: first.get(problem, now) for problem in (back, new) if problem}
            if back and now - first[back] >= BACK_SECONDS:
                return back
            if new and (now - first[new] >= NEW_SECONDS or now >= end + 3 * NEW_SECONDS):
                return new
            if not first and now >= end:
                return ""
            time.sleep(PAUSE_SECONDS)

    def _start(self, done: list[dict[str, Any]], finding: Finding) -> str:
        """Start, as one step more, a component that gave up for want of what was cured; why that failed, in words."""
        planned = (self.journal.begin.get("steps") or []) if self.journal else []
        number = max(int(entry.get("number") or 1) for entry in [*planned, *done]) + 1
        step = Step(START, finding.component, finding=key_of(finding), number=number)
        entry, remedy, began = _entry(step), remedy_of(START, self.stage.platform.name), time.monotonic()
        done.append(entry)
        try:
            self.stage.renew()
            # It ran when the plan was made: to be as it was before the cure is to run.
            preview = replace(remedy.preview(self.stage, step), undo={})
            entry.update(self._told(preview), texts=preview.texts)
            entry["result"] = self._one(remedy, step, preview, entry, True)
        except StackError as error:
            entry.update(self._failed(error), undone=False)
        entry["seconds"] = round(time.monotonic() - began, 1)
        return "" if entry["result"] in WELL else "%s ended by itself and cannot be started again: %s" % (finding.component, entry["error"])

    def _take_back(self, entry: dict[str, Any]) -> None:
        """Undo one step that was begun, and say so."""
        if self.journal is None:
            raise StackError("a step needs a journal", kind="internal")
        acting = self.journal.last("acting", entry["number"])
        if acting is None:
            return
        if not acting.get("undo"):
            entry["result"] = "failed"
            entry["undone"] = False
            return
        try:
            undo_step(self.stage, self.journal, entry["number"])
            entry["result"], entry["undone"] = "undone", True
        except StackError as error:
            entry["result"], entry["undone"] = "failed", False
            entry["by_hand"] = by_hand(self.stage, error)

    def _nothing(self, step: Step, preview: Preview) -> dict[str, Any]:
        return {**_entry(step), "risk": preview.risk, "result": "unchanged", "diff": [], "lasting": [], "touches": [], "seconds": 0.0}

    def _record(self, result: str, done: list[dict[str, Any]]) -> dict[str, Any]:
        # The evidence itself lies beside the journal.
        brief = [{key: value for key, value in entry.items() if key != "evidence"} for entry in done]
        lost = self._note("end", result=result, steps=brief) if self.journal is not None else {}
        return {"result": result, "run": self.journal.name if self.journal else None, "records": self.journal.folder if self.journal else None, "steps": done,
                **self._told_settled(done), **lost}  # fmt: skip

    def _told_settled(self, done: Iterable[dict[str, Any]]) -> dict[str, Any]:
        """What became of runs that had died, and whether anything was changed, there or by these steps."""
        taken_back = any(one["result"] not in ("held", "unchanged") for one in self.settled)
        return {"settled": self.settled, "changed": taken_back or any(entry["result"] in ("cured", "done", "undone", "failed") for entry in done)}

    def _note(self, event: str, **facts: Any) -> dict[str, str]:
        """Write an event of what was done already; what the record says more where that is not possible."""
        return noted(self.stage, self.journal, event, **facts) if self.journal is not None else {}

    def undo(self, name: str | None = None) -> dict[str, Any]:
        """Take back a run: a named one, else one that died, else the last that left something. The record."""
        with self.stage.records.lease({**self.holder, "job": "undo", "run": name or ""}, self.lease_wait):
            journal = self._to_undo(name)
            if journal is None:
                return dict(NOTHING_TO_UNDO)
            if journal.open_steps():
                # Whoever finds it broken off goes on with it.
                journal.write("undo", by=self.holder.get("by"))
            return take_back(self.stage, journal, self.holder)

    def would_undo(self, name: str | None = None) -> dict[str, Any]:
        """The record that undo() would leave, as far as it is known before; nothing is done."""
        journal = self._to_undo(name)
        if journal is None:
            return dict(NOTHING_TO_UNDO)
        done = []
        for number in journal.open_steps():
            acting = journal.last("acting", number) or {}
            undo = acting.get("undo")
            result = "cannot be undone" if undo is None else "would be done" if undo else "unchanged"
            done.append({**_entry_back(number, acting), "diff": _backwards(acting), "result": result})
        return {"result": "unchanged", "run": journal.name, "records": journal.folder, "steps": done,
                "changed": any(entry["result"] == "would be done" for entry in done)}  # fmt: skip

    def _to_undo(self, name: str | None) -> BaseJournal | None:
        if name:
            return self.stage.records.run(name)
        unfinished = self.stage.records.unfinished()
        if unfinished:
            return unfinished[-1]
        return next((journal for journal in reversed(self.stage.records.runs()) if journal.open_steps()), None)


def noted(stage: Stage, journal: BaseJournal, event: str, **facts: Any) -> dict[str, str]:
    """Write an event of what was done already; what a record says more where that is not possible."""
    try:
        journal.write(event, **facts)
    except StackError as error:
        return {"reason": "what was done could not be recorded to its end: %s" % stage.mask.text(error.message)}
    return {}


def _entry_back(number: int, acting: dict[str, Any]) -> dict[str, Any]:
    """The beginning of a step's entry in the record of an undo."""
    return {"number": number, "remedy": acting.get("remedy"), "component": acting.get("component")}


def _backwards(acting: dict[str, Any]) -> list[dict[str, str]]:
    """What undoing a step changes, from what it changed."""
    return [{"what": line["what"], "before": line["after"], "after": line["before"]} for line in acting.get("diff") or [] if acting.get("undo")]


def take_back(stage: Stage, journal: BaseJournal, holder: dict[str, Any], kept: Collection[int] = ()) -> dict[str, Any]:
    """Undo every step of a run that is not undone yet, the last first, each whatever becomes of the others. kept: steps that stay."""
    done = []
    for number in journal.open_steps():
        if number in kept:
            continue
        acting = journal.last("acting", number) or {}
        entry = _entry_back(number, acting)
        done.append(entry)
        try:
            undo_step(stage, journal, number)
            entry["result"] = "unchanged" if acting.get("undo") == {} else "undone"
            entry["diff"] = _backwards(acting)
        except StackError as error:
            entry["result"] = "failed" if acting.get("undo") is not None else "cannot be undone"
            entry["by_hand"] = by_hand(stage, error)
    results = {entry["result"] for entry in done}
    well = results <= {"undone", "unchanged"}
    result = "partly undone" if not well else "partly held" if kept else "undone" if "undone" in results else "unchanged"
    lost = noted(stage, journal, "end", result=result, steps=done, **{key: value for key, value in holder.items() if key in ("by", "at")})
    return {"result": result, "run": journal.name, "records": journal.folder, "steps": done,
            "changed": any(entry["result"] == "undone" for entry in done), **lost}  # fmt: skip


def by_hand(stage: Stage, error: StackError) -> str:
    """What is left to a person when an undo fails."""
    return stage.mask.text("%s %s" % (error.message, error.details.get("fix", ""))).strip()


def undo_step(stage: Stage, journal: BaseJournal, number: int) -> None:
    """Take one step of a run back by its record; a StackError says what is to be done by hand."""
    acting = journal.last("acting", number)
    if acting is None:
        return
    if acting.get("undo") is None:
        raise StackError("step %d (%s on %s) cannot be taken back" % (number, acting["remedy"], acting["component"]), kind="not_undone")
    # Who died before it could note that it had acted may have done nothing yet; what stands there may be somebody else's same cure.
    unsure = {"unsure": True} if acting["undo"] and journal.last("acted", number) is None else {}
    with journal.taking_back(number):
        stage.renew()
        remedy_of(acting["remedy"], stage.platform.name).undo(stage, {**acting["undo"], **unsure})


def _entry(step: Step) -> dict[str, Any]:
    """The beginning of a step's entry in a record."""
    return {"number": step.number, "remedy": step.remedy, "component": step.component, "finding": step.finding}


def key_of(finding: Finding) -> str:
    """As the diagnosis names a finding, without the number of a second one of its kind."""
    return "%s@%s" % (finding.id, finding.component) + (">" + finding.about if finding.about else "")


def still_there(keys: Iterable[str], findings: Iterable[Finding], unseen: Iterable[Unseen]) -> str:
    """Which of these findings are left or cannot be looked for, in words; "" when all are gone."""
    there = {key_of(finding) for finding in findings if finding.severity != "info"}
    hidden = {"%s@%s" % (one.id, one.component): one.reason for one in unseen}
    for key in keys:
        bare = key.split("#")[0]
        if bare in there:
            return "%s is still there" % bare
        if bare.split(">")[0] in hidden:
            return "%s cannot be looked for: %s" % (bare, hidden[bare.split(">")[0]])
    return ""


def graver(before: set[str], findings: Iterable[Finding]) -> str:
    """What is critical now and was not before, in words."""
    new = sorted({key_of(finding) for finding in findings if finding.severity == CRITICAL} - before)
    return "new since the cure: %s" % ", ".join(new) if new else ""
