# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on connection pools: one row a case."""

from __future__ import annotations

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.judge import pools
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import JUDGES
from ansible_collections.aiops.runbook.plugins.module_utils.model import Clear, Finding


def counts(active=0, idle=0, idle_in_transaction=0, oldest=0.0):
    total = active + idle + idle_in_transaction
    return {
        "total": total, "active": active, "idle": idle, "idle_in_transaction": idle_in_transaction, "oldest_idle_in_transaction_seconds": oldest,
    }  # fmt: skip


def errors(ago=3.0, count=4, size=None, overflow=None):
    return {"count": count, "last_seconds_ago": ago, "size": size, "overflow": overflow}


def pool(component="api", **changes):
    one = {
        "component": component, "server": "db", "size": 5, "overflow": 10, "processes": 1, "replicas": 1, "timeout_seconds": 30, "source": "settings",
        "sessions": counts(idle=3), "log_errors": None,
    }  # fmt: skip
    return {**one, **changes}


def judged(function, *found, used=20, usable=97, **limits):
    return list(function({"pools": list(found), "servers": {"db": {"usable": usable, "used": used}}}, Limits(limits)))


EXHAUSTED = [
    ("at rest", pool(), None),
    ("busy below its size", pool(sessions=counts(active=14)), None),
    ("all active for a moment, nobody complains", pool(sessions=counts(active=15)), None),
    ("no sizes are a limit", pool(overflow=-1, sessions=counts(active=50)), None),
    ("pool_size 0 is no limit", pool(size=0, sessions=counts(active=50)), None),
    ("complains, all active", pool(sessions=counts(active=15), log_errors=errors()), ("critical", "high", "slow_queries")),
    (
        "complains, held in transactions",
        pool(sessions=counts(idle_in_transaction=15, oldest=40.0), log_errors=errors()),
        ("critical", "high", "held_in_transaction"),
    ),
    ("complains, taken and idle", pool(sessions=counts(idle=15), log_errors=errors()), ("critical", "high", "leak")),
    ("complains, with room by now", pool(sessions=counts(idle=3), log_errors=errors(ago=5.0)), ("critical", "medium", "too_small")),
    ("complained a moment ago, and has room in every process", pool(sessions=counts(idle=9), log_errors=errors(ago=25.0)), None),
    (
        "complained a moment ago, one process may be full",
        pool(processes=2, sessions=counts(idle=15), log_errors=errors(ago=25.0)),
        ("critical", "medium", "too_small"),
    ),
    ("complained, and has recovered", pool(sessions=counts(idle=3), log_errors=errors(ago=60.0)), None),
    ("complained long ago", pool(sessions=counts(active=15), log_errors=errors(ago=500.0)), None),
    ("a short time-out of its own", pool(timeout_seconds=4, sessions=counts(idle=3), log_errors=errors(ago=20.0)), None),
    ("held, nobody complains yet", pool(sessions=counts(idle_in_transaction=15, oldest=9.0)), ("warning", "medium", "held_in_transaction")),
    ("held for a moment", pool(sessions=counts(idle_in_transaction=15, oldest=0.2)), None),
    ("the log knows the size", pool(sessions=counts(active=1), log_errors=errors(size=1, overflow=0)), ("critical", "high", "slow_queries")),
    ("of all processes together", pool(processes=2, replicas=2, sessions=counts(active=59)), None),
]


@pytest.mark.parametrize(("seen", "expected"), [case[1:] for case in EXHAUSTED], ids=[case[0] for case in EXHAUSTED])
def test_pool_exhausted(seen, expected):
    (answer,) = judged(pools.pool_exhausted, seen)
    assert answer.about == "db"
    if expected is None:
        assert isinstance(answer, Clear)
    else:
        assert isinstance(answer, Finding)
        assert (answer.severity, answer.confidence, answer.evidence["cause"]) == expected


def test_a_server_without_a_slot_is_named_as_the_cause():
    (answer,) = judged(pools.pool_exhausted, pool(sessions=counts(active=15), log_errors=errors()), used=97)
    assert answer.evidence["cause"] == "server_full"


def test_the_evidence_of_a_pool():
    (answer,) = judged(pools.pool_exhausted, pool(processes=2, sessions=counts(active=2), log_errors=errors(size=1, overflow=0)))
    expected = {"size": 1, "overflow": 0, "source": "its log", "capacity": 2, "busy": 2, "messages": 4, "server_used": 20, "server_usable": 97}
    assert {key: answer.evidence[key] for key in expected} == expected


BUDGET = [
    ("one small pool", [pool()], None),
    ("a reference stack: two API workers, a worker of concurrency four", [pool(processes=2), pool("worker", processes=4)], None),
    ("and with the worker's parent and a beat", [pool(processes=2), pool("worker", processes=5), pool("beat")], ("warning", 120)),
    ("the runbook's example: 3 × 30 and 2 × 4 × 30", [pool(size=20, replicas=3), pool("worker", size=20, processes=4, replicas=2)], ("warning", 330)),
    ("without a limit", [pool(overflow=-1)], ("warning", 0)),
]


@pytest.mark.parametrize(("seen", "expected"), [case[1:] for case in BUDGET], ids=[case[0] for case in BUDGET])
def test_pool_over_budget(seen, expected):
    (answer,) = judged(pools.pool_over_budget, *seen)
    if expected is None:
        assert isinstance(answer, Clear)
    else:
        assert (answer.severity, answer.evidence["total"]) == expected
        assert answer.component == "db"


def test_guessed_sizes_lower_the_confidence():
    (answer,) = judged(pools.pool_over_budget, pool(processes=20, source="SQLAlchemy's defaults"))
    assert answer.confidence == "medium"


def test_the_budget_is_an_option():
    (answer,) = judged(pools.pool_over_budget, pool(processes=4), postgres_pool_budget_percent_warning=50)
    assert answer.severity == "warning"


def test_without_pools_nothing_is_said():
    assert judged(pools.pool_exhausted) == judged(pools.pool_over_budget) == []
    assert {judge.domain for judge in JUDGES if judge.function in (pools.pool_exhausted, pools.pool_over_budget)} == {"stack"}


@pytest.mark.parametrize(("waiting", "severity"), [(0, None), (4, None), (5, "warning"), (28, "critical")])
def test_requests_that_wait_for_a_lock(waiting, severity):
    sessions = {**counts(active=28), "waiting": waiting}
    answers = judged(pools.requests_waiting, pool(sessions=sessions))
    assert [getattr(answer, "severity", None) for answer in answers] == [severity]
