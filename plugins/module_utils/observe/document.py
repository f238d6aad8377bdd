# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write down what was seen, as JSON and without a secret: from here on there is nothing raw any more."""

from __future__ import annotations

import calendar
import re
import time
from typing import Any, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.model import unseen, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.logs import last_words, read_logs
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import SERVERS, Scene
from ansible_collections.aiops.runbook.plugins.module_utils.observe.servers import SERVER_PORTS, Server
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import settings_fact
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Instance, is_loopback


class Document:
    """The writer of one scene's observations."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def write(self, servers: list[Server], answers: dict[str, Any], background: dict[str, Any]) -> dict[str, Any]:
        """The document of docs/architecture.md. background: the answers about the whole stack and its memory."""
        document: dict[str, Any] = {
            "schema": 1,
            "stack": self.scene.options.stack,
            "platform": self.scene.platform.name,
            "started_at": self.scene.started,
            "now": self.scene.started,
            "identity": background["identity"],
            "components": {component.id: self._component_fact(component, background) for component in self.scene.components},
            "edges": self._edges(),
            "reach": [self._named(name, fact) for name, fact in answers.items() if name.startswith("reach:")],
            "outside": [self._named(name, fact) for name, fact in answers.items() if name.startswith("outside:")],
            "outsiders": background["outsiders"],
            "events": self._events(background["events"]),
            "drift": self.drift(background["wanted"]) if "wanted" in background else {},
            "postgres": {},
            "redis": {},
            "celery": {},
            "http": {},
            "doors": {},
        }
        for name, facts in answers.items():
            domain, asked = name.split(":", 1)
            if domain == "door":
                document["doors"][asked] = facts if "unseen" not in facts else {"component": asked, "unasked": facts, "accounts": []}
            if domain in ("postgres", "redis", "celery", "http") and facts:
                for more, further in facts.pop("further", {}).items():
                    document[domain]["%s/%s" % (asked, more)] = further
                component_id = asked.split("/")[0] if domain == "http" else asked
                document[domain][asked] = facts if "unseen" not in facts else {"component": component_id, "answers": facts}
        for facts in document["postgres"].values():
            self._name_clients(facts)
        for component in self.scene.components:
            if component.role == "api" and component.id not in document["http"]:
                document["http"][component.id] = {"component": component.id, "answers": unseen("no instance of it runs", kind="not_running")}
        if self.scene.platform.objects:
            # What a Docker host need not have is imported where it is used.
            from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes import compact

            place = (self.scene.platform.namespace, self.scene.started, self.scene.components)
            document["kubernetes"] = compact(self.scene.platform.objects, *place, text=self.scene.mask.text, selector=self.scene.platform.selector)
        for server in servers:
            # Of one elsewhere nobody knows whether it runs.
            known = server.instance is not None or self.scene.is_component(server.component) or not self.scene.options.ask_servers
            silent = unseen("no instance of it runs", kind="not_running") if known else unseen("it was not asked", kind="absent")
            facts = document[server.kind].setdefault(server.component, {"component": server.component, "answers": silent})
            facts["used_by"] = sorted({target.component for target in server.clients})
            if server.through:
                facts["through"] = server.through
        _mark_brokers(document)
        return document

    def _events(self, events: Any) -> Any:
        """What the platform says in its own words may quote a program."""
        for event in events if isinstance(events, list) else []:
            if "message" in event["detail"]:
                event["detail"]["message"] = self.scene.mask.text(event["detail"]["message"])
        return events

    def close(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document, with how long it all took."""
        document["timing"] = {"probes": dict(self.scene.probes.seconds), "total_seconds": round(time.time() - self.scene.started, 3)}
        document["finished_at"] = time.time()
        return document

    def _name_clients(self, facts: dict[str, Any]) -> None:
        """Say from which component each session comes; an address that is nobody's stays an address."""
        addresses = self.scene.addresses()
        for key in ("sessions", "others", "holders"):
            found = facts.get(key)
            for session in found if isinstance(found, list) else []:
                session["client"] = addresses.get(str(session.get("client_addr")), "")

    @staticmethod
    def _named(name: str, fact: dict[str, Any]) -> dict[str, Any]:
        return {**fact, "probe": name} if "unseen" in fact else fact

    def _component_fact(self, component: Component, background: dict[str, Any]) -> dict[str, Any]:
        instance = next(iter(component.running or component.instances), None)
        environment, source = self.scene.environment(instance) if instance else ({}, "")
        return {
            "component": component.id,
            "role": component.role,
            "role_source": component.role_source,
            "depends_on": component.depends_on,
            **({"workload": component.workload} if component.workload else {}),
            "instances": [self._instance_fact(one, background) for one in component.instances],
            "settings": settings_fact(environment, source, self.scene.mask),
            **({"unread": instance.unread} if instance and instance.unread else {}),
            "targets": [target.as_fact(self.scene.mask) for target in self.scene.targets.get(component.id, [])],
            "logs": self._log_fact(component),
        }

    def _log_fact(self, component: Component) -> dict[str, Any]:
        """The signatures of all running instances together; what an ended one said last stands with the instance."""
        running = [one for one in component.running if one.asked]
        if not running:
            return unseen("no instance of it runs", kind="not_running")
        lines: list[str] = []
        for one in running:
            why = why_unseen(self.scene.logs.get(one.id))
            if why:
                return {"unseen": why}
            # What an earlier life of the container said is not about now.
            lines += [line for line in self.scene.lines(one) if line_time(line) >= one.started_at - 1]
        return {"component": component.id, "now": self.scene.started, **read_logs(lines, self.scene.mask, self.scene.started)}

    def _instance_fact(self, one: Instance, background: dict[str, Any]) -> dict[str, Any]:
        sockets = self.scene.sockets.get(one.id)
        fact: dict[str, Any] = {
            "id": one.id[:12],
            "name": one.name,
            "state": one.state,
            "one_off": one.one_off,
            "exit_code": one.exit_code,
            "oom_killed": one.oom_killed,
            "error": self.scene.mask.text(one.error),
            "restarts": one.restarts,
            "restart_policy": one.restart_policy,
            "created_at": one.created_at,
            "started_at": one.started_at,
            "finished_at": one.finished_at,
            "health": {**one.health, "output": self.scene.mask.text(one.health["output"])} if one.health else None,
            "health_test": self.scene.mask.words(one.health_test),
            "command": self.scene.mask.text(" ".join(one.command)),
            "image": one.image,
            "image_id": one.image_id.replace("sha256:", "")[:12],
            "published": one.published,
            "networks": {name: seat["address"] for name, seat in one.networks.items()},
            "home_network": one.home_network,
            "memory_limit": one.memory_limit,
            "environment_hashes": {name: self.scene.mask.digest(value) for name, value in sorted(one.environment.items()) if name not in one.own_settings},
            "memory": background.get("memory:" + one.id) or unseen("it does not run", kind="not_running"),
            "processes": [
                {"pid": process.pid, "parent": process.parent, "state": process.state, "command": self.scene.mask.text(process.command)[:160]}
                for process in one.processes
            ],
            "listening": sorted({socket["port"] for socket in sockets["listening"]}) if sockets else None,
            **_heard_outside(one, sockets),
            "log_driver": one.log_driver,
            **({"revision": one.revision} if one.revision else {}),
            **({"proxies": one.proxies} if one.proxies else {}),
        }
        lines = self.scene.lines(one)
        if one.running:
            # Of one that runs again, its last life's.
            lines = [line for line in lines if line_time(line) < one.started_at] if one.restarts else []
        if lines:
            fact["last_words"] = last_words(lines[-200:], self.scene.mask)
        return fact

    def _edges(self) -> list[dict[str, Any]]:
        """Who uses whom: by the settings of the program, then by the connections that are open."""
        edges: dict[tuple[str, str, str], dict[str, Any]] = {}
        addresses = self.scene.addresses()
        for component in self.scene.components:
            for target in self.scene.targets.get(component.id, []):
                if target.malformed or not target.host:
                    continue
                name = self.scene.server_at(target)[1]
                gate = self.scene.gate_at(target)
                if gate and gate != name:
                    beyond = {"from": name, "to": gate, "kind": target.kind, "setting": "", "source": target.source, "host": "", "port": target.port}
                    edges.setdefault((name, gate, target.kind), beyond)
                if name != component.id:
                    edges.setdefault(
                        (component.id, name, target.kind),
                        {
                            "from": component.id,
                            "to": name,
                            "kind": target.kind,
                            "setting": target.setting,
                            "source": target.source,
                            "host": target.host,
                            "port": target.port,
                        },
                    )
            for one in component.running:
                listening = {socket["port"] for socket in (self.scene.sockets.get(one.id) or {"listening": []})["listening"]}
                for peer in (self.scene.sockets.get(one.id) or {"peers": []})["peers"]:
                    other_id = addresses.get(peer["address"]) or self._unnamed(component, peer)
                    if other_id and other_id != component.id and peer["local_port"] not in listening:
                        if not any(edge[0] == component.id and edge[1] == other_id for edge in edges):
                            edges[(component.id, other_id, "peer")] = {
                                "from": component.id,
                                "to": other_id,
                                "kind": "peer",
                                "setting": "",
                                "source": "peers",
                                "host": "",
                                "port": peer["port"],
                            }
        self._proxy_edges(edges)
        return list(edges.values())

    def _unnamed(self, component: Component, peer: dict[str, Any]) -> str:
        """What a server elsewhere is called to which a component is connected, though no setting that was found names one of its kind; else ""."""
        kind = next((kind for kind, port in SERVER_PORTS.items() if port == peer["port"]), "")
        targets = self.scene.targets.get(component.id, [])
        if self.scene.platform.name == "kubernetes":
            return ""  # there it may be a Service's address, behind which a component stands
        if not kind or is_loopback(peer["address"]) or component.role in SERVERS or any(one.server_kind in (kind, "unsupported") for one in targets):
            return ""
        return "%s:%d" % (peer["address"], peer["port"])

    def _proxy_edges(self, edges: dict[tuple[str, str, str], dict[str, Any]]) -> None:
        """A proxy that is connected to nobody just now stands before the api that it was made to wait for, or before the only one."""
        apis = [component.id for component in self.scene.components if component.role == "api"]
        for component in self.scene.components:
            if component.role != "proxy" or any(edge[0] == component.id and edge[1] in apis for edge in edges):
                continue
            behind = [name for name in component.depends_on if name in apis] or (apis if len(apis) == 1 else [])
            for name in behind:
                edges[(component.id, name, "http")] = {
                    "from": component.id,
                    "to": name,
                    "kind": "http",
                    "setting": "",
                    "source": "depends_on",
                    "host": name,
                    "port": 0,
                }

    def drift(self, wanted: dict[str, Any]) -> Any:
        """Where the running containers differ from what the platform's files ask for now: {component: {"settings", "networks", "ports", …}}."""
        why = wanted.get("unseen")
        if why:
            return {"unseen": {**why, "reason": self.scene.mask.text(why["reason"])}}
        drift: dict[str, Any] = {}
        for component in self.scene.components:
            want = wanted.get(component.id)
            instance = next(iter(component.running or component.instances), None)
            if want is None or instance is None:
                continue
            changed = sorted(name for name, value in want["environment"].items() if instance.environment.get(name) != str(value))
            found = {
                "settings": changed,
                "accepted_after_restart": self._new_passwords(component.id, want["environment"], changed),
                # A network that an edit asks for, which is not deployed yet, was not taken from anybody.
                "networks_missing": sorted(set(want["networks"]) - set(instance.networks)) if instance.running and not want.get("edited") else [],
                "ports_missing": [port for port in want["ports"] if port["inside"] not in [mapping["inside"] for mapping in instance.published]],
            }
            if any(found.values()):
                drift[component.id] = found
        return drift

    def _new_passwords(self, component: str, environment: dict[str, str], changed: Iterable[str]) -> list[str]:
        """The connection settings whose value in the files differs from the one that the program was started with."""
        return [target.setting for target in self.scene.targets.get(component, []) if target.setting in changed or target.password_setting in changed]


