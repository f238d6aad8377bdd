# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which cause a log event tells of: a table of what the libraries and servers write, and where they write it.

A pattern counts only at the place where its library puts it: at the start of an exception's message (after what its wrappers
write before it), at the start of an error field, or in the message of an ERROR line behind a separator and outside quotes.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field, replace
from typing import Iterable, Iterator, NamedTuple
from urllib.parse import urlsplit

from ansible_collections.aiops.runbook.plugins.module_utils.observe.log_lines import ERROR, WARN, Event, Raised


@dataclass
class Cause:
    """kind: a word of the table below, or exception (one that nobody knows) or error (a line without an exception)."""

    kind: str
    about: str | None = None
    detail: dict[str, object] = field(default_factory=dict)
    raised: Raised | None = None
    text: str = ""

    @property
    def specific(self) -> bool:
        return self.kind not in ("exception", "error")


class Says(NamedTuple):
    """kind, and the pattern of the text that means it; the pattern's named groups become the detail."""

    kind: str
    pattern: re.Pattern[str]


def _says(kind: str, pattern: str) -> Says:
    return Says(kind, re.compile(pattern))


# What PostgreSQL and its clients say, after the preludes.
POSTGRES = (
    _says(
        "postgres_auth",
        r"password authentication failed for user [\"'](?P<user>[^\"']{1,63})[\"']|no password supplied|(?:Peer|Ident|SCRAM|GSSAPI) authentication failed",
    ),
    _says(
        "postgres_hba",
        r"(?:no )?pg_hba\.conf (?:entry for|"
        r"rejects connection for) host \"[^\"]{1,64}\", user \"(?P<user>[^\"]{1,63})\", database \"(?P<database>[^\"]{1,63})\"",
    ),
    _says(
        "postgres_too_many_clients",
        r"sorry, too many clients already|remaining connection slots are reserved|too many connections for (?:role|database) |no more connections allowed",
    ),
    _says(
        "postgres_starting_up",
        r"the database system is (?P<state>starting up|shutting down|in recovery mode|not yet accepting connections|not accepting connections)",
    ),
    _says("postgres_role_missing", r"role \"(?P<user>[^\"]{1,63})\" does not exist"),
    _says("postgres_database_missing", r"database \"(?P<database>[^\"]{1,63})\" does not exist"),
    _says(
        "postgres_dns", r"could not translate host name \"(?P<host>[^\"]{1,253})\" to address|failed to resolve host '(?P<host2>[^']{1,253})'|\[Errno -[2-5]\] "
    ),
    _says("postgres_refused", r"Connection refused|\[Errno 111\] |Multiple exceptions: \[Errno 111\]"),
    _says("postgres_unreachable", r"No route to host|Network is unreachable|Host is unreachable|\[Errno 1(?:01|13)\] "),
    _says(
        "postgres_timeout",
        r"(?:connection )?timeout expired|Connection timed out|Operation timed out|\[Errno 110\] |could not receive data from server: Connection timed out",
    ),
    _says(
        "postgres_pool_exhausted",
        r"QueuePool limit of size (?P<size>\d{1,6}) overflow (?P<overflow>-?\d{1,6}) reached, connection timed out, timeout (?P<timeout>[\d.]{1,12})",
    ),
    _says("postgres_pool_exhausted", r"couldn't get a connection after (?P<timeout>[\d.]{1,12}) sec"),
    _says("postgres_idle_terminated", r"terminating connection due to idle-in-transaction timeout|terminating connection due to idle-session timeout"),
    _says(
        "postgres_lost",
        r"server closed the connection unexpectedly|terminating connection (?:due to administrator command|because of crash)|"
        r"SSL connection has been closed unexpectedly|(?:the )?connection (?:already |is )closed|connection was closed in the middle of operation|"
        r"could not (?:receive data from|send data to) server|consuming input failed|connection is lost|cursor already closed|SSL SYSCALL error",
    ),
    _says(
        "postgres_relation_missing",
        r"(?P<what>relation|table|type|function|schema) \"?(?P<name>[\w.]{1,130})\"?(?:\([^)]{0,200}\))? does not exist|"
        r"column (?:reference )?\"?(?P<name2>[\w.]{1,130})\"?(?: of relation \"(?P<table>[\w.]{1,130})\")? does not exist",
    ),
    _says(
        "postgres_permission",
        r"permission denied for (?P<what>[a-z ]{4,20}) (?P<name>\"?[\w.]{1,130}\"?)|must be owner of (?P<what2>[a-z ]{4,20}) (?P<name2>\"?[\w.]{1,130}\"?)",
    ),
    _says("postgres_lock_timeout", r"canceling statement due to lock timeout|could not obtain lock on "),
    _says("postgres_statement_timeout", r"canceling statement due to statement timeout"),
    _says("postgres_deadlock", r"deadlock detected"),
    _says("postgres_readonly", r"cannot execute [A-Z ]{3,40} in a read-only transaction"),
    _says("disk_full", r"could not (?:extend|write|create|open) [^:]{1,300}: No space left on device|.{0,200}No space left on device"),
    _says(
        "postgres_malformed_url",
        r"invalid dsn: |invalid connection option \"|invalid port number: |invalid integer value \"|missing \"=\" after \"|invalid URI |"
        r"unexpected spaces found in \"|Could not parse (?:SQLAlchemy|rfc1738) URL|Expected string or URL object|Can't load plugin: sqlalchemy\.dialects|"
        r"invalid sslmode value|invalid DSN",
    ),
    _says("tls", r"server does not support SSL|SSL error: |root certificate file \"|certificate verify failed|received invalid response to SSL negotiation"),
)

