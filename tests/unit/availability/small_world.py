"""Short ways to say what a plain test is about: hours as people write them, slots as local times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from portal.availability.model import Demand, SlotRules, TimeRange, Timetable
from portal.availability.slots import offer_slots
from portal.intervals import Interval

MADRID = "Europe/Madrid"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LONG_AGO = datetime(1960, 1, 1, tzinfo=UTC)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def local(day: date, clock: str, zone: str = MADRID) -> datetime:
    """The first instant at which the clock there shows that."""
    hour, minute = map(int, clock.split(":"))
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def hours(*texts: str) -> tuple[TimeRange, ...]:
    """`hours("09:00-13:00", "14:00-17:00")`."""
    edges = [[int(edge[:2]) * 60 + int(edge[3:]) for edge in text.split("-")] for text in texts]
    return tuple(TimeRange(starts, ends) for starts, ends in edges)


def timetable(
    *texts: str,
    resource_id: int = 1,
    zone: str = MADRID,
    busy: list[Interval] | None = None,
    overrides: Mapping[date, tuple[TimeRange, ...]] | None = None,
    blocked: tuple[Interval, ...] = (),
) -> Timetable:
    """The same hours on all seven days."""
    weekly = {weekday: hours(*texts) for weekday in range(7)}
    return Timetable(resource_id, zone, weekly, overrides or {}, busy or [], blocked)


def rules(duration: int = 30, step: int = 30, *, before: int = 0, after: int = 0) -> SlotRules:
    """In minutes, without notice, with a horizon beyond all tests."""
    lengths = (each * MINUTE for each in (duration, step, before, after))
    return SlotRules(*lengths, notice=0 * MINUTE, horizon=100_000 * DAY, zone=MADRID)


def demand(*resources: Timetable, day: date, by: SlotRules | None = None, days: int = 1, **others: object) -> Demand:
    """About all starts of one local day of the first resource, or of several days."""
    zone = resources[0].zone
    window = Interval(local(day, "00:00", zone), local(day + days * DAY, "00:00", zone))
    return replace(Demand(window, by or rules(), "any", resources), **others)


def starts(question: Demand, *, now: datetime = LONG_AGO) -> list[str]:
    """The starts, on the wall clock of the first resource."""
    zone = ZoneInfo(question.resources[0].zone)
    return [f"{slot.interval.start.astimezone(zone):%H:%M}" for slot in offer_slots(question, now=now)]
