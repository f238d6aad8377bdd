# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Container log lines, put together into events: a line of a known format with the traceback that follows it.

A log line is data written by anybody. Only its place says what it is: the level at the head of the line, an exception field,
a traceback. Every pattern is anchored and bounded; memory does not grow with the number of lines.
"""

from __future__ import annotations

import calendar
import json
import re
from dataclasses import dataclass, field
from typing import Any, Iterable, Iterator

MOST_LENGTH = 8192
# A JSON line may hold a long traceback; one that is longer still, or cut off, is read as far as it goes.
MOST_JSON = 65536
MOST_TRACEBACK_LINES = 4000
MOST_FRAMES = 60

DEBUG, NOTE, WARN, ERROR, FATAL = 10, 20, 30, 40, 50
LEVEL_NAMES = {DEBUG: "debug", NOTE: "info", WARN: "warning", ERROR: "error", FATAL: "critical"}
_LEVELS = {
    "trace": DEBUG,
    "debug": DEBUG,
    "verbose": DEBUG,
    "info": NOTE,
    "information": NOTE,
    "notice": NOTE,
    "success": NOTE,
    "log": NOTE,
    "warn": WARN,
    "warning": WARN,
    "error": ERROR,
    "err": ERROR,
    "exception": ERROR,
    "severe": ERROR,
    "critical": FATAL,
    "crit": FATAL,
    "fatal": FATAL,
    "panic": FATAL,
    "emerg": FATAL,
    "alert": FATAL,
    "emergency": FATAL,
    # zerolog's (Traefik)
    "trc": DEBUG,
    "dbg": DEBUG,
    "inf": NOTE,
    "wrn": WARN,
    "ftl": FATAL,
}


@dataclass
class Raised:
    """One exception of a traceback. frames: (file, function, source line), outermost first. link: how it follows the one before."""

    type: str
    text: str
    frames: list[tuple[str, str, str]] = field(default_factory=list)
    link: str = ""


@dataclass
class Event:
    """form: json, python, celery, uvicorn, gunicorn, postgres, redis, nginx, access, bare. level: None when the line has none.

    raised: the chain as it was printed, the exception that got through last. fields: texts of JSON fields that hold an error.
    """

    at: float
    form: str
    level: int | None
    message: str
    raised: list[Raised] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return (self.level or 0) >= ERROR or (self.level is None and bool(self.raised))


_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:Z|([+-])(\d\d):(\d\d)) ?")
_PIECE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ")
_PAIR = re.compile(r"\"([\w.@-]{1,60})\":\s?(?:\"((?:[^\"\\]|\\.)*)(\"|$)|(-?\d{1,20}))")
_ANSI = re.compile(r"\x1b(?:\[[0-9;?]{0,20}[ -/]?[@-~]|[@-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

_UPPER = "TRACE|DEBUG|INFO|NOTICE|SUCCESS|WARNING|WARN|ERROR|EXCEPTION|CRITICAL|FATAL|ALERT|EMERG"
_LOWER = "trace|debug|info|notice|success|warning|warn|error|exception|critical|fatal|alert|emerg"
_CELERY = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}: (?P<level>[A-Z]{4,9})/[\w.@:-]{1,80}\] ?(?P<text>.*)")
_GUNICORN = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d{1,9}\] \[(?P<level>[A-Z]{4,9})\] ?(?P<text>.*)")
_POSTGRES = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? [A-Z+\-\d:]{1,6} \[\d{1,9}\](?:-\d{1,9})?:? (?:[^\s:]{0,130} )?"
    r"(?P<level>LOG|FATAL|ERROR|PANIC|WARNING|NOTICE|INFO|DEBUG\d?|DETAIL|HINT|STATEMENT|CONTEXT|QUERY):  (?P<text>.*)"
)
_REDIS = re.compile(r"\d{1,9}:[A-Z] \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3} (?P<level>[#*.-]) (?P<text>.*)")
_NGINX = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(?P<level>[a-z]{3,6})\] \d{1,9}#\d{1,9}: (?:\*\d{1,12} )?(?P<text>.*)")
_ACCESS = re.compile(
    r"[\w.:-]{2,64} - (?:\S{1,100} (?:- )?)?(?:\[[^\]]{1,40}\] )?\"[A-Z]{3,10} |[\w.:\[\]-]{2,64}:\d{1,5} \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d\.\d{3}\] "
)
_LEVEL_FIRST = re.compile(
    r"(?:\[(?P<boxed>(?i:" + _LOWER + r"))\s{0,6}\]|(?P<level>" + _UPPER + r"))(?P<after>:\s{0,6}(?:[A-Za-z_][\w.]{0,80}:)?|\s{1,8}[-|]?|$)\s{0,4}"
    r"(?:\[?\d{4}-\d\d-\d\d[T ][\d:.,]{8,18}(?:Z|[+-]\d\d:?\d\d)?\]?\s{0,4}[-|:]?\s{0,4})?(?P<text>.*)"
)
_TIME_FIRST = re.compile(
    r"\[?(?:\d{4}[-/]\d\d[-/]\d\d|\d\d/\d\d/\d\d)[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?\]?[ \t]{0,4}(?:[-|:][ \t]{0,4})?(?P<rest>.*)"
)
_BOX = r"(?:\[[^\]\[]{0,60}\][ \t]{0,4}(?:[-|:][ \t]{1,4})?)"
_AFTER_TIME = re.compile(
    _BOX + r"{0,2}?(?:[A-Za-z_][\w./:@-]{0,80}[ \t]{0,20}(?:[-|:][ \t]{1,4}|[ \t]))??" + _BOX + r"{0,2}?(?:\d{1,9} )?"
    r"(?:[\[(<]?[ ]{0,2}(?P<level>"
    + _UPPER
    + r"|ERR|WRN|INF|DBG|FTL|TRC"
    + r")[ ]{0,9}[\])>]?|\[(?P<boxed>"
    + _LOWER
    + r")[ ]{0,9}\])(?=[ \t:|\]-]|$)[ \t]{0,4}(?:[-|:][ \t]{0,4})?(?P<text>.*)"
)
# FastAPI's own command line, and rich where it does not repeat the time: the level stands in a column.
_COLUMN = re.compile(r" {2,24}(?P<level>" + _UPPER + r")(?: {2,10}|(?<=CRITICAL) )(?P<text>\S.*)")
# The logger's name, where it stands behind the level.
_AFTER_LEVEL = re.compile(r"\[[\w.:/-]{1,80}\][ \t]{1,4}(?:[-|:][ \t]{1,4})?|[A-Za-z_]\w{0,40}(?:\.\w{1,40}){0,8} [-|] ")
_LOGFMT = re.compile(r"(?:ts|time|t|timestamp|level|lvl)=")
_LOGFMT_PAIR = re.compile(r"([A-Za-z_][\w.]{0,40})=(\"(?:[^\"\\]|\\.){0,4000}\"|[^\s\"]{0,1000})")
_LOGURU_PLACE = re.compile(r"[\w.<>]{1,120}:[\w.<>]{1,80}:\d{1,6} - ")

_TRACEBACK = "Traceback (most recent call last):"
_FRAME = re.compile(r"\s{1,40}File \"([^\"]{1,500})\", line \d{1,9}(?:, in (\S{1,120}))?")
# rich puts the frames into a box, and the exception below it; loguru marks the frame in which it was caught.
_BOX_TOP = re.compile(r"\u256d[\u2500 ]{1,200}Traceback \(most recent call last\)")
_BOX_FRAME = re.compile(r"\u2502 (?P<file>/[^\s:]{1,300}):\d{1,9} in (?P<function>\S{1,120})")
_CAUGHT = '> File "'
_LAST_LINE = re.compile(r"([A-Za-z_][\w.]{0,160})(?:: ?(.*))?$")
_LINKS = {
    "The above exception was the direct cause of the following exception:": "cause",
    "During handling of the above exception, another exception occurred:": "context",
    '"""': "cause",
}
_MORE = (
    "[SQL:",
    "[parameters:",
    "[cached since",
    "(Background on this error",
    "LINE ",
    "DETAIL:  ",
    "HINT:  ",
    "CONTEXT:  ",
    "connection to server ",
    "- host: ",
    "Multiple connection",
)
_FIELD = re.compile(r"[A-Za-z_][\w.\[\]-]{0,100}$")
_GROUP = re.compile(r"\s{0,40}\+ Exception Group Traceback \(most recent call last\):")
_GROUP_LINE = re.compile(r"\s{0,40}[|+][ -]?")

