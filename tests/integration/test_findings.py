"""Each finding that a whole stack can have and that no fault of tests/faults makes: made here, on small Compose projects of real containers."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from brokers import wait_until
from playing import ROOT, play, run

PROJECT = "findings"
PYTHON = {"image": "aiops-ref/llm:latest", "entrypoint": ["python3", "-u", "-c"], "stop_grace_period": "1s"}
SLEEP = "import time; time.sleep(3600)"
SERVE = "import http.server as h\nclass A(h.BaseHTTPRequestHandler):\n def do_GET(s): s.send_response(200); s.end_headers(); s.wfile.write(b'ok')\n"
SERVE += "h.ThreadingHTTPServer(('%s', %d), A).serve_forever()"
API = {**PYTHON, "command": [SERVE % ("0.0.0.0", 8000)], "ports": ["127.0.0.1:18777:8000"]}
CACHE = {"image": "aiops-ref/redis:latest", "stop_grace_period": "1s"}
DB = {"image": "aiops-ref/postgres:latest", "environment": {"POSTGRES_USER": "shop", "POSTGRES_PASSWORD": "Wq7-shop-db", "POSTGRES_DB": "shop"}}
DATABASE = "postgresql://shop:Wq7-shop-db@%s:5432/shop"
LOG = "print('2026-11-22 20:00:00,000 ERROR [shop.orders] the price list of customer 17 is empty')\n"


@pytest.fixture(scope="module", autouse=True)
def images():
    """The images of the reference stack."""
    run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "build", "reference")


@contextmanager
def project(folder: Path, networks: tuple[str, ...] = (), **services: dict):
    """A Compose project of these services, with what they name; gone afterwards."""
    file = folder / "compose.yml"
    asked = {"services": {name.replace("_", "-"): service for name, service in services.items()}, "networks": dict.fromkeys(networks)}
    file.write_text(json.dumps(asked).replace("$", "$$"))
    try:
        run("docker", "compose", "-p", PROJECT, "-f", str(file), "up", "-d", "--force-recreate", "--wait-timeout", "60")
        yield file
    finally:
        run("docker", "compose", "-p", PROJECT, "-f", str(file), "kill", check=False)
        names = run("docker", "ps", "-aq", "--filter", "label=com.docker.compose.project=" + PROJECT).split()
        if names:
            run("docker", "rm", "-fv", *names)
        for network in ("default", *networks):
            run("docker", "network", "rm", "%s_%s" % (PROJECT, network), check=False)


def look(folder: Path) -> dict:
    inventory = folder / "inventory.yml"
    settings = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}", "compose_project": PROJECT, "fail_on": "never"}
    inventory.write_text(json.dumps({"all": {"hosts": {"shop": settings}}}))
    # Nobody waits here until a young component may be blamed.
    return play("diagnose", folder, "-e", '{"limits": {"startup_grace_seconds_warning": 2}}', inventory=inventory).report("shop")


def found(folder: Path) -> set[tuple[str, str]]:
    return {(item["id"], item["component"]) for item in look(folder)["findings"] if item["severity"] != "info"}


def inside(name: str, *command: str) -> str:
    """A command in the network of a container, with the host's programs."""
    pid = run("docker", "inspect", "-f", "{{.State.Pid}}", "%s-%s-1" % (PROJECT, name)).strip()
    return run("nsenter", "-t", pid, "-n", *command)


def docker(verb: str, name: str) -> None:
    run("docker", verb, "%s-%s-1" % (PROJECT, name))


def kill_from_the_host(name: str) -> None:
    run("kill", "-9", run("docker", "inspect", "-f", "{{.State.Pid}}", "%s-%s-1" % (PROJECT, name)).strip())
    time.sleep(1)


def test_well(tmp_path):
    client = {**API, "environment": {"DATABASE_URL": DATABASE % "db", "REDIS_URL": "redis://cache:6379/0"}}
    with project(tmp_path, api=client, db=DB, cache=CACHE):
        wait_until(lambda: "accepting" in run("docker", "exec", PROJECT + "-db-1", "pg_isready", "-h", "127.0.0.1", check=False), "the server listens")
        report = look(tmp_path)
        assert [item for item in report["findings"] if item["severity"] != "info"] == []
        assert report["verdict"] == "healthy", report["unknown"]


