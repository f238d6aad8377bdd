# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write docs/coverage.md: which row of the runbooks is held by which findings, jobs and faults. `--check` only compares.

Sources: docs/rows.yml, the catalogue (rows of each finding), tests/faults (findings that a fault expects).
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).resolve().parent))

import faultfile  # noqa: E402

TARGET = ROOT / "docs" / "coverage.md"
HEAD = """# Coverage of the runbooks

Each row of the two troubleshooting runbooks (A: the AIOps runbook, B: the Compose guide), and what answers for it.
Made by `make docs` from `docs/rows.yml`, the catalogue and the faults; a unit test holds it up to date.

`c` is Docker Compose, `k` is Kubernetes. Every finding is looked for by the playbook `diagnose` (module `stack_check`);
the modules named here look for it on one server alone. "later" is not done yet.
"""


def main(arguments: list[str]) -> int:
    text = table()
    if "--check" in arguments:
        same = TARGET.exists() and TARGET.read_text(encoding="utf-8") == text
        print("docs/coverage.md is %s" % ("up to date" if same else "old: run 'make docs'"))
        return 0 if same else 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


def table() -> str:
    findings, faults = findings_by_row(), faults_by_finding()
    lines = [HEAD]
    for letter, title in (("A", "AIOps runbook"), ("B", "Compose guide")):
        lines += [
            "",
            "## %s" % title,
            "",
            "| row | section | platforms | detect | findings, and the faults they are tried with | modules | fix |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in rows():
            if row["id"].startswith(letter):
                lines.append(_line(row, findings.get(row["id"], []), faults))
    lines.append("")
    for letter, platform in (("c", "Docker Compose"), ("k", "Kubernetes")):
        meant = [row for row in rows() if letter in row["platforms"]]
        done = [row["id"] for row in meant if any(letter in platforms for platforms in row.get("done", {}).values())]
        lines.append("%d of %d rows are done on %s in part or whole: %s.\n" % (len(done), len(meant), platform, ", ".join(done)))
    return "\n".join(lines)


def _line(row: dict[str, Any], ids: list[str], faults: dict[str, list[str]]) -> str:
    done = row.get("done", {})
    named = ["`%s`%s" % (name, " (%s)" % ", ".join(faults[name]) if faults.get(name) else "") for name in ids]
    cells = [
        row["id"],
        row["section"],
        " ".join(row["platforms"]),
        _state(row["detect"], done.get("detect", [])),
        "<br>".join(named) or ("–" if not row["detect"] else "later"),
        ", ".join("`%s`" % name for name in modules(ids) + row.get("looks", [])) or "–",
        _state(row["fix"], done.get("fix", [])) + _cures(row, ids),
    ]
    return "| %s |" % " | ".join(cell.replace("|", "\\|") for cell in cells)


def _cures(row: dict[str, Any], ids: list[str]) -> str:
    """The remedies that a plan may name for this row's findings, and the modules that the row asks for besides."""
    if "fix" not in row.get("done", {}):
        return ""
    names = {rule["remedy"] for name in ids for rule in catalogue()[name].get("remedies", [])} | set(row.get("modules", []))
    return "".join("<br>`%s`" % name for name in sorted(names))


def _state(asked: str, platforms: list[str]) -> str:
    if not asked:
        return "–"
    return "%s: **%s**" % (asked, "done (%s)" % " ".join(platforms) if platforms else "later")


@functools.cache
def rows() -> list[dict[str, Any]]:
    return yaml.safe_load((ROOT / "docs" / "rows.yml").read_text(encoding="utf-8"))["rows"]


@functools.cache
def catalogue() -> dict[str, dict[str, Any]]:
    """Every finding of the catalogue by its id."""
    entries: dict[str, dict[str, Any]] = {}
    for path in sorted((ROOT / "plugins" / "plugin_utils" / "catalog").glob("*.yml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        entries.update({name: entry for name, entry in content.items() if "." in name and isinstance(entry, dict)})
    return entries


@functools.cache
def findings_by_row() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, entry in sorted(catalogue().items()):
        for row in entry.get("rows", []):
            found.setdefault(row, []).append(name)
    return found


@functools.cache
def faults_by_finding() -> dict[str, list[str]]:
    """The faults that are to be named by a finding; those of one cause only, which say most about it."""
    found: dict[str, list[str]] = {}
    folder = ROOT / "tests" / "faults"
    for platform in faultfile.PLATFORMS if any(folder.glob("*.yml")) else ():
        for fault in faultfile.read_folder(folder, platform).values():
            if not fault.also and platform in fault.on:
                for cause in fault.expect:
                    found.setdefault(cause["finding"], []).append(fault.id)
    return {name: sorted(set(faults)) for name, faults in found.items()}


def modules(ids: list[str]) -> list[str]:
    domains = sorted({name.split(".", 1)[0] for name in ids})
    return [domain + "_check" for domain in domains if (ROOT / "plugins" / "modules" / (domain + "_check.py")).exists()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
