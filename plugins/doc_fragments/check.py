# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every module that only looks has in common."""

from __future__ import annotations


class ModuleDocFragment:
    """aiops.runbook.check: read-only modules that look at one domain."""

    DOCUMENTATION = r"""
options:
  timeout:
    description:
      - Seconds that the whole look may take. What has not answered by then is reported as not seen.
    type: float
    default: 5.0
attributes:
  check_mode:
    support: full
    description: Can run in check mode; it never changes anything.
  diff_mode:
    support: N/A
    description: It never changes anything, so that there is no difference to show.
"""
