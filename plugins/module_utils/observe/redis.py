# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a Redis says of itself, and how fast: one connection, and nothing is written.

The facts: component, place, answers, now, server, memory, persistence, clients, stats, replication, latency, keyspace, holds_broker.
What a managed service or the account denies stands there as unseen.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Any, Callable, Iterable, Iterator, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.connect import redis as connect_redis
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, unseen, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

SECTIONS = ("now", "server", "memory", "persistence", "clients", "stats", "replication", "latency", "keyspace", "holds_broker")
SETTINGS = ("stop-writes-on-bgsave-error", "save", "maxclients", "maxmemory", "maxmemory-policy", "databases", "appendonly", "slowlog-log-slower-than")
PING_SAMPLES = 20
PING_BUDGET_SECONDS = 0.8
# A sample around which this process itself woke up later than by this, and by more than this share of it, says nothing.
BUSY_MS = 1.5
BUSY_SHARE = 0.2
NAP_SECONDS = 0.0005
SLOWLOG_ENTRIES = 32
CLIENTS_LISTED = 2000
BROKER_KEYS = ("_kombu.binding.celery", "_kombu.binding.celery.pidbox", "unacked_index", "unacked")
# The same where an application gives all its keys a prefix (kombu's global_keyprefix). They are looked for in steps that nobody feels, for so long.
PREFIXED_KEYS = "*_kombu.binding.*"
SCAN_STEP = 2000
SCAN_SECONDS = 0.1


def observe_redis(component: str, target: connect_redis.RedisTarget, mask: Mask, timeout: float) -> dict[str, Any]:
    """The facts of one server; where it does not answer, every one of them says why."""
    with visit_redis(component, target, mask, timeout) as (facts, _client):
        return facts


@contextmanager
def visit_redis(component: str, target: connect_redis.RedisTarget, mask: Mask, timeout: float) -> Iterator[tuple[dict[str, Any], Any]]:
    """(facts, the connection that they came by) for whoever has more to ask of this server; it is closed afterwards. None where there is none."""
    mask.learn(target.password)
    place = {"host": target.host, "port": target.port, "database": target.database, "tls": target.tls}
    facts: dict[str, Any] = {"component": component, "place": place, "answers": True}
    client = None
    try:
        try:
            client = connect_redis.connect(target, timeout)
            facts.update(_Look(client, target, mask, timeout).facts())
        except StackError as error:
            facts["answers"] = unseen(mask.text(error.message), kind=error.kind, fix=error.details.get("fix", ""))
            if error.details.get("unneeded"):
                facts["answers"]["unseen"]["unneeded"] = True
            facts.update(dict.fromkeys(SECTIONS, facts["answers"]))
        yield facts, client
    finally:
        connect_redis.close(client)


