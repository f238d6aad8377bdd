# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""celery_check on a real broker with real workers: each finding made to appear by Celery's own commands, beside a case where it must not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from brokers import Celery, Redis, cleared, found, redis_server, run_module, wait_until

from ansible_collections.aiops.runbook.plugins.module_utils.connect import celery as connect_celery
from ansible_collections.aiops.runbook.plugins.module_utils.connect.redis import RedisTarget

SECRET = "Qu13t-Argum3nt-5512"


@pytest.fixture
def broker(tmp_path):
    with redis_server(tmp_path / "redis") as redis:
        yield redis


@pytest.fixture
def shop(tmp_path, broker):
    return Celery(tmp_path / "shop", "redis://127.0.0.1:%d/0" % broker.port)


def check(broker: Redis, **options):
    return run_module("celery_check", login_host="127.0.0.1", login_port=broker.port, **options)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path("/proc/%d/task/%d/children" % (pid, pid)).read_text().split()]


def test_no_celery_at_all_is_no_illness(broker):
    answer = check(broker)
    assert answer["verdict"] == "healthy" and not answer["findings"] and answer["facts"]["samples"] == []


def test_a_healthy_worker_and_a_good_guest(broker, shop):
    with shop.worker("-c", "2"):
        shop.send("[add.delay(1, 2) for _ in range(5)]")
        wait_until(lambda: int(broker.cli("llen", "celery")) == 0, "they are done")
        time.sleep(1)
        before = (broker.keys(), broker.accepted())
        answer = check(broker, expected_workers=1, check_mode=True)
        after = (broker.keys(), broker.accepted())
        assert answer["verdict"] == "healthy" and not answer["findings"] and not answer["changed"]
        assert before[0] == after[0], "no key of ours remains"
        # accepted() and keys() open one each; the check must have opened one.
        assert after[1] - before[1] == 2 + 1
        worker = answer["facts"]["workers"][0]
        assert worker["processed"] == 5 and worker["concurrency"] == 2 and worker["queues"] == ["celery"] and "shop.add" in worker["registered"]
        assert {one["id"] for one in answer["cleared"]} == {
            "celery.no_worker",
            "celery.queue_without_consumer",
            "celery.worker_not_responding",
            "celery.worker_stalled",
            "celery.queue_backlog",
            "celery.task_unregistered",
            "celery.oldest_unacked",
        }


def test_no_worker(broker, shop):
    shop.call("shop.add", "--args", "[1, 2]")
    answer = check(broker)
    assert found(answer) == {"celery.no_worker": "critical"} and answer["findings"][0]["evidence"]["waiting"] == 1
    with shop.worker("-c", "1"):
        wait_until(lambda: int(broker.cli("llen", "celery")) == 0, "it is done")
        assert found(check(broker)) == {}


def test_a_queue_that_nobody_consumes_and_one_with_priorities(broker, shop):
    with shop.worker("-c", "1"):
        shop.send("urgent.apply_async(priority=9); urgent.apply_async(priority=3); urgent.apply_async()")
        answer = check(broker)
        assert found(answer) == {"celery.queue_without_consumer": "critical"}
        evidence = answer["findings"][0]["evidence"]
        assert (evidence["queue"], evidence["length"], evidence["consumed"], evidence["tasks"]) == ("priority", 3, ["celery"], ["shop.urgent"])
        queue = next(one for one in answer["facts"]["queues"] if one["name"] == "priority")
        assert queue["priorities"] == {"0": 1, "3": 1, "9": 1}
        with shop.worker("-c", "1", "-Q", "priority", name="w2"):
            wait_until(lambda: not [key for key in broker.keys() if key.startswith("priority")], "they are done")
            assert found(check(broker, expected_workers=2)) == {}


def test_a_worker_that_does_not_respond(broker, shop):
    with shop.worker("-c", "1"):
        assert found(check(broker, expected_workers=1)) == {}
        assert found(check(broker, expected_workers=2)) == {"celery.worker_not_responding": "warning"}
        with shop.worker("-c", "1", name="w2") as second:
            wait_until(lambda: found(check(broker, expected_workers=2)) == {}, "it answers")
            os.kill(second.pid, signal.SIGSTOP)
            answer = check(broker)
            assert found(answer) == {"celery.worker_not_responding": "warning"} and answer["findings"][0]["evidence"]["silent"] == 1
            os.kill(second.pid, signal.SIGCONT)
            wait_until(lambda: found(check(broker, expected_workers=2)) == {}, "it answers again")


