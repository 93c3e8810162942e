"""Objects whose bytes are not as they should be: what can be made out is read, and nothing that states a time is lost unsaid."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from providers.calendars.base import RemoteEvent, Span
from providers.calendars.ical.lines import decoded
from providers.calendars.ical.mapping import read_event
from tests.providers.caldav_people import vcalendar

WINDOW: Span = (datetime(2027, 5, 1, tzinfo=UTC), datetime(2027, 8, 1, tzinfo=UTC))
AT_NINE = (datetime(2027, 6, 1, 9, tzinfo=UTC), datetime(2027, 6, 1, 10, tzinfo=UTC))
AT_ELEVEN = (datetime(2027, 6, 1, 11, tzinfo=UTC), datetime(2027, 6, 1, 12, tzinfo=UTC))
PLAIN = vcalendar("UID:one\nSUMMARY:Zoë sits\nDTSTART:20270601T090000Z\nDTEND:20270601T100000Z")
ZONE = "BEGIN:VTIMEZONE\r\nTZID:Mine\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0000\r\nTZOFFSETTO:+0000\r\nEND:STANDARD\r\n"


def read(text: str) -> RemoteEvent:
    return read_event(text, remote_id="/one.ics", etag="1", window=WINDOW, zone="Europe/Berlin")


def folded_at(text: str, fold: str) -> str:
    return text.replace("Zoë sits", f"Zo{fold}ë si{fold}ts").replace("DTEND:2027", f"DTEND:20{fold}27")


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "\ufeff" + PLAIN,
        "\ufeff\ufeff" + PLAIN,
        "ï»¿" + PLAIN,
        "\r\n\r\n" + PLAIN,
        PLAIN.replace("\r\n", "\n"),
        PLAIN.replace("\r\n", "\r"),
        PLAIN.replace("\r\n", "\r\r\n"),
        PLAIN.replace("\r\n", "\n\r"),
        PLAIN.replace("\r\n", "\r\n\r\n"),
        PLAIN.replace("\r\n", " \r\n"),
        PLAIN.replace("\r\n", "\t\r\n"),
        folded_at(PLAIN, "\r\n "),
        folded_at(PLAIN, "\r\n\t"),
        folded_at(PLAIN, "\n ").replace("\r\n", "\n"),
        folded_at(PLAIN, "\r ").replace("\r\n", "\r"),
        folded_at(PLAIN, "\r\n ").replace("\r\n", "\r\r\n"),
        folded_at(PLAIN, "\r\n\t").replace("\r\n", "\r\r\n"),
        PLAIN.replace("DTSTART", "item1.DTSTART").replace("DTEND", "item1.DTEND").replace("UID", "ITEM2.UID"),
        PLAIN.replace("DTSTART", "a.b-c.dtstart"),
        PLAIN.replace("DTSTART:", "DTSTART :").replace("DTEND:", "DTEND : "),
        PLAIN.replace("DTSTART:", "DTSTART ; VALUE = DATE-TIME :"),
        PLAIN.replace("BEGIN:VEVENT", "begin:vevent ").replace("DTSTART", "dtstart"),
        PLAIN.replace("BEGIN:VCALENDAR", "BEGIN: VCALENDAR"),
        PLAIN.replace("BEGIN:VEVENT", "BEGIN : VEVENT"),
        PLAIN.replace("DTSTART", "DT\0START"),
        PLAIN.replace("20270601T09", "2027\x0b0601T\x0709"),
        PLAIN.replace("END:VCALENDAR", ""),
        PLAIN.replace("END:VCALENDAR\r\n", "END:VCALENDAR"),
        PLAIN.replace("BEGIN:VCALENDAR\r\n", ""),
        "HTTP/1.1 200 OK\r\nContent-Type: text/calendar\r\n\r\n" + PLAIN,
        "  " + PLAIN.replace("\r\n", "\r\n  "),
        "\t" + PLAIN.replace("\r\n", "\r\n\t"),
        PLAIN.replace("BEGIN:VCALENDAR", "BEGIN:VCALENDAR\r\nBEGIN:VCALENDAR"),
        PLAIN.replace("BEGIN:VEVENT", "END:VTODO\r\nBEGIN:VEVENT"),
        PLAIN.replace("BEGIN:VEVENT", "garbage without anything\r\n:\r\n;\r\nBEGIN:VEVENT"),
    ],
)
def test_an_object_is_read_whatever_its_lines_look_like(text: str) -> None:
    found = read(text)
    assert (found.busy, found.problem) == ((AT_NINE,), None)
    assert (found.uid, found.summary.replace(" ", "")) == ("one", "Zoësits")


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace("END:VEVENT\r\n", ""),
        PLAIN.partition("END:VEVENT")[0],
        PLAIN.replace("END:VEVENT", "BEGIN:VALARM\r\nTRIGGER:-PT1H\r\nEND:VEVENT").replace("END:VEVENT\r\n", ""),
    ],
)
def test_an_event_that_was_cut_off_takes_its_time_and_says_so(text: str) -> None:
    found = read(text)
    assert found.busy == (AT_NINE,)
    assert "cut off" in str(found.problem)


def test_an_event_whose_end_is_missing_hides_none_of_those_that_follow() -> None:
    events = "UID:one\nDTSTART:20270601T090000Z\nDURATION:PT1H", "UID:two\nDTSTART:20270601T110000Z\nDURATION:PT1H"
    found = read(vcalendar(*events).replace("END:VEVENT\r\n", "", 1))
    assert found.busy == (AT_NINE, AT_ELEVEN)


def test_a_zone_whose_end_is_missing_hides_no_event() -> None:
    for head in (ZONE, ZONE.replace("END:STANDARD\r\n", "")):
        assert read(PLAIN.replace("BEGIN:VEVENT", head + "BEGIN:VEVENT")).busy == (AT_NINE,)
        between = PLAIN.replace("BEGIN:VEVENT", head + "BEGIN:VEVENT").replace(
            "END:VCALENDAR", ZONE + "END:VTIMEZONE\r\nEND:VCALENDAR"
        )
        assert read(between).busy == (AT_NINE,)


@pytest.mark.parametrize(
    "head",
    [
        "BEGIN:VTODO\r\nUID:t\r\nEND:VTOOD\r\n",
        "BEGIN:VTODO\r\nUID:t\r\n",
        "BEGIN:VALARM\r\nTRIGGER:-PT1H\r\n",
        "BEGIN:X-THING\r\n",
    ],
)
def test_a_part_whose_end_is_missing_or_misspelt_hides_no_event(head: str) -> None:
    assert read(PLAIN.replace("BEGIN:VEVENT", head + "BEGIN:VEVENT")).busy == (AT_NINE,)
    second = PLAIN.replace(
        "END:VEVENT", f"{head}BEGIN:VEVENT\r\nUID:two\r\nDTSTART:20270601T110000Z\r\nDURATION:PT1H\r\nEND:VEVENT"
    )
    assert read(second).busy == (AT_NINE, AT_ELEVEN)


def test_several_calendars_in_one_object_all_take_time() -> None:
    assert read(PLAIN + PLAIN.replace("T10", "T12").replace("T09", "T11")).busy == (AT_NINE, AT_ELEVEN)


@pytest.mark.parametrize(
    "body",
    [
        PLAIN.encode(),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.encode("utf-16"),
        b"\xfe\xff" + PLAIN.encode("utf-16-be"),
        PLAIN.encode("latin-1"),
        PLAIN.encode().replace("ë".encode(), b"\xc3\r\n \xab"),
        PLAIN.encode().replace("ë".encode(), b"\xc3\r\n\t\xab"),
        PLAIN.encode().replace("ë".encode(), b"\xc3\n \xab"),
    ],
)
def test_bytes_become_letters_by_what_they_are(body: bytes) -> None:
    found = read(decoded(body))
    assert (found.summary, found.busy, found.problem) == ("Zoë sits", (AT_NINE,), None)


@pytest.mark.parametrize(
    "line",
    [
        "BEGIN:VTIMEZONE",
        "BEGIN:VTIMEZONE\r\nEND:VEVENT",
        "BEGIN:X\r\nEND:Y",
        "END:VCALENDAR",
        "BEGIN:VALARM",
        " ",
        "\t",
        "a.b",
    ],
)
def test_no_line_that_is_repeated_keeps_us_for_long(line: str) -> None:
    started = time.perf_counter()
    read(PLAIN.replace("DTSTART", f"{line}\r\n" * 30_000 + "DTSTART"))
    assert time.perf_counter() - started < 2
