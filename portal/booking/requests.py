"""Pending bookings: those that wait for a person's yes, and those that wait for a calendar. Each end of the waiting is one transaction.

Who answers locks the booking's row and looks at its status again, so of two answers at once the first counts, and the other is refused with
a sentence. Called by the staff pages, the API, pulls (`settle_pending`) and the periodic table (`refuse_unanswered`).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking import rules
from portal.booking.demand import stale_calendars
from portal.booking.last_look import Seen
from portal.booking.models import Appointment, Booking
from portal.booking.records import end, locked, tell
from portal.booking.rules import By
from portal.booking.wish import check_no_outside_event, wish_of
from portal.db import transaction
from portal.errors import NotAllowedNow, SlotTaken

APPROVAL, CALENDAR = "approval", "calendar"
"""What a pending booking waits for (`booking.pending_reason`)."""


def approve_booking(booking_id: int, *, now: datetime, sequence: int | None = None) -> None:
    """pending -> confirmed. It owns its time already, so no booking can have taken it.

    `sequence` is that of the booking as whoever answers has seen it: when it was moved meanwhile, they have to look again.
    Raises NotAllowedNow, NotFound.
    """

    def work(session: Session) -> None:
        booking = _asked(session, booking_id, sequence=sequence)
        rules.check_approval(booking.status, booking.appointment.start_at, reason=booking.pending_reason, now=now)
        confirm(session, booking, by="staff", now=now)

    transaction(work)


def refuse_booking(booking_id: int, *, now: datetime, sequence: int | None = None) -> None:
    """pending -> cancelled, and the time is free again. `sequence` as for `approve_booking`. Raises NotAllowedNow, NotFound."""

    def work(session: Session) -> None:
        booking = _asked(session, booking_id, sequence=sequence)
        end(session, booking, rules.next_status(booking.status, "refuse"), news="refused", by="staff", now=now)

    transaction(work)


def settle_pending(session: Session, resource_id: int, *, now: datetime) -> list[int]:
    """Confirm the bookings that waited only for a calendar of this resource that has been read again.

    Called by a pull inside its own transaction, which holds the resource's lock. A booking over which an outside event stands now
    keeps waiting, for staff to decide. Returns the ids of the confirmed ones.
    """
    waiting = session.scalars(
        select(Booking).where(Booking.status == "pending", Booking.pending_reason == CALENDAR).with_for_update()
    )
    settled = []
    for booking in waiting:
        wish = wish_of(booking)
        if resource_id not in wish.resource_ids or stale_calendars(session, wish.resource_ids, now=now):
            continue
        try:
            check_no_outside_event(session, wish, seen=Seen())
        except SlotTaken:
            continue
        confirm(session, booking, by="calendar", now=now)
        settled.append(booking.id)
    return settled


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


def _asked(session: Session, booking_id: int, *, sequence: int | None) -> Booking:
    """The booking under lock, as it was seen. Raises NotFound, NotAllowedNow."""
    booking = locked(session, booking_id)
    if sequence is not None and booking.status == "pending" and booking.sequence != sequence:
        raise NotAllowedNow(
            "This request has changed since you looked at it: the customer may have moved it. Please look at it again, then answer."
        )
    return booking
