# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hurt a reference stack and put it back; symptoms.py sees that it hurts. Nothing here uses the collection.

Each step writes what undoes it into a journal before it acts, so that a later process can heal what this one left.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import ipaddress
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "output"
sys.path[:0] = [str(HERE), str(HERE.parent / "stack")]

import ctl  # noqa: E402
from faultfile import FaultError  # noqa: E402

HOLDER = "nightly-export"  # the application name of the sessions that faults hold open
FLOOD = "export:chunk:"  # the keys with which a fault floods Redis
STRAY = "gameday-stray-%s-"  # containers that belong to no stack, beside this one
CURES = "*aiops-runbook*"  # files that a cure may leave beside the project's own
UNREAD = "unread"  # what stands for the settings of a server that does not tell them
# Of one container only, or of the way in which it came about (up --no-deps leaves the dependencies out of both).
PASSING_LABELS = tuple("com.docker.compose." + name for name in ("replace", "container-number", "image", "config-hash", "depends_on"))

STEP: dict[str, Callable[..., None]] = {}
UNDO: dict[str, Callable[..., None]] = {}


def step(function: Callable[..., None]) -> Callable[..., None]:
    STEP[function.__name__] = function
    return function


def undo(function: Callable[..., None]) -> Callable[..., None]:
    UNDO[function.__name__.removeprefix("undo_")] = function
    return function


