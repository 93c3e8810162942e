"""What stands in a seed file, as plain values. Pure. Times of day are minutes from local midnight, as in the tables.

`values` are columns of the table by their names, as they are declared in `portal.business.fields`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias

Range: TypeAlias = tuple[int, int]
"""A working range `[starts, ends)` in minutes from local midnight."""
Values: TypeAlias = Mapping[str, Any]
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedCalendar:
    """`line` is where it stands, for what only the calendar's server can tell. `roles` and `rules` are columns of `calendar`."""

    line: int
    provider: str
    url: str
    username: str
    password: str
    roles: Mapping[str, bool]
    rules: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedResource:
    slug: str
    values: Values
    hours: Mapping[int, tuple[Range, ...]]
    overrides: Mapping[date, tuple[Range, ...]]
    calendars: tuple[SeedCalendar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedDate:
    """A fixed appointment at `starts` minutes of that day, in the business's zone. Without a capacity it has the service's."""

    on: date
    starts: int
    capacity: int | None
    resource: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSeries:
    """A weekly series, as the table of that name has it; `resource` is a slug or empty."""

    weekday: int
    starts: int
    first_on: date
    last_on: date | None
    capacity: int | None
    resource: str
    except_on: tuple[date, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedService:
    """`lists[0]` are the main resources, each further list is one of `also_needs`."""

    slug: str
    values: Values
    questions: tuple[Values, ...]
    dates: tuple[SeedDate, ...]
    series: tuple[SeedSeries, ...]
    lists: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedFile:
    business: Values
    resources: tuple[SeedResource, ...]
    services: tuple[SeedService, ...]
