"""An API server that stumbles, refuses and keeps silent, and what is made of it. The server is a real one on the loopback."""

from __future__ import annotations

import json
import socket
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.connect import kubernetes
from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubeconfig import Access
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

SECRET = "hunter2-secret"


class Api:
    """answers: a list of (status, headers, body), the last one for ever. asked: (method, path, query)."""

    def __init__(self):
        self.answers = []
        self.asked = []
        self.delay = 0.0

    def next(self):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def api():
    told = Api()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            parts = urlsplit(self.path)
            told.asked.append((self.command, parts.path, parse_qs(parts.query)))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            time.sleep(told.delay)
            status, headers, body = told.next()
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told.cluster = kubernetes.Cluster(Access("http://127.0.0.1:%d" % server.server_port, user={"token": SECRET}), timeout=1.0)
    yield told
    server.shutdown()
    server.server_close()


def status(message):
    return {"kind": "Status", "message": message}


PODS = "/api/v1/namespaces/shop/pods"
REFUSALS = [
    ("who we are is not accepted", 401, status("Unauthorized"), "auth"),
    ("a right is missing", 403, status('pods is forbidden: User "system:serviceaccount:shop:eye" cannot list'), "denied"),
    ("not there", 404, status("not found"), "not_found"),
    ("somebody else changed it", 409, status("conflict"), "conflict"),
    ("throttled", 429, status("too many requests"), "throttled"),
    ("broken", 500, status("etcdserver: request timed out"), "server_error"),
    ("no status at all", 503, b"<html>", "server_error"),
]


@pytest.mark.parametrize(("what", "code", "body", "kind"), REFUSALS, ids=[case[0] for case in REFUSALS])
def test_refusals(api, what, code, body, kind):
    api.answers = [(code, {"Retry-After": "9"} if code == 429 else {}, body)]
    with pytest.raises(StackError) as caught:
        api.cluster.get(PODS)
    assert caught.value.kind == kind
    assert SECRET not in caught.value.message + str(caught.value.details)


def test_the_missing_rule_is_named(api):
    api.answers = [(403, {}, status('pods is forbidden: User "system:serviceaccount:shop:eye" cannot list'))]
    with pytest.raises(StackError) as caught:
        api.cluster.get(PODS)
    assert caught.value.message == "system:serviceaccount:shop:eye may not list pods in the namespace shop"
    assert caught.value.details["fix"] == 'grant it in a Role: {apiGroups: [""], resources: ["pods"], verbs: ["list"]}'


RULES = [
    ("GET", "/api/v1/namespaces/shop/pods", ("", "pods", "list", "shop")),
    ("GET", "/api/v1/namespaces/shop/pods/api-1/log", ("", "pods/log", "get", "shop")),
    ("GET", "/api/v1/namespaces/shop/pods/api-1/exec", ("", "pods/exec", "create", "shop")),
    ("GET", "/api/v1/namespaces/shop/secrets/db", ("", "secrets", "get", "shop")),
    ("GET", "/api/v1/namespaces/shop", ("", "namespaces", "get", "shop")),
    ("GET", "/api/v1/nodes", ("", "nodes", "list", "")),
    ("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods", ("metrics.k8s.io", "pods", "list", "shop")),
    ("PATCH", "/apis/apps/v1/namespaces/shop/deployments/api/scale", ("apps", "deployments/scale", "patch", "shop")),
    ("DELETE", "/api/v1/namespaces/shop/pods/api-1", ("", "pods", "delete", "shop")),
]


@pytest.mark.parametrize(("method", "path", "expected"), RULES, ids=[case[1] for case in RULES])
def test_rules(method, path, expected):
    rule = kubernetes.rule_of(method, path)
    assert (rule["group"], rule["resource"], rule["verb"], rule["namespace"]) == expected


