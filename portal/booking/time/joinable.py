"""The appointments that stand already and that people may join: fixed ones, and groups with somebody in them. Asked by `demand`.

A seat is free for whoever asks when nobody has it and nobody in the waitlist is about to be offered it. What an outside event stands over,
or what nobody knows about where the rule is *stop*, is shut: the engine is told why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence, Set
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, and_, bindparam, exists, func, or_, select
from sqlalchemy.orm import Session

from portal.availability.model import OpenAppointment
from portal.booking import statements
from portal.booking.holds import has_expired
from portal.booking.models import (
    ACTIVE,
    STANDING,
    Appointment,
    AppointmentResource,
    Booking,
    Offer,
    Seat,
    WaitlistEntry,
)
from portal.booking.statements import rows
from portal.business.models import Service
from portal.database.engine import small_letters
from portal.intervals import Interval

LATEST_OFFER = timedelta(minutes=20)
"""The waitlist offers nothing that begins sooner, so nothing is kept for it either."""


def find_standing(
    session: Session,
    service: Service,
    window: Interval,
    *,
    now: datetime,
    own: int | None,
    extra_busy: Mapping[int, Sequence[Interval]],
    unknown: Set[int],
    for_waitlist: bool,
) -> tuple[OpenAppointment, ...]:
    """What stands with its seats, of all that starts within the window; `own` is left out. `extra_busy` is what a last look found by resource;
    `unknown` are resources that a rule shuts. `for_waitlist`: the seats that are kept for those who wait count as free."""
    between = {"start": window.start, "end": window.end}
    standing = [row for row in rows(session, _standing(), service_id=service.id, **between) if row.id != own]
    if service.timing == "fixed":
        standing = [row for row in standing if row.is_fixed]
    if not standing:
        return ()
    members: dict[int, list[int]] = defaultdict(list)
    for appointment_id, resource_id in rows(session, _members(), ids=[row.id for row in standing]):
        members[appointment_id].append(resource_id)
    busy = _outside(session, standing, members, extra_busy)
    kept = {} if for_waitlist else _kept(session, service, standing, members, now=now)
    return tuple(
        OpenAppointment(
            interval=Interval(row.start_at, row.end_at),
            resource_ids=tuple(members[row.id]),
            seats_left=row.capacity - row.taken - kept.get(row.id, 0),
            id=row.id,
            is_taken=any(each.overlaps(_claimed(row)) for i in members[row.id] for each in busy.get(i, ())),
            is_unknown=not unknown.isdisjoint(members[row.id]),
        )
        for row in standing
    )


def count_made(
    session: Session, service: Service, window: Interval, *, zone: str, free: Collection[int]
) -> dict[date, int]:
    """How many appointments of the service stand on each local day of the weeks that the window touches, but for those that are `free`."""
    week = timedelta(days=8)  # a local day may be a day off from UTC's
    between = {"start": window.start - week, "end": window.end + week}
    local = ZoneInfo(zone)
    counted: dict[date, int] = defaultdict(int)
    for appointment_id, start_at in rows(session, _made(), service_id=service.id, **between):
        if appointment_id not in free:
            counted[start_at.astimezone(local).date()] += 1
    return counted


def _claimed(row: Any) -> Interval:
    return Interval(row.claim_start_at, row.claim_end_at)


def _outside(
    session: Session,
    standing: Sequence[Any],
    members: Mapping[int, Sequence[int]],
    extra: Mapping[int, Sequence[Interval]],
) -> dict[int, list[Interval]]:
    """What outside events take of the time of those who give the appointments; our own events are none."""
    busy: dict[int, list[Interval]] = defaultdict(list)
    ids = sorted({resource_id for each in members.values() for resource_id in each})
    reach = {"start": min(row.claim_start_at for row in standing), "end": max(row.claim_end_at for row in standing)}
    for resource_id, start_at, end_at in rows(session, statements.outside(), ids=ids, **reach):
        busy[resource_id].append(Interval(start_at, end_at))
    for resource_id, intervals in extra.items():
        busy[resource_id] += intervals
    return busy


def _kept(
    session: Session, service: Service, standing: Sequence[Any], members: Mapping[int, Sequence[int]], *, now: datetime
) -> dict[int, int]:
    """Free seats that entries of the waitlist are about to be offered, in the order of their queue: by appointment."""
    if not service.has_waitlist or service.is_waitlist_paused:
        return {}
    free = {row.id: row.capacity - row.taken for row in standing if row.capacity > row.taken}
    soonest = now + max(LATEST_OFFER, timedelta(minutes=service.notice))
    starts = {row.id: row.start_at for row in standing if row.start_at >= soonest}
    wanted = [i for i in free if i in starts]
    if not wanted:
        return {}
    kept: dict[int, int] = defaultdict(int)
    limit = service.per_customer
    for appointment_id, party_size, person, to_come in rows(session, _waiting(), ids=wanted, now=now):
        is_for_them = (person is None or person in members[appointment_id]) and (limit is None or to_come < limit)
        if is_for_them and party_size <= free[appointment_id] - kept[appointment_id]:
            kept[appointment_id] += party_size
    return kept


@cache
def _standing() -> Select[Any]:
    """Fixed appointments, booked or not, and groups with somebody in them. `taken` counts no expired hold."""
    appointment, seat, booking = _APPOINTMENT.c, _SEAT.c, _BOOKING.c
    taken = func.count(seat.seat_no).filter(~has_expired(booking))
    shown = (
        appointment.id,
        appointment.start_at,
        appointment.end_at,
        appointment.claim_start_at,
        appointment.claim_end_at,
        appointment.capacity,
        appointment.is_fixed,
    )
    everything = _APPOINTMENT.outerjoin(_SEAT, seat.appointment_id == appointment.id)
    return (
        select(*shown, taken.label("taken"))
        .select_from(everything.outerjoin(_BOOKING, booking.id == seat.booking_id))
        .where(appointment.service_id == bindparam("service_id"), appointment.is_active, _starts_within(appointment))
        .group_by(*shown)
        .having(or_(taken > 0, appointment.is_fixed))
    )


@cache
def _members() -> Select[Any]:
    member = AppointmentResource.__table__.c
    return (
        select(member.appointment_id, member.resource_id)
        .where(member.appointment_id.in_(bindparam("ids", expanding=True)))
        .order_by(member.appointment_id, member.list_no)
    )


@cache
def _made() -> Select[Any]:
    """(id, start) of what counts for the limits: somebody is in it, and not by an expired hold alone."""
    appointment, booking = _APPOINTMENT.c, _BOOKING.c
    is_taken = exists().where(
        booking.appointment_id == appointment.id, booking.status.in_(ACTIVE), ~has_expired(booking)
    )
    return select(appointment.id, appointment.start_at).where(
        appointment.service_id == bindparam("service_id"), appointment.is_active, _starts_within(appointment), is_taken
    )


@cache
def _waiting() -> Select[Any]:
    """(appointment id, party, person wanted, the customer's bookings to come) of those who wait for these appointments, first come first;
    without those to whom the waitlist would not offer that start: they let it go before, or have a booking then."""
    entry, offer, booking, appointment = _ENTRY.c, Offer.__table__.c, _BOOKING.c, _APPOINTMENT.c
    other = _APPOINTMENT.alias().c
    let_go = exists().where(
        offer.entry_id == entry.id, offer.state.in_(("declined", "lapsed")), offer.start_at == appointment.start_at
    )
    theirs = (
        other.id == booking.appointment_id,
        other.service_id == appointment.service_id,
        booking.status.in_(STANDING),
        small_letters(booking.customer_email) == small_letters(entry.customer_email),
    )
    to_come = select(func.count(booking.id)).where(*theirs, other.start_at > bindparam("now"))
    # A fixed appointment is waited for wherever staff move it; a group comes and goes with its bookings, so its start counts.
    is_wanted = or_(
        and_(appointment.is_fixed, entry.appointment_id == appointment.id),
        and_(~appointment.is_fixed, entry.start_at == appointment.start_at),
    )
    return (
        select(
            appointment.id,
            entry.party_size,
            entry.resource_id,
            to_come.correlate(_ENTRY, _APPOINTMENT).scalar_subquery(),
        )
        .where(
            appointment.id.in_(bindparam("ids", expanding=True)),
            entry.service_id == appointment.service_id,
            entry.status == "waiting",
            entry.wish == "appointment",
            is_wanted,
            ~let_go,
            ~exists().where(*theirs, other.start_at == appointment.start_at),
        )
        .order_by(appointment.id, entry.joined_at, entry.id)
    )


def _starts_within(appointment: Any) -> Any:
    return and_(appointment.start_at >= bindparam("start"), appointment.start_at < bindparam("end"))


_APPOINTMENT: Any = Appointment.__table__
_SEAT: Any = Seat.__table__
_BOOKING: Any = Booking.__table__
_ENTRY: Any = WaitlistEntry.__table__
