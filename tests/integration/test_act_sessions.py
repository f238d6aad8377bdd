# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""postgres_terminate on real servers: what is ended, what is spared, and that nothing else is."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time

import psycopg2
import psycopg2.extras
import pytest
from playing import ROOT, ad_hoc, run
from predicting import predicted
from test_postgres_check import PASSWORD, Server

from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.sessions import end, sessions_of
from ansible_collections.aiops.runbook.plugins.module_utils.connect.postgres import PostgresTarget, connect

PROJECT = "sessions"


@pytest.fixture(scope="module")
def server():
    one = Server()
    try:
        with (one.data / "postgresql.conf").open("a") as config:
            config.write("wal_level = logical\nmax_wal_senders = 2\nmax_connections = 40\n")
        one.stop()
        one.start()
        one.run("CREATE DATABASE shop", "CREATE DATABASE books", database="postgres")
        one.run(
            "CREATE ROLE app LOGIN REPLICATION PASSWORD '%s'" % PASSWORD,
            "CREATE ROLE observer LOGIN PASSWORD '%s'" % PASSWORD,
            "CREATE ROLE operator LOGIN PASSWORD '%s'" % PASSWORD,
            "GRANT pg_monitor TO observer, operator",
            "GRANT pg_signal_backend TO operator",
            "CREATE TABLE items (id int PRIMARY KEY, name text)",
            "INSERT INTO items SELECT n, 'item ' || n FROM generate_series(1, 100) n",
            "GRANT ALL ON items TO app",
        )
        yield one
    finally:
        one.remove()


# The module as it runs on a host, without Ansible's own start.
DIRECT = """
import json, sys
from ansible.module_utils import basic
basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": json.loads(sys.argv[1])}).encode()
basic._ANSIBLE_PROFILE = "legacy"
from ansible_collections.aiops.runbook.plugins.modules import postgres_terminate
postgres_terminate.main()
"""


