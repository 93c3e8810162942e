"""Who gives a fixed appointment: resources of the service's lists who have the time. Working hours do not matter, for staff set such times.

Taken is what other appointments claim and what outside events take. Called by `dates` and `series`, inside a transaction with the locks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.availability.resources import first_combination
from portal.booking import statements
from portal.booking.models import Appointment
from portal.booking.statements import rows
from portal.booking.time import claims
from portal.booking.time.demand import needed_lists
from portal.business.models import Resource, Service
from portal.errors import SlotTaken
from portal.intervals import Interval
from portal.language.say import say

Members = list[tuple[int, int]]
"""(list_no, resource_id), as an appointment has them."""
Busy = Mapping[int, Sequence[Interval]]


def choose_members(
    session: Session, service: Service, interval: Interval, *, resource_id: int | None, busy: Busy
) -> Members:
    """The first of the service's lists who have the time; `resource_id` names the main one. `busy` is what a last look found besides.

    Raises SlotTaken with a sentence that names who has no time.
    """
    main, *also = needed_lists(session, service.id)
    if resource_id is not None:
        main = [i for i in main if i == resource_id]
    taken = find_taken(session, {*main, *chain.from_iterable(also)}, claims.claimed_by(service, interval), busy=busy)
    free = [[i for i in ids if i not in taken] for ids in also]
    if service.assignment == "all":
        combination = first_combination(free, main) if main and taken.isdisjoint(main) else None
        if combination is not None:
            return [*((0, i) for i in main), *enumerate(combination, start=1)]
    else:
        found = first_combination([[i for i in main if i not in taken], *free])
        if found is not None:
            return list(enumerate(found))
    raise SlotTaken(_who_is_taken(session, taken))


def check_free(session: Session, appointment: Appointment, interval: Interval, *, busy: Busy) -> None:
    """Those who give the appointment have the time at its new place, but for the appointment itself. Raises SlotTaken."""
    before = appointment.start_at - appointment.claim_start_at
    after = appointment.claim_end_at - appointment.end_at
    ids = {row.resource_id for row in appointment.resources}
    taken = find_taken(session, ids, interval.widened(before=before, after=after), busy=busy, own=(appointment.id,))
    if taken:
        raise SlotTaken(_who_is_taken(session, taken))


def find_taken(
    session: Session, ids: Collection[int], claimed: Interval, *, busy: Busy, own: Collection[int] = ()
) -> set[int]:
    """Which of these resources have no time then; appointments of `own` do not count."""
    if not ids:
        return set()
    reached = {"ids": list(ids), "start": claimed.start, "end": claimed.end}
    taken = {row.resource_id for row in rows(session, statements.taken(), **reached) if row.appointment_id not in own}
    taken |= {row.resource_id for row in rows(session, statements.outside(), **reached)}
    return taken | {i for i, intervals in busy.items() if any(each.overlaps(claimed) for each in intervals)}


def _who_is_taken(session: Session, taken: Collection[int]) -> str:
    names = session.scalars(select(Resource.name).where(Resource.id.in_(taken)).order_by(Resource.position)).all()
    if not names:
        return say("Nobody who gives this service is there for it.")
    return say("No time then: %(names)s.", names=", ".join(names))
