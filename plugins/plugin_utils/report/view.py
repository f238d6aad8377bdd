# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the pages show, in the order in which they show it: the model sorted, counted, cut to what a page can hold, and put into words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, SEVERITIES
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.clean import unseen_ids
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.figures import brief, cut, moment, rows, seconds
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.words import Words

T = TypeVar("T")

# From worst to best, as an area of checks is coloured.
_AREA_STATES = ("critical", "warning", "unseen", "info", "ok")

# What begins like a command is one; words that also begin a sentence need an argument that no sentence has.
_COMMAND = re.compile(
    r"(?:\$ |sudo |[A-Z_]+=\S+ )?"
    r"(?:(?:docker|docker-compose|kubectl|helm|psql|pg_\w+|redis-cli|celery|ansible(?:-\w+)?|systemctl|journalctl|curl|alembic|openssl|nft|iptables|getent|dig"
    r"|chown|chmod|ssh|sed)\s\S.*"
    r"|(?:kill|cat|df|du|ip|ss|python3?|make)\s[-/~.\d]\S*.*)"
    r"|(?:ALTER|SELECT|SET|GRANT|VACUUM|REINDEX|CREATE|DROP|UPDATE)\s[^`]*;",
    re.DOTALL,
)


@dataclass(frozen=True)
class Caps:
    """How much of each list a page shows; the JSON has all of it."""

    to_do: int = 3
    root_causes: int = 20
    consequences: int = 25
    findings: int = 200
    unknown: int = 100
    grouped: int = 12
    ruled_out: int = 400
    evidence: int = 24
    text: int = 700
    components: int = 120
    edges: int = 200
    settings: int = 12
    changes: int = 12
    remedies: int = 40
    diff: int = 60
    probes: int = 20
    compared: int = 30

    def scaled(self, factor: float) -> Caps:
        return Caps(**{field.name: max(1, int(getattr(self, field.name) * factor)) for field in fields(self)})


class Shown(list[T], Generic[T]):
    """A list cut to its cap, that knows how much was cut."""

    def __init__(self, items: Sequence[T], cap: int) -> None:
        super().__init__(items[:cap])
        self.total = len(items)
        self.hidden = max(0, len(items) - cap)


def counts(model: dict[str, Any]) -> dict[str, int]:
    """How many of everything; findings count roots and consequences alike."""
    result = {severity: sum(item.get("severity") == severity for item in model["findings"]) for severity in SEVERITIES}
    for key in ("findings", "root_causes", "unknown", "ruled_out"):
        result[key] = len(model[key])
    for key in ("new", "fixed", "persisting"):
        result[key] = len(model["compare"].get(key) or [])
    return result


def other_findings(model: dict[str, Any]) -> list[dict[str, Any]]:
    """The findings that are not root causes, worst first, causes of their own before consequences."""
    roots = {item["key"] for item in model["root_causes"]}
    rest = [item for item in model["findings"] if item["key"] not in roots]
    return sorted(rest, key=lambda item: (_rank(item), bool(item.get("caused_by")), item["component"], item["id"]))


def named(item: dict[str, Any]) -> str:
    """The title with the component in front, unless it begins with it: "db: a session holds a lock"."""
    title, component = str(item["title"]), item["component"]
    return title if title.startswith(component) or component == "stack" else f"{component}: {title}"


def _rank(item: dict[str, Any]) -> int:
    return SEVERITIES.index(item.get("severity", CRITICAL))


def steps(do: Any) -> list[dict[str, Any]]:
    """What a person can do, each step as parts: prose, names (short code) and commands (a block of their own)."""
    result = []
    for entry in [do] if isinstance(do, str) else do or []:
        parts = _parts(str(entry).strip())
        if parts:
            result.append({"parts": parts})
    return result


def _parts(entry: str) -> list[dict[str, str]]:
    if _COMMAND.fullmatch(entry) and "`" not in entry and not entry.endswith("."):
        return [{"kind": "command", "text": entry.removeprefix("$ ")}]
    split = re.match(r"([^`\n]*?(?::\s|：))\s*(.*)", entry, re.DOTALL)
    if split and _COMMAND.fullmatch(split.group(2)) and "`" not in entry:
        return [{"kind": "text", "text": split.group(1).rstrip()}, {"kind": "command", "text": split.group(2).removeprefix("$ ")}]
    parts = []
    for number, piece in enumerate(entry.split("`")):
        if not piece.strip():
            continue
        if number % 2 == 0:
            parts.append({"kind": "text", "text": piece})
        else:
            parts.append({"kind": "command" if _COMMAND.fullmatch(piece) else "name", "text": piece.removeprefix("$ ")})
    if len(parts) > 1 and parts[-2]["kind"] == "command" and parts[-1]["text"].strip() in (".", "。"):
        parts.pop()  # a full stop behind a command would stand alone
    return parts


