"""A booking as its customer's calendar shall show it: the values for `portal.booking.invitation.customer_ics`, for mails and for the download
alike."""

from __future__ import annotations

from datetime import datetime
from email.utils import parseaddr

from portal.booking.invitation.customer_ics import CustomerEvent
from portal.booking.invitation.meetings import Meeting
from portal.booking.models import Booking
from portal.business.models import Business
from portal.language.say import say


def customer_event(
    booking: Booking,
    *,
    business: Business,
    people: str,
    place: str,
    meeting: Meeting,
    mail_from: str,
    manage_url: str,
    stamped_at: datetime,
) -> CustomerEvent:
    """The event in the state that the booking has now, in the language that is being spoken.

    `people` and `place` are in words, "Ana and Ben"; `meeting` is what this customer may know of it; `mail_from` is the setting (the business's
    address is the ORGANIZER), `manage_url` the customer's own link or empty, `stamped_at` the time at which this state came about.
    """
    appointment, service = booking.appointment, booking.appointment.service
    lines = [
        say("With %(people)s.", people=people) if people else "",
        _call(meeting),
        say("Your booking: %(url)s", url=manage_url) if manage_url else "",
    ]
    return CustomerEvent(
        instance_id=business.instance_id,
        public_id=booking.public_id,
        sequence=booking.sequence,
        start_at=appointment.start_at,
        end_at=appointment.end_at,
        stamped_at=stamped_at,
        summary=f"{service.name}, {business.name}",
        description="\n".join(line for line in lines if line),
        location=place or meeting.url,
        meeting_url=meeting.url,
        organizer_name=business.name,
        organizer_email=parseaddr(mail_from)[1],
        customer_name=booking.customer_name,
        customer_email=booking.customer_email,
        manage_url=manage_url,
        is_tentative=booking.status == "pending",
    )


def _call(meeting: Meeting) -> str:
    if meeting.url:
        return say("Video call: %(url)s", url=meeting.url)
    return say("Video call: the link will stand on your booking's page.") if meeting.state == "coming" else ""
