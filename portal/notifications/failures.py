"""What became of the mails of bookings: for a booking's page, and for what staff must know. Reads only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from portal.booking.models import Appointment, AppointmentResource, Booking
from portal.notifications import again
from portal.notifications.models import Mail
from portal.notifications.own_words import KINDS

SLOW = timedelta(minutes=5)
"""Longer than that, a mail that has met an error is a matter for people."""


@dataclass(frozen=True, slots=True)
class SentMail:
    """A mail of a booking as staff see it. `state`: sent, waiting, failed (never left), returned (came back). `can_repeat` and, if not,
    `why_not`, for mails to the customer."""

    id: int
    name: str
    recipient: str
    state: str
    at: datetime
    reason: str
    can_repeat: bool
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Unreached:
    """A booking to come whose customer's last mail failed."""

    booking_id: int
    customer: str
    email: str
    start_at: datetime
    reason: str


def mails_of(session: Session, booking: Booking, *, now: datetime) -> list[SentMail]:
    """The mails about this booking, to its customer and to staff, the newest first."""
    rows = session.scalars(select(Mail).where(Mail.booking_id == booking.id).order_by(Mail.id.desc()))
    return [_shown(session, row, booking, now) for row in rows]


def unreached(
    session: Session, *, resource_ids: Collection[int] | None, now: datetime, limit: int = 20
) -> list[Unreached]:
    """Bookings to come whose customers do not know of their last news, soonest first; `resource_ids` None: all."""
    later = aliased(Mail)
    has_later = select(later.id).where(
        later.booking_id == Mail.booking_id, later.recipient == Mail.recipient, later.id > Mail.id
    )
    statement = (
        select(Booking.id, Booking.customer_name, Booking.customer_email, Appointment.start_at, Mail.last_error)
        .join(Booking, Booking.id == Mail.booking_id)
        .join(Appointment, Appointment.id == Booking.appointment_id)
        .where(
            Mail.state == "failed",
            func.lower(Mail.recipient) == func.lower(Booking.customer_email),
            Booking.status.in_(("pending", "confirmed")),
            Appointment.start_at > now,
            ~has_later.exists(),
        )
        .order_by(Appointment.start_at, Booking.id)
        .limit(limit)
    )
    if resource_ids is not None:
        theirs = select(AppointmentResource.appointment_id).where(AppointmentResource.resource_id.in_(resource_ids))
        statement = statement.where(Appointment.id.in_(theirs))
    return [Unreached(*row[:4], reason=row[4] or "") for row in session.execute(statement)]


def why_mails_wait(session: Session, *, now: datetime) -> str:
    """What keeps mails from leaving for some minutes now, in the words of the newest error; empty when they leave."""
    waiting = (
        select(Mail.last_error)
        .where(Mail.state == "sending", Mail.last_error.is_not(None), Mail.created_at < now - SLOW)
        .order_by(Mail.id.desc())
        .limit(1)
    )
    return session.scalar(waiting) or ""


def _shown(session: Session, row: Mail, booking: Booking, now: datetime) -> SentMail:
    is_to_customer = row.kind in again.KINDS
    why_not = again.why_not(row, booking, now=now) if is_to_customer else ""
    if is_to_customer and not why_not and again.is_on_its_way(session, row.id):
        why_not = "It is being sent again."
    return SentMail(
        id=row.id,
        name=KINDS.get(row.kind, "To staff"),
        recipient=row.recipient,
        state=_state(row),
        at=row.bounced_at or row.sent_at or row.created_at,
        reason=row.last_error or "",
        can_repeat=is_to_customer and not why_not,
        why_not=why_not,
    )


def _state(row: Mail) -> str:
    if row.bounced_at is not None:
        return "returned"
    return {"sent": "sent", "sending": "waiting"}.get(row.state, "failed")
