# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on one Redis, from what observe/redis.py saw. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, HIGH, INFO, MEDIUM, WARNING, Clear, Finding, Unseen, why_unseen

DOMAIN = "redis"
DEAD = ("refused", "timeout", "unreachable", "reset", "dns", "denied", "protocol", "busy")
# From this share of maxmemory on, an OOM reply since the start speaks of now.
FULL_PERCENT = 99.0
# Where no more of the keys than this have an expiry, evicting those makes no room to speak of.
HARDLY_ANY_PERCENT = 1.0
# One late answer is an accident, of whoever asks or answers; so many are none.
SLOW_SAMPLES = 3
# A Redis that works for less of the time than this does not keep anybody waiting.
BUSY_PERCENT = 25.0
# Take no time of their own: where one is in the slow log, the machine was busy with something else.
QUICK = frozenset("AUTH HELLO PING SELECT CLIENT GET SET INCR EXPIRE TTL EXISTS".split())
JUST_NOW_SECONDS = 30


@judges("redis.not_answering", domain=DOMAIN)
def not_answering(seen: dict[str, Any], _limits: Limits) -> Iterator[Answer]:
    """The server refuses the connection, does not answer in time, or is no Redis at all."""
    why = why_unseen(seen.get("answers"))
    component = seen["component"]
    if why is None:
        evidence = {"ms": _at(seen, "latency", "p50_ms"), "version": _at(seen, "server", "version"), "flavour": _at(seen, "server", "flavour")}
        yield Clear("redis.not_answering", component, evidence)
    elif why["kind"] in DEAD:
        yield Finding("redis.not_answering", component, CRITICAL, {"error": why["reason"], "kind": why["kind"], **_place(seen)})
    elif why["kind"] in ("auth", "auth_required", "loading", "maxclients", "database"):
        yield Clear("redis.not_answering", component, {"ms": None, "version": "", "flavour": "redis", "answer": why["reason"]})
    else:
        yield Unseen("redis.not_answering", component, why["reason"], why["fix"])


@judges("redis.auth_mismatch", domain=DOMAIN)
def auth_mismatch(seen: dict[str, Any], _limits: Limits) -> Iterator[Answer]:
    """NOAUTH, WRONGPASS, or a password where none is configured: the account used here and the server's do not fit."""
    why = why_unseen(seen.get("answers"))
    component = seen["component"]
    if why is None:
        yield Clear("redis.auth_mismatch", component, {})
    elif why["kind"] in ("auth", "auth_required"):
        problem = "missing" if why["kind"] == "auth_required" else "unneeded" if why.get("unneeded") else "wrong"
        yield Finding("redis.auth_mismatch", component, CRITICAL, {"problem": problem, "error": why["reason"], **_place(seen)})
    else:
        yield Unseen("redis.auth_mismatch", component, why["reason"], why["fix"])


@judges("redis.loading", domain=DOMAIN)
def loading(seen: dict[str, Any], _limits: Limits) -> Iterator[Answer]:
    """The server refuses commands while it reads its data back into memory after a start."""
    why = why_unseen(seen.get("answers"))
    component = seen["component"]
    if why is None:
        yield Clear("redis.loading", component, {"uptime": _at(seen, "server", "uptime_seconds")})
    elif why["kind"] == "loading":
        yield Finding("redis.loading", component, CRITICAL, {"error": why["reason"]})
    else:
        yield Unseen("redis.loading", component, why["reason"], why["fix"])


