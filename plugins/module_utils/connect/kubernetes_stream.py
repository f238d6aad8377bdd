# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goes through the API server into a pod: a command, and a connection to one of its ports. Both by websocket."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

from ansible_collections.aiops.runbook.plugins.module_utils.connect.http import USER_AGENT
from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubernetes import Cluster, refusal
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

IMPORT_ERROR = ""
try:
    import websocket
except ImportError as error:
    websocket = None
    IMPORT_ERROR = str(error)

PROTOCOL = "v4.channel.k8s.io"
STDIN, STDOUT, STDERR, STATUS = 0, 1, 2, 3
# A command's output is facts, not a download.
MOST_OUTPUT = 4 << 20
CHUNK = 1 << 16
# So long a refused connection takes to be told.
MOMENT = 0.15


def run_in_pod(
    cluster: Cluster, namespace: str, pod: str, container: str, command: list[str], timeout: float, stdin: bytes | None = None
) -> tuple[int, bytes, bytes]:
    """(exit code, output, error output) of a command in a running container.

    StackError kinds beside those of Cluster: no_command (the container has no such program), timeout, not_running.
    """
    query: list[tuple[str, str]] = [("container", container), *(("command", word) for word in command), ("stdout", "true"), ("stderr", "true")]
    if stdin is not None:
        query.append(("stdin", "true"))
    until = time.monotonic() + timeout
    link = _open(cluster, "/api/v1/namespaces/%s/pods/%s/exec" % (namespace, pod), query, timeout)
    found = {STDOUT: bytearray(), STDERR: bytearray(), STATUS: bytearray()}
    try:
        if stdin is not None:
            link.send_binary(bytes([STDIN]) + stdin)
        while sum(map(len, found.values())) < MOST_OUTPUT:
            # The status may overtake the last of the output; the end of the connection does not.
            link.settimeout(max(0.01, until - time.monotonic() if not found[STATUS] else min(1.0, until - time.monotonic())))
            code, data = link.recv_data()
            if code == websocket.ABNF.OPCODE_CLOSE:
                break
            if data and data[0] in found:
                found[data[0]] += data[1:]
    except (websocket.WebSocketTimeoutException, socket.timeout):
        if not found[STATUS]:
            raise StackError("a command in the pod %s did not end within %g s" % (pod, timeout), kind="timeout") from None
    except (websocket.WebSocketException, OSError):
        if not found[STATUS]:
            raise StackError("the connection into the pod %s broke" % pod, kind="reset") from None
    finally:
        _close(link)
    return _exit_code(bytes(found[STATUS]), pod), bytes(found[STDOUT]), bytes(found[STDERR])


def _exit_code(status: bytes, pod: str) -> int:
    try:
        told: dict[str, Any] = json.loads(status)
    except ValueError:
        raise StackError("a command in the pod %s ended without a status" % pod, kind="protocol") from None
    if told.get("status") == "Success":
        return 0
    for cause in (told.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode" and str(cause.get("message", "")).isdigit():
            return int(cause["message"])
    said = str(told.get("message") or "")
    if any(words in said for words in ("executable file not found", "no such file or directory", "permission denied")):
        raise StackError("the pod %s has no such program" % pod, kind="no_command")
    raise StackError("a command could not be run in the pod %s: %s" % (pod, said.rsplit(": ", 1)[-1][:200]), kind="not_running")


class Forward:
    """A port of this machine's loopback that leads to a port of a pod, for as long as the run lasts. port: here.

    Each connection goes by a websocket of its own, as with kubectl port-forward; a port on which nothing listens in the pod shows
    as a connection that is closed at once.
    """

    def __init__(self, cluster: Cluster, namespace: str, pod: str, port: int, timeout: float) -> None:
        self._where = (cluster, "/api/v1/namespaces/%s/pods/%s/portforward" % (namespace, pod), [("ports", str(port))], timeout)
        # The first connection is opened at once: what is refused (a right, a pod that is gone, a port) is told here, with its reason.
        self._spare: Any = _open(*self._where)
        self._early = self._first_words(pod, port)
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(16)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, name="forward-%d" % self.port, daemon=True).start()

    def _first_words(self, pod: str, port: int) -> list[tuple[int, bytes]]:
        """What came on the first connection, for a moment; StackError(kind="refused") when nothing listens there."""
        found: list[tuple[int, bytes]] = []
        said: dict[int, bytes] = {}
        self._spare.settimeout(MOMENT)
        with contextlib.suppress(websocket.WebSocketException, OSError):
            while len(found) < 8:
                code, data = self._spare.recv_data()
                found.append((code, data))
                if data:
                    # The first message of a channel names its port.
                    said[data[0]] = said[data[0]] + data[1:] if data[0] in said else b""
        if said.get(1):
            _close(self._spare)
            raise StackError("nothing listens on port %d of the pod %s" % (port, pod), kind="refused")
        return found

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._bridge, args=(client,), name="forwarded", daemon=True).start()

    def _bridge(self, client: socket.socket) -> None:
        link, self._spare = self._spare, None
        early, self._early = (self._early, []) if link else ([], self._early)
        try:
            link = link or _open(*self._where)
        except StackError:
            client.close()
            return
        link.settimeout(None)
        threading.Thread(target=_upstream, args=(client, link), name="forwarded-up", daemon=True).start()
        greeted = set()
        try:
            while True:
                code, data = early.pop(0) if early else link.recv_data()
                if code == websocket.ABNF.OPCODE_CLOSE or not data:
                    break
                channel = data[0]
                if channel not in greeted:  # the first message of a channel names its port
                    greeted.add(channel)
                    data = data[3:]
                    if channel == 0 and not data:
                        continue
                else:
                    data = data[1:]
                if channel == 1 and data:
                    break  # the other end could not be reached, or closed with an error
                if channel == 0:
                    client.sendall(data)
        except (websocket.WebSocketException, OSError):
            pass
        finally:
            _close(link)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()


