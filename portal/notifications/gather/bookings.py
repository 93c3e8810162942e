"""Reads what a mail about a booking needs, and whether it is still worth one. Every function takes the session first and changes nothing.

The history is read after the booking: a change that lands between the two shows as a later entry, so a mail never mixes two states.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from portal.booking.invitation.customer_ics import CustomerEvent
from portal.booking.invitation.invitation import customer_event
from portal.booking.invitation.meetings import Meeting, meeting_for
from portal.booking.models import Booking
from portal.booking.questions import answer_lines
from portal.booking.steps import manage_token
from portal.business.models import Business
from portal.errors import Invalid, NotYet
from portal.extensions import current_settings
from portal.instance.ids import instance_ids
from portal.language.say import in_a_row, speaking
from portal.notifications.compose.facts import (
    BookingFacts,
    CustomerNews,
    Facts,
    OwnWords,
    Person,
    ReminderNews,
    StaffNews,
)
from portal.notifications.compose.news import News, Silence, is_reminder_due, what_to_tell
from portal.notifications.compose.wording import locale_for, tag_for
from portal.notifications.gather.calendars import conflict_news, connection_news, question_news
from portal.notifications.gather.clock import clock_news
from portal.notifications.gather.history import booking_key, booking_news, read_history, reminder_key
from portal.notifications.gather.people import people_of, resources_of
from portal.notifications.gather.sources import business_of, house_of, own_words, row_of, silent
from portal.notifications.stop_links import stop_url
from portal.outbox import Work
from providers.messaging.base import DeliveryRefused

log = structlog.get_logger()
LONGEST_WAIT = timedelta(seconds=60)
"""So long a mail waits for the link of a video meeting; then it goes without, and says where the link will stand."""


def for_customer(session: Session, work: Work, *, now: datetime) -> list[Facts | Silence]:
    """What the booking's customer should read now: one mail, or none. Raises NotYet while the link of its video meeting is being made."""
    booking = row_of(session, work, Booking)
    if booking is None or not booking.customer_email:
        return silent(work, "there is nobody to tell")
    meeting = meeting_for(session, booking)
    business, facts = business_of(session), _booking_facts(session, booking, meeting)
    news = _news_of(session, work, booking, business, recipient=booking.customer_email, now=now)
    if isinstance(news, Silence):
        return silent(work, news)
    if booking.status == "held" and booking.held_until is not None and booking.held_until <= now:
        return silent(work, Silence("the time to confirm it is over"))
    if booking.status == "confirmed":
        _wait_for_link(meeting, work.created_at, now=now)
    manage_url = manage_url_of(booking)
    return [
        CustomerNews(
            message_key=booking_key(instance_ids(session), work, booking.customer_email),
            house=house_of(business),
            news=news,
            booking=facts,
            manage_url=manage_url,
            event=_event(booking, business, facts, meeting=meeting, manage_url=manage_url, stamped_at=work.created_at),
            own=_own_words(session, news.news, booking, business),
        )
    ]


def for_reminder(session: Session, work: Work, *, now: datetime) -> list[Facts | Silence]:
    """The reminder of a booking, if it stands where it stood when the reminder was queued, and is still ahead."""
    booking = row_of(session, work, Booking)
    if booking is None or not booking.customer_email:
        return silent(work, "there is nobody to remind")
    start_at = booking.appointment.start_at
    told = is_reminder_due(
        status=booking.status,
        wants_reminders=booking.wants_reminders,
        start_at=start_at,
        meant_for=datetime.fromisoformat(str(work.payload["start_at"])),
        has_later=any(
            other.payload.get("start_at") == start_at.isoformat() for other in read_history(session, work).later
        ),
        now=now,
    )
    if isinstance(told, Silence):
        return silent(work, told)
    business, facts = business_of(session), _booking_facts(session, booking, meeting_for(session, booking))
    return [
        ReminderNews(
            message_key=reminder_key(instance_ids(session), work, booking.customer_email),
            house=house_of(business),
            booking=facts,
            manage_url=manage_url_of(booking),
            stop_url=stop_url("reminders", booking.id),
            told_at=work.created_at,
            own=_own_words(session, "reminder", booking, business),
        )
    ]


