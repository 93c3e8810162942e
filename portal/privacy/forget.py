"""What is left of a booking or a waitlist entry when its customer is forgotten: that it was, when, with how many. Shared by erasing and retention.

Everything in one transaction: rows, mails with their files, what waits in the outbox, and a new version of each appointment, so that calendars
are rewritten without the name, those of the past too.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Appointment, Booking, EventLink, WaitlistEntry
from portal.calendars.models import Calendar, UnknownBooking
from portal.clock import now_utc
from portal.errors import NotYet
from portal.notifications.models import Reminder
from portal.outbox import OutboxEntry
from portal.privacy.mails import SHORTEST_NAME, forget_mails, mail_ids

BATCH = 100
"""So many bookings or entries in one transaction."""
NOBODY: dict[str, Any] = {
    "customer_name": "", "customer_email": "", "customer_phone": "", "customer_zone": "", "customer_language": "",
    "note": "", "answers": {}, "idempotency_key": None, "request_digest": None,
}  # fmt: skip


def forget_bookings(session: Session, bookings: Sequence[Booking]) -> None:
    """Take the customer out of these locked bookings. Raises NotYet while something about one of them is just being sent."""
    ids = [booking.id for booking in bookings]
    _forget_outbox(
        session, _subjects("booking", ids) + _subjects("mail", mail_ids(session, booking_ids=ids, entry_ids=()))
    )
    forget_mails(session, booking_ids=ids, entry_ids=())
    session.execute(delete(Reminder).where(Reminder.booking_id.in_(ids)))
    values = NOBODY | {"hold_hash": None, "manage_hash": None, "sealed_manage_token": None, "wants_reminders": False}
    session.execute(update(Booking).where(Booking.id.in_(ids)).values(**values))
    _rewrite_events(session, {booking.appointment_id for booking in bookings})


def forget_entries(session: Session, entries: Sequence[WaitlistEntry]) -> None:
    """The same for waitlist entries that have ended."""
    ids = [entry.id for entry in entries]
    _forget_outbox(
        session, _subjects("entry", ids) + _subjects("mail", mail_ids(session, booking_ids=(), entry_ids=ids))
    )
    forget_mails(session, booking_ids=(), entry_ids=ids)
    for entry in entries:
        values = NOBODY | {"sealed_token": None, "token_hash": secrets.token_hex(32)}
        session.execute(update(WaitlistEntry).where(WaitlistEntry.id == entry.id).values(**values))


def forget_codes_in_outbox(session: Session, code_ids: Collection[int]) -> None:
    """What waits to be mailed to an address. Raises NotYet while it is just being sent."""
    _forget_outbox(session, _subjects("code", code_ids))


def forget_titles(session: Session, words: Collection[str]) -> None:
    """Take the texts of events that name somebody out of what is kept of them: the notes of what changed in calendars meanwhile, and bookings
    that are not known here and wait for an answer. Titles of other events of our own are not kept."""
    for calendar in session.scalars(select(Calendar).where(Calendar.sealed_meanwhile.is_not(None))):
        note = dict(calendar.meanwhile or {})
        for kind in ("new", "moved", "gone"):
            first = note.get(kind, {}).get("first", [])
            blanked = [row | {"summary": ""} if _names_any(row.get("summary", ""), words) else row for row in first]
            if blanked != first:
                note[kind] = note[kind] | {"first": blanked}
        calendar.meanwhile = note
    for row in _naming(session, words):
        row.tell("")


def is_told_of(session: Session, words: Collection[str]) -> bool:
    """Whether the event of a booking that is not known here names somebody."""
    return bool(_naming(session, words))


def _naming(session: Session, words: Collection[str]) -> list[UnknownBooking]:
    open_rows = session.scalars(select(UnknownBooking).where(UnknownBooking.answered_at.is_(None)))
    return [row for row in open_rows if _names_any(f"{row.summary}\n{row.description}", words)]


def _names_any(text: str, words: Collection[str]) -> bool:
    return any(word.casefold() in text.casefold() for word in words if len(word) >= SHORTEST_NAME)


def _forget_outbox(session: Session, subjects: Sequence[str]) -> None:
    """Delete the entries about these, done or not: their payloads and errors may tell of the customer, and nobody is left to be told."""
    mine = OutboxEntry.subject.in_(subjects)
    rows = session.scalars(select(OutboxEntry).where(mine).order_by(OutboxEntry.id).with_for_update()).all()
    now = now_utc()
    if any(row.lease_until is not None and row.lease_until > now for row in rows):
        raise NotYet("A mail about this customer is just leaving.", after=3)
    session.execute(delete(OutboxEntry).where(OutboxEntry.id.in_([row.id for row in rows])))


def _rewrite_events(session: Session, appointment_ids: Collection[int]) -> None:
    """Have the calendars written anew wherever an event stands, or is on its way."""
    links = session.scalars(select(EventLink).where(EventLink.appointment_id.in_(appointment_ids))).all()
    for link in links:
        link.last_error = None if link.state in ("done", "none") else link.last_error
    for appointment_id in sorted({link.appointment_id for link in links}):
        raised = update(Appointment).where(Appointment.id == appointment_id).values(version=Appointment.version + 1)
        session.execute(raised.execution_options(synchronize_session=False))
        outbox.record(session, "calendar.publish", f"appointment:{appointment_id}")


def _subjects(kind: str, ids: Iterable[int]) -> list[str]:
    return [f"{kind}:{id_}" for id_ in ids]
