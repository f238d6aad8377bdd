# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Services that lead to nobody: the selector that picks the right pods, the port on which they listen. Only where one answer is possible."""

from __future__ import annotations

from typing import Any, Container, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import DISRUPTIVE, SAFE, Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.cluster import ClusterObject
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.object import ObjectRemedy, Wish, copied, is_part
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_common import labels_of
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_pods import container_wish
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import is_loopback
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import by_name
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import app_containers, native_sidecars, own_ports
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_services import applied, matches
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_workloads import Workload

# Endpoints follow within moments; a pod that has to become ready first does not.
FOLLOWED_SECONDS = 60.0
# Labels that a controller gives pods: no template has them, and they differ from pod to pod, or from one version of a workload to the next.
PASSING = (
    "pod-template-hash",
    "rollouts-pod-template-hash",
    "controller-revision-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
)
# Argo Rollouts writes into such a Service which version of its pods it leads to.
OF_A_ROLLOUT = "argo-rollouts.argoproj.io/managed-by-rollouts"

Labels = Mapping[str, str]


class _OnService(ObjectRemedy):
    """What both have in common: which Service is meant, and that somebody takes what it promises."""

    def target(self, stage: Stage, step: Step) -> ClusterObject:
        name = str(step.params.get("service") or "")
        if not name:
            raise Refused("nothing says which Service is meant", fix="give service", kind="bad_option")
        wanted = step.params.get("namespace") or (stage.platform.workloads[step.component].namespace if step.component in stage.platform.workloads else "")
        spaces = [wanted] if wanted else [one for one in stage.platform.namespaces if by_name(stage.platform.objects, "services", one, name)]
        if len(spaces) != 1 or spaces[0] not in stage.platform.namespaces:
            raise Refused("there is no Service %s in %s" % (name, wanted or ", ".join(stage.platform.namespaces)), fix="name its namespace", kind="bad_option")
        found = ClusterObject(stage.platform.cluster, "Service", "/api/v1/namespaces/%s/services/%s" % (spaces[0], name))
        if found.object["spec"].get("type") == "ExternalName":
            raise Refused("%s is only another name for %s" % (found, found.object["spec"].get("externalName")), fix="change that name, where it is wrong")
        return found

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        target = self.target(stage, step)
        port = preview.texts.get("port_name")

        def problem() -> str:
            query = {"labelSelector": "kubernetes.io/service-name=" + target.name}
            slices = stage.platform.cluster.every("/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices" % target.namespace, query)
            return "" if serving(slices, port) else "%s has no endpoint that is ready" % target

        return stage.wait(problem, FOLLOWED_SECONDS, 1.0)

    @staticmethod
    def touched(stage: Stage, step: Step) -> list[str]:
        return [step.component] if is_part(stage, step.component) else []


class ServiceSelector(_OnService):
    """Lets a Service pick the pods of the one workload that it can have been made for. params: service, namespace, selector (a person's own)."""

    name = "service_selector"

    def wish(self, stage: Stage, step: Step, target: ClusterObject) -> Wish:
        present = target.object["spec"].get("selector") or {}
        works = [one for one in stage.platform.workloads.values() if one.namespace == target.namespace and not one.finite and one.template]
        given = step.params.get("selector")
        rollout = (target.object["metadata"].get("annotations") or {}).get(OF_A_ROLLOUT)
        if given is None and picked(present, works):
            return Wish(target.object, SAFE, texts={"service": target.name, "workload": ", ".join(one.name for one in picked(present, works))})
        if rollout is not None and given != present:
            who = "Argo Rollouts (%s)" % rollout
            raise Refused("%s is kept by %s, which would take the change back" % (target, who), fix="change the Rollout", kind="owned")
        if given is not None:
            chosen, name = {str(key): str(value) for key, value in given.items()}, ""
            if not picked(chosen, works):
                raise Refused("no workload of %s bears the labels %s" % (target.namespace, written(chosen) or "(none)"), fix="see the labels of its pods")
        else:
            meant = stage.platform.workloads.get(step.component)
            chosen, name = choose_selector(target.object, works, meant.name if meant else "", listening(stage, target.namespace))
        made = copied(target.object)
        made["spec"]["selector"] = chosen
        # Without a label it may lead to pods from which that one kept it away.
        risk = DISRUPTIVE if picked(present, works) or dropped(present, chosen) else SAFE
        return Wish(made, risk, self.touched(stage, step), {"service": target.name, "workload": name or written(chosen), "selector": written(chosen)})


