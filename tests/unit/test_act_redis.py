# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pure choices of the remedies for Redis."""

from __future__ import annotations

import types

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy import redis
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.redis import (
    agrees,
    choose_config,
    common_password,
    data_danger,
    ended_with,
    folder_danger,
    memory_bytes,
    parse_folder,
    save_cause,
    saves,
    start_of,
    to_put_back,
    worked_by,
)
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload_redis import volume_danger
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import Target

MIB = 1 << 20
ROOM = {"most": 384 * MIB, "why": "75 % of its container's 512 MiB"}
FACTS = {"used": 100 * MIB, "maxmemory": 100 * MIB, "maxmemory-policy": "noeviction", "broker": False}


@pytest.mark.parametrize(
    ("asked", "facts", "room", "wanted"),
    [
        ({"maxmemory": "grow"}, {}, {}, {"maxmemory": 160 * MIB}),
        ({"maxmemory": "grow"}, {"used": 200 * MIB}, {}, {"maxmemory": 304 * MIB}),
        ({"maxmemory": "grow"}, {"used": 101 * MIB}, {}, {"maxmemory": 160 * MIB}),
        ({"maxmemory": "grow"}, {"used": 79 * MIB}, {}, {}),
        ({"maxmemory": "grow"}, {}, {"most": 130 * MIB}, {"maxmemory": 130 * MIB}),
        ({"maxmemory": 200 * MIB}, {}, {}, {"maxmemory": 200 * MIB}),
        ({"maxmemory": 200 * MIB}, {}, {"most": None}, {"maxmemory": 200 * MIB}),
        ({"maxmemory": 100 * MIB}, {"used": 10 * MIB}, {}, {}),
        ({"maxmemory_policy": "allkeys-lru"}, {}, {}, {"maxmemory-policy": "allkeys-lru"}),
        ({"maxmemory_policy": "noeviction"}, {"broker": True, "maxmemory-policy": "allkeys-lru"}, {}, {"maxmemory-policy": "noeviction"}),
    ],
)
def test_a_configuration_is_chosen(asked, facts, room, wanted):
    assert choose_config(asked, {**FACTS, **facts}, {**ROOM, **room}, 80.0) == wanted


@pytest.mark.parametrize(
    ("asked", "facts", "room", "said"),
    [
        ({}, {}, {}, "nothing says"),
        ({"maxmemory": "grow"}, {"maxmemory": 0}, {}, "no limit that could grow"),
        ({"maxmemory": "grow"}, {"used": 380 * MIB, "maxmemory": 384 * MIB}, {}, "no room to grow"),
        ({"maxmemory": "grow"}, {}, {"most": 110 * MIB}, "no room to grow"),
        ({"maxmemory": "grow"}, {}, {"most": None, "why": "the server runs elsewhere"}, "runs elsewhere"),
        ({"maxmemory": 101 * MIB}, {}, {}, "are used already"),
        ({"maxmemory": 400 * MIB}, {}, {}, "75 %"),
        ({"maxmemory": 0}, {}, {}, "without a limit"),
        ({"maxmemory_policy": "none"}, {}, {}, "no policy none"),
        ({"maxmemory_policy": "volatile-ttl"}, {"broker": True}, {}, "broker"),
    ],
)
def test_a_configuration_is_refused(asked, facts, room, said):
    with pytest.raises(Refused, match=said):
        choose_config(asked, {**FACTS, **facts}, {**ROOM, **room}, 80.0)


SET = {"settings": {"maxmemory-policy": "noeviction", "maxmemory": 100 * MIB}, "after": {"maxmemory-policy": "allkeys-lru", "maxmemory": 160 * MIB}}
GREW = {"settings": {"maxmemory": 100 * MIB}, "after": {"maxmemory": 160 * MIB}}


