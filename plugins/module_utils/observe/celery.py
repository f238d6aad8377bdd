# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Queues and workers of Celery, as its Redis broker and the workers themselves tell: one connection, no task argument is ever kept.

The facts: component, place, answers, queues, workers, unacked, samples, messages, results, scan, listening, poppers.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from typing import Any, Callable, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.connect import celery as connect_celery
from ansible_collections.aiops.runbook.plugins.module_utils.connect import redis as connect_redis
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, unseen
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

FACTS = ("queues", "workers", "unacked", "samples", "messages", "results", "scan", "listening", "poppers")
PRIORITY_STEPS = (0, 3, 6, 9)
SEPARATOR = connect_celery.SEPARATOR
BINDING = "_kombu.binding."
RESULT = "celery-task-meta-"
# A keyspace of so many keys is looked through as a whole; of a larger one only what MATCH finds in this time, in steps that nobody feels.
SMALL_KEYSPACE = 20000
SCAN_STEP = 2000
SCAN_SHARE = 0.2
TYPED_KEYS = 300
RESULTS_SAMPLED = 50
HEADS = 5
CLIENTS_LISTED = 2000
INTERVAL_SECONDS = 0.6
# How long a worker may take to answer; a share of the time for everything.
INSPECT_SHARE = 0.45
POPS = ("brpop", "blpop", "bzpopmin", "blmpop")
# Lists and sets of kombu and Celery that are no queues.
NOT_QUEUES = re.compile(r"(\.pidbox$|^celeryev|^unacked(_index|_mutex)?$|^_kombu\.|^celery-task(set)?-meta-|^redbeat|^celery-(singleton|once))")
FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')


def observe_celery(
    component: str,
    target: connect_redis.RedisTarget,
    mask: Mask,
    timeout: float,
    expected_workers: int | None = None,
    known_queues: Iterable[str] = (),
    key_prefix: str = "",
    interval: float = INTERVAL_SECONDS,
    client: Any = None,
) -> dict[str, Any]:
    """The facts of one broker; component names it. Where it does not answer, every fact says why.

    expected_workers: how many worker nodes there should be, so that none is waited for in vain and a missing one is asked twice.
    known_queues: names from configuration. key_prefix: kombu's global_keyprefix; found by itself where its bindings show it.
    client: a connection to this server that is open already; it is used, and stays open.
    """
    mask.learn(target.password)
    place = {"host": target.host, "port": target.port, "database": target.database, "tls": target.tls}
    facts: dict[str, Any] = {"component": component, "place": place, "answers": True}
    own = None
    try:
        if client is None:
            client = own = connect_redis.connect(target, timeout)
        facts.update(_Look(client, target, mask, timeout, expected_workers, list(known_queues), key_prefix, interval).facts())
    except StackError as error:
        facts["answers"] = unseen(mask.text(error.message), kind=error.kind, fix=error.details.get("fix", ""))
        facts.update(dict.fromkeys(FACTS, facts["answers"]))
    finally:
        connect_redis.close(own)
    return facts


