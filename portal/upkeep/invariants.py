"""What must be true of every database at every moment, as questions to it: for `lockstep doctor --strict` and for tests, which ask after every storm.

Each function reads only, and gives one sentence per thing that is wrong. They trust no key and no code: they count.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, String, and_, cast, exists, func, literal, or_, select
from sqlalchemy.orm import Session, aliased

from portal.booking.models import (
    ACTIVE,
    STANDING,
    Appointment,
    AppointmentResource,
    Booking,
    Claim,
    EventLink,
    Offer,
    Seat,
    WaitlistEntry,
)
from portal.booking.rules import quanta
from portal.calendars.models import Calendar
from portal.clock import now_utc
from portal.outbox import OutboxEntry
from portal.sync import ledger
from portal.sync.event.stands import standing

PUBLISH = "calendar.publish"


def invariants(session: Session) -> list[str]:
    """Everything that is wrong; empty when all is well."""
    checks = (overlaps, wrong_claims, wrong_seats, wrong_activity, wrong_offers, unannounced, broken_ledger)
    return [sentence for check in checks for sentence in check(session)]


def overlaps(session: Session) -> Iterator[str]:
    """Promise 1: no two active appointments share a resource's time, buffers included."""
    rows = session.execute(
        select(AppointmentResource.resource_id, AppointmentResource.appointment_id, AppointmentResource.claim_start_at,
               AppointmentResource.claim_end_at)
        .where(AppointmentResource.is_active)
        .order_by(AppointmentResource.resource_id, AppointmentResource.claim_start_at, AppointmentResource.claim_end_at)
    )  # fmt: skip
    last_resource, last_appointment, last_end = None, None, None
    for resource_id, appointment_id, start_at, end_at in rows:
        if resource_id != last_resource:
            last_resource, last_appointment, last_end = resource_id, appointment_id, end_at
            continue
        if last_end is not None and start_at < last_end:
            yield f"Appointments {last_appointment} and {appointment_id} overlap on resource {resource_id} at {start_at}."
        if last_end is None or end_at > last_end:
            last_appointment, last_end = appointment_id, end_at


def wrong_claims(session: Session) -> Iterator[str]:
    """Claims and active appointments say the same, both ways: each quantum of each, and none besides."""
    claims = _claims(session)
    rows = session.execute(
        select(AppointmentResource.appointment_id, AppointmentResource.resource_id, AppointmentResource.claim_start_at,
               AppointmentResource.claim_end_at)
        .where(AppointmentResource.is_active)
    )  # fmt: skip
    for appointment_id, resource_id, start_at, end_at in rows:
        wanted = quanta(start_at, end_at)
        found = claims.pop((appointment_id, resource_id), (0, None, None))
        # As (resource, quantum) is a key, the number of claims with first and last tells that they are exactly these.
        if found != (len(wanted), wanted[0], wanted[-1]):
            yield f"Appointment {appointment_id} has {found[0]} claims on resource {resource_id} instead of {len(wanted)}."
    for (appointment_id, resource_id), (count, *_) in claims.items():
        yield f"{count} claims on resource {resource_id} belong to appointment {appointment_id}, which does not take that time."


def wrong_seats(session: Session) -> Iterator[str]:
    """Every active booking has a seat for each person, no other has any, and no appointment more than its capacity."""
    seats = select(Seat.booking_id, func.count().label("number")).group_by(Seat.booking_id).subquery()
    number = func.coalesce(seats.c.number, 0)
    wanted = or_(
        and_(Booking.status.in_(ACTIVE), number != Booking.party_size),
        and_(Booking.status.in_(("cancelled",)), number > 0),
    )
    statement = (
        select(Booking.id, Booking.status, number).outerjoin(seats, seats.c.booking_id == Booking.id).where(wanted)
    )
    for booking_id, status, count in session.execute(statement):
        yield f"Booking {booking_id} ({status}) has {count} seats."
    crowded = select(Seat.appointment_id, Seat.seat_no).join(Appointment, Appointment.id == Seat.appointment_id)
    for appointment_id, seat_no in session.execute(
        crowded.where(or_(Seat.seat_no > Appointment.capacity, Seat.seat_no < 1))
    ):
        yield f"Appointment {appointment_id} has a seat number {seat_no}, more than it can hold."
    number_taken = func.count(Seat.seat_no)
    taken = select(Appointment.id, Appointment.capacity, number_taken).join(Seat, Seat.appointment_id == Appointment.id)
    overfull = taken.group_by(Appointment.id, Appointment.capacity).having(number_taken > Appointment.capacity)
    for appointment_id, capacity, count in session.execute(overfull):
        yield f"Appointment {appointment_id} has {count} seats taken, and holds {capacity}."
    strangers = select(Seat.booking_id).join(Booking, Booking.id == Seat.booking_id)
    for booking_id in session.scalars(strangers.where(Booking.appointment_id != Seat.appointment_id)):
        yield f"Booking {booking_id} sits in another appointment than its own."


