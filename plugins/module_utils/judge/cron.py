# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When a cron schedule was due last: five fields, names, steps and the usual words, in a time zone. Pure."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

try:
    import zoneinfo
except ImportError:  # a Python without it, or without its data, reads UTC only
    zoneinfo = None  # type: ignore[assignment]

WORDS = {"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0", "@daily": "0 0 * * *", "@midnight": "0 0 * * *"}
WORDS["@hourly"] = "0 * * * *"
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()
# Beyond so many days nothing is looked for: 29 February comes once in eight years at worst.
FARTHEST_DAYS = 366 * 8 + 1


@dataclass(frozen=True)
class Schedule:
    """The values that each field allows; any: whether day of month and day of week are both free or one of them rules alone."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool
    zone: datetime.tzinfo

    def last_before(self, time: float) -> float | None:
        """The UNIX time of the last start that was due at or before a time; None where there was none for years."""
        now = datetime.datetime.fromtimestamp(time, self.zone)
        day = now.date()
        for _step in range(FARTHEST_DAYS):
            if self._on(day):
                for hour in sorted(self.hours, reverse=True):
                    for minute in sorted(self.minutes, reverse=True):
                        due = datetime.datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
                        if due <= now:
                            return due.timestamp()
            day -= datetime.timedelta(days=1)
        return None

    def _on(self, day: datetime.date) -> bool:
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, (day.isoweekday() % 7) in self.weekdays
        # Where both are given, either will do: that is cron's own rule.
        return by_month and by_week if self.any_day or self.any_weekday else by_month or by_week


def read_schedule(text: str, zone: str = "") -> Schedule | str:
    """A cron schedule; the reason, in words, where it cannot be read."""
    prefix = re.match(r"(?:CRON_)?TZ=(\S+)\s+", text)
    if prefix:
        zone, text = prefix.group(1), text[prefix.end() :]
    words = WORDS.get(text.strip(), text).split()
    if len(words) != len(BOUNDS):
        return "it has %d fields" % len(words)
    where = read_zone(zone)
    if where is None:
        return "the time zone %s is not known here" % zone
    fields = []
    for place, word in enumerate(words):
        values = read_field(word, *BOUNDS[place], names={3: MONTHS, 4: DAYS}.get(place))
        if not values:
            return "the field %s" % word
        fields.append(values)
    weekdays = frozenset(value % 7 for value in fields[4])
    any_day, any_weekday = words[2][0] in "*?", words[4][0] in "*?"
    return Schedule(fields[0], fields[1], fields[2], fields[3], weekdays, any_day, any_weekday, where)


def read_zone(name: str) -> datetime.tzinfo | None:
    if name in ("", "UTC", "Etc/UTC", "GMT"):
        return datetime.timezone.utc
    try:
        return zoneinfo.ZoneInfo(name) if zoneinfo else None
    except (KeyError, ValueError, OSError):
        return None


def read_field(word: str, low: int, high: int, names: list[str] | None = None) -> frozenset[int]:
    """The values of one field; an empty set where it cannot be read."""
    found: set[int] = set()
    for part in word.lower().split(","):
        span, _slash, step = part.partition("/")
        if step and not (step.isdigit() and int(step)):
            return frozenset()
        if span in ("*", "?"):
            first, last = low, high
        else:
            begin, dash, end = span.partition("-")
            start, stop = _number(begin, names, low), _number(end, names, low) if dash else None
            if start is None or (dash and stop is None):
                return frozenset()
            first, last = start, stop if stop is not None else high if step else start
        if first < low or last > high or first > last:
            return frozenset()
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, names: list[str] | None, low: int) -> int | None:
    if text.isdigit():
        return int(text)
    return names.index(text) + (1 if low else 0) if names and text in names else None
