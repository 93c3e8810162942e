"""A time zone under every name that programs give it, with and without a description of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from providers.calendars.base import RemoteEvent, Span
from providers.calendars.ical.lines import read_lines
from providers.calendars.ical.mapping import read_event
from providers.calendars.ical.zone_names import named_zones
from providers.calendars.ical.zones import name_of_own_zone
from tests.providers.caldav_people import vcalendar

WINDOW: Span = (datetime(2027, 5, 1, tzinfo=UTC), datetime(2027, 8, 1, tzinfo=UTC))
HOUR = timedelta(hours=1)


def event(tzid: str, *, head: str = "", date: str = "20270601T090000") -> RemoteEvent:
    text = vcalendar(f"UID:one\nDTSTART;TZID={tzid}:{date}\nDURATION:PT1H", head=head)
    return read_event(text, remote_id="/one.ics", etag="1", window=WINDOW, zone="Europe/Berlin")


def hours(found: RemoteEvent) -> list[int]:
    """The hours of 1 June, in UTC, at which it takes time."""
    return [start.hour for start, _ in found.busy]


# Names by themselves


@pytest.mark.parametrize(
    ("tzid", "hour"),
    [
        ("tzone://Microsoft/Utc", 9),
        ('"tzone://Microsoft/Utc"', 9),
        ("tzone://Microsoft/UTC", 9),
        ("tzone://Microsoft/Pacific Standard Time", 16),
        ("Microsoft/Utc", 9),
        ("Z", 9),
        ("Zulu", 9),
        ("Etc/UCT", 9),
        ("(UTC) Coordinated Universal Time", 9),
        ("Eastern Standard Time", 13),
        ("Eastern Standard Time 1", 13),
        ("Eastern Standard Time-2", 13),
        ("eastern standard time", 13),
        ("Eastern Daylight Time", 13),
        ("Eastern Time", 13),
        ("Eastern", 13),
        ("US Eastern", 13),
        ("Eastern Time (US & Canada)", 13),
        ("Eastern Time (US and Canada)", 13),
        ("(UTC-05:00) Eastern Time (US & Canada)", 13),
        ('"(UTC-05:00) Eastern Time (US & Canada)"', 13),
        ("(GMT-05:00) Eastern Time (US & Canada) 1", 13),
        ("Pacific Time (US & Canada)", 16),
        ('"Pacific Time (US & Canada); Tijuana"', 16),
        ("(UTC-08:00) Pacific Time (US & Canada)", 16),
        ("(UTC-07:00) Arizona", 16),
        ("(UTC-10:00) Hawaii", 19),
        ("(UTC-03:00) Brasilia", 12),
        ('"(UTC-07:00) Chihuahua, La Paz, Mazatlan"', 16),
        ("Mexico Standard Time 2", 15),
        ("W. Europe Standard Time", 7),
        ("W. Europe", 7),
        ("W. Europe Daylight Time", 7),
        ("(GMT+01.00) Sarajevo/Warsaw/Zagreb", 7),
        ('"(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna"', 7),
        ('"Amsterdam, Berlin, Bern, Rom, Stockholm, Wien"', 7),
        ('"(GMT) Greenwich Mean Time : Dublin, Edinburgh, Lisbon, London"', 8),
        ('"(UTC+08:00) Beijing, Chongqing, Hong Kong, Urumqi"', 1),
        ('"(UTC+05:30) Chennai, Kolkata, Mumbai, New Delhi"', 3),
        ("(UTC+09:30) Adelaide", 23),
        ("(UTC+12:00) Fiji", 21),
        ("america/new_york", 13),
        ("AMERICA/NEW_YORK", 13),
        ("America/New York", 13),
        ("America\\/New_York", 13),
        ("/America/New_York", 13),
        ("/freeassociation.sourceforge.net/America/New_York", 13),
        ("/freeassociation.sourceforge.net/Tzfile/America/New_York", 13),
        ("/citadel.org/20250101_1/America/New_York", 13),
        ("/mozilla.org/20050126_1/America/New_York", 13),
        ("/softwarestudio.org/Olson_20011030_5/America/Argentina/Buenos_Aires", 12),
        ("/freeassociation.sourceforge.net/UTC", 9),
        ("http://tzurl.org/zoneinfo/Asia/Tokyo", 0),
        ("Europe/Berlin (CET)", 7),
        ("GMT+01:00 Europe/Berlin", 7),
        ("US/Pacific-New", 16),
        ("US/Eastern", 13),
        ("Asia/Calcutta", 3),
        ("Europe/Kiev", 6),
        ("America/Buenos_Aires", 12),
        ("EST5EDT", 13),
        ("EDT", 13),
        ("PDT", 16),
        ("CEST", 7),
        ("JST", 0),
        ("Etc/GMT+5", 14),
        ("UTC-02", 11),
        ("EST", 14),
        ("Eastern Standard Time/Eastern Daylight Time", 13),
        ("Eastern Time Zone", 13),
        ("Eastern Standard Time (EST)", 13),
        ("EasternStandardTime", 13),
        ("(GMT-05:00) Eastern Time - New York", 13),
        ("W. Europe Standard Time (UTC+1)", 7),
        ("America_New_York", 13),
        ("America-New_York", 13),
        ("America\\New_York", 13),
        ("CET/CEST", 7),
        ("British Summer Time", 8),
        ("Moscow Standard Time", 6),
    ],
)  # fmt: skip
def test_a_zone_is_known_without_any_description(tzid: str, hour: int) -> None:
    found = event(tzid)
    assert (hours(found), found.problem) == ([hour], None)


def test_every_iana_name_is_known_in_any_case_and_behind_a_vendors_path() -> None:
    at = datetime(2027, 6, 1, 9)  # noqa: DTZ001
    for name in sorted(available_timezones() - {"Factory", "localtime", "posixrules"}):
        expected = at.replace(tzinfo=ZoneInfo(name)).utcoffset()
        for spelt in (name, name.lower(), name.upper(), name.replace("_", " "), f"/mozilla.org/20050126_1/{name}"):
            (zone, *_) = named_zones(spelt)
            assert at.replace(tzinfo=zone).utcoffset() == expected, spelt


def test_every_windows_name_is_known_numbered_shortened_and_in_summer() -> None:
    at = datetime(2027, 6, 1, 9)  # noqa: DTZ001
    for name, iana in WINDOWS_TO_OLSON.items():
        expected = at.replace(tzinfo=ZoneInfo(iana)).utcoffset()
        variants = [name, name.lower(), f"tzone://Microsoft/{name}"]
        if name.endswith("Standard Time"):
            summer = name.replace("Standard", "Daylight")
            variants += [f"{name} 1", f"{name} 12", summer]
            # “GMT” has a meaning of its own.
            variants += [short for short in [name.removesuffix(" Standard Time")] if short != "GMT"]
        for spelt in variants:
            (zone, *_) = named_zones(spelt)
            assert at.replace(tzinfo=zone).utcoffset() == expected, spelt


@pytest.mark.parametrize(
    ("tzid", "first", "last"),
    [
        ("UTC+2", 6, 9),
        ("UTC/GMT +2", 6, 9),
        ("W. Nowhere (UTC+2)", 6, 9),
        ("(UTC+05:00) Berlin", 3, 6),
        ("CET-1CEST,M3.5.0,M10.5.0/3", 7, 10),
        ("EST5EDT4,M3.2.0,M11.1.0", 13, 16),
        ("UTC+02:00", 6, 9),
        ("GMT+0200", 6, 9),
        ("GMT+02.00", 6, 9),
        ("+0200", 6, 9),
        ("GMT-0500", 13, 16),
        ("(UTC-05:00) Our House", 13, 16),
        ("GMT -0500 (Standard) / GMT -0400 (Daylight)", 13, 16),
        ("(UTC-11:00) Coordinated Universal Time-11", 19, 22),
    ],
)
def test_an_offset_in_a_name_is_taken_with_an_hour_of_doubt(tzid: str, first: int, last: int) -> None:
    found = event(tzid)
    day = datetime(2027, 6, 1, tzinfo=UTC)
    assert found.busy == ((day + first * HOUR, day + last * HOUR),)
    assert "doubt" in str(found.problem)


@pytest.mark.parametrize(
    ("tzid", "expected"),
    [("CST", [1, 13, 14, 15]), ("IST", [3, 6, 8]), ("BST", [3, 8]), ("Greenwich Mean Time", [8, 9])],
)
def test_a_name_with_several_meanings_takes_the_time_of_each_and_says_so(tzid: str, expected: list[int]) -> None:
    found = event(tzid)
    assert hours(found) == expected
    assert "more than one" in str(found.problem)


@pytest.mark.parametrize(
    "tzid",
    ["Customized Time Zone", "tzone://Microsoft/Custom", "Nowhere/Atall", "x/Eastern", "Factory", "localtime", "../etc/passwd",
     "Europe", "Area51-2024", "x" * 5000, "(((", "\\", "^^", "/", "//", "Europe/Berlin\x00/x"],
)  # fmt: skip
def test_a_name_that_says_nothing_is_read_in_the_calendars_zone_and_said(tzid: str) -> None:
    found = event(tzid)
    assert hours(found)[:1] == [7]
    if "Berlin" not in tzid:
        assert found.problem


def test_a_time_in_utc_with_a_zone_beside_takes_both_readings() -> None:
    found = event("America/New_York", date="20270601T090000Z")
    assert hours(found) == [9, 13]
    assert "more than one" in str(found.problem)
    assert event("UTC", date="20270601T090000Z").problem is None


@pytest.mark.parametrize(
    "line",
    ["X-WR-TIMEZONE:Eastern Standard Time", "X-WR-TIMEZONE:america/new_york", "X-WR-TIMEZONE;VALUE=TEXT:US/Eastern",
     "X-WR-TIMEZONE:America\\/New_York", "x-wr-timezone:Eastern Time (US & Canada)", "X-WR-TIMEZONE:Eastern Standard Time 1"],
)  # fmt: skip
def test_the_zone_of_the_file_counts_by_any_of_its_names(line: str) -> None:
    text = vcalendar("UID:one\nDTSTART:20270601T090000\nDURATION:PT1H", head=line)
    found = read_event(text, remote_id="/one.ics", etag="1", window=WINDOW, zone="Europe/Berlin")
    assert hours(found) == [13]


# Zones that came along


def described(name: str, standard: str, summer: str, *, extra: str = "") -> str:
    """A VTIMEZONE with America's days of change."""
    return f"""\
BEGIN:VTIMEZONE
TZID:{name}
{extra}BEGIN:STANDARD
DTSTART:16011104T020000
RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=11
TZOFFSETFROM:{summer}
TZOFFSETTO:{standard}
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010311T020000
RRULE:FREQ=YEARLY;BYDAY=2SU;BYMONTH=3
TZOFFSETFROM:{standard}
TZOFFSETTO:{summer}
END:DAYLIGHT
END:VTIMEZONE"""


