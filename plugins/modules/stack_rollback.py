#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Roll a component back to a version that worked."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_rollback
short_description: Roll a component of a stack on Kubernetes back to a version that worked
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Gives the Deployment or StatefulSet of a component the pod template of an earlier revision, its annotations included, and waits until its pods serve.
    Everything else that the workload has stays, the number of copies too.
  - Without O(revision) it is the last one that was healthy. That is the present one where all of its pods serve, so that nothing is done then; else
    one that serves still, else the newest earlier one whose pods are not known to have failed.
  - It refuses where going back is pointless. That is so where no earlier revision is known; where the present one was whole before a ConfigMap or
    Secret of its was changed; where what the earlier one needs is not there any more; while the rollout is paused.
  - It refuses where Argo CD, Flux, KEDA or an operator looks after the object and would take the change back. What to change there is named.
  - Only on Kubernetes (O(stack_platform=kubernetes)).
options:
  revision:
    description:
      - The revision to go back to, as C(kubectl rollout history) numbers it.
    type: int
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.acting.component
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.image_set
  - module: aiops.runbook.stack_component
"""

EXAMPLES = r"""
- name: Take back a rollout that does not come up
  aiops.runbook.stack_rollback:
    stack_platform: kubernetes
    namespace: [shop]
    component: api

- name: See what going back to revision 12 would change
  aiops.runbook.stack_rollback:
    stack_platform: kubernetes
    namespace: [shop]
    component: api
    revision: 12
  check_mode: true
  diff: true
"""

RETURN = r"""
risk:
  description: What the change means for who uses the stack, V(disruptive), or V(transient) for a worker, whose tasks in hand end.
  returned: success
  type: str
  sample: disruptive
revision:
  description: The revision that it was rolled back to.
  returned: success
  type: int
  sample: 12
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
    return Step("stack_rollback", params["component"], {"revision": params["revision"]} if params["revision"] is not None else {})


def main() -> None:
    run_module({**COMPONENT, "revision": {"type": "int"}}, step_of, told=("revision",))


if __name__ == "__main__":
    main()