def test_a_worker_that_is_stalled(broker, shop):
    with shop.worker("-c", "2") as process:
        pool = children(process.pid)
        for child in pool:
            os.kill(child, signal.SIGSTOP)
        shop.send("[add.delay(1, 2) for _ in range(20)]")
        wait_until(lambda: check(broker)["facts"]["workers"][0]["reserved"] > 0, "it holds tasks")
        answer = check(broker)
        assert found(answer) == {"celery.worker_stalled": "critical"}, answer["facts"]["samples"]
        for child in pool:
            os.kill(child, signal.SIGCONT)
        wait_until(lambda: int(broker.cli("llen", "celery")) == 0, "it works again")
        wait_until(lambda: found(check(broker)) == {}, "it is well again")


def test_a_busy_worker_is_no_illness(broker, shop):
    with shop.worker("-c", "2", "--prefetch-multiplier", "1"):
        shop.send("[nap.delay(6, '%s') for _ in range(12)]" % SECRET)
        wait_until(lambda: check(broker)["facts"]["workers"][0]["active"] == 2, "it is busy")
        answer = check(broker)
        assert found(answer) == {} and answer["facts"]["workers"][0]["active"] == 2 and len(answer["facts"]["samples"]) == 2
        assert SECRET not in json.dumps(answer)
        assert {task["name"] for task in answer["facts"]["workers"][0]["active_tasks"]} == {"shop.nap"}


def test_tasks_with_a_rate_limit_and_with_an_eta_may_wait(broker, shop):
    with shop.worker("-c", "2"):
        shop.send("[slowly.delay() for _ in range(3)]; [add.apply_async((1, 2), countdown=300) for _ in range(3)]")
        wait_until(lambda: check(broker)["facts"]["workers"][0]["scheduled"] == 3, "they are scheduled")
        assert found(check(broker)) == {}


def test_a_backlog(broker, shop):
    with shop.worker("-c", "1", "--prefetch-multiplier", "1"):
        shop.send("[nap.delay(30) for _ in range(120)]")
        wait_until(lambda: check(broker)["facts"]["workers"][0]["active"] == 1, "it is busy")
        answer = check(broker)
        assert found(answer) == {"celery.queue_backlog": "warning"} and answer["findings"][0]["evidence"]["length"] >= 100
        assert found(check(broker, limits={"celery_queue_length_warning": 500})) == {}


def test_a_backlog_that_is_worked_off_is_none(broker, shop):
    with shop.worker("-c", "2"):
        shop.send("[nap.delay(0.02) for _ in range(600)]")
        wait_until(lambda: 0 < int(broker.cli("llen", "celery")) < 550, "it works")
        assert found(check(broker)) == {}


def test_a_task_that_the_workers_do_not_know(broker, shop):
    with shop.worker("-c", "1", "--prefetch-multiplier", "1"):
        shop.send("[nap.delay(8) for _ in range(4)]")
        shop.call("shop.gone", "--args", json.dumps([SECRET]))
        wait_until(lambda: check(broker)["facts"]["workers"][0]["active"] == 1, "it is busy")
        answer = check(broker)
        assert found(answer) == {"celery.task_unregistered": "critical"} and answer["findings"][0]["evidence"]["tasks"] == ["shop.gone"]
        assert SECRET not in json.dumps(answer)


def test_unacknowledged_for_too_long(broker, shop, tmp_path):
    late = Celery(tmp_path / "late", "redis://127.0.0.1:%d/0" % broker.port, LATE="1")
    with late.worker("-c", "1"):
        late.send("nap.delay(30)")
        wait_until(lambda: check(broker)["facts"]["unacked"]["count"] == 1, "it is in hand")
        assert found(check(broker)) == {}
        time.sleep(1.1)
        assert found(check(broker, limits={"celery_oldest_unacked_seconds_warning": 1})) == {"celery.oldest_unacked": "warning"}


