# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings of a Compose service, changed where the project keeps them, and exactly that service made anew."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act import dotenv, files
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Preview, Refused
from ansible_collections.aiops.runbook.plugins.module_utils.act.project import RESET, Sources, changed_override, escaped, settings_of
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.component import wait_healthy
from ansible_collections.aiops.runbook.plugins.module_utils.act.settings import Also, own_name, shown, with_end_of
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.model import FINITE, StackError

# Until containers that are made anew stand, in an undo: they need not be healthy, the stack may have been ill before.
STAND_SECONDS = 60.0
FILES = ("bind",)
_WHOLE = re.compile(r"^\$(?:(?P<bare>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?::?-[^}]*)?\})$")


# The change --------------------------------------------------------------------------------------------------------------


@dataclass
class Change:
    """New contents of the project's files that give a component other settings: what is written, and what comes of it.

    contents: path -> text. places: setting -> the file that keeps it. extra: our override, where the containers were made without it.
    """

    sources: Sources
    contents: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    extra: list[str] = field(default_factory=list)
    made: str = ""

    def text(self, path: str) -> str | None:
        """A file's content with the change so far."""
        if path in self.contents:
            return self.contents[path]
        data = files.read(path)
        return None if data is None else data.decode("utf-8", "surrogateescape")


def preview(
    stage: Stage,
    component: str,
    wanted: Mapping[str, str | None],
    texts: Mapping[str, Any] | None = None,
    hidden: Iterable[str] = (),
    also: Also | None = None,
) -> Preview:
    """As Keeper says. A place that others read, too, is left to them: what differs for one component stands in our own file."""
    copies = changeable(stage, component)
    # Case counts in the environment; a name that differs in nothing else is meant.
    secret = {own_name(copies[0].environment, name) for name in hidden}
    wanted = {own_name(copies[0].environment, name): value for name, value in wanted.items()}
    if not wanted:
        raise Refused("nothing says which settings are meant", fix="give set or unset", kind="bad_option")
    present = {name: [one.environment.get(name) for one in copies] for name in wanted}
    texts = {"settings": sorted(wanted), **(texts or {})}
    if all(value == wanted[name] for name, values in present.items() for value in values):
        return Preview(
            risk=stage.restart_risk(component), target={"containers": sorted(one.id for one in copies)}, state=sorted(wanted), texts=texts, changed=False
        )
    change = plan_settings(stage, component, {name: value for name, value in wanted.items() if any(now != value for now in present[name])})
    made = preview_anew(
        stage,
        component,
        change,
        wanted,
        [
            shown(stage, "%s of %s, in %s" % (name, component, os.path.basename(place)), name, present[name][0], wanted[name], name in secret)
            for name, place in sorted(change.places.items())
        ],
    )
    return replace(made, texts=texts, lasting=lasting(stage, component, change, wanted, secret))


def preview_anew(stage: Stage, component: str, change: Change, wanted: Mapping[str, Any], diff: list[dict[str, str]]) -> Preview:
    """What writing a change and making a component anew from it would do; the way there and back below rests on its state and undo."""
    copies = stage.instances(component)
    return Preview(
        risk=stage.restart_risk(component),
        target={"containers": sorted(one.id for one in copies), "files": sorted(change.contents)},
        state={
            "was": sorted(one.config_hash for one in copies),
            "made": change.made,
            "wanted": wanted,
            "contents": change.contents,
            "before": {path: files.digest(path) for path in change.contents},
            "extra": change.extra,
            "sources": asdict(change.sources),
        },
        diff=diff + [{"what": "container %s" % one.name, "before": "as it is", "after": "made anew"} for one in copies],
        undo={
            "component": component,
            "sources": asdict(change.sources),
            "made": copies[0].config_hash,
            "files": [files.record(path, text.encode("utf-8", "surrogateescape")) for path, text in sorted(change.contents.items())],
        },
        touches=[component],
    )


