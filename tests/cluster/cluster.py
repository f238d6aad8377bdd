# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A real Kubernetes for the tests, from package registries alone.

cluster.py build            the programs, once (kept in the user's cache)
cluster.py up [--fresh]     a running cluster with its node ready; idempotent, also over the leftovers of a killed one
                            --fresh: of which it keeps nothing but images
cluster.py down             everything away but the programs
cluster.py status           exit 0 when it runs
cluster.py kubeconfig       the path of its kubeconfig
cluster.py kubectl WORDS…   its kubectl
cluster.py stack up|down|ready NAME     a reference stack on it
cluster.py load NAME [SECONDS] [RATE]   the stack's usual traffic (30 seconds, 10 requests a second)
cluster.py registry up|down             a registry on loopback that asks for a password
cluster.py registry push IMAGE NAME     an image of the Docker engine into it, under a name; prints the name to pull
cluster.py scale up|down NAMESPACE [PODS]     a namespace of 2,000 pods that only seem to run
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import addons
import binaries
import foreign
import node
import registry
import scale
import stacks
from places import CACHE, KIND, KUBECONFIG, ClusterError, given, say
from places import foreign as is_foreign


def build() -> None:
    """The programs, where this machine makes the cluster itself."""
    if not given() and not foreign.kind_is_at_hand():
        binaries.install_packages()
        binaries.build()


def up(fresh: bool = False) -> None:
    if given():
        foreign.check()
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "up.lock", "w", encoding="ascii") as lock:
        # Two at once would take each other's first processes for leftovers.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if foreign.kind_is_at_hand():
            foreign.kind_up()
        else:
            build()
            node.up(fresh)
            addons.apply()
    say("the cluster is up; export KUBECONFIG=%s" % KUBECONFIG)


def down() -> None:
    if given():
        raise ClusterError("KUBECONFIG is set: a cluster of yours is not taken down here")
    (foreign.kind_down if KIND.exists() else node.down)()
    say("the cluster is gone")


def stack(verb: str, name: str) -> int:
    one = stacks.load(name)
    if verb == "ready":
        problem = stacks.ready(one)
        say(problem or "%s is ready" % name)
        return 1 if problem else 0
    (stacks.up if verb == "up" else stacks.down)(one)
    return 0


def main(words: list[str]) -> int:
    verb, rest = (words[0] if words else "help"), words[1:]
    try:
        if verb == "build":
            build()
        elif verb == "up" and rest in ([], ["--fresh"]):
            up(fresh=bool(rest))
        elif verb == "down":
            down()
        elif verb == "status":
            problem = "" if is_foreign() and foreign.address() else node.status()
            say(problem or "the cluster runs")
            return 1 if problem else 0
        elif verb == "stack" and len(rest) == 2 and rest[0] in ("up", "down", "ready"):
            return stack(*rest)
        elif verb == "load" and 1 <= len(rest) <= 3:
            seconds, rate = float(rest[1]) if len(rest) > 1 else 30, float(rest[2]) if len(rest) > 2 else 10
            print(json.dumps(stacks.ctl.load(stacks.load(rest[0]), seconds, rate)))
        elif verb == "registry" and rest in (["up"], ["down"]):
            (registry.up if rest == ["up"] else registry.down)()
        elif verb == "registry" and rest[:1] == ["push"] and len(rest) == 3:
            print(registry.push(*rest[1:]))
        elif verb == "scale" and rest[:1] == ["up"] and 2 <= len(rest) <= 3:
            scale.up(rest[1], int(rest[2]) if len(rest) == 3 else 2000)
        elif verb == "scale" and rest[:1] == ["down"] and len(rest) == 2:
            scale.down(rest[1])
        elif verb == "kubeconfig":
            print(given() or KUBECONFIG)
        elif verb == "kubectl":
            own = binaries.folder() / "kubectl"
            return subprocess.run([own if own.exists() else "kubectl", "--kubeconfig", given() or KUBECONFIG, *rest], check=False).returncode
        else:
            print(__doc__)
            return 0 if verb in ("help", "-h", "--help") else 2
    except (ClusterError, stacks.ctl.CtlError) as error:
        say("cannot go on: %s" % error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
