# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Celery's remote control over a Redis broker: kombu's mailbox, on one Redis connection that is open already.

Celery itself is not needed (importing it costs 0.5 s). kombu's own Redis transport opens two connections and waits out its time-out;
this one speaks the same protocol on the caller's connection, in the caller's thread, and knows from PUBLISH how many answers to expect.
"""

from __future__ import annotations

import base64
import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from queue import Empty
from typing import Any, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.connect import redis as connect_redis
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

try:
    import kombu
    from kombu.pidbox import Mailbox
    from kombu.transport import virtual
    from kombu.utils.uuid import uuid
except ImportError:
    kombu = None

METHODS = ("ping", "stats", "active", "active_queues", "reserved", "registered", "scheduled")
SEPARATOR = "\x06\x16"
# Between two looks for an answer.
POLL_SECONDS = 0.008
# When as many as were expected have answered, how long those may still take who listen, too.
STRAGGLERS_SECONDS = 0.25


@dataclass
class Inspection:
    """What the workers answered: replies[worker][method]. listening: how many were handed the question."""

    replies: dict[str, dict[str, Any]] = field(default_factory=dict)
    listening: int = 0
    seconds: float = 0.0


def inspect(target: connect_redis.RedisTarget, methods: Iterable[str] = METHODS, expected: int | None = None, timeout: float = 1.5) -> Inspection:
    """Ask all workers of this broker, on a connection of its own. StackError as from connect.redis.connect()."""
    client = connect_redis.connect(target, timeout)
    try:
        return ask_workers(client, target.database, methods, expected, timeout)
    finally:
        connect_redis.close(client)


def ask_workers(
    client: Any,
    database: int,
    methods: Iterable[str] = METHODS,
    expected: int | None = None,
    timeout: float = 1.5,
    namespace: str = "celery",
    key_prefix: str = "",
) -> Inspection:
    """Broadcast every method at once and collect what comes back, until all who listen have answered or the time is over.

    expected: when so many have answered everything, the others are given a moment only.
    Afterwards the reply queue and its binding are gone from the broker.
    """
    if kombu is None:
        raise connect_redis.missing_library("kombu")
    started = time.monotonic()
    question = _Question(client, database, list(methods), timeout, namespace, key_prefix)
    try:
        listening = question.ask()
        if listening:
            question.collect(listening, expected, started + timeout)
        return Inspection({worker: dict(found) for worker, found in question.replies.items()}, listening, round(time.monotonic() - started, 3))
    except Exception as error:
        raise _explained(error, timeout) from error
    finally:
        question.close()


def command(
    client: Any,
    database: int,
    method: str,
    arguments: dict[str, Any],
    workers: Iterable[str],
    timeout: float = 5.0,
    namespace: str = "celery",
    key_prefix: str = "",
) -> dict[str, Any]:
    """Hand one command to these workers and to no other; what each has replied. A StackError names those who have not, or not with ok."""
    if kombu is None:
        raise connect_redis.missing_library("kombu")
    names = sorted(workers)
    question = _Question(client, database, [method], timeout, namespace, key_prefix, arguments, names)
    try:
        if question.ask():
            question.collect(len(names), None, time.monotonic() + timeout)
    except Exception as error:
        raise _explained(error, timeout) from error
    finally:
        question.close()
    replies = {name: question.replies.get(name, {}).get(method) for name in names}
    problems = ["%s: %s" % (name, _complaint(reply)) for name, reply in replies.items() if not (isinstance(reply, dict) and "ok" in reply)]
    if problems:
        raise StackError("%s: %s" % (method, "; ".join(problems)), kind="not_obeyed")
    return replies


def _complaint(reply: Any) -> str:
    return "no answer" if reply is None else str(reply.get("error", reply) if isinstance(reply, dict) else reply)[:160]


def task_message(task: str, identity: str, args: list[Any], kwargs: dict[str, Any], queue: str) -> str:
    """A task as it stands in its queue's list: Celery's protocol 2 in kombu's envelope, JSON all through. Pure but for its delivery tag."""
    body = json.dumps([args, kwargs, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    headers: dict[str, Any] = dict.fromkeys(("shadow", "eta", "expires", "group", "group_index", "parent_id", "stamped_headers"))
    headers.update({"lang": "py", "task": task, "id": identity, "root_id": identity, "retries": 0, "timelimit": [None, None], "origin": "aiops.runbook",
                    "ignore_result": False, "replaced_task_nesting": 0, "stamps": {}, "argsrepr": "...", "kwargsrepr": "..."})  # fmt: skip
    properties = {
        "correlation_id": identity,
        "reply_to": "",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": queue},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": uuid(),
    }
    encoded = base64.b64encode(body.encode("utf-8")).decode("ascii")
    return json.dumps({"body": encoded, "content-encoding": "utf-8", "content-type": "application/json", "headers": headers, "properties": properties})


def _explained(error: Exception, timeout: float) -> Exception:
    redis = connect_redis.redis
    if isinstance(error, redis.exceptions.RedisError):
        return connect_redis.explain(error, connect_redis.RedisTarget(host="the broker"), timeout)
    if isinstance(error, (ValueError, KeyError, TypeError)):
        return StackError("what the workers answered cannot be read (%s)" % type(error).__name__, kind="protocol")
    return error


class _Question:
    """One round of questions, with a mailbox and a reply queue of its own."""

    def __init__(
        self,
        client: Any,
        database: int,
        methods: list[str],
        timeout: float,
        namespace: str,
        key_prefix: str,
        arguments: dict[str, Any] | None = None,
        destination: list[str] | None = None,
    ) -> None:
        self.client = client
        self.methods = methods
        self.arguments = arguments or {}
        self.destination = destination
        self.timeout = timeout
        self.tickets: dict[str, str] = {}
        self.replies: dict[str, dict[str, Any]] = defaultdict(dict)
        self.connection = kombu.Connection(transport=_transport(), transport_options={"redis": client, "key_prefix": key_prefix, "database": database})
        self.mailbox = Mailbox(namespace, type="fanout", connection=self.connection, accept=["json"], serializer="json", reply_queue_expires=None)
        self.channel: Any = None

    def ask(self) -> int:
        """How many were handed the questions."""
        self.channel = self.connection.channel()
        for prefixed in (True, False):
            # Applications that switch kombu's fanout_prefix off listen at the bare name.
            self.channel.fanout_prefix = prefixed
            for method in self.methods:
                ticket = uuid()
                self.tickets[ticket] = method
                self.mailbox._publish(method, self.arguments, destination=self.destination, reply_ticket=ticket, channel=self.channel, timeout=self.timeout)
            listening = self.channel.send()
            if listening:
                return listening
        return 0

    def collect(self, listening: int, expected: int | None, deadline: float) -> None:
        consumer = kombu.Consumer(self.channel, [self.mailbox.reply_queue], accept=["json"], no_ack=True, callbacks=[self._take], auto_declare=False)
        with consumer:
            while not self._complete(listening) and time.monotonic() < deadline:
                if expected and self._complete(expected):
                    deadline = min(deadline, time.monotonic() + STRAGGLERS_SECONDS)
                    expected = None
                try:
                    self.connection.drain_events(timeout=min(0.1, max(0.001, deadline - time.monotonic())))
                except OSError:
                    # socket.timeout: nothing came in this while.
                    continue

    def _complete(self, count: int) -> bool:
        return sum(1 for found in self.replies.values() if len(found) == len(self.methods)) >= count

    def _take(self, body: Any, message: Any) -> None:
        method = self.tickets.get((message.headers or {}).get("ticket", ""))
        if method and isinstance(body, dict):
            for worker, reply in body.items():
                self.replies[str(worker)][method] = reply

    def close(self) -> None:
        """Take our reply queue and its binding away; when the connection is lost there is nothing that we could still do."""
        try:
            if self.channel is not None:
                self.channel.queue_delete(self.mailbox.reply_queue.name)
        except connect_redis.redis.exceptions.RedisError:
            pass
        finally:
            self.connection.release()


_TRANSPORT: list[Any] = []


def _transport() -> Any:
    """kombu's virtual transport on a redis client that is given; made when first needed, since kombu may be missing."""
    if _TRANSPORT:
        return _TRANSPORT[0]

    class Channel(virtual.Channel):
        supports_fanout = True
        do_restore = False
        fanout_prefix = True

        def __init__(self, connection: Any, **kwargs: Any) -> None:
            super().__init__(connection, **kwargs)
            options = connection.client.transport_options
            self.redis = options["redis"]
            self.key_prefix = options["key_prefix"]
            self.database = options["database"]
            self.outgoing: list[tuple[str, str]] = []

        def _key(self, queue: str) -> str:
            return self.key_prefix + queue

        def _binding(self, exchange: str) -> str:
            return "%s_kombu.binding.%s" % (self.key_prefix, exchange)

        def _put_fanout(self, exchange: str, message: dict[str, Any], _routing_key: str, **_kwargs: Any) -> None:
            topic = "/%d.%s" % (self.database, exchange) if self.fanout_prefix else exchange
            self.outgoing.append((self.key_prefix + topic, json.dumps(message)))

        def send(self) -> int:
            """Publish what is waiting, in one round trip; how many heard it."""
            pipe = self.redis.pipeline(transaction=False)
            for topic, text in self.outgoing:
                pipe.publish(topic, text)
            self.outgoing = []
            return min(pipe.execute(), default=0)

        def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
            self.redis.sadd(self._binding(exchange), SEPARATOR.join([routing_key or "", pattern or "", queue or ""]))

        def get_table(self, exchange: str) -> list[Any]:
            return [tuple(member.split(SEPARATOR)) for member in self.redis.smembers(self._binding(exchange))]

        def _new_queue(self, queue: str, **_kwargs: Any) -> None:
            """A Redis list is there as soon as something is put into it."""

        def _size(self, _queue: str) -> int:
            return 0

        def _get(self, queue: str, timeout: float | None = None) -> Any:
            text = self.redis.rpop(self._key(queue))
            if not text:
                raise Empty()
            return json.loads(text)

        def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *_args: Any, **_kwargs: Any) -> None:
            # Unbound first: what is answered later then finds no queue.
            pipe = self.redis.pipeline(transaction=False)
            pipe.srem(self._binding(exchange), SEPARATOR.join([routing_key or "", pattern or "", queue or ""]))
            pipe.delete(self._key(queue))
            pipe.execute()

        def _put(self, queue: str, message: Any, **_kwargs: Any) -> None:
            raise NotImplementedError("questions only: nothing is ever put into a queue")

    class Transport(virtual.Transport):
        polling_interval = POLL_SECONDS
        driver_type = "redis"
        driver_name = "redis"

    Transport.Channel = Channel
    _TRANSPORT.append(Transport)
    return Transport
