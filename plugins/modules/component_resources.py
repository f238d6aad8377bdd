#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Change the limits or the health check of a component."""

from __future__ import annotations

DOCUMENTATION = r"""
module: component_resources
short_description: Change the limits or the health check of a component
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Gives the containers of a component another limit of memory, of processors, or another health check, and waits until they are healthy.
  - On Compose the change is kept in C(compose.aiops-runbook.yml) beside the project's own files. Exactly this component is made anew.
    The lines for your own file are returned as RV(lasting).
  - It refuses where the project's files ask for anything else than what runs, as making the component anew would deploy that, too.
  - A job that runs once is not made anew.
  - On Kubernetes the pod template of its Deployment or StatefulSet is changed, after the API server itself has tried the change. It refuses what a
    LimitRange forbids, a quota has no room for, or no node has, and where Argo CD, Flux or an operator would take the change back. A container whose
    request is its limit keeps both equal.
options:
  memory:
    description:
      - The limit of memory of each container, as a number of bytes or with a unit (V(512M), V(2G)).
      - V(grow) doubles it, to at least 256 MiB, where a container was killed for want of memory or uses 80 % of its limit, and does nothing otherwise.
        All copies together get no more than half of the memory that the host (on Kubernetes the node) has left.
      - The swap that a container may use besides stays as it was.
    type: str
  cpus:
    description:
      - How many processors each container may use, V(1.5) for example.
    type: float
  requests:
    description:
      - What each container is given for sure, on Kubernetes only.
    type: dict
    suboptions:
      memory:
        description:
          - Bytes, or a number with a unit (V(512M)). V(usage) takes what it uses now and half as much again, rounded up, where it has no request.
        type: str
      cpu:
        description:
          - Processors, V(0.25) for example, or V(usage).
        type: str
  containers:
    description:
      - The containers that are meant, on Kubernetes only. The component's own when none is given.
    type: list
    elements: str
  healthcheck:
    description:
      - What of the health check is to be changed, on Compose only. On Kubernetes it is M(aiops.runbook.component_probes).
    type: dict
    suboptions:
      test:
        description:
          - The command, as a list that begins with C(CMD) or C(CMD-SHELL).
        type: list
        elements: str
      interval_seconds:
        description:
          - Between two checks.
        type: float
      timeout_seconds:
        description:
          - For how long one check may take.
        type: float
      retries:
        description:
          - How many checks have to fail in a row.
        type: int
      start_period_seconds:
        description:
          - For how long failures do not count after the start.
        type: float
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.acting.component
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.stack_check
  - module: aiops.runbook.stack_component
  - module: aiops.runbook.component_probes
"""

EXAMPLES = r"""
- name: Give the worker more memory when it runs short of it
  aiops.runbook.component_resources:
    component: worker
    memory: grow

- name: Give the API the request that its autoscaler needs
  aiops.runbook.component_resources:
    stack_platform: kubernetes
    namespace: [shop]
    component: api
    requests:
      cpu: usage

- name: Let the API start in peace
  aiops.runbook.component_resources:
    component: api
    healthcheck:
      start_period_seconds: 60
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
  description: Lines for your own files, where the change would be lost by the next deploy.
  returned: success
  type: list
  elements: str
record:
  description: What was done, with its result and the folder of its journal.
  returned: when something was to be changed, and not in check mode
  type: dict
"""

from ansible.module_utils.common.text.formatters import human_to_bytes

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.module import COMPONENT, run_module

HEALTHCHECK = {
    "test": {"type": "list", "elements": "str"},
    "interval_seconds": {"type": "float"},
    "timeout_seconds": {"type": "float"},
    "retries": {"type": "int"},
    "start_period_seconds": {"type": "float"},
}


def size(text: str, word: str) -> object:
    """Bytes; or the word that stands for a size."""
    try:
        return text if text == word else human_to_bytes(text)
    except ValueError as error:
        raise Refused("memory is neither %s nor a size: %s" % (word, text), fix="write 536870912, 512M or 2G", kind="bad_option") from error


def step_of(params: dict) -> Step:
    wanted = {key: params[key] for key in ("memory", "cpus", "containers") if params[key] is not None}
    if "memory" in wanted:
        wanted["memory"] = size(wanted["memory"], "grow")
    requests = {key: value for key, value in (params["requests"] or {}).items() if value is not None}
    if "memory" in requests:
        requests["memory"] = size(requests["memory"], "usage")
    if requests:
        wanted["requests"] = requests
    check = {key: value for key, value in (params["healthcheck"] or {}).items() if value is not None}
    return Step("component_resources", params["component"], {**wanted, **({"healthcheck": check} if check else {})})


def main() -> None:
    run_module(
        {
            **COMPONENT,
            "memory": {"type": "str"},
            "cpus": {"type": "float"},
            "requests": {"type": "dict", "options": {"memory": {"type": "str"}, "cpu": {"type": "str"}}},
            "containers": {"type": "list", "elements": "str"},
            "healthcheck": {"type": "dict", "options": HEALTHCHECK},
        },
        step_of,
        required_one_of=[("memory", "cpus", "requests", "healthcheck")],
    )


if __name__ == "__main__":
    main()
