# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The demo for real, on the second stack: run twice, broken twice, interrupted, fixed and taken back, and gone without a trace."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest
from playing import ROOT, run
from terminals import as_at_a_terminal

DEMO = [sys.executable, str(ROOT / "tests" / "tools" / "demo.py")]
PROJECT = "orders"
PORT = 18090


def demo(*words: str) -> tuple[int, str]:
    done = subprocess.run([*DEMO, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, check=False)
    return done.returncode, done.stdout


def of_the_project() -> dict[str, list[str]]:
    """What the engine has of it."""
    label = "label=com.docker.compose.project=" + PROJECT
    return {
        "containers": run("docker", "ps", "-aq", "--filter", label).split(),
        "networks": run("docker", "network", "ls", "-q", "--filter", label).split(),
        "volumes": run("docker", "volume", "ls", "-q", "--filter", label).split(),
        "images": images(),
    }


def images() -> list[str]:
    return [name for name in run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").split() if name.startswith(PROJECT + "/")]


@pytest.fixture(autouse=True)
def well_afterwards() -> Iterator[None]:
    yield
    assert demo("up", "second")[0] == 0


@pytest.fixture
def images_stay() -> Iterator[None]:
    """Under other names, so that nothing has to be built again."""
    before = images()
    kept = {name: "kept-by-test/" + name for name in before}
    for name, alias in kept.items():
        run("docker", "tag", name, alias)
    yield
    for name, alias in kept.items():
        run("docker", "tag", alias, name)
        run("docker", "image", "rm", alias)


def test_fixed_and_taken_back() -> None:
    for _time in (1, 2):
        status, told = demo("up", "second")
        assert status == 0 and "HEALTHY  second" in told, told
    for _time in (1, 2):
        status, told = demo("break", "second", "pg-wrong-password")
        assert status == 0 and "password" in told and "now fix it: make demo-fix STACK=second" in told, told
    status, told = demo("fix", "second")
    assert status == 0 and "demo: fixed; take it back: make demo-undo STACK=second" in told, told
    status, told = demo("undo", "second")
    assert status == 0 and "the stack is as it was before, its fault included" in told, told
    status, told = demo("up", "second")
    assert status == 0 and "HEALTHY  second" in told, told


def test_interrupted_and_again_from_the_start() -> None:
    process = subprocess.Popen(
        [*DEMO, "break", "second", "pg-down"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, preexec_fn=as_at_a_terminal
    )
    assert process.stdout is not None
    told = ""
    for said in process.stdout:
        told += said
        if "demo: injecting" in said:
            break
    os.killpg(process.pid, signal.SIGINT)
    told += process.communicate(timeout=60)[0]
    assert process.returncode in (130, -signal.SIGINT) and "Traceback" not in told, told
    status, told = demo("up", "second")
    assert status == 0 and "HEALTHY  second" in told, told


def test_gone_without_a_trace(images_stay: None) -> None:
    demo("break", "second", "pg-down")
    status, told = demo("down", "second")
    assert status == 0 and told.rstrip().endswith("demo: second and its reports are gone"), told
    assert not any(of_the_project().values())
    left = [ROOT / "reports" / "second", ROOT / "tests" / "output" / "gameday" / "second", ROOT / "tests" / "output" / "state" / PROJECT]
    assert not any(map(Path.exists, left))
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", PORT))
        other.listen()
        status, told = demo("up", "second")
    assert status == 1 and "127.0.0.1:%d is taken by another program" % PORT in told, told
    assert not of_the_project()["containers"]
