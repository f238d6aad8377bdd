# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a container is given: its environment and its mounted files, resolved through ConfigMaps, Secrets and fields.

Secrets are read by name, and of what they hold only the keys that a container refers to are kept. All of it is raw and stays in memory.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Any, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.model import unseen, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import File
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import Objects, changed_at, listed
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import every_container, read_quantity
from ansible_collections.aiops.runbook.plugins.module_utils.times import read_time

REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_.-][\w.-]*)\))")
# What the kubelet adds for every Service of the namespace (service links): no setting of anybody's.
_LINK = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$")


@dataclass
class Held:
    """What a ConfigMap or Secret holds, as far as it was read. data: key -> content; missing: why it could not be read, or None."""

    data: dict[str, bytes] = field(default_factory=dict)
    changed_at: float = 0.0
    missing: dict[str, Any] | None = None


@dataclass
class Given:
    """What one container is given.

    environment: name -> value. secrets: the values that came from Secrets. unread: name -> the unseen entry's reason of a value that
    could not be read. files: path -> File. mounts: as Instance.mounts; each key of a mounted ConfigMap or Secret is one.
    """

    environment: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    unread: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    mounts: list[dict[str, str]] = field(default_factory=list)


def secrets_referred(specs: Iterable[tuple[str, dict[str, Any]]]) -> dict[tuple[str, str], set[str] | None]:
    """The Secrets that containers of these pod specs (namespace, spec) refer to, each with the keys, or None where it is taken whole."""
    wanted: dict[tuple[str, str], set[str] | None] = {}

    def want(namespace: str, name: str, keys: Iterable[str] | None) -> None:
        known = wanted.setdefault((namespace, name), set())
        wanted[(namespace, name)] = None if keys is None or known is None else known | set(keys)

    for namespace, spec in specs:
        for container in every_container(spec):
            for source in container.get("envFrom") or []:
                if source.get("secretRef"):
                    want(namespace, source["secretRef"]["name"], None)
            for entry in container.get("env") or []:
                reference = (entry.get("valueFrom") or {}).get("secretKeyRef")
                if reference:
                    want(namespace, reference["name"], [reference["key"]])
        for volume in spec.get("volumes") or []:
            for kind, source in sources_of(volume):
                if kind == "secret":
                    items = source.get("items")
                    want(namespace, source.get("secretName") or source.get("name") or "", [one["key"] for one in items] if items else None)
    return wanted


def read_secret(found: dict[str, Any], keys: set[str] | None) -> Held:
    """What a Secret holds under these keys; nothing else of it is looked at."""
    data = {}
    for key, value in (found.get("data") or {}).items():
        if keys is None or key in keys:
            try:
                data[key] = base64.b64decode(value or "")
            except ValueError:
                data[key] = b""
    return Held(data, read_time(changed_at(found)))


