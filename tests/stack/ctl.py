"""Build, start, stop, check, load and fill one of the reference stacks.

    ctl.py build NAME                     images, each only when its sources changed
    ctl.py up NAME                        build what is missing, start, wait until truly ready (idempotent)
    ctl.py ready NAME                     exit 0 when the stack answers and a task makes a round trip
    ctl.py down NAME                      containers, networks and volumes away, leftovers included
    ctl.py load NAME --seconds 30 --rate 10
    ctl.py seed NAME --rows 1000000
    ctl.py images NAME                    the tags

Python's standard library, `docker` and `docker compose`; nothing else.

A stack is a folder beside this file:

    compose.yml            uses images `<project>/<image>:latest`
    stack.yml              see README.md; this file reads `project`, `url`, `postgres`, `services`, `routes`, and:
                             headers:   {X-Api-Key: …}                       sent with every request (optional)
                             login:     {path, form or json, token: field, header: "Authorization: Bearer {token}"}   (optional)
                             roundtrip: {method, path, form or json, id: field, result: "/tasks/{id}", state: field, success: value}
                             traffic:   one line a kind: {weight, method, path, form or json}; "{n}" becomes a number; `login` logs in again
                           values are scalars or one-line flow collections, at most one block deep
    seed.sql               run by psql with the variable `rows`
    images/<image>/        Dockerfile (FROM debian:bookworm-slim or FROM <project>/<image>:latest, of any stack);
                           with a requirements.txt, its wheels are put into the build context as wheels/
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("AIOPS_RUNBOOK_CACHE", Path.home() / ".cache" / "aiops-runbook"))
TARGET_PYTHON = "3.11.2"  # Debian 12's
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "any")
BUILD_NEEDS = 3 << 30  # bytes free where Docker keeps its images
TELL_SECONDS = 10.0  # between two lines while something long is under way


class CtlError(Exception):
    """One line for a person: what is wrong and what to do."""


# stack.yml ------------------------------------------------------------------------------------------------------------


def parse_stack(text: str) -> dict[str, Any]:
    """The part of YAML that stack.yml uses: scalars and one-line flow collections, at most one block deep."""
    result: dict[str, Any] = {}
    block: dict[str, Any] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.match(r"(\s*)([\w-]+):(?:\s+(.*))?$", line)
        if not match:
            raise CtlError(f"stack.yml line {number} is not `key: value`: {line.strip()}")
        indent, key, rest = match.groups()
        target = result if not indent else block
        if target is None:
            raise CtlError(f"stack.yml line {number} is indented under a key that has a value: {line.strip()}")
        if not rest or rest.startswith("#"):
            target[key] = block = {}
            continue
        try:
            target[key], end = _flow(rest, 0, "")
        except (IndexError, ValueError) as error:
            raise CtlError(f"stack.yml line {number} cannot be read: {line.strip()}") from error
        if rest[end:].strip() and not rest[end:].lstrip().startswith("#"):
            raise CtlError(f"stack.yml line {number} has something after its value: {rest[end:].strip()}")
        if not indent:
            block = None
    return result


def _flow(text: str, at: int, ends: str) -> tuple[Any, int]:
    at = _blank(text, at)
    if text[at] == "{":
        mapping: dict[str, Any] = {}
        at = _blank(text, at + 1)
        while text[at] != "}":
            key, at = _flow(text, at, ":")
            at = _blank(text, at)
            if text[at] != ":":
                raise ValueError(text)
            mapping[str(key)], at = _flow(text, at + 1, ",}")
            at = _comma(text, at, "}")
        return mapping, at + 1
    if text[at] == "[":
        items: list[Any] = []
        at = _blank(text, at + 1)
        while text[at] != "]":
            item, at = _flow(text, at, ",]")
            items.append(item)
            at = _comma(text, at, "]")
        return items, at + 1
    if text[at] in "\"'":
        end = text.index(text[at], at + 1)
        return text[at + 1 : end], end + 1
    end = at
    while end < len(text) and not (text[end] in ends and (text[end] != ":" or text[end + 1 : end + 2] in ("", " "))) and text[end : end + 2] != " #":
        end += 1
    word = text[at:end].strip()
    plain = {"true": True, "false": False, "null": None, "~": None}
    if word in plain:
        return plain[word], end
    return (int(word) if re.fullmatch(r"-?\d+", word) else word), end


def _blank(text: str, at: int) -> int:
    while text[at] == " ":
        at += 1
    return at


def _comma(text: str, at: int, end: str) -> int:
    at = _blank(text, at)
    if text[at] == ",":
        return _blank(text, at + 1)
    if text[at] != end:
        raise ValueError(text)
    return at


@dataclass(frozen=True)
class Stack:
    folder: Path

    @cached_property
    def spec(self) -> dict[str, Any]:
        return parse_stack((self.folder / "stack.yml").read_text(encoding="utf-8"))

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def project(self) -> str:
        return str(self.spec["project"])

    @property
    def url(self) -> str:
        return str(self.spec["url"]).rstrip("/")

    @property
    def image_names(self) -> list[str]:
        return sorted(path.parent.name for path in self.folder.glob("images/*/Dockerfile"))

    def compose(self, *args: str, **options: Any) -> str:
        return run(["docker", "compose", "-p", self.project, "-f", str(self.folder / "compose.yml"), *args], **options)


def load_stack(name: str) -> Stack:
    folder = HERE / name
    if not (folder / "stack.yml").is_file():
        known = ", ".join(sorted(path.parent.name for path in HERE.glob("*/stack.yml"))) or "none"
        raise CtlError(f"there is no stack {name!r} beside {Path(__file__).name}; known: {known}")
    return Stack(folder)


# Commands -------------------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def telling(title: str) -> Iterator[None]:
    """Say what is done, and from time to time for how long already."""
    started, done = time.monotonic(), threading.Event()

    def tell() -> None:
        while not done.wait(TELL_SECONDS):
            say(f"  … {time.monotonic() - started:.0f} s")

    say(title)
    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def run(command: list[str], timeout: float = 300, check: bool = True, stdin: str | None = None) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES")}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, input=stdin, env=environment, check=False)
    except FileNotFoundError as error:
        raise CtlError(f"the command {command[0]!r} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise CtlError(f"no end after {timeout:.0f} s: {' '.join(command)}") from error
    if check and done.returncode:
        raise CtlError(_explain(command, done.stderr or done.stdout))
    return done.stdout


def _explain(command: list[str], output: str) -> str:
    known = (
        ("no space left on device", "the disk is full: `docker system df` shows what Docker keeps, `docker builder prune` and `docker image prune` free some"),
        ("No matching distribution found", "the Python package registry does not give what requirements.txt names: is it reachable from here?"),
        ("permission denied while trying to connect", "the Docker socket refuses this user: add it to the group docker, or run as root"),
        ("Cannot connect to the Docker daemon", "no Docker engine answers: start it (`systemctl start docker`, or `dockerd` by hand)"),
        ("is not a docker command", "the Compose plugin is missing: install docker-compose-plugin (2.x)"),
        ("unknown shorthand flag: 'p'", "the Compose plugin is missing: install docker-compose-plugin (2.x)"),
        ("pull access denied", "an image is missing and there is no registry for it: run `ctl.py build` (and the set-up, for debian:bookworm-slim)"),
    )
    for sign, meaning in known:
        if sign.lower() in output.lower():
            return meaning
    port = re.search(r"(?:Bind for |listen tcp4? )(\S+?):? (?:failed: port is already allocated|bind: address already in use)", output)
    if port:
        return f"{port[1]} is taken by another program: stop it (`ss -ltnp` shows it), then try again"
    lines = [line.strip() for line in output.splitlines() if line.strip() and "DEPRECATED" not in line]
    return f"`{' '.join(command[:2])} … {command[-1]}` failed: {' | '.join(lines[-3:]) or 'no output'}"


def check_engine(room: int = 0) -> None:
    root = run(["docker", "info", "--format", "{{.DockerRootDir}}"], timeout=30).strip()
    if room and os.path.isdir(root) and shutil.disk_usage(root).free < room:
        free = shutil.disk_usage(root).free >> 20
        raise CtlError(f"{root} has {free} MB free and the build wants {room >> 20} MB: free some (`docker system df`, `docker image prune`)")


# Images ---------------------------------------------------------------------------------------------------------------


def _all_images() -> dict[str, Path]:
    return {f"{Stack(path.parent).project}/{dockerfile.parent.name}": dockerfile.parent
            for path in sorted(HERE.glob("*/stack.yml")) for dockerfile in sorted(path.parent.glob("images/*/Dockerfile"))}  # fmt: skip


def _parents(folder: Path, known: dict[str, Path]) -> list[str]:
    froms = re.findall(r"^(?:FROM|COPY --from=)\s*([\w./-]+)(?::latest)?\b", (folder / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    return [name for name in dict.fromkeys(froms) if name in known]


def _digest(image: str, known: dict[str, Path]) -> str:
    folder, digest = known[image], hashlib.sha256()
    for parent in _parents(folder, known):
        digest.update(_digest(parent, known).encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(folder)}\0{path.stat().st_mode & 0o111 != 0}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def images(stack: Stack) -> list[str]:
    """The tags of a stack's images; each names the contents of its sources."""
    known = _all_images()
    return [f"{stack.project}/{name}:{_digest(f'{stack.project}/{name}', known)}" for name in stack.image_names]


