# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Celery: the queues that workers consume, how many of them there are, and failed tasks run once more."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import DISRUPTIVE, SAFE, TRANSIENT, Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.project import UP_SECONDS
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.component import last_lines
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.redis import at_redis
from ansible_collections.aiops.runbook.plugins.module_utils.act.room import host_memory, shown
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.connect import celery as connect_celery
from ansible_collections.aiops.runbook.plugins.module_utils.connect import redis as connect_redis
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.celery import BINDING, NOT_QUEUES, PRIORITY_STEPS, RESULT, SEPARATOR
from ansible_collections.aiops.runbook.plugins.module_utils.observe.redis import BROKER_KEYS
from ansible_collections.aiops.runbook.plugins.module_utils.observe.servers import Servers
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance

SCAN_SECONDS = 3.0
SCAN_STEP = 2000
REPLY_SECONDS = 4.0
OBEYED_SECONDS = 15.0
# A new copy starts, connects and answers.
READY_SECONDS = 90.0
# Of a container's limit, and of what its host has left.
MEMORY_SHARE = 0.9
HOST_SHARE = 0.5
DEFAULT_MOST = 20
RESULTS_READ = 20000


@dataclass
class Crew:
    """The workers of a component, at their broker.

    server: the broker's component. queues: every queue that the broker knows. names: the nodes of the component that answered.
    replies: what every node has answered. silent: running copies that have not. complete: every worker of the stack is there.
    """

    component: str
    server: str
    database: int
    prefix: str
    namespace: str
    queues: set[str]
    names: list[str]
    replies: dict[str, dict[str, Any]]
    silent: list[str]
    complete: bool = True

    def consumed(self, name: str) -> list[str]:
        found = self.replies.get(name, {}).get("active_queues")
        return sorted(str(queue.get("name", "")) for queue in found if isinstance(queue, dict)) if isinstance(found, list) else []

    def processes(self, name: str) -> int:
        """Max-concurrency stays what it was at the start: only the processes are the truth."""
        return len((self.replies[name].get("stats") or {}).get("pool", {}).get("processes") or [])


# Who works where --------------------------------------------------------------------------------------------------------


def worker_component(stage: Stage, name: str) -> str:
    """The component that works: the named one, or the only one where the broker itself is named."""
    component = stage.component(name)
    if component.role == "worker":
        return name
    workers = [one.id for one in stage.scene.components if one.role == "worker"]
    if len(workers) != 1:
        raise Refused(
            "%s does not work on queues: %s" % (name, "name one of %s" % ", ".join(workers) if workers else "this stack has no worker"), kind="bad_option"
        )
    return workers[0]


def broker_of(stage: Stage, component: str) -> tuple[str, int]:
    """(the Redis, its database) that is this component's broker."""

    def holds(server: str, database: int) -> bool:
        try:
            return bool(at_redis(stage, server, lambda client: client.exists(*BROKER_KEYS), database=database))
        except StackError:
            return False

    place = Servers(stage.scene).brokers.of(component, holds)
    if place is not None:
        return place.where
    raise Refused("which Redis is the broker of %s is not known" % component, fix="only Redis is spoken to: use celery's own command with another broker")


def read_crew(stage: Stage, component: str, methods: Iterable[str] = ("stats", "active_queues")) -> Crew:
    """Ask the workers; once more when fewer answer than run."""
    server, database = broker_of(stage, component)
    copies = [one for one in stage.instances(component) if one.running]
    mine = [host_names(stage, one) for one in copies]
    workers = [other for other in stage.scene.components if other.role == "worker" and other.id != component]
    others = [host_names(stage, one) for other in workers for one in other.running]
    all_run = all(one.running or one.one_off for other in workers for one in other.instances)

    def ask(client: Any) -> Crew:
        bindings = read_bindings(client)
        prefix, namespace = control_box(bindings)
        replies: dict[str, dict[str, Any]] = {}
        for _attempt in range(2):
            found = connect_celery.ask_workers(client, database, list(methods), None, REPLY_SECONDS / 2, namespace, prefix)
            replies.update(found.replies)
            if len(replies) >= len(mine) + len(others):
                break
        names = workers_of(sorted(replies), mine, others)
        silent = [one.name for one, hosts in zip(copies, mine) if not any(_is_at(name, hosts) for name in names)] if len(names) < len(copies) else []
        members = {member.rsplit(SEPARATOR, 1)[-1] for key, found in bindings.items() for member in found if not key.endswith(("celeryev", ".pidbox"))}
        queues = {name for name in members if name and not NOT_QUEUES.search(name)}
        complete = all_run and len(replies) >= len(mine) + len(others)
        return Crew(component, server, database, prefix, namespace, queues, names, replies, silent, complete)

    return at_redis(stage, server, ask, database=database)


