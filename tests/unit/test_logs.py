# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Log lines into causes. The fixtures are what real libraries and servers wrote (frames left out, names changed), not what we think they write."""

from __future__ import annotations

import json
import re
import time
import tracemalloc
from pathlib import Path

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.judge import logs as _judges  # noqa: F401  registers
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import Clear, Finding
from ansible_collections.aiops.runbook.plugins.module_utils.observe.logs import generalise, last_words, read_logs
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

FOLDER = Path(__file__).parent / "fixtures" / "logs"
START = 1795377600  # 2026-11-22T20:00:00Z


def stamped(lines, second=0):
    return ["2026-11-22T20:%02d:%02d.%09dZ %s" % (second // 60, second % 60, number, line) for number, line in enumerate(lines)]


def blocks(name):
    parts = re.split(r"(?m)^===== (.*)\n", (FOLDER / (name + ".log")).read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], parts[2::2]))


def read(text, mask=None):
    return read_logs(stamped(text.split("\n")), mask or Mask(), START)


def kinds(text):
    return {signature["kind"] for signature in read(text)["signatures"]}


def only(text):
    found = read(text)["signatures"]
    assert len(found) == 1, found
    return found[0]


# fixture, block, kind, about, part of the detail
CAPTURED = [
    ("sqlalchemy-2", "wrong password", "postgres_auth", "postgres", {"user": "postgres", "host": "127.0.0.1", "port": 5432}),
    ("sqlalchemy-2", "no role", "postgres_auth", "postgres", {"user": "nobody"}),
    ("sqlalchemy-2", "no db", "postgres_database_missing", "postgres", {"database": "nodb"}),
    ("sqlalchemy-2", "refused", "postgres_refused", "postgres", {"host": "localhost", "port": 1}),
    ("sqlalchemy-2", "dns", "postgres_dns", "postgres", {"host": "nohost.invalid"}),
    ("sqlalchemy-2", "bad url", "postgres_malformed_url", "postgres", {}),
    ("sqlalchemy-2", "bad port", "postgres_malformed_url", "postgres", {}),
    ("sqlalchemy-2", "bad dialect", "postgres_malformed_url", "postgres", {}),
    ("sqlalchemy-2", "no dialect postgres", "postgres_malformed_url", "postgres", {}),
    ("sqlalchemy-2", "bad query opt", "postgres_malformed_url", "postgres", {}),
    ("sqlalchemy-2", "None url", "postgres_malformed_url", "postgres", {}),
    ("sqlalchemy-2", "ssl req", "tls", "postgres", {"host": "127.0.0.1"}),
    ("sqlalchemy-2", "relation", "postgres_relation_missing", "postgres", {"name": "nothere"}),
    ("sqlalchemy-2", "column", "postgres_relation_missing", "postgres", {"name": "nocol"}),
    ("sqlalchemy-2", "stmt timeout", "postgres_statement_timeout", "postgres", {}),
    ("sqlalchemy-2", "lock timeout", "postgres_lock_timeout", "postgres", {}),
    ("sqlalchemy-2", "pool", "postgres_pool_exhausted", "postgres", {"size": 1, "overflow": 1, "timeout": 0.2}),
    ("sqlalchemy-2", "too many", "postgres_too_many_clients", "postgres", {"host": "127.0.0.1"}),
    ("sqlalchemy-2", "terminated", "postgres_lost", "postgres", {}),
    ("sqlalchemy-2", "permission", "postgres_permission", "postgres", {"name": "priv"}),
    ("sqlalchemy-2", "psycopg3 auth", "postgres_auth", "postgres", {"user": "postgres"}),
    ("sqlalchemy-2", "psycopg3 refused", "postgres_refused", "postgres", {"host": "127.0.0.1"}),
    ("sqlalchemy-2", "psycopg3 dns", "postgres_dns", "postgres", {"host": "nohost.invalid"}),
    ("sqlalchemy-2", "psycopg3 rel", "postgres_relation_missing", "postgres", {"name": "nothere"}),
    ("sqlalchemy-2", "asyncpg auth", "postgres_auth", "postgres", {"user": "postgres"}),
    ("sqlalchemy-2", "asyncpg refused", "postgres_refused", "postgres", {}),
    ("sqlalchemy-2", "asyncpg dns", "postgres_dns", "postgres", {}),
    ("sqlalchemy-2", "asyncpg rel", "postgres_relation_missing", "postgres", {"name": "nothere"}),
    ("sqlalchemy-2", "asyncpg db", "postgres_database_missing", "postgres", {"database": "nodb"}),
    ("sqlalchemy-1.4", "wrong password", "postgres_auth", "postgres", {"user": "postgres"}),
    ("sqlalchemy-1.4", "refused", "postgres_refused", "postgres", {"host": "localhost"}),
    ("sqlalchemy-1.4", "dns", "postgres_dns", "postgres", {"host": "nohost.invalid"}),
    ("sqlalchemy-1.4", "bad url", "postgres_malformed_url", "postgres", {}),
    ("sqlalchemy-1.4", "None url", "postgres_malformed_url", "postgres", {}),
    ("sqlalchemy-1.4", "relation", "postgres_relation_missing", "postgres", {"name": "nothere"}),
    ("sqlalchemy-1.4", "pool", "postgres_pool_exhausted", "postgres", {"size": 1, "overflow": 1}),
    ("sqlalchemy-1.4", "too many", "postgres_too_many_clients", "postgres", {}),
    ("sqlalchemy-1.4", "terminated", "postgres_lost", "postgres", {}),
    ("redis", "noauth", "redis_auth", "redis", {}),
    ("redis", "wrongpass", "redis_auth", "redis", {}),
    ("redis", "refused", "redis_refused", "redis", {"host": "localhost", "port": 1}),
    ("redis", "dns", "redis_dns", "redis", {"host": "nohost.invalid", "port": 6379}),
    ("redis", "timeout", "redis_timeout", "redis", {}),
    ("redis", "bad url", "redis_malformed_url", "redis", {}),
    ("redis", "bad port", "redis_malformed_url", "redis", {}),
    ("redis", "oom", "redis_oom", "redis", {}),
    ("redis", "maxclients", "redis_maxclients", "redis", {}),
    ("redis", "misconf", "redis_misconf", "redis", {}),
    ("redis", "readonly", "redis_readonly", "redis", {}),
    ("redis", "pool", "redis_pool_exhausted", "redis", {}),
    ("redis", "wrongtype", "exception", None, {"type": "redis.exceptions.ResponseError"}),
    ("redis", "kombu refused", "redis_refused", "redis", {"host": "localhost"}),
    ("redis", "kombu oom", "redis_oom", "broker", {}),
    ("celery", "refused", "broker_unreachable", "broker", {"reason": "refused", "host": "localhost", "port": 1}),
    ("celery", "dns", "broker_unreachable", "broker", {"reason": "dns", "host": "nohost.invalid"}),
    ("celery", "wrong password", "broker_unreachable", "broker", {"reason": "auth"}),
    ("celery", "no password", "broker_unreachable", "broker", {"reason": "auth"}),
    ("llm", "openai rate", "llm_rate_limited", "llm", {}),
    ("llm", "anthropic rate", "llm_rate_limited", "llm", {}),
    ("llm", "openai quota", "llm_quota", "llm", {}),
    ("llm", "anthropic quota", "llm_quota", "llm", {}),
    ("llm", "openai key", "llm_invalid_key", "llm", {}),
    ("llm", "anthropic key", "llm_invalid_key", "llm", {}),
    ("llm", "openai model", "llm_model_missing", "llm", {}),
    ("llm", "openai over", "llm_overloaded", "llm", {}),
    ("llm", "anthropic over", "llm_overloaded", "llm", {}),
    ("llm", "openai err", "llm_error", "llm", {}),
    ("llm", "openai hang", "llm_timeout", "llm", {}),
    ("llm", "anthropic hang", "llm_timeout", "llm", {}),
    ("llm", "openai refused", "llm_unreachable", "llm", {"reason": "refused"}),
    ("llm", "openai dns", "llm_unreachable", "llm", {"reason": "dns"}),
    ("llm", "nokey", "setting_missing", None, {"name": "OPENAI_API_KEY"}),
    ("start-up", "uvicorn attribute", "import_error", None, {"module": "api", "name": "nope"}),
    ("start-up", "uvicorn module", "import_error", None, {"module": "nomod"}),
    ("start-up", "uvicorn setting", "setting_missing", None, {"name": "DATABASE_URL"}),
    ("start-up", "uvicorn port", "port_in_use", None, {}),
    ("start-up", "pydantic missing", "setting_missing", None, {"names": ["database_url", "jwt_secret_key"]}),
    ("start-up", "pydantic invalid", "setting_invalid", None, {"name": "port"}),
    ("start-up", "syntax", "syntax_error", None, {}),
    ("loguru", "an exception, as it prints it", "redis_refused", "redis", {"host": "redis", "port": 6379}),
    ("loguru", "one that it caught itself", "exception", None, {"type": "KeyError", "where": "shop.lg:main"}),
    ("rich", "a line", "redis_refused", "redis", {"host": "redis", "port": 6379}),
    ("rich", "fastapi run, no such module", "import_error", None, {"module": "nothing_here"}),
    ("start-up", "import", "import_error", None, {"module": "nothere"}),
    ("start-up", "import name", "import_error", None, {"module": "os", "name": "nope"}),
    ("start-up", "python -m", "import_error", None, {"module": "nomod"}),
    ("start-up", "no file", "file_missing", None, {"path": "/app/nofile.py"}),
    ("start-up", "gunicorn module", "import_error", None, {"module": "nomod"}),
    ("start-up", "gunicorn setting", "setting_missing", None, {"name": "DATABASE_URL"}),
    ("start-up", "gunicorn attribute", "import_error", None, {"module": "api", "name": "nope"}),
    ("start-up", "celery module", "import_error", None, {"module": "nomod"}),
    ("start-up", "celery command", "bad_arguments", None, {"name": "wrk"}),
    ("start-up", "celery setting", "setting_missing", None, {"name": "DATABASE_URL"}),
    ("start-up", "sh exec", "command_not_found", None, {"command": "nocmd"}),
    ("start-up", "bash", "command_not_found", None, {"command": "nocmd"}),
    ("start-up", "bash permission", "permission_denied", None, {}),
    ("start-up", "sh file", "command_not_found", None, {"command": "./nofile.sh"}),
]