# What Redis and its clients say, after the preludes.
_TO = r"connecting to (?P<host>[\w.-]{1,253}):(?P<port>\d{1,5})\b"
REDIS = (
    _says(
        "redis_auth",
        r"NOAUTH |WRONGPASS |Authentication required\.?|invalid username-password pair|AUTH (?:<password>|called)|"
        r"HELLO must be called with the client already authenticated|"
        r"invalid password$|(?:ERR )?Client sent AUTH, but no password is set|ERR AUTH ",
    ),
    _says("redis_permission", r"NOPERM |(?:this user|User \S{1,80}) has no permissions"),
    _says("redis_dns", r"Error -[2-5] " + _TO),
    _says(
        "redis_timeout",
        r"Timeout connecting to (?:server|(?P<host>[\w.-]{1,253}):(?P<port>\d{1,5}))|Timeout reading from |"
        r"Error 110 connecting to (?P<host2>[\w.-]{1,253}):(?P<port2>\d{1,5})",
    ),
    _says("redis_unreachable", r"Error 1(?:01|13) " + _TO),
    _says(
        "redis_refused", r"Error 111 " + _TO + r"|Error Multiple exceptions: \[Errno 111\].{0,300}? connecting to (?P<host2>[\w.-]{1,253}):(?P<port2>\d{1,5})"
    ),
    _says("redis_oom", r"(?:OOM )?command not allowed when used memory"),
    _says("redis_misconf", r"MISCONF "),
    _says("redis_readonly", r"READONLY |You can't write against a read only (?:replica|slave)"),
    _says("redis_loading", r"(?:LOADING )?Redis is loading the dataset in memory"),
    _says("redis_maxclients", r"(?:ERR )?max number of clients reached"),
    _says("redis_pool_exhausted", r"Too many connections$|No connection available\."),
    _says(
        "redis_lost",
        r"Connection closed by server|Error while reading from |Error 104 |Error 32 while writing|Connection reset by peer|Connection lost|"
        r"Connection to Redis lost|"
        r"Retry limit exceeded while trying to reconnect to the Celery redis",
    ),
    _says("redis_malformed_url", r"Redis URL must specify one of the following schemes|Port could not be cast to integer value"),
    _says("tls", r"\[SSL|.{0,40}certificate verify failed"),
)

# What PostgreSQL's own log says of itself; clients' failures come from the table above.
POSTGRES_SERVER = (
    _says("port_in_use", r"(?:LOG|FATAL):  could not (?:bind|create any TCP/IP sockets)"),
    _says("disk_full", r"(?:LOG|ERROR|FATAL|PANIC):  .{0,400}No space left on device"),
    _says(
        "out_of_memory",
        r"(?:LOG|ERROR|FATAL):  (?:out of memory|could not fork .{0,60}: Cannot allocate memory|.{0,40}could not resize shared memory segment)|"
        r"LOG:  (?:server|background worker|client backend) .{0,60}\(PID \d{1,9}\) was terminated by signal 9",
    ),
    _says("postgres_crashed", r"LOG:  .{0,80}\(PID \d{1,9}\) was terminated by signal (?P<signal>\d{1,2})|PANIC:  "),
    _says(
        "permission_denied",
        r"(?:FATAL|PANIC|ERROR|LOG):  (?:could not (?:open|create|access|read|stat) [^:]{1,300}: Permission denied|"
        r"data directory \"[^\"]{1,200}\" has (?:wrong ownership|invalid permissions))",
    ),
    _says("postgres_incompatible", r"FATAL:  database files are incompatible with server"),
    _says(
        "setting_invalid",
        r"FATAL:  (?:configuration file \"[^\"]{1,200}\" contains errors|invalid value for parameter \"(?P<name>[\w.]{1,80})\"|"
        r"unrecognized configuration parameter \"(?P<name2>[\w.]{1,80})\")",
    ),
    _says("postgres_role_missing", r"DETAIL:  Role \"(?P<user>[^\"]{1,63})\" does not exist\.$"),
)
# Only what the server itself refuses; a wrong statement's text is the client's.
_SERVER_TELLS = frozenset(
    (
        "postgres_auth",
        "postgres_hba",
        "postgres_too_many_clients",
        "postgres_starting_up",
        "postgres_role_missing",
        "postgres_database_missing",
        "postgres_relation_missing",
        "postgres_permission",
        "postgres_lock_timeout",
        "postgres_statement_timeout",
        "postgres_deadlock",
        "postgres_readonly",
        "postgres_idle_terminated",
        "postgres_lost",
        "disk_full",
    )
)

# What Redis's own log says; it has no level above its warning (#).
REDIS_SERVER = (
    _says(
        "redis_misconf",
        r"Failed opening the (?:temp )?RDB file .{0,300}for saving: (?P<reason>[A-Za-z -]{1,80})|Background saving error|"
        r"Can't save in background: (?P<reason2>[\w: ]{1,80})|"
        r"Write error (?:saving DB|while saving) .{0,40}: (?P<reason3>[A-Za-z ]{1,80})|Error moving temp DB file|Background AOF rewrite terminated with error",
    ),
    _says("disk_full", r"Error writing to the AOF file: No space left on device|Short write while writing to the AOF file|.{0,80}No space left on device"),
    _says("port_in_use", r"(?:Warning: )?Could not create server TCP listening socket .{0,80}: bind: Address already in use"),
    _says("permission_denied", r"(?:Fatal error loading the DB|Can't open the (?:append-only|log) file|Can't chdir to .{0,200}): Permission denied"),
    _says(
        "redis_data_damaged",
        r"(?:Bad file format reading the append only file|Short read or OOM loading DB|Wrong signature trying to load DB|Internal error in RDB reading)",
    ),
    _says("redis_maxclients", r"Error accepting a client connection|Accepting client connection: .{0,40}Too many open files"),
    _says("out_of_memory", r"Out Of Memory allocating "),
)

