# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hurt a reference stack on Kubernetes and put it back, by kubectl. What it shares with Docker Compose is in injection.py."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from injection import HERE, HOLDER, OUTPUT, Bench, FaultError, _hash, _read, _Url, ctl, listed, undo

sys.path.insert(0, str(HERE.parent / "cluster"))

import node  # noqa: E402
import stacks  # noqa: E402
from places import KUBECONFIG, ClusterError  # noqa: E402

# What may be changed by a fault or a cure, so that before and after can be compared.
KINDS = (
    "deployments statefulsets daemonsets jobs cronjobs services configmaps secrets serviceaccounts ingresses networkpolicies "
    "horizontalpodautoscalers persistentvolumeclaims poddisruptionbudgets resourcequotas limitranges"
).split()
# What the cluster itself writes into an object.
_PASSING_METADATA = ("resourceVersion", "uid", "generation", "creationTimestamp", "managedFields", "selfLink")
_PASSING_ANNOTATIONS = ("deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration", "kubectl.kubernetes.io/restartedAt")
# Names of what the cluster itself makes in every namespace.
_ITS_OWN = ("kube-root-ca.crt", "default")


class ClusterBench(Bench):
    """One stack on the cluster, with the means to hurt and heal it."""

    platform = "kubernetes"
    steps: dict[str, Callable[..., None]] = {}
    symptoms: dict[str, Callable[..., tuple[bool, str]]] = {}

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.stack = stacks.load(name)
        self.folder = OUTPUT / "gameday" / ("%s-kubernetes" % name)
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def host(self) -> str:
        return "%s_kubernetes" % self.stack.name

    @property
    def namespaces(self) -> list[str]:
        return list(self.stack.place["namespaces"])  # type: ignore[attr-defined]

    @property
    def inventory(self) -> Path:
        os.environ["AIOPS_RUNBOOK_KUBECONFIG"] = str(KUBECONFIG)
        return HERE.parent / "cluster" / "inventory.yml"

    def up(self) -> None:
        stacks.up(self.stack)

    def rebuild(self) -> None:
        stacks.down(self.stack)
        stacks.up(self.stack)

    # how it is reached

    def kubectl(self, *words: str, stdin: str | None = None, timeout: float = 60, check: bool = True) -> str:
        try:
            return node.kubectl(*words, stdin=stdin, timeout=timeout, check=check)
        except ClusterError as error:
            raise FaultError(str(error)) from error

    def place_of(self, service: str) -> str:
        """The namespace in which a component's workload lies."""
        for namespace in self.namespaces:
            if any(one["metadata"]["name"] == service for one in self.objects(namespace, "deployments,statefulsets,daemonsets")):
                return namespace
        raise FaultError("no workload is called %s" % service)

    def objects(self, namespace: str, kinds: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.kubectl("-n", namespace, "get", kinds, "-o", "json"))["items"]
        return found

    def pods(self, service: str) -> list[dict[str, Any]]:
        """The pods of a component that are not being ended, the newest last."""
        found = []
        for namespace in self.namespaces:
            for one in self.objects(namespace, "deployments,statefulsets,daemonsets"):
                if one["metadata"]["name"] == service:
                    wanted = one["spec"]["selector"]["matchLabels"].items()
                    pods = self.objects(namespace, "pods")
                    found += [pod for pod in pods if wanted <= pod["metadata"].get("labels", {}).items() and "deletionTimestamp" not in pod["metadata"]]
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def one(self, service: str) -> str:
        running = [pod for pod in self.pods(service) if pod["status"].get("phase") == "Running"]
        if not running:
            raise FaultError("no pod of %s runs" % service)
        return str(running[-1]["metadata"]["name"])

    def address(self, service: str) -> str:
        for pod in reversed(self.pods(service)):
            if pod["status"].get("podIP"):
                return str(ipaddress.ip_address(pod["status"]["podIP"]))
        raise FaultError("no pod of %s has an address" % service)

    def inside(self, service: str, *command: str, stdin: str | None = None, check: bool = True) -> str:
        pod = self.one(service)
        return self.kubectl(
            "-n", self.place_of(service), "exec", *(["-i"] if stdin is not None else []), pod, "--", *command, stdin=stdin, timeout=30, check=check
        )

    def psql(self, sql: str) -> str:
        place = self.spec["postgres"]
        return self.inside(self.spec["services"]["postgres"], "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", place["superuser"],
                           "-d", place["database"], "-f", "-", stdin=sql).strip()  # fmt: skip

    def redis(self, *words: str, auth: str | None = None) -> str:
        command = self.spec["redis"]["cli"] if auth is None else ["redis-cli", "--no-auth-warning", "-a", auth]
        return self.inside(self.spec["services"]["redis"], *command, *words, check=False).removesuffix("\n")

    def load(self, rate: float) -> None:
        command = (str(HERE.parent / "stack" / "ctl.py"), "load", self.stack.name, "--seconds", "1800", "--rate", str(rate), "--url", self.stack.url)
        self.background(sys.executable, *command)

    def fill_table(self, rows: int) -> None:
        place = self.spec["postgres"]
        text = (self.stack.folder / "seed.sql").read_text(encoding="utf-8")
        self.inside(self.spec["services"]["postgres"], "psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-v", "rows=%d" % rows, "-h", "127.0.0.1",
                    "-U", place["superuser"], "-d", place["database"], "-f", "-", stdin=text)  # fmt: skip

    # what it is like

    def start_fallen(self) -> None:
        """A new pod for one that waits longer and longer for its next start, once what kept it from running is gone."""
        for service in self.spec["services"].values():
            for pod in self.pods(service):
                if any((one.get("state") or {}).get("waiting", {}).get("reason") == "CrashLoopBackOff" for one in pod["status"].get("containerStatuses", [])):
                    self.kubectl("-n", pod["metadata"]["namespace"], "delete", "pod", pod["metadata"]["name"], "--wait=false", check=False)

    def unwell(self, patience: float = 10) -> str:
        for namespace in self.namespaces:
            for pod in self.objects(namespace, "pods"):
                name, status = pod["metadata"]["name"], pod["status"]
                if "deletionTimestamp" in pod["metadata"]:
                    return "%s is being ended" % name
                ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", []))
                if status.get("phase") != "Succeeded" and not ready:
                    return "%s is not ready" % name
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
        """Every object of the stack as somebody wanted it, without what the cluster adds; and the servers' own settings."""
        seen: dict[str, Any] = {}
        for namespace in self.namespaces:
            for one in self.objects(namespace, ",".join(KINDS)):
                name = one["metadata"]["name"]
                if name not in _ITS_OWN:
                    seen["%s/%s/%s" % (namespace, one["kind"].lower(), name)] = {
                        part: _hash(json.dumps(value, sort_keys=True).encode()) for part, value in wanted(one).items()
                    }
        seen["postgres"] = _read(lambda: json.loads(self.psql("SELECT json_object_agg(name, setting) FROM pg_settings")))
        seen["roles"] = _read(lambda: _hash(self.psql("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1").encode()))
        seen["redis"] = _read(self._redis_settings)
        return seen

    def keep_files(self) -> None:
        """Nothing of a stack on a cluster stands in files here."""


