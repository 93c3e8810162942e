"""Taking and giving back time and seats. Called inside a write transaction that holds the locks of the resources concerned.

The primary keys of `claim` and `seat` have the last word: a second taker gets an IntegrityError, which operations turn into SlotTaken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.orm import Session

from portal.availability.model import Slot
from portal.booking import statements
from portal.booking.models import ACTIVE, Appointment, AppointmentResource, Booking, Claim, EventLink, Seat
from portal.booking.rules import quanta
from portal.booking.statements import rows
from portal.business.models import Service
from portal.errors import SlotTaken
from portal.intervals import Interval
from portal.language.say import say


def open_appointment(session: Session, service: Service, slot: Slot, *, resources: Sequence[int]) -> int:
    """A new appointment at the slot, with its resources' time claimed; returns its id.

    `resources` are the main ones; `slot.also` follow as lists 1, 2, ...
    """
    members = [(0, resource_id) for resource_id in resources]
    members += [(list_no, resource_id) for list_no, resource_id in enumerate(slot.also, start=1)]
    return stand(session, service, slot.interval, members)


def stand(
    session: Session, service: Service, interval: Interval, members: Iterable[tuple[int, int]], **values: object
) -> int:
    """A new appointment that takes the time of these (list_no, resource_id); `values` are further columns. Returns its id."""
    claimed = claimed_by(service, interval)
    row = {"service_id": service.id, "start_at": interval.start, "end_at": interval.end, "capacity": service.capacity}
    row |= {"claim_start_at": claimed.start, "claim_end_at": claimed.end}
    id_: int = session.connection().execute(_INSERT, row | _FRESH | values).scalar_one()
    _claim(session, id_, claimed, members)
    return id_


def claimed_by(service: Service, interval: Interval) -> Interval:
    """The time that an appointment of the service takes, buffers included."""
    return interval.widened(
        before=timedelta(minutes=service.buffer_before), after=timedelta(minutes=service.buffer_after)
    )


def shift_appointment(
    session: Session,
    appointment: Appointment,
    *,
    start_at: datetime,
    end_at: datetime,
    members: Iterable[tuple[int, int]],
) -> None:
    """Exchange the appointment's old claims for those at its new time; `members` are (list_no, resource_id).

    What a person did to its event meanwhile counts no more against the new time: calendars that waited for an answer are written anew.
    """
    before = appointment.start_at - appointment.claim_start_at
    after = appointment.claim_end_at - appointment.end_at
    _unclaim(session, appointment.id)
    session.execute(delete(AppointmentResource).where(AppointmentResource.appointment_id == appointment.id))
    appointment.start_at, appointment.end_at = start_at, end_at
    appointment.claim_start_at, appointment.claim_end_at = start_at - before, end_at + after
    session.flush()
    session.expire(appointment, ["resources"])
    waiting = (EventLink.appointment_id == appointment.id, EventLink.outside != "")
    session.execute(update(EventLink).where(*waiting).values(applied_version=0))
    _claim(session, appointment.id, Interval(appointment.claim_start_at, appointment.claim_end_at), members)


def take_seats(session: Session, booking: Booking, *, capacity: int, is_new: bool = False) -> None:
    """Give the booking the lowest free seats of its appointment. Raises SlotTaken when there are too few."""
    appointment_id = booking.appointment_id
    taken: set[int] = set()
    if not is_new:
        taken = set(session.scalars(select(Seat.seat_no).where(Seat.appointment_id == appointment_id)))
    free = [number for number in range(1, capacity + 1) if number not in taken][: booking.party_size]
    if len(free) < booking.party_size:
        raise SlotTaken(say("There are not enough places left for this time."))
    seats = [{"appointment_id": appointment_id, "seat_no": number, "booking_id": booking.id} for number in free]
    session.connection().execute(insert(_SEAT), seats)


def leave(session: Session, booking: Booking) -> None:
    """Give the booking's seats back; when it was the last one, the appointment's time too, unless it stands fixed.

    The booking's status must have been changed to one that owns nothing before this.
    """
    session.flush()
    session.execute(delete(Seat).where(Seat.booking_id == booking.id))
    close_if_empty(session, booking.appointment_id)


def close_if_empty(session: Session, appointment_id: int) -> None:
    """The appointment owns no time any more when nobody is in it; a fixed one stands all the same.

    Its row is locked first: somebody may be joining it in this moment (`wish.standing_appointment` takes the same lock).
    """
    if not _may_close(session, appointment_id):
        return
    others = select(Booking.id).where(Booking.appointment_id == appointment_id, Booking.status.in_(ACTIVE))
    if session.scalars(others.limit(1)).first() is None:
        close_appointment(session, appointment_id)


def close_appointment(session: Session, appointment_id: int) -> None:
    """Nobody is in it any more, or it is called off: it owns no time."""
    _unclaim(session, appointment_id)
    mine = AppointmentResource.appointment_id == appointment_id
    session.execute(update(AppointmentResource).where(mine).values(is_active=False))
    session.execute(update(Appointment).where(Appointment.id == appointment_id).values(is_active=False))


def drop_expired_holds(session: Session, resource_ids: Iterable[int]) -> int:
    """Delete the holds on these resources whose time is over, by the database's clock; returns how many.

    A hold that was never confirmed leaves nothing behind: its appointment goes too when nobody else was in it.
    """
    expired = rows(session, statements.expired_holds(), ids=list(resource_ids))
    for booking_id, appointment_id in expired:
        drop_hold(session, booking_id, appointment_id)
    return len(expired)


def drop_hold(session: Session, booking_id: int, appointment_id: int) -> None:
    """Delete one held booking with its seats, and its appointment when it was alone there and nobody set its time."""
    session.execute(delete(Seat).where(Seat.booking_id == booking_id))
    session.execute(delete(Booking).where(Booking.id == booking_id, Booking.status == "held"))
    if not _may_close(session, appointment_id):
        return
    others = select(Booking.status).where(Booking.appointment_id == appointment_id)
    statuses = set(session.scalars(others))
    if not statuses:
        _unclaim(session, appointment_id)
        session.execute(delete(AppointmentResource).where(AppointmentResource.appointment_id == appointment_id))
        session.execute(delete(Appointment).where(Appointment.id == appointment_id))
    elif not statuses & set(ACTIVE):
        close_appointment(session, appointment_id)


def _may_close(session: Session, appointment_id: int) -> bool:
    """Locks the appointment's row; False for fixed ones."""
    lock = select(_APPOINTMENT.c.is_fixed).where(_APPOINTMENT.c.id == appointment_id).with_for_update()
    return session.connection().execute(lock).scalar() is False


