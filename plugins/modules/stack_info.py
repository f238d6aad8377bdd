#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a stack is made of, as it was found."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_info
short_description: Show the parts of a stack, how they were recognised, and who uses whom
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Lists the components of a running stack with their roles, their settings that name other servers, and the connections
    between them; each with the source of that knowledge (process, command, image, environment, peers, name).
  - It connects to no server of the stack and shows no secret.
extends_documentation_fragment:
  - aiops.runbook.stack
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the same.
    support: full
  diff_mode:
    description: Nothing is changed, so there is no difference to show.
    support: none
seealso:
  - module: aiops.runbook.stack_check
"""

EXAMPLES = r"""
- name: What is here?
  aiops.runbook.stack_info:
    compose_project: shop
  register: shop

- name: What is in that namespace?
  aiops.runbook.stack_info:
    stack_platform: kubernetes
    namespace: shop
  register: shop
"""

RETURN = r"""
components:
  description: The parts by name.
  returned: success
  type: list
  elements: dict
  sample:
    - component: db
      role: postgres
      role_source: process
      state: running
      instances: [shop-db-1]
      settings: []
edges:
  description: Who uses whom.
  returned: success
  type: list
  elements: dict
  sample: [{from: api, to: db, kind: postgres, setting: DATABASE_URL, source: process, host: db, port: 5432}]
identity:
  description: The engine and the project, or the cluster and its namespaces.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.door import STACK_SPEC, observe_from_params


def main() -> None:
    module = AnsibleModule(argument_spec=dict(STACK_SPEC), supports_check_mode=True)
    try:
        seen = observe_from_params(module.params, ask_servers=False)
    except StackError as error:
        module.fail_json(**error.as_failure())
    components = [
        {
            "component": name,
            "role": component["role"],
            "role_source": component["role_source"],
            "state": ", ".join(sorted({one["state"] for one in component["instances"]})),
            "instances": [one["name"] for one in component["instances"]],
            "settings": [
                {key: target[key] for key in ("setting", "source", "kind", "host", "port", "database", "malformed")} for target in component["targets"]
            ],
        }
        for name, component in sorted(seen["components"].items())
    ]
    module.exit_json(changed=False, components=components, edges=seen["edges"], identity=seen["identity"])


if __name__ == "__main__":
    main()
