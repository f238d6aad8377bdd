# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run probes side by side; a probe that hangs costs its own answer and nothing else."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, unseen

Probe = Callable[[], Any]


class Pending:
    """Probes under way. answers() waits for them, at most until their deadline."""

    def __init__(self, timeout: float, seconds: dict[str, float], hide: Callable[[str], str]) -> None:
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout
        self._seconds = seconds
        self._hide = hide
        self._threads: dict[str, threading.Thread] = {}
        self._answers: dict[str, Any] = {}

    def start(self, name: str, probe: Probe) -> None:
        started = time.monotonic()

        def run() -> None:
            try:
                answer = probe()
            except StackError as error:
                answer = unseen(error.message, kind=error.kind, fix=error.details.get("fix", ""))
            except Exception as error:  # the probe's failure is its answer; the others go on
                answer = unseen("%s: %s" % (type(error).__name__, self._hide(str(error))), kind="internal")
            self._seconds[name] = round(time.monotonic() - started, 3)
            self._answers[name] = answer

        self._threads[name] = threading.Thread(target=run, name="probe-" + name, daemon=True)
        self._threads[name].start()

    def answers(self) -> dict[str, Any]:
        """The answers by name; a probe that is late is unseen, and what it may still say later is not heard."""
        for thread in self._threads.values():
            thread.join(max(0.0, self._deadline - time.monotonic()))
        done = dict(self._answers)
        for name in self._threads:
            if name not in done:
                self._seconds[name] = self._timeout
                done[name] = unseen("no answer within %.1f s" % self._timeout, kind="timeout")
        return done


class Probes:
    """Daemon threads, each with a deadline (a ThreadPoolExecutor would join its hung threads at exit).

    timeout: seconds that a probe may take before its answer is given up as unseen. hide: what hides secrets in what nobody expected to be said.
    seconds: how long each probe took, once its answer is there.
    """

    def __init__(self, timeout: float = 5.0, hide: Callable[[str], str] = str) -> None:
        self.timeout = timeout
        self.hide = hide
        self.seconds: dict[str, float] = {}

    def begin(self, probes: Mapping[str, Probe], timeout: float | None = None) -> Pending:
        """Start these probes and go on; ask for their answers later."""
        pending = Pending(self.timeout if timeout is None else timeout, self.seconds, self.hide)
        for name, probe in probes.items():
            pending.start(name, probe)
        return pending

    def gather(self, probes: Mapping[str, Probe], timeout: float | None = None) -> dict[str, Any]:
        """The answers by name. A StackError or a time-out becomes an unseen() entry; other exceptions do, too, with their type."""
        return self.begin(probes, timeout).answers()
