# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Real servers for tests: Debian's redis-server on a port of its own, and a real Celery application. No service is touched."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator

APP = """
import os, time
from celery import Celery

app = Celery("shop", broker=os.environ["BROKER"], backend=os.environ.get("BACKEND") or None)
app.conf.task_routes = {"shop.urgent": {"queue": "priority"}}
if os.environ.get("PREFIX"):
    app.conf.broker_transport_options = {"global_keyprefix": os.environ["PREFIX"]}
app.conf.task_acks_late = bool(os.environ.get("LATE"))

@app.task(name="shop.add")
def add(a, b):
    return a + b

@app.task(name="shop.nap")
def nap(seconds, *_more):
    time.sleep(seconds)

@app.task(name="shop.urgent")
def urgent():
    pass

@app.task(name="shop.fail")
def fail(text):
    raise ValueError(text)

@app.task(name="shop.slowly", rate_limit="1/m")
def slowly():
    pass
"""
# Another, on a broker of containers: a task on a queue of its own, and one that fails until /tmp/open is there.
CELERY_APP = """
import os
from celery import Celery

app = Celery("shop", broker=os.environ["CELERY_BROKER_URL"], backend=os.environ["CELERY_RESULT_BACKEND"])
app.conf.task_routes = {"shop.mail": {"queue": "mails"}}
app.conf.result_extended = True
app.conf.broker_connection_retry_on_startup = True

@app.task(name="shop.mail")
def mail():
    pass

@app.task(name="shop.divide")
def divide(by):
    if not os.path.exists("/tmp/open"):
        raise RuntimeError("closed")
    return 12 / by
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(question: Any, what: str, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, "not within %d s: %s" % (seconds, what)
        time.sleep(0.1)


class Redis:
    """One redis-server; cli() is redis-cli's output."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.words = words
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Redis:
        program = shutil.which("redis-server")
        assert program, "redis-server is missing: apt-get install redis-server"
        self.process = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--daemonize", "no", "--save", "", *self.words],
            stdout=(self.folder / "redis.log").open("ab"),
            stderr=subprocess.STDOUT,
        )
        wait_until(self._listens, "redis-server answers: %s" % (self.folder / "redis.log").read_text())
        return self

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)

    def cli(self, *words: str, text: bool = True) -> str:
        done = subprocess.run(["redis-cli", "-p", str(self.port), *words], capture_output=True, text=text, timeout=60, check=False)
        return (done.stdout + done.stderr).strip()

    def keys(self) -> list[str]:
        return sorted(self.cli("--raw", "keys", "*").splitlines())

    def accepted(self) -> int:
        """How many connections this server has accepted since its start, ours for the question included."""
        return int(next(line for line in self.cli("info", "stats").splitlines() if line.startswith("total_connections_received:")).split(":")[1])

    def errors(self) -> str:
        return next(line for line in self.cli("info", "stats").splitlines() if line.startswith("total_error_replies:"))


@contextlib.contextmanager
def redis_server(folder: Path, *words: str) -> Iterator[Redis]:
    folder.mkdir(parents=True, exist_ok=True)
    server = Redis(folder, *words)
    try:
        yield server.start()
    finally:
        server.stop()


class Celery:
    """The application in a folder of its own; workers are started by its command line, as one would."""

    def __init__(self, folder: Path, broker: str, **environment: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        (folder / "shop.py").write_text(APP)
        self.environment = {**os.environ, "BROKER": broker, "PYTHONPATH": str(folder), **environment}
        self.program = str(Path(sys.executable).with_name("celery"))

    def call(self, task: str, *words: str) -> str:
        """Send a task by celery's own command."""
        done = subprocess.run(
            [self.program, "-A", "shop", "call", task, *words], env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout.strip()

    def send(self, script: str) -> None:
        """Send tasks by the application's own code."""
        subprocess.run([sys.executable, "-c", "from shop import *\n" + script], env=self.environment, cwd=self.folder, timeout=60, check=True)

    @contextlib.contextmanager
    def worker(self, *words: str, name: str = "w1") -> Iterator[subprocess.Popen[bytes]]:
        log = self.folder / (name + ".log")
        process = subprocess.Popen(
            [self.program, "-A", "shop", "worker", "-n", name + "@%h", "-l", "info", *words],
            env=self.environment,
            cwd=self.folder,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_until(lambda: b"ready." in log.read_bytes(), "the worker is ready: %s" % log)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def run_module(name: str, check_mode: bool = False, **options: Any) -> dict[str, Any]:
    """What a module of the collection answers, run as Ansible runs it."""
    given = json.dumps({"ANSIBLE_MODULE_ARGS": {**options, "_ansible_check_mode": check_mode}})
    module = "ansible_collections.aiops.runbook.plugins.modules." + name
    done = subprocess.run([sys.executable, "-m", module], input=given, capture_output=True, text=True, timeout=180, check=False)
    assert done.stdout.strip().startswith("{"), done.stdout + done.stderr
    return json.loads(done.stdout)


def found(answer: dict[str, Any]) -> dict[str, str]:
    """The findings' ids and severities, notes left out."""
    return {finding["id"]: finding["severity"] for finding in answer["findings"] if finding["severity"] != "info"}


def cleared(answer: dict[str, Any]) -> set[str]:
    return {one["id"] for one in answer["cleared"]}
