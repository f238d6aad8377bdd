# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""pool_tuning on a real server with real pools: predicted, applied, once only, taken back; and what exceeds the server's slots, also by two together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from acting import Small, small_project
from brokers import wait_until
from playing import ROOT, run
from predicting import predicted

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.door import ACT_SPEC, apply_plan, preview_plan

PASSWORD = "Wq7-pools-db"
# Its pool is as its settings say, and it tells what the pool has.
PROGRAM = """
import json, os, time
from sqlalchemy import create_engine, text
said = {name: os.environ["DATABASE_POOL_" + name] for name in ("SIZE", "TIMEOUT", "RECYCLE", "PRE_PING")}
engine = create_engine(os.environ["DATABASE_URL"], pool_size=int(said["SIZE"]), max_overflow=int(os.environ["DATABASE_MAX_OVERFLOW"]),
                       pool_timeout=int(said["TIMEOUT"]), pool_recycle=int(said["RECYCLE"]), pool_pre_ping=said["PRE_PING"] == "true")
while True:
    try:
        with engine.connect() as one:
            one.execute(text("SELECT 1"))
        pool = engine.pool
        with open("/tmp/draft", "w") as out:
            json.dump([pool.size(), pool._max_overflow, pool._timeout, pool._recycle, pool._pre_ping], out)
        os.replace("/tmp/draft", "/tmp/pool")
    except Exception as error:
        print(error)
    time.sleep(0.3)
"""
SETTINGS = {
    "DATABASE_URL": "postgresql+psycopg://shop:%s@db:5432/shop" % PASSWORD,
    "DATABASE_POOL_SIZE": "3",
    "DATABASE_MAX_OVERFLOW": "2",
    "DATABASE_POOL_TIMEOUT": "30",
    "DATABASE_POOL_RECYCLE": "1800",
    "DATABASE_POOL_PRE_PING": "false",
}
CLIENT = {"image": "aiops-ref/app:latest", "entrypoint": ["python3", "-u", "-c"], "command": [PROGRAM], "stop_grace_period": "1s", "environment": SETTINGS}
SERVICES = {
    "db": {
        "image": "aiops-ref/postgres:latest",
        "command": ["postgres", "-c", "max_connections=40"],
        "environment": {"POSTGRES_USER": "shop", "POSTGRES_PASSWORD": PASSWORD, "POSTGRES_DB": "shop"},
    },
    "api": CLIENT,
    "backend": CLIENT,
}
OURS = "in compose.aiops-runbook.yml"
BEFORE = [3, 2, 30, 1800, False]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "build", "reference")
    with small_project("actpools", tmp_path_factory.mktemp("actpools"), SERVICES) as project:
        for service in ("api", "backend"):
            wait_until(lambda service=service: pool(project, service) == BEFORE, "%s has its pool" % service, 90)
        yield project


def pool(shop: Small, service: str) -> list:
    return json.loads(run("docker", "exec", shop.container(service), "cat", "/tmp/pool", check=False) or "[]")


def life(shop: Small) -> list[str]:
    return run("docker", "inspect", "-f", "{{.Id}} {{.State.StartedAt}}", *(shop.container(name) for name in SERVICES)).splitlines()


def sum_of(shop: Small) -> tuple[dict[str, str], int, int]:
    """As the programs and the server say: the part of each, all together, and 80 % of the slots; a copy more stands for the one that is being replaced."""
    parts, total = {}, 0
    for service in ("api", "backend"):
        size, overflow = pool(shop, service)[:2]
        processes = len(run("docker", "top", shop.container(service)).splitlines()) - 1
        total += 2 * processes * (size + overflow)
        parts["budget of db: " + service] = "(1+1) × %d × (%d+%d) = %d" % (processes, size, overflow, 2 * processes * (size + overflow))
    asked = "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    slots = int(run("docker", "exec", shop.container("db"), "psql", "-XqAt", "-U", "shop", "-c", asked))
    return parts, total, int(slots * 0.8)


def journals(shop: Small) -> list[Path]:
    return sorted((shop.folder / "state").glob("*/*/journal"))


def params(shop: Small) -> dict:
    return {**{name: option.get("default") for name, option in ACT_SPEC.items()}, **shop.options, "by": "a test"}


