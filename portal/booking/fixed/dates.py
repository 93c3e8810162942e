"""Fixed appointments: staff set their time, and they stand, booked or not, until they are called off. Each public function is one transaction.

Called by the staff pages, the seed, the periodic table (by way of `series`) and by sync, which follows what people do to the events. Capacity,
moving and calling off serve groups of other services too. What must be told outside is recorded in the same transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from portal.booking.fixed import steps
from portal.booking.models import Appointment
from portal.booking.rules import By
from portal.booking.time import claims
from portal.booking.time.last_look import NOTHING_SEEN, look_ahead
from portal.booking.time.outside_events import check_place
from portal.booking.time.queries import find_service
from portal.database.engine import write_transaction
from portal.errors import Invalid, NotAllowedNow
from portal.extensions import db
from portal.intervals import Interval
from portal.language.say import say


def plan_date(
    service_slug: str,
    start_at: datetime,
    *,
    capacity: int | None = None,
    resource_slug: str | None = None,
    now: datetime,
) -> int:
    """A new fixed appointment; returns its id. `resource_slug` says who gives it, else the first of the service's list who is free.

    Raises NotFound, Invalid (fields), NotAllowedNow for a service without fixed dates, SlotTaken with a sentence that says who has no time.
    """
    service = find_service(db.session(), service_slug)
    steps.check_plannable(service)
    steps.check_capacity(capacity)
    if start_at <= now:
        raise Invalid(
            say("This time has passed already. Please choose a later one."), fields={"start_at": say("in the past")}
        )
    resource_id = steps.person(db.session(), service, resource_slug)
    interval = Interval(start_at, start_at + timedelta(minutes=service.duration))
    ids = steps.candidates(db.session(), service.id)
    seen = look_ahead(ids, claims.claimed_by(service, interval), now=now)

    def work(session: Session) -> int:
        return steps.plan(session, service.id, interval, capacity=capacity, resource_id=resource_id, seen=seen)

    return steps.guarded(lambda: write_transaction(ids, work))


def change_date(
    appointment_id: int,
    *,
    start_at: datetime | None = None,
    end_at: datetime | None = None,
    capacity: int | None = None,
    now: datetime,
    by: By = "staff",
    keep_event: bool = False,
    over: bool = False,
) -> None:
    """Another time or another number of seats for this one appointment; what is None stays. Everybody in it goes along and is told who moved it.

    `keep_event`: its calendar shows the new time already, so nothing is published. Whoever follows an event (`by="calendar"`) asks before one
    goes `over` another event of the calendar; staff who plan and move in the portal cannot. Raises OutsideEvent, NotAllowedNow, Invalid,
    NotFound, and SlotTaken with a sentence that says who has no time.
    """
    steps.check_capacity(capacity)
    appointment = steps.standing(db.session(), appointment_id)
    ids = [row.resource_id for row in appointment.resources]
    interval = _new_interval(appointment, start_at, end_at)
    moves = interval != Interval(appointment.start_at, appointment.end_at)
    if moves and by != "calendar" and interval.start <= now:
        raise Invalid(
            say("This time has passed already. Please choose a later one."), fields={"start_at": say("in the past")}
        )
    looks = moves and by != "calendar"
    seen = look_ahead(ids, claims.claimed_by(appointment.service, interval), now=now) if looks else NOTHING_SEEN

    def work(session: Session) -> None:
        row = steps.locked(session, appointment_id, resource_ids=ids)
        if by != "calendar" and row.start_at <= now:
            raise NotAllowedNow(say("This appointment has begun already."))
        if capacity is not None:
            steps.resize(session, row, capacity)
        if start_at is not None:
            interval = _new_interval(row, start_at, end_at)
            if by == "calendar" and not over:
                check_place(session, row, interval)
            steps.shift(session, row, interval, by=by, keep_event=keep_event, seen=seen)

    steps.guarded(lambda: write_transaction(ids, work))


def change_capacity(appointment_id: int, capacity: int, *, now: datetime) -> None:
    """Another number of seats. Raises NotAllowedNow below the seats that are taken, Invalid for no sensible number, NotFound."""
    change_date(appointment_id, capacity=capacity, now=now)


def move_appointment(
    appointment_id: int,
    start_at: datetime,
    *,
    end_at: datetime | None = None,
    by: By,
    now: datetime,
    keep_event: bool = False,
    over: bool = False,
) -> None:
    """The whole appointment at another time, with everybody in it and the same resources. Raises as `change_date` does."""
    change_date(appointment_id, start_at=start_at, end_at=end_at, now=now, by=by, keep_event=keep_event, over=over)


def call_off(appointment_id: int, *, now: datetime, by: By = "staff") -> None:
    """It does not take place: every booking in it is cancelled, everybody is told, its time is free. Twice is the same as once.

    Raises NotFound, and NotAllowedNow when it has begun.
    """
    appointment = steps.existing(db.session(), appointment_id)
    ids = [row.resource_id for row in appointment.resources]
    write_transaction(ids, lambda session: steps.strike(session, appointment_id, by=by, now=now))


def _new_interval(appointment: Appointment, start_at: datetime | None, end_at: datetime | None) -> Interval:
    start = start_at or appointment.start_at
    interval = Interval(start, end_at or start + (appointment.end_at - appointment.start_at))
    if interval.end <= interval.start:
        raise Invalid(say("The end must lie after the start."), fields={"end_at": say("before the start")})
    return interval
