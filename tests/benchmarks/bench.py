# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How fast we are, measured in one run beside what one would do otherwise. Prints medians and ratios; asserts nothing.

bench.py              all
bench.py healthy hung fleet         on Docker Compose
bench.py kubernetes large           on a cluster; large: a namespace of 2,000 pods
"""

from __future__ import annotations

import collections
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "stack"))
PLAY = Path(sys.executable).parent / "ansible-playbook"
RUNS = 5
# A command of the runbook has no time-out of its own; nobody waits longer than this for one of them.
PATIENCE = 30

COMPOSE = "docker compose -p aiops-ref"
PSQL = COMPOSE + " exec -T -u postgres postgres psql -U aiops -d aiops"
REDIS = COMPOSE + " exec -T redis redis-cli"
URL = "http://127.0.0.1:18080"
LOG = "docker logs aiops-ref-api-1 2>&1"
CONNECT = COMPOSE + " exec -T api python3 -c \"import socket; socket.create_connection(('postgres', 5432), 5)\""
# What the two runbooks tell to type, row by row in their order, where `diagnose` judges what the command shows, or a part of it.
# Left out: what is for Kubernetes, changes something, is interactive, or shows only what `diagnose` does not judge (statistics of
# statements, sizes of tables, rate limits, firewalls). Translated: the stack's own names, its log for a log file, a program of the
# container for one that its image has not got; what would go on for ever (logs -f, docker stats) stops at once.
RUNBOOK = {
    "A01": ["curl %s/health" % URL, "curl %s/ready" % URL, "curl %s/metrics" % URL],
    "A03": [PSQL + " -c 'SELECT 1'", COMPOSE + " exec -T api env | grep DATABASE_URL", CONNECT],
    "A05": [REDIS + " ping"],
    "A06": [LOG, LOG + " | grep -E '(ERROR|CRITICAL)'"],
    "A07": [
        PSQL + " -c \"SELECT count(*) FROM pg_stat_activity WHERE datname='aiops'\"",
        PSQL + " -c \"SELECT pid, now() - query_start AS duration, query FROM pg_stat_activity WHERE state = 'active' ORDER BY duration DESC\"",
    ],
    "A13": [REDIS + " ping", "docker logs aiops-ref-redis-1"],
    "A14": [COMPOSE + " exec -T worker celery -A app.tasks inspect active", REDIS + " -n 1 llen celery", COMPOSE + " logs worker"],
    "A16": ["curl %s/metrics | grep http_request_duration" % URL],
    "A17": ["ps aux | grep gunicorn"],
    "B01": [COMPOSE + " ps", "curl %s/health" % URL, "curl %s/docs" % URL],
    "B02": [COMPOSE + " logs", COMPOSE + " logs api", COMPOSE + " logs postgres"],
    "B04": [COMPOSE + " logs api"],
    "B05": [
        COMPOSE + " ps postgres",
        COMPOSE + " logs postgres",
        COMPOSE + " exec -T api env | grep DATABASE",
        COMPOSE + ' exec -T api python3 -c "from app.settings import get_settings; print(get_settings().database_url)"',
        PSQL + " -c 'SELECT 1;'",
        PSQL + " -c 'SELECT 1;'",
    ],
    "B07": [LOG, COMPOSE + " logs api", "curl -v %s/health" % URL],
    "B09": [LOG + " | grep duration_ms | awk '$NF > 1000' | tail -10", "docker stats --no-stream"],
    "B10": ["docker stats --no-stream --format 'table {{.Container}}\t{{.MemUsage}}\t{{.MemPerc}}'"],
    "B11": [
        "docker network ls",
        "docker network inspect aiops-ref_default",
        COMPOSE + " exec -T api python3 -c \"import socket; socket.gethostbyname('postgres')\"",
        CONNECT,
    ],
    "B12": [COMPOSE + " ps", "ss -tlnp | grep :18080"],
    "B13": [
        "curl -f %s/health" % URL,
        "curl -w '%%{time_total} %%{time_connect} %%{time_starttransfer}' -o /dev/null -s %s/health" % URL,
        "docker stats --no-stream --format 'table {{.Container}}\t{{.CPUPerc}}\t{{.MemUsage}}'",
    ],
    "B14": [
        LOG + " | grep -E '(ERROR|CRITICAL)'",
        LOG
        + " | grep -E '(ERROR|CRITICAL)'"
        + ' | jq -r "select(.timestamp > \\"$(date -d \'1 hour ago\' --iso-8601=seconds)\\") | .message" | sort | uniq -c | sort -nr',
    ],
}
COMMANDS = [command for commands in RUNBOOK.values() for command in commands]

KUBECTL = "kubectl -n aiops-ref"
INSIDE = KUBECTL + " exec %s -- "
PSQL_THERE = INSIDE % "statefulset/postgres" + "psql -h 127.0.0.1 -U aiops -d aiops"
REDIS_THERE = INSIDE % "statefulset/redis" + "redis-cli"
URL_THERE = "http://127.0.0.1:31080"
LOG_THERE = KUBECTL + " logs deployment/api"
POD = "$(" + KUBECTL + " get pods -l app=api -o jsonpath={.items[0].metadata.name})"
CONNECT_THERE = INSIDE % "deployment/api" + "python3 -c \"import socket; socket.create_connection(('postgres', 5432), 5)\""
# The same of the runbook's rows for Kubernetes, chosen and translated in the same way: of one suspect (the api) where it says <pod-name>.
RUNBOOK_THERE = {
    "A01": ["curl %s/health" % URL_THERE, "curl %s/ready" % URL_THERE, "curl %s/metrics" % URL_THERE],
    "A02": [KUBECTL + " get pods", LOG_THERE, KUBECTL + " top pods", KUBECTL + " get events --sort-by=.lastTimestamp"],
    "A03": [PSQL_THERE + " -c 'SELECT 1'", INSIDE % "deployment/api" + "env | grep DATABASE_URL", CONNECT_THERE],
    "A05": [REDIS_THERE + " ping"],
    "A06": [LOG_THERE, LOG_THERE + " | grep -E '(ERROR|CRITICAL)'"],
    "A07": [
        PSQL_THERE + " -c \"SELECT count(*) FROM pg_stat_activity WHERE datname='aiops'\"",
        PSQL_THERE + " -c \"SELECT pid, now() - query_start AS duration, query FROM pg_stat_activity WHERE state = 'active' ORDER BY duration DESC\"",
    ],
    "A13": [REDIS_THERE + " ping", KUBECTL + " logs statefulset/redis"],
    "A14": [INSIDE % "deployment/worker" + "celery -A app.tasks inspect active", REDIS_THERE + " -n 1 llen celery", KUBECTL + " logs deployment/worker"],
    "A16": ["curl %s/metrics | grep http_request_duration" % URL_THERE],
    "A17": [KUBECTL + " top pods"],
    "A19": [KUBECTL + " describe pod " + POD, KUBECTL + " logs " + POD + " --previous"],
    "A20": [KUBECTL + " describe pod " + POD],
    "A21": [KUBECTL + " get hpa", KUBECTL + " describe hpa api", "kubectl -n kube-system get deployment metrics-server"],
    "A26": [KUBECTL + " rollout status deployment/api"],
}
LARGE, PODS = "bench-large", 2000


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


def by_hand(commands: Iterable[str] = tuple(COMMANDS)) -> str:
    return "; ".join("timeout %d sh -c %s" % (PATIENCE, shlex.quote(command)) for command in commands)


def play(inventory: Path, playbook: Path, folder: Path, forks: int = 5) -> str:
    return "%s -f %d -i %s %s -e report_dir=%s -e fail_on=never" % (PLAY, forks, inventory, playbook, folder)


def inventory(folder: Path, hosts: int) -> Path:
    path = folder / ("hosts-%d.ini" % hosts)
    settings = "ansible_connection=local ansible_python_interpreter=%s compose_project=aiops-ref" % sys.executable
    path.write_text("".join("stack%d %s\n" % (number, settings) for number in range(hosts)))
    return path


def namespaces(folder: Path, **hosts: str) -> Path:
    """An inventory of stacks on the cluster: each host's namespace."""
    path = folder / "namespaces.json"
    where = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "stack_platform": "kubernetes", "kubeconfig": cluster("kubeconfig")}
    path.write_text(json.dumps({"all": {"hosts": {name: {"stack_namespace": namespace} for name, namespace in hosts.items()}, "vars": where}}))
    return path


