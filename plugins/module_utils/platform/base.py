# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a platform answers, in words that are the same for every platform."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Protocol

# Called first in the thread of a probe: what that thread opens afterwards is opened where the instance stands.
Enter = Callable[[], None]


def is_loopback(address: str) -> bool:
    """Whether only who stands in the same network namespace can connect to what listens at an address."""
    return address.startswith(("127.", "::ffff:127.")) or address == "::1"


@dataclass
class File:
    """A small file as an instance sees it. changed_at: UNIX seconds. The content may be a secret: it stays in memory."""

    content: bytes
    changed_at: float


@dataclass
class Process:
    """One process of an instance, as seen from outside. state: the letter of ps(1)."""

    pid: int
    parent: int
    state: str
    command: str


def of_program(rows: list[Process], first: int) -> list[Process]:
    """The first process of an instance and all that descends from it: what a health check or a person runs in it beside is none of its program.

    All of them where the first is not among them.
    """
    if all(row.pid != first for row in rows):
        return rows
    kept = {first}
    while True:
        more = {row.pid for row in rows if row.parent in kept} - kept
        if not more:
            return [row for row in rows if row.pid in kept]
        kept |= more


@dataclass
class Instance:
    """One running (or once running) copy of a component: a container on Compose.

    environment holds raw secrets: it stays in memory and never enters an observation.
    state: running, exited, restarting, paused, created, dead, removing. Times are UNIX seconds, 0 when unknown.
    published: [{"inside": 8000, "host": "0.0.0.0", "outside": 18000}]. networks: name -> {"address", "aliases"}.
    health: {"status": "healthy|unhealthy|starting", "failing": n, "output": text} or None without a health check.
    health_timing: {"interval_seconds", "timeout_seconds", "start_period_seconds", "retries"} of its health check, as the engine takes them.
    memory_limit: bytes, memory_swap: bytes of memory and swap together (-1 without limit), cpus: processors; 0 where nothing is set.
    hostname: what the program itself takes for its host's name. secret_values: those that its environment was given from places for secrets.
    unread: settings that it has and whose values could not be read, each with the reason. own_settings: those that differ between copies by
    nature. revision: which version of its component it is, where the platform counts them. asked: False for one of many alike that nobody asks.
    proxies: what stands beside it, is no component, and may lead its connections to localhost on to a server elsewhere.
    meshed: whether a mesh's proxy takes its connections, and hands them on from within.
    search: the domains in which its resolver looks for a name, first its own; [] where a name means the same to all.
    """

    id: str
    name: str
    state: str
    image: str = ""
    image_id: str = ""
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    restarts: int = 0
    restart_policy: str = ""
    created_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    pid: int = 0
    health: dict[str, Any] | None = None
    health_test: list[str] = field(default_factory=list)
    health_timing: dict[str, float] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    working_dir: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    published: list[dict[str, Any]] = field(default_factory=list)
    exposed: list[int] = field(default_factory=list)
    networks: dict[str, dict[str, Any]] = field(default_factory=dict)
    home_network: str = ""
    mounts: list[dict[str, str]] = field(default_factory=list)
    memory_limit: int = 0
    memory_swap: int = 0
    cpus: float = 0.0
    log_driver: str = ""
    config_hash: str = ""
    one_off: bool = False
    processes: list[Process] = field(default_factory=list)
    hostname: str = ""
    secret_values: list[str] = field(default_factory=list)
    unread: dict[str, dict[str, Any]] = field(default_factory=dict)
    own_settings: list[str] = field(default_factory=list)
    revision: str = ""
    asked: bool = True
    search: list[str] = field(default_factory=list)
    proxies: list[str] = field(default_factory=list)
    meshed: bool = False

    @property
    def running(self) -> bool:
        return self.state == "running"


@dataclass
class Component:
    """A part of the stack: its copies, and the role that was found for it, with the source of that knowledge.

    role: api, worker, beat, postgres, pgbouncer, redis, llm, proxy, gate (leads to a server elsewhere), migration, broker, other, unknown.
    role_source: process, command, image, environment, peers, port, name, file, given.
    finite: whether it does its work and ends (a job). supposed: that says only that nothing starts it again; a server that runs is none.
    template: what a copy of it would be, where there is none.
    workload: what makes its copies, where the platform has a word for it ("Deployment/api").
    """

    id: str
    instances: list[Instance] = field(default_factory=list)
    role: str = "unknown"
    role_source: str = ""
    depends_on: list[str] = field(default_factory=list)
    finite: bool = False
    supposed: bool = False
    template: Instance | None = None
    workload: str = ""

    @property
    def running(self) -> list[Instance]:
        return [instance for instance in self.instances if instance.running and not instance.one_off]


