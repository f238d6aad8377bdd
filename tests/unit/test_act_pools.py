# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connection pools: the budget of a server, the next size within it, and the variables that a program reads; one row a case."""

from __future__ import annotations

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import DISRUPTIVE, Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.pools import as_coming, budget, chosen, resized, rows, said, variables

NAMES = {"size": "DATABASE_POOL_SIZE", "overflow": "DATABASE_MAX_OVERFLOW"}


def pool(component="api", size=5, overflow=10, processes=2, replicas=1, **changes):
    return {"component": component, "server": "db", "size": size, "overflow": overflow, "processes": processes, "replicas": replicas, **changes}


BUDGETS = [
    ("one client, one copy that is being replaced", [pool()], 1, 60),
    ("no roll-out", [pool()], 0, 30),
    ("three copies", [pool(replicas=3)], 1, 120),
    ("two clients", [pool(), pool("jobs", 2, 0, 4)], 1, 76),
    ("a process that does one thing at a time takes one", [pool(), pool("worker", one_at_a_time=True)], 1, 64),
    ("no copy counted is one", [pool(replicas=0, processes=0)], 1, 30),
    ("an overflow of -1 is no limit", [pool(), pool("jobs", 5, -1)], 1, None),
    ("a size of 0 is no limit", [pool(size=0)], 1, None),
    ("the runbook's 20 + 40", [pool("api", 20, 40, 3, 3), pool("worker", 20, 40, 2, 1)], 0, 660),
]


@pytest.mark.parametrize(("pools", "surge", "total"), [case[1:] for case in BUDGETS], ids=[case[0] for case in BUDGETS])
def test_budget(pools, surge, total):
    found = budget(pools, 97, surge)
    assert (found["total"], found["limit"]) == (total, 77)


WORKER = pool("worker", one_at_a_time=True)
CHOICES = [
    ("smaller than the defaults", pool(size=1, overflow=0), [WORKER], {}, NAMES, False, {"size": 5, "overflow": 10}),
    ("a larger one of its own stays", pool(size=8, overflow=0), [WORKER], {}, NAMES, False, {"size": 8, "overflow": 10}),
    ("as it should be: nothing", pool(), [WORKER], {}, NAMES, False, {"size": 5, "overflow": 10}),
    ("used up at the defaults: as far as it fits", pool(), [WORKER], {}, NAMES, True, {"size": 5, "overflow": 13}),
    ("used up, with room", pool(processes=1), [WORKER], {}, NAMES, True, {"size": 5, "overflow": 20}),
    ("the defaults do not fit whole", pool(size=1, overflow=0), [pool("jobs", 5, 5)], {}, NAMES, False, {"size": 5, "overflow": 4}),
    ("nor even the size", pool(size=1, overflow=0), [pool("jobs", 5, 11)], {}, NAMES, False, {"size": 3, "overflow": 0}),
    ("as large as fits already: nothing", pool(size=5, overflow=4), [pool("jobs", 5, 5)], {}, NAMES, False, {"size": 5, "overflow": 4}),
    ("it reads no overflow", pool(processes=1), [WORKER], {}, {"size": "DB_POOL"}, True, {"size": 10}),
    ("asked for", pool(), [WORKER], {"size": 6, "overflow": 4}, NAMES, False, {"size": 6, "overflow": 4}),
    ("a time-out alone, whatever the sum is", pool(size=50), [], {"timeout_seconds": 10}, {"timeout_seconds": "POOL_TIMEOUT"}, False, {"timeout_seconds": 10}),
]


@pytest.mark.parametrize(("own", "others", "params", "names", "ill", "wanted"), [case[1:] for case in CHOICES], ids=[case[0] for case in CHOICES])
def test_chosen(own, others, params, names, ill, wanted):
    found = chosen(own, others, 97, params, names, ill)
    assert found == wanted
    if {"size", "overflow"} & set(found):
        assert budget([resized(own, found), *others], 97)["total"] <= 77


REFUSED = [
    ("more than there is", pool(), [WORKER], {"size": 20, "overflow": 40}, NAMES, r"api \(1\+1\) × 2 × \(20\+40\) = 240, .*together 244, of 77 usable"),
    ("the other one was raised before", pool(), [pool("jobs", 5, 10)], {"size": 6, "overflow": 10}, NAMES, "together 124, of 77"),
    ("without a limit", pool(), [], {"overflow": -1}, NAMES, "together ∞"),
    ("another client has none", pool(), [pool("jobs", 0)], {"size": 6}, NAMES, "jobs .* = ∞"),
    ("nothing larger fits", pool(size=1, overflow=0), [pool("jobs", 5, 14)], {}, NAMES, "a larger pool exceeds"),
    ("it reads no size at all", pool(), [], {}, {}, "needs a change in the code"),
    ("nor what is asked for", pool(), [], {"size": 5, "recycle_seconds": 60}, NAMES, "needs a change in the code: api reads no setting for recycle_seconds"),
]


