"""What programs send, declared once: it is read by this, and described by this (`portal.api.openapi`). Takes parsed JSON and query
strings, gives values or raises Invalid with a sentence per field, all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import fields

from portal.api.kinds import Answers, Count, Instant, Sent, Truth, When, Words, Zone, load, refuse
from portal.booking.questions import FIELD
from portal.booking.rules import Customer
from portal.business.fields.base import schema_of
from portal.business.fields.faults import Fault
from portal.intervals import Interval

LONGEST_WINDOW = timedelta(days=92)
DEFAULT_WINDOW = timedelta(days=7)
_VERSION = "As `GET` told it; with another one by now, nothing is done (409, code `stale`)."


class AvailabilityParameters(Sent):
    service = Words(told="Slug of the service.")
    from_ = When(key="from", default=None, told="From here on; a date begins at midnight in `zone`. Default: now.")
    to = When(
        default=None,
        told=f"Up to here; a date counts as a whole day. Default: a week later; at most {LONGEST_WINDOW.days} days.",
    )
    resource = Words(default=None, told="Slug of the resource that must give it.")
    zone = Zone(default=None, told="IANA zone in which dates are meant. Default: the business's.")
    party_size = Count(default=1, told="How many come together. Default: 1.")


class ExplainParameters(Sent):
    service = Words(told="Slug of the service.")
    at = Instant(told="The start that is asked about.")


class CustomerRequest(Sent):
    """Only the shape is checked here; the operation judges name, address and telephone number, as for the page."""

    name = Words(longest=2000)
    email = Words(longest=2000)
    phone = Words(longest=2000, default="")
    zone = Zone(longest=2000, default="")
    language = Words(longest=2000, default="")
    note = Words(longest=2000, default="")


class BookingRequestBody(Sent):
    service = Words()
    start_at = Instant()
    resource = Words(default=None)
    party_size = Count(default=1)
    customer = fields.Nested(
        CustomerRequest, required=True, error_messages={"required": "customer", "null": "customer", "type": "customer"}
    )
    answers = Answers(told="By the names of the service's questions; others are refused.")


class MoveRequestBody(Sent):
    start_at = Instant()
    resource = Words(default=None)
    version = Words(default=None, told=_VERSION)


class ApprovalRequestBody(Sent):
    book_over = Truth(default=False, told="Confirm it although an outside event stands over its time.")
    version = Words(default=None, told=_VERSION)


class AnswerRequestBody(Sent):
    version = Words(default=None, told=_VERSION)


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailabilityQuery:
    service: str
    window: Interval
    zone: str
    resource: str | None
    party_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingRequest:
    service: str
    start_at: datetime
    customer: Customer
    resource: str | None = None
    party_size: int = 1
    answers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRequest:
    start_at: datetime
    resource: str | None = None


def read_availability(query: Mapping[str, str], *, zone: str, now: datetime) -> AvailabilityQuery:
    """`from` and `to` are dates or instants; as dates they mean whole days in `zone`, both included. Missing, they mean a week from now."""
    values, found = load(schema_of(AvailabilityParameters), query)
    zone = values.get("zone") or zone
    start = _edge(values.get("from_"), zone=zone, is_end=False) or now
    end = _edge(values.get("to"), zone=zone, is_end=True) or start + DEFAULT_WINDOW
    if end <= start:
        found.append((("to",), Fault("order")))
    elif end - start > LONGEST_WINDOW:
        found.append((("to",), Fault("window", "", {"days": LONGEST_WINDOW.days})))
    refuse(found)
    return AvailabilityQuery(
        service=values["service"],
        window=Interval(start, end),
        zone=zone,
        resource=values["resource"],
        party_size=values["party_size"],
    )


def read_explain(query: Mapping[str, str]) -> tuple[str, datetime]:
    """The service's slug and the instant that is asked about."""
    values = _read(ExplainParameters, query)
    return values["service"], values["at"]


def read_booking(body: Any) -> BookingRequest:
    values = _read(BookingRequestBody, body)
    return BookingRequest(**{**values, "customer": Customer(**values["customer"])})


def read_move(body: Any) -> MoveRequest:
    values = _read(MoveRequestBody, body)
    return MoveRequest(start_at=values["start_at"], resource=values["resource"])


def read_approval(body: Any) -> bool:
    """`book_over`: whether an outside event over the time is known, and it shall be confirmed all the same."""
    return bool(_read(ApprovalRequestBody, body)["book_over"])


def read_answer(body: Any) -> None:
    """A body that may hold the `version` of the booking as it was read, and nothing else."""
    _read(AnswerRequestBody, body)


def in_body(found: Mapping[str, str]) -> dict[str, str]:
    """What the operation says of fields, with the answers by their places in the body of a booking."""
    return {
        f"answers.{name.removeprefix(FIELD)}" if name.startswith(FIELD) else name: sentence
        for name, sentence in found.items()
    }


def mistakes(found: Mapping[str, str], *, in_query: bool) -> list[dict[str, str]]:
    """Each field that does not fit, with its place: a JSON pointer into the body, a parameter or a header."""
    return [{**_place(name, in_query=in_query), "detail": sentence} for name, sentence in found.items()]


def _place(name: str, *, in_query: bool) -> dict[str, str]:
    if name.replace("_", "-").lower() == "idempotency-key":
        return {"header": "Idempotency-Key"}
    if in_query:
        return {"parameter": name}
    inside, dot, rest = name.partition(".")
    is_customers = not dot and name in schema_of(CustomerRequest).fields  # as the operation names them
    path = () if name == "body" else ("customer", name) if is_customers else (inside, rest) if dot else (name,)
    return {"pointer": "#" + "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in path)}


def _read(declaration: type[Sent], sent: Any) -> dict[str, Any]:
    values, found = load(schema_of(declaration), sent)
    refuse(found)
    return values


def _edge(when: date | datetime | None, *, zone: str, is_end: bool) -> datetime | None:
    if when is None or isinstance(when, datetime):
        return when
    return datetime.combine(when + timedelta(days=is_end), time(), ZoneInfo(zone)).astimezone(UTC)
