# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on the connection pools of the clients of a PostgreSQL server (SQLAlchemy's QueuePool and its like).

Handed in seen["pools"], one for each client and server:
  {"component", "server", "size", "overflow", "processes", "replicas", "timeout_seconds", "source",
   "sessions": {"total", "active", "idle", "idle_in_transaction", "oldest_idle_in_transaction_seconds"},
   "log_errors": {"count", "last_seconds_ago", "size", "overflow"} or None}
and in seen["servers"]: {server: {"usable", "used"}}.
"""

from __future__ import annotations

from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, HIGH, INFO, MEDIUM, WARNING, Clear, Finding

# The share of a server's usable slots that the pools together may fill (docs: the rest is for people, migrations and roll-outs).
BUDGET_SHARE = 0.8
# A connection that a request keeps open in a transaction for this long waits for something else than the database.
HELD_SECONDS = 5.0
# A complaint this young counts whatever the pool looks like by now.
RECENT_SECONDS = 10.0
DEFAULT_TIMEOUT_SECONDS = 30.0


def capacity(pool: dict[str, Any]) -> int | None:
    """The connections that one process may open; None: without a limit (pool_size 0 or max_overflow -1). The log's figures are the real ones."""
    errors = pool.get("log_errors") or {}
    size, overflow = errors.get("size"), errors.get("overflow")
    if size is None or overflow is None:
        size, overflow = pool["size"], pool["overflow"]
    if size == 0 or overflow < 0:
        return None
    return size + overflow


def whole_capacity(pool: dict[str, Any]) -> int | None:
    """The connections that all processes of all copies of a client may open together."""
    one = capacity(pool)
    return None if one is None else one * max(1, pool["processes"]) * max(1, pool["replicas"])


def _at_most(pool: dict[str, Any]) -> int | None:
    """The connections that a client will open: a process that does one thing at a time (a Celery prefork child, beat) takes one."""
    return max(1, pool["processes"]) * max(1, pool["replicas"]) if pool.get("one_at_a_time") else whole_capacity(pool)