NGINX_SERVER = (
    _says("upstream_refused", r"connect\(\) failed \(111: [^)]{1,60}\) while connecting to upstream"),
    _says("upstream_timeout", r"upstream timed out \(110: "),
    _says("upstream_unreachable", r"connect\(\) failed \(113: |no live upstreams while connecting to upstream"),
    _says("upstream_closed", r"upstream prematurely closed connection|recv\(\) failed \(104: [^)]{1,60}\) while reading response header from upstream"),
    _says("upstream_dns", r"host not found in upstream \"(?P<host>[\w.:-]{1,253})\"|(?P<host2>[\w.-]{1,253}) could not be resolved"),
    _says("port_in_use", r"bind\(\) to \S{1,80} failed \(98: "),
    _says("permission_denied", r"(?:bind|open|mkdir)\(\) .{0,200}failed \(13: "),
    _says("tls", r"cannot load certificate|SSL_do_handshake\(\) failed"),
    _says("setting_invalid", r"unknown directive \"(?P<name>\w{1,80})\"|(?:invalid|unexpected) .{0,120} in /\S{1,200}:\d{1,6}$"),
)
# HAProxy's, whose word for a server that is gone is a warning; "config : […]" and the like stand before it.
PROXY = (
    _says("upstream_dns", r"\(\d{1,9}\) : config : \[[^\]]{1,200}\] : 'server [\w./-]{1,120}' : could not resolve address '(?P<host>[\w.-]{1,253})'"),
    _says("upstream_refused", r"(?:\(\d{1,9}\) : )?Server (?P<name>[\w.-]{1,80}/[\w.-]{1,80}) is DOWN, reason: (?P<reason>[\w ]{1,60})"),
    _says("upstream_unreachable", r"(?:\(\d{1,9}\) : )?(?:backend|proxy) '?(?P<name>[\w.-]{1,80})'? has no server available!"),
)
_UPSTREAM = re.compile(r", upstream: \"[a-z]{2,8}://(?P<host>[\w.:\[\]-]{1,260}?)[/\"]")

# What Celery's own messages say; groups "why" hold what the broker's client said.
CELERY = (
    _says("broker_unreachable", r"(?:consumer: )?Cannot connect to (?P<url>[\w+]{2,20}://\S{0,300}?): (?P<why>.{0,600}?)\.?$"),
    _says("broker_lost", r"(?:consumer: )?Connection to broker lost"),
    _says("task_unregistered", r"Received unregistered task of type '?(?P<task>[\w.-]{1,160})'?"),
    _says(
        "worker_lost",
        r"Task handler raised error: WorkerLostError\([\"'].{0,60}?(?P<signal>signal \d{1,2} \(\w{1,10}\)|exitcode \d{1,3})|"
        r"Process '[\w-]{1,60}' pid:\d{1,9} exited with '(?P<signal2>signal \d{1,2} \(\w{1,10}\)|exitcode \d{1,3})'",
    ),
    _says("task_timeout", r"(?:Soft|Hard) time limit \((?P<limit>[\d.]{1,10})s?\) exceeded for (?P<task>[\w.-]{1,160})\["),
    _says("redis_lost", r"Connection to Redis lost: Retry|Retry limit exceeded while trying to reconnect to the Celery redis"),
)
_TASK = re.compile(r"Task (?P<task>[\w.-]{1,160})\[[0-9a-fA-F-]{8,36}\] ")

# Messages at the start of an ERROR line, whoever writes it (gunicorn, uvicorn, alembic, the application).
_ENV = r"[A-Z][A-Z0-9]*_[A-Z0-9_]{1,60}"
_MISSING = (
    r"(?:(?:the |required |mandatory )*(?:environment variable|env(?:ironment)? var|env|setting|variable|configuration)s? )?[\"'`]?(?P<name>"
    + _ENV
    + r")[\"'`]?"
    r"(?: (?:environment variable|env var|setting|variable))? (?:is |must be |has |was |has not been |needs to be )?(?:not (?:been )?(?:set|defined|"
    r"configured|found)|required|missing|unset|undefined|set$|set\b|empty)\b|"
    r"(?:(?:missing|required|undefined|no|unset|please set|set|you must set|must set)(?: the| a| required| mandatory){0,2}(?: environment variable|"
    r" env(?:ironment)? var(?:iable)?| setting| variable| configuration)?s?:? )[\"'`]?(?P<name2>" + _ENV + r")\b|"
    r"(?i:(?:missing|required|undefined|unset) (?:required )?(?:environment variable|env(?:ironment)? var(?:iable)?|setting|"
    r"variable)s?):? [\"'`]?(?P<name3>[A-Z][A-Z0-9_]{1,60})\b"
)
LINES = (
    _says("worker_timeout", r"WORKER TIMEOUT \(pid:\d{1,9}\)"),
    _says("out_of_memory", r"Worker \(pid:\d{1,9}\) was sent SIGKILL! Perhaps out of memory\?"),
    _says("port_in_use", r"(?:\[Errno 98\] |Connection in use: \(|connection to \([^)]{1,80}\) failed: \[Errno 98\]|bind\(\) to \S{1,80} failed \(98)"),
    _says(
        "import_error",
        r"Error loading ASGI app\. Could not import module \"(?P<module>[\w.]{1,160})\"|Import error: No module named '(?P<module3>[\w.]{1,160})'|"
        r"Error loading ASGI app\. Attribute \"(?P<name>[\w.]{1,160})\" not found in module \"(?P<module2>[\w.]{1,160})\"",
    ),
    _says("migration_unknown_revision", r"Can't locate revision identified by '(?P<revision>\w{1,64})'"),
    _says("migration_multiple_heads", r"Multiple head revisions are present"),
    _says("setting_missing", _MISSING),
)

