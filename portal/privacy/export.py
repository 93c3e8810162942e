"""Everything that is stored about one customer, as plain values for a JSON file: what the law lets them ask for. Reads only.

Left out are secrets (links and codes are rights, not data) and what tells of others.
"""

from __future__ import annotations

import re
from datetime import datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking.models import AppointmentResource, Booking, Offer, WaitlistEntry
from portal.business.models import Business, Resource
from portal.customers import queries
from portal.customers.models import MailedCode
from portal.errors import NotFound
from portal.extensions import current_settings
from portal.logs import without_links
from portal.notifications.models import Mail, Reminder
from portal.privacy.mails import mails_of

_HEADS = ("From", "To", "Date", "Subject")
_CODE = re.compile(r"\b\d{3} ?\d{3}\b")


def export_customer(session: Session, email: str, *, now: datetime) -> dict[str, Any]:
    """All about this address, in whatever letters it was typed. Instants are ISO 8601 in UTC. Raises NotFound when nothing is stored."""
    bookings, entries = queries.bookings_of(session, email), queries.entries_of(session, email)
    mails, asked = mails_of(session, email), _codes(session, email)
    if not (bookings or entries or mails or asked):
        raise NotFound("Nothing is stored about this address.")
    return {
        "made_at": _text(now),
        "business": session.scalar(select(Business.name)) or "",
        "email": email,
        "bookings": [_booking(session, row) for row in bookings],
        "waitlist": [_entry(session, row) for row in entries],
        "mails": [_mail(row, email) for row in mails],
        "codes": asked,
    }


def _booking(session: Session, row: Booking) -> dict[str, Any]:
    appointment = row.appointment
    return {
        "id": row.public_id,
        "service": appointment.service.name,
        "with": _resources(session, appointment.id),
        "start_at": _text(appointment.start_at),
        "end_at": _text(appointment.end_at),
        "status": row.status,
        "party_size": row.party_size,
        **_customer(row),
        "channel": row.channel,
        "pending_reason": row.pending_reason,
        "wants_reminders": row.wants_reminders,
        "created_at": _text(row.created_at),
        "confirmed_at": _text(row.confirmed_at),
        "cancelled_at": _text(row.cancelled_at),
        "cancelled_by": row.cancelled_by,
        "reminders": [
            {"minutes_before": reminder.lead, "due_at": _text(reminder.due_at), "state": reminder.state}
            for reminder in session.scalars(
                select(Reminder).where(Reminder.booking_id == row.id).order_by(Reminder.due_at)
            )
        ],
    }


def _entry(session: Session, row: WaitlistEntry) -> dict[str, Any]:
    offers = session.scalars(select(Offer).where(Offer.entry_id == row.id).order_by(Offer.id))
    return {
        "id": row.public_id,
        "service": row.service.name,
        "wish": row.wish,
        "wish_start_at": _text(row.start_at),
        "wish_on": row.wish_on.isoformat() if row.wish_on else None,
        "status": row.status,
        "party_size": row.party_size,
        **_customer(row),
        "joined_at": _text(row.joined_at),
        "ended_at": _text(row.ended_at),
        "offers": [
            {
                "start_at": _text(offer.start_at),
                "end_at": _text(offer.end_at),
                "party_size": offer.party_size,
                "state": offer.state,
                "made_at": _text(offer.made_at),
                "ends_at": _text(offer.ends_at),
                "ended_at": _text(offer.ended_at),
            }
            for offer in offers
        ],
    }


def _customer(row: Booking | WaitlistEntry) -> dict[str, Any]:
    return {
        "name": row.customer_name,
        "email": row.customer_email,
        "phone": row.customer_phone,
        "zone": row.customer_zone,
        "language": row.customer_language,
        "note": row.note,
        "answers": row.answers,
    }


def _mail(row: Mail, email: str) -> dict[str, Any]:
    """A mail to the customer with its text, where it is kept; of one to staff only that it was."""
    is_theirs = row.recipient.lower() == email.lower()
    return {
        "kind": row.kind,
        "to": row.recipient if is_theirs else "staff",
        "subject": row.subject if is_theirs else "",
        "state": row.state,
        "created_at": _text(row.created_at),
        "sent_at": _text(row.sent_at),
        "bounced_at": _text(row.bounced_at),
        "source": _source(row) if is_theirs else None,
    }


def _source(row: Mail) -> str | None:
    """Its heads and its text, without what opens something: this file may lie about for years, and a link in it would still move and cancel."""
    if not row.file_name or Path(row.file_name).name != row.file_name:
        return None
    path: Path = current_settings().data / "mail" / row.file_name
    if not path.is_file():
        return None
    mail = message_from_bytes(path.read_bytes(), policy=policy.default)
    body = mail.get_body(preferencelist=("plain",))
    heads = [f"{name}: {mail[name]}" for name in _HEADS if mail[name]]
    told = "\n".join([*heads, "", body.get_content() if body else ""])
    return without_links(_CODE.sub("…", told) if row.kind == "code" else told)


def _codes(session: Session, email: str) -> list[dict[str, Any]]:
    rows = session.scalars(
        select(MailedCode).where(queries.is_of(MailedCode.email, email)).order_by(MailedCode.created_at)
    )
    return [{"asked_at": _text(row.created_at), "used_at": _text(row.used_at)} for row in rows]


def _resources(session: Session, appointment_id: int) -> list[str]:
    statement = (
        select(Resource.name)
        .join(AppointmentResource, AppointmentResource.resource_id == Resource.id)
        .where(AppointmentResource.appointment_id == appointment_id)
        .order_by(AppointmentResource.list_no, Resource.position, Resource.id)
    )
    return list(session.scalars(statement))


def _text(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None
