# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which rule of a packet filter is in the way: looked for only where a way is cut, by reading what iptables-save shows."""

from __future__ import annotations

import ipaddress
import re
import shlex
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Callable

from ansible_collections.aiops.runbook.plugins.module_utils.connect.packet_filter import saved_rules
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Scene
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance

STOPS = ("DROP", "REJECT")
# Options that say nothing about which packets a rule is for.
ASIDE = frozenset(["-m", "--match", "--comment", "--reject-with", "--log-prefix", "--log-level"])
DEEPEST = 20


@dataclass
class Packet:
    """The first packet of a TCP connection."""

    source: str
    target: str
    port: int


@dataclass
class Rule:
    """One line of iptables-save. packets: how many it has met. sure: whether everything that it asks of a packet is understood here."""

    text: str
    packets: int = 0
    target: str = ""
    wants: list[Callable[[Packet], bool]] = field(default_factory=list)
    sure: bool = True

    def may_meet(self, packet: Packet) -> bool:
        return all(want(packet) for want in self.wants)


def blocking_rule(saved: str, packet: Packet, chain: str) -> dict[str, Any] | None:
    """{"rule", "packets"} of the first rule that drops or rejects this packet on its way through a chain, or of the chain's policy. Pure.

    saved: the table "filter" as iptables-save -c writes it. None where the packet comes through, as far as can be told: a rule that asks
    for what is not known here (an interface, a mark) neither lets it through nor stops it for sure, and is passed over.
    """
    policies, chains = _read(saved)
    verdict = _walk(chains, packet, chain, 0)
    if isinstance(verdict, Rule):
        return {"rule": verdict.text, "packets": verdict.packets} if verdict.target in STOPS else None
    # That others may be let through says nothing of this packet; a policy is blamed only where it is sure that nobody lets it through.
    doubtful = any(rule.target == "ACCEPT" and rule.may_meet(packet) for rules in chains.values() for rule in rules)
    if policies.get(chain) in STOPS and not doubtful:
        return {"rule": "-P %s %s" % (chain, policies[chain]), "packets": 0}
    return None


def _walk(chains: dict[str, list[Rule]], packet: Packet, chain: str, depth: int) -> Rule | None:
    """The rule that decides; None where the end of the chain is reached, or a RETURN."""
    for rule in chains.get(chain, []):
        if not rule.may_meet(packet):
            continue
        if rule.target in chains and depth < DEEPEST:
            found = _walk(chains, packet, rule.target, depth + 1)
            if found is not None:
                return found
        elif rule.sure and rule.target == "RETURN":
            return None
        elif rule.sure and rule.target in (*STOPS, "ACCEPT"):
            return rule
    return None


def _read(saved: str) -> tuple[dict[str, str], dict[str, list[Rule]]]:
    """(policies, rules by chain) of the table "filter"."""
    policies: dict[str, str] = {}
    chains: dict[str, list[Rule]] = {}
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif table == "filter" and line.startswith(":"):
            name, policy = line[1:].split()[:2]
            policies[name] = policy
            chains.setdefault(name, [])
        elif table == "filter" and " -A " in " " + line:
            match = re.match(r"(?:\[(\d+):\d+\] )?(-A (\S+).*)", line)
            if match:
                chains.setdefault(match[3], []).append(read_rule(match[2], int(match[1] or 0)))
    return policies, chains


def read_rule(text: str, packets: int = 0) -> Rule:
    """A rule's text ("-A INPUT -p tcp --dport 6379 -j DROP") as what it wants. Pure."""
    rule = Rule(text, packets)
    try:
        words = shlex.split(text)[2:]
    except ValueError:
        rule.sure = False
        return rule
    place, negated = 0, False
    while place < len(words):
        word = words[place]
        value = words[place + 1] if place + 1 < len(words) else ""
        if word == "!":
            negated, place = True, place + 1
            continue
        place += 2
        if word in ("-j", "-g", "--jump", "--goto"):
            rule.target = value
        elif word in ASIDE:
            continue
        else:
            want = _want(word, value)
            if want is None:
                rule.sure = False
                if not value or value.startswith("-"):
                    place -= 1  # an option without a value
            else:
                rule.wants.append(_not(want) if negated else want)
        negated = False
    return rule


def _not(want: Callable[[Packet], bool]) -> Callable[[Packet], bool]:
    return lambda packet: not want(packet)


def _want(word: str, value: str) -> Callable[[Packet], bool] | None:
    """What an option asks of a packet; None where that is not known here."""
    if word in ("-s", "--source"):
        return lambda packet: _within(packet.source, value)
    if word in ("-d", "--destination"):
        return lambda packet: _within(packet.target, value)
    if word in ("-p", "--protocol"):
        return lambda _packet: value in ("tcp", "6", "all")
    if word in ("--dport", "--dports"):
        return lambda packet: any(_port_within(packet.port, part) for part in value.split(","))
    if word in ("--ctstate", "--state"):
        return lambda _packet: "NEW" in value.split(",")
    return None


def _within(address: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _port_within(port: int, part: str) -> bool:
    """part: "80" or "8000:8999"."""
    first, _colon, last = part.partition(":")
    return first.isdigit() and int(first) <= port <= int(last if last.isdigit() else first)


def looks(scene: Scene, reach: list[dict[str, Any]]) -> dict[str, Callable[[], Any]]:
    """The probes for the ways that are cut, by the place of their fact in this list."""
    probes: dict[str, Callable[[], Any]] = {}
    instances = {one.name: one for component in scene.components for one in component.instances}
    for place, fact in enumerate(reach):
        client = instances.get(fact.get("instance", ""))
        if client is not None and fact.get("connects") is False and fact.get("addresses"):
            server = next((one for component in scene.components if component.id == fact["to"] for one in component.running), None)
            probes["filter:%d" % place] = partial(_look, scene, client, server, fact)
    return probes


def _look(scene: Scene, client: Instance, server: Instance | None, fact: dict[str, Any]) -> dict[str, Any]:
    """{"rule", "packets", "where": "" (this host) or an instance}, or {"rule": ""} where none was found. StackError where none could be looked for."""
    address = fact["addresses"][0]
    networks = [name for name, seat in (server.networks if server else {}).items() if seat["address"] == address]
    source = next((client.networks[name]["address"] for name in networks if name in client.networks), "") or scene.address_of(client)
    packet = Packet(source, address, fact["port"])
    stays = scene.platform.enter(client)
    if stays is None:
        raise StackError("only root on the engine's own host may read the packet filter", kind="denied", fix="run as root")
    # This host's first: a thread does not come back from where it has gone in.
    for chain, one in (("FORWARD", None), ("OUTPUT", client), ("INPUT", server)):
        enter = scene.platform.enter(one) if one else None
        if one is not None and enter is None:
            continue
        if enter is not None:
            enter()
        for saved in saved_rules(scene.options.timeout / 2):
            found = blocking_rule(saved, packet, chain)
            if found is not None:
                return {**found, "where": one.name if one else ""}
    return {"rule": "", "packets": 0, "where": ""}
