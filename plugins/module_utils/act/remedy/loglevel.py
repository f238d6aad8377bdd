# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A component that tells more for a while: the variable that it reads is set, and put back by itself."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.later import put_back_later
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.env import ChangedSettings, keeper
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
NUMBERS = {"DEBUG": "10", "INFO": "20", "WARNING": "30", "ERROR": "40", "CRITICAL": "50"}
# As programs write the other one of what they have.
SWITCHES = (("false", "true"), ("False", "True"), ("FALSE", "TRUE"), ("0", "1"), ("no", "yes"), ("off", "on"), ("n", "y"), ("f", "t"))
DEFAULT_MINUTES = 15.0
MOST_MINUTES = 24 * 60.0

_LEVEL = re.compile(r"^(?:.*_)?LOG_?LEVEL$", re.IGNORECASE)
_DEBUG = re.compile(r"^(?:.*_)?DEBUG$", re.IGNORECASE)
LEVEL_LINES = 'import logging, os\nlogging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO").upper())'
DEBUG_LINES = 'app = FastAPI(debug=os.environ.get("DEBUG", "false").lower() in ("1", "true", "yes"))'


class LogLevel(ChangedSettings):
    """Sets the level at which a component logs, for a while. params: level, debug (at least one), minutes."""

    name = "log_level"

    def preview(self, stage: Stage, step: Step) -> Preview:
        if stage.platform.name == "kubernetes":
            raise Refused(
                "on a cluster nothing would put the level of %s back by itself" % step.component,
                fix="set it by stack_env, and take that back by undo afterwards",
            )
        minutes = float(step.params.get("minutes") or DEFAULT_MINUTES)
        if not 0 < minutes <= MOST_MINUTES:
            raise Refused("minutes is not a number up to %d" % MOST_MINUTES, kind="bad_option")
        copies = stage.instances(step.component)
        wanted = wanted_settings(copies[0].environment if copies else {}, step.component, step.params)
        preview = keeper(stage).preview(stage, step.component, wanted, {"minutes": "%g" % minutes})
        if not preview.changed:
            return preview
        self._refuse_raised(stage, step.component)
        # What is put back in a while has no place in anybody's files.
        return replace(preview, back_after_seconds=60 * minutes, lasting=[])

    def _refuse_raised(self, stage: Stage, component: str) -> None:
        """Two that are put back after one another would put back each other's values."""
        for journal in stage.records.runs():
            for number in journal.open_steps():
                acting = journal.last("acting", number) or {}
                if (acting.get("remedy"), acting.get("component")) == (self.name, component) and acting.get("until"):
                    raise Refused(
                        "%s logs at another level already, by the run %s, until %s"
                        % (component, journal.name, time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(acting["until"]))),
                        fix="take that back first: ansible-playbook aiops.runbook.undo -e run=%s" % journal.name,
                    )

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        # First: whatever becomes of this task, the level does not stay.
        put_back_later(stage, step.number, self.undo)
        super().apply(stage, step, preview)


# Pure.


def wanted_settings(environment: Mapping[str, str], component: str, params: Mapping[str, Any]) -> dict[str, str]:
    """What is to be set for a level or for debugging, in the words that the present values use; Refused where the program reads no such variable."""
    level, debug = params.get("level"), params.get("debug")
    if not level and debug is None:
        raise Refused("nothing says how it is to log", fix="give level or debug", kind="bad_option")
    wanted = {}
    if level:
        if str(level).upper() not in LEVELS:
            raise Refused("%s is no level: there are %s" % (level, ", ".join(LEVELS)), kind="bad_option")
        name = the_one(environment, _LEVEL, ("LOG_LEVEL", "LOGLEVEL"), component, "at which level it logs", LEVEL_LINES)
        wanted[name] = level_like(environment[name], str(level).upper())
    if debug is not None:
        name = the_one(environment, _DEBUG, ("DEBUG",), component, "whether it debugs", DEBUG_LINES)
        wanted[name] = switch_like(environment[name], bool(debug))
    return wanted


def the_one(environment: Iterable[str], pattern: re.Pattern[str], plain: Iterable[str], component: str, what: str, lines: str) -> str:
    """The variable that says it: one of the plain names, else the only one that ends so."""
    found = sorted(name for name in environment if pattern.match(name))
    for name in plain:
        if name in found:
            return name
    if len(found) > 1:
        raise Refused("%s has several variables that may say %s: %s" % (component, what, ", ".join(found)), fix="set the right one: stack_env")
    if not found:
        raise Refused(
            "%s is told by no variable %s: needs a change in the code" % (component, what),
            fix="let it read one, and name it in the project's files:\n%s" % lines,
            kind="code",
        )
    return found[0]


def level_like(present: str, level: str) -> str:
    """A level as this program writes it."""
    if present.strip().isdigit():
        return NUMBERS[level]
    return level.lower() if present and present == present.lower() else level.capitalize() if present and present == present.capitalize() else level


def switch_like(present: str, on: bool) -> str:
    """A switch as this program writes it."""
    for pair in SWITCHES:
        if present in pair:
            return pair[on]
    return "true" if on else "false"