class ServicePort(_OnService):
    """Lets a port of a Service lead to where its pods listen. params: service, namespace, port (the Service's own), target_port (a person's own)."""

    name = "service_port"

    def wish(self, stage: Stage, step: Step, target: ClusterObject) -> Wish:
        made = copied(target.object)
        port = port_of(made, step.params.get("port"))
        works = [one for one in stage.platform.workloads.values() if one.namespace == target.namespace]
        mine = picked(target.object["spec"].get("selector") or {}, works)
        if not mine:
            raise Refused("%s picks no pods: its port leads nowhere whatever it says" % target, fix="mend its selector first: service_selector")
        given = step.params.get("target_port")
        seen = listening(stage, target.namespace)
        heard = sorted({number for one in mine for number in seen.get(one.name, [])})
        declared = [one for work in mine for one in declared_ports(work)]
        old = port.get("targetPort", port["port"])
        if given is not None:
            chosen: Any = int(given) if str(given).isdigit() else str(given)
            if isinstance(chosen, str) and chosen not in [one.get("name") for one in declared]:
                raise Refused("no container that %s leads to has a port called %s" % (target, chosen), fix="give its number", kind="bad_option")
        elif leads_somewhere(old, declared, heard):
            chosen = old
        else:
            # What stands beside the program for which the port is has ports, too, and may listen where that one hangs.
            own = [promised(work, number_of(old, declared), seen.get(work.name, []), commands(stage, work)) for work in mine]
            declared_so, opened = [one for ports, _heard in own for one in ports], sorted({one for _ports, numbers in own for one in numbers})
            chosen = old if leads_somewhere(old, declared_so, opened) else choose_port(port, declared_so, opened, applied_port(target.object, port))
        port["targetPort"] = chosen
        texts = {"service": target.name, "port": port["port"], "target": chosen, "port_name": port.get("name") or ""}
        return Wish(made, DISRUPTIVE if leads_somewhere(old, declared, heard) else SAFE, self.touched(stage, step), texts)


def listening(stage: Stage, namespace: str) -> dict[str, list[int]]:
    """{workload: the ports on which its pods were seen to listen, from inside}; what could not be seen is not there."""
    found: dict[str, list[int]] = {}
    for name, work in stage.platform.workloads.items():
        for one in stage.instances(name) if work.namespace == namespace and not work.finite else []:
            sockets = stage.scene.sockets.get(one.id) or {}
            heard = sockets.get("listening") or []
            found.setdefault(work.name, []).extend(entry["port"] for entry in heard if not is_loopback(entry["address"]))
    return {name: sorted({*ports}) for name, ports in found.items() if ports}


def commands(stage: Stage, work: Workload) -> list[str]:
    """The command lines of a workload's own program."""
    copies = [one for name, other in stage.platform.workloads.items() if other is work for one in stage.instances(name)]
    return [text for one in copies for text in [" ".join(one.command), *(process.command for process in one.processes)]]


# Pure.


def written(labels: Labels) -> str:
    return ",".join("%s=%s" % pair for pair in sorted(labels.items()))


def picked(selector: Labels, works: Iterable[Workload]) -> list[Workload]:
    """The workloads with a template whose pods a selector picks, those that they would make or one that is there; an empty one picks none."""
    wanted = dict(selector)
    return [one for one in works if wanted and one.template and any(matches(wanted, labels_of(pod)) for pod in (one.template, *one.pods))]


def declared_ports(work: Workload) -> list[dict[str, Any]]:
    """The TCP ports that the containers of a workload say that they have."""
    containers = ((work.template or {}).get("spec") or {}).get("containers") or []
    return [port for one in containers for port in one.get("ports") or [] if port.get("protocol", "TCP") == "TCP"]


