# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Compose project's own files: what they make of a service, whether that is what runs, and a service made anew from them."""

from __future__ import annotations

import contextlib
import copy
import fcntl
import json
import os
import re
import subprocess
import time
from dataclasses import dataclass, field
from typing import Any, Iterable, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform.compose import LABEL, made_from
from ansible_collections.aiops.runbook.plugins.module_utils.secret import ending

# Beside the project's own files, and read after them.
OVERRIDE = "compose.aiops-runbook.yml"
CONFIG_SECONDS = 20
UP_SECONDS = 180
# In an override: the name is not to be set at all, whatever the files before it say of it.
RESET = "!reset null"


@dataclass
class Sources:
    """The files that a service's containers were made from, as their labels say."""

    files: list[str]
    folder: str
    env_files: list[str] = field(default_factory=list)

    @property
    def override(self) -> str:
        """Where our own changes to services of these files are kept."""
        return os.path.join(self.folder, OVERRIDE)

    @property
    def dotenv(self) -> list[str]:
        """The files that ${…} is filled from, the strongest last."""
        return self.env_files or [os.path.join(self.folder, ".env")]


class Project:
    """The files of one Compose project, by the docker command of this host."""

    def __init__(self, platform: Any) -> None:
        self.platform = platform
        self.name: str = platform.project

    def labels(self, service: str) -> dict[str, str]:
        return dict(self.platform.labels.get(service) or {})

    def sources(self, service: str) -> Sources:
        """Where a service is defined; Refused where that cannot be read here."""
        files, folder, env_files = made_from(self.labels(service))
        missing = [name for name in files if not os.path.isfile(name)]
        if not files or missing:
            raise Refused(
                "the Compose files that %s was made from cannot be read here (%s)" % (service, ", ".join(missing) or "its label names none"),
                fix="act on the host and with the user that deploys the project, or change the files by hand and run: docker compose up -d %s" % service,
            )
        return Sources(files, folder or os.path.dirname(files[0]), [name for name in env_files if os.path.isfile(name)])

    def run(
        self, sources: Sources, arguments: Iterable[str], timeout: float, extra_files: Iterable[str] = (), document: Any = None, held: int | None = None
    ) -> str:
        """The output of a docker compose command on these files; StackError with its words.

        document: instead of the files, as config() gives it. held: a file that the command keeps open as long as it runs.
        """
        arguments = list(arguments)
        files = ["-"] if document is not None else [*sources.files, *extra_files]
        fed: dict[str, Any] = {} if document is None else {"input": json.dumps(document).encode("utf-8", "surrogateescape")}
        kept = [] if held is None else [held]
        try:
            done = self.platform.compose(files, sources.folder, sources.env_files, arguments, timeout, cwd=sources.folder, pass_fds=kept, **fed)
        except FileNotFoundError as error:
            raise Refused("the docker command with its plugin compose is not on this host", fix="run the role aiops.runbook.prepare on it") from error
        except subprocess.TimeoutExpired as error:
            raise StackError("docker compose %s did not end within %d s" % (arguments[0], timeout), kind="timeout") from error
        if done.returncode != 0:
            raise StackError("docker compose: %s" % ending(done.stderr.decode("utf-8", "replace").strip(), 300), kind="compose_failed")
        return done.stdout.decode("utf-8", "replace")

    def config(self, sources: Sources, interpolate: bool = True, extra_files: Iterable[str] = ()) -> dict[str, Any]:
        """The project as docker compose reads it. interpolate: False leaves ${…} as it stands in the files."""
        arguments = ["config", "--format", "json"] + ([] if interpolate else ["--no-interpolate"])
        found = json.loads(self.run(sources, arguments, CONFIG_SECONDS, extra_files))
        return found if isinstance(found, dict) else {}

    def hashes(self, sources: Sources, extra_files: Iterable[str] = ()) -> dict[str, str]:
        """The hash of every service's definition, as its containers' labels carry it."""
        return self.hashes_of(sources, self.config(sources, extra_files=extra_files))

    def hashes_of(self, sources: Sources, document: dict[str, Any]) -> dict[str, str]:
        """The same of what config() gave: asked of the files themselves, compose leaves the content of an env_file out."""
        lines = self.run(sources, ["config", "--hash", "*"], CONFIG_SECONDS, document=document).splitlines()
        return dict(line.split()[:2] for line in lines if len(line.split()) >= 2)

    def drifted(self, service: str, sources: Sources, running: dict[str, str | None] | None = None, document: dict[str, Any] | None = None) -> bool:
        """Whether the files make something else of a service than what runs.

        running: settings whose running values (None: not set) are assumed in the files; only what differs besides them counts.
        """
        document = copy.deepcopy(document or self.config(sources))
        settings = document.get("services", {}).get(service, {}).setdefault("environment", {})
        for name, value in (running or {}).items():
            if value is None:
                settings.pop(name, None)
            else:
                settings[name] = escaped(value)
        made = self.definitions(service, sources, document)
        return not all(made) or any(one.config_hash not in made for one in self._standing(service))

    def definitions(self, service: str, sources: Sources, document: dict[str, Any]) -> tuple[str, str]:
        """The hashes of a service's definition: as a deploy of the whole makes it, and as `up --no-deps` does, which leaves depends_on out."""
        whole = self.hashes_of(sources, document).get(service, "")
        if not (document.get("services") or {}).get(service, {}).get("depends_on"):
            return whole, whole
        alone = copy.deepcopy(document)
        alone["services"][service].pop("depends_on")
        return whole, self.hashes_of(sources, alone).get(service, "")

    def definition(self, service: str, sources: Sources, document: dict[str, Any]) -> str:
        """The one of the two that up() will make."""
        return self.definitions(service, sources, document)[0 if self._by_create(service, sources, document) else 1]

    def _by_create(self, service: str, sources: Sources, document: dict[str, Any]) -> bool:
        """Whether a service can be made as in a deploy of the whole (its containers keep telling what they depend on) without touching another.

        `up` would start a migration again that has ended; `create` starts nothing, but makes anew what differs from the files.
        """
        if not self.labels(service).get(LABEL + "depends_on"):
            return False
        services = document.get("services") or {}
        below: set[str] = set()
        left = [service]
        while left:
            found = set((services.get(left.pop()) or {}).get("depends_on") or {}) - below - {service}
            below |= found
            left += found
        made = self.hashes_of(sources, document)
        for name in below:
            copies = self._standing(name)
            if not copies or any(one.config_hash != made.get(name) or self.platform.image_id(one.image) != one.image_id for one in copies):
                return False
        return bool(below)

    def _standing(self, service: str) -> list[Any]:
        found = self.platform.components_by_id.get(service)
        return [one for one in found.instances if not one.one_off] if found else []

    def refuse_drift(self, service: str, sources: Sources, running: dict[str, str | None] | None = None, document: dict[str, Any] | None = None) -> None:
        """`up` would also deploy every unreleased edit of the files, and an image built since: that is nobody's wish."""
        document = document or self.config(sources)
        if self.drifted(service, sources, running, document):
            names = [name for name in self.differing(service, document) if name not in (running or {})]
            what = "other settings: %s" % ", ".join(names) if names else "something else than what runs"
            raise Refused(
                "%s: the project's files ask for %s (edited since, or deployed with other files, variables or another version of Compose); "
                "making it anew would deploy that, too" % (service, what),
                fix="deploy or take back that edit first: docker compose up -d %s, then diagnose again" % service,
            )
        for one in self._standing(service):
            present = self.platform.image_id(one.image)
            if present == one.image_id:
                continue
            if present:
                why = "the image %s is another one by now; making it anew would deploy that, too" % one.image
            else:
                why = "the image %s is not here any more; it cannot be made anew" % one.image
            raise Refused("%s: %s" % (one.name, why), fix="deploy it first: docker compose up -d %s, then diagnose again" % service)

    def differing(self, service: str, document: dict[str, Any]) -> list[str]:
        """The settings, by name, that the files set otherwise than the containers have them."""
        asked = settings_of(document, service)
        return sorted(name for name, value in asked.items() if any(one.environment.get(name) != value for one in self._standing(service)))

    def up(self, sources: Sources, services: Iterable[str], force: bool = False, scale: dict[str, int] | None = None) -> None:
        """Make the containers of these services as the files want them, and touch no other.

        As many as there are, whatever number the files name, unless scale says how many.
        """
        document = self.config(sources)
        for service in services:
            # What it depends on is not to be made anew by force.
            create = not force and self._by_create(service, sources, document)
            with self._alone(sources.folder) as held:
                count = (scale or {}).get(service) or self._count(service)
                options = ["--no-build", "--pull", "never", "--scale", "%s=%d" % (service, count)] + (["--force-recreate"] if force else [])
                if create:
                    self.run(sources, ["create", *options, service], UP_SECONDS, held=held)
                    for one in self.platform.copies(service):
                        if not one.running:
                            self.platform.start(one.id)
                else:
                    self.run(sources, ["up", "--detach", "--no-deps", *options, service], UP_SECONDS, held=held)

    def _count(self, service: str) -> int:
        """How many copies there are; one that is just taking another's place (an `up` that died) has the same number."""
        numbers = [re.search(r"-(\d+)$", one.name) for one in self.platform.copies(service)]
        return len({found.group(1) if found else "" for found in numbers}) or 1

    def wait_idle(self, sources: Sources) -> None:
        """Until no `up` of ours is under way, also none of a run that was killed."""
        with self._alone(sources.folder):
            pass

    @contextlib.contextmanager
    def _alone(self, folder: str) -> Iterator[int]:
        """Until an `up` of ours has ended, also one whose caller was killed: a second one would meet its containers half made."""
        handle = os.open(folder, os.O_RDONLY)
        try:
            end = time.monotonic() + UP_SECONDS
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= end:
                        raise StackError("another docker compose up of ours is still under way in %s" % folder, kind="timeout") from None
                    time.sleep(0.2)
            yield handle
        finally:
            os.close(handle)


