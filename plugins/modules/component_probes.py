#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Correct the probes of a component."""

from __future__ import annotations

DOCUMENTATION = r"""
module: component_probes
short_description: Correct the probes of a component on Kubernetes
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Gives a container time to start, corrects what its probes ask and how patient they are, or gives it the probes of the last version that was
    healthy, and waits until the new pods serve.
  - The API server itself tries the change first. What it makes of it is the difference that is shown, applied, and put back by an undo.
  - It refuses where Argo CD, Flux, KEDA or an operator looks after the object and would take the change back. What to change there is named.
  - Only on Kubernetes (O(stack_platform=kubernetes)).
options:
  container:
    description:
      - The container. The component's own when it is not given.
    type: str
  start_seconds:
    description:
      - For so long nothing kills the container while it starts. Its startup probe gets the patience; where it has none, it gets one that asks what its
        liveness probe asks.
    type: float
  as_before:
    description:
      - Give the container all probes of the last version that was healthy.
    type: bool
    default: false
  probes:
    description:
      - What is to be changed of each probe. A probe that the container has not got is not made.
    type: dict
    suboptions:
      liveness:
        description:
          - The one that kills the container.
        type: dict
        suboptions:
          port:
            description:
              - The port, by its number or its name.
            type: str
          path:
            description:
              - The page that is asked for.
            type: str
          scheme:
            description:
              - By which it is asked.
            type: str
            choices: [HTTP, HTTPS]
          initial_delay_seconds:
            description:
              - For how long it does not ask after the start.
            type: int
          period_seconds:
            description:
              - Between two questions.
            type: int
          timeout_seconds:
            description:
              - For how long it waits for an answer.
            type: int
          failures:
            description:
              - How many questions in a row have to fail.
            type: int
      readiness:
        description:
          - The one that takes it out of its Services.
        type: dict
        suboptions:
          port:
            description:
              - The port, by its number or its name.
            type: str
          path:
            description:
              - The page that is asked for.
            type: str
          scheme:
            description:
              - By which it is asked.
            type: str
            choices: [HTTP, HTTPS]
          initial_delay_seconds:
            description:
              - For how long it does not ask after the start.
            type: int
          period_seconds:
            description:
              - Between two questions.
            type: int
          timeout_seconds:
            description:
              - For how long it waits for an answer.
            type: int
          failures:
            description:
              - How many questions in a row have to fail.
            type: int
      startup:
        description:
          - The one that has to pass first.
        type: dict
        suboptions:
          port:
            description:
              - The port, by its number or its name.
            type: str
          path:
            description:
              - The page that is asked for.
            type: str
          scheme:
            description:
              - By which it is asked.
            type: str
            choices: [HTTP, HTTPS]
          initial_delay_seconds:
            description:
              - For how long it does not ask after the start.
            type: int
          period_seconds:
            description:
              - Between two questions.
            type: int
          timeout_seconds:
            description:
              - For how long it waits for an answer.
            type: int
          failures:
            description:
              - How many questions in a row have to fail.
            type: int
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.acting.component
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.component_resources
  - module: aiops.runbook.stack_rollback
"""

EXAMPLES = r"""
- name: Let the API start in peace
  aiops.runbook.component_probes:
    stack_platform: kubernetes
    namespace: [shop]
    component: api
    start_seconds: 120

- name: Ask the right page, and wait longer for it
  aiops.runbook.component_probes:
    stack_platform: kubernetes
    namespace: [shop]
    component: api
    probes:
      readiness:
        path: /ready
        timeout_seconds: 5
  check_mode: true
  diff: true
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

PROBE = {
    "port": {"type": "str"},
    "path": {"type": "str"},
    "scheme": {"type": "str", "choices": ["HTTP", "HTTPS"]},
    "initial_delay_seconds": {"type": "int"},
    "period_seconds": {"type": "int"},
    "timeout_seconds": {"type": "int"},
    "failures": {"type": "int"},
}


def step_of(params: dict) -> Step:
    wanted = {key: params[key] for key in ("container", "start_seconds", "as_before") if params[key]}
    probes = {kind: {key: value for key, value in one.items() if value is not None} for kind, one in (params["probes"] or {}).items() if one}
    return Step("component_probes", params["component"], {**wanted, **({"probes": probes} if probes else {})})


def main() -> None:
    run_module(
        {
            **COMPONENT,
            "container": {"type": "str"},
            "start_seconds": {"type": "float"},
            "as_before": {"type": "bool", "default": False},
            "probes": {
                "type": "dict",
                "options": {
                    "liveness": {"type": "dict", "options": PROBE},
                    "readiness": {"type": "dict", "options": PROBE},
                    "startup": {"type": "dict", "options": PROBE},
                },
            },
        },
        step_of,
    )


if __name__ == "__main__":
    main()
