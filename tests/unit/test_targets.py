"""Where a component is told to connect, by its environment and by files: one row a case."""

from __future__ import annotations

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import filed_settings, find_targets, pgbouncer_targets, read_env_file
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import File
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask


def files(**texts):
    """A reader of files: the names' double underscores stand for slashes."""
    held = {"/" + name.replace("__", "/"): text for name, text in texts.items()}
    return lambda path: File(held[path].encode(), 0.0) if path in held else None


def found(environment):
    return [(one.kind, one.host, one.port) for one in find_targets("api", environment, "process", files(), [])]


TARGETS = [
    ("a driver of SQLAlchemy", {"DATABASE_URL": "postgresql+asyncpg://u:p@db/shop?ssl=prefer"}, [("postgres", "db", 5432)]),
    ("the short scheme, a password with everything", {"DATABASE_URL": "postgres://u:p%40s%2Fw%3Ard@db:6432/shop"}, [("postgres", "db", 6432)]),
    ("a name that says nothing", {"LEDGER": "postgresql://u:p@db/shop"}, [("postgres", "db", 5432)]),
    ("libpq's own names", {"PGHOST": "db", "PGPORT": "6543", "PGUSER": "u"}, [("postgres", "db", 6543)]),
    ("an account of Redis", {"CACHE_URL": "redis://app:pw@kv:6390/2"}, [("cache", "kv", 6390)]),
    ("another broker", {"CELERY_BROKER_URL": "amqp://guest:guest@rabbit:5672//"}, [("unsupported", "rabbit", 5672)]),
    ("what the tests use", {"TEST_DATABASE_URL": "postgresql://u:p@localhost/t", "DB_TEST_HOST": "localhost"}, []),
    ("another kind of database", {"DATABASE_URL": "mysql://u:p@db/shop"}, []),
    ("one of Java", {"KC_DB_URL": "jdbc:postgresql://db/keycloak"}, []),
    ("a database of vectors", {"VECTOR_DB_URL": "http://qdrant:6333"}, [("http", "qdrant", 6333)]),
    ("a file", {"DATABASE_URL": "file:./dev.db"}, []),
    ("parts of another kind, by the port", {"DB_HOST": "db", "DB_PORT": "3306"}, []),
    ("parts of another kind, by what stands beside", {"DB_HOST": "db", "DB_CONNECTION": "mysql"}, []),
    ("parts of another kind, by the name", {"WORDPRESS_DB_HOST": "db"}, []),
    ("parts of RabbitMQ", {"RABBITMQ_HOST": "rabbit"}, [("unsupported", "rabbit", 5672)]),
    ("nested names", {"DB__HOST": "db", "DB__PORT": "6543"}, [("postgres", "db", 6543)]),
    ("small letters", {"postgres_server": "db", "postgres_port": "6543"}, [("postgres", "db", 6543)]),
    ("a provider's word", {"REDIS_ENDPOINT": "shop.cache.example:6390"}, [("redis", "shop.cache.example", 6390)]),
    ("where it listens itself", {"DB_HOST": "0.0.0.0"}, []),
    ("host and port in one", {"REDIS_ADDR": "kv:6390"}, [("redis", "kv", 6390)]),
    ("a socket of PostgreSQL", {"DATABASE_URL": "postgresql+psycopg://u:p@/shop?host=/cloudsql/a:b:c"}, [("unsupported", "", 0)]),
    ("a socket in parts", {"DB_HOST": "/cloudsql/a:b:c", "DB_NAME": "shop"}, [("unsupported", "", 0)]),
    ("a pooler in parts", {"PGBOUNCER_HOST": "pool"}, [("postgres", "pool", 6432)]),
    ("no host", {"DATABASE_URL": "postgresql:///shop"}, [("unsupported", "", 0)]),
    ("a socket of Redis", {"REDIS_URL": "unix:///run/redis.sock"}, [("unsupported", "", 0)]),
    ("sockets of others", {"DOCKER_HOST": "unix:///var/run/docker.sock", "BIND": "unix:/tmp/app.sock"}, []),
    ("a Sentinel", {"REDIS_URL": "redis+sentinel://s:26379/main/0"}, [("unsupported", "", 0)]),
    ("an image and a folder", {"REDIS_IMAGE": "redis/redis-stack:7", "PREFIX": "postgres/dumps"}, []),
    ("a cache by its word", {"CACHE_BACKEND": "redis", "CELERY_RESULT_BACKEND": "django-cache"}, []),
    ("a cache elsewhere", {"CACHE_URL": "locmem://"}, []),
    ("a broker elsewhere", {"CELERY_BROKER_URL": "memory://"}, [("unsupported", "", 0)]),
    ("what browsers are told", {"FRONTEND_HOST": "http://localhost:5173", "NEXT_PUBLIC_API_URL": "https://api.example"}, []),
    ("a list", {"SERVICES": "http://one,http://two"}, []),
]


@pytest.mark.parametrize(("what", "environment", "expected"), TARGETS, ids=[case[0] for case in TARGETS])
def test_find_targets(what, environment, expected):
    assert found(environment) == expected


MALFORMED = [
    ("a scheme with a slip", {"DATABASE_URL": "postgress://u:p@db/shop"}),
    ("no colon", {"LEDGER": "postgresql//u:p@db/shop"}),
    ("one slash", {"LEDGER": "postgresql:/u:p@db/shop"}),
    ("no scheme", {"DATABASE_URL": "db:5432/shop"}),
    ("one slash before a Redis", {"JOBS": "redis:/kv:6379/0"}),
    ("no scheme before a Redis", {"REDIS_URL": "kv:6379/0"}),
    ("a backend with a slip", {"RESULT_BACKEND": "redi://kv:6379/0"}),
]


