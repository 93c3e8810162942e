"""The connected calendars and how far they agree with our bookings: for the integrations page, the admin's home, and the API. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, contains_eager

from portal.booking.models import Appointment, AppointmentResource, EventLink
from portal.business.models import Resource
from portal.calendars.models import Calendar, Connection, RemoteObject
from portal.database.chunks import in_chunks
from portal.outbox import OutboxEntry

PUBLISH = "calendar.publish"
MOST_DOUBTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """An entry that could not be read, or not in full."""

    name: str
    problem: str
    remote_id: str
    is_left_open: bool
    may_be_left_open: bool


@dataclass(frozen=True, slots=True)
class CalendarFacts:
    """One calendar with the number of our appointments that it does not show yet (`waiting`) or that a person must look at (`stuck`).

    `doubts` are the first of its entries that could not be read, or not in full: what each is called, and what is the matter.
    """

    calendar: Calendar
    connection: Connection
    resource: Resource
    waiting: int
    stuck: int
    doubts: tuple[Doubt, ...] = ()
    stuck_reason: str = ""


def list_calendars(
    session: Session, *, resource_ids: Collection[int] | None = None, titles_of: Collection[int] = ()
) -> list[CalendarFacts]:
    """All calendars in use (or those of these resources), by resource and connection. Entries are named for the resources in `titles_of` alone."""
    statement = (
        select(Calendar, Resource)
        .join(Connection, Calendar.connection_id == Connection.id)
        .join(Resource, Resource.id == Calendar.resource_id)
        .where(Connection.leaving.is_(False))
        .options(contains_eager(Calendar.connection))
        .order_by(Resource.position, Resource.id, Connection.id, Calendar.id)
    )
    if resource_ids is not None:
        statement = statement.where(Calendar.resource_id.in_(resource_ids))
    waiting = Counter(calendar_id for _, calendar_id in unwritten(session, states=("waiting",)))
    stuck = _stuck_writes(session)
    return [
        CalendarFacts(
            calendar,
            calendar.connection,
            resource,
            waiting[calendar.id],
            stuck.get(calendar.id, (0, ""))[0],
            _doubts(session, calendar, with_titles=resource.id in titles_of),
            stuck.get(calendar.id, (0, ""))[1],
        )
        for calendar, resource in session.execute(statement)
    ]


def unwritten(session: Session, *, states: Collection[str] = ("waiting", "stuck")) -> set[tuple[int, int]]:
    """(appointment, calendar) of all that is to be written yet; what somebody moved or took out there waits for something else.

    Right after a booking there is only an outbox entry, no event link.
    """
    links = select(EventLink.appointment_id, EventLink.calendar_id).where(
        EventLink.state.in_(states), EventLink.outside == ""
    )
    pairs = {(appointment_id, calendar_id) for appointment_id, calendar_id in session.execute(links)}
    subjects = session.scalars(
        select(OutboxEntry.subject).where(OutboxEntry.topic == PUBLISH, OutboxEntry.state == "todo").limit(5000)
    )
    ids = {int(number) for subject in subjects if (number := subject.rpartition(":")[2]).isdecimal()}
    for appointment_id, calendar_id in _destinations(session, ids):
        pairs.add((appointment_id, calendar_id))
    return pairs


def _doubts(session: Session, calendar: Calendar, *, with_titles: bool) -> tuple[Doubt, ...]:
    if not calendar.unreadable_objects:
        return ()
    rows = session.scalars(
        select(RemoteObject)
        .where(RemoteObject.calendar_id == calendar.id, RemoteObject.problem.is_not(None))
        .order_by(RemoteObject.remote_id)
        .limit(MOST_DOUBTS)
    )
    return tuple(_doubt(row, with_titles=with_titles) for row in rows)


def _doubt(row: RemoteObject, *, with_titles: bool) -> Doubt:
    name = "An event of a booking" if row.is_ours else (row.summary if with_titles else "") or "An entry"
    return Doubt(
        name=name,
        problem=row.problem or "",
        remote_id=row.remote_id,
        is_left_open=is_left_open(row),
        may_be_left_open=not row.is_ours,
    )


def is_left_open(row: RemoteObject) -> bool:
    """Somebody decided that it closes no times, and it is as it was then."""
    return bool(row.left_open) and row.left_open == row.fingerprint


def _destinations(session: Session, appointment_ids: Collection[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for ids in in_chunks(sorted(appointment_ids)):
        rows = session.execute(
            select(Appointment.id, Calendar.id)
            .join(AppointmentResource, AppointmentResource.appointment_id == Appointment.id)
            .join(Calendar, Calendar.resource_id == AppointmentResource.resource_id)
            .where(Appointment.id.in_(ids), Calendar.is_destination)
        )
        found += [(appointment_id, calendar_id) for appointment_id, calendar_id in rows]
    return found


def _stuck_writes(session: Session) -> dict[int, tuple[int, str]]:
    """By calendar: how many appointments are stuck, and one of the reasons."""
    rows = session.execute(
        select(EventLink.calendar_id, func.count(), func.max(EventLink.last_error))
        .where(EventLink.state == "stuck")
        .group_by(EventLink.calendar_id)
    )
    return {calendar_id: (count, reason or "") for calendar_id, count, reason in rows}
