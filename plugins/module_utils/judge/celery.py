# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on Celery: its queues and its workers, from what observe/celery.py saw. Pure.

Besides what the broker tells, the caller may add:
expected: [{"component", "instance", "hostname", "processes", "stopped_processes", "age_seconds", "solo"}], the workers that run and are told
that this is their broker ("named": true of one that is taken for a worker by its name only, and runs other programs);
expected_count: how many workers there should be, where no more is known; worker_components: the components that have that role, but those whose
broker is known to be another one, or cannot be told.
"""

from __future__ import annotations

from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, MEDIUM, WARNING, Clear, Finding, Unseen, why_unseen

DOMAIN = "celery"
# The runbook's patience with a backlog that is being worked off: 20 minutes.
PATIENCE_SECONDS = 1200.0
# What `inspect registered` does not list by default (celery.backend_cleanup, celery.chord_unlock, celery.starmap, …).
BUILT_IN = "celery."


@judges("celery.no_worker", domain=DOMAIN, needs=["workers", "queues"])
def no_worker(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Nobody answers and nobody consumes any queue, while messages wait or workers should be there.

    Without either it is no illness: a stack scaled to zero with empty queues is well.
    """
    component = worker_component(seen)
    waiting = {queue["name"]: queue["length"] for queue in seen["queues"] if queue["length"]}
    evidence = {"workers": len(seen["workers"]), "waiting": sum(waiting.values()), "queues": sorted(waiting), "listening": seen.get("listening") or 0}
    wanted = _expected_count(seen) or len(seen.get("worker_components") or [])
    if seen["workers"] or not (waiting or wanted):
        yield Clear("celery.no_worker", component, evidence)
        return
    if _no_trace(seen):
        for name in sorted({one["component"] for one in _expected(seen)}):
            yield Unseen("celery.no_worker", name, *_not_celery(name))
        return
    if any(one["solo"] and one["processes"] and not one["stopped_processes"] for one in _expected(seen)) and _unacked(seen):
        reason = "the worker's solo pool does not answer while it runs a task, and a task is in its hands"
        yield Unseen("celery.no_worker", component, reason, "run it again in a while")
        return
    if _uncontrolled(seen):
        yield Unseen("celery.no_worker", component, *_not_controlled(seen))
        return
    if not waiting and _all_young(seen, limits):
        yield Unseen("celery.no_worker", component, "the workers were started just now", "run it again in a moment")
        return
    yield Finding("celery.no_worker", component, CRITICAL, evidence)


@judges("celery.queue_without_consumer", domain=DOMAIN, needs=["workers", "queues"])
def queue_without_consumer(seen: dict[str, Any], _limits: Limits) -> Iterator[Answer]:
    """Messages wait in a queue that no answering worker consumes, while workers answer: the routing and the workers' -Q do not fit."""
    component = worker_component(seen)
    if not seen["workers"] and any(queue["length"] for queue in seen["queues"]):
        yield Unseen("celery.queue_without_consumer", component, "no worker answered, so it is not known what they consume")
        return
    silent = [worker["name"] for worker in seen["workers"] if worker["queues"] is None]
    consumed = sorted({name for worker in seen["workers"] for name in worker["queues"] or []})
    missing = _missing_count(seen)
    lost = [queue for queue in seen["queues"] if queue["length"] and not queue["consumers"]]
    if lost and silent:
        yield Unseen("celery.queue_without_consumer", component, "%s did not say what it consumes" % ", ".join(silent), "run it again")
        return
    for queue in lost:
        evidence = {"queue": queue["name"], "length": queue["length"], "consumed": consumed, "workers": len(seen["workers"])}
        evidence["tasks"] = _heads(seen, queue["name"])
        # A worker that is silent may be the one that consumes it.
        yield Finding("celery.queue_without_consumer", component, CRITICAL, evidence, confidence=MEDIUM if missing else "high")
    if lost:
        return
    scan = seen.get("scan")
    if isinstance(scan, dict) and scan.get("bindings_complete") is False:
        reason = "the broker's database has %d keys, too many to find every queue in the time given" % scan["keys"]
        yield Unseen("celery.queue_without_consumer", component, reason, "give the broker a database of its own, or a longer timeout")
        return
    evidence = {"queues": [queue["name"] for queue in seen["queues"]], "consumed": consumed, "workers": len(seen["workers"])}
    yield Clear("celery.queue_without_consumer", component, evidence)


