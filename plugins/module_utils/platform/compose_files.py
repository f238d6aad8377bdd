# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Can a Compose project's files ask for anything that its containers have not got? Told without Compose, which costs a process."""

from __future__ import annotations

import os
import re
from typing import Any, Iterable

from ansible.module_utils.common.yaml import yaml_load

# What only Compose can follow: further files, and variables of the shell that have to be there.
ONLY_COMPOSE = re.compile(r"\b(?:env_file|include|extends)\b|\$\{\w+:?\?")


def may_differ(project: str, files: list[str], folder: str, env_files: list[str], made_at: float, copies: Iterable[tuple[str, Iterable[str]]]) -> bool:
    """True unless every file is older than the containers made from it, and each of them stands on all networks that it was made for.

    made_at: when the oldest of these containers was made. copies: (service, networks it stands on) of each that runs.
    """
    usual = os.path.join(folder, ".env")
    # Where there is no .env, its folder tells since when.
    read = [*files, *(env_files or [usual if os.path.lexists(usual) else folder])]
    try:
        if not files or any(_changed_at(name) >= made_at for name in read):
            return True
        texts = []
        for name in files:
            with open(name, encoding="utf-8") as content:
                texts.append(content.read())
    except (OSError, UnicodeDecodeError):
        return True
    asked = networks_asked(project, texts)
    return asked is None or any(not asked.get(service, set()) <= set(networks) for service, networks in copies)


def edited(files: Iterable[str], made_at: float) -> bool:
    """Whether any of these was changed after a container was made from them; so it is where that cannot be told."""
    try:
        return any(_changed_at(name) >= made_at for name in files)
    except OSError:
        return True


def _changed_at(name: str) -> float:
    """Also of what was put in its place with an old date, and of a link that leads elsewhere now."""
    return max(time for status in (os.stat(name), os.lstat(name)) for time in (status.st_mtime, status.st_ctime))


def networks_asked(project: str, texts: Iterable[str]) -> dict[str, set[str]] | None:
    """The engine's names of the networks of each service, by the files' texts; None where only Compose can tell."""
    keys: dict[str, set[str]] = {}
    names = {"default": project + "_default"}
    elsewhere = set()
    for text in texts:
        if ONLY_COMPOSE.search(text):
            return None
        try:
            document = yaml_load(text)
            for key, network in (document.get("networks") or {}).items():
                names[key] = _name(project, key, network or {})
            for service, body in (document.get("services") or {}).items():
                keys.setdefault(service, set()).update(body.get("networks") or [])
                if body.get("network_mode"):
                    elsewhere.add(service)
        except Exception:  # a text that this cannot read may still be one for Compose; without PyYAML none can be read here
            return None
    asked = {service: set() if service in elsewhere else {names.get(key, "$") for key in found or ["default"]} for service, found in keys.items()}
    return None if any("$" in name for found in asked.values() for name in found) else asked


def _name(project: str, key: str, network: dict[str, Any]) -> str:
    outer = network.get("external")
    if isinstance(outer, dict):
        return str(outer.get("name") or key)
    return str(network.get("name") or (key if outer else "%s_%s" % (project, key)))
