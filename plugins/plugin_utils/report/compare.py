# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is new, gone and still there since the report before, by the keys of the findings."""

from __future__ import annotations

from typing import Any

from ansible_collections.aiops.runbook.plugins.plugin_utils.report.clean import unseen_ids


def compare(model: dict[str, Any], previous: dict[str, Any] | None, path: str | None = None) -> dict[str, Any]:
    """{previous, new, fixed, persisting, unverified}: a finding that can no longer be looked for is not fixed, it is unverified."""
    keys = [item["key"] for item in model["findings"]]
    if not previous:
        return {"previous": None, "new": keys, "fixed": [], "persisting": [], "unverified": []}
    before = {item["key"]: item.get("title") or item["key"] for item in previous.get("findings") or [] if isinstance(item, dict) and item.get("key")}
    now = set(keys)
    unseen = {(check, item["component"]) for item in model["unknown"] for check in unseen_ids(item)}
    gone = [{"key": key, "title": title} for key, title in before.items() if key not in now]
    return {
        "previous": path,
        "new": [key for key in keys if key not in before],
        "fixed": [item for item in gone if not _unseen(item["key"], unseen)],
        "persisting": [key for key in keys if key in before],
        "unverified": [item for item in gone if _unseen(item["key"], unseen)],
    }


def _unseen(key: str, unseen: set[tuple[str, str]]) -> bool:
    """Whether this finding could not be looked for: a key is <id>@<component>, with >about or #number behind it."""
    finding, _at, place = key.partition("@")
    component = place.split(">")[0].split("#")[0]
    return (finding, component) in unseen or ("stack.unreachable", "stack") in unseen
