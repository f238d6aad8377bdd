# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Database URLs, the meaning of refusals, and passwords and pg_hba.conf judged without a login: one row a case."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import tempfile
from pathlib import Path

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.connect import postgres
from ansible_collections.aiops.runbook.plugins.module_utils.connect.postgres import PostgresTarget, connect, parse_url
from ansible_collections.aiops.runbook.plugins.module_utils.connect.postgres_auth import hba_method, password_matches
from ansible_collections.aiops.runbook.plugins.module_utils.connect.postgres_messages import kind_of
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

# --- URLs: (text, what is understood, flags) ---

URLS = [
    ("postgresql://u:p@h:5433/d", {"host": "h", "port": 5433, "user": "u", "password": "p", "database": "d", "sslmode": "prefer"}, []),
    ("postgresql+asyncpg://u:p%40x@h/d?ssl=true", {"password": "p@x", "sslmode": "require", "driver": "asyncpg"}, ["ssl_parameter"]),
    ("postgresql+asyncpg://u:p@h/d?ssl=verify-full", {"sslmode": "verify-full"}, ["ssl_parameter"]),
    ("postgresql+psycopg://u:p@h/d", {"driver": "psycopg", "host": "h"}, []),
    ("postgresql+psycopg2://u:p@h/d?sslmode=require&connect_timeout=3", {"sslmode": "require", "options": {}}, []),
    ("postgres://u:p@h", {"host": "h", "port": 5432, "database": ""}, ["scheme_postgres", "no_database"]),
    ("postgresql://u:p%2Fs%3F%23@h/d", {"password": "p/s?#"}, []),
    ("postgresql://u:p+q@h/d", {"password": "p+q"}, []),
    ("postgresql://u:se:cret@h/d", {"password": "se:cret"}, []),
    ("postgresql://u:p@ss@h/d", {"password": "p@ss", "host": "h"}, ["password_unencoded_at"]),
    ("postgresql://u:p/ss@h/d", {"password": "p/ss", "host": "h", "database": "d"}, ["password_unencoded_slash"]),
    ("postgresql://u:p#s@h/d", {"password": "p#s", "host": "h"}, ["password_unencoded_hash"]),
    ("postgresql://u:p?s@h/d", {"password": "p?s", "host": "h"}, ["password_unencoded_question"]),
    ("postgresql://h/d?options=a@b", {"host": "h", "database": "d", "user": ""}, []),
    ("postgresql://h/a@b", {"host": "h", "database": "a@b"}, []),
    ("postgresql:///d?host=/var/run/postgresql", {"host": "/var/run/postgresql", "is_socket": True}, []),
    ("postgresql://u:p@/d?host=h1:6000&host=h2", {"host": "h1", "port": 6000, "hosts": [("h1", 6000), ("h2", 5432)]}, ["several_hosts"]),
    ("postgresql://u:p@h1:1,h2:2/d", {"host": "h1", "port": 1, "hosts": [("h1", 1), ("h2", 2)]}, ["several_hosts"]),
    ("postgresql://u:p@h/d?port=6432", {"port": 6432}, []),
    ("postgresql://u:p@[::1]:5/d", {"host": "::1", "port": 5}, []),
    ("postgresql://", {"host": "", "user": ""}, ["no_host", "no_database"]),
    (' "postgresql://u:p@h/d" ', {"host": "h", "database": "d"}, ["spaces", "quoted"]),
    ("postgresql://u:p@h/d\n", {"database": "d"}, ["spaces"]),
    ("host=h port=6000 dbname='my d' user=u password='a\\'b' sslmode=require", {"database": "my d", "password": "a'b", "port": 6000, "sslmode": "require"}, []),
    ("dbname=d", {"database": "d", "host": ""}, ["no_host"]),
    ("asyncpg://u:p@h:5433/d", {"host": "h", "port": 5433, "password": "p", "driver": ""}, []),
    ("psycopg://u:p@h/d", {"host": "h"}, []),
    ("PGSQL://u:p@h/d", {"host": "h"}, []),
    ("psql://u:p@h/d", {"host": "h"}, []),
    ("postgis://u:p@h/d", {"host": "h"}, []),
    ("timescale://u:p@h/d?sslmode=require", {"host": "h", "sslmode": "require"}, []),
]


