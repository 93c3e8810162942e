"""What we write into calendars says exactly what the booking says, to every program that reads it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import icalendar
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.calendars.base import EventDraft, EventMark
from providers.calendars.content import draft_hash
from providers.calendars.ical.draft import write_event
from providers.calendars.ical.lines import read_lines
from providers.calendars.ical.mapping import read_event
from providers.calendars.ical.zones import ZoneBook

STAMP = datetime(2027, 1, 1, tzinfo=UTC)
WINDOW = (STAMP, STAMP + timedelta(days=365))
DRAFT = EventDraft(
    uid="studio-17-1",
    mark=EventMark(instance_id="studio", appointment_id=17, generation=1),
    summary="Consultation: Zoë",
    description="Booked on the web",
    location="Calle Mayor 5",
    url="https://book.example/b/abc",
    start_at=datetime(2027, 3, 10, 9, tzinfo=UTC),
    end_at=datetime(2027, 3, 10, 10, tzinfo=UTC),
    zone="Europe/Madrid",
    sequence=3,
)


def test_an_event_is_written_as_people_see_it() -> None:
    text = write_event(DRAFT, stamp=STAMP)
    for line in (
        "UID:studio-17-1", "DTSTAMP:20270101T000000Z", "DTSTART;TZID=Europe/Madrid:20270310T100000", "SEQUENCE:3",
        "DTEND;TZID=Europe/Madrid:20270310T110000", "STATUS:CONFIRMED", "TRANSP:OPAQUE", "X-LOCKSTEP:studio/17/1",
        "URL:https://book.example/b/abc", "TZID:Europe/Madrid",
    ):  # fmt: skip
        assert line in text.splitlines()


def test_it_names_nobody_and_carries_no_method() -> None:
    text = write_event(DRAFT, stamp=STAMP)
    assert not [word for word in ("ATTENDEE", "ORGANIZER", "METHOD") if word in text]


def test_every_line_ends_rightly_and_none_is_too_long() -> None:
    raw = write_event(replace(DRAFT, description="Zoë 王 " * 300), stamp=STAMP).encode()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert max(len(line) for line in raw.split(b"\r\n")) <= 75


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_what_is_written_reads_back_with_the_same_meaning(summary: str, description: str) -> None:
    clean = str.maketrans("", "", "".join(map(chr, range(0x20))) + "\x7f")
    made = replace(DRAFT, summary=summary.translate(clean), description=description)
    if any("\ud800" <= letter <= "\udfff" for letter in summary + description):
        return
    found = read_event(write_event(made, stamp=STAMP), remote_id="/x", etag="1", window=WINDOW, zone="UTC")
    assert (found.uid, found.mark, found.sequence, found.problem) == (made.uid, made.mark, 3, None)
    assert (found.start_at, found.end_at) == (made.start_at, made.end_at)
    assert found.content_hash == draft_hash(made)


@pytest.mark.parametrize("words", ["a\r\nATTENDEE:mailto:x@y.example", "x\nEND:VEVENT\nBEGIN:VEVENT", "\u2028X:1"])
def test_words_cannot_become_lines_of_their_own(words: str) -> None:
    made = replace(DRAFT, summary=words, description=words, location=words)
    (event,) = icalendar.Calendar.from_ical(write_event(made, stamp=STAMP)).walk("VEVENT")
    assert "ATTENDEE" not in event
    assert "X" not in event


def test_times_that_a_clock_shows_twice_are_written_in_utc() -> None:
    twice = datetime(2027, 10, 31, 0, 30, tzinfo=UTC)
    text = write_event(replace(DRAFT, start_at=twice, end_at=twice + timedelta(hours=2)), stamp=STAMP)
    assert "DTSTART:20271031T003000Z" in text
    assert "DTEND:20271031T023000Z" in text


def test_an_unknown_zone_is_written_as_utc() -> None:
    text = write_event(replace(DRAFT, zone="Not/AZone"), stamp=STAMP)
    assert "DTSTART:20270310T090000Z" in text
    assert "VTIMEZONE" not in text


def test_the_zone_that_goes_along_is_right_for_programs_that_know_no_names() -> None:
    """A fifth of all zones, every half hour of the days on which their clocks change and of the event's own day."""
    for name in sorted(available_timezones() - {"Factory", "localtime"})[::5]:
        zone = ZoneInfo(name)
        lines = read_lines(write_event(replace(DRAFT, zone=name), stamp=STAMP))
        if name not in lines.zones:
            assert zone.utcoffset(DRAFT.start_at) == timedelta(0)
            continue
        described = ZoneBook(own={"mine": lines.zones[name]}, default_name=None, calendar_zone=UTC).read("mine").zone
        for day in [DRAFT.start_at, *days_of_change(zone)]:
            for half_hours in range(-4, 52):
                instant = day + timedelta(minutes=30 * half_hours)
                local = instant.astimezone(zone)
                if not local.fold:
                    assert local.replace(tzinfo=described).astimezone(UTC) == instant, name


def days_of_change(zone: ZoneInfo) -> list[datetime]:
    """The days of 2026 to 2028 on which the zone's offset changes."""
    days = [datetime(2026, 2, 1, tzinfo=UTC) + timedelta(days=n) for n in range(700)]
    return [one for one, next_one in pairwise(days) if offset(one, zone) != offset(next_one, zone)]


def offset(at: datetime, zone: ZoneInfo) -> timedelta | None:
    return at.astimezone(zone).utcoffset()
