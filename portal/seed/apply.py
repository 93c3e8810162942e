"""Puts a seed file into the database: all of it or nothing, and again whenever the file has changed.

What the file names is made equal to it (a key that is left out means its default); what it does not name is left alone. Existing bookings
keep their time and their resources, whatever changes here. Called by `lockstep seed` and the demo.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.business.models import (
    Business,
    DateOverride,
    Resource,
    Service,
    ServiceQuestion,
    ServiceResource,
    WeeklyHours,
)
from portal.business.services import TOLD_IN_CALENDARS
from portal.calendars.rewrite import rewrite_service
from portal.database.engine import read_transaction, transaction
from portal.seed.apply_calendars import Proof, apply_calendars, prove_calendars
from portal.seed.changes import set_values
from portal.seed.file import read_seed_file
from portal.seed.values import WEEKDAYS, Range, SeedFile, SeedResource, SeedService, Values


def seed(text: str, *, name: str, environ: Mapping[str, str]) -> list[str]:
    """Make the business equal to the seed file `text`, called `name` in messages. Gives what changed, as sentences.

    Calendars that are new, or whose password is, are asked first, with no transaction open. Raises Invalid with the line of
    what is wrong, network and password troubles included; nothing was changed then.
    """
    slugs = read_transaction(lambda session: session.scalars(select(Resource.slug)).all())
    file = read_seed_file(text, name=name, environ=environ, known_resources=slugs)
    proofs = prove_calendars(file, name=name)
    return transaction(lambda session: _apply(session, file, proofs))


def _apply(session: Session, file: SeedFile, proofs: Sequence[Proof]) -> list[str]:
    changes: list[str] = []
    _apply_business(session, file.business, changes)
    for position, wanted in enumerate(file.resources):
        _apply_resource(session, wanted, position, changes)
    session.flush()
    ids = dict(session.execute(select(Resource.slug, Resource.id)).tuples().all())
    for position, service in enumerate(file.services):
        _apply_service(session, service, position, ids, changes)
    apply_calendars(session, proofs, ids, changes)
    return changes


def _apply_business(session: Session, values: Values, changes: list[str]) -> None:
    business = session.get(Business, 1)
    if business is None:
        session.add(Business(id=1, instance_id=secrets.token_hex(8), **values))
        changes.append(f"business {values['name']}: new")
    else:
        if business.language != values["language"]:  # it is the language of the events, too
            for service_id in session.scalars(select(Service.id)):
                rewrite_service(session, service_id)
        set_values(business, "business", values, changes)


def _apply_resource(session: Session, wanted: SeedResource, position: int, changes: list[str]) -> None:
    label = f"resource {wanted.slug}"
    values = {**wanted.values, "position": position, "is_active": True}
    resource = session.scalar(select(Resource).where(Resource.slug == wanted.slug))
    if resource is None:
        resource = Resource(slug=wanted.slug, **values)
        session.add(resource)
        changes.append(f"{label}: new")
        _apply_hours(resource, wanted, label, [])
        _apply_overrides(resource, wanted, label, [])
    else:
        set_values(resource, label, values, changes)
        _apply_hours(resource, wanted, label, changes)
        _apply_overrides(resource, wanted, label, changes)


def _apply_hours(resource: Resource, wanted: SeedResource, label: str, changes: list[str]) -> None:
    for weekday, name in enumerate(WEEKDAYS):
        rows = [row for row in resource.weekly_hours if row.weekday == weekday]
        old = [(row.starts, row.ends) for row in rows]
        new = list(wanted.hours.get(weekday, ()))
        if old != new:
            changes.append(f"{label}: {name} {_ranges(old)} -> {_ranges(new)}")
            _replace(resource.weekly_hours, rows, [WeeklyHours(weekday=weekday, starts=a, ends=b) for a, b in new])


def _apply_overrides(resource: Resource, wanted: SeedResource, label: str, changes: list[str]) -> None:
    present: dict[date, list[DateOverride]] = {}
    for row in resource.date_overrides:
        present.setdefault(row.on_date, []).append(row)
    for day in sorted(present.keys() | wanted.overrides.keys()):
        rows = present.get(day, [])
        old = (
            [(row.starts, row.ends) for row in rows if row.starts is not None and row.ends is not None]
            if rows
            else None
        )
        new = list(wanted.overrides[day]) if day in wanted.overrides else None
        if old != new:
            changes.append(f"{label}: {day} {_day(old)} -> {_day(new)}")
            _replace(resource.date_overrides, rows, _override_rows(day, new))


def _override_rows(day: date, ranges: list[Range] | None) -> list[DateOverride]:
    if ranges is None:
        return []
    return [DateOverride(on_date=day, starts=a, ends=b) for a, b in ranges] or [DateOverride(on_date=day)]


def _apply_service(
    session: Session, wanted: SeedService, position: int, ids: Mapping[str, int], changes: list[str]
) -> None:
    label = f"service {wanted.slug}"
    values = {**wanted.values, "position": position, "is_active": True}
    service = session.scalar(select(Service).where(Service.slug == wanted.slug))
    if service is None:
        service = Service(slug=wanted.slug, **values)
        session.add(service)
        changes.append(f"{label}: new")
        _apply_lists(session, service, wanted, ids, label, [])
        _apply_questions(service, wanted, label, [])
    else:
        told = [getattr(service, name) for name in TOLD_IN_CALENDARS]
        set_values(service, label, values, changes)
        if told != [getattr(service, name) for name in TOLD_IN_CALENDARS]:
            rewrite_service(session, service.id)
        _apply_lists(session, service, wanted, ids, label, changes)
        _apply_questions(service, wanted, label, changes)


def _apply_lists(
    session: Session, service: Service, wanted: SeedService, ids: Mapping[str, int], label: str, changes: list[str]
) -> None:
    slugs = {resource_id: slug for slug, resource_id in ids.items()}
    count = max((need.list_no for need in service.needs), default=-1) + 1
    old = tuple(tuple(slugs[n.resource_id] for n in service.needs if n.list_no == number) for number in range(count))
    if old == wanted.lists:
        return
    for name, before, after in (("resources", old[:1], wanted.lists[:1]), ("also_needs", old[1:], wanted.lists[1:])):
        if before != after:
            changes.append(f"{label}: {name} {_lists(before)} -> {_lists(after)}")
    service.needs.clear()
    session.flush()  # the old rows must be gone before new ones with the same key come
    for list_no, names in enumerate(wanted.lists):
        for place, slug in enumerate(names):
            service.needs.append(ServiceResource(resource_id=ids[slug], list_no=list_no, position=place))


def _apply_questions(service: Service, wanted: SeedService, label: str, changes: list[str]) -> None:
    """By name: answers that were given keep their question."""
    present = {row.name: row for row in service.questions}
    for name in sorted(present.keys() - {question["name"] for question in wanted.questions}):
        changes.append(f"{label}: question {name} removed")
        service.questions.remove(present[name])
    for position, question in enumerate(wanted.questions):
        name, values = question["name"], {**question, "position": position}
        if name in present:
            set_values(present[name], f"{label}: question {name}", values, changes)
        else:
            changes.append(f"{label}: question {name} new")
            service.questions.append(ServiceQuestion(**values))


def _replace(rows: list[Any], old: Iterable[Any], new: Iterable[Any]) -> None:
    for row in old:
        rows.remove(row)
    rows.extend(new)


def _ranges(ranges: Sequence[Range]) -> str:
    return ", ".join(f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in ranges) or "closed"


def _day(ranges: Sequence[Range] | None) -> str:
    return "weekly hours" if ranges is None else _ranges(ranges)


def _lists(lists: Sequence[Sequence[str]]) -> str:
    return " and ".join(" or ".join(names) for names in lists) or "nothing"
