# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What only Kubernetes has, once each on a real cluster: two namespaces full of broken things and of well ones, looked at once.

What needs a node, the cluster's own services or traffic is in tests/faults.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import registry
from there import RESOURCES, SERVE, Kubectl, There, apply_all, cluster_py, service, workload
from wards import ACCOUNT, SLEEP, Ward, asleep_by, certificate, claim, ingress, job, looked, mounting, scaler, secret

LIMITS = {"init_seconds_warning": 5, "pod_terminating_seconds_warning": 5, "startup_grace_seconds_warning": 5}
PATIENCE = 150  # seconds until the last of the ills shows
LOGIN = {"auths": {registry.ADDRESS: ACCOUNT}}
ELSEWHERE = {"auths": {"registry.example": ACCOUNT}}

# The ill: (finding, component). Each is a root cause of its own.
ILL = {
    ("image.not_on_node", "never-there"),
    ("image.name_invalid", "bad-name"),
    ("image.registry_unreachable", "no-registry"),
    ("image.denied", "denied"),
    ("image.secret_missing", "secret-missing"),
    ("image.secret_elsewhere", "secret-elsewhere"),
    ("image.not_found", "no-such-tag"),
    ("config.source_missing", "no-settings"),
    ("container.probe_wrong", "probe-wrong"),
    ("pod.no_room", "too-large"),
    ("pod.no_matching_node", "no-node"),
    ("pod.init_failing", "init-fails"),
    ("pod.init_waiting", "init-waits"),
    ("pod.terminating", "held"),
    ("pod.not_ready", "stuck"),
    ("workload.rollout_stuck", "stuck"),
    ("workload.rollout_paused", "paused"),
    ("quota.exceeded", "over-quota"),
    ("quota.limit_range", "out-of-range"),
    ("storage.claim_pending", "no-class"),
    ("storage.claim_missing", "no-claim"),
    ("network.published_port_wrong", "port-wrong"),
    ("network.published_port_wrong", "port-unnamed"),
    ("ingress.backend_missing", "ingress/nowhere"),
    ("tls.certificate_expired", "shown-late"),
    ("tls.certificate_wrong_host", "shown-elsewhere"),
    ("tls.secret_missing", "shown-without"),
    ("autoscaling.target_missing", "autoscaler/nobody"),
    ("autoscaling.no_requests", "unmeasured"),
    ("job.failed", "gave-up"),
}
# What another finding explains: why the program of a Job ended is the cause of the Job's end.
BEHIND = {("job.failed", "gave-up"): ("container.crashed", "gave-up"), ("workload.rollout_stuck", "stuck"): ("pod.not_ready", "stuck")}
# Notes: true, and no illness.
NOTES = {
    ("job.suspended", "not-yet"),
    ("schedule.suspended", "off"),
    ("config.restart_pending", "old-settings"),
    ("workload.budget_blocks", "blocked"),
}
WELL = {"pulled", "well", "done", "scaled", "shown", "settings"}


SERVES = ["python3", "-u", "-c", SERVE]
NO_BEST_EFFORT = {"hard": {"pods": "0"}, "scopes": ["BestEffort"]}


