# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What `make test` and `make lint` run: parts one after another, each with its time and its count.

run_tests.py [PART…]      parts: setup unit lint artifact integration molecule gameday; without any: all of them

A part that fails does not stop the others, and a part that runs nothing has failed. The last line is "N passed, N failed".
Needs the environment that tests/tools/setup.sh makes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("AIOPS_RUNBOOK_CACHE") or Path.home() / ".cache" / "aiops-runbook")
BIN = Path(sys.executable).parent
STACKS = ("reference", "second")
OBSERVATIONS = ROOT / "tests" / "unit" / "data" / "observations-healthy.json"
SAMPLE = 4  # whole faults in one run; which ones goes round with the day
SHORT_HOLD = "5"  # seconds for which their cures are watched

Words = Sequence["str | os.PathLike[str]"]


@dataclass
class Result:
    """What a part counted. notes: what failed, in a line each."""

    passed: int = 0
    failed: int = 0
    notes: list[str] = field(default_factory=list)

    def count(self, what: str, good: bool, note: str = "") -> None:
        if good:
            self.passed += 1
        else:
            self.failed += 1
            self.notes.append("%s%s" % (what, ": " + note if note else ""))

    def add(self, other: Result) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.notes += other.notes


# Running things -------------------------------------------------------------------------------------------------------


def environment(**more: str) -> dict[str, str]:
    """Ours first on the path; then the system's own, without any version manager's shims, which only say that they are a Python."""
    path = [str(BIN)] + [word for word in os.environ.get("PATH", os.defpath).split(os.pathsep) if not word.endswith("/shims")]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {**kept, "PATH": os.pathsep.join(path), "LC_ALL": "C.UTF-8", "PY_COLORS": "0", "NO_COLOR": "1", **more}


def run(command: Words, cwd: Path = ROOT, minutes: float = 10, log: Path | None = None, **more: str) -> int:
    """Run to the end, or at the latest until the time is up; its output is shown, or written to a log. The exit code (124: time is up)."""
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(log.open("ab")) if log else None
        sys.stdout.flush()
        words = [str(word) for word in command]
        process = subprocess.Popen(
            words, cwd=cwd, env=environment(**more), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            return process.wait(minutes * 60)
        except subprocess.TimeoutExpired:
            print("  time is up after %g minutes: %s" % (minutes, " ".join(str(word) for word in command[:4])), flush=True)
            return 124
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                    time.sleep(2)
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def silent(result: Result, what: str, command: Words, cwd: Path = ROOT, minutes: float = 10, only: str = "", **more: str) -> bool:
    """One check: nothing but a line when it passes; when it fails its output's end, or the lines that begin with one of the words in only."""
    started = time.monotonic()
    with tempfile.NamedTemporaryFile(prefix="aiops-check-") as log:
        status = run(command, cwd, minutes, Path(log.name), **more)
        text = Path(log.name).read_text(errors="replace").rstrip()
    print("  %-32s %s  %.0f s" % (what, "ok" if status == 0 else "FAILED", time.monotonic() - started), flush=True)
    if status:
        lines = [line for line in text.splitlines() if not only or line.startswith(tuple(only.split()))] or text.splitlines()
        print("\n".join("  | " + line for line in lines[-80:]), flush=True)
    result.count(what, status == 0)
    return status == 0


def pytest(folder: str, *options: str, minutes: float = 10) -> Result:
    """A pytest run, counted from its own record."""
    result = Result()
    if not any((ROOT / folder).rglob("test_*.py")):
        return result
    with tempfile.TemporaryDirectory(prefix="aiops-pytest-") as temp:
        record = Path(temp) / "junit.xml"
        status = run([sys.executable, "-m", "pytest", "-q", folder, "--junitxml", record, *options], minutes=minutes)
        if record.exists():
            suites = ElementTree.parse(record).getroot().iter("testsuite")
            for suite in suites:
                figures = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
                bad = figures["failures"] + figures["errors"]
                result.failed += bad
                result.passed += figures["tests"] - bad - figures["skipped"]
        if status not in (0, 5) and not result.failed:
            result.count("pytest %s" % folder, False, "ended with %d" % status)
    return result


# The parts ------------------------------------------------------------------------------------------------------------


def part_setup() -> Result:
    result = Result()
    for part in ("engine", "base", "test-tools"):
        result.count("setup " + part, run([ROOT / "tests/tools/setup.sh", part], minutes=20) == 0)
    return result


def part_unit() -> Result:
    return pytest("tests/unit", minutes=5)


def part_lint() -> Result:
    result = Result()
    result.count("lint tools", run([ROOT / "tests/tools/setup.sh", "lint-tools"]) == 0)
    tree = copy_of_checkout()
    collection = tree / "ansible_collections" / "aiops" / "runbook"
    cache = CACHE / "lint"
    silent(result, "ruff", [BIN / "ruff", "check", "--output-format", "concise", "--cache-dir", cache / "ruff", "."], collection)
    silent(result, "ruff format", [BIN / "ruff", "format", "--check", "--output-format", "concise", "--cache-dir", cache / "ruff", "."], collection)
    # mypy's cache keeps what another configuration said of an import.
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()[:8]
    # module_utils and modules run on managed hosts (3.9), plugin_utils on the controller (3.11).
    for version, packages in (("3.9", ("module_utils",)), ("3.11", ("module_utils", "plugin_utils"))):
        words = [word for package in packages for word in ("-p", "ansible_collections.aiops.runbook.plugins." + package)]
        silent(
            result,
            "mypy, Python %s" % version,
            [BIN / "mypy", "--config-file", collection / "pyproject.toml", "--python-version", version, "--cache-dir", cache / "mypy" / digest, *words],
            tree,
            MYPYPATH=str(tree),
        )
    silent(result, "ansible-lint, production", [BIN / "ansible-lint", "--offline", "--strict", "-q"], collection, ANSIBLE_HOME=str(cache / "ansible"))
    silent(result, "antsibull-changelog", [BIN / "antsibull-changelog", "lint"], collection)
    silent(result, "antsibull-docs", [BIN / "antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=self", "."], collection)
    ignores = sorted(path.name for path in (ROOT / "tests" / "sanity").glob("ignore-*.txt"))
    result.count("no ignore file for sanity", not ignores, ", ".join(ignores))
    sanity = [BIN / "ansible-test", "sanity", "--color", "no", "--python", "%d.%d" % sys.version_info[:2]]
    silent(result, "ansible-test sanity", sanity, collection, minutes=15, only="ERROR: FATAL:")
    return result


def copy_of_checkout() -> Path:
    """The checkout's files (tracked, and new ones that are not ignored) where the tools want a collection to lie."""
    tree = CACHE / "lint" / hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
    target = tree / "ansible_collections" / "aiops" / "runbook"
    listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    names = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    for path in sorted(target.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):
                path.rmdir()
        elif str(path.relative_to(target)) not in names:
            path.unlink()
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name, follow_symlinks=False)
    return tree


