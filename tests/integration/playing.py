"""Run a playbook as a user does, and read what it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "tests" / "stack" / "inventory.yml"


@dataclass
class Played:
    """A finished run: its exit status, its output, and the folder of its reports."""

    status: int
    output: str
    reports: Path

    def report(self, stack: str) -> dict[str, Any]:
        path = self.reports / stack / "latest" / "report.json"
        assert path.exists(), self.output
        return json.loads(path.read_text())

    def causes(self, stack: str) -> list[tuple[str, str]]:
        return sorted((root["id"], root["component"]) for root in self.report(stack)["root_causes"])


def play(playbook: str, reports: Path, *arguments: str, inventory: Path | str = INVENTORY, timeout: float = 180, **environment: str) -> Played:
    """ansible-playbook on a playbook of the collection (or a path), with its reports in a folder of the test's own."""
    path = playbook if playbook.endswith(".yml") else str(ROOT / "playbooks" / (playbook + ".yml"))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), path, "-e", "report_dir=%s" % reports, *arguments]
    settings = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOST_KEY_CHECKING": "false", "LC_ALL": "C.UTF-8", **environment}
    done = subprocess.run(command, env=settings, cwd=reports, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
    return Played(done.returncode, done.stdout + done.stderr, reports)


def run(*command: str, check: bool = True, text: str | None = None) -> str:
    """The output of a command of the test's own."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
    assert not check or done.returncode == 0, "%s\n%s\n%s" % (" ".join(command), done.stdout, done.stderr)
    return done.stdout


def ad_hoc(module: str, options: dict[str, Any], *arguments: str) -> list[str]:
    """The command that runs a module of the collection once, by Ansible, on this machine."""
    where = ["localhost", "-i", "localhost,", "-c", "local", "-e", "ansible_python_interpreter=" + sys.executable]
    return [str(Path(sys.executable).parent / "ansible"), *where, "-m", "aiops.runbook." + module, "-a", json.dumps(options), *arguments]
