# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The size of a component's connection pool, within what its server has for all of its clients."""

from __future__ import annotations

import re
from typing import Any, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.env import ChangedSettings, keeper
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.judge.pools import BUDGET_SHARE
from ansible_collections.aiops.runbook.plugins.module_utils.judge.stack import pools_view

# What SQLAlchemy takes when nothing is said.
DEFAULT_SIZE, DEFAULT_OVERFLOW, DEFAULT_TIMEOUT = 5, 10, 30
# While a component is made anew, a copy of before may still hold its sessions.
SURGE = 1
EXHAUSTED = "postgres.pool_exhausted"
CODE = "create_engine(url, pool_size=%s, max_overflow=%s, pool_timeout=%s, pool_recycle=%s, pool_pre_ping=True), each read from a setting of its own"
_KINDS = (
    ("pre_ping", re.compile(r"PRE_?PING$")),
    ("recycle_seconds", re.compile(r"(POOL|CONN(ECTION)?)_?RECYCLE(_SECONDS)?$")),
    ("timeout_seconds", re.compile(r"POOL_?TIMEOUT(_SECONDS)?$")),
    ("overflow", re.compile(r"OVERFLOW$")),
    ("size", re.compile(r"(^|_)POOL(_?SIZE)?$")),
)
# Pools of something else than a database.
_OTHER = re.compile(r"REDIS|BROKER|CELERY|CACHE|HTTP|THREAD|WORKER|QUEUE|KAFKA|AMQP")


class PoolTuning(ChangedSettings):
    """Gives a component's pool another size. params: any of size, overflow, timeout_seconds, recycle_seconds, pre_ping; none: what fits."""

    name = "pool_tuning"

    def preview(self, stage: Stage, step: Step) -> Preview:
        component = step.component
        stage.component(component)
        seen, findings, _unseen = stage.judge()
        # Twice as many are for a pool that is used up, each time that it is.
        ill = step.finding.startswith(EXHAUSTED) or any(one.id == EXHAUSTED and one.component == component for one in findings)
        view = pools_view(seen)
        mine = [pool for pool in view["pools"] if pool["component"] == component]
        if len(mine) != 1:
            why = "it uses several servers" if mine else "it does not run, uses no PostgreSQL, or the server could not be asked"
            raise Refused("the pool of %s cannot be counted: %s" % (component, why), fix="see stack_info for who connects where")
        pool = mine[0]
        # Two that each fit alone must not exceed the budget together.
        others = [as_coming(other, stage.coming) for other in view["pools"] if other["server"] == pool["server"] and other is not pool]
        usable = view["servers"][pool["server"]]["usable"]
        environment = stage.scene.environment(stage.component(component).running[0])[0]
        names = variables(environment)
        wanted: dict[str, Any] = dict(chosen(pool, others, usable, step.params, names, ill))
        if ill and not step.params and "timeout_seconds" in names and float(environment[names["timeout_seconds"]]) < DEFAULT_TIMEOUT:
            # Who waits for shorter than anybody would gives up at each crowd, however large the pool is.
            wanted["timeout_seconds"] = DEFAULT_TIMEOUT
        settings = {names[kind]: text(value) for kind, value in wanted.items()}
        preview = keeper(stage).preview(stage, component, settings, {"size": wanted.get("size"), "overflow": wanted.get("overflow"), "server": pool["server"]})
        before, after = budget([pool, *others], usable), budget([resized(pool, wanted), *others], usable)
        if preview.changed:
            preview.diff += rows(before, after, pool["server"])
            preview.state = {**preview.state, "budget": [after["limit"], after["parts"]]}
            preview.target = {**preview.target, "server": pool["server"]}
        return preview