class Bench:
    """One stack, with the means to hurt and heal it."""

    platform = "compose"
    # What can be done on this platform; what is seen in another way there than in symptoms.py.
    steps: Mapping[str, Callable[..., None]] = STEP
    symptoms: Mapping[str, Callable[..., tuple[bool, str]]] = {}

    def __init__(self, name: str) -> None:
        self.stack = self.load_stack(name)
        self.spec = self.stack.spec
        self.folder = OUTPUT / "gameday" / (self.stack.name if self.platform == "compose" else "%s-%s" % (self.stack.name, self.platform))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.began = time.time()
        self.said = ""  # the last complaint of a command that was allowed to fail

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Two game days on one stack would heal each other's faults."""
        with open(self.folder / "lock", "w", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise FaultError("another game day is at work on the stack %s" % self.stack.name) from error
            yield

    # what the stack is called and how it is reached

    def load_stack(self, name: str) -> ctl.Stack:
        """By the name of its folder beside the reference stacks, or by the path of a folder elsewhere."""
        return ctl.load_stack(name)

    @property
    def host(self) -> str:
        """What the inventory calls it."""
        return self.stack.name

    @property
    def inventory(self) -> Path:
        return HERE.parent / "stack" / "inventory.yml"

    def up(self) -> None:
        ctl.up(self.stack)

    def rebuild(self) -> None:
        ctl.down(self.stack)
        ctl.up(self.stack)

    def remake(self, service: str) -> None:
        """It reads its settings anew."""
        self.compose_up(service, force=True)

    def names(self) -> dict[str, Any]:
        """The placeholders of fault files."""
        settings = self.spec["settings"]
        names: dict[str, Any] = {**self.spec["services"], "stack": self.stack.name, "optional": self.spec["optional"], "url": self.stack.url}
        names.update({key: self.spec["postgres"][key] for key in ("superuser", "database", "app_user", "busiest_table")})
        names.update({name + "_route": path for name, path in self.spec["routes"].items()})
        names.update({name + "_queue": queue for name, queue in self.spec["queues"].items()})
        names["pool_timeout_variable"] = settings.get("pool_timeout", {}).get("variable", "DATABASE_POOL_TIMEOUT")
        names["database_services"] = settings["database"]["services"]
        names["broker_database"] = self.broker_database()
        names.update(required_service=settings["required"]["service"], required_variable=settings["required"]["variable"])
        names.update(pool_size_variable=settings["pool_size"]["variable"], max_overflow_variable=settings["max_overflow"]["variable"])
        names["other_queue_command"] = [*self.spec["worker_command"][:-1], "archive"]  # the queues are its last word
        return names

    def ids(self, service: str) -> list[str]:
        return ctl.containers(self.stack, "label=com.docker.compose.service=%s" % service, "label=com.docker.compose.oneoff=False")

    def inspect(self, service: str) -> list[dict[str, Any]]:
        found = self.ids(service)
        return json.loads(self.docker("inspect", *found, check=False) or "[]") if found else []

    def docker(self, *args: str, check: bool = True, timeout: float = 60, stdin: str | None = None) -> str:
        return ctl.run(["docker", *args], check=check, timeout=timeout, stdin=stdin)

    def one(self, service: str) -> str:
        found = self.ids(service)
        if not found:
            raise FaultError("the service %s has no container" % service)
        return found[0]

    def address(self, service: str) -> str:
        for about in self.inspect(service):
            for network in about["NetworkSettings"]["Networks"].values():
                if network["IPAddress"]:
                    return str(ipaddress.ip_address(network["IPAddress"]))
        raise FaultError("the service %s has no address" % service)

    def port(self, service: str) -> int:
        """On which it listens inside."""
        ports = [port.split("/")[0] for about in self.inspect(service) for port in about["Config"].get("ExposedPorts") or {}]
        if not ports:
            raise FaultError("the image of %s tells no port" % service)
        return int(ports[0])

    def memory_percent(self, service: str) -> float:
        """Of its limit, in use."""
        return 100.0 * _working_set(self, self.one(service)) / (self.inspect(service)[0]["HostConfig"]["Memory"] or 1 << 62)

    def config(self) -> dict[str, Any]:
        """The project as its own files make it."""
        return json.loads(self.stack.compose("config", "--format", "json"))

    def environment(self, service: str) -> dict[str, str]:
        """What a service is given by the project's files."""
        found: dict[str, str] = self.config()["services"][service]["environment"]
        return found

    def compose_up(self, *services: str, force: bool = False) -> None:
        """Services as the files and those of our overrides that are about them want them; a start that fails is the fault's own affair."""
        overrides = [path for path in sorted(self.folder.glob("override-*.yml")) if set(path.stem.split(".")[1:]) & set(services)]
        extra = [word for path in overrides for word in ("-f", str(path))]
        command = ["docker", "compose", "-p", self.stack.project, "-f", str(self.stack.folder / "compose.yml"), *extra,
                   "up", "-d", "--no-deps", "--no-build", "--pull", "never", "--timeout", "3", *(["--force-recreate"] if force else []), *services]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        self.said = done.stderr.strip()[-400:] if done.returncode else ""

    def psql(self, sql: str) -> str:
        place = self.spec["postgres"]
        return self.docker("exec", "-i", "-u", "postgres", self.one(self.spec["services"]["postgres"]), "psql", "-XqAt", "-v", "ON_ERROR_STOP=1",
                           "-U", place["superuser"], "-d", place["database"], "-f", "-", stdin=sql, timeout=20).strip()  # fmt: skip

    def redis(self, *words: str, auth: str | None = None) -> str:
        command = self.spec["redis"]["cli"] if auth is None else ["redis-cli", "--no-auth-warning", "-a", auth]
        return self.docker("exec", self.one(self.spec["services"]["redis"]), *command, *words, check=False, timeout=20).removesuffix("\n")

    def redis_setting(self, name: str) -> str:
        lines = self.redis("CONFIG", "GET", name).splitlines()
        if not lines or lines[0] != name:
            raise FaultError("Redis does not tell %s: %s" % (name, " ".join(lines)))
        return lines[1] if len(lines) > 1 else ""

    def database_password(self) -> str:
        setting = self.spec["settings"]["database"]
        if "variable" in setting:
            return _Url(self.environment(setting["services"][0])[setting["variable"]]).password
        return (self.stack.folder / setting["file"]).read_text(encoding="utf-8").strip()

    def broker_database(self) -> str:
        """The number of the Redis database that holds the queues."""
        setting = self.spec["settings"]["broker"]
        url = self.environment(setting["services"][0])[setting["variable"]] if "variable" in setting else ""
        number = re.search(r"/(\d+)(\?|$)", url)
        return number[1] if number else "0"

    def client(self, timeout: float = 10) -> ctl.Client:
        return ctl.Client(self.stack, timeout=timeout)

    # the journal

    @property
    def _journal(self) -> Path:
        return self.folder / "journal.json"

    def journal(self) -> list[dict[str, Any]]:
        return json.loads(self._journal.read_text(encoding="utf-8")) if self._journal.exists() else []

    def _write_journal(self, entries: list[dict[str, Any]]) -> None:
        if not entries:
            self._journal.unlink(missing_ok=True)
            return
        part = self._journal.with_suffix(".part")
        part.write_text(json.dumps(entries, indent=1), encoding="utf-8")
        part.chmod(0o600)
        part.replace(self._journal)

    def later(self, kind: str, **arguments: Any) -> None:
        """Note what undoes the change that comes next."""
        if kind not in UNDO:
            raise FaultError("no such undo: %s" % kind)
        entry = {"undo": kind, **arguments}
        entries = self.journal()
        if entry not in entries:
            self._write_journal([*entries, entry])

    def inject(self, steps: Any) -> None:
        for item in steps:
            kind, arguments = next(iter(item.items()))
            if kind not in self.steps:
                raise FaultError("the step %s is not known on %s" % (kind, self.platform))
            self.steps[kind](self, arguments)

    def heal(self) -> list[str]:
        """Undo everything in the journal, the last first, each whatever became of the others; what could not be undone, in words."""
        problems = []
        entries = self.journal()
        while entries:
            entry = entries.pop()
            arguments = {key: value for key, value in entry.items() if key != "undo"}
            try:
                UNDO[entry["undo"]](self, **arguments)
            except (FaultError, ctl.CtlError, OSError, subprocess.SubprocessError, KeyError) as error:
                problems.append("%s: %s" % (entry["undo"], error))
            self._write_journal(entries)
        return problems

    def fill_table(self, rows: int) -> None:
        ctl.seed(self.stack, rows)

    def start_fallen(self) -> None:
        """Start what gave up during the fault and has no restart policy that would."""
        for service in self.spec["services"].values():
            fallen = [about["Id"] for about in self.inspect(service) if about["State"]["Status"] in ("exited", "created")]
            if fallen:
                self.docker("start", *fallen)

    # what the stack is like

    def unwell(self, patience: float = 10) -> str:
        """What keeps the stack from being healthy and quiet, in words; empty when it is."""
        problem = ctl.ready(self.stack, patience)
        if problem:
            return problem
        for service in self.spec["services"].values():
            for about in self.inspect(service):
                state = about["State"]
                if state["Status"] != "running" or state.get("Health", {}).get("Status") == "unhealthy":
                    return "%s is %s %s" % (service, state["Status"], state.get("Health", {}).get("Status", ""))
        held = self.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = '%s'" % HOLDER)
        if held != "0":
            return "%s sessions of a fault are still open" % held
        waiting = [queue for queue in self.spec["queues"].values() if self.redis("-n", self.broker_database(), "LLEN", queue) != "0"]
        return "messages wait in %s" % ", ".join(waiting) if waiting else ""

    def wait_well(self, seconds: float) -> str:
        """Wait until the stack is healthy and quiet, and start what gives up on the way; what still keeps it from being so."""
        end = time.monotonic() + seconds
        while True:
            self.start_fallen()
            problem = self.unwell(5)
            if not problem or time.monotonic() > end:
                return problem
            time.sleep(0.5)

    def settings(self) -> dict[str, Any]:
        """Everything that a fault or a cure may change, so that before and after can be compared; what a broken server does not tell is UNREAD."""
        seen: dict[str, Any] = {}
        for service in self.spec["services"].values():
            for number, about in enumerate(sorted(self.inspect(service), key=lambda one: one["Name"])):
                limits, status = about["HostConfig"], about["State"]["Status"]
                labels = about["Config"]["Labels"]
                seen["%s %d" % (service, number + 1)] = {
                    "state": status if status == "paused" else "on" if status in ("running", "restarting") else "off",
                    "image": about["Image"],
                    "command": [about["Config"]["Entrypoint"], about["Config"]["Cmd"]],
                    "environment": sorted(about["Config"]["Env"] or []),
                    "mounts": sorted("%s=%s" % (mount["Destination"], mount.get("Name") or mount["Source"]) for mount in about["Mounts"]),
                    "memory": [limits["Memory"], limits["MemorySwap"], limits["MemoryReservation"]],
                    "processors": [limits[name] for name in ("NanoCpus", "CpuQuota", "CpuPeriod", "CpuShares", "CpusetCpus")],
                    "healthcheck": about["Config"].get("Healthcheck"),
                    "ports": limits["PortBindings"],
                    "networks": {
                        name: sorted(set(network["Aliases"] or []) - {about["Id"][:12]})
                        for name, network in sorted(about["NetworkSettings"]["Networks"].items())
                    },
                    "files": labels.get("com.docker.compose.project.config_files"),
                    "labels": {name: value for name, value in sorted(labels.items()) if name not in PASSING_LABELS},
                    "restart": limits["RestartPolicy"],
                }
        seen["postgres"] = _read(lambda: json.loads(self.psql("SELECT json_object_agg(name, setting) FROM pg_settings")))
        seen["roles"] = _read(lambda: _hash(self.psql("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1").encode()))
        seen["redis"] = _read(self._redis_settings)
        seen["redis folder"] = _read(lambda: self.docker("exec", self.one(self.spec["services"]["redis"]), "stat", "-c", "%a %U:%G", self.redis_setting("dir")))
        seen["flood"] = _read(lambda: self.redis_setting("dir") and self.redis("EXISTS", FLOOD + "1"))
        seen["project"] = {name: [_hash(path.read_bytes()), oct(path.stat().st_mode)] for name, path in self.files().items()}
        ours = "label=com.docker.compose.project=%s" % self.stack.project
        seen["networks"] = sorted(self.docker("network", "ls", "--filter", ours, "--format", "{{.Name}}").split())
        seen["volumes"] = sorted(self.docker("volume", "ls", "--filter", ours, "--format", "{{.Name}}").split())
        seen["strays"] = self.docker("ps", "-aq", "--filter", "name=" + STRAY % self.stack.name)
        return seen

    def _redis_settings(self) -> dict[str, str]:
        lines = self.redis("CONFIG", "GET", "*").split("\n")
        if len(lines) < 10:
            raise FaultError("Redis does not tell its settings")
        return {name: _hash(value.encode()) for name, value in zip(lines[::2], lines[1::2], strict=False)}

    def files(self) -> dict[str, Path]:
        """The project's files, those that a fault has put beside them, and those of a cure, by a short name."""
        folder = self.stack.folder
        found = [*folder.iterdir(), *(folder / "secrets").glob("*"), *self.folder.glob("override-*"), *self.folder.glob("secret-*")]
        found += [path for path in self.folder.glob(CURES) if path not in found]
        return {str(path.relative_to(folder) if path.is_relative_to(folder) else path.name): path for path in sorted(found) if path.is_file()}

    def keep_files(self) -> None:
        """Note the project's files as they are now, so that healing takes back what a cure (or a person) makes of them."""
        kept = {}
        for path in self.files().values():
            about = path.stat()
            kept[str(path)] = [base64.b64encode(path.read_bytes()).decode(), about.st_mode & 0o7777, about.st_atime_ns, about.st_mtime_ns]
        self.later("files", kept=kept)

    def background(self, *command: str, order: dict[str, Any] | None = None, wait: float = 0) -> None:
        """A process beside us that lives until the healing; with `wait`, until it has said that it is ready."""
        with open(self.folder / "background.log", "a", encoding="utf-8") as log:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE if wait else log, stderr=log, text=True, start_new_session=True)
        self.later("end_process", pid=process.pid)
        if order is not None and process.stdin:
            process.stdin.write(json.dumps(order))
            process.stdin.close()
        if wait and process.stdout:
            killer = _Alarm(wait, process)
            line = process.stdout.readline()
            killer.cancel()
            if line.strip() != "ready":
                raise FaultError("%s did not begin within %.0f s (see %s)" % (" ".join(command[1:]), wait, self.folder / "background.log"))

    def load(self, rate: float) -> None:
        """The stack's usual traffic, until the healing."""
        self.background(sys.executable, str(HERE.parent / "stack" / "ctl.py"), "load", self.stack.name, "--seconds", "1800", "--rate", str(rate))


