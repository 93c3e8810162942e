"""Staff pages: home, bookings, questions. The list on each page fetches itself anew (`_….html` is the page's own partial)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import flash, render_template, request, url_for
from flask_login import current_user

from portal import doorbell
from portal.admin.bookings import queries, unconfirmed
from portal.admin.frame import bp, moments
from portal.booking import operations
from portal.booking.questions import answer_lines
from portal.booking.time.outside_events import Over
from portal.clock import now_utc
from portal.errors import NotFound, OutsideEvent, Refused
from portal.extensions import db
from portal.sync.outside.approvals import approve
from portal.web import after_answer
from portal.web.hypermedia import see_other, wants_partial


@bp.get("/bookings")
def bookings() -> Any:
    shown = request.args.get("show", "upcoming")
    shown = shown if shown in queries.SHOWN else "upcoming"
    search = request.args.get("search", "").replace("\x00", "").strip()[:100]
    number = _page_number()
    at = moments()
    found = queries.list_bookings(db.session(), current_user, shown=shown, search=search, page=number, now=at.now)
    page = {"at": at, "found": found, "shown": shown, "search": search}
    return render_template("admin/_bookings.html" if wants_partial() else "admin/bookings.html", **page)


@bp.get("/bookings/<int:booking_id>")
def booking(booking_id: int) -> Any:
    return _booking_page(booking_id)


@bp.get("/bookings/<int:booking_id>/cancellation")
def confirm_cancellation(booking_id: int) -> Any:
    row = queries.find_booking(db.session(), current_user, booking_id)
    return render_template("admin/cancellation.html", row=row, at=moments())


@bp.post("/bookings/<int:booking_id>/cancellation")
def cancel_booking(booking_id: int) -> Any:
    return _act(booking_id, "cancel", "The booking is cancelled, and the customer is told.")


@bp.post("/bookings/<int:booking_id>/approval")
def approve_booking(booking_id: int) -> Any:
    return _act(booking_id, "approve", "The booking is confirmed, and the customer is told.")


@bp.post("/bookings/<int:booking_id>/refusal")
def refuse_booking(booking_id: int) -> Any:
    return _act(booking_id, "refuse", "The request is refused, and the customer is told.")


@bp.post("/bookings/<int:booking_id>/attendance")
def mark_attendance(booking_id: int) -> Any:
    """The customer came, or did not; the answer leads back to the list from which it was marked."""
    row = queries.find_booking(db.session(), current_user, booking_id)
    status = request.form.get("status", "")
    if status not in ("completed", "no_show"):
        raise NotFound("There is no such answer. Please use the buttons.")
    try:
        operations.mark_attendance(row.booking.id, status, now=now_utc())  # type: ignore[arg-type]
    except Refused as error:
        flash(str(error), "bad")
    shown = request.form.get("show", "")[:40]
    back = {"home": url_for("admin.home"), "bookings": url_for("admin.bookings", show=shown or None)}
    if shown.isascii() and shown.isdecimal() and len(shown) < 10:
        back["appointment"] = url_for("admin.appointment", appointment_id=int(shown))
    if current_user.is_admin and shown:
        back["customer"] = url_for("admin.customer", key=shown)
    return see_other(back.get(request.form.get("from", ""), url_for("admin.booking", booking_id=booking_id)))


_OVER_EVENT = "This request is not confirmed: an event in the calendar stands over its time. Refuse it, move one of the two, or confirm it anyway."


def _act(booking_id: int, action: str, said: str) -> Any:
    """Do one thing to a booking of the user's scope. What the rules refuse is told on the booking's page, which shows how it stands by now."""
    row = queries.find_booking(db.session(), current_user, booking_id)
    now, sequence = now_utc(), request.form.get("sequence", type=int)
    try:
        if row.booking.status == "held" and action != "cancel":
            return unconfirmed.settle(booking_id, says_yes=action == "approve")
        if action == "cancel":
            operations.cancel_booking(row.booking.id, by="staff", now=now)
        elif action == "approve":
            approve(row.booking.id, now=now, sequence=sequence, over="over" in request.form, by=current_user.name)
        else:
            operations.refuse_booking(row.booking.id, now=now, sequence=sequence)
    except OutsideEvent as error:
        return _booking_page(booking_id, problem=_OVER_EVENT, over=error.events), 409
    except Refused as error:
        return _booking_page(booking_id, problem=str(error)), 409
    flash(said, "ok")
    if action == "approve":
        doorbell.ring()
    else:
        after_answer.seats_freed(booking_id, cause="cancelled" if action == "cancel" else "refused")
    return see_other(url_for("admin.booking", booking_id=booking_id))


def _booking_page(booking_id: int, *, problem: str = "", over: Sequence[Over] = ()) -> str:
    """`over`: what a last look has just found over a request, besides what is known."""
    row = queries.find_booking(db.session(), current_user, booking_id)
    return render_template(
        "admin/booking.html",
        row=row,
        over=over or row.over,
        meeting=queries.meeting_of_booking(db.session(), row.booking),
        lines=queries.ledger_of(db.session(), row.appointment.id),
        answers=answer_lines(row.service, row.booking.answers),
        problem=problem,
        at=moments(),
    )


def _page_number() -> int:
    text = request.args.get("page", "1")
    return min(max(int(text), 1), 100_000) if text.isascii() and text.isdecimal() and len(text) < 7 else 1
