# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A setting that leads to the wrong place, or with the wrong password, corrected: only its wrong part, and only when the right one is known and proven."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, replace
from typing import Any, Iterable
from urllib.parse import quote

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.env import ChangedSettings, keeper
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.connect import postgres as connect_postgres
from ansible_collections.aiops.runbook.plugins.module_utils.connect import redis as connect_redis
from ansible_collections.aiops.runbook.plugins.module_utils.model import FINITE, StackError, server_kind, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import is_address
from ansible_collections.aiops.runbook.plugins.module_utils.observe.servers import SERVER_PORTS, Server, Servers
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import HOST_NAME, Target
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Instance

# What may stand where a client of this kind is led to.
ROLES = {"postgres": ("postgres", "pgbouncer", "gate"), "redis": ("redis", "gate"), "llm": ("llm",)}
NOT_LET_IN = ("auth", "auth_required")


class ConnectionSetting(ChangedSettings):
    """Corrects where a component is led to, or with which password. params: kind (postgres, redis, broker, llm, …), setting (where there are several)."""

    name = "connection_setting"

    def preview(self, stage: Stage, step: Step) -> Preview:
        kind = server_kind(str(step.params.get("kind") or ""))
        if kind not in ROLES:
            raise Refused("what is right for a connection of the kind %s is not known" % (kind or "?"), fix=by_hand(stage, step.component))
        target = the_target(stage, step.component, kind, str(step.params.get("setting") or ""))
        work = Right(stage, target, kind)
        right = work.found()
        texts = {"kind": step.params.get("kind"), "setting": right.setting, "proof": right.proof}
        if right.path:
            return keeper(stage).preview_file(stage, step.component, right.path, right.content, texts, also=work.suits)
        return keeper(stage).preview(stage, step.component, dict(right.settings), texts, also=work.suits)


def by_hand(stage: Stage, component: str) -> str:
    return "a person must say what is right: correct the setting where it is kept, then %s" % keeper(stage).again(stage, component)


def the_target(stage: Stage, component: str, kind: str, setting: str) -> Target:
    """The one setting that is meant."""
    stage.component(component)
    found = [one for one in stage.scene.targets.get(component, []) if one.server_kind == kind]
    if setting:
        found = [one for one in found if setting in (one.setting, one.password_setting, one.password_file)]
    places = {(one.setting if one.malformed else "", one.host, one.port, one.user, one.password, one.database) for one in found}
    if not found:
        raise Refused("%s has no setting%s that leads to a %s" % (component, " " + setting if setting else "", kind), fix=by_hand(stage, component))
    if len(places) > 1:
        raise Refused(
            "%s is led to a %s by several settings: %s" % (component, kind, ", ".join(sorted(one.setting for one in found))), fix="name one by setting"
        )
    if found[0].source == "file":
        raise Refused("%s reads %s from a file that it mounts or holds" % (component, found[0].setting), fix="correct that file, then restart %s" % component)
    return found[0]


@dataclass
class Answer:
    """What is right: settings to change, or the content of a file. proof: how that was proven, in words."""

    setting: str
    settings: dict[str, str]
    path: str = ""
    content: str = ""
    proof: str = ""


