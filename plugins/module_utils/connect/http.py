# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One GET request with one deadline for all of it, its time broken into phases. Standard library only.

The sockets are opened in the calling thread, which may stand in another network namespace.
"""

from __future__ import annotations

import base64
import errno
import http.client
import io
import ipaddress
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping
from urllib.parse import quote, unquote, urlsplit

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

USER_AGENT = "aiops.runbook/0.1"

_WAITING = {
    "dns": "while resolving the name",
    "connect": "while connecting",
    "tls": "connected, in the TLS handshake",
    "first_byte": "connected, waiting for the first byte",
    "body": "in the middle of the answer",
}
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)


@dataclass(frozen=True)
class HttpTarget:
    """A server's base URL and how to get there.

    address: connect to this address instead of resolving the URL's name; the Host header and the TLS name stay the URL's.
    verify: check the server's certificate. ca: a file of certificates to trust instead of the system's.
    """

    url: str
    address: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    verify: bool = True
    ca: str = ""

    @property
    def shown(self) -> str:
        """The URL as it may be shown: without user, password, query."""
        if self._torn:
            return "%s://***@%s" % (self.url.partition("://")[0], self.url.rpartition("@")[2].partition("?")[0].rstrip("/"))
        parts = urlsplit(self.url)
        return "%s://%s%s" % (parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"))

    @property
    def password(self) -> str:
        """The password in the URL, decoded; "" when there is none. Also of what is no URL: an error must not show it either."""
        try:
            account = self._torn[1] if self._torn else urlsplit(self.url).netloc.rpartition("@")[0]
        except ValueError:
            account = self.url.partition("://")[2].rpartition("@")[0]
        return unquote(account.partition(":")[2])

    @property
    def _torn(self) -> re.Match[str] | None:
        """The account of a URL whose password holds a raw "/", "?" or "#": what stands before that is taken for the host."""
        return re.match(r"[a-z]+://([^\s:/?#@]*:[^/?#@]*[/?#].*)@", self.url, re.IGNORECASE)

    def place(self) -> tuple[bool, str, int]:
        """(TLS or not, host, port); StackError when the URL is none."""
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            # Python's own error quotes the account.
            raise StackError("url: not a URL: %s" % url_fault(error), kind="bad_option") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StackError("url: %r is not an http:// or https:// URL" % self.shown, kind="bad_option")
        return parts.scheme == "https", parts.hostname, port or (443 if parts.scheme == "https" else 80)


def url_fault(error: ValueError) -> str:
    """Why a text is no URL. Python's own words quote what it took for the port or the host: with a raw "/" in it, that is of the password."""
    if "out of range" in str(error):
        return "its port is not between 1 and 65535"
    return "its port is not a number" if str(error).startswith("Port") else "its host cannot be read"