class _Look:
    def __init__(
        self,
        client: Any,
        target: connect_redis.RedisTarget,
        mask: Mask,
        timeout: float,
        expected: int | None,
        known: list[str],
        key_prefix: str,
        interval: float,
    ) -> None:
        self.client = client
        self.target = target
        self.mask = mask
        self.timeout = timeout
        self.expected = expected
        self.known = known
        self.prefix = key_prefix
        self.interval = interval
        self.deadline = time.monotonic() + timeout
        self.keys: list[str] = []

    def facts(self) -> dict[str, Any]:
        redis = connect_redis.redis
        try:
            connect_redis.use(self.client, self.target.database)
            scan = self._scan()
            bindings = self._bindings()
            inspection = self._ask_workers(connect_celery.METHODS, bindings)
            workers = read_workers(inspection.replies, time.time())
            queues = self._queues(bindings, workers)
            lengths = self._lengths(queues)
            facts = {
                "key_prefix": self.prefix,
                "queues": queue_facts(queues, lengths, bindings, workers, self.known),
                "workers": workers,
                "listening": inspection.listening,
                "unacked": self._unacked(),
                "scan": scan,
                "messages": self._messages(lengths),
            }
            facts["samples"] = self._samples(facts, lengths, bindings)
            facts["poppers"] = self._try(self._poppers)
            facts["results"] = self._try(self._results)
            return facts
        except (redis.exceptions.RedisError, OSError) as error:
            raise connect_redis.explain(error, self.target, self.timeout) from error

    def _left(self) -> float:
        return self.deadline - time.monotonic()

    def _try(self, question: Callable[[], Any]) -> Any:
        """An answer that the others do not depend on."""
        if self._left() <= 0:
            return unseen("not asked: no time was left of %.1f s" % self.timeout, kind="timeout")
        try:
            return question()
        except connect_redis.redis.exceptions.ResponseError as error:
            return unseen("the broker refused the question: %s" % self.mask.text(str(error))[:120], kind="denied")

    # --- keys ---

    def _scan(self) -> dict[str, Any]:
        """The names of keys that matter: all of a small keyspace, else what MATCH finds within bounds."""
        total = self.client.dbsize()
        small = total <= SMALL_KEYSPACE
        match = None if small else "*" + BINDING + "*"
        cursor, started = 0, time.monotonic()
        complete = False
        while time.monotonic() - started < self.timeout * SCAN_SHARE:
            cursor, found = self.client.scan(cursor, match=match, count=SCAN_STEP)
            self.keys += found
            if int(cursor) == 0:
                complete = True
                break
        self.keys = sorted(set(self.keys))
        return {"keys": total, "complete": complete and small, "bindings_complete": complete}

    def _bindings(self) -> dict[str, set[str]]:
        """Queues by exchange. The prefix that all bindings share is the application's, when none was given."""
        names = [key for key in self.keys if BINDING in key]
        if not self.prefix and names:
            prefixes = Counter(key.split(BINDING, 1)[0] for key in names)
            if "" not in prefixes:
                self.prefix = prefixes.most_common(1)[0][0]
        head = self.prefix + BINDING
        keys = sorted({key for key in names if key.startswith(head)} | {head + "celery", head + "celery.pidbox"} | {head + name for name in self.known})
        pipe = self.client.pipeline(transaction=False)
        for key in keys:
            pipe.smembers(key)
        found: dict[str, set[str]] = {}
        for key, members in zip(keys, pipe.execute(raise_on_error=False)):
            if members and not isinstance(members, Exception):
                found[key[len(head) :]] = {str(member).rsplit(SEPARATOR, maxsplit=1)[-1] for member in members}
        return found

    def _queues(self, bindings: dict[str, set[str]], workers: list[dict[str, Any]]) -> dict[str, set[str]]:
        """Every queue, and how it is known: binding, consumer, known, messages."""
        queues: dict[str, set[str]] = {}
        for exchange, members in bindings.items():
            for name in members:
                if exchange != "celeryev" and not exchange.endswith(".pidbox"):
                    queues.setdefault(name, set()).add("binding")
        for worker in workers:
            for name in worker["queues"] or []:
                queues.setdefault(name, set()).add("consumer")
        for name in self.known:
            queues.setdefault(name, set()).add("known")
        for name in self._lists_of_messages(set(queues)):
            queues.setdefault(name, set()).add("messages")
        return {name: sources for name, sources in sorted(queues.items()) if name and not NOT_QUEUES.search(name)}

    def _lists_of_messages(self, known: set[str]) -> set[str]:
        """Lists that hold Celery messages which say that they belong there: queues that nobody bound or mentioned."""
        candidates = []
        for key in self.keys:
            name = key[len(self.prefix) :] if key.startswith(self.prefix) else ""
            name = name.split(SEPARATOR)[0]
            if name and name not in known and not NOT_QUEUES.search(name) and BINDING not in key:
                candidates.append((name, key))
        candidates = candidates[:TYPED_KEYS]
        if not candidates:
            return set()
        pipe = self.client.pipeline(transaction=False)
        for _name, key in candidates:
            pipe.type(key)
        lists = [pair for pair, kind in zip(candidates, pipe.execute(raise_on_error=False)) if kind == "list"]
        if not lists:
            return set()
        pipe = self.client.pipeline(transaction=False)
        for _name, key in lists:
            pipe.lindex(key, -1)
        found = set()
        for (name, _key), text in zip(lists, pipe.execute(raise_on_error=False)):
            message = read_message(text)
            if message is not None and message["task"] and message["routing_key"] in ("", name):
                found.add(name)
        return found

    def _lengths(self, queues: Iterable[str]) -> dict[str, dict[int, int]]:
        """Messages of every queue by priority step."""
        names = list(queues)
        pipe = self.client.pipeline(transaction=False)
        for name in names:
            for step in PRIORITY_STEPS:
                pipe.llen(self._list(name, step))
        answers = pipe.execute(raise_on_error=False) if names else []
        found: dict[str, dict[int, int]] = {}
        for place, name in enumerate(names):
            some = answers[place * len(PRIORITY_STEPS) : (place + 1) * len(PRIORITY_STEPS)]
            found[name] = {step: count for step, count in zip(PRIORITY_STEPS, some) if isinstance(count, int)}
        return found

    def _list(self, queue: str, step: int) -> str:
        return self.prefix + queue + ("%s%d" % (SEPARATOR, step) if step else "")

    def _unacked(self) -> Any:
        pipe = self.client.pipeline(transaction=False)
        pipe.hlen(self.prefix + "unacked")
        pipe.zrange(self.prefix + "unacked_index", 0, 0, withscores=True)
        pipe.time()
        count, oldest, now = pipe.execute(raise_on_error=False)
        failed = next((answer for answer in (count, oldest, now) if isinstance(answer, Exception)), None)
        if failed is not None:
            return unseen("the broker refused the question: %s" % self.mask.text(str(failed))[:120], kind="denied")
        # The score is the worker's clock at delivery.
        return {"count": count, "oldest_seconds": round(max(0.0, now[0] - oldest[0][1]), 1) if oldest else None}

    def _messages(self, lengths: dict[str, dict[int, int]]) -> list[dict[str, Any]]:
        """The tasks that come next in each queue, by name only."""
        wanted = [(name, step) for name, by_step in lengths.items() for step, count in by_step.items() if count]
        if not wanted:
            return []
        pipe = self.client.pipeline(transaction=False)
        for name, step in wanted:
            pipe.lrange(self._list(name, step), -HEADS, -1)
        heads: dict[str, list[str]] = {}
        for (name, _step), texts in zip(wanted, pipe.execute(raise_on_error=False)):
            for text in [] if isinstance(texts, Exception) else reversed(texts):
                message = read_message(text)
                task = (message or {}).get("task") or "?"
                heads.setdefault(name, []).append(task)
        return [{"queue": name, "tasks": sorted(set(tasks)), "looked_at": len(tasks)} for name, tasks in sorted(heads.items())]

    # --- workers ---

    def _ask_workers(self, methods: Iterable[str], bindings: dict[str, set[str]]) -> connect_celery.Inspection:
        """Every control namespace on this broker (nearly always one); once more when fewer answer than there should be."""
        boxes = [exchange for exchange in bindings if exchange.endswith(".pidbox") and not exchange.startswith("reply.")]
        namespaces = sorted(exchange[: -len(".pidbox")] for exchange in boxes) or ["celery"]
        methods = list(methods)
        total = connect_celery.Inspection()
        for attempt in range(2):
            total.listening = 0
            for namespace in namespaces:
                allowed = max(0.3, min(self.timeout * INSPECT_SHARE, self._left() - 0.2) / len(namespaces) / (attempt + 1))
                found = connect_celery.ask_workers(self.client, self.target.database, methods, self.expected, allowed, namespace, self.prefix)
                total.listening += found.listening
                total.seconds += found.seconds
                for worker, replies in found.replies.items():
                    total.replies.setdefault(worker, {}).update(replies)
            # One that has lost the broker for a moment listens again soon.
            if len(total.replies) >= (self.expected or 0) or self._left() < self.timeout * 0.35:
                break
            time.sleep(min(0.5, max(0.0, self._left() - self.timeout * 0.3)))
        return total

    def _poppers(self) -> Any:
        """How many clients stand in a blocking pop in this database just now: consumers, whether or not they answer."""
        if self.client.info("clients").get("connected_clients", 0) > CLIENTS_LISTED:
            return unseen("too many clients to list", kind="bounded")
        here = [one for one in self.client.client_list() if one.get("db", "") in ("", str(self.target.database))]
        return sum(1 for one in here if "b" in one.get("flags", "") and one.get("cmd", "").split("|")[0] in POPS)

    def _samples(self, facts: dict[str, Any], lengths: dict[str, dict[int, int]], bindings: dict[str, set[str]]) -> list[dict[str, Any]]:
        """Two samples where something waits, a third where nothing seems to move; none on an idle broker."""
        consumed = {queue["name"] for queue in facts["queues"] if queue["consumers"]}
        # Where nobody answers there may still be somebody who works; a queue that others leave alone does not move by itself.
        waiting = any(any(by_step.values()) and (name in consumed or not facts["workers"]) for name, by_step in lengths.items())
        held = any(worker["reserved"] and not worker["active"] for worker in facts["workers"])
        if not waiting and not held:
            return []
        started = time.monotonic()
        samples = [sample(0.0, lengths, facts["workers"])]
        for _more in range(2 if facts["workers"] else 1):
            if self._left() < self.interval + 0.4:
                break
            time.sleep(self.interval)
            lengths = self._lengths(lengths)
            replies = self._ask_again(facts["workers"], bindings)
            samples.append(sample(round(time.monotonic() - started, 3), lengths, replies))
            if moves(samples, consumed):
                break
        return samples

    def _ask_again(self, workers: list[dict[str, Any]], bindings: dict[str, set[str]]) -> list[dict[str, Any]]:
        if not workers:
            return []
        self.expected = len(workers)
        found = self._ask_workers(("stats", "active", "reserved"), bindings)
        return read_workers(found.replies, time.time())

    # --- results ---

    def _results(self) -> Any:
        """Failures among some of the results that are kept in the same database, by what was raised and where."""
        head = self.prefix + RESULT
        keys = [key for key in self.keys if key.startswith(head)][:RESULTS_SAMPLED]
        failures: Counter[tuple[str, str, str]] = Counter()
        sampled = 0
        for text in self.client.mget(keys) if keys else []:
            result = _json(text)
            if result is None:
                continue
            sampled += 1
            if result.get("status") == "FAILURE":
                failures[_fingerprint(result)] += 1
        return {
            "sampled": sampled,
            "failed": sum(failures.values()),
            "failures": [{"error": error, "where": where, "task": task, "count": count} for (error, where, task), count in failures.most_common(10)],
        }