class _Look:
    def __init__(self, client: Any, target: connect_redis.RedisTarget, mask: Mask, timeout: float) -> None:
        self.client = client
        self.target = target
        self.mask = mask
        self.timeout = timeout
        self.deadline = time.monotonic() + timeout

    def facts(self) -> dict[str, Any]:
        started = time.monotonic()
        info = self._ask(lambda: self.client.info("all"))
        why = why_unseen(info)
        if why and why["kind"] in ("timeout", "reset", "loading", "busy", "auth_required"):
            raise StackError(why["reason"], kind=why["kind"])
        if not why and info.get("loading"):
            raise StackError("%s is still loading its data into memory" % self.target.shown, kind="loading")
        now = self._ask(lambda: self.client.time()[0])
        settings = self._ask(self._settings)
        # PING is refused where a save has failed.
        latency = self._latency(now, "TIME" if not why and "err" in (info.get("rdb_last_bgsave_status"), info.get("aof_last_write_status")) else "PING")
        listed = self._ask(lambda: self._listed(info))
        keyspace = self._keyspace(info)
        later = info if why else self._ask(lambda: self.client.info("all"))
        seconds = time.monotonic() - started
        # Looked for after that, so that it is not taken for the server's own work.
        broker = self._ask(lambda: self._broker_databases(info))
        facts = {"now": now, "latency": latency, "keyspace": keyspace, "holds_broker": broker if why_unseen(broker) else bool(broker)}
        facts["broker_databases"] = broker
        if not why_unseen(latency):
            latency["busy"] = later if why_unseen(later) else busy(info, later, seconds)
        if why:
            facts.update(dict.fromkeys(("server", "memory", "persistence", "clients", "stats", "replication"), info))
            return facts
        facts.update(read_info(info, settings, listed))
        if not why_unseen(later):
            facts["stats"]["since"] = {
                "seconds": round(seconds, 3),
                "rejected": later.get("rejected_connections", 0) - info.get("rejected_connections", 0),
                "evicted": later.get("evicted_keys", 0) - info.get("evicted_keys", 0),
                "oom": _errors(later).get("OOM", 0) - _errors(info).get("OOM", 0),
            }
        return facts

    def _ask(self, question: Callable[[], Any]) -> Any:
        """The answer, or why there is none: a denied command must not cost the other facts."""
        if time.monotonic() >= self.deadline:
            return unseen("not asked: no time was left of %.1f s" % self.timeout, kind="timeout")
        redis = connect_redis.redis
        try:
            return question()
        except redis.exceptions.NoPermissionError as error:
            reason = "this account may not ask: %s" % self.mask.text(str(error))[:120]
            return unseen(reason, kind="denied", fix="allow the command to the account, or give another account")
        except redis.exceptions.ResponseError as error:
            text = str(error)
            if "unknown command" in text.lower():
                return unseen("this server does not offer the command", kind="denied")
            explained = connect_redis.explain(error, self.target, self.timeout)
            return unseen(self.mask.text(explained.message), kind=explained.kind)
        except (redis.exceptions.RedisError, OSError) as error:
            explained = connect_redis.explain(error, self.target, self.timeout)
            return unseen(self.mask.text(explained.message), kind=explained.kind)

    def _settings(self) -> dict[str, str]:
        """CONFIG GET of what we need, in one round trip; what an older server does not know is left out."""
        pipe = self.client.pipeline(transaction=False)
        for name in SETTINGS:
            pipe.config_get(name)
        found: dict[str, str] = {}
        for answer in pipe.execute(raise_on_error=False):
            if isinstance(answer, Exception):
                raise answer
            found.update(answer)
        return found

    def _listed(self, info: Any) -> dict[str, int]:
        """How many of the clients are we ourselves, and how many wait in a blocking command."""
        if not why_unseen(info) and info.get("connected_clients", 0) > CLIENTS_LISTED:
            return {"own": 1}
        clients = self.client.client_list()
        return {"own": sum(1 for one in clients if one.get("name") == connect_redis.CLIENT_NAME)}

    def _latency(self, now: Any, command: str) -> dict[str, Any]:
        seen = self._ask(lambda: self._pings(command))
        if why_unseen(seen):
            return seen
        seen["slowlog"] = self._ask(lambda: self._slowlog(now))
        seen["events"] = self._ask(self._events)
        return seen

    def _pings(self, command: str) -> dict[str, Any]:
        good: list[float] = []
        all_ms: list[float] = []
        started = time.monotonic()
        before = _own_delay()
        while len(good) < PING_SAMPLES and (time.monotonic() - started < PING_BUDGET_SECONDS or len(all_ms) < 3) and time.monotonic() < self.deadline:
            since = time.perf_counter()
            self.client.execute_command(command)
            took = (time.perf_counter() - since) * 1000
            after = _own_delay()
            all_ms.append(took)
            own = max(before, after)
            if own < max(BUSY_MS, took * BUSY_SHARE):
                good.append(max(0.0, took - own))
            before = after
        samples = len(good) if len(good) >= 3 else 0
        # Where none is good, all of them say at least that it was no slower than that.
        shown = sorted(good if samples else all_ms)
        return {
            "p50_ms": round(shown[len(shown) // 2], 2),
            "p99_ms": round(shown[-1], 2),
            "ms": [round(one, 2) for one in shown] if samples else [],
            "samples": samples,
            "dropped": len(all_ms) - samples,
        }

    def _slowlog(self, now: Any) -> list[dict[str, Any]]:
        """The slow commands, newest first: their names only, ours left out."""
        entries = []
        for entry in self.client.slowlog_get(SLOWLOG_ENTRIES):
            if _text(entry.get("client_name")) == connect_redis.CLIENT_NAME:
                continue
            entries.append(
                {
                    "command": _command(entry.get("command")),
                    "ms": round(entry["duration"] / 1000, 1),
                    "seconds_ago": max(0, now - entry["start_time"]) if isinstance(now, int) else None,
                }
            )
        return entries

    def _events(self) -> list[dict[str, Any]]:
        found = self.client.execute_command("LATENCY", "LATEST") or []
        return [{"event": _text(event), "at": at, "ms": last, "max_ms": worst} for event, at, last, worst, *_rest in found]

    def _keyspace(self, info: Any) -> Any:
        if why_unseen(info):
            return info
        return {name[2:]: {"keys": found["keys"], "expires": found["expires"]} for name, found in _databases(info)}

    def _broker_databases(self, info: Any) -> list[int]:
        """The databases in which a Celery broker's keys stand."""
        databases = [int(name) for name in self._keyspace(info)] if not why_unseen(info) else [self.target.database]
        try:
            return broker_databases(self.client, databases, min(SCAN_SECONDS, self.deadline - time.monotonic()))
        finally:
            self.client.execute_command("SELECT", self.target.database)


def broker_databases(client: Any, databases: Iterable[int], seconds: float = SCAN_SECONDS) -> list[int]:
    """Those of these databases (of the first 64) in which a Celery broker's keys stand, sorted. The connection stands in any of them afterwards.

    seconds: how long keys with a prefix may be looked for, in all of them together.
    """
    asked = sorted(databases)[:64]
    if not asked:
        return []
    pipe = client.pipeline(transaction=False)
    for database in asked:
        # It touches our own connection only.
        pipe.execute_command("SELECT", database)
        pipe.exists(*BROKER_KEYS)
    found = {database for database, count in zip(asked, pipe.execute()[1::2]) if count}
    until = time.monotonic() + seconds
    return [database for database in asked if database in found or _has_prefixed_keys(client, database, until)]


def _has_prefixed_keys(client: Any, database: int, until: float) -> bool:
    """Whether a broker's keys were met in this database by then; not where the account may not look for them."""
    keys: list[Any] = []
    cursor, whole = 0, False
    try:
        client.execute_command("SELECT", database)
        while not keys and not whole and time.monotonic() < until:
            cursor, keys = client.scan(cursor, match=PREFIXED_KEYS, count=SCAN_STEP)
            whole = not int(cursor)
    except connect_redis.redis.exceptions.ResponseError:
        return False
    return bool(keys)


def read_info(info: Mapping[str, Any], settings: Any, listed: Any) -> dict[str, Any]:
    """INFO and CONFIG GET in our words. Pure."""
    denied = why_unseen(settings)

    def setting(name: str) -> Any:
        if denied:
            return {"unseen": denied}
        return settings.get(name, unseen("this server has no setting %s" % name, kind="absent"))

    maxclients = info.get("maxclients") or _number(setting("maxclients"))
    own = 1 if why_unseen(listed) else max(1, listed["own"])
    stop_writes = setting("stop-writes-on-bgsave-error")
    save = setting("save")
    return {
        "server": {
            "version": str(info.get("valkey_version") or info.get("dragonfly_version") or info.get("redis_version", "")),
            "flavour": _flavour(info),
            "run_id": info.get("run_id", ""),
            "mode": info.get("redis_mode", info.get("server_mode", "")),
            "uptime_seconds": info.get("uptime_in_seconds", 0),
            "role": info.get("role", ""),
            "databases": _number(setting("databases")),
        },
        "memory": {
            "used": info.get("used_memory", 0),
            "max": info.get("maxmemory", _number(setting("maxmemory"))),
            "policy": info.get("maxmemory_policy", setting("maxmemory-policy")),
            "peak": info.get("used_memory_peak", 0),
            "rss": info.get("used_memory_rss", 0),
            "system": info.get("total_system_memory", 0),
            "fragmentation": info.get("mem_fragmentation_ratio"),
            "fragmentation_bytes": info.get("mem_fragmentation_bytes"),
            "evicted": info.get("evicted_keys", 0),
            "keys": sum(found["keys"] for _name, found in _databases(info)),
            "expiring": sum(found["expires"] for _name, found in _databases(info)),
            "oom_errors": _errors(info).get("OOM", 0),
        },
        "persistence": {
            "loading": bool(info.get("loading")),
            "rdb_last_bgsave_status": info.get("rdb_last_bgsave_status", ""),
            "rdb_last_save_at": info.get("rdb_last_save_time"),
            "rdb_changes": info.get("rdb_changes_since_last_save"),
            "rdb_in_progress": bool(info.get("rdb_bgsave_in_progress")),
            "save": save if why_unseen(save) else bool(str(save).strip()),
            "stop_writes_on_bgsave_error": stop_writes if why_unseen(stop_writes) else stop_writes == "yes",
            "aof_enabled": bool(info.get("aof_enabled")),
            "aof_last_write_status": info.get("aof_last_write_status", ""),
            "aof_last_rewrite_status": info.get("aof_last_bgrewrite_status", ""),
            "misconf_errors": _errors(info).get("MISCONF", 0),
        },
        "clients": {
            "connected": max(0, info.get("connected_clients", 0) - own),
            "own": own,
            "max": maxclients,
            "blocked": info.get("blocked_clients", 0),
            "rejected": info.get("rejected_connections", 0),
        },
        "stats": {
            "ops_per_second": info.get("instantaneous_ops_per_sec", 0),
            "total_error_replies": info.get("total_error_replies"),
            "errors": _errors(info),
            "keyspace_hits": info.get("keyspace_hits", 0),
            "keyspace_misses": info.get("keyspace_misses", 0),
        },
        "replication": {
            "role": info.get("role", ""),
            "master_host": info.get("master_host", ""),
            "master_link": info.get("master_link_status", ""),
            "read_only": bool(info.get("slave_read_only", info.get("replica_read_only", 0))),
            "replicas": info.get("connected_slaves", 0),
            "readonly_errors": _errors(info).get("READONLY", 0),
        },
    }


def busy(before: Mapping[str, Any], after: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """{"seconds", "percent"}: for how much of the time between two INFOs Redis itself was at work, by its own figures. Pure.

    What its commands took, or what its main thread took of the processor, whichever is more: neither is touched by how late this
    machine hears of it. seconds: how long that was by our clock, where the server does not tell its own.
    """
    then, now = before.get("server_time_usec"), after.get("server_time_usec")
    if isinstance(then, int) and isinstance(now, int):
        seconds = (now - then) / 1e6
    known = [figure for figure in (_command_seconds, _main_thread_seconds) if figure(before) is not None and figure(after) is not None]
    if not known or seconds <= 0:
        return unseen("this server does not tell how long its commands take", kind="denied")
    worked = max(figure(after) - figure(before) for figure in known)
    return {"seconds": round(seconds, 3), "percent": round(min(100.0, max(0.0, 100 * worked / seconds)), 1)}


def _command_seconds(info: Mapping[str, Any]) -> Any:
    """What all commands have taken since the start; None where that is not told."""
    found = [one["usec"] for name, one in info.items() if name.startswith("cmdstat_") and isinstance(one, dict)]
    return sum(found) / 1e6 if found else None


def _main_thread_seconds(info: Mapping[str, Any]) -> Any:
    found = [info.get("used_cpu_%s_main_thread" % kind) for kind in ("user", "sys")]
    return None if None in found else sum(found)


def _databases(info: Mapping[str, Any]) -> list[tuple[str, dict[str, int]]]:
    """The lines of INFO's section Keyspace: ("db0", {"keys", "expires", …})."""
    return [(name, found) for name, found in info.items() if name.startswith("db") and name[2:].isdigit() and isinstance(found, dict)]


def _errors(info: Mapping[str, Any]) -> dict[str, int]:
    """Error replies since the start by their first word."""
    found = {}
    for name, value in info.items():
        if name.startswith("errorstat_"):
            count = value.get("count", 0) if isinstance(value, dict) else str(value).rpartition("=")[2]
            found[name[len("errorstat_") :]] = int(count)
    return found


def _flavour(info: Mapping[str, Any]) -> str:
    for flavour in ("valkey", "dragonfly"):
        if flavour + "_version" in info or info.get("server_name") == flavour:
            return flavour
    if "server_threads" in info or "mvcc_depth" in info or "keydb" in str(info.get("executable", "")):
        return "keydb"
    return "redis"


def _number(value: Any) -> Any:
    """A setting's number; what could not be read stays what it is."""
    return int(value) if isinstance(value, (int, str)) and str(value).isdigit() else value


def _command(command: Any) -> str:
    """The name of a command, its arguments left out."""
    name = _text(command).split(" ", 1)[0].upper()[:24]
    return name if name.replace("-", "").replace(".", "").replace("_", "").isalnum() else "?"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _own_delay() -> float:
    """Milliseconds by which this thread wakes up late just now, as it would from waiting for an answer."""
    since = time.perf_counter()
    time.sleep(NAP_SECONDS)
    return max(0.0, time.perf_counter() - since - NAP_SECONDS) * 1000
