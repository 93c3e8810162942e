"""What programs send and get, field by field. Takes parsed JSON and query strings, gives values or raises Invalid with a sentence per field."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from portal.availability.model import Slot
from portal.booking.questions import FIELD
from portal.booking.rules import Customer
from portal.booking.time.outside_events import Over
from portal.errors import Invalid
from portal.intervals import Interval
from portal.language.dates import is_zone

LONGEST_WINDOW = timedelta(days=92)
DEFAULT_WINDOW = timedelta(days=7)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_UNREADABLE = re.compile(r"[\x00\ud800-\udfff]")
_YEARS = range(2000, 2200)

SAYS_INSTANT = "Please give an instant with its offset, such as 2026-12-01T09:00:00Z or 2026-12-01T10:00:00+01:00."
SAYS_WHEN = "Please give a date, such as 2026-12-01, or an instant with its offset, such as 2026-12-01T09:00:00Z."
CUSTOMER_FIELDS = ("name", "email", "phone", "zone", "language", "note")


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


class Reader:
    """Reads fields one by one and collects what is wrong with them, so that a program hears of all mistakes at once."""

    def __init__(self, values: Mapping[str, Any], known: Collection[str], *, prefix: str = "") -> None:
        self._values, self._prefix = values, prefix
        self.errors: dict[str, str] = {}
        for name in values:
            if name not in known:
                self.refuse(str(name)[:50], f"There is no such field here. The fields are: {', '.join(known)}.")

    def refuse(self, name: str, sentence: str) -> None:
        self.errors.setdefault(self._prefix + name, sentence)

    def text(self, name: str, *, required: bool = False, longest: int = 200) -> str | None:
        value = self._values.get(name)
        if value is None or value == "":
            if required:
                self.refuse(name, "This field is required.")
            return None
        if not isinstance(value, str):
            self.refuse(name, "This must be a text.")
            return None
        if _UNREADABLE.search(value):
            self.refuse(name, "This holds characters that are no text (NUL, or half of a pair).")
            return None
        if len(value) > longest:
            self.refuse(name, f"Please use at most {longest} characters.")
            return None
        return value

    def whole_number(self, name: str, *, default: int) -> int:
        value = self._values.get(name, default)
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 7:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 10_000:
            self.refuse(name, "This must be a whole number, 1 or more.")
            return default
        return value

    def truth(self, name: str) -> bool:
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            self.refuse(name, "This must be true or false.")
            return False
        return value

    def instant(self, name: str) -> datetime | None:
        text = self.text(name, required=True)
        instant = parse_instant(text) if text else None
        if text and instant is None:
            self.refuse(name, SAYS_INSTANT)
        return instant

    def zone(self, name: str, *, default: str) -> str:
        zone = self.text(name) or default
        if not is_zone(zone):
            self.refuse(name, "There is no such time zone. Please give an IANA name, such as Europe/Madrid.")
            return default
        return zone

    def finish(self) -> None:
        """Raises Invalid when anything was refused."""
        if self.errors:
            raise Invalid("Something in this request does not fit; see the fields.", fields=self.errors)


def read_availability(query: Mapping[str, str], *, zone: str, now: datetime) -> AvailabilityQuery:
    """`from` and `to` are dates or instants; as dates they mean whole days in `zone`, both included. Missing, they mean a week from now."""
    reader = Reader(query, ("service", "from", "to", "resource", "zone", "party_size"))
    zone = reader.zone("zone", default=zone)
    service = reader.text("service", required=True) or ""
    start = _edge(reader, "from", zone=zone, is_end=False) or now
    end = _edge(reader, "to", zone=zone, is_end=True) or start + DEFAULT_WINDOW
    if end <= start:
        reader.refuse("to", "This must lie after “from”.")
    elif end - start > LONGEST_WINDOW:
        reader.refuse("to", f"Please ask for at most {LONGEST_WINDOW.days} days at once.")
    resource, party_size = reader.text("resource"), reader.whole_number("party_size", default=1)
    reader.finish()
    window = Interval(start, end)
    return AvailabilityQuery(service=service, window=window, zone=zone, resource=resource, party_size=party_size)


def read_explain(query: Mapping[str, str]) -> tuple[str, datetime]:
    """The service's slug and the instant that is asked about."""
    reader = Reader(query, ("service", "at"))
    service, instant = reader.text("service", required=True), reader.instant("at")
    reader.finish()
    assert service is not None
    assert instant is not None
    return service, instant


