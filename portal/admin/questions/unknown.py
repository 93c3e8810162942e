"""Bookings that the backup does not know: events of ours that a restore left without a booking. Staff take them up again, keep their time closed, or
remove them; each for the calendars that they look after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import flash, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import doorbell
from portal.accounts.models import User
from portal.admin.frame import bp, moments
from portal.admin.scope import resource_ids_of
from portal.booking.models import Appointment, AppointmentResource, Booking
from portal.booking.rules import Customer
from portal.booking.taking_up import Person, Wanted
from portal.business.models import Resource, Service
from portal.calendars.models import Calendar, UnknownBooking
from portal.clock import now_utc
from portal.errors import Invalid, NotFound, Refused
from portal.extensions import db
from portal.intervals import Interval
from portal.sync.event.stands import stands
from portal.sync.event.text import guests_told
from portal.sync.outside import unknown
from portal.web import access
from portal.web.hypermedia import see_other

MOST_PEOPLE = 6
"""Rows of the form; more people of a group are added in further goes."""
_SAID = {
    "keep": "The event stays, and its time stays closed.",
    "remove": "The event is being taken out of the calendar. Its time is free.",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One booking, in however many calendars it stands. `group` is the appointment that is known, when others joined it since; `request` the
    request that is known as unanswered, when it was approved since."""

    row: UnknownBooking
    calendars: list[Calendar]
    group: Appointment | None
    request: Booking | None = None

    @property
    def resource_ids(self) -> list[int]:
        """Whose time it takes, as far as the calendars tell: where one is connected for several people, it may be any of them."""
        first_of = {calendar.remote_id: calendar.resource_id for calendar in reversed(self.calendars)}
        return sorted(set(first_of.values()))


def list_unknown(session: Session, user: User) -> list[Listed]:
    """What waits for an answer, by time."""
    found: dict[tuple[str, int], Listed] = {}
    for row in unknown.open_rows(session, resource_ids_of(user)):
        calendar = session.get_one(Calendar, row.calendar_id)
        key = (row.instance_id, row.appointment_no)
        if key in found:
            found[key].calendars.append(calendar)
        else:
            known = session.get(Appointment, row.appointment_id) if row.appointment_id else None
            group = known if known is not None and stands(known) else None
            asked = known.bookings if known is not None and group is None else ()
            request_of = next((booking for booking in asked if booking.status == "pending"), None)
            found[key] = Listed(row, [calendar], group, request_of)
    return list(found.values())


@bp.get("/unknown/<int:unknown_id>")
def unknown_booking(unknown_id: int) -> Any:
    """The form with which a booking is made from the event."""
    listed = _find(unknown_id)
    if listed.request is not None:
        return see_other(url_for("admin.booking", booking_id=listed.request.id))
    return _page(listed, {}, {})


@bp.post("/unknown/<int:unknown_id>/booking")
def take_up(unknown_id: int) -> Any:
    """Make the booking. What was typed wrongly is shown again."""
    listed = _find(unknown_id)
    try:
        wanted, people = _read(listed, request.form)
        db.session.rollback()
        appointment_id = unknown.take_up(unknown_id, wanted, people, user_id=current_user.id, now=now_utc())
    except Invalid as error:
        return _page(_find(unknown_id), request.form, error.fields), 422
    except Refused as error:
        return _page(_find(unknown_id), request.form, {"time": str(error)}), 409
    flash("The booking stands again. Whoever has an address is mailed it, with a new link.", "ok")
    doorbell.ring()
    return see_other(url_for("admin.appointment", appointment_id=appointment_id))


@bp.post("/unknown/<int:unknown_id>/answer")
def answer_unknown(unknown_id: int) -> Any:
    """Keep its time closed, or remove it."""
    listed, given = _find(unknown_id), request.form.get("answer", "")
    if given not in _SAID:
        raise NotFound("There is no such answer. Please use the buttons.")
    said = "The event is written as the portal knows it." if given == "remove" and listed.group else _SAID[given]
    db.session.rollback()
    try:
        answer = unknown.keep if given == "keep" else unknown.remove
        answer(unknown_id, user_id=current_user.id, now=now_utc())
        flash(said, "ok")
    except Refused as error:
        flash(str(error), "bad")
    doorbell.ring()
    return see_other(url_for("admin.questions"))


