# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Docker Compose project as a stack. The containers are the truth; the project's files are what the next "up" would make."""

from __future__ import annotations

import datetime
import io
import json
import os
import re
import socket
import stat
import subprocess
import tarfile
from functools import partial
from typing import Any, Iterable, Iterator, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.connect import namespace
from ansible_collections.aiops.runbook.plugins.module_utils.connect.docker import Engine
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform import compose_files
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Enter, File, Instance, Process, of_program
from ansible_collections.aiops.runbook.plugins.module_utils.probes import Probes
from ansible_collections.aiops.runbook.plugins.module_utils.secret import ending, shortened
from ansible_collections.aiops.runbook.plugins.module_utils.times import read_time

LABEL = "com.docker.compose."


class Compose:
    """The Platform of one Compose project on one engine.

    project: its name; None when exactly one project runs on the engine (or none runs and only one is there). A StackError lists the
    projects otherwise.
    """

    name = "compose"
    starts_again = False  # only after failures, and only where that is asked for

    def __init__(self, engine: Engine, project: str | None = None) -> None:
        self.engine = engine
        self.project = self.title = project or self._only_project()
        self.components_by_id: dict[str, Component] = {}
        self.namespace = self.selector = ""
        self.objects: dict[str, Any] = {}
        self.labels: dict[str, dict[str, str]] = {}
        self.foreign_networks: set[str] = set()

    def _list(self, label: str) -> list[dict[str, Any]]:
        return self.engine.ask(lambda: self.engine.api.containers(all=True, filters={"label": label}))

    def _only_project(self) -> str:
        found = self._list(LABEL + "project")
        running = [one for one in found if one.get("State") == "running"]
        names = sorted({one["Labels"][LABEL + "project"] for one in running or found})
        if len(names) == 1:
            return names[0]
        if not names:
            raise StackError("no Compose project has containers on this engine: start one, or name another engine by docker_host", kind="not_found")
        raise StackError("several Compose projects are here (%s): name one by compose_project" % ", ".join(names), kind="bad_option")

    def identity(self) -> dict[str, Any]:
        info = self.engine.ask(self.engine.api.info)
        return {"engine": info.get("ID", ""), "engine_name": info.get("Name", ""), "engine_version": info.get("ServerVersion", ""), "project": self.project}

    def components(self) -> list[Component]:
        found = self._list("%sproject=%s" % (LABEL, self.project))
        if not found:
            raise StackError(
                "the Compose project %s has no containers on this engine" % self.project,
                kind="not_found",
                fix="check compose_project against: docker compose ls --all",
            )
        probes = Probes(timeout=self.engine.api.timeout)
        details = probes.gather({one["Id"]: partial(self.engine.api.inspect_container, one["Id"]) for one in found})
        components: dict[str, Component] = {}
        for one in found:
            detail = details[one["Id"]]
            if "unseen" in detail:
                # Removed between the list and the question: it is not part of the stack any more.
                continue
            labels = detail["Config"].get("Labels") or {}
            service = labels.get(LABEL + "service", detail["Name"].lstrip("/"))
            component = components.setdefault(service, Component(id=service))
            instance = read_instance(detail)
            if re.fullmatch(r"[0-9a-f]{64}", instance.home_network):
                instance.home_network = self._network_name(instance.home_network)
            component.instances.append(instance)
            if not instance.one_off:
                component.depends_on = [word.split(":")[0] for word in labels.get(LABEL + "depends_on", "").split(",") if word]
                self.labels[service] = labels
        for name in waited_for(self.labels.values()) & set(components):
            components[name].finite = True
        self.components_by_id = components
        return sorted(components.values(), key=lambda component: component.id)

    def _network_name(self, network_id: str) -> str:
        """The name of a network by its id; "" when it is gone."""
        found = self.engine.ask(lambda: self.engine.api.networks(ids=[network_id]))
        return str(found[0]["Name"]) if found else ""

    def processes(self, instance: Instance) -> list[Process]:
        if namespace.can_enter(instance.pid, instance.id):
            seen = namespace.processes_of(instance.pid, instance.id)
            if seen:
                return of_program([Process(*row) for row in seen], instance.pid)
        # The engine runs ps(1) for each answer.
        table = self.engine.ask(lambda: self.engine.api.top(instance.id, ps_args="-eo pid,ppid,stat,args"))
        return of_program([Process(int(row[0]), int(row[1]), row[2][:1], row[3]) for row in table["Processes"] or [] if row[0].isdigit()], instance.pid)

    def logs(self, instance: Instance, since: float, tail: int) -> list[str]:
        try:
            raw = self.engine.ask(
                lambda: self.engine.api.logs(instance.id, stdout=True, stderr=True, timestamps=True, tail=tail, since=int(since) if since else None)
            )
        except StackError as error:
            # Since 20.10 the engine keeps a copy of what a driver sends away, where that was not switched off.
            if error.kind != "refused" or instance.log_driver in ("json-file", "local", "journald"):
                raise
            raise StackError(
                "the log driver %s cannot be read back" % instance.log_driver, kind="log_driver", fix="use the driver json-file or local"
            ) from error
        return raw.decode("utf-8", "replace").splitlines()

    def file(self, instance: Instance, path: str, limit: int = 65536) -> File | None:
        mount = next((mount for mount in instance.mounts if mount["target"] == path and mount["kind"] == "bind"), None)
        if mount and namespace.can_enter(instance.pid, instance.id):
            # A mounted file (a Docker secret) can be read on this host in no time; what stands there is what the next start gets.
            return _host_file(mount["source"], limit)
        try:
            chunks, details = self.engine.ask(lambda: self.engine.api.get_archive(instance.id, path))
        except StackError as error:
            if error.kind == "not_found":
                return None
            raise
        if details.get("size", 0) > limit or int(details.get("mode", 0)) & (1 << 31):
            return None
        if details.get("linkTarget") and details["linkTarget"] != path:
            return self.file(instance, details["linkTarget"], limit)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None:
                    return File(content.read(limit), read_time(details.get("mtime", "")))
        return None

    def process_environment(self, instance: Instance, pid: int) -> dict[str, str] | None:
        if not namespace.can_enter(pid, instance.id):
            return None
        try:
            with open("/proc/%d/environ" % pid, "rb") as raw:
                pairs = raw.read(1 << 20).split(b"\0")
        except OSError:
            return None
        return dict(pair.decode("utf-8", "surrogateescape").split("=", 1) for pair in pairs if b"=" in pair)

    def started_with(self, instance: Instance) -> tuple[list[str], dict[str, str]]:
        return instance.command, instance.environment

    def memory(self, instance: Instance) -> dict[str, Any]:
        if namespace.can_enter(instance.pid, instance.id):
            used = namespace.memory_of(instance.pid, instance.id)
            if used is not None:
                return {"used": used, "limit": instance.memory_limit}
        # The engine takes a second for each answer, whatever is asked of it.
        stats = self.engine.ask(lambda: self.engine.api.stats(instance.id, stream=False))
        memory = stats.get("memory_stats") or {}
        details = memory.get("stats") or {}
        cache = details.get("total_inactive_file", details.get("inactive_file", 0))
        return {"used": max(0, memory.get("usage", 0) - cache), "limit": instance.memory_limit}

    def events(self, since: float) -> list[dict[str, Any]]:
        now = datetime.datetime.now(datetime.timezone.utc).timestamp()
        filters = {"label": "%sproject=%s" % (LABEL, self.project)}
        stream = self.engine.ask(lambda: self.engine.api.events(since="%.9f" % since, until="%.9f" % now, filters=filters, decode=True))
        found = []
        for event in stream:
            action = event.get("Action", "")
            if event.get("Type") != "container" or action.startswith(("exec_", "top", "archive-path", "health_status")):
                continue
            attributes = (event.get("Actor") or {}).get("Attributes") or {}
            detail = {key: attributes[key] for key in ("exitCode", "signal") if key in attributes}
            found.append(
                {
                    "time": event.get("timeNano", 0) / 1e9,
                    "component": attributes.get(LABEL + "service", ""),
                    "instance": (event.get("Actor") or {}).get("ID", "")[:12],
                    "action": action,
                    "detail": detail,
                }
            )
        return found

    def enter(self, instance: Instance) -> Enter | None:
        if instance.running and instance.pid and namespace.can_enter(instance.pid, instance.id):
            return lambda: namespace.enter_network(instance.pid)
        return None

    def resolve(self, instance: Instance, host: str, timeout: float, inside: bool) -> list[str]:
        if re.fullmatch(r"[\d.]+|[\da-fA-F:]*:[\da-fA-F:.]*", host):
            return [host]
        if inside:
            return namespace.resolve_inside(instance.pid, host, timeout)
        found = self._by_alias(instance, host)
        if found or host in ("localhost", instance.name):
            return found
        found = [other.networks[name]["address"] for other, names, _project in self._others_called(instance, host, running=True) for name in names]
        if any(found):
            return [address for address in found if address]
        # Docker's resolver passes on what it does not know: the engine host's resolver is asked instead.
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, None, family)})
            except OSError:
                continue
        return []

    def reach(self, instance: Instance, places: list[tuple[str, int]], timeout: float) -> dict[tuple[str, int], dict[str, Any]] | None:
        return None  # by enter(), or from the host

    def ports(self, instance: Instance, host: str) -> list[int] | None:
        return None

    def address(self, instance: Instance | None, address: str, port: int) -> tuple[str, int]:
        return address, port  # the engine's host has a leg in every network

    def _by_alias(self, instance: Instance, host: str) -> list[str]:
        """What Docker's embedded resolver would answer: names and aliases of running containers on shared networks."""
        found = []
        for component in self.components_by_id.values():
            for other in component.running:
                for network, seat in other.networks.items():
                    if network in instance.networks and host in seat["aliases"] and seat["address"]:
                        found.append(seat["address"])
        return found

    # What changes something; nothing but a remedy calls these.

    def copies(self, component: str) -> list[Instance]:
        """A component's copies as they are now, one-off runs left out."""
        found = self._list("%sservice=%s" % (LABEL, component))
        mine = [one["Id"] for one in found if one["Labels"].get(LABEL + "project") == self.project]
        return [one for one in (read_instance(self.engine.ask(partial(self.engine.api.inspect_container, name))) for name in mine) if not one.one_off]

    def image_id(self, name: str) -> str:
        """The image that a name means now; "" when there is none here."""
        try:
            return str(self.engine.ask(lambda: self.engine.api.inspect_image(name))["Id"])
        except StackError as error:
            if error.kind == "not_found":
                return ""
            raise

    def mounted_by(self, source: str) -> list[str]:
        """The ids of the running containers, of whatever project, into which this file of the host is mounted."""
        found = self.engine.ask(self.engine.api.containers)
        return [one["Id"] for one in found if any(mount.get("Source") == source for mount in one.get("Mounts") or [])]

    def start(self, identity: str) -> None:
        self.engine.ask(lambda: self.engine.api.start(identity))

    def stop(self, identity: str) -> None:
        """Within the container's own grace period."""
        self.engine.ask(lambda: self.engine.api.stop(identity, timeout=self.grace(identity)))

    def restart(self, identity: str) -> None:
        self.engine.ask(lambda: self.engine.api.restart(identity, timeout=self.grace(identity)))

    def pause(self, identity: str) -> None:
        self.engine.ask(lambda: self.engine.api.pause(identity))

    def unpause(self, identity: str) -> None:
        self.engine.ask(lambda: self.engine.api.unpause(identity))

    def grace(self, identity: str) -> int:
        """Seconds that a container is given to end by itself."""
        return int(self.engine.ask(lambda: self.engine.api.inspect_container(identity))["Config"].get("StopTimeout") or 10)

    def processors(self) -> int:
        """How many the engine's host has."""
        return int(self.engine.ask(self.engine.api.info).get("NCPU") or 0)

    def network(self, name: str) -> str:
        """The id of the network that bears this name; "" when there is none."""
        found = self.engine.ask(lambda: self.engine.api.networks(names=[name]))  # a filter by parts of names
        return next((str(one["Id"]) for one in found if one["Name"] == name), "")

    def connect_network(self, network: str, identity: str, aliases: list[str], addresses: dict[str, str]) -> None:
        """Connect a container; addresses: the fixed ones, {"ipv4_address", "ipv6_address"}."""
        self.engine.ask(lambda: self.engine.api.connect_container_to_network(identity, network, aliases=aliases, **addresses))

    def disconnect_network(self, network: str, identity: str) -> None:
        self.engine.ask(lambda: self.engine.api.disconnect_container_from_network(identity, network))

    def run_inside(self, instance: Instance, command: list[str], user: str = "", environment: dict[str, str] | None = None) -> tuple[int, str]:
        """(exit code, output) of a command inside a running instance."""
        made = self.engine.ask(lambda: self.engine.api.exec_create(instance.id, command, user=user, environment=environment, stdout=True, stderr=True))
        output = self.engine.ask(lambda: self.engine.api.exec_start(made["Id"]))
        code = self.engine.ask(lambda: self.engine.api.exec_inspect(made["Id"]))["ExitCode"]
        return int(code or 0), (output or b"").decode("utf-8", "replace")

    def sockets(self, instance: Instance) -> dict[str, Any] | None:
        if not (instance.pid and namespace.can_enter(instance.pid, instance.id)):
            return None
        found = namespace.sockets_of(instance.pid)
        # 127.0.0.11 is Docker's resolver, which stands in the container's namespace.
        found["listening"] = [one for one in found["listening"] if one["address"] != "127.0.0.11"]
        return found

    def elsewhere(self, instance: Instance, host: str) -> dict[str, Any] | None:
        """The container of another project that bears this name on a network of the instance, and does not run."""
        for other, _networks, project in self._others_called(instance, host, running=False):
            return {"instance": other.name, "project": project, "state": other.state, "exit_code": other.exit_code, "finished_at": other.finished_at}
        return None

    def _others_called(self, instance: Instance, host: str, running: bool) -> Iterator[tuple[Instance, list[str], str]]:
        """(container, the networks of the instance on which it bears this name, its project) of those that are not of this project."""
        for one in self.engine.ask(lambda: self.engine.api.containers(all=not running)):
            networks = set((one.get("NetworkSettings") or {}).get("Networks") or {}) & set(instance.networks)
            project = one["Labels"].get(LABEL + "project", "")
            if project == self.project or (one["State"] == "running") is not running or not networks:
                continue
            other = read_instance(self.engine.ask(partial(self.engine.api.inspect_container, one["Id"])))
            named = sorted(name for name in networks if host in other.networks.get(name, {}).get("aliases", []))
            if named:
                yield other, named, project

    def outsiders(self) -> list[str]:
        """Networks of this project's containers on which containers of other projects stand, too."""
        mine = {network for component in self.components_by_id.values() for instance in component.instances for network in instance.networks}
        shared = set()
        for one in self.engine.ask(self.engine.api.containers):
            if one["Labels"].get(LABEL + "project") != self.project:
                shared.update(set((one.get("NetworkSettings") or {}).get("Networks") or {}) & mine)
        return sorted(shared - {"bridge", "host", "none"})

    def wanted(self, timeout: float) -> dict[str, Any]:
        """What the project's files ask for now: {service: {"environment", "networks", "ports", "profiles", "replicas", "edited"}}, secrets raw.

        edited: the files were changed after the service's containers were made, so what is missing there may not have been asked for then.

        Each container remembers the files that it was made from, and they need not be the same ones.
        """
        found: dict[str, Any] = {}
        for services, files, folder, env_files in self._made_from():
            asked = self._config(files, folder, env_files, timeout)
            for name in services:
                made_at = min((one.created_at for one in self.components_by_id[name].instances if not one.one_off), default=0.0)
                if name in asked:
                    found[name] = {**asked[name], "edited": compose_files.edited(files, made_at)}
        return found

    def may_differ(self) -> bool:
        for services, files, folder, env_files in self._made_from():
            copies = [(name, one) for name in services for one in self.components_by_id[name].instances if not one.one_off]
            standing = [(name, one.networks) for name, one in copies if one.running]
            if compose_files.may_differ(self.project, files, folder, env_files, min(one.created_at for _name, one in copies), standing):
                return True
        return False

    def _made_from(self) -> list[tuple[list[str], list[str], str, list[str]]]:
        """(services, their Compose files, folder, environment files) of each set of files that containers were made from."""
        groups: dict[tuple[tuple[str, ...], str, tuple[str, ...]], list[str]] = {}
        for service, labels in self.labels.items():
            files, folder, env_files = made_from(labels)
            groups.setdefault((tuple(files), folder, tuple(env_files)), []).append(service)
        return [(services, list(files), folder, list(env_files)) for (files, folder, env_files), services in groups.items()]

    def compose(
        self, files: Iterable[str], folder: str, env_files: Iterable[str], arguments: Iterable[str], timeout: float, **how: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """A docker compose command on these files of the project. how: more for subprocess.run; FileNotFoundError and TimeoutExpired are the caller's."""
        command = ["docker", "compose", "--project-name", self.project, "--project-directory", folder]
        for name in files:
            command += ["--file", name]
        for name in env_files:
            command += ["--env-file", name]
        settings = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "DOCKER_CONFIG")}
        if self.engine.url:
            settings["DOCKER_HOST"] = self.engine.url
        fed: dict[str, Any] = how if "input" in how else {**how, "stdin": subprocess.DEVNULL}
        return subprocess.run([*command, "--profile", "*", *arguments], env=settings, capture_output=True, timeout=timeout, check=False, **fed)

    def _config(self, files: list[str], folder: str, env_files: list[str], timeout: float) -> dict[str, Any]:
        """The services of `docker compose config` for these files."""
        missing = [name for name in files if not os.path.isfile(name)]
        if not files or missing:
            raise StackError("the project's Compose files are not readable here (%s)" % (", ".join(missing) or "no label"), kind="not_found")
        try:
            done = self.compose(files, folder, [name for name in env_files if os.path.isfile(name)], ["config", "--format", "json"], timeout)
        except FileNotFoundError as error:
            raise StackError("the docker command is not on this host", kind="not_found") from error
        except subprocess.TimeoutExpired as error:
            raise StackError("docker compose config did not answer in time", kind="timeout") from error
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip()
            # Whoever deploys may have such a variable in the shell.
            raise StackError("docker compose config: %s" % ending(said, 300), kind="variable_missing" if "required variable" in said else "compose_invalid")
        found = json.loads(done.stdout)
        names = {key: (network or {}).get("name") or "%s_%s" % (self.project, key) for key, network in (found.get("networks") or {}).items()}
        return {name: read_wanted(service, names) for name, service in (found.get("services") or {}).items()}


