# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The records of acting, kept where the stack lives: the lease, a journal for each run, the evidence, and how to undo.

On a host in files; on a cluster in its own objects (act/records_cluster.py).

    <state_dir>/<project>/lease            held (flock) by the run under way; its text says by whom
    <state_dir>/<project>/<run>/journal    one JSON object a line, written through to the disk before what it announces
    <state_dir>/<project>/<run>/evidence-<step>.json

Undo records hold what was there before, secrets included: everything is readable by its owner only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
import shutil
import socket
import time
from abc import ABC, abstractmethod
from typing import Any, ContextManager, Iterable, Iterator, Sequence

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

ROOT_DIR = "/var/lib/aiops-runbook"
HOME_DIR = "~/.local/state/aiops-runbook"
KEEP_RUNS = 200
# What puts itself back is given so long after its time.
OVERDUE_SECONDS = 120
RUN = re.compile(r"\d{8}T\d{6}Z-\d{3}")


class BaseJournal(ABC):
    """What one run said that it would do and did, in order; an event is kept for good before what it announces happens.

    name: the run's. folder: where it is kept, for a person to find it.
    """

    name: str
    folder: str
    entries: list[dict[str, Any]]

    def write(self, event: str, **facts: Any) -> None:
        """Add an event. A StackError when it is not kept: then what it announces must not happen."""
        entry = {"at": round(time.time(), 3), "event": event, **facts}
        self._keep_entry(entry)
        self.entries.append(entry)

    @abstractmethod
    def _keep_entry(self, entry: dict[str, Any]) -> None:
        """Write one event, for good."""

    @abstractmethod
    def keep(self, name: str, content: Any) -> None:
        """Something more of this run (evidence), readable by its owner only."""

    @contextlib.contextmanager
    def taking_back(self, step: int) -> Iterator[None]:
        """Around the undoing of a step: what is under way, then that it is done."""
        self.write("undoing", step=step)
        yield
        self.write("undone", step=step)

    def last(self, event: str, step: int | None = None) -> dict[str, Any] | None:
        found = [entry for entry in self.entries if entry["event"] == event and (step is None or entry.get("step") == step)]
        return found[-1] if found else None

    @property
    def ended(self) -> bool:
        """Whether it came to its end, and no taking back that somebody asked for since was broken off."""
        told = [entry["event"] for entry in self.entries if entry["event"] in ("end", "undo")]
        return told[-1:] == ["end"]

    @property
    def died(self) -> bool:
        """Begun and not ended; or still under way, which the lease tells."""
        return bool(self.entries) and not self.ended

    @property
    def begin(self) -> dict[str, Any]:
        return self.last("begin") or {}

    def acted(self) -> list[int]:
        """The steps that were begun."""
        return [entry["step"] for entry in self.entries if entry["event"] == "acting"]

    @property
    def due(self) -> float:
        """When the first of the steps that are not taken back was to be put back by itself (act/later.py); 0 when none was."""
        times = [float((self.last("acting", step) or {}).get("until") or 0) for step in self.open_steps()]
        return min((moment for moment in times if moment), default=0.0)

    def open_steps(self) -> list[int]:
        """The steps that were begun and are not taken back, the last first."""
        begun = [entry["step"] for entry in self.entries if entry["event"] == "acting"]
        undone = [entry["step"] for entry in self.entries if entry["event"] == "undone"]
        return [step for step in reversed(begun) if step not in undone]


class BaseRecords(ABC):
    """What is kept of one stack."""

    @abstractmethod
    def key(self) -> bytes:
        """The key for hashes that compare between runs."""

    @abstractmethod
    def runs(self) -> Sequence[BaseJournal]:
        """Every run's journal, oldest first."""

    @abstractmethod
    def run(self, name: str) -> BaseJournal:
        """The journal of this run; a StackError when there is none."""

    @abstractmethod
    def new_run(self) -> BaseJournal:
        """A journal to begin; old ones make room. Only for who holds the lease."""

    @abstractmethod
    def lease(self, holder: dict[str, Any], wait: float = 0.0) -> ContextManager[Any]:
        """The right to act on this stack, for as long as the object is open. StackError when another one has it."""

    @abstractmethod
    def lease_holder(self) -> dict[str, Any] | None:
        """Who holds the lease just now; None when nobody does."""

    @abstractmethod
    def unfinished(self) -> Sequence[BaseJournal]:
        """The journals of runs that died in the middle: begun, not ended. Only for who holds the lease; otherwise one may just be under way."""

    @abstractmethod
    def at_work(self) -> dict[str, Any]:
        """{"lease": who is at work, "unfinished": runs that died in the middle, "overdue": what should have been put back by now}."""


