# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""postgres_check on real servers: each finding is made by plain SQL of another session, and so is a case where it must not appear."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg2
import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.connect.postgres import PostgresTarget, connect
from ansible_collections.aiops.runbook.plugins.module_utils.judge import postgres as judges
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import JUDGES, judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import Finding, StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.postgres import observe_postgres
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

BINARIES = Path("/usr/lib/postgresql/15/bin")
PASSWORD = "correct-horse-battery-9"
MAX_CONNECTIONS, USABLE = 20, 17


def packaged(path: Path, package: str) -> Path:
    if not path.exists():
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", package], env=environment, check=True, timeout=600)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def unprivileged(*words: str) -> str:
    """Run as a user that PostgreSQL accepts: not root."""
    command = [str(word) for word in words]
    if os.geteuid() == 0:
        command = ["runuser", "-u", "postgres", "--", *command]
    done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Server:
    """A PostgreSQL 15 of the tests' own, in a temporary folder, on a free port."""

    def __init__(self) -> None:
        packaged(BINARIES / "initdb", "postgresql-15")
        self.folder = Path(tempfile.mkdtemp(prefix="aiops-pg-"))
        self.data, self.port, self.log = self.folder / "data", free_port(), self.folder / "log"
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
            shutil.chown(secret, "postgres")
        unprivileged(BINARIES / "initdb", "-D", self.data, "-k", "-N", "-U", "postgres", "-E", "UTF8", "--locale=C", "--pwfile", secret, "-A", "scram-sha-256")
        settings = {
            "port": self.port, "listen_addresses": "'127.0.0.1'", "unix_socket_directories": "'%s'" % self.folder, "max_connections": MAX_CONNECTIONS,
            "fsync": "off", "shared_buffers": "'16MB'", "max_prepared_transactions": 5, "log_connections": "on", "autovacuum": "off",
            "autovacuum_freeze_max_age": 100000, "wal_level": "minimal", "max_wal_senders": 0,
        }  # fmt: skip
        with (self.data / "postgresql.conf").open("a") as config:
            config.writelines("%s = %s\n" % pair for pair in settings.items())
        rules = ["local all all trust", "host forbidden all 127.0.0.1/32 reject", "host all all 127.0.0.1/32 scram-sha-256"]
        (self.data / "pg_hba.conf").write_text("\n".join(rules) + "\n")
        self.start()

    def start(self) -> None:
        unprivileged(BINARIES / "pg_ctl", "-D", self.data, "-l", self.log, "-w", "start")

    def stop(self, mode: str = "fast", wait: str = "-w") -> None:
        unprivileged(BINARIES / "pg_ctl", "-D", self.data, "-m", mode, wait, "stop")

    def remove(self) -> None:
        with contextlib.suppress(AssertionError):
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])

    def session(self, user: str = "app", database: str = "shop", autocommit: bool = True, **words):
        """A session that the code under test has no part in."""
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user=user, password=PASSWORD, dbname=database, **words)
        connection.autocommit = autocommit
        return connection

    def run(self, *statements: str, user: str = "postgres", database: str = "shop"):
        """The rows of the last statement."""
        with contextlib.closing(self.session(user, database)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def server():
    one = Server()
    try:
        one.run("CREATE DATABASE shop", "CREATE DATABASE forbidden", database="postgres")
        one.run(
            "CREATE ROLE app LOGIN PASSWORD '%s'" % PASSWORD,
            "CREATE ROLE plain LOGIN PASSWORD '%s'" % PASSWORD,
            "CREATE ROLE observer LOGIN PASSWORD '%s'" % PASSWORD,
            "GRANT pg_monitor TO observer",
            "CREATE TABLE items (id int PRIMARY KEY, name text)",
            "INSERT INTO items SELECT n, 'item ' || n FROM generate_series(1, 100) n",
            "GRANT ALL ON items TO app",
        )
        yield one
    finally:
        one.remove()


@pytest.fixture
def other_server():
    """One that a test may break."""
    one = Server()
    try:
        yield one
    finally:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.kill(one.pid, signal.SIGCONT)
        one.remove()


@pytest.fixture(autouse=True)
def quiet(request):
    """Every test begins with a server that nobody uses."""
    if "server" in request.fixturenames:
        one = request.getfixturevalue("server")
        deadline = time.monotonic() + 10
        while one.run("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")[0][0]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


# The module as it runs on a host, without Ansible's own start (0.2 s instead of 1).
DIRECT = """
import json, sys
from ansible.module_utils import basic
basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": json.loads(sys.argv[1])}).encode()
basic._ANSIBLE_PROFILE = "legacy"
from ansible_collections.aiops.runbook.plugins.modules import postgres_check
postgres_check.main()
"""


def check(one: Server | None = None, *words: str, by_ansible: bool = False, **options):
    """The module's result; by_ansible: run as a user runs it, with further words of the command line."""
    settings = {"login_host": "127.0.0.1", "login_user": "observer", "login_password": PASSWORD, "login_db": "shop", "expects_writes": True, **options}
    if one is not None:
        settings.setdefault("login_port", one.port)
    command = [sys.executable, "-c", DIRECT, json.dumps(settings)]
    if by_ansible:
        command = [str(Path(sys.executable).parent / "ansible"), "localhost", "-i", "localhost,", "-c", "local", *words]
        command += ["-e", "ansible_python_interpreter=" + sys.executable, "-m", "aiops.runbook.postgres_check", "-a", json.dumps(settings)]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "false", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    text = done.stdout.split("=>", 1)[-1] if by_ansible else done.stdout
    assert done.returncode == 0 and text.strip().startswith("{"), done.stdout + done.stderr
    return {**json.loads(text), "output": done.stdout + done.stderr}


def found(result):
    return [(one["id"].split(".")[1], one["severity"]) for one in result["findings"]]


def evidence(result):
    assert len(result["findings"]) == 1, found(result)
    return result["findings"][0]["evidence"]


@contextlib.contextmanager
def busy(one: Server, statement: str, **words):
    """A session of its own that is at a statement which does not end by itself."""
    connection = one.session(**words)

    def run() -> None:
        with contextlib.suppress(psycopg2.Error), connection.cursor() as cursor:
            cursor.execute(statement)

    thread = threading.Thread(target=run)
    thread.start()
    pid = connection.info.backend_pid
    try:
        deadline = time.monotonic() + 5
        while not one.run("SELECT 1 FROM pg_stat_activity WHERE pid = %d AND state = 'active'" % pid):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield connection
    finally:
        one.run("SELECT pg_terminate_backend(%d)" % pid)
        thread.join()
        connection.close()


@contextlib.contextmanager
def crowd(one: Server, count: int, **words):
    sessions = []
    try:
        for _number in range(count):
            sessions.append(one.session(**words))
        yield sessions
    finally:
        for session in sessions:
            session.close()


# --- a guest on a healthy server ---


def test_a_healthy_server_at_work(server):
    with crowd(server, 3), contextlib.closing(server.session(autocommit=False)) as writer:
        writer.cursor().execute("UPDATE items SET name = 'x' WHERE id = 1")
        result = check(server, by_ansible=True)
    assert (found(result), result["unknown"], result["verdict"], result["changed"]) == ([], [], "healthy", False)
    ids = {one["id"] for one in result["cleared"]}
    assert ids == {finding_id for judge in JUDGES if judge.domain == judges.DOMAIN for finding_id in judge.ids}
    facts = result["facts"]
    assert (facts["session_counts"]["total"], facts["session_counts"]["idle_in_transaction"]) == (4, 1)
    assert facts["server"]["usable"] == USABLE


def test_one_connection_that_writes_nothing_and_fails_no_login(server):
    check(server)  # the first look may fill caches and set hint bits
    server.run("CHECKPOINT")
    before, log = server.run("SELECT pg_current_wal_insert_lsn()"), len(server.said())
    assert check(server, "--check", by_ansible=True)["verdict"] == "healthy"
    assert server.run("SELECT pg_current_wal_insert_lsn()") == before
    lines = [line for line in server.said()[log:].splitlines() if "user=observer" in line or "FATAL" in line or "ERROR" in line]
    assert len([line for line in lines if "connection authorized" in line and "application_name=aiops.runbook" in line]) == len(lines) == 1


def test_the_session_is_a_guest(server):
    target = PostgresTarget("127.0.0.1", server.port, "observer", PASSWORD, "shop")
    with connect(target, timeout=4.0) as guest:
        pid = guest.found["pid"]
        assert server.run("SELECT application_name FROM pg_stat_activity WHERE pid = %d" % pid) == [("aiops.runbook",)]
        names = ("statement_timeout", "lock_timeout", "default_transaction_read_only")
        assert [guest.rows("SELECT current_setting(%s) AS it", [name])[0]["it"] for name in names] == ["2s", "1s", "on"]
        with pytest.raises(StackError) as caught:
            guest.rows("CREATE TABLE trace ()")
        assert caught.value.kind == "read_only"
        with pytest.raises(StackError) as caught:
            guest.rows("SELECT pg_sleep(3)")
        assert caught.value.kind == "timeout"
        assert guest.rows("SELECT 1 AS one") == [{"one": 1}]


def test_what_may_not_be_seen_is_unknown(server):
    with crowd(server, 1), contextlib.closing(server.session(autocommit=False)) as writer:
        writer.cursor().execute("SELECT 1")
        result = check(server, login_user="plain")
    assert (found(result), result["verdict"]) == ([], "unknown")
    assert {one["id"] for one in result["unknown"]} == {"postgres.idle_in_transaction", "postgres.long_query"}
    assert "pg_monitor" in result["unknown"][0]["fix"]
    assert result["facts"]["session_counts"]["total"] == 2


def test_texts_are_shown_without_their_literals(server):
    with busy(server, "SELECT pg_sleep(60), 'Jane-Doe-1977' /* sk-live0123456789 */"):
        time.sleep(1.1)
        result = check(server, limits={"postgres_long_query_seconds_warning": 1})
    assert found(result) == [("long_query", "warning")]
    assert evidence(result)["query"] == "SELECT pg_sleep(?), ?"
    for secret in ("Jane-Doe", "live0123456789", PASSWORD):
        assert secret not in result["output"]


def test_a_text_in_another_encoding_hides_nothing(server):
    server.run("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0", database="postgres")
    with busy(server, "SELECT pg_sleep(60), 'caf\u00e9'", database="latin", client_encoding="UTF8"), busy(server, "SELECT pg_sleep(61)"):
        result = check(server)
    assert {one["database"]: one["query"] for one in result["facts"]["sessions"]} == {"latin": "", "shop": "SELECT pg_sleep(?)"}
    assert result["verdict"] == "healthy"


# --- connections ---


def test_connections_near_the_limit(server):
    with crowd(server, 15, application_name="leaky"):
        result = check(server)
    assert found(result) == [("connections_near_limit", "warning" if 1500 / USABLE < 90 else "critical")]
    told = evidence(result)
    assert (told["used"], told["usable"], told["holder"], told["holder_connections"]) == (15, USABLE, "leaky (127.0.0.1)", 15)


def test_no_slot_is_left_for_the_account(server):
    with crowd(server, USABLE):
        result = check(server)
        assert found(result) == [("connections_exhausted", "critical")]
        assert "reserved" in evidence(result)["reason"]
        # An account that may use the reserved slots still gets in, and sees who holds the others.
        told = evidence(check(server, login_user="postgres"))
        assert (told["used"], told["holder_connections"], told["holder_idle"]) == (USABLE, USABLE, USABLE)


def test_no_slot_is_left_at_all(server):
    with crowd(server, USABLE), crowd(server, MAX_CONNECTIONS - USABLE, user="postgres"):
        result = check(server, login_user="postgres")
    assert found(result) == [("connections_exhausted", "critical")]
    assert "too many clients" in evidence(result)["reason"]


def test_a_roles_own_limit(server):
    server.run("ALTER ROLE app CONNECTION LIMIT 2")
    try:
        with crowd(server, 1):
            assert found(check(server)) == []
        with crowd(server, 2):
            result = check(server)
            assert (found(result), evidence(result)["scope"]) == ([("connections_exhausted", "warning")], "user app")
            refused = check(server, login_user="app")
            assert found(refused) == [("connections_exhausted", "critical")]
    finally:
        server.run("ALTER ROLE app CONNECTION LIMIT -1")


# --- locks and sessions ---


def test_a_lock_that_others_wait_for(server):
    with contextlib.closing(server.session(autocommit=False, application_name="worker-2")) as holder:
        holder.cursor().execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
        with busy(server, "SELECT * FROM items", application_name="api"), busy(server, "UPDATE items SET name = 'y'", application_name="api"):
            time.sleep(2.1)
            below = check(server)
            result = check(server, by_ansible=True, limits={"postgres_lock_wait_seconds_warning": 2})
            pid = holder.info.backend_pid
    assert (found(below), below["verdict"]) == ([("lock_held", "info")], "healthy")
    assert (found(result), result["verdict"]) == ([("lock_held", "warning")], "degraded")
    told = evidence(result)
    expected = {"pid": pid, "user": "app", "application_name": "worker-2", "client_addr": "127.0.0.1", "waiting": 2}
    assert {key: told[key] for key in expected} == expected
    assert (told["relation"], told["mode"], told["state"]) == ("items", "AccessExclusiveLock", "idle in transaction")
    assert told["query"] == "LOCK TABLE items IN ACCESS EXCLUSIVE MODE"
    assert 2.0 <= told["seconds"] < 20
    assert len(told["chain"]) == 2


def test_a_row_lock_with_a_queue_behind_it(server):
    limits = {"postgres_lock_wait_seconds_warning": 1, "postgres_lock_waiting_sessions_critical": 3}
    with contextlib.closing(server.session(autocommit=False)) as holder:
        holder.cursor().execute("UPDATE items SET name = 'held' WHERE id = 7")
        with contextlib.ExitStack() as queue:
            for _number in range(3):
                queue.enter_context(busy(server, "UPDATE items SET name = 'mine' WHERE id = 7"))
            time.sleep(1.1)
            result = check(server, limits=limits)
            hidden = check(server, limits=limits, login_user="plain")
        pid = holder.info.backend_pid
    assert found(result) == [("lock_held", "critical")]
    told = evidence(result)
    assert (told["pid"], told["waiting"], told["relation"]) == (pid, 3, "items")
    # Who blocks whom is for everybody to see; what they do is not.
    assert (evidence(hidden)["pid"], evidence(hidden)["state"]) == (pid, None)


def test_waiting_that_ended_is_no_finding(server):
    with contextlib.closing(server.session(autocommit=False)) as holder:
        holder.cursor().execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
        with busy(server, "SELECT count(*), pg_sleep(0.1) FROM items"):
            time.sleep(1.1)
            holder.rollback()
            time.sleep(0.3)
            assert found(check(server, limits={"postgres_lock_wait_seconds_warning": 1})) == []


def test_idle_in_transaction(server):
    limits = {"postgres_idle_in_transaction_seconds_warning": 1, "postgres_idle_in_transaction_seconds_critical": 2}
    with contextlib.closing(server.session(autocommit=False, application_name="api")) as reader:
        reader.cursor().execute("SELECT 1")
        time.sleep(2.1)
        assert found(check(server)) == []
        assert found(check(server, limits=limits)) == [("idle_in_transaction", "warning")]
        reader.cursor().execute("UPDATE items SET name = 'z' WHERE id = 2")
        time.sleep(2.1)
        result = check(server, limits=limits)
        pid = reader.info.backend_pid
    assert found(result) == [("idle_in_transaction", "critical")]
    assert (evidence(result)["pid"], evidence(result)["query"]) == (pid, "UPDATE items SET name = ? WHERE id = ?")


def test_a_long_query_and_those_that_are_slow_by_nature(server):
    limits = {"postgres_long_query_seconds_warning": 1}
    with busy(server, "COPY (SELECT pg_sleep(60)) TO STDOUT", application_name="pg_dump", user="postgres"):
        time.sleep(1.1)
        assert found(check(server, limits=limits)) == []
        with busy(server, "SELECT pg_sleep(60)", application_name="report"):
            assert found(check(server)) == []
            time.sleep(1.1)
            result = check(server, limits=limits)
    assert found(result) == [("long_query", "warning")]
    assert evidence(result)["application_name"] == "report"


def test_a_prepared_transaction_that_nobody_finishes(server):
    server.run("BEGIN", "UPDATE items SET name = 'p' WHERE id = 3", "PREPARE TRANSACTION 'left-behind'")
    try:
        with busy(server, "UPDATE items SET name = 'q' WHERE id = 3"):
            time.sleep(1.1)
            assert found(check(server)) == []
            result = check(server, limits={"postgres_idle_in_transaction_seconds_warning": 1})
    finally:
        server.run("ROLLBACK PREPARED 'left-behind'")
    assert found(result) == [("prepared_transaction", "warning")]
    assert (evidence(result)["gid"], evidence(result)["waiting"]) == ("left-behind", 1)


# --- the way in ---


def test_a_wrong_password(server):
    result = check(server, login_password="something-else-1")
    assert (found(result), result["verdict"]) == ([("password_rejected", "critical")], "down")
    assert "something-else-1" not in json.dumps(result["findings"]) + json.dumps(result["facts"])


def test_a_database_that_does_not_exist(server):
    assert found(check(server, login_db="shop2")) == [("database_missing", "critical")]


def test_a_role_that_does_not_exist(server):
    assert found(check(server, login_host=str(server.folder), login_user="nobody2")) == [("role_missing", "critical")]


def test_an_address_that_is_not_let_in(server):
    assert found(check(server, login_db="forbidden")) == [("access_denied", "critical")]


def test_nobody_listens():
    result = check(login_port=free_port())
    assert (found(result), evidence(result)["kind"]) == ([("not_answering", "critical")], "refused")


def test_something_else_listens():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)

        def answer() -> None:
            client, _address = other.accept()
            client.recv(100)
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            client.close()

        threading.Thread(target=answer, daemon=True).start()
        assert evidence(check(login_port=other.getsockname()[1]))["kind"] == "protocol"