_MESSAGE_KEYS = ("message", "event", "msg", "log", "text", "body", "short_message")
_LEVEL_KEYS = ("level", "levelname", "severity", "log_level", "lvl", "level_name", "loglevel", "log.level", "error_severity", "severity_text", "@level")
_TRACE_KEYS = ("exception", "exc_info", "exc_text", "traceback", "stack_trace", "stacktrace", "stack", "stack_info", "error.stack_trace", "exc", "err", "error")
_ERROR_KEYS = ("error", "err", "exc", "reason", "cause", "exception", "error_message", "error.message", "exc_value", "exception_message", "exc_info")
_TYPE_KEYS = ("error_type", "exc_type", "exception_type", "error.type", "exception_class", "error_class")


class Reader:
    """Reads lines once. lines, unparsed, first and last tell of what went by; levels counts events."""

    def __init__(self) -> None:
        self.lines = 0
        self.unparsed = 0
        self.first: float | None = None
        self.last: float | None = None
        self.levels: dict[str, int] = {}
        self._second = ("", 0)
        self._timed = False

    def events(self, lines: Iterable[str]) -> Iterator[Event]:
        """The events in the order of their first lines."""
        now: Event | None = None
        trace: Traceback | None = None
        at = 0.0
        for raw in lines:
            self.lines += 1
            stamp, line = self._split(raw)
            if stamp:
                at = stamp
                if self.first is None or at < self.first:
                    self.first = at
                if self.last is None or at > self.last:
                    self.last = at
            if trace is not None:
                if trace.feed(line):
                    continue
                trace = None
            if not line.strip():
                continue
            start = line.startswith((_TRACEBACK, '  File "')) or (line[0] in " +" and _GROUP.match(line) is not None) or _BOX_TOP.match(line) is not None
            if start:
                if now is None or now.raised or now.level in (DEBUG, NOTE) or now.form in ("access", "postgres", "redis", "nginx"):
                    if now is not None:
                        yield self._count(now)
                    now = Event(at, "bare", None, "")
                trace = Traceback(now.raised)
                trace.feed(line)
                continue
            event = parse_line(line, at)
            if event is not None and line.startswith("FATAL") and self._timed:
                # A program that puts the time before its lines does not begin one with a server's word: it is quoted, behind a line break.
                continue
            if event is not None:
                self._timed = self._timed or (event.form == "python" and line[0] in "[0123456789")
                if now is not None:
                    yield self._count(now)
                now = event
                if event.message.startswith(_TRACEBACK):
                    trace = Traceback(event.raised)
                    trace.feed(event.message)
                    event.message = ""
                continue
            if line[0] in " \t" and now is not None:
                continue
            if now is not None and not now.message and now.form not in ("bare", "postgres"):
                # The message began with a line break.
                now.message = line
                continue
            self.unparsed += 1
            if now is not None:
                yield self._count(now)
            now = Event(at, "bare", None, line)
        if now is not None:
            yield self._count(now)

    def _count(self, event: Event) -> Event:
        level = event.level if event.level is not None else (ERROR if event.raised else None)
        if level is not None:
            name = LEVEL_NAMES[level]
            self.levels[name] = self.levels.get(name, 0) + 1
        return event

    def _split(self, raw: str) -> tuple[float, str]:
        """(UNIX time or 0, the application's own line), capped and without terminal codes."""
        line = raw[: MOST_JSON + 40]
        at = 0.0
        match = _STAMP.match(line)
        if match:
            key = line[:19]
            if key != self._second[0]:
                year, month, day, hour, minute, second = (int(part) for part in match.group(1, 2, 3, 4, 5, 6))
                try:
                    self._second = (key, calendar.timegm((year, month, day, hour, minute, second, 0, 0, 0)))
                except ValueError:
                    self._second = (key, 0)
            at = self._second[1] + float(match.group(7) or 0)
            if match.group(8) and self._second[1]:
                offset = int(match.group(9)) * 3600 + int(match.group(10)) * 60
                at += -offset if match.group(8) == "+" else offset
            line = line[match.end() :]
        if not line.startswith("{"):
            line = line[:MOST_LENGTH]
        elif len(line) > 16000:
            # Docker cuts long lines into pieces of 16 KiB and puts the time before each.
            line = _PIECE.sub("", line)
        line = line.rstrip("\r\n")
        if "\x1b" in line:
            line = _ANSI.sub("", line)
        if not line.isprintable():
            line = _CONTROL.sub("", line)
        return at, line


