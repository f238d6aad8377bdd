# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on the copies of each component: do they run, and if not, why did they end?"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube
from ansible_collections.aiops.runbook.plugins.module_utils.judge import view
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, FINITE, INFO, MEDIUM, WARNING, Clear, Finding, Unseen, why_unseen

DOMAIN = "containers"
# The engine's own words when a command cannot be run at all.
NO_COMMAND = re.compile(r"executable file not found|no such file or directory|permission denied|exec format error|is a directory", re.IGNORECASE)
# A health check that fails because its program is not in the image says nothing about the service.
BROKEN_CHECK = re.compile(r"executable file not found|not found|no such file or directory", re.IGNORECASE)
TERMINATED = (0, 143, 130)
# What does its work once and ends seldom takes longer.
ONCE_SECONDS = 3600.0
KILLED = 137


def gave_up(finding: str, evidence: dict[str, Any], role: str) -> bool:
    """Whether a finding says that a program ended by itself and stays ended, so that only a start brings it back."""
    ended_so = finding in ("container.not_running", "container.crashed") and evidence.get("state") in ("exited", "created")
    return ended_so and not evidence.get("stopped_by") and role not in FINITE


@judges(
    "container.not_running",
    "container.copy_down",
    "container.crashed",
    "container.bad_command",
    "container.oom_killed",
    "container.killed",
    "container.paused",
    domain=DOMAIN,
)
def ended(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A component whose copies do not run or keep ending, all or some; the exit code, the engine's events and its last words tell why."""
    for component in view.components(seen):
        name = component["component"]
        copies = view.instances(component)
        if not copies:
            continue
        looping = [one for one in copies if view.is_looping(seen, name, one)]
        alive = [one for one in view.running(component) if one not in looping]
        broken = looping or [one for one in copies if one["state"] != "running"]
        for one in alive:
            words = view.failing_start(seen, name, one)
            if words:
                evidence = {"instance": one["name"], "state": "starting", "exit_code": "-", "restarts": one["restarts"], "command": one["command"]}
                yield Finding("container.crashed", name, CRITICAL, {**evidence, **_last_words(words)}, MEDIUM)
        if alive and not looping:
            yield from _children_killed(seen, name, alive)
            yield Clear("container.not_running", name, {"running": len(alive), "of": len(copies), "seconds": round(min(view.age(seen, one) for one in alive))})
        if not broken:
            continue
        coming = [one for one in broken if alive and _is_coming(seen, name, one, alive, limits)]
        if len(coming) == len(broken):
            one = coming[0]
            reason = "%s was made %d s ago and is not started yet" % (one["name"], seen["now"] - one["created_at"])
            yield Unseen("container.copy_down", name, reason, "run it again in a moment")
            continue
        broken = [one for one in broken if one not in coming]
        answer = _why_ended(seen, name, component, broken[0], limits)
        if alive and isinstance(answer, Finding) and _is_newer(broken[0], alive) and answer.id != "container.not_running":
            # No copy among others but the next revision, which cannot take their place.
            evidence = {**answer.evidence, "revision": broken[0]["revision"], "running": len(alive), "of": len(copies)}
            yield replace(answer, severity=WARNING, evidence=evidence)
        elif alive and isinstance(answer, Finding):
            # The others go on serving: less capacity, and no outage; by choice where it was told to end and did.
            told = answer.id == "container.not_running" and broken[0]["exit_code"] in TERMINATED and broken[0]["state"] != "created"
            why = "stopped" if answer.id == "container.not_running" else answer.id.split(".")[1].replace("_", " ")
            evidence = {**answer.evidence, "why": why, "running": len(alive), "of": len(copies), "down": len(broken)}
            yield Finding("container.copy_down", name, INFO if told else WARNING, evidence, answer.confidence)
        elif answer:
            yield answer


def _is_coming(seen: dict[str, Any], name: str, one: dict[str, Any], alive: list[dict[str, Any]], limits: Limits) -> bool:
    """Whether one that was never started may still be, beside others that serve: while a rollout goes on, or while the platform prepares it."""
    if one["state"] != "created" or one["started_at"] or one["exit_code"] or NO_COMMAND.search(one["error"]):
        return False
    rolls_out = _is_newer(one, alive) and seen["now"] - one["created_at"] < (limits.get("rollout_seconds", component=name) or 0)
    return rolls_out or kube.is_coming(seen, name, one["name"], limits.get("init_seconds", component=name) or 0)


def _is_newer(one: dict[str, Any], alive: list[dict[str, Any]]) -> bool:
    """Whether an instance is of another revision than all that run, where the platform counts revisions."""
    return bool(one.get("revision")) and one["revision"] not in {other.get("revision") for other in alive}


def _why_ended(seen: dict[str, Any], name: str, component: dict[str, Any], one: dict[str, Any], limits: Limits) -> Answer | None:
    code, state = one["exit_code"], one["state"]
    # While a looping container runs, its exit code is 0: its last death tells.
    last_deaths = [event for event in view.deaths(seen, name, 600) if event["instance"] == one["id"]]
    if state == "running" and last_deaths:
        code = int(last_deaths[-1]["detail"].get("exitCode", code))
    evidence: dict[str, Any] = {"instance": one["name"], "state": state, "exit_code": code, "restarts": one["restarts"], "command": one["command"]}
    if one["finished_at"] > one["started_at"] and state != "running":
        evidence["seconds"] = round(max(0.0, seen["now"] - one["finished_at"]))
    words = one.get("last_words")
    if isinstance(words, dict) and "unseen" not in words:
        evidence.update(_last_words(words))
    if state == "paused":
        return Finding("container.paused", name, CRITICAL, evidence)
    if component["role"] in FINITE and state == "exited" and code == 0:
        return None
    if one["oom_killed"] or _oom_event(seen, one, one["started_at"] - 120):
        return Finding("container.oom_killed", name, CRITICAL, {**evidence, "memory_limit": one["memory_limit"]})
    if code in (126, 127) or (state in ("created", "exited") and NO_COMMAND.search(one["error"])):
        return Finding("container.bad_command", name, CRITICAL, {**evidence, "error": one["error"]})
    stop = view.was_stopped(seen, name, one["started_at"])
    if state == "created" and not one["started_at"]:
        age = seen["now"] - one["created_at"]
        if age < (limits.get("startup_grace_seconds", component=name) or 0):
            return Unseen("container.not_running", name, "%s was made %d s ago and is not started yet" % (one["name"], age))
        return Finding("container.not_running", name, CRITICAL, {**evidence, "stopped_by": "", "error": one["error"]})
    if state == "exited" and (code in TERMINATED or (stop and code == KILLED)):
        return None if not stop and _did_its_work(seen, component, one) else _stopped(seen, name, component, evidence, stop)
    if code == KILLED:
        return Finding("container.killed", name, CRITICAL, evidence)
    severity = WARNING if state == "exited" and _runs_once(seen, component, one) else CRITICAL
    return Finding("container.crashed", name, severity, {"last_words": "", **evidence})


def _last_words(words: dict[str, Any]) -> dict[str, Any]:
    return {"failure_kind": words.get("kind", ""), "failure_about": words.get("about") or "", "last_words": words.get("sample", "")}


def _stopped(seen: dict[str, Any], name: str, component: dict[str, Any], evidence: dict[str, Any], stop: dict[str, Any] | None) -> Answer | None:
    """It ended in good order: an illness only where it is missed."""
    if not view.is_needed(seen, name):
        return None
    severity = CRITICAL if component["role"] in view.ESSENTIAL else WARNING
    # What one that was told to stop says last is no failure.
    kept = {key: value for key, value in evidence.items() if key not in ("failure_kind", "failure_about", "last_words")}
    return Finding("container.not_running", name, severity, {**kept, "stopped_by": stop["action"] if stop else ""})


def _did_its_work(seen: dict[str, Any], component: dict[str, Any], one: dict[str, Any]) -> bool:
    """Whether what ended well was meant to."""
    return one["exit_code"] == 0 and _runs_once(seen, component, one)


def _runs_once(seen: dict[str, Any], component: dict[str, Any], one: dict[str, Any]) -> bool:
    """Whether nothing starts it again, only its name or its image gives it its role, and another with that role runs.

    What has a server's image may be that server: not where nobody is told to go to it, and its life was short.
    """
    alone = not any(other is not component and other["role"] == component["role"] and view.running(other) for other in view.components(seen))
    short = one["finished_at"] - one["started_at"] < ONCE_SECONDS
    guessed = component["role_source"] == "name" or (component["role_source"] == "image" and short and not view.is_used(seen, component["component"]))
    return one["restart_policy"] in ("", "no", "never") and guessed and not alone


def _oom_event(seen: dict[str, Any], one: dict[str, Any], since: float) -> bool:
    """Of this very instance: one that was made anew since is another."""
    events = seen.get("events")
    return not why_unseen(events) and any(event["instance"] == one["id"] and event["action"] == "oom" and event["time"] >= since for event in events or [])


def _children_killed(seen: dict[str, Any], name: str, alive: list[dict[str, Any]]) -> Iterator[Answer]:
    """The kernel kills a child and the container lives on: only the engine's events show it (the last two minutes count)."""
    hit = next((one for one in alive if _oom_event(seen, one, seen["now"] - 120)), None)
    if hit:
        evidence = {"instance": hit["name"], "state": "running", "exit_code": KILLED, "restarts": hit["restarts"], "memory_limit": hit["memory_limit"]}
        yield Finding("container.oom_killed", name, CRITICAL, evidence)
    else:
        yield Clear("container.oom_killed", name, {"minutes": 2})


@judges("container.unhealthy", "container.healthcheck_broken", domain=DOMAIN)
def health(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """The platform's own health check fails: because the service is ill, or because the check cannot run in this image."""
    for component in view.components(seen):
        for one in view.running(component):
            check = one["health"]
            if not check:
                continue
            evidence = {"instance": one["name"], "failing": check["failing"], "output": check["output"][:200], "test": " ".join(one["health_test"])[:200]}
            if check["status"] == "unhealthy":
                broken = BROKEN_CHECK.search(check["output"]) and re.search(r"exec|sh:|/bin/|OCI", check["output"])
                if not broken and kube.is_coming_up(seen, component["component"], one, limits):
                    yield kube.not_up_yet(seen, "container.unhealthy", component["component"], one)
                    continue
                yield Finding("container.healthcheck_broken" if broken else "container.unhealthy", component["component"], WARNING, evidence)
            elif check["status"] == "healthy":
                yield Clear("container.unhealthy", component["component"], {"instance": one["name"]})


@judges("container.memory_near_limit", domain=DOMAIN)
def memory(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Memory in use, without reclaimable cache, against the container's limit (container_memory_percent: 90 / 97)."""
    for component in view.components(seen):
        name = component["component"]
        for one in view.running(component):
            why = why_unseen(one["memory"])
            if why:
                if why["kind"] != "not_running":
                    yield Unseen("container.memory_near_limit", name, why["reason"], why["fix"])
                continue
            used, limit = one["memory"]["used"], one["memory"]["limit"]
            if not limit:
                continue
            percent = round(100.0 * used / limit, 1)
            evidence = {"instance": one["name"], "percent": percent, "used": used, "limit": limit}
            severity = limits.grade("container_memory_percent", percent, component=name)
            yield Finding("container.memory_near_limit", name, severity, evidence) if severity else Clear("container.memory_near_limit", name, evidence)
