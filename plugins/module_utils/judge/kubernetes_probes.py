# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on probes: does one ask the wrong thing, does it kill what has not come up yet, or what hangs?

That a probe fails is judged by judge/containers.py, on both platforms; these say that the probe itself is the cause.
"""

from __future__ import annotations

import math
import re
from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube
from ansible_collections.aiops.runbook.plugins.module_utils.judge import view
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, HIGH, MEDIUM, WARNING, Clear, Finding, why_unseen

KINDS = ("liveness", "startup", "readiness")
# An answer with which a server says that nobody offers what the probe asks for, or that it wants to know who asks.
WRONG_STATUS = re.compile(r"statuscode: (40[13456]|301|302|307|308)\b")
WRONG_SCHEME = re.compile(r"HTTP response to HTTPS client|malformed HTTP response|first record does not look like a TLS handshake|tls: ", re.IGNORECASE)
SPEAKS_HTTP = re.compile(r"HTTP response to HTTPS client", re.IGNORECASE)
REFUSED = re.compile(r"connection refused|dial tcp.* refused|timeout: failed to connect service", re.IGNORECASE)
# Nobody answers yet; an answer of any kind comes from a program that is up.
SILENT = re.compile(r"connection refused|refused|timeout|deadline exceeded|EOF|connection reset", re.IGNORECASE)
UNNAMED = re.compile(r"couldn't find port|invalid port|strconv", re.IGNORECASE)
# How long a container is given to end once it has been told to, and how late a kubelet may be.
SLACK_SECONDS = 15.0
# By how much a kubelet's first round of probes may be late.
PUNCTUAL_SECONDS = 3.0
KILLED = 137
LONG_START = 300.0


@judges("container.probe_wrong", "container.probe_too_eager", "container.liveness_kills", domain=kube.DOMAIN)
def probes(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A probe that fails although the program does its work, one that kills it before it can be up, one that kills it again and again."""
    for work in kube.workloads(seen):
        name = work["component"]
        if work["finite"] or not any(one["probes"] for one in work["containers"]):
            continue
        found = next((one for group in kube.staying(work) for one in _judge_group(seen, work, group)), None)
        if found:
            yield found
        else:
            kinds = sorted({kind for one in work["containers"] for kind in one["probes"]})
            yield Clear("container.probe_wrong", name, {"probes": kinds, "ready": work["ready"], "wanted": work["wanted"]})


def _judge_group(seen: dict[str, Any], work: dict[str, Any], group: dict[str, Any]) -> Iterator[Finding]:
    wishes = {one["name"]: one for one in work["containers"]}
    for one in kube.own(group):
        asked = (wishes.get(one["name"]) or {"probes": {}})["probes"]
        killer = next((kind for kind in ("liveness", "startup") if kind in asked and kills(seen, group, one, kind)), "")
        failing = killer or ("readiness" if "readiness" in asked and unready(seen, group, one, asked["readiness"]) else "")
        if not failing:
            continue
        probe = asked[failing]
        event = group["events"].get("Unhealthy/" + failing) or {"message": "", "count": 0}
        evidence = {
            **kube.base(work, group),
            "container": one["name"],
            "probe": failing,
            "asks": asks(probe),
            "output": event["message"],
            "restarts": one["restarts"],
        }
        wrong = why_wrong(seen, work, probe, event["message"], wishes[one["name"]])
        if wrong:
            listens = kube.opened(seen, work["component"], one["name"])
            severity = kube.gravity(seen, work["component"]) if killer else CRITICAL if not _some_ready(work) else WARNING
            evidence = {
                **evidence,
                "why": wrong[0],
                "listening": listens,
                "right": right_one(work, group, one["name"], failing, wrong[0], event["message"], listens),
            }
            yield Finding("container.probe_wrong", work["component"], severity, evidence, wrong[1])
        elif killer:
            yield _killed(seen, work, group, one, asked, {**evidence, "killer": killer})


