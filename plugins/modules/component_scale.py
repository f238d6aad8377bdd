#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Change how many copies of a component run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: component_scale
short_description: Change how many copies of a component run on Kubernetes
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Gives the Deployment or StatefulSet of a component another number of copies, and waits until they serve.
  - It refuses where an autoscaler or KEDA decides how many copies there are. Change its bounds then, with M(aiops.runbook.autoscaler_bounds).
  - It refuses where a quota has no room for more.
  - It refuses where Argo CD, Flux, KEDA or an operator looks after the object and would take the change back. What to change there is named.
  - Only on Kubernetes (O(stack_platform=kubernetes)).
options:
  replicas:
    description:
      - How many copies are to run.
    type: int
    required: true
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.acting.component
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.autoscaler_bounds
  - module: aiops.runbook.celery_control
"""

EXAMPLES = r"""
- name: Run two copies of the API
  aiops.runbook.component_scale:
    stack_platform: kubernetes
    namespace: [shop]
    component: api
    replicas: 2
"""

RETURN = r"""
risk:
  description: What the change means for who uses the stack, V(safe) where it grows, V(disruptive) where it shrinks, V(transient) for a worker that shrinks.
  returned: success
  type: str
  sample: safe
present:
  description: How many copies were asked for before.
  returned: success
  type: int
  sample: 1
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


def main() -> None:
    run_module(
        {**COMPONENT, "replicas": {"type": "int", "required": True}},
        lambda params: Step("component_scale", params["component"], {"replicas": params["replicas"]}),
        told=("present",),
    )


if __name__ == "__main__":
    main()
