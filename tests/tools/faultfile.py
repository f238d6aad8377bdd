# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fault files: read, check, join, and fill in a stack's names. Pure but for reading the files; the format is in tests/faults/README.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

FAULTS = Path(__file__).resolve().parent.parent / "faults"

PLATFORMS = ("compose", "kubernetes")
VERDICTS = ("healthy", "degraded", "down", "unknown")

# What may stand in a file. The step kinds must equal those that the benches can do: a unit test compares them.
STEPS = frozenset(
    "stop kill start pause restart recreate override setting unset unpublish misdirect add_memory_limit leak break_code exec "
    "sql seed sql_session open_sessions drop_app_sessions rotate_database_password "
    "redis redis_password redis_fill redis_save_fails network_disconnect signal send enqueue traffic stray_container wait wait_ready "
    "edit patch delete create job autoscaler nodes registry certificate cut".split()
)
SYMPTOMS = frozenset("request container event log memory sql redis task pod object workload".split())

_KEYS = {"id", "title", "platforms", "stacks", "load", "inject", "symptom", "settle_seconds", "expect", "cure", "verdict", "heal", "options", "also"}
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FINDING = re.compile(r"[a-z]+\.[a-z_]+")
_REMEDY = re.compile(r"[a-z]+(_[a-z]+)*|\{[a-z_]+\}")
BY_HAND = "by_hand"
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


class FaultError(Exception):
    """A fault file, or a step of one, that cannot be used; names the file and the key."""


@dataclass(frozen=True)
class Fault:
    id: str
    title: str
    on: tuple[str, ...] = PLATFORMS
    stacks: tuple[str, ...] = ()  # none: all
    load: dict[str, Any] = field(default_factory=dict)
    phases: tuple[tuple[Any, Any], ...] = ()  # steps, and the symptoms to wait for before the next ones
    settle_seconds: float = 0
    expect: tuple[dict[str, str], ...] = ()
    cure: tuple[dict[str, str], ...] | None = None  # the remedies that a plan must hold and no other; None: the file does not say
    by_hand: tuple[dict[str, str], ...] = ()  # those of `expect` that a person must cure
    verdict: tuple[str, ...] = ()
    heal: tuple[dict[str, Any], ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    also: tuple[str, ...] = ()


def read_folder(folder: Path, platform: str = PLATFORMS[0], others: Path = FAULTS) -> dict[str, Fault]:
    """The faults of a folder by id as they are on a platform, those that a file names under `also` joined in (from here, then of the project's own)."""
    found = {fault.id: fault for fault in (read(path, platform) for path in sorted(folder.glob("*.yml")))}
    if not found:
        raise FaultError("%s holds no fault file (*.yml)" % folder)
    known = dict(found)
    if others != folder and others.is_dir():
        known = {**{fault.id: fault for fault in (read(path, platform) for path in sorted(others.glob("*.yml")))}, **found}
    return {name: join(fault, known) for name, fault in found.items()}


def read(path: Path, platform: str = PLATFORMS[0]) -> Fault:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise FaultError("%s cannot be read: %s" % (path, error)) from error
    return parse(content, path.stem, platform)


def parse(content: Any, name: str, platform: str = PLATFORMS[0]) -> Fault:
    """A fault on a platform from a file's content; every mistake in it at once."""
    problems = list(_problems(content, name))
    if problems:
        raise FaultError("%s.yml: %s" % (name, "; ".join(problems)))
    content = {**content, **{key: _here(content[key], platform) for key in ("inject", "symptom", "expect", "cure", "heal") if key in content}}
    # A file that only joins others has nothing of its own to cure.
    cure = content.get("cure", None if content.get("expect") or not content.get("also") else [])
    if cure == [] and content.get("expect"):
        cure = BY_HAND  # what cures it does so on the other platform
    return Fault(
        id=content["id"],
        title=content["title"],
        on=tuple(content.get("platforms", PLATFORMS)),
        stacks=tuple(content.get("stacks", ())),
        load=content.get("load", {}),
        phases=((tuple(content.get("inject", ())), tuple(_listed(content.get("symptom", ())))),),
        settle_seconds=content.get("settle_seconds", 0),
        expect=tuple(content.get("expect", ())),
        cure=None if cure is None else () if cure == BY_HAND else tuple(cure),
        by_hand=tuple(content["expect"]) if cure == BY_HAND else (),
        verdict=tuple(_listed(content.get("verdict", ()))),
        heal=tuple(content.get("heal", ())),
        options=content.get("options", {}),
        also=tuple(content.get("also", ())),
    )


def _here(value: Any, platform: str) -> Any:
    """A list without what is for another platform only."""
    if not isinstance(value, list):
        return value
    kept = [one for one in value if one.get("platform", platform) == platform]
    return [{key: item for key, item in one.items() if key != "platform"} for one in kept]


def join(fault: Fault, known: Mapping[str, Fault], above: tuple[str, ...] = ()) -> Fault:
    """A fault with those it names under `also`: their steps after its own, each with its symptoms; the union of what is expected."""
    for name in fault.also:
        if name not in known:
            raise FaultError("%s: also: there is no fault %r" % (fault.id, name))
        if name in above or name == fault.id:
            raise FaultError("%s: also: %r leads back to itself" % (fault.id, name))
        other = join(known[name], known, (*above, fault.id))
        fault = replace(
            fault,
            on=tuple(place for place in fault.on if place in other.on),
            stacks=tuple(name for name in fault.stacks if name in other.stacks) if fault.stacks and other.stacks else fault.stacks or other.stacks,
            load=max(fault.load, other.load, key=lambda load: load.get("rate", 0)),
            phases=fault.phases + other.phases,
            settle_seconds=max(fault.settle_seconds, other.settle_seconds),
            expect=fault.expect + tuple(cause for cause in other.expect if cause not in fault.expect),
            cure=None if fault.cure is None or other.cure is None else fault.cure + tuple(one for one in other.cure if one not in fault.cure),
            by_hand=fault.by_hand + tuple(cause for cause in other.by_hand if cause not in fault.by_hand),
            heal=other.heal + fault.heal,
            options={**other.options, **fault.options},
        )
    return fault


def fill(value: Any, names: Mapping[str, Any]) -> Any:
    """A value with {placeholders} replaced, in keys too; a text that is one placeholder takes the name's own type."""
    if isinstance(value, Mapping):
        return {fill(key, names): fill(item, names) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(item, names) for item in value]
    if not isinstance(value, str):
        return value
    whole = _PLACEHOLDER.fullmatch(value)
    if whole:
        return _named(whole[1], names)
    return _PLACEHOLDER.sub(lambda match: str(_named(match[1], names)), value)


def expected(fault: Fault, names: Mapping[str, Any]) -> list[dict[str, str]]:
    """The root causes that a diagnosis must name, and no other."""
    return _causes(fault.expect, names)


def expected_by_hand(fault: Fault, names: Mapping[str, Any]) -> list[dict[str, str]]:
    """Those of them that the plan must leave to a person, and no other."""
    return _causes(fault.by_hand, names)


def expected_cure(fault: Fault, names: Mapping[str, Any]) -> list[dict[str, str]]:
    """The steps that the plan must hold, and no other."""
    return [{"remedy": one["remedy"], "component": component} for one in fill(fault.cure or (), names) for component in _listed(one["component"])]


def _causes(causes: Any, names: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"id": cause["finding"], "component": component} for cause in fill(causes, names) for component in _listed(cause["component"])]


