"""When a project's files may ask for something else than what runs, and when that may matter: one row a case."""

from __future__ import annotations

import json
import os
import time

import pytest
from samples import component, stack

from ansible_collections.aiops.runbook.plugins.module_utils.model import unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.stack import may_matter, not_well
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Instance
from ansible_collections.aiops.runbook.plugins.module_utils.platform.compose_files import edited, may_differ, networks_asked

PLAIN = {"services": {"api": {"image": "shop"}, "db": {"image": "db"}}}
ONE_NET = [("api", ["shop_default"]), ("db", ["shop_default"])]


@pytest.fixture
def made(tmp_path):
    """A project's files and containers made of them a moment later."""
    (tmp_path / "compose.yml").write_text(json.dumps(PLAIN))
    (tmp_path / ".env").write_text("A=1\n")
    time.sleep(0.02)
    made_at = time.time()
    time.sleep(0.02)
    return tmp_path, made_at


def differs(made, copies=None, env_files=()):
    folder, made_at = made
    copies = ONE_NET if copies is None else copies
    return may_differ("shop", [str(folder / "compose.yml")], str(folder), [str(folder / name) for name in env_files], made_at, copies)


def backdate(path):
    os.utime(path, (1, 1))


CHANGES = [
    ("nothing", lambda folder: None, False),
    ("the file is edited", lambda folder: (folder / "compose.yml").write_text(json.dumps(PLAIN)), True),
    ("the variables are edited", lambda folder: (folder / ".env").write_text("A=2\n"), True),
    ("something older is put in its place", lambda folder: backdate(folder / ".env"), True),
    ("the variables are gone", lambda folder: (folder / ".env").unlink(), True),
    ("the file is gone", lambda folder: (folder / "compose.yml").unlink(), True),
    ("something else in the folder", lambda folder: (folder / "reports").mkdir(), False),
]


@pytest.mark.parametrize(("what", "change", "expected"), CHANGES, ids=[case[0] for case in CHANGES])
def test_changed_since(made, what, change, expected):
    change(made[0])
    assert differs(made) is expected


def test_a_link_that_leads_elsewhere_now(tmp_path):
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "compose.yml").write_text(json.dumps(PLAIN))
        (tmp_path / release / ".env").write_text("")
    link = tmp_path / "compose.yml"
    (tmp_path / ".env").write_text("")
    link.symlink_to(tmp_path / "2" / "compose.yml")
    time.sleep(0.02)
    made = (tmp_path, time.time())
    time.sleep(0.02)
    assert not differs(made)
    link.unlink()
    link.symlink_to(tmp_path / "1" / "compose.yml")
    assert differs(made)


def test_other_files_of_variables(made):
    folder, _made_at = made
    (folder / ".env").write_text("A=2\n")
    assert differs(made, env_files=["live.env"])  # it is not there
    (folder / "live.env").write_text("")
    assert differs(made, env_files=["live.env"])
    assert not differs((folder, time.time() + 1), env_files=["live.env"])


STANDING = [
    ("on its network", ONE_NET, False),
    ("on one more", [("api", ["shop_default", "company"])], False),
    ("on none", [("api", [])], True),
    ("a service that the files do not know", [("old", ["shop_default"])], False),
]


@pytest.mark.parametrize(("what", "copies", "expected"), STANDING, ids=[case[0] for case in STANDING])
def test_networks_lost(made, what, copies, expected):
    assert differs(made, copies) is expected


def test_no_labels():
    assert may_differ("shop", [], "", [], time.time(), [])


