"""What becomes of a booking that waits for its customer's mail: they confirm it by the link, staff do in their place, or it is let go."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking import operations
from portal.booking.models import Booking
from portal.booking.rules import next_status
from portal.booking.steps import tell_waitlist
from portal.booking.time import claims
from portal.booking.time.last_look import look_ahead
from portal.booking.time.limits import check_per_customer, limit_locks
from portal.booking.time.queries import booking_of_manage_token
from portal.booking.time.wish import check_no_outside_event, wish_of, with_nearest
from portal.database.engine import database_now, transaction, write_transaction
from portal.errors import HoldExpired, NotFound
from portal.extensions import db
from portal.language.say import say


def confirm(manage_link: str, *, now: datetime) -> operations.Outcome:
    """The customer has opened the link in their mail and pressed the button: the held booking counts, as `confirm_hold` says. Twice is the
    same as once. Raises NotFound, HoldExpired, LimitReached, SlotTaken (with `nearest`)."""
    booking = booking_of_manage_token(db.session(), manage_link)
    is_repeat = booking.status != "held"
    if not is_repeat:
        _make_count(booking, now=now)
    standing = booking_of_manage_token(db.session(), manage_link)
    return operations.Outcome(standing.id, standing.public_id, manage_link, standing.status, is_repeat=is_repeat)


def confirm_for_customer(booking_id: int, *, now: datetime) -> None:
    """Staff know whose booking it is: it counts without the mail, and is approved by that. Raises as `confirm` does."""
    booking = db.session.get(Booking, booking_id)
    if booking is None:
        raise NotFound(say("There is no such booking."))
    if booking.status == "held":
        _make_count(booking, now=now, is_approved=True)


def let_go(booking_id: int) -> None:
    """Staff do not want it: it is deleted with all that was typed, and its time is free. The address is nobody's yet, so no mail goes there.

    Raises NotFound, and NotAllowedNow when it was confirmed meanwhile.
    """

    def work(session: Session) -> None:
        booking = session.scalar(select(Booking).where(Booking.id == booking_id).with_for_update())
        if booking is None:
            raise NotFound(say("There is no such booking."))
        next_status(booking.status, "confirm")  # only what waits can still be let go
        service = booking.appointment.service
        claims.drop_hold(session, booking.id, booking.appointment_id)
        tell_waitlist(session, service, "released")

    transaction(work)


def _make_count(booking: Booking, *, now: datetime, is_approved: bool = False) -> None:
    booking_id, service, wish = booking.id, booking.appointment.service, wish_of(booking)
    locks = limit_locks(db.session(), service, wish.resource_ids)
    seen = look_ahead(wish.resource_ids, wish.claimed, now=now)

    def work(session: Session) -> None:
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
            operations.make_count(session, booking, seen=seen, now=now, is_approved=is_approved)

    with_nearest(wish, now, lambda: write_transaction(locks, work))
