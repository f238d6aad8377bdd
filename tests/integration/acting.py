# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A small Compose project of real containers, and the modules that act on it, run as Ansible runs them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

from brokers import run_module
from playing import run

from ansible_collections.aiops.runbook.plugins.module_utils.act.door import ACT_SPEC, undo_run


class Small:
    """One project; act() runs a module on it, undo() takes the last run back."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.file = folder / "compose.yml"
        self.options = {"compose_project": name, "state_dir": str(folder / "state"), "hold_seconds": 0}

    def compose(self, *words: str, check: bool = True) -> str:
        return run("docker", "compose", "-p", self.name, "-f", str(self.file), *words, check=check)

    def container(self, service: str, number: int = 1) -> str:
        return "%s-%s-%d" % (self.name, service, number)

    def inside(self, service: str, *command: str, user: str = "0") -> str:
        return run("docker", "exec", "-u", user, self.container(service), *command).strip()

    def running(self, service: str) -> int:
        return len(self.compose("ps", "-q", "--status", "running", service).split())

    def act(self, module: str, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        return run_module(module, check_mode, _ansible_diff=True, **self.options, **options)

    def undo(self) -> dict[str, Any]:
        params = {name: option.get("default") for name, option in ACT_SPEC.items()}
        return undo_run({**params, **self.options, "by": "a test"}, None)


@contextmanager
def small_project(name: str, folder: Path, services: dict[str, Any]) -> Iterator[Small]:
    project = Small(name, folder)
    project.file.write_text(json.dumps({"services": services}).replace("$", "$$"))
    try:
        project.compose("up", "-d", "--force-recreate", "--wait-timeout", "60")
        yield project
    finally:
        project.compose("down", "-v", "--remove-orphans", "-t", "1", check=False)
