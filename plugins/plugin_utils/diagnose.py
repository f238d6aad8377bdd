# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From answers to a diagnosis: findings in causal order, minimal root causes, what was ruled out, what could not be seen."""

from __future__ import annotations

import fnmatch
import re
from collections import deque
from dataclasses import replace
from typing import Any, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes_view import owner_of, place_of, platform_edges
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer
from ansible_collections.aiops.runbook.plugins.module_utils.judge.view import FATAL_AT_START
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, INFO, SEVERITIES, WORKING, Clear, Finding, Unseen, server_kind, why_unseen
from ansible_collections.aiops.runbook.plugins.plugin_utils.knowledge import catalogue, fill, say, say_all

SCHEMA = "aiops.runbook/report/1"
# Findings on an api or on what stands before it with which nobody is served.
NOT_SERVED = (
    "http.unreachable",
    "http.hung",
    "http.unhealthy",
    "http.not_ready",
    "http.bad_gateway",
    "network.outside_unreachable",
    "network.port_not_published",
    "network.published_port_wrong",
    "container.not_running",
    "container.crashed",
    "container.bad_command",
    "container.oom_killed",
    "container.killed",
    "container.paused",
    "config.setting_missing",
    "service.selects_nothing",
    "service.no_endpoints",
)
# Findings on an api that keep it from the server that they are about.
CUT_OFF = (
    "config.url_malformed",
    "config.host_unresolved",
    "config.wrong_port",
    "config.wrong_host",
    "config.stale_environment",
    "network.partitioned",
    "network.unreachable",
    "network.refused",
    "postgres.password_rejected",
)
# Findings that by themselves keep nobody out: who gets a session is served, late.
TOO_SMALL = ("postgres.pool_exhausted",)
# What comes to a program from without, and last words that name a reason of its own, with which none of that has to do.
FROM_WITHOUT = ("config.", "network.", "postgres.", "redis.")
OWN_REASONS = FATAL_AT_START - {"setting_missing", "postgres_malformed_url"}
# What tells several illnesses of one kind on one component apart, besides what always does.
APART = {
    "config.host_unresolved": "host",
    "config.url_malformed": "setting",
    "logs.error_burst": "fingerprint",
    "postgres.connections_exhausted": "scope",
    "postgres.prepared_transaction": "gid",
}
RECENT_SECONDS = 1800
# An instance's id, and how much of it a document keeps.
_ID = re.compile(r"\b[0-9a-f][0-9a-f-]{11,}\b")
ID_LENGTH = 12
# Said of a server that is no component of the stack, instead of commands for one that is.
OUTER = {
    "en": "It belongs to no component of this stack: look at {component} where it runs, and start or mend it there",
    "zh-TW": "它不屬於此堆疊的任何元件：請到 {component} 執行的地方查看並修復",
}
# Said first of a workload that somebody's source of truth looks after.
KEPT = {
    "en": "{workload} is kept by {owner}: what is changed elsewhere does not last, so change it there",
    "zh-TW": "{workload} 由 {owner} 管理：在他處的變更不會持久，請在該處修改",
}
NOT_A_CHANGE = frozenset(["attach", "rename", "resize", "commit", "copy", "export", "pulled", "scheduled"])
HEADLINES = {
    "healthy": {"en": "Everything that was looked at is well.", "zh-TW": "所有檢查項目皆正常。"},
    "unknown": {"en": "Nothing wrong was found, but {count} things could not be checked.", "zh-TW": "未發現異常，但有 {count} 項無法檢查。"},
    "ill": {"en": "{title}", "zh-TW": "{title}"},
    "several": {"en": "{title} — and {more} more", "zh-TW": "{title}（另有 {more} 項）"},
}


