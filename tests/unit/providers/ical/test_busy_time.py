"""From calendar object to busy time: each row of the table that decides what takes time and what does not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from providers.calendars.base import RemoteEvent, Span
from providers.calendars.ical.mapping import read_event
from tests.providers.caldav_people import vcalendar

WINDOW: Span = (datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 5, 1, tzinfo=UTC))
OWN = frozenset({"ana@studio.example", "ana@home.example"})
TEN = "DTSTART:20270310T100000Z\nDTEND:20270310T110000Z"
AT_TEN = (datetime(2027, 3, 10, 10, tzinfo=UTC), datetime(2027, 3, 10, 11, tzinfo=UTC))


def event(*bodies: str, head: str = "", zone: str = "Europe/Madrid", window: Span = WINDOW) -> RemoteEvent:
    text = vcalendar(*(f"UID:one\nSUMMARY:Something\n{body}" for body in bodies), head=head)
    return read_event(text, remote_id="/one.ics", etag='"1"', window=window, zone=zone, own_addresses=OWN)


def at(day: int, hour: int, minute: int = 0, month: int = 3) -> datetime:
    return datetime(2027, month, day, hour, minute, tzinfo=UTC)


# What takes time


def test_a_plain_event_takes_its_time() -> None:
    found = event(TEN)
    assert found.busy == (AT_TEN,)
    assert (found.start_at, found.end_at) == AT_TEN
    assert (found.uid, found.summary, found.etag, found.remote_id) == ("one", "Something", '"1"', "/one.ics")
    assert (found.mark, found.is_recurring, found.is_cancelled, found.problem) == (None, False, False, None)


@pytest.mark.parametrize(
    "line",
    [
        "STATUS:CONFIRMED",
        "STATUS:TENTATIVE",
        "TRANSP:OPAQUE",
        "CLASS:PRIVATE",
        "X-MICROSOFT-CDO-BUSYSTATUS:BUSY",
        "X-MICROSOFT-CDO-BUSYSTATUS:OOF",
        "X-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE",
        "X-MICROSOFT-CDO-BUSYSTATUS:WORKINGELSEWHERE",
        "X-MICROSOFT-CDO-BUSYSTATUS:BUSY\nX-MICROSOFT-CDO-INTENDEDSTATUS:FREE",
        "X-MICROSOFT-CDO-INTENDEDSTATUS:FREE\nX-MICROSOFT-CDO-BUSYSTATUS:OOF",
        "x-microsoft-cdo-busystatus:tentative\nX-MICROSOFT-CDO-INTENDEDSTATUS:FREE",
        "X-MICROSOFT-CDO-BUSYSTATUS:WORKINGELSEWHERE\nX-MICROSOFT-CDO-INTENDEDSTATUS:FREE",
        "X-MICROSOFT-MSNCALENDAR-BUSYSTATUS:BUSY\nX-MICROSOFT-CDO-INTENDEDSTATUS:FREE",
        "X-MICROSOFT-CDO-BUSYSTATUS:FREE\nX-MICROSOFT-MSNCALENDAR-BUSYSTATUS:BUSY",
        "TRANSP:OPAQUE\nX-MICROSOFT-CDO-INTENDEDSTATUS:FREE",
        "TRANSP:TRANSPARENT\nTRANSP:OPAQUE",
        "TRANSP:\nX-MICROSOFT-CDO-BUSYSTATUS:BUSY",
        "STATUS:CANCELLED\nSTATUS:CONFIRMED",
        "TRANSP:OPAQUE\nX-MICROSOFT-CDO-BUSYSTATUS:FREE",
        "ATTENDEE;PARTSTAT=ACCEPTED:mailto:ana@studio.example",
        "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:ana@studio.example",
        "ATTENDEE;PARTSTAT=TENTATIVE:mailto:ana@studio.example",
        "ATTENDEE;PARTSTAT=DECLINED:mailto:somebody@else.example",
        "ATTENDEE;PARTSTAT=DECLINED:mailto:ana@studio.example\nATTENDEE;PARTSTAT=ACCEPTED:mailto:ana@home.example",
        "ORGANIZER:mailto:ana@studio.example",
    ],
)
def test_this_takes_time(line: str) -> None:
    assert event(f"{TEN}\n{line}").busy == (AT_TEN,)


@pytest.mark.parametrize(
    "line",
    [
        "STATUS:CANCELLED",
        "status:cancelled",
        "TRANSP:TRANSPARENT",
        "X-MICROSOFT-CDO-BUSYSTATUS:FREE",
        "X-MICROSOFT-CDO-INTENDEDSTATUS:FREE",
        "X-MICROSOFT-CDO-BUSYSTATUS:FREE\nX-MICROSOFT-CDO-INTENDEDSTATUS:BUSY",
        "X-MICROSOFT-CDO-BUSYSTATUS: free ",
        "X-MICROSOFT-MSNCALENDAR-BUSYSTATUS:FREE",
        "TRANSP:TRANSPARENT\nX-MICROSOFT-CDO-BUSYSTATUS:WORKINGELSEWHERE",
        "TRANSP:TRANSPARENT\nX-MICROSOFT-CDO-INTENDEDSTATUS:BUSY",
        "STATUS:CANCELLED\nX-MICROSOFT-CDO-BUSYSTATUS:BUSY",
        "ATTENDEE;PARTSTAT=DECLINED:mailto:ana@studio.example",
        'ATTENDEE;PARTSTAT=DECLINED;CN="Ng: Ana; B.":MAILTO:Ana@Home.example',
        "ATTENDEE;EMAIL=ana@home.example;PARTSTAT=DECLINED:/principals/ana/",
        "X-LOCKSTEP:studio/17/1",
    ],
)
def test_this_takes_no_time(line: str) -> None:
    assert event(f"{TEN}\n{line}").busy == ()


@pytest.mark.parametrize("state", ["BUSY", "OOF", "TENTATIVE"])
def test_an_event_that_is_free_and_busy_takes_its_time_and_says_so(state: str) -> None:
    found = event(f"{TEN}\nTRANSP:TRANSPARENT\nX-MICROSOFT-CDO-BUSYSTATUS:{state}")
    assert found.busy == (AT_TEN,)
    assert "free" in str(found.problem)


def test_a_cancelled_event_says_so() -> None:
    assert event(f"{TEN}\nSTATUS:CANCELLED").is_cancelled


def test_our_own_mark_is_read_back() -> None:
    mark = event(f"{TEN}\nX-LOCKSTEP:studio/17/2").mark
    assert mark is not None
    assert (mark.instance_id, mark.appointment_id, mark.generation) == ("studio", 17, 2)


@pytest.mark.parametrize("value", ["", "x", "studio/seventeen/1", "studio/17", "/17/1", "studio/17/1/9"])
def test_a_mark_that_is_none_is_a_strangers_event(value: str) -> None:
    found = event(f"{TEN}\nX-LOCKSTEP:{value}")
    assert (found.mark, found.busy) == (None, (AT_TEN,))


@pytest.mark.parametrize(
    "times",
    [
        "DTSTART:20270310T100000Z",
        "DTSTART:20270310T100000Z\nDTEND:20270310T100000Z",
        "DTSTART:20270310T100000Z\nDURATION:PT0S",
    ],
)
def test_an_event_without_length_takes_none(times: str) -> None:
    found = event(times)
    assert (found.busy, found.start_at, found.end_at) == ((), at(10, 10), at(10, 10))


def test_time_outside_the_window_does_not_count() -> None:
    window = (at(10, 10, 30), at(10, 10, 45))
    assert event(TEN, window=window).busy == (window,)
    assert event(TEN, window=(at(10, 11), at(10, 12))).busy == ()
    assert event(TEN, window=(at(10, 9), at(10, 10))).busy == ()


# Whole days


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "20270328", 23),
        ("Europe/Berlin", "20271031", 25),
        ("Europe/Berlin", "20270329", 24),
        ("Pacific/Kiritimati", "20270329", 24),
        ("Pacific/Pago_Pago", "20270329", 24),
        ("Australia/Lord_Howe", "20271003", 23.5),
        ("UTC", "20270329", 24),
    ],
)
def test_a_whole_day_is_the_day_on_the_calendars_wall(zone: str, day: str, hours: float) -> None:
    window = (datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))
    ((start, end),) = event(f"DTSTART;VALUE=DATE:{day}", zone=zone, window=window).busy
    assert end - start == timedelta(hours=hours)
    assert f"{start.astimezone(ZoneInfo(zone)):%Y%m%d%H%M}" == f"{day}0000"


def test_an_event_without_end_in_sight_takes_all_that_follows() -> None:
    found = event("DTSTART;VALUE=DATE:20270310\nDTEND;VALUE=DATE:99991231")
    assert found.busy == ((at(9, 23), WINDOW[1]),)


def test_several_days_are_one_stretch() -> None:
    ((start, end),) = event("DTSTART;VALUE=DATE:20270310\nDTEND;VALUE=DATE:20270313").busy
    assert end - start == timedelta(days=3)


def test_a_whole_day_that_ends_on_itself_is_a_day() -> None:
    ((start, end),) = event("DTSTART;VALUE=DATE:20270310\nDTEND;VALUE=DATE:20270310").busy
    assert end - start == timedelta(days=1)


def test_a_whole_day_that_is_transparent_takes_no_time() -> None:
    assert event("DTSTART;VALUE=DATE:20270310\nTRANSP:TRANSPARENT").busy == ()


# Zones


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("DTSTART;TZID=Europe/Berlin:20270310T100000", at(10, 9)),
        ("DTSTART;TZID=Europe/Berlin:20270410T100000", at(10, 8, month=4)),
        ("DTSTART;TZID=Asia/Kolkata:20270310T100000", at(10, 4, 30)),
        ("DTSTART;TZID=Australia/Lord_Howe:20270310T100000", at(9, 23)),
        ("DTSTART;TZID=Australia/Lord_Howe:20270410T100000", at(9, 23, 30, month=4)),
        ('DTSTART;TZID="W. Europe Standard Time":20270310T100000', at(10, 9)),
        ("DTSTART;TZID=/freeassociation.sourceforge.net/Europe/Helsinki:20270310T100000", at(10, 8)),
        ("DTSTART;TZID=FLE Standard Time:20270310T100000", at(10, 8)),
        ("DTSTART;TZID=GMT Standard Time:20270410T100000", at(10, 9, month=4)),
    ],
)
def test_a_zone_is_known_by_many_names(start: str, expected: datetime) -> None:
    found = event(f"{start}\nDURATION:PT1H")
    assert (found.busy, found.problem) == (((expected, expected + timedelta(hours=1)),), None)


def test_a_wall_clock_time_that_does_not_exist_is_read_as_before_the_change() -> None:
    found = event("DTSTART;TZID=Europe/Berlin:20270328T023000\nDURATION:PT1H")
    assert found.start_at == at(28, 1, 30)


def test_a_wall_clock_time_that_exists_twice_is_the_first() -> None:
    window = (datetime(2027, 10, 1, tzinfo=UTC), datetime(2027, 11, 30, tzinfo=UTC))
    found = event("DTSTART;TZID=Europe/Berlin:20271031T023000\nDURATION:PT30M", window=window)
    assert found.start_at == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)


MADE_UP = """\
BEGIN:VTIMEZONE
TZID:Somewhere of my own
BEGIN:STANDARD
DTSTART:20260101T000000
TZOFFSETFROM:+0545
TZOFFSETTO:+0545
END:STANDARD
END:VTIMEZONE"""


def test_a_made_up_zone_counts_as_the_object_describes_it() -> None:
    found = event("DTSTART;TZID=Somewhere of my own:20270310T100000\nDURATION:PT1H", head=MADE_UP)
    assert (found.start_at, found.problem) == (at(10, 4, 15), None)


def test_one_made_up_name_means_another_zone_in_another_object() -> None:
    other = MADE_UP.replace("+0545", "+0300")
    starts = [
        event("DTSTART;TZID=Somewhere of my own:20270310T100000\nDURATION:PT1H", head=head).start_at
        for head in (MADE_UP, other, MADE_UP)
    ]
    assert starts == [at(10, 4, 15), at(10, 7), at(10, 4, 15)]


def test_an_unknown_zone_is_the_calendars_and_said() -> None:
    found = event("DTSTART;TZID=Nowhere/Atall:20270310T100000\nDURATION:PT1H")
    assert found.busy == ((at(10, 9), at(10, 10)),)
    assert "Nowhere/Atall" in str(found.problem)
    assert "Europe/Madrid" in str(found.problem)


@pytest.mark.parametrize("name", ['"(UTC+02:00) Our House"', "(UTC+02:00) Our House", "GMT+0200"])
def test_an_offset_in_an_unknown_name_is_taken_with_an_hour_of_doubt(name: str) -> None:
    found = event(f"DTSTART;TZID={name}:20270310T100000\nDURATION:PT1H")
    assert found.start_at == at(10, 8)
    assert found.busy == ((at(10, 7), at(10, 10)),)
    assert "doubt" in str(found.problem)


def test_a_floating_time_is_read_in_the_calendars_own_zone() -> None:
    found = event("DTSTART:20270310T100000\nDURATION:PT1H")
    assert found.busy == ((at(10, 9), at(10, 10)),)
    assert "no time zone" in str(found.problem)
    found = event("DTSTART:20270310T100000\nDURATION:PT1H", head="X-WR-TIMEZONE:America/New_York")
    assert found.busy == ((at(10, 15), at(10, 16)),)
    assert "America/New_York" in str(found.problem)


def test_a_default_zone_does_not_touch_times_that_have_one() -> None:
    found = event(TEN, head="X-WR-TIMEZONE:America/New_York")
    assert (found.busy, found.problem) == ((AT_TEN,), None)


# Durations


def test_days_are_counted_on_the_wall_and_hours_by_the_clock() -> None:
    before = "DTSTART;TZID=Europe/Berlin:20270327T200000\n"
    assert event(f"{before}DURATION:P1D").end_at == at(28, 18)
    assert event(f"{before}DURATION:PT24H").end_at == at(28, 19)
    assert event(f"{before}DURATION:P1DT1H").end_at == at(28, 19)
    assert event(f"{before}DURATION:P1W").end_at == datetime(2027, 4, 3, 18, tzinfo=UTC)


def test_an_event_over_the_change_of_summer_time_ends_where_it_says() -> None:
    found = event("DTSTART;TZID=Europe/Berlin:20270327T220000\nDTEND;TZID=Europe/Berlin:20270328T060000")
    assert found.busy == ((at(27, 21), at(28, 4)),)


def test_an_end_in_another_zone_is_that_instant() -> None:
    found = event("DTSTART;TZID=Europe/Berlin:20270310T100000\nDTEND;TZID=America/New_York:20270310T060000")
    assert found.busy == ((at(10, 9), at(10, 11)),)


# What cannot be read


@pytest.mark.parametrize(
    ("body", "busy"),
    [
        ("DTSTART:20270310T100000Z\nDTEND:20270310T090000Z", [(at(10, 9), at(10, 10))]),
        ("DTSTART:20270310T100000Z\nDTEND:rubbish", [(at(10, 10), at(10, 23))]),
        ("DTSTART:20270310T100000Z\nDURATION:P", [(at(10, 10), at(10, 23))]),
        ("DTSTART:20270310T100000Z\nDURATION:P9999999W", [(at(10, 10), WINDOW[1])]),
        ("DTSTART:rubbish\nDTEND:20270310T110000Z", []),
        ("DTSTART:20270230T100000Z", []),
        ("DTSTART:20270310T250000Z", []),
        ("SUMMARY:Nothing else", []),
        ("DTSTART:00010101T000000\nDTEND:20270310T110000Z", [(WINDOW[0], at(10, 11))]),
    ],
)
def test_what_can_be_read_counts_and_the_rest_is_said(body: str, busy: list[Span]) -> None:
    found = event(body)
    assert list(found.busy) == busy
    assert len(str(found.problem)) > 15
    assert found.uid == "one"


@pytest.mark.parametrize(
    "text", ["", "not a calendar", "BEGIN:VCALENDAR", "BEGIN:VEVENT\nEND:VEVENT", "\0\0", "<html/>"]
)
def test_what_is_no_event_at_all_is_said(text: str) -> None:
    found = read_event(text, remote_id="/x.ics", etag="1", window=WINDOW, zone="Europe/Madrid")
    assert (found.busy, found.start_at) == ((), None)
    assert found.problem


def test_a_task_is_no_event_and_no_problem() -> None:
    text = vcalendar("UID:t\nDUE:20270310T100000Z").replace("VEVENT", "VTODO")
    found = read_event(text, remote_id="/t.ics", etag="1", window=WINDOW, zone="UTC")
    assert (found.busy, found.problem) == ((), None)


def test_an_alarm_says_nothing_about_the_event() -> None:
    alarm = "BEGIN:VALARM\nACTION:DISPLAY\nDURATION:PT15M\nREPEAT:2\nTRIGGER:-PT1H\nSTATUS:CANCELLED\nEND:VALARM"
    assert event(f"{TEN}\n{alarm}").busy == (AT_TEN,)


def test_components_where_they_do_not_belong_are_skipped() -> None:
    inner = "BEGIN:VEVENT\nSTATUS:CANCELLED\nDTSTART:20270401T100000Z\nEND:VEVENT"
    assert event(f"{TEN}\n{inner}").busy == (AT_TEN,)


def test_lines_folded_or_ended_in_any_way_are_read() -> None:
    text = vcalendar(f"UID:one\n{TEN}\nSUMMARY:A long\n  title")
    for variant in (
        text,
        text.replace("\r\n", "\n"),
        text.replace("\r\n", "\r"),
        text.replace("DTEND:2027", "DTEND:2\r\n 027"),
    ):
        found = read_event(variant, remote_id="/x", etag="1", window=WINDOW, zone="UTC")
        assert (found.summary, found.busy) == ("A long title", (AT_TEN,))


def test_two_events_of_one_object_both_take_time_and_the_newer_names_it() -> None:
    old = "UID:x\nSEQUENCE:1\nSUMMARY:Old\nDTSTART:20270310T100000Z\nDTEND:20270310T110000Z"
    new = "UID:x\nSEQUENCE:2\nSUMMARY:New\nDTSTART:20270311T100000Z\nDTEND:20270311T110000Z"
    found = read_event(vcalendar(old, new), remote_id="/x", etag="1", window=WINDOW, zone="UTC")
    assert (found.summary, found.sequence, len(found.busy)) == ("New", 2, 2)


def test_a_day_far_away_is_no_trouble() -> None:
    window = (datetime(2038, 1, 15, tzinfo=UTC), datetime(2038, 2, 5, tzinfo=UTC))
    found = event("DTSTART:20380119T031400Z\nDTEND:20380119T041400Z", window=window)
    assert len(found.busy) == 1
    assert date(2038, 1, 19) == found.busy[0][0].date()
