# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observations as one compressed string: a large result is otherwise parsed and templated again and again on its way."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from ansible.module_utils.common.parameters import remove_values


def pack(document: Any) -> str:
    """JSON, compressed, as text."""
    return base64.b64encode(zlib.compress(json.dumps(document).encode("utf-8"), 6)).decode("ascii")


def exit_packed(module: Any, documents: dict[str, Any], **result: Any) -> None:
    """End a module with these documents as packed texts.

    They hold no secret. Ansible blots its passwords out of any text that is returned, and a short one stands in every packed text by chance.
    """
    told = remove_values({"invocation": {"module_args": module.params}, **result}, module.no_log_values)
    module.no_log_values = set()
    module.exit_json(changed=False, **told, **{name: pack(document) for name, document in documents.items()})


def unpack(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text)))
