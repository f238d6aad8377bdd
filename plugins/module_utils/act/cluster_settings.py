# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings of a component on a cluster, changed where they are kept there, and exactly their readers started anew.

A literal is changed in the workload's template, a key in its ConfigMap or Secret. A key that others read, too, and are well with, is left
to them: the one component gets an entry of its own, which wins. What is secret is never written out where it was not before: the entry
refers to the key from which another component is given it, else to a Secret of ours.
"""

from __future__ import annotations

import copy
from typing import Any, Callable, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act import difference, dotenv
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import RISKS, Preview, Refused
from ansible_collections.aiops.runbook.plugins.module_utils.act.cluster import ClusterObject
from ansible_collections.aiops.runbook.plugins.module_utils.act.cluster_store import OURS, Store
from ansible_collections.aiops.runbook.plugins.module_utils.act.project import escaped
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.object import changes_of, put_back
from ansible_collections.aiops.runbook.plugins.module_utils.act.setting_places import (
    Key,
    Place,
    carried,
    exposes,
    generated,
    place_of,
    reference_to,
    uses_of,
    with_entry,
)
from ansible_collections.aiops.runbook.plugins.module_utils.act.settings import Also, bare_url, own_name, shown, with_end_of
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.act.workload import SCALABLE, Target, mark_of, marked, now
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import NAMESPACED, Objects, trim
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import every_container, native_sidecars
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_settings import Given, Settings
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_workloads import WORKLOADS, Workload, workloads_of
from ansible_collections.aiops.runbook.plugins.module_utils.secret import is_secret_name

FILES = ("configmap", "secret")
# Until pods are made anew, in an undo; and how long they are waited for to be well, which they need not be: the stack may have been ill before.
STAND_SECONDS = 60.0
WELL_SECONDS = 15.0
_READERS = (*WORKLOADS.values(), "replicasets", "pods")


class Change:
    """What giving one component other settings makes of the objects of its namespace; nothing is changed before apply().

    settings: what every container is given with the change so far.
    """

    def __init__(self, stage: Stage, component: str, also: Also | None = None) -> None:
        self.stage, self.component, self.also = stage, component, also
        self.hidden: set[str] = set()
        self.target = Target(stage, component)
        self.target.refuse_idle()
        self.namespace = self.target.namespace
        self.wanted: dict[str, Any] = copy.deepcopy(self.target.object)
        self.container = self.target.container("", self.wanted["spec"]["template"])
        self.settings: Settings = stage.platform.settings
        self.stores: dict[tuple[str, str], Store] = {}
        self.values: dict[Key, str | None] = {}
        self.places: dict[str, str] = {}
        self._readers: list[Workload] | None = None

    # what a setting is, and what it becomes

    def given(self) -> Given:
        """What the component's next pod is given."""
        return given(self.settings, self.namespace, self.wanted["spec"]["template"], self.container["name"])

    def value(self, name: str) -> str | None:
        return self.given().environment.get(name)

    def put(self, name: str, value: str | None, secret: bool = False) -> None:
        """Give the component a setting (None: not set), where it is kept; Refused where that would be somebody else's loss."""
        present = self.value(name)
        if present == value:
            return
        place = place_of(self.container, name, self.settings, self.namespace)
        if place.how == "field":
            raise Refused("%s tells a pod of itself" % name, fix="change the entry by hand")
        secret = secret or is_secret_name(name) or (value is not None and bare_url(value) != value) or (place.key or Key("", "", "")).kind == "secret"
        if value is None:
            self._take_away(name, place)
        elif place.how == "literal":
            if "$(" not in place.raw or not self._in_part(name, place.raw, present or "", value, secret):
                self._in_entry(name, value, place.raw, secret)
        elif place.key is not None and not (secret and place.key.kind == "configmap" and exposes(present or "", value)) and self.may_change(place.key):
            self.put_key(place.key, value)
            self.places[name] = str(place.key)
        else:
            self._in_entry(name, value, None, secret)
        if self.value(name) != value:
            raise Refused("%s of %s cannot be set by its template" % (name, self.component), fix="change it by hand")

    def _take_away(self, name: str, place: Place) -> None:
        if not place.how:
            return
        if place.how == "all" and place.key is not None:
            if not self.may_change(place.key):
                raise Refused(
                    "%s of %s comes with all of %s, which others read" % (name, self.component, place.key),
                    fix="name the settings that %s needs one by one in its template" % self.component,
                )
            self.put_key(place.key, None)
            self.places[name] = str(place.key)
        else:
            self._entry(name, None)
        if self.value(name) is not None:
            self.put(name, None)

    def _in_part(self, name: str, raw: str, old: str, value: str, secret: bool) -> bool:
        """A text with $(…) in it: its own wrong part, else the one setting that it takes it from."""
        gentle = dotenv.rewritten(raw, old, value)
        before = list(self.container.get("env") or [])
        if gentle is not None and not exposes(raw, gentle):
            self._entry(name, {"name": name, "value": gentle})
            if self.value(name) == value:
                return True
            self.container["env"] = before
        part = carried(raw, self.given().environment, value)
        if part is None:
            return False
        self.put(part[0], part[1], secret)
        return True

    def _in_entry(self, name: str, value: str, raw: str | None, secret: bool) -> None:
        """An entry of the component's own. raw: the text that stands there, if one does."""
        twin = self._referred(name, value) if secret or raw is None else None
        if twin is not None:
            self._entry(name, reference_to(name, twin), str(twin))
        elif not secret or (raw is not None and not exposes(raw, value)):
            self._entry(name, {"name": name, "value": escaped(value)})
        else:
            own = Key("secret", self.target.name + OURS, name)
            self.put_key(own, value)
            self._entry(name, reference_to(name, own), str(own))

    def _entry(self, name: str, entry: dict[str, Any] | None, place: str = "") -> None:
        entries = with_entry(self.container, name, entry)
        self.container["env"] = entries
        if not entries:
            self.container.pop("env")
        self.places[name] = place or str(self.target)

    def _referred(self, name: str, value: str) -> Key | None:
        """The key from which another component of the namespace is given a setting of this name, where it holds this value."""
        for component, workload in sorted(self.stage.platform.workloads.items()):
            template = workload.template
            if component == self.component or workload.namespace != self.namespace or not template:
                continue
            for container in template["spec"].get("containers") or []:
                key = place_of(container, name, self.settings, self.namespace).key
                if key is not None and self.settings.held(key.kind, self.namespace, key.name).data.get(key.key) == value.encode("utf-8", "surrogateescape"):
                    return key
        return None

    # keys, and who reads them

    def store(self, key: Key) -> Store:
        if (key.kind, key.name) not in self.stores:
            self.stores[(key.kind, key.name)] = Store(self.stage.platform.cluster, self.namespace, key)
        return self.stores[(key.kind, key.name)]

    def put_key(self, key: Key, value: str | None) -> None:
        self.store(key).refuse_fixed()
        self.values[key] = value
        self.settings = self.settings.changed(key.kind, self.namespace, key.name, key.key, value)

    def readers(self, key: Key) -> list[Workload]:
        """The workloads, of whatever stack, that read a key; not a job that is over, nor the component's own."""
        if self._readers is None:
            self._readers = [one for one in workloads_of(self._objects()) if one.namespace == self.namespace and not over(one)]
        mine = (self.target.kind, self.target.name)
        return [one for one in self._readers if (one.kind, one.name) != mine and uses_of(spec_of(one), key)]

    def _objects(self) -> Objects:
        """All that makes pods in the namespace: also what the stack's selector leaves out may read the same."""
        platform = self.stage.platform
        if platform.selector:
            where = {kind: "%s/namespaces/%s/%s" % (NAMESPACED[kind][0], self.namespace, NAMESPACED[kind][1]) for kind in _READERS}
            return {kind: platform.cluster.every(path, None, trim) for kind, path in where.items()}
        for kind in _READERS:
            why = why_unseen(platform.objects.get(kind))
            if why:
                raise Refused("who else reads what is kept for %s cannot be seen: %s" % (self.component, why["reason"]), fix=why["fix"])
        found: Objects = platform.objects
        return found

    def component_of(self, workload: Workload) -> str:
        """The component that a workload is; "" for one of another stack."""
        for name, one in self.stage.platform.workloads.items():
            if (one.kind, one.namespace, one.name) == (workload.kind, workload.namespace, workload.name):
                return str(name)
        return ""

    def may_change(self, key: Key) -> bool:
        """Whether nobody else reads a key, or who does is to be corrected with it, or does not run with what it says."""
        if any(self.also is None or not other or not self.also(other) for other in self.beside(key)):
            return False
        for workload in self.readers(key):
            other = self.component_of(workload)
            if self.also is None or not other or (self._has(workload, other, key, running=True) and not self.also(other)):
                return False
        return True

    def beside(self, key: Key) -> list[str]:
        """The other programs of the component's own pods that read a key, each by its component ("" where it is none); what only runs first does not count."""
        spec = self.wanted["spec"]["template"]["spec"]
        stay = {one["name"] for one in [*spec["containers"], *native_sidecars({"spec": spec})]}
        names = {use.container for use in uses_of(spec, key)} & stay - {self.container["name"]}
        known = self.target.together(self.stage)
        return [known.get(name, "") for name in sorted(names)]

    def _has(self, workload: Workload, component: str, key: Key, running: bool) -> bool:
        """Whether copies of a component were started with the present content of a key, or may have been. running: only those that run count."""
        present = self.store(key).value(key.key)
        copies = self.stage.instances(component)
        copies = [one for one in copies if one.running] if running else copies
        uses = uses_of(spec_of(workload), key)
        return any(use.how == "file" or one.environment.get(use.what, present) == present for use in uses for one in copies)

    def others(self) -> list[str]:
        """The other components that run with a content that is changed: they are started anew."""
        found = set()
        for key in self.values:
            for workload in self.readers(key):
                other = self.component_of(workload)
                if workload.kind not in ("Job", "CronJob") and self._has(workload, other, key, running=False):
                    found.add(other)
        return sorted(found)

    # what comes of it

    def preview(self, wanted: Mapping[str, str | None], texts: Mapping[str, Any]) -> Preview:
        """All of it, tried by the server itself."""
        targets = {self.component: self.target, **{name: Target(self.stage, name) for name in self.others()}}
        for target in targets.values():
            target.refuse_owned()
            target.refuse_idle()
        stores = [store for store in self.stores.values() if self._values_of(store)]
        objects = [one for one in (self._tried(store) for store in stores) if one.get("made") or one["places"]]
        template = tried(self.target, self.wanted)
        objects += [{**about(self.target), "places": template}] if template else []
        stamp = now()
        marks = []
        for name, target in targets.items():
            if name != self.component or not template:
                target.tried(marked(target.template, stamp))
                marks.append({"component": name, "before": mark_of(target.template), "after": stamp})
        touches = list(targets)
        return Preview(
            # Its pods take along what else runs in them.
            risk=max((self.stage.restart_risk(name) for name in {*touches, *self.target.together(self.stage).values()}), key=RISKS.index),
            # A hash of what a Secret holds could be guessed: the version of what is changed is part of the state, which stays here.
            target={
                "objects": [[one["object"], one["namespace"], one["uid"]] for one in objects],
                "workloads": [[str(target), target.namespace, target.uid] for target in targets.values()],
            },
            state={
                "wanted": dict(wanted),
                "objects": objects,
                "versions": {target.path: target.version for target in [*targets.values(), *stores]},
                "restart": [mark["component"] for mark in marks],
            },
            diff=[*(line for name in touches for line in self._lines(name, targets[name])), *(_anew(target) for target in targets.values())],
            undo={"component": self.component, "touches": touches, "objects": objects, "marks": marks},
            texts={**texts, "places": sorted(set(self.places.values()))},
            touches=touches,
            lasting=self._lasting([*stores, *([self.target] if template else [])]),
        )

    def _values_of(self, store: Store) -> dict[str, str | None]:
        return {key.key: value for key, value in self.values.items() if (key.kind, key.name) == (store.kind.lower(), store.name)}

    def _tried(self, store: Store) -> dict[str, Any]:
        store.refuse_owned()
        wanted = store.with_values(self._values_of(store))
        if store.missing:
            store.made(wanted, {"dryRun": "All"})
            return {**about(store), "made": wanted}
        return {**about(store), "places": tried(store, wanted)}

    def _lines(self, component: str, target: Target) -> list[dict[str, str]]:
        """What is other in the environment of a component's next pod than in that of one that stands."""
        template = self.wanted["spec"]["template"] if component == self.component else target.template
        container = target.container("", template)
        next_ = given(self.settings, self.namespace, template, container["name"])
        one = next(iter(self.stage.instances(component)), None)
        old = one.environment if one is not None else given(self.stage.platform.settings, self.namespace, target.template, container["name"]).environment
        own = {entry["name"] for entry in container.get("env") or [] if (entry.get("valueFrom") or {}).get("fieldRef")}
        for value in next_.secrets:
            self.stage.mask.learn(value)
        lines = []
        for name in sorted({*old, *next_.environment} - own - set(next_.unread)):
            before, after = old.get(name), next_.environment.get(name)
            if before != after:
                place = ", in %s" % self.places[name] if component == self.component and name in self.places else ""
                lines.append(shown(self.stage, "%s of %s%s" % (name, component, place), name, before, after, self._secret(name, [before, after], next_)))
        return lines

    def _secret(self, name: str, values: Iterable[str | None], next_: Given) -> bool:
        """Whether a value is hidden whole; of a URL only its password is."""
        texts = [value for value in values if value]
        kept = any(value in next_.secrets for value in texts) or any(key.kind == "secret" and key.key == name for key in self.values)
        return name in self.hidden or (kept and any(bare_url(value) == value for value in texts))

    def _lasting(self, changed: Iterable[ClusterObject]) -> list[str]:
        """What to write where these objects come from, so that the next deploy does not bring the old value back."""
        lines = []
        for name, place in sorted(self.places.items()):
            if place == "secret/%s%s" % (self.target.name, OURS):
                text = "%s keeps %s of %s: put it into a Secret of your own, and let %s refer to that" % (place, name, self.component, self.target)
            elif place == str(self.target):
                text = "%s says %s now: change it in its manifest, too (container %s)" % (place, name, self.container["name"])
            elif generated(place):
                text = "%s says %s now: change it in the kustomization that makes it, too: the next apply makes one of another name" % (
                    place,
                    name,
                )
            else:
                text = "%s says %s now: change it where that comes from, too" % (place, name)
            lines.append(text)
        return lines + [line for one in changed for line in one.lasting()]


