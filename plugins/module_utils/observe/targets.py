# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where an application is told to connect: its settings, recognised by the shape of their values rather than by their names.

A Target holds raw secrets: it lives in memory, as long as the run does; what is observed of it comes from as_fact().
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable, Iterable
from urllib.parse import urlsplit

from ansible_collections.aiops.runbook.plugins.module_utils.connect import postgres, redis
from ansible_collections.aiops.runbook.plugins.module_utils.connect.http import url_fault
from ansible_collections.aiops.runbook.plugins.module_utils.model import LOOPBACK, StackError, server_kind
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask, is_plain_url, is_secret_name

# What begins so is meant as a URL, whether or not it is well-formed ("postgres/backups" is none).
POSTGRES_SCHEME = re.compile(r"^\s*[\"']?(postgres(ql)?(\+\w+)?(:|//)|(%s)(\+\w+)?://)" % "|".join(sorted(postgres.SCHEMES)), re.IGNORECASE)
REDIS_SCHEME = re.compile(r"^\s*[\"']?(rediss?(\+\w+)?|valkeys?|keydbs?|rediscaches?|sentinel)(:|//)", re.IGNORECASE)
POSTGRES_SOCKET = "postgresql+socket"
SOCKET_SCHEME = re.compile(r"^\s*[\"']?unix:", re.IGNORECASE)
HTTP_SCHEME = re.compile(r"^https?://[^\s,;]+$", re.IGNORECASE)
OTHER_BROKER = re.compile(r"^(amqps?|sqs|pyamqp|kafka)://", re.IGNORECASE)
OTHER_PORTS = {"amqp": 5672, "amqps": 5671, "pyamqp": 5672, "kafka": 9092}
# Where else an application keeps its data, its cache or its results, by the URL's scheme.
OTHER_DATABASE = re.compile(
    r"^\s*[\"']?(sqlite|libsql|duckdb|mysql|mariadb|oracle|mssql|sqlserver|mongodb|jdbc|odbc|cockroachdb|redshift|snowflake|bigquery|clickhouse|cassandra|"
    r"neo4j|bolt|influx|elasticsearch|couchdb|arangodb|surreal|prisma|https?|wss?|grpc|rediss?|file|memory|aiosqlite|spatialite|asyncmy|aiomysql|pymysql)"
    r"[\w+.-]*:|^\s*[\"']?(s3a?|gs|gcs|az|abfss?|hdfs|dbcache|locmemcache)://",
    re.IGNORECASE,
)
OTHER_STORE = re.compile(
    r"^(db\+|django|rpc|file|cache\+|https?:|(memory|mem|locmem|dummy|disabled|disk|simple|(py)?memcached?|pymemcache|mongodb|mqtts?|nats|pulsar|s3|gs|sqla|"
    r"sqlite|azure\w+|gcpubsub|confluentkafka|elasticsearch|cassandra|couch\w+|dynamodb|cosmosdb\w*|arangodb|consul)[\w+.-]*:)",
    re.IGNORECASE,
)
# A file or a folder in which such a store lies.
PATH = re.compile(r"^\s*[\"']?(\.{0,2}|~)/(?!/)[^@]*$")
URL_NAME = re.compile(r"(DATABASE|DB|POSTGRES\w*|PG|SQLALCHEMY\w*)_(URL|URI|DSN)$|^(DSN|DATABASE_URL)$", re.IGNORECASE)
REDIS_URL_NAME = re.compile(r"(REDIS|BROKER|RESULT_BACKEND|CACHE|VALKEY)\w*(_(URL|URI|DSN))?$", re.IGNORECASE)
# For browsers, who stand elsewhere: where the application is found, and whence its pages may come.
BROWSER_NAME = re.compile(
    r"(^|_)(CORS|ORIGINS?|ALLOWED|FRONTEND|PUBLIC|EXTERNAL|REDIRECT\w*|CALLBACK\w*|SITE|WEBSITE|NEXTAUTH|VITE|REACT|DOMAINS?)(_|$)", re.IGNORECASE
)
LLM_NAME = re.compile(r"openai|anthropic|llm|azure|ollama|litellm|vllm|mistral|gemini|bedrock|model", re.IGNORECASE)
MODEL_VALUE = re.compile(r"^(gpt-|chatgpt|o\d(-|$)|claude-|gemini-|llama|mistral|mixtral|qwen|deepseek|command-r)", re.IGNORECASE)
HOST_NAME = re.compile(r"^(?P<prefix>.*?)(?P<joint>_?)(HOST|HOSTNAME|SERVER|ADDR|ENDPOINT)$")
POSTGRES_WORDS = frozenset("DB DATABASE POSTGRES POSTGRESQL PG SQL PGSQL PGBOUNCER".split())
REDIS_WORDS = frozenset("REDIS VALKEY KEYDB DRAGONFLY CACHE QUEUE BROKER CELERY KV".split())
AMQP_WORDS = frozenset("RABBITMQ RABBIT AMQP".split())
# How the settings beside a URL may be called that is called like one of them, and what may stand before that and tells nothing.
BESIDE = {"postgres": ("DATABASE", "DB", "POSTGRES", "POSTGRESQL", "PG"), "redis": ("REDIS", "VALKEY")}
FRAMEWORKS = ("SQLALCHEMY_", "DJANGO_", "CELERY_", "ASYNC_", "SYNC_")
# Where the Sentinels are that know who is the primary: one of them, or a list.
SENTINEL_NAME = re.compile(r"(^|_)SENTINELS?(_(HOST(S|NAME)?|NODES?|ADDR(S|ESS|ESSES)?|SERVERS?|ENDPOINTS?))?$", re.IGNORECASE)
SENTINEL, SENTINEL_PORT = "sentinel", 26379
SWITCHES = frozenset("0 1 true false yes no on off enabled disabled none".split())
# A server of another kind, by a word of its setting, by its port, or by what stands beside it (DB_ENGINE).
OTHER_WORDS = frozenset(
    "MYSQL MARIADB MONGO MONGODB WORDPRESS MSSQL ORACLE CLICKHOUSE INFLUX INFLUXDB NEO4J QDRANT CHROMA LANCEDB MILVUS WEAVIATE VECTOR KAFKA".split()
)
OTHER_SERVERS_PORTS = frozenset("1433 1521 3306 3307 6333 9092 11211 27017".split())
OTHER_ENGINE = re.compile(r"mysql|mariadb|mongo|sqlite|mssql|sqlserver|oracle|memcache", re.IGNORECASE)
# Read by the tests of an application only.
TEST_NAME = re.compile(r"(^|_)TEST(ING|S)?(_|$)", re.IGNORECASE)
# What a program may be told in a file instead, besides its password: the official image of PostgreSQL is.
TOLD_FILE = re.compile(r"^(\w*_)?(HOST|HOSTNAME|SERVER|PORT|USER|USERNAME|DB|NAME|DATABASE|DBNAME)_FILE$", re.IGNORECASE)
ENV_FILE = re.compile(r"(^|/)(\.env|env)(\.[\w-]+)?$|\.env$")
# Settings whose values tell how the application behaves and hold nothing secret.
PLAIN = re.compile(
    r"(POOL|OVERFLOW|WORKERS|CONCURRENCY|TIMEOUT|LOG_?LEVEL|DEBUG|RATE_LIMIT|PROVIDER|_MODEL$|RETR(Y|IES)|PORT$|QUEUES?$|MAX_|_MINUTES$|ENVIRONMENT$)",
    re.IGNORECASE,
)


