# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The thresholds: the table is sound, the most particular value wins, and a typing mistake is named."""

from __future__ import annotations

import re

import pytest
import yaml

from ansible_collections.aiops.runbook.plugins.doc_fragments.limits import ModuleDocFragment
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import LIMITS, Limits, limits_spec, option_names
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, WARNING, StackError

DOMAINS = {name.split("_", 1)[0] for name in LIMITS}


@pytest.mark.parametrize("name", LIMITS)
def test_table(name: str) -> None:
    limit = LIMITS[name]
    assert re.fullmatch(r"[a-z][a-z0-9_]+", name)
    assert limit.source, "where the figures come from"
    assert limit.warning is not None or limit.critical is not None
    if limit.warning is not None and limit.critical is not None:
        assert limit.warning < limit.critical


@pytest.mark.parametrize("name", LIMITS)
def test_grade_by_default(name: str) -> None:
    limit, limits = LIMITS[name], Limits()
    if limit.warning is not None:
        assert limits.grade(name, limit.warning - 0.01) is None
        assert limits.grade(name, limit.warning) == WARNING
    if limit.critical is not None:
        assert limits.grade(name, limit.critical) == CRITICAL
        assert limits.grade(name, limit.critical * 1000) == CRITICAL
    else:
        assert limits.grade(name, limit.warning * 1000) == WARNING


VALUES = {"redis_memory_percent_warning": 70}
COMPONENTS = {"cache": {"redis_memory_percent_warning": 60}}
ROUTES = {"/slow": {"http_slow_ms_warning": 9000, "http_slow_ms_critical": 20000}}


@pytest.mark.parametrize(
    "name,value,component,route,grade",
    [
        ("redis_memory_percent", 69, None, None, None),
        ("redis_memory_percent", 70, None, None, WARNING),
        ("redis_memory_percent", 90, None, None, CRITICAL),  # not given: the table's
        ("redis_memory_percent", 65, "cache", None, WARNING),
        ("redis_memory_percent", 65, "broker", None, None),
        ("http_slow_ms", 2000, "api", "/fast", WARNING),
        ("http_slow_ms", 2000, "api", "/slow", None),
        ("http_slow_ms", 6000, "api", "/fast", CRITICAL),
        ("http_slow_ms", 6000, "api", "/slow", None),
        ("http_slow_ms", 20000, None, "/slow", CRITICAL),
    ],
)
def test_most_particular_wins(name, value, component, route, grade) -> None:
    assert Limits(VALUES, COMPONENTS, ROUTES).grade(name, value, component, route) == grade


def test_route_before_component_before_values() -> None:
    key = "http_slow_ms_warning"
    limits = Limits({key: 1}, {"api": {key: 2}}, {"/r": {key: 3}})
    assert limits.get("http_slow_ms") == 1
    assert limits.get("http_slow_ms", component="api") == 2
    assert limits.get("http_slow_ms", component="api", route="/r") == 3
    assert limits.get("http_slow_ms", component="worker", route="/other") == 1


def test_none_falls_through_and_text_is_a_number() -> None:
    limits = Limits({"http_slow_ms_warning": "250"}, {"api": {"http_slow_ms_warning": None}})
    assert limits.get("http_slow_ms", component="api") == 250.0


def test_zero_is_a_value() -> None:
    assert Limits({"redis_memory_percent_warning": 0}).grade("redis_memory_percent", 0) == WARNING


@pytest.mark.parametrize(
    "arguments,option",
    [
        ({"values": {"redis_memory_percent": 70}}, "limits"),
        ({"components": {"cache": {"no_such_warning": 1}}}, "component_limits.cache"),
        ({"routes": {"/r": {"http_slow_ms_critcal": 1}}}, "route_limits./r"),
        ({"values": {"celery_queue_length_critical": 9}}, "limits"),  # the table has none
    ],
)
def test_unknown_name_is_refused(arguments, option: str) -> None:
    with pytest.raises(StackError) as caught:
        Limits(**arguments)
    assert caught.value.kind == "bad_option"
    assert caught.value.message.startswith(option + ":")
    assert "redis_memory_percent_warning" in caught.value.message, "it says what there is"


def test_spec_holds_every_option_with_its_default() -> None:
    spec = limits_spec()
    assert list(spec) == option_names()
    for name, suboption in spec.items():
        table, level = name.rsplit("_", 1)
        assert suboption == {"type": "float", "default": getattr(LIMITS[table], level)}
        assert suboption["default"] is not None


@pytest.mark.parametrize("domain", sorted(DOMAINS))
def test_spec_of_one_domain(domain: str) -> None:
    assert list(limits_spec(domain)) == [name for name in option_names() if name.startswith(domain + "_")] != []


def test_defaults_given_back_change_nothing() -> None:
    given = Limits({name: suboption["default"] for name, suboption in limits_spec().items()})
    for name in LIMITS:
        assert (given.get(name, WARNING), given.get(name, CRITICAL)) == (Limits().get(name, WARNING), Limits().get(name, CRITICAL))


@pytest.mark.parametrize(("variable", "domains"), [("DOCUMENTATION", []), *((domain.upper(), [domain]) for domain in ("postgres", "redis", "celery", "http"))])
def test_documentation_holds_every_option_with_its_default(variable: str, domains: list[str]) -> None:
    suboptions = yaml.safe_load(getattr(ModuleDocFragment, variable))["options"]["limits"]["suboptions"]
    assert {name: {"type": what["type"], "default": what["default"]} for name, what in suboptions.items()} == limits_spec(*domains)
