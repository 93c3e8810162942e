"""The public pages: services, free times, the form, the booking. All of it works without scripts; htmx swaps `#slots`, `#summary`, `#form`.

GET never changes anything. Only the pages that repeat nothing but dates and names from fixed lists are compressed: where a page holds a
CSRF field and whatever somebody typed, its size would give the field away (BREACH).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flask import Blueprint, Response, current_app, flash, render_template, request, url_for
from flask_limiter import RequestLimit
from sqlalchemy.orm import Session

from portal import doorbell
from portal.booking import operations
from portal.booking.rules import Customer
from portal.booking.strangers import address, budgets, quietly
from portal.booking.strangers.by_mail import CONFIRM_WITHIN
from portal.booking.time import queries
from portal.clock import now_utc
from portal.errors import BudgetSpent, HoldExpired, Invalid, LimitReached, NotFound, Refused, SlotTaken
from portal.extensions import compress, db, limiter
from portal.language import dates
from portal.language.say import say
from portal.public.booking import picker, responses, view
from portal.public.booking.forms import BookingForm, why_doubtful
from portal.public.booking.picker import Search
from portal.public.booking.summary import place_words
from portal.web import after_answer, visitors
from portal.web.hypermedia import see_other, wants_partial
from portal.web.instants import read_instant
from portal.web.reader_language import page_tag
from portal.web.site import current_site
from portal.web.visitors import Kept

bp = Blueprint("booking", __name__)

HOLDS = "30 per minute; 200 per hour"
BOOKINGS = "10 per minute; 60 per hour"
CORRECTIONS = "3 per minute; 10 per hour"
"""Each one writes to an address that nobody has proven to be theirs."""
MANY_SERVICES = 12
"""A longer list does without each service's first free time, which is a search of its own."""


@bp.get("/")
@compress.compressed()
def services() -> str:
    session: Session = db.session()
    rows = queries.list_services(session)
    first = {row.id: _first_time(row.slug) for row in rows} if len(rows) <= MANY_SERVICES else {}
    return render_template(
        "booking/services.html",
        zone=dates.zone_in_words(current_site().zone, now_utc()),
        services=rows,
        first=first,
        to_wait_for={row.id for row in rows if first.get(row.id) == "" and picker.first_full(_search(row.slug, {}))},
        duration=dates.duration,
        place_words=place_words,
    )


@bp.get("/<slug>")
@compress.compressed()
def service(slug: str) -> Response:
    search = _search(slug, request.args)
    response = responses.page(search)
    visitors.remember_zone(response, search.service)
    after_answer.pull_when_stale(response, search.service.id, now=search.now)
    return response


@bp.get("/<slug>/slots")
@compress.compressed()
def slots(slug: str) -> Response:
    """The times of one day. An open page asks again and again, with the version it has `seen`."""
    search = _search(slug, request.args)
    return responses.slots(search, seen=request.args.get("seen", "")) if wants_partial() else responses.page(search)


def _no_hold_just_now(limit: RequestLimit) -> Response:
    """What a budget's end is answered with: the times, or the form with all that was typed."""
    error, form = _too_quick(limit), BookingForm.read(request.form)
    search, start_at = _search((request.view_args or {})["slug"], request.form), read_instant(form.start_at)
    if form.key or start_at is None:
        return responses.lost(form, search, error)
    return responses.too_many(search, start_at, error)


def _no_booking_just_now(limit: RequestLimit) -> Response:
    search, error = _search((request.view_args or {})["slug"], request.form), _too_quick(limit)
    response = _show_form(BookingForm.read(request.form), search, error=error)
    if not wants_partial():  # htmx puts a 409 into the page
        response.status_code = error.http_status
    return response


def _too_quick(limit: RequestLimit) -> BudgetSpent:
    """So many in a minute, or in an hour."""
    if limit.limit.get_expiry() > 60:
        return BudgetSpent(say(budgets.IN_AN_HOUR))
    return BudgetSpent(say("Too many tries in a short time. Please wait a minute and try again."))