@judges("postgres.pool_exhausted", domain="stack")
def pool_exhausted(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A client whose requests wait for a connection of their own pool while the server would have more.

    Shown by the client's recent QueuePool messages (critical), or by all its connections being held in open transactions (warning).
    The window is log_window_seconds; after a message older than the pool's own time-out, a pool with room again has recovered; after one older than
    RECENT_SECONDS, when fewer connections are open than one process alone may have.
    """
    for pool in seen.get("pools") or []:
        server = (seen.get("servers") or {}).get(pool["server"])
        yield _judge_pool(pool, server, limits)


# SQLAlchemy's own pool_size and max_overflow, together.
LIBRARY_DEFAULT = 15


def _judge_pool(pool: dict[str, Any], server: dict[str, Any] | None, limits: Limits) -> Answer:
    sessions, errors, whole = pool["sessions"], pool.get("log_errors"), whole_capacity(pool)
    busy = sessions["active"] + sessions["idle_in_transaction"]
    full = whole is not None and busy >= whole
    timeout = pool.get("timeout_seconds") or DEFAULT_TIMEOUT_SECONDS
    window = limits.get("log_window_seconds", component=pool["component"]) or 0.0
    ago = errors["last_seconds_ago"] if errors and errors["count"] > 0 else None
    # All connections taken (checked out, though some are idle for the server) and the client complains: still so.
    taken = whole is not None and sessions["total"] >= whole
    one = capacity(pool)
    patience = RECENT_SECONDS if one is not None and 0 < sessions["total"] < one else max(timeout, RECENT_SECONDS)
    ongoing = ago is not None and ago <= window and (full or taken or ago <= patience)
    held = full and sessions["idle_in_transaction"] * 2 >= busy and sessions["oldest_idle_in_transaction_seconds"] >= HELD_SECONDS
    evidence = _evidence(pool, server, whole, busy)
    if ongoing:
        evidence["cause"] = _cause(pool, server, whole, busy)
        return Finding("postgres.pool_exhausted", pool["component"], CRITICAL, evidence, HIGH if full or taken else MEDIUM, about=pool["server"])
    if held:
        evidence["cause"] = "held_in_transaction"
        return Finding("postgres.pool_exhausted", pool["component"], WARNING, evidence, MEDIUM, about=pool["server"])
    return Clear("postgres.pool_exhausted", pool["component"], evidence, about=pool["server"])


def _evidence(pool: dict[str, Any], server: dict[str, Any] | None, whole: int | None, busy: int) -> dict[str, Any]:
    errors = pool.get("log_errors") or {}
    sized_by_log = errors.get("size") is not None and errors.get("overflow") is not None
    size, overflow = (errors["size"], errors["overflow"]) if sized_by_log else (pool["size"], pool["overflow"])
    return {
        "size": size,
        "overflow": overflow,
        # Whatever holds its connections: a pool smaller than anybody would make it is too small.
        "below_default": size is not None and overflow is not None and 0 < size and 0 <= overflow and size + overflow < LIBRARY_DEFAULT,
        "source": "its log" if sized_by_log else pool["source"],
        "processes": pool["processes"],
        "replicas": pool["replicas"],
        "capacity": whole,
        "busy": busy,
        "timeout_seconds": pool.get("timeout_seconds"),
        "sessions": dict(pool["sessions"]),
        "idle_in_transaction": pool["sessions"]["idle_in_transaction"],
        "oldest_idle_in_transaction_seconds": pool["sessions"]["oldest_idle_in_transaction_seconds"],
        "messages": errors.get("count", 0),
        "last_message_seconds_ago": errors.get("last_seconds_ago"),
        "server_used": server["used"] if server else None,
        "server_usable": server["usable"] if server else None,
    }


def _cause(pool: dict[str, Any], server: dict[str, Any] | None, whole: int | None, busy: int) -> str:
    """What fills the pool, before anybody makes it larger.

    server_full: the server has no slot either. held_in_transaction: connections kept across something slow (an LLM call).
    slow_queries: all at work in the database. leak: taken and never given back, idle for the server. too_small: none of these.
    """
    sessions = pool["sessions"]
    if server and server["used"] >= server["usable"]:
        return "server_full"
    if busy and sessions["idle_in_transaction"] * 2 >= busy:
        return "held_in_transaction"
    if whole is not None and sessions["active"] * 2 >= whole:
        return "slow_queries"
    if whole is not None and sessions["total"] >= whole and sessions["idle"] * 2 > sessions["total"]:
        return "leak"
    return "too_small"


@judges("postgres.requests_waiting", domain="stack")
def requests_waiting(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A client many of whose sessions wait for a lock: its requests hang, whatever its health routes say (as many as for lock_held: 5 / 10)."""
    for pool in seen.get("pools") or []:
        waiting, total = pool["sessions"].get("waiting", 0), pool["sessions"]["total"]
        severity = limits.grade("postgres_lock_waiting_sessions", waiting, component=pool["component"])
        evidence = {"waiting": waiting, "total": total, "capacity": whole_capacity(pool)}
        if severity:
            yield Finding("postgres.requests_waiting", pool["component"], severity, evidence, about=pool["server"])
        else:
            yield Clear("postgres.requests_waiting", pool["component"], evidence, about=pool["server"])


@judges("postgres.pool_over_budget", domain="stack")
def pool_over_budget(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Together the pools may open more connections than the server has: replicas × processes × (size + overflow) against 0.8 of the usable slots.

    150 % of that budget, because pools are seldom all full at once. Sizes that are only a library's defaults lower the confidence.
    """
    for server, slots in sorted((seen.get("servers") or {}).items()):
        pools = [pool for pool in seen.get("pools") or [] if pool["server"] == server]
        if not pools:
            continue
        parts = [
            {key: pool[key] for key in ("component", "replicas", "processes", "size", "overflow", "source")} | {"connections": _at_most(pool)} for pool in pools
        ]
        unlimited = sorted({part["component"] for part in parts if part["connections"] is None})
        total = sum(part["connections"] or 0 for part in parts)
        budget = max(1, int(slots["usable"] * BUDGET_SHARE))
        percent = round(100.0 * total / budget, 1)
        evidence = {
            "total": total,
            "budget": budget,
            "usable": slots["usable"],
            "percent": percent,
            "used": slots["used"],
            "pools": parts,
            "unlimited": unlimited,
        }
        evidence["sum"] = " + ".join("%s %s" % (part["component"], "∞" if part["connections"] is None else part["connections"]) for part in parts)
        severity = limits.grade("postgres_pool_budget_percent", percent, component=server) or (WARNING if unlimited else None)
        if severity:
            # What rests on a library's defaults is advice: whether the application uses them is not known.
            guessed = any("default" in str(pool["source"]).lower() for pool in pools)
            yield Finding("postgres.pool_over_budget", server, INFO if guessed else severity, evidence, MEDIUM if guessed else HIGH)
        else:
            yield Clear("postgres.pool_over_budget", server, evidence)
