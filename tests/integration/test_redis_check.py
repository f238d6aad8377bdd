# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""redis_check on real servers: each finding made to appear by redis-cli, beside a case where it must not."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import threading
import time

import pytest
from brokers import cleared, found, free_port, redis_server, run_module, wait_until

from ansible_collections.aiops.runbook.plugins.module_utils.connect.redis import RedisTarget
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.stack import judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import Clear
from ansible_collections.aiops.runbook.plugins.module_utils.observe.redis import observe_redis
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

PASSWORD = "Ent3r-Plan3t-7731"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis"), "--maxmemory", "100mb", "--enable-debug-command", "local") as redis:
        yield redis


@pytest.fixture(autouse=True)
def as_it_was(request):
    """What a test set is set back, so that each one stands for itself."""
    yield
    if "server" in request.fixturenames:
        redis = request.getfixturevalue("server")
        for setting, value in (("maxmemory", "100mb"), ("maxmemory-policy", "noeviction"), ("maxclients", "10000"), ("stop-writes-on-bgsave-error", "yes")):
            redis.cli("config", "set", setting, value)
        redis.cli("flushall")
        redis.cli("config", "resetstat")
        redis.cli("slowlog", "reset")


def check(redis, **options):
    return run_module("redis_check", login_port=redis.port, login_host="127.0.0.1", **options)


def test_a_healthy_server(server):
    server.cli("set", "a", "b")
    answer = check(server, check_mode=True)
    assert answer["verdict"] == "healthy" and not answer["findings"] and not answer["unknown"] and not answer["changed"]
    assert answer["facts"]["server"]["flavour"] == "redis" and answer["facts"]["clients"]["connected"] == 0
    assert answer["facts"]["latency"]["samples"] + answer["facts"]["latency"]["dropped"] >= 3
    assert answer["facts"]["holds_broker"] is False


def test_it_is_a_guest(server):
    server.cli("set", "a", "b")
    before = (server.keys(), server.accepted(), server.errors(), server.cli("info", "commandstats").count("cmdstat_set:"))
    check(server)
    after = (server.keys(), server.accepted(), server.errors(), server.cli("info", "commandstats").count("cmdstat_set:"))
    # keys() opens one, accepted() itself, errors() and commandstats one each; the check must have opened one.
    assert after[1] - before[1] == 4 + 1
    assert (after[0], after[2], after[3]) == (before[0], before[2], before[3])


def test_not_answering():
    answer = run_module("redis_check", login_host="127.0.0.1", login_port=free_port())
    assert found(answer) == {"redis.not_answering": "critical"} and answer["verdict"] == "down"


def test_a_server_that_hangs(tmp_path):
    with redis_server(tmp_path) as redis:
        os.kill(redis.process.pid, signal.SIGSTOP)
        started = time.monotonic()
        answer = check(redis, timeout=1.0)
        assert found(answer) == {"redis.not_answering": "critical"} and time.monotonic() - started < 40
        os.kill(redis.process.pid, signal.SIGCONT)
        assert found(check(redis)) == {}


def test_what_is_no_redis(tmp_path):
    with redis_server(tmp_path) as redis:
        answer = run_module("redis_check", url="http://127.0.0.1:%d" % redis.port)
        assert answer["failed"] and answer["kind"] == "bad_option"


def test_passwords(tmp_path):
    with redis_server(tmp_path, "--requirepass", PASSWORD) as redis:
        missing, wrong = check(redis), check(redis, login_password="nonsense-" + PASSWORD)
        right = run_module("redis_check", url="redis://:%s@127.0.0.1:%d/0" % (PASSWORD, redis.port))
        assert found(missing) == found(wrong) == {"redis.auth_mismatch": "critical"}
        assert [one["findings"][0]["evidence"]["problem"] for one in (missing, wrong)] == ["missing", "wrong"]
        assert found(right) == {} and "redis.auth_mismatch" in cleared(right)
        assert PASSWORD not in json.dumps([one for answer in (missing, wrong, right) for one in (answer["facts"], answer["findings"], answer["unknown"])])
    with redis_server(tmp_path / "open") as redis:
        assert check(redis, login_password=PASSWORD)["findings"][0]["evidence"]["problem"] == "unneeded"


