"""Reminders: rows with a due time, planned from the bookings, queued when they are due, and asked once more before they are mailed.

Rows are planned when a booking's news is told (`deliver`), when a service's reminders change, and by a slow pass over everything. `queue_due`
takes the due ones out of the table and writes their outbox entries in the same transaction, so that none is lost or doubled whatever dies
between; the entry's handler (`deliver.notify_reminder`) looks at the booking again. `portal.notifications.compose.due` decides. No Redis has a part
in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Executable, Select, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Appointment, Booking
from portal.business.models import Service
from portal.clock import now_utc
from portal.database.chunks import in_chunks
from portal.database.engine import read_transaction, transaction
from portal.notifications.compose import due
from portal.notifications.compose.due import Changes, DueRow, Known
from portal.notifications.models import Reminder

CHUNK = 1000
TOPIC = "notify.reminder"


def plan_booking(session: Session, booking: Booking, now: datetime) -> None:
    """Make the reminders of this booking what they must be, in the caller's transaction."""
    appointment = booking.appointment
    service = appointment.service
    known = _known(session, [booking.id])[booking.id]
    changes = due.plan(
        service.reminders,
        appointment.start_at,
        is_wanted=_is_wanted(booking.status, booking.wants_reminders),
        known=known,
        now=now,
    )
    _write(session, {booking.id: changes})


def replan_service(session: Session, service_id: int) -> None:
    """The same for all bookings to come of a service, when its reminders have changed; in the caller's transaction."""
    _plan_all(session, service_id, now=now_utc())


def plan_everything() -> None:
    """The slow pass over all services: whatever came into the database by another way gets its reminders too."""
    ids = read_transaction(lambda session: list(session.scalars(select(Service.id).order_by(Service.id))))
    for service_id in ids:
        transaction(lambda session, service_id=service_id: _plan_all(session, service_id, now=now_utc()))  # type: ignore[misc]


def queue_due(now: datetime) -> int:
    """Hand all reminders that are due to the outbox; returns how many. A transaction for each thousand."""
    count = 0
    while True:
        taken, queued = transaction(lambda session: _queue_chunk(session, now))
        count += queued
        if taken < CHUNK:
            return count


def _queue_chunk(session: Session, now: datetime) -> tuple[int, int]:
    """Take up to so many due rows out of the table; returns how many were looked at and how many queued."""
    ids = session.scalars(_due(now)).all()
    if not ids:
        return 0, 0
    turn = due.sort_out(_with_their_siblings(session, ids, now), now=now)
    outbox.record_all(session, [_entry(row) for row in turn.queue]) if turn.queue else None
    _set_state(session, [row.id for row in turn.queue], "queued")
    _set_state(session, turn.drop, "dropped")
    for booking in session.scalars(select(Booking).where(Booking.id.in_(turn.stale))) if turn.stale else ():
        plan_booking(session, booking, now)
    return len(ids), len(turn.queue)


def _due(now: datetime) -> Select[int]:
    """Bookings with reminders that are due; who is being worked on by another process is left to it."""
    return (
        select(Reminder.booking_id)
        .where(Reminder.state == "waiting", Reminder.due_at <= now)
        .order_by(Reminder.due_at, Reminder.id)
        .limit(CHUNK)
        .with_for_update(skip_locked=True)
    )


def _with_their_siblings(session: Session, booking_ids: Sequence[int], now: datetime) -> list[DueRow]:
    """All due reminders of these bookings, so that of two that were missed the earlier one is seen beside the later."""
    statement = (
        select(
            Reminder.id, Reminder.booking_id, Reminder.lead, Reminder.due_at,
            Appointment.start_at, Booking.sequence, Booking.status, Booking.wants_reminders,
        )
        .join(Booking, Booking.id == Reminder.booking_id)
        .join(Appointment, Appointment.id == Booking.appointment_id)
        .where(Reminder.booking_id.in_(set(booking_ids)), Reminder.state == "waiting", Reminder.due_at <= now)
        .with_for_update(of=Reminder)
    )  # fmt: skip
    return [
        DueRow(
            id=row.id,
            booking_id=row.booking_id,
            lead=row.lead,
            due_at=row.due_at,
            start_at=row.start_at,
            sequence=row.sequence,
            is_wanted=_is_wanted(row.status, row.wants_reminders),
        )
        for row in session.execute(statement)
    ]


def _entry(row: DueRow) -> tuple[str, str, dict[str, object]]:
    payload: dict[str, object] = {
        "news": "reminder",
        "lead": row.lead,
        "start_at": row.start_at.isoformat(),
        "sequence": row.sequence,
    }
    return TOPIC, f"booking:{row.booking_id}", payload


def _plan_all(session: Session, service_id: int, *, now: datetime) -> None:
    service = session.get(Service, service_id)
    if service is None:
        return
    coming = (
        select(Booking.id, Booking.status, Booking.wants_reminders, Appointment.start_at)
        .join(Appointment, Appointment.id == Booking.appointment_id)
        .where(Appointment.service_id == service_id, Appointment.start_at > now, Booking.status != "held")
    )
    rows = session.execute(coming).all()
    for chunk in in_chunks(rows, CHUNK):
        known = _known(session, [row.id for row in chunk])
        _write(
            session,
            {
                row.id: due.plan(
                    service.reminders,
                    row.start_at,
                    is_wanted=_is_wanted(row.status, row.wants_reminders),
                    known=known[row.id],
                    now=now,
                )
                for row in chunk
            },
        )


def _is_wanted(status: str, wants_reminders: bool) -> bool:
    return status == "confirmed" and wants_reminders


def _known(session: Session, booking_ids: Sequence[int]) -> dict[int, list[Known]]:
    found: dict[int, list[Known]] = defaultdict(list)
    statement = select(Reminder.booking_id, Reminder.id, Reminder.lead, Reminder.due_at, Reminder.state)
    for row in session.execute(statement.where(Reminder.booking_id.in_(booking_ids))):
        found[row.booking_id].append(Known(row.id, row.lead, row.due_at, row.state))
    return found


def _write(session: Session, changes: dict[int, Changes]) -> None:
    """Two planners at once may want the same new row: the second one finds it there, and lets it be."""
    new = [
        {"booking_id": booking_id, "lead": lead, "due_at": due_at, "state": "waiting"}
        for booking_id, each in changes.items()
        for lead, due_at in each.new
    ]
    if new:
        session.execute(_insert_missing(session), new)
    for each in changes.values():
        for reminder_id, (due_at, state) in (each.changed or {}).items():
            _update(session, Reminder.id == reminder_id, due_at=due_at, state=state)


def _insert_missing(session: Session) -> Executable:
    insert_into = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    return insert_into(Reminder.__table__).on_conflict_do_nothing(index_elements=["booking_id", "lead"])  # type: ignore[arg-type]


def _set_state(session: Session, ids: Iterable[int], state: str) -> None:
    found = list(ids)
    if found:
        _update(session, Reminder.id.in_(found), state=state)


def _update(session: Session, which: ColumnElement[bool], **values: object) -> None:
    session.execute(update(Reminder).where(which).values(**values).execution_options(synchronize_session=False))