def test_credentials_are_compared_and_not_tried(server):
    server.run("CREATE ROLE expired LOGIN PASSWORD '%s' VALID UNTIL '2020-01-01'" % PASSWORD, "CREATE ROLE barred NOLOGIN PASSWORD '%s'" % PASSWORD)
    log = len(server.said())
    clients = [
        {"component": "api", "user": "app", "password": PASSWORD, "database": "shop", "addresses": ["127.0.0.1"]},
        {"component": "worker", "user": "app", "password": "stale-password-1", "database": "shop", "addresses": ["127.0.0.1"]},
        {"component": "beat", "user": "app", "password": PASSWORD, "database": "shop2", "addresses": ["127.0.0.1"]},
        {"component": "old", "user": "expired", "password": PASSWORD, "database": "shop", "addresses": ["127.0.0.1"]},
        {"component": "no", "user": "barred", "password": PASSWORD, "database": "shop", "addresses": ["127.0.0.1"]},
        {"component": "typo", "user": "appp", "password": PASSWORD, "database": "shop", "addresses": ["127.0.0.1"]},
    ]
    with crowd(server, 1):
        seen = observe_postgres("db", PostgresTarget("127.0.0.1", server.port, "postgres", PASSWORD, "shop"), Mask(), 5.0, clients)
    answers = sorted((one.id.split(".")[1], one.component, one.severity) for one in judge_domain("postgres", seen, Limits()) if isinstance(one, Finding))
    assert answers == [
        ("database_missing", "beat", "critical"),
        ("password_rejected", "no", "critical"),
        ("password_rejected", "old", "critical"),
        ("password_rejected", "worker", "warning"),
        ("role_missing", "typo", "critical"),
    ]
    assert "FATAL" not in server.said()[log:]
    text = json.dumps(seen)
    assert "SCRAM-SHA-256$" not in text and PASSWORD not in text and "stale-password-1" not in text


