"""One booking or hold in words, for the summary on public pages: nothing about the customer, and nothing about other people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from babel import Locale
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking.invitation.meetings import Meeting, meeting_for
from portal.booking.models import AppointmentResource, Booking
from portal.booking.questions import answer_lines
from portal.business.models import Resource, Service
from portal.language import dates
from portal.language.say import in_a_row, say, say_n
from portal.public.booking import view


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    service: str
    day: str
    time: str
    zone: str
    duration: str
    people: str
    """Names of the staff, "Ana and Ben", as the language lists names."""
    place: str
    """Where, as a sentence for people; `address` is the same for calendars, which look it up on a map."""
    address: str
    place_kind: str
    meeting: Meeting
    party: str
    price: str
    answers: tuple[tuple[str, str], ...]
    """(question, answer) of what the customer was asked for this service."""
    start_at: datetime
    end_at: datetime


def summarize(session: Session, booking: Booking, *, zone: str, locale: Locale) -> Summary:
    """What was chosen, on the clock of `zone`."""
    appointment, service = booking.appointment, booking.appointment.service
    staff, rooms = names_of(session, appointment.id)
    words = view.when(appointment.start_at, appointment.end_at, zone, locale)
    return Summary(
        service=service.name,
        day=words["day"],
        time=words["time"],
        zone=words["zone"],
        duration=dates.duration((appointment.end_at - appointment.start_at).seconds // 60),
        people=in_a_row(staff, locale),
        place=", ".join(filter(None, [place_words(service), in_a_row(rooms, locale)])),
        address=", ".join(filter(None, [service.location, in_a_row(rooms, locale)])),
        place_kind=service.location_kind,
        meeting=meeting_for(session, booking),
        party=say_n("for 1 person", "for %(number)s people", booking.party_size) if booking.party_size > 1 else "",
        price=service.price,
        answers=tuple(answer_lines(service, booking.answers)),
        start_at=appointment.start_at,
        end_at=appointment.end_at,
    )


def place_words(service: Service) -> str:
    """Where the service takes place: its address, or the way in which one meets; empty where nothing is said (a video call says it itself)."""
    if service.location_kind == "phone":
        return say("By phone: we call you")
    if service.location_kind == "online":
        return service.location or ("" if service.meeting else say("Online"))
    if service.location_kind == "on-site":
        return say("At: %(place)s", place=service.location) if service.location else say("At our place")
    return service.location


def names_of(session: Session, appointment_id: int) -> tuple[list[str], list[str]]:
    """Names of the staff and of the rooms that an appointment takes; equipment concerns nobody. Shared with the waitlist's pages."""
    rows = session.execute(
        select(Resource.kind, Resource.name)
        .join(AppointmentResource, AppointmentResource.resource_id == Resource.id)
        .where(AppointmentResource.appointment_id == appointment_id)
        .order_by(AppointmentResource.list_no, Resource.position, Resource.id)
    ).all()
    return [name for kind, name in rows if kind == "staff"], [name for kind, name in rows if kind == "room"]
