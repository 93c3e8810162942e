"""Reconcile: compare everything on both sides of a calendar, once a day, after anomalies, and on `lockstep reconcile`.

A complete reading finds what no change feed told (some servers never say that a sync token is dead) and expands again what the moving window
has reached. Then every event link is held against its appointment, and events of ours that no booking wants any more are taken away.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Appointment, AppointmentResource, EventLink
from portal.calendars.account import Account, account_of
from portal.calendars.models import Calendar, RemoteObject
from portal.calendars.open import calendar_ref, kept_provider
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction, write_transaction
from portal.instance.ids import instance_ids
from portal.instance.names import InstanceIds
from portal.sync import leases, ledger
from portal.sync.event.desired import derived_uid
from portal.sync.event.stands import standing, stands
from portal.sync.models import Lease
from portal.sync.outside import unknown
from portal.sync.outside.conflicts import forget_object
from portal.sync.pull.pull import Outcome, pull
from portal.sync.pull.read import BACK
from portal.sync.throttle import line_to
from providers.calendars.base import CalendarProvider, CalendarRef, EventMark
from providers.errors import Conflict, Gone

EVERY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a reconcile found: `republished` appointments were set on their way, `orphans` taken out of the calendar."""

    reading: Outcome
    republished: int
    orphans: int


def reconcile(calendar_id: int, *, lease_for: timedelta = leases.LONG_READ_LEASE) -> Report | None:
    """Compare all; None while somebody else reads the calendar. Raises NotFound and the errors of `providers.errors`."""
    reading = pull(calendar_id, is_complete=True, lease_for=lease_for)
    if reading is None:
        return None
    now = now_utc()
    republished = transaction(lambda session: _republish(session, calendar_id, now=now))
    orphans = _remove_orphans(calendar_id)
    transaction(lambda session: leases.beat(session, lease_name(calendar_id), holder="", now=now, lives_for=EVERY))
    return Report(reading=reading, republished=republished, orphans=orphans)


def lease_name(calendar_id: int) -> str:
    """The name of the lease row that remembers the last reconcile of a calendar."""
    return f"reconcile:{calendar_id}"


def due_calendars(session: Session, *, now: datetime) -> set[int]:
    """Calendars whose last reconcile is more than a day ago."""
    done = dict(
        session.execute(select(Lease.name, Lease.last_done_at).where(Lease.name.startswith("reconcile:")))
        .tuples()
        .all()
    )
    ids = session.scalars(select(Calendar.id).where(Calendar.last_read_at.is_not(None)))
    return {i for i in ids if (at := done.get(lease_name(i))) is None or at + EVERY <= now}


def _republish(session: Session, calendar_id: int, *, now: datetime) -> int:
    """Set on their way: links behind their appointment, events that must not stand any more, and appointments to come that have no link yet."""
    calendar = session.get_one(Calendar, calendar_id)
    behind = (
        select(EventLink.appointment_id)
        .join(Appointment, Appointment.id == EventLink.appointment_id)
        .where(
            EventLink.calendar_id == calendar_id,
            EventLink.outside == "",
            or_(
                and_(EventLink.state != "none", EventLink.applied_version < Appointment.version),
                and_(EventLink.state.in_(("waiting", "stuck"))),
            ),
        )
    )
    linked = select(EventLink.appointment_id).where(EventLink.calendar_id == calendar_id)
    missing = (
        select(Appointment.id)
        .join(AppointmentResource, AppointmentResource.appointment_id == Appointment.id)
        .where(
            AppointmentResource.resource_id == calendar.resource_id,
            Appointment.start_at > now,
            standing(),
            Appointment.id.not_in(linked),
        )
    )
    ids = set(session.scalars(behind))
    if calendar.is_destination:
        ids |= set(session.scalars(missing))
    for appointment_id in ids:
        outbox.hasten(session, "calendar.publish", f"appointment:{appointment_id}", now=now)
    return len(ids)


@dataclass(frozen=True, slots=True)
class _Place:
    account: Account
    ref: CalendarRef
    resource_id: int
    ids: InstanceIds
    suspects: tuple[str, ...]


def _remove_orphans(calendar_id: int) -> int:
    """Take away events of ours whose booking is over, or stands in a newer event: ghosts that a crash, a restored backup or an undo left.

    Only under the very UID that we gave it, so a copy that somebody made stays; only when the booking is known here; and only
    after reading it once more. Returns how many went.
    """
    place = read_transaction(lambda session: _place(session, calendar_id))
    if not place.suspects:
        return 0
    with line_to(place.account.connection_id), kept_provider(place.account) as provider:
        return sum(_remove_orphan(provider, place, calendar_id, remote_id) for remote_id in place.suspects)


def _place(session: Session, calendar_id: int) -> _Place:
    calendar = session.get_one(Calendar, calendar_id)
    standing = select(EventLink.remote_id).where(EventLink.calendar_id == calendar_id, EventLink.state != "none")
    suspects = session.scalars(
        select(RemoteObject.remote_id).where(
            RemoteObject.calendar_id == calendar_id, RemoteObject.is_ours, RemoteObject.remote_id.not_in(standing),
            RemoteObject.remote_id.not_in(unknown.untouchable(calendar_id)),
        )
    )  # fmt: skip
    return _Place(
        account=account_of(calendar.connection),
        ref=calendar_ref(calendar),
        resource_id=calendar.resource_id,
        ids=instance_ids(session),
        suspects=tuple(suspects),
    )


def _remove_orphan(provider: CalendarProvider, place: _Place, calendar_id: int, remote_id: str) -> bool:
    now = now_utc()
    try:
        event = provider.get(place.ref, remote_id, window=(now - BACK, now))
        mark = event.mark
        if mark is None or mark.instance_id != place.ids.of(mark.appointment_id):
            return False
        if event.uid != derived_uid(mark.instance_id, mark.appointment_id, mark.generation):
            return False
        if not read_transaction(lambda session: _is_over(session, mark, calendar_id, event.uid)):
            return False
        provider.delete(place.ref, remote_id, if_match=event.etag)
    except (Gone, Conflict):
        return False
    write_transaction([place.resource_id], lambda session: _tell(session, calendar_id, mark.appointment_id, remote_id))
    return True


def _is_over(session: Session, mark: EventMark, calendar_id: int, uid: str) -> bool:
    """No booking stands behind the event. Or a newer event does, written when this one was deleted (an undo brought it back) or dragged here."""
    appointment = session.get(Appointment, mark.appointment_id)
    if appointment is None:
        return False
    links = session.scalars(select(EventLink).where(EventLink.appointment_id == mark.appointment_id)).all()
    link = next((link for link in links if link.calendar_id == calendar_id), None)
    if not stands(appointment):
        return link is None or link.state == "none" or link.uid != uid
    concerned = [link] if link else [one for one in links if one.state != "none"]
    is_settled = all(one.state == "done" for one in concerned)
    return is_settled and any(one.generation > mark.generation and one.etag for one in concerned)


def _tell(session: Session, calendar_id: int, appointment_id: int, remote_id: str) -> None:
    forget_object(session, calendar_id, remote_id)
    sentence = (
        "A left-over event of ours was taken out of the calendar: its booking is over, or stands in a newer event."
    )
    ledger.write(session, "orphan", sentence, calendar_id=calendar_id, appointment_id=appointment_id)
