# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What stands there: the parts of a stack, their processes and logs, their roles, and where each is told to connect."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Callable, Iterable, Iterator, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.connect.postgres import PostgresTarget
from ansible_collections.aiops.runbook.plugins.module_utils.connect.redis import RedisTarget
from ansible_collections.aiops.runbook.plugins.module_utils.model import FINITE, LOOPBACK, StackError, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.roles import find_role
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import (
    SENTINEL,
    Target,
    filed_settings,
    find_targets,
    outer_name,
    pgbouncer_targets,
)
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Instance, Platform
from ansible_collections.aiops.runbook.plugins.module_utils.probes import Probes
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask, is_plain_url, is_secret_name

SERVERS = ("postgres", "redis")
# Who is no way to such a server, whatever a setting says: servers of other kinds, tools, and who does its work and ends.
NO_GATES = frozenset([*SERVERS, *FINITE, "broker", "llm", "other"])
# The certificates of all authorities that a system knows take a quarter of this.
MOST_CERTIFICATES = 1 << 20
CERTIFICATE = re.compile(r"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[\s\S]+?-----END (?:X509 |TRUSTED )?CERTIFICATE-----")
# What says where, who and how, and opens nothing.
NO_SECRET = re.compile(
    r"(^|[_.-])(host(name|addr)?|server|addr(ess)?|port|user(name)?|name|db|dbname|database|schema|region|env(ironment)?|level|mode)$", re.IGNORECASE
)
# What a container calls the host on which it runs.
HOST_NAMES = ("host.docker.internal", "gateway.docker.internal", "172.17.0.1")
# Servers of other kinds, by their programs and images, to which the same parts of settings may lead (DB_HOST, BROKER_HOST).
OTHER_SERVER = re.compile(r"(^|/)(mysqld?|mariadbd?|mongod?|mongodb|memcached|beam\.smp|rabbitmq)([:@\s]|$)")
RABBITMQ = re.compile(r"(^|/)(beam\.smp|rabbitmq)([:@\s]|$)")


@dataclass
class Options:
    """How to look.

    timeout: seconds for one probe. log_window: seconds of log that still speak of now. log_lines: lines read for one instance.
    http_routes: paths that are asked. http_url: where users reach the stack, when the published ports do not tell.
    roles: {component: role} that overrides what is found. accounts: {"postgres": {"user", "password", "database"}, "redis": {…}}
    that are preferred to the application's own. ask_servers: False looks at the parts only, and connects to nothing.
    """

    stack: str = ""
    timeout: float = 5.0
    log_window: float = 600.0
    log_lines: int = 2000
    http_routes: tuple[str, ...] = ("/health", "/ready", "/metrics", "/docs")
    http_url: str = ""
    roles: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, dict[str, str]] = field(default_factory=dict)
    ask_servers: bool = True


