"""Where a cluster is and as whom it is asked, from kubeconfig files: one row a case."""

from __future__ import annotations

import json

import pytest
import yaml

from ansible_collections.aiops.runbook.plugins.module_utils.connect import kubeconfig
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError


def config(user=None, context="one", server="http://127.0.0.1:1", **cluster):
    return {
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": user or {}}],
    }


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    def make(found, name="config"):
        path = tmp_path / name
        path.write_text(found if isinstance(found, str) else yaml.safe_dump(found), encoding="utf-8")
        return str(path)

    return make


def test_token(write):
    access = kubeconfig.find_access(write(config({"token": "abc"})))
    assert (access.server, access.namespace, access.headers()) == ("http://127.0.0.1:1", "shop", {"Authorization": "Bearer abc"})


def test_a_token_file_is_read_each_time(write, tmp_path):
    (tmp_path / "token").write_text("one\n")
    access = kubeconfig.find_access(write(config({"tokenFile": "token"})))
    assert access.headers()["Authorization"] == "Bearer one"
    (tmp_path / "token").write_text("two\n")
    assert access.headers()["Authorization"] == "Bearer two"


def test_a_command_gives_the_token_once(write, tmp_path):
    script = tmp_path / "login"
    status = {"kind": "ExecCredential", "status": {"token": "t-1", "expirationTimestamp": "2999-01-01T00:00:00Z"}}
    script.write_text("#!/bin/sh\necho run >> %s\necho '%s'\n" % (tmp_path / "runs", json.dumps(status)))
    script.chmod(0o700)
    access = kubeconfig.find_access(write(config({"exec": {"command": "./login", "apiVersion": "client.authentication.k8s.io/v1"}})))
    assert [access.headers()["Authorization"] for _again in range(2)] == ["Bearer t-1"] * 2
    assert (tmp_path / "runs").read_text() == "run\n"
    assert access.forget() and access.headers() and (tmp_path / "runs").read_text() == "run\nrun\n"


def test_several_files_the_first_name_wins(write):
    first = write({"contexts": [{"name": "two", "context": {"cluster": "c", "user": "u", "namespace": "mine"}}]}, "first")
    second = write(config({"token": "abc"}), "second")
    access = kubeconfig.find_access("%s:%s" % (first, second), "two")
    assert (access.server, access.namespace) == ("http://127.0.0.1:1", "mine")


BROKEN = [
    ("no YAML", "users: [{name: u, user: {token: hunter2}]", "not valid YAML"),
    ("no mapping", "- a", "holds no configuration"),
    ("an unknown context", config(context="other"), "has no context one; its contexts are: other"),
    ("no server", config(server=""), "names no server"),
    ("an auth-provider", config({"auth-provider": {"name": "oidc"}}), "auth-provider"),
    ("no authority", config(server="https://127.0.0.1:1", **{"certificate-authority-data": "aHVudGVyMg=="}), "certificate authority cannot be used"),
    ("no such file", config(server="https://127.0.0.1:1", **{"certificate-authority": "/nowhere"}), "/nowhere cannot be read"),
]


@pytest.mark.parametrize(("what", "found", "message"), BROKEN, ids=[case[0] for case in BROKEN])
def test_broken(write, what, found, message):
    with pytest.raises(StackError) as caught:
        kubeconfig.find_access(write(found), "one")
    assert message in caught.value.message
    assert "hunter2" not in caught.value.message


COMMANDS = [
    ("is not there", "./nowhere", "did not give a token"),
    ("fails", "false", "gave no token (exit code 1)"),
    ("says something else", "pwd", "gave no token (exit code 0)"),
]


@pytest.mark.parametrize(("what", "command", "message"), COMMANDS, ids=[case[0] for case in COMMANDS])
def test_a_command_that(write, what, command, message):
    access = kubeconfig.find_access(write(config({"exec": {"command": command}})))
    with pytest.raises(StackError, match=message.replace("(", r"\(").replace(")", r"\)")) as caught:
        access.headers()
    assert caught.value.kind == "auth"


def test_none_at_all(monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(StackError, match="there is no kubeconfig at /nowhere"):
        kubeconfig.find_access("/nowhere")
