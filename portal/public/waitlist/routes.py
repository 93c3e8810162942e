"""The waitlist's public pages: join it, see one's place, accept or decline what is offered. All of it works without scripts.

The token in the address is the right, as with bookings. GET never changes anything, whatever opens the link (mail scanners do); sending
the same answer twice has the effect of once, and whoever answers too late is told what has happened and what they can do now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, flash, make_response, render_template, request, url_for
from sqlalchemy.orm import Session

from portal import doorbell
from portal.booking.models import Appointment, WaitlistEntry
from portal.booking.rules import check_customer
from portal.booking.strangers.budgets import spend_join
from portal.booking.time import full, queries
from portal.clock import now_utc
from portal.errors import BudgetSpent, Invalid, LimitReached, NotFound, Refused, SlotFree, Stale
from portal.extensions import db, limiter
from portal.language import dates
from portal.language.say import say
from portal.public.booking import picker, responses
from portal.public.booking.forms import new_key, why_doubtful
from portal.public.booking.picker import Search
from portal.public.booking.view import MOST_PEOPLE
from portal.public.waitlist import view
from portal.public.waitlist.forms import WaitForm
from portal.waitlist import operations
from portal.web import visitors
from portal.web.hypermedia import see_other, wants_partial
from portal.web.reader_language import page_tag
from portal.web.site import current_site

bp = Blueprint("waitlist", __name__)

JOINS = "10 per minute; 60 per hour"
CHANGES = "20 per minute; 100 per hour"


@bp.get("/<slug>/waitlist")
def join_form(slug: str) -> Response:
    return _show_form(WaitForm.read(request.args), _search(slug, request.args))


@bp.post("/<slug>/waitlist")
@limiter.limit(JOINS, key_func=visitors.address)
def join(slug: str) -> Response:
    """The answer is the same whether or not the address waits already, and the link to the place goes to the address alone."""
    form = WaitForm.read(request.form)
    search = _search(slug, request.form)
    wish = form.chosen_wish()
    try:
        doubt = why_doubtful(form, secret=current_app.config["SECRET_KEY"])
        if doubt:
            raise Invalid(doubt)
        customer = check_customer(form.customer(zone=search.choice.zone, language=page_tag()))
        if visitor := visitors.budget():
            spend_join(visitor, customer.email, now=search.now)
        operations.join(
            service_slug=slug,
            wish=wish,
            customer=customer,
            party_size=form.party(),
            appointment_start_at=form.appointment_at,
            wish_on=form.wish_on(search.today) if wish in ("day", "week") else None,
            resource_slug=form.resource or None if wish != "appointment" else None,
            idempotency_key=form.key,
            now=search.now,
            answers=form.answers_to(search.service.questions),
        )
    except Invalid as error:
        return _show_form(form, search, errors=_fields(error), problem=str(error), status=422)
    except BudgetSpent as error:  # htmx puts a 409 into the page, and leaves a 429 out of it
        return _show_form(form, search, problem=str(error), status=409 if wants_partial() else error.http_status)
    except LimitReached as error:  # it is this address: with another one it may go on
        return _show_form(form, search, errors={"email": str(error)}, status=409)
    except Refused as error:
        return _show_form(form, search, refusal=error, status=409)
    doorbell.ring()
    flash(say("We have written to %(email)s.", email=form.email.strip()), "ok")
    names = ("appointment", "day", "wish", "resource", "people")
    wished = {"zone": search.choice.zone} | {name: getattr(form, name) for name in names}
    return see_other(
        url_for("waitlist.joined", slug=slug) + f"?{urlencode({key: text for key, text in wished.items() if text})}"
    )


@bp.get("/<slug>/waitlist/joined")
def joined(slug: str) -> Response:
    """What happens next. It knows nothing of who has joined."""
    form, search = WaitForm.read(request.args), _search(slug, request.args)
    values = _wish_values(form, search, _appointment(form, search)) | {
        "service": search.service,
        "holds_for": dates.duration(search.service.offer_minutes),
        "back_url": _back_url(form, search),
    }
    return make_response(render_template("waitlist/joined.html", **values))


@bp.get("/w/<token>")
def show(token: str) -> Response:
    """An open page asks again and again, with the version it has `seen`; 204 says that nothing is new."""
    entry = _entry(token)
    return _show(entry, token, seen=request.args.get("seen", ""))


@bp.post("/w/<token>/acceptance")
@limiter.limit(CHANGES, key_func=visitors.address)
def accept(token: str) -> Response:
    try:
        outcome = operations.accept(token, now=now_utc())
    except (Refused, Stale) as error:
        return _show(_entry(token), token, problem=str(error), status=409)
    doorbell.ring()
    return see_other(url_for("manage.show", token=outcome.manage_token))


@bp.post("/w/<token>/decline")
@limiter.limit(CHANGES, key_func=visitors.address)
def decline(token: str) -> Response:
    """With `keep` the entry goes on waiting, without being offered that time again; else it ends."""
    keep = request.form.get("keep") == "1"
    try:
        operations.decline(token, keep_waiting=keep, now=now_utc())
    except Refused as error:
        return _show(_entry(token), token, problem=str(error), status=409)
    doorbell.ring()
    if keep:
        flash(say("Noted: this one is not kept for you any more, and you keep your place."), "ok")
    return see_other(url_for("waitlist.show", token=token))


@bp.get("/w/<token>/leave")
def leave_form(token: str) -> Response:
    """The question whether one means it: the place in the queue is lost for good."""
    entry = _entry(token)
    values = _values(entry, token)
    if values["page"].state not in ("waiting", "offered"):
        return _show(entry, token)
    return make_response(render_template("waitlist/leave.html", **values))


@bp.post("/w/<token>/leave")
@limiter.limit(CHANGES, key_func=visitors.address)
def leave(token: str) -> Response:
    try:
        operations.leave(token, now=now_utc())
    except Refused as error:
        return _show(_entry(token), token, problem=str(error), status=409)
    doorbell.ring()
    return see_other(url_for("waitlist.show", token=token))


def _search(slug: str, asked: Mapping[str, str]) -> Search:
    session: Session = db.session()
    service = queries.find_service(session, slug)
    if not service.has_waitlist:
        raise NotFound(say("This service has no waitlist. Please choose one of its free times."))
    return picker.open_search(
        session, service, asked, site=current_site(), now=now_utc(), usual_zone=visitors.usual_zone(service)
    )


def _show_form(
    form: WaitForm,
    search: Search,
    *,
    errors: Mapping[str, str] | None = None,
    problem: str = "",
    refusal: Refused | None = None,
    status: int = 200,
) -> Response:
    """The form, with what is wrong in it, or with times that can be booked instead of waiting."""
    slug = search.service.slug
    appointment = _appointment(form, search)
    values = _wish_values(form, search, appointment) | {
        "service": search.service,
        "search": search,
        "choice": search.choice,
        "form": form,
        "key": form.key or new_key(current_app.config["SECRET_KEY"]),
        "errors": errors or {},
        "told": responses.told_errors(errors or {}, search.service),
        "problem": problem or (str(refusal) if refusal else ""),
        "offer": responses.make_offer(search, refusal, form.appointment_at) if isinstance(refusal, SlotFree) else None,
        "party_sizes": _party_sizes(appointment.capacity if appointment else search.service.capacity),
        "holds_for": dates.duration(search.service.offer_minutes),
        "post_url": url_for("waitlist.join", slug=slug),
        "hold_url": url_for("booking.place_hold", slug=slug),
        "back_url": _back_url(form, search),
    }
    template = "waitlist/_join.html" if wants_partial() else "waitlist/join.html"
    return make_response(render_template(template, **values), status)


def _back_url(form: WaitForm, search: Search) -> str:
    """The service's page, where the visitor came from."""
    there = search.opened_at(form.appointment_at).choice
    return url_for("booking.service", slug=search.service.slug) + there.query()


