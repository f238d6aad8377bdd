# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Prometheus text format: how long the requests of each route take, and how many fail. Pure parsing."""

from __future__ import annotations

import math
import re
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

_LINE = re.compile(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})?[ \t]+(\S+)")
_LABEL = re.compile(r"(\w+)=\"((?:[^\"\\]|\\.)*)\"")
_DURATION = re.compile(r"(?=.*(?:http|request|api))(?!.*client).*(?:request|server|response).*(?:duration|latency|time).*_(?:bucket|count|sum)$")
_COUNTER = re.compile(r"(?!.*client)(?:.*_)?(?:http_)?(?:requests?|responses?)(?:_[a-z]+)?(?:_total|_count)$")
_ROUTE_LABELS = ("handler", "route", "http_route", "path", "path_template", "endpoint", "url_rule", "url", "uri", "view", "http_target")
_STATUS_LABELS = ("status", "status_code", "code", "http_status", "http_status_code", "http_response_status_code")
_PROCESS = {
    "process_resident_memory_bytes": "resident_memory_bytes",
    "process_virtual_memory_bytes": "virtual_memory_bytes",
    "process_start_time_seconds": "start_time_seconds",
    "process_cpu_seconds_total": "cpu_seconds",
    "process_open_fds": "open_fds",
    "process_max_fds": "max_fds",
}
MOST_ROUTES = 300


def read_metrics(text: str, own: tuple[str, ...], mask: Mask) -> dict[str, Any] | None:
    """{"histogram", "routes": {route: {"count", "sum", "p50", "p95", "p99", "buckets", "classes"}}, "process"}; None when this is no exposition.

    Times in seconds. own: routes that are ours to ask; they are left out.
    """
    histograms: dict[str, dict[str, dict[str, Any]]] = {}
    counters: dict[str, dict[str, dict[str, float]]] = {}
    process: dict[str, float] = {}
    lines = 0
    skip = {_plain(path) for path in own}
    for line in text.split("\n"):
        if not line or line[0] == "#":
            lines += line.startswith(("# TYPE ", "# HELP "))
            continue
        match = _LINE.match(line[:4096])
        if not match:
            continue
        name, labels, value = match.group(1), match.group(2), _number(match.group(3))
        if value is None:
            continue
        lines += 1
        if name in _PROCESS:
            process[_PROCESS[name]] = value
        elif name.endswith(("_bucket", "_count", "_sum")) and _DURATION.match(name):
            base, _dot, part = name.rpartition("_")
            _add_duration(
                histograms.setdefault(base, {}),
                part,
                dict(_LABEL.findall(labels or "")),
                value,
                skip,
                0.001 if "milli" in base or base.endswith("_ms") else 1.0,
            )
        elif _COUNTER.match(name):
            _add_count(counters.setdefault(name, {}), dict(_LABEL.findall(labels or "")), value, skip)
    if not lines:
        return None
    base = max(histograms, key=lambda some: _worth(histograms[some]), default="")
    routes = {route: _told(some) for route, some in histograms.get(base, {}).items()}
    if not any(some["classes"] for some in routes.values()):
        _add_classes(routes, counters)
    return {
        "histogram": base,
        "routes": {mask.text(route)[:120]: some for route, some in sorted(routes.items(), key=lambda item: -item[1]["count"])[:MOST_ROUTES]},
        "process": process,
        "multiprocess": {"suspicious": False, "why": ""},
    }


