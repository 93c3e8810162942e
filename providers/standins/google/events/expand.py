"""The occurrences of a series: RRULE, EXRULE, RDATE and EXDATE over the wall clock of the event's own zone. Pure.

An occurrence is known by its original start: `20261201T080000Z`, or `20261201` for whole days, which also ends its id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from dateutil.rrule import rrule, rruleset, rrulestr

from providers.standins.google import times
from providers.standins.google.problems import invalid

Json = dict[str, Any]
ENDLESS = timedelta(days=730)
"""How far from now a series without an end is told when the caller sets no end either."""
MOST = 5_000
"""Occurrences of one series in one answer."""
_LINE = re.compile(r"(RRULE|EXRULE|RDATE|EXDATE)((?:;[^:]*)?):(.+)")


class Occurrence(NamedTuple):
    """When an occurrence starts by the rule, and its part of the id."""

    start_at: datetime
    key: str


class Series(NamedTuple):
    """What the occurrences depend on. `start` and `zone` are the master's; `calendar_zone` is for whole days."""

    recurrence: tuple[str, ...]
    start: str
    is_all_day: bool
    zone: str
    calendar_zone: str


def series_of(body: Json, calendar_zone: str) -> Series:
    """The series that a stored master describes."""
    start = body["start"]
    is_all_day = "date" in start
    return Series(
        recurrence=tuple(body["recurrence"]),
        start=start["date"] if is_all_day else start["dateTime"],
        is_all_day=is_all_day,
        zone=calendar_zone if is_all_day else start["timeZone"],
        calendar_zone=calendar_zone,
    )


def check(body: Json, calendar_zone: str) -> None:
    """Raises Refused for rules that Google would not take."""
    for line in body["recurrence"]:
        if not _LINE.fullmatch(line):
            raise invalid("Invalid recurrence rule.", "recurrence")
    try:
        _rules(series_of(body, calendar_zone))
    except (ValueError, KeyError, TypeError) as error:
        raise invalid(f"Invalid recurrence rule. ({error})", "recurrence") from None


def occurrences(series: Series, start_at: datetime | None, end_at: datetime | None) -> list[Occurrence]:
    """Those that start within [start_at, end_at), by the rule alone; exceptions are the caller's."""
    last = end_at or times.now() + ENDLESS
    found: list[Occurrence] = []
    for wall in _walls(series, start_at, last):
        found.append(_occurrence(series, wall))
        if len(found) == MOST:
            break
    return found


def has_occurrence(series: Series, key: str) -> bool:
    """Whether an id's last part names an occurrence of the rule."""
    at = original_start(series, key)
    return at is not None and any(o.key == key for o in occurrences(series, at, at + timedelta(seconds=1)))


def original_start(series: Series, key: str) -> datetime | None:
    """The instant that the last part of an id names; None when it names none."""
    try:
        if series.is_all_day:
            return times.midnight(datetime.strptime(key, "%Y%m%d").date(), series.calendar_zone)  # noqa: DTZ007
        return datetime.strptime(key, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _walls(series: Series, start_at: datetime | None, last: datetime) -> Iterator[datetime]:
    """Wall times in the series' zone, ascending."""
    rules, zone = _rules(series), times.zone_of(series.zone)
    until = last.astimezone(zone).replace(tzinfo=None)
    # A day of room: clocks are put back and forward.
    for wall in rules:
        if wall > until + timedelta(days=1):
            return
        at = wall.replace(tzinfo=zone).astimezone(UTC)
        if at < last and (start_at is None or at >= start_at):
            yield wall


def _occurrence(series: Series, wall: datetime) -> Occurrence:
    at = wall.replace(tzinfo=times.zone_of(series.zone)).astimezone(UTC)
    return Occurrence(at, f"{wall:%Y%m%d}" if series.is_all_day else f"{at:%Y%m%dT%H%M%SZ}")


@lru_cache(maxsize=2000)
def _rules(series: Series) -> rruleset:
    zone = times.zone_of(series.zone)
    if series.is_all_day:
        first = datetime.combine(date.fromisoformat(series.start), time())
    else:
        first = times.instant(series.start).astimezone(zone).replace(tzinfo=None)
    rules = rruleset(cache=True)
    if not any(line.startswith("RRULE") for line in series.recurrence):
        rules.rdate(first)
    for line in series.recurrence:
        match = _LINE.fullmatch(line)
        assert match is not None
        kind, parameters, value = match.groups()
        if kind.endswith("RULE"):
            rule = _rule(value, first, series.zone)
            (rules.rrule if kind == "RRULE" else rules.exrule)(rule)
        else:
            for wall in _dates(value, parameters, first, series.zone):
                (rules.rdate if kind == "RDATE" else rules.exdate)(wall)
    return rules


def _rule(value: str, first: datetime, zone: str) -> rrule:
    until = re.search(r"UNTIL=(\d{8}T\d{6}Z)", value)
    if until:  # dateutil wants it in the same clock as the start
        wall = datetime.strptime(until[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).astimezone(times.zone_of(zone))
        value = value.replace(until[1], f"{wall:%Y%m%dT%H%M%S}")
    made = rrulestr(value, dtstart=first, cache=True)
    if not isinstance(made, rrule):
        raise ValueError(value)
    return made


def _dates(value: str, parameters: str, first: datetime, zone: str) -> Iterator[datetime]:
    named = re.search(r"TZID=([^;:]+)", parameters)
    for text in value.split(","):
        text = text.split("/")[0]
        if len(text) == 8:
            day = datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007
            yield datetime.combine(day.date(), first.time())
        elif text.endswith("Z") or named:
            at = datetime.strptime(text.rstrip("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007
            at = at.replace(tzinfo=UTC if text.endswith("Z") else times.zone_of(named[1] if named else zone))
            yield at.astimezone(times.zone_of(zone)).replace(tzinfo=None)
        else:
            yield datetime.strptime(text, "%Y%m%dT%H%M%S")  # noqa: DTZ007
