# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The ways through a stack: from each component to what it is told to connect to, to the api inside, and in from outside."""

from __future__ import annotations

import re
import threading
from functools import partial
from typing import Any, Callable

from ansible_collections.aiops.runbook.plugins.module_utils.connect.http import HttpTarget
from ansible_collections.aiops.runbook.plugins.module_utils.connect.tcp import try_tcp
from ansible_collections.aiops.runbook.plugins.module_utils.model import FINITE, LOOPBACK, StackError, unseen, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.http import observe_http
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Scene
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import Target
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Instance

# Between two readings of an application's metrics: long enough to see traffic, short enough to wait for.
SAMPLE_SECONDS = 0.4
# Copies of an api that are asked, each by itself: one of them may be ill while the others answer.
COPIES = 4
# Where a server of Python listens that is told of no port, and the words by which it is told of a socket file, and to speak TLS.
USUAL_PORT = re.compile(r"\b(uvicorn|gunicorn|hypercorn|daphne|granian)\b|\bfastapi\s+(run|dev)\b"), 8000
SOCKET_FILE = re.compile(r"--uds[ =]|(-b|--bind)[ =]unix:")
TLS_WORDS = re.compile(r"--(ssl-?)?(keyfile|certfile|certificate|cert)\b")


class Once:
    """An answer that several probes share: whoever asks first has it made."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: list[Any] = []

    def answer(self) -> Any:
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]


def tried_inside(found: dict[str, Any] | None) -> dict[str, Any]:
    """What a command inside said of one place, as a fact of reach; it may not have come to it."""
    if found is None:
        return {"resolves": unseen("the command inside did not come to it in time", kind="timeout")}
    if found["resolves"] is None:
        return {**found, "resolves": unseen("its name server did not answer", kind="dns_timeout")}
    if found["resolves"] and "connects" not in found:
        return {**found, "resolves": unseen("nothing in its image can open a connection", kind="no_command")}
    return found


class Ways:
    """The probes of one scene. Nothing that they send changes anything."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def asking(self) -> dict[str, Callable[[], Any]]:
        """All of them, by "reach:…", "http:<component>" and "outside:…"."""
        return {**self._reach_probes(), **self._http_probes(), **self._outside_probes()}

    def _reach_probes(self) -> dict[str, Callable[[], Any]]:
        probes: dict[str, Callable[[], Any]] = {}
        for component in self.scene.components:
            if component.role in FINITE:
                continue
            # One that cannot stay up is asked for, too: where its settings lead is seen from the host, by what is known of its networks.
            for one in [one for one in component.running if one.asked] or [one for one in component.instances if not one.one_off][:1]:
                asked: dict[tuple[str, int], Target] = {}
                for target in self.scene.targets.get(component.id, []):
                    if target.malformed or not target.host or not target.port or (target.host, target.port) in asked:
                        continue
                    asked[(target.host, target.port)] = target
                # Where one command inside tries them all, the first that asks waits for it, and so do the others.
                inside = Once(partial(self.scene.platform.reach, one, list(asked), self.scene.options.timeout * 0.8))
                for (host, port), target in asked.items():
                    probes["reach:%s:%s:%d" % (one.id, host, port)] = partial(self._reach, component, one, target, inside)
        return probes

    def _reach(self, component: Component, one: Instance, target: Target, inside: Once) -> dict[str, Any]:
        """Can this instance find and reach what its setting names? Nothing is sent."""
        fact: dict[str, Any] = {
            "from": component.id,
            "instance": one.name,
            "setting": target.setting,
            "kind": target.kind,
            "host": target.host,
            "port": target.port,
        }
        other = self.scene.published_at(target) or self.scene.component_at(component.id, target.host, target.server_kind)
        fact["to"], fact["outer"] = (other.id, "") if other else ("", self.scene.outer_name(target))
        if target.proxy_setting and not other:
            return {**fact, "resolves": unseen("its way leads through the proxy that %s names" % target.proxy_setting, kind="proxied")}
        tried = inside.answer()
        if tried is not None:
            return {**fact, "inside": True, **tried_inside(tried.get((target.host, target.port)))}
        enter = self.scene.platform.enter(one)
        fact["inside"] = enter is not None
        if enter is not None:
            enter()
        elif target.host in LOOPBACK:
            if one.running:
                return {
                    **fact,
                    "resolves": unseen("what stands at %s inside the container cannot be seen from here" % target.host, kind="denied", fix="run as root"),
                }
            return {**fact, "resolves": True, "addresses": [target.host], "connects": False, "error": "refused", "seconds": 0.0}
        try:
            addresses = self.scene.platform.resolve(one, target.host, self.scene.options.timeout / 2, inside=enter is not None)
        except StackError as error:
            return {**fact, "resolves": unseen(error.message, kind=error.kind)}
        fact.update({"resolves": bool(addresses), "addresses": addresses})
        if not addresses and not other:
            try:
                fact["elsewhere"] = self.scene.platform.elsewhere(one, target.host)
            except StackError:
                pass  # the engine may be out of reach from where this thread stands: then nothing more is known of the name
        if addresses:
            try:
                where = self.scene.platform.address(one, addresses[0], target.port)
            except StackError as error:
                if error.kind != "refused":
                    return {**fact, "resolves": unseen(error.message, kind=error.kind, fix=error.details.get("fix", ""))}
                fact.update({"connects": False, "error": "refused", "seconds": 0.0})
            else:
                fact.update(try_tcp(*where, min(2.0, self.scene.options.timeout)))
        return fact

    def _http_probes(self) -> dict[str, Callable[[], Any]]:
        probes: dict[str, Callable[[], Any]] = {}
        for component in self.scene.components:
            if component.role == "api":
                for place, one in enumerate(component.running[:COPIES]):
                    probes["http:" + component.id + ("/" + one.name if place else "")] = partial(self._look_at_http, component, one)
        return probes

    def _look_at_http(self, component: Component, one: Instance) -> dict[str, Any]:
        ports = self._http_ports(component, one)
        if ports is None:
            reason = "which of the host's ports is its own is not known"
            return {"component": component.id, "answers": unseen(reason, kind="hidden", fix="name where users reach it by http_url"), "port": 0}
        if not ports and any(SOCKET_FILE.search(text) for text in _commands(one)):
            return {"component": component.id, "answers": unseen("it listens at a socket file, which is not asked", kind="hidden"), "port": 0}
        if not ports:
            return {"component": component.id, "answers": unseen("it listens on no port", kind="refused"), "port": 0, "instance": one.name}
        enter = self.scene.platform.enter(one)
        address = "127.0.0.1" if enter is not None else self.scene.address_of(one)
        if not address:
            return {"component": component.id, "answers": unseen("it has no address that this host could reach", kind="hidden", fix="run as root"), "port": 0}
        facts: dict[str, Any] = {}
        scheme = "https" if _speaks_tls(one) else "http"
        for port in ports[:3]:
            there, gate = self.scene.platform.address(one, address, port) if enter is None else (address, port)
            facts = observe_http(
                component.id,
                HttpTarget("%s://%s:%d" % (scheme, there, gate), headers={} if there == address else {"Host": "%s:%d" % (address, port)}, verify=False),
                self.scene.mask,
                min(3.0, self.scene.options.timeout * 0.8),
                routes=self._routes(one),
                enter=enter,
                sample=SAMPLE_SECONDS,
            )
            facts["port"] = port
            facts["instance"] = one.name
            why = why_unseen(facts.get("answers"))
            if why is None or why["kind"] not in ("protocol", "refused", "reset"):
                break  # another port is tried only where this one speaks no HTTP
        return facts

    def _routes(self, one: Instance) -> tuple[str, ...]:
        """The routes that are asked, and the one that the container's own health check asks."""
        asked = re.findall(r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::\d+)?(/[\w./-]*\w/?)", " ".join(one.health_test))
        return tuple(dict.fromkeys([*self.scene.options.http_routes, *asked]))

    def _http_ports(self, component: Component, one: Instance) -> list[int] | None:
        """Where an api may listen, likeliest first: open sockets, then what is published, exposed, or said in its command.

        On the host's network others listen, too: only what is said counts, and None is where nothing is.
        """
        sockets = self.scene.sockets.get(one.id)
        if sockets is not None:
            listening = sorted({socket["port"] for socket in sockets["listening"]})
            hints = self._said_ports(one)
            if one.home_network == "host":
                return [port for port in hints if port in listening] if hints else None
            return sorted(listening, key=lambda port: (port not in hints, port))
        return self._said_ports(one)

    @staticmethod
    def _said_ports(one: Instance) -> list[int]:
        texts = [" ".join(one.command), " ".join(one.health_test)] + [process.command for process in one.processes]
        said = [int(port) for text in texts for port in re.findall(r"(?:--port[ =]|:)(\d{2,5})\b", text)]
        told = [one.environment.get(name, "") for name in ("PORT", "UVICORN_PORT")]
        said += [int(port) for port in told if port.isdigit()]
        usual = [USUAL_PORT[1]] if any(USUAL_PORT[0].search(text) for text in texts) else []
        return list(dict.fromkeys([mapping["inside"] for mapping in one.published if not mapping.get("beside")] + said + one.exposed)) or usual

    def _outside_probes(self) -> dict[str, Callable[[], Any]]:
        probes: dict[str, Callable[[], Any]] = {}
        for component in self.scene.components:
            if component.role not in ("api", "proxy"):
                continue
            for one in component.running:
                for mapping in one.published:
                    if mapping["outside"]:
                        probes["outside:%s:%d" % (component.id, mapping["outside"])] = partial(self._look_from_outside, component, one, mapping)
        if self.scene.options.http_url:
            probes["outside:given:0"] = lambda: {**self._ask_outside(HttpTarget(self.scene.options.http_url)), "to": "", "url": self.scene.options.http_url}
        return probes

    def _look_from_outside(self, component: Component, one: Instance, mapping: dict[str, Any]) -> dict[str, Any]:
        host = "127.0.0.1" if mapping["host"] in ("0.0.0.0", "", "::") else mapping["host"]
        sockets = self.scene.sockets.get(one.id)
        listening = None if sockets is None else any(socket["port"] == mapping["inside"] for socket in sockets["listening"])
        scheme = "https" if mapping["inside"] in (443, 8443) or _speaks_tls(one) else "http"
        # By its address no certificate can match; nothing is sent here but a GET, and trust is the check of another day.
        target = HttpTarget("%s://%s:%d" % (scheme, host, mapping["outside"]), verify=False)
        return {
            **self._ask_outside(target),
            "to": component.id,
            "inside": mapping["inside"],
            "outside": mapping["outside"],
            "host": mapping["host"],
            "listening": listening,
        }

    def _ask_outside(self, target: HttpTarget) -> dict[str, Any]:
        facts = observe_http("outside", target, self.scene.mask, min(3.0, self.scene.options.timeout * 0.8), routes=self.scene.options.http_routes[:1])
        routes: dict[str, dict[str, Any]] = facts.get("routes") or {"": {}}
        path, route = next(iter(routes.items()))
        why = why_unseen(facts.get("answers"))
        return {"connects": why is None, "error": why, "status": route.get("status"), "seconds": route.get("seconds"), "route": path}


def _speaks_tls(one: Instance) -> bool:
    """Whether the program itself was given a certificate, on its command line."""
    return any(TLS_WORDS.search(text) for text in _commands(one))


def _commands(one: Instance) -> list[str]:
    """What an instance was started with, and what runs in it."""
    return [" ".join(one.command), *(process.command for process in one.processes)]
