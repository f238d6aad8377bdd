# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observe a whole stack: find its parts, then ask all of them at once."""

from __future__ import annotations

from functools import partial
from typing import Any

from ansible_collections.aiops.runbook.plugins.module_utils.model import why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.document import Document
from ansible_collections.aiops.runbook.plugins.module_utils.observe.packet_filter import looks
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Options, Scene
from ansible_collections.aiops.runbook.plugins.module_utils.observe.servers import Servers
from ansible_collections.aiops.runbook.plugins.module_utils.observe.ways import Ways
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Platform
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

EVENTS_SECONDS = 3600


def observe_stack(platform: Platform, mask: Mask, options: Options) -> dict[str, Any]:
    """Everything that can be known of a stack now, as one JSON document without a secret (its shape: docs/architecture.md)."""
    return observe_scene(Scene(platform, mask, options))


def observe_scene(scene: Scene) -> dict[str, Any]:
    """The same of a scene that is not discovered yet; afterwards it is, with everything raw that it has met."""
    platform, options = scene.platform, scene.options
    # What the files ask for costs a process: asked at once where they may ask for something else, and later where something turns out to be ill.
    wanted = {"wanted": partial(platform.wanted, options.timeout)}
    early = wanted if not_well(scene.components) or platform.may_differ() else {}
    # What nothing else waits for is asked meanwhile.
    background = scene.probes.begin(
        {
            "identity": platform.identity,
            "events": partial(platform.events, scene.started - EVENTS_SECONDS),
            "outsiders": platform.outsiders,
            **early,
            **{"memory:" + one.id: partial(platform.memory, one) for one in scene.running()},
        },
        timeout=options.timeout * 2,
    )
    scene.discover()
    servers = Servers(scene)
    answers = scene.probes.gather({**servers.asking(), **Ways(scene).asking()}) if options.ask_servers else {}
    document = Document(scene)
    seen = document.write(servers.found, answers, background.answers())
    if options.ask_servers and may_matter(seen):
        # What costs a process is asked where something is ill.
        later = scene.probes.gather({**({} if early else wanted), **looks(scene, seen["reach"])})
        if "wanted" in later:
            seen["drift"] = document.drift(later["wanted"])
        for place, fact in enumerate(seen["reach"]):
            if "filter:%d" % place in later:
                fact["filter"] = later["filter:%d" % place]
    return document.close(seen)


def not_well(components: list[Component]) -> bool:
    """Whether an instance is ill by its state alone; one that ended in good order is not."""
    found = [one for component in components for one in component.instances if not one.one_off]
    return any(not one.running and (one.state != "exited" or one.exit_code != 0) or (one.health or {}).get("status") == "unhealthy" for one in found)


def may_matter(seen: dict[str, Any]) -> bool:
    """Whether these observations hold anything that the project's files could explain: a way that leads nowhere, an account that is refused."""
    servers = [facts for domain in ("postgres", "redis", "celery", "http") for facts in seen[domain].values()]
    routes = [route for facts in seen["http"].values() for route in (facts.get("routes") or {}).values()] + seen["outside"]
    return (
        not seen["outside"]
        or not all(fact.get("connects") for fact in seen["reach"] + seen["outside"])
        or any(why_unseen(facts.get("answers")) for facts in servers)
        or any(account["accepted"] is not True for facts in [*servers, *seen.get("doors", {}).values()] for account in facts.get("accounts") or [])
        # A route that is not offered is no illness.
        or any((route.get("status") or 500) >= 400 and route.get("status") != 404 for route in routes)
        or any(one["kind"].endswith("_auth") for component in seen["components"].values() for one in component["logs"].get("signatures", []))
    )
