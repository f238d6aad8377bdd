# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observations as one compressed string: a large result is otherwise parsed and templated again and again on its way."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any


def pack(document: Any) -> str:
    """JSON, compressed, as text."""
    return base64.b64encode(zlib.compress(json.dumps(document).encode("utf-8"), 6)).decode("ascii")


def unpack(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text)))