def read_booking(body: Any) -> BookingRequest:
    reader = Reader(_object(body), ("service", "start_at", "resource", "party_size", "customer", "answers"))
    service, start_at = reader.text("service", required=True), reader.instant("start_at")
    resource, party_size = reader.text("resource"), reader.whole_number("party_size", default=1)
    customer, answers = _customer(body, reader), _answers(body, reader)
    reader.finish()
    assert service is not None
    assert start_at is not None
    return BookingRequest(
        service=service, start_at=start_at, customer=customer, resource=resource, party_size=party_size, answers=answers
    )


def read_move(body: Any) -> MoveRequest:
    reader = Reader(_object(body), ("start_at", "resource", "version"))
    start_at, resource = reader.instant("start_at"), reader.text("resource")
    reader.text("version")
    reader.finish()
    assert start_at is not None
    return MoveRequest(start_at=start_at, resource=resource)


def read_approval(body: Any) -> bool:
    """`book_over`: whether an outside event over the time is known, and it shall be confirmed all the same."""
    reader = Reader(_object(body), ("book_over", "version"))
    book_over = reader.truth("book_over")
    reader.text("version")
    reader.finish()
    return book_over


def read_answer(body: Any) -> None:
    """A body that may hold the `version` of the booking as it was read, and nothing else."""
    reader = Reader(_object(body), ("version",))
    reader.text("version")
    reader.finish()


def parse_instant(text: str) -> datetime | None:
    """An aware UTC instant, or None. A plus sign that a query string turned into a space is forgiven."""
    text = text.strip().replace(" ", "+")
    if not _INSTANT.fullmatch(text) or int(text[:4]) not in _YEARS:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def in_body(fields: Mapping[str, str]) -> dict[str, str]:
    """What the operation says of fields, with the answers by their places in the body of a booking."""
    return {
        f"answers.{name.removeprefix(FIELD)}" if name.startswith(FIELD) else name: sentence
        for name, sentence in fields.items()
    }


def show_instant(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def show_optional(instant: datetime | None) -> str | None:
    return show_instant(instant) if instant else None


def show_events(events: Iterable[Over]) -> list[dict[str, Any]]:
    """Outside events over a time; `calendar` is None for one that only a last look has found. Titles are their calendars' own affair."""
    return [
        {
            "start_at": show_instant(event.start_at),
            "end_at": show_instant(event.end_at),
            "calendar": event.calendar or None,
        }
        for event in events
    ]


def show_slots(slots: Iterable[Slot], slugs: Mapping[int, str]) -> list[dict[str, Any]]:
    """Slots as the API tells them. `slugs` names the main resources by id."""
    return [
        {
            "start_at": show_instant(slot.interval.start),
            "end_at": show_instant(slot.interval.end),
            "resources": [slugs[i] for i in slot.choices if i in slugs],
            "seats_left": slot.seats_left,
        }
        for slot in slots
    ]


def _edge(reader: Reader, name: str, *, zone: str, is_end: bool) -> datetime | None:
    text = reader.text(name)
    if text is None:
        return None
    instant = _day_edge(text, zone=zone, is_end=is_end) if _DATE.fullmatch(text) else parse_instant(text)
    if instant is None:
        reader.refuse(name, SAYS_WHEN)
    return instant


def _day_edge(text: str, *, zone: str, is_end: bool) -> datetime | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    if day.year not in _YEARS:
        return None
    return datetime.combine(day + timedelta(days=is_end), time(), ZoneInfo(zone)).astimezone(UTC)


def _object(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object.", fields={"body": "This must be a JSON object, such as {…}."})
    return body


def _customer(body: Mapping[str, Any], reader: Reader) -> Customer:
    """Only the shape is checked here; the operation judges name, address and telephone number, as for the page."""
    value = body.get("customer")
    if not isinstance(value, dict):
        reader.refuse("customer", "This field is required: an object with “name” and “email”.")
        return Customer("", "")
    inner = Reader(value, CUSTOMER_FIELDS, prefix="customer.")
    texts = {name: inner.text(name, required=name in ("name", "email"), longest=2000) or "" for name in CUSTOMER_FIELDS}
    inner.zone("zone", default="UTC")
    reader.errors.update(inner.errors)
    return Customer(**texts)


def _answers(body: Mapping[str, Any], reader: Reader) -> Mapping[str, Any]:
    value = body.get("answers")
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > 50:
        reader.refuse("answers", "This must be an object of at most 50 texts, numbers or truth values.")
        return {}
    for name, answer in value.items():
        is_plain = answer is None or isinstance(answer, (str, int, float, bool))
        if not is_plain or len(name) > 100 or len(str(answer)) > 2000 or _UNREADABLE.search(f"{name}{answer}"):
            reader.refuse(
                f"answers.{name[:50]}", "Please answer with a text of at most 2000 characters, a number or true/false."
            )
    return value
