# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pure choices of the remedies for Celery."""

from __future__ import annotations

import base64
import json
import types

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.celery import (
    Crew,
    broker_of,
    choose_tasks,
    control_box,
    may_be_doubled,
    queue_changes,
    queue_for,
    queues_told,
    room_for,
    routed_queues,
    scalable,
    workers_of,
)
from ansible_collections.aiops.runbook.plugins.module_utils.connect.celery import task_message
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Options, Scene
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import Target
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Instance, Process
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

MIB = 1 << 20
A, B, C = {"aaaa1111", "shop-worker-1"}, {"bbbb2222", "shop-worker-2"}, {"cccc3333", "shop-mailer-1"}


@pytest.mark.parametrize(
    ("answered", "mine", "others", "found"),
    [
        (["celery@aaaa1111", "celery@cccc3333"], [A], [C], ["celery@aaaa1111"]),
        (["one@aaaa1111", "two@aaaa1111"], [A], [], ["one@aaaa1111", "two@aaaa1111"]),
        (["jobs@aaaa1111.shop.internal"], [A], [], ["jobs@aaaa1111.shop.internal"]),
        (["big@jobs", "celery@cccc3333"], [A], [C], ["big@jobs"]),
        (["big@jobs", "celery@aaaa1111"], [A], [], ["celery@aaaa1111"]),
        (["celery@aaaa1111"], [A, B], [], ["celery@aaaa1111"]),
        ([], [A], [], []),
    ],
)
def test_whose_workers_they_are(answered, mine, others, found):
    assert workers_of(answered, mine, others) == found


@pytest.mark.parametrize(("answered", "mine", "others"), [(["big@jobs"], [A], [C]), (["big@jobs", "small@jobs"], [A], [])])
def test_whose_workers_they_are_is_not_guessed(answered, mine, others):
    with pytest.raises(Refused, match="is not clear"):
        workers_of(answered, mine, others)


@pytest.mark.parametrize(
    ("settings", "held", "expected"),
    [
        ({"REDIS_URL": "0", "RATE_LIMIT_STORAGE_URI": "2"}, set(), ("kv", 0)),
        ({"A_REDIS_URL": "0", "B_REDIS_URL": "1"}, {1}, ("kv", 1)),
        ({"A_REDIS_URL": "0", "B_REDIS_URL": "1"}, set(), None),
    ],
)
def test_which_broker_is_acted_at(monkeypatch, settings, held, expected):
    parts = [Component("jobs", role="worker"), Component("kv", [Instance("id-kv", "kv", "running")], role="redis")]
    scene = Scene(types.SimpleNamespace(name="compose", components=lambda: parts), Mask(), Options())
    scene.targets["jobs"] = [Target("jobs", name, "process", "redis", host="kv", port=6379, database=database) for name, database in settings.items()]
    asked = "ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.celery.at_redis"
    monkeypatch.setattr(asked, lambda _stage, _server, _do, database: database in held)
    stage = types.SimpleNamespace(scene=scene)
    if expected:
        assert broker_of(stage, "jobs") == expected
    else:
        with pytest.raises(Refused, match="is not known"):
            broker_of(stage, "jobs")


@pytest.mark.parametrize(
    ("keys", "box"),
    [
        ([], ("", "celery")),
        (["_kombu.binding.celery", "_kombu.binding.celery.pidbox", "_kombu.binding.reply.celery.pidbox"], ("", "celery")),
        (["shop:_kombu.binding.celery.pidbox"], ("shop:", "celery")),
        (["_kombu.binding.control.pidbox"], ("", "control")),
    ],
)
def test_the_control_box(keys, box):
    assert control_box(keys) == box


def test_two_applications_at_one_broker():
    with pytest.raises(Refused, match="several applications"):
        control_box(["a:_kombu.binding.celery.pidbox", "b:_kombu.binding.celery.pidbox"])