def tree(root: dict[str, Any]) -> list[dict[str, Any]]:
    """The paths of a root cause's consequences, merged where they run together: nodes {text, leaf, nodes} from the cause on.

    A path is given from the consequence to the cause ("api hangs ← pool waiting ← lock held"), a tree grows the other way.
    """
    trunk: dict[str, Any] = {"nodes": {}}
    for item in root.get("consequences") or []:
        path = [str(step) for step in item.get("path") or []] or [item["title"], root["title"]]
        node = trunk
        for step in reversed(path):
            node = node["nodes"].setdefault(step, {"text": step, "leaf": None, "nodes": {}})
        node["leaf"] = node["leaf"] or item

    def listed(node: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"text": entry["text"], "leaf": entry["leaf"], "nodes": listed(entry)} for entry in node["nodes"].values()]

    return listed(trunk)


def areas(model: dict[str, Any]) -> list[dict[str, Any]]:
    """Per domain (the id's first word): how many findings, not checked, ruled out. The worst first."""
    result: dict[str, dict[str, Any]] = {}
    for kind in ("findings", "unknown", "ruled_out"):
        for item in model[kind]:
            name = item["id"].split(".")[0]
            area = result.setdefault(name, {"name": name, "findings": 0, "unknown": 0, "ruled_out": 0, "state": "ok"})
            area[kind] += 1
            if kind == "findings":
                area["state"] = min(area["state"], item.get("severity", "warning"), key=_AREA_STATES.index)
            elif kind == "unknown":
                area["state"] = min(area["state"], "unseen", key=_AREA_STATES.index)
    return sorted(result.values(), key=lambda area: (-area["findings"], -area["unknown"], area["name"]))


def changes(item: dict[str, Any], cap: int) -> Shown[tuple[str, str]]:
    """What changed lately around this root cause, the latest first: (when, what)."""
    seen = {(float(change.get("time") or 0), str(change.get("what", ""))) for change in item.get("changed") or []}
    return Shown([(moment(time) if time else "", cut(what, 300)) for time, what in sorted(seen, reverse=True)], cap)


def slowest(model: dict[str, Any]) -> list[tuple[str, float]]:
    probes = model["timing"].get("probes") or {}
    return sorted(((name, float(value)) for name, value in probes.items() if isinstance(value, (int, float))), key=lambda pair: -pair[1])


def component_states(model: dict[str, Any]) -> dict[str, str]:
    """cause, affected or unseen for the components that have something; the rest have nothing."""
    states = {item["component"]: "unseen" for item in model["unknown"]}
    states.update({item["component"]: "affected" for item in model["findings"] if item.get("severity") != "info"})
    states.update({item["component"]: "cause" for item in model["root_causes"]})
    return states


def build(model: dict[str, Any], words: Words, caps: Caps = Caps()) -> dict[str, Any]:
    """Everything that a page shows, ready to be laid out: no decision is left to a template."""
    total = counts(model)
    compare = model["compare"]
    new = set(compare.get("new") or []) if compare.get("previous") else set()
    titles = {item["key"]: item["title"] for item in model["findings"] + model["root_causes"]}
    numbers = {item["key"]: number for number, item in enumerate(model["root_causes"], 1)}

    def shown(item: dict[str, Any]) -> dict[str, Any]:
        causes = [str(numbers.get(key) and f"{numbers[key]}") if key in numbers else titles.get(key, key) for key in (item.get("caused_by") or [])[:3]]
        return {
            **item,
            "severity": item.get("severity", "warning"),
            "title": cut(item["title"], 300),
            "named": cut(named(item), 300),
            "explanation": cut(item.get("explanation") or "", 1500),
            "rows_of_evidence": rows(item.get("evidence") or {}, words, caps.text, caps.evidence),
            "steps": steps(item.get("do")),
            "causes": [(f"#{number}" if number.isdigit() else cut(number, 80)) for number in causes],
            "new": item["key"] in new,
        }

    roots = Shown([shown(item) for item in model["root_causes"]][: caps.root_causes * 2] or [], caps.root_causes)
    roots.total, roots.hidden = total["root_causes"], max(0, total["root_causes"] - caps.root_causes)
    for number, item in enumerate(roots, 1):
        item["number"] = number
        item["consequences"] = Shown(item.get("consequences") or [], caps.consequences)
        item["tree"] = tree(item)
        item["changes"] = changes(item, caps.changes)
        item["runbook_text"] = " · ".join(filter(None, [str(item.get("runbook") or ""), ", ".join(map(str, item.get("rows") or []))]))
    others = other_findings(model)
    rest = Shown(others, caps.findings)
    rest[:] = [shown(item) for item in rest]
    unknown = Shown(_unseen_groups(model["unknown"], caps), caps.unknown)
    cleared = Shown(sorted(model["ruled_out"], key=lambda item: item["id"]), caps.ruled_out)
    cleared[:] = [{**item, "title": cut(item["title"], 200), "brief": brief(item.get("evidence") or {}, words, 240)} for item in cleared]
    return {
        "model": model,
        "lang": words.html_lang,
        "verdict": model["verdict"],
        "counts": total,
        "finished": moment(model["finished_at"], "%Y-%m-%d %H:%M:%S UTC"),
        "finished_iso": moment(model["finished_at"], "%Y-%m-%dT%H:%M:%SZ"),
        "took": seconds(float(model["timing"].get("total_seconds") or 0)),
        "headline": cut(model["headline"] or words("verdict." + model["verdict"]), 400),
        "to_do": roots[: caps.to_do],
        "unseen_fixes": _fixes(model["unknown"], 4),
        "roots": roots,
        "others": rest,
        "severities": [(severity, sum(item.get("severity") == severity for item in others)) for severity in SEVERITIES],
        "unknown": unknown,
        "ruled_out": cleared,
        "areas": areas(model),
        "compare": _compared(compare, titles, caps) if compare.get("previous") else None,
        "components": Shown([_component(item, words, caps) for item in model["topology"]["components"]], caps.components),
        "states": component_states(model),
        "edges": Shown([_edge(edge) for edge in model["topology"]["edges"]], caps.edges),
        "probes": _bars(slowest(model), caps),
        "operator": [(name.replace("_", " "), cut(str(value), 120)) for name, value in (model.get("operator") or {}).items() if value],
    }


