# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What only Kubernetes has, judged by subject; on another platform nobody is asked."""

from __future__ import annotations

from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.judge import (
    kubernetes_autoscaling,
    kubernetes_config,
    kubernetes_images,
    kubernetes_jobs,
    kubernetes_network,
    kubernetes_pods,
    kubernetes_probes,
    kubernetes_resources,
    kubernetes_services,
    kubernetes_sidecars,
    kubernetes_storage,
    kubernetes_view,
    kubernetes_workloads,
    view,
)
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import Clear, Finding

# Importing them is what registers their judges.
SUBJECTS = (
    kubernetes_autoscaling,
    kubernetes_config,
    kubernetes_images,
    kubernetes_jobs,
    kubernetes_network,
    kubernetes_pods,
    kubernetes_probes,
    kubernetes_resources,
    kubernetes_services,
    kubernetes_sidecars,
    kubernetes_storage,
    kubernetes_workloads,
)
# What a worker that sleeps for want of work is not to be blamed for.
ASLEEP = ("celery.no_worker", "celery.worker_not_responding")


def judge_kubernetes(seen: dict[str, Any], limits: Limits) -> list[Answer]:
    """Every answer of this domain; [] for a stack that does not stand on Kubernetes."""
    if not seen.get("kubernetes") or "unseen" not in seen["kubernetes"] or "workloads" not in seen["kubernetes"]:
        return []
    return list(judge_domain(kubernetes_view.DOMAIN, seen, limits))


def awake(seen: dict[str, Any], answers: list[Answer]) -> list[Answer]:
    """The answers, with what is said of workers that were scaled to zero because nothing waits turned into what it is: nothing."""
    works = seen.get("kubernetes", {}).get("workloads") or {}
    workers = [name for name in works if view.role(seen, name) == "worker"]
    if not workers or not all(works[name]["wanted"] == 0 and kubernetes_workloads.sleeper(seen, name) for name in workers):
        return answers
    return [
        Clear(one.id, one.component, one.evidence) if isinstance(one, Finding) and one.id in ASLEEP and not one.evidence.get("waiting") else one
        for one in answers
    ]
