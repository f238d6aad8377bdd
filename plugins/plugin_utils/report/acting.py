# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The plan that a diagnosis ends with and the record of what was applied, as the pages show them."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from ansible_collections.aiops.runbook.plugins.plugin_utils.report import view
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.figures import Row, brief, cut, moment, seconds
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.gate import FAILED_RECORDS
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.words import Words

# How a risk class and a result are painted (the terminal's styles, the page's colours).
TONES = {
    name: tone
    for tone, names in (
        ("good", ("safe", "held", "unchanged", "undone", "cured", "done")),
        ("warn", ("disruptive", "transient")),
        ("bad", ("destructive", "failed", "partly undone", "refused", "cannot be undone")),
        ("unsure", ("would be done",)),
    )
    for name in names
}
# What can have become of a run that had died in the middle.
SETTLED = ("held", "partly held", "undone", "partly undone", "unchanged")
# More lines than anybody compares by eye are not worth the time.
_MOST_COMPARED = 500
_CAPS = view.Caps()


def plan(model: dict[str, Any], words: Words, caps: view.Caps = _CAPS) -> dict[str, Any] | None:
    """What a page shows of the plan; None where there is nothing to plan."""
    given = model["plan"]
    if not given or not any(given[kind] for kind in ("steps", "refused", "by_hand", "unfinished", "overdue", "lease")):
        return None
    numbers = {item["key"]: number for number, item in enumerate(model["root_causes"], 1)}
    return {
        "digest": given["digest"] if given["steps"] else "",
        "valid": _valid(given["expires_at"], model["finished_at"], words) if given["steps"] else "",
        "by": cut(given["by"], 120),
        "steps": _shown([_step(step, words, caps) for step in given["steps"][: caps.remedies]], given["steps"]),
        "refused": view.Shown(
            [{**entry, "named": cut(view.named(entry), 300), "steps": view.steps(entry["fix"])} for entry in given["refused"]], caps.remedies
        ),
        "by_hand": view.Shown(
            [
                {**entry, "named": cut(view.named(entry), 300), "steps": view.steps(entry["do"]), "cause": numbers.get(entry["finding"], 0)}
                for entry in given["by_hand"]
            ],
            caps.remedies,
        ),
        "warnings": _warnings(given, words),
        "approve": given["approve"] if given["steps"] else "",
    }


def record(model: dict[str, Any], words: Words, caps: view.Caps = _CAPS) -> dict[str, Any] | None:
    """What a page shows of what was applied or taken back."""
    given = model["record"]
    if not given:
        return None
    steps = _shown([_done(step, given, words, caps) for step in given["steps"][: caps.remedies]], given["steps"])
    only_checked = any(step["result"] == "would be done" for step in given["steps"])
    approved = given["approved"] if given["approved"] != "undo" else ""
    return {
        "result": given["result"],
        "tone": "unsure" if only_checked else TONES[given["result"]],
        "title": words("record.checked" if only_checked else "record." + given["result"]),
        "facts": list(
            filter(
                None,
                [
                    approved and words("record.approved", what=cut(approved, 120)),
                    given["by"] and words("record.by", who=cut(given["by"], 120)),
                    given["at"] and moment(given["at"], "%H:%M:%S UTC"),
                    given["seconds"] and seconds(given["seconds"]),
                    *(words("record." + name, why=cut(str(given[name]), 120)) for name in ("freeze_override", "backup_waiver") if given.get(name)),
                ],
            )
        ),
        "reason": given["reason"],
        "fix": view.steps(given["fix"]),
        "settled": [_settled(entry, words) for entry in given["settled"]],
        "steps": steps,
        "records": given["records"] or "",
        "undo": undo_command(given),
    }


def undo_command(given: dict[str, Any]) -> str:
    """How to take back what of a run is in force and can be; "" where nothing is."""
    in_force = [step for step in given["steps"] if step["result"] in ("cured", "done") or (step["result"] == "failed" and not step["undone"])]
    if not any(step.get("can_undo", step["risk"] != "transient") for step in in_force):
        return ""
    return given["undo"] or _undo_of(given["run"])


def _undo_of(run: Any) -> str:
    """The command to be pasted; none for a name that a shell would read as more than a name."""
    return "ansible-playbook aiops.runbook.undo -e run=%s" % run if run and re.fullmatch(r"[\w.-]+", str(run), re.ASCII) else ""


def is_failure(step: dict[str, Any], given: dict[str, Any]) -> bool:
    """Whether this step of a record is not as it should be: undone is what an undo is for, and what a cure is not."""
    if step["result"] == "undone":
        return not _is_undo(given)
    return step["result"] in ("failed", "cannot be undone")


def failed_without_step(given: dict[str, Any]) -> bool:
    return given["result"] in FAILED_RECORDS and not any(is_failure(step, given) for step in given["steps"])


def _is_undo(given: dict[str, Any]) -> bool:
    return given["approved"] == "undo" or given["result"] in ("undone", "partly undone")