# Whole lines that programs write as they die, before any logging.
BARE = (
    _says(
        "command_not_found",
        r"(?:/\S{1,120}/)?\w{0,5}sh: (?:line )?\d{1,6}: (?:exec: )?(?P<command>[\w./+-]{1,200}): (?:command )?not found$|"
        r"(?:/\S{1,200}: line \d{1,6}: |/\S{1,200}: \d{1,6}: )(?:exec: )?(?P<command2>[\w./+-]{1,200}): (?:command )?not found$|"
        r"(?:/\S{1,120}/)?env: [\"'\u2018]?(?P<command3>[\w./+-]{1,200})[\"'\u2019]?: No such file or directory$|"
        r"exec (?P<command4>/[\w./+-]{1,200}): (?:no such file or directory|exec format error)$|"
        r"(?:/\S{1,120}/)?\w{0,5}sh: \d{1,6}: cannot open (?P<command5>[\w./+-]{1,200}): No such file|"
        r"(?:/\S{1,120}/)?\w{0,5}sh: (?P<command6>[\w./+-]{1,200}): (?:No such file or directory|not found)$",
    ),
    _says("file_missing", r"(?:/\S{1,120}/)?python[\d.]{0,5}: can't open file '(?P<path>[^']{1,200})': \[Errno 2\]"),
    _says(
        "permission_denied",
        r"(?:/\S{1,120}/)?\w{0,5}sh: (?:line )?\d{1,6}: (?:exec: )?(?P<path>[\w./+-]{1,200}): (?:cannot execute: )?Permission denied$|"
        r"exec (?P<path2>/[\w./+-]{1,200}): permission denied$|"
        r"(?:/\S{1,200}: line \d{1,6}: |/\S{1,200}: \d{1,6}: )(?:exec: )?(?P<path3>[\w./+-]{1,200}): Permission denied$",
    ),
    _says(
        "import_error",
        r"(?:/\S{1,120}/)?python[\d.]{0,5}: No module named '?(?P<module>[\w.]{1,160})'?$|The module (?P<module2>[\w.]{1,160}) was not found\.$|"
        r"Failed to find attribute '(?P<name>[\w.]{1,160})' in '(?P<module3>[\w.]{1,160})'\.$",
    ),
    _says(
        "setting_missing",
        r"(?:/\S{1,120}/)?\w{0,5}sh: (?:line )?\d{1,6}: (?P<name>[A-Z][A-Z0-9_]{1,60}): (?:parameter (?:not set|null or not set)|unbound variable)|"
        r"/\S{1,200}: (?:line )?\d{1,6}: (?P<name2>[A-Z][A-Z0-9_]{1,60}): (?:parameter (?:not set|null or not set)|unbound variable)|"
        r"Error: Database is uninitialized and superuser password is not specified",
    ),
    _says(
        "bad_arguments",
        r"Error: (?:No such (?:command|option)[: ]{1,2}'?(?P<name>[\w-]{1,80})|Invalid value for |Got unexpected extra argument|Missing (?:option|argument))|"
        r"\w[\w.-]{0,60}: error: (?:unrecognized arguments|argument |the following arguments are required|invalid choice)",
    ),
    _says("migration_unknown_revision", r"FAILED: Can't locate revision identified by '(?P<revision>\w{1,64})'"),
    _says("migration_multiple_heads", r"FAILED: Multiple head revisions are present"),
    _says("out_of_memory", r"Killed$|Out of memory$|MemoryError$"),
    _says("permission_denied", r"(?:initdb|postgres|chown|chmod|mkdir|cp|mv|touch): .{0,200}Permission denied$"),
    _says("disk_full", r"(?:initdb|postgres|tee|cp|mv|mkdir|cat|echo): .{0,200}No space left on device$"),
    _says("upstream_dns", r"nginx: \[emerg\] host not found in upstream \"(?P<host>[\w.:-]{1,253})\""),
    _says("setting_invalid", r"nginx: \[emerg\] |\*\*\* FATAL CONFIG FILE ERROR"),
)

