# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A PostgreSQL that has no slot left for anybody: its sessions as their processes' titles tell, and the signal that pg_terminate_backend() sends."""

from __future__ import annotations

import os
import re
import signal
from typing import Any, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.connect import namespace
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance

# "postgres: shop shop 172.18.0.1(43886) idle in transaction", with cluster_name before the account where one is set.
TITLE = re.compile(
    r"postgres: (?:[^:]+: )?(?P<user>\S+) (?P<database>\S+) (?:(?P<address>[\da-fA-F.:]+)\((?P<port>\d+)\)|\[local\]) (?P<state>idle in transaction|idle)\b"
)


# In a pod: "number start title" of each process; and SIGTERM for each "number:start" that still is that process.
LIST = r"""
for d in /proc/[0-9]*; do
  read -r l < $d/stat || continue
  l=${l##*) }; set -- $l
  printf '%s %s ' "${d#/proc/}" "${20}"; tr '\0' ' ' < $d/cmdline; echo
done 2>/dev/null
"""
END = r"""
c=0
for w in "$@"; do
  p=${w%%:*}
  read -r l < /proc/$p/stat || continue
  l=${l##*) }; set -- $l
  [ "${20}" != "${w##*:}" ] || kill -TERM $p || c=1
done 2>/dev/null
exit $c
"""


class Backends:
    """The sessions of one server by its processes, from its host, or from inside its pod. Only those that idle are told: what the others do no title says."""

    def __init__(self, stage: Stage, component: str) -> None:
        self._stage, self._component = stage, component

    def sessions(self) -> list[dict[str, Any]]:
        """As act/remedy/sessions.py reads them; backend_start is the process's own start, pid its number on the host or in the pod."""
        found = []
        for instance in self._instances():
            superusers = {"postgres", instance.environment.get("POSTGRES_USER")}
            for pid, started, title in self._processes(instance):
                session = by_title(title)
                if session is not None:
                    start = "%s %s" % (started, session["port"])
                    found.append({**session, "pid": pid, "superuser": session["user"] in superusers, "backend_start": start})
        return found

    def end(self, wanted: Iterable[list[Any]]) -> None:
        """Ask these to end; each is looked at once more, and left alone when it is another one by now."""
        there = {(one["pid"], one["backend_start"]) for one in self.sessions()}
        meant = [(pid, start) for pid, start, _query_start, _what in wanted if (pid, start) in there]
        if self._in_pods:
            for instance in self._instances():
                words = ["%d:%s" % (pid, start.split()[0]) for pid, start in meant]
                if self._stage.platform.run_inside(instance, ["sh", "-c", END, "sh", *words])[0]:
                    raise StackError("a process in %s may not be signalled from inside" % instance.name, kind="denied")
            return
        for pid, _start in meant:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                continue
            except PermissionError as error:
                raise StackError("process %d may not be signalled by this user" % pid, kind="denied", fix="set become: true") from error

    @property
    def _in_pods(self) -> bool:
        return str(self._stage.platform.name) == "kubernetes"

    def _instances(self) -> list[Instance]:
        running = self._stage.component(self._component).running
        # A number means one process in one pod: of a primary and its replicas the first is who is asked everywhere else.
        return running[:1] if self._in_pods else running

    def _processes(self, instance: Instance) -> list[tuple[int, str, str]]:
        """(number, start, title)"""
        if self._in_pods:
            return by_list(self._stage.platform.run_inside(instance, ["sh", "-c", LIST])[1])
        seen = self._stage.platform.processes(instance)
        return [(one.pid, _started(one.pid), one.command) for one in seen if namespace.can_enter(one.pid, instance.id)]


def by_list(output: str) -> list[tuple[int, str, str]]:
    """(number, start, title) of each process that LIST printed. Pure."""
    rows = [line.split(" ", 2) for line in output.splitlines()]
    return [(int(row[0]), row[1], row[2].strip()) for row in rows if len(row) == 3 and row[0].isdigit() and row[1].isdigit()]


def by_title(command: str) -> dict[str, Any] | None:
    """The session that a process's title tells of; None where it is no session that idles. Pure."""
    match = TITLE.match(command)
    if match is None:
        return None
    return {
        "leader_pid": None,
        "query_start": None,
        "state": match.group("state"),
        "user": match.group("user"),
        "database": match.group("database"),
        "application_name": "",
        "client_addr": match.group("address"),
        "port": match.group("port") or "",
        "superuser": False,
        "backend_type": "client backend",
        "hidden": False,
        "own": False,
        "state_seconds": None,
        "query_seconds": None,
        "query": "",
    }


def _started(pid: int) -> str:
    """When a process began, in the kernel's own ticks; "" when it is gone."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as text:
            return text.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""
