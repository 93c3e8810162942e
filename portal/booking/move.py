"""Moving a booking: the old claims are exchanged for the new ones in one transaction, both or neither."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking import rules
from portal.booking.approval import APPROVAL
from portal.booking.models import ACTIVE, STANDING, Appointment, Booking, Seat
from portal.booking.rules import By
from portal.booking.steps import found, locked, tell, tell_waitlist
from portal.booking.time import claims
from portal.booking.time.last_look import Seen, look_ahead
from portal.booking.time.limits import limit_locks
from portal.booking.time.queries import present_person
from portal.booking.time.wish import Wish, find_slot, read_wish, standing_appointment, with_nearest
from portal.database.engine import write_transaction
from portal.extensions import db
from portal.intervals import Interval


def move_booking(
    booking_id: int,
    start_at: datetime,
    *,
    by: By,
    now: datetime,
    resource_slug: str | None = None,
    end_at: datetime | None = None,
    keep_event: bool = False,
) -> None:
    """Give the booking another time. When that fails, everything is as it was.

    Customers and staff get offered slots only (their own old time counts as free, so ten minutes later works); customers until the
    service's cut-off. `by="calendar"` follows an event that staff moved outside: it needs no offered slot, but claims that
    are free; `end_at` is that event's end. `keep_event` says that the calendar shows the new time already: nothing is published.
    Raises SlotTaken (with `nearest`), TooLate, NotAllowedNow, NotFound.
    """
    wish = _wish(booking_id, start_at, resource_slug=resource_slug, end_at=end_at, by=by)
    seen = Seen() if by == "calendar" else look_ahead(wish.resource_ids, wish.claimed, now=now)

    def work(session: Session) -> None:
        booking = locked(session, booking_id)
        _check(booking, by=by, now=now)
        if Interval(booking.appointment.start_at, booking.appointment.end_at) == wish.interval and not resource_slug:
            return
        previous = booking.appointment.start_at
        claims.drop_expired_holds(session, wish.resource_ids)
        if by == "calendar":
            _follow(session, booking, wish, previous=previous)
        else:
            _take_slot(session, booking, wish, seen=seen, now=now)
        more = {"previous_start_at": previous.isoformat()}
        news = "pending" if _asks_again(booking, by=by) else "moved"
        tell(session, booking, news, by=by, publish=not keep_event, **more)
        tell_waitlist(session, booking.appointment.service, "moved")

    locks = limit_locks(db.session(), found(db.session(), booking_id).appointment.service, wish.resource_ids)
    with_nearest(wish, now, lambda: write_transaction(locks, work))


def _wish(booking_id: int, start_at: datetime, *, resource_slug: str | None, end_at: datetime | None, by: By) -> Wish:
    """The new time; the lock covers the old resources and all that may be taken instead."""
    session: Session = db.session()
    booking = found(session, booking_id)
    appointment, service = booking.appointment, booking.appointment.service
    if resource_slug is None and service.assignment == "choose" and service.timing != "fixed" and by != "calendar":
        present = present_person(session, appointment)
        resource_slug = present.slug if present else None
    party = booking.party_size
    if service.timing != "fixed" or by == "calendar":
        party = min(party, service.capacity)  # the capacity may have been lowered since
    wish = read_wish(service, start_at, resource_slug=resource_slug, party_size=party, moving_id=booking.id)
    if by == "calendar":
        interval = Interval(start_at, end_at or start_at + (appointment.end_at - appointment.start_at))
        wish = replace(wish, interval=interval, resource_ids=())  # whoever has it keeps it
    ids = {*wish.resource_ids, *(row.resource_id for row in appointment.resources)}
    return replace(wish, resource_ids=tuple(sorted(ids)))


def _check(booking: Booking, *, by: By, now: datetime) -> None:
    rules.next_status(booking.status, "move")
    if by == "customer":
        appointment = booking.appointment
        minutes = rules.cut_off(appointment.service.move_until, reason=booking.pending_reason)
        rules.check_cut_off(appointment.start_at, minutes=minutes, now=now, verb="move")


def _asks_again(booking: Booking, *, by: By) -> bool:
    """What staff approved was the old time: where they want to be asked, a confirmed booking that its customer moves is a request again."""
    if by != "customer" or booking.status != "confirmed" or not booking.appointment.service.needs_approval:
        return False
    booking.status = rules.next_status(booking.status, "ask again")
    booking.pending_reason, booking.confirmed_at = APPROVAL, None
    return True


def _take_slot(session: Session, booking: Booking, wish: Wish, *, seen: Seen, now: datetime) -> None:
    service = booking.appointment.service
    slot, main = find_slot(session, service, wish, now=now, seen=seen)
    members = [(0, i) for i in main] + [(n, i) for n, i in enumerate(slot.also, start=1)]
    target = standing_appointment(session, slot)
    if target is None and not booking.appointment.is_fixed and _is_alone(session, booking):
        claims.shift_appointment(
            session, booking.appointment, start_at=slot.interval.start, end_at=slot.interval.end, members=members
        )
        return
    if target is None:
        target = session.get_one(Appointment, claims.open_appointment(session, service, slot, resources=main))
    _change_seats(session, booking, target)


def _follow(session: Session, booking: Booking, wish: Wish, *, previous: datetime) -> None:
    """The event was moved by hand: the whole appointment goes with it, with everybody in it and the same resources."""
    appointment = booking.appointment
    members = [(row.list_no, row.resource_id) for row in appointment.resources]
    claims.shift_appointment(
        session, appointment, start_at=wish.interval.start, end_at=wish.interval.end, members=members
    )
    others = select(Booking).where(
        Booking.appointment_id == appointment.id, Booking.status.in_(STANDING), Booking.id != booking.id
    )
    for other in session.scalars(others):
        tell(session, other, "moved", by="calendar", publish=False, previous_start_at=previous.isoformat())


def _change_seats(session: Session, booking: Booking, target: Appointment) -> None:
    """Leave one group appointment for another; both calendars' copies are outdated then."""
    old = booking.appointment
    booking.appointment = target
    session.flush()
    session.query(Seat).where(Seat.booking_id == booking.id).delete()
    claims.take_seats(session, booking, capacity=target.capacity)
    claims.close_if_empty(session, old.id)
    old.version = Appointment.version + 1
    outbox.record(session, "calendar.publish", f"appointment:{old.id}")


def _is_alone(session: Session, booking: Booking) -> bool:
    others = select(Booking.id).where(
        Booking.appointment_id == booking.appointment_id, Booking.status.in_(ACTIVE), Booking.id != booking.id
    )
    return session.scalars(others.limit(1)).first() is None