def promised(work: Workload, number: int, heard: list[int], said: list[str]) -> tuple[list[dict[str, Any]], list[int]]:
    """(the ports that they say they have, those of heard that they may have opened) of the containers that say that this port is theirs.

    Where none does, of the application's first one. said: the command lines of that.
    """
    made: dict[str, Any] = {"metadata": {}, **(work.template or {"spec": {"containers": []}})}
    # A webhook may have put some into the pods.
    stays = {one["name"]: one for pod in [*work.pods[:1], made] for one in [*(pod["spec"].get("containers") or []), *native_sidecars(pod)]}
    first = app_containers(made, work.name)[:1]
    meant = [one for one in stays.values() if number in [port["containerPort"] for port in one.get("ports") or []]] or first
    ports = [port for one in meant for port in one.get("ports") or [] if port.get("protocol", "TCP") == "TCP"]
    opened: set[int] = set()
    for one in meant:
        others = [container_wish(other) for other in stays.values() if other["name"] != one["name"]]
        opened.update(own_ports(heard, container_wish(one), others, said if one in first else []))
    return ports, sorted(opened)


def offers(work: Workload, port: Mapping[str, Any], heard: Mapping[str, list[int]]) -> bool:
    """Whether a workload has what a port of a Service leads to: a port of that name, or one of that number that it declares or listens on."""
    target = port.get("targetPort", port["port"])
    declared = declared_ports(work)
    if isinstance(target, str):
        return target in [one.get("name") for one in declared]
    return target in [one["containerPort"] for one in declared] or target in heard.get(work.name, [])


def choose_selector(service: Mapping[str, Any], works: list[Workload], meant: str, heard: Mapping[str, list[int]]) -> tuple[dict[str, str], str]:
    """(the selector, the workload that it picks): as it was applied last, else the labels of the one workload that has the port and differs least.

    meant: the workload that the Service was made for by its name, where that is known. Refused where no answer or more than one is possible.
    """
    name, present = service["metadata"]["name"], dict(service["spec"].get("selector") or {})
    earlier = applied(service).get("selector") or {}
    if earlier and earlier != present and len(picked(earlier, works)) == 1:
        # Its own manifest knows nothing of what was added since, whatever that is called.
        refuse_run_time(name, dropped(present, earlier), picked(earlier, works)[0], {*present})
        return dict(earlier), picked(earlier, works)[0].name
    ports = [one for one in service["spec"].get("ports") or [] if one.get("protocol", "TCP") == "TCP"]
    able = [one for one in works if ports and all(offers(one, port, heard) for port in ports)]
    ranked = sorted((unlike(present, labels_of(one.template)), one.name) for one in able)
    if meant:
        ranked = [pair for pair in ranked if pair[1] == meant]
    elif ranked and ranked[0][0] >= max(1, len(present)):
        ranked = []  # nothing of it fits: nobody can be meant
    if not ranked:
        raise Refused("no workload of its namespace has the ports of the Service %s and fits it" % name, fix="give the selector")
    if len(ranked) > 1 and ranked[1][0] == ranked[0][0]:
        raise Refused("the Service %s may be for %s or %s" % (name, ranked[0][1], ranked[1][1]), fix="give the selector")
    work = next(one for one in able if one.name == ranked[0][1])
    labels = labels_of(work.template)
    # What no template has and a pod bears was given to that pod while it runs: the leader of a database.
    kept = {key: value for key, value in present.items() if key not in labels and any(labels_of(pod).get(key) == value for pod in work.pods)}
    corrected: dict[str, str] = {key: labels.get(key) or value for key, value in present.items() if key in labels or key in kept}
    for chosen in (corrected, {**own_labels(work), **kept}):
        if [one.name for one in picked(chosen, works)] == [work.name]:
            refuse_run_time(name, dropped(present, chosen), work, {key for one in works for key in labels_of(one.template)})
            return chosen, work.name
    raise Refused("the labels of %s do not tell its pods from others" % work.name, fix="give the selector")


def dropped(selector: Labels, other: Labels) -> dict[str, str]:
    """The labels for which one selector asks, and another not at all."""
    return {key: value for key, value in sorted(selector.items()) if key not in other}


