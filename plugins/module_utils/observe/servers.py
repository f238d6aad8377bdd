# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The servers of a stack, asked from where their clients stand and with their clients' accounts: one look at each."""

from __future__ import annotations

import re
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, Callable, ContextManager, TypeVar

from ansible_collections.aiops.runbook.plugins.module_utils.connect import postgres as connect_postgres
from ansible_collections.aiops.runbook.plugins.module_utils.connect import redis as connect_redis
from ansible_collections.aiops.runbook.plugins.module_utils.connect.turnstile import turn
from ansible_collections.aiops.runbook.plugins.module_utils.model import FINITE, LOOPBACK, SELDOM_CLIENTS, SERVER_NAMES, StackError, unseen, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.brokers import Brokers, Place
from ansible_collections.aiops.runbook.plugins.module_utils.observe.celery import observe_celery
from ansible_collections.aiops.runbook.plugins.module_utils.observe.postgres import observe_postgres
from ansible_collections.aiops.runbook.plugins.module_utils.observe.redis import visit_redis
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import SERVERS, Scene
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import Target
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Instance

APPLICATION = ("api", "worker", "pgbouncer")
SERVER_PORTS = {"postgres": 5432, "redis": 6379}
POSTGRES_PORTS = (5432, 6432)
# Why another way to the same server may do, and why another account may.
NO_WAY = ("refused", "dns", "dns_timeout", "unreachable")
HIDDEN = ("what stands at localhost inside the container cannot be seen from here", "hidden")
REFUSALS = {"postgres": ("password authentication failed", "no password supplied"), "redis": ("WRONGPASS", "NOAUTH")}
# The same in the words of clients, some of whom leave the server's first word away: of one that gave no password, and of any.
NONE_GIVEN = {
    "postgres": r"no password supplied",
    "redis": r"NOAUTH|Authentication required|HELLO must be called with the client already authenticated",
}
COMPLAINTS = {
    "postgres": NONE_GIVEN["postgres"] + r"|password authentication failed|InvalidPasswordError",
    "redis": NONE_GIVEN["redis"] + r"|WRONGPASS|invalid username-password pair|AUTH (<password> )?called without",
}
# What the official images and those of Bitnami are told of their own account.
OWN_PASSWORDS = {"postgres": ("POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD"), "redis": ("REDIS_PASSWORD", "VALKEY_PASSWORD")}
OWN_USERS = ("POSTGRES_USER", "POSTGRESQL_USERNAME", "POSTGRESQL_USER")
OWN_DATABASES = ("POSTGRES_DB", "POSTGRESQL_DATABASE")
# Accounts of clients that are tried at the door of a pooler.
MOST_LOGINS = 3
# By such a name or setting an application goes to a copy that only answers reads.
READ_ONLY_NAME = re.compile(r"^[^.]*[-_](r|ro|reads?|readers?|readonly|repl|replicas?|slaves?|standby|secondary)([-_]?\d+)?(\.|$)|\.cluster-ro-", re.IGNORECASE)
READ_ONLY_SETTING = re.compile(r"(^|_)(RO|READ|READER|READONLY|REPLICAS?|SLAVES?)(_|$)", re.IGNORECASE)
NOT_LET_IN = ("auth", "auth_required", "role_missing", "too_many_clients", "database_missing", "no_hba")
# With less time left than this no worker is asked.
SHORTEST_SECONDS = 0.3
# Of a further broker on the same server, which need not be asked at any price.
FURTHER_SECONDS = 1.0

Answer = TypeVar("Answer")


@dataclass
class Server:
    """A PostgreSQL or Redis that somebody connects to: a component of the stack, or one elsewhere (component: "host:port")."""

    component: str
    kind: str
    clients: list[Target] = field(default_factory=list)
    instance: Instance | None = None
    # How many of it run: where there are several, they may be a primary and its standbys.
    copies: int = 0
    # The component that leads to it, where it is met through one that is no such server itself.
    through: str = ""

    def expects_writes(self, target: Target) -> bool:
        """Whether somebody may want to write where this target leads: of a copy for reads nobody expects that, nor of one of several hosts."""
        there = [one for one in self.clients if self.copies < 2 or (one.host, one.port) == (target.host, target.port)]
        return any(not for_reads(one) and not _seeks_the_primary(one) for one in there)


def for_reads(target: Target) -> bool:
    """Whether a target leads to a copy that only answers reads, by its name or its setting's."""
    return bool(READ_ONLY_NAME.search(target.host) or READ_ONLY_SETTING.search(target.setting))


