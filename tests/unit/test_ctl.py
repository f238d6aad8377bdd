# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the reference stacks are built, started and removed, with a docker command that only writes down what it is asked."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from terminals import as_at_a_terminal

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stack"))

import ctl  # noqa: E402

# Keeps tags as files; what else it says stands in files named by the first two words of the question.
DOCKER = """#!/bin/sh
echo "$*" >> "$FAKE/asked"
[ -z "$FAKE_REFUSES" ] || { echo "$FAKE_REFUSES" >&2; exit 1; }
case "$1 $2" in
  "info --format") echo "$FAKE" ;;
  "build --quiet") sleep "${FAKE_BUILD:-0}"; touch "$FAKE/tag-$(echo "$4" | tr / _)" ;;
  "image inspect") [ -e "$FAKE/tag-$(echo "$5" | tr / _)" ] && echo "sha256:1" || exit 1 ;;
  *) cat "$FAKE/$1-$2" 2>/dev/null ;;
esac
exit 0
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with one small stack "tiny", a cache, and a docker command that answers."""
    stack = tmp_path / "stacks" / "tiny"
    (stack / "images" / "api").mkdir(parents=True)
    (stack / "images" / "api" / "Dockerfile").write_text("FROM debian:bookworm-slim\n", encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (stack / "stack.yml").write_text("project: tiny\nurl: http://127.0.0.1:%d\nroutes: {health: /health}\n" % port, encoding="utf-8")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(DOCKER, encoding="utf-8")
    (tmp_path / "bin" / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", "%s:/usr/bin:/bin" % (tmp_path / "bin"))
    monkeypatch.setenv("FAKE", str(tmp_path))
    monkeypatch.setattr(ctl, "HERE", tmp_path / "stacks")
    monkeypatch.setattr(ctl, "CACHE", tmp_path / "cache")
    yield tmp_path


def asked(place: Path) -> list[str]:
    return (place / "asked").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        ("permission denied while trying to connect to the Docker daemon socket", "add it to the group docker, or run as root"),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", "no Docker engine answers: start it"),
        ("docker: 'compose' is not a docker command.", "the Compose plugin is missing"),
        ("write /var/lib/docker/tmp/x: no space left on device", "the disk is full: `docker system df` shows what Docker keeps"),
        ("Bind for 127.0.0.1:18080 failed: port is already allocated", "127.0.0.1:18080 is taken by another program"),
        ("ERROR: No matching distribution found for fastapi==0.110", "the Python package registry does not give"),
        ("something else broke", "something else broke"),
    ],
)
def test_what_is_missing_is_said_in_one_line(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], refusal: str, told: str) -> None:
    monkeypatch.setenv("FAKE_REFUSES", refusal)
    assert ctl.main(["down", "tiny"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and told in lines[0]


def test_no_docker_command(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(place / "empty"))
    assert ctl.main(["up", "tiny"]) == 1
    assert capsys.readouterr().err == "error: the command 'docker' is not installed\n"


def test_no_disk(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ctl, "BUILD_NEEDS", 1 << 60)
    assert ctl.main(["build", "tiny"]) == 1
    told = capsys.readouterr().err
    assert "MB free and the build wants" in told and "docker system df" in told
    assert not any(line.startswith("build") for line in asked(place))


def test_a_cache_that_cannot_be_written(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "file").write_text("", encoding="utf-8")
    monkeypatch.setattr(ctl, "CACHE", place / "file" / "cache")
    assert ctl.main(["build", "tiny"]) == 1
    assert capsys.readouterr().err.splitlines() == ["error: %s: Not a directory" % (place / "file" / "cache")]


def test_a_port_that_is_taken(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = int(ctl.load_stack("tiny").url.rpartition(":")[2])
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert ctl.main(["up", "tiny"]) == 1
    assert "error: 127.0.0.1:%d is taken by another program: stop it (`ss -ltnp` shows it), then try again" % port in capsys.readouterr().err
    assert not any(line.startswith(("build", "compose")) for line in asked(place))


def test_an_unknown_stack(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl.main(["up", "other"]) == 1
    assert capsys.readouterr().err == "error: there is no stack 'other' beside ctl.py; known: tiny\n"


def test_a_long_build_is_told_of_and_done_once(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FAKE_BUILD", "0.5")
    monkeypatch.setattr(ctl, "TELL_SECONDS", 0.1)
    assert ctl.main(["build", "tiny"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("building tiny/api:") and lines[-1].startswith("built tiny/api:")
    assert len(lines) > 4 and set(lines[1:-1]) <= {"  … 0 s", "  … 1 s"}
    assert ctl.main(["build", "tiny"]) == 0
    assert capsys.readouterr().err == ""
    assert sum(line.startswith("build ") for line in asked(place)) == 1


def test_one_build_at_a_time(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "cache").mkdir()
    with open(place / "cache" / "build.lock", "w", encoding="utf-8") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        threading.Timer(0.3, other.close).start()
        assert ctl.main(["build", "tiny"]) == 0
    assert capsys.readouterr().err.startswith("another build is under way on this machine; waiting for it\nbuilding tiny/api:")


def script(place: Path, *words: str) -> subprocess.Popen[str]:
    """ctl.py as a program of its own, in a process group of its own, as a terminal runs it."""
    code = "import sys; sys.path.insert(0, %r); import ctl, pathlib; ctl.HERE = pathlib.Path(%r); sys.exit(ctl.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code % (str(Path(ctl.__file__).parent), str(place / "stacks")), *words]
    environment = {**os.environ, "AIOPS_RUNBOOK_CACHE": str(place / "cache")}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True, preexec_fn=as_at_a_terminal)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_the_middle_and_again_from_the_start(place: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals) -> None:
    monkeypatch.setenv("FAKE_BUILD", "30")
    process = script(place, "build", "tiny")
    end = time.monotonic() + 20
    while not list((place / "cache").glob("build/tmp*")) or not any(line.startswith("build ") for line in asked(place)):
        assert time.monotonic() < end
        time.sleep(0.05)
    os.killpg(process.pid, how)
    told = process.communicate(timeout=10)[1]
    assert process.returncode == (130 if how == signal.SIGINT else -how) and "Traceback" not in told
    if how == signal.SIGINT:
        assert not list((place / "cache").glob("build/tmp*"))
    monkeypatch.setenv("FAKE_BUILD", "0")
    again = script(place, "build", "tiny")
    told = again.communicate(timeout=20)[1]
    assert again.returncode == 0 and "built tiny/api:" in told
    assert not list((place / "cache").glob("build/tmp*"))


def test_down_takes_what_compose_leaves(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content in (("ps--aq", "c1"), ("network-ls", "n1"), ("network-inspect", "guest"), ("volume-ls", "v1 v2")):
        (place / name).write_text(content + "\n", encoding="utf-8")
    assert ctl.main(["down", "tiny"]) == 0
    wanted = [line for line in asked(place) if line.split()[0] in ("rm", "compose") or line.split()[1] in ("rm", "disconnect")]
    assert [line.split()[-1] for line in wanted] == ["10", "c1", "guest", "n1", "v2"]
    assert wanted[1] == "rm --force --volumes c1" and wanted[4] == "volume rm v1 v2"
    assert capsys.readouterr().err.splitlines() == ["taking tiny away", "tiny is gone"]
