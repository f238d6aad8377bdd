# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Times as engines and API servers write them."""

from __future__ import annotations

import datetime
import re


def read_time(text: str | None) -> float:
    """UNIX seconds of an RFC 3339 time; 0 for none (Docker writes the year 1)."""
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?", text or "")
    if not match or match.group(1).startswith("0001"):
        return 0.0
    zone = "+00:00" if match.group(3) in ("Z", None) else match.group(3)
    return datetime.datetime.fromisoformat(match.group(1) + zone).timestamp() + float(match.group(2) or 0)
