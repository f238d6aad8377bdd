# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The faces of a report: what stands on them, and that nothing hostile, secret or endless gets through."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.plugin_utils.report import faces, figures, graph, markdown, terminal, view
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.clean import Cleaner, accept, plain
from ansible_collections.aiops.runbook.plugins.plugin_utils.report.words import LANGUAGES, Words, _all_words

FIXTURES = Path(__file__).parent / "fixtures" / "report"
SCHEMA = Path(faces.__file__).parent / "schema" / "report.schema.json"
NAMES = ("healthy", "lock_held", "degraded_zh", "hostile")


def model(name):
    return accept(json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8")))


def many(number):
    """A report with this many findings, each with its own evidence."""
    big = model("lock_held")
    finding = {**big["findings"][1], "caused_by": []}
    evidence = {"query": "SELECT " + "x, " * 200, "pid": 1, "seconds": 3}
    big["findings"] += [{**finding, "key": f"http.slow@c{n}", "component": f"c{n}", "evidence": {**evidence, "pid": n}} for n in range(number)]
    big["unknown"] = [{"id": "a.b", "component": f"c{n}", "title": "t", "reason": f"because {n}", "fix": ""} for n in range(number)]
    big["ruled_out"] = [{"id": "a.b", "component": f"c{n}", "title": "t" * 200, "evidence": evidence} for n in range(number)]
    return big


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend((tag, name, value) for name, value in attrs)

    def handle_data(self, data):
        self.texts.append(data)


@pytest.mark.parametrize("name", NAMES)
def test_json_is_as_the_schema_says(name):
    jsonschema = pytest.importorskip("jsonschema")
    written = json.loads(faces.render_json(model(name)), parse_constant=pytest.fail)
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(written)


def test_json_has_the_top_keys():
    written = json.loads(faces.render_json(model("lock_held")))
    assert {"verdict", "root_causes", "findings", "ruled_out", "unknown", "topology", "timing"} <= set(written)
    assert all(item["id"] and item["component"] for key in ("root_causes", "findings", "ruled_out", "unknown") for item in written[key])


@pytest.mark.parametrize("name", NAMES)
def test_html_needs_no_network_and_no_script(name):
    page = Page(faces.render_html(model(name), faces.FORMATS))
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form", "u"} & set(page.tags)
    assert not [attribute for attribute in page.attributes if attribute[1].startswith("on") or attribute[1] in ("src", "srcset", "srcdoc")]
    addresses = [value for _tag, attribute, value in page.attributes if attribute == "href"]
    assert all(re.fullmatch(r"#[\w-]+|report\.(json|md|xml|prom)", value) for value in addresses)
    targets = {value for _tag, attribute, value in page.attributes if attribute == "id"}
    assert {value[1:] for value in addresses if value.startswith("#")} <= targets


def test_html_shows_what_to_do_before_anything_else():
    page = faces.render_html(model("lock_held"))
    order = ["DOWN".lower(), "A session in the database", "Do this next", "pg_terminate_backend(812)", "Root causes", "All other findings", "Could not check"]
    places = [page.index(text, page.index("<body>")) for text in order]
    assert places == sorted(places)
    assert '<pre class="command">docker compose -p shop exec db psql -U shop -c &#39;SELECT pg_terminate_backend(812)&#39;</pre>' in page
    assert len(page) < 300_000


def test_html_speaks_the_language_of_the_report():
    page = faces.render_html(model("degraded_zh"))
    assert '<html lang="zh-Hant-TW">' in page
    assert "接下來請這樣做" in page and "Do this next" not in page and "Root cause" not in page


def test_html_of_ten_thousand_findings_is_small_and_says_what_it_cut():
    page = faces.render_html(many(10_000))
    assert len(page.encode()) <= faces.HTML_LIMIT
    assert "more, in report.json" in page


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("face", [faces.render_html, faces.render_json, markdown.render_markdown, faces.render_junit, terminal.render_terminal])
def test_no_face_lets_control_characters_or_secrets_through(name, face):
    text = face(model(name))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ue000\ue001]", text)
    for secret in ("hunter2secretpw", "topsecret99", "plainpassword", "abcdef1234567890abcdef", "Xk29dkQm20sLq81Zp0Wd"):
        assert secret not in text
    text.encode("utf-8")


