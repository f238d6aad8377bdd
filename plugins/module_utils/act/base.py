# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a remedy is, and how it says what it would do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

if TYPE_CHECKING:
    from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage

SAFE = "safe"
DISRUPTIVE = "disruptive"
TRANSIENT = "transient"
DESTRUCTIVE = "destructive"
# From what nobody notices to what cannot be put back.
RISKS = (SAFE, DISRUPTIVE, TRANSIENT, DESTRUCTIVE)


class Refused(StackError):
    """A remedy that must not or need not be applied here; the message says why, fix what a person can do instead."""

    def __init__(self, message: str, fix: str = "", kind: str = "not_done") -> None:
        super().__init__(message, kind=kind, fix=fix)


@dataclass
class Step:
    """One remedy that a plan asks for.

    remedy: its name. component: what it acts on. params: its own options (plain JSON, no secret: a secret is named by where it is
    kept, {"component", "setting"}). finding: the key of the finding that it cures, "" for one asked for by a person.
    target: what the plan found it to act on, {} where none is made yet: where there are several ways to look, the same one is taken again.
    """

    remedy: str
    component: str
    params: dict[str, Any] = field(default_factory=dict)
    finding: str = ""
    number: int = 1
    target: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, entry: dict[str, Any]) -> Step:
        """The step of a plan's entry."""
        number, target = int(entry.get("number") or 1), entry.get("target") or {}
        return cls(entry["remedy"], entry["component"], entry.get("params") or {}, entry.get("finding") or "", number, target)


@dataclass
class Preview:
    """What a remedy would do, from the present state; the same code makes it for a plan, in check mode and before acting.

    risk: one of RISKS. target: the identity of what is meant, compared again before acting (container ids, system identifier, …).
    state: what of the present state the difference rests on; the engine keeps a hash of it in the plan, and refuses when it differs.
    diff: [{"what", "before", "after"}], texts without secrets. undo: how to take it back, plain JSON, None where that is not possible;
    {} where nothing is changed that could be put back; it may hold secrets: it is kept where the stack lives and nowhere else.
    texts: for the words of the catalogue.
    touches: the components that are interrupted or changed. changed: False when everything is already as wanted.
    back_after_seconds: when the remedy takes itself back (act/later.py); 0 for one that lasts.
    ill_since: UNIX seconds since when what it cures has been missing; 0 where that is not known.
    brings: the findings ("id@component") that are there when what was asked for is done, and speak not against it.
    """

    risk: str
    target: dict[str, Any] = field(default_factory=dict)
    state: Any = None
    diff: list[dict[str, str]] = field(default_factory=list)
    undo: dict[str, Any] | None = None
    texts: dict[str, Any] = field(default_factory=dict)
    touches: list[str] = field(default_factory=list)
    lasting: list[str] = field(default_factory=list)
    changed: bool = True
    back_after_seconds: float = 0.0
    ill_since: float = 0.0
    brings: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """What may leave the host."""
        kept = asdict(self)
        kept.pop("undo")
        kept.pop("state")
        kept.pop("brings")
        return {**kept, "can_undo": bool(self.undo)}


class Remedy(Protocol):
    """One kind of cure. Nothing but apply() and undo() changes anything; both are bounded in time and may be run again."""

    name: str

    def preview(self, stage: Stage, step: Step) -> Preview:
        """What would be done now; Refused when it must not be."""

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        """What acting destroys and a person may want to see later, without secrets."""

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        """Do it. A StackError when it did not come about."""

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        """What of it has not come about, in words; "" when all has."""

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        """Put back what preview.undo recorded, whatever part of it was done; a StackError says what a person must do.

        record["unsure"]: the run ended before it could note that it was done: what stands there may be somebody else's.
        """