class Records(BaseRecords):
    """What is kept of one stack in files. folder: state_dir's, else root's, else one in the user's home."""

    def __init__(self, state_dir: str, project: str) -> None:
        base = state_dir or (ROOT_DIR if os.geteuid() == 0 else HOME_DIR)
        self.base = os.path.expanduser(base)
        self.folder = os.path.join(self.base, re.sub(r"[^\w.-]", "_", project))

    def key(self) -> bytes:
        """This host's key for hashes that compare between runs."""
        path = os.path.join(self.base, "key")
        try:
            with open(path, "rb") as found:
                return found.read()
        except OSError:
            pass
        try:
            self._make(self.base)
            try:
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                    out.write(secrets.token_bytes(32))
            except FileExistsError:
                pass
            with open(path, "rb") as found:
                return found.read()
        except OSError as error:
            raise unwritable(self.base, error) from error

    def runs(self) -> list[Journal]:
        try:
            names = sorted(name for name in os.listdir(self.folder) if RUN.fullmatch(name))
        except OSError:
            return []
        return [Journal(os.path.join(self.folder, name)) for name in names]

    def run(self, name: str) -> Journal:
        folder = os.path.join(self.folder, name)
        if RUN.fullmatch(name) and os.path.isdir(folder):
            return Journal(folder)
        raise StackError("there is no record of a run %s below %s" % (name, self.folder), kind="bad_option", option="run")

    def unfinished(self) -> list[Journal]:
        return [journal for journal in self.runs() if journal.died]

    def at_work(self) -> dict[str, Any]:
        return news(self.lease_holder(), self.runs())

    def new_run(self) -> Journal:
        self._make(self.folder)
        journal = Journal(self._new_folder())
        for old in self.runs()[:-KEEP_RUNS]:
            if old.ended:
                shutil.rmtree(old.folder, ignore_errors=True)
        return journal

    def _new_folder(self) -> str:
        while True:
            path = os.path.join(self.folder, run_name(time.time()))
            try:
                os.mkdir(path, 0o700)
                return path
            except FileExistsError:
                time.sleep(0.001)
            except OSError as error:
                raise unwritable(self.folder, error) from error

    def lease(self, holder: dict[str, Any], wait: float = 0.0) -> Lease:
        try:
            self._make(self.folder)
            return Lease(os.path.join(self.folder, "lease"), holder, wait)
        except OSError as error:
            raise unwritable(self.folder, error) from error

    def lease_holder(self) -> dict[str, Any] | None:
        try:
            with open(os.path.join(self.folder, "lease"), "r+", encoding="utf-8") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return None
                except BlockingIOError:
                    return _holder(handle)
        except OSError:
            return None

    def _make(self, folder: str) -> None:
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from error


class Lease:
    """An flock on a file that names its holder: the kernel gives it back when the holder dies."""

    def __init__(self, path: str, holder: dict[str, Any], wait: float) -> None:
        self._handle = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")
        end = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    other = _holder(self._handle)
                    self._handle.close()
                    raise leased(other) from None
                time.sleep(0.2)
        self._write(holder_facts(holder, time.time()))

    def _write(self, text: dict[str, Any]) -> None:
        self._handle.seek(0)
        self._handle.truncate()
        self._handle.write(json.dumps(text))
        self._handle.flush()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_error: object) -> None:
        self._handle.seek(0)
        self._handle.truncate()
        self._handle.close()


class Journal(BaseJournal):
    """A run's journal in a folder of its own; an event is on the disk before what it announces happens."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.name = os.path.basename(folder)
        self.entries = list(self._read())

    def _read(self) -> Iterator[dict[str, Any]]:
        try:
            with open(os.path.join(self.folder, "journal"), encoding="utf-8") as lines:
                yield from read_entries(lines)
        except OSError:
            return

    def _keep_entry(self, entry: dict[str, Any]) -> None:
        path = os.path.join(self.folder, "journal")
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                data = (json.dumps(entry) + "\n").encode("utf-8")
                size = os.fstat(handle).st_size
                if os.write(handle, data) != len(data):
                    os.ftruncate(handle, size)  # half a line would hide those after it
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise unwritable(path, error) from error

    def keep(self, name: str, content: Any) -> None:
        path = os.path.join(self.folder, name)
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
                json.dump(content, out, indent=1, default=str)
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            raise unwritable(path, error) from error


def news(holder: dict[str, Any] | None, runs: Iterable[BaseJournal]) -> dict[str, Any]:
    """What at_work() tells, from who holds the lease and the journals."""
    runs = list(runs)
    return {
        "lease": holder,
        "unfinished": [] if holder else [_told(journal) for journal in runs if journal.died],
        "overdue": [_told(journal) for journal in runs if 0 < journal.due < time.time() - OVERDUE_SECONDS],
    }


def read_entries(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The events of a journal, one JSON object a line."""
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return  # the last line of a run that died while it wrote


def run_name(now: float) -> str:
    """What a run is called that begins now: it sorts by time."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)) + "-%03d" % (now % 1 * 1000)


def holder_facts(holder: dict[str, Any], now: float) -> dict[str, Any]:
    """What a lease says of its holder."""
    return {**holder, "pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))}


def leased(other: dict[str, Any], more: str = "") -> StackError:
    """Why nothing is done: this one is at work."""
    return StackError(
        "%s is at work on this stack since %s (run %s)%s: wait for it, or give lease_wait"
        % (other.get("by", "somebody"), other.get("since", "?"), other.get("run") or "?", more),
        kind="leased",
        holder=other,
    )


def _told(journal: BaseJournal) -> dict[str, Any]:
    return {"run": journal.name, "by": journal.begin.get("by"), "at": journal.begin.get("at"), "last": journal.entries[-1]["event"]}


def unwritable(path: str, error: OSError) -> StackError:
    advice = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "give a folder that can be written by state_dir"
    return StackError(
        "the record cannot be written below %s: %s; nothing is done that is not recorded first: %s" % (path, error.strerror or error, advice),
        kind="no_record",
    )


def _holder(handle: Any) -> dict[str, Any]:
    handle.seek(0)
    try:
        found = json.loads(handle.read() or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
