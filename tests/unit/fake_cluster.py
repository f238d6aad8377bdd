# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An API server that keeps objects in a dictionary, with the rules of resourceVersion; it can refuse, and lose its answers."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubernetes import rule_of, rule_text
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

ACCOUNT = "/api/v1/namespaces/shop/serviceaccounts/default"


class FakeCluster:
    """As connect.kubernetes.Cluster, as far as it is asked for single objects.

    objects: by path. denied: {"verb resource"} that nobody may. down: whether it answers at all. stumbles: for each further write,
    whether it is done ("done") or not ("not done") before its answer is lost. asked: (method, path) of everything; tried: of what was but
    a dry run. defaults: what the server makes of an object that is written.
    """

    timeout = 1.0

    def __init__(self) -> None:
        self.ahead = 0.0
        self.objects: dict[str, Any] = {}
        self.denied: set[str] = set()
        self.down = False
        self.stumbles: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.tried: list[tuple[str, str]] = []
        self.defaults: Callable[[Any], None] = lambda found: None
        self._lock, self._version = threading.Lock(), 0
        self._keep(ACCOUNT, {"metadata": {"name": "default", "uid": "3f1f6d4e-9a1e-4a6e-8a52-c1fbb2b1a1d7"}})

    def get(self, path: str, query: Any = None) -> Any:
        with self._lock:
            self._enter("GET", path)
            return self._found("GET", path)

    def every(self, path: str, query: Any = None, trim: Any = None) -> list[Any]:
        with self._lock:
            self._enter("GET", path)
            found = [copy.deepcopy(one) for where, one in sorted(self.objects.items()) if where.rsplit("/", 1)[0] == path and selected(query, one)]
        return [trim(one) for one in found] if trim else found

    def change(self, method: str, path: str, body: Any = None, query: Any = None, content_type: str = "application/json") -> Any:
        with self._lock:
            self._enter(method, path)
            how = self.stumbles.pop(0) if self.stumbles else ""
            if how == "not done":
                raise StackError("the API server did not answer in time", kind="timeout")
            before = (copy.deepcopy(self.objects), self._version)
            answer = {"POST": self._post, "PATCH": self._patch, "DELETE": self._delete}[method](path, body)
            if (query or {}).get("dryRun"):
                self.objects, self._version = before
                self.tried.append((method, path))
            if how == "done":
                raise StackError("the API server did not answer in time", kind="timeout")
            return answer

    def _enter(self, method: str, path: str) -> None:
        self.asked.append((method, path))
        if self.down:
            raise StackError("the API server did not answer in time", kind="timeout")
        rule = rule_of(method, path)
        if "%s %s" % (rule["verb"], rule["resource"]) in self.denied:
            raise StackError("this account may not %s %s" % (rule["verb"], rule["resource"]), kind="denied", fix=rule_text(rule), rule=rule)

    def _found(self, method: str, path: str) -> Any:
        if path not in self.objects:
            raise StackError("the API server answered 404 to %s %s" % (method, path), kind="not_found")
        return copy.deepcopy(self.objects[path])

    def _keep(self, path: str, found: Any) -> Any:
        self._version += 1
        found["metadata"]["resourceVersion"] = str(self._version)
        self.objects[path] = copy.deepcopy(found)
        return found

    def _post(self, path: str, body: Any) -> Any:
        path = "%s/%s" % (path, body["metadata"]["name"])
        if path in self.objects:
            raise StackError("the API server answered 409 to POST %s" % path, kind="conflict")
        return self._keep(path, {**copy.deepcopy(body), "metadata": {"uid": "uid-made-%d" % (self._version + 1), **copy.deepcopy(body["metadata"])}})

    def _patch(self, path: str, body: Any) -> Any:
        found = self._found("PATCH", path)
        if isinstance(body, list):
            found = json_patched(found, body)
            self.defaults(found)
            if "generation" in found["metadata"] and found.get("spec") != self.objects[path].get("spec"):
                found["metadata"]["generation"] += 1
            return self._keep(path, found)
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted is not None and wanted != found["metadata"]["resourceVersion"]:
            raise StackError("the API server answered 409 to PATCH %s" % path, kind="conflict")
        return self._keep(path, merged(found, body))

    def _delete(self, path: str, body: Any) -> Any:
        found = self._found("DELETE", path)
        if any(found["metadata"].get(key) != value for key, value in ((body or {}).get("preconditions") or {}).items()):
            raise StackError("the API server answered 409 to DELETE %s" % path, kind="conflict")
        return self.objects.pop(path)


def selected(query: Any, one: Any) -> bool:
    """Whether a list's label selector (a=b,c=d) picks an object."""
    pairs = [pair.split("=", 1) for pair in ((query or {}).get("labelSelector") or "").split(",") if "=" in pair]
    return all((one["metadata"].get("labels") or {}).get(key) == value for key, value in pairs)


def json_patched(found: Any, changes: list[Any]) -> Any:
    """RFC 6902, as far as it is used; a test that fails is told as the server tells it."""
    for one in changes:
        words = [word.replace("~1", "/").replace("~0", "~") for word in one["path"].split("/")[1:]]
        place = found
        for word in words[:-1]:
            place = place[int(word)] if isinstance(place, list) else place[word]
        last: Any = int(words[-1]) if isinstance(place, list) else words[-1]
        if one["op"] == "test":
            if place[last] != one["value"]:
                raise StackError("the API server answered 422 to PATCH", kind="invalid")
        elif one["op"] == "remove":
            del place[last]
        elif isinstance(place, list) and one["op"] == "add":
            place.insert(last, copy.deepcopy(one["value"]))
        elif one["op"] == "replace" and isinstance(place, dict) and last not in place:
            raise StackError("the API server answered 422 to PATCH", kind="invalid")
        else:
            place[last] = copy.deepcopy(one["value"])
    return found


def merged(found: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(found) if isinstance(found, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