# --- the server itself ---


def test_a_server_that_was_set_read_only(server):
    server.run("ALTER ROLE observer SET default_transaction_read_only = on")
    try:
        assert found(check(server)) == [("read_only", "critical")]
        assert found(check(server, expects_writes=False)) == []
    finally:
        server.run("ALTER ROLE observer RESET default_transaction_read_only")
    assert found(check(server)) == []


def test_transactions_that_were_not_frozen(server):
    body = "BEGIN FOR n IN 1..count LOOP PERFORM txid_current(); COMMIT; END LOOP; END"
    server.run("CREATE PROCEDURE burn(count int) LANGUAGE plpgsql AS '%s'" % body, "CALL burn(60000)")
    assert found(check(server)) == []
    result = check(server, limits={"postgres_freeze_age_percent_warning": 50})
    assert found(result) == [("wraparound_near", "warning")]
    assert 60 <= evidence(result)["percent"] < 90


def test_a_server_that_hangs(other_server):
    os.kill(other_server.pid, signal.SIGSTOP)
    began = time.monotonic()
    result = check(other_server, login_db="postgres", login_user="postgres", timeout=2)
    assert time.monotonic() - began < 60
    assert (found(result), evidence(result)["kind"]) == ([("not_answering", "critical")], "timeout")
    assert "does not answer" in evidence(result)["reason"]