@pytest.mark.parametrize(
    ("what", "record", "facts", "back", "left"),
    [
        ("as it was set", SET, {}, {"maxmemory-policy": "noeviction", "maxmemory": 100 * MIB}, {}),
        ("put back already", SET, {"maxmemory": 100 * MIB, "maxmemory-policy": "noeviction", "used": 120 * MIB}, {}, {}),
        ("half of it was set", SET, {"maxmemory": 100 * MIB}, {"maxmemory-policy": "noeviction"}, {}),
        ("a larger limit by somebody else", SET, {"maxmemory": 300 * MIB}, {"maxmemory-policy": "noeviction"}, {"maxmemory": "since, to 300 MiB"}),
        ("another policy by somebody else", SET, {"maxmemory-policy": "volatile-ttl"}, {"maxmemory": 100 * MIB}, {"maxmemory-policy": "to volatile-ttl"}),
        ("as full as it was", GREW, {"used": 104 * MIB}, {"maxmemory": 100 * MIB}, {}),
        ("fuller than it was", GREW, {"used": 120 * MIB}, {}, {"maxmemory": "120 MiB are used, more than the maxmemory of 100 MiB"}),
        ("it would throw away", GREW, {"used": 104 * MIB, "maxmemory-policy": "allkeys-lru"}, {}, {"maxmemory": "104 MiB are used"}),
        ("it had no limit", {**GREW, "settings": {"maxmemory": 0}}, {"used": 120 * MIB}, {"maxmemory": 0}, {}),
        ("what was set is not known", {"settings": {"maxmemory": 100 * MIB}}, {}, {}, {"maxmemory": "changed by somebody else"}),
    ],
)
def test_what_of_a_configuration_is_put_back(what, record, facts, back, left):
    policy = record.get("after", {}).get("maxmemory-policy", "noeviction")
    set_again, stays = to_put_back(record, {"used": 50 * MIB, "maxmemory": 160 * MIB, "maxmemory-policy": policy, **facts})
    assert (list(set_again.items()), list(stays)) == (list(back.items()), list(left))
    assert all(words in stays[name] for name, words in left.items())


def test_what_somebody_else_has_set_stays_and_is_told(monkeypatch):
    done = []
    monkeypatch.setattr(redis, "_set", lambda _stage, _component, settings: done.append(settings))
    monkeypatch.setattr(redis, "stop_users", lambda _stage, users: done.append(users))
    record = {**GREW, "component": "cache", "users": [["api", "id", "api-1"]]}
    now = {"used": 50 * MIB, "maxmemory-policy": "allkeys-lru"}
    monkeypatch.setattr(redis, "read_server", lambda _stage, _component: now)
    for limit, expected in ((160, [record["users"], {"maxmemory": 100 * MIB}]), (300, [{}])):
        now["maxmemory"] = limit * MIB
        done.clear()
        if limit == 160:
            redis.RedisConfig().undo(None, record)
        else:
            with pytest.raises(StackError, match=r"cache: its maxmemory was changed by somebody else since, to 300 MiB \(314572800 bytes\)") as caught:
                redis.RedisConfig().undo(None, record)
            assert caught.value.kind == "not_undone" and "set maxmemory: 100 MiB" in caught.value.details["fix"]
        assert done == expected


@pytest.mark.parametrize(
    ("kinds", "seen", "expected"),
    [
        (["cache"], [], False),
        (["cache"], [1], True),
        (["cache", "broker"], [], True),  # its keys were not met
    ],
)
def test_who_has_a_broker_there(monkeypatch, kinds, seen, expected):
    info = {"db0": {"keys": 1}, "db1": {"keys": 2}, "used_memory": 5, "run_id": "x"}
    client = types.SimpleNamespace(info=lambda _what: info, config_get=lambda name: {name: "0" if name == "maxmemory" else "noeviction"})
    stage = types.SimpleNamespace(server=lambda _component, _kind: types.SimpleNamespace(clients=[Target("api", "S", "process", kind) for kind in kinds]))
    monkeypatch.setattr(redis, "at_redis", lambda _stage, _component, do: do(client))
    monkeypatch.setattr(redis, "broker_databases", lambda _client, databases: [one for one in databases if one in seen])
    found = redis.read_server(stage, "kv")
    assert (found["broker"], found["maxmemory"], found["maxmemory-policy"]) == (expected, 0, "noeviction")


@pytest.mark.parametrize(("text", "size"), [("256mb", 256 * MIB), ("1gb", 1024 * MIB), ("1g", 10**9), ("10 kb", 10240), ("77", 77), ("many", 0), ("", 0)])
def test_sizes_as_redis_writes_them(text, size):
    assert memory_bytes(text) == size


# What it is started with

