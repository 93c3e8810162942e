"""What may become of a booking, and when. Pure: values in, a value or a domain error out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from portal.errors import Invalid, NotAllowedNow, TooLate
from portal.intervals import QUANTUM_SECONDS
from portal.language import dates, email_address
from portal.language.email_address import is_address
from portal.language.names import read_name
from portal.language.say import say, say_later

HOLD = timedelta(minutes=5)
"""How long a time is kept while the form is filled in; may be extended once by as much."""

By = Literal["customer", "staff", "calendar", "portal"]
Command = Literal["confirm", "await", "approve", "refuse", "cancel", "move", "ask again", "attend", "miss"]

# (status, command) -> the new status. What is not in here is not allowed.
TRANSITIONS: Mapping[tuple[str, Command], str] = {
    ("held", "confirm"): "confirmed",
    ("held", "await"): "pending",
    ("pending", "approve"): "confirmed",
    ("pending", "refuse"): "cancelled",
    ("pending", "cancel"): "cancelled",
    ("pending", "move"): "pending",
    ("confirmed", "cancel"): "cancelled",
    ("confirmed", "move"): "confirmed",
    ("confirmed", "ask again"): "pending",
    ("confirmed", "attend"): "completed",
    ("confirmed", "miss"): "no_show",
    ("completed", "miss"): "no_show",
    ("no_show", "attend"): "completed",
}
_REFUSALS = {
    "held": say_later("This time is only kept for a moment yet; it is not booked."),
    "pending": say_later("This booking waits for an answer; that is not possible now."),
    "confirmed": say_later("This booking is confirmed already."),
    "cancelled": say_later("This booking is cancelled already."),
    "completed": say_later("This appointment has taken place already."),
    "no_show": say_later("This appointment is over."),
}
# What a customer may do until the cut-off: the sentence once the appointment has begun, and the one before that.
_CUT_OFFS = {
    "cancel": (
        say_later("This appointment has begun already, so you can no longer cancel it."),
        say_later("You can cancel only until %(duration)s before the start. Please call us instead."),
    ),
    "move": (
        say_later("This appointment has begun already, so you can no longer move it."),
        say_later("You can move only until %(duration)s before the start. Please call us instead."),
    ),
}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_LONGEST = {"name": 200, "email": email_address.LONGEST, "phone": 40, "zone": 64, "language": 8, "note": 2000}


@dataclass(frozen=True, slots=True)
class Customer:
    """Who books, as typed."""

    name: str
    email: str
    phone: str = ""
    zone: str = ""
    language: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """Who sends idempotency keys, and since when: a program with a token of its own."""

    name: str
    since: datetime


def next_status(status: str, command: Command) -> str:
    """The status after `command`. Raises NotAllowedNow with a sentence about why it cannot be."""
    try:
        return TRANSITIONS[status, command]
    except KeyError:
        raise NotAllowedNow(say(_REFUSALS[status])) from None


def check_approval(status: str, start_at: datetime, *, reason: str, now: datetime) -> None:
    """A request may be approved until its start; from then on the portal refuses it by itself. Raises NotAllowedNow."""
    next_status(status, "approve")
    if reason == "approval" and now >= start_at:
        raise NotAllowedNow("This time has begun already, so the request is over: it was not answered in time.")


def cut_off(minutes: int, *, reason: str) -> int:
    """The cut-off of a booking: none while it is a request, for nothing is agreed yet. `reason` is what it waits for."""
    return 0 if reason == "approval" else minutes


def check_cut_off(start_at: datetime, *, minutes: int, now: datetime, verb: str) -> None:
    """A customer may `verb` ("cancel", "move") until so many minutes before the start. Raises TooLate."""
    begun, late = _CUT_OFFS[verb]
    if now >= start_at:
        raise TooLate(say(begun))
    if now > start_at - timedelta(minutes=minutes):
        raise TooLate(say(late, duration=dates.duration(minutes)))


def check_attendance(start_at: datetime, *, now: datetime) -> None:
    """Whether somebody came is known from the start on. Raises NotAllowedNow."""
    if now < start_at:
        raise NotAllowedNow("This appointment has not begun yet, so nobody can have come or missed it.")


def check_customer(customer: Customer, *, needs_phone: bool = False) -> Customer:
    """The same customer, trimmed. `needs_phone` is for services where they are called. Raises Invalid with a sentence per field."""
    values = {name: tidy(str(value), multiline=name == "note") for name, value in asdict(customer).items()}
    fields: dict[str, str] = {}
    try:
        values["name"] = read_name(str(customer.name), longest=_LONGEST["name"])
        if not values["name"]:
            fields["name"] = say("Please tell us your name.")
    except Invalid as error:
        fields["name"] = str(error)
    if not is_address(values["email"]):
        fields["email"] = say("Please give an e-mail address like name@example.org; the confirmation goes there.")
    if values["phone"] and not re.fullmatch(r"[\d\s()+./x-]{3,}", values["phone"]):
        fields["phone"] = say("Please write the telephone number with digits, like +34 600 123 456.")
    if needs_phone and not values["phone"]:
        fields["phone"] = say("Please give the telephone number on which we reach you: we call you.")
    for name, longest in _LONGEST.items():
        if len(values[name]) > longest:
            fields.setdefault(name, say("Please use at most %(number)s characters.", number=longest))
    if fields:
        raise Invalid(say("Something is missing or does not fit yet."), fields=fields)
    return Customer(**values)


def tidy(text: str, *, multiline: bool) -> str:
    """The text without control characters: they have no place in mail headers, and PostgreSQL stores no NUL."""
    text = _CONTROL.sub("", text)
    if not multiline:
        text = " ".join(text.split())
    return text.strip()


def check_key(key: str, *, owner: KeyOwner | None = None) -> str:
    """The digest under which an idempotency key is kept: the same key of another owner is another one. Raises Invalid for one that is empty or
    absurdly long."""
    if not 1 <= len(key) <= 200:
        raise Invalid(
            "The idempotency key must have 1 to 200 characters.", fields={"idempotency_key": "1 to 200 characters"}
        )
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return hashlib.sha256(f"{owner.name}\n{digest}".encode()).hexdigest() if owner else digest


def request_digest(**content: Any) -> str:
    """A digest of what was asked for, to tell a repeat from another request under the same key."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def quanta(start_at: datetime, end_at: datetime) -> range:
    """The quantum numbers that `[start, end)` touches; one moved by hand to 10:07 takes the quanta around it whole."""
    first = int(start_at.timestamp()) // QUANTUM_SECONDS
    last = -(-int(end_at.timestamp()) // QUANTUM_SECONDS)
    return range(first, last)