# Exceptions known by their type: (suffix of the type, kind, pattern of the text or "").
_TYPES = (
    ("ModuleNotFoundError", _says("import_error", r"No module named '(?P<module>[\w.]{1,160})'|")),
    (
        "ImportError",
        _says(
            "import_error",
            r"cannot import name '(?P<name>\w{1,120})' from (?:partially initialized module )?'(?P<module>[\w.]{1,160})'|"
            r"(?P<library>lib[\w.+-]{1,80}): cannot open shared object|",
        ),
    ),
    ("SyntaxError", _says("syntax_error", r"")),
    ("IndentationError", _says("syntax_error", r"")),
    ("TabError", _says("syntax_error", r"")),
    ("MemoryError", _says("out_of_memory", r"")),
    ("NotRegistered", _says("task_unregistered", r"'?(?P<task>[\w.-]{1,160})")),
    ("WorkerLostError", _says("worker_lost", r".{0,60}?(?P<signal>signal \d{1,2} \(\w{1,10}\)|exitcode \d{1,3})|")),
    ("SoftTimeLimitExceeded", _says("task_timeout", r"")),
    ("TimeLimitExceeded", _says("task_timeout", r"")),
    ("UndefinedValueError", _says("setting_missing", r"(?P<name>\w{1,80}) not found\. Declare it as envvar")),
    ("NoSuchModuleError", _says("postgres_malformed_url", r"Can't load plugin: sqlalchemy\.dialects")),
    ("AttributeError", _says("postgres_malformed_url", r"'NoneType' object has no attribute '_instantiate_plugins'")),
    ("CommandError", _says("migration_unknown_revision", r"Can't locate revision identified by '(?P<revision>\w{1,64})'")),
    ("CommandError", _says("migration_multiple_heads", r"Multiple head revisions are present")),
    ("MultipleHeads", _says("migration_multiple_heads", r"")),
)
_SYSTEM = (
    _says("disk_full", r"\[Errno 28\] "),
    _says("port_in_use", r"\[Errno 98\] "),
    _says("out_of_memory", r"\[Errno 12\] "),
    _says("too_many_files", r"\[Errno 24\] "),
    _says("permission_denied", r"\[Errno 13\] [^:]{1,60}(?:: '(?P<path>[^']{1,200})')?"),
    _says("file_missing", r"\[Errno 2\] [^:]{1,60}(?:: '(?P<path>[^']{1,200})')?"),
)
LLM = (
    _says(
        "llm_quota",
        r"Error code: 4(?:29|02|00|03) - .{0,300}(?:insufficient_quota|exceeded your current quota|credit balance is too low)|You exceeded your current quota",
    ),
    _says("llm_rate_limited", r"Error code: 429\b|Rate limit reached"),
    _says("llm_invalid_key", r"Error code: 401\b|Incorrect API key provided|invalid x-api-key"),
    _says("llm_permission", r"Error code: 403\b"),
    _says("llm_model_missing", r"Error code: 404\b"),
    _says("llm_overloaded", r"Error code: (?:529|503)\b|Overloaded"),
    _says("llm_timeout", r"Error code: (?:408|504)\b|Request timed out"),
    _says("llm_unreachable", r"Connection error\.?"),
    _says("llm_error", r"Error code: 5\d\d\b"),
)
_LLM_TYPES = {
    "RateLimitError": "llm_rate_limited",
    "AuthenticationError": "llm_invalid_key",
    "PermissionDeniedError": "llm_permission",
    "NotFoundError": "llm_model_missing",
    "APITimeoutError": "llm_timeout",
    "Timeout": "llm_timeout",
    "APIConnectionError": "llm_unreachable",
    "OverloadedError": "llm_overloaded",
    "ServiceUnavailableError": "llm_overloaded",
    "InternalServerError": "llm_error",
}

_ERRNOS = (("refused", "[Errno 111]"), ("dns", "[Errno -"), ("unreachable", "[Errno 113]"), ("unreachable", "[Errno 101]"), ("tls", "[SSL"))
_ABOUT = {"postgres": "postgres", "redis": "redis", "broker": "broker", "llm": "llm"}
# A broker that cannot be reached is one kind, whatever the reason.
_BROKER_REASONS = {
    "redis_refused": "refused",
    "redis_dns": "dns",
    "redis_timeout": "timeout",
    "redis_auth": "auth",
    "redis_unreachable": "unreachable",
    "redis_lost": "lost",
    "redis_permission": "permission",
    "redis_malformed_url": "malformed_url",
    "tls": "tls",
    "redis_maxclients": "maxclients",
    "redis_pool_exhausted": "pool_exhausted",
}
# Lines that only repeat that something has failed before.
_ECHO = re.compile(
    r"Application startup failed\. Exiting|Worker failed to boot|Shutting down: Master|Reason: (?:Worker|App) failed|Worker \(pid:\d{1,9}\) exited with code|"
    r"Exception in (?:ASGI application|worker process)|Retrying in \d|Can't connect to \(|App failed to load"
)

