"""Reads what a mail needs, and whether it is still worth one. Every function takes the session first and changes nothing.

The history is read after the booking: a change that lands between the two shows as a later entry, so a mail never mixes two states.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog
from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking.invitation import customer_event
from portal.booking.meetings import Meeting, meeting_for
from portal.booking.models import ACTIVE, Appointment, Booking, EventLink
from portal.booking.records import manage_token
from portal.business.models import Business, Resource
from portal.calendars.ical import CustomerEvent
from portal.calendars.models import Calendar, Connection
from portal.config import Settings
from portal.errors import Invalid, NotYet
from portal.i18n import speaking
from portal.notifications.facts import (
    BookingFacts,
    ConflictNews,
    ConnectionNews,
    CustomerNews,
    Facts,
    House,
    Person,
    QuestionNews,
    StaffNews,
)
from portal.notifications.history import booking_key, booking_news, connection_states, event_key, read_history
from portal.notifications.news import News, Silence, is_worth_telling, what_to_tell
from portal.notifications.people import admins, distinct, people_of, resources_of
from portal.notifications.wording import in_a_row, locale_for, tag_for
from portal.outbox import Work
from portal.sync.models import Conflict, Question
from providers.messaging.base import DeliveryRefused

log = structlog.get_logger()
Row = TypeVar("Row")
QUARANTINE = "quarantine"
UNWRITABLE = "unwritable"
"""Not a state of a connection, but told like one: a read would remove so much that a person has to decide."""
LONGEST_WAIT = timedelta(seconds=60)
"""So long a mail waits for the link of a video meeting; then it goes without, and says where the link will stand."""


def for_customer(session: Session, work: Work, *, now: datetime) -> list[Facts]:
    """What the booking's customer should read now: one mail, or none. Raises NotYet while the link of its video meeting is being made."""
    booking = _row(session, work, Booking)
    if booking is None or not booking.customer_email:
        return _silent(work, "there is nobody to tell")
    meeting = meeting_for(session, booking)
    business, facts = _business(session), _booking_facts(session, booking, meeting)
    news = _news_of(session, work, booking, business, recipient=booking.customer_email, now=now)
    if isinstance(news, Silence):
        return _silent(work, news.reason)
    if booking.status == "confirmed":
        _wait_for_link(meeting, work.created_at, now=now)
    manage_url = _manage_url(booking)
    event = _event(booking, business, facts, meeting=meeting, manage_url=manage_url, stamped_at=work.created_at)
    key = booking_key(business.instance_id, work, booking.customer_email)
    return [
        CustomerNews(
            message_key=key, house=_house(business), news=news, booking=facts, manage_url=manage_url, event=event
        )
    ]


def for_staff(session: Session, work: Work, *, now: datetime) -> list[Facts]:
    """What staff should read now: one mail for each person concerned. Raises DeliveryRefused for a subject that it does not know."""
    kind = work.subject.partition(":")[0]
    if kind == "booking":
        return _booking_for_staff(session, work, now)
    if kind == "question":
        return _question_for_staff(session, work)
    if kind == "conflict":
        return _conflict_for_staff(session, work)
    if kind == "connection":
        return _connection_for_staff(session, work)
    raise DeliveryRefused(f"No mail is written about “{work.subject}”.")


def _booking_for_staff(session: Session, work: Work, now: datetime) -> list[Facts]:
    booking = _row(session, work, Booking)
    if booking is None:
        return _silent(work, "there is no such booking")
    business, facts = _business(session), _booking_facts(session, booking, meeting_for(session, booking))
    found: list[Facts] = []
    for person in people_of(session, resources_of(session, booking.appointment), business):
        news = _news_of(session, work, booking, business, recipient=person.email, now=now)
        if isinstance(news, Silence):
            _silent(work, news.reason)
            continue
        key = booking_key(business.instance_id, work, person.email)
        found.append(
            StaffNews(
                message_key=key,
                house=_house(business),
                news=news,
                booking=facts,
                recipient=person,
                booking_id=booking.id,
            )
        )
    return found


def _question_for_staff(session: Session, work: Work) -> list[Facts]:
    question = _row(session, work, Question)
    if question is None or question.answered_at is not None or read_history(session, work).has_later:
        return _silent(work, "the question is answered")
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

    business = _business(session)
    return _to_each(people_of(session, [owner], business), work, business, letter)


def _conflict_for_staff(session: Session, work: Work) -> list[Facts]:
    conflict = _row(session, work, Conflict)
    if conflict is None or conflict.resolved_at is not None or read_history(session, work).has_later:
        return _silent(work, "the conflict is over")
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

    business = _business(session)
    return _to_each(people_of(session, [owner], business), work, business, letter)


