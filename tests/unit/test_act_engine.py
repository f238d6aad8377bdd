# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The engine of acting with remedies that only pretend: what is recorded before what, what is taken back, what is refused."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest
from fake_cluster import FakeCluster

from ansible_collections.aiops.runbook.plugins.module_utils.act import engine
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import DESTRUCTIVE, SAFE, Preview, Refused
from ansible_collections.aiops.runbook.plugins.module_utils.act.records import BaseJournal, Journal, Records
from ansible_collections.aiops.runbook.plugins.module_utils.act.records_cluster import ClusterRecords
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, INFO, Finding, StackError, Unseen
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

ILL = Finding("redis.memory_full", "redis", CRITICAL)
KEY = "redis.memory_full@redis"


class Pretender:
    """Sets stage.world[component] to True. log: what was called, with the journal's last event at that moment."""

    name = "pretend"

    def __init__(self, stage, risk=SAFE, undoable=True, cures=True, fails="") -> None:
        self.stage, self.risk, self.undoable, self.cures, self.fails = stage, risk, undoable, cures, fails
        self.log = []

    def preview(self, stage, step):
        done = stage.world.get(step.component, False)
        if step.params.get("refuse"):
            raise Refused("not here", fix="elsewhere")
        return Preview(self.risk, target={"id": stage.identity}, state=done, diff=[{"what": step.component, "before": str(done), "after": "True"}],
                       undo={"component": step.component} if self.undoable else None, touches=[step.component], changed=done is not True)  # fmt: skip

    def evidence(self, stage, step, preview):
        return {"log": ["last words"]}

    def _note(self, what):
        journal = self.stage.records.runs()[-1]
        self.log.append((what, journal.entries[-1]["event"]))

    def apply(self, stage, step, preview):
        self._note("apply")
        assert "evidence-%d.json" % step.number in stage.kept()
        if self.fails == "apply":
            stage.world[step.component] = "half"
            raise StackError("it broke in the middle")
        stage.world[step.component] = True
        if self.cures:
            stage.findings = [one for one in stage.findings if one.component != step.component]

    def verify(self, stage, step, preview):
        return "it did not come about" if self.fails == "verify" else ""

    def undo(self, stage, record):
        self._note("undo")
        if not record:
            return
        if self.fails == "undo":
            raise StackError("it cannot be put back", fix="docker start it")
        stage.world.pop(record["component"], None)


class FakeStage:
    """A stack whose whole state is `world` and `findings`; looks: findings for each further look, the last one stays."""

    def __init__(self, folder, findings=()) -> None:
        self.world, self.findings, self.unseen, self.looks, self.identity = {}, list(findings), [], [], "one"
        self.records, self.mask, self.params = Records(str(folder), "shop"), Mask(), {}
        self.platform = SimpleNamespace(name="compose", project="shop")

    def kept(self):
        """What lies beside the last run's journal."""
        journal = self.records.runs()[-1]
        if isinstance(self.records, ClusterRecords):
            secret = self.records.cluster.objects[self.records.secret_path(journal.name)]
            return [name.replace(".gz", "") for name in secret["data"]]
        return os.listdir(journal.folder)

    def renew(self):
        return None

    def coming_back(self, findings, used, since):
        return []

    def gave_up(self, findings, used, since):
        return [one for one in findings if one.component == "worker" and one.evidence.get("state") == "exited" and used and since]

    def token(self, value):
        return json.dumps(value, sort_keys=True)

    def judge(self):
        if self.looks:
            self.findings = self.looks.pop(0)
        return {}, list(self.findings), list(self.unseen)

    def wait(self, problem, seconds, pause=0.5):
        return problem() and problem() and problem()


@pytest.fixture(params=["host", "cluster"])
def stage(request, tmp_path):
    """With the records of a host, or with those of a cluster: the engine does not see the difference."""
    found = FakeStage(tmp_path, [ILL])
    if request.param == "cluster":
        found.records = ClusterRecords(FakeCluster(), "shop")
    return found


