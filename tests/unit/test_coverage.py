# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The coverage table holds every row of the runbooks, and says of each no more than there is."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))

import coverage_table  # noqa: E402

ROWS = coverage_table.rows()
IDS = ["A%02d" % number for number in range(1, 29)] + ["B%02d" % number for number in range(1, 27)]


def test_every_row_once_and_in_order() -> None:
    assert [row["id"] for row in ROWS] == IDS
    lines = [line for line in coverage_table.TARGET.read_text(encoding="utf-8").splitlines() if re.match(r"\| [AB]\d\d \|", line)]
    assert [line.split(" | ")[0][2:] for line in lines] == IDS


def test_table_is_up_to_date() -> None:
    assert coverage_table.TARGET.read_text(encoding="utf-8") == coverage_table.table(), "run 'make docs'"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_row(row) -> None:
    assert set(row["platforms"]) <= {"c", "k"} and row["platforms"]
    assert row["section"]
    assert row["detect"] or row["fix"]
    assert all(row[what] for what in row.get("done", [])), "nothing is asked there that could be done"
    assert all((ROOT / "plugins" / "modules" / (name + ".py")).exists() for name in row.get("modules", []) + row.get("looks", []))


@pytest.mark.parametrize("row", [row for row in ROWS if "detect" in row.get("done", [])], ids=lambda row: row["id"])
def test_what_is_done_has_a_finding(row) -> None:
    assert coverage_table.findings_by_row().get(row["id"]), "no finding of the catalogue names this row"


@pytest.mark.parametrize("name,entry", sorted(coverage_table.catalogue().items()))
def test_finding_names_rows_that_exist(name, entry) -> None:
    assert set(entry.get("rows", [])) <= set(IDS)


@pytest.mark.parametrize("name,faults", sorted(coverage_table.faults_by_finding().items()))
def test_fault_expects_a_finding_of_the_catalogue(name, faults) -> None:
    assert name in coverage_table.catalogue(), "expected by %s" % ", ".join(faults)
