# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An object of a cluster that a remedy changes: read anew, tried by the server itself, changed only when nobody else did meanwhile."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_owners import managers

FIELD_MANAGER = "aiops-runbook"
# How often the status of an object may change under our hands before we give up; some are written all the time.
ATTEMPTS = 5
JSON_PATCH = "application/json-patch+json"
# What to do at the source of who would take a change back.
_ADVICE = {
    "Argo CD": "change it in the application's source, or pause its automated sync",
    "Flux": "change it in its source, or suspend that: flux suspend",
    "Argo Rollouts": "change the Rollout",
    "KEDA": "change the ScaledObject",
    "operator": "change that object",
}


class ClusterObject:
    """One object, as it is now. kind: as the API says it ("Deployment"). path: where the API has it; a namespaced one's names its namespace."""

    def __init__(self, cluster: Any, kind: str, path: str) -> None:
        self.cluster, self.kind, self.path = cluster, kind, path
        words = path.strip("/").split("/")
        self.name = words[-1]
        self.namespace = words[words.index("namespaces") + 1] if "namespaces" in words[:-1] else ""
        self.object: dict[str, Any] = self.read()

    def __str__(self) -> str:
        return "%s/%s" % (self.kind.lower(), self.name)

    def read(self) -> dict[str, Any]:
        self.object = self.cluster.get(self.path)
        return self.object

    @property
    def uid(self) -> str:
        return str(self.object["metadata"]["uid"])

    @property
    def version(self) -> str:
        """Which version of what somebody wants of it this is: its status may change, this does not."""
        generation = self.object["metadata"].get("generation")
        return str(generation) if generation else version_of(self.object)

    def identity(self) -> dict[str, Any]:
        """What a preview calls its target."""
        return {"object": str(self), "namespace": self.namespace, "uid": self.uid, "version": self.version}

    def managers(self) -> list[dict[str, str]]:
        return managers(self.object["metadata"], self.kind, self.name)

    def refuse_owned(self) -> None:
        """Refused where somebody's source of truth would take a change back, with what to do there. Helm does not, until its next upgrade: lasting()."""
        for one in self.managers():
            if one["tool"] in _ADVICE:
                who = one["name"] if one["tool"] == "operator" else "%s (%s)" % (one["tool"], one["name"])
                raise Refused("%s is kept by %s, which would take the change back" % (self, who), fix=_ADVICE[one["tool"]], kind="owned")

    def lasting(self) -> list[str]:
        """What somebody has to write down elsewhere for a change to last."""
        releases = [one["name"] for one in self.managers() if one["tool"] == "Helm"]
        text = "%s belongs to the Helm release %s: change its values too, or its next upgrade brings back what is there now"
        return [text % (self, name) for name in releases]

    def tried(self, changes: Iterable[dict[str, Any]]) -> dict[str, Any]:
        """What the server would make of these changes (a JSON patch): it does everything but keep them."""
        return self._patch(changes, {"dryRun": "All"})

    def change(self, changes: Iterable[dict[str, Any]], version: str) -> None:
        """Make these changes (a JSON patch), if what is wanted of the object is still what it was in this version; a StackError (stale) otherwise."""
        changes = list(changes)
        problem: StackError | None = None
        for _attempt in range(ATTEMPTS):
            self.read()
            if self.version != version:
                raise StackError("%s was changed by somebody else meanwhile" % self, kind="stale", fix="diagnose again")
            guard = {"op": "test", "path": "/metadata/resourceVersion", "value": self.object["metadata"]["resourceVersion"]}
            try:
                self.object = self._patch([guard, *changes], {})
                return
            except StackError as error:
                # A test that fails is told as invalid.
                if error.kind not in ("conflict", "invalid"):
                    raise
                problem = error
        if problem is not None:
            raise problem

    def _patch(self, changes: Iterable[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
        answer: dict[str, Any] = self.cluster.change("PATCH", self.path, list(changes), {"fieldManager": FIELD_MANAGER, **query}, JSON_PATCH)
        return answer


def version_of(found: dict[str, Any]) -> str:
    """A hash of what is wanted of an object: everything but its status and what the server notes of it."""
    kept = {key: value for key, value in found.items() if key not in ("metadata", "status")}
    meta = found.get("metadata") or {}
    kept["metadata"] = {key: meta.get(key) for key in ("labels", "annotations")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def pointer(*words: str) -> str:
    """A JSON pointer (RFC 6901) to this place."""
    return "".join("/" + str(word).replace("~", "~0").replace("/", "~1") for word in words)
