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
from samples_report import plan, record, step

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.plugin_utils.report import acting, faces, figures, graph, markdown, terminal, view
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


@pytest.mark.parametrize("field", ["password", "client_secret", "clientSecret", "access_token", "api_key", "credentials"])
def test_fields_of_secrets_are_masked(field):
    assert Cleaner().value({field: "word"}) == {field: "***"}


@pytest.mark.parametrize("field", ["container_id", "image_id", "hash", "run_id", "secret"])
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


# The plan and the record


def acted(name="lock_held", **parts):
    """A report with a plan, a record, or both."""
    return accept({**json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8")), **parts})


ALL_FACES = [faces.render_html, faces.render_json, markdown.render_markdown, faces.render_junit, terminal.render_terminal]
EVIDENCE = {"what": "logs of api", "lines": ["11:02 pool is empty", "11:03 giving up, password=hunter2secretpw"], "left_out": 180}
SETTLED = {"run": "20261122T200310Z-034", "by": "lee", "result": "partly held"}
EVIL = "\x1b[31mred\x1b[0m <script>alert(1)</script> `x` | password=hunter2secretpw \u202e"


@pytest.mark.parametrize("parts", [{}, {"plan": None, "record": None}, {"plan": {}, "record": {}}])
def test_neither_plan_nor_record_shows_nothing(parts):
    report = acted(**parts)
    assert report["plan"] is None and report["record"] is None
    assert acting.plan(report, Words()) is None and acting.record(report, Words()) is None
    assert 'id="plan"' not in faces.render_html(report) and "## Plan" not in markdown.render_markdown(report)
    assert "Plan" not in terminal.render_terminal(report) and "Approve" not in terminal.render_terminal(report)
    assert "plan_steps" not in faces.render_prometheus(report, 5.0) and "remediation" not in faces.render_prometheus(report, 5.0)


@pytest.mark.parametrize("parts", [{"plan": [1]}, {"record": "held"}])
def test_a_plan_that_is_none_is_refused(parts):
    with pytest.raises(StackError, match="must be a dictionary"):
        acted(**parts)


@pytest.mark.parametrize(
    "parts",
    [
        {"plan": plan(step(), step(number=2, risk="safe")), "record": record()},
        {"plan": {"digest": "k"}, "record": {"result": "held"}},
        {"plan": {"steps": [{}], "refused": [{}], "by_hand": [{}]}, "record": {"result": "refused", "steps": [{}]}},
        {"record": record(result="partly undone", approved="undo", steps=[{"number": 1, "remedy": None, "component": None, "result": "cannot be undone"}])},
        {
            "record": record(
                steps=[step(result="done", evidence=[EVIDENCE, {}, "no part", {"what": None, "lines": "x", "left_out": "y"}])], settled=[SETTLED, {}, 1]
            )
        },
    ],
)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_whatever_is_given_every_face_can_be_drawn(parts, lang):
    jsonschema = pytest.importorskip("jsonschema")
    report = acted(lang=lang, **parts)
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(json.loads(faces.render_json(report)))
    for face in ALL_FACES:
        assert face(report)
    ElementTree.fromstring(faces.render_junit(report))
    for line in terminal.render_terminal(report).splitlines():
        assert figures.width(line) <= 80 or line.startswith("    "), line


def test_what_is_pasted_or_compared_survives_to_the_letter():
    token, run = "9f3a1c7e5b2d4f6a8c0e1b3d5f7a9c2e", "20261122T200310Z-3f2a"
    command = "ansible-playbook aiops.runbook.remediate -e plan=/srv/ci/9f3a1c7e5b2d4f6a8c0e/%s/plan.json -e approve=k3vq2m4x9b8zda" % ("x" * 400)
    report = acted(
        plan=plan(step(token=token), approve=command, identity={"engine": "7a1b2c3d-4e5f-6a7b-8c9d-0e1f2a3b4c5d"}, unfinished=[{"run": run, "by": "ops"}]),
        record=record(run=run, records="/var/lib/aiops-runbook/shop/" + run, reason="take it back: ansible-playbook aiops.runbook.undo -e run=" + run),
    )
    assert report["plan"]["digest"] == "k3vq2m4x9b8zda" and report["plan"]["approve"] == command
    assert report["plan"]["steps"][0]["token"] == token
    assert report["plan"]["identity"] == {"engine": "7a1b2c3d-4e5f-6a7b-8c9d-0e1f2a3b4c5d"}
    assert report["plan"]["unfinished"][0]["run"] == report["record"]["run"] == run
    assert report["record"]["records"].endswith(run) and report["record"]["reason"].endswith(run)
    assert "    " + command in terminal.render_terminal(report).splitlines()


@pytest.mark.parametrize("face", ALL_FACES)
def test_hostile_texts_of_a_plan_stay_texts(face):
    line = {"what": EVIL, "before": EVIL, "after": EVIL}
    texts = {"title": EVIL, "why": EVIL, "interrupts": EVIL, "undo": EVIL, "diff": [line], "lasting": [EVIL]}
    kept = {"what": EVIL, "lines": [EVIL, EVIL + "\n# second line"], "left_out": 3}
    done = {**step(), **texts, "result": "failed", "error": EVIL, "by_hand": EVIL, "evidence": [kept]}
    hand = {"finding": "a.b@c", "component": "c", "title": EVIL, "do": [EVIL], "code": True}
    refused = {"remedy": "r", "component": "c", "finding": "a.b@c", "title": EVIL, "reason": EVIL, "fix": EVIL}
    report = acted(
        plan=plan({**step(), **texts}, by=EVIL, refused=[refused], by_hand=[hand], unfinished=[{"run": EVIL, "by": EVIL}], lease={"by": EVIL, "since": EVIL}),
        record=record(by=EVIL, result="failed", run="x; rm -rf /", steps=[done], reason=EVIL, fix=EVIL, settled=[{"run": EVIL, "by": EVIL, "result": EVIL}]),
    )
    text = face(report)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ue000\ue001]", text) and "hunter2" not in text
    if face is faces.render_html:
        assert "<script" not in text
    if face is not faces.render_json:
        assert "run=x; rm" not in text
    if face is markdown.render_markdown:
        prose = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
        assert not re.search(r"<[a-z/]", prose)


def test_terminal_tells_a_plan_in_order_and_its_command_whole():
    hand = {"finding": "postgres.lock_held@db", "component": "db", "title": "A session holds a lock", "do": ["unseen: it stands above"], "code": True}
    other = {"finding": "x.y@api", "component": "api", "title": "Something else", "do": ["Look: docker compose logs api"], "code": False}
    refused = {
        "remedy": "redis_config",
        "component": "redis",
        "finding": "redis.memory@redis",
        "title": "Give redis more",
        "reason": "no room",
        "fix": "Make room.",
    }
    approve = "ansible-playbook aiops.runbook.remediate -i %s/inventory.yml -e plan=/p/plan.json -e approve=k3vq2m4x9b8zda" % ("a/" * 60)
    text = terminal.render_terminal(
        acted(plan=plan(step(), step(number=2, risk="safe", title="T2"), approve=approve, refused=[refused], by_hand=[hand, other]))
    )
    order = [
        "1. critical",
        "Plan k3vq2m4x9b8zda  (valid until 21:03 UTC)",
        "Step 1  disruptive  Give api's pool another size",
        "Why          The pool is too small",
        "Change       .env",
        "- POOL_SIZE=5",
        "+ POOL_SIZE=20",
        "Interrupts   api: it is made anew",
        "Undo         The file is put back",
        "Step 2  safe  T2",
        "Cannot use   redis: Give redis more: no room",
        "→ Make room.",
        "By hand      see 1. above – only the application's code can cure this",
        "api: Something else",
        "docker compose logs api",
        "Approve\n    " + approve + "\n",
        "Also found",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert "unseen: it stands above" not in text


def test_terminal_says_nothing_twice():
    root = model("lock_held")["root_causes"][0]
    text = terminal.render_terminal({**acted(plan=plan(step(finding=root["key"]))), "headline": "%s: %s" % (root["component"], root["title"])})
    assert "Why          see 1. above" in text
    assert re.sub(r"\s+", " ", text).count(root["title"][:60]) == 1


def test_terminal_shows_logs_of_the_evidence_and_names_the_rest():
    parts = [
        {"what": "logs of api", "lines": ["11:02 pool: empty", "11:03 gone"], "left_out": 0},
        {"what": "sessions", "lines": ["pid: 812, state: active, user: shop"], "left_out": 0},
    ]
    text = terminal.render_terminal(acted(record=record(steps=[step(result="cured", seconds=2.0, evidence=parts)])))
    assert "  Evidence     logs of api\n               11:02 pool: empty\n               11:03 gone\n               sessions\n" in text
    assert "pid: 812" not in text


def test_terminal_cuts_a_long_difference_and_a_long_plan_but_names_every_step():
    long = [{"what": "file", "before": "\n".join(f"a{n}" for n in range(20)), "after": "\n".join(f"b{n}" + " yy" * 60 for n in range(20))}]
    text = terminal.render_terminal(acted(plan=plan(*(step(number=n, title=f"Title {n}", diff=long) for n in range(1, 31)))))
    assert "… and 34 more" in text and "- a0\n" in text and "+ b0 yy" in text and "b3 yy" not in text
    assert all(f"Title {n}\n" in text for n in range(1, 31))
    assert len(text.splitlines()) < 220


@pytest.mark.parametrize(
    ("diff", "lines"),
    [
        ([], []),
        ([{"what": "x", "before": "a", "after": "b"}], [("", "x"), ("-", "a"), ("+", "b")]),
        ([{"what": "", "before": "", "after": "b"}], [("+", "b")]),
        ([{"what": "", "before": "a", "after": ""}], [("-", "a")]),
        ([{"what": "f", "before": "a\nb\nc", "after": "a\nB\nc"}], [("", "f"), ("-", "b"), ("+", "B")]),
        ([{"what": "", "before": "a\nb", "after": "A\nB\nC"}], [("-", "a"), ("+", "A"), ("-", "b"), ("+", "B"), ("+", "C")]),
    ],
)
def test_diff_lines(diff, lines):
    assert acting.diff_lines(diff) == lines


@pytest.mark.parametrize(
    ("given", "said", "unsaid"),
    [
        (
            record(),
            ["Applied: held", "Step 1  cured  Give api's pool another size (3.2 s)", "To keep it   .env: POOL_SIZE=20", "undo -e run=R1", "/var/r"],
            ["Error"],
        ),
        (
            record(result="failed", steps=[step(result="failed", error="it did not come up", by_hand="Put it back: docker compose up -d api", undone=False)]),
            ["Applied: failed", "failed", "Error        it did not come up", "Do by hand   Put it back:", "docker compose up -d api", "undo -e run=R1"],
            ["To keep it"],
        ),
        (record(result="failed", steps=[step(result="undone", error="it came back", undone=True)]), ["undone", "it came back"], ["Take it back", "To keep it"]),
        (record(steps=[{"number": 1, "remedy": "r", "component": "c", "result": "cured", "risk": "transient"}]), ["Applied: held"], ["Take it back"]),
        (record(steps=[step(result="cured", can_undo=False)]), ["Applied: held"], ["Take it back"]),
        (record(undo="ansible-playbook -i x aiops.runbook.undo -e run=R1"), ["    ansible-playbook -i x aiops.runbook.undo -e run=R1"], []),
        (record(result="unchanged", run=None, records=None, steps=[]), ["Applied: unchanged"], ["Take it back", "Records", "None"]),
        (
            record(result="unchanged", run=None, records=None, steps=[step(result="would be done")]),
            ["Checked: nothing was changed", "would be done"],
            ["Take it"],
        ),
        (
            record(result="undone", approved="undo", steps=[step(result="undone", title=None)]),
            ["Taken back: undone", "pool_tuning"],
            ["approved by", "Take it back"],
        ),
        (
            record(result="refused", run=None, records=None, steps=[], reason="the stack has changed", fix="diagnose again"),
            ["Refused: nothing was changed", "Reason       the stack has changed", "→ diagnose again"],
            ["Take it back"],
        ),
        (record(result="surprising", steps=[]), ["Applied: failed"], []),
    ],
)
def test_terminal_tells_a_record_before_the_causes(given, said, unsaid):
    text = terminal.render_terminal(acted(record=given))
    block = text[: text.index("1. critical")]
    for part in said:
        assert part in block, part
    for part in unsaid:
        assert part not in block, part


@pytest.mark.parametrize(
    ("result", "approved", "in_undo", "painted"),
    [
        ("failed", "digest k", "failed", "<bad>failed</>"),
        ("failed", "digest k", "undone", "<bad>undone</>"),
        ("undone", "undo", "undone", "<good>undone</>"),
        ("held", "digest k", "cured", "<good>cured</>"),
        ("partly undone", "undo", "cannot be undone", "<bad>cannot be undone</>"),
    ],
)
def test_what_is_not_as_it_should_be_is_red_and_fails_in_junit(result, approved, in_undo, painted):
    report = acted("healthy", record=record(result=result, approved=approved, steps=[step(result=in_undo)]))
    assert painted in terminal.render_terminal(report, paint=lambda text, style: f"<{style}>{text}</>")
    suite = ElementTree.fromstring(faces.render_junit(report))[0]
    cases = [case for case in suite if case.get("classname") == "shop.remediation"]
    assert [case.get("name") for case in cases] == ["pool_tuning@api#1"]
    failed = cases[0].find("failure") is not None
    assert failed == painted.startswith("<bad>") and (suite.get("failures") != "0") == failed
    assert len(suite) == int(suite.get("tests"))


def test_a_refusal_fails_in_junit_and_a_plan_is_a_property():
    report = acted("healthy", plan=plan(step()), record=record(result="refused", steps=[], reason="the stack has changed"))
    suite = ElementTree.fromstring(faces.render_junit(report))[0]
    (case,) = [case for case in suite if case.get("classname") == "shop.remediation"]
    assert case.find("failure").text == "the stack has changed"
    assert {entry.get("name"): entry.get("value") for entry in suite[0]}["plan"] == "k3vq2m4x9b8zda"
    assert len(suite.findall("testcase")) == int(suite.get("tests"))


def test_metrics_of_plan_and_record():
    text = faces.render_prometheus(acted(plan=plan(step(), step(number=2)), record=record()), 5.0)
    assert 'aiops_runbook_plan_steps{stack="shop",risk="disruptive"} 2' in text and 'aiops_runbook_plan_steps{stack="shop",risk="safe"} 0' in text
    assert 'aiops_runbook_remediation_result{stack="shop",result="held"} 1' in text
    assert 'aiops_runbook_remediation_result{stack="shop",result="failed"} 0' in text
    assert 'aiops_runbook_remediation_timestamp_seconds{stack="shop"} 1795464100.000' in text


def test_html_shows_the_command_first_and_the_plan_behind_the_causes():
    approve = "ansible-playbook aiops.runbook.remediate -e plan=/p/plan.json -e approve=k3vq2m4x9b8zda"
    warning = [{"run": "20261122T200310Z-3f2a", "by": "ops"}]
    page = faces.render_html(acted(plan=plan(step(interrupts="It is made anew"), approve=approve, unfinished=warning), record=record()), faces.FORMATS)
    order = [
        "Applied: held",
        "Do this next",
        "undo -e run=20261122T200310Z-3f2a",
        approve,
        "pg_terminate_backend(812)",
        'id="causes"',
        'id="plan"',
        "POOL_SIZE=20",
        'id="findings"',
    ]
    body = page[page.index("<main>") :]
    places = [body.index(part, body.index('id="plan"') if part == "POOL_SIZE=20" else 0) for part in order]
    assert places == sorted(places)
    parsed = Page(page)
    targets = {value for _tag, attribute, value in parsed.attributes if attribute == "id"}
    assert {value[1:] for _tag, attribute, value in parsed.attributes if attribute == "href" and value.startswith("#")} <= targets
    assert not {"script", "link", "img", "iframe", "form"} & set(parsed.tags)


def test_a_huge_plan_still_makes_a_small_page():
    big = [{"what": "file", "before": "", "after": "\n".join("x" * 100 for _line in range(70))}]
    kept = [{"what": "logs", "lines": ["z" * 300] * 20, "left_out": 0}] * 6
    given = [step(number=n, diff=big, lasting=["y" * 900] * 50, evidence=kept) for n in range(1, 1500)]
    page = faces.render_html(acted(plan=plan(*given), record=record(steps=[{**one, "result": "done"} for one in given])))
    assert len(page.encode()) <= faces.HTML_LIMIT and "more, in report.json" in page


def test_the_evidence_is_in_every_face_and_holds_no_secret():
    report = acted(record=record(steps=[step(result="cured", evidence=[EVIDENCE])], settled=[SETTLED], backup_waiver="a test stack"))
    assert report["record"]["steps"][0]["evidence"] == [{**EVIDENCE, "lines": ["11:02 pool is empty", "11:03 giving up, password=***"]}]
    for face in (faces.render_html, faces.render_json, markdown.render_markdown, terminal.render_terminal):
        text = face(report)
        for words in ("logs of api", "11:02 pool is empty", "giving up", "20261122T200310Z-034", "a test stack"):
            assert words in text, (face.__name__, words)
        assert "hunter2" not in text
    assert "what it had cured stays" in terminal.render_terminal(report).replace("\n     ", " ")
    page = faces.render_html(report)
    assert "180 lines before these" in page and "180 lines before these" in markdown.render_markdown(report)
    assert page.index("11:03 giving up") > page.index("logs of api") and "<details><summary" in page


def test_the_terminal_shows_only_the_end_of_it():
    many = {"what": "logs of api", "lines": ["line %d" % number for number in range(20)], "left_out": 0}
    text = terminal.render_terminal(acted(record=record(steps=[step(result="failed", error="no", evidence=[many] * 5)])))
    assert text.count("line 19") == 2 and "line 16" not in text and "line 17" in text


def test_nothing_to_apply_but_something_to_tell():
    hand = {"finding": "x.y@api", "component": "api", "title": "Something else", "do": [], "code": True}
    report = acted("healthy", plan=plan(by_hand=[hand], approve="never shown"))
    text = terminal.render_terminal(report)
    assert "Plan  (no remedy can be used here)" in text and "only the application's code" in text and "never shown" not in text
    assert "never shown" not in faces.render_html(report) and acting.plan(acted("healthy", plan=plan()), Words()) is None


@pytest.mark.parametrize(("until", "shown"), [(1795467790.0, "valid until 21:03 UTC"), (1795550590.0, "valid until 2026-11-24 20:03 UTC"), (0, "")])
def test_until_when_a_plan_is_valid(until, shown):
    assert acting.plan(acted(plan=plan(step(), expires_at=until)), Words())["valid"] == shown


def test_one_line_tells_plan_and_record():
    line = terminal.render_line(acted(plan=plan(step()), record=record()), "r.html")
    assert "[Applied: held] [Plan k3vq2m4x9b8zda]" in line and "\n" not in line
