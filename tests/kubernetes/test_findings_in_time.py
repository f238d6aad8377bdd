# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a real cluster shows only after a while, or with the help of its node, its registry and its autoscaler: once each, beside what is well.

Nodes that are ill are played, and a registry that refuses for too many pulls is a few lines: all that the cluster itself makes of them is real.
"""

from __future__ import annotations

import base64
import datetime
import http.server
import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import node as real
import pytest
import registry
from there import RESOURCES, SERVE, Kubectl, There, apply_all, as_list, cluster_py, service, workload
from wards import ACCOUNT, SLEEP, Ward, asleep_by, certificate, claim, ingress, job, looked, mounting, scaler, secret, volume

LIMITING = ("127.0.0.1", 15997)
PULLING = {"imagePullSecrets": [{"name": "login"}]}
LIMITS = {"autoscaling_turns_warning": 2}
PATIENCE = 270  # seconds until the last of the ills shows: a start that is missed is not called so for three minutes
PLAYED = "aiops.example/played"
LEASE_SECONDS = 5
# Works a twentieth of the time, which is ten times what it asks for.
BUSY = "import time\nwhile True:\n    end = time.monotonic() + 0.005\n    while time.monotonic() < end: pass\n    time.sleep(0.095)"

# The ill: (finding, component). Each is a root cause of its own.
ILL = {
    ("autoscaling.metric_unknown", "asks-elsewhere"),
    ("autoscaling.at_maximum", "busy"),
    ("autoscaling.flapping", "swings"),
    ("container.liveness_kills", "hangs"),
    ("image.digest_drift", "drifted"),
    ("image.platform_missing", "other-machine"),
    ("image.pull_limited", "too-often"),
    ("node.not_ready", "node/ward-lost"),
    ("node.pressure", "node/ward-tight"),
    ("pod.cannot_be_made", "as-root"),
    ("pod.evicted", "writes"),
    ("pod.network_failed", "no-sandbox"),
    ("pod.sidecar_failing", "beside"),
    ("pod.unschedulable", "same-port"),
    ("quota.nearly_used_up", "quota/settings"),
    ("schedule.missed", "late"),
    ("storage.claim_lost", "lost"),
    ("storage.mount_failed", "unmounted"),
    ("storage.nearly_full", "full"),
    ("tls.certificate_expiring", "shown-soon"),
    ("workload.pods_refused", "refused"),
}
# What another finding explains: no Job may be made; the node that is lost might have had that port free.
BEHIND = {("schedule.missed", "late"): ("quota.exceeded", "late"), ("pod.unschedulable", "same-port"): ("node.not_ready", "node/ward-lost")}
# Notes: true, and no illness.
NOTES = {("resources.unset", "bare-cache"), ("node.overcommitted", "node/%s" % real.node_name())}
WELL = {"calm", "steady", "roomy", "shown", "nightly", "on-well", "node/ward-well"}


def objects(image: str, cache: str, drifting: str, namespace: str) -> list[dict[str, Any]]:
    """Everything of the namespace, the ill first. image, cache: on the node; drifting: one in the registry. Volumes belong to no namespace."""
    fluent = {"name": "fluent-bit", "image": image, "imagePullPolicy": "IfNotPresent", "command": SLEEP, "resources": RESOURCES}
    ready = {"tcpSocket": {"port": 8000}, "periodSeconds": 2}
    alive = {"exec": {"command": ["cat", "/tmp/alive"]}, "periodSeconds": 1, "failureThreshold": 1}
    at_once = {"scaleUp": {"stabilizationWindowSeconds": 0}, "scaleDown": {"stabilizationWindowSeconds": 0}}
    queue = {"type": "External", "external": {"metric": {"name": "queue_length"}, "target": {"type": "AverageValue", "averageValue": "10"}}}
    small = {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "128Mi", "ephemeral-storage": "8Mi"}}
    large = {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "900Gi"}}

    asleep = partial(asleep_by, image)

    def with_beside(name: str, command: list[str]) -> list[dict[str, Any]]:
        (made,) = asleep(name)
        made["spec"]["template"]["spec"]["containers"].append({**fluent, "command": command})
        return [made]

    def keeping(name: str) -> list[dict[str, Any]]:
        return asleep(name, pod=mounting(name), volumeMounts=[{"name": "data", "mountPath": "/data"}])

    def on(name: str, machine: str) -> list[dict[str, Any]]:
        return asleep(name, pod={"nodeName": "ward-" + machine, "tolerations": [{"operator": "Exists"}]})

    return [
        secret("login", {".dockerconfigjson": json.dumps({"auths": {registry.ADDRESS: ACCOUNT}})}, "kubernetes.io/dockerconfigjson"),
        # How many there are.
        *asleep("asks-elsewhere"),
        scaler("asks-elsewhere", "asks-elsewhere", metrics=[queue]),
        *asleep("busy", command=["python3", "-c", BUSY]),
        scaler("busy", "busy", percent=50),
        *asleep("swings"),
        scaler("swings", "swings", behavior=at_once),
        # Images.
        *asleep("drifted", image=drifting, imagePullPolicy="Always", pod=PULLING),
        *asleep("other-machine", image=registry.ADDRESS + "/team/other-machine:1.0", imagePullPolicy="Always", pod=PULLING),
        *asleep("too-often", image="%s:%d/team/app:1.0" % LIMITING, imagePullPolicy="Always"),
        # Pods, and what the node makes of them.
        *asleep("hangs", command=["sh", "-c", "touch /tmp/alive; sleep 25; rm /tmp/alive; sleep 999"], livenessProbe=alive, readinessProbe=alive),
        *asleep("as-root", securityContext={"runAsNonRoot": True, "runAsUser": 0}),
        *asleep("writes", command=["sh", "-c", "sleep 15; head -c 30000000 /dev/zero > /tmp/much; sleep 999"], resources=small),
        *asleep("no-sandbox", pod={"runtimeClassName": "ward-nowhere"}),
        *with_beside("beside", ["sh", "-c", "echo cannot reach the log server; exit 1"]),
        *asleep("same-port", replicas=2, ports=[{"containerPort": 8000, "hostPort": 18765}]),
        *asleep("refused", pod={"serviceAccountName": "nobody"}),
        *[one for machine in NODES for one in on("on-" + machine, machine)],
        # Volumes.
        volume(namespace + "-lost", {"hostPath": {"path": "/var/tmp"}}),
        claim("lost", "", namespace + "-lost"),
        *keeping("lost"),
        volume(namespace + "-unmounted", {"hostPath": {"path": "/var/tmp/nothing-here", "type": "Directory"}}),
        claim("unmounted", "", namespace + "-unmounted"),
        *keeping("unmounted"),
        *keeping("full"),
        # What is used up, what is shown, what starts by the clock.
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "settings"}, "spec": {"hard": {"configmaps": "1"}}},
        *asleep("shown-soon", port=8000),
        service("shown-soon", 8000),
        ingress("soon", "soon.example", "shown-soon", "soon"),
        secret("soon", certificate("soon.example", 5), "kubernetes.io/tls"),
        # Notes.
        *workload("bare-cache", cache, port=6379, resources={}),
        *asleep("generous", resources=large),
        # The well.
        *asleep("calm"),
        scaler("calm", "calm"),
        *with_beside("steady", SLEEP),
        *keeping("roomy"),
        *workload("shown", image, port=8000, command=["python3", "-u", "-c", SERVE], readinessProbe=ready, livenessProbe=ready),
        service("shown", 8000),
        ingress("shown", "shown.example", "shown", "shown"),
        secret("shown", certificate("shown.example", 300), "kubernetes.io/tls"),
        by_the_clock("nightly", image, "0 3 * * *"),
    ]


def by_the_clock(name: str, image: str, schedule: str) -> dict[str, Any]:
    spec = {"schedule": schedule, "jobTemplate": {"spec": job(name, image, ["true"])["spec"]}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": spec}


def for_another_machine(repository: str) -> None:
    """An index in the registry that has its image for another processor only."""
    key = base64.b64encode(("%(username)s:%(password)s" % ACCOUNT).encode()).decode()
    url, opener = "http://%s/v2/%s/manifests/1.0" % (registry.ADDRESS, repository), urllib.request.build_opener(urllib.request.ProxyHandler({}))
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    with opener.open(urllib.request.Request(url, headers={"Authorization": "Basic " + key, "Accept": kind}), timeout=10) as answer:
        size, digest = len(answer.read()), answer.headers["Docker-Content-Digest"]
    one = {"mediaType": kind, "size": size, "digest": digest, "platform": {"architecture": "s390x", "os": "linux"}}
    listed = "application/vnd.docker.distribution.manifest.list.v2+json"
    body = json.dumps({"schemaVersion": 2, "mediaType": listed, "manifests": [one]}).encode()
    opener.open(urllib.request.Request(url, body, {"Authorization": "Basic " + key, "Content-Type": listed}, method="PUT"), timeout=10).close()


class Limiting(http.server.BaseHTTPRequestHandler):
    """A registry from which too much was pulled."""

    def do_GET(self) -> None:
        body = json.dumps({"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your pull rate limit."}]}).encode()
        self.send_response(429)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.command == "GET" else b"")

    do_HEAD = do_GET

    def log_message(self, *words: object) -> None:
        pass


@contextmanager
def limiting() -> Iterator[None]:
    with http.server.ThreadingHTTPServer(LIMITING, Limiting) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()


@contextmanager
def disk(folder: Path, used: int) -> Iterator[dict[str, Any]]:
    """A small file system with so many bytes in it, as the source of a volume."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=777", "tmpfs", str(folder)], check=True, timeout=10)
    try:
        (folder / "data").write_bytes(bytes(used))
        fits = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [real.node_name()]}]}
        yield {"local": {"path": str(folder)}, "nodeAffinity": {"required": {"nodeSelectorTerms": [fits]}}}
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False, timeout=10)


