# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks that users add without Python: a JMESPath into the observations, an expectation, a severity, a text."""

from __future__ import annotations

import operator
from typing import Any, Callable, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer
from ansible_collections.aiops.runbook.plugins.module_utils.model import Clear, Finding, StackError, Unseen, why_unseen

try:
    import jmespath
    import jmespath.exceptions
except ImportError:
    jmespath = None

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda value, wanted: value in wanted,
    "contains": lambda value, wanted: wanted in value,
}


def judge_custom(seen: dict[str, Any], checks: Iterable[dict[str, Any]]) -> list[Answer]:
    """The answer of each check: a query that finds nothing could not check."""
    return [_judge_one(seen, check) for check in checks]


def _judge_one(seen: dict[str, Any], check: dict[str, Any]) -> Answer:
    name = check["id"] if check["id"].startswith("custom.") else "custom." + check["id"]
    if jmespath is None:
        raise StackError("custom_checks need the Python library jmespath on the controller: pip install jmespath", kind="missing_library")
    try:
        value = jmespath.search(check["query"], seen)
    except jmespath.exceptions.JMESPathError as error:
        raise StackError("custom_checks: the query of %s is not a JMESPath: %s" % (name, error), kind="bad_option") from error
    why = why_unseen(value)
    if why:
        return Unseen(name, check["component"], "the query %s found nothing" % check["query"] if value is None else why["reason"])
    try:
        holds = COMPARE[check["is"]](value, check["expect"])
    except TypeError as error:
        raise StackError("custom_checks: %s compares %r with %r: %s" % (name, value, check["expect"], error), kind="bad_option") from error
    evidence = {"value": value, "is": check["is"], "expect": check["expect"], "text": check["text"]}
    return Clear(name, check["component"], evidence) if holds else Finding(name, check["component"], check["severity"], evidence)
