#!/usr/bin/env bash
# Prepare a machine for the demo and the tests; each part does nothing where there is nothing to do.
#
#   tests/tools/setup.sh [venv] [engine] [base] [lint-tools] [test-tools]      without arguments: venv engine base
#
# venv        Python environment with Ansible and the test tools; this checkout linked into it as aiops.runbook
# engine      a Docker engine that answers, and Compose v2
# base        the image debian:bookworm-slim, on which the reference stacks are built
# lint-tools  shellcheck, and what ansible-test needs to make its own environments
# test-tools  the servers and clients that the integration tests start themselves
#
# Made for Debian 12 and root; needs Debian's and Python's package registries, nothing else.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)"
CACHE="${AIOPS_RUNBOOK_CACHE:-$HOME/.cache/aiops-runbook}"
VENV="$CACHE/venv"
BASE_IMAGE="debian:bookworm-slim"
BASE_SUITE="bookworm"
COMPOSE_SUITE="trixie" # the first Debian with Compose v2
TELL_SECONDS=10        # between two lines while something long is under way
TEMP=""
STEP=""
APT_UPDATED=""
MIRROR_URI=""
MIRROR_KEY=""

say() { printf 'setup: %s\n' "$*"; }

die() {
    printf 'setup: cannot go on: %s\n' "$*" >&2
    exit 1
}

# ---------------------------------------------------------------- frame

main() {
    local parts=("$@") part
    [ ${#parts[@]} -gt 0 ] || parts=(venv engine base)
    for part in "${parts[@]}"; do
        case "$part" in
            venv | engine | base | lint-tools | test-tools) ;;
            -h | --help) sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 0 ;;
            *) die "there is no part '$part'; the parts are venv, engine, base, lint-tools, test-tools" ;;
        esac
    done
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    mkdir -p "$CACHE" || die "cannot write to $CACHE"
    lock
    for part in "${parts[@]}"; do
        local started=$SECONDS
        "part_${part//-/_}"
        [ $((SECONDS - started)) -lt 3 ] || say "$part took $((SECONDS - started)) s"
    done
}

cleanup() {
    if [ -n "$STEP" ]; then
        kill -TERM -- "-$STEP" 2>/dev/null || true
    fi
    if [ -n "$TEMP" ]; then
        rm -rf "$TEMP"
    fi
}

lock() {
    exec 9>"$CACHE/setup.lock"
    if ! flock -n 9; then
        local started=$SECONDS
        say "another set-up is at work on this machine; waiting for it"
        until flock -w "$TELL_SECONDS" 9; do
            say "  … $((SECONDS - started)) s"
            [ $((SECONDS - started)) -lt 1800 ] || die "another set-up has been at work for 30 minutes (lock: $CACHE/setup.lock)"
        done
    fi
}

temp_dir() {
    if [ -z "$TEMP" ]; then
        rm -rf "$CACHE"/tmp.*
        TEMP="$(mktemp -d "$CACHE/tmp.XXXXXX")"
        chmod 755 "$TEMP"
    fi
}

need_root() { [ "$(id -u)" = 0 ] || die "$1 needs root: run it as root (sudo make …), or install it yourself"; }

# need_disk DIRECTORY GIGABYTES
need_disk() {
    local free
    mkdir -p "$1"
    free="$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1048576) }')"
    [ "$free" -ge "$2" ] || die "$1 has ${free} GB free, $2 GB are needed"
}

# step TITLE COMMAND...: run it silently, with a line every TELL_SECONDS; on failure show how it ended.
# It has a process group of its own, so that Ctrl-C ends all of it.
step() {
    local title="$1" log started=$SECONDS next=$TELL_SECONDS status=0
    shift
    temp_dir
    log="$TEMP/step.log"
    say "$title"
    setsid "$@" >"$log" 2>&1 </dev/null &
    STEP=$!
    while kill -0 "$STEP" 2>/dev/null; do
        sleep 0.2
        if [ $((SECONDS - started)) -ge $next ]; then
            say "  … $((SECONDS - started)) s"
            next=$((next + TELL_SECONDS))
        fi
    done
    wait "$STEP" || status=$?
    STEP=""
    if [ $status -ne 0 ]; then
        tail -n 12 "$log" | sed 's/^/  | /' >&2
    fi
    return $status
}