def test_markdown_of_hostile_text_is_text():
    text = markdown.render_markdown(model("hostile"))
    prose = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    assert not re.search(r"<[a-z/]", prose)
    assert not re.search(r"(?<!\\)\]\(", prose)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a_b*c", r"a\_b\*c"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("a|b\nc", r"a\|b c"),
        ("# no heading", r"\# no heading"),
        ("- no list", r"\- no list"),
        ("![x](http://h/i.png)", r"!\[x\](http&#8203;://h/i.png)"),
    ],
)
def test_markdown_escapes(given, shown):
    assert markdown.escape(given) == shown


def test_markdown_code_cannot_be_ended():
    assert markdown.code("a`b``c") == "``` a`b``c ```"


def test_junit_counts_and_kinds():
    suites = ElementTree.fromstring(faces.render_junit(model("lock_held")))
    suite = suites[0]
    kinds = [case[0].tag if len(case) else "passed" for case in suite]
    assert kinds.count("failure") == int(suite.get("failures")) == 5
    assert kinds.count("skipped") == int(suite.get("skipped")) == 1
    assert len(suite) == int(suite.get("tests"))
    ElementTree.fromstring(faces.render_junit(model("hostile")))


def test_prometheus_is_well_formed():
    sample = re.compile(r'aiops_runbook_\w+\{\w+="(?:[^"\\\n]|\\\\|\\"|\\n)*"(?:,\w+="(?:[^"\\\n]|\\\\|\\"|\\n)*")*\} -?[\d.]+')
    for name in NAMES:
        for line in faces.render_prometheus(model(name), 5.0).splitlines():
            assert line.startswith("# ") or sample.fullmatch(line), line
    text = faces.render_prometheus(model("lock_held"), 5.0)
    assert 'aiops_runbook_verdict{stack="shop",verdict="down"} 1' in text
    assert 'aiops_runbook_verdict{stack="shop",verdict="healthy"} 0' in text
    assert 'aiops_runbook_findings{stack="shop",id="postgres.lock_held",component="db",severity="critical"} 1' in text
    assert 'last_complete_run_timestamp_seconds{stack="shop"} 5.000' in text


# The terminal


def test_terminal_of_a_healthy_stack_is_short():
    lines = terminal.render_terminal(model("healthy"), "reports/shop/20261122T200310Z/report.html").splitlines()
    assert len(lines) <= 12
    assert lines[0].startswith("HEALTHY  shop")


@pytest.mark.parametrize("name", NAMES)
def test_terminal_keeps_to_80_columns_save_for_what_is_copied(name):
    for line in terminal.render_terminal(model(name), "reports/x/report.html").splitlines():
        assert figures.width(line) <= 80 or line.startswith("    docker"), line


def test_terminal_of_an_ill_stack_tells_cause_way_command_and_the_rest():
    text = terminal.render_terminal(model("lock_held"), "reports/shop/x/report.html")
    flat = " ".join(text.split())
    for part in (
        "DOWN shop",
        "1. critical db: A session holds a lock that 14 others wait for",
        "pid 812",
        "api: requests hang on /api/v1/items (30 s) ← the pool of api has no free connection",
        "docker compose -p shop exec db psql -U shop -c 'SELECT pg_terminate_backend(812)'",
        "13 other causes",
        "postgres.slow_queries (db): the extension pg_stat_statements is not installed",
        "4 new:",
        "1 gone: Redis is slow to answer",
        "reports/shop/x/report.html",
        "3.4 s",
    ):
        assert part in flat, part


def test_terminal_stays_bounded_whatever_is_found():
    assert len(terminal.render_terminal(many(3000)).splitlines()) < 80


def test_terminal_paints_only_when_told():
    assert "\x1b" not in terminal.render_terminal(model("lock_held"))
    painted = terminal.render_terminal(model("lock_held"), paint=lambda text, style: f"<{style}>{text}</>")
    assert "<bad>DOWN</>" in painted


def test_quiet_is_one_line():
    assert terminal.render_line(model("hostile"), "r.html").count("\n") == 0


@pytest.mark.parametrize(
    ("text", "columns", "lines"),
    [
        ("aa bb cc", 5, ["aa bb", "cc"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("資料庫連線，已滿。", 8, ["資料庫連", "線，已", "滿。"]),
        ("使用 Redis 密碼", 10, ["使用 Redis", "密碼"]),
        ("", 10, []),
    ],
)
def test_wrap(text, columns, lines):
    assert terminal.wrap(text, columns) == lines


# The parts


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\x00\x08b\x9b2Jc", "abc"),
        ("exe\u202egnp", "exegnp"),
        ("\ud800x", "x"),
        ("\x1bPq#0\x1b\\x", "x"),
    ],
)
def test_plain(text, cleaned):
    assert plain(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "container myproject-worker-1 restarted",
        "pod shop-api-7d9f8b6c5d-x2x4z is gone",
        "reports/shop/20261122T200310Z/report.html",
        "SELECT items.id FROM items WHERE id = ?",
        "the setting MAX_CONNECTIONS_2 is wrong",
    ],
)
def test_names_stay_readable(text):
    assert Cleaner().text(text) == text


