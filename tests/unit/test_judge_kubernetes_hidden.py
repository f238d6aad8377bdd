# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the API server does not give is neither well nor ill: each kind of object that is missing, and what is said of it. One row a kind."""

from __future__ import annotations

import pytest
from samples_cluster import answers, deployment, judged, pod, replicaset, seen, service

from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes import judge_kubernetes
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.stack import judge_stack
from ansible_collections.aiops.runbook.plugins.module_utils.model import Clear, Finding, Unseen, unseen

SERVICE, SLICE = service()
POLICY = {
    "metadata": {"name": "closed", "namespace": "shop", "creationTimestamp": "2026-11-01T00:00:00Z"},
    "spec": {"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"]},
}
# kind of object: the finding that cannot be judged without it.
KINDS = {
    "deployments": "workload.rollout_stuck",
    "replicasets": "workload.rollout_stuck",
    "statefulsets": "workload.rollout_stuck",
    "daemonsets": "workload.rollout_stuck",
    "events": "pod.cannot_be_made",
    "services": "service.selects_nothing",
    "endpointslices": "service.no_endpoints",
    "ingresses": "ingress.backend_missing",
    "networkpolicies": "network.partitioned",
    "nodes": "node.not_ready",
    "horizontalpodautoscalers": "autoscaling.metric_unknown",
    "poddisruptionbudgets": "workload.budget_blocks",
    "persistentvolumeclaims": "storage.claim_pending",
    "resourcequotas": "quota.nearly_used_up",
    "jobs": "job.failed",
    "cronjobs": "schedule.missed",
    "inside": "network.unreachable",
}


@pytest.mark.parametrize(("kind", "finding"), KINDS.items(), ids=list(KINDS))
def test_what_is_not_given_is_unseen_and_nothing_is_blamed(kind: str, finding: str) -> None:
    why = unseen("the API server answered 500", kind="server_error", fix="grant it")
    given = {"services": [SERVICE], "endpointslices": [SLICE], kind: why}
    document = seen(*([] if kind == "deployments" else [deployment()]), replicaset(), pod(), **given)
    assert finding in answers(document, Unseen)
    assert answers(document, Unseen)[finding].fix == "grant it"
    assert [one for one in judged(document) if one[0] != "resources.unset"] == []


def test_a_service_of_workloads_that_are_not_known_is_not_said_to_pick_nothing() -> None:
    """A Deployment that is scaled to nothing has no pod that could tell of it."""
    denied = unseen("this account may not list deployments", kind="denied")
    document = seen(pod("other"), replicaset("other"), services=[SERVICE], endpointslices=[SLICE], deployments=denied)
    assert "service.selects_nothing" not in answers(document, Finding)


@pytest.mark.parametrize(("inside", "connects", "kind"), [(True, True, Clear), (True, False, Finding), (False, True, Unseen), (False, False, Unseen)])
def test_a_policy_is_judged_by_what_is_tried_from_inside(inside: bool, connects: bool, kind: type) -> None:
    """Nodes reach their own pods whatever a policy says."""
    way = {"from": "api", "to": "db", "host": "db", "port": 8000, "inside": inside, "resolves": True, "addresses": ["10.96.0.9"], "connects": connects}
    document = seen(
        *(deployment(), replicaset(), pod()), *(deployment("db"), replicaset("db"), pod("db")),
        roles={"db": "postgres", "api": "api"}, parts={"reach": [{**way, "setting": "DATABASE_URL", "kind": "postgres", "error": "timeout"}]},
        networkpolicies=[POLICY], services=[service("db")[0]], endpointslices=[service("db")[1]],
    )  # fmt: skip
    given = [one for one in judge_kubernetes(document, Limits()) if one.id == "network.partitioned"]
    assert [type(one) for one in given] == [kind]


@pytest.mark.parametrize(("hidden", "kind"), [(None, Finding), ("services", Unseen), ("ingresses", Unseen)])
def test_no_way_in_is_blamed_where_the_ways_in_are_not_known(hidden: str | None, kind: type) -> None:
    more = {hidden: unseen("the API server answered 500", kind="server_error")} if hidden else {}
    document = seen(deployment(), replicaset(), pod(), roles={"api": "api"}, parts={"outsiders": []}, **more)
    given = [one for one in judge_stack(document, Limits()) if one.id == "network.port_not_published"]
    assert [type(one) for one in given] == [kind]
