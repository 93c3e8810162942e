"""A second availability engine, slow and plainly right, to hold against the real one. They share the values, no code.

It walks through UTC in steps of five minutes, looks at the wall clock of each zone at every instant, and asks of each
instant all that the rules say. So the hours, steps and durations given to it must be multiples of five minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

from portal.availability.model import Demand, OpenAppointment, Slot, Timetable
from portal.intervals import Interval

FIVE_MINUTES = timedelta(minutes=5)
MARGIN = timedelta(days=2)


def brute_slots(demand: Demand, *, now: datetime) -> list[Slot]:
    people = {
        each.resource_id: Person(each, demand) for list_ in (demand.resources, *demand.also_needs) for each in list_
    }
    found = []
    for start in instants(demand.window.start, demand.window.end):
        if now + demand.rules.notice <= start < now + demand.rules.horizon:
            slot = standing_slot(demand, start) or new_slot(demand, people, start)
            if slot:
                found.append(slot)
    return found


def instants(first: datetime, last: datetime) -> Iterator[datetime]:
    """Every five full minutes of UTC in `[first, last)`."""
    moment = first.replace(minute=first.minute // 5 * 5, second=0, microsecond=0)
    while moment < last:
        if moment >= first:
            yield moment
        moment += FIVE_MINUTES


class Person:
    """A resource that knows for every instant in which ranges of which local days it works."""

    def __init__(self, timetable: Timetable, demand: Demand) -> None:
        self.timetable, self.rules = timetable, demand.rules
        self.working, self.first_instant = {}, {}
        zone = ZoneInfo(timetable.zone)
        last = demand.window.end + demand.rules.duration + MARGIN
        for moment in instants(demand.window.start - MARGIN, last):
            self.working[moment] = []
            clock = moment.astimezone(zone)
            day, minute = clock.date(), clock.hour * 60 + clock.minute
            for hours in timetable.overrides.get(day, timetable.weekly.get(day.weekday(), ())):
                if hours.starts <= minute < hours.ends:
                    self.working[moment].append((day, hours))
                    self.first_instant.setdefault((day, hours), moment)

    def can_start(self, start: datetime) -> bool:
        """Does the start stand on a step of one of the ranges?"""
        return any(
            (start - self.first_instant[range_]) % self.rules.step == timedelta(0) for range_ in self.working[start]
        )

    def can_serve(self, start: datetime) -> bool:
        """Does it work all through the slot, and is nothing else going on from buffer to buffer?"""
        end = start + self.rules.duration
        works = all(self.working[moment] for moment in instants(start, end))
        first, last = start - self.rules.buffer_before, end + self.rules.buffer_after
        clashes = [
            each
            for each in [*self.timetable.busy, *self.timetable.blocked]
            if each.start < each.end and each.start < last and first < each.end
        ]
        return works and not clashes


def new_slot(demand: Demand, people: dict[int, Person], start: datetime) -> Slot | None:
    if demand.is_fixed or demand.party_size > demand.capacity or not within_limits(demand, start):
        return None
    main = main_ids(demand)
    interval = Interval(start, start + demand.rules.duration)
    lists = [
        [id_ for id_ in ids if people[id_].can_serve(start)]
        for ids in ([each.resource_id for each in list_] for list_ in demand.also_needs)
    ]
    if demand.assignment == "all":
        can = main and people[main[0]].can_start(start) and all(people[id_].can_serve(start) for id_ in main)
        combinations = distinct_combinations(lists, main) if can else []
        return Slot(interval, tuple(main), combinations[0], demand.capacity) if combinations else None
    able = [id_ for id_ in main if people[id_].can_start(start) and people[id_].can_serve(start)]
    with_others = {id_: distinct_combinations(lists, [id_]) for id_ in able}
    choices = tuple(id_ for id_ in able if with_others[id_])
    return Slot(interval, choices, with_others[choices[0]][0], demand.capacity) if choices else None


def standing_slot(demand: Demand, start: datetime) -> Slot | None:
    if demand.capacity == 1 and not demand.is_fixed:
        return None
    main, candidates = main_ids(demand), []
    for appointment in demand.open_appointments:
        shut = appointment.is_taken or appointment.is_unknown or appointment.seats_left < demand.party_size
        if appointment.interval.start == start and not shut:
            for choices, also in splits(demand, appointment, main)[:1]:
                order = [[each.resource_id for each in demand.resources].index(id_) for id_ in choices]
                seats, id_ = appointment.seats_left, appointment.id
                key = (order, appointment.interval, appointment.resource_ids, seats, id_ or 0)
                candidates.append((key, Slot(appointment.interval, choices, also, seats, id_)))
    return min(candidates, key=lambda each: each[0])[1] if candidates else None


def within_limits(demand: Demand, start: datetime) -> bool:
    on = start.astimezone(ZoneInfo(demand.rules.zone)).date()
    that_week = [day for day in demand.made_on if day.isocalendar()[:2] == on.isocalendar()[:2]]
    rest = (
        (demand.rules.per_day, demand.made_on.get(on, 0)),
        (demand.rules.per_week, sum(demand.made_on[day] for day in that_week)),
    )
    return all(limit is None or made < limit for limit, made in rest)


def splits(
    demand: Demand, appointment: OpenAppointment, main: list[int]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """All ways to read the appointment's resources as main ones and one of each further list, best first."""
    own = set(appointment.resource_ids)
    lists = [[each.resource_id for each in list_ if each.resource_id in own] for list_ in demand.also_needs]
    mains = [tuple(main)] if demand.assignment == "all" else [(id_,) for id_ in main]
    by_the_lists = [
        (choices, also)
        for choices in mains
        if choices and set(choices) <= own
        for also in distinct_combinations(lists, choices)
    ]
    present = tuple(id_ for id_ in main if id_ in own)
    others = tuple(id_ for id_ in appointment.resource_ids if id_ not in present)
    return by_the_lists + ([(present, others)] if present else [])


def main_ids(demand: Demand) -> list[int]:
    ids = [each.resource_id for each in demand.resources]
    if demand.assignment == "choose" and demand.chosen is not None:
        return [id_ for id_ in ids if id_ == demand.chosen]
    return ids


def distinct_combinations(lists: list[list[int]], taken: object) -> list[tuple[int, ...]]:
    return [each for each in product(*lists) if len(set(each)) == len(each) and not set(each) & set(taken)]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)
