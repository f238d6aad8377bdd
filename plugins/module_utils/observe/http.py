# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an API answers on its operational routes, how fast, and what its own metrics say of the others."""

from __future__ import annotations

import json
import re
import time
from typing import Any, Callable, Iterator
from urllib.parse import urlsplit

from ansible_collections.aiops.runbook.plugins.module_utils.connect.http import HttpAnswer, HttpTarget, get
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, unseen, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.exposition import read_metrics, resets
from ansible_collections.aiops.runbook.plugins.module_utils.probes import Probes
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

ROUTES = ("/health", "/ready", "/metrics", "/docs")
METRICS_LIMIT = 4 << 20

# What a route is for, by the words in its path.
_KINDS = (
    ("ready", re.compile(r"ready|readiness", re.IGNORECASE)),
    ("health", re.compile(r"health|/live|/ping\b|/status\b|/up\b", re.IGNORECASE)),
    ("metrics", re.compile(r"metrics|prometheus", re.IGNORECASE)),
    ("docs", re.compile(r"/docs|/redoc|/swagger|openapi", re.IGNORECASE)),
)

# When every route fails, the failure that says most comes first.
_TELLING = ("tls", "protocol", "reset", "refused", "unreachable", "dns", "timeout")

_OK = re.compile(
    r"(?:ok|okay|up|healthy|pass|passed|true|yes|ready|connected|alive|live|available|success|running|good|green|online|active|reachable)\b", re.IGNORECASE
)
_FAIL = re.compile(
    r"(?:fail|failed|failing|failure|down|error|err|false|no|not[ _-]?(?:ready|ok|connected|available|reachable)|unhealthy|unavailable|disconnected|"
    r"unreachable|"
    r"time[d]?[ _-]?out|refused|critical|red|offline|exception|dead|broken|missing|lost|ko|cannot|could not|can't|"
    r"[A-Za-z_.]{0,80}(?:Error|Exception|Timeout|Refused)(?=$|[:( ])|connection (?:refused|failed|to|timed)|authentication failed|invalid|\[Errno)(?!\w)",
    re.IGNORECASE,
)
_DEPENDENCY = re.compile(
    r"^(?:db|database|postgres(?:ql)?|pg|sql|redis|cache|broker|celery|queue|workers?|rabbitmq|llm|openai|anthropic|storage|s3|kafka|migrations?|search|"
    r"mail|smtp)(?:$|[_.: -])",
    re.IGNORECASE,
)
ASK_AGAIN_SECONDS = 0.8
_WHOLE = frozenset(("status", "state", "health", "healthy", "ready", "ok", "result", "overall", "success"))
_STATE = ("status", "state", "healthy", "ok", "health", "ready", "result", "up", "connected", "success", "alive")
_GROUPS = frozenset("checks components dependencies services details entries results subsystems backends info error data".split())
_REASON = ("error", "message", "detail", "details", "reason", "output", "description", "exception")


def observe_http(
    component: str,
    target: HttpTarget,
    mask: Mask,
    timeout: float,
    routes: tuple[str, ...] = ROUTES,
    enter: Callable[[], None] | None = None,
    sample: float = 0.0,
) -> dict[str, Any]:
    """The facts of one HTTP server. Routes are asked side by side: one that hangs costs its own answer.

    enter: called first in the thread of each request. sample: seconds after which /metrics is read again (0: once).
    """
    target.place()

    def probe(path: str) -> Callable[[], dict[str, Any]]:
        def run() -> dict[str, Any]:
            if enter is not None:
                enter()
            metrics = kind_of(path) == "metrics"
            return _ask(target, path, mask, timeout, tuple(routes), float(sample) if metrics else 0.0)

        return run

    probes = Probes(timeout + float(sample) + 0.5)
    found = probes.gather({path: probe(path) for path in routes})
    seen: dict[str, Any] = {"component": component, "url": target.shown, "address": target.address, "timeout": timeout, "routes": {}}
    metrics = unseen("no /metrics route among those asked", kind="absent")
    after = unseen("the metrics were read once", kind="absent")
    for path in routes:
        answer = found[path]
        why = why_unseen(answer)
        if why:
            answer = {
                "kind": kind_of(path),
                "status": None,
                "seconds": probes.seconds.get(path, timeout),
                "error": _failure(why["reason"], why["kind"], "first_byte"),
            }
        measured = answer.pop("metrics", None)
        seen["routes"][path] = answer
        if answer["kind"] == "metrics":
            metrics = measured or unseen("%s %s" % (path, _no_metrics(answer)), kind="not_offered" if answer["status"] else answer["error"]["kind"])
            after = answer.pop("metrics_after", None) or unseen("the metrics were read once", kind="absent")
    seen["answers"] = _answers(seen["routes"])
    seen["metrics"] = metrics
    seen["metrics_after"] = after
    return seen


