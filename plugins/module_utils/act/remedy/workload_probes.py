# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The probes of a component's container: what they ask, how patient they are, and the time that a start may take."""

from __future__ import annotations

import math
from typing import Any, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.object import TemplateRemedy, Wish, copied
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.act.versions import last_healthy
from ansible_collections.aiops.runbook.plugins.module_utils.act.workload import Target
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import port_number

KEYS = {"liveness": "livenessProbe", "readiness": "readinessProbe", "startup": "startupProbe"}
# Option: (what the API calls it, its default there, the least that it takes).
TIMES = {
    "initial_delay_seconds": ("initialDelaySeconds", 0, 0),
    "period_seconds": ("periodSeconds", 10, 1),
    "timeout_seconds": ("timeoutSeconds", 1, 1),
    "failures": ("failureThreshold", 3, 1),
}
ASKS = ("port", "path", "scheme")
HANDLERS = ("httpGet", "tcpSocket", "grpc", "exec")
LONGEST_START = 3600.0


class ComponentProbes(TemplateRemedy):
    """Gives a component's container time to start, or corrects what its probes ask.

    params: start_seconds: for so long nothing kills it while it starts; probes: {liveness, readiness or startup: {port, path, scheme,
    initial_delay_seconds, period_seconds, timeout_seconds, failures}}; as_before: those of the last version that was healthy; container.
    """

    name = "component_probes"

    def wish(self, stage: Stage, step: Step, target: Target) -> Wish:
        start, asked = checked(step.params)
        made = copied(target.object)
        container = target.container(str(step.params.get("container") or ""), made["spec"]["template"])
        if step.params.get("as_before"):
            restore(container, target.container(container["name"], last_healthy(stage, step, target).template))
        for kind, changes in asked.items():
            correct(container, kind, changes)
        if start:
            give_time(container, start)
        return Wish(made, stage.restart_risk(step.component), touches=[step.component], texts={"container": container["name"]})


# Pure, on a container of a pod template, which is changed.


def checked(params: Mapping[str, Any]) -> tuple[float, dict[str, dict[str, Any]]]:
    """(how long a start may take or 0, {kind: what of its probe is to be changed}); Refused where they make no sense."""
    start = _number(params["start_seconds"], "start_seconds", 1) if params.get("start_seconds") not in (None, "") else 0
    if start > LONGEST_START:
        raise Refused("a start of %g s is no start" % start, fix="give at most %g" % LONGEST_START, kind="bad_option")
    asked: dict[str, dict[str, Any]] = {}
    for kind, changes in (params.get("probes") or {}).items():
        if kind not in KEYS:
            raise Refused("there is no probe called %s" % kind, fix="name one of %s" % ", ".join(KEYS), kind="bad_option")
        found = {key: value for key, value in (changes or {}).items() if value is not None}
        unknown = set(found) - {*TIMES, *ASKS}
        if unknown:
            raise Refused("a probe has no %s" % ", ".join(sorted(unknown)), kind="bad_option")
        found.update({key: int(_number(found[key], key, TIMES[key][2])) for key in TIMES if key in found})
        if found:
            asked[kind] = found
    if not start and not asked and not params.get("as_before"):
        raise Refused("nothing says what is to be changed", fix="give start_seconds, probes or as_before", kind="bad_option")
    return start, asked


def _number(value: Any, what: str, least: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise Refused("%s is not a number from %g on" % (what, least), kind="bad_option")
    return number


def restore(container: dict[str, Any], earlier: Mapping[str, Any]) -> None:
    """Give a container the probes that it had."""
    for key in KEYS.values():
        container.pop(key, None)
        if earlier.get(key):
            container[key] = earlier[key]


def correct(container: dict[str, Any], kind: str, changes: Mapping[str, Any]) -> None:
    """Change what one probe asks, and how."""
    probe = container.get(KEYS[kind])
    if not probe:
        raise Refused("container %s has no %s probe" % (container["name"], kind), fix="write one into its manifest: what it should ask is for you to say")
    handler = next((key for key in HANDLERS if key in probe), "exec")
    for key in ASKS:
        if key not in changes:
            continue
        if handler == "exec" or (handler != "httpGet" and key != "port"):
            raise Refused("the %s probe of container %s asks by %s: it has no %s" % (kind, container["name"], handler, key), fix="change it by kubectl")
        value = changes[key]
        if key == "port":
            value = int(value) if str(value).isdigit() else str(value)
            if not port_number(container, value):
                raise Refused("container %s has no port called %s" % (container["name"], value), fix="give the number of the port")
            if handler == "grpc":
                value = port_number(container, value)
        probe[handler][key] = str(value).upper() if key == "scheme" else value
    for key, (name, usual, _least) in TIMES.items():
        if key in changes and int(probe.get(name) or usual) != changes[key]:
            probe[name] = changes[key]


def give_time(container: dict[str, Any], seconds: float) -> None:
    """Let nothing kill a container for so long while it starts: by its startup probe, or by one that asks what its liveness probe asks."""
    startup, liveness = container.get(KEYS["startup"]), container.get(KEYS["liveness"])
    if startup is None:
        if not liveness:
            raise Refused("container %s has no probe that could kill it while it starts" % container["name"], fix="see why it ends: its log")
        if int(liveness.get("initialDelaySeconds") or 0) >= seconds:
            return
        kept = {key: liveness[key] for key in (*HANDLERS, "timeoutSeconds", "periodSeconds") if key in liveness}
        startup = container[KEYS["startup"]] = kept
    left = seconds - int(startup.get("initialDelaySeconds") or 0)
    failures = math.ceil(left / int(startup.get("periodSeconds") or 10))
    if failures > int(startup.get("failureThreshold") or 3):
        startup["failureThreshold"] = failures
