# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a stack's servers are visited: one connection at each, with an account that is let in, and an answer for each question."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import contextmanager
from typing import Any, Iterator

import pytest
from brokers import Celery, Redis, redis_server, wait_until

from ansible_collections.aiops.runbook.plugins.module_utils.connect.redis import CLIENT_NAME
from ansible_collections.aiops.runbook.plugins.module_utils.connect.turnstile import SEATS
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Options, Scene
from ansible_collections.aiops.runbook.plugins.module_utils.observe.servers import Servers
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import Target
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Instance, Process
from ansible_collections.aiops.runbook.plugins.module_utils.probes import Probes
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

PASSWORD = "One-v1sit-0nly-4471"


class Nowhere:
    """A platform of parts that all stand on this machine."""

    def __init__(self, *components: Component) -> None:
        self.parts = components

    def components(self) -> list[Component]:
        return list(self.parts)

    def enter(self, _one: Instance) -> None:
        return None

    def ports(self, _one: Instance, _host: str) -> None:
        return None

    def resolve(self, _one: Instance, host: str, _timeout: float, inside: bool) -> list[str]:
        return [host]

    def address(self, _one: Instance | None, address: str, port: int) -> tuple[str, int]:
        return address, port


def part(name: str, role: str, command: str = "") -> Component:
    one = Instance(id="id-" + name, name=name, state="running", home_network="host", processes=[Process(1, 0, "S", command)])
    return Component(id=name, role=role, instances=[one])


def servers(redis: Redis, *targets: Target, timeout: float = 5.0, said: dict[str, str] | None = None, **accounts: Any) -> Servers:
    """A worker and an api that use this Redis. said: the last line of a component's log."""
    parts = [part("queue", "redis"), part("api", "api"), part("worker", "worker", "celery worker")]
    scene = Scene(Nowhere(*parts), Mask(), Options(timeout=timeout, accounts=accounts))
    for target in targets:
        target.port = redis.port
        scene.targets.setdefault(target.component, []).append(target)
    scene.logs = {"id-" + name: [line] for name, line in (said or {}).items()}
    # All of them at localhost: that name means the Redis.
    scene.component_at = lambda _client, _host, _kind="": parts[0]
    scene.sockets = {"id-queue": {"listening": [{"port": redis.port}]}}
    return Servers(scene)


def target(component: str, kind: str, database: str = "0", user: str = "", password: str = "") -> Target:
    return Target(component, kind.upper() + "_URL", "environment", kind, "127.0.0.1", 0, user, password, database)


def asked(found: Servers) -> dict[str, Any]:
    return Probes(found.scene.options.timeout).gather(found.asking())


@contextmanager
def watched(redis: Redis, *words: str) -> Iterator[list[str]]:
    """The addresses from which connections of ours came meanwhile, each as often as it introduced itself."""
    seen: list[str] = []
    with subprocess.Popen(["redis-cli", "-p", str(redis.port), *words, "monitor"], stdout=subprocess.PIPE, text=True) as monitor:
        assert monitor.stdout and monitor.stdout.readline() == "OK\n"
        yield seen
        redis.cli(*words, "echo", "that was all")
        for line in monitor.stdout:
            if "that was all" in line:
                break
            if '"SETNAME" "%s"' % CLIENT_NAME in line:
                seen.append(line.split("]", 1)[0].rsplit(" ", 1)[-1])
        monitor.kill()


def test_one_connection_for_its_own_facts_and_the_queues_also_across_databases(tmp_path):
    with redis_server(tmp_path / "redis") as redis:
        shop = Celery(tmp_path / "shop", "redis://127.0.0.1:%d/2" % redis.port)
        redis.cli("-n", "1", "set", "cache:a", "b")
        with shop.worker("-c", "1"):
            with watched(redis) as seen:
                answers = asked(servers(redis, target("api", "cache", "1"), target("worker", "broker", "2")))
            assert len(seen) == 1, seen
            assert answers["redis:queue"]["answers"] is True and answers["redis:queue"]["broker_databases"] == [2]
            celery = answers["celery:queue"]
            assert [worker["queues"] for worker in celery["workers"]] == [["celery"]] and celery["place"]["database"] == 2
            assert redis.cli("-n", "0", "dbsize") == "0", "our reply queue stood in the broker's database, and is gone"


