"""Demands for the property tests: small worlds, mostly around days on which clocks are moved."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from portal.availability.model import Demand, OpenAppointment, SlotRules, TimeRange, Timetable
from portal.intervals import Interval

MINUTE = timedelta(minutes=1)

# Enough examples to meet every rule, few enough for the whole folder to take less than 20 seconds.
some_examples = settings(
    max_examples=60,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
many_examples = settings(some_examples, max_examples=200)

DAYS = [
    ("Europe/Madrid", date(2027, 3, 28)),
    ("Europe/Madrid", date(2027, 10, 31)),
    ("America/New_York", date(2027, 3, 14)),
    ("America/New_York", date(2027, 11, 7)),
    ("Australia/Lord_Howe", date(2027, 4, 4)),  # by half an hour
    ("Australia/Lord_Howe", date(2027, 10, 3)),
    ("Asia/Kathmandu", date(2027, 3, 28)),  # 5:45, and never moved
    ("Asia/Kathmandu", date(1986, 1, 1)),  # ... but once
    ("Pacific/Apia", date(2011, 12, 30)),  # the day that Samoa left out
    ("Pacific/Apia", date(2012, 4, 1)),
    ("Pacific/Kwajalein", date(1969, 9, 30)),  # a day that came twice
    ("America/Sao_Paulo", date(2018, 11, 4)),  # no midnight
    ("America/Sao_Paulo", date(2018, 2, 17)),  # two last hours of the day
    ("Africa/Cairo", date(2027, 4, 30)),
    ("Atlantic/Azores", date(2027, 10, 31)),
    ("Antarctica/Troll", date(2027, 3, 28)),  # by two hours
    ("UTC", date(2028, 2, 29)),
]


def minutes(low: int, high: int, *, step: int = 5) -> st.SearchStrategy[timedelta]:
    return st.integers(low // step, high // step).map(lambda count: count * step * MINUTE)


def ranges(*texts: str) -> tuple[TimeRange, ...]:
    """`ranges("09:00-13:00")`, as people write them."""
    edges = [[int(edge[:2]) * 60 + int(edge[3:]) for edge in text.split("-")] for text in texts]
    return tuple(TimeRange(starts, ends) for starts, ends in edges)


@st.composite
def time_ranges(draw: st.DrawFn) -> TimeRange:
    starts = draw(st.integers(0, 287))
    return TimeRange(starts * 5, draw(st.integers(starts + 1, 288)) * 5)


HOURS = st.one_of(
    st.sampled_from(
        [
            ranges("00:00-24:00"),
            ranges("09:00-13:00", "14:00-17:00"),
            ranges("00:00-05:00", "18:30-24:00"),
            ranges("01:30-02:30", "02:30-03:15", "22:00-23:35"),
            ranges("02:10-02:50", "00:20-01:05", "23:20-24:00"),
            ranges("08:00-12:00", "10:15-15:00"),
        ]
    ),
    st.lists(time_ranges(), max_size=3).map(tuple),
)


@st.composite
def intervals_near(draw: st.DrawFn, noon: datetime) -> Interval:
    """On the quantum as a rule; otherwise anywhere, be it empty."""
    start = noon + draw(minutes(-1440, 1440))
    length = draw(minutes(5, 300))
    if draw(st.booleans()):
        start += timedelta(seconds=draw(st.integers(-150, 150)), microseconds=draw(st.sampled_from([0, 1, 999_999])))
        length = timedelta(seconds=draw(st.integers(0, 7200)))
    return Interval(start, start + length)


@st.composite
def timetables(draw: st.DrawFn, resource_id: int, zone: str, day: date, *, common: tuple[TimeRange, ...]) -> Timetable:
    noon = datetime.combine(day, time(12), UTC)
    usual, other = draw(st.just(common) | HOURS), draw(st.just(common) | HOURS)
    odd_days = draw(st.sampled_from([(), (5, 6), (0, 2, 4, 6)]))
    weekly = {weekday: other if weekday in odd_days else usual for weekday in range(7)}
    overrides = {}
    if draw(st.booleans()):
        overrides[day + timedelta(days=draw(st.integers(-1, 1)))] = draw(st.one_of(st.just(()), HOURS))
    busy = draw(st.lists(intervals_near(noon), max_size=3))
    blocked = draw(st.lists(intervals_near(noon), max_size=1))
    return Timetable(resource_id, zone, weekly, overrides, busy, tuple(blocked))


@st.composite
def slot_rules(draw: st.DrawFn, zone: str) -> SlotRules:
    nothing = st.just(timedelta(0))
    return SlotRules(
        duration=draw(minutes(5, 120)),
        step=draw(minutes(5, 90)),
        buffer_before=draw(nothing | minutes(5, 60)),
        buffer_after=draw(nothing | minutes(5, 60)),
        notice=draw(nothing | nothing | minutes(1, 2880, step=1)),
        horizon=timedelta(days=30) if draw(st.integers(0, 3)) else draw(minutes(1440, 4320, step=1)),
        zone=zone,
        per_day=draw(st.sampled_from([None, None, 1, 2])),
        per_week=draw(st.sampled_from([None, None, 1, 3])),
    )


@st.composite
def demands(draw: st.DrawFn) -> tuple[Demand, datetime]:
    """A demand, and the time at which it is asked."""
    zone, day = draw(st.sampled_from(DAYS))
    noon = datetime.combine(day, time(12), UTC)
    zones = [draw(st.sampled_from([zone, zone, zone, "Europe/Madrid"])) for _ in range(draw(st.integers(1, 5)))]
    common = draw(HOURS)
    pool = [draw(timetables(id_, each, day, common=common)) for id_, each in enumerate(zones, start=1)]
    some = st.lists(st.sampled_from(pool), min_size=1, max_size=3, unique_by=id).map(tuple)
    resources = draw(some)
    start = noon - draw(minutes(720, 1800)) + timedelta(microseconds=draw(st.sampled_from([0, 1])))
    capacity = draw(st.sampled_from([1, 1, 2, 3]))
    pool_ids = [each.resource_id for each in pool]
    is_fixed = draw(st.sampled_from([False, False, True]))
    standing = st.lists(open_appointments(noon, pool_ids), max_size=2 if capacity > 1 or is_fixed else 0)
    days = st.integers(-8, 8).map(lambda n: day + timedelta(days=n))
    assignment = draw(st.sampled_from(["choose", "any", "all"]))
    demand = Demand(
        window=Interval(start, start + timedelta(minutes=2160 - draw(st.integers(0, 1440)))),
        rules=draw(slot_rules(zone)),
        assignment=assignment,
        resources=resources,
        also_needs=tuple(draw(st.lists(some, max_size=2))),
        capacity=capacity,
        party_size=draw(st.integers(1, capacity + 1)),
        open_appointments=tuple(draw(standing)),
        is_fixed=is_fixed,
        made_on=draw(st.dictionaries(days, st.integers(1, 2), max_size=4)),
        chosen=draw(st.sampled_from([None, resources[-1].resource_id, pool_ids[-1]])),
    )
    return demand, noon - draw(minutes(720, 2880, step=1)) + timedelta(microseconds=draw(st.sampled_from([0, 1])))


@st.composite
def open_appointments(draw: st.DrawFn, noon: datetime, pool_ids: list[int]) -> OpenAppointment:
    """Of any resources: the service's lists may have changed since it was made."""
    start = noon + draw(minutes(-1440, 1440))
    ids = draw(st.lists(st.sampled_from(pool_ids), min_size=1, unique=True))
    return OpenAppointment(
        Interval(start, start + draw(minutes(5, 120))),
        tuple(ids),
        draw(st.integers(1, 3)),
        id=draw(st.sampled_from([None, 7])),
        is_taken=draw(st.sampled_from([False, False, True])),
        is_unknown=draw(st.sampled_from([False, False, False, True])),
    )
