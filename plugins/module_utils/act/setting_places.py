# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a container of a cluster is given a setting, who else reads what is kept there, and what its template says with another value. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_settings import REFERENCE, Settings, sources_of

WORDS = {"configmap": "ConfigMap", "secret": "Secret"}
_IN_ENTRY = {"configmap": "configMapKeyRef", "secret": "secretKeyRef"}
_IN_ALL = {"configmap": "configMapRef", "secret": "secretRef"}
# A password in a URL, and one that is not written out: ${…} is not read by Kubernetes, $(…) is.
_IN_URL = re.compile(r"://[^\s:/@]*:(?P<password>.+)(?=@)", re.DOTALL)
# What a kustomize generator adds to the name of what it makes.
_GENERATED = re.compile(r"-[bcdfghkmt2456789]{10}$")


@dataclass(frozen=True)
class Key:
    """One key of a ConfigMap or Secret. kind: "configmap" or "secret"."""

    kind: str
    name: str
    key: str

    def __str__(self) -> str:
        return "%s/%s" % (self.kind, self.name)

    @classmethod
    def of(cls, source: str) -> Key | None:
        """That of a mounted file, as Instance.mounts names it ("secret/db:password"); None for a mount of another kind."""
        match = re.fullmatch(r"(configmap|secret)/([^:]+):(.+)", source)
        return cls(*match.groups()) if match else None


@dataclass(frozen=True)
class Place:
    """Where a container is given a setting.

    how: "literal" (an entry that says it; raw: its text, with $(…) as it stands), "entry" (one that refers to key), "all" (key, with every
    other key of its object), "field" (what the pod tells of itself), "" (nowhere in its template).
    """

    how: str
    raw: str = ""
    key: Key | None = None


@dataclass(frozen=True)
class Use:
    """How a container reads a key. how: "env" (what: the setting) or "file" (what: its path)."""

    container: str
    how: str
    what: str


def entry_of(container: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """The entry that gives a container a setting: the last one counts."""
    return next((entry for entry in reversed(container.get("env") or []) if entry["name"] == name), None)


def place_of(container: Mapping[str, Any], name: str, settings: Settings, namespace: str) -> Place:
    """Where this container is given a setting: an entry of its own wins over what it takes as a whole."""
    entry = entry_of(container, name)
    if entry is not None:
        source = entry.get("valueFrom")
        if not source:
            return Place("literal", raw=str(entry.get("value") or ""))
        for kind, word in _IN_ENTRY.items():
            if source.get(word):
                return Place("entry", key=Key(kind, source[word].get("name") or "", source[word]["key"]))
        return Place("field")
    for kind, object_name, prefix in reversed(list(_wholes(container))):
        key = name[len(prefix) :]
        if name.startswith(prefix) and key in settings.held(kind, namespace, object_name).data:
            return Place("all", key=Key(kind, object_name, key))
    return Place("")


def _wholes(container: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """(kind, object, prefix) of what a container takes as a whole, the strongest last."""
    for source in container.get("envFrom") or []:
        for kind, word in _IN_ALL.items():
            if source.get(word):
                yield kind, source[word].get("name") or "", source.get("prefix") or ""


def uses_of(spec: Mapping[str, Any], key: Key) -> list[Use]:
    """How the containers of a pod read a key, those that run first included; what an entry of their own overrules they do not read."""
    found = []
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        names = {entry["name"] for entry in container.get("env") or []}
        for entry in container.get("env") or []:
            reference = (entry.get("valueFrom") or {}).get(_IN_ENTRY[key.kind]) or {}
            if (reference.get("name"), reference.get("key")) == (key.name, key.key):
                found.append(Use(container["name"], "env", entry["name"]))
        for kind, name, prefix in _wholes(container):
            if (kind, name) == (key.kind, key.name) and prefix + key.key not in names:
                found.append(Use(container["name"], "env", prefix + key.key))
        found += [Use(container["name"], "file", path) for path in _paths(spec, container, key)]
    return found


def _paths(spec: Mapping[str, Any], container: Mapping[str, Any], key: Key) -> Iterable[str]:
    """Where a container sees a key as a file."""
    for mount in container.get("volumeMounts") or []:
        for volume in spec.get("volumes") or []:
            for kind, source in sources_of(volume) if volume["name"] == mount["name"] else ():
                if (kind, source.get("secretName") or source.get("name") or "") != (key.kind, key.name):
                    continue
                items = source.get("items")
                path = next((one["path"] for one in items if one["key"] == key.key), "") if items else key.key
                if path and mount.get("subPath") in (None, "", path):
                    yield mount["mountPath"] if mount.get("subPath") else "%s/%s" % (mount["mountPath"].rstrip("/"), path)


def reference_to(name: str, key: Key) -> dict[str, Any]:
    """The entry that gives a container a setting from a key."""
    return {"name": name, "valueFrom": {_IN_ENTRY[key.kind]: {"name": key.name, "key": key.key}}}


def with_entry(container: Mapping[str, Any], name: str, entry: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The entries of a container with this one for a setting (None: with none).

    It stands where the old one did; a new one stands first, so that settings that are put together from it have the new value, too.
    """
    entries = list(container.get("env") or [])
    last = max((place for place, one in enumerate(entries) if one["name"] == name), default=-1)
    if last >= 0:
        entries[last : last + 1] = [] if entry is None else [dict(entry)]
    elif entry is not None:
        entries.insert(0, dict(entry))
    return entries


def carried(raw: str, environment: Mapping[str, str], wanted: str) -> tuple[str, str] | None:
    """The one setting that a text refers to by $(…), and what it would have to say for the whole to be as wanted; None where it is not one alone."""
    names = {match.group(2) for match in REFERENCE.finditer(raw) if match.group(2) in environment}
    found = []
    for name in sorted(names):
        pattern, end, seen = "", 0, False
        for match in REFERENCE.finditer(raw):
            pattern += re.escape(raw[end : match.start()])
            end = match.end()
            if match.group(2) == name:
                pattern += "(?P=part)" if seen else "(?P<part>.*)"
                seen = True
            else:
                pattern += re.escape("$" if match.group(1) == "$" else environment.get(match.group(2), match.group(0)))
        whole = re.fullmatch(pattern + re.escape(raw[end:]), wanted, re.DOTALL)
        if whole:
            found.append((name, whole.group("part")))
    return found[0] if len(found) == 1 else None


def exposes(before: str, after: str) -> bool:
    """Whether a secret text shows what the one before it did not: another password than the one that stands there already."""
    was, now = _IN_URL.search(before), _IN_URL.search(after)
    if now is None:
        return after != before and "://" not in after
    password = now.group("password")
    return not REFERENCE.fullmatch(password) and (was is None or was.group("password") != password)


def generated(name: str) -> bool:
    """Whether a name looks as if kustomize had made it from the content: the next apply makes one of another name."""
    return bool(_GENERATED.search(name))
