"""A customer puts right the address that they mistyped: shortly after booking, and in the browser in which they booked (the page sees to that).

Whoever has got the mail that went astray has a link to the booking: it ends here, and the new one goes to the right address alone.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking import rules
from portal.booking.models import Appointment, Booking
from portal.booking.rules import Customer
from portal.booking.steps import renew_link
from portal.booking.strangers import budgets
from portal.booking.strangers.budgets import Visitor
from portal.booking.time.limits import check_per_customer, limit_locks
from portal.database.engine import transaction, write_transaction
from portal.errors import NotAllowedNow
from portal.language.say import say
from portal.outbox import OutboxEntry

WITHIN = timedelta(minutes=30)
"""So long after it was booked: a mistyped address is noticed at once, or when no mail comes."""
MOST = 2
"""So often: each time a mail goes to an address that nobody has proven to be theirs."""


def may_correct(session: Session, booking: Booking, *, now: datetime) -> bool:
    """Whether the address may (still) be put right by whoever has booked."""
    waits = booking.status == "held" and bool(booking.manage_hash) and (booking.held_until or now) > now
    is_new = (waits or booking.status in ("confirmed", "pending")) and now - booking.created_at < WITHIN
    return is_new and booking.appointment.start_at > now and _corrections(session, booking) < MOST


def correct_address(booking_id: int, email: str, *, now: datetime, visitor: Visitor | None = None) -> str:
    """Change the address, end the link that was mailed, and write to the right address; returns the token of the new link. Who has not
    confirmed by mail yet is asked at the right address, and no link but the mail's may lead there; it counts in the budgets of `visitor`.

    The same address again changes nothing. Raises BudgetSpent, Invalid, LimitReached, NotAllowedNow, NotFound.
    """

    def work(session: Session) -> str:
        booking = session.scalar(select(Booking).where(Booking.id == booking_id).with_for_update())
        if booking is None or not may_correct(session, booking, now=now):
            raise NotAllowedNow(say("The address of this booking cannot be changed here any more. Please ask us."))
        right = _checked(booking, email)
        if right.lower() != booking.customer_email.lower():
            check_per_customer(session, booking.appointment.service, right, now=now)
        if booking.status == "held" and visitor is not None:
            budgets.weigh_booking(session, booking.appointment.service, right, visitor, now=now)
        booking.customer_email = right
        token = renew_link(booking)
        booking.appointment.version = Appointment.version + 1  # the event may name the guest
        booking.sequence += 1
        news = {"held": "confirm", "pending": "pending"}.get(booking.status, "booked")
        payload = {"news": news, "by": "customer", "sequence": booking.sequence, "corrected": True}
        if booking.status != "held":
            outbox.record(session, "calendar.publish", f"appointment:{booking.appointment_id}")
        outbox.record_all(session, [("notify.customer", f"booking:{booking.id}", payload)])
        return token

    return write_transaction(_locks(booking_id), work)


def _locks(booking_id: int) -> tuple[int, ...]:
    """What a new booking of the service would lock: how many one address may have is counted under it."""

    def work(session: Session) -> tuple[int, ...]:
        appointment = session.get_one(Booking, booking_id).appointment
        return limit_locks(session, appointment.service, [row.resource_id for row in appointment.resources])

    return transaction(work)


def _checked(booking: Booking, email: str) -> str:
    """Raises Invalid for what is no address."""
    return rules.check_customer(Customer(booking.customer_name or "-", email)).email


def _corrections(session: Session, booking: Booking) -> int:
    told = select(OutboxEntry.payload).where(
        OutboxEntry.subject == f"booking:{booking.id}", OutboxEntry.topic == "notify.customer"
    )
    return sum(bool(payload.get("corrected")) for payload in session.scalars(told))
