# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Logs of several containers as one, read on without a line twice; statements and secrets in them."""

from __future__ import annotations

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe import tail as tail_module
from ansible_collections.aiops.runbook.plugins.module_utils.observe.tail import Tail, Wanted, hidden, stamp
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, File, Instance
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask


class Shop:
    """Two components whose lines a test adds; more: what is added at each look, one after the other."""

    def __init__(self, more=()):
        self.said = {"api": ["2026-11-22T20:00:01.5Z one", "2026-11-22T20:00:03Z three"], "db": ["2026-11-22T20:00:02.25Z two"]}
        self.more = list(more)

    def components(self):
        for name, line in self.more[0] if self.more else []:
            self.said[name].append(line)
        self.more = self.more[1:]
        settings = {"api": {"API_KEY": "Zx9-environment", "DATABASE_URL": "postgresql://u:Zx9-of-the-url@db/x"}, "db": {}}
        mounts = {"api": [{"source": "s", "target": "/run/secrets/db_password", "kind": "bind"}], "db": []}
        return [Component(name, [Instance(name + "-1", name + "-1", "running", environment=settings[name], mounts=mounts[name])]) for name in self.said]

    def logs(self, one, since, tail):
        return self.said[one.id[:-2]][-tail:]

    def file(self, _one, _path):
        return File(b"Zx9-in-a-file\n", 0.0)


def said(lines):
    return [entry["line"].split(" ", 1)[1] for entry in lines]


def test_by_time_whichever_the_digits():
    assert said(Tail(Shop(), Mask(), Wanted()).read(0)) == ["one", "two", "three"]
    assert stamp("2026-11-22T20:00:00.1Z a") < stamp("2026-11-22T20:00:00.12Z b") < stamp("2026-11-22T20:00:01Z c")


def test_nothing_twice_and_nothing_lost():
    shop = Shop()
    first = Tail(shop, Mask(), Wanted())
    assert said(first.read(0)) == ["one", "two", "three"] and first.read(0) == []
    # Older than the newest of another container, and not read yet.
    shop.said["db"].append("2026-11-22T20:00:02.5Z late")
    assert said(Tail(shop, Mask(), Wanted(), first.positions).read(0)) == ["late"]


def test_followed(monkeypatch):
    monkeypatch.setattr(tail_module, "PAUSE_SECONDS", 0.01)
    shop = Shop(more=[[], [("api", "2026-11-22T20:00:04Z four")], [], [("db", "2026-11-22T20:00:05Z five")]])
    assert said(Tail(shop, Mask(), Wanted()).follow(0, 0.2)) == ["one", "two", "three", "four", "five"]
    assert said(Tail(Shop(), Mask(), Wanted()).follow(0, 0)) == ["one", "two", "three"]


def test_which_lines():
    assert said(Tail(Shop(), Mask(), Wanted(components=["db"])).read(0)) == ["two"]
    assert said(Tail(Shop(), Mask(), Wanted(contains="thr")).read(0)) == ["three"]
    assert said(Tail(Shop(), Mask(), Wanted(tail=1)).read(0)) == ["two", "three"]
    with pytest.raises(StackError, match="there is no cache; the components are api, db"):
        Tail(Shop(), Mask(), Wanted(components=["cache"])).read(0)


def test_a_log_that_cannot_be_read_is_said_once():
    shop = Shop()

    def refuse(*_asked):
        raise StackError("the log driver none cannot be read back", kind="log_driver")

    shop.logs = refuse
    tail = Tail(shop, Mask(), Wanted(components=["db"]))
    assert tail.read(0) == tail.read(0) == []
    assert tail.told() == [{"component": "db", "instance": "db-1", "reason": "the log driver none cannot be read back"}]


def test_the_stack_s_own_secrets_are_hidden_wherever_they_are_kept():
    shop = Shop()
    shop.said = {"api": ["2026-11-22T20:00:01Z a Zx9-environment b Zx9-of-the-url c Zx9-in-a-file d"]}
    assert said(Tail(shop, Mask(), Wanted()).read(0)) == ["a *** b *** c *** d"]


@pytest.mark.parametrize("tail", [200, 2])
def test_a_literal_that_goes_on_is_hidden_also_between_two_looks(tail):
    lines = [
        "2026-11-22T20:00:01Z [7] STATEMENT:  INSERT INTO notes VALUES ('dear bob,",
        "2026-11-22T20:00:02Z \tmy PIN is hunter-two,",
        "2026-11-22T20:00:03Z \tyours', 3)",
    ]
    shop = Shop()
    shop.said = {"db": lines[:1]}
    first = Tail(shop, Mask(), Wanted(tail=tail))
    assert said(first.read(0)) == ["[7] STATEMENT:  INSERT INTO notes VALUES (?"]
    shop.said["db"].append(lines[1])
    assert said(first.read(0)) == ["\t?"]
    shop.said["db"].append(lines[2])
    # Another run goes on where that one has ended: it sees what was read before, or knows nothing.
    assert said(Tail(shop, Mask(), Wanted(tail=tail), first.positions).read(0)) == ["\t?, ?)" if tail == 200 else "\t?"]


