"""The page of one appointment that people join: who comes, how many seats it has, moving it and calling it off. Each change has a page before
it that says who will be told; nothing changes until its button is pressed. Staff see and change what is theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from babel.dates import get_day_names
from flask import abort, flash, render_template, request, url_for
from flask_login import current_user

from portal import doorbell
from portal.admin.bookings import queries
from portal.admin.dates import queries as date_queries
from portal.admin.dates.forms import Reader, read_start, time_of_day
from portal.admin.dates.queries import DateRow
from portal.admin.frame import bp, moments
from portal.admin.waitlist import queries as waitlist_queries
from portal.booking.fixed import dates
from portal.booking.fixed.series_changes import call_off_later, change_later, later_of
from portal.booking.models import Appointment, Series
from portal.business.fields.bounds import MOST_SEATS
from portal.clock import now_utc
from portal.errors import Invalid, Refused, Stale
from portal.extensions import db
from portal.waitlist import operations as waitlist
from portal.web.hypermedia import see_other


@bp.get("/appointments/<int:appointment_id>")
def appointment(appointment_id: int) -> Any:
    at, session = moments(), db.session()
    row = _find(appointment_id)
    return render_template(
        "admin/appointment.html",
        at=at,
        row=row,
        bookings=date_queries.bookings_in(session, row.appointment),
        queue=waitlist_queries.queue_of_appointment(session, current_user, row.appointment, at),
        lines=queries.ledger_of(session, row.appointment.id),
        has_later=date_queries.is_theirs(session, current_user, row.appointment, now=at.now),
        can_change=row.appointment.is_active and row.appointment.start_at > at.now,
        most=MOST_SEATS,
    )


@bp.get("/appointments/<int:appointment_id>/capacity")
def capacity_form(appointment_id: int) -> Any:
    """The question whether to change the seats, with what the waitlist would do."""
    return _capacity_page(_find(appointment_id), request.args)


@bp.post("/appointments/<int:appointment_id>/capacity")
def change_capacity(appointment_id: int) -> Any:
    row = _find(appointment_id)
    later = _wants_later(row, request.form)

    def act() -> str:
        seats = _seats(request.form)
        if later:
            change_later(appointment_id, capacity=seats, now=now_utc())
        else:
            dates.change_capacity(appointment_id, seats, now=now_utc())
        return f"It has {seats} seats now." if not later else f"It and all later ones have {seats} seats now."

    return _act(appointment_id, act, lambda row, problem: _capacity_page(row, request.form, problem=problem))


@bp.get("/appointments/<int:appointment_id>/move")
def move_appointment_form(appointment_id: int) -> Any:
    return _move_page(_find(appointment_id), request.args)


@bp.post("/appointments/<int:appointment_id>/move")
def move_appointment(appointment_id: int) -> Any:
    row = _find(appointment_id)
    later = _wants_later(row, request.form)

    def act() -> str:
        form = Reader(request.form)
        if later:
            weekday, starts = form.number("weekday", least=0, most=6), form.time("time")
            form.finish()
            change_later(appointment_id, weekday=weekday, starts=starts, now=now_utc())
            return "This date and all later ones are moved, and everybody in them is told."
        dates.move_appointment(appointment_id, read_start(form, zone=moments().zone), by="staff", now=now_utc())
        return "It is moved, and everybody in it is told."

    return _act(appointment_id, act, lambda row, problem: _move_page(row, request.form, problem=problem))


@bp.get("/appointments/<int:appointment_id>/call-off")
def call_off_form(appointment_id: int) -> Any:
    return _call_off_page(_find(appointment_id), later="later" in request.args)


@bp.post("/appointments/<int:appointment_id>/call-off")
def call_off(appointment_id: int) -> Any:
    row = _find(appointment_id)
    later = _wants_later(row, request.form)

    def act() -> str:
        (call_off_later if later else dates.call_off)(appointment_id, now=now_utc())
        return "It is called off, and everybody in it is told."

    return _act(appointment_id, act, lambda row, problem: _call_off_page(row, later=later, problem=problem))


def _act(appointment_id: int, act: Callable[[], str], again: Callable[[DateRow, str], str]) -> Any:
    """Do it, or show the same page again with what stands against it."""
    try:
        flash(act(), "ok")
    except (Invalid, Refused, Stale) as error:
        db.session.rollback()
        problem = " ".join(error.fields.values()) if isinstance(error, Invalid) and error.fields else str(error)
        return again(_find(appointment_id), problem), error.http_status
    doorbell.ring()
    return see_other(url_for("admin.appointment", appointment_id=appointment_id))


def _capacity_page(row: DateRow, asked: Any, *, problem: str = "") -> str:
    later = _wants_later(row, asked)
    try:
        seats: int | None = _seats(asked)
    except Invalid as error:
        seats, problem = None, problem or " ".join(error.fields.values())
    return render_template(
        "admin/appointment_capacity.html",
        at=moments(),
        row=row,
        seats=seats,
        later=later,
        dates=len(_affected(row, later=later)),
        offers=_foreseen(row.appointment, seats) if seats is not None else [],
        problem=problem,
        most=MOST_SEATS,
    )


def _move_page(row: DateRow, asked: Any, *, problem: str = "") -> str:
    """First a form for the new time, then, once it is given, the question."""
    at, later = moments(), _wants_later(row, asked)
    local = at.local(row.appointment.start_at)
    typed = {"day": f"{local:%Y-%m-%d}", "time": f"{local:%H:%M}", "weekday": str(local.weekday())}
    series = db.session.get(Series, row.appointment.series_id) if later else None
    if series is not None:
        typed |= {"weekday": str(series.weekday), "time": time_of_day(series.starts)}
    typed |= {name: asked[name] for name in typed if asked.get(name)}
    errors: dict[str, str] = {}
    start_at = None
    if "time" in asked:
        form = Reader(asked)
        try:
            if later:
                form.number("weekday", least=0, most=6)
                form.time("time")
                form.finish()
            else:
                start_at = read_start(form, zone=at.zone)
        except Invalid as error:
            errors = error.fields
    return render_template(
        "admin/appointment_move.html",
        at=at,
        row=row,
        later=later,
        typed=typed,
        errors=errors,
        is_asked="time" in asked and not errors,
        start_at=start_at,
        end_at=start_at + (row.appointment.end_at - row.appointment.start_at) if start_at else None,
        told=date_queries.who_is_told(db.session(), _affected(row, later=later)),
        weekdays=list(enumerate(get_day_names("wide", locale=at.locale)[day] for day in range(7))),
        problem=problem,
    )


def _call_off_page(row: DateRow, *, later: bool, problem: str = "") -> str:
    if later:
        _wants_later(row, {"later": "1"})
    told = date_queries.who_is_told(db.session(), _affected(row, later=later))
    values = {"row": row, "later": later, "told": told, "problem": problem, "at": moments()}
    return render_template("admin/appointment_call_off.html", **values)


def _affected(row: DateRow, *, later: bool) -> Sequence[Appointment]:
    return later_of(db.session(), row.appointment, now=now_utc()) if later else [row.appointment]


def _foreseen(appointment: Appointment, seats: int) -> list[Any]:
    """What the waitlist would offer with so many seats; nothing where there is none."""
    service = appointment.service
    more = seats - appointment.capacity
    if not service.has_waitlist or service.is_waitlist_paused or more <= 0:
        return []
    return waitlist.dry_run(service.slug, appointment_id=appointment.id, more_seats=more, now=now_utc())


def _seats(asked: Any) -> int:
    form = Reader(asked)
    seats = form.number("capacity", least=1, most=MOST_SEATS)
    form.finish()
    assert seats is not None
    return seats


def _wants_later(row: DateRow, asked: Any) -> bool:
    """Whether "this and later" is asked for, and the user's business; a page that is not is not found."""
    if not asked.get("later"):
        return False
    if not date_queries.is_theirs(db.session(), current_user, row.appointment, now=now_utc()):
        abort(404)
    return True


def _find(appointment_id: int) -> DateRow:
    return date_queries.find_date(db.session(), current_user, appointment_id)