def test_an_account_with_few_rights(tmp_path):
    with redis_server(tmp_path) as redis:
        redis.cli("acl", "setuser", "looker", "on", ">" + PASSWORD, "~*", "+ping", "+info", "+select", "+exists")
        answer = check(redis, login_user="looker", login_password=PASSWORD)
        assert found(answer) == {} and answer["facts"]["persistence"]["stop_writes_on_bgsave_error"]["unseen"]["kind"] == "denied"
        assert "redis.memory_full" in cleared(answer)


def test_loading(tmp_path):
    with redis_server(tmp_path, "--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024", "--enable-debug-command", "local") as redis:
        redis.cli("debug", "populate", "4000", "key", "100")
        redis.cli("save")
        redis.stop()
        redis.start()
        assert found(check(redis)) == {"redis.loading": "critical"}
        wait_until(lambda: redis.cli("ping") == "PONG", "it has loaded")
        assert found(check(redis)) == {}


def test_memory(server):
    used = int(next(line for line in server.cli("info", "memory").splitlines() if line.startswith("used_memory:")).split(":")[1])
    server.cli("config", "set", "maxmemory", str(int(used * 1.18)))
    near = check(server)
    assert found(near) in ({"redis.memory_near_limit": "warning"}, {"redis.memory_near_limit": "critical"})
    server.cli("config", "set", "maxmemory", str(int(used * 0.9)))
    assert "OOM" in server.cli("set", "more", "x")
    full = check(server)
    assert found(full) == {"redis.memory_full": "critical"} and full["findings"][0]["evidence"]["oom_errors"] >= 1
    server.cli("config", "set", "maxmemory", "100mb")
    assert found(check(server)) == {}, "recovered: the errors of the past are past"
    server.cli("config", "set", "maxmemory", str(int(used * 1.05)))
    server.cli("config", "set", "maxmemory-policy", "allkeys-lru")
    assert found(check(server)) == {}, "a cache may be full"


def test_no_memory_limit_is_a_note(server):
    server.cli("config", "set", "maxmemory", "0")
    answer = check(server)
    assert [finding["id"] for finding in answer["findings"]] == ["redis.no_memory_limit"] and answer["verdict"] == "healthy"


def test_eviction_of_queues(server):
    server.cli("config", "set", "maxmemory-policy", "allkeys-lru")
    assert found(check(server)) == {}
    server.cli("-n", "3", "sadd", "_kombu.binding.celery", "celery\x06\x16\x06\x16celery")
    answer = check(server)
    assert found(answer) == {"redis.evicts_broker_keys": "warning"} and answer["facts"]["broker_databases"] == [3]
    server.cli("config", "set", "maxmemory-policy", "noeviction")
    assert found(check(server)) == {}


