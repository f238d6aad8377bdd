# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import copy
import fnmatch

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.connect import redis as connect_redis
from ansible_collections.aiops.runbook.plugins.module_utils.judge import redis as judge
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, INFO, WARNING, Clear, Finding, Unseen, unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.document import _mark_brokers
from ansible_collections.aiops.runbook.plugins.module_utils.observe.redis import SECTIONS, _Look, broker_databases, busy, read_info
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask
from ansible_collections.aiops.runbook.plugins.plugin_utils.knowledge import catalogue, say

MEGA = 1 << 20
HEALTHY = {
    "component": "redis",
    "place": {"host": "redis", "port": 6379, "database": 0, "tls": False},
    "answers": True,
    "now": 1000,
    "server": {"version": "7.0.15", "flavour": "redis", "run_id": "x", "mode": "standalone", "uptime_seconds": 900, "role": "master", "databases": 16},
    "memory": {"used": 20 * MEGA, "max": 100 * MEGA, "policy": "noeviction", "evicted": 0, "keys": 100, "expiring": 10, "oom_errors": 0},
    "persistence": {
        "loading": False,
        "rdb_last_bgsave_status": "ok",
        "rdb_last_save_at": 900,
        "rdb_changes": 3,
        "rdb_in_progress": False,
        "save": True,
        "stop_writes_on_bgsave_error": True,
        "aof_enabled": False,
        "aof_last_write_status": "ok",
        "aof_last_rewrite_status": "ok",
        "misconf_errors": 0,
    },
    "clients": {"connected": 12, "own": 1, "max": 10000, "blocked": 2, "rejected": 0},
    "stats": {"errors": {}, "total_error_replies": 0, "since": {"seconds": 0.1, "rejected": 0, "evicted": 0}},
    "replication": {"role": "master", "master_host": "", "master_link": "", "read_only": False, "replicas": 0, "readonly_errors": 0},
    "latency": {
        "p50_ms": 0.1,
        "p99_ms": 0.3,
        "ms": [0.1] * 19 + [0.3],
        "samples": 20,
        "dropped": 0,
        "slowlog": [],
        "events": [],
        "busy": {"seconds": 0.02, "percent": 2.0},
    },
    "keyspace": {"0": {"keys": 100, "expires": 10}},
    "holds_broker": True,
    "broker_databases": [0],
}


def changed(**sections):
    seen = copy.deepcopy(HEALTHY)
    for section, facts in sections.items():
        if isinstance(facts, dict) and "unseen" not in facts:
            seen[section].update(facts)
        else:
            seen[section] = facts
    return seen


def lost(kind, **more):
    why = unseen("it is " + kind, kind=kind)
    why["unseen"].update(more)
    return {"component": "redis", "place": HEALTHY["place"], "answers": why, **dict.fromkeys(SECTIONS, why)}


def judged(seen, **limits):
    return list(judge_domain("redis", seen, Limits(limits)))


def findings(seen, **limits):
    return {answer.id: answer.severity for answer in judged(seen, **limits) if isinstance(answer, Finding)}


def test_healthy_gives_no_finding_and_every_figure():
    answers = judged(HEALTHY)
    assert all(isinstance(answer, Clear) for answer in answers)
    assert {answer.id for answer in answers} == {name for name in catalogue() if name.startswith("redis.") and name != "redis.password_rejected"}
    for answer in answers:
        for lang in ("en", "zh-TW"):
            assert "?" not in say(answer.id, "clear", {"component": "redis", **answer.evidence}, lang), answer.id


def ms(*late):
    return {"ms": sorted([0.2] * (20 - len(late)) + list(late)), "p99_ms": max(late, default=0.2), "samples": 20}


AT_WORK = {"busy": {"seconds": 0.8, "percent": 90.0}}
UNTOLD = unseen("commandstats is denied", kind="denied")


# A full server that may evict keys with an expiry only.
VOLATILE = {"used": 100 * MEGA, "policy": "volatile-lru", "keys": 10_000, "expiring": 5_000}
REFUSING = {"seconds": 0.1, "rejected": 0, "evicted": 0, "oom": 4}