def host_names(stage: Stage, instance: Instance) -> set[str]:
    """What a worker in this container may call its host."""
    own = stage.scene.environment(instance)[0].get("HOSTNAME", "")
    return {name for name in (instance.id[:12], instance.name, instance.hostname, own) if name}


def _is_at(name: str, hosts: set[str]) -> bool:
    host = name.partition("@")[2]
    return host in hosts or any(host.startswith(one + ".") for one in hosts)


def workers_of(answered: list[str], mine: list[set[str]], others: list[set[str]]) -> list[str]:
    """The nodes of a component by where its copies stand; those under names of their own only where nobody else can be meant. Pure."""
    found = [name for name in answered if any(_is_at(name, hosts) for hosts in mine)]
    strangers = [name for name in answered if not any(_is_at(name, hosts) for hosts in mine + others)]
    unmatched = [hosts for hosts in mine if not any(_is_at(name, hosts) for name in answered)]
    others_unmatched = [hosts for hosts in others if not any(_is_at(name, hosts) for name in answered)]
    if strangers and unmatched:
        if others_unmatched or len(strangers) != len(unmatched):
            raise Refused(
                "which of the workers that answer is meant is not clear: %s have names of their own" % ", ".join(strangers),
                fix="use celery control --destination",
            )
        found += strangers
    return found


def read_bindings(client: Any) -> dict[str, set[str]]:
    """The bindings of kombu by key, with their members; bounded in time."""
    keys: set[str] = set()
    cursor, end = 0, time.monotonic() + SCAN_SECONDS
    while time.monotonic() < end:
        cursor, found = client.scan(cursor, match="*" + BINDING + "*", count=SCAN_STEP)
        keys.update(found)
        if not int(cursor):
            break
    pipe = client.pipeline(transaction=False)
    names = sorted(keys)
    for key in names:
        pipe.smembers(key)
    answers = pipe.execute(raise_on_error=False) if names else []
    return {key: set(map(str, members)) for key, members in zip(names, answers) if isinstance(members, (set, list))}


def control_box(bindings: Iterable[str]) -> tuple[str, str]:
    """(key prefix, control namespace) from the keys of the bindings; the usual ones where none tells. Pure."""
    boxes = [key.split(BINDING, 1) for key in bindings if key.endswith(".pidbox") and not key.split(BINDING, 1)[1].startswith("reply.")]
    found = sorted({(prefix, name[: -len(".pidbox")]) for prefix, name in boxes})
    if len(found) > 1:
        raise Refused("several applications share this broker (%s): whose workers are meant is not clear" % ", ".join(prefix + name for prefix, name in found))
    return found[0] if found else ("", "celery")


def all_answer(crew: Crew) -> Crew:
    """The crew, when all of it is there."""
    if not crew.names or crew.silent:
        raise Refused(
            "%s does not answer remote control" % (", ".join(crew.silent) or crew.component), fix="start or restart it: component_start, component_restart"
        )
    return crew


def obey(stage: Stage, crew: Crew, method: str, arguments: dict[str, Any], workers: Iterable[str]) -> None:
    """One command to some of the crew; a StackError names who does not obey."""
    names = list(workers)
    at_redis(
        stage,
        crew.server,
        lambda client: connect_celery.command(client, crew.database, method, arguments, names, REPLY_SECONDS, crew.namespace, crew.prefix),
        database=crew.database,
    )


# Queues -----------------------------------------------------------------------------------------------------------------


