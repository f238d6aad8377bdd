# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Compose project's own files: what they make of a service, whether that is what runs, and a service made anew from them."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from typing import Any, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

LABEL = "com.docker.compose."
# Beside the project's own files, and read after them.
OVERRIDE = "compose.aiops-runbook.yml"
CONFIG_SECONDS = 20
UP_SECONDS = 180


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
        labels = self.labels(service)
        files = [name for name in labels.get(LABEL + "project.config_files", "").split(",") if name]
        missing = [name for name in files if not os.path.isfile(name)]
        if not files or missing:
            raise Refused(
                "the Compose files that %s was made from cannot be read here (%s)" % (service, ", ".join(missing) or "its label names none"),
                fix="act on the host and with the user that deploys the project, or change the files by hand and run: docker compose up -d %s" % service,
            )
        env_files = [name for name in labels.get(LABEL + "project.environment_file", "").split(",") if name and os.path.isfile(name)]
        return Sources(files, labels.get(LABEL + "project.working_dir") or os.path.dirname(files[0]), env_files)

    def run(self, sources: Sources, arguments: Iterable[str], timeout: float, extra_files: Iterable[str] = ()) -> str:
        """The output of a docker compose command on these files; StackError with its words."""
        command = ["docker", "compose", "--project-name", self.name, "--project-directory", sources.folder]
        for name in [*sources.files, *extra_files]:
            command += ["--file", name]
        for name in sources.env_files:
            command += ["--env-file", name]
        command += ["--profile", "*", *arguments]
        settings = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "DOCKER_CONFIG")}
        if self.platform.engine.url:
            settings["DOCKER_HOST"] = self.platform.engine.url
        try:
            done = subprocess.run(command, env=settings, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
        except FileNotFoundError as error:
            raise Refused("the docker command with its plugin compose is not on this host", fix="run the role aiops.runbook.prepare on it") from error
        except subprocess.TimeoutExpired as error:
            raise StackError("docker compose %s did not end within %d s" % (command[-1], timeout), kind="timeout") from error
        if done.returncode != 0:
            raise StackError("docker compose: %s" % done.stderr.decode("utf-8", "replace").strip()[-300:], kind="compose_failed")
        return done.stdout.decode("utf-8", "replace")

    def config(self, sources: Sources, interpolate: bool = True, extra_files: Iterable[str] = ()) -> dict[str, Any]:
        """The project as docker compose reads it. interpolate: False leaves ${…} as it stands in the files."""
        arguments = ["config", "--format", "json"] + ([] if interpolate else ["--no-interpolate"])
        return json.loads(self.run(sources, arguments, CONFIG_SECONDS, extra_files))

    def hashes(self, sources: Sources, extra_files: Iterable[str] = ()) -> dict[str, str]:
        """The hash of every service's definition, as its containers' labels carry it."""
        lines = self.run(sources, ["config", "--hash", "*"], CONFIG_SECONDS, extra_files).splitlines()
        return dict(line.split()[:2] for line in lines if len(line.split()) >= 2)

    def drifted(self, service: str, sources: Sources, running: dict[str, str] | None = None) -> bool:
        """Whether the files make something else of a service than what runs.

        running: settings whose running values are assumed in the files; only what differs besides them counts.
        """
        content = {"services": {service: {"environment": {key: escaped(value) for key, value in (running or {}).items()}}}}
        if not running:
            return self.hashes(sources).get(service) != self.labels(service).get(LABEL + "config-hash")
        with tempfile.NamedTemporaryFile("w", suffix=".yml", prefix="aiops-runbook-") as extra:  # 0600
            json.dump(content, extra)
            extra.flush()
            return self.hashes(sources, [extra.name]).get(service) != self.labels(service).get(LABEL + "config-hash")

    def refuse_drift(self, service: str, sources: Sources, running: dict[str, str] | None = None) -> None:
        """`up` would also deploy every unreleased edit of the files: that is nobody's wish."""
        if self.drifted(service, sources, running):
            raise Refused(
                "%s: the project's files ask for something else than what runs (edited since, or deployed with other files or variables); "
                "making it anew would deploy that, too" % service,
                fix="deploy or take back that edit first: docker compose up -d %s, then diagnose again" % service,
            )

    def up(self, sources: Sources, services: Iterable[str], force: bool = False) -> None:
        """Make the containers of these services as the files want them, and touch no other."""
        options = ["up", "--detach", "--no-deps", "--no-build", "--pull", "never"] + (["--force-recreate"] if force else [])
        self.run(sources, [*options, *services], UP_SECONDS)


def escaped(value: str) -> str:
    """A value as it must stand in a Compose file: a dollar sign is written twice."""
    return value.replace("$", "$$")


def changed_override(content: str | None, service: str, environment: dict[str, str | None] | None = None, definition: dict[str, Any] | None = None) -> str:
    """The text of our override file with further settings (None unsets) or keys of a service's definition.

    It is JSON, which is YAML, too: no YAML library is needed where it is written, and there is no doubt about what is a text.
    """
    try:
        document = json.loads(content) if content else {}
    except ValueError as error:
        raise Refused("%s was edited by hand and is not JSON any more" % OVERRIDE, fix="move what it says into the project's own files, and delete it") from error
    entry = document.setdefault("services", {}).setdefault(service, {})
    for name, value in (environment or {}).items():
        settings = entry.setdefault("environment", {})
        settings[name] = None if value is None else escaped(value)
    for key, value in (definition or {}).items():
        entry[key] = value
    return json.dumps(document, indent=2, sort_keys=True) + "\n"