class Scene:
    """A stack as it was met: everything here is raw, holds secrets, and lives as long as the look.

    logs: the lines of each instance by its id, or an unseen entry. sockets: those of each running instance, or None.
    """

    def __init__(self, platform: Platform, mask: Mask, options: Options) -> None:
        self.platform = platform
        self.mask = mask
        self.options = options
        self.probes = Probes(timeout=options.timeout, hide=mask.text)
        self.started = time.time()
        self.components: list[Component] = platform.components()
        for component in self.components:
            mask.keep(names_of(component))
        for value in {value for component in self.components for one in component.instances for value in secrets_of(one.environment, one.secret_values)}:
            mask.learn(value)
        self.targets: dict[str, list[Target]] = {}
        self.logs: dict[str, Any] = {}
        self.sockets: dict[str, Any] = {}
        self.filed: dict[str, dict[str, str]] = {}

    def discover(self) -> None:
        """Fill in what takes asking."""
        self._look_at_instances()
        self._find_roles()
        self._find_targets()
        self._roles_by_use()

    def _look_at_instances(self) -> None:
        probes: dict[str, Callable[[], Any]] = {}
        window = self.started - self.options.log_window
        for component in self.components:
            for one in component.instances:
                if one.running and one.asked:
                    probes["processes:" + one.id] = partial(self.platform.processes, one)
                    probes["sockets:" + one.id] = partial(self.platform.sockets, one)
                if not one.one_off and one.asked:
                    # What a container said before it ended is worth reading however long ago that was.
                    since = window if one.running else 0.0
                    lines = self.options.log_lines if one.running else 200
                    probes["logs:" + one.id] = partial(self.platform.logs, one, since, lines)
        answers = self.probes.gather(probes)
        for component in self.components:
            for one in component.instances:
                processes = answers.get("processes:" + one.id)
                one.processes = processes if isinstance(processes, list) else []
                self.logs[one.id] = answers.get("logs:" + one.id)
                self.sockets[one.id] = None if why_unseen(answers.get("sockets:" + one.id)) else answers["sockets:" + one.id]

    def _find_roles(self) -> None:
        for component in self.components:
            if component.id in self.options.roles:
                component.role, component.role_source = self.options.roles[component.id], "given"
            else:
                component.role, component.role_source = find_role(component, self._script)

    def _script(self, instance: Instance, path: str) -> str:
        try:
            found = self.platform.file(instance, path if path.startswith("/") else "%s/%s" % (instance.working_dir or "", path))
        except StackError:
            return ""
        return found.content.decode("utf-8", "replace") if found else ""

    def _find_targets(self) -> None:
        asked: dict[str, Instance] = {}
        probes: dict[str, Callable[[], Any]] = {}
        for component in self.components:
            instance = next(iter(component.running or component.instances), None)
            if instance is None:
                continue
            if component.role not in SERVERS:
                asked[component.id] = instance
                probes["targets:" + component.id] = partial(self._targets_of, component, instance)
            # Who has a secret in a file may say it in its log, and nobody else need have it.
            for path in secret_files_of(instance):
                probes["secret:%s:%s" % (component.id, path)] = partial(self._learn_file, instance, path)
        answers = self.probes.gather(probes)
        for name, instance in asked.items():
            found = answers["targets:" + name]
            self.targets[name] = found if isinstance(found, list) else []
            why = why_unseen(found)
            if why:
                instance.unread["its settings"] = why
        for name, targets in self.targets.items():
            self.targets[name] = [known for known in map(self._recognised, targets) if known is not None]

    def _learn_file(self, instance: Instance, path: str) -> None:
        self.mask.learn(self._script(instance, path).strip())

    def _recognised(self, target: Target) -> Target | None:
        """The target as what stands there; None where that is a server of another kind than its setting's name made it."""
        other = self.component_at(target.component, target.host) if target.scheme == "settings" else None
        if other is None or other.role != "unknown":
            return target
        texts = [text for one in other.instances for text in [one.image, *(process.command for process in one.processes)]]
        if any(RABBITMQ.search(text) for text in texts):
            return replace(target, kind="unsupported", scheme="amqp", port=5672 if target.port == 6379 else target.port)
        return None if any(OTHER_SERVER.search(text) for text in texts) else target

    def _targets_of(self, component: Component, instance: Instance) -> list[Target]:
        environment, source = self.environment(instance)
        filed = filed_settings(environment, partial(self.platform.file, instance), [mount["target"] for mount in instance.mounts], instance.working_dir)
        self.filed[instance.id] = filed
        environment = {**filed, **environment}
        secret_files = [mount["target"] for mount in instance.mounts if is_secret_mount(mount["target"])]
        found = find_targets(component.id, environment, source, partial(self.platform.file, instance), secret_files)
        for value in secrets_of(environment):
            self.mask.learn(value)
        for target in found:
            target.source = "file" if target.setting in filed else source
        if component.role == "pgbouncer":
            found += self._behind_pgbouncer(component, instance)
        for target in found:
            self.mask.keep([] if target.malformed else [target.host, target.user, target.database])
            self.mask.learn(target.password)
            self.mask.learn(target.url if target.password else "")
            self._bring_authorities(target, instance)
        return found

    def _bring_authorities(self, target: Target, instance: Instance) -> None:
        """The certificates that a URL names by a file: read where its program reads them, since that path means nothing on this machine."""
        told, path = target.options, ""
        if isinstance(told, RedisTarget):
            path = (told.ca or "") if told.tls and told.verify else ""
        elif isinstance(told, PostgresTarget):
            path = told.options.get("sslrootcert", "")
        if not path or path == "system":
            return
        try:
            found = self.platform.file(instance, path if path.startswith("/") else "%s/%s" % (instance.working_dir or "", path), MOST_CERTIFICATES)
        except StackError:
            found = None  # whoever needs them says so
        told.ca_data = "\n".join(CERTIFICATE.findall(found.content.decode("ascii", "replace"))) if found else ""

    def _behind_pgbouncer(self, component: Component, instance: Instance) -> list[Target]:
        words = [word for text in [*instance.command, *(process.command for process in instance.processes)] for word in text.split()]
        path = next((word for word in words if word.startswith("/") and word.endswith(".ini")), "/etc/pgbouncer/pgbouncer.ini")
        content = self.platform.file(instance, path)
        return pgbouncer_targets(component.id, path, content.content.decode("utf-8", "replace")) if content else []

    def _roles_by_use(self) -> None:
        """A component that others call as their LLM provider is that, and one that serves from a database is an api, whatever program it runs."""
        for targets in self.targets.values():
            for target in targets:
                other = self.component_at(target.component, target.host, "llm")
                guessed = other is not None and (other.role in ("api", "unknown", "other") or other.role_source == "name")
                if target.kind == "llm" and other is not None and other.id != target.component and guessed:
                    if not self.targets.get(other.id):
                        other.role, other.role_source = "llm", "peers"

                if target.kind == "unsupported" and target.scheme != SENTINEL and other is not None and other.role == "unknown":
                    other.role, other.role_source = "broker", "peers"
        self._find_gates()
        if any(component.role == "api" for component in self.components):
            return
        for component in self.components:
            serves = any(one.published or self.listens(one) for one in component.instances)
            if component.role == "unknown" and serves and any(target.server_kind in SERVERS for target in self.targets.get(component.id, [])):
                component.role, component.role_source = "api", "port"

    def _find_gates(self) -> None:
        """What leads to a server elsewhere is no door for users: it is known by those who are told to find that server there."""
        ports: dict[str, set[int]] = {}
        for targets in self.targets.values():
            for target in targets:
                other = self.server_at(target)[0] if target.server_kind in SERVERS and not target.malformed else None
                if other is not None and other.id != target.component:
                    ports.setdefault(other.id, set()).add(target.port)
        for component in self.components:
            outside = {mapping["inside"] for one in component.instances for mapping in one.published}
            # One that is known by its program may serve users at other ports.
            only = component.role == "proxy" and (component.role_source == "name" or bool(outside) and outside <= ports.get(component.id, set()))
            if component.id in ports and (component.role == "unknown" or only) and component.role_source != "given":
                component.role, component.role_source = "gate", "peers"

    def gate_at(self, target: Target) -> str:
        """What a server is called that is met through a component which is none itself (a proxy, a pooler that names no server); "" elsewhere."""
        other = self.server_at(target)[0] if target.server_kind in SERVERS and not target.malformed else None
        if other is None or other.id == target.component or other.role in NO_GATES or not other.running:
            return ""
        if other.role == "pgbouncer" and any(one.kind == "postgres" and not one.malformed for one in self.targets.get(other.id, [])):
            return ""
        return self.outer_name(target)

    def listens(self, one: Instance) -> bool:
        """Whether others can connect to an instance, as far as that is seen."""
        sockets = self.sockets.get(one.id)
        return sockets is not None and any(socket["address"] not in LOOPBACK for socket in sockets["listening"])

    def lines(self, one: Instance) -> list[str]:
        """The log lines of an instance; [] where they could not be read."""
        found = self.logs.get(one.id)
        return found if isinstance(found, list) else []

    def running(self) -> list[Instance]:
        return [one for component in self.components for one in component.running]

    def environment(self, instance: Instance) -> tuple[dict[str, str], str]:
        """What the program really has: a start script, or the files that the program reads, may add to what the container was given."""
        given = {**self.filed.get(instance.id, {}), **instance.environment}
        # From the container's first process down its first children: a start script exports for what it starts.
        line = [instance.pid] if instance.pid else []
        while line and len(line) < 8:
            child = next((process.pid for process in instance.processes if process.parent == line[-1]), None)
            if child is None or child in line:
                break
            line.append(child)
        for pid in reversed(line):
            seen = self.platform.process_environment(instance, pid)
            if seen:
                return {**given, **seen}, "process"
        return given, "container"

    def component_at(self, client: str, host: str, kind: str = "") -> Component | None:
        """The component of this stack that a host name or address means for a client that looks for a server of this kind."""
        found = self._named(client, host)
        if found is None or not kind or found.role == kind:
            return found
        beside = [other for role in ((kind, "pgbouncer") if kind == "postgres" else (kind,)) for other in self._beside(found) if other.role == role]
        return next(iter(beside), found)

    def _beside(self, component: Component) -> list[Component]:
        """The components that share a network namespace (network_mode: service:… or host) with this one."""

        def places(one: Component) -> set[str]:
            return {
                "container:" + instance.id if not instance.home_network.startswith(("container:", "host")) else instance.home_network
                for instance in one.instances
            }

        return [other for other in self.components if other is not component and places(other) & places(component)]

    def _named(self, client: str, host: str) -> Component | None:
        if not host:
            return None
        if host in LOOPBACK:
            return next((component for component in self.components if component.id == client), None)
        search = self._search(next((component for component in self.components if component.id == client), None))
        for name in meant_by(host, search):
            for component, one in self._copies():
                if any(name == seat["address"] or name in seat["aliases"] for seat in one.networks.values()):
                    return component
        return next((component for component in self.components if component.id == host and (not search or self._search(component) == search)), None)

    def _copies(self) -> Iterator[tuple[Component, Instance]]:
        """Every copy; then, of a component without one, its next: it keeps its names where nobody else bears them."""
        yield from ((component, one) for component in self.components for one in component.instances)
        yield from ((component, component.template) for component in self.components if component.template and not component.instances)

    @staticmethod
    def _search(component: Component | None) -> list[str]:
        instance = next(iter(component.instances), component.template) if component else None
        return instance.search if instance else []

    def stands_in(self, target: Target) -> Instance | None:
        """The client's own copy, where its setting leads to its own localhost and a server elsewhere is likely to be met there, through a proxy."""
        client = next((component for component in self.components if component.id == target.component), None)
        if client is None or target.host not in LOOPBACK or target.server_kind not in SERVERS:
            return None
        if client.role == target.server_kind or self.component_at(client.id, target.host, target.server_kind) is not client:
            return None
        for one in client.running:
            sockets = self.sockets.get(one.id)
            if any(socket["port"] == target.port for socket in sockets["listening"]) if sockets else one.proxies:
                return one
        return None

    def published_at(self, target: Target) -> Component | None:
        """The component that a setting leads to by way of the host, at whose port it is published; also of one that does not run."""
        client = next((component for component in self.components if component.id == target.component), None)
        on_host = client is not None and any(one.home_network == "host" for one in client.instances) and target.host in LOOPBACK
        if not target.port or not (on_host or target.host in HOST_NAMES):
            return None
        for component in self.components:
            if component is not client and any(mapping["outside"] == target.port for one in component.instances for mapping in one.published):
                return component
        return None

    def server_at(self, target: Target) -> tuple[Component | None, str]:
        """(component, its name) of what a setting leads to; (None, name) where that is a server elsewhere."""
        published = self.published_at(target)
        if published is not None:
            return published, published.id
        other = self.component_at(target.component, target.host, target.server_kind)
        if other is not None and self.stands_in(target) is not None:
            return None, "%s/%s" % (target.component, outer_name(target))
        return (other, other.id) if other is not None else (None, self.outer_name(target))

    def outer_name(self, target: Target) -> str:
        """What a server that is no component of the stack is called: a short name means another one in each of several namespaces."""
        found = {tuple(search): search for search in map(self._search, self.components) if search}
        search = self._search(next((component for component in self.components if component.id == target.component), None))
        if len(found) < 2 or not search or "." in target.host or is_address(target.host):
            return outer_name(target)
        return outer_name(replace(target, host="%s.%s" % (target.host, search[0].split(".")[0])))

    def role_of(self, name: str) -> str:
        return next((component.role for component in self.components if component.id == name), "")

    def is_component(self, name: str) -> bool:
        return any(component.id == name for component in self.components)

    def address_of(self, one: Instance) -> str:
        """Where this host reaches an instance: at its own address or that of the one whose network it shares; "" when there is none."""
        other = next((copy for component in self.components for copy in component.instances if one.home_network == "container:" + copy.id), one)
        if other.home_network == "host":
            return "127.0.0.1"
        return next((str(seat["address"]) for seat in other.networks.values() if seat["address"]), "")

    def addresses_of(self, name: str) -> list[str]:
        """Where a component's running instances stand."""
        return [address for address, component in self.addresses().items() if component == name]

    def addresses(self) -> dict[str, str]:
        """Component by address."""
        return {
            seat["address"]: component.id for component in self.components for one in component.instances for seat in one.networks.values() if seat["address"]
        }