@dataclass
class Target:
    """One place that a component is told to connect to.

    kind: postgres, redis, broker, results, cache, llm, http, unsupported (a server that we do not speak to), database (of a kind that is not known).
    password_setting: the setting that holds the password; of a URL without one it may be another one beside it.
    malformed: why the setting cannot be understood, "" when it can.
    proxy_setting: which setting makes it go through a proxy of HTTP, "" where it goes there itself.
    password_file, password_changed_at: where the password was read when it is not in the environment, and when that changed.
    """

    component: str
    setting: str
    source: str
    kind: str
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""
    database: str = ""
    tls: bool = False
    scheme: str = ""
    options: Any = None
    malformed: str = ""
    password_setting: str = ""
    password_file: str = ""
    password_changed_at: float = 0.0
    url: str = ""
    proxy_setting: str = ""

    @property
    def server_kind(self) -> str:
        """What kind of server stands there: broker, results and cache are uses of a Redis."""
        return server_kind(self.kind)

    @property
    def guessed(self) -> bool:
        """Whether its URL holds no password: the program may have one that is not known, or the one that stands beside the URL."""
        return bool(self.url) and not (self.password and self.password_setting == self.setting)

    def as_fact(self, mask: Mask) -> dict[str, Any]:
        """What may be said of it."""
        return {
            "setting": self.setting,
            "source": self.source,
            "kind": self.kind,
            "scheme": self.scheme,
            "host": mask.text(self.host),
            "port": self.port,
            "user": self.user,
            "database": self.database,
            "tls": self.tls,
            "password": mask.secret(self.password),
            "password_setting": self.password_setting,
            "password_changed_at": self.password_changed_at,
            "malformed": self.malformed,
        }