class Traceback:
    """Python's traceback, line by line, into a list of Raised; chained, grouped and with messages of several lines."""

    def __init__(self, raised: list[Raised]) -> None:
        self.raised = raised
        self._frames: list[tuple[str, str, str]] = []
        self._link = ""
        self._state = "before"
        self._group = False
        self._sql = 0
        self._lines = 0

    def feed(self, line: str) -> bool:
        """Whether this line belongs to the traceback."""
        self._lines += 1
        if self._lines > MOST_TRACEBACK_LINES:
            return False
        if _GROUP.match(line):
            self._group = True
            return self._begin()
        if self._group:
            match = _GROUP_LINE.match(line)
            if not match:
                if self._state == "message" and (line in _LINKS or not line.strip()):
                    self._link = _LINKS.get(line, self._link)
                    return True
                if self._link and line.startswith(_TRACEBACK):
                    self._group = False
                    return self._begin()
                return False
            line = line[match.end() :]
            if line.startswith(("--", "+-", "+")):
                self._link = "cause"
                return True
        if line.startswith(_TRACEBACK) or _BOX_TOP.match(line):
            if self._state == "message" and not self._link:
                return False
            return self._begin()
        if self._state == "before":
            self._begin()
        return self._frame(line) if self._state == "frames" else self._message(line)

    def _begin(self) -> bool:
        self._state, self._frames, self._sql = "frames", [], 0
        return True

    def _frame(self, line: str) -> bool:
        if not line.strip():
            return True
        if line[0] in "\u2502\u2570":
            match = _BOX_FRAME.match(line)
            if match:
                self._frames = [*self._frames, (match.group("file"), match.group("function"), "")][-MOST_FRAMES:]
            return True
        if line.startswith(_CAUGHT):
            line = "  " + line[2:]
        if line[0] in " \t":
            match = _FRAME.match(line)
            if match:
                if len(self._frames) >= MOST_FRAMES:
                    del self._frames[0]
                self._frames.append((match.group(1), match.group(2) or "<module>", ""))
            elif self._frames and not self._frames[-1][2]:
                self._frames[-1] = (*self._frames[-1][:2], line.strip()[:200])
            return True
        match = _LAST_LINE.match(line)
        if not match:
            return False
        self.raised.append(Raised(match.group(1), (match.group(2) or "").strip(), self._frames, self._link))
        if len(self.raised) > 12:
            del self.raised[1]
        self._state, self._link = "message", ""
        return True

    def _message(self, line: str) -> bool:
        last = self.raised[-1]
        if not line.strip():
            return True
        if self._sql and parse_line(line, 0.0) is None:
            self._sql = 0 if line.endswith("]") else self._sql - 1
            return True
        if line in _LINKS:
            self._link = _LINKS[line]
            return True
        if line.startswith(_MORE):
            if line.startswith("[SQL:") and not line.endswith("]"):
                self._sql = 80
            elif line.startswith(("connection to server ", "- host: ")):
                self._append(last, line)
            return True
        if line[0] in " \t" and not _COLUMN.match(line):
            self._append(last, line)
            return True
        if last.type.endswith("ValidationError") and _FIELD.match(line):
            self._append(last, line)
            return True
        return False

    @staticmethod
    def _append(last: Raised, line: str) -> None:
        if len(last.text) < 4000:
            last.text += "\n" + line


