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

# "postgres: shop shop 172.18.0.1(43886) idle in transaction", with cluster_name before the account where one is set.
TITLE = re.compile(
    r"postgres: (?:[^:]+: )?(?P<user>\S+) (?P<database>\S+) (?:(?P<address>[\da-fA-F.:]+)\((?P<port>\d+)\)|\[local\]) (?P<state>idle in transaction|idle)\b"
)


class Backends:
    """The sessions of one server by its processes, from its host. Only those that idle are told: what the others do no title says."""

    def __init__(self, stage: Stage, component: str) -> None:
        self._stage, self._component = stage, component

    def sessions(self) -> list[dict[str, Any]]:
        """As act/remedy/sessions.py reads them; backend_start is the process's own start, pid its number on the host."""
        found = []
        for instance in self._stage.component(self._component).running:
            superusers = {"postgres", instance.environment.get("POSTGRES_USER")}
            for process in self._stage.platform.processes(instance):
                session = by_title(process.command)
                if session is not None and namespace.can_enter(process.pid, instance.id):
                    found.append(
                        {
                            **session,
                            "pid": process.pid,
                            "superuser": session["user"] in superusers,
                            "backend_start": "%s %s" % (_started(process.pid), session["port"]),
                        }
                    )
        return found

    def end(self, wanted: Iterable[list[Any]]) -> None:
        """Ask these to end; each is looked at once more, and left alone when it is another one by now."""
        there = {(one["pid"], one["backend_start"]) for one in self.sessions()}
        for pid, start, _query_start, _what in wanted:
            if (pid, start) in there:
                try:
                    os.kill(pid, signal.SIGTERM)
                except ProcessLookupError:
                    continue
                except PermissionError as error:
                    raise StackError("process %d may not be signalled by this user" % pid, kind="denied", fix="set become: true") from error


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
