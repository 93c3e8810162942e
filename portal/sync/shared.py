"""One calendar may serve several: a studio's own calendar for all of its people, or a person's for her room, too. Each has a connection then.

An event of ours has the same id for all of them, so there is one event, and several event links may name it. It is taken away only when it is
wanted for none of them any more. Asked by publish and by the farewell.
"""

from __future__ import annotations

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from portal.booking.models import Appointment, AppointmentResource, Booking, EventLink
from portal.business.models import Business
from portal.calendars.models import Calendar, Connection
from portal.sync.desired import derived_uid


def is_wanted_by_another(session: Session, link: EventLink) -> bool:
    """Whether the event of this link must stand where it is because the same calendar is connected for somebody else, too."""
    appointment, calendar = (
        session.get_one(Appointment, link.appointment_id),
        session.get_one(Calendar, link.calendar_id),
    )
    if not link.remote_id or not appointment.is_active:
        return False
    confirmed = exists().where(
        Booking.appointment_id == appointment.id, Booking.status.in_(("confirmed", "completed", "no_show"))
    )
    taken = select(AppointmentResource.resource_id).where(AppointmentResource.appointment_id == appointment.id)
    others = session.scalars(
        select(Calendar)
        .join(Connection)
        .where(
            Calendar.remote_id == calendar.remote_id,
            Calendar.id != calendar.id,
            Calendar.is_destination,
            Calendar.resource_id.in_(taken),
            Connection.provider == calendar.connection.provider,
            Connection.leaving.is_(False),
            confirmed,
        )
    ).all()
    return any(_names(session, other, link, appointment) for other in others)


def _names(session: Session, other: Calendar, link: EventLink, appointment: Appointment) -> bool:
    """Whether the other calendar's link names the same event, or will, when it is written for the first time."""
    theirs = session.scalar(
        select(EventLink).where(EventLink.appointment_id == appointment.id, EventLink.calendar_id == other.id)
    )
    if theirs is not None:
        return theirs.state != "none" and theirs.remote_id == link.remote_id
    instance_id = session.scalars(select(Business.instance_id)).first() or ""
    return link.uid == derived_uid(instance_id, appointment.id, appointment.generation)
