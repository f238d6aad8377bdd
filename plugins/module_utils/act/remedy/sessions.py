# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""End sessions of a PostgreSQL server: those that a diagnosis named, or those of a kind; never one that must not be ended."""

from __future__ import annotations

import time
from typing import Any, Callable, Iterable, TypeVar

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import TRANSIENT, Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.postgres import protected_kind
from ansible_collections.aiops.runbook.plugins.module_utils.secret import masked_query

Answer = TypeVar("Answer")

DEFAULT_MOST = 20
# Between asking a session to stop its query and ending it.
CANCEL_SECONDS = 5.0
GONE_SECONDS = 10.0

IDENTITY_SQL = "SELECT system_identifier::text AS system_identifier FROM pg_control_system()"
# A parallel worker goes with its leader. The client's account is told apart from other superusers by name.
SESSIONS_SQL = """
SELECT coalesce(a.leader_pid, a.pid) AS pid, a.backend_start::text AS backend_start, a.query_start::text AS query_start, a.state, a.usename::text AS "user",
       a.datname::text AS database, a.application_name, host(a.client_addr) AS client_addr, r.rolsuper AS superuser, a.backend_type,
       extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS state_seconds, a.pid = pg_backend_pid() AS own,
       extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.query_start, a.backend_start))::float8 AS seconds, left(a.query, 1000) AS query
FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.backend_type IN ('client backend', 'walsender') AND a.pid = coalesce(a.leader_pid, a.pid)
ORDER BY seconds DESC NULLS LAST"""
BLOCKERS_SQL = """
SELECT DISTINCT b.pid FROM (SELECT unnest(pg_blocking_pids(w.pid)) AS pid FROM (SELECT pid FROM pg_locks WHERE NOT granted AND pid IS NOT NULL LIMIT 200) w) b
WHERE b.pid > 0 AND NOT EXISTS (SELECT 1 FROM pg_locks l WHERE l.pid = b.pid AND NOT l.granted)"""
# The same session, not another one that got its number meanwhile; one statement for each, so that a refusal stops no other.
SIGNAL_SQL = "SELECT {function}(pid) AS sent FROM pg_stat_activity WHERE pid = %(pid)s AND backend_start::text = %(backend_start)s"


class PostgresTerminate:
    """Ends sessions: by pid, or by what they are (state, age, application, user, address), or the roots of the blocking tree.

    params: pids, or any of state, older_than_seconds, application_name, user, client_addr, roots; most (default 20) caps them all.
    """

    name = "postgres_terminate"

    def preview(self, stage: Stage, step: Step) -> Preview:
        def read(connection: Any) -> dict[str, Any]:
            sessions = connection.rows(SESSIONS_SQL)
            roots = [row["pid"] for row in connection.rows(BLOCKERS_SQL)] if step.params.get("roots") else []
            return {"sessions": sessions, "roots": roots, "identity": connection.rows(IDENTITY_SQL)[0]["system_identifier"]}

        found = at_server(stage, step.component, read)
        chosen, spared = choose(found["sessions"], step.params, accounts(stage, step.component), found["roots"])
        most = int(step.params.get("most") or DEFAULT_MOST)
        if len(chosen) > most:
            raise Refused(
                "%d sessions match, and %d may be ended in one run" % (len(chosen), most), fix="narrow the choice, or raise most if all of them are meant"
            )
        if not chosen and spared:
            raise Refused("every session that matches must not be ended: %s" % "; ".join(sorted(set(spared))[:5]))
        return Preview(
            risk=TRANSIENT,
            target={"server": step.component, "system_identifier": found["identity"]},
            state=sorted([session["pid"], session["backend_start"]] for session in chosen),
            diff=[{"what": "session %d" % session["pid"], "before": describe(session), "after": "ended"} for session in chosen],
            texts={"count": len(chosen), "sessions": [describe(session) for session in chosen[:5]], "spared": sorted(set(spared))[:10]},
            changed=bool(chosen),
        )

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        sessions = at_server(stage, step.component, lambda connection: connection.rows(SESSIONS_SQL))
        return {"sessions": [{**session, "query": stage.mask.text(masked_query(session["query"] or ""))} for session in sessions]}

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        wanted = {(pid, start) for pid, start in preview.state}

        def act(connection: Any) -> list[str]:
            problems: list[str] = []
            sessions = [one for one in connection.rows(SESSIONS_SQL) if (one["pid"], one["backend_start"]) in wanted]
            busy = [one for one in sessions if one["state"] == "active"]
            # Cancelling does nothing for a session that only sits in its transaction.
            for one in busy:
                problems += _signal(connection, "pg_cancel_backend", one)
            if busy:
                end = time.monotonic() + CANCEL_SECONDS
                while time.monotonic() < end and any(left["state"] == "active" for left in _left(connection, busy)):
                    time.sleep(0.25)
                # What has stopped, holds no transaction open and was only to be stopped is left alone.
                sessions = [one for one in _left(connection, sessions) if one["state"] != "idle" or one["pid"] not in [other["pid"] for other in busy]]
            problems = []
            for one in sessions:
                problems += _signal(connection, "pg_terminate_backend", one)
            return problems

        problems = at_server(stage, step.component, act)
        if problems:
            raise StackError("; ".join(problems), kind="denied", fix="give an account with pg_signal_backend by postgres_user and postgres_password")

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        wanted = {(pid, start) for pid, start in preview.state}

        def problem() -> str:
            sessions = at_server(stage, step.component, lambda connection: connection.rows(SESSIONS_SQL))
            left = [one["pid"] for one in sessions if (one["pid"], one["backend_start"]) in wanted and one["state"] != "idle"]
            return "still there: %s" % ", ".join(map(str, left)) if left else ""

        return stage.wait(problem, GONE_SECONDS)

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        raise StackError("sessions that were ended cannot be put back: their programs connect again by themselves", kind="not_undone")


