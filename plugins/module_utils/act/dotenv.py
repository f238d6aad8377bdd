# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One line of a .env file changed, every other byte of it kept. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SETTING = re.compile(r"^(?P<head>[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][\w.-]*)[ \t]*=[ \t]*)(?P<rest>.*?)(?P<end>\r?\n?)$", re.DOTALL)
_UNQUOTED = re.compile(r"^(?P<value>.*?)(?P<tail>[ \t]+#.*|[ \t]*)$")
# What means itself with any quotes and without.
_PLAIN = re.compile(r"^[\w./:@%+,=?&;~*\[\]()-]*$")
_JOINTS = "@:/?&=,;#"


@dataclass
class Line:
    """A setting as it stands in the text: quote and value between head and tail."""

    place: int
    head: str
    quote: str
    value: str
    tail: str

    def with_value(self, quote: str, value: str) -> str:
        return self.head + quote + value + quote + self.tail


def find(text: str, name: str) -> Line | None:
    """The line that sets a name (the last one counts); None when there is none, or its value runs over several lines."""
    found = None
    open_quote = ""
    for place, line in enumerate(text.splitlines(keepends=True)):
        if open_quote:
            open_quote = "" if _closes(line, open_quote) else open_quote
            continue
        match = _SETTING.match(line)
        if not match:
            continue
        rest, quote = match.group("rest"), match.group("rest")[:1]
        if quote and quote in "'\"":
            whole = re.match(r"^%s((?:[^%s\\]|\\.)*)%s([ \t]*(?:#.*)?)$" % (quote, quote, quote), rest)
            if whole is None:
                open_quote = "" if _closes(rest[1:], quote) else quote
                found = None if match.group("name") == name else found
                continue
            value, tail = whole.group(1), whole.group(2)
        else:
            bare = _UNQUOTED.match(rest)
            quote, value, tail = "", bare.group("value") if bare else rest, bare.group("tail") if bare else ""
        if match.group("name") == name:
            found = Line(place, match.group("head"), quote, value, tail + match.group("end"))
    return found


def _closes(text: str, quote: str) -> bool:
    return bool(re.search(r"(?<!\\)" + quote, text))


def edits(text: str, name: str, old: str, new: str | None) -> list[str]:
    """The texts in which this name should mean new (None: has no line any more), the gentlest first; the reader must be asked whether it does."""
    line = find(text, name)
    if line is None:
        return []
    lines = text.splitlines(keepends=True)
    if new is None:
        return ["".join(part for place, part in enumerate(lines) if place != line.place)]
    found = []
    gentle = rewritten(line.value, old, new)
    if gentle is not None and line.value != old:
        found.append(line.with_value(line.quote, gentle))
    if _PLAIN.match(new):
        found.append(line.with_value(line.quote, new))
    elif "'" not in new and "\n" not in new and "\r" not in new:
        found.append(line.with_value("'", new))
    return ["".join([*lines[: line.place], entry, *lines[line.place + 1 :]]) for entry in found]


def rewritten(raw: str, old: str, new: str) -> str | None:
    """raw (in which ${…} may stand) with only that changed in which old and new differ; None where it is not clear which part that is."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    # The whole word between two joints: a part of a word could stand elsewhere, too.
    left = start
    while left > 0 and old[left - 1] not in _JOINTS:
        left -= 1
    right = len(old) - end
    while right < len(old) and old[right] not in _JOINTS:
        right += 1
    left, right = max(0, left - 1), min(len(old), right + 1)
    part = old[left:right]
    if not part or raw.count(part) != 1:
        return None
    return raw.replace(part, new[left : len(new) - (len(old) - right)])
