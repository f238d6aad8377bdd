# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The fixed words of the report in the languages of the catalogue."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

LANGUAGES = ("en", "zh-TW")

_FILE = Path(__file__).parent.parent / "catalog" / "words.yml"


@cache
def _all_words() -> dict[str, dict[str, str]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(_FILE.read_text(encoding="utf-8"), Loader=loader)["words"]


class Words:
    """words("took", seconds=3): the phrase of that name in one language."""

    def __init__(self, lang: str = "en") -> None:
        self.lang = lang if lang in LANGUAGES else "en"
        self._words = _all_words()

    @property
    def html_lang(self) -> str:
        return {"zh-TW": "zh-Hant-TW"}.get(self.lang, self.lang)

    def __call__(self, name: str, /, **fields: Any) -> str:
        phrase = self._words[name]
        text = phrase[self.lang]
        return text.format(**fields) if fields else text

    def count(self, name: str, number: int) -> str:
        """The phrase with its number, in the singular where the language has one."""
        singular = name + ".one"
        if number == 1 and self.lang in self._words.get(singular, {}):
            name = singular
        return self(name, n=f"{number:,}")

    def label(self, name: str) -> str | None:
        """What a name in the evidence is called, where the list has it."""
        return self.known("evidence." + name)

    def known(self, name: str) -> str | None:
        """The phrase of that name, where there is one."""
        phrase = self._words.get(name)
        return phrase[self.lang] if phrase else None