# ---------------------------------------------------------------- Debian packages

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

apt_update() {
    [ -z "$APT_UPDATED" ] || return 0
    step "reading Debian's package lists" apt-get -q -o Acquire::Retries=2 -o DPkg::Lock::Timeout=300 update ||
        die "Debian's package registry does not answer (apt-get update failed): see above"
    APT_UPDATED=yes
}

# apt_install WHAT-FOR PACKAGE...
apt_install() {
    local what="$1" package missing=()
    shift
    for package in "$@"; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "$what: install ${missing[*]} yourself (this machine has no apt-get; Debian 12 is what this is made for)"
    need_root "$what (Debian packages ${missing[*]})"
    need_disk /var/cache/apt 5
    dpkg --audit | grep -q . && step "finishing an interrupted installation" dpkg --configure -a
    apt_update
    step "installing ${missing[*]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
        -o Acquire::Retries=2 -o DPkg::Lock::Timeout=300 install "${missing[@]}" ||
        die "$what: Debian's packages ${missing[*]} could not be installed: see above"
}

# From where this machine gets Debian itself: MIRROR_URI, and MIRROR_KEY for its signature.
debian_mirror() {
    local release
    release="$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)"
    # shellcheck disable=SC2016  # apt fills these in
    read -r MIRROR_URI MIRROR_KEY < <(apt-get indextargets --format '$(RELEASE) $(REPO_URI) $(SIGNED_BY)' 'Created-By: Packages' 'Component: main' |
        awk -v release="$release" '$1 == release && !seen++ { print $2, $3 }') || true
    [ -n "$MIRROR_URI" ] || die "the apt sources of this machine name no archive for Debian $release"
    case "$MIRROR_KEY" in
        /*) ;;
        *) MIRROR_KEY=/usr/share/keyrings/debian-archive-keyring.gpg ;;
    esac
    [ -r "$MIRROR_KEY" ] || die "Debian's archive key is missing: install the package debian-archive-keyring"
}

# ---------------------------------------------------------------- venv

part_venv() {
    local wanted
    wanted="$(cat "$ROOT/requirements.txt" "$ROOT/requirements-test.txt" | sha256sum | cut -d' ' -f1)"
    if ! "$VENV/bin/python" -c '' 2>/dev/null; then
        make_venv
    fi
    if [ "$(cat "$VENV/.requirements" 2>/dev/null)" != "$wanted" ]; then
        need_disk "$CACHE" 5
        step "installing Ansible and the test tools into $VENV" "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input --retries 3 \
            -r "$ROOT/requirements.txt" -r "$ROOT/requirements-test.txt" || die "the Python package registry did not give what requirements.txt names: see above"
        echo "$wanted" >"$VENV/.requirements.new"
        mv "$VENV/.requirements.new" "$VENV/.requirements"
    fi
    link_checkout
}

make_venv() {
    local python
    need_disk "$CACHE" 5
    python="$(find_python)"
    if [ -z "$python" ]; then
        apt_install "Python" python3 python3-venv
        python="$(find_python)"
    fi
    [ -n "$python" ] || die "no Python 3.11 or later with the module venv was found; Debian 12 has it as python3 and python3-venv"
    rm -rf "$VENV"
    step "making a Python environment in $VENV with $python" "$python" -m venv "$VENV" || die "$python -m venv failed: see above"
}

# A Python that really runs (not a shim that only says it would), is 3.11 or later and can make environments.
find_python() {
    local python
    for python in python3.11 python3 python3.12 python3.13 /usr/bin/python3; do
        if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            "$python" -c 'import os, sys; print(os.path.realpath(sys.executable))'
            return
        fi
    done
}

# The checkout is the collection: playbooks by full name, by path and pytest all see these files, from any directory.
link_checkout() {
    local packages link
    packages=("$VENV"/lib/python3.*/site-packages)
    link="${packages[0]}/ansible_collections/aiops/runbook"
    [ "$(readlink "$link" 2>/dev/null)" != "$ROOT" ] || return 0
    mkdir -p "${link%/*}"
    if [ -e "$link" ] && [ ! -L "$link" ]; then
        die "$link is not a link; remove it"
    fi
    ln -sfn "$ROOT" "$link.new"
    mv -T "$link.new" "$link"
    say "aiops.runbook is now $ROOT"
}