class Graph:
    """Who uses whom, and whether a finding of one component can be the cause of another's. roles: {component: role}, as far as they are known."""

    def __init__(self, edges: Iterable[dict[str, Any]], roles: Mapping[str, str] | None = None) -> None:
        self.working = {name for name, role in (roles or {}).items() if role in WORKING}
        self.uses: dict[str, set[str]] = {}
        self.kinds: dict[tuple[str, str], set[str]] = {}
        for edge in edges:
            self.uses.setdefault(edge["from"], set()).add(edge["to"])
            self.kinds.setdefault((edge["from"], edge["to"]), set()).add(server_kind(edge["kind"]))

    def reaches(self, user: str, used: str, kind: str = "") -> bool:
        """Whether a component uses another, itself or through those that it uses. kind: the kind of server at which the way begins, if known."""
        kind = server_kind(kind)
        first = [other for other in self.uses.get(user, ()) if kind in self.kinds[user, other]] if kind else []
        if first:
            return any(other == used or self.reaches(other, used) for other in first)
        seen, queue = {user}, deque([user])
        while queue:
            for other in self.uses.get(queue.popleft(), ()):
                if other == used:
                    return True
                if other not in seen:
                    seen.add(other)
                    queue.append(other)
        return False

    def connects(self, along: str, cause: Finding, effect: Finding) -> bool:
        """Whether an effect's component stands to a cause's component as the catalogue's edge says."""
        if along == "same":
            return cause.component == effect.component
        if along == "uses":
            # An effect that names what it is about is explained by an illness of that, not of another dependency.
            near = effect.about or effect.component
            if effect.about:
                return near == cause.component or self.reaches(near, cause.component)
            # So is one whose last words name a kind of server.
            return self.reaches(effect.component, cause.component, str(effect.evidence.get("failure_about") or ""))
        if along == "used_by":
            return self.reaches(cause.component, effect.component) and self._works(cause.component, effect)
        if along == "about":
            return cause.about is not None and cause.about == effect.about
        return along == "any" and (not effect.id.startswith("celery.") or self._workers_need(cause))

    def _workers_need(self, cause: Finding) -> bool:
        """Whether a worker uses what is ill; where none shows a server of that kind they may keep it elsewhere than in their settings."""
        kind = cause.id.partition(".")[0]
        telling = [user for user in self.working if any(kind in self.kinds[user, other] for other in self.uses.get(user, ()))]
        return not telling or any(self.reaches(user, cause.component) for user in telling)

    def _works(self, component: str, effect: Finding) -> bool:
        """Whether a component has to do with an effect: with what stands in queues only who works on them has, not whoever else uses their broker."""
        return not effect.id.startswith("celery.") or not self.working or component in self.working


def _rules(finding: Finding | Clear) -> list[dict[str, Any]]:
    """What the catalogue says that a finding can cause, and along which edge."""
    return catalogue().get(finding.id, {}).get("explains") or []


def can_cause(graph: Graph, cause: Finding, effect: Finding) -> bool:
    """Whether the catalogue says that this finding explains that one, here."""
    if cause is effect or (cause.severity == INFO and not catalogue().get(cause.id, {}).get("explains_as_info")):
        return False
    if cause.id.startswith(FROM_WITHOUT) and effect.id.startswith("container.") and effect.evidence.get("failure_kind") in OWN_REASONS:
        return False
    for rule in _rules(cause):
        if not fnmatch.fnmatchcase(effect.id, rule["finding"]):
            continue
        facts = [(effect, rule.get("where") or {}), (cause, rule.get("by") or {})]
        fits = all(matches(one.evidence.get(key), wanted) for one, wishes in facts for key, wanted in wishes.items())
        if fits and graph.connects(rule["along"], cause, effect):
            return True
    return False


def matches(value: Any, wanted: Any) -> bool:
    """Whether a fact is as a rule of the catalogue wants it: equal, like a pattern, or one of a list."""
    if isinstance(wanted, list):
        return any(matches(value, one) for one in wanted)
    if isinstance(wanted, str) and isinstance(value, str):
        return fnmatch.fnmatchcase(value, wanted)
    return value == wanted


