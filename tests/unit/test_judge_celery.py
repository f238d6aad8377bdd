# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import json
import types

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.connect.redis import RedisTarget
from ansible_collections.aiops.runbook.plugins.module_utils.judge import celery as judge
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, WARNING, Clear, Finding, Unseen, unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.celery import FACTS, _Look, moves, read_message, read_workers
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask
from ansible_collections.aiops.runbook.plugins.plugin_utils.knowledge import catalogue, say

IDS = {name for name in catalogue() if name.startswith("celery.")}


def worker(name="celery@abc", queues=("celery",), **more):
    facts = {
        "name": name,
        "hostname": name.partition("@")[2],
        "pool": "prefork",
        "concurrency": 4,
        "processed": 10,
        "queues": list(queues),
        "active": 0,
        "active_tasks": [],
        "reserved": 0,
        "reserved_tasks": {},
        "scheduled": 0,
        "registered": ["app.add", "app.mail"],
        "rate_limited": [],
    }
    return {**facts, **more}


def queue(name="celery", length=0, consumers=("celery@abc",)):
    return {"name": name, "length": length, "priorities": {}, "bindings": [name], "consumers": list(consumers), "sources": ["binding"]}


def instance(component="worker", hostname="abc", **more):
    return {
        "component": component,
        "instance": component + "-1",
        "hostname": hostname,
        "processes": 5,
        "stopped_processes": 0,
        "age_seconds": 900,
        "solo": False,
        **more,
    }


def samples(lengths, over):
    """lengths: {queue: [length in each sample]}; over: {worker: [(processed, active, reserved) in each sample]}."""
    count = len(next(iter(lengths.values()), next(iter(over.values()), [])))
    return [
        {
            "seconds": 0.6 * at,
            "lengths": {name: some[at] for name, some in lengths.items()},
            "workers": {name: dict(zip(("processed", "active", "reserved"), some[at])) for name, some in over.items()},
        }
        for at in range(count)
    ]


def facts(workers=None, queues=None, expected=None, **more):
    return {
        "component": "redis",
        "answers": True,
        "workers": [worker()] if workers is None else workers,
        "queues": [queue()] if queues is None else queues,
        "expected": [instance()] if expected is None else expected,
        "worker_components": ["worker"],
        "unacked": {"count": 0, "oldest_seconds": None},
        "samples": [],
        "messages": [],
        "results": {"sampled": 0, "failed": 0, "failures": []},
        "listening": 1,
        "poppers": 1,
        **more,
    }


def judged(seen, limits=None):
    return list(judge_domain("celery", seen, limits or Limits()))


def findings(seen, limits=None):
    return {(answer.id, answer.component): answer.severity for answer in judged(seen, limits) if isinstance(answer, Finding)}


def test_healthy_gives_no_finding_and_every_figure():
    answers = judged(facts())
    assert all(isinstance(answer, Clear) for answer in answers)
    assert {answer.id for answer in answers} == IDS
    for answer in answers:
        for lang in ("en", "zh-TW"):
            assert "?" not in say(answer.id, "clear", {"component": "worker", **answer.evidence}, lang), answer.id


STUCK = samples({"celery": [5, 5, 5]}, {"celery@abc": [(10, 0, 0)] * 3})
BUSY = samples({"celery": [5, 5]}, {"celery@abc": [(10, 4, 4)] * 2})
DRAINS = samples({"celery": [50, 40]}, {"celery@abc": [(10, 0, 0), (20, 0, 0)]})
HELD = samples({"celery": [0, 0, 0]}, {"celery@abc": [(10, 0, 3)] * 3})
FAST = samples({"celery": [150, 160]}, {"celery@abc": [(10, 4, 4), (70, 4, 4)]})
SLOW = samples({"celery": [150, 160]}, {"celery@abc": [(10, 4, 4), (10, 4, 4)]})