def changeable(stage: Stage, component: str) -> list[Any]:
    """The copies of a component that may be made anew."""
    found = stage.component(component)
    if found.role in FINITE:
        raise Refused("%s is a job that runs once: making it anew would run it again" % component, fix="change its settings in the project's files, and deploy")
    copies = stage.instances(component)
    if not copies:
        raise Refused("%s has no container but one-off ones" % component, fix="deploy it first: docker compose up -d %s" % component)
    return copies


def plan_settings(stage: Stage, component: str, wanted: Mapping[str, str | None]) -> Change:
    """Where each of these settings is kept, and what is to be written there; Refused where that would deploy or touch anything else."""
    project = stage.project
    sources = project.sources(component)
    document = project.config(sources)
    project.refuse_drift(component, sources, document=document)
    raw = project.config(sources, interpolate=False)
    change = Change(sources)
    hashes = project.hashes_of(sources, document)
    for name, value in sorted(wanted.items()):
        if not (_in_dotenv(stage, change, component, name, value, document, raw, hashes) or _in_env_file(stage, change, component, name, value, document, raw)):
            _in_override(stage, change, component, name, value)
    made = tried(stage, change)
    got = settings_of(made, component)
    for name, place in change.places.items():
        if place in _env_files(raw, component):
            # Only what is written will tell compose; the definition that it makes is known.
            _assume(made, component, name, wanted[name])
        elif got.get(name) != wanted[name]:
            raise Refused(
                "%s cannot be given to %s by %s: something that is read later overrules it" % (name, component, place), fix="change it in the project's files"
            )
    change.made = project.definition(component, sources, made)
    return change


