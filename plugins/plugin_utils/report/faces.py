# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The faces of one report: functions from an accepted model to the text of a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import RISKS
from ansible_collections.aiops.runbook.plugins.plugin_utils.report import acting, graph, view
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.clean import RECORD_RESULTS, VERDICTS, unseen_ids
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.figures import brief, cut, moment
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.markdown import render_markdown
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.words import Words

HTML_LIMIT = 2_000_000

_TITLES = {"json": "JSON", "md": "Markdown", "xml": "JUnit", "prom": "Prometheus"}

_TEMPLATES = Path(__file__).parent / "templates"


@cache
def html_template() -> Template:
    """The page of render_html, compiled."""
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.globals["style"] = Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8"))
    return environment.get_template("report.html.j2")


def render_html(model: dict[str, Any], formats: Iterable[str] = ()) -> str:
    """One page that needs nothing else; its lists get shorter until it is small enough for any browser.

    formats: the faces that lie beside it, to link to.
    """
    words = Words(model["lang"])
    links = [(name, _TITLES[name]) for name in formats if name in _TITLES]
    states = view.component_states(model)
    picture = graph.layout(model["topology"]["components"], model["topology"]["edges"], states)
    caps = view.Caps()
    for factor in (1, 0.5, 0.2, 0.05, 0.01):
        scaled = caps.scaled(factor)
        remedies = {"plan": acting.plan(model, words, scaled), "record": acting.record(model, words, scaled)}
        page = html_template().render(view=view.build(model, words, scaled), w=words, graph=picture, links=links, **remedies)
        if len(page.encode("utf-8", "replace")) <= HTML_LIMIT:
            break
    return page


def render_json(model: dict[str, Any]) -> str:
    return json.dumps(model, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def render_junit(model: dict[str, Any]) -> str:
    """A test case for each check: critical and warning fail, what could not be checked is skipped, ruled out passes.

    One more for each step that was applied or taken back; the plan is told by properties.
    """
    words = Words(model["lang"])
    suite = ElementTree.Element("testsuite")
    failures = 0
    for item in model["findings"]:
        case = _case(suite, model, item)
        evidence = brief(item.get("evidence") or {}, words, 2000)
        if item.get("severity") == "info":
            ElementTree.SubElement(case, "system-out").text = "%s\n%s" % (item["title"], evidence)
            continue
        failures += 1
        failure = ElementTree.SubElement(case, "failure", type=item.get("severity", "warning"), message=cut(item["title"], 300))
        causes = ", ".join(item.get("caused_by") or [])
        steps = [str(step) for step in item.get("do") or []]
        failure.text = "\n".join(filter(None, [item.get("explanation"), evidence, causes and words("explained_by", cause=causes), *steps]))
    skipped = [
        {"id": check, "component": item["component"], "reason": item.get("reason"), "fix": item.get("fix")}
        for item in model["unknown"]
        for check in unseen_ids(item)
    ]
    for item in skipped:
        message = " ".join(filter(None, [item["reason"], item["fix"]]))
        ElementTree.SubElement(_case(suite, model, item), "skipped", message=cut(message, 500))
    for item in model["ruled_out"]:
        ElementTree.SubElement(_case(suite, model, item), "system-out").text = brief(item.get("evidence") or {}, words, 500)
    failures += _remediation_cases(suite, model, words)
    total = str(len(suite))
    if model["plan"] and model["plan"]["steps"]:
        properties = ElementTree.Element("properties")
        for name, value in (("plan", model["plan"]["digest"]), ("plan_steps", str(len(model["plan"]["steps"]))), ("plan_approve", model["plan"]["approve"])):
            ElementTree.SubElement(properties, "property", name=name, value=value)
        suite.insert(0, properties)
    time = "%.3f" % float(model["timing"].get("total_seconds") or 0)
    attributes = {"tests": total, "failures": str(failures), "errors": "0", "skipped": str(len(skipped)), "time": time}
    suite.attrib.update({"name": "aiops.runbook " + model["stack"], "timestamp": moment(model["finished_at"], "%Y-%m-%dT%H:%M:%S"), **attributes})
    suites = ElementTree.Element("testsuites", {"name": "aiops.runbook", **attributes})
    suites.append(suite)
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, model: dict[str, Any], item: dict[str, Any]) -> ElementTree.Element:
    name = item.get("key") or "%s@%s" % (item["id"], item["component"])
    return ElementTree.SubElement(suite, "testcase", classname="%s.%s" % (model["stack"], item["component"]), name=name, time="0")


