"""What a component is taken for: one row a case."""

from __future__ import annotations

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.observe.roles import find_role
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Instance, Process

SCRIPTS = {
    "/srv/start.sh": "#!/bin/sh\nalembic upgrade head\nexec gunicorn -c conf.py app:app\n",
    "/srv/queue.sh": "#!/bin/sh\nexec redis-server /etc/redis/queue.conf\n",
    "/srv/db.sh": "#!/bin/sh\n  exec gosu postgres postgres -c fsync=on\n",
    "/srv/jobs.sh": "#!/bin/sh\n# not uvicorn\nexec celery -A app worker -Q mails\n",
}


def part(name="x", processes=(), **changes):
    one = Instance(id="1", name=name, state="running", processes=[Process(number, 0, "S", command) for number, command in enumerate(processes)], **changes)
    return Component(id=name, instances=[one])


CASES = [
    (part(processes=["/bin/sh /srv/jobs.sh", "python3 /usr/bin/celery -A app worker"]), ("worker", "process")),
    (part(processes=["[celeryd: celery@a:MainProcess] -active- (-A app)"]), ("worker", "process")),
    (part(processes=["python -m celery -A app worker -B"]), ("worker", "process")),
    (part(processes=["celery -A app beat"]), ("beat", "process")),
    (part(processes=["postgres: checkpointer"]), ("postgres", "process")),
    (part(processes=["/usr/lib/postgresql/15/bin/postgres -D /data"]), ("postgres", "process")),
    (part(processes=["redis-server *:6379"]), ("redis", "process")),
    (part(processes=["redis-server *:26379 [sentinel]"]), ("other", "process")),
    (part(command=["redis-server", "/etc/sentinel.conf", "--sentinel"]), ("other", "command")),
    (part(processes=["redis-server *:6379", "redis-sentinel *:26379 [sentinel]"]), ("redis", "process")),
    (part("redis-node.sentinel", image="bitnami/redis-sentinel:7"), ("other", "image")),
    (part(processes=["nginx: master process nginx -g daemon off;"]), ("proxy", "process")),
    (part(processes=["/venv/bin/python /venv/bin/uvicorn app:app"]), ("api", "process")),
    (part(processes=["/bin/sh /srv/start.sh", "alembic upgrade head"], command=["/srv/start.sh"]), ("api", "file")),
    (part(processes=["alembic upgrade head"], command=["alembic", "upgrade", "head"]), ("migration", "process")),
    (part(command=["alembic", "upgrade", "head"]), ("migration", "command")),
    (part(command=["/srv/jobs.sh"]), ("worker", "file")),
    (part(command=["/srv/queue.sh"]), ("redis", "file")),
    (part(command=["/srv/db.sh"]), ("postgres", "file")),
    (part(image="registry.example/library/postgres:16"), ("postgres", "image")),
    (part(image="valkey/valkey:8"), ("redis", "image")),
    (part(environment={"PGDATA": "/x"}), ("postgres", "environment")),
    (part(exposed=[6379]), ("redis", "port")),
    (part("backend"), ("api", "name")),
    (part("mystery", processes=["python3 main.py"]), ("unknown", "")),
    # A module, a host or a user that is called like a program.
    (part(processes=["python celery --app=worker.celery flower --port=5555"]), ("flower", "process")),
    (part(processes=["celery -A app.worker beat -l info"]), ("beat", "process")),
    (part(processes=["celery -A worker beat"]), ("beat", "process")),
    (part(processes=["celery -A worker worker -n beat@%h"]), ("worker", "process")),
    (part(processes=["python watchfiles celery.__main__.main --args -A config.celery_app worker -l INFO"]), ("worker", "process")),
    (part(processes=["sh -c wait-for-it postgres:5432 && uvicorn app:app", "uvicorn app:app"]), ("api", "process")),
    (part(command=["dockerize", "-wait", "tcp://postgres:5432", "uvicorn", "app:app"]), ("api", "command")),
    (part(command=["sh", "-c", "until nc -z pgbouncer 6432; do sleep 1; done; uvicorn app:app"]), ("api", "command")),
    (part(processes=["sh -c until redis-cli -h redis-server ping; do sleep 1; done; uvicorn app:app"]), ("api", "process")),
    (part("dump", processes=["sh -c while sleep 60; do pg_dump -h db -U postgres shop; done"]), ("unknown", "")),
    (part(command=["docker-entrypoint.sh", "postgres", "-c", "fsync=on"]), ("postgres", "command")),
    (part(processes=["/opt/bitnami/pgbouncer/bin/pgbouncer /conf/pgbouncer.ini"]), ("pgbouncer", "process")),
    (part(processes=["/opt/redis-stack/bin/redis-server *:6379"]), ("redis", "process")),
    (part("pg", image="prometheuscommunity/postgres-exporter:v0.15"), ("other", "image")),
    (part("litellm-proxy", processes=["python litellm --port 4000"]), ("llm", "name")),
    (part("tables", processes=["php -S [::]:8080 -t /var/www/html"], image="adminer:latest"), ("other", "image")),
    (part("tables", processes=["/venv/bin/python3 /venv/bin/gunicorn --bind [::]:80 run_pgadmin:app"], image="dpage/pgadmin4"), ("other", "process")),
    (part("shop", processes=["python manage.py runserver 0.0.0.0:8000"]), ("api", "process")),
    # A server's image, settings, port or name without the server's program: a backup, a probe, an application.
    (part("dump", processes=["sh -c while sleep 60; do pg_dump shop; done"], image="postgres:16", exposed=[5432]), ("unknown", "")),
    (part("redis-metrics", processes=["/redis_exporter"]), ("unknown", "")),
    (part("shop", processes=["python3 main.py"], environment={"POSTGRES_PASSWORD": "x", "POSTGRES_HOST": "db"}), ("unknown", "")),
    (part("shop", environment={"POSTGRES_PASSWORD": "x", "POSTGRES_HOST": "db"}), ("unknown", "")),
    (part("gateway", processes=["python3 main.py"]), ("proxy", "name")),
    # One that has ended has no processes: its command tells that it only asked a server.
    (part("redis-cluster-init", image="redis:7", command=["docker-entrypoint.sh", "redis-cli", "--cluster", "create", "r1:6379"]), ("unknown", "")),
    (part("db-init", image="postgres:16", command=["docker-entrypoint.sh", "sh", "-c", "until pg_isready; do sleep 1; done; psql -h db"]), ("unknown", "")),
    (part("dump", image="postgres:16", command=["pg_dump", "-h", "db"], environment={"PGDATA": "/x"}, exposed=[5432]), ("unknown", "")),
    (part("seed", image="postgres:16", command=["bash", "-ec", "PGPASSWORD=x psql -h db -c 'CREATE EXTENSION vector'"]), ("unknown", "")),
    (part("ready", image="redis:7", command=["wait-for-it", "redis:6379", "--", "redis-cli", "ping"]), ("unknown", "")),
    # What starts the server is one, whatever else it does.
    (part("kv", image="redis:7", command=["sh", "-c", "sleep 1; redis-cli -h other ping && exec docker-entrypoint.sh redis-server"]), ("redis", "image")),
    (part("db", image="postgres:16", command=["bash", "-c", "docker-entrypoint.sh postgres & sleep 5; psql -U postgres; wait"]), ("postgres", "image")),
    (part("db", image="bitnami/postgresql:16", command=["/opt/bitnami/entrypoint.sh", "/opt/bitnami/scripts/postgresql/run.sh"]), ("postgres", "image")),
    (part("db", image="postgres:16", command=["docker-entrypoint.sh", "postgres"]), ("postgres", "command")),
    (part("psql-front", image="shop:1", command=["uvicorn", "app:app"]), ("api", "command")),
]


def ends(supposed, *processes, **more):
    found = part("api-shell", processes, **more)
    found.finite, found.supposed = True, supposed
    return found


CASES += [
    (ends(True, command=["sh"]), ("job", "platform")),
    (ends(True, "python import.py"), ("job", "platform")),
    (ends(True, command=["alembic", "upgrade", "head"]), ("migration", "command")),
    # A server whose pod nothing would start again is a server as long as it runs, a Job's program is none.
    (ends(True, "redis-server *:6379"), ("redis", "process")),
    (ends(False, "celery -A app worker"), ("job", "platform")),
]


@pytest.mark.parametrize(("component", "expected"), CASES, ids=["%s-%s" % case[1] + str(number) for number, case in enumerate(CASES)])
def test_find_role(component, expected):
    assert find_role(component, lambda _instance, path: SCRIPTS.get(path, "")) == expected