@pytest.mark.parametrize(
    "seen,expected",
    [
        # nobody
        (facts(workers=[], queues=[queue(length=3, consumers=[])], expected=[], poppers=0, listening=0), {("celery.no_worker", "worker"): CRITICAL}),
        (
            facts(workers=[], queues=[queue(length=3, consumers=[])], expected=[], worker_components=[], poppers=0, listening=0),
            {("celery.no_worker", "redis"): CRITICAL},
        ),
        (
            facts(workers=[], queues=[queue(length=3, consumers=[])], expected=[], worker_components=["a", "b"], poppers=0, listening=0),
            {("celery.no_worker", "redis"): CRITICAL},
        ),
        (facts(workers=[], queues=[], expected=[], worker_components=[], poppers=0, listening=0), {}),
        (facts(workers=[], queues=[queue(length=3)], expected=[], poppers=2, listening=0), {}),
        (facts(workers=[], poppers=0, listening=1), {("celery.no_worker", "worker"): CRITICAL, ("celery.worker_not_responding", "worker"): CRITICAL}),
        (facts(workers=[], expected=[instance(age_seconds=3)], poppers=0, listening=0), {}),
        (facts(workers=[], expected=[instance(solo=True)], unacked={"count": 1, "oldest_seconds": 5}, poppers=0), {}),
        # taken for a worker by its name only: it may work with something else
        (facts(workers=[], queues=[], expected=[instance(named=True)], poppers=0, listening=0), {}),
        (facts(workers=[], queues=[queue(length=3)], expected=[instance(named=True)], poppers=0, listening=0), {("celery.no_worker", "worker"): CRITICAL}),
        (facts(expected=[instance(), instance("crawler", hostname="def", named=True)]), {}),
        # a queue that nobody consumes
        (facts(queues=[queue(), queue("priority", 4, [])]), {("celery.queue_without_consumer", "worker"): CRITICAL}),
        (facts(queues=[queue(), queue("priority", 4, [])], worker_components=["a", "b"], expected=[]), {("celery.queue_without_consumer", "redis"): CRITICAL}),
        (facts(queues=[queue(), queue("priority", 0, [])]), {}),
        (
            facts(workers=[worker(queues=["emails"])], queues=[queue("celery", 4, []), queue("emails", 0)]),
            {("celery.queue_without_consumer", "worker"): CRITICAL},
        ),
        # an instance that does not answer
        (facts(expected=[instance(), instance(hostname="def", instance="worker-2")]), {("celery.worker_not_responding", "worker"): WARNING}),
        (facts(expected=[instance(), instance(hostname="def", age_seconds=4)]), {}),
        (facts(expected=[instance(), instance(hostname="def", solo=True)]), {}),
        # worker-10 does not answer for worker-1, a domain after the name does
        (
            facts(workers=[worker("celery@worker-10")], expected=[instance(hostname="worker-1"), instance(hostname="worker-10")]),
            {("celery.worker_not_responding", "worker"): WARNING},
        ),
        (
            facts(workers=[worker("celery@abc.shop.internal")], expected=[instance(hostname="ab"), instance()]),
            {("celery.worker_not_responding", "worker"): WARNING},
        ),
        (facts(workers=[worker("celery@abc.shop.internal")], expected=[instance()]), {}),
        (facts(workers=[worker("celery@abc.b"), worker("celery@abc")], expected=[instance(hostname="abc.b"), instance()]), {}),
        # remote control is switched off
        (facts(workers=[], listening=0, poppers=1), {}),
        (facts(workers=[], listening=0, poppers=1, expected=[], expected_count=1), {}),
        (facts(workers=[], listening=0, poppers=0), {("celery.no_worker", "worker"): CRITICAL, ("celery.worker_not_responding", "worker"): CRITICAL}),
        (facts(workers=[], listening=1, poppers=1), {("celery.no_worker", "worker"): CRITICAL, ("celery.worker_not_responding", "worker"): CRITICAL}),
        (facts(poppers=1, listening=1, expected=[instance(), instance(hostname="def")]), {("celery.worker_not_responding", "worker"): WARNING}),
        (facts(workers=[worker("w1@my-name")]), {}),
        (facts(workers=[worker("w1@abc"), worker("w2@abc")]), {}),
        (facts(workers=[worker("w1@one"), worker("w1@two")], expected=[instance(), instance(hostname="def")]), {}),
        (facts(workers=[worker("w1@one")], expected=[instance(), instance(hostname="def")]), {("celery.worker_not_responding", "worker"): WARNING}),
        (facts(expected=[], expected_count=2), {("celery.worker_not_responding", "worker"): WARNING}),
        (facts(expected=[], expected_count=1), {}),
        (facts(expected=[], listening=2), {("celery.worker_not_responding", "worker"): WARNING}),
        # one that does not work
        (facts(queues=[queue(length=5)], samples=STUCK), {("celery.worker_stalled", "worker"): CRITICAL}),
        (facts(queues=[queue(length=5)], samples=STUCK[:1]), {}),
        (facts(workers=[worker(active=4, reserved=4)], queues=[queue(length=5)], samples=BUSY), {}),
        (facts(queues=[queue(length=50)], samples=DRAINS), {}),
        (facts(workers=[worker(reserved=3, reserved_tasks={"app.add": 3})], samples=HELD), {("celery.worker_stalled", "worker"): CRITICAL}),
        (facts(workers=[worker(reserved=3, reserved_tasks={"app.add": 3}, rate_limited=["app.add"])], samples=HELD), {}),
        (facts(expected=[instance(stopped_processes=4)]), {("celery.worker_stalled", "worker"): CRITICAL}),
        (
            facts(workers=[], expected=[instance(stopped_processes=5)], queues=[queue(length=3)], poppers=0),
            {("celery.worker_stalled", "worker"): CRITICAL, ("celery.no_worker", "worker"): CRITICAL},
        ),
        # a backlog
        (facts(queues=[queue(length=99)], samples=SLOW), {}),
        (facts(workers=[worker(active=4, reserved=4)], queues=[queue(length=150)], samples=SLOW), {("celery.queue_backlog", "worker"): WARNING}),
        (facts(workers=[worker(active=4, reserved=4)], queues=[queue(length=150)], samples=FAST), {}),
        # a task that nobody knows
        (facts(messages=[{"queue": "celery", "tasks": ["app.add", "app.gone"], "looked_at": 5}]), {("celery.task_unregistered", "worker"): CRITICAL}),
        (facts(messages=[{"queue": "celery", "tasks": ["app.add", "?"], "looked_at": 5}]), {}),
        (facts(messages=[{"queue": "other", "tasks": ["app.gone"], "looked_at": 5}]), {}),
        (facts(messages=[{"queue": "celery", "tasks": ["celery.backend_cleanup", "celery.chord_unlock"], "looked_at": 5}]), {}),
        (facts(messages=[{"queue": "celery", "tasks": ["celeryapp.gone"], "looked_at": 5}]), {("celery.task_unregistered", "worker"): CRITICAL}),
        (facts(workers=[worker(registered=None)], messages=[{"queue": "celery", "tasks": ["app.gone"], "looked_at": 5}]), {}),
        # unacknowledged
        (facts(unacked={"count": 1, "oldest_seconds": 3500}), {}),
        (facts(unacked={"count": 1, "oldest_seconds": 3700}), {("celery.oldest_unacked", "worker"): WARNING}),
        (facts(unacked={"count": 0, "oldest_seconds": 3700}), {}),
    ],
)
def test_findings(seen, expected):
    assert findings(seen) == expected