def made_from(labels: Mapping[str, str]) -> tuple[list[str], str, list[str]]:
    """(Compose files, folder, environment files) that a container was made from, as its labels say."""
    files, folder, env_files = (labels.get(LABEL + "project." + what, "") for what in ("config_files", "working_dir", "environment_file"))
    return [name for name in files.split(",") if name], folder, [name for name in env_files.split(",") if name]


def _host_file(path: str, limit: int) -> File | None:
    try:
        with open(path, "rb") as content:
            status = os.fstat(content.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
                return None
            return File(content.read(limit), status.st_mtime)
    except OSError:
        return None


def read_wanted(service: dict[str, Any], networks: dict[str, str]) -> dict[str, Any]:
    """One service of `docker compose config`, in our words. networks: the engine's names of the files' networks."""
    return {
        # Compose writes a dollar sign of a value as two.
        "environment": {key: str(value).replace("$$", "$") for key, value in (service.get("environment") or {}).items() if value is not None},
        "networks": [networks.get(name, name) for name in service.get("networks") or {}],
        "ports": [
            {"inside": port.get("target"), "outside": first_port(port.get("published"))} for port in service.get("ports") or [] if is_tcp(port.get("protocol"))
        ],
        "profiles": service.get("profiles") or [],
        "replicas": (service.get("deploy") or {}).get("replicas", service.get("scale", 1)),
    }


def first_port(told: Any) -> int:
    """The number of a port ("80/tcp"); of a range ("8080-8089"), which is one entry, its first; 0 for none."""
    return int(re.split(r"[-/]", str(told or 0), maxsplit=1)[0])


def is_tcp(protocol: str | None) -> bool:
    """Whether a port is one of TCP, as it is where nothing is said: nobody comes in for HTTP by another, and nobody can be asked there."""
    return protocol in (None, "", "tcp")


def waited_for(labels: Iterable[Mapping[str, str]]) -> set[str]:
    """The services whose end others wait for before they start: they do their work once."""
    words = [word.split(":") for one in labels for word in one.get(LABEL + "depends_on", "").split(",")]
    return {word[0] for word in words if "service_completed_successfully" in word[1:]}


def read_instance(detail: dict[str, Any]) -> Instance:
    """An Instance from `docker inspect`'s JSON."""
    state, config, host = detail["State"], detail["Config"], detail["HostConfig"]
    health = state.get("Health")
    labels = config.get("Labels") or {}
    seats = (detail.get("NetworkSettings") or {}).get("Networks") or {}
    published = []
    # What was asked for; NetworkSettings.Ports is empty while the container does not run.
    for inside, bindings in (host.get("PortBindings") or {}).items():
        for binding in (bindings or []) if is_tcp(inside.partition("/")[2]) else []:
            live = ((detail.get("NetworkSettings") or {}).get("Ports") or {}).get(inside) or [binding]
            published.append(
                {
                    "inside": first_port(inside),
                    "host": binding.get("HostIp") or "0.0.0.0",
                    "outside": first_port(live[0].get("HostPort") or binding.get("HostPort")),
                }
            )
    return Instance(
        id=detail["Id"],
        name=detail["Name"].lstrip("/"),
        state=state["Status"],
        image=config.get("Image", ""),
        image_id=detail.get("Image", ""),
        exit_code=state.get("ExitCode", 0),
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error", ""),
        restarts=detail.get("RestartCount", 0),
        restart_policy=(host.get("RestartPolicy") or {}).get("Name", ""),
        created_at=read_time(detail.get("Created", "")),
        started_at=read_time(state.get("StartedAt", "")),
        finished_at=read_time(state.get("FinishedAt", "")),
        pid=state.get("Pid", 0),
        health=read_health(health) if health and health.get("Status") not in (None, "none") else None,
        health_test=(config.get("Healthcheck") or {}).get("Test") or [],
        health_timing=read_timing(config.get("Healthcheck") or {}),
        command=(config.get("Entrypoint") or []) + (config.get("Cmd") or []),
        working_dir=config.get("WorkingDir", ""),
        environment=dict(pair.split("=", 1) for pair in config.get("Env") or [] if "=" in pair),
        published=published,
        exposed=sorted(first_port(port) for port in (config.get("ExposedPorts") or {}) if is_tcp(port.partition("/")[2])),
        networks={
            name: {"address": seat.get("IPAddress", ""), "aliases": sorted(set((seat.get("Aliases") or []) + [detail["Name"].lstrip("/")]))}
            for name, seat in seats.items()
        },
        home_network=_home_network(host.get("NetworkMode", ""), seats),
        mounts=[
            {"source": mount.get("Source", ""), "target": mount.get("Destination", ""), "kind": mount.get("Type", "")} for mount in detail.get("Mounts") or []
        ],
        memory_limit=host.get("Memory", 0),
        memory_swap=host.get("MemorySwap", 0),
        cpus=(host.get("NanoCpus") or 0) / 1e9,
        log_driver=(host.get("LogConfig") or {}).get("Type", ""),
        config_hash=labels.get(LABEL + "config-hash", ""),
        one_off=labels.get(LABEL + "oneoff", "False") == "True",
    )


def _home_network(mode: str, seats: dict[str, Any]) -> str:
    """The network that a container was made for, by name: of one that is not the project's own, Compose notes the id."""
    return next((name for name, seat in seats.items() if mode and seat.get("NetworkID") == mode), mode)


def read_health(health: dict[str, Any]) -> dict[str, Any]:
    """{"status", "failing", "output"} of a health check; the output is raw text of the last failing probe."""
    log = health.get("Log") or []
    failed = [entry for entry in log if entry.get("ExitCode") != 0]
    return {
        "status": health.get("Status", ""),
        "failing": health.get("FailingStreak", 0),
        "output": shortened(failed[-1].get("Output", "") if failed else "", 500),
    }


def read_timing(check: dict[str, Any]) -> dict[str, float]:
    """The times of a health check in seconds; what is not set is as the engine takes it."""
    if not check.get("Test") or check["Test"][0] == "NONE":
        return {}
    usual = {"interval_seconds": ("Interval", 30.0), "timeout_seconds": ("Timeout", 30.0), "start_period_seconds": ("StartPeriod", 0.0)}
    return {**{name: (check.get(key) or 0) / 1e9 or default for name, (key, default) in usual.items()}, "retries": check.get("Retries") or 3}
