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

from portal.business.fields.base import Fields, declared
from portal.business.fields.business import BusinessFields, CalendarRules, ResourceFields
from portal.business.fields.service import QuestionFields, ServiceFields
from portal.business.models import Business, DateOverride, Resource, Service, ServiceQuestion
from portal.calendars.models import Calendar, Connection
from portal.errors import NotFound
from portal.seed.values import WEEKDAYS
from providers.kinds import kind_of

Table = tuple[str, dict[str, Any]]
"""A table inside of a service: its name and its values."""


def export_business(session: Session, *, dates_of: Callable[[Service], list[Table]] | None = None) -> str:
    """TOML text; `dates_of` gives the tables of a service's fixed dates and series, which stand with the bookings.

    Raises NotFound when there is no business yet.
    """
    business = session.get(Business, 1)
    if business is None:
        raise NotFound("There is no business yet. Load one with `lockstep seed`, or open the set-up link.")
    parts = ["[business]", *_pairs(_declared(business, BusinessFields))]
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


def _declared(row: Any, declaration: type[Fields]) -> dict[str, Any]:
    """The row's values by their keys in a file; what a left-out key means is left out."""
    values = {field.data_key or name: (field, getattr(row, name)) for name, field in declared(declaration).items()}
    return {key: value for key, (field, value) in values.items() if value != field.default}


def _resource(resource: Resource) -> list[str]:
    lines = _pairs(_declared(resource, ResourceFields))
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
        if not kind_of(calendar.connection.provider).may_be_seeded:
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
            **_declared(calendar, CalendarRules),
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
    lines = _pairs(_declared(service, ServiceFields))
    lines.append(f"resources = {_value(lists.pop(0, []))}")
    lines += [f"also_needs = {_value(list(lists.values()))}"] if lists else []
    return lines + [line for question in service.questions for line in _question(question)]


def _question(question: ServiceQuestion) -> list[str]:
    return ["", "[[service.question]]", *_pairs(_declared(question, QuestionFields))]


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
