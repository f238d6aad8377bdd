#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""End sessions of a PostgreSQL server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_terminate
short_description: End sessions of a PostgreSQL server
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Ends sessions by their number, by what they are, or those at the root of a tree of lock waits.
  - A running statement is cancelled first, and its session is ended only when that does not help within 5 seconds.
    A session that sits idle in a transaction is ended at once.
  - Dumps, restores, migrations, vacuums, index builds, replication, and sessions of superusers that no program of the stack is,
    are never ended. Where only sessions match that must not be ended, it fails and says which.
  - Sessions that only wait for another one that is ended live on.
  - Each session is looked at once more at the moment of the signal, and left alone when it is another one by then, or at another statement.
  - It works on the database of a stack, with the application's own account, from where the application stands, or inside the server's container
    where no connection slot is left. Or on any server by O(login_host).
notes:
  - PostgreSQL 10 or later. An account needs C(pg_signal_backend) to end the sessions of other accounts.
  - What a session has not committed is rolled back. That cannot be put back.
options:
  component:
    description:
      - The PostgreSQL of the stack, as the reports name it. Either this or O(login_host).
    type: str
  login_host:
    description:
      - The name or address of a server without a stack, or the folder of its socket. Its records are kept below C(<host:port>) in O(state_dir).
    type: str
  login_port:
    description:
      - The server's port.
    type: int
    default: 5432
  login_user:
    description:
      - The account to act with.
    type: str
    default: postgres
  login_password:
    description:
      - Its password.
    type: str
  login_db:
    description:
      - The database to connect to. The one that is called like the account when it is not given.
    type: str
  ssl_mode:
    description:
      - How TLS is used, as libpq's C(sslmode).
    type: str
    choices: [allow, disable, prefer, require, verify-ca, verify-full]
    default: prefer
  ca_cert:
    description:
      - A file with the certificates that sign the server's.
    type: path
  pids:
    description:
      - The sessions' process numbers. One of a parallel worker means its leader.
      - All other options that choose are left aside, O(roots) excepted.
    type: list
    elements: int
  roots:
    description:
      - Only sessions that others wait for and that wait for nobody themselves.
    type: bool
    default: false
  state:
    description:
      - Only sessions in this state. An aborted transaction counts as one that is idle.
    type: str
    choices: [active, idle, idle in transaction]
  older_than_seconds:
    description:
      - Only sessions that have been at their statement, or idle, for longer.
    type: float
  application_name:
    description:
      - Only sessions of this application name.
    type: str
  user:
    description:
      - Only sessions of this account. A superuser's are only ended where it is named here.
    type: str
  client_addr:
    description:
      - Only sessions from this address.
    type: str
  database:
    description:
      - Only sessions in this database, V(*) for all. Those that the stack's programs use, or O(login_db), when it is not given.
    type: str
  outsiders:
    description:
      - Only sessions, of any database, of programs that are no part of the stack, by their addresses.
    type: bool
    default: false
  most:
    description:
      - How many sessions may be ended in one run. When more match, none is.
    type: int
    default: 20
extends_documentation_fragment:
  - aiops.runbook.stack
  - aiops.runbook.acting
  - aiops.runbook.limits
  - aiops.runbook.limits.parts
seealso:
  - module: aiops.runbook.postgres_check
"""

EXAMPLES = r"""
- name: End what has held a transaction open for more than ten minutes
  aiops.runbook.postgres_terminate:
    component: postgres
    state: idle in transaction
    older_than_seconds: 600

- name: Show who blocks the others, and end nothing
  aiops.runbook.postgres_terminate:
    component: postgres
    roots: true
  check_mode: true
  diff: true

- name: End one session on a server without a stack
  aiops.runbook.postgres_terminate:
    login_host: db.example.org
    login_user: operator
    login_password: "{{ operator_password }}"
    login_db: shop
    pids: [812]
"""

RETURN = r"""
risk:
  description: What the change means for who uses the stack. V(transient), as the work of a session cannot be put back.
  returned: success
  type: str
  sample: transient
sessions:
  description: The sessions that were ended, or would be in check mode. Their statements are shown without literals.
  returned: success
  type: list
  elements: str
spared:
  description: Sessions that match and are left alone, with the reason.
  returned: success
  type: list
  elements: str
  sample: ['812 (pg_dump)']
touches:
  description: The components that were interrupted or changed.
  returned: success
  type: list
  elements: str
lasting:
  description: Lines for your own files. There are none.
  returned: success
  type: list
  elements: str
record:
  description: What was done, with its result and the folder of its journal.
  returned: when something was to be changed, and not in check mode
  type: dict
"""

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.door import apply_one
from ansible_collections.aiops.runbook.plugins.module_utils.act.module import run_module
from ansible_collections.aiops.runbook.plugins.module_utils.act.server import apply_at_server

CHOICE = ("pids", "roots", "state", "older_than_seconds", "application_name", "user", "client_addr", "database", "outsiders", "most")


def main() -> None:
    def step_of(params: dict) -> Step:
        return Step("postgres_terminate", params["component"] or "", {key: params[key] for key in CHOICE if params[key] not in (None, False, [])})

    def act(params: dict, step: Step, check_mode: bool) -> dict:
        return (apply_at_server if params["login_host"] else apply_one)(params, step, check_mode)

    run_module(
        {
            "component": {"type": "str"},
            "login_host": {"type": "str"},
            "login_port": {"type": "int", "default": 5432},
            "login_user": {"type": "str", "default": "postgres"},
            "login_password": {"type": "str", "no_log": True},
            "login_db": {"type": "str"},
            "ssl_mode": {"type": "str", "choices": ["allow", "disable", "prefer", "require", "verify-ca", "verify-full"], "default": "prefer"},
            "ca_cert": {"type": "path"},
            "pids": {"type": "list", "elements": "int"},
            "roots": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["active", "idle", "idle in transaction"]},
            "older_than_seconds": {"type": "float"},
            "application_name": {"type": "str"},
            "user": {"type": "str"},
            "client_addr": {"type": "str"},
            "database": {"type": "str"},
            "outsiders": {"type": "bool", "default": False},
            "most": {"type": "int", "default": 20},
        },
        step_of,
        act,
        told=("sessions", "spared"),
        mutually_exclusive=[("component", "login_host")],
        required_one_of=[("component", "login_host")],
    )


if __name__ == "__main__":
    main()