class CeleryConsumers:
    """Lets the workers of a component consume further queues, or leave some alone. params: queues, state (added or cancelled).

    Where a finding is cured, the other queues that the application itself sends tasks to are taken along if nobody consumes them:
    a worker that was told the wrong queues has lost them all, and the tasks of the first one fill the next.
    """

    name = "celery_consumers"

    def preview(self, stage: Stage, step: Step) -> Preview:
        queues = [str(name) for name in step.params.get("queues") or []]
        adding = _adding(step.params.get("state") or "added")
        if not queues:
            raise Refused("nothing says which queues are meant", fix="give queues", kind="bad_option")
        methods = ("stats", "active_queues") + (("conf",) if adding and step.finding else ())
        crew = all_answer(read_crew(stage, worker_component(stage, step.component), methods))
        before = {name: crew.consumed(name) for name in crew.names}
        if adding and step.finding and crew.complete:
            routed = {queue for name in crew.names for queue in routed_queues(crew.replies[name].get("conf"))}
            queues += sorted(routed - {queue for name in crew.replies for queue in crew.consumed(name)} - set(queues))
        changes = queue_changes(before, queues, adding)
        unknown = [
            name
            for name in map(str, step.params["queues"])
            if adding and name not in crew.queues and not any(name in crew.consumed(other) for other in crew.replies)
        ]
        unknown = self._without_messages(stage, crew, unknown)
        if unknown:
            raise Refused(
                "the broker knows no queue %s: it knows %s" % (", ".join(unknown), ", ".join(sorted(crew.queues)) or "none"), fix="is the name spelled so?"
            )
        elsewhere = {queue for name in crew.replies if name not in crew.names for queue in crew.consumed(name)}
        left_alone = [] if adding else sorted({queue for names in changes.values() for queue in names} - elsewhere)
        after = {
            name: sorted((set(before[name]) | set(changes.get(name, []))) if adding else set(before[name]) - set(changes.get(name, []))) for name in before
        }
        return Preview(
            risk=DISRUPTIVE if left_alone else SAFE,
            target={
                "component": crew.component,
                "broker": crew.server,
                "workers": crew.names,
                "containers": sorted(one.id for one in stage.instances(crew.component)),
            },
            state=[before, changes, adding],
            diff=[{"what": "queues of %s" % name, "before": ", ".join(before[name]), "after": ", ".join(after[name])} for name in sorted(changes)],
            undo={"component": crew.component, "adding": adding, "changes": changes},
            texts={"queues": queues, "workers": crew.names, "left_alone": left_alone},
            touches=[crew.component] if changes else [],
            lasting=self._lasting(stage, crew.component, after) if changes else [],
            changed=bool(changes),
        )

    @staticmethod
    def _without_messages(stage: Stage, crew: Crew, names: list[str]) -> list[str]:
        """Those that hold no message either: an application may publish without ever binding."""
        if not names:
            return []

        def ask(client: Any) -> list[str]:
            return [
                name for name in names if not client.exists(*(crew.prefix + name + ("%s%d" % (SEPARATOR, step) if step else "") for step in PRIORITY_STEPS))
            ]

        return at_redis(stage, crew.server, ask, database=crew.database)

    @staticmethod
    def _lasting(stage: Stage, component: str, after: Mapping[str, list[str]]) -> list[str]:
        wanted, place = ",".join(sorted({queue for names in after.values() for queue in names})), stage.defined_in(component)
        if not wanted:
            return ["%s: it consumes nothing any more, until it is restarted" % place]
        told = next((found for one in stage.instances(component) for found in [queues_told(process.command for process in one.processes)] if found), "")
        now = "it says -Q %s now" % told if told else "it says none now, which means the default queue"
        return ["%s: its worker needs -Q %s on its command line (%s), because a restart forgets it" % (place, wanted, now)]

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        return {"queues": preview.state[0]}

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        self._order(stage, preview.target["component"], preview.state[2], preview.state[1])

    @staticmethod
    def _order(stage: Stage, component: str, adding: bool, changes: Mapping[str, list[str]]) -> None:
        crew = read_crew(stage, component)
        for queue in sorted({name for names in changes.values() for name in names}):
            # Who has come back without it, or is gone, needs nothing.
            workers = [name for name in changes if queue in changes[name] and name in crew.names and (queue in crew.consumed(name)) != adding]
            if workers:
                obey(stage, crew, "add_consumer" if adding else "cancel_consumer", {"queue": queue}, workers)

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        return self._left(stage, preview.target["component"], preview.state[2], preview.state[1])

    @staticmethod
    def _left(stage: Stage, component: str, adding: bool, changes: Mapping[str, list[str]]) -> str:
        def problem() -> str:
            crew = read_crew(stage, component)
            wrong = [name for name, queues in changes.items() if any((queue in crew.consumed(name)) != adding for queue in queues) and name in crew.names]
            silent = [name for name in changes if name not in crew.names]
            return "; ".join(
                ["%s consumes %s" % (name, ", ".join(crew.consumed(name)) or "nothing") for name in wrong] + ["%s does not answer" % name for name in silent]
            )

        return stage.wait(problem, OBEYED_SECONDS)

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        if not record["changes"]:
            return
        self._order(stage, record["component"], not record["adding"], record["changes"])
        here = read_crew(stage, record["component"]).names
        problem = self._left(stage, record["component"], not record["adding"], {name: queues for name, queues in record["changes"].items() if name in here})
        if problem:
            raise StackError(problem, kind="not_undone", fix="restart it: it begins with the queues of its command line")


