"""The steps of planning, changing and calling off appointments, inside the transactions of `dates`, `series`, `series_changes` and
`portal.seed.apply_dates`.

The caller holds the locks of the resources concerned. Rows of bookings are locked before their appointment's, as a cancellation does it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking import rules
from portal.booking.fixed.staffing import check_free, choose_members
from portal.booking.models import STANDING, Appointment, Booking, Offer, Seat
from portal.booking.rules import By
from portal.booking.steps import end, tell, tell_waitlist
from portal.booking.time import claims
from portal.booking.time.last_look import NOTHING_SEEN, Seen
from portal.booking.time.wish import TAKEN
from portal.business.models import Resource, Service, ServiceResource
from portal.errors import Invalid, NotAllowedNow, NotFound, SlotTaken
from portal.intervals import Interval
from portal.language.say import say

T = TypeVar("T")
MOST_SEATS = 500


def plan(
    session: Session,
    service_id: int,
    interval: Interval,
    *,
    capacity: int | None,
    resource_id: int | None,
    seen: Seen = NOTHING_SEEN,
    **series: object,
) -> int:
    """A new fixed appointment; the caller holds the locks of `candidates`. Raises SlotTaken."""
    service = session.get_one(Service, service_id)
    claims.drop_expired_holds(session, candidates(session, service_id))
    members = choose_members(session, service, interval, resource_id=resource_id, busy=seen.busy)
    values = {"capacity": capacity or service.capacity, "is_fixed": True, "planned_at": interval.start, **series}
    appointment_id = claims.stand(session, service, interval, members, **values)
    outbox.record(session, "calendar.publish", f"appointment:{appointment_id}")
    tell_waitlist(session, service, "planned")
    return appointment_id


def resize(session: Session, appointment: Appointment, capacity: int) -> None:
    """Another number of seats; those above the new number are numbered anew. Raises NotAllowedNow."""
    if capacity == appointment.capacity:
        return
    if not appointment.is_fixed and appointment.service.capacity == 1:
        raise NotAllowedNow(say("This appointment is for one customer alone, so it has no further seats."))
    claims.drop_expired_holds(session, [row.resource_id for row in appointment.resources])
    taken = session.scalars(select(Seat.seat_no).where(Seat.appointment_id == appointment.id)).all()
    if len(taken) > capacity:
        raise NotAllowedNow(
            say(
                "%(taken)s seats are taken, so the capacity cannot be %(number)s. Cancel or move bookings first.",
                taken=len(taken),
                number=capacity,
            )
        )
    free = iter(sorted(set(range(1, capacity + 1)) - set(taken)))
    for number in sorted(number for number in taken if number > capacity):
        seat = (Seat.appointment_id == appointment.id, Seat.seat_no == number)
        session.execute(update(Seat).where(*seat).values(seat_no=next(free)))
    appointment.capacity = capacity
    announce(session, appointment, "capacity")


def shift(
    session: Session,
    appointment: Appointment,
    interval: Interval,
    *,
    by: By,
    keep_event: bool = False,
    seen: Seen = NOTHING_SEEN,
) -> None:
    """The appointment with everybody in it at another time. Raises SlotTaken."""
    if Interval(appointment.start_at, appointment.end_at) == interval:
        return
    previous = appointment.start_at
    members = [(row.list_no, row.resource_id) for row in appointment.resources]
    _drop_visitors_holds(session, appointment.id)
    claims.drop_expired_holds(session, [resource_id for _, resource_id in members])
    if by != "calendar":
        check_free(session, appointment, interval, busy=seen.busy)
    claims.shift_appointment(session, appointment, start_at=interval.start, end_at=interval.end, members=members)
    for booking in _standing_bookings(session, appointment.id):
        tell(session, booking, "moved", by=by, publish=False, previous_start_at=previous.isoformat())
    announce(session, appointment, "moved", publish=not keep_event)


def strike(session: Session, appointment_id: int, *, by: By, now: datetime) -> None:
    """Call it off. Bookings are locked before the appointment, in the order in which a cancellation does."""
    bookings = _standing_bookings(session, appointment_id)
    appointment = existing(session, appointment_id, lock=True)
    if appointment.called_off_at is not None:
        return
    if appointment.start_at <= now:
        raise NotAllowedNow(say("This appointment has begun already, so it cannot be called off any more."))
    for booking in bookings:
        end(session, booking, rules.next_status(booking.status, "cancel"), news="cancelled", by=by, now=now)
    for hold_id in session.scalars(select(Booking.id).where(*_held_in(appointment_id))).all():
        claims.drop_hold(session, hold_id, appointment_id)
    session.flush()
    session.expire_all()
    left = session.get(Appointment, appointment_id)
    if left is None:  # nobody had set its time, and nobody but a visitor with an open form was in it
        return
    left.called_off_at = now
    announce(session, left, "called off")
    session.flush()
    claims.close_appointment(session, appointment_id)


def announce(session: Session, appointment: Appointment, cause: str, *, publish: bool = True) -> None:
    """The calendars' copies are outdated, and there may be something for the waitlist."""
    appointment.version = Appointment.version + 1
    if publish:
        outbox.record(session, "calendar.publish", f"appointment:{appointment.id}")
    tell_waitlist(session, appointment.service, cause)


