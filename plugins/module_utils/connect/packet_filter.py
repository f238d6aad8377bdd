# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rules of the packet filter of the network that the calling thread stands in, read as iptables-save shows them."""

from __future__ import annotations

import os
import subprocess

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

FOLDERS = os.defpath + ":/usr/sbin:/sbin:/usr/local/sbin"


def saved_rules(timeout: float) -> list[str]:
    """What iptables-save -c says of the table "filter"; of each of the kernel's two tables of that name, where both are in use.

    StackError kinds: not_found (no such program here), denied, timeout. Rules that were made by nft in tables of its own are not shown.
    """
    programs = ["iptables-save"]
    if _lines("/proc/thread-self/net/ip_tables_names"):
        # Asked only where it is in use: the question alone would make it be.
        programs.append("iptables-legacy-save")
    return [_ask(program, timeout) for program in programs]


def _ask(program: str, timeout: float) -> str:
    try:
        done = subprocess.run(
            [program, "-c", "-t", "filter"], env={"PATH": FOLDERS}, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except FileNotFoundError as error:
        raise StackError("%s is not on this host" % program, kind="not_found") from error
    except subprocess.TimeoutExpired as error:
        raise StackError("%s did not answer in time" % program, kind="timeout") from error
    if done.returncode:
        raise StackError("%s: %s" % (program, done.stderr.decode("utf-8", "replace").strip()[:120]), kind="denied")
    return done.stdout.decode("utf-8", "replace")


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as table:
            return table.read().split()
    except OSError:
        return []
