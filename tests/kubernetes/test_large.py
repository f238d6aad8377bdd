# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A namespace of 2,000 pods on the real API server: everything of it is looked at, by as many requests as for a small one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_proxy import door
from playing import ROOT
from there import There, cluster_py, findings

PODS = 2000
NAMESPACE = "test-large"
# Runs a command, and writes down the largest resident set of any of its processes, in MiB.
MEASURED = """
import json, resource, subprocess, sys
status = subprocess.run(sys.argv[2:], check=False).returncode
open(sys.argv[1], "w").write(json.dumps(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024))
sys.exit(status)
"""


@pytest.fixture(scope="module")
def large(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    cluster_py("scale", "up", NAMESPACE, str(PODS))
    try:
        yield There("large", (NAMESPACE,), kubeconfig, tmp_path_factory.mktemp("state"))
    finally:
        cluster_py("scale", "down", NAMESPACE)


def test_all_of_it_is_seen_and_nothing_is_wrong(large: There, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": {large.host: large.where}}}), encoding="utf-8")
    play = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), str(ROOT / "playbooks" / "diagnose.yml")]
    options = ["-e", "fail_on=never", "-e", "report_dir=%s" % tmp_path]
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path / "memory"), *play, *options], capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path
    )
    seconds, memory = time.monotonic() - started, json.loads((tmp_path / "memory").read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / large.host / "latest" / "report.json").read_text(encoding="utf-8"))
    print("\n%d pods: %.1f s, at most %.0f MiB in one process" % (PODS, seconds, memory), file=sys.__stderr__)
    assert findings(report) == {}
    assert len(report["topology"]["components"]) == PODS // 100
    assert memory < 300, "%.0f MiB" % memory


def test_it_takes_no_request_for_each_pod(large: There, tmp_path: Path) -> None:
    with door(large.kubeconfig) as way:
        large.with_kubeconfig(way.kubeconfig(tmp_path)).diagnose(tmp_path)
    assert sum(one.what == "pods" and one.path.startswith("/api/v1/") for one in way.asked) == PODS // 500, "and the metrics API's list of pods once"
    kinds = Counter(re.sub(r"/[^/]+", "/…", one.what, count=1) for one in way.asked)
    assert kinds["pods"] == PODS // 500 + 1, kinds
    asked_inside = sum(count for what, count in kinds.items() if what.startswith("pods/"))
    assert asked_inside <= 8 * (PODS // 100), "as many as four copies of each component cost: %s" % kinds
