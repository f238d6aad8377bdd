#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Change the settings of a component."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_env
short_description: Change the settings of a component
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Sets, corrects or takes away settings (environment variables) of a component, where its platform keeps them, and makes exactly this component anew.
    A restart of its containers would not read them.
  - On Compose a setting that is wholly a variable of the project's C(.env), or that comes from an C(env_file) of this service alone, is changed on that line.
    Every other byte of the file stays. This is done only where no other running component would notice.
    Anything else is kept in C(compose.aiops-runbook.yml) beside the project's own files, and the lines for your own file are returned as RV(lasting).
  - It refuses where the project's files ask for anything else than what runs, as making the component anew would deploy that, too.
    The same goes for an image that was built since.
  - On Kubernetes a literal is changed in the pod template of the Deployment or StatefulSet, and a key in its ConfigMap or Secret, after which the pods are
    made anew as C(kubectl rollout restart) does. Of a text with C($\(NAME)) in it only the wrong part is changed.
    A key that others read, too, stays as it is. The component gets an entry of its own, which wins over it.
  - A secret is never written out in a pod template. The entry refers to the key from which another component is given the same value, or else to the
    Secret C(<workload>-aiops-runbook), which is made for it.
  - It refuses where an object is immutable, or kept by Argo CD, Flux or an operator, and where a rollout is paused.
    The API server has tried every change before it is shown.
  - A job that runs once is not made anew.
  - Taking it back puts every file or object back as it was, unless somebody else has changed it since, and makes the component anew.
options:
  set:
    description:
      - The settings that it should have, C(name) to value.
      - "A value is a text, or C({from: {component: other, setting: NAME}}), which takes what another component's running program has.
        Without C(setting) it is the one of the same name."
    type: dict
    default: {}
  secrets:
    description:
      - The same for values that must not be shown, whatever they are called. Of O(set) Ansible hides what has the name of a secret, or an account in it.
    type: dict
    default: {}
  unset:
    description:
      - The names that it should not have at all. A default of the program's own counts then.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.acting.component
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.stack_check
  - module: aiops.runbook.pool_tuning
"""

EXAMPLES = r"""
- name: Let the API allow more requests
  aiops.runbook.stack_env:
    component: api
    set:
      RATE_LIMIT: 200

- name: Give the API the database that the worker has
  aiops.runbook.stack_env:
    component: api
    set:
      DATABASE_URL:
        from:
          component: worker

- name: Replace a key
  aiops.runbook.stack_env:
    component: api
    secrets:
      OPENAI_API_KEY: "{{ vault_openai_api_key }}"

- name: See what taking DEBUG away would do
  aiops.runbook.stack_env:
    component: api
    unset: [DEBUG]
  check_mode: true
  diff: true
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
from ansible_collections.aiops.runbook.plugins.module_utils.act.settings import secrets_among


def main() -> None:
    run_module(
        {
            **COMPONENT,
            "set": {"type": "dict", "default": {}},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "unset": {"type": "list", "elements": "str", "default": []},
        },
        lambda params: Step("stack_env", params["component"], {key: params[key] for key in ("set", "secrets", "unset") if params[key]}),
        hidden=lambda params: secrets_among(params["set"]),
    )


if __name__ == "__main__":
    main()
