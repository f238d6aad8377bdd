# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How much memory a component may have: of its container's limit, or of what its host can still give."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance

MIB = 1 << 20


def host_memory(platform: Any, instance: Instance) -> dict[str, int]:
    """/proc/meminfo as the instance sees it, in bytes; {} where that cannot be read."""
    try:
        code, output = platform.run_inside(instance, ["cat", "/proc/meminfo"])
    except StackError:
        return {}
    return {} if code else {name: int(number) * 1024 for name, number in re.findall(r"^(\w+):\s+(\d+) kB", output, re.MULTILINE)}


def shown(size: float) -> str:
    """A size for a person."""
    if size < MIB:
        return "%.1f KiB" % (size / 1024)
    return "%.0f MiB" % (size / MIB) if size >= 10 * MIB else "%.1f MiB" % (size / MIB)