def distinct(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for each illness, the gravest first: two judges may see the same one."""
    best: dict[tuple[Any, ...], Finding] = {}
    for finding in sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), one.id, one.component)):
        facts = finding.evidence
        key = (finding.id, finding.component, finding.about, *(facts.get(name) for name in ("pid", "queue", "route", APART.get(finding.id, ""))))
        first = best.setdefault(key, finding)
        # What the other one saw besides is worth knowing, too.
        best[key] = replace(first, evidence={**first.evidence, **{name: value for name, value in finding.evidence.items() if name not in first.evidence}})
    return list(best.values())


def find_causes(findings: list[Finding], graph: Graph) -> dict[int, list[int]]:
    """For each finding (by place) those that can have caused it; a circle is broken at its gravest member."""
    causes = {place: [other for other, cause in enumerate(findings) if can_cause(graph, cause, effect)] for place, effect in enumerate(findings)}
    for place, found in causes.items():
        # A slight illness stands for a grave symptom only where nothing graver does.
        grave = [other for other in found if findings[other].severity != INFO]
        causes[place] = grave or (found if findings[place].severity == CRITICAL else [])
    explained = set()
    roots = deque(place for place, found in causes.items() if not found)
    while True:
        while roots:
            root = roots.popleft()
            explained.add(root)
            roots.extend(place for place, found in causes.items() if place not in explained and root in found and place not in roots)
        circle = [place for place in causes if place not in explained]
        if not circle:
            return causes
        # Nothing outside explains these: the findings are ordered by gravity, so the first one stands for the circle.
        causes[circle[0]] = []
        roots.append(circle[0])


def diagnose(seen: dict[str, Any], answers: Iterable[Answer], lang: str = "en") -> dict[str, Any]:
    """The report's model (shape: docs/report.md) of these observations and the judges' answers."""
    answers = list(answers)
    graph = Graph(seen.get("edges", []) + platform_edges(seen), {name: one["role"] for name, one in seen.get("components", {}).items()})
    findings = distinct(one for one in answers if isinstance(one, Finding))
    causes = find_causes(findings, graph)
    keys = _keys(findings)
    items = [_item(seen, finding, keys[place], lang) for place, finding in enumerate(findings)]
    for place, item in enumerate(items):
        item["caused_by"] = [keys[cause] for cause in causes[place]]
        leads = any(place in found for found in causes.values())
        item["is_root"] = not causes[place] and (findings[place].severity != INFO or leads)
    roots = [_root(seen, place, items, causes, lang) for place, item in enumerate(items) if item["is_root"]]
    roots.sort(key=lambda root: (SEVERITIES.index(root["severity"]), -len(root["consequences"]), root["key"]))
    unknown = _unknown(answers, findings, lang)
    # What only waits for its turn is served, if late, and is no outage.
    late = [place for place, found in causes.items() if found and all(findings[cause].id in TOO_SMALL and not causes[cause] for cause in found)]
    verdict = _verdict(seen, [finding for place, finding in enumerate(findings) if place not in late], unknown)
    return {
        "schema": SCHEMA,
        "stack": seen.get("stack", ""),
        "platform": seen.get("platform", ""),
        "verdict": verdict,
        "headline": _headline(verdict, roots, unknown, lang),
        "started_at": seen.get("started_at"),
        "finished_at": seen.get("finished_at"),
        "identity": seen.get("identity"),
        "root_causes": roots,
        "findings": items,
        "ruled_out": _ruled_out(answers, findings, lang),
        "unknown": unknown,
        "topology": _topology(seen),
        "timing": _timing(seen),
        "lang": lang,
    }


def _keys(findings: list[Finding]) -> list[str]:
    keys: list[str] = []
    for finding in findings:
        key = "%s@%s" % (finding.id, finding.component) + (">" + finding.about if finding.about else "")
        number = sum(1 for other in keys if other.split("#")[0] == key)
        keys.append(key if not number else "%s#%d" % (key, number + 1))
    return keys


def _texts(finding: Finding | Clear | Unseen) -> dict[str, Any]:
    evidence = getattr(finding, "evidence", {})
    return {"component": finding.component, "about": getattr(finding, "about", None) or "", **evidence}


def _item(seen: dict[str, Any], finding: Finding, key: str, lang: str) -> dict[str, Any]:
    texts = {**place_of(seen, finding.component), **_texts(finding)}
    entry, platform = catalogue().get(finding.id, {}), seen.get("platform", "")
    own = finding.id.startswith("custom.")
    do = say_all(finding.id, "do", texts, lang, platform)
    if ":" in finding.component and finding.component not in seen.get("components", {}):
        do = [fill(OUTER, texts, lang)] + [line for line in do if "docker compose" not in line and "kubectl" not in line]
    owner = owner_of(seen, finding.component)
    if owner and do:
        name = owner["name"] if owner["tool"] == "operator" else "%s (%s)" % (owner["tool"], owner["name"])
        do = [fill(KEPT, {**texts, "owner": name}, lang), *do]
    return {
        "key": key,
        "id": finding.id,
        "component": finding.component,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "about": finding.about,
        "title": say(finding.id, "title", texts, lang, platform) or (own and finding.evidence.get("text")) or finding.id,
        "explanation": say(finding.id, "explanation", texts, lang, platform),
        "evidence": {**finding.evidence, **({"managed_by": owner} if owner else {})},
        "rows": entry.get("rows", []),
        "do": do,
    }


def _root(seen: dict[str, Any], place: int, items: list[dict[str, Any]], causes: dict[int, list[int]], lang: str) -> dict[str, Any]:
    consequences = []
    parent = {place: place}
    queue = deque([place])
    while queue:
        current = queue.popleft()
        for effect, found in causes.items():
            if current in found and effect not in parent:
                parent[effect] = current
                queue.append(effect)
                path, step = [], effect
                while step != place:
                    path.append("%s: %s" % (items[step]["component"], items[step]["title"]))
                    step = parent[step]
                path.append("%s: %s" % (items[place]["component"], items[place]["title"]))
                consequences.append({key: items[effect][key] for key in ("key", "id", "component", "title", "severity")} | {"path": path})
    # A cause is as grave as the gravest of what it causes: a lock of a minute that takes the api down is no warning.
    severity = min([items[place]["severity"]] + [consequence["severity"] for consequence in consequences], key=SEVERITIES.index)
    return {**items[place], "severity": severity, "consequences": consequences, "changed": _changes(seen, items[place]["component"])}


def _changes(seen: dict[str, Any], component: str) -> list[dict[str, Any]]:
    """What happened to a component lately, newest first."""
    events = seen.get("events")
    if why_unseen(events):
        return []
    recent = [
        event
        for event in events or []
        if event["component"] == component and seen["now"] - event["time"] <= RECENT_SECONDS and event["action"] not in NOT_A_CHANGE
    ]
    return [
        {"time": event["time"], "what": _happened(event["action"], dict(event["detail"]))} for event in sorted(recent, key=lambda event: -event["time"])[:5]
    ]


def _happened(action: str, detail: dict[str, Any]) -> str:
    """An event in a line: what, to what, how often, and the message that came with it."""
    about, count, message = (detail.pop(name, "") for name in ("about", "count", "message"))
    words = [action, about, "%s times" % count if count not in ("", 1, "1") else ""] + ["%s=%s" % pair for pair in sorted(detail.items())]
    return ": ".join(filter(None, [" ".join(filter(None, words)), message]))


def _timing(seen: dict[str, Any]) -> dict[str, Any]:
    """How long each probe took, by the names of instances instead of their ids."""
    timing = dict(seen.get("timing") or {})
    names = {one["id"]: one["name"] for component in seen.get("components", {}).values() for one in component["instances"]}

    def named(probe: str) -> str:
        return _ID.sub(lambda found: names.get(found.group()[:ID_LENGTH], found.group()), probe)

    if timing.get("probes"):
        timing["probes"] = {named(probe): seconds for probe, seconds in timing["probes"].items()}
    return timing


def _verdict(seen: dict[str, Any], findings: list[Finding], unknown: list[dict[str, Any]]) -> str:
    serving = {name for name, component in seen.get("components", {}).items() if component["role"] in ("api", "proxy")}
    if any(finding.severity == CRITICAL and finding.component in serving and _serves_nobody(seen, finding) for finding in findings):
        return "down"
    if any(finding.severity != INFO for finding in findings):
        return "degraded"
    return "unknown" if unknown else "healthy"


def _serves_nobody(seen: dict[str, Any], finding: Finding) -> bool:
    """With this finding an api (or what stands before it) serves nobody: it does not answer, or is cut off from its database."""
    if finding.id in NOT_SERVED:
        return True
    about = seen["components"].get(finding.about or "", {}).get("role") or finding.evidence.get("kind")
    return finding.id in CUT_OFF and about in ("postgres", "pgbouncer")


def _headline(verdict: str, roots: list[dict[str, Any]], unknown: list[dict[str, Any]], lang: str) -> str:
    if roots:
        kind = "several" if len(roots) > 1 else "ill"
        return fill(HEADLINES[kind], {"title": "%s: %s" % (roots[0]["component"], roots[0]["title"]), "more": len(roots) - 1}, lang)
    return fill(HEADLINES["unknown" if verdict == "unknown" else "healthy"], {"count": len(unknown)}, lang)


def _ruled_out(answers: list[Answer], findings: list[Finding], lang: str) -> list[dict[str, Any]]:
    """What could have caused what was found, was looked at, and is well; on a healthy stack everything that was looked at."""
    ill = [finding for finding in findings if finding.severity != INFO]
    found = {(finding.id, finding.component) for finding in findings}
    told: dict[tuple[str, str, str | None], dict[str, Any]] = {}
    for answer in answers:
        if not isinstance(answer, Clear) or (answer.id, answer.component) in found:
            continue
        candidate = not ill or any(fnmatch.fnmatchcase(effect.id, rule["finding"]) for rule in _rules(answer) for effect in ill)
        if candidate:
            told.setdefault(
                (answer.id, answer.component, answer.about),
                {
                    "id": answer.id,
                    "component": answer.component,
                    "about": answer.about,
                    "title": say(answer.id, "clear", _texts(answer), lang) or answer.id,
                    "evidence": answer.evidence,
                },
            )
    return sorted(told.values(), key=lambda item: (item["component"], item["id"]))


def _unknown(answers: list[Answer], findings: list[Finding], lang: str) -> list[dict[str, Any]]:
    """What could not be checked, once for each reason; not what another judge did find."""
    found = {(finding.id, finding.component) for finding in findings}
    hidden = [
        (rule["finding"], finding.component) for finding in findings for rule in _rules(finding) if rule["along"] == "same" and not {"where", "by"} & set(rule)
    ]
    told: dict[tuple[str, str], dict[str, Any]] = {}
    for answer in answers:
        # What an illness of the same component hides is told by that illness.
        if isinstance(answer, Unseen) and any(answer.component == where and fnmatch.fnmatchcase(answer.id, what) for what, where in hidden):
            continue
        if isinstance(answer, Unseen) and (answer.id, answer.component) not in found:
            item = told.setdefault(
                (answer.component, answer.reason),
                {"id": answer.id, "component": answer.component, "title": answer.id, "reason": answer.reason, "fix": answer.fix, "also": []},
            )
            if answer.id != item["id"] and answer.id not in item["also"]:
                item["also"].append(answer.id)
    return sorted(told.values(), key=lambda item: (item["component"], item["id"]))


def _topology(seen: dict[str, Any]) -> dict[str, Any]:
    return {
        "components": [
            {
                "id": name,
                "component": name,
                "role": component["role"],
                "role_source": component["role_source"],
                "state": _state(component),
                "instances": [
                    {
                        key: one.get(key)
                        for key in (
                            "id",
                            "name",
                            "state",
                            "exit_code",
                            "restarts",
                            "started_at",
                            "health",
                            "image",
                            "image_id",
                            "published",
                            "networks",
                            "memory",
                        )
                    }
                    for one in component["instances"]
                ],
                "settings": [
                    {key: target[key] for key in ("setting", "source", "kind", "host", "port", "database", "user", "malformed")}
                    for target in component["targets"]
                ],
            }
            for name, component in sorted(seen.get("components", {}).items())
        ],
        "edges": seen.get("edges", []),
    }


def _state(component: dict[str, Any]) -> str:
    states = sorted({one["state"] for one in component["instances"] if not one["one_off"]})
    return states[0] if len(states) == 1 else ", ".join(states) or "one-off"