def kills(seen: dict[str, Any], group: dict[str, Any], one: dict[str, Any], kind: str) -> bool:
    """Whether the kubelet has lately killed this container because that probe failed, and the container has not been well since."""
    event = kube.told(seen, group, "Killing/" + kind)
    if not event or not one["restarts"]:
        return False
    ended = (one["last"] or {}).get("finished_at") or 0.0
    lived = (one["last"] or {"lived": [0.0, 0.0]})["lived"][1]
    # Up again for twice as long as it lived before counts as recovered.
    return not (one["state"] == "running" and one["ready"] and kube.age(seen, max(one["started_at"], ended)) > max(60.0, 2 * lived))


def unready(seen: dict[str, Any], group: dict[str, Any], one: dict[str, Any], probe: dict[str, Any]) -> bool:
    """Whether a container has run for so long that its readiness probe should have passed, and has not."""
    patience = probe["initial"] + probe["period"] * probe["failures"] + probe["timeout"]
    running = one["state"] == "running" and not one["ready"] and one["started"] is not False
    return bool(running and group["started"] and kube.age(seen, group["started"][0]) > patience)


def why_wrong(seen: dict[str, Any], work: dict[str, Any], probe: dict[str, Any], message: str, wish: dict[str, Any]) -> tuple[str, str] | None:
    """(what is wrong with the probe, confidence); None where it may well be right. What is wrong: port, name, path, scheme."""
    if UNNAMED.search(message) or (probe["named"] and not probe["port"]):
        return "name", HIGH
    heard = kube.listening(seen, work["component"]) or []
    # A program that has opened nothing yet proves nothing, whatever listens beside it.
    listens = kube.opened(seen, work["component"], wish["name"])
    if probe["port"] and listens and probe["port"] not in heard:
        return "port", HIGH
    declared = [port["port"] for port in wish["ports"]]
    if not listens and probe["port"] and declared and probe["port"] not in [*declared, *heard] and REFUSED.search(message):
        return "port", MEDIUM
    if WRONG_STATUS.search(message):
        return ("path", HIGH) if _answers_elsewhere(seen, work["component"]) else ("path", MEDIUM)
    if WRONG_SCHEME.search(message):
        return "scheme", HIGH
    return None


def right_one(work: dict[str, Any], group: dict[str, Any], container: str, kind: str, why: str, message: str, listens: list[int]) -> dict[str, Any] | None:
    """What a probe should ask instead ({"port"}, {"path"} or {"scheme"}), where that is known; None where it is not.

    It is what the same probe asked in the version before, what its twin asks that passes (liveness and startup ask the same question), or the only
    port on which the program listens.
    """
    wish = next(one for one in work["containers"] if one["name"] == container)
    probe = wish["probes"][kind]
    if why == "scheme":
        return {"scheme": "HTTP" if SPEAKS_HTTP.search(message) else "HTTPS"}
    _now, earlier = kube.versions(work)
    before = ((earlier.get("containers") or {}).get(container) or {"probes": {}})["probes"].get(kind)
    others = {name: one for name, one in wish["probes"].items() if name != kind and "Unhealthy/" + name not in group["events"]}
    if why == "path":
        twins = [one for name, one in others.items() if "readiness" not in (kind, name)]
        known = [one["path"] for one in [before, *twins] if one and one["kind"] == "http" and one["path"] != probe["path"]]
        return {"path": known[0]} if known else None
    for one in [before, *others.values()]:
        if one and one["port"] and one["port"] != probe["port"] and (one["port"] in listens if listens else one is before):
            return {"port": one["named"] or one["port"]}
    declared = [port["port"] for port in wish["ports"] if port["port"] in listens]
    only = declared if len(declared) == 1 else listens
    return {"port": only[0]} if len(only) == 1 else None


def _answers_elsewhere(seen: dict[str, Any], component: str) -> bool:
    """Whether the program itself answered a request of ours."""
    fact = seen.get("http", {}).get(component) or {}
    return not why_unseen(fact.get("answers")) or view.role(seen, component) not in ("api", "proxy")


def asks(probe: dict[str, Any]) -> str:
    """What a probe asks, in a word."""
    if probe["kind"] == "http":
        return "%s://:%s%s" % (probe["scheme"] or "http", probe["named"] or probe["port"], probe["path"])
    return "exec" if probe["kind"] == "exec" else "%s :%s" % (probe["kind"], probe["named"] or probe["port"])