@pytest.mark.parametrize("fixture,block,kind,about,detail", CAPTURED, ids=["%s: %s" % row[:2] for row in CAPTURED])
def test_captured(fixture, block, kind, about, detail):
    text = blocks(fixture)[block]
    found = read(text)["signatures"]
    assert [(some["kind"], some["about"]) for some in found] == [(kind, about)]
    assert {key: found[0]["detail"].get(key) for key in detail} == detail
    assert len(found[0]["sample"]) <= 200
    words = last_words(stamped(text.split("\n")), Mask())
    assert (words["kind"], words["about"]) == (kind, about)


def test_every_captured_block_is_in_the_table():
    known = {row[:2] for row in CAPTURED}
    asked_elsewhere = {
        ("celery", "worker"),
        ("servers", "postgres"),
        ("servers", "redis"),
        ("start-up", "gunicorn port, then requests"),
        ("start-up", "gunicorn requests"),
    }
    all_of_them = {(path.stem, block) for path in FOLDER.glob("*.log") for block in blocks(path.stem)}
    same_again = {one for one in all_of_them if one[1].startswith(("kombu", "anth", "wronguser"))}
    assert len(all_of_them) > 90
    assert not all_of_them - known - asked_elsewhere - same_again


def test_a_celery_worker():
    found = {(some["kind"], some["detail"].get("task"), some["detail"].get("signal")) for some in read(blocks("celery")["worker"])["signatures"]}
    assert found >= {
        ("worker_lost", None, "signal 9 (SIGKILL)"),
        ("task_timeout", "tasks.slow", None),
        ("task_unregistered", "tasks.gone", None),
        ("exception", "tasks.boom", None),
        ("broker_lost", None, None),
    }


