# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""End sessions of a PostgreSQL server: those that a diagnosis named, or those of a kind; never one that must not be ended."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Mapping, TypeVar

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import TRANSIENT, Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.backends import Backends
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import PostgresInside, Stage
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.postgres import SAME_ENCODING_SQL, protected_kind
from ansible_collections.aiops.runbook.plugins.module_utils.secret import masked_query

Answer = TypeVar("Answer")

DEFAULT_MOST = 20
# Between asking a session to stop its query and ending it.
CANCEL_SECONDS = 5.0
GONE_SECONDS = 10.0
# A server that is full has a slot free now and then.
LET_IN_SECONDS = 15.0
# What a session can be chosen by, besides its age.
FILTERS = ("state", "application_name", "user", "client_addr", "database")
EVERY_DATABASE = "*"
# Instead of the server's identity, where nobody can ask for it.
BY_PROCESSES = "by its processes"

VERSION_SQL = "SELECT current_setting('server_version_num')::int AS version"
IDENTITY_SQL = "SELECT system_identifier::text AS system_identifier FROM pg_control_system()"
# Times are written out: two connections may show them in different zones. Without the right to see it, a session of another role has no type.
SESSIONS_SQL = """
SELECT a.pid, {leader} AS leader_pid, {backend_start} AS backend_start, {query_start} AS query_start, a.state, a.usename::text AS "user",
       a.datname::text AS database, a.application_name, host(a.client_addr) AS client_addr, r.rolsuper AS superuser,
       coalesce(a.backend_type, 'client backend') AS backend_type, a.backend_type IS NULL AS hidden, a.pid = pg_backend_pid() AS own,
       extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS state_seconds,
       extract(epoch FROM clock_timestamp() - a.query_start)::float8 AS query_seconds, {query} AS query
FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.datid IS NOT NULL AND a.usesysid IS NOT NULL OR a.backend_type = 'walsender'
ORDER BY a.xact_start NULLS LAST, a.pid"""
TIME_SQL = "to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
# pg_blocking_pids() takes the lock manager for itself: it is asked for those that wait, and for no more than 200.
BLOCKED_SQL = """
SELECT w.pid, pg_blocking_pids(w.pid) AS blocked_by FROM (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted AND pid IS NOT NULL LIMIT 200) w"""
# The same session at the same statement, not another one that got its number meanwhile.
SIGNAL_SQL = """
SELECT a.pid, {function}(a.pid) AS sent
FROM pg_stat_activity a
JOIN json_to_recordset(%(wanted)s::json) AS w(pid int, backend_start text, query_start text)
  ON w.pid = a.pid AND w.backend_start = {backend_start} AND w.query_start IS NOT DISTINCT FROM {query_start}"""
_TIMES = {name: TIME_SQL % ("a." + name) for name in ("backend_start", "query_start")}


@dataclass
class Around:
    """What a choice rests on besides the sessions.

    accounts: those of the stack's own programs. blocked_by: who waits for whom. databases: those that a choice by kind is limited to
    (empty: all). insiders: the addresses of the stack's own programs, None where there is no stack.
    """

    accounts: set[str] = field(default_factory=set)
    blocked_by: dict[int, list[int]] = field(default_factory=dict)
    databases: set[str] = field(default_factory=set)
    insiders: set[str] | None = None


