# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verdict on the terminal: 80 columns, a healthy stack in about ten lines, an ill one with its causes and the next command."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ansible_collections.aiops.runbook.plugins.plugin_utils.report import acting, view
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.clean import unseen_ids
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.figures import brief, cut_columns, moment, rows, seconds, width
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.words import Words

Paint = Callable[[str, str], str]

_STYLE = {"healthy": "good", "degraded": "warn", "down": "bad", "unknown": "unsure", "critical": "bad", "warning": "warn", "info": "dim"}
_LABEL = 13
_MOST_ROOTS = 5
_MOST_EVIDENCE = 8
_MOST_OTHERS = 6
_MOST_UNSEEN = 4
# Steps of a plan or a record told in full; of the others the title. Nobody approves what is not shown.
_MOST_STEPS = 8
_MOST_DIFF = 6
# Parts of a step's evidence, and lines of each.
_MOST_PARTS = 2
_MOST_SAID = 3
# A line of evidence that is an entry of a list: "pid: 812, state: active, …".
_FIELDS = re.compile(r"\w+: [^,]*, \w+: ")
# No line begins with these.
_CLOSING = "，。、；：！？）」』》〉…％,.;:!?)]}"


def plain_paint(text: str, style: str) -> str:
    """The painter of a terminal without colours. Styles: good, warn, bad, unsure, dim, strong, command."""
    return text


def render_terminal(model: dict[str, Any], html: str | None = None, paint: Paint = plain_paint, columns: int = 80) -> str:
    """The verdict of an accepted model as text. html: where the report lies."""
    page = _Page(Words(model["lang"]), paint, columns)
    _head(page, model)
    _record(page, model)
    for number, item in enumerate(model["root_causes"][:_MOST_ROOTS], 1):
        _root(page, item, number)
    if len(model["root_causes"]) > _MOST_ROOTS:
        page.gap()
        page.text(page.words("more_terminal", n=len(model["root_causes"]) - _MOST_ROOTS), "dim")
    _plan(page, model)
    page.gap()
    _others(page, model)
    _unseen(page, model)
    _ruled_out(page, model)
    _compared(page, model)
    if html:
        page.row(page.words("report"), html, "strong", whole=True)
    page.row(page.words("seconds"), _time(page, model))
    return "\n".join(page.lines)


def render_line(model: dict[str, Any], html: str | None = None, paint: Paint = plain_paint) -> str:
    """One line for a stack: for runs over many of them."""
    words = Words(model["lang"])
    verdict = words("verdict." + model["verdict"])
    record, plan = acting.record(model, words), acting.plan(model, words)
    parts: list[str | None] = [
        paint(verdict.upper(), _STYLE[model["verdict"]]),
        "%s: %s" % (model["stack"], _flat(model["headline"])),
        paint("[%s]" % record["title"], record["tone"]) if record else None,
        "[%s %s]" % (words("plan"), plan["digest"]) if plan and plan["digest"] else None,
        html and "(%s)" % html,
    ]
    return " ".join(filter(None, parts))


class _Page:
    """Lines of limited width, painted after they are measured."""

    def __init__(self, words: Words, paint: Paint, columns: int) -> None:
        self.words, self.paint, self.columns = words, paint, columns
        self.lines: list[str] = []

    def gap(self) -> None:
        if self.lines and self.lines[-1]:
            self.lines.append("")

    def text(self, text: str, style: str = "", indent: int = 2, most: int = 0) -> None:
        """A paragraph. most: lines after which it is cut."""
        lines = wrap(_flat(text), self.columns - indent)
        if most and len(lines) > most:
            lines = lines[: most - 1] + [cut_columns(lines[most - 1] + " …" * 40, self.columns - indent)]
        self.lines.extend(" " * indent + self._painted(line, style) for line in lines)

    def row(self, label: str, text: str, style: str = "", whole: bool = False, most: int = 3) -> None:
        """A label in the left column and a text beside it. whole: the text stays on one line, to be copied."""
        room = self.columns - max(_LABEL, width(label) + 1) - 3
        lines = [text] if whole else wrap(_flat(text), room)
        if len(lines) > most:
            lines = lines[: most - 1] + [cut_columns(" ".join(lines[most - 1 :]), room)]
        if whole and width(text) > room:  # on a line of its own, so that the terminal breaks it late or not at all
            if label:
                self.lines.append("  " + self.paint(label, "dim"))
            self.lines.append("    " + self._painted(text, style))
            return
        head = label + " " * max(1, _LABEL - width(label))
        for number, line in enumerate(lines or ["–"]):
            self.lines.append("  " + (self.paint(head, "dim") if number == 0 else " " * _LABEL) + self._painted(line, style))

    def command(self, label: str, text: str) -> None:
        """A command on a line of its own, whole, to be copied."""
        self.lines += ["  " + self.paint(label, "dim"), "    " + self._painted(_flat(text), "command")]

    def _painted(self, text: str, style: str) -> str:
        return self.paint(text, style) if style and text else text