def _wish_values(form: WaitForm, search: Search, appointment: Appointment | None) -> dict[str, Any]:
    """What is waited for: an appointment, or a day with the wider wishes beside it."""
    wish, on = form.chosen_wish(), form.wish_on(search.today)
    described = view.describe(
        search.session,
        search.service,
        wish=wish,
        wish_on=on,
        start_at=appointment.start_at if appointment else None,
        end_at=appointment.end_at if appointment else None,
        appointment=appointment,
        zone=search.choice.zone,
        locale=search.locale,
    )
    if appointment:
        waiting = full.count_waiting(search.session, search.service, [appointment]).get(appointment.id, 0)
    else:
        waiting = full.count_waiting_for_day(search.session, search.service, on) if form.day else 0
    return {
        "wished": described,
        "waiting": waiting,
        "wish": wish,
        "wishes": [] if appointment else _wishes(form, search),
        "persons": [] if appointment else _persons(search),
    }


def _wishes(form: WaitForm, search: Search) -> list[tuple[str, str, str]]:
    """The choices of the form: (value, text, explanation)."""
    on, locale = form.wish_on(search.today), search.locale
    any_day = ("any", say("Any day"), say("Whenever something becomes free."))
    if not form.day:
        return [any_day]
    return [
        ("day", say("This day"), dates.wish_in_words("day", on, locale)),
        ("week", say("This week"), dates.wish_in_words("week", on, locale)),
        any_day,
    ]