def _unseen_groups(unknown: list[dict[str, Any]], caps: Caps) -> list[dict[str, Any]]:
    """What could not be checked, by component and reason: one missing right hides many checks and is said once."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for item in unknown:
        groups.setdefault((item["component"], item.get("reason") or "", item.get("fix") or ""), []).append(item)
    return [
        {
            "component": component,
            "reason": cut(reason, caps.text),
            "fix": cut(fix, caps.text),
            "fix_steps": steps(fix),
            "checks": Shown(_checks(items), caps.grouped),
        }
        for (component, reason, fix), items in groups.items()
    ]


def _checks(items: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(id, title) of each check that these entries stand for; no title where it says no more than the id."""
    titles = {item["id"]: item.get("title") or "" for item in items}
    return [(check, titles.get(check, "") if titles.get(check) != check else "") for item in items for check in unseen_ids(item)]


def _fixes(unknown: list[dict[str, Any]], cap: int) -> list[dict[str, Any]]:
    return [step for text in list(dict.fromkeys(item.get("fix") or "" for item in unknown))[:cap] for step in steps(text)]


def _component(item: dict[str, Any], words: Words, caps: Caps) -> dict[str, Any]:
    settings = [entry if isinstance(entry, dict) else {"name": str(entry)} for entry in item.get("settings") or []]
    names = [str(entry.get("name") or entry.get("id") or "") if isinstance(entry, dict) else str(entry) for entry in item.get("instances") or []]
    return {
        "id": cut(str(item.get("id", "")), 80),
        "role": str(item.get("role") or ""),
        "role_source": cut(words.known("role_by.%s" % item.get("role_source")) or str(item.get("role_source") or ""), 120),
        "state": cut(str(item.get("state") or ""), 80),
        "instances": cut(", ".join(names[:6]) + (f" +{len(names) - 6}" if len(names) > 6 else ""), 300),
        "instance_count": len(names),
        "settings": Shown(
            [(cut(str(entry.get("name") or entry.get("setting") or ""), 60), cut(str(entry.get("source") or ""), 80)) for entry in settings], caps.settings
        ),
    }


def _edge(edge: dict[str, Any]) -> dict[str, str]:
    return {name: cut(str(edge.get(name) or ""), 120) for name in ("from", "to", "kind", "setting", "source")}


def _compared(compare: dict[str, Any], titles: dict[str, str], caps: Caps) -> dict[str, Shown[tuple[str, str]]]:
    result = {}
    for kind in ("new", "fixed", "unverified", "persisting"):
        pairs = []
        for entry in compare.get(kind) or []:
            key, title = (str(entry.get("key", "")), entry.get("title", "")) if isinstance(entry, dict) else (str(entry), "")
            pairs.append((key, cut(title or titles.get(key, key), 160)))
        result[kind] = Shown(pairs, caps.compared)
    return result


def _bars(probes: list[tuple[str, float]], caps: Caps) -> Shown[dict[str, Any]]:
    longest = probes[0][1] if probes and probes[0][1] > 0 else 1.0
    return Shown([{"name": cut(name, 60), "text": seconds(value), "share": max(1, round(100 * value / longest))} for name, value in probes], caps.probes)