def _named(name: str, names: Mapping[str, Any]) -> Any:
    if name not in names:
        raise FaultError("{%s} is not known on this stack; known: %s" % (name, ", ".join(sorted(names))))
    return names[name]


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else [value]


def _problems(content: Any, name: str) -> Iterable[str]:
    if not isinstance(content, dict):
        yield "is not a mapping"
        return
    unknown = sorted(set(map(str, content)) - _KEYS)
    if unknown:
        yield "unknown keys: %s" % ", ".join(unknown)
    if not isinstance(content.get("id"), str) or not _ID.fullmatch(content["id"]):
        yield "id: wanted lower-case words joined by hyphens"
    elif content["id"] != name:
        yield "id: %r is not the file's name" % content["id"]
    if not isinstance(content.get("title"), str) or not content.get("title"):
        yield "title: is missing"
    if "expect" not in content and not content.get("also"):
        yield "expect: is missing ([] for a control)"
    for key in ("platforms", "stacks", "inject", "expect", "heal", "also"):
        if not isinstance(content.get(key, []), list):
            yield "%s: wanted a list" % key
            return
    for place in content.get("platforms", ()):
        if place not in PLATFORMS:
            yield "platforms: unknown platform %r" % place
    for verdict in _listed(content.get("verdict", ())):
        if verdict not in VERDICTS:
            yield "verdict: %r is none of %s" % (verdict, ", ".join(VERDICTS))
    for key in ("inject", "heal", "expect", "cure", "symptom"):
        for one in content.get(key) if isinstance(content.get(key), list) else []:
            if isinstance(one, dict) and one.get("platform", PLATFORMS[0]) not in PLATFORMS:
                yield "%s: unknown platform %r" % (key, one["platform"])
    for key in ("inject", "heal"):
        for step in content.get(key, ()):
            if not isinstance(step, dict) or len(set(step) - {"platform"}) != 1 or not set(step) - {"platform"} <= STEPS:
                yield "%s: %r is not one step of: %s" % (key, step, ", ".join(sorted(STEPS)))
    for symptom in _listed(content.get("symptom", ())):
        if not isinstance(symptom, dict) or len(SYMPTOMS & set(symptom)) != 1:
            yield "symptom: %r wants exactly one of %s" % (symptom, ", ".join(sorted(SYMPTOMS)))
    for cause in content.get("expect", ()):
        if not isinstance(cause, dict) or set(cause) - {"platform"} != {"finding", "component"} or not _FINDING.fullmatch(str(cause["finding"])):
            yield "expect: %r wants `finding` (domain.what) and `component`" % (cause,)
    yield from _cure_problems(content)
    for key in ("load", "options"):
        if not isinstance(content.get(key, {}), dict):
            yield "%s: wanted a mapping" % key
    if isinstance(content.get("settle_seconds", 0), bool) or not isinstance(content.get("settle_seconds", 0), (int, float)):
        yield "settle_seconds: wanted a number"
    if not content.get("symptom") and content.get("expect") and not content.get("also"):
        yield "symptom: is missing (a fault must be seen to break something before it is scored)"


def _cure_problems(content: Mapping[str, Any]) -> Iterable[str]:
    if "cure" not in content:
        return
    cure, expect = content["cure"], content.get("expect")
    if cure == BY_HAND:
        if not expect:
            yield "cure: by_hand, and `expect` names nothing to cure"
        return
    if not isinstance(cure, list):
        yield "cure: wanted a list of {remedy, component}, or %s" % BY_HAND
        return
    for one in cure:
        if not isinstance(one, dict) or set(one) - {"platform"} != {"remedy", "component"} or not _REMEDY.fullmatch(str(one["remedy"])):
            yield "cure: %r wants `remedy` (a name) and `component`" % (one,)
    if cure and not expect:
        yield "cure: a control has none ([])"
    if expect and not cure:
        yield "cure: names no remedy; what only a person can cure is %s" % BY_HAND
