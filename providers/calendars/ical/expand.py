"""The occurrences of a recurring object inside a window. Pure; called by `mapping`.

Everything is put onto one wall clock, that of the master, before it is expanded: so overrides and exceptions written in other zones, or
as dates against times, meet the occurrence that they mean. An override counts for what it says, whatever else is said of its occurrence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import NamedTuple

from dateutil.rrule import rrulestr

from providers.calendars.ical.durations import Unreadable
from providers.calendars.ical.exceptions import A_DAY, SeriesClock, SingleDate, on_wall
from providers.calendars.ical.lines import EventLines
from providers.calendars.ical.rule_text import RuleReading, read_rule
from providers.calendars.ical.rules import Rule, TooMuch, check_effort, may_fall_between
from providers.calendars.ical.times import EventTimes, Moment
from providers.calendars.ical.zones import ZoneBook

MAX_RULES = 20
"""Different RRULEs of one event that are followed; there should be one."""


class Occurrence(NamedTuple):
    """One occurrence, and the VEVENT (an index into the series) that says what it is like."""

    start_at: datetime
    end_at: datetime
    source: int


@dataclass(slots=True)
class Series:
    """The VEVENTs of one UID with their times; `events[0]` is the master unless `has_master` is False."""

    events: Sequence[EventLines]
    times: Sequence[EventTimes]
    book: ZoneBook
    has_master: bool = True
    problems: list[str] = field(default_factory=list)


class _Override(NamedTuple):
    """A VEVENT with a RECURRENCE-ID: which occurrence it changes, None when that cannot be read, and whether all that follow.

    `reaches_back`: all that came before (RFC 2445), of which the old times count beside the new ones.
    """

    source: int
    meant: SingleDate | None
    is_range: bool
    reaches_back: bool = False


def occurrences(series: Series, window: tuple[datetime, datetime]) -> list[Occurrence]:
    """All occurrences that overlap `window`, sorted. Raises BadRule, TooMuch."""
    alone = [_as_it_says(series, source) for source in range(len(series.events))]
    found = _all_occurrences(series, window) if series.has_master else alone
    return sorted(o for o in found if o.start_at < window[1] and o.end_at > window[0])


def _all_occurrences(series: Series, window: tuple[datetime, datetime]) -> list[Occurrence]:
    master = series.times[0]
    clock = SeriesClock(master, series.book, series.problems)
    overrides = _overrides(series, clock)
    ranges = sorted((o for o in overrides if o.is_range and o.meant), key=_meant_wall)
    reach = max(
        (
            _reach(series.times[o.source], _meant_wall(o))
            for o in overrides
            if o.meant and (o.is_range or o.reaches_back)
        ),
        default=timedelta(0),
    )
    stretch = (
        on_wall(window[0], clock.zone) - A_DAY - max(master.length, timedelta(0)) - reach,
        on_wall(window[1], clock.zone) + A_DAY + reach,
    )
    starts = _starts(series, clock, stretch, overrides)
    found = [_occurrence(wall, length, series, ranges) for wall, length in starts.items()]
    for override in (o for o in overrides if o.reaches_back and o.meant):
        shift, length = (
            _shift(series.times[override.source], _meant_wall(override), master),
            series.times[override.source].length,
        )
        found += [
            _placed(wall + shift, length, series, override.source) for wall in starts if wall < _meant_wall(override)
        ]
    return found + [_as_it_says(series, o.source) for o in overrides if not (o.is_range and o.meant)]


def _starts(
    series: Series, clock: SeriesClock, stretch: tuple[datetime, datetime], overrides: Sequence[_Override]
) -> dict[datetime, timedelta | None]:
    """Where occurrences begin that no single override has replaced, with the lengths that differ from the master's."""
    event, master = series.events[0], series.times[0]
    starts: dict[datetime, timedelta | None] = dict.fromkeys(_starts_by_rule(event, master, clock, stretch))
    for date in clock.near(event.get("RDATE", []), stretch, frees=False):
        starts[date.wall] = max(date.length or master.length, starts.get(date.wall) or timedelta(0))
    changed = {o.meant.wall for o in overrides if o.meant}
    for date in clock.near(event.get("EXDATE", []), stretch, frees=True):
        # A date that was taken out and has a changed occurrence too: the changed one counts.
        _take_out(starts, date)
    for override in overrides:
        if override.meant and not override.is_range:
            _take_out(starts, override.meant)
        elif override.meant:
            starts.setdefault(override.meant.wall, None)
    return {wall: length for wall, length in starts.items() if stretch[0] <= wall <= stretch[1] or wall in changed}


