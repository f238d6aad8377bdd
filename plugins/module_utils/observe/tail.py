# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The log lines of all components in the order of their time, with the stack's secrets hidden."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Platform
from ansible_collections.aiops.runbook.plugins.module_utils.probes import Probes
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask, is_secret_name


def read_tail(platform: Platform, mask: Mask, names: Iterable[str], minutes: float, tail: int, contains: str, timeout: float) -> dict[str, Any]:
    """{"lines": [{"component", "instance", "line"}], "unread": [{"component", "instance", "reason"}]}.

    names: the components; none of them means all. tail: lines of each instance at most. contains: keep only lines with this text.
    """
    components = platform.components()
    known = {component.id for component in components}
    wanted = set(names)
    if wanted - known:
        raise StackError("components: there is no %s; the components are %s" % (", ".join(sorted(wanted - known)), ", ".join(sorted(known))), kind="bad_option")
    for component in components:
        for one in component.instances:
            for name, value in one.environment.items():
                if is_secret_name(name):
                    mask.learn(value)
            for value in one.secret_values:
                mask.learn(value)
    unread: list[dict[str, Any]] = []
    instances = [(component.id, one) for component in components for one in component.instances if not wanted or component.id in wanted]
    for name in sorted({name for name, one in instances if not one.asked}):
        count = sum(1 for other, one in instances if other == name and not one.asked)
        unread.append({"component": name, "instance": "", "reason": "%d more copies, alike, were not read" % count})
    instances = [(name, one) for name, one in instances if one.asked]
    answers = Probes(timeout).gather({one.id: partial(platform.logs, one, time.time() - minutes * 60, tail) for _name, one in instances})
    lines = []
    for name, one in instances:
        why = why_unseen(answers[one.id])
        if why:
            unread.append({"component": name, "instance": one.name, "reason": why["reason"]})
            continue
        lines += [{"component": name, "instance": one.name, "line": mask.text(line)} for line in answers[one.id] if contains in line]
    # Each line begins with its time in RFC 3339, all in UTC: text order is time order.
    return {"lines": sorted(lines, key=lambda entry: entry["line"]), "unread": unread}
