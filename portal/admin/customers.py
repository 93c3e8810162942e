"""The customers' pages of staff, for owners and admins: who booked, everything about one of them, export, erasing, and how long data are kept.

A customer is named in addresses by the public id of one of their bookings or entries, never by their e-mail address: addresses are kept in
histories and logs. What cannot be undone asks for the password again.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Response, flash, make_response, render_template, request, url_for
from flask_login import current_user

from portal import doorbell
from portal.accounts import guesses
from portal.accounts.guesses import TooManyTries
from portal.admin.bookings import queries
from portal.admin.frame import bp, moments
from portal.booking.models import WaitlistEntry
from portal.business.fields import typed
from portal.business.fields.base import Kind, declared
from portal.business.fields.business import BusinessFields
from portal.clock import now_utc
from portal.customers import queries as stored
from portal.errors import Invalid, NotYet, Stale
from portal.extensions import db, limiter
from portal.language.dates import wish_in_words
from portal.privacy import erase, export, retention
from portal.privacy.mails import mails_of
from portal.waitlist.queries import wished_start
from portal.web import visitors
from portal.web.hypermedia import see_other

MOST_ROWS = 100
MOST_MAILS = 20
KEPT_FOR = "Customers' data is kept for {days} days after the appointment."


@bp.get("/customers")
def customers() -> Any:
    return _list_page()


@bp.get("/customers/<key>")
def customer(key: str) -> Any:
    email = stored.email_of(db.session(), key)
    session, at = db.session(), moments()
    mails = mails_of(session, email, limit=MOST_MAILS + 1)
    page = {
        "key": key,
        "email": email,
        "at": at,
        "counts": stored.counts_of(session, email, now=at.now),
        "bookings": queries.rows_of(session, stored.bookings_of(session, email, limit=MOST_ROWS)),
        "entries": stored.entries_of(session, email, limit=MOST_ROWS),
        "wish": _wish_in_words,
        "mails": mails[:MOST_MAILS],
        "more_mails": len(mails) > MOST_MAILS,
    }
    return render_template("admin/customer.html", **page)


@bp.get("/customers/<key>/export")
def export_customer(key: str) -> Response:
    """Everything that is stored about the customer, as a file."""
    email = stored.email_of(db.session(), key)
    found = export.export_customer(db.session(), email, now=now_utc())
    response = make_response(json.dumps(found, ensure_ascii=False, indent=2))
    response.mimetype = "application/json"
    response.headers["Content-Disposition"] = 'attachment; filename="customer-data.json"'
    return response


@bp.get("/customers/<key>/erasure")
def confirm_erasure(key: str) -> Any:
    return _erasure_page(key)


@bp.post("/customers/<key>/erasure")
@limiter.limit("10 per minute", key_func=visitors.address)
def erase_customer(key: str) -> Any:
    email = stored.email_of(db.session(), key)
    try:
        _prove()
    except Invalid as error:
        return _erasure_page(key, errors=error.fields), 422
    except TooManyTries as error:
        return _erasure_page(key, errors={"password": str(error)}), error.http_status
    is_told, now = request.form.get("told") == "yes", now_utc()
    erasure_id = erase.begin(email, is_told=is_told, user_id=current_user.id, now=now)
    try:
        erase.carry_on(erasure_id, now=now)
        flash("The customer's data is erased. Calendars are being rewritten.", "ok")
    except NotYet:
        flash(
            "It is being erased: first the mails about it have to leave. That takes a minute, and goes on by itself.",
            "ok",
        )
    doorbell.ring()
    return see_other(url_for("admin.customers"))


@bp.post("/customers/retention")
@limiter.limit("10 per minute", key_func=visitors.address)
def set_retention() -> Any:
    """In two steps when something would be forgotten for it: first how much, then, with the password, the setting itself."""
    text = request.form.get("days", "").strip()
    try:
        days = typed.read_one(_retention(), text)
        is_shorter = days is not None and days != retention.retention_days()
        if is_shorter and "password" not in request.form:
            return _retention_page(days or 0, errors={})
        if is_shorter:
            return _shorten(days or 0)
        retention.set_retention(days)
    except Invalid as error:
        return _list_page(errors={"days": str(error)}, days=text), 422
    except Stale as error:
        return _list_page(errors={"days": str(error)}, days=text), 409
    flash("Customers' data is kept for good." if days is None else KEPT_FOR.format(days=days), "ok")
    return see_other(url_for("admin.customers"))


def _shorten(days: int) -> Any:
    try:
        _prove()
    except Invalid as error:
        return _retention_page(days, errors=error.fields), 422
    except TooManyTries as error:
        return _retention_page(days, errors={"password": str(error)}), error.http_status
    retention.set_retention(days)
    flash(KEPT_FOR.format(days=days), "ok")
    return see_other(url_for("admin.customers"))


def _wish_in_words(entry: WaitlistEntry) -> str:
    at, start_at = moments(), wished_start(db.session(), entry)
    return at.moment(start_at) if start_at else wish_in_words(entry.wish, entry.wish_on, at.locale)


def _list_page(*, errors: dict[str, str] | None = None, days: str | None = None) -> str:
    search = request.args.get("search", "").replace("\x00", "").strip()[:100]
    text = request.args.get("page", "1")
    number = max(int(text), 1) if text.isascii() and text.isdecimal() and len(text) < 7 else 1
    found, total = stored.find_customers(db.session(), search=search, page=number)
    kept = retention.retention_days()
    return render_template(
        "admin/customers.html",
        found=found,
        total=total,
        number=number,
        has_next=number * stored.PAGE_SIZE < total,
        search=search,
        days=days if days is not None else (kept or ""),
        retention=_retention(),
        errors=errors or {},
        at=moments(),
    )


def _erasure_page(key: str, *, errors: dict[str, str] | None = None) -> str:
    email = stored.email_of(db.session(), key)
    found = erase.extent(db.session(), email, now=now_utc())
    told = request.form.get("told", "yes")
    return render_template(
        "admin/customer_erasure.html", key=key, email=email, found=found, told=told, errors=errors or {}
    )


def _retention_page(days: int, *, errors: dict[str, str]) -> str:
    bookings, entries = retention.would_forget(days, now=now_utc())
    return render_template(
        "admin/customers_retention.html", days=days, bookings=bookings, entries=entries, errors=errors
    )


def _prove() -> None:
    """Raises Invalid (field `password`) and TooManyTries, unless the password of whoever is signed in was typed."""
    guesses.prove(current_user.id, request.form.get("password", ""), client=visitors.address(), now=now_utc())


def _retention() -> Kind:
    return declared(BusinessFields)["retention_days"]
