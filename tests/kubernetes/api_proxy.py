# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A door of the test's own in front of the real API server: it notes what is asked, and can be late, refuse, throttle or fail."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml

from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubeconfig import find_access

CHUNK = 1 << 16


@dataclass(frozen=True)
class Asked:
    """A request: its path without the query, and who asked by which program."""

    method: str
    path: str
    query: str
    agent: str

    @property
    def what(self) -> str:
        """The last words of the path, without the namespace: pods, pods/name/log, configmaps."""
        return re.sub(r"^/(api|apis/[^/]+)/v[^/]+/(namespaces/[^/]+/)?", "", self.path)


@dataclass(frozen=True)
class Answer:
    """What is answered instead of the API server's own words; after so many seconds. status 0: nothing ever."""

    status: int = 0
    message: str = ""
    retry_after: int | None = None

    def text(self) -> bytes:
        body = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": self.status, "message": self.message}).encode()
        more = "Retry-After: %d\r\n" % self.retry_after if self.retry_after is not None else ""
        head = "HTTP/1.1 %d Test\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n" % (self.status, len(body), more)
        return head.encode() + body


# What becomes of a request: None (it goes on), seconds (it goes on so much later), or an Answer.
Trouble = Callable[[Asked], "Answer | float | None"]


class Door:
    """Listens on loopback without TLS; what passes goes on to the API server with the credentials it came with, else with the admin's."""

    def __init__(self, kubeconfig: str, trouble: Trouble) -> None:
        self._access = find_access(kubeconfig)
        self._trouble = trouble
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.asked: list[Asked] = []
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._serve, name="door", daemon=True).start()

    def kubeconfig(self, folder: Path) -> Path:
        """One that leads here, with no credentials of its own."""
        return write_kubeconfig(folder / "door.kubeconfig", {"server": "http://127.0.0.1:%d" % self.port}, {})

    def close(self) -> None:
        self._listener.close()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._let_in, args=(client,), name="door", daemon=True).start()

    def _let_in(self, client: socket.socket) -> None:
        self._open.add(client)
        with contextlib.suppress(OSError, ValueError, IndexError), client:
            head, rest = _head(client)
            lines = head.decode("latin-1").split("\r\n")
            method, target, _version = lines[0].split(" ")
            headers = {name.strip().lower(): value.strip() for name, _colon, value in (line.partition(":") for line in lines[1:])}
            place = urlsplit(target)
            asked = Asked(method, unquote(place.path), place.query, headers.get("user-agent", ""))
            self.asked.append(asked)
            trouble = self._trouble(asked)
            if isinstance(trouble, Answer):
                if trouble.status:
                    client.sendall(trouble.text())
                else:
                    while client.recv(CHUNK):  # until the client gives up
                        pass
                return
            if trouble:
                time.sleep(trouble)
            self._go_on(client, lines, headers, rest)
        self._open.discard(client)

    def _go_on(self, client: socket.socket, lines: list[str], headers: dict[str, str], rest: bytes) -> None:
        upgrade = "upgrade" in headers.get("connection", "").lower()
        kept = [line for line in lines[1:] if line and not line.lower().startswith(("connection:", "host:") if not upgrade else "host:")]
        where = urlsplit(self._access.server)
        # One request for each connection: nothing else has to be understood of what passes.
        more = ["Host: " + where.netloc, *([] if upgrade else ["Connection: close"])]
        if "authorization" not in headers:
            more += ["%s: %s" % pair for pair in self._access.headers().items()]
        with socket.create_connection((where.hostname, where.port or 443), timeout=30) as plain:
            context = self._access.context if "authorization" not in headers else _without_certificate(self._access.authority)
            link = context.wrap_socket(plain, server_hostname=self._access.tls_name or where.hostname) if context else plain
            link.settimeout(None)
            link.sendall("\r\n".join([lines[0], *kept, *more, "", ""]).encode("latin-1") + rest)
            threading.Thread(target=_pump, args=(client, link), name="door-up", daemon=True).start()
            _pump(link, client)


def _without_certificate(authority: bytes) -> ssl.SSLContext:
    """TLS with nothing of ours: whoever brought a token is that one, not the admin."""
    context = ssl.create_default_context(cadata=authority.decode("ascii"))
    return context


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(CHUNK)
        if not more:
            raise ValueError("no request")
        data += more
    head, _end, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        while True:
            data = source.recv(CHUNK)
            if not data:
                break
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def door(kubeconfig: str, trouble: Trouble = lambda asked: None) -> Iterator[Door]:
    """A Door that is open as long as it is needed."""
    made = Door(kubeconfig, trouble)
    try:
        yield made
    finally:
        made.close()


def write_kubeconfig(path: Path, cluster: dict[str, str], user: dict[str, str]) -> Path:
    """A kubeconfig with one cluster, as its entry says it, and one user."""
    found = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path.write_text(yaml.safe_dump(found), encoding="utf-8")
    path.chmod(0o600)
    return path


def cluster_entry(kubeconfig: str) -> dict[str, str]:
    """The current context's cluster of a kubeconfig, as it stands there."""
    found = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))
    context = next(one["context"] for one in found["contexts"] if one["name"] == found["current-context"])
    return dict(next(one["cluster"] for one in found["clusters"] if one["name"] == context["cluster"]))
