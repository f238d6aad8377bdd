# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The workload of a component: its rollout, its versions, its pod template."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from typing import Any, Callable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused
from ansible_collections.aiops.runbook.plugins.module_utils.act.cluster import ATTEMPTS, ClusterObject, pointer, version_of
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import app_containers, is_ready
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_workloads import RESTARTED, REVISION, WORKLOADS

# A rollout is given so long at least and at most. That the cluster calls one late ends no wait: it may still say so of the one before.
ROLLOUT_SECONDS = 180.0
LONGEST_ROLLOUT_SECONDS = 1800.0
# Until a pod is placed, its image is there and its program runs.
PULL_SECONDS = 30.0
# Until a controller has seen a change.
SEEN_SECONDS = 10.0
SCALABLE = ("Deployment", "StatefulSet")
HASH = "pod-template-hash"
# The numbers that a ReplicaSet had before, where its version was deployed again.
HISTORY = REVISION + "-history"
# By what the things in a list of a template are told apart; what is mounted, by its place: of one volume there may be several.
NAMES = ("name", "mountPath")
_ABSENT: Any = object()


@dataclass
class Revision:
    """A version of a workload that the cluster still knows.

    made_at: as the API says it. ready: its pods that serve, where the cluster counts them. again: whether it was deployed once more, later than it was made.
    """

    number: int
    name: str
    template: dict[str, Any]
    made_at: str
    ready: int = 0
    again: bool = False