def _head(page: _Page, model: dict[str, Any]) -> None:
    verdict = page.words("verdict." + model["verdict"]).upper()
    name = _flat(" · ".join(filter(None, [model["stack"], model["platform"]])))
    when = moment(model["finished_at"], "%Y-%m-%d %H:%M UTC") if model["finished_at"] else ""
    name = cut_columns(name, page.columns - width(verdict) - width(when) - 4)
    space = page.columns - width(verdict) - width(name) - width(when) - 2
    page.gap()
    page.lines.append(page.paint(verdict, _STYLE[model["verdict"]]) + "  " + page.paint(name, "strong") + " " * max(2, space) + page.paint(when, "dim"))
    roots = model["root_causes"]
    # The first cause stands right below, in the same words.
    if model["headline"] and (model["record"] or not roots or not _flat(model["headline"]).startswith(_flat(view.named(roots[0]))[:60])):
        page.text(model["headline"], most=4)


def _root(page: _Page, item: dict[str, Any], number: int) -> None:
    words = page.words
    severity = item.get("severity", "critical")
    page.gap()
    mark = f"{number}. {words('severity.' + severity)}"
    title = wrap(_flat(view.named(item)), page.columns - width(mark) - 4)[:3]
    page.lines.append("  " + page.paint(mark, _STYLE[severity]) + "  " + page.paint(title[0] if title else item["id"], "strong"))
    page.lines.extend(" " * (width(mark) + 4) + page.paint(line, "strong") for line in title[1:])
    confidence = item.get("confidence") or "high"
    facts = [item["id"], words("confidence." + confidence) if confidence in ("high", "medium", "low") else confidence]
    facts.append(", ".join(map(str, item.get("rows") or [])))
    page.text(" · ".join(filter(None, facts)), "dim", indent=5, most=1)
    told = [row for row in rows(_filled(item), words, 300) if not row.table and not _says(item["title"], row.text)]
    for row in told[:_MOST_EVIDENCE]:
        page.row(cut_columns(row.label, 2 * _LABEL), row.text, most=2)
    for place, change in enumerate((item.get("changed") or [])[:2]):
        text = "%s %s" % (moment(change.get("time") or 0, "%H:%M:%S"), change.get("what", ""))
        page.row("" if place else words("changed"), text, most=2)
    _path(page, item)
    _do(page, item)


def _says(title: str, text: str) -> bool:
    """Whether a title holds this figure already."""
    return bool(re.search(r"(?<![\w.])%s(?![\w.]?\w)" % re.escape(_flat(text)), _flat(title)))


def _path(page: _Page, item: dict[str, Any]) -> None:
    """What the cause leads to: the longest paths in full, the other consequences by component and name."""
    consequences = item.get("consequences") or []
    if not consequences:
        return
    ordered = sorted(consequences, key=lambda entry: -len(entry.get("path") or []))
    paths: list[str] = []
    for path in map(_arrows, ordered):
        if path and not any(longer.endswith(path) for longer in paths):  # a part of a longer one is told with it
            paths.append(path)
    for place, path in enumerate(paths[:2]):
        page.row(page.words("leads_to") if place == 0 else "", path, most=4)
    folded = [entry for entry in ordered if not any(longer.endswith(_arrows(entry) or "\n") for longer in paths[:2])]
    if folded:
        names = list(dict.fromkeys("%s %s" % (entry["component"], entry["id"]) for entry in folded))
        more = ", …" if len(names) > 4 else ""
        page.row("" if paths else page.words("leads_to"), "+%d: %s%s" % (len(folded), ", ".join(names[:4]), more), "dim", most=2)


def _arrows(entry: dict[str, Any]) -> str:
    """From the consequence back to what the cause does first; the cause itself stands above."""
    return " ← ".join(map(str, (entry.get("path") or [])[:-1]))


def _do(page: _Page, item: dict[str, Any]) -> None:
    _steps(page, page.words("do"), view.steps(item.get("do"))[:3])


def _steps(page: _Page, label: str, steps: list[dict[str, Any]], style: str = "") -> None:
    for step in steps:
        for part in _lines_of(step["parts"]):
            command = part["kind"] == "command"
            page.row(label, part["text"], "command" if command else style, whole=command and "\n" not in part["text"], most=4)
            label = ""