_POSTGRES_PRELUDE = re.compile(
    r"(?:\((?:psycopg2?|asyncpg|pg8000|sqlalchemy\.dialects\.postgresql)[\w.]{0,80}\) )?(?:<class '[\w.]{1,100}'>: )?"
    r"(?:- host: '?[^',]{0,253}'?, port: '?\d{0,5}'?, hostaddr: '?[^',]{0,64}'?: )?(?:connection (?:failed|is bad): )?"
    r"(?:connection to server (?:at \"(?P<host>[^\"\s]{1,253})\"(?: \([^)]{1,64}\))?, port (?P<port>\d{1,5})|on socket \"[^\"]{1,120}\") failed: )?"
    r"(?:could not connect to server: )?(?:(?:FATAL|ERROR|PANIC):\s{1,2})?(?:fe_sendauth: )?"
)
_REDIS_PRELUDE = re.compile(
    r"(?:Command # ?\d{1,6} \([^)]{0,300}\) of pipeline caused error: )?(?:Error while reading from (?P<host>[\w.-]{1,253}):(?P<port>\d{1,5}) ?: (?=\())?"
)
_LIBRARY = re.compile(
    r"(?P<postgres>\((?:psycopg2?|sqlalchemy\.dialects\.postgresql)[\w.]{0,80}\) |connection (?:failed: connection )?to server (?:at|on socket) \"|"
    r"could not translate host name \"|"
    r"failed to resolve host '|QueuePool limit of size |(?:psycopg2?|asyncpg)\.[\w.]{1,80}: |FATAL:  |Could not parse SQLAlchemy URL|"
    r"couldn't get a connection after )|"
    r"(?P<redis>Error (?:-\d|1\d\d) connecting to |Error Multiple exceptions: |(?:redis|aioredis)\.exceptions\.\w{1,40}: |NOAUTH |WRONGPASS |MISCONF |"
    r"OOM command |READONLY You|"
    r"LOADING Redis|invalid username-password pair|Redis is loading the dataset|(?P<vague>Timeout connecting to server|Timeout reading from |"
    r"Authentication required|max number of clients reached|Connection closed by server))|"
    r"(?P<broker>kombu\.exceptions\.\w{1,40}: )|"
    r"(?P<llm>Error code: \d{3} - |(?:openai|anthropic)\.\w{1,40}: )"
)
_TYPE_HEAD = re.compile(r"(?:psycopg2?|asyncpg|redis|aioredis|kombu|openai|anthropic)\.[\w.]{1,80}: ")
# Where a library's text may begin within a message: behind a separator, or as the argument of an exception's repr.
_SEPARATED = re.compile(r"(?:[:|>–—][ \t]{0,3}| - |[(\[][ \t]?)$")
_REPR = re.compile(r"\w(?:Error|Exception|Exc|Timeout|Refused)\([\"']$|\b(?:error|err|exc|exception|reason|cause)=[\"']?$")
_SOMEBODY_SAID = re.compile(
    r"\b(?:users?|said|says|wrote|input|prompts?|payload|body|content|comment|text|title|name|query|request|subject|description|instructions?|"
    r"previous)\b[^:]{0,40}[:=(\[|>-]\s{0,3}[\"']?$",
    re.IGNORECASE,
)
_ABOUT_REDIS = re.compile(r"redis|broker|celery|cache|queue", re.IGNORECASE)
_SETTINGS_CLASS = re.compile(r"\d{1,4} validation errors? for (\w{0,80}(?i:settings?|config|conf|env|environment)\w{0,40})\b")
_ENVIRON = re.compile(r"environ|\benv\[|getenv")


def cause_of(event: Event) -> Cause | None:
    """The cause that an event tells of; None when it tells of none."""
    if event.raised:
        return _with_task(_cause_of_chain(event), event)
    level = event.level or 0
    if event.form == "postgres":
        return _of_postgres_server(event)
    if event.form == "redis":
        return _first(REDIS_SERVER, event.message, "redis", side="server") if level >= WARN else None
    if event.form == "nginx":
        found = _first(NGINX_SERVER, event.message, None) if level >= ERROR else None
        upstream = _UPSTREAM.search(event.message[-1200:]) if found else None
        if found and upstream:
            found.detail.setdefault("host", upstream.group("host"))
        return found or (_plain(event) if level >= ERROR else None)
    if event.form == "bare":
        return _first(BARE, event.message, None)
    if level >= WARN and event.form == "python":
        proxy = _first(PROXY, event.message, None)
        if proxy:
            return proxy
    if level < ERROR and not (level == WARN and event.form == "celery"):
        return None
    return _with_task(_of_message(event), event)


def causes_of(event: Event) -> list[Cause]:
    """All causes that an event tells of: a line about several dependencies ("not ready: database: …; redis: …") names several."""
    first = cause_of(event)
    if first is None:
        return []
    found = [first]
    if first.specific and not event.raised and (event.level or 0) >= ERROR and event.form not in ("postgres", "redis", "nginx"):
        kinds = {(first.kind, first.about)}
        for text in (event.message, *event.fields):
            for cause in _all_of_library(text, event.message):
                if (cause.kind, cause.about) not in kinds and first.about != "broker":
                    kinds.add((cause.kind, cause.about))
                    found.append(cause)
    return found


def _of_message(event: Event) -> Cause | None:
    message = event.message.lstrip().split("\n", 1)[0]
    celery = _first(CELERY, message, "broker")
    if celery:
        return _celery(celery)
    if (event.level or 0) < ERROR:
        return None
    found = _first(LINES, message, None)
    for text in event.fields:
        found = found or _of_library(text, message)
    found = found or _of_library(message, "")
    if found:
        return found
    for text in event.fields:
        found = found or _first(_SYSTEM, text, None) or _first(LINES, text, None)
    return found or _plain(event)


def _plain(event: Event) -> Cause | None:
    if not event.message or _ECHO.match(event.message):
        return None
    return Cause("error", None, {}, None, event.message)


def _of_postgres_server(event: Event) -> Cause | None:
    found = _first(POSTGRES_SERVER, event.message, "postgres", side="server")
    if found or (event.level or 0) < ERROR:
        return found
    text = event.message.partition(":  ")[2]
    found = _first(POSTGRES, text, "postgres", side="server")
    return found if found and found.kind in _SERVER_TELLS else _plain(event)


def _celery(found: Cause) -> Cause:
    if found.kind in ("task_unregistered", "worker_lost", "task_timeout"):
        found.about = None
    elif found.kind == "redis_lost":
        found.about = "redis"
    elif found.kind == "broker_unreachable":
        url = str(found.detail.pop("url", ""))
        why = _of_redis(str(found.detail.pop("why", "")))
        found.detail["reason"] = _BROKER_REASONS.get(why.kind, why.kind) if why else "unknown"
        try:
            parts = urlsplit(url)
            found.detail.update({key: value for key, value in (("host", parts.hostname), ("port", str(parts.port or ""))) if value})
        except ValueError:
            pass
    return found


