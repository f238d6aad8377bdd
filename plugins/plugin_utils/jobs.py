# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Jobs of acting, done by this process where it reaches the stack itself, else by the module stack_remediate on the stack's host."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import socket
from collections.abc import Mapping
from typing import Any

from ansible import context
from ansible.plugins.action import ActionBase

from ansible_collections.aiops.runbook.plugins.module_utils.act import door
from ansible_collections.aiops.runbook.plugins.module_utils.act.settings import bare_url
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Scene
from ansible_collections.aiops.runbook.plugins.module_utils.pack import pack, unpack
from ansible_collections.aiops.runbook.plugins.plugin_utils.host import ask_there, is_here

# What a person gave by -e to say which stack is meant, and has to give again to act on it.
_PLACE = (
    "compose_project",
    "docker_host",
    "stack_platform",
    "stack_namespace",
    "stack_selector",
    "kubeconfig",
    "kube_context",
    "state_dir",
    "report_dir",
    "target",
    "http_url",
)


class Jobs:
    """The jobs of act/door.py for one task. by: who asks, as far as the controller knows."""

    def __init__(self, action: ActionBase, params: Mapping[str, Any], task_vars: Mapping[str, Any], scene: Scene | None = None) -> None:
        self._action, self._task_vars, self._scene = action, task_vars, scene
        self.by = who(task_vars)
        self._params = {name: params.get(name) for name in door.ACT_SPEC if params.get(name) is not None} | {"by": self.by}

    def preview(self, steps: list[dict[str, Any]]) -> dict[str, Any]:
        return self._do("preview", {"steps": steps})

    def apply(self, plan: dict[str, Any], entries: list[dict[str, Any]]) -> dict[str, Any]:
        return self._do("apply", {"plan": plan, "entries": entries})

    def undo(self, run: str | None, check_mode: bool) -> dict[str, Any]:
        return self._do("undo", {"run": run, "check_mode": check_mode})

    def _do(self, job: str, order: dict[str, Any]) -> dict[str, Any]:
        if is_here(self._action, self._params.get("stack_platform")):
            params = {**{name: spec.get("default") for name, spec in door.ACT_SPEC.items()}, **self._params}
            return door.do_job(job, params, order, self._scene)
        arguments = {**self._params, "job": job, "order": pack(order)}
        return unpack(ask_there(self._action, "stack_remediate", arguments, self._task_vars)["answer"])


def who(task_vars: Mapping[str, Any]) -> str:
    """Who runs this play: AWX's user, else the one of the operating system."""
    for name in ("awx_user_name", "tower_user_name"):
        if task_vars.get(name):
            return "%s (AWX job %s)" % (task_vars[name], task_vars.get("awx_job_id") or task_vars.get("tower_job_id") or "?")
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return "%s@%s" % (user, socket.gethostname())


def command(playbook: str, stack: str, **variables: str) -> str:
    """What to type to run a playbook of ours on this stack, with the inventory and the place that this run was given.

    A value of "{plan}" is left as it is: it is filled in where the plan is written.
    """
    words = ["ansible-playbook", "aiops.runbook." + playbook]
    for inventory in context.CLIARGS.get("inventory") or ():
        words += ["-i", inventory]
    words += ["--limit", stack] if context.CLIARGS.get("inventory") else []
    for text in context.CLIARGS.get("extra_vars") or ():
        for name, value in _given(str(text)).items():
            if name in _PLACE:
                # A report shows this command; what stands in it of an account is filled in by who types it.
                words += ["-e", "%s=%s" % (name, bare_url(str(value)))]
    for name, value in variables.items():
        words += ["-e", "%s=%s" % (name, value)]
    return " ".join(word if "{plan}" in word else shlex.quote(word) for word in words)


def _given(text: str) -> dict[str, Any]:
    """The variables of one -e: a file, JSON, or name=value."""
    if text.startswith("@"):
        try:
            with open(text[1:], encoding="utf-8") as content:
                found = json.load(content)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
    if text.startswith("{"):
        try:
            return dict(json.loads(text))
        except ValueError:
            return {}
    return dict(word.split("=", 1) for word in text.split() if "=" in word)
