"""Dates, times and durations of iCalendar as instants. Pure; called by `ical_mapping` and `ical_expand`.

Value types follow RFC 5545 section 3.3. Wall-clock times that do not exist are read with the offset before
the change, those that exist twice as the first, as the RFC says.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from providers.calendars.ical_lines import EventLines, Line
from providers.calendars.ical_zones import ZoneBook, ZoneReading

LAST_INSTANT = datetime(9999, 12, 30, tzinfo=UTC)
_MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z)?)?")
_DURATION = re.compile(r"([+-]?)P(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?")
_UTC_READING = ZoneReading(UTC)


class Unreadable(ValueError):
    """A date or time that says nothing. Stays inside the iCalendar mapping."""


class Moment(NamedTuple):
    """A date or a time as the object has it: on the wall, in a zone. `wall` is midnight for an all-day value."""

    wall: datetime
    reading: ZoneReading
    is_all_day: bool = False

    @property
    def zone(self) -> tzinfo:
        return self.reading.zone

    def at(self) -> datetime:
        """The instant, in UTC. Raises OverflowError at the ends of time."""
        if self.reading is _UTC_READING:
            return self.wall.replace(tzinfo=UTC)
        return self.wall.replace(tzinfo=self.reading.zone).astimezone(UTC)


class EventTimes(NamedTuple):
    """When one VEVENT (the first of a series) takes place. `length` is measured on the wall clock."""

    start: Moment
    start_at: datetime
    end_at: datetime
    length: timedelta
    problems: tuple[str, ...] = ()


def read_moment(line: Line, book: ZoneBook) -> Moment:
    """A DATE or DATE-TIME property. Raises Unreadable."""
    tzid = line.parameter("TZID")
    rest, _, value = line.value.strip().rpartition(":")
    # A zone's name with a colon in it belongs in quotes, and often has none: the date is what comes last.
    return moment_of(value, f"{tzid}:{rest}" if rest else tzid, book)


def moment_of(value: str, tzid: str | None, book: ZoneBook) -> Moment:
    """One DATE or DATE-TIME value; the shape of the value decides, for VALUE= is often wrong. Raises
    Unreadable."""
    match = _MOMENT.fullmatch(value)
    if match is None:
        raise Unreadable(f"“{value[:40]}” is no date.")
    year, month, day, hour, minute, second, zulu = match.groups()
    try:
        if hour is None:
            return Moment(datetime(int(year), int(month), int(day)), ZoneReading(book.default), True)  # noqa: DTZ001
        # A leap second is the one second 60 there is; Python knows none.
        wall = datetime(int(year), int(month), int(day), int(hour), int(minute), min(int(second), 59))  # noqa: DTZ001
    except ValueError as error:
        raise Unreadable(f"“{value[:40]}” is no date.") from error
    if zulu:
        return Moment(wall, _UTC_READING)
    return Moment(wall, book.read(tzid) if tzid else book.floating())


def read_times(event: EventLines, book: ZoneBook) -> EventTimes:
    """Start and end of one VEVENT. Raises Unreadable when there is no readable start.

    An end that cannot be read, or lies before the start, is mended and said to be so.
    """
    line = event.first("DTSTART")
    if line is None:
        raise Unreadable("It has no start.")
    start = read_moment(line, book)
    try:
        start_at = start.at()
    except OverflowError as error:
        raise Unreadable("Its start lies beyond all calendars.") from error
    problems = [start.reading.problem] if start.reading.problem else []
    end_at, length, doubt = _end(event, start, start_at, book)
    if doubt:
        problems.append(doubt)
    if end_at < start_at:
        problems.append("It ends before it starts: both ends were exchanged.")
        start_at, end_at, length = end_at, start_at, -length
        start = Moment(start.wall - length, start.reading, start.is_all_day)
    return EventTimes(start, start_at, end_at, length, tuple(problems))


def _end(
    event: EventLines, start: Moment, start_at: datetime, book: ZoneBook
) -> tuple[datetime, timedelta, str | None]:
    """(end, length on the wall clock, what was wrong)."""
    try:
        if (line := event.first("DTEND")) is not None:
            return _end_at(read_moment(line, book), start, start_at)
        if event.text("DURATION"):
            return _end_after(event.text("DURATION"), start)
    except Unreadable as error:
        doubt: str | None = f"Its end could not be read. {error}"
    except OverflowError:
        return LAST_INSTANT, LAST_INSTANT - start_at, "It ends beyond all calendars: all time after its start is taken."
    else:
        doubt = None
    if start.is_all_day:
        day = timedelta(days=1)
        return Moment(start.wall + day, start.reading, True).at(), day, doubt
    return start_at, timedelta(0), doubt


def _end_at(end: Moment, start: Moment, start_at: datetime) -> tuple[datetime, timedelta, str | None]:
    if start.is_all_day and end.is_all_day and end.wall == start.wall:
        # Some programs write the last day where the first day after belongs.
        end = Moment(end.wall + timedelta(days=1), end.reading, True)
    end_at = end.at()
    length = end.wall - start.wall if end.zone is start.zone else end_at - start_at
    return end_at, length, end.reading.problem if end.reading.problem != start.reading.problem else None


def _end_after(value: str, start: Moment) -> tuple[datetime, timedelta, str | None]:
    nominal, exact = read_duration(value)
    wall_end = Moment(start.wall + nominal, start.reading, start.is_all_day)
    return wall_end.at() + exact, nominal + exact, None


def read_duration(value: str) -> tuple[timedelta, timedelta]:
    """(days on the wall clock, exact time) of a DURATION. Raises Unreadable, OverflowError."""
    match = _DURATION.fullmatch(value.strip().upper())
    if match is None or value.strip().upper().endswith(("P", "T")):
        raise Unreadable(f"“{value[:40]}” is no duration.")
    sign = -1 if match[1] == "-" else 1
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[1:])
    return (
        sign * timedelta(weeks=weeks, days=days),
        sign * timedelta(hours=hours, minutes=minutes, seconds=seconds),
    )