def _starts_by_rule(
    event: EventLines, master: EventTimes, clock: SeriesClock, stretch: tuple[datetime, datetime]
) -> set[datetime]:
    values = dict.fromkeys(line.value for line in event.get("RRULE", []))
    if len(values) > MAX_RULES:
        raise TooMuch(f"It has more than {MAX_RULES} repetitions.")
    readings = [read_rule(line.value, master.start.wall, clock.last) for line in event.get("RRULE", [])[:MAX_RULES]]
    doubts = [doubt for reading in readings for doubt in reading.doubts]
    if doubts:
        clock.problems.append(
            f"Its repetition could not be read in full, it takes more time rather than less. {doubts[0]}"
        )
    rules = [rule for reading in readings for rule in reading.rules]
    starts = set() if _is_over_at_once(readings, master) else {master.start.wall}
    for rule in rules:
        if may_fall_between(rule, master.start.wall, stretch):
            check_effort(rule, master.start.wall, stretch)
            starts.update(_follow(rule, master.start.wall, stretch, is_all_day=master.start.is_all_day))
    return starts


def _follow(rule: Rule, start: datetime, stretch: tuple[datetime, datetime], *, is_all_day: bool) -> list[datetime]:
    found = rrulestr(rule.text, dtstart=start).between(stretch[0] - A_DAY, stretch[1], inc=True)
    if is_all_day:
        # Hours mean nothing to whole days.
        found = [datetime.combine(wall.date(), time()) for wall in found]
    if rule.forward_from is None:
        return list(found)
    return [wall if wall.day == rule.forward_from else wall + A_DAY for wall in found]


def _is_over_at_once(readings: Sequence[RuleReading], master: EventTimes) -> bool:
    """True for a series whose last day lies before its first: what is left of one whose occurrences were all moved out.

    By a day at least, for an end that is closer may be a matter of zones or of the hour.
    """
    lasts = [rule.last for reading in readings for rule in reading.rules if rule.count is None]
    known = [last for last in lasts if last is not None]
    return bool(known) and len(known) == len(lasts) and max(known) < master.start.wall - A_DAY


def _take_out(starts: dict[datetime, timedelta | None], date: SingleDate) -> None:
    """The occurrence that a date means; one that names only the day means the only one of that day."""
    if date.wall in starts:
        del starts[date.wall]
    elif date.is_day and len(same := [wall for wall in starts if wall.date() == date.wall.date()]) == 1:
        del starts[same[0]]


def _overrides(series: Series, clock: SeriesClock) -> list[_Override]:
    """The changed occurrences. Of several for one date the newest count; of what date is left open only what they say."""
    found = []
    for source, event in enumerate(series.events[1:], 1):
        line = event["RECURRENCE-ID"][0]
        value, tzid = line.dated()
        meant = None
        try:
            (meant,) = clock.single(value, tzid, frees=True)
        except (Unreadable, OverflowError):
            clock.problems.append("It does not say readably which date one of its changed occurrences had.")
        reach = (line.parameter("RANGE") or "").upper()
        found.append(_Override(source, meant, reach == "THISANDFUTURE", reach == "THISANDPRIOR"))
    newest: dict[tuple[SingleDate, bool], int] = {}
    for override in found:
        if override.meant:
            key = (override.meant, override.is_range)
            newest[key] = max(newest.get(key, 0), _sequence(series, override))
    return [o for o in found if not o.meant or _sequence(series, o) == newest[o.meant, o.is_range]]


def _occurrence(wall: datetime, length: timedelta | None, series: Series, ranges: Sequence[_Override]) -> Occurrence:
    """One start as an occurrence, moved where an override changes it together with all that follow."""
    master = series.times[0]
    governing = next((o for o in reversed(ranges) if _meant_wall(o) <= wall), None)
    if governing is None:
        return _placed(wall, length if length is not None else master.length, series, 0)
    times = series.times[governing.source]
    return _placed(wall + _shift(times, _meant_wall(governing), master), times.length, series, governing.source)


def _placed(wall: datetime, length: timedelta, series: Series, source: int) -> Occurrence:
    reading = series.times[0].start.reading
    start, end = Moment(wall, reading).at(), Moment(wall + length, reading).at()
    return Occurrence(start - reading.error, end + reading.error, source)


def _as_it_says(series: Series, source: int) -> Occurrence:
    times = series.times[source]
    error = times.start.reading.error
    return Occurrence(times.start_at - error, times.end_at + error, source)


def _shift(times: EventTimes, meant: datetime, master: EventTimes) -> timedelta:
    return on_wall(times.start_at, master.start.zone) - meant


def _reach(times: EventTimes, meant: datetime) -> timedelta:
    """How far an override moves occurrences: that much further afield the rules must be followed."""
    return abs(times.start.wall - meant) + max(times.length, timedelta(0)) + A_DAY


def _meant_wall(override: _Override) -> datetime:
    return override.meant.wall if override.meant else datetime.min  # noqa: DTZ901


def _sequence(series: Series, override: _Override) -> int:
    text = series.events[override.source].text("SEQUENCE")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
