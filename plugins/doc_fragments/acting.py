# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options that say how to act."""

from __future__ import annotations


class ModuleDocFragment:
    """aiops.runbook.acting: what every module that cures has in common, besides aiops.runbook.stack and aiops.runbook.limits.

    aiops.runbook.acting.component: what is acted on.
    """

    DOCUMENTATION = r"""
options:
  state_dir:
    description:
      - The folder on the host where the records are kept, the lease, the journal of each run with what undoes it, and the evidence.
      - Readable by its owner only. For root C(/var/lib/aiops-runbook), else C(~/.local/state/aiops-runbook), when it is not given.
      - Not used on Kubernetes, where the records are kept in the stack's (first) namespace. The lease is the Lease C(aiops-runbook), each run
        has a Secret C(aiops-runbook-<run>) of the type C(aiops.runbook/journal).
    type: path
  hold_seconds:
    description:
      - Seconds for which the stack is watched after the change. When it falls ill in that time, the change is taken back.
    type: float
    default: 20.0
  lease_wait:
    description:
      - Seconds to wait for another one who is at work on the same stack.
    type: float
    default: 0.0
  by:
    description:
      - Who does it, for the record. The user's name when it is not given.
    type: str
    default: ''
attributes:
  check_mode:
    support: full
    description: Says what it would do, by the same code without the last step.
  diff_mode:
    support: full
    description: Shows what is and what would be, without secrets.
"""
    COMPONENT = r"""
options:
  component:
    description:
      - The component, as the reports name it (on Compose the name of the service).
    type: str
    required: true
"""