@pytest.mark.parametrize(("text", "expected", "flags"), URLS, ids=[repr(case[0]) for case in URLS])
def test_url(text, expected, flags):
    target = parse_url(text)
    assert {key: getattr(target, key) for key in expected} == expected
    assert target.flags == flags


MALFORMED = [
    ("", "empty"),
    ("   ", "empty"),
    ("postgresql//u:s3cr3t@h/d", "instead of '://'"),
    ("postgresql:/u:s3cr3t@h/d", "instead of '://'"),
    ("postgresql:u:s3cr3t@h/d", "instead of '://'"),
    ("postgresql:///u:s3cr3t@h/d", "three slashes"),
    ("u:s3cr3t@h/d", "does not begin"),
    ("s3cr3t", "does not begin"),
    ("mysql://u:s3cr3t@h/d", "not postgresql"),
    ("s3cr3t://u@h/d", "not postgresql"),
    ("postgress://u:s3cr3t@h/d", "not postgresql"),
    ("postgresql://u:s3cr3t@h:54a/d", "port is not a number"),
    ("postgresql://u:s3cr3t", "port is not a number"),
    ("postgresql://u:s3cr3t@h:99999/d", "between 1 and 65535"),
    ("postgresql://u:s3cr3t@h:0/d", "between 1 and 65535"),
    ("postgresql://u:s3cr3t@${DB_HOST}/d", "placeholder"),
    ("postgresql://<user>:s3cr3t@h/d", "placeholder"),
    ("postgresql://u:s3cr3t@h x/d", "no host name has"),
    ("postgresql://u:s3cr3t@h/d?sslmode=s3cr3t", "sslmode"),
    ("postgresql://a:b:s3cr3t", "more than one colon"),
    ("host=h password=s3cr3t something", "neither"),
]


@pytest.mark.parametrize(("text", "reason"), MALFORMED, ids=[repr(case[0]) for case in MALFORMED])
def test_malformed_url(text, reason):
    with pytest.raises(StackError) as caught:
        parse_url(text)
    assert caught.value.kind == "malformed"
    assert reason in caught.value.message
    assert "s3cr3t" not in caught.value.message + str(caught.value.details)


def test_a_target_does_not_show_its_password():
    assert "hunter22" not in repr(parse_url("postgresql://u:hunter22@h/d"))


# --- refusals: (message, kind); the foreign ones are PostgreSQL's own translations ---

SERVER = 'connection to server at "127.0.0.1", port 5432 failed: '
REFUSALS = [
    (SERVER + 'FATAL:  password authentication failed for user "app"', "auth"),
    (SERVER + "fe_sendauth: no password supplied", "auth"),
    (SERVER + 'FATAL:  role "app" is not permitted to log in', "auth"),
    (SERVER + 'FATAL:  Peer authentication failed for user "app"', "auth"),
    (SERVER + "FATAL:  Passwort-Authentifizierung für Benutzer »app« fehlgeschlagen", "auth"),
    (SERVER + 'FATAL:  用户 "app" Password 认证失败', "auth"),
    (SERVER + 'FATAL:  пользователь "app" не прошёл проверку подлинности (по паролю)', "auth"),
    (SERVER + 'FATAL:  ユーザー"app"のパスワード認証に失敗しました', "auth"),
    (SERVER + 'FATAL:  role "app" does not exist', "role_missing"),
    (SERVER + "FATAL:  Rolle »app« existiert nicht", "role_missing"),
    (SERVER + "FATAL:  le rôle « app » n'existe pas", "role_missing"),
    (SERVER + 'FATAL:  database "shop" does not exist', "database_missing"),
    (SERVER + "FATAL:  Datenbank »shop« existiert nicht", "database_missing"),
    (SERVER + "FATAL:  no existe la base de datos «shop»", "database_missing"),
    (SERVER + 'FATAL:  数据库 "shop" 不存在', "database_missing"),
    ("FATAL: no such database: shop", "database_missing"),
    (SERVER + "FATAL:  sorry, too many clients already", "too_many_clients"),
    (SERVER + "FATAL:  remaining connection slots are reserved for non-replication superuser connections", "too_many_clients"),
    (SERVER + "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", "too_many_clients"),
    (SERVER + 'FATAL:  too many connections for role "app"', "too_many_clients"),
    (SERVER + "FATAL:  désolé, trop de clients sont déjà connectés", "too_many_clients"),
    (SERVER + "FATAL:  对不起, 已经有太多的客户", "too_many_clients"),
    ("FATAL: no more connections allowed (max_client_conn)", "too_many_clients"),
    (SERVER + "FATAL:  the database system is starting up", "starting_up"),
    (SERVER + "FATAL:  the database system is shutting down", "starting_up"),
    (SERVER + "FATAL:  das Datenbanksystem startet", "starting_up"),
    (SERVER + "FATAL:  数据库系统启动中", "starting_up"),
    (SERVER + 'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "app", database "shop", no encryption', "no_hba"),
    (SERVER + "FATAL:  kein pg_hba.conf-Eintrag für Host »10.0.0.1«, Benutzer »app«, Datenbank »shop«, keine Verschlüsselung", "no_hba"),
    (SERVER + "server does not support SSL, but SSL was required", "tls"),
    (SERVER + "SSL error: certificate verify failed", "tls"),
    (SERVER + "received invalid response to SSL negotiation: H", "protocol"),
    (SERVER + "server closed the connection unexpectedly", "protocol"),
    (SERVER + "Connection refused", "refused"),
    (SERVER + "No route to host", "unreachable"),
    (SERVER + "timeout expired", "timeout"),
    ("FATAL: unsupported startup parameter: options", "options_refused"),
    ('could not translate host name "x" to address: Name or service not known', "dns"),
    # Somebody chose the names in quotes: they do not decide.
    (SERVER + 'FATAL:  database "too many clients" does not exist', "database_missing"),
    (SERVER + 'FATAL:  password authentication failed for user "role x does not exist"', "auth"),
    (SERVER + "etwas ganz anderes", ""),
]


