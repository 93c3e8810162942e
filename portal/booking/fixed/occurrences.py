"""The dates of a weekly series, and the instants at which its appointments begin. Pure; asked by `series` and the staff pages.

A series keeps the time on the wall: over a change of summer time its appointments are an hour more or less than seven days apart. A time that
the clock leaves out begins as much later as the clock jumps, one that it shows twice begins the first time (RFC 5545, section 3.3.5); a date
that the zone left out altogether has none.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_WEEK = timedelta(days=7)
_LEFT_OUT = timedelta(hours=12)
"""No change of summer time is that long; a zone that moves over the date line leaves out a whole day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekly:
    """At `starts` minutes from midnight on every `weekday` (0 = Monday) of `zone`, from `first_on` to `last_on`, both included (None: on and
    on), but not on `except_on`."""

    weekday: int
    starts: int
    zone: str
    first_on: date
    last_on: date | None = None
    except_on: Collection[date] = ()


def dates_between(weekly: Weekly, from_on: date, to_on: date) -> list[date]:
    """The dates of the series from `from_on` to `to_on`, both included, in order."""
    on = max(weekly.first_on, from_on)
    on += timedelta(days=(weekly.weekday - on.weekday()) % 7)
    last = to_on if weekly.last_on is None else min(to_on, weekly.last_on)
    found = []
    while on <= last:
        if on not in weekly.except_on and begins_at(on, weekly.starts, weekly.zone) is not None:
            found.append(on)
        on += _WEEK
    return found


def begins_at(on: date, starts: int, zone: str) -> datetime | None:
    """The instant (UTC) of so many minutes on the clock of that date; None when the zone left the date out."""
    clock = datetime.combine(on, time(starts // 60, starts % 60))
    instant = clock.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    shown = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return instant if abs(shown - clock) < _LEFT_OUT else None


def same_week(on: date, weekday: int) -> date:
    """That weekday of the week (Monday to Sunday) in which `on` lies."""
    return on + timedelta(days=weekday - on.weekday())