class PostgresTerminate:
    """Ends sessions: by pid, or by what they are (state, age, application, user, address), or the roots of the blocking tree.

    params: pids, or any of state, older_than_seconds, application_name, user, client_addr, database, outsiders (sessions of programs
    that are no part of the stack), roots; most (default 20) caps them all.
    """

    name = "postgres_terminate"

    def preview(self, stage: Stage, step: Step) -> Preview:
        found = self._look(stage, step)
        chosen, spared = choose(found["sessions"], step.params, found["around"])
        most = int(step.params.get("most") or DEFAULT_MOST)
        if len(chosen) > most:
            raise Refused(
                "%d sessions match, and %d may be ended in one run" % (len(chosen), most), fix="narrow the choice, or raise most if all of them are meant"
            )
        if not chosen and spared:
            raise Refused("every session that matches must not be ended: %s" % "; ".join(sorted(set(spared))[:5]))
        if not chosen and step.params.get("roots") and any(0 in pids for pids in found["around"].blocked_by.values()):
            raise Refused(
                "the lock is held by a transaction that was prepared for two-phase commit: no session is left that could be ended",
                fix="SELECT gid, prepared, owner FROM pg_prepared_xacts; then COMMIT PREPARED or ROLLBACK PREPARED it",
            )
        return Preview(
            risk=TRANSIENT,
            target={"server": step.component, "system_identifier": found["identity"]},
            state=[[one["pid"], one["backend_start"], one["query_start"], "cancel" if _busy(one) else "end"] for one in chosen],
            diff=[
                {
                    "what": "session %d" % one["pid"],
                    "before": describe(one),
                    "after": "its statement cancelled; ended if that does not help" if _busy(one) else "ended",
                }
                for one in chosen
            ],
            texts={"count": len(chosen), "sessions": [describe(one) for one in chosen], "spared": sorted(set(spared)), "inside": found["inside"]},
            changed=bool(chosen),
        )

    def _look(self, stage: Stage, step: Step) -> dict[str, Any]:
        """What there is, seen as the plan saw it: by its statements, or, where nobody is let in, by its processes."""
        planned, end = step.target.get("system_identifier"), time.monotonic() + LET_IN_SECONDS
        problem: StackError | None = None
        while planned != BY_PROCESSES:
            try:
                return self._read(stage, step)
            except StackError as error:
                if error.kind != "too_many_clients" or not step.params.get("outsiders") or step.params.get("state") != "idle":
                    raise
                problem = error
            # A plan that was let in rests on what it saw then; a slot is free now and then.
            if not planned or time.monotonic() > end:
                break
            time.sleep(0.2)
        # Nobody is let in any more, not even the superuser: what idles is seen from outside.
        try:
            sessions = Backends(stage, step.component).sessions()
        except StackError as error:
            raise problem or error from error
        if not sessions and problem is not None:
            raise problem
        around = Around({one.user for one in stage.server(step.component, "postgres").clients}, insiders=stage.insiders())
        return {"sessions": sessions, "around": around, "identity": BY_PROCESSES, "inside": False}

    def _read(self, stage: Stage, step: Step) -> dict[str, Any]:
        def read(connection: Any) -> dict[str, Any]:
            found = {"sessions": sessions_of(connection), "identity": connection.rows(IDENTITY_SQL)[0]["system_identifier"], "blocked_by": {}}
            found["inside"] = isinstance(connection, PostgresInside)
            if not step.params.get("pids"):
                found["blocked_by"] = {row["pid"]: row["blocked_by"] for row in connection.rows(BLOCKED_SQL)}
            return found

        found = at_server(stage, step.component, read)
        if any(one["hidden"] and not one["own"] for one in found["sessions"]):
            # The application's account does not see other roles' sessions; the server's own superuser does.
            inside = stage.postgres_inside(step.component)
            found = read(inside) if inside is not None else found
        clients = stage.server(step.component, "postgres").clients
        around = Around({one.user for one in clients}, found["blocked_by"], {one.database or one.user for one in clients}, stage.insiders())
        return {**found, "around": around}

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        def read(connection: Any) -> dict[str, Any]:
            return {"sessions": sessions_of(connection), "blocked_by": connection.rows(BLOCKED_SQL)}

        if preview.target["system_identifier"] == BY_PROCESSES:
            known = Backends(stage, step.component).sessions()
            return {"ended": _meant(known, preview), "sessions": known}
        found = at_server(stage, step.component, read, preview.texts["inside"])
        masked = [{**one, "query": stage.mask.text(masked_query(one["query"] or ""))} for one in found["sessions"]]
        return {"ended": _meant(masked, preview), "sessions": masked, "blocked_by": found["blocked_by"]}

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        if preview.target["system_identifier"] == BY_PROCESSES:
            Backends(stage, step.component).end(preview.state)
            return
        problems = at_server(stage, step.component, lambda connection: end(connection, preview.state), preview.texts["inside"])
        inside = stage.postgres_inside(step.component) if problems else None
        if inside is not None:
            # The application's account may not signal another role's session; the server's own superuser may.
            denied = set(problems)
            problems = end(inside, [one for one in preview.state if one[0] in denied])
        if problems:
            raise StackError(
                "; ".join(problems[pid] for pid in sorted(problems)), kind="denied", fix="give an account with pg_signal_backend by %s" % stage.login_options
            )

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        def problem() -> str:
            by_processes = preview.target["system_identifier"] == BY_PROCESSES
            sessions = Backends(stage, step.component).sessions() if by_processes else at_server(stage, step.component, sessions_of, preview.texts["inside"])
            remaining = sorted(one["pid"] for one in left(sessions, preview.state))
            return "still there: %s" % ", ".join(map(str, remaining)) if remaining else ""

        return stage.wait(problem, GONE_SECONDS)

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        raise StackError("sessions that were ended cannot be put back: their programs connect again by themselves", kind="not_undone")