def queue_facts(
    queues: dict[str, set[str]], lengths: dict[str, dict[int, int]], bindings: dict[str, set[str]], workers: list[dict[str, Any]], known: Iterable[str]
) -> list[dict[str, Any]]:
    """The queues with their lengths and consumers. Pure."""
    return [
        {
            "name": name,
            "length": sum(lengths[name].values()),
            "priorities": {str(step): count for step, count in lengths[name].items() if count},
            "bindings": sorted(exchange for exchange, members in bindings.items() if name in members),
            "consumers": sorted(worker["name"] for worker in workers if name in (worker["queues"] or [])),
            "sources": sorted(sources),
        }
        for name, sources in queues.items()
    ]


def sample(seconds: float, lengths: dict[str, dict[int, int]], workers: list[dict[str, Any]]) -> dict[str, Any]:
    """What is compared between two looks. Pure."""
    return {
        "seconds": seconds,
        "lengths": {name: sum(by_step.values()) for name, by_step in lengths.items()},
        "workers": {worker["name"]: {"processed": worker["processed"], "active": worker["active"], "reserved": worker["reserved"]} for worker in workers},
    }


def moves(samples: list[dict[str, Any]], consumed: set[str]) -> bool:
    """Whether every consumed queue that had messages became shorter or has busy workers, and whoever holds tasks works on them. Pure."""
    first, last = samples[0], samples[-1]
    for name, length in first["lengths"].items():
        if name in consumed and length and last["lengths"].get(name, 0) >= length and not any(one["active"] for one in last["workers"].values()):
            return False
    for name, then in first["workers"].items():
        now = last["workers"].get(name)
        if now is None or (then["reserved"] and not now["active"] and now["processed"] == then["processed"]):
            return False
    return True


