#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Change between which numbers of copies an autoscaler may choose."""

from __future__ import annotations

DOCUMENTATION = r"""
module: autoscaler_bounds
short_description: Change between which numbers of copies an autoscaler on Kubernetes may choose
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Changes the minimum or the maximum of the HorizontalPodAutoscaler of a component.
  - One that belongs to KEDA is refused. The ScaledObject is named, which is what has to be changed.
  - It refuses where Argo CD, Flux, KEDA or an operator looks after the object and would take the change back. What to change there is named.
  - Only on Kubernetes (O(stack_platform=kubernetes)).
options:
  autoscaler:
    description:
      - Its name, where the component has several.
    type: str
  min:
    description:
      - The least copies that run.
    type: int
  max:
    description:
      - The most copies that run, as a number.
      - V(grow) gives half as many again, as far as nodes and quotas have room for them. It needs the right to list the pods of the whole cluster.
    type: str
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.acting.component
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.component_scale
  - module: aiops.runbook.stack_check
"""

EXAMPLES = r"""
- name: Let the API grow to eight copies
  aiops.runbook.autoscaler_bounds:
    stack_platform: kubernetes
    namespace: [shop]
    component: api
    max: 8

- name: See what the nodes have room for
  aiops.runbook.autoscaler_bounds:
    stack_platform: kubernetes
    namespace: [shop]
    component: api
    max: grow
  check_mode: true
  diff: true
"""

RETURN = r"""
risk:
  description: What the change means for who uses the stack, V(safe), or V(disruptive) where copies end.
  returned: success
  type: str
  sample: safe
autoscaler:
  description: The autoscaler that was meant.
  returned: success
  type: str
  sample: api
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
    return Step("autoscaler_bounds", params["component"], {key: params[key] for key in ("autoscaler", "min", "max") if params[key] is not None})


def main() -> None:
    run_module(
        {**COMPONENT, "autoscaler": {"type": "str"}, "min": {"type": "int"}, "max": {"type": "str"}},
        step_of,
        told=("autoscaler",),
        required_one_of=[("min", "max")],
    )


if __name__ == "__main__":
    main()