# The way there ------------------------------------------------------------------------------------------------------------


def preview(
    stage: Stage,
    component: str,
    wanted: Mapping[str, str | None],
    texts: Mapping[str, Any] | None = None,
    hidden: Iterable[str] = (),
    also: Also | None = None,
) -> Preview:
    """As Keeper says."""
    change, copies = Change(stage, component, also), stage.instances(component)
    known = {**change.given().environment, **(copies[0].environment if copies else {})}
    change.hidden = {own_name(known, name) for name in hidden}
    wanted = {own_name(known, name): value for name, value in wanted.items()}
    if not wanted:
        raise Refused("nothing says which settings are meant", fix="give set or unset", kind="bad_option")
    texts = {"settings": sorted(wanted), **(texts or {})}
    refuse_image(stage, change, copies, wanted)
    if not any(change.value(name) != value or stale(copies, name, value) for name, value in wanted.items()):
        return unchanged(stage, change, sorted(wanted), texts)
    for name, value in sorted(wanted.items()):
        change.put(name, value, name in change.hidden)
    return change.preview(wanted, texts)


def preview_file(stage: Stage, component: str, source: str, content: str, texts: Mapping[str, Any], also: Also | None = None) -> Preview:
    """As Keeper says: the key that the file shows gets the right content, and its readers start again."""
    change = Change(stage, component, also)
    key = Key.of(source)
    if key is None:
        raise Refused("%s is no file of a ConfigMap or Secret" % source, fix="correct it where it comes from")
    present = change.store(key).value(key.key) or ""
    content = with_end_of(present, content)
    if content == present:
        return unchanged(stage, change, source, texts)
    if key.kind == "configmap" or not change.may_change(key):
        why = "is a ConfigMap, where a password has no place" if key.kind == "configmap" else "is read by others, too, who may need it as it is"
        raise Refused("%s %s" % (key, why), fix="give %s a Secret of its own that holds it, and mount that" % component)
    change.put_key(key, content)
    made = change.preview({}, texts)
    made.diff.insert(0, {"what": "%s in %s" % (key.key, key), "before": "***", "after": "*** (another value)"})
    made.lasting.insert(0, "%s holds the right %s now: put it where that comes from, too" % (key, key.key))
    return made