def read_workers(replies: dict[str, dict[str, Any]], now: float) -> list[dict[str, Any]]:
    """The workers from their replies, without any task's arguments. Pure."""
    return [_worker(name, found, now) for name, found in sorted(replies.items())]


def _worker(name: str, found: dict[str, Any], now: float) -> dict[str, Any]:
    stats = _dict(found.get("stats"))
    stats = {} if "error" in stats else stats
    pool, totals = _dict(stats.get("pool")), _dict(stats.get("total"))
    active = _requests(found.get("active"))
    registered = found.get("registered")
    queues = found.get("active_queues")
    return {
        "name": name,
        "hostname": name.partition("@")[2],
        "answered": sorted(found),
        "pool": str(pool.get("implementation", "")).rpartition(":")[0].rpartition(".")[2] or str(pool.get("implementation", "")),
        "concurrency": pool.get("max-concurrency"),
        "pool_pids": [pid for pid in pool.get("processes") or [] if isinstance(pid, int)],
        "pid": stats.get("pid"),
        "uptime_seconds": stats.get("uptime"),
        "prefetch": stats.get("prefetch_count"),
        "processed": sum(totals.values()) if stats else None,
        "processed_by_task": dict(totals),
        "queues": sorted(str(queue.get("name", "")) for queue in queues if isinstance(queue, dict)) if isinstance(queues, list) else None,
        "active": len(active),
        "active_tasks": [_active(request, now) for request in active[:50]],
        "reserved": len(_requests(found.get("reserved"))),
        "reserved_tasks": dict(Counter(str(request.get("name") or request.get("type") or "?") for request in _requests(found.get("reserved")))),
        "scheduled": len(found["scheduled"]) if isinstance(found.get("scheduled"), list) else 0,
        "registered": sorted(str(task).split(" [", maxsplit=1)[0] for task in registered) if isinstance(registered, list) else None,
        "rate_limited": sorted(str(task).split(" [", maxsplit=1)[0] for task in registered if "rate_limit=" in str(task))
        if isinstance(registered, list)
        else [],
    }


