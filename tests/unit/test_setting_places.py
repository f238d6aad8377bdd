# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a container of a cluster is given a setting, and who else reads what is kept there; one row a case."""

from __future__ import annotations

import pytest
from samples_kubernetes import configmap, secret

from ansible_collections.aiops.runbook.plugins.module_utils.act.setting_places import (
    Key,
    Place,
    Use,
    carried,
    exposes,
    generated,
    place_of,
    reference_to,
    uses_of,
    with_entry,
)
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_settings import Settings, read_secret

SETTINGS = Settings(
    {"configmaps": [configmap("common", MODE="fast", HOST="db"), configmap("own", MODE="slow")]},
    {("shop", "keys"): read_secret(secret("keys", TOKEN="t-1", MODE="secret"), None)},
)
COMMON, OWN, KEYS = {"configMapRef": {"name": "common"}}, {"configMapRef": {"name": "own"}}, {"secretRef": {"name": "keys"}}
FROM_KEY = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "TOKEN"}}}

PLACES = [
    ("a literal", {"env": [{"name": "A", "value": "1"}]}, "A", Place("literal", raw="1")),
    ("an empty one", {"env": [{"name": "A"}]}, "A", Place("literal")),
    ("the last of a name counts", {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}, "A", Place("literal", raw="2")),
    ("a key of a Secret", {"env": [FROM_KEY]}, "A", Place("entry", key=Key("secret", "keys", "TOKEN"))),
    (
        "a key of a ConfigMap",
        {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "own", "key": "MODE"}}}]},
        "A",
        Place("entry", key=Key("configmap", "own", "MODE")),
    ),
    ("a field", {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}, "A", Place("field")),
    ("all of a ConfigMap", {"envFrom": [COMMON]}, "HOST", Place("all", key=Key("configmap", "common", "HOST"))),
    ("the last of those taken whole wins", {"envFrom": [COMMON, OWN]}, "MODE", Place("all", key=Key("configmap", "own", "MODE"))),
    ("what the last one lacks comes from the one before", {"envFrom": [COMMON, OWN]}, "HOST", Place("all", key=Key("configmap", "common", "HOST"))),
    ("a Secret among them", {"envFrom": [COMMON, KEYS, OWN]}, "TOKEN", Place("all", key=Key("secret", "keys", "TOKEN"))),
    ("with a prefix", {"envFrom": [{**COMMON, "prefix": "APP_"}]}, "APP_HOST", Place("all", key=Key("configmap", "common", "HOST"))),
    ("without the prefix it is none", {"envFrom": [{**COMMON, "prefix": "APP_"}]}, "HOST", Place("")),
    ("an entry wins over what is taken whole", {"envFrom": [COMMON], "env": [{"name": "HOST", "value": "x"}]}, "HOST", Place("literal", raw="x")),
    ("nowhere", {"envFrom": [COMMON]}, "B", Place("")),
    ("of an object that is not there", {"envFrom": [{"configMapRef": {"name": "gone"}}]}, "HOST", Place("")),
]


@pytest.mark.parametrize(("container", "name", "expected"), [case[1:] for case in PLACES], ids=[case[0] for case in PLACES])
def test_where_a_setting_is_kept(container, name, expected):
    assert place_of(container, name, SETTINGS, "shop") == expected


def one(**more):
    return {"name": "api", **more}


def mounted(volume, **mount):
    return {"containers": [one(volumeMounts=[{"name": "v", "mountPath": "/etc/app/", **mount}])], "volumes": [{"name": "v", **volume}]}


TOKEN = Key("secret", "keys", "TOKEN")
USES = [
    ("by its key", {"containers": [one(env=[FROM_KEY])]}, [Use("api", "env", "A")]),
    ("another key", {"containers": [one(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "MODE"}}}])]}, []),
    ("a ConfigMap of the same name", {"containers": [one(envFrom=[{"configMapRef": {"name": "keys"}}])]}, []),
    ("as a whole", {"containers": [one(envFrom=[{**KEYS, "prefix": "P_"}])]}, [Use("api", "env", "P_TOKEN")]),
    ("overruled", {"containers": [one(envFrom=[KEYS], env=[{"name": "TOKEN", "value": "x"}])]}, []),
    ("by what runs first", {"containers": [one()], "initContainers": [{"name": "init", "envFrom": [KEYS]}]}, [Use("init", "env", "TOKEN")]),
    ("a mounted file", mounted({"secret": {"secretName": "keys"}}), [Use("api", "file", "/etc/app/TOKEN")]),
    (
        "a file of another name",
        mounted({"secret": {"secretName": "keys", "items": [{"key": "TOKEN", "path": "tokens/a"}]}}),
        [Use("api", "file", "/etc/app/tokens/a")],
    ),
    ("a file that is left out", mounted({"secret": {"secretName": "keys", "items": [{"key": "MODE", "path": "m"}]}}), []),
    ("one file alone", mounted({"secret": {"secretName": "keys"}}, subPath="TOKEN", mountPath="/run/token"), [Use("api", "file", "/run/token")]),
    ("another file alone", mounted({"secret": {"secretName": "keys"}}, subPath="MODE"), []),
    (
        "several in one volume",
        mounted({"projected": {"sources": [{"configMap": {"name": "own"}}, {"secret": {"name": "keys"}}]}}),
        [Use("api", "file", "/etc/app/TOKEN")],
    ),
    ("a volume that nobody mounts", {"containers": [one()], "volumes": [{"name": "v", "secret": {"secretName": "keys"}}]}, []),
]


