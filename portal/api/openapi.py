"""The API's description as an OpenAPI 3.1 document, written by hand beside the routes. A test holds it against the url map and the answers."""

from __future__ import annotations

from typing import Any

from portal.accounts.models import SCOPES
from portal.api.schemas import LONGEST_WINDOW
from portal.api.tokens import NEEDED
from portal.availability.explain import ReasonCode
from portal.booking.models import STATUSES
from portal.business.models import ASSIGNMENTS, LOCATION_KINDS, MEETINGS, QUESTION_KINDS, TIMINGS
from portal.calendars.models import CONNECTION_STATES

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "integer", "minimum": 0}
NUMBER_OR_NULL: Json = {"type": ["integer", "null"], "minimum": 0}
TRUTH: Json = {"type": "boolean"}
INSTANT: Json = {"type": "string", "format": "date-time", "examples": ["2026-12-01T09:00:00Z"]}
ADDRESS_OR_NULL: Json = {"type": ["string", "null"], "format": "uri"}
INSTANT_OR_NULL: Json = {"type": ["string", "null"], "format": "date-time"}
VERSION: Json = {
    "type": "string",
    "description": "As `GET` told it; with another one by now, nothing is done (409, code `stale`).",
}
WHEN: Json = {"type": "string", "examples": ["2026-12-01", "2026-12-01T09:00:00Z"]}


