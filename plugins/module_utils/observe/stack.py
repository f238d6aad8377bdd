# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observe a whole stack: find its parts, then ask all of them at once."""

from __future__ import annotations

from functools import partial
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.observe.document import Document
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Options, Scene
from ansible_collections.aiops.runbook.plugins.module_utils.observe.servers import Servers
from ansible_collections.aiops.runbook.plugins.module_utils.observe.ways import Ways
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Platform
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

EVENTS_SECONDS = 3600


def observe_stack(platform: Platform, mask: Mask, options: Options) -> dict[str, Any]:
    """Everything that can be known of a stack now, as one JSON document without a secret (its shape: docs/architecture.md)."""
    return observe_scene(Scene(platform, mask, options))


def observe_scene(scene: Scene) -> dict[str, Any]:
    """The same of a scene that is not discovered yet; afterwards it is, with everything raw that it has met."""
    platform, options = scene.platform, scene.options
    # What nothing else waits for is asked meanwhile.
    background = scene.probes.begin(
        {
            "identity": platform.identity,
            "events": partial(platform.events, scene.started - EVENTS_SECONDS),
            "wanted": partial(platform.wanted, options.timeout),
            "outsiders": platform.outsiders,
            **{"memory:" + one.id: partial(platform.memory, one) for one in scene.running()},
        },
        timeout=options.timeout * 2,
    )
    scene.discover()
    servers = Servers(scene)
    answers = scene.probes.gather({**servers.asking(), **Ways(scene).asking()}) if options.ask_servers else {}
    return Document(scene).write(servers.found, answers, background.answers())
