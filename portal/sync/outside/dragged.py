"""Was an event of ours that is gone from its calendar deleted, or dragged into another calendar that we read? Asked by `changes`.

Who hands an appointment over to a colleague drags its event into the colleague's calendar: for a server that is a deletion here and a new event
there. Programs keep the UID, and servers keep it in the address, so that is how the event is known again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from portal.booking.models import EventLink
from portal.calendars.models import Calendar, Connection, RemoteObject

GRACE = timedelta(seconds=3)
"""Between the deletion here and the new event there; programs send them one right after the other."""
LONGEST = timedelta(minutes=2)


def standing_in(session: Session, *, uid: str, calendar_id: int) -> str | None:
    """The name of another calendar in which an event of this UID stands without our doing, as far as is known; None when there is none."""
    is_our_doing = exists().where(
        EventLink.calendar_id == RemoteObject.calendar_id, EventLink.remote_id == RemoteObject.remote_id
    )
    return session.scalar(
        select(Calendar.name)
        .join(RemoteObject, RemoteObject.calendar_id == Calendar.id)
        .where(
            RemoteObject.is_ours,
            ~is_our_doing,  # the room's copy of the same appointment has the same UID
            Calendar.id != calendar_id,
            RemoteObject.remote_id.contains(uid, autoescape=True),
        )
        .limit(1)
    )


def has_looked_everywhere(session: Session, *, calendar_id: int, gone_at: datetime, now: datetime) -> bool:
    """True when all other calendars that can be read were read since. Else they are read next. Waits for nobody longer than two minutes."""
    if now - gone_at > LONGEST:
        return True
    behind = session.scalars(
        select(Calendar.id)
        .join(Connection, Connection.id == Calendar.connection_id)
        .where(Calendar.id != calendar_id, Connection.state == "connected", Connection.leaving.is_(False))
        .where(Calendar.last_read_at < gone_at + GRACE)
    ).all()
    if behind:  # one that has just failed is left its pause
        is_well = (Calendar.id.in_(behind), Calendar.failures == 0)
        session.execute(update(Calendar).where(*is_well).values(next_read_at=max(now, gone_at + GRACE)))
    return not behind
