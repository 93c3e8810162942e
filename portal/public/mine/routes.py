"""Customers' own page: a mailed code instead of an account, then all bookings and waitlist entries of that address.

What a page answers never depends on whether an address is known. The visit's token stands in the session cookie under a name of its own and is
new with every code, so one that was planted is worth nothing. No page holds a manage link: a button leads to it, through a check of whose it is.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, g, make_response, render_template, request, session, url_for

from portal import doorbell
from portal.booking.steps import manage_token
from portal.clock import now_utc
from portal.customers import codes
from portal.errors import Invalid, NotFound
from portal.extensions import db, limiter
from portal.language import dates
from portal.language.say import say
from portal.public.mine import view
from portal.waitlist.steps import entry_token
from portal.web import visitors
from portal.web.hypermedia import see_other
from portal.web.reader_language import page_tag
from portal.web.site import current_site

bp = Blueprint("mine", __name__, url_prefix="/mine")

VISIT = "customer_visit"
ASKED = "customer_code"
"""Where the session keeps the visit's token, and what code was asked for last: its name and the address as it was typed."""


@bp.get("")
def ask() -> Response:
    """Where the address is asked for; who is known already goes on."""
    if _address() is not None:
        return see_other(url_for("mine.bookings"))
    return _ask_page()


@bp.post("/code")
@limiter.limit("20 per minute", key_func=visitors.address)
def send_code() -> Response:
    typed = request.form.get("email", "")[:300]
    try:
        name = codes.ask_for_code(typed, client=visitors.network(), language=page_tag(), now=now_utc())
    except Invalid as error:
        return _ask_page(typed, errors=error.fields, status=422)
    except codes.TooManyCodes as error:
        return _ask_page(typed, problem=str(error), status=error.http_status)
    session[ASKED] = [name, typed.strip()[:254]]
    doorbell.ring()
    return see_other(url_for("mine.code_form"))


@bp.get("/code")
def code_form() -> Response:
    if ASKED not in session:
        return see_other(url_for("mine.ask"))
    return _code_page()


@bp.post("/session")
@limiter.limit("20 per minute", key_func=visitors.address)
def sign_in() -> Response:
    if ASKED not in session:
        return see_other(url_for("mine.ask"))
    try:
        token = codes.use_code(str(session[ASKED][0]), request.form.get("code", "")[:40], now=now_utc())
    except codes.CodeRefused as error:
        return _code_page(problem=str(error), status=error.http_status)
    if VISIT in session:
        codes.end_visit(session[VISIT])
    for name in (ASKED, "csrf_token"):  # whatever somebody planted before is worth nothing from here on
        session.pop(name, None)
    g.pop("csrf_token", None)
    session[VISIT] = token
    return see_other(url_for("mine.bookings"))


@bp.get("/bookings")
def bookings() -> Response:
    email = _address()
    if email is None:
        return _ask_again()
    site, asked = current_site(), request.args.get("zone", "")
    mine = view.of_customer(
        db.session(),
        email,
        zone=asked if dates.is_zone(asked) else "",
        business_zone=site.zone,
        locale=dates.present_locale(),
        now=now_utc(),
    )
    return make_response(render_template("customers/bookings.html", mine=mine, email=email, business_zone=site.zone))


@bp.post("/bookings/<public_id>")
def open_booking(public_id: str) -> Response:
    """To the booking's own page, if it is this customer's."""
    email = _address()
    if email is None:
        return _ask_again()
    booking = view.own_booking(db.session(), email, public_id, now=now_utc())
    try:
        return see_other(url_for("manage.show", token=manage_token(booking)))
    except Invalid:  # its key is lost, or it was made before there were links
        raise NotFound(say("This booking cannot be opened here. Please use the link in our mail, or ask us.")) from None


@bp.post("/entries/<public_id>")
def open_entry(public_id: str) -> Response:
    """To the waitlist entry's own page, if it is this customer's."""
    email = _address()
    if email is None:
        return _ask_again()
    entry = view.own_entry(db.session(), email, public_id)
    try:
        return see_other(f"/w/{entry_token(entry)}")
    except Invalid:
        raise NotFound(say("This entry cannot be opened here. Please use the link in our mail, or ask us.")) from None


@bp.post("/sign-out")
def sign_out() -> Response:
    codes.end_visit(str(session.pop(VISIT, "")))
    session.pop(ASKED, None)
    flash(say("You are signed out of your bookings on this device."), "ok")
    return see_other(url_for("mine.ask"))


def _address() -> str | None:
    """Whose visit this is; None when there is none (any more)."""
    token = session.get(VISIT)
    return codes.address_of_visit(token, now=now_utc()) if isinstance(token, str) else None


def _ask_again() -> Response:
    if session.pop(VISIT, None) is not None:
        flash(say("That was a while ago. Please have a new code sent."), "warn")
    return see_other(url_for("mine.ask"))


def _ask_page(
    typed: str = "", *, errors: dict[str, str] | None = None, problem: str = "", status: int = 200
) -> Response:
    page = render_template("customers/ask.html", typed=typed, errors=errors or {}, problem=problem)
    return make_response(page, status)


def _code_page(*, problem: str = "", status: int = 200) -> Response:
    values: dict[str, Any] = {
        "email": session[ASKED][1],
        "minutes": int(codes.LIVES.total_seconds() // 60),
    }
    return make_response(render_template("customers/code.html", problem=problem, **values), status)
