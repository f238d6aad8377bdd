# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which judge answers for which findings, and the one loop that runs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator, Union

from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.model import Clear, Finding, Unseen, why_unseen

Answer = Union[Finding, Clear, Unseen]
JudgeFunction = Callable[[dict[str, Any], Limits], Iterable[Answer]]


@dataclass(frozen=True)
class Judge:
    """One judgement: the ids it may give, the domain whose facts it is handed, and the facts without which it cannot say."""

    ids: tuple[str, ...]
    domain: str
    needs: tuple[str, ...]
    function: JudgeFunction


JUDGES: list[Judge] = []


def judges(*ids: str, domain: str, needs: Iterable[str] = ()) -> Callable[[JudgeFunction], JudgeFunction]:
    """Register a pure function as the judge of these finding ids.

    domain "stack" is handed all observations; any other domain the facts of one server or component, whose "component"
    names it. needs: keys of those facts; when one of them could not be read, the ids are answered Unseen.
    """

    def register(function: JudgeFunction) -> JudgeFunction:
        JUDGES.append(Judge(ids, domain, tuple(needs), function))
        return function

    return register


def judge_domain(domain: str, seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Every judgement of one domain on one set of facts."""
    component = seen.get("component", "stack")
    for judge in JUDGES:
        if judge.domain != domain:
            continue
        missing = next((why for why in (why_unseen(seen.get(key)) for key in judge.needs) if why), None)
        if missing:
            for finding_id in judge.ids:
                yield Unseen(finding_id, component, missing["reason"], missing["fix"])
        else:
            yield from judge.function(seen, limits)
