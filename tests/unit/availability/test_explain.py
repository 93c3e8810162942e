"""Each reason, alone, with the words that a person reads."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from portal.availability.explain import Reason, explain
from portal.availability.model import Demand, OpenAppointment
from portal.intervals import Interval

from .small_world import DAY, HOUR, LONG_AGO, demand, local, rules, timetable

MONDAY = date(2027, 3, 1)
TEN = local(MONDAY, "10:00")
FREE = demand(timetable("09:00-12:00"), day=MONDAY)


def only(question: Demand, instant: datetime = TEN, *, now: datetime = LONG_AGO) -> Reason:
    (reason,) = explain(question, instant, now=now)
    return reason


def with_taken(first: str, last: str, **rule: int) -> Demand:
    busy = [Interval(local(MONDAY, first), local(MONDAY, last))]
    return demand(timetable("09:00-12:00", busy=busy), day=MONDAY, by=rules(**rule))


def test_an_offered_slot_has_no_reasons() -> None:
    assert explain(FREE, TEN, now=LONG_AGO) == []


@pytest.mark.parametrize(
    ("question", "instant", "expected"),
    [
        (
            with_taken("10:15", "11:00"),
            TEN,
            Reason("taken", "Taken from 2027-03-01 10:15 (Europe/Madrid) to 2027-03-01 11:00 (Europe/Madrid).", 1),
        ),
        (
            with_taken("10:30", "11:00", after=5),
            TEN,
            Reason(
                "buffer_taken",
                "No room for the buffer around the slot: "
                "taken from 2027-03-01 10:30 (Europe/Madrid) to 2027-03-01 11:00 (Europe/Madrid).",
                1,
            ),
        ),
        (
            FREE,
            local(MONDAY, "08:30"),
            Reason("not_working", "08:30 (Europe/Madrid) is outside the working hours.", 1),
        ),
        (
            demand(timetable("09:00-12:00"), day=MONDAY, by=rules(60)),
            local(MONDAY, "11:30"),
            Reason("ends_after_hours", "It would not end within the working hours.", 1),
        ),
        (
            demand(timetable("09:00-12:00", overrides={MONDAY: ()}), day=MONDAY),
            TEN,
            Reason("day_closed", "2027-03-01 is closed.", 1),
        ),
        (
            FREE,
            local(MONDAY, "10:10"),
            Reason(
                "not_a_start",
                "No slot begins then: they begin every 30 minutes from the start of the working hours.",
                1,
            ),
        ),
        (FREE, TEN + timedelta(microseconds=1), Reason("not_a_start", "Slots start on a full second.")),
        (FREE, TEN + DAY, Reason("outside_window", "It lies outside the time that was looked at.")),
        (
            replace(FREE, resources=()),
            TEN,
            Reason(
                "no_resource",
                "A list from which the service needs a resource has nobody in it, or not the one chosen.",
            ),
        ),
        (
            replace(FREE, capacity=2, party_size=3),
            TEN,
            Reason("party_too_large", "The party of 3 is larger than the 2 that fit."),
        ),
    ],
)
def test_a_reason_stands_alone_and_in_words(question: Demand, instant: datetime, expected: Reason) -> None:
    assert only(question, instant) == expected


def test_unknown_time_is_said_to_be_unknown() -> None:
    shut = Interval(local(MONDAY, "00:00"), local(MONDAY, "00:00") + DAY)
    reason = only(demand(timetable("09:00-12:00", blocked=(shut,)), day=MONDAY))
    assert (reason.code, reason.resource_id) == ("unknown", 1)
    assert "a rule keeps it shut" in reason.sentence


def test_the_past_notice_and_horizon_have_each_their_words() -> None:
    question = replace(FREE, rules=replace(FREE.rules, notice=HOUR, horizon=DAY))
    assert only(question, now=TEN + HOUR).code == "past"
    soon = only(question, now=TEN - HOUR / 2)
    assert soon.code == "too_soon"
    assert "earliest start is now 2027-03-01 10:30 (Europe/Madrid)" in soon.sentence
    far = only(question, now=TEN - DAY)
    assert far.code == "too_far"
    assert "until 2027-03-01 10:00 (Europe/Madrid)" in far.sentence


def test_everything_that_stands_against_it_is_said() -> None:
    question = replace(with_taken("10:10", "10:20"), party_size=2)
    codes = [reason.code for reason in explain(question, TEN + HOUR / 6, now=TEN + DAY)]
    assert codes == ["party_too_large", "past", "not_a_start", "taken"]


def test_with_several_resources_it_is_said_of_each_unless_one_can() -> None:
    ana = timetable("09:00-12:00", resource_id=1, busy=[Interval(TEN, TEN + HOUR)])
    bob = timetable("14:00-15:00", resource_id=2)
    codes = [(each.code, each.resource_id) for each in explain(demand(ana, bob, day=MONDAY), TEN, now=LONG_AGO)]
    assert codes == [("taken", 1), ("not_working", 2)]
    cara = timetable("09:00-12:00", resource_id=3)
    assert explain(demand(ana, bob, cara, day=MONDAY), TEN, now=LONG_AGO) == []
    together = demand(cara, bob, day=MONDAY, assignment="all")
    assert [(each.code, each.resource_id) for each in explain(together, TEN, now=LONG_AGO)] == [("not_working", 2)]


def test_a_missing_room_is_the_reason_and_not_the_free_person() -> None:
    room = timetable("09:00-12:00", resource_id=11, busy=[Interval(TEN, TEN + HOUR)])
    reason = only(replace(FREE, also_needs=((room,),)))
    assert (reason.code, reason.resource_id) == ("taken", 11)


def test_free_resources_that_do_not_go_round_are_the_reason() -> None:
    assert only(replace(FREE, also_needs=(FREE.resources,))).code == "no_combination"


def test_a_choice_that_does_not_give_the_service_is_the_reason() -> None:
    assert only(replace(FREE, assignment="choose", chosen=99)).code == "no_resource"


def test_too_few_seats_left_is_said_with_their_number() -> None:
    standing = OpenAppointment(Interval(TEN, TEN + HOUR / 2), (1,), 1)
    question = replace(with_taken("10:00", "10:30"), capacity=3, party_size=2, open_appointments=(standing,))
    full, taken = explain(question, TEN, now=LONG_AGO)
    assert full == Reason("full", "Too few seats are left: 1, and 2 are wanted.")
    assert taken.code == "taken"
