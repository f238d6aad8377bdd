#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Let a component log more for a while."""

from __future__ import annotations

DOCUMENTATION = r"""
module: log_level
short_description: Let a component log at another level for a while
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Sets the variable that says at which level a component logs, C(LOG_LEVEL) or one that ends so, and makes the component anew.
  - After O(minutes) it is put back by itself, by a process on the host that outlives the task and its connection.
    Where the host was restarted meanwhile, the next diagnosis says that it is overdue. The playbook C(aiops.runbook.undo) puts it back earlier.
  - No variable is invented. Where the program reads none, it fails with the lines that its code needs.
  - On Kubernetes nothing would put the level back by itself, so that it refuses there. M(aiops.runbook.stack_env) sets it, and C(aiops.runbook.undo) takes
    that back.
notes:
  - The component is interrupted twice, when the level is set and when it is put back.
  - A service manager that ends all processes of a user who logs out (C(KillUserProcesses) of systemd) ends the waiting process, too,
    unless the module runs as root or the user lingers.
options:
  level:
    description:
      - The level. V(DEBUG) when O(debug) is not given either.
    type: str
    choices: [DEBUG, INFO, WARNING, ERROR, CRITICAL]
  debug:
    description:
      - Sets C(DEBUG), or the variable that ends so, to on or off. A program in this mode may show its insides to its users.
    type: bool
  minutes:
    description:
      - Minutes after which it is put back, at most a day.
    type: float
    default: 15
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.acting.component
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.stack_logs
"""

EXAMPLES = r"""
- name: Hear everything from the API for half an hour
  aiops.runbook.log_level:
    component: api
    level: DEBUG
    minutes: 30
"""

RETURN = r"""
risk:
  description: What the change means for who uses the stack, V(disruptive), or V(transient) for a worker, whose tasks in hand end.
  returned: success
  type: str
  sample: disruptive
settings:
  description: The variables that were set.
  returned: success
  type: list
  elements: str
  sample: [LOG_LEVEL]
touches:
  description: The components that were interrupted or changed.
  returned: success
  type: list
  elements: str
lasting:
  description: Lines for your own files. There are none, as it is put back.
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


def step_of(params: dict) -> Step:
    wanted = {key: params[key] for key in ("level", "debug") if params[key] is not None} or {"level": "DEBUG"}
    return Step("log_level", params["component"], {**wanted, "minutes": params["minutes"]})


def main() -> None:
    run_module(
        {
            **COMPONENT,
            "level": {"type": "str", "choices": ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]},
            "debug": {"type": "bool"},
            "minutes": {"type": "float", "default": 15},
        },
        step_of,
        told=("settings",),
    )


if __name__ == "__main__":
    main()