def _remediation_cases(suite: ElementTree.Element, model: dict[str, Any], words: Words) -> int:
    """A case for each step of the record, and one for a record that failed as a whole; how many failed."""
    record = model["record"]
    if not record:
        return 0
    failures = 0
    for step in record["steps"]:
        name = "%s@%s#%s" % (step["remedy"], step["component"], step["number"])
        case = ElementTree.SubElement(suite, "testcase", classname=model["stack"] + ".remediation", name=name, time="%.3f" % float(step["seconds"]))
        result = "%s: %s" % (step["title"], words("step." + step["result"]))
        if not acting.is_failure(step, record):
            ElementTree.SubElement(case, "system-out").text = result
            continue
        failures += 1
        failure = ElementTree.SubElement(case, "failure", type=step["result"], message=cut(result, 300))
        failure.text = "\n".join(filter(None, [step["error"], step["fix"], step["by_hand"]]))
    if acting.failed_without_step(record):
        failures += 1
        case = ElementTree.SubElement(suite, "testcase", classname=model["stack"] + ".remediation", name="remediation", time="%.3f" % float(record["seconds"]))
        failure = ElementTree.SubElement(case, "failure", type=record["result"], message=cut(words("record." + record["result"]), 300))
        failure.text = "\n".join(filter(None, [record["reason"], record["fix"]]))
    return failures


def render_prometheus(model: dict[str, Any], complete_at: float) -> str:
    """For node_exporter's textfile collector. complete_at: when the last run with a verdict ended, which need not be this one."""
    stack = {"stack": model["stack"]}
    totals = view.counts(model)
    findings: dict[tuple[str, str, str], int] = {}
    for item in model["findings"]:
        group = (item["id"], item["component"], item.get("severity", "warning"))
        findings[group] = findings.get(group, 0) + 1
    timing = model["timing"]
    return "".join(
        [
            _metric(
                "verdict",
                "1 for the verdict of the last run, 0 for the others.",
                [({**stack, "verdict": name}, int(name == model["verdict"])) for name in VERDICTS],
            ),
            _metric(
                "findings",
                "Findings of the last run.",
                [({**stack, "id": group[0], "component": group[1], "severity": group[2]}, number) for group, number in sorted(findings.items())],
            ),
            _metric("root_causes", "Root causes that the last run named.", [(stack, totals["root_causes"])]),
            _metric("unknown", "Checks that the last run could not make.", [(stack, totals["unknown"])]),
            _metric("ruled_out", "Causes that the last run ruled out.", [(stack, totals["ruled_out"])]),
            _metric("last_run_timestamp_seconds", "When the last run ended.", [(stack, model["finished_at"])]),
            _metric("last_complete_run_timestamp_seconds", "When the last run ended that came to a verdict.", [(stack, complete_at)]),
            _metric("duration_seconds", "How long the last run took.", [(stack, float(timing.get("total_seconds") or 0))]),
            *_remediation_metrics(model, stack),
        ]
    )


def _remediation_metrics(model: dict[str, Any], stack: dict[str, str]) -> list[str]:
    """Of the plan and of the record, where the run has one."""
    metrics = []
    if model["plan"]:
        risks = [step["risk"] for step in model["plan"]["steps"]]
        metrics.append(
            _metric("plan_steps", "Steps of the plan that the last run made, by risk class.", [({**stack, "risk": risk}, risks.count(risk)) for risk in RISKS])
        )
    if model["record"]:
        result = model["record"]["result"]
        samples: list[tuple[dict[str, str], float]] = [({**stack, "result": name}, int(name == result)) for name in RECORD_RESULTS]
        metrics.append(_metric("remediation_result", "1 for what the last job of acting came to, 0 for the others.", samples))
        metrics.append(_metric("remediation_timestamp_seconds", "When the last job of acting began.", [(stack, float(model["record"]["at"]))]))
    return metrics


def _metric(name: str, text: str, samples: list[tuple[dict[str, str], float]]) -> str:
    name = "aiops_runbook_" + name
    lines = [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
    lines += ["%s{%s} %s" % (name, ",".join('%s="%s"' % (key, _label(value)) for key, value in labels.items()), _value(value)) for labels, value in samples]
    return "\n".join(lines) + "\n"


def _label(value: str) -> str:
    return cut(value, 200).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _value(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


# Which faces need the model and nothing else, by the ending of their file.
_PLAIN_FACES: dict[str, Callable[[dict[str, Any]], str]] = {"json": render_json, "md": render_markdown, "xml": render_junit}
FORMATS = ("json", "html", "md", "xml", "prom")


def render(model: dict[str, Any], formats: Iterable[str], complete_at: float) -> dict[str, str]:
    """The files of a run, by name. complete_at: see render_prometheus."""
    wanted = [name for name in FORMATS if name in set(formats)]
    files = {f"report.{name}": face(model) for name, face in _PLAIN_FACES.items() if name in wanted}
    if "html" in wanted:
        files["report.html"] = render_html(model, wanted)
    if "prom" in wanted:
        files["report.prom"] = render_prometheus(model, complete_at)
    return files
