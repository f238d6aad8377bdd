# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which database of which Redis is whose broker: by what settings say, by their names, and by where a broker's keys were seen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.model import WORKING
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Scene
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import Target

# Whose broker is named in code may call it just "REDIS_URL"; other settings of the same kind say what else they are for.
CELERY_NAME = re.compile(r"(^|_)CELERY(_|$)", re.IGNORECASE)
OTHER_USE = re.compile(
    r"(^|_)(RATE_?LIMIT\w*|LIMITS?|LIMITER\w*|THROTTL\w*|SESSIONS?|CACHE\w*|\w*LOCKS?|REDLOCK\w*|SOCKET_?IO|SIO|WEBSOCKETS?|WS|CHANNELS?|CHANNEL_LAYERS?|"
    r"PUBSUB|EVENTS?|STREAMS?|RESULTS?|REDBEAT|ANALYTICS|METRICS|FEATURES?|FLAGS?|TOKENS?|BLACKLIST|BLOCKLIST|MEMORY|VECTORS?)(_|$)",
    re.IGNORECASE,
)
# Whether the keys of a broker were seen in a database of a server; asked only where settings alone do not tell.
Holds = Callable[[str, int], bool]


@dataclass(frozen=True)
class Place:
    """A database of a Redis, and the setting of a component that leads there."""

    server: str
    database: int
    target: Target

    @property
    def where(self) -> tuple[str, int]:
        return self.server, self.database

    @property
    def is_named(self) -> bool:
        """Whether the setting says itself that a broker is there."""
        return self.target.kind == "broker"

    @property
    def has_other_use(self) -> bool:
        return not self.is_named and bool(OTHER_USE.search(self.target.setting))


def not_looked(_server: str, _database: int) -> bool:
    """For who has seen no server yet."""
    return False


class Brokers:
    """The brokers of a scene. clients: the targets that lead to each Redis, by its name."""

    def __init__(self, scene: Scene, clients: Mapping[str, list[Target]]) -> None:
        self.scene = scene
        self.clients = clients

    def candidates(self, component: str) -> list[Place]:
        """What a component's settings may mean by its broker: those that say so, else every plain Redis of one that works. Each place once."""
        kinds = ("broker",)
        if self.scene.role_of(component) in WORKING and not self._is_told_of_one(component):
            kinds = ("redis",)
        found: dict[tuple[str, int], Place] = {}
        for server, targets in self.clients.items():
            for target in targets:
                if target.component != component or target.kind not in kinds:
                    continue
                place = Place(server, int(target.database) if target.database.isdigit() else 0, target)
                known = found.setdefault(place.where, place)
                if _telling(place) < _telling(known):
                    found[place.where] = place
        return list(found.values())

    def of(self, component: str, holds: Holds = not_looked) -> Place | None:
        """The broker of a component; None where its settings name none, or nothing tells which of several it is."""
        places = self.candidates(component)
        places = [place for place in places if _telling(place) == 0] or places
        if len(places) == 1 and not places[0].has_other_use:
            return places[0]
        ranked = [((not holds(*place.where), place.has_other_use), place) for place in places]
        best = min((rank for rank, _place in ranked), default=(True, True))
        hits = [place for rank, place in ranked if rank == best]
        # What is for something else, and holds nothing of a broker, is none.
        return hits[0] if len(hits) == 1 and best != (True, True) else None

    def at(self, server: str, holds: Holds = not_looked, component: str = "") -> list[Place]:
        """The databases of a Redis that are somebody's broker, or this component's: the workers' own first."""
        found: list[tuple[bool, bool, Place]] = []
        for one in self.scene.components:
            if component in ("", one.id):
                told = self.of(one.id, holds)
                # Who sends tasks may do so to several.
                for place in [told] if told else [place for place in self.candidates(one.id) if place.is_named]:
                    found.append((one.role != "worker", not place.is_named, place))
        distinct: dict[int, Place] = {}
        for _rank, _named, place in sorted(found, key=lambda entry: entry[:2]):
            if place.server == server:
                distinct.setdefault(place.database, place)
        return list(distinct.values())

    def untold(self, holds: Holds = not_looked) -> dict[str, list[Place]]:
        """Who works on tasks, and of whom nothing tells which of these places its broker is; beat only where no worker is told of any."""
        for role in WORKING:
            working = {one.id: self.candidates(one.id) for one in self.scene.components if one.role == role}
            if any(working.values()):
                return {name: places for name, places in working.items() if places and self.of(name, holds) is None}
        return {}

    def names_none(self, component: str) -> bool:
        """Whether no setting of a component leads to anything that may be its broker, of whatever kind."""
        return not self.candidates(component) and not any(_is_another_broker(target) for target in self.scene.targets.get(component, []))

    def _is_told_of_one(self, component: str) -> bool:
        """Whether a setting of it names a broker, be it one of a kind that is not looked at."""
        return any(target.kind == "broker" or _is_another_broker(target) for target in self.scene.targets.get(component, []))


def _is_another_broker(target: Target) -> bool:
    """Whether a setting names a server of a kind that is not looked at, which is a broker: of PostgreSQL it is only a socket's file."""
    return target.kind == "unsupported" and not target.scheme.startswith("postgres")


def _telling(place: Place) -> int:
    """How much a setting's name says of a broker; less is more."""
    return 2 if place.has_other_use else 0 if CELERY_NAME.search(place.target.setting) else 1