@judges("celery.worker_not_responding", domain=DOMAIN, needs=["workers"])
def worker_not_responding(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A worker that runs (or is expected) did not answer a ping. Not said of one that has been started just now, of a solo pool
    (it cannot answer while it runs a task), of one whose processes are stopped (that is celery.worker_stalled), and where nobody listens to
    pings while somebody waits for messages.
    """
    if not seen.get("expected"):
        yield from _not_responding_by_count(seen)
        return
    silent = silent_workers(seen)
    names = {one["component"] for one in _expected(seen)}
    told = set()
    for one in silent:
        component = one["component"]
        evidence = {
            "instance": one["instance"],
            "seconds": round(one["age_seconds"]),
            "processes": one["processes"],
            "answered": [worker["name"] for worker in seen["workers"]],
            "silent": len(silent),
            "expected": len(_expected(seen)),
        }
        if one["stopped_processes"]:
            continue
        told.add(component)
        if one.get("named"):
            yield Unseen("celery.worker_not_responding", component, *_not_celery(component))
        elif one["age_seconds"] < (limits.get("startup_grace_seconds", component=component) or 0):
            reason = "%s was started %d s ago" % (one["instance"], one["age_seconds"])
            yield Unseen("celery.worker_not_responding", component, reason, "run it again in a moment")
        elif one["solo"] and one["processes"]:
            reason = "%s has a solo pool, which does not answer while it runs a task" % one["instance"]
            yield Unseen("celery.worker_not_responding", component, reason, "run it again in a while")
        elif _uncontrolled(seen):
            yield Unseen("celery.worker_not_responding", component, *_not_controlled(seen))
        else:
            yield Finding("celery.worker_not_responding", component, CRITICAL if len(silent) == len(_expected(seen)) else WARNING, evidence)
    for component in sorted(names - told - {one["component"] for one in silent}):
        yield Clear("celery.worker_not_responding", component, {"answered": [worker["name"] for worker in seen["workers"]], "expected": len(_expected(seen))})


@judges("celery.worker_stalled", domain=DOMAIN, needs=["workers", "queues", "samples"])
def worker_stalled(seen: dict[str, Any], _limits: Limits) -> Iterator[Answer]:
    """A worker answers a ping and does not work: its queue has messages and does not become shorter, or it holds tasks that it does not
    begin, while nothing is active and nothing was processed over all samples (the reconnect hang, celery #8030); or processes of
    its pool are stopped (state T).
    """
    default = worker_component(seen)
    found = set()
    hidden: dict[str, tuple[str, str]] = {}
    for one in _expected(seen):
        if one["stopped_processes"]:
            found.add(one["component"])
            evidence = {"why": "stopped", "worker": one["instance"], "stopped": one["stopped_processes"], "processes": one["processes"]}
            yield Finding("celery.worker_stalled", one["component"], CRITICAL, {**evidence, "waiting": _waiting(seen), "queue": None, "seconds": None})
    for worker in seen["workers"]:
        component = _component_of(seen, worker) or default
        why, unwatched = None if component in found else stalled(seen, worker), not_watched(seen, worker)
        if why:
            found.add(component)
            yield Finding("celery.worker_stalled", component, CRITICAL, {"worker": worker["name"], **why})
        elif unwatched:
            hidden[component] = unwatched
    for component in sorted({one["component"] for one in _expected(seen)} | {default}):
        if component in found or not seen["workers"]:
            continue
        if component in hidden:
            yield Unseen("celery.worker_stalled", component, *hidden[component])
            continue
        active = sum(worker["active"] for worker in seen["workers"])
        yield Clear(
            "celery.worker_stalled", component, {"workers": len(seen["workers"]), "active": active, "waiting": _waiting(seen), "samples": len(seen["samples"])}
        )


@judges("celery.queue_backlog", domain=DOMAIN, needs=["queues", "samples"])
def queue_backlog(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """At least 100 messages (celery-mixin) in a queue that is not being drained: it does not become shorter, and at the rate at which
    its workers finish tasks it would take more than the 20 minutes that are given to a backlog.
    """
    component = worker_component(seen)
    grown = False
    for queue in seen["queues"]:
        level = limits.grade("celery_queue_length", queue["length"], component)
        if not level:
            continue
        rate = drain(seen, queue)
        if rate["draining"]:
            continue
        grown = True
        evidence = {"queue": queue["name"], "length": queue["length"], "consumers": len(queue["consumers"]), **rate}
        yield Finding("celery.queue_backlog", component, level, evidence, confidence=MEDIUM)
    if not grown:
        longest = max(seen["queues"], key=lambda queue: queue["length"], default=None)
        evidence = {"queue": longest["name"] if longest else "", "length": longest["length"] if longest else 0}
        yield Clear("celery.queue_backlog", component, {**evidence, "limit": limits.get("celery_queue_length", WARNING, component)})


@judges("celery.task_unregistered", domain=DOMAIN, needs=["queues", "messages", "workers"])
def task_unregistered(seen: dict[str, Any], _limits: Limits) -> Iterator[Answer]:
    """A task that comes next in a queue is registered at no worker that consumes it: it will be thrown away, with an error in the log only.

    Celery's own tasks every worker has, and leaves out of its answer.
    """
    component = worker_component(seen)
    looked = unregistered = 0
    for head in seen["messages"]:
        consumers = [worker for worker in seen["workers"] if head["queue"] in (worker["queues"] or [])]
        if not consumers or any(worker["registered"] is None for worker in consumers):
            continue
        known = {task for worker in consumers for task in worker["registered"]}
        looked += head["looked_at"]
        lost = [task for task in head["tasks"] if task != "?" and task not in known and not task.startswith(BUILT_IN)]
        if lost:
            unregistered += 1
            evidence = {"queue": head["queue"], "tasks": lost, "consumers": [worker["name"] for worker in consumers], "registered": len(known)}
            yield Finding("celery.task_unregistered", component, CRITICAL, evidence)
    if not unregistered:
        known = {task for worker in seen["workers"] for task in worker["registered"] or []}
        yield Clear("celery.task_unregistered", component, {"messages": looked, "registered": len(known)})


@judges("celery.oldest_unacked", domain=DOMAIN, needs=["unacked"])
def oldest_unacked(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A message has been in a worker's hands for longer than visibility_timeout (3600 s; kombu): with acks_late it is delivered once more,
    and executed twice. A task with a far ETA looks the same, and has the same fate.
    """
    component = worker_component(seen)
    facts = seen["unacked"]
    seconds = facts["oldest_seconds"]
    evidence = {"count": facts["count"], "seconds": seconds, "limit": limits.get("celery_oldest_unacked_seconds", WARNING, component)}
    level = limits.grade("celery_oldest_unacked_seconds", seconds, component) if seconds is not None and facts["count"] else None
    yield Finding("celery.oldest_unacked", component, level, evidence) if level else Clear("celery.oldest_unacked", component, evidence)


def worker_component(seen: dict[str, Any]) -> str:
    """Whom a finding on queues is about: the one component that works, else the broker's."""
    workers = seen.get("worker_components") or []
    return workers[0] if len(workers) == 1 else seen["component"]


def silent_workers(seen: dict[str, Any]) -> list[dict[str, Any]]:
    """The expected workers that did not answer: by host name; where names do not fit, by their number."""
    answered = [worker["hostname"] for worker in seen["workers"]]
    left, unmatched = list(answered), _expected(seen)
    # The whole name first, then that with a domain after it: worker-10 does not answer for worker-1.
    for whole in (True, False):
        asked, unmatched = unmatched, []
        for one in asked:
            names = [name for name in left if _stands_at(name, one, whole)]
            if names:
                left.remove(names[0])
            elif not any(_stands_at(name, one, whole) for name in answered):
                unmatched.append(one)
    # Answers under names of their own (hostname:, -n) stand for somebody: whose processes run and are not stopped first.
    strangers = len([name for name in left if not any(_stands_at(name, one, whole) for one in _expected(seen) for whole in (True, False))])
    unmatched.sort(key=lambda one: (bool(one["stopped_processes"]), not one["processes"]))
    return unmatched[strangers:]


def stalled(seen: dict[str, Any], worker: dict[str, Any]) -> dict[str, Any] | None:
    """Why this worker does not work although it answers; None when it does, or when that cannot be said."""
    samples = seen["samples"]
    if len(samples) < 2 or worker["queues"] is None:
        return None
    over = [sample["workers"].get(worker["name"]) for sample in samples]
    if any(one is None or one["active"] or one["processed"] is None for one in over) or over[0]["processed"] != over[-1]["processed"]:
        return None
    seconds = samples[-1]["seconds"]
    if all(one["reserved"] for one in over) and any(task not in worker["rate_limited"] for task in worker["reserved_tasks"]):
        return {"why": "holds", "queue": None, "waiting": worker["reserved"], "seconds": seconds, "stopped": 0, "processes": None}
    if any(one["reserved"] for one in over):
        # Tasks with a rate limit wait for their turn.
        return None
    for name in worker["queues"]:
        lengths = [sample["lengths"].get(name, 0) for sample in samples]
        if all(lengths) and lengths[-1] >= lengths[0]:
            return {"why": "queue", "queue": name, "waiting": lengths[-1], "seconds": seconds, "stopped": 0, "processes": None}
    return None


def not_watched(seen: dict[str, Any], worker: dict[str, Any]) -> tuple[str, str] | None:
    """(reason, fix) why nobody saw whether this worker works, although something waits for it; None where that was seen, or nothing waits."""
    if worker["active"]:
        return None
    if worker["queues"] is None:
        waits = _waiting(seen) or worker["reserved"]
        return ("%s did not say what it consumes" % worker["name"], "run it again") if waits else None
    if len(seen["samples"]) != 1:
        return None
    lengths = seen["samples"][0]["lengths"]
    if not worker["reserved"] and not any(lengths.get(name) for name in worker["queues"]):
        return None
    return "no time was left for a second look at what waits for %s" % worker["name"], "run it again, or with a longer timeout"


def drain(seen: dict[str, Any], queue: dict[str, Any]) -> dict[str, Any]:
    """How fast a queue becomes shorter: {"draining", "per_second" (negative: it grows), "finished_per_second"}."""
    samples = seen["samples"]
    if len(samples) < 2 or not samples[-1]["seconds"]:
        return {"draining": False, "per_second": None, "finished_per_second": None}
    seconds = samples[-1]["seconds"]
    fell = samples[0]["lengths"].get(queue["name"], 0) - samples[-1]["lengths"].get(queue["name"], 0)
    finished = 0
    for name in queue["consumers"]:
        before, after = samples[0]["workers"].get(name), samples[-1]["workers"].get(name)
        if before and after and before["processed"] is not None and after["processed"] is not None:
            finished += max(0, after["processed"] - before["processed"])
    needed = queue["length"] / (finished / seconds) if finished else None
    draining = fell > 0 or (needed is not None and needed <= PATIENCE_SECONDS)
    return {"draining": draining, "per_second": round(fell / seconds, 1), "finished_per_second": round(finished / seconds, 1)}


def _expected(seen: dict[str, Any]) -> list[dict[str, Any]]:
    return seen.get("expected") or []


def _no_trace(seen: dict[str, Any]) -> bool:
    """Whether nothing speaks of Celery here but the names of components: they may work with something else (RQ, Arq, Dramatiq)."""
    expected = _expected(seen)
    return bool(expected) and all(one.get("named") for one in expected) and not seen["workers"] and not seen.get("queues")


def _uncontrolled(seen: dict[str, Any]) -> bool:
    """Whether nobody listens to pings while somebody waits for messages: workers whose silence proves nothing."""
    poppers = seen.get("poppers")
    return bool(not why_unseen(poppers) and poppers and not seen["workers"] and not seen.get("listening"))


def _not_controlled(seen: dict[str, Any]) -> tuple[str, str]:
    reason = "nobody answers, but %d clients wait for messages: is remote control switched off?" % seen["poppers"]
    return reason, "worker_enable_remote_control = True"


def _not_celery(component: str) -> tuple[str, str]:
    return "nothing shows that %s works with Celery: its work was not looked at" % component, "name it: roles: {%s: …}" % component


def _expected_count(seen: dict[str, Any]) -> int:
    return len(_expected(seen)) or int(seen.get("expected_count") or 0)


def _missing_count(seen: dict[str, Any]) -> int:
    return len(silent_workers(seen)) if _expected(seen) else max(0, _expected_count(seen) - len(seen["workers"]))


def _not_responding_by_count(seen: dict[str, Any]) -> Iterator[Answer]:
    component, count = worker_component(seen), int(seen.get("expected_count") or 0)
    answered = [worker["name"] for worker in seen["workers"]]
    # Who was handed the question and kept silent counts, too, where no number was given.
    wanted = count or int(seen.get("listening") or 0)
    silent = max(0, wanted - len(answered))
    if not wanted:
        return  # nobody is there who could be silent
    evidence = {"answered": answered, "expected": wanted, "silent": silent, "instance": "%d of %d" % (silent, wanted), "seconds": None, "processes": None}
    if len(answered) < wanted and _uncontrolled(seen):
        yield Unseen("celery.worker_not_responding", component, *_not_controlled(seen))
    elif len(answered) < wanted:
        yield Finding("celery.worker_not_responding", component, WARNING if answered else CRITICAL, evidence, confidence="high" if count else MEDIUM)
    else:
        yield Clear("celery.worker_not_responding", component, evidence)


def _all_young(seen: dict[str, Any], limits: Limits) -> bool:
    expected = _expected(seen)
    return bool(expected) and all(one["age_seconds"] < (limits.get("startup_grace_seconds", component=one["component"]) or 0) for one in expected)


def _component_of(seen: dict[str, Any], worker: dict[str, Any]) -> str | None:
    hits = (one["component"] for whole in (True, False) for one in _expected(seen) if _stands_at(worker["hostname"], one, whole))
    return next(hits, None)


def _stands_at(name: str, one: dict[str, Any], whole: bool) -> bool:
    """Whether a node's host is that of an instance: by its whole name, or by one that goes on with a domain (celery@host.domain)."""
    hosts = [host for host in (one["hostname"], one["instance"]) if host]
    return name in hosts if whole else any(name.startswith(host + ".") for host in hosts)


def _unacked(seen: dict[str, Any]) -> int:
    facts = seen.get("unacked")
    return 0 if why_unseen(facts) or not isinstance(facts, dict) else facts["count"]


def _waiting(seen: dict[str, Any]) -> int:
    return sum(queue["length"] for queue in seen["queues"])


def _heads(seen: dict[str, Any], queue: str) -> list[str]:
    messages = seen.get("messages")
    if why_unseen(messages) or not isinstance(messages, list):
        return []
    return next((head["tasks"] for head in messages if head["queue"] == queue), [])