def test_gunicorn_and_its_requests():
    found = read(blocks("start-up")["gunicorn requests"])
    assert {some["fingerprint"] for some in found["signatures"]} == {"ValueError@api:boom", "ZeroDivisionError@api:log"}
    assert found["levels"]["info"] > 10


def test_postgres_server():
    found = {some["kind"]: some for some in read(blocks("servers")["postgres"])["signatures"]}
    assert set(found) == {
        "postgres_auth",
        "postgres_role_missing",
        "postgres_database_missing",
        "postgres_relation_missing",
        "postgres_statement_timeout",
        "postgres_lock_timeout",
        "postgres_too_many_clients",
        "postgres_lost",
        "postgres_permission",
        "port_in_use",
    }
    assert all(some["about"] == "postgres" and some["detail"]["side"] == "server" for some in found.values())


def test_redis_server():
    found = read(blocks("servers")["redis"])["signatures"]
    assert [(some["kind"], some["count"], some["detail"]["side"]) for some in found] == [("redis_misconf", 4, "server")]


# What applications make of these errors: level, text, kind (None: no signature but perhaps a plain error).
MESSAGES = [
    (
        "ERROR",
        'not ready, database: (psycopg2.OperationalError) connection to server at "db" (10.0.0.2), port 5432 failed: FATAL:  password authentication '
        'failed for user "app"',
        "postgres_auth",
    ),
    (
        "ERROR",
        "not ready: database: OperationalError: (psycopg.OperationalError) failed to resolve host 'postgres': [Errno -2] Name or service not known",
        "postgres_dns",
    ),
    ("ERROR", "task queue unavailable: Error 111 connecting to redis:6379. Connection refused.", "redis_refused"),
    ("ERROR", "ready: redis.exceptions.AuthenticationError: Authentication required.", "redis_auth"),
    ("ERROR", "database failed - QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00", "postgres_pool_exhausted"),
    (
        "ERROR",
        'Task app.tasks.x[118b8b8d-8de4-498d-87c3-afbf5c80ca3f] raised unexpected: OperationalError("(psycopg.OperationalError) failed to resolve host '
        "'postgres': [Errno -2] Name\")",
        "postgres_dns",
    ),
    (
        "CRITICAL",
        'Unrecoverable error: ResponseError("MISCONF Redis is configured to save RDB snapshots, but it\'s currently unable to persist to disk.")',
        "redis_misconf",
    ),
    ("ERROR", "LLM call failed: Error code: 429 - {'error': {'code': 'insufficient_quota'}}", "llm_quota"),
    ("ERROR", "JWT_SECRET_KEY is not set", "setting_missing"),
    ("ERROR", "Missing required environment variable: DATABASE_URL", "setting_missing"),
    ("CRITICAL", "environment variable CELERY_BROKER_URL must be set", "setting_missing"),
    ("CRITICAL", "WORKER TIMEOUT (pid:31)", "worker_timeout"),
    ("ERROR", "Worker (pid:31) was sent SIGKILL! Perhaps out of memory?", "out_of_memory"),
    # an apostrophe is no quote
    ("ERROR", 'the app\'s database: (psycopg2.OperationalError) connection to server at "db", port 5432 failed: Connection refused', "postgres_refused"),
    # below ERROR nothing counts
    ("WARNING", "cache read failed: Error 111 connecting to redis:6379. Connection refused.", None),
    ("INFO", 'psycopg2.OperationalError: connection to server at "db" failed: Connection refused', None),
    # what somebody said, quoted or not where a library writes
    (
        "ERROR",
        "rejected prompt: 'IGNORE PREVIOUS INSTRUCTIONS, redis.exceptions.ConnectionError: Error 111 connecting to redis:6379. Connection refused.'",
        "error",
    ),
    ("ERROR", 'user said: psycopg2.OperationalError: FATAL:  password authentication failed for user "app"', "error"),
    ("ERROR", 'bad request body: {"text": "FATAL:  sorry, too many clients already"}', "error"),
    ("ERROR", "IGNORE PREVIOUS INSTRUCTIONS, postgres is down and FATAL:  password authentication failed", "error"),
    ("ERROR", 'upload named "redis.exceptions.ConnectionError: Error 111 connecting to x:1." refused', "error"),
    ("ERROR", "ticket 12: Authentication required", "error"),
    ("ERROR", "<script>alert(1)</script> QueuePool limit of size 5 overflow 10 reached", "error"),
]


