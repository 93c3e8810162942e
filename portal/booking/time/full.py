"""What is full, and how many wait for it: where the pages of a service offer its waitlist. Asked by `portal.public.booking.picker` and the
waitlist's pages.

Reads only, and names nobody: numbers, times and dates are all that leaves this module.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, ScalarSelect, and_, func, or_, select
from sqlalchemy.orm import Session

from portal.availability.model import Demand, Slot, Timetable
from portal.availability.slots import offer_slots
from portal.booking.holds import has_expired
from portal.booking.models import Appointment, Booking, Seat, WaitlistEntry
from portal.booking.time.demand import Question, build_demand
from portal.booking.time.joinable import find_standing
from portal.business.models import Service
from portal.intervals import Interval

QUEUED = ("waiting", "offered")


@dataclass(frozen=True, slots=True)
class FullAppointment:
    """An appointment that stands without enough free seats. `left` is how many there are, `waiting` how many entries are in its queue."""

    id: int
    interval: Interval
    capacity: int
    left: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Full:
    """What is full, by local dates: appointments that people join, and whole `days` of a service whose times are each taken by one."""

    appointments: Mapping[date, Sequence[FullAppointment]] = field(default_factory=dict)
    days: frozenset[date] = frozenset()

    @property
    def dates(self) -> frozenset[date]:
        """Where there is something to wait for."""
        return self.days | self.appointments.keys()


NOTHING_FULL = Full()


def find_full(
    session: Session,
    service: Service,
    days: Mapping[date, Sequence[Slot]],
    *,
    zone: str,
    now: datetime,
    resource_id: int | None = None,
    party_size: int = 1,
) -> Full:
    """What can be waited for from the first to the last of these local dates, given the slots that are free on them; a date in between
    that is not there counts as one without."""
    local = ZoneInfo(zone)
    ends_on = max(days) + timedelta(days=1)
    window = Interval(datetime.combine(min(days), time(), local), datetime.combine(ends_on, time(), local))
    free = {slot.interval for slots in days.values() for slot in slots}
    appointments: dict[date, list[FullAppointment]] = {}
    for row in full_appointments(
        session, service, window=window, free=free, now=now, resource_id=resource_id, party_size=party_size
    ):
        appointments.setdefault(row.interval.start.astimezone(local).date(), []).append(row)
    if service.timing != "slots" or all(days.values()):
        return Full(appointments)
    possible = possible_days(session, service, window=window, zone=zone, now=now, resource_id=resource_id)
    return Full(appointments, frozenset(on for on in possible if not days.get(on)))


def full_appointments(
    session: Session,
    service: Service,
    *,
    window: Interval,
    free: Collection[Interval],
    now: datetime,
    resource_id: int | None = None,
    party_size: int = 1,
) -> list[FullAppointment]:
    """The appointments that start within `window`, are not among the `free` times, and are full for such a party.

    One with seats enough that is not offered all the same is full when others wait for it (its seats are kept for them); else something
    shuts it, and waiting would be in vain, as it is under an outside event.
    """
    standing = find_standing(
        session, service, _bookable(service, window, now), now=now, own=None, extra_busy={}, unknown=frozenset(),
        for_waitlist=True,
    )  # fmt: skip
    missing = {
        row.id: row
        for row in standing
        if row.id is not None
        and row.interval not in free
        and not row.is_taken
        and (resource_id is None or resource_id in row.resource_ids)
    }
    appointments = _with_ids(session, missing)
    waiting = count_waiting(session, service, appointments)
    return [
        FullAppointment(each.id, missing[each.id].interval, each.capacity, max(left, 0), waiting.get(each.id, 0))
        for each in appointments
        if each.capacity >= party_size and ((left := missing[each.id].seats_left) < party_size or waiting.get(each.id))
    ]


def possible_days(
    session: Session, service: Service, *, window: Interval, zone: str, now: datetime, resource_id: int | None = None
) -> set[date]:
    """The local dates within `window` on which this service could be had if nothing were taken: the days that may be full."""
    question = Question(window=_bookable(service, window, now), resource_id=resource_id)
    demand = _emptied(build_demand(session, service, question, now=now))
    local = ZoneInfo(zone)
    return {slot.interval.start.astimezone(local).date() for slot in offer_slots(demand, now=now)}


def count_waiting(session: Session, service: Service, appointments: Sequence[Appointment]) -> dict[int, int]:
    """How many entries wait for (or are offered) each of these appointments, by id; those without are left out.

    A fixed one is waited for wherever it is moved; others come and go with their bookings, so there the start counts.
    """
    if not appointments:
        return {}
    entry = WaitlistEntry
    counted = session.execute(
        select(entry.appointment_id, entry.start_at, func.count())
        .where(entry.service_id == service.id, entry.wish == "appointment", entry.status.in_(QUEUED))
        .group_by(entry.appointment_id, entry.start_at)
    ).all()
    waiting = {
        row.id: sum(
            number
            for appointment_id, start_at, number in counted
            if (appointment_id == row.id if row.is_fixed else start_at == row.start_at)
        )
        for row in appointments
    }
    return {appointment_id: number for appointment_id, number in waiting.items() if number}


def count_waiting_for_day(session: Session, service: Service, on: date) -> int:
    """How many entries wait for the service on this date of the business's zone: for that day, its week, or any."""
    monday = on - timedelta(days=on.weekday())
    is_that_week = WaitlistEntry.wish_on.between(monday, monday + timedelta(days=6))
    wishes = or_(
        WaitlistEntry.wish == "any",
        and_(WaitlistEntry.wish == "day", WaitlistEntry.wish_on == on),
        and_(WaitlistEntry.wish == "week", is_that_week),
    )
    waiting = and_(WaitlistEntry.service_id == service.id, WaitlistEntry.status.in_(QUEUED), wishes)
    return session.scalar(select(func.count()).select_from(WaitlistEntry).where(waiting)) or 0


