# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Limits of a component's containers and its health check, written in a file of our own beside the project's, and it made anew."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act import room
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.project import RESET, changed_override, escaped
from ansible_collections.aiops.runbook.plugins.module_utils.act.project_settings import Change, changeable, preview_anew, tried
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.component import last_lines, wait_healthy
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.env import ChangedSettings
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance

GROW = "grow"
SMALLEST = 256 * room.MIB
STEP = 32 * room.MIB
# From here on a container is short of memory.
SHORT_PERCENT = 80
# For so long an engine remembers that the kernel killed something, at best.
KILLED_SECONDS = 3600.0
TIMES = ("interval_seconds", "timeout_seconds", "start_period_seconds")


class ComponentResources(ChangedSettings):
    """Gives a component other limits or another health check.

    params: memory (bytes, or "grow"), cpus, healthcheck {test, interval_seconds, timeout_seconds, retries, start_period_seconds}.
    """

    name = "component_resources"

    def preview(self, stage: Stage, step: Step) -> Preview:
        name = step.component
        copies = changeable(stage, name)
        if all(one.state == "exited" and one.exit_code == 0 for one in copies):
            raise Refused("%s has ended in good order: making it anew would run it again" % name, fix="start it first, if it is to run: component_start")
        wanted = self._wanted(stage, step, copies)
        if not any(differing(one, wanted) for one in copies):
            return Preview(risk=stage.restart_risk(name), target={"containers": sorted(one.id for one in copies)}, state=wanted, changed=False)
        change, definition = self._change(stage, name, wanted)
        told = _told(copies[0], wanted)
        return replace(
            preview_anew(stage, name, change, wanted, [{"what": "%s of %s" % (what, name), "before": before, "after": after} for what, before, after in told]),
            texts={"limits": ["%s: %s" % (what, after) for what, _before, after in told]},
            lasting=[
                "%s keeps this: a deploy that does not name this file drops it. In your own file: services: %s"
                % (change.sources.override, stage.mask.text(json.dumps({name: definition})))
            ],
        )

    def _wanted(self, stage: Stage, step: Step, copies: list[Instance]) -> dict[str, Any]:
        """What the containers are to have, from the parameters: only what is to be set."""
        wanted = checked(step.params)
        if wanted.get("cpus", 0) > (stage.platform.processors() or wanted.get("cpus", 0)):
            raise Refused("the host has %d processors" % stage.platform.processors(), fix="ask for fewer cpus")
        if any(key in wanted for key in (*TIMES, "retries")) and "test" not in wanted and not copies[0].health_timing:
            raise Refused("%s has no health check that could be timed otherwise" % step.component, fix="give its test, too")
        memory = wanted.get("memory")
        if memory is None:
            return wanted
        used = max((stage.platform.memory(one)["used"] for one in copies if one.running), default=0)
        host = host_memory(stage)
        if memory == GROW:
            limits = [one.memory_limit for one in copies]
            if 0 in limits:
                raise Refused(
                    "%s has no limit of memory: its host ran out of it" % step.component, fix="see what else uses the host's memory, or give it a limit"
                )
            if not step.finding and not self._short(stage, copies, used):
                wanted["memory"] = limits[0]
            else:
                wanted["memory"] = grown(max(limits), len(copies), host.get("MemAvailable"))
        elif memory > host.get("MemTotal", memory):
            raise Refused("the host has %s of memory in all" % room.shown(host["MemTotal"]), fix="ask for less")
        elif memory < used:
            raise Refused(
                "%s uses %s now: it would be killed at once with %s" % (step.component, room.shown(used), room.shown(memory)), fix="ask for more than it uses"
            )
        wanted["swap"] = swap(copies[0], wanted["memory"])
        return wanted

    def _short(self, stage: Stage, copies: list[Instance], used: int) -> bool:
        """Whether these very containers were killed for want of memory, or are near their limit."""
        if any(one.oom_killed for one in copies) or used * 100 >= SHORT_PERCENT * min(one.memory_limit for one in copies):
            return True
        mine = {one.id[:12] for one in copies}
        return any(event["action"] == "oom" and event["instance"] in mine for event in stage.platform.events(time.time() - KILLED_SECONDS))

    def _change(self, stage: Stage, name: str, wanted: Mapping[str, Any]) -> tuple[Change, dict[str, Any]]:
        """What is to be written, and the definition that it says."""
        project = stage.project
        sources = project.sources(name)
        document = project.config(sources)
        project.refuse_drift(name, sources, document=document)
        change = Change(sources)
        path = sources.override
        definition = definition_of(wanted, document["services"][name])
        text = change.text(path)
        change.contents[path] = changed_override(text, name, definition={key: merged(ours(text, name).get(key), value) for key, value in definition.items()})
        change.extra = [] if path in sources.files else [path]
        made = tried(stage, change)
        change.made = project.definition(name, sources, made)
        if change.made == project.definition(name, sources, document):
            raise Refused("something that is read after %s overrules it" % path, fix="change %s in the project's files" % name)
        return change, definition

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        about = [
            {
                "name": one.name,
                "state": one.state,
                "exit_code": one.exit_code,
                "oom_killed": one.oom_killed,
                "restarts": one.restarts,
                "memory_limit": one.memory_limit,
                "health": {**one.health, "output": stage.mask.text(one.health["output"])} if one.health else None,
            }
            for one in stage.instances(step.component)
        ]
        return {"logs": {step.component: last_lines(stage, step.component)}, "containers": about}

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        copies = stage.platform.copies(step.component)
        for one in copies:
            missing = differing(one, preview.state["wanted"])
            if missing:
                return "%s has not got what was set: %s" % (one.name, ", ".join(missing))
        return wait_healthy(stage, step.component) if copies else "%s has no container" % step.component


