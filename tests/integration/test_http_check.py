# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""http_check against a real server that misbehaves on purpose, through the module as Ansible runs it."""

from __future__ import annotations

import http.server
import json
import os
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest
from playing import ad_hoc

from ansible_collections.aiops.runbook.plugins.module_utils.connect.http import HttpTarget, get
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.http import observe_http
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

OK = (200, {"status": "ok"})
TOKEN = "plantedtoken-4711-ABCDEFGH"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the server's table: (status, JSON or text) or the name of a misbehaviour."""

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        answer = self.server.routes.get(self.path, (404, {"detail": "Not Found"}))
        if callable(answer):
            answer = answer(len([path for path, _headers in self.server.asked if path == self.path]))
        if answer == "hang":
            self.server.over.wait(30)
        elif answer == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif answer == "garbage":
            self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        elif answer == "drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _byte in range(1000):
                self.wfile.write(b"x")
                if self.server.over.wait(0.1):
                    break
        else:
            status, body = answer[:2]
            time.sleep(answer[2] if len(answer) > 2 else 0)
            text = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(text)))
            if 300 <= status < 400:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(text)

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, context=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.routes = {}
        self.asked = []
        self.over = threading.Event()
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = "%s://127.0.0.1:%d" % ("https" if context else "http", self.server_port)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request, client_address):
        pass

    def close(self):
        self.over.set()
        self.shutdown()
        self.server_close()


@pytest.fixture
def server():
    one = Server()
    one.routes = {"/health": OK, "/ready": (200, {"status": "ready", "checks": {"database": "ok", "redis": "ok"}}), "/docs": (200, "<html>")}
    yield one
    one.close()


