"""The API's description as an OpenAPI 3.1 document: the operations stand here, their schemas are made of what is declared of requests
(`portal.api.schemas`), of answers, and of a service's fields. A test holds it against the url map and the answers."""

from __future__ import annotations

from functools import cache
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema, fields

from portal.accounts.models import SCOPES
from portal.api import answers, schemas
from portal.api.kinds import MOST_ANSWERS, Answers, Instant
from portal.api.tokens import NEEDED
from portal.business.fields.kinds import OneOf

Json = dict[str, Any]


def document(name: str) -> Json:
    """The whole description; `name` is the business's."""
    found = _document()
    return {**found, "info": {**found["info"], "title": f"{name}: booking API"}}


@cache
def _document() -> Json:
    plugin = MarshmallowPlugin(schema_name_resolver=_name)
    spec = APISpec(
        title="",
        version="1",
        openapi_version="3.1.0",
        plugins=[plugin],
        info={
            "description": "Instants are UTC and end in Z. Errors are problem documents (RFC 9457) with a sentence in `title` and a `code`."
        },
        servers=[{"url": "/api/v1"}],
    )
    assert plugin.converter is not None
    for attributes in (_in_words, _of_choices):
        plugin.converter.add_attribute_function(attributes)  # type: ignore[no-untyped-call]
    spec.components.security_scheme("token", {"type": "http", "scheme": "bearer", "description": _SCOPES})
    for path, operations in _paths().items():
        spec.path(path=path, operations=operations)
    described: Json = spec.to_dict()
    for schema in described["components"]["schemas"].values():
        schema["additionalProperties"] = False
    return described


_SCOPES = (
    f"A token has one or more of the scopes {', '.join(SCOPES)}, and may have an end. What each operation asks for stands in its `security`; "
    "with `read-availability` the public answers come in full and without limit."
)


def _paths() -> Json:
    booking, changed = answers.BookingSchema, (400, 404, 409, 412, 413, 415, 422, 503)
    return {
        "/services": {"get": _operation("The services that can be booked", {200: answers.ServicesSchema})},
        "/availability": {
            "get": _operation(
                "The free times of a service",
                {200: answers.AvailabilitySchema},
                problems=(404, 422),
                query=schemas.AvailabilityParameters,
            )
        },
        "/availability/explain": {
            "get": _operation(
                "Why a time is not offered. With a token in full, without one in general words",
                {200: answers.ExplanationSchema},
                problems=(404, 422),
                query=schemas.ExplainParameters,
            )
        },
        "/bookings": {
            "post": _operation(
                "Book a free time",
                {201: answers.BookingMadeSchema},
                problems=(400, 404, 409, 413, 415, 422, 503),
                parameters=[_KEY],
                scope=NEEDED["api.book"],
                body=schemas.BookingRequestBody,
            )
        },
        "/bookings/{public_id}": {
            "get": _operation(
                "One booking", {200: booking}, problems=(404,), parameters=[_PUBLIC_ID], scope=NEEDED["api.booking"]
            )
        },
        "/bookings/{public_id}/cancellation": {
            "post": _answer("Cancel a booking, as staff. Twice is the same as once", body=schemas.AnswerRequestBody)
        },
        "/bookings/{public_id}/approval": {
            "post": _answer(
                "Approve a booking that waits for staff. A second answer is refused, and so is one over an outside event without `book_over`",
                body=schemas.ApprovalRequestBody,
            )
        },
        "/bookings/{public_id}/refusal": {
            "post": _answer(
                "Refuse a booking that waits for staff; its time is free again", body=schemas.AnswerRequestBody
            )
        },
        "/bookings/{public_id}/move": {
            "post": _operation(
                "Move a booking to another free time, as staff. When that is taken nothing changes",
                {200: booking},
                problems=changed,
                parameters=[_PUBLIC_ID, _IF_MATCH],
                scope=NEEDED["api.move"],
                body=schemas.MoveRequestBody,
            )
        },
        "/calendars": {
            "get": _operation(
                "The connected calendars and how they do",
                {200: answers.CalendarsSchema},
                scope=NEEDED["api.calendars"],
            )
        },
        "/health": {
            "get": _operation(
                "Worker, outbox, connections, and what waits for a person",
                {200: answers.HealthSchema},
                scope=NEEDED["api.health"],
            )
        },
        "/openapi.json": {"get": _operation("This description", {200: {"type": "object"}})},
    }


