"""The occurrences of a recurring object inside a window. Pure; called by `ical_mapping`.

Everything is put onto one wall clock, that of the master's zone, before it is expanded: so overrides and
exceptions written in other zones, or as dates against times, meet the occurrence that they mean.
`recurring_ical_events` decides what a series is; a series without overrides or further dates, the usual one,
takes a short cut to the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, NamedTuple, TypeAlias

import icalendar
import recurring_ical_events
from dateutil.rrule import rrulestr

from providers.calendars.ical_lines import EventLines
from providers.calendars.ical_rules import Rule, check_effort, may_fall_between, read_rule
from providers.calendars.ical_times import EventTimes, Moment, Unreadable, moment_of, read_duration
from providers.calendars.ical_zones import ZoneBook

MAX_DATES = 2_000
"""EXDATEs and RDATEs near the window that are looked at. More EXDATEs leave time busy, never free."""

_A_DAY = timedelta(days=1)
_SOURCE = "X-LOCKSTEP-SOURCE"
_SingleDate: TypeAlias = tuple[datetime, timedelta | None]


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


def occurrences(series: Series, window: tuple[datetime, datetime]) -> list[Occurrence]:
    """All occurrences that overlap `window`, sorted. Raises BadRule, TooMuch, Unreadable."""
    zone = series.times[0].start.zone
    clock = (_on_wall(window[0], zone) - _A_DAY, _on_wall(window[1], zone) + _A_DAY)
    if not series.has_master:
        found = [Occurrence(t.start_at, t.end_at, n) for n, t in enumerate(series.times)]
    elif len(series.events) == 1 and "RDATE" not in series.events[0]:
        found = _plain_occurrences(series, clock)
    else:
        found = _any_occurrences(series, clock)
    return sorted(o for o in found if o.start_at < window[1] and o.end_at > window[0])


def _plain_occurrences(series: Series, clock: tuple[datetime, datetime]) -> list[Occurrence]:
    """The short cut: one master, rules and exceptions, nothing else."""
    master, times = series.events[0], series.times[0]
    earliest = clock[0] - times.length
    starts = set() if _is_over_at_once(master, times) else {times.start.wall}
    for rule in _rules_within(master, times, (earliest, clock[1])):
        expanded = rrulestr(_rule_text(rule, times), dtstart=times.start.wall)
        starts.update(expanded.between(earliest, clock[1], inc=True))
    starts -= {wall for wall, _ in _dates_near(series, "EXDATE", (earliest, clock[1]))}
    return [_occurrence(start, times, 0) for start in starts if earliest <= start <= clock[1]]


def _any_occurrences(series: Series, clock: tuple[datetime, datetime]) -> list[Occurrence]:
    """The long way, by the library, on floating times."""
    calendar = icalendar.Calendar()
    for index, event in enumerate(series.events):
        calendar.add_component(_floating_event(series, index, event, clock))
    found = recurring_ical_events.of(calendar).between(clock[0], clock[1])
    return [_told_occurrence(item, series) for item in found]


def _floating_event(series: Series, index: int, event: EventLines, clock: tuple[datetime, datetime]) -> icalendar.Event:
    """One VEVENT again, with every time on the master's wall clock."""
    times, master = series.times[index], series.times[0]
    built = icalendar.Event()
    built.add("UID", "series")
    built.add("SEQUENCE", _whole(event.text("SEQUENCE")))
    built.add(_SOURCE, str(index))
    start = _value_on_clock(times.start, master)
    built.add("DTSTART", start)
    built.add("DTEND", start + _length_for(start, times.length))
    if (line := event.first("RECURRENCE-ID")) is not None:
        moment = moment_of(line.value.strip(), line.parameter("TZID"), series.book)
        parameters = {"RANGE": "THISANDFUTURE"} if _is_this_and_future(event) else {}
        built.add("RECURRENCE-ID", _value_on_clock(moment, master), parameters=parameters)
        return built
    reach = (clock[0] - times.length - _reach_of_overrides(series), clock[1] + _reach_of_overrides(series))
    for rule in _rules_within(event, times, reach):
        built.add("RRULE", icalendar.vRecur.from_ical(_rule_text(rule, times)))
    if _is_over_at_once(event, times):
        # The rule was left out above, and without one the library would take the first day for an occurrence.
        built.add("RRULE", {"FREQ": ["YEARLY"], "UNTIL": [times.start.wall - _A_DAY]})
    for wall, _ in _dates_near(series, "EXDATE", reach):
        built.add("EXDATE", wall.date() if master.start.is_all_day else wall)
    for wall, length in _dates_near(series, "RDATE", reach):
        if master.start.is_all_day:
            built.add("RDATE", wall.date())
        else:
            built.add("RDATE", [(wall, wall + (length or times.length))], parameters={"VALUE": "PERIOD"})
    return built


def _told_occurrence(item: icalendar.Component, series: Series) -> Occurrence:
    index = int(str(item.get(_SOURCE)))
    event, times = series.events[index], series.times[index]
    if "RECURRENCE-ID" in event and not _is_this_and_future(event):
        # Taken from the object itself: its zone may not be the master's, and its end is exact.
        return Occurrence(times.start_at, times.end_at, index)
    start, end = _wall_of(item, "DTSTART"), _wall_of(item, "DTEND")
    return _occurrence(start, series.times[0]._replace(length=end - start), index)


def _wall_of(item: icalendar.Component, name: str) -> datetime:
    value: Any = item[name]
    return _as_wall(value.dt)


