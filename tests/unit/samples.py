"""Observations built by hand, small enough to read in a table of cases."""

from __future__ import annotations

from typing import Any

NOW = 1_000_000.0


def instance(name: str = "one", **changes: Any) -> dict[str, Any]:
    """A container that has run well for an hour."""
    one = {
        "id": name[:12],
        "name": name,
        "state": "running",
        "one_off": False,
        "exit_code": 0,
        "oom_killed": False,
        "error": "",
        "restarts": 0,
        "restart_policy": "unless-stopped",
        "created_at": NOW - 3700,
        "started_at": NOW - 3600,
        "finished_at": 0.0,
        "health": None,
        "health_test": [],
        "command": "run",
        "image": "shop:1",
        "image_id": "abc",
        "published": [],
        "networks": {"shop_default": "172.20.0.2"},
        "home_network": "shop_default",
        "memory_limit": 0,
        "environment_hashes": {},
        "memory": {"used": 1000, "limit": 0},
        "processes": [],
        "listening": [],
        "log_driver": "json-file",
    }
    return {**one, **changes}


def component(name: str, role: str, *instances: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A component with one healthy instance unless others are given."""
    found = {
        "component": name,
        "role": role,
        "role_source": "process",
        "depends_on": [],
        "instances": list(instances) or [instance("shop-%s-1" % name)],
        "settings": [],
        "targets": [],
        "logs": {"component": name, "now": NOW, "lines": 0, "unparsed": 0, "errors": 0, "signatures": []},
    }
    return {**found, **changes}


def stack(*components: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The observations of a stack of these components, with nothing else seen."""
    seen = {
        "schema": 1,
        "stack": "shop",
        "platform": "compose",
        "started_at": NOW,
        "finished_at": NOW + 1,
        "now": NOW,
        "identity": {},
        "components": {one["component"]: one for one in components},
        "edges": [],
        "reach": [],
        "outside": [],
        "outsiders": [],
        "events": [],
        "drift": {},
        "postgres": {},
        "redis": {},
        "celery": {},
        "http": {},
        "timing": {},
    }
    return {**seen, **changes}


def edge(user: str, used: str, kind: str = "postgres") -> dict[str, Any]:
    return {"from": user, "to": used, "kind": kind, "setting": "", "source": "environment", "host": used, "port": 0}


def event(name: str, action: str, seconds_ago: float, instance_id: str = "", **detail: str) -> dict[str, Any]:
    return {"component": name, "action": action, "time": NOW - seconds_ago, "instance": instance_id, "detail": detail}


def found(answers: Any) -> list[tuple[str, str]]:
    """The findings among some answers, as (id, component)."""
    from ansible_collections.aiops.runbook.plugins.module_utils.model import Finding

    return [(answer.id, answer.component) for answer in answers if isinstance(answer, Finding)]
