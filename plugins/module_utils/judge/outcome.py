# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a domain module hands back of its judges' answers."""

from __future__ import annotations

from typing import Any, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, INFO, SEVERITIES, WARNING, Clear, Finding, Unseen


def outcome(answers: Iterable[Answer]) -> dict[str, Any]:
    """{findings, cleared, unknown, verdict}: the gravest finding first.

    verdict: down (a critical finding), degraded (a warning), unknown (nothing found, but not everything could be looked at), healthy.
    """
    answers = list(answers)
    findings = sorted((one for one in answers if isinstance(one, Finding)), key=lambda one: (SEVERITIES.index(one.severity), one.id, one.component))
    unknown = [one for one in answers if isinstance(one, Unseen)]
    severities = {finding.severity for finding in findings} - {INFO}
    if CRITICAL in severities:
        verdict = "down"
    elif WARNING in severities:
        verdict = "degraded"
    else:
        verdict = "unknown" if unknown else "healthy"
    return {
        "findings": [one.as_dict() for one in findings],
        "cleared": [one.as_dict() for one in answers if isinstance(one, Clear)],
        "unknown": [one.as_dict() for one in unknown],
        "verdict": verdict,
    }