def parse_traceback(text: str) -> tuple[str, list[Raised]]:
    """(what stands before the traceback, the chain) of a text that holds one; ("…", []) when it holds none."""
    head, found, tail = text.partition(_TRACEBACK)
    if not found:
        return text, []
    raised: list[Raised] = []
    trace = Traceback(raised)
    for line in (found + tail)[:65536].split("\n"):
        if not trace.feed(line[:MOST_LENGTH]):
            break
    return head.strip(), raised


def parse_line(line: str, at: float) -> Event | None:
    """The event that begins with this line, None when its format is not known."""
    first = line[0]
    if first == "{":
        return _parse_json(line, at)
    if first == "[":
        match = _CELERY.match(line)
        if match:
            return Event(at, "celery", _level(match.group("level")), match.group("text"))
        match = _GUNICORN.match(line)
        if match:
            return Event(at, "gunicorn", _level(match.group("level")), match.group("text"))
    elif first.isdigit():
        if line[4:5] == "-":
            match = _POSTGRES.match(line)
            if match:
                return Event(at, "postgres", _postgres_level(match.group("level")), _postgres_text(match.group("level"), match.group("text")))
        elif line[4:5] == "/":
            match = _NGINX.match(line)
            if match:
                return Event(at, "nginx", _level(match.group("level")), match.group("text"))
        match = _REDIS.match(line)
        if match:
            return Event(at, "redis", {"#": WARN, "*": NOTE}.get(match.group("level"), DEBUG), match.group("text"))
        if _ACCESS.match(line):
            return Event(at, "access", NOTE, line)
    if first.isdigit() or first == "[":
        match = _TIME_FIRST.match(line)
        if match:
            rest = _AFTER_TIME.match(match.group("rest"))
            if rest:
                return Event(at, "python", _level(rest.group("level") or rest.group("boxed")), _without_logger(rest.group("text")))
            return None
    match = _LEVEL_FIRST.match(line)
    if match:
        form = "uvicorn" if match.group("level") and match.group("after").startswith(":") else "python"
        level = _level(match.group("level") or match.group("boxed"))
        if level == NOTE and _ACCESS.match(match.group("text")):
            form = "access"
        return Event(at, form, level, _without_logger(match.group("text")) if form == "python" else match.group("text"))
    if _LOGFMT.match(line):
        pairs = {key.lower(): value for key, value in _LOGFMT_PAIR.findall(line[:4096])}
        return _from_fields({key: value.strip('"').replace('\\"', '"') for key, value in pairs.items()}, at)
    if _ACCESS.match(line):
        return Event(at, "access", NOTE, line)
    match = _COLUMN.match(line) if first == " " else None
    if match:
        form = "access" if _ACCESS.match(match.group("text")) else "python"
        return Event(at, form, _level(match.group("level")), match.group("text"))
    return None


