# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start, or start again, the copies of a component."""

from __future__ import annotations

from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import SAFE, Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.model import FINITE, StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.tail import hidden
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance

# Until a component that was started is healthy: what its health check takes to its first answer comes on top of it.
HEALTHY_SECONDS = 60.0
LOG_LINES = 200


class ComponentStart:
    """Start what does not run of a component."""

    name = "component_start"

    def preview(self, stage: Stage, step: Step) -> Preview:
        down = [one for one in stage.instances(step.component) if not one.running and one.state != "restarting"]
        return Preview(
            risk=SAFE,
            target={"containers": sorted(one.id for one in down)},
            state=sorted([one.id, one.state] for one in down),
            diff=[{"what": "container %s" % one.name, "before": _state(one), "after": "running"} for one in down],
            undo={"containers": [[one.id, one.state] for one in down]},
            texts={"instances": [one.name for one in down]},
            touches=[step.component] if down else [],
            changed=bool(down),
            ill_since=min((one.finished_at for one in down if one.finished_at), default=0.0),
        )

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        return {"logs": {step.component: last_lines(stage, step.component)}}

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        for one in stage.instances(step.component):
            if one.id not in preview.target["containers"]:
                continue
            if one.state == "paused":
                stage.platform.unpause(one.id)
            else:
                stage.platform.start(one.id)
        problem = wait_healthy(stage, step.component)
        if problem:
            raise StackError(problem, kind="not_verified")

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        return wait_healthy(stage, step.component)

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        for identity, state in reversed(record.get("containers") or []):
            if state == "paused":
                stage.platform.pause(identity)
            else:
                stage.platform.stop(identity)


class ComponentRestart:
    """Start a component's copies again, one after another."""

    name = "component_restart"

    def preview(self, stage: Stage, step: Step) -> Preview:
        copies = [one for one in stage.instances(step.component) if one.state in ("running", "restarting")]
        if not copies:
            raise Refused("%s has no running copy to restart" % step.component, fix="start it: component_start")
        return Preview(
            risk=stage.restart_risk(step.component),
            target={"containers": sorted(one.id for one in copies)},
            state=sorted([one.id, one.started_at] for one in copies),
            diff=[{"what": "container %s" % one.name, "before": "running", "after": "restarted"} for one in copies],
            undo={},
            texts={"instances": [one.name for one in copies]},
            touches=[step.component],
        )

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        processes = {
            one.name: [{"pid": process.pid, "state": process.state, "command": stage.mask.text(process.command)[:200]} for process in one.processes]
            for one in stage.instances(step.component)
        }
        return {"logs": {step.component: last_lines(stage, step.component)}, "processes": processes}

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        for identity in preview.target["containers"]:
            stage.platform.restart(identity)
            problem = wait_healthy(stage, step.component)
            if problem:
                raise StackError(problem, kind="not_verified")

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        return wait_healthy(stage, step.component)

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        """Nothing was changed that could be put back."""


def needed_by(stage: Stage, name: str) -> list[str]:
    """What a component depends on or is told to connect to, directly or not, in the order in which it is needed; what runs once and ends is left out."""
    found: list[str] = []
    seen = {name}

    def visit(user: str) -> None:
        for other in stage.scene.components:
            if other.id not in seen and other.role not in FINITE and stage.uses(user, other.id):
                seen.add(other.id)
                visit(other.id)
                found.append(other.id)

    stage.component(name)
    visit(name)
    return found


def wait_healthy(stage: Stage, name: str, seconds: float = HEALTHY_SECONDS) -> str:
    """Wait until every copy of a component runs and its own health check, where it has one, agrees; what is missing, in words."""

    def problem() -> str:
        for one in stage.platform.copies(name):
            health = (one.health or {}).get("status")
            if not one.running:
                return "%s is %s" % (one.name, _state(one))
            if health in ("starting", "unhealthy"):
                return "%s is %s" % (one.name, health)
        return ""

    checks = [one.health_timing for one in stage.platform.copies(name) if one.health_timing]
    first = [check["start_period_seconds"] + check["interval_seconds"] + check["timeout_seconds"] for check in checks]
    return stage.wait(problem, seconds + max(first, default=0.0))


def last_lines(stage: Stage, name: str) -> list[str]:
    """The end of a component's log, secrets and what statements hold masked."""
    lines = []
    for one in stage.instances(name):
        try:
            lines += hidden(stage.platform.logs(one, 0.0, LOG_LINES), stage.mask)
        except StackError as error:
            lines.append(stage.mask.text("(the log of %s cannot be read: %s)" % (one.name, error.message)))
    return lines


def _state(one: Instance) -> str:
    return "exited (%d)" % one.exit_code if one.state == "exited" else one.state
