"""Makes a service equal to what staff wrote into its form, inside the caller's transaction. Bookings keep their time and their people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.business.models import Service, ServiceQuestion, ServiceResource

TOLD_IN_CALENDARS = frozenset({"name", "location", "location_kind", "meeting"})
"""Columns of which the events in the calendars tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedService:
    """`values` are columns of the service; `lists` are ids of resources, list by list, the main one first; `questions` columns of each."""

    slug: str
    values: Mapping[str, Any]
    lists: tuple[tuple[int, ...], ...]
    questions: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Edited:
    """The service, and which of its columns are others now."""

    service: Service
    changed: frozenset[str]


def apply(session: Session, service: Service | None, wanted: WantedService) -> Edited:
    """Write it; without a service, a new one at the end of the list."""
    if service is None:
        last = session.scalar(select(func.max(Service.position)))
        service = Service(slug=wanted.slug, position=0 if last is None else last + 1, **wanted.values)
        session.add(service)
        changed = frozenset(wanted.values)
    else:
        present = service
        changed = frozenset(name for name, value in wanted.values.items() if getattr(present, name) != value)
        for name in changed:
            setattr(service, name, wanted.values[name])
    _apply_lists(session, service, wanted)
    _apply_questions(session, service, wanted.questions)
    session.flush()
    return Edited(service, changed)


def keep_order(wanted: Sequence[int], present: Sequence[int]) -> list[int]:
    """The wanted ids, those that are there already in their old order and the new ones after them: checkboxes know no order."""
    return [id_ for id_ in present if id_ in wanted] + [id_ for id_ in wanted if id_ not in present]


def _apply_lists(session: Session, service: Service, wanted: WantedService) -> None:
    present: dict[int, list[int]] = {}
    for need in service.needs:
        present.setdefault(need.list_no, []).append(need.resource_id)
    lists = [keep_order(ids, present.get(number, [])) for number, ids in enumerate(wanted.lists)]
    if lists == [present.get(number, []) for number in range(max(present, default=-1) + 1)]:
        return
    service.needs.clear()
    session.flush()  # the old rows must be gone before new ones with the same key come
    for list_no, ids in enumerate(lists):
        for place, resource_id in enumerate(ids):
            service.needs.append(ServiceResource(resource_id=resource_id, list_no=list_no, position=place))


def _apply_questions(session: Session, service: Service, wanted: Sequence[Mapping[str, Any]]) -> None:
    """By name: answers that were given keep their question."""
    present = {row.name: row for row in service.questions}
    for name in present.keys() - {question["name"] for question in wanted}:
        service.questions.remove(present[name])
    for position, question in enumerate(wanted):
        row = present.get(question["name"])
        if row is None:
            row = ServiceQuestion(name=question["name"])
            service.questions.append(row)
        for name, value in {**question, "position": position}.items():
            setattr(row, name, value)
    session.flush()
    session.expire(service, ["questions"])
