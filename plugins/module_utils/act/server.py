# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A PostgreSQL server without a stack around it: a remedy works there as in a stack, with the one account that it was given."""

from __future__ import annotations

from typing import Any, Callable, Mapping, TypeVar

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.door import apply_one
from ansible_collections.aiops.runbook.plugins.module_utils.act.records import Records
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import PostgresInside, Stage
from ansible_collections.aiops.runbook.plugins.module_utils.connect import postgres as connect_postgres
from ansible_collections.aiops.runbook.plugins.module_utils.judge import postgres as judges
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import Finding, StackError, Unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.postgres import observe_postgres
from ansible_collections.aiops.runbook.plugins.module_utils.observe.servers import Server
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import Target
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

Answer = TypeVar("Answer")


class _Alone:
    """What a journal keeps of where a run was: there is no platform."""

    name = "server"
    starts_again = False

    def __init__(self, name: str) -> None:
        self.project = name

    def identity(self) -> dict[str, Any]:
        return {"server": self.project}


class ServerStage(Stage):
    """One server by its login options. Its records are kept below <host:port>."""

    login_options = "login_user and login_password"

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params
        self.target = connect_postgres.PostgresTarget.from_params(params)
        self.mask = Mask()
        self.mask.learn(self.target.password)
        self.name = "%s:%d" % (self.target.host, self.target.port)
        self.platform = _Alone(self.name)
        self.records = Records(params.get("state_dir") or "", self.name)

    def renew(self) -> Any:
        """Nothing is remembered of a server that could be out of date."""

    def insiders(self) -> set[str] | None:
        return None

    def judge(self) -> tuple[dict[str, Any], list[Finding], list[Unseen]]:
        seen = observe_postgres(self.name, self.target, self.mask, float(self.params["timeout"]))
        answers = list(judge_domain(judges.DOMAIN, seen, Limits(self.params.get("limits"))))
        return seen, [one for one in answers if isinstance(one, Finding)], [one for one in answers if isinstance(one, Unseen)]

    def server(self, component: str, kind: str) -> Server:
        # The account that looks is nobody's program: a superuser's sessions are spared, also when it is one itself.
        return Server(component, kind, [Target("", "login_db", "given", kind, database=self.target.database)])

    def with_postgres(self, component: str, do: Callable[[connect_postgres.PostgresConnection], Answer], timeout: float = 30.0) -> Answer:
        with connect_postgres.connect(self.target, timeout) as connection:
            return do(connection)

    def postgres_inside(self, component: str) -> PostgresInside | None:
        return None


def apply_at_server(params: Mapping[str, Any], step: Step, check_mode: bool) -> dict[str, Any]:
    """apply_one() on a server alone."""
    stage = ServerStage(params)
    if step.component not in ("", stage.name):
        raise StackError("component is a part of a stack, and login_host names a server without one: give one of them", kind="bad_option", option="component")
    return apply_one(params, Step(step.remedy, stage.name, step.params), check_mode, stage)