def slowlog(count, took, ago, command="KEYS"):
    return [{"command": command, "ms": took, "seconds_ago": ago}] * count


@pytest.mark.parametrize(
    "seen,expected",
    [
        # memory
        (changed(memory={"used": 79 * MEGA}), {}),
        (changed(memory={"used": 80 * MEGA}), {"redis.memory_near_limit": WARNING}),
        (changed(memory={"used": 95 * MEGA}), {"redis.memory_near_limit": CRITICAL}),
        (changed(memory={"used": 99.5 * MEGA}), {"redis.memory_near_limit": CRITICAL}),
        (changed(memory={"used": 99.5 * MEGA, "oom_errors": 3}), {"redis.memory_full": CRITICAL}),
        (changed(memory={"used": 100 * MEGA}), {"redis.memory_full": CRITICAL}),
        (changed(memory={"used": 50 * MEGA, "oom_errors": 9000}), {}),
        (changed(memory={"used": 99 * MEGA, "policy": "allkeys-lru"}, holds_broker=False), {}),
        (changed(memory={"used": 100 * MEGA, "policy": "volatile-lru", "expiring": 50}), {}),
        (changed(memory={"used": 100 * MEGA, "policy": "volatile-lru", "expiring": 0}), {"redis.memory_full": CRITICAL}),
        # by a policy that spares keys without an expiry: writes are refused just now, or were, and there is next to nothing to evict
        (changed(memory=VOLATILE), {}),
        (changed(memory={**VOLATILE, "oom_errors": 52_000}), {}),
        (changed(memory={**VOLATILE, "oom_errors": 52_000}, stats={"since": REFUSING}), {"redis.memory_full": CRITICAL}),
        (changed(memory={**VOLATILE, "used": 99.5 * MEGA}, stats={"since": REFUSING}), {"redis.memory_full": CRITICAL}),
        (changed(memory={**VOLATILE, "used": 90 * MEGA, "oom_errors": 52_000}, stats={"since": REFUSING}), {}),
        (changed(memory={**VOLATILE, "expiring": 1, "oom_errors": 52_000}), {"redis.memory_full": CRITICAL}),
        (changed(memory={**VOLATILE, "expiring": 1, "oom_errors": 52_000}, stats=unseen("denied", kind="denied")), {"redis.memory_full": CRITICAL}),
        (changed(memory={**VOLATILE, "expiring": 1}), {}),  # a few large ones may be room enough: nothing was ever refused
        (changed(memory={**VOLATILE, "expiring": 50, "oom_errors": 9}, stats={"since": {**REFUSING, "oom": 0, "evicted": 7}}), {}),
        (changed(memory={**VOLATILE, "policy": "allkeys-lru", "expiring": 1, "oom_errors": 9}, holds_broker=False), {}),
        (changed(memory={"max": 0}), {"redis.no_memory_limit": INFO}),
        # eviction
        (changed(memory={"policy": "allkeys-lru"}), {"redis.evicts_broker_keys": WARNING}),
        (changed(memory={"policy": "allkeys-lru", "max": 0}), {"redis.no_memory_limit": INFO}),
        (changed(memory={"policy": "volatile-ttl"}), {}),
        # persistence
        (changed(persistence={"rdb_last_bgsave_status": "err"}), {"redis.save_failing": CRITICAL}),
        (changed(persistence={"rdb_last_bgsave_status": "err", "stop_writes_on_bgsave_error": False}), {"redis.save_failing": WARNING}),
        (changed(persistence={"rdb_last_bgsave_status": "err", "save": False}), {"redis.save_failing": WARNING}),
        (
            changed(persistence={"rdb_last_bgsave_status": "err", "stop_writes_on_bgsave_error": unseen("denied"), "save": unseen("denied")}),
            {"redis.save_failing": CRITICAL},
        ),
        (changed(persistence={"aof_enabled": True, "aof_last_write_status": "err"}), {"redis.save_failing": CRITICAL}),
        (changed(persistence={"aof_enabled": False, "aof_last_write_status": "err"}), {}),
        (changed(persistence={"aof_enabled": True, "aof_last_rewrite_status": "err"}), {"redis.save_failing": WARNING}),
        # latency
        (changed(latency={**ms(9.0, 9.0, 9.0, 9.0), **AT_WORK}), {}),
        (changed(latency={**ms(60.0), **AT_WORK}), {}),
        (changed(latency={**ms(150.0, 12.0), **AT_WORK}), {}),
        (changed(latency={**ms(12.0, 13.0, 14.0), **AT_WORK}), {"redis.slow": WARNING}),
        (changed(latency={**ms(12.0, 13.0, 500.0), **AT_WORK}), {"redis.slow": WARNING}),
        (changed(latency={**ms(120.0, 130.0, 500.0), **AT_WORK}), {"redis.slow": CRITICAL}),
        (changed(latency={**ms(*[12.0] * 6), **AT_WORK, "dropped": 9}), {"redis.slow": WARNING}),
        (changed(latency={**ms(), "busy": {"seconds": 0.1, "percent": 95.0}}), {}),  # at work, and in time all the same
        # late by the fault of the machine that measures, whatever they cost
        (changed(latency=ms(12.0, 13.0, 14.0, 15.0, 16.0)), {}),
        (changed(latency=ms(120.0, 130.0, 140.0, 150.0, 500.0)), {}),
        (changed(latency=ms(*[60.0] * 9)), {}),
        (changed(latency={**ms(*[60.0] * 15), "dropped": 21}), {}),
        (changed(latency={**ms(*[60.0] * 6), "slowlog": slowlog(4, 15.0, 200)}), {}),
        (changed(latency={**ms(*[60.0] * 6), "slowlog": slowlog(2, 12.0, 3, "INFO")}), {}),
        # late more often than not, and the machine that measures was in time
        (changed(latency=ms(*[12.0] * 11)), {"redis.slow": WARNING}),
        (changed(latency={"ms": [400.0, 410.0, 420.0], "p50_ms": 410.0, "p99_ms": 420.0, "samples": 3}), {"redis.slow": CRITICAL}),
        (changed(latency={"ms": [56.5, 166.4, 191.5, 304.7], "p50_ms": 191.5, "p99_ms": 304.7, "samples": 4}), {}),
        (changed(latency={**ms(*[12.0] * 11), "dropped": 2}), {"redis.slow": WARNING}),
        (changed(latency={**ms(*[12.0] * 11), "dropped": 6}), {}),
        # Redis's own latency monitor
        (changed(latency={**ms(12.0, 13.0, 14.0), "events": [{"event": "fork", "at": 990, "ms": 40, "max_ms": 90}]}), {"redis.slow": WARNING}),
        (changed(latency={**ms(12.0, 13.0, 14.0), "events": [{"event": "fork", "at": 600, "ms": 40, "max_ms": 90}]}), {}),
        (changed(latency={**ms(12.0, 13.0, 14.0), "events": unseen("denied", kind="denied")}), {}),
        # a server that does not tell how long its commands take
        (changed(latency={**ms(12.0, 13.0, 14.0), "busy": UNTOLD}), {}),
        (changed(latency={**ms(12.0, 13.0, 14.0), "busy": UNTOLD, "slowlog": slowlog(1, 30.0, 5)}), {"redis.slow": WARNING}),
        (changed(latency={**ms(12.0, 13.0, 14.0), "busy": UNTOLD, "slowlog": slowlog(9, 30.0, 500)}), {}),
        (changed(latency={**ms(*[12.0] * 11), "busy": UNTOLD}), {"redis.slow": WARNING}),
        (changed(latency={"slowlog": slowlog(1, 900.0, 5)}), {}),
        (changed(latency={"slowlog": slowlog(20, 400.0, 600)}), {}),
        (changed(latency={"slowlog": slowlog(20, 400.0, 3)}), {"redis.slow": WARNING}),
        (changed(latency={"slowlog": slowlog(3, 900.0, 3, "EVAL") + slowlog(2, 20.0, 3, "HELLO")}), {}),
        (changed(latency={"slowlog": unseen("denied", kind="denied")}), {}),
        # clients
        (changed(clients={"connected": 7900}), {}),
        (changed(clients={"connected": 8000}), {"redis.clients_near_limit": WARNING}),
        (changed(clients={"connected": 9500}), {"redis.clients_near_limit": CRITICAL}),
        (changed(clients={"connected": 9500, "rejected": 4}), {"redis.clients_near_limit": CRITICAL, "redis.rejected_connections": CRITICAL}),
        (changed(clients={"rejected": 4}), {}),
        (changed(stats={"since": {"seconds": 0.1, "rejected": 2, "evicted": 0}}), {"redis.rejected_connections": CRITICAL}),
        # replica
        (changed(replication={"role": "slave", "read_only": True}), {"redis.is_replica": CRITICAL}),
        (changed(replication={"role": "slave", "read_only": False}), {}),
        ({**changed(replication={"role": "slave", "read_only": True}), "expects_writes": False}, {}),
        # answers
        (lost("refused"), {"redis.not_answering": CRITICAL}),
        (lost("timeout"), {"redis.not_answering": CRITICAL}),
        (lost("protocol"), {"redis.not_answering": CRITICAL}),
        (lost("auth"), {"redis.auth_mismatch": CRITICAL}),
        (lost("auth_required"), {"redis.auth_mismatch": CRITICAL}),
        (lost("loading"), {"redis.loading": CRITICAL}),
        (lost("maxclients"), {"redis.rejected_connections": CRITICAL}),
        (lost("tls"), {}),
        (lost("missing_library"), {}),
    ],
)
def test_findings(seen, expected):
    assert findings(seen) == expected