def find_appointment(session: Session, service: Service, start_at: datetime) -> Appointment | None:
    """The appointment of several seats that stands at this time, if there is one."""
    return session.scalar(
        select(Appointment)
        .where(Appointment.service_id == service.id, Appointment.is_active, Appointment.start_at == start_at)
        .where(_has_several_seats())
        .order_by(Appointment.id)
        .limit(1)
    )


def seats_left(session: Session, appointment: Appointment) -> int:
    return max(appointment.capacity - (session.scalar(select(_taken(appointment.id))) or 0), 0)


def _with_ids(session: Session, ids: Collection[int]) -> Sequence[Appointment]:
    if not ids:
        return []
    found = select(Appointment).where(Appointment.id.in_(ids), _has_several_seats())
    return session.scalars(found.order_by(Appointment.start_at, Appointment.id)).all()


def _taken(appointment_id: Any) -> ScalarSelect[int]:
    return (
        select(func.count(Seat.seat_no))
        .join(Booking, Booking.id == Seat.booking_id)
        .where(Seat.appointment_id == appointment_id, ~has_expired())
        .scalar_subquery()
    )


def _has_several_seats() -> ColumnElement[bool]:
    """Appointments that people join, as opposed to times that one customer takes whole."""
    return or_(Appointment.is_fixed, Appointment.capacity > 1)


def _bookable(service: Service, window: Interval, now: datetime) -> Interval:
    """The part of the window in which the service can be booked at all; of no length when there is none."""
    start = max(window.start, now + timedelta(minutes=service.notice)).astimezone(UTC)
    return Interval(start, max(start, min(window.end, now + timedelta(days=service.horizon)).astimezone(UTC)))


def _emptied(demand: Demand) -> Demand:
    """The same question in a world in which nobody has booked and no calendar holds anything."""
    return replace(
        demand,
        resources=tuple(_cleared(table) for table in demand.resources),
        also_needs=tuple(tuple(_cleared(table) for table in members) for members in demand.also_needs),
        open_appointments=(),
        made_on={},
    )


def _cleared(table: Timetable) -> Timetable:
    return replace(table, busy=(), blocked=())