def test_a_server_that_stops(other_server):
    with contextlib.closing(other_server.session("postgres", "postgres")):
        other_server.stop("smart", "-W")
        deadline = time.monotonic() + 5
        while found(result := check(other_server, login_db="postgres", login_user="postgres")) == []:
            assert time.monotonic() < deadline
        assert found(result) == [("starting_up", "warning")]


def test_a_damaged_page(other_server):
    other_server.run("CREATE TABLE ill AS SELECT n, repeat('x', 100) AS filling FROM generate_series(1, 1000) n", database="postgres")
    path = other_server.data / other_server.run("SELECT pg_relation_filepath('ill')", database="postgres")[0][0]
    account = {"login_db": "postgres", "login_user": "postgres"}
    assert found(check(other_server, **account)) == []
    other_server.stop()
    with path.open("r+b") as table:
        table.seek(8192 + 4000)
        table.write(b"damage")
    other_server.start()
    with pytest.raises(psycopg2.Error):
        other_server.run("SELECT sum(n) FROM ill", database="postgres")
    result = check(other_server, **account)
    assert found(result) == [("checksum_failure", "critical")]
    assert (evidence(result)["database"], evidence(result)["count"]) == ("postgres", 1)


# --- through a pooler ---


@pytest.fixture
def pooler(server):
    """PgBouncer in transaction mode: what one client sets for its session, the next one would inherit."""
    packaged(Path("/usr/sbin/pgbouncer"), "pgbouncer")
    folder, port = Path(tempfile.mkdtemp(prefix="aiops-pgb-")), free_port()
    (folder / "users").write_text('"observer" "%s"\n"app" "%s"\n' % (PASSWORD, PASSWORD))
    config = folder / "pgbouncer.ini"

    def start(ignored: str):
        config.write_text(
            "[databases]\n* = host=127.0.0.1 port=%d\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=%d\nauth_type=plain\nauth_file=%s/users\n"
            "pool_mode=transaction\ndefault_pool_size=1\nunix_socket_dir=\nignore_startup_parameters=%s\n" % (server.port, port, folder, ignored)
        )
        if os.geteuid() == 0:
            for path in (folder, folder / "users", config):
                shutil.chown(path, "postgres")
        command = ["pgbouncer", "-q", str(config)]
        process = subprocess.Popen(["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command, stderr=subprocess.DEVNULL)
        processes.append(process)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return port
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    processes: list[subprocess.Popen[bytes]] = []
    yield start
    for process in processes:
        process.terminate()
        process.wait(10)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("ignored", ["extra_float_digits", "extra_float_digits, options"], ids=["options refused", "options forgotten"])
def test_through_pgbouncer_nothing_is_left_behind(server, pooler, ignored):
    port = pooler(ignored)
    result = check(server, login_port=port)
    assert (found(result), result["verdict"], result["facts"]["pooled"]) == ([], "healthy", True)
    with connect(PostgresTarget("127.0.0.1", port, "observer", PASSWORD, "shop"), timeout=4.0) as guest:
        assert guest.pooled
        for statement in ("CREATE TABLE trace ()", "SELECT pg_sleep(3)"):
            with pytest.raises(StackError):
                guest.rows(statement)
    # The same server session, as the next client gets it.
    with contextlib.closing(psycopg2.connect(host="127.0.0.1", port=port, user="observer", password=PASSWORD, dbname="shop")) as after:
        after.autocommit = True
        with after.cursor() as cursor:
            cursor.execute("SELECT current_setting('default_transaction_read_only'), current_setting('statement_timeout')")
            assert cursor.fetchone() == ("off", "0")
