# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A component that still runs with the values of before: made anew from what is kept for it now."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.act import cluster_settings, files
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.project import RESET, Sources, changed_override, settings_of
from ansible_collections.aiops.runbook.plugins.module_utils.act.project_settings import STAND_SECONDS, changeable
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.component import last_lines, wait_healthy
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.env import ChangedSettings
from ansible_collections.aiops.runbook.plugins.module_utils.act.settings import shown
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError


class ComponentRecreate:
    """Makes a component anew from its files, which differ from what runs in exactly these settings. params: settings [names]."""

    name = "component_recreate"

    def preview(self, stage: Stage, step: Step) -> Preview:
        component = step.component
        copies = changeable(stage, component)
        names = [str(name) for name in step.params.get("settings") or []]
        if not names:
            raise Refused("nothing says which settings have changed", fix="give settings", kind="bad_option")
        texts = {"settings": names}
        target: dict[str, Any] = {"containers": sorted(one.id for one in copies)}
        risk = stage.restart_risk(component)
        secret = newer_file(stage, component, names)
        if secret:
            return Preview(
                risk=risk,
                target={**target, "file": secret},
                state={"started": sorted(one.started_at for one in copies), "file": stage.token(secret)},
                diff=[{"what": "container %s" % one.name, "before": "started before %s was changed" % secret, "after": "restarted"} for one in copies],
                undo={"component": component, "restarted": True},
                texts=texts,
                touches=[component],
            )
        project = stage.project
        sources = project.sources(component)
        document = project.config(sources)
        asked = settings_of(document, component)
        running = {name: copies[0].environment.get(name) for name in names}
        wanted = {name: asked.get(name) for name in names}
        if all(one.environment.get(name) == wanted[name] for one in copies for name in names):
            return Preview(risk=risk, target=target, state=sorted(names), texts=texts, changed=False)
        project.refuse_drift(component, sources, running, document)
        return Preview(
            risk=risk,
            target=target,
            state={"was": sorted(one.config_hash for one in copies), "made": project.definition(component, sources, document), "wanted": wanted},
            diff=[shown(stage, "%s of %s" % (name, component), name, running[name], wanted[name]) for name in names if running[name] != wanted[name]]
            + [{"what": "container %s" % one.name, "before": "as it is", "after": "made anew"} for one in copies],
            # The files that somebody has changed stay as they are: the old values go into a file of our own.
            undo={"component": component, "sources": asdict(sources), "running": running},
            texts=texts,
            touches=[component],
        )

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        return {"logs": {step.component: last_lines(stage, step.component)}}

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        if "file" in preview.target:
            for one in stage.instances(step.component):
                stage.platform.restart(one.id)
        else:
            stage.project.up(stage.project.sources(step.component), [step.component])
        problem = wait_healthy(stage, step.component)
        if problem:
            raise StackError(problem, kind="not_verified")

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        if preview.changed and "file" not in preview.target:
            for one in stage.platform.copies(step.component):
                if one.config_hash != preview.state["made"] or any(one.environment.get(name) != value for name, value in preview.state["wanted"].items()):
                    return "%s was not made from the files as they are" % one.name
        return wait_healthy(stage, step.component)

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        if record.get("restarted"):
            return  # nothing was changed that could be put back
        component, sources = record["component"], Sources(**record["sources"])
        stage.project.wait_idle(sources)

        def problem() -> str:
            copies = stage.platform.copies(component)
            other = [one.name for one in copies if any(one.environment.get(name) != value for name, value in record["running"].items())]
            return "" if copies and not other else "%s has not got its old values back" % (", ".join(other) or component)

        if not problem():
            return
        old = {name: RESET if value is None else value for name, value in record["running"].items()}
        present = files.read(sources.override)
        files.write(sources.override, changed_override(None if present is None else present.decode("utf-8"), component, old).encode("utf-8"))
        stage.project.up(replace(sources, files=[*sources.files, *([] if sources.override in sources.files else [sources.override])]), [component])
        left = stage.wait(problem, STAND_SECONDS)
        if left:
            raise StackError(left, kind="not_undone", fix="see the containers of %s: docker compose ps %s" % (component, component))


class WorkloadRecreate(ChangedSettings):
    """New pods for a workload whose ConfigMaps and Secrets say something else than what its program was started with. params: settings [names].

    Whatever else was changed there since is told, and taken as well: any pod that is made anew for another reason takes it, too.
    """

    name = "component_recreate"

    def preview(self, stage: Stage, step: Step) -> Preview:
        names = [str(name) for name in step.params.get("settings") or []]
        if not names:
            raise Refused("nothing says which settings have changed", fix="give settings", kind="bad_option")
        change = cluster_settings.Change(stage, step.component)
        kept = {name: change.value(name) for name in names}
        secret = newer_file(stage, step.component, names)
        copies = stage.instances(step.component)
        if not secret and not any(cluster_settings.stale(copies, name, value) for name, value in kept.items()):
            return cluster_settings.unchanged(stage, change, names, {"settings": names})
        made = change.preview(kept, {"settings": names})
        if secret:
            made.diff.insert(0, {"what": "pods of %s" % change.target, "before": "started before %s was changed" % secret, "after": "started after it"})
        # What is kept was changed by somebody else, and stays.
        return replace(made, undo={})

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        """Nothing was changed that could be put back."""


def newer_file(stage: Stage, component: str, names: list[str]) -> str:
    """The mounted file that one of these settings is read from, where it is newer than a copy that read it at its start."""
    started = [one.started_at for one in stage.component(component).running]
    for target in stage.scene.targets.get(component, []):
        if target.password_file and {target.setting, target.password_setting, target.password_file} & set(names):
            if started and target.password_changed_at > min(started):
                return target.password_file
    return ""