def meant_by(host: str, search: list[str]) -> list[str]:
    """The names that a resolver tries for a name, first the likeliest; one that is not whole means nothing outside of its own domains."""
    if not search or is_address(host):
        return [host]
    host = host.rstrip(".").lower()
    return ["%s.%s" % (host, domain) for domain in search] + ([host] if host.endswith("." + search[-1]) else [])


def is_address(host: str) -> bool:
    """Whether a host is told by its address, not by a name."""
    return bool(re.fullmatch(r"[\d.]+|[\da-fA-F:]*:[\da-fA-F:.]*", host))


def is_secret_mount(path: str) -> bool:
    """Whether a mounted file is one that holds a secret, by its name or its place."""
    return "/secret" in path or bool(re.search(r"passw|passwd|credential|token", path.rsplit("/", 1)[-1], re.IGNORECASE))


def secret_files_of(instance: Instance) -> list[str]:
    """The files that hold a secret of an instance, as far as the platform has not read them already: mounted ones, and those that a setting names."""
    mounted = [mount["target"] for mount in instance.mounts if mount["kind"] == "bind" and is_secret_mount(mount["target"])]
    named = [path for name, path in instance.environment.items() if re.search(r"_FILE$", name) and is_secret_name(name[:-5]) and path.startswith("/")]
    return list(dict.fromkeys([*mounted, *named]))


def secrets_of(environment: Mapping[str, str], kept_secret: Iterable[str] = ()) -> set[str]:
    """What of a program's settings is secret, by its name or for the account in it. kept_secret: values from places for secrets.

    Those places often hold a whole connection: host, user and database are no secrets there, either, and texts are not understood without them.
    """
    by_name = {value for name, value in environment.items() if is_secret_name(name) or ("://" in value and not is_plain_url(value))}
    told = {value for name, value in environment.items() if NO_SECRET.search(name) and not is_secret_name(name)}
    return by_name | {value for value in kept_secret if value not in told and not is_plain_url(value)}


def names_of(component: Component) -> set[str]:
    """What a component and its copies are called."""
    aliases = {alias for one in component.instances for seat in one.networks.values() for alias in seat["aliases"]}
    names = {one.name for one in component.instances}
    # Of a Deployment's pods, that of their ReplicaSet, too.
    return {component.id, *names, *(name.rsplit("-", 1)[0] for name in names), *aliases}