def unchanged(stage: Stage, change: Change, state: Any, texts: Mapping[str, Any]) -> Preview:
    target = change.target
    return Preview(
        stage.restart_risk(change.component), {"workloads": [[str(target), target.namespace, target.uid]]}, state=state, texts=dict(texts), changed=False
    )


def stale(copies: Iterable[Instance], name: str, value: str | None) -> bool:
    """Whether a copy was started with another value."""
    return any(one.environment.get(name) != value for one in copies)


def refuse_image(stage: Stage, change: Change, copies: Iterable[Instance], wanted: Mapping[str, str | None]) -> None:
    """What the template does not say cannot be taken from a program: an image's own setting comes back."""
    for name, value in wanted.items():
        for one in copies if value is None and name not in change.given().environment else ():
            if one.running and name not in one.environment and name in stage.scene.environment(one)[0]:
                raise Refused("%s of %s is set by its image or its start script" % (name, change.component), fix="set it to another value")


def apply(stage: Stage, component: str, preview: Preview) -> None:
    """Change the objects, then start anew who reads them, and wait until that is done."""
    state, stamps = preview.state, {mark["component"]: mark["after"] for mark in (preview.undo or {}).get("marks", [])}
    changes: dict[str, list[dict[str, Any]]] = {}
    for one in state["objects"]:
        if "made" in one:
            Store(stage.platform.cluster, one["namespace"], Key("secret", one["made"]["metadata"]["name"], "")).made(one["made"])
            continue
        target = ClusterObject(stage.platform.cluster, one["kind"], one["path"])
        changes[one["path"]] = changes_of(target, one["places"])
        if one["kind"] not in SCALABLE:
            target.change(changes[one["path"]], state["versions"][one["path"]])
    targets = [Target(stage, name) for name in preview.touches]
    for target in targets:
        if target.component in state["restart"]:
            changes[target.path] = marked(target.template, stamps.get(target.component) or now())
        target.change(changes[target.path], state["versions"][target.path])
        target.drop_stuck()
    for target in targets:
        problem = target.wait_rolled_out(stage)
        if problem:
            raise StackError(problem, kind="not_verified")