def as_it_stands(session: Session, booking: Booking, kind: str, *, stamped_at: datetime) -> CustomerNews | ReminderNews:
    """The booking's mail of this kind without its history: for sending again what did not arrive. The key is for the caller to name."""
    meeting, business = meeting_for(session, booking), business_of(session)
    facts, manage_url, house = _booking_facts(session, booking, meeting), manage_url_of(booking), house_of(business)
    own = _own_words(session, kind, booking, business)
    if kind == "reminder":
        stop = stop_url("reminders", booking.id)
        return ReminderNews(
            message_key="",
            house=house,
            booking=facts,
            manage_url=manage_url,
            stop_url=stop,
            told_at=stamped_at,
            own=own,
        )
    event = _event(booking, business, facts, meeting=meeting, manage_url=manage_url, stamped_at=stamped_at)
    reason = "unanswered" if kind == "refused" and booking.cancelled_by == "portal" else ""
    news = News(news=kind, by=booking.cancelled_by or "staff", reason=reason)
    return CustomerNews(
        message_key="", house=house, news=news, booking=facts, manage_url=manage_url, event=event, own=own
    )


def for_staff(session: Session, work: Work, *, now: datetime) -> list[Facts | Silence]:
    """What staff should read now: one mail for each person concerned. Raises DeliveryRefused for a subject that it does not know."""
    kind = work.subject.partition(":")[0]
    if kind == "booking":
        return _booking_for_staff(session, work, now)
    if kind == "question":
        return question_news(session, work)
    if kind == "conflict":
        return conflict_news(session, work)
    if kind == "connection":
        return connection_news(session, work)
    if kind == "clock":
        return clock_news(session, work)
    raise DeliveryRefused(f"No mail is written about “{work.subject}”.")


def _booking_for_staff(session: Session, work: Work, now: datetime) -> list[Facts | Silence]:
    booking = row_of(session, work, Booking)
    if booking is None:
        return silent(work, "there is no such booking")
    business, facts = business_of(session), _booking_facts(session, booking, meeting_for(session, booking))
    with speaking(tag_for(business.language)):
        facts = replace(facts, answers=tuple(answer_lines(booking.appointment.service, booking.answers)))
    found: list[Facts | Silence] = []
    for person in people_of(session, resources_of(session, booking.appointment), business):
        news = _news_of(session, work, booking, business, recipient=person.email, now=now)
        if isinstance(news, Silence):
            found += silent(work, news)
            continue
        key = booking_key(instance_ids(session), work, person.email)
        found.append(
            StaffNews(
                message_key=key,
                house=house_of(business),
                news=news,
                booking=facts,
                recipient=person,
                booking_id=booking.id,
            )
        )
    return found


def _news_of(
    session: Session, work: Work, booking: Booking, business: Business, *, recipient: str, now: datetime
) -> News | Silence:
    history = read_history(session, work)
    *earlier, current = booking_news(session, (*history.earlier, work), ids=instance_ids(session), recipient=recipient)
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
    locale = locale_for(tag, zone=business.zone)
    with speaking(tag):
        return customer_event(
            booking,
            business=business,
            people=in_a_row(facts.people, locale),
            place=", ".join(filter(None, (facts.location, in_a_row(facts.rooms, locale)))),
            meeting=meeting,
            mail_from=current_settings().mail_from,
            manage_url=manage_url,
            stamped_at=stamped_at,
        )


def _own_words(session: Session, kind: str, booking: Booking, business: Business) -> OwnWords:
    service_id = booking.appointment.service_id
    return own_words(session, kind, service_id=service_id, reader=customer_of(booking), business=business)


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
        held_until=booking.held_until if booking.status == "held" else None,
        is_called_off=appointment.called_off_at is not None,
        cancel_until=service.cancel_until,
        move_until=service.move_until,
        customer=customer_of(booking),
        phone=booking.customer_phone,
        note=booking.note,
    )


def customer_of(booking: Booking) -> Person:
    return Person(
        name=booking.customer_name,
        email=booking.customer_email,
        zone=booking.customer_zone,
        language=booking.customer_language,
    )


def manage_url_of(booking: Booking) -> str:
    """The customer's link; empty when its key is lost: the mail is worth more than the link."""
    try:
        return f"{current_settings().url}/b/{manage_token(booking)}"
    except Invalid as error:
        log.warning("a manage link does not open", booking_id=booking.id, reason=str(error))
        return ""