@judges("redis.memory_full", "redis.memory_near_limit", "redis.no_memory_limit", domain=DOMAIN, needs=["memory"])
def memory(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Used memory against maxmemory, where nothing may be evicted: 80 / 90 % (redis_exporter), full from 100 % on.

    Full is also 99 % after writes were refused (OOM). A server that evicts any key is allowed to be full: a cache always is. One that evicts
    keys with an expiry only is full when that does not help: writes are refused just now, or were, and hardly a key has one and none is evicted.
    """
    component, facts = seen["component"], seen["memory"]
    used, most, policy = facts["used"], facts["max"], facts["policy"]
    if why_unseen(most):
        for finding_id in ("redis.memory_full", "redis.memory_near_limit", "redis.no_memory_limit"):
            yield Unseen(finding_id, component, "maxmemory: %s" % most["unseen"]["reason"], most["unseen"]["fix"])
        return
    if not most:
        evidence = {"used": used, "limit": 0, "percent": None, "policy": policy}
        yield Clear("redis.memory_full", component, evidence)
        yield Clear("redis.memory_near_limit", component, evidence)
        yield Finding("redis.no_memory_limit", component, INFO, {"used": used, "policy": policy})
        return
    percent = round(100.0 * used / most, 1)
    evidence = {"used": used, "limit": most, "percent": percent, "policy": policy, "oom_errors": facts["oom_errors"]}
    yield Clear("redis.no_memory_limit", component, evidence)
    in_vain = percent >= FULL_PERCENT and _evicts_in_vain(seen)
    if _evicts(facts) and not in_vain:
        yield Clear("redis.memory_full", component, evidence)
        yield Clear("redis.memory_near_limit", component, evidence)
        return
    if percent >= 100 or in_vain or (percent >= FULL_PERCENT and facts["oom_errors"]):
        yield Finding("redis.memory_full", component, CRITICAL, evidence)
        return
    yield Clear("redis.memory_full", component, evidence)
    level = limits.grade("redis_memory_percent", percent, component)
    if level:
        yield Finding("redis.memory_near_limit", component, level, evidence)
    else:
        yield Clear("redis.memory_near_limit", component, evidence)


@judges("redis.evicts_broker_keys", domain=DOMAIN, needs=["memory", "holds_broker"])
def evicts_broker_keys(seen: dict[str, Any], _limits: Limits) -> Iterator[Answer]:
    """A Redis that holds a broker's queues and may evict any key at its limit loses tasks without a word; a broker wants noeviction.

    volatile-* policies evict keys with an expiry only, and queues have none.
    """
    component, facts = seen["component"], seen["memory"]
    policy = facts["policy"]
    evidence = {"policy": policy, "holds_broker": seen["holds_broker"], "evicted": facts["evicted"], "limit": facts["max"]}
    if why_unseen(policy):
        yield Unseen("redis.evicts_broker_keys", component, "maxmemory-policy: %s" % policy["unseen"]["reason"], policy["unseen"]["fix"])
    elif seen["holds_broker"] and str(policy).startswith("allkeys-") and facts["max"]:
        yield Finding("redis.evicts_broker_keys", component, WARNING, evidence)
    else:
        yield Clear("redis.evicts_broker_keys", component, evidence)


@judges("redis.save_failing", domain=DOMAIN, needs=["persistence"])
def save_failing(seen: dict[str, Any], _limits: Limits) -> Iterator[Answer]:
    """The last background save, or the last write of the append-only file, failed. Redis then refuses every write (MISCONF),
    unless stop-writes-on-bgsave-error is off or no save is configured.
    """
    component, facts = seen["component"], seen["persistence"]
    rdb, aof = facts["rdb_last_bgsave_status"] == "err", facts["aof_enabled"] and facts["aof_last_write_status"] == "err"
    rewrite = facts["aof_enabled"] and facts["aof_last_rewrite_status"] == "err"
    save, stops = facts["save"], facts["stop_writes_on_bgsave_error"]
    evidence = {"what": "AOF" if aof else "RDB" if rdb else "AOF rewrite", "changes": facts["rdb_changes"], "misconf_errors": facts["misconf_errors"]}
    if not (rdb or aof or rewrite):
        yield Clear("redis.save_failing", component, {"changes": facts["rdb_changes"], "aof": facts["aof_enabled"]})
        return
    # Where CONFIG is denied, the default counts: writes are refused.
    refused = bool(aof) or bool(rdb and (why_unseen(stops) or stops) and (why_unseen(save) or save))
    yield Finding("redis.save_failing", component, CRITICAL if refused else WARNING, {**evidence, "writes_refused": refused})


@judges("redis.slow", domain=DOMAIN, needs=["latency"])
def slow(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Late answers that are Redis's own: p99 of 20 pings at or over 10 / 100 ms, three of them or more, while Redis itself was at work for
    a quarter of the time or more, or its slow log or latency monitor speaks of just now.

    A ping alone may be late by the fault of a busy machine. Without a sign of Redis's own it must be late more often than not, while
    the machine that asks was itself in time four times of five: then the way there, or the machine that Redis stands on, is slow. The
    quickest ping must be late, too: a far server is late by the same each time, a machine without breath is not.
    The slow log of the last minutes names who is to blame.
    """
    component, facts = seen["component"], seen["latency"]
    window = limits.get("log_window_seconds") or 0
    slowlog = [] if why_unseen(facts["slowlog"]) else facts["slowlog"]
    recent = [entry for entry in slowlog if entry["seconds_ago"] is not None and entry["seconds_ago"] <= window]
    bound = limits.get("redis_latency_p99_ms", WARNING, component)
    over = [one for one in facts["ms"] if bound is not None and one >= bound]
    level = limits.grade("redis_latency_p99_ms", facts["p99_ms"], component) if facts["samples"] else None
    percent = None if why_unseen(facts.get("busy")) else facts["busy"]["percent"]
    evidence = {"p50_ms": facts["p50_ms"], "p99_ms": facts["p99_ms"], "samples": facts["samples"], "over": len(over), "busy_percent": percent}
    evidence["commands"] = _slow_commands(recent)
    at_work = percent is not None and percent >= BUSY_PERCENT
    itself = at_work or _stood_still(seen, bound) or (percent is None and _just_now(recent, bound))
    needed = min(SLOW_SAMPLES if itself else max(SLOW_SAMPLES, facts["samples"] // 2 + 1), facts["samples"])
    steady = bool(facts["ms"]) and facts["ms"][0] >= facts["p50_ms"] / 2
    if level and len(over) >= needed and (itself or (facts["dropped"] * 4 <= facts["samples"] and steady)):
        # Graded by what came back again, not by the single worst answer.
        level = limits.grade("redis_latency_p99_ms", sorted(over)[-min(needed, len(over))], component) or level
        yield Finding("redis.slow", component, level, evidence, HIGH if itself else MEDIUM)
    elif _busy_with(recent, bound):
        yield Finding("redis.slow", component, WARNING, evidence, confidence=MEDIUM)
    elif not facts["samples"] and (percent is None or at_work):
        reason = "this machine was too busy to measure: all of %d samples were late by its own fault" % facts["dropped"]
        yield Unseen("redis.slow", component, reason, "run it again")
    else:
        yield Clear("redis.slow", component, evidence)


@judges("redis.clients_near_limit", "redis.rejected_connections", domain=DOMAIN)
def clients(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Connected clients against maxclients: 80 / 90 % (redis_exporter). Rejections count only when there is no room now."""
    component = seen["component"]
    why = why_unseen(seen.get("answers"))
    if why and why["kind"] == "maxclients":
        yield Finding("redis.rejected_connections", component, CRITICAL, {"error": why["reason"], "connected": None, "limit": None, "rejected": None})
        yield Unseen("redis.clients_near_limit", component, why["reason"])
        return
    why = why_unseen(seen.get("clients")) or why_unseen(seen["clients"]["max"])
    if why:
        yield Unseen("redis.clients_near_limit", component, why["reason"], why["fix"])
        yield Unseen("redis.rejected_connections", component, why["reason"], why["fix"])
        return
    facts = seen["clients"]
    percent = round(100.0 * facts["connected"] / facts["max"], 1) if facts["max"] else 0.0
    evidence = {"connected": facts["connected"], "limit": facts["max"], "percent": percent, "rejected": facts["rejected"]}
    level = limits.grade("redis_clients_percent", percent, component)
    yield Finding("redis.clients_near_limit", component, level, evidence) if level else Clear("redis.clients_near_limit", component, evidence)
    turned_away = (seen["stats"].get("since") or {}).get("rejected", 0) if not why_unseen(seen.get("stats")) else 0
    if turned_away or (facts["rejected"] and level == CRITICAL):
        yield Finding("redis.rejected_connections", component, CRITICAL, evidence)
    else:
        yield Clear("redis.rejected_connections", component, evidence)


@judges("redis.is_replica", domain=DOMAIN, needs=["replication"])
def is_replica(seen: dict[str, Any], _limits: Limits) -> Iterator[Answer]:
    """The application's Redis is a read-only replica: every write there fails with READONLY. No illness where the caller says that
    nobody writes there (expects_writes false).
    """
    component, facts = seen["component"], seen["replication"]
    evidence = {"role": facts["role"], "master": facts["master_host"], "link": facts["master_link"], "errors": facts["readonly_errors"]}
    if facts["role"] in ("slave", "replica") and facts["read_only"] and seen.get("expects_writes", True):
        yield Finding("redis.is_replica", component, CRITICAL, evidence)
    else:
        yield Clear("redis.is_replica", component, evidence)


def _place(seen: dict[str, Any]) -> dict[str, Any]:
    place = seen.get("place") or {}
    return {"host": place.get("host", ""), "port": place.get("port", 0)}


def _at(seen: dict[str, Any], section: str, key: str) -> Any:
    facts = seen.get(section)
    if why_unseen(facts) or not isinstance(facts, dict):
        return None
    value = facts.get(key)
    return None if isinstance(value, dict) and "unseen" in value else value


def _evicts(memory_facts: dict[str, Any]) -> bool:
    """Whether the server makes room by itself when it is full."""
    policy = memory_facts["policy"]
    if why_unseen(policy):
        return False
    return str(policy).startswith("allkeys-") or (str(policy).startswith("volatile-") and memory_facts["expiring"] > 0)


def _evicts_in_vain(seen: dict[str, Any]) -> bool:
    """Whether a full server that may evict keys with an expiry only refuses writes all the same."""
    facts = seen["memory"]
    if why_unseen(facts["policy"]) or not str(facts["policy"]).startswith("volatile-"):
        return False
    since = {} if why_unseen(seen.get("stats")) else seen["stats"].get("since") or {}
    hardly_any = 100 * facts["expiring"] <= HARDLY_ANY_PERCENT * facts["keys"]
    return since.get("oom", 0) > 0 or (hardly_any and facts["oom_errors"] > 0 and not since.get("evicted", 0) > 0)


def _slow_commands(entries: list[dict[str, Any]]) -> list[str]:
    """The names in the slow log with how often and how long, the most costly first."""
    count: Counter[str] = Counter(entry["command"] for entry in entries)
    worst: dict[str, float] = {}
    for entry in entries:
        worst[entry["command"]] = max(worst.get(entry["command"], 0.0), entry["ms"])
    return ["%s x%d (up to %g ms)" % (name, count[name], worst[name]) for name in sorted(worst, key=lambda name: -worst[name] * count[name])[:5]]


def _just_now(entries: list[dict[str, Any]], bound: float | None) -> list[dict[str, Any]]:
    """The slow log's commands over the bound of the last half minute."""
    return [entry for entry in entries if bound is not None and entry["ms"] >= bound and entry["seconds_ago"] <= JUST_NOW_SECONDS]


def _busy_with(entries: list[dict[str, Any]], bound: float | None) -> bool:
    """Whether the slow log holds commands over the bound again and again until just now: the server stood still for their sake."""
    long = [entry for entry in _just_now(entries, bound) if entry["command"] not in QUICK]
    return len(long) >= 5 and sum(entry["ms"] for entry in long) >= 1000


def _stood_still(seen: dict[str, Any], bound: float | None) -> bool:
    """Whether Redis's own latency monitor, where it is switched on, saw it stand still just now (a fork, the disk, an eviction)."""
    events, now = seen["latency"].get("events"), seen.get("now")
    if why_unseen(events) or not isinstance(events, list) or not isinstance(now, int) or bound is None:
        return False
    return any(one["ms"] >= bound and now - one["at"] <= JUST_NOW_SECONDS for one in events)
