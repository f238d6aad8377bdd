# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judge all observations of a stack. Pure: it gives the same answers for a document that was saved weeks ago."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.judge import celery, config, containers, http, logs, network, pools, postgres, redis, view
from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube
from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes import awake, judge_kubernetes
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import Finding, Unseen, why_unseen

# Importing them is what registers their judges.
DOMAINS = (celery, config, containers, http, logs, network, pools, postgres, redis)
SERVER_DOMAINS = ("postgres", "redis", "celery", "http")
# What a component that has just been started cannot be blamed for yet.
NOT_YET = (
    "http.",
    "celery.worker_not_responding",
    "celery.no_worker",
    "celery.queue_without_consumer",
    "network.outside_unreachable",
    "container.unhealthy",
    "postgres.starting_up",
    "postgres.not_answering",
    "redis.loading",
    "redis.not_answering",
)


def judge_stack(seen: dict[str, Any], limits: Limits) -> list[Answer]:
    """Every answer of every judge on these observations."""
    answers: list[Answer] = []
    for domain in SERVER_DOMAINS:
        for component, facts in sorted(seen.get(domain, {}).items()):
            why = why_unseen(facts.get("answers"))
            if why and why["kind"] == "not_running":
                # Whether that is an illness is the containers' judgement; nothing was seen of the rest.
                continue
            if why and why["kind"] == "dns" and component not in seen["components"]:
                # A server elsewhere whose name nobody knows: the setting that names it is judged, where it was followed.
                if not any(fact.get("outer") == component and fact.get("resolves") is False for fact in seen.get("reach", [])):
                    answers.append(Unseen(domain + ".not_answering" if domain != "celery" else "celery.no_worker", component, why["reason"]))
                continue
            if domain == "celery" and why:
                # A broker that does not answer is judged as a Redis; what it would have told is not known.
                answers.append(Unseen("celery.no_worker", facts["component"], "the broker could not be asked: %s" % why["reason"], why["fix"]))
                continue
            if why and facts.get("through") and _reach_tells(seen, component, facts["through"]):
                continue
            found = list(judge_domain(domain, facts, limits))
            if facts.get("through") and not why:
                known = _known_itself(seen, domain, component, facts, limits)
                found = [answer for answer in found if not isinstance(answer, Finding) or answer.id not in known]
            if len(view.running(seen["components"].get(facts["component"], {"instances": []}))) > 1 and facts.get("instance"):
                found = [_of_copy(answer, facts["instance"]) for answer in found]
            answers.extend(found)
    for component in view.components(seen):
        why = why_unseen(component["logs"])
        if not why:
            answers.extend(judge_domain("logs", component["logs"], limits))
        elif why["kind"] != "not_running":
            answers.append(Unseen("logs.error_burst", component["component"], why["reason"], why["fix"]))
    answers.extend(judge_domain(containers.DOMAIN, seen, limits))
    answers.extend(judge_domain("stack", {**seen, **pools_view(seen)}, limits))
    answers = awake(seen, answers + judge_kubernetes(seen, limits))
    return [_not_yet(seen, _behind_a_rule(seen, answer), limits) for answer in answers]


def _behind_a_rule(seen: dict[str, Any], answer: Answer) -> Answer:
    """A server is not blamed for its silence where a rule of a packet filter is known to stand before it."""
    if not isinstance(answer, Finding) or not answer.id.endswith(".not_answering"):
        return answer
    found = [fact["filter"] for fact in seen.get("reach", []) if fact.get("to") == answer.component and fact.get("filter")]
    if not any(one.get("rule") for one in found):
        return answer
    return Unseen(answer.id, answer.component, "a rule of a packet filter stands before it", "take the rule away, then run it again")


def _reach_tells(seen: dict[str, Any], place: str, through: str) -> bool:
    """Whether nobody gets as far as the component through which a server is met: the setting or the network is judged by that."""
    met = [fact for fact in seen.get("reach", []) if fact.get("to") == through and place.endswith(":%s" % fact.get("port"))]
    return bool(met) and not any(fact.get("connects") for fact in met)


def _known_itself(seen: dict[str, Any], domain: str, place: str, facts: dict[str, Any], limits: Limits) -> set[str]:
    """The findings of the same server where it is a part of the stack and was asked itself, too."""
    marks = ("started", "run_id")
    own = [(facts.get("server") or {}).get(mark) for mark in marks]
    found: set[str] = set()
    for other, known in seen.get(domain, {}).items():
        same = other != place and not known.get("through") and not why_unseen(known.get("answers"))
        if same and any(own) and [(known.get("server") or {}).get(mark) for mark in marks] == own:
            found |= {answer.id for answer in judge_domain(domain, known, limits) if isinstance(answer, Finding)}
    return found


def _of_copy(answer: Answer, instance: str) -> Answer:
    """The answer with the name of the copy that it was seen on."""
    return answer if isinstance(answer, Unseen) else replace(answer, evidence={**answer.evidence, "instance": instance})


