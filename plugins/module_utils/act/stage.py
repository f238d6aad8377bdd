# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a remedy works: the stack as it is now, its servers with its own accounts, its project's files, and the place of records."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any, Callable, Iterable, Mapping, TypeVar

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import DISRUPTIVE, TRANSIENT, Preview, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.project import Project
from ansible_collections.aiops.runbook.plugins.module_utils.act.records import BaseRecords
from ansible_collections.aiops.runbook.plugins.module_utils.act.records_cluster import records_of
from ansible_collections.aiops.runbook.plugins.module_utils.connect import postgres as connect_postgres
from ansible_collections.aiops.runbook.plugins.module_utils.connect import redis as connect_redis
from ansible_collections.aiops.runbook.plugins.module_utils.judge.containers import gave_up
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.stack import judge_stack
from ansible_collections.aiops.runbook.plugins.module_utils.model import SERVER_NAMES, Finding, StackError, Unseen, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.door import open_stack
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Scene
from ansible_collections.aiops.runbook.plugins.module_utils.observe.servers import Server, Servers
from ansible_collections.aiops.runbook.plugins.module_utils.observe.stack import observe_scene
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import Target
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Instance

Answer = TypeVar("Answer")


class PostgresInside:
    """Statements by psql inside the server's container: for when nobody else is let in. rows() as PostgresConnection's."""

    def __init__(self, platform: Any, instance: Instance) -> None:
        self._platform, self._instance = platform, instance

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        values = {key: _literal(value) for key, value in (params or {}).items()}
        text = "SELECT coalesce(json_agg(found), '[]') FROM (%s) found" % (sql % values if params else sql)
        user = self._instance.environment.get("POSTGRES_USER") or "postgres"
        command = ["psql", "-XqAtw", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", "postgres", "-c", text]
        code, output = self._platform.run_inside(self._instance, command, user="postgres", environment={"PGAPPNAME": "aiops.runbook", "PGCONNECT_TIMEOUT": "5"})
        if code:
            kind = "denied" if "permission denied" in output else "too_many_clients" if "too many clients" in output else "query"
            raise StackError("psql in %s: %s" % (self._instance.name, " ".join(output.split())[:300]), kind=kind)
        found = json.loads(output)
        return found if isinstance(found, list) else []


def _literal(value: Any) -> str:
    return str(int(value)) if isinstance(value, (int, bool)) else "'%s'" % str(value).replace("'", "''")


class Stage:
    """One stack, for as long as a job takes.

    params: the options of STACK_SPEC and of acting (act/door.py). scene: the stack as it was met last, raw; look again by renew().
    """

    # By what a person gives another account.
    login_options = "postgres_user and postgres_password"

    def __init__(self, params: Mapping[str, Any], scene: Scene | None = None) -> None:
        self.params = params
        if scene is None:
            platform, mask, options = open_stack(params)
            scene = Scene(platform, mask, options)
            scene.discover()
        self.scene = scene
        self.mask = scene.mask
        self.platform: Any = scene.platform
        self.project = Project(self.platform)
        self.records: BaseRecords = records_of(params, self.platform)
        # The steps before the one that is previewed, with their previews (act/engine.py).
        self.coming: list[tuple[Step, Preview]] = []

    def renew(self) -> Scene:
        """Meet the stack again: after containers were made anew, ids and addresses are others."""
        self.scene = Scene(self.platform, self.mask, self.scene.options)
        self.scene.discover()
        return self.scene

    def component(self, name: str) -> Component:
        for component in self.scene.components:
            if component.id == name:
                return component
        raise StackError(
            "the stack has no component %s: it has %s" % (name, ", ".join(one.id for one in self.scene.components)), kind="bad_option", option="component"
        )

    def defined_in(self, name: str) -> str:
        """Where a person looks for the definition of a component: "deployment/api" on a cluster, "services.api" in Compose files."""
        kind, _slash, workload = self.component(name).workload.partition("/")
        return "%s/%s" % (kind.lower(), workload) if workload else "services.%s" % name

    def restart_risk(self, name: str) -> str:
        """What it means to start a component anew: the tasks in flight of a worker cannot be put back; who else is started anew serves again."""
        found = self.component(name)
        return TRANSIENT if found.role == "worker" and found.running else DISRUPTIVE

    def instances(self, name: str) -> list[Instance]:
        """The copies of a component that serve, one-off runs left out."""
        return [one for one in self.component(name).instances if not one.one_off]

    def gave_up(self, findings: Iterable[Finding], used: Iterable[str], since: float) -> list[Finding]:
        """Those of the last look's findings by which a user of one of these components has ended by itself since then."""
        found = []
        for finding in findings:
            seconds = finding.evidence.get("seconds")
            if seconds is None or time.time() - seconds < since or not gave_up(finding.id, finding.evidence, self.component(finding.component).role):
                continue
            if any(self.uses(finding.component, other) for other in used):
                found.append(finding)
        return found

    def coming_back(self, findings: Iterable[Finding], used: Iterable[str], since: float) -> list[Finding]:
        """Those of the last look's findings by which a user of one of these components had ended before then, where the platform starts it again."""
        found = []
        for finding in findings if self.platform.starts_again else ():
            if finding.id != "container.crashed" or not any(self.uses(finding.component, other) for other in used):
                continue
            seconds = finding.evidence.get("seconds")
            if finding.evidence["state"] == "running" or (seconds is not None and time.time() - seconds < since):
                found.append(finding)
        return found

    def uses(self, user: str, used: str) -> bool:
        """Whether a component is told to connect to another, or declared to depend on it."""
        hosts = [(target.host, target.server_kind) for target in self.scene.targets.get(user, [])]
        at = [self.scene.component_at(user, host, kind) for host, kind in hosts]
        return used in self.component(user).depends_on or any(other is not None and other.id == used for other in at)

    def insiders(self) -> set[str] | None:
        """The addresses of the stack's own programs; None where there is no stack."""
        return set(self.scene.addresses())

    def token(self, value: Any) -> str:
        """A hash that compares between runs on this stack, and tells nobody else anything (on a cluster: see ClusterRecords.key)."""
        return hmac.new(self.records.key(), json.dumps(value, sort_keys=True, default=str).encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:16]

    # the stack's health, by the same judges as the diagnosis

    def judge(self) -> tuple[dict[str, Any], list[Finding], list[Unseen]]:
        """(observations, findings, what could not be seen) as they are now."""
        scene = Scene(self.platform, self.mask, self.scene.options)
        seen = observe_scene(scene)
        self.scene = scene
        answers = judge_stack(seen, Limits(self.params.get("limits"), self.params.get("component_limits"), self.params.get("route_limits")))
        return seen, [one for one in answers if isinstance(one, Finding)], [one for one in answers if isinstance(one, Unseen)]

    # its servers

    def server(self, component: str, kind: str) -> Server:
        """A PostgreSQL or Redis of the stack."""
        for server in Servers(self.scene).found:
            if server.component == component and server.kind == kind:
                return server
        raise StackError("%s is no %s of this stack" % (component, SERVER_NAMES[kind]), kind="bad_option", option="component")

    def with_postgres(self, component: str, do: Callable[[connect_postgres.PostgresConnection], Answer], timeout: float = 30.0) -> Answer:
        """do(connection) as the application's own account, from where its clients stand."""

        def ask(target: Target, where: tuple[str, str, int]) -> Answer:
            with connect_postgres.connect(Servers.postgres_target(target, where), timeout) as connection:
                return do(connection)

        return self._with_account(component, "postgres", ask, timeout)

    def postgres_inside(self, component: str) -> PostgresInside | None:
        """The server's own superuser by its socket, where it runs in a container of this stack; None elsewhere."""
        instance = next(iter(self.component(component).running), None)
        return PostgresInside(self.platform, instance) if instance is not None else None

    def with_redis(self, component: str, do: Callable[[Any], Answer], timeout: float = 15.0, database: int | None = None) -> Answer:
        """do(client) as one of its clients, in this database or else in the client's own."""

        def ask(target: Target, where: tuple[str, str, int]) -> Answer:
            wanted = Servers(self.scene).redis_target(target, where)
            wanted.database = wanted.database if database is None else database
            client = connect_redis.connect(wanted, timeout)
            try:
                return do(client)
            finally:
                connect_redis.close(client)

        return self._with_account(component, "redis", ask, timeout)

    def _with_account(self, component: str, kind: str, ask: Callable[[Target, tuple[str, str, int]], Answer], timeout: float) -> Answer:
        server = self.server(component, kind)
        found = self.scene.probes.gather({"act:" + component: lambda: {"value": Servers(self.scene).with_account(server, ask)}}, timeout=timeout + 5)
        answer = found["act:" + component]
        why = why_unseen(answer)
        if why:
            raise StackError(why["reason"], kind=why["kind"], fix=why["fix"])
        return answer["value"]

    def wait(self, problem: Callable[[], str], seconds: float, pause: float = 0.5) -> str:
        """Ask until there is no problem left or the time is over; the last problem."""
        end = time.monotonic() + seconds
        while True:
            left = problem()
            if not left or time.monotonic() >= end:
                return left
            time.sleep(pause)
