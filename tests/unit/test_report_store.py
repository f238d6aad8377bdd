# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A report on disk: whole or not at all, compared with the one before, and what it means for the play."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import stat
import time
from pathlib import Path

import pytest
from ansible.parsing.splitter import parse_kv
from samples_report import plan, record, step

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.plugin_utils.report import store as store_module
from ansible_collections.aiops.runbook.plugins.plugin_utils.report import write as writing
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.clean import accept
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.compare import compare
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.gate import gate
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.store import Store, folder_name

FIXTURES = Path(__file__).parent / "fixtures" / "report"


def model(name, **changes):
    return {**json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8")), **changes}


def small(severity=None, verdict="healthy", unknown=(), cleared=(), key="a.b@c"):
    identity, component = key.split("@")
    findings = [{"key": key, "id": identity, "component": component, "severity": severity, "title": "T", "evidence": {}}] if severity else []
    items = {
        kind: [{"id": name, "component": "c", "title": name, "reason": "", "fix": "", "evidence": {}} for name in names]
        for kind, names in (("unknown", unknown), ("ruled_out", cleared))
    }
    return accept({"stack": "shop", "verdict": verdict, "headline": "H", "finished_at": 1795464190.0, "findings": findings, **items})


def test_a_run_has_all_files_and_latest_points_at_it(tmp_path):
    written = writing.write(model("lock_held"), str(tmp_path))
    folder = tmp_path / "shop" / "20261123T200310Z"
    assert sorted(os.listdir(folder)) == ["report.html", "report.json", "report.md", "report.prom", "report.xml", "status.json"]
    assert os.readlink(tmp_path / "shop" / "latest") == folder.name
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} <= {0o640, 0o600}
    assert not stat.S_IMODE(folder.stat().st_mode) & 0o007
    assert written.folder == str(folder)
    assert sorted(os.listdir(tmp_path / "shop")) == ["20261123T200310Z", "latest", "status.json"]


def test_a_second_run_of_the_same_second_is_kept_beside_the_first(tmp_path):
    for _run in range(3):
        writing.write(model("healthy"), str(tmp_path), formats=["json"])
    assert os.readlink(tmp_path / "shop" / "latest") == "20261123T200310Z-3"


def test_only_the_formats_that_were_asked_for(tmp_path):
    writing.write(model("healthy"), str(tmp_path), formats=["json", "md"])
    assert sorted(os.listdir(tmp_path / "shop" / "latest")) == ["report.json", "report.md", "status.json"]


def test_the_run_before_is_compared_with(tmp_path):
    compare_nothing = {"compare": {"previous": None}}
    writing.write(model("lock_held", **compare_nothing), str(tmp_path))
    second = writing.write(model("healthy", finished_at=1795464999.0), str(tmp_path))
    assert second.model["compare"]["previous"].endswith("20261123T200310Z/report.json")
    assert {item["key"] for item in second.model["compare"]["fixed"]} >= {"postgres.lock_held@db", "http.slow@api"}