CASES = {
    "container.paused": ({"api": API, "cache": CACHE}, lambda: docker("pause", "cache"), "cache"),
    "container.killed": ({"api": API, "cache": CACHE}, lambda: kill_from_the_host("cache"), "cache"),
    "container.unhealthy": ({"api": {**API, "healthcheck": {"test": ["CMD", "python3", "-c", "exit(1)"], "interval": "1s", "retries": 1}}}, None, "api"),
    "container.healthcheck_broken": ({"api": {**API, "healthcheck": {"test": ["CMD", "curl", "-f", "http://x"], "interval": "1s", "retries": 1}}}, None, "api"),
    "container.memory_near_limit": (
        {"api": API, "worker": {**PYTHON, "mem_limit": "64m", "command": ["b = b'x' * 60000000\n" + SLEEP]}},
        None,
        "worker",
    ),
    "config.wrong_host": ({"api": {**API, "environment": {"DATABASE_URL": DATABASE % "cache"}}, "cache": CACHE}, None, "api"),
    "network.refused": (
        {"api": {**API, "environment": {"DATABASE_URL": DATABASE % "db"}}, "db": {**DB, "command": ["postgres", "-c", "listen_addresses=127.0.0.1"]}},
        lambda: time.sleep(5),
        "api",
    ),
    "network.published_port_wrong": ({"api": {**API, "ports": ["127.0.0.1:18777:9999"]}}, None, "api"),
    "network.outside_unreachable": ({"api": {**API, "command": [SERVE % ("127.0.0.1", 8000)]}}, None, "api"),
    "http.bad_gateway": (
        {"api": {**PYTHON, "command": [SERVE % ("0.0.0.0", 9000)]}, "nginx": {"image": "aiops-ref/nginx:latest", "ports": ["127.0.0.1:18777:80"]}},
        None,
        "nginx",
    ),
    "postgres.pool_over_budget": (
        {
            "api": {**API, "environment": {"DATABASE_URL": DATABASE % "db", "DATABASE_POOL_SIZE": "50", "DATABASE_MAX_OVERFLOW": "100"}},
            "db": {**DB, "command": ["postgres", "-c", "max_connections=40"]},
        },
        lambda: time.sleep(5),
        "db",
    ),
    "logs.error_burst": ({"api": API, "worker": {**PYTHON, "command": [LOG * 12 + SLEEP]}}, None, "worker"),
    "redis.password_rejected": (
        {
            "api": {**API, "environment": {"REDIS_URL": "redis://:Rk2-shop-cache@cache:6379/0"}},
            "worker": {**PYTHON, "command": [SLEEP], "environment": {"REDIS_URL": "redis://:not-this-one@cache:6379/0"}},
            "cache": {**CACHE, "command": ["redis-server", "--requirepass", "Rk2-shop-cache"]},
        },
        None,
        "worker",
    ),
}


@pytest.mark.parametrize("finding", CASES)
def test_made(finding, tmp_path):
    services, break_it, component = CASES[finding]
    with project(tmp_path, **services):
        time.sleep(2)
        if break_it:
            break_it()
        time.sleep(4)
        # A busy machine needs longer to start what shows the fault.
        assert any((finding, component) in found(tmp_path) for _look in range(3))


@pytest.fixture
def rules():
    """Rules of a packet filter that are taken away again: [(in the network of a component, or "" for this host; words)]."""
    made: list[tuple[str, list[str]]] = []
    yield made
    for name, words in made:
        if not name:
            run("iptables", "-D", *words, check=False)


def blocked(kept: list[tuple[str, list[str]]], name: str, *words: str) -> None:
    kept.append((name, list(words)))
    inside(name, "iptables", "-A", *words) if name else run("iptables", "-I", *words)


@pytest.mark.parametrize(
    ("where", "rule", "finding", "stands_in"),
    [
        ("cache", ["INPUT", "-p", "tcp", "--dport", "6379", "-j", "DROP"], "network.unreachable", PROJECT + "-cache-1"),
        ("api", ["OUTPUT", "-p", "tcp", "--dport", "6379", "-j", "REJECT"], "network.refused", PROJECT + "-api-1"),
        ("", ["DOCKER-USER", "-p", "tcp", "--dport", "6379", "-s", "{api}", "-j", "DROP"], "network.unreachable", "host"),
    ],
    ids=["server", "client", "host"],
)
def test_the_rule_that_is_in_the_way_is_named(where, rule, finding, stands_in, rules, tmp_path):
    with project(tmp_path, api={**API, "environment": {"REDIS_URL": "redis://cache:6379/0"}}, cache=CACHE):
        time.sleep(4)
        address = run("docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", PROJECT + "-api-1").strip()
        words = [word.format(api=address) for word in rule]
        blocked(rules, where, *words)
        (root,) = look(tmp_path)["root_causes"]
        assert (root["id"], root["component"], root["evidence"]["rule_stands_in"]) == (finding, "api", stands_in)
        told = root["evidence"]["blocking_rule"]
        assert "-A %s " % words[0] in told and "--dport 6379" in told and told.split("-j ")[1].split()[0] == words[words.index("-j") + 1]


