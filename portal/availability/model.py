"""The values that the availability engine takes and gives. Pure. Built by `booking/time/queries.py`, read by pages and the API.

Every instant is an aware datetime in UTC; wall-clock time occurs in `TimeRange` only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal, NamedTuple, get_args

from portal.intervals import QUANTUM_SECONDS, Interval

Assignment = Literal["choose", "any", "all"]
"""Who gives the service: the resource that the customer chooses, any one of them, or all together."""

MINUTES_A_DAY = 24 * 60


@dataclass(frozen=True, slots=True, order=True)
class TimeRange:
    """A stretch of the local day, in minutes from midnight by the clock on the wall; 1440 is the end of the day.

    It means every instant at which that clock shows a time in `[starts, ends)`, so its length in real time differs
    on days when the clocks are moved.
    """

    starts: int
    ends: int

    def __post_init__(self) -> None:
        if not 0 <= self.starts < self.ends <= MINUTES_A_DAY:
            raise ValueError(
                f"A time range must run forward within 0 to 1440 minutes, not {self.starts} to {self.ends}"
            )


@dataclass(frozen=True, slots=True)
class Timetable:
    """When one resource works, and what takes its time.

    `busy` and `blocked` must cover the demand's window with the service's duration and buffers around it; order and
    overlaps do not matter. `busy` holds claims (their buffers included) and the busy intervals of calendars.
    `blocked` holds what a rule shuts because nobody knows: unknown is not free.
    """

    resource_id: int
    zone: str
    weekly: Mapping[int, tuple[TimeRange, ...]]
    """0 is Monday; a day without ranges is a day off."""
    overrides: Mapping[date, tuple[TimeRange, ...]]
    """These hours instead of the weekly ones; an empty tuple closes the day."""
    busy: Sequence[Interval]
    blocked: tuple[Interval, ...] = ()

    def __post_init__(self) -> None:
        if not all(0 <= weekday <= 6 for weekday in self.weekly):
            raise ValueError(f"Weekdays run from 0 (Monday) to 6, not {sorted(self.weekly)}")


@dataclass(frozen=True, slots=True)
class SlotRules:
    """How a service cuts time. Duration, step and buffers are multiples of 5 minutes, as claims are."""

    duration: timedelta
    step: timedelta
    buffer_before: timedelta
    buffer_after: timedelta
    notice: timedelta
    """A slot starts at `now + notice` or later ..."""
    horizon: timedelta
    """... and before `now + horizon`."""
    zone: str
    """The zone of the service, in which `explain` tells times and days begin. The grid of starts follows each resource's own zone."""
    per_day: int | None = None
    """At most so many appointments on one local day, and `per_week` in one week, Monday to Sunday; they bind new ones only."""
    per_week: int | None = None

    def __post_init__(self) -> None:
        quantum, nothing = timedelta(seconds=QUANTUM_SECONDS), timedelta(0)
        for name in ("duration", "step", "buffer_before", "buffer_after"):
            if getattr(self, name) % quantum:
                raise ValueError(f"{name} must be a multiple of 5 minutes, not {getattr(self, name)}")
        if self.duration <= nothing or self.step <= nothing:
            raise ValueError("duration and step must be longer than nothing")
        if min(self.buffer_before, self.buffer_after, self.notice) < nothing:
            raise ValueError("buffers and notice cannot be negative")

    @property
    def has_limits(self) -> bool:
        return self.per_day is not None or self.per_week is not None


@dataclass(frozen=True, slots=True)
class OpenAppointment:
    """An appointment that stands already, for people to join. `seats_left` are those that are offered to whoever asks."""

    interval: Interval
    resource_ids: tuple[int, ...]
    seats_left: int
    id: int | None = None
    is_taken: bool = False
    """An outside event stands over it, so nobody can join ..."""
    is_unknown: bool = False
    """... or a rule keeps it shut because nobody knows whether one does."""


@dataclass(frozen=True, slots=True)
class Demand:
    """One question to the engine: which slots start in `[window.start, window.end)`?"""

    window: Interval
    rules: SlotRules
    assignment: Assignment
    resources: tuple[Timetable, ...]
    """The main list, in the order of preference."""
    also_needs: tuple[tuple[Timetable, ...], ...] = ()
    """And one resource of each of these lists."""
    capacity: int = 1
    """Seats of a new appointment; one that stands has its own."""
    party_size: int = 1
    open_appointments: tuple[OpenAppointment, ...] = ()
    """Heeded when capacity is above 1, and with `is_fixed`."""
    is_fixed: bool = False
    """Only what stands is offered: no new appointment is made, whoever is free."""
    made_on: Mapping[date, int] = field(default_factory=dict)
    """How many appointments of the service stand on each local day, for `rules.per_day` and `rules.per_week`."""
    chosen: int | None = None
    """The resource that the customer chose; heeded with assignment "choose"."""

    def __post_init__(self) -> None:
        if self.assignment not in get_args(Assignment):
            raise ValueError(f"assignment must be one of {get_args(Assignment)}, not {self.assignment!r}")
        if self.capacity < 1 or self.party_size < 1:
            raise ValueError("capacity and party_size count people: 1 or more")

    @property
    def heeded(self) -> tuple[OpenAppointment, ...]:
        """The standing appointments that people may join: none where each customer has the appointment to themselves."""
        return self.open_appointments if self.is_fixed or self.capacity > 1 else ()

    def is_full_day(self, on: date) -> bool:
        """Whether this local day has as many appointments as one may have."""
        return self.rules.per_day is not None and self.made_on.get(on, 0) >= self.rules.per_day

    def is_full_week(self, on: date) -> bool:
        """Whether the week of this local day has as many as one may have."""
        if self.rules.per_week is None:
            return False
        monday = on - timedelta(days=on.weekday())
        return sum(self.made_on.get(monday + timedelta(days=n), 0) for n in range(7)) >= self.rules.per_week


class Slot(NamedTuple):
    """A bookable start with its end."""

    interval: Interval
    """The time of the service itself, without buffers."""
    choices: tuple[int, ...]
    """Ids of the main resources that can give it, in the order of the list; with "all", every one of them."""
    also: tuple[int, ...]
    """One id for each list of `also_needs`, fitting `choices[0]`. Who takes another choice asks again with `chosen`."""
    seats_left: int
    appointment_id: int | None = None
    """The standing appointment whose seats these are; None when a new one would be made."""
