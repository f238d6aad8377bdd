# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The records of acting on a real cluster: processes that race for the lease, that are killed, and that stand still for too long."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from api_proxy import cluster_entry, write_kubeconfig
from playing import ROOT
from there import Kubectl, There, workload

from ansible_collections.aiops.runbook.plugins.module_utils.act import records_cluster
from ansible_collections.aiops.runbook.plugins.module_utils.act.records_cluster import ClusterRecords
from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubeconfig import find_access
from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubernetes import Cluster
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

LEVELS = ("read-only", "diagnose", "remediate")

# Another controller: it waits for the moment that it is told, takes the lease of a few seconds, and does what its last argument says.
CONTROLLER = """
import json, sys, time
from ansible_collections.aiops.runbook.plugins.module_utils.act import records_cluster
from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubeconfig import find_access
from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubernetes import Cluster
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

def tell(**facts):
    print(json.dumps(facts), flush=True)

kubeconfig, namespace, by, moment, seconds = sys.argv[1:6]
records_cluster.LEASE_SECONDS, records_cluster.RENEW_SECONDS, records_cluster.STOP_SECONDS = 4, 1.0, 3.0
records = records_cluster.ClusterRecords(Cluster(find_access(kubeconfig)), namespace)
time.sleep(max(0.0, float(moment) - time.time()))
try:
    with records.lease({"by": by, "job": "apply", "run": "a-digest"}):
        journal = records.new_run()
        journal.write("begin", by=by)
        journal.write("acting", step=1, remedy="pretend", component="api", undo={"password": "old"})
        tell(took=journal.name)
        end = time.time() + float(seconds)
        while time.time() < end:
            time.sleep(0.2)
        journal.write("end", result="held")
        tell(ended=journal.name)
except StackError as error:
    tell(kind=error.kind, message=error.message)
"""