def part_artifact() -> Result:
    """The collection as a user gets it: built, installed into an empty folder, used from there."""
    result = Result()
    with tempfile.TemporaryDirectory(prefix="aiops-artifact-") as name:
        temp = Path(name)
        collections, work = temp / "collections", temp / "work"
        work.mkdir()
        quiet = {"ANSIBLE_HOME": str(temp / "home"), "ANSIBLE_COLLECTIONS_PATH": str(collections)}
        tree = copy_of_checkout() / "ansible_collections" / "aiops" / "runbook"
        silent(result, "build", [BIN / "ansible-galaxy", "collection", "build", tree, "--output-path", temp], work, **quiet)
        built = sorted(temp.glob("aiops-runbook-*.tar.gz"))
        if not built:
            return result
        # --force: the checkout that is linked into this environment counts as installed.
        silent(result, "install", [BIN / "ansible-galaxy", "collection", "install", "--offline", "--force", "-p", collections, built[0]], work, **quiet)
        installed = collections / "ansible_collections" / "aiops" / "runbook"
        stray = [
            str(path.relative_to(installed))
            for path in installed.rglob("*")
            if path.name in ("__pycache__", ".git", ".ansible", ".cache", "tests", "reports", "molecule", ".ci") or path.suffix in (".pyc", ".gz")
        ]
        result.count("nothing in it that does not belong there", not stray, ", ".join(stray[:5]))
        missing = [word for word in ("COPYING", "README.md", "CHANGELOG.md", "meta/runtime.yml", "plugins/modules") if not (installed / word).exists()]
        result.count("everything in it that belongs there", not missing, ", ".join(missing))
        result.add(_use_artifact(installed, work, quiet))
    return result


