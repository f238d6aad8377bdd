# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A component's networks, its log level, what its modules return, and what is put back by itself."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.act import later
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused
from ansible_collections.aiops.runbook.plugins.module_utils.act.door import together
from ansible_collections.aiops.runbook.plugins.module_utils.act.module import outcome
from ansible_collections.aiops.runbook.plugins.module_utils.act.records import Records
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.component import last_lines, needed_by
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.loglevel import level_like, switch_like, wanted_settings
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.network import aliases, seats
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Instance
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

DOCUMENT = {
    "networks": {"default": {"name": "shop_default"}, "back": {"name": "company-backbone", "external": True}},
    "services": {
        "api": {"networks": {"default": None, "back": {"aliases": ["shop-api"], "ipv4_address": "10.9.0.5", "priority": 5}}},
        "lonely": {"network_mode": "none"},
    },
}


def test_evidence_holds_no_literal_of_a_statement():
    lines = ["2026-11-22T20:00:01Z [7] STATEMENT:  SELECT 'dear bob,", "2026-11-22T20:00:02Z \tmy PIN is hunter-two', x"]

    def logs(one, _since, _tail):
        if one.name == "db-2":
            raise StackError("postgres://u:hunter-two@db is gone")
        return lines

    copies = [Instance(id=name, name=name, state="running") for name in ("db-1", "db-2")]
    stage = SimpleNamespace(instances=lambda _name: copies, platform=SimpleNamespace(logs=logs), mask=Mask())
    assert last_lines(stage, "db") == [
        "2026-11-22T20:00:01Z [7] STATEMENT:  SELECT ?",
        "2026-11-22T20:00:02Z \t?, x",
        "(the log of db-2 cannot be read: postgres://u:***@db is gone)",
    ]


def test_seats():
    assert seats(DOCUMENT, "shop", "api") == {
        "shop_default": {"name": "default", "aliases": [], "fixed": {}},
        "company-backbone": {"name": "back", "aliases": ["shop-api"], "fixed": {"ipv4_address": "10.9.0.5"}},
    }
    assert seats(DOCUMENT, "shop", "lonely") == {} == seats(DOCUMENT, "shop", "unknown")


def test_names_on_a_network_are_those_of_compose():
    assert aliases(Instance("1", "shop-api-2", "running"), "api", {"aliases": ["shop-api", "api"]}) == ["shop-api-2", "api", "shop-api"]


LEVELS = [
    ({"LOG_LEVEL": "INFO"}, {"level": "debug"}, {"LOG_LEVEL": "DEBUG"}),
    ({"LOG_LEVEL": "info"}, {"level": "DEBUG"}, {"LOG_LEVEL": "debug"}),
    ({"LOG_LEVEL": "Info"}, {"level": "WARNING"}, {"LOG_LEVEL": "Warning"}),
    ({"LOG_LEVEL": "20"}, {"level": "DEBUG"}, {"LOG_LEVEL": "10"}),
    ({"LOG_LEVEL": ""}, {"level": "DEBUG"}, {"LOG_LEVEL": "DEBUG"}),
    ({"SHOP_LOG_LEVEL": "INFO"}, {"level": "DEBUG"}, {"SHOP_LOG_LEVEL": "DEBUG"}),
    ({"loglevel": "info"}, {"level": "DEBUG"}, {"loglevel": "debug"}),
    ({"LOG_LEVEL": "INFO", "SQL_LOG_LEVEL": "INFO"}, {"level": "DEBUG"}, {"LOG_LEVEL": "DEBUG"}),
    ({"LOG_LEVEL": "INFO", "DEBUG": "0"}, {"level": "DEBUG", "debug": True}, {"LOG_LEVEL": "DEBUG", "DEBUG": "1"}),
    ({"APP_DEBUG": "True"}, {"debug": False}, {"APP_DEBUG": "False"}),
    ({"DEBUG": ""}, {"debug": True}, {"DEBUG": "true"}),
]


@pytest.mark.parametrize(("environment", "params", "wanted"), LEVELS)
def test_the_variable_is_the_programs_own(environment, params, wanted):
    assert wanted_settings(environment, "api", params) == wanted


