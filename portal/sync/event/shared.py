"""One calendar may serve several: a studio's own calendar for all of its people, or a person's for her room, too. Each has a connection then.

An event of ours has the same id for all of them, so there is one event, and several event links may name it. It is taken away only when it is
wanted for none of them any more, and takes no time of those who merely share the calendar. Its text follows the strictest of their privacy
settings: whoever looks into the calendar for one of them sees the events of all. Asked by publish, by the farewell, and by readings.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking.models import Appointment, EventLink
from portal.calendars.models import Calendar, Connection
from portal.database.chunks import in_chunks
from portal.instance.ids import instance_ids
from portal.sync.event.desired import derived_uid
from portal.sync.event.stands import stands
from portal.sync.event.text import strictest
from providers.kinds import kind_of


def is_wanted_by_another(session: Session, link: EventLink) -> bool:
    """Whether the event of this link must stand where it is because the same calendar is connected for somebody else, too."""
    appointment, calendar = (
        session.get_one(Appointment, link.appointment_id),
        session.get_one(Calendar, link.calendar_id),
    )
    if not link.remote_id or not stands(appointment):
        return False
    taken = {row.resource_id for row in appointment.resources}
    return any(
        other.resource_id in taken and _names(session, other, link, appointment)
        for other in same_calendars(session, calendar)
    )


def events_of_others(session: Session, calendar: Calendar, marked: Mapping[str, int]) -> frozenset[str]:
    """Of these events with our mark (remote id -> appointment), those that the same calendar holds for somebody else's booking."""
    found: set[str] = set()
    for ids in in_chunks(sorted(set(marked.values()))):
        rows = session.execute(
            select(EventLink, Calendar)
            .join(Calendar, Calendar.id == EventLink.calendar_id)
            .where(EventLink.appointment_id.in_(ids), EventLink.state != "none")
            .where(Calendar.remote_id == calendar.remote_id, Calendar.resource_id != calendar.resource_id)
        )
        found |= {link.remote_id for link, other in rows if is_same(calendar, other)}
    return frozenset(found & marked.keys())


def privacy_of(session: Session, calendar: Calendar) -> str:
    """How much events in this calendar may tell: the strictest setting of all who have bookings written into it."""
    return strictest([calendar.privacy, *(other.privacy for other in same_calendars(session, calendar))])


def same_calendars(session: Session, calendar: Calendar) -> list[Calendar]:
    """The other rows of this very calendar that receive bookings: it is connected for somebody else, too."""
    candidates = session.scalars(
        select(Calendar)
        .join(Connection)
        .where(Calendar.remote_id == calendar.remote_id, Calendar.id != calendar.id, Calendar.is_destination)
        .where(Connection.provider == calendar.connection.provider, Connection.leaving.is_(False))
    )
    return [other for other in candidates if is_same(calendar, other)]


def is_same(one: Calendar, other: Calendar) -> bool:
    """Whether both are one calendar. Where ids are world-wide, its id is the same for all accounts, and for nothing else."""
    if (one.connection.provider, one.remote_id) != (other.connection.provider, other.remote_id):
        return False
    is_worldwide = kind_of(one.connection.provider).has_worldwide_ids
    return is_worldwide or one.connection.account.get("url") == other.connection.account.get("url")


def _names(session: Session, other: Calendar, link: EventLink, appointment: Appointment) -> bool:
    """Whether the other calendar's link names the same event, or will, when it is written for the first time."""
    theirs = session.scalar(
        select(EventLink).where(EventLink.appointment_id == appointment.id, EventLink.calendar_id == other.id)
    )
    if theirs is not None:
        return theirs.state != "none" and theirs.remote_id == link.remote_id
    return link.uid == derived_uid(instance_ids(session).of(appointment.id), appointment.id, appointment.generation)
