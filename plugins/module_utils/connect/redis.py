# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One connection to one Redis (Valkey, KeyDB, Dragonfly): opened in the calling thread, no retries, every answer bounded in time."""

from __future__ import annotations

import errno
import inspect
import re
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping
from urllib.parse import parse_qsl, unquote

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.secret import shortened

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError:
    redis = None

CLIENT_NAME = "aiops.runbook"
DEFAULT_PORT = 6379
# valkey:// and keydb:// are what some libraries of the forks call the same thing, rediscache:// what django-environ calls a cache in one.
SCHEMES = {"redis": False, "rediss": True, "valkey": False, "valkeys": True, "keydb": False, "keydbs": True, "rediscache": False, "rediscaches": True}
UNSUPPORTED = {
    "sentinel": "Sentinel URLs are not supported: name the primary itself by redis://",
    "redis+sentinel": "Sentinel URLs are not supported: name the primary itself by redis://",
    "rediss+sentinel": "Sentinel URLs are not supported: name the primary itself by redis://",
    "unix": "a socket file cannot be reached from outside of its container: name host and port by redis://",
    "redis+socket": "a socket file cannot be reached from outside of its container: name host and port by redis://",
}
UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)
UNREADABLE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EISDIR)
NO_VERIFY = ("none", "cert_none")
# The options of a module that connects to one Redis (doc fragment: aiops.runbook.redis_server).
TARGET_SPEC: dict[str, dict[str, Any]] = {
    "login_host": {"type": "str", "default": "localhost"},
    "login_port": {"type": "int", "default": DEFAULT_PORT},
    "login_user": {"type": "str"},
    "login_password": {"type": "str", "no_log": True},
    "login_db": {"type": "int", "default": 0, "aliases": ["db"]},
    "tls": {"type": "bool", "default": False},
    "validate_certs": {"type": "bool", "default": True},
    "ca_certs": {"type": "path"},
    "url": {"type": "str", "no_log": True},
    "name": {"type": "str", "default": "redis"},
}


