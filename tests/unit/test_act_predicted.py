# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every remedy has a test on real servers that compares what check mode said with what was done (tests/integration/predicting.py), on each platform."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.act.registry import ON_KUBERNETES, REMEDIES

TESTS = Path(__file__).resolve().parents[1]


def compared_in(folder: Path) -> set[str]:
    """The remedies that tests of this folder are marked to compare: @pytest.mark.predicts("component_start", …)."""
    found: set[str] = set()
    for path in sorted(folder.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "predicts":
                found |= {word.value for word in node.args if isinstance(word, ast.Constant)}
    return found


# It is refused there: nothing would put the level back.
THERE = set(ON_KUBERNETES) - {"log_level"}


@pytest.mark.parametrize(("folder", "remedies"), [("integration", REMEDIES), ("kubernetes", THERE)])
def test_every_remedy_is_compared_with_its_prediction(folder, remedies) -> None:
    marked = compared_in(TESTS / folder)
    assert not set(remedies) - marked, "no test is marked predicts(…) for these"
    assert not marked - set(remedies), "there is no such remedy"
