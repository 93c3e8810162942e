"""The business as a seed file: what `lockstep export` writes and `lockstep seed` reads.

Passwords are left out: each calendar names an environment variable instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.business.models import Business, DateOverride, Resource, Service, ServiceQuestion
from portal.calendars.models import Calendar, Connection
from portal.errors import NotFound
from portal.seed.file import WEEKDAYS
from portal.seed.values import SEED_KEYS

_SERVICE_KEYS = (
    "slug", "name", "description", "location", "meeting", "duration", "step", "buffer_before", "buffer_after", "notice", "horizon",
    "capacity", "assignment", "cancel_until", "move_until",
)  # fmt: skip
_RULES = (
    ("location_kind", ""), ("price", ""), ("timing", "slots"), ("per_day", None), ("per_week", None), ("per_customer", None),
    ("needs_approval", False), ("is_hidden", False), ("reminders", [1440]), ("has_waitlist", False), ("offer_minutes", 240),
    ("confirm_by_mail", False),
)  # fmt: skip
"""Columns with their defaults, which need not be written."""
Table = tuple[str, dict[str, Any]]
"""A table inside of a service: its name and its values."""
_CALENDAR_RULES = ("when_moved", "when_deleted", "when_unreadable", "privacy", "freshness")


def export_business(session: Session, *, dates_of: Callable[[Service], list[Table]] | None = None) -> str:
    """TOML text; `dates_of` gives the tables of a service's fixed dates and series, which stand with the bookings.

    Raises NotFound when there is no business yet.
    """
    business = session.get(Business, 1)
    if business is None:
        raise NotFound("There is no business yet. Load one with `lockstep seed`, or open the set-up link.")
    parts = ["[business]", *_business(business), *_pairs({"email": business.email})]
    resources = session.scalars(
        select(Resource).where(Resource.is_active).order_by(Resource.position, Resource.id)
    ).all()
    for resource in resources:
        parts += ["", "[[resource]]", *_resource(resource), *_calendars(session, resource)]
    slugs = {resource.id: resource.slug for resource in resources}
    for service in session.scalars(select(Service).where(Service.is_active).order_by(Service.position, Service.id)):
        parts += ["", "[[service]]", *_service(service, slugs)]
        for name, values in dates_of(service) if dates_of else ():
            parts += ["", f"[[service.{name}]]", *_pairs(values)]
    return "\n".join(parts) + "\n"


def _business(business: Business) -> list[str]:
    names = ("name", "zone", "language", "retention_days")
    rules = {"confirm_by_mail": True} if business.confirm_by_mail else {}
    return _pairs({name: getattr(business, name) for name in names} | rules)


def _resource(resource: Resource) -> list[str]:
    names = ("slug", "kind", "name", "email", "zone")
    lines = _pairs({name: getattr(resource, name) for name in names})
    hours: dict[str, list[str]] = {}
    for row in resource.weekly_hours:
        hours.setdefault(WEEKDAYS[row.weekday], []).append(_range(row.starts, row.ends))
    if hours:
        lines.append(f"hours = {_inline(hours)}")
    return lines + _overrides(resource.date_overrides)


def _overrides(rows: Iterable[DateOverride]) -> list[str]:
    closed: list[str] = []
    others: dict[str, list[str]] = {}
    for row in rows:
        if row.starts is None or row.ends is None:
            closed.append(str(row.on_date))
        else:
            others.setdefault(str(row.on_date), []).append(_range(row.starts, row.ends))
    lines = [f"closed = {_value(closed)}"] if closed else []
    return lines + ([f"overrides = {_inline(others)}"] if others else [])


def _calendars(session: Session, resource: Resource) -> list[str]:
    lines: list[str] = []
    in_use = (Calendar.resource_id == resource.id, Connection.leaving.is_(False))
    calendars = select(Calendar).join(Connection).where(*in_use).order_by(Calendar.id)
    for number, calendar in enumerate(session.scalars(calendars)):
        if calendar.connection.provider != "caldav":
            continue
        roles = [
            name for name, has in (("busy", calendar.is_busy_source), ("destination", calendar.is_destination)) if has
        ]
        values = {
            "provider": calendar.connection.provider,
            "url": calendar.remote_id,
            "username": calendar.connection.account.get("username", ""),
            "password_env": _variable(resource.slug, number),
            "roles": roles,
            **{name: getattr(calendar, name) for name in _CALENDAR_RULES},
        }
        lines += ["", "[[resource.calendar]]", *_pairs(values)]
    return lines


def _variable(slug: str, number: int) -> str:
    name = slug.upper().replace("-", "_") + "_CALDAV_PASSWORD"
    return f"{name}_{number + 1}" if number else name


def _service(service: Service, slugs: dict[int, str]) -> list[str]:
    lists: dict[int, list[str]] = {}
    for need in service.needs:
        if need.resource_id in slugs:
            lists.setdefault(need.list_no, []).append(slugs[need.resource_id])
    lines = _pairs({name: getattr(service, name) for name in _SERVICE_KEYS})
    rules = {name: getattr(service, name) for name, default in _RULES if getattr(service, name) != default}
    lines += _pairs({SEED_KEYS.get(name, name): value for name, value in rules.items()})
    lines.append(f"resources = {_value(lists.pop(0, []))}")
    lines += [f"also_needs = {_value(list(lists.values()))}"] if lists else []
    return lines + [line for question in service.questions for line in _question(question)]


def _question(question: ServiceQuestion) -> list[str]:
    values: dict[str, Any] = {"name": question.name, "label": question.label, "kind": question.kind}
    values |= {"required": True} if question.is_required else {}
    values |= {"choices": question.choices} if question.choices else {}
    return ["", "[[service.question]]", *_pairs(values)]


def _pairs(values: dict[str, Any]) -> list[str]:
    return [f"{name} = {_value(value)}" for name, value in values.items() if value not in ("", None)]


def _value(value: Any) -> str:
    """Texts, numbers and lists are written in TOML as in JSON; only DEL must be escaped in addition."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _inline(table: dict[str, list[str]]) -> str:
    return "{ " + ", ".join(f"{_key(name)} = {_value(ranges)}" for name, ranges in table.items()) + " }"


def _key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else _value(name)


def _range(starts: int, ends: int) -> str:
    return f"{starts // 60:02}:{starts % 60:02}-{ends // 60:02}:{ends % 60:02}"
