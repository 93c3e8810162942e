"""Recurring objects: every occurrence where people see it, and no rule that keeps the portal busy for ever."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import icalendar
import pytest
import recurring_ical_events
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.calendars.base import RemoteEvent, Span
from providers.calendars.ical.mapping import read_event
from tests.providers.caldav_people import vcalendar

WINDOW: Span = (datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 5, 30, tzinfo=UTC))
BERLIN = "DTSTART;TZID=Europe/Berlin:{}T090000\nDTEND;TZID=Europe/Berlin:{}T100000"


def series(*bodies: str, window: Span = WINDOW, zone: str = "Europe/Madrid", head: str = "") -> RemoteEvent:
    text = vcalendar(*(f"UID:series\n{body}" for body in bodies), head=head)
    return read_event(text, remote_id="/s.ics", etag="1", window=window, zone=zone)


def starts(*bodies: str, window: Span = WINDOW) -> list[str]:
    found = series(*bodies, window=window)
    assert found.problem is None
    assert found.is_recurring
    assert list(found.busy) == sorted(found.busy)
    return [f"{start:%m%d %H%M}" for start, _ in found.busy]


def berlin(day: str, *lines: str) -> str:
    return "\n".join([BERLIN.format(day, day), *lines])


# What a series is


def test_a_series_keeps_its_wall_clock_time_over_the_change() -> None:
    assert starts(berlin("20270326", "RRULE:FREQ=DAILY;COUNT=4")) == [
        "0326 0800",
        "0327 0800",
        "0328 0700",
        "0329 0700",
    ]


def test_a_series_from_long_ago_takes_next_week() -> None:
    assert starts(berlin("20090105", "RRULE:FREQ=WEEKLY"))[:2] == ["0301 0800", "0308 0800"]


def test_exceptions_overrides_and_single_dates_meet_the_occurrence_they_mean() -> None:
    master = berlin(
        "20270326",
        "RRULE:FREQ=DAILY;COUNT=5",
        "EXDATE:20270327T080000Z",
        "EXDATE;TZID=Europe/Berlin:20270329T090000",
        "RDATE;TZID=Europe/Berlin:20270404T090000,20270405T090000",
    )
    override = "RECURRENCE-ID;TZID=America/New_York:20270328T030000\nDTSTART:20270328T150000Z\nDTEND:20270328T160000Z"
    assert starts(master, override) == ["0326 0800", "0328 1500", "0330 0700", "0404 0700", "0405 0700"]


def test_this_and_all_that_follow_move_together() -> None:
    master = "DTSTART:20270327T090000Z\nDTEND:20270327T100000Z\nRRULE:FREQ=DAILY;COUNT=6"
    moved = "RECURRENCE-ID;RANGE=THISANDFUTURE:20270329T090000Z\nDTSTART:20270329T120000Z\nDTEND:20270329T133000Z"
    assert starts(master, moved) == ["0327 0900", "0328 0900", "0329 1200", "0330 1200", "0331 1200", "0401 1200"]
    assert {end - start for start, end in series(master, moved).busy} == {timedelta(hours=1), timedelta(minutes=90)}


def test_a_cancelled_or_transparent_occurrence_is_free() -> None:
    master = "DTSTART:20270327T090000Z\nDTEND:20270327T100000Z\nRRULE:FREQ=DAILY;COUNT=4"
    cancelled = "RECURRENCE-ID:20270328T090000Z\nDTSTART:20270328T090000Z\nDTEND:20270328T100000Z\nSTATUS:CANCELLED"
    free = "RECURRENCE-ID:20270329T090000Z\nDTSTART:20270329T090000Z\nDTEND:20270329T100000Z\nTRANSP:TRANSPARENT"
    assert starts(master, cancelled, free) == ["0327 0900", "0330 0900"]


def test_one_busy_occurrence_of_a_free_series_takes_time() -> None:
    master = "DTSTART:20270327T090000Z\nDTEND:20270327T100000Z\nRRULE:FREQ=DAILY;COUNT=4\nTRANSP:TRANSPARENT"
    taken = "RECURRENCE-ID:20270328T090000Z\nDTSTART:20270328T090000Z\nDTEND:20270328T100000Z\nTRANSP:OPAQUE"
    assert starts(master, taken) == ["0328 0900"]


def test_an_occurrence_without_its_series_is_an_event() -> None:
    alone = "RECURRENCE-ID:20270329T090000Z\nDTSTART:20270329T120000Z\nDTEND:20270329T130000Z"
    assert starts(alone) == ["0329 1200"]


def test_a_last_day_in_utc_is_the_last_occurrence_on_the_wall() -> None:
    assert starts(berlin("20270326", "RRULE:FREQ=DAILY;UNTIL=20270328T070000Z")) == [
        "0326 0800",
        "0327 0800",
        "0328 0700",
    ]
    assert starts(berlin("20270326", "RRULE:FREQ=DAILY;UNTIL=20270327")) == ["0326 0800", "0327 0800"]


def test_whole_days_that_repeat_take_local_days_and_heed_exceptions_of_either_kind() -> None:
    body = "DTSTART;VALUE=DATE:20270301\nRRULE:FREQ=WEEKLY;COUNT=5\nEXDATE;VALUE=DATE:20270308\n"
    body += "EXDATE;TZID=Europe/Berlin:20270315T000000"
    assert starts(body) == ["0301 0000", "0321 2300", "0328 2200"]


def test_a_series_that_ends_before_it_begins_is_empty_but_for_its_single_dates() -> None:
    ended = "DTSTART;VALUE=DATE:20270308\nRRULE:FREQ=WEEKLY;UNTIL=20270301"
    assert starts(ended) == []
    assert starts(f"{ended}\nRDATE;VALUE=DATE:20270317") == ["0316 2300"]


def test_a_moved_whole_day_leaves_its_old_day_free() -> None:
    master = "DTSTART;VALUE=DATE:20270308\nRRULE:FREQ=WEEKLY;COUNT=3"
    moved = "RECURRENCE-ID;TZID=Europe/Madrid:20270315T000000\nDTSTART;VALUE=DATE:20270317"
    assert starts(master, moved) == ["0307 2300", "0316 2300", "0321 2300"]


def test_a_single_date_with_a_length_of_its_own_takes_that() -> None:
    body = "DTSTART:20270327T090000Z\nDTEND:20270327T100000Z\nRDATE;VALUE=PERIOD:20270401T090000Z/PT3H"
    assert [end - start for start, end in series(body).busy] == [timedelta(hours=1), timedelta(hours=3)]


def test_an_occurrence_that_began_before_the_window_still_takes_time() -> None:
    body = "DTSTART:20270222T200000Z\nDTEND:20270224T080000Z\nRRULE:FREQ=WEEKLY"
    window = (datetime(2027, 3, 2, tzinfo=UTC), datetime(2027, 3, 3, tzinfo=UTC))
    assert series(body, window=window).busy == (window,)


def test_a_repeating_lie_about_the_mark_is_ours_and_free() -> None:
    assert series(berlin("20270326", "RRULE:FREQ=DAILY", "X-LOCKSTEP:studio/1/1")).busy == ()


@pytest.mark.parametrize(
    "lines", ["RRULE:FREQ=DAILY", "RDATE:20270401T070000Z", "TRANSP:TRANSPARENT", "STATUS:CANCELLED", ""]
)
def test_what_our_mark_hides_is_told_beside_it(lines: str) -> None:
    marked, plain = series(berlin("20270326", lines, "X-LOCKSTEP:studio/1/1")), series(berlin("20270326", lines))
    assert (marked.busy, marked.taken) == ((), plain.busy)
    assert plain.taken is None


def test_another_rule_is_another_meaning() -> None:
    hashes = {
        series(berlin("20270326", line)).content_hash
        for line in ("RRULE:FREQ=DAILY", "RRULE:FREQ=WEEKLY", "RRULE:FREQ=DAILY\nEXDATE:20270327T080000Z", "SUMMARY:x")
    }
    assert len(hashes) == 4


# The same as the library says


@st.composite
def rules(draw: st.DrawFn) -> str:
    freq = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = [f"FREQ={freq}", f"INTERVAL={draw(st.integers(1, 5))}"]
    if draw(st.booleans()):
        days = draw(
            st.lists(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1, max_size=3, unique=True)
        )
        ordinal = draw(st.sampled_from(["", "1", "2", "-1"])) if freq in ("MONTHLY", "YEARLY") else ""
        parts.append("BYDAY=" + ",".join(ordinal + day for day in days))
    if freq == "MONTHLY" and draw(st.booleans()):
        parts.append(f"BYMONTHDAY={draw(st.sampled_from([1, 13, 28, 31, -1]))}")
    if draw(st.booleans()):
        parts.append(f"BYMONTH={draw(st.sampled_from(['3', '4,5', '1', '12']))}")
    ending = draw(st.sampled_from(["", "COUNT=7", "COUNT=500", "UNTIL=20270401T090000Z", "UNTIL=20260101T000000Z"]))
    return ";".join([*parts, *([ending] if ending else [])])


@st.composite
def objects(draw: st.DrawFn) -> str:
    start = datetime(2026, 1, 1) + timedelta(hours=draw(st.integers(0, 24 * 480)))  # noqa: DTZ001
    zone = draw(st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]))
    minutes = draw(st.sampled_from([15, 60, 480]))
    end = start + timedelta(minutes=minutes)
    lines = [
        "UID:p", f"DTSTART;TZID={zone}:{start:%Y%m%dT%H%M%S}", f"DTEND;TZID={zone}:{end:%Y%m%dT%H%M%S}",
    ]  # fmt: skip
    if draw(st.booleans()):
        lines.append(f"RRULE:{draw(rules())}")
    for name in draw(st.lists(st.sampled_from(["EXDATE", "RDATE"]), max_size=3)):
        day = start + timedelta(days=draw(st.integers(0, 500)))
        lines.append(f"{name};TZID={zone}:{day:%Y%m%dT%H%M%S}")
    return vcalendar("\n".join(lines))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(objects())
def test_the_short_cuts_lead_to_what_the_library_says(text: str) -> None:
    ours = read_event(text, remote_id="/p", etag="1", window=WINDOW, zone="UTC")
    found = recurring_ical_events.of(icalendar.Calendar.from_ical(text)).between(*WINDOW)
    spans = {(item["DTSTART"].dt.astimezone(UTC), item["DTEND"].dt.astimezone(UTC)) for item in found}
    clipped = {(max(start, WINDOW[0]), min(end, WINDOW[1])) for start, end in spans}
    assert set(ours.busy) == {span for span in clipped if span[0] < span[1]}
    assert ours.problem is None


# What is too much, or no rule at all


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY",
        "FREQ=MINUTELY;COUNT=99999999",
        "FREQ=HOURLY;BYMINUTE=0,30",
        "FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23;BYMINUTE=0,10,20,30,40,50",
        "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYHOUR=1,2,3,4,5,6,7,8,9,10,11,12;BYMINUTE=0,30",
    ],
)
def test_more_than_anybody_can_have_is_all_taken_and_said(rule: str) -> None:
    found = series(berlin("20270310", f"RRULE:{rule}"))
    assert found.busy == ((datetime(2027, 3, 10, 8, tzinfo=UTC), WINDOW[1]),)
    assert "taken" in str(found.problem)


@pytest.mark.parametrize(
    "rule",
    ["", "FREQ=", "FREQ=SOMETIMES", "COUNT=3", "garbage", "INTERVAL=2;UNTIL=20270401", ";;;", "=", "RSCALE=HEBREW;FREQ=YEARLY;BYMONTH=5L"],
)  # fmt: skip
def test_a_rule_that_says_nothing_leaves_the_first_event(rule: str) -> None:
    found = series(berlin("20270310", f"RRULE:{rule}"))
    assert found.busy == ((datetime(2027, 3, 10, 8, tzinfo=UTC), datetime(2027, 3, 10, 9, tzinfo=UTC)),)
    assert "repetition" in str(found.problem)


MARCH = datetime(2027, 3, 1, tzinfo=UTC)
EVERY_MINUTE_OF_MARCH = ",".join(f"{MARCH + timedelta(minutes=n):%Y%m%dT%H%M%SZ}" for n in range(31 * 1440))


@pytest.mark.parametrize(
    "body",
    [
        berlin("20200101", "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"),
        berlin("20200101", "RRULE:FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30"),
        berlin("20200101", "RRULE:FREQ=WEEKLY;BYMONTH=2;BYMONTHDAY=30"),
        berlin("20200101", "RRULE:FREQ=DAILY;INTERVAL=7;BYDAY=TU"),
        berlin("20200101", "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"),
        berlin("20200101", "RRULE:FREQ=YEARLY;BYYEARDAY=366;BYMONTH=1"),
        berlin("19000101", "RRULE:FREQ=HOURLY;INTERVAL=5"),
        berlin("00010101", "RRULE:FREQ=DAILY"),
        berlin("20270301", "RRULE:FREQ=DAILY", "EXDATE:" + ",".join(["20270328T070000Z"] * 100_000)),
        berlin("20270301", "RRULE:FREQ=DAILY", f"RDATE:{EVERY_MINUTE_OF_MARCH}"),
        berlin("20270301", "RRULE:FREQ=DAILY", "DESCRIPTION:" + "x" * 4_000_000),
        berlin("20270301", "RRULE:FREQ=DAILY", "DESCRIPTION:" + "x" * 20_000_000),
        berlin("20270301", *["RRULE:FREQ=DAILY"] * 200),
        berlin("20270301", "DURATION:P999999999W", "RRULE:FREQ=DAILY"),
        berlin("20270301", *["BEGIN:VEVENT"] * 100_000),
        berlin("20270301", *["ATTENDEE;CN=\"" + "a" * 50 + "\";PARTSTAT=DECLINED:mailto:x@y.example"] * 20_000),
    ],
    ids=range(16),
)  # fmt: skip
def test_no_object_keeps_us_for_long(body: str) -> None:
    started = time.perf_counter()
    found = series(body)
    assert time.perf_counter() - started < 1.5
    assert isinstance(found, RemoteEvent)


def test_a_thousand_changed_occurrences_are_read_and_more_are_said() -> None:
    changed = [
        f"RECURRENCE-ID:{at:%Y%m%dT%H%M%SZ}\nDTSTART:{at:%Y%m%dT%H%M%SZ}\nDURATION:PT30M"
        for at in (datetime(2027, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(1_200))
    ]
    started = time.perf_counter()
    found = series("DTSTART:20270101T000000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY", *changed)
    assert time.perf_counter() - started < 5
    assert "changed occurrences" in str(found.problem)
    assert found.busy


TRAP = """\
BEGIN:VTIMEZONE
TZID:Trap
BEGIN:STANDARD
DTSTART:19700101T000000
RRULE:FREQ=SECONDLY
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
END:STANDARD
END:VTIMEZONE"""


def test_a_zone_that_changes_every_second_is_no_zone() -> None:
    started = time.perf_counter()
    found = series("DTSTART;TZID=Trap:20270310T100000\nDURATION:PT1H\nRRULE:FREQ=DAILY", head=TRAP)
    assert time.perf_counter() - started < 1
    assert "Trap" in str(found.problem)


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")),
    objects(),
    st.integers(0, 400),
)
def test_reading_never_raises(rubbish: str, text: str, cut: int) -> None:
    for mutated in (rubbish, text[:cut] + rubbish + text[cut:], text[:cut], text.replace("0", rubbish[:3])):
        found = read_event(mutated, remote_id="/x", etag="1", window=WINDOW, zone="UTC")
        assert found.remote_id == "/x"
        assert all(WINDOW[0] <= start < end <= WINDOW[1] for start, end in found.busy)