def _not_yet(seen: dict[str, Any], answer: Answer, limits: Limits) -> Answer:
    """A symptom of a component that has just been started, of one in front of it, or of one more copy of it that comes up, is not an illness yet."""
    if not isinstance(answer, Finding) or not answer.id.startswith(NOT_YET):
        return answer
    copies = view.running(seen["components"].get(answer.component, {"instances": []})) if answer.id.startswith("http.") else []
    coming = next((one for one in copies if one["name"] == answer.evidence.get("instance") and kube.is_coming_up(seen, answer.component, one, limits)), None)
    if coming:
        return kube.not_up_yet(seen, answer.id, answer.component, coming)
    concerned = {answer.component} | {edge["to"] for edge in seen.get("edges", []) if edge["from"] == answer.component}
    if answer.id.startswith("celery."):
        # A worker that answers is up, however young.
        brokers = [facts for facts in seen["celery"].values() if not why_unseen(facts.get("workers"))]
        answering = {worker["hostname"] for facts in brokers for worker in facts["workers"]}
        hosts = {one["instance"]: one["hostname"] for facts in brokers for one in facts.get("expected") or []}
        workers = [component for component in view.components(seen) if component["role"] == "worker"]
        up = {component["component"] for component in workers if all(hosts.get(one["name"], one["id"]) in answering for one in view.running(component))}
        concerned = (concerned | {component["component"] for component in workers}) - up
    young = sorted(name for name in concerned if view.is_starting(seen, name, limits))
    if not young:
        return answer
    return Unseen(
        answer.id,
        answer.component,
        "%s was started less than %d s ago" % (", ".join(young), limits.get("startup_grace_seconds", component=young[0]) or 0),
        "run it again in a moment",
    )


def pools_view(seen: dict[str, Any]) -> dict[str, Any]:
    """What the judges of connection pools are handed: the pool of each client and the slots of each server."""
    pools, servers = [], {}
    for server, facts in sorted(seen.get("postgres", {}).items()):
        if why_unseen(facts.get("answers")) or any(why_unseen(facts.get(key)) for key in ("sessions", "session_counts", "server")):
            continue
        sessions = facts["sessions"]
        settings = facts["server"]
        servers[server] = {"usable": settings["usable"], "used": facts["session_counts"]["total"]}
        for client in facts.get("used_by", []):
            component = seen["components"].get(client)
            if component and view.running(component):
                pools.append(_pool_of(seen, component, server, sessions))
    return {"pools": pools, "servers": servers}


def _pool_of(seen: dict[str, Any], component: dict[str, Any], server: str, sessions: list[dict[str, Any]]) -> dict[str, Any]:
    copies = view.running(component)
    addresses = {address for one in copies for address in one["networks"].values()}
    own = [session for session in sessions if session.get("client_addr") in addresses]
    held = [session.get("state_seconds") or 0.0 for session in own if str(session.get("state")).startswith("idle in transaction")]
    sizes = _pool_settings(component)
    return {
        "component": component["component"],
        "server": server,
        "size": sizes.get("size", 5),
        "overflow": sizes.get("overflow", 10),
        "timeout_seconds": sizes.get("timeout", 30),
        "source": "settings" if "size" in sizes else "SQLAlchemy's defaults",
        "replicas": len(copies),
        "one_at_a_time": component["role"] == "beat" or (component["role"] == "worker" and not any(_threaded(one) for one in copies)),
        "processes": max(1, max((_processes(component["role"], one) for one in copies), default=1)),
        "sessions": {
            "total": len(own),
            "active": sum(1 for session in own if session.get("state") == "active"),
            "idle": sum(1 for session in own if session.get("state") == "idle"),
            "idle_in_transaction": len(held),
            "waiting": sum(map(_held_up, own)),
            "oldest_idle_in_transaction_seconds": max(held, default=0.0),
        },
        "log_errors": _queue_pool_errors(seen, component),
    }


def _held_up(session: dict[str, Any]) -> bool:
    """Waits for somebody's lock, longer than a busy row keeps one waiting; not for a turn, as who asks for an advisory lock does."""
    waits = session.get("waits_seconds")
    seconds = session.get("query_seconds") if waits is None else waits
    return session.get("wait_event_type") == "Lock" and session.get("wait_event") != "advisory" and (seconds or 0.0) >= postgres.EVERYDAY_WAIT_SECONDS


def _pool_settings(component: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for setting in component["settings"]:
        name, value = setting["name"].upper(), str(setting.get("value", ""))
        if not value.lstrip("-").isdigit() or "REDIS" in name or "BROKER" in name:
            continue
        if name.endswith("POOL_TIMEOUT"):
            found["timeout"] = int(value)
        elif name.endswith("OVERFLOW"):
            found["overflow"] = int(value)
        elif name.endswith(("POOL_SIZE", "_POOL")):
            found["size"] = int(value)
    return found


def _processes(role: str, one: dict[str, Any]) -> int:
    """The processes of an instance that hold a pool of their own: the program's leaves, helpers left out."""
    programs = [
        process
        for process in one["processes"]
        if "resource_tracker" not in process["command"] and process["command"].split(" ")[0].rsplit("/", 1)[-1] not in ("sh", "bash", "tini", "dumb-init")
    ]
    parents = {process["parent"] for process in programs}
    return len([process for process in programs if process["pid"] not in parents])


def _threaded(one: dict[str, Any]) -> bool:
    """Whether a Celery worker runs several tasks in one process."""
    return any(pool in process["command"] for process in one["processes"] for pool in ("gevent", "eventlet", "threads"))


def _queue_pool_errors(seen: dict[str, Any], component: dict[str, Any]) -> dict[str, Any] | None:
    logs = component["logs"]
    if why_unseen(logs):
        return None
    hit = next((signature for signature in logs["signatures"] if signature["kind"] == "postgres_pool_exhausted"), None)
    if hit is None:
        return None
    detail = hit.get("detail") or {}
    return {"count": hit["count"], "last_seconds_ago": round(seen["now"] - hit["last"], 1), "size": detail.get("size"), "overflow": detail.get("overflow")}
