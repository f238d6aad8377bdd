#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Change or cure a Redis of a stack while it runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_config
short_description: Change or cure a Redis of a stack while it runs
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Gives a Redis another memory limit or another policy of eviction, without a restart.
  - Or cures it. A save that fails because its folder lost its owner's right to write gets that right back, and is written.
    A password that was changed at run time, so that no client is let in, is put right by a restart that loses nothing.
  - Clients that had ended because Redis refused them are started again, on Kubernetes by the kubelet itself.
  - What it cannot do safely it refuses, with the figures. A memory limit never comes near that of the container,
    a broker's queues are never put under a policy that throws keys away, and nobody is made owner of a folder by a guess.
  - The server is reached with the stack's own accounts. What a restart would take back is named in RV(lasting).
requirements:
  - redis >= 4.3 (the role C(aiops.runbook.prepare) installs it)
options:
  component:
    description:
      - The Redis, as the reports name it (on Compose the name of the service).
    type: str
    required: true
  maxmemory:
    description:
      - The memory limit, as a number of bytes or with a unit of Redis, such as V(512mb).
      - V(grow) makes it half as large again when it is nearly used up, and does nothing while it is not.
      - Never more than 75 percent of the container's own limit; for V(grow), where there is none, than half of what the host has left.
    type: str
  maxmemory_policy:
    description:
      - Which keys are thrown away when the memory is full.
    type: str
    choices: [noeviction, allkeys-lru, allkeys-lfu, allkeys-random, volatile-lru, volatile-lfu, volatile-random, volatile-ttl]
  repair:
    description:
      - V(persistence) finds out why the last save failed, gives the folder's owner its right to write back if that was it, and saves.
      - V(password) restarts a server that asks for another password than its own configuration and all its clients have.
        On Kubernetes its pods are made anew, which loses what is on no volume of theirs.
    type: str
    choices: [persistence, password]
  accept_data_loss:
    description:
      - With O(repair=password), restart it even where what is queued and cached may be lost.
    type: bool
    default: false
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.redis_check
  - module: aiops.runbook.component_resources
"""

EXAMPLES = r"""
- name: Give a full Redis more room, as far as its container has it
  aiops.runbook.redis_config:
    component: redis
    maxmemory: grow

- name: Set limit and policy of a cache
  aiops.runbook.redis_config:
    compose_project: shop
    component: cache
    maxmemory: 512mb
    maxmemory_policy: allkeys-lru

- name: Let it save again
  aiops.runbook.redis_config:
    component: redis
    repair: persistence

- name: Let a Redis on Kubernetes take the password of its own configuration again
  aiops.runbook.redis_config:
    stack_platform: kubernetes
    namespace: [shop]
    component: queue
    repair: password
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
  sample: ["the server's command says --maxmemory 256mb: write --maxmemory 384mb, a restart brings the old value back"]
record:
  description: What was done, with its result and the folder of its journal.
  returned: when something was to be changed, and not in check mode
  type: dict
"""

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.module import COMPONENT, run_module
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.redis import POLICIES, memory_bytes


def step_of(params: dict) -> Step:
    if params["repair"]:
        own = {"accept_data_loss": True} if params["repair"] == "password" and params["accept_data_loss"] else {}
        return Step("redis_" + params["repair"], params["component"], own)
    own = {"maxmemory_policy": params["maxmemory_policy"]} if params["maxmemory_policy"] else {}
    if params["maxmemory"] is not None:
        own["maxmemory"] = "grow" if params["maxmemory"] == "grow" else memory_bytes(params["maxmemory"])
        if not own["maxmemory"]:
            raise Refused("maxmemory: %s is no size" % params["maxmemory"], fix="write bytes, 512mb, 2gb or grow", kind="bad_option")
    return Step("redis_config", params["component"], own)


def main() -> None:
    run_module(
        {
            **COMPONENT,
            "maxmemory": {"type": "str"},
            "maxmemory_policy": {"type": "str", "choices": list(POLICIES)},
            "repair": {"type": "str", "choices": ["persistence", "password"]},
            "accept_data_loss": {"type": "bool", "default": False},
        },
        step_of,
        required_one_of=[["maxmemory", "maxmemory_policy", "repair"]],
        mutually_exclusive=[["maxmemory", "repair"], ["maxmemory_policy", "repair"]],
    )


if __name__ == "__main__":
    main()
