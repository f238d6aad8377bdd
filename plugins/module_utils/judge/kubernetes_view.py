# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Questions that several judges ask of what a Kubernetes API said (observe/kubernetes.py). Pure.

What a component's copies do is judged by judge/containers.py on both platforms. The judges of this domain say why: their findings
explain those, and none of them tells once more that something does not run.
"""

from __future__ import annotations

from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge import view
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, WARNING, Unseen
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import own_ports

DOMAIN = "kubernetes"
# The kinds whose rollouts are judged.
WORKLOADS = ("deployments", "statefulsets", "daemonsets", "replicasets")
# Events of a state that has been over for so long say nothing of now; a kubelet repeats itself every five minutes at least.
RECENT_SECONDS = 900
# What an autoscaler of nodes says of a pod for which it makes one.
SCALES_UP = ("TriggeredScaleUp", "Nominated")
# Why a container waits whose volumes may not be there yet.
NOT_YET = ("", "ContainerCreating", "PodInitializing")


def facts(seen: dict[str, Any]) -> dict[str, Any]:
    return seen["kubernetes"]


def workloads(seen: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every workload, by the name of its component."""
    for _name, work in sorted(facts(seen)["workloads"].items()):
        yield work


def hidden(seen: dict[str, Any], kind: str, *ids: str) -> Iterator[Unseen]:
    """One Unseen for each of these findings when this kind of object could not be read."""
    why = facts(seen)["unseen"].get(kind)
    if why:
        for finding_id in ids:
            yield Unseen(finding_id, "stack", why["reason"], why["fix"])


def is_hidden(seen: dict[str, Any], kind: str) -> bool:
    return kind in facts(seen)["unseen"]


def staying(work: dict[str, Any]) -> list[dict[str, Any]]:
    """The groups of pods that count: not those on their way out, nor what has ended for good."""
    return [group for group in work["pods"] if group["deleting"] is None and group["phase"] not in ("Succeeded", "Failed")]


def count(groups: list[dict[str, Any]]) -> int:
    return sum(group["count"] for group in groups)


def own(group: dict[str, Any]) -> list[dict[str, Any]]:
    """The containers of the application itself, without those that run first and those of a mesh or an agent."""
    return [one for one in group["containers"] if not one["init"] and not one["beside"]]


def versions(work: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the present version of a workload, the earlier one that a rollback would take first: what serves still, else the newest); {} where none is known."""
    known = work["revisions"]
    now = next((one for one in known if one["name"] == work["update_revision"]), known[0] if known else {})
    earlier = [one for one in known if one["revision"] < now["revision"]] if now else []
    whole = [one for one in earlier if one["name"] == work["current_revision"] != work["update_revision"] or one["ready"]]
    return now, next(iter([*whole, *earlier]), {})


def age(seen: dict[str, Any], time: float) -> float:
    """Seconds since a UNIX time."""
    return max(0.0, seen["now"] - time)


def told(seen: dict[str, Any], where: dict[str, Any], reason: str, seconds: float = RECENT_SECONDS) -> dict[str, Any] | None:
    """What events said lately of a group, a workload or another object, for this reason."""
    event = where["events"].get(reason)
    return event if event and age(seen, event["last"]) <= seconds else None


def scaling_up(seen: dict[str, Any], group: dict[str, Any]) -> bool:
    """Whether a node is being added for pods that no node takes, by the cluster's autoscaler or by Karpenter; what still waits after so long is ill."""
    return any(told(seen, group, reason, 300) for reason in SCALES_UP) and age(seen, group["created"][0]) <= RECENT_SECONDS


def is_coming(seen: dict[str, Any], component: str, instance: str, patience: float) -> bool:
    """Whether a pod that was never started is about to be: a node is being added, its image is being pulled, or what runs first has not taken long.

    patience: seconds that an init container may run. False on another platform.
    """
    work = work_of(seen, component)
    groups = [group for group in staying(work) if not group["started"]] if work else []
    # Of many alike only a few are named.
    groups = [group for group in groups if instance in group["names"]] or groups
    return bool(groups) and all(scaling_up(seen, group) or _prepares(seen, group, patience) for group in groups)


