# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the code says by itself (reasons, refusals, errors, what to do, captions), in the report's language.

Such a text reaches the controller as a filled English string, often from another host. catalog/messages.yml holds the templates with their
translations: a text is matched against them, its variable parts are translated in turn, and what is not known stays as it is.
"""

from __future__ import annotations

import re
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml

_FILE = Path(__file__).parent / "catalog" / "messages.yml"
# A place of a template, in the order of its arguments or by number ("%2$s").
PLACE = re.compile(r"%(?:(\d+)\$)?[-#0 +]*\d*(?:\.\d+)?([sdrgfxo])|%%")
_VALUES = {"d": r"[-+]?\d+", "g": r"[-+]?(?:[\d.]+(?:e[-+]?\d+)?|inf|nan)", "f": r"[-+]?[\d.]+", "x": "[0-9a-f]+", "o": "[0-7]+"}
# What is longer than any message is none.
_LONGEST = 2000
_DEEPEST = 5
# Between two Chinese characters there is none.
_BLANK = re.compile("(?<=[\u3001-\u9fff\uff00-\uff60]) (?=[\u3001-\u9fff\uff00-\uff60])")
_SEPARATORS = (("; ", "；"), (": ", "："), (", ", "、"))


class _Template:
    """An English text with places, as a pattern that is made when it is first needed.

    weak: so few letters stand around its places that it says nothing by itself.
    """

    def __init__(self, text: str, translation: str) -> None:
        pieces: list[str] = []
        literals: list[str] = []
        last = 0
        for place in PLACE.finditer(text):
            literals.append(text[last : place.start()])
            last = place.end()
            if place.group() == "%%":
                literals[-1] += "%"
                pieces.append(re.escape(literals[-1]))
                continue
            pieces += [re.escape(literals[-1]), "(%s)" % _VALUES.get(place.group(2), ".*?")]
        literals.append(text[last:])
        self._source = "".join([*pieces, re.escape(literals[-1])])
        self._literals = literals
        self._longest = max(literals, key=len)
        self._translation = translation
        letters = sum(char.isalpha() for literal in literals for char in literal)
        self.weight = sum(map(len, literals))
        self.weak = letters <= 2 or (letters < 6 and not literals[0] and not re.search("%[^s%]", text))

    def match(self, text: str) -> tuple[str, ...] | None:
        found = self._pattern.fullmatch(text) if self._longest in text else None
        return found.groups() if found else None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self._source, re.DOTALL)

    def swallows(self, values: tuple[str, ...]) -> bool:
        """Whether its first place took more than one text."""
        return not self._literals[0] and bool(re.search("[;:] ", values[0]))

    def filled(self, values: list[str]) -> str:
        given = iter(values)

        def value(place: re.Match[str]) -> str:
            if place.group() == "%%":
                return "%"
            return values[int(place.group(1)) - 1] if place.group(1) else next(given, "")

        return _BLANK.sub("", PLACE.sub(value, self._translation))


@cache
def _known(lang: str) -> tuple[dict[str, str], list[_Template]]:
    """The texts without places, and the templates, the most telling first."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    texts = (yaml.load(_FILE.read_text(encoding="utf-8"), Loader=loader) or {}).get(lang) or {}
    plain = {text: translation or text for text, translation in texts.items() if not PLACE.search(text)}
    templates = [_Template(text, translation or text) for text, translation in texts.items() if PLACE.search(text)]
    return plain, sorted(templates, key=lambda one: -one.weight)


def said(text: str, lang: str, caption: bool = False) -> str:
    """A text of ours in this language. caption: one of a difference, where a single word is a text as well."""
    if lang == "en" or not text or len(text) > _LONGEST:
        return text
    return _said(text, lang, caption, 0) or text


@lru_cache(maxsize=4096)
def _said(text: str, lang: str, caption: bool, depth: int) -> str:
    """The translation; "" where nothing of it is known."""
    if depth > _DEEPEST or not (caption or " " in text.strip()):
        return ""
    plain, templates = _known(lang)
    if text in plain:
        return plain[text]

    def part(one: str) -> str:
        return _said(one, lang, caption, depth + 1) or one

    later = None
    for template in templates:
        values = None if template.weak and (depth or not caption) else template.match(text)
        if values and template.swallows(values):
            later = later or (template, values)
        elif values is not None:
            return template.filled([part(value) for value in values])
    bare = text.lstrip(" \n:;,()–-")
    if bare != text:
        found = _said(bare, lang, caption, depth + 1)
        return text[: len(text) - len(bare)] + found if found else ""
    for separator, written in _SEPARATORS:
        pieces = text.split(separator)
        if len(pieces) > 1:
            found_pieces = [_said(piece, lang, caption, depth + 1) for piece in pieces]
            if all(found_pieces) or (any(found_pieces) and separator != ", "):
                return written.join(found or piece for found, piece in zip(found_pieces, pieces, strict=True))
    return later[0].filled([part(value) for value in later[1]]) if later else ""


def translate(model: dict[str, Any], lang: str) -> None:
    """Put into the report's language what the code has said in a model: what could not be checked, the plan, the record."""
    if lang == "en":
        return
    for item in model["unknown"]:
        _texts(item, lang, "reason", "fix")
    plan, record = model["plan"] or {}, model["record"] or {}
    for refused in plan.get("refused") or []:
        _texts(refused, lang, "reason", "fix")
    _texts(record, lang, "reason", "fix")
    for step in [*(plan.get("steps") or []), *(record.get("steps") or [])]:
        _texts(step, lang, "error", "fix", "by_hand")
        for other in step.get("instead_of") or []:
            _texts(other, lang, "reason")
        step["lasting"] = [said(str(line), lang) for line in step["lasting"]]
        for line in step["diff"]:
            line.update({name: said(str(line[name]), lang, caption=True) for name in ("what", "before", "after")})


def _texts(item: dict[str, Any], lang: str, *names: str) -> None:
    for name in names:
        if isinstance(item.get(name), str):
            item[name] = said(item[name], lang)
