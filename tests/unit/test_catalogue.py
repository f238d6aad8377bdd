# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Everything that a report may say stands in the catalogue in both languages, whatever the domain; no language stands in for another."""

from __future__ import annotations

import re
import string

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.act.registry import ON_KUBERNETES, REMEDIES
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import JUDGES
from ansible_collections.aiops.runbook.plugins.module_utils.judge.stack import DOMAINS, SERVER_DOMAINS
from ansible_collections.aiops.runbook.plugins.plugin_utils import diagnose, knowledge
from ansible_collections.aiops.runbook.plugins.plugin_utils.report import words

LANGUAGES = {"en", "zh-TW"}
CATALOGUE = knowledge.catalogue()
IDS = sorted({name for judge in JUDGES for name in judge.ids})
CHINESE = re.compile("[\u4e00-\u9fff]")
# Simplified forms, and words of the mainland, that have slipped into translations before.
NOT_TAIWAN = re.compile("[们这个说时实对设产业传关门问题无进连远选择线级统络错误读写码网页务删权认证释执]|默认|内存|信息|用戶(?!端)|數據庫|服務器|軟件|端口號")


def texts(entry, what):
    """(English, Chinese) of a kind of text, line by line."""
    found = entry[what]
    lines = [found[lang] if isinstance(found[lang], list) else [found[lang]] for lang in ("en", "zh-TW")]
    assert len(lines[0]) == len(lines[1]), "as many lines in both"
    return list(zip(*lines))


def fields(text):
    return {name.split("[")[0].split(".")[0] for _text, name, _format, _conversion in string.Formatter().parse(text) if name is not None}


def test_the_domains_of_a_whole_stack_have_judges():
    assert DOMAINS and {*SERVER_DOMAINS, "stack"} <= {judge.domain for judge in JUDGES}
    assert len(IDS) > 100


@pytest.mark.parametrize("name", IDS)
def test_what_is_judged_has_words(name):
    for what in ("title", "explanation", "do"):
        assert set(CATALOGUE[name][what]) == LANGUAGES, what
    assert CATALOGUE[name]["rows"]


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_an_entry_says_the_same_in_both_languages(name):
    entry = CATALOGUE[name]
    for what in sorted(key for key, found in entry.items() if isinstance(found, dict)):
        assert set(entry[what]) == LANGUAGES, what
        for english, chinese in texts(entry, what):
            assert fields(english) == fields(chinese), what
            assert not NOT_TAIWAN.search(chinese), what
            if re.search("[a-z]{3,} [a-z]{2,} ", re.sub(r"\{\w+\}", "", english)) and what in ("title", "explanation", "clear"):
                assert CHINESE.search(chinese), what


@pytest.mark.parametrize("name", sorted({*REMEDIES, *ON_KUBERNETES}))
def test_a_remedy_says_what_it_does_in_both_languages(name):
    found = knowledge.remedy_words(name)
    for what in ("title", "interrupts", "undo"):
        assert set(found[what]) == LANGUAGES, what
        for english, chinese in texts(found, what):
            assert fields(english) == fields(chinese), what
            assert CHINESE.search(chinese) and not NOT_TAIWAN.search(chinese), what


@pytest.mark.parametrize("name", sorted(words._all_words()))
def test_a_fixed_word_stands_in_both_languages(name):
    # Chinese has no singular.
    assert set(words._all_words()[name]) == (LANGUAGES if not name.endswith(".one") else {"en"})


def test_headlines_stand_in_both_languages():
    assert all(set(found) == LANGUAGES for found in [*diagnose.HEADLINES.values(), diagnose.OUTER])


def test_no_language_stands_in_for_another(monkeypatch):
    monkeypatch.setitem(CATALOGUE, "test.half", {"title": {"en": "only English"}, "do": {"en": ["only English"]}})
    with pytest.raises(KeyError):
        knowledge.say("test.half", "title", {}, "zh-TW")
    with pytest.raises(KeyError):
        knowledge.say_all("test.half", "do", {}, "zh-TW")
    assert (knowledge.say("test.half", "clear", {}, "zh-TW"), knowledge.say_all("test.nothing", "do", {}, "zh-TW")) == ("", [])
