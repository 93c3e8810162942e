"""The link of a video meeting, as calendars tell of it: kept at the event link, shown in the other calendars, told to customers.

Called by receipts (our own writes) and apply (what a pull found), inside their transactions.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import outbox
from portal.booking.models import Booking, EventLink
from portal.calendars.models import Calendar

SOON = timedelta(seconds=2)
_PROPER = re.compile(r"https://[^\s\"'<>\\]+")


def note_link(session: Session, link: EventLink, url: str, *, now: datetime) -> None:
    """The event carries this link now, or none any more (empty). Customers who know of another one, or were told to wait, learn of it."""
    url = proper(url)
    if url == link.meeting_url:
        return
    link.meeting_url = url
    session.flush()
    _show_elsewhere(session, link, now=now)
    if url:
        _tell_customers(session, link.appointment_id, now=now)


def note_lost(session: Session, link: EventLink, *, now: datetime) -> None:
    """The event is made anew, and with it its meeting: whoever has the old link needs the new one."""
    if link.meeting_url:
        link.meeting_url = ""
        _tell_customers(session, link.appointment_id, now=now)


def proper(url: str) -> str:
    """The link, or nothing: it goes into mails and pages, so only a plain https address counts."""
    return url if len(url) <= 500 and _PROPER.fullmatch(url) else ""


def look_soon(session: Session, calendar_id: int, *, now: datetime) -> None:
    """The provider is still making the link: have the calendar read shortly instead of at its next turn."""
    calendar = session.get_one(Calendar, calendar_id)
    if calendar.failures == 0:
        calendar.next_read_at = min(calendar.next_read_at, now + SOON)


def _show_elsewhere(session: Session, link: EventLink, *, now: datetime) -> None:
    """The same appointment's events in other calendars tell the link in their text, so they are written again."""
    others = session.scalars(
        select(EventLink).where(
            EventLink.appointment_id == link.appointment_id,
            EventLink.id != link.id,
            EventLink.etag != "",
            EventLink.outside == "",
        )
    ).all()
    for other in others:
        other.applied_version, other.state = 0, "waiting"
    if others:
        outbox.hasten(session, "calendar.publish", f"appointment:{link.appointment_id}", now=now)


def _tell_customers(session: Session, appointment_id: int, *, now: datetime) -> None:
    """A mail that waits for the link goes out now; where it has left already, a new one follows."""
    confirmed = select(Booking).where(Booking.appointment_id == appointment_id, Booking.status == "confirmed")
    for booking in session.scalars(confirmed.order_by(Booking.id).with_for_update()):
        subject = f"booking:{booking.id}"
        if not outbox.bring_forward(session, "notify.customer", subject, now=now):
            booking.sequence += 1
            outbox.record(session, "notify.customer", subject, news="moved", by="calendar", sequence=booking.sequence)
