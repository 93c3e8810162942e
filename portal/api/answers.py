"""What the API answers, declared for its description (`portal.api.openapi`); a service is told as its fields are declared. The values are made
in `portal.api.present`, and a test holds every answer against this."""

from __future__ import annotations

import copy
from typing import Any

from marshmallow import Schema, fields, missing, validate

from portal.availability.explain import ReasonCode
from portal.booking.models import STATUSES
from portal.business.fields.base import Fields, declared
from portal.business.fields.business import ResourceFields
from portal.business.fields.service import QuestionFields, ServiceFields
from portal.calendars.models import CONNECTION_STATES

_INSTANTS = ["2026-12-01T09:00:00Z"]


def _text(told: str = "", *, choices: tuple[str, ...] = (), optional: bool = False, **more: Any) -> fields.Field[Any]:
    metadata = {**({"description": told} if told else {}), **more}
    return fields.String(
        required=not optional, validate=[validate.OneOf(choices)] if choices else None, metadata=metadata
    )


def _text_or_null(told: str = "", *, choices: tuple[str, ...] = (), **more: Any) -> fields.Field[Any]:
    metadata = {**({"description": told} if told else {}), **more}
    checks = [validate.OneOf([*choices, None])] if choices else None
    return fields.String(required=True, allow_none=True, validate=checks, metadata=metadata)


def _number(told: str = "", *, or_null: bool = False) -> fields.Field[Any]:
    return fields.Integer(
        strict=True, required=True, allow_none=or_null, validate=validate.Range(min=0),
        metadata={"description": told} if told else {},
    )  # fmt: skip


def _instant(*, or_null: bool = False) -> fields.Field[Any]:
    more = {} if or_null else {"examples": _INSTANTS}
    return fields.String(required=True, allow_none=or_null, metadata={"format": "date-time", **more})


def _texts() -> fields.Field[Any]:
    return fields.List(fields.String(), required=True)


def _many(
    inside: type[Schema], *, told: str = "", optional: bool = False, most: int | None = None
) -> fields.Field[Any]:
    return fields.List(
        fields.Nested(inside), required=not optional, validate=validate.Length(max=most) if most else None,
        metadata={"description": told} if told else {},
    )  # fmt: skip


def _public(declaration: type[Fields]) -> dict[str, fields.Field[Any]]:
    """The declared fields that are told, each always."""
    told: dict[str, fields.Field[Any]] = {}
    for name, kind in declared(declaration).items():
        if kind.is_public:
            told[name] = copy.copy(kind)
            told[name].required, told[name].load_default, told[name].data_key = True, missing, None
    return told


QuestionSchema = Schema.from_dict(_public(QuestionFields), name="QuestionSchema")
GiverSchema = Schema.from_dict(_public(ResourceFields), name="GiverSchema")
ServiceSchema = Schema.from_dict(
    {**_public(ServiceFields), "questions": _many(QuestionSchema), "resources": _many(GiverSchema)},
    name="ServiceSchema",
)


class ServicesSchema(Schema):
    services = _many(ServiceSchema)


class SlotSchema(Schema):
    start_at, end_at = _instant(), _instant()
    resources = _texts()
    seats_left = _number()


class AvailabilitySchema(Schema):
    service, zone = _text(), _text()
    slots = _many(SlotSchema)


class ReasonSchema(Schema):
    code = _text(choices=tuple(str(code) for code in ReasonCode))
    sentence = _text()
    resource = _text_or_null()


class ExplanationSchema(Schema):
    service, at = _text(), _instant()
    is_offered = fields.Boolean(required=True)
    reasons = _many(ReasonSchema)


class CustomerSchema(Schema):
    name, email, phone = _text(), _text(), _text()


class OutsideEventSchema(Schema):
    start_at, end_at = _instant(), _instant()
    calendar = _text_or_null()


class SyncSchema(Schema):
    state = _text(choices=("waiting", "done", "stuck", "none"))
    reason = _text(optional=True)


class BookingSchema(Schema):
    id = _text()
    status = _text(choices=STATUSES)
    pending_reason = _text_or_null(
        "What a pending booking waits for: an answer of staff, or a calendar that cannot be read.",
        choices=("approval", "calendar"),
    )
    service, start_at, end_at = _text(), _instant(), _instant()
    resources = _texts()
    party_size = _number()
    customer = fields.Nested(CustomerSchema, required=True)
    answers = fields.Dict(required=True, metadata={"additionalProperties": {"type": ["string", "number", "boolean"]}})
    meeting_url = _text_or_null("Link of the video meeting; null until a calendar has made it.", format="uri")
    outside_events = _many(
        OutsideEventSchema, told="What stands in the calendars over the time of a pending booking; empty for others."
    )
    created_at = _instant()
    version = _text("Also its ETag. A change that carries it (or `If-Match`) is refused when it is another by then.")
    sync = fields.Nested(SyncSchema, required=True)


class BookingMadeSchema(BookingSchema):
    manage_url = _text(format="uri")


class CalendarSchema(Schema):
    id = _number()
    name, resource, provider, account = _text(), _text(), _text(), _text()
    state = _text(choices=CONNECTION_STATES)
    state_since, state_reason = _instant(), _text()
    is_busy_source, is_destination = fields.Boolean(required=True), fields.Boolean(required=True)
    last_read_at, last_written_at = _instant(or_null=True), _instant(or_null=True)
    waiting_writes, stuck_writes, unreadable_objects = _number(), _number(), _number()
    is_quarantined = fields.Boolean(required=True)


class CalendarsSchema(Schema):
    calendars = _many(CalendarSchema)


class OutboxSchema(Schema):
    waiting, stuck = _number(), _number()
    oldest_due_seconds, oldest_waiting_seconds = _number(or_null=True), _number(or_null=True)


class HealthSchema(Schema):
    status = _text(choices=("ok", "attention"))
    problems = _texts()
    worker_silent_seconds = _number(or_null=True)
    outbox = fields.Nested(OutboxSchema, required=True)
    connections = fields.Dict(values=_number(), required=True)
    open_questions, open_conflicts, quarantined_calendars = _number(), _number(), _number()


class MistakeSchema(Schema):
    """One of `pointer` (into the body), `parameter` and `header` says where."""

    pointer, parameter, header = _text(optional=True), _text(optional=True), _text(optional=True)
    detail = _text()


class ProblemSchema(Schema):
    type = _text()
    status = _number()
    code, title = _text(), _text()
    by_field = fields.Dict(values=fields.String(), data_key="fields")
    errors = _many(MistakeSchema, told="All that does not fit, each with its place.", optional=True)
    scope = _text(optional=True)


class RefusedSchema(ProblemSchema):
    nearest = _many(SlotSchema, optional=True, most=3)
    events = _many(OutsideEventSchema, optional=True)
    changed = fields.List(fields.String())
