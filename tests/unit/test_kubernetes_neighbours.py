# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Two stacks in one namespace, told apart by a label: what belongs to the other is neither judged nor blamed."""

from __future__ import annotations

from typing import Any

import pytest
from samples import NOW, component, instance, stack
from samples_cluster import deployment, meta, objects, pod, replicaset, service

from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes import judge_kubernetes
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.model import Finding
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes import compact
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_common import Neighbours

OURS, THEIRS = {"instance": "orders"}, {"instance": "returns"}


@pytest.mark.parametrize(
    ("selector", "labels", "ours"),
    [
        ("", {}, True),
        ("instance=orders", OURS, True),
        ("instance=orders", THEIRS, False),
        ("instance=orders", {}, False),
        ("instance==orders, tier=web", {**OURS, "tier": "web"}, True),
        ("instance==orders, tier=web", OURS, False),
        ("instance!=returns", OURS, True),
        ("instance!=returns", {}, True),
        ("instance != returns", THEIRS, False),
        ("instance in (orders, shop),tier", {**OURS, "tier": ""}, True),
        ("instance in (orders, shop),tier", OURS, False),
        ("instance notin (returns)", THEIRS, False),
        ("!canary", OURS, True),
        ("!canary", {"canary": "yes"}, False),
        ("app.kubernetes.io/instance=orders", {"app.kubernetes.io/instance": "orders"}, True),
    ],
)
def test_whose_an_object_is(selector: str, labels: dict[str, str], ours: bool) -> None:
    assert Neighbours(selector).has({"metadata": {"name": "x", "labels": labels}}) is not ours


def labelled(made: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    return {**made, "metadata": {**made["metadata"], "labels": labels}}


def seen(selector: str, labels: dict[str, str], picker: dict[str, str]) -> dict[str, Any]:
    """The stack `api`, and beside it a Service, an Ingress, an autoscaler, a claim and a budget with these labels, of pods that were not read."""
    own, own_slice = service()
    other = labelled(service("api-returns", selector=picker)[0], labels)
    scaler = {"metadata": meta("api-returns", labels=labels), "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "returns"}, "maxReplicas": 2}}
    failed = {"type": "AbleToScale", "status": "False", "reason": "FailedGetScale", "message": "not found"}
    claim = {"metadata": meta("returns", labels=labels), "spec": {"storageClassName": "gold"}, "status": {"phase": "Pending"}}
    door = {"metadata": meta("returns", labels=labels), "spec": {"defaultBackend": {"service": {"name": "nobody", "port": {"number": 80}}}}}
    kinds = {
        "services": [own, other],
        "endpointslices": [own_slice],
        "horizontalpodautoscalers": [{**scaler, "status": {"conditions": [failed]}}],
        "persistentvolumeclaims": [claim],
        "ingresses": [door],
        "storageclasses": [{"metadata": {"name": "plain"}}],
    }
    facts = compact(objects(deployment(), replicaset(), pod(), **kinds), "shop", NOW, selector=selector)
    copies = [instance("api-1", state="running", listening=[8000])]
    return stack({**component("api", "api", *copies), "instances": copies}, platform="kubernetes", kubernetes=facts)


def ill(document: dict[str, Any]) -> set[str]:
    return {one.id for one in judge_kubernetes(document, Limits()) if isinstance(one, Finding) and one.id not in ("resources.unset",)}


ALL = {"service.selects_nothing", "autoscaling.target_missing", "storage.claim_pending", "ingress.backend_missing"}


@pytest.mark.parametrize(
    ("selector", "labels", "picker", "expected"),
    [
        ("", THEIRS, THEIRS, ALL),  # one stack has it all
        ("instance=orders", OURS, {"app": "apo"}, ALL),  # it bears our label: ours, and wrong
        ("instance=orders", THEIRS, THEIRS, set()),
        ("instance=orders", {}, {"app": "returns"}, set()),
    ],
)
def test_what_belongs_to_another_stack_is_not_blamed(selector: str, labels: dict[str, str], picker: dict[str, str], expected: set[str]) -> None:
    assert ill(seen(selector, labels, picker)) == expected


def test_what_leads_to_ours_is_ours_whatever_its_labels() -> None:
    document = seen("instance=orders", THEIRS, {"app": "api"})
    assert {one["name"]: one["components"] for one in document["kubernetes"]["services"]} == {"api": ["api"], "api-returns": ["api"]}
    assert not any(one["foreign"] for one in document["kubernetes"]["services"])