class Controller:
    """A process that acts. said(): the next thing that it tells."""

    def __init__(self, kubeconfig: str, namespace: str, by: str, seconds: float, moment: float = 0.0) -> None:
        words = [sys.executable, "-c", CONTROLLER, kubeconfig, namespace, by, str(moment), str(seconds)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def said(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline() or "{}")

    def send(self, what: signal.Signals) -> None:
        os.kill(self.process.pid, what)


@pytest.fixture
def controller(kubeconfig: str, namespace: str) -> Iterator[Callable[..., Controller]]:
    """controller(by, seconds, moment): one that runs; it is gone at the test's end."""
    made: list[Controller] = []

    def start(by: str, seconds: float = 60.0, moment: float = 0.0) -> Controller:
        made.append(Controller(kubeconfig, namespace, by, seconds, moment))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def records(cluster: Cluster, namespace: str, kubectl: Kubectl) -> Iterator[ClusterRecords]:
    """Those of the module's namespace, as if nobody had ever acted there."""
    found = ClusterRecords(cluster, namespace)
    yield found
    names = [found.secret_name(entry["run"]) for entry in records_cluster.index_of(found.read_lease())]
    for kind, name in [("lease", found.name), *(("secret", name) for name in names)]:
        kubectl("-n", namespace, "delete", kind, name, "--ignore-not-found")


def test_the_lease_and_the_journal_as_the_api_server_keeps_them(records: ClusterRecords, kubectl: Kubectl, namespace: str) -> None:
    assert records.at_work() == {"lease": None, "unfinished": [], "overdue": []}
    with records.lease({"by": "kim", "job": "apply", "run": "xyz"}):
        lease = json.loads(kubectl("-n", namespace, "get", "lease", "aiops-runbook", "-o", "json"))
        assert lease["spec"]["holderIdentity"].startswith("kim/") and lease["spec"]["leaseDurationSeconds"] == 60
        with pytest.raises(StackError, match="kim is at work on this stack since"):
            records.lease({"by": "lee"})
        journal = records.new_run()
        journal.write("begin", by="kim")
        journal.keep("evidence-1.json", {"log": ["last words"]})
        journal.write("acting", step=1, undo={"password": "old"})
        stale = records.run(journal.name)
        journal.write("end", result="held")
        with pytest.raises(StackError, match="another one has gone on with the run") as caught:
            stale.write("undoing", step=1)
        assert caught.value.kind == "lease_lost"
    lease = json.loads(kubectl("-n", namespace, "get", "lease", "aiops-runbook", "-o", "json"))
    assert "holderIdentity" not in lease["spec"] and "renewTime" not in lease["spec"]
    secret = json.loads(kubectl("-n", namespace, "get", "secret", journal.folder.split(" ")[0].split("/")[1], "-o", "json"))
    assert secret["type"] == "aiops.runbook/journal" and sorted(secret["data"]) == ["evidence-1.json.gz", "journal"]
    events = [json.loads(line)["event"] for line in base64.b64decode(secret["data"]["journal"]).splitlines()]
    assert events == ["begin", "acting", "end"]
    # It can be taken again, and it is seen who had it.
    with records.lease({"by": "lee"}):
        assert (records.lease_holder() or {})["by"] == "lee"


def test_of_processes_that_race_for_it_one_acts(controller: Callable[..., Controller], records: ClusterRecords) -> None:
    moment = time.time() + 4.0
    said = [one.said() for one in [controller("racer %d" % number, 3.0, moment) for number in range(6)]]
    assert sum("took" in one for one in said) == 1, said
    assert [one["kind"] for one in said if "took" not in one] == ["leased"] * 5
    assert len(records.runs()) == 1


def test_a_killed_controller_is_found_and_what_it_began_is_in_the_journal(controller: Callable[..., Controller], records: ClusterRecords) -> None:
    killed = controller("old")
    run = killed.said()["took"]
    time.sleep(6.0)
    assert (records.lease_holder() or {})["by"] == "old", "it was renewed beyond its duration"
    killed.send(signal.SIGKILL)
    assert records.at_work()["unfinished"] == []
    with records.lease({"by": "kim"}, wait=30.0):
        (journal,) = records.unfinished()
        assert (journal.name, journal.open_steps(), (journal.last("acting") or {})["undo"]) == (run, [1], {"password": "old"})
        with journal.taking_back(1):
            pass
        journal.write("end", result="undone")
    assert records.at_work() == {"lease": None, "unfinished": [], "overdue": []}


def test_one_that_stood_still_finds_its_work_taken_over(controller: Callable[..., Controller], records: ClusterRecords) -> None:
    asleep = controller("old", 8.0)
    run = asleep.said()["took"]
    asleep.send(signal.SIGSTOP)
    with records.lease({"by": "kim"}, wait=30.0):
        records.unfinished()[0].write("undoing", step=1)
        asleep.send(signal.SIGCONT)
        said = asleep.said()
        assert said["kind"] == "lease_lost" and "nothing more is done" in said["message"], said
        assert [entry["event"] for entry in records.run(run).entries] == ["begin", "acting", "undoing"]
        assert (records.lease_holder() or {})["by"] == "kim"


def test_old_runs_make_room(records: ClusterRecords, monkeypatch: pytest.MonkeyPatch, kubectl: Kubectl, namespace: str) -> None:
    monkeypatch.setattr(records_cluster, "KEEP_RUNS", 3)
    names = []
    with records.lease({"by": "kim"}):
        for number in range(5):
            journal = records.new_run()
            names.append(journal.name)
            journal.write("begin", by="kim")
            if number:
                journal.write("end", result="held")
    left = kubectl("-n", namespace, "get", "secrets", "--field-selector", "type=aiops.runbook/journal", "-o", "name").split()
    assert sorted(left) == ["secret/aiops-runbook-" + name.lower() for name in [names[0], *names[-3:]]]


def test_a_journal_as_large_as_a_secret_can_be(records: ClusterRecords) -> None:
    with records.lease({"by": "kim"}):
        journal = records.new_run()
        journal.write("begin", by="kim")
        journal.keep("evidence-1.json", {"log": [base64.b64encode(os.urandom(90)).decode() for _line in range(20_000)]})
        undo, step = {"text": "x" * (100 << 10)}, 0
        with pytest.raises(StackError, match="it would have .* KiB, and a Secret holds 1024") as caught:
            while step < 20:
                step += 1
                journal.write("acting", step=step, undo=undo)
        assert caught.value.kind == "no_record" and step > 5
        journal.write("end", result="failed", steps=["x" * (100 << 10)])
    assert records.run(journal.name).acted() == list(range(1, step))


# Rights ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def account(kubectl: Kubectl, namespace: str, kubeconfig: str, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """account(*levels): the kubeconfig of a service account that has these Roles of docs/rbac."""
    made: list[tuple[str, str]] = []

    def create(kind: str, name: str, *words: str) -> None:
        kubectl("-n", namespace, "create", kind, name, *words)
        made.append((kind, name))

    def grant(*levels: str) -> Path:
        name = "guest-" + secrets.token_hex(3)
        create("serviceaccount", name)
        for level in levels:
            kubectl("-n", namespace, "apply", "-f", str(ROOT / "docs" / "rbac" / (level + ".yml")))
            create("rolebinding", "%s-%s" % (name, level), "--role", "aiops-runbook-" + level, "--serviceaccount", "%s:%s" % (namespace, name))
        token = kubectl("-n", namespace, "create", "token", name, "--duration=1h").strip()
        return write_kubeconfig(tmp_path / name, cluster_entry(kubeconfig), {"token": token})

    yield grant
    for kind, name in made:
        kubectl("-n", namespace, "delete", kind, name, "--ignore-not-found")


@pytest.fixture
def as_account(account: Callable[..., Path], namespace: str) -> Callable[..., ClusterRecords]:
    """as_account(*levels): the records as such an account sees them."""
    return lambda *levels: ClusterRecords(Cluster(find_access(str(account(*levels))), timeout=10.0), namespace)


def test_what_each_level_may(as_account: Callable[..., ClusterRecords], controller: Callable[..., Controller], records: ClusterRecords) -> None:
    nobody, reader, looker, doer = (as_account(*LEVELS[:number]) for number in range(4))
    killed = controller("old")
    run = killed.said()["took"]
    for one in (reader, looker, doer):
        news = one.at_work()
        assert (news["lease"]["by"], news["unfinished"]) == ("old", [])
    killed.send(signal.SIGKILL)
    wait_for(lambda: records.lease_holder() is None, 20)
    # Without the right to read Secrets it is known that something is left, not how far it went.
    assert [[(left["run"], left["by"], left["last"]) for left in one.at_work()["unfinished"]] for one in (reader, looker, doer)] == [
        [(run, "old", "begin")],
        [(run, "old", "acting")],
        [(run, "old", "acting")],
    ]
    assert looker.key() == records.key() == reader.key()
    with pytest.raises(StackError) as caught:
        nobody.at_work()
    assert caught.value.kind == "denied" and 'resources: ["leases"], verbs: ["get"]' in caught.value.details["fix"]
    for one in (reader, looker):
        with pytest.raises(StackError, match="nothing is done that is not recorded first") as caught:
            one.lease({"by": "guest"})
        assert caught.value.kind == "no_record" and 'resources: ["leases"], verbs: ["patch"]' in caught.value.details["fix"]
    with doer.lease({"by": "guest"}):
        doer.unfinished()[0].write("end", result="undone", steps=[])
        journal = doer.new_run()
        journal.write("begin", by="guest")
        journal.write("end", result="held")
    assert [one.name for one in records.runs()] == [run, journal.name]


def test_the_lease_alone_is_not_enough(as_account: Callable[..., ClusterRecords], records: ClusterRecords, kubectl: Kubectl, namespace: str) -> None:
    kubectl("-n", namespace, "create", "role", "leases", "--verb=get,create,patch", "--resource=leases.coordination.k8s.io")
    guest = as_account()
    kubectl("-n", namespace, "create", "rolebinding", "leases", "--role", "leases", "--group", "system:serviceaccounts:" + namespace)
    try:
        wait_for(lambda: not denied(guest.read_lease), 10)
        with guest.lease({"by": "guest"}), pytest.raises(StackError, match="nothing is done that is not recorded first") as caught:
            guest.new_run().write("begin", by="guest")
        assert caught.value.kind == "no_record" and 'resources: ["secrets"], verbs: ["create"]' in caught.value.details["fix"]
        assert records.at_work() == {"lease": None, "unfinished": [], "overdue": []}
    finally:
        kubectl("-n", namespace, "delete", "rolebinding", "leases")


def denied(ask: Callable[[], Any]) -> bool:
    try:
        ask()
    except StackError as error:
        return error.kind == "denied"
    return False


# A whole run -------------------------------------------------------------------------------------------------------------


def test_a_run_that_was_killed_is_finished_from_another_controller(
    small: There, records: ClusterRecords, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    """The controller is killed while the cure is held; another one, that knows nothing of it, finds it, ends it, and can take it back."""
    kubectl("-n", namespace, "scale", "deployment/cache", "--replicas=0")
    options = {**small.options, "hold_seconds": 300, "component": "cache", "state": "started", "by": "the first"}
    module = "ansible_collections.aiops.runbook.plugins.modules.stack_component"
    first = subprocess.Popen([sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdin is not None
    first.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": options}))
    first.stdin.close()
    try:
        wait_for(lambda: [one for one in records.runs() if one.last("done")], 90)
        refused = small.act("stack_component", component="cache", state="restarted", by="the second")
        assert refused.get("failed") and "the first is at work on this stack" in refused["msg"], refused
    finally:
        first.kill()
        first.wait()
    report = small.diagnose(tmp_path)
    assert report["plan"]["lease"]["by"] == "the first" and report["plan"]["unfinished"] == []
    wait_for(lambda: records.lease_holder() is None, 90)
    (left,) = small.diagnose(tmp_path)["plan"]["unfinished"]
    assert (left["by"], left["last"]) == ("the first", "done")
    done = small.act("stack_component", component="cache", state="restarted", by="the second")["record"]
    assert [(one["run"], one["by"], one["result"]) for one in done["settled"]] == [(left["run"], "the first", "held")], done
    assert done["records"] == "secret/aiops-runbook-%s in the namespace %s" % (done["run"].lower(), namespace)
    assert records.at_work() == {"lease": None, "unfinished": [], "overdue": []}
    assert small.undo()["result"] == "unchanged", "a restart leaves nothing to put back"
    assert small.undo()["result"] == "undone" and replicas(kubectl, namespace) == 0
    kubectl("-n", namespace, "scale", "deployment/cache", "--replicas=1")


def test_a_plan_of_one_controller_is_applied_from_another(
    account: Callable[..., Path], small: There, apply: Callable[..., None], images: dict[str, str], kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    """By another account, with a folder of its own; what it rests on is the same for both. Who may not act hears which right is missing."""
    url = base64.b64encode(b"redis://cache:6379/0").decode("ascii")
    settings = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app"}, "data": {"REDIS_URL": url}}
    looping = ["sh", "-c", "while true; do redis-cli -h cache ping; sleep 5; done"]
    apply(settings, *workload("app", images["redis"], command=looping, envFrom=[{"secretRef": {"name": "app"}}]))
    kubectl("-n", namespace, "rollout", "status", "deployment/app", "--timeout=60s", timeout=70)
    looker, here, there = (small.with_kubeconfig(account(*LEVELS[:number])) for number in (2, 3, 3))
    kubectl("-n", namespace, "scale", "deployment/cache", "--replicas=0")
    places = {"here": tmp_path / "here", "there": tmp_path / "there"}
    for folder in places.values():
        folder.mkdir()
    (refused,) = looker.diagnose(places["here"])["plan"]["refused"]
    assert (refused["remedy"], refused["component"]) == ("component_start", "cache") and "may not patch deployments" in refused["reason"], refused
    plan = here.diagnose(places["here"])["plan"]
    assert [(step["remedy"], step["component"]) for step in plan["steps"]] == [("component_start", "cache")], plan
    approval = ["-e", "plan=%s" % (places["here"] / here.host / "latest" / "plan.json"), "-e", "approve=%s" % plan["digest"], "-e", "remediate_hold_seconds=2"]
    record = there.play("remediate", places["there"], *approval).report(there.host)["record"]
    assert (record["result"], replicas(kubectl, namespace)) == ("held", 1), record
    again = there.play("remediate", places["there"], *approval).report(there.host)["record"]
    assert (again["result"], again["run"]) == ("unchanged", record["run"]), again


def replicas(kubectl: Kubectl, namespace: str) -> int:
    return int(json.loads(kubectl("-n", namespace, "get", "deployment", "cache", "-o", "json"))["spec"]["replicas"])


def wait_for(what: Callable[[], Any], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come about within %d s" % seconds
        time.sleep(0.5)
