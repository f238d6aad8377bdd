#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Let a Service lead to its pods again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_fix
short_description: Let a Service on Kubernetes lead to its pods again
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Corrects the selector of a Service that picks no pods, or the targetPort of one that leads to where nobody listens, and waits until it has an
    endpoint that is ready.
  - Without a value of your own it is done only where one answer is possible. That is what C(kubectl apply) said last, where that fits; the labels of the
    one workload that has the port and differs least; the one port on which its pods listen.
  - It refuses where Argo CD, Flux, KEDA or an operator looks after the object and would take the change back. What to change there is named.
  - Only on Kubernetes (O(stack_platform=kubernetes)).
options:
  service:
    description:
      - The name of the Service.
    type: str
    required: true
  component:
    description:
      - The component that it is for, where that is known.
    type: str
  what:
    description:
      - What is corrected.
    type: str
    choices: [selector, port]
    required: true
  labels:
    description:
      - The labels of the pods that it is to pick.
    type: dict
  port:
    description:
      - The Service's own port that is meant, by number or name. Its only one when it is not given.
    type: str
  target_port:
    description:
      - Where that port is to lead, a number or the name of a port of its containers.
    type: str
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.stack_check
  - module: aiops.runbook.component_network
"""

EXAMPLES = r"""
- name: Let the API be found again
  aiops.runbook.service_fix:
    stack_platform: kubernetes
    namespace: [shop]
    service: api
    component: api
    what: selector

- name: Let port 80 lead to where the pods listen
  aiops.runbook.service_fix:
    stack_platform: kubernetes
    namespace: [shop]
    service: web
    what: port
    port: 80
    target_port: 8080
"""

RETURN = r"""
risk:
  description: What the change means for who uses the stack, V(safe) where it led to nobody, V(disruptive) where it led to somebody.
  returned: success
  type: str
  sample: safe
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


def step_of(params: dict) -> Step:
    wanted = {"service": params["service"]}
    # The option selector is the stack's own.
    names = {"selector": "labels"} if params["what"] == "selector" else {"port": "port", "target_port": "target_port"}
    wanted.update({key: params[name] for key, name in names.items() if params[name] is not None})
    return Step("service_" + params["what"], params["component"] or "service/" + params["service"], wanted)


def main() -> None:
    run_module(
        {
            "service": {"type": "str", "required": True},
            "component": {"type": "str"},
            "what": {"type": "str", "choices": ["selector", "port"], "required": True},
            "labels": {"type": "dict"},
            "port": {"type": "str"},
            "target_port": {"type": "str"},
        },
        step_of,
        mutually_exclusive=[("labels", "port"), ("labels", "target_port")],
    )


if __name__ == "__main__":
    main()
