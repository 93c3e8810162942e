"""The time of one resource in whole seconds, and which resources fit together. Pure. Used by `slots` and `explain`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from math import inf
from typing import NamedTuple

from portal.availability.hours import Shift, seconds, shifts, stretches, to_instant
from portal.availability.model import Demand, OpenAppointment, SlotRules, Timetable
from portal.intervals import Interval, merged_edges


class Search(NamedTuple):
    """Which starts are wanted, `[earliest, latest)`, and what each of them needs. All in seconds."""

    earliest: int
    latest: int
    duration: int
    step: int
    buffer_before: int
    buffer_after: int


@dataclass(frozen=True, slots=True)
class Agenda:
    """What one resource does during a search: pieces of work, the stretches they form, and disjoint taken spans."""

    resource_id: int
    search: Search
    shifts: list[Shift]
    stretch_starts: list[int]
    stretch_ends: list[int]
    taken_starts: list[float]
    """One longer than `taken_ends`: the last is infinity, so that there always is a next one."""
    taken_ends: list[float]

    def starts(self) -> list[int]:
        """Every start on this resource's own grid at which it can give the service, sorted."""
        search, taken_starts, taken_ends = self.search, self.taken_starts, self.taken_ends
        before, needed = search.buffer_before, search.duration + search.buffer_after
        # A set, for ranges may overlap and share starts.
        on_grid = sorted(set(chain.from_iterable(map(self._grid, self.shifts))))
        if not taken_ends:
            return on_grid
        # In line, not is_free(): this runs for every resource and every start.
        return [start for start in on_grid if taken_starts[bisect_right(taken_ends, start - before)] >= start + needed]

    def fits(self, start: int) -> bool:
        """Can it take part in a slot that starts there, whoever's grid the start stands on?"""
        return self.is_free(start) and self.works(start, start + self.search.duration)

    def works(self, start: int, end: int) -> bool:
        """Does `[start, end)` lie within one continuous working stretch?"""
        place = bisect_right(self.stretch_starts, start) - 1
        return place >= 0 and end <= self.stretch_ends[place]

    def is_free(self, start: int) -> bool:
        """Is nothing taken from the buffer before a slot that starts there to the buffer after it?"""
        from_, until = self.reach(start)
        return self.taken_starts[bisect_right(self.taken_ends, from_)] >= until

    def reach(self, start: int) -> tuple[int, int]:
        """The time that a slot starting there takes, buffers included."""
        search = self.search
        return start - search.buffer_before, start + search.duration + search.buffer_after

    def is_on_grid(self, start: int) -> bool:
        """Does a step of one of the working ranges fall on that second?"""
        step = self.search.step
        return any(s <= start < e and (start - opens) % step == 0 for s, e, opens in self.shifts)

    def _grid(self, shift: Shift) -> range:
        search = self.search
        stretch_end = self.stretch_ends[bisect_right(self.stretch_starts, shift.start) - 1]
        first = max(shift.start, search.earliest)
        first += (shift.opens - first) % search.step
        return range(first, min(shift.end, search.latest, stretch_end - search.duration + 1), search.step)


class Crew(NamedTuple):
    """The agendas of everybody who may take part."""

    main: tuple[Agenda, ...]
    also: tuple[tuple[Agenda, ...], ...]


def search_between(earliest: int, latest: int, rules: SlotRules) -> Search:
    """The search for starts in `[earliest, latest)` by these rules."""
    lengths = (rules.duration, rules.step, rules.buffer_before, rules.buffer_after)
    return Search(earliest, latest, *map(seconds, lengths))


def gather(demand: Demand, search: Search) -> Crew:
    """Opens the agenda of each resource once, however many lists it stands in."""
    agendas: dict[int, Agenda] = {}
    for timetable in chain(candidates(demand), *demand.also_needs):
        if timetable.resource_id not in agendas:
            agendas[timetable.resource_id] = _open(timetable, search)
    lists = (candidates(demand), *demand.also_needs)
    main, *also = (tuple(agendas[id_] for id_ in _distinct_ids(list_)) for list_ in lists)
    return Crew(main, tuple(also))


def candidates(demand: Demand) -> tuple[Timetable, ...]:
    """The main list, or what the customer's choice leaves of it."""
    if demand.assignment != "choose" or demand.chosen is None:
        return demand.resources
    return tuple(each for each in demand.resources if each.resource_id == demand.chosen)


def first_combination(lists: Sequence[Sequence[int]], taken: Collection[int] = ()) -> tuple[int, ...] | None:
    """One id of each list, all distinct and none of `taken`; the first such by the order of the lists, or None.

    Exact: a room that only one list can use is left to it, even when an earlier list would like it.
    """
    left = [[id_ for id_ in ids if id_ not in taken] for ids in lists]
    if not _can_all_be_served(left):
        return None
    picked: list[int] = []
    while left:
        wishes, *rest = left
        for id_ in wishes:
            without = [[other for other in ids if other != id_] for ids in rest]
            if _can_all_be_served(without):
                break
        picked.append(id_)
        left = without
    return tuple(picked)


def whose(appointment: OpenAppointment, demand: Demand) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Splits the resources of a standing appointment into (choices, also), or None if it is not what was chosen."""
    own, ids = set(appointment.resource_ids), _distinct_ids(candidates(demand))
    lists = [[id_ for id_ in _distinct_ids(list_) if id_ in own] for list_ in demand.also_needs]
    for choices in [ids] if demand.assignment == "all" else [(id_,) for id_ in ids]:
        also = first_combination(lists, choices) if own.issuperset(choices) else None
        if choices and also is not None:
            return choices, also
    # It was made when the service had other lists. It stands all the same, with whom it has.
    main = tuple(id_ for id_ in ids if id_ in own)
    return (main, tuple(id_ for id_ in appointment.resource_ids if id_ not in main)) if main else None


def _open(timetable: Timetable, search: Search) -> Agenda:
    work = shifts(timetable, search.earliest, search.latest + search.duration)
    taken_starts, taken_ends = _taken(timetable, search)
    return Agenda(timetable.resource_id, search, work, *stretches(work), taken_starts, taken_ends)


def _taken(timetable: Timetable, search: Search) -> tuple[list[float], list[float]]:
    # Seconds are floats here: `timestamp` is exact where it matters, an instant between two seconds stays between.
    first = to_instant(search.earliest - search.buffer_before)
    last = to_instant(search.latest + search.duration + search.buffer_after)
    clipped = _clip(timetable.busy, first, last) + _clip(timetable.blocked, first, last)
    starts, ends = merged_edges(clipped)
    return [*map(datetime.timestamp, starts), inf], [*map(datetime.timestamp, ends)]


def _clip(intervals: Iterable[Interval], first: datetime, last: datetime) -> list[Interval]:
    return [each for each in intervals if each[0] < last and each[1] > first]


def _distinct_ids(timetables: Iterable[Timetable]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(each.resource_id for each in timetables))


def _can_all_be_served(lists: Sequence[Sequence[int]]) -> bool:
    """Is there a distinct id for every list? Bipartite matching by augmenting paths."""
    served: dict[int, int] = {}

    def serve(place: int, refused: set[int]) -> bool:
        for id_ in lists[place]:
            if id_ not in refused:
                refused.add(id_)
                if id_ not in served or serve(served[id_], refused):
                    served[id_] = place
                    return True
        return False

    return all(serve(place, set()) for place in range(len(lists)))