def _with_task(cause: Cause | None, event: Event) -> Cause | None:
    match = _TASK.match(event.message) if cause is not None else None
    if cause is not None and match:
        cause.detail.setdefault("task", match.group("task"))
    return cause


def _cause_of_chain(event: Event) -> Cause:
    """What got through comes first; what it was raised from says more when the first is of a type that nobody knows."""
    best: Cause | None = None
    for raised in reversed(event.raised):
        cause = _of_exception(raised, event)
        if cause is not None:
            best = cause
            break
    if best is None:
        celery = _first(CELERY, event.message, "broker")
        best = _celery(celery) if celery else None
    outer = event.raised[-1]
    if best is None:
        best = Cause("exception", None, {}, outer)
    best.raised = best.raised or outer
    best.text = best.text or "%s: %s" % (best.raised.type, best.raised.text) if best.raised.text else best.raised.type
    best.detail.setdefault("type", outer.type)
    if best.kind == "llm_unreachable":
        best.detail.setdefault("reason", next((word for word, errno in _ERRNOS if any(errno in raised.text for raised in event.raised)), "unknown"))
    return best


def _of_exception(raised: Raised, event: Event) -> Cause | None:
    kind, text = raised.type, raised.text
    short = kind.rpartition(".")[2]
    family = _family(raised)
    found: Cause | None = None
    if family == "postgres":
        found = _of_postgres(text) or _by_type(short)
        if found is None and short == "ValueError" and raised.frames and raised.frames[-1][0].endswith("sqlalchemy/engine/url.py"):
            found = Cause("postgres_malformed_url", "postgres")
    elif family in ("redis", "broker"):
        found = _of_redis(text)
        if found is None and short == "ConnectionError" and family == "redis":
            found = Cause("redis_lost", "redis")
        if found and (
            family == "broker"
            or (any("/kombu/" in file for file, _function, _line in raised.frames) and not any("/celery/backends/" in file for file, _f, _l in raised.frames))
        ):
            found = _as_broker(found)
    elif family == "llm":
        found = _first(LLM, text, "llm")
        if found is None and short in _LLM_TYPES:
            found = Cause(_LLM_TYPES[short], "llm")
        if found is None and short == "OpenAIError":
            found = _setting(text)
    if found is None:
        for suffix, says in _TYPES:
            if short == suffix:
                found = _first((says,), text, "postgres" if says.kind.startswith("postgres") else None)
                if found:
                    break
    if found is None:
        found = _of_settings(raised, short) or _of_system(raised, short)
    if found is None and family is None and text:
        found = _of_library(text, event.message)
    if found is not None:
        found.raised = raised
    return found


def _family(raised: Raised) -> str | None:
    """Whose exception this is: by the type's module, else by the library whose code raised it."""
    head = raised.type.split(".", 1)[0]
    if head in ("psycopg", "psycopg2", "psycopg_pool", "asyncpg", "sqlalchemy", "pg8000"):
        return "postgres"
    if head in ("redis", "aioredis", "coredis"):
        return "redis"
    if raised.type.startswith("kombu.exceptions.OperationalError"):
        return "broker"
    if head in ("openai", "anthropic", "litellm"):
        return "llm"
    if "." in raised.type and head not in ("socket", "ssl", "asyncio", "django"):
        return None
    if raised.text.startswith(("(psycopg", "(sqlalchemy.dialects.postgresql", "connection to server at ")):
        return "postgres"
    files = [file for file, _function, _line in raised.frames[-12:]]
    if any("/asyncpg/" in file or "/psycopg" in file or file.endswith("sqlalchemy/engine/url.py") for file in files):
        return "postgres"
    if any("/redis/" in file and "packages" in file for file in files):
        return "redis"
    return None


def _of_postgres(text: str) -> Cause | None:
    """The last attempt of several decides: the first was often to an address that is not meant."""
    best: Cause | None = None
    for number, line in enumerate(text.split("\n")[:40]):
        if number and not line.startswith(("connection to server ", "- host: ", "could not connect", "FATAL:  ")):
            continue
        prelude = _POSTGRES_PRELUDE.match(line)
        rest = line[prelude.end() :] if prelude else line
        found = _first(POSTGRES, rest, "postgres")
        if found:
            if prelude:
                found.detail.update({key: value for key, value in prelude.groupdict().items() if value and key not in found.detail})
            found.text = line
            best = found
    return best


def _by_type(short: str) -> Cause | None:
    kinds = {
        "InvalidPasswordError": "postgres_auth",
        "TooManyConnectionsError": "postgres_too_many_clients",
        "CannotConnectNowError": "postgres_starting_up",
        "ConnectionDoesNotExistError": "postgres_lost",
        "PoolTimeout": "postgres_pool_exhausted",
        "AdminShutdown": "postgres_lost",
    }
    return Cause(kinds[short], "postgres") if short in kinds else None


def _of_redis(text: str) -> Cause | None:
    prelude = _REDIS_PRELUDE.match(text)
    found = _first(REDIS, text[prelude.end() :] if prelude and prelude.end() and not prelude.group("host") else text, "redis")
    if found and prelude and prelude.group("host"):
        found.detail.update(host=prelude.group("host"), port=prelude.group("port"))
    return found


def _as_broker(found: Cause) -> Cause:
    found.about = "broker"
    if found.kind in _BROKER_REASONS:
        found.detail["reason"] = _BROKER_REASONS[found.kind]
        found.kind = "broker_unreachable"
    return found


