# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What `make test` and `make lint` run: parts beside each other, as far as they do not disturb each other, each with its time and its count.

run_tests.py [PART…]      without any part: all of them; `integration` is integration-servers and integration-stacks

A part that fails stops only those that need it, and a part that runs nothing has failed. The last line is "N passed, N failed".
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
OBSERVATIONS = ROOT / "tests" / "unit" / "data" / "observations-ill-compose.json"
# Those of tests/integration that take the reference stacks, or the project of one that does.
ON_STACKS = ("test_demo.py", "test_findings.py", "test_remote.py", "test_stack.py", "test_without_root.py")
# What takes long has its day, one in TURNS; `make test ALL=1` runs all of it. Every cure there and back: whole files.
LONG = {
    "integration": "act_celery act_component act_env act_pools act_redis act_resources act_sessions container_try demo remote",
    "kubernetes": "act_objects act_servers act_settings records large findings_in_time findings_there",
}
# Many tests of a kind, independent of each other: of these files each test has its day.
MANY = {
    "integration": "celery_check findings postgres_check remediate stack",
    "kubernetes": "api_server managed rights stacks",
}
TURNS = 3
# The faults that a game day on Kubernetes has diagnosed exactly and cured (on the first stack), and which are sampled there.
CURED_THERE = (
    "app-pool-exhausted bad-command cert-expired config-missing cpu-throttled crash-on-start env-missing hpa-no-metrics hpa-no-requests image-pull-denied"
    " image-secret-missing memory-leak net-partition pair-auth-and-clients pair-image-and-save pair-memory-and-password pair-oom-and-certificate"
    " pair-oom-and-host pair-quota-and-idle pair-stalled-and-unpublished pair-worker-and-idle pair-worker-and-selector pg-malformed-url pg-wrong-host"
    " pg-wrong-password port-not-published probe-too-eager probe-wrong published-port-wrong pvc-pending quota-exceeded readiness-wrong service-selector"
    " stale-credentials unschedulable-requests unschedulable-selector worker-stalled"
)
SAMPLE = 2  # whole faults in one run, on each platform; which ones goes round with the day
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
            root = ElementTree.parse(record).getroot()
            _tell_times(root.iter("testcase"))
            for suite in root.iter("testsuite"):
                figures = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
                bad = figures["failures"] + figures["errors"]
                result.failed += bad
                result.passed += figures["tests"] - bad - figures["skipped"]
        if status not in (0, 5) and not result.failed:
            result.count("pytest %s" % folder, False, "ended with %d" % status)
    return result


def _tell_times(cases: Iterable[ElementTree.Element]) -> None:
    """The files that took longest, with their seconds and how many tests they hold."""
    times: dict[str, list[float]] = {}
    for case in cases:
        times.setdefault(str(case.get("classname")).rpartition("tests.")[2], []).append(float(case.get("time", 0)))
    slow = sorted(((sum(seconds), name, len(seconds)) for name, seconds in times.items()), reverse=True)
    print("  " + ", ".join("%s %.0f s (%d)" % (name, seconds, count) for seconds, name, count in slow[:12] if seconds >= 10), flush=True)


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
    """The diagnose job by its full name, with no engine in reach: from the saved observations of an ill stack, whose cause it must name."""
    result = Result()
    inventory = work / "inventory.yml"
    host = {"stack_platform": "compose", "ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    inventory.write_text(json.dumps({"all": {"hosts": {"saved": host}}}))
    words: list[str | os.PathLike[str]] = [BIN / "ansible-playbook", "-vv", "-i", inventory, "aiops.runbook.diagnose"]
    words += ["-e", "report_dir=%s" % (work / "reports"), "-e", "fail_on=never", "-e", "observations=%s" % OBSERVATIONS]
    output = work / "output"
    status = run(words, work, 5, output, DOCKER_HOST="unix://%s/no-engine.sock" % work, **quiet)
    text = output.read_text(errors="replace")
    result.count("run its playbook", status == 0, "\n".join(text.splitlines()[-15:]))
    # This environment links the checkout in; it must not stand in for what was installed.
    result.count("it was the installed one", str(installed / "playbooks" / "diagnose.yml") in text)
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in (work / "reports").rglob("latest/report.json")]
    result.count("its report names the cause", any(report["root_causes"] for report in reports))
    return result


