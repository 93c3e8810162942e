"""Conflicts: an appointment that stands and an outside event that want the same time of one resource (promise 3 of the README).

They are found wherever one of the two appears: when a pull stores busy time, and when a publish follows a change of the appointment. A
conflict is told to the staff once, and ends by itself when either of the two has gone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import PRESENT, Appointment, AppointmentResource, EventLink
from portal.calendars.models import BusyInterval, Calendar, RemoteObject
from portal.clock import now_utc
from portal.database.chunks import in_chunks
from portal.database.engine import read_transaction, write_transaction
from portal.sync import ledger
from portal.sync.event.stands import standing, stands
from portal.sync.models import Conflict
from portal.sync.sentences import moment
from providers.calendars.base import Span


def refresh_calendar(session: Session, calendar: Calendar, remote_ids: Collection[str], *, now: datetime) -> None:
    """Look again at these objects of the calendar against the resource's standing appointments to come.

    Called with the lock of the calendar's resource held, after the objects' busy time was written.
    """
    if not calendar.is_busy_source:
        return
    appointments = _appointments(session, calendar.resource_id, now=now)
    open_ones = session.scalars(
        select(Conflict).where(Conflict.calendar_id == calendar.id, Conflict.resolved_at.is_(None))
    ).all()
    if not appointments and not open_ones:
        return
    spans = _spans(session, calendar.id, remote_ids)
    found = _overlaps(appointments, spans)
    for (appointment_id, remote_id), span in found.items():
        _open(session, appointment_id, calendar, remote_id, span)
    for conflict in open_ones:
        if conflict.remote_id in remote_ids and (conflict.appointment_id, conflict.remote_id) not in found:
            _resolve(session, conflict, now=now)


def refresh_appointment(appointment_id: int, *, now: datetime) -> None:
    """Look again at all that stands against this appointment. Writes only when something differs."""
    found = read_transaction(lambda session: _standing(session, appointment_id, now=now))
    if found is None:
        return
    resource_ids, has_news = found
    if has_news:
        write_transaction(resource_ids, lambda session: _settle(session, appointment_id, now=now))


def end_with_object(session: Session, calendar_id: int, remote_id: str, *, now: datetime) -> None:
    """The object's busy time was taken away, by us and not by a reading: nothing stands against anybody through it any more."""
    open_ones = select(Conflict).where(
        Conflict.calendar_id == calendar_id, Conflict.remote_id == remote_id, Conflict.resolved_at.is_(None)
    )
    for conflict in session.scalars(open_ones):
        _resolve(session, conflict, now=now)


def forget_object(session: Session, calendar_id: int, remote_id: str) -> None:
    for table in (RemoteObject, BusyInterval):
        session.execute(delete(table).where(table.calendar_id == calendar_id, table.remote_id == remote_id))
    end_with_object(session, calendar_id, remote_id, now=now_utc())


def end_those_over(session: Session, *, now: datetime) -> None:
    """What stood against an appointment that has taken place concerns nobody any more, settled or not."""
    over = (
        select(Conflict)
        .join(Appointment, Appointment.id == Conflict.appointment_id)
        .where(Conflict.resolved_at.is_(None), Appointment.end_at <= now)
    )
    for conflict in session.scalars(over):
        _resolve(session, conflict, now=now)


def _standing(session: Session, appointment_id: int, *, now: datetime) -> tuple[list[int], bool] | None:
    """The appointment's resources, and whether what stands against it differs from what is noted."""
    appointment = session.get(Appointment, appointment_id)
    if appointment is None:
        return None
    noted = {(row.calendar_id, row.remote_id) for row in _open_conflicts(session, appointment_id)}
    against = {(calendar_id, remote_id) for calendar_id, remote_id, _ in _against(session, appointment, now=now)}
    return [row.resource_id for row in appointment.resources], noted != against


def _settle(session: Session, appointment_id: int, *, now: datetime) -> None:
    appointment = session.get(Appointment, appointment_id)
    if appointment is None:
        return
    against = {
        (calendar_id, remote_id): span for calendar_id, remote_id, span in _against(session, appointment, now=now)
    }
    for conflict in _open_conflicts(session, appointment_id):
        if (conflict.calendar_id, conflict.remote_id) not in against:
            _resolve(session, conflict, now=now)
    for (calendar_id, remote_id), span in against.items():
        calendar = session.get(Calendar, calendar_id)
        if calendar is not None:
            _open(session, appointment_id, calendar, remote_id, span)