@dataclass
class RedisTarget:
    """Where a Redis is, and the account to use there.

    address: connect to this address instead of resolving host; the name checked in the certificate stays host.
    verify: check the certificate ("none" only where the application's own URL says so). options: what else its URL asked for.
    ca: a file on this machine; ca_data: the same certificates (PEM) where their text is known, which counts then.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    username: str | None = None
    password: str | None = None
    database: int = 0
    tls: bool = False
    ca: str | None = None
    address: str = ""
    verify: bool = True
    options: dict[str, str] = field(default_factory=dict)
    ca_data: str = ""

    @property
    def shown(self) -> str:
        """The target as it may be shown: without account."""
        return "redis%s://%s:%d/%d" % ("s" if self.tls else "", self.host, self.port, self.database)

    def __repr__(self) -> str:
        return "RedisTarget(%s)" % self.shown


def parse_url(text: str) -> RedisTarget:
    """The target that a URL of an application means, as redis-py and kombu read it.

    StackError: kind "malformed" with the reason, or "unsupported" (a sentinel, a socket file). No message holds any part of the
    user name or password. Of several URLs (kombu's fail-over list, separated by ";") the first one counts.
    """
    text = text.strip().strip("\"'").strip()
    if not text:
        raise StackError("the URL is empty", kind="malformed")
    text, further = _first_of(text)
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator:
        raise _no_scheme(text)
    if scheme in UNSUPPORTED:
        raise StackError(UNSUPPORTED[scheme], kind="unsupported", scheme=scheme)
    if scheme not in SCHEMES:
        shown = scheme if re.fullmatch(r"[a-z][a-z0-9+.-]{0,20}", scheme) else "unreadable"
        raise StackError("the URL's scheme is %s, not redis:// or rediss://" % shown, kind="malformed")
    netloc, path, query = _parts(rest)
    options = dict(parse_qsl(query, keep_blank_values=True))
    account, host, port = _split(netloc)
    username, password = _account(account)
    target = RedisTarget(host=host, port=port, username=username, password=password, tls=SCHEMES[scheme], options=options)
    target.username = target.username or options.pop("username", None)
    target.password = target.password or options.pop("password", None)
    target.database = _database(path, options)
    target.ca = options.get("ssl_ca_certs") or None
    target.verify = options.get("ssl_cert_reqs", "required").lower() not in NO_VERIFY
    if further:
        options["further"] = str(further)
    return target


def target_from_params(params: Mapping[str, Any]) -> RedisTarget:
    """The target that the options of TARGET_SPEC name; StackError when the URL cannot be used."""
    if not params.get("url"):
        return RedisTarget(
            host=params["login_host"],
            port=params["login_port"],
            username=params["login_user"],
            password=params["login_password"],
            database=params["login_db"],
            tls=params["tls"],
            ca=params["ca_certs"],
            verify=params["validate_certs"],
        )
    try:
        target = parse_url(params["url"])
    except StackError as error:
        raise StackError("url: %s" % error.message, kind="bad_option") from error
    target.username = params["login_user"] or target.username
    target.password = params["login_password"] or target.password
    target.ca = params["ca_certs"] or target.ca
    target.verify = target.verify and params["validate_certs"]
    return target


def connect(target: RedisTarget, timeout: float) -> Any:
    """A redis.Redis whose pool is one connection, open already; close it by close().

    StackError kinds: refused, timeout, dns, unreachable, reset, tls, auth_required, auth, denied, loading, busy, maxclients, database,
    protocol, missing_library.
    """
    if redis is None:
        raise missing_library("redis")
    try:
        return _open(target, timeout, CLIENT_NAME)
    except redis.exceptions.NoPermissionError:
        # An account that may name its connection or ask for the time as little as that is still welcome to look.
        try:
            return _open(target, timeout, None)
        except (redis.exceptions.RedisError, OSError) as error:
            raise explain(error, target, timeout) from error
    except (redis.exceptions.RedisError, OSError) as error:
        raise explain(error, target, timeout) from error


def use(client: Any, database: int) -> None:
    """Go on in this database on the same connection, also where that has to be opened anew. redis.RedisError where there is no such one."""
    pool = client.connection_pool
    if pool.connection_kwargs.get("db") == database:
        return
    client.execute_command("SELECT", database)
    pool.connection_kwargs["db"] = database
    for connection in pool._available_connections:  # redis-py has no word for it
        connection.db = database


def become(client: Any, target: RedisTarget) -> bool:
    """Go on as the target's account on the same connection; False when it is not let in: then the account that was counts on."""
    try:
        client.execute_command("AUTH", *(word for word in (target.username, target.password) if word))
    except redis.exceptions.RedisError:
        return False
    return True


def close(client: Any) -> None:
    """Close the connection of connect(); a connection that is broken already is closed, too."""
    if client is None:
        return
    pool = client.connection_pool
    try:
        client.close()
    except (redis.exceptions.RedisError, OSError):
        pass
    pool.disconnect()


def missing_library(name: str) -> StackError:
    return StackError(
        "the Python library %r is missing where this runs; the role aiops.runbook.prepare installs it" % name,
        kind="missing_library",
        fix="run the role aiops.runbook.prepare, or install python3-%s" % name,
    )


def explain(error: BaseException, target: RedisTarget, timeout: float) -> StackError:
    """What an error of redis-py means, in our words and kinds. The server's own text may be part of it, our password never is."""
    place = "%s:%d" % (target.host, target.port)
    for cause in _chain(error):
        if isinstance(cause, socket.gaierror):
            return StackError("the name %s does not resolve" % target.host, kind="dns")
        if isinstance(cause, ssl.SSLCertVerificationError):
            return StackError("%s: its certificate is not trusted: %s" % (place, cause.verify_message), kind="tls", fix="give the authority's certificate")
        if isinstance(cause, ssl.SSLError):
            return StackError(
                "%s: no TLS connection: %s" % (place, (getattr(cause, "reason", None) or "handshake failed").replace("_", " ").lower()), kind="tls"
            )
        if isinstance(cause, OSError) and target.tls and target.ca and cause.errno in UNREADABLE:
            fix = "let that file be read where its client stands, or put it at the same path on this host"
            return StackError("%s: the file that ssl_ca_certs names (%s) cannot be read: %s" % (place, target.ca, cause.strerror), kind="tls", fix=fix)
        if isinstance(cause, ConnectionRefusedError):
            return StackError("%s refuses connections: nothing listens there" % place, kind="refused")
        if isinstance(cause, (ConnectionResetError, BrokenPipeError)):
            return StackError("%s closed the connection" % place, kind="reset")
        if isinstance(cause, OSError) and cause.errno in UNREACHABLE:
            return StackError("%s cannot be reached: %s" % (place, cause.strerror), kind="unreachable")
    # After the causes: redis-py's TimeoutError also wraps some of the above.
    if any(isinstance(cause, (socket.timeout, redis.exceptions.TimeoutError)) for cause in _chain(error)):
        return StackError("%s gave no answer within %.1f s" % (place, timeout), kind="timeout")
    return _explain_text(str(error), error, place, target)


def _explain_text(text: str, error: BaseException, place: str, target: RedisTarget) -> StackError:
    upper = text.upper()
    # It also says that no password is set.
    if "PROTECTED MODE" in upper:
        return StackError("%s is in protected mode: it answers only on its own machine" % place, kind="denied")
    if "NOAUTH" in upper or "AUTHENTICATION REQUIRED" in upper:
        return StackError("%s wants a password and none was given" % place, kind="auth_required")
    if "WITHOUT ANY PASSWORD" in upper or "NO PASSWORD IS SET" in upper:
        return StackError("%s was given a password and has none configured" % place, kind="auth", unneeded=True)
    if "WRONGPASS" in upper or "INVALID PASSWORD" in upper or "INVALID USERNAME" in upper or isinstance(error, redis.exceptions.AuthenticationError):
        return StackError("%s does not accept the user name or password" % place, kind="auth")
    if isinstance(error, redis.exceptions.BusyLoadingError) or upper.startswith("LOADING") or "LOADING THE DATASET" in upper:
        return StackError("%s is still loading its data into memory" % place, kind="loading")
    if "MAX NUMBER OF CLIENTS" in upper:
        return StackError("%s has as many clients as it may and turns us away" % place, kind="maxclients")
    if upper.startswith("BUSY ") or "BUSY RUNNING A SCRIPT" in upper:
        return StackError("%s is busy with a script and refuses everything else" % place, kind="busy", fix="SCRIPT KILL, or FUNCTION KILL")
    if "DB INDEX" in upper or "INVALID DATABASE" in upper:
        return StackError("%s has no database number %d" % (place, target.database), kind="database")
    if upper.startswith("NOPERM") or isinstance(error, redis.exceptions.NoPermissionError):
        return StackError("%s: this account may not do that" % place, kind="denied")
    if "CONNECTION CLOSED" in upper or "CLOSED BY SERVER" in upper:
        return StackError("%s closed the connection" % place, kind="reset")
    if isinstance(error, redis.exceptions.ResponseError):
        return StackError("%s answered with an error: %s" % (place, shortened(text, 120)), kind="protocol")
    return StackError("what answers at %s does not speak Redis' protocol (%s)" % (place, type(error).__name__), kind="protocol")


def connection_arguments(target: RedisTarget, timeout: float, client_name: str | None) -> tuple[Any, dict[str, Any]]:
    """(class, arguments) of the connection, only with what the installed redis-py knows."""
    wanted: dict[str, Any] = {
        "host": target.host,
        "port": target.port,
        "db": target.database,
        # A user name without a password says nothing to Redis.
        "username": target.username if target.password else None,
        "password": target.password or None,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "client_name": client_name,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "health_check_interval": 0,
        # No CLIENT SETINFO.
        "driver_info": None,
        "lib_name": None,
        "lib_version": None,
        "decode_responses": True,
        "encoding_errors": "replace",
    }
    base: Any = redis.Connection
    if target.tls:
        base = redis.SSLConnection
        wanted.update({"ssl_cert_reqs": "required" if target.verify else "none", "ssl_check_hostname": target.verify})
        if target.verify:  # who checks nothing needs no authority, and its file would be opened all the same
            wanted.update({"ssl_ca_data": target.ca_data} if target.ca_data else {"ssl_ca_certs": target.ca})
    if target.address:
        base = _pinned(base, target.address)
    known = set()
    for one in base.__mro__:
        if "__init__" in vars(one):
            known |= set(inspect.signature(one.__init__).parameters)
    if "driver_info" in known:
        # The newer name of the same switch; both together are refused.
        wanted.pop("lib_name")
        wanted.pop("lib_version")
    return base, {name: value for name, value in wanted.items() if name in known}


def _pinned(base: Any, address: str) -> Any:
    """The connection class that goes to an address given, while the host stays the name that TLS checks."""

    class Pinned(redis.Connection):
        host: str

        def _connect(self) -> Any:
            host = self.host
            self.host = address
            try:
                return super()._connect()
            finally:
                self.host = host

    return Pinned if base is redis.Connection else type("PinnedTls", (base, Pinned), {})


def _open(target: RedisTarget, timeout: float, client_name: str | None) -> Any:
    kind, arguments = connection_arguments(target, timeout, client_name)
    pool = redis.ConnectionPool(connection_class=kind, max_connections=1, **arguments)
    try:
        client = redis.Redis(connection_pool=pool)
        # A server that wants a password says so only to the first command. Not PING: that is refused where a save has failed.
        client.execute_command("TIME")
        return client
    except redis.exceptions.NoPermissionError:
        if client_name:
            raise
        return client
    except BaseException:
        pool.disconnect()
        raise


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _first_of(text: str) -> tuple[str, int]:
    """(the first URL, how many follow) of a fail-over list."""
    parts = [part for part in re.split(r";(?=[a-z+]+://)", text) if part]
    return (parts[0].strip(), len(parts) - 1) if parts else (text, 0)


def _no_scheme(text: str) -> StackError:
    match = re.match(r"([A-Za-z+]{2,15}):/?(?!/)", text)
    if match and match.group(1).lower() in (*SCHEMES, *UNSUPPORTED):
        return StackError("after %s: there must be //" % match.group(1).lower(), kind="malformed")
    return StackError("the URL does not begin with redis:// or rediss://", kind="malformed")


def _parts(rest: str) -> tuple[str, str, str]:
    """(user, password, host and port; path; query) of what follows the scheme, cut where every URL library cuts."""
    before_query, _mark, query = rest.partition("#")[0].partition("?")
    netloc, slash, path = before_query.partition("/")
    if "@" not in netloc and "@" in rest and ":" in netloc:
        raise StackError("a / ? or # stands in the password as it is: it must be written as %2F %3F or %23", kind="malformed")
    return netloc, slash + path, query


def _split(netloc: str) -> tuple[str, str, int]:
    """(account, host, port)."""
    # The last @ ends the account: passwords hold unescaped ones.
    account, _separator, address = netloc.rpartition("@")
    if address.startswith("["):
        host, closing, tail = address[1:].partition("]")
        if not closing:
            raise StackError("the IPv6 address has no closing bracket", kind="malformed")
        port_text = tail[1:] if tail.startswith(":") else tail
    else:
        host, _colon, port_text = address.partition(":")
    return account, _host(unquote(host)), _port(port_text)


def _host(host: str) -> str:
    host = host.strip()
    if not host:
        # redis-py and kombu both read a missing host as this machine.
        return "localhost"
    if not re.fullmatch(r"[A-Za-z0-9._:%-]+", host):
        raise StackError("the host name holds characters that no host name has", kind="malformed")
    return host


def _port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    if not text.isdigit() or not text.isascii():
        raise StackError("the port is not a number", kind="malformed")
    if not 0 < int(text) < 65536:
        raise StackError("the port %d is not between 1 and 65535" % int(text), kind="malformed")
    return int(text)


def _account(account: str) -> tuple[str | None, str | None]:
    if not account:
        return None, None
    username, colon, password = account.partition(":")
    if not colon:
        return unquote(username) or None, None
    return unquote(username) or None, unquote(password) or None


def _database(path: str, options: dict[str, str]) -> int:
    text = options.get("db") or options.get("virtual_host", "").lstrip("/") or unquote(path).strip("/")
    if not text:
        return 0
    if not text.isdigit() or not text.isascii():
        raise StackError("the database after the last / is not a number", kind="malformed")
    return int(text)