@pytest.mark.parametrize(
    ("before", "queues", "adding", "changes"),
    [
        ({"w1": ["a"], "w2": ["a", "b"]}, ["b"], True, {"w1": ["b"]}),
        ({"w1": ["a"]}, ["a"], True, {}),
        ({"w1": ["a"]}, ["c", "b", "c"], True, {"w1": ["c", "b"]}),
        ({"w1": ["a", "b"], "w2": ["a"]}, ["b"], False, {"w1": ["b"]}),
        ({"w1": []}, ["b"], False, {}),
    ],
)
def test_what_is_ordered_of_whom(before, queues, adding, changes):
    assert queue_changes(before, queues, adding) == changes


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/usr/bin/python3 /venv/bin/celery -A app worker -Q celery,priority", "celery,priority"),
        ("celery -A app worker --queues=mails -c 2", "mails"),
        ("celery -A app worker --queues mails", "mails"),
        ("celery -A app worker", ""),
        ("grep -Q nothing", ""),
    ],
)
def test_what_the_command_line_says(command, told):
    assert queues_told([command]) == told


@pytest.mark.parametrize(
    ("conf", "queues"),
    [
        ({}, {"celery"}),
        ({"task_default_queue": "invoices", "task_routes": {"mails.*": {"queue": "mails"}, "x": "express"}}, {"invoices", "mails", "express"}),
        ({"task_queues": [{"name": "celery"}, "<unbound Queue priority -> <unbound Exchange ''(direct)> -> priority>"]}, {"celery", "priority"}),
        ({"task_routes": ["<function route at 0x7f>"]}, {"celery"}),
        ({"error": "no"}, set()),
        (None, set()),
    ],
)
def test_where_an_application_sends_its_tasks(conf, queues):
    assert routed_queues(conf) == queues


PREFORK = {"implementation": "celery.concurrency.prefork:TaskPool", "processes": [8, 9]}


@pytest.mark.parametrize(("pool", "pid"), [(PREFORK, 1), ({"processes": [8, 9]}, 1)])
def test_pools_that_can_be_scaled(pool, pid):
    scalable("w", {"pool": pool, "pid": pid})


@pytest.mark.parametrize(
    "stats",
    [
        {"pool": {"implementation": "celery.concurrency.thread:TaskPool", "threads": 2}, "pid": 1},
        {"pool": {"implementation": "celery.concurrency.solo:TaskPool", "processes": [1]}, "pid": 1},
        {"pool": {"processes": [1]}, "pid": 1},
        {"pool": PREFORK, "pid": 1, "autoscaler": {"max": 4}},
        {},
    ],
)
def test_pools_that_cannot_be_scaled(stats):
    with pytest.raises(Refused):
        scalable("w", stats)


@pytest.mark.parametrize(
    ("used", "limit", "now", "more", "available", "fits"),
    [
        (150, 512, 2, 1, None, True),
        (150, 512, 2, 6, None, True),
        (150, 512, 2, 7, None, False),
        (500, 512, 2, 1, None, False),
        (150, 0, 2, 10, 1000, True),
        (150, 0, 2, 11, 1000, False),
        (150, 0, 2, 500, None, True),
    ],
)
def test_room_for_processes(used, limit, now, more, available, fits):
    memory = {"used": used * MIB, "limit": limit * MIB}
    if fits:
        room_for("w", memory, now, more, available and available * MIB)
    else:
        with pytest.raises(Refused, match="do not fit"):
            room_for("w", memory, now, more, available and available * MIB)


def copy(command="celery -A app worker -Q a", **facts):
    return Instance("aaaa1111bbbb2222", "shop-worker-1", "running", processes=[Process(1, 0, "S", command)], **facts)


@pytest.mark.parametrize(
    "command", ["celery -A app worker -Q a", "celery -A app worker -n jobs@%h", "celery -A app worker -n jobs", "celery -A app worker -Beta"]
)
def test_workers_of_which_there_may_be_two(command):
    may_be_doubled(copy(command), {})


