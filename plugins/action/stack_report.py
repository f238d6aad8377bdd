# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write the report of a diagnosis on the controller and show its verdict; needs no connection to anything."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils import color
from ansible.utils.display import Display

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.faces import FORMATS, html_template
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.gate import FAIL_ON
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.terminal import plain_paint, render_line, render_terminal
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.view import counts
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.words import LANGUAGES
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.write import Written, load, write, write_crash

ARGUMENT_SPEC: dict[str, Any] = {
    "report": {"type": "dict"},
    "report_file": {"type": "path"},
    "crashed": {"type": "str"},
    "record": {"type": "dict"},
    "stack": {"type": "str"},
    "report_dir": {"type": "path", "default": "./reports"},
    "formats": {"type": "list", "elements": "str", "choices": list(FORMATS), "default": list(FORMATS)},
    "fail_on": {"type": "str", "choices": list(FAIL_ON), "default": "critical"},
    "required_checks": {"type": "list", "elements": "str", "default": []},
    "lang": {"type": "str", "choices": list(LANGUAGES)},
    "keep": {"type": "int", "default": 50},
    "quiet": {"type": "bool", "default": False},
}

# Compiled once, before Ansible forks a process for each stack.
html_template()

# Colours that can be read on dark and on light terminals; the other styles stay as they are.
_COLOURS = {"good": "green", "warn": "yellow", "bad": "red", "unsure": "purple", "command": "cyan"}


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validated, args = self.validate_argument_spec(
            ARGUMENT_SPEC,
            mutually_exclusive=[("report", "report_file", "crashed")],
            required_one_of=[("report", "report_file", "crashed")],
            required_by={"crashed": ("stack",)},
        )
        result["changed"] = False
        try:
            if args["crashed"] is not None:
                message = write_crash(args["stack"], args["crashed"], args["report_dir"], args["lang"] or "en")
                result.update(failed=True, msg=message, verdict="unknown", exit_reason="crashed")
            else:
                result.update(self._reported(args))
        except StackError as error:
            result.update(failed=True, **error.as_failure())
        return result

    def _reported(self, args: dict[str, Any]) -> dict[str, Any]:
        model = load(args["report_file"]) if args["report_file"] else args["report"]
        if args["record"]:
            model["record"] = args["record"]
        written = write(model, args["report_dir"], args["formats"], args["fail_on"], args["required_checks"], args["keep"], args["lang"])
        _show(written, args["quiet"])
        return _result(written)


def _show(written: Written, quiet: bool) -> None:
    display = Display()
    for warning in written.warnings:
        display.warning(warning)
    face = render_line if quiet else render_terminal
    display.display(face(written.model, written.paths.get("html"), _painter()))


def _painter() -> Any:
    """Colours when Ansible itself uses them, and never against NO_COLOR."""
    if not color.ANSIBLE_COLOR or os.environ.get("NO_COLOR"):
        return plain_paint
    return lambda text, style: color.stringc(text, _COLOURS[style]) if style in _COLOURS else text


def _result(written: Written) -> dict[str, Any]:
    model = written.model
    result = {
        "verdict": model["verdict"],
        "headline": model["headline"],
        "exit_reason": written.gate.reason,
        "report_folder": written.folder,
        "report_paths": written.paths,
        "counts": counts(model),
        "root_causes": [{key: item.get(key) for key in ("key", "id", "component", "severity", "title")} for item in model["root_causes"]],
        "failed": written.gate.failed,
    }
    if written.gate.failed:
        result["msg"] = written.message
    return result
