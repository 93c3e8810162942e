"""Reads the tables [[service.date]] and [[service.series]] of a seed file. Pure; called by `file_services`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from portal.business.checks import read_day, shown
from portal.seed.table import Table
from portal.seed.values import SeedDate, SeedSeries, SeedService

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NEVER = date(1970, 1, 1)
"""Stands for a day that could not be read; the file is refused then anyway."""


def read_dates(table: Table) -> tuple[SeedDate, ...]:
    found = []
    for item in table.tables("date"):
        on, starts = _moment(item)
        found.append(
            SeedDate(on=on, starts=starts, capacity=_capacity(item), resource=item.text("resource", default=""))
        )
        item.finish()
    return tuple(found)


def read_series(table: Table) -> tuple[SeedSeries, ...]:
    found = []
    for item in table.tables("series"):
        series = SeedSeries(
            weekday=WEEKDAYS.index(item.choice("weekday", WEEKDAYS)),
            starts=_time(item, "time", item.text("time")),
            first_on=_day(item, "first", item.value("first")) or _NEVER,
            last_on=_day(item, "last", item.value("last")) if item.has("last") else None,
            capacity=_capacity(item),
            resource=item.text("resource", default=""),
            except_on=_exceptions(item),
        )
        if series.last_on is not None and series.last_on < series.first_on:
            item.wrong("last", "must not lie before first")
        item.finish()
        found.append(series)
    return tuple(found)


def check_dates(table: Table, service: SeedService) -> None:
    """Dates belong to a service whose times are set, and to one of its own people, each once."""
    named: tuple[tuple[str, Sequence[SeedDate | SeedSeries]], ...] = (
        ("date", service.dates),
        ("series", service.series),
    )
    for key, items in named:
        if items and service.timing != "fixed":
            table.wrong(key, 'belongs to timing = "fixed"')
        seen: list[SeedDate | SeedSeries] = []
        for item, read in zip(items, table.tables(key), strict=True):
            if item.resource and item.resource not in service.lists[0]:
                read.wrong("resource", f"is none of the service's resources: {shown(item.resource)}")
            if any(_is_same(item, other) for other in seen):
                read.wrong("start" if isinstance(item, SeedDate) else "time", "is named twice")
            seen.append(item)


def _is_same(item: SeedDate | SeedSeries, other: SeedDate | SeedSeries) -> bool:
    """At the same time, with the same person. Of series only such as share a day: one may go on where another one ends."""
    if (item.starts, item.resource) != (other.starts, other.resource):
        return False
    if isinstance(item, SeedDate) or isinstance(other, SeedDate):
        return isinstance(item, SeedDate) and isinstance(other, SeedDate) and item.on == other.on
    begins_before_its_end = other.last_on is None or item.first_on <= other.last_on
    ends_after_its_start = item.last_on is None or item.last_on >= other.first_on
    return item.weekday == other.weekday and begins_before_its_end and ends_after_its_start


def _moment(item: Table) -> tuple[date, int]:
    """ "2027-01-10 10:00", or TOML's own 2027-01-10 10:00:00 without an offset."""
    value = item.value("start")
    words = str(value).replace("T", " ")[:16].split(" ") if value is not None else []
    on = read_day(words[0]) if len(words) == 2 and getattr(value, "tzinfo", None) is None else None
    if on is None:
        if value is not None:
            item.wrong("start", f'must be a day and a time such as "2027-01-10 10:00", not {shown(value)}')
        return _NEVER, 0
    return on, _time(item, "start", words[1])


def _time(item: Table, key: str, text: str) -> int:
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", text, re.ASCII)
    if match and int(match[2]) % 5 == 0:
        return int(match[1]) * 60 + int(match[2])
    if text:
        item.wrong(key, f'must have a time of day such as "10:00", in steps of 5 minutes, not {shown(text)}')
    return 0


def _day(item: Table, key: str, value: Any) -> date | None:
    on = read_day(value)
    if on is None and value is not None:
        item.wrong(key, f'must be a day such as "2027-01-10", not {shown(value)}')
    return on


def _exceptions(item: Table) -> tuple[date, ...]:
    days = []
    for path, value in item.items("except", default=[]):
        on = read_day(value)
        if on is None:
            item.wrong_at(path, f'an exception is a day such as "2027-01-10", not {shown(value)}.')
        else:
            days.append(on)
    return tuple(sorted(set(days)))


def _capacity(item: Table) -> int | None:
    return item.optional_number("capacity", least=1, most=500)