def test_files_that_compose_cannot_read_any_more(tmp_path):
    with project(tmp_path, api=API) as file:
        whole = file.read_text()
        file.write_text(whole.replace('"ports"', '"prots"'))
        try:
            assert ("config.files_invalid", "stack") in found(tmp_path)
        finally:
            file.write_text(whole)


def test_a_network_is_lost_through_which_nobody_is_asked(tmp_path):
    with project(tmp_path, networks=("back",), api={**API, "networks": ["back", "default"]}):
        made_for = run("docker", "inspect", "-f", "{{.HostConfig.NetworkMode}}", PROJECT + "-api-1").strip()
        second = next(name for name in (PROJECT + "_back", PROJECT + "_default") if name != made_for)
        assert ("network.partitioned", "api") not in found(tmp_path)
        run("docker", "network", "disconnect", second, PROJECT + "-api-1")
        assert ("network.partitioned", "api") in found(tmp_path)


FAIL = "import os, time\nwhile not os.path.exists('/tmp/fail'): time.sleep(0.1)\nraise SystemExit('the price list is gone')"
COPIES = {**PYTHON, "init": True, "stop_grace_period": "10s", "command": [FAIL], "deploy": {"replicas": 2}}


def test_one_of_two_copies_ends(tmp_path):
    with project(tmp_path, api=API, worker=COPIES):
        assert "container.copy_down" not in {item["id"] for item in look(tmp_path)["findings"]}
        run("docker", "exec", PROJECT + "-worker-2", "python3", "-c", "open('/tmp/fail', 'w')")
        time.sleep(2)
        assert ("container.copy_down", "worker") in found(tmp_path)


def test_one_of_two_copies_was_stopped_by_choice(tmp_path):
    with project(tmp_path, api=API, worker=COPIES):
        run("docker", "stop", PROJECT + "-worker-2")
        assert {item["severity"] for item in look(tmp_path)["findings"] if item["id"] == "container.copy_down"} == {"info"}


CLIENT = """import os, psycopg, time
def connect():
    while True:
        try: return psycopg.connect(os.environ['DATABASE_URL'])
        except psycopg.OperationalError: time.sleep(0.2)
"""
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
# An import that keeps its table to itself, and requests that come meanwhile; each has a connection of its own, as those of a pool have.
IMPORT = CLIENT + "one = connect()\none.execute('CREATE TABLE price ()')\none.commit()\none.execute('LOCK TABLE price')\ntime.sleep(3600)"
SHOP = CLIENT + "import threading\ndef request(): connect().execute('SELECT * FROM price')\n"
SHOP += "while not connect().execute(\"SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = to_regclass('price')\").fetchone():"
SHOP += " time.sleep(0.2)\nfor _ in range(%d): threading.Thread(target=request, daemon=True).start()\n"


@pytest.mark.parametrize(("requests", "expected"), [(6, True), (2, False)])
def test_requests_wait_behind_a_lock(requests, expected, tmp_path):
    client = {**PYTHON, "image": "aiops-ref/app:latest", "environment": {"DATABASE_URL": DATABASE % "db"}}
    shop = {**client, "command": [SHOP % requests + SERVE % ("0.0.0.0", 8000)], "ports": API["ports"]}
    with project(tmp_path, api=shop, worker={**client, "command": [IMPORT]}, db=DB):
        for _second in range(60):
            if run("docker", "exec", PROJECT + "-db-1", "psql", DATABASE % "db", "-Atc", WAITING, check=False).strip() == str(requests):
                break
            time.sleep(1)
        time.sleep(3)
        assert (("postgres.requests_waiting", "api") in found(tmp_path)) is expected


def test_copies_that_differ(tmp_path):
    api = {**PYTHON, "command": [SERVE % ("0.0.0.0", 8000)], "environment": {"PRICE_LIST": "a"}}
    with project(tmp_path, api=api, edge=API):
        labels = ["--label", "com.docker.compose.project=" + PROJECT, "--label", "com.docker.compose.service=api", "--label", "com.docker.compose.oneoff=False"]
        run("docker", "run", "-d", "--name", PROJECT + "-api-2", *labels, "--network", PROJECT + "_default", "-e", "PRICE_LIST=b", *_plain(api))
        assert ("config.setting_differs", "api") in found(tmp_path)


def _plain(service: dict) -> list[str]:
    return ["--entrypoint", service["entrypoint"][0], service["image"], *service["entrypoint"][1:], *service["command"]]


def test_a_part_that_is_not_recognised_is_said(tmp_path):
    with project(tmp_path, api=API, mystery={**PYTHON, "command": [SLEEP]}):
        assert ("stack.unknown_shape", "mystery") in {(item["id"], item["component"]) for item in look(tmp_path)["unknown"]}
