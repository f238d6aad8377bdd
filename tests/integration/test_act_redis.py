# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""redis_config on real servers: predicted, applied, verified, once only, taken back; and what it refuses."""

from __future__ import annotations

import re
import time

import pytest
from acting import small_project
from brokers import wait_until
from playing import ROOT, run
from predicting import predicted

# A client as they come: it ends, and with 0, when it is refused.
CLIENT = """
import socket, time
while True:
    for host in ("cache", "bare"):
        try:
            with socket.create_connection((host, 6379), 2) as one:
                one.sendall(b"INCR hits\\r\\n")
                answer = one.recv(200).decode()
        except OSError:
            continue
        if answer.startswith("-"):
            print("unrecoverable error:", answer)
            raise SystemExit(0)
    time.sleep(0.2)
"""
REDIS = {"image": "aiops-ref/redis:latest", "mem_limit": "256m"}
SERVICES = {
    "cache": {**REDIS, "command": ["redis-server", "--maxmemory", "64mb", "--maxmemory-policy", "noeviction", "--save", "3600 1"]},
    "bare": {**REDIS, "command": ["redis-server", "--maxmemory", "64mb", "--save", ""]},
    "reader": {
        "image": "aiops-ref/llm:latest",
        "entrypoint": ["python3", "-u", "-c"],
        "command": [CLIENT],
        "stop_grace_period": "1s",
        "environment": {"REDIS_URL": "redis://cache:6379/0", "CACHE_URL": "redis://bare:6379/0"},
    },
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "build", "reference")
    with small_project("actredis", tmp_path_factory.mktemp("actredis"), SERVICES) as project:
        wait_until(lambda: cli(project, "get", "hits").isdigit() and cli(project, "get", "hits", service="bare").isdigit(), "the client is at work")
        yield project


def cli(shop, *words: str, service: str = "cache", password: str = "") -> str:
    given = ("--no-auth-warning", "-a", password) if password else ()
    return run("docker", "exec", shop.container(service), "redis-cli", *given, *words, check=False).strip()


def setting(shop, name: str) -> str:
    return cli(shop, "config", "get", name).splitlines()[-1]


def state_of(shop, service: str) -> dict[str, str]:
    return {"container " + shop.container(service): run("docker", "inspect", "-f", "{{.State.Status}}", shop.container(service)).strip()}


def used(shop) -> int:
    return int(re.search(r"used_memory:(\d+)", cli(shop, "info", "memory"))[1])


@pytest.mark.predicts("redis_config")
def test_a_full_server_gets_room(shop):
    fill = "for i=1,20 do redis.call('SET', 'export:'..i, string.rep('x', 1048576)) end return 1"
    cli(shop, "eval", fill, "0")
    limit = used(shop) - (1 << 19)
    cli(shop, "config", "set", "maxmemory", str(limit))
    wait_until(lambda: not shop.running("reader"), "the client was refused and has ended")
    told = shop.act("redis_config", True, component="cache", maxmemory="grow")
    assert told["changed"] and told["risk"] == "safe" and setting(shop, "maxmemory") == str(limit)
    done = shop.act("redis_config", component="cache", maxmemory="grow")
    assert done["changed"] and done["record"]["result"] == "held", (done.get("msg"), done.get("record"))
    after = int(setting(shop, "maxmemory"))
    predicted("redis_config", told, done, {"maxmemory of cache": "(%d bytes)" % after, **state_of(shop, "reader")})
    assert "(%d bytes)" % after in told["diff"]["after"] and after % (16 << 20) == 0 and after >= 1.4 * limit
    assert sorted(done["touches"]) == ["cache", "reader"] and shop.running("reader") == 1
    assert done["lasting"] == ["nothing to write down: command line says maxmemory 64mb, a restart brings that back"]
    assert shop.act("redis_config", component="cache", maxmemory="grow")["changed"] is False
    assert shop.undo()["result"] == "undone"
    assert setting(shop, "maxmemory") == str(limit) and shop.running("reader") == 0
    cli(shop, "eval", "for i=1,20 do redis.call('UNLINK', 'export:'..i) end return 1", "0")
    cli(shop, "config", "set", "maxmemory", "64mb")
    shop.compose("up", "-d")


@pytest.mark.predicts("redis_config")
def test_a_limit_and_a_policy_of_ones_own(shop):
    asked = {"component": "cache", "maxmemory": "100mb", "maxmemory_policy": "allkeys-lru"}
    told, done = shop.act("redis_config", True, **asked), shop.act("redis_config", **asked)
    settings = {"maxmemory of cache": "(%s bytes)" % setting(shop, "maxmemory"), "maxmemory-policy of cache": setting(shop, "maxmemory-policy")}
    predicted("redis_config", told, done, settings)
    assert (setting(shop, "maxmemory"), setting(shop, "maxmemory-policy")) == (str(100 << 20), "allkeys-lru")
    assert done["lasting"] == [
        "the server's command says --maxmemory 64mb: write --maxmemory 100mb, a restart brings the old value back",
        "the server's command says --maxmemory-policy noeviction: write --maxmemory-policy allkeys-lru, a restart brings the old value back",
    ]
    assert shop.act("redis_config", **asked)["changed"] is False
    shop.undo()
    assert (setting(shop, "maxmemory"), setting(shop, "maxmemory-policy")) == (str(64 << 20), "noeviction")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"maxmemory": "200mb"}, "75 % of its container's 256 MiB"),
        ({"maxmemory": "100000"}, "are used already"),
        ({"maxmemory": "lots"}, "is no size"),
    ],
)
def test_refused_limits(shop, asked, said):
    answer = shop.act("redis_config", component="cache", **asked)
    assert answer["failed"] and said in answer["msg"] and setting(shop, "maxmemory") == str(64 << 20)