def machine(name: str) -> dict[str, Any]:
    about = {"name": "ward-" + name, "annotations": {"node.alpha.kubernetes.io/ttl": "0"}, "labels": {"machine": name}}
    taint = {"key": PLAYED, "value": "yes", "effect": "NoSchedule"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": about, "spec": {"taints": [taint]}}


def node_status(tight: bool) -> str:
    """As a kubelet writes it when it begins."""
    room = {"cpu": "1", "memory": "1Gi", "pods": "9"}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "", "lastHeartbeatTime": now(), "lastTransitionTime": now()}
    reason = "KubeletHasInsufficientMemory" if tight else "KubeletHasSufficientMemory"
    memory = {**ready, "type": "MemoryPressure", "status": str(tight), "reason": reason, "message": "of memory there is %s" % ("little" if tight else "enough")}
    return json.dumps({"status": {"capacity": room, "allocatable": room, "conditions": [ready, memory]}})


def pod_status(containers: list[dict[str, Any]]) -> str:
    """As a kubelet writes it when everything runs."""
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": now()} for kind in kinds]
    running = {"ready": True, "started": True, "restartCount": 0, "imageID": "", "state": {"running": {"startedAt": now()}}}
    told = [{"name": one["name"], "image": one["image"], **running} for one in containers]
    return json.dumps({"status": {"phase": "Running", "startTime": now(), "conditions": conditions, "containerStatuses": told}})


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def lease(name: str) -> dict[str, Any]:
    """By which a node says that it lives."""
    about = {"name": "ward-" + name, "namespace": "kube-node-lease"}
    spec = {"holderIdentity": "ward-" + name, "leaseDurationSeconds": 40, "renewTime": now().replace("Z", ".000000Z")}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": about, "spec": spec}