def test_a_prefix_is_found(tmp_path, broker):
    shop = Celery(tmp_path / "shop", "redis://127.0.0.1:%d/0" % broker.port, PREFIX="tenant_")
    with shop.worker("-c", "1"):
        shop.send("urgent.delay()")
        before = broker.keys()
        answer = check(broker, expected_workers=1)
        assert answer["facts"]["key_prefix"] == "tenant_" and found(answer) == {"celery.queue_without_consumer": "critical"}
        assert answer["findings"][0]["evidence"]["queue"] == "priority" and broker.keys() == before


def test_failures_are_told_by_where_and_never_by_what(tmp_path, broker):
    url = "redis://127.0.0.1:%d/0" % broker.port
    shop = Celery(tmp_path / "shop", url, BACKEND=url)
    with shop.worker("-c", "1"):
        shop.send("[fail.delay('%s') for _ in range(3)]; add.delay(1, 2)" % SECRET)
        wait_until(lambda: check(broker)["facts"]["results"]["sampled"] == 4, "the results are there")
        answer = check(broker)
        assert found(answer) == {} and answer["facts"]["results"]["failed"] == 3
        failure = answer["facts"]["results"]["failures"][0]
        assert failure["error"] == "ValueError" and failure["count"] == 3 and failure["where"].startswith("shop.py:") and failure["where"].endswith("in fail")
        assert SECRET not in json.dumps(answer)


def test_lists_of_others_are_no_queues(broker, shop):
    with shop.worker("-c", "1"):
        shop.send("add.delay(1, 2)")
        broker.cli("rpush", "mylist", "a", "b")
        broker.cli("rpush", "jsonlist", '{"body": "x"}', '{"properties": {}, "body": "", "headers": {"task": "shop.add"}, "x": 1}')
        # A quarantine of an operator: real messages, which say that they belong elsewhere.
        message = {"body": "W10=", "headers": {"task": "shop.add"}, "properties": {"delivery_info": {"routing_key": "celery"}}}
        broker.cli("rpush", "quarantine", json.dumps(message))
        broker.cli("del", "jsonlist")
        wait_until(lambda: int(broker.cli("llen", "celery")) == 0, "it is done")
        answer = check(broker)
        assert found(answer) == {} and [queue["name"] for queue in answer["facts"]["queues"]] == ["celery"]


def test_a_large_keyspace_is_not_walked_through(broker, shop):
    broker.stop()
    broker.words = (*broker.words, "--enable-debug-command", "local")
    broker.start()
    broker.cli("debug", "populate", "300000", "cache", "20")
    with shop.worker("-c", "1"):
        shop.send("urgent.delay()")
        answer = check(broker, expected_workers=1)
        assert found(answer) == {"celery.queue_without_consumer": "critical"} and not answer["facts"]["scan"]["complete"]


def test_the_broker_itself_is_away(broker):
    broker.stop()
    answer = check(broker)
    assert answer["verdict"] == "unknown" and not answer["findings"] and "refuses" in answer["unknown"][0]["reason"]


def test_asking_stays_in_the_calling_thread(broker, shop):
    with shop.worker("-c", "1"):
        threads = set()
        before = threading.active_count()
        real = threading.Thread.start

        def start(thread):
            threads.add(thread.name)
            real(thread)

        threading.Thread.start = start
        try:
            seen = connect_celery.inspect(RedisTarget(host="no.such.name.invalid", address="127.0.0.1", port=broker.port), expected=1, timeout=30.0)
        finally:
            threading.Thread.start = real
        assert seen.listening == 1 and not threads and threading.active_count() == before
        assert len(seen.replies) == 1
        replies = next(iter(seen.replies.values()))
        assert set(replies) == set(connect_celery.METHODS) and replies["ping"] == {"ok": "pong"}
        assert seen.seconds < 25, "it does not wait out its time when all have answered"


def test_it_does_without_celery(broker):
    """On a Docker host kombu is enough."""
    script = (
        "import sys; sys.modules['celery'] = None\n"
        "from ansible_collections.aiops.runbook.plugins.module_utils.observe.celery import observe_celery\n"
        "from ansible_collections.aiops.runbook.plugins.module_utils.connect.redis import RedisTarget\n"
        "from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask\n"
        "print(observe_celery('redis', RedisTarget(port=%d), Mask(), 3.0)['answers'])" % broker.port
    )

    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "True"
    assert "celery.no_worker" in cleared(check(broker))
