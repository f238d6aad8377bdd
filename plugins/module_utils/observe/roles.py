# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which part a component plays: from its processes, its command, its image, its environment, and last from its name."""

from __future__ import annotations

import re
from typing import Callable, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.model import FINITE
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Instance

# Where the program of a command line stands: first, or handed to what starts it. Further on its name may be that of a host or a user.
PROGRAM = r"^\s*(exec\s+)?(\S*entrypoint\S*\s+|(gosu|su-exec)\s+\S+\s+)?(\S*/)?"
# Celery's own command, and not a module that is called so ("-A worker beat", "-A app.worker flower").
CELERY = r"\bcelery\b.*(?<!-A)(?<!--app)\s"
# Order matters: a celery beat inside a worker's command line is a worker that also beats.
BY_COMMAND = [
    ("worker", re.compile(r"\bceleryd\b|" + CELERY + r"worker\b")),
    ("beat", re.compile(CELERY + r"beat\b|\bcelerybeat\b")),
    ("flower", re.compile(CELERY + r"flower\b")),
    ("pgbouncer", re.compile(PROGRAM + r"pgbouncer(\s|$)")),
    ("postgres", re.compile(PROGRAM + r"(postgres|postmaster)(\s|:|$)")),
    # The same program may be a Sentinel, which holds no data.
    ("redis", re.compile(r"(?s)(?!.*(\[sentinel\]|--sentinel\b))" + PROGRAM + r"(redis-server|valkey-server|keydb-server|dragonfly)(\s|$)")),
    ("other", re.compile(r"(^|/|\s)(redis|valkey)-s(erver\b.*(\[sentinel\]|--sentinel\b)|entinel\b)")),
    ("proxy", re.compile(r"(^|/|\s)(nginx|haproxy|traefik|caddy|envoy|httpd|apache2)\b")),
    ("other", re.compile(r"\brun_pgadmin\b")),
    ("api", re.compile(r"\b(uvicorn|gunicorn|hypercorn|daphne|granian|uwsgi|waitress-serve)\b|\bfastapi\s+(run|dev)\b|\bmanage\.py\s+runserver")),
    # Last: a start script that migrates first and then serves is caught migrating while it is young or fails.
    ("migration", re.compile(r"\balembic\b.*\b(upgrade|downgrade|stamp)\b")),
]
BY_IMAGE = [
    # Tools of those who develop or watch, on which nobody depends.
    (
        "other",
        re.compile(
            r"(^|/)(adminer|pgadmin4?|phpmyadmin|redisinsight|mailcatcher|mailhog|mailpit|maildev|prometheus|alertmanager|grafana|loki|promtail|alloy|cadvisor|"
            r"node[_-]exporter|jaeger|opentelemetry-collector(-contrib)?|portainer(-ce)?|dozzle|watchtower|autoheal)([:@]|$)"
        ),
    ),
    # What only looks at a server, or copies what is in it.
    ("other", re.compile(r"(postgres|pg|redis|valkey)[\w-]*[_-](exporter|backup|commander)\b")),
    ("postgres", re.compile(r"(^|[/_-])(postgres|postgresql|postgis|timescaledb|pgvector)([:@_-]|$)")),
    ("other", re.compile(r"(^|[/_-])(redis|valkey)-sentinel([:@_-]|$)")),
    ("redis", re.compile(r"(^|[/_-])(redis|valkey|keydb|dragonfly)([:@_-]|$)")),
    ("proxy", re.compile(r"(^|[/_-])(nginx|haproxy|traefik|caddy|envoy)([:@_-]|$)")),
    ("pgbouncer", re.compile(r"(^|[/_-])pgbouncer([:@_-]|$)")),
]
BY_NAME = [
    ("worker", re.compile(r"worker|celery|jobs|tasks?$|consumer")),
    ("beat", re.compile(r"beat|scheduler|clock|cron")),
    ("postgres", re.compile(r"postgres|pgsql|^pg|^db\d*$|database")),
    ("redis", re.compile(r"redis|valkey|cache|broker")),
    ("migration", re.compile(r"migrat|alembic")),
    ("llm", re.compile(r"llm|openai|anthropic|ollama|vllm|litellm")),
    ("proxy", re.compile(r"nginx|proxy|gateway|ingress|traefik|caddy|edge")),
    ("api", re.compile(r"api|backend|web|app|server")),
]
# Servers are known by their programs: a copy of a server's image, or the bearer of its settings, may as well do a backup.
BY_PROGRAM = frozenset(["postgres", "redis", "pgbouncer"])
# Where a command stands in what a shell is given ("sh -c until …; do psql …"), or first; then what asks a server, and what is one.
BEGINS = r"(^|[;&|(\n]|\s--\s|\s-\w*c\s|\b(do|then|else|until|while|if|exec|env)\s)\s*[\"'!]?\s*"
COMMAND = BEGINS + r"(\w+=\S*\s+)*(\S*entrypoint\S*\s+)?((gosu|su-exec)\s+\S+\s+)?(\S*/)?"
CLIENT = re.compile(COMMAND + r"((redis|valkey|keydb)-(cli|benchmark)|psql|pg_(dump|dumpall|restore|basebackup|isready)|pgbench|(create|drop|vacuum)db)(\s|$)")
SERVER = re.compile(COMMAND + r"(postgres|postmaster|pgbouncer|(redis|valkey|keydb)-server|dragonfly)(\s|$)")
# With one of these a component is told where a PostgreSQL is, and is none.
CLIENT_OF_POSTGRES = re.compile(r"^(POSTGRES\w*_(HOST|SERVER|URL)|PGHOST|DB_HOST|DATABASE_(URL|HOST))$")