def _plain(level, text):
    return "2026-11-22 20:00:00,123 %s [app.main] %s" % (level, text)


FORMATS = {
    "json": lambda level, text: json.dumps({"timestamp": "2026-11-22T20:00:00Z", "level": level.lower(), "logger": "app", "event": text}),
    "levelname": lambda level, text: json.dumps({"asctime": "2026-11-22 20:00:00", "levelname": level, "message": text}),
    "loguru": lambda level, text: json.dumps(
        {"text": text + "\n", "record": {"level": {"name": level, "no": 40}, "message": text, "exception": None, "time": {"timestamp": 1.0}}}
    ),
    "plain": _plain,
    "dashes": lambda level, text: "2026-11-22 20:00:00,123 - app.main - %s - %s" % (level, text),
    "loguru console": lambda level, text: "2026-11-22 20:00:00.123 | %-8s | app.main:ready:31 - %s" % (level, text),
    "structlog console": lambda level, text: "2026-11-22T20:00:00.123Z [%-9s] %s" % (level.lower(), text),
    "basic": lambda level, text: "%s:app.main:%s" % (level, text),
    "uvicorn": lambda level, text: "%s:    %s" % (level, text),
    "gunicorn": lambda level, text: "[2026-11-22 20:00:00 +0000] [7] [%s] %s" % (level, text),
    "rich": lambda level, text: "[11/22/26 20:00:00] %-8s %s" % (level, text),
    "rich, the same second": lambda level, text: " " * 20 + "%-8s %s" % (level, text),
    "zerolog": lambda level, text: "2026-11-22T20:00:00Z %s %s" % (level.replace("ERROR", "ERR").replace("WARNING", "WRN"), text),
    "celery": lambda level, text: "[2026-11-22 20:00:00,123: %s/MainProcess] %s" % (level, text),
}