def _rules_within(event: EventLines, times: EventTimes, clock: tuple[datetime, datetime]) -> list[Rule]:
    """The rules that can matter on this stretch of the wall clock. Raises BadRule, TooMuch."""
    rules = [read_rule(line.value) for line in event.get("RRULE", [])]
    rules = [rule for rule in rules if may_fall_between(rule, times.start.wall, clock)]
    for rule in rules:
        check_effort(rule, times.start.wall, clock)
    return rules


def _is_over_at_once(event: EventLines, times: EventTimes) -> bool:
    """True for a series whose last day lies before its first: what is left of one whose occurrences were all moved out."""
    lasts = [_until_on_wall(rule, times) for rule in map(read_rule, (line.value for line in event.get("RRULE", [])))]
    known = [last for last in lasts if last is not None]
    return bool(known) and max(known) < times.start.wall


def _rule_text(rule: Rule, times: EventTimes) -> str:
    """The rule with its last moment on the master's wall clock, for a UNTIL in UTC would not compare."""
    last = _until_on_wall(rule, times)
    if last is None:
        return rule.text
    kept = [part for part in rule.text.upper().split(";") if part and not part.startswith("UNTIL=")]
    return ";".join([*kept, f"UNTIL={last:%Y%m%dT%H%M%S}"])


def _until_on_wall(rule: Rule, times: EventTimes) -> datetime | None:
    until = rule.until
    if until is None:
        return None
    if len(until) == 8:
        last = datetime.strptime(until, "%Y%m%d")  # noqa: DTZ007
        return last if times.start.is_all_day else last + _A_DAY - timedelta(seconds=1)
    last = datetime.strptime(until[:15], "%Y%m%dT%H%M%S")  # noqa: DTZ007
    if until.endswith("Z") and not times.start.is_all_day:
        last = _on_wall(last.replace(tzinfo=UTC), times.start.zone)
    return last


def _dates_near(series: Series, name: str, clock: tuple[datetime, datetime]) -> list[_SingleDate]:
    """EXDATE or RDATE values near a stretch of the wall clock, at most MAX_DATES."""
    first, last = (f"{clock[0] - _A_DAY:%Y%m%d}", f"{clock[1] + _A_DAY:%Y%m%d}")
    near = [
        (value.strip(), line.parameter("TZID"))
        for line in series.events[0].get(name, [])
        for value in line.value.split(",")
        if first <= value.strip()[:8] <= last
    ]
    if len(near) > MAX_DATES:
        series.problems.append(f"It names more than {MAX_DATES:,} single dates: not all of them were read.")
    dates = (_single_date(value, tzid, series) for value, tzid in near[:MAX_DATES])
    return [found for found in dates if found is not None]


def _single_date(value: str, tzid: str | None, series: Series) -> _SingleDate | None:
    """(start on the wall clock, own length of a PERIOD), or None for a value that cannot be read, which is noted."""
    master = series.times[0]
    start_text, _, end_text = value.partition("/")
    try:
        moment = moment_of(start_text, tzid, series.book)
        wall = _as_wall(_value_on_clock(moment, master))
        length = _period_length(end_text, tzid, wall, series) if end_text else None
    except (Unreadable, OverflowError):
        series.problems.append("One of its single dates could not be read.")
        return None
    if moment.is_all_day and not master.start.is_all_day:
        # Some programs name only the day of an occurrence that has a time.
        wall = datetime.combine(wall.date(), master.start.wall.time())
    return wall, length


def _period_length(text: str, tzid: str | None, wall: datetime, series: Series) -> timedelta:
    if text.upper().startswith(("P", "+P")):
        return sum(read_duration(text), timedelta(0))
    return _as_wall(_value_on_clock(moment_of(text, tzid, series.book), series.times[0])) - wall


def _value_on_clock(moment: Moment, master: EventTimes) -> date | datetime:
    """A moment on the master's wall clock: a date where the master is all-day, compared by its own local
    date.
    """
    if master.start.is_all_day:
        return moment.wall.date()
    if moment.is_all_day or moment.zone is master.start.zone:
        return moment.wall
    return _on_wall(moment.at(), master.start.zone)


def _occurrence(wall: datetime, times: EventTimes, source: int) -> Occurrence:
    reading = times.start.reading
    start = Moment(wall, reading).at()
    end = Moment(wall + times.length, reading).at()
    return Occurrence(start - reading.error, end + reading.error, source)


def _reach_of_overrides(series: Series) -> timedelta:
    """How far an override moves occurrences: that much further afield the rules must be followed."""
    reach = _A_DAY
    for event, times in zip(series.events[1:], series.times[1:], strict=True):
        line = event.first("RECURRENCE-ID")
        if line is not None and _is_this_and_future(event):
            meant = moment_of(line.value.strip(), line.parameter("TZID"), series.book)
            reach = max(reach, abs(times.start_at - meant.at()) + times.length + _A_DAY)
    return reach


def _is_this_and_future(event: EventLines) -> bool:
    line = event.first("RECURRENCE-ID")
    return line is not None and (line.parameter("RANGE") or "").upper() == "THISANDFUTURE"


def _length_for(start: date | datetime, length: timedelta) -> timedelta:
    return length if isinstance(start, datetime) else timedelta(days=max(1, length.days))


def _on_wall(at: datetime, zone: tzinfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


def _as_wall(value: date | datetime) -> datetime:
    return value.replace(tzinfo=None) if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