def resets(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Why these two answers cannot come from one process, or ""."""
    starts = [some["process"].get("start_time_seconds") for some in (before, after)]
    if starts[0] is not None and starts[1] is not None and starts[0] != starts[1]:
        return "two answers were given by processes that started at different times"
    for route, some in before["routes"].items():
        if some["count"] > after["routes"].get(route, {}).get("count", 0):
            return "a counter went backwards between two answers"
    return ""


def between(before: dict[str, Any], after: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What happened between two answers, by route, in the shape of read_metrics' routes; routes without a request are left out."""
    routes = {}
    for route, late in after["routes"].items():
        early = before["routes"].get(route)
        if early is None:
            early = {"count": 0, "sum": 0.0, "buckets": [[edge, 0] for edge, _count in late["buckets"]], "classes": {}}
        count = late["count"] - early["count"]
        if count <= 0:
            continue
        edges = dict(map(tuple, early["buckets"]))
        buckets = [[edge, number - edges.get(edge, 0)] for edge, number in late["buckets"]]
        classes = {name: number - early["classes"].get(name, 0) for name, number in late["classes"].items() if number > early["classes"].get(name, 0)}
        routes[route] = _figures(count, late["sum"] - early["sum"], buckets, classes)
    return routes


def quantile(buckets: list[list[Any]], share: float) -> float | None:
    """As Prometheus estimates it: linear inside the bucket; the last finite edge when it lies beyond. None without buckets."""
    if not buckets or buckets[-1][1] <= 0:
        return None
    rank = share * buckets[-1][1]
    low, below = 0.0, 0.0
    for edge, number in buckets:
        if number >= rank:
            if edge is None:
                return round(low, 4)
            inside = number - below
            return round(low + (edge - low) * ((rank - below) / inside if inside > 0 else 1.0), 4)
        low, below = (low if edge is None else edge), number
    return round(low, 4)


def _figures(count: float, total: float, buckets: list[list[Any]], classes: dict[str, float]) -> dict[str, Any]:
    return {
        "count": count,
        "sum": round(total, 6),
        "p50": quantile(buckets, 0.5),
        "p95": quantile(buckets, 0.95),
        "p99": quantile(buckets, 0.99),
        "buckets": buckets,
        "classes": classes,
    }


def _add_duration(routes: dict[str, dict[str, Any]], part: str, labels: dict[str, str], value: float, skip: set[str], unit: float) -> None:
    route = _route(labels)
    if route in skip:
        return
    some = routes.setdefault(route, {"count": 0.0, "sum": 0.0, "edges": {}, "classes": {}})
    if part == "bucket":
        edge = _number(labels.get("le", ""))
        if edge is not None:
            edge = edge if math.isinf(edge) else round(edge * unit, 9)
            some["edges"][edge] = some["edges"].get(edge, 0) + value
    elif part == "sum":
        some["sum"] += value * unit
    else:
        some["count"] += value
        status = _class(labels)
        if status:
            some["classes"][status] = some["classes"].get(status, 0) + value


def _add_count(routes: dict[str, dict[str, float]], labels: dict[str, str], value: float, skip: set[str]) -> None:
    route, status = _route(labels), _class(labels)
    if status and route not in skip:
        classes = routes.setdefault(route, {})
        classes[status] = classes.get(status, 0) + value


def _add_classes(routes: dict[str, dict[str, Any]], counters: dict[str, dict[str, dict[str, float]]]) -> None:
    """The status classes from the counter beside the histogram, where the histogram has no label for them."""
    best = max(counters.values(), key=lambda some: (len(some), sum(sum(classes.values()) for classes in some.values())), default={})
    for route, classes in best.items():
        if route in routes:
            routes[route]["classes"] = classes
        else:
            routes[route] = _figures(sum(classes.values()), 0.0, [], classes)


def _told(some: dict[str, Any]) -> dict[str, Any]:
    buckets = [[None if math.isinf(edge) else edge, number] for edge, number in sorted(some["edges"].items())]
    return _figures(some["count"], some["sum"], buckets, some["classes"])


def _worth(routes: dict[str, dict[str, Any]]) -> tuple[int, int, float]:
    """A histogram that knows routes is better than one that does not, one with buckets better than a summary."""
    return (
        sum(1 for route in routes if route != "*"),
        max((len(some["edges"]) for some in routes.values()), default=0),
        sum(some["count"] for some in routes.values()),
    )


def _route(labels: dict[str, str]) -> str:
    for label in _ROUTE_LABELS:
        if labels.get(label):
            return _plain(labels[label])
    return "*"


def _class(labels: dict[str, str]) -> str:
    for label in _STATUS_LABELS:
        if labels.get(label, "")[:1] in ("1", "2", "3", "4", "5") and len(labels[label]) == 3:
            return labels[label][0] + "xx"
    return ""


def _plain(path: str) -> str:
    path = path.split("?", 1)[0]
    return path.rstrip("/") or "/"


def _number(text: str) -> float | None:
    try:
        value = float(text.replace("Inf", "inf"))
    except ValueError:
        return None
    return None if math.isnan(value) else value
