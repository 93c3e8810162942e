"""Until when a mail is tried: as long as what it says is of use to its reader. Asked by `deliver` when a mail could not leave."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from portal.accounts.models import PasswordReset
from portal.booking.models import Booking, Offer
from portal.customers.models import MailedCode
from portal.notifications.models import Mail
from portal.outbox import Work

ABOUT_BOOKINGS = timedelta(days=1)
"""A booking's news is of use until it begins; that it was called off, or refused at its start, for a while longer."""
TO_WAITERS = timedelta(days=3)
ALARMS = timedelta(days=7)
_ENDING: dict[str, type[MailedCode] | type[PasswordReset]] = {"code": MailedCode, "reset": PasswordReset}
"""What ends by itself."""


def good_until(session: Session, work: Work) -> datetime:
    """After that moment the mail of this entry is given up. A new beginning that a person gave it counts as well."""
    return max(_by_kind(session, work), work.give_up_at or work.created_at)


def _by_kind(session: Session, work: Work) -> datetime:
    kind = work.subject.partition(":")[0]
    if kind in _ENDING:
        row: MailedCode | PasswordReset | None = session.get(_ENDING[kind], work.subject_id)  # type: ignore[assignment]
        return row.expires_at if row is not None else work.created_at
    if work.topic == "notify.reminder":
        return datetime.fromisoformat(str(work.payload["start_at"]))
    if kind == "entry":
        offer_id = work.payload.get("offer_id")
        offer = session.get(Offer, int(offer_id)) if offer_id else None
        return offer.ends_at if offer is not None else work.created_at + TO_WAITERS
    if kind in ("booking", "mail"):
        return max(_start_of(session, work) or work.created_at, work.created_at + ABOUT_BOOKINGS)
    return work.created_at + ALARMS


def _start_of(session: Session, work: Work) -> datetime | None:
    booking_id: int | None = work.subject_id
    if work.subject.startswith("mail:"):
        mail = session.get(Mail, work.subject_id)
        booking_id = mail.booking_id if mail is not None else None
    booking = session.get(Booking, booking_id) if booking_id else None
    return booking.appointment.start_at if booking is not None else None
