# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of the user's project: changed whole or not at all, and put back byte for byte."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

LARGEST = 1 << 20
# A new content before it takes its file's place; what a run that died left of it goes with the undo.
DRAFT = ".aiops-runbook-part"


def read(path: str) -> bytes | None:
    """The file's content; None when there is none."""
    try:
        with open(path, "rb") as content:
            data = content.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StackError("%s cannot be read: %s" % (path, error.strerror), kind="denied") from error
    if len(data) > LARGEST:
        raise StackError("%s is larger than %d bytes: it is not changed" % (path, LARGEST), kind="too_large")
    return data


def record(path: str, after: bytes | None = None) -> dict[str, Any]:
    """What restore() needs: content, mode, owner and times, or that there is no such file.

    after: what will be written; then restore() refuses to overwrite what somebody else wrote since.
    """
    data = read(path)
    wanted = {} if after is None else {"after": hashlib.sha256(after).hexdigest()}
    if data is None:
        return {"path": path, "content": None, **wanted}
    about = os.stat(path)
    return {
        "path": path,
        **wanted,
        "content": base64.b64encode(data).decode("ascii"),
        "mode": about.st_mode & 0o7777,
        "owner": [about.st_uid, about.st_gid],
        "times": [about.st_atime_ns, about.st_mtime_ns],
    }


def digest(path: str) -> str:
    """A hash of the content; "" when there is no such file."""
    data = read(path)
    return "" if data is None else hashlib.sha256(data).hexdigest()


def write(path: str, data: bytes, in_place: bool = False) -> None:
    """Replace a file's content, keeping its mode and owner; a new one is readable by its owner only.

    in_place: keep the inode, for a file that is mounted into a container.
    """
    try:
        if in_place:
            with open(path, "r+b") as target:
                target.write(data)
                target.truncate()
                target.flush()
                os.fsync(target.fileno())
            return
        # What a link leads to is changed, the link stays.
        path = os.path.realpath(path)
        about = os.stat(path) if os.path.exists(path) else None
        draft = path + DRAFT
        _forget(draft)
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
                target.write(data)
                target.flush()
                os.fsync(target.fileno())
            if about is not None:
                os.chown(draft, about.st_uid, about.st_gid)
                os.chmod(draft, about.st_mode & 0o7777)
            os.replace(draft, path)
        except BaseException:
            _forget(draft)
            raise
    except OSError as error:
        raise StackError("%s cannot be written: %s" % (path, error.strerror), kind="denied") from error


def restore(entry: dict[str, Any], in_place: bool = False) -> None:
    """Put a file back as record() found it; a StackError when somebody else has changed it since."""
    path = entry["path"]
    data = None if entry["content"] is None else base64.b64decode(entry["content"])
    present = read(path)
    if entry.get("after") and present not in (None, data) and hashlib.sha256(present or b"").hexdigest() != entry["after"]:
        raise StackError("%s was changed by somebody else since: it is not put back" % path, kind="not_undone", fix="take the change out of it by hand")
    try:
        _forget(os.path.realpath(path) + DRAFT)
        if data is None:
            _forget(path)
            return
        if present != data:
            write(path, data, in_place)
        os.chmod(path, entry["mode"])
        os.utime(path, ns=(entry["times"][0], entry["times"][1]))
    except OSError as error:
        raise StackError("%s cannot be put back: %s" % (path, error.strerror), kind="denied") from error


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