@pytest.mark.predicts("pool_tuning")
def test_exactly_what_was_said_and_all_of_it_back(shop):
    asked = {"component": "api", "size": 5, "overflow": 4, "timeout_seconds": 12, "recycle_seconds": 600, "pre_ping": True}
    before = life(shop)
    told = shop.act("pool_tuning", True, **asked)
    assert (told.get("changed"), told.get("risk"), told.get("touches")) == (True, "disruptive", ["api"]), told
    assert life(shop) == before and not (shop.folder / "compose.aiops-runbook.yml").exists()
    done = shop.act("pool_tuning", **asked)
    assert done.get("record", {}).get("result") == "held", done
    wait_until(lambda: pool(shop, "api") == [5, 4, 12, 600, True], "the program has the new pool", 30)
    assert [old != new for old, new in zip(before, life(shop))] == [False, True, False]
    parts, total, limit = sum_of(shop)
    seen = {
        "DATABASE_POOL_SIZE of api, " + OURS: "5",
        "DATABASE_MAX_OVERFLOW of api, " + OURS: "4",
        "DATABASE_POOL_TIMEOUT of api, " + OURS: "12",
        "DATABASE_POOL_RECYCLE of api, " + OURS: "600",
        "DATABASE_POOL_PRE_PING of api, " + OURS: "true",
        "container " + shop.container("api"): "made anew",
        **parts,
        "budget of db: together, of %d usable" % limit: str(total),
    }
    predicted("pool_tuning", told, done, seen)
    assert PASSWORD not in json.dumps([told, done])
    assert shop.act("pool_tuning", **asked)["changed"] is False
    assert shop.undo()["result"] == "undone"
    wait_until(lambda: pool(shop, "api") == BEFORE, "the program has its old pool", 30)
    assert not (shop.folder / "compose.aiops-runbook.yml").exists()


def test_what_exceeds_the_servers_slots(shop):
    before = life(shop)
    answer = shop.act("pool_tuning", component="api", size=20, overflow=40)
    assert answer.get("failed") and "this exceeds what the server has" in answer["msg"] and "together 130, of 29 usable" in answer["msg"], answer
    assert life(shop) == before


def test_two_that_fit_alone_and_not_together(shop):
    """The plan keeps the first one only; given both, nothing is done at all."""
    wanted = [vars(Step("pool_tuning", name, {"size": 5, "overflow": 4}, number=number)) for number, name in enumerate(("api", "backend"), 1)]
    before, runs = life(shop), journals(shop)
    alone = [preview_plan(params(shop), [one])["steps"][0] for one in wanted]
    assert all("preview" in one for one in alone), alone
    shown = preview_plan(params(shop), wanted)["steps"]
    assert "preview" in shown[0] and "together 36, of 29 usable" in shown[1]["refused"], shown
    with pytest.raises(Refused, match=r"step 2 \(pool_tuning on backend\): this exceeds what the server has"):
        apply_plan(params(shop), {"digest": "both"}, wanted)
    assert life(shop) == before and journals(shop) == runs, "no run was begun"


def test_two_that_fit_together(shop):
    """The second one is predicted as it is when the first one is done."""
    wanted = [
        vars(Step("pool_tuning", name, size, number=number)) for number, (name, size) in enumerate((("api", {"size": 5}), ("backend", {"overflow": 3})), 1)
    ]
    shown = preview_plan(params(shop), wanted)
    entries = [{**one, "token": answer["token"]} for one, answer in zip(wanted, shown["steps"])]
    record = apply_plan(params(shop), {"digest": "fitting", "identity": shown["identity"]}, entries)
    assert record["result"] == "held", record
    assert [step["diff"] for step in record["steps"]] == [answer["preview"]["diff"] for answer in shown["steps"]]
    wait_until(lambda: pool(shop, "api")[:2] == [5, 2] and pool(shop, "backend")[:2] == [3, 3], "both have their new pools", 30)
    assert shop.undo()["result"] == "undone"
    wait_until(lambda: pool(shop, "api") == pool(shop, "backend") == BEFORE, "both have their old pools", 30)


def test_what_reads_no_variable(shop):
    answer = shop.act("pool_tuning", component="db", size=5)
    assert answer.get("failed") and "cannot be counted" in answer["msg"], answer
