"""Mails that staff ask to be sent again: because the address was mended, or because the first one came back.

A new attempt is an outbox entry of its own (`notify.again`, subject `mail:<id>`) and a new mail with its own Message-ID: the row of the first
one stays as it is, so that what happened can be read. It says what would be true to say now, to the address that the booking has now.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Booking
from portal.db import transaction
from portal.errors import NotAllowedNow, NotFound
from portal.notifications import gather
from portal.notifications.facts import CustomerNews, Facts, ReminderNews
from portal.notifications.messages import message_key
from portal.notifications.models import Mail
from portal.notifications.sources import business_of, silent
from portal.outbox import OutboxEntry, Work

TOPIC = "notify.again"
KINDS = {"booked", "pending", "approved", "refused", "moved", "cancelled", "reminder"}
_NOW_SAID = {"confirmed": "booked", "pending": "pending", "cancelled": "cancelled"}


@dataclass(frozen=True, slots=True)
class Repeat:
    """The mail as it would read now, under a name of its own."""

    facts: Facts
    message_key: str
    booking_id: int | None
    entry_id: int | None


def send_again(mail_id: int, *, now: datetime) -> None:
    """Record that this mail of a booking's customer shall be sent once more. Raises NotFound, NotAllowedNow."""

    def work(session: Session) -> None:
        mail = session.get(Mail, mail_id)
        if mail is None or mail.booking_id is None or mail.kind not in KINDS:
            raise NotFound("There is no such mail that could be sent again.")
        booking = session.get_one(Booking, mail.booking_id)
        reason = why_not(mail, booking, now=now)
        if reason:
            raise NotAllowedNow(reason)
        if not is_on_its_way(session, mail_id):
            outbox.record(session, TOPIC, f"mail:{mail_id}")

    transaction(work)


def why_not(mail: Mail, booking: Booking, *, now: datetime) -> str:
    """Why it cannot be sent again; empty when it can."""
    if mail.state == "sending":
        return "This mail is still on its way; the portal keeps trying by itself."
    if booking.status not in _NOW_SAID or (booking.status != "cancelled" and booking.appointment.start_at <= now):
        return "The appointment is over, so there is nothing more to say."
    if not booking.customer_email:
        return "The booking has no e-mail address."
    return ""


def is_on_its_way(session: Session, mail_id: int) -> bool:
    """True while an earlier wish to send it again waits for its turn."""
    waiting = select(OutboxEntry.id).where(
        OutboxEntry.topic == TOPIC, OutboxEntry.subject == f"mail:{mail_id}", OutboxEntry.state == "todo"
    )
    return session.scalar(waiting.limit(1)) is not None


def read(session: Session, work: Work, *, now: datetime) -> Repeat | None:
    """What to send for this entry; None, with the reason in the log, when there is nothing to say any more."""
    mail = session.get(Mail, work.subject_id)
    booking = session.get(Booking, mail.booking_id) if mail is not None and mail.booking_id else None
    if mail is None or booking is None or not booking.customer_email:
        silent(work, "there is nobody to tell")
        return None
    said = _NOW_SAID.get(booking.status)
    if said is None or (said != "cancelled" and booking.appointment.start_at <= now):
        silent(work, f"the booking is {booking.status}, or over")
        return None
    kind = mail.kind if _still_fits(mail.kind, booking.status) else said
    facts: CustomerNews | ReminderNews = gather.as_it_stands(session, booking, kind, stamped_at=work.created_at)
    key: Any = f"{work.entry_id} {work.created_at.isoformat()}"
    name = message_key(
        business_of(session).instance_id,
        f"{TOPIC} {work.subject}",
        news=kind,
        sequence=key,
        recipient=booking.customer_email,
    )
    return Repeat(facts, name, booking.id, None)


def _still_fits(kind: str, status: str) -> bool:
    """Whether the mail's news is true of the booking now; a move is told as the present state."""
    fitting = {
        "confirmed": ("booked", "approved", "reminder"),
        "pending": ("pending",),
        "cancelled": ("cancelled", "refused"),
    }
    return kind in fitting[status]
