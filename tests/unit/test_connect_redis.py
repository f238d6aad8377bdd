# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import socket
import ssl

import pytest
import redis as library

from ansible_collections.aiops.runbook.plugins.module_utils.connect import redis as connect
from ansible_collections.aiops.runbook.plugins.module_utils.connect.redis import RedisTarget, explain, parse_url
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError


@pytest.mark.parametrize(
    "text,host,port,username,password,database,tls",
    [
        ("redis://cache", "cache", 6379, None, None, 0, False),
        ("redis://cache:6380/2", "cache", 6380, None, None, 2, False),
        ("REDIS://cache", "cache", 6379, None, None, 0, False),
        ("'redis://cache:6379/0'", "cache", 6379, None, None, 0, False),
        ("redis://:pw@cache/1", "cache", 6379, None, "pw", 1, False),
        ("redis://bob:p%40ss%2Fw@cache/1", "cache", 6379, "bob", "p@ss/w", 1, False),
        ("redis://bob:p@ss@cache", "cache", 6379, "bob", "p@ss", 0, False),
        ("redis://bob@cache", "cache", 6379, "bob", None, 0, False),
        ("rediss://cache:6380", "cache", 6380, None, None, 0, True),
        ("valkey://cache", "cache", 6379, None, None, 0, False),
        ("redis://", "localhost", 6379, None, None, 0, False),
        ("redis:///3", "localhost", 6379, None, None, 3, False),
        ("redis://cache?db=4", "cache", 6379, None, None, 4, False),
        ("redis://cache/5?socket_timeout=3", "cache", 6379, None, None, 5, False),
        ("redis://[::1]:7000/1", "::1", 7000, None, None, 1, False),
        ("redis://a:1/0;redis://b:2/0", "a", 1, None, None, 0, False),
        ("redis://cache?password=pw&username=bob", "cache", 6379, "bob", "pw", 0, False),
        ("rediscache://:pw@cache:6380/1", "cache", 6380, None, "pw", 1, False),
        ("rediscaches://cache", "cache", 6379, None, None, 0, True),
    ],
)
def test_url(text, host, port, username, password, database, tls):
    seen = parse_url(text)
    assert (seen.host, seen.port, seen.username, seen.password, seen.database, seen.tls) == (host, port, username, password, database, tls)


@pytest.mark.parametrize(
    "text,kind,word",
    [
        ("", "malformed", "empty"),
        ("cache:6379", "malformed", "begin with"),
        ("redis:cache", "malformed", "//"),
        ("redis:/cache", "malformed", "//"),
        ("http://cache", "malformed", "scheme"),
        ("redis://:geheim99@cache:port/0", "malformed", "port"),
        ("redis://:geheim99@cache:99999/0", "malformed", "65535"),
        ("redis://:geheim99@cache/abc", "malformed", "database"),
        ("redis://:geh/eim99@cache", "malformed", "%2F"),
        ("redis://:geh#eim99@cache", "malformed", "%23"),
        ("redis://:geheim99@ca che", "malformed", "host"),
        ("redis://:geheim99@[::1", "malformed", "bracket"),
        ("sentinel://:geheim99@a:26379;sentinel://b:26379", "unsupported", "Sentinel"),
        ("redis+sentinel://:geheim99@a:26379/mymaster/0", "unsupported", "Sentinel"),
        ("unix:///run/redis.sock?db=1", "unsupported", "socket"),
        ("redis+socket:///run/redis.sock", "unsupported", "socket"),
    ],
)
def test_url_that_cannot_be_used(text, kind, word):
    with pytest.raises(StackError) as caught:
        parse_url(text)
    assert caught.value.kind == kind
    assert word in caught.value.message
    assert "geh" not in caught.value.message and "eim99" not in caught.value.message


def test_trust_is_the_application_s():
    assert parse_url("rediss://cache").verify
    assert not parse_url("rediss://cache?ssl_cert_reqs=CERT_NONE").verify
    assert parse_url("rediss://cache?ssl_ca_certs=/ca.pem").ca == "/ca.pem"


def test_a_target_does_not_show_its_password():
    assert "pw" not in repr(RedisTarget(password="pw")) and "pw" not in RedisTarget(password="pw").shown


def caused(error, cause):
    error.__cause__ = cause
    return error


ERRORS = library.exceptions