@pytest.mark.parametrize(
    ("name", "standard", "summer", "hour"),
    [
        ("EST", "-0500", "-0400", 13),
        ("MST", "-0700", "-0600", 15),
        ("HST", "-1000", "-0900", 18),
        ("GMT", "+0000", "+0100", 8),
        ("UTC", "+0100", "+0200", 7),
        ("CET", "-0500", "-0400", 13),
        ("W. Europe Standard Time", "-0500", "-0400", 13),
        ("CST", "-0600", "-0500", 14),
        ("GMT+0200", "-0500", "-0400", 13),
        ("tzone://Microsoft/Custom", "-0500", "-0400", 13),
        ("Customized Time Zone", "+0530", "+0630", 2),
    ],
)
def test_a_zone_that_came_along_goes_by_its_own_rules_whatever_its_name_means(
    name: str, standard: str, summer: str, hour: int
) -> None:
    found = event(name, head=described(name, standard, summer))
    assert (hours(found), found.problem) == ([hour], None)


def test_each_of_several_zones_that_came_along_is_found() -> None:
    head = "\n".join(
        [described("EST", "-0500", "-0400"), described("MST", "-0700", "-0600"), described("X", "+0300", "+0300")]
    )
    assert [hours(event(name, head=head)) for name in ("EST", "MST", "X")] == [[13], [15], [6]]


