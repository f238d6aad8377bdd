# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings: one line of a .env file, our override, files put back, a wrong part of a URL; one row a case."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.act import dotenv, files
from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused
from ansible_collections.aiops.runbook.plugins.module_utils.act.project import RESET, changed_override, settings_of
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.connection import Right, changed_url, parsed, repaired
from ansible_collections.aiops.runbook.plugins.module_utils.act.settings import bare_url, secrets_among, shown
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import Target, find_targets
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask

EDITS = [
    ("the value alone", "A=1\n# c\nB=2\n", "B", "2", "3", ["A=1\n# c\nB=3\n"]),
    ("no line end", "A=1", "A", "1", "2", ["A=2"]),
    ("Windows' line end", "A=1\r\nB=2\r\n", "A", "1", "2", ["A=2\r\nB=2\r\n"]),
    ("spaces, export and a comment stay", "export  A = 1   # why\n", "A", "1", "20", ["export  A = 20   # why\n"]),
    ("double quotes stay", 'A="1 1" # x\n', "A", "1 1", "22", ['A="22" # x\n']),
    ("what needs quotes gets single ones", "A=1\n", "A", "1", "x $y #z", ["A='x $y #z'\n"]),
    ("a quote of its own cannot be written", "A=1\n", "A", "1", "it's $5", []),
    ("nor two lines", "A=1\n", "A", "1", "a\nb", []),
    ("the last line of a name counts", "A=1\nA=2\n", "A", "2", "3", ["A=1\nA=3\n"]),
    ("a comment is no line", "#A=1\nA=2\n", "A", "2", "3", ["#A=1\nA=3\n"]),
    ("another name's beginning", "AA=1\nA=2\n", "A", "2", "3", ["AA=1\nA=3\n"]),
    ("not there", "B=1\n", "A", "", "3", []),
    ("taken away", "A=1\n# c\nB=2\n", "A", "1", None, ["# c\nB=2\n"]),
    ("within a value of several lines", 'K="-----\nA=1\n-----"\nA=2\n', "A", "2", "3", ['K="-----\nA=1\n-----"\nA=3\n']),
    ("a value of several lines is left alone", 'A="1\n2"\n', "A", "1\n2", "3", []),
    (
        "variables in it stay, and the plain form is the second choice",
        "U=postgresql://${USR}:${PW}@pg-old:5432/db\n", "U", "postgresql://shop:s3cr3t@pg-old:5432/db", "postgresql://shop:s3cr3t@pg:5432/db",
        ["U=postgresql://${USR}:${PW}@pg:5432/db\n", "U=postgresql://shop:s3cr3t@pg:5432/db\n"],
    ),
    (
        "a password from a variable becomes a plain one",
        "U=postgresql://${USR}:${PW}@pg:5432/db\n", "U", "postgresql://shop:wrong@pg:5432/db", "postgresql://shop:right@pg:5432/db",
        ["U=postgresql://shop:right@pg:5432/db\n"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "name", "old", "new", "wanted"), [case[1:] for case in EDITS], ids=[case[0] for case in EDITS])
def test_one_line_changes(text, name, old, new, wanted):
    assert dotenv.edits(text, name, old, new) == wanted


def test_a_word_that_stands_twice_is_not_guessed():
    assert dotenv.rewritten("redis://redis:6379/${DB}?redis=1", "redis://redis:6379/0?redis=1", "redis://redis:6379/1?redis=1") is None
    assert dotenv.rewritten("http://h:5432/${X}", "http://h:5432/a", "http://h:5433/a") == "http://h:5433/${X}"


def test_override_sets_and_takes_away():
    text = changed_override(None, "api", {"A": "1$", "B": RESET, "C": None})
    assert '"A": "1$$"' in text and '"B": !reset null' in text and '"C": null' in text
    again = changed_override(text, "worker", {"A": "2"})
    assert '"B": !reset null' in again and '"worker"' in again and '"A": "1$$"' in again
    assert '"B": "x"' in changed_override(again, "api", {"B": "x"})
    with pytest.raises(Refused, match="edited by hand"):
        changed_override("services: {api: {}}", "api", {"A": "1"})


@pytest.mark.parametrize("found", [{"A": "1$$", "B": None}, ["A=1$$", "B"]])
def test_settings_in_either_form(found):
    assert settings_of({"services": {"api": {"environment": found}}}, "api") == {"A": "1$", "B": None}


def test_a_file_comes_back_as_it_was(tmp_path):
    path = tmp_path / ".env"
    path.write_bytes(b"A=1\r\n")
    path.chmod(0o640)
    os.utime(path, ns=(1_600_000_000_000_000_000, 1_600_000_000_123_456_789))
    kept = files.record(str(path), b"A=2\r\n")
    before = path.stat()
    files.write(str(path), b"A=2\r\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    (tmp_path / (".env" + files.DRAFT)).write_bytes(b"A=2")  # of a run that was killed
    files.restore(kept)
    files.restore(kept)
    after = path.stat()
    assert path.read_bytes() == b"A=1\r\n" and os.listdir(tmp_path) == [".env"]
    assert (after.st_mode, after.st_mtime_ns, after.st_atime_ns) == (before.st_mode, before.st_mtime_ns, before.st_atime_ns)


def test_a_new_file_is_private_and_goes_again(tmp_path):
    path = tmp_path / "override.yml"
    kept = files.record(str(path), b"{}")
    files.write(str(path), b"{}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    files.restore(kept)
    files.restore(kept)
    assert os.listdir(tmp_path) == []


def test_what_somebody_else_wrote_since_is_not_overwritten(tmp_path):
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    kept = files.record(str(path), b"A=2\n")
    path.write_text("A=2\nB=1\n")
    with pytest.raises(StackError, match="changed by somebody else"):
        files.restore(kept)
    assert path.read_text() == "A=2\nB=1\n"


def test_a_link_stays_one(tmp_path):
    (tmp_path / "real").write_text("A=1\n")
    (tmp_path / ".env").symlink_to("real")
    files.write(str(tmp_path / ".env"), b"A=2\n")
    assert (tmp_path / ".env").is_symlink() and (tmp_path / "real").read_text() == "A=2\n"


PG = "postgresql+psycopg2://shop:p%40ss@pg-old:5433/shop?sslmode=disable"
URLS = [
    ("host", PG, {"host": "pg"}, "postgresql+psycopg2://shop:p%40ss@pg:5433/shop?sslmode=disable"),
    ("port", PG, {"port": 5432}, "postgresql+psycopg2://shop:p%40ss@pg-old:5432/shop?sslmode=disable"),
    ("password", PG, {"password": "a/b c"}, "postgresql+psycopg2://shop:a%2Fb%20c@pg-old:5433/shop?sslmode=disable"),
    ("an @ in the old password", "postgresql://u:p@ss@h/db", {"password": "x"}, "postgresql://u:x@h/db"),
    ("no port yet", "redis://cache/0", {"port": 6380}, "redis://cache:6380/0"),
    ("no account yet", "redis://cache:6379/0", {"password": "x"}, "redis://:x@cache:6379/0"),
    ("no password any more", "redis://:x@cache:6379/0", {"password": ""}, "redis://cache:6379/0"),
    ("no path", "http://llm:8080", {"host": "model"}, "http://model:8080"),
    ("an IPv6 address", "redis://[::1]:6379/0", {"host": "cache"}, "redis://cache:6379/0"),
    ("several hosts are left alone", "postgresql://u:p@a:1,b:2/db", {"host": "c"}, "postgresql://u:p@a:1,b:2/db"),
]


@pytest.mark.parametrize(("url", "parts", "wanted"), [case[1:] for case in URLS], ids=[case[0] for case in URLS])
def test_only_the_wrong_part_of_a_url_changes(url, parts, wanted):
    assert changed_url(url, **parts) == wanted


REPAIRS = [
    ("two slashes lost", "postgresql:shop:pw@pg:5432/shop", "postgres", "postgresql://shop:pw@pg:5432/shop"),
    ("one slash lost", "postgresql:/shop:pw@pg:5432/shop", "postgres", "postgresql://shop:pw@pg:5432/shop"),
    ("a colon lost", "postgresql//shop:pw@pg:5432/shop", "postgres", "postgresql://shop:pw@pg:5432/shop"),
    ("three slashes", "postgresql:///shop:pw@pg:5432/shop", "postgres", "postgresql://shop:pw@pg:5432/shop"),
    ("a letter in the port", "postgresql://shop:pw@pg:5432x/shop", "postgres", "postgresql://shop:pw@pg:5432/shop"),
    ("a password that looks like a port stays", "postgresql://shop:x12345y@pg:5432;/shop", "postgres", "postgresql://shop:x12345y@pg:5432/shop"),
    ("redis without slashes", "redis:cache:6379/0", "redis", "redis://cache:6379/0"),
    ("nothing to be made of it", "see the wiki", "postgres", None),
]


@pytest.mark.parametrize(("url", "kind", "wanted"), [case[1:] for case in REPAIRS], ids=[case[0] for case in REPAIRS])
def test_slips_of_a_hand(url, kind, wanted):
    read = [text for text in repaired(url, kind) if parsed(Target("api", "URL", "", kind, url=text), kind) is not None]
    assert (read or [None])[0] == wanted


BESIDE = {"DATABASE_URL": "postgresql://shop@pg-old/shop", "PGPASSWORD": "wrong"}
ANSWERS = [
    ("the host, of a URL whose password stands beside it", BESIDE, {"host": "pg"}, {"DATABASE_URL": "postgresql://shop@pg/shop"}),
    ("that password", BESIDE, {"password": "right"}, {"PGPASSWORD": "right"}),
    ("both", BESIDE, {"host": "pg", "password": "right"}, {"DATABASE_URL": "postgresql://shop@pg/shop", "PGPASSWORD": "right"}),
    ("the URL's own password", {"DATABASE_URL": "postgresql://u:wrong@pg/s"}, {"password": "right"}, {"DATABASE_URL": "postgresql://u:right@pg/s"}),
    ("nothing", BESIDE, {}, {"DATABASE_URL": "postgresql://shop@pg-old/shop"}),
]


@pytest.mark.parametrize(("environment", "better", "wanted"), [case[1:] for case in ANSWERS], ids=[case[0] for case in ANSWERS])
def test_what_is_written_of_a_url_that_is_put_right(environment, better, wanted):
    given = next(one for one in find_targets("api", environment, "process", lambda _path: None, []) if one.url)
    right = Right.__new__(Right)
    right.kind, right.given, right.by_hand, right.stage = "postgres", given, "by hand", SimpleNamespace(mask=Mask())
    assert right._answer(given, replace(given, **better)).settings == wanted


def test_a_url_is_shown_without_its_password():
    assert bare_url("postgresql://shop:p@ss:w@pg:5432/shop") == "postgresql://shop:***@pg:5432/shop"
    assert bare_url("redis://cache:6379/0") == "redis://cache:6379/0"


SHOWN = [
    ("a plain URL", "CACHE_URL", "redis://cache:6379/0", "redis://cache:6379/0"),
    ("without its password", "DATABASE_URL", "postgresql://shop:Wq7-shop-db@db:5432/shop", "postgresql://shop:***@db:5432/shop"),
    ("a token after the host", "HOOK", "https://hooks.example/T0AbCdEfGh1/B2iJkLmNoP3qRsTuVwXyZ", "***"),
    ("a token for a name", "URL", "https://k3yAbCdEfGhIjKlMnOp@host/", "***"),
    ("another secret", "API_KEY", "k-1", "***"),
    ("a word", "MODE", "fast", "fast"),
    ("not set", "MODE", None, "(not set)"),
]


@pytest.mark.parametrize(("name", "value", "expected"), [case[1:] for case in SHOWN], ids=[case[0] for case in SHOWN])
def test_what_may_be_seen_of_a_value_once_the_stack_was_looked_at(name, value, expected):
    stage = SimpleNamespace(mask=Mask())
    if "://" in (value or ""):
        stage.mask.secret(value)
    assert shown(stage, "", name, value, "other")["before"] == expected


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        ("DB_PASSWORD", "Zx9-planted", True),
        ("DATABASE_URL", "postgresql://u:Zx9-planted@db/shop", True),
        ("DATABASE_URL", "postgresql://u@db/shop", False),
        ("RATE_LIMIT", 200000, False),
        ("SESSION_COOKIE_SECURE", "1", False),
        ("DB_PASSWORD", {"from": {"component": "worker"}}, False),
    ],
)
def test_what_ansible_is_not_to_show_of_set(name, value, hidden):
    assert secrets_among({name: value}) == ([value] if hidden else [])
