# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings of a component, changed where its platform keeps them, and exactly their readers made anew."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act import cluster_settings, project_settings
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.component import last_lines
from ansible_collections.aiops.runbook.plugins.module_utils.act.settings import Keeper
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.secret import is_secret_name


def keeper(stage: Stage) -> Keeper:
    """Where this stack's platform keeps settings."""
    found: Keeper = cluster_settings if stage.platform.name == "kubernetes" else project_settings
    return found


class ChangedSettings:
    """What remedies have in common that change settings where they are kept and make a component anew from them; each brings its own preview()."""

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        return {"logs": {step.component: last_lines(stage, step.component)}}

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        keeper(stage).apply(stage, step.component, preview)

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        return keeper(stage).verify(stage, step.component, preview)

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        keeper(stage).undo(stage, record)


class StackEnv(ChangedSettings):
    """Sets, unsets or corrects settings of a component. params: set {name: text or {"from": {"component", "setting"}}}, unset [names].

    secrets: like set, values that a person gave and nobody may see; no plan holds any.
    """

    name = "stack_env"

    def preview(self, stage: Stage, step: Step) -> Preview:
        wanted: dict[str, str | None] = dict(wanted_value(stage, name, value) for name, value in (step.params.get("set") or {}).items())
        for name, value in (step.params.get("secrets") or {}).items():
            wanted.update([wanted_value(stage, name, value)])
            stage.mask.learn(str(value))
        wanted.update(dict.fromkeys(step.params.get("unset") or []))
        return keeper(stage).preview(stage, step.component, wanted, hidden=step.params.get("secrets") or ())


def wanted_value(stage: Stage, name: str, value: Any) -> tuple[str, str]:
    """(name, value) as they stand in the parameters, or those that another component's program has: a program may say a name in another case."""
    if isinstance(value, bool):
        return name, "true" if value else "false"
    if not isinstance(value, Mapping):
        if is_secret_name(name):
            stage.mask.learn(str(value))
        return name, str(value)
    source = value.get("from") or {}
    other, setting = str(source.get("component") or ""), str(source.get("setting") or name)
    if not other:
        raise Refused("the value of %s is neither a text nor {from: {component, setting}}" % name, kind="bad_option")
    copies = stage.component(other).running
    if not copies:
        raise Refused("%s does not run: what it has cannot be seen" % other, fix="start it first, or give the value itself")
    found = {key: text for key, text in stage.scene.environment(copies[0])[0].items() if key.lower() == setting.lower()}
    if len(found) != 1 and setting not in found:
        raise Refused("%s has no setting %s" % (other, setting), fix="see what it has: stack_info")
    there = setting if setting in found else next(iter(found))
    if is_secret_name(name) or is_secret_name(setting):
        stage.mask.learn(found[there])
    return there if name.lower() == there.lower() else name, found[there]