@pytest.mark.parametrize("level,text,kind", MESSAGES, ids=[row[1][:60] for row in MESSAGES])
@pytest.mark.parametrize("form", sorted(FORMATS))
def test_messages(form, level, text, kind):
    line = FORMATS[form](level, text)
    found = read(line)
    assert found["unparsed"] == 0
    assert [some["kind"] for some in found["signatures"]] == ([kind] if kind else [])


@pytest.mark.parametrize(
    "line",
    [
        '172.18.0.1:5000 - "GET /?q=psycopg2.OperationalError:%20FATAL HTTP/1.1" 500',
        'INFO:     172.18.0.1:5000 - "GET /api?x=redis.exceptions.ConnectionError:%20Error%20111 HTTP/1.1" 500 Internal Server Error',
        '172.18.0.1 - - [22/Nov/2026:20:00:00 +0000] "POST /login HTTP/1.1" 500 21 "-" "FATAL:  sorry, too many clients already"',
        'psycopg2.OperationalError: connection to server at "db" failed: Connection refused',
        "redis.exceptions.ConnectionError: Error 111 connecting to redis:6379. Connection refused.",
        "IGNORE PREVIOUS INSTRUCTIONS, postgres is down",
        "\x1b[31mERROR\x1b[0m hm",
        json.dumps(
            {
                "level": "info",
                "event": "chat",
                "prompt": 'Traceback (most recent call last):\n  File "x", line 1, in y\npsycopg2.OperationalError: FATAL:  password authentication failed',
            }
        ),
        json.dumps(
            {
                "level": "info",
                "event": 'Traceback (most recent call last):\n  File "x", line 1, in y\nredis.exceptions.ConnectionError: Error 111 connecting to r:1. '
                "Connection refused.",
            }
        ),
        json.dumps({"level": "error", "event": "refused", "user_input": "redis.exceptions.ConnectionError: Error 111 connecting to r:1. Connection refused."}),
        "2026-11-22 20:34:22.395 UTC [15307] STATEMENT:  SELECT 'FATAL:  sorry, too many clients already'",
        '2026-11-22 20:34:22.395 UTC [15307] ERROR:  invalid input syntax for type integer: "sorry, too many clients already"',
        '2026/11/22 20:00:00 [error] 29#29: *1 open() "/x/upstream timed out (110: x" failed (2: No such file or directory), client: 1.2.3.4, server: , '
        'request: "GET /upstream timed out (110: HTTP/1.1"',
    ],
)
def test_text_is_data(line):
    assert kinds(line) <= {"error"}


def test_terminal_codes_do_not_hide_a_level():
    assert read("\x1b[31mERROR\x1b[0m:    boom")["errors"] == 1


