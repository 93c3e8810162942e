"""What waits for a decision of staff: outside changes that are asked about, and appointments that clash with outside events. Through the user's
scope, as in `portal.admin.bookings.queries`. Called by the questions page. Each names its appointment, which a class may be that nobody has booked
yet. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, selectinload

from portal.accounts.models import User
from portal.admin.bookings.queries import resources_of
from portal.admin.scope import appointment_scope
from portal.booking.models import ACTIVE, PRESENT, Appointment, Booking
from portal.booking.time.outside_events import Over, standing_at
from portal.business.models import Resource, Service
from portal.calendars.models import Calendar, RemoteObject
from portal.errors import NotFound
from portal.intervals import Interval
from portal.sync.models import Conflict, Question
from portal.web.access import sees_titles


@dataclass(frozen=True, slots=True)
class About:
    """The appointment of a question or a conflict. `bookings` are those that stand, or those that did, when none does."""

    appointment: Appointment
    service: Service
    resources: list[Resource]
    bookings: list[Booking]

    @property
    def only(self) -> Booking | None:
        """The booking that names it, where an appointment is one person's affair."""
        is_one = not self.appointment.is_fixed and self.appointment.capacity == 1
        return self.bookings[0] if is_one and self.bookings else None

    @property
    def name(self) -> str:
        """Who comes, or else what takes place."""
        return (self.only.customer_name or "Erased customer") if self.only else self.service.name

    @property
    def taken(self) -> int:
        """Seats that are taken."""
        return sum(booking.party_size for booking in self.bookings if booking.status in (*PRESENT, "pending"))


@dataclass(frozen=True, slots=True)
class Asked:
    """An open question with what it is about. `over` are other outside events where a moved one stands now."""

    question: Question
    about: About
    calendar: Calendar
    over: list[Over]


@dataclass(frozen=True, slots=True)
class Clash:
    """An open conflict with what it is about; `summary` is the outside event's title, empty where it is not this user's business."""

    conflict: Conflict
    about: About
    calendar: Calendar
    summary: str


def open_questions(session: Session, user: User) -> list[Asked]:
    """Questions that wait for an answer, the oldest first."""
    rows = session.execute(
        select(Question, Calendar)
        .join(Calendar, Calendar.id == Question.calendar_id)
        .where(Question.answered_at.is_(None), appointment_scope(user, Question.appointment_id))
        .order_by(Question.asked_at, Question.id)
    ).all()
    about = _about(session, {question.appointment_id for question, _ in rows})
    return [
        Asked(question, about[question.appointment_id], calendar, _over(session, question, about))
        for question, calendar in rows
    ]


def find_question(session: Session, user: User, question_id: int) -> Question:
    """Raises NotFound for one that is not there or not this user's; answered ones are found."""
    question = session.scalars(
        select(Question).where(Question.id == question_id, appointment_scope(user, Question.appointment_id))
    ).first()
    if question is None:
        raise NotFound("There is no such question.")
    return question


def open_conflicts(session: Session, user: User) -> list[Clash]:
    """Appointments and outside events that want the same time, by time."""
    rows = session.execute(
        select(Conflict, Calendar, Resource, RemoteObject)
        .join(Calendar, Calendar.id == Conflict.calendar_id)
        .join(Resource, Resource.id == Calendar.resource_id)
        .outerjoin(
            RemoteObject,
            and_(RemoteObject.calendar_id == Conflict.calendar_id, RemoteObject.remote_id == Conflict.remote_id),
        )
        .where(Conflict.resolved_at.is_(None), appointment_scope(user, Conflict.appointment_id))
        .order_by(Conflict.start_at, Conflict.id)
    ).all()
    about = _about(session, {row.Conflict.appointment_id for row in rows})
    return [
        Clash(
            row.Conflict,
            about[row.Conflict.appointment_id],
            row.Calendar,
            row.RemoteObject.summary if row.RemoteObject and sees_titles(user, row.Resource) else "",
        )
        for row in rows
    ]


def count_open(session: Session, user: User) -> int:
    """Questions and conflicts that wait for somebody: the number beside the link."""
    questions = select(func.count(Question.id)).where(
        Question.answered_at.is_(None), appointment_scope(user, Question.appointment_id)
    )
    conflicts = select(func.count(Conflict.id)).where(
        Conflict.resolved_at.is_(None), appointment_scope(user, Conflict.appointment_id)
    )
    return (session.scalar(questions) or 0) + (session.scalar(conflicts) or 0)


def count_requests(session: Session, user: User, *, now: datetime) -> int:
    """Bookings to come that are confirmed or refused by staff alone."""
    wanted = (
        select(func.count(Booking.id))
        .join(Appointment, Appointment.id == Booking.appointment_id)
        .where(Booking.status == "pending", Booking.pending_reason == "approval", Appointment.start_at > now)
        .where(appointment_scope(user, Booking.appointment_id))
    )
    return session.scalar(wanted) or 0


def _about(session: Session, appointment_ids: Collection[int]) -> dict[int, About]:
    if not appointment_ids:
        return {}
    appointments = session.scalars(
        select(Appointment)
        .where(Appointment.id.in_(appointment_ids))
        .options(selectinload(Appointment.bookings), selectinload(Appointment.service))
    )
    resources = resources_of(session, appointment_ids)
    return {one.id: About(one, one.service, resources.get(one.id, []), _bookings_of(one)) for one in appointments}


def _over(session: Session, question: Question, about: Mapping[int, About]) -> list[Over]:
    if question.kind != "moved" or question.start_at is None or question.end_at is None:
        return []
    new = Interval(question.start_at, question.end_at)
    return standing_at(session, about[question.appointment_id].appointment, new)


def _bookings_of(appointment: Appointment) -> list[Booking]:
    known = [booking for booking in appointment.bookings if booking.status != "held"]
    return [booking for booking in known if booking.status in ACTIVE] or known[-1:]
