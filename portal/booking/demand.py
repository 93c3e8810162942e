"""Builds the engine's `Demand` from the tables; nobody else does. Pages and bookings ask this all the time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from typing import NamedTuple, cast

from sqlalchemy.orm import Session

from portal.availability.model import Assignment, Demand, OpenAppointment, SlotRules, TimeRange, Timetable
from portal.booking import statements
from portal.booking.models import Booking
from portal.booking.statements import rows
from portal.business.models import Service
from portal.intervals import Interval

Busy = Mapping[int, Sequence[Interval]]


class StaleCalendar(NamedTuple):
    """A busy source whose last good read is older than its freshness allows."""

    id: int
    resource_id: int
    when_unreadable: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to ask the engine. `moving` is a booking whose own time counts as free; `extra_busy` is what a last look found."""

    window: Interval
    resource_id: int | None = None
    party_size: int = 1
    moving: Booking | None = None
    extra_busy: Busy = field(default_factory=dict)
    looked_at: frozenset[int] = frozenset()
    """Calendars that were read this very moment, whatever their last full read."""
    stale: Sequence[StaleCalendar] | None = None
    """What `stale_calendars` says of the resources, where the caller has asked already."""
    is_swept: bool = False
    """The expired holds of the resources have just been deleted, so none need be looked for."""


def build_demand(session: Session, service: Service, question: Question, *, now: datetime) -> Demand:
    """Everything the engine needs to answer `question` for `service`; about seven small queries."""
    lists = needed_lists(session, service.id)
    if question.resource_id is not None and service.assignment == "choose":
        lists = [[i for i in lists[0] if i == question.resource_id], *lists[1:]]
    ids = sorted({resource_id for members in lists for resource_id in members})
    tables = _timetables(session, ids, _reach(service, question.window), question=question, now=now)
    return Demand(
        window=question.window,
        rules=slot_rules(service, zone=business_zone(session)),
        assignment=cast(Assignment, service.assignment),
        resources=tuple(tables[i] for i in lists[0]),
        also_needs=tuple(tuple(tables[i] for i in members) for members in lists[1:]),
        capacity=service.capacity,
        party_size=question.party_size,
        open_appointments=_open_appointments(session, service, question) if service.capacity > 1 else (),
        chosen=question.resource_id,
    )


def needed_lists(session: Session, service_id: int) -> list[list[int]]:
    """Ids of active resources, list by list (0 is the main one), each in its order."""
    lists: list[list[int]] = [[]]
    for list_no, resource_id, is_active in rows(session, statements.needs(), service_id=service_id):
        while len(lists) <= list_no:
            lists.append([])
        if is_active:
            lists[list_no].append(resource_id)
    return lists


def slot_rules(service: Service, *, zone: str) -> SlotRules:
    """The service's way of cutting time, as the engine wants it."""
    return SlotRules(
        duration=timedelta(minutes=service.duration),
        step=timedelta(minutes=service.step),
        buffer_before=timedelta(minutes=service.buffer_before),
        buffer_after=timedelta(minutes=service.buffer_after),
        notice=timedelta(minutes=service.notice),
        horizon=timedelta(days=service.horizon),
        zone=zone,
    )


def business_zone(session: Session) -> str:
    return next((zone for (zone,) in rows(session, statements.zone())), "UTC")


def stale_calendars(session: Session, resource_ids: Iterable[int], *, now: datetime) -> list[StaleCalendar]:
    """The busy sources of these resources that count as unreadable at `now`."""
    return [
        StaleCalendar(id_, resource_id, rule)
        for id_, resource_id, rule, freshness, last_read_at in rows(
            session, statements.sources(), ids=list(resource_ids)
        )
        if last_read_at is None or last_read_at < now - timedelta(seconds=freshness)
    ]


def _reach(service: Service, window: Interval) -> Interval:
    """The window with room for the service itself and its buffers on both sides."""
    room = timedelta(minutes=service.duration + service.buffer_before + service.buffer_after)
    return window.widened(before=room, after=room)


