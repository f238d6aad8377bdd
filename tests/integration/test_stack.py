"""The whole way on the real reference stacks: what is found, what is left alone, what is never told."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator
from urllib.parse import quote

import pytest
from playing import ROOT, play, run

STACKS = ("reference", "second")
POSTGRES = {"reference": ("aiops-ref-postgres-1", "aiops", "aiops"), "second": ("orders-db1-1", "postgres", "orders")}
REDIS = {"reference": "aiops-ref-redis-1", "second": "orders-queue-1"}
PROJECT = {"reference": "aiops-ref", "second": "orders"}


@pytest.fixture(scope="module", autouse=True)
def stacks_up():
    """Both stacks, ready."""
    for stack in STACKS:
        run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "up", stack)


def sql(stack: str, text: str) -> str:
    container, user, database = POSTGRES[stack]
    return run("docker", "exec", "-u", "postgres", container, "psql", "-X", "-A", "-t", "-U", user, "-d", database, "-c", text).strip()


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
        "failures": run("sh", "-c", "docker logs %s 2>&1 | grep -c FATAL || true" % POSTGRES[stack][0]),
        "errors": re.findall(r"errorstat_\S+", info),
        "rejected": re.findall(r"rejected_connections:\d+", redis(stack, "INFO", "stats")),
        "keys": keys,
        "redis_settings": redis(stack, "CONFIG", "GET", "*"),
        "containers": sorted(containers.splitlines()),
    }


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


def plant(stack: str) -> list[str]:
    """Put unique secrets where applications let them slip: logs, query texts, task arguments, headers. Their values."""
    found = []

    def secret(where: str) -> str:
        found.append(SECRET % where)
        return found[-1]

    base = "http://127.0.0.1:18080"
    run(
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-H",
        "Authorization: Bearer " + secret("bearer"),
        "-H",
        "X-Api-Key: " + secret("header"),
        base + "/api/v1/items?token=" + secret("query"),
    )
    run("curl", "-s", "-o", "/dev/null", "-d", "username=admin&password=" + secret("login"), base + "/api/v1/auth/token")
    text = 'ERROR password=%s {"api_key": "%s"} postgresql://u:%s@db/x Authorization: Bearer %s\n' % (
        secret("log"),
        secret("json"),
        secret("url"),
        secret("logbearer"),
    )
    run("docker", "exec", "aiops-ref-api-1", "sh", "-c", "cat > /proc/1/fd/2", check=False, text=text)
    run("docker", "exec", "-i", "aiops-ref-api-1", "sh", "-c", "cat > /proc/1/fd/2", check=False, text=text)
    redis(stack, "SET", "cache:planted", secret("value"))
    return found


def test_no_secret_is_told_anywhere(tmp_path):
    """Every output of a run at -vvv, the saved observations and Ansible's own temporary files."""
    planted = plant("reference")
    query = SECRET % "sql"
    session = threading.Thread(target=sql, args=("reference", "SELECT pg_sleep(12), '%s', $$%s$$" % (query, query)))
    session.start()
    planted.append(query)
    for path in (ROOT / "tests" / "stack").rglob("*"):
        if path.is_file() and (path.name == ".env" or path.parent.name == "secrets"):
            for line in path.read_text().splitlines():
                name, _is, value = line.rpartition("=")
                value = value.strip().strip("'\"")
                if len(value) >= 12 and (not name or re.search("PASS|SECRET|KEY|TOKEN", name)) and "://" not in value:
                    planted.append(value)
    temporary = tmp_path / "ansible"
    outputs = []
    for stack in STACKS:
        folder = tmp_path / stack
        folder.mkdir()
        saved = folder / "seen.json"
        played = play(
            "diagnose", folder, "-vvv", "--limit", stack, "-e", "save_observations=%s" % saved, ANSIBLE_LOCAL_TEMP=str(temporary), ANSIBLE_KEEP_REMOTE_FILES="1"
        )
        outputs.append(played.output)
        (folder / "output.txt").write_text(played.output)
    session.join()
    redis("reference", "DEL", "cache:planted")
    assert len(planted) >= 12
    told = []
    for path in Path(tmp_path).rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for value in planted:
                forms = {value, quote(value, safe=""), base64.b64encode(value.encode()).decode().rstrip("=")[:-1]}
                if any(form.encode() in content for form in forms):
                    told.append((path.name, value))
    assert not told


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
