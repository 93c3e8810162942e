"""Busy time, buffers, notice and horizon: what is offered, as plain facts about one resource."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from portal.availability.model import SlotRules
from portal.availability.slots import is_offered, offer_slots
from portal.intervals import Interval

from .small_world import DAY, HOUR, LONG_AGO, MINUTE, demand, local, rules, starts, timetable, utc

MONDAY = date(2027, 3, 1)


def span(first: str, last: str) -> Interval:
    return Interval(local(MONDAY, first), local(MONDAY, last))


def test_starts_stand_on_the_step_from_the_start_of_the_hours() -> None:
    assert starts(demand(timetable("09:00-11:00"), day=MONDAY)) == ["09:00", "09:30", "10:00", "10:30"]
    assert starts(demand(timetable("09:15-11:00"), day=MONDAY)) == ["09:15", "09:45", "10:15"]


def test_a_step_shorter_than_the_duration_gives_overlapping_slots() -> None:
    assert starts(demand(timetable("09:00-10:30"), day=MONDAY, by=rules(60, 15))) == ["09:00", "09:15", "09:30"]


def test_a_slot_may_touch_busy_time_on_both_sides() -> None:
    busy = [span("08:00", "09:30"), span("10:00", "11:00")]
    assert starts(demand(timetable("09:00-11:00", busy=busy), day=MONDAY)) == ["09:30"]


@pytest.mark.parametrize("sliver", [timedelta(microseconds=1), timedelta(seconds=1), MINUTE])
def test_a_sliver_of_busy_time_takes_the_slot(sliver: timedelta) -> None:
    table = timetable("09:00-10:00", busy=[Interval(local(MONDAY, "09:30") - sliver, local(MONDAY, "09:30"))])
    assert starts(demand(table, day=MONDAY)) == ["09:30"]
    table = timetable("09:00-10:00", busy=[Interval(local(MONDAY, "09:30"), local(MONDAY, "09:30") + sliver)])
    assert starts(demand(table, day=MONDAY)) == ["09:00"]


def test_an_empty_busy_interval_takes_nothing() -> None:
    noon = local(MONDAY, "09:15")
    assert starts(demand(timetable("09:00-09:30", busy=[Interval(noon, noon)]), day=MONDAY)) == ["09:00"]


def test_blocked_time_is_not_free() -> None:
    table = timetable("09:00-10:00", blocked=(span("09:00", "09:05"),))
    assert starts(demand(table, day=MONDAY)) == ["09:30"]


def test_buffers_keep_their_distance_from_busy_time() -> None:
    table = timetable("09:00-13:00", busy=[span("10:30", "11:00")])
    assert starts(demand(table, day=MONDAY, by=rules(before=15))) == [
        "09:00", "09:30", "10:00", "11:30", "12:00", "12:30",
    ]  # fmt: skip
    assert starts(demand(table, day=MONDAY, by=rules(after=15))) == [
        "09:00", "09:30", "11:00", "11:30", "12:00", "12:30",
    ]  # fmt: skip


def test_a_buffer_may_touch_busy_time() -> None:
    table = timetable("09:00-10:30", busy=[span("08:30", "08:45"), span("10:45", "11:00")])
    assert starts(demand(table, day=MONDAY, by=rules(90, 30, before=15, after=15))) == ["09:00"]


def test_buffers_reach_outside_the_working_hours_but_must_be_free_there() -> None:
    by = rules(60, 60, before=30, after=30)
    assert starts(demand(timetable("09:00-10:00"), day=MONDAY, by=by)) == ["09:00"]
    for taken in (span("08:00", "08:35"), span("10:25", "12:00")):
        assert starts(demand(timetable("09:00-10:00", busy=[taken]), day=MONDAY, by=by)) == []


def test_buffers_reach_over_midnight() -> None:
    day_before = [Interval(local(MONDAY, "00:00") - HOUR, local(MONDAY, "00:00") - 10 * MINUTE)]
    table = timetable("00:00-01:00", busy=day_before)
    assert starts(demand(table, day=MONDAY, by=rules(before=15))) == ["00:30"]


def test_a_slot_runs_over_midnight_unless_something_is_there() -> None:
    free = timetable("00:00-24:00")
    assert starts(demand(free, day=MONDAY, by=rules(120, 60)))[-1] == "23:00"
    midnight = local(MONDAY, "00:00") + DAY
    taken = timetable("00:00-24:00", busy=[Interval(midnight, midnight + 5 * MINUTE)])
    assert starts(demand(taken, day=MONDAY, by=rules(120, 60)))[-1] == "22:00"


def test_notice_is_kept_to_the_microsecond() -> None:
    question = demand(timetable("09:00-11:00"), day=MONDAY, by=replace(rules(), notice=HOUR))
    assert starts(question, now=local(MONDAY, "08:30"))[0] == "09:30"
    assert starts(question, now=local(MONDAY, "08:30") + timedelta(microseconds=1))[0] == "10:00"


def test_nothing_is_offered_in_the_past() -> None:
    assert starts(demand(timetable("09:00-11:00"), day=MONDAY), now=local(MONDAY, "10:05")) == ["10:30"]


def test_the_horizon_itself_is_too_far() -> None:
    question = demand(timetable("09:00-11:00"), day=MONDAY, by=replace(rules(), horizon=HOUR))
    assert starts(question, now=local(MONDAY, "09:00")) == ["09:00", "09:30"]
    assert starts(question, now=local(MONDAY, "09:00") + timedelta(microseconds=1)) == ["09:30", "10:00"]


def test_the_window_is_about_starts_not_ends() -> None:
    question = replace(demand(timetable("09:00-12:00"), day=MONDAY), window=span("09:30", "10:30"))
    assert starts(question) == ["09:30", "10:00"]


def test_an_empty_window_offers_nothing() -> None:
    question = demand(timetable("09:00-12:00"), day=MONDAY)
    for window in (span("09:00", "09:00"), span("11:00", "09:00")):
        assert starts(replace(question, window=window)) == []


def test_a_single_slot_is_found_and_others_are_not() -> None:
    question = demand(timetable("09:00-11:00", busy=[span("10:00", "10:30")]), day=MONDAY)
    slot = is_offered(question, span("09:30", "10:00"), now=LONG_AGO)
    assert slot in offer_slots(question, now=LONG_AGO)
    assert is_offered(question, span("10:00", "10:30"), now=LONG_AGO) is None  # taken
    assert is_offered(question, span("09:45", "10:15"), now=LONG_AGO) is None  # off the grid
    assert is_offered(question, span("09:30", "10:30"), now=LONG_AGO) is None  # another length
    elsewhere = replace(question, window=span("10:00", "11:00"))
    assert is_offered(elsewhere, span("09:30", "10:00"), now=LONG_AGO) is None  # not looked at


def test_naive_times_are_refused() -> None:
    question = demand(timetable("09:00-11:00"), day=MONDAY)
    with pytest.raises(TypeError):
        offer_slots(question, now=datetime(2027, 3, 1))  # noqa: DTZ001
    busy = [Interval(utc(2027, 3, 1), datetime(2027, 3, 2))]  # noqa: DTZ001
    with pytest.raises(TypeError):
        starts(demand(timetable("09:00-11:00", busy=busy), day=MONDAY))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"duration": 0 * MINUTE}, "longer than nothing"),
        ({"step": 0 * MINUTE}, "longer than nothing"),
        ({"duration": 7 * MINUTE}, "multiple of 5 minutes"),
        ({"buffer_after": timedelta(seconds=30)}, "multiple of 5 minutes"),
        ({"buffer_before": -5 * MINUTE}, "cannot be negative"),
        ({"notice": -MINUTE}, "cannot be negative"),
    ],
)
def test_rules_that_make_no_sense_are_refused(changes: dict[str, timedelta], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        replace(rules(), **changes)


def test_a_demand_that_makes_no_sense_is_refused() -> None:
    question = demand(timetable("09:00-11:00"), day=MONDAY)
    with pytest.raises(ValueError, match="assignment must be one of"):
        replace(question, assignment="some")
    with pytest.raises(ValueError, match="1 or more"):
        replace(question, party_size=0)
    with pytest.raises(ValueError, match="Weekdays run from 0"):
        replace(question.resources[0], weekly={7: ()})


def test_notice_and_horizon_need_no_round_numbers() -> None:
    by = SlotRules(30 * MINUTE, 30 * MINUTE, 0 * MINUTE, 0 * MINUTE, timedelta(seconds=61), 30 * DAY, "UTC")
    question = demand(timetable("09:00-11:00"), day=MONDAY, by=by)
    assert starts(question, now=local(MONDAY, "08:58"))[0] == "09:00"
    assert starts(question, now=local(MONDAY, "08:59"))[0] == "09:30"
