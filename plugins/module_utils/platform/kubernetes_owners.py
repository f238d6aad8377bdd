# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who looks after an object of a cluster, and would put back what somebody else changes."""

from __future__ import annotations

from typing import Any

# The API groups whose owners Kubernetes itself brings; any other owner is an operator's.
_BUILT_IN = ("apps/", "batch/", "v1", "autoscaling/", "policy/")
_BY_API = (("argoproj.io/", "Argo Rollouts"), ("keda.sh/", "KEDA"))
_FLUX = (("Kustomization", "kustomize.toolkit.fluxcd.io"), ("HelmRelease", "helm.toolkit.fluxcd.io"))


def managers(meta: dict[str, Any], kind: str = "", name: str = "", owners: Any = None) -> list[dict[str, str]]:
    """[{"tool", "name", "api"?}], the nearest owner first; [] for an object that belongs to itself.

    meta: its metadata. kind, name: what it is, where that alone tells. owners: its ownerReferences, where they are another's to tell.
    """
    labels, notes = meta.get("labels") or {}, meta.get("annotations") or {}
    written = {one.get("manager") or "" for one in meta.get("managedFields") or []}
    known: list[dict[str, str]] = []
    for owner in meta.get("ownerReferences") or owners or []:
        api = str(owner.get("apiVersion") or "")
        if api.startswith(_BUILT_IN):
            continue
        tool = next((tool for prefix, tool in _BY_API if api.startswith(prefix)), "operator")
        known.append({"tool": tool, "name": "%s/%s" % (owner["kind"], owner["name"]), **({"api": api} if tool == "operator" else {})})
    if kind == "Rollout" and not any(one["name"] == "Rollout/%s" % name for one in known):
        known.append({"tool": "Argo Rollouts", "name": "Rollout/%s" % name})
    tracked = str(notes.get("argocd.argoproj.io/tracking-id") or "").split(":", maxsplit=1)[0] or labels.get("argocd.argoproj.io/instance") or ""
    if tracked or any(one.startswith("argocd") for one in written):
        known.append({"tool": "Argo CD", "name": tracked or str(labels.get("app.kubernetes.io/instance") or "")})
    for what, prefix in _FLUX:
        if labels.get(prefix + "/name"):
            known.append({"tool": "Flux", "name": "%s/%s/%s" % (what, labels.get(prefix + "/namespace", ""), labels[prefix + "/name"])})
    if notes.get("meta.helm.sh/release-name"):
        known.append({"tool": "Helm", "name": str(notes["meta.helm.sh/release-name"])})
    return known