def _adding(state: str) -> bool:
    if state not in ("added", "cancelled"):
        raise Refused("state is added or cancelled, not %s" % state, kind="bad_option")
    return state == "added"


def queue_changes(before: Mapping[str, list[str]], queues: Iterable[str], adding: bool) -> dict[str, list[str]]:
    """What is to be ordered of whom. Pure."""
    wanted = list(dict.fromkeys(queues))
    changes = {name: [queue for queue in wanted if (queue in consumed) != adding] for name, consumed in before.items()}
    return {name: names for name, names in changes.items() if names}


def routed_queues(conf: Any) -> set[str]:
    """The queues that an application itself sends tasks to, by its own settings, as far as they tell. Pure."""
    if not isinstance(conf, dict) or "error" in conf:
        return set()
    found = {str(conf.get("task_default_queue") or "celery")}
    for queue in conf.get("task_queues") or []:
        # What could not be written as JSON comes as it shows itself: <unbound Queue mails -> …>.
        shown_as = re.search(r"Queue (\S+) ->", str(queue))
        name = queue.get("name") if isinstance(queue, dict) else shown_as[1] if shown_as else None
        found.update([str(name)] if name else [])
    routes = conf.get("task_routes")
    for route in routes.values() if isinstance(routes, dict) else []:
        queue = route.get("queue") if isinstance(route, dict) else route
        found.update([queue] if isinstance(queue, str) else [])
    return found


def queues_told(commands: Iterable[str]) -> str:
    """What -Q of a worker's command line says; "" without. Pure."""
    for command in commands:
        match = re.search(r"\s(?:-Q|--queues)[ =]?(\S+)", command) if "celery" in command else None
        if match:
            return match[1]
    return ""


# How many ---------------------------------------------------------------------------------------------------------------


