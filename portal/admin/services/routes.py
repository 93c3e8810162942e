"""The services page: what can be booked, by which rules. Each service has one form, for what it is, who gives it, its limits and its questions.
For owners and admins."""

from __future__ import annotations

from typing import Any

from flask import current_app, flash, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from portal.admin.frame import bp, moments
from portal.admin.services import form
from portal.booking.models import Appointment
from portal.business import services as service_edit
from portal.business.fields.base import declared
from portal.business.fields.service import QuestionFields, ServiceFields
from portal.business.models import Resource, Service, ServiceResource
from portal.business.services import WantedService
from portal.calendars.rewrite import rewrite_service
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.errors import Invalid, NotFound, Stale
from portal.extensions import db
from portal.language.lengths import length_text
from portal.notifications.reminders import replan_service
from portal.web.hypermedia import see_other

LONGEST_FORM, MOST_PARTS = 1024 * 1024, 5000
"""Bytes and fields: a service with as many questions, choices and lists as it may have."""


@bp.url_value_preprocessor
def take_long_forms(endpoint: str | None, _values: Any) -> None:
    """Before anything reads what was sent. Of who is not signed in nothing long is taken."""
    if endpoint in ("admin.create_service", "admin.save_service") and current_user.is_authenticated:
        request.max_content_length = request.max_form_memory_size = LONGEST_FORM
        request.max_form_parts = MOST_PARTS


@bp.get("/services")
def services() -> Any:
    session: Session = db.session()
    rows = session.scalars(select(Service).order_by(Service.is_active.desc(), Service.position, Service.id)).all()
    names = {row.id: row.name for row in session.scalars(select(Resource))}
    return render_template(
        "admin/services.html", services=rows, coming=_coming(session), names=names, links=_links, length=length_text
    )


@bp.get("/services/new")
def new_service() -> Any:
    return _form(None, form.empty())


@bp.post("/services/new")
def create_service() -> Any:
    return _save(None)


@bp.get("/services/<slug>")
def service(slug: str) -> Any:
    found = _find(slug)
    return _form(found, form.shown(found))


@bp.post("/services/<slug>")
def save_service(slug: str) -> Any:
    return _save(_find(slug))


def _save(present: Service | None) -> Any:
    """What does not fit is told beside the fields, with everything as it was typed."""
    typed = _typed(present)
    try:
        wanted = form.read(
            typed,
            resource_ids={row.id for row in _resources(present)},
            taken_slugs=set() if present else set(db.session.scalars(select(Service.slug))),
            present=present,
        )
        service_id = present.id if present else None
        transaction(lambda session: _apply(session, service_id, wanted))
    except Invalid as error:
        return _form(present, typed, errors=error.fields, problem=str(error)), 422
    except Stale as error:
        return _form(_find(typed["slug"]), typed, stale=str(error)), 409  # a new service is never stale
    name = wanted.values["name"]
    if present is None and wanted.values["timing"] == "fixed":
        flash(f"“{name}” is saved. Customers can book it as soon as it has dates: plan them here.", "ok")
        return see_other(url_for("admin.dates", slug=wanted.slug))
    flash(f"“{name}” is saved.", "ok")
    return see_other(url_for("admin.service", slug=wanted.slug))


def _apply(session: Session, service_id: int | None, wanted: WantedService) -> None:
    present = None if service_id is None else session.get_one(Service, service_id)
    _check_timing(session, present, wanted)
    edited = service_edit.apply(session, present, wanted)
    if present is None:
        return
    if "reminders" in edited.changed:
        replan_service(session, present.id)
    if edited.changed & service_edit.TOLD_IN_CALENDARS:
        rewrite_service(session, present.id)


def _check_timing(session: Session, present: Service | None, wanted: WantedService) -> None:
    """Free times and fixed dates do not mix: what is booked or planned has to be over first. Raises Invalid."""
    if present is None or present.timing == wanted.values["timing"]:
        return
    to_come = (Appointment.service_id == present.id, Appointment.is_active, Appointment.end_at > now_utc())
    if session.scalar(select(Appointment.id).where(*to_come).limit(1)) is not None:
        sentence = (
            "There are appointments to come, and they were made the other way. Make a second service for the new way, or wait until they are "
            "over."
        )
        raise Invalid("Nothing is saved yet: please look at these fields.", fields={"timing": sentence})


def _typed(present: Service | None) -> dict[str, Any]:
    typed: dict[str, Any] = {name: value.replace("\x00", "") for name, value in request.form.items()}
    typed |= {name: request.form.getlist(name) for name in request.form if name.startswith("list-")}
    return typed | ({"slug": present.slug} if present else {})


def _form(
    present: Service | None,
    typed: dict[str, Any],
    *,
    errors: dict[str, str] | None = None,
    problem: str = "",
    stale: str = "",
) -> str:
    return render_template(
        "admin/service.html",
        service=present,
        typed=typed,
        errors=errors or {},
        problem=problem,
        stale=stale,
        resources=_resources(present),
        fields=declared(ServiceFields),
        asked=declared(QuestionFields),
        rows=form.rows_shown(typed),
        lists=form.lists_shown(typed),
        links=_links(present) if present else [],
        public_url=f"{current_app.extensions['settings'].url}/{present.slug}" if present else "",
        at=moments(),
    )


def _links(service: Service) -> list[tuple[str, str]]:
    """(text, address) of the other pages about a service."""
    pages: tuple[tuple[str, str, dict[str, Any], bool], ...] = (
        ("Dates", "admin.dates", {"slug": service.slug}, service.timing == "fixed"),
        ("Waitlist", "admin.waitlist_service", {"slug": service.slug}, service.has_waitlist),
        ("Texts of mails", "admin.mail_texts", {"service": service.slug}, True),
    )
    known = current_app.view_functions
    return [
        (text, url_for(endpoint, **at)) for text, endpoint, at, is_of_use in pages if is_of_use and endpoint in known
    ]


def _resources(service: Service | None) -> list[Resource]:
    """All that can give a service; of those which are not active by now only the ones that this service still names."""
    named = select(ServiceResource.resource_id).where(ServiceResource.service_id == (service.id if service else 0))
    wanted = select(Resource).where(or_(Resource.is_active, Resource.id.in_(named)))
    return list(db.session.scalars(wanted.order_by(Resource.kind.desc(), Resource.position, Resource.id)))


def _coming(session: Session) -> dict[int, int]:
    """How many appointments are to come, by service."""
    to_come = (Appointment.is_active, Appointment.start_at > now_utc())
    counted = select(Appointment.service_id, func.count()).where(*to_come).group_by(Appointment.service_id)
    return dict(session.execute(counted).tuples().all())


def _find(slug: str) -> Service:
    found = db.session.scalar(select(Service).where(Service.slug == slug))
    if found is None:
        raise NotFound("There is no such service. It may have another address by now: please look into the list.")
    return found
