#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Change the limits or the health check of a component."""

from __future__ import annotations

DOCUMENTATION = r"""
module: component_resources
short_description: Change the limits or the health check of a component
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Gives the containers of a component another limit of memory, of processors, or another health check, and waits until they are healthy.
  - On Compose the change is kept in C(compose.aiops-runbook.yml) beside the project's own files. Exactly this component is made anew.
    The lines for your own file are returned as RV(lasting).
  - It refuses where the project's files ask for anything else than what runs, as making the component anew would deploy that, too.
  - A job that runs once is not made anew.
options:
  memory:
    description:
      - The limit of memory of each container, as a number of bytes or with a unit (V(512M), V(2G)).
      - V(grow) doubles it, to at least 256 MiB, where a container was killed for want of memory or uses 80 % of its limit, and does nothing otherwise.
        All copies together get no more than half of the memory that the host has left.
      - The swap that a container may use besides stays as it was.
    type: str
  cpus:
    description:
      - How many processors each container may use, V(1.5) for example.
    type: float
  healthcheck:
    description:
      - What of the health check is to be changed.
    type: dict
    suboptions:
      test:
        description:
          - The command, as a list that begins with C(CMD) or C(CMD-SHELL).
        type: list
        elements: str
      interval_seconds:
        description:
          - Between two checks.
        type: float
      timeout_seconds:
        description:
          - For how long one check may take.
        type: float
      retries:
        description:
          - How many checks have to fail in a row.
        type: int
      start_period_seconds:
        description:
          - For how long failures do not count after the start.
        type: float
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.acting.component
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.stack_check
  - module: aiops.runbook.stack_component
"""

EXAMPLES = r"""
- name: Give the worker more memory when it runs short of it
  aiops.runbook.component_resources:
    component: worker
    memory: grow

- name: Let the API start in peace
  aiops.runbook.component_resources:
    component: api
    healthcheck:
      start_period_seconds: 60
  check_mode: true
  diff: true
"""

RETURN = r"""
risk:
  description: What the change means for who uses the stack, V(disruptive), or V(transient) for a worker, whose tasks in hand end.
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

from ansible.module_utils.common.text.formatters import human_to_bytes

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.module import COMPONENT, run_module

HEALTHCHECK = {
    "test": {"type": "list", "elements": "str"},
    "interval_seconds": {"type": "float"},
    "timeout_seconds": {"type": "float"},
    "retries": {"type": "int"},
    "start_period_seconds": {"type": "float"},
}


def step_of(params: dict) -> Step:
    wanted = {key: params[key] for key in ("memory", "cpus") if params[key] is not None}
    if wanted.get("memory") not in (None, "grow"):
        try:
            wanted["memory"] = human_to_bytes(wanted["memory"])
        except ValueError as error:
            raise Refused("memory is neither grow nor a size: %s" % wanted["memory"], fix="write 536870912, 512M or 2G", kind="bad_option") from error
    check = {key: value for key, value in (params["healthcheck"] or {}).items() if value is not None}
    return Step("component_resources", params["component"], {**wanted, **({"healthcheck": check} if check else {})})


def main() -> None:
    run_module(
        {
            **COMPONENT,
            "memory": {"type": "str"},
            "cpus": {"type": "float"},
            "healthcheck": {"type": "dict", "options": HEALTHCHECK},
        },
        step_of,
        required_one_of=[("memory", "cpus", "healthcheck")],
    )


if __name__ == "__main__":
    main()
