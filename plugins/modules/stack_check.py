#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The half of stack_check that runs on a remote Docker host: it observes; the action plugin judges."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_check
short_description: Observe a whole stack, judge it, and find the root causes
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Finds the parts of a running stack by itself, asks all of them at once, judges what it saw, and says which findings are
    root causes, which are their consequences, what was ruled out and what could not be checked.
  - It never writes to the stack. Its own traffic is recognisable (C(aiops.runbook)) and left out of what it counts.
  - Runs on the controller where that reaches the Docker engine; a remote Docker host is sent this module over Ansible's own
    connection. A Kubernetes cluster is always asked from the controller (or the pod that it runs in), through its API server; what
    the account may not see is told with the rule that is missing. A stack that cannot be reached gets a report that says so, not a failure.
options:
  observations:
    description:
      - Judge these observations, which O(save_observations) wrote, instead of looking at a stack.
    type: path
  save_observations:
    description:
      - Write what was observed to this file on the controller (JSON without any secret; compressed when the name ends in C(.gz)).
    type: path
  custom_checks:
    description:
      - Checks of your own on the observations.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: Its name; C(custom.) is put before it.
        type: str
        required: true
      query:
        description: A JMESPath expression into the observations. One that finds nothing is reported as could not check.
        type: str
        required: true
      is:
        description: How the value is compared with O(custom_checks[].expect).
        type: str
        choices: ["==", "!=", "<", "<=", ">", ">=", "in", "contains"]
        default: "=="
      expect:
        description: What the value must be. Anything else is a finding.
        type: raw
        required: true
      severity:
        description: How bad it is when it does not hold.
        type: str
        choices: [critical, warning, info]
        default: warning
      text:
        description: What to tell the operator.
        type: str
        required: true
      component:
        description: The component that it is about.
        type: str
        default: stack
  lang:
    description:
      - The language of titles and explanations.
    type: str
    choices: [en, zh-TW]
    default: en
  plan:
    description:
      - Make a plan of remedies for the root causes, previewed on the stack as it is, with a digest that approves exactly them
        (M(aiops.runbook.stack_remediate)). Nothing is changed by it.
    type: bool
    default: true
  plan_valid_minutes:
    description:
      - For how many minutes the plan may be approved.
    type: float
    default: 60.0
  state_dir:
    description:
      - Where the host of the stack keeps the records of acting. Default is C(/var/lib/aiops-runbook) for root, else
        C(~/.local/state/aiops-runbook). Not used on Kubernetes, where they are kept in the namespace of the stack.
    type: path
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the same.
    support: full
  diff_mode:
    description: Nothing is changed, so there is no difference to show.
    support: none
seealso:
  - module: aiops.runbook.stack_report
  - module: aiops.runbook.stack_info
"""

EXAMPLES = r"""
- name: Look at the only Compose project of this engine
  aiops.runbook.stack_check:
  register: check

- name: Report
  aiops.runbook.stack_report:
    report_file: "{{ check.report_file }}"

- name: Look at a namespace of a Kubernetes cluster
  aiops.runbook.stack_check:
    stack_platform: kubernetes
    namespace: shop

- name: Look at one of two applications that share a namespace, with its database in another one
  aiops.runbook.stack_check:
    stack_platform: kubernetes
    namespace: [shop, shop-data]
    selector: app.kubernetes.io/instance=orders
    context: production

- name: A slower application, and a check of our own
  aiops.runbook.stack_check:
    compose_project: shop
    limits:
      http_slow_ms_warning: 3000
    custom_checks:
      - id: postgres_major
        query: postgres.db.server.version_num
        is: ">="
        expect: 150000
        severity: warning
        text: PostgreSQL is older than 15
"""

RETURN = r"""
verdict:
  description: What comes of all findings.
  returned: success
  type: str
  sample: degraded
headline:
  description: The verdict in one sentence.
  returned: success
  type: str
root_causes:
  description: The findings that nothing else explains.
  returned: success
  type: list
  elements: dict
  sample: [{id: postgres.lock_held, component: db, severity: critical, title: "A session holds a lock that 7 others wait for"}]
unknown:
  description: How many things could not be checked.
  returned: success
  type: int
plan:
  description: The digest of the plan; null when there is none.
  returned: success
  type: str
  sample: k3vq7m2hx5tn4a
report_file:
  description: The whole diagnosis (JSON, gzip) in a temporary folder of the controller, for M(aiops.runbook.stack_report).
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aiops.runbook.plugins.module_utils.act.records import Records
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.door import JUDGE_SPEC, STACK_SPEC, open_stack
from ansible_collections.aiops.runbook.plugins.module_utils.observe.stack import observe_stack
from ansible_collections.aiops.runbook.plugins.module_utils.pack import exit_packed


def main() -> None:
    module = AnsibleModule(argument_spec={**STACK_SPEC, **JUDGE_SPEC}, supports_check_mode=True)
    try:
        platform, mask, options = open_stack(module.params)
        seen = observe_stack(platform, mask, options)
        at_work = Records(module.params["state_dir"] or "", platform.project).at_work()
    except StackError as error:
        module.fail_json(**error.as_failure())
    exit_packed(module, {"observations": seen}, at_work=at_work)


if __name__ == "__main__":
    main()