def text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings by which a program reads its pool: {"size": name, …}, only what it has; Refused where two could be meant."""
    found: dict[str, list[str]] = {}
    for name, value in sorted(environment.items()):
        upper = name.upper()
        kind = next((kind for kind, pattern in _KINDS if pattern.search(upper)), None)
        fits = re.fullmatch(r"-?\d+(\.\d+)?", value.strip()) if kind != "pre_ping" else re.fullmatch(r"(?i)true|false|yes|no|on|off|0|1", value.strip())
        if kind and fits and not _OTHER.search(upper):
            found.setdefault(kind, []).append(name)
    for kind, names in found.items():
        if len(names) > 1:
            raise Refused("several settings could be the pool's %s: %s" % (kind, ", ".join(names)), fix="set the right one: stack_env")
    return {kind: names[0] for kind, names in found.items()}


def each(pool: Mapping[str, Any]) -> int | None:
    """The connections that one process of a client may open; None: without a limit."""
    if pool["size"] == 0 or pool["overflow"] < 0:
        return None
    # A process that does one thing at a time takes one, however large its pool is.
    return 1 if pool.get("one_at_a_time") else pool["size"] + pool["overflow"]


def budget(pools: Iterable[Mapping[str, Any]], usable: int, surge: int = SURGE) -> dict[str, Any]:
    """{"limit", "total" (None: without a limit), "parts": [[component, text, connections or None]]} of all clients of a server together. Pure."""
    parts: list[list[Any]] = []
    for pool in pools:
        copies, processes, one = max(1, pool["replicas"]) + surge, max(1, pool["processes"]), each(pool)
        size = "1 at a time" if one == 1 and pool.get("one_at_a_time") else "(%d+%s)" % (pool["size"], pool["overflow"] if pool["overflow"] >= 0 else "∞")
        whole = None if one is None else copies * processes * one
        parts.append([pool["component"], "(%d+%d) × %d × %s = %s" % (copies - surge, surge, processes, size, "∞" if whole is None else whole), whole])
    known = [part[2] for part in parts]
    return {"limit": max(1, int(usable * BUDGET_SHARE)), "total": None if None in known else sum(known), "parts": sorted(parts)}


def said(found: Mapping[str, Any]) -> str:
    """A budget in a line."""
    total = "∞" if found["total"] is None else found["total"]
    return "%s; together %s, of %d usable" % (", ".join("%s %s" % (name, words) for name, words, _whole in found["parts"]), total, found["limit"])


def rows(before: Mapping[str, Any], after: Mapping[str, Any], server: str) -> list[dict[str, str]]:
    """The sum, for the difference: copies (and one that is being replaced) × processes × (size + overflow)."""
    was = {name: words for name, words, _whole in before["parts"]}
    lines = [{"what": "budget of %s: %s" % (server, name), "before": was[name], "after": words} for name, words, _whole in after["parts"]]
    sums = ["∞" if one["total"] is None else str(one["total"]) for one in (before, after)]
    return [*lines, {"what": "budget of %s: together, of %d usable" % (server, after["limit"]), "before": sums[0], "after": sums[1]}]


def resized(pool: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {**pool, "size": wanted.get("size", pool["size"]), "overflow": wanted.get("overflow", pool["overflow"])}


def as_coming(pool: Mapping[str, Any], coming: Iterable[tuple[Step, Preview]]) -> Mapping[str, Any]:
    """A client's pool as the steps before this one will leave it."""
    for step, preview in coming:
        if step.remedy == PoolTuning.name and preview.changed and (step.component, preview.target.get("server")) == (pool["component"], pool["server"]):
            pool = resized(pool, {kind: preview.texts[kind] for kind in ("size", "overflow") if preview.texts.get(kind) is not None})
    return pool


def chosen(pool: Mapping[str, Any], others: list[Any], usable: int, params: Mapping[str, Any], names: Mapping[str, str], ill: bool) -> dict[str, Any]:
    """What to set: {"size": …, "overflow": …, …}, only what the program reads. Refused beyond the budget. Pure."""
    given = {kind: params[kind] for kind, _pattern in _KINDS if params.get(kind) is not None}
    missing = sorted(kind for kind in given if kind not in names)
    if missing or not ({"size", "overflow"} | set(given)) & set(names):
        raise Refused(
            "this needs a change in the code: %s reads no setting for %s" % (pool["component"], " or ".join(missing) or "the size of its pool"),
            fix=CODE % tuple(given.get(kind, usual) for kind, usual in (("size", 5), ("overflow", 10), ("timeout_seconds", 30), ("recycle_seconds", 1800))),
        )
    if given:
        after = budget([resized(pool, given), *others], usable)
        resizes = bool({"size", "overflow"} & set(given))
        if resizes and (after["total"] is None or after["total"] > after["limit"]):
            raise Refused("this exceeds what the server has: %s" % said(after), fix="less, or first fewer processes, a larger max_connections, or a PgBouncer")
        return given
    goal = _goal(pool, names, ill)
    if all(goal[kind] == pool[kind] for kind in goal):
        return goal
    best = _capped(pool, others, usable, goal, names)
    now = budget([pool, *others], usable)
    if best is None and not ill and now["total"] is not None and now["total"] <= now["limit"]:
        return {kind: pool[kind] for kind in ("size", "overflow") if kind in names}  # as large as fits already
    if best is None:
        raise Refused(
            "a larger pool exceeds what the server has: %s" % said(budget([resized(pool, goal), *others], usable)),
            fix="first fewer processes, a larger max_connections, or a PgBouncer",
        )
    return best


def _goal(pool: Mapping[str, Any], names: Mapping[str, str], ill: bool) -> dict[str, int]:
    """SQLAlchemy's defaults where the pool is smaller; else, where it is used up, twice the overflow, or the size where the program reads no other."""
    size, overflow = pool["size"], pool["overflow"]
    if ("size" in names and size < DEFAULT_SIZE) or ("overflow" in names and overflow < DEFAULT_OVERFLOW):
        goal = {"size": max(size, DEFAULT_SIZE), "overflow": max(overflow, DEFAULT_OVERFLOW)}
    elif ill:
        goal = {"size": size if "overflow" in names else size * 2, "overflow": overflow * 2}
    else:
        goal = {"size": size, "overflow": overflow}
    return {kind: value for kind, value in goal.items() if kind in names}


def _capped(pool: Mapping[str, Any], others: list[Any], usable: int, goal: Mapping[str, int], names: Mapping[str, str]) -> dict[str, int] | None:
    """The goal, or the largest step towards it that fits; None where nothing larger than the present does."""
    if pool["size"] == 0 or pool["overflow"] < 0:
        return None
    size, overflow = goal.get("size", pool["size"]), goal.get("overflow", pool["overflow"])
    while size + overflow > pool["size"] + pool["overflow"]:
        after = budget([resized(pool, {"size": size, "overflow": overflow}), *others], usable)
        if after["total"] is not None and after["total"] <= after["limit"]:
            return {kind: value for kind, value in (("size", size), ("overflow", overflow)) if kind in names}
        if "overflow" in names and overflow > pool["overflow"]:
            overflow -= 1
        else:
            size -= 1
    return None