def settings_of(document: dict[str, Any], service: str) -> dict[str, str | None]:
    """The environment of a service as config() gives it, in plain words; None for a name that is not set anywhere."""
    found = (document.get("services") or {}).get(service, {}).get("environment") or {}
    if isinstance(found, list):
        found = dict(entry.split("=", 1) if "=" in entry else (entry, None) for entry in found)
    return {name: None if value is None else str(value).replace("$$", "$") for name, value in found.items()}


def escaped(value: str) -> str:
    """A value as it must stand in a Compose file: a dollar sign is written twice."""
    return value.replace("$", "$$")


def changed_override(content: str | None, service: str, environment: dict[str, str | None] | None = None, definition: dict[str, Any] | None = None) -> str:
    """The text of our override file with further settings (RESET unsets; None leaves them to the shell) or keys of a service's definition.

    It is JSON (which is YAML, too) but for that one tag: no YAML library is needed where it is written, and there is no doubt about what is a text.
    """
    try:
        document = json.loads(content.replace(RESET, json.dumps(RESET))) if content else {}
    except ValueError as error:
        raise Refused(
            "%s was edited by hand and is not JSON any more" % OVERRIDE, fix="move what it says into the project's own files, and delete it"
        ) from error
    entry = document.setdefault("services", {}).setdefault(service, {})
    for name, value in (environment or {}).items():
        settings = entry.setdefault("environment", {})
        settings[name] = value if value is None or value == RESET else escaped(value)
    for key, value in (definition or {}).items():
        entry[key] = value
    return json.dumps(document, indent=2, sort_keys=True).replace(json.dumps(RESET), RESET) + "\n"
