"""Wall-clock time becomes UTC: changes of summer time, midnights, days left out and days that come twice."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.availability.hours import shifts, stretches, to_instant, to_instants, to_seconds
from portal.availability.model import TimeRange, Timetable
from portal.availability.slots import offer_slots
from portal.intervals import Interval

from .small_world import LONG_AGO, MADRID, demand, hours, rules, starts, timetable, utc
from .strategies import HOURS, some_examples

SPRING, AUTUMN = date(2027, 3, 28), date(2027, 10, 31)


def working(table: Timetable, day: date, days: int = 1) -> list[Interval]:
    """The stretches that begin in that day of UTC, as intervals."""
    first = to_seconds(datetime(day.year, day.month, day.day, tzinfo=UTC))
    edges = zip(*stretches(shifts(table, first, first + days * 86_400)), strict=True)
    return [Interval(to_instant(a), to_instant(b)) for a, b in edges if first <= a < first + days * 86_400]


def test_one_to_five_is_three_hours_when_clocks_go_forward() -> None:
    assert working(timetable("01:00-05:00"), SPRING)[0] == Interval(utc(2027, 3, 28, 0), utc(2027, 3, 28, 3))


def test_one_to_five_is_five_hours_when_clocks_go_back() -> None:
    # 01:00 in Madrid is still the evening before in UTC.
    assert working(timetable("01:00-05:00"), date(2027, 10, 30)) == [
        Interval(utc(2027, 10, 30, 23), utc(2027, 10, 31, 4))
    ]


def test_local_times_that_do_not_exist_are_not_offered() -> None:
    assert starts(demand(timetable("01:00-05:00"), day=SPRING)) == [
        "01:00", "01:30", "03:00", "03:30", "04:00", "04:30",
    ]  # fmt: skip


def test_local_times_that_exist_twice_are_two_slots() -> None:
    question = demand(timetable("01:00-04:00"), day=AUTUMN)
    assert starts(question) == ["01:00", "01:30", "02:00", "02:30", "02:00", "02:30", "03:00", "03:30"]
    twice = [slot.interval.start for slot in offer_slots(question, now=LONG_AGO)][2:6]
    offsets = [instant.astimezone(ZoneInfo(MADRID)).utcoffset() for instant in twice]
    assert offsets == [timedelta(hours=2)] * 2 + [timedelta(hours=1)] * 2


def test_a_range_that_begins_in_the_gap_begins_after_it() -> None:
    assert starts(demand(timetable("02:20-04:00"), day=SPRING)) == ["03:00", "03:30"]


def test_a_range_that_ends_in_the_gap_ends_before_it() -> None:
    assert starts(demand(timetable("01:00-02:20"), day=SPRING)) == ["01:00", "01:30"]


def test_a_range_within_the_gap_is_empty() -> None:
    assert starts(demand(timetable("02:00-03:00"), day=SPRING)) == []


def test_hours_that_end_within_the_doubled_hour_are_kept_in_both_passes() -> None:
    # At 02:30 of the first pass the shop shuts; at 02:00 of the second it is open again.
    assert starts(demand(timetable("01:00-02:30"), day=AUTUMN)) == ["01:00", "01:30", "02:00", "02:00"]


def test_the_grid_counts_real_time_from_the_start_of_the_range() -> None:
    # 45 real minutes each time, over the hour that is missing.
    assert starts(demand(timetable("01:00-05:00"), day=SPRING, by=rules(45, 45))) == [
        "01:00", "01:45", "03:30", "04:15",
    ]  # fmt: skip


def test_a_slot_runs_through_the_change_by_real_time() -> None:
    (slot,) = offer_slots(demand(timetable("01:30-03:30"), day=SPRING, by=rules(60, 60)), now=LONG_AGO)
    assert slot.interval == Interval(utc(2027, 3, 28, 0, 30), utc(2027, 3, 28, 1, 30))


def test_lord_howe_moves_by_half_an_hour() -> None:
    table = timetable("01:00-03:00", zone="Australia/Lord_Howe")
    assert starts(demand(table, day=date(2027, 10, 3))) == ["01:00", "01:30", "02:30"]
    assert starts(demand(table, day=date(2027, 4, 4))) == ["01:00", "01:30", "01:30", "02:00", "02:30"]


def test_kathmandu_stands_at_five_hours_and_three_quarters() -> None:
    table = timetable("09:00-09:30", zone="Asia/Kathmandu")
    (slot,) = offer_slots(demand(table, day=date(2027, 3, 1)), now=LONG_AGO)
    assert slot.interval.start == utc(2027, 3, 1, 3, 15)


def test_samoa_left_out_a_day_and_nobody_worked_in_it() -> None:
    table = timetable("09:00-17:00", zone="Pacific/Apia", overrides={date(2011, 12, 30): hours("00:00-24:00")})
    question = demand(table, day=date(2011, 12, 29), days=3, by=rules(480, 480))
    assert [slot.interval.start for slot in offer_slots(question, now=LONG_AGO)] == [
        utc(2011, 12, 29, 19),  # the 29th, still east of the date line
        utc(2011, 12, 30, 19),  # the 31st, west of it
    ]


def test_kwajalein_had_a_day_twice_and_worked_in_both() -> None:
    table = timetable("09:00-10:00", zone="Pacific/Kwajalein")
    mornings = working(table, date(1969, 9, 28), days=5)
    assert max(later.start - earlier.start for earlier, later in pairwise(mornings)) == timedelta(days=1)
    wall = [each.start.astimezone(ZoneInfo("Pacific/Kwajalein")).date() for each in mornings]
    assert len(wall) == len(set(wall)) + 1


def test_where_midnight_is_missing_the_day_begins_at_one() -> None:
    table = timetable("00:00-02:00", zone="America/Sao_Paulo")
    assert starts(demand(table, day=date(2018, 11, 4), by=rules(60, 60))) == ["01:00"]


def test_until_midnight_and_from_midnight_is_one_stretch() -> None:
    table = timetable("22:00-24:00", "00:00-02:00")
    stretch = Interval(utc(2027, 3, 1, 21), utc(2027, 3, 2, 1))
    assert stretch in working(table, date(2027, 3, 1))
    late = starts(demand(table, day=date(2027, 3, 1), by=rules(180, 60)))
    assert late == ["22:00", "23:00"]


def test_ranges_that_touch_or_overlap_are_one_stretch_with_a_grid_each() -> None:
    touching = demand(timetable("09:00-10:00", "10:00-11:15"), day=date(2027, 3, 1), by=rules(60, 45))
    assert starts(touching) == ["09:00", "09:45", "10:00"]
    overlapping = demand(timetable("09:00-10:30", "10:15-12:00"), day=date(2027, 3, 1), by=rules(60, 60))
    assert starts(overlapping) == ["09:00", "10:00", "10:15"]


def test_a_slot_does_not_reach_over_a_break() -> None:
    table = timetable("09:00-10:00", "10:05-11:05")
    assert starts(demand(table, day=date(2027, 3, 1), by=rules(60, 30))) == ["09:00", "10:05"]


def test_an_override_replaces_the_weekly_hours_of_its_day_only() -> None:
    table = timetable("09:00-10:00", overrides={date(2027, 3, 2): hours("12:00-13:00")})
    assert starts(demand(table, day=date(2027, 3, 1), days=3, by=rules(60, 60))) == ["09:00", "12:00", "09:00"]


def test_an_override_without_ranges_closes_the_day() -> None:
    table = timetable("09:00-10:00", overrides={date(2027, 3, 1): ()})
    assert starts(demand(table, day=date(2027, 3, 1))) == []


def test_weekday_zero_is_monday() -> None:
    table = Timetable(1, MADRID, {0: hours("09:00-09:30")}, {}, [])
    (slot,) = offer_slots(demand(table, day=date(2027, 3, 1), days=7), now=LONG_AGO)
    assert slot.interval.start.weekday() == 0


@pytest.mark.parametrize(("starts_", "ends"), [(-1, 60), (60, 60), (90, 60), (0, 1441)])
def test_a_range_runs_forward_within_its_day(starts_: int, ends: int) -> None:
    with pytest.raises(ValueError, match="0 to 1440 minutes"):
        TimeRange(starts_, ends)


@given(st.lists(st.integers(-(10**9), 4 * 10**9), max_size=5).map(sorted))
def test_seconds_and_instants_convert_both_ways(seconds: list[int]) -> None:
    assert list(to_instants(seconds)) == [to_instant(each) for each in seconds]
    assert [to_seconds(to_instant(each)) for each in seconds] == seconds


@some_examples
@given(
    st.sampled_from(sorted(available_timezones())),
    st.dates(date(1975, 1, 1), date(2037, 12, 31)),
    st.lists(HOURS, min_size=2, max_size=2),
)
def test_every_zone_works_exactly_while_its_clock_shows_working_hours(zone: str, day: date, both: list[tuple]) -> None:
    table = Timetable(1, zone, {weekday: both[weekday % 2] for weekday in range(7)}, {}, [])
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    # The days around the nearest move of the clocks within half a year, where there is one.
    moved = next((n for n in range(183) if _offset(noon + timedelta(n), zone) != _offset(noon, zone)), 0)
    noon += timedelta(days=moved - 1)
    first = to_seconds(noon) - 43_200
    found = stretches(shifts(table, first, first + 2 * 86_400))
    for second in range(first, first + 2 * 86_400, 300):
        clock = to_instant(second).astimezone(ZoneInfo(zone))
        ranges, minute = table.weekly[clock.weekday()], clock.hour * 60 + clock.minute
        expected = any(each.starts <= minute < each.ends for each in ranges)
        assert any(a <= second < b for a, b in zip(*found, strict=True)) == expected, clock


def _offset(instant: datetime, zone: str) -> timedelta | None:
    return instant.astimezone(ZoneInfo(zone)).utcoffset()
