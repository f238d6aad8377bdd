# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A bare TCP connection: nothing is sent."""

from __future__ import annotations

import socket
import time
from typing import Any


def try_tcp(address: str, port: int, timeout: float) -> dict[str, Any]:
    """{"connects", "error": "" | "refused" | "timeout" | text, "seconds"}."""
    started = time.monotonic()
    error = ""
    try:
        with socket.create_connection((address, port), timeout=timeout):
            pass
    except socket.timeout:
        error = "timeout"
    except ConnectionRefusedError:
        error = "refused"
    except OSError as failure:
        error = failure.strerror or str(failure)
    return {"connects": not error, "error": error, "seconds": round(time.monotonic() - started, 4)}
