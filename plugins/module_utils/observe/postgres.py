# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The facts of one PostgreSQL server, read over one connection. PostgreSQL 10 or later.

All times are seconds by the server's clock. What the account may not see is marked, never taken for healthy.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.connect.postgres import APPLICATION_NAME, PostgresConnection, PostgresTarget, connect
from ansible_collections.aiops.runbook.plugins.module_utils.connect.postgres_auth import hba_method, password_matches
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, unseen
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask, masked_query

KEYS = (
    "server", "sessions", "others", "session_counts", "holders", "locks", "prepared", "settings", "databases", "roles", "progress", "credentials",
)  # fmt: skip
KEPT_SESSIONS = 500
KEPT_HOLDERS = 20
QUERY_PREFIX = 200
GRANT_MONITOR = "GRANT pg_monitor TO {user};"

# Sessions that do a job of their own: they are slow by nature, and ending one costs more than it cures.
_PROTECTED_NAMES = (
    ("pg_dump", re.compile(r"^pg_dump(all)?$")),
    ("pg_restore", re.compile(r"^pg_restore$")),
    ("backup", re.compile(r"^(pg_basebackup|pg_receivewal|pg_recvlogical|pgbackrest|barman|wal-g|wal-e|pg_probackup)\b", re.IGNORECASE)),
    ("maintenance", re.compile(r"^(vacuumdb|reindexdb|clusterdb|pg_repack|pg_cron|pg_amcheck)\b", re.IGNORECASE)),
    ("cluster manager", re.compile(r"^(patroni|repmgr|pg_auto_failover|stolon|cloudnative-?pg|cnpg)\b", re.IGNORECASE)),
    ("alembic", re.compile(r"alembic", re.IGNORECASE)),
    (APPLICATION_NAME, re.compile("^" + re.escape(APPLICATION_NAME) + "$")),
)
# Seconds after which a transaction that does nothing is nobody's job any more, whatever its last statement was; but a migration may be at something else.
ABANDONED_SECONDS = 60.0
_MAY_PAUSE = ("alembic", "backup")
_PROTECTED_USERS = frozenset(["rdsadmin", "rdsrepladmin", "cloudsqladmin", "cloudsqlagent", "azuresu", "azure_superuser", "supabase_admin"])
_PROTECTED_QUERIES = (
    ("vacuum", re.compile(r"^(VACUUM|ANALYZE)\b", re.IGNORECASE)),
    ("index build", re.compile(r"^(CREATE\s+(UNIQUE\s+)?INDEX|REINDEX)\b", re.IGNORECASE)),
    ("maintenance", re.compile(r"^(CLUSTER|REFRESH\s+MATERIALIZED)\b", re.IGNORECASE)),
    ("schema change", re.compile(r"^ALTER\s+TABLE\b", re.IGNORECASE)),
    ("alembic", re.compile(r"\balembic_version\b", re.IGNORECASE)),
    ("backup", re.compile(r"\bpg_(backup_start|start_backup|backup_stop|stop_backup)\b", re.IGNORECASE)),
    ("replication", re.compile(r"^(START_REPLICATION|BASE_BACKUP)\b", re.IGNORECASE)),
)

SERVER_SQL = """
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS version_number,
       extract(epoch FROM pg_postmaster_start_time())::float8 AS started, extract(epoch FROM clock_timestamp())::float8 AS now,
       pg_is_in_recovery() AS in_recovery, current_setting('max_connections')::int AS max_connections,
       current_setting('superuser_reserved_connections')::int AS superuser_reserved,
       coalesce(current_setting('reserved_connections', true), '0')::int AS reserved,
       current_user::text AS "current_user", current_database()::text AS "current_database", r.rolsuper AS is_superuser,
       r.rolsuper OR pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS has_pg_monitor
FROM pg_roles r WHERE r.rolname = current_user"""

