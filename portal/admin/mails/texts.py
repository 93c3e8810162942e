"""The pages where admins put mails into their own words, with a preview of what customers would read.

The preview is the mail itself, in a frame of its own that may run nothing and load nothing (`PREVIEW_POLICY`), made of sample facts. A button
of the form fills the frame with what is typed and not kept yet: no script is needed, and nothing is changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Response, current_app, flash, make_response, render_template, request, url_for
from sqlalchemy import select

from portal.admin.frame import bp, moments
from portal.business.models import Business, Resource, Service
from portal.clock import now_utc
from portal.errors import Invalid, NotFound, Stale
from portal.extensions import db
from portal.language.say import LANGUAGES, known_language
from portal.notifications import own_texts
from portal.notifications.compose.facts import OwnWords
from portal.notifications.compose.messages import Message, compose
from portal.notifications.compose.own_words import KINDS, placeholders_of
from portal.notifications.compose.samples import SampleService, sample_mail
from portal.notifications.gather.sources import business_of, house_of
from portal.notifications.own_texts import Place
from portal.web.headers import POLICY
from portal.web.hypermedia import see_other

PREVIEW_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the page is about: a language, and a service or (None) all of them."""

    language: str
    service: Service | None

    @property
    def slug(self) -> str:
        return self.service.slug if self.service else ""

    def place(self, kind: str) -> Place:
        return Place(kind=kind, language=self.language, service_id=self.service.id if self.service else None)


@bp.get("/texts")
def mail_texts() -> str:
    """All mails that customers get, and which are in own words."""
    chosen = _chosen()
    kept = own_texts.list_texts(db.session())
    rows = [(kind, name, kept.get(chosen.place(kind)), _general(chosen, kind, kept)) for kind, name in KINDS.items()]
    return render_template("admin/texts.html", rows=rows, **_page(chosen))


@bp.get("/texts/<kind>")
def mail_text(kind: str) -> Response:
    chosen = _chosen()
    row = own_texts.find_text(db.session(), chosen.place(kind))
    return _editor(kind, chosen, typed={"subject": row.subject if row else "", "body": row.body if row else ""})


@bp.post("/texts/<kind>")
def save_mail_text(kind: str) -> Any:
    chosen, typed = _chosen(), {name: request.form.get(name, "") for name in ("subject", "body")}
    try:
        is_own = own_texts.save_text(chosen.place(kind), typed["subject"], typed["body"])
    except Invalid as error:
        return _editor(kind, chosen, typed=typed, errors=error.fields), 422
    except Stale as error:
        return _editor(kind, chosen, typed=typed, stale=str(error)), 409
    flash(
        "Kept: from now on the mail reads like this." if is_own else "The portal's own words stand there again.", "ok"
    )
    return _back(kind, chosen)


@bp.post("/texts/<kind>/reset")
def reset_mail_text(kind: str) -> Any:
    chosen = _chosen()
    own_texts.reset_text(chosen.place(kind))
    flash("The portal's own words stand there again.", "ok")
    return _back(kind, chosen)


@bp.route("/texts/<kind>/preview", methods=["GET", "POST"])
def preview_mail_text(kind: str) -> Response:
    """The mail in a frame: as it is kept (GET), or as it is typed (POST, which changes nothing)."""
    chosen = _chosen()
    chosen.place(kind)  # raises NotFound for a kind that is none
    if request.method == "GET":
        own = _kept(kind, chosen)
    else:
        try:
            own = OwnWords(
                *own_texts.check_text(request.form.get("subject", ""), request.form.get("body", ""), kind=kind)
            )
        except Invalid as error:
            return _framed(render_template("admin/_preview_problem.html", problems=error.fields.values()))
    message = _sample(kind, chosen, own)
    asked = request.args if request.method == "GET" else request.form
    if asked.get("form") == "text":
        return _framed(f"{message.subject}\n\n{message.text}", mimetype="text/plain")
    return _framed(message.html)


def _editor(
    kind: str, chosen: Chosen, *, typed: dict[str, str], errors: dict[str, str] | None = None, stale: str = ""
) -> Response:
    place = chosen.place(kind)
    own_words = _sample(kind, chosen, OwnWords())
    page = render_template(
        "admin/text.html",
        kind=kind,
        name=KINDS[kind],
        typed=typed,
        errors=errors or {},
        stale=stale,
        is_own=own_texts.find_text(db.session(), place) is not None,
        portals_subject=own_words.subject,
        placeholders=placeholders_of(kind),
        longest=own_texts.LONGEST,
        **_page(chosen),
    )
    response = make_response(page)
    response.headers["Content-Security-Policy"] = f"{POLICY}; frame-src 'self'"
    return response


def _page(chosen: Chosen) -> dict[str, Any]:
    services = db.session.scalars(select(Service).where(Service.is_active).order_by(Service.position, Service.id)).all()
    options = [("", "All services"), *((service.slug, service.name) for service in services)]
    return {"chosen": chosen, "services": options, "languages_of_mails": LANGUAGES, "at": moments()}


def _chosen() -> Chosen:
    """Language and service of the address. Raises NotFound for a service that is not there."""
    slug, language = request.args.get("service", ""), request.args.get("language", "")
    service = db.session.scalar(select(Service).where(Service.slug == slug)) if slug else None
    if slug and service is None:
        raise NotFound("There is no such service.")
    return Chosen(language if language in LANGUAGES else known_language(_business().language), service)


def _general(chosen: Chosen, kind: str, kept: dict[Place, Any]) -> bool:
    """Whether a service's mail has the own words of all services."""
    return chosen.service is not None and Place(kind=kind, language=chosen.language) in kept


def _kept(kind: str, chosen: Chosen) -> OwnWords:
    """As the mail's reader gets it: a service without words of its own has those of all services."""
    kept = own_texts.list_texts(db.session())
    rows = [kept.get(chosen.place(kind)), kept.get(Place(kind=kind, language=chosen.language))]
    found = [row for row in rows if row is not None]
    return OwnWords(
        next((row.subject for row in found if row.subject), ""), next((row.body for row in found if row.body), "")
    )


def _sample(kind: str, chosen: Chosen, own: OwnWords) -> Message:
    service = chosen.service or db.session.scalar(select(Service).where(Service.is_active).order_by(Service.position))
    house = house_of(_business())
    facts = sample_mail(
        kind, house=house, service=_sample_service(service), language=chosen.language, now=now_utc(), own=own
    )
    return compose(facts)


def _sample_service(service: Service | None) -> SampleService:
    if service is None:
        return SampleService(name="Consultation")
    ids = [need.resource_id for need in service.needs if need.list_no == 0]
    named = (
        select(Resource.name).where(Resource.id.in_(ids), Resource.kind == "staff").order_by(Resource.position).limit(1)
    )
    return SampleService(
        name=service.name,
        minutes=service.duration,
        location=service.location,
        location_kind=service.location_kind,
        price=service.price,
        people=tuple(db.session.scalars(named)),
        capacity=service.capacity,
        needs_approval=service.needs_approval,
    )


def _framed(content: str, *, mimetype: str = "text/html") -> Response:
    response = current_app.response_class(content, mimetype=mimetype)
    response.headers["Content-Security-Policy"] = PREVIEW_POLICY
    return response


def _back(kind: str, chosen: Chosen) -> Any:
    return see_other(url_for("admin.mail_text", kind=kind, language=chosen.language, service=chosen.slug or None))


def _business() -> Business:
    return business_of(db.session())