def host_memory(stage: Stage) -> dict[str, int]:
    """What the engine's host has, by the first container that can tell; {} where none can."""
    return next(filter(None, (room.host_memory(stage.platform, one) for one in stage.scene.running())), {})


# Pure.


def checked(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as what the containers are to have: {"memory", "cpus", "test", "interval_seconds", …}; Refused where they make no sense."""
    wanted: dict[str, Any] = {}
    memory, cpus, check = params.get("memory"), params.get("cpus"), params.get("healthcheck") or {}
    if params.get("requests") or params.get("containers"):
        raise Refused("on Compose nothing is given for sure, and a component has one container", fix="give memory or cpus", kind="bad_option")
    if memory not in (None, ""):
        wanted["memory"] = GROW if memory == GROW else _number(memory, "memory", 6 * room.MIB)  # the least that an engine takes
    if cpus is not None:
        wanted["cpus"] = _number(cpus, "cpus", 0.01, whole=False)
    for key in TIMES:
        if check.get(key) is not None:
            wanted[key] = _number(check[key], key, 0 if key == "start_period_seconds" else 0.001, whole=False)
    if check.get("retries") is not None:
        wanted["retries"] = _number(check["retries"], "retries", 1)
    if check.get("test") is not None:
        test = check["test"]
        wanted["test"] = ["CMD-SHELL", test] if isinstance(test, str) else [str(word) for word in test]
        if len(wanted["test"]) < 2 or not all(wanted["test"]) or wanted["test"][0] not in ("CMD", "CMD-SHELL"):
            raise Refused("the test of a health check is a command of the shell, or a list that begins with CMD or CMD-SHELL", kind="bad_option")
    if not wanted:
        raise Refused("nothing says what is to be set", fix="give memory, cpus or healthcheck", kind="bad_option")
    return wanted


def _number(value: Any, what: str, least: float, whole: bool = True) -> Any:
    try:
        number = int(value) if whole else float(value)
    except (TypeError, ValueError):
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise Refused("%s is not a number from %s on" % (what, least), kind="bad_option")
    return number


def grown(limit: int, copies: int, available: int | None) -> int:
    """The next limit of memory: twice as much, rounded up; never more for all copies together than half of what the host has left."""
    new = -(-max(2 * limit, SMALLEST) // STEP) * STEP
    if available is None:
        raise Refused("how much memory the host has left cannot be seen: no container of the stack can tell", fix="give the limit in bytes")
    if new * copies > available // 2:
        raise Refused(
            "the limit would grow from %s to %s%s, and the host has only %s left: no more than half of that is given away"
            % (room.shown(limit), room.shown(new), " for each of %d" % copies if copies > 1 else "", room.shown(available)),
            fix="free memory on the host or give it more, or give a limit in bytes",
        )
    return new


def swap(one: Instance, memory: int) -> int:
    """Memory and swap together for a new limit: as much swap as before. The engine gives as much again where nothing is set."""
    if one.memory_swap < 0:
        return -1
    return memory + (one.memory_swap - one.memory_limit if one.memory_limit and one.memory_swap >= one.memory_limit else memory)


def differing(one: Instance, wanted: Mapping[str, Any]) -> list[str]:
    """What of it a container does not have. Not every kernel can limit swap: it only follows the memory."""
    present = {"memory": one.memory_limit, "cpus": one.cpus, "test": _test(one.health_test), **one.health_timing}
    return [key for key, value in wanted.items() if key != "swap" and present.get(key) != (_test(value) if key == "test" else value)]


def _test(words: Iterable[str]) -> list[str]:
    return [str(word) for word in words]


def definition_of(wanted: Mapping[str, Any], service: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be said of a service, in the form that its project's files use for it."""
    found: dict[str, Any] = {}
    limits = ((service.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    deployed: dict[str, Any] = {}
    if "memory" in wanted:
        if limits.get("memory"):
            deployed["memory"] = size(wanted["memory"])
        else:
            found["mem_limit"] = size(wanted["memory"])
        found["memswap_limit"] = size(wanted["swap"])
    if "cpus" in wanted:
        if limits.get("cpus"):
            deployed["cpus"] = "%g" % wanted["cpus"]
        else:
            found["cpus"] = wanted["cpus"]
    if deployed:
        found["deploy"] = {"resources": {"limits": deployed}}
    check: dict[str, Any] = {key[: -len("_seconds")]: "%gs" % wanted[key] for key in TIMES if key in wanted}
    if "retries" in wanted:
        check["retries"] = wanted["retries"]
    if "test" in wanted:
        check["test"] = [escaped(word) for word in wanted["test"]]
    if check:
        found["healthcheck"] = {**check, **({"disable": False} if (service.get("healthcheck") or {}).get("disable") else {})}
    return found


def size(number: int) -> Any:
    """Bytes as a Compose file says them."""
    return "%dm" % (number // room.MIB) if number > 0 and number % room.MIB == 0 else number


def ours(content: str | None, service: str) -> dict[str, Any]:
    """What our override file says of a service already."""
    try:
        document = json.loads((content or "{}").replace(RESET, json.dumps(RESET)))
    except ValueError:
        return {}  # changed_override() says so
    return (document.get("services") or {}).get(service) or {}


def merged(old: Any, new: Any) -> Any:
    """What was said, with what is said now: mappings key by key."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}


def _told(one: Instance, wanted: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(what, before, after) for a person."""
    lines = []
    if "memory" in wanted:
        lines.append(("memory limit", _size_told(one.memory_limit), _size_told(wanted["memory"])))
        lines.append(("limit of memory and swap", _size_told(one.memory_swap), _size_told(wanted["swap"])))
    if "cpus" in wanted:
        lines.append(("processors", "%g" % one.cpus if one.cpus else "no limit", "%g" % wanted["cpus"]))
    if "test" in wanted:
        lines.append(("health check", " ".join(one.health_test) or "none", " ".join(wanted["test"])))
    for key in (*TIMES, "retries"):
        if key in wanted:
            before = "%g" % one.health_timing[key] if key in one.health_timing else "none"
            lines.append(("health check's %s" % key.replace("_", " "), before, "%g" % wanted[key]))
    return [line for line in lines if line[1] != line[2]]


def _size_told(number: int) -> str:
    return room.shown(number) if number > 0 else "no limit"