def _upstream(client: socket.socket, link: Any) -> None:
    try:
        while True:
            data = client.recv(CHUNK)
            if not data:
                break
            link.send_binary(b"\0" + data)
    except (websocket.WebSocketException, OSError):
        pass
    finally:
        _close(link)


def _open(cluster: Cluster, path: str, query: list[tuple[str, str]], timeout: float) -> Any:
    """A websocket to a path of the API."""
    if websocket is None:
        raise StackError("the Python library websocket-client is missing (%s): run the role aiops.runbook.prepare" % IMPORT_ERROR, kind="missing_library")
    parts = urlsplit(cluster.access.server)
    secure = parts.scheme == "https"
    headers = ["%s: %s" % pair for pair in {**cluster.access.headers(), "User-Agent": USER_AGENT}.items()]
    url = "%s://%s%s%s?%s" % ("wss" if secure else "ws", parts.netloc, parts.path, path, urlencode(query))
    plain = None
    try:
        plain = _connect(cluster, parts.hostname or "", parts.port or (443 if secure else 80), timeout)
        link = plain
        if secure and cluster.access.context is not None:
            link = cluster.access.context.wrap_socket(plain, server_hostname=cluster.access.tls_name or parts.hostname)
        return websocket.create_connection(url, socket=link, header=headers, subprotocols=[PROTOCOL], timeout=timeout, enable_multithread=True)
    except websocket.WebSocketBadStatusException as error:
        raise refusal(error.status_code, getattr(error, "resp_body", None) or b"", "GET", path) from None
    except (websocket.WebSocketTimeoutException, socket.timeout):
        raise StackError("the API server %s did not open a way into the pod in time" % cluster.access.server, kind="timeout") from None
    except (websocket.WebSocketException, OSError) as error:
        raise StackError("the API server %s did not open a way into the pod (%s)" % (cluster.access.server, type(error).__name__), kind="unreachable") from None


def _connect(cluster: Cluster, host: str, port: int, timeout: float) -> socket.socket:
    """A TCP connection to the API server, through the kubeconfig's proxy where it names one."""
    if not cluster.access.proxy:
        link = socket.create_connection((host, port), timeout=timeout)
    else:
        proxy = urlsplit(cluster.access.proxy)
        link = socket.create_connection((proxy.hostname or "", proxy.port or 3128), timeout=timeout)
        link.sendall(b"CONNECT %s:%d HTTP/1.1\r\nHost: %s:%d\r\n\r\n" % (host.encode(), port, host.encode(), port))
        answer = b""
        while b"\r\n\r\n" not in answer and len(answer) < CHUNK:
            data = link.recv(4096)
            if not data:
                break
            answer += data
        if b" 200 " not in answer.split(b"\r\n", 1)[0] + b" ":
            link.close()
            raise OSError("the proxy refused")
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def _close(link: Any) -> None:
    """Without the farewell, which would be waited for."""
    with contextlib.suppress(Exception):
        link.sock.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(Exception):
        link.shutdown()
