# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the log of a component tells of: known causes and grouped errors, counted, with one masked sample each. Pure parsing."""

from __future__ import annotations

import re
from typing import Any, Callable, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.observe.log_causes import Cause, cause_of, causes_of
from ansible_collections.aiops.runbook.plugins.module_utils.observe.log_lines import Event, Raised, Reader
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask, shortened

MOST_SIGNATURES = 100
SLOT_SECONDS = 10
MOST_SLOTS = 60
# What a component says in its last breath stands this close to the end of its log.
LAST_BREATH_SECONDS = 60.0

_UUID = re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b")
_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
_IP = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){4,7}[0-9a-fA-F]{1,4}(?![\w:])")
_TIME = re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?)?")
_HEX = re.compile(r"\b0x[0-9a-fA-F]{1,32}\b|\b(?=[0-9a-f]{0,40}\d)[0-9a-f]{8,64}\b")
_LONG_NUMBER = re.compile(r"(?<![\w.])\d[\d -]{2,30}\d(?![\w])|(?<![\w.])\d{4,}")
_KEPT_NUMBER = re.compile(r"(?:(?:port|errno|error|code|line|:) ?|:)$", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_QUOTED = re.compile(r"\"([^\"\n]{0,1000})\"|(?<!\w)'([^'\n]{0,1000})'(?!\w)")
_PLAIN = re.compile(r"[A-Za-z_][\w.:/-]{0,60}$")
_LIBRARY_PATH = re.compile(r"/(?:site|dist)-packages/|/lib/python\d|^<|/\.pyenv/")
_ROOTS = re.compile(r"^/(?:usr/src/app|usr/local/app|srv/www|home/[^/]{1,60}|srv|app|code|opt|src|workspace)/")
# Values of these details are names, shown as they are; all others are generalised.
_NAMES = frozenset(
    "name names module user database task command signal state what host port size overflow timeout reason type library revision table side limit path".split()
)
_NUMBERS = ("size", "overflow", "timeout", "port", "limit")


def read_logs(lines: Iterable[str], mask: Mask, now: float) -> dict[str, Any]:
    """The facts of one component's log.

    {"now", "lines", "unparsed", "errors", "first", "last", "levels": {name: events}, "dropped": signatures beyond the first 100,
    "signatures": [{"kind", "about", "count", "first", "last", "sample", "fingerprint", "detail", "slots": [[UNIX time, count in 10 s]]}]}
    """
    reader = Reader()
    found: dict[str, dict[str, Any]] = {}
    errors = dropped = 0
    for event in reader.events(lines):
        errors += event.failed
        for cause in causes_of(event):
            mark = fingerprint(cause)
            some = found.get(mark)
            if some is None:
                if len(found) >= MOST_SIGNATURES:
                    dropped += 1
                    continue
                some = found[mark] = _signature(cause, event, mask)
            some["count"] += 1
            some["first"] = min(some["first"], event.at)
            some["last"] = max(some["last"], event.at)
            slot = int(event.at) // SLOT_SECONDS * SLOT_SECONDS
            some["slots"][slot] = some["slots"].get(slot, 0) + 1
            if len(some["slots"]) > 2 * MOST_SLOTS:
                some["slots"] = dict(sorted(some["slots"].items())[-MOST_SLOTS:])
    for some in found.values():
        some["slots"] = [[slot, count] for slot, count in sorted(some["slots"].items())[-MOST_SLOTS:]]
    return {
        "now": now,
        "lines": reader.lines,
        "unparsed": reader.unparsed,
        "errors": errors,
        "first": reader.first,
        "last": reader.last,
        "levels": reader.levels,
        "signatures": sorted(found.values(), key=lambda some: (-some["count"], some["fingerprint"])),
        "dropped": dropped,
    }


def last_words(lines: Iterable[str], mask: Mask) -> dict[str, Any] | None:
    """What a component that has ended said last: {"kind", "about", "exception", "sample", "detail", "at"}; None when it said nothing of the sort.

    An exception or a known cause near the end of the log says more than a plain error line after it.
    """
    reader = Reader()
    best: tuple[Event, Cause] | None = None
    for event in reader.events(lines):
        cause = cause_of(event)
        if cause is None:
            continue
        if cause.kind != "error" or best is None or best[1].kind == "error":
            best = (event, cause)
    if best is None:
        return None
    event, cause = best
    if event.at and reader.last and reader.last - event.at > LAST_BREATH_SECONDS:
        return None
    return {
        "kind": cause.kind,
        "about": cause.about,
        "exception": mask.text(cause.raised.type) if cause.raised else None,
        "sample": generalise(cause.text, mask),
        "detail": _detail(cause, mask),
        "at": event.at,
    }


def fingerprint(cause: Cause, hide: Callable[[str], str] = str) -> str:
    """What makes two events the same one: the cause and whom it names; of an unknown exception its type and place; else the message without its values.

    hide: what hides secrets, before a value that is left out leaves one that nobody knows any more.
    """
    if cause.specific:
        keys = ("host", "port", "user", "database", "name", "module", "task", "side", "reason" if cause.about == "broker" else "")
        named = ["%s=%s" % (key, cause.detail[key]) for key in keys if cause.detail.get(key)]
        return hide(" ".join([cause.kind, *named]))[:200]
    if cause.raised is not None:
        place = where(cause.raised)
        kind = hide(cause.raised.type)
        return ("%s@%s" % (kind, hide(place)) if place else "%s: %s" % (kind, _without_values(hide(cause.raised.text))))[:200]
    return _without_values(hide(cause.text))[:200]


def where(raised: Raised) -> str:
    """module:function of the application's last frame, else of the last one; "" without a stack."""
    if not raised.frames:
        return ""
    file, function, _line = next((frame for frame in reversed(raised.frames) if not _LIBRARY_PATH.search(frame[0])), raised.frames[-1])
    match = re.search(r"/(?:site|dist)-packages/(.*)$|/lib/python[\d.]{1,6}/(.*)$", file)
    path = (match.group(1) or match.group(2)) if match else _ROOTS.sub("", file)
    module = re.sub(r"(?:/__init__)?\.pyc?$", "", path.strip("<>/")).replace("/", ".")
    return "%s:%s" % (module, function)


def generalise(text: str, mask: Mask, length: int = 200) -> str:
    """A text that may be shown: secrets masked, personal and passing values replaced, names kept."""
    text = mask.text(re.sub(r"\s+", " ", shortened(text, 1200)).strip())
    text = _UUID.sub("<uuid>", text)
    text = _MAIL.sub("<mail>", text)
    text = _TIME.sub("<time>", text)
    text = _IP.sub("<ip>", text)
    text = _HEX.sub("<hex>", text)
    text = _QUOTED.sub(_quoted, text)
    text = _LONG_NUMBER.sub(_number, text)
    return text if len(text) <= length else text[: length - 1] + "…"


def _quoted(match: re.Match[str]) -> str:
    inside = match.group(1) if match.group(1) is not None else match.group(2)
    mark = match.group(0)[0]
    return match.group(0) if not inside or _PLAIN.match(inside) or inside.startswith("<") and inside.endswith(">") else "%s…%s" % (mark, mark)


def _number(match: re.Match[str]) -> str:
    if len(match.group(0)) <= 5 and _KEPT_NUMBER.search(match.string[max(0, match.start() - 8) : match.start()]):
        return match.group(0)
    return "<n>"


def _without_values(text: str) -> str:
    text = _QUOTED.sub("<text>", " ".join(shortened(text, 1000).split()))
    if "@" in text:
        text = _MAIL.sub("<mail>", text)
    if _NUMBER.search(text):
        for shape, word in ((_UUID, "<uuid>"), (_TIME, "<time>"), (_IP, "<ip>"), (_HEX, "<hex>"), (_NUMBER, "<n>")):
            text = shape.sub(word, text)
    return text


def _signature(cause: Cause, event: Event, mask: Mask) -> dict[str, Any]:
    return {
        "kind": cause.kind,
        "about": cause.about,
        "count": 0,
        "first": event.at,
        "last": event.at,
        "sample": generalise(cause.text, mask),
        "fingerprint": fingerprint(cause, mask.text),
        "detail": _detail(cause, mask),
        "slots": {},
    }


def _detail(cause: Cause, mask: Mask) -> dict[str, Any]:
    detail: dict[str, Any] = {}
    for key, value in cause.detail.items():
        if key in _NUMBERS and isinstance(value, str) and re.match(r"-?[\d.]{1,12}$", value):
            detail[key] = float(value) if "." in value else int(value)
        elif isinstance(value, list):
            detail[key] = [mask.text(str(some))[:120] for some in value]
        else:
            detail[key] = mask.text(str(value))[:120] if key in _NAMES else generalise(str(value), mask, 120)
    if cause.raised is not None:
        detail.setdefault("type", mask.text(cause.raised.type))
        detail["where"] = mask.text(where(cause.raised))[:160]
    return detail
