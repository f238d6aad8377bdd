# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Figures as people read them: evidence is JSON with units in its names, a report shows "6 min 12 s" and "1.2 GiB"."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ansible_collections.aiops.runbook.plugins.plugin_utils.messages import said
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.words import Words

_UNIT = re.compile(r"_(seconds|bytes|ms|percent)$")
_TIME_NAME = re.compile(r"(^|_)(at|time|since|first|last|until|expires)$")
_NOT_A_QUANTITY = re.compile(r"(^|_)(pid|port|oid|xid|id|uid|year|code|status|version)s?$")
_VERBATIM = re.compile(r"(^|_)(query|queries|sql|command|cmd|log|logs|sample|line|lines|message|error|traceback|statement|output|words|url|path|body)$")

# Of a list of sentences so many are shown.
_MOST_LINES = 6


class Row(NamedTuple):
    """One line of evidence. verbatim: the text is something a machine said. table: rows of equal shape, heading first."""

    label: str
    text: str
    verbatim: bool = False
    table: tuple[tuple[str, ...], ...] = ()
    cut: int = 0


def seconds(value: float) -> str:
    if value < 0:
        return "-" + seconds(-value)
    if value < 1:
        return f"{value:.3f}".rstrip("0").rstrip(".") + " s"
    if value < 120:
        return f"{value:.1f}".rstrip("0").rstrip(".") + " s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def size(value: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.1f}".removesuffix(".0") + " " + unit
        value /= 1024
    return f"{value:.1f} TiB"


def moment(value: float, form: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    try:
        return datetime.fromtimestamp(value, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return str(value)


def figure(name: str, value: Any, words: Words) -> str:
    """One value on one line."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return words("yes") if value else words("no")
    if isinstance(value, (int, float)):
        return _number(name, value)
    if isinstance(value, list):
        return ", ".join(figure(name, entry, words) for entry in value) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{key}={figure(key, entry, words)}" for key, entry in value.items()) or "–"
    return (str(value) if _VERBATIM.search(name) else said(str(value), words.lang)) or "–"


def _number(name: str, value: float) -> str:
    unit = re.search(r"(^|_)(seconds|bytes|ms|percent|minutes)(_ago)?$", name)
    if unit and unit.group(2) == "minutes":
        return seconds(60 * value)
    if unit:
        if unit.group(2) == "seconds":
            return seconds(value)
        if unit.group(2) == "bytes":
            return size(value)
        return f"{round(value, 1):,}".removesuffix(".0") + (" ms" if unit.group(2) == "ms" else " %")
    if _TIME_NAME.search(name) and value > 1_000_000_000:
        return moment(value)
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value) if abs(value) < 10_000 or _NOT_A_QUANTITY.search(name) else f"{value:,}"


def label(name: str, beside: dict[str, Any], words: Words) -> str:
    """What this figure is called: the unit goes from the name when the value shows it and no other name would be the same."""
    known = words.label(name)
    if known:
        return known
    value = beside.get(name)
    short = _UNIT.sub("", name)
    if short != name and isinstance(value, (int, float)) and short not in beside:
        name = short
        known = words.label(name)
    return known or name.replace("_", " ")


def rows(evidence: dict[str, Any], words: Words, text_limit: int = 700, row_limit: int = 24) -> list[Row]:
    """The evidence as labelled rows, in the order in which it was given; a list of records becomes a table."""
    result = []
    there = [(name, value) for name, value in (evidence or {}).items() if value not in (None, "", [], {})]
    for name, value in there[:row_limit]:
        heading = label(name, evidence, words)
        records = [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
        if records and len(records) == len(value):
            result.append(Row(heading, cut(figure(name, value, words), text_limit), False, _table(records, words), max(0, len(records) - 10)))
        else:
            text = "\n".join(map(str, value)) if isinstance(value, list) and _VERBATIM.search(name) else _listed(name, value, words)
            result.append(Row(heading, cut(text, text_limit), bool(_VERBATIM.search(name)) and isinstance(value, (str, list))))
    return result


def _listed(name: str, value: Any, words: Words) -> str:
    """A value; of a list of sentences each on a line of its own, and no more than anybody reads."""
    if not isinstance(value, list) or not any(isinstance(entry, str) and len(entry) > 30 and " " in entry for entry in value):
        return figure(name, value, words)
    lines = [figure(name, entry, words) for entry in value[:_MOST_LINES]]
    return ";\n".join(lines + (["+%d" % (len(value) - _MOST_LINES)] if len(value) > _MOST_LINES else []))


def _table(records: list[dict[str, Any]], words: Words) -> tuple[tuple[str, ...], ...]:
    names = list(dict.fromkeys(key for record in records[:10] for key in record))[:7]
    heading = tuple(label(name, records[0], words) for name in names)
    return (heading, *(tuple(cut(figure(name, record.get(name), words), 160) for name in names) for record in records[:10]))


def brief(evidence: dict[str, Any], words: Words, limit: int = 200) -> str:
    """The evidence in one phrase: "connections 12, limit 100"."""
    phrase = ", ".join(f"{row.label} {row.text}" for row in rows(evidence, words, 80, 8))
    return cut(" ".join(phrase.split()), limit)


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(1, limit - 1)].rstrip() + "…"


def width(text: str) -> int:
    """Columns that a terminal needs for this text."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char) or char == "\u200d":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut_columns(text: str, columns: int) -> str:
    """The text cut to so many terminal columns."""
    if width(text) <= columns:
        return text
    used, shown = 0, []
    for char in text:
        used += _columns(char)
        if used > columns - 1:
            break
        shown.append(char)
    return "".join(shown).rstrip() + "…"