def _without_logger(text: str) -> str:
    match = _LOGURU_PLACE.match(text) or _AFTER_LEVEL.match(text)
    return text[match.end() :] if match else text


def _level(word: Any) -> int | None:
    if isinstance(word, bool):
        return None
    if isinstance(word, (int, float)):
        return min(FATAL, max(DEBUG, int(word) // 10 * 10))
    return _LEVELS.get(word.strip().lower()) if isinstance(word, str) else None


def _postgres_level(word: str) -> int | None:
    return {
        "ERROR": ERROR,
        "FATAL": ERROR,
        "PANIC": FATAL,
        "WARNING": WARN,
        "DETAIL": DEBUG,
        "HINT": DEBUG,
        "STATEMENT": DEBUG,
        "CONTEXT": DEBUG,
        "QUERY": DEBUG,
    }.get(word, NOTE)


def _postgres_text(word: str, text: str) -> str:
    """The word stays with what a judgement needs it for; the statement of a client is nobody's business."""
    if word in ("STATEMENT", "QUERY", "CONTEXT", "HINT"):
        return ""
    return "%s:  %s" % (word, text)


def _parse_json(line: str, at: float) -> Event | None:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        document = _salvage(line) if len(line) > 4000 else None
    if not isinstance(document, dict) or not document:
        return None
    record = document.get("record")
    if isinstance(record, dict) and isinstance(record.get("level"), dict):
        return _from_loguru(document, record, at)
    return _from_fields({str(key): value for key, value in document.items()}, at)


def _salvage(line: str) -> dict[str, Any]:
    """The pairs of a JSON line that was cut off. Strings are read whole, so none of their contents is taken for a key."""
    document: dict[str, Any] = {}
    for match in _PAIR.finditer(line):
        key, text, end, number = match.groups()
        if number is not None:
            document.setdefault(key, int(number))
            continue
        if not end:
            text = re.sub(r"\\(?:u[0-9a-fA-F]{0,3})?$", "", text)
        try:
            document.setdefault(key, json.loads('"%s"' % text, strict=False))
        except ValueError:
            continue
    return document


def _from_loguru(document: dict[str, Any], record: dict[str, Any], at: float) -> Event:
    event = Event(at, "json", _level(record["level"].get("name")) or _level(record["level"].get("no")), str(record.get("message") or "")[:MOST_LENGTH])
    text = document.get("text")
    exception = record.get("exception")
    if isinstance(exception, dict) and exception:
        if isinstance(text, str):
            event.raised = parse_traceback(text)[1]
        if not event.raised:
            event.raised = [Raised(str(exception.get("type") or "Exception")[:160], str(exception.get("value") or "")[:2000])]
    return event


def _from_fields(fields: dict[str, Any], at: float) -> Event | None:
    low = {key.lower(): value for key, value in fields.items()}
    for nested in ("log", "error"):
        if isinstance(low.get(nested), dict):
            low.update({"%s.%s" % (nested, key): value for key, value in low[nested].items()})
    level = next((level for level in (_level(low.get(key)) for key in _LEVEL_KEYS) if level), None)
    message = next((low[key] for key in _MESSAGE_KEYS if isinstance(low.get(key), str)), None)
    if level is None and message is None:
        return None
    event = Event(at, "json", level, (message or "")[:MOST_LENGTH])
    for key in _TRACE_KEYS:
        event.raised = _raised_of(low.get(key))
        if event.raised:
            break
    if not event.raised and (level or 0) >= ERROR and message and _TRACEBACK in message:
        event.message, event.raised = parse_traceback(message)
    kind = next((low[key] for key in _TYPE_KEYS if isinstance(low.get(key), str)), "")
    for key in _ERROR_KEYS:
        if isinstance(low.get(key), str) and _TRACEBACK not in low[key]:
            event.fields.append(low[key][:2000])
    if not event.raised and kind and event.fields and _LAST_LINE.match(kind):
        event.raised = [Raised(kind[:160], event.fields[0])]
    return event


def _raised_of(value: Any) -> list[Raised]:
    """The exceptions in a field made for one: a traceback as a text, or structlog's list of dictionaries."""
    if isinstance(value, str) and _TRACEBACK in value:
        return parse_traceback(value)[1]
    if isinstance(value, list) and value and all(isinstance(some, str) for some in value):
        return parse_traceback("\n".join(value)[:65536])[1]
    raised = []
    if isinstance(value, list):
        for some in value[:12]:
            if isinstance(some, dict) and isinstance(some.get("exc_type"), str):
                frames = [
                    (str(frame.get("filename", "")), str(frame.get("name", "")), str(frame.get("line", "")))
                    for frame in (some.get("frames") or [])[-MOST_FRAMES:]
                    if isinstance(frame, dict)
                ]
                raised.append(Raised(some["exc_type"][:160], str(some.get("exc_value") or "")[:2000], frames))
        raised.reverse()
    elif isinstance(value, dict) and isinstance(value.get("type") or value.get("class") or value.get("exc_type"), str):
        text = value.get("message") or value.get("value") or value.get("exc_value") or ""
        raised = _raised_of(value.get("stacktrace") or value.get("traceback") or value.get("stack")) or [
            Raised(str(value.get("type") or value.get("class") or value.get("exc_type"))[:160], str(text)[:2000])
        ]
    return raised
