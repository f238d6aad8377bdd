# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A few at a time: many stacks of one run may share a server, and they all share this machine."""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

# At one server: a guest does not come with fifty connections at once.
SEATS = 4
# At this machine, for each of its processors; a look that has taken longer than this waits for something, and needs none.
LOOKS = 2
BUSY_SECONDS = 2.0


@contextmanager
def turn(server: str, timeout: float, seats: int = SEATS) -> Iterator[None]:
    """Wait for one of the seats at a server ("host:port"), shared by all processes of this user on this machine.

    The kernel gives a seat back when its holder ends, however it ends. StackError(kind="crowded") when none is free in time.
    """
    name = "aiops-runbook-%d-%s" % (os.geteuid(), hashlib.sha256(server.encode("utf-8")).hexdigest()[:16])
    until = time.monotonic() + timeout
    while True:
        for seat in range(seats):
            path = os.path.join(tempfile.gettempdir(), "%s-%d.lock" % (name, seat))
            try:
                handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except OSError:
                # Where no seat can be kept, nobody is counted.
                yield
                return
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(handle)
                continue
            try:
                yield
            finally:
                os.close(handle)
            return
        if time.monotonic() >= until:
            raise StackError("%d others of this run were served by %s all the time" % (seats, server), kind="crowded", fix="raise timeout, or lower forks")
        time.sleep(0.02)


@contextmanager
def look() -> Iterator[None]:
    """Wait until few enough others look at a stack from this machine: all at once would keep each other from being answered in time."""
    with ExitStack() as seat:
        seat.enter_context(turn("this machine", math.inf, LOOKS * (os.cpu_count() or 1)))
        leave = threading.Timer(BUSY_SECONDS, seat.close)
        leave.daemon = True
        leave.start()
        seat.callback(leave.cancel)
        yield
