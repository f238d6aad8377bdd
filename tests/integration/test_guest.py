# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A look at an ill stack is a guest, too: no failed login, no key, no row, no setting of ours, whatever it cannot get into."""

from __future__ import annotations

import json
import re
import time

import pytest
from acting import Small, small_project
from playing import ROOT, Played, play, run

PYTHON = {"image": "aiops-ref/llm:latest", "entrypoint": ["python3", "-u", "-c"], "stop_grace_period": "1s"}
# Its log complains once, as a client's does; then it stays as it is, and adds nothing to the servers' counters.
SAYS = "import time; print(%r); time.sleep(3600)"
RIGHT, WRONG = "Wq7-guest-right", "Wq7-guest-wrong"
REFUSED = 'psycopg.OperationalError: connection failed: FATAL:  password authentication failed for user "shop"'
NOAUTH = "redis.exceptions.AuthenticationError: NOAUTH Authentication required."
WRONGPASS = "redis.exceptions.AuthenticationError: WRONGPASS invalid username-password pair or user is disabled."
DB = {"image": "aiops-ref/postgres:latest", "environment": {"POSTGRES_USER": "shop", "POSTGRES_PASSWORD": RIGHT, "POSTGRES_DB": "shop"}}
CACHE = {"image": "aiops-ref/redis:latest", "stop_grace_period": "1s", "command": ["redis-server", "--requirepass", RIGHT, "--maxmemory", "64mb"]}


def client(said: str = "", database: str = "", cache: str | None = None) -> dict:
    """A part that is told to use the database and the cache with these passwords ("": none), and has said this."""
    settings = {}
    if database:
        settings["DATABASE_URL"] = "postgresql://shop:%s@db:5432/shop" % database
    if cache is not None:
        settings["CELERY_BROKER_URL"] = "redis://%scache:6379/0" % (":%s@" % cache if cache else "")
    return {**PYTHON, "command": [SAYS % said], "environment": settings}


def full(project: Small) -> None:
    """Take every session that the application's role may have."""
    script = "import psycopg, time; held = []\nfor _ in range(9):\n try: held.append(psycopg.connect('postgresql://shop:%s@db:5432/shop'))\n" % RIGHT
    script += " except psycopg.OperationalError: break\nprint('full'); time.sleep(3600)"
    run("docker", "run", "-d", "--name", "guest-crowd", "--network", "guest_default", "--entrypoint", "python3", "aiops-ref/app:latest", "-u", "-c", script)
    for _second in range(60):
        if "full" in run("docker", "logs", "guest-crowd"):
            return
        time.sleep(1)
    raise AssertionError(run("docker", "logs", "guest-crowd"))


# services, what makes it ill besides, and the causes that are to be named all the same
CASES = {
    "one client of each has a wrong password or none": (
        {"api": client(REFUSED + "\n" + NOAUTH, WRONG, ""), "worker": client("", RIGHT, RIGHT), "db": DB, "cache": CACHE},
        None,
        {("postgres.password_rejected", "api"), ("redis.password_rejected", "api")},
    ),
    "the only client has a wrong password": ({"api": client(REFUSED, WRONG), "db": DB}, None, {("postgres.password_rejected", "api")}),
    "nobody has the broker's password": (
        {"api": client(NOAUTH, "", ""), "worker": client(NOAUTH, "", ""), "cache": CACHE},
        None,
        {("redis.auth_mismatch", "cache")},
    ),
    "no session is free": (
        {"api": client("", RIGHT), "db": {**DB, "command": ["postgres", "-c", "max_connections=6", "-c", "superuser_reserved_connections=2"]}},
        full,
        {("postgres.connections_exhausted", "db")},
    ),
}


def fingerprint(project: Small, services: dict) -> dict[str, object]:
    """What a guest leaves as it is."""
    found: dict[str, object] = {"containers": run("docker", "ps", "-a", "--no-trunc", "--filter", "name=guest-", "--format", "{{.ID}} {{.Names}} {{.State}}")}
    if "db" in services:
        log = project.compose("logs", "--no-log-prefix", "db")
        found["refused logins"] = len(re.findall("password authentication failed|no pg_hba.conf entry|role .* does not exist", log))
        asked = "SELECT (SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables), (SELECT sum(deadlocks + conflicts) FROM pg_stat_database)"
        # As the superuser: one of the sessions that are reserved.
        found["rows"] = run("docker", "exec", "-e", "PGPASSWORD=" + RIGHT, "guest-db-1", "psql", "-XAtU", "shop", "-d", "shop", "-c", asked, check=False)
    if "cache" in services:
        cli = ["docker", "exec", "-e", "REDISCLI_AUTH=" + RIGHT, "guest-cache-1", "redis-cli"]
        found["failed logins"] = re.findall(r"errorstat_WRONGPASS\S*|acl_access_denied_auth:\d+", run(*cli, "INFO", "everything"))
        found["acl log"] = run(*cli, "ACL", "LOG")
        found["keys"] = run(*cli, "INFO", "keyspace")
        found["settings"] = run(*cli, "CONFIG", "GET", "*")
        # The workers' answers come into a queue of ours, which is bound and taken away again (SADD, SREM, DEL): nothing else is written.
        found["writes"] = re.findall(r"cmdstat_(?:set|lpush|rpush|hset|zadd|expire|flushall|config\|set|acl\|setuser)\b\S*", run(*cli, "INFO", "commandstats"))
    return found


@pytest.mark.parametrize("name", CASES)
def test_an_ill_stack_is_left_as_it_is(name, tmp_path):
    run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "build", "reference")
    services, worsen, causes = CASES[name]
    with small_project("guest", tmp_path, services) as project:
        try:
            if "db" in services:
                for _second in range(60):
                    if "accepting" in run("docker", "exec", "guest-db-1", "pg_isready", "-h", "127.0.0.1", "-U", "shop", check=False):
                        break
                    time.sleep(1)
            if worsen:
                worsen(project)
            before = fingerprint(project, services)
            played = diagnose(tmp_path)
            after = fingerprint(project, services)
        finally:
            run("docker", "rm", "-f", "guest-crowd", check=False)
    assert after == before
    assert causes <= {(item["id"], item["component"]) for item in played.report("shop")["findings"]}, played.output


def diagnose(folder) -> Played:
    inventory = folder / "inventory.yml"
    settings = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}", "compose_project": "guest", "fail_on": "never"}
    roles = {"api": "api", "worker": "worker"}
    variables = {"diagnose_roles": roles, "limits": {"startup_grace_seconds_warning": 1}}
    inventory.write_text(json.dumps({"all": {"hosts": {"shop": {**settings, **variables}}}}))
    return play("diagnose", folder, inventory=inventory, timeout=400)
