"""From Google's event to busy time: each row of the table that decides what takes time, and what is made of odd events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from providers.calendars.base import EventMark, RemoteEvent, Span
from providers.calendars.google.mapping import mark_of, read_event, touches, without_mark

WINDOW: Span = (datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 5, 1, tzinfo=UTC))
OWN = frozenset({"ana@studio.example"})
AT_TEN = (datetime(2027, 3, 10, 10, tzinfo=UTC), datetime(2027, 3, 10, 11, tzinfo=UTC))
MARK = {"lockstepInstance": "i", "lockstepAppointment": "7", "lockstepGeneration": "2", "lockstepUid": "u7"}


def event(*, zone: str = "Europe/Madrid", window: Span = WINDOW, **fields: Any) -> RemoteEvent:
    made = {
        "id": "one",
        "etag": '"1"',
        "status": "confirmed",
        "summary": "Something",
        "iCalUID": "one@google.com",
        "start": {"dateTime": "2027-03-10T11:00:00+01:00", "timeZone": "Europe/Madrid"},
        "end": {"dateTime": "2027-03-10T12:00:00+01:00", "timeZone": "Europe/Madrid"},
    }
    return read_event({**made, **fields}, window=window, zone=zone, own_addresses=OWN)


def ours(**fields: Any) -> RemoteEvent:
    private = {**MARK, **fields.pop("private", {})}
    return event(extendedProperties={"private": private}, **fields)


def days(start: str, end: str) -> dict[str, Any]:
    return {"start": {"date": start}, "end": {"date": end}}


def attendee(**fields: Any) -> list[dict[str, Any]]:
    return [{"email": "x@else.example", "responseStatus": "accepted"}, {"email": "ana@gmail.example", **fields}]


# What takes time


def test_a_plain_event_takes_its_time() -> None:
    found = event()
    assert found.busy == (AT_TEN,)
    assert (found.start_at, found.end_at) == AT_TEN
    assert (found.remote_id, found.etag, found.uid, found.summary) == ("one", '"1"', "one@google.com", "Something")
    assert (found.mark, found.is_recurring, found.is_cancelled, found.problem) == (None, False, False, None)
    assert found.content_hash


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "tentative"},
        {"transparency": "opaque"},
        {"visibility": "private", "summary": None},
        {"eventType": "outOfOffice"},
        {"eventType": "focusTime"},
        {"eventType": "fromGmail"},
        {"eventType": "something new"},
        {"attendees": attendee(self=True, responseStatus="accepted")},
        {"attendees": attendee(self=True, responseStatus="needsAction")},
        {"attendees": attendee(self=True, responseStatus="tentative")},
        {"attendees": attendee(responseStatus="declined")},
        {"attendees": "broken"},
        {"recurringEventId": "series", "originalStartTime": {"dateTime": "2027-03-09T11:00:00+01:00"}},
    ],
    ids=str,
)
def test_this_takes_time(fields: dict[str, Any]) -> None:
    assert event(**fields).busy == (AT_TEN,)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "cancelled"},
        {"transparency": "transparent"},
        {"transparency": "transparent", "eventType": "outOfOffice"},
        {"eventType": "workingLocation"},
        {"eventType": "birthday"},
        {"attendees": attendee(self=True, responseStatus="declined")},
        {"attendees": attendee(email="Ana@Studio.example", responseStatus="declined")},
        {"end": {"dateTime": "2027-03-10T11:00:00+01:00"}},
    ],
    ids=str,
)
def test_this_takes_none(fields: dict[str, Any]) -> None:
    found = event(**fields)
    assert found.busy == ()
    assert found.start_at == AT_TEN[0]


def test_time_is_cut_to_the_window() -> None:
    window = (AT_TEN[0] + timedelta(minutes=15), AT_TEN[0] + timedelta(minutes=30))
    assert event(window=window).busy == (window,)
    assert event(window=(AT_TEN[1], AT_TEN[1] + timedelta(hours=1))).busy == ()


# Whole days


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("Europe/Madrid", "2027-03-10", datetime(2027, 3, 9, 23, tzinfo=UTC), 24),
        ("Europe/Madrid", "2027-03-28", datetime(2027, 3, 27, 23, tzinfo=UTC), 23),
        ("Europe/Madrid", "2027-10-31", datetime(2027, 10, 30, 22, tzinfo=UTC), 25),
        ("Pacific/Auckland", "2027-03-10", datetime(2027, 3, 9, 11, tzinfo=UTC), 24),
        ("Pacific/Pago_Pago", "2027-03-10", datetime(2027, 3, 10, 11, tzinfo=UTC), 24),
        ("Asia/Kolkata", "2027-03-10", datetime(2027, 3, 9, 18, 30, tzinfo=UTC), 24),
        ("Australia/Lord_Howe", "2027-04-04", datetime(2027, 4, 3, 13, tzinfo=UTC), 24.5),
        ("UTC", "2027-03-10", datetime(2027, 3, 10, tzinfo=UTC), 24),
    ],
)
def test_a_whole_day_is_the_day_of_the_calendars_zone(zone: str, day: str, start: datetime, hours: float) -> None:
    after = (datetime.fromisoformat(day) + timedelta(days=1)).date().isoformat()
    found = event(zone=zone, window=(start - timedelta(days=9), start + timedelta(days=9)), **days(day, after))
    assert found.busy == ((start, start + timedelta(hours=hours)),)
    assert found.problem is None


def test_a_whole_day_in_an_unknown_zone_is_read_in_utc_and_says_so() -> None:
    found = event(zone="Middle/Earth", **days("2027-03-10", "2027-03-11"))
    assert found.start_at == datetime(2027, 3, 10, tzinfo=UTC)
    assert "time zone is not known" in str(found.problem)


# Times that are odd


@pytest.mark.parametrize(
    "start",
    [
        {"dateTime": "2027-03-10T10:00:00Z"},
        {"dateTime": "2027-03-10T10:00:00.000Z"},
        {"dateTime": "2027-03-10T05:00:00-05:00"},
        {"dateTime": "2027-03-10T11:00:00", "timeZone": "Europe/Berlin"},
        {"dateTime": "2027-03-10T15:30:00", "timeZone": "Asia/Kolkata"},
    ],
    ids=str,
)
def test_a_time_is_read_with_its_offset_or_zone(start: dict[str, str]) -> None:
    found = event(start=start)
    assert (found.start_at, found.problem) == (AT_TEN[0], None)


def test_a_time_without_any_zone_is_read_in_the_calendars_and_says_so() -> None:
    found = event(start={"dateTime": "2027-03-10T11:00:00", "timeZone": "Middle/Earth"})
    assert found.busy == (AT_TEN,)
    assert "time zone is not known" in str(found.problem)


@pytest.mark.parametrize(
    "fields",
    [
        {"start": None},
        {"start": {}},
        {"start": "2027-03-10"},
        {"start": {"dateTime": "tomorrow"}},
        {"start": {"date": "2027-02-30"}},
        {"start": {"dateTime": "0001-01-01T00:00:00+14:00"}},
        {"recurrence": 5},
        {"summary": ["no", "words"], "start": None},
    ],
    ids=str,
)
def test_what_cannot_be_read_is_flagged_and_named(fields: dict[str, Any]) -> None:
    found = event(**fields)
    assert (found.remote_id, found.etag, found.busy) == ("one", '"1"', ())
    assert found.problem


def test_a_broken_end_is_mended_and_said() -> None:
    found = event(**{**days("2027-03-10", "2027-03-11"), "end": {"date": "never"}})
    assert found.busy == ((datetime(2027, 3, 9, 23, tzinfo=UTC), datetime(2027, 3, 10, 23, tzinfo=UTC)),)
    assert "end could not be read" in str(found.problem)
    broken = event(end={})
    assert "end could not be read" in str(broken.problem)
    assert broken.busy[0][1] - AT_TEN[0] >= timedelta(hours=1), "in doubt it takes time"


def test_ends_in_the_wrong_order_are_exchanged_and_said() -> None:
    found = event(end={"dateTime": "2027-03-10T09:00:00+01:00"})
    assert found.busy == ((AT_TEN[0] - timedelta(hours=2), AT_TEN[0]),)
    assert "exchanged" in str(found.problem)


def test_one_poisonous_event_among_fifty_leaves_the_others_readable() -> None:
    found = [event(id=f"e{n}", start={"dateTime": 7}) if n == 20 else event(id=f"e{n}") for n in range(50)]
    assert len([one for one in found if one.busy == (AT_TEN,)]) == 49
    assert [one.remote_id for one in found if one.problem] == ["e20"]


# Our own


def test_our_own_event_is_recognised_and_takes_no_time() -> None:
    found = ours(private={"lockstepSequence": "3"})
    assert found.mark == EventMark(instance_id="i", appointment_id=7, generation=2)
    assert (found.uid, found.sequence, found.busy) == ("u7", 3, ())


def test_what_our_mark_hides_is_told_beside_it() -> None:
    assert (ours().busy, ours().taken) == ((), (AT_TEN,))
    assert ours(transparency="transparent").taken == ()
    assert ours(status="cancelled").taken == ()
    assert event().taken is None


@pytest.mark.parametrize(
    "private",
    [{}, {"lockstepInstance": "i"}, {**MARK, "lockstepAppointment": "x"}, {**MARK, "lockstepGeneration": "²"}],
)
def test_half_a_mark_is_none(private: dict[str, str]) -> None:
    assert mark_of({"extendedProperties": {"private": private}}) is None
    assert event(extendedProperties={"private": private}).busy == (AT_TEN,)


def test_googles_own_count_of_changes_means_nothing_to_us() -> None:
    assert ours(sequence=1).content_hash == ours(sequence=9).content_hash
    assert ours(sequence=9).sequence == 0
    assert event(sequence=1).content_hash == event(sequence=9).content_hash


@pytest.mark.parametrize(
    "fields",
    [
        {"colorId": "5"},
        {"attendees": attendee(self=True, responseStatus="accepted")},
        {"reminders": {"useDefault": False}},
        {"etag": '"2"', "updated": "2027-01-01T00:00:00Z"},
        {"status": "tentative"},
        {"hangoutLink": "https://meet.google.com/abc"},
    ],
    ids=str,
)
def test_this_changes_nothing_in_the_meaning_of_our_event(fields: dict[str, Any]) -> None:
    assert ours(**fields).content_hash == ours().content_hash


@pytest.mark.parametrize(
    "fields",
    [
        {"summary": "Renamed"},
        {"transparency": "transparent"},
        {"status": "cancelled"},
        {"start": {"dateTime": "2027-03-10T11:15:00+01:00"}},
        {"recurrence": ["RRULE:FREQ=WEEKLY"]},
        days("2027-03-10", "2027-03-11"),
    ],
    ids=str,
)
def test_this_changes_the_meaning_of_our_event(fields: dict[str, Any]) -> None:
    assert ours(**fields).content_hash != ours().content_hash


def test_our_event_made_a_series_is_recurring_and_one_occurrence_of_any_series_is_not() -> None:
    assert ours(recurrence=["RRULE:FREQ=WEEKLY"]).is_recurring
    assert not event(recurringEventId="series").is_recurring


def test_a_further_occurrence_of_our_event_is_read_like_a_strangers() -> None:
    raw = {
        "id": "x",
        "etag": "1",
        "start": {"dateTime": "2027-03-10T10:00:00Z"},
        "end": {"dateTime": "2027-03-10T11:00:00Z"},
    }
    marked = {**raw, "extendedProperties": {"private": MARK}}
    assert read_event(marked, window=WINDOW, zone="UTC").busy == ()
    found = read_event(without_mark(marked), window=WINDOW, zone="UTC")
    assert (found.mark, found.busy) == (None, (AT_TEN,))


# Links and words


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"hangoutLink": "https://meet.google.com/abc-defg-hij"}, "https://meet.google.com/abc-defg-hij"),
        (
            {"conferenceData": {"entryPoints": [
                {"entryPointType": "phone", "uri": "tel:+34"}, {"entryPointType": "video", "uri": "https://meet.google.com/x"}
            ]}},
            "https://meet.google.com/x",
        ),
        ({"conferenceData": {"createRequest": {"status": {"statusCode": "pending"}}}}, ""),
        ({"hangoutLink": "javascript:alert(1)"}, ""),
        ({"hangoutLink": 5, "conferenceData": 7}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_the_link_of_a_meeting(fields: dict[str, Any], url: str) -> None:
    assert event(**fields).meeting_url == url


def test_words_that_no_database_takes_are_left_out() -> None:
    assert event(summary="a\x00b\ud800c 😀").summary == "abc 😀"


def test_what_never_touched_the_window() -> None:
    assert touches(event(), WINDOW)
    assert touches(event(start=None), WINDOW)
    before = (AT_TEN[1], AT_TEN[1] + timedelta(hours=1))
    after = (AT_TEN[0] - timedelta(hours=1), AT_TEN[0])
    assert not touches(event(), before)
    assert not touches(event(), after)