def _of_settings(raised: Raised, short: str) -> Cause | None:
    if short == "KeyError":
        name = re.match(r"'(\w{1,120})'$", raised.text)
        file, function, line = raised.frames[-1] if raised.frames else ("", "", "")
        if name and ((function == "__getitem__" and (file.endswith("/os.py") or file == "<frozen os>")) or (_ENVIRON.search(line) and name.group(1).isupper())):
            return Cause("setting_missing", None, {"name": name.group(1)})
        if name and "celery/worker/" in file:
            return Cause("task_unregistered", None, {"task": name.group(1)})
        match = re.match(r"'([\w.-]{1,160})'$", raised.text)
        if match and "celery/worker/consumer" in file:
            return Cause("task_unregistered", None, {"task": match.group(1)})
        return None
    if short == "ValidationError":
        return _of_pydantic(raised)
    if (
        short
        in (
            "RuntimeError",
            "ValueError",
            "Exception",
            "SystemExit",
            "ImproperlyConfigured",
            "EnvironmentError",
            "OSError",
            "AssertionError",
            "EnvError",
            "LookupError",
        )
        or "Config" in short
        or "Setting" in short
    ):
        return _setting(raised.text)
    return None


def _setting(text: str) -> Cause | None:
    found = _first((LINES[-1],), text, None)
    if found is None:
        match = re.search(r"set(?:ting)? the [\"'`]?(" + _ENV + r")[\"'`]?(?: or [\"'`]?" + _ENV + r"[\"'`]?)? environment variable", text[:600])
        found = Cause("setting_missing", None, {"name": match.group(1)}) if match else None
    return found


def _of_pydantic(raised: Raised) -> Cause | None:
    lines = raised.text.split("\n")
    if not _SETTINGS_CLASS.match(lines[0]) and not any(
        "pydantic_settings" in file or file.endswith("pydantic/env_settings.py") for file, _function, _line in raised.frames
    ):
        return None
    missing: list[str] = []
    wrong: list[tuple[str, str]] = []
    for name, why in zip(lines[1:], lines[2:]):
        if re.match(r"[A-Za-z_][\w.-]{0,100}$", name) and why.startswith("  "):
            if re.match(r"\s{1,8}(?i:field required)", why):
                missing.append(name)
            else:
                wrong.append((name, re.sub(r"\[type=.*|\(type=.*", "", why.strip())[:120].strip()))
    if missing:
        return Cause("setting_missing", None, {"name": missing[0], "names": missing[:20]})
    if wrong:
        return Cause("setting_invalid", None, {"name": wrong[0][0], "why": wrong[0][1]})
    return None


def _of_system(raised: Raised, short: str) -> Cause | None:
    if short in ("OSError", "PermissionError", "FileNotFoundError", "BlockingIOError", "IOError"):
        return _first(_SYSTEM, raised.text, None)
    if short.startswith("SSL") or raised.text.startswith("[SSL"):
        return Cause("tls", None)
    return None


def _of_library(text: str, beside: str) -> Cause | None:
    return next(iter(_all_of_library(text, beside)), None)


def _all_of_library(text: str, beside: str) -> list[Cause]:
    """The texts of libraries within a message, at places where an application puts them. An outage says the same thousands of times."""
    return [replace(cause, detail=dict(cause.detail)) for cause in _search(text, bool(_ABOUT_REDIS.search(beside)))]


@functools.lru_cache(maxsize=256)
def _search(text: str, about_redis: bool) -> tuple[Cause, ...]:
    return tuple(_look_for(text, about_redis))


def _look_for(text: str, about_redis: bool) -> Iterator[Cause]:
    for number, match in enumerate(_LIBRARY.finditer(text[:4000])):
        if number >= 8 or _SOMEBODY_SAID.search(text[max(0, match.start() - 120) : match.start()]):
            # What follows is somebody's, to the end of the line.
            return
        if not _placed(text, match.start()):
            continue
        if match.group("vague") and match.start() and not about_redis and not _ABOUT_REDIS.search(text[: match.start()]):
            continue
        rest = text[match.start() :]
        if _TYPE_HEAD.match(rest):
            rest = rest.partition(": ")[2]
        found = None
        if match.group("postgres"):
            found = _of_postgres(rest)
        elif match.group("redis"):
            found = _of_redis(rest)
        elif match.group("broker"):
            found = _of_redis(rest)
            found = _as_broker(found) if found else None
        elif match.group("llm"):
            found = _first(LLM, rest, "llm")
        if found:
            found.text = text
            yield found


def _placed(text: str, start: int) -> bool:
    prefix = text[:start]
    if not prefix:
        return True
    opener = _REPR.search(prefix[-40:])
    if opener:
        return not _in_quotes(prefix.rstrip("\"'"))
    return bool(_SEPARATED.search(prefix[-8:])) and not _in_quotes(prefix)


def _in_quotes(prefix: str) -> bool:
    """Whether a quote is open at the end of this text; an apostrophe within a word is none."""
    quote = ""
    before = " "
    for letter in prefix:
        if quote:
            if letter == quote:
                quote = ""
        elif letter in '"`\u201c' or (letter == "'" and not before.isalnum()):
            quote = "\u201d" if letter == "\u201c" else letter
        before = letter
    return bool(quote)


def _first(table: Iterable[Says], text: str, about: str | None, **more: object) -> Cause | None:
    for says in table:
        match = says.pattern.match(text)
        if match:
            detail: dict[str, object] = dict(more)
            for key, value in match.groupdict().items():
                if value:
                    detail[key.rstrip("0123456789")] = value
            return Cause(says.kind, about if about else _ABOUT.get(says.kind.split("_", 1)[0]), detail, None, text)
    return None
