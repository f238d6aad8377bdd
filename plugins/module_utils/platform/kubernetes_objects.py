# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Everything of a namespace that a look needs: one list for each kind, all at once, trimmed while it is read."""

from __future__ import annotations

from functools import partial
from typing import Any, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubernetes import Cluster
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.probes import Probes

# Key: (where in the API, the resource there).
NAMESPACED = {
    "pods": ("/api/v1", "pods"),
    "services": ("/api/v1", "services"),
    "configmaps": ("/api/v1", "configmaps"),
    "events": ("/api/v1", "events"),
    "persistentvolumeclaims": ("/api/v1", "persistentvolumeclaims"),
    "resourcequotas": ("/api/v1", "resourcequotas"),
    "limitranges": ("/api/v1", "limitranges"),
    "serviceaccounts": ("/api/v1", "serviceaccounts"),
    "deployments": ("/apis/apps/v1", "deployments"),
    "replicasets": ("/apis/apps/v1", "replicasets"),
    "statefulsets": ("/apis/apps/v1", "statefulsets"),
    "daemonsets": ("/apis/apps/v1", "daemonsets"),
    "controllerrevisions": ("/apis/apps/v1", "controllerrevisions"),
    "jobs": ("/apis/batch/v1", "jobs"),
    "cronjobs": ("/apis/batch/v1", "cronjobs"),
    "endpointslices": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "ingresses": ("/apis/networking.k8s.io/v1", "ingresses"),
    "networkpolicies": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "horizontalpodautoscalers": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "poddisruptionbudgets": ("/apis/policy/v1", "poddisruptionbudgets"),
    "podmetrics": ("/apis/metrics.k8s.io/v1beta1", "pods"),
}
CLUSTER_WIDE = {
    "nodes": ("/api/v1", "nodes"),
    "persistentvolumes": ("/api/v1", "persistentvolumes"),
    "storageclasses": ("/apis/storage.k8s.io/v1", "storageclasses"),
    "apiservices": ("/apis/apiregistration.k8s.io/v1", "apiservices"),
}
# What a selector picks; the rest belongs to the namespace as a whole, or is found by who refers to it.
SELECTED = frozenset(["pods", "deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions", "jobs", "cronjobs", "podmetrics"])
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# A longer value of a ConfigMap is no setting.
MOST_TEXT = 1 << 18

Objects = dict[str, Any]


def read_objects(cluster: Cluster, namespaces: Iterable[str], selector: str, timeout: float) -> Objects:
    """{kind: the API's objects, or an unseen entry that says why and which rule is missing}. StackError when not even pods can be read."""
    names = list(namespaces)
    probes = {}
    for kind, (group, resource) in NAMESPACED.items():
        query = {"labelSelector": selector} if selector and kind in SELECTED else {}
        for namespace in names:
            path = "%s/namespaces/%s/%s" % (group, namespace, resource)
            # What was meant of a Service shows only in what was applied; of anything else that is but bulk, and may hold secrets.
            kept = partial(trim, applied=True) if kind == "services" else trim
            probes["%s %s" % (kind, namespace)] = partial(cluster.every, path, query, kept)
    for kind, (group, resource) in CLUSTER_WIDE.items():
        probes[kind + " "] = partial(cluster.every, "%s/%s" % (group, resource), None, trim)
    first = Probes().begin({name: probes.pop(name) for name in list(probes) if name.startswith("pods ")}, timeout=timeout)
    rest = Probes().begin(probes, timeout=timeout)
    answers = first.answers()
    for answer in answers.values():
        why = why_unseen(answer)
        if why:  # without pods there is nothing to wait for
            raise StackError(why["reason"], kind=why["kind"], fix=why["fix"])
    found: Objects = {}
    for name, answer in {**answers, **rest.answers()}.items():
        kind = name.split(" ")[0]
        why = why_unseen(answer)
        if why:
            found[kind] = answer  # of several namespaces, what one of them hides is not known of the whole
        elif kind not in found:
            found[kind] = answer
        elif isinstance(found[kind], list):
            found[kind] += answer
    return found


def trim(found: dict[str, Any], applied: bool = False) -> dict[str, Any]:
    """An object without what nobody asks: a third of a pod is bookkeeping. Who changed it last, and when, stays."""
    meta = found.get("metadata") or {}
    if "managedFields" in meta:
        meta["managedFields"] = [{key: one.get(key) for key in ("manager", "operation", "time", "subresource")} for one in meta["managedFields"]]
    if LAST_APPLIED in (meta.get("annotations") or {}) and not applied:
        meta["annotations"][LAST_APPLIED] = ""
    if "binaryData" in found:
        found["binaryData"] = dict.fromkeys(found["binaryData"], "")
    data = found.get("data")
    if isinstance(data, dict):
        for key, value in data.items():
            if isinstance(value, str) and len(value) > MOST_TEXT:
                data[key] = ""
    status = found.get("status")
    if isinstance(status, dict):
        status.pop("images", None)  # a node lists every image that it holds
    return found


def listed(objects: Objects, kind: str) -> list[dict[str, Any]]:
    """The objects of a kind; [] where they could not be read."""
    found = objects.get(kind)
    return found if isinstance(found, list) else []


def by_name(objects: Objects, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
    return next((one for one in listed(objects, kind) if one["metadata"]["name"] == name and one["metadata"].get("namespace", "") == namespace), None)


def owner_of(found: dict[str, Any]) -> dict[str, Any] | None:
    """The owner reference of who controls an object."""
    return next((one for one in found["metadata"].get("ownerReferences") or [] if one.get("controller")), None)


def changed_at(found: dict[str, Any]) -> str:
    """When an object's content was written last, as the API tells it: its status counts not."""
    meta = found["metadata"]
    times = [one["time"] for one in meta.get("managedFields") or [] if one.get("time") and not one.get("subresource")]
    return max(times, default=meta.get("creationTimestamp") or "")