class Right:
    """Works out what a setting should say: from a twin whose own setting works, else from the server itself."""

    def __init__(self, stage: Stage, target: Target, kind: str) -> None:
        self.stage, self.scene, self.kind = stage, stage.scene, kind
        self.servers = Servers(stage.scene)
        self.client = next(one for one in stage.scene.components if one.id == target.component)
        self.instance = next(iter(self.client.running or self.client.instances))
        self.environment = stage.scene.environment(self.instance)[0]
        self.given = target
        self.by_hand = by_hand(stage, target.component)
        self.twins = self._twins()

    def found(self) -> Answer:
        target = self._readable()
        server, host = self._server(target)
        wanted = replace(target, host=host, port=self._port(target, server, host))
        if target.malformed and not target.url:
            wanted.malformed = ""
        why = self._complaint(target, wanted) or self._refusal(wanted, server)
        if why is not None and why.kind in NOT_LET_IN:
            wanted, why = self._with_password(wanted, server, why)
        if why is not None:
            raise Refused("the corrected setting would not work either: %s" % why.message, fix=self.by_hand)
        return self._answer(target, wanted)

    def suits(self, other: str) -> bool:
        """Whether what is right here is right for another component, too: it is told the same, and that leads it where it leads this one."""
        mine = self.given
        for one in self.scene.targets.get(other, []):
            told = [(target.url, target.host, target.port, target.user, target.password, target.malformed) for target in (mine, one)]
            if one.setting == mine.setting and told[0] == told[1]:
                return bool(mine.malformed) or self._at(one) is self._at(mine)
        return False

    def _at(self, target: Target) -> Component | None:
        return self.scene.component_at(target.component, target.host, self.kind)

    # what the setting says

    def _readable(self) -> Target:
        """The target, with a malformed URL put right where only its form is wrong, else a twin's."""
        given = self.given
        if not given.malformed or not given.url:
            return given
        for text in [*repaired(given.url, self.kind), *(twin.url for twin in self.twins if twin.setting == given.setting and twin.url)]:
            target = parsed(replace(given, url=text, malformed=""), self.kind)
            if target is not None:
                self.stage.mask.learn(target.password)
                return target
        raise Refused("%s cannot be understood (%s), and no other component shows what it should say" % (given.setting, given.malformed), fix=self.by_hand)

    def _twins(self) -> list[Target]:
        """The settings of other running components for a server of this kind that lead to one; those for the same use, of the same name, first."""
        found = []
        for component in self.scene.components:
            if component.id == self.client.id or not component.running or component.role in FINITE:
                continue
            for other in self.scene.targets.get(component.id, []):
                if other.server_kind == self.kind and not other.malformed and self._leads(other):
                    found.append(other)
        given = self.given
        return sorted(found, key=lambda other: (other.setting != given.setting, other.kind != given.kind, other.component))

    def _leads(self, target: Target) -> bool:
        """Whether a setting leads to a server of the right kind, of this stack or elsewhere."""
        there = self._at(target)
        if there is None:
            return any(server.component == self.scene.outer_name(target) for server in self.servers.found) and self._resolves(target)
        return there.role in ROLES[self.kind]

    def _resolves(self, target: Target) -> bool:
        owner = next((one for component in self.scene.components if component.id == target.component for one in component.running), None)

        def ask() -> dict[str, Any]:
            if owner is None:
                raise StackError("nothing runs from where the name could be asked", kind="not_running")
            enter = self.scene.platform.enter(owner)
            if enter is not None:
                enter()
            return {"found": self.scene.platform.resolve(owner, target.host, self.scene.options.timeout / 2, inside=enter is not None)}

        return owner is not None and bool(self.scene.probes.gather({"resolve": ask})["resolve"].get("found"))

    # what it should say

    def _server(self, target: Target) -> tuple[Component | None, str]:
        """(component, host): where it should lead, and by which name; component None for a server elsewhere."""
        there = self._at(target)
        if there is not None and there.role in ROLES[self.kind] and there.id != self.client.id and self._reachable(there, target.host):
            return there, target.host
        if there is None and self._resolves(target):
            raise Refused("%s leads to %s, which exists outside of this stack" % (target.setting, target.host), fix=self.by_hand)
        # Of the same name or the same use; where none is, any that leads to a server of this kind.
        like = [twin for twin in self.twins if twin.setting == target.setting] or [twin for twin in self.twins if twin.kind == target.kind] or self.twins
        places = {}
        for twin in like:
            other = self._at(twin)
            places[other.id if other is not None else self.scene.outer_name(twin)] = (other, twin.host)
        if not places:
            servers = [component for component in self.scene.components if component.role == ROLES[self.kind][0] and component.id != self.client.id]
            places = {component.id: (component, component.id) for component in servers}
        if len(places) != 1:
            said = "several could be meant: %s" % ", ".join(sorted(places)) if places else "the stack has none, and no other component names one"
            raise Refused("which %s %s should lead to is not known (%s)" % (self.kind, target.setting, said), fix=self.by_hand)
        component, host = next(iter(places.values()))
        if component is None:
            return None, host
        return component, host if self._reachable(component, host) else self._name_of(component)

    def _reachable(self, server: Component, host: str) -> bool:
        """Whether the client, where it stands, knows the server by this name."""
        return host in self._names(server)

    def _names(self, server: Component) -> list[str]:
        """The names and addresses by which the client, where it stands, knows a server; its own name first, then the shortest."""
        mine = set(self.instance.networks)
        found: list[str] = []
        for one in server.running or server.instances:
            for network, seat in one.networks.items():
                if network in mine:
                    found += [name for name in [*seat["aliases"], seat["address"]] if name]
        known = [name for name in dict.fromkeys(found) if self._known(name, server)]
        return sorted(known, key=lambda name: (name != server.id, is_address(name), name.count("."), name))

    def _known(self, name: str, server: Component) -> bool:
        """On Kubernetes a name means something in its own namespace only, and where nobody can say what it means nobody is led to it."""
        if self.scene.platform.name != "kubernetes":
            return True
        if self.scene.component_at(self.client.id, name) is not server:
            return False
        try:
            return bool(self.scene.platform.resolve(self.instance, name, self.scene.options.timeout / 2, inside=False))
        except StackError:
            return False

    def _name_of(self, server: Component) -> str:
        """Its own name, else the only one that is as short as any: on Kubernetes that of a Service."""
        names = [name for name in self._names(server) if not is_address(name)]
        if server.id in names:
            return server.id
        shortest = [name for name in names if name.count(".") == names[0].count(".")]
        if self.scene.platform.name != "kubernetes" or not shortest:
            raise Refused("%s knows no name of %s" % (self.client.id, server.id), fix="a network or a Service must lead there: %s" % self.by_hand)
        if len(shortest) > 1:
            raise Refused("%s goes by several names: %s" % (server.id, ", ".join(shortest)), fix=self.by_hand)
        return shortest[0]

    def _port(self, target: Target, server: Component | None, host: str) -> int:
        twins = [twin.port for twin in self.twins if self._at(twin) is server]
        if server is None:
            return twins[0] if twins else target.port
        offered = self.scene.platform.ports(self.instance, host)
        listening = [port for one in server.running for port in self._listening(one)] if offered is None else offered
        if target.port in listening and not (target.malformed and not target.url):
            return target.port
        known = [port for port in twins if port in listening or not listening]
        if known:
            return known[0]
        if self.kind in SERVER_PORTS and server.running:
            own = self.servers.own_port(Server(server.id, self.kind, instance=server.running[0]))
            if offered is None or own in offered:
                return own
        if len(set(listening)) == 1:
            return listening[0]
        raise Refused("at which port %s is to be reached is not known" % server.id, fix=self.by_hand)

    def _listening(self, one: Instance) -> list[int]:
        sockets = self.scene.sockets.get(one.id)
        return sorted({socket_["port"] for socket_ in sockets["listening"] if socket_["address"] not in ("127.0.0.1", "::1")}) if sockets else []

    def _with_password(self, wanted: Target, server: Component | None, why: StackError) -> tuple[Target, StackError | None]:
        """The first password that the same user has elsewhere, and that is let in; two are tried at most, so that no lock-out is provoked."""
        # A Redis without a password refuses who gives one.
        known = [twin.password for twin in self.twins if twin.user == wanted.user and (twin.password or self.kind == "redis")]
        if server is not None and server.running:
            environment = server.running[0].environment
            if self.kind == "postgres" and (environment.get("POSTGRES_USER") or "postgres") == wanted.user:
                known += [environment["POSTGRES_PASSWORD"]] if environment.get("POSTGRES_PASSWORD") else []
            if self.kind == "redis" and not wanted.user:
                known += _required_password(server.running[0])
        candidates = [one for one in dict.fromkeys(known) if one != wanted.password][:2]
        for password in candidates:
            self.stage.mask.learn(password)
            better = replace(wanted, password=password)
            again = self._refusal(better, server)
            if again is None or again.kind not in NOT_LET_IN:
                return better, again
            why = again
        if not candidates:
            raise Refused(
                "the password for %s is refused, and the right one is kept nowhere in this stack" % (wanted.user or "it"),
                fix=self.by_hand,
            )
        return wanted, why

    # the proof

    def _complaint(self, target: Target, wanted: Target) -> StackError | None:
        """What the client itself says of the setting as it is: to prove it once more would be one more failed login."""
        same = not target.malformed and (target.host, target.port) == (wanted.host, wanted.port)
        if not same or not target.password or target.component not in self.servers.doubtful(self.kind):
            return None
        return StackError("%s says in its log that it is refused" % target.component, kind="auth")

    def _refusal(self, wanted: Target, server: Component | None) -> StackError | None:
        """Why a client with these settings is not let in, asked once from where it stands; None when it is."""
        there = Server(server.id if server else "%s:%d" % (wanted.host, wanted.port), self.kind, instance=next(iter(server.running), None) if server else None)
        if server is not None and not server.running:
            raise Refused("%s does not run: whether the corrected setting works cannot be proven" % server.id, fix="start it first: component_start")

        def ask() -> dict[str, Any]:
            host, address, port = self.servers.go(there, wanted)
            try:
                if self.kind == "postgres":
                    with connect_postgres.connect(self.servers.postgres_target(wanted, (host, address, port)), self.scene.options.timeout) as connection:
                        connection.rows("SELECT 1 AS one")
                elif self.kind == "redis":
                    client = connect_redis.connect(self.servers.redis_target(wanted, (host, address, port)), self.scene.options.timeout)
                    connect_redis.close(client)
                else:
                    socket.create_connection((address or host, port), self.scene.options.timeout).close()
            except OSError as error:
                raise StackError("%s:%d does not answer: %s" % (host, port, error), kind="refused") from error
            return {"let_in": True}

        answer = self.scene.probes.gather({"proof": ask}, timeout=self.scene.options.timeout + 3)["proof"]
        why = why_unseen(answer)
        return StackError(self.stage.mask.text(why["reason"]), kind=why["kind"]) if why else None

    # what is to be written

    def _answer(self, target: Target, wanted: Target) -> Answer:
        proof = "%s:%d lets it in%s" % (wanted.host, wanted.port, " as %s" % wanted.user if wanted.user else "")
        given = self.given
        if given.url:
            changes: dict[str, Any] = {key: getattr(wanted, key) for key in ("host", "port", "password") if getattr(wanted, key) != getattr(target, key)}
            if given.password_file and "password" in changes:
                raise Refused("%s keeps its password apart from its URL" % given.setting, fix=self.by_hand)
            # A password that stands beside the URL is changed there.
            beside = {given.password_setting: changes.pop("password")} if given.guessed and given.password and "password" in changes else {}
            text = changed_url(target.url, **changes)
            own, again = (parsed(replace(given, url=url, malformed=""), self.kind) for url in (target.url, text))
            told = ["host", "port", *(key for key in ("user", "password", "database") if key in changes or (own and getattr(own, key)))]
            if again is None or any(getattr(again, key) != getattr(wanted, key) for key in told):
                raise Refused("%s has a form in which its wrong part cannot be changed alone" % given.setting, fix=self.by_hand)
            self.stage.mask.learn(text if wanted.password else "")
            return Answer(given.setting, {**({given.setting: text} if text != given.url or not beside else {}), **beside}, proof=proof)
        settings = {}
        host_name, port_name = self._split_names()
        if wanted.host != given.host:
            if self.environment.get(host_name, given.host).strip() != given.host:  # host and port in one word
                raise Refused("%s has a form in which its wrong part cannot be changed alone" % given.setting, fix=self.by_hand)
            settings[host_name] = wanted.host
        if wanted.port != given.port or given.malformed:
            if port_name not in self.environment:
                raise Refused("%s listens at %d, and %s has no setting for the port" % (wanted.host, wanted.port, given.component), fix=self.by_hand)
            settings[port_name] = str(wanted.port)
        if wanted.password != given.password:
            if given.password_file:
                return self._file(wanted, settings, proof)
            if not given.password_setting:
                raise Refused("%s has no setting for a password, and %s wants one" % (given.component, wanted.host), fix=self.by_hand)
            settings[given.password_setting] = wanted.password
        return Answer(next(iter(settings), given.setting), settings or {host_name: given.host}, proof=proof)

    def _split_names(self) -> tuple[str, str]:
        """The settings that hold host and port of a target in parts."""
        given = self.given
        for name, value in self.environment.items():
            match = HOST_NAME.match(name)
            if match and value.strip() == given.host:
                prefix = match.group("prefix") + match.group("joint")
                if given.setting in (name, prefix + "PORT"):
                    return name, prefix + "PORT"
        return given.setting, ""

    def _file(self, wanted: Target, settings: dict[str, str], proof: str) -> Answer:
        given = self.given
        kinds = keeper(self.stage).FILES
        mount = next((mount for mount in self.instance.mounts if mount["target"] == given.password_file and mount["kind"] in kinds), None)
        if settings or mount is None:
            raise Refused("the password is read from %s, which cannot be changed from here" % given.password_file, fix=self.by_hand)
        return Answer(given.password_file, {}, path=mount["source"], content=wanted.password, proof=proof)


