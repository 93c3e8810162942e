"""Ends and dates that are written badly: as long as there is a start, an event takes the time that it means, and more in case of doubt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from providers.calendars.base import RemoteEvent, Span
from providers.calendars.ical.mapping import read_event
from tests.providers.caldav_people import vcalendar

WINDOW: Span = (datetime(2027, 5, 1, tzinfo=UTC), datetime(2027, 8, 1, tzinfo=UTC))
NINE = datetime(2027, 6, 1, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BERLIN = "DTSTART;TZID=Europe/Berlin:20270601T110000"  # nine o'clock in UTC


def event(body: str, zone: str = "Europe/Berlin") -> RemoteEvent:
    return read_event(vcalendar(f"UID:one\n{body}"), remote_id="/one", etag="1", window=WINDOW, zone=zone)


def minutes(found: RemoteEvent) -> int:
    """How long the only stretch of time is that it takes, from nine o'clock on."""
    ((start, end),) = found.busy
    assert start == NINE
    return round((end - start) / MINUTE)


# Durations


@pytest.mark.parametrize(
    ("duration", "length"),
    [
        ("PT1H", 60), ("+PT1H", 60), ("pt1h", 60), (" PT1H ", 60), ("P0Y0M0DT1H0M0S", 60), ("P0DT1H", 60), ("P0W0DT1H", 60),
        ("PT1H0M0S", 60), ("PT3600S", 60), ("PT0.5H", 30), ("PT1,5H", 90), ("P1D", 1440), ("P1DT", 1440), ("P1W", 10080),
        ("P1W2D", 12960), ("P1DT1H", 1500), ("P1Y", 61 * 1440 - 540), ("P0000-00-00T01:00:00", 60),
        ("P1H", 60), ("P90M", 90), ("P1D2H", 1560), ("PT3600", 60), ("P3600", 60), ("3600", 60), ("PT60", 60), ("PT90", 90),
        ("PT1H30", 90), ("PT01:30:00", 90), ("PT1H 30M", 90), ("1H", 60), ("T1H", 60), ("-PT1H", 60), ("PT1D", 1440),
    ],
)  # fmt: skip
def test_a_duration_is_read_however_it_is_written(duration: str, length: int) -> None:
    assert minutes(event(f"DTSTART:20270601T090000Z\nDURATION:{duration}")) == length


@pytest.mark.parametrize("duration", ["P1H", "PT3600", "PT60", "-PT1H", "PT1H30", "1H", "PT01:30:00"])
def test_a_duration_that_had_to_be_guessed_is_said(duration: str) -> None:
    assert duration in str(event(f"DTSTART:20270601T090000Z\nDURATION:{duration}").problem)


@pytest.mark.parametrize("duration", ["P0Y0M0DT1H0M0S", "pt1h", "P1DT", "+P1D", "P1W2D"])
def test_a_duration_that_can_only_mean_one_thing_is_no_problem(duration: str) -> None:
    assert event(f"DTSTART:20270601T090000Z\nDURATION:{duration}").problem is None


@pytest.mark.parametrize("end", ["DURATION:", "DURATION:P", "DURATION:PT", "DURATION:an hour", "DURATION:PTXH", "DTEND:", "DTEND:soon",
    "DTEND:20270601T990000Z", "DTEND:20270631T100000Z", "DTEND:20270601T100000Z/PT1H"])  # fmt: skip
def test_an_end_that_says_nothing_is_the_end_of_the_day_and_said(end: str) -> None:
    found = event(f"DTSTART:20270601T090000Z\n{end}")
    assert minutes(found) == 13 * 60
    assert "end could not be read" in str(found.problem)


def test_the_last_hour_of_a_day_is_an_hour_at_least() -> None:
    found = event("DTSTART;TZID=Europe/Berlin:20270601T235000\nDTEND:soon")
    assert found.busy[0][1] - found.busy[0][0] == timedelta(hours=1)


