"""The whole way on the real reference stacks: what is found, what is left alone, what is never told."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import Iterator
from urllib.parse import quote

import pytest
from playing import ROOT, Played, play, run
from searching import Snapshot, forms, told

STACKS = ("reference", "second")
POSTGRES = {"reference": ("aiops-ref-postgres-1", "aiops", "aiops"), "second": ("orders-db1-1", "postgres", "orders")}
API = {"reference": "aiops-ref-api-1", "second": "orders-backend-1"}
REDIS = {"reference": "aiops-ref-redis-1", "second": "orders-queue-1"}
PROJECT = {"reference": "aiops-ref", "second": "orders"}


@pytest.fixture(scope="module", autouse=True)
def stacks_up():
    """Both stacks, ready, and said to be well by their own health checks: what was done to them before may show there for a minute."""
    for stack in STACKS:
        run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "up", stack)
    end = time.monotonic() + 200
    while any(run("docker", "ps", "-q", "--filter", "health=unhealthy", "--filter", "label=com.docker.compose.project=" + PROJECT[stack]) for stack in STACKS):
        assert time.monotonic() < end, "a container stays unhealthy"
        time.sleep(1)


def sql(stack: str, text: str, check: bool = True) -> str:
    container, user, database = POSTGRES[stack]
    return run("docker", "exec", "-u", "postgres", container, "psql", "-X", "-A", "-t", "-U", user, "-d", database, "-c", text, check=check).strip()


def queue_password() -> str:
    return run("docker", "exec", REDIS["second"], "cat", "/run/secrets/queue_password").strip()


def redis(stack: str, *words: str) -> str:
    password = ["-e", "REDISCLI_AUTH=" + queue_password()] if stack == "second" else []
    return run("docker", "exec", *password, REDIS[stack], "redis-cli", *words).strip()


@pytest.mark.parametrize("stack", STACKS)
def test_a_healthy_stack_has_no_finding(stack, tmp_path):
    played = play("diagnose", tmp_path, "--limit", stack)
    report = played.report(stack)
    assert (played.status, report["verdict"], report["findings"], report["unknown"]) == (0, "healthy", [], []), played.output


def test_both_stacks_in_one_run(tmp_path):
    played = play("diagnose", tmp_path)
    assert [played.report(stack)["verdict"] for stack in STACKS] == ["healthy", "healthy"]


def test_the_second_stack_is_understood_without_a_hint(tmp_path):
    topology = play("diagnose", tmp_path, "--limit", "second").report("second")["topology"]
    assert {component["id"]: component["role"] for component in topology["components"]} == {
        "backend": "api",
        "clock": "beat",
        "db1": "postgres",
        "edge": "proxy",
        "jobs": "worker",
        "model": "llm",
        "queue": "redis",
    }
    assert {("backend", "db1"), ("backend", "queue"), ("jobs", "queue"), ("jobs", "db1"), ("edge", "backend")} <= {
        (edge["from"], edge["to"]) for edge in topology["edges"]
    }


def fingerprint(stack: str) -> dict[str, object]:
    """What a guest must not change: rows, keys, settings, containers, counters of failures."""
    counts = "relname || ':' || n_tup_ins || ':' || n_tup_upd || ':' || n_tup_del"
    tables = sql(stack, "SELECT string_agg(%s, ',' ORDER BY relname) FROM pg_stat_user_tables" % counts)
    info = redis(stack, "INFO", "errorstats")
    keys = sorted(key for key in redis(stack, "KEYS", "*").splitlines() if not re.match(r"unacked|celery-task-meta|_kombu\.binding\.reply", key))
    containers = run(
        "docker", "ps", "-a", "--no-trunc", "--filter", "label=com.docker.compose.project=" + PROJECT[stack], "--format", "{{.ID}} {{.Names}} {{.State}}"
    )
    return {
        "tables": tables,
        "settings": sql(
            stack, "SELECT md5(string_agg(name || setting, ',' ORDER BY name)) FROM pg_settings WHERE source <> 'session' AND name NOT LIKE 'application%'"
        ),
        "deadlocks": sql(stack, "SELECT sum(deadlocks) FROM pg_stat_database"),
        "requests": failed_requests(stack),
        "failures": run("sh", "-c", "docker logs %s 2>&1 | grep -c FATAL || true" % POSTGRES[stack][0]),
        "errors": re.findall(r"errorstat_\S+", info),
        "rejected": re.findall(r"rejected_connections:\d+", redis(stack, "INFO", "stats")),
        "keys": keys,
        "redis_settings": redis(stack, "CONFIG", "GET", "*"),
        "containers": sorted(containers.splitlines()),
    }


def failed_requests(stack: str) -> list[str]:
    """What the application itself says of requests that failed. That it has not got a page which we ask for (404) is no failure."""
    return re.findall(r"[A-Z]+ /\S* (?!404)[45]\d\d\b", run("sh", "-c", "docker logs %s 2>&1" % API[stack]))


def settled(stack: str) -> dict[str, object]:
    """The fingerprint once it has stopped changing: what went on before is counted late (PostgreSQL's sessions report when idle)."""
    before = fingerprint(stack)
    for _time in range(20):
        time.sleep(3)
        now = fingerprint(stack)
        if now == before:
            return now
        before = now
    raise AssertionError("the stack %s does not come to rest" % stack)


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("mode", [[], ["--check", "--diff"]], ids=["run", "check"])
def test_nothing_is_written_to_the_stack(stack, mode, tmp_path):
    run("docker", "stop", "-t", "5", {"reference": "aiops-ref-beat-1", "second": "orders-clock-1"}[stack])
    try:
        # The stack has a life of its own (a health check opens connections): what we did would show every time, what it did does not.
        for _time in range(4):
            before = settled(stack)
            played = play("diagnose", tmp_path, "--limit", stack, *mode)
            after = fingerprint(stack)
            assert played.report(stack)["verdict"] == "healthy", played.output
            assert "changed=0" in played.output
            if after == before:
                break
        assert after == before
    finally:
        run("docker", "start", {"reference": "aiops-ref-beat-1", "second": "orders-clock-1"}[stack])


@pytest.mark.parametrize("stack", STACKS)
def test_one_connection_of_ours_at_postgresql(stack, tmp_path):
    seen: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        container, user, database = POSTGRES[stack]
        loop = "while true; do echo \"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aiops.runbook';\"; sleep 0.02; done"
        command = "%s | timeout 8 psql -X -A -t -U %s -d %s || true" % (loop, user, database)
        seen.extend(int(line) for line in run("docker", "exec", "-u", "postgres", container, "sh", "-c", command, check=False).split() if line.isdigit())
        stop.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    time.sleep(0.5)
    play("diagnose", tmp_path, "--limit", stack)
    watcher.join()
    assert max(seen) == 1, "seen: %s" % sorted(set(seen))


@contextmanager
def monitored(stack: str) -> Iterator[list[str]]:
    """What Redis was asked meanwhile, a line each: address and command."""
    words = ["-e", "REDISCLI_AUTH=" + queue_password()] if stack == "second" else []
    said: list[str] = []
    with subprocess.Popen(["docker", "exec", *words, REDIS[stack], "redis-cli", "monitor"], stdout=subprocess.PIPE, text=True) as monitor:
        assert monitor.stdout and monitor.stdout.readline() == "OK\n"
        yield said
        redis(stack, "ECHO", "that was all")
        for line in monitor.stdout:
            if "that was all" in line:
                break
            said.append(line)
        monitor.kill()


@pytest.mark.parametrize("stack", STACKS)
def test_one_connection_of_ours_at_redis(stack, tmp_path):
    """For its own facts, in every database, and for the queues: each connection of ours says its name once."""
    with monitored(stack) as said:
        played = play("diagnose", tmp_path, "--limit", stack)
    assert played.report(stack)["verdict"] == "healthy", played.output
    assert sum('"SETNAME" "aiops.runbook"' in line for line in said) == 1
    assert any('"PUBLISH"' in line and "celery.pidbox" in line for line in said), "the workers were asked, too"


def test_saved_observations_judge_the_same_with_no_stack_in_reach(tmp_path):
    saved = tmp_path / "seen.json.gz"
    live = play("diagnose", tmp_path, "--limit", "reference", "-e", "save_observations=%s" % saved)
    again = tmp_path / "again"
    again.mkdir()
    blind = play("diagnose", again, "--limit", "reference", "-e", "observations=%s" % saved, DOCKER_HOST="tcp://127.0.0.1:9")
    first, second = live.report("reference"), blind.report("reference")
    for part in ("verdict", "headline", "root_causes", "findings", "ruled_out", "unknown", "topology"):
        assert first[part] == second[part], part


@pytest.mark.parametrize(
    ("argument", "names"),
    [
        ('{"limits": {"redis_memory_percentage": 3}}', "redis_memory_percentage"),
        ('{"observations": "/nowhere/seen.json"}', "observations"),
        ('{"lang": "fr"}', "lang"),
        ('{"compose_project": ""}', "several Compose projects are here"),
        ('{"compose_project": ""}', "name one by compose_project"),
        ('{"custom_checks": [{"id": "x", "query": "][", "expect": 1, "text": "t"}]}', "custom_checks"),
    ],
)
def test_bad_input_names_the_option(argument, names, tmp_path):
    played = play("diagnose", tmp_path, "--limit", "reference", "-e", argument)
    assert played.status == 2
    assert names in played.output


def test_a_project_that_is_not_there_is_not_healthy(tmp_path):
    played = play("diagnose", tmp_path, "--limit", "reference", "-e", "compose_project=nowhere")
    report = played.report("reference")
    assert (report["verdict"], [item["id"] for item in report["unknown"]]) == ("unknown", ["stack.unreachable"])
    assert played.status == 2


def test_custom_checks(tmp_path):
    checks = [
        {"id": "young", "query": "postgres.postgres.server.max_connections", "is": ">=", "expect": 5000, "severity": "warning", "text": "too few slots for us"},
        {"id": "fine", "query": "postgres.postgres.server.max_connections", "is": ">=", "expect": 10, "text": "never"},
        {"id": "nowhere", "query": "postgres.nobody.server", "expect": 1, "text": "never"},
    ]
    report = play("diagnose", tmp_path, "--limit", "reference", "-e", json.dumps({"custom_checks": checks})).report("reference")
    assert [(item["id"], item["title"]) for item in report["findings"]] == [("custom.young", "too few slots for us")]
    assert [item["id"] for item in report["unknown"]] == ["custom.nowhere"]


def test_traditional_chinese(tmp_path):
    played = play("diagnose", tmp_path, "--limit", "reference", "-e", "lang=zh-TW")
    assert played.report("reference")["headline"] == "所有檢查項目皆正常。"


def test_info_shows_where_it_knows_from(tmp_path):
    played = play("info", tmp_path, "--limit", "second")
    assert played.status == 0
    assert "role_source" in played.output and "/run/secrets" not in "".join(re.findall(r"password\S*: \S+", played.output))


SECRET = "Zx9-%s-q7Lw3Vt8"
# Written differently in a URL.
AWKWARD = "Zx9/%s+q7 Lw3@Vt8"
URL = {"reference": "http://127.0.0.1:18080", "second": "http://127.0.0.1:18090"}
API = {"reference": "aiops-ref-api-1", "second": "orders-backend-1"}
WORKER = {"reference": ("aiops-ref-worker-1", "worker"), "second": ("orders-jobs-1", "jobs")}
LOGIN = {"reference": ("/api/v1/auth/token", "username=admin&password=%s"), "second": ("/api/v1/login", '{"email": "a@b.example", "password": "%s"}')}
# A task of the application's own with a secret among its arguments.
SEND = {
    "reference": "from app.tasks import celery as app; app.send_task('app.tasks.summarize_text', kwargs={'text': %r}, countdown=%r, queue='celery')",
    "second": "from backend.jobs import app; app.send_task('invoices.make', kwargs={'order_id': %r}, countdown=%r)",
}


class Planted:
    """Unique secrets where applications let them slip: headers, logs, query texts, cached values, task arguments."""

    def __init__(self, stack: str) -> None:
        self.stack = stack
        self.values: list[str] = []
        self.session = threading.Thread(target=self._hold_a_session)

    def secret(self, where: str, shape: str = SECRET) -> str:
        self.values.append(shape % (where + self.stack))
        return self.values[-1]

    def plant(self) -> None:
        self.values += own_secrets(self.stack)
        quiet, base = ["curl", "-s", "-o", "/dev/null", "-m", "60"], URL[self.stack]
        headers = ["Authorization: Bearer " + self.secret("bearer"), "X-Api-Key: " + self.secret("header"), "Cookie: session=" + self.secret("cookie")]
        run(*quiet, *(word for header in headers for word in ("-H", header)), base + "/api/v1/items?token=" + self.secret("query"))
        run(*quiet, "-u", "office:" + self.secret("basic"), base + "/api/v1/basic?api_key=" + quote(self.secret("awkward", AWKWARD), safe=""))
        path, body = LOGIN[self.stack]
        kind = "application/x-www-form-urlencoded" if body[0] != "{" else "application/json"
        run(*quiet, "-H", "Content-Type: " + kind, "-d", body % self.secret("login"), base + path)
        lines = 'ERROR password=%s {"api_key": "%s"} Authorization: Bearer %s\n' % (self.secret("log"), self.secret("json"), self.secret("logbearer"))
        lines += "ERROR no way to postgresql://u:%s@db/x and redis://:%s@queue/0\n" % (self.secret("url"), quote(self.secret("urlq", AWKWARD), safe=""))
        for user in ("a", "ab", "abc"):  # so that it stands at each of the three places of base64
            word = base64.b64encode(("%s:%s" % (user, self.secret("basic" + user))).encode()).decode()
            lines += "ERROR proxy refused Authorization: Basic %s\n" % word
        run("docker", "exec", "-i", API[self.stack], "sh", "-c", "cat > /proc/1/fd/2", text=lines)
        redis(self.stack, "SET", "cache:planted", self.secret("value"))
        self.session.start()
        # One that fails stands in the server's log, with its text.
        sql(self.stack, "SELECT 1 FROM nowhere WHERE name = '%s' OR password = $$%s$$" % (self.secret("sqllog"), self.secret("sqldollar")), check=False)
        self.task("eta", 3600.0)

    def task(self, where: str, countdown: float) -> None:
        run("docker", "exec", API[self.stack], "python3", "-c", SEND[self.stack] % (self.secret(where), countdown))

    def _hold_a_session(self) -> None:
        query = self.secret("sql")
        sql(self.stack, "SELECT pg_sleep(40), '%s', $$%s$$ /* %s */ -- %s" % (query, query, query, query))

    def remove(self) -> None:
        """The worker does not run: what it had not begun is back in its queue."""
        redis(self.stack, "DEL", "cache:planted")
        if self.session.ident is not None:
            self.session.join()
        needles = sorted({form.decode() for value in self.values for form in forms(value)})
        for database in ("0", "1", "2"):
            redis(self.stack, "-n", database, "EVAL", REMOVE, "0", *needles)


# Messages and results that hold one of these words.
REMOVE = """
local function holds(text)
  for _, word in ipairs(ARGV) do if string.find(text, word, 1, true) then return true end end
end
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key)['ok']
  if kind == 'list' then
    for _, text in ipairs(redis.call('LRANGE', key, 0, -1)) do if holds(text) then redis.call('LREM', key, 0, text) end end
  elseif kind == 'hash' then
    local pairs_of = redis.call('HGETALL', key)
    for place = 2, #pairs_of, 2 do
      if holds(pairs_of[place]) then redis.call('HDEL', key, pairs_of[place - 1]); redis.call('ZREM', 'unacked_index', pairs_of[place - 1]) end
    end
  elseif kind == 'string' and holds(redis.call('GET', key)) then redis.call('DEL', key) end
end"""


def own_secrets(stack: str) -> list[str]:
    """What the stack itself keeps as secrets: in its environment file, or in files of their own."""
    found = []
    for path in (ROOT / "tests" / "stack" / stack).rglob("*"):
        if path.is_file() and (path.name == ".env" or path.parent.name == "secrets"):
            for line in path.read_text().splitlines():
                name, _is, value = line.rpartition("=")
                value = value.strip().strip("'\"")
                if len(value) >= 12 and (not name or re.search("PASS|SECRET|KEY|TOKEN", name)) and "://" not in value:
                    found.append(value)
    assert len(found) >= 3, stack
    return found


@pytest.mark.parametrize("stack", STACKS)
def test_no_secret_is_told_anywhere(stack, tmp_path):
    """Every output of every job at -vvv, on a healthy and on an ill stack, what it saves, and all files that it has meanwhile."""
    planted = Planted(stack)
    worker, component = WORKER[stack]
    kept = tmp_path / "out"
    kept.mkdir()
    places = {"ANSIBLE_LOCAL_TEMP": tmp_path / "local", "ANSIBLE_REMOTE_TEMP": tmp_path / "remote", "TMPDIR": tmp_path / "tmp"}
    settings = {**{name: str(place) for name, place in places.items()}, "ANSIBLE_KEEP_REMOTE_FILES": "1"}
    state = ["-e", "state_dir=%s" % (tmp_path / "state")]

    def job(name: str, playbook: str, *words: str) -> Played:
        played = play(playbook, kept, "-vvv", "--limit", stack, *state, *words, timeout=600, **settings)
        (kept / (name + ".txt")).write_text(played.output)
        return played

    with Snapshot(tmp_path / "snapshot", *places.values()) as seen:
        try:
            planted.plant()
            job("healthy", "diagnose", "-e", "save_observations=%s" % (kept / "healthy.json"))
            job("info", "info")
            job("logs", "logs", "-e", '{"since_minutes": 2, "tail": 1000}')
            run("docker", "stop", "-t", "20", worker)
            planted.task("queued", 0)
            ill = job("ill", "diagnose", "-e", "save_observations=%s" % (kept / "ill.json.gz"), "-e", "lang=zh-TW")
            assert ill.status == 2 and ("container.not_running", component) in ill.causes(stack), ill.output
            plan = ill.report(stack)["plan"]
            approval = ["-e", "plan=%s" % plan["path"], "-e", "approve=%s" % plan["digest"], "-e", "remediate_hold_seconds=2"]
            cured = job("remediate", "remediate", "--diff", *approval)
            assert cured.report(stack)["record"]["result"] == "held", cured.output
            job("logs-again", "logs", "-e", '{"since_minutes": 2, "tail": 1000}')
            undone = job("undo", "undo", "--diff", "-e", "fail_on=never")
            assert undone.report(stack)["record"]["result"] == "undone", undone.output
        finally:
            run("docker", "stop", "-t", "20", worker)
            planted.remove()
            run("docker", "start", worker)
            run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "up", stack)
    assert len(set(planted.values)) >= 20
    assert any(name.startswith("stack_check.") for name in seen.names) and any(name.startswith("AnsiballZ_") for name in seen.names), (
        "the search would find them"
    )
    assert told([component], tmp_path / "snapshot") and told([component], kept)
    assert not told(planted.values, kept, tmp_path / "snapshot")
    assert not seen.open_to_others
    # The records of acting stand where the stack lives, and may hold what is needed to undo.
    assert not [path for path in (tmp_path / "state").rglob("*") if path.is_file() and path.stat().st_mode & 0o077]


