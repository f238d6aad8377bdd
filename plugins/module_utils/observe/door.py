# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a task's options to the observations of a stack: the same on the controller and on a remote Docker host."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.connect.docker import Engine
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import limits_spec
from ansible_collections.aiops.runbook.plugins.module_utils.model import SEVERITIES, WARNING
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Options
from ansible_collections.aiops.runbook.plugins.module_utils.observe.stack import observe_stack
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Platform
from ansible_collections.aiops.runbook.plugins.module_utils.platform.compose import Compose
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

# The options that say where a stack is and how to look at it (doc fragment: aiops.runbook.stack).
STACK_SPEC: dict[str, dict[str, Any]] = {
    "stack": {"type": "str"},
    "stack_platform": {"type": "str", "choices": ["compose", "kubernetes"], "default": "compose"},
    "compose_project": {"type": "str"},
    "docker_host": {"type": "str"},
    "namespace": {"type": "list", "elements": "str", "default": []},
    "selector": {"type": "str", "default": ""},
    "kubeconfig": {"type": "path"},
    "context": {"type": "str"},
    "timeout": {"type": "float", "default": 5.0},
    "http_url": {"type": "str"},
    "http_routes": {"type": "list", "elements": "str", "default": ["/health", "/ready", "/metrics", "/docs"]},
    "roles": {"type": "dict", "default": {}},
    "postgres_user": {"type": "str"},
    "postgres_password": {"type": "str", "no_log": True},
    "redis_user": {"type": "str"},
    "redis_password": {"type": "str", "no_log": True},
}


# The thresholds for a whole stack, and for one component or route of it (doc fragments: aiops.runbook.limits and aiops.runbook.limits.parts).
LIMITS_SPEC: dict[str, dict[str, Any]] = {
    "limits": {"type": "dict", "options": limits_spec(), "default": {}},
    "component_limits": {"type": "dict", "default": {}},
    "route_limits": {"type": "dict", "default": {}},
}

# The options that say how to judge and tell; the controller's half (the action plugin) reads them.
JUDGE_SPEC: dict[str, dict[str, Any]] = {
    **LIMITS_SPEC,
    "observations": {"type": "path"},
    "save_observations": {"type": "path"},
    "custom_checks": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "id": {"type": "str", "required": True},
            "query": {"type": "str", "required": True},
            "is": {"type": "str", "choices": ["==", "!=", "<", "<=", ">", ">=", "in", "contains"], "default": "=="},
            "expect": {"type": "raw", "required": True},
            "severity": {"type": "str", "choices": list(SEVERITIES), "default": WARNING},
            "text": {"type": "str", "required": True},
            "component": {"type": "str", "default": "stack"},
        },
    },
    "lang": {"type": "str", "choices": ["en", "zh-TW"], "default": "en"},
    "plan": {"type": "bool", "default": True},
    "plan_valid_minutes": {"type": "float", "default": 60.0},
    "state_dir": {"type": "path"},
}


# The options that say where the stack is, and nothing else.
PLACE = ("stack_platform", "compose_project", "docker_host", "namespace", "selector", "kubeconfig", "context", "timeout")


def open_platform(params: Mapping[str, Any]) -> Platform:
    """The platform that these options (PLACE) name; StackError when it cannot be reached at all."""
    timeout = max(2.0, float(params["timeout"]))
    if params.get("stack_platform") == "kubernetes":
        # What a Docker host need not have is imported where it is used.
        from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes import open_kubernetes

        where = (params.get("namespace") or [], params.get("selector") or "", params.get("kubeconfig") or "", params.get("context") or "")
        return open_kubernetes(*where, timeout=timeout)
    return Compose(Engine(params.get("docker_host") or None, timeout=timeout), params.get("compose_project") or None)


def open_stack(params: Mapping[str, Any], ask_servers: bool = True) -> tuple[Platform, Mask, Options]:
    """Where the stack is that these options name, and how to look at it; StackError when it cannot be reached at all."""
    options = Options(
        stack=params.get("stack") or params.get("compose_project") or "",
        timeout=float(params["timeout"]),
        http_url=params.get("http_url") or "",
        http_routes=tuple(params.get("http_routes") or ()),
        ask_servers=ask_servers,
        roles={str(name): str(role) for name, role in (params.get("roles") or {}).items()},
        accounts=_accounts(params),
    )
    platform = open_platform(params)
    if not options.stack:
        options.stack = platform.title
    return platform, Mask(), options


def observe_from_params(params: Mapping[str, Any], ask_servers: bool = True) -> dict[str, Any]:
    """The observations (docs/architecture.md) of the stack that these options name; StackError when it cannot be reached at all.

    ask_servers: False looks at the parts and what they are told to connect to, and connects to nothing itself.
    """
    return observe_stack(*open_stack(params, ask_servers))


def _accounts(params: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    found = {}
    for kind in ("postgres", "redis"):
        if params.get(kind + "_user") or params.get(kind + "_password"):
            found[kind] = {"user": params.get(kind + "_user") or "", "password": params.get(kind + "_password") or ""}
    return found
