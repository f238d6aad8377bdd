# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The demo: a reference stack up and diagnosed, broken and diagnosed again, fixed, the fix taken back, and all taken away.

demo.py up STACK | break STACK FAULT | fix STACK | undo STACK | down STACK        [--platform compose|kubernetes]
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
CTL = ROOT / "tests" / "stack" / "ctl.py"
CLUSTER = ROOT / "tests" / "cluster" / "cluster.py"
GAMEDAY = ROOT / "tests" / "tools" / "gameday.py"
REPORTS = ROOT / "reports"
LEFT = ROOT / "tests" / "output" / "gameday"  # what gameday.py keeps of a stack while it is broken
STATE = ROOT / "tests" / "output" / "state"  # the records of acting (state_dir of the inventory)
TELL_SECONDS = 10.0  # between two lines while something long is under way
REVERSIBLE = "pg-wrong-password"  # a fault whose cure can be taken back


@dataclass(frozen=True)
class Stack:
    """A reference stack on one platform."""

    name: str
    platform: ClassVar[str]
    inventory: ClassVar[Path]

    @property
    def host(self) -> str:
        """What the inventory calls it, and the folder of its reports."""
        return self.name if self.platform == "compose" else "%s_%s" % (self.name, self.platform)

    @property
    def words(self) -> str:
        """What make must be told to mean this stack."""
        return ("" if self.name == "reference" else " STACK=" + self.name) + ("" if self.platform == "compose" else " PLATFORM=" + self.platform)

    @property
    def journal(self) -> Path:
        """Of the fault that was left in it."""
        return LEFT / (self.name if self.platform == "compose" else "%s-%s" % (self.name, self.platform)) / "journal.json"

    def start(self) -> bool:
        raise NotImplementedError

    def stop(self) -> int:
        raise NotImplementedError

    def there(self) -> bool:
        raise NotImplementedError

    def acted_on(self) -> bool:
        """Whether there are records of acting on it."""
        raise NotImplementedError

    def forget(self) -> None:
        """Take those records away."""
        raise NotImplementedError

    def _said(self, pattern: str) -> str:
        """A word of stack.yml; "" where it is not said."""
        match = re.search(pattern, (CTL.parent / self.name / "stack.yml").read_text(encoding="utf-8"), re.MULTILINE)
        return match[1] if match else ""


class Compose(Stack):
    platform = "compose"
    inventory = CTL.parent / "inventory.yml"

    def start(self) -> bool:
        return run([sys.executable, CTL, "up", self.name]) == 0

    def stop(self) -> int:
        return run([sys.executable, CTL, "down", self.name])

    def there(self) -> bool:
        return bool(output(["docker", "ps", "-aq", "--filter", "label=com.docker.compose.project=%s" % self.project]))

    def acted_on(self) -> bool:
        return (STATE / self.project).is_dir()

    def forget(self) -> None:
        shutil.rmtree(STATE / self.project, ignore_errors=True)

    @property
    def project(self) -> str:
        return self._said(r"^project:\s*(\S+)") or self.name


class Kubernetes(Stack):
    """On the cluster of KUBECONFIG, else on one that is made where there is none."""

    platform = "kubernetes"
    inventory = CLUSTER.parent / "inventory.yml"

    def start(self) -> bool:
        return run([sys.executable, CLUSTER, "up"]) == 0 and run([sys.executable, CLUSTER, "stack", "up", self.name]) == 0

    def stop(self) -> int:
        status = run([sys.executable, CLUSTER, "stack", "down", self.name]) if self.there() else 0
        say("a cluster that was made here stays for others; make cluster-down takes it away")
        return status

    def there(self) -> bool:
        return bool(self._kubectl("get", "namespace", *self.namespaces, "--ignore-not-found", "-o", "name"))

    def acted_on(self) -> bool:
        return bool(self._kubectl("get", *self._records, "-o", "name"))

    def forget(self) -> None:
        self._kubectl("delete", *self._records)
        leases = self._kubectl("get", "-n", self.namespaces[0], "leases", "-o", "name").split()
        ours = [one for one in leases if one.rpartition("/")[2].startswith("aiops-runbook")]
        if ours:
            self._kubectl("delete", "-n", self.namespaces[0], *ours)

    @property
    def _records(self) -> list[str]:
        """Each run has a Secret of its own."""
        return ["-n", self.namespaces[0], "secrets", "--field-selector=type=aiops.runbook/journal"]

    def _kubectl(self, verb: str, *words: str) -> str:
        return output([sys.executable, CLUSTER, "kubectl", verb, "--request-timeout=10s", *words])

    @property
    def namespaces(self) -> list[str]:
        return re.findall(r"[\w-]+", self._said(r"^kubernetes:.*namespaces: \[([^\]]*)\]"))


