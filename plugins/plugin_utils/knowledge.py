# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is known of every finding (catalog/*.yml): its words in each language, what it can cause, and the runbook's rows."""

from __future__ import annotations

import functools
import re
import string
from pathlib import Path
from typing import Any, Mapping

import yaml

from ansible_collections.aiops.runbook.plugins.plugin_utils.messages import said

FOLDER = Path(__file__).parent / "catalog"
# Files of that folder that hold no findings.
NOT_FINDINGS = frozenset(["words.yml", "messages.yml", "remedies.yml", "platforms.yml"])


class _Tolerant(string.Formatter):
    """A title that names a figure which this finding has not got says "?" instead of failing; what our code says in a figure is translated."""

    def __init__(self, lang: str) -> None:
        self.lang = lang

    def get_value(self, key: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
        value = kwargs.get(key, "?")
        value = plain([said(one, self.lang) if isinstance(one, str) else one for one in value] if isinstance(value, list) else value)
        return said(value, self.lang) if isinstance(value, str) else value

    def format_field(self, value: Any, format_spec: str) -> str:
        try:
            return super().format_field(value, format_spec)
        except (TypeError, ValueError):
            return str(value)


def plain(value: Any) -> Any:
    """A value as it stands in a sentence."""
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(plain(item)) for item in value)
    if isinstance(value, dict):
        return ", ".join("%s %s" % (key, plain(item)) for key, item in value.items())
    if isinstance(value, float):
        return round(value, 1) if value % 1 else int(value)
    return value


@functools.lru_cache(maxsize=1)
def catalogue() -> dict[str, dict[str, Any]]:
    """Every entry by finding id."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    entries: dict[str, dict[str, Any]] = {}
    for path in sorted(FOLDER.glob("*.yml")):
        if path.name in NOT_FINDINGS:
            continue
        with path.open(encoding="utf-8") as text:
            found = yaml.load(text, Loader=loader) or {}  # a safe loader, in C where there is one
        twice = set(found) & set(entries)
        if twice:
            raise ValueError("%s: already in the catalogue: %s" % (path.name, ", ".join(sorted(twice))))
        entries.update(found)
    for entry in entries.values():
        if "explains" in entry:
            entry["explains"] = _spelled_out(entry["explains"], entries)
    return entries


def _spelled_out(rules: list[dict[str, Any]], entries: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rules with {like: another finding, …} replaced by that one's, each with what else stands beside the "like"."""
    found = []
    for rule in rules:
        if "like" in rule:
            more = {key: value for key, value in rule.items() if key != "like"}
            found += [{**one, **more} for one in _spelled_out(entries[rule["like"]]["explains"], entries)]
        else:
            found.append(rule)
    return found


def _read(name: str) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with (FOLDER / name).open(encoding="utf-8") as text:
        return yaml.load(text, Loader=loader) or {}  # a safe loader, in C where there is one


@functools.lru_cache(maxsize=1)
def _remedies() -> dict[str, dict[str, Any]]:
    return _read("remedies.yml")


@functools.lru_cache(maxsize=1)
def _platforms() -> dict[str, list[list[str]]]:
    return _read("platforms.yml")


def remedy_words(name: str, platform: str = "") -> dict[str, Any]:
    """The texts of a remedy: {"title", "interrupts", "undo"}, each by language; those for this platform ("undo_kubernetes") where it has such."""
    words = _remedies().get(name, {})
    return {what: words.get("%s_%s" % (what, platform)) or words[what] for what in ("title", "interrupts", "undo") if what in words}


def texts_of(finding_id: str, what: str, platform: str = "") -> Any:
    """The catalogue's own texts of a finding; those for this platform ("do_kubernetes") where it has such."""
    entry = catalogue().get(finding_id, {})
    own = entry.get("%s_%s" % (what, platform))
    return own or (_translated(finding_id, platform) if what == "do" else entry.get(what))


@functools.lru_cache(maxsize=1024)
def _translated(finding_id: str, platform: str) -> dict[str, Any]:
    """What to do, its commands written as platforms.yml says."""
    texts = catalogue().get(finding_id, {}).get("do") or {}
    rules = _platforms().get(platform) or []
    if not rules:
        return texts
    found = {}
    for lang, lines in texts.items():
        lines = [lines] if isinstance(lines, str) else lines
        for pattern, other in rules:
            lines = [re.sub(pattern, other, line) for line in lines]
        found[lang] = lines
    return found


def say(finding_id: str, what: str, evidence: Mapping[str, Any], lang: str, platform: str = "") -> str:
    """One text of a finding ("title", "explanation", "clear"), filled from its evidence; "" when the catalogue has none."""
    return fill(texts_of(finding_id, what, platform), evidence, lang)


def say_all(finding_id: str, what: str, evidence: Mapping[str, Any], lang: str, platform: str = "") -> list[str]:
    """A list of texts of a finding ("do")."""
    texts = texts_of(finding_id, what, platform)
    chosen = texts[lang] if texts else []
    return [_Tolerant(lang).vformat(text, (), evidence) for text in ([chosen] if isinstance(chosen, str) else chosen)]


def fill(texts: Mapping[str, str] | None, evidence: Mapping[str, Any], lang: str) -> str:
    """A text in this language, filled; "" where there is none at all. KeyError where it lacks the language: no other stands in for it."""
    if not texts:
        return ""
    return _Tolerant(lang).vformat(texts[lang], (), evidence)
