# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Limits and health checks: the next limit, the form in which it is written, and what is refused."""

from __future__ import annotations

import json

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused
from ansible_collections.aiops.runbook.plugins.module_utils.act.project import changed_override
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.resources import checked, definition_of, differing, grown, merged, ours, size, swap
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance
from ansible_collections.aiops.runbook.plugins.module_utils.platform.compose import read_timing

MIB = 1 << 20
GIB = 1 << 30


@pytest.mark.parametrize(
    ("limit", "copies", "available", "wanted"),
    [
        (64 * MIB, 1, 8 * GIB, 256 * MIB),
        (256 * MIB, 1, 8 * GIB, 512 * MIB),
        (200 * MIB, 1, 8 * GIB, 416 * MIB),
        (144 * MIB + 1, 1, 8 * GIB, 320 * MIB),
        (512 * MIB, 2, 4 * GIB, GIB),
        (512 * MIB, 1, 2 * GIB, GIB),
    ],
)
def test_grown(limit, copies, available, wanted):
    assert grown(limit, copies, available) == wanted


@pytest.mark.parametrize(
    ("limit", "copies", "available", "words"), [(512 * MIB, 1, 2 * GIB - 2, "only 2048 MiB left"), (512 * MIB, 3, 4 * GIB, "each of 3"), (MIB, 1, None, "seen")]
)
def test_grown_too_far(limit, copies, available, words):
    with pytest.raises(Refused, match=words):
        grown(limit, copies, available)


@pytest.mark.parametrize(
    ("limit", "with_swap", "memory", "wanted"),
    [(512, 1024, 768, 1280), (512, 512, 768, 768), (512, -1, 768, -1), (0, 0, 768, 1536), (512, 0, 768, 1536)],
)
def test_swap_stays(limit, with_swap, memory, wanted):
    assert swap(Instance("1", "one", "running", memory_limit=limit, memory_swap=with_swap), memory) == wanted


PLAIN = {"mem_limit": "536870912", "healthcheck": {"test": ["CMD", "true"]}}
DEPLOYED = {"deploy": {"resources": {"limits": {"cpus": "1", "memory": "536870912"}}}}
DEFINITIONS = [
    ({"memory": GIB, "swap": 2 * GIB}, PLAIN, {"mem_limit": "1024m", "memswap_limit": "2048m"}),
    ({"memory": GIB, "swap": 2 * GIB}, {}, {"mem_limit": "1024m", "memswap_limit": "2048m"}),
    ({"memory": GIB, "swap": -1}, DEPLOYED, {"deploy": {"resources": {"limits": {"memory": "1024m"}}}, "memswap_limit": -1}),
    ({"cpus": 1.5}, DEPLOYED, {"deploy": {"resources": {"limits": {"cpus": "1.5"}}}}),
    ({"cpus": 1.5}, PLAIN, {"cpus": 1.5}),
    ({"interval_seconds": 30.0, "retries": 4}, PLAIN, {"healthcheck": {"interval": "30s", "retries": 4}}),
    ({"test": ["CMD-SHELL", "test $A = 1"]}, {"healthcheck": {"disable": True}}, {"healthcheck": {"test": ["CMD-SHELL", "test $$A = 1"], "disable": False}}),
    ({"start_period_seconds": 0.5}, PLAIN, {"healthcheck": {"start_period": "0.5s"}}),
]


@pytest.mark.parametrize(("wanted", "service", "definition"), DEFINITIONS)
def test_the_form_is_the_files_own(wanted, service, definition):
    assert definition_of(wanted, service) == definition


def test_sizes_are_exact():
    assert [size(number) for number in (GIB, GIB + 1, -1)] == ["1024m", GIB + 1, -1]


def test_what_the_override_says_already_stays():
    before = changed_override(None, "api", {"LOG_LEVEL": "DEBUG"}, {"deploy": {"replicas": 2, "resources": {"limits": {"cpus": "1"}}}})
    wanted = {"deploy": {"resources": {"limits": {"memory": "1024m"}}}}
    after = json.loads(changed_override(before, "api", definition={key: merged(ours(before, "api").get(key), value) for key, value in wanted.items()}))
    assert after["services"]["api"] == {
        "environment": {"LOG_LEVEL": "DEBUG"},
        "deploy": {"replicas": 2, "resources": {"limits": {"cpus": "1", "memory": "1024m"}}},
    }


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({"memory": "grow"}, {"memory": "grow"}),
        ({"memory": 536870912, "cpus": 2}, {"memory": 536870912, "cpus": 2.0}),
        ({"healthcheck": {"test": "true", "retries": "3"}}, {"test": ["CMD-SHELL", "true"], "retries": 3}),
        ({"healthcheck": {"test": ["CMD", "true"], "start_period_seconds": 0}}, {"test": ["CMD", "true"], "start_period_seconds": 0.0}),
    ],
)
def test_checked(params, wanted):
    assert checked(params) == wanted


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"healthcheck": {}},
        {"memory": "plenty"},
        {"memory": 1000},
        {"memory": True},
        {"cpus": 0},
        {"cpus": -1},
        {"cpus": 1, "requests": {"cpu": 1}},
        {"cpus": 1, "containers": ["web"]},
        {"healthcheck": {"retries": 0}},
        {"healthcheck": {"interval_seconds": 0}},
        {"healthcheck": {"test": ["NONE"]}},
        {"healthcheck": {"test": ["true"]}},
        {"healthcheck": {"test": []}},
        {"healthcheck": {"test": ""}},
        {"healthcheck": {"test": ["CMD"]}},
    ],
)
def test_nonsense_is_refused(params):
    with pytest.raises(Refused):
        checked(params)


def test_differing():
    one = Instance("1", "one", "running", memory_limit=GIB, cpus=1.5, health_test=["CMD", "true"], health_timing={"interval_seconds": 5.0, "retries": 3})
    assert differing(one, {"memory": GIB, "swap": 3 * GIB, "cpus": 1.5, "test": ["CMD", "true"], "interval_seconds": 5.0, "retries": 3}) == []
    assert differing(one, {"memory": 2 * GIB, "test": ["CMD", "false"], "timeout_seconds": 1.0}) == ["memory", "test", "timeout_seconds"]


def test_times_of_a_health_check():
    assert read_timing({}) == {} == read_timing({"Test": ["NONE"]})
    usual = {"interval_seconds": 30.0, "timeout_seconds": 30.0, "start_period_seconds": 0.0, "retries": 3}
    assert read_timing({"Test": ["CMD", "true"]}) == usual
    assert read_timing({"Test": ["CMD", "true"], "Interval": 5000000000, "StartPeriod": 60000000000, "Retries": 9}) == {
        **usual,
        "interval_seconds": 5.0,
        "start_period_seconds": 60.0,
        "retries": 9,
    }
