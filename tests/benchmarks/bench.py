# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How fast we are, measured in one run beside what one would do otherwise. Prints medians and ratios; asserts nothing.

bench.py              all
bench.py healthy hung fleet
"""

from __future__ import annotations

import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "stack"))
PLAY = Path(sys.executable).parent / "ansible-playbook"
RUNS = 5
# A command of the runbook has no time-out of its own; nobody waits longer than this for one of them.
PATIENCE = 30

COMPOSE = "docker compose -p aiops-ref"
PSQL = COMPOSE + " exec -T -u postgres postgres psql -U aiops -d aiops"
URL = "http://127.0.0.1:18080"
# The runbook's own commands for rows A01, A03, A07, A13, A14, B01, B02, B04, B05 and B11, in its order.
RUNBOOK = [
    "curl -s %s/health" % URL,
    "curl -s %s/ready" % URL,
    "curl -s %s/metrics" % URL,
    COMPOSE + " ps",
    "curl -s %s/docs" % URL,
    COMPOSE + " logs --tail 200",
    COMPOSE + " logs --tail 200 api",
    COMPOSE + " logs --tail 200 postgres",
    COMPOSE + " exec -T api env",
    PSQL + " -c 'SELECT 1'",
    PSQL + " -c \"SELECT count(*) FROM pg_stat_activity WHERE datname='aiops'\"",
    COMPOSE
    + ' exec -T -u postgres postgres psql -U aiops -d aiops -c "SELECT pid, now() - query_start AS duration, query'
    + " FROM pg_stat_activity WHERE state = 'active' ORDER BY duration DESC\"",
    COMPOSE + " exec -T redis redis-cli ping",
    "docker logs --tail 200 aiops-ref-redis-1",
    COMPOSE + " exec -T worker celery -A app.tasks inspect active",
    COMPOSE + " exec -T redis redis-cli llen celery",
    COMPOSE + " logs --tail 200 worker",
    COMPOSE + " exec -T api python3 -c \"import socket; socket.create_connection(('postgres', 5432), 5)\"",
    "docker network ls",
    "docker network inspect aiops-ref_default",
    "docker stats --no-stream",
]


def timed(command: str, runs: int = RUNS) -> float:
    """The median seconds of a shell command."""
    taken = []
    for _run in range(runs):
        started = time.monotonic()
        subprocess.run(
            command, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, cwd=tempfile.gettempdir()
        )
        taken.append(time.monotonic() - started)
    return statistics.median(taken)


def by_hand() -> str:
    return "; ".join("timeout %d sh -c %s" % (PATIENCE, shlex.quote(command)) for command in RUNBOOK)


def play(inventory: Path, playbook: Path, folder: Path, forks: int = 5) -> str:
    return "%s -f %d -i %s %s -e report_dir=%s -e fail_on=never" % (PLAY, forks, inventory, playbook, folder)


def inventory(folder: Path, hosts: int) -> Path:
    path = folder / ("hosts-%d.ini" % hosts)
    settings = "ansible_connection=local ansible_python_interpreter=%s compose_project=aiops-ref" % sys.executable
    path.write_text("".join("stack%d %s\n" % (number, settings) for number in range(hosts)))
    return path


def row(what: str, seconds: float, beside: str = "", other: float | None = None, goal: str = "") -> None:
    compared = "%7.2f s  %s  = %.1f times" % (other, beside, other / seconds) if other else ""
    print("%-46s %7.2f s   %s   %s" % (what, seconds, compared, goal), flush=True)


def healthy(folder: Path) -> None:
    bare = folder / "bare.yml"
    bare.write_text("- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: {msg: hello}\n")
    one = inventory(folder, 1)
    nothing = timed(play(one, bare, folder))
    ours = timed(play(one, ROOT / "playbooks" / "diagnose.yml", folder))
    row("bare Ansible, one task", nothing)
    row("diagnose, healthy", ours, goal="goal: <= 3 s and bare + 1.5 s (it is bare + %.2f s)" % (ours - nothing))
    row("diagnose, healthy", ours, "the runbook's %d commands" % len(RUNBOOK), timed(by_hand(), 2), "goal: >= 5 times")


def hung(folder: Path) -> None:
    subprocess.run(["docker", "pause", "aiops-ref-postgres-1"], check=True, stdout=subprocess.DEVNULL)
    try:
        ours = timed(play(inventory(folder, 1), ROOT / "playbooks" / "diagnose.yml", folder), 3)
        row("diagnose, PostgreSQL hangs", ours, "the runbook's commands", timed(by_hand(), 1), "goal: <= slowest probe's time-out (5 s) + 1.5 s")
    finally:
        subprocess.run(["docker", "unpause", "aiops-ref-postgres-1"], check=True, stdout=subprocess.DEVNULL)


def fleet(folder: Path) -> None:
    one = timed(play(inventory(folder, 1), ROOT / "playbooks" / "diagnose.yml", folder))
    fifty = timed(play(inventory(folder, 50), ROOT / "playbooks" / "diagnose.yml", folder, 50), 3)
    print("%-46s %7.2f s   one: %.2f s   = %.1f times   goal: <= 8 times" % ("diagnose, 50 stacks in one run", fifty, one, fifty / one), flush=True)


PARTS: dict[str, Callable[[Path], None]] = {"healthy": healthy, "hung": hung, "fleet": fleet}


def main() -> int:
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        print("bench.py: no part %s; the parts are %s" % (", ".join(unknown), ", ".join(PARTS)), file=sys.stderr)
        return 2
    subprocess.run([sys.executable, str(ROOT / "tests" / "stack" / "ctl.py"), "up", "reference"], check=True)
    os.environ["ANSIBLE_NOCOLOR"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        for name in wanted:
            PARTS[name](Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
