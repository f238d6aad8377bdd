# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observe a whole stack: find its parts, then ask all of them at once. The shape of what comes out: docs/architecture.md."""

from __future__ import annotations

import calendar
import re
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.connect import postgres as connect_postgres
from ansible_collections.aiops.runbook.plugins.module_utils.connect import redis as connect_redis
from ansible_collections.aiops.runbook.plugins.module_utils.connect.http import HttpTarget
from ansible_collections.aiops.runbook.plugins.module_utils.connect.tcp import try_tcp
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, unseen, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.celery import observe_celery
from ansible_collections.aiops.runbook.plugins.module_utils.observe.http import observe_http
from ansible_collections.aiops.runbook.plugins.module_utils.observe.logs import last_words, read_logs
from ansible_collections.aiops.runbook.plugins.module_utils.observe.postgres import observe_postgres
from ansible_collections.aiops.runbook.plugins.module_utils.observe.redis import observe_redis
from ansible_collections.aiops.runbook.plugins.module_utils.observe.roles import FINITE, find_role
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import Target, find_targets, settings_fact
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Instance, Platform
from ansible_collections.aiops.runbook.plugins.module_utils.probes import Probes
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

SERVER_PORTS = {"postgres": 5432, "redis": 6379}
SERVERS = ("postgres", "redis")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Between two readings of an application's metrics: long enough to see traffic, short enough to wait for.
SAMPLE_SECONDS = 0.7


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


@dataclass
class Server:
    """A PostgreSQL or Redis that somebody connects to: a component of the stack, or one elsewhere (component: "host:port")."""

    component: str
    kind: str
    clients: list[Target] = field(default_factory=list)
    instance: Instance | None = None


def observe_stack(platform: Platform, mask: Mask, options: Options) -> dict[str, Any]:
    """Everything that can be known of a stack now, as one JSON document without a secret."""
    return StackObserver(platform, mask, options).observe()