# Where both are given


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        ("DTEND:20270601T090000Z\nDURATION:PT1H", 60),
        ("DURATION:PT1H\nDTEND:20270601T090000Z", 60),
        ("DTEND:20270601T100000Z\nDURATION:PT0S", 60),
        ("DTEND:20270601T100000Z\nDURATION:PT3H", 180),
        ("DTEND:20270601T080000Z\nDURATION:PT1H", 60),
        ("DTEND:soon\nDURATION:PT1H", 60),
        ("DTEND:20270601T100000Z\nDURATION:soon", 60),
        ("DTEND:20270601T090000Z\nDTEND:20270601T100000Z", 60),
    ],
)
def test_of_two_ends_the_later_one_counts(lines: str, length: int) -> None:
    assert minutes(event(f"DTSTART:20270601T090000Z\n{lines}")) == length


# Dates


@pytest.mark.parametrize(
    "end",
    [
        "DTEND;TZID=Europe/Berlin:20270601T120000", "DTEND:20270601T120000", "DTEND:20270601T100000Z", "DTEND:20270601t100000z",
        "DTEND: 20270601T100000Z ", "DTEND:20270601T095960Z", "DTEND:2027-06-01T10:00:00Z", "DTEND:2027-06-01T10:00:00.000Z",
        "DTEND:20270601T100000.123Z", "DTEND:2027-06-01T12:00:00+02:00", "DTEND:20270601T120000+0200", "DTEND:20270601T1000Z",
        "DTEND:20270601 100000Z", "DTEND:20270601100000Z", "DTEND:2027-06-01 10:00Z", "DTEND;TZID=Europe/Berlin:2027-06-01T12:00:00",
        "DTEND:20270601T100000UTC",
    ],
)  # fmt: skip
def test_a_date_is_read_however_it_is_written(end: str) -> None:
    assert minutes(event(f"{BERLIN}\n{end}")) in (59, 60)
    start = end.replace("DTEND", "DTSTART").replace("T12", "T11").replace("T10", "T09").replace(" 10", " 09")
    if (
        end not in ("DTEND:20270601t100000z",)
        and "60Z" not in end
        and "0601100000" not in end
        and end != "DTEND:20270601T120000"
    ):
        assert minutes(event(f"{start}\nDTEND:20270601T100000Z")) == 60


def test_an_hour_24_is_the_midnight_that_follows() -> None:
    for end in ("20270601T240000", "20270601T2400", "2027-06-01T24:00:00"):
        found = event(f"DTSTART;TZID=Europe/Berlin:20270601T220000\nDTEND;TZID=Europe/Berlin:{end}")
        assert found.busy == ((datetime(2027, 6, 1, 20, tzinfo=UTC), datetime(2027, 6, 1, 22, tzinfo=UTC)),)
    found = event("DTSTART;TZID=Europe/Berlin:20270531T240000\nDURATION:PT1H")
    assert found.start_at == datetime(2027, 5, 31, 22, tzinfo=UTC)


@pytest.mark.parametrize("day", ["20270601", "20270602", "2027-06-01"])
def test_a_time_that_ends_with_a_day_takes_its_last_day(day: str) -> None:
    found = event(f"{BERLIN}\nDTEND;VALUE=DATE:{day}")
    assert minutes(found) == 13 * 60
    assert "ends with a day" in str(found.problem)


def test_a_day_that_ends_with_a_time_ends_there_but_takes_its_first_day() -> None:
    for end, last in (("20270601T120000", (1, 22)), ("20270602T120000", (2, 10))):
        found = event(f"DTSTART;VALUE=DATE:20270601\nDTEND;TZID=Europe/Berlin:{end}")
        assert found.busy == ((datetime(2027, 5, 31, 22, tzinfo=UTC), datetime(2027, 6, *last, tzinfo=UTC)),)


@pytest.mark.parametrize("value", ["20270605T000000", "20270605T000000Z", "2027-06-05T00:00:00", "20270605"])
def test_a_day_may_be_written_as_its_midnight(value: str) -> None:
    found = event(f"DTSTART;VALUE=DATE:{value}")
    assert found.busy == ((datetime(2027, 6, 4, 22, tzinfo=UTC), datetime(2027, 6, 5, 22, tzinfo=UTC)),)


@pytest.mark.parametrize(
    "line", ["DTEND;VALUE=DATE:20270605", "DURATION:PT0S", "DURATION:P0D", "DURATION:P", "DURATION:PT10H", ""]
)
def test_a_whole_day_is_a_day_at_least(line: str) -> None:
    found = event(f"DTSTART;VALUE=DATE:20270605\n{line}")
    assert found.busy == ((datetime(2027, 6, 4, 22, tzinfo=UTC), datetime(2027, 6, 5, 22, tzinfo=UTC)),)


