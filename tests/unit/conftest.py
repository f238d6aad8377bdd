# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The tests judge the files of this checkout, whatever collections are installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils import model

ROOT = Path(__file__).resolve().parents[2]


def pytest_sessionstart() -> None:
    if Path(model.__file__).resolve() != ROOT / "plugins" / "module_utils" / "model.py":
        pytest.exit("aiops.runbook is imported from %s, not from this checkout: run 'make setup'" % model.__file__, returncode=3)