def part_build() -> Result:
    import gameday

    result = Result()
    for stack in STACKS:
        bench = gameday.bench_of(stack, "compose")
        with bench.alone():
            for problem in bench.heal():  # a demo or a killed game day may have left it broken
                print("  %s was left broken, and this was not undone: %s" % (stack, problem), flush=True)
        result.count("images of %s" % stack, run([sys.executable, ROOT / "tests/stack/ctl.py", "build", stack], minutes=20) == 0)
    return result


def part_cluster() -> Result:
    """A Kubernetes, with both stacks on it. What is built is built at the lowest priority. One that runs is used, of others only images."""
    result = Result()
    for words, minutes in (("build", 60), ("up --fresh", 10), *(("stack up %s" % stack, 10) for stack in STACKS)):
        good = run([sys.executable, ROOT / "tests/cluster/cluster.py", *words.split()], minutes=minutes) == 0
        result.count("cluster " + words, good)
        if not good:
            break
    return result


def resting(folder: str, day: int) -> set[str]:
    """The files of this folder whose turn it is not on a day of the year."""
    names = LONG[folder].split()
    return {"test_%s.py" % name for name in names} - {"test_%s.py" % name for name in names[day % TURNS :: TURNS]}


def resting_tests(tests: Sequence[str], day: int) -> list[str]:
    """Those of these tests, in their files' order, whose turn it is not on a day of the year; neighbours that differ by a parameter have different days."""
    return [test for place, test in enumerate(tests) if place % TURNS != day % TURNS]


def collected(folder: str, files: Iterable[str]) -> list[str]:
    """The tests of these files, as pytest names them."""
    paths = ["tests/%s/%s" % (folder, name) for name in sorted(files)]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *paths]
    said = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120, check=False).stdout
    return [line for line in said.splitlines() if line.startswith("tests/") and "::" in line]


def ignored(folder: str, *names: str) -> list[str]:
    """Options that leave out these files, and what rests today."""
    if os.environ.get("AIOPS_RUNBOOK_ALL"):
        return ["--ignore=tests/%s/%s" % (folder, name) for name in sorted(names)]
    files = resting(folder, today()) - set(names)
    many = [name for name in ("test_%s.py" % word for word in MANY[folder].split()) if name not in names]
    tests = resting_tests(collected(folder, many), today())
    print("  not today (ALL=1 runs them): %s, and %d tests of %s" % (" ".join(sorted(files)), len(tests), " ".join(many)), flush=True)
    return ["--ignore=tests/%s/%s" % (folder, name) for name in sorted({*names, *files})] + ["--deselect=" + test for test in tests]


def today() -> int:
    return datetime.now(UTC).timetuple().tm_yday


def part_servers() -> Result:
    return pytest("tests/integration", *ignored("integration", *ON_STACKS), "--durations=8", "--durations-min=20", minutes=45)


def part_stacks() -> Result:
    others = [path.name for path in (ROOT / "tests" / "integration").glob("test_*.py") if path.name not in ON_STACKS]
    return pytest("tests/integration", *ignored("integration", *others), "--durations=8", "--durations-min=20", minutes=45)


def part_kubernetes() -> Result:
    return pytest("tests/kubernetes", *ignored("kubernetes"), "--durations=8", "--durations-min=20", minutes=30)


