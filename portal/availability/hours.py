"""Weekly hours and date overrides become stretches of UTC. Pure. The only place in the engine where wall-clock time exists.

A time range means: every instant at which the wall clock of the zone shows a time in it. Nothing is ever added to a
local midnight, so the changes of summer time need no special case. A local hour that does not exist yields no
instants; one that occurs twice yields both; "01:00-05:00" is 3 or 5 hours of real time on such days; and the day that
Samoa left out in 2011 is simply empty.

Inside the engine an instant is a whole number of seconds since 1970 in UTC, a day the number of days since then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from portal.availability.model import TimeRange, Timetable

DAY = 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = EPOCH.toordinal()
_THURSDAY = 3
_SECOND = timedelta(seconds=1)


class Shift(NamedTuple):
    """One unbroken piece of a time range, as it falls on one day."""

    start: int
    end: int
    opens: int
    """The first instant of the whole range on that day: the grid of starts counts from here."""


def seconds(span: timedelta) -> int:
    """A length of time in whole seconds, rounded up."""
    return -(-span // _SECOND)


def to_seconds(instant: datetime) -> int:
    """The first whole second that is not before the instant."""
    return seconds(instant - EPOCH)


def to_instant(second: int) -> datetime:
    """The aware UTC datetime of that second."""
    return EPOCH + timedelta(0, second)


def to_instants(ascending: Iterable[int]) -> Iterator[datetime]:
    """The same for many. Gaps repeat, and adding a remembered one is four times as fast as making each from scratch."""
    instant, second = EPOCH, 0
    for next_second in ascending:
        instant += _gap(next_second - second)
        second = next_second
        yield instant


def wall_clock(instant: datetime, zone: str) -> datetime:
    """What calendar and clock on the wall show there at that instant."""
    return instant.astimezone(ZoneInfo(zone))


def shifts(timetable: Timetable, first: int, last: int) -> list[Shift]:
    """All working pieces that may touch the seconds `first` to `last`, sorted; neighbours are not joined."""
    found: list[Shift] = []
    # A local day lies within a day of its UTC namesake, whatever the zone.
    for day in range(first // DAY - 1, last // DAY + 2):
        ranges = hours_on(timetable, day)
        if ranges:
            found.extend(_on_day(ranges, day_pieces(timetable.zone, day)))
    found.sort()
    return found


def stretches(sorted_shifts: Iterable[Shift]) -> tuple[list[int], list[int]]:
    """Starts and ends of the continuous working stretches: pieces that touch or overlap are one."""
    starts: list[int] = []
    ends: list[int] = []
    for start, end, _ in sorted_shifts:
        if ends and start <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    return starts, ends


def hours_on(timetable: Timetable, day: int) -> tuple[TimeRange, ...]:
    """The ranges that hold on that day: its override, else the weekly hours."""
    if timetable.overrides:
        override = timetable.overrides.get(date.fromordinal(day + _EPOCH_ORDINAL))
        if override is not None:
            return override
    return timetable.weekly.get((day + _THURSDAY) % 7, ())


@lru_cache(maxsize=1 << 16)
def day_pieces(zone: str, day: int) -> tuple[tuple[int, int, int], ...]:
    """The pieces of a local day between moves of the clock, in the order in which they pass.

    Each is `(from, until, base)`: the wall clock runs from `from` to `until`, in seconds of that day, and
    `base + wall` is the instant. Nearly always the one piece `(0, 86400, base)`; empty for a day left out.
    """
    midnight = day * DAY
    pieces = []
    for start, end, offset in _constant_offsets(zone, midnight - DAY, midnight + 2 * DAY):
        wall_start = max(start + offset - midnight, 0)
        wall_end = min(end + offset - midnight, DAY)
        if wall_start < wall_end:
            pieces.append((wall_start, wall_end, midnight - offset))
    return tuple(pieces)


@lru_cache(maxsize=1 << 10)
def _gap(length: int) -> timedelta:
    return timedelta(0, length)


def _on_day(ranges: Iterable[TimeRange], pieces: Iterable[tuple[int, int, int]]) -> Iterator[Shift]:
    for time_range in ranges:
        opens: int | None = None
        for wall_start, wall_end, base in pieces:
            start = max(wall_start, time_range.starts * 60)
            end = min(wall_end, time_range.ends * 60)
            if start < end:
                opens = base + start if opens is None else opens
                yield Shift(base + start, base + end, opens)


def _constant_offsets(zone: str, first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """Cuts three days at the move of the clocks in them, if there is one.

    One look at each end suffices: in the whole tz database two moves are never less than 95 hours apart.
    """
    before, after = _offset(zone, first), _offset(zone, last)
    if before == after:
        yield first, last, before
    else:
        moved = _first_second_with(after, zone, first, last)
        yield first, moved, before
        yield moved, last, after


def _first_second_with(offset: int, zone: str, low: int, high: int) -> int:
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == offset:
            high = middle
        else:
            low = middle
    return high


def _offset(zone: str, second: int) -> int:
    offset = wall_clock(to_instant(second), zone).utcoffset()
    assert offset is not None  # an aware datetime always has one
    return offset // _SECOND