def refuse_run_time(name: str, lost: Labels, work: Workload, known: Container[str]) -> None:
    """Refused where a Service is no longer to ask for a label that pods are given while they run: without it, it would lead to all of them.

    lost: those for which it would no longer ask. work: the workload that it would lead to. known: the keys of labels that stand in a template.
    """
    fix = "see why no pod bears it: a leader that is not elected, a pod that is being made anew; where the label itself is wrong, give the selector"
    for key, value in lost.items():
        told = (name, "%s=%s" % (key, value))
        if key in PASSING:
            raise Refused("the Service %s asks for the label %s, which a controller gives pods: without it, it would lead to others, too" % told, fix=fix)
        given = key not in labels_of(work.template) and any(key in labels_of(pod) for pod in work.pods)
        if given or key not in known:
            raise Refused(
                "the Service %s asks for the label %s, which stands in no template of its pods: they are given it while they run, or not at all" % told, fix=fix
            )


def unlike(selector: Labels, labels: Labels) -> int:
    """In how many labels a selector and a pod differ."""
    return sum(1 for key, value in selector.items() if labels.get(key) != value)


def own_labels(work: Workload) -> dict[str, str]:
    """The labels by which a workload itself knows its pods."""
    spec = (work.found or {}).get("spec") or {}
    return {key: value for key, value in ((spec.get("selector") or {}).get("matchLabels") or {}).items() if key not in PASSING}


def port_of(service: dict[str, Any], asked: Any) -> dict[str, Any]:
    """The port of a Service that is meant, by number or name; the only one where none is named."""
    ports: list[dict[str, Any]] = service["spec"].get("ports") or []
    found = [one for one in ports if asked in (None, "") or str(asked) in (str(one["port"]), one.get("name"))]
    if len(found) != 1:
        told = ", ".join(str(one["port"]) for one in ports)
        raise Refused("the Service %s has the ports %s: which is meant is not clear" % (service["metadata"]["name"], told), fix="give port", kind="bad_option")
    return found[0]


def applied_port(service: Mapping[str, Any], port: Mapping[str, Any]) -> Any:
    """Where this port led when kubectl applied it last; None where that is not known."""
    for one in applied(service).get("ports") or []:
        if one.get("port") == port["port"]:
            return one.get("targetPort", one["port"])
    return None


def number_of(target: Any, declared: Iterable[Mapping[str, Any]]) -> int:
    """The number of a port that may be given by name; 0 where none has that name."""
    if isinstance(target, int):
        return target
    return next((int(one["containerPort"]) for one in declared if one.get("name") == target), 0)


def leads_somewhere(target: Any, declared: list[dict[str, Any]], heard: list[int]) -> bool:
    """Whether somebody listens where a port leads, as far as that is known."""
    number = number_of(target, declared)
    return bool(number) and (number in heard if heard else number in [one["containerPort"] for one in declared])


def choose_port(port: Mapping[str, Any], declared: list[dict[str, Any]], heard: list[int], earlier: Any = None) -> Any:
    """Where a port of a Service is to lead: a number, or a name where it led to a name. Refused where no answer or more than one is possible."""
    if earlier is not None and leads_somewhere(earlier, declared, heard):
        return earlier
    known = {int(one["containerPort"]): one.get("name") or "" for one in declared if not heard or one["containerPort"] in heard}
    named = [number for number, name in known.items() if name and name == port.get("name")]
    same = [number for number in {*known, *heard} if number == port["port"]]
    found = next((ways for ways in (named, same, [*known], heard) if ways), [])
    if not found:
        raise Refused("its pods listen on nothing that is known", fix="see why they do not listen; or give target_port")
    if len(found) > 1:
        raise Refused(
            "its pods listen on %s: which of them port %s is for is not clear" % (", ".join(map(str, sorted(found))), port["port"]), fix="give target_port"
        )
    number = found[0]
    by_name = isinstance(port.get("targetPort"), str) and bool(known.get(number))
    return known[number] if by_name else number


def serving(slices: Iterable[Mapping[str, Any]], port: str | None) -> bool:
    """Whether an endpoint is ready, for a port of this name where one is named."""
    for one in slices:
        ports = [entry.get("name") or "" for entry in one.get("ports") or [] if entry.get("port")]
        if port is not None and port not in ports:
            continue
        if any((end.get("conditions") or {}).get("ready") is not False for end in one.get("endpoints") or []):
            return True
    return False