# The choice: pure.


def choose(sessions: Iterable[dict[str, Any]], params: Mapping[str, Any], around: Around) -> tuple[list[dict[str, Any]], list[str]]:
    """(sessions to end, those that block most first; those that match and are spared, in words)."""
    sessions = list(sessions)
    pids = {int(pid) for pid in params.get("pids") or []}
    filters = {key: params[key] for key in FILTERS if params.get(key) is not None}
    if not pids and not filters and not any(params.get(key) for key in ("roots", "outsiders")) and params.get("older_than_seconds") is None:
        raise Refused(
            "nothing says which sessions are meant", fix="give pids, roots, or some of state, older_than_seconds, application_name, user", kind="bad_option"
        )
    if params.get("outsiders") and around.insiders is None:
        raise Refused(
            "without a stack nobody knows whose sessions are its own", fix="name the others by application_name, user or client_addr", kind="bad_option"
        )
    # A parallel worker goes with its leader.
    leaders = {one["pid"]: one["leader_pid"] for one in sessions if one["leader_pid"] is not None}
    pids = {leaders.get(pid, pid) for pid in pids}
    blocked_by = {leaders.get(pid, pid): {leaders.get(other, other) for other in others} for pid, others in around.blocked_by.items()}
    roots = {other for others in blocked_by.values() for other in others} - set(blocked_by)
    chosen, spared = [], []
    for one in sessions:
        if one["pid"] in leaders and one["pid"] != leaders[one["pid"]]:
            continue
        if pids and one["pid"] not in pids or params.get("roots") and one["pid"] not in roots:
            continue
        if not pids and not _matches(one, filters, params, around):
            continue
        why = protection(one, around.accounts, str(params.get("user") or ""))
        if why:
            spared.append("%d (%s)" % (one["pid"], why))
        else:
            chosen.append(one)
    if not pids:
        # Those that only wait live on when what they wait for goes; more may go in the next run.
        meant = {one["pid"] for one in chosen}
        waiting = {pid for pid in meant if (behind(pid, blocked_by) - {pid}) & meant}
        spared += ["%d (only waits for another one of them)" % pid for pid in sorted(waiting)]
        chosen = [one for one in chosen if one["pid"] not in waiting]
    weight = {one["pid"]: sum(one["pid"] in behind(pid, blocked_by) for pid in blocked_by) for one in chosen}
    return sorted(chosen, key=lambda one: (-weight[one["pid"]], -(_age(one) or 0.0))), spared


def _matches(one: Mapping[str, Any], filters: Mapping[str, Any], params: Mapping[str, Any], around: Around) -> bool:
    """Whether a session is of the kind that is meant, hidden ones included: they are told as spared."""
    for key, wanted in filters.items():
        value = _state(one) if key == "state" else one[key]
        if value != wanted and not (key == "database" and wanted == EVERY_DATABASE) and not (key == "state" and one["hidden"]):
            return False
    if params.get("outsiders"):
        # By the server's own socket come those who look after it.
        if one["client_addr"] is None and not one["hidden"] or one["client_addr"] in (around.insiders or set()):
            return False
    elif "database" not in filters and around.databases and one["database"] not in around.databases:
        return False
    age = params.get("older_than_seconds")
    return age is None or one["hidden"] or (_age(one) or 0.0) >= float(age)


def behind(pid: int, blocked_by: Mapping[int, set[int]]) -> set[int]:
    """Everybody that a session waits for, directly or not."""
    found: set[int] = set()
    next_ones = set(blocked_by.get(pid, ()))
    while next_ones - found:
        found |= next_ones
        next_ones = {other for one in next_ones for other in blocked_by.get(one, ())}
    return found


def protection(session: Mapping[str, Any], own_accounts: Iterable[str], named: str = "") -> str:
    """Why a session must not be ended; "" when it may be. named: the account that a person named."""
    if session["own"] or session["application_name"] == "aiops.runbook":
        return "our own"
    if session["backend_type"] != "client backend":
        return str(session["backend_type"])
    if session["hidden"] or session["state"] is None:
        return "its state is hidden from this account"
    if session["query"] is None:
        return "its statement is in another encoding"
    kind = protected_kind(session, session["query"])
    if kind:
        return kind
    if session["superuser"] and session["user"] not in own_accounts and session["user"] != named:
        return "a superuser's"
    return ""