PLATFORMS = {one.platform: one for one in (Compose, Kubernetes)}


def main(arguments: list[str]) -> int:
    shapes = {"up": 1, "break": 2, "fix": 1, "undo": 1, "down": 1}
    platform = "compose"
    if "--platform" in arguments[:-1]:
        at = arguments.index("--platform")
        platform, arguments = arguments[at + 1], arguments[:at] + arguments[at + 2 :]
    if not arguments or len(arguments) - 1 != shapes.get(arguments[0], -1):
        print(__doc__, file=sys.stderr)
        return 2
    verb, name = arguments[0], arguments[1]
    if platform not in PLATFORMS:
        return fail("there is no platform %r; the platforms are %s" % (platform, " and ".join(PLATFORMS)))
    if not (ROOT / "tests" / "stack" / name / "stack.yml").is_file():
        return fail("there is no stack %r; the stacks are %s" % (name, " and ".join(sorted(p.parent.name for p in CTL.parent.glob("*/stack.yml")))))
    stack = PLATFORMS[platform](name)
    if verb == "break":
        return break_it(stack, arguments[2])
    return {"up": up, "fix": fix, "undo": undo, "down": down}[verb](stack)


def up(stack: Stack) -> int:
    heal(stack)
    if not stack.start():
        return fail("the stack %s did not start: see above" % stack.name)
    status = diagnose(stack)
    if status == 0:
        say("now break it: make demo-break%s" % stack.words)
    return status


def break_it(stack: Stack, fault: str) -> int:
    known = sorted(path.stem for path in (ROOT / "tests" / "faults").glob("*.yml") if stack.platform in on(path))
    if fault not in known:
        return fail("there is no fault %r for %s; the faults are: %s" % (fault, stack.platform, ", ".join(known)))
    heal(stack)
    if not stack.start():
        return fail("the stack %s did not start: see above" % stack.name)
    with telling("injecting %s into %s" % (fault, stack.name)):
        broken = run([sys.executable, GAMEDAY, "--inject", fault, *gameday(stack)], stdout=subprocess.DEVNULL)
    if broken:
        return fail("the fault %s could not be injected: see above" % fault)
    # A diagnosis that finds the fault is what is wanted here.
    if diagnose(stack, "-e", "fail_on=never"):
        return fail("the diagnosis came to no end: see above; the way back: make demo%s" % stack.words)
    say("now fix it: make demo-fix%s" % stack.words)
    say("or the way back: make demo%s (heals and diagnoses again), make demo-down%s (takes everything away)" % (stack.words, stack.words))
    return 0


def fix(stack: Stack) -> int:
    if not stack.there():
        return fail("the stack %s is not there: make demo%s starts it, then make demo-break breaks it" % (stack.name, stack.words))
    status = diagnose(stack, "-e", "fail_on=never")
    if status:
        return status
    report = last_report(stack)
    plan = report.get("plan") or {}
    if not report.get("root_causes"):
        say("nothing is to be fixed: no cause of an illness was found; break it first: make demo-break%s" % stack.words)
        return 0
    if not plan.get("steps"):
        say("nothing is changed: no remedy may cure this by itself; what a person must do stands above")
        return 0
    say("the plan stands above; this command approves it, and is run now (it watches the stack for a while after the cure):")
    print("\n  %s\n" % plan["approve"], flush=True)
    run([str(word) for word in shlex.split(plan["approve"])])
    report = last_report(stack)
    if (report.get("record") or {}).get("result") not in ("held", "unchanged"):
        return fail("the cure did not hold: what was taken back, and what is to be done, stands above")
    rest = "; what a person must do still stands above" if report.get("root_causes") else ""
    if any(step.get("can_undo") for step in plan["steps"]):
        say("fixed%s; take it back: make demo-undo%s" % (rest, stack.words))
    else:
        say("fixed%s; what it ended cannot be put back, so there is nothing for make demo-undo" % rest)
        say("a fault whose cure can be taken back: %s" % shown_undone(stack))
    return 0


