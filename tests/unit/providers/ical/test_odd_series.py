"""Series whose ends, exceptions and rules are not written as the RFC says: the occurrence that is meant, and never less time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from providers.calendars.base import RemoteEvent, Span
from providers.calendars.ical.mapping import read_event
from tests.providers.caldav_people import vcalendar

WINDOW: Span = (datetime(2027, 6, 1, tzinfo=UTC), datetime(2027, 8, 1, tzinfo=UTC))


def series(*bodies: str, zone: str = "Europe/Berlin", window: Span = WINDOW) -> RemoteEvent:
    text = vcalendar(*(f"UID:series\n{body}" for body in bodies))
    return read_event(text, remote_id="/s.ics", etag="1", window=window, zone=zone)


def starts(*bodies: str, zone: str = "Europe/Berlin") -> list[str]:
    return [f"{start:%m%d %H%M}" for start, _ in series(*bodies, zone=zone).busy]


def days(*bodies: str, zone: str = "Europe/Berlin") -> list[str]:
    """The days taken, by noon."""
    return [f"{(start + timedelta(hours=12)):%m%d}" for start, _ in series(*bodies, zone=zone).busy]


# Whole days that end, or make exceptions, in UTC

DAILY = "DTSTART;VALUE=DATE:20270615\nRRULE:FREQ=DAILY;UNTIL="


@pytest.mark.parametrize(
    ("until", "zone", "last"),
    [
        ("20270617", "Europe/Berlin", "0617"),
        ("20270616T220000Z", "Europe/Berlin", "0617"),
        ("20270617T000000Z", "Europe/Berlin", "0617"),
        ("20270617T215959Z", "Europe/Berlin", "0617"),
        ("20270617T100000Z", "Europe/Berlin", "0617"),
        ("20270617T000000", "Europe/Berlin", "0617"),
        ("20270617T235959", "Europe/Berlin", "0617"),
        ("2027-06-17", "Europe/Berlin", "0617"),
        ("20270617t000000z", "Europe/Berlin", "0617"),
        ("20270617T000000Z", "America/New_York", "0617"),
        ("20270617T040000Z", "America/New_York", "0617"),
        ("20270616T140000Z", "Australia/Brisbane", "0617"),
        ("20270616T220000Z", "Europe/London", "0617"),
        ("20270616T220000Z", "UTC", "0617"),
        ("20270616T220000Z", "Europe/Helsinki", "0617"),
    ],
)
def test_whole_days_end_with_the_day_that_the_last_instant_means(until: str, zone: str, last: str) -> None:
    found = series(DAILY + until, zone=zone)
    assert len(found.busy) == 3
    assert f"{found.busy[-1][0] + timedelta(hours=12):%m%d}" == last
    assert found.problem is None


@pytest.mark.parametrize(
    "until", ["20270611T220000Z", "20270612", "20270612T000000Z", "20270611T215959Z", "20270612T000000"]
)
@pytest.mark.parametrize("freq", ["YEARLY", "WEEKLY", "DAILY"])
def test_a_series_that_ends_on_its_first_day_takes_that_day(until: str, freq: str) -> None:
    assert days(f"DTSTART;VALUE=DATE:20270612\nRRULE:FREQ={freq};UNTIL={until}") == ["0612"]


@pytest.mark.parametrize(
    "line",
    [
        "EXDATE;VALUE=DATE:20270616", "EXDATE:20270616", "EXDATE:20270615T220000Z", "EXDATE:20270616T000000Z",
        "EXDATE;TZID=America/New_York:20270616T000000", "EXDATE:20270616T000000", "EXDATE:20270616T100000Z",
        "EXDATE;TZID=W. Europe Standard Time:20270616T000000", "EXDATE:2027-06-16",
    ],
)  # fmt: skip
def test_a_whole_day_is_taken_out_by_a_date_in_any_form(line: str) -> None:
    assert days(f"DTSTART;VALUE=DATE:20270615\nRRULE:FREQ=DAILY;COUNT=3\n{line}") == ["0615", "0617"]
    moved = line.replace("EXDATE", "RECURRENCE-ID") + "\nDTSTART;VALUE=DATE:20270620"
    assert days("DTSTART;VALUE=DATE:20270615\nRRULE:FREQ=DAILY;COUNT=3", moved) == ["0615", "0617", "0620"]
    assert days(f"DTSTART;VALUE=DATE:20270615\nRDATE;VALUE=DATE:20270614\n{line.replace('EX', 'R')}") == [
        "0614",
        "0615",
        "0616",
    ]


def test_hours_in_a_rule_mean_nothing_to_whole_days() -> None:
    body = "DTSTART;VALUE=DATE:20270615\nRRULE:FREQ=DAILY;BYHOUR=9,15;COUNT=4"
    assert [f"{start:%m%d %H%M}" for start, _ in series(body).busy] == ["0614 2200", "0615 2200"]


def test_a_time_of_another_zone_that_falls_on_two_days_takes_none_out() -> None:
    body = "DTSTART;VALUE=DATE:20270615\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE;TZID=America/New_York:20270615T200000"
    assert len(series(body).busy) == 3
    assert "single dates" in str(series(body).problem)


def test_an_instant_that_may_mean_two_days_takes_none_out_and_is_said() -> None:
    found = series(
        "DTSTART;VALUE=DATE:20270615\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20270615T220000Z", zone="Europe/London"
    )
    assert len(found.busy) == 3
    assert "single dates" in str(found.problem)


# Times that end with a day, in UTC, or without a zone

NEW_YORK = "DTSTART;TZID=America/New_York:20270617T090000\nDURATION:PT1H"


@pytest.mark.parametrize(
    "until",
    ["20270618", "20270618T130000Z", "20270618T090000", "20270618T235959", "20270619T035959Z", "2027-06-18", "20270618T2400",
     "20270618T1300Z"],
)  # fmt: skip
def test_times_end_with_the_last_one_that_is_meant(until: str) -> None:
    assert starts(f"{NEW_YORK}\nRRULE:FREQ=DAILY;UNTIL={until}") == ["0617 1300", "0618 1300"]


@pytest.mark.parametrize("until", ["20270617T000000Z", "20270617T000000", "20270616T140000Z", "20270617"])
def test_an_end_within_a_day_before_the_start_takes_nothing_away(until: str) -> None:
    assert starts(f"{NEW_YORK}\nRRULE:FREQ=WEEKLY;UNTIL={until}") == ["0617 1300"]


def test_an_end_with_the_offset_of_the_first_occurrence_is_the_end_of_the_last() -> None:
    window = (datetime(2027, 10, 1, tzinfo=UTC), datetime(2027, 12, 1, tzinfo=UTC))
    body = "DTSTART;TZID=Europe/Berlin:20271029T090000\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20271101T070000Z"
    assert len(series(body, window=window).busy) == 4


# Exceptions and changed occurrences

EVENING = "DTSTART;TZID=Europe/Berlin:20270610T220000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=2"
MOVED = "\nDTSTART;TZID=Europe/Berlin:20270611T120000\nDURATION:PT1H"
FORMS = [
    ";TZID=Europe/Berlin:20270611T220000", ":20270611T200000Z", ";TZID=America/New_York:20270611T160000", ";VALUE=DATE:20270611",
    ":20270611", ":20270611T220000", ":2027-06-11T22:00:00", ";TZID=W. Europe Standard Time:20270611T220000", ":20270611t200000z",
    ";TZID=europe/berlin:20270611T220000",
]  # fmt: skip


@pytest.mark.parametrize("one", FORMS)
@pytest.mark.parametrize("other", FORMS[:5])
def test_a_date_taken_out_that_has_a_changed_occurrence_too_is_changed(one: str, other: str) -> None:
    assert starts(f"{EVENING}\nEXDATE{other}", f"RECURRENCE-ID{one}{MOVED}") == ["0610 2000", "0611 1000"]


@pytest.mark.parametrize("form", FORMS)
def test_a_changed_occurrence_leaves_its_old_time_free_in_any_form(form: str) -> None:
    assert starts(EVENING, f"RECURRENCE-ID{form}{MOVED}") == ["0610 2000", "0611 1000"]
    assert starts(EVENING, f"RECURRENCE-ID{form}\nSTATUS:CANCELLED{MOVED}") == ["0610 2000"]
    assert starts(f"{EVENING}\nEXDATE{form}") == ["0610 2000"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("RDATE:20270618T090000", "0618 1300"),
        ("RDATE;VALUE=DATE:20270618", "0618 1300"),
        ("RDATE:20270618T130000Z", "0618 1300"),
        ("RDATE;TZID=Europe/Berlin:20270618T150000", "0618 1300"),
        ("RDATE;VALUE=PERIOD:20270618T090000/PT2H", "0618 1300"),
        ("RDATE;VALUE=PERIOD:20270618T130000Z/20270618T150000Z", "0618 1300"),
        ("RDATE;VALUE=PERIOD;TZID=America/New_York:20270618T090000/20270618T110000", "0618 1300"),
        ("RDATE:2027-06-18T09:00:00", "0618 1300"),
    ],
)
def test_a_further_date_goes_by_the_clock_of_the_series(line: str, expected: str) -> None:
    found = series(f"{NEW_YORK}\n{line}")
    assert [f"{start:%m%d %H%M}" for start, _ in found.busy] == ["0617 1300", expected]
    hours = (found.busy[1][1] - found.busy[1][0]) / timedelta(hours=1)
    assert hours == (2 if "PERIOD" in line else 1)
    assert found.problem is None


def test_a_further_date_may_be_a_period_of_whole_days_or_a_day_with_a_stray_letter() -> None:
    found = series("DTSTART:20270617T130000Z\nRDATE;VALUE=PERIOD:20270618/20270619")
    assert found.busy == ((datetime(2027, 6, 18, tzinfo=UTC), datetime(2027, 6, 19, tzinfo=UTC)),)
    assert days("DTSTART;VALUE=DATE:20270617\nRDATE:20270620Z") == ["0617", "0620"]


def test_a_series_in_utc_reads_dates_without_a_zone_in_utc() -> None:
    body = "DTSTART:20270617T130000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20270618T130000\nRDATE:20270625T130000"
    assert starts(body) == ["0617 1300", "0619 1300", "0625 1300"]


def test_of_two_changes_to_one_occurrence_the_newer_counts_and_of_equals_both() -> None:
    one = f"SEQUENCE:1\nRECURRENCE-ID{FORMS[0]}{MOVED}"
    other = f"SEQUENCE:2\nRECURRENCE-ID{FORMS[1]}{MOVED.replace('T12', 'T14')}"
    assert starts(EVENING, one, other) == ["0610 2000", "0611 1200"]
    assert starts(EVENING, other, one) == ["0610 2000", "0611 1200"]
    assert starts(EVENING, one, other.replace("SEQUENCE:2", "SEQUENCE:1")) == ["0610 2000", "0611 1000", "0611 1200"]


def test_a_changed_occurrence_that_does_not_say_which_takes_its_time_and_the_old_one_stays() -> None:
    found = series(EVENING, f"RECURRENCE-ID:garbage{MOVED}")
    assert [f"{start:%m%d %H%M}" for start, _ in found.busy] == ["0610 2000", "0611 1000", "0611 2000"]
    assert "which date" in str(found.problem)


def test_a_changed_occurrence_of_a_date_that_the_rule_does_not_name_takes_its_time() -> None:
    assert starts(EVENING, f"RECURRENCE-ID:20270701T200000Z{MOVED}") == ["0610 2000", "0611 1000", "0611 2000"]


def test_changed_occurrences_without_their_series_are_events() -> None:
    assert starts(
        f"RECURRENCE-ID{FORMS[0]}{MOVED}", f"RECURRENCE-ID;VALUE=DATE:20270612{MOVED.replace('T12', 'T14')}"
    ) == [
        "0611 1000",
        "0611 1200",
    ]


@pytest.mark.parametrize("form", ["TZID=Europe/Berlin:20270611T220000", "VALUE=DATE:20270611"])
@pytest.mark.parametrize("exception", ["", "\nEXDATE:20270611T200000Z"])
def test_this_and_all_that_follow_are_changed_in_any_form(form: str, exception: str) -> None:
    body = EVENING.replace("COUNT=2", "COUNT=4") + exception
    assert starts(body, f"RECURRENCE-ID;RANGE=THISANDFUTURE;{form}{MOVED}") == [
        "0610 2000", "0611 1000", "0612 1000", "0613 1000",
    ]  # fmt: skip


def test_all_that_came_before_take_their_old_and_their_new_times() -> None:
    body = EVENING.replace("COUNT=2", "COUNT=3")
    assert starts(body, f"RECURRENCE-ID;RANGE=THISANDPRIOR:20270611T200000Z{MOVED}") == [
        "0610 1000", "0610 2000", "0611 1000", "0612 2000",
    ]  # fmt: skip


def test_a_changed_occurrence_takes_nothing_from_a_series_of_another_name() -> None:
    one = f"UID:one\nDTSTAMP:20270101T000000Z\n{EVENING}"
    other = f"UID:other\nRECURRENCE-ID{FORMS[0]}{MOVED}"
    for order in ((one, other), (other, one)):
        found = read_event(vcalendar(*order), remote_id="/s", etag="1", window=WINDOW, zone="Europe/Berlin")
        assert [f"{start:%m%d %H%M}" for start, _ in found.busy] == ["0610 2000", "0611 1000", "0611 2000"]
        assert found.uid == "one"


def test_more_rules_than_anybody_needs_take_all_time() -> None:
    rules = "\nRRULE:".join(f"FREQ=YEARLY;INTERVAL={number}" for number in range(1, 30))
    found = series(f"{NEW_YORK}\nRRULE:{rules}")
    assert found.busy[-1][1] == WINDOW[1]
    assert "repetitions" in str(found.problem)


# Rules with litter

TUESDAY = "DTSTART;TZID=Europe/Berlin:20270601T090000\nDURATION:PT1H\nRRULE:"
BOTH = ["0601 0700", "0608 0700"]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=WEEKLY;COUNT=2", "RSCALE=GREGORIAN;FREQ=WEEKLY;COUNT=2", "RSCALE=GREGORIAN;FREQ=WEEKLY;SKIP=OMIT;COUNT=2",
        "FREQ=WEEKLY;SKIP=BACKWARD;RSCALE=GREGORIAN;COUNT=2", "RSCALE=CHINESE;FREQ=WEEKLY;COUNT=2", "FREQ=WEEKLY;BYDAY=;COUNT=2",
        "FREQ=WEEKLY;BYMONTH=;BYSETPOS=;COUNT=2", "FREQ=WEEKLY; COUNT=2", " FREQ = WEEKLY ; COUNT = 2 ", "FREQ=WEEKLY;;COUNT=2",
        ";FREQ=WEEKLY;COUNT=2", "FREQ=WEEKLY;COUNT=2;", "FREQ=WEEKLY;X-A=B;COUNT=2", "freq=weekly;count=2", "FREQ=WEEKLY;COUNT=2;WKST=SU",
        "FREQ=WEEKLY;INTERVAL=;COUNT=2", "FREQ=WEEKLY;INTERVAL=1;COUNT=02", "COUNT=2;FREQ=WEEKLY", "WEEKLY;COUNT=2", "FREQ=WEEKLY;BYDAY=TU,;COUNT=2",
        "FREQ=WEEKLY;BYDAY=TU;BYDAY=TU;COUNT=2", "FREQ=WEEKLY;BYDAY=TUESDAY;COUNT=2", "RRULE:FREQ=WEEKLY;COUNT=2",
        "FREQ=WEEKLY;UNTIL=20270608", "FREQ=WEEKLY;UNTIL=;COUNT=2", "FREQ=WEEKLY;COUNT=;UNTIL=20270608T070000Z",
        "FREQ=WEEKLY;UNTIL=2027-06-08T07:00:00Z", "FREQ=WEEKLY;BYDAY= TU ;COUNT= 2",
    ],
)  # fmt: skip
def test_what_says_nothing_in_a_rule_changes_nothing(rule: str) -> None:
    assert (starts(TUESDAY + rule), series(TUESDAY + rule).problem) == (BOTH, None)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=WEEKLY;COUNT=2;BYFOO=3", "FREQ=WEEKLY;COUNT=2;WKST=XX", "FREQ=WEEKLY;COUNT=2;BYDAY=XX", "FREQ=WEEKLY;COUNT=2;BYHOUR=99",
        "FREQ=WEEKLY;COUNT=2;BYMONTH=13", "FREQ=WEEKLY;COUNT=2;INTERVAL=0",
        "FREQ=WEEKLY;COUNT=2;INTERVAL=x",
        "FREQ=FORTNIGHTLY;COUNT=2", "FREQ=WEEKLY;COUNT=2;UNTIL=garbage", "FREQ=WEEKLY;COUNT=2;BYSETPOS=0", "W1 TU #2", "W1 #2",
        "FREQ=WEEKLY;COUNT=2;garbage", "BYDAY=TU;COUNT=2", "FREQ=WEEKLY,;COUNT=2;FREQ=WEEKLY;FREQ=YEARLY",
    ],
)  # fmt: skip
def test_what_cannot_be_understood_in_a_rule_is_left_out_and_said(rule: str) -> None:
    found = series(TUESDAY + rule)
    assert [f"{start:%m%d %H%M}" for start, _ in found.busy] == BOTH
    assert "repetition" in str(found.problem)


@pytest.mark.parametrize(
    ("rule", "number"),
    [
        ("FREQ=DAILY;INTERVAL=0", 61), ("FREQ=DAILY;INTERVAL=-1", 61), ("FREQ=DAILY;UNTIL=garbage", 61),
        ("FREQ=DAILY;UNTIL=20279999", 61), ("FREQ=DAILY;COUNT=0", 61), ("FREQ=DAILY;BYDAY=XX", 61), ("FREQ=DAILY;BYHOUR=99", 61),
        ("FREQ=DAILY;INTERVAL=" + "9" * 400, 61), ("FREQ=WEEKLY;BYDAY=TU,XX", 9), ("FREQ=WEEKLY;BYDAY=WE,XX", 18),
        ("FREQ=DAILY;BYMONTHDAY=" + ",".join(map(str, range(500))), 61), ("D1 #0", 61), ("MP1 1+ TU #0", 2),
        ("FREQ=WEEKLY;COUNT=2;UNTIL=20270701", 5), ("FREQ=WEEKLY;COUNT=4;UNTIL=20270602", 4),
    ],
)  # fmt: skip
def test_a_rule_that_can_be_read_in_part_takes_more_rather_than_less_and_says_so(rule: str, number: int) -> None:
    found = series(TUESDAY + rule)
    assert len(found.busy) == number
    assert "repetition" in str(found.problem)


def test_an_empty_part_is_no_condition() -> None:
    assert len(series(TUESDAY + "FREQ=DAILY;BYMONTH=").busy) == 61


@pytest.mark.parametrize(
    ("skip", "expected"),
    [
        ("OMIT", ["0731 0700"]),
        ("BACKWARD", ["0630 0700", "0731 0700"]),
        ("FORWARD", ["0701 0700", "0731 0700"]),
    ],
)
@pytest.mark.parametrize("day", ["", ";BYMONTHDAY=31"])
def test_months_without_the_day_are_skipped_as_the_rule_says(skip: str, expected: list[str], day: str) -> None:
    body = "DTSTART;TZID=Europe/Berlin:20270131T090000\nDURATION:PT1H\n"
    assert starts(f"{body}RRULE:RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP={skip}{day}") == expected


def test_two_rules_both_count() -> None:
    assert starts(TUESDAY + "FREQ=WEEKLY;COUNT=2\nRRULE:FREQ=DAILY;COUNT=2") == ["0601 0700", "0602 0700", "0608 0700"]


@pytest.mark.parametrize(
    "rule",
    ["FREQ=MONTHLY;BYDAY=+1MO;COUNT=2", "FREQ=MONTHLY;BYDAY=1MO;COUNT=2", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1;COUNT=2"],
)
def test_the_first_monday_is_written_in_several_ways(rule: str) -> None:
    assert starts(TUESDAY + rule) == ["0601 0700", "0607 0700", "0705 0700"]
