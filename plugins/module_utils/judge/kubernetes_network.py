# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on what lies between the pods: NetworkPolicies that cut a way that is needed, and the cluster's DNS."""

from __future__ import annotations

import ipaddress
from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube
from ansible_collections.aiops.runbook.plugins.module_utils.judge import view
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, MEDIUM, WARNING, Clear, Finding, Unseen, why_unseen

INSIDE = 'grant it in a Role: {apiGroups: [""], resources: ["pods/exec"], verbs: ["create"]}'
# Every namespace bears its own name as a label; more of its labels is not known here.
NAME_LABEL = "kubernetes.io/metadata.name"
Policy = dict[str, Any]


@judges("network.partitioned", domain=kube.DOMAIN)
def policies(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A way that a component needs and a NetworkPolicy does not allow, and that a probe from inside does not come through.

    A policy that the cluster's network does not enforce cuts nothing: a probe that comes through clears it.
    """
    yield from kube.hidden(seen, "networkpolicies", "network.partitioned")
    cut: dict[tuple[str, str], dict[str, Any]] = {}
    for fact in seen.get("reach", []):
        if why_unseen(fact) or "from" not in fact or not fact.get("to"):
            continue
        client, server = fact["from"], fact["to"]
        found = blocking(seen, client, server, _port_there(seen, fact))
        if not found:
            continue
        side, policy = found
        # A policy lets a node reach its own pods: what is tried from there proves nothing.
        tried = bool(fact.get("inside")) and not why_unseen(fact.get("resolves")) and not fact.get("meshed")
        if tried and fact.get("connects"):
            yield Clear("network.partitioned", server, {"networks": [], "policy": policy["name"], "host": fact["host"], "port": fact["port"]}, about=client)
            continue
        ill, about = (server, "") if side == "ingress" else (client, server)
        if not view.runs(seen, server):
            continue
        one = cut.setdefault((ill, policy["name"]), {"policy": policy["name"], "side": side, "clients": [], "servers": [], "about": about, "tried": True})
        one["clients"] = sorted({*one["clients"], client})
        one["servers"] = sorted({*one["servers"], "%s:%s" % (fact["host"], fact["port"])})
        one["tried"] = one["tried"] and tried
        one["policies"] = [policy["name"]]
        one["meshed"] = bool(fact.get("meshed"))
    for (ill, _name), one in sorted(cut.items()):
        evidence = {key: value for key, value in one.items() if key not in ("about", "tried", "meshed")}
        evidence.update({"namespace": kube.namespace_of(seen, ill), "networks_missing": []})
        if one["tried"]:
            yield Finding("network.partitioned", ill, CRITICAL, evidence, about=one["about"] or None)
        else:
            reason = "%s forbids the way; whether that is enforced could not be tried from inside" % one["policy"]
            yield Unseen("network.partitioned", ill, reason, "" if one["meshed"] else INSIDE)


def _port_there(seen: dict[str, Any], fact: dict[str, Any]) -> int:
    """The port in the server's pods that a client's setting leads to: a Service may map it."""
    service = kube.service_at(seen, fact["host"], kube.namespace_of(seen, fact["from"]))
    port = next((one for one in service["ports"] if one["port"] == fact["port"]), None) if service else None
    return int(port["leads_to"][0]) if port and port["leads_to"] else int(fact["port"])


def blocking(seen: dict[str, Any], client: str, server: str, port: int) -> tuple[str, Policy] | None:
    """(egress or ingress, the policy that isolates) where no policy allows this way; None where it is allowed."""
    here, there = _seat(seen, client), _seat(seen, server)
    if not here or not there:
        return None
    for side, seat, other in (("egress", here, there), ("ingress", there, here)):
        isolating = [one for one in kube.facts(seen)["policies"] if side.capitalize() in one["types"] and _applies(one, seat)]
        if isolating and not any(allows(one, side, other, port, seat["namespace"]) for one in isolating):
            return side, max(isolating, key=lambda one: one["created_at"])
    return None


def _seat(seen: dict[str, Any], component: str) -> dict[str, Any] | None:
    works = kube.facts(seen)["workloads"]
    work = works.get(component) or works.get(component.rsplit(".", 1)[0])
    if not work or work["host_network"]:
        return None
    addresses = [address for one in view.running(seen["components"].get(component, {"instances": []})) for address in one["networks"].values() if address]
    names = {port["name"]: port["port"] for one in work["containers"] for port in one["ports"] if port["name"]}
    return {"namespace": work["namespace"], "labels": work["labels"], "addresses": addresses, "ports": names}


def _applies(policy: Policy, seat: dict[str, Any]) -> bool:
    return policy["namespace"] == seat["namespace"] and picks(policy["selector"], seat["labels"])


def allows(policy: Policy, side: str, other: dict[str, Any], port: int, namespace: str) -> bool:
    """Whether a rule of this policy lets packets to (or from) the other side, on this port."""
    for rule in policy[side]:
        peers = rule.get("to" if side == "egress" else "from")
        if peers and not any(_is_peer(peer, other, namespace) for peer in peers):
            continue
        if not rule.get("ports") or any(_is_port(one, port, other) for one in rule["ports"]):
            return True
    return False


def _is_peer(peer: dict[str, Any], other: dict[str, Any], namespace: str) -> bool:
    if "ipBlock" in peer:
        block, but = peer["ipBlock"].get("cidr", ""), peer["ipBlock"].get("except") or []
        return any(_within(address, block) and not any(_within(address, one) for one in but) for address in other["addresses"])
    if "namespaceSelector" in peer:
        selector = peer["namespaceSelector"] or {}
        known = {NAME_LABEL: other["namespace"]}
        # A selector by labels that are not known here may well pick it: nothing is blamed for what is not known.
        keys = [*(selector.get("matchLabels") or {}), *(one["key"] for one in selector.get("matchExpressions") or [])]
        if all(key == NAME_LABEL for key in keys) and not picks(selector, known):
            return False
    elif other["namespace"] != namespace:
        return False
    return picks(peer.get("podSelector"), other["labels"])


def _within(address: str, block: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(block, strict=False)
    except (TypeError, ValueError):
        return False


def _is_port(rule: dict[str, Any], port: int, other: dict[str, Any]) -> bool:
    if rule.get("protocol", "TCP") != "TCP":
        return False
    wanted = rule.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str) and not wanted.isdigit():
        # The name is one of the pod that is connected to; where it cannot be told, the rule has the benefit of the doubt.
        return other["ports"].get(wanted, port) == port
    return int(wanted) <= port <= int(rule.get("endPort") or wanted)


def picks(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    """Whether a label selector picks these labels; an empty one picks all."""
    selector = selector or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for one in selector.get("matchExpressions") or []:
        value, wanted = labels.get(one["key"]), one.get("values") or []
        holds = {"In": value in wanted, "NotIn": value not in wanted, "Exists": value is not None, "DoesNotExist": value is None}
        if not holds.get(one.get("operator", ""), False):
            return False
    return True


@judges("network.unreachable", domain=kube.DOMAIN)
def inside(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """No command may be run in the pods: what they reach was tried from elsewhere, and what they run and were started with is not known."""
    yield from kube.hidden(seen, "inside", "network.unreachable")


@judges("network.dns_broken", domain=kube.DOMAIN)
def dns(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Names that are Services do not resolve: for all of the stack it is the cluster's DNS, for one component its own settings or a policy."""
    asked: dict[str, list[dict[str, Any]]] = {}
    for fact in seen.get("reach", []):
        if why_unseen(fact) or "from" not in fact or not fact.get("inside") or is_address(fact["host"]):
            continue
        namespace = kube.namespace_of(seen, fact["from"])
        if kube.service_named(seen, fact["host"], namespace) and not _nameless(seen, kube.service_at(seen, fact["host"], namespace)):
            asked.setdefault(fact["from"], []).append(fact)
    lost = {name: facts for name, facts in asked.items() if all(_unresolved(fact) for fact in facts)}
    if lost and len(lost) == len(asked) and len(lost) > 1:
        names = sorted({fact["host"] for facts in lost.values() for fact in facts})
        evidence = {"components": sorted(lost), "names": names, "policy": "", "servers": [], "dns_policy": "ClusterFirst"}
        yield Finding("network.dns_broken", "cluster/dns", CRITICAL, evidence)
        return
    for name, facts in sorted(asked.items()):
        work = kube.facts(seen)["workloads"].get(name) or {"dns": {"policy": "", "servers": []}}
        evidence = {"components": [name], "names": sorted({fact["host"] for fact in facts})}
        evidence.update({"dns_policy": work["dns"]["policy"], "servers": work["dns"]["servers"]})
        if name in lost:
            own = work["dns"]["policy"] not in ("ClusterFirst", "ClusterFirstWithHostNet")
            policy = blocked_dns(seen, name)
            severity = CRITICAL if view.role(seen, name) in view.ESSENTIAL else WARNING
            yield Finding("network.dns_broken", name, severity, {**evidence, "policy": policy}, "high" if own or policy else MEDIUM)
        elif not any(_unresolved(fact) for fact in facts):
            yield Clear("network.dns_broken", name, evidence)


def _nameless(seen: dict[str, Any], service: dict[str, Any] | None) -> bool:
    """Whether a Service is but a name for pods of which none is there to bear it: then it is not to resolve."""
    if service is None or not service["headless"]:
        return False
    if kube.is_hidden(seen, "endpointslices"):
        return not any(view.runs(seen, name) for name in service["components"])
    return not service["ready"]


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _unresolved(fact: dict[str, Any]) -> bool:
    why = why_unseen(fact.get("resolves"))
    return bool(why and why["kind"] == "dns_timeout") or fact.get("resolves") is False


def blocked_dns(seen: dict[str, Any], client: str) -> str:
    """The policy that keeps a component from asking any name server; "" where none does."""
    seat = _seat(seen, client)
    isolating = [one for one in kube.facts(seen)["policies"] if seat and "Egress" in one["types"] and _applies(one, seat)]
    for one in isolating:
        for rule in one["egress"]:
            ports = rule.get("ports") or []
            if not ports or any(port.get("port") in (None, 53, "dns", "dns-tcp") for port in ports):
                return ""
    return str(isolating[0]["name"]) if isolating else ""
