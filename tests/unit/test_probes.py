# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Probes run side by side, and one that hangs costs its own answer and nothing else."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, unseen, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.probes import Probes


def raises(error: BaseException):
    raise error


def test_answers_by_name() -> None:
    assert Probes().gather({"one": lambda: 1, "none": lambda: None, "many": lambda: {"a": [1]}}) == {"one": 1, "none": None, "many": {"a": [1]}}
    assert Probes().gather({}) == {}


def test_side_by_side() -> None:
    probes = Probes(timeout=5)
    all_there = threading.Barrier(20)
    answers = probes.gather({str(number): lambda: all_there.wait() >= 0 for number in range(20)})
    assert list(answers.values()) == [True] * 20
    assert set(probes.seconds) == set(answers)


def test_a_hang_costs_its_own_answer() -> None:
    release = threading.Event()
    probes = Probes(timeout=0.3)
    started = time.monotonic()
    answers = probes.gather({"hung": release.wait, "hung too": release.wait, "well": lambda: "here"})
    assert time.monotonic() - started < 20, "a probe that hangs is not waited for"
    assert answers["well"] == "here"
    for name in ("hung", "hung too"):
        assert why_unseen(answers[name]) == {"reason": "no answer within 0.3 s", "kind": "timeout", "fix": ""}
        assert probes.seconds[name] == 0.3
    release.set()


def test_a_late_answer_is_not_heard() -> None:
    release = threading.Event()
    answers = Probes(timeout=0.1).gather({"late": lambda: release.wait() and "too late"})
    release.set()
    time.sleep(0.1)
    assert why_unseen(answers["late"])["kind"] == "timeout"


def test_own_timeout() -> None:
    started = time.monotonic()
    answers = Probes(timeout=30).gather({"slow": lambda: time.sleep(5)}, timeout=0.1)
    assert time.monotonic() - started < 4
    assert why_unseen(answers["slow"])["reason"] == "no answer within 0.1 s"


def test_failures_are_answers() -> None:
    answers = Probes().gather(
        {
            "ours": lambda: raises(StackError("refused by db:5432", kind="refused", fix="start it")),
            "foreign": lambda: raises(KeyError("port")),
            "well": lambda: 1,
        }
    )
    assert answers["ours"] == unseen("refused by db:5432", kind="refused", fix="start it")
    assert why_unseen(answers["foreign"]) == {"reason": "KeyError: 'port'", "kind": "internal", "fix": ""}
    assert answers["well"] == 1


def test_begin_goes_on_at_once() -> None:
    probes = Probes(timeout=5)
    goes_on = threading.Event()
    pending = probes.begin({"slow": lambda: goes_on.wait() and "done"})
    goes_on.set()
    assert pending.answers() == {"slow": "done"}


def test_a_hung_probe_does_not_hold_the_process() -> None:
    """A ThreadPoolExecutor would: it joins its threads at exit."""
    script = textwrap.dedent(
        """
        import threading
        from ansible_collections.aiops.runbook.plugins.module_utils.probes import Probes
        print(Probes(timeout=0.1).gather({"hung": threading.Event().wait})["hung"]["unseen"]["kind"])
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.strip() == "timeout"


def test_what_nobody_expected_is_said_without_secrets() -> None:
    answers = Probes(hide=lambda text: text.replace("planted", "***")).gather({"broken": lambda: raises(ValueError("netloc 'u:planted@h'"))})
    assert why_unseen(answers["broken"])["reason"] == "ValueError: netloc 'u:***@h'"
