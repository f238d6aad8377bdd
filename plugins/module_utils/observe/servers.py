# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The servers of a stack, asked from where their clients stand and with their clients' accounts: one look at each."""

from __future__ import annotations

import re
import time
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Callable, ContextManager, TypeVar

from ansible_collections.aiops.runbook.plugins.module_utils.connect import postgres as connect_postgres
from ansible_collections.aiops.runbook.plugins.module_utils.connect import redis as connect_redis
from ansible_collections.aiops.runbook.plugins.module_utils.connect.turnstile import turn
from ansible_collections.aiops.runbook.plugins.module_utils.model import FINITE, LOOPBACK, StackError, unseen, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.celery import observe_celery
from ansible_collections.aiops.runbook.plugins.module_utils.observe.postgres import observe_postgres
from ansible_collections.aiops.runbook.plugins.module_utils.observe.redis import visit_redis
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import SERVERS, Scene
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import Target
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance

# Have the settings of the whole application, and connect to its database only where a database schedules them.
SELDOM_CLIENTS = ("beat", "flower")
APPLICATION = ("api", "worker", "pgbouncer")
SERVER_PORTS = {"postgres": 5432, "redis": 6379}
# Why another way to the same server may do, and why another account may.
NO_WAY = ("refused", "dns", "dns_timeout", "unreachable")
HIDDEN = ("what stands at localhost inside the container cannot be seen from here", "hidden")
REFUSALS = {"postgres": ("password authentication failed",), "redis": ("WRONGPASS", "NOAUTH")}
# What the official images and those of Bitnami are told of their own account.
OWN_PASSWORDS = {"postgres": ("POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD"), "redis": ("REDIS_PASSWORD", "VALKEY_PASSWORD")}
OWN_USERS = ("POSTGRES_USER", "POSTGRESQL_USERNAME", "POSTGRESQL_USER")
OWN_DATABASES = ("POSTGRES_DB", "POSTGRESQL_DATABASE")
# By such a name or setting an application goes to a copy that only answers reads.
READ_ONLY_NAME = re.compile(r"^[^.]*[-_](r|ro|reads?|readers?|readonly|repl|replicas?|slaves?|standby|secondary)([-_]?\d+)?(\.|$)|\.cluster-ro-", re.IGNORECASE)
READ_ONLY_SETTING = re.compile(r"(^|_)(RO|READ|READER|READONLY|REPLICAS?|SLAVES?)(_|$)", re.IGNORECASE)
NOT_LET_IN = ("auth", "auth_required", "role_missing", "too_many_clients", "database_missing", "no_hba")
# With less time left than this no worker is asked.
SHORTEST_SECONDS = 0.3

Answer = TypeVar("Answer")


@dataclass
class Server:
    """A PostgreSQL or Redis that somebody connects to: a component of the stack, or one elsewhere (component: "host:port")."""

    component: str
    kind: str
    clients: list[Target] = field(default_factory=list)
    instance: Instance | None = None

    @property
    def expects_writes(self) -> bool:
        """Whether somebody is told to go there who may want to write: of a copy for reads nobody expects that, nor of one of several hosts."""
        return any(
            not (READ_ONLY_NAME.search(target.host) or READ_ONLY_SETTING.search(target.setting) or _seeks_the_primary(target)) for target in self.clients
        )


def account_name(target: Target) -> str:
    """Whose account a target names: Redis has one for who names none."""
    return target.user or ("default" if target.server_kind == "redis" else "")


def _seeks_the_primary(target: Target) -> bool:
    """Whether the client itself looks for the one that takes writes, among several hosts."""
    told = target.options if isinstance(target.options, connect_postgres.PostgresTarget) else connect_postgres.PostgresTarget()
    return len(told.hosts) > 1 and told.options.get("target_session_attrs") in ("read-write", "primary")