@pytest.mark.parametrize("field", ["container_id", "image_id", "hash", "run_id"])
def test_identifiers_stay_readable(field):
    evidence = {field: "3f2a9c0d1e4b5a697887a6b5c4d3e2f1"}
    assert Cleaner().value(evidence) == evidence


@pytest.mark.parametrize(
    "text", ["postgresql://u:s3cr3tword@h/d", "Bearer abcdefghijkl", "password=s3cr3tword", "got Xk29dkQm20sLq81Zp0Wd back", "sk-abcdefgh12345678"]
)
def test_shapes_of_secrets_are_masked(text):
    cleaned = Cleaner().text(text)
    assert "***" in cleaned and not re.search(r"s3cr3tword|abcdefgh|Xk29", cleaned)


@pytest.mark.parametrize(
    "wrong", [None, [], {}, {"verdict": "fine", "stack": "x"}, {"verdict": "down"}, {"verdict": "down", "stack": "x", "schema": "other/9"}]
)
def test_what_is_no_report_is_refused(wrong):
    with pytest.raises(StackError):
        accept(wrong)


def test_the_least_report_has_every_face():
    least = accept({"stack": "x", "verdict": "unknown"})
    assert "unknown" in faces.render_html(least)
    for render in (faces.render_json, markdown.render_markdown, faces.render_junit, terminal.render_terminal):
        assert render(least)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("seconds", 372.4, "6 min 12 s"),
        ("seconds", 0.021, "0.021 s"),
        ("age_seconds", 93600, "26 h"),
        ("age_seconds", 864000, "10 d"),
        ("used_bytes", 1288490188, "1.2 GiB"),
        ("used_percent", 91.0, "91 %"),
        ("ping_ms", 0.4, "0.4 ms"),
        ("pid", 123456, "123456"),
        ("messages", 123456, "123,456"),
        ("started_at", 1795464190, "2026-11-23 20:03:10 UTC"),
        ("x", None, "–"),
        ("x", True, "yes"),
        ("x", [1, 2], "1, 2"),
        ("x", {"a": 1}, "a=1"),
    ],
)
def test_figures(name, value, shown):
    assert figures.figure(name, value, Words("en")) == shown


@pytest.mark.parametrize(
    ("step", "kinds"),
    [
        ("docker compose restart api", ["command"]),
        ("Restart it: docker compose restart api", ["text", "command"]),
        ("重新啟動：docker compose restart api", ["text", "command"]),
        ("Run `redis-cli ping`.", ["text", "command"]),
        ("Set `appendonly` to `yes`.", ["text", "name", "text", "name", "text"]),
        ("Make room on the disk.", ["text"]),
        ("SELECT pg_reload_conf();", ["command"]),
    ],
)
def test_steps(step, kinds):
    assert [part["kind"] for part in view.steps([step])[0]["parts"]] == kinds


def test_paths_that_run_together_are_drawn_once():
    trunk = view.tree(model("lock_held")["root_causes"][0])
    assert len(trunk) == 1
    assert [node["text"][:6] for node in trunk[0]["nodes"]] == ["the po", "worker"]


def test_what_nobody_uses_stands_left_and_circles_end():
    components = [{"id": name} for name in ("db", "api", "proxy", "a", "b")]
    edges = [{"from": "proxy", "to": "api"}, {"from": "api", "to": "db"}, {"from": "a", "to": "b"}, {"from": "b", "to": "a"}, {"from": "a", "to": "nowhere"}]
    picture = graph.layout(components, edges, {"db": "cause"})
    x = {box["name"]: box["x"] for box in picture["boxes"]}
    assert x["proxy"] < x["api"] < x["db"]
    assert graph.layout(components[:1], [], {}) is None


def test_every_word_exists_in_every_language_and_with_the_same_fields():
    for name, phrase in _all_words().items():
        assert set(phrase) <= set(LANGUAGES), name
        if name.endswith(".one"):
            continue
        fields = {lang: set(re.findall(r"\{(\w+)\}", text)) for lang, text in phrase.items()}
        assert set(phrase) == set(LANGUAGES) and len(set(map(frozenset, fields.values()))) == 1, name