def _plan(page: _Page, model: dict[str, Any]) -> None:
    """What can be done about it by itself, once a person has approved it."""
    words = page.words
    plan = acting.plan(model, words)
    if not plan:
        return
    numbers = {item["key"]: number for number, item in enumerate(model["root_causes"], 1)}
    page.gap()
    title = " ".join(filter(None, [words("plan"), plan["digest"]]))
    page.lines.append("  " + page.paint(title, "strong") + page.paint("  (%s)" % (plan["valid"] or words("plan.nothing")), "dim"))
    for step in plan["steps"][:_MOST_STEPS]:
        page.gap()
        _step_title(page, step, step["risk"], step["tone"])
        page.text(" · ".join(filter(None, [step["finding"], step["remedy"]])), "dim", indent=5, most=1)
        if step["why"]:
            cause = numbers.get(step["finding"], 0)
            page.row(words("plan.why"), words("plan.see_cause", n=cause) if 0 < cause <= _MOST_ROOTS else step["why"], most=1)
        if step["instead_of"]:
            page.row(words("plan.instead_of"), step["instead_of"], "dim", most=2)
        _diff(page, step)
        if step["interrupts"]:
            page.row(words("plan.interrupts"), step["interrupts"])
        page.row(words("plan.undo"), step["undo"])
    if plan["steps"][_MOST_STEPS:]:
        page.gap()
    for step in plan["steps"][_MOST_STEPS:]:
        _step_title(page, step, step["risk"], step["tone"])
    page.gap()
    label = words("plan.refused")
    for entry in plan["refused"][:_MOST_UNSEEN]:
        page.row(label, "%s: %s" % (entry["named"], entry["reason"]), "unsure")
        _steps(page, "", _pointed(entry["steps"]))
        label = ""
    _hidden(page, plan["refused"], _MOST_UNSEEN)
    label = words("plan.by_hand")
    for entry in plan["by_hand"][:_MOST_OTHERS]:
        above = 0 < entry["cause"] <= _MOST_ROOTS
        what = words("plan.see_cause", n=entry["cause"]) if above else entry["named"]
        page.row(label, " – ".join(filter(None, [what, words("plan.code") if entry["code"] else ""])))
        if not above:
            _steps(page, "", _pointed(entry["steps"][:2]))
        label = ""
    _hidden(page, plan["by_hand"], _MOST_OTHERS)
    label = words("plan.blocked")
    for warning in plan["warnings"][:_MOST_UNSEEN]:
        page.row(label, warning["text"], "bad")
        if warning["command"]:
            page.row("", warning["command"], "command", whole=True)
        label = ""
    if plan["approve"]:
        page.command(words("plan.approve"), plan["approve"])


def _record(page: _Page, model: dict[str, Any]) -> None:
    """What was applied or taken back, and what came of it; what failed is not to be overlooked."""
    words = page.words
    record = acting.record(model, words)
    if not record:
        return
    page.gap()
    page.lines.append("  " + page.paint(record["title"], record["tone"]))
    page.text(" · ".join(record["facts"]), "dim", indent=5, most=2)
    if record["reason"]:
        page.row(words("record.reason"), record["reason"], record["tone"], most=4)
    _steps(page, "", _pointed(record["fix"]))
    for text in record["settled"]:
        page.text(text, indent=5)
    for step in record["steps"][:_MOST_STEPS]:
        _step_title(page, step, step["result"], step["tone"], step["seconds"])
        _diff(page, step)
        if step["error"]:
            page.row(words("record.error"), step["error"], "bad", most=4)
        _steps(page, "", _pointed(step["fix"]))
        _steps(page, words("record.by_hand"), step["by_hand"], "bad")
        for number, line in enumerate(step["lasting"][:3]):
            page.row("" if number else words("plan.lasting"), line, most=2)
        _evidence(page, step["evidence"])
    for step in record["steps"][_MOST_STEPS:]:
        _step_title(page, step, step["result"], step["tone"], step["seconds"])
    if record["records"]:
        page.row(words("record.records"), record["records"], whole=True)
    if record["undo"]:
        page.command(words("record.take_back"), record["undo"])


def _step_title(page: _Page, step: dict[str, Any], mark: str, tone: str, behind: str = "") -> None:
    """Its number, a word about it in colour, and what it does."""
    number = page.words("plan.step", n=step["number"])
    head = "  ".join(filter(None, [number, mark]))
    title = wrap(_flat(step["title"] + (" (%s)" % behind if behind else "")), page.columns - width(head) - 4)[:3]
    painted = "  ".join(filter(None, [number, mark and page.paint(mark, tone)]))
    page.lines.append("  " + painted + "  " + page.paint(title[0] if title else "", "strong"))
    page.lines.extend(" " * (width(head) + 4) + page.paint(line, "strong") for line in title[1:])


