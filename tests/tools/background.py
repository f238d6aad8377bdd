# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goes on behind a fault: sessions held open on a server, or users who hammer one route. Says `ready` when it has begun.

background.py sessions     JSON on standard input: host, port, user, password, database, name, sql, count, upto, drop_others
background.py traffic      JSON on standard input: stack (its folder), url, route, concurrency, seconds
"""

from __future__ import annotations

import json
import select
import sys
import threading
import time
from pathlib import Path
from typing import Any

LIFETIME = 3600  # seconds; nothing of a forgotten fault lasts longer
ROUNDS = 100  # in which the sessions of others are ended


def sessions(place: dict[str, Any]) -> None:
    """`count` sessions that each ran `sql` and then do nothing; with `upto`, as many as it takes until that share of the slots is used.

    upto 100 means every slot: a slot that somebody gives back is taken too, and the other sessions of this user are ended first, until it has none:
    who has one is served, and whether the one that is asked has one would be chance;
    once the server ends one of ours, we take no more, as a program that crashes on it.
    """
    import psycopg2

    held: list[Any] = []
    target = {key: place[key] for key in ("host", "port", "user", "password")}
    target.update(dbname=place["database"], application_name=place["name"], connect_timeout=5)

    def opened() -> bool:
        try:
            session = psycopg2.connect(**target)
        except psycopg2.OperationalError:
            return False
        session.autocommit = True  # so that only the SQL given decides about transactions
        if place.get("sql"):
            session.cursor().execute(place["sql"])
        held.append(session)
        return True

    if "upto" not in place:
        for _one in range(place.get("count", 1)):
            if not opened():
                raise SystemExit("no session")
    else:
        if not opened():
            raise SystemExit("no session")
        cursor = held[0].cursor()
        cursor.execute("SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int")
        usable = cursor.fetchone()[0]
        if place["upto"] >= 100:
            others = "SELECT pid FROM pg_stat_activity WHERE usename = current_user AND application_name <> %s"
            for _round in range(ROUNDS):
                while opened():
                    pass
                cursor.execute(others, [place["name"]])
                left = cursor.fetchall()
                if not left:
                    break
                for (pid,) in left:
                    cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
                time.sleep(0.02)
        else:
            count = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            cursor.execute(count)
            for _one in range(int(usable * place["upto"] / 100) - cursor.fetchone()[0]):
                if not opened():
                    raise SystemExit("no session")
    print("ready", flush=True)
    end = time.monotonic() + LIFETIME
    taking, got = place.get("upto", 0) >= 100, False
    while held and time.monotonic() < end:
        for session in select.select(held, [], [], 0 if got else 0.05)[0]:
            try:
                session.poll()
            except psycopg2.Error:
                held.remove(session)
                taking = False
        got = taking and opened()


def traffic(order: dict[str, Any]) -> None:
    """`concurrency` users who ask for one route again and again."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "stack"))
    import ctl

    stack = ctl.load_stack(order["stack"])
    stack.__dict__["spec"] = {**stack.spec, "url": order["url"]}
    end = time.monotonic() + min(order.get("seconds", LIFETIME), LIFETIME)
    first = ctl.Client(stack, timeout=90)
    if "login" in stack.spec:
        first.login()

    def user() -> None:
        client = ctl.Client(stack, timeout=90, headers=dict(first.headers))
        while time.monotonic() < end:
            if client.send_as_user({"path": order["route"]})[0] != "200":
                time.sleep(0.2)

    threads = [threading.Thread(target=user, daemon=True) for _number in range(order.get("concurrency", 8))]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    {"sessions": sessions, "traffic": traffic}[sys.argv[1]](json.load(sys.stdin))
