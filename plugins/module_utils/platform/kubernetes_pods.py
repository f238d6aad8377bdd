# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a pod's status says, in the words that are the same for every platform. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance
from ansible_collections.aiops.runbook.plugins.module_utils.secret import shortened
from ansible_collections.aiops.runbook.plugins.module_utils.times import read_time

# Containers that stand beside an application and are none: meshes, agents, exporters.
SIDECAR = re.compile(
    r"istio|linkerd|envoy|vault-agent|cloud-?sql-proxy|fluent|filebeat|promtail|logstash|vector|otel|opentelemetry|jaeger|datadog|newrelic|dynatrace"
    r"|reload|git-sync|exporter|oauth2-proxy|kube-rbac-proxy|daprd|consul|secrets-store|telegraf|statsd|sidecar",
    re.IGNORECASE,
)
# Those of them that lead nobody on to a server.
AGENT = re.compile(
    r"istio|linkerd|kuma|vault|fluent|filebeat|promtail|logstash|vector|otel|opentelemetry|jaeger|datadog|newrelic|dynatrace|reload|git-sync|exporter"
    r"|oauth2-proxy|kube-rbac-proxy|secrets-store|telegraf|statsd",
    re.IGNORECASE,
)
# Proxies that let nobody in who is not of their mesh, where that is told to.
MESH = re.compile(r"^(istio-proxy|linkerd-proxy|kuma-sidecar|consul-dataplane|envoy-sidecar|osm-proxy)$")
AMBIENT = "ambient.istio.io/redirection"
# The ports that such containers open without saying so.
OPENS = (
    (re.compile(r"istio|linkerd"), frozenset([*range(15000, 15100), *range(4140, 4192)])),
    (re.compile(r"cloud-?sql-proxy"), frozenset([5432, 3306, 9090, 9801])),
)
# A port that a command line has a program open; not one of a URL, to which it goes.
SAID_PORT = re.compile(
    r"(?:port|listen|addr|address|bind|tcp|(?<!\S)-[pb])[ =:]+(?:[^\s/]*:)?(\d{2,5})(?![\w.])"
    r"|(?:^|[\s=]|://)(?:0\.0\.0\.0|\*|\[::\])?:(\d{2,5})(?![\w.])"
    r"|(?:^|[\s=])(?:127\.0\.0\.1|localhost|0\.0\.0\.0|\[::1?\]):(\d{2,5})(?![\w.])",
    re.IGNORECASE,
)
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
NETWORK = "pod"
NO_SUCH_COMMAND = re.compile(r"executable file not found|no such file or directory|not found in \$PATH", re.IGNORECASE)
# What the kubelet says of a container whose end it has not seen.
LOST = ("Unknown", "ContainerStatusUnknown")
NO_PERMISSION = re.compile(r"permission denied|is a directory|exec format error", re.IGNORECASE)
_SIZES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_SIZES.update({prefix + "i": 1 << (10 * (place + 1)) for place, prefix in enumerate("KMGTPE")})


def read_quantity(text: Any) -> float:
    """A quantity of the API ("128Mi", "250m", "1e3"); 0 for none."""
    match = re.fullmatch(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)([kMGTPEmun]|[KMGTPE]i)?", str(text or "").strip())
    return float(match.group(1)) * _SIZES[match.group(2) or ""] if match else 0.0


def app_containers(pod: dict[str, Any], workload: str) -> list[dict[str, Any]]:
    """The containers of a pod that are the application's, the main one first; sidecars are left out."""
    containers = pod["spec"].get("containers") or []
    named = (pod["metadata"].get("annotations") or {}).get(DEFAULT_CONTAINER, "")
    own = [one for one in containers if one["name"] == named or not (SIDECAR.search(one["name"]) or SIDECAR.search(image_name(one.get("image", ""))))]
    own = own or containers[:1]
    return sorted(own, key=lambda one: (one["name"] != named, one["name"] not in (workload, "app", "main"), one["name"] not in workload, not _serves(one)))


def _serves(container: dict[str, Any]) -> bool:
    """Whether somebody comes to a container or asks how it is; nobody does to what ships logs beside it."""
    return any(container.get(key) for key in ("ports", "readinessProbe", "livenessProbe", "startupProbe"))


