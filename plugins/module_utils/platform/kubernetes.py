# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A namespace of a Kubernetes cluster as a stack, or several of them. Everything is read once for each kind; pods are asked by samples."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import threading
import time
from functools import partial
from typing import Any, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubeconfig import find_access
from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubernetes import Cluster
from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubernetes_stream import run_in_pod
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, unseen, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.platform import kubernetes_inside as inside
from ansible_collections.aiops.runbook.plugins.module_utils.platform import kubernetes_pods as pods
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Enter, File, Instance, Process, is_loopback
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_events import probe_failures, read_events
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import Objects, by_name, listed, read_objects
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_secrets import secret_facts
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_services import Services, cluster_addresses, search_domains, split_name
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_settings import (
    REFERENCE,
    Given,
    Held,
    Settings,
    expanded,
    read_secret,
    secrets_referred,
    without_links,
)
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_usage import Usage
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_ways import Ways
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_workloads import Workload, changes_of, name_components, workloads_of
from ansible_collections.aiops.runbook.plugins.module_utils.probes import Probes
from ansible_collections.aiops.runbook.plugins.module_utils.secret import is_secret_name

# Copies of one component that are asked themselves (a command inside, logs); of hundreds alike the rest is told by the API's lists.
MOST_ASKED = 4
# What a log line costs at most; one endless line must not fill the memory.
LOG_BYTES = 4 << 20
# Why a look inside is no fault of the pod's: whoever asks for another one meets the same.
BARRED = ("auth", "denied", "throttled", "server_error", "unreachable")
ROOT_CA = "kube-root-ca.crt"
# What stands for an image's own program: it takes a command, or options for the one that it has.
ENTRY_POINT = "docker-entrypoint.sh"
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Seat:
    """Where an instance is: its pod, the container in it, and what it was given."""

    def __init__(self, pod: dict[str, Any], container: dict[str, Any], given: Given) -> None:
        self.pod, self.container, self.given = pod, container, given
        self.namespace: str = pod["metadata"]["namespace"]
        self.name: str = pod["metadata"]["name"]
        self.lock = threading.Lock()
        self.looked: inside.Inside | StackError | None = None


