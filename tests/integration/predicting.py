# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""That check mode says exactly what then is done: compared for every remedy, by a test that is marked predicts("its name").

tests/unit/test_act_predicted.py fails for a remedy without such a test, and a test that is marked and compares nothing fails, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

_compared: set[str] = set()


def predicted(remedy: str, told: Mapping[str, Any], done: Mapping[str, Any], seen: Mapping[str, str]) -> None:
    """What a remedy said in check mode (told) is what its record says (done), and what the test has met of it by means of its own (seen).

    told, done: answers of apply_one() or of the remedy's module. seen: for each line of the difference, by what it is about, words of the
    present state that the prediction must hold.
    """
    lines = foretold(remedy, told, done)
    assert {line["what"] for line in lines} == set(seen), "what the test has looked at"
    for line in lines:
        assert seen[line["what"]] in line["after"], "%s: predicted %s, seen %s" % (line["what"], line["after"], seen[line["what"]])


def foretold(remedy: str, told: Mapping[str, Any], done: Mapping[str, Any]) -> list[dict[str, str]]:
    """The lines of the difference that was made, which check mode told before to the letter. What came about, the test sees for itself."""
    assert done["changed"] and any(step["remedy"] == remedy for step in done["record"]["steps"]), "%s was not done: %s" % (remedy, done)
    assert told["changed"] and "record" not in told
    lines = [line for step in done["record"]["steps"] for line in step["diff"]]
    assert _shown(told) == _as_text(lines)
    _compared.add(remedy)
    return lines


def _shown(answer: Mapping[str, Any]) -> dict[str, str]:
    """The difference, as a module shows it."""
    return answer["diff"] if "diff" in answer else _as_text(answer["preview"]["diff"])


def _as_text(lines: list[dict[str, str]]) -> dict[str, str]:
    return {side: "".join("%s: %s\n" % (line["what"], line[side]) for line in lines) for side in ("before", "after")}


def comparing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Around a test: one that says that it compares a remedy's prediction has done so."""
    _compared.clear()
    yield
    mark = request.node.get_closest_marker("predicts")
    assert set(mark.args if mark else ()) <= _compared
