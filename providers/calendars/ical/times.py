"""Dates, times and durations of iCalendar as instants. Pure; called by `mapping` and `expand`.

Value types follow RFC 5545 section 3.3, and other spellings are read as well as they can be. Wall-clock times that do not
exist are read with the offset before the change, those that exist twice as the first, as the RFC says.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple, TypeAlias

from providers.calendars.ical.durations import Unreadable, is_sound, read_duration
from providers.calendars.ical.lines import EventLines, Line
from providers.calendars.ical.zones import ZoneBook, ZoneReading, zone_name

LAST_INSTANT = datetime(9999, 12, 30, tzinfo=UTC)
_MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z)?)?")
_ODD_MOMENT = re.compile(
    r"(\d{4})([-/.]?)(\d\d)\2(\d\d)(?:[T ]*(\d\d):?(\d\d)(?::?(\d\d)(?:[.,]\d*)?)? ?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?)?T?Z?"
)
_MIDNIGHT = re.compile(r"(\d{4}-?\d\d-?\d\d)[T ]00:?00:?00Z?", re.IGNORECASE)
_UTC_READING = ZoneReading(UTC)
_A_DAY = timedelta(days=1)
_NIGHT = timedelta(hours=12)
_MAX_ENDS = 20


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
    value, tzid = line.dated()
    if len(value) > 8 and (line.parameter("VALUE") or "").upper() == "DATE" and (day := _MIDNIGHT.fullmatch(value)):
        # A day is announced, and its midnight written.
        value = day[1]
    return moment_of(value, tzid, book)


def moment_of(value: str, tzid: str | None, book: ZoneBook, floating: ZoneReading | None = None) -> Moment:
    """One DATE or DATE-TIME value; the shape of the value decides, for VALUE= is often wrong. `floating` is the zone of a time that
    names none, where another time tells it. Raises Unreadable.
    """
    match = _MOMENT.fullmatch(value)
    if match is None:
        return _odd_moment(value, tzid, book, floating)
    year, month, day, hour, minute, second, zulu = match.groups()
    if hour is None:
        return Moment(_wall(value, year, month, day), book.of_whole_days(), True)
    wall = _wall(value, year, month, day, hour, minute, second)
    if zulu:
        return Moment(wall, book.in_utc(tzid) if tzid else _UTC_READING)
    return Moment(wall, book.read(tzid) if tzid else floating or book.floating())


def _odd_moment(value: str, tzid: str | None, book: ZoneBook, floating: ZoneReading | None) -> Moment:
    """The other spellings of ISO 8601, and blanks and small letters."""
    match = _ODD_MOMENT.fullmatch(value.strip().upper())
    if match is None:
        raise Unreadable(f"“{value[:40]}” is no date.")
    year, _, month, day, hour, minute, second, suffix = match.groups()
    plain = f"{year}{month}{day}" + (f"T{hour}{minute}{second or '00'}" if hour else "")
    if suffix in (None, "Z", "UTC", "GMT"):
        return moment_of(f"{plain}Z" if suffix else plain, tzid, book, floating)
    offset = timedelta(hours=int(suffix[1:3]), minutes=int(suffix[3:].lstrip(":") or 0))
    if offset >= _A_DAY:
        raise Unreadable(f"“{value[:40]}” is no date.")
    wall = _wall(value, year, month, day, hour, minute, second or "0")
    return Moment(wall, ZoneReading(timezone(-offset if suffix[0] == "-" else offset)))


def _wall(
    value: str, year: str, month: str, day: str, hour: str = "0", minute: str = "0", second: str = "0"
) -> datetime:
    try:
        if hour == "24" and int(minute) == int(second) == 0:
            return datetime(int(year), int(month), int(day)) + _A_DAY  # noqa: DTZ001
        # A leap second is the one second 60 there is; Python knows none.
        return datetime(int(year), int(month), int(day), int(hour), int(minute), min(int(second), 59))  # noqa: DTZ001
    except (ValueError, OverflowError) as error:
        raise Unreadable(f"“{value[:40]}” is no date.") from error


def read_times(event: EventLines, book: ZoneBook) -> EventTimes:
    """Start and end of one VEVENT. Raises Unreadable when there is no readable start.

    An end that cannot be read, or lies before the start, is mended and said to be so.
    """
    line = event.first("DTSTART")
    if line is None:
        raise Unreadable("It has no start.")
    start = _start(event, line, book)
    try:
        start_at = start.at()
    except OverflowError as error:
        raise Unreadable("Its start lies beyond all calendars.") from error
    problems = [start.reading.problem] if start.reading.problem else []
    end_at, length, doubts = _end(event, start, start_at, book)
    problems.extend(doubts)
    if end_at < start_at:
        return _turned_round(start, start_at, end_at, length, problems)
    return EventTimes(start, start_at, end_at, length, tuple(problems))


def _start(event: EventLines, line: Line, book: ZoneBook) -> Moment:
    """The start. One that names no zone goes by the zone of the end, where that leads to an earlier time."""
    start = read_moment(line, book)
    if not start.reading.is_floating or (end_line := event.first("DTEND")) is None:
        return start
    try:
        end = read_moment(end_line, book)
        told = start._replace(reading=end.reading._replace(problem=f"{_NO_ZONE} {zone_name(end.zone)}."))
        return start if end.reading.is_floating or end.is_all_day or start.at() <= told.at() else told
    except (Unreadable, OverflowError):
        return start


_NO_ZONE = "Its start names no time zone: it was read in"
_End: TypeAlias = tuple[datetime, timedelta, list[str]]
"""End, length on the wall clock, what was wrong."""


def _end(event: EventLines, start: Moment, start_at: datetime, book: ZoneBook) -> _End:
    """By DTEND or DURATION, whichever is readable; where both are there, which should not be, by the later one."""
    ends: list[_End] = []
    doubts: list[str] = []
    for name, read in (("DTEND", _end_at), ("DURATION", _end_after)):
        for line in event.get(name, [])[:_MAX_ENDS]:
            try:
                ends.append(read(line, start, start_at, book))
            except Unreadable as error:
                doubts.append(f"Its end could not be read. {error}")
            except OverflowError:
                doubt = "It ends beyond all calendars: all time after its start is taken."
                return LAST_INSTANT, LAST_INSTANT - start_at, [doubt]
    if not ends and (other := _second_start(event, start, start_at, book)) is not None:
        return other
    if ends:
        end_at, length, told = max(ends, key=lambda end: end[0])
        return _a_day_at_least(start, start_at, end_at, length, told)
    if start.is_all_day:
        return Moment(start.wall + _A_DAY, start.reading, True).at(), _A_DAY, doubts
    if doubts:
        length = rest_of_day(start_at, book.default)
        return start_at + length, length, [*doubts, "All of its day from its start on is taken."]
    return start_at, timedelta(0), []


def _second_start(event: EventLines, start: Moment, start_at: datetime, book: ZoneBook) -> _End | None:
    """The later of two starts, which is likely to be an end under a wrong name."""
    ends: list[_End] = []
    for line in event["DTSTART"][1:_MAX_ENDS]:
        with suppress(Unreadable, OverflowError):
            ends.append(_end_at(line, start, start_at, book))
    end_at, length, doubts = max(ends, key=lambda end: end[0], default=(start_at, timedelta(0), []))
    if end_at <= start_at:
        return None
    return end_at, length, [*doubts, "It has two starts and no end: the later one was taken for its end."]


def _end_at(line: Line, start: Moment, start_at: datetime, book: ZoneBook) -> _End:
    value, tzid = line.dated()
    # Without a zone, an end goes by the clock of its start.
    end = moment_of(value, tzid, book, start.reading)
    doubts = [end.reading.problem] if end.reading.problem and end.reading.problem != start.reading.problem else []
    if end.is_all_day and (not start.is_all_day or end.wall == start.wall):
        # Some programs write the last day where the first day after belongs.
        is_last_day = end.wall <= start.wall
        end = Moment(end.wall + _A_DAY if is_last_day else end.wall, start.reading, True)
        if not start.is_all_day:
            doubts.append("It begins at a time and ends with a day: all of its last day counts.")
    end_at = end.at()
    length = end.wall - start.wall if end.zone is start.zone else end_at - start_at
    return end_at, length, doubts


def _end_after(line: Line, start: Moment, start_at: datetime, book: ZoneBook) -> _End:
    nominal, exact = read_duration(line.value)
    wall_end = Moment(start.wall + nominal, start.reading, start.is_all_day)
    end_at = wall_end.at() + exact
    doubt = f"Its length “{line.value.strip()[:40]}” is no sound one: it was read as {nominal + exact}."
    return end_at, nominal + exact, [] if is_sound(line.value) else [doubt]


def _a_day_at_least(start: Moment, start_at: datetime, end_at: datetime, length: timedelta, told: list[str]) -> _End:
    """What begins with a day takes all of it, also when it ends at a time, or after hours."""
    if start.is_all_day and start_at <= end_at < (midnight := Moment(start.wall + _A_DAY, start.reading, True).at()):
        return midnight, _A_DAY, told
    return end_at, length, told


def rest_of_day(start_at: datetime, zone: tzinfo) -> timedelta:
    """How much is left of a day on the calendar's wall, an hour at least: what an event takes whose end cannot be read."""
    local = start_at.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, fold=0) + _A_DAY
    return max(midnight.astimezone(UTC) - start_at, timedelta(hours=1))


def _turned_round(
    start: Moment, start_at: datetime, end_at: datetime, length: timedelta, problems: list[str]
) -> EventTimes:
    """An end before the start. Both are exchanged, and what may be meant by it is taken as well."""
    problems.append("It ends before it starts: both ends were exchanged.")
    turned = Moment(start.wall + length, start.reading, start.is_all_day)
    until, length = start_at, -length
    if start.is_all_day:
        # The day that it names as its first must not stay free.
        until, length = Moment(start.wall + _A_DAY, start.reading, True).at(), length + _A_DAY
    else:
        # From ten in the evening to six in the morning, with one date on both; or any other day for the end, with the right time.
        meant = end_at + _A_DAY * ((start_at - end_at) // _A_DAY + 1)
        if meant - start_at <= _NIGHT:
            until, length = meant, meant - end_at
    return EventTimes(turned, end_at, until, length, tuple(problems))