def _requests(reply: Any) -> list[dict[str, Any]]:
    return [request for request in reply if isinstance(request, dict)] if isinstance(reply, list) else []


def _active(request: dict[str, Any], now: float) -> dict[str, Any]:
    started = request.get("time_start")
    return {
        "name": str(request.get("name") or request.get("type") or "?"),
        "id": str(request.get("id", "")),
        "seconds": round(max(0.0, now - started), 1) if isinstance(started, (int, float)) else None,
    }


def read_message(text: Any) -> dict[str, str] | None:
    """{"task", "routing_key"} of a message in a queue, None when it is no Celery message. Pure."""
    message = _json(text)
    if message is None or not isinstance(message.get("properties"), dict) or "body" not in message:
        return None
    delivery = _dict(message["properties"].get("delivery_info"))
    return {"task": str(_dict(message.get("headers")).get("task") or ""), "routing_key": str(delivery.get("routing_key") or "")}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _json(text: Any) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _fingerprint(result: dict[str, Any]) -> tuple[str, str, str]:
    """(what was raised, where, by which task): never the message, which may hold anything."""
    raised = _dict(result.get("result"))
    frames = FRAME.findall(str(result.get("traceback") or ""))
    path, line, function = frames[-1] if frames else ("", "", "")
    where = "%s:%s in %s" % (path.rpartition("/")[2], line, function) if frames else ""
    return str(raised.get("exc_type") or "?"), where, str(result.get("name") or "")