def _meant(sessions: Iterable[dict[str, Any]], preview: Preview) -> list[dict[str, Any]]:
    """Those that a preview is to end, for the evidence."""
    pids = {pid for pid, *_rest in preview.state}
    return [one for one in sessions if one["pid"] in pids]


def left(sessions: Iterable[Mapping[str, Any]], wanted: Iterable[list[Any]]) -> list[Mapping[str, Any]]:
    """Those of the wanted that are still there. Who was only to be cancelled and has, may stay: idle outside a transaction, or at something new."""
    how = {(pid, backend_start): (query_start, what) for pid, backend_start, query_start, what in wanted}
    found = []
    for one in sessions:
        if (one["pid"], one["backend_start"]) not in how:
            continue
        query_start, what = how[(one["pid"], one["backend_start"])]
        if what == "cancel" and (one["state"] == "idle" or one["query_start"] != query_start):
            continue
        found.append(one)
    return found


def describe(session: Mapping[str, Any]) -> str:
    """A session in a line, without its literals."""
    who = "%s (%s) as %s in %s" % (
        session["application_name"] or "no name",
        session["client_addr"] or "local socket",
        session["user"],
        session["database"],
    )
    return "%s, %s: %s" % (who, session["state"], masked_query(session["query"] or "")[:120])


def _state(session: Mapping[str, Any]) -> str:
    return (session["state"] or "").replace(" (aborted)", "")


def _busy(session: Mapping[str, Any]) -> bool:
    return session["state"] in ("active", "fastpath function call")


def _age(session: Mapping[str, Any]) -> float | None:
    """For how long it has been at what it does now."""
    return session["query_seconds"] if _busy(session) else session["state_seconds"]


# At the server.


def sessions_of(connection: Any) -> list[dict[str, Any]]:
    leader = "a.leader_pid" if connection.rows(VERSION_SQL)[0]["version"] >= 130000 else "NULL::int"
    return connection.rows(SESSIONS_SQL.format(leader=leader, query=SAME_ENCODING_SQL, **_TIMES))


def end(connection: Any, wanted: list[list[Any]]) -> dict[int, str]:
    """End these sessions (Preview.state); those that this account may not end: {pid: why}."""
    denied: dict[int, str] = {}
    busy = [one for one in wanted if one[3] == "cancel"]
    if busy:
        denied.update(_signal(connection, "pg_cancel_backend", busy))
        until = time.monotonic() + CANCEL_SECONDS
        while True:
            waiting = [one["pid"] for one in left(sessions_of(connection), busy) if one["pid"] not in denied]
            if not waiting or time.monotonic() >= until:
                break
            time.sleep(0.25)
    # Cancelling does nothing for a session that only sits in its transaction. Those that stopped and hold no transaction open are left alone.
    there = {one["pid"] for one in left(sessions_of(connection), wanted)} - set(denied)
    denied.update(_signal(connection, "pg_terminate_backend", [one for one in wanted if one[0] in there]))
    return denied


def _signal(connection: Any, function: str, wanted: list[list[Any]]) -> dict[int, str]:
    """Signal these sessions: {pid: why not} of those where the right is missing."""
    sql = SIGNAL_SQL.format(function=function, **_TIMES)
    denied = {}
    # One statement for each, so that a refusal stops no other; a superuser is refused none, and a program started for each would take long.
    for group in [wanted] if isinstance(connection, PostgresInside) and wanted else [[one] for one in wanted]:
        entries = [dict(zip(("pid", "backend_start", "query_start"), one)) for one in group]
        try:
            connection.rows(sql, {"wanted": json.dumps(entries)})
        except StackError as error:
            if error.kind != "denied":
                raise
            denied.update({one[0]: "no right to end session %d: %s" % (one[0], error.message) for one in group})
    return denied


def at_server(stage: Stage, component: str, do: Callable[[Any], Answer], by_superuser: bool = False) -> Answer:
    """do(connection) as the application's account, or inside the container as its superuser where that one is not let in or may not do it.

    by_superuser: at once, as what was chosen by what one account sees is not there for another that sees less.
    """
    own = stage.postgres_inside(component) if by_superuser else None
    if own is not None:
        return do(own)
    try:
        return stage.with_postgres(component, do)
    except StackError as error:
        inside = stage.postgres_inside(component) if error.kind in ("too_many_clients", "denied", "no_account", "auth") else None
        if inside is None:
            raise
        return do(inside)
