# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on settings: are they there, well-formed, the same everywhere, and do they lead where they should?"""

from __future__ import annotations

import re
from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge import view
from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes_ways import service_ports
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import (
    CRITICAL,
    FINITE,
    HIGH,
    LOOPBACK,
    MEDIUM,
    SELDOM_CLIENTS,
    SERVER_NAMES,
    WARNING,
    Clear,
    Finding,
    Unseen,
    server_kind,
    why_unseen,
)

# What was not recognised may be what stands before such a server (pgpool), as a gate does by what is told of it.
SERVER_ROLES = {"postgres": ("postgres", "pgbouncer", "gate", "unknown"), "redis": ("redis", "gate", "unknown")}
# How a server that was asked gives no answer at all.
SILENT = ("refused", "timeout", "unreachable")
# How a container may be made for no network that has a name; the last three are Podman's.
NO_NETWORK = ("container:", "slirp4netns", "pasta", "ns:")
UNNAMED = ("default", "bridge", "host", "none")
# Differ between copies by nature.
OWN_BY_COPY = frozenset(["HOSTNAME", "HOME", "POD_NAME", "POD_IP", "PWD"])


@judges("config.url_malformed", domain="stack")
def malformed(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A connection setting that no client could read; the runbook's form is postgresql://user:pass@host:port/dbname."""
    for component in view.components(seen):
        for target in component["targets"]:
            evidence = {"setting": target["setting"], "reason": target["malformed"], "kind": target["kind"]}
            if target["malformed"]:
                yield Finding("config.url_malformed", component["component"], CRITICAL, evidence)
            else:
                yield Clear("config.url_malformed", component["component"], {"setting": target["setting"], "host": target["host"], "port": target["port"]})


@judges("config.url_malformed", domain="stack")
def unread(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Settings whose values could not be read (a Secret that the account may not see): where they lead was not looked at."""
    for component in view.components(seen):
        by_reason: dict[tuple[str, str], list[str]] = {}
        for name, why in sorted((component.get("unread") or {}).items()):
            if why["kind"] != "not_found":  # what is not there is judged as missing
                by_reason.setdefault((why["reason"], why["fix"]), []).append(name)
        for (reason, fix), names in by_reason.items():
            yield Unseen("config.url_malformed", component["component"], "%s could not be read: %s" % (", ".join(names), reason), fix)


@judges("celery.no_worker", "redis.not_answering", "postgres.not_answering", domain="stack")
def unsupported(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A server of a kind that is not looked at (another broker, a Sentinel, a socket file): nobody may think that it was."""
    for component in view.components(seen):
        for target in component["targets"]:
            if target["kind"] in ("unsupported", "database"):
                finding_id = "redis.not_answering" if target["scheme"].startswith(("redis", "valkey", "sentinel", "unix")) else "celery.no_worker"
                finding_id = "postgres.not_answering" if target["scheme"].startswith("postgres") or target["kind"] == "database" else finding_id
                yield Unseen(
                    finding_id, component["component"], "%s names a server of the kind %s, which is not supported" % (target["setting"], target["scheme"])
                )


@judges("postgres.not_answering", "redis.not_answering", domain="stack")
def unnamed(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A server elsewhere that is known by an open connection only: no setting tells with which account it could be asked."""
    for edge in seen.get("edges", []):
        if edge["kind"] == "peer" and edge["to"] not in seen["components"]:
            finding_id = "postgres.not_answering" if edge["port"] == 5432 else "redis.not_answering"
            yield Unseen(finding_id, edge["to"], "%s is connected to it, and no setting that was found names it" % edge["from"])


@judges("postgres.not_answering", "redis.not_answering", domain="stack")
def unasked(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A part of the stack that a setting for a PostgreSQL or Redis leads to, and that is not asked as one: nobody may think that it was."""
    led = {(edge["from"], edge["to"], server_kind(edge["kind"])): edge for edge in seen.get("edges", []) if server_kind(edge["kind"]) in SERVER_ROLES}
    for (client, server, kind), edge in sorted(led.items()):
        further = [to for one, to, _kind in led if one == server]
        asked = any(place in seen.get(kind, {}) for place in [server, *further])
        seldom = view.role(seen, client) in FINITE or (kind == "postgres" and view.role(seen, client) in SELDOM_CLIENTS)
        missed = any(fact.get("from") == client and fact.get("to") == server and not fact.get("connects") for fact in seen.get("reach", []))
        # What cannot be reached is told as that, and what does not run, too.
        if not (asked or seldom or missed) and view.runs(seen, client) and view.runs(seen, server):
            reason = "%s of %s leads to it, and it was not asked: by what is known of it (%s) it is no %s"
            yield Unseen(kind + ".not_answering", server, reason % (edge["setting"], client, view.role(seen, server), SERVER_NAMES[kind]))


@judges("celery.no_worker", domain="stack")
def brokerless(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A worker whose broker is named by no setting (but in its code, or in a file of its own): nobody asked whether it works."""
    for component in view.components(seen):
        told = any(target["kind"] in ("broker", "redis", "unsupported") for target in component["targets"])
        if component["role"] == "worker" and view.running(component) and not told and not component.get("unread"):
            yield Unseen("celery.no_worker", component["component"], "no setting of it names its broker: whether it works was not looked at")


@judges("config.setting_missing", domain="stack")
def missing(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A component that does not start names a setting that it has not got, or lacks a connection that its twins (same image) have."""
    for component in view.components(seen):
        name = component["component"]
        present = {setting["name"] for setting in component["settings"] if setting["set"]}
        for one in view.instances(component):
            starting = view.failing_start(seen, name, one)
            if one["state"] == "running" and not starting and not view.is_looping(seen, name, one):
                continue
            words = starting or one.get("last_words") or {}
            wanted = (words.get("detail") or {}).get("name", "")
            if words.get("kind") == "setting_missing" and wanted and wanted.upper() not in {setting.upper() for setting in present}:
                twin = _twin_with(seen, component, one, wanted)
                yield Finding(
                    "config.setting_missing", name, CRITICAL, {"setting": wanted, "instance": one["name"], "twin": twin, "last_words": words.get("sample", "")}
                )
                break
            lacking = _lacking(seen, component, one, words)
            if lacking and one["exit_code"] not in (0, 126, 127, 137, 143):
                yield Finding(
                    "config.setting_missing",
                    name,
                    CRITICAL,
                    {"setting": lacking[0], "instance": one["name"], "twin": lacking[1], "last_words": words.get("sample", "")},
                    confidence=MEDIUM,
                )
                break


def _twin_with(seen: dict[str, Any], component: dict[str, Any], one: dict[str, Any], setting: str) -> str:
    for other in view.components(seen):
        if other["component"] != component["component"] and any(copy["image_id"] == one["image_id"] for copy in other["instances"]):
            if any(entry["name"].upper() == setting.upper() and entry["set"] for entry in other["settings"]):
                return other["component"]
    return ""


def _lacking(seen: dict[str, Any], component: dict[str, Any], one: dict[str, Any], words: dict[str, Any]) -> tuple[str, str] | None:
    """A connection setting that every running twin has and this component has not: (setting, twin). What nobody recognises may need none.

    Only where its last words speak of that setting, or of such a server, or where it has said nothing: a part of the same image may do without.
    """
    if component["role"] == "unknown":
        return None
    own = {target["setting"] for target in component["targets"]} | {setting["name"] for setting in component["settings"] if setting["set"]}
    twins = [
        other
        for other in view.components(seen)
        if other["component"] != component["component"] and view.running(other) and any(copy["image_id"] == one["image_id"] for copy in other["instances"])
    ]
    if not twins:
        return None
    common = set.intersection(*({target["setting"] for target in twin["targets"]} for twin in twins))
    kinds = {target["setting"]: target["kind"] for twin in twins for target in twin["targets"]}
    lacking = [name for name in sorted(common - own) if _speaks_of(words, name, kinds[name])]
    return (lacking[0], twins[0]["component"]) if lacking else None


def _speaks_of(words: dict[str, Any], setting: str, kind: str) -> bool:
    """Whether last words fit a connection setting that is not there: they name it, or the kind of its server, or there are none."""
    said = str(words.get("sample") or "")
    if not said and not words.get("kind"):
        return True
    detail = words.get("detail") or {}
    named = [str(name).upper() for name in [detail.get("name", ""), *(detail.get("names") or [])]]
    about = words.get("about") or ""
    in_words = re.search(r"(?<!\w)%s(?!\w)" % re.escape(setting), said, re.IGNORECASE)
    return bool(setting.upper() in named or in_words or (about and server_kind(about) == server_kind(kind)))


@judges("config.setting_differs", domain="stack")
def differs(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Copies of one component that run with different settings: half of the requests behave otherwise."""
    for component in view.components(seen):
        copies = view.running(component)
        # Those of two revisions are meant to differ, for as long as one takes the place of the other.
        copies = [one for one in copies if one.get("revision") == copies[-1].get("revision")]
        if seen.get("platform") == "kubernetes":
            # Of a copy that was not asked only what the next one would be given is known.
            copies = [one for one in copies if one["processes"]] or copies
        if len(copies) < 2:
            continue
        names = set().union(*(one["environment_hashes"] for one in copies)) - OWN_BY_COPY
        different = sorted(name for name in names if len({one["environment_hashes"].get(name) for one in copies}) > 1)
        if different:
            yield Finding("config.setting_differs", component["component"], WARNING, {"settings": different, "instances": [one["name"] for one in copies]})
        else:
            yield Clear("config.setting_differs", component["component"], {"instances": len(copies)})


@judges(
    "container.not_running",
    "config.host_unresolved",
    "config.wrong_port",
    "config.wrong_host",
    "network.unreachable",
    "network.refused",
    "network.partitioned",
    domain="stack",
)
def reach(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Does each setting lead somewhere? Asked from where the component stands: its resolver, its network."""
    told: set[tuple[str, str, Any]] = set()
    for fact in seen.get("reach", []):
        why = why_unseen(fact)
        if why or "from" not in fact:
            yield Unseen(
                "network.unreachable", fact.get("probe", "stack").split(":")[-2] if fact.get("probe") else "stack", (why or {}).get("reason", "not observed")
            )
            continue
        answer = _judge_reach(seen, fact, limits)
        if answer is None:
            continue
        key = (answer.id, answer.component, fact["host"] if isinstance(answer, (Finding, Clear)) else "")
        if key not in told:
            told.add(key)
            yield answer


def _judge_reach(seen: dict[str, Any], fact: dict[str, Any], limits: Limits) -> Answer | None:
    client, server = fact["from"], fact["to"]
    evidence = {key: fact.get(key) for key in ("setting", "host", "port", "kind", "addresses", "error", "seconds")}
    evidence.update(_blocked_by(fact))
    about = server or None
    severity = WARNING if fact["kind"] in ("llm", "http") else CRITICAL
    why = why_unseen(fact["resolves"])
    if why:
        return Unseen("config.host_unresolved", client, why["reason"], why["fix"])
    if fact["kind"] == "http" and fact["host"] in LOOPBACK and not fact.get("connects") and not _stands_beside(seen, client):
        return None  # as often as not it is what browsers are told, who stand elsewhere
    if server and not view.runs(seen, server):
        return None  # the server itself is judged
    if server and view.is_starting(seen, server, limits) and not fact.get("connects"):
        return Unseen("network.unreachable", client, "%s has just been started" % server)
    if not fact["resolves"]:
        gone = fact.get("elsewhere")
        if gone:
            seconds = round(max(0.0, seen["now"] - gone["finished_at"])) if gone["finished_at"] else None
            return Finding("container.not_running", fact["outer"], severity, {**gone, "seconds": seconds, "stopped_by": "", "named_by": [client]})
        if not server or seen.get("platform") == "kubernetes":  # there a name comes from a Service, not from a network
            return Finding("config.host_unresolved", client, severity, evidence, about=about)
        if _lost_network(seen, client) or _lost_network(seen, server):
            return None  # told once, by partitioned()
        return Finding("network.partitioned", client, severity, {**evidence, "networks_missing": [], "shared": []}, about=about)
    offered = service_ports(seen, client, fact["host"])
    missed = bool(offered and fact["port"] not in offered)
    if fact.get("connects") and not missed:
        return Clear("network.unreachable", client, evidence, about=about)
    outer = seen.get(server_kind(fact["kind"]), {}).get(fact.get("outer") or "") if not server else None
    if outer and (why_unseen(outer.get("answers")) or {}).get("kind") in SILENT:
        return None  # the server elsewhere was asked, too, and is judged itself
    if fact.get("meshed") and not missed:
        return None  # the proxy of its mesh takes every connection, which proves nothing; the server is asked by itself
    # A port that a Service does not offer may be refused, lead nowhere at all, or out of the cluster to somebody else.
    if fact.get("error") != "refused" and not missed:
        if server and (_lost_network(seen, client) or _lost_network(seen, server)):
            return None
        return Finding("network.unreachable", client, severity, evidence, about=about)
    return _judge_refusal(seen, fact, evidence, severity, offered)


def _blocked_by(fact: dict[str, Any]) -> dict[str, str]:
    """The rule of a packet filter that is in the way, as evidence, or why none could be looked for; {} where there is none, or nobody looked."""
    found = fact.get("filter")
    why = why_unseen(found)
    if found is None or not (why or found["rule"]):
        return {}
    return {"packet_filter": why["reason"]} if why else {"blocking_rule": found["rule"], "rule_stands_in": found["where"] or "host"}


def _judge_refusal(seen: dict[str, Any], fact: dict[str, Any], evidence: dict[str, Any], severity: str, offered: list[int] | None) -> Answer:
    """Somebody is there and nothing listens at that port: whose mistake is it? offered: the ports of the Service between them, where there is one."""
    client, server, wanted = fact["from"], fact["to"], server_kind(fact["kind"])
    proxies = _stands_beside(seen, client) if server == client else []
    if proxies and fact["host"] in LOOPBACK:
        return Finding("network.refused", client, severity, {**evidence, "server": "the container %s beside it" % ", ".join(proxies)})
    if server == client:
        return Finding("config.wrong_host", client, severity, {**evidence, "leads_to": "itself", "role": view.role(seen, client)})
    expected = SERVER_ROLES.get(wanted)
    if server and expected and view.role(seen, server) not in expected:
        return Finding("config.wrong_host", client, severity, {**evidence, "leads_to": server, "role": view.role(seen, server)}, about=server)
    listening = sorted({port for one in view.running(seen["components"][server]) for port in one["listening"] or []}) if server else []
    listening = listening if offered is None else offered
    if listening and fact["port"] not in listening and (server or offered):
        return Finding("config.wrong_port", client, severity, {**evidence, "listening": listening}, about=server or None)
    return Finding("network.refused", client, severity, {**evidence, "server": "its server"}, about=server or None)


def _stands_beside(seen: dict[str, Any], name: str) -> list[str]:
    """What stands beside a component and may lead its connections to localhost on."""
    return sorted({proxy for one in view.running(seen["components"][name]) for proxy in one.get("proxies") or []})


def _lost_network(seen: dict[str, Any], name: str) -> list[str]:
    """The networks that a component was made for and does not stand on now."""
    component = seen["components"].get(name)
    lost: set[str] = set()
    for one in view.running(component) if component else []:
        home = one["home_network"]
        if home and home not in UNNAMED and not home.startswith(NO_NETWORK) and home not in one["networks"]:
            lost.add(home)
    drift = seen.get("drift")
    if not why_unseen(drift) and drift and name in drift:
        lost.update(drift[name]["networks_missing"])
    return sorted(lost)


@judges("network.partitioned", domain="stack")
def partitioned(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A running component that was taken off a network it was made for."""
    for component in view.components(seen):
        if not view.running(component):
            continue
        lost = _lost_network(seen, component["component"])
        on = sorted({network for one in view.running(component) for network in one["networks"]})
        if lost:
            yield Finding("network.partitioned", component["component"], CRITICAL, {"networks_missing": lost, "networks": on})
        else:
            yield Clear("network.partitioned", component["component"], {"networks": on})


@judges("postgres.password_rejected", "redis.password_rejected", "config.stale_environment", domain="stack")
def accounts(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A client whose account the server refuses; and where the files already hold another value, a client that was not restarted.

    Known without a failed login of ours wherever another client's account of the same user was let in: a role has one password.
    """
    for kind in ("postgres", "redis"):
        for server, facts in sorted(seen.get(kind, {}).items()):
            if server not in seen["components"] and (why_unseen(facts.get("answers")) or {}).get("kind") == "dns":
                continue  # no server was found there that could let anybody in
            there = _worst_by_client(facts.get("accounts") or [])
            complaints = {account["component"]: _complaint(seen, account["component"], kind + "_auth", limits) for account in there}
            for account in there:
                # What one client of a user meets, every client of that user meets that was started before the change.
                same_user = [complaints[other["component"]] for other in there if other["user"] == account["user"]]
                yield from _judge_account(seen, kind, server, facts, account, complaints[account["component"]] or next((one for one in same_user if one), None))


@judges("postgres.password_rejected", "config.stale_environment", domain="stack")
def doors(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A client whose account a pooler refuses at its own door, whatever the database behind it says."""
    for pooler, facts in sorted(seen.get("doors", {}).items()):
        why = why_unseen(facts.get("unasked")) if "unasked" in facts else None
        if why:
            yield Unseen("postgres.password_rejected", pooler, why["reason"], why["fix"])
        for account in _worst_by_client(facts["accounts"]):
            complaint = _complaint(seen, account["component"], "postgres_auth", limits)
            yield from _judge_account(seen, "postgres", pooler, facts, account, complaint)


def _worst_by_client(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One account for each client: the refused one if there is one."""
    worst: dict[str, dict[str, Any]] = {}
    for account in found:
        if account["component"] not in worst or account["accepted"] is False:
            worst[account["component"]] = account
    return list(worst.values())


def _judge_account(
    seen: dict[str, Any], kind: str, server: str, facts: dict[str, Any], account: dict[str, Any], complaint: dict[str, Any] | None
) -> Iterator[Answer]:
    client = account["component"]
    evidence = {"setting": account["setting"], "user": account["user"], "server": server}
    stale = _stale_since(seen, client, account, complaint)
    refused = account["accepted"] is False
    if refused or (stale and complaint):
        if kind == "redis" and why_unseen(facts["answers"]) and not stale:
            return  # nobody is let in: the server's own judgement
        if stale:
            yield Finding("config.stale_environment", client, CRITICAL, {**evidence, **stale}, about=server)
        yield Finding(kind + ".password_rejected", client, CRITICAL, {**evidence, "seen_in_log": bool(complaint)}, HIGH if refused else MEDIUM, about=server)
    elif account["accepted"]:
        yield Clear(kind + ".password_rejected", client, evidence, about=server)
    elif account.get("reason"):
        yield Unseen(kind + ".password_rejected", client, "whether %s lets %s in is not known: %s" % (server, client, account["reason"]))
    elif not _listed(facts, client):
        yield Unseen(kind + ".password_rejected", client, "whether %s lets %s in as %s was not tried" % (server, client, account["user"] or "its user"))


def _listed(facts: dict[str, Any], client: str) -> bool:
    """Whether the server's own list of roles was read, and tells of this client's: then that is judged, and no login need be tried."""
    credentials = facts.get("credentials")
    return not why_unseen(credentials) and any(entry["component"] == client for entry in credentials or [])


def _complaint(seen: dict[str, Any], client: str, kind: str, limits: Limits) -> dict[str, Any] | None:
    """What the client's own log says of it, if it said so lately."""
    logs = seen["components"].get(client, {}).get("logs", {})
    if why_unseen(logs):
        return None
    window = limits.get("log_window_seconds", component=client) or 0
    return next((one for one in logs["signatures"] if one["kind"] == kind and seen["now"] - one["last"] <= window), None)


def _stale_since(seen: dict[str, Any], client: str, account: dict[str, Any], complaint: dict[str, Any] | None) -> dict[str, Any] | None:
    """Whether the client runs with an older value than the one that stands where it is kept now."""
    drift = seen.get("drift")
    if not why_unseen(drift) and drift and account["setting"] in drift.get(client, {}).get("accepted_after_restart", []):
        return {"kept_in": "its ConfigMaps and Secrets" if seen.get("platform") == "kubernetes" else "the project's files"}
    changed = account.get("password_changed_at") or 0
    started = [one["started_at"] for one in view.running(seen["components"].get(client, {"instances": []}))]
    if changed and started and changed > max(started) and complaint and complaint["last"] > changed:
        return {"kept_in": account["setting"], "changed_seconds_ago": round(seen["now"] - changed)}
    return None


@judges("config.files_invalid", domain="stack")
def files(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """The project's own files cannot be read by the platform any more: the next deploy will fail."""
    why = why_unseen(seen.get("drift"))
    if why and why["kind"] == "compose_invalid":
        yield Finding("config.files_invalid", "stack", WARNING, {"reason": why["reason"]})
    elif why and why["kind"] == "variable_missing":
        yield Unseen("config.files_invalid", "stack", why["reason"], "look with the variables with which it is deployed")
    elif not why and seen.get("platform") != "kubernetes":
        yield Clear("config.files_invalid", "stack", {})