def _others_changed(stage: Stage, component: str, before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Other components whose definition would change and that have containers which serve."""
    return [other for other in sorted(after) if other != component and after[other] != before.get(other) and _serves(stage, other)]


def _serves(stage: Stage, name: str) -> bool:
    """Whether making it anew would be felt: a job that has ended stays as it is."""
    for found in stage.scene.components:
        if found.id == name:
            return any(not one.one_off and (found.role not in FINITE or one.state == "running") for one in found.instances)
    return False


def _in_dotenv(
    stage: Stage, change: Change, component: str, name: str, value: str | None, document: dict[str, Any], raw: dict[str, Any], hashes: Mapping[str, str]
) -> bool:
    """Where the setting is wholly a variable that a .env gives, and nobody else would notice: that line of it."""
    written = settings_of(raw, component)
    if name not in written:
        return False
    match = _WHOLE.match((written[name] or "").strip())
    variable = name if written[name] is None else (match.group("bare") or match.group("name")) if match else ""
    if not variable or (value is None and written[name] is not None):
        return False
    old = settings_of(document, component).get(name)
    for path in reversed(change.sources.dotenv):
        text = change.text(path)
        if text is None or dotenv.find(text, variable) is None:
            continue
        for edited in dotenv.edits(text, variable, old or "", value):
            trial = replace(change, contents={**change.contents, path: edited})
            made = tried(stage, trial)
            if settings_of(made, component).get(name) != value:
                continue
            others = _others_changed(stage, component, hashes, stage.project.hashes_of(change.sources, made))
            if others:
                return False
            change.contents, change.places[name] = trial.contents, path
            return True
        return False
    return False


def _env_files(raw: dict[str, Any], component: str) -> list[str]:
    found = (raw.get("services") or {}).get(component, {}).get("env_file") or []
    return [entry["path"] if isinstance(entry, dict) else str(entry) for entry in ([found] if isinstance(found, str) else found)]


def _in_env_file(stage: Stage, change: Change, component: str, name: str, value: str | None, document: dict[str, Any], raw: dict[str, Any]) -> bool:
    """Where the setting comes from an env_file that no other component uses: that line of it."""
    if name in settings_of(raw, component):
        return False
    for path in reversed(_env_files(raw, component)):
        text = change.text(path)
        if text is None or dotenv.find(text, name) is None:
            continue
        if any(path in _env_files(raw, other) and _serves(stage, other) for other in raw.get("services") or {} if other != component):
            return False
        old = settings_of(document, component).get(name)
        # The gentlest keeps what refers to other variables; whether it means the same is not asked here, so the plain one is taken.
        edited = dotenv.edits(text, name, old or "", value)
        if not edited or (value is None and sum(1 for one in _env_files(raw, component) if dotenv.find(change.text(one) or "", name)) > 1):
            return False
        change.contents[path], change.places[name] = edited[-1], path
        return True
    return False


def _in_override(stage: Stage, change: Change, component: str, name: str, value: str | None) -> None:
    """Anything else: in a file of our own beside the project's, which is read after them."""
    path = change.sources.override
    if value is None and name in stage.instances(component)[0].environment:
        # Not to be set by anybody: by no file before ours, by no env_file, by no image.
        for word in (None, RESET):
            trial = replace(change, contents={**change.contents, path: changed_override(change.text(path), component, {name: word})}, extra=_extra(change))
            made = tried(stage, trial)
            if settings_of(made, component).get(name) is None:
                change.contents, change.extra, change.places[name] = trial.contents, trial.extra, path
                return
        raise Refused("%s cannot be taken from %s by a further file" % (name, component), fix="take it out of the file that sets it, and deploy")
    change.contents[path] = changed_override(change.text(path), component, {name: value})
    change.extra, change.places[name] = _extra(change), path


def _extra(change: Change) -> list[str]:
    path = change.sources.override
    return [] if path in change.sources.files else [path]


def _assume(document: dict[str, Any], component: str, name: str, value: str | None) -> None:
    settings = document["services"][component].setdefault("environment", {})
    if value is None:
        settings.pop(name, None)
    else:
        settings[name] = escaped(value)


def tried(stage: Stage, change: Change) -> dict[str, Any]:
    """What compose would read if the change were written; nothing of the project is."""
    sources = change.sources
    moved: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="aiops-runbook-") as folder:  # 0700
        for number, (path, text) in enumerate(sorted(change.contents.items())):
            moved[path] = os.path.join(folder, str(number))
            with open(moved[path], "wb") as draft:
                draft.write(text.encode("utf-8", "surrogateescape"))
        there = replace(sources, files=[moved.get(path, path) for path in sources.files])
        if any(path in moved for path in sources.dotenv):
            there.env_files = [moved.get(path, path) for path in sources.dotenv]
        return stage.project.config(there, extra_files=[moved.get(path, path) for path in change.extra])


# The way there and back --------------------------------------------------------------------------------------------------


def apply(stage: Stage, component: str, preview: Preview) -> None:
    """Write the files, and make the component anew from them."""
    if "file" in preview.target:
        _apply_file(stage, component, preview)
        return
    state = preview.state
    for path, digest in state["before"].items():
        if files.digest(path) != digest:
            raise Refused("%s was changed a moment ago" % path, fix="diagnose again", kind="stale")
    for path, text in sorted(state["contents"].items()):
        files.write(path, text.encode("utf-8", "surrogateescape"))
    sources = Sources(**state["sources"])
    stage.project.up(replace(sources, files=[*sources.files, *state["extra"]]), [component])
    problem = wait_healthy(stage, component)
    if problem:
        raise StackError(problem, kind="not_verified")


def verify(stage: Stage, component: str, preview: Preview) -> str:
    """What of it has not come about: the containers' settings, and the definition that they were made from."""
    if not preview.changed:
        return ""
    if "file" in preview.target:
        return wait_healthy(stage, component)
    for one in stage.platform.copies(component):
        wrong = [name for name, value in preview.state["wanted"].items() if one.environment.get(name) != value]
        if wrong:
            return "%s has not got what was set: %s" % (one.name, ", ".join(wrong))
        if one.config_hash != preview.state["made"]:
            return "%s was made from something else than the files" % one.name
    return wait_healthy(stage, component)


