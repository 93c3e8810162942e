"""Reads what staff should know of calendars: questions, conflicts, and connections that changed their state. Called by `bookings`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking.models import ACTIVE, Appointment, EventLink
from portal.business.models import Business, Resource
from portal.calendars.models import Calendar, Connection
from portal.notifications.compose.facts import ConflictNews, ConnectionNews, Facts, House, Person, QuestionNews
from portal.notifications.compose.news import Silence, is_worth_telling
from portal.notifications.gather.history import connection_states, event_key, read_history
from portal.notifications.gather.people import admins, distinct, people_of
from portal.notifications.gather.sources import business_of, house_of, row_of, silent
from portal.outbox import Work
from portal.sync.models import Conflict, Question

QUARANTINE = "quarantine"
"""Not a state of a connection, but told like one: a read would remove so much that a person has to decide."""
UNWRITABLE = "unwritable"


def question_news(session: Session, work: Work) -> list[Facts | Silence]:
    question = row_of(session, work, Question)
    if question is None or question.answered_at is not None or read_history(session, work).has_later:
        return silent(work, "the question is answered")
    appointment, calendar, owner = _where(session, question)
    moved_to = (question.start_at, question.end_at) if question.start_at and question.end_at else None

    def letter(key: str, house: House, person: Person) -> Facts:
        return QuestionNews(
            message_key=key,
            house=house,
            recipient=person,
            kind=question.kind,
            service=appointment.service.name,
            customers=_customers(appointment),
            start_at=appointment.start_at,
            end_at=appointment.end_at,
            calendar=_name(calendar),
            moved_to=moved_to if question.kind == "moved" else None,
        )

    business = business_of(session)
    return _to_each(people_of(session, [owner], business), work, business, letter)


def conflict_news(session: Session, work: Work) -> list[Facts | Silence]:
    conflict = row_of(session, work, Conflict)
    if conflict is None or conflict.resolved_at is not None or read_history(session, work).has_later:
        return silent(work, "the conflict is over")
    appointment, calendar, owner = _where(session, conflict)

    def letter(key: str, house: House, person: Person) -> Facts:
        return ConflictNews(
            message_key=key,
            house=house,
            recipient=person,
            service=appointment.service.name,
            resource=owner.name,
            customers=_customers(appointment),
            start_at=appointment.start_at,
            end_at=appointment.end_at,
            calendar=_name(calendar),
            event_start_at=conflict.start_at,
            event_end_at=conflict.end_at,
        )

    business = business_of(session)
    return _to_each(people_of(session, [owner], business), work, business, letter)


def connection_news(session: Session, work: Work) -> list[Facts | Silence]:
    connection = row_of(session, work, Connection)
    if connection is None or connection.leaving:
        return silent(work, "the calendar is no longer connected")
    if work.payload["state"] == QUARANTINE and not _waits_for_a_decision(connection):
        return silent(work, "a person has decided already")
    if work.payload["state"] == UNWRITABLE and not _has_refused_writes(session, connection):
        return silent(work, "everything was written meanwhile")
    business, resource = business_of(session), session.get_one(Resource, connection.resource_id)
    since = work.payload.get("since")
    account = ", ".join(filter(None, (connection.account.get("username"), connection.account.get("url"))))

    def letter(key: str, house: House, person: Person) -> Facts:
        return ConnectionNews(
            message_key=key,
            house=house,
            recipient=person,
            state=str(work.payload["state"]),
            reason=str(work.payload.get("reason") or ""),
            since=datetime.fromisoformat(since) if since else work.created_at,
            resource=resource.name,
            account=account,
            calendars=tuple(_name(calendar) for calendar in connection.calendars),
            rules=tuple(calendar.when_unreadable for calendar in connection.calendars if calendar.is_busy_source),
            provider=connection.provider,
        )

    people = distinct([*people_of(session, [resource], business), *admins(session, business)])
    return _to_each(_concerned(session, work, people, business), work, business, letter)


def _waits_for_a_decision(connection: Connection) -> bool:
    doubts = [calendar.quarantine for calendar in connection.calendars if calendar.quarantine]
    return any(not doubt.get("decision") for doubt in doubts)


def _has_refused_writes(session: Session, connection: Connection) -> bool:
    ids = [calendar.id for calendar in connection.calendars]
    refused = select(EventLink.id).where(EventLink.calendar_id.in_(ids), EventLink.state.in_(("waiting", "stuck")))
    return session.scalar(refused.limit(1)) is not None


def _concerned(session: Session, work: Work, people: list[Person], business: Business) -> list[Person]:
    """Those for whom this change is news. A read that waits for a decision, writes that were refused, and the connection's state do not
    outdate each other."""

    def is_alike(other: Work) -> bool:
        return _matter(other) == _matter(work)

    history = read_history(session, work)
    earlier, has_later = [each for each in history.earlier if is_alike(each)], any(map(is_alike, history.later))
    return [
        person
        for person in people
        if is_worth_telling(
            str(work.payload["state"]),
            earlier=connection_states(session, earlier, instance_id=business.instance_id, recipient=person.email),
            has_later=has_later,
        )
    ]


def _matter(work: Work) -> str:
    state = str(work.payload.get("state", ""))
    return state if state in (QUARANTINE, UNWRITABLE) else "state"


def _to_each(
    people: list[Person], work: Work, business: Business, letter: Callable[[str, House, Person], Facts]
) -> list[Facts | Silence]:
    return [
        letter(event_key(business.instance_id, work, person.email), house_of(business), person) for person in people
    ]


def _where(session: Session, row: Question | Conflict) -> tuple[Appointment, Calendar, Resource]:
    calendar = session.get_one(Calendar, row.calendar_id)
    return session.get_one(Appointment, row.appointment_id), calendar, session.get_one(Resource, calendar.resource_id)


def _customers(appointment: Appointment) -> tuple[str, ...]:
    active = [booking for booking in appointment.bookings if booking.status in ACTIVE and booking.status != "held"]
    return tuple(booking.customer_name for booking in active)


def _name(calendar: Calendar) -> str:
    return calendar.name or calendar.remote_id