def _use_artifact(installed: Path, work: Path, quiet: dict[str, str]) -> Result:
    """The diagnose job by its full name, with no engine in reach: from saved observations where there are some, else it must say that it saw nothing."""
    result = Result()
    inventory = work / "inventory.yml"
    host = {"stack_platform": "compose", "ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    inventory.write_text(json.dumps({"all": {"hosts": {"saved": host}}}))
    words: list[str | os.PathLike[str]] = [BIN / "ansible-playbook", "-vv", "-i", inventory, "aiops.runbook.diagnose"]
    words += ["-e", "report_dir=%s" % (work / "reports"), "-e", "fail_on=never"]
    if OBSERVATIONS.exists():
        words += ["-e", "observations=%s" % OBSERVATIONS]
    output = work / "output"
    status = run(words, work, 5, output, DOCKER_HOST="unix://%s/no-engine.sock" % work, **quiet)
    text = output.read_text(errors="replace")
    result.count("run its playbook", status == 0, "\n".join(text.splitlines()[-15:]))
    # This environment links the checkout in; it must not stand in for what was installed.
    result.count("it was the installed one", str(installed / "playbooks" / "diagnose.yml") in text)
    result.count("its report is written", bool(list((work / "reports").rglob("report.json"))))
    return result


def part_build() -> Result:
    result = Result()
    for stack in STACKS:
        result.count("images of %s" % stack, run([sys.executable, ROOT / "tests/stack/ctl.py", "build", stack], minutes=20) == 0)
    return result


def part_integration() -> Result:
    return pytest("tests/integration", "--durations=12", "--durations-min=20", minutes=45)


def part_molecule() -> Result:
    result = Result()
    for scenario in sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")):
        status = run([BIN / "molecule", "test", "--scenario-name", scenario], minutes=10, ANSIBLE_HOME=str(CACHE / "molecule"))
        result.count("molecule " + scenario, status == 0)
    return result


def part_gameday() -> Result:
    """All controls, and some whole faults: which ones goes round with the day."""
    result = Result()
    folder = ROOT / "tests" / "faults"
    if not any(folder.glob("*.yml")):
        return result
    import gameday
    from faultfile import read_folder

    faults = read_folder(folder)
    controls = sorted(name for name, fault in faults.items() if not fault.expect)
    whole = sorted(name for name, fault in faults.items() if fault.expect)
    day = datetime.now(UTC).timetuple().tm_yday
    sample = [whole[(day * SAMPLE + number) % len(whole)] for number in range(min(SAMPLE, len(whole)))]
    with tempfile.TemporaryDirectory(prefix="aiops-gameday-") as temp:
        record = Path(temp) / "gameday.json"
        stack = STACKS[day % len(STACKS)]
        chosen = ["--faults", ",".join(controls + sample), "--stack", stack, "--hold", SHORT_HOLD, "--output", record]
        status = run([sys.executable, ROOT / "tests/tools/gameday.py", *chosen], minutes=20)
        cases = json.loads(record.read_text()) if record.exists() else []
    for case in cases:
        result.count("%s on %s" % (case["fault"], case["stack"]), gameday.passed(case), gameday.row(case))
    if status and not result.failed:
        result.count("gameday", False, "ended with %d" % status)
    return result


# The frame ------------------------------------------------------------------------------------------------------------

PARTS: dict[str, tuple[str, Callable[[], Result]]] = {
    "setup": ("engine and base image", part_setup),
    "unit": ("unit tests", part_unit),
    "lint": ("lint, types, documentation, sanity", part_lint),
    "artifact": ("the artifact, installed elsewhere", part_artifact),
    "build": ("images of the reference stacks", part_build),
    "integration": ("integration tests on real stacks", part_integration),
    "molecule": ("molecule", part_molecule),
    "gameday": ("controls and a sample of faults", part_gameday),
}
NEEDS_STACKS = ("integration", "molecule", "gameday")


class Background(threading.Thread):
    """The set-up and the images, made while the checks that need no engine run. What it prints comes with its part."""

    def __init__(self, parts: Iterable[str]) -> None:
        super().__init__(daemon=True)
        self.log = Path(tempfile.mkstemp(prefix="aiops-background-")[1])
        self.parts = list(parts)
        self.results: dict[str, int] = {}

    def run(self) -> None:
        for part in self.parts:
            self.results[part] = run([sys.executable, __file__, "--within", part], minutes=60, log=self.log)


def run_part(name: str) -> Result:
    title, function = PARTS[name]
    started = time.monotonic()
    print("\n== %s: %s" % (name, title), flush=True)
    try:
        result = function()
    except Exception as error:  # the other parts go on
        result = Result()
        result.count(name, False, "%s: %s" % (type(error).__name__, error))
    if not result.passed and not result.failed:
        result.count(name, False, "it ran nothing")
    for note in result.notes:
        print("  not ok: " + note)
    print("-- %s: %d ok, %d not ok, %.0f s" % (name, result.passed, result.failed, time.monotonic() - started), flush=True)
    return result


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--within"]:
        result = run_part(arguments[1])
        return 1 if result.failed else 0
    unknown = [name for name in arguments if name not in PARTS]
    if unknown:
        print("there is no part %s; the parts are %s" % (", ".join(unknown), " ".join(PARTS)), file=sys.stderr)
        return 2
    chosen = [name for name in PARTS if name in arguments] if arguments else list(PARTS)
    if set(chosen) & set(NEEDS_STACKS):
        chosen = [name for name in PARTS if name in chosen or name in ("setup", "build")]
    started = time.monotonic()
    total = Result()
    behind = [name for name in ("setup", "build") if name in chosen]
    background = Background(behind) if len(chosen) > len(behind) else None
    if background:
        background.start()
    for name in chosen:
        if background and name in behind:
            continue
        if background and name in NEEDS_STACKS and background.is_alive():
            print("\n== waiting for the images", flush=True)
            background.join()
        total.add(run_part(name))
    if background:
        background.join()
        print(background.log.read_text(errors="replace"), end="")
        for name in behind:
            total.count(name, background.results.get(name) == 0)
        background.log.unlink()
    print("\nall of it: %.0f s" % (time.monotonic() - started))
    for note in total.notes:
        print("not ok: " + note)
    print("%d passed, %d failed" % (total.passed, total.failed), flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