def _required_password(one: Instance) -> list[str]:
    """The password that a Redis was started with, as far as its command tells."""
    words = [word for text in one.command for word in text.split()]
    found = [word.strip("'\"") for place, word in enumerate(words) if place and words[place - 1] == "--requirepass"]
    return [word for word in found if word and "$" not in word][:1]


# Text ----------------------------------------------------------------------------------------------------------------------


def parsed(target: Target, kind: str) -> Target | None:
    """The target with the parts of its URL; None when it cannot be read."""
    try:
        if kind == "postgres":
            seen = connect_postgres.parse_url(target.url)
            return replace(target, host=seen.host, port=seen.port, user=seen.user, password=seen.password, database=seen.database, options=seen)
        if kind == "redis":
            known = connect_redis.parse_url(target.url)
            return replace(
                target, host=known.host, port=known.port, user=known.username or "", password=known.password or "", database=str(known.database), options=known
            )
    except StackError:
        return None
    match = re.match(r"^(https?)://(?:[^@/]*@)?([^:/?#]+)(?::(\d+))?(?=[/?#]|$)", target.url)
    if not match:
        return None
    return replace(target, host=match.group(2), port=int(match.group(3) or (443 if match.group(1) == "https" else 80)))


SCHEMES = {"postgres": r"postgres(?:ql)?(?:\+\w+)?", "redis": r"rediss?", "llm": r"https?"}