WATCHED = [
    ("nothing waits", {"samples": []}, Clear),
    ("two samples in which it moves", {"queues": [queue(length=50)], "samples": DRAINS}, Clear),
    ("one sample, and something waits", {"queues": [queue(length=90)], "samples": STUCK[:1]}, Unseen),
    ("one sample, and it works", {"workers": [worker(active=4)], "queues": [queue(length=90)], "samples": BUSY[:1]}, Clear),
    ("one sample, and it holds tasks", {"workers": [worker(reserved=3, reserved_tasks={"app.add": 3})], "samples": HELD[:1]}, Unseen),
    ("one sample, and what waits is another's", {"queues": [queue(length=0), queue("mail", 9, [])], "samples": samples({"mail": [9]}, {})}, Clear),
    ("it did not say what it consumes", {"workers": [{**worker(), "queues": None}], "queues": [queue(length=90)], "samples": STUCK}, Unseen),
    ("it did not say that, and nothing waits", {"workers": [{**worker(), "queues": None}]}, Clear),
    ("it is stalled", {"queues": [queue(length=5)], "samples": STUCK}, Finding),
]


@pytest.mark.parametrize(("what", "seen", "expected"), WATCHED, ids=[case[0] for case in WATCHED])
def test_a_stall_is_ruled_out_only_where_somebody_looked(what, seen, expected):
    assert [type(answer) for answer in judged(facts(**seen)) if answer.id == "celery.worker_stalled"] == [expected]


