# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Real service accounts with the Roles of docs/rbac: what each level sees, what it says of what it may not see, and what it may not do."""

from __future__ import annotations

import copy
import json
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_proxy import cluster_entry, write_kubeconfig
from playing import ROOT
from there import CALM, Kubectl, There, as_list, findings, until_healthy

RBAC = ROOT / "docs" / "rbac"
LEVELS = ("read-only", "diagnose", "remediate")
ROLES = {level: yaml.safe_load((RBAC / (level + ".yml")).read_text(encoding="utf-8")) for level in (*LEVELS, "cluster")}
Account = Callable[..., Path]


@pytest.fixture
def account(kubectl: Kubectl, namespace: str, kubeconfig: str, tmp_path: Path) -> Iterator[Account]:
    """account(stack, roles, cluster): the kubeconfig of a new service account with these Roles in the stack's namespaces; gone at the test's end."""
    made: list[tuple[str, ...]] = []

    def create(*objects: dict[str, Any]) -> None:
        kubectl("create", "-f", "-", stdin=as_list(objects))
        for one in objects:
            made.append(("-n", one["metadata"].get("namespace", "default"), "delete", one["kind"], one["metadata"]["name"]))

    def grant(stack: There, roles: list[dict[str, Any]]) -> Path:
        name = "guest-" + secrets.token_hex(3)
        who = [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]
        create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}})
        for number, role in enumerate(roles):
            for place in stack.namespaces if role["kind"] == "Role" else [""]:
                about = {"name": "%s-%d" % (name, number), **({"namespace": place} if place else {})}
                reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": about["name"]}
                binding = {"apiVersion": role["apiVersion"], "kind": role["kind"] + "Binding", "metadata": about, "subjects": who, "roleRef": reference}
                create({**role, "metadata": about}, binding)
        token = kubectl("-n", namespace, "create", "token", name, "--duration=1h").strip()
        return write_kubeconfig(tmp_path / (name + ".kubeconfig"), cluster_entry(kubeconfig), {"token": token})

    yield grant
    for words in reversed(made):
        kubectl(*words, "--ignore-not-found", check=False)


def upto(level: str) -> list[dict[str, Any]]:
    """The Roles of this level and of those above it, and the cluster-wide one."""
    return [ROLES[one] for one in (*LEVELS[: LEVELS.index(level) + 1], "cluster")]


def rules_named(report: dict[str, Any]) -> set[str]:
    """Every "verb resource" that the report says is missing."""
    found = set()
    for one in report["unknown"]:
        match = re.search(r'resources: \["([^"]+)"\], verbs: \["([^"]+)"\]', one["fix"])
        if match:
            found.add("%s %s" % (match[2], match[1]))
    return found


@pytest.mark.parametrize("name", ["reference", "second"])
def test_the_rights_to_diagnose_are_enough(name: str, account: Account, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    stack = request.getfixturevalue(name)
    there = stack.with_kubeconfig(account(stack, upto("diagnose")))
    report = until_healthy(lambda: there.diagnose(tmp_path, "-e", json.dumps({"limits": CALM})))
    assert (report["verdict"], findings(report), report["unknown"]) == ("healthy", {}, [])


def test_with_less_it_is_said_what_was_not_seen_and_which_rule_is_missing(reference: There, account: Account, tmp_path: Path) -> None:
    report = reference.with_kubeconfig(account(reference, upto("read-only"))).diagnose(tmp_path, "-e", json.dumps({"limits": CALM}))
    assert (report["verdict"], findings(report)) == ("unknown", {})
    assert rules_named(report) == {"get secrets", "create pods/exec"}
    helped = {one["component"] for one in report["unknown"] if one["fix"]}
    assert {one["component"] for one in report["unknown"]} == helped, "nothing is told of what to do about the others"
    # What only lists are needed for is judged all the same.
    assert {"workload.rollout_stuck", "service.no_endpoints", "image.pull_failed"} <= {one["id"] for one in report["ruled_out"]}


def test_one_who_may_nothing_is_told_so(reference: There, account: Account, tmp_path: Path) -> None:
    report = reference.with_kubeconfig(account(reference, [])).diagnose(tmp_path)
    assert [one["id"] for one in report["unknown"]] == ["stack.unreachable"]
    assert "may not list pods" in report["unknown"][0]["reason"]
    assert rules_named(report) == {"list pods"}


def without(resource: str, group: str) -> list[dict[str, Any]]:
    """The Roles to diagnose, without one resource."""
    roles = copy.deepcopy(upto("diagnose"))
    for role in roles:
        for rule in role["rules"]:
            if group in rule["apiGroups"]:
                rule["resources"] = [one for one in rule["resources"] if one != resource]
        role["rules"] = [rule for rule in role["rules"] if rule["resources"]]
    return roles


GRANTED = [(group, resource) for role in upto("diagnose") for rule in role["rules"] for group in rule["apiGroups"] for resource in rule["resources"]]
# What is done another way without them, and nothing is missing from the diagnosis of a stack that is well.
DISPENSABLE = {
    ("", "pods/portforward"): "the addresses of pods are reached from here",
    ("metrics.k8s.io", "pods"): "each container is asked for its memory itself",
    ("", "limitranges"): "only asked for pods that are refused",
    ("apps", "controllerrevisions"): "only asked for the earlier versions of a StatefulSet that is ill",
    ("", "serviceaccounts"): "only asked for a pull secret that an image is refused for",
    ("apiregistration.k8s.io", "apiservices"): "only asked for an autoscaler that has no figure",
    ("coordination.k8s.io", "leases"): "only tells whether somebody acts on the stack",
    ("storage.k8s.io", "storageclasses"): "only asked for a claim that is not bound",
    ("", "persistentvolumes"): "only asked for a claim that is not bound",
}


def test_each_rule_that_is_missing_is_named(reference: There, account: Account) -> None:
    """One after another of all that the Roles grant; what a diagnosis can do without is known, and why."""
    silent = {}
    for group, resource in GRANTED:
        if (group, resource) == ("", "pods"):
            continue
        model = reference.with_kubeconfig(account(reference, without(resource, group))).look(limits=CALM)
        named = {rule.split(" ")[1] for rule in rules_named(model)}
        assert findings(model) == {}, (group, resource)
        if resource not in named:
            silent[group, resource] = model["verdict"]
    assert silent == dict.fromkeys(DISPENSABLE, "healthy")


# Acting ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def stopped(small: There, kubectl: Kubectl, namespace: str) -> Iterator[There]:
    """The small stack, with its Redis scaled to nothing and a user of it left behind."""
    kubectl("-n", namespace, "scale", "deployment/cache", "--replicas=0")
    yield small
    kubectl("-n", namespace, "scale", "deployment/cache", "--replicas=1")


@pytest.mark.parametrize(("level", "fails"), [("diagnose", True), ("remediate", False)])
def test_only_who_may_remediate_does(stopped: There, account: Account, kubectl: Kubectl, namespace: str, level: str, fails: bool) -> None:
    there = stopped.with_kubeconfig(account(stopped, upto(level)))
    answer = there.act("stack_component", component="cache", state="started")
    replicas = json.loads(kubectl("-n", namespace, "get", "deployment", "cache", "-o", "json"))["spec"]["replicas"]
    assert (bool(answer.get("failed")), replicas) == (fails, 0 if fails else 1), answer
    if fails:
        assert "may not patch deployments" in answer["msg"], answer
