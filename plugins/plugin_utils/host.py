# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether an action does its work in this process, and how it has it done by a module where it does not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError


def is_here(action: ActionBase, platform: str | None = "compose") -> bool:
    """Whether this process can ask the platform itself: an API server from wherever it runs, an engine with no host between and no other user to become."""
    if platform == "kubernetes":
        return True
    return bool(action._connection.transport == "local" and (os.geteuid() == 0 or not action._play_context.become))


def ask_there(action: ActionBase, module: str, arguments: Mapping[str, Any], task_vars: Mapping[str, Any]) -> dict[str, Any]:
    """What a module of ours answers on the stack's host; its failure is a StackError, of the kind crashed where it did not tell one itself."""
    answer = action._execute_module(module_name="aiops.runbook." + module, module_args=dict(arguments), task_vars=task_vars)
    if answer.get("failed"):
        more = {"settled": answer["settled"]} if answer.get("settled") else {}
        raise StackError(answer.get("msg", "the module failed"), kind=answer.get("kind", "crashed"), fix=answer.get("fix", ""), **more)
    return dict(answer)
