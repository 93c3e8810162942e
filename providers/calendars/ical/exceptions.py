"""Dates that belong to a series (UNTIL, EXDATE, RDATE, RECURRENCE-ID), put onto its wall clock. Pure; called by `expand`.

They should be written as the start of the series is, and often are not: in UTC, in another zone, without one, as a day where the
series has times or as a time where it has days. What leaves open which day it means takes no occurrence away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from providers.calendars.ical.durations import Unreadable, read_duration
from providers.calendars.ical.lines import Line
from providers.calendars.ical.times import EventTimes, Moment, moment_of
from providers.calendars.ical.zones import ZoneBook

MAX_DATES = 2_000
"""EXDATEs and RDATEs near the window that are looked at. More EXDATEs leave time busy, never free."""

A_DAY = timedelta(days=1)
_NEAR_MIDNIGHT = timedelta(hours=3)


class SingleDate(NamedTuple):
    """A date of a series on its wall clock. `is_day`: it names the day alone, though the series has times."""

    wall: datetime
    is_day: bool = False
    length: timedelta | None = None


@dataclass(slots=True)
class SeriesClock:
    """The wall clock of a series, and how to read what is said in terms of it."""

    master: EventTimes
    book: ZoneBook
    problems: list[str] = field(default_factory=list)

    @property
    def zone(self) -> tzinfo:
        """That of the master's start."""
        return self.master.start.zone

    def last(self, value: str) -> datetime:
        """A UNTIL: the last moment at which an occurrence may begin. Raises Unreadable, OverflowError."""
        moment, start = self._moment(value, None), self.master.start
        if start.is_all_day:
            return max(_days_meant(moment, self.zone))
        if moment.is_all_day:
            return moment.wall + A_DAY - timedelta(seconds=1)
        last = self._on_clock(moment)
        if moment.zone is UTC and moment.wall.time() == self.master.start_at.time():
            # Written with the offset of the first occurrence, though clocks have changed since: the last one is meant too.
            last = max(last, datetime.combine(last.date(), start.wall.time()))
        return last

    def single(self, value: str, tzid: str | None, *, frees: bool) -> list[SingleDate]:
        """An EXDATE, RDATE or RECURRENCE-ID. Where two days may be meant, one that frees time frees none. Raises Unreadable,
        OverflowError.
        """
        start_text, _, end_text = value.partition("/")
        moment = self._moment(start_text, tzid)
        if self.master.start.is_all_day:
            days = _days_meant(moment, self.zone)
            if frees and len(days) > 1:
                raise Unreadable("It does not say which day it means.")
            return [SingleDate(day, length=self._length(end_text, tzid, day)) for day in days]
        if moment.is_all_day and end_text:
            return [SingleDate(moment.wall, length=self._length(end_text, tzid, moment.wall))]
        if moment.is_all_day:
            return [SingleDate(datetime.combine(moment.wall.date(), self.master.start.wall.time()), True)]
        wall = self._on_clock(moment)
        return [SingleDate(wall, length=self._length(end_text, tzid, wall))]

    def near(self, lines: list[Line], clock: tuple[datetime, datetime], *, frees: bool) -> list[SingleDate]:
        """EXDATE or RDATE values near a stretch of the wall clock, at most MAX_DATES. What cannot be read is noted."""
        first, last = (f"{clock[0] - A_DAY:%Y%m%d}", f"{clock[1] + A_DAY:%Y%m%d}")
        near = [
            (value, tzid)
            for values, tzid in map(Line.dated, lines)
            for value in map(str.strip, values.split(","))
            if value and (first <= (day := _digits(value)) <= last or not day.isdigit())
        ]
        if len(near) > MAX_DATES:
            self.problems.append(f"It names more than {MAX_DATES:,} single dates: not all of them were read.")
        found: list[SingleDate] = []
        for value, tzid in near[:MAX_DATES]:
            try:
                found += self.single(value, tzid, frees=frees)
            except (Unreadable, OverflowError):
                self.problems.append("One of its single dates could not be read.")
        return found

    def _moment(self, value: str, tzid: str | None) -> Moment:
        # Without a zone it goes by the clock of the series.
        return moment_of(value, tzid, self.book, self.master.start.reading)

    def _on_clock(self, moment: Moment) -> datetime:
        return moment.wall if moment.is_all_day or moment.zone is self.zone else on_wall(moment.at(), self.zone)

    def _length(self, text: str, tzid: str | None, start: datetime) -> timedelta | None:
        """The own length of a PERIOD, by its end or its duration."""
        if not text:
            return None
        if text.strip().upper().startswith(("P", "+P", "-P")):
            return sum(read_duration(text), timedelta(0))
        length = self._on_clock(self._moment(text, tzid)) - start
        return length if length > timedelta(0) else None


def on_wall(at: datetime, zone: tzinfo) -> datetime:
    """An instant on the wall clock of a zone, without it."""
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def _digits(value: str) -> str:
    """The day of a date, as eight digits where it can be seen at once."""
    return value[:8] if "-" not in value[:8] else value.replace("-", "")[:8]


def _days_meant(moment: Moment, zone: tzinfo) -> list[datetime]:
    """Which whole day a moment means (its midnight); two of them when that is left open, the earlier first.

    An instant in UTC is usually the local midnight of a day, or its midnight in UTC. One that lies close to a local midnight
    is likely to be the midnight of another zone.
    """
    if moment.is_all_day:
        return [_midnight(moment.wall)]
    local = on_wall(moment.at(), zone)
    if moment.zone is not UTC:
        # The midnight of a zone that is named is that of the day; any other time of it may as well mean the day that it falls on here.
        days = {_midnight(moment.wall), *([_midnight(local)] if moment.wall.time() != time() else [])}
        return sorted(days)
    if local.time() != time() and moment.wall.time() == time():
        return [_midnight(moment.wall)]
    since = local - _midnight(local)
    if timedelta(0) < since <= _NEAR_MIDNIGHT:
        return [_midnight(local) - A_DAY, _midnight(local)]
    # The last minute of a day is its end.
    if A_DAY - _NEAR_MIDNIGHT <= since < A_DAY - timedelta(minutes=1):
        return [_midnight(local), _midnight(local) + A_DAY]
    return [_midnight(local)]


def _midnight(wall: datetime) -> datetime:
    return datetime.combine(wall.date(), time())