@contextmanager
def living(kubectl: Kubectl, *names: str) -> Iterator[None]:
    """These nodes say that they live, as long as this lasts."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(LEASE_SECONDS):
            kubectl("apply", "-f", "-", stdin=as_list(map(lease, names)), check=False)

    kubectl("apply", "-f", "-", stdin=as_list(map(lease, names)))
    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)


NODES = ("lost", "tight", "well")
MACHINES = [machine(name) for name in NODES]
VOLUMES = ("lost", "unmounted", "full", "roomy")
NO_RUNTIME = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "ward-nowhere"}, "handler": "nowhere"}


@pytest.fixture(scope="module")
def ward(kubectl: Kubectl, namespace: str, kubeconfig: str, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    """All of it, made; a second namespace has what would hinder the others."""
    image, other, temp = images["llm"], namespace + "-b", tmp_path_factory.mktemp("disks")
    whole = [*MACHINES, NO_RUNTIME, *({"kind": "PersistentVolume", "metadata": {"name": "%s-%s" % (namespace, name)}} for name in VOLUMES)]

    put = partial(apply_all, kubectl)

    with ExitStack() as stack:
        cluster_py("registry", "up")
        drifting = cluster_py("registry", "push", image, "team/drifting:1.0").strip()
        cluster_py("registry", "push", image, "team/other-machine:1.0")
        for_another_machine("team/other-machine")
        stack.enter_context(limiting())
        kubectl("create", "namespace", other)
        stack.callback(lambda: kubectl("delete", "namespace", other, "--wait=false", check=False))
        stack.callback(lambda: [kubectl("delete", one["kind"], one["metadata"]["name"], "--ignore-not-found", "--wait=false", check=False) for one in whole])
        put(namespace, *MACHINES, NO_RUNTIME)
        for name, used in (("full", 4_000_000), ("roomy", 400_000)):
            made = volume("%s-%s" % (namespace, name), stack.enter_context(disk(temp / name, used)))
            put(namespace, made, claim(name, "", made["metadata"]["name"]))
        # No Job may be made there.
        put(other, {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-jobs"}, "spec": {"hard": {"count/jobs.batch": "0"}}})
        put(other, by_the_clock("late", image, "* * * * *"))
        put(namespace, *objects(image, images["redis"], drifting, namespace))
        # One of the nodes is heard of once, and no more.
        stack.enter_context(living(kubectl, "tight", "well"))
        for name in NODES:
            kubectl("patch", "node", "ward-" + name, "--subresource=status", "-p", node_status(name == "tight"))
            (pod,) = json.loads(kubectl("-n", namespace, "get", "pods", "-l", "app=on-" + name, "-o", "json"))["items"]
            kubectl("-n", namespace, "patch", "pod", pod["metadata"]["name"], "--subresource=status", "-p", pod_status(pod["spec"]["containers"]))
        for name in ("drifted", "lost"):
            kubectl("-n", namespace, "rollout", "status", "deployment/" + name, "--timeout=90s", timeout=100)
        cluster_py("registry", "push", images["redis"], "team/drifting:1.0")
        kubectl("-n", namespace, "scale", "deployment/drifted", "--replicas=2")
        kubectl("delete", "persistentvolume", namespace + "-lost", "--wait=false")
        kubectl("patch", "persistentvolume", namespace + "-lost", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
        yield There("ward", (namespace, other), kubeconfig, tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")
def model(ward: There, kubectl: Kubectl) -> dict[str, Any]:
    """The diagnosis as soon as everything shows, or the last one."""

    def swing() -> None:
        """Ask for one copy more or less as soon as the autoscaler has given the last one."""
        place = ("-n", ward.namespaces[0])
        found = json.loads(kubectl(*place, "get", "horizontalpodautoscaler", "swings", "-o", "json"))
        least = found["spec"]["minReplicas"]
        if found["status"].get("currentReplicas") == found["status"].get("desiredReplicas") == least:
            kubectl(*place, "patch", "horizontalpodautoscaler", "swings", "-p", json.dumps({"spec": {"minReplicas": 3 - least}}))

    return looked(lambda: ward.look(limits=LIMITS), ILL | NOTES, PATIENCE, swing)


class TestWard(Ward):
    ILL, BEHIND, NOTES, WELL, PASSWORD = ILL, BEHIND, NOTES, WELL, registry.PASSWORD