def undo(stage: Stage, record: dict[str, Any]) -> None:
    """The files as they were, and the component as it was made from them; whether it is well then is not asked."""
    if "file" in record:
        files.restore(record["file"], in_place=True)
        _restart(stage, record["component"])
        return
    for entry in record["files"]:
        files.restore(entry)
    component, sources = record["component"], Sources(**record["sources"])
    made = stage.project.definitions(component, sources, stage.project.config(sources))
    if record["made"] not in made:
        raise StackError(
            "the files of %s are as they were, but ask for something else than what ran: it is not made anew" % component,
            kind="not_undone",
            fix="see what else was edited, then: docker compose up -d %s" % component,
        )
    stage.project.up(sources, [component])

    def problem() -> str:
        copies = stage.platform.copies(component)
        other = [one.name for one in copies if one.config_hash not in made or one.state in ("created", "removing")]
        return "" if copies and not other else "%s is not as it was made before" % (", ".join(other) or component)

    left = stage.wait(problem, STAND_SECONDS)
    if left:
        raise StackError(left, kind="not_undone", fix="docker compose up -d %s" % component)


# A file that is mounted ---------------------------------------------------------------------------------------------------


def preview_file(stage: Stage, component: str, source: str, content: str, texts: Mapping[str, Any], also: Also | None = None) -> Preview:
    """The password is read from a mounted file: that file gets the right content, and its reader starts again."""
    copies = stage.instances(component)
    strangers = set(stage.platform.mounted_by(source)) - {one.id for one in copies}
    if strangers:
        raise Refused("%s is mounted into other containers, too, which may need it as it is" % source, fix="give %s a file of its own, and deploy" % component)
    present = (files.read(source) or b"").decode("utf-8", "surrogateescape")
    content = with_end_of(present, content)
    return Preview(
        risk=stage.restart_risk(component),
        target={"containers": sorted(one.id for one in copies), "file": source},
        state={"before": files.digest(source), "content": content},
        diff=[{"what": "the password in %s" % source, "before": "***", "after": "*** (another value)"}]
        + [{"what": "container %s" % one.name, "before": "running", "after": "restarted"} for one in copies],
        undo={"component": component, "file": files.record(source)},
        texts=dict(texts),
        touches=[component],
        lasting=["%s holds the right password now: put it where this file comes from, too" % source],
        changed=content != present,
    )


def _apply_file(stage: Stage, component: str, preview: Preview) -> None:
    path = preview.target["file"]
    if files.digest(path) != preview.state["before"]:
        raise Refused("%s was changed a moment ago" % path, fix="diagnose again", kind="stale")
    files.write(path, preview.state["content"].encode("utf-8", "surrogateescape"), in_place=True)
    _restart(stage, component)
    problem = wait_healthy(stage, component)
    if problem:
        raise StackError(problem, kind="not_verified")


def _restart(stage: Stage, component: str) -> None:
    for one in stage.platform.copies(component):
        stage.platform.restart(one.id)


# In words ------------------------------------------------------------------------------------------------------------------


def lasting(stage: Stage, component: str, change: Change, wanted: Mapping[str, str | None], secret: Iterable[str] = ()) -> list[str]:
    """What to write where the project's files come from, so that the next deploy does not bring the old value back."""
    lines = []
    for name, place in sorted(change.places.items()):
        after = shown(stage, "", name, None, wanted[name], name in secret)["after"]
        if place == change.sources.override:
            lines.append(
                "%s keeps %s of %s: a deploy that does not name this file drops it. In your own file: services: {%s: {environment: {%s: %s}}}"
                % (place, name, component, component, name, "null" if wanted[name] is None else '"%s"' % after)
            )
        else:
            lines.append("%s says %s=%s now: change it where this file comes from, too" % (place, name, after))
    return lines


def again(stage: Stage, component: str) -> str:
    return "docker compose up -d %s" % component
