#!/usr/bin/python
# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An HTTP server, judged alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: http_check
short_description: Judge an API by its health, readiness, metrics and documentation routes
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops-runbook)
description:
  - Asks the operational routes of any HTTP server side by side, with the time of each request broken into name, connection, TLS,
    first byte and total, and says whether it is unreachable, hung, unhealthy, not ready (and for want of what), slow or failing.
  - Reads C(/metrics) twice, O(sample) seconds apart, so that the 95th percentile and the share of server errors are those of now.
  - Sends C(GET) only, with a C(User-Agent) of C(aiops.runbook), follows no redirect and changes nothing.
options:
  url:
    description:
      - The server's base URL.
    type: str
    required: true
  address:
    description:
      - Connect to this address instead of what the URL's name resolves to. The C(Host) header and the TLS name stay the URL's.
    type: str
  routes:
    description:
      - The paths that are asked. What a route is for is told by its words (health, live, ready, metrics, docs).
      - A 404 means that the route is not offered, which is no illness.
    type: list
    elements: str
    default: [/health, /ready, /metrics, /docs]
  headers:
    description:
      - Headers for every request, a token for example. Their values are never shown.
    type: dict
    default: {}
  validate_certs:
    description:
      - Check the server's certificate.
    type: bool
    default: true
  ca_path:
    description:
      - A file of certificates to trust instead of the system's.
    type: path
  sample:
    description:
      - Seconds between two readings of the metrics; V(0) reads them once, and then nothing is said of users' requests.
    type: float
    default: 1.0
  route_limits:
    description:
      - Thresholds for one route, as C({path}) to a dictionary like O(limits).
    type: dict
    default: {}
extends_documentation_fragment:
  - aiops.runbook.check
  - aiops.runbook.limits.http
seealso:
  - module: aiops.runbook.stack_check
"""

EXAMPLES = r"""
- name: Judge an API
  aiops.runbook.http_check:
    url: http://shop.example.com:8000

- name: Judge one behind a proxy with a private certificate, and give the report route more time
  aiops.runbook.http_check:
    url: https://shop.example.com
    ca_path: /etc/ssl/certs/company.pem
    routes: [/healthz, /readyz, /metrics, /api/v1/reports]
    headers:
      Authorization: "Bearer {{ token }}"
    limits:
      http_slow_ms_warning: 500
    route_limits:
      /api/v1/reports:
        http_slow_ms_warning: 3000
"""

RETURN = r"""
verdict:
  description: What comes of all findings, V(down), V(degraded), V(unknown) or V(healthy).
  returned: success
  type: str
  sample: degraded
findings:
  description: What is wrong, with its evidence.
  returned: success
  type: list
  elements: dict
  sample: [{id: http.not_ready, component: shop.example.com, severity: critical, evidence: {route: /ready, status: 503, failing: [database]}}]
cleared:
  description: What was looked at and is well.
  returned: success
  type: list
  elements: dict
unknown:
  description: What could not be checked, with the reason.
  returned: success
  type: list
  elements: dict
facts:
  description: What each route answered, and what the metrics say.
  returned: success
  type: dict
"""

from urllib.parse import quote

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.aiops.runbook.plugins.module_utils.connect.http import HttpTarget
from ansible_collections.aiops.runbook.plugins.module_utils.judge import http as _http  # registers the judges of the domain "http"
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits, limits_spec
from ansible_collections.aiops.runbook.plugins.module_utils.judge.outcome import outcome
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import judge_domain
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.http import ROUTES, observe_http
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "address": {"type": "str"},
            "routes": {"type": "list", "elements": "str", "default": list(ROUTES)},
            "headers": {"type": "dict", "default": {}, "no_log": True},
            "validate_certs": {"type": "bool", "default": True},
            "ca_path": {"type": "path"},
            "sample": {"type": "float", "default": 1.0},
            "timeout": {"type": "float", "default": 5.0},
            "limits": {"type": "dict", "options": limits_spec("http")},
            "route_limits": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    given = module.params
    mask = Mask()
    headers = {name: str(value) for name, value in given["headers"].items()}
    for value in headers.values():
        mask.learn(value)
        mask.learn(value.rpartition(" ")[2])
    target = HttpTarget(given["url"], given["address"] or "", headers, given["validate_certs"], given["ca_path"] or "")
    try:
        password = target.password
        mask.learn(password)
        module.no_log_values.update({password, quote(password, safe="")} - {""})
        seen = observe_http(target.place()[1], target, mask, given["timeout"], tuple(given["routes"]), sample=max(0.0, given["sample"]))
        answers = list(judge_domain(_http.DOMAIN, seen, Limits(given["limits"], routes=given["route_limits"])))
    except StackError as error:
        module.fail_json(**error.as_failure())
    module.exit_json(changed=False, facts=seen, **outcome(answers))


if __name__ == "__main__":
    main()