@dataclass(frozen=True)
class HttpAnswer:
    """headers: names in lower case. seconds: dns, connect, tls, first_byte, total. truncated: the body was longer than asked for."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: dict[str, float]
    truncated: bool = False


def get(target: HttpTarget, path: str, timeout: float, limit: int = 1 << 20) -> HttpAnswer:
    """GET path below the target's URL. Redirects are answers like others: they are not followed.

    StackError kinds: refused, timeout (details: phase), dns, unreachable, tls, protocol, reset, bad_option.
    """
    return _Request(target, path, timeout, limit).run()


class _Request:
    def __init__(self, target: HttpTarget, path: str, timeout: float, limit: int) -> None:
        self.target = target
        self.secure, self.host, self.port = target.place()
        self.parts = urlsplit(target.url)
        self.path = self.parts.path.rstrip("/") + quote("/" + path.lstrip("/"), safe="/?&=:@!$'()*+,;%~-._")
        self.limit = limit
        self.timeout = timeout
        self.started = time.monotonic()
        self.phase = "dns"
        self.seconds = {"dns": 0.0, "connect": 0.0, "tls": 0.0, "first_byte": 0.0, "total": 0.0}

    def run(self) -> HttpAnswer:
        sock: socket.socket | None = None
        try:
            addresses = self._resolve()
            sock = self._connect(addresses)
            if self.secure:
                sock = self._handshake(sock)
            return self._exchange(sock)
        except socket.timeout as error:
            raise self._error("no answer within %g s (%s)" % (self.timeout, _WAITING[self.phase]), "timeout") from error
        except ssl.SSLCertVerificationError as error:
            raise self._error("the certificate is not trusted: %s" % error.verify_message, "tls", reason=error.verify_message) from error
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).replace("_", " ").lower()
            raise self._error("TLS failed: %s" % reason, "tls", reason=reason) from error
        except socket.gaierror as error:
            raise self._error("the name %r does not resolve: %s" % (self.host, error.strerror or error), "dns") from error
        except ConnectionRefusedError as error:
            raise self._error("connection refused", "refused") from error
        except (http.client.RemoteDisconnected, ConnectionError) as error:
            raise self._error("the server closed the connection without an answer", "reset") from error
        except http.client.InvalidURL as error:
            raise self._error("the path %r cannot be requested: %s" % (self.path, error), "bad_option") from error
        except (http.client.HTTPException, ValueError) as error:
            raise self._error("what answers does not speak HTTP as expected (%s)" % type(error).__name__, "protocol") from error
        except OSError as error:
            kind = "unreachable" if error.errno in _UNREACHABLE else "error"
            raise self._error(error.strerror or str(error), kind) from error
        finally:
            if sock is not None:
                sock.close()

    def _error(self, text: str, kind: str, **details: Any) -> StackError:
        self.seconds["total"] = round(time.monotonic() - self.started, 4)
        return StackError(
            "%s%s: %s" % (self.target.shown, self.path[len(self.parts.path.rstrip("/")) :], text),
            kind=kind,
            phase=self.phase,
            seconds=dict(self.seconds),
            **details,
        )

    def _left(self) -> float:
        left = self.started + self.timeout - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        return left

    def _next(self, phase: str, since: float) -> float:
        """Note how long the phase that has just ended took; the next one begins."""
        now = time.monotonic()
        self.seconds[self.phase] = round(now - since, 4)
        self.phase = phase
        return now

    def _resolve(self) -> list[tuple[Any, ...]]:
        host = self.target.address or self.host
        try:
            ipaddress.ip_address(host)
        except ValueError:
            found = self._look_up(host)
        else:
            found = socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        self._next("connect", self.started)
        return found

    def _look_up(self, host: str) -> list[tuple[Any, ...]]:
        """getaddrinfo knows no time-out: it is left behind in a thread of its own, which is born in our network namespace."""
        answers: list[Any] = []

        def look_up() -> None:
            try:
                answers.append(socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                answers.append(error)

        thread = threading.Thread(target=look_up, name="resolve", daemon=True)
        thread.start()
        thread.join(self._left())
        if not answers:
            raise socket.timeout("timed out")
        if isinstance(answers[0], UnicodeError):
            raise socket.gaierror(socket.EAI_NONAME, "not a host name")
        if isinstance(answers[0], OSError):
            raise answers[0]
        return answers[0]

    def _connect(self, addresses: list[tuple[Any, ...]]) -> socket.socket:
        since = time.monotonic()
        failure: OSError = OSError("no address")
        for family, kind, protocol, _name, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(self._left())
                sock.connect(address)
            except OSError as error:
                sock.close()
                failure = error
                if isinstance(error, socket.timeout):
                    raise
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._next("tls" if self.secure else "first_byte", since)
                return sock
        raise failure

    def _handshake(self, sock: socket.socket) -> socket.socket:
        since = time.monotonic()
        try:
            context = ssl.create_default_context(cafile=self.target.ca or None)
        except (OSError, ssl.SSLError) as error:
            sock.close()
            raise StackError("ca_path: %s cannot be used: %s" % (self.target.ca, error), kind="bad_option") from error
        if not self.target.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        sock.settimeout(self._left())
        try:
            wrapped = context.wrap_socket(sock, server_hostname=self.host)
        except BaseException:
            sock.close()
            raise
        self._next("first_byte", since)
        return wrapped

    def _exchange(self, sock: socket.socket) -> HttpAnswer:
        since = time.monotonic()
        connection = http.client.HTTPConnection(self.host, self.port)
        connection.sock = _Deadlined(sock, self._left)
        connection.putrequest("GET", self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self._headers().items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        self._next("body", since)
        body = response.read(self.limit + 1)
        self.seconds.pop("body", None)
        self.seconds["total"] = round(time.monotonic() - self.started, 4)
        headers = {name.lower(): value for name, value in response.getheaders()}
        return HttpAnswer(response.status, headers, body[: self.limit], dict(self.seconds), len(body) > self.limit)

    def _headers(self) -> dict[str, str]:
        headers = {
            "Host": self.parts.netloc.rpartition("@")[2],
            "User-Agent": USER_AGENT,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        if self.parts.username:
            pair = "%s:%s" % (unquote(self.parts.username), unquote(self.parts.password or ""))
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode("utf-8")).decode("ascii")
        headers.update(self.target.headers)
        return headers


class _Deadlined:
    """What http.client needs of a socket, where every read and write has only the time that is left: dripping does not outlast the deadline."""

    def __init__(self, sock: socket.socket, left: Callable[[], float]) -> None:
        self._sock = sock
        self._left = left

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock, self._left))

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._left())
        self._sock.sendall(data)

    def close(self) -> None:
        """http.client lets go of the socket before the body is read; whoever made the socket closes it."""


class _Reader(io.RawIOBase):
    def __init__(self, sock: socket.socket, left: Callable[[], float]) -> None:
        super().__init__()
        self._sock = sock
        self._left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._left())
        return self._sock.recv_into(buffer)