def find_role(component: Component, read_script: Callable[[Instance, str], str]) -> tuple[str, str]:
    """(role, source of that knowledge). read_script gives the text of a start script inside an instance, "" when there is none."""
    instances = [one for one in component.instances if not one.one_off] or component.instances or [one for one in [component.template] if one]
    serves = component.supposed and match(BY_COMMAND, [process.command for one in instances for process in one.processes]) not in ("", *FINITE)
    if component.finite and not serves:
        role = match(BY_COMMAND, [text for one in instances for text in [*(process.command for process in one.processes), " ".join(one.command)]])
        return (role, "command") if role in FINITE else ("job", "platform")
    evidence = [
        ("process", BY_COMMAND, [process.command for one in instances for process in one.processes]),
        ("command", BY_COMMAND, [" ".join(one.command) for one in instances]),
    ]
    passing = ""
    for source, table, texts in evidence:
        role = match(table, texts)
        if role and role not in FINITE:
            return role, source
        passing = passing or (source if role else "")
    for one in instances[:1]:
        for path in scripts_in(one.command):
            role = match(BY_COMMAND, read_script(one, path).splitlines())
            if role and (role not in FINITE or not passing):
                return role, "file"
    if passing:
        return "migration", passing
    # What it does is seen where it runs; of one that has ended, where its command is to ask a server.
    seen = any(one.processes or asks_a_server(" ".join(one.command)) for one in instances)
    role = match(BY_IMAGE, [one.image for one in instances])
    if role and not (seen and role in BY_PROGRAM):
        return role, "image"
    for one in [] if seen else instances:
        if {"POSTGRES_DB", "POSTGRES_PASSWORD", "PGDATA"} & set(one.environment) and not any(CLIENT_OF_POSTGRES.match(name) for name in one.environment):
            return "postgres", "environment"
        for port, server in ((5432, "postgres"), (6379, "redis")):
            if port in one.exposed:
                return server, "port"
    role = match(BY_NAME, [component.id.lower()])
    return (role, "name") if role and not (seen and role in BY_PROGRAM) else ("unknown", "")


def asks_a_server(command: str) -> bool:
    """Whether a command only asks a server, or copies what is in it, and starts none."""
    return bool(CLIENT.search(command)) and not SERVER.search(command)


def match(table: Iterable[tuple[str, re.Pattern]], texts: Iterable[str]) -> str:
    """The role of the first row that any of the texts shows; "" when none does."""
    texts = [text for text in texts if not text.lstrip().startswith("#")]
    for role, pattern in table:
        if any(pattern.search(text) for text in texts):
            return role
    return ""


def scripts_in(command: list[str]) -> list[str]:
    """The words of a command line that may be start scripts."""
    words = [word for text in command for word in text.split()]
    return [word for word in words if re.fullmatch(r"[\w./-]+", word) and (word.endswith((".sh", "entrypoint", "start", "run")))][:4]