def every_container(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The containers of a pod spec, those that run first at the front."""
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def native_sidecars(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """The containers that begin before the others and stay."""
    return [one for one in pod["spec"].get("initContainers") or [] if one.get("restartPolicy") == "Always"]


def proxies_of(pod: dict[str, Any], workload: str) -> list[str]:
    """The containers beside the application's that may lead a connection to localhost on to a server elsewhere."""
    own = [one["name"] for one in app_containers(pod, workload)]
    beside = [*native_sidecars(pod), *(one for one in pod["spec"].get("containers") or [] if one["name"] not in own)]
    return [one["name"] for one in beside if not (AGENT.search(one["name"]) or AGENT.search(image_name(one.get("image", ""))))]


def in_mesh(pod: dict[str, Any]) -> bool:
    """Whether a mesh stands between a pod and who connects to it."""
    named = [one["name"] for key in ("containers", "initContainers") for one in pod["spec"].get(key) or []]
    return any(MESH.match(name) for name in named) or (pod["metadata"].get("annotations") or {}).get(AMBIENT) == "enabled"


def image_name(image: str) -> str:
    """The last part of an image's name, without its tag."""
    return image.rsplit("/", 1)[-1].split("@")[0].split(":")[0]


def identity_of(pod: dict[str, Any], container: str, main: bool) -> str:
    """What an instance is called by itself: the pod's uid; of a further container of the same pod, one of its own."""
    uid = str(pod["metadata"].get("uid") or pod["metadata"]["name"])
    return uid if main else hashlib.sha256(("%s/%s" % (uid, container)).encode()).hexdigest()[:32]


def read_instance(pod: dict[str, Any], container: dict[str, Any], identity: str) -> Instance:
    """An Instance of one container of a pod. Its environment, names, mounts and what its probes say are filled in by others."""
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    told = status_of(pod, container["name"])
    limits = (container.get("resources") or {}).get("limits") or {}
    return Instance(
        id=identity,
        name=meta["name"],
        hostname=spec.get("hostname") or meta["name"][:63].rstrip("-."),
        image=container.get("image", ""),
        image_id=str(told.get("imageID") or "").rsplit("sha256:", 1)[-1],
        restarts=0 if _was_lost((told.get("lastState") or {}).get("terminated") or {}) else int(told.get("restartCount") or 0),
        restart_policy=str(spec.get("restartPolicy") or "Always").lower(),
        created_at=read_time(meta.get("creationTimestamp")),
        health_test=health_test(container),
        health_timing=health_timing(container),
        command=[*(container.get("command") or []), *(container.get("args") or [])],
        working_dir=container.get("workingDir") or "",
        exposed=sorted(int(port["containerPort"]) for port in container.get("ports") or [] if port.get("protocol", "TCP") == "TCP"),
        networks={NETWORK: {"address": status.get("podIP") or "", "aliases": [meta["name"]]}},
        home_network=NETWORK,
        memory_limit=int(read_quantity(limits.get("memory"))),
        cpus=read_quantity(limits.get("cpu")),
        log_driver="kubernetes",
        config_hash=(meta.get("labels") or {}).get("pod-template-hash") or (meta.get("labels") or {}).get("controller-revision-hash") or "",
        **read_state(pod, told),
    )


def status_of(pod: dict[str, Any], container: str) -> dict[str, Any]:
    return next((one for one in (pod.get("status") or {}).get("containerStatuses") or [] if one["name"] == container), {})


def read_state(pod: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """{"state", "exit_code", "oom_killed", "error", "started_at", "finished_at"} of a container, from its status."""
    now = told.get("state") or {}
    last = (told.get("lastState") or {}).get("terminated") or {}
    if "running" in now:
        return _state("running", {"startedAt": now["running"].get("startedAt"), "finishedAt": last.get("finishedAt")})
    if "terminated" in now:
        ended = now["terminated"]
        policy = pod["spec"].get("restartPolicy", "Always")
        over = (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded") or policy == "Never" or (policy == "OnFailure" and not ended.get("exitCode"))
        return _state("exited" if over else "restarting", ended, ended.get("message") or "")
    waiting = now.get("waiting") or {}
    if waiting.get("reason") == "CrashLoopBackOff" or (last and waiting.get("reason") in ("RunContainerError", "CreateContainerError")):
        return _state("restarting", last, last.get("message") or waiting.get("message") or "")
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Failed", "Succeeded"):
        why = pod["status"].get("reason") or ""
        return _state("exited", {"exitCode": 137 if phase == "Failed" else 0}, ": ".join(filter(None, [why, pod["status"].get("message") or ""])))
    return _state("created", {}, why_waiting(pod, waiting))


def _was_lost(ended: dict[str, Any]) -> bool:
    """Whether the kubelet no longer knows how it ended, because its node or runtime went away under it: no fault of its own."""
    return ended.get("reason") in LOST


def _state(state: str, ended: dict[str, Any], error: str = "") -> dict[str, Any]:
    code = int(ended.get("exitCode") or 0)
    if ended.get("reason") in ("StartError", "ContainerCannotRun"):
        # What Docker and every shell say of a program that is not there, or cannot be run.
        code = 127 if NO_SUCH_COMMAND.search(error) else 126 if NO_PERMISSION.search(error) else code
    return {
        "state": state,
        "exit_code": code,
        "oom_killed": ended.get("reason") == "OOMKilled",
        "error": shortened(error, 500),
        "started_at": read_time(ended.get("startedAt")),
        "finished_at": read_time(ended.get("finishedAt")),
    }


def why_waiting(pod: dict[str, Any], waiting: dict[str, Any]) -> str:
    """Why a container has not been started yet, in the API's own words."""
    if waiting.get("reason") and waiting["reason"] not in ("ContainerCreating", "PodInitializing"):
        return ": ".join(filter(None, [waiting["reason"], waiting.get("message") or ""]))
    for one in (pod.get("status") or {}).get("initContainerStatuses") or []:
        state = one.get("state") or {}
        held = state.get("waiting") or state.get("terminated") or {}
        if held.get("reason") not in (None, "", "Completed", "PodInitializing"):
            return "init container %s: %s" % (one["name"], held["reason"])
        if "running" in state and not one.get("started"):
            return "init container %s has not ended yet" % one["name"]
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return ": ".join(filter(None, [condition.get("reason") or "", condition.get("message") or ""]))
    return waiting.get("reason") or ""


def lives_of(pod: dict[str, Any], container: str) -> list[dict[str, Any]]:
    """The lives of a container that its status still remembers, oldest first: [{"started_at", "finished_at", "exit_code", "oom", "signal"}]."""
    told = status_of(pod, container)
    found = []
    for state in (told.get("lastState") or {}, told.get("state") or {}):
        life = state.get("terminated") or state.get("running")
        if life:
            read = _state("", life, life.get("message") or "")
            found.append(
                {
                    "started_at": read["started_at"],
                    "finished_at": read["finished_at"],
                    "exit_code": 0 if _was_lost(life) else read["exit_code"],
                    "oom": read["oom_killed"],
                }
            )
    return found


def probe_of(container: dict[str, Any]) -> dict[str, Any]:
    """The probe that says whether a container serves: readiness, else liveness, else startup."""
    for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
        if container.get(kind):
            return dict(container[kind])
    return {}


def health_test(container: dict[str, Any]) -> list[str]:
    """What its probes ask, as a command line or a URL of the container's own."""
    found = []
    for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
        probe = container.get(kind) or {}
        if probe.get("exec"):
            found.append(" ".join(probe["exec"].get("command") or []))
        elif probe.get("httpGet"):
            asked = probe["httpGet"]
            port = port_number(container, asked.get("port"))
            found.append(
                "%s://localhost:%s/%s" % (str(asked.get("scheme") or "http").lower(), port or asked.get("port"), str(asked.get("path") or "").lstrip("/"))
            )
        elif probe.get("tcpSocket"):
            found.append("tcp://localhost:%s" % (port_number(container, probe["tcpSocket"].get("port")) or probe["tcpSocket"].get("port")))
        elif probe.get("grpc"):
            found.append("grpc://localhost:%s" % probe["grpc"].get("port"))
    return list(dict.fromkeys(found))


def health_timing(container: dict[str, Any]) -> dict[str, float]:
    """The times of that probe in seconds, as the kubelet takes them."""
    probe = probe_of(container)
    if not probe:
        return {}
    return {
        "interval_seconds": float(probe.get("periodSeconds") or 10),
        "timeout_seconds": float(probe.get("timeoutSeconds") or 1),
        "start_period_seconds": float(probe.get("initialDelaySeconds") or 0),
        "retries": float(probe.get("failureThreshold") or 3),
    }


def _readiness(pod: dict[str, Any]) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = (pod.get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one.get("type") == "Ready"), {})


def is_ready(pod: dict[str, Any]) -> bool:
    return _readiness(pod).get("status") == "True"


def unready_since(pod: dict[str, Any]) -> float:
    """The UNIX time since which a pod is not ready; 0 where it is, and where that is not known."""
    told = _readiness(pod)
    return read_time(told.get("lastTransitionTime")) if told.get("status") == "False" else 0.0


def read_health(container: dict[str, Any], told: dict[str, Any], failed: dict[str, Any] | None, now: float, unready: float = 0.0) -> dict[str, Any] | None:
    """{"status", "failing", "output"} as the kubelet sees the container, and "never_ready" of one that was not once; None where it has no probe.

    failed: {"count", "message"} of the latest event that told of a failing probe. now: UNIX time. unready: since when its pod is not ready.
    """
    if not probe_of(container):
        return None
    if told.get("ready"):
        return {"status": "healthy", "failing": 0, "output": ""}
    # As long as no probe could have failed often enough, nothing is known of it.
    times = health_timing(container)
    first_verdict = times["start_period_seconds"] + times["interval_seconds"] * times["retries"] + times["timeout_seconds"]
    started = read_time(((told.get("state") or {}).get("running") or {}).get("startedAt"))
    young = now - started < first_verdict and not told.get("restartCount")
    status = "starting" if told.get("started") is False or young else "unhealthy"
    found = {"status": status, "failing": int((failed or {}).get("count") or 0), "output": shortened(str((failed or {}).get("message") or ""), 500)}
    # A pod is called not ready before its first container is started.
    return {**found, **({"never_ready": True} if 0 < unready <= started and not told.get("restartCount") else {})}


def port_number(container: dict[str, Any], port: Any) -> int:
    """The number of a port that may be given by name; 0 where the container has none of that name."""
    if isinstance(port, int) or str(port or "").isdigit():
        return int(port)
    return next((int(one["containerPort"]) for one in container.get("ports") or [] if one.get("name") == port), 0)


def target_numbers(pod: dict[str, Any], port: Any) -> list[int]:
    """The numbers of a Service's target port in a pod, whichever of its containers that stay it belongs to; [] where none has one of that name."""
    return sorted({port_number(one, port) for one in [*(pod["spec"].get("containers") or []), *native_sidecars(pod)]} - {0})


def said_ports(text: str) -> list[int]:
    """The ports that a command line has a program open, as far as it says so."""
    return sorted({int(next(filter(None, found))) for found in SAID_PORT.findall(text)})


def own_ports(heard: Iterable[int], mine: Mapping[str, Any], others: Iterable[Mapping[str, Any]], commands: Iterable[str] = ()) -> list[int]:
    """Of the ports on which a pod listens, those that one of its containers may have opened: all its containers have one list of them in /proc.

    What another one says that it opens, or is known to open, is that one's. Where one says nothing it may be any port: then only what mine says counts.
    mine, others: {"name", "image"} and, but for what a webhook put there, {"ports", "probes", "said"}, as observe/kubernetes_pods.py tells a container.
    commands: the command lines of mine.
    """
    declared = {port["port"] for port in mine.get("ports") or []}
    said = _ports_of(mine) | {port for text in commands for port in said_ports(text)}
    known = [_ports_of(one) for one in others]
    theirs: set[int] = set().union(*known)
    return sorted({port for port in heard if port in declared or port not in theirs and (port in said or all(known))})


def _ports_of(one: Mapping[str, Any]) -> set[int]:
    """The ports that are known to be a container's."""
    found = {port["port"] for port in one.get("ports") or []} | {probe["port"] for probe in (one.get("probes") or {}).values()} | {*(one.get("said") or [])}
    usual = [ports for words, ports in OPENS if words.search(one["name"]) or words.search(image_name(one["image"]))]
    return found.union(*usual) - {0}


def others_ports(pod: dict[str, Any], container: dict[str, Any]) -> set[int]:
    """The ports that only other containers of the pod say are theirs."""
    ports = {one["name"]: {int(port["containerPort"]) for port in one.get("ports") or []} for one in [*pod["spec"]["containers"], *native_sidecars(pod)]}
    own = ports.pop(container["name"], set())
    return set().union(*ports.values()) - own
