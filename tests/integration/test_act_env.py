# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings changed on a real Compose project: where they are kept, who is made anew, what is predicted, and the way back byte for byte."""

from __future__ import annotations

import json
import os
import re

import pytest
from acting import Small
from brokers import wait_until
from playing import ROOT, run
from predicting import predicted

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.door import ACT_SPEC, apply_one

PYTHON = """
    image: aiops-ref/llm:latest
    entrypoint: [python3, -u, -c]
    stop_grace_period: 1s"""
SLEEP = 'command: ["import time; time.sleep(3600)"]'
COMPOSE = """
services:
  once:%(python)s
    command: ["print('done')"]
  api:%(python)s
    %(sleep)s
    env_file: [api.env]
    environment:
      RATE: ${RATE}
      SHARED: ${SHARED:-none}
      LITERAL: as it is
      DATABASE_URL: postgresql://shop:Wq7-shop-db@db:5433/shop
    depends_on:
      once: {condition: service_completed_successfully}
  worker:%(python)s
    %(sleep)s
    env_file: [both.env]
    environment: {SHARED: "${SHARED:-none}", DATABASE_URL: "postgresql://shop:Wq7-shop-db@db:5432/shop"}
  clock:%(python)s
    %(sleep)s
    env_file: [both.env]
  db:
    image: aiops-ref/postgres:latest
    environment: {POSTGRES_USER: shop, POSTGRES_PASSWORD: Wq7-shop-db, POSTGRES_DB: shop}
"""
DOTENV = b"# the shop's settings\r\nRATE = \"100\"   # a minute\r\nSHARED=everywhere\n\nUNUSED='x'"
OWN = b"MODE=slow # for now\nLEVEL=INFO\nTOKEN_KEY=Zx9-first-value\n"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    run("python3", str(ROOT / "tests" / "stack" / "ctl.py"), "build", "reference")
    folder = tmp_path_factory.mktemp("actenv")
    project = Small("actenv", folder)
    project.file.write_text(COMPOSE % {"python": PYTHON, "sleep": SLEEP})
    (folder / ".env").write_bytes(DOTENV)
    (folder / "api.env").write_bytes(OWN)
    (folder / "both.env").write_bytes(b"TOGETHER=1\n")
    for name in (".env", "api.env"):
        (folder / name).chmod(0o640)
        os.utime(folder / name, ns=(1_700_000_000_000_000_000, 1_700_000_000_123_000_000))
    try:
        project.compose("up", "-d", "--force-recreate", "--wait-timeout", "60")
        # What the api's setting leads to is judged once the server answers: not in the middle of a test.
        wait_until(lambda: "accepting connections" in run("docker", "exec", project.container("db"), "pg_isready", check=False), "the server answers", 120)
        yield project
    finally:
        project.compose("down", "-v", "--remove-orphans", "-t", "1", check=False)


def standing(shop) -> dict[str, tuple[str, str, list[str]]]:
    """What each container is, and which life of it this is."""
    found = json.loads(run("docker", "inspect", *shop.compose("ps", "-aq").split()))
    return {one["Name"]: (one["Id"], one["State"]["StartedAt"], one["Config"]["Env"], one["Config"]["Labels"]) for one in found}


def environment(shop, service: str) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in standing(shop)["/" + shop.container(service)][2] if "=" in entry)


def kept(shop) -> dict[str, tuple[bytes, int, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns) for path in sorted(shop.folder.iterdir()) if path.is_file()}


def definitions(shop) -> dict[str, tuple[str, str, str]]:
    label = "com.docker.compose."
    return {name: tuple(one[3].get(label + what, "") for what in ("config-hash", "project.config_files", "depends_on")) for name, one in standing(shop).items()}


def seen(shop, service: str, before: dict, lines: list[dict[str, str]]) -> dict[str, str]:
    """What a difference must say: the values that the program has now, without secrets, and whether its container is another one."""
    now, made = environment(shop, service), standing(shop)
    found = {}
    for line in lines:
        kind, name = line["what"].split(",")[0].split(" ")[0], line["what"].split(" ")[-1]
        if kind == "container":
            found[line["what"]] = "made anew" if made["/" + name][0] != before["/" + name][0] else "the same"
        else:
            found[line["what"]] = SECRET.sub("***", now.get(kind, "(not set)"))
    return found


