"""What is typed on the account pages, checked field by field. Takes the form's values, gives values or raises Invalid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache

from portal.accounts.models import ROLES
from portal.accounts.passwords import weakness
from portal.errors import Invalid
from portal.language.dates import is_zone, zones_by_region
from portal.language.email_address import is_address
from portal.language.names import read_name

TOKEN_LIVES = "365"
LONGEST_TOKEN_DAYS = 3650
"""Days for which an API token is good unless somebody says otherwise, and at most unless it has no end."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What the holder of a set-up link chose. The business's fields are empty unless they were asked for."""

    name: str
    email: str
    password: str
    business_name: str = ""
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Invitation:
    email: str
    role: str
    resource_id: int | None


def clean_email(text: str) -> str:
    """The address in lower case, without spaces around it. Raises Invalid for field `email`."""
    email = text.strip().lower()
    if not is_address(email):
        raise Invalid(
            "Please check the e-mail address.",
            fields={"email": "Please enter an e-mail address, such as ana@studio.example."},
        )
    return email


def read_setup(form: Mapping[str, str], *, email: str, asks_for_business: bool) -> Setup:
    """The set-up form. `email` is the invited address, "" when the holder chooses one. Raises Invalid with all fields that are wrong."""
    errors: dict[str, str] = {}
    name = _required(form, "name", "Please enter your name.", errors)
    address = email or _email(form, errors)
    business_name = (
        _required(form, "business_name", "Please enter the name of the business.", errors) if asks_for_business else ""
    )
    zone = _zone(form, errors) if asks_for_business else ""
    password = _new_password(form, (name, address, business_name), errors)
    if errors:
        raise Invalid("Please check what is marked.", fields=errors)
    return Setup(name, address, password, business_name, zone)


def read_invitation(form: Mapping[str, str], *, resource_ids: frozenset[int]) -> Invitation:
    """The invitation form. A staff user is always one of the resources. Raises Invalid."""
    errors: dict[str, str] = {}
    email = _email(form, errors)
    role, resource_id = _role(form, resource_ids, errors)
    if errors:
        raise Invalid("Please check what is marked.", fields=errors)
    return Invitation(email, role, resource_id)


def read_role(form: Mapping[str, str], *, resource_ids: frozenset[int]) -> tuple[str, int | None]:
    """A role, and whose calendar belongs to it. Raises Invalid."""
    errors: dict[str, str] = {}
    role, resource_id = _role(form, resource_ids, errors)
    if errors:
        raise Invalid("Please check what is marked.", fields=errors)
    return role, resource_id


def read_expiry(text: str, *, now: datetime) -> datetime | None:
    """When an API token ends: after “90” days, at the end of “2027-06-30” (UTC), or never. Raises Invalid."""
    typed = text.strip().lower()
    if typed == "never":
        return None
    days = typed.removesuffix("days").removesuffix("d").strip()
    if days.isascii() and days.isdecimal() and 1 <= int(days[:6]) <= LONGEST_TOKEN_DAYS:
        return now + timedelta(days=int(days[:6]))
    try:
        ends_at = datetime.combine(date.fromisoformat(typed), time.max, tzinfo=UTC).replace(microsecond=0)
    except ValueError:
        ends_at = now
    if ends_at <= now:
        sentence = (
            f"Please give a number of days up to {LONGEST_TOKEN_DAYS}, a day to come such as 2030-06-30, or “never”."
        )
        raise Invalid(sentence, fields={"expires": sentence})
    return ends_at


def read_new_password(form: Mapping[str, str], *, about: tuple[str, ...]) -> str:
    """A new password, typed once or twice. Raises Invalid."""
    errors: dict[str, str] = {}
    password = _new_password(form, about, errors)
    if errors:
        raise Invalid("Please check what is marked.", fields=errors)
    return password


@cache
def zone_options() -> list[tuple[str, str]]:
    """The zones to choose from, as (name, text)."""
    names = [name for places in zones_by_region().values() for name, _city in places]
    return [("", "Please choose"), *((name, name.replace("_", " ")) for name in names)]


def _required(form: Mapping[str, str], name: str, sentence: str, errors: dict[str, str]) -> str:
    try:
        text = read_name(form.get(name, ""))
    except Invalid as error:
        errors[name] = str(error)
        return ""
    if not text:
        errors[name] = sentence
    return text


def _email(form: Mapping[str, str], errors: dict[str, str]) -> str:
    try:
        return clean_email(form.get("email", ""))
    except Invalid as error:
        errors.update(error.fields)
        return ""


def _role(form: Mapping[str, str], resource_ids: frozenset[int], errors: dict[str, str]) -> tuple[str, int | None]:
    role, text = form.get("role", ""), form.get("resource_id", "")
    resource_id = int(text) if text.isdecimal() and len(text) < 10 else None
    if role not in ROLES:
        errors["role"] = "Please choose a role."
    if text and resource_id not in resource_ids:
        errors["resource_id"] = "Please choose one from the list."
    if role == "staff" and not text:
        errors["resource_id"] = "Please choose whose calendar this person sees."
    return role, resource_id


def _zone(form: Mapping[str, str], errors: dict[str, str]) -> str:
    zone = form.get("zone", "")
    if not is_zone(zone):
        errors["zone"] = "Please choose a time zone from the list."
    return zone


def _new_password(form: Mapping[str, str], about: tuple[str, ...], errors: dict[str, str]) -> str:
    password = form.get("password", "")
    problem = weakness(password, about=about)
    if problem:
        errors["password"] = problem
    elif form.get("password_again", password) != password:
        errors["password_again"] = "The two passwords differ. Please type the same one twice."
    return password
