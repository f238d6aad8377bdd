# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the test cluster keeps its things, and how its tools are run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("AIOPS_RUNBOOK_CACHE") or Path.home() / ".cache" / "aiops-runbook") / "cluster"
DATA = CACHE / "node"  # certificates, settings, logs, etcd, containers, volumes
STATE = Path("/run/aiops-runbook-cluster")  # sockets and pids: short paths, gone with a reboot
KUBECONFIG = DATA / "kubeconfig" / "admin"
KIND = DATA / "kind"  # there while the cluster is kind's

POD_NETWORK = "10.244.0.0/24"
SERVICE_NETWORK = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"


class ClusterError(Exception):
    """One line for a person: what is wrong and what to do."""


def given() -> str:
    """A cluster of the user's own, which is used instead: the path of its kubeconfig; "" without one, or when it is ours."""
    path = os.environ.get("KUBECONFIG", "")
    return "" if path and os.path.realpath(path) == os.path.realpath(KUBECONFIG) else path


def foreign() -> bool:
    """Whether the cluster is made of other programs than ours."""
    return bool(given()) or KIND.exists()


def say(text: str) -> None:
    print("cluster: %s" % text, file=sys.stderr, flush=True)


def run(command: Sequence[str | Path], timeout: float = 120, check: bool = True, stdin: str | bytes | None = None, **options: Any) -> str:
    """The standard output of a command; a ClusterError with its last words when it fails."""
    words = [str(word) for word in command]
    data = stdin.encode() if isinstance(stdin, str) else stdin
    try:
        done = subprocess.run(words, input=data, capture_output=True, timeout=timeout, check=False, **options)
    except FileNotFoundError as error:
        raise ClusterError("the command %r is not installed" % words[0]) from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError("no end after %.0f s: %s" % (timeout, " ".join(words[:6]))) from error
    if check and done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise ClusterError("%s failed: %s" % (" ".join(words[:4]), " | ".join(said[-4:]) or "no output"))
    return done.stdout.decode(errors="replace")


def wait(what: str, problem: Callable[[], str], seconds: float) -> None:
    """Ask until there is no problem left, saying every ten seconds what is awaited; a ClusterError with the last one when the time is over."""
    started = told = time.monotonic()
    while True:
        left = problem()
        if not left:
            return
        if time.monotonic() - told > 10:
            told = time.monotonic()
            say("%s: %s (%.0f s)" % (what, left, told - started))
        if time.monotonic() > started + seconds:
            raise ClusterError("%s is not ready after %.0f s: %s" % (what, seconds, left))
        time.sleep(0.3)
