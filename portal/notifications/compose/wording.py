"""Stretches of time and lists in the words of a mail, in the language that `portal.language.say.speaking` has set. Pure.

The zone is always named, with its offset, so a time that exists twice is clear. Dates follow the language of the sentences around them: a
Spanish weekday in an English sentence helps nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from babel import Locale

from portal.language import dates
from portal.language.say import LANGUAGES, say


@dataclass(frozen=True, slots=True)
class When:
    """A stretch of time as people of one zone say it."""

    day: str
    time: str
    zone: str
    short: str

    def __str__(self) -> str:
        return f"{self.day}, {self.clock}"

    @property
    def clock(self) -> str:
        """“10:30–11:00, Madrid time (UTC+1)”"""
        return f"{self.time}, {self.zone}"


def tag_for(*tags: str) -> str:
    """The first of these language tags ("es-MX", "hu") in which the portal can write; English when there is none."""
    return next((tag for tag in tags if _language(tag) in LANGUAGES), "en")


def locale_for(*tags: str, zone: str) -> Locale:
    """The locale for dates in a mail: the habits of the reader's country, where the tag names one that is known, else of the business's,
    which lies in `zone`."""
    tag, country = tag_for(*tags), dates.country_of(zone)
    locale = dates.locale_of(tag, country)
    return locale if locale.language == _language(tag) else dates.locale_of(_language(tag), country)


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
        zone=_zone(zone, start_at, has_change=has_change),
        short=f"{dates.short_date(start.date(), locale)}, {dates.clock(start, locale)}",
    )


def instant(at: datetime, *, zone: str, locale: Locale) -> str:
    """“Thursday 3 December, 10:30, Madrid time (UTC+1)”."""
    local = at.astimezone(ZoneInfo(zone))
    words = (dates.day_and_month(local.date(), locale), dates.clock(local, locale), _zone(zone, at))
    return ", ".join(words)


def known_zone(*names: str) -> str:
    """The first of these that is a zone; UTC when none is."""
    return next((name for name in names if dates.is_zone(name)), "UTC")


def same_clock(zone: str, other: str, *, at: datetime) -> bool:
    """True when both zones show the same time at that instant."""
    return at.astimezone(ZoneInfo(zone)).utcoffset() == at.astimezone(ZoneInfo(other)).utcoffset()


def _zone(name: str, at: datetime, *, has_change: bool = False) -> str:
    """As it stands behind a comma: small, unless it begins with the place itself. Without its offset where that changes meanwhile."""
    place = dates.city(name)
    words = say("%(place)s time", place=place) if has_change else dates.zone_in_words(name, at)
    return words if words.startswith(place) else words[0].lower() + words[1:]


def _language(tag: str) -> str:
    return tag.replace("_", "-").partition("-")[0].lower()


def _clock(local: datetime, locale: Locale, *, with_offset: bool) -> str:
    words = dates.clock(local, locale)
    return f"{words} ({dates.offset(local)})" if with_offset else words