def _diff(page: _Page, step: dict[str, Any]) -> None:
    """The first lines of what changes, each cut at the edge of the terminal: the report has them whole."""
    label = page.words("plan.change")
    shown = 0
    for sign, text in step["diff"]:
        if sign and shown == _MOST_DIFF:
            break
        shown += bool(sign)
        line = cut_columns(" ".join(filter(None, [sign, text.expandtabs(2)])), page.columns - _LABEL - 3)
        page.lines.append("  " + page.paint(label + " " * (_LABEL - width(label)), "dim") + page.paint(line, {"-": "bad", "+": "good"}.get(sign, "")))
        label = ""
    hidden = sum(1 for sign, _text in step["diff"] if sign) + step["diff"].hidden - shown
    if hidden:
        page.row("", page.words("plan.diff_more", n=hidden), "dim")


def _evidence(page: _Page, parts: list[dict[str, Any]]) -> None:
    """What is kept of what a step ended; of logs the last lines, each cut at the edge of the terminal: the report has more."""
    label = page.words("record.evidence")
    logs = [part for part in parts if part["lines"] and not any(_FIELDS.match(line) for line in part["lines"])]
    for part in logs[:_MOST_PARTS]:
        page.row(label, part["what"], "dim", most=1)
        for line in part["lines"][-_MOST_SAID:]:
            page.lines.append(" " * (_LABEL + 2) + page.paint(cut_columns(line.expandtabs(2), page.columns - _LABEL - 3), "dim"))
        label = ""
    rest = [part["what"] for part in parts if part not in logs[:_MOST_PARTS]]
    if rest:
        page.row(label, ", ".join(rest), "dim", most=2)


