"""Pending bookings: those that wait for a person's yes, and those that wait for a calendar. Each end of the waiting is one transaction.

Who answers locks the booking's row and looks at its status again, so of two answers at once the first counts, and the other is refused with
a sentence. Called by the staff pages, the API, after pulls (`settle_pending`) and the periodic table (`refuse_unanswered`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from portal.booking import rules
from portal.booking.models import Appointment, AppointmentResource, Booking
from portal.booking.rules import By
from portal.booking.steps import end, found, locked, tell
from portal.booking.time.demand import stale_calendars
from portal.booking.time.last_look import Seen, look_ahead
from portal.booking.time.outside_events import Over, check_nothing_over
from portal.database.engine import read_transaction, transaction, write_transaction
from portal.errors import NotAllowedNow, OutsideEvent
from portal.extensions import db
from portal.intervals import Interval

APPROVAL, CALENDAR = "approval", "calendar"
"""What a pending booking waits for (`booking.pending_reason`)."""


def approve_booking(
    booking_id: int,
    *,
    now: datetime,
    sequence: int | None = None,
    over: bool = False,
    note: Callable[[Session, Booking, Sequence[Over]], None] | None = None,
) -> None:
    """pending -> confirmed. It owns its time already, so no booking can have taken it; an outside event may stand there, and then `over`
    says that whoever approves knows that. `note` writes down what it was confirmed over, in the same transaction.

    `sequence` is that of the booking as whoever answers has seen it: when it was moved meanwhile, they have to look again.
    Raises OutsideEvent, NotAllowedNow, NotFound.
    """
    ids, seen = _look(found(db.session(), booking_id), now=now)

    def work(session: Session) -> None:
        booking = _asked(session, booking_id, sequence=sequence)
        appointment = booking.appointment
        rules.check_approval(booking.status, appointment.start_at, reason=booking.pending_reason, now=now)
        _check_locked(appointment, ids)
        try:
            check_nothing_over(session, appointment, seen=seen)
        except OutsideEvent as against:
            if not over:
                raise
            if note is not None:
                note(session, booking, against.events)
        confirm(session, booking, by="staff", now=now)

    write_transaction(ids, work)


def refuse_booking(booking_id: int, *, now: datetime, sequence: int | None = None) -> None:
    """pending -> cancelled, and the time is free again. `sequence` as for `approve_booking`. Raises NotAllowedNow, NotFound."""

    def work(session: Session) -> None:
        booking = _asked(session, booking_id, sequence=sequence)
        end(session, booking, rules.next_status(booking.status, "refuse"), news="refused", by="staff", now=now)

    transaction(work)


def settle_pending(resource_id: int, *, now: datetime) -> list[int]:
    """Confirm the bookings that waited only for a calendar of this resource that has been read again, each in a transaction of its own.

    Called after a reading. All calendars of such a booking's resources are looked at once more, and it is confirmed under all their locks: a
    booking over which an outside event stands now keeps waiting, for staff to decide. Returns the ids of the confirmed ones.
    """
    waiting = read_transaction(lambda session: list(session.scalars(_waiting_for_calendar(resource_id))))
    return [booking_id for booking_id in waiting if _settle(booking_id, now=now)]


def refuse_unanswered(*, now: datetime) -> list[int]:
    """Refuse the requests that nobody answered before their start; their customers are told so. Returns the ids of the bookings."""
    overdue = (
        select(Booking)
        .join(Appointment, Appointment.id == Booking.appointment_id)
        .where(Booking.status == "pending", Booking.pending_reason == APPROVAL, Appointment.start_at <= now)
        .order_by(Booking.id)
        .with_for_update(of=Booking)
    )

    def work(session: Session) -> list[int]:
        refused = session.scalars(overdue).all()
        for booking in refused:
            status = rules.next_status(booking.status, "refuse")
            end(session, booking, status, news="refused", by="portal", now=now, reason="unanswered")
        return [booking.id for booking in refused]

    return transaction(work)


def confirm(session: Session, booking: Booking, *, by: By, now: datetime) -> None:
    """Make a pending booking a confirmed one and tell everybody, in the caller's transaction, which has locked its row. Raises NotAllowedNow."""
    booking.status = rules.next_status(booking.status, "approve")
    booking.pending_reason = ""
    booking.confirmed_at = now
    tell(session, booking, "approved", by=by)


def _settle(booking_id: int, *, now: datetime) -> bool:
    """Whether it is confirmed now."""
    session: Session = db.session()
    booking = session.get(Booking, booking_id)
    if booking is None or stale_calendars(session, [row.resource_id for row in booking.appointment.resources], now=now):
        return False
    ids, seen = _look(booking, now=now)

    def work(session: Session) -> bool:
        booking = session.scalar(_still_waits(booking_id))
        if booking is None or stale_calendars(session, ids, now=now):
            return False
        _check_locked(booking.appointment, ids)
        check_nothing_over(session, booking.appointment, seen=seen)
        confirm(session, booking, by="calendar", now=now)
        return True

    try:
        return write_transaction(ids, work)
    except (OutsideEvent, NotAllowedNow):
        return False


def _look(booking: Booking, *, now: datetime) -> tuple[list[int], Seen]:
    """The booking's resources, which are to be locked, and a last look at their calendars. No transaction is open after it."""
    appointment = booking.appointment
    ids = sorted(row.resource_id for row in appointment.resources)
    claimed = Interval(appointment.claim_start_at, appointment.claim_end_at)
    return ids, look_ahead(ids, claimed, now=now)


def _check_locked(appointment: Appointment, ids: Sequence[int]) -> None:
    """The booking takes the resources that were locked for it. Raises NotAllowedNow when it was moved to others meanwhile."""
    if {row.resource_id for row in appointment.resources} != set(ids):
        raise NotAllowedNow("This booking has just been moved. Please look at it again, then answer.")


def _waiting_for_calendar(resource_id: int) -> Select[int]:
    return (
        select(Booking.id)
        .join(AppointmentResource, AppointmentResource.appointment_id == Booking.appointment_id)
        .where(*_WAITS_FOR_CALENDAR, AppointmentResource.resource_id == resource_id)
        .order_by(Booking.id)
    )


def _still_waits(booking_id: int) -> Select[Booking]:
    return select(Booking).where(Booking.id == booking_id, *_WAITS_FOR_CALENDAR).with_for_update()


def _asked(session: Session, booking_id: int, *, sequence: int | None) -> Booking:
    """The booking under lock, as it was seen. Raises NotFound, NotAllowedNow."""
    booking = locked(session, booking_id)
    if sequence is not None and booking.status == "pending" and booking.sequence != sequence:
        raise NotAllowedNow(
            "This request has changed since you looked at it: the customer may have moved it. Please look at it again, then answer."
        )
    return booking


_WAITS_FOR_CALENDAR = (Booking.status == "pending", Booking.pending_reason == CALENDAR)