SESSIONS_SQL = """
SELECT pid, usename::text AS "user", datname::text AS database, application_name, host(client_addr) AS client_addr, client_port,
       state, wait_event_type, wait_event, backend_type, usesysid IS NOT NULL AND datid IS NOT NULL AS has_user_and_database,
       greatest(0, extract(epoch FROM clock_timestamp() - xact_start))::float8 AS xact_seconds,
       greatest(0, extract(epoch FROM clock_timestamp() - query_start))::float8 AS query_seconds,
       greatest(0, extract(epoch FROM clock_timestamp() - state_change))::float8 AS state_seconds,
       greatest(0, extract(epoch FROM clock_timestamp() - backend_start))::float8 AS backend_seconds,
       backend_xid IS NOT NULL AS has_xid, age(backend_xmin) AS xmin_age,
       query = '<insufficient privilege>' AS hidden, {query} AS query
FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND (datid IS NOT NULL OR backend_type = 'walsender')
ORDER BY state = 'idle', xact_start NULLS LAST, pid"""

SAME_ENCODING_SQL = """
    CASE WHEN (SELECT d.encoding FROM pg_database d WHERE d.oid = datid) = (SELECT d.encoding FROM pg_database d WHERE d.datname = current_database())
         THEN left(query, 1000) END"""

# pg_blocking_pids() takes the lock manager for itself: it is asked for those that wait, and for no more than 200.
LOCKS_SQL = """
WITH held AS (SELECT * FROM pg_locks),
     waiting AS (SELECT * FROM held WHERE NOT granted AND pid IS NOT NULL LIMIT 200),
     blocked AS (SELECT w.*, pg_blocking_pids(w.pid) AS blocked_by FROM waiting w)
SELECT b.pid, b.mode, b.locktype, b.blocked_by, {waited} AS seconds,
       (SELECT t.relation::regclass::text FROM held t
        WHERE t.relation IS NOT NULL AND t.database IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
          AND t.pid = b.pid AND (t.relation = b.relation OR (b.relation IS NULL AND t.locktype = 'tuple')) LIMIT 1) AS relation,
       (SELECT json_agg(json_build_object('pid', h.pid, 'mode', h.mode)) FROM held h
        WHERE h.granted AND h.pid = ANY (b.blocked_by)
          AND ROW(h.locktype, h.database, h.relation, h.page, h.tuple, h.virtualxid, h.transactionid, h.classid, h.objid, h.objsubid)
              IS NOT DISTINCT FROM
              ROW(b.locktype, b.database, b.relation, b.page, b.tuple, b.virtualxid, b.transactionid, b.classid, b.objid, b.objsubid)) AS held
FROM blocked b"""

PREPARED_SQL = """
SELECT gid, owner::text AS "user", database::text AS database, extract(epoch FROM clock_timestamp() - prepared)::float8 AS seconds
FROM pg_prepared_xacts ORDER BY prepared LIMIT 50"""

# statement_timeout and lock_timeout are not among them: of those this session sees its own.
SETTINGS = (
    "max_connections", "superuser_reserved_connections", "reserved_connections", "idle_in_transaction_session_timeout", "idle_session_timeout",
    "log_min_duration_statement", "deadlock_timeout", "autovacuum", "autovacuum_freeze_max_age", "data_checksums", "password_encryption", "ssl",
    "shared_buffers", "work_mem", "track_activities", "max_prepared_transactions", "transaction_timeout",
)  # fmt: skip
SETTINGS_SQL = "SELECT name, setting, unit FROM pg_settings WHERE name = ANY (%s)"
# What is set for a database or a role overrides the server's value.
OVERRIDES = (
    "default_transaction_read_only", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "log_min_duration_statement",
)  # fmt: skip
OVERRIDES_SQL = """
SELECT d.datname::text AS database, r.rolname::text AS "user", s.setconfig AS settings
FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole"""

DATABASES_SQL = """
SELECT d.datname::text AS database, d.datallowconn AS allows_connections, d.datconnlimit AS connection_limit, age(d.datfrozenxid) AS frozen_age,
       s.numbackends AS backends, s.deadlocks, s.temp_bytes, s.blks_hit, s.blks_read, {checksums}
FROM pg_database d LEFT JOIN pg_stat_database s ON s.datid = d.oid ORDER BY d.datname"""
SIZES_SQL = """
SELECT datname::text AS database, pg_database_size(oid) AS size FROM pg_database
WHERE datallowconn AND (has_database_privilege(oid, 'CONNECT') OR pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'))"""

ROLES_SQL = 'SELECT rolname::text AS "user", rolconnlimit AS connection_limit FROM pg_roles WHERE rolconnlimit >= 0 AND NOT rolsuper'

