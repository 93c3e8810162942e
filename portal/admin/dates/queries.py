"""What staff see of standing appointments: fixed dates and groups, who comes, which dates of series could not be made. Reads only.

Everything is fetched through the user's scope: admins see all, staff what takes the time of the resource they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.admin.bookings import queries
from portal.admin.bookings.queries import InCalendar
from portal.admin.scope import appointment_scope
from portal.booking.fixed.series import Missing, find_missing
from portal.booking.fixed.series_changes import later_of
from portal.booking.holds import has_expired
from portal.booking.models import ACTIVE, STANDING, Appointment, Booking, Seat, Series
from portal.booking.strangers import by_mail
from portal.booking.time.full import count_waiting
from portal.business.models import Resource, Service
from portal.errors import NotFound
from portal.sync.models import Conflict

MOST_DATES = 200
"""A page shows no more; a daily class of half a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DateRow:
    """An appointment with how full it is. `held` of the taken seats are only kept for a moment, or offered to the waitlist."""

    appointment: Appointment
    resources: Sequence[Resource]
    taken: int
    held: int
    waiting: int
    in_calendar: InCalendar
    is_overlapped: bool = False
    """An outside event stands over it, so nobody can book it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Who hears of a change: so many customers, on so many dates."""

    customers: int
    dates: int


def coming_dates(session: Session, user: User, service: Service, *, now: datetime) -> list[DateRow]:
    """The fixed appointments of the service that are not over, soonest first."""
    coming = (
        Appointment.service_id == service.id,
        Appointment.is_fixed,
        Appointment.is_active,
        Appointment.end_at > now,
    )
    scope = appointment_scope(user, Appointment.id)
    wanted = select(Appointment).where(*coming, scope).order_by(Appointment.start_at, Appointment.id).limit(MOST_DATES)
    return rows_of(session, session.scalars(wanted).all())


def find_date(session: Session, user: User, appointment_id: int) -> DateRow:
    """One appointment, called off or not. Raises NotFound for one that is not there or not this user's."""
    scope = appointment_scope(user, Appointment.id)
    row = session.scalar(select(Appointment).where(Appointment.id == appointment_id, scope))
    if row is None:
        raise NotFound("There is no such appointment.")
    return rows_of(session, [row])[0]


def rows_of(session: Session, appointments: Sequence[Appointment]) -> list[DateRow]:
    """These appointments, of whatever services, with how full they are; a few queries, however many there are."""
    ids = [row.id for row in appointments]
    resources, states = queries.resources_of(session, ids), queries.calendar_states(session, ids)
    taken, held = _seats(session, ids, ACTIVE), _seats(session, ids, ("held",))
    waiting, overlapped = _waiting(session, appointments), _overlapped(session, ids)
    return [
        DateRow(
            appointment=row,
            resources=resources.get(row.id, []),
            taken=taken.get(row.id, 0),
            held=held.get(row.id, 0),
            waiting=waiting.get(row.id, 0),
            in_calendar=states.get(row.id, InCalendar("none")),
            is_overlapped=row.id in overlapped,
        )
        for row in appointments
    ]


def bookings_in(session: Session, appointment: Appointment) -> list[Booking]:
    """Who comes, and who wanted to, in the order in which they booked; the cancelled ones last."""
    is_made = or_(Booking.status != "held", by_mail.is_waiting())
    mine = select(Booking).where(Booking.appointment_id == appointment.id, is_made)
    rows = session.scalars(mine.order_by(Booking.created_at, Booking.id)).all()
    return sorted(rows, key=lambda row: row.status == "cancelled")


def coming_series(session: Session, service: Service, *, now: datetime) -> list[Series]:
    """The weekly series of the service that go on: up to the end of their last day, by their own clock."""
    rows = session.scalars(
        select(Series).where(Series.service_id == service.id).order_by(Series.weekday, Series.starts)
    )
    return [row for row in rows if row.last_on is None or row.last_on >= max(_today(row, now), row.first_on)]


def unmade_dates(session: Session, service: Service, *, now: datetime) -> list[Missing]:
    """The dates of series that could not be made up to now, each with the reason."""
    return [each for each in find_missing(session, now=now, service_id=service.id) if each.why]


def is_theirs(session: Session, user: User, appointment: Appointment, *, now: datetime) -> bool:
    """Whether "this and later" is the user's business: all the later dates of the series are."""
    later = [row.id for row in later_of(session, appointment, now=now)]
    if not later:
        return False
    scope = appointment_scope(user, Appointment.id)
    return len(session.scalars(select(Appointment.id).where(Appointment.id.in_(later), scope)).all()) == len(later)


def who_is_told(session: Session, appointments: Sequence[Appointment]) -> Told:
    """How many customers have bookings in these appointments that would be moved or cancelled."""
    ids = [row.id for row in appointments]
    wanted = select(func.count(Booking.id)).where(Booking.appointment_id.in_(ids), Booking.status.in_(STANDING))
    return Told(customers=session.scalars(wanted).one(), dates=len(ids))


def _today(series: Series, now: datetime) -> date:
    return now.astimezone(ZoneInfo(series.zone)).date()


def _waiting(session: Session, appointments: Sequence[Appointment]) -> dict[int, int]:
    by_service: dict[int, list[Appointment]] = {}
    for row in appointments:
        by_service.setdefault(row.service_id, []).append(row)
    counted = [count_waiting(session, rows[0].service, rows) for rows in by_service.values()]
    return {appointment_id: number for each in counted for appointment_id, number in each.items()}


def _overlapped(session: Session, ids: Sequence[int]) -> set[int]:
    found = select(Conflict.appointment_id).where(Conflict.appointment_id.in_(ids), Conflict.resolved_at.is_(None))
    return set(session.scalars(found))


def _seats(session: Session, ids: Sequence[int], statuses: Sequence[str]) -> dict[int, int]:
    """Seats by appointment that bookings of these statuses have; expired holds have none."""
    counted = (
        select(Seat.appointment_id, func.count())
        .join(Booking, Booking.id == Seat.booking_id)
        .where(Seat.appointment_id.in_(ids), Booking.status.in_(statuses), ~has_expired())
        .group_by(Seat.appointment_id)
    )
    return dict(session.execute(counted).tuples().all())
