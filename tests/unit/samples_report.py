# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Plans and records of acting, made up for the tests of the reports."""

from __future__ import annotations

from typing import Any


def step(**changes: Any) -> dict[str, Any]:
    """A step as a plan has it; with a result, as a record has it."""
    return {
        "number": 1,
        "remedy": "pool_tuning",
        "component": "api",
        "finding": "postgres.pool_exhausted@api",
        "risk": "disruptive",
        "title": "Give api's pool another size",
        "why": "The pool is too small",
        "interrupts": "api: it is made anew",
        "undo": "The file is put back",
        "can_undo": True,
        "diff": [{"what": ".env", "before": "POOL_SIZE=5", "after": "POOL_SIZE=20"}],
        "lasting": [".env: POOL_SIZE=20"],
        "touches": ["api"],
        "token": "9f3a1c7e5b2d4f6a8c0e1b3d5f7a9c2e",
        **changes,
    }


def plan(*steps: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "schema": "aiops.runbook/plan/1",
        "digest": "k3vq2m4x9b8zda",
        "created_at": 1795464190.123,
        "expires_at": 1795467790.123,
        "stack": "shop",
        "platform": "compose",
        "identity": {"project": "shop"},
        "by": "ops@bastion-1",
        "steps": list(steps),
        "refused": [],
        "by_hand": [],
        "approve": "ansible-playbook aiops.runbook.remediate -e plan={plan} -e approve=k3vq2m4x9b8zda",
        "unfinished": [],
        "lease": None,
        "overdue": [],
        **changes,
    }


def record(**changes: Any) -> dict[str, Any]:
    done = {key: value for key, value in step(result="cured", seconds=3.2).items() if key not in ("token", "why", "interrupts", "undo", "can_undo")}
    return {
        "at": 1795464100.0,
        "by": "ops@bastion-1",
        "approved": "digest k3vq2m4x9b8zda",
        "digest": "k3vq2m4x9b8zda",
        "result": "held",
        "run": "R1",
        "records": "/var/r",
        "seconds": 42.3,
        "steps": [done],
        **changes,
    }
