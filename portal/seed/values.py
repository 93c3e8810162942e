"""What stands in a seed file, as plain values. Pure. Times of day are minutes from local midnight, as in the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from portal.business.checks import Range

KINDS = ("staff", "room", "equipment")
ASSIGNMENTS = ("choose", "any", "all")
MEETINGS = ("google",)
TIMINGS = ("slots", "fixed")
LOCATION_KINDS = ("on-site", "online", "phone")
QUESTION_KINDS = ("text", "long", "number", "choice", "checkbox")
ROLES = ("busy", "destination")
PROVIDERS = ("caldav",)
BY_CONSENT = {
    "google": "A Google calendar is connected on the page /admin/integrations, because its owner has to consent"
}
WHEN_MOVED = ("follow", "ask", "put back")
WHEN_DELETED = ("ask", "cancel", "put back")
WHEN_UNREADABLE = ("pending", "stop", "keep")
PRIVACY = ("busy only", "initials", "full")

SEED_KEYS = {"needs_approval": "approval", "is_hidden": "hidden", "has_waitlist": "waitlist", "is_required": "required"}
"""Columns that are called otherwise in a seed file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedBusiness:
    name: str
    zone: str
    language: str
    email: str
    retention_days: int | None
    confirm_by_mail: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedCalendar:
    """`line` is where it stands, for what only the calendar's server can tell."""

    line: int
    provider: str
    url: str
    username: str
    password: str
    roles: tuple[str, ...]
    when_moved: str
    when_deleted: str
    when_unreadable: str
    privacy: str
    freshness: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedResource:
    slug: str
    kind: str
    name: str
    email: str
    zone: str
    hours: Mapping[int, tuple[Range, ...]]
    overrides: Mapping[date, tuple[Range, ...]]
    calendars: tuple[SeedCalendar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedQuestion:
    name: str
    label: str
    kind: str
    is_required: bool
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedDate:
    """A fixed appointment at `starts` minutes of that day, in the business's zone. Without a capacity it has the service's."""

    on: date
    starts: int
    capacity: int | None
    resource: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSeries:
    """A weekly series, as the table of that name has it; `resource` is a slug or empty."""

    weekday: int
    starts: int
    first_on: date
    last_on: date | None
    capacity: int | None
    resource: str
    except_on: tuple[date, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedService:
    """`lists[0]` are the main resources, each further list is one of `also_needs`. Other fields are called like the table's columns."""

    slug: str
    name: str
    description: str
    location: str
    location_kind: str
    meeting: str
    price: str
    timing: str
    duration: int
    step: int
    buffer_before: int
    buffer_after: int
    notice: int
    horizon: int
    capacity: int
    per_day: int | None
    per_week: int | None
    per_customer: int | None
    needs_approval: bool
    confirm_by_mail: bool
    is_hidden: bool
    assignment: str
    cancel_until: int
    move_until: int
    reminders: tuple[int, ...]
    has_waitlist: bool
    offer_minutes: int
    questions: tuple[SeedQuestion, ...]
    dates: tuple[SeedDate, ...]
    series: tuple[SeedSeries, ...]
    lists: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedFile:
    business: SeedBusiness
    resources: tuple[SeedResource, ...]
    services: tuple[SeedService, ...]
