# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pods of a workload, equal ones told once: two thousand of them are a page, not a book. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Callable, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import (
    app_containers,
    every_container,
    port_number,
    read_quantity,
    said_ports,
)
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_workloads import RESTARTED
from ansible_collections.aiops.runbook.plugins.module_utils.secret import shortened
from ansible_collections.aiops.runbook.plugins.module_utils.times import read_time

Text = Callable[[str], str]
# Of one workload: kinds of pods that are told, the troubled ones first, and of each the names.
MOST_GROUPS = 12
MOST_NAMES = 3
MOST_NODES = 5
MESSAGE = 600
PROBES = {"livenessProbe": "liveness", "readinessProbe": "readiness", "startupProbe": "startup"}
USUAL = frozenset(["Scheduled", "Pulling", "Pulled", "Created", "Started"])
# What every pod is given and nobody has to make.
GIVEN = frozenset(["kube-root-ca.crt"])


def group_pods(found: Iterable[dict[str, Any]], workload: str, told: dict[str, dict[str, Any]], text: Text) -> list[dict[str, Any]]:
    """Pods that are in the same state, as one: the troubled first.

    told: by the pod's uid, what events say of it: {reason: {"count", "last", "message"}}. text: hides secrets in a message.
    Each: {"count", "names", "created", "started", "restarts", "nodes", "lived", "ready_after", "events"} and what pod_fact() says of the first.
    Ranges are [least, most].
    """
    groups: dict[Any, dict[str, Any]] = {}
    for pod in found:
        fact = pod_fact(pod, workload)
        key = _key(fact)
        group = groups.get(key)
        if group is None:
            group = groups[key] = {**fact, "count": 0, "names": [], "nodes": {}, "events": {}}
        _add(group, fact, told.get(fact["uid"], {}))
    ranked = sorted(groups.values(), key=lambda group: (not is_troubled(group), -group["count"]))
    shown = ranked[:MOST_GROUPS]
    for group in shown:
        del group["uid"], group["name"], group["node"]
        _hide(group, text)
    return shown


def is_troubled(group: dict[str, Any]) -> bool:
    return not (group["ready"] or group["phase"] == "Succeeded") or group["deleting"] is not None


def pod_fact(pod: dict[str, Any], workload: str) -> dict[str, Any]:
    """One pod: {"uid", "name", "node", "phase", "reason", "message", "ready", "scheduled", "deleting", "revision", "containers", …}. Times are UNIX."""
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    conditions = {one.get("type"): one for one in status.get("conditions") or []}
    ready, scheduled = conditions.get("Ready") or {}, conditions.get("PodScheduled") or {}
    labels = meta.get("labels") or {}
    own = {one["name"] for one in app_containers(pod, workload)} if spec.get("containers") else set()
    containers = [container_fact(one, status.get("initContainerStatuses"), True, False) for one in spec.get("initContainers") or []] + [
        container_fact(one, status.get("containerStatuses"), False, one["name"] not in own) for one in spec.get("containers") or []
    ]
    started = [one["started_at"] for one in containers if one["started_at"] and not one["init"] and not one["beside"]]
    deleted = read_time(meta.get("deletionTimestamp"))
    since = read_time(ready.get("lastTransitionTime"))
    return {
        "uid": str(meta.get("uid") or meta["name"]),
        "name": meta["name"],
        "node": spec.get("nodeName") or "",
        "phase": status.get("phase") or "",
        "reason": status.get("reason") or "",
        "message": shortened(status.get("message") or "", MESSAGE),
        "pull_secrets": sorted(one["name"] for one in spec.get("imagePullSecrets") or [] if one.get("name")),
        "ready": ready.get("status") == "True",
        "ready_since": since,
        "scheduled": None
        if scheduled.get("status") == "True"
        else {"reason": scheduled.get("reason") or "", "message": shortened(scheduled.get("message") or "", MESSAGE)},
        # When it should be gone at the latest, and what holds it.
        "deleting": {"since": deleted, "finalizers": meta.get("finalizers") or []} if deleted else None,
        "revision": labels.get("pod-template-hash") or labels.get("controller-revision-hash") or "",
        "gates": [one["conditionType"] for one in spec.get("readinessGates") or [] if (conditions.get(one["conditionType"]) or {}).get("status") != "True"],
        "created": [read_time(meta.get("creationTimestamp"))] * 2,
        "started": [max(started)] * 2 if started else [],
        "restarts": [sum(one["restarts"] for one in containers if not one["init"])] * 2,
        # How long it took from its start to ready, where it has been ready ever since.
        "ready_after": [max(0.0, since - max(started))] * 2 if started and ready.get("status") == "True" and since >= max(started) else [],
        "containers": containers,
    }