class _Alarm:
    """Ends a process that keeps us waiting."""

    def __init__(self, seconds: float, process: subprocess.Popen[str]) -> None:
        import threading

        self._timer = threading.Timer(seconds, process.kill)
        self._timer.daemon = True
        self._timer.start()
        self.cancel = self._timer.cancel


class _Url:
    """A connection URL in pieces, none of them decoded: what is not changed stays as it was."""

    def __init__(self, text: str) -> None:
        match = re.fullmatch(r"(?P<scheme>[^:]+)://(?P<user>[^:@/]*):(?P<password>[^@/]*)@(?P<host>[^:/]+)(?::(?P<port>\d+))?(?P<rest>/.*)?", text)
        if not match:
            raise FaultError("not a URL with user and password")
        self.parts = match.groupdict()

    @property
    def password(self) -> str:
        return self.parts["password"]

    def changed(self, **parts: Any) -> str:
        p = {**self.parts, **parts}
        return "%s://%s:%s@%s%s%s" % (p["scheme"], p["user"], p["password"], p["host"], ":%s" % p["port"] if p["port"] else "", p["rest"] or "")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except (FaultError, ctl.CtlError):
        return UNREAD


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# Steps on containers --------------------------------------------------------------------------------------------------


@step
def stop(bench: Bench, services: Any) -> None:
    for service in listed(services):
        bench.later("start", service=service)
        bench.docker("stop", "-t", "5", *bench.ids(service))


