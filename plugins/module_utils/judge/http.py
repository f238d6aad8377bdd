# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Is the API there, does it answer, does it call itself ready, is it slow, does it fail?"""

from __future__ import annotations

import re
from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, MEDIUM, WARNING, Clear, Finding, Unseen, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.exposition import between

DOMAIN = "http"
# An answer of one of these phases was waited for with the connection made.
_CONNECTED = ("first_byte", "body")
# Slow by nature: a time limit must be given for the route itself.
_SLOW_BY_NATURE = re.compile(r"(?:^|[/_.-])(?:llm|agents?|chat|completions?|generate|generation|embeddings?|stream|ws)(?:$|[/_.-])", re.IGNORECASE)
_LOGIN = (401, 403)
# Why an application that works well has no figures between two moments: no metrics, or those of one process among several.
NO_RATES = ("not_offered", "multiprocess", "absent")
# Fewer requests than this between two samples are no distribution, and fewer failures no trend.
_FEWEST_REQUESTS = 5
_FEWEST_ERRORS = 2


@judges("http.unreachable", domain="http")
def unreachable(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """No route gave an answer, and not because the server was slow: refused, reset, no name, no route, TLS, or not even a connection."""
    component, routes = seen["component"], _routes(seen)
    why = why_unseen(seen.get("answers"))
    if not why:
        yield Clear(
            "http.unreachable", component, {"url": seen["url"], "answered": len([1 for _path, answer in routes if answer["status"]]), "asked": len(routes)}
        )
        return
    if not routes:
        if why["kind"] == "refused":
            yield Finding(
                "http.unreachable",
                component,
                CRITICAL,
                {"url": seen.get("url", ""), "address": "", "kind": "refused", "kinds": ["refused"], "reason": why["reason"], "routes": []},
            )
        else:
            yield Unseen("http.unreachable", component, why["reason"], why["fix"])
        return
    lost = [(path, answer) for path, answer in routes if not _hung(answer)]
    if lost:
        kinds = sorted({answer["error"]["kind"] for _path, answer in lost if answer["error"]})
        yield Finding(
            "http.unreachable",
            component,
            CRITICAL,
            {
                "url": seen["url"],
                "address": seen.get("address", ""),
                "kind": why["kind"],
                "kinds": kinds,
                "reason": why["reason"],
                "routes": [path for path, _answer in lost],
            },
        )
    else:
        yield Clear("http.unreachable", component, {"url": seen["url"], "answered": 0, "asked": len(routes), "connects": True})


@judges("http.hung", domain="http")
def hung(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """The connection is taken and then nothing comes within the time-out: a thing of its own, worse than slow and not down."""
    component = seen["component"]
    hangs = [(path, answer) for path, answer in _routes(seen) if _hung(answer)]
    answered = [(path, answer) for path, answer in _routes(seen) if answer["status"]]
    if hangs:
        important = any(answer["kind"] in ("health", "ready", "other") for _path, answer in hangs)
        path, answer = next(((path, answer) for path, answer in hangs if answer["kind"] in ("health", "ready", "other")), hangs[0])
        yield Finding(
            "http.hung",
            component,
            CRITICAL if important else WARNING,
            {
                "url": seen["url"],
                "route": path,
                "seconds": round(answer["seconds"], 1),
                "routes": [some for some, _answer in hangs],
                "answered": [some for some, _answer in answered],
            },
        )
    elif answered:
        path, answer = max(answered, key=lambda item: item[1]["seconds"])
        yield Clear("http.hung", component, {"url": seen["url"], "answered": len(answered), "route": path, "ms": _ms(answer)})
    else:
        yield _unanswered("http.hung", seen)


@judges("http.unhealthy", domain="http", needs=["answers"])
def unhealthy(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """The health route answers anything but 2xx, or says itself that it fails."""
    yield from _operational(seen, "health", "http.unhealthy")


@judges("http.not_ready", domain="http", needs=["answers"])
def not_ready(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """The ready route answers anything but 2xx, or names a dependency that fails. Not having one is no illness."""
    yield from _operational(seen, "ready", "http.not_ready")


@judges("http.slow", domain="http", needs=["answers"])
def slow(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """An asked route took longer than http_slow_ms, or the 95th percentile of the requests of now is over http_route_p95_ms.

    The percentile is that between two readings of /metrics, never the one since the process began.
    """
    component = seen["component"]
    found: list[tuple[str, dict[str, Any]]] = []
    timed = [(path, _ms(answer)) for path, answer in _routes(seen) if answer["status"]]
    for path, took in timed:
        level = limits.grade("http_slow_ms", took, component, path)
        if level:
            found.append((level, {"route": path, "ms": took, "limit_ms": limits.get("http_slow_ms", level, component, path), "by": "probe"}))
    recent = _between(seen) or {}
    watched = 0
    for route, some in recent.items():
        if some["count"] < _FEWEST_REQUESTS or some["p95"] is None or _left_out(route, limits, component):
            continue
        watched += 1
        took = int(round(some["p95"] * 1000))
        level = limits.grade("http_route_p95_ms", took, component, route)
        if level:
            found.append(
                (
                    level,
                    {
                        "route": route,
                        "ms": took,
                        "limit_ms": limits.get("http_route_p95_ms", level, component, route),
                        "by": "p95",
                        "count": int(some["count"]),
                    },
                )
            )
    if found:
        found.sort(key=lambda item: (item[0] != CRITICAL, -item[1]["ms"]))
        level, worst = found[0]
        yield Finding("http.slow", component, level, {"url": seen["url"], **worst, "routes": [evidence for _level, evidence in found[:10]]})
        return
    path, took = max(timed, key=lambda item: item[1])
    yield Clear(
        "http.slow",
        component,
        {"url": seen["url"], "route": path, "ms": took, "limit_ms": limits.get("http_slow_ms", WARNING, component, path), "watched": watched},
    )


@judges("http.errors", domain="http", needs=["answers"])
def errors(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """The share of 5xx among the requests between two readings of /metrics, or a 5xx to a request of ours that is not health or ready."""
    component = seen["component"]
    failed = [(path, answer["status"]) for path, answer in _routes(seen) if answer["kind"] not in ("health", "ready") and (answer["status"] or 0) >= 500]
    recent = _between(seen)
    requests = failures = 0
    worst: dict[str, int] = {}
    for route, some in (recent or {}).items():
        requests += int(some["count"])
        count = int(some["classes"].get("5xx", 0))
        failures += count
        if count:
            worst[route] = count
    share = 100.0 * failures / requests if requests else 0.0
    level = limits.grade("http_errors_percent", share, component) if failures >= _FEWEST_ERRORS else None
    if level or failed:
        if failed and not level:
            level = CRITICAL if any(kind == "other" for path, _status in failed for kind in [seen["routes"][path]["kind"]]) else WARNING
        figures = {"percent": round(share, 1), "errors": failures, "requests": requests}
        if not failures:
            asked = len(_routes(seen))
            figures = {"percent": round(100.0 * len(failed) / asked, 1), "errors": len(failed), "requests": asked}
        routes = sorted(worst, key=lambda route: -worst[route])[:10] or [path for path, _status in failed]
        yield Finding(
            "http.errors",
            component,
            level or WARNING,
            {"url": seen["url"], **figures, "routes": routes, "route": routes[0], "statuses": dict(failed)},
        )
    elif recent is None:
        why = why_unseen(seen.get("metrics")) or why_unseen(seen.get("metrics_after")) or {"reason": "not observed", "kind": "absent", "fix": ""}
        if why["kind"] in NO_RATES:
            return  # the application offers none: its errors are looked for in its log
        yield Unseen("http.errors", component, "no two readings of the metrics: %s" % why["reason"], why["fix"])
    else:
        yield Clear("http.errors", component, {"url": seen["url"], "requests": requests, "errors": failures, "percent": round(share, 1)})


def _operational(seen: dict[str, Any], kind: str, finding_id: str) -> Iterator[Answer]:
    """One answer for the routes of this kind: the first that is ill, else the first that is fine, else why it could not be said."""
    component = seen["component"]
    asked = [(path, answer) for path, answer in _routes(seen) if answer["kind"] == kind]
    statuses = {answer["status"] for _path, answer in _routes(seen) if answer["status"]}
    fine: Clear | None = None
    unknown: Unseen | None = None
    for path, answer in asked:
        status = answer["status"]
        checks = answer.get("checks") or {}
        failing = sorted(name for name, state in checks.items() if state == "fail")
        evidence = {"url": seen["url"], "route": path, "status": status, "ms": _ms(answer)}
        if status is None:
            unknown = unknown or Unseen(finding_id, component, (answer["error"] or {}).get("message", "no answer"))
        elif {status} == statuses == {400} and len(_routes(seen)) > 1:
            # TrustedHostMiddleware, ALLOWED_HOSTS: it serves the names that it knows, and we come by its address.
            reason = "every route answers 400: it may serve none but its own host names"
            unknown = unknown or Unseen(finding_id, component, reason, "give the header with the option headers")
        elif _pages_only(seen):
            # A web application with a route for everything else gives its first page to whoever asks for its health.
            unknown = unknown or Unseen(
                finding_id, component, "every route answers with a web page, which tells nothing", "name the route with the option routes"
            )
        elif status == 404 or status in _LOGIN or 300 <= status < 400:
            unknown = unknown or Unseen(finding_id, component, *_elsewhere(path, answer))
        elif not 200 <= status < 300 or failing or answer.get("state") == "fail":
            whole = not 200 <= status < 300 or answer.get("state") == "fail"
            yield Finding(
                finding_id,
                component,
                CRITICAL if whole else WARNING,
                {**evidence, "failing": failing, "details": answer.get("details") or {}, "text": answer.get("text", ""), "said": _said(status, failing)},
                confidence=MEDIUM if status in (400, 405, 406, 429) else "high",
            )
            return
        else:
            fine = fine or Clear(finding_id, component, {**evidence, "checks": sorted(checks)})
    other = [answer["status"] for _path, answer in _routes(seen) if answer["kind"] in ("health", "ready") and answer["kind"] != kind]
    if not fine and asked and all(answer["status"] == 404 for _path, answer in asked) and any(status and 200 <= status < 300 for status in other):
        return  # the application speaks of itself on the other route, and has none of this kind
    yield fine or unknown or Unseen(finding_id, component, "no %s route was asked" % kind)


def _pages_only(seen: dict[str, Any]) -> bool:
    """Whether several routes were asked, for different things, and each answered with a page for people."""
    answered = [answer for _path, answer in _routes(seen) if answer["status"]]
    return len({answer["kind"] for answer in answered}) > 2 and all(one["status"] == 200 and one.get("content_type") == "text/html" for one in answered)


def _elsewhere(path: str, answer: dict[str, Any]) -> tuple[str, str]:
    status = answer["status"]
    if status == 404:
        return "no %s is offered (404)" % path, "name the route with the option routes"
    if status in _LOGIN:
        return "%s wants a login (%s)" % (path, status), "give the header with the option headers"
    return "%s redirects to %s" % (path, answer.get("location") or "?"), "name the URL that it redirects to"


def _said(status: int, failing: list[str]) -> str:
    return "%s%s" % (status, ": " + ", ".join(failing) if failing else "")


def _routes(seen: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return list((seen.get("routes") or {}).items())


def _hung(answer: dict[str, Any]) -> bool:
    error = answer.get("error") or {}
    return error.get("kind") == "timeout" and error.get("phase") in _CONNECTED


def _ms(answer: dict[str, Any]) -> int:
    return int(round(answer["seconds"] * 1000))


def _unanswered(finding_id: str, seen: dict[str, Any]) -> Unseen:
    why = why_unseen(seen.get("answers")) or {"reason": "no route was asked", "fix": ""}
    return Unseen(finding_id, seen["component"], why["reason"], why["fix"])


def _between(seen: dict[str, Any]) -> dict[str, dict[str, Any]] | None:
    """The requests between the two readings of the metrics; None when there are no two of one process."""
    before, after = seen.get("metrics"), seen.get("metrics_after")
    if why_unseen(before) or why_unseen(after):
        return None
    return between(before or {}, after or {})


def _left_out(route: str, limits: Limits, component: str) -> bool:
    """A route that is slow by nature and has no limit of its own."""
    own = any(limits.get("http_route_p95_ms", level, component, route) != limits.get("http_route_p95_ms", level, component) for level in (WARNING, CRITICAL))
    return bool(_SLOW_BY_NATURE.search(route)) and not own
