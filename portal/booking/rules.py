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

HOLD = timedelta(minutes=5)
"""How long a time is kept while the form is filled in; may be extended once by as much."""

By = Literal["customer", "staff", "calendar"]
Command = Literal["confirm", "await", "approve", "refuse", "cancel", "move"]

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
}
_REFUSALS = {
    "held": "This time is only kept for a moment yet; it is not booked.",
    "pending": "This booking waits for an answer; that is not possible now.",
    "confirmed": "This booking is confirmed already.",
    "cancelled": "This booking is cancelled already.",
    "completed": "This appointment has taken place already.",
    "no_show": "This appointment is over.",
}
_ADDRESS = re.compile(r"[^@\s\x00-\x1f\x7f<>,;\"]+@[^@\s\x00-\x1f\x7f<>,;\"]+\.[^@\s\x00-\x1f\x7f<>,;\".]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_LONGEST = {"name": 200, "email": 254, "phone": 40, "zone": 64, "language": 8, "note": 2000}


@dataclass(frozen=True, slots=True)
class Customer:
    """Who books, as typed."""

    name: str
    email: str
    phone: str = ""
    zone: str = ""
    language: str = ""
    note: str = ""


def next_status(status: str, command: Command) -> str:
    """The status after `command`. Raises NotAllowedNow with a sentence about why it cannot be."""
    try:
        return TRANSITIONS[status, command]
    except KeyError:
        raise NotAllowedNow(_REFUSALS[status]) from None


def check_cut_off(start_at: datetime, *, minutes: int, now: datetime, verb: str) -> None:
    """A customer may `verb` ("cancel", "move") until so many minutes before the start. Raises TooLate."""
    if now >= start_at:
        raise TooLate(f"This appointment has begun already, so you can no longer {verb} it.")
    if now > start_at - timedelta(minutes=minutes):
        raise TooLate(f"You can {verb} only until {_in_words(minutes)} before the start. Please call us instead.")


def check_customer(customer: Customer) -> Customer:
    """The same customer, trimmed. Raises Invalid with a sentence per field."""
    values = {name: _tidy(str(value), multiline=name == "note") for name, value in asdict(customer).items()}
    fields: dict[str, str] = {}
    if not values["name"]:
        fields["name"] = "Please tell us your name."
    if not _ADDRESS.fullmatch(values["email"]):
        fields["email"] = "Please give an e-mail address like name@example.org; the confirmation goes there."
    if values["phone"] and not re.fullmatch(r"[\d\s()+./x-]{3,}", values["phone"]):
        fields["phone"] = "Please write the telephone number with digits, like +34 600 123 456."
    for name, longest in _LONGEST.items():
        if len(values[name]) > longest:
            fields.setdefault(name, f"Please use at most {longest} characters.")
    if fields:
        raise Invalid("Something is missing or does not fit yet.", fields=fields)
    return Customer(**values)


def check_key(key: str) -> str:
    """The digest under which an idempotency key is kept. Raises Invalid for one that is empty or absurdly long."""
    if not 1 <= len(key) <= 200:
        raise Invalid(
            "The idempotency key must have 1 to 200 characters.", fields={"idempotency_key": "1 to 200 characters"}
        )
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def request_digest(**content: Any) -> str:
    """A digest of what was asked for, to tell a repeat from another request under the same key."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def quanta(start_at: datetime, end_at: datetime) -> range:
    """The quantum numbers that `[start, end)` touches; one moved by hand to 10:07 takes the quanta around it whole."""
    first = int(start_at.timestamp()) // QUANTUM_SECONDS
    last = -(-int(end_at.timestamp()) // QUANTUM_SECONDS)
    return range(first, last)


def _tidy(text: str, *, multiline: bool) -> str:
    """No control characters: they have no place in mail headers, and PostgreSQL stores no NUL."""
    text = _CONTROL.sub("", text)
    if not multiline:
        text = " ".join(text.split())
    return text.strip()


def _in_words(minutes: int) -> str:
    if minutes % 1440 == 0 and minutes:
        return "1 day" if minutes == 1440 else f"{minutes // 1440} days"
    if minutes % 60 == 0 and minutes:
        return "1 hour" if minutes == 60 else f"{minutes // 60} hours"
    return f"{minutes} minutes"