def module(check: bool = False, **options) -> dict:
    settings = {"hold_seconds": 0, "_ansible_check_mode": check, "_ansible_diff": True, **options}
    done = subprocess.run([sys.executable, "-c", DIRECT, json.dumps(settings)], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip().startswith("{"), done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def terminate(server, tmp_path):
    def call(user: str = "operator", check: bool = False, **options) -> dict:
        where = {"login_host": "127.0.0.1", "login_port": server.port, "login_user": user, "login_password": PASSWORD, "login_db": "shop"}
        return module(check, **where, state_dir=str(tmp_path / "state"), **options)

    return call


@pytest.fixture
def session(server):
    """Opens sessions of the test's own: (connection, pid)."""
    with contextlib.ExitStack() as stack:

        def open_one(*statements: str, autocommit: bool = False, **words):
            connection = server.session(autocommit=autocommit, **words)
            stack.callback(connection.close)
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
            return connection, connection.info.backend_pid

        yield open_one


class Busy:
    """A statement that a session is at, and what became of it."""

    def __init__(self, connection, statement: str) -> None:
        self.error: Exception | None = None
        self.connection, self.statement = connection, statement
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        time.sleep(0.3)

    def _run(self) -> None:
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(self.statement)
        except psycopg2.Error as error:
            self.error = error

    def ended(self, seconds: float = 10) -> bool:
        self.thread.join(seconds)
        return not self.thread.is_alive()


def alive(server, pid: int) -> bool:
    return bool(server.run("SELECT 1 FROM pg_stat_activity WHERE pid = %d" % pid))


def state(server, pid: int) -> str:
    found = server.run("SELECT state FROM pg_stat_activity WHERE pid = %d" % pid)
    return found[0][0] if found else "gone"


@pytest.mark.predicts("postgres_terminate")
def test_idle_in_transaction_is_ended_at_once_and_twice_changes_nothing(server, terminate, session, tmp_path):
    _one, pid = session("UPDATE items SET name = 'secret words' WHERE id = 1", application_name="api")
    _other, idle = session(autocommit=True, application_name="api")
    options = {"state": "idle in transaction"}
    told = terminate(check=True, **options)
    assert (told["changed"], told["risk"]) == (True, "transient")
    assert "secret words" not in json.dumps(told)
    assert alive(server, pid)
    done = terminate(**options)
    assert done["changed"], done
    assert done["diff"] == told["diff"] == {"before": "session %d: %s\n" % (pid, done["sessions"][0]), "after": "session %d: ended\n" % pid}
    assert (alive(server, pid), alive(server, idle)) == (False, True)
    predicted("postgres_terminate", told, done, {"session %d" % pid: "ended" if not alive(server, pid) else "alive"})
    (kept,) = (part for part in done["record"]["steps"][0]["evidence"] if part["what"] == "ended")
    assert len(kept["lines"]) == 1 and "pid: %d" % pid in kept["lines"][0] and "secret words" not in json.dumps(done)
    records = tmp_path / "state" / ("127.0.0.1_%d" % server.port)
    evidence = (records / done["record"]["run"] / "evidence-1.json").read_text()
    assert "UPDATE items SET name" in evidence
    assert "secret words" not in evidence
    assert PASSWORD not in "".join(path.read_text() for path in records.rglob("*") if path.is_file())
    again = terminate(**options)
    assert (again["changed"], "record" in again) == (False, False)


def test_only_what_is_old_enough(server, terminate, session):
    _old, old = session("SELECT 1 FROM items")
    time.sleep(8)
    _young, young = session("SELECT 1 FROM items")
    done = terminate(state="idle in transaction", older_than_seconds=8)
    assert [len(done["sessions"]), alive(server, old), alive(server, young)] == [1, False, True]


@pytest.mark.parametrize("name", ["pg_dump", "alembic upgrade", "pg_basebackup", "vacuumdb"])
def test_protected(name, server, terminate, session):
    _one, pid = session("SELECT 1 FROM items", application_name=name)
    for choice in ({"state": "idle in transaction"}, {"pids": [pid]}):
        done = terminate(**choice)
        assert done["failed"]
        assert "must not be ended: %d (" % pid in done["msg"], done
    assert alive(server, pid)


def test_a_superusers_session_is_spared_and_costs_no_other_its_end(server, terminate, session):
    _root, root = session("SELECT 1 FROM items", user="postgres")
    _one, pid = session("SELECT 1 FROM items")
    done = terminate(state="idle in transaction")
    assert done["spared"] == ["%d (a superuser's)" % root]
    assert (alive(server, root), alive(server, pid)) == (True, False)
    # Also for an account that is one itself, unless it is named.
    assert terminate(user="postgres", pids=[root])["failed"]
    assert alive(server, root)


def test_a_superuser_named_and_no_right_to_signal_it(server, terminate, session):
    _root, root = session("SELECT 1 FROM items", user="postgres")
    where = {"login_host": "127.0.0.1", "login_port": server.port, "login_user": "operator", "login_password": PASSWORD, "login_db": "shop"}
    done = module(**where, state_dir=str(server.folder / "state"), user="postgres")
    assert done["failed"]
    assert "no right to end session %d" % root in done["msg"]
    assert alive(server, root)


def test_what_may_not_be_signalled_stops_no_other(server, terminate, session):
    _app, app = session("SELECT 1 FROM items")
    _own, own = session("SELECT count(*) FROM pg_stat_activity", user="observer")
    _third, third = session("SELECT 1 FROM items", application_name="third")
    done = terminate(user="observer", pids=[app, own])
    assert done["failed"]
    assert "no right to end session %d" % app in done["msg"]
    assert "pg_signal_backend" in done["msg"]
    assert [alive(server, pid) for pid in (app, own, third)] == [True, False, True]


def test_what_may_not_be_seen_is_not_ended(server, terminate, session):
    """The account app sees no other role's state: that is said, and not taken for nothing to do."""
    _other, other = session("SELECT 1", user="observer")
    _own, own = session("SELECT 1 FROM items")
    done = terminate(user="app", state="idle in transaction")
    assert done["spared"] == ["%d (its state is hidden from this account)" % other]
    assert (alive(server, other), alive(server, own)) == (True, False)


def test_a_walsender_is_spared(server, terminate):
    connection = psycopg2.connect(
        host="127.0.0.1", port=server.port, user="app", password=PASSWORD, dbname="shop", connection_factory=psycopg2.extras.LogicalReplicationConnection
    )
    with contextlib.closing(connection):
        pid = connection.info.backend_pid
        assert server.run("SELECT backend_type FROM pg_stat_activity WHERE pid = %d" % pid) == [("walsender",)]
        done = terminate(user="app", pids=[pid])
        assert "%d (walsender)" % pid in done["msg"]
        assert alive(server, pid)


def test_a_statement_is_cancelled_and_its_session_kept(server, terminate, session):
    connection, pid = session(autocommit=True, application_name="report")
    busy = Busy(connection, "SELECT pg_sleep(300)")
    done = terminate(application_name="report", state="active")
    assert done["changed"], done
    assert "cancelled" in done["diff"]["after"]
    assert busy.ended()
    assert isinstance(busy.error, psycopg2.errors.QueryCanceled)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        assert cursor.fetchone()[0] == pid


def test_a_session_that_keeps_its_transaction_after_the_cancel_is_ended(server, terminate, session):
    connection, pid = session("UPDATE items SET name = 'x' WHERE id = 2", application_name="report")
    busy = Busy(connection, "SELECT pg_sleep(300)")
    done = terminate(pids=[pid])
    assert done["changed"], done
    assert busy.ended()
    assert not alive(server, pid)


def test_the_root_is_ended_and_who_waited_lives_on(server, terminate, session):
    _holder, root = session("UPDATE items SET name = 'held' WHERE id = 3", application_name="nightly")
    waiting = [session(autocommit=True, application_name="api") for _n in range(3)]
    busy = [Busy(connection, "UPDATE items SET name = 'mine' WHERE id = 3") for connection, _pid in waiting]
    told = terminate(check=True, roots=True)
    assert told["diff"]["after"] == "session %d: ended\n" % root
    done = terminate(roots=True)
    assert done["diff"] == told["diff"]
    assert all(one.ended() and one.error is None for one in busy)
    assert [alive(server, root), *(alive(server, pid) for _connection, pid in waiting)] == [False, True, True, True]
    assert server.run("SELECT name FROM items WHERE id = 3") == [("mine",)]
    assert not terminate(roots=True)["changed"]


def test_who_only_waits_is_not_ended_with_the_one_it_waits_for(server, terminate, session):
    holder, _root = session("UPDATE items SET name = 'held' WHERE id = 4", application_name="batch")
    at_work = Busy(holder, "SELECT pg_sleep(300)")
    connection, pid = session(autocommit=True, application_name="batch")
    waiting = Busy(connection, "UPDATE items SET name = 'mine' WHERE id = 4")
    done = terminate(application_name="batch", state="active")
    assert done["spared"] == ["%d (only waits for another one of them)" % pid]
    assert at_work.ended()
    assert waiting.ended()
    assert waiting.error is None
    assert alive(server, pid)


def test_the_cap(server, terminate, session):
    pids = [session("SELECT 1 FROM items")[1] for _n in range(3)]
    done = terminate(state="idle in transaction", most=2)
    assert "3 sessions match, and 2 may be ended" in done["msg"]
    assert all(alive(server, pid) for pid in pids)
    assert len(terminate(state="idle in transaction", most=3)["sessions"]) == 3


def test_another_session_with_the_same_number_is_left_alone(server, session):
    _one, pid = session("SELECT 1 FROM items")
    with connect(PostgresTarget(host="127.0.0.1", port=server.port, user="operator", password=PASSWORD, database="shop"), 30) as connection:
        now = next(one for one in sessions_of(connection) if one["pid"] == pid)
        start, query = now["backend_start"], now["query_start"]
        for wrong in ([pid, "2020-01-01 00:00:00.000000", query, "end"], [pid, start, "2020-01-01 00:00:00.000000", "end"]):
            end(connection, [wrong])
            assert alive(server, pid)
        end(connection, [[pid, start, query, "end"]])
    deadline = time.monotonic() + 5
    while alive(server, pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(server, pid)


def test_another_database_is_left_alone(server, terminate, session):
    _books, books = session("SELECT 1", database="books")
    _shop, shop = session("SELECT 1")
    assert terminate(state="idle in transaction")["changed"]
    assert (alive(server, books), alive(server, shop)) == (True, False)
    assert terminate(state="idle in transaction", database="*")["changed"]
    assert not alive(server, books)


def test_what_is_asked_of_nobody(server, terminate):
    assert "nothing says which sessions" in terminate()["msg"]
    assert "without a stack" in terminate(outsiders=True)["msg"]
    nowhere = module(login_host="127.0.0.1", login_port=1, pids=[1])
    assert nowhere["failed"]
    assert "127.0.0.1:1" in nowhere["msg"]


def test_through_ansible(server, session, tmp_path):
    _one, pid = session("SELECT 1 FROM items")
    where = {"login_host": "127.0.0.1", "login_port": server.port, "login_user": "operator", "login_password": PASSWORD, "login_db": "shop"}
    options = {**where, "pids": [pid], "hold_seconds": 0, "state_dir": str(tmp_path)}
    command = ad_hoc("postgres_terminate", options)
    output = subprocess.run(command, env={**os.environ, "ANSIBLE_NOCOLOR": "1"}, capture_output=True, text=True, timeout=120, check=False).stdout
    assert "CHANGED" in output, output
    assert PASSWORD not in output
    assert not alive(server, pid)


# In a stack.


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A server with few slots, and an application whose account is no superuser."""
    run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "build", "reference")
    python = {"image": "aiops-ref/llm:latest", "entrypoint": ["python3", "-u", "-c"], "stop_grace_period": "1s"}
    settings = {"POSTGRES_USER": "owner", "POSTGRES_PASSWORD": "Wq7-owner-db", "POSTGRES_DB": "shop"}
    services = {
        "db": {"image": "aiops-ref/postgres:latest", "environment": settings, "command": ["postgres", "-c", "max_connections=10"], "stop_grace_period": "1s"},
        "api": {**python, "command": ["import time; time.sleep(3600)"], "environment": {"DATABASE_URL": "postgresql://shop:Wq7-shop-db@db:5432/shop"}},
    }
    file = tmp_path_factory.mktemp("sessions") / "compose.yml"
    file.write_text(json.dumps({"services": services}))
    command = ("docker", "compose", "-p", PROJECT, "-f", str(file))
    try:
        run(*command, "up", "-d", "--force-recreate")
        deadline = time.monotonic() + 60
        while True:
            said = psql("SELECT 1", check=False)
            if said.strip() == "1" or time.monotonic() > deadline:
                break
            time.sleep(1)
        psql("CREATE ROLE shop LOGIN PASSWORD 'Wq7-shop-db'", "CREATE ROLE other LOGIN PASSWORD 'Wq7-other-db'")
        yield run("docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", PROJECT + "-db-1").strip()
    finally:
        run(*command, "down", "-v", "--remove-orphans", "-t", "1")


def psql(*statements: str, check: bool = True) -> str:
    words = [word for statement in statements for word in ("-c", statement)]
    return run("docker", "exec", PROJECT + "-db-1", "psql", "-XqAt", "-h", "127.0.0.1", "-U", "owner", "-d", "shop", *words, check=check)


def from_outside(address: str, user: str = "other", **words):
    return psycopg2.connect(host=address, user=user, password="Wq7-%s-db" % user, dbname="shop", **words)


def in_stack(tmp_path, **options) -> dict:
    return module(compose_project=PROJECT, component="db", state_dir=str(tmp_path), **options)


def test_in_a_stack_with_the_applications_account(stack, tmp_path):
    with contextlib.closing(from_outside(stack, "shop")) as one, one.cursor() as cursor:
        cursor.execute("BEGIN; SELECT 1")
        pid = one.info.backend_pid
        done = in_stack(tmp_path, pids=[pid])
        assert done["changed"], done
        assert psql("SELECT count(*) FROM pg_stat_activity WHERE pid = %d" % pid).strip() == "0"


def test_another_roles_session_is_ended_by_the_servers_own_superuser(stack, tmp_path):
    """The application's account neither sees nor may signal it."""
    with contextlib.closing(from_outside(stack)) as one, one.cursor() as cursor:
        cursor.execute("BEGIN; SELECT 1")
        done = in_stack(tmp_path, state="idle in transaction", database="*")
        assert done["changed"], done
        assert [line.split(" (")[0] for line in done["diff"]["before"].splitlines()] == ["session %d: no name" % one.info.backend_pid]
        with pytest.raises(psycopg2.Error):
            cursor.execute("SELECT 1")


def test_no_slot_is_left_for_the_application(stack, tmp_path):
    """Those of the superuser are: psql inside the container ends the outsiders that idle."""
    with contextlib.ExitStack() as open_ones:
        for _n in range(7):
            one = open_ones.enter_context(contextlib.closing(from_outside(stack, application_name="nightly-export")))
            one.autocommit = True
        with pytest.raises(psycopg2.OperationalError):
            from_outside(stack, "shop")
        told = in_stack(tmp_path, outsiders=True, state="idle", _ansible_check_mode=True)
        assert len(told["sessions"]) == 7, told
        done = in_stack(tmp_path, outsiders=True, state="idle")
        assert done["changed"], done
        assert sorted(done["sessions"]) == sorted(told["sessions"])
    with contextlib.closing(from_outside(stack, "shop")):
        pass
    assert not in_stack(tmp_path, outsiders=True, state="idle")["changed"]