def test_pages(api):
    first = {"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "more"}}
    api.answers = [(200, {}, first), (200, {}, {"items": [{"metadata": {"name": "b"}}], "metadata": {}})]
    assert [one["metadata"]["name"] for one in api.cluster.every(PODS, {"labelSelector": "app=x"})] == ["a", "b"]
    assert [query.get("continue") for _method, _path, query in api.asked] == [None, ["more"]]
    assert all(query["limit"] == ["500"] and query["labelSelector"] == ["app=x"] for _method, _path, query in api.asked)


def test_a_list_that_took_too_long_is_begun_again(api):
    page = {"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "old"}}
    api.answers = [(200, {}, page), (410, {}, status("expired")), (200, {}, {"items": [{"metadata": {"name": "a"}}]})]
    assert len(api.cluster.every(PODS)) == 1


DATES = [
    ("in step with us", 0.0, "", 0.0),
    ("an hour ahead", 0.0, "3600", 3600.0),
    ("an hour behind", 0.0, "-3600", -3600.0),
    ("no date", 7.0, None, 7.0),
    ("the second before", 3600.0, "3599.6", 3600.0),
]


@pytest.mark.parametrize(("what", "known", "date", "ahead"), DATES, ids=[case[0] for case in DATES])
def test_the_servers_clock(api, what, known, date, ahead):
    api.cluster.ahead = known
    api.cluster._compare_clocks(None if date is None else formatdate(time.time() + float(date or 0), usegmt=True))
    assert abs(api.cluster.ahead - ahead) < 1.0 and (abs(known - ahead) > 1.0 or api.cluster.ahead == known)


STUMBLES = [
    ("throttled once", "GET", [(429, {"Retry-After": "0"}, status("slow down"))], True),
    ("throttled once, writing", "PATCH", [(429, {"Retry-After": "0"}, status("slow down"))], True),
    ("a server that stumbles", "GET", [(503, {}, status("leader lost"))], True),
    ("a server that stumbles while it is written to", "PATCH", [(503, {}, status("leader lost"))], False),
]


@pytest.mark.parametrize(("what", "method", "before", "goes_on"), STUMBLES, ids=[case[0] for case in STUMBLES])
def test_asked_again(api, what, method, before, goes_on):
    api.answers = [*before, (200, {}, {"kind": "Pod"})]
    if goes_on:
        assert api.cluster.change(method, PODS + "/a")["kind"] == "Pod"
    else:
        with pytest.raises(StackError):
            api.cluster.change(method, PODS + "/a")
        assert len(api.asked) == 1


def test_a_token_is_fetched_anew_once(api, tmp_path):
    token = tmp_path / "token"
    token.write_text(SECRET)
    api.cluster.access.user = {"tokenFile": str(token)}
    api.answers = [(401, {}, status("Unauthorized")), (200, {}, {"kind": "Pod"})]
    assert api.cluster.get(PODS + "/a")["kind"] == "Pod"


def test_slow(api):
    api.answers, api.delay = [(200, {}, {})], 1.6
    started = time.monotonic()
    with pytest.raises(StackError) as caught:
        api.cluster.get(PODS)
    assert caught.value.kind == "timeout" and time.monotonic() - started < 1.5


def test_what_was_written_is_not_quoted(api):
    api.answers = [(422, {}, status("Secret is invalid: data: %s" % SECRET))]
    with pytest.raises(StackError) as caught:
        api.cluster.change("POST", "/api/v1/namespaces/shop/secrets", {"data": {"a": SECRET}})
    assert caught.value.kind == "invalid" and SECRET not in caught.value.message


def test_no_api(api):
    api.answers = [(200, {}, b"<html>hello</html>")]
    with pytest.raises(StackError) as caught:
        api.cluster.get(PODS)
    assert caught.value.kind == "protocol"


def test_nobody_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(StackError) as caught:
        kubernetes.Cluster(Access("http://127.0.0.1:%d" % port), timeout=1.0).get("/version")
    assert caught.value.kind == "unreachable" and "connection refused" in caught.value.message
