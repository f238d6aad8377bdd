# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The words that every room shares: what a judgement says, and how we fail.

A judge yields three kinds of answer, and a question that it could not answer is never silence:

* Finding: something is wrong, with the evidence that shows it.
* Clear: this was looked at and is fine, with the figure that shows it (it becomes "ruled out").
* Unseen: this could not be looked at, with the reason (it becomes "could not check").
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

CRITICAL = "critical"
WARNING = "warning"
INFO = "info"
SEVERITIES = (CRITICAL, WARNING, INFO)

HIGH = "high"
MEDIUM = "medium"
LOW = "low"

# Roles that do their work and end.
FINITE = frozenset(["migration", "job"])
# Roles that take tasks from a broker, or send them by the clock: nobody else has to do with what stands in its queues.
WORKING = ("worker", "beat")
# Have the settings of the whole application, and connect to its database only where a database schedules them.
SELDOM_CLIENTS = ("beat", "flower")
SERVER_NAMES = {"postgres": "PostgreSQL", "redis": "Redis"}
# Hosts by which a program means its own machine or pod.
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def server_kind(kind: str) -> str:
    """What kind of server a connection of this kind leads to: broker, results and cache are uses of a Redis."""
    return "redis" if kind in ("broker", "results", "cache") else kind


@dataclass(frozen=True)
class Finding:
    """A judgement on observations.

    id: stable, "<domain>.<what>"; the catalogue explains it.
    component: the component that is ill (for a wrong setting: the one that has the setting).
    about: the other component that the judgement is about, where there is one (the database a client cannot reach).
    evidence: JSON values only, no secret; the catalogue's titles are filled from it.
    """

    id: str
    component: str
    severity: str
    evidence: dict[str, Any] = field(default_factory=dict)
    confidence: str = HIGH
    about: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Clear:
    """A finding that was looked for and is not there, with the evidence that it is not."""

    id: str
    component: str
    evidence: dict[str, Any] = field(default_factory=dict)
    about: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Unseen:
    """A finding that could not be looked for.

    reason: what stopped us, in one sentence. fix: what the operator can do about it ("" where nothing).
    """

    id: str
    component: str
    reason: str
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class StackError(Exception):
    """Something that the operator can act on; the message names the option or the thing, and the fix.

    kind: a short stable word (refused, timeout, dns, auth, missing_library, bad_option, not_found, denied, protocol, …).
    """

    def __init__(self, message: str, kind: str = "error", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.details = details

    def as_failure(self) -> dict[str, Any]:
        """The arguments of AnsibleModule.fail_json."""
        return {"msg": self.message, "kind": self.kind, **self.details}


def unseen(reason: str, kind: str = "error", fix: str = "") -> dict[str, Any]:
    """The entry that stands in the observations where a fact could not be read."""
    return {"unseen": {"reason": reason, "kind": kind, "fix": fix}}


def why_unseen(fact: Any) -> dict[str, Any] | None:
    """The reason entry when this fact could not be read, else None. A missing fact counts as not read."""
    if fact is None:
        return {"reason": "not observed", "kind": "absent", "fix": ""}
    if isinstance(fact, dict) and "unseen" in fact:
        return fact["unseen"]
    return None