def test_a_stall_is_the_worker_s_that_has_it():
    seen = facts(
        workers=[worker("celery@abc"), worker("celery@def", queues=["mail"])],
        queues=[queue(), queue("mail", 7, ["celery@def"])],
        expected=[instance(), instance("mailer", "def")],
        worker_components=["mailer", "worker"],
        samples=samples({"celery": [0, 0], "mail": [7, 8]}, {"celery@abc": [(1, 0, 0)] * 2, "celery@def": [(1, 0, 0)] * 2}),
    )
    assert findings(seen) == {("celery.worker_stalled", "mailer"): CRITICAL}


def test_the_broker_s_silence_is_not_the_workers():
    why = unseen("refused", kind="refused")
    seen = {"component": "redis", "answers": why, **dict.fromkeys(FACTS, why), "expected": [instance()], "worker_components": ["worker"]}
    answers = judged(seen)
    assert {answer.id for answer in answers} == IDS and all(isinstance(answer, Unseen) for answer in answers)


def test_queues_that_may_be_hidden_are_not_clear():
    answers = {answer.id: answer for answer in judged(facts(scan={"keys": 10**7, "complete": False, "bindings_complete": False}))}
    assert isinstance(answers["celery.queue_without_consumer"], Unseen) and not findings(facts(scan={"keys": 9, "complete": True, "bindings_complete": True}))


def test_an_empty_broker_is_well():
    seen = facts(workers=[], queues=[], expected=[], worker_components=[], listening=0, poppers=0)
    assert all(isinstance(answer, Clear) for answer in judged(seen))


def test_limits_are_options():
    assert findings(facts(unacked={"count": 1, "oldest_seconds": 3500}), Limits({"celery_oldest_unacked_seconds_warning": 60}))
    assert not findings(facts(workers=[worker(active=4)], queues=[queue(length=150)], samples=SLOW), Limits({"celery_queue_length_warning": 1000}))


def test_every_finding_has_words_for_its_evidence():
    ill = [
        facts(workers=[], expected=[], queues=[queue(length=3, consumers=[])], poppers=0),
        facts(queues=[queue(), queue("priority", 4, [])]),
        facts(expected=[instance(), instance(hostname="def")]),
        facts(queues=[queue(length=5)], samples=STUCK),
        facts(workers=[worker(active=4)], queues=[queue(length=150)], samples=SLOW),
        facts(messages=[{"queue": "celery", "tasks": ["app.gone"], "looked_at": 5}]),
        facts(unacked={"count": 1, "oldest_seconds": 3700}),
    ]
    told = set()
    for seen in ill:
        for answer in judged(seen):
            if isinstance(answer, Finding):
                told.add(answer.id)
                for lang in ("en", "zh-TW"):
                    for what in ("title", "explanation"):
                        text = say(answer.id, what, {"component": answer.component, **answer.evidence}, lang)
                        assert text and "?" not in text, (answer.id, what, text)
    assert told == IDS


