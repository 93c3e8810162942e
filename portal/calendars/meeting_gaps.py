"""Services that promise a video meeting which no calendar would make: said by `lockstep doctor` and `lockstep seed`. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.business.models import Resource, Service
from portal.calendars.models import Calendar, Connection
from providers.kinds import kind_of, meeting_makers


def gaps(session: Session) -> list[str]:
    """A sentence for each such service. It can be booked all the same: its customers are told that they get the link from the staff."""
    services = session.scalars(
        select(Service).where(Service.is_active, Service.meeting != "").order_by(Service.position, Service.id)
    ).all()
    if not services:
        return []
    makers = _makers(session)
    names = dict(session.execute(select(Resource.id, Resource.name).where(Resource.is_active)).tuples().all())
    sentences = []
    for service in services:
        without = [names[i] for i in _without(_lists(service, names), service.assignment, makers)]
        if without:
            sentences.append(_sentence(service, without))
    return sentences


def _makers(session: Session) -> set[int]:
    """The resources whose bookings go into a calendar that makes links."""
    return set(
        session.scalars(
            select(Calendar.resource_id)
            .join(Connection, Connection.id == Calendar.connection_id)
            .where(Calendar.is_destination, Connection.provider.in_(meeting_makers()), Connection.leaving.is_(False))
        )
    )


def _lists(service: Service, active: Collection[int]) -> list[list[int]]:
    lists: dict[int, list[int]] = {}
    for need in service.needs:
        if need.resource_id in active:
            lists.setdefault(need.list_no, []).append(need.resource_id)
    return [lists[number] for number in sorted(lists)]


def _without(lists: Sequence[Sequence[int]], assignment: str, makers: Collection[int]) -> list[int]:
    """Those of the main list whose appointments may have no link. One maker is enough, be it the room."""
    main, *also = lists or [[]]
    if any(all(i in makers for i in one_of) for one_of in also):
        return []
    without = [i for i in main if i not in makers]
    return [] if assignment == "all" and len(without) < len(main) else without


def _sentence(service: Service, without: Sequence[str]) -> str:
    *first, last = without
    whose = f"{', '.join(first)} and {last}" if first else last
    maker = kind_of(service.meeting)
    return (
        f"“{service.name}” promises a {maker.meeting_name} link, but the bookings of {whose} go into no {maker.server} calendar, so they get none. "
        "Connect one on /admin/integrations and let it receive the bookings."
    )
