# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options that say where a stack is."""

from __future__ import annotations

_PLACE = r"""
options:
  stack_platform:
    description:
      - What the stack runs on.
    type: str
    choices: [compose, kubernetes]
    default: compose
  compose_project:
    description:
      - The name of the Compose project. Found by itself when only one project has containers on the engine.
    type: str
  docker_host:
    description:
      - The engine's address, like E(DOCKER_HOST). The environment's, or the local socket, when it is not given.
    type: str
  namespace:
    description:
      - The namespace of the stack on Kubernetes, or all of them where its parts stand in several; the first one is where names without a
        namespace are looked for. The namespace of the kubeconfig's context when it is not given.
    type: list
    elements: str
    default: []
  selector:
    description:
      - A label selector that tells the parts of this stack from others in the same namespace, V(app.kubernetes.io/instance=shop) for example.
        The pods need the labels, too.
    type: str
    default: ""
  kubeconfig:
    description:
      - The kubeconfig file. E(KUBECONFIG) when it is not given, then the service account of the pod that this runs in, then
        C(~/.kube/config).
    type: path
  context:
    description:
      - The context of the kubeconfig. Its current one when it is not given.
    type: str
"""
_LOOK = r"""
  stack:
    description:
      - The name of the stack in reports. One inventory host is one stack, so its name is taken when this is not given.
    type: str
  timeout:
    description:
      - Seconds that one probe may take. A probe that hangs costs its own answer and nothing else.
    type: float
    default: 5.0
  http_url:
    description:
      - Where users reach the application, when the published ports do not tell (a load balancer in front, for example).
    type: str
  http_routes:
    description:
      - The paths that are asked. Only ask for what a C(GET) does not change.
    type: list
    elements: str
    default: [/health, /ready, /metrics, /docs]
  roles:
    description:
      - What a component does, where it is not recognised, as C({component}) to role.
      - Roles are V(api), V(worker), V(beat), V(postgres), V(redis), V(llm), V(proxy), V(migration), V(job) and V(other).
    type: dict
    default: {}
  postgres_user:
    description:
      - An account to look with, preferred to the application's own. It needs C(pg_monitor) to see everything.
    type: str
  postgres_password:
    description:
      - Its password.
    type: str
  redis_user:
    description:
      - An account to look with, preferred to the application's own.
    type: str
  redis_password:
    description:
      - Its password.
    type: str
"""


class ModuleDocFragment:
    """aiops.runbook.stack: shared by every task that looks at a whole stack.

    aiops.runbook.stack.place: where it is, and nothing else.
    """

    # The types are there for ansible-test: its yamllint takes every plain assignment in this class for a literal.
    DOCUMENTATION: str = _PLACE + _LOOK.lstrip("\n")
    PLACE: str = _PLACE
