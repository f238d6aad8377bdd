# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Docker engine's API, by the Docker SDK for Python."""

from __future__ import annotations

from typing import Any, Callable, TypeVar

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

IMPORT_ERROR = ""
try:
    import docker
    import docker.errors
    import requests.exceptions
except ImportError as error:
    docker = None
    IMPORT_ERROR = str(error)

Answer = TypeVar("Answer")


class Engine:
    """One engine. Every call has a time-out; what goes wrong is a StackError.

    url: like DOCKER_HOST (unix:///var/run/docker.sock, tcp://…); None takes the environment's.
    """

    def __init__(self, url: str | None = None, timeout: float = 10.0) -> None:
        if docker is None:
            raise StackError(
                "the Python library docker is missing on this host (%s): run the role aiops.runbook.prepare on it" % IMPORT_ERROR,
                kind="missing_library",
            )
        self.url = url
        settings: dict[str, Any] = {"version": "auto", "timeout": timeout}
        if url:
            settings["base_url"] = url
        else:
            settings.update(docker.utils.kwargs_from_env())
        self.api = self.ask(lambda: docker.APIClient(**settings))
        if self.api.base_url.startswith("http+docker:"):
            self.api.trust_env = False  # no proxy stands before a socket, and to look for one is half the cost of a call

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """Call the API; translate its failures."""
        where = self.url or "the local socket"
        try:
            return question()
        except docker.errors.NotFound as error:
            raise StackError("not found: %s" % (error.explanation or error), kind="not_found") from error
        except docker.errors.APIError as error:
            # It may quote the command of a container that cannot be started.
            raise StackError("the Docker engine refused: %s" % Mask().text(str(error.explanation or error)), kind="refused") from error
        except requests.exceptions.Timeout as error:
            raise StackError("the Docker engine at %s did not answer in time" % where, kind="timeout") from error
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            text = str(error)
            if "Permission" in text:
                raise StackError(
                    "no permission to use the Docker engine at %s: run as root, or as a member of the group docker" % where,
                    kind="denied",
                    fix="sudo usermod -aG docker $USER, then log in again; or set become: true",
                ) from error
            raise StackError("no Docker engine answers at %s: is the daemon running?" % where, kind="unreachable", fix="systemctl start docker") from error