@step
def kill(bench: Bench, services: Any) -> None:
    for service in listed(services):
        bench.later("start", service=service)
        bench.docker("kill", *bench.ids(service))


@step
def start(bench: Bench, services: Any) -> None:
    for service in listed(services):
        bench.docker("start", *bench.ids(service))


@undo
def undo_start(bench: Bench, service: str) -> None:
    bench.docker("start", *bench.ids(service))


@step
def pause(bench: Bench, services: Any) -> None:
    for service in listed(services):
        bench.later("unpause", service=service)
        bench.docker("pause", *bench.ids(service))


@undo
def undo_unpause(bench: Bench, service: str) -> None:
    for about in bench.inspect(service):
        if about["State"]["Paused"]:
            bench.docker("unpause", about["Id"])


@step
def restart(bench: Bench, services: Any) -> None:
    for service in listed(services):
        bench.docker("restart", "-t", "5", *bench.ids(service))


@step
def recreate(bench: Bench, services: Any) -> None:
    """New containers of the same definition, as a deploy does."""
    bench.compose_up(*listed(services), force=True)


@step
def override(bench: Bench, services: dict[str, Any]) -> None:
    """Services by the project's files and a further one, as an operator's edit would make them."""
    _override(bench, {"services": services}, list(services))


def _override(bench: Bench, content: Any, services: list[str]) -> None:
    number = len(list(bench.folder.glob("override-*.yml"))) + 1
    path = bench.folder / ("override-%d.%s.yml" % (number, ".".join(services)))
    bench.later("override", path=str(path), services=services)
    # JSON is YAML too, and leaves no doubt about what is a text.
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1), encoding="utf-8")
    bench.compose_up(*services, force=True)  # another secret alone would not be noticed


@undo
def undo_override(bench: Bench, path: str, services: list[str]) -> None:
    Path(path).unlink(missing_ok=True)
    bench.compose_up(*services, force=True)
    if bench.said:
        raise FaultError(bench.said)