def part_molecule() -> Result:
    return _molecule(sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml") if path.parent.name != "kubernetes"))


def part_kubernetes_molecule() -> Result:
    return _molecule(["kubernetes"])


def _molecule(scenarios: Iterable[str]) -> Result:
    result = Result()
    for scenario in scenarios:
        status = run([BIN / "molecule", "test", "--scenario-name", scenario], minutes=10, ANSIBLE_HOME=str(CACHE / "molecule" / scenario))
        result.count("molecule " + scenario, status == 0)
    return result


def part_gameday() -> Result:
    return _gameday("compose")


def part_kubernetes_gameday() -> Result:
    return _gameday("kubernetes")


def _gameday(platform: str) -> Result:
    """A turn of the controls of a platform, and some whole faults: which ones, and on which stack, goes round with the day."""
    result = Result()
    import gameday
    from faultfile import read_folder

    day = today()
    stack = STACKS[day % len(STACKS)] if platform == "compose" else STACKS[0]
    faults = {name: fault for name, fault in read_folder(ROOT / "tests" / "faults", platform).items() if gameday.cases({name: fault}, [stack], platform)}
    controls = sorted(name for name, fault in faults.items() if not fault.expect)
    if not os.environ.get("AIOPS_RUNBOOK_ALL"):
        controls = sorted({*controls} - {*resting_tests(controls, day)})
    whole = sorted(name for name, fault in faults.items() if fault.expect and (platform == "compose" or name in CURED_THERE.split()))
    sample = [whole[(day * SAMPLE + number) % len(whole)] for number in range(min(SAMPLE, len(whole)))]
    with tempfile.TemporaryDirectory(prefix="aiops-gameday-") as temp:
        record = Path(temp) / "gameday.json"
        chosen = ["--faults", ",".join(controls + sample), "--platform", platform, "--stack", stack, "--hold", SHORT_HOLD, "--output", record]
        status = run([sys.executable, ROOT / "tests/tools/gameday.py", *chosen], minutes=30)
        cases = json.loads(record.read_text()) if record.exists() else []
    for case in cases:
        result.count("%s on %s, %s" % (case["fault"], case["stack"], platform), gameday.passed(case), gameday.row(case))
    if status and not result.failed:
        result.count("gameday on %s" % platform, False, "ended with %d" % status)
    return result


# The frame ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """needs: parts that must have passed before. uses: what only one part at a time may have. quiet: its tests do not wait for answers."""

    title: str
    run: Callable[[], Result]
    needs: tuple[str, ...] = ()
    uses: str = ""
    quiet: bool = False


# In the order in which they are begun where several may be.
PARTS: dict[str, Part] = {
    "setup": Part("engine and base image", part_setup, quiet=True),
    "unit": Part("unit tests", part_unit, uses="checks", quiet=True),
    "build": Part("images of the reference stacks", part_build, needs=("setup",), quiet=True),
    "cluster": Part("a Kubernetes and both stacks on it", part_cluster, needs=("setup",), quiet=True),
    "lint": Part("lint, types, documentation, sanity", part_lint, uses="checks", quiet=True),
    "artifact": Part("the artifact, installed elsewhere", part_artifact, uses="checks", quiet=True),
    "integration-stacks": Part("integration tests on the reference stacks", part_stacks, needs=("build",), uses="compose"),
    "kubernetes": Part("tests on a real Kubernetes", part_kubernetes, needs=("cluster",), uses="kubernetes"),
    "gameday": Part("controls and a sample of faults", part_gameday, needs=("build",), uses="compose"),
    "kubernetes-gameday": Part("the same on Kubernetes", part_kubernetes_gameday, needs=("cluster",), uses="kubernetes"),
    "molecule": Part("molecule", part_molecule, needs=("build",), uses="compose"),
    "kubernetes-molecule": Part("molecule on Kubernetes", part_kubernetes_molecule, needs=("cluster",), uses="kubernetes"),
    "integration-servers": Part("integration tests on servers and projects of their own", part_servers, needs=("build",)),
}
# Parts at once whose tests wait for answers: more of them keep each other from being answered in time.
AT_ONCE = min(2, os.cpu_count() or 1)
TELL_SECONDS = 60
PROGRAM = Path(__file__)


def chosen_parts(words: Sequence[str]) -> list[str]:
    """The parts that these words ask for (integration: both of its parts; none: all), and those that they need."""
    wanted = {name for name in PARTS if not words or name in words or any(word not in PARTS and name.startswith(word + "-") for word in words)}
    while True:
        more = {need for name in wanted for need in PARTS[name].needs} - wanted
        if not more:
            return [name for name in PARTS if name in wanted]
        wanted |= more


def startable(waiting: Iterable[str], running: Iterable[str], passed: Iterable[str]) -> list[str]:
    """Those of the waiting parts that may be begun now, beside the running ones."""
    begun, done = list(running), set(passed)
    found = []
    for name in waiting:
        part = PARTS[name]
        busy = part.uses and part.uses in (PARTS[other].uses for other in begun)
        crowded = not part.quiet and sum(not PARTS[other].quiet for other in begun) >= AT_ONCE
        if set(part.needs) <= done and not busy and not crowded:
            begun.append(name)
            found.append(name)
    return found


class Job:
    """A part in a process of its own; what it prints is shown when it has ended."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.started = time.monotonic()
        self.log, self.result = folder / (name + ".log"), folder / (name + ".json")
        with self.log.open("wb") as out:
            command = [sys.executable, PROGRAM, "--within", name, self.result]
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)

    def ended(self) -> bool:
        return self.process.poll() is not None

    def collect(self) -> Result:
        print(self.log.read_text(errors="replace"), end="", flush=True)
        try:
            return Result(**json.loads(self.result.read_text()))
        except (OSError, ValueError):
            return Result(failed=1, notes=["%s: its process ended with %s" % (self.name, self.process.returncode)])

    def words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return "%s %.0f s: %s" % (self.name, time.monotonic() - self.started, lines[-1].strip()[:100] if lines else "")

    def stop(self) -> None:
        """Its own process ends those that it has started."""
        if not self.ended():
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        if not self.ended():
            os.killpg(self.process.pid, signal.SIGKILL)


def run_parts(chosen: Sequence[str]) -> Result:
    """All of them, as many at once as do not disturb each other."""
    total, waiting, passed, jobs = Result(), list(chosen), set[str](), dict[str, Job]()
    started = told = time.monotonic()
    times = []
    with tempfile.TemporaryDirectory(prefix="aiops-parts-") as folder:
        try:
            while waiting or jobs:
                for name in startable(waiting, jobs, passed):
                    waiting.remove(name)
                    jobs[name] = Job(name, Path(folder))
                for name in [name for name, job in jobs.items() if job.ended()]:
                    job = jobs.pop(name)
                    result = job.collect()
                    total.add(result)
                    times.append("  %-20s %5.0f s, from %5.0f s on" % (name, time.monotonic() - job.started, job.started - started))
                    if not result.failed:
                        passed.add(name)
                        continue
                    lost = [other for other in waiting if name in chosen_parts([other])]
                    for other in lost:
                        waiting.remove(other)
                        total.count(other, False, "not run, because %s failed" % name)
                if time.monotonic() > told + TELL_SECONDS:
                    told = time.monotonic()
                    print("\n… %.0f s" % (told - started), *(job.words() for job in jobs.values()), sep="\n…   ", flush=True)
                time.sleep(0.3)
        finally:
            for job in jobs.values():
                print("\n== stopped: %s" % job.words())
                job.stop()
    print("\n" + "\n".join(times))
    return total


def run_part(name: str) -> Result:
    part = PARTS[name]
    started = time.monotonic()
    print("\n== %s: %s" % (name, part.title), flush=True)
    try:
        result = part.run()
    except Exception as error:  # the other parts go on
        result = Result()
        result.count(name, False, "%s: %s" % (type(error).__name__, error))
    if not result.passed and not result.failed:
        result.count(name, False, "it ran nothing")
    for note in result.notes:
        print("  not ok: " + note)
    print("-- %s: %d ok, %d not ok, %.0f s" % (name, result.passed, result.failed, time.monotonic() - started), flush=True)
    return result


def within(name: str, record: Path) -> int:
    """One part, for another process that reads the record."""
    if PARTS[name].uses == "checks":  # the other quiet ones start what stays, and is not to be slow for ever
        os.nice(15)
    result = run_part(name)
    record.write_text(json.dumps(vars(result)), encoding="utf-8")
    return 1 if result.failed else 0


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if arguments[:1] == ["--within"]:
        return within(arguments[1], Path(arguments[2]))
    unknown = [word for word in arguments if not any(name == word or name.startswith(word + "-") for name in PARTS)]
    if unknown:
        print("there is no part %s; the parts are %s" % (", ".join(unknown), " ".join(PARTS)), file=sys.stderr)
        return 2
    chosen = chosen_parts(arguments)
    started = time.monotonic()
    total = run_part(chosen[0]) if len(chosen) == 1 else run_parts(chosen)
    print("\nall of it: %.0f s" % (time.monotonic() - started), flush=True)
    run([sys.executable, ROOT / "tests/tools/gameday.py", "--age", ROOT / "docs/gameday.md"])
    for note in total.notes:
        print("not ok: " + note)
    print("%d passed, %d failed" % (total.passed, total.failed), flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
