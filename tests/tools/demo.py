# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The demo: a reference stack up and diagnosed, broken and diagnosed again, fixed, the fix taken back, and all taken away.

demo.py up STACK | break STACK FAULT | fix STACK | undo STACK | down STACK
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
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
CTL = ROOT / "tests" / "stack" / "ctl.py"
GAMEDAY = ROOT / "tests" / "tools" / "gameday.py"
REPORTS = ROOT / "reports"
LEFT = ROOT / "tests" / "output" / "gameday"  # what gameday.py keeps of a stack while it is broken
STATE = ROOT / "tests" / "output" / "state"  # the records of acting (state_dir of the inventory)


def main(arguments: list[str]) -> int:
    shapes = {"up": 1, "break": 2, "fix": 1, "undo": 1, "down": 1}
    if not arguments or len(arguments) - 1 != shapes.get(arguments[0], -1):
        print(__doc__, file=sys.stderr)
        return 2
    verb, stack = arguments[0], arguments[1]
    if not (ROOT / "tests" / "stack" / stack / "stack.yml").is_file():
        return fail("there is no stack %r; the stacks are %s" % (stack, " and ".join(sorted(p.parent.name for p in CTL.parent.glob("*/stack.yml")))))
    if verb == "up":
        return up(stack)
    if verb == "break":
        return break_it(stack, arguments[2])
    return {"fix": fix, "undo": undo, "down": down}[verb](stack)


def up(stack: str) -> int:
    heal(stack)
    if run([sys.executable, CTL, "up", stack]):
        return fail("the stack %s did not start: see above" % stack)
    status = diagnose(stack)
    if status == 0:
        say("now break it: make demo-break%s" % named(stack))
    return status


def break_it(stack: str, fault: str) -> int:
    known = sorted(path.stem for path in (ROOT / "tests" / "faults").glob("*.yml"))
    if fault not in known:
        return fail("there is no fault %r; the faults are: %s" % (fault, ", ".join(known)))
    heal(stack)
    if run([sys.executable, CTL, "up", stack]):
        return fail("the stack %s did not start: see above" % stack)
    say("injecting %s into %s" % (fault, stack))
    if run([sys.executable, GAMEDAY, "--inject", fault, "--stack", stack]):
        return fail("the fault %s could not be injected: see above" % fault)
    # A diagnosis that finds the fault is what is wanted here.
    status = diagnose(stack, "-e", "fail_on=never")
    say("now fix it: make demo-fix%s" % named(stack))
    say("or the way back: make demo (heals and diagnoses again), make demo-down (takes everything away)")
    return status


def fix(stack: str) -> int:
    if not there(stack):
        return fail("the stack %s is not there: make demo%s starts it, then make demo-break breaks it" % (stack, named(stack)))
    status = diagnose(stack, "-e", "fail_on=never")
    if status:
        return status
    report = last_report(stack)
    plan = report.get("plan") or {}
    if not report.get("root_causes"):
        say("nothing is to be fixed: no cause of an illness was found; break it first: make demo-break%s" % named(stack))
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
        say("fixed%s; take it back: make demo-undo%s" % (rest, named(stack)))
    else:
        say("fixed%s; what it ended cannot be put back, so there is nothing for make demo-undo" % rest)
    return 0


def undo(stack: str) -> int:
    if not there(stack):
        return fail("the stack %s is not there: there is nothing to take back" % stack)
    done = last_record(stack)
    if not done or done.get("approved") == "undo":
        say("nothing is to be taken back: %s" % ("that was done already" if done else "make demo-fix has changed nothing here"))
        return 0
    plan = plan_of(stack, str(done.get("digest")))
    if plan and not any(step.get("can_undo") for step in plan["steps"]):
        say("this cannot be taken back: %s" % "; ".join(step["undo"] or step["title"] for step in plan["steps"]))
        return 0
    status = play("undo", stack, "-e", "fail_on=never")
    report = last_report(stack)
    if status:
        return fail("not all of it could be taken back: what is to be done by hand stands above")
    if report.get("root_causes"):
        say("taken back: the stack is as it was before, its fault included; fix it again: make demo-fix%s" % named(stack))
    else:
        say("taken back; the stack stays well, because what the cure did leaves nothing behind that could be put back")
    return 0


def down(stack: str) -> int:
    heal(stack)
    status = run([sys.executable, CTL, "down", stack])
    remove_images(stack)
    for folder in (REPORTS / stack, LEFT / stack):
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        REPORTS.rmdir()
    if status == 0:
        say("%s and its reports are gone" % stack)
    return status


def diagnose(stack: str, *options: str) -> int:
    return play("diagnose", stack, *options)


def play(name: str, stack: str, *options: str) -> int:
    return run([BIN / "ansible-playbook", "-i", ROOT / "tests" / "stack" / "inventory.yml", "--limit", stack, *options, ROOT / "playbooks" / ("%s.yml" % name)])


def reports(stack: str) -> list[Path]:
    """The folders of the reports that are kept, the newest first."""
    return sorted((path.parent for path in (REPORTS / stack).glob("2*/report.json")), reverse=True)


def last_report(stack: str) -> dict[str, Any]:
    return next((read(folder / "report.json") for folder in reports(stack)), {})


def last_record(stack: str) -> dict[str, Any]:
    """What was done last by a plan or by undo; {} when nothing was since the stack was healed."""
    if not project_state(stack).is_dir():
        return {}
    records = (read(folder / "report.json").get("record") or {} for folder in reports(stack))
    return next((record for record in records if record.get("run")), {})


def plan_of(stack: str, digest: str) -> dict[str, Any]:
    plans = (read(folder / "plan.json") for folder in reports(stack) if (folder / "plan.json").exists())
    return next((plan for plan in plans if plan.get("digest") == digest), {})


def read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def project(stack: str) -> str:
    match = re.search(r"^project:\s*(\S+)", (CTL.parent / stack / "stack.yml").read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else stack


def project_state(stack: str) -> Path:
    return STATE / project(stack)


def there(stack: str) -> bool:
    words = ["docker", "ps", "-aq", "--filter", "label=com.docker.compose.project=%s" % project(stack)]
    try:
        return bool(subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip())
    except FileNotFoundError:
        return False


def named(stack: str) -> str:
    return "" if stack == "reference" else " STACK=" + stack


def heal(stack: str) -> None:
    """Take back what an earlier demo-break left; its journal tells whether there is anything. What was done to the broken stack is past then."""
    shutil.rmtree(project_state(stack), ignore_errors=True)
    if (LEFT / stack / "journal.json").exists():
        say("taking back the fault that is in %s" % stack)
        run([sys.executable, GAMEDAY, "--heal-all", "--stack", stack], stdout=subprocess.DEVNULL)


def remove_images(stack: str) -> None:
    tags = subprocess.run([sys.executable, CTL, "images", stack], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    for name in {tag.rsplit(":", 1)[0] for tag in tags}:
        every = subprocess.run(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", name], capture_output=True, text=True, check=False).stdout.split()
        if every:  # one that another stack still uses stays
            subprocess.run(["docker", "image", "rm", *every], capture_output=True, check=False)


def run(command: list[str | os.PathLike[str]], stdout: int | None = None) -> int:
    environment = {**os.environ, "PATH": "%s%s%s" % (BIN, os.pathsep, os.environ.get("PATH", ""))}
    return subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, check=False).returncode


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