def _connection_for_staff(session: Session, work: Work) -> list[Facts]:
    connection = _row(session, work, Connection)
    if connection is None or connection.leaving:
        return _silent(work, "the calendar is no longer connected")
    if work.payload["state"] == QUARANTINE and not _waits_for_a_decision(connection):
        return _silent(work, "a person has decided already")
    if work.payload["state"] == UNWRITABLE and not _has_refused_writes(session, connection):
        return _silent(work, "everything was written meanwhile")
    business, resource = _business(session), session.get_one(Resource, connection.resource_id)
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
) -> list[Facts]:
    return [letter(event_key(business.instance_id, work, person.email), _house(business), person) for person in people]


def _news_of(
    session: Session, work: Work, booking: Booking, business: Business, *, recipient: str, now: datetime
) -> News | Silence:
    history = read_history(session, work)
    *earlier, current = booking_news(
        session, (*history.earlier, work), instance_id=business.instance_id, recipient=recipient
    )
    return what_to_tell(
        current,
        earlier=earlier,
        has_later=history.has_later,
        status=booking.status,
        start_at=booking.appointment.start_at,
        now=now,
    )


def _event(
    booking: Booking,
    business: Business,
    facts: BookingFacts,
    *,
    meeting: Meeting,
    manage_url: str,
    stamped_at: datetime,
) -> CustomerEvent:
    """What goes into the customer's calendar, in the customer's language."""
    tag = tag_for(facts.customer.language, business.language)
    locale = locale_for(tag)
    with speaking(tag):
        return customer_event(
            booking,
            business=business,
            people=in_a_row(facts.people, locale),
            place=", ".join(filter(None, (facts.location, in_a_row(facts.rooms, locale)))),
            meeting=meeting,
            mail_from=_settings().mail_from,
            manage_url=manage_url,
            stamped_at=stamped_at,
        )


def _wait_for_link(meeting: Meeting, since: datetime, *, now: datetime) -> None:
    """Whoever learns of the link brings this mail forward; the looks in between, rarer and rarer, are for what they missed."""
    waited = now - since
    if meeting.state == "coming" and meeting.is_near and waited < LONGEST_WAIT:
        after = min(1 + waited / LONGEST_WAIT * 6, (LONGEST_WAIT - waited).total_seconds() + 0.1)
        raise NotYet("It waits for the link of the video meeting.", after=after)


def _booking_facts(session: Session, booking: Booking, meeting: Meeting) -> BookingFacts:
    appointment, service = booking.appointment, booking.appointment.service
    resources = resources_of(session, appointment)
    return BookingFacts(
        service=service.name,
        start_at=appointment.start_at,
        end_at=appointment.end_at,
        people=tuple(resource.name for resource in resources if resource.kind == "staff"),
        rooms=tuple(resource.name for resource in resources if resource.kind == "room"),
        location=service.location,
        location_kind=service.location_kind,
        price=service.price,
        meeting=meeting.state,
        meeting_url=meeting.url,
        party_size=booking.party_size,
        status=booking.status,
        pending_reason=booking.pending_reason,
        is_called_off=appointment.called_off_at is not None,
        cancel_until=service.cancel_until,
        move_until=service.move_until,
        customer=_customer(booking),
        phone=booking.customer_phone,
        note=booking.note,
    )


def _customer(booking: Booking) -> Person:
    return Person(
        name=booking.customer_name,
        email=booking.customer_email,
        zone=booking.customer_zone,
        language=booking.customer_language,
    )


def _manage_url(booking: Booking) -> str:
    """The customer's link; empty when its key is lost: the mail is worth more than the link."""
    try:
        return f"{_settings().url}/b/{manage_token(booking)}"
    except Invalid as error:
        log.warning("a manage link does not open", booking_id=booking.id, reason=str(error))
        return ""


def _where(session: Session, row: Question | Conflict) -> tuple[Appointment, Calendar, Resource]:
    calendar = session.get_one(Calendar, row.calendar_id)
    return session.get_one(Appointment, row.appointment_id), calendar, session.get_one(Resource, calendar.resource_id)


def _customers(appointment: Appointment) -> tuple[str, ...]:
    active = [booking for booking in appointment.bookings if booking.status in ACTIVE and booking.status != "held"]
    return tuple(booking.customer_name for booking in active)


def _name(calendar: Calendar) -> str:
    return calendar.name or calendar.remote_id


def _house(business: Business) -> House:
    return House(name=business.name, zone=business.zone, language=business.language, url=_settings().url)


def _business(session: Session) -> Business:
    return session.scalars(select(Business)).one()


def _row(session: Session, work: Work, model: type[Row]) -> Row | None:
    """The row that "booking:12" names."""
    return session.get(model, work.subject_id)


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings


def _silent(work: Work, reason: str) -> list[Any]:
    log.info("no mail", entry_id=work.entry_id, subject=work.subject, news=work.payload.get("news"), reason=reason)
    return []
