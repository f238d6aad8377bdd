#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The containers of a Compose project, judged alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_check
short_description: Judge the containers of a Compose project
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Says which components do not run and why (exit code, out of memory, command, crash loop, pause), which health checks fail
    or cannot run, and which containers are near their memory limit.
  - It connects to no server of the stack and changes nothing.
options:
  compose_project:
    description:
      - The name of the Compose project. Found by itself when only one project has containers on the engine.
    type: str
  docker_host:
    description:
      - The engine's address, like E(DOCKER_HOST). The environment's, or the local socket, when it is not given.
    type: str
extends_documentation_fragment:
  - aiops.runbook.check
  - aiops.runbook.limits.container
seealso:
  - module: aiops.runbook.stack_check
"""

EXAMPLES = r"""
- name: Judge the containers of a project
  aiops.runbook.container_check:
    compose_project: shop
  become: true
"""

RETURN = r"""
verdict:
  description: What comes of all findings.
  returned: success
  type: str
  sample: healthy
findings:
  description: What is wrong, with its evidence.
  returned: success
  type: list
  elements: dict
  sample: [{id: container.oom_killed, component: worker, severity: critical, evidence: {exit_code: 137, memory_limit: 67108864}}]
cleared:
  description: What was looked at and is well.
  returned: success
  type: list
  elements: dict
unknown:
  description: What could not be checked, with the reason.
  returned: success
  type: list
  elements: dict
facts:
  description: The components as they were observed.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aiops.runbook.plugins.module_utils.judge.containers import DOMAIN
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits, limits_spec
from ansible_collections.aiops.runbook.plugins.module_utils.judge.outcome import outcome
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.door import observe_from_params


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "compose_project": {"type": "str"},
            "docker_host": {"type": "str"},
            "timeout": {"type": "float", "default": 5.0},
            "limits": {"type": "dict", "options": limits_spec("container", "startup", "log")},
        },
        supports_check_mode=True,
    )
    try:
        seen = observe_from_params(module.params, ask_servers=False)
        answers = list(judge_domain(DOMAIN, seen, Limits(module.params["limits"])))
    except StackError as error:
        module.fail_json(**error.as_failure())
    module.exit_json(changed=False, facts=seen["components"], **outcome(answers))


if __name__ == "__main__":
    main()
