"""Mails that staff ask to be sent again: because the address was mended, or because the first one came back.

A new attempt is an outbox entry of its own (`notify.again`, subject `mail:<id>`) and a new mail with its own Message-ID: the row of the first
one stays as it is, so that what happened can be read. It says what would be true to say now, to the address that the booking has now.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Booking
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.errors import NotAllowedNow, NotFound
from portal.notifications import retrying
from portal.notifications.compose.facts import CustomerNews, Facts, ReminderNews
from portal.notifications.compose.messages import message_key
from portal.notifications.compose.news import Silence
from portal.notifications.gather import bookings
from portal.notifications.gather.sources import business_of
from portal.notifications.models import Mail
from portal.outbox import OutboxEntry, Work

TOPIC = "notify.again"
FOR_ALL = timedelta(days=30)
"""Older ones are tried singly alone."""
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
            _drop_stuck(session, mail)

    transaction(work)


def _drop_stuck(session: Session, mail: Mail) -> None:
    """The entry that carried the refused mail waits for a person; here one is."""
    old = (OutboxEntry.id == mail.outbox_id, OutboxEntry.state == "stuck")
    ended = update(OutboxEntry).where(*old).values(state="dropped", finished_at=now_utc())
    session.execute(ended.execution_options(synchronize_session=False))


def why_not(mail: Mail, booking: Booking, *, now: datetime) -> str:
    """Why it cannot be sent again; empty when it can."""
    if mail.state == "sending":
        return "This mail is still on its way; the portal keeps trying by itself."
    if booking.status not in _NOW_SAID or (booking.status != "cancelled" and booking.appointment.start_at <= now):
        return "The appointment is over, so there is nothing more to say."
    if not booking.customer_email:
        return "The booking has no e-mail address."
    return ""


def try_again(mail_id: int, *, now: datetime) -> None:
    """Have a mail that has not arrived tried once more: at once, if it waits; as it would read now, if it is a booking's; else as it was.
    Raises NotFound, NotAllowedNow."""

    def work(session: Session) -> bool:
        mail, booking = _with_booking(session, mail_id)
        reason = why_not_try(session, mail, booking, now=now)
        if reason:
            raise NotAllowedNow(reason)
        return mail.state == "sending" or not _is_of_customer(mail)

    entry_id = read_transaction(lambda session: _with_booking(session, mail_id)[0].outbox_id)
    if read_transaction(work) and entry_id:
        retrying.retry([entry_id], now=now)
    else:
        send_again(mail_id, now=now)


def try_all_again(*, now: datetime) -> int:
    """The same for everything that waits, was refused, or was given up and is still of use; gives how many."""

    def ids(session: Session) -> list[int]:
        mails = session.scalars(
            select(Mail).where(Mail.state != "sent", Mail.created_at > now - FOR_ALL).order_by(Mail.id)
        )
        pairs = [_with_booking(session, mail.id) for mail in mails]
        return [mail.id for mail, booking in pairs if not why_not_try(session, mail, booking, now=now)]

    found = read_transaction(ids)
    for mail_id in found:
        try_again(mail_id, now=now)
    return len(found)


def why_not_try(session: Session, mail: Mail, booking: Booking | None, *, now: datetime) -> str:
    """Why there is no use in another try; empty when there is."""
    if mail.state == "sent":
        return "This mail has left."
    if mail.state == "sending":
        return "" if mail.outbox_id else "This mail is still on its way; the portal keeps trying by itself."
    if mail.given_up == "overtaken":
        return "Newer news took its place."
    if booking is not None and _is_of_customer(mail):
        reason = why_not(mail, booking, now=now)
        return reason or ("It is being sent again." if is_on_its_way(session, mail.id) else "")
    if mail.bounced_at is not None:
        return "It came back. Please look at the address."
    entry = session.get(OutboxEntry, mail.outbox_id) if mail.outbox_id else None
    if entry is None or mail.given_up:
        return "What it said is of no more use."
    return "" if entry.state == "stuck" else "It is being sent again."


def _with_booking(session: Session, mail_id: int) -> tuple[Mail, Booking | None]:
    mail = session.get(Mail, mail_id)
    if mail is None:
        raise NotFound("There is no such mail.")
    return mail, session.get(Booking, mail.booking_id) if mail.booking_id else None


def _is_of_customer(mail: Mail) -> bool:
    return mail.booking_id is not None and mail.kind in KINDS


def is_on_its_way(session: Session, mail_id: int) -> bool:
    """True while an earlier wish to send it again waits for its turn."""
    waiting = select(OutboxEntry.id).where(
        OutboxEntry.topic == TOPIC, OutboxEntry.subject == f"mail:{mail_id}", OutboxEntry.state == "todo"
    )
    return session.scalar(waiting.limit(1)) is not None


def read(session: Session, work: Work, *, now: datetime) -> Repeat | Silence:
    """What to send for this entry; or why there is nothing to say any more."""
    mail = session.get(Mail, work.subject_id)
    booking = session.get(Booking, mail.booking_id) if mail is not None and mail.booking_id else None
    if mail is None or booking is None or not booking.customer_email:
        return Silence("there is nobody to tell")
    said = _NOW_SAID.get(booking.status)
    if said is None or (said != "cancelled" and booking.appointment.start_at <= now):
        return Silence(f"the booking is {booking.status}, or over", is_too_late=True)
    kind = mail.kind if _still_fits(mail.kind, booking.status) else said
    facts: CustomerNews | ReminderNews = bookings.as_it_stands(session, booking, kind, stamped_at=work.created_at)
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