@pytest.mark.parametrize(("message", "kind"), REFUSALS, ids=[case[0].replace(SERVER, "")[:60] for case in REFUSALS])
def test_kind_of_a_refusal(message, kind):
    assert kind_of(message) == kind


def test_a_sqlstate_decides():
    assert kind_of("anything", "53300") == "too_many_clients"
    assert kind_of("anything", "28P01") == "auth"
    assert kind_of("kein pg_hba.conf-Eintrag", "28000") == "no_hba"


# --- connecting, without a server ---


def failure(**words):
    with pytest.raises(StackError) as caught:
        connect(PostgresTarget(**{"host": "127.0.0.1", "user": "u", "password": "s3cr3tword", "database": "d", **words}), timeout=0.5)
    assert "s3cr3tword" not in caught.value.message
    return caught.value


@pytest.fixture
def listener():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(5)
        yield server


def test_refused():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        assert failure(port=server.getsockname()[1]).kind == "refused"


def test_a_hung_server_is_told_from_no_server(listener):
    error = failure(port=listener.getsockname()[1])
    assert (error.kind, error.details["stage"]) == ("timeout", "answer")


def test_a_name_without_address():
    assert failure(host="no-such-host.invalid").kind == "dns"


def test_a_socket_folder_without_socket(tmp_path):
    assert failure(host=str(tmp_path)).kind == "refused"


@pytest.mark.parametrize("given", [{}, {"ca_data": "PEM"}, {"options": {"sslrootcert": "/here.pem"}}], ids=["none", "by its text", "a file here"])
def test_certificates_that_are_known_by_their_text_lie_in_a_file_while_hands_are_shaken(given, monkeypatch):
    read = []

    def handshake(target, words, until):
        path = words.get("sslrootcert", "")
        read.append((path, Path(path).read_text(encoding="utf-8") if path.startswith(tempfile.gettempdir()) else ""))
        raise StackError("enough", kind="tls")

    monkeypatch.setattr(postgres, "_handshake", handshake)
    with pytest.raises(StackError):
        connect(PostgresTarget(host="db", hostaddr="192.0.2.7", sslmode="verify-full", **given), 1.0)
    path, text = read[0]
    assert text == given.get("ca_data", "") and (path == "/here.pem") is ("options" in given) and bool(path) is bool(given)
    assert not path or not Path(path).exists()