PROGRESS = (
    ("vacuum", "pg_stat_progress_vacuum", "phase", 90600),
    ("index build", "pg_stat_progress_create_index", "phase", 120000),
    ("cluster", "pg_stat_progress_cluster", "phase", 120000),
    ("analyze", "pg_stat_progress_analyze", "phase", 130000),
    ("base backup", "pg_stat_progress_basebackup", "phase", 130000),
    ("copy", "pg_stat_progress_copy", "command", 140000),
)

VERIFIERS_SQL = """
SELECT rolname::text AS "user", rolpassword AS verifier, rolcanlogin AS can_login, coalesce(rolvaliduntil < now(), false) AS expired
FROM pg_authid WHERE rolname = ANY (%s)"""
ACCOUNTS_SQL = """
SELECT rolname::text AS "user", rolcanlogin AS can_login, coalesce(rolvaliduntil < now(), false) AS expired
FROM pg_roles WHERE rolname = ANY (%s)"""
HBA_SQL = """
SELECT type, database, user_name, address, netmask, auth_method, error,
       (pg_stat_file(current_setting('hba_file'))).modification > pg_conf_load_time() AS changed
FROM pg_hba_file_rules ORDER BY {order}"""
# Methods that compare what the client sends with pg_authid.
PASSWORD_METHODS = frozenset(["scram-sha-256", "md5", "password"])


def observe_postgres(
    component: str,
    target: PostgresTarget,
    mask: Mask,
    timeout: float = 5.0,
    clients: Iterable[Mapping[str, Any]] | None = None,
    expects_writes: bool | None = None,
) -> dict[str, Any]:
    """Everything about one server; a fact that could not be read is an unseen() entry and costs no other.

    clients: who connects to it with which account: {"component", "user", "password", "database"?, "addresses"?}. Their passwords are
    compared with the server's records, and never tried; of a "guessed" one only a match says something. None: nobody but the account that looks.
    expects_writes: whether somebody writes here (a primary); None: not known.
    """
    alone = clients is None
    clients = list(clients or [])
    for client in clients:
        mask.learn(client.get("password"))
    mask.learn(target.password)
    facts: dict[str, Any] = {
        "component": component,
        "target": {"where": mask.text(target.where), "user": target.user, "database": target.database},
        "expects_writes": expects_writes,
        "login_of": [component] if alone else [],
    }
    try:
        connection = connect(target, timeout)
    except StackError as error:
        reason = unseen(mask.text(error.message), kind=error.kind, fix=error.details.get("fix", ""))
        facts.update({"answers": reason, "same_names": _same_names(target, clients)})
        facts["login_of"] = facts["login_of"] or _login_of(target, clients, error.kind)
        facts.update(dict.fromkeys(KEYS, reason))
        return facts
    with connection:
        facts["answers"] = True
        Reader(connection, target, mask, clients, facts).read()
    return facts


def _login_of(target: PostgresTarget, clients: list[Mapping[str, Any]], kind: str) -> list[str]:
    """The clients that would meet with the same refusal, because they have the same account (and database)."""
    same = {"auth": ("user", "password"), "role_missing": ("user",), "database_missing": ("database",)}.get(kind, ())
    told = [client for client in clients if kind != "auth" or not client.get("guessed")]
    return sorted({client["component"] for client in told if same and all((client.get(key) or "") == getattr(target, key) for key in same)})