def test_a_place_whose_description_contradicts_what_is_known_of_it_takes_both_times_and_says_so() -> None:
    found = event("Europe/Berlin", head=described("Europe/Berlin", "-0500", "-0400"))
    assert hours(found) == [7, 13]
    assert "more than one" in str(found.problem)
    located = event("Home", head=described("Home", "-0500", "-0400", extra="X-LIC-LOCATION:Europe/Berlin\n"))
    assert hours(located) == [7, 13]


def test_a_place_whose_description_agrees_with_what_is_known_of_it_is_no_question() -> None:
    found = event("America/New_York", head=described("America/New_York", "-0500", "-0400"))
    assert (hours(found), found.problem) == ([13], None)


def test_two_descriptions_under_one_name_both_count() -> None:
    head = described("Mine", "-0500", "-0400") + "\n" + described("Mine", "-0700", "-0600")
    assert hours(event("Mine", head=head)) == [13, 15]


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("My zone\\, here", '"My zone, here"'),
        ("My zone\\; here", '"My zone; here"'),
        ("My zone\\\\here", "My zone\\here"),
        ("My zone\\, here", '"My zone\\, here"'),
        ('My "zone"', "My ^'zone^'"),
        ("My ^ zone", "My ^^ zone"),
        (" My zone ", "My zone"),
        ("My  zone", "My zone"),
        ("My zone", '" My zone "'),
        ("My Zone", "MY ZONE"),
        ("Zone d\u2019e\u0301te\u0301", "Zone d\u2019\u00e9t\u00e9"),
        ('"My zone"', "My zone"),
        ("My_zone", "My zone"),
        ("(UTC-05:00) Our house", "(UTC-05:00) Our house"),
        ("EST", "est"),
    ],
)
def test_a_zone_that_came_along_is_found_under_another_spelling(written: str, asked: str) -> None:
    found = event(asked, head=described(written, "-0500", "-0400"))
    assert (hours(found), found.problem) == ([13], None)


