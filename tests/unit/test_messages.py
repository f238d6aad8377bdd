# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the code says by itself, in Traditional Chinese: everything has a translation, and a filled text finds it."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.aiops.runbook.plugins.plugin_utils.knowledge import fill
from ansible_collections.aiops.runbook.plugins.plugin_utils.messages import PLACE, said
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.write import write, write_crash

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import templates  # noqa: E402

FIXTURES = Path(__file__).parent / "fixtures" / "report"
CATALOGUE = yaml.safe_load(templates.CATALOGUE.read_text(encoding="utf-8"))["zh-TW"]
# Texts that the code puts together from pieces, so that they stand nowhere as they are.
PUT_TOGETHER = {"%s %s in the namespace %s"}


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    return templates.Reader().found


def test_everything_that_the_code_says_has_a_translation(written: dict[str, str]) -> None:
    missing = ["  %s:  # %s" % (templates.line(text), place) for text, place in written.items() if text not in CATALOGUE]
    assert not missing, "add to %s, each with its translation (with nothing where it stays as it is):\n%s" % (templates.CATALOGUE, "\n".join(missing))


def test_nothing_is_translated_that_nobody_says(written: dict[str, str]) -> None:
    left = ["  " + templates.line(text) for text in CATALOGUE if text not in written and text not in PUT_TOGETHER]
    assert not left, "remove from %s what no code says any more:\n%s" % (templates.CATALOGUE, "\n".join(left))


@pytest.mark.parametrize("text", [text for text, translation in CATALOGUE.items() if translation])
def test_a_translation_has_the_same_places(text: str) -> None:
    places = [place for place in PLACE.finditer(text) if place.group() != "%%"]
    used, count = [], 0
    for place in PLACE.finditer(CATALOGUE[text]):
        if place.group() != "%%":
            count += not place.group(1)
            used.append(int(place.group(1) or count))
    assert Counter(used) == Counter(range(1, len(places) + 1))
    assert re.search("[\u4e00-\u9fff]", CATALOGUE[text]) or CATALOGUE[text] != text, "leave the translation away where it is the same"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no instance of it runs", "沒有執行中的執行個體"),
        ("7 of 9 sessions hide their state from this account", "9 個連線中有 7 個對此帳號隱藏其狀態"),
        ("the end of the world is near", "the end of the world is near"),
        # its variable parts are translated in turn, those that are not known stay
        ("PostgreSQL at db:5432: no answer within 2.0 s", "位於 db:5432 的 PostgreSQL：2.0 秒內沒有回應"),
        ("PostgreSQL at db:5432: FATAL:  the database system is starting up", "位於 db:5432 的 PostgreSQL：FATAL:  the database system is starting up"),
        ("step 2 (stack_env on api): api has no setting DATABASE_URL", "步驟 2（stack_env，api）：api 沒有設定 DATABASE_URL"),
        ("no two readings of the metrics: the metrics were read once", "沒有兩次指標讀數：指標只讀取了一次"),
        # texts put together by others
        ("it does not run; run it again in a while", "它沒有執行；稍後再執行一次"),
        ("api@worker-1: it does not run", "api@worker-1：它沒有執行"),
        ("something else; do that by hand", "something else；請人工處理"),
        # places that move, percent signs, more than one line
        ("there is no record of a run 2026Z below /var/lib/x", "/var/lib/x 之下沒有執行 2026Z 的紀錄"),
        ("75 % of its container's 512.0 MiB", "其容器 512.0 MiB 的 75 %"),
        ("let it read one, and name it in the project's files:\nimport logging", "讓程式讀取一個變數，並在專案檔案中指定：\nimport logging"),
        # what says too little by itself is left alone outside of captions
        ("mode of operation", "mode of operation"),
        ("running", "running"),
        ("", ""),
    ],
)
def test_a_text_is_found(text: str, expected: str) -> None:
    assert said(text, "zh-TW") == expected
    assert said(text, "en") == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("container shop-api-1", "容器 shop-api-1"), ("running", "執行中"), ("memory limit of api", "api 的記憶體上限"), ("512 MB", "512 MB")],
)
def test_a_caption_is_found(text: str, expected: str) -> None:
    assert said(text, "zh-TW", caption=True) == expected