@pytest.mark.parametrize(
    ("one", "definition", "said"),
    [
        (copy(), {"container_name": "worker"}, "container_name"),
        (copy(published=[{"inside": 80, "host": "0.0.0.0", "outside": 8080}]), {}, "publishes a port"),
        (copy(), {"ports": [{"target": 50000, "published": "50000", "protocol": "udp"}]}, "publishes a port"),
        (copy("celery -A app worker -B -l info"), {}, "schedule"),
        (copy("celery -A app worker -n jobs@here"), {}, "fixed name"),
    ],
)
def test_workers_of_which_there_may_not_be_two(one, definition, said):
    with pytest.raises(Refused, match=said):
        may_be_doubled(one, definition)


def result(identity, status="FAILURE", **facts):
    return {
        "task_id": identity,
        "status": status,
        "name": "shop.add",
        "args": [1],
        "kwargs": {},
        "queue": "celery",
        "date_done": "2026-01-0" + identity,
        **facts,
    }


@pytest.mark.parametrize(
    ("results", "ids", "name", "chosen", "spared"),
    [
        ([result("2"), result("1")], [], "shop.add", ["1", "2"], []),
        ([result("1"), result("2", "SUCCESS"), result("3", name="shop.mail"), result("4", "RETRY")], [], "shop.add", ["1"], []),
        ([result("1"), result("2", "SUCCESS")], ["1", "2"], None, ["1"], ["2 (SUCCESS)"]),
        ([result("1", "RETRY")], ["1"], None, [], ["1 (RETRY)"]),
        ([], [], "shop.add", [], []),
        ([result("1"), result("1")], ["1", "1"], None, ["1"], []),
    ],
)
def test_tasks_are_chosen(results, ids, name, chosen, spared):
    found = choose_tasks(results, ids, name)
    assert ([one["task_id"] for one in found[0]], found[1]) == (chosen, spared)


@pytest.mark.parametrize(
    ("results", "ids", "name", "said"),
    [
        ([{"task_id": "1", "status": "absent"}], ["1"], None, "no result is kept"),
        ([{"task_id": "1", "status": "unreadable"}], ["1"], None, "cannot be read"),
        ([{"task_id": "1", "status": "FAILURE", "result": {}}], ["1"], None, "does not hold"),
        ([result("1", args="(1, 2)")], ["1"], None, "does not hold"),
        ([{"task_id": "1", "status": "FAILURE"}], [], "shop.add", "do not hold the names"),
    ],
)
def test_tasks_that_cannot_be_made_again(results, ids, name, said):
    with pytest.raises(Refused, match=said):
        choose_tasks(results, ids, name)


def crew(queue="celery", registered=("shop.add [rate_limit=1/m]",)):
    replies = {"w@a": {"active_queues": [{"name": queue}], "registered": list(registered)}}
    return Crew("worker", "redis", 0, "", "celery", {queue}, ["w@a"], replies, [])


def test_where_a_task_is_queued_again():
    assert queue_for(result("1"), crew()) == "celery"
    for other in (crew(queue="mails"), crew(registered=["shop.mail"]), crew(registered=[])):
        with pytest.raises(Refused):
            queue_for(result("1"), other)
    with pytest.raises(Refused, match="not kept"):
        queue_for(result("1", queue=None), crew())


def test_a_task_as_celery_reads_it():
    pytest.importorskip("kombu")
    message = json.loads(task_message("shop.add", "one-id", [1, {"a": "é"}], {"b": None}, "mails"))
    assert json.loads(base64.b64decode(message["body"]))[:2] == [[1, {"a": "é"}], {"b": None}]
    assert (message["headers"]["task"], message["headers"]["id"], message["properties"]["correlation_id"]) == ("shop.add", "one-id", "one-id")
    assert message["properties"]["delivery_info"]["routing_key"] == "mails"