def document(name: str) -> Json:
    """The whole description; `name` is the business's."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{name}: booking API",
            "version": "1",
            "description": "Instants are UTC and end in Z. Errors are problem documents (RFC 9457) with a sentence in `title` and a `code`.",
        },
        "servers": [{"url": "/api/v1"}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": _SCOPES}},
            "schemas": _schemas(),
        },
    }


_SCOPES = (
    f"A token has one or more of the scopes {', '.join(SCOPES)}, and may have an end. What each operation asks for stands in its `security`; "
    "with `read-availability` the public answers come in full and without limit."
)


def _paths() -> Json:
    return {
        "/services": {"get": _operation("The services that can be booked", {200: _list_of("services", "Service")})},
        "/availability": {"get": _availability()},
        "/availability/explain": {"get": _explain()},
        "/bookings": {"post": _book()},
        "/bookings/{public_id}": {
            "get": _operation(
                "One booking",
                {200: _ref("Booking")},
                problems=(404,),
                parameters=[_PUBLIC_ID],
                scope=NEEDED["api.booking"],
            )
        },
        "/bookings/{public_id}/cancellation": {
            "post": _answer("Cancel a booking, as staff. Twice is the same as once", body=_ref("AnswerRequest"))
        },
        "/bookings/{public_id}/approval": {
            "post": _answer(
                "Approve a booking that waits for staff. A second answer is refused, and so is one over an outside event without `book_over`",
                body=_ref("ApprovalRequest"),
            )
        },
        "/bookings/{public_id}/refusal": {
            "post": _answer("Refuse a booking that waits for staff; its time is free again", body=_ref("AnswerRequest"))
        },
        "/bookings/{public_id}/move": {"post": _move()},
        "/calendars": {
            "get": _operation(
                "The connected calendars and how they do",
                {200: _list_of("calendars", "Calendar")},
                scope=NEEDED["api.calendars"],
            )
        },
        "/health": {
            "get": _operation(
                "Worker, outbox, connections, and what waits for a person",
                {200: _ref("Health")},
                scope=NEEDED["api.health"],
            )
        },
        "/openapi.json": {"get": _operation("This description", {200: {"type": "object"}})},
    }


def _availability() -> Json:
    parameters = [
        _query("service", TEXT, "Slug of the service.", required=True),
        _query("from", WHEN, "From here on; a date begins at midnight in `zone`. Default: now."),
        _query(
            "to",
            WHEN,
            f"Up to here; a date counts as a whole day. Default: a week later; at most {LONGEST_WINDOW.days} days.",
        ),
        _query("resource", TEXT, "Slug of the resource that must give it."),
        _query("zone", TEXT, "IANA zone in which dates are meant. Default: the business's."),
        _query("party_size", {"type": "integer", "minimum": 1}, "How many come together. Default: 1."),
    ]
    return _operation(
        "The free times of a service",
        {200: _ref("Availability")},
        problems=(404, 422),
        parameters=parameters,
    )


def _explain() -> Json:
    parameters = [
        _query("service", TEXT, "Slug of the service.", required=True),
        _query("at", INSTANT, "The start that is asked about.", required=True),
    ]
    summary = "Why a time is not offered. With a token in full, without one in general words"
    return _operation(summary, {200: _ref("Explanation")}, problems=(404, 422), parameters=parameters)


def _book() -> Json:
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "schema": {"type": "string", "minLength": 8, "maxLength": 200},
        "description": "New for each booking of this token. A repeat with the same content gives the first answer and books nothing.",
    }
    return _operation(
        "Book a free time",
        {201: _ref("BookingMade")},
        problems=(400, 404, 409, 413, 415, 422, 503),
        parameters=[key],
        scope=NEEDED["api.book"],
        body=_ref("BookingRequest"),
    )


def _move() -> Json:
    return _operation(
        "Move a booking to another free time, as staff. When that is taken nothing changes",
        {200: _ref("Booking")},
        problems=(400, 404, 409, 412, 413, 415, 422, 503),
        parameters=[_PUBLIC_ID, _IF_MATCH],
        scope=NEEDED["api.move"],
        body=_ref("MoveRequest"),
    )


def _answer(summary: str, *, body: Json) -> Json:
    told = _operation(
        summary,
        {200: _ref("Booking")},
        problems=(400, 404, 409, 412, 413, 415, 422, 503),
        parameters=[_PUBLIC_ID, _IF_MATCH],
        scope=NEEDED["api.approve"],
        body=body,
    )
    told["requestBody"]["required"] = False
    return told


def _operation(
    summary: str,
    answers: dict[int, Json],
    *,
    problems: tuple[int, ...] = (),
    parameters: list[Json] | None = None,
    body: Json | None = None,
    scope: str = "",
) -> Json:
    """Without a `scope` it is public. Every operation may also meet a database that is too busy for a moment (503) or a mistake of ours (500)."""
    responses: Json = {str(status): _json(schema) for status, schema in answers.items()}
    always = (401, 403, 500, 503) if scope else (429, 500, 503)
    for status in sorted({*problems, *always}):
        responses[str(status)] = _problem(status)
    told: Json = {"summary": summary, "responses": responses, "security": [{"token": [scope]}] if scope else []}
    if parameters:
        told["parameters"] = parameters
    if body:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return told


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


def _query(name: str, schema: Json, description: str, *, required: bool = False) -> Json:
    return {"name": name, "in": "query", "required": required, "schema": schema, "description": description}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _list_of(key: str, name: str) -> Json:
    return _object({key: {"type": "array", "items": _ref(name)}})


def _json(schema: Json) -> Json:
    return {"description": "Good.", "content": {"application/json": {"schema": schema}}}


def _problem(status: int) -> Json:
    name = "Refused" if status in (409, 412) else "Problem"
    return {"description": _MEANINGS[status], "content": {"application/problem+json": {"schema": _ref(name)}}}


def _object(properties: Json, *, optional: tuple[str, ...] = ()) -> Json:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _schemas() -> Json:
    slot = _object({"start_at": INSTANT, "end_at": INSTANT, "resources": _texts(), "seats_left": NUMBER})
    return {
        "Slot": slot,
        "Availability": _object({"service": TEXT, "zone": TEXT, "slots": {"type": "array", "items": _ref("Slot")}}),
        **_service_schemas(),
        **_booking_schemas(),
        **_operation_schemas(),
        **_problem_schemas(),
    }


def _service_schemas() -> Json:
    return {
        "Service": _object(
            {
                "slug": TEXT, "name": TEXT, "description": TEXT, "location": TEXT,
                "location_kind": {
                    "type": ["string", "null"], "enum": [*filter(None, LOCATION_KINDS), None],
                    "description": "With “phone”, the customer's telephone number is required.",
                },
                "price": {**TEXT, "description": "As it is shown; nothing is computed with it."},
                "timing": {
                    "type": "string", "enum": list(TIMINGS),
                    "description": "“slots”: any free time; “fixed”: appointments at times that staff have set.",
                },
                "meeting": {
                    "type": ["string", "null"], "enum": [*MEETINGS, None],
                    "description": "Who makes the link of the video meeting, where the service is one.",
                },
                "duration": {**NUMBER, "description": "Minutes, as are step and notice."}, "step": NUMBER, "notice": NUMBER,
                "horizon": {**NUMBER, "description": "Days."}, "capacity": NUMBER,
                "assignment": {"type": "string", "enum": list(ASSIGNMENTS)},
                "per_customer": {**NUMBER_OR_NULL, "description": "So many bookings to come one e-mail address may have; null: any number."},
                "needs_approval": {**TRUTH, "description": "Bookings are pending until staff say yes or no."},
                "confirm_by_mail": {**TRUTH, "description": "On the page customers confirm by mail; over the API bookings count at once."},
                "questions": {"type": "array", "items": _ref("Question")},
                "resources": {"type": "array", "items": _object({"slug": TEXT, "name": TEXT})},
            }
        ),
        "Question": _object(
            {
                "name": {**TEXT, "description": "Its key in `answers`."}, "label": TEXT,
                "kind": {
                    "type": "string", "enum": list(QUESTION_KINDS),
                    "description": "Answer number with a number, checkbox with true or false, choice with one of `choices`, others with a text.",
                },
                "is_required": TRUTH, "choices": _texts(),
            }
        ),
        "Explanation": _object(
            {
                "service": TEXT, "at": INSTANT, "is_offered": TRUTH,
                "reasons": {
                    "type": "array",
                    "items": _object(
                        {
                            "code": {"type": "string", "enum": [str(code) for code in ReasonCode]},
                            "sentence": TEXT, "resource": {"type": ["string", "null"]},
                        }
                    ),
                },
            }
        ),
    }  # fmt: skip


def _booking_schemas() -> Json:
    customer: Json = {"name": TEXT, "email": TEXT, "phone": TEXT}
    typed: Json = {**customer, "zone": TEXT, "language": TEXT, "note": TEXT}
    booking: Json = {
        "id": TEXT, "status": {"type": "string", "enum": list(STATUSES)},
        "pending_reason": {
            "type": ["string", "null"], "enum": ["approval", "calendar", None],
            "description": "What a pending booking waits for: an answer of staff, or a calendar that cannot be read.",
        },
        "service": TEXT, "start_at": INSTANT, "end_at": INSTANT,
        "resources": _texts(), "party_size": NUMBER, "customer": _object(customer), "answers": {"type": "object"},
        "meeting_url": {**ADDRESS_OR_NULL, "description": "Link of the video meeting; null until a calendar has made it."},
        "outside_events": {
            "type": "array", "items": _ref("OutsideEvent"),
            "description": "What stands in the calendars over the time of a pending booking; empty for others.",
        },
        "created_at": INSTANT,
        "version": {**TEXT, "description": "Also its ETag. A change that carries it (or `If-Match`) is refused when it is another by then."},
        "sync": _object(
            {"state": {"type": "string", "enum": ["waiting", "done", "stuck", "none"]}, "reason": TEXT},
            optional=("reason",),
        ),
    }  # fmt: skip
    return {
        "Booking": _object(booking),
        "BookingMade": _object({**booking, "manage_url": {"type": "string", "format": "uri"}}),
        "BookingRequest": _object(
            {
                "service": TEXT, "start_at": INSTANT, "resource": TEXT, "party_size": {"type": "integer", "minimum": 1},
                "customer": _object(typed, optional=("phone", "zone", "language", "note")),
                "answers": {
                    "type": "object", "maxProperties": 50, "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
                    "description": "By the names of the service's questions; others are refused.",
                },
            },
            optional=("resource", "party_size", "answers"),
        ),
        "ApprovalRequest": _object(
            {
                "book_over": {**TRUTH, "description": "Confirm it although an outside event stands over its time."},
                "version": VERSION,
            },
            optional=("book_over", "version"),
        ),
        "AnswerRequest": _object({"version": VERSION}, optional=("version",)),
        "OutsideEvent": _object({"start_at": INSTANT, "end_at": INSTANT, "calendar": {"type": ["string", "null"]}}),
        "MoveRequest": _object(
            {"start_at": INSTANT, "resource": TEXT, "version": VERSION}, optional=("resource", "version")
        ),
    }  # fmt: skip


def _operation_schemas() -> Json:
    return {
        "Calendar": _object(
            {
                "id": NUMBER, "name": TEXT, "resource": TEXT, "provider": TEXT, "account": TEXT,
                "state": {"type": "string", "enum": list(CONNECTION_STATES)}, "state_since": INSTANT, "state_reason": TEXT,
                "is_busy_source": TRUTH, "is_destination": TRUTH, "last_read_at": INSTANT_OR_NULL,
                "last_written_at": INSTANT_OR_NULL, "waiting_writes": NUMBER, "stuck_writes": NUMBER,
                "unreadable_objects": NUMBER, "is_quarantined": TRUTH,
            }
        ),
        "Health": _object(
            {
                "status": {"type": "string", "enum": ["ok", "attention"]},
                "problems": _texts(),
                "worker_silent_seconds": NUMBER_OR_NULL,
                "outbox": _object(
                    {
                        "waiting": NUMBER,
                        "stuck": NUMBER,
                        "oldest_due_seconds": NUMBER_OR_NULL,
                        "oldest_waiting_seconds": NUMBER_OR_NULL,
                    }
                ),
                "connections": {"type": "object", "additionalProperties": NUMBER},
                "open_questions": NUMBER, "open_conflicts": NUMBER, "quarantined_calendars": NUMBER,
            }
        ),
    }  # fmt: skip


def _problem_schemas() -> Json:
    problem: Json = {
        "type": TEXT, "status": NUMBER, "code": TEXT, "title": TEXT,
        "fields": {"type": "object", "additionalProperties": TEXT},
    }  # fmt: skip
    nearest = {"type": "array", "items": _ref("Slot"), "maxItems": 3}
    events = {"type": "array", "items": _ref("OutsideEvent")}
    return {
        "Problem": _object({**problem, "scope": TEXT}, optional=("fields", "scope")),
        "Refused": _object(
            {**problem, "nearest": nearest, "events": events, "changed": _texts()},
            optional=("fields", "nearest", "events", "changed"),
        ),
    }


def _texts() -> Json:
    return {"type": "array", "items": TEXT}