@pytest.mark.parametrize(("own", "others", "params", "names", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused(own, others, params, names, words):
    with pytest.raises(Refused, match=words):
        chosen(own, others, 97, params, names, True)


def test_two_changes_together():
    """The second one is computed from what the first one left."""
    api, jobs = pool(processes=1), pool("jobs", processes=1)
    first = chosen(api, [jobs], 97, {"size": 8, "overflow": 12}, NAMES, False)
    with pytest.raises(Refused, match="together 80"):
        chosen(jobs, [resized(api, first)], 97, {"size": 8, "overflow": 12}, NAMES, False)


COMING = [
    ("nothing is coming", [], (5, 10)),
    ("its own", [("pool_tuning", "jobs", "db", {"size": 8, "overflow": 12}, True)], (8, 12)),
    ("one part of it", [("pool_tuning", "jobs", "db", {"size": None, "overflow": 12}, True)], (5, 12)),
    ("without a limit", [("pool_tuning", "jobs", "db", {"size": 0, "overflow": None}, True)], (0, 10)),
    ("the last one counts", [("pool_tuning", "jobs", "db", {"size": size}, True) for size in (7, 9)], (9, 10)),
    ("another client's", [("pool_tuning", "api", "db", {"size": 8}, True)], (5, 10)),
    ("at another server", [("pool_tuning", "jobs", "books", {"size": 8}, True)], (5, 10)),
    ("already so", [("pool_tuning", "jobs", "db", {"size": 8}, False)], (5, 10)),
    ("another remedy", [("stack_env", "jobs", "db", {"size": 8}, True)], (5, 10)),
]


@pytest.mark.parametrize(("steps", "sizes"), [case[1:] for case in COMING], ids=[case[0] for case in COMING])
def test_what_an_earlier_step_of_the_plan_will_have_changed(steps, sizes):
    coming = [(Step(remedy, name), Preview(DISRUPTIVE, {"server": server}, texts=texts, changed=changed)) for remedy, name, server, texts, changed in steps]
    found = as_coming(pool("jobs"), coming)
    assert (found["size"], found["overflow"]) == sizes


def test_the_code_that_is_needed():
    with pytest.raises(Refused) as refused:
        chosen(pool(), [], 97, {"size": 7, "pre_ping": True}, {}, False)
    assert "create_engine(url, pool_size=7, max_overflow=10, pool_timeout=30, pool_recycle=1800, pool_pre_ping=True)" in refused.value.details["fix"]


def test_the_sum_in_words():
    before, after = budget([pool(size=1, overflow=0), WORKER], 97), budget([pool(), WORKER], 97)
    assert rows(before, after, "db")[0] == {"what": "budget of db: api", "before": "(1+1) × 2 × (1+0) = 4", "after": "(1+1) × 2 × (5+10) = 60"}
    assert rows(before, after, "db")[-1] == {"what": "budget of db: together, of 77 usable", "before": "8", "after": "64"}
    assert said(after).startswith("api (1+1) × 2 × (5+10) = 60, worker")


VARIABLES = [
    ({"DATABASE_POOL_SIZE": "5", "DATABASE_MAX_OVERFLOW": "10", "DATABASE_POOL_TIMEOUT": "30"}, {"size", "overflow", "timeout_seconds"}),
    ({"ORDERS_DB_POOL": "5", "ORDERS_DB_POOL_OVERFLOW": "10", "ORDERS_DB_POOL_TIMEOUT": "30"}, {"size", "overflow", "timeout_seconds"}),
    ({"SQLALCHEMY_POOL_SIZE": "5", "SQLALCHEMY_POOL_RECYCLE": "1800", "SQLALCHEMY_POOL_PRE_PING": "true"}, {"size", "recycle_seconds", "pre_ping"}),
    ({"REDIS_POOL_SIZE": "5", "CELERY_POOL": "4", "HTTP_POOL_TIMEOUT": "3"}, set()),
    ({"DB_POOL": "QueuePool", "WHIRLPOOL": "1"}, set()),
    ({}, set()),
]


@pytest.mark.parametrize(("environment", "kinds"), VARIABLES)
def test_variables(environment, kinds):
    assert set(variables(environment)) == kinds


def test_two_variables_for_one_thing():
    with pytest.raises(Refused, match="A_POOL_SIZE, B_POOL_SIZE"):
        variables({"A_POOL_SIZE": "1", "B_POOL_SIZE": "2"})
