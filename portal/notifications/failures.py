"""What became of the mails of bookings: for a booking's page, and for what staff must know. Reads only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from portal.booking.models import Appointment, AppointmentResource, Booking
from portal.database.engine import small_letters
from portal.notifications import again
from portal.notifications.compose.own_words import KINDS
from portal.notifications.models import Mail
from portal.outbox import OutboxEntry

SLOW = timedelta(seconds=20)
"""Longer than that, a mail that has met an error is a matter for people."""
SAID_FOR = timedelta(days=3)
"""So long the home page tells of mails that were given up."""
LISTED_FOR = timedelta(days=30)
MOST_LISTED = 200

_KEPT = "No mail server is set, so this mail is a file, and reached nobody."
_OTHERS = {"code": "Code for a customer's own page", "reset": "Link to a new password"}


@dataclass(frozen=True, slots=True)
class SentMail:
    """A mail as staff see it. `state`: sent, kept (a file, since no mail server is set: it reached nobody), waiting, failed (refused), given up (it
    could not leave while it was of use), overtaken (newer news took its place), returned (came back). `can_repeat` and, if not, `why_not`."""

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
    """The mails about this booking, to its customer and to staff, the newest first; those to its customer that nobody has begun to send, too."""
    rows = session.scalars(select(Mail).where(Mail.booking_id == booking.id).order_by(Mail.id.desc()))
    return _to_come(session, booking) + [_shown(session, row, booking, now) for row in rows]


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
            Mail.given_up != "overtaken",
            small_letters(Mail.recipient) == small_letters(Booking.customer_email),
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
    """What keeps mails from leaving, in the words of the newest error; empty when they leave, or have left since."""
    later = aliased(Mail)
    tried_at = func.coalesce(Mail.tried_at, Mail.created_at)
    has_left_since = select(later.id).where(later.sent_at > tried_at).exists()
    waiting = (
        select(Mail.last_error)
        .where(Mail.state == "sending", Mail.last_error.is_not(None), Mail.created_at < now - SLOW, ~has_left_since)
        .order_by(Mail.id.desc())
        .limit(1)
    )
    return session.scalar(waiting) or ""


def given_up(session: Session, *, resource_ids: Collection[int] | None, now: datetime) -> list[Mail]:
    """Mails that could not leave while they were of use, of the last days, newest first; `resource_ids` None: all."""
    statement = (
        select(Mail)
        .where(Mail.given_up == "too late", Mail.given_up_at > now - SAID_FOR)
        .order_by(Mail.id.desc())
        .limit(MOST_LISTED)
    )
    if resource_ids is not None:
        theirs = select(AppointmentResource.appointment_id).where(AppointmentResource.resource_id.in_(resource_ids))
        statement = statement.join(Booking, Booking.id == Mail.booking_id).where(Booking.appointment_id.in_(theirs))
    return list(session.scalars(statement))


def undelivered(session: Session, *, now: datetime) -> list[tuple[SentMail, int | None]]:
    """Every mail that waits, was refused, was given up or came back, the newest first, with its booking's number."""
    later = aliased(Mail)
    has_later = select(later.id).where(
        later.booking_id == Mail.booking_id,
        later.recipient == Mail.recipient,
        later.id > Mail.id,
        later.state == "sent",
    )
    is_waiting = (Mail.state == "sending") & Mail.last_error.is_not(None)
    has_failed = (Mail.state == "failed") & (Mail.given_up != "overtaken") & ~has_later.exists()
    rows = session.scalars(
        select(Mail)
        .where(is_waiting | has_failed, Mail.created_at > now - LISTED_FOR)
        .order_by(Mail.id.desc())
        .limit(MOST_LISTED)
    )
    return [(_listed(session, row, now), row.booking_id) for row in rows]


def _listed(session: Session, row: Mail, now: datetime) -> SentMail:
    booking = session.get(Booking, row.booking_id) if row.booking_id else None
    shown = _shown(session, row, booking, now)
    reason = again.why_not_try(session, row, booking, now=now)
    return replace(shown, can_repeat=not reason, why_not=reason)


def _to_come(session: Session, booking: Booking) -> list[SentMail]:
    begun = select(Mail.id).where(Mail.outbox_id == OutboxEntry.id)
    waiting = select(OutboxEntry).where(
        OutboxEntry.subject == f"booking:{booking.id}",
        OutboxEntry.topic == "notify.customer",
        OutboxEntry.state == "todo",
        ~begun.exists(),
    )
    return [
        SentMail(
            id=0,
            name=KINDS.get(str(entry.payload.get("news")), "Mail"),
            recipient=booking.customer_email,
            state="waiting",
            at=entry.created_at,
            reason=entry.last_error or "",
            can_repeat=False,
        )
        for entry in session.scalars(waiting.order_by(OutboxEntry.id.desc()))
        if booking.customer_email
    ]


def _shown(session: Session, row: Mail, booking: Booking | None, now: datetime) -> SentMail:
    is_to_customer = row.kind in again.KINDS and booking is not None
    why_not = again.why_not(row, booking, now=now) if booking is not None and is_to_customer else ""
    if is_to_customer and not why_not and again.is_on_its_way(session, row.id):
        why_not = "It is being sent again."
    state = _state(row)
    return SentMail(
        id=row.id,
        name=KINDS.get(row.kind) or _OTHERS.get(row.kind, "To staff"),
        recipient=row.recipient,
        state=state,
        at=row.bounced_at or row.sent_at or row.created_at,
        reason=row.last_error or (_KEPT if state == "kept" else ""),
        can_repeat=is_to_customer and not why_not,
        why_not=why_not,
    )


def _state(row: Mail) -> str:
    if row.bounced_at is not None:
        return "returned"
    if row.state == "failed":
        return {"too late": "given up", "overtaken": "overtaken"}.get(row.given_up, "failed")
    if row.state == "sent":
        return "kept" if row.file_name else "sent"
    return "waiting"
