#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One PostgreSQL server, judged alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_check
short_description: Judge a PostgreSQL server
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Says whether a PostgreSQL server answers, who uses up its connections, which session holds a lock that others wait for,
    what is idle in a transaction or runs for long, and whether data pages or transaction ids are in danger.
  - It is a guest. It opens one connection with the application name C(aiops.runbook), read-only, with time-outs at the server,
    and writes nothing.
  - Texts of statements are shown without their literals.
requirements:
  - psycopg2 >= 2.8 (the role C(aiops.runbook.prepare) installs it)
notes:
  - PostgreSQL 10 or later. The account needs C(pg_monitor) to see all sessions; what it may not see is reported as unknown.
options:
  login_host:
    description:
      - The server's name or address, or the folder of its socket.
    type: str
    default: localhost
    aliases: [host]
  login_port:
    description:
      - The server's port.
    type: int
    default: 5432
    aliases: [port]
  login_user:
    description:
      - The account to look with.
    type: str
    default: postgres
    aliases: [login]
  login_password:
    description:
      - Its password.
    type: str
  login_db:
    description:
      - The database to connect to. The one that is called like the account when it is not given.
    type: str
    aliases: [db, database]
  ssl_mode:
    description:
      - How TLS is used, as libpq's C(sslmode).
    type: str
    choices: [allow, disable, prefer, require, verify-ca, verify-full]
    default: prefer
    aliases: [sslmode]
  ca_cert:
    description:
      - A file with the certificates that sign the server's.
    type: path
    aliases: [ssl_rootcert]
  name:
    description:
      - What the server is called in the findings.
    type: str
    default: postgres
  expects_writes:
    description:
      - Whether clients write to this server. A server that takes no writes is a finding only where this is V(true).
    type: bool
extends_documentation_fragment:
  - aiops.runbook.check
  - aiops.runbook.limits.postgres
seealso:
  - module: aiops.runbook.stack_check
  - module: community.postgresql.postgresql_ping
"""

EXAMPLES = r"""
- name: Judge a server
  aiops.runbook.postgres_check:
    login_host: db.example.org
    login_user: observer
    login_password: "{{ observer_password }}"
    expects_writes: true
  register: database

- name: Stop when it is ill
  ansible.builtin.assert:
    that: database.verdict in ['healthy', 'unknown']

- name: Allow reports to run for longer on this server
  aiops.runbook.postgres_check:
    login_host: reports.example.org
    login_user: observer
    login_password: "{{ observer_password }}"
    limits:
      postgres_long_query_seconds_warning: 1800
      postgres_long_query_seconds_critical: 7200
"""

RETURN = r"""
verdict:
  description: What comes of all findings, V(healthy), V(degraded), V(down) or V(unknown).
  returned: success
  type: str
  sample: degraded
findings:
  description: What is wrong, with its evidence, the gravest first.
  returned: success
  type: list
  elements: dict
  sample: [{id: postgres.lock_held, component: postgres, severity: critical, evidence: {pid: 812, waiting: 6, seconds: 130.2, relation: items}}]
cleared:
  description: What was looked at and is well, with the figures that show it.
  returned: success
  type: list
  elements: dict
unknown:
  description: What could not be checked, with the reason.
  returned: success
  type: list
  elements: dict
facts:
  description: The server as it was observed. A fact that could not be read is there as C(unseen) with its reason.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aiops.runbook.plugins.module_utils.connect.postgres import PostgresTarget
from ansible_collections.aiops.runbook.plugins.module_utils.judge import postgres
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits, limits_spec
from ansible_collections.aiops.runbook.plugins.module_utils.judge.outcome import outcome
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.postgres import observe_postgres
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "login_host": {"type": "str", "default": "localhost", "aliases": ["host"]},
            "login_port": {"type": "int", "default": 5432, "aliases": ["port"]},
            "login_user": {"type": "str", "default": "postgres", "aliases": ["login"]},
            "login_password": {"type": "str", "no_log": True},
            "login_db": {"type": "str", "aliases": ["db", "database"]},
            "ssl_mode": {
                "type": "str",
                "choices": ["allow", "disable", "prefer", "require", "verify-ca", "verify-full"],
                "default": "prefer",
                "aliases": ["sslmode"],
            },
            "ca_cert": {"type": "path", "aliases": ["ssl_rootcert"]},
            "name": {"type": "str", "default": "postgres"},
            "expects_writes": {"type": "bool"},
            "timeout": {"type": "float", "default": 5.0},
            "limits": {"type": "dict", "options": limits_spec("postgres")},
        },
        supports_check_mode=True,
    )
    try:
        target = PostgresTarget.from_params(module.params)
        seen = observe_postgres(module.params["name"], target, Mask(), module.params["timeout"], expects_writes=module.params["expects_writes"])
        why = why_unseen(seen["answers"])
        if why and why["kind"] == "missing_library":
            raise StackError(why["reason"], kind=why["kind"])
        answers = list(judge_domain(postgres.DOMAIN, seen, Limits(module.params["limits"])))
    except StackError as error:
        module.fail_json(**error.as_failure())
    module.exit_json(changed=False, facts=seen, **outcome(answers))


if __name__ == "__main__":
    main()
