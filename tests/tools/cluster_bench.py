# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A stack on Kubernetes as the game day sees it, by kubectl: how it is reached, whether it is well, what somebody wanted of it.

What hurts it there is in cluster_steps.py, what both platforms share in injection.py.
"""

from __future__ import annotations

import atexit
import base64
import ctypes
import functools
import ipaddress
import json
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from injection import HERE, HOLDER, Bench, FaultError, _hash, _read, ctl

sys.path.insert(0, str(HERE.parent / "cluster"))

import node  # noqa: E402
import stacks  # noqa: E402
from places import KUBECONFIG, ClusterError, foreign, given  # noqa: E402

WORKLOADS = "deployments statefulsets daemonsets".split()
# What may be changed by a fault or a cure besides workloads, so that before and after can be compared.
KINDS = (
    "jobs cronjobs services configmaps secrets serviceaccounts ingresses networkpolicies "
    "horizontalpodautoscalers persistentvolumeclaims poddisruptionbudgets resourcequotas limitranges"
).split()
# Where the API has what is not in its core.
GROUPS = {
    "apps/v1": WORKLOADS,
    "batch/v1": ["jobs", "cronjobs"],
    "networking.k8s.io/v1": ["ingresses", "networkpolicies"],
    "autoscaling/v2": ["horizontalpodautoscalers"],
    "policy/v1": ["poddisruptionbudgets"],
}
# What the cluster itself writes into an object.
PASSING_METADATA = ("resourceVersion", "uid", "generation", "creationTimestamp", "managedFields", "selfLink")
PASSING_ANNOTATIONS = ("deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration", "kubectl.kubernetes.io/restartedAt")
# Names of what the cluster itself makes in every namespace.
ITS_OWN = ("kube-root-ca.crt", "default")
# The type of the Secrets in which a cure keeps its record.
RECORD = "aiops.runbook/journal"
# What a container is told, by the word that stands for it in what is compared.
TOLD = {
    "image": ("image", "imagePullPolicy"),
    "command": ("command", "args", "workingDir"),
    "environment": ("env", "envFrom"),
    "probes": ("livenessProbe", "readinessProbe", "startupProbe"),
    "resources": ("resources",),
    "mounts": ("volumeMounts",),
}


# Bytes in use, those of them that the kernel can take back, and the limit: of either generation of control groups.
MEMORY = """
cd /sys/fs/cgroup; [ -r memory.current ] || cd memory
for f in memory.current memory.usage_in_bytes; do [ -r $f ] && cat $f; done
c=$(grep -E '^total_inactive_file ' memory.stat || grep -E '^inactive_file ' memory.stat); echo ${c#* }
for f in memory.max memory.limit_in_bytes; do [ -r $f ] && cat $f; done
"""


class ClusterBench(Bench):
    """One stack on the cluster, with the means to hurt and heal it."""

    platform = "kubernetes"

    def load_stack(self, name: str) -> stacks.OnCluster:
        return stacks.load(name)

    # what it is called and how it comes about

    @property
    def host(self) -> str:
        return "%s_kubernetes" % self.stack.name

    @property
    def place(self) -> dict[str, Any]:
        """The line `kubernetes` of its stack.yml."""
        found: dict[str, Any] = self.stack.place  # type: ignore[attr-defined]
        return found

    def names(self) -> dict[str, Any]:
        # Where no image can be pulled, a Secret of the namespace that lets it in comes before the version from before.
        return {**super().names(), "pull_cure": "image_pull_secret" if self.place.get("pull_secret") else "stack_rollback"}

    @property
    def namespaces(self) -> list[str]:
        return list(self.place["namespaces"])

    @property
    def selector(self) -> str:
        """What tells its objects from others in the same namespaces; "" where nothing has to."""
        instance = self.place.get("instance")
        return str(self.place.get("selector") or ("app.kubernetes.io/instance=%s" % instance if instance else ""))

    @property
    def inventory(self) -> Any:
        host = {
            "stack_platform": "kubernetes",
            "stack_namespace": self.namespaces,
            "stack_selector": self.selector,
            "kubeconfig": str(given() or KUBECONFIG),
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        }
        path = self.folder / "inventory.json"
        path.write_text(json.dumps({"all": {"hosts": {self.host: host}}}), encoding="utf-8")
        return path

    @property
    def ours(self) -> bool:
        """Whether its manifests are at hand, so that it can be made here."""
        return (self.stack.folder / "kubernetes").is_dir()

    def up(self) -> None:
        if self.ours:
            stacks.up(self.stack)  # type: ignore[arg-type]
            return
        problem = self.wait_well(30)
        if problem:
            raise FaultError("%s does not work, and only who deployed it can bring it up: %s" % (self.stack.name, problem))

    def rebuild(self) -> None:
        if not self.ours:
            raise FaultError("%s cannot be made anew here: its folder holds no manifests; mend it, then go on with --resume" % self.stack.name)
        stacks.down(self.stack)  # type: ignore[arg-type]
        stacks.up(self.stack)  # type: ignore[arg-type]

    def remake(self, service: str) -> None:
        found = self.workload(service)
        self.kubectl("-n", found["metadata"]["namespace"], "rollout", "restart", "%s/%s" % (found["kind"].lower(), service))

    @property
    def on_foreign(self) -> bool:
        """Whether the cluster is somebody's own."""
        return foreign()

    def expect_own_cluster(self, what: str) -> None:
        """A fault that reaches beyond the stack's namespaces has no place on somebody's cluster."""
        if self.on_foreign:
            raise FaultError("%s only on the test cluster of `make cluster`" % what)

    # how it is reached

    def kubectl(self, *words: str, stdin: str | None = None, timeout: float = 60, check: bool = True) -> str:
        try:
            return node.kubectl(*words, stdin=stdin, timeout=timeout, check=check)
        except ClusterError as error:
            raise FaultError(str(error)) from error

    def objects(self, namespace: str, *kinds: str, selector: str = "") -> list[dict[str, Any]]:
        """Everything of these kinds (plural names) in a namespace; of the whole cluster where that is ""."""
        found = []
        for kind in kinds:
            group = next((group for group, members in GROUPS.items() if kind in members), "")
            path = "%s/%s%s" % ("/apis/" + group if group else "/api/v1", "namespaces/%s/" % namespace if namespace else "", kind)
            answer = ask("%s?%s" % (path, urllib.parse.urlencode({"labelSelector": selector})))
            about = {"apiVersion": answer["apiVersion"], "kind": answer["kind"].removesuffix("List")}
            found += [{**about, **one} for one in answer["items"]]
        return found

    def object(self, namespace: str, name: str) -> dict[str, Any]:
        """{} where there is none. name: kind/name"""
        text = self.kubectl("-n", namespace, "get", name, "--ignore-not-found", "-o", "json")
        found: dict[str, Any] = json.loads(text) if text.strip() else {}
        return found

    def everything(self) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
        """(workloads by name, pods) of the stack, as they are now."""
        found = [one for namespace in self.namespaces for one in self.objects(namespace, *WORKLOADS, "pods", selector=self.selector)]
        return {one["metadata"]["name"]: one for one in found if one["kind"] != "Pod"}, [one for one in found if one["kind"] == "Pod"]

    def workload(self, service: str) -> dict[str, Any]:
        found = self.everything()[0]
        if service not in found:
            raise FaultError("no workload is called %s" % service)
        return found[service]

    def place_of(self, service: str) -> str:
        """The namespace in which a component's workload lies."""
        return str(self.workload(service)["metadata"]["namespace"])

    def pods(self, service: str) -> list[dict[str, Any]]:
        """The pods of a component that are not being ended, the newest last."""
        workloads, pods = self.everything()
        return pods_of(workloads[service], pods) if service in workloads else []

    def running(self, service: str) -> dict[str, Any]:
        running = [pod for pod in self.pods(service) if pod["status"].get("phase") == "Running"]
        if not running:
            raise FaultError("no pod of %s runs" % service)
        return running[-1]

    def one(self, service: str) -> str:
        return str(self.running(service)["metadata"]["name"])

    def address(self, service: str) -> str:
        for pod in reversed(self.pods(service)):
            if pod["status"].get("podIP"):
                return str(ipaddress.ip_address(pod["status"]["podIP"]))
        raise FaultError("no pod of %s has an address" % service)

    def port(self, service: str) -> int:
        ports = [port["containerPort"] for port in first_container(self.workload(service)).get("ports", [])]
        if not ports:
            raise FaultError("%s tells no port" % service)
        return int(ports[0])

    def inside(self, service: str, *command: str, stdin: str | None = None, check: bool = True) -> str:
        pod = self.running(service)
        return self.in_pod(pod["metadata"]["namespace"], pod["metadata"]["name"], *command, stdin=stdin, check=check)

    def in_pod(self, namespace: str, pod: str, *command: str, stdin: str | None = None, check: bool = True) -> str:
        keep = ["-i"] if stdin is not None else []
        return self.kubectl("-n", namespace, "exec", *keep, pod, "--", *command, stdin=stdin, timeout=30, check=check)

    def memory(self, service: str) -> tuple[int, int]:
        """(bytes in use, the limit) of a component."""
        words = self.inside(service, "sh", "-c", MEMORY).split()
        if len(words) != 3:
            raise FaultError("%s does not tell its memory: %s" % (service, " ".join(words)))
        return int(words[0]) - int(words[1]), int(words[2]) if words[2].isdigit() else 1 << 62

    def memory_percent(self, service: str) -> float:
        used, limit = self.memory(service)
        return 100.0 * used / limit

    def psql(self, sql: str) -> str:
        place = self.spec["postgres"]
        return self._in_postgres("-XqAt", "-v", "ON_ERROR_STOP=1", "-U", place["superuser"], "-d", place["database"], "-f", "-", stdin=sql).strip()

    def _in_postgres(self, *words: str, stdin: str) -> str:
        return self.inside(self.spec["services"]["postgres"], *stacks.PSQL, *words, stdin=stdin)

    def redis(self, *words: str, auth: str | None = None) -> str:
        command = self.spec["redis"]["cli"] if auth is None else ["redis-cli", "--no-auth-warning", "-a", auth]
        return self.inside(self.spec["services"]["redis"], *command, *words, check=False).removesuffix("\n")

    def load(self, rate: float) -> None:
        command = (str(HERE.parent / "stack" / "ctl.py"), "load", str(self.stack.folder), "--seconds", "1800", "--rate", str(rate), "--url", self.stack.url)
        self.background(sys.executable, *command)

    def fill_table(self, rows: int) -> None:
        place = self.spec["postgres"]
        text = (self.stack.folder / "seed.sql").read_text(encoding="utf-8")
        self._in_postgres("-Xq", "-v", "ON_ERROR_STOP=1", "-v", "rows=%d" % rows, "-U", place["superuser"], "-d", place["database"], "-f", "-", stdin=text)

    # what its programs are told

    def environment(self, service: str) -> dict[str, str]:
        """What its container is given, resolved through ConfigMaps and Secrets."""
        found = self.workload(service)
        namespace, container = found["metadata"]["namespace"], first_container(found)
        given_: dict[str, str] = {}
        for source in container.get("envFrom", []):
            for kind, key in (("configmap", "configMapRef"), ("secret", "secretRef")):
                if key in source:
                    given_.update({source.get("prefix", "") + name: value for name, value in self.held(namespace, kind, source[key]["name"]).items()})
        for entry in container.get("env", []):
            value = entry.get("valueFrom") or {}
            if "value" in entry:
                given_[entry["name"]] = entry["value"]
            for kind, key in (("configmap", "configMapKeyRef"), ("secret", "secretKeyRef")):
                if key in value:
                    given_[entry["name"]] = self.held(namespace, kind, value[key]["name"]).get(value[key]["key"], "")
        return given_

    def held(self, namespace: str, kind: str, name: str) -> dict[str, str]:
        """What a ConfigMap or Secret holds, decoded."""
        data = self.object(namespace, "%s/%s" % (kind, name)).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()} if kind == "secret" else data

    def mounted(self, service: str, path: str) -> tuple[str, str]:
        """(Secret, key) of the file that a program reads at this path."""
        found = self.workload(service)
        folder, name = str(PurePosixPath(path).parent), PurePosixPath(path).name
        for mount in first_container(found).get("volumeMounts", []):
            if mount["mountPath"].rstrip("/") != folder:
                continue
            for volume in found["spec"]["template"]["spec"].get("volumes", []):
                if volume["name"] == mount["name"]:
                    for secret in secrets_of(volume):
                        if name in self.held(found["metadata"]["namespace"], "secret", secret):
                            return secret, name
        raise FaultError("no Secret is mounted at %s of %s" % (path, service))

    def database_password(self) -> str:
        setting = self.spec["settings"]["database"]
        if "variable" in setting:
            return super().database_password()
        service = setting["services"][0]
        secret, key = self.mounted(service, setting["mounted"])
        return self.held(self.place_of(service), "secret", secret)[key].strip()

    # what it is like

    def start_fallen(self) -> None:
        """A new pod for one that stands in the way of getting well, once what kept it from running is gone.

        One waits longer and longer for its next start; a StatefulSet waits for ever for a pod of an earlier version to be ready.
        """
        workloads, pods = self.everything()
        for found in workloads.values():
            wanted = found["status"].get("updateRevision", "")
            for pod in pods_of(found, pods):
                late = any((one.get("state") or {}).get("waiting", {}).get("reason") in ("CrashLoopBackOff", "ImagePullBackOff") for one in containers_of(pod))
                outdated = found["kind"] == "StatefulSet" and pod["metadata"].get("labels", {}).get("controller-revision-hash") != wanted
                if late or (outdated and not is_ready(pod)):
                    self.kubectl("-n", pod["metadata"]["namespace"], "delete", "pod", pod["metadata"]["name"], "--wait=false", "--ignore-not-found")

    def unwell(self, patience: float = 10) -> str:
        workloads, pods = self.everything()
        for pod in pods:
            name = pod["metadata"]["name"]
            if "deletionTimestamp" in pod["metadata"]:
                return "%s is being ended" % name
            if pod["status"].get("phase") != "Succeeded" and not is_ready(pod):
                return "%s is not ready" % name
        for found in workloads.values():
            wanted, there = found["spec"].get("replicas", 1), found["status"].get("readyReplicas", 0)
            if found["kind"] != "DaemonSet" and (there < wanted or not wanted):
                return "%s has %d of %d pods" % (found["metadata"]["name"], there, wanted)
            if found["status"].get("observedGeneration", 0) < found["metadata"]["generation"] or found["status"].get("updatedReplicas", 0) < wanted:
                return "%s is not rolled out" % found["metadata"]["name"]
        for namespace in self.namespaces:
            blind = stacks.without_figure(self.objects(namespace, "horizontalpodautoscalers"))
            if blind:
                return blind
        problem = ctl.ready(self.stack, patience)
        if problem:
            return problem
        held = self.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = '%s'" % HOLDER)
        if held != "0":
            return "%s sessions of a fault are still open" % held
        waiting = [queue for queue in self.spec["queues"].values() if self.redis("-n", self.broker_database(), "LLEN", queue) != "0"]
        return "messages wait in %s" % ", ".join(waiting) if waiting else ""

    def wait_well(self, seconds: float) -> str:
        return super().wait_well(2 * seconds)  # a pod that is ended takes its grace period

    def settings(self) -> dict[str, Any]:
        """Every object as somebody wanted it, without what the cluster adds, in parts; the nodes; the servers' own settings.

        A workload goes by "component namespace/kind", as a container does by "component number" on Compose. Values are hashed.
        """
        seen: dict[str, Any] = {}
        for namespace in self.namespaces:
            for one in self.objects(namespace, *WORKLOADS, *KINDS):
                name, kind = one["metadata"]["name"], one["kind"].lower()
                if name in ITS_OWN and kind in ("configmap", "serviceaccount") and not one.get("imagePullSecrets"):
                    continue
                if one.get("type") == RECORD:
                    continue
                if one["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
                    seen["%s %s/%s" % (name, namespace, kind)] = hashed(parts_of(one))
                elif not any(owner.get("controller") for owner in one["metadata"].get("ownerReferences", [])):
                    seen["%s/%s/%s" % (namespace, kind, name)] = hashed(wanted_of(one))
        bearing = {pod["spec"].get("nodeName") for pod in self.everything()[1]}
        for one in [one for one in self.objects("", "nodes") if one["metadata"]["name"] in bearing]:
            taints = [taint for taint in one["spec"].get("taints", []) if not taint["key"].startswith("node.kubernetes.io/")]
            seen["node/" + one["metadata"]["name"]] = {"unschedulable": bool(one["spec"].get("unschedulable")), "taints": _hash(json.dumps(taints).encode())}
        seen["postgres"] = _read(lambda: json.loads(self.psql("SELECT json_object_agg(name, setting) FROM pg_settings")))
        seen["roles"] = _read(lambda: _hash(self.psql("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1").encode()))
        seen["redis"] = _read(self._redis_settings)
        if self.spec["services"].get("redis"):
            seen["redis folder"] = _read(lambda: self.inside(self.spec["services"]["redis"], "stat", "-c", "%a %U:%G", self.redis_setting("dir")))
        return seen

    def keep_files(self) -> None:
        """Note every workload, setting and rule as it is now, so that healing takes back what a cure (or a person) makes of them."""
        from cluster_steps import portable

        kept = [
            portable(one)
            for namespace in self.namespaces
            for one in self.objects(namespace, *WORKLOADS, *"services configmaps secrets serviceaccounts horizontalpodautoscalers".split())
            if one["metadata"]["name"] not in ITS_OWN[:1] and one.get("type") not in ("kubernetes.io/service-account-token", RECORD)
        ]
        self.later("kept_objects", kept=kept)


@functools.cache
def proxy() -> str:
    """The URL of a proxy to the API server that lives as long as this process: a kubectl for each question would be most of the work."""
    own = node.binaries.folder() / "kubectl"
    command = [own if own.exists() else "kubectl", "--kubeconfig", given() or KUBECONFIG, "proxy", "--port=0"]
    # It lets anybody on this machine do anything to the cluster: it must not outlive us, however we end.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=end_with_parent)
    atexit.register(process.kill)
    line = process.stdout.readline() if process.stdout else ""
    if ":" not in line:
        raise FaultError("kubectl proxy did not begin")
    return "http://127.0.0.1:%s" % line.rsplit(":", 1)[-1].strip()


def end_with_parent() -> None:
    """The kernel ends this process with the thread that started it."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def ask(path: str) -> dict[str, Any]:
    """What the API server answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(proxy() + path, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
    except OSError as error:
        raise FaultError("%s: %s" % (path, error)) from error
    return found


# Pure parts -----------------------------------------------------------------------------------------------------------


def pods_of(found: Mapping[str, Any], pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pods of a workload that are not being ended, the newest last."""
    wanted, place = found["spec"]["selector"]["matchLabels"].items(), found["metadata"]["namespace"]
    own = [pod for pod in pods if pod["metadata"]["namespace"] == place and wanted <= pod["metadata"].get("labels", {}).items()]
    return sorted((pod for pod in own if "deletionTimestamp" not in pod["metadata"]), key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


def first_container(found: Mapping[str, Any]) -> dict[str, Any]:
    """The application's container of a workload."""
    first: dict[str, Any] = found["spec"]["template"]["spec"]["containers"][0]
    return first


def containers_of(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    status = pod["status"]
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def is_ready(pod: Mapping[str, Any]) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))


def secrets_of(volume: Mapping[str, Any]) -> list[str]:
    """The Secrets whose keys a volume shows."""
    sources = [volume, *volume.get("projected", {}).get("sources", [])]
    return [str(one["secret"].get("secretName") or one["secret"].get("name")) for one in sources if "secret" in one]


def wanted_of(one: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody wanted of an object, by its parts."""
    metadata = {key: value for key, value in one["metadata"].items() if key not in PASSING_METADATA}
    metadata["annotations"] = {key: value for key, value in metadata.get("annotations", {}).items() if key not in PASSING_ANNOTATIONS}
    return {"metadata": metadata, **{key: value for key, value in one.items() if key not in ("apiVersion", "kind", "metadata", "status")}}


def parts_of(one: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody wanted of a workload: state, and of its pods image, command, environment, probes, resources, mounts and the rest."""
    wanted = wanted_of(one)
    spec = dict(wanted["spec"])
    replicas, template = spec.pop("replicas", 1), json.loads(json.dumps(spec.pop("template")))
    pod = template["spec"]
    parts: dict[str, Any] = {"state": "on" if replicas else "off", "metadata": wanted["metadata"], "spec": spec}
    containers = {container.pop("name"): container for container in pod.pop("containers")}
    for word, keys in TOLD.items():
        parts[word] = {name: [container.pop(key, None) for key in keys] for name, container in containers.items()}
    parts["mounts"] = [parts["mounts"], pod.pop("volumes", None)]
    parts["pull secrets"] = pod.pop("imagePullSecrets", None)
    marks = template.get("metadata", {})
    marks["annotations"] = {key: value for key, value in marks.get("annotations", {}).items() if key not in PASSING_ANNOTATIONS}
    parts["pod"] = [containers, template]
    return parts


def hashed(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {part: value if part == "state" else _hash(json.dumps(value, sort_keys=True).encode()) for part, value in parts.items()}
