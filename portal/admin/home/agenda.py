"""What takes place on the days of the home page, appointment by appointment: a class is one thing, with all who come to it. Reads only.

Through the user's scope, as in `portal.admin.bookings.queries`. A fixed date takes place whether or not anybody has booked it yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session, joinedload

from portal.accounts.models import User
from portal.admin.bookings.queries import stands_or_waits
from portal.admin.dates.queries import DateRow, rows_of
from portal.admin.scope import appointment_scope
from portal.booking.models import PRESENT, Appointment, Booking
from portal.booking.time.outside_events import Over, standing_over


@dataclass(frozen=True, slots=True)
class Entry:
    """One appointment and the bookings that bring it here, in the order in which they were made."""

    row: DateRow
    bookings: Sequence[Booking]
    over: Sequence[Over] = ()
    """The outside events over it, where somebody in it waits for a yes."""

    @property
    def only(self) -> Booking | None:
        """The booking, where an appointment is one customer's affair."""
        date = self.row.appointment
        is_one = not date.is_fixed and date.capacity == 1
        return self.bookings[0] if is_one and self.bookings else None

    @property
    def is_pending(self) -> bool:
        return any(booking.status == "pending" for booking in self.bookings)

    @property
    def has_yes(self) -> bool:
        """Whether it takes place as it stands; not where its one booking waits for its customer's mail."""
        return self.only is None or self.only.status != "held"


def coming(session: Session, user: User, start: datetime, end: datetime, *, limit: int) -> list[Entry]:
    """What is booked or fixed, not over at `start`, and begins before `end`, soonest first."""
    window = and_(Appointment.end_at > start, Appointment.start_at < end)
    takes_place = or_(Appointment.is_fixed, _has_bookings(stands_or_waits()))
    return _entries(session, user, and_(window, takes_place), stands_or_waits(), limit=limit)


def begun(session: Session, user: User, start: datetime, now: datetime, *, limit: int) -> list[Entry]:
    """What began between `start` and now, with those whose attendance can be marked."""
    window = and_(Appointment.start_at >= start, Appointment.start_at <= now)
    came = Booking.status.in_(PRESENT)
    return _entries(session, user, and_(window, _has_bookings(came)), came, limit=limit)


def _has_bookings(such: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(Booking.appointment_id == Appointment.id, such)


def _entries(
    session: Session, user: User, wanted: ColumnElement[bool], such: ColumnElement[bool], *, limit: int
) -> list[Entry]:
    appointments = session.scalars(
        select(Appointment)
        .where(Appointment.is_active, wanted, appointment_scope(user, Appointment.id))
        .order_by(Appointment.start_at, Appointment.id)
        .limit(limit)
        .options(joinedload(Appointment.service))
    ).all()
    bookings = _bookings(session, [each.id for each in appointments], such)
    asked = [i for i, those in bookings.items() if any(booking.status == "pending" for booking in those)]
    over = standing_over(session, asked)
    return [
        Entry(row, bookings.get(row.appointment.id, []), over.get(row.appointment.id, ()))
        for row in rows_of(session, appointments)
    ]


def _bookings(session: Session, ids: Sequence[int], such: ColumnElement[bool]) -> dict[int, list[Booking]]:
    wanted = select(Booking).where(Booking.appointment_id.in_(ids), such)
    found: dict[int, list[Booking]] = {}
    for booking in session.scalars(wanted.order_by(Booking.created_at, Booking.id)):
        found.setdefault(booking.appointment_id, []).append(booking)
    return found
