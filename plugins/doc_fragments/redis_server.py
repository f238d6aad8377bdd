# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options that say where a Redis is."""

from __future__ import annotations


class ModuleDocFragment:
    """aiops.runbook.redis_server: shared by the modules that connect to one Redis."""

    DOCUMENTATION = r"""
requirements:
  - redis >= 4.3 (the role C(aiops.runbook.prepare) installs it)
options:
  login_host:
    description:
      - The server's name or address.
    type: str
    default: localhost
  login_port:
    description:
      - The server's port.
    type: int
    default: 6379
  login_user:
    description:
      - The user of an access control list (Redis 6 and later). The default user when it is not given.
    type: str
  login_password:
    description:
      - The password.
    type: str
  login_db:
    description:
      - The number of the database.
    type: int
    default: 0
    aliases: [db]
  tls:
    description:
      - Whether to use TLS.
    type: bool
    default: false
  validate_certs:
    description:
      - Check the server's certificate.
    type: bool
    default: true
  ca_certs:
    description:
      - A file of certificates to trust instead of the system's.
    type: path
  url:
    description:
      - All of these in one, as an application has it, V(redis://user:password@host:6379/0) or V(rediss://…).
      - O(login_user), O(login_password) and O(ca_certs) win over what stands in it; the other options are not used with it.
    type: str
  name:
    description:
      - What the server is called in the findings.
    type: str
    default: redis
"""
