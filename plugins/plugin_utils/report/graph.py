# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the boxes and arrows of the topology stand: dependents on the left, what they depend on further right."""

from __future__ import annotations

from typing import Any

from ansible_collections.aiops.runbook.plugins.plugin_utils.report.figures import cut_columns

_MOST = 40  # more boxes than this is a table's work
_BOX = (156, 46)
_GAP = (64, 18)
_EDGE = 8


def layout(components: list[dict[str, Any]], edges: list[dict[str, Any]], states: dict[str, str]) -> dict[str, Any] | None:
    """{width, height, boxes, arrows} in pixels, or None where a picture would not help."""
    names = [str(item["id"]) for item in components if item.get("id")]
    if not 1 < len(names) <= _MOST:
        return None
    known = set(names)
    kinds: dict[tuple[str, str], set[str]] = {}
    for edge in edges:
        pair = (str(edge.get("from")), str(edge.get("to")))
        if pair[0] != pair[1] and known.issuperset(pair):
            kinds.setdefault(pair, set()).add(str(edge.get("kind") or ""))
    if not kinds:
        return None
    columns = _columns(names, list(kinds))
    places = {}
    tallest = max(map(len, columns))
    for x, column in enumerate(columns):
        offset = (tallest - len(column)) * (_BOX[1] + _GAP[1]) // 2
        for y, name in enumerate(column):
            places[name] = (_EDGE + x * (_BOX[0] + _GAP[0]), _EDGE + offset + y * (_BOX[1] + _GAP[1]))
    by_name = {str(item["id"]): item for item in components}
    return {
        "width": 2 * _EDGE + len(columns) * (_BOX[0] + _GAP[0]) - _GAP[0],
        "height": 2 * _EDGE + tallest * (_BOX[1] + _GAP[1]) - _GAP[1],
        "box": _BOX,
        "boxes": [_box(by_name[name], place, states.get(name, "ok")) for name, place in places.items()],
        "arrows": [
            _arrow(places[a], places[b], kinds[a, b], states.get(a) in ("cause", "affected") and states.get(b) in ("cause", "affected")) for a, b in kinds
        ],
    }


def _columns(names: list[str], pairs: list[tuple[str, str]]) -> list[list[str]]:
    """Names by their longest way to a component that needs nobody (the last column); a circle is cut where it closes."""
    uses: dict[str, list[str]] = {name: [] for name in names}
    for a, b in pairs:
        uses[a].append(b)
    used = {b for _a, b in pairs}
    height: dict[str, int] = {}
    begun: set[str] = set()

    def walk(name: str) -> int:
        if name not in begun:
            begun.add(name)
            height[name] = max((walk(other) + 1 for other in uses[name] if other not in begun or other in height), default=0)
        return height[name]

    for name in sorted(names, key=lambda name: name in used):
        walk(name)
    last = max(height.values())
    depth = {name: last - height[name] if uses[name] or name in used else 0 for name in names}
    columns: list[list[str]] = [[] for _level in range(last + 1)]
    for name in names:
        columns[depth[name]].append(name)
    for number in range(1, len(columns)):
        before = {name: y for column in columns[:number] for y, name in enumerate(column)}
        columns[number].sort(key=lambda name: _middle([before[a] for a, b in pairs if b == name and a in before]))
    return columns


def _middle(positions: list[int]) -> float:
    return sum(positions) / len(positions) if positions else 99.0


def _box(item: dict[str, Any], place: tuple[int, int], state: str) -> dict[str, Any]:
    return {
        "x": place[0],
        "y": place[1],
        "name": cut_columns(str(item["id"]), 18),
        "under": cut_columns(" · ".join(filter(None, [str(item.get("role") or ""), str(item.get("state") or "")])), 23),
        "state": state,
        "hint": "%s %s" % (item["id"], item.get("state") or ""),
    }


def _arrow(start: tuple[int, int], end: tuple[int, int], kinds: set[str], hot: bool) -> dict[str, Any]:
    backward = end[0] <= start[0]
    x1, y1 = start[0] + (0 if backward else _BOX[0]), start[1] + _BOX[1] // 2
    x2, y2 = end[0] + (_BOX[0] if backward else 0) - (0 if backward else 5), end[1] + _BOX[1] // 2
    bend = -40 if backward else max(30, (x2 - x1) // 2)
    return {"path": f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}", "kinds": ", ".join(sorted(filter(None, kinds))), "hot": hot}