def wanted(one: dict[str, Any]) -> dict[str, Any]:
    """What somebody wanted of an object, in parts."""
    metadata = {key: value for key, value in one["metadata"].items() if key not in _PASSING_METADATA}
    metadata["annotations"] = {key: value for key, value in metadata.get("annotations", {}).items() if key not in _PASSING_ANNOTATIONS}
    parts = {key: value for key, value in one.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    if one["kind"] in ("Deployment", "StatefulSet") and "spec" in parts:
        # An autoscaler's own affair.
        parts["spec"] = {key: value for key, value in parts["spec"].items() if key != "replicas"}
        parts["replicas"] = bool(one["spec"].get("replicas"))
    return {"metadata": metadata, **parts}


# Steps ----------------------------------------------------------------------------------------------------------------


def workload(bench: ClusterBench, service: str) -> dict[str, Any]:
    for namespace in bench.namespaces:
        for one in bench.objects(namespace, "deployments,statefulsets,daemonsets"):
            if one["metadata"]["name"] == service:
                return one
    raise FaultError("no workload is called %s" % service)


def change(bench: ClusterBench, service: str, how: Callable[[dict[str, Any]], None]) -> None:
    """A workload changed as an operator's edit would: `how` is given its spec."""
    before = workload(bench, service)
    bench.later("put_back", content=portable(before))
    after = json.loads(json.dumps(portable(before)))
    how(after["spec"])
    bench.kubectl("replace", "-f", "-", stdin=json.dumps(after))


def container(spec: dict[str, Any]) -> dict[str, Any]:
    """The application's container of a workload's spec."""
    first: dict[str, Any] = spec["template"]["spec"]["containers"][0]
    return first


def give(spec: dict[str, Any], values: dict[str, str]) -> None:
    """Settings with these values, however they were given before."""
    one = container(spec)
    one["env"] = [entry for entry in one.get("env", []) if entry["name"] not in values] + [{"name": name, "value": value} for name, value in values.items()]


def stop(bench: ClusterBench, services: Any) -> None:
    for service in listed(services):
        change(bench, service, lambda spec: spec.update(replicas=0))
        end = time.monotonic() + 60
        while bench.pods(service) and time.monotonic() < end:
            time.sleep(0.3)


def start(bench: ClusterBench, services: Any) -> None:
    for service in listed(services):
        change(bench, service, lambda spec: spec.update(replicas=1))


def recreate(bench: ClusterBench, services: Any) -> None:
    for service in listed(services):
        change(bench, service, lambda spec: spec["template"]["metadata"].setdefault("annotations", {}).update({"gameday/at": str(time.time())}))


def override(bench: ClusterBench, services: dict[str, Any]) -> None:
    """{service: {environment, command}}, as on Compose."""
    for service, wants in services.items():

        def how(spec: dict[str, Any], wants: dict[str, Any] = wants) -> None:
            give(spec, {name: str(value) for name, value in wants.get("environment", {}).items()})
            if "command" in wants:
                container(spec)["command"] = wants["command"]
                container(spec).pop("args", None)

        change(bench, service, how)


def setting(bench: ClusterBench, order: dict[str, Any]) -> None:
    where, values = bench.spec["settings"][order["name"]], dict(order["change"])
    for service in listed(order["services"]):
        if "variable" in where:
            url = _Url(bench.config()["services"][service]["environment"][where["variable"]])
            text = url.changed(**values) if "malformed" not in values else url.changed().replace("://", ":", 1)
            change(bench, service, lambda spec, text=text: give(spec, {where["variable"]: text}))
            continue
        given = {"port": "5432;"} if "malformed" in values else values
        if set(given) - set(where):
            raise FaultError("settings.%s of %s does not say where its %s is" % (order["name"], bench.stack.name, ", ".join(set(given) - set(where))))
        change(bench, service, lambda spec, given=given: give(spec, {where[key]: str(value) for key, value in given.items()}))


def unset(bench: ClusterBench, order: dict[str, Any]) -> None:
    def how(spec: dict[str, Any]) -> None:
        one = container(spec)
        one["env"] = [entry for entry in one.get("env", []) if entry["name"] != order["variable"]]

    change(bench, order["service"], how)


def add_memory_limit(bench: ClusterBench, order: dict[str, Any]) -> None:
    """A limit below what the service needs; {service, percent} of what it uses now."""
    files = "/sys/fs/cgroup/memory/memory.usage_in_bytes /sys/fs/cgroup/memory.current"
    used = int(bench.inside(order["service"], "sh", "-c", "cat %s 2>/dev/null | head -1" % files))
    limit = str(max(8 << 20, int(used * order["percent"] / 100)))
    change(bench, order["service"], lambda spec: container(spec).update(resources={"requests": {"memory": limit}, "limits": {"memory": limit}}))


def exec_inside(bench: ClusterBench, order: dict[str, Any]) -> None:
    bench.inside(order["service"], *order["command"])


def patch(bench: ClusterBench, order: dict[str, Any]) -> None:
    """An object changed by a patch; {object: kind/name, change, type of patch (strategic), namespace}."""
    namespace = str(order.get("namespace") or bench.namespaces[0])
    bench.later("put_back", content=portable(json.loads(bench.kubectl("-n", namespace, "get", order["object"], "-o", "json"))))
    bench.kubectl("-n", namespace, "patch", order["object"], "--type", order.get("type", "strategic"), "-p", json.dumps(order["change"]))


def delete(bench: ClusterBench, order: dict[str, Any]) -> None:
    """An object that is gone; {object: kind/name, namespace}."""
    namespace = str(order.get("namespace") or bench.namespaces[0])
    bench.later("put_back", content=portable(json.loads(bench.kubectl("-n", namespace, "get", order["object"], "-o", "json"))))
    bench.kubectl("-n", namespace, "delete", order["object"], timeout=90)


def create(bench: ClusterBench, order: dict[str, Any]) -> None:
    """An object that somebody adds: its manifest."""
    content = {**order, "metadata": {"namespace": bench.namespaces[0], **order["metadata"]}}
    bench.later("gone", namespace=content["metadata"]["namespace"], kind=order["kind"], name=order["metadata"]["name"])
    bench.kubectl("apply", "-f", "-", stdin=json.dumps(content))


def cut(bench: ClusterBench, order: dict[str, Any]) -> None:
    """Packets to a component's pods are dropped by the host: what a network policy does where it is enforced; {to}."""
    for target in bench.pods(order["to"]):
        rule = ["-d", target["status"]["podIP"], "-m", "comment", "--comment", "gameday", "-j", "DROP"]
        bench.later("uncut", rule=rule)
        subprocess.run(["iptables", "-w", "-I", "FORWARD", *rule], check=True, timeout=20)


@undo
def undo_uncut(bench: Bench, rule: list[str]) -> None:
    subprocess.run(["iptables", "-w", "-D", "FORWARD", *rule], check=False, timeout=20, capture_output=True)


@undo
def undo_put_back(bench: ClusterBench, content: dict[str, Any]) -> None:
    namespace = content["metadata"]["namespace"]
    name = "%s/%s" % (content["kind"], content["metadata"]["name"])
    there = bench.kubectl("-n", namespace, "get", name, "--ignore-not-found", "-o", "name").strip()
    bench.kubectl("replace" if there else "create", "-f", "-", stdin=json.dumps(content), timeout=60)


@undo
def undo_gone(bench: ClusterBench, namespace: str, kind: str, name: str) -> None:
    bench.kubectl("-n", namespace, "delete", kind, name, "--ignore-not-found", timeout=90)


def portable(one: dict[str, Any]) -> dict[str, Any]:
    """An object that can be given back: without what only the cluster may say."""
    metadata = {key: value for key, value in one["metadata"].items() if key not in _PASSING_METADATA and key not in ("ownerReferences", "finalizers")}
    content = {**one, "metadata": metadata}
    content.pop("status", None)
    if one["kind"] == "Service":
        content["spec"] = {key: value for key, value in one["spec"].items() if key not in ("clusterIPs",)}
    return content


# Symptoms -------------------------------------------------------------------------------------------------------------


def pod_seen(bench: ClusterBench, order: dict[str, Any]) -> tuple[bool, str]:
    """{pod: service, phase, waiting: reason, last: reason of its last end, ready: bool, restarts: at least, scheduled: bool}; one pod suffices."""
    seen = []
    for pod in bench.pods(order["pod"]):
        status = pod["status"]
        containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        waiting = {(one.get("state") or {}).get("waiting", {}).get("reason") for one in containers} - {None}
        last = {((one.get("lastState") or {}).get("terminated") or (one.get("state") or {}).get("terminated") or {}).get("reason") for one in containers} - {
            None
        }
        conditions = {one["type"]: one["status"] == "True" for one in status.get("conditions", [])}
        restarts = sum(one.get("restartCount", 0) for one in containers)
        seen.append("%s %s %s restarts %d" % (status.get("phase"), "/".join(sorted(map(str, waiting))), "/".join(sorted(map(str, last))), restarts))
        if (
            ("phase" not in order or status.get("phase") in listed(order["phase"]))
            and ("waiting" not in order or waiting & set(listed(order["waiting"])))
            and ("last" not in order or last & set(listed(order["last"])))
            and ("ready" not in order or conditions.get("Ready", False) == order["ready"])
            and ("scheduled" not in order or conditions.get("PodScheduled", False) == order["scheduled"])
            and restarts >= order.get("restarts", 0)
        ):
            return True, seen[-1]
    return False, "pods of %s: %s" % (order["pod"], "; ".join(seen) or "none")


def container_seen(bench: ClusterBench, order: dict[str, Any]) -> tuple[bool, str]:
    """As on Compose: {container: service, state, exit_code, oom_killed}; what has no pod any more has ended."""
    pods, wants = bench.pods(order["container"]), listed(order.get("state", "running"))
    if "exited" in wants and not pods:
        return True, "no pod"
    seen = []
    for pod in pods:
        for one in pod["status"].get("containerStatuses", []):
            ends = [state["terminated"] for state in (one.get("state") or {}, one.get("lastState") or {}) if "terminated" in state]
            seen.append("%s %s" % ("/".join(one.get("state") or {}), ", ".join("%s %s" % (end["exitCode"], end.get("reason")) for end in ends)))
            if (
                ("state" not in order or ("running" in wants and "running" in (one.get("state") or {})) or ("exited" in wants and bool(ends)))
                and ("exit_code" not in order or any(end["exitCode"] in listed(order["exit_code"]) for end in ends))
                and ("oom_killed" not in order or any(end.get("reason") == "OOMKilled" for end in ends))
            ):
                return True, seen[-1]
    return False, "%s is %s" % (order["container"], "; ".join(seen) or "not there")


def event_seen(bench: ClusterBench, order: dict[str, Any]) -> tuple[bool, str]:
    """As on Compose, for the one event that faults wait for: the kernel has ended something for want of memory."""
    if order["event"] != "oom":
        raise FaultError("on Kubernetes only the event oom is known")
    return container_seen(bench, {"container": order["service"], "oom_killed": True})


def log_seen(bench: ClusterBench, order: dict[str, Any]) -> tuple[bool, str]:
    """As the Compose side's: since the injection began, in the present container or in the one before."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(bench.began - 1))
    for pod in bench.pods(order["log"]):
        for previous in ("--previous=false", "--previous=true"):
            with contextlib.suppress(FaultError):
                text = bench.kubectl("-n", pod["metadata"]["namespace"], "logs", pod["metadata"]["name"], previous, "--since-time=%s" % since, check=False)
                match = re.search(order["matches"], text)
                if match:
                    return True, match[0]
    return False, "the log of %s says nothing like %s" % (order["log"], order["matches"])


def object_seen(bench: ClusterBench, order: dict[str, Any]) -> tuple[bool, str]:
    """{object: kind/name, path: of kubectl's jsonpath, matches: pattern}"""
    text = bench.kubectl("-n", order.get("namespace") or bench.namespaces[0], "get", order["object"], "-o", "jsonpath=%s" % order["path"], check=False)
    return bool(re.search(order["matches"], text)), "%s says %s" % (order["object"], text[:200])


ClusterBench.steps = {
    "stop": stop,
    "start": start,
    "recreate": recreate,
    "restart": recreate,
    "override": override,
    "setting": setting,
    "unset": unset,
    "add_memory_limit": add_memory_limit,
    "exec": exec_inside,
}
ClusterBench.symptoms = {"container": container_seen, "event": event_seen, "log": log_seen, "pod": pod_seen, "object": object_seen}
ONLY_HERE = {"patch": patch, "delete": delete, "create": create, "cut": cut}
ClusterBench.steps.update(ONLY_HERE)