def test_a_worker_that_hangs_costs_the_queues_answer_only(tmp_path):
    with redis_server(tmp_path / "redis") as redis:
        shop = Celery(tmp_path / "shop", "redis://127.0.0.1:%d/0" % redis.port)
        with shop.worker("-c", "1") as worker:
            wait_until(lambda: redis.cli("pubsub", "numpat") != "0" or redis.cli("pubsub", "channels"), "the worker that says it is ready listens")
            os.killpg(worker.pid, signal.SIGSTOP)
            answers = asked(servers(redis, target("api", "cache"), target("worker", "broker"), timeout=2.0))
            assert answers["redis:queue"]["answers"] is True
            assert answers["celery:queue"]["workers"] == [] and answers["celery:queue"]["listening"] >= 1


def test_a_server_that_hangs_is_said_of_both_within_the_time(tmp_path):
    with redis_server(tmp_path / "redis") as redis:
        os.kill(redis.process.pid, signal.SIGSTOP)
        answers = asked(servers(redis, target("api", "cache"), target("worker", "broker"), timeout=1.5))
        assert [answers[name]["answers"]["unseen"]["kind"] for name in ("redis:queue", "celery:queue")] == ["timeout", "timeout"]
        assert answers["celery:queue"]["worker_components"] == ["worker"]


def refusals(redis: Redis) -> str:
    return redis.cli("-a", PASSWORD, "--no-auth-warning", "info", "errorstats")


@pytest.mark.parametrize("owner", ["api", "worker"])
def test_a_client_with_a_wrong_password_costs_no_failed_login_of_ours(owner, tmp_path):
    """The owner of the wrong one complains in its log; the other's account is taken, for both looks."""
    with redis_server(tmp_path / "redis", "--requirepass", PASSWORD) as redis:
        words = {name: "not-this-one" if name == owner else PASSWORD for name in ("api", "worker")}
        targets = [target("api", "cache", "1", password=words["api"]), target("worker", "broker", password=words["worker"])]
        before = refusals(redis)
        found = servers(redis, *targets, said={owner: "redis.exceptions.AuthenticationError: WRONGPASS invalid username-password pair"})
        with watched(redis, "-a", PASSWORD, "--no-auth-warning") as seen:
            answers = asked(found)
        assert len(seen) == 1 and refusals(redis) == before
        assert answers["redis:queue"]["answers"] is True and answers["celery:queue"]["answers"] is True
        assert {one["component"]: one["accepted"] for one in answers["redis:queue"]["accounts"]} == {"api": owner != "api", "worker": owner != "worker"}


def test_the_broker_s_own_account_sees_what_the_cache_s_may_not(tmp_path):
    """Two users with rights of their own: the same connection goes on as the broker's."""
    with redis_server(tmp_path / "redis") as redis:
        redis.cli("acl", "setuser", "cache", "on", ">" + PASSWORD, "~cache:*", "+@read", "+info", "+select", "+time", "+ping", "+client")
        redis.cli("acl", "setuser", "jobs", "on", ">" + PASSWORD + "-jobs", "~*", "&*", "+@all")
        with watched(redis) as seen:
            answers = asked(servers(redis, target("api", "cache", "1", "cache", PASSWORD), target("worker", "broker", "0", "jobs", PASSWORD + "-jobs")))
        assert len(seen) == 1
        assert answers["redis:queue"]["account"]["user"] == "cache" and answers["celery:queue"]["answers"] is True
        assert "NOPERM" not in str(answers["celery:queue"])


def test_so_many_are_at_one_redis_at_once_and_wait_for_each_other(tmp_path):
    with redis_server(tmp_path / "redis") as redis:
        looks = [servers(redis, target("api", "cache"), target("worker", "broker")) for _stack in range(12)]
        most: list[int] = []
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                most.append(redis.cli("client", "list").count("name=%s " % CLIENT_NAME))

        watcher = threading.Thread(target=watch)
        watcher.start()
        answers = [one.answers() for one in [Probes(20).begin(found.asking()) for found in looks]]
        over.set()
        watcher.join()
        assert 1 <= max(most) <= SEATS, most
        assert all(answer["answers"] is True for one in answers for answer in one.values())
