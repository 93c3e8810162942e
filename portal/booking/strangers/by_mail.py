"""Bookings that count once their customer has confirmed them by the link in their mail: until then they are held, filled in and with an end.

The link is the right, so nothing but the mail may carry it; opening it changes nothing, the button behind it does. What nobody confirms is
deleted with all that was typed, as every hold is. Staff see it while it waits, and may say yes in the customer's place, or let it go.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, and_
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.holds import is_live_hold
from portal.booking.models import Booking
from portal.database.engine import database_now

if TYPE_CHECKING:
    pass

CONFIRM_WITHIN = timedelta(minutes=30)


def ask(session: Session, booking: Booking) -> None:
    """It is kept a while longer, for its customer to confirm it."""
    keep(session, booking)
    outbox.record(
        session, "notify.customer", f"booking:{booking.id}", news="confirm", by="customer", sequence=booking.sequence
    )


def keep(session: Session, booking: Booking) -> None:
    """So long, and no longer."""
    until = database_now(session) + CONFIRM_WITHIN
    booking.held_until, booking.hold_extended = min(until, booking.appointment.start_at), True


def is_waiting() -> ColumnElement[bool]:
    """Whether a booking waits for its customer to confirm it. What is only held, or offered to the waitlist, has no link yet."""
    return and_(Booking.manage_hash.is_not(None), is_live_hold())