def outer_name(target: Target) -> str:
    """What a server that is no component of the stack is called."""
    return "%s:%d" % (target.host, target.port)


ReadFile = Callable[[str], Any]


def read_env_file(text: str) -> dict[str, str]:
    """The settings of a .env file, as python-dotenv reads its plain forms."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$", line)
        if match:
            value = match.group(2)
            quoted = re.match(r"^(['\"])(.*?)\1(\s+#.*)?$", value)
            found[match.group(1)] = quoted.group(2) if quoted else re.sub(r"(^|\s+)#.*$", "", value)
    return found


def filed_settings(environment: dict[str, str], read_file: ReadFile, mounted: Iterable[str], working_dir: str) -> dict[str, str]:
    """What a program is told by files and not by its environment: NAME_FILE that holds a URL, and .env files that are mounted.

    A .env beside the program counts only where the environment names no server: many an image holds one of its developers'.
    """
    found: dict[str, str] = {}
    for path in mounted:
        if ENV_FILE.search(path):
            found.update(_read_settings(read_file, path))
    for name, path in environment.items():
        if name.endswith("_FILE") and path.startswith("/") and re.search(r"_(URL|URI|DSN)_FILE$", name):
            content = read_file(path)
            if content is not None:
                found[name[: -len("_FILE")]] = content.content.decode("utf-8", "replace").strip()
    found.update(_told_in_files({**found, **environment}, read_file))
    known = {**found, **environment}
    if working_dir and not any(target.server_kind in ("postgres", "redis") for target in find_targets("", known, "", lambda _path: None, [])):
        found.update(_read_settings(read_file, working_dir.rstrip("/") + "/.env"))
    return {name: value for name, value in found.items() if name not in environment}


def _told_in_files(environment: dict[str, str], read_file: ReadFile) -> dict[str, str]:
    """Host, port, user and database that are told by NAME_FILE, as NAME; nothing where that has a value of its own."""
    found = {}
    for name, path in environment.items():
        base = name[: -len("_FILE")]
        if not TOLD_FILE.match(name) or environment.get(base) or not path.startswith("/") or not set(base.upper().split("_")) & (POSTGRES_WORDS | REDIS_WORDS):
            continue
        content = _if_readable(read_file)(path)
        text = content.content.decode("utf-8", "replace").strip() if content is not None else ""
        if re.fullmatch(r"\S{1,255}", text):
            found[base] = text
    return found


def _if_readable(read_file: ReadFile) -> ReadFile:
    """The same reader, for what a program need not have: a file that cannot be read is none."""

    def read(path: str) -> Any:
        try:
            return read_file(path)
        except StackError:
            return None

    return read


def _read_settings(read_file: ReadFile, path: str) -> dict[str, str]:
    content = read_file(path)
    return {} if content is None else read_env_file(content.content.decode("utf-8", "replace"))


def find_targets(component: str, environment: dict[str, str], source: str, read_file: ReadFile, secret_files: Iterable[str]) -> list[Target]:
    """Every place that this environment names. read_file gives a File or None; secret_files are paths below /run/secrets and the like."""
    found: list[Target] = []
    environment, files = {**_told_in_files(environment, read_file), **environment}, list(secret_files)
    for name, value in sorted(environment.items()):
        target = _from_url(component, name, value, source)
        if target:
            if target.kind == "http" and _names_a_model(environment, name):
                target.kind = "llm"
            target.proxy_setting = _proxy_setting(environment, target)
            if target.server_kind in BESIDE and not target.malformed:
                _account_beside(target, environment, _if_readable(read_file), files)
            found.append(target)
    found += _from_parts(component, environment, source, read_file, files) + _sentinels(component, environment, source)
    # A database of a kind that is not known is nobody's mistake; that nobody looks at it is worth a word where no other is named.
    strange = [target for target in found if target.kind == "database"]
    named = any(target.kind == "postgres" or target.scheme == POSTGRES_SOCKET for target in found)
    return [target for target in found if target not in (strange if named else strange[1:])]


def _proxy_setting(environment: dict[str, str], target: Target) -> str:
    """The setting by which the usual HTTP clients go through a proxy to this target; "" where they go there themselves."""
    if target.kind not in ("llm", "http") or target.setting.upper().endswith("_PROXY") or target.host in LOOPBACK:
        return ""
    spared = [word.strip().lstrip("*.").partition(":")[0] for name in ("NO_PROXY", "no_proxy") for word in environment.get(name, "").split(",")]
    if any(word and (target.host == word or target.host.endswith("." + word)) for word in spared) or "*" in (
        environment.get("NO_PROXY"),
        environment.get("no_proxy"),
    ):
        return ""
    scheme = "HTTPS" if target.tls else "HTTP"
    names = [name for word in (scheme, "ALL") for name in ("%s_PROXY" % word, "%s_proxy" % word.lower())]
    return next((name for name in names if environment.get(name)), "")


def _from_url(component: str, name: str, value: str, source: str) -> Target | None:
    if name.endswith("_FILE") or not value or TEST_NAME.search(name):
        return None
    if POSTGRES_SCHEME.match(value) and "/" in value or (URL_NAME.search(name) and not OTHER_DATABASE.match(value)):
        if not POSTGRES_SCHEME.match(value) and not _is_slip(value, ("postgres", "postgresql"), 2):
            if PATH.match(value) or set(name.upper().split("_")) & OTHER_WORDS:
                return None
            if _scheme(value) != "settings":
                return Target(component, name, source, "database", scheme=_scheme(value).lower())
        target = Target(component, name, source, "postgres", url=value, password_setting=name)
        try:
            seen = postgres.parse_url(value)
        except StackError as error:
            target.malformed = error.message
            return target
        target.host, target.port, target.user, target.password, target.database = seen.host, seen.port, seen.user, seen.password, seen.database
        target.options, target.scheme = seen, _scheme(value)
        if seen.is_socket or not seen.host:
            # A file inside the container, to which no way leads from outside of it; so is what a driver takes where no host is named.
            target.kind, target.scheme, target.host, target.port = "unsupported", POSTGRES_SOCKET, "", 0
        return target
    if REDIS_SCHEME.match(value) and "/" in value or (REDIS_URL_NAME.search(name) and _is_redis_url(name, value)):
        target = Target(component, name, source, redis_use(name), url=value, password_setting=name)
        if OTHER_STORE.match(value):
            if target.kind != "broker":
                return None
            target.kind, target.scheme = "unsupported", value.split(":", 1)[0]
            return target
        if target.kind == "cache" and PATH.match(value):
            return None
        try:
            seen_redis = redis.parse_url(value)
        except StackError as error:
            scheme = _scheme(value)
            known = scheme == "settings" or scheme.lower() in redis.SCHEMES
            if error.kind == "unsupported" or re.match(r"(rediss?|valkeys?)[+.-]", scheme, re.IGNORECASE):
                target.kind, target.scheme = "unsupported", scheme
            elif known or _is_slip(value, (*redis.SCHEMES, SENTINEL), 1):
                target.malformed = error.message
            elif target.kind != "broker":
                return None
            else:
                target.kind, target.scheme = "unsupported", scheme
            return target
        target.host, target.port, target.user, target.password = seen_redis.host, seen_redis.port, seen_redis.username or "", seen_redis.password or ""
        target.database, target.tls, target.scheme = str(seen_redis.database), seen_redis.tls, _scheme(value)
        target.options = seen_redis
        if target.port == SENTINEL_PORT or SENTINEL.upper() in name.upper():
            target.kind, target.scheme = "unsupported", SENTINEL
        return target
    if OTHER_BROKER.match(value):
        target = Target(component, name, source, "unsupported", scheme=_scheme(value).lower(), url=value)
        try:
            parts = urlsplit(value)
            target.host, target.password = parts.hostname or "", parts.password or ""
            target.port = parts.port or OTHER_PORTS.get(parts.scheme.lower(), 0)
        except ValueError as error:
            target.malformed = "not a URL: %s" % url_fault(error)
        return target
    if HTTP_SCHEME.match(value) and not BROWSER_NAME.search(name):
        try:
            parts = urlsplit(value)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            return Target(component, name, source, "llm" if LLM_NAME.search(name) else "http", malformed="not a URL: %s" % url_fault(error))
        kind = "llm" if LLM_NAME.search(name) else "http"
        return Target(
            component,
            name,
            source,
            kind,
            host=parts.hostname or "",
            port=port,
            tls=parts.scheme == "https",
            scheme=parts.scheme,
            password=parts.password or "",
            url=value,
        )
    return None


def _scheme(value: str) -> str:
    """What stands before "://"; "settings" where nothing does: a keyword DSN has no scheme, and holds the password."""
    match = re.match(r"[\s\"']*([A-Za-z][\w+.-]*)://", value)
    return match.group(1) if match else "settings"


def _is_slip(value: str, known: Iterable[str], most: int) -> bool:
    """Whether what stands before "://" is meant as one of these words: it begins like PostgreSQL's, or differs from one by so many letters at most."""
    scheme = _scheme(value).lower()
    base = scheme.partition("+")[0]
    return scheme != "settings" and (base.startswith("postgre") or any(_distance(base, word) <= most for word in known))


