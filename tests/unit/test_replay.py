# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observations that real runs have saved (data/), judged, diagnosed and told again with no stack in reach."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.stack import judge_stack
from ansible_collections.aiops.runbook.plugins.plugin_utils.diagnose import diagnose
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.write import FORMATS, write

DATA = Path(__file__).parent / "data"
CAUSES = {
    "observations-ill-compose": [("container.not_running", "worker"), ("postgres.lock_held", "postgres")],
    "observations-ill-kubernetes": [("image.registry_unreachable", "worker"), ("postgres.password_rejected", "api")],
}


def saved(name):
    return json.loads((DATA / (name + ".json")).read_text(encoding="utf-8"))


def diagnosed(name, lang="en", **limits):
    seen = saved(name)
    return diagnose(seen, judge_stack(seen, Limits(limits)), lang)


@pytest.mark.parametrize("name", CAUSES)
def test_the_same_causes_as_on_the_day(name):
    model = diagnosed(name)
    assert sorted((root["id"], root["component"]) for root in model["root_causes"]) == CAUSES[name]
    assert model["verdict"] == "down" and not model["unknown"] and len(model["ruled_out"]) > 40


@pytest.mark.parametrize("name", CAUSES)
def test_twice_the_same(name):
    assert diagnosed(name) == diagnosed(name)


@pytest.mark.parametrize("name", CAUSES)
@pytest.mark.parametrize("lang", ["en", "zh-TW"])
def test_every_face_in_both_languages(name, lang, tmp_path):
    written = write({**diagnosed(name, lang), "plan": None}, str(tmp_path), FORMATS, fail_on="never")
    texts = {what: Path(path).read_text(encoding="utf-8") for what, path in written.paths.items()}
    assert {"html", "json", "md", "xml", "prom"} <= set(texts)
    for root in json.loads(texts["json"])["root_causes"]:
        assert bool(re.search("[\u4e00-\u9fff]", root["title"])) == (lang == "zh-TW")
        assert root["title"] in texts["md"] or root["component"] in texts["md"]
    for what in ("html", "md"):
        assert not re.search(r"\{[a-z_]+\}|(?<![\w/])\?(?= (of|has|is|ms)\b)", re.sub(r"<(style|script).*?</\1>", "", texts[what], flags=re.DOTALL)), what


@pytest.mark.parametrize("name", CAUSES)
def test_no_secret_is_in_what_was_saved(name):
    # What stands for a value is a digest of twelve hexadecimal digits, keyed for the run.
    text = re.sub(r":\"[0-9a-f]{12}\"", "", (DATA / (name + ".json")).read_text(encoding="utf-8"))
    assert not re.search(r"://[^/\s\"]*:[^*@/\s\"]+@|\bsk-[\w-]{8,}|eyJ[\w-]{10,}|(?i:password)[\"']?\s*[:=]\s*[\"'][^\"'*]+[\"']", text)