def check(url, **options):
    """The result of the module, run by Ansible in check mode on this machine."""
    command = ad_hoc("http_check", {"url": url, "timeout": 1.0, "sample": 0, **options}, "--check")
    settings = {
        **os.environ,
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    }
    done = subprocess.run(command, env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    output = done.stdout + done.stderr
    assert TOKEN not in output
    try:
        return json.loads(done.stdout[done.stdout.index("{") :])["plays"][0]["tasks"][0]["hosts"]["localhost"]
    except (ValueError, KeyError, IndexError):
        raise AssertionError(output) from None


def ids(result):
    return {finding["id"]: finding for finding in result["findings"]}


def test_healthy(server):
    result = check(server.url, headers={"X-Token": TOKEN})
    assert (ids(result), result["verdict"], result["changed"]) == ({}, "healthy", False)
    assert {one["id"] for one in result["cleared"]} == {"http.unreachable", "http.hung", "http.unhealthy", "http.not_ready", "http.slow"}
    assert not result["unknown"]  # no metrics are offered
    assert set(result["facts"]["routes"]["/health"]["phases"]) == {"dns", "connect", "tls", "first_byte", "total"}
    path, headers = server.asked[0]
    assert headers["User-Agent"] == "aiops.runbook/0.1" and headers["X-Token"] == TOKEN and headers["Host"] == server.url[7:]
    assert sorted(path for path, _headers in server.asked) == ["/docs", "/health", "/metrics", "/ready"]


def test_hung_after_accept_costs_its_own_answer(server):
    server.routes["/ready"] = "hang"
    result = check(server.url)
    assert list(ids(result)) == ["http.hung"]
    assert ids(result)["http.hung"]["evidence"]["routes"] == ["/ready"]
    assert "http.unhealthy" in {one["id"] for one in result["cleared"]}


def test_not_ready(server):
    server.routes["/ready"] = (503, {"status": "not ready", "checks": {"database": "OperationalError: connection refused", "redis": "ok"}})
    result = check(server.url)
    assert ids(result)["http.not_ready"]["evidence"]["failing"] == ["database"]
    assert (list(ids(result)), result["verdict"]) == (["http.not_ready"], "down")


def test_slow_and_a_limit_of_its_own(server):
    server.routes["/health"] = (200, {"status": "ok"}, 0.4)
    assert ids(check(server.url, limits={"http_slow_ms_warning": 300}))["http.slow"]["evidence"]["route"] == "/health"
    assert not ids(check(server.url, limits={"http_slow_ms_warning": 300}, route_limits={"/health": {"http_slow_ms_warning": 900}}))


@pytest.mark.parametrize("answer,kind", [("reset", "reset"), ("garbage", "protocol")])
def test_no_http(server, answer, kind):
    server.routes = dict.fromkeys(("/health", "/ready", "/metrics", "/docs"), answer)
    assert ids(check(server.url))["http.unreachable"]["evidence"]["kind"] == kind


def test_refused():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        result = check("http://127.0.0.1:%d" % free.getsockname()[1])
    assert ids(result)["http.unreachable"]["evidence"]["kind"] == "refused"


def test_no_such_name():
    result = check("http://no-such-host.invalid")
    assert ids(result)["http.unreachable"]["evidence"]["kind"] == "dns"


def test_a_wrong_option_is_named():
    result = check("postgresql://app:%s@db/app" % TOKEN)
    assert result["failed"] and result["kind"] == "bad_option" and result["msg"].startswith("url:")


def test_an_expired_certificate(tmp_path):
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(now - datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    one = Server(context)
    one.routes = {"/health": OK}
    try:
        url = one.url.replace("127.0.0.1", "localhost")
        evidence = ids(check(url, address="127.0.0.1", ca_path=str(pem)))["http.unreachable"]["evidence"]
        assert evidence["kind"] == "tls" and "expired" in evidence["reason"]
        assert not ids(check(url, address="127.0.0.1", validate_certs=False))
    finally:
        one.close()


def _metrics(served, failed, start=1.0):
    return (
        200,
        'process_start_time_seconds %s\nhttp_request_duration_seconds_bucket{route="/pay",le="0.5"} '
        '%d\nhttp_request_duration_seconds_bucket{route="/pay",le="+Inf"} %d\n'
        'http_request_duration_seconds_count{route="/pay"} %d\nhttp_request_duration_seconds_sum{route="/pay"} 1\n'
        'http_requests_total{route="/pay",status="200"} %d\nhttp_requests_total{route="/pay",status="500"} %d\n'
        % (start, served, served, served, served - failed, failed),
    )


def test_server_errors_between_two_readings(server):
    server.routes["/metrics"] = lambda time: _metrics(100 * time, 40 * time)
    evidence = ids(check(server.url, sample=0.2))["http.errors"]["evidence"]
    assert (evidence["percent"], evidence["errors"], evidence["requests"], evidence["route"]) == (40.0, 40, 100, "/pay")


def test_metrics_of_one_worker_among_several_are_not_counted(server):
    server.routes["/metrics"] = lambda time: _metrics(100, 0, start=float(time))
    result = check(server.url, sample=0.1)
    assert result["facts"]["metrics"]["multiprocess"]["suspicious"]
    assert "http.errors" not in {one["id"] for one in result["cleared"]}


@pytest.mark.parametrize("route,phase", [("hang", "first_byte"), ("drip", "body")])
def test_one_deadline_for_everything(server, route, phase):
    server.routes["/health"] = route
    began = time.monotonic()
    with pytest.raises(StackError) as failure:
        get(HttpTarget(server.url), "/health", 0.5)
    assert (failure.value.kind, failure.value.details["phase"]) == ("timeout", phase)
    assert time.monotonic() - began < 20


def test_a_listener_that_never_accepts_the_request():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        began = time.monotonic()
        seen = observe_http("api", HttpTarget("http://127.0.0.1:%d" % listener.getsockname()[1]), Mask(), 0.5)
        assert time.monotonic() - began < 20
    assert seen["answers"]["unseen"]["kind"] == "timeout"
    assert {answer["error"]["phase"] for answer in seen["routes"].values()} == {"first_byte"}


def test_redirects_are_recorded_and_not_followed(server):
    server.routes["/health"] = (307, "")
    seen = observe_http("api", HttpTarget(server.url), Mask(), 1.0)
    assert (seen["routes"]["/health"]["status"], seen["routes"]["/health"]["location"]) == (307, "/elsewhere")
    assert "/elsewhere" not in [path for path, _headers in server.asked]


def test_each_thread_enters_first(server):
    entered = []
    observe_http("api", HttpTarget(server.url), Mask(), 1.0, enter=lambda: entered.append(threading.get_ident()))
    assert len(entered) == 4


def test_a_body_is_cut_at_the_limit(server):
    server.routes["/big"] = (200, "x" * 5000)
    answer = get(HttpTarget(server.url), "/big", 1.0, limit=1000)
    assert (len(answer.body), answer.truncated) == (1000, True)


def test_a_path_cannot_smuggle_a_header(server):
    get(HttpTarget(server.url), "/health HTTP/1.1\r\nX-Evil: 1", 1.0)
    assert "X-Evil" not in server.asked[-1][1]