def test_a_long_text_takes_no_time() -> None:
    assert said("of " * 600, "zh-TW") == "of " * 600
    assert said("x" * 100_000, "zh-TW") == "x" * 100_000


def test_what_fills_a_title_is_translated() -> None:
    title = {"en": "{component} gives no answer: {reason}", "zh-TW": "{component} 沒有回應：{reason}"}
    evidence = {"component": "db", "reason": "PostgreSQL at db:5432 accepts connections but does not answer"}
    assert fill(title, evidence, "zh-TW") == "db 沒有回應：位於 db:5432 的 PostgreSQL 接受連線但沒有回應"
    assert fill(title, evidence, "en") == "db gives no answer: " + evidence["reason"]


def report_of(folder: Path, model: dict[str, Any]) -> dict[str, Any]:
    written = write(model, str(folder), ["json", "html", "md"], fail_on="never")
    return {name: Path(path).read_text(encoding="utf-8") for name, path in written.paths.items()}


def test_a_report_says_in_chinese_what_could_not_be_checked(tmp_path: Path) -> None:
    faces = report_of(tmp_path, json.loads((FIXTURES / "degraded_zh.json").read_text(encoding="utf-8")))
    for face in ("json", "html", "md"):
        assert "9 個連線中有 7 個對此帳號隱藏其狀態" in faces[face]
        assert "沒有兩次指標讀數：兩次回應來自啟動時間不同的行程" in faces[face]
        assert "sessions hide their state" not in faces[face]


def test_a_plan_and_a_record_are_told_in_chinese_and_the_plan_file_stays_as_it_was_approved(tmp_path: Path) -> None:
    step = {
        "number": 1,
        "remedy": "component_restart",
        "component": "api",
        "finding": "http.hung@api",
        "risk": "disruptive",
        "title": "重新啟動 api",
        "diff": [{"what": "container shop-api-1", "before": "running", "after": "restarted"}],
        "lasting": ["/srv/.env holds the right password now: put it where this file comes from, too"],
        "token": "t",
    }
    refused = {"remedy": "redis_config", "component": "redis", "finding": "redis.memory_full@redis", "reason": "it has no limit that could grow", "fix": ""}
    failed = {**step, "result": "failed", "error": "api does not run", "by_hand": "do that by hand"}
    model = {
        "stack": "shop",
        "verdict": "down",
        "lang": "zh-TW",
        "finished_at": 1795464190.0,
        "plan": {"digest": "abcdefghijklmn", "steps": [step], "refused": [refused], "approve": "x -e plan={plan}", "path": ""},
        "record": {"result": "failed", "reason": "somebody else has scaled api meanwhile", "fix": "diagnose again", "steps": [failed]},
    }
    faces = report_of(tmp_path, model)
    told = json.loads(faces["json"])
    assert told["plan"]["refused"][0]["reason"] == "它沒有可提高的上限"
    assert told["plan"]["steps"][0]["diff"] == [{"what": "容器 shop-api-1", "before": "執行中", "after": "已重新啟動"}]
    assert told["plan"]["steps"][0]["lasting"] == ["/srv/.env 目前已是正確的密碼：請一併更新此檔案的來源"]
    assert (told["record"]["reason"], told["record"]["fix"]) == ("在此期間已有他人調整 api 的規模", "重新診斷")
    assert (told["record"]["steps"][0]["error"], told["record"]["steps"][0]["by_hand"]) == ("api 沒有執行", "請人工處理")
    assert json.loads(faces["plan"])["steps"] == [step]


def test_a_crash_is_told_in_chinese(tmp_path: Path) -> None:
    message = write_crash("shop", "no Docker engine answers at /run/docker.sock: is the daemon running?", str(tmp_path), "zh-TW")
    assert message == "shop：執行未得出結論即中止：位於 /run/docker.sock 的 Docker 引擎沒有回應：daemon 是否在執行？"
