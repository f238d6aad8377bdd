# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A ConfigMap or Secret of a cluster, by its keys; and the Secret of ours that stands beside a workload whose own entries need one."""

from __future__ import annotations

import base64
from typing import Any, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused
from ansible_collections.aiops.runbook.plugins.module_utils.act.cluster import FIELD_MANAGER, ClusterObject
from ansible_collections.aiops.runbook.plugins.module_utils.act.setting_places import WORDS, Key
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

# What is added to a workload's name for that of ours.
OURS = "-aiops-runbook"
MANAGED_BY = "app.kubernetes.io/managed-by"


class Store(ClusterObject):
    """A ConfigMap or Secret. missing: it is not there, and is made when it is changed."""

    def __init__(self, cluster: Any, namespace: str, key: Key) -> None:
        self.secret = key.kind == "secret"
        self.collection = "/api/v1/namespaces/%s/%ss" % (namespace, key.kind)
        self.missing = False
        super().__init__(cluster, WORDS[key.kind], "%s/%s" % (self.collection, key.name))

    def read(self) -> dict[str, Any]:
        try:
            return super().read()
        except StackError as error:
            if error.kind != "not_found" or not self.name.endswith(OURS):
                raise
        self.missing = True
        self.object = {
            "apiVersion": "v1",
            "kind": self.kind,
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": {MANAGED_BY: FIELD_MANAGER}, "uid": ""},
        }
        return self.object

    def value(self, key: str) -> str | None:
        text = (self.object.get("data") or {}).get(key)
        if text is None or not self.secret:
            return text
        return base64.b64decode(text).decode("utf-8", "surrogateescape")

    def with_values(self, values: Mapping[str, str | None]) -> dict[str, Any]:
        """The whole of it with these values; None: without that key."""
        data = dict(self.object.get("data") or {})
        for key, value in values.items():
            data.pop(key, None)
            if value is not None:
                data[key] = base64.b64encode(value.encode("utf-8", "surrogateescape")).decode("ascii") if self.secret else value
        return {**self.object, "data": data}

    def made(self, wanted: Mapping[str, Any], query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Make it, where it is missing."""
        body = {**wanted, "metadata": {key: value for key, value in wanted["metadata"].items() if key != "uid"}}
        answer: dict[str, Any] = self.cluster.change("POST", self.collection, body, {"fieldManager": FIELD_MANAGER, **(query or {})})
        return answer

    def refuse_fixed(self) -> None:
        if self.name.endswith(OURS) and (self.object["metadata"].get("labels") or {}).get(MANAGED_BY) != FIELD_MANAGER:
            raise Refused("%s is not ours, though it bears the name that ours would" % self, fix="give the value by a Secret of your own")
        if self.object.get("immutable"):
            raise Refused("%s is immutable" % self, fix="make one of another name that says what is right, and let its readers refer to that")
