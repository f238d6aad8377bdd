# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets that are no settings: accounts for registries, and certificates. Of an account only its registry is told, of a certificate what it shows to all."""

from __future__ import annotations

import base64
import binascii
import json
from functools import partial
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubernetes import Cluster
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.platform.certificate import read_certificate
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import Objects, listed
from ansible_collections.aiops.runbook.plugins.module_utils.probes import Probes

PULL_TYPES = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}
PULLING = ("ErrImagePull", "ImagePullBackOff")
# A namespace may hold many: those of one look are bounded.
MOST_SECRETS = 20


def secret_facts(cluster: Cluster, objects: Objects, timeout: float) -> list[dict[str, Any]]:
    """[{"kind", "name", "namespace", "missing": why or None, "registries": [...] or None, "certificate": {...} or None}] of the Secrets that matter now.

    Accounts for registries are read only while an image cannot be pulled. What may not be read has but "unread": why.
    """
    places = [*certificates_named(objects), *(accounts_named(objects) if pulling(objects) else [])]
    paths = {place: "/api/v1/namespaces/%s/secrets/%s" % place for place in list(dict.fromkeys(places))[:MOST_SECRETS]}
    answers = Probes().gather({path: partial(_read, cluster, path) for path in paths.values()}, timeout=timeout) if paths else {}
    found = []
    for (namespace, name), path in paths.items():
        why = why_unseen(answers[path])
        fact = answers[path] if not why else {"missing": why["reason"]} if why["kind"] == "not_found" else {"unread": why}
        found.append({"kind": "Secret", "name": name, "namespace": namespace, "missing": None, "registries": None, "certificate": None, **fact})
    return found


def _read(cluster: Cluster, path: str) -> dict[str, Any]:
    try:
        return fact_of(cluster.get(path))
    except StackError as error:
        if error.kind == "not_found":
            raise StackError("there is no Secret %s" % path.rsplit("/", 1)[-1], kind="not_found") from None
        raise


# Pure.


def fact_of(found: dict[str, Any]) -> dict[str, Any]:
    """What may be told of a Secret."""
    fact: dict[str, Any] = {"type": found.get("type") or ""}
    if found.get("type") in PULL_TYPES:
        fact["registries"] = sorted(accounts_of(found))
    text = (found.get("data") or {}).get("tls.crt")
    if text:
        fact["certificate"] = read_certificate(decoded(text))
    return fact


def accounts_of(found: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """{registry: (user, password)} of a pull secret; {} of one that cannot be read."""
    key = PULL_TYPES.get(str(found.get("type") or ""), "")
    try:
        content = json.loads(decoded((found.get("data") or {}).get(key) or ""))
    except ValueError:
        return {}
    content = content.get("auths") if key == ".dockerconfigjson" and isinstance(content, dict) else content
    accounts = {}
    for registry, account in content.items() if isinstance(content, dict) else ():
        account = account if isinstance(account, dict) else {}
        user, password = str(account.get("username") or ""), str(account.get("password") or "")
        if not user:
            user, _colon, password = decoded(str(account.get("auth") or "")).decode("utf-8", "replace").partition(":")
        accounts[str(registry)] = (user, password)
    return accounts


def decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""


def pulling(objects: Objects) -> bool:
    """Whether a container waits for an image that cannot be pulled."""
    for pod in listed(objects, "pods"):
        status = pod.get("status") or {}
        for one in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
            if ((one.get("state") or {}).get("waiting") or {}).get("reason") in PULLING:
                return True
    return False


def accounts_named(objects: Objects) -> list[tuple[str, str]]:
    """(namespace, name) of every pull secret that a pod, a workload or a service account names."""
    holders = [(pod["metadata"], pod["spec"]) for pod in listed(objects, "pods")]
    for kind in ("deployments", "statefulsets", "daemonsets"):
        holders += [(work["metadata"], work["spec"]["template"]["spec"]) for work in listed(objects, kind)]
    holders += [(account["metadata"], account) for account in listed(objects, "serviceaccounts")]
    named = [(meta["namespace"], one["name"]) for meta, holder in holders for one in holder.get("imagePullSecrets") or [] if one.get("name")]
    return sorted({*named})


def certificates_named(objects: Objects) -> list[tuple[str, str]]:
    """(namespace, name) of every Secret whose certificate an Ingress shows."""
    found = [
        (one["metadata"]["namespace"], tls["secretName"])
        for one in listed(objects, "ingresses")
        for tls in (one.get("spec") or {}).get("tls") or []
        if tls.get("secretName")
    ]
    return sorted({*found})