class Servers:
    """Every PostgreSQL and Redis of a scene, with those who use them."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.found = self._find()

    def _find(self) -> list[Server]:
        servers: dict[str, Server] = {}
        for component in self.scene.components:
            if component.role in SERVERS:
                servers[component.id] = Server(component.id, component.role, instance=next(iter(component.running), None))
        done = {component.id for component in self.scene.components if component.role in FINITE and all(one.exit_code == 0 for one in component.instances)}
        for name, targets in self.scene.targets.items():
            for target in targets:
                if target.server_kind not in SERVERS or target.malformed or name in done:
                    continue
                if target.server_kind == "postgres" and self.scene.role_of(name) in SELDOM_CLIENTS:
                    continue
                other, place = self.scene.server_at(target)
                if self.scene.role_of(target.component) == "pgbouncer" and not target.user:
                    if other is None:  # it hands its clients' accounts on, and has none of its own
                        servers.setdefault(place, Server(place, target.server_kind))
                    continue
                if other is not None and other.role == target.server_kind:
                    servers[other.id].clients.append(target)
                elif other is None:
                    servers.setdefault(place, Server(place, target.server_kind)).clients.append(target)
        return list(servers.values())

    def asking(self) -> dict[str, Callable[[], Any]]:
        """The probes of all servers and brokers, by "<kind>:<component>". A Redis and the broker that it is are seen in one visit."""
        probes: dict[str, Callable[[], Any]] = {}
        for server in self.found:
            if server.instance is None and self.scene.is_component(server.component):
                continue
            if server.kind == "postgres":
                probes["postgres:" + server.component] = partial(self._look_at_postgres, server)
                continue
            broker = self.broker_target(server)
            if broker is None:
                probes["redis:" + server.component] = partial(self._look_at_redis, server)
                continue
            # What Redis says of itself is an answer of its own, as soon as it is there: a worker that hangs does not cost it.
            first: Future[dict[str, Any]] = Future()
            probes["celery:" + server.component] = partial(self._visit_redis, server, broker, first)
            probes["redis:" + server.component] = first.result
        return probes

    def _candidates(self, server: Server) -> list[Target]:
        """The accounts to try, best first: given ones, then those whose owners do not complain of a refusal, the server's own, the rest; each once."""
        doubtful = self.doubtful(server.kind)
        # The application's own come before those of a tool beside it, which may have a database of its own there.
        roles = {target.component: self.scene.role_of(target.component) for target in server.clients}
        ordered = sorted(server.clients, key=lambda one: (one.component in doubtful, roles[one.component] not in APPLICATION, one.component))
        given = self.scene.options.accounts.get(server.kind)
        if given:
            base = ordered[0] if ordered else Target("", "given", "given", server.kind, host="127.0.0.1", port=SERVER_PORTS[server.kind])
            ordered.insert(
                0,
                Target(
                    base.component,
                    "given",
                    "given",
                    server.kind,
                    base.host,
                    base.port,
                    given.get("user", ""),
                    given.get("password", ""),
                    given.get("database", base.database),
                ),
            )
        own = self._own_account(server)
        if own is not None:
            # Those who say themselves that they are refused come last: each of them would be one more failed login.
            place = next((place for place, target in enumerate(ordered) if target.component in doubtful and target.setting != "given"), len(ordered))
            ordered.insert(place, own)
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
        if server.kind == "postgres":
            setting, password = self._own_password(server.instance, "postgres")
            if not password:
                return None
            self.scene.mask.learn(password)
            user, database = (next(filter(None, map(environment.get, names)), "") for names in (OWN_USERS, OWN_DATABASES))
            user = user or "postgres"
            return Target(server.component, setting, "container", "postgres", user=user, password=password, database=database or user)
        # Of one that clients use, what they have is what counts.
        setting, password = ("", "") if server.kind != "redis" or server.clients else self._own_password(server.instance, "redis")
        if not password:
            return None
        self.scene.mask.learn(password)
        return Target(server.component, setting, "container", "redis", port=SERVER_PORTS["redis"], password=password)

    def _own_password(self, instance: Instance, kind: str) -> tuple[str, str]:
        """(setting, password) that a server's own container was given, itself or in a file; nothing where that is not known."""
        for name in OWN_PASSWORDS[kind]:
            if instance.environment.get(name):
                return name, instance.environment[name]
            path = instance.environment.get(name + "_FILE", "")
            try:
                found = self.scene.platform.file(instance, path) if path.startswith("/") else None
            except StackError:
                found = None
            if found is not None:
                return name, found.content.decode("utf-8", "replace").strip()
        return "", ""

    def doubtful(self, kind: str) -> set[str]:
        """The components whose logs complain that such a server refuses them."""
        return {
            component.id
            for component in self.scene.components
            if any(words in line for words in REFUSALS[kind] for one in component.instances for line in self.scene.lines(one)[-200:])
        }

    def _place(self, server: Server, target: Target) -> tuple[Instance | None, str, int]:
        """(instance to stand in, address to go to, port): in the client's place when it runs, else beside the server itself."""
        client = self.scene.stands_in(target)
        if client is not None:
            return client, "127.0.0.1" if target.host == "localhost" else target.host, target.port
        client = next((one for component in self.scene.components if component.id == target.component for one in component.running), None)
        own = target.component == server.component
        if client is not None and not own:
            offered = self.scene.platform.ports(client, target.host)
            # Whoever answers at a port that no Service offers is somebody else (that the client goes there is judged elsewhere).
            if not offered or target.port in offered or server.instance is None:
                return client, "", target.port
        if server.instance is not None:
            address = next((seat["address"] for seat in server.instance.networks.values() if seat["address"]), "127.0.0.1")
            return server.instance, address, self.own_port(server)
        return None, "", target.port

    def own_port(self, server: Server) -> int:
        """Where the server itself listens."""
        usual = SERVER_PORTS[server.kind]
        sockets = self.scene.sockets.get(server.instance.id) if server.instance else None
        listening = sorted({socket["port"] for socket in sockets["listening"]}) if sockets else []
        return usual if usual in listening or not listening else listening[0]

    def go(self, server: Server, target: Target) -> tuple[str, str, int]:
        """Move this thread to where the target is reached from: (host, address, port)."""
        place, address, port = self._place(server, target)
        host = target.host or address
        if place is None:
            return host, "", port
        enter = self.scene.platform.enter(place)
        if enter is not None:
            enter()
        elif (address or host) in LOOPBACK and server.instance is None:
            # What leads on from there may be there for its neighbours only: a cluster has a way to that, a Docker host has none from here.
            if self.scene.platform.name != "kubernetes":
                raise StackError(*HIDDEN, fix="run as root")
        elif (address or host) in LOOPBACK:
            # This host's own is another one.
            address = self.scene.address_of(place)
            if not address:
                raise StackError(*HIDDEN, fix="run as root")
        if not address:
            found = self.scene.platform.resolve(place, host, self.scene.options.timeout / 2, inside=enter is not None)
            if not found and server.instance is not None:
                # The client cannot find the server (that is judged elsewhere); the server itself can still be asked.
                found = [seat["address"] for seat in server.instance.networks.values() if seat["address"]]
                fallback = self.scene.platform.enter(server.instance)
                if fallback is not None:
                    fallback()
                port = self.own_port(server)
            if not found:
                raise StackError("the name %s has no address" % host, kind="dns")
            address = found[0]
        return (host, *self.scene.platform.address(place, address, port))

    def _look_at_postgres(self, server: Server) -> dict[str, Any]:
        clients = [
            {
                "component": target.component,
                "user": target.user,
                "password": target.password,
                "database": target.database,
                "addresses": self.scene.addresses_of(target.component),
            }
            for target in server.clients
        ]
        with self._seat(server):
            return self._look_with_accounts(server, "postgres", lambda target, where: self._ask_postgres(server, target, where, clients))

    def _ask_postgres(self, server: Server, target: Target, where: tuple[str, str, int], clients: list[dict[str, Any]]) -> dict[str, Any]:
        wanted = self.postgres_target(target, where)
        more: dict[str, Any] = {"clients": clients, "expects_writes": server.expects_writes}
        return observe_postgres(server.component, wanted, self.scene.mask, self.scene.options.timeout * 0.8, **more)

    @staticmethod
    def postgres_target(target: Target, where: tuple[str, str, int]) -> connect_postgres.PostgresTarget:
        """As the client is told to connect, by the address that was found."""
        host, address, port = where
        wanted = connect_postgres.PostgresTarget(
            host=host, port=port, user=target.user, password=target.password, database=target.database or target.user, hostaddr=address
        )
        if isinstance(target.options, connect_postgres.PostgresTarget) and target.options.sslmode:
            wanted.sslmode = target.options.sslmode
        return wanted

    def _look_at_redis(self, server: Server) -> dict[str, Any]:
        with ExitStack() as visit:
            return self._enter_redis(server, visit)[0]

    def _visit_redis(self, server: Server, broker: Target, first: Future[dict[str, Any]]) -> dict[str, Any]:
        """The broker's facts, after those of the Redis that it is: one connection for both, one look after the other."""
        until = time.monotonic() + self.scene.options.timeout * 0.9
        with ExitStack() as visit:
            try:
                facts, client = self._enter_redis(server, visit)
            except BaseException as error:
                first.set_exception(error)
                raise
            first.set_result(facts)
            return self._look_at_celery(server, broker, facts, client, until - time.monotonic())

    def _enter_redis(self, server: Server, visit: ExitStack) -> tuple[dict[str, Any], Any]:
        """(facts, connection or None) of a Redis; the connection, and the seat at this server, are held as long as the visit."""
        clients: list[Any] = [None]

        def ask(target: Target, where: tuple[str, str, int]) -> dict[str, Any]:
            reached = visit_redis(server.component, self.redis_target(target, where), self.scene.mask, self.scene.options.timeout * 0.8)
            facts, client = visit.enter_context(reached)
            clients.append(client)
            return {**facts, "expects_writes": server.expects_writes}

        visit.enter_context(self._seat(server))
        return self._look_with_accounts(server, "redis", ask), clients[-1]

    def _seat(self, server: Server) -> ContextManager[None]:
        """One of the few places at a server; StackError where none is free for long."""
        return turn(server.instance.id if server.instance else server.component, self.scene.options.timeout / 2)

    def redis_target(self, target: Target, where: tuple[str, str, int]) -> connect_redis.RedisTarget:
        """As the client is told to connect, its own trust in certificates included, by the address that was found."""
        host, address, port = where
        told = target.options if isinstance(target.options, connect_redis.RedisTarget) else connect_redis.RedisTarget(host=host, tls=target.tls)
        database = int(target.database) if target.database.isdigit() else 0
        return replace(told, host=host, port=port, username=target.user or None, password=target.password or None, database=database, address=address)

    def _look_with_accounts(self, server: Server, kind: str, ask: Callable[[Target, tuple[str, str, int]], dict[str, Any]]) -> dict[str, Any]:
        """Ask with one account after another until one is let in; at most three, so that no lock-out is provoked."""
        candidates = self._candidates(server)[:3]
        unknown = not server.clients and not self.scene.options.accounts.get(kind)
        if unknown and kind == "redis" and server.instance is not None:
            candidates.append(Target(server.component, "", "none", "redis", port=SERVER_PORTS["redis"]))
        no_account = unseen("no account for it was found in the stack", kind="no_account", fix="give one by %s_user and %s_password" % (kind, kind))
        if not candidates:
            return {"component": server.component, "answers": no_account}
        asked: list[dict[str, Any]] = []
        refused: list[Target] = []
        for target in candidates:
            facts = self._ask_by_any_way(server, target, ask)
            why = why_unseen(facts.get("answers"))
            if why is None:
                facts["account"] = {"user": target.user, "from": target.component, "setting": target.setting}
                facts["accounts"] = self._compare_accounts(server, target, refused, kind)
                return facts
            asked.append(facts)
            if why["kind"] in ("auth", "auth_required"):
                refused.append(target)
            elif why["kind"] not in NOT_LET_IN:
                break
        if unknown and kind == "redis" and len(refused) == len(asked):
            return {"component": server.component, "answers": no_account}  # nobody's account was refused but a guess of ours
        first = asked[0]
        first["accounts"] = [
            {
                "component": target.component,
                "setting": target.password_setting or target.setting,
                "user": target.user,
                "accepted": False if any(self._same_account(target, other) for other in refused) else None,
            }
            for target in server.clients
        ]
        return first

    def with_account(self, server: Server, do: Callable[[Target, tuple[str, str, int]], Answer]) -> Answer:
        """do(target, (host, address, port)) with the first account that is let in, from where its owner stands or else from beside the server."""
        failure = StackError("no account for %s was found in the stack" % server.component, kind="no_account")
        for target in self._candidates(server)[:3] or [Target(server.component, "", "none", server.kind, port=SERVER_PORTS[server.kind])]:
            for way in [target] + ([replace(target, component=server.component)] if server.instance is not None else []):
                try:
                    return do(target, self.go(server, way))
                except StackError as error:
                    failure = error
                    if error.kind not in NO_WAY:
                        break
            if failure.kind not in NOT_LET_IN:
                break
        raise failure

    @staticmethod
    def _same_account(one: Target, other: Target) -> bool:
        return (account_name(one), one.password) == (account_name(other), other.password)

    def _ask_by_any_way(self, server: Server, target: Target, ask: Callable[[Target, tuple[str, str, int]], dict[str, Any]]) -> dict[str, Any]:
        """From where the client stands; and where its own setting does not lead to the server, from beside the server."""
        facts: dict[str, Any] = {}
        why: dict[str, Any] | None = None
        for way in [target] + ([replace(target, component=server.component)] if server.instance is not None else []):
            try:
                facts = ask(target, self.go(server, way))
            except StackError as error:
                facts = {"component": server.component, "answers": unseen(error.message, kind=error.kind, fix=error.details.get("fix", ""))}
            why = why_unseen(facts.get("answers"))
            if why is None or why["kind"] not in NO_WAY:
                break
        outside = server.instance is not None and self.scene.platform.enter(server.instance) is None
        if outside and target.host in LOOPBACK and why and why["kind"] in ("refused", "denied"):
            # It may be there for its neighbours only.
            facts = {"component": server.component, "answers": unseen(*HIDDEN, fix="run as root")}
        return facts

    def _compare_accounts(self, server: Server, good: Target, refused: list[Target], kind: str) -> list[dict[str, Any]]:
        """Which client's account would be let in, from the one that was: a role has one password."""
        found = []
        for target in server.clients:
            accepted: bool | None = None
            if self._same_account(target, good):
                accepted = True
            elif account_name(target) == account_name(good) or any(self._same_account(target, other) for other in refused):
                accepted = False
            found.append(
                {
                    "component": target.component,
                    "setting": target.password_setting or target.setting,
                    "user": target.user,
                    "accepted": accepted,
                    "password_changed_at": target.password_changed_at,
                }
            )
        return found

    def broker_target(self, server: Server, component: str = "") -> Target | None:
        """How the workers (or those who send them tasks), or this component, reach this Redis as their broker; None when nobody does."""
        if server.kind != "redis":
            return None
        roles = {component.id: component.role for component in self.scene.components}
        ranked = []
        for target in server.clients:
            role = roles.get(target.component, "")
            if component not in ("", target.component):
                continue
            if target.kind == "broker" or (target.kind == "redis" and role in ("worker", "beat") and not self._has_broker(target.component)):
                ranked.append((role != "worker", target.kind != "broker", target))
        return min(ranked, key=lambda entry: entry[:2])[2] if ranked else None

    def _has_broker(self, component: str) -> bool:
        """Whether a component is told of a broker, be it one of a kind that is not looked at."""
        targets = self.scene.targets.get(component, [])
        return any(target.kind == "broker" or (target.kind == "unsupported" and not target.scheme.startswith("postgres")) for target in targets)

    def _look_at_celery(self, server: Server, broker: Target, seen: dict[str, Any], client: Any, left: float) -> dict[str, Any]:
        """What stands in the broker's database and what its workers answer. seen, client: the Redis' own facts, and the way by which they came."""
        expected = self._expected_workers()
        if why_unseen(seen["answers"]):
            facts: dict[str, Any] = {"component": server.component, "answers": seen["answers"]}
        elif left < SHORTEST_SECONDS:
            facts = {"component": server.component, "answers": unseen("not asked: the server itself took all the time to answer", kind="timeout")}
        else:
            target = self.redis_target(broker, (broker.host, "", broker.port))
            if self._has_account_of_its_own(broker, seen):
                connect_redis.become(client, target)
            wanted = {"expected_workers": len(expected) or None, "client": client}
            facts = observe_celery(server.component, target, self.scene.mask, min(left, self.scene.options.timeout * 0.8), **wanted)
        facts["expected"] = expected
        facts["worker_components"] = [component.id for component in self.scene.components if component.role == "worker"]
        return facts

    def _has_account_of_its_own(self, broker: Target, seen: dict[str, Any]) -> bool:
        """Whether the broker's users have another account than the one that was let in, which may see and do other things, and is not known to be refused."""
        refused = any(one["accepted"] is False and (one["component"], one["user"]) == (broker.component, broker.user) for one in seen["accounts"])
        other = (broker.user or "default") != (seen["account"]["user"] or "default")
        return bool(broker.password) and other and not refused and broker.component not in self.doubtful("redis")

    def _expected_workers(self) -> list[dict[str, Any]]:
        found = []
        for component in self.scene.components:
            if component.role != "worker":
                continue
            for one in component.running:
                programs = [process for process in one.processes if "celery" in process.command]
                named = component.role_source == "name" and bool(one.processes) and not programs
                found.append(
                    {
                        "component": component.id,
                        "instance": one.name,
                        "hostname": one.hostname or one.id[:12],
                        "processes": len(programs),
                        "stopped_processes": sum(1 for process in programs if process.state == "T"),
                        "age_seconds": round(max(0.0, self.scene.started - one.started_at), 1),
                        **({"named": True} if named else {}),
                        "solo": any(re.search(r"(-P|--pool)[ =]solo", process.command) for process in programs),
                    }
                )
        return found
