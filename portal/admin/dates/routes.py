"""The dates of a service whose times staff set: what stands, how full it is, the weekly series, and what could not be made. Staff see the dates
that are theirs; planning is for admins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from babel.dates import get_day_names
from flask import abort, flash, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select

from portal import doorbell
from portal.admin.dates import queries
from portal.admin.dates.forms import read_date, read_series, time_of_day
from portal.admin.frame import bp, moments
from portal.admin.moments import Moments
from portal.admin.waitlist import queries as waitlist_queries
from portal.booking.fixed import dates as fixed_dates
from portal.booking.fixed.series import plan_series
from portal.booking.models import Appointment, Series
from portal.booking.time.queries import main_resources
from portal.business.models import Service
from portal.clock import now_utc
from portal.errors import Invalid, Refused
from portal.extensions import db
from portal.web.hypermedia import see_other

FIELDS_OF_SERIES = {"resource": "who", "capacity": "seats"}
"""Names of fields in the form of a series, where those of the operation stand in the form of a date on the same page."""


@bp.get("/dates")
def all_dates() -> Any:
    """The services with fixed dates that are this user's, each with its next dates."""
    at, session = moments(), db.session()
    mine = select(Service).where(Service.is_active, Service.timing == "fixed", waitlist_queries.gives(current_user))
    services = session.scalars(mine.order_by(Service.position, Service.id)).all()
    coming = {row.id: queries.coming_dates(session, current_user, row, now=at.now) for row in services}
    return render_template("admin/all_dates.html", at=at, services=services, coming=coming)


@bp.get("/services/<slug>/dates")
def dates(slug: str) -> Any:
    return _page(_find(slug))


@bp.post("/services/<slug>/dates")
def add_date(slug: str) -> Any:
    service = _find(slug)

    def act() -> str:
        form = read_date(request.form, zone=moments().zone)
        fixed_dates.plan_date(
            service.slug, form.start_at, capacity=form.capacity, resource_slug=form.resource or None, now=now_utc()
        )
        return f"{moments().moment(form.start_at)} is planned."

    return _act(service, act, form="date")


@bp.post("/services/<slug>/series")
def add_series(slug: str) -> Any:
    service = _find(slug)

    def act() -> str:
        form = read_series(request.form)
        now = now_utc()
        series_id = plan_series(
            service.slug, weekday=form.weekday, starts=form.starts, first_on=form.first_on, last_on=form.last_on,
            capacity=form.capacity, resource_slug=form.resource or None, except_on=form.except_on, now=now,
        )  # fmt: skip
        made = db.session.scalars(select(Appointment.id).where(Appointment.series_id == series_id)).all()
        return f"The series is planned, and {len(made)} of its dates {'stands' if len(made) == 1 else 'stand'} already."

    return _act(service, act, form="series")


def _act(service: Service, act: Callable[[], str], *, form: str) -> Any:
    """Plan something, or say on the same page why not, with everything as it was typed."""
    slug = service.slug
    try:
        flash(act(), "ok")
    except Invalid as error:
        db.session.rollback()
        names = FIELDS_OF_SERIES if form == "series" else {"start_at": "day"}
        errors = {names.get(name, name): sentence for name, sentence in error.fields.items()}
        return _page(_find(slug), errors=errors, form=form), error.http_status
    except Refused as error:
        db.session.rollback()
        return _page(_find(slug), problem=str(error), form=form), error.http_status
    doorbell.ring()
    return see_other(url_for("admin.dates", slug=slug))


def _page(service: Service, *, errors: dict[str, str] | None = None, problem: str = "", form: str = "") -> str:
    at, session = moments(), db.session()
    people = [] if service.assignment == "all" else main_resources(session, service)
    return render_template(
        "admin/dates.html",
        at=at,
        service=service,
        rows=queries.coming_dates(session, current_user, service, now=at.now),
        unmade=queries.unmade_dates(session, service, now=at.now),
        series=[_in_words(row, at) for row in queries.coming_series(session, service, now=at.now)],
        people=[(row.slug, row.name) for row in people],
        weekdays=list(enumerate(get_day_names("wide", locale=at.locale)[day] for day in range(7))),
        typed=request.form,
        errors=errors or {},
        problem=problem,
        form=form,
    )


def _in_words(series: Series, at: Moments) -> str:
    """Every Monday at 18:30, from 8 March 2027 on"""
    day = get_day_names("wide", locale=at.locale)[series.weekday]
    until = f" to {at.date(series.last_on)}" if series.last_on else " on"
    seats = f", {series.capacity} seats" if series.capacity else ""
    left_out = [on for on in map(date.fromisoformat, sorted(series.except_on)) if on >= at.today()]
    but = f", not on {', '.join(at.date(on) for on in left_out)}" if left_out else ""
    return f"Every {day} at {time_of_day(series.starts)}, from {at.date(series.first_on)}{until}{seats}{but}"


def _find(slug: str) -> Service:
    service = waitlist_queries.find_service(db.session(), current_user, slug)
    if service.timing != "fixed":
        abort(404)
    return service
