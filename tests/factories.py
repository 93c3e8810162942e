"""Small, believable things for tests. Each function writes, commits and returns what it made; what is not named gets a sensible value."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from portal.business.models import (
    Business,
    DateOverride,
    Resource,
    Service,
    ServiceQuestion,
    ServiceResource,
    WeeklyHours,
)
from portal.calendars.models import Calendar, Connection
from portal.extensions import db

_numbers = itertools.count(1)
OFFICE_HOURS = {day: [(9 * 60, 17 * 60)] for day in range(5)}


def make_business(**values: Any) -> Business:
    defaults = {
        "id": 1,
        "name": "Studio Ana",
        "zone": "Europe/Madrid",
        "language": "en",
        "instance_id": secrets.token_hex(8),
    }
    return _saved(Business(**{**defaults, **values}))


def make_resource(
    *,
    weekly: Mapping[int, Sequence[tuple[int, int]]] | None = None,
    overrides: Mapping[Any, Sequence[tuple[int, int]]] | None = None,
    **values: Any,
) -> Resource:
    """A member of staff in Madrid, Monday to Friday 9 to 17, unless told otherwise. Times are minutes from midnight."""
    number = next(_numbers)
    defaults = {"slug": f"ana-{number}", "kind": "staff", "name": f"Ana {number}", "zone": "Europe/Madrid"}
    resource = Resource(**{**defaults, **values})
    for weekday, ranges in (OFFICE_HOURS if weekly is None else weekly).items():
        resource.weekly_hours += [WeeklyHours(weekday=weekday, starts=a, ends=b) for a, b in ranges]
    for on_date, ranges in (overrides or {}).items():
        rows = [DateOverride(on_date=on_date, starts=a, ends=b) for a, b in ranges] or [DateOverride(on_date=on_date)]
        resource.date_overrides += rows
    return _saved(resource)


def make_service(*lists: Sequence[Resource], **values: Any) -> Service:
    """A half-hour service. The first list holds the main resources, each further list needs one of its own."""
    if Business.query.first() is None:  # type: ignore[attr-defined]
        make_business()
    number = next(_numbers)
    defaults = {
        "slug": f"consultation-{number}",
        "name": "Consultation",
        "duration": 30,
        "step": 30,
        "notice": 0,
        "horizon": 60,
    }
    service = Service(**{**defaults, **values})
    for list_no, resources in enumerate(lists or ([make_resource()],)):
        for position, resource in enumerate(resources):
            service.needs.append(ServiceResource(resource_id=resource.id, list_no=list_no, position=position))
    return _saved(service)


def ask(service: Service, name: str, **values: Any) -> ServiceQuestion:
    """A question of the service, of kind text and not required unless told otherwise."""
    question = ServiceQuestion(service_id=service.id, name=name, **{"label": name.capitalize() + "?", **values})
    return _saved(question)


def make_calendar(resource: Resource, *, provider: str = "memory", url: str = "", **values: Any) -> Calendar:
    """A connected calendar, busy source and destination, in the memory provider unless told otherwise."""
    number = next(_numbers)
    account = {"url": url or f"memory-{number}", "username": resource.slug}
    connection = Connection(resource_id=resource.id, provider=provider, account=account)
    defaults = {
        "resource_id": resource.id, "remote_id": "bookings", "name": "Bookings", "zone": resource.zone,
        "is_busy_source": True, "is_destination": True,
    }  # fmt: skip
    calendar = Calendar(connection=connection, **{**defaults, **values})
    return _saved(calendar)


def _saved(row: Any) -> Any:
    db.session.add(row)
    db.session.commit()
    return row
