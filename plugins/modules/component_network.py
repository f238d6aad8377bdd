#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put a component back on its networks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: component_network
short_description: Put a component back on its networks
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Connects each running copy of a component to networks that it has lost, under the names and the fixed address that Compose would give it.
  - Only networks that the project's files give to the component. The containers go on running.
options:
  networks:
    description:
      - The networks, by the engine's names or as the project's files name them.
    type: list
    elements: str
    required: true
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.acting.component
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.stack_check
  - module: community.docker.docker_network
"""

EXAMPLES = r"""
- name: Let the others find the database again
  aiops.runbook.component_network:
    component: postgres
    networks: [default]
"""

RETURN = r"""
risk:
  description: What the change means for who uses the stack. V(safe), as nobody notices.
  returned: success
  type: str
  sample: safe
networks:
  description: The networks that were meant, by the engine's names.
  returned: success
  type: list
  elements: str
  sample: [shop_default]
touches:
  description: The components that were interrupted or changed.
  returned: success
  type: list
  elements: str
lasting:
  description: Lines for your own files. There are none, as the files give these networks already.
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


def main() -> None:
    run_module(
        {**COMPONENT, "networks": {"type": "list", "elements": "str", "required": True}},
        lambda params: Step("network_connect", params["component"], {"networks": params["networks"]}),
        told=("networks",),
    )


if __name__ == "__main__":
    main()
