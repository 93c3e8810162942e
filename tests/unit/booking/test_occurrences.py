"""The dates of a weekly series, over changes of summer time."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from portal.booking.fixed.occurrences import Weekly, begins_at, dates_between, same_week

ZONES = ["Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "America/Nuuk"]
WEEK = timedelta(days=7)

days = st.dates(date(2008, 1, 1), date(2030, 12, 31))
weeklies = st.builds(
    Weekly,
    weekday=st.integers(0, 6),
    starts=st.integers(0, 287).map(lambda n: 5 * n),
    zone=st.sampled_from(ZONES),
    first_on=days,
    last_on=st.none() | days,
    except_on=st.frozensets(days, max_size=2),
)


@given(weeklies, days, st.integers(0, 200))
def test_the_dates_are_those_weekdays_of_the_span_that_the_series_has(weekly, from_on, length):
    to_on = from_on + timedelta(days=length)
    every = [from_on + timedelta(days=n) for n in range(length + 1)]
    wanted = [
        on
        for on in every
        if on.weekday() == weekly.weekday
        and weekly.first_on <= on
        and (weekly.last_on is None or on <= weekly.last_on)
        and on not in weekly.except_on
        and not (weekly.zone == "Pacific/Apia" and on == date(2011, 12, 30))
    ]
    assert dates_between(weekly, from_on, to_on) == wanted


@given(days, st.integers(0, 287).map(lambda n: 5 * n), st.sampled_from(ZONES))
def test_the_clock_on_the_wall_shows_the_time_of_the_series_unless_it_leaves_it_out(on, starts, zone):
    instant = begins_at(on, starts, zone)
    if instant is None:
        assert (zone, on) == ("Pacific/Apia", date(2011, 12, 30))
        return
    assert instant.tzinfo is UTC
    local = ZoneInfo(zone)
    shown, wanted = instant.astimezone(local), datetime.combine(on, datetime.min.time()) + timedelta(minutes=starts)
    if shown.replace(tzinfo=None) == wanted:
        assert shown.fold == 0, "the first of two"
        return
    gap = shown.utcoffset() - (instant - timedelta(hours=3)).astimezone(local).utcoffset()
    assert shown.replace(tzinfo=None) - wanted == gap > timedelta(0)


@given(weeklies, days)
def test_two_dates_are_a_week_apart_but_for_the_change_of_the_clocks(weekly, from_on):
    found = dates_between(weekly, from_on, from_on + timedelta(days=60))
    starts = [begins_at(on, weekly.starts, weekly.zone) for on in found]
    assert starts == sorted(starts)
    for on, after, first, second in zip(found, found[1:], starts, starts[1:], strict=False):
        weeks = (after - on) / WEEK
        assert weeks == int(weeks)
        assert abs((second - first) - weeks * WEEK) <= timedelta(days=1)


def test_a_class_at_ten_stays_at_ten_when_summer_time_begins():
    assert begins_at(date(2027, 3, 22), 600, "Europe/Madrid") == datetime(2027, 3, 22, 9, tzinfo=UTC)
    assert begins_at(date(2027, 3, 29), 600, "Europe/Madrid") == datetime(2027, 3, 29, 8, tzinfo=UTC)


def test_a_time_that_the_clock_leaves_out_begins_an_hour_later_and_one_shown_twice_the_first_time():
    assert begins_at(date(2027, 3, 28), 150, "Europe/Madrid") == datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    assert begins_at(date(2027, 10, 31), 150, "Europe/Madrid") == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)


@given(days, st.integers(0, 6))
def test_the_same_week_runs_from_monday_to_sunday(on, weekday):
    other = same_week(on, weekday)
    assert other.weekday() == weekday
    assert other.isocalendar()[:2] == on.isocalendar()[:2]
