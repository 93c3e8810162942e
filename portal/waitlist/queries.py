"""Questions about the waitlist for customers' own pages. They take the session first and change nothing; what staff see stands in `portal.admin`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from portal.booking.models import Appointment, WaitlistEntry


def position(session: Session, entry: WaitlistEntry) -> int:
    """For the customer's own page: 1 for who is next, among those who wait for the same appointment, or for days of the same service; 0 for an
    entry that does not wait. A number, and nobody's data."""
    if entry.status != "waiting":
        return 0
    is_before = or_(
        WaitlistEntry.joined_at < entry.joined_at,
        and_(WaitlistEntry.joined_at == entry.joined_at, WaitlistEntry.id < entry.id),
    )
    ahead = select(func.count()).where(
        WaitlistEntry.service_id == entry.service_id, WaitlistEntry.status == "waiting", _same_wish(entry), is_before
    )
    return 1 + (session.scalar(ahead) or 0)


def _same_wish(entry: WaitlistEntry) -> ColumnElement[bool]:
    if entry.wish != "appointment":
        return WaitlistEntry.wish != "appointment"
    same_start = and_(WaitlistEntry.wish == "appointment", WaitlistEntry.start_at == entry.start_at)
    if entry.appointment_id is None:
        return same_start
    return or_(WaitlistEntry.appointment_id == entry.appointment_id, same_start)


def wished_start(session: Session, entry: WaitlistEntry) -> datetime | None:
    """The start of the one appointment that an entry waits for, as it stands now; None where it waits for a day, a week, or whatever comes."""
    if entry.wish != "appointment":
        return None
    appointment = session.get(Appointment, entry.appointment_id) if entry.appointment_id else None
    return appointment.start_at if appointment is not None and appointment.is_fixed else entry.start_at
