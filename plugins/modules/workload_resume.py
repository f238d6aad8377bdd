#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Let a paused rollout go on."""

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_resume
short_description: Let a paused rollout of a component on Kubernetes go on
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Lets the rollout of a component's Deployment go on that somebody has paused, as C(kubectl rollout resume) does, and waits until it is done.
  - What was changed of its pods while it was paused takes effect, and is shown as a difference.
  - It refuses where Argo CD, Flux, KEDA or an operator looks after the object and would take the change back. What to change there is named.
  - Only on Kubernetes (O(stack_platform=kubernetes)).
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.acting.component
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.stack_rollback
  - module: aiops.runbook.stack_component
"""

EXAMPLES = r"""
- name: See what has piled up
  aiops.runbook.workload_resume:
    stack_platform: kubernetes
    namespace: [shop]
    component: api
  check_mode: true
  diff: true
"""

RETURN = r"""
risk:
  description: What the change means for who uses the stack, V(disruptive), or V(transient) for a worker, whose tasks in hand end.
  returned: success
  type: str
  sample: disruptive
pending:
  description: What of its pods was changed while the rollout was paused.
  returned: success
  type: list
  elements: str
  sample: ["container[api].image"]
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
    run_module({**COMPONENT}, lambda params: Step("workload_resume", params["component"]), told=("pending",))


if __name__ == "__main__":
    main()
