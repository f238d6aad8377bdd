# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PostgreSQL: where a server is (PostgresTarget, parse_url) and one guest's connection to it (connect)."""

from __future__ import annotations

import re
import select
import socket
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Iterator, Mapping, Sequence
from urllib.parse import parse_qsl, unquote

try:
    import psycopg2
    import psycopg2.extensions

    HAS_PSYCOPG2 = True
except ImportError:
    HAS_PSYCOPG2 = False

from ansible_collections.aiops.runbook.plugins.module_utils.connect.postgres_auth import password_matches
from ansible_collections.aiops.runbook.plugins.module_utils.connect.postgres_messages import kind_of
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask, shortened

__all__ = ["APPLICATION_NAME", "PostgresConnection", "PostgresTarget", "connect", "parse_url", "password_matches"]

APPLICATION_NAME = "aiops.runbook"
PORT = 5432
# What libraries of Python call the same thing: the drivers' own names, and those of dj-database-url and django-environ.
SCHEMES = frozenset("postgres postgresql asyncpg psycopg psycopg2 psycopg3 psql pgsql postgis timescale timescaledb timescalegis".split())
SSL_MODES = frozenset(["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
# libpq's own keywords that may stand in a URL and that we pass on.
PASSED_ON = frozenset(["sslcert", "sslkey", "sslrootcert", "sslcrl", "target_session_attrs", "channel_binding", "requirepeer", "krbsrvname"])

_SCHEME = re.compile(r"^(?P<dialect>[A-Za-z][A-Za-z0-9]{0,20})(?:\+(?P<driver>[A-Za-z][\w]{0,20}))?(?P<joint>:/{0,2}|/{2})")
_DSN = re.compile(r"(?P<key>[a-z_]+)\s*=\s*(?P<value>'(?:[^'\\]|\\.)*'|[^\s']*)\s*", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\$\{|\$\(|\{\{|^\$\w+$|^<.*>$")
_FIXES = {
    "auth": "correct the user or the password of this login",
    "too_many_clients": "end idle sessions, or give an account that may use the reserved slots (superuser or pg_use_reserved_connections)",
    "no_hba": "allow this address in pg_hba.conf",
    "missing_library": "run the role aiops.runbook.prepare on this host",
    "tls": "correct ssl_mode or ca_cert",
    "dns": "correct the host name",
}
UNREAD_AUTHORITY = "let the file that sslrootcert names be read where its client stands, or put it at the same path on this host"


@dataclass
class PostgresTarget:
    """A server, a database and an account.

    host: a name, an address, or the folder of a socket. hostaddr: its resolved address; libpq then asks no name server.
    options: further libpq keywords. hosts: every (host, port) of a URL that names several; host and port are the first.
    flags: what is odd about a URL that could be understood: scheme_postgres, quoted, spaces, password_unencoded_at,
    password_unencoded_slash, password_unencoded_hash, password_unencoded_question, several_hosts, no_host, no_database, ssl_parameter.
    ca_data: the certificates of the authorities that count (PEM), where they are known by their text; sslrootcert among the options is a file here.
    """

    host: str = ""
    port: int = PORT
    user: str = ""
    password: str = field(default="", repr=False)
    database: str = ""
    sslmode: str = "prefer"
    hostaddr: str = ""
    options: dict[str, str] = field(default_factory=dict)
    hosts: list[tuple[str, int]] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    driver: str = ""
    ca_data: str = field(default="", repr=False)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> PostgresTarget:
        """The target that a module's login options name."""
        options = {"sslrootcert": params["ca_cert"]} if params.get("ca_cert") else {}
        return cls(
            host=params.get("login_host") or "localhost",
            port=params.get("login_port") or PORT,
            user=params.get("login_user") or "postgres",
            password=params.get("login_password") or "",
            database=params.get("login_db") or params.get("login_user") or "postgres",
            sslmode=params.get("ssl_mode") or "prefer",
            options=options,
        )

    @property
    def is_socket(self) -> bool:
        return self.host.startswith(("/", "@"))

    @property
    def where(self) -> str:
        """host:port as a person writes it."""
        return "%s (port %d)" % (self.host, self.port) if self.is_socket else "%s:%d" % (self.host or self.hostaddr or "localhost", self.port)


# --- URLs ---


def parse_url(text: str) -> PostgresTarget:
    """The target of a database URL (of SQLAlchemy, asyncpg or libpq) or a keyword DSN; StackError(kind="malformed") says why not.

    The reason never contains a part of the text that could be the password.
    """
    flags = []
    bare = text.strip()
    if bare != text:
        flags.append("spaces")
    if len(bare) > 1 and bare[0] in "\"'" and bare[-1] == bare[0]:
        bare = bare[1:-1].strip()
        flags.append("quoted")
    if not bare:
        raise _malformed("it is empty")
    scheme = _SCHEME.match(bare)
    if "://" not in bare and (scheme is None or scheme.group("dialect").lower() not in SCHEMES):
        if re.match(r"^[a-z_]+\s*=", bare):
            return _parse_dsn(bare, flags)
        raise _malformed("it does not begin with postgresql://")
    if scheme is None or scheme.group("dialect").lower() not in SCHEMES:
        raise _malformed("its scheme is not postgresql")
    if scheme.group("joint") != "://":
        raise _malformed("after the scheme stands %r instead of '://'" % scheme.group("joint"))
    rest = bare[scheme.end() :]
    if rest.startswith("/") and not rest.startswith("/?") and "@" in rest:
        raise _malformed("after the scheme stand three slashes or more instead of '://'")
    if scheme.group("dialect").lower() == "postgres":
        flags.append("scheme_postgres")
    target = PostgresTarget(driver=scheme.group("driver") or "", flags=flags)
    userinfo, rest = _split_userinfo(rest)
    user, colon, password = userinfo.partition(":")
    for char, name in (("@", "at"), ("/", "slash"), ("#", "hash"), ("?", "question")):
        if char in userinfo:
            flags.append("password_unencoded_" + name)
    target.user, target.password = unquote(user), unquote(password) if colon else ""
    rest, _mark, query = rest.partition("?")
    hosts, _slash, database = rest.partition("/")
    target.database = unquote(database)
    _take_hosts(target, hosts)
    _take_query(target, query)
    return _finished(target)


def _malformed(reason: str) -> StackError:
    return StackError(
        reason, kind="malformed", fix="write postgresql://user:password@host:5432/database, with special characters of the password percent-encoded"
    )


def _split_userinfo(rest: str) -> tuple[str, str]:
    """(user:password, what follows the @). The last @ counts, because passwords with an unencoded one exist and hosts with one do not."""
    head = rest.split("?", 1)[0]
    at = head.rfind("@")
    if at < 0 and "@" in rest:
        # The ? may belong to the password: then what stands before it is user:something, and not host:port or a path.
        authority = head.split(":", 1)
        if len(authority) == 2 and not re.match(r"^\d*(/|$)", authority[1]):
            at = rest.rfind("@")
    if at < 0:
        return "", rest
    if "/" in rest[:at] and ":" not in rest[:at].split("/", 1)[0]:
        return "", rest  # an @ in the name of the database
    return rest[:at], rest[at + 1 :]


def _take_hosts(target: PostgresTarget, text: str) -> None:
    for entry in text.split(",") if text else []:
        host, port = entry, ""
        bracket = re.match(r"^\[([^\]]+)\](?::(.*))?$", entry)
        if bracket:
            host, port = bracket.group(1), bracket.group(2) or ""
        elif entry.count(":") == 1:
            host, port = entry.split(":")
        elif entry.count(":") > 1:
            raise _malformed("its host part holds more than one colon (an IPv6 address needs brackets, a password needs an @ behind it)")
        target.hosts.append((unquote(host), _port(port)))


def _port(text: str) -> int:
    if not text:
        return PORT
    if not (text.isdigit() and text.isascii()):
        raise _malformed("its port is not a number")
    if not 0 < int(text) < 65536:
        raise _malformed("its port is not between 1 and 65535")
    return int(text)


def _take_query(target: PostgresTarget, query: str) -> None:
    queried: list[tuple[str, int]] = []
    ports: list[int] = []
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key == "host":
            for entry in value.split(","):
                host, _colon, port = entry.partition(":") if not entry.startswith("/") else (entry, "", "")
                queried.append((host, _port(port)))
        elif key == "port":
            ports = [_port(one) for one in value.split(",")]
        else:
            _take_keyword(target, key, value)
    if queried:
        target.hosts = queried
    if ports:
        hosts = target.hosts or [("", PORT)]
        target.hosts = [(host, ports[place] if place < len(ports) else ports[-1]) for place, (host, _port_before) in enumerate(hosts)]


def _take_keyword(target: PostgresTarget, key: str, value: str) -> None:
    if key == "ssl":
        # asyncpg's word; libpq does not know it.
        target.flags.append("ssl_parameter")
        meaning = {"true": "require", "1": "require", "on": "require", "false": "disable", "0": "disable", "off": "disable"}
        key, value = "sslmode", meaning.get(value.lower(), value)
    if key == "sslmode":
        if value not in SSL_MODES:
            raise _malformed("its sslmode is none of %s" % ", ".join(sorted(SSL_MODES)))
        target.sslmode = value
    elif key in ("user", "password"):
        setattr(target, key, value)
    elif key in ("dbname", "database"):
        target.database = value
    elif key == "hostaddr":
        target.hostaddr = value
    elif key in PASSED_ON:
        target.options[key] = value


def _parse_dsn(text: str, flags: list[str]) -> PostgresTarget:
    target = PostgresTarget(flags=flags)
    place = 0
    pairs: dict[str, str] = {}
    while place < len(text):
        match = _DSN.match(text, place)
        if not match or match.end() == place:
            raise _malformed("it is neither a URL nor a list of keyword=value")
        value = match.group("value")
        pairs[match.group("key").lower()] = re.sub(r"\\(.)", r"\1", value[1:-1] if value.startswith("'") else value)
        place = match.end()
    ports = [_port(one) for one in pairs.pop("port", "").split(",")]
    hosts = pairs.pop("host", "").split(",")
    target.hosts = [(host, ports[number] if number < len(ports) else ports[-1]) for number, host in enumerate(hosts) if host]
    if not target.hosts:
        target.port = ports[0]
    for key, value in pairs.items():
        _take_keyword(target, key, value)
    return _finished(target)


def _finished(target: PostgresTarget) -> PostgresTarget:
    if target.hosts:
        target.host, target.port = target.hosts[0]
    if len(target.hosts) > 1:
        target.flags.append("several_hosts")
    for name, value in (("host", target.host), ("user", target.user), ("database", target.database)):
        if _PLACEHOLDER.search(value):
            raise _malformed("its %s is a placeholder that nothing was put in for" % name)
    if re.search(r"\s", target.host) or (not target.is_socket and re.search(r"[^\w.:%-]", target.host)):
        raise _malformed("its host holds a character that no host name has")
    if not target.host:
        target.flags.append("no_host")
    if not target.database:
        target.flags.append("no_database")
    return target


# --- connections ---


def connect(target: PostgresTarget, timeout: float = 5.0) -> PostgresConnection:
    """A read-only session of ours. timeout: seconds for the whole visit; the server ends each of our statements after half of them."""
    if not HAS_PSYCOPG2:
        raise StackError("the Python library psycopg2 is missing; run the role aiops.runbook.prepare", kind="missing_library", fix=_FIXES["missing_library"])
    deadline = time.monotonic() + timeout
    addresses = _addresses(target)
    for place, address in enumerate(addresses):
        share = time.monotonic() + (deadline - time.monotonic()) / (len(addresses) - place)
        try:
            return _open(target, address, share, deadline, timeout)
        except StackError as error:
            if error.kind not in ("refused", "timeout", "unreachable") or place == len(addresses) - 1:
                raise
    raise StackError("%s has no address" % target.where, kind="dns", fix=_FIXES["dns"])


def _addresses(target: PostgresTarget) -> list[str]:
    """What to connect to: asked here, so that a name that does not exist is known as that in every language of libpq."""
    if target.hostaddr:
        return [target.hostaddr]
    if target.is_socket:
        return [""]
    host = target.host or "localhost"
    try:
        found = socket.getaddrinfo(host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise StackError("the host name %s of the PostgreSQL server has no address: %s" % (host, error), kind="dns", fix=_FIXES["dns"]) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _open(target: PostgresTarget, address: str, until: float, deadline: float, timeout: float) -> PostgresConnection:
    milliseconds = max(100, int(timeout * 500))
    settings = {"statement_timeout": milliseconds, "lock_timeout": max(50, milliseconds // 2)}
    words: dict[str, Any] = {
        **target.options,
        "host": target.host or "localhost",
        "port": target.port,
        "user": target.user or "postgres",
        "dbname": target.database or target.user or "postgres",
        "sslmode": target.sslmode,
        "gssencmode": "disable",
        "application_name": APPLICATION_NAME,
        "client_encoding": "UTF8",
        "connect_timeout": max(2, round(timeout)),
        # The last one is a mark of ours: a pooler may take these options and forget them.
        "options": " ".join("-c %s=%d" % pair for pair in settings.items()) + " -c aiops.runbook=on",
    }
    if target.password:
        words["password"] = target.password
    if address:
        words["hostaddr"] = address
    pooled = False
    with _authorities(target) as trusted:
        words.update(trusted)
        try:
            connection = _handshake(target, words, until)
        except StackError as error:
            if error.kind != "options_refused":
                raise
            del words["options"]
            pooled = True
            connection = _handshake(target, words, until)
    ours = PostgresConnection(connection, target, settings, deadline, pooled)
    try:
        ours.begin()
    except StackError:
        ours.close()
        raise
    return ours


@contextmanager
def _authorities(target: PostgresTarget) -> Iterator[dict[str, str]]:
    """libpq's word for the certificates that are known by their text: it reads them from a file, and while it shakes hands only."""
    if not target.ca_data:
        yield {}
        return
    with tempfile.NamedTemporaryFile("w", prefix="aiops-runbook-", suffix=".pem", encoding="utf-8") as held:
        held.write(target.ca_data)
        held.flush()
        yield {"sslrootcert": held.name}


def _handshake(target: PostgresTarget, words: dict[str, Any], until: float) -> Any:
    connection = None
    try:
        connection = psycopg2.connect(async_=1, **words)
        if _wait(connection, until):
            return connection
    except psycopg2.Error as error:
        raise _connect_error(target, words, error) from error
    answered = _accepted(connection)
    connection.close()
    if answered:
        raise StackError("PostgreSQL at %s accepts connections but does not answer" % target.where, kind="timeout", stage="answer")
    raise StackError("nothing answers at %s within the time (a firewall, or no host there)" % target.where, kind="timeout", stage="connect")


def _wait(connection: Any, until: float) -> bool:
    """Drive libpq until it is done; False when the time is up."""
    while True:
        state = connection.poll()
        if state == psycopg2.extensions.POLL_OK:
            return True
        remaining = until - time.monotonic()
        poller = select.poll()
        poller.register(connection.fileno(), select.POLLIN if state == psycopg2.extensions.POLL_READ else select.POLLOUT)
        if remaining <= 0 or not poller.poll(remaining * 1000):
            return False


def _accepted(connection: Any) -> bool:
    """Whether the other side's kernel took the connection, so that it is the program behind it that is silent."""
    try:
        with socket.socket(fileno=socket.dup(connection.fileno())) as copy:
            copy.getpeername()
    except (OSError, psycopg2.Error, AttributeError):
        return False
    return True


def _connect_error(target: PostgresTarget, words: Mapping[str, Any], error: Any) -> StackError:
    message = " ".join(str(error).split())
    kind = kind_of(message, getattr(error, "pgcode", None)) or _kind_by_trying(target, words)
    message = re.sub(r"^connection to server .*? failed: ", "", message)
    mask = Mask()
    mask.learn(target.password)
    return StackError(
        "PostgreSQL at %s (database %s, user %s): %s" % (target.where, words["dbname"], words["user"], mask.text(message)[:400]),
        kind=kind,
        fix=UNREAD_AUTHORITY if kind == "tls" and "root certificate file" in message and target.options.get("sslrootcert") else _FIXES.get(kind, ""),
    )


def _kind_by_trying(target: PostgresTarget, words: Mapping[str, Any]) -> str:
    """The kind of a failure in a language that we do not know: the kernel's answer has a number."""
    if not words.get("hostaddr"):
        return "refused"
    try:
        socket.create_connection((words["hostaddr"], target.port), timeout=1.0).close()
    except ConnectionRefusedError:
        return "refused"
    except socket.timeout:
        return "timeout"
    except OSError:
        return "unreachable"
    return "protocol"


class PostgresConnection:
    """One session. pooled: a pooler stands between, so that nothing may be set for longer than a transaction.

    found: what the server had set before we set anything: {"default_transaction_read_only", "pid", "address"}.
    """

    def __init__(self, connection: Any, target: PostgresTarget, settings: Mapping[str, int], deadline: float, pooled: bool) -> None:
        self._connection = connection
        self._settings = settings
        self._deadline = deadline
        self._lost: StackError | None = None
        self.target = target
        self.pooled = pooled
        self.found: dict[str, Any] = {}

    def __enter__(self) -> PostgresConnection:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if not self._connection.closed:
            self._connection.close()

    @property
    def used_password(self) -> bool:
        """Whether the server asked for the password: where it trusts everybody, a wrong one is let in, too."""
        return bool(self._connection.info.used_password)

    def begin(self) -> None:
        """See what is set, then make the session read-only, in one question; through a pooler each transaction is made so by itself."""
        if not self.pooled:
            row = self._ask(
                "SELECT current_setting('default_transaction_read_only') AS read_only, pg_backend_pid() AS pid, "
                "CASE WHEN current_setting('aiops.runbook', true) = 'on' THEN set_config('default_transaction_read_only', 'on', false) END AS ours"
            )[0]
            self.pooled = row["ours"] is None
        if self.pooled:
            row = self.rows("SELECT current_setting('default_transaction_read_only') AS read_only, pg_backend_pid() AS pid")[0]
        self.found = {"default_transaction_read_only": row["read_only"], "pid": row["pid"]}

    def rows(self, sql: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of one reading statement, each a dictionary; a failure is a StackError and leaves the session usable."""
        if not self.pooled:
            return self._ask(sql, params)
        self._ask("BEGIN TRANSACTION READ ONLY; " + " ".join("SET LOCAL %s = %d;" % pair for pair in self._settings.items()))
        try:
            found = self._ask(sql, params)
        except StackError:
            if self._lost is None:
                self._ask("ROLLBACK")
            raise
        self._ask("COMMIT")
        return found

    def _ask(self, sql: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        if self._lost is not None:
            raise self._lost
        try:
            cursor = self._connection.cursor()
            cursor.execute(sql, params)
            if not _wait(self._connection, self._deadline):
                self._lost = StackError("PostgreSQL at %s stopped answering in the middle of the visit" % self.target.where, kind="timeout", stage="query")
                self._connection.close()
                raise self._lost
            if cursor.description is None:
                return []
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]
        except psycopg2.Error as error:
            raise self._query_error(error) from error
        except UnicodeDecodeError as error:
            raise StackError("a text of the server is not in its encoding", kind="encoding") from error

    def _query_error(self, error: Any) -> StackError:
        state = error.pgcode or ""
        kinds = {"42501": "denied", "57014": "timeout", "55P03": "timeout", "25006": "read_only"}
        kind = kinds.get(state) or ("undefined" if state in ("42703", "42P01", "42883", "42704") else "query")
        message = getattr(error.diag, "message_primary", None) or " ".join(str(error).split())
        failure = StackError("PostgreSQL at %s: %s" % (self.target.where, shortened(message, 400)), kind=kind, sqlstate=state)
        if self._connection.closed or state in ("57P01", "57P02", "57P03") or state.startswith("08"):
            failure.kind = "lost"
            self._lost = failure
            self.close()
        return failure