@bp.post("/<slug>/holds")
@limiter.limit(HOLDS, key_func=visitors.address, on_breach=_no_hold_just_now)
def place_hold(slug: str) -> Response:
    """Keep a time. What is typed already (after an earlier hold was lost) comes along, and the answer is the new form itself."""
    form = BookingForm.read(request.form)
    search = _search(slug, request.form)
    start_at = read_instant(form.start_at)
    if start_at is None:
        raise Invalid(
            say("Please go back and choose one of the times on the page."), fields={"start_at": say("Choose a time.")}
        )
    previous = visitors.kept(slug)
    try:
        hold = operations.place_hold(
            service_slug=slug,
            start_at=start_at,
            now=search.now,
            resource_slug=form.resource or None,
            party_size=search.choice.people,
            previous_hold=previous.token if previous else None,
            visitor=visitors.budget(),
        )
    except SlotTaken as error:
        return responses.lost(form, search, error) if form.key else responses.taken(search, start_at, error)
    except BudgetSpent as error:
        return responses.lost(form, search, error) if form.key else responses.too_many(search, start_at, error)
    for token in visitors.keep(slug, Kept(hold.token, form.start_at, form.resource, search.choice.people)):
        operations.release_hold(token)
    search = search.opened_at(start_at)
    address = responses.hold_url(slug, hold.token, search)
    if not form.is_typed:
        return see_other(address)
    response = _show_form(replace(form, hold=hold.token), search)
    response.headers["HX-Push-Url"] = address
    return response


@bp.get("/<slug>/holds/<token>")
def hold_form(slug: str, token: str) -> Response:
    return _show_form(_remembered(slug, token), _search(slug, request.args))


@bp.post("/<slug>/holds/<token>/extension")
@limiter.limit(HOLDS, key_func=visitors.address)
def extend_hold(slug: str, token: str) -> Response:
    search = _search(slug, request.form)
    try:
        operations.extend_hold(token, now=search.now)
    except (NotFound, HoldExpired) as error:
        return responses.lost(_remembered(slug, token), search, error)
    if wants_partial():
        return _show_form(_remembered(slug, token), search)
    return see_other(responses.hold_url(slug, token, search))


@bp.post("/<slug>/holds/<token>/release")
def release_hold(slug: str, token: str) -> Response:
    search = _search(slug, request.form)
    operations.release_hold(token)
    kept = visitors.kept(slug)
    if kept and kept.token == token:
        search = search.opened_at(read_instant(kept.start_at))
        visitors.forget(slug)
    return see_other(url_for("booking.service", slug=slug) + search.choice.query())


@bp.post("/<slug>/bookings")
@limiter.limit(BOOKINGS, key_func=visitors.address, on_breach=_no_booking_just_now)
def confirm(slug: str) -> Response:
    form = BookingForm.read(request.form)
    search = _search(slug, request.form)
    try:
        doubt = why_doubtful(form, secret=current_app.config["SECRET_KEY"])
        if doubt:
            raise Invalid(doubt)
        customer = form.customer(zone=search.choice.zone, language=page_tag())
        if search.service.per_customer is not None:
            return _confirm_quietly(form, customer, search)
        outcome = operations.confirm_hold(
            form.hold,
            customer,
            idempotency_key=form.key,
            now=search.now,
            answers=form.answers_to(search.service.questions),
            visitor=visitors.budget(),
        )
    except (Invalid, LimitReached, BudgetSpent) as error:
        return _show_form(form, search, error=error)
    except (SlotTaken, HoldExpired, NotFound) as error:
        return responses.lost(form, search, error)
    visitors.forget(slug)
    doorbell.ring()
    if outcome.status == "held":  # its link is for the mail alone, not for this browser
        visitors.remember_asked(form.hold, customer.email.strip(), outcome.public_id)
        return see_other(url_for("booking.asked", slug=slug))
    visitors.remember_booking(form.hold, outcome.manage_token)
    return see_other(url_for("manage.show", token=outcome.manage_token))


