"""What staff see of bookings; questions and conflicts are in `portal.admin.questions.queries`. Everything is fetched through the user's scope:
admins see all, staff what belongs to the resource they are; what is not theirs is not found. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, true
from sqlalchemy.orm import Session, contains_eager

from portal.accounts.models import User
from portal.admin.scope import appointment_scope
from portal.booking.invitation.meetings import Meeting, meeting_of
from portal.booking.models import STANDING, Appointment, AppointmentResource, Booking, EventLink
from portal.booking.strangers import by_mail
from portal.booking.time.outside_events import Over, standing_over
from portal.business.models import Resource, Service
from portal.calendars.models import Calendar
from portal.errors import NotFound
from portal.outbox import OutboxEntry
from portal.sync.models import LedgerLine
from portal.sync.state.overview import PUBLISH

PAGE_SIZE = 25
SHOWN = ("upcoming", "past", "unmarked", "no_show", "cancelled")


@dataclass(frozen=True, slots=True)
class InCalendar:
    """How far the calendars agree with one appointment; `why` when it is stuck or has failed before."""

    state: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class BookingRow:
    booking: Booking
    appointment: Appointment
    service: Service
    resources: list[Resource]
    in_calendar: InCalendar
    over: Sequence[Over] = ()
    """The outside events over a booking that waits for a yes."""


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[BookingRow]
    number: int
    total: int

    @property
    def has_next(self) -> bool:
        return self.number * PAGE_SIZE < self.total


def list_bookings(session: Session, user: User, *, shown: str, search: str, page: int, now: datetime) -> Page:
    """One page of bookings: upcoming ones soonest first, the others newest first. `search` looks in name and e-mail."""
    conditions = and_(_scope(user), _shown(shown, now), _matches(search))
    total = session.scalar(_bookings(select(func.count(Booking.id))).where(conditions)) or 0
    order = Appointment.start_at.asc() if shown == "upcoming" else Appointment.start_at.desc()
    statement = _full().where(conditions).order_by(order, Booking.id).limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE)
    return Page(rows_of(session, list(session.scalars(statement))), page, total)


def find_booking(session: Session, user: User, booking_id: int) -> BookingRow:
    """Raises NotFound for one that is not there, not this user's, or only kept while somebody fills in the form."""
    is_made = or_(Booking.status != "held", by_mail.is_waiting())
    booking = session.scalars(_full().where(_scope(user), Booking.id == booking_id, is_made)).first()
    if booking is None:
        raise NotFound("There is no such booking.")
    return rows_of(session, [booking])[0]


def meeting_of_booking(session: Session, booking: Booking) -> Meeting | None:
    """The video meeting of a booking that stands; None where there is none to speak of."""
    if booking.status == "cancelled":
        return None
    meeting = meeting_of(session, booking.appointment_id, kind=booking.appointment.service.meeting)
    return meeting if meeting.state != "none" else None


def ledger_of(session: Session, appointment_id: int, *, limit: int = 30) -> list[LedgerLine]:
    """What sync did for this appointment, the newest first."""
    statement = select(LedgerLine).where(LedgerLine.appointment_id == appointment_id).order_by(LedgerLine.id.desc())
    return list(session.scalars(statement.limit(limit)))


def rows_of(session: Session, bookings: list[Booking]) -> list[BookingRow]:
    """The bookings with their resources and their state in the calendars: three queries more, however many they are."""
    ids = sorted({booking.appointment_id for booking in bookings})
    resources, states = resources_of(session, ids), calendar_states(session, ids)
    over = standing_over(session, {each.appointment_id for each in bookings if each.status == "pending"})
    return [
        BookingRow(
            booking,
            booking.appointment,
            booking.appointment.service,
            resources.get(booking.appointment_id, []),
            states.get(booking.appointment_id, InCalendar("none")),
            over.get(booking.appointment_id, ()) if booking.status == "pending" else (),
        )
        for booking in bookings
    ]