@pytest.mark.parametrize(("spec", "expected"), [case[1:] for case in USES], ids=[case[0] for case in USES])
def test_who_reads_a_key(spec, expected):
    assert uses_of(spec, TOKEN) == expected


A, B, C = ({"name": name, "value": "1"} for name in "ABC")
ENTRIES = [
    ("where it stands", [A, B], "B", C, [A, C]),
    ("the last of its name", [A, B, A], "A", C, [A, B, C]),
    ("a new one first, so that others can be put together from it", [A], "B", B, [B, A]),
    ("the first of all", [], "A", A, [A]),
    ("taken away", [A, B], "A", None, [B]),
    ("none to take away", [A], "B", None, [A]),
]


@pytest.mark.parametrize(("env", "name", "entry", "expected"), [case[1:] for case in ENTRIES], ids=[case[0] for case in ENTRIES])
def test_an_entry_of_its_own(env, name, entry, expected):
    assert with_entry({"env": env}, name, entry) == expected


def test_an_entry_refers_to_a_key():
    assert reference_to("A", TOKEN) == FROM_KEY and place_of({"env": [reference_to("A", TOKEN)]}, "A", SETTINGS, "shop").key == TOKEN


PARTS = {"USR": "shop", "PW": "old", "HOST": "db", "X": "a", "Y": "a"}
URL = "x://$(USR):$(PW)@$(HOST):5432/shop"
CARRIED = [
    ("one part", URL, "x://shop:new@db:5432/shop", ("PW", "new")),
    ("nothing left of it", URL, "x://shop:@db:5432/shop", ("PW", "")),
    ("two parts", URL, "x://shop:new@pg:5432/shop", None),
    ("what is written out", URL, "x://shop:old@db:5433/shop", None),
    ("wholly another's", "$(HOST)", "pg", ("HOST", "pg")),
    ("twice the same", "$(HOST),$(HOST)", "pg,pg", ("HOST", "pg")),
    ("twice the same, and not so", "$(HOST),$(HOST)", "pg,db", None),
    ("what is not known stays", "$(NO)/$(HOST)", "$(NO)/pg", ("HOST", "pg")),
    ("a dollar sign", "$$(HOST)$(HOST)", "$(HOST)pg", ("HOST", "pg")),
    ("which of two cannot be told", "$(X)$(Y)", "aaa", None),
]


@pytest.mark.parametrize(("raw", "wanted", "expected"), [case[1:] for case in CARRIED], ids=[case[0] for case in CARRIED])
def test_the_one_part_that_is_wrong(raw, wanted, expected):
    assert carried(raw, PARTS, wanted) == expected


EXPOSES = [
    ("another password", "x://u:a@h/d", "x://u:b@h/d", True),
    ("the same one, elsewhere", "x://u:a@h/d", "x://u:a@other/d", False),
    ("one that stands elsewhere", "x://u:a@h/d", "x://u:$(PW)@h/d", False),
    ("the first one", "", "x://u:b@h/d", True),
    ("none", "x://u:a@h/d", "x://h/d", False),
    ("a key", "k-1", "k-2", True),
    ("the same key", "k-1", "k-1", False),
]


@pytest.mark.parametrize(("before", "after", "expected"), [case[1:] for case in EXPOSES], ids=[case[0] for case in EXPOSES])
def test_what_would_be_written_out(before, after, expected):
    assert exposes(before, after) is expected


@pytest.mark.parametrize(
    ("name", "expected"), [("orders-settings-6m9tkh2bdf", True), ("settings", False), ("api-configuration", False), ("s-6m9tkh2bd", False)]
)
def test_a_name_with_a_hash(name, expected):
    assert generated(name) is expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [("secret/keys:TOKEN", TOKEN), ("configmap/own:a/b", Key("configmap", "own", "a/b")), ("data", None), ("/etc/x", None)],
)
def test_the_key_of_a_mounted_file(source, expected):
    assert Key.of(source) == expected
