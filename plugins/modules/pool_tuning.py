#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Change a component's pool of database connections."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_tuning
short_description: Change a component's pool of database connections
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Gives the SQLAlchemy pool of a component another size, overflow or time-out, within what its PostgreSQL server has for all of its clients.
  - 'The sum over all clients, (copies + 1 that is being replaced) × processes × (size + overflow), must stay within 80 % of the slots that applications may
    use. A Celery process that does one task at a time counts as one connection. Where other sizes are not known, SQLAlchemy''s defaults count (5 and 10).
    The sum is part of the difference, and what exceeds it is refused. It is always computed from what runs now.'
  - Without any size it raises a pool that is smaller than SQLAlchemy's defaults to them, and doubles the overflow of one that is used up, as far as it fits.
  - It changes the variables that the running program has (C(DATABASE_POOL_SIZE), C(DB_POOL), C(DATABASE_MAX_OVERFLOW) and the like) the way
    M(aiops.runbook.stack_env) does, on Compose and on Kubernetes. It never invents one.
    Where the program reads none, it fails with the lines that the code needs.
  - O(pre_ping) and O(recycle_seconds) do not cure a pool that is used up.
options:
  size:
    description:
      - The connections that each process keeps open.
    type: int
  overflow:
    description:
      - How many more it may open for a while.
    type: int
  timeout_seconds:
    description:
      - For how long a request waits for a connection of the pool.
    type: int
  recycle_seconds:
    description:
      - After how long a connection is replaced.
    type: int
  pre_ping:
    description:
      - Whether a connection is tested before it is used.
    type: bool
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.acting.component
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.stack_check
  - module: aiops.runbook.stack_env
"""

EXAMPLES = r"""
- name: See what the API's pool could be
  aiops.runbook.pool_tuning:
    component: api
  check_mode: true
  diff: true

- name: Give it that size
  aiops.runbook.pool_tuning:
    component: api
    size: 10
    overflow: 5
"""

RETURN = r"""
risk:
  description: What the change means for who uses the stack, V(safe), V(disruptive), V(transient) or V(destructive).
  returned: success
  type: str
  sample: disruptive
touches:
  description: The components that were interrupted or changed.
  returned: success
  type: list
  elements: str
  sample: [api]
lasting:
  description: Lines for your own files, where the change would be lost by the next deploy.
  returned: success
  type: list
  elements: str
record:
  description: What was done, with its result and the folder of its journal.
  returned: when something was to be changed, and not in check mode
  type: dict
"""

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.module import COMPONENT, run_module

SIZES = ("size", "overflow", "timeout_seconds", "recycle_seconds", "pre_ping")


def main() -> None:
    run_module(
        {
            **COMPONENT,
            "size": {"type": "int"},
            "overflow": {"type": "int"},
            "timeout_seconds": {"type": "int"},
            "recycle_seconds": {"type": "int"},
            "pre_ping": {"type": "bool"},
        },
        lambda params: Step("pool_tuning", params["component"], {key: params[key] for key in SIZES if params[key] is not None}),
    )


if __name__ == "__main__":
    main()