def kind_of(path: str) -> str:
    """health, ready, metrics, docs or other."""
    return next((kind for kind, words in _KINDS if words.search(path)), "other")


def read_checks(body: bytes, mask: Mask) -> dict[str, Any]:
    """What a health answer says, recognised by shape: {"state": "ok"|"fail"|None, "checks": {name: "ok"|"fail"}, "details": {name: text}}."""
    said: dict[str, Any] = {"state": None, "checks": {}, "details": {}}
    try:
        document = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return said
    if isinstance(document, dict) and isinstance(document.get("detail"), dict):
        # FastAPI wraps what an HTTPException carries.
        document = {**{key: value for key, value in document.items() if key != "detail"}, **document["detail"]}
    if isinstance(document, dict):
        said["state"] = next((state for state in (_word(value) for key, value in document.items() if str(key).lower() in _WHOLE) if state), None)
    elif isinstance(document, (str, bool)):
        said["state"] = _word(document)
    for name, state, text in _checks(document, "", 0):
        name = re.sub(r"[^\w .:/-]", "", mask.text(name))[:60]
        if len(said["checks"]) < 50 or name in said["checks"]:
            said["checks"][name] = "fail" if "fail" in (state, said["checks"].get(name)) else state
            if state == "fail" and text:
                said["details"][name] = _short(text, mask)
    return said


def _ask(target: HttpTarget, path: str, mask: Mask, timeout: float, routes: tuple[str, ...], sample: float) -> dict[str, Any]:
    kind = kind_of(path)
    answer: dict[str, Any] = {
        "kind": kind,
        "status": None,
        "seconds": 0.0,
        "phases": {},
        "content_type": "",
        "location": None,
        "error": None,
        "state": None,
        "checks": {},
        "details": {},
    }
    began = time.monotonic()
    limit = METRICS_LIMIT if kind == "metrics" else 1 << 20
    try:
        got = _better_of_two(target, path, timeout, limit)
        left = began + timeout - time.monotonic()
        if 300 <= got.status < 400 and left > 0 and urlsplit(got.headers.get("location", "")).path.endswith(path + "/"):
            # The same route, as a router writes it: with a slash at its end.
            path += "/"
            got = _better_of_two(target, path, left, limit)
    except StackError as error:
        answer["seconds"] = round(time.monotonic() - began, 4)
        answer["phases"] = error.details.get("seconds", {})
        answer["error"] = _failure(mask.text(error.message), error.kind, error.details.get("phase", ""))
        return answer
    answer.update(
        status=got.status, seconds=got.seconds["total"], phases=got.seconds, content_type=got.headers.get("content-type", "").split(";")[0].strip()[:60]
    )
    if "location" in got.headers:
        answer["location"] = mask.text(got.headers["location"])[:200]
    if kind in ("health", "ready", "other"):
        answer.update(read_checks(got.body, mask))
        answer["text"] = _short(got.body.decode("utf-8", "replace"), mask) if got.status >= 400 else ""
    if kind == "metrics" and got.status == 200:
        answer.update(_measure(target, path, mask, timeout, routes, sample, got, began))
    return answer


def _better_of_two(target: HttpTarget, path: str, timeout: float, limit: int) -> HttpAnswer:
    """The answer; a late one is asked for once more, because a single late answer says more of the moment than of the application."""
    first = get(target, path, timeout, limit)
    left = timeout - first.seconds["total"]
    if first.seconds["total"] < ASK_AGAIN_SECONDS or left < ASK_AGAIN_SECONDS:
        return first
    try:
        second = get(target, path, left, limit)
    except StackError:
        return first
    return min(first, second, key=lambda answer: answer.seconds["total"])


