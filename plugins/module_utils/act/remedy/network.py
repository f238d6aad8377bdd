# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A component back on a network that its project's files give it."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import SAFE, Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance

ALIVE = ("running", "restarting", "paused")
FIXED = ("ipv4_address", "ipv6_address")


class NetworkConnect:
    """Connects each running copy of a component again as Compose would. params: networks, by the engine's names or those of the files."""

    name = "network_connect"

    def preview(self, stage: Stage, step: Step) -> Preview:
        asked = [str(name) for name in step.params.get("networks") or []]
        if not asked:
            raise Refused("nothing says which network is meant", fix="give networks", kind="bad_option")
        copies = [one for one in stage.instances(step.component) if one.state in ALIVE]
        if not copies:
            raise Refused("%s has no running copy" % step.component, fix="start it: component_start")
        if any(one.home_network.startswith(("host", "none", "container:")) for one in copies):
            raise Refused("%s has no network of its own (%s)" % (step.component, copies[0].home_network), fix="connect the one whose network it uses")
        given = seats(stage.project.config(stage.project.sources(step.component)), stage.project.name, step.component)
        ids: dict[str, str] = {}
        for name in asked:
            found = next((key for key, seat in given.items() if name in (key, seat["name"])), "")
            if not found:
                raise Refused(
                    "the project's files do not put %s on a network %s: they name %s" % (step.component, name, ", ".join(given) or "none"),
                    fix="add it to the service in the project's files, and deploy",
                )
            ids[found] = stage.platform.network(found)
            if not ids[found]:
                raise Refused("there is no network %s any more" % found, fix="make it with what belongs to it: docker compose up -d %s" % step.component)
        missing = [(one, name) for one in copies for name in sorted(ids) if name not in one.networks]
        fixed = [name for _one, name in missing if given[name]["fixed"]]
        if len(fixed) != len(set(fixed)):
            raise Refused("%s has a fixed address in %s, and several copies" % (step.component, fixed[0]), fix="take the address out of the project's files")
        return Preview(
            risk=SAFE,
            target={"containers": sorted(one.id for one in copies), "networks": ids},
            state=[
                {"container": one.id, "network": name, "aliases": aliases(one, step.component, given[name]), **given[name]["fixed"]} for one, name in missing
            ],
            diff=[
                {
                    "what": "container %s" % one.name,
                    "before": "on %s" % (", ".join(sorted(one.networks)) or "no network"),
                    "after": "on %s" % ", ".join(sorted([*one.networks, *(name for other, name in missing if other is one)])),
                }
                for one in copies
                if any(other is one for other, _name in missing)
            ],
            undo={"connected": [[one.id, ids[name]] for one, name in missing]},
            texts={"networks": sorted(ids)},
            touches=[step.component],
            changed=bool(missing),
        )

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        return {"networks": {one.name: one.networks for one in stage.instances(step.component)}}

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        there = {one.id: one.networks for one in stage.platform.copies(step.component)}
        for seat in preview.state:
            if seat["container"] in there and seat["network"] not in there[seat["container"]]:
                addresses = {key: seat[key] for key in FIXED if key in seat}
                stage.platform.connect_network(preview.target["networks"][seat["network"]], seat["container"], seat["aliases"], addresses)

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        there = {one.id: one for one in stage.platform.copies(step.component)}
        for seat in preview.state:
            one = there.get(seat["container"])
            on = one.networks.get(seat["network"]) if one else None
            if one is None or on is None:
                return "%s is not on %s" % (one.name if one else seat["container"][:12], seat["network"])
            lost = sorted(set(seat["aliases"]) - set(on["aliases"]))
            if lost:
                return "%s is not known as %s on %s" % (one.name, ", ".join(lost), seat["network"])
        return ""

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        for identity, network in reversed(record["connected"]):
            try:
                stage.platform.disconnect_network(network, identity)
            except StackError as error:
                # The engine refuses to disconnect what is not connected; what is gone needs no disconnecting.
                if error.kind != "not_found" and "not connected" not in error.message:
                    raise


# Pure.


def seats(document: Mapping[str, Any], project: str, service: str) -> dict[str, dict[str, Any]]:
    """Where the files put a service: {the engine's name of a network: {"name" (in the files), "aliases", "fixed" addresses}}."""
    known = document.get("networks") or {}
    found = {}
    for key, seat in ((document.get("services") or {}).get(service, {}).get("networks") or {}).items():
        name = (known.get(key) or {}).get("name") or "%s_%s" % (project, key)
        seat = seat or {}
        found[name] = {"name": key, "aliases": list(seat.get("aliases") or []), "fixed": {what: seat[what] for what in FIXED if seat.get(what)}}
    return found


def aliases(one: Instance, service: str, seat: Mapping[str, Any]) -> list[str]:
    """As Compose calls a container on a network."""
    return list(dict.fromkeys([one.name, service, *seat["aliases"]]))