def container_fact(spec: dict[str, Any], statuses: list[dict[str, Any]] | None, init: bool, beside: bool) -> dict[str, Any]:
    """{"name", "state", "reason", "message", "exit_code", "ready", "restarts", "last", …} of one container.

    init: it runs before the others, unless it is a sidecar of that kind. beside: it belongs to a mesh, an agent, not to the application.
    """
    status = next((one for one in statuses or [] if one["name"] == spec["name"]), {})
    state = status.get("state") or {}
    kind = next((name for name in ("running", "terminated", "waiting") if name in state), "waiting")
    now = state.get(kind) or {}
    last = (status.get("lastState") or {}).get("terminated") or {}
    fact = {
        "name": spec["name"],
        "init": init and spec.get("restartPolicy") != "Always",
        "beside": beside or (init and spec.get("restartPolicy") == "Always"),
        "image": spec.get("image") or "",
        "digest": str(status.get("imageID") or "").rsplit("sha256:", 1)[-1][:16],
        # As a registry has it (repository@digest), or as the node reckons it.
        "digest_of": "registry" if "@" in str(status.get("imageID") or "") else "node",
        "state": kind,
        "reason": now.get("reason") or "",
        "message": shortened(now.get("message") or "", MESSAGE),
        "exit_code": now.get("exitCode") if kind == "terminated" else None,
        "ready": bool(status.get("ready")),
        "started": status.get("started"),
        "restarts": int(status.get("restartCount") or 0),
        "started_at": read_time(now.get("startedAt")),
        "last": None,
    }
    if last:
        begun, ended = read_time(last.get("startedAt")), read_time(last.get("finishedAt"))
        fact["last"] = {
            "reason": last.get("reason") or "",
            "exit_code": last.get("exitCode"),
            "message": shortened(last.get("message") or "", MESSAGE),
            "lived": [max(0.0, ended - begun)] * 2,
            "finished_at": ended,
        }
    return fact


def _key(fact: dict[str, Any]) -> Any:
    """What makes two pods the same kind of pod: everything but names and times."""
    return (
        fact["phase"],
        fact["reason"],
        fact["ready"],
        fact["scheduled"] and fact["scheduled"]["reason"],
        fact["deleting"] is not None and tuple(fact["deleting"]["finalizers"]),
        fact["deleting"] is not None,
        fact["revision"],
        tuple(fact["gates"]),
        fact["restarts"][0] > 0,
        tuple(
            (
                one["name"],
                one["image"],
                one["digest"],
                one["state"],
                one["reason"],
                one["exit_code"],
                one["ready"],
                one["started"],
                one["last"] and (one["last"]["reason"], one["last"]["exit_code"]),
            )
            for one in fact["containers"]
        ),
    )


def _add(group: dict[str, Any], fact: dict[str, Any], told: dict[str, dict[str, Any]]) -> None:
    group["count"] += 1
    if len(group["names"]) < MOST_NAMES:
        group["names"].append(fact["name"])
    if fact["node"] and (fact["node"] in group["nodes"] or len(group["nodes"]) < MOST_NODES):
        group["nodes"][fact["node"]] = group["nodes"].get(fact["node"], 0) + 1
    for name in ("created", "started", "restarts", "ready_after"):
        group[name] = wider(group[name], fact[name])
    if group["deleting"] and fact["deleting"]:
        group["deleting"]["since"] = min(group["deleting"]["since"], fact["deleting"]["since"])
    for mine, other in zip(group["containers"], fact["containers"]):
        if mine["last"] and other["last"]:
            mine["last"]["lived"] = wider(mine["last"]["lived"], other["last"]["lived"])
            mine["last"]["finished_at"] = max(mine["last"]["finished_at"], other["last"]["finished_at"])
    for reason, one in told.items():
        seen = group["events"].get(reason)
        if seen is None:
            group["events"][reason] = dict(one)
        else:
            newer = one if one["last"] > seen["last"] else seen
            group["events"][reason] = {"count": seen["count"] + one["count"], "last": newer["last"], "message": newer["message"]}


