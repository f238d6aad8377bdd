# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The option "limits", written from the one table of thresholds."""

from __future__ import annotations

from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import LIMITS


def _limits(*domains: str) -> str:
    lines = [
        "options:",
        "  limits:",
        "    description:",
        "      - Thresholds. Each is the value from which on a finding of that severity is made.",
        "    type: dict",
    ]
    if not domains:
        lines.append("    default: {}")
    lines.append("    suboptions:")
    for name, limit in LIMITS.items():
        if domains and name.split("_", 1)[0] not in domains:
            continue
        for level in ("warning", "critical"):
            value = getattr(limit, level)
            if value is not None:
                what = name.replace("_", " ")
                lines += [
                    "      %s_%s:" % (name, level),
                    "        description: '%s from which on it is %s (%s).'" % (what[0].upper() + what[1:], level, limit.source.replace("'", "''")),
                    "        type: float",
                    "        default: %s" % value,
                ]
    return "\n".join(lines) + "\n"


class ModuleDocFragment:
    """aiops.runbook.limits for all thresholds, aiops.runbook.limits.postgres and so on for those of one domain, aiops.runbook.limits.parts for
    those of one component or route of a stack.
    """

    # The types are there for ansible-test: its yamllint takes every plain assignment in this class for a literal.
    DOCUMENTATION: str = _limits()
    POSTGRES: str = _limits("postgres")
    REDIS: str = _limits("redis")
    CELERY: str = _limits("celery")
    HTTP: str = _limits("http")
    CONTAINER: str = _limits("container", "startup", "log")
    PARTS = r"""
options:
  component_limits:
    description:
      - Thresholds for one component, as C({component}) to a dictionary like O(limits).
    type: dict
    default: {}
  route_limits:
    description:
      - Thresholds for one route, as C({path}) to a dictionary like O(limits).
    type: dict
    default: {}
"""