def test_a_save_that_fails(tmp_path):
    """As Redis' own user, who cannot write there: root could."""
    folder = tmp_path / "data"
    folder.mkdir()
    user = pwd.getpwnam("nobody")
    for path in (*reversed(folder.parents[:3]), folder):
        os.chmod(path, 0o755)
    os.chown(folder, user.pw_uid, user.pw_gid)
    port = free_port()
    words = [shutil.which("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "3600 1", "--maxmemory", "100mb"]
    process = subprocess.Popen(words, user=user.pw_uid, group=user.pw_gid, stdout=subprocess.DEVNULL)
    cli = ["redis-cli", "-p", str(port)]
    try:
        wait_until(lambda: subprocess.run([*cli, "ping"], capture_output=True, check=False).stdout == b"PONG\n", "it answers")
        subprocess.run([*cli, "set", "a", "b"], check=True)
        assert found(run_module("redis_check", login_port=port, login_host="127.0.0.1")) == {}
        os.chown(folder, 0, 0)
        subprocess.run([*cli, "bgsave"], check=True)
        wait_until(
            lambda: b"rdb_last_bgsave_status:err" in subprocess.run([*cli, "info", "persistence"], capture_output=True, check=True).stdout, "the save failed"
        )
        assert b"MISCONF" in subprocess.run([*cli, "set", "a", "c"], capture_output=True, check=False).stdout
        answer = run_module("redis_check", login_port=port, login_host="127.0.0.1")
        assert found(answer) == {"redis.save_failing": "critical"} and answer["findings"][0]["evidence"]["writes_refused"]
        subprocess.run([*cli, "config", "set", "stop-writes-on-bgsave-error", "no"], check=True)
        assert found(run_module("redis_check", login_port=port, login_host="127.0.0.1")) == {"redis.save_failing": "warning"}
    finally:
        process.kill()
        process.wait(10)


def test_slow_commands(server):
    server.cli("config", "set", "maxmemory", "0")
    server.cli("debug", "populate", "400000", "key", "10")
    assert found(check(server)) == {}
    stop = threading.Event()

    def hammer():
        with subprocess.Popen(["redis-cli", "-p", str(server.port), "-r", "-1", "keys", "nothing*"], stdout=subprocess.DEVNULL) as process:
            stop.wait(60)
            process.kill()

    threads = [threading.Thread(target=hammer) for _unused in range(3)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(1.5)
        answer = check(server)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(found(answer)) == {"redis.slow"}, (answer["facts"]["latency"], answer["unknown"])
    assert any(command.startswith("KEYS ") for command in answer["findings"][0]["evidence"]["commands"])
    time.sleep(1)
    server.cli("slowlog", "reset")
    assert found(check(server)) == {}


def test_a_busy_machine_is_not_a_slow_redis(server):
    """Pings are late by the fault of who asks; Redis's own figures say that it had nothing to do."""
    server.cli("set", "a", "b")
    over = threading.Event()

    def burn():
        while not over.is_set():
            sum(range(1000))

    burners = [threading.Thread(target=burn) for _unused in range(6)]
    for burner in burners:
        burner.start()
    try:
        seen = [observe_redis("redis", RedisTarget(port=server.port), Mask(), 6.0) for _unused in range(3)]
    finally:
        over.set()
        for burner in burners:
            burner.join()
    assert any(one["latency"]["dropped"] or max(one["latency"]["ms"]) >= 10 for one in seen), "it was busy"
    for one in seen:
        answers = [answer for answer in judge_domain("redis", one, Limits()) if answer.id == "redis.slow"]
        assert [type(answer) for answer in answers] == [Clear], (one["latency"], answers)


def test_clients(server):
    server.cli("config", "set", "maxclients", "20")
    idle = [subprocess.Popen(["redis-cli", "-p", str(server.port), "blpop", "nothing%d" % number, "60"], stdout=subprocess.DEVNULL) for number in range(17)]
    try:
        wait_until(lambda: "blocked_clients:17" in server.cli("info", "clients"), "they wait")
        answer = check(server)
        assert found(answer) == {"redis.clients_near_limit": "warning"} and answer["facts"]["clients"]["connected"] == 17
        server.cli("config", "set", "maxclients", "17")
        # One that is open asks for nothing more, so the seventeen fill it.
        assert found(check(server)) == {"redis.rejected_connections": "critical"}
    finally:
        for process in idle:
            process.kill()
            process.wait(10)
    wait_until(lambda: "PONG" in server.cli("ping"), "there is room again")
    server.cli("config", "set", "maxclients", "10000")
    assert found(check(server)) == {}


def test_replica(server, tmp_path):
    with redis_server(tmp_path, "--replicaof", "127.0.0.1 %d" % server.port, "--maxmemory", "100mb") as replica:
        wait_until(lambda: "master_link_status:up" in replica.cli("info", "replication"), "it follows")
        assert found(check(replica, expects_writes=True)) == {"redis.is_replica": "critical"}
        assert found(check(replica)) == {}
        assert found(check(server, expects_writes=True)) == {}


def test_tls_with_the_application_s_own_trust(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
        "-days",
        "2",
        "-subj",
        "/CN=cache.internal",
    ]
    subprocess.run([*words, "-addext", "subjectAltName=DNS:cache.internal"], check=True, capture_output=True)
    port = free_port()
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no")
    with redis_server(tmp_path / "redis", "--tls-port", str(port), *files):
        target = RedisTarget(host="cache.internal", address="127.0.0.1", port=port, tls=True, ca=str(certificate))
        assert observe_redis("redis", target, Mask(), 3.0)["answers"] is True
        target.host = "other.internal"
        assert observe_redis("redis", target, Mask(), 3.0)["answers"]["unseen"]["kind"] == "tls"
        answer = run_module("redis_check", url="rediss://127.0.0.1:%d" % port)
        assert not answer["findings"] and answer["verdict"] == "unknown" and "certificate" in answer["unknown"][0]["reason"]
        assert found(run_module("redis_check", url="rediss://127.0.0.1:%d?ssl_cert_reqs=none" % port)) == {}