@pytest.fixture
def use(monkeypatch, stage):
    """Let every step be this pretender's; no pause."""
    clock = [0.0]
    monkeypatch.setattr(engine.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    monkeypatch.setattr(engine.time, "monotonic", lambda: clock[0])

    def choose(**options):
        remedy = Pretender(stage, **options)
        monkeypatch.setattr(engine, "remedy_of", lambda _name, _platform: remedy)
        return remedy

    return choose


def entries(stage, *components, finding=KEY):
    wanted = [{"remedy": "pretend", "component": name, "finding": finding, "number": number} for number, name in enumerate(components, 1)]
    for entry, answer in zip(wanted, engine.preview_steps(stage, wanted), strict=True):
        entry["token"] = answer["token"]
    return wanted


def apply(stage, wanted, **plan):
    return engine.Run(stage, {"by": "kim"}, 0.0).apply({"digest": json.dumps(wanted), **plan}, wanted)


def events(stage, run=-1):
    return [entry["event"] for entry in stage.records.runs()[run].entries]


def test_everything_is_recorded_before_it_happens(stage, use) -> None:
    remedy = use()
    record = apply(stage, entries(stage, "redis"))
    assert (record["result"], record["steps"][0]["result"], record["changed"]) == ("held", "cured", True)
    assert remedy.log == [("apply", "acting")]
    assert events(stage) == ["begin", "acting", "acted", "cured", "end"]
    journal = stage.records.runs()[-1]
    assert journal.last("acting")["undo"] == {"component": "redis"} and journal.begin["by"] == "kim"
    if isinstance(stage.records, Records):
        assert [oct(os.stat(os.path.join(journal.folder, name)).st_mode & 0o777) for name in stage.kept()] == ["0o600"] * 2


def test_a_second_run_changes_nothing_and_leaves_no_record(stage, use) -> None:
    use()
    apply(stage, entries(stage, "redis"))
    record = apply(stage, entries(stage, "redis"))
    assert (record["result"], record["changed"], len(stage.records.runs())) == ("unchanged", False, 1)


@pytest.mark.parametrize(
    ("options", "result", "world"),
    [
        ({"fails": "apply"}, "undone", {}),
        ({"fails": "verify"}, "undone", {}),
        ({"cures": False}, "undone", {}),
        ({"fails": "verify", "undoable": False}, "failed", {"redis": True}),
    ],
)
def test_what_fails_is_taken_back(stage, use, options, result, world) -> None:
    use(**options)
    record = apply(stage, entries(stage, "redis"))
    assert (record["result"], record["steps"][0]["result"], stage.world) == ("failed", result, world)
    assert record["steps"][0]["undone"] is (result == "undone")


def test_an_undo_that_fails_is_loud_and_says_what_to_do(stage, use, monkeypatch) -> None:
    remedy = use(fails="verify")
    monkeypatch.setattr(remedy, "undo", lambda _stage, _record: (one for one in ()).throw(StackError("it cannot be put back", fix="docker start redis")))
    record = apply(stage, entries(stage, "redis"))
    assert record["steps"][0]["result"] == "failed" and record["steps"][0]["by_hand"] == "it cannot be put back docker start redis"


def test_a_failed_step_stops_the_next(stage, use) -> None:
    use(fails="verify")
    record = apply(stage, entries(stage, "redis", "api"))
    assert [step["number"] for step in record["steps"]] == [1]


def test_what_comes_back_while_it_is_held_is_taken_back(stage, use) -> None:
    use()
    wanted = entries(stage, "redis")
    stage.looks = [[ILL], [], [ILL], [ILL], [ILL]]  # before, cured, and then three looks in a row
    record = apply(stage, wanted)
    assert (record["result"], record["steps"][0]["result"], stage.world) == ("failed", "undone", {})
    assert "is still there" in record["steps"][0]["error"]


def test_a_passing_moment_breaks_no_hold(stage, use) -> None:
    use()
    wanted = entries(stage, "redis")
    stage.looks = [[ILL], [], [ILL], []]
    assert apply(stage, wanted)["result"] == "held"


def test_a_graver_illness_after_the_cure_takes_it_back(stage, use) -> None:
    use()
    wanted = entries(stage, "redis")
    worse = [Finding("http.unreachable", "api", CRITICAL)]
    stage.looks = [[ILL], [], worse]
    record = apply(stage, wanted)
    assert record["result"] == "failed" and "http.unreachable@api" in record["steps"][0]["error"]


def test_what_the_illness_left_behind_does_not_speak_against_the_cure(stage, use) -> None:
    use()
    wanted = entries(stage, "redis")
    worse = [Finding("container.crashed", "worker", CRITICAL)]
    stage.looks = [[ILL], [], *[worse] * 10, []]
    assert apply(stage, wanted)["result"] == "held"


def test_what_the_illness_has_ended_is_started_once(stage, use) -> None:
    remedy = use()
    wanted = entries(stage, "redis")
    fallen = Finding("container.not_running", "worker", CRITICAL, {"state": "exited"})
    stage.looks = [[ILL], [], [fallen], []]
    record = apply(stage, wanted)
    assert (record["result"], [(step["component"], step["remedy"], step["result"]) for step in record["steps"]]) == (
        "held",
        [("redis", "pretend", "cured"), ("worker", "component_start", "cured")],
    )
    assert [what for what, _event in remedy.log] == ["apply", "apply"] and stage.world == {"redis": True, "worker": True}
    # When the plan was made it ran: nothing of it is to be put back.
    assert record["steps"][1]["can_undo"] is False
    assert engine.Run(stage, {"by": "kim"}, 0.0).undo(None)["result"] == "undone" and [what for what, _event in remedy.log][2:] == ["undo", "undo"]


def test_what_ends_again_after_its_start_speaks_against_the_cure(stage, use) -> None:
    use()
    wanted = entries(stage, "redis")
    fallen = [Finding("container.not_running", "worker", CRITICAL, {"state": "exited"})]
    stage.looks = [[ILL], [], fallen, [], fallen]
    record = apply(stage, wanted)
    assert record["result"] == "failed" and "container.not_running@worker" in record["steps"][0]["error"]


def test_nothing_to_put_back_is_no_undo(stage, use, monkeypatch) -> None:
    remedy = use()
    real = remedy.preview
    monkeypatch.setattr(remedy, "preview", lambda *words: replace(real(*words), undo={}))
    monkeypatch.setattr(remedy, "undo", lambda _stage, record: record)
    assert apply(stage, entries(stage, "redis"))["steps"][0]["can_undo"] is False
    assert engine.Run(stage, {"by": "kim"}, 0.0).undo(None)["result"] == "unchanged"


def test_not_to_be_able_to_look_is_no_cure(stage, use) -> None:
    use()
    stage.unseen = [Unseen("redis.memory_full", "redis", "nobody answers")]
    assert "cannot be looked for: nobody answers" in apply(stage, entries(stage, "redis"))["steps"][0]["error"]


def test_a_changed_state_is_refused_before_anything_is_done(stage, use) -> None:
    remedy = use()
    wanted = entries(stage, "redis", "api")
    stage.world["api"] = "other"
    with pytest.raises(StackError) as caught:
        apply(stage, wanted)
    assert caught.value.kind == "stale" and "step 2" in caught.value.message
    assert remedy.log == [] and stage.records.runs() == []


def test_what_is_to_be_written_down_elsewhere_is_told_without_secrets(stage, use, monkeypatch) -> None:
    remedy = use()
    look = remedy.preview
    monkeypatch.setattr(remedy, "preview", lambda stage, step: replace(look(stage, step), lasting=["probe: redis-cli -a hunter22 ping"]))
    stage.mask.learn("hunter22")
    (answer,) = engine.preview_steps(stage, [{"remedy": "pretend", "component": "redis", "number": 1}])
    assert answer["preview"]["lasting"] == ["probe: redis-cli -a *** ping"]


def test_a_later_step_meets_what_the_plan_has_shown(stage, use, monkeypatch) -> None:
    """Somebody replaces what the second step acts on while the first one works."""
    remedy = use()
    stage.findings = []
    wanted, act = entries(stage, "redis", "api", finding=""), remedy.apply

    def meanwhile(stage, step, preview):
        act(stage, step, preview)
        stage.identity = "two"

    monkeypatch.setattr(remedy, "apply", meanwhile)
    record = apply(stage, wanted)
    assert [one["result"] for one in record["steps"]] == ["done", "failed"] and stage.world == {"redis": True}
    assert "somebody else has changed meanwhile" in record["steps"][1]["error"]


def test_a_replaced_target_is_refused(stage, use) -> None:
    use()
    wanted = entries(stage, "redis")
    stage.identity = "another container of that name"
    with pytest.raises(StackError, match="not as it was"):
        apply(stage, wanted)


def test_a_step_that_must_not_be_done_is_refused(stage, use) -> None:
    use()
    wanted = entries(stage, "redis")
    wanted[0]["params"] = {"refuse": True}
    with pytest.raises(Refused, match="not here"):
        apply(stage, wanted)


def test_data_is_not_touched_without_a_backup(stage, use) -> None:
    use(risk=DESTRUCTIVE)
    with pytest.raises(Refused, match="backup"):
        apply(stage, entries(stage, "redis"))
    assert apply(stage, entries(stage, "redis"), backup_waiver="a test")["result"] == "held"
    assert stage.records.runs()[-1].begin["backup_waiver"] == "a test"


def test_a_day_has_its_share_of_cures_by_themselves(stage, use) -> None:
    use()
    limit = {"mode": "auto", "auto_most_per_day": 1}
    assert apply(stage, entries(stage, "redis"), **limit)["result"] == "held"
    with pytest.raises(Refused) as caught:
        apply(stage, entries(stage, "api"), **limit)
    assert caught.value.kind == "capped"
    assert apply(stage, entries(stage, "api"))["result"] == "held", "an approved plan is no cure by itself"


def test_the_lease_is_held_by_one(stage, use) -> None:
    use()
    wanted = entries(stage, "redis")
    with stage.records.lease({"by": "lee", "run": "xyz"}):
        with pytest.raises(StackError, match="lee is at work on this stack since") as caught:
            apply(stage, wanted)
        assert caught.value.kind == "leased" and stage.records.lease_holder()["by"] == "lee"
    assert stage.records.lease_holder() is None
    assert apply(stage, wanted)["result"] == "held"


# Killed at any step.

WORSE = Finding("http.unreachable", "redis", CRITICAL)
ELSEWHERE = Finding("http.unreachable", "api", CRITICAL)
# events of the run until it was killed (of step 1, where no other is named), what the stack has then, what becomes of the run, and of the world
KILLED = {
    "before anything": (["begin"], [ILL], "unchanged", {}),
    "before it acted": (["begin", "acting"], [ILL], "undone", {}),
    "having acted, not verified": (["begin", "acting", "acted"], [], "undone", {}),
    "cured, in its hold": (["begin", "acting", "acted", "cured"], [], "held", {"redis": True}),
    "cured, and the cure no longer holds": (["begin", "acting", "acted", "cured"], [ILL], "undone", {}),
    "cured, and what it acted on is worse off": (["begin", "acting", "acted", "cured"], [WORSE], "undone", {}),
    "cured, and something else has broken since": (["begin", "acting", "acted", "cured"], [ELSEWHERE], "held", {"redis": True}),
    "done, in its hold": (["begin", "acting", "acted", "done"], [], "held", {"redis": True}),
    "done, and what it was for is there": (["begin", "acting", "acted", "done"], [ILL], "undone", {}),
    "between two steps": (["begin 2", "acting", "acted", "cured"], [], "partly held", {"redis": True}),
    "between two steps, and the first no longer holds": (["begin 2", "acting", "acted", "cured"], [ILL], "undone", {}),
    "in the second step": (["begin 2", "acting", "acted", "cured", "acting 2"], [], "partly held", {"redis": True}),
    "the second one taken back, in the hold of the first": (
        ["begin 2", "acting", "acted", "cured", "acting 2", "undoing 2", "undone 2"],
        [],
        "partly held",
        {"redis": True},
    ),
    "the second one unchanged": (["begin 2", "acting", "acted", "cured", "unchanged 2"], [], "held", {"redis": True}),
    "while undoing": (["begin", "acting", "acted", "undoing"], [], "undone", {}),
    "while undoing what had been cured": (["begin", "acting", "acted", "cured", "undoing"], [], "undone", {}),
    "while taking all of it back after the hold": (
        ["begin 2", "acting", "acted", "cured", "acting 2", "acted 2", "cured 2", "not-held", "undoing 2", "undone 2"],
        [],
        "undone",
        {},
    ),
    "while a person takes it back": (["begin", "acting", "acted", "cured", "end", "undo", "undoing"], [], "undone", {}),
    "as a person begins to take it back": (["begin", "acting", "acted", "cured", "end", "undo"], [], "undone", {}),
}


@pytest.mark.parametrize("case", KILLED)
def test_what_becomes_of_a_run_that_was_killed(stage, use, case) -> None:
    """By the next run, which then does what was asked of it; and a further one finds nothing left to settle."""
    use(cures=False)
    told, findings, result, world = KILLED[case]
    broken_off(stage, told)
    (journal,) = stage.records.runs()
    assert [one["run"] for one in stage.records.at_work()["unfinished"]] == [journal.name], "it is told of"
    stage.findings = findings
    record = apply(stage, entries(stage, "clock", finding=""))
    assert [(one["result"], one["by"]) for one in record["settled"]] == [(result, "old")]
    assert (record["result"], stage.world) == ("held", {**world, "clock": True})
    settled = stage.records.run(journal.name)
    assert settled.last("end")["result"] == result and not settled.died
    assert sorted(settled.open_steps()) == ([1] if world else [])
    assert stage.records.unfinished() == [] and apply(stage, entries(stage, "bell", finding=""))["settled"] == []


@pytest.mark.parametrize("case", [case for case in KILLED if case != "before anything"])
def test_a_person_takes_back_what_was_killed(stage, use, case) -> None:
    use()
    broken_off(stage, KILLED[case][0])
    record = engine.Run(stage, {"by": "kim"}, 0.0).undo(None)
    assert (record["result"], stage.world, stage.records.unfinished()) == ("undone", {}, [])
    assert {tuple(line.values()) for step in record["steps"] for line in step["diff"]} >= {("redis", "True", "False")}


@pytest.mark.parametrize(("told", "unsure"), [(["begin", "acting"], True), (["begin", "acting", "acted"], False)])
def test_who_takes_back_is_told_whether_it_was_done(stage, use, monkeypatch, told, unsure) -> None:
    """A run that died before it could note that it had acted may have done nothing: a person may have done the same."""
    remedy, given = use(), []
    broken_off(stage, told)
    monkeypatch.setattr(remedy, "undo", lambda _stage, record: given.append(record))
    engine.Run(stage, {"by": "kim"}, 0.0).undo(None)
    assert given == [{"component": "redis", **({"unsure": True} if unsure else {})}]


@pytest.mark.parametrize(("kind", "unsure"), [("not_verified", False), ("timeout", True)])
def test_what_has_come_about_and_is_not_well_was_done(stage, use, monkeypatch, kind, unsure) -> None:
    remedy, given = use(), []

    def fail(*_words):
        raise StackError("it broke", kind=kind)

    monkeypatch.setattr(remedy, "apply", fail)
    monkeypatch.setattr(remedy, "undo", lambda _stage, record: given.append("unsure" in record))
    apply(stage, entries(stage, "redis"))
    assert given == [unsure] and ("acted" in events(stage)) is not unsure


def test_killed_again_while_it_is_settled(stage, use, monkeypatch) -> None:
    remedy = use()
    broken_off(stage, ["begin 2", "acting", "acted", "acting 2", "acted 2"])

    class Killed(BaseException):
        pass

    real = remedy.undo

    def kill(given, record):
        if record["component"] == "redis":
            raise Killed
        real(given, record)

    monkeypatch.setattr(remedy, "undo", kill)
    with pytest.raises(Killed):
        apply(stage, entries(stage, "clock", finding=""))
    assert stage.world == {"redis": True}
    monkeypatch.setattr(remedy, "undo", real)
    record = apply(stage, entries(stage, "clock", finding=""))
    assert record["settled"][0]["result"] == "undone" and stage.world == {"clock": True}


def test_a_run_that_was_killed_between_two_steps_can_be_applied_again(stage, use) -> None:
    """What it had done is kept and unchanged; only what was left is done."""
    remedy = use()
    wanted = entries(stage, "redis", "api", finding="")
    broken_off(stage, ["begin 2", "acting", "acted", "done"], plan=json.dumps(wanted))
    stage.findings = []
    record = apply(stage, wanted)
    assert (record["result"], [step["result"] for step in record["steps"]]) == ("held", ["unchanged", "done"])
    assert [what for what, _event in remedy.log] == ["apply"] and stage.world == {"redis": True, "api": True}


def test_a_plan_made_before_the_run_that_died_is_still_good_when_that_is_taken_back(stage, use) -> None:
    use()
    wanted = entries(stage, "redis")
    broken_off(stage, ["begin", "acting"])
    assert apply(stage, wanted)["result"] == "held"


def test_a_passing_moment_takes_back_no_cure_of_a_run_that_was_killed(stage, use) -> None:
    use(cures=False)
    broken_off(stage, ["begin", "acting", "acted", "cured"])
    stage.looks = [[ILL], [], []]
    assert apply(stage, entries(stage, "clock", finding=""))["settled"][0]["result"] == "held"


def test_what_was_settled_is_told_also_by_a_run_that_is_refused(stage, use) -> None:
    use()
    broken_off(stage, ["begin", "acting", "acted"])
    wanted = entries(stage, "clock", finding="")
    wanted[0]["params"] = {"refuse": True}
    with pytest.raises(StackError, match="a run had died in the middle") as caught:
        apply(stage, wanted)
    assert [one["result"] for one in caught.value.details["settled"]] == ["undone"]


def test_what_cannot_be_taken_back_stops_the_next_run_once(stage, use) -> None:
    use(fails="undo")
    broken_off(stage, ["begin", "acting", "acted"])
    wanted = entries(stage, "clock", finding="")
    with pytest.raises(StackError, match="cannot be taken back: it cannot be put back docker start it") as caught:
        apply(stage, wanted)
    assert caught.value.kind == "unfinished" and stage.world == {"redis": True}
    assert apply(stage, wanted)["result"] == "held"


def broken_off(stage, told, plan="old plan"):
    """The journal of a run that was killed, and the world as it left it."""
    with stage.records.lease({"by": "old"}):
        journal = stage.records.new_run()
        for word in told:
            event, number = (*word.split(), "1")[:2]
            step, component = int(number), {"1": "redis", "2": "api"}[number]
            about = {"step": step, "finding": KEY if step == 1 else ""}
            if event == "begin":
                about = {"by": "old", "plan": plan, "steps": [{"number": one + 1} for one in range(step)], "before": [KEY]}
            elif event == "acting":
                diff = [{"what": component, "before": "False", "after": "True"}]
                about.update(remedy="pretend", component=component, undo={"component": component}, diff=diff)
                stage.world[component] = True
            elif event == "undone":
                stage.world.pop(component)
            elif event == "end":
                about = {"result": "held"}
            journal.write(event.replace("-", " "), **about)


# A later step fails.


@pytest.mark.parametrize(
    ("looks", "results", "world"),
    [
        ([], ["cured", "undone"], {"redis": True}),
        ([[ILL], [], [ILL], [ILL], [ILL]], ["undone", "undone"], {}),
        ([[ILL], [], [ELSEWHERE]], ["undone", "undone"], {}),
    ],
    ids=["what was cured before it stays", "unless it does not hold", "or something graver has come"],
)
def test_what_becomes_of_the_steps_before_one_that_fails(stage, use, monkeypatch, looks, results, world) -> None:
    remedy = use()
    wanted = entries(stage, "redis", "api", "clock")
    for entry in wanted[1:]:
        entry["finding"] = ""
    stage.looks = list(looks)
    monkeypatch.setattr(remedy, "verify", lambda _stage, step, _preview: "it did not come about" if step.number == 2 else "")
    record = apply(stage, wanted)
    assert (record["result"], [step["result"] for step in record["steps"]], stage.world) == ("failed", results, world)
    assert record["steps"][1]["error"] == "it did not come about" and record["steps"][0].get("undone", False) is not bool(world)
    end = stage.records.runs()[-1].last("end")
    assert end["result"] == "failed" and [step["result"] for step in end["steps"]] == results
    # What stays can be taken back, and the plan be applied once more.
    assert engine.Run(stage, {"by": "kim"}, 0.0).undo(None)["result"] == ("undone" if world else "unchanged")
    assert stage.world == {}


def test_what_was_only_done_for_a_finding_that_stays_is_taken_back(stage, use, monkeypatch) -> None:
    """Two steps for the same finding: the first one alone has cured nothing."""
    remedy = use(cures=False)
    wanted = entries(stage, "redis", "api")
    monkeypatch.setattr(remedy, "verify", lambda _stage, step, _preview: "it did not come about" if step.number == 2 else "")
    record = apply(stage, wanted)
    assert [step["result"] for step in record["steps"]] == ["undone", "undone"] and stage.world == {}
    assert "is still there" in record["steps"][0]["error"]


def test_a_stack_that_cannot_be_looked_at_is_not_held(stage, use, monkeypatch) -> None:
    """The engine goes away after the cure: no exception hides what was done."""
    use()
    real, seen = stage.judge, []

    def judge():
        seen.append(1)
        if len(seen) > 2:
            raise StackError("the engine does not answer")
        return real()

    wanted = entries(stage, "redis")
    monkeypatch.setattr(stage, "judge", judge)
    record = apply(stage, wanted)
    assert (record["result"], record["steps"][0]["result"]) == ("failed", "undone")
    assert record["steps"][0]["error"] == "the stack cannot be looked at: the engine does not answer"


def test_what_ended_is_started_with_a_number_of_its_own(stage, use, monkeypatch) -> None:
    """Step 2 has failed, step 3 was never begun: the start is neither."""
    remedy = use()
    wanted = entries(stage, "redis", "api", "clock")
    for entry in wanted[1:]:
        entry["finding"] = ""
    fallen = Finding("container.not_running", "worker", CRITICAL, {"state": "exited"})
    stage.looks = [[ILL], [], [fallen], []]
    monkeypatch.setattr(remedy, "verify", lambda _stage, step, _preview: "no" if step.number == 2 else "")
    record = apply(stage, wanted)
    assert [(step["number"], step["component"]) for step in record["steps"]] == [(1, "redis"), (2, "api"), (4, "worker")]


def test_the_record_carries_the_end_of_the_evidence_and_the_journal_does_not(stage, use, monkeypatch) -> None:
    remedy = use()
    stage.mask.learn("Zx9-secret-value")
    lines = ["line %d with Zx9-secret-value" % number for number in range(50)]
    monkeypatch.setattr(remedy, "evidence", lambda *_words: {"logs": {"redis": lines}})
    record = apply(stage, entries(stage, "redis"))
    (part,) = record["steps"][0]["evidence"]
    assert (part["what"], len(part["lines"]), part["left_out"], part["lines"][-1]) == ("logs of redis", 20, 30, "line 49 with ***")
    assert "evidence" not in stage.records.runs()[-1].last("end")["steps"][0]


def test_an_end_that_cannot_be_recorded_hides_nothing(stage, use, monkeypatch) -> None:
    use()
    real = BaseJournal.write

    def write(journal, event, **facts):
        if event == "end":
            raise StackError("the disk is full")
        real(journal, event, **facts)

    wanted = entries(stage, "redis")
    monkeypatch.setattr(BaseJournal, "write", write)
    record = apply(stage, wanted)
    assert (record["result"], record["steps"][0]["result"]) == ("held", "cured") and "the disk is full" in record["reason"]


# One after another.


def test_who_waits_for_the_lease_meets_the_stack_anew(stage, use, monkeypatch) -> None:
    """Another one does the very same meanwhile: nothing is left to do."""
    remedy = use()
    wanted = entries(stage, "redis")
    met = []
    monkeypatch.setattr(stage, "renew", lambda: met.append(stage.records.lease_holder()["by"]))
    assert apply(stage, wanted)["result"] == "held" and met[0] == "kim"
    wanted[0]["params"] = {"another": "plan"}
    again = engine.Run(stage, {"by": "lee"}, 0.0, lease_wait=5.0).apply({"digest": "another"}, wanted)
    assert (again["result"], again["changed"]) == ("unchanged", False) and met[-1] == "lee"
    assert [what for what, _event in remedy.log] == ["apply"]


def test_steps_are_previewed_as_those_before_them_will_leave_the_stack(stage, use, monkeypatch) -> None:
    remedy = use()
    real, seen = remedy.preview, []

    def preview(given, step):
        seen.append((step.number, [before.number for before, _preview in given.coming]))
        return real(given, step)

    monkeypatch.setattr(remedy, "preview", preview)
    wanted = entries(stage, "redis", "api", finding="")
    assert seen == [(1, []), (2, [1])]
    seen.clear()
    apply(stage, wanted)
    # All of them before the first step; the second one once more when the first is done, and then nothing is to come.
    assert seen == [(1, []), (2, [1]), (2, [])]


def test_the_same_plan_again_changes_nothing_even_where_it_could_be_done_again(stage, use, monkeypatch) -> None:
    remedy = use()
    wanted = entries(stage, "redis")
    first = apply(stage, wanted)
    stage.world = {}  # as a restart, that can be done any number of times
    record = apply(stage, wanted)
    assert (record["result"], record["changed"], record["run"]) == ("unchanged", False, first["run"])
    assert [what for what, _event in remedy.log] == ["apply"]


def test_undo_takes_back_the_last_run_or_a_named_one(stage, use) -> None:
    use()
    stage.findings = []
    first = apply(stage, entries(stage, "redis", finding=""))["run"]
    apply(stage, entries(stage, "api", finding=""))
    run = engine.Run(stage, {"by": "kim"}, 0.0)
    assert run.undo(first)["result"] == "undone" and stage.world == {"api": True}
    assert run.undo(None)["result"] == "undone" and stage.world == {}
    assert run.undo(None) == {"result": "unchanged", "run": None, "records": None, "steps": [], "changed": False}
    with pytest.raises(StackError, match="no record of a run"):
        run.undo("20200101T000000Z-ffff")


def test_check_mode_says_what_undo_would_do(stage, use) -> None:
    remedy = use()
    stage.findings = []
    run = engine.Run(stage, {"by": "kim"}, 0.0)
    assert run.would_undo() == run.undo() == engine.NOTHING_TO_UNDO
    name = apply(stage, entries(stage, "redis", finding=""))["run"]
    record = run.would_undo()
    assert (record["result"], record["run"], record["changed"], stage.world) == ("unchanged", name, True, {"redis": True})
    assert [(step["number"], step["component"], step["result"], step["diff"]) for step in record["steps"]] == [
        (1, "redis", "would be done", [{"what": "redis", "before": "True", "after": "False"}])
    ]
    assert [what for what, _event in remedy.log] == ["apply"] and events(stage)[-1] == "end"
    assert run.undo()["result"] == "undone" and run.would_undo()["changed"] is False


@pytest.mark.parametrize("stage", ["host"], indirect=True)
def test_nothing_is_done_when_the_record_cannot_be_written(stage, use, monkeypatch) -> None:
    remedy = use()
    wanted = entries(stage, "redis")
    real = os.write

    def full(handle, data):
        if b'"acting"' in data:
            return real(handle, data[:20])
        return real(handle, data)

    monkeypatch.setattr("os.write", full)
    record = apply(stage, wanted)
    assert "nothing is done that is not recorded first" in record["steps"][0]["error"]
    assert remedy.log == [] and stage.world == {}


@pytest.mark.parametrize("stage", ["cluster"], indirect=True)
@pytest.mark.parametrize("how", ["denied", "taken"])
def test_nothing_is_done_when_the_cluster_does_not_take_the_record(stage, use, monkeypatch, how) -> None:
    """Of two steps, the second is not begun, and nothing is taken back: the next run finds the first in the journal."""
    remedy = use()
    wanted = entries(stage, "redis", "api", finding="")
    cluster, real = stage.records.cluster, remedy.evidence

    def evidence(_stage, step, preview):
        if step.number == 2 and how == "denied":
            cluster.denied.add("patch secrets")
        elif step.number == 2:  # it stood still for so long that another one is at work
            cluster.ahead += 61
            other = ClusterRecords(cluster, "shop").lease({"by": "lee"})
            stage.records.held._renewed -= 61
            assert other.index
        return real(_stage, step, preview)

    monkeypatch.setattr(remedy, "evidence", evidence)
    record = apply(stage, wanted)
    assert (record["result"], [step["result"] for step in record["steps"]]) == ("failed", ["done", "failed"])
    words = "nothing is done that is not recorded first" if how == "denied" else "nothing more is done"
    assert words in record["steps"][1]["error"] and words in record["reason"]
    assert stage.world == {"redis": True} and [what for what, _event in remedy.log] == ["apply"]
    (journal,) = stage.records.runs()
    assert (journal.died, journal.open_steps()) == (True, [1])


def test_half_a_line_does_not_hide_the_lines_after_it(tmp_path, monkeypatch) -> None:
    journal = Records(str(tmp_path), "shop").new_run()
    journal.write("begin")
    real = os.write
    monkeypatch.setattr("os.write", lambda handle, data: real(handle, data[:10]))
    with pytest.raises(StackError):
        journal.write("acting", step=1)
    monkeypatch.undo()
    journal.write("end")
    assert [entry["event"] for entry in Journal(journal.folder).entries] == ["begin", "end"]


@pytest.mark.parametrize(
    ("keys", "findings", "unseen", "said"),
    [
        ([KEY], [ILL], [], KEY + " is still there"),
        ([KEY + "#2"], [ILL], [], KEY + " is still there"),
        ([KEY], [Finding("redis.memory_full", "redis", INFO)], [], ""),
        ([KEY], [Finding("redis.memory_full", "cache", CRITICAL)], [], ""),
        (["config.wrong_port@api>db"], [Finding("config.wrong_port", "api", CRITICAL, about="db")], [], "config.wrong_port@api>db is still there"),
        (["config.wrong_port@api>db"], [], [Unseen("config.wrong_port", "api", "why")], "config.wrong_port@api>db cannot be looked for: why"),
        ([], [ILL], [], ""),
    ],
)
def test_still_there(keys, findings, unseen, said) -> None:
    assert engine.still_there(keys, findings, unseen) == said