def test_a_broker_keeps_its_keys(shop):
    cli(shop, "-n", "3", "sadd", "_kombu.binding.celery", "celery\x06\x16\x06\x16celery")
    answer = shop.act("redis_config", component="cache", maxmemory_policy="volatile-lru")
    assert answer["failed"] and "broker" in answer["msg"] and setting(shop, "maxmemory-policy") == "noeviction"
    cli(shop, "-n", "3", "del", "_kombu.binding.celery")


def break_saving(shop) -> None:
    cli(shop, "bgsave")
    wait_until(lambda: "rdb_last_bgsave_status:err" in cli(shop, "info", "persistence"), "the save failed")
    wait_until(lambda: not shop.running("reader"), "the client was refused and has ended")


@pytest.mark.predicts("redis_persistence")
def test_a_save_that_fails_for_a_lost_right(shop):
    mode = shop.inside("cache", "stat", "-c", "%a", "/data")
    shop.inside("cache", "chmod", "0555", "/data")
    break_saving(shop)
    told = shop.act("redis_config", True, component="cache", repair="persistence")
    assert "mode of /data in actredis-cache-1: 0755" in told["diff"]["after"] and shop.inside("cache", "stat", "-c", "%a", "/data") == "555"
    done = shop.act("redis_config", component="cache", repair="persistence")
    assert done["risk"] == "safe" and done["record"]["result"] == "held", (done.get("msg"), done.get("record"))
    saved = {"last save of cache": "written" if "rdb_last_bgsave_status:ok" in cli(shop, "info", "persistence") else "failed"}
    mode_now = {"mode of /data in %s" % shop.container("cache"): "0" + shop.inside("cache", "stat", "-c", "%a", "/data")}
    predicted("redis_persistence", told, done, {**mode_now, **saved, **state_of(shop, "reader")})
    assert shop.inside("cache", "stat", "-c", "%a", "/data") == "755" and "rdb_last_bgsave_status:ok" in cli(shop, "info", "persistence")
    assert shop.running("reader") == 1 and setting(shop, "stop-writes-on-bgsave-error") == "yes"
    assert shop.act("redis_config", component="cache", repair="persistence")["changed"] is False
    assert shop.undo()["result"] == "undone"
    assert shop.inside("cache", "stat", "-c", "%a", "/data") == "555" and shop.running("reader") == 0
    shop.inside("cache", "chmod", mode, "/data")
    shop.compose("up", "-d")


def test_whose_a_folder_is_is_not_guessed(shop):
    shop.inside("cache", "chown", "0", "/data")
    break_saving(shop)
    answer = shop.act("redis_config", component="cache", repair="persistence")
    assert answer["failed"] and "is not guessed" in answer["msg"] and shop.inside("cache", "stat", "-c", "%u", "/data") == "0"
    shop.inside("cache", "chown", "redis", "/data")
    # The cause is gone, the refusal is not: a save is all that is missing.
    done = shop.act("redis_config", component="cache", repair="persistence")
    assert done["changed"] and "mode of" not in done["diff"]["after"] and cli(shop, "set", "a", "b") == "OK"


@pytest.mark.predicts("redis_password")
def test_a_password_set_at_run_time(shop):
    cli(shop, "set", "kept", "yes")
    cli(shop, "config", "set", "requirepass", "Run-t1me-8831")
    wait_until(lambda: not shop.running("reader"), "the client was refused and has ended")
    told = shop.act("redis_config", True, component="cache", repair="password")
    assert told["changed"] and told["risk"] == "disruptive" and cli(shop, "ping").startswith("NOAUTH")
    started = run("docker", "inspect", "-f", "{{.State.StartedAt}}", shop.container("cache"))
    done = shop.act("redis_config", component="cache", repair="password")
    assert done["record"]["result"] == "held", (done.get("msg"), done.get("record"))
    anew = "restarted" if run("docker", "inspect", "-f", "{{.State.StartedAt}}", shop.container("cache")) != started else "the same"
    predicted("redis_password", told, done, {"container " + shop.container("cache"): anew, **state_of(shop, "reader")})
    assert cli(shop, "get", "kept") == "yes" and shop.running("reader") == 1
    assert shop.act("redis_config", component="cache", repair="password")["changed"] is False


def test_what_a_restart_would_lose(shop):
    cli(shop, "config", "set", "requirepass", "Run-t1me-8832", service="bare")
    wait_until(lambda: not shop.running("reader"), "the client was refused and has ended")
    refused = shop.act("redis_config", component="bare", repair="password")
    assert refused.get("failed") and "no save points" in refused["msg"], refused.get("msg")
    assert cli(shop, "ping", service="bare").startswith("NOAUTH")
    done = shop.act("redis_config", component="bare", repair="password", accept_data_loss=True)
    assert done["changed"] and done["risk"] == "transient", (done.get("msg"), done.get("record"))
    assert cli(shop, "ping", service="bare") == "PONG" and shop.running("reader") == 1


def test_what_does_not_answer_is_no_matter_of_a_password(shop):
    run("docker", "pause", shop.container("cache"))
    try:
        started = time.monotonic()
        answer = shop.act("redis_config", component="cache", repair="password")
        assert answer["failed"] and time.monotonic() - started < 50
    finally:
        run("docker", "unpause", shop.container("cache"))
