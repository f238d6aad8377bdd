# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on one PostgreSQL server's facts (observe/postgres.py)."""

from __future__ import annotations

from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, HIGH, INFO, MEDIUM, WARNING, Clear, Finding, Unseen, why_unseen

DOMAIN = "postgres"
# The order in which a server looks at a newcomer: who was refused at one stage has passed those before it.
STAGES = (
    ("postgres.not_answering", ("refused", "timeout", "unreachable", "protocol", "lost")),
    ("postgres.starting_up", ("starting_up",)),
    ("postgres.access_denied", ("no_hba",)),
    ("postgres.role_missing", ("role_missing",)),
    ("postgres.database_missing", ("database_missing",)),
)
PASSWORD_METHODS = frozenset(["scram-sha-256", "md5", "password"])
# A wait as short as this is everyday work; one that is longer and below the threshold is told as a note.
EVERYDAY_WAIT_SECONDS = 2.0
GRANT_MONITOR = "GRANT pg_monitor TO the account that looks"


# --- is it there, and does it let us in ---


@judges(*(stage for stage, _kinds in STAGES), domain=DOMAIN)
def reachable(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Whether the server answers at all, and if it refuses, at which stage."""
    server = seen["component"]
    why = why_unseen(seen.get("answers"))
    if why is None:
        yield Clear("postgres.not_answering", server, _about_server(seen))
        yield Clear("postgres.starting_up", server, _about_server(seen))
        yield from _judge_clients(seen)
        return
    evidence = {"reason": why["reason"], "kind": why["kind"], **(seen.get("target") or {})}
    stage = next((place for place, (_id, kinds) in enumerate(STAGES) if why["kind"] in kinds), None)
    # What was refused for a password or for want of a slot has got as far as that.
    passed = {"too_many_clients": 2, "auth": 3}.get(why["kind"], stage or 0)
    for place, (finding_id, _kinds) in enumerate(STAGES):
        if place == stage:
            yield from _refused(seen, finding_id, evidence)
        elif place < passed:
            yield Clear(finding_id, server, evidence)
        else:
            yield Unseen(finding_id, server, why["reason"], why["fix"])


def _about_server(seen: dict[str, Any]) -> dict[str, Any]:
    server = seen.get("server")
    if server is None or why_unseen(server):
        return {}
    return {"version": server["version"].split(" ")[0], "up_seconds": round(server["now"] - server["started"])}


def _refused(seen: dict[str, Any], finding_id: str, evidence: dict[str, Any]) -> Iterator[Answer]:
    """Whose illness a refusal is: one client's setting when others name something else, the server's when all ask for the same."""
    server = seen["component"]
    key = {"postgres.role_missing": "user", "postgres.database_missing": "database"}.get(finding_id)
    named = seen.get("same_names") or {}
    clients = named.get(key or "") or []
    if key and clients and named.get("other_" + key):
        for client in clients:
            yield Finding(finding_id, client, CRITICAL, {**evidence, "clients": clients}, about=server)
        return
    severity = WARNING if finding_id == "postgres.starting_up" else CRITICAL
    yield Finding(finding_id, server, severity, {**evidence, "clients": clients})


def _judge_clients(seen: dict[str, Any]) -> Iterator[Answer]:
    """The databases, roles and addresses of the clients against the server's own lists, without a login."""
    server = seen["component"]
    credentials: Any = seen.get("credentials")
    why = why_unseen(credentials)
    if why:
        for finding_id in ("postgres.access_denied", "postgres.role_missing", "postgres.database_missing"):
            yield Unseen(finding_id, server, why["reason"], why["fix"])
        return
    yield from _judge_names(server, "postgres.database_missing", "database", credentials, "database_exists")
    yield from _judge_names(server, "postgres.role_missing", "user", credentials, "exists")
    denied = sorted({entry["component"] for entry in credentials if entry["method"] in ("none", "reject")})
    if denied:
        yield Finding("postgres.access_denied", server, CRITICAL, {"clients": denied, "reason": "no rule of pg_hba.conf lets them in", "kind": "no_hba"})
    else:
        yield Clear("postgres.access_denied", server, {})


def _judge_names(server: str, finding_id: str, key: str, credentials: list[dict[str, Any]], exists: str) -> Iterator[Answer]:
    named = [entry for entry in credentials if entry[key]]
    missing = [entry for entry in named if entry[exists] is False]
    for name in sorted({entry[key] for entry in missing}):
        clients = sorted({entry["component"] for entry in missing if entry[key] == name})
        evidence = {key: name, "clients": clients}
        if len(clients) > 1 and all(entry[key] == name for entry in named):
            yield Finding(finding_id, server, CRITICAL, evidence)
        else:
            for client in clients:
                yield Finding(finding_id, client, CRITICAL, evidence, about=server)
    if not missing:
        yield Clear(finding_id, server, {"names": sorted({entry[key] for entry in named})})


@judges("postgres.password_rejected", domain=DOMAIN)
def password_rejected(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A client whose password is not the one that the server has recorded: a stale or wrong credential, known without a failed login.

    Critical when the client has no session; a warning while sessions of before still live (the next one will be refused).
    """
    server = seen["component"]
    why = why_unseen(seen.get("answers"))
    if why:
        clients = seen.get("login_of") or []
        if why["kind"] == "auth" and clients:
            for client in clients:
                evidence = {"user": seen["target"]["user"], "cause": "refused", "reason": why["reason"], "sessions": None}
                yield Finding("postgres.password_rejected", client, CRITICAL, evidence, about=server)
        else:
            yield Unseen("postgres.password_rejected", server, why["reason"], why["fix"])
        return
    for client in seen.get("login_of") or []:
        yield Clear("postgres.password_rejected", client, {"user": seen["target"]["user"]}, about=server)
    credentials = seen.get("credentials")
    why = why_unseen(credentials)
    if why:
        yield Unseen("postgres.password_rejected", server, why["reason"], why["fix"])
        return
    answers: dict[str, Answer] = {}
    for entry in credentials or []:
        answer = _judge_credential(server, entry)
        before = answers.get(entry["component"])
        if answer is not None and (before is None or isinstance(answer, Finding) or (isinstance(answer, Unseen) and isinstance(before, Clear))):
            answers[entry["component"]] = answer
    tried = {account["component"] for account in seen.get("accounts") or [] if account.get("accepted") is not None}
    for client, answer in sorted(answers.items()):
        # What another judge knows from a login that was tried need not be told as unseen.
        if not (isinstance(answer, Unseen) and client in tried):
            yield answer


def _judge_credential(server: str, entry: dict[str, Any]) -> Answer | None:
    client, method = entry["component"], entry["method"]
    evidence = {"user": entry["user"], "sessions": entry["sessions"], "method": method}
    if not entry["exists"] or method in ("none", "reject"):
        return None  # told as role_missing, access_denied
    asks_password = method is None or method in PASSWORD_METHODS
    cause = ""
    if entry["can_login"] is False:
        cause = "no_login"
    elif asks_password and entry["valid_until_passed"]:
        cause = "expired"
    elif asks_password and entry["matches"] is False:
        cause = "password"
    if cause:
        severity = WARNING if entry["sessions"] else CRITICAL
        confidence = HIGH if cause == "no_login" or method else MEDIUM
        return Finding("postgres.password_rejected", client, severity, {**evidence, "cause": cause}, confidence, about=server)
    if entry["matches"] or method == "trust":
        return Clear("postgres.password_rejected", client, evidence, about=server)
    if not asks_password:
        reason = "%s asks user %s by the method %s, which cannot be checked without a login" % (server, entry["user"], method)
        return Unseen("postgres.password_rejected", client, reason)
    return Unseen("postgres.password_rejected", client, entry["reason"] or "its password is not known", "")


# --- connections ---


@judges("postgres.connections_exhausted", "postgres.connections_near_limit", domain=DOMAIN)
def connections(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Client sessions against the slots that applications may use: max_connections less the reserved ones (80/90 %, check_postgres).

    Exhausted takes the place of near. A database's or role's own connection limit that is used up is a warning: it may be as large as the pool on purpose.
    """
    server = seen["component"]
    ids = ("postgres.connections_exhausted", "postgres.connections_near_limit")
    why = why_unseen(seen.get("answers"))
    if why and why["kind"] == "too_many_clients":
        evidence = {"reason": why["reason"], "scope": "server", "used": "all", "usable": "?", "holders": [], "holder": "?", "holder_connections": "?"}
        yield Finding(ids[0], server, CRITICAL, evidence)
        return
    why = why or why_unseen(seen.get("session_counts")) or why_unseen(seen.get("server"))
    if why:
        for finding_id in ids:
            yield Unseen(finding_id, server, why["reason"], why["fix"])
        return
    used, usable = seen["session_counts"]["total"], max(1, seen["server"]["usable"])
    percent = round(100.0 * used / usable, 1)
    evidence = {"used": used, "usable": usable, "percent": percent, "scope": "server", **_largest(seen)}
    severity = limits.grade("postgres_connections_percent", percent, component=server)
    if used >= usable:
        yield Finding(ids[0], server, CRITICAL, evidence)
        return
    if severity:
        yield Finding(ids[1], server, severity, evidence)
    else:
        yield Clear(ids[1], server, evidence)
    scoped = list(_scopes_used_up(seen))
    for scope, scope_used, scope_limit in scoped:
        yield Finding(ids[0], server, WARNING, {**evidence, "scope": scope, "used": scope_used, "usable": scope_limit}, MEDIUM)
    if not scoped:
        yield Clear(ids[0], server, evidence)


def _scopes_used_up(seen: dict[str, Any]) -> Iterator[tuple[str, int, int]]:
    for key, noun in (("databases", "database"), ("roles", "user")):
        entries = seen.get(key)
        for entry in [] if why_unseen(entries) else entries or []:
            if entry["connection_limit"] > 0 and entry["connections"] >= entry["connection_limit"]:
                yield "%s %s" % (noun, entry[noun]), entry["connections"], entry["connection_limit"]


def _largest(seen: dict[str, Any]) -> dict[str, Any]:
    """The largest holders of connections, and the first of them in words."""
    keys = (
        "client_addr",
        "client",
        "application_name",
        "user",
        "database",
        "total",
        "active",
        "idle",
        "idle_in_transaction",
        "oldest_idle_in_transaction_seconds",
    )
    holders = [{key: holder.get(key) for key in keys} for holder in (seen.get("holders") or [])[:5]]
    counts = seen["session_counts"]
    first = holders[0] if holders else {}
    return {
        "holders": holders,
        "holder": _from(first),
        "holder_connections": first.get("total", 0),
        "holder_idle": first.get("idle", 0),
        "holder_idle_in_transaction": first.get("idle_in_transaction", 0),
        "active": counts["active"],
        "idle": counts["idle"],
        "idle_in_transaction": counts["idle_in_transaction"],
    }


# --- locks and sessions ---


def blocking_roots(seen: dict[str, Any]) -> list[dict[str, Any]]:
    """The sessions at the roots of the blocking trees: {pid, waiters (rows of locks), longest} — pid 0 is a prepared transaction."""
    waiters = {waiter["pid"]: waiter for waiter in seen["locks"]["waiters"]}
    below: dict[int, set[int]] = {}
    for pid in waiters:
        for root in _roots_of(pid, waiters):
            below.setdefault(root, set()).add(pid)
    roots = []
    for pid, pids in sorted(below.items()):
        rows = sorted((waiters[other] for other in pids), key=lambda row: (-(row["seconds"] or 0.0), row["pid"]))
        roots.append({"pid": pid, "waiters": rows, "longest": rows[0]["seconds"] or 0.0})
    return roots


def _roots_of(pid: int, waiters: dict[int, dict[str, Any]]) -> set[int]:
    roots: set[int] = set()
    seen, queue = {pid}, [pid]
    while queue:
        for blocker in waiters[queue.pop()]["blocked_by"]:
            if blocker in seen:
                continue
            seen.add(blocker)
            if blocker in waiters:
                queue.append(blocker)
            else:
                roots.add(blocker)
    return roots


def _session(seen: dict[str, Any], pid: int) -> dict[str, Any]:
    for key in ("sessions", "others"):
        for session in seen.get(key) or []:
            if session["pid"] == pid:
                return session
    return {}


def _is_idle_in_transaction(session: dict[str, Any]) -> bool:
    return (session.get("state") or "").startswith("idle in transaction")


def _worst(*severities: str | None) -> str | None:
    return next((level for level in (CRITICAL, WARNING) if level in severities), None)


def _lock_severity(seen: dict[str, Any], root: dict[str, Any], limits: Limits) -> str | None:
    """By how long the longest waits, by how many wait, and by how long an idle holder has been idle; info below all three.

    Who waits for an advisory lock may do so for good: that is how a standby waits for its turn as the leader. Many who wait for a moment are a busy row.
    """
    server = seen["component"]
    session = _session(seen, root["pid"])
    idle = session.get("state_seconds") or 0.0 if _is_idle_in_transaction(session) else 0.0
    held_up = [waiter["seconds"] or 0.0 for waiter in root["waiters"] if waiter["locktype"] != "advisory"]
    longest = max(held_up, default=0.0)
    severity = _worst(
        limits.grade("postgres_lock_wait_seconds", longest, component=server),
        limits.grade("postgres_lock_waiting_sessions", len(held_up) if longest >= EVERYDAY_WAIT_SECONDS else 0, component=server),
        limits.grade("postgres_idle_in_transaction_seconds", idle if held_up else 0.0, component=server),
    )
    return severity or (INFO if root["longest"] >= EVERYDAY_WAIT_SECONDS else None)


def _named_roots(seen: dict[str, Any], limits: Limits) -> set[int]:
    """The pids that lock_held names: their state is told there and nowhere else."""
    if why_unseen(seen.get("locks")):
        return set()
    return {root["pid"] for root in blocking_roots(seen) if _lock_severity(seen, root, limits) in (CRITICAL, WARNING)}


@judges("postgres.lock_held", domain=DOMAIN, needs=("sessions", "locks"))
def lock_held(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A session at the root of a blocking tree: others wait for it for 60/120 s (pganalyze, check_pgactivity), or 5/10 of them (pgwatch).

    A wait of 2 s or more below those is a note (info): no illness by itself.
    """
    found = False
    waiting = len(seen["locks"]["waiters"])
    for root in blocking_roots(seen):
        severity = _lock_severity(seen, root, limits)
        if severity is None or root["pid"] == 0:
            continue
        found = found or severity != INFO
        yield Finding("postgres.lock_held", seen["component"], severity, _lock_evidence(seen, root))
    if not found:
        longest = max((waiter["seconds"] or 0.0 for waiter in seen["locks"]["waiters"]), default=0.0)
        yield Clear("postgres.lock_held", seen["component"], {"waiting": waiting, "longest_seconds": longest})


def _lock_evidence(seen: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    session = _session(seen, root["pid"])
    direct = [waiter for waiter in root["waiters"] if root["pid"] in waiter["blocked_by"]]
    held = [(waiter, lock) for waiter in direct for lock in waiter["held"] if lock["pid"] == root["pid"]]
    first, lock = held[0] if held else (direct[0], {"mode": None})
    relation = first["relation"] or next((waiter["relation"] for waiter in root["waiters"] if waiter["relation"]), None)
    return {
        "waiting": len(root["waiters"]),
        "seconds": root["longest"],
        "relation": relation,
        "mode": lock["mode"],
        "query": session.get("query"),
        **_who(session, root["pid"]),
        "held_seconds": session.get("xact_seconds"),
        "idle_seconds": session.get("state_seconds") if _is_idle_in_transaction(session) else None,
        "waiting_pids": [waiter["pid"] for waiter in root["waiters"]][:50],
        "waiting_clients": sorted({_place(_session(seen, waiter["pid"])) for waiter in root["waiters"]} - {""}),
        "wanted": first["mode"],
        "locktype": first["locktype"],
        "protected": session.get("protected") or "",
        "chain": _chain(seen, root),
    }


def _who(session: dict[str, Any], pid: int) -> dict[str, Any]:
    keys = ("user", "database", "application_name", "client_addr", "client_port", "state")
    return {"pid": pid, **{key: session.get(key) for key in keys}, "from": _from(session)}


def _from(session: dict[str, Any]) -> str:
    """Where a session comes from, in words."""
    if not session:
        return "?"
    return "%s (%s)" % (session.get("application_name") or session.get("user") or "?", _place(session) or "local socket")


def _place(session: dict[str, Any]) -> str:
    """The component that a session's address belongs to, or the address."""
    return session.get("client") or session.get("client_addr") or ""


def _chain(seen: dict[str, Any], root: dict[str, Any]) -> list[str]:
    """Who waits for whom, nearest to the root first, ten at most."""
    lines = []
    for waiter in sorted(root["waiters"], key=lambda row: (root["pid"] not in row["blocked_by"], -(row["seconds"] or 0.0))):
        session = _session(seen, waiter["pid"])
        lines.append(
            "%d %s waits %.0f s for %s: %s%s"
            % (
                waiter["pid"],
                _from(session),
                waiter["seconds"] or 0.0,
                ", ".join(str(pid) for pid in waiter["blocked_by"]),
                waiter["mode"],
                " on " + waiter["relation"] if waiter["relation"] else "",
            )
        )
    return lines[:10]


@judges("postgres.idle_in_transaction", domain=DOMAIN, needs=("sessions", "session_counts"))
def idle_in_transaction(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Sessions left open in a transaction for 60/300 s (check_pgactivity), one finding for each program and address.

    Critical only when one holds a transaction id or a snapshot, because then VACUUM and locks wait for it; those that lock_held names are left out.
    """
    server = seen["component"]
    named = _named_roots(seen, limits)
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for session in seen["sessions"]:
        if not _is_idle_in_transaction(session) or session["pid"] in named or session["protected"]:
            continue
        if limits.grade("postgres_idle_in_transaction_seconds", session["state_seconds"] or 0.0, component=server):
            groups.setdefault((session["user"], session["application_name"], session["client_addr"]), []).append(session)
    for members in groups.values():
        oldest = max(members, key=lambda session: session["state_seconds"])
        severity = limits.grade("postgres_idle_in_transaction_seconds", oldest["state_seconds"], component=server) or WARNING
        holds = any(session["has_xid"] or session["xmin_age"] is not None for session in members)
        evidence = {
            **_who(oldest, oldest["pid"]),
            "seconds": oldest["state_seconds"],
            "count": len(members),
            "pids": [session["pid"] for session in members][:50],
            "holds_xid_or_snapshot": holds,
            "query": oldest["query"],
        }
        yield Finding("postgres.idle_in_transaction", server, severity if holds else WARNING, evidence)
    if not groups:
        yield _clear_or_hidden(seen, "postgres.idle_in_transaction", {
            "count": seen["session_counts"]["idle_in_transaction"],
            "seconds": seen["session_counts"]["oldest_idle_in_transaction_seconds"],
        })  # fmt: skip


def _clear_or_hidden(seen: dict[str, Any], finding_id: str, evidence: dict[str, Any]) -> Answer:
    """Clear, unless there are sessions whose state the account may not see."""
    hidden = seen["session_counts"]["hidden"]
    if hidden:
        reason = "%d of %d sessions hide their state from this account" % (hidden, seen["session_counts"]["total"])
        return Unseen(finding_id, seen["component"], reason, GRANT_MONITOR)
    return Clear(finding_id, seen["component"], evidence)


@judges("postgres.long_query", domain=DOMAIN, needs=("sessions", "session_counts"))
def long_query(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A statement that has been running for 60 s (check_pgactivity) or 5 minutes (the runbook), one finding for each text.

    Left out: dumps, vacuums, index builds, replication and other jobs that are slow by nature, and those that merely wait for a lock.
    """
    server = seen["component"]
    named = _named_roots(seen, limits)
    progress = seen.get("progress")
    busy = {entry["pid"] for entry in ([] if why_unseen(progress) else progress or [])}
    groups: dict[str, list[dict[str, Any]]] = {}
    longest = 0.0
    for session in seen["sessions"]:
        waits = bool(session["blocked_by"]) or session["wait_event_type"] == "Lock"
        if session["state"] != "active" or session["protected"] or waits or session["pid"] in named or session["pid"] in busy:
            continue
        longest = max(longest, session["query_seconds"] or 0.0)
        if limits.grade("postgres_long_query_seconds", session["query_seconds"] or 0.0, component=server):
            groups.setdefault(session["query"], []).append(session)
    for query, members in groups.items():
        oldest = max(members, key=lambda session: session["query_seconds"])
        severity = limits.grade("postgres_long_query_seconds", oldest["query_seconds"], component=server) or WARNING
        evidence = {
            **_who(oldest, oldest["pid"]),
            "seconds": oldest["query_seconds"],
            "count": len(members),
            "pids": [session["pid"] for session in members][:50],
            "wait_event": oldest["wait_event"],
            "query": query,
        }
        yield Finding("postgres.long_query", server, severity, evidence)
    if not groups:
        yield _clear_or_hidden(seen, "postgres.long_query", {"seconds": longest, "active": seen["session_counts"]["active"]})


@judges("postgres.prepared_transaction", domain=DOMAIN, needs=("prepared", "locks"))
def prepared_transaction(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A prepared transaction that nobody finishes holds its locks even through a restart (60/300 s as for one idle in transaction)."""
    server = seen["component"]
    waiting = next((len(root["waiters"]) for root in blocking_roots(seen) if root["pid"] == 0), 0)
    found = False
    for entry in seen["prepared"]:
        severity = limits.grade("postgres_idle_in_transaction_seconds", entry["seconds"], component=server)
        if severity:
            found = True
            evidence = {**entry, "seconds": round(entry["seconds"], 1), "waiting": waiting}
            yield Finding("postgres.prepared_transaction", server, severity if waiting else WARNING, evidence)
    if not found:
        yield Clear("postgres.prepared_transaction", server, {"count": len(seen["prepared"])})


# --- the server itself ---


@judges("postgres.read_only", domain=DOMAIN, needs=("server",))
def read_only(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A server in recovery, or one that was set read-only, where somebody is known to write. Where nobody is, nothing is said."""
    server = seen["server"]
    evidence = {"in_recovery": server["in_recovery"], "default_transaction_read_only": server["default_transaction_read_only"]}
    if not server["read_only"]:
        yield Clear("postgres.read_only", seen["component"], evidence)
    elif seen.get("expects_writes"):
        evidence["cause"] = "pg_is_in_recovery()" if server["in_recovery"] else "default_transaction_read_only = on"
        yield Finding("postgres.read_only", seen["component"], CRITICAL, evidence)


@judges("postgres.checksum_failure", domain=DOMAIN, needs=("databases",))
def checksum_failure(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A page whose checksum did not fit when it was read, ever since the statistics were reset (one is enough, pg_stat_database, 12+)."""
    ill = [entry for entry in seen["databases"] if entry["checksum_failures"]]
    for entry in ill:
        evidence = {"database": entry["database"], "count": entry["checksum_failures"], "last_seconds_ago": _rounded(entry["checksum_last_seconds"])}
        yield Finding("postgres.checksum_failure", seen["component"], CRITICAL, evidence)
    if not ill:
        counted = any(entry["checksum_failures"] is not None for entry in seen["databases"])
        yield Clear("postgres.checksum_failure", seen["component"], {"count": 0, "data_checksums": "on" if counted else "off"})


@judges("postgres.wraparound_near", domain=DOMAIN, needs=("databases", "settings"))
def wraparound_near(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """The oldest unfrozen transaction against autovacuum_freeze_max_age (110 %), and against the 2.1 billion that stop the server (1.3)."""
    server = seen["component"]
    freeze_max_age = int(seen["settings"]["values"].get("autovacuum_freeze_max_age", {}).get("value") or 200_000_000)
    oldest = max(seen["databases"], key=lambda entry: entry["frozen_age"] or 0)
    age = oldest["frozen_age"] or 0
    evidence = {"database": oldest["database"], "age": age, "percent": round(100.0 * age / freeze_max_age, 1), "freeze_max_age": freeze_max_age}
    severity = _worst(
        limits.grade("postgres_freeze_age_percent", evidence["percent"], component=server), limits.grade("postgres_transaction_age", age, component=server)
    )
    if severity:
        yield Finding("postgres.wraparound_near", server, severity, evidence)
    else:
        yield Clear("postgres.wraparound_near", server, evidence)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
