#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Celery workers and queues of one Redis broker, judged alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_check
short_description: Judge the Celery workers and queues on a Redis broker
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Says whether workers answer, whether every queue with tasks is consumed and drained, whether a worker is stalled although it
    answers, whether the workers know the tasks that come next, and whether tasks stay unacknowledged for too long.
  - Queues are found by the broker's bindings, by what the workers consume and by the content of lists; lengths are the sum over all
    priorities.
  - It is a guest. It opens one connection called C(aiops.runbook); asking the workers needs a reply queue in the broker, which is
    taken away again. Names of tasks are shown, never their arguments.
  - Where tasks wait, two samples about half a second apart tell whether they move.
requirements:
  - kombu >= 5.2 (the role C(aiops.runbook.prepare) installs it)
notes:
  - Brokers other than Redis are not supported.
  - The solo pool does not answer while it runs a task.
options:
  expected_workers:
    description:
      - How many worker nodes there should be. When it is not given, those that are subscribed to the broker have to answer.
    type: int
  queues:
    description:
      - Names of queues that may be found in no other way.
    type: list
    elements: str
    default: []
  key_prefix:
    description:
      - The application's C(global_keyprefix). Found by itself where the bindings show it.
    type: str
    default: ""
extends_documentation_fragment:
  - aiops.runbook.redis_server
  - aiops.runbook.check
  - aiops.runbook.limits.celery
seealso:
  - module: aiops.runbook.stack_check
  - module: aiops.runbook.redis_check
"""

EXAMPLES = r"""
- name: Judge the workers of a broker
  aiops.runbook.celery_check:
    url: "{{ celery_broker_url }}"
    expected_workers: 2
  register: tasks

- name: Stop when tasks are not worked off
  ansible.builtin.assert:
    that: tasks.verdict in ['healthy', 'unknown']

- name: Allow a longer queue
  aiops.runbook.celery_check:
    login_host: broker.example.org
    limits:
      celery_queue_length_warning: 5000
"""

RETURN = r"""
verdict:
  description: What comes of all findings, V(healthy), V(degraded), V(down) or V(unknown).
  returned: success
  type: str
  sample: down
findings:
  description: What is wrong, with its evidence, the gravest first.
  returned: success
  type: list
  elements: dict
  sample: [{id: celery.queue_without_consumer, component: redis, severity: critical, evidence: {queue: priority, length: 12, consumed: [celery]}}]
cleared:
  description: What was looked at and is well, with the figures that show it.
  returned: success
  type: list
  elements: dict
unknown:
  description: What could not be checked, with the reason.
  returned: success
  type: list
  elements: dict
facts:
  description: The queues, the workers, and what was sampled.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aiops.runbook.plugins.module_utils.connect.redis import TARGET_SPEC, target_from_params
from ansible_collections.aiops.runbook.plugins.module_utils.judge import celery as _celery  # registers the judges of the domain "celery"
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits, limits_spec
from ansible_collections.aiops.runbook.plugins.module_utils.judge.outcome import outcome
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.celery import observe_celery
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            "expected_workers": {"type": "int"},
            "queues": {"type": "list", "elements": "str", "default": []},
            "key_prefix": {"type": "str", "default": "", "no_log": False},
            "timeout": {"type": "float", "default": 5.0},
            "limits": {"type": "dict", "options": limits_spec("celery")},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        target = target_from_params(given)
        seen = observe_celery(given["name"], target, Mask(), given["timeout"], given["expected_workers"], given["queues"], given["key_prefix"])
        why = why_unseen(seen["answers"])
        if why and why["kind"] == "missing_library":
            raise StackError(why["reason"], kind=why["kind"], fix=why["fix"])
        seen["expected_count"] = given["expected_workers"]
        answers = list(judge_domain(_celery.DOMAIN, seen, Limits(given["limits"])))
    except StackError as error:
        module.fail_json(**error.as_failure())
    module.exit_json(changed=False, facts=seen, **outcome(answers))


if __name__ == "__main__":
    main()