def _claim(session: Session, appointment_id: int, claimed: Interval, members: Iterable[tuple[int, int]]) -> None:
    members = list(members)
    row = {"appointment_id": appointment_id, "claim_start_at": claimed.start, "claim_end_at": claimed.end}
    connection = session.connection()
    connection.execute(
        insert(_MEMBER), [row | {"resource_id": id_, "list_no": no, "is_active": True} for no, id_ in members]
    )
    numbers = quanta(claimed.start, claimed.end)
    connection.execute(
        insert(_CLAIM),
        [
            {"resource_id": id_, "quantum_no": number, "appointment_id": appointment_id}
            for _, id_ in members
            for number in numbers
        ],
    )


def _unclaim(session: Session, appointment_id: int) -> None:
    session.execute(delete(Claim).where(Claim.appointment_id == appointment_id))


# Plain tables: a booking writes a dozen rows, and objects for them would take most of the time of the lock.
_APPOINTMENT, _MEMBER, _CLAIM, _SEAT = (
    cast(Table, model.__table__) for model in (Appointment, AppointmentResource, Claim, Seat)
)
_INSERT = insert(_APPOINTMENT).returning(_APPOINTMENT.c.id)
_FRESH = {"is_active": True, "version": 1, "generation": 1, "is_fixed": False}
