"""Questions to staff that have settled themselves."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from portal.sync.models import Question


def close_questions(
    session: Session, appointment_id: int, calendar_id: int, *, now: datetime, answer: str = "settled"
) -> None:
    """Open questions about this event need no answer any more."""
    session.execute(
        update(Question)
        .where(
            Question.appointment_id == appointment_id,
            Question.calendar_id == calendar_id,
            Question.answered_at.is_(None),
        )
        .values(answered_at=now, answer=answer)
    )