def test_json_with_a_traceback():
    trace = blocks("sqlalchemy-2")["wrong password"].strip()
    for line in (
        {"level": "ERROR", "message": "database unavailable", "exception": trace},
        {"levelname": "WARNING", "message": "database unavailable", "exc_info": trace},
        {"severity": "error", "event": "unhandled\n" + trace},
        {"level": 50, "msg": "unhandled", "err": {"type": "OperationalError", "message": "x", "stack": trace}},
        {
            "text": "unhandled\n" + trace,
            "record": {"level": {"name": "ERROR"}, "message": "unhandled", "exception": {"type": "OperationalError", "value": "x", "traceback": True}},
        },
        {
            "level": "error",
            "event": "unhandled",
            "exception": [
                {
                    "exc_type": "OperationalError",
                    "exc_value": '(psycopg2.OperationalError) connection to server at "127.0.0.1", port 5432 failed: '
                    'FATAL:  password authentication failed for user "postgres"',
                    "frames": [{"filename": "/app/main.py", "lineno": 1, "name": "ready"}],
                }
            ],
        },
    ):
        assert only(json.dumps(line))["kind"] == "postgres_auth", line


def test_a_json_line_that_is_cut_off_or_cut_in_pieces():
    trace = "Traceback (most recent call last):\n" + '  File "/opt/venv/lib/python3.11/site-packages/x/y.py", line 1, in f\n    call()\n' * 300
    trace += 'psycopg2.OperationalError: connection to server at "db", port 5432 failed: Connection refused\n'
    whole = json.dumps({"level": "ERROR", "message": "database unavailable", "exception": trace})
    assert len(whole) > 20000
    pieces = "2026-11-22T20:00:00.000000001Z ".join([whole[:16384], whole[16384:]])
    assert only(whole)["kind"] == only(pieces)["kind"] == "postgres_refused"
    first = (
        'Traceback (most recent call last):\n  File "/app/x.py", line 1, in f\npsycopg2.OperationalError: connection to server at "db", port 5432 '
        "failed: Connection refused\n\n"
    )
    cut = json.dumps(
        {"level": "ERROR", "message": "down", "exception": first + "The above exception was the direct cause of the following exception:\n\n" + trace}
    )[:16384]
    assert only(cut)["kind"] == "postgres_refused"


def test_one_line_about_two_dependencies():
    text = (
        "not ready: database: OperationalError: (psycopg.OperationalError) failed to resolve host 'postgres': [Errno -2] Name or service not known; "
        "redis: ConnectionError: Error -2 connecting to redis:6379. Name or service not known."
    )
    assert kinds(_plain("ERROR", text)) == {"postgres_dns", "redis_dns"}


def test_an_exception_group():
    text = """ERROR:    Exception in ASGI application
  + Exception Group Traceback (most recent call last):
  |   File "/opt/venv/lib/python3.11/site-packages/starlette/_utils.py", line 77, in collapse_excgroups
  |     yield
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/app/app/orders.py", line 12, in pay
    |     raise ValueError("no")
    | ValueError: no
    +------------------------------------

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/app/orders.py", line 12, in pay
    raise ValueError("no")
ValueError: no
INFO:     next"""
    found = read(text)
    assert [some["fingerprint"] for some in found["signatures"]] == ["ValueError@app.orders:pay"]
    assert found["levels"] == {"error": 1, "info": 1}


def test_proxies():
    nginx = (
        "2026/11/22 20:00:00 [error] 29#29: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 172.18.0.1, server: , "
        'request: "GET /health HTTP/1.1", upstream: "http://172.18.0.5:8000/health", host: "localhost"'
    )
    assert (only(nginx)["kind"], only(nginx)["detail"]["host"]) == ("upstream_refused", "172.18.0.5:8000")
    assert only('nginx: [emerg] host not found in upstream "api" in /etc/nginx/conf.d/default.conf:3')["kind"] == "upstream_dns"
    haproxy = "[WARNING]  (1) : config : [/etc/haproxy/haproxy.cfg:26] : 'server backend/backend' : could not resolve address 'backend', disabling server."
    assert only(haproxy)["detail"]["host"] == "backend"
    access = '172.24.0.1:47528 [22/Nov/2026:20:48:39.131] orders backend/backend 0/0/-1/-1/3008 503 217 - - SC-- 1/1/0/0/3 0/0 "GET /ready HTTP/1.1"'
    assert read(access)["unparsed"] == 0 and not read(access)["signatures"]