def choose(
    sessions: Iterable[dict[str, Any]], params: dict[str, Any], own_accounts: Iterable[str], roots: Iterable[int] = ()
) -> tuple[list[dict[str, Any]], list[str]]:
    """(sessions to end, oldest first; those that match and are spared, in words). Pure."""
    own_accounts, roots = set(own_accounts), set(roots)
    pids = {int(pid) for pid in params.get("pids") or []}
    keys = [key for key in ("state", "application_name", "user", "client_addr", "database") if params.get(key) is not None]
    if not pids and not keys and not params.get("roots") and params.get("older_than_seconds") is None:
        raise Refused("nothing says which sessions are meant", fix="give pids, roots, or some of state, older_than_seconds, application_name, user", kind="bad_option")
    chosen, spared = [], []
    for session in sessions:
        state = (session["state"] or "").replace(" (aborted)", "")
        if pids and session["pid"] not in pids:
            continue
        if params.get("roots") and session["pid"] not in roots:
            continue
        if any((state if key == "state" else session[key]) != params[key] for key in keys):
            continue
        if params.get("older_than_seconds") is not None and (session["state_seconds"] if state != "active" else session["seconds"] or 0.0) < float(
            params["older_than_seconds"]
        ):
            continue
        why = protection(session, own_accounts)
        if why:
            spared.append("%d (%s)" % (session["pid"], why))
        else:
            chosen.append(session)
    return chosen, spared


def protection(session: dict[str, Any], own_accounts: set[str]) -> str:
    """Why a session must not be ended; "" when it may be."""
    if session["own"] or session["application_name"] == "aiops.runbook":
        return "our own"
    if session["backend_type"] != "client backend":
        return session["backend_type"]
    if session["state"] is None:
        return "its state is hidden from this account"
    kind = protected_kind(session, session["query"] or "")
    if kind:
        return kind
    if session["superuser"] and session["user"] not in own_accounts:
        return "a superuser's"
    return ""


def describe(session: dict[str, Any]) -> str:
    """A session in a line, without its literals."""
    who = "%s (%s) as %s" % (session["application_name"] or "no name", session["client_addr"] or "local socket", session["user"])
    return "%s, %s for %.0f s: %s" % (who, session["state"], session["state_seconds"] or 0.0, masked_query(session["query"] or "")[:120])


def accounts(stage: Stage, component: str) -> list[str]:
    """The accounts with which the stack's own programs log in to this server."""
    return [target.user for target in stage.server(component, "postgres").clients]


def at_server(stage: Stage, component: str, do: Callable[[Any], Answer]) -> Answer:
    """do(connection) as the application's account, or inside the container as its superuser where that one is not let in or may not do it."""
    try:
        return stage.with_postgres(component, do)
    except StackError as error:
        inside = stage.postgres_inside(component) if error.kind in ("too_many_clients", "denied", "no_account", "auth") else None
        if inside is None:
            raise
        return do(inside)


def _signal(connection: Any, function: str, session: dict[str, Any]) -> list[str]:
    try:
        connection.rows(SIGNAL_SQL.format(function=function), {"pid": session["pid"], "backend_start": session["backend_start"]})
    except StackError as error:
        if error.kind != "denied":
            raise
        return ["no right to end session %d: %s" % (session["pid"], error.message)]
    return []


def _left(connection: Any, sessions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    wanted = {(one["pid"], one["backend_start"]) for one in sessions}
    return [one for one in connection.rows(SESSIONS_SQL) if (one["pid"], one["backend_start"]) in wanted]
