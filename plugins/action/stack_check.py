# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observe a stack from wherever it can be reached, judge and diagnose it on the controller.

An action plugin, because a module of this size would be sent, unpacked and imported once for each stack: here the
libraries are imported once, before Ansible forks. A remote Docker host is sent the module of the same name.
"""

from __future__ import annotations

import gc
import gzip
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.aiops.runbook.plugins.module_utils.act.records_cluster import records_of
from ansible_collections.aiops.runbook.plugins.module_utils.connect.turnstile import look
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.stack import judge_stack
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, Unseen, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.door import JUDGE_SPEC, STACK_SPEC, open_stack
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Scene
from ansible_collections.aiops.runbook.plugins.module_utils.observe.stack import observe_scene
from ansible_collections.aiops.runbook.plugins.module_utils.pack import unpack
from ansible_collections.aiops.runbook.plugins.module_utils.probes import Probes
from ansible_collections.aiops.runbook.plugins.plugin_utils.custom import judge_custom
from ansible_collections.aiops.runbook.plugins.plugin_utils.diagnose import diagnose
from ansible_collections.aiops.runbook.plugins.plugin_utils.host import ask_there, is_here
from ansible_collections.aiops.runbook.plugins.plugin_utils.knowledge import catalogue

# Read once, before Ansible forks a process for each stack; what is there by then needs no search for garbage, which would copy its pages.
catalogue()
gc.freeze()

# What stops a run because the task is wrong, not the stack.
OUR_FAULT = ("bad_option", "missing_library")


class ActionModule(ActionBase):
    """The task stack_check."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False
    _scene: Scene | None = None
    _at_work: dict[str, Any] | None = None

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        unused, params = self.validate_argument_spec(argument_spec={**STACK_SPEC, **JUDGE_SPEC})
        params["stack"] = params["stack"] or task_vars.get("inventory_hostname", "")
        try:
            limits = Limits(params["limits"], params["component_limits"], params["route_limits"])
            seen, answers = self._observe(params, task_vars)
            if seen["components"]:
                answers = judge_stack(seen, limits) + judge_custom(seen, params["custom_checks"])
            if params["save_observations"]:
                _save(seen, params["save_observations"])
        except StackError as error:
            return {**result, "failed": True, **error.as_failure()}
        model = diagnose(seen, answers, params["lang"])
        try:
            model["plan"] = self._plan(model, params, task_vars) if params["plan"] and not params["observations"] else None
        except (StackError, AnsibleConnectionFailure) as error:
            # The diagnosis stands; that there is no plan, and why, is told beside it.
            Display().warning("no plan could be made: %s" % error)
        return {
            **result,
            "changed": False,
            "verdict": model["verdict"],
            "headline": model["headline"],
            "root_causes": [{key: root[key] for key in ("id", "component", "severity", "title")} for root in model["root_causes"]],
            "unknown": len(model["unknown"]),
            "plan": (model.get("plan") or {}).get("digest"),
            "report_file": _keep(model),
        }

    def _plan(self, model: dict[str, Any], params: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any] | None:
        """The remedies for what was found, each previewed on the stack as it is now."""
        if not model["root_causes"] and not any((self._at_work or {}).values()):
            return None  # nothing to plan: what acts is not even imported
        from ansible_collections.aiops.runbook.plugins.plugin_utils.jobs import Jobs, command
        from ansible_collections.aiops.runbook.plugins.plugin_utils.plan import make_plan

        jobs = Jobs(self, params, task_vars, scene=self._scene)
        plan = make_plan(model, jobs.preview, jobs.by, params["plan_valid_minutes"], self._at_work)
        if plan and plan["steps"]:
            plan["approve"] = command("remediate", model["stack"], plan="{plan}", approve=plan["digest"])
        return plan

    def _observe(self, params: dict[str, Any], task_vars: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        """(observations, answers): a stack that cannot be reached has none of the first and one of the second."""
        if params["observations"]:
            return _load(params["observations"]), []
        started = time.time()
        try:
            if is_here(self, params["stack_platform"]):
                with look():
                    self._scene = Scene(*open_stack(params))
                    records = Probes(timeout=3 * params["timeout"]).begin({"at_work": records_of(params, self._scene.platform).at_work})
                    seen = observe_scene(self._scene)
                    self._at_work = self._known(records.answers()["at_work"])
                    return seen, []
            return self._observe_there(params, task_vars), []
        except StackError as error:
            if error.kind in OUR_FAULT:
                raise
            why = Unseen("stack.unreachable", "stack", error.message, error.details.get("fix", ""))
        except AnsibleConnectionFailure as error:
            why = Unseen(
                "stack.unreachable", "stack", "the Docker host cannot be reached: %s" % error.message, "check ansible_host, ansible_user and the SSH key"
            )
        now = time.time()
        nothing = {
            "schema": 1,
            "stack": params["stack"],
            "platform": params["stack_platform"],
            "started_at": started,
            "finished_at": now,
            "now": started,
            "components": {},
        }
        return nothing, [why]

    @staticmethod
    def _known(at_work: dict[str, Any]) -> dict[str, Any] | None:
        """Who is at work and what was left; what is not known of that is no part of the diagnosis."""
        why = why_unseen(at_work)
        if why:
            Display().v("whether somebody is at work on this stack is not known: %s; %s" % (why["reason"], why["fix"]))
        return None if why else at_work

    def _observe_there(self, params: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        arguments = {name: params[name] for name in (*STACK_SPEC, "state_dir")}
        answer = ask_there(self, "stack_check", arguments, task_vars)
        self._at_work = answer.get("at_work")
        return unpack(answer["observations"])


def _load(path: str) -> dict[str, Any]:
    try:
        data = Path(path).read_bytes()
        seen = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except (OSError, ValueError) as error:
        raise StackError("observations: %s cannot be read: %s" % (path, error), kind="bad_option") from error
    if not isinstance(seen, dict) or seen.get("schema") != 1:
        raise StackError("observations: %s is not a document that save_observations wrote (schema 1)" % path, kind="bad_option")
    return seen


def _save(seen: dict[str, Any], path: str) -> None:
    """Compressed when the name ends in .gz; readable by its owner only."""
    text = json.dumps(seen, indent=1).encode("utf-8")
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(str(target) + ".part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(gzip.compress(text) if target.suffix == ".gz" else text)
        os.replace(str(target) + ".part", target)
    except OSError as error:
        raise StackError("save_observations: %s cannot be written: %s" % (path, error.strerror), kind="bad_option") from error


def _keep(model: dict[str, Any]) -> str:
    """The model in Ansible's own temporary folder of this run, where stack_report finds it; it goes with the run."""
    handle, path = tempfile.mkstemp(prefix="stack_check.", suffix=".json.gz", dir=C.DEFAULT_LOCAL_TMP)
    with open(handle, "wb") as out:
        out.write(gzip.compress(json.dumps(model).encode("utf-8"), 3))
    return path
