"""Bookings that count once their customer has confirmed them by the link in their mail: until then they are held, filled in and with an end.

The link is the right, so nothing but the mail may carry it; opening it changes nothing, the button behind it does. What nobody confirms is
deleted with all that was typed, as every hold is.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.last_look import look_ahead
from portal.booking.limits import check_per_customer, limit_locks
from portal.booking.models import Booking
from portal.booking.queries import booking_of_manage_token
from portal.booking.wish import check_no_outside_event, wish_of, with_nearest
from portal.db import database_now, write_transaction
from portal.errors import HoldExpired
from portal.extensions import db
from portal.i18n import say

if TYPE_CHECKING:
    from portal.booking.operations import Outcome

CONFIRM_WITHIN = timedelta(minutes=30)


def ask(session: Session, booking: Booking) -> None:
    """It is kept a while longer, for its customer to confirm it."""
    until = database_now(session) + CONFIRM_WITHIN
    booking.held_until, booking.hold_extended = min(until, booking.appointment.start_at), True
    outbox.record(
        session, "notify.customer", f"booking:{booking.id}", news="confirm", by="customer", sequence=booking.sequence
    )


def confirm(manage_link: str, *, now: datetime) -> Outcome:
    """The customer has opened the link in their mail and pressed the button: the held booking counts, as `confirm_hold` says. Twice is the
    same as once. Raises NotFound, HoldExpired, LimitReached, SlotTaken (with `nearest`)."""
    from portal.booking import operations

    booking = booking_of_manage_token(db.session(), manage_link)
    if booking.status != "held":
        return operations.Outcome(booking.id, booking.public_id, manage_link, booking.status, is_repeat=True)
    booking_id, service, wish = booking.id, booking.appointment.service, wish_of(booking)
    locks = limit_locks(db.session(), service, wish.resource_ids)
    seen = look_ahead(wish.resource_ids, wish.claimed, now=now)

    def work(session: Session) -> Outcome:
        booking = session.scalar(select(Booking).where(Booking.id == booking_id).with_for_update())
        if booking is None or (booking.status == "held" and (booking.held_until or now) < database_now(session)):
            raise HoldExpired(
                say(
                    "This booking was kept for you until it was confirmed, and that time is over. Please choose a time again."
                )
            )
        if booking.status == "held":
            check_no_outside_event(session, wish, seen=seen)
            check_per_customer(session, booking.appointment.service, booking.customer_email, now=now)
            operations.make_count(session, booking, seen=seen, now=now)
        return operations.Outcome(booking.id, booking.public_id, manage_link, booking.status)

    return with_nearest(wish, now, lambda: write_transaction(locks, work))