class Kubernetes:
    """The Platform of one stack on one cluster.

    namespaces: where its parts stand. selector: a label selector that tells them from others in the same place; "" for all.
    objects: what the API gave, {kind: list of objects or an unseen entry}; filled by components().
    """

    name = "kubernetes"
    starts_again = True

    def __init__(self, cluster: Cluster, namespaces: Iterable[str], selector: str = "") -> None:
        self.cluster = cluster
        self.namespaces = [name for name in namespaces if name]
        self.selector = selector
        for name in self.namespaces:
            if not NAME.fullmatch(name):
                raise StackError("namespace: %r is no name of a namespace" % name, kind="bad_option", option="namespace")
        if not self.namespaces:
            raise StackError("namespace: name the namespace of the stack; the kubeconfig's context names none", kind="bad_option", option="namespace")
        # The same namespace of another cluster is another stack.
        place = hashlib.sha256(cluster.access.authority or cluster.access.server.encode()).hexdigest()[:8]
        self.title = "+".join(self.namespaces) + ("[%s]" % selector if selector else "")
        self.project = "%s@%s" % (self.title, place)
        self.namespace = self.namespaces[0]
        self.objects: Objects = {}
        self.workloads: dict[str, Workload] = {}
        self.components_by_id: dict[str, Component] = {}
        self._seats: dict[str, Seat] = {}

    def identity(self) -> dict[str, Any]:
        roots = {name: by_name(self.objects, "configmaps", name, ROOT_CA) for name in self.namespaces}
        authority = next(((one.get("data") or {}).get("ca.crt", "") for one in roots.values() if one), "")
        try:
            version = str(self.cluster.get("/version").get("gitVersion") or "")
        except StackError:
            version = ""
        return {
            "engine": hashlib.sha256(authority.encode() or self.cluster.access.authority or self.cluster.access.server.encode()).hexdigest()[:16],
            "engine_name": self.cluster.access.server,
            "engine_version": version,
            "project": self.title,
            # Every namespace gets this ConfigMap when it is made: its uid tells one of the same name from an earlier one.
            "namespaces": {name: (one or {}).get("metadata", {}).get("uid", "") for name, one in roots.items()},
        }

    # the parts

    def components(self) -> list[Component]:
        self.objects = read_objects(self.cluster, self.namespaces, self.selector, self.cluster.timeout * 2)
        self.objects["secretfacts"] = secret_facts(self.cluster, self.objects, self.cluster.timeout)
        self.services = Services(self.objects)
        self.ways = Ways(self.cluster, self.services)
        self.usage = Usage(self.cluster, self.objects)
        self._seats = {}
        self._met: set[tuple[str, str]] = set()
        workloads = workloads_of(self.objects)
        if not workloads:
            self._explain_nothing()
        self.settings = Settings(self.objects, self._read_secrets(workloads))
        self._memo: dict[str, Given] = {}
        failures = probe_failures(self.objects)
        found: dict[str, Component] = {}
        self.workloads = {}
        for place, name in sorted(name_components(workloads).items()):
            workload = workloads[place]
            self.workloads[name] = workload
            for component in self._components_of(workload, name, failures):
                found[component.id] = component
        self.components_by_id = found
        return sorted(found.values(), key=lambda component: component.id)

    def _explain_nothing(self) -> None:
        for namespace in self.namespaces:
            try:
                self.cluster.get("/api/v1/namespaces/" + namespace)
            except StackError as error:
                if error.kind == "not_found":
                    raise StackError("there is no namespace %s" % namespace, kind="not_found", fix="kubectl get namespaces") from None
        picked = " that %s picks" % self.selector if self.selector else ""
        raise StackError("the namespace %s holds no workload%s" % (", ".join(self.namespaces), picked), kind="not_found", fix="check namespace and selector")

    def _read_secrets(self, workloads: list[Workload]) -> dict[tuple[str, str], Held]:
        """The Secrets that the workloads' containers refer to, by name; of each only the keys that are referred to."""
        specs = [(one.namespace, one.template["spec"]) for one in workloads if one.template]
        specs += [(one.namespace, pod["spec"]) for one in workloads for pod in one.pods]
        wanted = secrets_referred(specs)
        paths = {place: "/api/v1/namespaces/%s/secrets/%s" % place for place in wanted if place[1]}
        answers = Probes().gather({path: partial(self._secret, path, wanted[place]) for place, path in paths.items()}, timeout=self.cluster.timeout)
        return {place: Held(missing=why_unseen(answers[path])) if why_unseen(answers[path]) else answers[path] for place, path in paths.items()}

    def _secret(self, path: str, keys: set[str] | None) -> Held:
        try:
            return read_secret(self.cluster.get(path), keys)
        except StackError as error:
            if error.kind == "not_found":
                raise StackError("there is no Secret %s" % path.rsplit("/", 1)[-1], kind="not_found") from None
            raise

    def _components_of(self, workload: Workload, name: str, failures: dict[str, dict[str, Any]]) -> list[Component]:
        told = "%s/%s" % (workload.kind, workload.name)
        main = Component(id=name, finite=workload.finite, supposed=workload.supposed, workload=told)
        made = {"": main}
        for pod in workload.pods:
            for place, container in enumerate(pods.app_containers(pod, workload.name)):
                # A second program in the same pod is a component of its own that shares the first one's network.
                part = "" if not place else container["name"]
                other = Component(id="%s.%s" % (name, part), finite=workload.finite, supposed=workload.supposed, workload=told)
                component = made.setdefault(part, other)
                component.instances.append(self._instance(pod, container, part, failures))
                component.instances[-1].proxies = pods.proxies_of(pod, workload.name)
        if not main.instances and workload.template:
            template = {"metadata": {"namespace": workload.namespace, "name": workload.name, **(workload.template.get("metadata") or {})}, **workload.template}
            template["metadata"] = {"namespace": workload.namespace, "name": workload.name, **(workload.template.get("metadata") or {})}
            for container in pods.app_containers(template, workload.name)[:1]:
                main.template = self._instance(template, container, "", {})
        for component in made.values():
            choose(component)
        return list(made.values())

    def _instance(self, pod: dict[str, Any], container: dict[str, Any], part: str, failures: dict[str, dict[str, Any]]) -> Instance:
        one = pods.read_instance(pod, container, pods.identity_of(pod, container["name"], not part))
        given = self._given(pod, container)
        one.environment, one.unread, one.mounts = dict(given.environment), given.unread, given.mounts
        one.secret_values = given.secrets + self._secrets_beside(pod, container)
        told = pods.status_of(pod, container["name"])
        one.health = pods.read_health(container, told, failures.get(one.id), time.time(), pods.unready_since(pod)) if one.running else None
        one.own_settings, one.revision = own_settings(container), one.config_hash
        one.meshed = pods.in_mesh(pod)
        one.search = search_domains(pod["metadata"]["namespace"])
        if part:
            main = pods.identity_of(pod, "", True)
            one.name, one.home_network, one.networks = "%s/%s" % (one.name, part), "container:" + main, {}
        else:
            one.networks[pods.NETWORK]["aliases"] = self.services.aliases(pod)
        one.published = self.services.published(pod, container)
        self._seats[one.id] = Seat(pod, container, given)
        return one

    def _secrets_beside(self, pod: dict[str, Any], container: dict[str, Any]) -> list[str]:
        """What is secret of what the pod's other containers are given: what those say is told, too, such as why an init container fails."""
        found: list[str] = []
        for other in pods.every_container(pod["spec"]):
            if other["name"] != container["name"]:
                given = self._given(pod, other)
                found += [*given.secrets, *(value for name, value in given.environment.items() if is_secret_name(name))]
        return found

    def _given(self, pod: dict[str, Any], container: dict[str, Any]) -> Given:
        """What a container is given; pods of one template are given the same, but for what names the pod itself."""
        asked = [container.get("env"), container.get("envFrom"), container.get("volumeMounts"), pod["spec"].get("volumes")]
        key = json.dumps([pod["metadata"].get("namespace"), *asked])
        if '"fieldRef"' in key:
            return self.settings.given(pod, container)
        # The token that every pod is given has a volume name of its own in each.
        key = re.sub(r"kube-api-access-\w+", "", key)
        if key not in self._memo:
            self._memo[key] = self.settings.given(pod, container)
        return self._memo[key]

    # inside an instance

    def run_inside(self, instance: Instance, command: list[str], user: str = "", environment: dict[str, str] | None = None) -> tuple[int, str]:
        """(exit code, output) of a command inside a running instance. user: cannot be chosen here, and must be the container's own or ""."""
        words = ["env", *("%s=%s" % pair for pair in environment.items()), *command] if environment else command
        code, output, errors = self._run(instance, words, self.cluster.timeout * 3)
        return code, (output + errors).decode("utf-8", "replace")

    def _run(self, instance: Instance, command: list[str], timeout: float) -> tuple[int, bytes, bytes]:
        seat = self._seats[instance.id]
        return run_in_pod(self.cluster, seat.namespace, seat.name, seat.container["name"], command, timeout)

    def _look(self, instance: Instance) -> inside.Inside:
        """One look inside, whoever asks first; the others get the same answer."""
        seat = self._seats[instance.id]
        with seat.lock:
            if seat.looked is None:
                try:
                    if not instance.asked:
                        raise StackError("one of many alike, which was not asked itself", kind="not_asked")
                    if not instance.running:
                        raise StackError("it does not run", kind="not_running")
                    _code, output, _errors = self._run(instance, ["sh", "-c", inside.LOOK], self.cluster.timeout * 0.8)
                    seat.looked = inside.parse_look(output)
                except StackError as error:
                    if error.kind == "no_command":
                        error = StackError("there is no shell in its image", kind="no_shell")
                    if error.kind in BARRED:
                        self.objects["inside"] = unseen(error.message, kind=error.kind, fix=error.details.get("fix", ""))
                    seat.looked = error
        if isinstance(seat.looked, StackError):
            raise seat.looked
        return seat.looked

    def processes(self, instance: Instance) -> list[Process]:
        seat, seen = self._seats[instance.id], self._look(instance)
        instance.pid = seen.first
        # Where its program has become somebody else, that is not told of it.
        instance.working_dir = instance.working_dir or seen.folders.get(seen.first) or seen.folders.get(0, "")
        own = seen.environments.get(seen.first)
        if own:
            # What it was started with: a ConfigMap or Secret may say something else by now.
            instance.environment = {name: own.get(name, value) for name, value in instance.environment.items()}
            instance.unread = {name: why for name, why in instance.unread.items() if name not in own}
            instance.environment.update({name: own[name] for name in seat.given.unread if name in own})
        return seen.processes

    def process_environment(self, instance: Instance, pid: int) -> dict[str, str] | None:
        try:
            found = self._look(instance).environments.get(pid)
        except StackError:
            return None
        return without_links(found, self._seats[instance.id].given.environment) if found else None

    def sockets(self, instance: Instance) -> dict[str, Any] | None:
        try:
            return self._look(instance).sockets
        except StackError:
            return None

    def file(self, instance: Instance, path: str, limit: int = 65536) -> File | None:
        held = self._seats[instance.id].given.files.get(path)
        if held is not None:
            return held if len(held.content) <= limit else None
        if not instance.running or not instance.asked:
            return None
        try:
            code, output, _errors = self._run(instance, ["head", "-c", str(limit + 1), path], self.cluster.timeout * 0.5)
        except StackError as error:
            if error.kind == "no_command":
                return None
            raise
        return None if code or len(output) > limit else File(output, 0.0)

    def started_with(self, instance: Instance) -> tuple[list[str], dict[str, str]]:
        """By what ConfigMaps and Secrets say now. Of the image's own words, to which arguments alone are added, nothing is known but that."""
        seat = self._seats[instance.id]
        environment = seat.given.environment
        words = [expanded(word, environment) for word in instance.command]
        return words if seat.container.get("command") or not words else [ENTRY_POINT, *words], environment

    def grace(self, identity: str) -> int:
        """Seconds that a pod is given to end by itself."""
        wanted = self._seats[identity].pod["spec"].get("terminationGracePeriodSeconds")
        return 30 if wanted is None else int(wanted)

    def memory(self, instance: Instance) -> dict[str, Any]:
        """The working set: of the metrics API, else of the kubelet, else as the container itself sees it."""
        seat = self._seats[instance.id]
        used = self.usage.memory(seat.pod, seat.container["name"])
        source = self.usage.source
        if used is None:
            used, source = self._look(instance).memory, "container"
        if used is None:
            raise StackError("no metrics API here, and its memory cannot be read from inside", kind="absent", fix="install metrics-server")
        return {"used": int(used), "limit": instance.memory_limit, "source": source}

    def logs(self, instance: Instance, since: float, tail: int) -> list[str]:
        """Of one that was started again, the last lines of the life before come first."""
        if not instance.asked:
            raise StackError("one of many alike, which was not asked itself", kind="not_asked")
        if not instance.started_at and not instance.finished_at:
            return []  # it has not run yet
        lines = self._log(instance, tail, since, False)
        if instance.restarts and (instance.running or not lines):
            lines = self._log(instance, min(tail, 200), 0.0, True) + lines
        return lines

    def _log(self, instance: Instance, tail: int, since: float, previous: bool) -> list[str]:
        seat = self._seats[instance.id]
        query: dict[str, Any] = {"container": seat.container["name"], "timestamps": "true", "tailLines": tail, "limitBytes": LOG_BYTES}
        if previous:
            query["previous"] = "true"
        elif since:
            query["sinceSeconds"] = max(1, int(time.time() - since))
        try:
            return self.cluster.text("/api/v1/namespaces/%s/pods/%s/log" % (seat.namespace, seat.name), query).splitlines()
        except StackError as error:
            if error.kind in ("refused", "not_found") and (previous or not instance.running):
                return []  # the kubelet keeps one earlier life, and that only for a while
            raise

    # between instances

    def enter(self, instance: Instance) -> Enter | None:
        return None

    def reach(self, instance: Instance, places: list[tuple[str, int]], timeout: float) -> dict[tuple[str, int], dict[str, Any]] | None:
        if not instance.running or not instance.asked:
            return None
        for command in inside.reach_commands(places, timeout):
            try:
                code, output, _errors = self._run(instance, command, timeout)
            except StackError as error:
                if error.kind == "no_command":
                    continue
                return {} if error.kind == "timeout" else None
            if code == 127:
                continue
            found = inside.parse_reach(output)
            if pods.in_mesh(self._seats[instance.id].pod):
                inside.taken_by_proxy(found)
            for (host, _port), fact in found.items():
                # A name server that asks no other may refuse a name that is none; that it is none is known all the same.
                if fact["resolves"] is None and self._no_name(instance, host):
                    fact["resolves"] = False
            return found
        return None

    def _no_name(self, instance: Instance, host: str) -> bool:
        """Whether a name could only be that of a Service in these namespaces, and there is none."""
        namespace = self._seats[instance.id].namespace
        end = self.services.led_to(host, namespace)
        place = split_name(end, namespace)
        ours = place is not None and place[0] in self.namespaces and not why_unseen(self.objects.get("services"))
        return ours and self.services.resolve(end, namespace) is None

    def resolve(self, instance: Instance, host: str, timeout: float, inside: bool) -> list[str]:
        if re.fullmatch(r"[\d.]+|[\da-fA-F:]*:[\da-fA-F:.]*", host):
            return [host]
        namespace = self._seats[instance.id].namespace
        found = self.services.resolve(host, namespace)
        if found is not None:
            return found
        end = self.services.led_to(host, namespace)
        place = split_name(end, namespace)
        if place and place[0] not in self.namespaces:
            self._meet(*place)
            found = self.services.resolve(end, namespace)
            if found is not None:
                return found
        elif self._no_name(instance, host):
            return []
        tried = (self.reach(instance, [(host, 0)], timeout) or {}).get((host, 0))
        if tried is not None and tried["resolves"] is not None:
            return list(tried["addresses"])
        if place is None or len(end.split(".")) == 2:  # two words may be either
            # A name of the world means the same here, where it means anything.
            with contextlib.suppress(OSError, UnicodeError):
                return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(end, None, socket.AF_INET)})
        raise StackError(
            "what %s means in the cluster cannot be seen from here" % host, kind="hidden", fix="grant get and list on services, or create on pods/exec"
        )

    def _meet(self, namespace: str, name: str) -> None:
        """Take in a Service of a namespace that is not ours, where that may be read."""
        if "." in name or not NAME.fullmatch(namespace) or (namespace, name) in self._met:
            return
        self._met.add((namespace, name))
        with contextlib.suppress(StackError):
            service = self.cluster.get("/api/v1/namespaces/%s/services/%s" % (namespace, name))
            self.services.add([service], [])
            query = {"labelSelector": "kubernetes.io/service-name=" + name}
            self.services.add([], self.cluster.every("/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices" % namespace, query))

    def ports(self, instance: Instance, host: str) -> list[int] | None:
        namespace = self._seats[instance.id].namespace
        service = self.services.named(self.services.led_to(host, namespace), namespace)
        if service is None or not cluster_addresses(service):
            return None  # a headless one is but a name for its pods
        return sorted({int(port["port"]) for port in service["spec"].get("ports") or [] if port.get("protocol", "TCP") == "TCP"})

    def address(self, instance: Instance | None, address: str, port: int) -> tuple[str, int]:
        if instance is None:
            return address, port
        try:
            return self._address(self._seats[instance.id], instance, address, port)
        except StackError as error:
            if error.kind == "refused":
                raise
            # That there is no way for us says nothing of the server.
            raise StackError(error.message, kind="hidden", fix=error.details.get("fix", "")) from None

    def _address(self, seat: Seat, instance: Instance, address: str, port: int) -> tuple[str, int]:
        if address in ("127.0.0.1", "::1", "localhost"):
            return self.ways.into(seat.namespace, seat.name, port)
        own = (seat.pod.get("status") or {}).get("podIP")
        if address == own and self._only_loopback(instance, port):
            return self.ways.into(seat.namespace, seat.name, port)
        return self.ways.to(address, port)

    def _only_loopback(self, instance: Instance, port: int) -> bool:
        looked = self._seats[instance.id].looked
        if not isinstance(looked, inside.Inside) or not looked.sockets:
            return False
        heard = [one["address"] for one in looked.sockets["listening"] if one["port"] == port]
        return bool(heard) and all(is_loopback(address) for address in heard)

    def elsewhere(self, instance: Instance, host: str) -> dict[str, Any] | None:
        return None

    def outsiders(self) -> list[str]:
        """The Services and Ingresses of the stack: ways in from elsewhere in the cluster, or through an Ingress controller."""
        ways = ["Service %s" % one["metadata"]["name"] for pod in self._stack_pods() for one in self.services.selecting(pod)]
        ways += ["Ingress %s" % one["metadata"]["name"] for one in listed(self.objects, "ingresses")]
        return sorted(set(ways))

    def _stack_pods(self) -> list[dict[str, Any]]:
        return [pod for workload in self.workloads.values() for pod in workload.pods[:1]]

    # what happened, and what is asked for

    def events(self, since: float) -> list[dict[str, Any]]:
        why = why_unseen(self.objects.get("events"))
        if why:
            raise StackError(why["reason"], kind=why["kind"], fix=why["fix"])
        owners = {one.id: name for name, component in self.components_by_id.items() for one in component.instances}
        pods_by_id = {identity: seat.pod for identity, seat in self._seats.items()}
        containers = {identity: seat.container["name"] for identity, seat in self._seats.items()}
        names = {(one.kind, one.namespace, one.name): name for name, one in self.workloads.items()}
        found = read_events(self.objects, pods_by_id, owners, containers, since) + changes_of(self.objects, names, since)
        return sorted(found, key=lambda one: one["time"])

    def wanted(self, timeout: float) -> dict[str, Any]:
        """What the next pods would be given."""
        found = {}
        for name, workload in self.workloads.items():
            template = workload.template
            # Of one that only its ReplicaSets tell of, nobody knows which of them makes the next pods.
            if not template or workload.finite or workload.sets:
                continue
            pod = {"metadata": {"namespace": workload.namespace, **(template.get("metadata") or {})}, "spec": template["spec"]}
            for place, container in enumerate(pods.app_containers(pod, workload.name)):
                own = own_settings(container)
                environment = {key: value for key, value in self.settings.given(pod, container).environment.items() if key not in own}
                replicas = ((workload.found or {}).get("spec") or {}).get("replicas", 1)
                part = name if not place else "%s.%s" % (name, container["name"])
                ports = self.services.unpublished(pod, container)
                found[part] = {"environment": environment, "networks": [], "ports": ports, "profiles": [], "replicas": replicas}
        return found

    def may_differ(self) -> bool:
        return True  # it is all there already


