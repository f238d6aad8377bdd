# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a user sets reaches the judgement: the playbook and the role on observations that were saved, with no stack in reach."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playing import ROOT, Played, play

DATA = ROOT / "tests" / "unit" / "data"
NOWHERE = {"DOCKER_HOST": "tcp://127.0.0.1:9"}


def diagnose(folder: Path, *arguments: str, saved: str = "compose", playbook: str = "diagnose", **hosts: dict[str, object]) -> Played:
    """One run on saved observations, in which every host of the inventory has variables of its own, and its reports in a folder of its name."""
    usual = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}", "fail_on": "never"}
    usual["diagnose_report_dir"] = str(folder) + "/{{ inventory_hostname }}"
    inventory = folder / "inventory.yml"
    inventory.write_text(json.dumps({"all": {"vars": usual, "hosts": hosts or {"shop": {}}}}))
    seen = "observations=%s" % (DATA / ("observations-ill-%s.json" % saved))
    return play(playbook, folder, "-e", seen, *arguments, inventory=inventory, **NOWHERE)


def reported(folder: Path, host: str = "shop", stack: str = "reference") -> dict[str, Any]:
    return json.loads((folder / host / stack / "latest" / "report.json").read_text())


SLOW, NEAR = ("http.slow", "api"), ("redis.memory_near_limit", "redis")
THRESHOLDS = {
    "none": ({}, {SLOW}),
    "whole_stack": ({"limits": {"http_slow_ms_warning": 4000}}, set()),
    "route": ({"route_limits": {"/ready": {"http_slow_ms_warning": 4000}}}, set()),
    "other_route": ({"route_limits": {"/health": {"http_slow_ms_warning": 4000}}}, {SLOW}),
    "components": ({"component_limits": {"api": {"http_slow_ms_warning": 4000}, "redis": {"redis_memory_percent_warning": 0.5}}}, {NEAR}),
    "other_component": ({"component_limits": {"postgres": {"redis_memory_percent_warning": 0.5}}}, {SLOW}),
    "route_first": ({"limits": {"http_slow_ms_warning": 4000}, "route_limits": {"/ready": {"http_slow_ms_warning": 500}}}, {SLOW}),
    "long_names": ({"diagnose_component_limits": {"redis": {"redis_memory_percent_warning": 0.5}}, "diagnose_route_limits": {}}, {SLOW, NEAR}),
}


def test_thresholds_of_a_component_or_route(tmp_path):
    played = diagnose(tmp_path, **{name: variables for name, (variables, _expected) in THRESHOLDS.items()})
    assert played.status == 0, played.output
    found = {name: {(item["id"], item["component"]) for item in reported(tmp_path, name)["findings"]} & {SLOW, NEAR} for name in THRESHOLDS}
    assert found == {name: expected for name, (_variables, expected) in THRESHOLDS.items()}


def test_a_threshold_that_there_is_not_is_named(tmp_path):
    played = diagnose(tmp_path, shop={"component_limits": {"redis": {"redis_memory_per_cent": 3}}})
    assert played.status == 2 and "component_limits.redis" in played.output and "redis_memory_per_cent" in played.output


def test_the_role_s_own_variables(tmp_path):
    """In a play of one's own, by the role's long names."""
    own = tmp_path / "own.yml"
    variables = {
        "diagnose_limits": {"http_slow_ms_warning": 4000},
        "diagnose_component_limits": {"redis": {"redis_memory_percent_critical": 0.5}},
        "diagnose_custom_checks": [{"id": "young", "query": "postgres.postgres.server.max_connections", "is": ">", "expect": 9999, "text": "too few"}],
        "diagnose_lang": "zh-TW",
        "diagnose_fail_on": "critical",
        "diagnose_report_dir": str(tmp_path / "elsewhere"),
    }
    own.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "roles": [{"role": "aiops.runbook.diagnose", "vars": variables}]}]))
    played = diagnose(tmp_path, playbook=str(own))
    report = reported(tmp_path, "elsewhere")
    severities = {item["id"]: item["severity"] for item in report["findings"]}
    assert (severities["redis.memory_near_limit"], severities["custom.young"]) == ("critical", "warning") and "http.slow" not in severities
    assert report["lang"] == "zh-TW" and played.status == 2


def test_a_namespace_is_judged_again_where_no_cluster_is_in_reach(tmp_path):
    diagnose(tmp_path, saved="kubernetes", shop={"stack_platform": "kubernetes"})
    assert sorted(root["id"] for root in reported(tmp_path, stack="try")["root_causes"]) == ["image.registry_unreachable", "postgres.password_rejected"]