def is_coming_up(seen: dict[str, Any], component: str, one: dict[str, Any], limits: Limits) -> bool:
    """Whether a copy that was never ready may still come up, beside one that serves. False on another platform.

    It has the startup grace, or twice as long as a start of its siblings took; while a rollout goes on, rollout_seconds. Not one that has ended once or
    that its probe kills.
    """
    work, check = work_of(seen, component), one["health"] or {}
    serve = [other for other in view.running(seen["components"][component]) if (other["health"] or {"status": "healthy"})["status"] == "healthy"]
    if not work or not check.get("never_ready") or one["restarts"] or not [other for other in serve if other is not one]:
        return False
    alike = [group for group in staying(work) if not group["ready"] and not group["restarts"][1]]
    if any(told(seen, group, "Killing/" + kind) for group in alike for kind in ("liveness", "startup")):
        return False
    rollout, grace = (limits.get(name, component=component) or 0 for name in ("rollout_seconds", "startup_grace_seconds"))
    # Who has not been ready for a while since his start took no longer for it than a rollout may.
    starts = [min(2 * group["ready_after"][1], rollout) for group in staying(work) if group["ready_after"]]
    patience = max([grace, *starts, *([rollout] if rolls_out(work) else [])])
    return check["status"] == "starting" or view.age(seen, one) < patience


def rolls_out(work: dict[str, Any]) -> bool:
    """Whether another version is coming up in place of the one before, as far as the workload itself says so."""
    progress = work["conditions"].get("Progressing")
    if progress:
        return bool(progress["status"] == "True" and progress["reason"] != "NewReplicaSetAvailable")
    behind = work["updated"] < (work["wanted"] or 0) or work["current_revision"] != work["update_revision"]
    return behind and work["kind"] in ("Deployment", "StatefulSet", "DaemonSet")


def not_up_yet(seen: dict[str, Any], finding: str, component: str, one: dict[str, Any]) -> Unseen:
    """What is said of such a copy instead of a finding."""
    reason = "%s was started %d s ago and was not ready yet, while others of it serve" % (one["name"], view.age(seen, one))
    return Unseen(finding, component, reason, "run it again in a moment")


def _prepares(seen: dict[str, Any], group: dict[str, Any], patience: float) -> bool:
    first = [one for one in group["containers"] if one["init"] and one["state"] == "running"]
    pulls = told(seen, group, "Pulling") and all(one["reason"] in NOT_YET for one in own(group))
    return any(age(seen, one["started_at"]) < patience for one in first) or bool(pulls)


def is_mounted(group: dict[str, Any]) -> bool:
    """Whether all volumes of these pods are there: only then a container is more than about to be made."""
    return any(one["state"] != "waiting" or one["reason"] not in NOT_YET for one in group["containers"])


def gravity(seen: dict[str, Any], component: str) -> str:
    """Critical where nothing of a component runs that is needed; a warning where others of it serve."""
    return CRITICAL if view.is_needed(seen, component) and not view.runs(seen, component) else WARNING


def base(work: dict[str, Any], group: dict[str, Any] | None = None) -> dict[str, Any]:
    """The evidence that every finding on a workload has: where it is, who looks after it, and one of its pods."""
    evidence: dict[str, Any] = {"workload": "%s/%s" % (work["kind"].lower(), work["name"]), "namespace": work["namespace"]}
    if work["managed_by"]:
        evidence["managed_by"] = work["managed_by"][0]
    if group:
        evidence.update({"instance": group["names"][0], "pods": group["count"]})
    return evidence


def platform_edges(seen: dict[str, Any]) -> list[dict[str, Any]]:
    """Dependencies that only the platform knows: on a node that is not well, on the cluster's DNS, and on whom a broken Service was made for.

    In the shape of the document's edges; [] on another platform.
    """
    if "kubernetes" not in seen or "workloads" not in seen["kubernetes"]:
        return []
    edges = []
    for name, node in sorted(facts(seen)["nodes"].items()):
        if not node["ready"] or node["pressures"]:
            edges += [_edge(component, "node/" + name, "node") for component in sorted(node["components"])]
    edges += [_edge(name, "cluster/dns", "dns") for name in sorted(seen.get("components", {}))]
    return edges + _meant_edges(seen)


def _meant_edges(seen: dict[str, Any]) -> list[dict[str, Any]]:
    """A name that leads to no pod still means somebody: the client uses the component that the Service was made for."""
    edges = []
    for edge in seen.get("edges", []):
        if edge["to"] in seen["components"] or not edge["host"]:
            continue
        service = service_named(seen, edge["host"], namespace_of(seen, edge["from"]))
        meant = (service["meant_for"] or next(iter(service["components"]), "")) if service else ""
        word, where = first_word(edge["host"]), next(iter(edge["host"].lower().split(".")[1:2]), namespace_of(seen, edge["from"]))
        if not service and word in seen["components"] and namespace_of(seen, word) == where:
            meant = word
        if meant and meant != edge["from"]:
            edges += [_edge(edge["from"], meant, edge["kind"]), _edge(edge["to"], meant, edge["kind"])]
    return edges


