# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A report from its model to its files: one call for the action plugin, and for whoever else has a model."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.plugin_utils.messages import said, translate
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.clean import Cleaner, accept, plain
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.compare import compare
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.faces import FORMATS, render
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.gate import Gate, gate
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.store import Store
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.view import counts
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.words import Words

STATUS_SCHEMA = "aiops.runbook/status/1"
PLAN_FILE = "plan.json"


@dataclass
class Written:
    """What was written, and what it means for the play. message: one sentence when it fails."""

    model: dict[str, Any]
    folder: str
    paths: dict[str, str]
    gate: Gate
    message: str
    warnings: list[str] = field(default_factory=list)


def load(path: str) -> Any:
    """The model from a JSON file, compressed with gzip or not."""
    try:
        data = Path(path).expanduser().read_bytes()
        return json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except (OSError, EOFError) as error:
        raise StackError("report_file %s cannot be read: %s" % (path, getattr(error, "strerror", None) or error), kind="bad_option") from error
    except ValueError as error:
        raise StackError("report_file %s is not JSON: %s" % (path, error), kind="bad_option") from error


def write(
    report: Any,
    report_dir: str = "./reports",
    formats: Iterable[str] = FORMATS,
    fail_on: str = "critical",
    required_checks: Iterable[str] = (),
    keep: int = 50,
    lang: str | None = None,
) -> Written:
    """Clean the model, compare it with the run before, write every face of it, and say whether the play fails.

    lang: the language of the report's own words, when it is not that of the model.
    """
    model = accept(report)
    model["lang"] = lang or model["lang"]
    translate(model, model["lang"])
    store = Store(report_dir, model["stack"])
    run = store.run_folder(model["finished_at"])
    plan = model["plan"] if model["plan"] and model["plan"]["steps"] else None
    if plan:
        plan["path"] = str(run.absolute() / PLAN_FILE)
        plan["approve"] = plan["approve"].replace("{plan}", _pasted(plan["path"]))
    if not model["compare"].get("previous"):
        path, previous = store.previous() or (None, None)
        model["compare"] = compare(model, previous, path)
    decision = gate(model, fail_on, required_checks)
    complete_at = _complete_at(model, store)
    files = render(model, formats, complete_at)
    faces = sorted(files)
    paths = {name.partition(".")[2]: str(run / name) for name in files}
    if plan:
        files[PLAN_FILE] = _plan_text(report["plan"])
        paths["plan"] = plan["path"]
    message = _message(model, decision, paths.get("html") or str(run))
    status = {
        "schema": STATUS_SCHEMA,
        "stack": model["stack"],
        "verdict": model["verdict"],
        "headline": model["headline"],
        "exit_reason": decision.reason,
        "failed": decision.failed,
        "message": message,
        "counts": counts(model),
        "finished_at": model["finished_at"],
        "last_complete_run": complete_at,
        "run": str(run.absolute()),
        "reports": faces,
        "plan": plan["digest"] if plan else None,
        "remediation": model["record"]["result"] if model["record"] else None,
    }
    text = json.dumps(status, ensure_ascii=False, indent=1) + "\n"
    files["status.json"] = text
    store.write_run(run, files)
    store.write_status(text)
    paths["status"] = str(run / "status.json")
    store.prune(keep)
    return Written(model, str(run), paths, decision, message, store.warnings)


def write_crash(stack: str, error: str, report_dir: str = "./reports", lang: str = "en") -> str:
    """The stack's status.json for a run that came to no verdict; the reports before it stay as they are. The message."""
    store = Store(report_dir, stack)
    before = store.previous_status()
    message = Words(lang)("fail.crashed", stack=plain(stack), error=said(" ".join(Cleaner().text(str(error)).split())[:500], lang))
    status: dict[str, Any] = {
        "schema": STATUS_SCHEMA,
        "stack": plain(stack),
        "verdict": "unknown",
        "headline": message,
        "exit_reason": "crashed",
        "failed": True,
        "message": message,
        "counts": {},
        "finished_at": time.time(),
        "last_complete_run": before.get("last_complete_run") or 0.0,
        "run": None,
        "reports": [],
        "plan": None,
        "remediation": None,
    }
    store.write_status(json.dumps(status, ensure_ascii=False, indent=1) + "\n")
    return message


def _plan_text(raw: dict[str, Any]) -> str:
    """The plan as it was made: its digest is over these values, so nothing is cleaned or rounded. All ASCII, so that every text survives."""
    return json.dumps(_json({key: value for key, value in raw.items() if key not in ("path", "approve")}), indent=1) + "\n"


def _json(value: Any) -> Any:
    """Plain containers: a task's arguments come in types of Ansible's own."""
    if isinstance(value, dict):
        return {str(key): _json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(entry) for entry in value]
    return value


def _pasted(path: str) -> str:
    """A path as the value of -e name=…, which the shell reads and Ansible splits at blanks."""
    return path if re.fullmatch(r"[\w@%+=:,./-]+", path) else shlex.quote('"%s"' % path)


def _complete_at(model: dict[str, Any], store: Store) -> float:
    """The end of the last run with a verdict: this one, unless it saw nothing."""
    if model["verdict"] != "unknown":
        return float(model["finished_at"])
    before = store.previous_status().get("last_complete_run")
    return float(before) if isinstance(before, (int, float)) else 0.0


def _message(model: dict[str, Any], decision: Gate, path: str) -> str:
    if not decision.failed:
        return ""
    words = Words(model["lang"])
    if decision.reason == "remediation":
        return words("fail.remediation", stack=model["stack"], problem=" ".join(_problem(model["record"], words).split())[:500].rstrip(".。"), path=path)
    if decision.reason == "required_checks":
        return words("fail.required", stack=model["stack"], checks=", ".join(decision.checks), path=path)
    headline = " ".join(model["headline"].split()).rstrip(".。")
    return words("fail.verdict", stack=model["stack"], verdict=words("verdict." + model["verdict"]), headline=headline, path=path)


def _problem(record: dict[str, Any], words: Words) -> str:
    """What went wrong with a job of acting, in one sentence."""
    why = record["reason"] or next((step["error"] or step["by_hand"] for step in record["steps"] if step["error"] or step["by_hand"]), "")
    return ": ".join(filter(None, [words("problem." + record["result"]), why]))
