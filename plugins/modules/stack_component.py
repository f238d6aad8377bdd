#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start, or start again, a component of a stack."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_component
short_description: Start or restart a component of a stack
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Starts what does not run of a component, and waits until it is healthy. Those of its users that gave up meanwhile are started, too.
  - Or restarts the running copies of a component one after another. Their last log lines are kept first.
  - What the component needs and does not run is started before it, in order of dependency, each until it is healthy.
  - The containers stay what they are. What changes a setting needs new ones.
options:
  state:
    description:
      - V(started) starts the copies that do not run and does nothing to the others.
      - V(restarted) restarts those that run, so that it changes something each time.
    type: str
    choices: [started, restarted]
    default: started
  dependencies:
    description:
      - Start what the component depends on or is told to connect to, directly or not, where it does not run. Jobs that run once are left alone.
    type: bool
    default: true
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.acting.component
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.stack_check
  - module: aiops.runbook.component_resources
"""

EXAMPLES = r"""
- name: Start the worker
  aiops.runbook.stack_component:
    component: worker

- name: Start the worker alone, whatever it needs
  aiops.runbook.stack_component:
    component: worker
    dependencies: false

- name: Restart a worker that no longer takes tasks, and give up on it when the stack is not well for a minute
  aiops.runbook.stack_component:
    compose_project: shop
    component: worker
    state: restarted
    hold_seconds: 60
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

from typing import Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.door import apply_one, apply_with_needed
from ansible_collections.aiops.runbook.plugins.module_utils.act.module import COMPONENT, run_module


def main() -> None:
    def step_of(params: dict) -> Step:
        if params["state"] == "restarted":
            return Step("component_restart", params["component"])
        return Step("component_start", params["component"])

    def act(params: Mapping, step: Step, check_mode: bool) -> dict:
        return (apply_with_needed if params["dependencies"] else apply_one)(params, step, check_mode)

    run_module(
        {
            **COMPONENT,
            "state": {"type": "str", "choices": ["started", "restarted"], "default": "started"},
            "dependencies": {"type": "bool", "default": True},
        },
        step_of,
        act,
    )


if __name__ == "__main__":
    main()
