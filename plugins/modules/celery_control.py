#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Queues, processes and copies of a stack's Celery workers, and failed tasks run again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_control
short_description: Tell the Celery workers of a stack what to consume, how many to be, and which failed tasks to run again
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Orders the workers of one component, and no others on the same broker, by Celery's own remote control, and looks whether they obeyed.
  - Celery itself is not needed where the module runs. The broker is reached with the stack's own account.
  - What a restart of the workers would take back is named in RV(lasting).
requirements:
  - redis >= 4.3 and kombu >= 5.2 (the role C(aiops.runbook.prepare) installs them)
notes:
  - Redis is the only broker that is spoken to.
options:
  component:
    description:
      - The component that works, as the reports name it (on Compose the name of the service).
      - The broker's own name will do where only one component works.
    type: str
    required: true
  state:
    description:
      - V(consuming) lets its workers consume O(queues), and V(not_consuming) lets them leave these alone.
      - V(scaled) gives each worker O(processes), or the component O(replicas).
      - V(retried) queues failed tasks again, under their own ids, those of O(task_ids) or those called O(task_name).
        It needs C(result_extended = True) in the application. What a chain or a chord would have done after them is not done.
        It cannot be taken back.
    type: str
    choices: [consuming, not_consuming, scaled, retried]
    required: true
  queues:
    description:
      - The queues that are meant.
    type: list
    elements: str
  processes:
    description:
      - How many processes each worker's pool has. Refused for pools of threads, and beyond the container's memory.
    type: int
  replicas:
    description:
      - How many copies the component has. Refused on Kubernetes, where M(aiops.runbook.component_scale) does it.
    type: int
  task_ids:
    description:
      - Tasks, by their ids. Those that have not failed are left alone.
    type: list
    elements: str
  task_name:
    description:
      - Every failed task of this name whose result is still kept.
    type: str
  most:
    description:
      - When more tasks than this match, none is run.
    type: int
    default: 20
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.celery_check
  - module: aiops.runbook.component_scale
  - module: aiops.runbook.stack_component
"""

EXAMPLES = r"""
- name: Let the worker consume a queue that nobody does
  aiops.runbook.celery_control:
    component: worker
    state: consuming
    queues: [mails]

- name: Work off a backlog with more processes
  aiops.runbook.celery_control:
    component: worker
    state: scaled
    processes: 6

- name: And with a second copy
  aiops.runbook.celery_control:
    component: worker
    state: scaled
    replicas: 2

- name: See which failed tasks would be run again
  aiops.runbook.celery_control:
    component: worker
    state: retried
    task_name: shop.send_invoice
  check_mode: true
  diff: true
"""

RETURN = r"""
risk:
  description: What the change means for who uses the stack, V(safe), V(disruptive), V(transient) or V(destructive).
  returned: success
  type: str
  sample: safe
touches:
  description: The components that were interrupted or changed.
  returned: success
  type: list
  elements: str
lasting:
  description: Lines for your own files, where the change would be lost by the next restart or deploy.
  returned: success
  type: list
  elements: str
  sample: ["services.worker: its worker needs -Q celery,mails on its command line (it says -Q celery now), because a restart forgets it"]
record:
  description: What was done, with its result and the folder of its journal.
  returned: when something was to be changed, and not in check mode
  type: dict
"""

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.module import COMPONENT, run_module


def step_of(params: dict) -> Step:
    state, component = params["state"], params["component"]
    if state == "scaled":
        return Step("celery_scale", component, {key: params[key] for key in ("processes", "replicas") if params[key] is not None})
    if state == "retried":
        which = {"task_ids": params["task_ids"]} if params["task_ids"] else {"name": params["task_name"]}
        return Step("celery_retry", component, {**which, "most": params["most"]})
    return Step("celery_consumers", component, {"queues": params["queues"], "state": "added" if state == "consuming" else "cancelled"})


def main() -> None:
    run_module(
        {
            **COMPONENT,
            "state": {"type": "str", "choices": ["consuming", "not_consuming", "scaled", "retried"], "required": True},
            "queues": {"type": "list", "elements": "str"},
            "processes": {"type": "int"},
            "replicas": {"type": "int"},
            "task_ids": {"type": "list", "elements": "str"},
            "task_name": {"type": "str"},
            "most": {"type": "int", "default": 20},
        },
        step_of,
        required_if=[
            ["state", "consuming", ["queues"]],
            ["state", "not_consuming", ["queues"]],
            ["state", "scaled", ["processes", "replicas"], True],
            ["state", "retried", ["task_ids", "task_name"], True],
        ],
        mutually_exclusive=[["processes", "replicas"], ["task_ids", "task_name"]],
    )


if __name__ == "__main__":
    main()
