"""The link of an appointment's video meeting: one for all who come to it, made by one calendar and shown by the others.

The provider makes it when the event is written (Google Meet), now and then a little later, so there is a while in which it is still
coming. The pages, mails, API and sync all ask here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking import statements
from portal.booking.models import Appointment, Booking, EventLink
from portal.booking.statements import rows
from portal.business.models import Service
from portal.clock import now_utc
from providers.kinds import meeting_makers

REACHABLE = ("connected", "degraded")
MADE_WITHIN = timedelta(minutes=10)
"""An event that has stood for so long without a link will not get one by itself: not every calendar at Google may make them."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """How far the link of an appointment is.

    ``none``    the service is no video meeting
    ``ready``   `url` leads there
    ``coming``  a calendar makes it once the event is written; `is_near` while nothing is known to keep it from that
    ``unable``  the service promises one, but none of the calendars concerned can make it, or has made it
    `calendar_id` is the calendar whose event carries the meeting, or will.
    """

    state: Literal["none", "ready", "coming", "unable"]
    url: str = ""
    is_near: bool = False
    calendar_id: int | None = None


NONE = Meeting("none")


def meeting_of(session: Session, appointment_id: int, *, kind: str) -> Meeting:
    """The meeting of an appointment; `kind` is its service's `meeting`. A link that stands is told even when the service wants none by now."""
    found = rows(session, statements.meetings(), appointment_id=appointment_id)
    for row in found:
        if row.meeting_url and row.etag and row.outside != "removed":
            return Meeting("ready", row.meeting_url, calendar_id=row.id)
    if not kind:
        return NONE
    maker = _maker(found)
    if maker is None or _was_not_made(maker):
        return Meeting("unable", calendar_id=maker.id if maker else None)
    is_near = maker.connection_state in REACHABLE and maker.state != "stuck" and not maker.outside
    return Meeting("coming", is_near=is_near, calendar_id=maker.id)


def meeting_for(session: Session, booking: Booking) -> Meeting:
    """The meeting as this booking's customer may know it: the link is for whoever has a confirmed place, and for nobody else."""
    if booking.status == "cancelled":
        return NONE
    meeting = meeting_of(session, booking.appointment_id, kind=booking.appointment.service.meeting)
    if meeting.state == "ready" and booking.status in ("held", "pending"):
        return replace(meeting, state="coming", url="")
    return meeting


def without_link(session: Session, *, now: datetime) -> int:
    """How many appointments to come promise a video meeting whose event stands without one."""
    stands = (EventLink.state == "done", EventLink.etag != "", EventLink.updated_at < now - MADE_WITHIN)
    waiting = (
        select(Appointment.id, Service.meeting)
        .join(Service, Service.id == Appointment.service_id)
        .join(EventLink, EventLink.appointment_id == Appointment.id)
        .where(Appointment.is_active, Appointment.start_at > now, Service.meeting != "", EventLink.meeting_url == "")
        .where(*stands)
        .distinct()
    )
    found = [meeting_of(session, row.id, kind=row.meeting) for row in session.execute(waiting).all()]
    return sum(meeting.state == "unable" and meeting.calendar_id is not None for meeting in found)


def _was_not_made(maker: Any) -> bool:
    is_written = maker.state == "done" and bool(maker.etag) and not maker.outside
    return is_written and maker.updated_at < now_utc() - MADE_WITHIN


def _maker(found: Sequence[Any]) -> Any | None:
    """Always the same one as long as the calendars are: with two makers there would be two meetings."""
    makers = meeting_makers()
    return next((row for row in found if row.is_destination and row.provider in makers and not row.leaving), None)