def verify(stage: Stage, component: str, preview: Preview) -> str:
    """What of it has not come about: the rollouts, and the settings that the running program was started with."""
    if not preview.changed:
        return ""
    for name in preview.touches:
        problem = Target(stage, name).wait_rolled_out(stage)
        if problem:
            return problem
    for one in stage.component(component).running:
        wrong = [name for name, value in preview.state["wanted"].items() if one.environment.get(name) != value]
        if wrong:
            return "%s has not got what was set: %s" % (one.name, ", ".join(wrong))
    return ""


# And back -----------------------------------------------------------------------------------------------------------------


def undo(stage: Stage, record: dict[str, Any]) -> None:
    """As Keeper says: each object as it was, where nobody else has changed it since, and its readers started anew."""
    problems: list[str] = []

    def attempt(do: Callable[..., None], *what: Any) -> None:
        try:
            do(stage, *what)
        except StackError as error:
            problems.append(" ".join(filter(None, [error.message, error.details.get("fix", "")])))

    for one in record["objects"]:
        if "made" not in one:
            attempt(_put_back, {**one, "unsure": record.get("unsure", False)})
    for mark in record["marks"]:
        attempt(_start_anew, mark)
    for name in record["touches"]:
        attempt(_drop_stuck, name)
    left = stage.wait(lambda: next(filter(None, (_stood(Target(stage, name)) for name in record["touches"])), ""), STAND_SECONDS, 1.0)
    for name in record["touches"] if not left else ():
        Target(stage, name).wait_rolled_out(stage, WELL_SECONDS)
    problems += [left] if left else []
    for one in record["objects"]:
        # Not while something may refer to it.
        if "made" in one and not problems:
            attempt(_unmake, one)
    if problems:
        raise StackError("; ".join(problems), kind="not_undone", fix="then: %s" % again(stage, record["component"]))


