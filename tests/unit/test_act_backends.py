# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The sessions that the titles of PostgreSQL's processes tell of."""

from __future__ import annotations

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.backends import by_title
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.sessions import Around, choose


@pytest.mark.parametrize(
    ("title", "told"),
    [
        ("postgres: shop shop 172.18.0.1(43886) idle", ("shop", "shop", "172.18.0.1", "idle")),
        ("postgres: shop shop 172.18.0.1(43886) idle in transaction", ("shop", "shop", "172.18.0.1", "idle in transaction")),
        ("postgres: main: shop orders fd00::5(43886) idle", ("shop", "orders", "fd00::5", "idle")),
        ("postgres: shop shop [local] idle", ("shop", "shop", None, "idle")),
        ("postgres: 15/main: shop shop 172.18.0.1(5) idle", ("shop", "shop", "172.18.0.1", "idle")),
        ("postgres: shop shop 172.18.0.1(43886) SELECT", None),
        ("postgres: shop shop 172.18.0.1(43886) SELECT waiting", None),
        ("postgres: checkpointer", None),
        ("postgres: walsender repl 172.18.0.9(5) streaming 0/3000148", None),
        ("postgres: autovacuum launcher", None),
        ("postgres -c max_connections=100", None),
        ("sh -c postgres: shop shop 172.18.0.1(43886) idle", None),
    ],
)
def test_by_title(title, told) -> None:
    session = by_title(title)
    assert (session and (session["user"], session["database"], session["client_addr"], session["state"])) == told


def test_only_outsiders_that_idle_are_chosen() -> None:
    titles = ["postgres: shop shop %s idle" % who for who in ("172.18.0.1(1)", "172.18.0.5(2)", "[local]")] + [
        "postgres: shop shop 172.18.0.1(3) idle in transaction"
    ]
    sessions = [{**by_title(title), "pid": number, "backend_start": ""} for number, title in enumerate(titles)]
    chosen, _spared = choose(sessions, {"outsiders": True, "state": "idle"}, Around(insiders={"172.18.0.5"}))
    assert [one["pid"] for one in chosen] == [0]
