# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import json

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.connect.http import HttpAnswer, HttpTarget
from ansible_collections.aiops.runbook.plugins.module_utils.judge import http as _judges  # noqa: F401  registers
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import Clear, Finding, Unseen, unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.exposition import between, quantile, read_metrics, resets
from ansible_collections.aiops.runbook.plugins.module_utils.observe.http import kind_of, observe_http, read_checks
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask


def route(path, status=200, seconds=0.01, error=None, **more):
    return {"kind": kind_of(path), "status": status, "seconds": seconds, "error": error, "state": None, "checks": {}, "details": {}, "location": None, **more}


def lost(path, kind, phase, seconds=0.01):
    return route(path, None, seconds, {"message": "http://api:8000%s: %s" % (path, kind), "kind": kind, "phase": phase})


def facts(*routes, answers=True, metrics=None, after=None):
    paths = ("/health", "/ready", "/metrics", "/docs")
    given = dict(zip(paths, routes))
    return {
        "component": "api",
        "url": "http://api:8000",
        "address": "",
        "answers": answers,
        "routes": given,
        "metrics": metrics or unseen("no metrics"),
        "metrics_after": after or unseen("read once"),
    }


def judged(seen, **limits):
    return {answer.id: answer for answer in judge_domain("http", seen, Limits(**limits))}


HEALTHY = facts(route("/health"), route("/ready", checks={"database": "ok", "redis": "ok"}), route("/metrics"), route("/docs"))


def test_healthy_gives_no_finding_and_says_what_was_looked_at():
    answers = judged(HEALTHY)
    assert not [answer for answer in answers.values() if isinstance(answer, Finding)]
    assert answers["http.not_ready"].evidence["checks"] == ["database", "redis"]
    assert answers["http.slow"].evidence["ms"] == 10
    assert isinstance(answers["http.errors"], Unseen)


@pytest.mark.parametrize(
    "kind,phase", [("refused", "connect"), ("timeout", "connect"), ("reset", "first_byte"), ("dns", "dns"), ("tls", "tls"), ("unreachable", "connect")]
)
def test_unreachable(kind, phase):
    seen = facts(*(lost(path, kind, phase) for path in ("/health", "/ready", "/metrics", "/docs")), answers=unseen("it is " + kind, kind=kind))
    answers = judged(seen)
    assert isinstance(answers["http.unreachable"], Finding)
    assert answers["http.unreachable"].evidence["kind"] == kind
    assert all(isinstance(answers[some], Unseen) for some in ("http.hung", "http.unhealthy", "http.not_ready", "http.slow", "http.errors"))


def test_hung_everywhere_is_not_unreachable():
    seen = facts(*(lost(path, "timeout", "first_byte", 5.0) for path in ("/health", "/ready", "/metrics", "/docs")), answers=unseen("hangs", kind="timeout"))
    answers = judged(seen)
    assert isinstance(answers["http.unreachable"], Clear)
    assert isinstance(answers["http.hung"], Finding)
    assert answers["http.hung"].evidence["routes"] == ["/health", "/ready", "/metrics", "/docs"]


def test_one_hung_route_costs_its_own_answer():
    answers = judged(facts(route("/health"), lost("/ready", "timeout", "first_byte", 5.0), route("/metrics", 404), route("/docs", 404)))
    assert answers["http.hung"].evidence["route"] == "/ready"
    assert answers["http.hung"].evidence["seconds"] == 5.0
    assert isinstance(answers["http.unreachable"], Clear)
    assert isinstance(answers["http.not_ready"], Unseen)
    assert isinstance(answers["http.unhealthy"], Clear)


def test_not_ready_names_what_fails():
    ready = route("/ready", 503, state="fail", checks={"database": "fail", "redis": "ok"}, details={"database": "connection refused"})
    answer = judged(facts(route("/health"), ready))["http.not_ready"]
    assert isinstance(answer, Finding)
    assert answer.severity == "critical"
    assert answer.evidence["failing"] == ["database"]


