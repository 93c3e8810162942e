"""Which slots can be booked: the question that the page asks, and that a hold asks again under the lock. Pure.

Called by `booking/time/queries.py` for pages and the API and by `booking/operations.py` inside the transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain

from portal.availability.hours import to_instants, to_seconds, wall_clock
from portal.availability.model import Demand, OpenAppointment, Slot
from portal.availability.resources import (
    Agenda,
    Crew,
    first_combination,
    gather,
    search_between,
    whose,
)
from portal.intervals import Interval

_Ids = tuple[int, ...]
_Order = tuple[_Ids, Interval, _Ids, int, int]


def offer_slots(demand: Demand, *, now: datetime) -> list[Slot]:
    """Every slot that can be booked at `now` and starts within the demand's window, sorted, one for each start.

    Where a standing group appointment with room and a new one could start at the same instant, the standing one is
    offered: it fills first.
    """
    first, last = offered_span(demand, now)
    if first >= last:
        return []
    new, standing = _new_slots(demand, first, last), _standing_slots(demand, first, last)
    if not standing:
        return new
    by_start = {slot.interval.start: slot for slot in chain(new, standing)}
    return sorted(by_start.values())


def is_offered(demand: Demand, interval: Interval, *, now: datetime) -> Slot | None:
    """The slot of exactly that interval if it can be booked at `now`, else None.

    The same engine with a narrowed window, so page and transaction cannot disagree. Outside the demand's window the
    answer is None, for there the demand may not know what is taken.
    """
    for slot in offer_slots(at_instant(demand, interval.start), now=now):
        if slot.interval == interval:
            return slot
    return None


def at_instant(demand: Demand, instant: datetime) -> Demand:
    """The same demand for a single start; its window is empty if the instant lies outside the old one."""
    start = max(demand.window.start, instant)
    end = min(demand.window.end, instant + timedelta.resolution)
    return replace(demand, window=Interval(start, end))


def offered_span(demand: Demand, now: datetime) -> tuple[datetime, datetime]:
    """From the first instant at which a slot may start to the one at which none may any more."""
    rules = demand.rules
    return max(demand.window.start, now + rules.notice), min(demand.window.end, now + rules.horizon)


def _new_slots(demand: Demand, first: datetime, last: datetime) -> list[Slot]:
    search = search_between(to_seconds(first), to_seconds(last), demand.rules)
    if search.earliest >= search.latest or demand.is_fixed or demand.party_size > demand.capacity:
        return []
    duration, capacity, has_limits = demand.rules.duration, demand.capacity, demand.rules.has_limits
    found = list(served(demand, gather(demand, search)))
    starts = to_instants(second for second, _, _ in found)
    # There may be thousands, and this makes a named tuple in half the time of calling its class.
    make = tuple.__new__
    return [
        make(Slot, (make(Interval, (start, start + duration)), choices, also, capacity, None))
        for start, (_, choices, also) in zip(starts, found, strict=True)
        if not has_limits or not is_limited(demand, start)
    ]


def is_limited(demand: Demand, start: datetime) -> bool:
    """Whether the day or the week of a new appointment then has as many as the service takes."""
    on = wall_clock(start, demand.rules.zone).date()
    return demand.is_full_day(on) or demand.is_full_week(on)


def served(demand: Demand, crew: Crew) -> Iterator[tuple[int, _Ids, _Ids]]:
    """Start, choices and also of each start that is wholly provided for, in order of time."""
    together = demand.assignment == "all"
    givers = _all_at_once(crew.main) if together else _each_alone(crew.main)
    if not crew.also:
        for start in sorted(givers):
            yield start, givers[start], ()
        return
    for start in sorted(givers):
        lists = free_ids(crew, start)
        fitting = _fit_together(givers[start], lists) if together else _fit_singly(givers[start], lists)
        if fitting:
            yield start, *fitting


def free_ids(crew: Crew, start: int) -> list[list[int]]:
    """Who of each list of `also_needs` can take part in a slot that starts there."""
    return [[each.resource_id for each in list_ if each.fits(start)] for list_ in crew.also]


def _each_alone(main: tuple[Agenda, ...]) -> dict[int, _Ids]:
    if len(main) == 1:
        return dict.fromkeys(main[0].starts(), (main[0].resource_id,))
    givers: dict[int, list[int]] = {}
    for agenda in main:
        id_ = agenda.resource_id
        for start in agenda.starts():
            if start in givers:
                givers[start].append(id_)
            else:
                givers[start] = [id_]
    return {start: tuple(ids) for start, ids in givers.items()}


def _all_at_once(main: tuple[Agenda, ...]) -> dict[int, _Ids]:
    if not main:
        return {}
    leader, *others = main
    starts = leader.starts()
    for other in others:
        starts = [start for start in starts if other.fits(start)]
    return dict.fromkeys(starts, tuple(each.resource_id for each in main))


def _fit_together(ids: _Ids, lists: list[list[int]]) -> tuple[_Ids, _Ids] | None:
    also = first_combination(lists, ids)
    return None if also is None else (ids, also)


def _fit_singly(ids: _Ids, lists: list[list[int]]) -> tuple[_Ids, _Ids] | None:
    """Those of the ids for whom the lists still provide, with the combination for the first of them."""
    for_anyone = first_combination(lists)
    if for_anyone is None:
        return None
    # The first combination of all is also the first for everybody who is not in it.
    fitting = {id_: first_combination(lists, (id_,)) if id_ in for_anyone else for_anyone for id_ in ids}
    choices = tuple(id_ for id_ in ids if fitting[id_] is not None)
    also = fitting[choices[0]] if choices else None
    return None if also is None else (choices, also)


def _standing_slots(demand: Demand, first: datetime, last: datetime) -> list[Slot]:
    """The open appointments with room for the party; where two start together the preferred one comes last."""
    found = []
    for appointment in demand.heeded:
        is_open = (
            appointment.seats_left >= demand.party_size and not appointment.is_taken and not appointment.is_unknown
        )
        if is_open and first <= appointment.interval.start < last:
            people = whose(appointment, demand)
            if people:
                found.append((_preference(demand, appointment, people[0]), appointment, people))
    found.sort(key=lambda each: each[0], reverse=True)
    return [Slot(each.interval, *people, each.seats_left, each.id) for _, each, people in found]


def _preference(demand: Demand, appointment: OpenAppointment, choices: _Ids) -> _Order:
    """The order of the main list decides; the rest makes the answer independent of the order of the input."""
    order = [each.resource_id for each in demand.resources]
    places = tuple(order.index(id_) for id_ in choices)
    return places, appointment.interval, appointment.resource_ids, appointment.seats_left, appointment.id or 0