def _put_back(stage: Stage, one: dict[str, Any]) -> None:
    put_back(ClusterObject(stage.platform.cluster, one["kind"], one["path"]), one)


def _start_anew(stage: Stage, mark: Mapping[str, Any]) -> None:
    """New pods: of the version from before, where nobody has restarted it since."""
    target = Target(stage, mark["component"])
    present = mark_of(target.template)
    if present == mark["after"]:
        target.change(marked(target.template, mark["before"]), target.version)
    elif present != mark["before"]:
        target.change(marked(target.template, now()), target.version)


def _drop_stuck(stage: Stage, name: str) -> None:
    Target(stage, name).drop_stuck()


def _stood(target: Target) -> str:
    status = target.object.get("status") or {}
    seen = int(status.get("observedGeneration") or 0) >= target.generation
    updated = int(status.get("updatedReplicas") or 0)
    if target.kind == "StatefulSet" and status.get("updateRevision") == status.get("currentRevision"):
        updated = int(status.get("replicas") or 0)  # it counts none once a rollout is over
    return "" if seen and updated >= target.replicas else "%s: %d of %d pods are made anew" % (target, updated, target.replicas)


def _unmake(stage: Stage, one: Mapping[str, Any]) -> None:
    """Take away a Secret that was made, where it holds nothing else by now."""
    store = Store(stage.platform.cluster, one["namespace"], Key("secret", one["made"]["metadata"]["name"], ""))
    if store.missing:
        return
    if store.object.get("data") != one["made"]["data"]:
        raise StackError("%s was changed by somebody else since" % store, kind="not_undone", fix="delete it when nothing refers to it")
    guard = {"preconditions": {"uid": store.uid, "resourceVersion": store.object["metadata"]["resourceVersion"]}}
    store.cluster.change("DELETE", store.path, guard)


