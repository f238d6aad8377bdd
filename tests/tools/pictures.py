# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The README's pictures, from one real run: what the terminal shows, in its colours, and the page of the same report.

pictures.py [STACK]        diagnoses the stack as it is (make demo-break breaks it first) and writes docs/images; needs chromium
"""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
IMAGES = ROOT / "docs" / "images"
CHROMIUM = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync "
    "--hide-scrollbars --blink-settings=preferredColorScheme=1"
).split()
# Ansible's colours on a dark terminal.
COLOURS = {"30": "#6b7280", "31": "#ff7b72", "32": "#56d364", "33": "#e3b341", "34": "#79c0ff", "35": "#d2a8ff", "36": "#76e3ea", "37": "#e6edf3"}
PAGE = """<!DOCTYPE html><meta charset="utf-8"><style>body{margin:0;background:#0d1117;color:#e6edf3}
pre{margin:0;padding:20px 24px;font:15px/1.42 "DejaVu Sans Mono",monospace;white-space:pre}b{color:#8b949e;font-weight:400}</style><pre>%s</pre>"""
REPORT_WIDTH, REPORT_HEIGHT = 1280, 1290
CHECKOUT = "/srv/aiops.runbook"  # for where this one lies


def main(stack: str = "reference") -> int:
    chromium = shutil.which("chromium")
    if not chromium:
        print("pictures: chromium is missing: apt-get install chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        command = ["ansible-playbook", "-i", "tests/stack/inventory.yml", "--limit", stack, "-e", "fail_on=never", "playbooks/diagnose.yml"]
        environment = {**os.environ, "PATH": "%s:%s" % (BIN, os.environ.get("PATH", "")), "ANSIBLE_FORCE_COLOR": "1"}
        told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
        draw(chromium, place, "$ %s\n\n%s" % (" ".join(command), report_of(told)), ROOT / "reports" / stack / "latest" / "report.html")
    return 0


def draw(chromium: str, place: Path, shown: str, report: Path) -> None:
    """Both pictures, of a terminal's text and of a page."""
    lines = shown.replace(str(ROOT), CHECKOUT).splitlines()
    lines = [piece for line in lines for piece in broken(line)]
    (place / "terminal.html").write_text(PAGE % painted("\n".join(lines)), encoding="utf-8")
    (place / "report.html").write_text(report.read_text(encoding="utf-8").replace(str(ROOT), CHECKOUT), encoding="utf-8")
    size = (48 + round(9.04 * max(len(plain(line)) for line in lines)), 44 + round(21.3 * len(lines)))
    picture(chromium, place, place / "terminal.html", IMAGES / "terminal.png", size)
    picture(chromium, place, place / "report.html", IMAGES / "report.png", (REPORT_WIDTH, REPORT_HEIGHT))


def report_of(told: str) -> str:
    """What stands between the task that reports and its result."""
    lines = told[told.index("TASK [aiops.runbook.diagnose : Report]") :].splitlines()[1:]
    end = next(number for number, line in enumerate(lines) if plain(line).startswith(("ok: [", "fatal: [")))
    return "\n".join(lines[:end])


def broken(line: str, columns: int = 106) -> list[str]:
    """A line as a terminal of this width breaks it."""
    if len(plain(line)) <= columns:
        return [line]
    colour = re.match(r"(\s*)(\x1b\[[\d;]*m)", line)
    start, text = colour.group(2) if colour else "", plain(line)
    return ["%s%s\x1b[0m" % (start, text[at : at + columns]) for at in range(0, len(text), columns)]


def plain(line: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", line)


def painted(text: str) -> str:
    """Escape sequences for colours as elements."""
    result, depth = [], 0
    for piece in re.split(r"(\x1b\[[\d;]*m)", text):
        code = re.fullmatch(r"\x1b\[([\d;]*)m", piece)
        if not code:
            result.append(html.escape(piece))
            continue
        colour = next((COLOURS[part] for part in code.group(1).split(";") if part in COLOURS), "")
        result.append("</span>" * depth)
        depth = 0
        if colour:
            result.append('<span style="color:%s">' % colour)
            depth = 1
    return "".join(result) + "</span>" * depth


def picture(chromium: str, place: Path, page: Path, image: Path, size: tuple[int, int]) -> None:
    words = [chromium, *CHROMIUM, "--user-data-dir=%s" % (place / "profile"), "--window-size=%d,%d" % size, "--screenshot=%s" % image, page.as_uri()]
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    print("pictures: %s, %d × %d" % (image.relative_to(ROOT), *size))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