def _killed(seen: dict[str, Any], work: dict[str, Any], group: dict[str, Any], one: dict[str, Any], asked: dict[str, Any], evidence: dict[str, Any]) -> Finding:
    """A container that the kubelet kills: before it was ever up (too eager), or although it was (it hangs)."""
    probe = asked[evidence["killer"]]
    patience = probe["initial"] + probe["period"] * probe["failures"]
    lived = one["last"]["lived"][1] if one["last"] else 0.0
    needs = [other["ready_after"][1] for other in work["pods"] if other["ready_after"]]
    # Who is killed at the end of the time that it was given has been told to end that much earlier; if every probe since its start had failed
    # by then, it was never up, though it may have come up meanwhile.
    given = float(work["grace_seconds"] or 30)
    told = lived - given if one["last"] and one["last"]["exit_code"] == KILLED and lived >= given else lived
    hasty = bool(lived) and told <= patience + probe["timeout"] + PUNCTUAL_SECONDS
    # Without a readiness probe the kubelet calls everything ready that runs.
    never = hasty or "readiness" not in asked or not group["ready"] and group["ready_since"] <= group["created"][1] + SLACK_SECONDS
    mute = SILENT.search(evidence["output"]) or probe["kind"] == "exec"
    words = _last_words(seen, work["component"], group["names"][0])
    evidence.update({"seconds": round(lived, 1), "patience": round(patience, 1), "needs": round(max(needs), 1) if needs else None, **words})
    early = bool(lived) and lived <= patience + probe["timeout"] + probe["period"] + min(given, 30.0) + SLACK_SECONDS
    evidence.update(time_for_start(work, one["name"], asked, evidence["needs"]))
    startup = evidence["killer"] == "startup" or "startup" not in asked
    severity = kube.gravity(seen, work["component"]) if not group["ready"] else WARNING
    if never and mute and early and startup and not words["failure_about"] and words["failure_kind"] not in view.FATAL_AT_START:
        confidence = HIGH if needs and max(needs) > patience else MEDIUM
        return Finding("container.probe_too_eager", work["component"], severity, evidence, confidence)
    return Finding("container.liveness_kills", work["component"], severity, evidence)


def time_for_start(work: dict[str, Any], container: str, asked: dict[str, Any], needs: float | None) -> dict[str, Any]:
    """{"patient_before": whether the version before gave it more time, "start_seconds": how much it should have, None where nothing tells}.

    Twice what a start was seen to take; where none was seen and there is no version to go back to, five minutes: only a start that hangs is found later.
    """
    _now, earlier = kube.versions(work)
    before = ((earlier.get("containers") or {}).get(container) or {}).get("probes")
    allowed = allowance(asked)
    patient = bool(before is not None and (not before.get("liveness") and not before.get("startup") or allowance(before) > allowed))
    if needs:
        return {"patient_before": patient, "start_seconds": math.ceil(max(2 * needs, 1.5 * allowed))}
    return {"patient_before": patient, "start_seconds": None if earlier else math.ceil(max(LONG_START, 2 * allowed))}


def allowance(asked: dict[str, Any]) -> float:
    """For how long nothing kills a container that does not answer yet."""
    probe = asked.get("startup") or asked.get("liveness")
    return probe["initial"] + probe["period"] * probe["failures"] if probe else 0.0


def _last_words(seen: dict[str, Any], component: str, pod: str) -> dict[str, Any]:
    """What the container said before it was killed, where that names a cause."""
    copies = seen["components"].get(component, {"instances": []})["instances"]
    said = [one["last_words"] for one in copies if one["name"] == pod and isinstance(one.get("last_words"), dict) and "unseen" not in one["last_words"]]
    words: dict[str, Any] = said[0] if said else {}
    return {"failure_kind": words.get("kind") or "", "failure_about": words.get("about") or "", "last_words": words.get("sample") or ""}


def _some_ready(work: dict[str, Any]) -> bool:
    return any(group["ready"] for group in kube.staying(work))
