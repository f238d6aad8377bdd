# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What changing a component's settings has in common on every platform: which way it goes, whom it interrupts, how it is told without secrets."""

from __future__ import annotations

import re
from typing import Any, Callable, Iterable, Mapping, Protocol

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Preview
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.secret import MASK, SHORTEST, is_plain_url, is_secret_name

ABSENT = "(not set)"
# Whether another component, which has the same value from the same place, is to be corrected with it.
Also = Callable[[str], bool]


class Keeper(Protocol):
    """Where a platform keeps settings, and how they are changed there: a module of functions."""

    # The kinds of mounts whose file is kept where a remedy can change it.
    FILES: tuple[str, ...]

    def preview(
        self,
        stage: Stage,
        component: str,
        wanted: Mapping[str, str | None],
        texts: Mapping[str, Any] | None = None,
        hidden: Iterable[str] = (),
        also: Also | None = None,
    ) -> Preview:
        """What giving a component these settings (None: not set) would do. hidden: names whose values are secret, whatever they are called.

        also: asked of others who read the same; None: nobody else is to notice.
        """

    def preview_file(self, stage: Stage, component: str, source: str, content: str, texts: Mapping[str, Any], also: Also | None = None) -> Preview:
        """The same for a secret that is read from a mounted file. source: as Instance.mounts names it."""

    def apply(self, stage: Stage, component: str, preview: Preview) -> None:
        """Write it, and see to it that the component runs with it."""

    def verify(self, stage: Stage, component: str, preview: Preview) -> str:
        """What of it has not come about."""

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        """Everything as it was kept, and the component as it was made from that; whether it is well then is not asked."""

    def again(self, stage: Stage, component: str) -> str:
        """The command by which a person lets a component take what is kept for it."""


def own_name(environment: Mapping[str, str], name: str) -> str:
    if name in environment:
        return name
    alike = [other for other in environment if other.lower() == name.lower()]
    return alike[0] if len(alike) == 1 else name


def shown(stage: Stage, what: str, name: str, before: str | None, after: str | None, secret: bool = False) -> dict[str, str]:
    """One line of a difference, without secrets."""
    secret = secret or is_secret_name(name)
    texts = [ABSENT if value is None else MASK if secret and value else _masked(stage, bare_url(value)) for value in (before, after)]
    if texts[0] == texts[1] and before != after:
        texts[1] += " (another value)"
    return {"what": what, "before": texts[0], "after": texts[1]}


def _masked(stage: Stage, text: str) -> str:
    return text if is_plain_url(text) else stage.mask.text(text)


def bare_url(value: str) -> str:
    """A URL without its password: the rest of it may be seen, though the whole is known as a secret."""
    return re.sub(r"(://[^\s:/@]*:).+(?=@)", r"\1" + MASK, value, flags=re.DOTALL)


def secrets_among(wanted: Mapping[str, Any]) -> list[str]:
    """Those of the values that a person gave for settings that Ansible is not to show; a shorter one would be blotted out of every text."""
    texts = [(name, str(value)) for name, value in wanted.items() if not isinstance(value, Mapping)]
    return [text for name, text in texts if len(text) >= SHORTEST and (is_secret_name(name) or bare_url(text) != text)]


def with_end_of(present: str, content: str) -> str:
    """A content with the line end of another: not every program takes it off."""
    return content + present[len(present.rstrip("\r\n")) :]
