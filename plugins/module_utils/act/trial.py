# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A component's start command, run once beside it and taken away again: what it says, and how it ends.

Never done by itself: the command does what it does. What can be kept from it is: its volumes are for reading only, no port is published,
it stands in no network unless one is asked for, bears no name that others look for, and is ended after its time.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import partial
from typing import Any, Iterator, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.logs import last_words
from ansible_collections.aiops.runbook.plugins.module_utils.observe.tail import hidden, learn
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance
from ansible_collections.aiops.runbook.plugins.module_utils.platform.compose import LABEL, Compose, read_instance
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

OURS = "aiops.runbook.trial"
PAUSE_SECONDS = 0.2
# Of a container's definition: what makes the program what it is, and what it may do.
CONFIG = ("Cmd", "Entrypoint", "Env", "User", "WorkingDir", "StopSignal", "Tty")
HOST_CONFIG = (
    "Memory MemorySwap NanoCpus CpuQuota CpuPeriod CpuShares CapAdd CapDrop SecurityOpt ReadonlyRootfs Ulimits ShmSize ExtraHosts Tmpfs Init Sysctls"
    " GroupAdd Runtime PidsLimit"
).split()


def run_once(platform: Compose, component: str, seconds: float, network: bool, tail: int, try_only: bool = False) -> dict[str, Any]:
    """{"instance", "image", "command", "network", "ended", "exit_code", "oom_killed", "error", "seconds", "lines", "last_words"}.

    seconds: after that one that still runs is ended: then it stays up. network: whether it stands in the component's network.
    try_only: say what would be run (the first four), and run nothing. StackError where that cannot be done.
    """
    copies = platform.copies(component)
    if not copies:
        known = ", ".join(sorted(one.id for one in platform.components()))
        raise StackError("component: there is no %s; the components are %s" % (component, known), kind="bad_option")
    one = copies[0]
    detail = platform.engine.ask(lambda: platform.engine.api.inspect_container(one.id))
    asked = definition(detail, one.home_network if network else "")
    mask = Mask()
    learn(platform, mask, one)
    told = {"instance": one.name, "image": one.image, "command": mask.text(" ".join(one.command)), "network": one.home_network if network else ""}
    if try_only:
        return told
    with _container(platform, one, asked) as name:
        started = time.monotonic()
        after = _watch(platform, name, seconds)
        took = round(time.monotonic() - started, 1)
        after.log_driver = "json-file"
        lines = platform.logs(after, 0, tail)
    ended = not after.running
    return {
        **told,
        "ended": ended,
        "exit_code": after.exit_code if ended else None,
        "oom_killed": after.oom_killed,
        "error": mask.text(after.error),
        "seconds": took,
        "lines": hidden(lines, mask),
        "last_words": last_words(lines, mask) if ended else None,
    }


def definition(detail: Mapping[str, Any], network: str) -> dict[str, Any]:
    """What the engine is to make, from what it says of the container that is there. Pure. network: "" for none."""
    if network.startswith(("container:", "host")):
        raise StackError(
            "network: %s shares the network of another: only without network it can be tried beside it" % detail["Name"].lstrip("/"), kind="bad_option"
        )
    config, host = detail["Config"], detail["HostConfig"]
    labels = {name: value for name, value in (config.get("Labels") or {}).items() if name in (LABEL + "project", LABEL + "service")}
    mounts = [
        {
            "Type": mount["Type"],
            "Source": mount.get("Name") if mount["Type"] == "volume" else mount.get("Source"),
            "Target": mount["Destination"],
            "ReadOnly": True,
        }
        for mount in detail.get("Mounts") or []
        if mount["Type"] in ("volume", "bind")
    ]
    return {
        **{name: config[name] for name in CONFIG if config.get(name) is not None},
        # Its own image, whatever its name means by now.
        "Image": detail["Image"],
        "Labels": {**labels, LABEL + "oneoff": "True", OURS: "True"},
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            **{name: host[name] for name in HOST_CONFIG if host.get(name)},
            "Mounts": mounts,
            "NetworkMode": network or "none",
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        },
    }


@contextmanager
def _container(platform: Compose, beside: Instance, asked: dict[str, Any]) -> Iterator[str]:
    """A started container, its id; taken away however this ends, and with it those that a run before could not take away."""
    engine = platform.engine
    filters = {"label": [OURS + "=True", "%sproject=%s" % (LABEL, platform.project)]}
    for left in engine.ask(lambda: engine.api.containers(all=True, filters=filters)):
        _remove(platform, left["Id"])
    name = "%s-run-%x" % (beside.name, time.time_ns() & 0xFFFFFFFF)
    made = str(engine.ask(lambda: engine.api.create_container_from_config(asked, name))["Id"])
    try:
        try:
            platform.start(made)
        except StackError as error:
            # A command that is not there is what was asked about; the engine keeps what it said of it.
            if not read_instance(engine.ask(lambda: engine.api.inspect_container(made))).error:
                raise error
        yield made
    finally:
        _remove(platform, made)


def _remove(platform: Compose, identity: str) -> None:
    try:
        platform.engine.ask(partial(platform.engine.api.remove_container, identity, force=True, v=True))
    except StackError as error:
        if error.kind != "not_found":
            raise


def _watch(platform: Compose, identity: str, seconds: float) -> Instance:
    """The container as it ended, or as it still runs after its time."""
    until = time.monotonic() + seconds
    while True:
        one = read_instance(platform.engine.ask(lambda: platform.engine.api.inspect_container(identity)))
        if not one.running or time.monotonic() >= until:
            return one
        time.sleep(min(PAUSE_SECONDS, max(0.0, until - time.monotonic())))
