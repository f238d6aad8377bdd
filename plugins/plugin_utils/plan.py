# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a diagnosis to a plan: which remedies the catalogue knows for its root causes, in order, with a digest that approves exactly them."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.act.registry import remedies_on
from ansible_collections.aiops.runbook.plugins.module_utils.judge.containers import gave_up
from ansible_collections.aiops.runbook.plugins.plugin_utils.diagnose import Graph, matches
from ansible_collections.aiops.runbook.plugins.plugin_utils.knowledge import catalogue, fill, remedy_words

SCHEMA = "aiops.runbook/plan/1"
VALID_MINUTES = 60
# What is not part of what is approved: where the plan lies, how it is approved, and what was met while it was made.
_OUTSIDE = ("digest", "path", "approve", "unfinished", "overdue", "lease", "refused", "by_hand")

Previewer = Callable[[list[dict[str, Any]]], dict[str, Any]]


def propose(model: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(steps, what a person must do) for the root causes of a diagnosis: servers before those who use them.

    otherwise: what else the catalogue knows for a step's cause, where the first is refused.
    """
    steps: list[dict[str, Any]] = []
    by_hand: list[dict[str, Any]] = []
    for root in _in_order(model):
        fitting = list(_fitting(root, model["platform"]))
        if not fitting:
            by_hand.append(_hand(root))
        elif not any(_same(fitting[0], other) for other in steps):
            steps.append({"number": len(steps) + 1, **fitting[0], "otherwise": fitting[1:]})
    for chosen in _starts(model, {one["finding"] for one in by_hand}):
        if not any(_same(chosen, other) for other in steps):
            steps.append({"number": len(steps) + 1, **chosen, "otherwise": []})
    return steps, by_hand


def _starts(model: Mapping[str, Any], left: set[str]) -> Iterator[dict[str, Any]]:
    """The start of what the root causes have ended, which is not back when they are gone; not while one of them is left to a person."""
    roles = {one["id"]: one["role"] for one in (model.get("topology") or {}).get("components") or []}
    items = {item["key"]: item for item in model.get("findings") or []}
    after: dict[str, list[str]] = {}
    for root in model.get("root_causes") or []:
        for consequence in root.get("consequences") or []:
            after.setdefault(consequence["key"], []).append(root["key"])
    for key, causes in after.items():
        item = items[key]
        if not left & set(causes) and gave_up(item["id"], item["evidence"], roles.get(item["component"], "")):
            yield {"remedy": "component_start", "component": item["component"], "params": {}, "finding": key, "why": item["title"], "after": causes}


def _in_order(model: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    graph = Graph((model.get("topology") or {}).get("edges") or [])
    roots = [root for root in model.get("root_causes") or [] if root["severity"] != "info"]
    # Who is used by most comes first.
    return sorted(roots, key=lambda root: -sum(graph.reaches(user, root["component"]) for user in graph.uses))


def _fitting(root: Mapping[str, Any], platform: str) -> Iterator[dict[str, Any]]:
    """The remedies of the catalogue that this platform has and that fit what was found, the best first."""
    facts = {"component": root["component"], "about": root.get("about"), **root["evidence"]}
    for rule in catalogue().get(root["id"], {}).get("remedies") or []:
        if rule["remedy"] not in remedies_on(platform) or rule.get("platform", platform) != platform:
            continue
        if not all(matches(facts.get(key), wanted) for key, wanted in (rule.get("where") or {}).items()):
            continue
        try:
            params = {key: _filled(value, facts) for key, value in (rule.get("with") or {}).items()}
            component = _filled(rule.get("on", "{component}"), facts)
        except KeyError:
            continue
        yield {"remedy": rule["remedy"], "component": component, "params": params, "finding": root["key"], "why": root["title"]}


def _filled(value: Any, facts: Mapping[str, Any]) -> Any:
    """A parameter with "{fact}" replaced by that fact, of whatever type; KeyError where it was not seen."""
    if isinstance(value, Mapping):
        return {_filled(key, facts): _filled(item, facts) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, facts) for item in value]
    if isinstance(value, str) and value.startswith("{") and value.endswith("}"):
        found = facts.get(value[1:-1])
        if found in (None, "", []):
            raise KeyError(value)
        return found
    return value


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[key] == other[key] for key in ("remedy", "component", "params"))


def _hand(root: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "finding": root["key"],
        "component": root["component"],
        "title": root["title"],
        "do": root["do"],
        "code": bool(catalogue().get(root["id"], {}).get("code")),
    }


def make_plan(
    model: Mapping[str, Any], preview: Previewer, by: str, valid_minutes: float = VALID_MINUTES, at_work: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """The plan for a diagnosis; None when nothing is wrong and nobody left anything.

    preview: act/door.py's preview_plan on the stack. at_work: act/records.py's at_work() of its host.
    """
    wanted, by_hand = propose(model)
    at_work = at_work or {}
    if not wanted and not by_hand and not any(at_work.values()):
        return None
    lang = model.get("lang") or "en"
    found = _previewed(wanted, preview)
    now = time.time()
    steps: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    for step in wanted:
        answer, causes = step.pop("answer"), step.pop("after", None)
        before = step.pop("tried", [])
        tried = [*before, {"answer": answer}]
        step.pop("otherwise")
        if causes and {one["finding"] for one in refused} & set(causes):
            continue
        if "preview" in answer and answer["preview"]["changed"]:
            if any(_same(step, other) for other in steps):
                continue
            instead_of = [{"remedy": one["remedy"], "reason": one["answer"]["refused"]} for one in before]
            steps.append(worded({**step, **answer["preview"], "token": answer["token"], "instead_of": instead_of}, lang, model["platform"]))
            continue
        if causes:
            continue
        root = next(root for root in model["root_causes"] if root["key"] == step["finding"])
        for one in tried:
            told = one.pop("answer")
            reason = told.get("refused") or "everything that it would change is already so"
            refused.append({**worded({**step, **one, "texts": {}}, lang, model["platform"]), "reason": reason, "fix": told.get("fix") or ""})
        by_hand.append(_hand(root))
    plan: dict[str, Any] = {
        "schema": SCHEMA,
        "stack": model["stack"],
        "platform": model["platform"],
        "identity": found.get("identity") or model.get("identity") or {},
        "created_at": round(now, 3),
        "expires_at": round(now + 60 * valid_minutes, 3),
        "by": by,
        "lang": lang,
        "steps": steps,
        "refused": refused,
        "by_hand": by_hand,
        "unfinished": at_work.get("unfinished") or [],
        "overdue": at_work.get("overdue") or [],
        "lease": at_work.get("lease"),
    }
    return {"digest": digest_of(plan), **plan}


def _previewed(wanted: list[dict[str, Any]], preview: Previewer) -> dict[str, Any]:
    """The last answer; each step gets its own ("answer"). One that is refused becomes the next remedy of its cause, as long as there is one ("tried")."""
    found: dict[str, Any] = {}
    left = wanted
    while left:
        found = preview([{key: step[key] for key in ("number", "remedy", "component", "params", "finding")} for step in left])
        told = {answer["number"]: answer for answer in found.get("steps") or []}
        for step in left:
            step["answer"] = told.get(step["number"]) or {"refused": "it could not be previewed", "fix": ""}
        left = [step for step in left if "refused" in step["answer"] and step["otherwise"]]
        for step in left:
            step["tried"] = [*step.get("tried", []), {key: step[key] for key in ("remedy", "component", "params", "answer")}]
            step.update(step["otherwise"].pop(0))
    return found


def worded(step: dict[str, Any], lang: str, platform: str = "") -> dict[str, Any]:
    """A step in words; its texts are spent."""
    texts = {"component": step["component"], "touches": step.get("touches"), **(step.get("params") or {}), **step.pop("texts", {})}
    words = remedy_words(step["remedy"], platform)
    return {**step, **{what: fill(words.get(what), texts, lang) for what in ("title", "interrupts", "undo")}}


def digest_of(plan: Mapping[str, Any]) -> str:
    """What approves a plan: 14 letters and digits of a hash over everything that would be done, to what, until when."""
    covered = {key: value for key, value in plan.items() if key not in _OUTSIDE}
    text = json.dumps(covered, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return base64.b32encode(hashlib.sha256(text.encode("ascii")).digest()).decode("ascii")[:14].lower()


def risks_of(steps: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({str(step["risk"]) for step in steps})