def own_settings(container: dict[str, Any]) -> list[str]:
    """The settings that tell a pod of itself, and those whose values are made of such ones ("$(POD_NAME)": the kubelet fills in what stands before)."""
    own: list[str] = []
    for entry in container.get("env") or []:
        parts = {found.group(2) for found in REFERENCE.finditer(str(entry.get("value") or ""))}
        if (entry.get("valueFrom") or {}).get("fieldRef") or parts & set(own):
            own.append(entry["name"])
    return own


def choose(component: Component) -> None:
    """Which of many copies are asked themselves: troubled ones, then the youngest of those that run. They come first from now on."""
    ranked = sorted(
        component.instances, key=lambda one: (one.running and not one.restarts and (one.health or {}).get("status") in (None, "healthy"), -one.created_at)
    )
    chosen = {one.id for one in [*ranked[: MOST_ASKED // 2], *[one for one in ranked if one.running]][:MOST_ASKED]}
    for one in component.instances:
        one.asked = one.id in chosen
    component.instances.sort(key=lambda one: (not one.asked, one.name))


def open_kubernetes(namespaces: Iterable[str], selector: str, kubeconfig: str, context: str, timeout: float) -> Kubernetes:
    """The stack of these options; StackError when there is no way to the cluster."""
    access = find_access(kubeconfig, context)
    return Kubernetes(Cluster(access, timeout=timeout), list(namespaces) or [access.namespace or ""], selector)