class CeleryScale:
    """Gives a component another number of processes for each worker, or of copies. params: processes, or replicas."""

    name = "celery_scale"

    def preview(self, stage: Stage, step: Step) -> Preview:
        asked = [key for key in ("processes", "replicas") if step.params.get(key) is not None]
        if len(asked) != 1 or int(step.params[asked[0]]) < 1:
            raise Refused(
                "one number is needed, of at least 1", fix="give processes or replicas; whom nobody needs: celery_consumers, or stop it", kind="bad_option"
            )
        component = worker_component(stage, step.component)
        number = int(step.params[asked[0]])
        return self._processes(stage, component, number) if asked == ["processes"] else self._replicas(stage, component, number)

    def _processes(self, stage: Stage, component: str, number: int) -> Preview:
        crew = all_answer(read_crew(stage, component))
        for name in crew.names:
            scalable(name, crew.replies[name].get("stats") or {})
        before = {name: crew.processes(name) for name in crew.names}
        changes = {name: number for name, now in before.items() if now != number}
        for one in stage.instances(component):
            here = [name for name in crew.names if _is_at(name, host_names(stage, one))] or crew.names[:1]
            now = sum(before[name] for name in here)
            more = sum(max(0, number - before[name]) for name in here)
            if more:
                room_for(
                    one.name, stage.platform.memory(one), now, more, host_memory(stage.platform, one).get("MemAvailable") if not one.memory_limit else None
                )
        return Preview(
            risk=DISRUPTIVE if any(number < now for now in before.values()) else SAFE,
            target={"component": component, "workers": crew.names, "containers": sorted(one.id for one in stage.instances(component))},
            state=["processes", before, changes],
            diff=[{"what": "processes of %s" % name, "before": str(before[name]), "after": str(number)} for name in sorted(changes)],
            undo={"component": component, "processes": {name: before[name] for name in changes}},
            texts={"processes": number},
            touches=[component] if changes else [],
            lasting=["%s: its worker needs --concurrency %d on its command line, because a restart forgets it" % (stage.defined_in(component), number)]
            if changes
            else [],
            changed=bool(changes),
        )

    def _replicas(self, stage: Stage, component: str, number: int) -> Preview:
        copies = stage.instances(component)
        running = [one for one in copies if one.running]
        more = number - len(copies)
        if more and len(running) < len(copies):
            raise Refused("%d copies of %s do not run" % (len(copies) - len(running), component), fix="start them first: component_start")
        if more:
            sources = stage.project.sources(component)
            stage.project.refuse_drift(component, sources)
        if more > 0:
            may_be_doubled(copies[0], stage.project.config(sources)["services"].get(component) or {})
            used = max(stage.platform.memory(one)["used"] for one in running)
            available = host_memory(stage.platform, running[0]).get("MemAvailable")
            if available is not None and used * more > HOST_SHARE * available:
                raise Refused("%d more copies of %s each, and the host has %s left" % (more, shown(used), shown(available)), fix="fewer, or another host")
        return Preview(
            risk=DISRUPTIVE if more < 0 else SAFE,
            target={"component": component, "containers": sorted(one.id for one in copies)},
            state=["replicas", len(copies), number],
            diff=[{"what": "copies of %s" % component, "before": str(len(copies)), "after": str(number)}] if more else [],
            undo={"component": component, "replicas": len(copies)},
            texts={"replicas": number},
            touches=[component] if more else [],
            lasting=["services.%s: scale: %d (or deploy.replicas), because the next docker compose up makes what the file says" % (component, number)]
            if more
            else [],
            changed=bool(more),
        )

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        return {"before": preview.state[1], "logs": {preview.target["component"]: last_lines(stage, preview.target["component"])}}

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        what, _before, wanted = preview.state
        (self._resize if what == "processes" else self._scale)(stage, preview.target["component"], wanted)

    @staticmethod
    def _resize(stage: Stage, component: str, wanted: Mapping[str, int]) -> None:
        crew = read_crew(stage, component)
        for name, number in wanted.items():
            if name not in crew.names:
                continue
            more = number - crew.processes(name)
            if more:
                obey(stage, crew, "pool_grow" if more > 0 else "pool_shrink", {"n": abs(more)}, [name])

    @staticmethod
    def _scale(stage: Stage, component: str, number: int) -> None:
        sources = stage.project.sources(component)
        options = ["up", "--detach", "--no-deps", "--no-recreate", "--no-build", "--pull", "never", "--scale", "%s=%d" % (component, number), component]
        stage.project.run(sources, options, UP_SECONDS)

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        component, (what, _before, wanted) = preview.target["component"], preview.state

        def copies() -> str:
            running = [one for one in stage.platform.copies(component) if one.running]
            if len(running) != wanted:
                return "%d copies of %s run" % (len(running), component)
            if not {one.id for one in running} <= {one.id for one in stage.instances(component)}:
                stage.renew()
            crew = read_crew(stage, component)
            return "" if len(crew.names) >= len(running) and not crew.silent else "%s does not answer yet" % (", ".join(crew.silent) or component)

        return self._sizes(stage, component, wanted) if what == "processes" else stage.wait(copies, READY_SECONDS, 1.0)

    @staticmethod
    def _sizes(stage: Stage, component: str, wanted: Mapping[str, int]) -> str:
        """Wait until the pools have these sizes; what is missing, in words."""

        def problem() -> str:
            crew = read_crew(stage, component)
            wrong = ["%s has %d" % (name, crew.processes(name)) for name in wanted if name in crew.names and crew.processes(name) != wanted[name]]
            return "; ".join(wrong + ["%s does not answer" % name for name in wanted if name not in crew.names])

        return stage.wait(problem, OBEYED_SECONDS)

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        if "processes" in record:
            self._resize(stage, record["component"], record["processes"])
            # Who is gone has taken its number along.
            here = read_crew(stage, record["component"]).names
            problem = self._sizes(stage, record["component"], {name: number for name, number in record["processes"].items() if name in here})
            if problem:
                raise StackError(problem, kind="not_undone", fix="restart it: it begins with the number of its command line")
        elif len(stage.instances(record["component"])) != record["replicas"]:
            self._scale(stage, record["component"], record["replicas"])