def wider(one: list[float], other: list[float]) -> list[float]:
    """The range that holds both; [] is no range."""
    return [min(one[0], other[0]), max(one[1], other[1])] if one and other else one or other


def _hide(group: dict[str, Any], text: Text) -> None:
    group["message"] = text(group["message"])
    if group["scheduled"]:
        group["scheduled"]["message"] = text(group["scheduled"]["message"])
    for one in group["containers"]:
        one["message"] = text(one["message"])
        if one["last"]:
            one["last"]["message"] = text(one["last"]["message"])
    # The usual steps of a start tell nothing that the status does not, but for a pull that goes on.
    told = group["events"]
    pulls = "Pulling" in told and told["Pulling"]["last"] > told.get("Pulled", {"last": 0.0})["last"]
    usual = USUAL - ({"Pulling"} if pulls else set())
    group["events"] = {reason: {**event, "message": text(event["message"])} for reason, event in told.items() if reason not in usual}


def template_fact(spec: dict[str, Any], pod: dict[str, Any], workload: str) -> dict[str, Any]:
    """What a pod template asks for, without any value of a setting. pod: {"metadata", "spec"} as the template would make it."""
    own = {one["name"] for one in app_containers(pod, workload)} if spec.get("containers") else set()
    init = [{**container_wish(one), "init": True, "beside": one.get("restartPolicy") == "Always"} for one in spec.get("initContainers") or []]
    return {
        "containers": init + [{**container_wish(one), "init": False, "beside": one["name"] not in own} for one in spec.get("containers") or []],
        "service_account": spec.get("serviceAccountName") or "default",
        "node_selector": spec.get("nodeSelector") or {},
        "affinity": sorted(spec.get("affinity") or {}),
        "tolerations": [one.get("key") or "*" for one in spec.get("tolerations") or []],
        "priority_class": spec.get("priorityClassName") or "",
        "dns": {"policy": spec.get("dnsPolicy") or "ClusterFirst", "servers": (spec.get("dnsConfig") or {}).get("nameservers") or []},
        "host_network": bool(spec.get("hostNetwork")),
        "grace_seconds": spec.get("terminationGracePeriodSeconds", 30),
        "claims": [one["persistentVolumeClaim"]["claimName"] for one in spec.get("volumes") or [] if one.get("persistentVolumeClaim")],
        "refs": references(spec),
    }