SECRET = re.compile("Wq7-shop-db|Zx9-second-value")
OURS = "compose.aiops-runbook.yml"
# options, what the program has then, and the files that say so (None: whatever is in it)
CASES = {
    "a line of .env, and one of its env_file by a name in another case": (
        {"set": {"RATE": 200, "mode": "fast"}},
        {"RATE": "200", "MODE": "fast"},
        {".env": DOTENV.replace(b'"100"', b'"200"'), "api.env": OWN.replace(b"slow", b"fast")},
    ),
    "a secret, and a line taken out of its env_file": (
        {"secrets": {"TOKEN_KEY": "Zx9-second-value"}, "unset": ["LEVEL"]},
        {"TOKEN_KEY": "Zx9-second-value", "LEVEL": None},
        {"api.env": OWN.replace(b"first", b"second").replace(b"LEVEL=INFO\n", b"")},
    ),
    "a variable that others read too, a literal, and a new name": (
        {"set": {"SHARED": "here $ only", "LITERAL": "other", "NEW": True}},
        {"SHARED": "here $ only", "LITERAL": "other", "NEW": "true"},
        {OURS: None},
    ),
    "a literal, a variable and the image's own taken away": (
        {"unset": ["LITERAL", "RATE", "PYTHONUNBUFFERED"]},
        {"LITERAL": None, "RATE": None, "PYTHONUNBUFFERED": None},
        {OURS: None},
    ),
    "what another one has": ({"set": {"DATABASE_URL": {"from": {"component": "worker"}}}}, {}, {OURS: None}),
}


@pytest.mark.predicts("stack_env")
@pytest.mark.parametrize("name", CASES)
def test_there_and_back(shop, name):
    options, wanted, places = CASES[name]
    before, files, made = standing(shop), kept(shop), definitions(shop)
    told = shop.act("stack_env", True, component="api", **options)
    assert told["changed"] and standing(shop) == before and kept(shop) == files, told.get("msg")
    done = shop.act("stack_env", component="api", **options)
    assert done["changed"] and done.get("record", {}).get("result") == "held", (done.get("msg"), done.get("record"))
    # Predicted and come about: the same words, the same component, no other one.
    predicted("stack_env", told, done, seen(shop, "api", before, done["record"]["steps"][0]["diff"]))
    assert (done["risk"], done["touches"]) == ("disruptive", ["api"])
    after = standing(shop)
    assert {key for key in after if after[key] != before.get(key)} == {"/" + shop.container("api")}
    now = environment(shop, "api")
    assert {key: now.get(key) for key in wanted} == wanted
    assert "Zx9" not in json.dumps([told, done]) and "Wq7" not in json.dumps([told, done])
    written = {key: value for key, value in kept(shop).items() if value != files.get(key)}
    assert set(written) == set(places) == {key for key in places if key in str(done["lasting"])}
    for place, content in places.items():
        assert content is None or written[place][0] == content
        assert oct(written[place][1])[-3:] == ("600" if place == OURS else "640")
    assert not shop.act("stack_env", component="api", **options)["changed"]
    assert standing(shop) == after
    assert shop.undo()["result"] == "undone"
    assert kept(shop) == files and definitions(shop) == made and environment(shop, "api") == dict(entry.split("=", 1) for entry in before["/actenv-api-1"][2])
    back = standing(shop)
    assert {key for key in back if back[key] != before[key]} == {"/" + shop.container("api")}
    # What runs is still found, and the files still make it.
    assert shop.act("stack_env", True, component="api", **options)["diff"] == told["diff"]


def test_on_top_of_each_other(shop):
    """Two components in one override file, the second with the first's kept, each way back."""
    files = kept(shop)
    assert shop.act("stack_env", component="api", set={"LITERAL": "a"})["changed"]
    first = kept(shop)
    assert shop.act("stack_env", component="worker", set={"NEW": "w"})["changed"]
    assert environment(shop, "api")["LITERAL"] == "a" and environment(shop, "worker")["NEW"] == "w"
    assert shop.act("stack_env", component="api", set={"LITERAL": "b"})["changed"]
    assert environment(shop, "api")["LITERAL"] == "b" and environment(shop, "worker")["NEW"] == "w"
    for expected in (None, first, files):
        assert shop.undo()["result"] == "undone"
        assert expected is None or kept(shop) == expected


def refusal(shop, **options) -> str:
    before, files = standing(shop), kept(shop)
    done = shop.act("stack_env", **options)
    assert done.get("failed") and standing(shop) == before and kept(shop) == files, done
    return done["msg"]


def test_an_unreleased_edit_is_not_deployed(shop):
    text = shop.file.read_text()
    try:
        shop.file.write_text(text.replace("as it is", "as it will be"))
        assert "other settings: LITERAL" in refusal(shop, component="api", set={"RATE": "1"})
        shop.file.write_text(text.replace("env_file: [api.env]", "init: true\n    env_file: [api.env]"))
        assert "something else than what runs" in refusal(shop, component="api", set={"RATE": "1"})
    finally:
        shop.file.write_text(text)
    own = (shop.folder / "api.env").read_bytes()
    times = (shop.folder / "api.env").stat()
    (shop.folder / "api.env").write_bytes(own + b"MORE=1\n")
    assert "other settings: MORE" in refusal(shop, component="api", set={"RATE": "1"})
    (shop.folder / "api.env").write_bytes(own)
    os.utime(shop.folder / "api.env", ns=(times.st_atime_ns, times.st_mtime_ns))