@pytest.mark.parametrize(
    "health,kind",
    [
        (route("/health", 500), Finding),
        (route("/health", 200, state="fail"), Finding),
        (route("/health", 404), Unseen),
        (route("/health", 401), Unseen),
        (route("/health", 307, location="/health/"), Unseen),
        (route("/health", 204), Clear),
    ],
)
def test_health(health, kind):
    assert isinstance(judged(facts(health))["http.unhealthy"], kind)


HOSTS = [
    ("it serves its own host names only", [route(path, 400) for path in ("/health", "/ready", "/docs")], Unseen),
    ("its health alone", [route("/health", 400), route("/ready"), route("/docs")], Finding),
    ("nothing else was asked", [route("/health", 400)], Finding),
]


@pytest.mark.parametrize(("what", "routes", "kind"), HOSTS, ids=[case[0] for case in HOSTS])
def test_a_bad_request(what, routes, kind):
    assert isinstance(judged(facts(*routes))["http.unhealthy"], kind)


PAGE = {"content_type": "text/html"}
PAGES = [
    ("a page for everything", [route(path, **PAGE) for path in ("/health", "/ready", "/metrics", "/docs")], Unseen),
    ("a word as a page", [route("/health", **PAGE), route("/ready", 404), route("/metrics", 404, **PAGE), route("/docs", **PAGE)], Clear),
    ("nothing else was asked", [route("/health", **PAGE)], Clear),
]


@pytest.mark.parametrize(("what", "routes", "kind"), PAGES, ids=[case[0] for case in PAGES])
def test_a_page_is_no_health(what, routes, kind):
    assert isinstance(judged(facts(*routes))["http.unhealthy"], kind)


SLASHES = [
    ("its own, with a slash", "/health", "http://127.0.0.1:8000/health/", ["/health", "/health/"], 200),
    ("behind a prefix", "/health", "/v1/health/", ["/health", "/health/"], 200),
    ("another route", "/health", "/login/", ["/health"], 307),
    ("by another way", "/health", "https://shop.example/health", ["/health"], 307),
]


@pytest.mark.parametrize(("what", "path", "location", "expected", "status"), SLASHES, ids=[case[0] for case in SLASHES])
def test_a_redirect_to_the_same_route(monkeypatch, what, path, location, expected, status):
    asked = []

    def get(_target, path, _timeout, _limit):
        asked.append(path)
        found = path.endswith("/")
        return HttpAnswer(200 if found else 307, {} if found else {"location": location}, b"{}", {"total": 0.01})

    monkeypatch.setattr("ansible_collections.aiops.runbook.plugins.module_utils.observe.http.get", get)
    seen = observe_http("api", HttpTarget("http://127.0.0.1:8000"), Mask(), 2.0, routes=(path,))
    assert (asked, seen["routes"][path]["status"]) == (expected, status)


def test_what_is_not_offered_is_no_illness():
    answers = judged(facts(route("/health"), route("/ready", 404), route("/metrics", 404), route("/docs", 404)))
    assert not [answer for answer in answers.values() if isinstance(answer, Finding)]
    assert "http.not_ready" not in answers, "a route that the application does not have is no gap where its health route speaks"


@pytest.mark.parametrize(
    "seconds,limits,severity",
    [
        (0.999, {}, None),
        (1.0, {}, "warning"),
        (5.0, {}, "critical"),
        (2.0, {"routes": {"/health": {"http_slow_ms_warning": 3000}}}, None),
        (2.0, {"components": {"api": {"http_slow_ms_warning": 3000}}}, None),
    ],
)
def test_slow_probe(seconds, limits, severity):
    answer = judged(facts(route("/health", seconds=seconds)), **limits)["http.slow"]
    assert (answer.severity if isinstance(answer, Finding) else None) == severity


