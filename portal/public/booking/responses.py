"""The answers of the booking pages: which template, with which values, under which status. Called by `routes.py`.

A whole page for who asks plainly, the fragment alone for htmx; both are made of the same partials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, current_app, make_response, render_template, request, url_for

from portal.availability.model import Slot
from portal.booking.models import Booking
from portal.booking.questions import FIELD
from portal.booking.time import queries
from portal.booking.time.full import find_appointment
from portal.business.models import Service
from portal.errors import BudgetSpent, HoldExpired, Invalid, NotFound, PortalError, Refused, SlotTaken
from portal.language import dates
from portal.public.booking import picker, view
from portal.public.booking.forms import BookingForm, new_key
from portal.public.booking.picker import Search
from portal.public.booking.summary import place_words, summarize
from portal.public.booking.view import Day, Time
from portal.web import visitors
from portal.web.hypermedia import wants_partial
from portal.web.instants import instant_text, read_instant


@dataclass(frozen=True, slots=True)
class Offer:
    """Other times in place of one that cannot be had. `same` is that very time, when it is free again; `waitlist` the address of the
    form to wait for it, where that is of use."""

    sentence: str
    same: Time | None
    nearest: Sequence[Time]
    waitlist: str = ""


def page(search: Search, *, offer: Offer | None = None, status: int = 200) -> Response:
    """The whole page of a service."""
    found = picker.find_page(search)
    values = slots_values(search, found.day)
    return make_response(render_template("booking/service.html", found=found, offer=offer, **values), status)


def slots(search: Search, *, seen: str, **urls: str) -> Response:
    """The times of one day; 204 when an open page has `seen` the present version already."""
    values = slots_values(search, picker.find_day(search)) | urls
    if seen and seen == values["version"]:
        return make_response("", 204)
    return make_response(render_template("booking/_slots.html", **values))


def taken(search: Search, start_at: datetime, error: SlotTaken) -> Response:
    """409: somebody was quicker. The fresh times of that day, and above them the three nearest."""
    on = start_at.astimezone(ZoneInfo(search.choice.zone)).date()
    search = replace(search, choice=replace(search.choice, day=on, month=None))
    offer = make_offer(search, error, start_at)
    if not wants_partial():
        return page(search, offer=offer, status=409)
    values = slots_values(search, picker.find_day(search))
    return make_response(render_template("booking/_taken.html", offer=offer, **values), 409)


def too_many(search: Search, start_at: datetime, error: BudgetSpent) -> Response:
    """429: the times of that day as they are, and above them why none is kept just now."""
    on = start_at.astimezone(ZoneInfo(search.choice.zone)).date()
    search = replace(search, choice=replace(search.choice, day=on, month=None))
    offer = Offer(str(error), None, [])
    if not wants_partial():
        return page(search, offer=offer, status=error.http_status)
    values = slots_values(search, picker.find_day(search))
    # htmx puts a 409 into the page, and leaves a 429 out of it: that may be the answer of a limit that knows nothing of this page.
    return make_response(render_template("booking/_taken.html", offer=offer, **values), 409)


def form(form: BookingForm, booking: Booking, search: Search, *, error: Invalid | Refused | None = None) -> Response:
    """The form for a time that is held; 422 with the errors beside the fields when something does not fit, 409 when this customer may not
    have one more. The time stays held in any case."""
    search = search.opened_at(booking.appointment.start_at)
    values = _form_values(form, search) | {
        "held_at": instant_text(booking.appointment.start_at),
        "summary": summarize(search.session, booking, zone=search.choice.zone, locale=search.locale),
        "hold": _hold_words(booking, search),
        "errors": _errors(error),
        "told": told_errors(_errors(error), search.service),
        "problem": str(error) if isinstance(error, (Invalid, BudgetSpent)) else "",
    }
    return _render_form(values, status=_status(error) if error else 200)


def lost(form: BookingForm, search: Search, error: PortalError) -> Response:
    """409: the time is not held any more. What was typed stays; the same time, if it is free, and the nearest are offered.

    Who has booked it themselves, and comes back to its form, is told so; so is who has been written to about it.
    """
    manage_token = visitors.booked(form.hold)
    if manage_token:
        return booked(search, manage_token)
    if waits := _asked(form.hold, search):
        values = _form_values(BookingForm(), search) | {
            "held_at": "",
            "errors": {},
            "asked": waits,
            "asked_hold": form.hold,
        }
        return _render_form(values, status=200 if request.method == "GET" else 409)
    start_at = read_instant(form.start_at or form.held_at)
    search = search.opened_at(start_at)
    values = _form_values(replace(form, hold=""), search) | {
        "held_at": form.held_at,
        "offer": make_offer(search, error, start_at),
        "errors": {},
    }
    return _render_form(values, status=_status(error))


def booked(search: Search, manage_token: str) -> Response:
    """The visitor has booked this time already: what it is, and the way to it."""
    booking = queries.booking_of_manage_token(search.session, manage_token)
    values = _form_values(BookingForm(), search) | {
        "held_at": "",
        "errors": {},
        "booked": summarize(search.session, booking, zone=search.choice.zone, locale=search.locale),
        "booked_state": booking.status,
        "manage_url": url_for("manage.show", token=manage_token),
    }
    return _render_form(values, status=200 if request.method == "GET" else 409)


def make_offer(search: Search, error: PortalError, start_at: datetime | None) -> Offer:
    """The three nearest times to `start_at`, as the error brings them or newly searched."""
    near: list[Slot] = getattr(error, "nearest", [])
    if start_at and not near:
        near = picker.nearest(search, start_at)
    times = view.show_times(
        near, search.choice, search.locale, capacity=search.capacity, with_date=True, today=search.today
    )
    wanted = instant_text(start_at) if start_at else ""
    same = next((time for time in times if time.value == wanted), None)
    waitlist = "" if same or start_at is None else _waitlist_url(search, start_at, near)
    return Offer(str(error), same, [time for time in times if time is not same], waitlist)


def slots_values(search: Search, day: Day | None) -> dict[str, Any]:
    """What `_slots.html` and the page around it expect."""
    slug = search.service.slug
    own = _own_hold(search)
    return {
        "service": search.service,
        "place": place_words(search.service),
        "search": search,
        "choice": search.choice,
        "here": replace(search.choice, day=day.on, month=None) if day else search.choice,
        "day": day,
        "own": own,
        "is_own_zone": search.moving is None and visitors.follows_device(search.service, search.choice.zone),
        "asks_device": search.moving is None and visitors.asks_device(search.service),
        "version": f"{day.version if day else 'none'}-{own['time'] if own else ''}",
        "page_url": url_for("booking.service", slug=slug),
        "slots_url": url_for("booking.slots", slug=slug),
        "post_url": url_for("booking.place_hold", slug=slug),
    }


def told_errors(errors: Mapping[str, str], service: Service) -> dict[str, str]:
    """The errors for the summary at the top: what is said of an answer follows its question."""
    labels = {FIELD + question.name: question.label for question in service.questions}
    return {name: f"{labels[name]} {sentence}" if name in labels else sentence for name, sentence in errors.items()}


def _waitlist_url(search: Search, start_at: datetime, near: Sequence[Slot]) -> str:
    """Where to wait for a time that was lost: for its appointment where people join one, else for its day if nothing of it is near."""
    if not search.has_waitlist:
        return ""
    zone = ZoneInfo(search.choice.zone)
    on = start_at.astimezone(zone).date()
    url = url_for("waitlist.join_form", slug=search.service.slug)
    if find_appointment(search.session, search.service, start_at):
        return url + search.choice.query(day=None, month=None, appointment=instant_text(start_at))
    is_free = any(slot.interval.start.astimezone(zone).date() == on for slot in near)
    return "" if is_free else url + search.choice.query(day=on, month=None)


def _asked(hold: str, search: Search) -> dict[str, str] | None:
    """The mail that this visitor has to look for: to which address, and until when its button counts, if it has one. None when there is none
    (any more)."""
    found = visitors.asked(hold)
    if found is None:
        return None
    email, public_id = found
    if not public_id:  # whatever came of it stands in the mail alone
        return {"email": email, "state": "", "until": ""}
    booking = queries.booking_to_confirm(search.session, public_id)
    until = (booking.held_until if booking else None) or search.now
    if booking is None or (booking.status == "held" and until <= search.now):
        return None
    local = until.astimezone(ZoneInfo(search.choice.zone))
    return {
        "email": booking.customer_email,
        "state": booking.status,
        "until": dates.clock(local, search.locale),
    }


def hold_url(slug: str, token: str, search: Search) -> str:
    """The address of the form. It keeps in mind where the visitor was, for the way back."""
    return url_for("booking.hold_form", slug=slug, token=token) + search.choice.query()


def _own_hold(search: Search) -> dict[str, str] | None:
    """The time that this visitor holds already, to go on with or to let go. It is missing from the list, being taken."""
    slug = search.service.slug
    kept = visitors.kept(slug)
    if kept is None:
        return None
    try:
        booking = queries.booking_of_hold(search.session, kept.token, now=search.now)
    except (NotFound, HoldExpired):
        return None
    appointment = booking.appointment
    return {
        **view.when(appointment.start_at, appointment.end_at, search.choice.zone, search.locale),
        "url": hold_url(slug, kept.token, search.opened_at(appointment.start_at)),
        "release_url": url_for("booking.release_hold", slug=slug, token=kept.token),
    }


def _form_values(form: BookingForm, search: Search) -> dict[str, Any]:
    """What `_form.html` expects of a held time and of a lost one alike."""
    slug = search.service.slug
    return {
        "service": search.service,
        "choice": search.choice,
        "search": search,
        "form": form,
        "key": form.key or new_key(current_app.config["SECRET_KEY"]),
        "page_url": url_for("booking.service", slug=slug),
        "post_url": url_for("booking.place_hold", slug=slug),
        "confirm_url": url_for("booking.confirm", slug=slug),
        "hold_url": hold_url(slug, form.hold, search) if form.hold else "",
        "problem": "",
    }


def _status(error: PortalError) -> int:
    """For a form that is not held any more, and for one with something wrong in it. See `too_many` for htmx."""
    if isinstance(error, BudgetSpent):
        return 409 if wants_partial() else error.http_status
    return error.http_status if isinstance(error, Invalid) else 409


def _errors(error: Invalid | Refused | None) -> dict[str, str]:
    if isinstance(error, BudgetSpent):
        return {}
    if isinstance(error, Refused):  # it is this address that has reached it: with another one it may go on
        return {"email": str(error)}
    return error.fields if error else {}


def _hold_words(booking: Booking, search: Search) -> dict[str, Any]:
    until = booking.held_until or search.now
    local = until.astimezone(ZoneInfo(search.choice.zone))
    return {
        "until": dates.clock(local, search.locale),
        "until_at": instant_text(until),
        "can_extend": not booking.hold_extended,
    }


def _render_form(values: dict[str, Any], *, status: int) -> Response:
    template = "booking/_form.html" if wants_partial() else "booking/hold.html"
    return make_response(render_template(template, **values), status)