def account_name(target: Target) -> str:
    """Whose account a target names: Redis has one for who names none."""
    return target.user or ("default" if target.server_kind == "redis" else "")


def _seeks_the_primary(target: Target) -> bool:
    """Whether the client itself looks for the one that takes writes, among several hosts."""
    told = target.options if isinstance(target.options, connect_postgres.PostgresTarget) else connect_postgres.PostgresTarget()
    return len(told.hosts) > 1 and told.options.get("target_session_attrs") in ("read-write", "primary")


class Servers:
    """Every PostgreSQL and Redis of a scene, with those who use them.

    doors: poolers whose databases are asked themselves: at their own door only the logins of their clients are tried.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.doors: list[Server] = []
        self._complaints: dict[str, set[str]] = {}
        self.found = self._find()
        # What each Redis said of itself in this look, where it may be a broker.
        self._firsts: dict[str, Future[dict[str, Any]]] = {}

    def _find(self) -> list[Server]:
        servers: dict[str, Server] = {}
        doors: dict[str, Server] = {}
        for component in self.scene.components:
            if component.role in SERVERS:
                alive = component.running
                servers[component.id] = Server(component.id, component.role, instance=next(iter(alive), None), copies=len(alive))
        done = {component.id for component in self.scene.components if component.role in FINITE and all(one.exit_code == 0 for one in component.instances)}
        for name, targets in self.scene.targets.items():
            for target in targets:
                if target.server_kind not in SERVERS or target.malformed or name in done:
                    continue
                if target.server_kind == "postgres" and self.scene.role_of(name) in SELDOM_CLIENTS:
                    continue
                other, place = self.scene.server_at(target)
                gate = self.scene.gate_at(target)
                through = other.id if gate and other is not None else ""
                if through:
                    other, place = None, gate
                if self.scene.role_of(target.component) == "pgbouncer" and not target.user:
                    if other is None:  # it hands its clients' accounts on, and has none of its own
                        servers.setdefault(place, Server(place, target.server_kind, through=through))
                    continue
                target = self._as_used(target)
                if other is not None and other.role == target.server_kind:
                    servers[other.id].clients.append(target)
                elif other is None:
                    servers.setdefault(place, Server(place, target.server_kind, through=through)).clients.append(target)
                elif other.role == "pgbouncer" and target.server_kind == "postgres" and other.running and other.id != name:
                    doors.setdefault(other.id, Server(other.id, "postgres", instance=other.running[0])).clients.append(target)
        self.doors = list(doors.values())
        return list(servers.values())

    def _as_used(self, target: Target) -> Target:
        """A client's target without the password that only stands beside its URL, where its log shows that the program gives none."""
        if not (target.guessed and target.password):
            return target
        # asyncpg gives an empty one then, which is told as a wrong one; what libpq would take it takes, too.
        empty = getattr(target.options, "driver", "") == "asyncpg" or target.scheme == "asyncpg"
        words = COMPLAINTS if empty and target.password_setting != "PGPASSWORD" else NONE_GIVEN
        if target.component not in self._complaining(words[target.server_kind]):
            return target
        return replace(target, password="", password_setting=target.setting, password_file="", password_changed_at=0.0)

    def _complaining(self, words: str) -> set[str]:
        """The components that say this themselves, in their log or as their last words."""
        if words not in self._complaints:
            said = re.compile(words)
            self._complaints[words] = {
                component.id for component in self.scene.components if any(said.search(line) for one in component.instances for line in self.scene.lines(one))
            }
        return self._complaints[words]

    def _untold(self, target: Target) -> bool:
        """Whether a refusal says nothing of a client: its URL has no password, it may have one from elsewhere, and it does not complain."""
        return target.guessed and target.component not in self._complaining(COMPLAINTS[target.server_kind])

    def asking(self) -> dict[str, Callable[[], Any]]:
        """The probes of all servers and brokers, by "<kind>:<component>", and of poolers, by "door:<component>".

        A Redis and the broker that it is are seen in one visit.
        """
        probes: dict[str, Callable[[], Any]] = {}
        brokers = self.brokers
        may_be_brokers = {place.server for component in self.scene.components for place in brokers.candidates(component.id)}
        for server in self.found:
            if server.instance is None and self.scene.is_component(server.component):
                continue
            if server.kind == "postgres":
                probes["postgres:" + server.component] = partial(self._look_at_postgres, server)
                continue
            if server.component not in may_be_brokers:
                probes["redis:" + server.component] = partial(self._look_at_redis, server)
                continue
            # What Redis says of itself is an answer of its own, as soon as it is there: a worker that hangs does not cost it.
            first = self._firsts[server.component] = Future()
            probes["celery:" + server.component] = partial(self._visit_redis, server, first)
            probes["redis:" + server.component] = first.result
        for door in self.doors:
            probes["door:" + door.component] = partial(self._look_at_door, door)
        return probes

    def _candidates(self, server: Server) -> list[Target]:
        """The accounts to try, best first: given ones, then those whose owners do not complain of a refusal, the server's own, the rest; each once."""
        doubtful = self.doubtful(server.kind)
        # The application's own come before those of a tool beside it, which may have a database of its own there; the way to the primary before
        # those to its standbys, which may have the same account.
        roles = {target.component: self.scene.role_of(target.component) for target in server.clients}
        ordered = sorted(server.clients, key=lambda one: (one.component in doubtful, roles[one.component] not in APPLICATION, for_reads(one), one.component))
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
        if server.kind == "postgres":
            setting, password = self._own(server.instance, OWN_PASSWORDS["postgres"])
            if not password:
                return None
            self.scene.mask.learn(password)
            user, database = (self._own(server.instance, names)[1] for names in (OWN_USERS, OWN_DATABASES))
            user = user or "postgres"
            return Target(server.component, setting, "container", "postgres", user=user, password=password, database=database or user)
        # Of one that clients use, what they have is what counts.
        setting, password = ("", "") if server.kind != "redis" or server.clients else self._own(server.instance, OWN_PASSWORDS["redis"])
        if not password:
            return None
        self.scene.mask.learn(password)
        return Target(server.component, setting, "container", "redis", port=SERVER_PORTS["redis"], password=password)

    def _own(self, instance: Instance, names: tuple[str, ...]) -> tuple[str, str]:
        """(setting, value) of the first of these that a server's own container was given, itself or in a file; nothing where that is not known."""
        for name in names:
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

    def _expects_writes(self, server: Server, way: Target) -> bool:
        """Whether somebody may want to write to the copy that was met: of one at its own address, among several, it is not known which it is."""
        if server.copies > 1:
            place, address, _port = self._place(server, way)
            if place is server.instance and address:
                return False
        return server.expects_writes(way)

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
            if not found and server.instance is not None and server.copies < 2:
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
                "guessed": self._untold(target),
            }
            for target in server.clients
        ]
        with self._seat(server):
            return self._look_with_accounts(server, "postgres", lambda target, where: self._ask_postgres(server, target, where, clients))

    def _ask_postgres(self, server: Server, target: Target, where: tuple[str, str, int], clients: list[dict[str, Any]]) -> dict[str, Any]:
        wanted = self.postgres_target(target, where)
        return observe_postgres(server.component, wanted, self.scene.mask, self.scene.options.timeout * 0.8, clients=clients)

    @staticmethod
    def postgres_target(target: Target, where: tuple[str, str, int]) -> connect_postgres.PostgresTarget:
        """As the client is told to connect, by the address that was found."""
        host, address, port = where
        wanted = connect_postgres.PostgresTarget(
            host=host, port=port, user=target.user, password=target.password, database=target.database or target.user, hostaddr=address
        )
        told = target.options
        if isinstance(told, connect_postgres.PostgresTarget) and told.sslmode:
            wanted.sslmode, wanted.ca_data = told.sslmode, told.ca_data
            if not told.ca_data and told.sslmode.startswith("verify") and told.options.get("sslrootcert"):
                wanted.options = {"sslrootcert": told.options["sslrootcert"]}
        return wanted

    def _look_at_door(self, door: Server) -> dict[str, Any]:
        """Whether a pooler lets its clients in, each account tried once; what it leads to is asked by itself."""
        distinct = list({(one.user, one.password, one.database): one for one in reversed(door.clients)}.values())[::-1][:MOST_LOGINS]
        tried: list[tuple[Target, bool | None, str]] = []
        with self._seat(door):
            for target in distinct:
                try:
                    wanted = self.postgres_target(target, self.go(door, target))
                    connect_postgres.connect(wanted, self.scene.options.timeout * 0.8 / len(distinct)).close()
                    tried.append((target, True, ""))
                except StackError as error:
                    refused = error.kind in ("auth", "role_missing") and not self._untold(target)
                    tried.append((target, False if refused else None, self.scene.mask.text(error.message)))
        accounts = []
        for target in door.clients:
            accepted, reason = next(((accepted, reason) for one, accepted, reason in tried if self._same_account(one, target)), (None, ""))
            told = {"component": target.component, "setting": target.password_setting or target.setting, "user": target.user}
            accounts.append({**told, "accepted": accepted, "reason": reason, "password_changed_at": target.password_changed_at})
        return {"component": door.component, "accounts": accounts}

    def _look_at_redis(self, server: Server) -> dict[str, Any]:
        with ExitStack() as visit:
            return self._enter_redis(server, visit)[0]

    def _visit_redis(self, server: Server, first: Future[dict[str, Any]]) -> dict[str, Any]:
        """The broker's facts, after those of the Redis that it is: one connection for both, one look after the other."""
        until = time.monotonic() + self.scene.options.timeout * 0.9
        with ExitStack() as visit:
            try:
                facts, client = self._enter_redis(server, visit)
            except BaseException as error:
                first.set_exception(error)
                raise
            first.set_result(facts)
            return self._look_at_brokers(server, facts, client, until)

    def _enter_redis(self, server: Server, visit: ExitStack) -> tuple[dict[str, Any], Any]:
        """(facts, connection or None) of a Redis; the connection, and the seat at this server, are held as long as the visit."""
        clients: list[Any] = [None]

        def ask(target: Target, where: tuple[str, str, int]) -> dict[str, Any]:
            reached = visit_redis(server.component, self.redis_target(target, where), self.scene.mask, self.scene.options.timeout * 0.8)
            facts, client = visit.enter_context(reached)
            clients.append(client)
            return facts

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
        first: dict[str, Any] | None = None
        for target in candidates:
            facts = self._ask_by_any_way(server, target, ask)
            why = why_unseen(facts.get("answers"))
            if why is None:
                facts["account"] = {"user": target.user, "from": target.component, "setting": target.setting}
                facts["accounts"] = self._compare_accounts(server, target, refused, kind)
                return facts
            asked.append(facts)
            if why["kind"] not in ("auth", "auth_required") or not self._untold(target):
                first = first or facts
            if why["kind"] in ("auth", "auth_required"):
                refused.append(target)
            elif why["kind"] not in NOT_LET_IN:
                break
        if unknown and kind == "redis" and len(refused) == len(asked):
            return {"component": server.component, "answers": no_account}  # nobody's account was refused but a guess of ours
        if first is None:  # nobody was refused of whom it is known that this is the account that it has
            target, before = refused[0], asked[0]["answers"]
            reason = "it wants another account than %s of %s names, which has no password: where that program has one from is not known"
            why_not = unseen(reason % (target.setting, target.component), kind="no_account", fix=no_account["unseen"]["fix"])
            first = {key: why_not if value == before else value for key, value in asked[0].items()}
        if self._may_be_another(server) and (why_unseen(first["answers"]) or {}).get("kind") in ("protocol", "reset"):
            reason = "what is met through %s does not answer as a %s does, which it need not be" % (server.through, SERVER_NAMES[kind])
            first["answers"] = unseen(reason, kind="unsupported")
        first["accounts"] = [
            {
                "component": target.component,
                "setting": target.password_setting or target.setting,
                "user": target.user,
                "accepted": False if any(self._same_account(target, other) for other in refused) and not self._untold(target) else None,
            }
            for target in server.clients
        ]
        return first

    @staticmethod
    def _may_be_another(server: Server) -> bool:
        """Whether what is met through another component need not know what is asked here."""
        # Proxies of Redis do not hand on everything, and a DB_HOST with a port of its own may lead to a database of any kind.
        guessed = all(one.scheme == "settings" and one.port not in POSTGRES_PORTS for one in server.clients)
        return bool(server.through) and (server.kind == "redis" or guessed)

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
                facts = {**ask(target, self.go(server, way)), "expects_writes": self._expects_writes(server, way)}
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
                accepted = None if self._untold(target) else False
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

    @property
    def brokers(self) -> Brokers:
        """Whose broker each Redis is."""
        return Brokers(self.scene, {server.component: server.clients for server in self.found if server.kind == "redis"})

    def broker_target(self, server: Server, component: str = "") -> Target | None:
        """How the workers (or those who send them tasks), or this component, reach this Redis as their broker, by what settings tell; else None."""
        return next((place.target for place in self.brokers.at(server.component, component=component)), None)

    def _said(self, until: float, server: str) -> dict[str, Any]:
        """What a Redis said of itself in this look, which another thread may be at yet; {} where it says nothing in time."""
        first = self._firsts.get(server)
        try:
            return {} if first is None or first.exception(max(0.0, until - time.monotonic()) / 2) else first.result()
        except NotInTime:
            return {}

    def _look_at_brokers(self, server: Server, seen: dict[str, Any], client: Any, until: float) -> dict[str, Any]:
        """The facts of the first database of this Redis that is a broker; "further": those of more, and of whom it is not told. {} where there is none.

        seen, client: the Redis' own facts, and the way by which they came.
        """
        brokers, said = self.brokers, lru_cache(maxsize=None)(partial(self._said, until))

        def holds(other: str, database: int) -> bool:
            held = said(other).get("broker_databases")
            return held is not None and not why_unseen(held) and database in held

        workers = [component for component in self.scene.components if component.role == "worker"]
        told = {component.id: brokers.of(component.id, holds) for component in workers}
        # Who is led to nobody, or names no broker at all, is missed wherever nobody works.
        lost = {name for name, place in told.items() if place and not self.scene.is_component(place.server) and why_unseen(said(place.server).get("answers"))}
        nameless = {name for name in told if brokers.names_none(name)}
        lost |= nameless
        # Whose broker is named in code has the only one that there is.
        is_only = sum(len(brokers.at(name, holds)) for name in brokers.clients) == 1
        found: dict[str, dict[str, Any]] = {}
        user = str((seen.get("account") or {}).get("user") or "")
        for place in brokers.at(server.component, holds):
            if client is not None and not why_unseen(seen["answers"]) and self._has_account_of_its_own(place.target, seen, user):
                if connect_redis.become(client, self.redis_target(place.target, (place.target.host, "", place.target.port))):
                    user = place.target.user
            here = {name for name, other in told.items() if other and other.where == place.where} | (nameless if is_only else set())
            expected = self._expected_workers([component for component in workers if component.id in here])
            found[str(place.database)] = {
                **self._look_at_celery(place, seen, client, until - time.monotonic(), len(expected), further=bool(found)),
                "expected": expected,
                "worker_components": [component.id for component in workers if component.id in here | lost],
            }
        for name, places in brokers.untold(holds).items():
            # Said once, of whichever of them is asked first.
            if server.component == min((place.server for place in places if place.server in self._firsts), default=""):
                settings = ", ".join(sorted(place.target.setting for place in places))
                why = unseen("nothing tells which of %s leads to the broker of %s" % (settings, name), kind="untold", fix="name it CELERY_BROKER_URL")
                found[name] = {"component": server.component, "answers": why}
        first = next(iter(found), "")
        facts = found.pop(first, {})
        return {**facts, "further": found} if found else facts

    def _look_at_celery(self, place: Place, seen: dict[str, Any], client: Any, left: float, expected: int, further: bool) -> dict[str, Any]:
        """What stands in a broker's database and what its workers answer, in the seconds that are left; further: whether another one was asked before."""
        if why_unseen(seen["answers"]):
            return {"component": place.server, "answers": seen["answers"]}
        if left < SHORTEST_SECONDS:
            return {"component": place.server, "answers": unseen("not asked: the server itself took all the time to answer", kind="timeout")}
        if further and left < FURTHER_SECONDS:
            # What another database has taken is no reason to call this one's workers silent.
            return {"component": place.server, "answers": unseen("not asked: no time was left of %.1f s" % self.scene.options.timeout, kind="timeout")}
        target = self.redis_target(place.target, (place.target.host, "", place.target.port))
        timeout = min(left, self.scene.options.timeout * 0.8)
        return observe_celery(place.server, target, self.scene.mask, timeout, expected_workers=expected or None, client=client)

    def _has_account_of_its_own(self, broker: Target, seen: dict[str, Any], user: str) -> bool:
        """Whether the broker's users have another account than the one in force, which may see and do other things, and is not known to be refused."""
        refused = any(one["accepted"] is False and (one["component"], one["user"]) == (broker.component, broker.user) for one in seen["accounts"])
        other = (broker.user or "default") != (user or "default")
        return bool(broker.password) and other and not refused and broker.component not in self.doubtful("redis")

    def _expected_workers(self, workers: list[Component]) -> list[dict[str, Any]]:
        found = []
        for component in workers:
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
