# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where two states of an object of a cluster differ, place by place: what a patch says, a person is told, and an undo puts back. Pure.

A place is {"at": [key, …], "before": value, "after": value}; a side on which nothing stands there has no key of its own. What is in a list
of named things goes by its name ({"name": "api"}), so that a place is found again where others came between.
"""

from __future__ import annotations

import json
from typing import Any, Iterable, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.act.cluster import pointer
from ansible_collections.aiops.runbook.plugins.module_utils.secret import MASK

Place = dict[str, Any]

# By what the things in a list are told apart.
NAMES = ("name", "port", "containerPort")
# What a person need not be told of where a place is.
_USUAL = ("spec", "template")
# Values of settings and what a probe sends: secrets may be among them.
_SETTINGS = ("env", "data", "stringData", "httpHeaders")
NOTHING = "(none)"
_ABSENT = object()


def places(before: dict[str, Any], after: dict[str, Any]) -> list[Place]:
    """Where what is wanted of an object differs; its status and what the server notes of it do not count."""
    return list(_places(wanted(before), wanted(after), []))


def wanted(found: dict[str, Any]) -> dict[str, Any]:
    """An object without its status and without what the server notes of it."""
    kept = {key: value for key, value in found.items() if key not in ("metadata", "status")}
    meta = found.get("metadata") or {}
    return {**kept, "metadata": {key: meta[key] for key in ("labels", "annotations") if key in meta}}


def _places(before: Any, after: Any, at: list[Any]) -> Iterator[Place]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            if key not in before:
                yield {"at": [*at, key], "after": after[key]}
            elif key not in after:
                yield {"at": [*at, key], "before": before[key]}
            else:
                yield from _places(before[key], after[key], [*at, key])
        return
    name = _told_apart(before, after)
    if name:
        for old, new in zip(before, after):
            yield from _places(old, new, [*at, {name: old[name]}])
    elif before != after:
        yield {"at": at, "before": before, "after": after}


def _told_apart(before: Any, after: Any) -> str:
    """By which key the things of two lists are the same ones in the same order; "" where by none."""
    if not isinstance(before, list) or not isinstance(after, list) or len(before) != len(after):
        return ""
    for name in NAMES:
        names = [[one.get(name) if isinstance(one, dict) else None for one in side] for side in (before, after)]
        if names[0] == names[1] and None not in names[0] and len(set(names[0])) == len(names[0]):
            return name
    return ""


def patch(found: dict[str, Any], changed: Iterable[Place], side: str = "after") -> list[dict[str, Any]]:
    """The JSON patch that gives an object this side of the places; what is so already is not said. LookupError where a place is no more."""
    made = []
    for one in changed:
        words, present = _look(found, one["at"])
        if side in one and present is _ABSENT:
            made.append({"op": "add", "path": pointer(*words), "value": one[side]})
        elif side in one and present != one[side]:
            made.append({"op": "replace", "path": pointer(*words), "value": one[side]})
        elif side not in one and present is not _ABSENT:
            made.append({"op": "remove", "path": pointer(*words)})
    return made


def moved_on(found: dict[str, Any], changed: Iterable[Place]) -> list[str]:
    """The places, in words, that have neither side's value: somebody else has changed them since."""
    lost = []
    for one in changed:
        try:
            present = _look(found, one["at"])[1]
        except LookupError:
            lost.append(name_of(one))
            continue
        if not any(present == one.get(side, _ABSENT) for side in ("before", "after")):
            lost.append(name_of(one))
    return lost


def written_by(found: dict[str, Any], changed: Iterable[Place], manager: str) -> bool:
    """Whether this field manager wrote what stands at these places, as managedFields say. What was but removed has no writer: that alone is no proof."""
    entries = ((found.get("metadata") or {}).get("managedFields")) or []
    written = [one["fieldsV1"] for one in entries if one.get("manager") == manager and one.get("fieldsV1")]
    there = [one for one in changed if "after" in one]
    return bool(there) and all(any(_wrote(fields, found, one) for fields in written) for one in there)


