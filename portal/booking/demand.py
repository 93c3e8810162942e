"""Builds the engine's `Demand` from the tables; nobody else does. Plain rows, not objects: pages ask this all the time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import cast

from sqlalchemy import Row, and_, exists, func, select
from sqlalchemy.orm import Session, aliased

from portal.availability.model import Assignment, Demand, OpenAppointment, SlotRules, TimeRange, Timetable
from portal.booking.models import ACTIVE, Appointment, AppointmentResource, Booking, Seat
from portal.business.models import Business, DateOverride, Resource, Service, ServiceResource, WeeklyHours
from portal.calendars.models import BusyInterval, Calendar
from portal.db import database_clock
from portal.intervals import Interval

Busy = Mapping[int, Sequence[Interval]]


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


def build_demand(session: Session, service: Service, question: Question, *, now: datetime) -> Demand:
    """Everything the engine needs to answer `question` for `service`; about seven small queries."""
    lists = needed_lists(session, service.id)
    ids = sorted({resource_id for members in lists for resource_id in members})
    reach = _reach(service, question.window)
    free = _not_counted(session, question.moving)
    busy = _busy(session, ids, reach, free=free, extra=question.extra_busy)
    hours = _hours(session, ids, reach)
    blocked = _blocked(session, ids, reach, now=now, looked_at=question.looked_at)
    tables = {
        row.id: Timetable(
            resource_id=row.id,
            zone=row.zone,
            weekly=hours[row.id].weekly,
            overrides=hours[row.id].overrides,
            busy=busy[row.id],
            blocked=blocked[row.id],
        )
        for row in session.execute(select(Resource.id, Resource.zone).where(Resource.id.in_(ids)))
    }
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
    rows = session.execute(
        select(ServiceResource.list_no, ServiceResource.resource_id, Resource.is_active)
        .join(Resource, Resource.id == ServiceResource.resource_id)
        .where(ServiceResource.service_id == service_id)
        .order_by(ServiceResource.list_no, ServiceResource.position, ServiceResource.id)
    ).all()
    lists: list[list[int]] = [[] for _ in range(max((row.list_no for row in rows), default=0) + 1)]
    for row in rows:
        if row.is_active:
            lists[row.list_no].append(row.resource_id)
    return lists


def slot_rules(service: Service, *, zone: str) -> SlotRules:
    def minutes(count: int) -> timedelta:
        return timedelta(minutes=count)

    return SlotRules(
        duration=minutes(service.duration),
        step=minutes(service.step),
        buffer_before=minutes(service.buffer_before),
        buffer_after=minutes(service.buffer_after),
        notice=minutes(service.notice),
        horizon=timedelta(days=service.horizon),
        zone=zone,
    )


def business_zone(session: Session) -> str:
    return session.scalar(select(Business.zone)) or "UTC"


def stale_calendars(session: Session, resource_ids: Iterable[int], *, now: datetime) -> list[Row[tuple[int, int, str]]]:
    """(id, resource_id, when_unreadable) of busy sources whose last good read is older than their freshness allows."""
    rows = session.execute(
        select(
            Calendar.id, Calendar.resource_id, Calendar.when_unreadable, Calendar.freshness, Calendar.last_read_at
        ).where(Calendar.resource_id.in_(list(resource_ids)), Calendar.is_busy_source)
    )
    return [
        cast("Row[tuple[int, int, str]]", row)
        for row in rows
        if row.last_read_at is None or row.last_read_at < now - timedelta(seconds=row.freshness)
    ]


@dataclass(slots=True)
class _Hours:
    weekly: dict[int, tuple[TimeRange, ...]] = field(default_factory=dict)
    overrides: dict[date, tuple[TimeRange, ...]] = field(default_factory=dict)


def _reach(service: Service, window: Interval) -> Interval:
    """The window with room for the service itself and its buffers on both sides."""
    room = timedelta(minutes=service.duration + service.buffer_before + service.buffer_after)
    return window.widened(before=room, after=room)


def _not_counted(session: Session, moving: Booking | None) -> list[int]:
    """Appointments whose time counts as free: those with nothing in them but expired holds, and that of the booking which moves."""
    other = aliased(Booking)
    is_expired = and_(Booking.status == "held", Booking.held_until < database_clock())
    has_others = exists().where(
        other.appointment_id == Booking.appointment_id,
        other.status.in_(ACTIVE),
        ~and_(other.status == "held", other.held_until < database_clock()),
    )
    free = list(session.scalars(select(Booking.appointment_id).where(is_expired, ~has_others)))
    if moving is not None and _is_alone(session, moving):
        free.append(moving.appointment_id)
    return free


def _is_alone(session: Session, booking: Booking) -> bool:
    count = select(func.count(Booking.id)).where(
        Booking.appointment_id == booking.appointment_id, Booking.status.in_(ACTIVE), Booking.id != booking.id
    )
    return session.scalar(count) == 0


def _busy(
    session: Session, ids: list[int], reach: Interval, *, free: list[int], extra: Busy
) -> dict[int, list[Interval]]:
    busy: dict[int, list[Interval]] = defaultdict(list)
    taken = select(
        AppointmentResource.resource_id, AppointmentResource.claim_start_at, AppointmentResource.claim_end_at
    ).where(
        AppointmentResource.resource_id.in_(ids),
        AppointmentResource.is_active,
        AppointmentResource.claim_end_at > reach.start,
        AppointmentResource.claim_start_at < reach.end,
    )
    if free:
        taken = taken.where(AppointmentResource.appointment_id.not_in(free))
    outside = (
        select(BusyInterval.resource_id, BusyInterval.start_at, BusyInterval.end_at)
        .join(Calendar, Calendar.id == BusyInterval.calendar_id)
        .where(
            BusyInterval.resource_id.in_(ids),
            Calendar.is_busy_source,
            BusyInterval.end_at > reach.start,
            BusyInterval.start_at < reach.end,
        )
    )
    for statement in (taken, outside):
        for resource_id, start_at, end_at in session.execute(statement):
            busy[resource_id].append(Interval(start_at, end_at))
    for resource_id, intervals in extra.items():
        busy[resource_id] += intervals
    return busy


def _hours(session: Session, ids: list[int], reach: Interval) -> dict[int, _Hours]:
    hours: dict[int, _Hours] = defaultdict(_Hours)
    weekly = select(WeeklyHours.resource_id, WeeklyHours.weekday, WeeklyHours.starts, WeeklyHours.ends)
    for resource_id, weekday, starts, ends in session.execute(weekly.where(WeeklyHours.resource_id.in_(ids))):
        days = hours[resource_id].weekly
        days[weekday] = (*days.get(weekday, ()), TimeRange(starts, ends))
    overrides = select(DateOverride.resource_id, DateOverride.on_date, DateOverride.starts, DateOverride.ends).where(
        DateOverride.resource_id.in_(ids),
        # local dates may be a day off from UTC's, on either side
        DateOverride.on_date.between(reach.start.date() - timedelta(days=2), reach.end.date() + timedelta(days=2)),
    )
    for row in session.execute(overrides):
        dates = hours[row.resource_id].overrides
        ranges = dates.get(row.on_date, ())
        is_closed = row.starts is None
        dates[row.on_date] = ranges if is_closed else (*ranges, TimeRange(row.starts, row.ends))
    return hours


def _blocked(
    session: Session, ids: list[int], reach: Interval, *, now: datetime, looked_at: frozenset[int]
) -> dict[int, tuple[Interval, ...]]:
    """Unknown is not free: where the rule says *stop offering*, a calendar that cannot be read shuts everything."""
    blocked: dict[int, tuple[Interval, ...]] = defaultdict(tuple)
    for row in stale_calendars(session, ids, now=now):
        if row.when_unreadable == "stop" and row.id not in looked_at:
            blocked[row.resource_id] = (reach,)
    return blocked


def _open_appointments(session: Session, service: Service, question: Question) -> tuple[OpenAppointment, ...]:
    """Appointments of this group service in the window that have seats left; seats of expired holds count as free."""
    window = question.window
    is_expired = and_(Booking.status == "held", Booking.held_until < database_clock())
    taken = func.count(Seat.seat_no).filter(~is_expired)
    rows = session.execute(
        select(Appointment.id, Appointment.start_at, Appointment.end_at, Appointment.capacity, taken)
        .join(Seat, Seat.appointment_id == Appointment.id)
        .join(Booking, Booking.id == Seat.booking_id)
        .where(
            Appointment.service_id == service.id,
            Appointment.is_active,
            Appointment.start_at >= window.start,
            Appointment.start_at < window.end,
        )
        .group_by(Appointment.id, Appointment.start_at, Appointment.end_at, Appointment.capacity)
        .having(taken > 0)
    ).all()
    resources: dict[int, list[int]] = defaultdict(list)
    members = select(AppointmentResource.appointment_id, AppointmentResource.resource_id).where(
        AppointmentResource.appointment_id.in_([row.id for row in rows])
    )
    for appointment_id, resource_id in session.execute(members.order_by(AppointmentResource.list_no)):
        resources[appointment_id].append(resource_id)
    own = question.moving.appointment_id if question.moving else None
    return tuple(
        OpenAppointment(
            interval=Interval(start_at, end_at),
            resource_ids=tuple(resources[id_]),
            seats_left=capacity - count,
        )
        for id_, start_at, end_at, capacity, count in rows
        if id_ != own
    )