def undo(stack: Stack) -> int:
    if not stack.there():
        return fail("the stack %s is not there: there is nothing to take back" % stack.name)
    done = last_record(stack)
    if not done or done.get("approved") == "undo":
        say("nothing is to be taken back: %s" % ("that was done already" if done else "make demo-fix has changed nothing here"))
        return 0
    plan = plan_of(stack, str(done.get("digest")))
    if plan and not any(step.get("can_undo") for step in plan["steps"]):
        say("this cannot be taken back: %s" % "; ".join(step["undo"] or step["title"] for step in plan["steps"]))
        say("one that can: %s" % shown_undone(stack))
        return 0
    status = play("undo", stack, "-e", "fail_on=never")
    report = last_report(stack)
    if status:
        return fail("not all of it could be taken back: what is to be done by hand stands above")
    if report.get("root_causes"):
        say("taken back: the stack is as it was before, its fault included; fix it again: make demo-fix%s" % stack.words)
    else:
        say("taken back; the stack stays well, because what the cure did leaves nothing behind that could be put back")
    return 0


def shown_undone(stack: Stack) -> str:
    return "make demo-break FAULT=%s%s; make demo-fix%s; make demo-undo%s" % (REVERSIBLE, stack.words, stack.words, stack.words)


def down(stack: Stack) -> int:
    heal(stack)
    status = stack.stop()
    remove_images(stack)
    for folder in (REPORTS / stack.host, stack.journal.parent):
        shutil.rmtree(folder, ignore_errors=True)
    if {path.name for path in STATE.glob("*")} <= {"key"}:  # what the records were kept by, and no other stack's
        shutil.rmtree(STATE, ignore_errors=True)
    with contextlib.suppress(OSError):
        REPORTS.rmdir()
    if status == 0:
        say("%s and its reports are gone" % stack.name)
    return status


def diagnose(stack: Stack, *options: str) -> int:
    return play("diagnose", stack, *options)


def play(name: str, stack: Stack, *options: str) -> int:
    return run([BIN / "ansible-playbook", "-i", stack.inventory, "--limit", stack.host, *options, ROOT / "playbooks" / ("%s.yml" % name)])


def reports(stack: Stack) -> list[Path]:
    """The folders of the reports that are kept, the newest first."""
    return sorted((path.parent for path in (REPORTS / stack.host).glob("2*/report.json")), reverse=True)


def last_report(stack: Stack) -> dict[str, Any]:
    return next((read(folder / "report.json") for folder in reports(stack)), {})


def last_record(stack: Stack) -> dict[str, Any]:
    """What was done last by a plan or by undo; {} when nothing was since the stack was healed."""
    if not stack.acted_on():
        return {}
    records = (read(folder / "report.json").get("record") or {} for folder in reports(stack))
    return next((record for record in records if record.get("run")), {})


def plan_of(stack: Stack, digest: str) -> dict[str, Any]:
    plans = (read(folder / "plan.json") for folder in reports(stack) if (folder / "plan.json").exists())
    return next((plan for plan in plans if plan.get("digest") == digest), {})


def read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def heal(stack: Stack) -> None:
    """Take back what an earlier demo-break left; its journal tells whether there is anything. What was done to the broken stack is past then."""
    stack.forget()
    if stack.journal.exists():
        with telling("taking back the fault that is in %s" % stack.name):
            failed = run([sys.executable, GAMEDAY, "--heal-all", *gameday(stack)], stdout=subprocess.DEVNULL)
        if failed:
            say("not all of it could be taken back; make demo-down%s takes everything away" % stack.words)


def gameday(stack: Stack) -> list[str]:
    return ["--stack", stack.name, "--platform", stack.platform]


def on(fault: Path) -> list[str]:
    """The platforms that a fault file is for."""
    match = re.search(r"^platforms: \[([^\]]*)\]", fault.read_text(encoding="utf-8"), re.MULTILINE)
    return [word.strip() for word in match[1].split(",")] if match else list(PLATFORMS)


def remove_images(stack: Stack) -> None:
    """From the engine; what another stack still uses stays."""
    for name in {tag.rsplit(":", 1)[0] for tag in output([sys.executable, CTL, "images", stack.name]).split()}:
        every = output(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", name]).split()
        if every:
            output(["docker", "image", "rm", *every])


def run(command: list[str | os.PathLike[str]], stdout: int | None = None) -> int:
    environment = {**os.environ, "PATH": "%s%s%s" % (BIN, os.pathsep, os.environ.get("PATH", ""))}
    return subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, check=False).returncode


def output(words: list[str | os.PathLike[str]]) -> str:
    """What a command prints; "" where it is not installed."""
    try:
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""


@contextlib.contextmanager
def telling(title: str) -> Iterator[None]:
    """Say what is done, and from time to time for how long already."""
    started, done = time.monotonic(), threading.Event()

    def tell() -> None:
        while not done.wait(TELL_SECONDS):
            say("  … %.0f s" % (time.monotonic() - started))

    say(title)
    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def say(text: str) -> None:
    print("demo: " + text, flush=True)


def fail(text: str) -> int:
    print("demo: cannot go on: " + text, file=sys.stderr)
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