def _pointed(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps with an arrow in front of what is prose, as below a reason."""
    return [{"parts": [{"kind": "text", "text": "→ "}, *step["parts"]] if step["parts"][0]["kind"] != "command" else step["parts"]} for step in steps]


def _hidden(page: _Page, entries: view.Shown[Any], most: int) -> None:
    hidden = entries.total - min(most, len(entries))
    if hidden:
        page.row("", page.words("more_terminal", n=hidden), "dim")


def _lines_of(parts: list[dict[str, str]]) -> list[dict[str, str]]:
    """Commands on lines of their own; prose and names between them joined."""
    result: list[dict[str, str]] = []
    for part in parts:
        # A name of several words would read on into its sentence.
        text = "`%s`" % part["text"] if part["kind"] == "name" and " " in part["text"] else part["text"]
        if part["kind"] != "command" and result and result[-1]["kind"] != "command":
            result[-1] = {"kind": "text", "text": result[-1]["text"] + text}
        else:
            result.append({**part, "text": text})
    return result


def _others(page: _Page, model: dict[str, Any]) -> None:
    others = view.other_findings(model)
    # What follows from a root cause stands with it.
    told = {entry.get("key") for item in model["root_causes"] for entry in item.get("consequences") or []}
    others = [item for item in others if item["key"] not in told and not item.get("caused_by")]
    label = page.words("others")
    for item in others[:_MOST_OTHERS]:
        text = "%s: %s" % (item["component"], item["title"])
        severity = item.get("severity", "warning")
        page.row(label, "%s  %s" % (page.words("severity." + severity), text), "warn" if severity == "warning" else _STYLE[severity], most=2)
        label = ""
    if len(others) > _MOST_OTHERS:
        page.row("", page.words("more_terminal", n=len(others) - _MOST_OTHERS), "dim")


def _unseen(page: _Page, model: dict[str, Any]) -> None:
    unknown = model["unknown"]
    label = page.words("unseen")
    if not unknown:
        page.row(label, page.words("none"))
        return
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for item in unknown:  # one missing right hides many checks: said once
        groups.setdefault((item.get("reason") or "", item.get("fix") or ""), []).append(item)
    for (reason, fix), items in list(groups.items())[:_MOST_UNSEEN]:
        names = list(dict.fromkeys(check for item in items for check in unseen_ids(item)))
        places = list(dict.fromkeys(item["component"] for item in items))
        what = ", ".join(names[:3]) + (f" +{len(names) - 3}" if len(names) > 3 else "")
        page.row(label, "%s (%s): %s" % (what, cut_columns(", ".join(places), 30), reason), "unsure", most=3)
        label = ""
        if fix:
            page.row("", "→ " + fix, most=3)
    hidden = sum(len(items) for items in list(groups.values())[_MOST_UNSEEN:])
    if hidden:
        page.row("", page.words("more_terminal", n=hidden), "dim")


def _filled(item: dict[str, Any]) -> dict[str, Any]:
    """The evidence that says something: on a terminal there is no room for the rest."""
    return {name: value for name, value in (item.get("evidence") or {}).items() if value is not False and value not in (None, "", [], {})}


def _ruled_out(page: _Page, model: dict[str, Any]) -> None:
    """How many causes are not there, and the few that are nearest to the question, with figures."""
    ruled_out = model["ruled_out"]
    if not ruled_out:
        return
    ill = {item["component"] for item in model["root_causes"]}
    domains = {item["id"].split(".")[0] for item in model["root_causes"]}
    near = sorted(ruled_out, key=lambda item: (item["component"] not in ill, item["id"].split(".")[0] not in domains, not item.get("evidence")))
    chosen: list[dict[str, Any]] = []
    for item in near:  # not four times the same area
        if sum(other["id"].split(".")[0] == item["id"].split(".")[0] for other in chosen) < (2 if domains else 1):
            chosen.append(item)
    page.row(page.words("ruled_out"), page.words.count("n.causes", len(ruled_out)))
    room = page.columns - _LABEL - 3
    for item in chosen[:3]:
        counted = {name: value for name, value in _filled(item).items() if isinstance(value, (int, float)) and not isinstance(value, bool)}
        figures = "" if re.search(r"\d", item["title"]) else brief(counted, page.words, 60)
        page.row("", cut_columns(_flat("%s: %s%s" % (item["component"], item["title"], f" – {figures}" if figures else "")), room), "dim", most=1)


def _compared(page: _Page, model: dict[str, Any]) -> None:
    compare = model["compare"]
    words = page.words
    if not compare.get("previous"):
        return
    titles = {item["key"]: "%s (%s)" % (item["title"], item["component"]) for item in model["findings"]}
    titles.update({item["key"]: words("plan.see_cause", n=number) for number, item in enumerate(model["root_causes"][:_MOST_ROOTS], 1)})
    kinds = ("new", "fixed", "unverified", "persisting")
    if not any(compare.get(kind) for kind in kinds):
        page.row(words("since"), words("nothing_new"))
        return
    label = words("since")
    for kind in kinds:
        entries = compare.get(kind) or []
        if not entries:
            continue
        names = [
            titles.get(entry, entry) if isinstance(entry, str) else "%s (%s)" % (entry.get("title"), entry.get("key", "").partition("@")[2])
            for entry in entries
        ]
        text = words.count("n." + kind, len(names))
        if kind != "persisting":
            text += ": " + "; ".join(names[:2]) + ("; …" if len(names) > 2 else "")
        page.row(label, text, most=2)
        label = ""


def _time(page: _Page, model: dict[str, Any]) -> str:
    took = seconds(float(model["timing"].get("total_seconds") or 0))
    probes = view.slowest(model)
    if not probes:
        return took
    return page.words("took_slowest", seconds=took, name=cut_columns(probes[0][0], 30), slowest=seconds(probes[0][1]))


def _flat(text: str) -> str:
    return " ".join(str(text).split())


def wrap(text: str, columns: int) -> list[str]:
    """Lines of at most so many terminal columns: broken at blanks and between wide characters, long words cut."""
    lines: list[str] = []
    line = ""
    for piece in _pieces(text):
        if width(line + piece.rstrip()) <= columns:
            line += piece
            continue
        if line.strip():
            lines.append(line.rstrip())
        line = piece.lstrip()
        while width(line.rstrip()) > columns:
            fits = _fits(line, columns)
            lines.append(line[:fits])
            line = line[fits:]
    return lines + [line.rstrip()] if line.strip() else lines


def _fits(text: str, columns: int) -> int:
    used = 0
    for number, char in enumerate(text):
        used += width(char)
        if used > columns:
            return max(1, number)
    return len(text)


def _pieces(text: str) -> list[str]:
    """Words with the blank behind them; a wide character is a word, together with the closing punctuation behind it."""
    pieces: list[str] = []
    for word in re.findall(r"\S+\s*", text):
        if word.isascii():
            pieces.append(word)
            continue
        part = ""
        for char in word:
            if part and char not in _CLOSING and not char.isspace() and (width(char) == 2 or width(part[-1]) == 2) and part[-1] not in "（「『《〈(":
                pieces.append(part)
                part = ""
            part += char
        pieces.append(part)
    return pieces