def repaired(url: str, kind: str) -> Iterable[str]:
    """A malformed URL with the slips of a hand put right, gentlest first: quotes and spaces around it, a broken "://", a port that is no number."""
    bare = url.strip().strip("\"'").strip()
    joined = re.sub(r"^(%s)(?::/*|/+)(?=[^:/])" % SCHEMES[kind], r"\1://", bare, flags=re.IGNORECASE)
    # A port with a letter or a mark too much keeps its digits.
    port = re.sub(r"(?<=:)[^@:/?]*?(\d{2,5})[^@:/?\d]*(?=(?:[/?][^@]*)?$)", r"\1", joined)
    return [text for text in dict.fromkeys([bare, joined, port]) if text != url]


def changed_url(url: str, host: str | None = None, port: int | None = None, password: str | None = None) -> str:
    """A URL with another host, port or password, every other byte kept; the caller reads it again to see that it came out."""
    match = re.match(r"^(?P<scheme>[^:/]+://)(?:(?P<user>[^:@/]*)(?P<secret>:.*)?@)?(?P<host>\[[^\]]*\]|[^:/?#,@]*)(?P<port>:\d+)?(?P<rest>[/?#][^@]*)?$", url)
    if not match:
        return url
    user, secret = match.group("user"), match.group("secret") or ""
    if password is not None:
        user, secret = user or "", ":" + quote(password, safe="") if password else ""
    account = user + secret + "@" if user or secret else ""
    return "".join(
        [
            match.group("scheme"),
            account,
            match.group("host") if host is None else host,
            (match.group("port") or "") if port is None else ":%d" % port,
            match.group("rest") or "",
        ]
    )