def _same_names(target: PostgresTarget, clients: list[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Who names which database, and who uses which role: whether one client errs or something was dropped."""
    named = [client for client in clients if client.get("database")]
    return {
        "database": sorted({client["component"] for client in named if client["database"] == target.database}),
        "other_database": sorted({client["component"] for client in named if client["database"] != target.database}),
        "user": sorted({client["component"] for client in clients if client.get("user") == target.user}),
        "other_user": sorted({client["component"] for client in clients if client.get("user") and client.get("user") != target.user}),
    }


class Reader:
    """One visit: each method reads one fact; read() puts a reason where one cannot be had."""

    def __init__(self, connection: PostgresConnection, target: PostgresTarget, mask: Mask, clients: list[Mapping[str, Any]], facts: dict[str, Any]) -> None:
        self.connection = connection
        self.target = target
        self.mask = mask
        self.clients = clients
        self.facts = facts
        self.version = 0
        self.is_superuser = False
        self.activity: list[dict[str, Any]] = []

    def read(self) -> None:
        facts = self.facts
        facts["pooled"] = self.connection.pooled
        facts["server"] = self._try(self.server)
        activity = self._try(self.sessions)
        if isinstance(activity, dict):
            facts.update(dict.fromkeys(("sessions", "others", "session_counts", "holders", "locks"), activity))
        else:
            self.activity = activity
            facts["locks"] = self._try(self.locks)
            self._tell_sessions()
        facts["prepared"] = self._try(lambda: self._masked(self.connection.rows(PREPARED_SQL)))
        facts["settings"] = self._try(self.settings)
        facts["databases"] = self._try(self.databases)
        facts["roles"] = self._try(self.roles)
        facts["progress"] = self._try(self.progress)
        facts["credentials"] = self._try(self.credentials)

    def _try(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except StackError as error:
            fix = GRANT_MONITOR.format(user=self.target.user) if error.kind == "denied" else error.details.get("fix", "")
            return unseen(self.mask.text(error.message), kind=error.kind, fix=fix)

    def _masked(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{key: self.mask.text(value) if isinstance(value, str) else value for key, value in row.items()} for row in rows]

    def server(self) -> dict[str, Any]:
        """Version, role of the server, its slots, and what our account may see."""
        server = self.connection.rows(SERVER_SQL)[0]
        self.version = server["version_number"]
        self.is_superuser = server["is_superuser"]
        server["default_transaction_read_only"] = self.connection.found["default_transaction_read_only"] == "on"
        server["read_only"] = server["in_recovery"] or server["default_transaction_read_only"]
        server["usable"] = server["max_connections"] - server["superuser_reserved"] - server["reserved"]
        server["system_identifier"] = self._try(lambda: self.connection.rows("SELECT system_identifier::text AS it FROM pg_control_system()")[0]["it"])
        return server

    # --- sessions and locks ---

    def sessions(self) -> list[dict[str, Any]]:
        """Every session but our own, the busy ones and the oldest transactions first."""
        try:
            rows = self.connection.rows(SESSIONS_SQL.format(query="left(query, 1000)"))
        except StackError as error:
            if error.kind not in ("encoding", "query"):
                raise
            # A text in another database's encoding makes the whole answer unreadable: only those in our own, then.
            rows = self.connection.rows(SESSIONS_SQL.format(query=SAME_ENCODING_SQL))
        for row in rows:
            # Without the right to see it, a session has no type; only clients (and their parallel workers) have both user and database.
            row["is_client"] = row["backend_type"] == "client backend" or (row["backend_type"] is None and row.pop("has_user_and_database"))
            row.pop("has_user_and_database", None)
        return rows

    def _tell_sessions(self) -> None:
        """The sessions as facts: clients apart from the server's helpers, queries masked, counted before the list is cut."""
        waits = {} if "unseen" in self.facts["locks"] else {waiter["pid"]: waiter for waiter in self.facts["locks"]["waiters"]}
        told = [self._session(row, waits) for row in self.activity]
        clients = [session for session in told if session["is_client"]]
        self.facts["session_counts"] = {**_counts(clients), "left_off": max(0, len(clients) - KEPT_SESSIONS)}
        self.facts["holders"] = _holders(clients)[:KEPT_HOLDERS]
        self.facts["sessions"] = clients[:KEPT_SESSIONS]
        self.facts["others"] = [session for session in told if not session["is_client"]][:KEPT_SESSIONS]

    def _session(self, row: dict[str, Any], waits: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
        session = dict(row)
        hidden = bool(session.pop("hidden")) and session["state"] is None
        session["visible"] = not hidden
        query = "" if hidden else masked_query(session["query"] or "")
        session["query"] = self.mask.text(query)[:QUERY_PREFIX]
        session["application_name"] = self.mask.text(session["application_name"] or "")
        session["protected"] = protected_kind(session, query)
        waiter = waits.get(session["pid"])
        session["blocked_by"] = waiter["blocked_by"] if waiter else []
        session["waits_seconds"] = waiter["seconds"] if waiter else None
        for key, value in session.items():
            if isinstance(value, float):
                session[key] = round(value, 3)
        return session

    def locks(self) -> dict[str, Any]:
        """Who waits for whom; asked only when somebody waits, or when that cannot be seen."""
        if not any(row["wait_event_type"] == "Lock" or row["hidden"] for row in self.activity):
            return {"waiters": []}
        waited = "greatest(0, extract(epoch FROM clock_timestamp() - b.waitstart))::float8" if self.version >= 140000 else "NULL::float8"
        rows = self.connection.rows(LOCKS_SQL.format(waited=waited))
        since = {row["pid"]: row["query_seconds"] for row in self.activity}
        for row in rows:
            row["blocked_by"] = sorted(set(row["blocked_by"] or []))
            row["held"] = row["held"] or []
            seconds = row["seconds"] if row["seconds"] is not None else since.get(row["pid"])
            row["seconds"] = round(seconds, 3) if seconds is not None else None
        return {"waiters": rows}

    # --- the rest of the server ---

    def settings(self) -> dict[str, Any]:
        """The settings that explain a finding, and what databases and roles override."""
        found = {row["name"]: {"value": row["setting"], "unit": row["unit"]} for row in self.connection.rows(SETTINGS_SQL, [list(SETTINGS)])}
        overrides = []
        for row in self.connection.rows(OVERRIDES_SQL):
            wanted = dict(entry.split("=", 1) for entry in row["settings"] or [] if entry.split("=", 1)[0] in OVERRIDES)
            if wanted:
                overrides.append({"database": row["database"], "user": row["user"], "settings": wanted})
        return {"values": found, "overrides": overrides}

    def databases(self) -> list[dict[str, Any]]:
        """The databases with their limits, ages and counters of errors; sizes where we may ask."""
        checksums = "s.checksum_failures, extract(epoch FROM clock_timestamp() - s.checksum_last_failure)::float8 AS checksum_last_seconds"
        if self.version < 120000:
            checksums = "NULL::bigint AS checksum_failures, NULL::float8 AS checksum_last_seconds"
        found = self.connection.rows(DATABASES_SQL.format(checksums=checksums))
        sizes = self._try(lambda: {row["database"]: row["size"] for row in self.connection.rows(SIZES_SQL)})
        for database in found:
            database["connections"] = sum(1 for row in self.activity if row["is_client"] and row["database"] == database["database"])
            database["size"] = sizes if "unseen" in sizes else sizes.get(database["database"])
            database["temp_bytes"] = int(database["temp_bytes"] or 0)
        return found

    def roles(self) -> list[dict[str, Any]]:
        """The roles that have a connection limit of their own."""
        found = self.connection.rows(ROLES_SQL)
        for role in found:
            role["connections"] = sum(1 for row in self.activity if row["is_client"] and row["user"] == role["user"])
        return found

    def progress(self) -> list[dict[str, Any]]:
        """What maintenance and backups are running: they explain load and long transactions."""
        parts = [
            "SELECT '%s' AS what, pid, %s::text AS phase FROM %s" % (what, phase, view) for what, view, phase, since in PROGRESS if self.version >= since
        ]  # fmt: skip
        return self.connection.rows(" UNION ALL ".join(parts))

    # --- credentials ---

    def credentials(self) -> list[dict[str, Any]]:
        """For each client whether its account would be let in, from the server's records; without the right to read them, what is public."""
        if not self.clients:
            return []
        users = sorted({client.get("user") or "" for client in self.clients})
        accounts = {row["user"]: row for row in self.connection.rows(VERIFIERS_SQL if self.is_superuser else ACCOUNTS_SQL, [users])}
        rules = self._try(self._hba_rules)
        databases = self.facts.get("databases")
        names = {row["database"] for row in databases} if isinstance(databases, list) else None
        return [self._credential(client, accounts.get(client.get("user") or ""), rules, names) for client in self.clients]

    def _hba_rules(self) -> list[dict[str, Any]]:
        rules = self.connection.rows(HBA_SQL.format(order="rule_number NULLS LAST" if self.version >= 160000 else "line_number"))
        if any(rule["changed"] for rule in rules):
            raise StackError("pg_hba.conf was changed since the server read it", kind="changed", fix="SELECT pg_reload_conf();")
        return rules

    def _credential(self, client: Mapping[str, Any], account: Mapping[str, Any] | None, rules: Any, databases: set[str] | None) -> dict[str, Any]:
        user, password, database = client.get("user") or "", client.get("password") or "", client.get("database") or ""
        matches: bool | None = None
        reason = ""
        if account and (user, password) == (self.target.user, self.target.password) and self.connection.used_password:
            matches = True
        elif account and account.get("verifier"):
            matches = password_matches(account["verifier"], user, password)
        elif account and self.is_superuser and password:
            matches = False
            reason = "no password is set for this role"
        elif account:
            reason = "only a superuser may read the server's records of passwords"
        if matches is False and client.get("guessed"):
            matches, reason = None, "its URL holds no password, and where the program has one from is not known"
        method = self._method(client, rules) if isinstance(rules, list) else None
        return {
            "component": client["component"],
            "user": user,
            "exists": account is not None,
            "matches": matches,
            "can_login": account["can_login"] if account else None,
            "valid_until_passed": account["expired"] if account else None,
            "method": method,
            "database": database,
            "database_exists": None if databases is None or not database else database in databases,
            "sessions": self._sessions_of(client),
            "reason": reason,
        }

    def _method(self, client: Mapping[str, Any], rules: list[dict[str, Any]]) -> str | None:
        """How pg_hba.conf asks this client who it is; without its address, where every address beyond the loopback is asked the same."""
        settings = self.facts.get("settings") or {}
        ssl = (settings.get("values") or {}).get("ssl", {}).get("value")
        has_ssl = None if ssl is None else ssl == "on"
        addresses = client.get("addresses") or ["192.0.2.1", "10.255.255.254", "172.31.255.254", "192.168.255.254"]
        methods = {hba_method(rules, address, client.get("user") or "", client.get("database") or "", has_ssl) for address in addresses}
        method = methods.pop() if len(methods) == 1 else None
        return None if method in ("none", "reject") and not client.get("addresses") else method

    def _sessions_of(self, client: Mapping[str, Any]) -> int | None:
        """The sessions that this client has: by its addresses, or by its user when no other client has that; else it cannot be told."""
        addresses, user = client.get("addresses"), client.get("user")
        if not addresses and len({other["component"] for other in self.clients if other.get("user") == user}) > 1:
            return None
        return sum(1 for row in self.activity if row["is_client"] and row["user"] == user and (not addresses or row["client_addr"] in addresses))


def protected_kind(session: Mapping[str, Any], query: str) -> str:
    """What kind of job a session does that nobody should end lightly; "" for ordinary work."""
    backend = session.get("backend_type") or "client backend"
    if backend != "client backend":
        return backend
    if session.get("user") in _PROTECTED_USERS:
        return "provider's own"
    for kind, pattern in _PROTECTED_NAMES:
        if pattern.search(session.get("application_name") or ""):
            return kind
    state, seconds = session.get("state") or "", session.get("state_seconds") or 0.0
    abandoned = state.startswith("idle in transaction") and seconds >= ABANDONED_SECONDS
    for kind, pattern in _PROTECTED_QUERIES:
        if pattern.search(query) and (kind in _MAY_PAUSE or not abandoned):
            return kind
    return ""


def _state_of(session: Mapping[str, Any]) -> str:
    state = session["state"] or "unknown"
    return "idle_in_transaction" if state.startswith("idle in transaction") else "active" if state == "fastpath function call" else state


def _counts(sessions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """How many sessions are in which state; oldest_…: seconds."""
    counts: dict[str, Any] = {"total": 0, "active": 0, "idle": 0, "idle_in_transaction": 0, "unknown": 0, "waiting": 0, "hidden": 0}
    oldest = 0.0
    for session in sessions:
        state = _state_of(session)
        counts["total"] += 1
        counts[state if state in counts else "unknown"] += 1
        counts["waiting"] += bool(session["blocked_by"])
        counts["hidden"] += not session["visible"]
        if state == "idle_in_transaction":
            oldest = max(oldest, session["state_seconds"] or 0.0)
    counts["oldest_idle_in_transaction_seconds"] = oldest
    return counts


def _holders(sessions: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Who holds the connections: by address, program, user and database, the largest first."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    keys = ("client_addr", "application_name", "user", "database")
    for session in sessions:
        groups.setdefault(tuple(session[key] for key in keys), []).append(session)
    told = []
    for group, members in groups.items():
        told.append({**dict(zip(keys, group)), **_counts(members)})
    return sorted(told, key=lambda holder: (-holder["total"], str(holder["client_addr"]), holder["application_name"] or ""))