def cluster(*words: str) -> str:
    """What a command of the test cluster prints."""
    command = [sys.executable, str(ROOT / "tests" / "cluster" / "cluster.py"), *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def row(what: str, seconds: float, beside: str = "", other: float | None = None, goal: str = "") -> None:
    compared = "%7.2f s  %s  = %.1f times" % (other, beside, other / seconds) if other else ""
    print("%-46s %7.2f s   %s   %s" % (what, seconds, compared, goal), flush=True)


def said(folder: Path) -> str:
    """The verdicts of the last run: a fast answer that is wrong is no answer."""
    verdicts = collections.Counter(json.loads(path.read_text())["verdict"] for path in folder.glob("*/latest/status.json"))
    return ", ".join("%d %s" % (count, verdict) for verdict, count in verdicts.most_common())


def healthy(folder: Path) -> None:
    bare = folder / "bare.yml"
    bare.write_text("- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: {msg: hello}\n")
    one = inventory(folder, 1)
    nothing = timed(play(one, bare, folder))
    ours = timed(play(one, ROOT / "playbooks" / "diagnose.yml", folder))
    row("bare Ansible, one task", nothing)
    row("diagnose, healthy", ours, goal="%s   goal: <= 3 s and bare + 1.5 s (it is bare + %.2f s)" % (said(folder), ours - nothing))
    row("diagnose, healthy", ours, "the runbooks' %d commands for %d rows" % (len(COMMANDS), len(RUNBOOK)), timed(by_hand(), 2), "goal: >= 5 times")


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
    what = "diagnose, 50 stacks in one run"
    print("%-46s %7.2f s   one: %.2f s   = %.1f times   %s   goal: <= 8 times" % (what, fifty, one, fifty / one, said(folder)), flush=True)


def kubernetes(folder: Path) -> None:
    commands = [command for commands in RUNBOOK_THERE.values() for command in commands]
    ours = timed(play(namespaces(folder, reference="aiops-ref"), ROOT / "playbooks" / "diagnose.yml", folder))
    beside = "the runbook's %d commands for %d rows" % (len(commands), len(RUNBOOK_THERE))
    row("diagnose, healthy, on Kubernetes", ours, beside, timed(by_hand(commands), 2), "%s   goal: >= 5 times" % said(folder))


def large(folder: Path) -> None:
    cluster("scale", "up", LARGE, str(PODS))
    try:
        command = play(namespaces(folder, large=LARGE), ROOT / "playbooks" / "diagnose.yml", folder)
        started = time.monotonic()
        taken, memory = zip(*(measured(command) for _run in range(3)), strict=True)
        goal = "%.0f MiB in its largest process   %s   goal: <= 10 s, <= 300 MiB" % (max(memory), said(folder))
        row("diagnose, %d pods (%d runs in %.0f s)" % (PODS, len(taken), time.monotonic() - started), statistics.median(taken), goal=goal)
        row("kubectl get pods -o json, for comparison", timed("kubectl -n %s get pods -o json" % LARGE, 3))
    finally:
        cluster("scale", "down", LARGE)


def measured(command: str) -> tuple[float, float]:
    """(seconds, MiB of the largest process) of a shell command."""
    with tempfile.NamedTemporaryFile() as told:
        script = "import resource, subprocess, sys; subprocess.run(sys.argv[2], shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)"
        script += "; open(sys.argv[1], 'w').write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))"
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", script, told.name, command], check=True, stdin=subprocess.DEVNULL, cwd=tempfile.gettempdir())
        return time.monotonic() - started, int(Path(told.name).read_text()) / 1024


ON_COMPOSE: dict[str, Callable[[Path], None]] = {"healthy": healthy, "hung": hung, "fleet": fleet}
ON_CLUSTER: dict[str, Callable[[Path], None]] = {"kubernetes": kubernetes, "large": large}
PARTS = {**ON_COMPOSE, **ON_CLUSTER}


def main() -> int:
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        print("bench.py: no part %s; the parts are %s" % (", ".join(unknown), ", ".join(PARTS)), file=sys.stderr)
        return 2
    if set(wanted) & set(ON_COMPOSE):
        # Made anew: files that were edited since their containers were made are asked for, too, and are another case.
        for verb in ("down", "up"):
            subprocess.run([sys.executable, str(ROOT / "tests" / "stack" / "ctl.py"), verb, "reference"], check=True)
    if set(wanted) & set(ON_CLUSTER):
        cluster("up")
        cluster("stack", "up", "reference")
        sys.path.insert(0, str(ROOT / "tests" / "cluster"))
        import binaries

        os.environ.update({"KUBECONFIG": cluster("kubeconfig"), "PATH": "%s:%s" % (binaries.folder("kubernetes"), os.environ["PATH"])})
    print("load average before: %.1f on %d processors" % (os.getloadavg()[0], os.cpu_count() or 1), flush=True)
    os.environ["ANSIBLE_NOCOLOR"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        for name in wanted:
            part = Path(folder) / name
            part.mkdir()
            PARTS[name](part)
    return 0


if __name__ == "__main__":
    sys.exit(main())
