"""The engine against the second engine in brute.py, and laws that hold for every demand."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from portal.availability.explain import explain
from portal.availability.model import Demand, Timetable
from portal.availability.slots import is_offered, offer_slots
from portal.intervals import Interval

from .brute import brute_slots, instants
from .strategies import demands, intervals_near, many_examples, some_examples

questions = demands()


@many_examples
@given(questions)
def test_both_engines_offer_the_same_slots(question: tuple[Demand, datetime]) -> None:
    demand, now = question
    assert offer_slots(demand, now=now) == brute_slots(demand, now=now)


@some_examples
@given(questions)
def test_a_slot_is_listed_exactly_when_there_is_no_reason_against_it(question: tuple[Demand, datetime]) -> None:
    demand, now = question
    listed = {slot.interval.start for slot in offer_slots(demand, now=now)}
    around = list(instants(demand.window.start - timedelta(hours=1), demand.window.end + timedelta(hours=1)))
    some = random.Random(len(around)).sample(around, min(40, len(around)))
    for instant in {*listed, *some, demand.window.start, *(each + timedelta(seconds=1) for each in some[:3])}:
        reasons = explain(demand, instant, now=now)
        assert (instant in listed) == (not reasons), (instant, reasons)


@some_examples
@given(questions)
def test_asked_about_one_slot_it_says_what_it_listed(question: tuple[Demand, datetime]) -> None:
    demand, now = question
    listed = {slot.interval.start: slot for slot in offer_slots(demand, now=now)}
    for start in [*listed, *list(instants(*demand.window))[::7]]:
        slot = listed.get(start)
        interval = slot.interval if slot else Interval(start, start + demand.rules.duration)
        assert is_offered(demand, interval, now=now) == slot
        longer = Interval(interval.start, interval.end + timedelta(minutes=5))
        assert is_offered(demand, longer, now=now) is None


@some_examples
@given(questions, st.integers(0, 2160))
def test_two_halves_of_a_window_give_what_the_whole_gives(question: tuple[Demand, datetime], minute: int) -> None:
    demand, now = question
    middle = min(demand.window.start + timedelta(minutes=minute), demand.window.end)
    halves = (Interval(demand.window.start, middle), Interval(middle, demand.window.end))
    first, second = (offer_slots(replace(demand, window=half), now=now) for half in halves)
    assert first + second == offer_slots(demand, now=now)


@some_examples
@given(questions)
def test_no_slot_overlaps_busy_time_of_those_who_give_it(question: tuple[Demand, datetime]) -> None:
    demand, now = replace(question[0], capacity=1, party_size=1, is_fixed=False), question[1]
    everyone = {each.resource_id: each for list_ in (demand.resources, *demand.also_needs) for each in list_}
    rules = demand.rules
    for slot in offer_slots(demand, now=now):
        reach = slot.interval.widened(before=rules.buffer_before, after=rules.buffer_after)
        for id_ in {*slot.choices, *slot.also}:
            taken = [*everyone[id_].busy, *everyone[id_].blocked]
            assert not [each for each in taken if each.start < each.end and each.overlaps(reach)]
        assert len(set(slot.also)) == len(slot.also) == len(demand.also_needs)
        assert slot.choices[0] not in slot.also


@some_examples
@given(questions, st.data())
def test_more_busy_time_never_makes_more_slots(question: tuple[Demand, datetime], data: st.DataObject) -> None:
    demand, now = question
    more = data.draw(st.lists(intervals_near(demand.window.start), max_size=3))
    busier = with_resources(demand, lambda each: replace(each, busy=[*each.busy, *more]))
    before = {slot.interval: set(slot.choices) for slot in offer_slots(demand, now=now)}
    for slot in offer_slots(busier, now=now):
        assert set(slot.choices) <= before[slot.interval]


@some_examples
@given(questions, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(question: tuple[Demand, datetime], rng: random.Random) -> None:
    demand, now = question

    def shuffled(items: object) -> list:
        return rng.sample(list(items), len(items))

    def mixed(each: Timetable) -> Timetable:
        weekly = {weekday: tuple(shuffled(ranges)) for weekday, ranges in shuffled(each.weekly.items())}
        busy, blocked = shuffled(each.busy), tuple(shuffled(each.blocked))
        return replace(each, weekly=weekly, busy=busy, blocked=blocked)

    other = replace(with_resources(demand, mixed), open_appointments=tuple(shuffled(demand.open_appointments)))
    assert offer_slots(other, now=now) == offer_slots(demand, now=now)


def with_resources(demand: Demand, change: object) -> Demand:
    """The demand with every timetable changed, the same one alike wherever it stands."""
    changed = {each.resource_id: change(each) for list_ in (demand.resources, *demand.also_needs) for each in list_}
    main, *also = (
        tuple(changed[each.resource_id] for each in list_) for list_ in (demand.resources, *demand.also_needs)
    )
    return replace(demand, resources=main, also_needs=tuple(also))