def build(stack: Stack) -> list[str]:
    """Build what is missing, point `latest` at it; the tags that were built."""
    known, built = _all_images(), list[str]()
    with _lock("build"):
        for left in [*(CACHE / "build").glob("tmp*"), *(CACHE / "wheels").glob("tmp*")]:  # by a build that was killed
            shutil.rmtree(left, ignore_errors=True)
        for name in stack.image_names:
            _build(f"{stack.project}/{name}", known, built)
    return built


def _build(image: str, known: dict[str, Path], built: list[str]) -> None:
    folder = known[image]
    for parent in _parents(folder, known):
        _build(parent, known, built)
    tag, latest = f"{image}:{_digest(image, known)}", f"{image}:latest"
    ids = [run(["docker", "image", "inspect", "--format", "{{.Id}}", name], check=False).strip() for name in (tag, latest)]
    if not ids[0]:
        check_engine(BUILD_NEEDS)
        needed = wheels(folder / "requirements.txt") if (folder / "requirements.txt").is_file() else None
        started = time.monotonic()
        with telling(f"building {tag}"), tempfile.TemporaryDirectory(dir=_made(CACHE / "build")) as context:
            shutil.copytree(folder, context, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            if needed:
                shutil.copytree(needed, Path(context, "wheels"))
            run(["docker", "build", "--quiet", "--tag", tag, context], timeout=1200)
        say(f"built {tag} in {time.monotonic() - started:.0f} s")
        built.append(tag)
    if not ids[0] or ids[0] != ids[1]:
        run(["docker", "tag", tag, latest])


def wheels(requirements: Path) -> Path:
    """Download a requirements file's wheels for the image's Python, once."""
    key = hashlib.sha256("\0".join([requirements.read_text(encoding="utf-8"), TARGET_PYTHON, *PLATFORMS]).encode()).hexdigest()[:16]
    target = _made(CACHE / "wheels") / key
    if not target.is_dir():
        title = f"downloading the wheels of {requirements.parent.name}/{requirements.name}"
        with telling(title), tempfile.TemporaryDirectory(dir=target.parent) as folder:
            platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
            run([_python_with_pip(), "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", f"{folder}/w", "--only-binary=:all:",
                 "--python-version", TARGET_PYTHON, *platforms, "--requirement", str(requirements)], timeout=900)  # fmt: skip
            Path(folder, "w").rename(target)
    return target


def _python_with_pip() -> str:
    for python in (str(CACHE / "venv" / "bin" / "python"), sys.executable, "python3"):
        with contextlib.suppress(CtlError):
            run([python, "-m", "pip", "--version"])
            return python
    raise CtlError("no pip to download wheels with: make the project's environment first (`make setup`)")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def _lock(name: str) -> Iterator[None]:
    with open(_made(CACHE) / f"{name}.lock", "w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with telling(f"another {name} is under way on this machine; waiting for it"):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# Up and down ----------------------------------------------------------------------------------------------------------


def containers(stack: Stack, *filters: str) -> list[str]:
    """Ids of the project's containers, also stopped ones."""
    extra = [word for item in filters for word in ("--filter", item)]
    return run(["docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={stack.project}", *extra]).split()


def up(stack: Stack, timeout: float = 120) -> float:
    """Start the stack and wait until it is ready; seconds taken after the build."""
    check_engine()
    _check_port(stack)
    build(stack)
    started = time.monotonic()
    paused = containers(stack, "status=paused")
    if paused:
        run(["docker", "unpause", *paused])
    with telling(f"starting {stack.project}"):
        worn = _worn(stack)
        if worn:
            run(["docker", "rm", "--force", "--volumes", *worn])
        _compose_up(stack, timeout)
        wait_ready(stack, timeout)
    seconds = time.monotonic() - started
    say(f"{stack.project} is ready at {stack.url} after {seconds:.0f} s")
    return seconds


def _worn(stack: Stack) -> list[str]:
    """Containers to make anew: one that lacks a network of its service (Compose does not reconnect it), that died and came back
    (it waits up to a minute for its next start, and its past would be told as an illness), or that was made from another checkout's
    files (it remembers where they lie)."""
    services = json.loads(stack.compose("config", "--format", "json"))["services"]
    found, ids = [], containers(stack)
    for about in json.loads(run(["docker", "inspect", *ids])) if ids else []:
        labels = about["Config"]["Labels"]
        networks = services.get(labels["com.docker.compose.service"], {}).get("networks") or ()
        elsewhere = labels.get("com.docker.compose.project.working_dir") != str(stack.folder)
        if len(about["NetworkSettings"]["Networks"]) < len(networks) or about["RestartCount"] or elsewhere:
            found.append(about["Id"])
    return found


def _compose_up(stack: Stack, timeout: float) -> None:
    """A dependency that a test has just broken may need a moment to be called healthy again."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            stack.compose("up", "-d", "--remove-orphans", timeout=timeout + 60)
            return
        except CtlError as error:
            if time.monotonic() > deadline or not re.search(r"is unhealthy|No such container|is restarting", str(error)):
                raise
            say(f"once more: {str(error).rpartition(' | ')[2]}")
        time.sleep(2)


def down(stack: Stack) -> None:
    """Remove everything of the project, also what a half-done test left behind."""
    check_engine()
    label = ("--filter", f"label=com.docker.compose.project={stack.project}")
    paused = containers(stack, "status=paused")
    if paused:
        run(["docker", "unpause", *paused], check=False)
    with telling(f"taking {stack.project} away"):
        stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "10", check=False)
    leftovers = containers(stack)
    if leftovers:
        run(["docker", "rm", "--force", "--volumes", *leftovers])
    for network in run(["docker", "network", "ls", "-q", *label]).split():
        for guest in run(["docker", "network", "inspect", "--format", "{{range $id, $_ := .Containers}}{{$id}} {{end}}", network]).split():
            run(["docker", "network", "disconnect", "--force", network, guest], check=False)
        run(["docker", "network", "rm", network])
    volumes = run(["docker", "volume", "ls", "-q", *label]).split()
    if volumes:
        run(["docker", "volume", "rm", *volumes])
    say(f"{stack.project} is gone")


def _check_port(stack: Stack) -> None:
    address = urllib.parse.urlsplit(stack.url)
    host, port = address.hostname or "127.0.0.1", address.port or 80
    if containers(stack, f"publish={port}", "status=running"):
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CtlError(f"{host}:{port} is taken by another program: stop it (`ss -ltnp` shows it), then try again") from error


def wait_ready(stack: Stack, timeout: float) -> None:
    """Wait until the stack answers and a task makes a round trip; say what is awaited."""
    deadline, told = time.monotonic() + timeout, ""
    while True:
        problem = ready(stack, patience=min(5.0, max(1.0, deadline - time.monotonic())))
        if not problem:
            return
        if problem != told:
            say(f"waiting: {problem}")
            told = problem
        if time.monotonic() >= deadline:
            raise CtlError(f"{stack.project} is not ready after {timeout:.0f} s ({problem}): see `docker compose -p {stack.project} ps -a` and `logs`; "
                           f"`ctl.py down {stack.name}` and `up` start afresh")  # fmt: skip
        time.sleep(0.5)


def ready(stack: Stack, patience: float = 10) -> str:
    """What keeps the stack from being ready, in words; empty when it is ready."""
    routes = stack.spec["routes"]
    client = Client(stack, timeout=patience)
    status, body = client.send("GET", routes.get("ready", routes["health"]))
    if status != "200":
        return f"{routes.get('ready', routes['health'])} answers {status} {' '.join(str(body or '').split())[:120]}".strip()
    trip = stack.spec.get("roundtrip")
    if not trip:
        return ""
    status, body = client.send_as_user(trip)
    if not isinstance(body, dict) or trip["id"] not in body:
        return f"{trip['path']} answers {status}"
    result, deadline = trip["result"].replace("{id}", str(body[trip["id"]])), time.monotonic() + patience
    while True:
        status, body = client.send_as_user({"path": result})
        state = body.get(trip["state"]) if isinstance(body, dict) else status
        if state == trip["success"]:
            return ""
        if time.monotonic() >= deadline:
            return f"a task is still {state}"
        time.sleep(0.1)


# Traffic --------------------------------------------------------------------------------------------------------------


@dataclass
class Client:
    """A user of the stack: logs in when the stack asks for it."""

    stack: Stack
    timeout: float = 10
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, method: str, path: str, payload: dict[str, Any] | None = None, form: bool = False) -> tuple[str, Any]:
        """The status as text ("200", "timeout", "refused") and the body, decoded when it is JSON."""
        headers, data = {**self.stack.spec.get("headers", {}), **self.headers}, None
        if payload is not None:
            data = urllib.parse.urlencode(payload).encode() if form else json.dumps(payload).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded" if form else "application/json"
        request = urllib.request.Request(self.stack.url + path, data=data, headers=headers, method=method)
        try:
            with _opener.open(request, timeout=self.timeout) as response:
                return str(response.status), _decoded(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return str(error.code), _decoded(error.read())
        except TimeoutError:
            return "timeout", None
        except OSError as error:
            reason = getattr(error, "reason", error)
            return {TimeoutError: "timeout", ConnectionRefusedError: "refused"}.get(type(reason), "broken"), None
        except Exception:  # http.client: a broken answer
            return "broken", None

    def login(self) -> str:
        call = self.stack.spec["login"]
        status, body = self.send(call.get("method", "POST"), call["path"], call.get("form", call.get("json")), "form" in call)
        if isinstance(body, dict) and call["token"] in body:
            name, _colon, value = call.get("header", "Authorization: Bearer {token}").partition(": ")
            self.headers = {name: value.replace("{token}", str(body[call["token"]]))}
        return status

    def send_as_user(self, call: dict[str, Any]) -> tuple[str, Any]:
        if "login" in self.stack.spec and not self.headers:
            status = self.login()
            if not self.headers:
                return status, None
        payload = call.get("form", call.get("json"))
        method = call.get("method", "POST" if payload is not None else "GET")
        status, body = self.send(method, call["path"], payload, "form" in call)
        if status == "401":
            self.headers = {}
        return status, body


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def _numbered(value: Any, number: int) -> Any:
    if isinstance(value, dict):
        return {key: _numbered(item, number) for key, item in value.items()}
    return value.replace("{n}", str(number)) if isinstance(value, str) else value


def load(stack: Stack, seconds: float, rate: float, concurrency: int = 16, timeout: float = 10) -> dict[str, Any]:
    """Send the stack's usual mixture of requests; ends after `seconds`, at the latest one `timeout` later."""
    traffic = stack.spec["traffic"]
    kinds, weights = list(traffic), [call.get("weight", 1) for call in traffic.values()]
    statuses: Counter[str] = Counter()
    by_kind: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    times: list[float] = []
    slots, lock, begin = iter(range(int(seconds * rate))), threading.Lock(), time.monotonic()

    def user() -> None:
        client = Client(stack, timeout)
        while True:
            with lock:
                slot = next(slots, None)
            if slot is None or time.monotonic() >= begin + seconds:
                return
            time.sleep(max(0.0, begin + slot / rate - time.monotonic()))
            kind, start = random.choices(kinds, weights)[0], time.monotonic()
            status = client.login() if kind == "login" else client.send_as_user(_numbered(traffic[kind], random.randrange(1, 1000)))[0]
            with lock:
                times.append(time.monotonic() - start)
                statuses[status] += 1
                by_kind[kind][status] += 1

    threads = [threading.Thread(target=user, daemon=True) for _number in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.1, begin + seconds + 2 * timeout - time.monotonic()))
    times.sort()
    return {
        "seconds": round(time.monotonic() - begin, 1),
        "requests": len(times),
        "by_status": dict(sorted(statuses.items())),
        "by_kind": {kind: dict(sorted(counts.items())) for kind, counts in by_kind.items()},
        "p50_ms": round(times[len(times) // 2] * 1000) if times else None,
        "p95_ms": round(times[int(len(times) * 0.95)] * 1000) if times else None,
    }


def psql(stack: Stack, sql: str, *args: str, timeout: float = 900) -> str:
    """Run SQL as the superuser inside the database's container."""
    place = stack.spec["postgres"]
    return stack.compose("exec", "-T", stack.spec["services"]["postgres"], "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-U", place["superuser"],
                         "-d", place["database"], *args, "-f", "-", stdin=sql, timeout=timeout)  # fmt: skip


def seed(stack: Stack, rows: int) -> float:
    """Fill the busiest table; seconds taken."""
    started = time.monotonic()
    psql(stack, (stack.folder / "seed.sql").read_text(encoding="utf-8"), "-v", f"rows={rows}")
    seconds = time.monotonic() - started
    say(f"{rows} rows into {stack.spec['postgres']['busiest_table']} of {stack.project} in {seconds:.0f} s")
    return seconds


# ----------------------------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build, start, stop, check, load and fill a reference stack.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    parsers = {}
    for verb, text in (("build", "build missing images"), ("up", "start and wait until ready"), ("down", "remove everything"), ("ready", "check once"),
                       ("load", "send mixed traffic"), ("seed", "fill the busiest table"), ("images", "print the tags")):  # fmt: skip
        parsers[verb] = verbs.add_parser(verb, help=text)
        parsers[verb].add_argument("name", help="the stack's folder")
    parsers["up"].add_argument("--timeout", type=float, default=120, metavar="SECONDS")
    parsers["load"].add_argument("--seconds", type=float, default=30)
    parsers["load"].add_argument("--rate", type=float, default=10, metavar="PER_SECOND")
    parsers["load"].add_argument("--concurrency", type=int, default=16)
    parsers["load"].add_argument("--url", help="where the stack stands, when that is not its own project")
    parsers["seed"].add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    try:
        stack = load_stack(options.name)
        if options.verb == "build":
            build(stack)
        elif options.verb == "up":
            up(stack, options.timeout)
        elif options.verb == "down":
            down(stack)
        elif options.verb == "ready":
            problem = ready(stack)
            say(problem or f"{stack.project} is ready")
            return 1 if problem else 0
        elif options.verb == "load":
            if options.url:
                stack.__dict__["spec"] = {**stack.spec, "url": options.url}
            print(json.dumps(load(stack, options.seconds, options.rate, options.concurrency)))
        elif options.verb == "seed":
            seed(stack, options.rows)
        else:
            print("\n".join(images(stack)))
    except CtlError as error:
        say(f"error: {error}")
        return 1
    except OSError as error:
        say(f"error: {error.filename or CACHE}: {error.strerror}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
