# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of the user's project: changed whole or not at all, and put back byte for byte."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

LARGEST = 1 << 20


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


def record(path: str) -> dict[str, Any]:
    """What restore() needs: content, mode, owner and times, or that there is no such file."""
    data = read(path)
    if data is None:
        return {"path": path, "content": None}
    about = os.stat(path)
    return {
        "path": path,
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
        about = os.stat(path) if os.path.exists(path) else None
        handle, draft = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".aiops-runbook-")
        try:
            with os.fdopen(handle, "wb") as target:
                target.write(data)
                target.flush()
                os.fsync(target.fileno())
            if about is not None:
                os.chmod(draft, about.st_mode & 0o7777)
                os.chown(draft, about.st_uid, about.st_gid)
            os.replace(draft, path)
        except BaseException:
            os.unlink(draft)
            raise
    except OSError as error:
        raise StackError("%s cannot be written: %s" % (path, error.strerror), kind="denied") from error


def restore(entry: dict[str, Any], in_place: bool = False) -> None:
    """Put a file back as record() found it."""
    path = entry["path"]
    if entry["content"] is None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StackError("%s cannot be removed: %s" % (path, error.strerror), kind="denied") from error
        return
    data = base64.b64decode(entry["content"])
    if read(path) != data:
        write(path, data, in_place)
    os.chmod(path, entry["mode"])
    os.utime(path, ns=(entry["times"][0], entry["times"][1]))