def test_a_missing_library_names_the_role(monkeypatch):
    monkeypatch.setattr(postgres, "HAS_PSYCOPG2", False)
    error = failure()
    assert error.kind == "missing_library"
    assert "aiops.runbook.prepare" in error.message


# --- passwords against the server's records ---


def scram(password: bytes, salt: bytes = b"0123456789abcdef", rounds: int = 4096) -> str:
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, rounds)
    stored = hashlib.sha256(hmac.new(salted, b"Client Key", hashlib.sha256).digest()).digest()
    server = hmac.new(salted, b"Server Key", hashlib.sha256).digest()
    return "SCRAM-SHA-256$%d:%s$%s:%s" % (rounds, *(base64.b64encode(part).decode() for part in (salt, stored, server)))


MD5 = "md5" + hashlib.md5(b"hunter2app", usedforsecurity=False).hexdigest()
PASSWORDS = [
    ("scram, right", scram(b"hunter2"), "hunter2", True),
    ("scram, wrong", scram(b"hunter2"), "hunter3", False),
    ("scram, empty", scram(b"hunter2"), "", False),
    ("scram, other rounds", scram(b"hunter2", rounds=100), "hunter2", True),
    ("scram, SASLprep maps a soft hyphen away", scram(b"IX"), "I\u00adX", True),
    ("scram, SASLprep normalizes", scram(b"a"), "\u00aa", True),
    ("scram, letters beyond ASCII", scram("paßwörd".encode()), "paßwörd", True),
    ("md5, right", MD5, "hunter2", True),
    ("md5, wrong", MD5, "hunter3", False),
    ("no verifier", None, "hunter2", None),
    ("an unknown verifier", "SCRAM-SHA-512$1:a$b:c", "hunter2", None),
    ("a broken verifier", "SCRAM-SHA-256$nonsense", "hunter2", None),
]


@pytest.mark.parametrize(("verifier", "password", "expected"), [case[1:] for case in PASSWORDS], ids=[case[0] for case in PASSWORDS])
def test_password_matches(verifier, password, expected):
    assert password_matches(verifier, "app", password) is expected


# --- pg_hba.conf ---


def rule(kind="host", database="all", user="all", address="all", netmask=None, method="scram-sha-256"):
    return {"type": kind, "database": [database], "user_name": [user], "address": address, "netmask": netmask, "auth_method": method, "error": None}


LOOPBACK = rule(address="127.0.0.1", netmask="255.255.255.255", method="trust")
DOCKER = [rule("local", address=None, method="trust"), LOOPBACK, rule(address="all")]
HBA = [
    ("the image's default", DOCKER, "172.18.0.5", "scram-sha-256"),
    ("the loopback is trusted", DOCKER, "127.0.0.1", "trust"),
    ("the first that fits", [rule(user="app", method="trust"), *DOCKER], "172.18.0.5", "trust"),
    ("another user's rule", [rule(user="other", method="trust"), *DOCKER], "172.18.0.5", "scram-sha-256"),
    ("a network", [rule(address="172.18.0.0", netmask="255.255.0.0", method="md5")], "172.18.0.5", "md5"),
    ("outside of the network", [rule(address="172.18.0.0", netmask="255.255.0.0")], "172.19.0.5", "none"),
    ("rejected", [rule(method="reject")], "172.18.0.5", "reject"),
    ("sameuser", [rule(database="sameuser", method="md5")], "172.18.0.5", "none"),
    ("TLS that the server has not", [rule("hostssl", method="cert"), rule()], "172.18.0.5", "scram-sha-256"),
    ("a group: cannot be told", [rule(user="+staff"), rule()], "172.18.0.5", None),
    ("a host name: cannot be told", [rule(address="app.example.org"), rule()], "172.18.0.5", None),
    ("IPv6", [rule(address="fd00::", netmask="ffff::", method="md5")], "fd00::5", "md5"),
    ("no address", DOCKER, "not an address", None),
]


@pytest.mark.parametrize(("rules", "address", "expected"), [case[1:] for case in HBA], ids=[case[0] for case in HBA])
def test_hba_method(rules, address, expected):
    assert hba_method(rules, address, "app", "shop") == expected


def test_hba_where_the_server_has_tls():
    assert hba_method([rule("hostssl", method="cert"), rule()], "172.18.0.5", "app", "shop", server_has_ssl=True) is None
