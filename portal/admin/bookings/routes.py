"""Staff pages: home, bookings, questions. The list on each page fetches itself anew (`_….html` is the page's own partial)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from flask import current_app, flash, render_template, request, url_for
from flask_login import current_user
from sqlalchemy.orm import Session

from portal.admin.bookings import queries, unconfirmed, unknown
from portal.admin.frame import bp, moments
from portal.admin.home import agenda
from portal.admin.home.warnings import Warning, find_warnings
from portal.admin.questions import queries as decisions
from portal.booking import operations
from portal.booking.questions import answer_lines
from portal.booking.strangers.budgets import asked_lately
from portal.booking.time import queries as booking_queries
from portal.booking.time.outside_events import Over
from portal.clock import now_utc
from portal.errors import NotFound, OutsideEvent, Refused
from portal.extensions import db
from portal.notifications import failures
from portal.sync.account import disconnecting
from portal.sync.outside.approvals import approve
from portal.sync.outside.questions import ANSWERS
from portal.sync.outside.questions import answer as give_answer
from portal.sync.outside.unknown import count_open as count_unknown
from portal.sync.state import overview
from portal.upkeep.settings_checks import warnings as doubts
from portal.upkeep.vitals import read_vitals
from portal.web import after_answer
from portal.web.hypermedia import see_other, wants_partial
from portal.worker import clock_watch

COMING_DAYS = 7
COMING_SHOWN = 12


@bp.get("")
def home() -> Any:
    at = moments()
    end_of_today = at.end_of_today()
    calendars = overview.list_calendars(db.session(), resource_ids=queries.resource_ids_of(current_user))
    coming = agenda.coming(
        db.session(), current_user, end_of_today, end_of_today + timedelta(days=COMING_DAYS), limit=200
    )
    begun = agenda.begun(db.session(), current_user, at.start_of_today(), at.now, limit=50)
    marked = {each.row.appointment.id for each in begun}
    to_come = agenda.coming(db.session(), current_user, at.now, end_of_today, limit=50)
    page = {
        "at": at,
        "warnings": _warnings(calendars),
        "begun": begun,
        "today": [each for each in to_come if each.row.appointment.id not in marked],
        "coming": [
            (day, list(entries))
            for day, entries in groupby(coming[:COMING_SHOWN], key=lambda each: at.day(each.row.appointment.start_at))
        ],
        "more": max(0, len(coming) - COMING_SHOWN),
        "has_calendars": bool(calendars),
    }
    return render_template("admin/_home.html" if wants_partial() else "admin/home.html", **page)


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


@bp.get("/questions")
def questions() -> Any:
    page = {
        "at": moments(),
        "asked": decisions.open_questions(db.session(), current_user),
        "clashes": decisions.open_conflicts(db.session(), current_user),
        "unknown": unknown.list_unknown(db.session(), current_user),
    }
    return render_template("admin/_questions.html" if wants_partial() else "admin/questions.html", **page)


@bp.post("/questions/<int:question_id>/answer")
def answer(question_id: int) -> Any:
    question = decisions.find_question(db.session(), current_user, question_id)
    given = request.form.get("answer", "")
    if given not in ANSWERS[question.kind]:
        raise NotFound("There is no such answer. Please use the buttons.")
    try:
        give_answer(question_id, given, user_id=current_user.id, now=now_utc(), over="over" in request.form)
        flash(_ANSWERED[given], "ok")
    except Refused as error:
        flash(str(error), "bad")
    after_answer.ring()
    return see_other(url_for("admin.questions"))


_ANSWERED = {
    "cancel": "It is cancelled, and everybody who had booked is told.",
    "put back": "It stands; its event is being put back into the calendar.",
    "follow": "It is moved to the event's time, and everybody who has booked is told.",
}


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
        after_answer.ring()
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


def _warnings(calendars: list[overview.CalendarFacts]) -> list[Warning]:
    session, now = db.session(), now_utc()
    vitals = read_vitals(session, now=now)
    return find_warnings(
        calendars,
        problems=vitals.problems,
        not_adopted=vitals.not_adopted,
        may_adopt=current_user.is_admin,
        waiting_for_us=decisions.count_open(session, current_user),
        unknown=count_unknown(session, queries.resource_ids_of(current_user)),
        requests=decisions.count_requests(session, current_user, now=now),
        hanging=disconnecting.hanging(session, resource_ids=queries.resource_ids_of(current_user), now=now),
        unreached=failures.unreached(session, resource_ids=queries.resource_ids_of(current_user), now=now),
        mails_wait="" if vitals.not_adopted else failures.why_mails_wait(session, now=now),
        settings=doubts(current_app.extensions["settings"], os.environ) if current_user.is_admin else (),
        given_up=failures.given_up(session, resource_ids=queries.resource_ids_of(current_user), now=now),
        sees_all_mails=current_user.is_admin,
        clocks=clock_watch.doubts(session),
        asked=_asked(session, now),
    )


def _asked(session: Session, now: datetime) -> list[tuple[str, int]]:
    services = booking_queries.list_services(session) if current_user.is_admin else []
    return [(service.name, number) for service, number in asked_lately(session, services, now=now)]


def _page_number() -> int:
    text = request.args.get("page", "1")
    return min(max(int(text), 1), 100_000) if text.isascii() and text.isdecimal() and len(text) < 7 else 1
