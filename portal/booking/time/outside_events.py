"""Outside events over the time of an appointment: what stands against confirming somebody in it (promise 2 of the README).

Under the lock of its resources this is the last word before a booking is confirmed; read without it, it is what staff are shown beforehand.
The appointment's own event is none of them, wherever somebody has moved it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select
from sqlalchemy.orm import Session

from portal.booking.models import Appointment, AppointmentResource, EventLink
from portal.booking.time.last_look import NOTHING_SEEN, Seen
from portal.calendars.models import BusyInterval, Calendar, UnknownBooking
from portal.errors import OutsideEvent
from portal.intervals import Interval


@dataclass(frozen=True, slots=True, order=True)
class Over:
    """An outside event that stands over an appointment. Its title is its calendar's own affair."""

    start_at: datetime
    end_at: datetime
    calendar: str


def standing_over(session: Session, appointment_ids: Collection[int]) -> dict[int, list[Over]]:
    """The known outside events over these appointments with their buffers, by time; without those over which none stands."""
    found: dict[int, list[Over]] = defaultdict(list)
    if appointment_ids:
        for appointment_id, start_at, end_at, name in session.execute(
            _over().where(Appointment.id.in_(appointment_ids))
        ):
            found[appointment_id].append(Over(start_at, end_at, name))
    return {appointment_id: sorted(set(events)) for appointment_id, events in found.items()}


def check_nothing_over(session: Session, appointment: Appointment, *, seen: Seen = NOTHING_SEEN) -> None:
    """Under the lock: no outside event stands over the appointment, nor was one `seen` in a last look. Raises OutsideEvent."""
    events = standing_over(session, [appointment.id]).get(appointment.id, [])
    claimed = Interval(appointment.claim_start_at, appointment.claim_end_at)
    ids = [row.resource_id for row in appointment.resources]
    looked = sorted({each for i in ids for each in seen.busy.get(i, ()) if each.overlaps(claimed)}, key=_by_time)
    if events or looked:
        raise OutsideEvent(
            "An event in the calendar stands over this time.",
            events=events or [Over(each.start, each.end, "") for each in looked],
        )


def check_place(session: Session, appointment: Appointment, interval: Interval) -> None:
    """Under the lock: no known outside event stands where the appointment shall go. Raises OutsideEvent."""
    if events := standing_at(session, appointment, interval):
        raise OutsideEvent("Another event in the calendar stands there.", events=events)


def standing_at(session: Session, appointment: Appointment, interval: Interval) -> list[Over]:
    """The known outside events over a time to which the appointment may go, in the calendars of those who give it."""
    wanted = (
        select(BusyInterval.start_at, BusyInterval.end_at, Calendar.name)
        .join(Calendar, Calendar.id == BusyInterval.calendar_id)
        .where(
            BusyInterval.resource_id.in_([row.resource_id for row in appointment.resources]),
            BusyInterval.end_at > interval.start,
            BusyInterval.start_at < interval.end,
            Calendar.is_busy_source,
            ~_is_own(appointment.id),
        )
    )
    return sorted({Over(*event) for event in session.execute(wanted)})


def _over() -> Select[int, datetime, datetime, str]:
    taken = and_(
        BusyInterval.resource_id == AppointmentResource.resource_id,
        BusyInterval.end_at > Appointment.claim_start_at,
        BusyInterval.start_at < Appointment.claim_end_at,
    )
    return (
        select(Appointment.id, BusyInterval.start_at, BusyInterval.end_at, Calendar.name)
        .join(AppointmentResource, AppointmentResource.appointment_id == Appointment.id)
        .join(BusyInterval, taken)
        .join(Calendar, Calendar.id == BusyInterval.calendar_id)
        .where(Calendar.is_busy_source, ~_is_own(Appointment.id))
    )


def _is_own(appointment_id: Any) -> ColumnElement[bool]:
    """Whether busy time is that of the appointment's own event: one that somebody has moved, or of a request that was approved since the backup."""
    return or_(
        *(
            exists().where(
                names.appointment_id == appointment_id,
                names.calendar_id == BusyInterval.calendar_id,
                names.remote_id == BusyInterval.remote_id,
            )
            for names in (EventLink, UnknownBooking)
        )
    )


def _by_time(interval: Interval) -> tuple[datetime, datetime]:
    return interval.start, interval.end
