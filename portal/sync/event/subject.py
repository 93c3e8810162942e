"""What the event of an appointment has to tell in one calendar, read from the database for `text`. Called by publish."""

from __future__ import annotations

from collections.abc import Sequence

from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking.invitation.meetings import Meeting
from portal.booking.models import PRESENT, Appointment, Booking
from portal.booking.questions import answer_lines
from portal.business.models import Business
from portal.calendars.models import Calendar
from portal.instance.ids import instance_ids
from portal.language.say import speaking
from portal.sync.event import shared
from portal.sync.event.text import Guest, Subject


def subject_of(session: Session, appointment: Appointment, calendar: Calendar, meeting: Meeting) -> Subject:
    """The appointment as this calendar may tell of it. What its privacy setting hides is taken along all the same; the text leaves it out."""
    business = session.scalars(select(Business)).one()
    makes_it = calendar.id == meeting.calendar_id
    bookings = [booking for booking in appointment.bookings if booking.status in PRESENT]
    with speaking(business.language):
        guests = tuple(_guest(booking) for booking in bookings)
    return Subject(
        instance_id=instance_ids(session).of(appointment.id),
        appointment_id=appointment.id,
        service=appointment.service.name,
        location=appointment.service.location,
        zone=business.zone,
        portal_url=f"{current_app.extensions['settings'].url}{_page(appointment, bookings)}",
        guests=guests,
        privacy=shared.privacy_of(session, calendar),
        language=business.language,
        capacity=appointment.capacity,
        wants_meeting=makes_it and bool(appointment.service.meeting),
        meeting_url="" if makes_it else meeting.url,
    )


def _page(appointment: Appointment, bookings: Sequence[Booking]) -> str:
    """The staff page of the very booking; of the appointment, where several have booked it, or may."""
    if appointment.capacity == 1 and len(bookings) == 1:
        return f"/admin/bookings/{bookings[0].id}"
    return f"/admin/appointments/{appointment.id}"


def _guest(booking: Booking) -> Guest:
    return Guest(
        name=booking.customer_name,
        email=booking.customer_email,
        phone=booking.customer_phone,
        note=booking.note,
        party_size=booking.party_size,
        answers=tuple(answer_lines(booking.appointment.service, booking.answers)),
    )