FILES = {
    "/etc/redis.conf": 'include /run/auth.conf\nsave 300 10\nsave 60 1000\nmaxmemory 128mb\n# requirepass no\nlogfile ""\n',
    "/run/auth.conf": 'requirepass "two words"\n',
    "/start.sh": "#!/bin/sh\nexec redis-server /etc/redis.conf\n",
    "/run/secrets/pass": "from-the-file\n",
    "/no-save.conf": 'save ""\nappendonly no\n',
    "/aof.conf": 'save ""\nappendonly yes\n',
    "/open.conf": "port 6379\n",
}


def start(*command, environment=None, secrets=()):
    return start_of(list(command), environment or {}, secrets, FILES.get)


@pytest.mark.parametrize(
    ("command", "certain", "password", "persists"),
    [
        (("redis-server", "--requirepass", "abc", "--save", "3600 1"), True, "abc", True),
        (("docker-entrypoint.sh", "redis-server"), True, None, True),
        (("docker-entrypoint.sh", "--requirepass", "abc"), True, "abc", True),
        (("docker-entrypoint.sh", "valkey-server", "--save", ""), True, None, False),
        (("redis-server", "--save", "", "--appendonly", "yes"), True, None, True),
        (("redis-server", "--requirepass=abc"), True, "abc", True),
        (("redis-server", "/etc/redis.conf"), True, "two words", True),
        (("redis-server", "/etc/redis.conf", "--requirepass", "abc"), True, "abc", True),
        (("redis-server", "/no-save.conf"), True, None, False),
        (("redis-server", "/aof.conf"), True, None, True),
        (("redis-server", "/missing.conf"), False, None, False),
        (("/start.sh",), False, "two words", True),
    ],
)
def test_the_start_is_read(command, certain, password, persists):
    found = start(*command)
    said = found.words("requirepass")
    assert (found.certain, " ".join(said[0]) if said else None, saves(found)) == (certain, password, persists)


@pytest.mark.parametrize(
    ("paths", "folder", "found"),
    [
        (["/etc/redis/a.conf", "/etc/redis/b.conf"], "/srv/b", "10 1"),
        (["/etc/redis/a.conf", "/etc/redis/b.conf"], "/data", None),
        (["/etc/redis/b.conf", "/etc/redis/c.conf"], "/srv/b", None),
        (["/etc/redis/*.conf"], "/srv/b", None),
        (["/etc/redis/a.conf"], "", None),
    ],
)
def test_the_file_of_an_image_by_the_folder_in_which_it_works(paths, folder, found):
    files = {"/etc/redis/a.conf": "dir /var/lib/redis\n", "/etc/redis/b.conf": "save 10 1\ndir /srv/b\n", "/etc/redis/c.conf": "dir /srv/b\n"}
    (words,) = worked_by(paths, folder, files.get).get("save", [None])
    assert (" ".join(words[0]) if words else None) == found


def test_where_a_setting_stands():
    assert start("redis-server", "/etc/redis.conf").words("maxmemory") == (["128mb"], "/etc/redis.conf")
    assert start("redis-server", "/etc/redis.conf", "--maxmemory", "1gb").words("maxmemory") == (["1gb"], "command line")


@pytest.mark.parametrize(
    ("found", "password", "where"),
    [
        (start("redis-server", "--requirepass", "abc"), "abc", "command line"),
        (start("redis-server"), "", "start (no password)"),
        (start("redis-server", "/etc/redis.conf"), "two words", "/run/auth.conf"),
        (start("/start.sh", secrets=["/run/secrets/pass"]), "from-the-file", "secret pass"),
        (start("/start.sh", environment={"REDIS_PASSWORD": "abc"}), "abc", "secret REDIS_PASSWORD"),
    ],
)
def test_the_start_agrees_with_the_clients(found, password, where):
    assert agrees(found, password) == where


@pytest.mark.parametrize(
    ("found", "password", "said"),
    [
        (start("redis-server", "--requirepass", "abc"), "other", "command line"),
        (start("redis-server", "--requirepass", "abc"), "", "command line"),
        (start("redis-server"), "abc", "no password"),
        (start("redis-server", "--aclfile", "/users.acl"), "abc", "access control list"),
        (start("/start.sh", secrets=["/run/secrets/pass"]), "abc", "is not what its clients have"),
        (start("/start.sh"), "abc", "cannot be told"),
        (start("redis-server", "/missing.conf"), "abc", "missing.conf"),
    ],
)
def test_the_start_does_not_agree(found, password, said):
    with pytest.raises(Refused, match=said) as refused:
        agrees(found, password)
    assert password not in str(refused.value) or not password