def _against(session: Session, appointment: Appointment, *, now: datetime) -> list[tuple[int, str, Span]]:
    """(calendar, object, time) of all busy time over a standing appointment to come; nothing for any other."""
    if not stands(appointment) or appointment.end_at <= now:
        return []
    rows = session.execute(
        select(BusyInterval.calendar_id, BusyInterval.remote_id, BusyInterval.start_at, BusyInterval.end_at)
        .join(Calendar, Calendar.id == BusyInterval.calendar_id)
        .where(
            BusyInterval.resource_id.in_([row.resource_id for row in appointment.resources]),
            Calendar.is_busy_source,
            BusyInterval.end_at > appointment.start_at,
            BusyInterval.start_at < appointment.end_at,
        )
    )
    return [(calendar_id, remote_id, (start, end)) for calendar_id, remote_id, start, end in rows]


def _appointments(session: Session, resource_id: int, *, now: datetime) -> list[tuple[datetime, datetime, int]]:
    """(start, end, id) of the resource's standing appointments to come, by start. They never overlap each other."""
    rows = session.execute(
        select(Appointment.start_at, Appointment.end_at, Appointment.id)
        .join(AppointmentResource, AppointmentResource.appointment_id == Appointment.id)
        .where(
            AppointmentResource.resource_id == resource_id,
            AppointmentResource.is_active,
            Appointment.end_at > now,
            standing(),
        )
        .order_by(Appointment.start_at)
    )
    return [(start, end, appointment_id) for start, end, appointment_id in rows]


def _spans(session: Session, calendar_id: int, remote_ids: Collection[str]) -> list[tuple[str, Span]]:
    found = []
    for some in in_chunks(list(remote_ids)):
        rows = session.execute(
            select(BusyInterval.remote_id, BusyInterval.start_at, BusyInterval.end_at).where(
                BusyInterval.calendar_id == calendar_id, BusyInterval.remote_id.in_(some)
            )
        )
        found += [(remote_id, (begins, ends)) for remote_id, begins, ends in rows]
    return found


def _overlaps(
    appointments: list[tuple[datetime, datetime, int]], spans: list[tuple[str, Span]]
) -> dict[tuple[int, str], Span]:
    ends = [end for _, end, _ in appointments]  # sorted like the starts, since they do not overlap
    found: dict[tuple[int, str], Span] = {}
    for remote_id, (start, end) in spans:
        i = bisect_left(ends, start)
        while i < len(appointments) and appointments[i][0] < end:
            if appointments[i][1] > start:
                found.setdefault((appointments[i][2], remote_id), (start, end))
            i += 1
    return found


def _open(session: Session, appointment_id: int, calendar: Calendar, remote_id: str, span: Span) -> None:
    """Note a conflict, once. A known one only learns its present time. The appointment's own event, in doubt after a restore, is none."""
    own = (EventLink.appointment_id == appointment_id, EventLink.calendar_id == calendar.id)
    if session.scalar(select(EventLink.id).where(*own, EventLink.remote_id == remote_id)) is not None:
        return
    for conflict in _open_conflicts(session, appointment_id):
        if (conflict.calendar_id, conflict.remote_id) == (calendar.id, remote_id):
            if (conflict.start_at, conflict.end_at) != span:
                conflict.start_at, conflict.end_at = span
            return
    conflict = Conflict(
        appointment_id=appointment_id, calendar_id=calendar.id, remote_id=remote_id, start_at=span[0], end_at=span[1]
    )
    session.add(conflict)
    session.flush()
    appointment = session.get_one(Appointment, appointment_id)
    what = "an appointment that nobody has booked yet" if _is_empty(appointment) else "a confirmed booking"
    sentence = f"An event in the calendar “{calendar.name}” at {moment(session, span[0])} stands over {what}."
    ledger.write(session, "conflict", sentence, calendar_id=calendar.id, appointment_id=appointment_id)
    outbox.record(session, "notify.staff", f"conflict:{conflict.id}", news="conflict", state="open")


def _is_empty(appointment: Appointment) -> bool:
    return not any(booking.status in PRESENT for booking in appointment.bookings)


def _resolve(session: Session, conflict: Conflict, *, now: datetime) -> None:
    conflict.resolved_at = now
    sentence = "A conflict has ended: the appointment and the outside event no longer want the same time."
    ledger.write(
        session, "conflict", sentence, calendar_id=conflict.calendar_id, appointment_id=conflict.appointment_id
    )


def _open_conflicts(session: Session, appointment_id: int) -> list[Conflict]:
    return list(
        session.scalars(
            select(Conflict).where(Conflict.appointment_id == appointment_id, Conflict.resolved_at.is_(None))
        )
    )