def test_a_broken_report_before_is_told_and_not_fatal(tmp_path):
    writing.write(model("healthy"), str(tmp_path))
    (tmp_path / "shop" / "latest" / "report.json").write_text("{")
    written = writing.write(model("healthy"), str(tmp_path))
    assert "cannot be read" in written.warnings[0]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (None, small("critical"), {"new": ["a.b@c"], "fixed": [], "persisting": [], "unverified": []}),
        (small("critical"), small("warning"), {"new": [], "fixed": [], "persisting": ["a.b@c"], "unverified": []}),
        (small("critical"), small(), {"new": [], "fixed": [{"key": "a.b@c", "title": "T"}], "persisting": [], "unverified": []}),
        (small("critical"), small(unknown=["a.b"]), {"new": [], "fixed": [], "persisting": [], "unverified": [{"key": "a.b@c", "title": "T"}]}),
        (small(), small("info"), {"new": ["a.b@c"], "fixed": [], "persisting": [], "unverified": []}),
    ],
)
def test_compare(before, now, expected):
    result = compare(now, before, "p" if before else None)
    assert {key: result[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("report", "fail_on", "required", "reason"),
    [
        (small(), "critical", [], "passed"),
        (small("critical", "down"), "critical", [], "fail_on"),
        (small("critical", "degraded"), "critical", [], "fail_on"),
        (small("warning", "degraded"), "critical", [], "passed"),
        (small("warning", "degraded"), "warning", [], "fail_on"),
        (small("info"), "warning", [], "passed"),
        (small(unknown=["a.b"]), "warning", [], "passed"),
        (small(unknown=["a.b"]), "unknown", [], "fail_on"),
        (small(verdict="unknown"), "critical", [], "fail_on"),
        (small("critical", "down"), "never", ["x.*"], "passed"),
        (small(unknown=["postgres.locks"]), "critical", ["postgres.*"], "required_checks"),
        (small(unknown=["postgres.locks"]), "critical", ["postgres"], "required_checks"),
        (small(unknown=["postgres.locks"], cleared=["postgres.pool"]), "critical", ["postgres.pool"], "passed"),
        (small(cleared=["postgres.locks"]), "critical", ["postgres.*"], "passed"),
        (small(cleared=["postgres.locks"]), "critical", ["postgres.lockz"], "required_checks"),
        (small(cleared=["postgres.locks"]), "critical", ["postgres.locks@c"], "passed"),
    ],
)
def test_gate(report, fail_on, required, reason):
    decision = gate(report, fail_on, required)
    assert (decision.reason, decision.failed) == (reason, reason != "passed")


@pytest.mark.parametrize(
    ("result", "severity", "fail_on", "reason"),
    [
        ("held", None, "critical", "passed"),
        ("held", "critical", "critical", "fail_on"),
        ("unchanged", "warning", "critical", "passed"),
        ("undone", None, "critical", "passed"),
        ("failed", None, "critical", "remediation"),
        ("failed", "critical", "critical", "remediation"),
        ("failed", None, "never", "remediation"),
        ("partly undone", None, "never", "remediation"),
        ("refused", None, "never", "remediation"),
        ("who knows", None, "never", "remediation"),
    ],
)
def test_gate_of_a_record(result, severity, fail_on, reason):
    report = {**small(severity), "record": record(result=result)}
    decision = gate(accept(report), fail_on)
    assert (decision.reason, decision.failed) == (reason, reason != "passed")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (record(result="failed", steps=[step(result="cured"), step(result="undone", error="it came\nback.")]), "shop: the cure failed: it came back ("),
        (record(result="refused", steps=[], reason="the stack has changed"), "shop: nothing was changed: the stack has changed ("),
        (record(result="partly undone", steps=[step(result="failed", by_hand="Do it")]), "shop: it was taken back only in part: Do it ("),
        (record(result="failed", steps=[]), "shop: the cure failed ("),
    ],
)
def test_a_cure_that_failed_is_said_in_a_sentence_and_in_the_status(tmp_path, given, message):
    written = writing.write(model("healthy", record=given), str(tmp_path), fail_on="never")
    assert written.message.startswith(message) and "\n" not in written.message
    status = json.loads((tmp_path / "shop" / "status.json").read_text())
    assert (status["exit_reason"], status["failed"], status["remediation"], status["plan"]) == ("remediation", True, given["result"], None)


def test_a_plan_lies_beside_the_report_to_the_letter(tmp_path):
    odd = step(title="pass\x1b[0m \ud800 資料 password=hunter2", params={"seconds": 0.1 + 0.2, "pids": [812], "none": None})
    given = plan(odd, created_at=1795464190.1234567)
    before = json.dumps(given)
    written = writing.write(model("lock_held", plan=given), str(tmp_path))
    path = Path(written.paths["plan"])
    assert path == tmp_path / "shop" / "20261123T200310Z" / "plan.json" and stat.S_IMODE(path.stat().st_mode) in (0o640, 0o600)
    kept = json.loads((tmp_path / "shop" / "latest" / "plan.json").read_text())
    assert kept == {key: value for key, value in given.items() if key not in ("path", "approve")}
    assert json.dumps(given) == before
    command = "ansible-playbook aiops.runbook.remediate -e plan=%s -e approve=k3vq2m4x9b8zda" % path
    assert (written.model["plan"]["path"], written.model["plan"]["approve"]) == (str(path), command)
    for face in ("report.html", "report.md", "report.json"):
        text = (path.parent / face).read_text()
        assert command in text and "{plan}" not in text and "hunter2" not in text
    status = json.loads((tmp_path / "shop" / "status.json").read_text())
    assert status["plan"] == "k3vq2m4x9b8zda" and "plan.json" not in status["reports"]


def test_a_plan_without_steps_is_no_file(tmp_path):
    hand = {"finding": "a.b@c", "component": "c", "title": "T", "do": ["x"], "code": True}
    written = writing.write(model("lock_held", plan=plan(by_hand=[hand])), str(tmp_path))
    assert "plan" not in written.paths and not (tmp_path / "shop" / "latest" / "plan.json").exists()
    assert json.loads((tmp_path / "shop" / "status.json").read_text())["plan"] is None