def client(component, password, user=""):
    return Target(component, "REDIS_URL", "process", "redis", user=user, password=password)


def test_the_clients_password():
    assert common_password([client("api", "abc"), client("worker", "abc")]) == "abc"
    assert common_password([client("api", "")]) == ""
    with pytest.raises(Refused, match=r"api \(REDIS_URL\)") as refused:
        common_password([client("api", "se-cret-1"), client("worker", "se-cret-2"), client("beat", "")])
    assert "se-cret" not in str(refused.value) and "beat (REDIS_URL): no password" in refused.value.message
    with pytest.raises(Refused, match="access control list"):
        common_password([client("api", "abc", user="app")])
    with pytest.raises(Refused, match="no client"):
        common_password([])


SAVED, FAILED = "1:M # DB saved on disk", "9:C # Failed opening the temp RDB file: Permission denied"


@pytest.mark.parametrize(
    ("command", "main", "log", "used", "grace", "said"),
    [
        (("redis-server",), "redis-server *:6379", [], 50 * MIB, 10, ""),
        (("redis-server",), "/usr/bin/tini -- redis-server", [FAILED, SAVED], 50 * MIB, 10, ""),
        (("redis-server", "--save", ""), "redis-server *:6379", [], MIB, 10, "no save points"),
        (("redis-server",), "sh -c redis-server", [], MIB, 10, "first process is sh"),
        (("redis-server",), "", [], MIB, 10, "not known"),
        (("redis-server",), "redis-server *:6379", [SAVED, FAILED], MIB, 10, "last save failed"),
        (("redis-server",), "redis-server *:6379", [], 4096 * MIB, 10, "longer to save"),
    ],
)
def test_whether_a_restart_loses_data(command, main, log, used, grace, said):
    found = data_danger(start(*command), main, log, used, grace)
    assert said in found if said else found == ""


CLAIM, SCRATCH = {"target": "/data", "kind": "persistentVolumeClaim"}, {"target": "/data/fast", "kind": "emptyDir"}


@pytest.mark.parametrize(
    ("folder", "mounts", "kind", "spec", "said"),
    [
        ("/data", [CLAIM], "StatefulSet", {}, ""),
        ("/data/deep", [CLAIM, SCRATCH], "Deployment", {"strategy": {"type": "Recreate"}}, ""),
        ("/data/", [{"target": "/", "kind": "hostPath"}, CLAIM], "StatefulSet", {"updateStrategy": {"type": "RollingUpdate"}}, ""),
        ("/data", [CLAIM], "Deployment", {"strategy": {"type": "RollingUpdate"}}, "before the present one has saved"),
        ("/data", [CLAIM], "Deployment", {}, "before the present one has saved"),
        ("/data/fast", [CLAIM, SCRATCH], "StatefulSet", {}, "no volume that outlives its pod"),
        ("/database", [CLAIM], "StatefulSet", {}, "no volume that outlives its pod"),
        ("/data", [], "StatefulSet", {}, "no volume that outlives its pod"),
    ],
)
def test_whether_the_next_pod_has_the_data(folder, mounts, kind, spec, said):
    found = volume_danger(folder, mounts, kind, spec)
    assert said in found if said else found == ""


# A save that fails

PLACE = {"path": "/data", "mode": 0o555, "owner": 101, "uid": 101, "shared": False, "changeable": True, "size": 1000 * MIB, "free": 900 * MIB}
PLACE["read_only"] = False
SAVE = {"used": 50 * MIB, "save_bytes": 50 * MIB}


@pytest.mark.parametrize(
    ("place", "words", "host", "modes"),
    [
        ({}, FAILED, {}, [["/data", "0555", "0755"]]),
        ({"mode": 0o500}, FAILED, {}, [["/data", "0500", "0700"]]),
        ({"mode": 0o755}, FAILED, {}, []),
        ({"uid": 0, "owner": 5}, "", {}, []),
        ({"uid": 1001, "owner": 0, "mode": 0o2775, "shared": True}, FAILED, {}, []),
        ({"mode": 0o755, "changeable": False}, FAILED, {}, []),
        ({"mode": 0o755}, "Can't save in background: fork: Cannot allocate memory", {"MemAvailable": 900 * MIB}, []),
    ],
)
def test_the_cause_of_a_failing_save(place, words, host, modes):
    assert save_cause([{**PLACE, **place}], words, SAVE, host)["modes"] == modes