def _timetables(
    session: Session, ids: list[int], reach: Interval, *, question: Question, now: datetime
) -> dict[int, Timetable]:
    busy = _busy(session, ids, reach, free=_not_counted(session, question), extra=question.extra_busy)
    weekly, overrides = _weekly(session, ids), _overrides(session, ids, reach)
    blocked = _blocked(session, ids, question, now=now)
    return {
        id_: Timetable(
            resource_id=id_,
            zone=zone,
            weekly=weekly[id_],
            overrides=overrides[id_],
            busy=busy[id_],
            blocked=(reach,) if id_ in blocked else (),
        )
        for id_, zone in rows(session, statements.zones(), ids=ids)
    }


def _not_counted(session: Session, question: Question) -> list[int]:
    """Appointments whose time counts as free: those with nothing in them but expired holds, and that of the booking which moves."""
    free = [] if question.is_swept else [row.appointment_id for row in rows(session, statements.only_expired())]
    moving = question.moving
    if moving is not None and not any(
        rows(session, statements.others(), appointment_id=moving.appointment_id, booking_id=moving.id)
    ):
        free.append(moving.appointment_id)
    return free


def _busy(
    session: Session, ids: list[int], reach: Interval, *, free: list[int], extra: Busy
) -> dict[int, list[Interval]]:
    busy: dict[int, list[Interval]] = defaultdict(list)
    reached = {"ids": ids, "start": reach.start, "end": reach.end}
    for resource_id, start_at, end_at, appointment_id in rows(session, statements.taken(), **reached):
        if appointment_id not in free:
            busy[resource_id].append(Interval(start_at, end_at))
    for resource_id, start_at, end_at in rows(session, statements.outside(), **reached):
        busy[resource_id].append(Interval(start_at, end_at))
    for resource_id, intervals in extra.items():
        busy[resource_id] += intervals
    return busy


def _weekly(session: Session, ids: list[int]) -> dict[int, dict[int, tuple[TimeRange, ...]]]:
    weekly: dict[int, dict[int, tuple[TimeRange, ...]]] = defaultdict(dict)
    for resource_id, weekday, starts, ends in rows(session, statements.weekly_hours(), ids=ids):
        days = weekly[resource_id]
        days[weekday] = (*days.get(weekday, ()), _time_range(starts, ends))
    return weekly


def _overrides(session: Session, ids: list[int], reach: Interval) -> dict[int, dict[date, tuple[TimeRange, ...]]]:
    overrides: dict[int, dict[date, tuple[TimeRange, ...]]] = defaultdict(dict)
    margin = timedelta(days=2)  # local dates may be a day off from UTC's, on either side
    dates = {"first_on": reach.start.date() - margin, "last_on": reach.end.date() + margin}
    for resource_id, on_date, starts, ends in rows(session, statements.date_overrides(), ids=ids, **dates):
        days = overrides[resource_id]
        ranges = days.get(on_date, ())
        days[on_date] = ranges if starts is None else (*ranges, _time_range(starts, ends))
    return overrides


def _blocked(session: Session, ids: list[int], question: Question, *, now: datetime) -> set[int]:
    """Unknown is not free: where the rule says *stop offering*, a calendar that cannot be read shuts everything."""
    stale = stale_calendars(session, ids, now=now) if question.stale is None else question.stale
    return {row.resource_id for row in stale if row.when_unreadable == "stop" and row.id not in question.looked_at}


def _open_appointments(session: Session, service: Service, question: Question) -> tuple[OpenAppointment, ...]:
    """Appointments of this group service in the window that have seats left; seats of expired holds count as free."""
    own = question.moving.appointment_id if question.moving else None
    window = {"start": question.window.start, "end": question.window.end}
    standing = [row for row in rows(session, statements.standing(), service_id=service.id, **window) if row.id != own]
    resources: dict[int, list[int]] = defaultdict(list)
    for appointment_id, resource_id in rows(session, statements.members(), ids=[row.id for row in standing]):
        resources[appointment_id].append(resource_id)
    return tuple(
        OpenAppointment(
            interval=Interval(row.start_at, row.end_at),
            resource_ids=tuple(resources[row.id]),
            seats_left=row.capacity - row.taken,
        )
        for row in standing
    )


@cache
def _time_range(starts: int, ends: int) -> TimeRange:
    return TimeRange(starts, ends)
