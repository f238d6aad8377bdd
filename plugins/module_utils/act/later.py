# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A step that is put back by itself after a while: by a process of this host that outlives the task and its connection.

It is a fork and starts no program: the files of an Ansible task are gone by then, and its options (which may hold a password) stand in no argument.
When the host is restarted meanwhile, the journal tells that the step is overdue (act/records.py).
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from typing import Any, Callable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act.records import BaseJournal, BaseRecords
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

Undo = Callable[[Stage, "dict[str, Any]"], None]

NAME = "aiops-put-back"
BY = "put back by itself"
LOOK_SECONDS = 30.0
LEASE_SECONDS = 1800.0
TRIES = 5
TRY_SECONDS = 60.0


def put_back_later(stage: Stage, number: int, undo: Undo) -> None:
    """See to it that this step of the run under way is taken back when its time (the journal's "until") has come, if it still stands then.

    undo: its remedy's. Call it before anything is changed.
    """
    journal = stage.records.unfinished()[-1]
    until = float((journal.last("acting", number) or {})["until"])
    params, records = dict(stage.params), stage.records
    _detached(lambda: wait_and_put_back(params, records, journal.name, number, until, undo))


def wait_and_put_back(params: Mapping[str, Any], records: BaseRecords, run: str, number: int, until: float, undo: Undo) -> None:
    """Wait for the time by the clock, and end early when somebody else has taken the step back."""
    while time.time() < until:
        time.sleep(max(0.0, min(LOOK_SECONDS, until - time.time())))
        if number not in records.run(run).open_steps():
            return
    for attempt in range(TRIES):
        try:
            return put_back(params, run, number, undo)
        except Exception as error:  # the last one who could tell is this process
            _note(records.run(run), number, error)
            if attempt + 1 < TRIES:
                time.sleep(TRY_SECONDS)


def put_back(params: Mapping[str, Any], run: str, number: int, undo: Undo) -> None:
    """Take this one step of a run back, under the lease, unless it is already."""
    stage = Stage(params)
    with stage.records.lease({"by": BY, "job": "put back", "run": run}, LEASE_SECONDS):
        journal = stage.records.run(run)
        if number not in journal.open_steps():
            return
        acting = journal.last("acting", number) or {}
        with journal.taking_back(number):
            undo(stage, acting["undo"])
        left = journal.open_steps()
        if journal.ended or not left:
            done = {"number": number, "remedy": acting.get("remedy"), "component": acting.get("component"), "result": "undone"}
            journal.write("end", result="partly undone" if left else "undone", steps=[done], by=BY)


def _note(journal: BaseJournal, number: int, error: Exception) -> None:
    with contextlib.suppress(StackError):
        journal.write("not put back", step=number, error=error.message if isinstance(error, StackError) else repr(error)[:300])


def _detached(do: Callable[[], None]) -> None:
    """do() in a process of its own, whose parent is the first process of the host."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        _let_go()
        if os.fork() == 0:
            do()
    finally:
        # No exit handler, buffer or temporary folder of the task that was left is ours.
        os._exit(0)


def _let_go() -> None:
    """Keep nothing of the task open: its output, its connections, the lease."""
    os.chdir("/")
    os.umask(0o077)
    tempfile.tempdir = None
    for what in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(what, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    # Not closed but led elsewhere: whoever of the old objects closes its number later closes nothing of ours.
    for number in {0, 1, 2, *(int(name) for name in os.listdir("/proc/self/fd"))} - {nothing}:
        with contextlib.suppress(OSError):
            if number > 2:
                os.fstat(number)
            os.dup2(nothing, number)
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as name:
        name.write(NAME)