class WorkerProcesses(CeleryScale):
    """The same on a cluster, where the number of copies is its workload's affair."""

    def _replicas(self, stage: Stage, component: str, number: int) -> Preview:
        raise Refused("the copies of %s are counted by %s" % (component, stage.defined_in(component)), fix="give it %d copies: component_scale" % number)


def scalable(name: str, stats: Mapping[str, Any]) -> None:
    """Refused where a worker's pool cannot be given another size by remote control. Pure."""
    pool = stats.get("pool") or {}
    kind = str(pool.get("implementation", ""))
    # Older workers do not name their pool; that of one process is the worker itself.
    forks = "prefork" in kind or (not kind and bool(pool.get("processes")) and stats.get("pid") not in pool["processes"])
    if not forks:
        raise Refused("%s has no pool of processes" % name, fix="give replicas, or start it with another -c")
    if stats.get("autoscaler"):
        raise Refused("%s scales itself" % name, fix="change --autoscale on its command line")


def room_for(name: str, memory: Mapping[str, int], processes: int, more: int, available: int | None) -> None:
    """Refused where further processes of the size of the present ones do not fit. Pure."""
    # The first process is one of them: what they share is counted once, so that this says rather too much than too little.
    each = memory["used"] / (processes + 1)
    if memory["limit"]:
        fits = int((MEMORY_SHARE * memory["limit"] - memory["used"]) // each)
        why = "its container's limit is %s, %s are used" % (shown(memory["limit"]), shown(memory["used"]))
    elif available is not None:
        fits = int(HOST_SHARE * available // each)
        why = "its host has %s left" % shown(available)
    else:
        return
    if more > fits:
        raise Refused(
            "%d more processes of about %s each do not fit into %s: %s" % (more, shown(each), name, why),
            fix="at most %d in all, or raise the memory limit of its container first (component_resources)" % (processes + max(0, fits)),
        )


def may_be_doubled(instance: Instance, definition: Mapping[str, Any]) -> None:
    """Refused where a second copy would be in the first one's way. Pure."""
    command = " ".join([*instance.command, *(process.command for process in instance.processes)])
    if definition.get("container_name"):
        raise Refused("it has a container_name, so that there can be one copy only", fix="take container_name out of the Compose file")
    # Of the instance's own only those of TCP are known.
    if any(port.get("outside") for port in instance.published) or any(port.get("published") for port in definition.get("ports") or []):
        raise Refused("it publishes a port of the host, which only one copy can have", fix="take the port out of the Compose file")
    if re.search(r"celery\b.*\s(-B|--beat)\b", command):
        raise Refused("it runs the schedule, too (-B): a second copy would send every task twice", fix="give celery beat a service of its own")
    node = re.search(r"celery\b.*\s(?:-n|--hostname)[ =](\S+)", command)
    if node and "@" in node[1] and not re.search(r"%", node[1]) and node[1].split("@")[1] not in (instance.id[:12], instance.name):
        raise Refused("its node has a fixed name (%s), which two copies cannot share" % node[1], fix="end it with @%h")


# Failed tasks -------------------------------------------------------------------------------------------------------------


class CeleryRetry:
    """Queues failed tasks once more, under their own ids. params: task_ids, or name (of the task) with most (default 20).

    What a chain or a chord would have done after them is not done: it is not kept anywhere.
    """

    name = "celery_retry"

    def preview(self, stage: Stage, step: Step) -> Preview:
        if step.finding:
            raise Refused("what a failed task has done before it failed is not known here: it is run again only when a person asks for it", kind="bad_option")
        crew = all_answer(read_crew(stage, worker_component(stage, step.component), ("stats", "active_queues", "registered")))
        server, database = results_of(stage, crew)
        ids, name = [str(one) for one in step.params.get("task_ids") or []], step.params.get("name")
        if bool(ids) == bool(name):
            raise Refused("nothing says which tasks are meant", fix="give task_ids, or the task's name", kind="bad_option")
        found = at_redis(stage, server, lambda client: read_results(client, ids, crew.prefix), database=database)
        chosen, spared = choose_tasks(found, ids, name)
        most = int(step.params.get("most") or DEFAULT_MOST)
        if len(chosen) > most:
            raise Refused(
                "%d failed tasks match, and %d may be run again at once" % (len(chosen), most), fix="narrow the choice, or raise most if all of them are meant"
            )
        places = {one["task_id"]: queue_for(one, crew) for one in chosen}
        return Preview(
            risk=TRANSIENT,
            target={"component": crew.component, "broker": crew.server, "results": [server, database], "tasks": sorted(places)},
            state=sorted([one["task_id"], str(one.get("date_done")), places[one["task_id"]]] for one in chosen),
            # Ids look like keys, and keys are hidden in what is shown; they stand in target.
            diff=[
                {
                    "what": "failed task %d" % (number + 1),
                    "before": "%s failed (%s) at %s" % (one["name"], _raised(one), one.get("date_done")),
                    "after": "queued again in %s" % places[one["task_id"]],
                }
                for number, one in enumerate(chosen)
            ],
            texts={"count": len(chosen), "tasks": sorted({one["name"] for one in chosen}), "spared": spared[:10]},
            touches=[crew.component] if chosen else [],
            changed=bool(chosen),
        )

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        server, database = preview.target["results"]
        found = at_redis(stage, server, lambda client: read_results(client, preview.target["tasks"], self._prefix(stage, step)), database=database)
        kept = ("task_id", "name", "date_done", "queue", "retries", "worker")
        return {
            "tasks": [
                {**{key: one.get(key) for key in kept}, "error": _raised(one), "traceback": stage.mask.text(str(one.get("traceback") or ""))} for one in found
            ]
        }

    @staticmethod
    def _prefix(stage: Stage, step: Step) -> str:
        return read_crew(stage, worker_component(stage, step.component), ("ping",)).prefix

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        crew = read_crew(stage, preview.target["component"])
        server, database = preview.target["results"]
        for identity, done, queue in preview.state:
            key = crew.prefix + RESULT + identity
            text = at_redis(stage, server, partial(claim, key=key, done=done), database=database)
            if text is None:
                continue  # somebody else was faster, or it has succeeded meanwhile
            result = json.loads(text)
            message = connect_celery.task_message(result["name"], identity, result["args"], result["kwargs"], queue)
            try:
                at_redis(stage, crew.server, partial(_push, key=crew.prefix + queue, text=message), database=crew.database)
            except StackError:
                at_redis(stage, server, partial(_keep, key=key, text=text), database=database)
                raise

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        server, database = preview.target["results"]
        done = {identity: when for identity, when, _queue in preview.state}
        found = at_redis(stage, server, lambda client: read_results(client, sorted(done), self._prefix(stage, step)), database=database)
        left = [one["task_id"] for one in found if one["status"] == "FAILURE" and str(one.get("date_done")) == done[one["task_id"]]]
        return "not queued: %s" % ", ".join(left) if left else ""

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        raise StackError("a task that was queued again cannot be taken back: it may have run already", kind="not_undone")


def results_of(stage: Stage, crew: Crew) -> tuple[str, int]:
    """(the Redis, its database) where the workers keep results."""
    for server in Servers(stage.scene).found:
        for target in server.clients:
            if target.component == crew.component and target.kind == "results" and server.kind == "redis":
                return server.component, int(target.database) if target.database.isdigit() else 0
    return crew.server, crew.database


def read_results(client: Any, ids: Iterable[str], prefix: str) -> list[dict[str, Any]]:
    """The results of these tasks, or of as many as are read within bounds where none is named."""
    keys = [prefix + RESULT + one for one in ids]
    if not keys:
        cursor, end = 0, time.monotonic() + SCAN_SECONDS
        while len(keys) < RESULTS_READ and time.monotonic() < end:
            cursor, found = client.scan(cursor, match=prefix + RESULT + "*", count=SCAN_STEP)
            keys += found
            if not int(cursor):
                break
        else:
            raise StackError("there are too many results to look through: name the tasks by task_ids", kind="bounded")
    results = []
    for start in range(0, len(keys), 500):
        for key, text in zip(keys[start : start + 500], client.mget(keys[start : start + 500])):
            if text is None:
                results.append({"task_id": key[len(prefix + RESULT) :], "status": "absent"})
                continue
            try:
                result = json.loads(text)
            except ValueError:
                result = {"status": "unreadable"}
            results.append({**result, "task_id": key[len(prefix + RESULT) :]} if isinstance(result, dict) else {"task_id": key, "status": "unreadable"})
    return results


def choose_tasks(results: Iterable[dict[str, Any]], ids: list[str], name: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    """(the failed tasks to run again, those that match and are spared, in words). Refused where one cannot be made again. Pure."""
    chosen, spared = [], []
    for result in sorted({one["task_id"]: one for one in results}.values(), key=lambda one: (str(one.get("date_done")), one["task_id"])):
        identity, status = result["task_id"], result.get("status")
        if status in ("absent", "unreadable") and ids:
            raise Refused(
                "of the task %s %s"
                % (identity, "no result is kept: it is unknown, waits, or has expired" if status == "absent" else "the result cannot be read"),
                fix="leave it out",
            )
        if name and result.get("name") != name:
            if status == "FAILURE" and result.get("name") is None:
                spared.append("%s (its name is not kept)" % identity)
            continue
        if status != "FAILURE":
            if ids:
                spared.append("%s (%s)" % (identity, status))
            continue
        if not result.get("name") or not isinstance(result.get("args"), list) or not isinstance(result.get("kwargs"), dict):
            raise Refused(
                "the result of %s does not hold the task's name and arguments" % identity,
                fix="set result_extended = True in the application; until then, send it again from there",
            )
        chosen.append(result)
    if not chosen and name and spared:
        raise Refused("the results do not hold the names of their tasks", fix="set result_extended = True in the application, or give task_ids")
    return chosen, spared


def queue_for(result: Mapping[str, Any], crew: Crew) -> str:
    """The queue that a task came from, when somebody who knows the task consumes it. Pure."""
    queue, task = str(result.get("queue") or ""), result["name"]
    consumers = [name for name in crew.replies if queue in crew.consumed(name)]
    if not consumers:
        raise Refused(
            "nobody consumes the queue %s of the task %s" % (queue or "(not kept)", result["task_id"]), fix="let a worker consume it first: celery_consumers"
        )
    known = [crew.replies[name].get("registered") for name in consumers]
    if not all(isinstance(tasks, list) and task in [str(one).split(" [", maxsplit=1)[0] for one in tasks] for tasks in known):
        raise Refused("%s is not known to every worker that consumes %s" % (task, queue), fix="deploy the code that has it")
    return queue


def claim(client: Any, key: str, done: str) -> str | None:
    """Mark a failed task as one that is tried again, unless something has happened to it since; the result that stood there. Atomic."""
    redis = connect_redis.redis
    with client.pipeline() as pipe:
        try:
            pipe.watch(key)
            text = pipe.get(key)
            result = json.loads(text) if text else {}
            if result.get("status") != "FAILURE" or str(result.get("date_done")) != done:
                return None
            pipe.multi()
            pipe.set(key, json.dumps({**result, "status": "RETRY"}), keepttl=True)
            pipe.execute()
            return str(text)
        except redis.exceptions.WatchError:
            return None


def _push(client: Any, key: str, text: str) -> None:
    client.lpush(key, text)


def _keep(client: Any, key: str, text: str) -> None:
    client.set(key, text, keepttl=True)


def _raised(result: Mapping[str, Any]) -> str:
    """What was raised, without its message, which may hold anything."""
    raised = result.get("result")
    return str(raised.get("exc_type") or "?") if isinstance(raised, dict) else "?"
