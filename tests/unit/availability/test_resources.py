"""Several resources: any of them, the chosen one, all together, and one of each further list."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from portal.availability.model import Demand, Slot, Timetable
from portal.availability.resources import first_combination
from portal.availability.slots import offer_slots
from portal.intervals import Interval

from .small_world import LONG_AGO, demand, local, rules, starts, timetable

MONDAY = date(2027, 3, 1)
ANA, BOB, ROOM_1, ROOM_2 = 1, 2, 11, 12


def span(first: str, last: str) -> Interval:
    return Interval(local(MONDAY, first), local(MONDAY, last))


def person(id_: int, *texts: str, busy: list[Interval] | None = None) -> Timetable:
    return timetable(*texts or ("09:00-11:00",), resource_id=id_, busy=busy)


def offered(question: Demand) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    slots: list[Slot] = offer_slots(question, now=LONG_AGO)
    return [(clock, slot.choices, slot.also) for clock, slot in zip(starts(question), slots, strict=True)]


def test_any_offers_each_start_once_with_all_who_can_in_the_order_of_the_list() -> None:
    bob, ana = person(BOB, "09:30-10:30"), person(ANA, "09:00-10:00")
    assert offered(demand(bob, ana, day=MONDAY)) == [
        ("09:00", (ANA,), ()),
        ("09:30", (BOB, ANA), ()),
        ("10:00", (BOB,), ()),
    ]


def test_each_resource_keeps_its_own_grid() -> None:
    question = demand(person(ANA, "09:00-10:00"), person(BOB, "09:15-10:15"), day=MONDAY)
    assert starts(question) == ["09:00", "09:15", "09:30", "09:45"]


def test_each_resource_keeps_its_own_zone() -> None:
    london = timetable("09:00-09:30", resource_id=BOB, zone="Europe/London")
    assert starts(demand(person(ANA, "09:00-09:30"), london, day=MONDAY)) == ["09:00", "10:00"]


def test_choosing_narrows_to_the_chosen() -> None:
    question = demand(person(ANA), person(BOB, "10:00-10:30"), day=MONDAY, assignment="choose")
    assert offered(question)[2] == ("10:00", (ANA, BOB), ())
    assert offered(replace(question, chosen=BOB)) == [("10:00", (BOB,), ())]
    assert offered(replace(question, chosen=99)) == []


def test_all_must_work_and_be_free_on_the_grid_of_the_first() -> None:
    ana, bob = person(ANA), person(BOB, "09:15-11:15", busy=[span("10:00", "10:05")])
    assert offered(demand(ana, bob, day=MONDAY, assignment="all")) == [
        ("09:30", (ANA, BOB), ()),
        ("10:30", (ANA, BOB), ()),
    ]
    assert starts(demand(bob, ana, day=MONDAY, assignment="all")) == ["09:15", "10:15"]


def test_nobody_is_no_slot() -> None:
    question = demand(person(ANA), day=MONDAY)
    for assignment in ("choose", "any", "all"):
        assert offer_slots(replace(question, resources=(), assignment=assignment), now=LONG_AGO) == []
    assert starts(replace(question, also_needs=((),))) == []


def test_a_room_must_be_free_too_and_the_first_free_one_is_named() -> None:
    rooms = (person(ROOM_1, busy=[span("09:30", "10:00")]), person(ROOM_2, "09:20-10:10"))
    assert offered(demand(person(ANA), day=MONDAY, also_needs=(rooms,))) == [
        ("09:00", (ANA,), (ROOM_1,)),
        ("09:30", (ANA,), (ROOM_2,)),
        ("10:00", (ANA,), (ROOM_1,)),
        ("10:30", (ANA,), (ROOM_1,)),
    ]


def test_buffers_hold_for_rooms_as_well() -> None:
    room = person(ROOM_1, busy=[span("10:00", "10:30")])
    question = demand(person(ANA), day=MONDAY, by=rules(after=10), also_needs=((room,),))
    assert starts(question) == ["09:00", "10:30"]


def test_a_resource_in_two_lists_is_used_once() -> None:
    small, large = person(ROOM_1, "09:00-09:30"), person(ROOM_2, "09:00-10:00")
    question = demand(person(ANA), day=MONDAY, also_needs=((small, large), (small,)))
    assert offered(question) == [("09:00", (ANA,), (ROOM_2, ROOM_1))]


def test_who_gives_the_service_cannot_assist_in_it() -> None:
    ana, bob = person(ANA, "09:00-10:00"), person(BOB, "09:00-09:30")
    question = demand(ana, bob, day=MONDAY, also_needs=((ana, bob),))
    assert offered(question) == [("09:00", (ANA, BOB), (BOB,))]
    assert offered(replace(question, assignment="choose", chosen=BOB)) == [("09:00", (BOB,), (ANA,))]
    assert offered(replace(question, assignment="all")) == []


def test_only_those_for_whom_an_assistant_is_left_are_choices() -> None:
    ana, bob = person(ANA, "09:00-09:30"), person(BOB, "09:00-09:30")
    assert offered(demand(ana, bob, day=MONDAY, also_needs=((ana,),))) == [("09:00", (BOB,), (ANA,))]


@given(
    st.lists(st.lists(st.integers(1, 6), unique=True, max_size=5), max_size=5), st.sets(st.integers(1, 6), max_size=3)
)
def test_the_first_combination_is_the_first_of_all_that_are_distinct(lists: list[list[int]], taken: set[int]) -> None:
    distinct = (each for each in product(*lists) if len(set(each)) == len(each) and not taken & set(each))
    assert first_combination(lists, taken) == next(distinct, None)


def test_many_lists_that_do_not_go_round_are_refused_at_once() -> None:
    assert first_combination([list(range(15))] * 16) is None