@pytest.mark.parametrize("kind", ["refused", "auth", "loading", "maxclients", "tls", "missing_library"])
def test_what_was_not_seen_is_not_clear(kind):
    answers = {answer.id: answer for answer in judged(lost(kind))}
    assert set(answers) == {name for name in catalogue() if name.startswith("redis.") and name != "redis.password_rejected"}
    for name in ("redis.memory_full", "redis.save_failing", "redis.slow", "redis.is_replica", "redis.clients_near_limit"):
        assert isinstance(answers[name], Unseen)


def test_denied_config_is_said():
    seen = changed(memory={"max": unseen("CONFIG is denied", kind="denied")}, clients={"max": unseen("CONFIG is denied", kind="denied")})
    answers = {answer.id: answer for answer in judged(seen)}
    assert isinstance(answers["redis.memory_full"], Unseen) and isinstance(answers["redis.clients_near_limit"], Unseen)


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({}, Clear),  # Redis says itself that it had nothing to do
        (AT_WORK, Unseen),
        ({"busy": UNTOLD}, Unseen),
        ({"slowlog": slowlog(20, 400.0, 3)}, Finding),
    ],
)
def test_a_busy_machine_measures_nothing(more, kind):
    seen = changed(latency={"samples": 0, "dropped": 9, "ms": [], "p50_ms": 90.0, "p99_ms": 300.0, **more})
    assert isinstance({answer.id: answer for answer in judged(seen)}["redis.slow"], kind)