def test_logs_of_some_components_for_a_window(tmp_path):
    """Side by side by time, without the stack's secrets; a component that is not there is named."""
    run("curl", "-s", "-o", "/dev/null", "-H", "X-Request-ID: look-for-me-17", "http://127.0.0.1:18080/look-for-me-17")
    sql("reference", "DO $$ BEGIN RAISE WARNING 'a calm server writes nothing for long'; END $$")
    every = play("logs", tmp_path, "--limit", "reference")
    assert every.status == 0
    assert {"api", "nginx", "postgres"} <= set(re.findall(r'"(\w+) \| \d{4}-', every.output))
    some = play("logs", tmp_path, "--limit", "reference", "-e", '{"components": ["nginx"], "contains": "look-for-me-17"}')
    assert set(re.findall(r'"(\w+) \| \d{4}-', some.output)) == {"nginx"}
    wrong = play("logs", tmp_path, "--limit", "reference", "-e", '{"components": ["nobody"]}')
    assert wrong.status == 2 and "nobody" in wrong.output


def test_logs_that_are_followed(tmp_path):
    """What comes while it runs is shown, once."""
    mark = "follow-me-%d" % time.time_ns()
    asking = threading.Timer(8, run, ["curl", "-s", "-o", "/dev/null", "http://127.0.0.1:18080/" + mark])
    asking.start()
    played = play("logs", tmp_path, "--limit", "reference", "-e", json.dumps({"components": ["nginx"], "contains": mark, "follow_seconds": 25}))
    asking.join()
    assert played.status == 0 and len(re.findall(r'"nginx \| \d{4}-.*%s' % mark, played.output)) == 1, played.output
