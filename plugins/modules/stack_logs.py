#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The logs of a stack, side by side."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_logs
short_description: Show the logs of all or some components of a stack, in the order of time
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Reads the containers' logs of the last minutes and puts their lines together by time.
  - The stack's own secrets, and whatever has the shape of one, are hidden. Of SQL statements the literals are.
  - A task shows what it has read when it ends. To follow the logs, ask for what comes in the next O(follow_seconds), show it, and ask again
    with O(positions), as the playbook C(logs) does.
options:
  components:
    description:
      - The components to read. All of them when it is empty.
    type: list
    elements: str
    default: []
  since_minutes:
    description:
      - How far back to read.
    type: float
    default: 10
  tail:
    description:
      - The lines of each container that are read at most, the newest ones.
    type: int
    default: 200
  contains:
    description:
      - Show only lines with this text (a trace id, for example).
    type: str
    default: ""
  follow_seconds:
    description:
      - Read on for so many seconds, once a second, and return what has come meanwhile, too.
    type: float
    default: 0
  positions:
    description:
      - As RV(positions) of a task before. Only what came after it is returned.
    type: dict
    default: {}
extends_documentation_fragment:
  - aiops.runbook.check
  - aiops.runbook.stack.place
seealso:
  - module: aiops.runbook.stack_check
"""

EXAMPLES = r"""
- name: What did the api and the database say in the last five minutes?
  aiops.runbook.stack_logs:
    compose_project: shop
    components: [api, db]
    since_minutes: 5
  register: said

- name: One request through all services
  aiops.runbook.stack_logs:
    compose_project: shop
    contains: 6f1c0d9e

- name: What comes in the next minute?
  aiops.runbook.stack_logs:
    compose_project: shop
    since_minutes: 0
    follow_seconds: 60
"""

RETURN = r"""
lines:
  description: The lines by time.
  returned: success
  type: list
  elements: dict
  sample: [{component: api, instance: shop-api-1, line: "2026-11-22T20:00:00.1Z GET /orders 200"}]
positions:
  description: How far each container has been read, for the option of this name.
  returned: success
  type: dict
  sample: {shop-api-1: "2026-11-22T20:00:00.100000000"}
unread:
  description: The containers whose logs could not be read, with the reason.
  returned: success
  type: list
  elements: dict
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.door import PLACE, STACK_SPEC, open_platform
from ansible_collections.aiops.runbook.plugins.module_utils.observe.tail import Tail, Wanted
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **{name: STACK_SPEC[name] for name in PLACE},
            "components": {"type": "list", "elements": "str", "default": []},
            "since_minutes": {"type": "float", "default": 10},
            "tail": {"type": "int", "default": 200},
            "contains": {"type": "str", "default": ""},
            "follow_seconds": {"type": "float", "default": 0},
            "positions": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    asked = module.params
    try:
        wanted = Wanted(asked["components"], asked["contains"], asked["tail"], asked["timeout"])
        tail = Tail(open_platform(asked), Mask(), wanted, asked["positions"])
        lines = tail.follow(time.time() - asked["since_minutes"] * 60, asked["follow_seconds"])
    except StackError as error:
        module.fail_json(**error.as_failure())
    module.exit_json(changed=False, lines=lines, unread=tail.told(), positions=tail.positions)


if __name__ == "__main__":
    main()