# ---------------------------------------------------------------- engine

part_engine() {
    engine_answers || start_engine
    compose_answers || install_compose
}

engine_answers() { timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

compose_answers() { timeout 20 docker compose version --short 2>/dev/null | grep -q '^v\{0,1\}[2-9]'; }

start_engine() {
    local pid
    if [ -n "${DOCKER_HOST:-}" ]; then
        die "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST; unset it to use one on this machine"
    fi
    if command -v docker >/dev/null && [ "$(id -u)" != 0 ]; then
        die "no Docker engine answers to $(id -un): start it, join the group docker, or run this as root"
    fi
    command -v dockerd >/dev/null || apt_install "the Docker engine" docker.io iptables
    need_root "starting the Docker engine"
    need_disk "${DOCKER_DATA:-/var/lib}" 5
    pid="$(running dockerd)"
    if [ -z "$pid" ]; then
        if [ -d /run/systemd/system ]; then
            step "starting the Docker engine" systemctl start docker || die "systemctl start docker failed: see above"
        else
            clear_leftovers /var/run
            mount_cgroups
            say "starting the Docker engine (log: $CACHE/dockerd.log)"
            # No service manager: it must outlive this script and must not hold its lock.
            setsid nohup dockerd >"$CACHE/dockerd.log" 2>&1 </dev/null 9>&- &
            pid=$!
        fi
    fi
    wait_for_engine "$pid"
}

wait_for_engine() {
    local started=$SECONDS next=$TELL_SECONDS
    until engine_answers; do
        if [ -n "$1" ] && ! kill -0 "$1" 2>/dev/null; then
            die "dockerd ended: $(engine_last_words)"
        fi
        [ $((SECONDS - started)) -lt 90 ] || die "dockerd does not answer after 90 s: $(engine_last_words)"
        if [ $((SECONDS - started)) -ge $next ]; then
            say "  … $((SECONDS - started)) s"
            next=$((next + TELL_SECONDS))
        fi
        sleep 0.3
    done
}

engine_last_words() {
    local words
    words="$(grep -E 'level=(fatal|error)|failed to start daemon' "$CACHE/dockerd.log" 2>/dev/null | tail -n 1 | cut -c1-400)"
    echo "${words:-see $CACHE/dockerd.log}"
}

# is_alive PID NAME: such a process, and not only the zombie of one
is_alive() {
    local status
    status="$(sed -n 's/^Name:\s*//p; s/^State:\s*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null | tr '\n' ' ')" || return 1
    case "$status" in
        "$2 Z "* | "$2 X "*) return 1 ;;
        "$2 "*) return 0 ;;
    esac
    return 1
}

# running NAME: the process id of one that is alive
running() {
    local status
    for status in /proc/[0-9]*/comm; do
        if [ "$(cat "$status" 2>/dev/null)" = "$1" ]; then
            status="${status#/proc/}"
            if is_alive "${status%/comm}" "$1"; then
                echo "${status%/comm}"
                return
            fi
        fi
    done
}

