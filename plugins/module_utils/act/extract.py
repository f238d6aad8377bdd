# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of a step's evidence goes into its record: bounded, so that a report can hold it; all of it stays where the stack lives. Pure."""

from __future__ import annotations

from typing import Any, Callable, Iterator, Mapping

MOST_PARTS = 6
MOST_LINES = 20
LONGEST_LINE = 300


def extract(evidence: Mapping[str, Any], hide: Callable[[str], str]) -> list[dict[str, Any]]:
    """[{"what": "logs of api", "lines": the last ones, "left_out": how many came before them}], from what a remedy's evidence() gave.

    hide: what replaces the secrets in a text.
    """
    found = []
    for what, value in list(_parts(evidence))[:MOST_PARTS]:
        lines = _lines(value)
        if lines:
            kept = [hide(line)[:LONGEST_LINE] for line in lines[-MOST_LINES:]]
            found.append({"what": hide(what), "lines": kept, "left_out": len(lines) - len(kept)})
    return found


def _parts(evidence: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each list or text by its name; {"logs": {"api": […]}} is "logs of api"."""
    for name, value in evidence.items():
        if isinstance(value, Mapping) and value and all(isinstance(inner, (list, Mapping)) for inner in value.values()):
            yield from (("%s of %s" % (name, key), inner) for key, inner in value.items())
        else:
            yield name, value


def _lines(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return ["%s: %s" % (key, _said(inner)) for key, inner in value.items() if inner not in (None, "")]
    entries = value if isinstance(value, list) else [] if value in (None, "") else [value]
    return [line for entry in entries for line in _said(entry).splitlines() or [""]]


def _said(value: Any) -> str:
    """One value in a line."""
    if isinstance(value, Mapping):
        return ", ".join("%s: %s" % (key, _said(inner)) for key, inner in value.items() if inner not in (None, ""))
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_said, value))
    return str(value)
