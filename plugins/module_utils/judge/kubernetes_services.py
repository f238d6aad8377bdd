# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on Services and Ingresses: does the way that they promise lead to somebody who listens?"""

from __future__ import annotations

from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube
from ansible_collections.aiops.runbook.plugins.module_utils.judge import view
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, INFO, MEDIUM, WARNING, Clear, Finding, Unseen

DAY = 86400.0
# The AWS load balancer controller's word in place of a port: the "service" is then the name of an action, which an annotation describes.
ACTION = "use-annotation"


def _base(service: dict[str, Any]) -> dict[str, Any]:
    return {"service": service["name"], "namespace": service["namespace"], "selector": _written(service["selector"])}


def _written(labels: dict[str, str]) -> str:
    return ",".join("%s=%s" % pair for pair in sorted(labels.items()))


@judges("service.selects_nothing", domain=kube.DOMAIN)
def selects(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A Service whose selector picks no pod and fits no workload: of the component that it was made for, or of nobody who can be named."""
    yield from kube.hidden(seen, "services", "service.selects_nothing", "service.no_endpoints")
    # What it picks may be of a workload that has no pod now.
    unseen = any(kube.is_hidden(seen, kind) for kind in kube.WORKLOADS)
    for service in kube.facts(seen)["services"]:
        if not service["selector"] or service["type"] == "ExternalName":
            continue
        if service["components"]:
            for component in service["components"]:
                yield Clear("service.selects_nothing", component, {**_base(service), "pods": service["selects"]})
            continue
        if unseen:
            continue
        meant = service["meant_for"]
        labels = kube.facts(seen)["workloads"][meant]["labels"] if meant else {}
        evidence = {**_base(service), "labels": _written(labels), "used_by": users(seen, service)}
        if meant and not evidence["used_by"] and _is_spare(seen, service, meant):
            yield Finding("service.selects_nothing", "service/" + service["name"], INFO, evidence)
        elif meant:
            needed = evidence["used_by"] or service["type"] != "ClusterIP" or view.is_needed(seen, meant)
            yield Finding("service.selects_nothing", meant, CRITICAL if needed else WARNING, evidence)
        elif evidence["used_by"]:
            yield Finding("service.selects_nothing", "service/" + service["name"], CRITICAL, evidence, MEDIUM)
        elif not service.get("foreign"):
            # A left-over that nobody uses harms nobody.
            yield Finding("service.selects_nothing", "service/" + service["name"], INFO, evidence)


def _is_spare(seen: dict[str, Any], service: dict[str, Any], meant: str) -> bool:
    """Whether another Service leads to whom it was made for, and nothing needs this one: an operator's Service for replicas while there are none."""
    facts = kube.facts(seen)
    # A proxy's settings name it, and they are not read: how it comes to its api is not known.
    guessed = any(edge["to"] == meant and edge.get("source") == "depends_on" for edge in seen.get("edges", []))
    own = service["name"] == facts["workloads"][meant]["name"]
    others = (one for one in facts["services"] if one is not service and meant in [*one["components"], *one.get("behind", [])])
    return service["type"] == "ClusterIP" and not own and not guessed and any(others)


def users(seen: dict[str, Any], service: dict[str, Any]) -> list[str]:
    """The components whose settings name this Service, and the Ingresses before it."""
    clients = {
        edge["from"] for edge in seen.get("edges", []) if edge["host"] and kube.service_at(seen, edge["host"], kube.namespace_of(seen, edge["from"])) is service
    }
    doors = {
        "ingress/" + one["name"]
        for one in kube.facts(seen)["ingresses"]
        for to in one["backends"]
        if (to["service"], one["namespace"]) == (service["name"], service["namespace"])
    }
    return sorted(clients | doors)


def _inside(seen: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """(Service, the component that it is of) for each that picks pods; of several that it picks, the one that bears its name."""
    for service in kube.facts(seen)["services"]:
        if service["selector"] and service["components"] and service["type"] != "ExternalName":
            named = [name for name in service["components"] if service["name"] in name or name in service["name"]]
            yield service, (named or service["components"])[0]


@judges("service.no_endpoints", domain=kube.DOMAIN)
def endpoints(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A Service that picks pods of which none is ready: what it promises, nobody takes."""
    yield from kube.hidden(seen, "endpointslices", "service.no_endpoints")
    if kube.is_hidden(seen, "endpointslices"):
        return
    for service, component in _inside(seen):
        evidence = {**_base(service), "ready": service["ready"], "pods": service["selects"], "waiting": service["waiting"]}
        asleep = all(kube.facts(seen)["workloads"][name]["wanted"] == 0 for name in service["components"])
        if service["ready"] or service["not_ready_too"]:
            yield Clear("service.no_endpoints", component, evidence)
        elif service["selects"] and not asleep and not view.is_starting(seen, component, limits):
            yield Finding("service.no_endpoints", component, CRITICAL, evidence)


@judges("network.published_port_wrong", domain=kube.DOMAIN)
def target_port(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A Service whose targetPort leads to a port of its pods on which nothing listens, or bears a name that none of their ports has."""
    for service, component in _inside(seen):
        known = [kube.listening(seen, name) for name in service["components"]]
        if any(not view.runs(seen, name) or view.is_starting(seen, name, limits) for name in service["components"]):
            continue
        listening = sorted({port for ports in known for port in ports or []})
        heard = {port for name in service["components"] for port in kube.listening(seen, name, outside=True) or []}
        for port in service["ports"]:
            where = {
                **_base(service),
                "service_port": port["port"],
                "outside": port["port"],
                "inside": port["target"],
                "host": service["name"],
                "listening": listening,
            }
            if port["protocol"] != "TCP":
                continue
            if service["selects"] and port["unnamed"] == service["selects"]:
                yield Finding("network.published_port_wrong", component, CRITICAL, {**where, "why": "name"})
            elif all(known) and port["leads_to"] and not set(port["leads_to"]) & set(listening):
                opened = sorted({number for name in service["components"] for number in kube.opened_for(seen, name, port["leads_to"])})
                # Of a program that has opened nothing it is judged elsewhere that it is not up, whatever listens beside it.
                if opened:
                    yield Finding("network.published_port_wrong", component, CRITICAL, {**where, "listening": opened, "why": "port"})
            elif all(known) and port["leads_to"] and not set(port["leads_to"]) & heard:
                told = [number if number in heard else "%d (on 127.0.0.1 only)" % number for number in listening]
                # Which port the Service names is no matter: nothing that leads to this program from elsewhere helps.
                evidence = {key: value for key, value in where.items() if key != "service_port"}
                yield Finding("network.published_port_wrong", component, CRITICAL, {**evidence, "listening": told, "why": "loopback"})
            elif listening:
                yield Clear("network.published_port_wrong", component, where)


@judges("ingress.backend_missing", domain=kube.DOMAIN)
def backends(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """An Ingress that names a Service or a port of it that is not there."""
    yield from kube.hidden(seen, "ingresses", "ingress.backend_missing", "tls.certificate_expired")
    if kube.is_hidden(seen, "services"):
        return
    there = {(one["namespace"], one["name"]): one for one in kube.facts(seen)["services"]}
    for ingress in kube.facts(seen)["ingresses"]:
        lost = []
        # What is no Service (a resource, an action of the controller's) is not looked at here.
        named = [to for to in ingress["backends"] if to["service"] and to["port"] != ACTION]
        for to in named:
            service = there.get((ingress["namespace"], to["service"]))
            ports = [value for port in service["ports"] for value in (port["port"], port["name"])] if service else []
            if (service is None or to["port"] not in ports) and not (service and service["type"] == "ExternalName"):
                lost.append({"service": to["service"], "port": to["port"], "host": to["host"], "path": to["path"], "there": bool(service), "ports": ports})
        evidence = {"ingress": ingress["name"], "namespace": ingress["namespace"], "hosts": ingress["hosts"], "class": ingress["class"]}
        if lost:
            component = next((name for name in sorted(seen["components"]) if name == lost[0]["service"]), "ingress/" + ingress["name"])
            yield Finding("ingress.backend_missing", component, CRITICAL, {**evidence, **lost[0], "backends": len(lost)})
        elif named:
            yield Clear("ingress.backend_missing", "ingress/" + ingress["name"], {**evidence, "backends": len(named)})


@judges("tls.certificate_expired", "tls.certificate_expiring", "tls.certificate_wrong_host", "tls.secret_missing", domain=kube.DOMAIN)
def certificates(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """The certificates that the Ingresses show: there, in date (tls_certificate_days before the end is a warning), and for the host."""
    known = {(one["namespace"], one["name"]): one for one in kube.facts(seen)["secrets"]}
    for ingress in kube.facts(seen)["ingresses"]:
        component = _behind(seen, ingress)
        for tls in ingress["tls"]:
            secret = known.get((ingress["namespace"], tls["secret"]))
            evidence: dict[str, Any] = {"ingress": ingress["name"], "namespace": ingress["namespace"], "secret": tls["secret"], "hosts": tls["hosts"]}
            if not tls["secret"] or secret is None:
                continue  # the controller's own certificate, or one beyond those that are read
            if secret.get("unread"):
                yield Unseen("tls.certificate_expired", component, secret["unread"]["reason"], secret["unread"]["fix"])
                continue
            if secret.get("missing"):
                yield Finding("tls.secret_missing", component, CRITICAL, evidence)
                continue
            certificate = secret.get("certificate")
            if certificate:
                yield from _judge_certificate(seen, component, certificate, evidence, limits)


def _judge_certificate(seen: dict[str, Any], component: str, certificate: dict[str, Any], evidence: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    left = (certificate["not_after"] - seen["now"]) / DAY
    evidence = {**evidence, "names": certificate["names"], "issuer": certificate.get("issuer", ""), "days": round(left, 1)}
    wrong = [host for host in evidence["hosts"] if not any(covers(name, host) for name in certificate["names"])]
    if left <= 0 or certificate.get("not_before", 0) > seen["now"]:
        yield Finding("tls.certificate_expired", component, CRITICAL, {**evidence, "days": round(abs(left), 1), "early": left > 0})
    elif left < (limits.get("tls_certificate_days") or 0):
        yield Finding("tls.certificate_expiring", component, WARNING, evidence)
    else:
        yield Clear("tls.certificate_expired", component, evidence)
    if wrong:
        yield Finding("tls.certificate_wrong_host", component, CRITICAL, {**evidence, "host": wrong[0]})


def covers(name: str, host: str) -> bool:
    """Whether a name of a certificate, a wildcard for one label maybe, is good for a host."""
    name, host = name.lower(), host.lower()
    return name == host or (name.startswith("*.") and "." in host and host.split(".", 1)[1] == name[2:])


def _behind(seen: dict[str, Any], ingress: dict[str, Any]) -> str:
    """The component that an Ingress leads to; the Ingress itself where that cannot be told."""
    for to in ingress["backends"]:
        service = next((one for one in kube.facts(seen)["services"] if (one["name"], one["namespace"]) == (to["service"], ingress["namespace"])), None)
        if service and service["components"]:
            return str(service["components"][0])
    return "ingress/" + str(ingress["name"])