def _wrote(fields: dict[str, Any] | None, found: Any, one: Place) -> bool:
    for word in one["at"]:
        if not fields:
            break
        if isinstance(word, dict):
            found = next((inner for inner in found or [] if all(inner.get(key) == value for key, value in word.items())), {})
            fields = _of_item(fields, found)
        else:
            found = (found or {}).get(word)
            fields = fields.get("f:%s" % word)
    return _new_in(fields, one.get("before"), one["after"])


def _new_in(fields: dict[str, Any] | None, before: Any, after: Any) -> bool:
    """Whether these fields hold all that is new in a value. None: nothing; {}: all that is below."""
    if not fields or not isinstance(after, (dict, list)):
        return fields is not None
    if isinstance(after, dict):
        known = before if isinstance(before, dict) else {}
        parts = [(fields.get("f:%s" % key), known.get(key), value) for key, value in after.items() if known.get(key, _ABSENT) != value]
    else:
        parts = []
        old = before if isinstance(before, list) else []
        for value in after:
            if value not in old:
                key = _of_item(fields, value)
                parts.append((key, next((one for one in old if key is not None and _of_item(fields, one) is key), None), value))
    return bool(parts) and all(_new_in(*part) for part in parts)


def _of_item(fields: dict[str, Any], one: Any) -> dict[str, Any] | None:
    """The fields of this thing in a list, which are kept by its key: k:{"name":"api"}."""
    keys = [name for name in fields if name.startswith("k:")] if isinstance(one, dict) else []
    return next((fields[name] for name in keys if all(one.get(key) == value for key, value in json.loads(name[2:]).items())), None)


def _look(found: Any, at: Iterable[Any]) -> tuple[list[Any], Any]:
    """(the words of a JSON pointer to a place, what stands there)."""
    words: list[Any] = []
    for word in at:
        if found is _ABSENT:
            raise LookupError(pointer(*words))
        if isinstance(word, dict):
            place = next((place for place, one in enumerate(found) if all(one.get(key) == value for key, value in word.items())), None)
            if place is None:
                raise LookupError(pointer(*words))
            words.append(place)
            found = found[place]
        else:
            words.append(word)
            found = found.get(word, _ABSENT)
    return words, found


def told(changed: Iterable[Place], of: str = "") -> list[dict[str, str]]:
    """The places as lines of a difference: [{"what", "before", "after"}]. of: whose they are."""
    return [{"what": ("%s of %s" if of else "%s%s") % (name_of(one), of), "before": _value(one, "before"), "after": _value(one, "after")} for one in changed]


def lines(changed: Iterable[Place], of: str) -> list[str]:
    """What a person's own manifest of this object has to say."""
    return ["in the manifest of %s: %s: %s" % (of, name_of(one), _value(one, "after")) for one in changed]


def name_of(one: Place) -> str:
    """Where a place is, in words: container[api].resources.limits.memory."""
    text = ""
    for word in one["at"]:
        if isinstance(word, dict):
            text = "%s[%s]" % (text, next(iter(word.values())))
        elif word not in _USUAL or text:
            text = "%s.%s" % (text, word) if text else str(word)
    return text.replace("initContainers[", "init container[").replace("containers[", "container[") or "spec"


def _value(one: Place, side: str) -> str:
    if side not in one:
        return NOTHING
    if any(word in _SETTINGS for word in one["at"] if isinstance(word, str)):
        return "another" if side == "after" else "as it is"
    return one[side] if isinstance(one[side], str) else json.dumps(_without_settings(one[side]), sort_keys=True)


def _without_settings(value: Any) -> Any:
    """A value that a person may see: what settings say is left out."""
    if isinstance(value, dict):
        return {key: MASK if key in _SETTINGS else _without_settings(inner) for key, inner in value.items()}
    return [_without_settings(one) for one in value] if isinstance(value, list) else value