class StackObserver:
    """One look at one stack. The order: parts → processes, logs → targets → servers, routes, reach → the document."""

    def __init__(self, platform: Platform, mask: Mask, options: Options) -> None:
        self.platform = platform
        self.mask = mask
        self.options = options
        self.probes = Probes(timeout=options.timeout)
        self.started = time.time()
        self.components: list[Component] = []
        self.targets: dict[str, list[Target]] = {}
        self.logs: dict[str, dict[str, Any]] = {}
        self.sockets: dict[str, Any] = {}

    # --- the stages ---

    def observe(self) -> dict[str, Any]:
        self.components = self.platform.components()
        background = self.probes.begin(
            {
                "identity": self.platform.identity,
                "events": lambda: self.platform.events(self.started - 3600),
                "wanted": lambda: self.platform.wanted(self.options.timeout),
                "outsiders": self.platform.outsiders,
                **{"memory:" + one.id: (lambda one=one: self.platform.memory(one)) for one in self._running()},
            },
            timeout=self.options.timeout * 2,
        )
        self._look_at_instances()
        self._find_roles()
        self._find_targets()
        self._roles_by_use()
        servers = self._servers()
        answers: dict[str, Any] = {}
        if self.options.ask_servers:
            answers = self.probes.gather({**self._server_probes(servers), **self._reach_probes(), **self._http_probes(), **self._outside_probes()})
        return self._document(servers, answers, background.answers())

    def _running(self) -> list[Instance]:
        return [one for component in self.components for one in component.running]

    def _look_at_instances(self) -> None:
        probes: dict[str, Callable[[], Any]] = {}
        window = self.started - self.options.log_window
        for component in self.components:
            for one in component.instances:
                if one.running:
                    probes["processes:" + one.id] = lambda one=one: self.platform.processes(one)
                    self.sockets[one.id] = self.platform.sockets(one)
                if not one.one_off:
                    # What a container said before it ended is worth reading however long ago that was.
                    since = window if one.running else 0.0
                    lines = self.options.log_lines if one.running else 200
                    probes["logs:" + one.id] = lambda one=one, since=since, lines=lines: self._read_logs(one, since, lines)
        answers = self.probes.gather(probes)
        for component in self.components:
            for one in component.instances:
                processes = answers.get("processes:" + one.id)
                one.processes = processes if isinstance(processes, list) else []
                self.logs[one.id] = answers.get("logs:" + one.id, {})

    def _read_logs(self, one: Instance, since: float, tail: int) -> dict[str, Any]:
        lines = self.platform.logs(one, since, tail)
        facts = {"lines": lines, "cut": len(lines) >= tail}
        return facts

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
        probes = {}
        for component in self.components:
            instance = next(iter(component.running or component.instances), None)
            if instance is not None and component.role not in SERVERS:
                probes[component.id] = lambda component=component, instance=instance: self._targets_of(component, instance)
        for name, found in self.probes.gather({"targets:" + key: probe for key, probe in probes.items()}).items():
            self.targets[name.split(":", 1)[1]] = found if isinstance(found, list) else []

    def _targets_of(self, component: Component, instance: Instance) -> list[Target]:
        environment, source = self._environment(instance)
        secret_files = [mount["target"] for mount in instance.mounts if "/secret" in mount["target"] or is_secret_mount(mount["target"])]
        found = find_targets(component.id, environment, source, lambda path: self.platform.file(instance, path), secret_files)
        for value_name, value in environment.items():
            if re.search(r"PASS|SECRET|TOKEN|KEY", value_name, re.IGNORECASE):
                self.mask.learn(value)
        for target in found:
            self.mask.learn(target.password)
            self.mask.learn(target.url if target.password else "")
        return found

    def _environment(self, instance: Instance) -> tuple[dict[str, str], str]:
        """What the program really has: a start script may have added to what the container was given."""
        program = next((process for process in instance.processes if process.pid != instance.pid), None)
        seen = self.platform.process_environment(instance, program.pid) if program else None
        return ({**instance.environment, **seen}, "process") if seen else (instance.environment, "container")

    def _roles_by_use(self) -> None:
        """A component that others call as their LLM provider is that, whatever program it runs."""
        for targets in self.targets.values():
            for target in targets:
                other = self._component_at(target.component, target.host)
                if target.kind == "llm" and other is not None and other.id != target.component and other.role in ("api", "unknown", "other"):
                    if not self.targets.get(other.id):
                        other.role, other.role_source = "llm", "peers"

    def _component_at(self, client: str, host: str) -> Component | None:
        """The component of this stack that a host name or address means for a client."""
        if host in LOOPBACK:
            return next((component for component in self.components if component.id == client), None)
        for component in self.components:
            for one in component.instances:
                for seat in one.networks.values():
                    if host == seat["address"] or host in seat["aliases"]:
                        return component
        return next((component for component in self.components if component.id == host), None)

    def _servers(self) -> list[Server]:
        servers: dict[str, Server] = {}
        for component in self.components:
            if component.role in SERVERS:
                servers[component.id] = Server(component.id, component.role, instance=next(iter(component.running), None))
        done = {component.id for component in self.components if component.role in FINITE and all(one.exit_code == 0 for one in component.instances)}
        for name, targets in self.targets.items():
            for target in targets:
                if target.server_kind not in SERVERS or target.malformed or name in done:
                    continue
                other = self._component_at(target.component, target.host)
                if other is not None and other.role == target.server_kind:
                    servers[other.id].clients.append(target)
                elif other is None and "." in target.host:
                    name = "%s:%d" % (target.host, target.port)
                    servers.setdefault(name, Server(name, target.server_kind)).clients.append(target)
        return list(servers.values())

    # --- the probes ---

    def _server_probes(self, servers: list[Server]) -> dict[str, Callable[[], Any]]:
        probes: dict[str, Callable[[], Any]] = {}
        for server in servers:
            if server.instance is None and self._is_component(server.component):
                continue
            look = self._look_at_postgres if server.kind == "postgres" else self._look_at_redis
            probes["%s:%s" % (server.kind, server.component)] = lambda server=server, look=look: look(server)
            broker = self._broker_target(server)
            if broker is not None:
                probes["celery:" + server.component] = lambda server=server, broker=broker: self._look_at_celery(server, broker)
        return probes

    def _is_component(self, name: str) -> bool:
        return any(component.id == name for component in self.components)

    def _candidates(self, server: Server) -> list[Target]:
        """The accounts to try, best first: given ones, then those whose owners do not complain of a refusal, each only once."""
        complaint = server.kind + "_auth"
        doubtful = {component.id for component in self.components if any(self._complains(one, complaint) for one in component.instances)}
        ordered = sorted(server.clients, key=lambda target: (target.component in doubtful, target.component))
        given = self.options.accounts.get(server.kind)
        if given:
            base = ordered[0] if ordered else Target("", "given", "given", server.kind, host="127.0.0.1", port=SERVER_PORTS[server.kind])
            ordered.insert(0, Target(base.component, "given", "given", server.kind, base.host, base.port, given.get("user", ""), given.get("password", ""), given.get("database", base.database)))
        own = self._own_account(server)
        if own is not None:
            ordered.append(own)
        seen, distinct = set(), []
        for target in ordered:
            key = (target.user, target.password, target.database if server.kind == "postgres" else "")
            if key not in seen:
                seen.add(key)
                distinct.append(target)
        return distinct

    def _own_account(self, server: Server) -> Target | None:
        """The account that the server's own container was made with."""
        if server.instance is None:
            return None
        environment = server.instance.environment
        if server.kind == "postgres" and environment.get("POSTGRES_PASSWORD"):
            user = environment.get("POSTGRES_USER") or "postgres"
            self.mask.learn(environment["POSTGRES_PASSWORD"])
            return Target(server.component, "POSTGRES_PASSWORD", "container", "postgres", user=user, password=environment["POSTGRES_PASSWORD"], database=environment.get("POSTGRES_DB") or user)
        return None

    def _complains(self, one: Instance, kind: str) -> bool:
        lines = self.logs.get(one.id, {}).get("lines") or []
        pattern = {"postgres_auth": "password authentication failed", "redis_auth": "WRONGPASS"}[kind]
        return any(pattern in line for line in lines[-200:])

    def _place(self, server: Server, target: Target) -> tuple[Instance | None, str, int]:
        """(instance to stand in, address to go to, port): in the client's place when it runs, else beside the server itself."""
        client = next((one for component in self.components if component.id == target.component for one in component.running), None)
        own = target.component == server.component
        if client is not None and not own:
            return client, "", target.port
        if server.instance is not None:
            address = next((seat["address"] for seat in server.instance.networks.values() if seat["address"]), "127.0.0.1")
            return server.instance, address, SERVER_PORTS[server.kind]
        return None, "", target.port

    def _go(self, server: Server, target: Target) -> tuple[str, str, int]:
        """Move this thread to where the target is reached from: (host, address, port)."""
        place, address, port = self._place(server, target)
        host = target.host or address
        if place is None:
            return host, "", port
        enter = self.platform.enter(place)
        if enter is not None:
            enter()
        if not address:
            found = self.platform.resolve(place, host, self.options.timeout / 2, inside=enter is not None)
            if not found and server.instance is not None:
                # The client cannot find the server (that is judged elsewhere); the server itself can still be asked.
                found = [seat["address"] for seat in server.instance.networks.values() if seat["address"]]
                fallback = self.platform.enter(server.instance)
                if fallback is not None:
                    fallback()
                port = SERVER_PORTS[server.kind]
            if not found:
                raise StackError("the name %s has no address" % host, kind="dns")
            address = found[0]
        return host, address, port

    def _look_at_postgres(self, server: Server) -> dict[str, Any]:
        clients = [{"component": target.component, "user": target.user, "password": target.password} for target in server.clients]
        return self._look_with_accounts(server, "postgres", lambda target, where: self._ask_postgres(server, target, where, clients))

    def _ask_postgres(self, server: Server, target: Target, where: tuple[str, str, int], clients: list[dict[str, str]]) -> dict[str, Any]:
        host, address, port = where
        wanted = connect_postgres.PostgresTarget(host=host, port=port, user=target.user, password=target.password, database=target.database or target.user, hostaddr=address)
        if target.options is not None and getattr(target.options, "sslmode", ""):
            wanted.sslmode = target.options.sslmode
        return observe_postgres(server.component, wanted, self.mask, self.options.timeout * 0.8, clients=clients)

    def _look_at_redis(self, server: Server) -> dict[str, Any]:
        return self._look_with_accounts(server, "redis", lambda target, where: self._ask_redis(server, target, where))

    def _ask_redis(self, server: Server, target: Target, where: tuple[str, str, int]) -> dict[str, Any]:
        return observe_redis(server.component, self._redis_target(target, where), self.mask, self.options.timeout * 0.8)

    def _redis_target(self, target: Target, where: tuple[str, str, int]) -> connect_redis.RedisTarget:
        host, address, port = where
        return connect_redis.RedisTarget(
            host=host,
            port=port,
            username=target.user or None,
            password=target.password or None,
            database=int(target.database) if target.database.isdigit() else 0,
            tls=target.tls,
            address=address,
        )

    def _look_with_accounts(self, server: Server, kind: str, ask: Callable[[Target, tuple[str, str, int]], dict[str, Any]]) -> dict[str, Any]:
        """Ask with one account after another until one is let in; at most three, so that no lock-out is provoked."""
        candidates = self._candidates(server)[:3]
        if not candidates and kind == "redis" and server.instance is not None:
            candidates = [Target(server.component, "", "none", "redis", port=SERVER_PORTS["redis"])]
        if not candidates:
            return {"component": server.component, "answers": unseen("no account for it was found in the stack", kind="no_account", fix="give one by %s_user and %s_password" % (kind, kind))}
        first: dict[str, Any] | None = None
        refused: list[Target] = []
        for target in candidates:
            try:
                facts = ask(target, self._go(server, target))
            except StackError as error:
                facts = {"component": server.component, "answers": unseen(error.message, kind=error.kind)}
            why = why_unseen(facts.get("answers"))
            if why is None:
                facts["account"] = {"user": target.user, "from": target.component, "setting": target.setting}
                facts["accounts"] = self._compare_accounts(server, target, refused, kind)
                return facts
            refused.append(target)
            first = first or facts
            if why["kind"] not in ("auth", "auth_required", "role_missing", "too_many_clients", "database_missing", "no_hba"):
                break
        assert first is not None
        first["accounts"] = [{"component": target.component, "setting": target.password_setting or target.setting, "user": target.user, "accepted": False if target in refused and self._is_auth(first) else None} for target in server.clients]
        return first

    @staticmethod
    def _is_auth(facts: dict[str, Any]) -> bool:
        why = why_unseen(facts.get("answers"))
        return bool(why and why["kind"] in ("auth", "auth_required"))

    def _compare_accounts(self, server: Server, good: Target, refused: list[Target], kind: str) -> list[dict[str, Any]]:
        """Which client's account would be let in, from the one that was: a role has one password."""
        found = []
        for target in server.clients:
            accepted: bool | None = None
            if (target.user, target.password) == (good.user, good.password):
                accepted = True
            elif target in refused or target.user == good.user:
                accepted = False
            found.append(
                {"component": target.component, "setting": target.password_setting or target.setting, "user": target.user, "accepted": accepted, "password_changed_at": target.password_changed_at}
            )
        return found

    def _broker_target(self, server: Server) -> Target | None:
        """How the workers (or those who send them tasks) reach this Redis as their broker; None when nobody does."""
        if server.kind != "redis":
            return None
        roles = {component.id: component.role for component in self.components}
        ranked = []
        for target in server.clients:
            role = roles.get(target.component, "")
            if target.kind == "broker" or (target.kind == "redis" and role in ("worker", "beat") and not self._has_broker(target.component)):
                ranked.append((role != "worker", target.kind != "broker", target))
        return min(ranked, key=lambda entry: entry[:2])[2] if ranked else None

    def _has_broker(self, component: str) -> bool:
        return any(target.kind == "broker" for target in self.targets.get(component, []))

    def _look_at_celery(self, server: Server, broker: Target) -> dict[str, Any]:
        expected = self._expected_workers()
        facts = {"component": server.component, "answers": unseen("not asked", kind="absent")}
        for target in [broker] + [one for one in self._candidates(server) if one.password != broker.password][:1]:
            try:
                where = self._go(server, target)
                where_broker = self._redis_target(target, where)
                where_broker.database = int(broker.database) if broker.database.isdigit() else 0
                facts = observe_celery(server.component, where_broker, self.mask, self.options.timeout * 0.8, expected_workers=len(expected) or None)
            except StackError as error:
                facts = {"component": server.component, "answers": unseen(error.message, kind=error.kind)}
            why = why_unseen(facts.get("answers"))
            if why is None or why["kind"] not in ("auth", "auth_required"):
                break
        facts["expected"] = expected
        facts["worker_components"] = [component.id for component in self.components if component.role == "worker"]
        return facts

    def _expected_workers(self) -> list[dict[str, Any]]:
        found = []
        for component in self.components:
            if component.role != "worker":
                continue
            for one in component.running:
                programs = [process for process in one.processes if "celery" in process.command]
                found.append(
                    {
                        "component": component.id,
                        "instance": one.name,
                        "hostname": one.id[:12],
                        "processes": len(programs),
                        "stopped_processes": sum(1 for process in programs if process.state == "T"),
                        "age_seconds": round(max(0.0, self.started - one.started_at), 1),
                        "solo": any(re.search(r"(-P|--pool)[ =]solo", process.command) for process in programs),
                    }
                )
        return found

    def _reach_probes(self) -> dict[str, Callable[[], Any]]:
        probes = {}
        for component in self.components:
            if component.role in FINITE:
                continue
            # One that cannot stay up is asked for, too: where its settings lead is seen from the host, by what is known of its networks.
            for one in component.running or [one for one in component.instances if not one.one_off][:1]:
                asked = set()
                for target in self.targets.get(component.id, []):
                    if target.malformed or not target.host or not target.port or (target.host, target.port) in asked:
                        continue
                    asked.add((target.host, target.port))
                    probes["reach:%s:%s:%d" % (one.id, target.host, target.port)] = lambda one=one, component=component, target=target: self._reach(component, one, target)
        return probes

    def _reach(self, component: Component, one: Instance, target: Target) -> dict[str, Any]:
        """Can this instance find and reach what its setting names? Nothing is sent."""
        fact: dict[str, Any] = {"from": component.id, "instance": one.name, "setting": target.setting, "kind": target.kind, "host": target.host, "port": target.port}
        other = self._component_at(component.id, target.host)
        fact["to"] = other.id if other else ""
        enter = self.platform.enter(one)
        fact["inside"] = enter is not None
        if enter is not None:
            enter()
        elif target.host in LOOPBACK:
            if one.running:
                return {**fact, "resolves": unseen("what stands at %s inside the container cannot be seen from here" % target.host, kind="denied", fix="run as root")}
            return {**fact, "resolves": True, "addresses": [target.host], "connects": False, "error": "refused", "seconds": 0.0}
        try:
            addresses = self.platform.resolve(one, target.host, self.options.timeout / 2, inside=enter is not None)
        except StackError as error:
            return {**fact, "resolves": unseen(error.message, kind=error.kind)}
        fact.update({"resolves": bool(addresses), "addresses": addresses})
        if addresses:
            fact.update(try_tcp(addresses[0], target.port, min(2.0, self.options.timeout)))
        return fact

    def _http_probes(self) -> dict[str, Callable[[], Any]]:
        probes = {}
        for component in self.components:
            if component.role == "api":
                for one in component.running[:1]:
                    probes["http:" + component.id] = lambda component=component, one=one: self._look_at_http(component, one)
        return probes

    def _look_at_http(self, component: Component, one: Instance) -> dict[str, Any]:
        ports = self._http_ports(component, one)
        if not ports:
            return {"component": component.id, "answers": unseen("it listens on no port", kind="refused"), "port": 0}
        enter = self.platform.enter(one)
        address = "127.0.0.1" if enter is not None else next((seat["address"] for seat in one.networks.values() if seat["address"]), "127.0.0.1")
        target = HttpTarget("http://%s:%d" % (address, ports[0]))
        facts = observe_http(component.id, target, self.mask, min(3.0, self.options.timeout * 0.8), routes=self.options.http_routes, enter=enter, sample=SAMPLE_SECONDS)
        facts["port"] = ports[0]
        return facts

    def _http_ports(self, component: Component, one: Instance) -> list[int]:
        """Where an api may listen, likeliest first: open sockets, then what is published, exposed, or said in its command."""
        sockets = self.sockets.get(one.id)
        if sockets is not None:
            listening = sorted({socket["port"] for socket in sockets["listening"]})
            hints = self._said_ports(one)
            return sorted(listening, key=lambda port: (port not in hints, port))
        return self._said_ports(one)

    @staticmethod
    def _said_ports(one: Instance) -> list[int]:
        texts = [" ".join(one.command), " ".join(one.health_test)] + [process.command for process in one.processes]
        said = [int(port) for text in texts for port in re.findall(r"(?:--port[ =]|:)(\d{2,5})\b", text)]
        return list(dict.fromkeys([mapping["inside"] for mapping in one.published] + said + one.exposed))

    def _outside_probes(self) -> dict[str, Callable[[], Any]]:
        probes = {}
        for component in self.components:
            if component.role not in ("api", "proxy"):
                continue
            for one in component.running:
                for mapping in one.published:
                    if mapping["outside"]:
                        probes["outside:%s:%d" % (component.id, mapping["outside"])] = lambda component=component, mapping=mapping, one=one: self._look_from_outside(component, one, mapping)
        if self.options.http_url:
            probes["outside:given:0"] = lambda: {**self._ask_outside(HttpTarget(self.options.http_url)), "to": "", "url": self.options.http_url}
        return probes

    def _look_from_outside(self, component: Component, one: Instance, mapping: dict[str, Any]) -> dict[str, Any]:
        host = "127.0.0.1" if mapping["host"] in ("0.0.0.0", "", "::") else mapping["host"]
        sockets = self.sockets.get(one.id)
        listening = None if sockets is None else any(socket["port"] == mapping["inside"] for socket in sockets["listening"])
        scheme = "https" if mapping["inside"] in (443, 8443) else "http"
        target = HttpTarget("%s://%s:%d" % (scheme, host, mapping["outside"]), verify=False)
        return {**self._ask_outside(target), "to": component.id, "inside": mapping["inside"], "outside": mapping["outside"], "host": mapping["host"], "listening": listening}

    def _ask_outside(self, target: HttpTarget) -> dict[str, Any]:
        facts = observe_http("outside", target, self.mask, min(3.0, self.options.timeout * 0.8), routes=self.options.http_routes[:1])
        route = next(iter(facts.get("routes", {}).values()), {})
        why = why_unseen(facts.get("answers"))
        return {"connects": why is None, "error": why, "status": route.get("status"), "seconds": route.get("seconds")}

    # --- the document ---

    def _document(self, servers: list[Server], answers: dict[str, Any], background: dict[str, Any]) -> dict[str, Any]:
        document: dict[str, Any] = {
            "schema": 1,
            "stack": self.options.stack,
            "platform": self.platform.name,
            "started_at": self.started,
            "now": self.started,
            "identity": background["identity"],
            "components": {component.id: self._component_fact(component, background) for component in self.components},
            "edges": self._edges(),
            "reach": [self._named(name, fact) for name, fact in answers.items() if name.startswith("reach:")],
            "outside": [self._named(name, fact) for name, fact in answers.items() if name.startswith("outside:")],
            "outsiders": background["outsiders"],
            "events": background["events"],
            "drift": self._drift(background["wanted"]),
            "postgres": {},
            "redis": {},
            "celery": {},
            "http": {},
        }
        for name, facts in answers.items():
            domain, component = name.split(":", 1)
            if domain in ("postgres", "redis", "celery", "http"):
                document[domain][component] = facts if "unseen" not in facts else {"component": component, "answers": facts}
        for facts in document["postgres"].values():
            self._name_clients(facts)
        for component in self.components:
            if component.role == "api" and component.id not in document["http"]:
                document["http"][component.id] = {"component": component.id, "answers": unseen("no instance of it runs", kind="not_running")}
        for server in servers:
            facts = document[server.kind].setdefault(server.component, {"component": server.component, "answers": unseen("no instance of it runs", kind="not_running")})
            facts["used_by"] = sorted({target.component for target in server.clients})
        document["timing"] = {"probes": dict(self.probes.seconds), "total_seconds": round(time.time() - self.started, 3)}
        document["finished_at"] = time.time()
        return document

    def _name_clients(self, facts: dict[str, Any]) -> None:
        """Say from which component each session comes; an address that is nobody's stays an address."""
        addresses = self._addresses()
        for key in ("sessions", "others", "holders"):
            found = facts.get(key)
            for session in found if isinstance(found, list) else []:
                session["client"] = addresses.get(str(session.get("client_addr")), "")

    def _addresses(self) -> dict[str, str]:
        """Component by address."""
        return {seat["address"]: component.id for component in self.components for one in component.instances for seat in one.networks.values() if seat["address"]}

    @staticmethod
    def _named(name: str, fact: dict[str, Any]) -> dict[str, Any]:
        return {**fact, "probe": name} if "unseen" in fact else fact

    def _component_fact(self, component: Component, background: dict[str, Any]) -> dict[str, Any]:
        instance = next(iter(component.running or component.instances), None)
        environment, source = self._environment(instance) if instance else ({}, "")
        return {
            "component": component.id,
            "role": component.role,
            "role_source": component.role_source,
            "depends_on": component.depends_on,
            "instances": [self._instance_fact(one, background) for one in component.instances],
            "settings": settings_fact(environment, source, self.mask),
            "targets": [target.as_fact(self.mask) for target in self.targets.get(component.id, [])],
            "logs": self._log_fact(component),
        }

    def _log_fact(self, component: Component) -> dict[str, Any]:
        """The signatures of all running instances together; what an ended one said last stands with the instance."""
        running = component.running
        if not running:
            return unseen("no instance of it runs", kind="not_running")
        lines: list[str] = []
        for one in running:
            facts = self.logs.get(one.id, {})
            why = why_unseen(facts.get("lines")) if "unseen" not in facts else facts["unseen"]
            if why:
                return {"unseen": why}
            # What an earlier life of the container said is not about now.
            lines += [line for line in facts["lines"] if line_time(line) >= one.started_at - 1]
        return {"component": component.id, "now": self.started, **read_logs(lines, self.mask, self.started)}

    def _instance_fact(self, one: Instance, background: dict[str, Any]) -> dict[str, Any]:
        sockets = self.sockets.get(one.id)
        fact: dict[str, Any] = {
            "id": one.id[:12],
            "name": one.name,
            "state": one.state,
            "one_off": one.one_off,
            "exit_code": one.exit_code,
            "oom_killed": one.oom_killed,
            "error": self.mask.text(one.error),
            "restarts": one.restarts,
            "restart_policy": one.restart_policy,
            "created_at": one.created_at,
            "started_at": one.started_at,
            "finished_at": one.finished_at,
            "health": {**one.health, "output": self.mask.text(one.health["output"])} if one.health else None,
            "health_test": [self.mask.text(word) for word in one.health_test],
            "command": self.mask.text(" ".join(one.command)),
            "image": one.image,
            "image_id": one.image_id.replace("sha256:", "")[:12],
            "published": one.published,
            "networks": {name: seat["address"] for name, seat in one.networks.items()},
            "home_network": one.home_network,
            "memory_limit": one.memory_limit,
            "environment_hashes": {name: self.mask.digest(value) for name, value in sorted(one.environment.items())},
            "memory": background.get("memory:" + one.id) or unseen("it does not run", kind="not_running"),
            "processes": [{"pid": process.pid, "parent": process.parent, "state": process.state, "command": self.mask.text(process.command)[:160]} for process in one.processes],
            "listening": sorted({socket["port"] for socket in sockets["listening"]}) if sockets else None,
            "log_driver": one.log_driver,
        }
        lines = self.logs.get(one.id, {}).get("lines")
        if (not one.running or one.restarts) and lines:
            fact["last_words"] = last_words(lines[-200:], self.mask)
        return fact

    def _edges(self) -> list[dict[str, Any]]:
        """Who uses whom: by the settings of the program, then by the connections that are open."""
        edges: dict[tuple[str, str, str], dict[str, Any]] = {}
        addresses = self._addresses()
        for component in self.components:
            for target in self.targets.get(component.id, []):
                if target.malformed:
                    continue
                other = self._component_at(component.id, target.host)
                name = other.id if other else ("%s:%d" % (target.host, target.port) if "." in target.host else "")
                if name and name != component.id:
                    edges.setdefault(
                        (component.id, name, target.kind),
                        {"from": component.id, "to": name, "kind": target.kind, "setting": target.setting, "source": target.source, "host": target.host, "port": target.port},
                    )
            for one in component.running:
                listening = {socket["port"] for socket in (self.sockets.get(one.id) or {"listening": []})["listening"]}
                for peer in (self.sockets.get(one.id) or {"peers": []})["peers"]:
                    other_id = addresses.get(peer["address"])
                    if other_id and other_id != component.id and peer["local_port"] not in listening:
                        if not any(edge[0] == component.id and edge[1] == other_id for edge in edges):
                            edges[(component.id, other_id, "peer")] = {"from": component.id, "to": other_id, "kind": "peer", "setting": "", "source": "peers", "host": "", "port": peer["port"]}
        self._proxy_edges(edges)
        return list(edges.values())

    def _proxy_edges(self, edges: dict[tuple[str, str, str], dict[str, Any]]) -> None:
        """A proxy that is connected to nobody just now stands before the api that it was made to wait for, or before the only one."""
        apis = [component.id for component in self.components if component.role == "api"]
        for component in self.components:
            if component.role != "proxy" or any(edge[0] == component.id and edge[1] in apis for edge in edges):
                continue
            behind = [name for name in component.depends_on if name in apis] or (apis if len(apis) == 1 else [])
            for name in behind:
                edges[(component.id, name, "http")] = {"from": component.id, "to": name, "kind": "http", "setting": "", "source": "depends_on", "host": name, "port": 0}

    def _drift(self, wanted: dict[str, Any]) -> Any:
        """Where the running containers differ from what the platform's files ask for now: {component: {"settings", "networks", "ports", …}}."""
        why = wanted.get("unseen")
        if why:
            return {"unseen": {**why, "reason": self.mask.text(why["reason"])}}
        drift: dict[str, Any] = {}
        for component in self.components:
            want = wanted.get(component.id)
            instance = next(iter(component.running or component.instances), None)
            if want is None or instance is None:
                continue
            changed = sorted(name for name, value in want["environment"].items() if instance.environment.get(name) != str(value))
            found = {
                "settings": changed,
                "accepted_after_restart": self._new_passwords(component.id, want["environment"], changed),
                "networks_missing": sorted(set(want["networks"]) - set(instance.networks)) if instance.running else [],
                "ports_missing": [port for port in want["ports"] if port["inside"] not in [mapping["inside"] for mapping in instance.published]],
            }
            if any(found.values()):
                drift[component.id] = found
        return drift

    def _new_passwords(self, component: str, environment: dict[str, str], changed: Iterable[str]) -> list[str]:
        """The connection settings whose value in the files differs from the one that the program was started with."""
        return [target.setting for target in self.targets.get(component, []) if target.setting in changed or target.password_setting in changed]


def is_secret_mount(path: str) -> bool:
    """Whether a mounted file is one that holds a secret, by its name."""
    return bool(re.search(r"passw|passwd|credential|token", path.rsplit("/", 1)[-1], re.IGNORECASE))


def line_time(line: str) -> float:
    """The UNIX time at the beginning of a log line (RFC 3339, UTC); 0 when there is none."""
    match = re.match(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?", line)
    if not match:
        return 0.0
    return calendar.timegm(tuple(int(match.group(part)) for part in range(1, 7)) + (0, 0, 0)) + float(match.group(7) or 0)