@pytest.mark.parametrize(
    ("environment", "params", "kind", "words"),
    [
        ({"LEVEL": "INFO", "DEBUGGER": "x"}, {"level": "DEBUG"}, "code", "needs a change in the code"),
        ({"LOG_LEVEL": "INFO"}, {"debug": True}, "code", "needs a change in the code"),
        ({"A_LOG_LEVEL": "INFO", "B_LOG_LEVEL": "INFO"}, {"level": "DEBUG"}, "not_done", "A_LOG_LEVEL, B_LOG_LEVEL"),
        ({"LOG_LEVEL": "INFO"}, {"level": "LOUD"}, "bad_option", "no level"),
        ({"LOG_LEVEL": "INFO"}, {}, "bad_option", "nothing says"),
    ],
)
def test_no_variable_is_invented(environment, params, kind, words):
    with pytest.raises(Refused, match=words) as refused:
        wanted_settings(environment, "api", params)
    assert refused.value.kind == kind
    assert kind != "code" or "os.environ" in refused.value.details["fix"]


def test_written_as_before():
    assert [level_like(present, "ERROR") for present in ("INFO", "info", "Info", "30", "", "$weird")] == ["ERROR", "error", "Error", "40", "ERROR", "error"]
    assert [switch_like(present, True) for present in ("false", "False", "0", "off", "no", "1", "", "?")] == [
        "true",
        "True",
        "1",
        "on",
        "yes",
        "1",
        "true",
        "true",
    ]


PREVIEW = {"risk": "disruptive", "lasting": [], "touches": ["api"], "diff": [{"what": "memory of api", "before": "1", "after": "2"}], "texts": {}}


def record(how: str, **step) -> dict:
    return {"result": how, "run": "r", "records": "/state/r", "changed": True, "steps": [{"number": 1, "diff": PREVIEW["diff"], **step}]}


def test_outcome():
    result, problem = outcome({"changed": True, "preview": PREVIEW}, True)
    assert (result["changed"], result["diff"], problem) == (True, {"before": "memory of api: 1\n", "after": "memory of api: 2\n"}, "")
    assert "record" not in result
    result, problem = outcome({"changed": True, "preview": PREVIEW, "record": record("held", result="done")}, False)
    assert (result["changed"], problem, "diff" in result) == (True, "", False)


@pytest.mark.parametrize(
    ("step", "changed", "words"),
    [
        ({"error": "it is unhealthy", "undone": True}, False, "it is unhealthy. It was taken back: everything is as it was before."),
        ({"error": "it is unhealthy", "undone": False, "by_hand": "docker compose up -d api"}, True, "do that by hand: docker compose up -d api."),
        ({"error": "no right", "undone": False, "fix": "give another account"}, True, "cannot be taken back. give another account."),
    ],
)
def test_a_failed_cure_says_what_is_left_to_do(step, changed, words):
    result, problem = outcome({"changed": True, "preview": PREVIEW, "record": record("failed", result="failed", **step)}, False)
    assert words in problem
    assert problem.endswith("The record is in /state/r.")
    assert result["changed"] is changed


def test_what_was_done_before_a_step_that_failed_stays_and_is_told():
    before = {"number": 1, "remedy": "component_start", "component": "db", "result": "cured", "diff": PREVIEW["diff"]}
    told = record("failed", result="undone", error="it is unhealthy", undone=True)
    told["steps"].insert(0, before)
    result, problem = outcome({"changed": True, "preview": PREVIEW, "record": told}, False)
    assert problem.startswith("it is unhealthy. It was taken back; what was done before it stays: component_start on db.") and result["changed"] is True


# who needs whom; what is needed by api, in order
NEEDS = [
    ({}, []),
    ({"api": ["db"]}, ["db"]),
    ({"api": ["db", "cache"], "cache": ["db"]}, ["db", "cache"]),
    ({"api": ["cache", "db"], "db": ["storage"], "cache": []}, ["cache", "storage", "db"]),
    ({"api": ["worker"], "worker": ["api", "db"]}, ["db", "worker"]),
    ({"api": ["api"]}, []),
    ({"api": ["migrate", "db"], "migrate": ["storage"]}, ["db"]),
    ({"worker": ["db"]}, []),
]


