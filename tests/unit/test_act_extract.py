# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of the evidence goes into the record."""

from __future__ import annotations

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.act.extract import LONGEST_LINE, MOST_LINES, MOST_PARTS, extract

SAME = str
CASES = [
    ({}, []),
    ({"logs": {}}, []),
    ({"logs": {"api": []}}, []),
    ({"logs": {"api": ["one", "two"], "worker": ["three"]}}, [("logs of api", ["one", "two"]), ("logs of worker", ["three"])]),
    ({"queues": {"w1": ["celery", "mails"]}}, [("queues of w1", ["celery", "mails"])]),
    ({"ended": [{"pid": 7, "query": "UPDATE a", "host": None}]}, [("ended", ["pid: 7, query: UPDATE a"])]),
    ({"memory": {"used": 12, "peak": 13, "name": ""}}, [("memory", ["used: 12", "peak: 13"])]),
    ({"cause": "no room"}, [("cause", ["no room"])]),
    ({"danger": ""}, []),
    ({"tasks": [{"name": "mail", "traceback": "a\nb"}]}, [("tasks", ["name: mail, traceback: a", "b"])]),
    ({"networks": {"api-1": {"shop_default": {"address": "10.1.1.2", "aliases": ["api", "shop"]}}}},
     [("networks of api-1", ["shop_default: address: 10.1.1.2, aliases: api, shop"])]),
]  # fmt: skip


@pytest.mark.parametrize(("evidence", "shown"), CASES)
def test_extract(evidence, shown) -> None:
    assert [(part["what"], part["lines"]) for part in extract(evidence, SAME)] == shown


def test_it_is_bounded_and_the_end_counts() -> None:
    (part,) = extract({"logs": {"api": ["line %d %s" % (number, "x" * 5000) for number in range(500)]}}, SAME)
    assert len(part["lines"]) == MOST_LINES and part["lines"][-1].startswith("line 499") and part["left_out"] == 500 - MOST_LINES
    assert {len(line) for line in part["lines"]} == {LONGEST_LINE}
    assert len(extract({str(number): ["x"] for number in range(100)}, SAME)) == MOST_PARTS


def test_a_secret_is_hidden_before_the_line_is_cut() -> None:
    secret = "Zx9-whole-secret"
    (part,) = extract({"logs": {"api": ["y" * (LONGEST_LINE - 4) + secret]}}, lambda text: text.replace(secret, "***"))
    assert part["lines"][0].endswith("y***")