def test_the_only_zone_that_came_along_counts_beside_the_calendars_for_a_name_that_nobody_knows() -> None:
    found = event("Another name", head=described("My zone", "-0500", "-0400"))
    assert hours(found) == [7, 13]
    assert "Another name" in str(found.problem)


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ("TZID:EST", "tzid:EST"), ("TZID:EST", "TZID;X-A=b:EST"), ("TZOFFSETTO:-0400", "TZOFFSETTO:-400"), ("-0400", "-4"),
        ("-0400", "-04:00"), ("-0400", "-040000"), ("BYMONTH=3", "BYMONTH=3;"), ("BYMONTH=3", " BYMONTH=3;;X-A=B;BYHOUR="),
        ("INTERVAL=1;", ""), ("FREQ=YEARLY", "freq=yearly"), ("BEGIN:STANDARD", "BEGIN:STANDARD  "), ("TZOFFSETFROM:", "TZOFFSETFROM : "),
        ("DTSTART:16010311T020000", "DTSTART:2007-03-11T02:00:00"), ("TZID:EST\n", ""), ("BEGIN:VTIMEZONE", "begin:vtimezone"),
    ],
)  # fmt: skip
def test_litter_in_a_description_changes_nothing(there: str, instead: str) -> None:
    head = described("EST", "-0500", "-0400").replace(there, instead)
    assert 13 in hours(event("EST" if "TZID" in head.upper() else "Unheard of", head=head))


@pytest.mark.parametrize(
    "broken",
    [
        described("EST", "-0500", "x"),
        described("EST", "-0500", "+9900"),
        described("EST", "-0500", "-0400").replace("FREQ=YEARLY", "FREQ=SECONDLY"),
        described("EST", "-0500", "-0400").replace("BYMONTH=11", "BYMONTH=99;BYFOO=1"),
        described("EST", "-0500", "-0400").replace("DTSTART:1601", "DTSTART:garbage"),
        "BEGIN:VTIMEZONE\nTZID:EST\nEND:VTIMEZONE",
    ],
)
def test_a_description_that_cannot_be_used_leaves_the_name_and_is_said(broken: str) -> None:
    found = event("EST", head=broken)
    assert hours(found) == [14]
    assert "EST" in str(found.problem)


@pytest.mark.parametrize(
    "when", ["20270101T090000", "20270314T023000", "20270315T090000", "20271107T013000", "20271108T090000"]
)
def test_a_described_zone_changes_its_clocks_as_the_place_does(when: str) -> None:
    window = (datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))
    body = f"UID:x\nDTSTART;TZID={{}}:{when}\nDURATION:PT1H"
    mine, place = (
        read_event(vcalendar(body.format(name), head=head), remote_id="x", etag="", window=window, zone="UTC").busy
        for name, head in (("Mine", described("Mine", "-0500", "-0400")), ("America/New_York", ""))
    )
    assert mine == place


def test_a_calendars_own_zone_gets_the_name_of_a_place_with_the_same_rules() -> None:
    zones = {
        name: read_lines(vcalendar("UID:x", head=described(name, "-0500", "-0400"))).zones
        for name in ("EST", "America/Toronto", "Our own")
    }
    assert [name_of_own_zone(own) for own in zones.values()] == [
        "America/New_York",
        "America/Toronto",
        "America/New_York",
    ]
    assert name_of_own_zone(read_lines(vcalendar("UID:x", head=described("No such", "-0123", "-0023"))).zones) is None


def test_ten_thousand_descriptions_cost_little() -> None:
    import time

    started = time.perf_counter()
    for number in range(200):
        event(
            "Mine", head=described("Mine", f"-05{number % 60:02}", f"-04{number // 60:02}", extra=f"COMMENT:{number}\n")
        )
    assert time.perf_counter() - started < 2
