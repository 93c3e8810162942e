"""Times and lists in the words of a mail. Pure. The zone is always named, with its offset, so that a time that exists twice is clear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.dates import format_datetime

LANGUAGE = "en"
"""The language of the texts under templates/mail. Dates follow it: a Spanish weekday in an English sentence helps nobody."""


@dataclass(frozen=True, slots=True)
class When:
    """A stretch of time as people of one zone say it."""

    day: str
    time: str
    zone: str
    short: str

    def __str__(self) -> str:
        return f"{self.day}, {self.time}, {self.zone}"


def when(start_at: datetime, end_at: datetime, *, zone: str) -> When:
    """“Thursday 3 December 2026”, “10:30–11:00”, “Madrid time (UTC+1)”, and in short “Thu 3 Dec, 10:30”."""
    local = ZoneInfo(zone)
    start, end = start_at.astimezone(local), end_at.astimezone(local)
    changes = start.utcoffset() != end.utcoffset()
    first, last = _clock(start, with_offset=changes), _clock(end, with_offset=changes)
    if start.date() != (end - timedelta(microseconds=1)).date():
        last = f"{_say(end, 'EEEE d MMMM')}, {last}"
    return When(
        day=_say(start, "EEEE d MMMM y"),
        time=f"{first}–{last}",
        zone=f"{city(zone)} time" if changes else f"{city(zone)} time ({offset(start)})",
        short=_say(start, "EEE d MMM, HH:mm"),
    )


def instant(at: datetime, *, zone: str) -> str:
    """“Thursday 3 December, 10:30, Madrid time (UTC+1)”."""
    local = at.astimezone(ZoneInfo(zone))
    return f"{_say(local, 'EEEE d MMMM, HH:mm')}, {city(zone)} time ({offset(local)})"


def known_zone(*names: str) -> str:
    """The first of these that is a zone; UTC when none is."""
    for name in names:
        try:
            if name and ZoneInfo(name):
                return name
        except (ZoneInfoNotFoundError, ValueError, OSError):  # a name with odd characters raises any of these
            continue
    return "UTC"


def same_clock(zone: str, other: str, *, at: datetime) -> bool:
    """True when both zones show the same time at that instant."""
    return at.astimezone(ZoneInfo(zone)).utcoffset() == at.astimezone(ZoneInfo(other)).utcoffset()


def city(zone: str) -> str:
    """“Europe/Madrid” -> “Madrid”."""
    return zone.rpartition("/")[2].replace("_", " ")


def offset(local: datetime) -> str:
    """“UTC+1”, “UTC−3:30”, “UTC”."""
    minutes = int((local.utcoffset() or timedelta()).total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    if not minutes:
        return "UTC"
    return f"UTC{'+' if minutes > 0 else '−'}{hours}" + (f":{rest:02}" if rest else "")


def in_a_row(names: Sequence[str]) -> str:
    """“Ana”, “Ana and Ben”, “Ana, Ben and Cleo”."""
    *first, last = names or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _say(local: datetime, pattern: str) -> str:
    return str(format_datetime(local, pattern, tzinfo=local.tzinfo, locale=LANGUAGE))


def _clock(local: datetime, *, with_offset: bool) -> str:
    return f"{local:%H:%M} ({offset(local)})" if with_offset else f"{local:%H:%M}"