# Small parts ----------------------------------------------------------------------------------------------------------------


def given(settings: Settings, namespace: str, template: Mapping[str, Any], container: str) -> Given:
    """What this container of a template's next pod is given."""
    pod = {"metadata": {**(template.get("metadata") or {}), "namespace": namespace}, "spec": template["spec"]}
    return settings.given(pod, next(one for one in every_container(pod["spec"]) if one["name"] == container))


def same_settings(stage: Stage, target: Target, template: Mapping[str, Any]) -> bool:
    """Whether another template of a workload gives its program the same settings and files."""
    name = target.container()["name"]
    if not any(one["name"] == name for one in template["spec"]["containers"]):
        return False
    now, then = (given(stage.platform.settings, target.namespace, one, name) for one in (target.template, template))
    return (now.environment, now.unread) == (then.environment, then.unread) and now.files == then.files


def tried(target: ClusterObject, wanted: dict[str, Any]) -> list[difference.Place]:
    """Where the server would make an object another one; [] where it would not."""
    changes = difference.patch(target.object, difference.places(target.object, wanted))
    return difference.places(target.object, target.tried(changes)) if changes else []


def about(target: ClusterObject) -> dict[str, Any]:
    return {"object": str(target), "kind": target.kind, "namespace": target.namespace, "path": target.path, "uid": target.uid}


def over(workload: Workload) -> bool:
    """Whether a job or a pod of its own has done its work: what is kept for it concerns nobody any more."""
    if workload.kind == "Pod":
        return all((pod.get("status") or {}).get("phase") in ("Succeeded", "Failed") for pod in workload.pods)
    conditions = ((workload.found or {}).get("status") or {}).get("conditions") or []
    return workload.kind == "Job" and any(one["type"] in ("Complete", "Failed") and one["status"] == "True" for one in conditions)


def spec_of(workload: Workload) -> dict[str, Any]:
    template = workload.template
    found: dict[str, Any] = template["spec"] if template else workload.pods[0]["spec"] if workload.pods else {}
    return found


def _anew(target: Target) -> dict[str, str]:
    return {"what": "pods of %s" % target, "before": "as they are", "after": "made anew"}


def again(stage: Stage, component: str) -> str:
    workload = stage.platform.workloads.get(component)
    return "kubectl -n %s rollout restart %s/%s" % (workload.namespace, workload.kind.lower(), workload.name) if workload else "kubectl rollout restart"