def _answer(summary: str, *, body: type[Schema]) -> Json:
    told = _operation(
        summary,
        {200: answers.BookingSchema},
        problems=(400, 404, 409, 412, 413, 415, 422, 503),
        parameters=[_PUBLIC_ID, _IF_MATCH],
        scope=NEEDED["api.approve"],
        body=body,
    )
    told["requestBody"]["required"] = False
    return told


def _operation(
    summary: str,
    good: dict[int, Any],
    *,
    problems: tuple[int, ...] = (),
    parameters: list[Json] | None = None,
    query: type[Schema] | None = None,
    body: type[Schema] | None = None,
    scope: str = "",
) -> Json:
    """Without a `scope` it is public. Every operation may also meet a database that is too busy for a moment (503) or a mistake of ours (500)."""
    responses: Json = {
        str(status): {"description": "Good.", "content": {"application/json": {"schema": schema}}}
        for status, schema in good.items()
    }
    always = (401, 403, 500, 503) if scope else (429, 500, 503)
    for status in sorted({*problems, *always}):
        responses[str(status)] = _problem(status)
    told: Json = {"summary": summary, "responses": responses, "security": [{"token": [scope]}] if scope else []}
    if parameters or query:
        told["parameters"] = [*(parameters or []), *([{"in": "query", "schema": query}] if query else [])]
    if body:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return told


_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "minLength": 8, "maxLength": 200},
    "description": "New for each booking of this token. A repeat with the same content gives the first answer and books nothing.",
}
_PUBLIC_ID: Json = {
    "name": "public_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
}
_IF_MATCH: Json = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The ETag of the booking as it was read: when it is another by then, nothing is done (412).",
}
_MEANINGS = {
    400: "The body is not valid JSON.",
    401: "No token was sent, or one that is not valid, was revoked or has expired.",
    403: "The token lacks the scope that is named in `scope`.",
    404: "There is no such thing.",
    409: "The rules say no. With code `slot_taken`, `nearest` holds up to three free times near it; with `outside_event`, `events` tells more.",
    412: "The booking is not the one of `If-Match` any more; `changed` names what has changed.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    422: "Something does not fit; `fields` says what and where.",
    429: "Too many requests in a short time.",
    500: "A mistake on our side. Nothing was done by halves.",
    503: "The database was too busy. Please try again.",
}


def _problem(status: int) -> Json:
    schema = answers.RefusedSchema if status in (409, 412) else answers.ProblemSchema
    return {"description": _MEANINGS[status], "content": {"application/problem+json": {"schema": schema}}}


def _name(schema: Any) -> str:
    """The name of a component: BookingSchema -> Booking, MoveRequestBody -> MoveRequest."""
    found = schema if isinstance(schema, type) else type(schema)
    return str(found.__name__).removesuffix("Schema").removesuffix("Body")


def _in_words(self: Any, field: fields.Field[Any], ret: Json) -> Json:
    """What the types of texts and answers do not say of them."""
    if isinstance(field, Instant):
        return {"format": "date-time", "examples": ["2026-12-01T09:00:00Z"]}
    if isinstance(field, Answers):
        return {
            "maxProperties": MOST_ANSWERS,
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        }
    return {}


def _of_choices(self: Any, field: fields.Field[Any], ret: Json) -> Json:
    """Nothing is told as null, where a field may hold it."""
    if not isinstance(field, OneOf) or "" not in field.values:
        return {}
    return {"type": ["string", "null"], "enum": [*filter(None, field.values), None]}
