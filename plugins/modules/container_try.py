#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A component's start command, run once beside it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_try
short_description: Run the start command of a Compose component once, beside it, and tell how it ends
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Makes a container of the component's own image with its own command, settings, user and limits, starts it, waits until it ends or its time is
    over, and takes it away. What it said and how it ended is returned.
  - No job of this collection does that by itself, because the command does what it does. Its volumes are for reading only, no port is published,
    and no other component finds it under the component's name.
  - Without O(network) it can reach nothing, and nothing that it would have done outside can happen. A program that ends because it cannot reach
    its database says so then, too, whatever the reason why the real one ends. With it, a worker takes tasks out of the queue, and a migration is
    applied.
options:
  component:
    description:
      - The component (the Compose service).
    type: str
    required: true
  seconds:
    description:
      - How long it may run. One that still runs then is ended; it stays up, as far as this run can tell.
    type: float
    default: 10
  network:
    description:
      - Whether it stands in the component's network, and can reach what the component reaches.
    type: bool
    default: false
  tail:
    description:
      - The lines of its output that are returned at most, the last ones.
    type: int
    default: 100
  timeout:
    description:
      - Seconds that each answer of the engine may take.
    type: float
    default: 5.0
extends_documentation_fragment:
  - aiops.runbook.stack.place
attributes:
  check_mode:
    support: full
    description: Can run in check mode; what would be run is returned, and nothing is run.
  diff_mode:
    support: none
    description: Nothing remains that could differ.
seealso:
  - module: aiops.runbook.container_check
  - module: aiops.runbook.stack_logs
"""

EXAMPLES = r"""
- name: Why does the api end at once?
  aiops.runbook.container_try:
    compose_project: shop
    component: api
  register: tried

- name: It needs its database to start
  aiops.runbook.container_try:
    compose_project: shop
    component: api
    network: true
    seconds: 30
"""

RETURN = r"""
changed:
  description: Whether the command was run. Nothing of it remains.
  returned: success
  type: bool
instance:
  description: The container whose definition was taken.
  returned: success
  type: str
  sample: shop-api-1
image:
  description: Its image, by the name that it was made from.
  returned: success
  type: str
command:
  description: The entrypoint and command, secrets hidden.
  returned: success
  type: str
  sample: uvicorn app.main:app
network:
  description: The network that it stood in; empty for none.
  returned: success
  type: str
ended:
  description: Whether it ended by itself within its time.
  returned: when it was run
  type: bool
exit_code:
  description: Its exit code; none of one that still ran.
  returned: when it was run
  type: int
  sample: 1
oom_killed:
  description: Whether the kernel ended it for want of memory.
  returned: when it was run
  type: bool
error:
  description: What the engine says where it could not start it.
  returned: when it was run
  type: str
seconds:
  description: How long it ran.
  returned: when it was run
  type: float
lines:
  description: What it said, with the time of each line, secrets hidden.
  returned: when it was run
  type: list
  elements: str
last_words:
  description: What of that says why it ended (C(kind), C(about), C(exception), C(sample)); none where nothing does.
  returned: when it was run
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aiops.runbook.plugins.module_utils.act.trial import run_once
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.door import PLACE, STACK_SPEC, open_platform
from ansible_collections.aiops.runbook.plugins.module_utils.platform.compose import Compose


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **{name: STACK_SPEC[name] for name in PLACE},
            "component": {"type": "str", "required": True},
            "seconds": {"type": "float", "default": 10},
            "network": {"type": "bool", "default": False},
            "tail": {"type": "int", "default": 100},
        },
        supports_check_mode=True,
    )
    asked = module.params
    try:
        platform = open_platform(asked)
        if not isinstance(platform, Compose):
            raise StackError("stack_platform: a start command is tried on Docker Compose only", kind="bad_option")
        told = run_once(platform, asked["component"], asked["seconds"], asked["network"], asked["tail"], module.check_mode)
    except StackError as error:
        module.fail_json(**error.as_failure())
    module.exit_json(changed=True, **told)


if __name__ == "__main__":
    main()
