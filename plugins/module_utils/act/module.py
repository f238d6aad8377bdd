# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every remedy's own module does: options to one step, the step by the door, its outcome to Ansible."""

from __future__ import annotations

import getpass
import os
from typing import Any, Callable, Iterable, Mapping

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.door import ACT_SPEC, apply_one
from ansible_collections.aiops.runbook.plugins.module_utils.act.engine import DONE
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

# The option that says what is acted on.
COMPONENT: dict[str, dict[str, Any]] = {"component": {"type": "str", "required": True}}

Act = Callable[[Mapping[str, Any], Step, bool], "dict[str, Any]"]


def run_module(
    own_spec: dict[str, dict[str, Any]],
    step_of: Callable[[dict[str, Any]], Step],
    act: Act = apply_one,
    told: Iterable[str] = (),
    hidden: Callable[[dict[str, Any]], Iterable[str]] = lambda _params: (),
    **rules: Any,
) -> None:
    """The whole of a remedy's module.

    own_spec: its options besides ACT_SPEC. step_of: from its options to the step. act: like apply_one.
    told: which of the preview's texts it returns. hidden: what of its options Ansible is not to show.
    rules: AnsibleModule's own (mutually_exclusive, required_one_of, …).
    """
    module = AnsibleModule(argument_spec={**ACT_SPEC, **own_spec}, supports_check_mode=True, **rules)
    module.no_log_values.update(hidden(module.params))
    try:
        done = act({**module.params, "by": module.params["by"] or _who()}, step_of(module.params), module.check_mode)
    except StackError as error:
        module.fail_json(**error.as_failure())
    result, problem = outcome(done, module._diff)
    result.update({key: done["preview"]["texts"][key] for key in told})
    if problem:
        module.fail_json(msg=problem, **result)
    module.exit_json(**result)


def outcome(done: Mapping[str, Any], with_diff: bool) -> tuple[dict[str, Any], str]:
    """(what the module returns, why it failed or "") from what apply_one() says. Pure."""
    preview, record = done["preview"], done.get("record")
    result: dict[str, Any] = {"changed": done["changed"], "risk": preview["risk"], "lasting": preview["lasting"], "touches": preview["touches"]}
    done_steps = [step for step in (record or {}).get("steps") or [] if "diff" in step]
    if with_diff:
        # What was done, where something was: it was looked at once more under the lease.
        lines = [line for step in done_steps for line in step["diff"]] if done_steps else preview["diff"]
        result["diff"] = {side: "".join("%s: %s\n" % (line["what"], line[side]) for line in lines) for side in ("before", "after")}
    if record is None:
        return result, ""
    result["record"] = record
    if record["result"] in ("held", "unchanged"):
        return result, ""
    entry: dict[str, Any] = next((one for one in record["steps"] if one.get("error")), {})
    words = [entry.get("error") or "it was not done"]
    stays = ["%s on %s" % (one["remedy"], one["component"]) for one in record["steps"] if one["result"] in DONE]
    if entry.get("undone") and stays:
        words.append("It was taken back; what was done before it stays: %s." % ", ".join(stays))
    elif entry.get("undone"):
        words.append("It was taken back: everything is as it was before.")
        # Nothing is left of it, whatever was tried.
        result["changed"] = False
    elif entry.get("by_hand"):
        words.append("It could not be taken back, do that by hand: %s" % entry["by_hand"])
    elif entry.get("undone") is False:
        words.append("What was done of it cannot be taken back.")
    words += [entry["fix"]] if entry.get("fix") else []
    words += ["The record is in %s." % record["records"]] if record.get("records") else []
    return result, " ".join(word if word.endswith((".", "!")) else word + "." for word in words)


def _who() -> str:
    """The person behind the account that the module runs with."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return "uid %d" % os.getuid()
