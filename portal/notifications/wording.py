"""Stretches of time and lists in the words of a mail. Pure. The zone is always named, with its offset, so a time that exists twice is clear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from babel import Locale

from portal import dates

TEXT_LANGUAGES = ("en",)
"""The languages of the texts under templates/mail. Dates follow them: a Spanish weekday in an English sentence helps nobody."""


@dataclass(frozen=True, slots=True)
class When:
    """A stretch of time as people of one zone say it."""

    day: str
    time: str
    zone: str
    short: str

    def __str__(self) -> str:
        return f"{self.day}, {self.time}, {self.zone}"


def locale_for(language: str) -> Locale:
    """The locale for dates in mails: that of the language when there are texts in it, else that of the texts there are."""
    locale = dates.locale_of(language)
    return locale if locale.language in TEXT_LANGUAGES else dates.locale_of(TEXT_LANGUAGES[0])


def when(start_at: datetime, end_at: datetime, *, zone: str, locale: Locale) -> When:
    """“Thursday 3 December 2026”, “10:30–11:00”, “Madrid time (UTC+1)”, and in short “Thu 3 Dec, 10:30”."""
    local = ZoneInfo(zone)
    start, end = start_at.astimezone(local), end_at.astimezone(local)
    has_change = start.utcoffset() != end.utcoffset()
    first, last = (_clock(at, locale, with_offset=has_change) for at in (start, end))
    if start.date() != (end - timedelta(microseconds=1)).date():
        last = f"{dates.day_and_month(end.date(), locale)}, {last}"
    return When(
        day=dates.long_date(start.date(), locale),
        time=f"{first}–{last}",
        zone=f"{dates.city(zone)} time" if has_change else dates.zone_in_words(zone, start_at),
        short=f"{dates.short_date(start.date(), locale)}, {dates.clock(start, locale)}",
    )


def instant(at: datetime, *, zone: str, locale: Locale) -> str:
    """“Thursday 3 December, 10:30, Madrid time (UTC+1)”."""
    local = at.astimezone(ZoneInfo(zone))
    words = (dates.day_and_month(local.date(), locale), dates.clock(local, locale), dates.zone_in_words(zone, at))
    return ", ".join(words)


def known_zone(*names: str) -> str:
    """The first of these that is a zone; UTC when none is."""
    return next((name for name in names if dates.is_zone(name)), "UTC")


def same_clock(zone: str, other: str, *, at: datetime) -> bool:
    """True when both zones show the same time at that instant."""
    return at.astimezone(ZoneInfo(zone)).utcoffset() == at.astimezone(ZoneInfo(other)).utcoffset()


def in_a_row(names: Sequence[str]) -> str:
    """“Ana”, “Ana and Ben”, “Ana, Ben and Cleo”."""
    *first, last = names or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _clock(local: datetime, locale: Locale, *, with_offset: bool) -> str:
    words = dates.clock(local, locale)
    return f"{words} ({dates.offset(local)})" if with_offset else words
