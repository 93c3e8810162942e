"""Events that must be written anew although no booking changed: a calendar's privacy setting or a service's words are others now.

The handler of the topic `calendar.rewrite` (`portal.calendars.rewrite` records it). Each appointment to come gets a new version: so a write that is
under way with the old words is followed by one with the new.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Appointment, AppointmentResource
from portal.business.models import Service
from portal.calendars.models import Calendar
from portal.calendars.rewrite import rewrite_calendar, rewrite_service
from portal.clock import now_utc
from portal.database.chunks import in_chunks
from portal.database.engine import transaction
from portal.outbox import Work
from portal.sync import ledger
from portal.sync.event import shared
from portal.sync.event.stands import standing

__all__ = ["rewrite_calendar", "rewrite_entry", "rewrite_service"]


def rewrite_entry(work: Work) -> None:
    """Set every appointment to come of `calendar:<id>` or `service:<id>` on its way into its calendars."""
    rewrite = _of_calendar if work.subject.startswith("calendar:") else _of_service
    transaction(lambda session: rewrite(session, work.subject_id))


def _of_calendar(session: Session, calendar_id: int) -> None:
    """Also those of others who share this very calendar: its events follow the strictest of their settings."""
    calendar = session.get(Calendar, calendar_id)
    if calendar is None or calendar.connection.leaving:
        return
    owners = {calendar.resource_id, *(other.resource_id for other in shared.same_calendars(session, calendar))}
    taken = select(AppointmentResource.appointment_id).where(AppointmentResource.resource_id.in_(owners))
    number = _raise_versions(session, Appointment.id.in_(taken))
    told = {"busy only": "only that the time is taken", "initials": "initials", "full": "names and how to reach people"}
    sentence = (
        f"{number} events in “{calendar.name}” are written anew, to tell {told[shared.privacy_of(session, calendar)]}."
    )
    ledger.write(session, "rewritten", sentence, calendar_id=calendar_id, connection_id=calendar.connection_id)


def _of_service(session: Session, service_id: int) -> None:
    service = session.get(Service, service_id)
    if service is None:
        return
    number = _raise_versions(session, Appointment.service_id == service_id)
    if number:
        ledger.write(
            session, "rewritten", f"{number} events of “{service.name}” are written anew, since it was changed."
        )


def _raise_versions(session: Session, condition: ColumnElement[bool]) -> int:
    to_come = select(Appointment.id).where(condition, standing(), Appointment.end_at > now_utc())
    ids = list(session.scalars(to_come.order_by(Appointment.start_at)))
    for some in in_chunks(ids):
        raised = update(Appointment).where(Appointment.id.in_(some)).values(version=Appointment.version + 1)
        session.execute(raised.execution_options(synchronize_session=False))
        outbox.record_all(
            session, [("calendar.publish", f"appointment:{appointment_id}", {}) for appointment_id in some]
        )
    return len(ids)