@pytest.mark.parametrize(("uses", "needed"), NEEDS)
def test_what_a_component_needs_in_order(uses, needed):
    names = sorted({"api", *uses, *(name for found in uses.values() for name in found)})
    stage = SimpleNamespace(
        scene=SimpleNamespace(components=[Component(id=name, role="migration" if name == "migrate" else "other") for name in names]),
        uses=lambda user, used: used in uses.get(user, []),
        component=lambda name: name,
    )
    assert needed_by(stage, "api") == needed


def test_steps_that_follow_one_another_are_shown_as_one():
    start = {**PREVIEW, "risk": "safe", "touches": ["db"], "lasting": ["a"], "diff": [{"what": "db"}], "changed": True}
    restart = {**PREVIEW, "risk": "disruptive", "touches": ["api"], "lasting": ["a", "b"], "diff": [{"what": "api"}], "changed": True, "texts": {"x": 1}}
    shown = together([start, restart])
    assert (shown["risk"], shown["touches"], shown["lasting"], shown["diff"]) == ("disruptive", ["db", "api"], ["a", "b"], [{"what": "db"}, {"what": "api"}])
    assert (shown["changed"], shown["texts"], together([restart])) == (True, {"x": 1}, restart)
    assert not together([{**start, "changed": False}, {**restart, "changed": False}])["changed"]


def test_overdue(tmp_path):
    records = Records(str(tmp_path), "shop")
    journal = records.new_run()
    journal.write("begin", by="me")
    assert journal.due == 0
    journal.write("acting", step=1, remedy="stack_env", undo={})
    journal.write("acting", step=2, remedy="log_level", undo={}, until=time.time() - 3600)
    journal.write("end", result="held")
    assert [entry["run"] for entry in records.at_work()["overdue"]] == [journal.name]
    journal.write("undone", step=2)
    assert records.at_work()["overdue"] == []


def test_what_is_not_due_yet_is_not_overdue(tmp_path):
    records = Records(str(tmp_path), "shop")
    journal = records.new_run()
    journal.write("acting", step=1, undo={}, until=time.time() + 60)
    assert records.at_work()["overdue"] == []


def test_who_waits_stops_when_somebody_was_earlier(tmp_path, monkeypatch):
    records = Records(str(tmp_path), "shop")
    journal = records.new_run()
    journal.write("acting", step=1, undo={})
    journal.write("undone", step=1)
    monkeypatch.setattr(later, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(later, "put_back", lambda *_words: pytest.fail("it was taken back already"))
    later.wait_and_put_back({}, records, journal.name, 1, time.time() + 60, print)


def test_who_cannot_put_back_leaves_a_note(tmp_path, monkeypatch):
    records = Records(str(tmp_path), "shop")
    journal = records.new_run()
    journal.write("acting", step=1, undo={}, until=time.time() - 3600)

    def fail(*_words):
        raise Refused("the engine is away")

    monkeypatch.setattr(later, "TRIES", 2)
    monkeypatch.setattr(later, "TRY_SECONDS", 0.0)
    monkeypatch.setattr(later, "put_back", fail)
    later.wait_and_put_back({}, records, journal.name, 1, time.time(), print)
    notes = [entry["error"] for entry in records.run(journal.name).entries if entry["event"] == "not put back"]
    assert notes == ["the engine is away"] * 2
    assert records.at_work()["overdue"]


def test_a_detached_process_keeps_nothing_of_the_task(tmp_path):
    """It has its own session, its output leads nowhere, and the lease is free as soon as the task lets go of it."""
    records = Records(str(tmp_path), "shop")
    told = tmp_path / "told"

    def tell() -> None:
        open_files = {os.readlink("/proc/self/fd/%s" % name) for name in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/%s" % name)}
        told.write_text("%d %d %s" % (os.getpid(), os.getsid(0), sorted(one for one in open_files if one.startswith("/") and one != "/dev/null")))
        time.sleep(5)

    with records.lease({"by": "me"}):
        later._detached(tell)
    assert records.lease_holder() is None
    deadline = time.monotonic() + 10
    while not (told.exists() and told.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    pid, session, open_files = told.read_text().split(" ", 2)
    assert int(session) not in (os.getsid(0), int(pid))
    assert int(pid) != os.getpid()
    assert "lease" not in open_files, open_files