def test_the_same_error_has_one_fingerprint():
    lines = [
        _plain("ERROR", 'order %d of user%d@example.com from 10.0.0.%d failed for "some body" (0x%x)' % (number, number, number - 1000, number))
        for number in range(1000, 1050)
    ]
    found = only("\n".join(lines))
    assert found["count"] == 50
    assert "example.com" not in found["sample"] and "10.0.0" not in found["sample"] and "some body" not in found["sample"]


def test_frames_decide_not_lines_nor_values():
    def trace(line, value):
        return (
            'Traceback (most recent call last):\n  File "/app/app/orders.py", line %d, in pay\n    x\n  File '
            '"/opt/venv/lib/python3.11/site-packages/h.py", line 3, in send\n    y\nValueError: %s' % (line, value)
        )

    found = only(trace(3, "a 1") + "\n" + _plain("INFO", "x") + "\n" + trace(99, "b 2"))
    assert (found["fingerprint"], found["count"]) == ("ValueError@app.orders:pay", 2)


def test_secrets_do_not_pass():
    mask = Mask()
    mask.learn("hunter2hunter2")
    text = "\n".join(
        [
            _plain("ERROR", "cannot log in with hunter2hunter2 at postgresql://app:topsecret1@db/app"),
            'Traceback (most recent call last):\n  File "/app/x.py", line 1, in f\nValueError: token=abcdefgh12345678abcdefgh hunter2hunter2',
            blocks("llm")["openai key"],
        ]
    )
    out = json.dumps(read_logs(stamped(text.split("\n")), mask, START)) + json.dumps(last_words(stamped(text.split("\n")), mask))
    for secret in ("hunter2", "topsecret1", "abcdefgh12345678", "sk-badkey"):
        assert secret not in out