@step
def setting(bench: Bench, order: dict[str, Any]) -> None:
    """Another host, port or password, or a malformed value, where services look for the database; {name, services, change}."""
    name, services, change = order["name"], listed(order["services"]), dict(order["change"])
    where = bench.spec["settings"][name]
    config = bench.config()["services"]
    content: dict[str, Any] = {"services": {}}
    for service in services:
        environment = {}
        if "variable" in where:
            url = _Url(config[service]["environment"][where["variable"]])
            # The two slashes are gone: a slip that a hand makes.
            environment[where["variable"]] = url.changed(**change) if "malformed" not in change else url.changed().replace("://", ":", 1)
        else:
            if "malformed" in change:
                change = {"port": "5432;"}
            for key, value in change.items():
                if key in where:
                    environment[where[key]] = str(value)
                elif key == "password" and "mounted" in where:
                    _other_secret(bench, content, service, where["mounted"], str(value))
                else:
                    raise FaultError("settings.%s of %s does not say where its %s is" % (name, bench.stack.name, key))
        content["services"][service] = {"environment": environment} if environment else {}
    _override(bench, content, services)


def _other_secret(bench: Bench, content: dict[str, Any], service: str, mounted: str, value: str) -> None:
    config = bench.config()
    for use in config["services"][service].get("secrets", []):
        if mounted in (use.get("target"), "/run/secrets/%s" % use["source"]):
            path = bench.folder / ("secret-%s" % use["source"])
            bench.later("forget", path=str(path))
            path.write_text(value + "\n", encoding="utf-8")
            path.chmod(0o644)
            content.setdefault("secrets", {})[use["source"]] = {"file": str(path)}
            return
    raise FaultError("the service %s has no secret at %s" % (service, mounted))


@undo
def undo_forget(bench: Bench, path: str) -> None:
    Path(path).unlink(missing_ok=True)


@step
def unset(bench: Bench, order: dict[str, Any]) -> None:
    """A variable that is not there any more; {service, variable}."""
    _override(bench, "services:\n  %s:\n    environment:\n      %s: !reset null\n" % (order["service"], order["variable"]), [order["service"]])


@step
def unpublish(bench: Bench, service: str) -> None:
    _override(bench, "services:\n  %s:\n    ports: !reset []\n" % service, [service])


@step
def misdirect(bench: Bench, service: str) -> None:
    """Its published ports lead to one on which nothing listens."""
    ports = "".join("      - %s:%s:9\n" % (one.get("host_ip", "0.0.0.0"), one["published"]) for one in bench.config()["services"][service]["ports"])
    _override(bench, "services:\n  %s:\n    ports: !override\n%s" % (service, ports), [service])


@step
def add_memory_limit(bench: Bench, order: dict[str, Any]) -> None:
    """A limit below what the service needs; {service, percent} of what it uses now."""
    service = order["service"]
    used = sum(_working_set(bench, one) for one in bench.ids(service)[:1])
    limit = max(8 << 20, int(used * order["percent"] / 100))
    wanted: dict[str, Any] = {"memswap_limit": limit}
    if bench.config()["services"][service].get("deploy", {}).get("resources", {}).get("limits", {}).get("memory"):
        wanted["deploy"] = {"resources": {"limits": {"memory": str(limit)}}}
    else:
        wanted["mem_limit"] = limit
    _override(bench, {"services": {service: wanted}}, [service])