def test_nor_an_image_that_was_built_since(shop):
    run("docker", "tag", "aiops-ref/redis:latest", "actenv-image:latest")
    text = shop.file.read_text()
    try:
        shop.file.write_text(text + "  store: {image: 'actenv-image:latest', stop_grace_period: 1s}\n")
        shop.compose("up", "-d", "store")
        run("docker", "tag", "aiops-ref/postgres:latest", "actenv-image:latest")
        assert "another one by now" in refusal(shop, component="store", set={"A": "1"})
        run("docker", "rmi", "actenv-image:latest")
        assert "not here any more" in refusal(shop, component="store", set={"A": "1"})
    finally:
        shop.compose("rm", "-fsv", "store")
        shop.file.write_text(text)
        run("docker", "rmi", "actenv-image:latest", check=False)


def test_what_it_cannot_do(shop):
    assert "has no setting NOPE" in refusal(shop, component="api", set={"NOPE": {"from": {"component": "worker"}}})
    assert "no component" in refusal(shop, component="nobody", set={"A": "1"})
    assert "which settings are meant" in refusal(shop, component="api")
    assert "TOGETHER cannot be" not in str(shop.act("stack_env", True, component="worker", set={"TOGETHER": "2"}))


def act(shop, remedy: str, component: str, check: bool = False, **params) -> dict:
    defaults = {name: option.get("default") for name, option in ACT_SPEC.items()}
    return apply_one({**defaults, **shop.options, "by": "a test"}, Step(remedy, component, params), check)


@pytest.mark.predicts("connection_setting")
def test_a_connection_is_corrected_from_a_twin(shop):
    files, made, before = kept(shop), definitions(shop), standing(shop)
    told = act(shop, "connection_setting", "api", True, kind="postgres", setting="DATABASE_URL")
    assert standing(shop) == before and kept(shop) == files
    done = act(shop, "connection_setting", "api", kind="postgres", setting="DATABASE_URL")
    assert done["record"]["result"] == "held", done["record"]
    predicted("connection_setting", told, done, seen(shop, "api", before, done["record"]["steps"][0]["diff"]))
    assert environment(shop, "api")["DATABASE_URL"] == "postgresql://shop:Wq7-shop-db@db:5432/shop"
    assert "Wq7" not in json.dumps(done) and "postgresql://shop:***@db:5432/shop" in json.dumps(done["preview"]["diff"])
    assert not act(shop, "connection_setting", "api", kind="postgres", setting="DATABASE_URL")["changed"]
    assert shop.undo()["result"] == "undone"
    assert kept(shop) == files and definitions(shop) == made


@pytest.mark.predicts("component_recreate")
def test_only_what_is_named_may_have_changed(shop):
    env = shop.folder / ".env"
    text, times = env.read_bytes(), env.stat()
    try:
        env.write_bytes(text.replace(b"everywhere", b"elsewhere").replace(b"100", b"300"))
        with pytest.raises(Exception, match="other settings: RATE"):
            act(shop, "component_recreate", "api", settings=["SHARED"])
        before = standing(shop)
        told = act(shop, "component_recreate", "api", True, settings=["SHARED", "RATE"])
        assert standing(shop) == before
        done = act(shop, "component_recreate", "api", settings=["SHARED", "RATE"])
        assert done["record"]["result"] == "held", done["record"]
        predicted("component_recreate", told, done, seen(shop, "api", before, done["record"]["steps"][0]["diff"]))
        now = environment(shop, "api")
        assert (now["SHARED"], now["RATE"]) == ("elsewhere", "300") and environment(shop, "worker")["SHARED"] == "everywhere"
        assert {key for key, value in standing(shop).items() if value != before[key]} == {"/" + shop.container("api")}
        assert not act(shop, "component_recreate", "api", settings=["SHARED", "RATE"])["changed"]
        assert shop.undo()["result"] == "undone"
        now = environment(shop, "api")
        assert (now["SHARED"], now["RATE"]) == ("everywhere", "100") and b"elsewhere" in env.read_bytes()
    finally:
        env.write_bytes(text)
        os.utime(env, ns=(times.st_atime_ns, times.st_mtime_ns))
        (shop.folder / OURS).unlink(missing_ok=True)
        shop.compose("up", "-d", "--no-deps", "api")