class Target(ClusterObject):
    """The workload of a component, as it is now."""

    def __init__(self, stage: Stage, component: str) -> None:
        stage.component(component)  # an unknown one is told with the names there are
        workload, self.part = stage.platform.workloads.get(component), ""
        if workload is None:
            # A second program in the same pods is a component of its own.
            main, _dot, self.part = component.rpartition(".")
            workload = stage.platform.workloads.get(main)
        if workload is None or workload.kind not in SCALABLE:
            kind = workload.kind if workload is not None else "nothing that can be changed as one"
            raise Refused("%s is made by %s: only a Deployment or a StatefulSet can be changed here" % (component, kind), fix="change it by kubectl")
        self.component = component
        self.pods: list[dict[str, Any]] = workload.pods
        path = "/apis/apps/v1/namespaces/%s/%s/%s" % (workload.namespace, WORKLOADS[workload.kind], workload.name)
        super().__init__(stage.platform.cluster, workload.kind, path)

    @property
    def version(self) -> str:
        """The number of copies does not count: an autoscaler moves it, and nothing else of what was agreed upon."""
        found: dict[str, Any] = json.loads(json.dumps(self.object))
        found["spec"].pop("replicas", None)
        (found["metadata"].get("annotations") or {}).pop(REVISION, None)
        return version_of(found)

    @property
    def generation(self) -> int:
        return int(self.object["metadata"].get("generation") or 0)

    @property
    def replicas(self) -> int:
        wanted = self.object["spec"].get("replicas")
        return 1 if wanted is None else int(wanted)

    @property
    def template(self) -> dict[str, Any]:
        found: dict[str, Any] = self.object["spec"]["template"]
        return found

    @property
    def by_hand(self) -> bool:
        """Whether somebody has to delete a pod for it to become one of the present version."""
        return (self.object["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"

    def container(self, name: str = "", template: dict[str, Any] | None = None) -> dict[str, Any]:
        """The container that is meant: a named one, those that run first included, else the component's own. template: of which, if not the present one."""
        template = template or self.template
        spec = template["spec"]
        name = name or self.part or self._main_container(template)
        every: list[dict[str, Any]] = [*spec["containers"], *(spec.get("initContainers") or [])]
        found = next((one for one in every if one["name"] == name), None)
        if found is None:
            names = ", ".join(one["name"] for one in every)
            raise StackError("%s has no container %s: it has %s" % (self, name, names), kind="bad_option", option="container")
        return found

    def together(self, stage: Stage) -> dict[str, str]:
        """{container: component} of what runs in its pods: a second program there is a component of its own (main.container)."""
        main = self.component[: -len(self.part) - 1] if self.part else self.component
        others = {one.id[len(main) + 1 :]: one.id for one in stage.scene.components if one.id.startswith(main + ".")}
        return {**others, self._main_container(self.template): main}

    def _main_container(self, template: dict[str, Any]) -> str:
        name: str = app_containers({"metadata": template.get("metadata") or {}, "spec": template["spec"]}, self.name)[0]["name"]
        return name

    def refuse_idle(self) -> None:
        """Refused where what is changed of the template would make no new pods."""
        if self.object["spec"].get("paused"):
            raise Refused("the rollout of %s is paused: nothing that is changed of its pods takes effect" % self, fix="let it go on: workload_resume")
        if self.by_hand:
            raise Refused("%s makes no new pods by itself (OnDelete): what is changed would not come about" % self, fix="change it by kubectl")
        if ((self.object["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition"):
            raise Refused(
                "%s makes only some of its pods anew (partition): what is changed would not come about in all" % self,
                fix="let its rollout come to its end, or change it by kubectl",
            )

    # its rollout

    def rolled_out(self) -> str:
        """What is left of its rollout, in words; "" when every pod is of the present version and serves."""
        found = self.read()
        status, wanted = found.get("status") or {}, self.replicas
        if int(status.get("observedGeneration") or 0) < self.generation:
            return "%s: its controller has not seen the change yet" % self
        updated = int(status.get("updatedReplicas") or 0)
        if self.kind == "StatefulSet" and not status.get("updateRevision", "") == status.get("currentRevision", "") and updated < wanted:
            return "%s: %d of %d pods are of this version" % (self, updated, wanted)
        if self.kind == "Deployment" and (updated < wanted or int(status.get("replicas") or 0) > updated):
            return "%s: %d of %d pods are of this version, %d in all" % (self, updated, wanted, int(status.get("replicas") or 0))
        serving = int(status.get("availableReplicas") or 0) if self.kind == "Deployment" else int(status.get("readyReplicas") or 0)
        return "" if serving >= wanted else "%s: %d of %d pods serve" % (self, serving, wanted)

    def wait_rolled_out(self, stage: Stage, seconds: float | None = None) -> str:
        """What is left of its rollout after so many seconds; if none are given, after as long as a healthy one may take."""
        return stage.wait(self.rolled_out, rollout_seconds({**self.object, "kind": self.kind}) if seconds is None else seconds, 1.0)

    def scaled(self, fewer: bool = False) -> str:
        """What is left until it has as many copies as are wanted, of whatever version, in words; fewer: no more than those, whether they serve or not."""
        status, wanted = self.read().get("status") or {}, self.replicas
        if int(status.get("observedGeneration") or 0) < self.generation:
            return "%s: its controller has not seen the change yet" % self
        if fewer:
            there = int(status.get("replicas") or 0)
            return "" if there <= wanted + self._surge() else "%s: %d pods are there, %d are wanted" % (self, there, wanted)
        serving = int(status.get("readyReplicas") or 0)
        return "" if serving >= wanted else "%s: %d of %d pods serve" % (self, serving, wanted)

    def wait_scaled(self, stage: Stage, fewer: bool = False) -> str:
        """What is left of it after as long as healthy copies may take to come."""
        return stage.wait(lambda: self.scaled(fewer), rollout_seconds({**self.object, "kind": self.kind}), 1.0)

    def _surge(self) -> int:
        """How many copies more than are wanted a Deployment has in the midst of a rollout, which may stand still."""
        status, strategy = self.object.get("status") or {}, self.object["spec"].get("strategy") or {}
        between = int(status.get("updatedReplicas") or 0) < int(status.get("replicas") or 0)
        if self.kind != "Deployment" or strategy.get("type") == "Recreate" or not between or not self.replicas:
            return 0
        return _share((strategy.get("rollingUpdate") or {}).get("maxSurge"), self.replicas, math.ceil)

    def drop_stuck(self) -> None:
        """A StatefulSet waits for ever for a pod of a broken version: it is made anew only when that is gone."""
        rolling = (self.object["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
        # By hand or only in part: a pod of an older version is there on purpose.
        if self.kind != "StatefulSet" or self.by_hand or rolling.get("partition"):
            return
        end = time.monotonic() + SEEN_SECONDS
        while int((self.read().get("status") or {}).get("observedGeneration") or 0) < self.generation and time.monotonic() < end:
            time.sleep(0.2)  # until then its status names the version from before
        for attempt in range(ATTEMPTS):
            # One that has changed since it was seen may serve by now: it is looked at once more.
            if not [pod for pod in self._stuck() if not self._dropped(pod, attempt + 1 == ATTEMPTS)]:
                return

    def _stuck(self) -> list[dict[str, Any]]:
        """Its pods of another version than the present one that do not serve."""
        wanted, found = (self.object.get("status") or {}).get("updateRevision"), []
        labels = ",".join("%s=%s" % pair for pair in sorted((self.object["spec"]["selector"].get("matchLabels") or {}).items()))
        for pod in self.cluster.every("/api/v1/namespaces/%s/pods" % self.namespace, {"labelSelector": labels}):
            owned = any(owner.get("uid") == self.uid for owner in pod["metadata"].get("ownerReferences") or [])
            if owned and not is_ready(pod) and (pod["metadata"].get("labels") or {}).get("controller-revision-hash") != wanted:
                found.append(pod)
        return found

    def _dropped(self, pod: dict[str, Any], last: bool) -> bool:
        """Delete this very pod as it was seen; False where it is another one by now. last: that is an error."""
        guard = {"preconditions": {key: pod["metadata"][key] for key in ("uid", "resourceVersion")}}
        try:
            self.cluster.change("DELETE", "/api/v1/namespaces/%s/pods/%s" % (self.namespace, pod["metadata"]["name"]), guard)
        except StackError as error:
            if error.kind not in ("conflict", "not_found") or (error.kind == "conflict" and last):
                raise
            return error.kind == "not_found"
        return True

    # its versions

    def revisions(self) -> list[Revision]:
        """The versions that the cluster still knows, the newest first."""
        found = []
        kind = "replicasets" if self.kind == "Deployment" else "controllerrevisions"
        for one in self.cluster.every("/apis/apps/v1/namespaces/%s/%s" % (self.namespace, kind)):
            if not any(owner.get("uid") == self.uid for owner in one["metadata"].get("ownerReferences") or []):
                continue
            if kind == "replicasets":
                notes = one["metadata"].get("annotations") or {}
                number, template, again = notes.get(REVISION), one["spec"]["template"], bool(notes.get(HISTORY))
            else:
                number, template, again = one.get("revision"), ((one.get("data") or {}).get("spec") or {}).get("template") or {}, False
            if number is not None and template:
                ready = int((one.get("status") or {}).get("readyReplicas") or 0)
                made_at = one["metadata"].get("creationTimestamp") or ""
                found.append(Revision(int(number), one["metadata"]["name"], bare(template), made_at, ready, again))
        return sorted(found, key=lambda one: -one.number)


def rollout_seconds(work: Mapping[str, Any]) -> float:
    """For how long a healthy rollout may last, by its strategy and its probes. work: a Deployment or a StatefulSet, as the API has it."""
    spec, pod = work["spec"], work["spec"]["template"]["spec"]
    waves, ends_first = _waves(work)
    grace = pod.get("terminationGracePeriodSeconds")
    ends = (30 if grace is None else int(grace)) if ends_first else 0
    starts = max((start_seconds(one) for one in pod.get("containers") or []), default=0.0)
    each = ends + PULL_SECONDS + starts + int(spec.get("minReadySeconds") or 0)
    return min(LONGEST_ROLLOUT_SECONDS, max(ROLLOUT_SECONDS, waves * each))


def _waves(work: Mapping[str, Any]) -> tuple[int, bool]:
    """(how many times pods are replaced until all are, whether the old ones have to end before others come)."""
    spec = work["spec"]
    copies = 1 if spec.get("replicas") is None else int(spec["replicas"])
    strategy = spec.get("strategy") or {}
    if work.get("kind") == "StatefulSet":
        return copies, True
    if strategy.get("type") == "Recreate":
        return 1, True
    rolling = strategy.get("rollingUpdate") or {}
    surge, missing = _share(rolling.get("maxSurge"), copies, math.ceil), _share(rolling.get("maxUnavailable"), copies, math.floor)
    return math.ceil(copies / max(1, surge + missing)), surge == 0


def _share(value: Any, copies: int, rounded: Callable[[float], int]) -> int:
    """A number of pods, or a percentage of them (25 % where none is given), as Kubernetes rounds it."""
    text = "25%" if value is None else str(value)
    return rounded(int(text[:-1]) * copies / 100) if text.endswith("%") else int(text)


def start_seconds(container: Mapping[str, Any]) -> float:
    """For how long a start may last by the startup probe of a container, else by its readiness probe."""
    probe: Mapping[str, Any] | None = container.get("startupProbe") or container.get("readinessProbe")
    if not probe:
        return 0.0
    return float(probe.get("initialDelaySeconds") or 0) + float(probe.get("periodSeconds") or 10) * float(probe.get("failureThreshold") or 3)


def now() -> str:
    """As the API writes a time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def mark_of(template: dict[str, Any]) -> str | None:
    """When its pods were last made anew by a restart, as its mark says."""
    found: str | None = ((template.get("metadata") or {}).get("annotations") or {}).get(RESTARTED)
    return found


def marked(template: dict[str, Any], stamp: str | None) -> list[dict[str, Any]]:
    """The patch that lets a workload make new pods, as kubectl rollout restart does; None: the mark of such a restart is taken away."""
    notes = {key: value for key, value in ((template.get("metadata") or {}).get("annotations") or {}).items() if key != RESTARTED}
    notes.update({RESTARTED: stamp} if stamp else {})
    path = pointer("spec", "template", "metadata", "annotations")
    return [{"op": "add", "path": path, "value": notes} if notes else {"op": "remove", "path": path}]


def unmarked(template: dict[str, Any]) -> dict[str, Any]:
    """A pod template without the mark of a restart, and without what its controller adds."""
    found = bare(template)
    notes = found["metadata"].get("annotations") or {}
    notes.pop(RESTARTED, None)
    if not notes:
        found["metadata"].pop("annotations", None)
    return found


def bare(template: dict[str, Any]) -> dict[str, Any]:
    """A pod template without what its controller adds."""
    copied: dict[str, Any] = json.loads(json.dumps(template))
    copied.pop("$patch", None)
    metadata = copied.get("metadata") or {}
    metadata.pop("creationTimestamp", None)
    (metadata.get("labels") or {}).pop(HASH, None)
    copied["metadata"] = metadata
    return copied


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, str]]:
    """Where two pod templates differ, as lines of a difference; [] only where they are equal. Values of settings are not told: secrets may be among them."""
    lines = []
    for place, old, new in sorted(_unlike(bare(before), bare(after)), key=lambda one: one[0]):
        settings = place.endswith(".env") and list in (type(old), type(new))
        if settings or place.startswith("environment ") or ".httpHeaders" in place:
            told = ["(not set)" if old is _ABSENT else "as it is", "(not set)" if new is _ABSENT else "another"]
        else:
            told = ["(none)" if side is _ABSENT else json.dumps(side) for side in (old, new)]
        lines.append({"what": place, "before": told[0], "after": told[1]})
    return lines


def _unlike(old: Any, new: Any, place: str = "") -> list[tuple[str, Any, Any]]:
    """(place in words, what stands there before, and after) of all in which two values differ; a side without it is _ABSENT."""
    if old == new:
        return []
    sides = [side for side in (old, new) if side is not _ABSENT]
    found: list[tuple[str, Any, Any]] = []
    if all(isinstance(side, dict) for side in sides):
        was, now_is = ({} if side is _ABSENT else side for side in (old, new))
        for key in {**was, **now_is}:
            found += _unlike(was.get(key, _ABSENT), now_is.get(key, _ABSENT), "%s.%s" % (place, key) if place else str(key))
    elif all(isinstance(side, list) for side in sides):
        found += _unlike_things([] if old is _ABSENT else old, [] if new is _ABSENT else new, place)
    return found or [(_in_words(place), old, new)]


def _unlike_things(old: list[Any], new: list[Any], place: str) -> list[tuple[str, Any, Any]]:
    """The same of two lists, thing by thing, each by its name; nothing where they have none, or one of it twice."""
    of_settings = place.rpartition(".")[2] == "env"
    name = next((key for key in NAMES if all(_named(side, key, of_settings) for side in (old, new))), "")
    found: list[tuple[str, Any, Any]] = []
    if not name:
        return found
    names = [list(dict.fromkeys(one[name] for one in side)) for side in (old, new)]
    for one in {**dict.fromkeys(names[0]), **dict.fromkeys(names[1])}:
        was, now_is = ([thing for thing in side if thing[name] == one] or _ABSENT for side in (old, new))
        if of_settings:
            if was != now_is:
                found.append(("environment %s of %s" % (one, _in_words(place.rpartition(".")[0])), was, now_is))
        else:
            found += _unlike(_without(was, name), _without(now_is, name), "%s[%s]" % (place, one))
    orders = [[one for one in side if one in other] for side, other in (names, reversed(names))]
    if orders[0] != orders[1]:
        found.append(("order of %s" % _in_words(place), orders[0], orders[1]))
    return found


def _named(things: list[Any], key: str, twice: bool) -> bool:
    """Whether each of these things has a name under this key. twice: whether two may have the same one."""
    names = [one.get(key) if isinstance(one, dict) else None for one in things]
    return None not in names and (twice or len({*names}) == len(names))


def _without(things: Any, key: str) -> Any:
    """What the only one of these things says beside its name."""
    if things is _ABSENT:
        return _ABSENT
    return {name: value for name, value in things[0].items() if name != key} or "there"


def _in_words(place: str) -> str:
    return place.replace("spec.containers", "container")