def _bookings(statement: Select) -> Select:  # type: ignore[type-arg]
    return statement.select_from(Booking).join(Appointment, Appointment.id == Booking.appointment_id)


def _full() -> Select[Booking]:
    return (
        select(Booking)
        .join(Booking.appointment)
        .join(Appointment.service)
        .options(contains_eager(Booking.appointment).contains_eager(Appointment.service))
    )


def _scope(user: User) -> ColumnElement[bool]:
    return appointment_scope(user, Booking.appointment_id)


def _shown(shown: str, now: datetime) -> ColumnElement[bool]:
    if shown == "cancelled":
        return Booking.status == "cancelled"
    if shown == "no_show":
        return Booking.status == "no_show"
    if shown == "unmarked":
        return and_(Booking.status == "confirmed", Appointment.start_at <= now)
    if shown == "past":
        return and_(Booking.status.not_in(("held", "cancelled")), Appointment.end_at <= now)
    return and_(stands_or_waits(), Appointment.end_at > now)


def stands_or_waits() -> ColumnElement[bool]:
    """Whether a booking is one to come: those that wait for their customer's mail included."""
    return or_(Booking.status.in_(STANDING), by_mail.is_waiting())


def _matches(search: str) -> ColumnElement[bool]:
    if not search:
        return true()
    columns = (Booking.customer_name, Booking.customer_email)
    return or_(*(func.lower(column).contains(search.lower(), autoescape=True) for column in columns))


def resources_of(session: Session, appointment_ids: Collection[int]) -> dict[int, list[Resource]]:
    """Who and what each appointment takes, the main resource first."""
    rows = session.execute(
        select(AppointmentResource.appointment_id, Resource)
        .join(Resource, Resource.id == AppointmentResource.resource_id)
        .where(AppointmentResource.appointment_id.in_(appointment_ids))
        .order_by(AppointmentResource.list_no, Resource.position, Resource.id)
    )
    found: dict[int, list[Resource]] = {}
    for appointment_id, resource in rows:
        found.setdefault(appointment_id, []).append(resource)
    return found


def calendar_states(session: Session, appointment_ids: Collection[int]) -> dict[int, InCalendar]:
    """The worst state over all calendars. An entry in the outbox means waiting too: the links know nothing of the newest change yet."""
    rows = session.execute(
        select(EventLink.appointment_id, EventLink.state, EventLink.outside, EventLink.last_error).where(
            EventLink.appointment_id.in_(appointment_ids)
        )
    )
    found: dict[int, InCalendar] = {}
    order = ("none", "done", "waiting", "moved", "removed", "stuck")
    for appointment_id, written, outside, why in rows:
        state = outside or written
        if order.index(state) >= order.index(found.get(appointment_id, InCalendar("none")).state):
            found[appointment_id] = InCalendar(state, "" if state in ("none", "done") else why or "")
    for appointment_id in _still_to_write(session, appointment_ids):
        if found.get(appointment_id, InCalendar("none")).state in ("none", "done"):
            found[appointment_id] = InCalendar("waiting")
    return found


def _still_to_write(session: Session, appointment_ids: Collection[int]) -> set[int]:
    """Those with an outbox entry and a calendar that receives bookings."""
    subjects = {f"appointment:{appointment_id}": appointment_id for appointment_id in appointment_ids}
    todo = session.scalars(
        select(OutboxEntry.subject).where(
            OutboxEntry.topic == PUBLISH, OutboxEntry.state == "todo", OutboxEntry.subject.in_(subjects)
        )
    )
    waiting = {subjects[subject] for subject in todo}
    if not waiting:
        return set()
    destinations = (
        select(AppointmentResource.appointment_id)
        .join(Calendar, Calendar.resource_id == AppointmentResource.resource_id)
        .where(AppointmentResource.appointment_id.in_(waiting), Calendar.is_destination)
    )
    return set(session.scalars(destinations))
