"""What is typed on the integrations page, checked field by field. Takes the form's values, gives values or raises Invalid."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from portal.business.fields import typed
from portal.business.fields.base import declared
from portal.business.fields.business import CalendarRules
from portal.calendars.models import Calendar
from portal.errors import Invalid
from providers.calendars.base import RemoteCalendar

_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
CHECK = "Please check what is marked."
UNTYPABLE = "The {} holds a character that cannot be typed, such as a line break or a tab. Please type it anew."


@dataclass(frozen=True, slots=True)
class Credentials:
    resource_id: int
    url: str
    username: str
    password: str


@dataclass(frozen=True, slots=True)
class Role:
    """One calendar that was chosen in the second step."""

    calendar: RemoteCalendar
    is_busy_source: bool
    is_destination: bool


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What is ticked when the second step is first shown, by the places of the calendars in the list."""

    busy: frozenset[int]
    destination: int | None


def suggest(found: Sequence[RemoteCalendar]) -> Suggestion:
    """All close times, and the first that can be written receives bookings. Where the account has a main calendar, that one does, and what can
    only be read (holidays, colleagues) is left out."""
    writable = [number for number, calendar in enumerate(found) if calendar.is_writable]
    primary = [number for number in writable if found[number].is_primary]
    busy = writable if primary else range(len(found))
    return Suggestion(frozenset(busy), next(iter(primary or writable), None))


def read_number(text: str | None) -> int | None:
    """An id from a hidden field or a list; None for anything that is none."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else None


def read_credentials(form: Mapping[str, str], *, resource_ids: Collection[int]) -> Credentials:
    """The first step of connecting. Raises Invalid with all fields that are wrong."""
    errors: dict[str, str] = {}
    resource_id = read_number(form.get("resource_id")) or 0
    if resource_id not in resource_ids:
        errors["resource_id"] = "Please choose whose calendars these are."
    url = _url(form.get("url", ""), errors)
    username = form.get("username", "").strip()
    if _CONTROL.search(username):
        errors["username"] = UNTYPABLE.format("user name")
    elif not username or len(username) > 300:
        errors["username"] = "Please enter the user name of the account, often an e-mail address."
    password = read_password(form, errors)
    if errors:
        raise Invalid(CHECK, fields=errors)
    return Credentials(resource_id, url, username, password)


def read_password(form: Mapping[str, str], errors: dict[str, str]) -> str:
    password = form.get("password", "")
    if _CONTROL.search(password):
        errors["password"] = UNTYPABLE.format("password")
    elif not password or len(password) > 1000:
        errors["password"] = "Please enter the password, or app password, of the account."
    return password


def read_roles(form: Mapping[str, str], found: Sequence[RemoteCalendar]) -> list[Role]:
    """Which of the listed calendars close times, and which one receives bookings. Raises Invalid when none was chosen."""
    destination = form.get("destination", "")
    roles = [
        Role(calendar, f"busy-{number}" in form, destination == str(number) and calendar.is_writable)
        for number, calendar in enumerate(found)
    ]
    chosen = [role for role in roles if role.is_busy_source or role.is_destination]
    if not chosen:
        raise Invalid(
            CHECK, fields={"destination": "Please choose at least one calendar, or one that receives bookings."}
        )
    return chosen


def read_rules(form: Mapping[str, str], *, present: Calendar | None = None) -> dict[str, Any]:
    """The rules of a calendar, as columns. What the form does not say stays as it is; one that says nothing of them is none. Raises Invalid
    with all that are wrong."""
    values, errors = typed.read(CalendarRules, form, present=present)
    if not declared(CalendarRules).keys() & form.keys():
        errors = {name: typed.CHOOSE for name, kind in declared(CalendarRules).items() if kind.input == "radio"}
    if errors:
        raise Invalid(CHECK, fields=errors)
    return values


def _url(text: str, errors: dict[str, str]) -> str:
    """The address with its scheme, https unless said otherwise. No user name inside: it would be shown, and logged by others."""
    text = text.strip()
    url = text if "://" in text or not text else f"https://{text}"
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 443) > 0
    except ValueError:
        is_good = False
    if not is_good or len(url) > 1000 or _UNPRINTABLE.search(url):
        errors["url"] = "Please enter the address of the calendar server, such as https://cloud.example.org."
    elif "@" in parts.netloc:
        errors["url"] = "Please leave the user name and password out of the address; they have fields of their own."
    return url