class Settings:
    """The ConfigMaps of the objects and the Secrets that were read: what each container is given by them."""

    def __init__(self, objects: Objects, secrets: dict[tuple[str, str], Held]) -> None:
        self._unread = why_unseen(objects.get("configmaps"))
        self._maps = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in listed(objects, "configmaps")}
        self._secrets = secrets

    def held(self, kind: str, namespace: str, name: str) -> Held:
        """What a ConfigMap or Secret holds. kind: "configmap" or "secret"."""
        if kind == "secret":
            return self._secrets.get((namespace, name)) or Held(missing=unseen("the Secret %s was not read" % name, kind="absent")["unseen"])
        if self._unread:
            return Held(missing=self._unread)
        found = self._maps.get((namespace, name))
        if found is None:
            return Held(missing=unseen("there is no ConfigMap %s" % name, kind="not_found")["unseen"])
        return Held({key: str(value).encode("utf-8", "surrogateescape") for key, value in (found.get("data") or {}).items()}, read_time(changed_at(found)))

    def changed(self, kind: str, namespace: str, name: str, key: str, value: str | None) -> Settings:
        """The same, with another content of one key (None: without it)."""
        data = dict(self.held(kind, namespace, name).data)
        data.pop(key, None)
        if value is not None:
            data[key] = value.encode("utf-8", "surrogateescape")
        other = Settings({}, {**self._secrets})
        other._unread, other._maps = self._unread, dict(self._maps)
        if kind == "secret":
            other._secrets[(namespace, name)] = Held(data, self.held(kind, namespace, name).changed_at)
        else:
            texts = {one: content.decode("utf-8", "surrogateescape") for one, content in data.items()}
            other._maps[(namespace, name)] = {**self._maps[(namespace, name)], "data": texts}
        return other

    def given(self, pod: dict[str, Any], container: dict[str, Any]) -> Given:
        """What a container of this pod is given; of a template, what the next pod would be."""
        made = Given()
        self._environment(made, pod, container)
        self._files(made, pod, container)
        return made

    def _environment(self, made: Given, pod: dict[str, Any], container: dict[str, Any]) -> None:
        namespace = pod["metadata"].get("namespace", "")
        for source in container.get("envFrom") or []:
            kind, reference = ("secret", source["secretRef"]) if source.get("secretRef") else ("configmap", source.get("configMapRef") or {})
            held = self.held(kind, namespace, reference.get("name", ""))
            if held.missing:
                if not reference.get("optional") or held.missing["kind"] != "not_found":
                    made.unread["(all of the %s %s)" % (_word(kind), reference.get("name", ""))] = held.missing
                continue
            for key, value in held.data.items():
                self._take(made, (source.get("prefix") or "") + key, value, kind)
        for entry in container.get("env") or []:
            name, source = entry["name"], entry.get("valueFrom") or {}
            if not source:
                made.environment[name] = expanded(str(entry.get("value") or ""), made.environment)
            elif source.get("fieldRef"):
                made.environment[name] = field_of(pod, source["fieldRef"].get("fieldPath", ""))
            elif source.get("resourceFieldRef"):
                made.environment[name] = _resource(container, source["resourceFieldRef"])
            else:
                kind, reference = ("secret", source["secretKeyRef"]) if source.get("secretKeyRef") else ("configmap", source.get("configMapKeyRef") or {})
                held = self.held(kind, namespace, reference.get("name", ""))
                key = reference.get("key", "")
                if key in held.data:
                    self._take(made, name, held.data[key], kind)
                elif not reference.get("optional"):
                    missing = unseen("the %s %s has no key %s" % (_word(kind), reference.get("name", ""), key), kind="not_found")["unseen"]
                    made.unread[name] = held.missing or missing

    @staticmethod
    def _take(made: Given, name: str, value: bytes, kind: str) -> None:
        text = value.decode("utf-8", "surrogateescape")
        made.environment[name] = text
        made.unread.pop(name, None)
        if kind == "secret":
            made.secrets.append(text)

    def _files(self, made: Given, pod: dict[str, Any], container: dict[str, Any]) -> None:
        namespace = pod["metadata"].get("namespace", "")
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or []}
        for mount in container.get("volumeMounts") or []:
            volume = volumes.get(mount["name"], {})
            found = dict(self._content(namespace, volume))
            if not found:
                kind = next((key for key in volume if key != "name"), "")
                made.mounts.append({"source": _source_name(volume, kind), "target": mount["mountPath"], "kind": kind})
                continue
            for path, (kind, source, content) in found.items():
                if mount.get("subPath") and mount["subPath"] != path:
                    continue
                target = mount["mountPath"] if mount.get("subPath") else "%s/%s" % (mount["mountPath"].rstrip("/"), path)
                made.mounts.append({"source": source, "target": target, "kind": kind})
                made.files[target] = content
                if kind == "secret":
                    made.secrets.append(content.content.decode("utf-8", "surrogateescape").strip())

    def _content(self, namespace: str, volume: dict[str, Any]) -> Iterable[tuple[str, tuple[str, str, File]]]:
        """(path in the volume, (kind, source, File)) of every key of a ConfigMap or Secret that a volume shows."""
        for kind, source in sources_of(volume):
            name = source.get("secretName") or source.get("name") or ""
            held = self.held(kind, namespace, name)
            paths = {one["key"]: one["path"] for one in source.get("items") or []} or {key: key for key in held.data}
            for key, path in paths.items():
                if key in held.data:
                    yield path, (kind, "%s/%s:%s" % (kind, name, key), File(held.data[key], held.changed_at))


def sources_of(volume: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """The ConfigMaps and Secrets of a volume, also of a projected one."""
    for one in [volume, *((volume.get("projected") or {}).get("sources") or [])]:
        if one.get("secret"):
            yield "secret", one["secret"]
        if one.get("configMap"):
            yield "configmap", one["configMap"]


def _source_name(volume: dict[str, Any], kind: str) -> str:
    source = volume.get(kind) or {}
    return str(source.get("claimName") or source.get("secretName") or source.get("name") or source.get("path") or kind)


def _word(kind: str) -> str:
    return "Secret" if kind == "secret" else "ConfigMap"


def expanded(value: str, environment: dict[str, str]) -> str:
    """$(NAME) as the kubelet fills it in: what is not known stays as it is, and $$ is a dollar sign."""
    return REFERENCE.sub(lambda match: "$" if match.group(1) == "$" else environment.get(match.group(2), match.group(0)), value)


def field_of(pod: dict[str, Any], path: str) -> str:
    """The value of a field of the pod, as the downward API gives it."""
    match = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if match:
        return str((pod["metadata"].get(match.group(1)) or {}).get(match.group(2), ""))
    found: Any = pod
    for word in path.split("."):
        found = found.get(word) if isinstance(found, dict) else None
    return "" if found is None else str(found)


def _resource(container: dict[str, Any], reference: dict[str, Any]) -> str:
    where, _dot, what = str(reference.get("resource") or "").partition(".")
    value = read_quantity(((container.get("resources") or {}).get(where) or {}).get(what))
    divisor = read_quantity(reference.get("divisor")) or 1.0
    return str(-int(-value // divisor))


def without_links(environment: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    """A process's environment without what the kubelet adds for the Services of its namespace, unless the container was given it by its own spec."""
    linked = {name[: -len("_SERVICE_HOST")] for name in environment if name.endswith("_SERVICE_HOST")}
    return {
        name: value for name, value in environment.items() if name in given or not (_LINK.search(name) and any(name.startswith(one + "_") for one in linked))
    }