EXPOSITION = """# HELP http_request_duration_seconds Duration
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{method="GET",route="/api/v1/items",le="0.1"} 90
http_request_duration_seconds_bucket{method="GET",route="/api/v1/items",le="1.0"} 95
http_request_duration_seconds_bucket{method="GET",route="/api/v1/items",le="10.0"} 100
http_request_duration_seconds_bucket{method="GET",route="/api/v1/items",le="+Inf"} 100
http_request_duration_seconds_count{method="GET",route="/api/v1/items"} 100
http_request_duration_seconds_sum{method="GET",route="/api/v1/items"} 30.5
http_request_duration_seconds_bucket{method="GET",route="/health",le="+Inf"} 7
http_request_duration_seconds_count{method="GET",route="/health"} 7
http_request_duration_seconds_sum{method="GET",route="/health"} 0.1
http_requests_total{method="GET",route="/api/v1/items",status="200"} 97
http_requests_total{method="GET",route="/api/v1/items",status="500"} 3
http_requests_total{method="GET",route="/health",status="200"} 7
http_client_request_duration_seconds_count{route="/elsewhere"} 9000
process_resident_memory_bytes 5.4e+07
process_start_time_seconds 1.7e+09
"""


def exposition(slow=0, failed=0, served=0, start="1.7e+09"):
    text = EXPOSITION.replace('le="0.1"} 90', 'le="0.1"} %d' % (90 + served)).replace('le="1.0"} 95', 'le="1.0"} %d' % (95 + served))
    text = text.replace('le="10.0"} 100', 'le="10.0"} %d' % (100 + served + slow)).replace(
        'route="/api/v1/items",le="+Inf"} 100', 'route="/api/v1/items",le="+Inf"} %d' % (100 + served + slow)
    )
    text = text.replace('_count{method="GET",route="/api/v1/items"} 100', '_count{method="GET",route="/api/v1/items"} %d' % (100 + served + slow))
    text = text.replace('status="500"} 3', 'status="500"} %d' % (3 + failed)).replace("1.7e+09", start)
    return read_metrics(text, ("/health", "/metrics"), Mask())


def test_exposition():
    seen = exposition()
    assert list(seen["routes"]) == ["/api/v1/items"]
    items = seen["routes"]["/api/v1/items"]
    assert (items["count"], items["sum"], items["p95"]) == (100, 30.5, 1.0)
    assert items["p50"] == pytest.approx(0.0556, abs=0.001)
    assert items["classes"] == {"2xx": 97, "5xx": 3}
    assert seen["process"]["resident_memory_bytes"] == 5.4e7
    json.dumps(seen)


def test_no_exposition():
    assert read_metrics("<!doctype html><html><body>app</body></html>", (), Mask()) is None


@pytest.mark.parametrize(
    "line",
    [
        "http_request_duration_seconds_bucket{le=",
        "}{",
        'a{b="c\\',
        "x " * 5000,
        "a{" + 'b="c",' * 3000 + "} 1",
        "\x00",
        'http_requests_total{status="200"} NaN',
    ],
)
def test_hostile_exposition(line):
    read_metrics(line + "\n" + EXPOSITION, (), Mask())


def test_milliseconds():
    text = (
        'http_server_request_duration_milliseconds_bucket{http_route="/a",le="100"} '
        '1\nhttp_server_request_duration_milliseconds_bucket{http_route="/a",le="+Inf"} 1\n'
    )
    text += 'http_server_request_duration_milliseconds_count{http_route="/a"} 1\nhttp_server_request_duration_milliseconds_sum{http_route="/a"} 80\n'
    assert read_metrics(text, (), Mask())["routes"]["/a"]["sum"] == 0.08


def test_what_happened_between():
    recent = between(exposition(), exposition(served=10, slow=10))["/api/v1/items"]
    assert recent["count"] == 20
    assert 1.0 < recent["p95"] <= 10.0


def test_resets():
    assert resets(exposition(), exposition(served=1)) == ""
    assert "different times" in resets(exposition(), exposition(start="1.8e+09"))
    assert "backwards" in resets(exposition(served=1), exposition())


def test_p95_of_now_not_of_the_lifetime():
    calm = judged(facts(route("/health"), metrics=exposition(slow=500), after=exposition(slow=500, served=20)))["http.slow"]
    assert isinstance(calm, Clear) and calm.evidence["watched"] == 1
    ill = judged(facts(route("/health"), metrics=exposition(), after=exposition(served=5, slow=15)))["http.slow"]
    assert isinstance(ill, Finding)
    assert ill.evidence["route"] == "/api/v1/items" and ill.evidence["by"] == "p95"