def _working_set(bench: Bench, container: str) -> int:
    text = bench.docker("stats", "--no-stream", "--format", "{{.MemUsage}}", container).split("/")[0].strip()
    match = re.fullmatch(r"([\d.]+)([KMG]?)i?B", text)
    if not match:
        raise FaultError("docker stats says %r of the memory" % text)
    return int(float(match[1]) * {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[match[2]])


LEAK_MARK = "gameday-leak"
# Takes memory until the container uses so many bytes, without what the kernel can take back.
LEAK = """
import sys, time
def read(*names):
    for name in names:
        try:
            return open("/sys/fs/cgroup/" + name).read()
        except OSError:
            pass
    return "0"
def used():
    cache = [line.split()[1] for line in read("memory.stat", "memory/memory.stat").splitlines() if line.split()[0].endswith("inactive_file")]
    return int(read("memory.current", "memory/memory.usage_in_bytes")) - int(cache[-1] if cache else 0)
held, end = [], time.time() + 1800
while time.time() < end:
    if used() < int(sys.argv[2]) - (1 << 20):
        held.append(b"x" * (1 << 20))
        time.sleep(0.01)
    else:
        time.sleep(0.5)
"""


@step
def leak(bench: Bench, order: dict[str, Any]) -> None:
    """A process inside that takes memory until so much of the limit is used; {service, percent}."""
    about = bench.inspect(order["service"])[0]
    limit = about["HostConfig"]["Memory"]
    if not limit:
        raise FaultError("%s has no memory limit" % order["service"])
    bench.later("end_leak", container=about["Id"])
    bench.docker("exec", "-d", about["Id"], "python3", "-c", LEAK, LEAK_MARK, str(limit * order["percent"] // 100))


@undo
def undo_end_leak(bench: Bench, container: str) -> None:
    for line in bench.docker("top", container, "-eo", "pid,args", check=False).splitlines()[1:]:
        if LEAK_MARK in line:
            with contextlib.suppress(OSError):
                os.kill(int(line.split()[0]), signal.SIGKILL)


# Finds the module that makes the application, in a container's usual places.
FIND_MODULE = "grep -rlE '= (FastAPI|Flask)\\(' --include=*.py /app /srv /opt /home /usr/src 2>/dev/null | grep -v -e site-packages -e dist-packages | head -1"


@step
def break_code(bench: Bench, order: dict[str, Any]) -> None:
    """A line of Python that fails, at the end of the module that makes the application; {service, line}. A new container heals it."""
    service = order["service"]
    container = bench.one(service)
    path = bench.docker("exec", container, "sh", "-c", FIND_MODULE).strip()
    if not path:
        raise FaultError("no module that makes the application in %s" % service)
    local = bench.folder / "module.py"
    bench.later("recreate", service=service)
    bench.later("forget", path=str(local))
    bench.docker("cp", "-q", "%s:%s" % (container, path), str(local))
    local.write_text("%s\n%s\n" % (local.read_text(encoding="utf-8").rstrip(), order["line"]), encoding="utf-8")
    bench.docker("cp", "-q", str(local), "%s:%s" % (container, path))
    bench.docker("restart", "-t", "5", container)


@undo
def undo_recreate(bench: Bench, service: str) -> None:
    bench.compose_up(service, force=True)
    if bench.said:
        raise FaultError(bench.said)


@step
def exec(bench: Bench, order: dict[str, Any]) -> None:  # the step's name in the files
    """A command inside a container; {service, command, user}."""
    user = ["-u", str(order["user"])] if "user" in order else []
    bench.docker("exec", *user, bench.one(order["service"]), *order["command"])


@step
def signal_(bench: Bench, order: dict[str, Any]) -> None:
    """A signal to processes of a container, from the host; {service, processes: pattern of the command line, children: only those whose parent matches too}."""
    rows = []
    for container in bench.ids(order["service"]):
        for line in bench.docker("top", container, "-eo", "pid,ppid,args").splitlines()[1:]:
            pid, parent, command = line.split(None, 2)
            if re.search(order["processes"], command):
                rows.append((pid, parent, command))
    parents = {pid for pid, _parent, _command in rows}
    chosen = {pid: command for pid, parent, command in rows if not order.get("children") or parent in parents}
    if not chosen:
        raise FaultError("no process of %s matches %s" % (order["service"], order["processes"]))
    bench.later("continue", processes=chosen)
    for pid in chosen:
        os.kill(int(pid), getattr(signal, "SIG" + order["signal"]))


STEP["signal"] = STEP.pop("signal_")


@undo
def undo_continue(bench: Bench, processes: dict[str, str]) -> None:
    for pid, command in processes.items():
        with contextlib.suppress(OSError):
            now = Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").split()
            if now[:3] == command.split()[:3]:
                os.kill(int(pid), signal.SIGCONT)


@step
def network_disconnect(bench: Bench, service: str) -> None:
    for about in bench.inspect(service):
        for network, how in about["NetworkSettings"]["Networks"].items():
            aliases = sorted(set(how["Aliases"] or []) - {about["Id"][:12]})
            fixed = (how.get("IPAMConfig") or {}).get("IPv4Address")
            bench.later("network_connect", container=about["Id"], network=network, aliases=aliases, address=fixed)
            bench.docker("network", "disconnect", network, about["Id"])


@undo
def undo_network_connect(bench: Bench, container: str, network: str, aliases: list[str], address: str | None) -> None:
    about = json.loads(bench.docker("inspect", container))[0]
    if network not in about["NetworkSettings"]["Networks"]:
        extra = [word for alias in aliases for word in ("--alias", alias)] + (["--ip", address] if address else [])
        bench.docker("network", "connect", *extra, network, container)


@step
def stray_container(bench: Bench, order: dict[str, Any]) -> None:
    """A container that has nothing to do with the stack; {name, command, project: label of another project (optional)}."""
    name = STRAY % bench.stack.name + order["name"]
    bench.later("remove_container", name=name)
    labels = []
    if "project" in order:
        labels = ["--label", "com.docker.compose.project=%s" % order["project"], "--label", "com.docker.compose.service=%s" % order["name"]]
    bench.docker("run", "-d", "--name", name, *labels, "debian:bookworm-slim", "sh", "-c", order["command"])


@undo
def undo_remove_container(bench: Bench, name: str) -> None:
    bench.docker("rm", "-f", name, check=False)


# Steps on PostgreSQL --------------------------------------------------------------------------------------------------


@step
def sql(bench: Bench, text: str) -> None:
    bench.psql(text)


@step
def seed(bench: Bench, rows: int) -> None:
    """So many more rows in the busiest table."""
    table = bench.spec["postgres"]["busiest_table"]
    highest = int(bench.psql("SELECT coalesce(max(id), 0) FROM %s" % table))
    bench.later("seed", table=table, after=highest, rows=rows)
    bench.fill_table(rows)


@undo
def undo_seed(bench: Bench, table: str, after: int, rows: int) -> None:
    bench.psql("DELETE FROM %s WHERE id > %d AND id <= %d" % (table, after, after + rows))
    bench.psql("VACUUM ANALYZE %s" % table)


def _sessions(bench: Bench, **order: Any) -> None:
    place = bench.spec["postgres"]
    order.update(host=bench.address(bench.spec["services"]["postgres"]), port=place.get("port", 5432), user=place["app_user"],
                 password=bench.database_password(), database=place["database"], name=HOLDER)  # fmt: skip
    bench.background(sys.executable, str(HERE / "background.py"), "sessions", order=order, wait=30)


@step
def sql_session(bench: Bench, order: Any) -> None:
    """Sessions that run a text and then stay; a text, or {sql, count}. They come from the host, as another program's would."""
    order = {"sql": order} if isinstance(order, str) else order
    _sessions(bench, sql=order["sql"], count=order.get("count", 1))


@step
def open_sessions(bench: Bench, order: Any) -> None:
    """Idle sessions of the application's user: a number, {percent: n} of the usable slots, or `all` of them."""
    if isinstance(order, dict):
        _sessions(bench, upto=order["percent"])
    elif order == "all":
        _sessions(bench, upto=100)
    else:
        _sessions(bench, count=int(order))


@step
def drop_app_sessions(bench: Bench, _order: Any = True) -> None:
    """End the application's sessions, so that it must open new ones."""
    place = bench.spec["postgres"]
    bench.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '%s' AND pid <> pg_backend_pid() AND application_name <> '%s'"
               % (place["app_user"], HOLDER))  # fmt: skip


@step
def rotate_database_password(bench: Bench, new: str) -> None:
    """Another password in the server and in the project's files, as a rotation does; the application is not told."""
    place = bench.spec["postgres"]
    old = bench.database_password()
    setting = bench.spec["settings"]["database"]
    folder = bench.stack.folder
    candidates = [path for path in (folder / setting.get("file", ".env"), folder / "compose.yml") if path.is_file()]
    holders = [path for path in candidates if old.encode() in path.read_bytes()][:1]
    if not holders:
        raise FaultError("the password of %s stands in none of the project's files" % bench.stack.name)
    kept = bench.psql("SELECT rolpassword FROM pg_authid WHERE rolname = '%s'" % place["app_user"])
    bench.later("drop_app_sessions")
    bench.later("role_password", role=place["app_user"], password=kept)
    for path in holders:
        about = path.stat()
        bench.later("file", path=str(path), content=base64.b64encode(path.read_bytes()).decode(), times=[about.st_atime_ns, about.st_mtime_ns])
    bench.psql("ALTER ROLE \"%s\" PASSWORD '%s'" % (place["app_user"], new))
    for path in holders:
        _write_in_place(path, path.read_bytes().replace(old.encode(), new.encode()))
    drop_app_sessions(bench)


def _write_in_place(path: Path, content: bytes) -> None:
    """A file that is mounted into a container keeps its inode."""
    with open(path, "r+b") as handle:
        handle.write(content)
        handle.truncate()


@undo
def undo_drop_app_sessions(bench: Bench) -> None:
    drop_app_sessions(bench)


@undo
def undo_role_password(bench: Bench, role: str, password: str) -> None:
    bench.psql("ALTER ROLE \"%s\" PASSWORD '%s'" % (role, password))


@undo
def undo_file(bench: Bench, path: str, content: str, times: list[int]) -> None:
    _write_in_place(Path(path), base64.b64decode(content))
    os.utime(path, ns=(times[0], times[1]))


@undo
def undo_files(bench: Bench, kept: dict[str, list[Any]]) -> None:
    """The project's files as they were, and the containers that were made from others."""
    changed, strange = [], [path for path in bench.files().values() if str(path) not in kept and path.match(CURES)]
    for path in strange:
        path.unlink()
    for name, (content, mode, *times) in kept.items():
        path, wanted = Path(name), base64.b64decode(content)
        if not path.exists():
            path.touch()
        if path.read_bytes() != wanted or path.stat().st_mode & 0o7777 != mode:
            changed.append(path)
            _write_in_place(path, wanted)
            path.chmod(mode)
            os.utime(path, ns=(times[0], times[1]))
    made_from = [service for service in bench.spec["services"].values()
                 if any(str(path) in (about["Config"]["Labels"].get("com.docker.compose.project.config_files") or "").split(",")
                        for about in bench.inspect(service) for path in strange)]  # fmt: skip
    for service in bench.spec["services"].values() if changed else made_from:
        bench.compose_up(service, force=any(path.parent.name == "secrets" for path in changed))


# Steps on Redis -------------------------------------------------------------------------------------------------------


@step
def redis(bench: Bench, words: list[str]) -> None:
    """A command; what CONFIG SET changes is put back."""
    if [word.upper() for word in words[:2]] == ["CONFIG", "SET"]:
        bench.later("redis", words=["CONFIG", "SET", words[2], bench.redis_setting(words[2])])
    answer = bench.redis(*map(str, words))
    if re.match(r"(ERR|NOAUTH|WRONGPASS|OOM|MISCONF|Could not)", answer):
        raise FaultError("Redis: %s" % answer)


@undo
def undo_redis(bench: Bench, words: list[str]) -> None:
    answer = bench.redis(*words)
    if words[0] == "CONFIG" and answer != "OK":
        raise FaultError("Redis: %s" % answer)


@step
def redis_password(bench: Bench, new: str) -> None:
    """Another password in the server alone; everybody has to sign in again."""
    bench.later("redis_password", now=new, before=bench.redis_setting("requirepass"))
    bench.redis("CONFIG", "SET", "requirepass", new)
    for kind in ("normal", "pubsub"):
        bench.redis("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes", auth=new)


@undo
def undo_redis_password(bench: Bench, now: str, before: str) -> None:
    answers = [bench.redis("CONFIG", "SET", "requirepass", before, auth=now), bench.redis("CONFIG", "SET", "requirepass", before)]
    if not any(answer.endswith("OK") for answer in answers):
        raise FaultError("Redis: %s" % " / ".join(answers))


@step
def redis_fill(bench: Bench, order: dict[str, Any]) -> None:
    """A flood of large keys up to maxmemory, with no eviction; {megabytes}."""
    count = int(order["megabytes"])
    for name in ("maxmemory", "maxmemory-policy"):
        bench.later("redis", words=["CONFIG", "SET", name, bench.redis_setting(name)])
    bench.later("flood", count=count)
    bench.redis("CONFIG", "SET", "maxmemory", "0")
    bench.redis("CONFIG", "SET", "maxmemory-policy", "noeviction")
    for first in range(1, count + 1, 8):
        # A range far out makes a large value at once: a script that builds it keeps Redis busy, which is another illness.
        script = "for i=tonumber(ARGV[1]),tonumber(ARGV[2]) do redis.call('SETRANGE', ARGV[3]..i, 1048575, 'x') end return 1"
        bench.redis("EVAL", script, "0", str(first), str(min(count, first + 7)), FLOOD)
    used = re.search(r"^used_memory:(\d+)", bench.redis("INFO", "memory"), re.MULTILINE)
    if not used:
        raise FaultError("Redis does not tell its memory")
    bench.redis("CONFIG", "SET", "maxmemory", str(int(used[1]) - (1 << 20)))


@undo
def undo_flood(bench: Bench, count: int) -> None:
    answer = bench.redis("UNLINK", *("%s%d" % (FLOOD, number) for number in range(1, count + 1)))
    if not answer.isdigit():
        raise FaultError("Redis: %s" % answer)


@step
def redis_save_fails(bench: Bench, _order: Any = True) -> None:
    """The folder of the snapshots cannot be written any more."""
    service = bench.spec["services"]["redis"]
    folder = bench.redis_setting("dir")
    mode = bench.docker("exec", bench.one(service), "stat", "-c", "%a", folder).strip()
    bench.later("redis_save", folder=folder, mode=mode)
    bench.docker("exec", "-u", "root", bench.one(service), "chmod", "0555", folder)
    bench.redis("BGSAVE")


@undo
def undo_redis_save(bench: Bench, folder: str, mode: str) -> None:
    bench.docker("exec", "-u", "root", bench.one(bench.spec["services"]["redis"]), "chmod", mode, folder)
    until_saved(bench)


def until_saved(bench: Bench) -> None:
    """Let Redis save until it has."""
    end = time.monotonic() + 15
    while "rdb_last_bgsave_status:ok" not in bench.redis("INFO", "persistence"):
        if time.monotonic() > end:
            raise FaultError("Redis still cannot save")
        bench.redis("BGSAVE")
        time.sleep(0.5)


# Steps of users -------------------------------------------------------------------------------------------------------


@step
def send(bench: Bench, order: dict[str, Any]) -> None:
    """A request as anybody might send it; {method, path, headers, json, times}. The answer does not matter."""
    client = bench.client(5)
    client.headers = dict(order.get("headers", {}))
    for _time in range(order.get("times", 1)):
        client.send(order.get("method", "GET"), order["path"], order.get("json"))


@step
def enqueue(bench: Bench, count: int) -> None:
    client = bench.client(5)
    for _number in range(count):
        client.send_as_user(bench.spec["roundtrip"])


@step
def traffic(bench: Bench, order: dict[str, Any]) -> None:
    """Users who ask for one route again and again until the healing; {route, concurrency}."""
    bench.background(sys.executable, str(HERE / "background.py"), "traffic", order={"stack": str(bench.stack.folder), "url": bench.stack.url, **order}, wait=15)


@undo
def undo_end_process(bench: Bench, pid: int) -> None:
    """End one of our own background processes, and no other that has its number by now."""
    with contextlib.suppress(OSError):
        command = Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
        if any(word.endswith((b"/background.py", b"/ctl.py")) for word in command):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.waitpid(pid, 0)  # ours, or the child of a process that is gone


@step
def wait(bench: Bench, seconds: float) -> None:
    time.sleep(seconds)


@step
def wait_ready(bench: Bench, seconds: float) -> None:
    """Until the stack is ready again (for a control that has recovered)."""
    end = time.monotonic() + seconds
    while ctl.ready(bench.stack, 5):
        if time.monotonic() > end:
            raise FaultError("not ready after %.0f s" % seconds)
        time.sleep(0.5)
