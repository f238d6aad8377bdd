# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The log lines of all components in the order of their time, with the stack's secrets hidden: of a window, and followed for a while."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import names_of, secret_files_of, secrets_of
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance, Platform
from ansible_collections.aiops.runbook.plugins.module_utils.probes import Probes
from ansible_collections.aiops.runbook.plugins.module_utils.secret import ALL_HIDDEN, Mask, query_shape

# Between two looks of one who follows.
PAUSE_SECONDS = 1.0
# What a server writes of a statement: "… STATEMENT:  SELECT …".
STATEMENT = re.compile(r"\b(?:STATEMENT|QUERY|statement|execute [^:]{1,80}|parse [^:]{1,80}|bind [^:]{1,80}): +")
# A line of PostgreSQL's log; what it goes on in begins with a tab. And what it quotes without marks: a row, a key.
POSTGRES = re.compile(r"\b(?:LOG|FATAL|ERROR|PANIC|WARNING|NOTICE|INFO|DEBUG\d?|DETAIL|HINT|CONTEXT|STATEMENT|QUERY):  (?=\S)")
UNMARKED = re.compile(r"\bFailing row contains \(|\bKey \(")
# What a statement begins with: of it, lines that begin with blanks are more.
SQL = re.compile(
    r"\s*(?:\(|--|/\*|(?:select|insert|update|delete|merge|with|values|copy|call|do|set|create|alter|drop|grant|explain|prepare|execute|declare)\b)",
    re.IGNORECASE,
)
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\S+(?: |$)")
LONGEST_SHAPE = 300


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
        self._within: dict[str, Within] = {}

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
            before, lines = self.positions.get(one.name, ""), answers[one.id]
            new = [line for line in lines if stamp(line) > before]
            if new:
                self.positions[one.name] = stamp(new[-1])
            within, fed = self._within.get(one.name), new
            # What an earlier run has read tells within what the new lines begin; where some were missed, nobody knows.
            if within is None or len(new) >= self.wanted.tail:
                within, fed = Within.of(lines), lines
            self._within[one.name] = within
            for line in fed:
                shown = shape(line, within)
                if stamp(line) > before and self.wanted.contains in line:
                    found.append((stamp(line), {"component": name, "instance": one.name, "line": self.mask.text(shown)}))
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


@dataclass
class Within:
    """Where the last line of one log has ended: of a statement of SQL (statement), or of whatever else PostgreSQL says.

    opened: what it has left open (query_shape()); None where nobody knows, or where it is neither.
    """

    statement: bool = False
    opened: str | None = None

    @classmethod
    def of(cls, lines: Iterable[str]) -> Within:
        """Before the first of these lines. In PostgreSQL's log they may begin in the middle of a literal."""
        return cls(opened=ALL_HIDDEN if any(POSTGRES.search(line) for line in lines) else None)


def hidden(lines: list[str], mask: Mask) -> list[str]:
    """The lines of one log, in their order, without secrets; of a statement of SQL only its shape, since its literals may be anything."""
    within = Within.of(lines)
    return [mask.text(shape(line, within)) for line in lines]


def shape(line: str, within: Within) -> str:
    """A line with its SQL as query_shape() has it. A literal may go on over several lines: within is moved on."""
    stamped = STAMP.match(line)
    text = line[stamped.end() :] if stamped else line
    if not text.strip():
        return line
    blanks = text[: len(text) - len(text.lstrip())]
    # A line without a time is what stood behind some other end of a line within a text.
    if blanks.startswith("\t") or (blanks and within.statement) or (not stamped and within.opened):
        shown, left = query_shape(text, within.opened or "")
        if within.opened is None:
            # A quote without its counterpart: the text before it may be what is quoted.
            shown = "?" if left else shown
        else:
            within.opened = left
        return line[: len(line) - len(text)] + blanks + shown[:LONGEST_SHAPE]
    said = STATEMENT.search(text)
    within.statement = said is not None and SQL.match(text, said.end()) is not None
    if said is not None:
        shown, within.opened = query_shape(text[said.end() :])
        return line[: len(line) - len(text) + said.end()] + shown[:LONGEST_SHAPE]
    heard = POSTGRES.search(text)
    within.opened = None if heard is None else ALL_HIDDEN if UNMARKED.search(text) else query_shape(text[heard.end() :])[1]
    return line


def stamp(line: str) -> str:
    """A line's time so that text order is time order: RFC 3339 in UTC, with nine digits behind the point."""
    seconds, _point, fraction = line.split(" ", 1)[0].rstrip("Z").partition(".")
    return "%s.%s" % (seconds, fraction.ljust(9, "0"))
