# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run probes side by side; a probe that hangs costs its own answer and nothing else."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, unseen

Probe = Callable[[], Any]


class Probes:
    """Daemon threads, each with a deadline of its own (a ThreadPoolExecutor would join its hung threads at exit).

    timeout: seconds that a probe may take before its answer is given up as unseen.
    seconds: after gather(), how long each probe took.
    """

    def __init__(self, timeout: float = 5.0) -> None:
        self.timeout = timeout
        self.seconds: dict[str, float] = {}

    def gather(self, probes: Mapping[str, Probe], timeout: float | None = None) -> dict[str, Any]:
        """The answers by name. A StackError or a time-out becomes an unseen() entry; other exceptions do, too, with their type."""
        limit = self.timeout if timeout is None else timeout
        answers: dict[str, Any] = {}
        started = time.monotonic()
        threads = {name: self._start(name, probe, answers, started) for name, probe in probes.items()}
        for thread in threads.values():
            thread.join(max(0.0, started + limit - time.monotonic()))
        # A late thread may still write into answers: what is returned is a copy taken now.
        done = dict(answers)
        for name in probes:
            if name not in done:
                self.seconds[name] = limit
                done[name] = unseen("no answer within %.1f s" % limit, kind="timeout")
        return done

    def _start(self, name: str, probe: Probe, answers: dict[str, Any], started: float) -> threading.Thread:
        def run() -> None:
            try:
                answer = probe()
            except StackError as error:
                answer = unseen(error.message, kind=error.kind, fix=error.details.get("fix", ""))
            except Exception as error:  # the probe's failure is its answer; the others go on
                answer = unseen("%s: %s" % (type(error).__name__, error), kind="internal")
            self.seconds[name] = round(time.monotonic() - started, 3)
            answers[name] = answer

        thread = threading.Thread(target=run, name="probe-" + name, daemon=True)
        thread.start()
        return thread
