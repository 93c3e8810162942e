"""Asking for calendars to be read now instead of at their next turn."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select, true, update
from sqlalchemy.orm import Session

from portal import doorbell
from portal.calendars.models import Calendar
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction


def request_pull(calendar_ids: Collection[int], now: datetime | None = None, *, is_urgent: bool = False) -> None:
    """Have these calendars read now instead of at their next turn; those that are being read, once more after that. Those in trouble keep
    their pauses, unless a person insists (`is_urgent`)."""
    moment = now or now_utc()
    ids = list(calendar_ids)
    may_come_forward = (Calendar.id.in_(ids), _lies_ahead(moment), true() if is_urgent else Calendar.failures == 0)

    def work(session: Session) -> None:
        asked = update(Calendar).where(*may_come_forward).values(next_read_at=moment)
        session.execute(asked.execution_options(synchronize_session=False))
        if is_urgent:
            insisted = update(Calendar).where(Calendar.id.in_(ids)).values(asked_at=moment)
            session.execute(insisted.execution_options(synchronize_session=False))

    if ids and (
        is_urgent or read_transaction(lambda s: s.scalar(select(Calendar.id).where(*may_come_forward).limit(1)))
    ):
        transaction(work)
    doorbell.ring(drain=False)


def _lies_ahead(moment: datetime) -> ColumnElement[bool]:
    """Its turn has not come yet; or it is being read just now, so that this turn may miss what happened a moment ago."""
    is_being_read = and_(Calendar.read_lease_until > moment, Calendar.next_read_at <= Calendar.read_begun_at)
    return or_(Calendar.next_read_at > moment, is_being_read)