@pytest.mark.parametrize("folder", ["reports", "my reports", "it's", "a$(b)", "商店"])
def test_the_command_names_the_plan_wherever_it_is_pasted(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    written = writing.write(model("lock_held", plan=plan(step())), folder, formats=[])
    words = shlex.split(written.model["plan"]["approve"])
    assert parse_kv(words[3])["plan"] == str(tmp_path / folder / "shop" / "20261123T200310Z" / "plan.json")


def test_checks_that_one_reason_hid_count_each():
    report = small(unknown=["postgres.pool"])
    report["unknown"][0]["also"] = ["postgres.locks"]
    assert gate(report, "critical", ["postgres.locks"]).reason == "required_checks"
    before = small("critical", key="postgres.locks@c>api")
    assert compare(report, before, "p")["unverified"] == [{"key": "postgres.locks@c>api", "title": "T"}]


def test_nothing_is_gone_from_a_stack_that_cannot_be_reached():
    unreachable = accept({"stack": "shop", "verdict": "unknown", "unknown": [{"id": "stack.unreachable", "component": "stack", "reason": "r", "fix": ""}]})
    assert compare(unreachable, small("critical"), "p")["fixed"] == []


def test_status_tells_a_verdict_from_a_crash(tmp_path):
    written = writing.write(model("lock_held"), str(tmp_path))
    status = json.loads((tmp_path / "shop" / "status.json").read_text())
    assert (status["verdict"], status["exit_reason"], status["failed"], status["counts"]["critical"]) == ("down", "fail_on", True, 3)
    assert written.message.startswith("shop is down: ") and "\n" not in written.message
    message = writing.write_crash("shop", "boom\x1b[31m password=hunter2", str(tmp_path))
    status = json.loads((tmp_path / "shop" / "status.json").read_text())
    assert (status["verdict"], status["exit_reason"]) == ("unknown", "crashed")
    assert status["last_complete_run"] == 1795464190.0
    assert "hunter2" not in message and "\x1b" not in message
    assert (tmp_path / "shop" / "latest" / "report.html").exists()


def test_a_run_that_saw_nothing_is_not_a_complete_one(tmp_path):
    writing.write(model("healthy"), str(tmp_path))
    writing.write({"stack": "shop", "verdict": "unknown", "finished_at": 1795999999.0}, str(tmp_path))
    text = (tmp_path / "shop" / "latest" / "report.prom").read_text()
    assert 'last_complete_run_timestamp_seconds{stack="shop"} 1795464190.000' in text
    assert 'last_run_timestamp_seconds{stack="shop"} 1795999999.000' in text


def test_old_runs_go_and_nothing_else(tmp_path):
    folder = tmp_path / "shop"
    for second in range(6):
        writing.write(model("healthy", finished_at=1795464190.0 + second), str(tmp_path), formats=["json"], keep=3)
    (folder / "notes").mkdir()
    writing.write(model("healthy", finished_at=1795464199.0), str(tmp_path), formats=["json"], keep=3)
    assert sorted(path.name for path in folder.iterdir()) == ["20261123T200314Z", "20261123T200315Z", "20261123T200319Z", "latest", "notes", "status.json"]


def test_keep_0_keeps_all(tmp_path):
    for second in range(4):
        writing.write(model("healthy", finished_at=1795464190.0 + second), str(tmp_path), formats=["json"], keep=0)
    assert len(list((tmp_path / "shop").glob("2026*"))) == 4


@pytest.mark.parametrize(
    ("stack", "pattern"),
    [
        ("shop", "shop"),
        ("my.app_1", "my.app_1"),
        ("../../etc", "_.._etc-"),
        ("/", "_-"),
        ("..", "stack-"),
        ("商店", "商店"),
        ("a/b", "a_b-"),
        (".hidden", "hidden-"),
    ],
)
def test_names_of_stacks_stay_inside_the_folder(stack, pattern):
    name = folder_name(stack)
    assert name.startswith(pattern) and "/" not in name and not name.startswith(".")
    assert folder_name("a/b") != folder_name("a:b")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError) as failure:
        writing.write(model("healthy"), str(tmp_path / "file"))
    assert "report_dir" in failure.value.message and str(tmp_path / "file") in failure.value.message


def test_a_full_disk_leaves_no_half_a_report(tmp_path, monkeypatch):
    writing.write(model("healthy"), str(tmp_path))

    def full(path, text):
        if path.name == "report.xml":
            raise OSError(28, "No space left on device", str(path))
        real(path, text)

    real = store_module._write
    monkeypatch.setattr(store_module, "_write", full)
    with pytest.raises(StackError) as failure:
        writing.write(model("healthy", finished_at=1795464999.0), str(tmp_path))
    assert failure.value.kind == "no_space" and "No space left" in failure.value.message
    assert sorted(os.listdir(tmp_path / "shop")) == ["20261123T200310Z", "latest", "status.json"]


def test_a_folder_called_latest_is_left_alone(tmp_path):
    (tmp_path / "shop" / "latest").mkdir(parents=True)
    written = writing.write(model("healthy"), str(tmp_path))
    assert "could not be pointed" in written.warnings[0]
    assert Path(written.paths["html"]).exists()
    assert Store(str(tmp_path), "shop").latest.is_dir()


def test_a_report_is_read_from_a_file_compressed_or_not(tmp_path):
    for name, data in (("r.json", b'{"a": 1}'), ("r.json.gz", gzip.compress(b'{"a": 1}'))):
        (tmp_path / name).write_bytes(data)
        assert writing.load(str(tmp_path / name)) == {"a": 1}
    (tmp_path / "bad").write_text("no")
    for name in ("bad", "absent"):
        with pytest.raises(StackError, match="report_file"):
            writing.load(str(tmp_path / name))


def test_a_report_takes_no_time(tmp_path):
    def seconds():
        start = time.perf_counter()
        writing.write(model("lock_held"), str(tmp_path))
        return time.perf_counter() - start

    assert min(seconds() for _try in range(5)) < 0.2