def test_llm_routes_have_no_limit_but_their_own():
    def chat(metrics):
        return {**metrics, "routes": {"/api/v1/chat": metrics["routes"]["/api/v1/items"]}}

    seen = facts(route("/health"), metrics=chat(exposition()), after=chat(exposition(slow=20)))
    assert isinstance(judged(seen)["http.slow"], Clear)
    assert isinstance(judged(seen, routes={"/api/v1/chat": {"http_route_p95_ms_warning": 900}})["http.slow"], Finding)


@pytest.mark.parametrize("failed,served,severity", [(0, 20, None), (1, 20, None), (2, 20, "warning"), (10, 20, "critical"), (2, 100, None)])
def test_errors(failed, served, severity):
    answer = judged(facts(route("/health"), metrics=exposition(), after=exposition(served=served, failed=failed)))["http.errors"]
    assert (answer.severity if isinstance(answer, Finding) else None) == severity
    if severity:
        assert answer.evidence["route"] == "/api/v1/items"


def test_a_5xx_to_our_own_request():
    answer = judged(facts(route("/health"), route("/ready"), route("/metrics", 500), route("/docs")))["http.errors"]
    assert isinstance(answer, Finding) and answer.severity == "warning"


@pytest.mark.parametrize(
    "bounds,share,wanted",
    [
        ([], 0.95, None),
        ([[0.1, 0], [None, 0]], 0.95, None),
        ([[0.1, 100], [None, 100]], 0.5, 0.05),
        ([[0.1, 50], [None, 100]], 0.95, 0.1),
    ],
)
def test_quantile(bounds, share, wanted):
    assert quantile(bounds, share) == wanted


@pytest.mark.parametrize(
    "body,state,checks",
    [
        ({"status": "ok"}, "ok", {}),
        ({"status": "healthy", "version": "1.2", "environment": "production", "debug": False}, "ok", {}),
        ({"status": "not ready", "checks": {"database": {"status": "down"}, "redis": {"status": "up"}}}, "fail", {"database": "fail", "redis": "ok"}),
        ({"status": "error", "database": "error: connection refused", "redis": "ok"}, "fail", {"database": "fail", "redis": "ok"}),
        ({"ready": False, "checks": {"postgres": False, "redis": True}}, "fail", {"postgres": "fail", "redis": "ok"}),
        ({"database": True, "cache": False}, None, {"database": "ok", "cache": "fail"}),
        ({"status": "UP", "components": {"db": {"status": "UP", "details": {"database": "PostgreSQL"}}}}, "ok", {"db": "ok"}),
        ({"status": "pass", "checks": {"postgres:responseTime": [{"status": "pass", "observedValue": 3}]}}, "ok", {"postgres:responseTime": "ok"}),
        ({"checks": [{"name": "redis", "status": "unhealthy", "error": "timeout"}]}, None, {"redis": "fail"}),
        ({"detail": {"status": "not_ready", "checks": {"database": "fail"}}}, "fail", {"database": "fail"}),
        ({"detail": "Service Unavailable"}, None, {}),
        ({"status": "degraded", "llm": "degraded"}, None, {}),
        (True, "ok", {}),
        ("ok", "ok", {}),
        ([1, 2], None, {}),
        (None, None, {}),
    ],
)
def test_checks_by_shape(body, state, checks):
    said = read_checks(json.dumps(body).encode(), Mask())
    assert (said["state"], said["checks"]) == (state, checks)


def test_checks_hold_no_secret():
    body = {"checks": {"database": "error: postgresql://app:s3cr3tvalue@db/app refused"}}
    assert "s3cr3tvalue" not in json.dumps(read_checks(json.dumps(body).encode(), Mask()))


@pytest.mark.parametrize("body", [b"", b"ok", b"<html>", b"\xff\xfe", b"[" * 100000, b'{"a":' * 5000])
def test_checks_of_anything(body):
    assert read_checks(body, Mask())["checks"] == {}