REPLIES = {
    "w1@abc": {
        "ping": {"ok": "pong"},
        "stats": {
            "total": {"app.add": 3, "app.mail": 2},
            "pid": 8,
            "uptime": 9,
            "prefetch_count": 8,
            "pool": {"implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": 2, "processes": [11, 12]},
        },
        "active": [{"id": "u1", "name": "app.add", "args": ["very secret"], "kwargs": {"password": "very secret"}, "time_start": 990.0}],
        "active_queues": [{"name": "celery", "exchange": {"name": "celery"}}],
        "reserved": [{"id": "u2", "name": "app.mail", "args": "('very secret',)"}],
        "scheduled": [{"eta": "x", "request": {"args": "very secret"}}],
        "registered": ["app.add", "app.mail [rate_limit=10/m]"],
    }
}


def test_workers_are_read_without_arguments():
    seen = read_workers(REPLIES, 1000.0)[0]
    assert "very secret" not in json.dumps(seen)
    assert (seen["processed"], seen["concurrency"], seen["pool"], seen["queues"], seen["hostname"]) == (5, 2, "prefork", ["celery"], "abc")
    assert seen["active_tasks"] == [{"name": "app.add", "id": "u1", "seconds": 10.0}]
    assert (seen["reserved"], seen["scheduled"], seen["registered"], seen["rate_limited"]) == (1, 1, ["app.add", "app.mail"], ["app.mail"])


def test_a_worker_that_answered_in_part():
    seen = read_workers({"w1@abc": {"ping": {"ok": "pong"}, "stats": {"error": "boom"}}}, 0.0)[0]
    assert seen["queues"] is None and seen["registered"] is None and seen["processed"] is None
    assert not findings(facts(workers=[seen], queues=[queue(length=3, consumers=[])]))


@pytest.mark.parametrize(
    "text,expected",
    [
        (
            '{"body": "W10=", "headers": {"task": "app.add"}, "properties": {"delivery_info": {"routing_key": "celery"}}}',
            {"task": "app.add", "routing_key": "celery"},
        ),
        ('{"body": "W10=", "headers": {}, "properties": {}}', {"task": "", "routing_key": ""}),
        ('{"a": 1}', None),
        ("[1, 2]", None),
        ("plain", None),
        (None, None),
    ],
)
def test_messages(text, expected):
    assert read_message(text) == expected


@pytest.mark.parametrize(
    "seen,expected", [(STUCK, False), (BUSY, True), (DRAINS, True), (HELD, False), (samples({"other": [5, 5]}, {"celery@abc": [(1, 0, 0)] * 2}), True)]
)
def test_whether_another_sample_is_needed(seen, expected):
    assert moves(seen, {"celery"}) is expected


def test_who_waits_in_another_database_is_no_consumer_of_this_one():
    clients = [{"db": "1", "flags": "b", "cmd": "brpop"}, {"db": "0", "flags": "b", "cmd": "brpop"}, {"db": "0", "flags": "N", "cmd": "get"}]
    client = types.SimpleNamespace(info=lambda _section: {"connected_clients": 3}, client_list=lambda: clients)
    found = [_Look(client, RedisTarget(host="kv", database=database), Mask(), 1.0, None, [], "", 0.1)._poppers() for database in (0, 1, 2)]
    assert found == [1, 1, 0]


def test_domain_is_registered():
    assert judge.DOMAIN == "celery"


def test_nobody_to_expect_and_nobody_there_is_not_called_answering():
    answers = list(judge_domain("celery", facts(workers=[], expected=[], listening=0), Limits()))
    assert not [answer for answer in answers if answer.id == "celery.worker_not_responding"]