@pytest.mark.parametrize(("what", "environment"), MALFORMED, ids=[case[0] for case in MALFORMED])
def test_a_url_that_nobody_can_read(what, environment):
    assert [bool(one.malformed) for one in find_targets("api", environment, "process", files(), [])] == [True]


TLS = [({}, False), ({"REDIS_SSL": "true"}, True), ({"REDIS_USE_TLS": "1"}, True), ({"REDIS_TLS": "false"}, False)]


@pytest.mark.parametrize(("more", "expected"), TLS, ids=[str(case[0]) for case in TLS])
def test_a_redis_in_parts_that_speaks_tls(more, expected):
    assert find_targets("api", {"REDIS_HOST": "kv", **more}, "process", files(), [])[0].tls is expected


OPENAI = {"OPENAI_BASE_URL": "https://api.openai.com/v1"}
PROXIED = [
    ("no proxy", OPENAI, ""),
    ("through a proxy", {**OPENAI, "HTTPS_PROXY": "http://proxy:3128"}, "HTTPS_PROXY"),
    ("through one for all", {**OPENAI, "all_proxy": "http://proxy:3128"}, "all_proxy"),
    ("one for the other scheme", {**OPENAI, "HTTP_PROXY": "http://proxy:3128"}, ""),
    ("spared", {**OPENAI, "HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "localhost, .openai.com"}, ""),
]


@pytest.mark.parametrize(("what", "environment", "expected"), PROXIED, ids=[case[0] for case in PROXIED])
def test_what_goes_through_a_proxy(what, environment, expected):
    found = {one.setting: one.proxy_setting for one in find_targets("api", environment, "process", files(), [])}
    assert found.pop("OPENAI_BASE_URL") == expected
    assert not any(found.values()), "the way to the proxy itself"


LINES = [
    ("A=1", {"A": "1"}),
    ("export A = 1", {"A": "1"}),
    ("A='x # y'", {"A": "x # y"}),
    ('A="x y" # said', {"A": "x y"}),
    ("A=x#y # said", {"A": "x#y"}),
    ("A=", {"A": ""}),
    ("# A=1", {}),
    ("no setting", {}),
]


@pytest.mark.parametrize(("line", "expected"), LINES, ids=[case[0] for case in LINES])
def test_read_env_file(line, expected):
    assert read_env_file(line) == expected


URL = "postgresql://u:p@db/shop"
FILED = [
    ("a mounted .env", {}, ["/etc/shop/.env"], {"etc__shop__.env": "DB=%s" % URL}, {"DB": URL}),
    ("the environment comes first", {"DB": "x"}, ["/etc/shop/.env"], {"etc__shop__.env": "DB=%s" % URL}, {}),
    ("a mounted file of another kind", {}, ["/etc/shop/app.conf"], {"etc__shop__app.conf": "DB=%s" % URL}, {}),
    ("a URL in a secret", {"DATABASE_URL_FILE": "/run/secrets/url"}, [], {"run__secrets__url": URL + "\n"}, {"DATABASE_URL": URL}),
    ("a .env beside the program", {}, [], {"srv__.env": "DB=%s" % URL}, {"DB": URL}),
    ("a developer's .env in the image", {"DATABASE_URL": URL}, [], {"srv__.env": "DEV_DB=%s" % URL}, {}),
]


@pytest.mark.parametrize(("what", "environment", "mounted", "held", "expected"), FILED, ids=[case[0] for case in FILED])
def test_filed_settings(what, environment, mounted, held, expected):
    assert filed_settings(environment, files(**held), mounted, "/srv") == expected


PLANTED = [
    ("a keyword DSN", {"DB_DSN": "host=db user=shop password=planted dbname=shop"}),
    ("a raw / in a broker's password", {"AMQP": "amqp://guest:pla/nted@rabbit"}),
    ("a raw # in a proxy's", {"PROXY": "http://shop:pla#nted@proxy:3128"}),
    ("a raw ? in an LLM's", {"OPENAI_URL": "https://shop:pla?nted@llm"}),
    ("a letter that no host may have", {"PROXY": "http://shop:pla\u2100nted@proxy"}),
    ("a letter that no host may have, for a broker", {"AMQP": "amqp://shop:pla\u2100nted@rabbit"}),
    ("no URL at all", {"DATABASE_URL": "planted"}),
]


@pytest.mark.parametrize(("what", "environment"), PLANTED, ids=[case[0] for case in PLANTED])
def test_no_fact_of_a_target_tells_its_password(what, environment):
    facts = [target.as_fact(Mask()) for target in find_targets("api", environment, "process", files(), [])]
    assert facts and "pla" not in str(facts) and "nted" not in str(facts)


INI = """
[databases]
; old = host=gone
shop = host=db port=6543 dbname=shop user=u password='p w'
* = host=db port=6543
local = dbname=here
far = host=10.0.0.9

[pgbouncer]
listen_addr = 0.0.0.0
"""


def test_pgbouncer_targets():
    targets = pgbouncer_targets("pool", "/etc/pgbouncer/pgbouncer.ini", INI)
    assert [(one.setting, one.host, one.port, one.user, one.password) for one in targets] == [
        ("shop of pgbouncer.ini", "db", 6543, "u", "p w"),
        ("far of pgbouncer.ini", "10.0.0.9", 5432, "", ""),
    ]
