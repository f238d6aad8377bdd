# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What remedies on one object of a cluster have in common: the server tries the change, and what it says of it is shown, applied and put back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.act import difference
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Preview, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.cluster import ATTEMPTS, FIELD_MANAGER, ClusterObject
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.component import last_lines
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.act.workload import Target
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError


@dataclass
class Wish:
    """What is to become of an object. wanted: the whole of it. touches, texts, lasting: as a Preview's. state: what else the difference rests on."""

    wanted: dict[str, Any]
    risk: str
    touches: list[str] = field(default_factory=list)
    texts: dict[str, Any] = field(default_factory=dict)
    lasting: list[str] = field(default_factory=list)
    state: Any = None


class ObjectRemedy:
    """Changes one object, and puts back every place of it as it was, absent keys included.

    A remedy brings target(), wish() and verify(). Its undo refuses where somebody else has changed such a place since.
    """

    def target(self, stage: Stage, step: Step) -> Any:
        """The object that is meant, as it is now (a ClusterObject); Refused where none or more than one can be meant."""
        raise NotImplementedError

    def wish(self, stage: Stage, step: Step, target: Any) -> Wish:
        """What is to become of it; Refused where it must not be done. It is given a copy that it may change."""
        raise NotImplementedError

    def preview(self, stage: Stage, step: Step) -> Preview:
        target = self.target(stage, step)
        for attempt in range(ATTEMPTS):
            wish = self.wish(stage, step, target)
            changes = difference.patch(target.object, difference.places(target.object, wish.wanted))
            if not changes:
                return self._previewed(step, target, wish, [])
            target.refuse_owned()
            version = target.object["metadata"]["resourceVersion"]
            try:
                # What the server makes of it, defaults and canonical forms included, is what is shown, applied and put back.
                tried = target.tried([{"op": "test", "path": "/metadata/resourceVersion", "value": version}, *changes])
                return self._previewed(step, target, wish, difference.places(target.object, tried))
            except StackError as error:
                # What somebody else wrote meanwhile is none of ours; a change that is not valid is not so the next time, either.
                if error.kind not in ("conflict", "invalid") or target.read()["metadata"]["resourceVersion"] == version or attempt + 1 == ATTEMPTS:
                    raise
        raise StackError("%s is changed by somebody all the time" % target, kind="conflict")

    def _previewed(self, step: Step, target: Any, wish: Wish, changed: list[difference.Place]) -> Preview:
        return Preview(
            risk=wish.risk,
            target=target.identity(),
            state=[changed, wish.state],
            diff=self.told(target, changed),
            undo={"component": step.component, "kind": target.kind, "path": target.path, "uid": target.uid, "places": changed},
            texts={"object": str(target), **wish.texts},
            touches=wish.touches if changed else [],
            lasting=(target.lasting() + (wish.lasting or difference.lines(changed, str(target)))) if changed else [],
            changed=bool(changed),
        )

    @staticmethod
    def told(target: Any, changed: list[difference.Place]) -> list[dict[str, str]]:
        return difference.told(changed, str(target))

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        return {"logs": {step.component: last_lines(stage, step.component)}} if is_part(stage, step.component) else {}

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        target = self.target(stage, step)
        target.change(changes_of(target, places_of(preview)), preview.target["version"])

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        put_back(ClusterObject(stage.platform.cluster, record["kind"], record["path"]), record)


class TemplateRemedy(ObjectRemedy):
    """Changes the pod template of a component's workload: new pods are made, and are there when its rollout is done."""

    def target(self, stage: Stage, step: Step) -> Target:
        found = Target(stage, step.component)
        found.refuse_idle()
        return found

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        super().apply(stage, step, preview)
        Target(stage, step.component).drop_stuck()

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        return Target(stage, step.component).wait_rolled_out(stage)

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        super().undo(stage, record)
        Target(stage, record["component"]).drop_stuck()


def places_of(preview: Preview) -> list[difference.Place]:
    """What a preview says that changes."""
    found: list[difference.Place] = (preview.undo or {})["places"]
    return found


def changes_of(target: ClusterObject, places: list[difference.Place]) -> list[dict[str, Any]]:
    """The patch that gives an object these places; a StackError (stale) where one of them is no more."""
    try:
        return difference.patch(target.object, places)
    except LookupError as error:
        raise StackError("%s was changed by somebody else meanwhile" % target, kind="stale", fix="diagnose again") from error


def put_back(target: ClusterObject, record: dict[str, Any]) -> None:
    """Give an object what stood at the places of an undo record before; a StackError where it is another one, or somebody has changed them since."""
    refuse_another(target, record["uid"])
    others = difference.moved_on(target.object, record["places"])
    if others:
        before = before_of([one for one in record["places"] if difference.name_of(one) in others])
        raise StackError("%s was changed by somebody else since" % target, kind="not_undone", fix="if it is to be as before, set %s" % before)
    changes = difference.patch(target.object, record["places"], "before")
    if changes:
        refuse_unproven(target, record, record["places"])
        target.change(changes, target.version)


def before_of(places: list[difference.Place]) -> str:
    """What stood at these places before, in words."""
    return "; ".join("%s: %s" % (line["what"], line["before"]) for line in difference.told(places))


def refuse_unproven(target: ClusterObject, record: dict[str, Any], places: list[difference.Place]) -> None:
    """A StackError where a run died about its change (an undo record's "unsure"), and nothing shows that it is the one that stands there."""
    if record.get("unsure") and not difference.written_by(target.object, places, FIELD_MANAGER):
        raise StackError(
            "%s is as this run wanted it, but nothing shows that the run itself has changed it: it stays" % target,
            kind="not_undone",
            fix="if it is to be as before, set %s" % before_of(places),
        )


def refuse_another(target: ClusterObject, uid: str) -> None:
    """A StackError where this is not the object that was changed, but one that was made under its name since."""
    if target.uid != uid:
        raise StackError("%s was made anew since: it is another one" % target, kind="not_undone", fix="compare it with what it should be")


def copied(found: dict[str, Any]) -> dict[str, Any]:
    """An object that may be changed without changing the one that was read."""
    made: dict[str, Any] = json.loads(json.dumps(found))
    return made


def is_part(stage: Stage, name: str) -> bool:
    """Whether this is a component of the stack: an autoscaler, a Service or a node is none."""
    return any(one.id == name for one in stage.scene.components)