class Platform(Protocol):
    """The questions that both platforms answer. Every call is bounded in time; a failure is a StackError."""

    name: str
    # What the platform calls the stack (the Compose project), and what the records of acting on it are kept under.
    title: str
    project: str
    # Where its objects stand on Kubernetes, the first of them; "" elsewhere.
    namespace: str
    # Whether it starts a program that has ended again by itself.
    starts_again: bool
    # The label selector that tells it from others in the same place; "" for all, and elsewhere.
    selector: str
    # What the platform's API gave, {plural kind: raw objects, or an unseen entry}; {} where it has no such objects.
    objects: dict[str, Any]

    def identity(self) -> dict[str, Any]:
        """What the stack is, for plans to compare again: engine id and project, or cluster and namespace uid."""

    def components(self) -> list[Component]:
        """The parts of the stack, instances filled except their processes; roles are discovery's business."""

    def processes(self, instance: Instance) -> list[Process]:
        """The processes of a running instance."""

    def logs(self, instance: Instance, since: float, tail: int) -> list[str]:
        """The last lines (at most tail) since a UNIX time, each beginning with its RFC 3339 time and a space."""

    def file(self, instance: Instance, path: str, limit: int = 65536) -> File | None:
        """A file as the instance sees it, also of a stopped one; None when it is not there or larger than limit."""

    def process_environment(self, instance: Instance, pid: int) -> dict[str, str] | None:
        """The environment a process really has; None where that cannot be read."""

    def started_with(self, instance: Instance) -> tuple[list[str], dict[str, str]]:
        """(words of the command, settings, raw) with which an instance would be started again; no words where only its image knows them."""

    def memory(self, instance: Instance) -> dict[str, Any]:
        """{"used": bytes without reclaimable cache, "limit": bytes or 0}."""

    def events(self, since: float) -> list[dict[str, Any]]:
        """What happened since: [{"time", "component", "action", "detail"}], oldest first."""

    def enter(self, instance: Instance) -> Enter | None:
        """How a probe's thread gets to where this instance stands (its network namespace); None where that is not possible."""

    def resolve(self, instance: Instance, host: str, timeout: float, inside: bool) -> list[str]:
        """The addresses of a name, as this instance would get them; [] when the name does not exist.

        inside: whether the calling thread has entered the instance's network; otherwise the answer comes from what is known of it.
        """

    def reach(self, instance: Instance, places: list[tuple[str, int]], timeout: float) -> dict[tuple[str, int], dict[str, Any]] | None:
        """Whether an instance finds and reaches these (host, port), all tried from inside at once; None where that is done by enter().

        {(host, port): {"resolves": true, false, or None when its resolver did not answer, "addresses", "connects", "error", "seconds"}}
        "connects" is None, and "meshed" true, where a mesh's proxy took the connection: it takes every one.
        """

    def ports(self, instance: Instance, host: str) -> list[int] | None:
        """The ports that a name offers where an instance stands, whatever its bearers listen at (a Service's); None where it is the bearers' own."""

    def address(self, instance: Instance | None, address: str, port: int) -> tuple[str, int]:
        """(address, port) by which this machine gets to what an instance (or nobody in particular) knows as this address."""

    def elsewhere(self, instance: Instance, host: str) -> dict[str, Any] | None:
        """A part of another stack that bears this name where the instance stands, and does not run: {"instance", "project", "state", …}."""

    def sockets(self, instance: Instance) -> dict[str, Any] | None:
        """{"listening": [{"address", "port"}], "peers": [{"local_port", "address", "port"}]}; None where it cannot be read."""

    def wanted(self, timeout: float) -> dict[str, Any]:
        """What the platform's own files or objects ask for now: {component: {"environment", "networks", "ports", …}}, secrets raw."""

    def may_differ(self) -> bool:
        """Whether what they ask for may differ from what runs, told cheaply; False only where it cannot."""

    def outsiders(self) -> list[str]:
        """Networks of this stack on which parts of other stacks stand, too: ways in that no published port shows."""