@bp.post("/<slug>/holds/<token>/address")
@limiter.limit(CORRECTIONS, key_func=visitors.address)
def correct_asked(slug: str, token: str) -> Response:
    """Who has just booked here sees that the mail to confirm it went to a wrong address."""
    back = see_other(responses.hold_url(slug, token, _search(slug, request.form)))
    public_id = (visitors.asked(token) or ("", ""))[1]
    booking = queries.booking_to_confirm(db.session(), public_id) if public_id else None
    if booking is None or booking.status != "held":
        return back
    typed = request.form.get("email", "")
    try:
        address.correct_address(booking.id, typed, now=now_utc(), visitor=visitors.budget())
    except Invalid as error:
        flash(error.fields.get("email", str(error)), "bad")
        return back
    except Refused as error:
        flash(str(error), "bad")
        return back
    doorbell.ring()
    flash(say("Thank you. We write to the new address, and the link in the former mail leads nowhere any more."), "ok")
    return back


@bp.get("/<slug>/asked")
def asked(slug: str) -> str:
    """A booking waits for its customer to confirm it by mail. The page is the same for everybody, and names nobody."""
    minutes = int(CONFIRM_WITHIN.total_seconds() // 60)
    return render_template("booking/asked.html", service=_search(slug, {}).service, within=dates.duration(minutes))


def _search(slug: str, asked: Mapping[str, str]) -> Search:
    session: Session = db.session()
    service = queries.find_service(session, slug)
    return picker.open_search(
        session, service, asked, site=current_site(), now=now_utc(), usual_zone=visitors.usual_zone(service)
    )


def _show_form(form: BookingForm, search: Search, *, error: Invalid | Refused | None = None) -> Response:
    """The form of a held time, or what to do now that it is not held any more."""
    try:
        booking = queries.booking_of_hold(search.session, form.hold, now=search.now)
    except (NotFound, HoldExpired) as lost:
        return responses.lost(form, search, lost)
    return responses.form(form, booking, search, error=error)


def _remembered(slug: str, token: str) -> BookingForm:
    """An empty form for a hold, with what this visitor's session knows of it."""
    kept = visitors.kept(slug)
    if kept is None or kept.token != token:
        return BookingForm(hold=token)
    return BookingForm(hold=token, held_at=kept.start_at, resource=kept.resource, people=str(kept.people))


def _confirm_quietly(form: BookingForm, customer: Customer, search: Search) -> Response:
    """Whether or not the limit of this address is reached, and whatever that means for the time: the answer is the same."""
    slug = search.service.slug
    quietly.confirm_quietly(
        form.hold,
        customer,
        idempotency_key=form.key,
        now=search.now,
        answers=form.answers_to(search.service.questions),
        visitor=visitors.budget(),
    )
    visitors.forget(slug)
    visitors.remember_asked(form.hold, customer.email.strip())
    doorbell.ring()
    flash(say("We have written to %(email)s.", email=customer.email.strip()), "ok")
    return see_other(url_for("booking.answered", slug=slug))


@bp.get("/<slug>/answered")
def answered(slug: str) -> str:
    """The same for everybody: what came of it stands in the mail."""
    return render_template("booking/answered.html", service=_search(slug, request.args).service)


def _first_time(slug: str) -> str:
    """ "Tomorrow 10:30": when the service is free for the first time; with its zone where that is not the business's."""
    search = _search(slug, {})
    found = queries.soonest_slots(search.session, search.service, now=search.now, limit=1)
    times = view.show_times(found, search.choice, search.locale, with_date=True, today=search.today)
    if not times:
        return ""
    zone = search.choice.zone
    words = "" if zone == search.choice.business_zone else f", {dates.zone_in_words(zone, found[0].interval.start)}"
    return f"{times[0].day} {times[0].label}{words}"