FIGURES = {"server_time_usec": 5_000_000, "cmdstat_get": {"calls": 5, "usec": 100_000}, "used_cpu_user_main_thread": 1.0, "used_cpu_sys_main_thread": 0.5}


@pytest.mark.parametrize(
    ("after", "percent"),
    [
        ({"server_time_usec": 6_000_000, "cmdstat_get": {"calls": 6, "usec": 120_000}}, 2.0),
        ({"server_time_usec": 6_000_000, "cmdstat_keys": {"calls": 6, "usec": 900_000}}, 90.0),
        ({"server_time_usec": 6_000_000, "used_cpu_user_main_thread": 1.5}, 50.0),  # no command, yet at work
        ({"server_time_usec": 6_000_000, "cmdstat_get": {"calls": 0, "usec": 0}}, 0.0),  # somebody reset the figures
        ({"server_time_usec": 5_500_000, "cmdstat_eval": {"calls": 1, "usec": 900_000}}, 100.0),  # a script's commands count twice
        ({"server_time_usec": None, "cmdstat_keys": {"calls": 6, "usec": 500_000}}, 25.0),  # by our clock: two seconds
    ],
)
def test_how_long_redis_was_at_work(after, percent):
    assert busy(FIGURES, {**FIGURES, **after}, 2.0)["percent"] == percent


