#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One Redis server, judged alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_check
short_description: Judge a Redis server
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Says whether a Redis (Valkey, KeyDB, Dragonfly) answers and how fast, whether it accepts the password, takes writes, can save,
    is near its memory or client limit, and whether it may evict the queues of a broker.
  - It is a guest. It opens one connection called C(aiops.runbook), leaves itself out of the counts, and writes nothing.
  - Of slow commands the names are shown, never the arguments.
notes:
  - Managed services deny C(CONFIG). What needs it is reported as unknown, or judged by the defaults, and said so.
options:
  expects_writes:
    description:
      - Whether clients write to this server. A read-only replica is a finding only where this is V(true).
    type: bool
    default: false
extends_documentation_fragment:
  - aiops.runbook.redis_server
  - aiops.runbook.check
  - aiops.runbook.limits.redis
seealso:
  - module: aiops.runbook.stack_check
  - module: aiops.runbook.celery_check
  - module: community.general.redis_info
"""

EXAMPLES = r"""
- name: Judge a server
  aiops.runbook.redis_check:
    login_host: cache.example.org
    login_password: "{{ redis_password }}"
    expects_writes: true
  register: cache

- name: Stop when it is ill
  ansible.builtin.assert:
    that: cache.verdict in ['healthy', 'unknown']

- name: Judge the one that an application is told to use, and warn of memory earlier
  aiops.runbook.redis_check:
    url: "{{ celery_broker_url }}"
    limits:
      redis_memory_percent_warning: 60
"""

RETURN = r"""
verdict:
  description: What comes of all findings, V(healthy), V(degraded), V(down) or V(unknown).
  returned: success
  type: str
  sample: degraded
findings:
  description: What is wrong, with its evidence, the gravest first.
  returned: success
  type: list
  elements: dict
  sample: [{id: redis.memory_near_limit, component: redis, severity: warning, evidence: {used: 88080384, limit: 104857600, percent: 84.0, policy: noeviction}}]
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
  description: What the server says of itself, and how fast it answered.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aiops.runbook.plugins.module_utils.connect.redis import TARGET_SPEC, target_from_params
from ansible_collections.aiops.runbook.plugins.module_utils.judge import redis as _redis  # registers the judges of the domain "redis"
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits, limits_spec
from ansible_collections.aiops.runbook.plugins.module_utils.judge.outcome import outcome
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.redis import observe_redis
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            "expects_writes": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 5.0},
            "limits": {"type": "dict", "options": limits_spec("redis")},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        target = target_from_params(given)
        seen = observe_redis(given["name"], target, Mask(), given["timeout"])
        why = why_unseen(seen["answers"])
        if why and why["kind"] == "missing_library":
            raise StackError(why["reason"], kind=why["kind"], fix=why["fix"])
        seen["expects_writes"] = given["expects_writes"]
        answers = list(judge_domain(_redis.DOMAIN, seen, Limits(given["limits"])))
    except StackError as error:
        module.fail_json(**error.as_failure())
    module.exit_json(changed=False, facts=seen, **outcome(answers))


if __name__ == "__main__":
    main()