def _persons(search: Search) -> list[tuple[str, str]]:
    people = [(person.slug, person.name) for person in search.people]
    return [("", say("Anyone")), *people] if people else []


def _party_sizes(capacity: int) -> list[tuple[str, str]]:
    most = min(capacity, MOST_PEOPLE)
    return [(str(number), str(number)) for number in range(1, most + 1)] if most > 1 else []


def _appointment(form: WaitForm, search: Search) -> Appointment | None:
    """The appointment that is waited for; None where the wish is for days."""
    start_at = form.appointment_at
    if start_at is None:
        if search.service.timing == "fixed" or form.appointment:
            raise NotFound(say("Please go back and choose the appointment that you want to wait for."))
        return None
    appointment = full.find_appointment(search.session, search.service, start_at)
    if appointment is None or start_at <= search.now:
        raise NotFound(
            say("This appointment cannot be waited for any more: it is over, or it has been moved or called off.")
        )
    return appointment


def _fields(error: Invalid) -> dict[str, str]:
    """The errors under the names that the form's fields have."""
    names = {"party_size": "people", "wish_on": "wish", "resource_slug": "resource"}
    return {names.get(name, name): sentence for name, sentence in error.fields.items()}


def _entry(token: str) -> WaitlistEntry:
    return view.find_entry(db.session(), token, now=now_utc())


def _show(entry: WaitlistEntry, token: str, *, seen: str = "", problem: str = "", status: int = 200) -> Response:
    values = _values(entry, token)
    if seen and wants_partial() and seen == values["page"].version:
        return make_response("", 204)
    template = "waitlist/_entry.html" if wants_partial() else "waitlist/show.html"
    return make_response(render_template(template, problem=problem, **values), status)


def _values(entry: WaitlistEntry, token: str) -> dict[str, Any]:
    """What all pages of an entry expect."""
    page = view.show_entry(db.session(), entry, zone=_zone(entry), locale=dates.present_locale(), now=now_utc())
    return {
        "token": token,
        "page": page,
        "holds_for": dates.duration(entry.service.offer_minutes),
        "service_url": url_for("booking.service", slug=page.service_slug, day=page.on) if page.service_slug else "",
        "again_url": _again_url(entry, page),
    }


def _again_url(entry: WaitlistEntry, page: view.EntryPage) -> str:
    """The form to wait for the same once more; empty where that makes no sense."""
    if not page.service_slug or not entry.service.has_waitlist or page.state == "over":
        return ""
    return url_for("waitlist.join_form", slug=page.service_slug) + page.again


def _zone(entry: WaitlistEntry) -> str:
    """The zone that was asked for, else the one that the reader joined in, else the business's."""
    wishes = (request.args.get("zone", ""), entry.customer_zone)
    return next((zone for zone in wishes if zone and dates.is_zone(zone)), current_site().zone)