def _distance(one: str, other: str) -> int:
    """How many letters must be put in, left out, changed, or changed with their neighbour to make one word of the other."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        above, row = row, [place]
        for number, wanted in enumerate(other, 1):
            row.append(min(above[number] + 1, row[-1] + 1, above[number - 1] + (letter != wanted)))
            if place > 1 and number > 1 and letter == other[number - 2] and one[place - 2] == wanted:
                row[-1] = min(row[-1], before[number - 2] + 1)
        before = above
    return row[-1]


def _account_beside(target: Target, environment: dict[str, str], read_file: ReadFile, secret_files: list[str]) -> None:
    """What a URL leaves open and its program takes from beside it: libpq from PGUSER and the like, others from settings that are called alike."""
    prefixes, words = _alike(target)
    libpq = environment if target.kind == "postgres" else {}
    if target.kind == "postgres":
        target.user = target.user or next(filter(None, [libpq.get("PGUSER"), *(_first(environment, one, ("USER", "USERNAME"))[1] for one in prefixes)]), "")
        target.database = target.database or libpq.get("PGDATABASE", "")
    if target.password:
        return
    known = [("PGPASSWORD", libpq.get("PGPASSWORD", "")), *(_first(environment, one, ("PASSWORD", "PASS", "PASSWD")) for one in prefixes)]
    setting, password = next((one for one in known if one[1]), ("", ""))
    if password:
        target.password_setting, target.password = setting, password
        return
    for prefix in prefixes:
        _password_from_file(target, environment, prefix, set(), read_file, [])
        if target.password:
            return
    _password_from_file(target, {}, "", words, read_file, secret_files)


def _alike(target: Target) -> tuple[list[str], set[str]]:
    """(prefixes of the settings that may hold the rest of a URL's account, words of the files that may), by what the URL's own setting is called."""
    stem, joint = re.match(r"(?i)^(.*?)(_*)(?:URL|URI|DSN)?$", target.setting).groups()  # type: ignore[union-attr]  # it fits every name
    own = re.split("_+", stem)[-1]
    before = stem[: len(stem) - len(own)]
    if before.upper() in FRAMEWORKS:
        before = ""
    usual = POSTGRES_WORDS if target.kind == "postgres" else REDIS_WORDS
    names = BESIDE[target.server_kind] if not own or own.upper() in usual else ()
    alike = [before + (name.lower() if own.islower() else name) for name in names]
    words = {own.upper(), *names} - {""} if not before else {word for word in re.split("_+", stem.upper()) if word not in usual}
    return [one + (joint or "_") for one in dict.fromkeys([stem, *alike]) if one], words


def _sentinels(component: str, environment: dict[str, str], source: str) -> list[Target]:
    """The first Sentinel that settings in parts name: it knows where the Redis is, and is none."""
    for name, value in sorted(environment.items()):
        text = value.strip().strip("[]\"' ")
        meant = set(name.upper().split("_")) & REDIS_WORDS or ":%d" % SENTINEL_PORT in text
        if not SENTINEL_NAME.search(name) or TEST_NAME.search(name) or not meant or not text or "/" in text or text.lower() in SWITCHES:
            continue
        host, _colon, port = re.split(r"[,;\s\"']+", text)[0].partition(":")
        told = _first(environment, re.sub(r"(?i)(SENTINELS?)(_.*)?$", r"\1_", name), ("PORT",))[1]
        port = next((one for one in (port, told) if one.isdigit() and 0 < int(one) < 65536), str(SENTINEL_PORT))
        return [Target(component, name, source, "unsupported", host=host, port=int(port), scheme=SENTINEL)]
    return []


def pgbouncer_targets(component: str, path: str, text: str) -> list[Target]:
    """The servers behind a PgBouncer, as its own file names them (the section [databases]); one for each place."""
    found: dict[tuple[str, int], Target] = {}
    section = ""
    for line in text.splitlines():
        heading = re.match(r"^\s*\[(\w+)\]", line)
        section = heading.group(1) if heading else section
        entry = re.match(r"^\s*([^\s;#=\[]+)\s*=\s*(.*)$", line) if section == "databases" else None
        if entry:
            words = {key: value.strip("'") for key, value in re.findall(r"(\w+)\s*=\s*('[^']*'|\S+)", entry.group(2))}
            host, port = words.get("host", "").split(",")[0], words.get("port", "5432")
            if host and not host.startswith("/") and port.isdigit():
                target = Target(
                    component, "%s of %s" % (entry.group(1), path.rsplit("/", 1)[-1]), "file", "postgres", host=host, port=int(port), scheme="settings"
                )
                target.user, target.password, target.database = words.get("user", ""), words.get("password", ""), words.get("dbname", "")
                found.setdefault((host, int(port)), target)
    return list(found.values())


def _names_a_model(environment: dict[str, str], name: str) -> bool:
    """Whether a setting beside this URL (same prefix) names a language model."""
    prefix = name.rsplit("_", 1)[0]
    return any(other.startswith(prefix) and MODEL_VALUE.match(value) for other, value in environment.items() if other != name)


def _is_redis_url(name: str, value: str) -> bool:
    """Whether a setting that is called like a Redis' is meant to hold its URL: a backend may be given by a word ("redis", a class), too."""
    if SOCKET_SCHEME.match(value):
        return True
    ending = next((word for word in ("URL", "URI", "DSN", "BACKEND") if name.upper().endswith(word)), "")
    return bool(ending) and not OTHER_BROKER.match(value) and (ending != "BACKEND" or "://" in value)


def redis_use(name: str) -> str:
    """What a Redis setting of this name is for."""
    upper = name.upper()
    if "BROKER" in upper:
        return "broker"
    if "RESULT" in upper:
        return "results"
    return "cache" if "CACHE" in upper else "redis"


def _from_parts(component: str, environment: dict[str, str], source: str, read_file: ReadFile, secret_files: list[str]) -> list[Target]:
    found = []
    for name, value in sorted(environment.items()):
        match = HOST_NAME.match(name.upper())
        # Where a program listens itself is nobody to connect to.
        if not match or not value or TEST_NAME.search(name) or value.strip() == "0.0.0.0":
            continue
        prefix = name[: match.start(3)]
        words = set(match.group("prefix").upper().split("_"))
        if words & {"SENTINEL", "SENTINELS"}:
            continue
        if value.startswith("/") and words & POSTGRES_WORDS:
            found.append(Target(component, name, source, "unsupported", scheme=POSTGRES_SOCKET))
        if "/" in value:
            continue
        host, _colon, port_text = value.strip().partition(":") if re.fullmatch(r"\s*[\w.-]+:\d+\s*", value) else (value.strip(), "", "")
        port_text = port_text or _first(environment, prefix, ("PORT",))[1]
        if words & OTHER_WORDS or port_text in OTHER_SERVERS_PORTS:
            continue
        if OTHER_ENGINE.search(_first(environment, prefix, ("ENGINE", "CONNECTION", "TYPE", "DRIVER", "DIALECT"))[1]):
            continue
        if words & AMQP_WORDS or port_text in ("5672", "5671"):
            kind, default_port = "unsupported", OTHER_PORTS["amqp"]
        elif words & POSTGRES_WORDS or (port_text == "5432" and not words & REDIS_WORDS):
            kind, default_port = "postgres", 6432 if "PGBOUNCER" in words else 5432
        elif words & REDIS_WORDS or port_text == "6379":
            kind, default_port = redis_use(name), 6379
        else:
            continue
        if not match.group("prefix"):
            continue
        target = Target(component, name, source, kind, host=host, scheme="amqp" if kind == "unsupported" else "settings")
        port_name = prefix + "PORT"
        if port_text and not (port_text.isdigit() and 0 < int(port_text) < 65536):
            target.malformed = "%s is not a port number" % port_name
            target.setting = port_name
        target.port = int(port_text) if port_text.isdigit() else default_port
        target.user = _first(environment, prefix, ("USER", "USERNAME"))[1]
        target.database = _first(environment, prefix, ("NAME", "DB", "DATABASE", "DBNAME"))[1] or ("0" if kind != "postgres" else "")
        told = _first(environment, prefix, ("SSL", "TLS", "USE_SSL", "USE_TLS", "SSL_ENABLED", "TLS_ENABLED"))[1]
        target.tls = target.server_kind == "redis" and told.lower() in ("1", "true", "yes", "on", "required")
        target.password_setting, target.password = _first(environment, prefix, ("PASSWORD", "PASS", "PASSWD"))
        if not target.password:
            _password_from_file(target, environment, prefix, words, read_file, secret_files)
        found.append(target)
    return found


def _password_from_file(target: Target, environment: dict[str, str], prefix: str, words: set[str], read_file: ReadFile, secret_files: list[str]) -> None:
    setting, path = _first(environment, prefix, ("PASSWORD_FILE", "PASS_FILE", "PASSWD_FILE", "PASSWORDFILE"))
    candidates = [path] if path else _secret_for(words, secret_files)
    for candidate in candidates:
        content = read_file(candidate)
        if content is not None:
            target.password = content.content.decode("utf-8", "replace").strip()
            target.password_file, target.password_changed_at = candidate, content.changed_at
            target.password_setting = setting or candidate
            return


def _secret_for(words: set[str], secret_files: list[str]) -> list[str]:
    """The secret files whose names speak of a password and share the most particular word with the settings' prefix."""
    hits = []
    for path in secret_files:
        name = set(re.split(r"[^A-Z0-9]+", path.rsplit("/", 1)[-1].upper()))
        if name & {"PASSWORD", "PASS", "PW", "PASSWD"} and name & words:
            hits.append((-len(name & words), path))
    return [path for _rank, path in sorted(hits)]


def _first(environment: dict[str, str], prefix: str, endings: Iterable[str]) -> tuple[str, str]:
    for name in [prefix + written for ending in endings for written in (ending, ending.lower())]:
        if environment.get(name):
            return name, environment[name]
    return "", ""


def settings_fact(environment: dict[str, str], source: str, mask: Mask) -> list[dict[str, Any]]:
    """Every setting by name; a value only where it is known to hold nothing secret, otherwise a hash that compares within the run."""
    facts = []
    for name, value in sorted(environment.items()):
        fact: dict[str, Any] = {"name": name, "source": source}
        if PLAIN.search(name) and not is_secret_name(name) and len(value) <= 40 and not re.search(r"[:/@]", value):
            fact.update({"set": bool(value), "value": value})
        elif is_secret_name(name) or "://" in value:
            # Where a plain URL leads must stay readable in texts, as what stands below must.
            plain = is_plain_url(value) and not is_secret_name(name)
            fact["secret"] = {"set": True, "length": len(value), "hash": mask.digest(value), "default": False} if plain else mask.secret(value)
            fact["set"] = bool(value)
        else:
            # Not learned as a secret: ordinary words (a host, a mode) must stay readable in texts.
            fact.update({"set": bool(value), "hash": mask.digest(value)})
        facts.append(fact)
    return facts
