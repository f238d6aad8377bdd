#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Let a node take pods again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_uncordon
short_description: Let a node of a Kubernetes cluster take pods again
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Takes the cordon from a node, as C(kubectl uncordon) does.
  - Somebody has cordoned it, for a reason that the cluster does not know. See that the maintenance is over.
  - It refuses where the node is not ready, is being deleted, or is taken away by a cluster autoscaler.
  - It needs a right of the whole cluster, to patch nodes (C(docs/rbac/cluster-remediate.yml)).
  - Only on Kubernetes (O(stack_platform=kubernetes)).
options:
  node:
    description:
      - The name of the node.
    type: str
    required: true
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.stack_check
  - module: kubernetes.core.k8s_drain
"""

EXAMPLES = r"""
- name: Give the node back after the maintenance
  aiops.runbook.node_uncordon:
    stack_platform: kubernetes
    namespace: [shop]
    node: worker-3
"""

RETURN = r"""
risk:
  description: What the change means for who uses the stack, V(disruptive), as somebody may be at work on the node.
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
from ansible_collections.aiops.runbook.plugins.module_utils.act.module import run_module


def main() -> None:
    run_module(
        {"node": {"type": "str", "required": True}},
        lambda params: Step("node_uncordon", "node/" + params["node"], {"node": params["node"]}),
    )


if __name__ == "__main__":
    main()
