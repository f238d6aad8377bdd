# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on the way in: a probe from outside and one from inside tell "down" from "cut off"."""

from __future__ import annotations

import re
from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube
from ansible_collections.aiops.runbook.plugins.module_utils.judge import view
from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes_ways import doors_hidden
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, MEDIUM, WARNING, Clear, Finding, Unseen, why_unseen

BAD_GATEWAY = (502, 503, 504)
# What proxies say to who comes by their address and not by the name of a site of theirs (Traefik; HAProxy without a default).
NO_SITE = (404, 503)
VIRTUAL_HOST = "VIRTUAL_HOST"
# Programs that take users in from a provider's side.
TUNNEL = re.compile(r"(^|/|\s)(cloudflared|tailscaled|ngrok|frpc|newt|inlets|zrok)(\s|$)")


@judges("network.port_not_published", domain="stack")
def published(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """An api that nobody outside can reach: no port of it or of a proxy is published, and no other stack shares its network.

    A further port that the files ask for, and that is not there yet, is a warning while others are. What stands on the host's own network needs
    none; and where a part that was not recognised is published, it may stand before the api.
    """
    doors = [component for component in view.components(seen) if component["role"] in ("proxy", "api") and view.running(component)]
    drift = seen.get("drift")
    mapped = [(component, mapping) for component in doors for one in view.running(component) for mapping in _published(seen, one)]
    if not why_unseen(drift):
        for component in doors:
            lost = (drift or {}).get(component["component"], {}).get("ports_missing", [])
            if lost:
                yield Finding(
                    "network.port_not_published",
                    component["component"],
                    WARNING if mapped else CRITICAL,
                    {"ports": [port["inside"] for port in lost], "wanted_by": "the manifest applied last" if seen.get("kubernetes") else "the project's files"},
                )
                return
    if not any(component["role"] == "api" for component in doors):
        return
    for component, mapping in mapped:
        yield Clear("network.port_not_published", component["component"], {"inside": mapping["inside"], "outside": mapping["outside"], "host": mapping["host"]})
    outsiders = seen.get("outsiders")
    if mapped or (outsiders and not why_unseen(outsiders)) or any(one["home_network"] == "host" for door in doors for one in view.running(door)):
        return
    door = next((component for component in doors if component["role"] == "proxy"), doors[0])
    why = doors_hidden(seen)
    if why:
        yield Unseen("network.port_not_published", door["component"], why["reason"], why["fix"])
        return
    before = next((component["component"] for component in view.components(seen) if _may_stand_before(component)), None)
    if before:
        reason = "no port of it is published, and %s may stand before it: what that one does was not recognised" % before
        yield Unseen("network.port_not_published", door["component"], reason, "name where users reach it by http_url")
        return
    listening = sorted({port for one in view.running(door) for port in one["listening"] or []})
    yield Finding("network.port_not_published", door["component"], CRITICAL, {"ports": listening, "wanted_by": ""}, MEDIUM)


def _published(seen: dict[str, Any], one: dict[str, Any]) -> list[dict[str, Any]]:
    """The ports that are published of an instance, or of the one whose network it shares."""
    home = one["home_network"].partition("container:")[2]
    others = [other for component in view.components(seen) for other in view.running(component) if home.startswith(other["id"])] if home else []
    return list(one["published"]) + [mapping for other in others for mapping in other["published"]]


def _may_stand_before(component: dict[str, Any]) -> bool:
    """Whether this may be where users come in: an unknown part with a port of the host, or a tunnel, to which nobody comes by a port."""
    alive = view.running(component) if component["role"] == "unknown" else []
    return any(one["published"] or TUNNEL.search(" ".join([one["command"], *(process["command"] for process in one["processes"])])) for one in alive)


@judges("network.outside_unreachable", "network.published_port_wrong", "http.bad_gateway", domain="stack")
def outside(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """What a user meets at the published port, against what the component itself answers inside.

    An api that answers HTTP at one of its ports may speak something else at another (gRPC, a debugger), and is not down for it. What a proxy says to
    who comes by its address proves nothing where it may serve by names; what is met at http_url does.
    """
    met = any(not fact.get("to") and fact.get("connects") and fact.get("status") not in BAD_GATEWAY for fact in seen.get("outside", []))
    for fact in seen.get("outside", []):
        why = why_unseen(fact)
        name = fact.get("to") or _front(seen)
        if why or "connects" not in fact:
            yield Unseen("network.outside_unreachable", name, (why or {}).get("reason", "not observed"))
            continue
        where = {"inside": fact.get("inside"), "outside": fact.get("outside"), "host": fact.get("host", fact.get("url", ""))}
        kind = (fact.get("error") or {}).get("kind", "")
        beside = _answers_beside(seen, fact)
        if fact.get("listening") is False:
            # What another container of its pod has opened says nothing of it.
            listening = kube.opened_for(seen, name, [fact.get("inside")])
            # A proxy opens all its ports at once; anybody else may open another in a moment.
            if view.is_starting(seen, name, limits) and not (listening and view.role(seen, name) == "proxy"):
                yield Unseen("network.published_port_wrong", name, "%s has just been started" % name)
                continue
            # A program that has not opened any port is not up, whatever is published; that is judged elsewhere.
            if listening:
                yield Finding("network.published_port_wrong", name, WARNING if beside else CRITICAL, {**where, "listening": listening})
            continue
        if not fact["connects"]:
            if beside and (kind == "protocol" or (kind == "reset" and fact.get("listening"))):
                yield Clear("network.outside_unreachable", name, {**where, "status": "something else than HTTP", "seconds": fact.get("seconds")})
            elif kind == "timeout" or view.is_starting(seen, name, limits):
                yield Unseen("network.outside_unreachable", name, "no answer from outside (%s)" % kind)
            elif _wants_a_name(seen, name, fact, kind):
                reason = "it takes connections, and answers none that does not ask for a site of its own (%s)" % kind
                yield from _by_name(met, Unseen("network.outside_unreachable", name, reason, "name where users reach it by http_url"))
            else:
                yield Finding("network.outside_unreachable", name, WARNING if beside else CRITICAL, {**where, "error": kind})
        elif fact.get("status") == 503 and fact.get("to") and _serves_names(seen):
            reason = "it answers 503 to who comes by its address, and serves by host names (%s)" % VIRTUAL_HOST
            yield from _by_name(met, Unseen("http.bad_gateway", name, reason, "name where users reach it by http_url"))
        elif fact.get("status") in NO_SITE and view.role(seen, name) == "proxy" and _speaks_for_itself(seen, fact):
            reason = "it answers %d to who comes by its address, while the api answers inside: it may serve by host names" % fact["status"]
            yield from _by_name(met, Unseen("http.bad_gateway", name, reason, "name where users reach it by http_url"))
        elif fact.get("status") in BAD_GATEWAY and view.role(seen, name) == "proxy":
            yield Finding("http.bad_gateway", name, CRITICAL, {**where, "status": fact["status"]})
        else:
            yield Clear("network.outside_unreachable", name, {**where, "status": fact.get("status"), "seconds": fact.get("seconds")})


def _by_name(met: bool, answer: Unseen) -> Iterator[Answer]:
    """What an address alone does not show, unless users were met where they come in."""
    if not met:
        yield answer


def _answers_beside(seen: dict[str, Any], fact: dict[str, Any]) -> bool:
    """Whether an api answers HTTP from outside at another port of its own: a copy that does at the same one does not stand for this one."""
    if not fact.get("to") or view.role(seen, fact["to"]) != "api":
        return False
    return any(other.get("connects") and other.get("to") == fact["to"] and other.get("inside") != fact.get("inside") for other in seen["outside"])


def _speaks_for_itself(seen: dict[str, Any], fact: dict[str, Any]) -> bool:
    """Whether what came by a proxy's address is no api's answer handed on: every api says otherwise inside, and nothing keeps the proxy from it."""
    apis = [component for component in view.components(seen) if component["role"] == "api" and view.running(component)]
    if not (fact.get("to") and fact.get("route") and apis):
        return False
    for api in apis:
        asked = [facts for facts in seen.get("http", {}).values() if facts["component"] == api["component"] and not why_unseen(facts.get("answers"))]
        said = [((facts.get("routes") or {}).get(fact["route"]) or {}).get("status") for facts in asked]
        if not said or not all(status and status < 500 and status != fact["status"] for status in said):
            return False
        here, there = (_networks(component) for component in (seen["components"][fact["to"]], api))
        if here and there and "host" not in here | there and not here & there:
            return False
    return True


def _networks(component: dict[str, Any]) -> set[str]:
    return {name for one in view.running(component) for name in one["networks"]}


def _wants_a_name(seen: dict[str, Any], name: str, fact: dict[str, Any], kind: str) -> bool:
    """Whether a proxy may have hung up on us because we came by its address: it has a certificate, or a site, for its own names only."""
    hung_up = kind == "tls" or (kind in ("reset", "protocol") and bool(fact.get("listening")))
    return hung_up and bool(fact.get("to")) and view.role(seen, name) == "proxy"


def _serves_names(seen: dict[str, Any]) -> bool:
    """Whether parts of this stack tell a proxy by their settings under which names it serves them (nginx-proxy), and it none but these."""
    return any(setting["name"] == VIRTUAL_HOST for component in view.components(seen) for setting in component["settings"])


def _front(seen: dict[str, Any]) -> str:
    """The component that meets the users."""
    for wanted in ("proxy", "api"):
        for component in view.components(seen):
            if component["role"] == wanted:
                return component["component"]
    return "stack"


def _helps(seen: dict[str, Any], name: str) -> bool:
    """Whether this is a second container in the pods of a component that was recognised: what it does there is that one's matter."""
    main = seen["components"].get(name.rpartition(".")[0]) if seen.get("platform") == "kubernetes" else None
    return main is not None and main["role"] != "unknown"


@judges("stack.unknown_shape", domain="stack")
def shape(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A stack in which no api was recognised cannot be called healthy; the operator can name it."""
    if not any(component["role"] == "api" for component in view.components(seen)):
        yield Unseen("stack.unknown_shape", "stack", "no component was recognised as the api", "name it: roles: {<component>: api}")
    for component in view.components(seen):
        if component["role"] == "unknown" and view.running(component) and not _helps(seen, component["component"]):
            yield Unseen(
                "stack.unknown_shape", component["component"], "what this component does was not recognised", "name it: roles: {%s: …}" % component["component"]
            )