def _edge(user: str, used: str, kind: str) -> dict[str, Any]:
    return {"from": user, "to": used, "kind": kind, "setting": "", "source": "platform", "host": "", "port": 0}


def first_word(host: str) -> str:
    return host.split(".")[0].lower()


def work_of(seen: dict[str, Any], component: str) -> dict[str, Any] | None:
    """The workload of a component, that of its pods where it is a further program in them; None where there is none, and on another platform."""
    works: dict[str, Any] = (seen.get("kubernetes") or {}).get("workloads") or {}
    return works.get(component) or works.get(component.rsplit(".", 1)[0])


def namespace_of(seen: dict[str, Any], component: str) -> str:
    work = work_of(seen, component)
    return work["namespace"] if work else facts(seen)["namespace"]


def place_of(seen: dict[str, Any], component: str) -> dict[str, str]:
    """What a command of kubectl needs to name a component: {"namespace", "workload"}; {} on another platform."""
    if (seen.get("kubernetes") or {}).get("workloads") is None:
        return {}
    work = work_of(seen, component)
    return {"namespace": namespace_of(seen, component), "workload": "%s/%s" % (work["kind"].lower(), work["name"]) if work else component}


def owner_of(seen: dict[str, Any], component: str) -> dict[str, str] | None:
    """Who looks after the workload of a component (platform/kubernetes_owners.py); None where nobody does, and on another platform."""
    work = work_of(seen, component)
    return work["managed_by"][0] if work and work["managed_by"] else None


def service_named(seen: dict[str, Any], host: str, namespace: str) -> dict[str, Any] | None:
    """The Service that a host name means where a component of this namespace uses it; None where it is none of the stack's."""
    words = host.rstrip(".").lower().split(".")
    if len(words) > 2 and words[2:3] != ["svc"]:
        return None
    where = words[1] if len(words) > 1 else namespace
    return next((one for one in facts(seen)["services"] if (one["name"], one["namespace"]) == (words[0], where)), None)


def service_at(seen: dict[str, Any], host: str, namespace: str) -> dict[str, Any] | None:
    """The Service behind a host name or a cluster address, ExternalName followed."""
    for _hop in range(4):
        service = service_named(seen, host, namespace) or next((one for one in facts(seen)["services"] if host in one["addresses"]), None)
        if not service or service["type"] != "ExternalName":
            return service
        host, namespace = service["external_name"], service["namespace"]
    return None


def listening(seen: dict[str, Any], component: str, outside: bool = False) -> list[int] | None:
    """The ports on which the running copies of a component listen, or those that others get to; None where that could not be read of any."""
    copies = [one for one in view.running(seen["components"].get(component, {"instances": []})) if one["listening"] is not None]
    known = [one.get("listening_outside", one["listening"]) if outside else one["listening"] for one in copies]
    return sorted({port for ports in known for port in ports}) if known else None


def opened(seen: dict[str, Any], component: str, container: str = "") -> list[int]:
    """Of the ports on which the copies of a component listen, those that its own program, or this container of its pods, may have opened.

    A program that hangs before it opens any has none, whatever listens beside it. All that are seen where there are no pods.
    """
    heard, work = listening(seen, component) or [], work_of(seen, component)
    if not work:
        return heard
    injected = [one for group in staying(work) for one in group["containers"]]
    found = {one["name"]: one for one in [*injected, *work["containers"]] if one["beside"] or not one["init"]}
    name = container or component[len(work["component"]) + 1 :] or _main(seen, work)
    if name not in found:
        return heard
    part = "%s.%s" % (work["component"], name)
    runs = view.running(seen["components"].get(part if part in seen["components"] else work["component"], {"instances": []}))
    said = [text for one in runs for text in [one["command"], *(process["command"] for process in one["processes"])]]
    return own_ports(heard, found[name], [one for one in found.values() if one["name"] != name], [] if found[name]["beside"] else said)


def opened_for(seen: dict[str, Any], component: str, ports: list[Any]) -> list[int]:
    """The same of those who say that these ports are theirs, else of the component's own program: whoever these ports are promised of."""
    work = work_of(seen, component)
    meant = [one["name"] for one in work["containers"] if any(port["port"] in ports for port in one["ports"])] if work else []
    return sorted({port for name in meant or [""] for port in opened(seen, component, name)})


def _main(seen: dict[str, Any], work: dict[str, Any]) -> str:
    """The container that is the workload's own component: every further one of the application has a component of its own."""
    own_ones = [one["name"] for one in work["containers"] if not one["init"] and not one["beside"]]
    return next((name for name in own_ones if "%s.%s" % (work["component"], name) not in seen["components"]), "")