def diff_lines(diff: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The differences as lines: ("", what it is about), ("-", as it is), ("+", as it becomes); what stays the same is left out."""
    lines: list[tuple[str, str]] = []
    for entry in diff:
        before, after = str(entry["before"]).splitlines(), str(entry["after"]).splitlines()
        if entry["what"]:
            lines.append(("", str(entry["what"])))
        if max(len(before), len(after)) > _MOST_COMPARED:
            lines += [("-", line) for line in before] + [("+", line) for line in after]
            continue
        for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
            if kind != "equal":  # old and new in pairs, so that the first lines show both
                pairs = zip_longest(before[a:b], after[c:d])
                lines += [(sign, line) for pair in pairs for sign, line in zip("-+", pair, strict=True) if line is not None]
    return lines


def _step(step: dict[str, Any], words: Words, caps: view.Caps) -> dict[str, Any]:
    undo = step["undo"] or words("plan.undo_known" if step["can_undo"] else "plan.undo_none")
    instead_of = "\n".join("%s: %s" % (one["remedy"], one["reason"]) for one in step["instead_of"])
    rows = [
        Row(words("plan.instead_of"), cut(instead_of, caps.text)) if instead_of else None,
        Row(words("plan.interrupts"), cut(step["interrupts"], caps.text)) if step["interrupts"] else None,
        Row(words("plan.touches"), cut(", ".join(map(str, step["touches"])), caps.text)) if step["touches"] else None,
        Row(words("plan.undo"), cut(undo, caps.text)),
        *_lasting(step, words, caps),
    ]
    return {
        **_common(step, words, caps),
        "tone": TONES.get(step["risk"], "warn"),
        "why": cut(step["why"], caps.text),
        "instead_of": instead_of,
        "interrupts": step["interrupts"],
        "undo": undo,
        "rows": [row for row in rows if row],
    }


def _done(step: dict[str, Any], given: dict[str, Any], words: Words, caps: view.Caps) -> dict[str, Any]:
    kept = step if step["result"] in ("cured", "done") else {"lasting": []}
    return {
        **_common(step, words, caps),
        "result": words("step." + step["result"]),
        "tone": "bad" if is_failure(step, given) else TONES[step["result"]],
        "seconds": seconds(step["seconds"]) if step["seconds"] else "",
        "error": cut(step["error"], caps.text),
        "fix": view.steps(step["fix"]),
        "by_hand": view.steps(step["by_hand"]),
        "lasting": [str(line) for line in kept["lasting"]],
        "rows": _lasting(kept, words, caps),
        "evidence": [_evidence(part, caps) for part in step["evidence"]],
    }


def _settled(entry: dict[str, Any], words: Words) -> str:
    """What became of a run that had died in the middle."""
    known = entry["result"] if entry["result"] in SETTLED else "partly undone"
    return words("record.settled", run=cut(str(entry["run"]), 80), by=cut(str(entry["by"] or "?"), 80), what=words("settled." + known))


def _evidence(part: dict[str, Any], caps: view.Caps) -> dict[str, Any]:
    """The last lines of one part of it; the JSON has all that the record has."""
    lines = [cut(" ".join(str(line).splitlines()), caps.text) for line in part["lines"]]
    return {"what": cut(str(part["what"]), 120), "lines": lines[-caps.evidence :], "left_out": int(part["left_out"]) + max(0, len(lines) - caps.evidence)}


def _common(step: dict[str, Any], words: Words, caps: view.Caps) -> dict[str, Any]:
    return {
        "number": step["number"],
        "remedy": step["remedy"],
        "finding": step["finding"],
        "component": step["component"],
        "title": cut(str(step["title"]), 300),
        "risk": words("risk." + step["risk"]) if step["risk"] else "",
        "meaning": words("risk.%s.means" % step["risk"]) if step["risk"] else "",
        "diff": view.Shown([(sign, cut(line, caps.text)) for sign, line in diff_lines(step["diff"])], caps.diff),
    }


def _lasting(step: dict[str, Any], words: Words, caps: view.Caps) -> list[Row]:
    lines = [str(line) for line in step["lasting"]]
    return [Row(words("plan.lasting"), cut("\n".join(lines), 3 * caps.text), verbatim=True)] if lines else []


def _warnings(given: dict[str, Any], words: Words) -> list[dict[str, Any]]:
    """What stands in the way of applying anything: {text, command}."""
    result = []
    for entry in given["unfinished"]:
        run = str(entry.get("run") or "?") if isinstance(entry, dict) else str(entry)
        who = str(entry.get("by") or "?") if isinstance(entry, dict) else "?"
        text = words("plan.unfinished", run=run, by=cut(who, 80))
        result.append({"text": text, "command": _undo_of(run)})
    for entry in given["overdue"]:
        what = brief(entry, words) if isinstance(entry, dict) else cut(str(entry), 200)
        result.append({"text": words("plan.overdue", what=what), "command": ""})
    if given["lease"]:
        lease = given["lease"] if isinstance(given["lease"], dict) else {"by": given["lease"]}
        since = lease.get("since") or "?"
        since = moment(since) if isinstance(since, (int, float)) else str(since)
        result.append({"text": words("plan.leased", by=cut(str(lease.get("by") or "?"), 80), since=since), "command": ""})
    return result


def _valid(until: float, now: float, words: Words) -> str:
    """Until when a plan may be approved; with the day when it is another one."""
    if not until:
        return ""
    same_day = moment(until, "%Y-%m-%d") == moment(now, "%Y-%m-%d")
    return words("plan.valid", when=moment(until, "%H:%M UTC" if same_day else "%Y-%m-%d %H:%M UTC"))


def _shown(shown: list[dict[str, Any]], all_of_it: list[Any]) -> view.Shown[dict[str, Any]]:
    result = view.Shown(shown, len(shown))
    result.total, result.hidden = len(all_of_it), len(all_of_it) - len(shown)
    return result
