# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A stack on the cluster as a test meets it: played on by playbooks as a user would, acted on by modules as Ansible runs them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from brokers import run_module
from playing import ROOT, Played, play

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.door import ACT_SPEC, apply_one, undo_run
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.stack import judge_stack
from ansible_collections.aiops.runbook.plugins.module_utils.observe.door import STACK_SPEC, observe_from_params
from ansible_collections.aiops.runbook.plugins.plugin_utils.diagnose import diagnose

CLUSTER = ROOT / "tests" / "cluster" / "cluster.py"
Kubectl = Callable[..., str]
INVENTORY = ROOT / "tests" / "cluster" / "inventory.yml"


@dataclass(frozen=True)
class There:
    """A stack: host is its name in reports; where: the variables of the inventory that say where it is; state: the folder of its records."""

    host: str
    namespaces: tuple[str, ...]
    kubeconfig: str
    state: Path
    selector: str = ""

    def with_kubeconfig(self, path: Path | str) -> There:
        """The same stack, asked as somebody else."""
        return replace(self, kubeconfig=str(path))

    @property
    def where(self) -> dict[str, Any]:
        return {
            "stack_platform": "kubernetes",
            "stack_namespace": list(self.namespaces),
            "stack_selector": self.selector,
            "kubeconfig": self.kubeconfig,
            "state_dir": str(self.state),
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        }

    def play(self, playbook: str, folder: Path, *arguments: str, timeout: float = 180, **environment: str) -> Played:
        """A playbook of the collection on this stack alone; its reports in a folder of the test's own."""
        inventory = folder / ("inventory-%s.json" % self.host)
        inventory.write_text(json.dumps({"all": {"hosts": {self.host: self.where}}}), encoding="utf-8")
        return play(playbook, folder, *arguments, inventory=inventory, timeout=timeout, **environment)

    def diagnose(self, folder: Path, *arguments: str, **options: Any) -> dict[str, Any]:
        """The report of a diagnosis that is allowed to find something."""
        played = self.play("diagnose", folder, "-e", "fail_on=never", *arguments, **options)
        assert played.status == 0, played.output
        return played.report(self.host)

    def look(self, limits: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """The model of a diagnosis that is made in this process; StackError where there is no way to the stack."""
        params = {name: option.get("default") for name, option in STACK_SPEC.items()}
        seen = observe_from_params({**params, **self.options, **options})
        return diagnose(seen, judge_stack(seen, Limits(limits or {})), "en")

    @property
    def options(self) -> dict[str, Any]:
        """The options of a module that acts on this stack."""
        where = {"stack_platform": "kubernetes", "namespace": list(self.namespaces), "selector": self.selector, "kubeconfig": self.kubeconfig}
        return {**where, "state_dir": str(self.state), "hold_seconds": 0}

    def act(self, module: str, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        """What a module of the collection answers."""
        return run_module(module, check_mode, _ansible_diff=True, **{**self.options, **options})

    def cure(self, remedy: str, component: str, check: bool = False, **wanted: Any) -> dict[str, Any]:
        """What a remedy of the collection answers, without a process of its own."""
        params = {name: option.get("default") for name, option in ACT_SPEC.items()}
        return apply_one({**params, **self.options, "by": "a test"}, Step(remedy, component, wanted), check)

    def undo(self) -> dict[str, Any]:
        """Take back the last run on this stack."""
        params = {name: option.get("default") for name, option in ACT_SPEC.items()}
        return undo_run({**params, **self.options, "by": "a test"}, None)


# A busy machine makes Redis slow, and says so: for tests whose subject is another one.
CALM: dict[str, Any] = {"redis_latency_p99_ms_warning": 5000, "redis_latency_p99_ms_critical": 9000}
TRIES = 3


def until_healthy(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The first report that is healthy, or the last one: a moment in which nothing is answered in time says nothing of the stack."""
    for _try in range(TRIES):
        report = look()
        if report["verdict"] == "healthy":
            break
    return report


def cluster_py(*words: str) -> str:
    """What a command of the test cluster prints; each has a time-out of its own."""
    done = subprocess.run(["python3", str(CLUSTER), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_list(objects: Iterable[dict[str, Any]]) -> str:
    """For kubectl create and apply."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def apply_all(kubectl: Kubectl, namespace: str, *objects: dict[str, Any]) -> None:
    """Make these objects as they are said, or change them to it."""
    kubectl("-n", namespace, "apply", "-f", "-", stdin=as_list(objects))


def findings(report: dict[str, Any]) -> dict[str, str]:
    """{id: component} of what a report found, notes left out."""
    return {one["id"]: one["component"] for one in report["findings"] if one["severity"] != "info"}


def held(done: dict[str, Any]) -> bool:
    """Whether a cure was done and has held; what was wrong is told."""
    assert done["record"]["result"] == "held", [step.get("error") for step in done["record"]["steps"]]
    return True


def causes(report: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((root["id"], root["component"]) for root in report["root_causes"])


# What small workloads are made of ---------------------------------------------------------------------------------------

RESOURCES = {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "128Mi"}}
# An api that says yes to everything, for python3 -c.
SERVE = """
import http.server as h
class Api(h.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *words):
        pass
h.ThreadingHTTPServer(("", 8000), Api).serve_forever()
"""


def workload(name: str, image: str, kind: str = "Deployment", replicas: int = 1, port: int | None = None, spec: dict[str, Any] | None = None,
             pod: dict[str, Any] | None = None, annotations: dict[str, str] | None = None, **container: Any) -> list[dict[str, Any]]:  # fmt: skip
    """A workload with one container, in a list. spec, pod: more of the workload's and of its pods' specs; container: more of the container's."""
    one: dict[str, Any] = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": RESOURCES,
        **({"ports": [{"name": "main", "containerPort": port}]} if port else {}),
        **container,
    }
    pods = {"metadata": {"labels": {"app": name}}, "spec": {"terminationGracePeriodSeconds": 1, **(pod or {}), "containers": [one]}}
    more: dict[str, Any] = {"serviceName": name} if kind == "StatefulSet" else {}
    wanted = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": pods, **more, **(spec or {})}
    about = {"name": name, "labels": {"app": name}, "annotations": annotations or {}}
    return [{"apiVersion": "apps/v1", "kind": kind, "metadata": about, "spec": wanted}]


def service(name: str, port: int, target: int | str | None = None, selector: dict[str, str] | None = None) -> dict[str, Any]:
    ports = [{"name": "main", "port": port, "targetPort": target or port}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": selector or {"app": name}, "ports": ports}}