@pytest.mark.parametrize(
    ("place", "words", "host", "said"),
    [
        ({"owner": 0}, FAILED, {}, "is not guessed"),
        ({"changeable": False}, FAILED, {}, "neither as its owner nor as root"),
        # Who owns it has the rights of an owner, whatever his group may do.
        ({"mode": 0o575, "shared": True, "changeable": False}, FAILED, {}, "neither as its owner nor as root"),
        ({"mode": 0o455}, FAILED, {}, "more than its owner's right"),
        ({"read_only": True}, "Read-only file system", {}, "mounted read-only"),
        ({"free": 0}, "", {}, "is full"),
        ({"mode": 0o755, "free": 20 * MIB}, "Write error: No space left on device", {}, "20 MiB free of 1000 MiB"),
        ({"mode": 0o755}, "Can't save in background: fork: Cannot allocate memory", {"MemAvailable": 10 * MIB}, "50 MiB are used, 10 MiB are free"),
    ],
)
def test_causes_that_are_no_matter_of_a_lost_right(place, words, host, said):
    with pytest.raises(Refused, match=said):
        save_cause([{**PLACE, **place}], words, SAVE, host)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ({"mode": 0o755}, ""),
        ({"uid": 0, "owner": 5}, ""),
        ({}, "may not write into /data (mode 0555)"),
        ({"mode": 0o755, "free": 20 * MIB}, "/data has 20 MiB free, and the data may need 50 MiB"),
    ],
)
def test_whether_it_can_save_at_its_end(place, said):
    found = folder_danger({**PLACE, **place}, 50 * MIB)
    assert said in found if said else found == ""


@pytest.mark.parametrize(("place", "said"), [({"read_only": True}, "read-only"), ({"owner": 0}, "belongs to uid 0"), ({"free": 0}, "is full")])
def test_why_it_cannot_save_at_its_end(place, said):
    with pytest.raises(Refused, match=said):
        folder_danger({**PLACE, **place}, 50 * MIB)


def test_a_folder_as_root_sees_it():
    text = "555 101 101\n101\n/dev/sda1 1000 300 700 30% /data\nat / rw,relatime\nat /data rw,relatime\nat /data/deep ro\n"
    text += "group 101 101 101 101\nby 0 000001ffffffffff\n"
    assert parse_folder("/data", text) == {
        "path": "/data",
        "mode": 0o555,
        "owner": 101,
        "uid": 101,
        "shared": False,
        "changeable": True,
        "size": 1000 * 1024,
        "free": 700 * 1024,
        "read_only": False,
    }
    assert parse_folder("/data/deep/er", text)["read_only"] is True
    assert parse_folder("/data", "stat: not found\n") is None


@pytest.mark.parametrize(
    ("folder", "told", "shared", "changeable"),
    [
        ("2775 0 1001", "group 0 0 0 0\ngroup 0 1001\nby 1001 0000000000000000", True, False),
        ("2755 0 1001", "group 0 1001\nby 0 00000000a80425fb", False, True),
        ("555 999 999", "group 999 999\nby 999 0000000000000000", False, True),
        ("555 999 999", "group 999 999\nby 0 0000000000000000", False, False),
        ("777 0 0", "group 999\nby 999 0", True, False),
        ("775 0 0", "group 999\nby 999 0", False, False),
    ],
)
def test_whose_rights_a_folder_gives(folder, told, shared, changeable):
    found = parse_folder("/data", "%s\n999\n/dev/sda1 1000 300 700 30%% /data\nat / rw\n%s\n" % (folder, told))
    assert (found["shared"], found["changeable"]) == (shared, changeable)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["worker ready", "CRITICAL Unrecoverable error: MISCONF Redis is configured to save", "bye"], True),
        (["error: MISCONF", *["error: something else"] * 6], False),
        (["all is well"], False),
        ([], False),
    ],
)
def test_the_last_words_of_a_client(lines, found):
    assert ended_with(lines, "MISCONF") is found
