"""The JSON API under `/api/v1`: the same operations as the pages, for programs. Described at `/api/v1/openapi.json` (`portal.api.openapi`).

Public are the services and the free times; all else needs a bearer token with the right scope (`portal.api.tokens`). Cookies count for nothing
here, which is why these routes may do without CSRF tokens. Errors are problem documents (`portal.web.error_pages`).
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, jsonify, request, url_for

from portal import doorbell
from portal.api import openapi as description
from portal.api import present, schemas
from portal.api.tokens import NoToken, ScopeMissing, current_bearer, reads_in_full
from portal.booking import operations
from portal.booking.models import Booking
from portal.booking.rules import KeyOwner
from portal.booking.time import queries
from portal.business.models import Resource
from portal.clock import now_utc
from portal.errors import Invalid, NotFound, OutsideEvent, PortalError, SlotTaken
from portal.extensions import csrf, db, limiter
from portal.sync.outside import approvals
from portal.sync.state import overview
from portal.upkeep.vitals import read_vitals
from portal.web import after_answer, visitors
from portal.web.error_pages import problem
from portal.web.reader_language import asked_language
from portal.web.shown import versions
from portal.web.site import current_site

bp = Blueprint("api", __name__, url_prefix="/api/v1")
csrf.exempt(bp)

PUBLIC_RATE = "600 per minute"
_PUBLIC_ID = re.compile(r"[0-9a-f]{32}")


class NotJson(PortalError):
    """The body could not be read as JSON."""

    code = "not_json"
    http_status = 400


class WrongType(PortalError):
    """The body is something else than JSON."""

    code = "unsupported_media_type"
    http_status = 415


@bp.get("/services")
@limiter.limit(PUBLIC_RATE, key_func=visitors.address, exempt_when=reads_in_full)
def services() -> Any:
    rows = queries.list_services(db.session())
    return jsonify(services=[present.service(row, queries.main_resources(db.session(), row)) for row in rows])


@bp.get("/availability")
@limiter.limit(PUBLIC_RATE, key_func=visitors.address, exempt_when=reads_in_full)
def availability() -> Any:
    now = now_utc()
    query = schemas.read_availability(_query(), zone=current_site().zone, now=now)
    session = db.session()
    service = queries.find_service(session, query.service)
    resources = queries.main_resources(session, service)
    slots = queries.free_slots(
        session,
        service,
        window=query.window,
        now=now,
        resource_id=_chosen(resources, query.resource),
        party_size=query.party_size,
    )
    slugs = {row.id: row.slug for row in resources}
    return jsonify(service=service.slug, zone=query.zone, slots=present.show_slots(slots, slugs))


@bp.get("/availability/explain")
@limiter.limit(PUBLIC_RATE, key_func=visitors.address, exempt_when=reads_in_full)
def explain() -> Any:
    slug, instant = schemas.read_explain(_query())
    session = db.session()
    service = queries.find_service(session, slug)
    reasons = queries.why_not(session, service, instant=instant, now=now_utc())
    slugs = {row.id: row.slug for row in db.session.query(Resource)} if reads_in_full() else {}
    told = present.reasons(reasons, slugs, in_full=reads_in_full())
    return jsonify(service=service.slug, at=present.show_instant(instant), is_offered=not reasons, reasons=told)


@bp.post("/bookings")
def book() -> Any:
    wanted = schemas.read_booking(_body())
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        sentence = "Please send the header Idempotency-Key, new for each booking: a repeat with the same key never books twice."
        raise Invalid(sentence, fields={"Idempotency-Key": "This header is required."})
    customer = replace(wanted.customer, language=wanted.customer.language or asked_language())
    try:
        outcome = operations.book(
            service_slug=wanted.service,
            start_at=wanted.start_at,
            customer=customer,
            idempotency_key=key,
            key_owner=_key_owner(),
            now=now_utc(),
            resource_slug=wanted.resource,
            party_size=wanted.party_size,
            answers=wanted.answers,
        )
    except Invalid as error:
        raise Invalid(str(error), fields=schemas.in_body(error.fields)) from None
    doorbell.ring()
    told = _show(outcome.public_id)
    told["manage_url"] = present.manage_url(outcome.manage_token)
    response = jsonify(told)
    response.status_code = 201
    response.headers["Location"] = url_for("api.booking", public_id=outcome.public_id)
    if outcome.is_repeat:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@bp.get("/bookings/<public_id>")
def booking(public_id: str) -> Any:
    told = _show(public_id)
    response = jsonify(told)
    response.set_etag(told["version"])
    return response


@bp.post("/bookings/<public_id>/cancellation")
def cancel(public_id: str) -> Any:
    schemas.read_answer(_versioned(_optional_body()))
    booking_id = _find(public_id).id
    operations.cancel_booking(booking_id, by="staff", now=now_utc())
    after_answer.seats_freed(booking_id, cause="cancelled")
    return jsonify(_show(public_id))


@bp.post("/bookings/<public_id>/approval")
def approve(public_id: str) -> Any:
    book_over = schemas.read_approval(_versioned(_optional_body()))
    approvals.approve(_find(public_id).id, now=now_utc(), by="A program", over=book_over)
    doorbell.ring()
    return jsonify(_show(public_id))


@bp.post("/bookings/<public_id>/refusal")
def refuse(public_id: str) -> Any:
    schemas.read_answer(_versioned(_optional_body()))
    booking_id = _find(public_id).id
    operations.refuse_booking(booking_id, now=now_utc())
    after_answer.seats_freed(booking_id, cause="refused")
    return jsonify(_show(public_id))


@bp.post("/bookings/<public_id>/move")
def move(public_id: str) -> Any:
    wanted = schemas.read_move(_versioned(_body()))
    booking_id = _find(public_id).id
    operations.move_booking(booking_id, wanted.start_at, by="staff", now=now_utc(), resource_slug=wanted.resource)
    after_answer.seats_freed(booking_id, cause="moved")
    return jsonify(_show(public_id))


@bp.get("/calendars")
def calendars() -> Any:
    return jsonify(calendars=[present.calendar(facts) for facts in overview.list_calendars(db.session())])


@bp.get("/health")
def health() -> Any:
    return jsonify(present.health(read_vitals(db.session(), now=now_utc())))


@bp.get("/openapi.json")
def openapi() -> Any:
    return jsonify(description.document(current_site().name))


@bp.errorhandler(Invalid)
def _invalid(error: Invalid) -> Response:
    """All that does not fit at once: by name, and with its place in what was sent."""
    told = {"fields": error.fields, "errors": schemas.mistakes(error.fields, in_query=request.method == "GET")}
    return problem(error.http_status, str(error), code=error.code, **(told if error.fields else {}))


@bp.errorhandler(SlotTaken)
def _slot_taken(error: SlotTaken) -> Response:
    slugs = {row.id: row.slug for row in db.session.query(Resource)} if error.nearest else {}
    return problem(409, str(error), code=error.code, nearest=present.show_slots(error.nearest, slugs))


@bp.errorhandler(OutsideEvent)
def _outside_event(error: OutsideEvent) -> Response:
    sentence = f"{error} To confirm it all the same, send “book_over”: true."
    return problem(409, sentence, code=error.code, events=present.show_events(error.events))


@bp.errorhandler(NoToken)
def _no_token(error: NoToken) -> Response:
    response = problem(401, str(error), code=error.code)
    response.headers["WWW-Authenticate"] = 'Bearer realm="api"'
    return response


@bp.errorhandler(ScopeMissing)
def _scope_missing(error: ScopeMissing) -> Response:
    response = problem(403, str(error), code=error.code, scope=error.scope)
    response.headers["WWW-Authenticate"] = f'Bearer realm="api", error="insufficient_scope", scope="{error.scope}"'
    return response


def _key_owner() -> KeyOwner | None:
    """An idempotency key belongs to the token that sends it."""
    bearer = current_bearer()
    return KeyOwner(f"token {bearer.token_id}", bearer.made_at) if bearer else None


def _query() -> dict[str, str]:
    """The query string; a name given twice is refused, for which of the two counts is anybody's guess."""
    for name, values in request.args.lists():
        if len(values) > 1:
            raise Invalid("A parameter was given twice.", fields={name[:50]: "Please give this once."})
    return request.args.to_dict()


def _body() -> Any:
    if not request.is_json:
        raise WrongType("Please send JSON, with “Content-Type: application/json”.")
    try:
        return json.loads(request.get_data(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise NotJson("The body is not valid JSON.") from None


def _optional_body() -> Any:
    """The body, where one was sent; else an empty object."""
    return _body() if request.get_data(cache=True) else {}


def _versioned(body: Any) -> Any:
    """The same body; the version in it is compared where the booking is changed. In the header `If-Match` it counts as well."""
    version = body.get(versions.FIELD) if isinstance(body, dict) else None
    versions.came_in_body(version if isinstance(version, str) else None)
    return body


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON, though Python would read it.")


def _find(public_id: str) -> Booking:
    return queries.booking_of_public_id(db.session(), _checked(public_id))


def _checked(public_id: str) -> str:
    if not _PUBLIC_ID.fullmatch(public_id):
        raise NotFound("There is no booking with this id.")
    return public_id


def _show(public_id: str) -> dict[str, Any]:
    return present.booking(_checked(public_id))


def _chosen(resources: list[Resource], slug: str | None) -> int | None:
    if slug is None:
        return None
    for row in resources:
        if row.slug == slug:
            return row.id
    raise NotFound("There is no such resource for this service.")
