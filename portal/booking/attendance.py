"""Who came, and who did not: marked by staff from the start of an appointment on, and corrected as often as need be.

Nobody is told, and nothing is given back: whoever missed it had the seat all the same, and the event in the calendar counts them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from portal.booking import rules
from portal.booking.rules import Command
from portal.booking.steps import locked
from portal.database.engine import transaction

Attendance = Literal["completed", "no_show"]
_COMMANDS: dict[str, Command] = {"completed": "attend", "no_show": "miss"}


def mark_attendance(booking_id: int, status: Attendance, *, now: datetime) -> None:
    """The customer came (`completed`) or did not (`no_show`). Twice is the same as once. Raises NotAllowedNow, NotFound."""

    def work(session: Session) -> None:
        booking = locked(session, booking_id)
        if booking.status == status:
            return
        rules.check_attendance(booking.appointment.start_at, now=now)
        booking.status = rules.next_status(booking.status, _COMMANDS[status])

    transaction(work)
