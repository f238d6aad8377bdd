# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The demo: a reference stack up and diagnosed, broken and diagnosed again, and taken away.

demo.py up STACK | break STACK FAULT | down STACK
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
CTL = ROOT / "tests" / "stack" / "ctl.py"
GAMEDAY = ROOT / "tests" / "tools" / "gameday.py"
REPORTS = ROOT / "reports"
LEFT = ROOT / "tests" / "output" / "gameday"  # what gameday.py keeps of a stack while it is broken


def main(arguments: list[str]) -> int:
    shapes = {"up": 1, "break": 2, "down": 1}
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
    return down(stack)


def up(stack: str) -> int:
    heal(stack)
    if run([sys.executable, CTL, "up", stack]):
        return fail("the stack %s did not start: see above" % stack)
    status = diagnose(stack)
    if status == 0:
        say("now break it: make demo-break%s" % ("" if stack == "reference" else " STACK=" + stack))
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
    say("the way back: make demo (heals and diagnoses again), or make demo-down (takes everything away)")
    return status


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
    return run([BIN / "ansible-playbook", "-i", ROOT / "tests" / "stack" / "inventory.yml", "--limit", stack, *options, ROOT / "playbooks" / "diagnose.yml"])


def heal(stack: str) -> None:
    """Take back what an earlier demo-break left; its journal tells whether there is anything."""
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