def asked_by_all(found: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """{container: the resources for which every pod that has not ended has a request}: a LimitRange gives some that no template names."""
    pods = [pod for pod in found if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]
    asked: dict[str, list[set[str]]] = {}
    for pod in pods:
        for one in pod["spec"].get("containers") or []:
            asked.setdefault(one["name"], []).append(set((one.get("resources") or {}).get("requests") or {}))
    return {name: sorted(set.intersection(*some)) for name, some in asked.items() if len(some) == len(pods)}


def container_wish(one: dict[str, Any]) -> dict[str, Any]:
    """{"name", "image", "requests", "limits", "ports", "said": ports that its command names, "probes"} of a container of a template or a pod."""
    resources = one.get("resources") or {}
    return {
        "name": one["name"],
        "image": one.get("image") or "",
        "pull_policy": one.get("imagePullPolicy") or "",
        "requests": {name: read_quantity(value) for name, value in (resources.get("requests") or {}).items()},
        "limits": {name: read_quantity(value) for name, value in (resources.get("limits") or {}).items()},
        "ports": [{"name": port.get("name") or "", "port": port["containerPort"], "protocol": port.get("protocol", "TCP")} for port in one.get("ports") or []],
        "said": said_ports(" ".join([*(one.get("command") or []), *(one.get("args") or [])])),
        "probes": {name: probe_fact(one, one[key]) for key, name in PROBES.items() if one.get(key)},
    }


def version_fact(template: dict[str, Any]) -> dict[str, Any]:
    """What of a version tells how it differs from another: {"containers": {name: {"image", "probes"}}, "rest": a hash of everything but the images}."""
    spec, meta = template.get("spec") or {}, template.get("metadata") or {}
    found, rest = {}, {key: value for key, value in spec.items() if key not in ("containers", "initContainers")}
    for key in ("containers", "initContainers"):
        for one in spec.get(key) or []:
            found[one["name"]] = {
                "image": one.get("image") or "",
                "probes": {name: probe_fact(one, one[word]) for word, name in PROBES.items() if one.get(word)},
            }
        rest[key] = [{name: value for name, value in one.items() if name != "image"} for one in spec.get(key) or []]
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key not in ("pod-template-hash", "controller-revision-hash")}
    notes = {key: value for key, value in (meta.get("annotations") or {}).items() if key != RESTARTED}
    text = json.dumps([rest, labels, notes], sort_keys=True, default=str)
    return {"containers": found, "rest": hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]}


def probe_fact(container: dict[str, Any], probe: dict[str, Any]) -> dict[str, Any]:
    """{"kind": http, tcp, exec or grpc, "port": number or 0, "named": its name, "path", "scheme", "initial", "period", "timeout", "failures"}: seconds."""
    kind = next((name for name, key in (("http", "httpGet"), ("tcp", "tcpSocket"), ("grpc", "grpc"), ("exec", "exec")) if probe.get(key)), "exec")
    asked = probe.get({"http": "httpGet", "tcp": "tcpSocket"}.get(kind, kind)) or {}
    port = asked.get("port")
    return {
        "kind": kind,
        "port": port_number(container, port) if port else 0,
        "named": port if isinstance(port, str) and not port.isdigit() else "",
        "path": asked.get("path") or ("/" if kind == "http" else ""),
        "scheme": str(asked.get("scheme") or "").lower(),
        "initial": float(probe.get("initialDelaySeconds") or 0),
        "period": float(probe.get("periodSeconds") or 10),
        "timeout": float(probe.get("timeoutSeconds") or 1),
        "failures": float(probe.get("failureThreshold") or 3),
    }


def references(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The ConfigMaps and Secrets that a pod template names: [{"kind", "name", "how", "keys", "required", "optional"}].

    how: env, env_from or volume. keys: None for all. required: those of them without which no container is made.
    """
    found: dict[tuple[str, str, str], dict[str, Any]] = {}

    def note(kind: str, name: str | None, how: str, keys: list[str] | None, optional: bool) -> None:
        if not name or name in GIVEN:
            return
        one = found.setdefault((kind, name, how), {"kind": kind, "name": name, "how": how, "keys": [], "required": [], "optional": True})
        # One that is needed once is needed.
        one["optional"] = one["optional"] and bool(optional)
        one["required"] = sorted({*one["required"], *([] if optional else keys or [])})
        one["keys"] = None if keys is None or one["keys"] is None else sorted({*one["keys"], *keys})

    for container in every_container(spec):
        for entry in container.get("env") or []:
            for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                ref = (entry.get("valueFrom") or {}).get(key)
                if ref:
                    note(kind, ref.get("name"), "env", [ref.get("key", "")], ref.get("optional", False))
        for entry in container.get("envFrom") or []:
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if entry.get(key):
                    note(kind, entry[key].get("name"), "env_from", None, entry[key].get("optional", False))
    for volume in spec.get("volumes") or []:
        sources = [volume, *((volume.get("projected") or {}).get("sources") or [])]
        for source in sources:
            for key, kind, name in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
                ref = source.get(key)
                if ref:
                    keys = [item["key"] for item in ref.get("items") or []] or None
                    note(kind, ref.get(name) or ref.get("name"), "volume", keys, ref.get("optional", False))
    return list(found.values())
