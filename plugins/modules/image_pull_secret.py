#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Let the images of a component be pulled with an account."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_pull_secret
short_description: Let the images of a component on Kubernetes be pulled with an account
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Names a Secret of the namespace, of the type C(kubernetes.io/dockerconfigjson), where the pods of a component take it to pull their images, and waits
    until they are pulled. It has to be for a registry of these images.
  - With O(registry), O(user) and O(registry_password) the Secret is made where there is none of that name. What is undone deletes it again.
    The password stands in no plan, no journal and no difference.
  - Pull secrets that a pod is given by its service account are kept where the component gets one of its own.
  - It refuses where Argo CD, Flux, KEDA or an operator looks after the object and would take the change back. What to change there is named.
  - Only on Kubernetes (O(stack_platform=kubernetes)).
options:
  secret:
    description:
      - The name of the Secret.
    type: str
    required: true
  attach:
    description:
      - V(workload) names it in the component's own pod template.
      - V(service_account) names it in the service account that its pods run as, for whoever else does so, too. Pods that wait for an image are made anew.
    type: str
    choices: [workload, service_account]
    default: workload
  registry:
    description:
      - The registry that the account is for, as the images name it.
    type: str
  user:
    description:
      - The account.
    type: str
  registry_password:
    description:
      - Its password or token.
    type: str
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.acting.component
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.image_set
  - module: aiops.runbook.stack_check
"""

EXAMPLES = r"""
- name: Attach a Secret that is there
  aiops.runbook.image_pull_secret:
    stack_platform: kubernetes
    namespace: [shop]
    component: api
    secret: registry

- name: Make one, and attach it to the service account
  aiops.runbook.image_pull_secret:
    stack_platform: kubernetes
    namespace: [shop]
    component: api
    secret: registry
    attach: service_account
    registry: registry.example
    user: puller
    registry_password: "{{ vault_registry_password }}"
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
  description: Lines for your own manifests, where the change would be lost by the next deploy.
  returned: success
  type: list
  elements: str
record:
  description: What was done, with its result and where its journal is.
  returned: when something was to be changed, and not in check mode
  type: dict
"""

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.module import COMPONENT, run_module


def step_of(params: dict) -> Step:
    # The password goes by the task's own options alone: what stands in a step is written down.
    return Step("image_pull_secret", params["component"], {key: params[key] for key in ("secret", "attach", "registry", "user") if params[key]})


def main() -> None:
    run_module(
        {
            **COMPONENT,
            "secret": {"type": "str", "required": True, "no_log": False},
            "attach": {"type": "str", "choices": ["workload", "service_account"], "default": "workload"},
            "registry": {"type": "str"},
            "user": {"type": "str"},
            "registry_password": {"type": "str", "no_log": True},
        },
        step_of,
        required_together=[("registry", "user", "registry_password")],
    )


if __name__ == "__main__":
    main()