def _find(unknown_id: int) -> Listed:
    """Raises NotFound for one that is not there, is decided, or is not this user's."""
    for listed in list_unknown(db.session(), current_user):
        if any(row_id == unknown_id for row_id in _ids(listed)):
            return listed
    raise NotFound("There is nothing to decide here any more.")


def _ids(listed: Listed) -> list[int]:
    same = (
        UnknownBooking.instance_id == listed.row.instance_id,
        UnknownBooking.appointment_no == listed.row.appointment_no,
    )
    return list(db.session.scalars(select(UnknownBooking.id).where(*same)))


def _read(listed: Listed, form: Mapping[str, str]) -> tuple[Wanted, list[Person]]:
    fields: dict[str, str] = {}
    interval = Interval(listed.row.start_at, listed.row.end_at)
    resource_ids = [row.id for row in _resources() if form.get(f"resource-{row.id}")]
    service_id = listed.group.service_id if listed.group else _number(form.get("service", ""))
    if listed.group is None and service_id not in {service.id for service in _services()}:
        fields["service"] = "Please choose what was booked."
    if listed.group is None and not resource_ids:
        fields["resources"] = "Please choose whose time it takes."
    people = [person for number in range(1, MOST_PEOPLE + 1) if (person := _person(form, number))]
    if not people:
        fields["name-1"] = "Please give a name, as far as you know it."
    if fields:
        raise Invalid("Something is missing.", fields=fields)
    if listed.group:
        taken = select(AppointmentResource.resource_id).where(AppointmentResource.appointment_id == listed.group.id)
        resource_ids = list(db.session.scalars(taken))
        interval = Interval(listed.group.start_at, listed.group.end_at)
    return Wanted(service_id=service_id, interval=interval, resource_ids=tuple(resource_ids)), people


def _person(form: Mapping[str, str], number: int) -> Person | None:
    name = form.get(f"name-{number}", "").strip()
    if not name:
        return None
    customer = Customer(name, form.get(f"email-{number}", "").strip(), form.get(f"phone-{number}", "").strip())
    return Person(customer, min(max(_number(form.get(f"party_size-{number}", "1")), 1), 500))


def _page(listed: Listed, typed: Mapping[str, str], errors: Mapping[str, str]) -> str:
    services, resources = _services(), _resources()
    guess = next((one for one in services if listed.row.summary.startswith(f"{one.name} · ")), None)
    rest = listed.row.summary.removeprefix(f"{guess.name} · ") if guess else ""
    defaults = {"service": str(guess.id) if guess else "", "name-1": rest if guess and guess.capacity == 1 else ""}
    for number, guest in enumerate(guests_told(listed.row.description)[:MOST_PEOPLE] if not listed.group else (), 1):
        defaults |= {f"name-{number}": guest.name, f"email-{number}": guest.email, f"phone-{number}": guest.phone}
        defaults |= {f"party_size-{number}": str(guest.party_size)}
    defaults |= {f"resource-{resource_id}": "1" for resource_id in listed.resource_ids} if not typed else {}
    return render_template(
        "admin/unknown.html",
        listed=listed,
        services=[(str(one.id), one.name) for one in services],
        resources=resources,
        typed={**defaults, **typed},
        errors=dict(errors),
        people=range(1, MOST_PEOPLE + 1),
        at=moments(),
    )


def _services() -> list[Service]:
    return list(db.session.scalars(select(Service).where(Service.is_active).order_by(Service.position, Service.id)))


def _resources() -> list[Resource]:
    rows = db.session.scalars(select(Resource).where(Resource.is_active).order_by(Resource.position, Resource.id))
    return [row for row in rows if access.sees(current_user, row.id)]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