@pytest.mark.parametrize(
    "error,kind",
    [
        (caused(ERRORS.ConnectionError("Error 111"), ConnectionRefusedError(111, "refused")), "refused"),
        (caused(ERRORS.ConnectionError("Error -2"), socket.gaierror(-2, "unknown")), "dns"),
        (caused(ERRORS.ConnectionError("Error 113"), OSError(113, "No route to host")), "unreachable"),
        (caused(ERRORS.ConnectionError("Error 104"), ConnectionResetError(104, "reset")), "reset"),
        (caused(ERRORS.ConnectionError("Error 1"), ssl.SSLError(1, "wrong version number")), "tls"),
        (ERRORS.TimeoutError("Timeout reading from socket"), "timeout"),
        (caused(ERRORS.ConnectionError("x"), TimeoutError("timed out")), "timeout"),
        (ERRORS.AuthenticationError("Authentication required."), "auth_required"),
        (ERRORS.ResponseError("NOAUTH Authentication required."), "auth_required"),
        (ERRORS.AuthenticationError("invalid username-password pair or user is disabled."), "auth"),
        (ERRORS.AuthenticationError("WRONGPASS invalid username-password pair or user is disabled."), "auth"),
        (ERRORS.ResponseError("invalid password"), "auth"),
        (ERRORS.AuthenticationError("AUTH <password> called without any password configured for the default user. Are you sure"), "auth"),
        (ERRORS.AuthenticationError("Client sent AUTH, but no password is set"), "auth"),
        (ERRORS.BusyLoadingError("Redis is loading the dataset in memory"), "loading"),
        (ERRORS.ConnectionError("max number of clients reached"), "maxclients"),
        (ERRORS.ResponseError("BUSY Redis is busy running a script. You can only call SCRIPT KILL"), "busy"),
        (ERRORS.ResponseError("DB index is out of range"), "database"),
        (ERRORS.ConnectionError("Connection closed by server."), "reset"),
        (
            ERRORS.ResponseError("DENIED Redis is running in protected mode because no password is set for the default user."),
            "denied",
        ),
        (ERRORS.NoPermissionError("this user has no permissions"), "denied"),
        (ERRORS.InvalidResponse("Protocol Error: b'SSH-2.0'"), "protocol"),
    ],
)
def test_errors_by_kind(error, kind):
    seen = explain(error, RedisTarget(host="cache", password="geheim99"), 1.0)
    assert seen.kind == kind
    assert "geheim99" not in seen.message


@pytest.mark.parametrize(("ca", "expected"), [("/certs/ca.pem", "tls"), (None, "protocol")], ids=["its file", "another one"])
def test_a_certificate_s_file_that_is_not_here_says_nothing_of_the_server(ca, expected):
    error = caused(ERRORS.ConnectionError("Error 2"), FileNotFoundError(2, "No such file or directory"))
    seen = explain(error, RedisTarget(host="cache", tls=True, ca=ca), 1.0)
    assert seen.kind == expected and ("ssl_ca_certs" in seen.message) is bool(ca)


AUTHORITIES = [
    ("a file", {"ca": "/ca.pem"}, {"ssl_ca_certs": "/ca.pem", "ssl_cert_reqs": "required"}),
    ("the certificates themselves", {"ca": "/ca.pem", "ca_data": "PEM"}, {"ssl_ca_data": "PEM", "ssl_cert_reqs": "required"}),
    ("the system's", {}, {"ssl_ca_certs": None, "ssl_cert_reqs": "required"}),
    ("none are checked", {"ca": "/ca.pem", "verify": False}, {"ssl_cert_reqs": "none"}),
]


@pytest.mark.parametrize(("what", "given", "expected"), AUTHORITIES, ids=[case[0] for case in AUTHORITIES])
def test_whose_certificates_are_believed(what, given, expected):
    arguments = connect.connection_arguments(RedisTarget(host="cache", tls=True, **given), 1.0, "x")[1]
    assert {name: value for name, value in arguments.items() if name.startswith(("ssl_ca", "ssl_cert"))} == expected


def test_an_unneeded_password_is_told_from_a_wrong_one():
    text = "AUTH <password> called without any password configured for the default user"
    assert explain(ERRORS.AuthenticationError(text), RedisTarget(), 1.0).details["unneeded"]
    assert "unneeded" not in explain(ERRORS.AuthenticationError("WRONGPASS"), RedisTarget(), 1.0).details


def test_missing_library_names_the_role(monkeypatch):
    monkeypatch.setattr(connect, "redis", None)
    with pytest.raises(StackError) as caught:
        connect.connect(RedisTarget(), 1.0)
    assert caught.value.kind == "missing_library" and "aiops.runbook.prepare" in caught.value.message


def test_a_name_is_kept_for_tls_where_an_address_is_given():
    kind, arguments = connect.connection_arguments(RedisTarget(host="cache.example.org", tls=True, address="192.0.2.7"), 1.0, "x")
    assert arguments["host"] == "cache.example.org" and arguments["ssl_check_hostname"]
    assert issubclass(kind, library.SSLConnection)