TEXTS = [
    ("the default network", ["services: {api: {}}"], {"api": {"shop_default"}}),
    ("two networks", ["services: {api: {networks: [a, b]}}\nnetworks: {a: , b: {name: lan}}"], {"api": {"shop_a", "lan"}}),
    ("with settings of their own", ["services: {api: {networks: {a: {aliases: [x]}}}}\nnetworks: {a: {}}"], {"api": {"shop_a"}}),
    ("one from elsewhere", ["services: {api: {networks: [a]}}\nnetworks: {a: {external: true}}"], {"api": {"a"}}),
    ("one from elsewhere, named", ["services: {api: {networks: [a]}}\nnetworks: {a: {external: {name: lan}}}"], {"api": {"lan"}}),
    ("the default has a name", ["services: {api: {}}\nnetworks: {default: {name: lan}}"], {"api": {"lan"}}),
    ("the host's", ["services: {api: {network_mode: host}}"], {"api": set()}),
    ("several files", ["services: {api: {networks: [a]}}\nnetworks: {a: , b: }", "services: {api: {networks: [b]}}"], {"api": {"shop_a", "shop_b"}}),
    ("a merged part", ["x-a: &a {networks: [a]}\nservices: {api: {<<: *a}}\nnetworks: {a: }"], {"api": {"shop_a"}}),
    ("a name that is filled in", ["services: {api: {networks: [a]}}\nnetworks: {a: {name: '${NET}'}}"], None),
    ("a network that nobody declares", ["services: {api: {networks: [a]}}"], None),
    ("a further file of settings", ["services: {api: {env_file: live.env}}"], None),
    ("a further file", ["include: [other.yml]\nservices: {}"], None),
    ("a variable that has to be there", ["services: {api: {image: 'shop:${TAG:?}'}}"], None),
    ("a tag of Compose", ["services: {api: {networks: !reset [a]}}"], None),
    ("no YAML", ["services: ["], None),
    ("nothing", [""], None),
]


@pytest.mark.parametrize(("what", "texts", "expected"), TEXTS, ids=[case[0] for case in TEXTS])
def test_networks_asked(what, texts, expected):
    assert networks_asked("shop", texts) == expected


STATES = [
    ("running", {"state": "running"}, False),
    ("ended in good order", {"state": "exited"}, False),
    ("ended with an error", {"state": "exited", "exit_code": 1}, True),
    ("restarting", {"state": "restarting"}, True),
    ("never started", {"state": "created"}, True),
    ("unhealthy", {"state": "running", "health": {"status": "unhealthy"}}, True),
    ("healthy", {"state": "running", "health": {"status": "healthy"}}, False),
    ("a one-off run", {"state": "exited", "exit_code": 1, "one_off": True}, False),
]


@pytest.mark.parametrize(("what", "about", "expected"), STATES, ids=[case[0] for case in STATES])
def test_not_well(what, about, expected):
    assert not_well([Component(id="api", instances=[Instance(id="1", name="api", **about)])]) is expected


OUTSIDE = {"to": "api", "connects": True, "status": 200}
REACH = {"from": "api", "resolves": True, "connects": True}
LATE = unseen("no answer", kind="timeout")


def seen(reach=None, outside=(OUTSIDE,), answers=True, accepted=True, status=200, log="http_500"):
    reach = REACH if reach is None else reach
    signature = {"kind": log, "about": "", "count": 1}
    api = component("api", "api")
    api["logs"]["signatures"] = [signature]
    return stack(
        api,
        reach=[reach],
        outside=list(outside),
        postgres={"db": {"answers": answers, "accounts": [{"component": "api", "accepted": accepted}]}},
        http={"api": {"answers": True, "routes": {"/health": {"status": status}, "/docs": {"status": 404}}}},
    )


MATTERS = [
    ("all is well", {}, False),
    ("a name that nobody knows", {"reach": {"from": "api", "resolves": False}}, True),
    ("no way there", {"reach": {**REACH, "connects": False}}, True),
    ("a way that was not seen", {"reach": {**LATE, "probe": "reach:1:db:5432"}}, True),
    ("no way in", {"outside": ()}, True),
    ("a way in that leads nowhere", {"outside": [{**OUTSIDE, "connects": False, "status": None}]}, True),
    ("a bad gateway", {"outside": [{**OUTSIDE, "status": 502}]}, True),
    ("a server that does not answer", {"answers": LATE}, True),
    ("an account that is refused", {"accepted": False}, True),
    ("an account that was not tried", {"accepted": None}, True),
    ("a route that fails", {"status": 503}, True),
    ("a route that gave no answer", {"status": None}, True),
    ("a route that leads on", {"status": 307}, False),
    ("a log that complains of a refusal", {"log": "postgres_auth"}, True),
]


@pytest.mark.parametrize(("what", "about", "expected"), MATTERS, ids=[case[0] for case in MATTERS])
def test_may_matter(what, about, expected):
    assert may_matter(seen(**about)) is expected


def test_files_that_were_edited_after_a_container_was_made(tmp_path):
    file = tmp_path / "compose.yml"
    file.write_text("services: {}")
    made = file.stat().st_ctime
    assert edited([str(file)], made - 10) and not edited([str(file)], made + 10)
    assert edited([str(file), str(tmp_path / "gone.yml")], made + 10)