def test_what_is_looked_for_may_stand_in_the_middle_of_a_statement():
    shop = Shop()
    shop.said = {"db": ["2026-11-22T20:00:01Z [7] STATEMENT:  SELECT 'a", "2026-11-22T20:00:02Z \tb', x FROM t"]}
    assert said(Tail(shop, Mask(), Wanted(contains="FROM")).read(0)) == ["\t?, x FROM t"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('T ERROR:  relation "x" does not exist at character 8', None),
        ("T STATEMENT:  SELECT 1 FROM t WHERE name = 'Ann' AND n = 17", "T STATEMENT:  SELECT ? FROM t WHERE name = ? AND n = ?"),
        ("T LOG:  statement: INSERT INTO t VALUES ('Ann', $$x$$) -- Bob", "T LOG:  statement: INSERT INTO t VALUES (?, ?)"),
        ("T LOG:  duration: 3.1 ms  execute <unnamed>: SELECT 'Ann'", "T LOG:  duration: 3.1 ms  execute <unnamed>: SELECT ?"),
        ("T \tWHERE name = 'Ann'", "T \tWHERE name = ?"),
        ("T GET /items?token=abc123 200", "T GET /items?token=*** 200"),
        ("T it's 5 o'clock: no statement", None),
    ],
)
def test_literals_of_statements(line, shown):
    line = line.replace("T", "2026-11-22T20:00:00Z", 1)
    assert hidden([line], Mask()) == [line if shown is None else shown.replace("T", "2026-11-22T20:00:00Z", 1)]


HEAD = "2026-11-22 20:01:36 UTC [7] "
SEVERAL = [
    (
        "a literal",
        [HEAD + "STATEMENT:  INSERT INTO notes VALUES ('dear bob,", "\tmy PIN is hunter-two', 3)"],
        [HEAD + "STATEMENT:  INSERT INTO notes VALUES (?", "\t?, ?)"],
    ),
    (
        "all of a line",
        [HEAD + "STATEMENT:  SELECT 'a", "\thunter-two", "\t", "\thunter-two' FROM t"],
        [HEAD + "STATEMENT:  SELECT ?", "\t?", "\t", "\t? FROM t"],
    ),
    ("with its escapes", [HEAD + "LOG:  statement: SELECT E'a", "\tit\\'s hunter-two', x"], [HEAD + "LOG:  statement: SELECT ?", "\t?, x"]),
    ("of dollars", [HEAD + "LOG:  execute s1: DO $do$ BEGIN", "\tPERFORM 'hunter-two'; END $do$;"], [HEAD + "LOG:  execute s1: DO ?", "\t?;"]),
    ("a comment", [HEAD + "LOG:  statement: SELECT 1 /* by", "\thunter-two */ FROM t"], [HEAD + "LOG:  statement: SELECT ?", "\tFROM t"]),
    ("nobody knows where it ends", [HEAD + "STATEMENT:  SELECT 'it\\'s", "\thunter-two", "\t', 'hunter-two'"], [HEAD + "STATEMENT:  SELECT ?", "\t?", "\t?"]),
    ("the next line begins anew", [HEAD + "STATEMENT:  SELECT 'a", HEAD + "LOG:  it's done: 3"], [HEAD + "STATEMENT:  SELECT ?", HEAD + "LOG:  it's done: 3"]),
    ("a row", [HEAD + "DETAIL:  Failing row contains (1, dear bob,", "\tmy PIN is hunter-two, 3)."], [HEAD + "DETAIL:  Failing row contains (***", "\t?"]),
    (
        "statements of a deadlock",
        [HEAD + "DETAIL:  Process 7 waits for ShareLock.", "\tProcess 7: UPDATE t SET a = 'dear", "\thunter-two' WHERE b", "\tProcess 8: SELECT 1"],
        [HEAD + "DETAIL:  Process 7 waits for ShareLock.", "\tProcess ?: UPDATE t SET a = ?", "\t? WHERE b", "\tProcess ?: SELECT ?"],
    ),
    ("the beginning was not seen", ["\tmy PIN is hunter-two', 3)", HEAD + "LOG:  done", "\tfor now"], ["\t?", HEAD + "LOG:  done", "\tfor now"]),
    ("nor is it known whose line it is", ["\tmy PIN is hunter-two', 3)", "\tat shop.Main(Main.java)"], ["\t?", "\tat shop.Main(Main.java)"]),
    ("an application's, with blanks", ["INFO statement: SELECT 1,", "  'hunter-two'", "next 'word'"], ["INFO statement: SELECT ?,", "  ?", "next 'word'"]),
    ("no statement", ["ERROR bad statement: its end is missing", "  line 3: 'word'"], ["ERROR bad statement: its end is missing", "  line 3: 'word'"]),
    (
        "a traceback",
        ["ERROR it's broken", "Traceback:", '  File "a.py", line 3', "    f('word')"],
        ["ERROR it's broken", "Traceback:", '  File "a.py", line 3', "    f('word')"],
    ),
]


@pytest.mark.parametrize(("what", "lines", "shown"), SEVERAL, ids=[case[0] for case in SEVERAL])
def test_a_statement_of_several_lines(what, lines, shown):
    at = "2026-11-22T20:01:36Z "
    assert hidden([at + line for line in lines], Mask()) == [at + line for line in shown]


def test_another_end_of_a_line_within_a_literal_ends_nothing():
    lines = ["2026-11-22T20:01:36Z [7] STATEMENT:  SELECT 'dear bob,", "my PIN is hunter-two', x", "2026-11-22T20:01:37Z next"]
    assert hidden(lines, Mask()) == ["2026-11-22T20:01:36Z [7] STATEMENT:  SELECT ?", "?, x", "2026-11-22T20:01:37Z next"]


def test_comments_in_comments_without_end_cost_no_time():
    lines = ["2026-11-22T20:01:36Z STATEMENT:  SELECT 1"] + ["2026-11-22T20:01:36Z \t" + "/*" * 5000] * 200
    assert hidden(lines, Mask())[-1] == "2026-11-22T20:01:36Z \t?"