def _measure(
    target: HttpTarget, path: str, mask: Mask, timeout: float, routes: tuple[str, ...], sample: float, got: HttpAnswer, began: float
) -> dict[str, Any]:
    """The metrics now, and again after `sample` seconds from the same process.

    Where each worker process keeps metrics of its own, an answer is that of one of them, by chance: up to three are asked for
    the one that answered first, and that they differ is noted.
    """

    def read(answer: HttpAnswer) -> dict[str, Any] | None:
        some = read_metrics(answer.body.decode("utf-8", "replace"), routes, mask) if answer.status == 200 else None
        if some is not None:
            some["truncated"] = answer.truncated
            some["at"] = round(time.monotonic() - began, 3)
        return some

    before = read(got)
    if before is None or not sample:
        return {"metrics": before}
    time.sleep(sample)
    why = ""
    after = None
    for _attempt in range(3):
        try:
            again = read(get(target, path, max(0.2, began + timeout + sample - time.monotonic()), METRICS_LIMIT))
        except StackError:
            break
        if again is None:
            break
        differs = resets(before, again)
        if not differs:
            after = again
            break
        why = differs
    before["multiprocess"] = {"suspicious": bool(why), "why": why}
    return {
        "metrics": before,
        "metrics_after": after or unseen("no second answer of the same process: %s" % (why or "the route stopped answering"), kind="multiprocess"),
    }


def _answers(routes: dict[str, dict[str, Any]]) -> Any:
    """True when any route gave an HTTP answer, else why not."""
    if any(answer["status"] for answer in routes.values()):
        return True
    errors = [answer["error"] for answer in routes.values() if answer["error"]]
    if not errors:
        return unseen("no route was asked", kind="absent")
    best = min(errors, key=lambda error: _TELLING.index(error["kind"]) if error["kind"] in _TELLING else len(_TELLING))
    return unseen(best["message"], kind=best["kind"])


def _no_metrics(answer: dict[str, Any]) -> str:
    if answer["error"]:
        return "does not answer: %s" % answer["error"]["message"]
    return "answers %s: no metrics in the Prometheus format" % answer["status"]


def _failure(message: str, kind: str, phase: str) -> dict[str, Any]:
    return {"message": message[:300], "kind": kind, "phase": phase}


def _short(text: str, mask: Mask) -> str:
    text = re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text[:2000])
    return mask.text(re.sub(r"\s+", " ", text).strip())[:200]


def _word(value: Any) -> str | None:
    """ok or fail, when a value is a word that says so; texts may go on after it ("error: connection refused")."""
    if isinstance(value, bool):
        return "ok" if value else "fail"
    if isinstance(value, str):
        word = value.strip()
        if _FAIL.match(word):
            return "fail"
        return "ok" if _OK.match(word) and len(word) < 40 else None
    return None


def _checks(document: Any, inside: str, depth: int) -> Iterator[tuple[str, str, str]]:
    """(name, ok or fail, text) of each dependency that the document reports on."""
    if depth > 4:
        return
    if isinstance(document, list):
        for entry in document[:50]:
            name = entry.get("name") or entry.get("component") or entry.get("id") or inside if isinstance(entry, dict) else ""
            state, text = _state(entry)
            if isinstance(name, str) and name and state:
                yield name, state, text
        return
    if not isinstance(document, dict):
        return
    for key, value in list(document.items())[:100]:
        name = str(key)
        group = name.lower() in _GROUPS
        if isinstance(value, dict):
            state, text = _state(value)
            if state and not group:
                yield name, state, text
            else:
                yield from _checks(value, "" if group else name, depth + 1)
        elif isinstance(value, list):
            yield from _checks(value, "" if group else name, depth + 1)
        elif name.lower() not in _WHOLE and name.lower() not in _REASON and (depth or _DEPENDENCY.match(name)):
            # Below the top a flag is a check; at the top ("debug": false) only that of a known dependency.
            if isinstance(value, bool) and depth and inside and not _DEPENDENCY.match(name):
                continue
            state = _word(value)
            if state:
                yield name, state, value if isinstance(value, str) else ""


def _state(entry: Any) -> tuple[str | None, str]:
    if not isinstance(entry, dict):
        return None, ""
    lower = {str(key).lower(): value for key, value in entry.items()}
    state = next((state for state in (_word(lower.get(key)) for key in _STATE) if state), None)
    text = next((value for value in (lower.get(key) for key in _REASON) if isinstance(value, str)), "")
    return state, text
