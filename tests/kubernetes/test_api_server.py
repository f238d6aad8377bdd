# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An API server that is late, throttles, fails, or does not let us in: the report says so, in the time that its time-outs allow.

Never is a stack healthy that was not seen.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import certificates
import pytest
from api_proxy import Answer, Asked, Trouble, cluster_entry, door, write_kubeconfig
from there import CALM, TRIES, Kubectl, There, findings

TIMEOUT = 3.0
OPTIONS = json.dumps({"diagnose_timeout": TIMEOUT, "limits": CALM})
# What Ansible itself takes on a machine that has other things to do.
SLACK = 30.0


@pytest.fixture(scope="module")
def healthy(small: There, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is told of the stack when nothing is wrong with the API server, and after how long."""
    for _try in range(TRIES):
        report, seconds = look(small, tmp_path_factory.mktemp("healthy"))
        if report["verdict"] == "healthy":
            break
    assert (report["verdict"], findings(report)) == ("healthy", {}), report["unknown"]
    return {**report, "took": seconds}


def look(place: There, folder: Path) -> tuple[dict[str, Any], float]:
    """(report, seconds) of a whole run with short time-outs."""
    started = time.monotonic()
    report = place.diagnose(folder, "-e", OPTIONS)
    seconds = time.monotonic() - started
    print("%.1f s: %s" % (seconds, report["headline"]))
    status = json.loads((folder / place.host / "latest" / "status.json").read_text(encoding="utf-8"))
    assert status["verdict"] == report["verdict"]
    return report, seconds


def through(place: There, folder: Path, trouble: Trouble) -> tuple[dict[str, Any], float, Counter[str]]:
    """The same by way of a door with this trouble; and how often each path was asked."""
    with door(place.kubeconfig, trouble) as way:
        report, seconds = look(place.with_kubeconfig(way.kubeconfig(folder)), folder)
        return report, seconds, Counter(one.path for one in way.asked)


def once_each(what: Answer | float) -> Trouble:
    """This for the first request of every path, and nothing for the others."""
    seen: set[str] = set()
    lock = threading.Lock()

    def trouble(asked: Asked) -> Answer | float | None:
        with lock:
            first = asked.path not in seen
            seen.add(asked.path)
        return what if first else None

    return trouble


def test_the_door_changes_nothing(small: There, healthy: dict[str, Any], tmp_path: Path) -> None:
    for _try in range(TRIES):
        report, _seconds, asked = through(small, tmp_path, lambda asked: None)
        if report["verdict"] == "healthy":
            break
    assert (report["verdict"], findings(report), report["unknown"]) == ("healthy", {}, [])
    assert any(path.endswith("/exec") for path in asked)


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (lambda asked: 30.0, "did not answer in time"),
        (lambda asked: Answer(), "did not answer in time"),
        (lambda asked: Answer(429, "too many requests", retry_after=1), "throttling (429)"),
        (lambda asked: Answer(429, "too many requests", retry_after=3600), "throttling (429)"),
        (lambda asked: Answer(503, "apiserver is shutting down"), "answered 503"),
        (lambda asked: Answer(401, "Unauthorized"), "does not accept these credentials"),
        (lambda asked: Answer(403, 'User "nobody" cannot list'), "may not list pods"),
    ],
    ids=["late", "silent", "throttles", "throttles-for-an-hour", "shuts-down", "knows-us-not", "forbids"],
)
def test_one_that_gives_nothing_is_said_to_be_so(small: There, healthy: dict[str, Any], tmp_path: Path, trouble: Trouble, said: str) -> None:
    report, seconds, asked = through(small, tmp_path, trouble)
    assert (report["verdict"], [one["id"] for one in report["unknown"]], report["findings"]) == ("unknown", ["stack.unreachable"], [])
    assert said in report["unknown"][0]["reason"]
    assert seconds < healthy["took"] + 6 * TIMEOUT + SLACK
    assert max(asked.values()) <= 3, "it insists: %s" % asked.most_common(3)


@pytest.mark.parametrize("kind", ["deployments", "services", "events", "configmaps", "endpointslices", "networkpolicies", "nodes", "pods/exec"])
def test_what_it_does_not_give_is_not_called_well(small: There, healthy: dict[str, Any], tmp_path: Path, kind: str) -> None:
    """One kind of object fails, everything else is judged."""

    def trouble(asked: Asked) -> Answer | None:
        here = asked.path.endswith("/exec") if kind == "pods/exec" else asked.what.split("?")[0] == kind
        return Answer(500, "etcdserver: leader changed") if here else None

    report, seconds, asked = through(small, tmp_path, trouble)
    assert (report["verdict"], findings(report)) == ("unknown", {})
    assert report["unknown"] and len(report["unknown"]) < len(healthy["ruled_out"])
    reasons = " ".join(one["reason"] for one in report["unknown"])
    assert "500" in reasons, reasons
    assert seconds < healthy["took"] + 4 * TIMEOUT + SLACK
    assert max(asked.values()) <= 12, asked.most_common(3)


@pytest.mark.parametrize(
    "trouble",
    [lambda: once_each(Answer(429, "too many requests", retry_after=1)), lambda: once_each(Answer(503, "not yet")), lambda: lambda asked: 0.2],
    ids=["throttles-once", "fails-once", "a-little-late"],
)
def test_a_stumble_is_waited_for(small: There, healthy: dict[str, Any], tmp_path: Path, trouble: Callable[[], Trouble]) -> None:
    for _try in range(TRIES):
        stumbles = trouble()

        def only_lists(asked: Asked, stumbles: Trouble = stumbles) -> Answer | float | None:
            return None if asked.path.endswith(("/exec", "/portforward")) else stumbles(asked)

        report, seconds, _asked = through(small, tmp_path, only_lists)
        if report["verdict"] == "healthy":
            break
    assert (report["verdict"], report["unknown"]) == ("healthy", [])
    assert seconds < healthy["took"] + 4 * TIMEOUT + SLACK


def test_one_that_falls_silent_in_the_middle(small: There, healthy: dict[str, Any], tmp_path: Path) -> None:
    """The lists come, and then nothing any more."""

    def trouble(asked: Asked) -> Answer | None:
        return None if "/" not in asked.what else Answer()

    report, seconds, _asked = through(small, tmp_path, trouble)
    assert (report["verdict"], findings(report)) == ("unknown", {})
    assert seconds < healthy["took"] + 8 * TIMEOUT + SLACK


@pytest.mark.parametrize("how", ["nobody", "no-route"])
def test_one_that_is_not_there(place: There, tmp_path: Path, how: str) -> None:
    server = {"nobody": "https://127.0.0.1:1", "no-route": "https://203.0.113.7:6443"}[how]
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", {**cluster_entry(place.kubeconfig), "server": server}, {"token": "x"})
    report, seconds = look(place.with_kubeconfig(kubeconfig), tmp_path)
    assert (report["verdict"], [one["id"] for one in report["unknown"]]) == ("unknown", ["stack.unreachable"])
    assert server in report["unknown"][0]["reason"]
    assert seconds < 3 * TIMEOUT + SLACK


def test_one_of_another_authority_is_not_believed(place: There, tmp_path: Path) -> None:
    certificates.Authority(tmp_path)
    entry = {name: value for name, value in cluster_entry(place.kubeconfig).items() if name != "certificate-authority-data"}
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", {**entry, "certificate-authority": str(tmp_path / "ca.crt")}, {"token": "secret-token-9Qz"})
    report, _seconds = look(place.with_kubeconfig(kubeconfig), tmp_path)
    assert [one["id"] for one in report["unknown"]] == ["stack.unreachable"]
    assert "cannot be trusted" in report["unknown"][0]["reason"]


def test_a_token_that_is_no_longer_good(small: There, kubectl: Kubectl, namespace: str, tmp_path: Path) -> None:
    """A service account that is gone: its tokens are refused from then on."""
    kubectl("-n", namespace, "create", "serviceaccount", "gone")
    token = kubectl("-n", namespace, "create", "token", "gone", "--duration=10m").strip()
    kubectl("-n", namespace, "delete", "serviceaccount", "gone")
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", cluster_entry(small.kubeconfig), {"token": token})
    end = time.monotonic() + 30  # the API server remembers a good token for ten seconds
    while kubectl("--kubeconfig", kubeconfig, "get", "--raw", "/api", check=False) and time.monotonic() < end:
        time.sleep(1)
    report, _seconds = look(small.with_kubeconfig(kubeconfig), tmp_path)
    assert [one["id"] for one in report["unknown"]] == ["stack.unreachable"]
    assert "401" in report["unknown"][0]["reason"] and "log in anew" in report["unknown"][0]["fix"]
    for path in tmp_path.rglob("*"):
        assert path == kubeconfig or not path.is_file() or token.encode() not in path.read_bytes(), path