# clear_leftovers RUN-DIRECTORY: a daemon that was killed leaves its pid file; when another process has that number by now,
# the next daemon refuses to start, or waits for a containerd that is not there.
clear_leftovers() {
    local file pid
    for file in "$1/docker.pid" "$1/docker/containerd/containerd.pid"; do
        [ -e "$file" ] || continue
        pid="$(tr -cd '0-9' <"$file")"
        case "$file" in
            */containerd.pid) is_alive "${pid:-0}" containerd && continue ;;
            *) is_alive "${pid:-0}" dockerd && continue ;;
        esac
        say "removing $file, left by a daemon that is gone"
        rm -f "$file"
        case "$file" in
            */containerd.pid) rm -f "$1"/docker/containerd/*.sock "$1"/docker/containerd/*.sock.ttrpc ;;
        esac
    done
    if [ -d "$1/docker.sock" ]; then
        rmdir "$1/docker.sock" || die "$1/docker.sock is a directory"
    fi
}

# Where no init did it.
mount_cgroups() {
    local name
    if grep -qE ' cgroup2? ' /proc/mounts; then
        return 0
    fi
    say "mounting the control groups"
    mkdir -p /sys/fs/cgroup
    mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup || return 0
    while read -r name _ _ enabled; do
        [ "$enabled" = 1 ] || continue
        mkdir -p "/sys/fs/cgroup/$name"
        mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" 2>/dev/null || rmdir "/sys/fs/cgroup/$name"
    done < <(grep -v '^#' /proc/cgroups)
    if [ -z "$(ls /sys/fs/cgroup)" ]; then
        umount /sys/fs/cgroup
        mount -t cgroup2 cgroup2 /sys/fs/cgroup || say "no control groups could be mounted"
    fi
}

install_compose() {
    local cached=("$CACHE"/docker-compose_*.deb) target
    if [ ! -s "${cached[0]}" ]; then
        download_compose
        cached=("$CACHE"/docker-compose_*.deb)
    fi
    target="${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins"
    [ "$(id -u)" != 0 ] || target=/usr/local/lib/docker/cli-plugins
    temp_dir
    rm -rf "$TEMP/compose"
    dpkg-deb -x "${cached[0]}" "$TEMP/compose" || {
        rm -f "${cached[0]}"
        die "the cached ${cached[0]} was broken and is removed: run this again"
    }
    mkdir -p "$target"
    install -m 755 "$(find "$TEMP/compose" -type f -name docker-compose -path '*bin/*' -o -type f -name docker-compose -path '*cli-plugins/*' | head -n 1)" "$target/.docker-compose.new"
    mv "$target/.docker-compose.new" "$target/docker-compose"
    compose_answers || die "the Compose plugin from Debian's $COMPOSE_SUITE does not run here"
    say "Docker Compose $(docker compose version --short) installed"
}

# Through an apt list of its own: the machine's lists and sources stay as they are.
download_compose() {
    command -v apt-get >/dev/null || die "Docker Compose v2 is missing: install the Compose plugin of your system"
    need_disk "$CACHE" 5
    debian_mirror
    temp_dir
    mkdir -p "$TEMP/lists/partial" "$TEMP/archives/partial" "$TEMP/deb"
    echo "deb [signed-by=$MIRROR_KEY] $MIRROR_URI $COMPOSE_SUITE main" >"$TEMP/sources.list"
    local options=(-q -o "Dir::Etc::SourceList=$TEMP/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::Preferences=/dev/null
        -o Dir::Etc::PreferencesParts=/dev/null -o "Dir::State::Lists=$TEMP/lists" -o "Dir::Cache=$TEMP/archives"
        -o "Dir::Cache::Archives=$TEMP/archives" -o APT::Sandbox::User=root -o Acquire::Retries=2 -o Acquire::Languages=none
        -o APT::Update::Post-Invoke::=true -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
    step "reading the package list of Debian's $COMPOSE_SUITE" apt-get "${options[@]}" update ||
        die "Debian's package registry does not answer, or has no $COMPOSE_SUITE: see above"
    step "downloading Compose from Debian's $COMPOSE_SUITE" env -C "$TEMP/deb" apt-get "${options[@]}" download "docker-compose/$COMPOSE_SUITE" ||
        die "the package docker-compose of Debian's $COMPOSE_SUITE could not be downloaded: see above"
    mv "$TEMP"/deb/docker-compose_*.deb "$CACHE/"
}

# ---------------------------------------------------------------- base image

part_base() {
    local tarball="$CACHE/base-$BASE_SUITE.tar"
    engine_answers || die "no Docker engine answers; run 'make setup'"
    ! docker image inspect "$BASE_IMAGE" >/dev/null 2>&1 || return 0
    if [ ! -s "$tarball" ]; then
        make_base "$tarball"
    fi
    step "loading $BASE_IMAGE into the engine" docker import --change 'CMD ["bash"]' "$tarball" "$BASE_IMAGE" ||
        die "$BASE_IMAGE could not be loaded (if $tarball is broken, remove it): see above"
}

make_base() {
    local with=()
    need_disk "$CACHE" 5
    apt_install "the base image" mmdebstrap
    need_root "making the base image"
    debian_mirror
    temp_dir
    case "$MIRROR_URI" in https:*) with=(--include=ca-certificates) ;; esac
    # As in Debian's slim images: without manuals and translations.
    step "making $BASE_IMAGE from Debian's packages" env "TMPDIR=$TEMP" mmdebstrap --variant=minbase "${with[@]}" \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        "$BASE_SUITE" "$TEMP/base.tar" "deb [signed-by=$MIRROR_KEY] $MIRROR_URI $BASE_SUITE main" ||
        die "mmdebstrap could not make the base image: see above"
    mv "$TEMP/base.tar" "$1"
}

# ---------------------------------------------------------------- lint tools

part_lint_tools() {
    local version wheels="$CACHE/pip-wheels" shim
    command -v shellcheck >/dev/null || apt_install "checking shell scripts" shellcheck
    [ -x "$VENV/bin/python" ] || die "there is no Python environment yet; run 'make setup'"
    # ansible-test makes environments of its own and wants to download get-pip for them; this stands in for it, with a wheel of pip.
    version="$("$VENV/bin/python" -c '
import pathlib, re, ansible_test
text = (pathlib.Path(ansible_test.__file__).parent / "_internal" / "python_requirements.py").read_text()
print(re.search(r"pip=.([0-9.]+).,", text[text.index("def get_venv_packages"):]).group(1))')" ||
        die "the version of pip that ansible-test wants could not be found out"
    shim="$HOME/.ansible/test/cache/get_pip_${version//./_}.py"
    if [ ! -s "$wheels/pip-$version-py3-none-any.whl" ]; then
        temp_dir
        step "downloading pip $version for ansible-test" "$VENV/bin/python" -m pip download -q --disable-pip-version-check --no-deps -d "$TEMP/wheels" "pip==$version" ||
            die "the Python package registry did not give pip $version: see above"
        mkdir -p "$wheels"
        mv "$TEMP"/wheels/pip-*.whl "$wheels/"
    fi
    if [ ! -s "$shim" ] || grep -q 'pip-wheels' "$shim"; then
        mkdir -p "${shim%/*}"
        cat >"$shim.new" <<END
# Installs pip from a wheel, in place of the downloaded get-pip: made by tests/tools/setup.sh ($wheels is its pip-wheels folder).
import runpy
import sys

sys.path.insert(0, "$wheels/pip-$version-py3-none-any.whl")
packages = [word for word in sys.argv[1:] if word.startswith("pip==")]
sys.argv = ["pip", "install", "--disable-pip-version-check", "--no-index", "--find-links", "$wheels", *packages]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
END
        mv "$shim.new" "$shim"
    fi
}

# ---------------------------------------------------------------- test tools

part_test_tools() {
    # In runlevel 1 Debian's packages do not start the services that they bring.
    RUNLEVEL=1 apt_install "the integration tests" redis-server redis-tools postgresql-15 pgbouncer openssh-server openssh-client curl util-linux openssl
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    main "$@"
fi
