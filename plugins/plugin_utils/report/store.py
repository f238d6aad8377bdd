# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where reports lie: report_dir/<stack>/<time>/, written whole or not at all, with "latest" pointing at the last one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

_RUN = re.compile(r"\d{8}T\d{6}Z(?:-\d+)?")
_UNFINISHED = ".unfinished-"


def folder_name(stack: str) -> str:
    """The stack's name as a name of a folder; different stacks never get the same one."""
    name = re.sub(r"[^\w.-]+", "_", stack).lstrip(".")[:60] or "stack"
    if name != stack:
        name += "-" + hashlib.sha256(stack.encode("utf-8", "replace")).hexdigest()[:6]
    return name


class Store:
    """The reports of one stack."""

    def __init__(self, report_dir: str, stack: str) -> None:
        self._report_dir = report_dir
        self.folder = Path(report_dir).expanduser() / folder_name(stack)
        self.latest = self.folder / "latest"
        self.warnings: list[str] = []

    def previous(self) -> tuple[str, dict[str, Any]] | None:
        """The last report and its path; none where there is none that can be read."""
        path = Path(os.path.realpath(self.latest)) / "report.json"
        try:
            model = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self.warnings.append("The previous report %s cannot be read, so nothing is compared with it: %s" % (path, error))
            return None
        return (str(path), model) if isinstance(model, dict) else None

    def previous_status(self) -> dict[str, Any]:
        try:
            status = json.loads((self.folder / "status.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return status if isinstance(status, dict) else {}

    def run_folder(self, when: float) -> Path:
        """The folder for the run that ended then, not made yet; a second run of the same second gets a number."""
        stamp = datetime.fromtimestamp(when or time.time(), UTC).strftime("%Y%m%dT%H%M%SZ")
        path, number = self.folder / stamp, 2
        while os.path.lexists(path):
            path, number = self.folder / f"{stamp}-{number}", number + 1
        return path

    def write_run(self, run: Path, files: dict[str, str]) -> None:
        """All files of a run appear together, then "latest" points at them."""
        unfinished = self.folder / f"{_UNFINISHED}{run.name}-{os.getpid()}"
        try:
            self._make_folder(self.folder)
            self._make_folder(unfinished)
            for name, text in files.items():
                _write(unfinished / name, text)
            os.rename(unfinished, run)
            self._point_latest(run)
        except OSError as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise self._failure(error) from error

    def write_status(self, text: str) -> None:
        """The stack's own status.json, beside its runs: the last attempt, whether it came to a verdict or not."""
        draft = self.folder / f"{_UNFINISHED}status-{os.getpid()}"
        try:
            self._make_folder(self.folder)
            draft.unlink(missing_ok=True)
            _write(draft, text)
            os.replace(draft, self.folder / "status.json")
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise self._failure(error) from error

    def prune(self, keep: int) -> list[str]:
        """Remove the oldest runs beyond keep (0 keeps all), and what a killed run left; never the latest one."""
        removed = []
        try:
            entries = [entry for entry in os.scandir(self.folder) if entry.is_dir(follow_symlinks=False)]
            latest = os.path.realpath(self.latest)
            runs = sorted((entry for entry in entries if _RUN.fullmatch(entry.name)), key=lambda entry: _order(entry.name))
            doomed = [entry for entry in runs[: max(0, len(runs) - keep)] if os.path.realpath(entry.path) != latest] if keep > 0 else []
            doomed += [entry for entry in entries if entry.name.startswith(_UNFINISHED) and time.time() - entry.stat().st_mtime > 86400]
            for entry in doomed:
                shutil.rmtree(entry.path)
                removed.append(entry.name)
        except OSError as error:
            self.warnings.append("Old reports below %s could not be removed: %s" % (self.folder, error.strerror or error))
        return removed

    def _make_folder(self, path: Path) -> None:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)

    def _point_latest(self, run: Path) -> None:
        draft = self.folder / f"{_UNFINISHED}latest-{os.getpid()}"
        try:
            draft.unlink(missing_ok=True)
            draft.symlink_to(run.name)
            os.replace(draft, self.latest)
        except OSError as error:  # a file system without links, or somebody's own folder of that name: the report itself is safe
            draft.unlink(missing_ok=True)
            self.warnings.append("%s could not be pointed at this run: %s" % (self.latest, error.strerror or error))

    def _failure(self, error: OSError) -> StackError:
        why = error.strerror or str(error)
        advice = "free some space or choose another report_dir" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose a report_dir that can be written"
        return StackError(
            "The report could not be written below report_dir %s: %s (%s); %s." % (self._report_dir, why, error.filename or self.folder, advice),
            kind="no_space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "report_dir",
            report_dir=self._report_dir,
        )


def _order(name: str) -> tuple[str, int]:
    stamp, _dash, number = name.partition("-")
    return stamp, int(number or 1)


def _write(path: Path, text: str) -> None:
    data = text.encode("utf-8", "replace")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
