"""What the workers say of their clocks, each in a row of its own: read for the home page, the doctor and mails."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.clock import now_utc
from portal.sync.models import Lease

ROW = "clock "
WAITS = "Reminders, offers from waitlists and whatever else is due by time wait until that is clear; bookings and calendars do not."


def doubts(session: Session) -> list[str]:
    """What the workers say of their clocks. A worker that is gone says nothing any more."""
    now = now_utc()
    rows = session.scalars(select(Lease).where(Lease.name.startswith(ROW), Lease.note != "", Lease.until > now))
    return [row.note for row in rows]