def test_days_that_end_before_they_begin_take_both_days() -> None:
    found = event("DTSTART;VALUE=DATE:20270605\nDTEND;VALUE=DATE:20270604")
    assert found.busy == ((datetime(2027, 6, 3, 22, tzinfo=UTC), datetime(2027, 6, 5, 22, tzinfo=UTC)),)


def test_a_night_with_the_date_of_its_evening_on_both_ends_is_taken() -> None:
    found = event("DTSTART;TZID=Europe/Berlin:20270601T220000\nDTEND;TZID=Europe/Berlin:20270601T060000")
    ((start, end),) = found.busy
    assert start <= datetime(2027, 6, 1, 4, tzinfo=UTC)
    assert end == datetime(2027, 6, 2, 4, tzinfo=UTC)
    assert "before it starts" in str(found.problem)


@pytest.mark.parametrize(
    ("end", "until"),
    [
        ("20270530T150000", 4),
        ("20270531T120000", 1),
        ("20270501T120000", 1),
        ("20270601T100000", 0),
        ("20270530T100000", 0),
    ],
)
def test_an_end_before_its_start_takes_all_between_and_what_is_likely_to_be_meant(end: str, until: int) -> None:
    ((start, last),) = event(f"{BERLIN}\nDTEND;TZID=Europe/Berlin:{end}").busy
    assert f"{start + timedelta(hours=2):%Y%m%dT%H%M%S}" == end
    assert last == NINE + timedelta(hours=until)


def test_an_end_without_a_zone_goes_by_the_clock_of_its_start() -> None:
    found = event("DTSTART;TZID=America/New_York:20270601T050000\nDTEND:20270601T060000")
    assert (minutes(found), found.problem) == (60, None)
    assert minutes(event("DTSTART:20270601T090000Z\nDTEND:20270601T100000", zone="America/New_York")) == 60


def test_the_later_of_two_starts_is_an_end_under_a_wrong_name() -> None:
    found = event("DTSTART:20270601T090000Z\nDTSTART:20270601T110000Z")
    assert minutes(found) == 120
    assert "two starts" in str(found.problem)
    assert event("DTSTART:20270601T090000Z\nDTSTART:20270601T090000Z").busy == ()
    assert minutes(event("DTSTART:20270601T090000Z\nDTSTART:20270601T110000Z\nDURATION:PT1H")) == 60


def test_a_whole_day_of_a_file_with_another_zone_takes_the_day_of_both() -> None:
    text = vcalendar("UID:one\nDTSTART;VALUE=DATE:20270601", head="X-WR-TIMEZONE:America/Los_Angeles")
    found = read_event(text, remote_id="/one", etag="1", window=WINDOW, zone="Europe/Berlin")
    assert found.busy == (
        (datetime(2027, 5, 31, 22, tzinfo=UTC), datetime(2027, 6, 1, 22, tzinfo=UTC)),
        (datetime(2027, 6, 1, 7, tzinfo=UTC), datetime(2027, 6, 2, 7, tzinfo=UTC)),
    )


def test_a_start_without_a_zone_goes_by_the_zone_of_its_end_as_well() -> None:
    found = event("DTSTART:20270601T050000\nDTEND;TZID=America/New_York:20270601T060000", zone="America/Los_Angeles")
    assert found.busy == ((NINE, NINE + timedelta(hours=1)),)
    ((start, end),) = event("DTSTART:20270601T050000\nDTEND;TZID=America/New_York:20270601T060000").busy
    assert start <= NINE
    assert end == NINE + timedelta(hours=1)


@pytest.mark.parametrize("body", [
    "DTSTART:20270601T090000Z", "DTSTART:20270601T090000Z\nDTEND:20270601T090000Z", "DTSTART:20270601T090000Z\nDURATION:PT0S",
    "DTSTART:20270601T090000Z\nDURATION:P0Y0M0DT0H0M0S", "DTSTART:20270601T090000Z\nDTEND:20270601T090000Z\nDURATION:PT0S"])  # fmt: skip
def test_an_event_that_says_soundly_that_it_has_no_length_takes_no_time(body: str) -> None:
    found = event(body)
    assert (found.busy, found.start_at, found.problem) == ((), NINE, None)
