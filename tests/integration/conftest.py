# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all integration tests have in common."""

from __future__ import annotations

from typing import Iterator

import predicting
import pytest


@pytest.fixture(autouse=True)
def _predictions_are_compared(request: pytest.FixtureRequest) -> Iterator[None]:
    yield from predicting.comparing(request)