def wrong_activity(session: Session) -> Iterator[str]:
    """An appointment is active exactly when somebody is in it, or staff have fixed it, and so is its hold on its resources."""
    has_bookings = exists().where(Booking.appointment_id == Appointment.id, Booking.status.in_(ACTIVE))
    for appointment_id in session.scalars(_ids(Appointment.is_active, ~Appointment.is_fixed, ~has_bookings)):
        yield f"Appointment {appointment_id} takes time although nobody is in it."
    for appointment_id in session.scalars(_ids(Appointment.is_active, Appointment.called_off_at.is_not(None))):
        yield f"Appointment {appointment_id} takes time although it was called off."
    for appointment_id in session.scalars(_ids(~Appointment.is_active, has_bookings)):
        yield f"Appointment {appointment_id} owns no time although somebody is in it."
    has_members = exists().where(AppointmentResource.appointment_id == Appointment.id)
    for appointment_id in session.scalars(_ids(Appointment.is_active, ~has_members)):
        yield f"Appointment {appointment_id} takes nobody's time, so others may take it too."
    members = select(AppointmentResource.appointment_id).join(Appointment)
    for appointment_id in session.scalars(members.where(AppointmentResource.is_active != Appointment.is_active)):
        yield f"Appointment {appointment_id} and its resources do not agree whether it is active."


def wrong_offers(session: Session) -> Iterator[str]:
    """A waitlist entry says "offered" exactly while an offer to it is open, and an open offer is held for the customer and not booked yet."""
    is_open = exists().where(Offer.entry_id == WaitlistEntry.id, Offer.state == "open")
    says_so = WaitlistEntry.status == "offered"
    for entry_id in session.scalars(select(WaitlistEntry.id).where(says_so != is_open)):
        yield f"Waitlist entry {entry_id} and its offers do not agree whether something is offered to it."
    booked = select(Offer.id).join(Booking, Booking.id == Offer.booking_id).where(Booking.status.in_(STANDING))
    for offer_id in session.scalars(booked.where(Offer.state == "open")):
        yield f"Offer {offer_id} is still open although its seats are booked."
    for entry_id in session.scalars(
        select(WaitlistEntry.id).where(
            WaitlistEntry.status.in_(("waiting", "offered")) == WaitlistEntry.ended_at.is_not(None)
        )
    ):
        yield f"Waitlist entry {entry_id} does not know whether it has ended."


def unannounced(session: Session) -> Iterator[str]:
    """Promise 4: each standing appointment to come stands in its destination calendars at its newest version, or waits, with a reason."""
    entry = aliased(OutboxEntry)
    subject = literal("appointment:") + cast(Appointment.id, String)
    is_recorded = exists().where(entry.subject == subject, entry.topic == PUBLISH, entry.state.in_(("todo", "stuck")))
    is_shown = exists().where(
        EventLink.appointment_id == Appointment.id,
        EventLink.calendar_id == Calendar.id,
        or_(EventLink.state.in_(("waiting", "stuck")), EventLink.applied_version >= Appointment.version),
    )
    statement = (
        select(Appointment.id, Calendar.id)
        .join(AppointmentResource, AppointmentResource.appointment_id == Appointment.id)
        .join(Calendar, and_(Calendar.resource_id == AppointmentResource.resource_id, Calendar.is_destination))
        .where(standing(), Appointment.end_at > now_utc(), ~is_recorded, ~is_shown)
    )
    for appointment_id, calendar_id in session.execute(statement):
        yield f"Appointment {appointment_id} is neither in calendar {calendar_id} nor waiting to be written there."


def _ids(*conditions: Any) -> Select[int]:
    return select(Appointment.id).where(*conditions)


def broken_ledger(session: Session) -> Iterator[str]:
    """The ledger's chain holds."""
    line = ledger.verify(session)
    if line is not None:
        yield f"The ledger was altered at or before line {line.id}."


def _claims(session: Session) -> dict[tuple[int, int], tuple[int, int, int]]:
    """(appointment, resource) -> number of claims, first and last quantum."""
    rows = session.execute(
        select(Claim.appointment_id, Claim.resource_id, func.count(), func.min(Claim.quantum_no), func.max(Claim.quantum_no))
        .group_by(Claim.appointment_id, Claim.resource_id)
    )  # fmt: skip
    return {
        (appointment_id, resource_id): (count, first, last) for appointment_id, resource_id, count, first, last in rows
    }