def _mark_brokers(document: dict[str, Any]) -> None:
    """A Redis holds a broker also where its keys were not met (their names have a prefix, and there are many): a setting, or its queues, tell of it."""
    brokers = {edge["to"] for edge in document["edges"] if edge["kind"] == "broker"}
    brokers |= {facts["component"] for facts in document["celery"].values() if facts.get("queues") and not why_unseen(facts["queues"])}
    for component, facts in document["redis"].items():
        if component in brokers and not why_unseen(facts["answers"]):
            facts["holds_broker"] = True


def _heard_outside(one: Instance, sockets: dict[str, Any] | None) -> dict[str, list[int]]:
    """The ports that others get to, where that is not all of them; a mesh comes from within, and gets to all."""
    heard = {socket["port"] for socket in sockets["listening"] if not is_loopback(socket["address"])} if sockets else set()
    return {"listening_outside": sorted(heard)} if sockets and not one.meshed and heard != {socket["port"] for socket in sockets["listening"]} else {}


def line_time(line: str) -> float:
    """The UNIX time at the beginning of a log line (RFC 3339, UTC); 0 when there is none."""
    match = re.match(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?", line)
    if not match:
        return 0.0
    return calendar.timegm(tuple(int(match.group(part)) for part in range(1, 7)) + (0, 0, 0)) + float(match.group(7) or 0)