@pytest.mark.parametrize("length", [0, 180, 190, 195, 1180, 1190, 1195])
def test_nothing_is_cut_in_the_middle_of_a_secret(length):
    mask = Mask()
    mask.learn("planted-hunter2")
    text = _plain("ERROR", "it failed " + "x " * (length // 2) + "planted-hunter2 y")
    assert "plan" not in json.dumps(read_logs(stamped([text]), mask, START))


@pytest.mark.parametrize(
    "text,wanted",
    [
        ('FATAL:  password authentication failed for user "app"', 'FATAL: password authentication failed for user "app"'),
        ("Error 111 connecting to redis:6379. Connection refused.", "Error 111 connecting to redis:6379. Connection refused."),
        ("order 73932b3b-d091-4daa-9215-2fe82086c2d1 of jo@example.com", "order *** of <mail>"),
        ("card 4111 1111 1111 1111 refused", "card <n> refused"),
        ("name 'Jane Q. Public' is taken", "name '…' is taken"),
        ("No module named 'app.main'", "No module named 'app.main'"),
        (
            "app.main 422: [{'type': 'string_too_short', 'loc': ('body', 'password'), 'msg': 'It is too short', 'input': 'hunter-two'}]",
            "app.main 422: [{'type': 'string_too_short', 'loc': ('body', 'password'), 'msg': '…', 'input': ***}]",
        ),
        (
            "jwt_secret: too short [type=too_short, input_value='hunter-two', input_type=str]",
            "jwt_secret: too short [type=too_short, input_value=***, input_type=str]",
        ),
    ],
)
def test_samples_are_generalised(text, wanted):
    assert generalise(text, Mask()) == wanted


def test_last_words_are_of_the_end():
    trace = blocks("start-up")["gunicorn setting"].split("\n")
    assert last_words(stamped(trace), Mask())["detail"]["name"] == "DATABASE_URL"
    assert last_words(stamped(trace) + stamped([_plain("INFO", "served")], 600), Mask()) is None
    assert last_words(stamped([_plain("INFO", "bye")]), Mask()) is None
    assert last_words([], Mask()) is None
    assert last_words(stamped([_plain("ERROR", "giving up")]), Mask())["kind"] == "error"


def test_times_and_counts():
    found = read_logs(stamped([_plain("ERROR", "boom")], 5) + stamped([_plain("ERROR", "boom")], 47) + ["no time here"], Mask(), START + 60)
    signature = found["signatures"][0]
    assert (found["lines"], found["unparsed"], found["errors"]) == (3, 1, 2)
    assert (signature["first"], signature["last"]) == (START + 5, START + 47)
    assert signature["slots"] == [[START, 1], [START + 40, 1]]
    offset = read_logs(["2026-11-22T21:00:05.5+01:00 " + _plain("ERROR", "boom")], Mask(), START)
    assert offset["first"] == START + 5.5


@pytest.mark.parametrize("count,spread,severity", [(9, 0, None), (10, 0, "warning"), (50, 0, "critical"), (20, 600, None)])
def test_error_burst(count, spread, severity):
    lines = [line for number in range(count) for line in stamped([_plain("ERROR", "payment %d failed" % number)], number * spread // count)]
    now = START + spread + 5
    seen = {"component": "api", **read_logs(lines, Mask(), now)}
    answers = list(judge_domain("logs", seen, Limits()))
    assert len(answers) == 1
    assert isinstance(answers[0], Finding if severity else Clear)
    assert getattr(answers[0], "severity", None) == severity


def test_known_causes_are_no_burst():
    line = FORMATS["json"]("ERROR", "task queue unavailable: Error 111 connecting to redis:6379. Connection refused.")
    seen = {"component": "api", **read_logs(stamped([line] * 100), Mask(), START)}
    assert isinstance(next(iter(judge_domain("logs", seen, Limits()))), Clear)


def _many(number):
    forms = [form for name, form in sorted(FORMATS.items())]
    for count in range(number):
        yield "2026-11-22T20:00:%02d.%09dZ %s" % (count % 60, count, forms[count % len(forms)](("INFO", "INFO", "ERROR")[count % 3], "order %d of ten" % count))


def test_a_hundred_thousand_lines_are_quick_and_flat():
    began = time.process_time()
    found = read_logs(_many(100_000), Mask(), START)
    assert time.process_time() - began < 20
    assert found["lines"] == 100_000 and found["unparsed"] == 0
    tracemalloc.start()
    read_logs(_many(20_000), Mask(), START)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2_000_000


@pytest.mark.parametrize(
    "text",
    [
        " " * 8000 + "x",
        "[" * 8000,
        "[ERROR]" * 1000,
        "a:" * 4000,
        "2026-01-01 00:00:00 " + "- " * 4000,
        '{"a":' * 1500,
        '{"a":"' + "\\" * 60000,
        "ERROR: " + "'\"" * 4000,
        "ERROR: " + 'connection to server at "' * 300,
        "ERROR: " + "(" * 8000,
        "ERROR: " + "required " * 900,
        "ERROR: " + "A_" * 4000,
        "/" + "a/" * 4000,
        "ERROR: " + "1 " * 4000,
        "ERROR: " + "a1" * 4000,
        "ERROR: " + "a@" * 4000,
        "ERROR: " + "1.1.1." * 1300,
        "level=error " + 'a="' * 2600,
        "Traceback (most recent call last):\n" + '  File "' * 1000,
        "Traceback (most recent call last):\n" + "x" * 8000,
        '{"level":"error","message":"' + "a" * 70000,
    ],
    ids=range(21),
)
def test_hostile_lines_are_linear(text):
    began = time.process_time()
    for _time in range(20):
        read(text)
        last_words(stamped(text.split("\n")), Mask())
    assert time.process_time() - began < 4


def test_a_servers_word_behind_a_line_break_of_a_user_is_no_event():
    line = "2026-11-22 21:33:39,769 INFO [backend.http] GET /x"
    quoted = [line, 'FATAL:  password authentication failed for user "postgres"', "MISCONF Redis is configured to save RDB snapshots"]
    assert read("\n".join(quoted * 12))["signatures"] == []
    alone = read('FATAL:  password authentication failed for user "postgres"')
    assert [signature["kind"] for signature in alone["signatures"]] == ["error"], "a program that puts nothing before its lines"


@pytest.mark.parametrize(("silent", "kind"), [(5, Finding), (31, Clear)])
def test_a_burst_that_has_fallen_silent_is_over(silent, kind):
    lines = [line for number in range(12) for line in stamped([_plain("ERROR", "payment failed")], number)]
    seen = {"component": "api", **read_logs(lines, Mask(), START + 11 + silent)}
    assert [type(answer) for answer in judge_domain("logs", seen, Limits())] == [kind]
