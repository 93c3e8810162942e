"""What the forms about bookings and appointments show, so that none of them undoes a newer change unseen (`portal.web.shown.versions`).

Staff, the customer's link and the API name the same booking in three ways; what they show of it is the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import request
from sqlalchemy.orm import Session

from portal.booking.fixed.steps import existing
from portal.booking.models import Booking, Series
from portal.booking.steps import found
from portal.booking.time.outside_events import standing_over
from portal.booking.time.queries import booking_of_manage_token, booking_of_public_id
from portal.language import dates
from portal.language.say import say, say_later
from portal.web.instants import read_instant
from portal.web.shown.versions import At, Shown, shows
from portal.web.site import current_site

_BECAME = {
    "pending": say_later("Meanwhile this booking waits for an answer."),
    "confirmed": say_later("This booking was confirmed meanwhile."),
    "cancelled": say_later("This booking was cancelled meanwhile."),
    "completed": say_later("Meanwhile it was noted that the customer came."),
    "no_show": say_later("Meanwhile it was noted that the customer did not come."),
}


@shows("admin.refuse_booking", "admin.cancel_booking", page="admin.booking")
def shown_to_staff(session: Session, at: At) -> Shown:
    booking = _booking(session, at)
    return _shown(booking, zone=current_site().zone, done=_cancelled(booking, "admin.cancel_booking"))


@shows("admin.approve_booking", page="admin.booking")
def shown_before_a_yes(session: Session, at: At) -> Shown:
    """With the outside events over it: a yes to one that was seen is none to the next."""
    booking = _booking(session, at)
    shown = _shown(booking, zone=current_site().zone)
    over = standing_over(session, [booking.appointment_id]) if booking.status == "pending" else {}
    events = [(each.start_at, each.end_at, each.calendar) for each in over.get(booking.appointment_id, [])]
    news = {**shown.news, "events over it": "Meanwhile the events in the calendar over this time have changed."}
    return Shown(shown.subject, {**shown.parts, "events over it": events}, news=news)


@shows("admin.mark_attendance", page="admin.booking")
def shown_attendance(session: Session, at: At) -> Shown:
    """Whether somebody came says nothing of other changes, and lists with many such forms are read anew every few seconds."""
    booking = _booking(session, at)
    is_so = request.method == "POST" and request.form.get("status") == booking.status
    done = ("admin.mark_attendance",) if is_so else ()
    return Shown(f"booking:{booking.id}", {"status": booking.status}, news=_news(booking, ""), done=done)


@shows("manage.cancel", "manage.move", page="manage.show")
def shown_to_customer(session: Session, at: At) -> Shown:
    booking = booking_of_manage_token(session, at["token"])
    done = _cancelled(booking, "manage.cancel")
    if request.method == "POST" and read_instant(request.form.get("start_at", "")) == booking.appointment.start_at:
        done.append("manage.move")
    zones = (booking.customer_zone, current_site().zone)
    zone = next(zone for zone in zones if zone and dates.is_zone(zone))
    return _shown(booking, zone=zone, done=done)


@shows("api.cancel", "api.approve", "api.refuse", "api.move", page="api.booking")
def shown_to_programs(session: Session, at: At) -> Shown:
    booking = booking_of_public_id(session, at["public_id"])
    return _shown(booking, zone="UTC", done=_cancelled(booking, "api.cancel"))


@shows("admin.change_capacity", "admin.move_appointment", "admin.call_off", page="admin.appointment")
def shown_appointment(session: Session, at: At) -> Shown:
    """One appointment, and the weekly time of its series, which "this and all later ones" changes."""
    row = existing(session, at["appointment_id"])
    series = session.get(Series, row.series_id) if row.series_id else None
    moved = say("It was moved meanwhile to %(moment)s.", moment=_moment(row.start_at, current_site().zone))
    parts = {
        "seats": row.capacity,
        "state": [row.is_active, row.called_off_at is not None],
        "time": [row.start_at, row.end_at],
        "weekly time": [series.weekday, series.starts] if series else None,
    }
    news = {"time": moved, "seats": f"It has {row.capacity} seats meanwhile."}
    if row.called_off_at is not None:
        news = {"state": "It was called off meanwhile."}
    done = ("admin.call_off",) if row.called_off_at is not None else ()
    return Shown(f"appointment:{row.id}", parts, news=news, done=done)


def parts_of(booking: Any, appointment: Any, *, resource_ids: Iterable[int]) -> dict[str, Any]:
    """What is shown of a booking; of rows with these columns too, for the API, which reads no objects."""
    return {
        "people": booking.party_size,
        "status": [booking.status, booking.pending_reason],
        "time": [appointment.start_at, appointment.end_at, sorted(resource_ids)],
    }


def _shown(booking: Booking, *, zone: str, done: Collection[str] = ()) -> Shown:
    row = booking.appointment
    ids = [member.resource_id for member in row.resources]
    parts = parts_of(booking, row, resource_ids=ids)
    return Shown(f"booking:{booking.id}", parts, news=_news(booking, zone), done=done)


def _cancelled(booking: Booking, endpoint: str) -> list[str]:
    """A cancellation of one that is cancelled already has nothing left to do."""
    return [endpoint] if booking.status == "cancelled" else []


def _news(booking: Booking, zone: str) -> dict[str, str]:
    news = {"status": say(_BECAME[booking.status])} if booking.status in _BECAME else {}
    if zone and booking.status != "cancelled":
        moment = _moment(booking.appointment.start_at, zone)
        news["time"] = say("It was moved meanwhile to %(moment)s.", moment=moment)
    return news


def _moment(instant: datetime, zone: str) -> str:
    locale, local = dates.present_locale(), instant.astimezone(ZoneInfo(zone))
    return f"{dates.day_and_month(local.date(), locale)}, {dates.clock(local, locale)}"


def _booking(session: Session, at: At) -> Booking:
    """One that waits for its customer's mail, too. Raises NotFound."""
    row = session.get(Booking, at["booking_id"])
    return row if row is not None and row.manage_hash else found(session, at["booking_id"])
