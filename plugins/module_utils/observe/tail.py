# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The log lines of all components in the order of their time, with the stack's secrets hidden: of a window, and followed for a while."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import names_of, secret_files_of, secrets_of
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance, Platform
from ansible_collections.aiops.runbook.plugins.module_utils.probes import Probes
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask, masked_query

# Between two looks of one who follows.
PAUSE_SECONDS = 1.0
# What a server writes of a statement, and the lines that it goes on in: "… STATEMENT:  SELECT …".
STATEMENT = re.compile(r"(\b(?:STATEMENT|QUERY|statement|execute [^:]{1,80}|parse [^:]{1,80}|bind [^:]{1,80}): +)(.*)", re.DOTALL)
GOES_ON = re.compile(r"(\S+ \t)(.*)", re.DOTALL)


@dataclass
class Wanted:
    """Which lines: of these components (none of them: all), only those with this text, at most so many of an instance at a look."""

    components: list[str] = field(default_factory=list)
    contains: str = ""
    tail: int = 200
    timeout: float = 5.0


class Tail:
    """Reads again and again; what has been read is not read twice.

    positions: {instance: time of its last line that was read}, as a Tail before has left them.
    """

    def __init__(self, platform: Platform, mask: Mask, wanted: Wanted, positions: Mapping[str, str] | None = None) -> None:
        self.platform = platform
        self.mask = mask
        self.wanted = wanted
        self.positions = dict(positions or {})
        self.unread: dict[tuple[str, str], str] = {}
        self._learned: set[str] = set()

    def read(self, since: float) -> list[dict[str, Any]]:
        """The lines since a UNIX time (0: all) that have not been read, [{"component", "instance", "line"}] by time."""
        instances = self._instances()
        answers = Probes(self.wanted.timeout).gather({one.id: partial(self.platform.logs, one, since, self.wanted.tail) for _name, one in instances})
        found = []
        for name, one in instances:
            why = why_unseen(answers[one.id])
            if why:
                self.unread[(name, one.name)] = why["reason"]
                continue
            before = self.positions.get(one.name, "")
            new = [line for line in answers[one.id] if stamp(line) > before]
            if new:
                self.positions[one.name] = stamp(new[-1])
            found += [(stamp(line), {"component": name, "instance": one.name, "line": hidden(line, self.mask)}) for line in new if self.wanted.contains in line]
        return [entry for _stamp, entry in sorted(found, key=lambda pair: pair[0])]

    def follow(self, since: float, seconds: float) -> list[dict[str, Any]]:
        """Those, and what comes in the next seconds."""
        until = time.monotonic() + seconds
        lines = self.read(since)
        while until - time.monotonic() > 0:
            time.sleep(min(PAUSE_SECONDS, max(0.0, until - time.monotonic())))
            # A little of what was read already, for what was written late; positions tell it apart.
            lines += self.read(time.time() - 30 if self.positions else since)
        return lines

    def _instances(self) -> list[tuple[str, Instance]]:
        components = self.platform.components()
        known = {component.id for component in components}
        lost = set(self.wanted.components) - known
        if lost:
            raise StackError("components: there is no %s; the components are %s" % (", ".join(sorted(lost)), ", ".join(sorted(known))), kind="bad_option")
        for component in components:
            self.mask.keep(names_of(component))
            for one in component.instances:
                if one.id not in self._learned:
                    self._learned.add(one.id)
                    learn(self.platform, self.mask, one)
        chosen = set(self.wanted.components) or known
        instances = [(component.id, one) for component in components for one in component.instances if component.id in chosen]
        for name in sorted({name for name, one in instances if not one.asked}):
            count = sum(1 for other, one in instances if other == name and not one.asked)
            self.unread[(name, "")] = "%d more copies, alike, were not read" % count
        return [(name, one) for name, one in instances if one.asked]

    def told(self) -> list[dict[str, Any]]:
        """The instances whose logs could not be read: [{"component", "instance", "reason"}]."""
        return [{"component": name, "instance": instance, "reason": reason} for (name, instance), reason in sorted(self.unread.items())]


def learn(platform: Platform, mask: Mask, one: Instance) -> None:
    """Everything that an instance keeps as a secret (settings, URLs, files): from now on it is blotted out of texts."""
    for value in secrets_of(one.environment, one.secret_values):
        mask.learn(value)
    for path in secret_files_of(one):
        try:
            found = platform.file(one, path)
        except StackError:
            continue
        mask.learn(found.content.decode("utf-8", "replace").strip() if found else "")


def hidden(line: str, mask: Mask) -> str:
    """A line without secrets; of a statement of SQL only its shape, since its literals may be anything."""
    line = STATEMENT.sub(_shape, line) if ":" in line else line
    return mask.text(GOES_ON.sub(_shape, line) if " \t" in line else line)


def _shape(match: re.Match[str]) -> str:
    return match[1] + masked_query(match[2])


def stamp(line: str) -> str:
    """A line's time so that text order is time order: RFC 3339 in UTC, with nine digits behind the point."""
    seconds, _point, fraction = line.split(" ", 1)[0].rstrip("Z").partition(".")
    return "%s.%s" % (seconds, fraction.ljust(9, "0"))
