# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on ConfigMaps and Secrets that were changed after the pods that read them were started."""

from __future__ import annotations

from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import INFO, MEDIUM, Clear, Finding, why_unseen


@judges("config.restart_pending", domain=kube.DOMAIN)
def changed(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A source of the environment that was changed since a pod was started: the program still has the old values. A note.

    Where the values can be compared (drift, and what its program was started with), they decide: a source that was written anew with the same
    values changes nothing. A value that no server accepts any more is config.stale_environment.
    """
    sources = kube.facts(seen)["config"] + [one for one in kube.facts(seen)["secrets"] if one.get("changed_at")]
    drift = seen.get("drift")
    compared = drift is not None and not why_unseen(drift)
    for work in kube.workloads(seen):
        name = work["component"]
        running = [group for group in kube.staying(work) if group["started"]]
        if work["finite"] or not running:
            continue
        names = {(ref["kind"], ref["name"]) for ref in work["refs"] if ref["how"] in ("env", "env_from")}
        since = min(group["started"][0] for group in running)
        later = [one for one in sources if (one["kind"], one["name"]) in names and one["namespace"] == work["namespace"] and one["changed_at"] > since]
        known = compared and any(one["processes"] for one in (seen["components"].get(name) or {"instances": []})["instances"])
        differs = sorted(((drift or {}).get(name) or {}).get("settings", [])) if known else []
        evidence = {**kube.base(work), "sources": ["%s/%s" % (one["kind"].lower(), one["name"]) for one in later], "settings": differs}
        if differs or (later and not known):
            changed_at = max((one["changed_at"] for one in later), default=0.0)
            evidence["seconds"] = round(kube.age(seen, changed_at)) if changed_at else None
            yield Finding("config.restart_pending", name, INFO, evidence, "high" if differs else MEDIUM)
        else:
            yield Clear("config.restart_pending", name, {**evidence, "of": len(names)})