def test_a_server_that_tells_nothing_of_its_work():
    assert busy({"server_time_usec": 1}, {"server_time_usec": 9}, 2.0)["unseen"]["kind"] == "denied"
    assert busy(FIGURES, FIGURES, 0.0)["unseen"]["kind"] == "denied"


def test_kind_of_password_trouble():
    problems = [
        next(one for one in judged(lost(kind, **more)) if isinstance(one, Finding)).evidence["problem"]
        for kind, more in (("auth", {}), ("auth_required", {}), ("auth", {"unneeded": True}))
    ]
    assert problems == ["wrong", "missing", "unneeded"]


def test_limits_are_options_also_per_component():
    assert findings(changed(memory={"used": 70 * MEGA}), redis_memory_percent_warning=60) == {"redis.memory_near_limit": WARNING}
    own = Limits(components={"redis": {"redis_latency_p99_ms_warning": 20}})
    assert not [one for one in judge_domain("redis", changed(latency={**ms(12.0, 13.0, 14.0), **AT_WORK}), own) if isinstance(one, Finding)]


def test_the_slow_log_names_the_commands_by_their_cost():
    seen = changed(
        latency={**ms(50.0, 50.0, 50.0), **AT_WORK, "slowlog": slowlog(8, 50.0, 2) + slowlog(1, 80.0, 5, "HGETALL") + slowlog(1, 900.0, 9999, "SORT")}
    )
    evidence = next(one for one in judged(seen) if isinstance(one, Finding)).evidence
    assert evidence["commands"] == ["KEYS x8 (up to 50 ms)", "HGETALL x1 (up to 80 ms)"]


@pytest.mark.parametrize(
    "info,flavour",
    [
        ({"redis_version": "7.0"}, "redis"),
        ({"valkey_version": "8.0", "redis_version": "7.2.4"}, "valkey"),
        ({"redis_version": "6.2", "dragonfly_version": "df-1"}, "dragonfly"),
        ({"redis_version": "6.3.4", "server_threads": 2}, "keydb"),
    ],
)
def test_flavours(info, flavour):
    assert read_info(info, {}, {"own": 1})["server"]["flavour"] == flavour


def test_info_with_and_without_config():
    info = {
        "used_memory": 5,
        "maxmemory": 10,
        "maxmemory_policy": "noeviction",
        "connected_clients": 4,
        "errorstat_OOM": {"count": 7},
        "db0": {"keys": 3, "expires": 1},
    }
    seen = read_info(info, unseen("denied", kind="denied"), {"own": 3})
    assert seen["memory"]["oom_errors"] == 7 and seen["memory"]["expiring"] == 1
    assert seen["clients"]["connected"] == 1
    assert seen["persistence"]["stop_writes_on_bgsave_error"]["unseen"]["kind"] == "denied"
    assert read_info(info, {"stop-writes-on-bgsave-error": "no", "save": ""}, {"own": 1})["persistence"]["save"] is False


# Whose keys


