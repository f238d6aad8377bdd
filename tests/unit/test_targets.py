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
    ("a driver alone", {"DATABASE_URL": "asyncpg://u:p@db:6432/shop"}, [("postgres", "db", 6432)]),
    ("another driver alone", {"LEDGER": "psycopg2://u:p@db/shop"}, [("postgres", "db", 5432)]),
    ("django-environ's word", {"DATABASE_URL": "psql://u:p@db/shop"}, [("postgres", "db", 5432)]),
    ("another word of it", {"DATABASE_URL": "pgsql://u:p@db/shop"}, [("postgres", "db", 5432)]),
    ("dj-database-url's words", {"A_DB_URL": "postgis://u:p@a/s", "B_DB_URL": "timescale://u@b/s"}, [("postgres", "a", 5432), ("postgres", "b", 5432)]),
    ("a cache in a Redis", {"CACHE_URL": "rediscache://kv:6390/1"}, [("cache", "kv", 6390)]),
    ("a cache in a database", {"CACHE_URL": "dbcache://my_cache", "OTHER_CACHE_URL": "locmemcache://", "MORE_CACHE_URL": "/var/cache/shop"}, []),
    ("a cache of a kind that nobody knows", {"CACHE_URL": "hazelcast://grid:5701"}, []),
    ("a broker of a kind that nobody knows", {"CELERY_BROKER_URL": "ironmq://x:y@"}, [("unsupported", "", 0)]),
    ("a Redis Cluster", {"REDIS_URL": "redis+cluster://a:6379"}, [("unsupported", "", 0)]),
    ("other drivers", {"DATABASE_URL": "aiosqlite:///x.db", "SHOP_DB_URL": "asyncmy://u:p@my/x", "LAKE_DB_URL": "s3://bucket/x", "OLD_DB_URL": "gs://b"}, []),
    ("stores of vectors", {"LANCEDB_URI": "/data/lance", "MILVUS_DB_URI": "./m.db", "CHROMA_DB_URL": "chroma:8000", "VECTOR_DB_URL": "qdrant+grpc://q"}, []),
    ("vectors in a PostgreSQL", {"VECTOR_DB_URL": "postgresql://u:p@db/v"}, [("postgres", "db", 5432)]),
    ("a database of a kind that nobody knows", {"DATABASE_URL": "gel://u:p@edge/x", "GRAPH_DB_URL": "ydb://y"}, [("database", "", 0)]),
    ("the same beside a PostgreSQL", {"GRAPH_DB_URL": "gel://u:p@edge/x", "DATABASE_URL": "postgresql://u:p@db/s"}, [("postgres", "db", 5432)]),
    ("Sentinels in parts", {"REDIS_SENTINEL_HOST": "guard", "REDIS_SENTINEL_PORT": "26380", "REDIS_PASSWORD": "pw"}, [("unsupported", "guard", 26380)]),
    ("Sentinels as a list", {"CELERY_SENTINELS": "a:26379, b:26379"}, [("unsupported", "a", 26379)]),
    ("a Sentinel by its port", {"REDIS_URL": "redis://guard:26379/0"}, [("unsupported", "guard", 26379)]),
    ("a switch, a name, and another thing", {"REDIS_SENTINEL": "true", "REDIS_SENTINEL_MASTER": "main", "SENTINEL_HOST": "guard:8719"}, []),
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
    ("a letter too few", {"DATABASE_URL": "postgre://u:p@db/shop"}),
    ("two letters changed with each other", {"DATABASE_URL": "postgersql+asyncpg://u:p@db/shop"}),
    ("an underscore for a plus", {"DATABASE_URL": "postgresql_psycopg2://u:p@db/shop"}),
    ("a letter too much before a Redis", {"CACHE_URL": "rediis://kv:6379/0"}),
    ("a scheme that was lost", {"DATABASE_URL": "//u:p@db/shop"}),
]


@pytest.mark.parametrize(("what", "environment"), MALFORMED, ids=[case[0] for case in MALFORMED])
def test_a_url_that_nobody_can_read(what, environment):
    assert [bool(one.malformed) for one in find_targets("api", environment, "process", files(), [])] == [True]


PW = "Zx9-planted"
BESIDE = [
    ("libpq's own", {"DATABASE_URL": "postgresql://app@db/shop", "PGPASSWORD": PW}, {}, ("app", PW, "PGPASSWORD")),
    ("called alike", {"DATABASE_URL": "postgresql://app@db/shop", "DATABASE_PASSWORD": PW}, {}, ("app", PW, "DATABASE_PASSWORD")),
    ("called by the short word", {"DATABASE_URL": "postgresql://app@db/shop", "DB_PASSWORD": PW}, {}, ("app", PW, "DB_PASSWORD")),
    ("called by the server's", {"SQLALCHEMY_DATABASE_URI": "postgresql://db/shop", "POSTGRES_PASSWORD": PW, "PGUSER": "u"}, {}, ("u", PW, "POSTGRES_PASSWORD")),
    ("in a file", {"DB_URL": "postgresql://app@db/s", "DB_PASSWORD_FILE": "/secrets/pw"}, {"secrets__pw": PW + "\n"}, ("app", PW, "DB_PASSWORD_FILE")),
    ("a Redis", {"REDIS_URL": "redis://kv/0", "REDIS_PASSWORD": PW}, {}, ("", PW, "REDIS_PASSWORD")),
    ("another server's", {"STOCK_DB_URL": "postgresql://app@db/s", "DB_PASSWORD": PW, "SHOP_DB_PASSWORD": PW}, {}, ("app", "", "STOCK_DB_URL")),
    ("another kind's", {"REDIS_URL": "redis://kv/0", "PGPASSWORD": PW, "POSTGRES_PASSWORD": PW}, {}, ("", "", "REDIS_URL")),
    ("the URL has its own", {"DATABASE_URL": "postgresql://app:own@db/s", "PGPASSWORD": PW, "PGUSER": "u"}, {}, ("app", "own", "DATABASE_URL")),
]


@pytest.mark.parametrize(("what", "environment", "held", "expected"), BESIDE, ids=[case[0] for case in BESIDE])
def test_an_account_that_stands_beside_its_url(what, environment, held, expected):
    one = next(one for one in find_targets("api", environment, "process", files(**held), []) if one.url)
    assert (one.user, one.password, one.password_setting) == expected
    assert one.guessed is (expected[2] != one.setting or not one.password)


def test_a_secret_file_beside_a_url():
    told = find_targets("api", {"DATABASE_URL": "postgresql://app@db/s"}, "process", files(run__secrets__db_password=PW), ["/run/secrets/db_password"])
    assert [(one.password, one.password_file) for one in told] == [(PW, "/run/secrets/db_password")]


IN_FILES = {"POSTGRES_HOST_FILE": "/s/h", "POSTGRES_USER_FILE": "/s/u", "POSTGRES_PASSWORD_FILE": "/s/p", "POSTGRES_DB_FILE": "/s/d"}


def test_parts_that_are_told_in_files():
    told = find_targets("api", IN_FILES, "process", files(s__h="db\n", s__u="app\n", s__p=PW, s__d="shop"), [])
    assert [(one.host, one.user, one.password, one.database, one.guessed) for one in told] == [("db", "app", PW, "shop", False)]
    own = {**IN_FILES, "POSTGRES_HOST": "here", "POSTGRES_USER": "me"}
    assert [(one.host, one.user) for one in find_targets("api", own, "process", files(s__h="db", s__u="app"), [])] == [("here", "me")]


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
