# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Workloads that somebody's source of truth looks after: the finding names the owner, and the plan leaves the change to it or says what lasts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from there import Kubectl, There, apply_all, workload

HELM = {"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "shop"}
ARGO = {"argocd.argoproj.io/tracking-id": "storefront:apps/Deployment:shop/by-argo"}
FLUX = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
TOOLS = {"by-helm": ("Helm", "shop"), "by-argo": ("Argo CD", "storefront"), "by-flux": ("Flux", "Kustomization/flux-system/apps")}


@pytest.fixture(scope="module")
def broken(kubectl: Kubectl, namespace: str, place: There, images: dict[str, str]) -> Iterator[There]:
    """Four workloads, each with a first version that works and a second whose command is not in its image."""

    def put(command: list[str]) -> None:
        made = [workload(name, images["redis"], command=command, annotations={**marks.get("annotations", {})})[0] for name, marks in kept.items()]
        for one in made:
            one["metadata"]["labels"].update(kept[one["metadata"]["name"]].get("labels", {}))
        apply_all(kubectl, namespace, *made)

    kept: dict[str, dict[str, Any]] = {"by-helm": {"annotations": HELM}, "by-argo": {"annotations": ARGO}, "by-flux": {"labels": FLUX}, "its-own": {}}
    put(["redis-server"])
    for name in kept:
        kubectl("-n", namespace, "rollout", "status", "deployment/" + name, "--timeout=90s", timeout=100)
    put(["/no/such/program"])
    yield place


@pytest.fixture(scope="module")
def report(broken: There, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("managed")
    for _time in range(20):
        found = broken.diagnose(folder)
        if len(told(found)) == 4:
            break
    return found


def told(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The evidence of what is wrong with each workload's command."""
    return {one["component"]: one["evidence"] for one in found["findings"] if one["id"] == "container.bad_command"}


def test_the_finding_names_the_owner(report: dict[str, Any]) -> None:
    evidence = told(report)
    assert set(evidence) == {*TOOLS, "its-own"}, report["headline"]
    for name, (tool, owner) in TOOLS.items():
        assert (evidence[name]["managed_by"]["tool"], evidence[name]["managed_by"]["name"]) == (tool, owner)
    assert not evidence["its-own"].get("managed_by")


def test_the_plan_leaves_it_to_the_owner_or_says_what_lasts(report: dict[str, Any]) -> None:
    plan = report["plan"]
    steps = {step["component"]: step for step in plan["steps"]}
    assert set(steps) == {"by-helm", "its-own"}, [(one["component"], one["reason"]) for one in plan["refused"]]
    assert any("Helm release shop" in line for line in steps["by-helm"]["lasting"])
    assert not any("Helm" in line for line in steps["its-own"]["lasting"])
    refused = {one["component"]: one for one in plan["refused"]}
    assert set(refused) == {"by-argo", "by-flux"}
    for name in refused:
        tool, owner = TOOLS[name]
        assert "kept by %s (%s)" % (tool, owner) in refused[name]["reason"]
    assert "sync" in refused["by-argo"]["fix"] and "suspend" in refused["by-flux"]["fix"]
    by_hand = {one["component"] for one in plan["by_hand"] if one["finding"].startswith("container.bad_command@")}
    assert by_hand == {"by-argo", "by-flux"}, plan["by_hand"]


@pytest.mark.parametrize("name", ["by-argo", "by-flux"])
def test_nor_does_a_module_that_is_asked_for_it(broken: There, kubectl: Kubectl, namespace: str, name: str) -> None:
    def wanted() -> str:
        return json.dumps(json.loads(kubectl("-n", namespace, "get", "deployment", name, "-o", "json"))["spec"], sort_keys=True)

    before = wanted()
    answer = broken.act("stack_component", component=name, state="restarted")
    assert answer.get("failed") and "kept by" in answer["msg"], answer
    assert wanted() == before


def test_what_is_nobody_elses_is_cured(broken: There, report: dict[str, Any], kubectl: Kubectl, namespace: str, tmp_path: Path) -> None:
    """Of the same plan: the workload that belongs to itself runs again, and so does Helm's; the others are as they were."""
    del report
    plan = broken.diagnose(tmp_path)["plan"]
    paths: Callable[[str], Path] = lambda name: tmp_path / broken.host / "latest" / name  # noqa: E731
    options = ["-e", "plan=%s" % paths("plan.json"), "-e", "approve=%s" % plan["digest"], "-e", "remediate_hold_seconds=3", "-e", "fail_on=never"]
    played = broken.play("remediate", tmp_path, *options, timeout=300)
    record = played.report(broken.host)["record"]
    assert record["result"] == "held", played.output
    commands = {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]["containers"][0]["command"]
        for one in json.loads(kubectl("-n", namespace, "get", "deployments", "-o", "json"))["items"]
    }
    assert commands == {"its-own": ["redis-server"], "by-helm": ["redis-server"], "by-argo": ["/no/such/program"], "by-flux": ["/no/such/program"]}