def check_plannable(service: Service) -> None:
    if service.timing != "fixed":
        raise NotAllowedNow(
            say(
                "The times of this service come from working hours. Set it to fixed dates first, to plan them one by one."
            )
        )


def check_capacity(capacity: int | None) -> None:
    if capacity is not None and not 1 <= capacity <= MOST_SEATS:
        sentence = say("Please give a number of seats from 1 to %(number)s.", number=MOST_SEATS)
        raise Invalid(sentence, fields={"capacity": sentence})


def person(session: Session, service: Service, slug: str | None) -> int | None:
    """The id of the one who shall give it. Raises Invalid when the service's main list does not name them."""
    if not slug or service.assignment == "all":
        return None
    mine = (ServiceResource.service_id == service.id, ServiceResource.list_no == 0, Resource.slug == slug)
    joined = select(Resource.id).join(ServiceResource, ServiceResource.resource_id == Resource.id)
    found = session.scalar(joined.where(*mine, Resource.is_active))
    if found is None:
        sentence = say("This person does not give this service.")
        raise Invalid(sentence, fields={"resource": sentence})
    return found


def candidates(session: Session, service_id: int) -> list[int]:
    """All resources that an appointment of the service may take: what is locked to plan one."""
    needs = select(ServiceResource.resource_id).where(ServiceResource.service_id == service_id)
    return sorted(set(session.scalars(needs)))


def existing(session: Session, appointment_id: int, *, lock: bool = False) -> Appointment:
    """Raises NotFound."""
    wanted = select(Appointment).where(Appointment.id == appointment_id)
    if lock:
        wanted = wanted.with_for_update(of=Appointment).execution_options(populate_existing=True)
    row = session.scalar(wanted)
    if row is None:
        raise NotFound(say("There is no such appointment."))
    return row


def standing(session: Session, appointment_id: int, *, lock: bool = False) -> Appointment:
    """One that is not called off, nor empty. Raises NotFound, NotAllowedNow."""
    row = existing(session, appointment_id, lock=lock)
    if not row.is_active:
        raise NotAllowedNow(say("This appointment does not take place any more."))
    return row


def locked(session: Session, appointment_id: int, *, resource_ids: Sequence[int]) -> Appointment:
    """The appointment with its row locked, while the caller holds the locks of these resources. Raises NotAllowedNow when it has others now.

    Its bookings are locked before it, in the order in which a cancellation takes them.
    """
    _standing_bookings(session, appointment_id)
    row = standing(session, appointment_id, lock=True)
    if {member.resource_id for member in row.resources} != set(resource_ids):
        raise NotAllowedNow(say("This appointment has just been changed by somebody else. Please look at it again."))
    return row


def guarded(act: Callable[[], T]) -> T:
    """Run `act`; a refusal by the database's keys becomes SlotTaken."""
    try:
        return act()
    except IntegrityError:
        raise SlotTaken(say(TAKEN)) from None


def _standing_bookings(session: Session, appointment_id: int) -> Sequence[Booking]:
    """With their rows locked, so that each is cancelled or moved by one at a time."""
    wanted = select(Booking).where(Booking.appointment_id == appointment_id, Booking.status.in_(STANDING))
    locking = wanted.order_by(Booking.id).with_for_update(of=Booking)
    return session.scalars(locking.execution_options(populate_existing=True)).all()


def _held_in(appointment_id: int) -> tuple[ColumnElement[bool], ...]:
    return (Booking.appointment_id == appointment_id, Booking.status == "held")


def _drop_visitors_holds(session: Session, appointment_id: int) -> None:
    """Who is filling in the form chose the old time. Offers are the waitlist's, which withdraws them itself."""
    is_offer = select(Offer.booking_id).where(Offer.state == "open", Offer.booking_id.is_not(None))
    holds = select(Booking.id).where(*_held_in(appointment_id), Booking.id.not_in(is_offer))
    for hold_id in session.scalars(holds).all():
        claims.drop_hold(session, hold_id, appointment_id)