def objects(image: str, pulled: str) -> list[dict[str, Any]]:
    """Everything of the first namespace, the ill first. image: one that is on the node; pulled: one in the registry."""
    docker = "kubernetes.io/dockerconfigjson"
    wait = {"name": "wait", "image": image, "imagePullPolicy": "IfNotPresent", "command": SLEEP, "resources": RESOURCES}
    fail = {**wait, "command": ["sh", "-c", "exit 3"]}
    ready = {"tcpSocket": {"port": 8000}, "periodSeconds": 2}

    asleep = partial(asleep_by, image)

    def serving(name: str, target: int | str = 8000, **more: Any) -> list[dict[str, Any]]:
        return [*workload(name, image, port=8000, command=SERVES, readinessProbe=ready, **more), service(name, 8000, target)]

    return [
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-best-effort"}, "spec": NO_BEST_EFFORT},
        # Images.
        *asleep("never-there", image=image.replace(":latest", ":nowhere"), imagePullPolicy="Never"),
        *asleep("bad-name", image="Not/A:Name:At:All"),
        *asleep("no-registry", image="127.0.0.1:15999/team/app:1.0"),
        *asleep("denied", image=pulled, imagePullPolicy="Always"),
        *asleep("secret-missing", image=pulled, imagePullPolicy="Always", pod={"imagePullSecrets": [{"name": "nowhere"}]}),
        *asleep("secret-elsewhere", image=pulled, imagePullPolicy="Always", pod={"imagePullSecrets": [{"name": "login-elsewhere"}]}),
        *asleep("no-such-tag", image=pulled + "-not", imagePullPolicy="Always", pod={"imagePullSecrets": [{"name": "login"}]}),
        secret("login", {".dockerconfigjson": json.dumps(LOGIN)}, docker),
        secret("login-elsewhere", {".dockerconfigjson": json.dumps(ELSEWHERE)}, docker),
        # What pods need.
        *asleep("no-settings", envFrom=[{"configMapRef": {"name": "not-there"}}]),
        *asleep("too-large", resources={"requests": {"cpu": "500"}, "limits": {"memory": "128Mi"}}),
        *asleep("no-node", pod={"nodeSelector": {"disk": "of-gold"}}),
        *asleep("init-fails", pod={"initContainers": [fail]}),
        *asleep("init-waits", pod={"initContainers": [wait]}),
        *asleep("no-class", pod=mounting("of-gold")),
        *asleep("no-claim", pod=mounting("not-there")),
        claim("of-gold", "gold"),
        # How they are looked after.
        *workload("probe-wrong", image, port=8000, command=SERVES, readinessProbe={"tcpSocket": {"port": 8001}, "periodSeconds": 1, "failureThreshold": 1}),
        *asleep("stuck", spec={"progressDeadlineSeconds": 5}, pod={"readinessGates": [{"conditionType": "aiops.example/never"}]}),
        *asleep("over-quota", resources={}),
        # How they are reached.
        *serving("port-wrong", 8001),
        *serving("port-unnamed", "other"),
        ingress("nowhere", "nowhere.example", "not-there"),
        *[one for name in ("late", "elsewhere", "without") for one in (*asleep("shown-" + name, port=8000), service("shown-" + name, 8000))],
        ingress("late", "late.example", "shown-late", "late"),
        secret("late", certificate("late.example", -3), "kubernetes.io/tls"),
        ingress("elsewhere", "elsewhere.example", "shown-elsewhere", "elsewhere"),
        secret("elsewhere", certificate("somewhere.example", 300), "kubernetes.io/tls"),
        ingress("without", "without.example", "shown-without", "not-there"),
        # How many there are, and what runs once.
        scaler("nobody", "not-there"),
        *asleep("unmeasured", resources={"requests": {"memory": "16Mi"}, "limits": {"memory": "128Mi"}}),
        scaler("unmeasured", "unmeasured"),
        job("gave-up", image, ["sh", "-c", "echo no; exit 4"]),
        # Notes.
        job("not-yet", image, ["true"], suspend=True),
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "off"},
            "spec": {"schedule": "0 3 * * *", "suspend": True, "jobTemplate": {"spec": job("off", image, ["true"])["spec"]}},
        },
        *asleep("blocked"),
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "blocked"},
            "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "blocked"}}},
        },
        *asleep("old-settings", envFrom=[{"configMapRef": {"name": "settings"}}]),
        # The well.
        *asleep("pulled", image=pulled, imagePullPolicy="Always", pod={"imagePullSecrets": [{"name": "login"}]}),
        *serving("well", "main", livenessProbe=ready, pod=mounting("plain")),
        claim("plain", "standard"),
        job("done", image, ["true"]),
        *serving("scaled"),
        scaler("scaled", "scaled"),
        *serving("shown"),
        ingress("shown", "shown.example", "shown", "shown"),
        secret("shown", certificate("*.example", 300), "kubernetes.io/tls"),
    ]


@pytest.fixture(scope="module")
def ward(kubectl: Kubectl, namespace: str, kubeconfig: str, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    """All of it, made; a second namespace has what would hinder the others."""
    image, other = images["llm"], namespace + "-b"
    cluster_py("registry", "up")
    pulled = cluster_py("registry", "push", image, "team/app:1.0").strip()

    put = partial(apply_all, kubectl)

    kubectl("create", "namespace", other)
    try:
        settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"MODE": "old"}}
        put(namespace, settings, *objects(image, pulled))
        most = {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}
        put(other, {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": most})
        put(other, *workload("out-of-range", image, resources={"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "2Gi"}}))
        put(other, *workload("held", image, command=SLEEP), *workload("paused", image, command=SLEEP))
        for where, name in ((namespace, "old-settings"), (other, "held"), (other, "paused")):
            kubectl("-n", where, "rollout", "status", "deployment/" + name, "--timeout=90s", timeout=100)
        put(namespace, {**settings, "data": {"MODE": "new"}})
        (pod,) = kubectl("-n", other, "get", "pods", "-l", "app=held", "-o", "name").split()
        kubectl("-n", other, "patch", pod, "-p", '{"metadata": {"finalizers": ["aiops.example/held"]}}')
        kubectl("-n", other, "delete", pod, "--wait=false")
        kubectl("-n", other, "rollout", "pause", "deployment/paused")
        kubectl("-n", other, "set", "env", "deployment/paused", "MODE=new")
        yield There("ward", (namespace, other), kubeconfig, tmp_path_factory.mktemp("state"))
    finally:
        for pod in kubectl("-n", other, "get", "pods", "-o", "name", check=False).split():
            kubectl("-n", other, "patch", pod, "--type=merge", "-p", '{"metadata": {"finalizers": null}}', check=False)
        kubectl("delete", "namespace", other, "--wait=false", check=False)


@pytest.fixture(scope="module")
def model(ward: There) -> dict[str, Any]:
    """The diagnosis as soon as everything shows, or the last one."""
    return looked(lambda: ward.look(limits=LIMITS), ILL | NOTES, PATIENCE)


class TestWard(Ward):
    ILL, BEHIND, NOTES, WELL, PASSWORD = ILL, BEHIND, NOTES, WELL, registry.PASSWORD
