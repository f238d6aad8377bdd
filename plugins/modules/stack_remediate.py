#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The half of stack_remediate that runs on a remote Docker host: it acts; the action plugin checks what was approved."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_remediate
short_description: Apply an approved plan of remedies to a stack, or take a run back
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Applies the steps of a plan that M(aiops.runbook.stack_check) made, when O(approve) is its digest; or, without a plan, those of the
    classes in O(auto_approve).
  - Nothing is done when the plan was edited, has expired, was made for another stack, or when what a step rests on is not as it was.
  - For each step the evidence is saved and the way back is recorded on the stack's host before anything is changed; then it is verified
    that the finding is gone, and that it stays so for O(hold_seconds). What fails is taken back.
  - One run at a time works on a stack, under a lease. A run that died in the middle is settled by the next one before it does anything else.
    What it had cured, and is cured still, stays; everything else of it is taken back. The record says what became of it.
options:
  state:
    description:
      - V(applied) applies a plan. V(undone) takes back a run.
    type: str
    choices: [applied, undone]
    default: applied
  plan:
    description:
      - The file C(plan.json) on the controller, beside the report that showed the plan.
    type: path
  approve:
    description:
      - The digest of the plan.
    type: str
  report_file:
    description:
      - Instead of O(plan), the diagnosis whose plan is meant (C(report_file) of M(aiops.runbook.stack_check)), for O(auto_approve).
    type: path
  auto_approve:
    description:
      - The risk classes of remedies that may run by themselves, V(safe), V(disruptive) and V(transient). V(destructive) never does.
    type: list
    elements: str
    default: []
  auto_most_per_day:
    description:
      - How many remedies may run by themselves on one stack within 24 hours.
    type: int
    default: 10
  freeze_windows:
    description:
      - When nothing may be changed. Each has C(from) and C(until), either UTC times (C(2026-12-24T00:00)) or times of the day with C(days)
        (a list of C(mon) to C(sun), all by default), and a C(reason).
    type: list
    elements: dict
    default: []
  freeze_override:
    description:
      - Why an approved plan is applied within a freeze window; recorded.
    type: str
  backup_waiver:
    description:
      - Why data may be changed without a fresh verified backup; recorded.
    type: str
  run:
    description:
      - The run that V(undone) takes back. The one that died in the middle, else the last one, when it is not given.
    type: str
  job:
    description:
      - Set by the action plugin.
    type: str
  order:
    description:
      - Set by the action plugin.
    type: str
extends_documentation_fragment:
  - aiops.runbook.acting
  - aiops.runbook.stack
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.stack_check
  - module: aiops.runbook.stack_report
"""

EXAMPLES = r"""
- name: Apply what was approved
  aiops.runbook.stack_remediate:
    compose_project: shop
    plan: reports/shop/latest/plan.json
    approve: k3vq7m2hx5tn4a

- name: Let safe remedies run by themselves
  aiops.runbook.stack_remediate:
    compose_project: shop
    report_file: "{{ check.report_file }}"
    auto_approve: [safe]
    freeze_windows:
      - {days: [fri], from: "17:00", until: "23:59", reason: nobody is there}

- name: Take the last run back
  aiops.runbook.stack_remediate:
    compose_project: shop
    state: undone
"""

RETURN = r"""
record:
  description: Who did what, and what came of it.
  returned: always, but when the stack's host cannot be reached
  type: dict
  contains:
    result:
      description: V(held), V(failed), V(unchanged), V(undone), V(partly undone), or V(refused) when nothing was done.
      type: str
    run:
      description: The name of the run, for O(run).
      type: str
    records:
      description: The folder on the stack's host, or the Secret in its namespace, with the journal and the evidence.
      type: str
    steps:
      description:
        - Each step with its result (V(cured), V(done), V(unchanged), V(undone), V(failed)), its difference, what to do by hand, and the end of the
          evidence (log lines, sessions, …), bounded and without secrets.
      type: list
    reason:
      description: Why it was refused.
      type: str
    settled:
      description: Runs that had died in the middle, and what became of each.
      type: list
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aiops.runbook.plugins.module_utils.act.door import ACT_SPEC, APPROVAL_SPEC, do_job
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.pack import exit_packed, unpack


def main() -> None:
    module = AnsibleModule(argument_spec={**ACT_SPEC, **APPROVAL_SPEC, "job": {"type": "str"}, "order": {"type": "str"}}, supports_check_mode=True)
    try:
        if not module.params["job"]:
            raise StackError("stack_remediate works by its action plugin only", kind="bad_option")
        answer = do_job(module.params["job"], module.params, unpack(module.params["order"]))
    except StackError as error:
        module.fail_json(**error.as_failure())
    exit_packed(module, {"answer": answer})


if __name__ == "__main__":
    main()
