# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A report model that is fit to be written anywhere: complete, plain JSON, no control characters, no secret by its shape.

Redaction happened where the facts were read; this is the second net. It knows shapes only, and it leaves names and
identifiers readable: a report that says "container ***" helps nobody.
"""

from __future__ import annotations

import math
import re
from copy import copy
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import DESTRUCTIVE, RISKS
from ansible_collections.aiops.runbook.plugins.module_utils.model import SEVERITIES, WARNING, StackError
from ansible_collections.aiops.runbook.plugins.module_utils.secret import MASK, Mask

SCHEMA = "aiops.runbook/report/1"
VERDICTS = ("healthy", "degraded", "down", "unknown")
# What became of a job of acting, and of each of its steps.
RECORD_RESULTS = ("held", "failed", "unchanged", "undone", "partly undone", "refused")
STEP_RESULTS = ("cured", "done", "unchanged", "undone", "failed", "cannot be undone", "would be done")
_PLAN: dict[str, Any] = {"created_at": 0.0, "expires_at": 0.0, "stack": "", "platform": "", "by": "", "unfinished": [], "overdue": [], "lease": None}
_PLAN_STEP: dict[str, Any] = {"why": "", "interrupts": "", "undo": "", "can_undo": False, "touches": [], "instead_of": []}
_REFUSED: dict[str, Any] = {"reason": "", "fix": ""}
_BY_HAND: dict[str, Any] = {"do": [], "code": False}
_RECORD: dict[str, Any] = {"at": 0.0, "by": "", "approved": "", "seconds": 0.0, "reason": "", "fix": "", "settled": []}
_RECORD_STEP: dict[str, Any] = {"error": "", "fix": "", "by_hand": "", "seconds": 0.0, "evidence": []}
_SETTLED: dict[str, Any] = {"run": "", "by": "", "result": ""}

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
    r"new|persisting|network|networks|queue|queues|source|setting|database|identifier|secret)$"
)
# "secret" by itself is the name of a Secret.
_SECRET_FIELD = re.compile(r"(password|passwd|passphrase|[^\W_]_?secret|token|api_?key|private_?key|credentials?)$", re.IGNORECASE)
_LONG_WORD = re.compile(r"[\w+=-]{16,}")
# shop-worker-1, api-7d9f8b6c5d-x2x4z, MAX_CONNECTIONS_2, 20261122T200310Z, 20261122T200310Z-3f2a: names, times and runs, not keys.
_NAME = re.compile(r"(?:run=)?(?:[a-z]{2,15}(?:[_-]+[a-z0-9]{1,15})+|[A-Z]{2,15}(?:_[A-Z0-9]{1,15})+|\d{8}T\d{6}Z(?:-[0-9a-f]{1,4})?)")


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
    cleaner = Cleaner()
    safe: dict[str, Any] = cleaner.value(_without(model, "plan", "record"))
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
    safe["plan"] = _plan(model.get("plan"), cleaner)
    safe["record"] = _record(model.get("record"), cleaner)
    return safe


def _plan(raw: Any, cleaner: Cleaner) -> dict[str, Any] | None:
    """The plan of a model; None where there is none."""
    if not raw:
        return None
    _expect_dictionary("plan", raw)
    plan = _filled(cleaner.value(_without(raw, "steps", "refused", "by_hand", "identity")), _PLAN)
    plan.update(_as_given(raw, "digest", "path", "approve"))
    plan["identity"] = {str(key): cleaner.value(value, "id") for key, value in (raw.get("identity") or {}).items()}
    plan["steps"] = [_filled({**_step(step, number, cleaner), **_as_given(step, "token")}, _PLAN_STEP) for number, step in _entries(raw, "steps")]
    plan["refused"] = [_filled(_named(entry, cleaner), _REFUSED) for _number, entry in _entries(raw, "refused")]
    plan["by_hand"] = [_filled(_named(entry, cleaner), _BY_HAND) for _number, entry in _entries(raw, "by_hand")]
    return plan


def _record(raw: Any, cleaner: Cleaner) -> dict[str, Any] | None:
    """The record of what was applied or taken back; None where there is none."""
    if not raw:
        return None
    _expect_dictionary("record", raw)
    record = _filled(cleaner.value(_without(raw, "steps")), _RECORD)
    record.update(_as_given(raw, "digest", "result", "undo"))
    record.update({name: text or None for name, text in _as_given(raw, "run", "records").items()})
    if record["result"] not in RECORD_RESULTS:
        record["result"] = "failed"  # what is not known to have held has not
    record["settled"] = [_filled(entry, _SETTLED) for entry in record["settled"] if isinstance(entry, dict)]
    record["steps"] = []
    for number, entry in _entries(raw, "steps"):
        step = _filled({**_step(entry, number, cleaner), **_as_given(entry, "result")}, _RECORD_STEP)
        step["evidence"] = [_evidence(part) for part in step["evidence"] if isinstance(part, dict)]
        if step["result"] not in STEP_RESULTS:
            step["result"] = "failed"
        record["steps"].append({"undone": step["result"] == "undone", **step})
    return record


def _evidence(part: dict[str, Any]) -> dict[str, Any]:
    lines, left_out = part.get("lines"), part.get("left_out")
    return {
        "what": str(part.get("what") or ""),
        "lines": [str(line) for line in lines] if isinstance(lines, list) else [],
        "left_out": left_out if isinstance(left_out, int) else 0,
    }


def _step(raw: dict[str, Any], number: int, cleaner: Cleaner) -> dict[str, Any]:
    """What a step of a plan and one of a record have in common."""
    step = _filled({**_named(raw, cleaner), **_as_given(raw, "risk")}, {"number": number, "diff": [], "lasting": []})
    if step["risk"] not in ("", *RISKS):
        step["risk"] = DESTRUCTIVE  # a class that is not known here is no harmless one
    step["diff"] = [_filled(line, {"what": "", "before": "", "after": ""}) for line in step["diff"] if isinstance(line, dict)]
    return step


def _named(raw: dict[str, Any], cleaner: Cleaner) -> dict[str, Any]:
    entry = {**cleaner.value(raw), **_as_given(raw, "remedy", "component", "finding")}
    entry["title"] = entry.get("title") or entry["remedy"] or entry["finding"]
    return entry


def _as_given(raw: dict[str, Any], *names: str) -> dict[str, str]:
    """What is compared, pasted or looked up stays to the letter; only what no terminal should get goes."""
    return {name: _visible(" ".join(str(raw.get(name) or "").splitlines())) for name in names}


def _expect_dictionary(name: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise StackError("report: %s must be a dictionary, got %s" % (name, type(value).__name__), kind="bad_option")


def _entries(raw: dict[str, Any], name: str) -> list[tuple[int, dict[str, Any]]]:
    return list(enumerate((entry for entry in raw.get(name) or [] if isinstance(entry, dict)), 1))


def _without(raw: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if key not in names}


def _filled(item: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The item with a default for each key that is missing or null."""
    return {**item, **{key: copy(default) for key, default in defaults.items() if item.get(key) is None}}


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
    text = _visible(text)
    if len(text) > _LONGEST_TEXT:
        text = "%s… [+%d]" % (text[:_LONGEST_TEXT], len(text) - _LONGEST_TEXT)
    if len(text) >= 300:  # nobody reads such a word, and patterns take their time over it
        text = _ENDLESS_WORD.sub(lambda match: "%s… [+%d]" % (match.group()[:60], len(match.group()) - 60), text)
    return str(text)


def _visible(text: str) -> str:
    if not text.isprintable():
        text = _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
        text = _CONTROLS.sub("", text)
    return text
