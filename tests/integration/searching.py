"""Look for secrets in everything that a run leaves, also in what it takes away again."""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
import threading
import time
import zlib
from pathlib import Path
from typing import Iterable
from urllib.parse import quote, quote_plus


def forms(value: str) -> set[bytes]:
    """A value as it may be written: as it is, quoted for a URL, JSON, HTML, and in base64 wherever it stands in a longer text."""
    raw = value.encode()
    found = {value, quote(value, safe=""), quote(value), quote_plus(value), json.dumps(value)[1:-1], html.escape(value)}
    for before in range(3):
        for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
            whole = alphabet(b"\xff" * before + raw).decode()
            # Of the first and the last characters not all bits are the value's own.
            first = -(-before * 8 // 6)
            last = (before + len(raw)) * 8 // 6
            found.add(whole[first:last])
    return {form.encode() for form in found}


def texts_of(path: Path) -> Iterable[bytes]:
    """A file's content, and what is packed in it."""
    content = path.read_bytes()
    yield content
    if content[:2] == b"\x1f\x8b":
        yield gzip.decompress(content)
    # What Ansible sends along stands in a program as zipped base64.
    for word in content.split(b'"'):
        if len(word) > 400 and word[:4] == b"eJx" + word[3:4]:
            try:
                yield zlib.decompress(base64.b64decode(word))
            except (ValueError, zlib.error):
                continue


def told(values: Iterable[str], *folders: Path) -> set[tuple[str, str]]:
    """(file, value) of every value that stands in a file below these folders."""
    wanted = {value: forms(value) for value in values}
    found = set()
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                for content in texts_of(path):
                    found |= {(str(path.relative_to(folder)), value) for value, some in wanted.items() if any(form in content for form in some)}
    return found


class Snapshot:
    """Keeps what appears below some folders while it lasts, by a second name for each file; what is taken away again stays there.

    names: of the files that were seen. open_to_others: those whose mode, and whose folders', let others read them.
    """

    def __init__(self, keep: Path, *folders: Path) -> None:
        self.keep = keep
        self.folders = folders
        self.names: set[str] = set()
        self.open_to_others: set[str] = set()
        self._seen: set[tuple[int, int]] = set()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch)

    def __enter__(self) -> Snapshot:
        self.keep.mkdir(parents=True)
        for folder in self.folders:
            folder.mkdir(parents=True, exist_ok=True)
        self._watcher.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            for folder in self.folders:
                self._look(folder, True)
            time.sleep(0.001)

    def _look(self, folder: Path, public: bool) -> None:
        """public: whether others can come as far as here."""
        try:
            entries = list(os.scandir(folder))
        except OSError:  # gone meanwhile
            return
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    self._look(Path(entry.path), public and bool(status.st_mode & 0o001))
                elif entry.is_file(follow_symlinks=False):
                    if public and status.st_mode & 0o004:
                        self.open_to_others.add(entry.name)
                    if (status.st_dev, status.st_ino) not in self._seen:
                        os.link(entry.path, self.keep / ("%d-%s" % (len(self._seen), entry.name)))
                        self._seen.add((status.st_dev, status.st_ino))
                        self.names.add(entry.name)
            except OSError:
                continue