class Keys:
    """A Redis with these keys by database, as far as it is asked for them. denied: a command that the account may not use."""

    def __init__(self, keys, denied=""):
        self.keys, self.denied, self.database, self.scans = keys, denied, 7, 0
        self.found = []

    def pipeline(self, transaction):
        self.found = []
        return self

    def execute_command(self, command, database):
        assert command == "SELECT"
        self.database = database
        self.found.append("OK")

    def exists(self, *names):
        self.found.append(sum(name in self.keys[self.database] for name in names))

    def execute(self):
        return self.found

    def scan(self, cursor, match, count):
        """The keys by two."""
        if self.denied == "scan":
            raise connect_redis.redis.exceptions.NoPermissionError("no permissions")
        self.scans += 1
        some = self.keys[self.database][cursor : cursor + 2]
        return (cursor + 2 if cursor + 2 < len(self.keys[self.database]) else 0), fnmatch.filter(some, match)


WHOSE = [
    ("a broker's", {0: ["_kombu.binding.celery", "celery"]}, "", [0], 0),
    ("with a prefix", {0: ["a", "b"], 1: ["x", "y", "z", "shop:_kombu.binding.celery.pidbox", "shop:celery", "w"]}, "", [1], 3),
    ("of both kinds", {3: ["unacked"], 5: ["{shop}_kombu.binding.mail"]}, "", [3, 5], 1),
    ("a cache's", {0: ["a", "b", "c"], 2: ["kombu:binding"]}, "", [], 3),
    ("a cache's, of which not all can be seen", {0: ["a"]}, "scan", [], 0),
    ("a broker's, of which not all can be seen", {0: ["unacked_index"]}, "scan", [0], 0),
    ("none", {}, "", [], 0),
]


@pytest.mark.parametrize(("what", "keys", "denied", "expected", "scans"), WHOSE, ids=[case[0] for case in WHOSE])
def test_where_a_brokers_keys_stand(what, keys, denied, expected, scans):
    client = Keys(keys, denied)
    look = _Look(client, connect_redis.RedisTarget(host="redis", database=7), Mask(), 5.0)
    found = look._broker_databases({"db%d" % database: {"keys": len(some), "expires": 0} for database, some in keys.items()})
    assert (found, client.scans, client.database) == (expected, scans, 7), "the connection stands in its own database again"


def test_keys_with_a_prefix_are_not_looked_for_beyond_their_time():
    client = Keys({0: ["shop:_kombu.binding.celery"], 1: ["unacked"]})
    assert broker_databases(client, [1, 0], seconds=0.0) == [1] and client.scans == 0


TOLD = [
    ("by nothing", [], {}, False, False),
    ("by a setting", [{"from": "api", "to": "redis", "kind": "broker"}], {}, False, True),
    ("by a setting, where its keys cannot be asked for", [{"from": "api", "to": "redis", "kind": "broker"}], {}, unseen("denied", kind="denied"), True),
    ("by the setting of another", [{"from": "api", "to": "queue", "kind": "broker"}], {}, False, False),
    ("as a cache", [{"from": "api", "to": "redis", "kind": "cache"}], {}, False, False),
    ("by its queues", [], {"redis/1": {"component": "redis", "queues": [{"name": "celery"}]}}, False, True),
    ("by no queue", [], {"redis": {"component": "redis", "queues": []}}, False, False),
    ("by queues that were not seen", [], {"redis": {"component": "redis", "queues": unseen("late", kind="timeout")}}, False, False),
]


@pytest.mark.parametrize(("how", "edges", "celery", "seen", "holds"), TOLD, ids=[case[0] for case in TOLD])
def test_what_else_tells_of_a_broker(how, edges, celery, seen, holds):
    facts = changed(memory={"used": 100 * MEGA, "policy": "allkeys-lru"}, holds_broker=seen)
    _mark_brokers({"edges": edges, "celery": celery, "redis": {"redis": facts}})
    assert facts["holds_broker"] == holds
    assert findings(facts) == ({"redis.evicts_broker_keys": WARNING} if holds else {})


def test_a_server_that_does_not_answer_is_no_broker_for_that():
    facts = lost("refused")
    _mark_brokers({"edges": [{"from": "api", "to": "redis", "kind": "broker"}], "celery": {}, "redis": {"redis": facts}})
    assert facts == lost("refused")


def test_domain_is_registered():
    assert judge.DOMAIN == "redis"
