# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A report model that is fit to be written anywhere: complete, plain JSON, no control characters, no secret by its shape.

Redaction happened where the facts were read; this is the second net. It knows shapes only, and it leaves names and
identifiers readable: a report that says "container ***" helps nobody.
"""

from __future__ import annotations

import math
import re
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.model import SEVERITIES, WARNING, StackError
from ansible_collections.aiops.runbook.plugins.module_utils.secret import MASK, Mask

SCHEMA = "aiops.runbook/report/1"
VERDICTS = ("healthy", "degraded", "down", "unknown")

_LONGEST_TEXT = 8000
_ENDLESS_WORD = re.compile(r"[\w.+/=-]{300,}")
_DEEPEST = 12

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x9b[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC and the other strings: titles, links, clipboard
    r"|\x1b[ -/]*[0-~]?"
)
# Control characters, line and paragraph separators, direction overrides, lone surrogates, non-characters, and our own placeholders.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ue000\ue001\ufffe\uffff]")

# Values that are names by contract, never text.
_STRUCTURE = frozenset("key id component about caused_by schema stack platform verdict severity confidence lang role state kind".split())
_IDENTIFIER = re.compile(
    r"(^|_)(ids?|keys?|hash|digest|uid|names?|components?|instances?|containers?|pods?|images?|hosts?|hostname|addresse?s?|from|to|path|previous|file|"
    r"new|persisting|network|networks|queue|queues|source|setting|database|identifier)$"
)
_SECRET_FIELD = re.compile(r"(password|passwd|passphrase|secret|token|api_?key|private_?key|credentials?)$", re.IGNORECASE)
_LONG_WORD = re.compile(r"[\w+=-]{16,}")
# shop-worker-1, api-7d9f8b6c5d-x2x4z, MAX_CONNECTIONS_2, 20261122T200310Z: names and times, not keys.
_NAME = re.compile(r"[a-z]{2,15}(?:[_-]+[a-z0-9]{1,15})+|[A-Z]{2,15}(?:_[A-Z0-9]{1,15})+|\d{8}T\d{6}Z")


def accept(model: Any) -> dict[str, Any]:
    """The model as the faces need it: every key present, every string cleaned. Raises StackError for what is no report."""
    if not isinstance(model, dict):
        raise StackError("report: expected the report of a diagnosis (a dictionary), got %s" % type(model).__name__, kind="bad_option")
    if model.get("schema", SCHEMA) != SCHEMA:
        raise StackError("report: schema %s is not known, this version writes %s" % (model.get("schema"), SCHEMA), kind="bad_option")
    if model.get("verdict") not in VERDICTS:
        raise StackError("report: verdict must be one of %s, got %r" % (", ".join(VERDICTS), model.get("verdict")), kind="bad_option")
    if not model.get("stack"):
        raise StackError("report: the name of the stack is missing", kind="bad_option")
    safe: dict[str, Any] = Cleaner().value(model)
    finished = safe.get("finished_at") or 0.0
    for key, default in (
        ("schema", SCHEMA),
        ("platform", ""),
        ("headline", ""),
        ("started_at", finished),
        ("finished_at", finished),
        ("lang", "en"),
        ("timing", {}),
        ("topology", {}),
        ("compare", {}),
    ):
        if safe.get(key) is None:
            safe[key] = default
    for key in ("root_causes", "findings", "ruled_out", "unknown"):
        safe[key] = [_item(item) for item in safe.get(key) or []]
    roots = {item["key"] for item in safe["root_causes"]}
    for item in safe["findings"]:
        item.setdefault("caused_by", [])
        item.setdefault("is_root", item["key"] in roots)
    safe["topology"] = {"components": [], "edges": [], **safe["topology"]}
    safe["timing"] = {"total_seconds": max(0.0, safe["finished_at"] - safe["started_at"]), "probes": {}, **safe["timing"]}
    safe["compare"] = {"previous": None, "new": [], "fixed": [], "persisting": [], **safe["compare"]}
    return safe


def _item(item: dict[str, Any]) -> dict[str, Any]:
    item = {"id": "stack.unnamed", "component": "stack", **item}
    item.setdefault("key", "%s@%s" % (item["id"], item["component"]))
    item.setdefault("title", item["id"])
    if "severity" in item and item["severity"] not in SEVERITIES:
        item["severity"] = WARNING
    return item


def unseen_ids(item: dict[str, Any]) -> list[str]:
    """The checks that one entry of "unknown" stands for: those that the same reason hid may be listed in "also"."""
    return [item["id"], *map(str, item.get("also") or [])]


class Cleaner:
    """Walks JSON values; remembers what it cleaned, since names and figures repeat."""

    def __init__(self) -> None:
        self._mask = Mask()
        self._done: dict[tuple[str, bool], str] = {}

    def value(self, value: Any, name: str = "", depth: int = 0) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._string(value, name)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if depth >= _DEEPEST:
            return "…"
        if isinstance(value, dict):
            return {self.text(str(key), True): self.value(entry, str(key), depth + 1) for key, entry in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.value(entry, name, depth + 1) for entry in value]
        return self._string(str(value), name)

    def _string(self, value: str, name: str) -> str:
        if name in _STRUCTURE:
            return plain(value)
        if _SECRET_FIELD.search(name) and value:
            return MASK
        return self.text(value, bool(_IDENTIFIER.search(name)))

    def text(self, text: str, identifier: bool = False) -> str:
        """The text without control characters and without what looks like a secret; in an identifier long words may stay."""
        known = self._done.get((text, identifier))
        if known is None:
            known = self._done[(text, identifier)] = self._masked(plain(text), identifier)
        return known

    def _masked(self, text: str, identifier: bool) -> str:
        if len(text) < 8:
            return text
        kept: list[str] = []

        def keep(match: re.Match[str]) -> str:
            word = match.group()
            if not identifier and not _NAME.fullmatch(word):
                return word
            kept.append(word)
            return "\ue000%d\ue001" % (len(kept) - 1)

        masked = self._mask.text(_LONG_WORD.sub(keep, text))
        return re.sub("\ue000(\\d+)\ue001", lambda match: kept[int(match.group(1))], masked) if kept else masked


def plain(text: str) -> str:
    """The text without escape sequences and control characters (lines and tabs stay), cut where it is absurdly long."""
    if not text.isprintable():
        text = _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
        text = _CONTROLS.sub("", text)
    if len(text) > _LONGEST_TEXT:
        text = "%s… [+%d]" % (text[:_LONGEST_TEXT], len(text) - _LONGEST_TEXT)
    if len(text) >= 300:  # nobody reads such a word, and patterns take their time over it
        text = _ENDLESS_WORD.sub(lambda match: "%s… [+%d]" % (match.group()[:60], len(match.group()) - 60), text)
    return str(text)
