# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report as Markdown, for tickets and chats."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.aiops.runbook.plugins.plugin_utils.report import acting, view
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.figures import Row
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.words import Words

_SPECIAL = re.compile(r"([\\`*_{}\[\]|~#$])")
_LEADING = re.compile(r"^(\s*)([-+]|\d+(?=[.)]\s))")
_CAPS = view.Caps(findings=100, ruled_out=100, text=400)


def escape(text: Any) -> str:
    """Text that Markdown shows as it is: one line, no markup, no HTML, no link made of an address."""
    line = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _SPECIAL.sub(r"\\\1", line)
    line = re.sub(r"(?i)\b(https?|ftp|javascript|data|www)([:.])", r"\1&#8203;\2", line)
    return re.sub(r"(?<=\w)@(?=\w)", "&#8203;@", _LEADING.sub(r"\1\\\2", line))


def code(text: Any) -> str:
    """An inline code span that the text cannot end."""
    line = " ".join(str(text).split())
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line else f"`{line}`"


def block(text: str, indent: str = "", kind: str = "sh") -> list[str]:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return [indent + line for line in (fence + kind, *text.splitlines(), fence)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|") if "`" in text else text


def _table(heading: list[str], lines: list[list[str]]) -> list[str]:
    return ["", "| " + " | ".join(heading) + " |", "|" + " --- |" * len(heading), *("| " + " | ".join(line) + " |" for line in lines), ""]


def render_markdown(model: dict[str, Any]) -> str:
    words = Words(model["lang"])
    page = view.build(model, words, _CAPS)
    name = " · ".join(filter(None, [model["stack"], model["platform"]]))
    lines = ["# %s – %s" % (escape(words("verdict." + model["verdict"]).upper()), escape(name)), "", "**%s**" % escape(page["headline"]), ""]
    lines += [escape("%s · %s" % (page["finished"], page["took"])), ""]
    lines += _record(acting.record(model, words, _CAPS), words)
    for item in page["roots"]:
        lines += _root(item, words)
    lines += _more(page["roots"], words)
    lines += _plan(acting.plan(model, words, _CAPS), words)
    if page["others"]:
        lines += ["## " + words("other_findings")]
        cells = [
            [words("severity." + item["severity"]), escape(item["component"]), escape(item["title"]), code(item["id"]), escape(", ".join(item["causes"]))]
            for item in page["others"]
        ]
        lines += _table(["", words("component"), words("title"), words("check"), words("explained_by", cause="")], cells) + _more(page["others"], words)
    if page["unknown"]:
        lines += ["## " + words("could_not_check"), "", words("unseen_intro")]
        cells = [[_checks(item["checks"]), escape(item["component"]), escape(item["reason"]), escape(item["fix"] or "–")] for item in page["unknown"]]
        lines += _table([words("check"), words("component"), words("reason"), words("remedy")], cells) + _more(page["unknown"], words)
    if page["compare"]:
        lines += ["## " + words("compare"), ""]
        for kind, entries in page["compare"].items():
            lines += [f"* {words(kind)}: {escape(title)} ({escape(key)})" for key, title in entries]
        lines += [""] if any(page["compare"].values()) else [words("nothing_new"), ""]
    if page["ruled_out"]:
        lines += ["## " + words("ruled_out"), "", words("ruled_out_intro")]
        cells = [[escape(item["title"]), escape(item["component"]), escape(item["brief"])] for item in page["ruled_out"]]
        lines += _table([words("check"), words("component"), words("evidence")], cells) + _more(page["ruled_out"], words)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _checks(checks: view.Shown[tuple[str, str]]) -> str:
    return ", ".join(code(check) for check, _title in checks) + (f" +{checks.hidden}" if checks.hidden else "")


def _more(shown: view.Shown[Any], words: Words) -> list[str]:
    return [words("more", n=shown.hidden), ""] if shown.hidden else []


def _root(item: dict[str, Any], words: Words) -> list[str]:
    lines = ["## %d. %s" % (item["number"], escape(item["named"])), ""]
    facts = [words("severity." + item["severity"]), code(item["id"]), escape(item["runbook_text"])]
    lines += [" · ".join(filter(None, facts)), "", escape(item["explanation"]), ""]
    if item["steps"]:
        lines += ["### " + words("do_next"), ""]
        for number, step in enumerate(item["steps"], 1):
            lines += _step(step["parts"], number)
        lines += [""]
    if item["rows_of_evidence"]:
        lines += ["### " + words("evidence")]
        lines += _table(
            [words("check"), words("found")],
            [[escape(row.label), _cell(code(row.text)) if row.verbatim else escape(row.text)] for row in item["rows_of_evidence"]],
        )
    if item["tree"]:
        lines += ["### " + words("how"), "", *_branch(item["tree"], 0), ""]
        lines += _more(item["consequences"], words)
    lines += [f"* {words('changed')}: {when} {escape(what)}" for when, what in item["changes"]]
    return [*lines, ""]


def _plan(plan: dict[str, Any] | None, words: Words) -> list[str]:
    if not plan:
        return []
    lines = ["## " + " ".join(filter(None, [words("plan"), plan["digest"] and code(plan["digest"])])), ""]
    lines += [escape(" · ".join(filter(None, [plan["valid"] or words("plan.nothing"), plan["by"] and words("plan.made_by", who=plan["by"])]))), ""]
    for warning in plan["warnings"]:
        lines += ["**%s**" % escape(warning["text"]), "", *(block(warning["command"]) if warning["command"] else []), ""]
    for step in plan["steps"]:
        lines += [*_job(step, [step["risk"]], words), escape(step["why"]), "", *_diff(step, words), *_rows(step["rows"])]
    lines += _more(plan["steps"], words)
    if plan["refused"]:
        lines += ["### " + words("plan.refused_long"), ""]
        for entry in plan["refused"]:
            lines += ["* %s: %s" % (escape(entry["named"]), escape(entry["reason"])), *_todo(entry["steps"])]
        lines += ["", *_more(plan["refused"], words)]
    if plan["by_hand"]:
        lines += ["### " + words("plan.by_hand_long"), ""]
        for entry in plan["by_hand"]:
            lines += ["* " + escape(" – ".join(filter(None, [entry["named"], words("plan.code") if entry["code"] else ""]))), *_todo(entry["steps"])]
        lines += ["", *_more(plan["by_hand"], words)]
    if plan["approve"]:
        lines += ["### " + words("plan.approve_long", digest=code(plan["digest"])), "", *block(plan["approve"]), ""]
    return lines


def _record(record: dict[str, Any] | None, words: Words) -> list[str]:
    if not record:
        return []
    lines = ["## " + escape(record["title"]), "", escape(" · ".join(record["facts"])), ""]
    if record["reason"]:
        lines += ["**%s**" % escape(record["reason"]), "", *_todo(record["fix"]), ""]
    lines += [*["* " + escape(text) for text in record["settled"]], ""] if record["settled"] else []
    for step in record["steps"]:
        lines += [*_job(step, [step["result"], step["risk"], step["seconds"]], words), *_diff(step, words)]
        lines += [f"**{words('record.error')}: {escape(step['error'])}**", "", *_todo(step["fix"]), ""] if step["error"] else []
        lines += [f"**{words('record.by_hand')}**", "", *_todo(step["by_hand"]), ""] if step["by_hand"] else []
        lines += _rows(step["rows"])
        for part in step["evidence"]:
            more = f" ({words('record.left_out', n=part['left_out'])})" if part["left_out"] else ""
            lines += [f"{words('record.evidence')}: {escape(part['what'])}{more}", "", *block("\n".join(part["lines"])), ""]
    lines += _more(record["steps"], words)
    lines += [f"{words('record.records')}: {code(record['records'])}", ""] if record["records"] else []
    return lines + ([words("record.take_back") + ":", "", *block(record["undo"]), ""] if record["undo"] else [])


def _job(step: dict[str, Any], facts: list[str], words: Words) -> list[str]:
    facts = [*map(escape, filter(None, facts)), code(step["remedy"]), code(step["finding"]) if step["finding"] else ""]
    return ["### %s: %s" % (words("plan.step", n=step["number"]), escape(step["title"])), "", " · ".join(filter(None, facts)), ""]


def _diff(step: dict[str, Any], words: Words) -> list[str]:
    if not step["diff"]:
        return []
    text = "\n".join(f"{sign} {' '.join(line.splitlines())}" if sign else f"@@ {line} @@" for sign, line in step["diff"])
    return [*block(text, kind="diff"), "", *_more(step["diff"], words)]


def _rows(rows: list[Row]) -> list[str]:
    lines = []
    for row in rows:
        lines += [f"* {escape(row.label)}:", "", *block(row.text, "  ", "")] if row.verbatim else [f"* {escape(row.label)}: {escape(row.text)}"]
    return [*lines, ""]


def _todo(steps: list[dict[str, Any]]) -> list[str]:
    """Steps of what to do, below a line of a list or alone."""
    return ["  " + line for number, step in enumerate(steps, 1) for line in _step(step["parts"], number)]


def _step(parts: list[dict[str, str]], number: int) -> list[str]:
    prose = "".join(code(part["text"]) if part["kind"] == "name" else _spaced(part["text"]) for part in parts if part["kind"] != "command").strip()
    lines = [f"{number}. {prose}".rstrip()]
    for part in parts:
        if part["kind"] == "command":
            lines += ["", *block(part["text"], "   ")]
    return lines


def _spaced(text: str) -> str:
    """Escaped, with the blanks at its ends that part it from what stands beside it."""
    return (" " if text[:1].isspace() else "") + escape(text) + (" " if text[-1:].isspace() else "")


def _branch(nodes: list[dict[str, Any]], depth: int) -> list[str]:
    lines = []
    for node in nodes:
        leaf = f" ({code(node['leaf']['id'])})" if node["leaf"] else ""
        lines.append("  " * depth + "* " + ("→ " if depth else "") + escape(node["text"]) + leaf)
        lines += _branch(node["nodes"], min(depth + 1, 10))
    return lines
