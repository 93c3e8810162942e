"""The contract against the stand-in for Google, and what is peculiar to Google's calendars."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from providers.calendars.base import CalendarRef, ChangeBatch, Receipt, RemoteEvent, Span
from providers.calendars.content import draft_hash
from providers.calendars.google.calendars import GoogleCalendars
from providers.errors import Conflict, Gone, SyncTokenExpired
from tests.providers.contract import HOUR, NINE, WINDOW, CalendarContract, by_id, draft, read
from tests.providers.google_people import GooglePerson, open_google
from tests.providers.stand_in import Answer, Asked, StandIn
from tests.support.google_server import GoogleServer

DAY, WEEK = 24 * HOUR, 7 * 24 * HOUR
ZONE = "Europe/Madrid"
LONG: Span = (datetime(2027, 2, 1, tzinfo=UTC), datetime(2028, 7, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleServer]:
    with GoogleServer(tmp_path_factory.mktemp("google")) as running:
        yield running


@pytest.fixture(autouse=True)
def keeps_to_the_document(server: GoogleServer) -> Iterator[None]:
    yield
    server.clear_faults()
    assert server.violations() == []


@pytest.fixture
def account(server: GoogleServer, request: pytest.FixtureRequest) -> Any:
    return server.account(f"p{abs(hash(request.node.nodeid)):x}@gmail.example")


@pytest.fixture
def calendar(account: Any) -> CalendarRef:
    remote_id = account.make_calendar("Work", role="owner", zone=ZONE)
    return CalendarRef(remote_id=remote_id, zone="UTC", own_addresses=frozenset({account.email}))


@pytest.fixture
def provider(server: GoogleServer, account: Any) -> Iterator[GoogleCalendars]:
    provider = open_google(server, account)
    yield provider
    provider.close()


@pytest.fixture
def person(account: Any, calendar: CalendarRef) -> GooglePerson:
    return GooglePerson(account, calendar.remote_id)


@pytest.fixture
def between(server: GoogleServer) -> Iterator[StandIn]:
    with StandIn(int(server.url.rsplit(":", 1)[1])) as stand_in:
        yield stand_in


@pytest.fixture
def through(server: GoogleServer, account: Any, between: StandIn) -> Iterator[GoogleCalendars]:
    provider = open_google(server, account, url=between.url)
    yield provider
    provider.close()


def put(provider: GoogleCalendars, calendar: CalendarRef, etag: str | None = None, **changes: object) -> Receipt:
    made = draft(**changes)
    return provider.put(calendar, made, remote_id=provider.remote_id_for(calendar, made.uid), if_match=etag)


def at(start: datetime, **more: Any) -> dict[str, Any]:
    return {"dateTime": start.isoformat(), "timeZone": ZONE, **more}


def times(start: datetime, length: timedelta = HOUR) -> dict[str, Any]:
    return {"start": at(start), "end": at(start + length)}


def weekly(person: GooglePerson, count: int = 4, *, start: datetime = NINE) -> str:
    return person.add(summary="Weekly", recurrence=[f"RRULE:FREQ=WEEKLY;COUNT={count}"], **times(start))


def known_of(*batches: ChangeBatch) -> dict[str, str]:
    """What the portal knows after these batches."""
    known: dict[str, str] = {}
    for batch in batches:
        known.update({event.remote_id: event.etag for event in batch.upserts})
        if batch.is_complete:
            kept = by_id(batch).keys() | batch.unchanged
            known = {remote_id: etag for remote_id, etag in known.items() if remote_id in kept}
        known = {remote_id: etag for remote_id, etag in known.items() if remote_id not in batch.removals}
    return known


def starts(batch: ChangeBatch) -> list[datetime]:
    return sorted(span[0] for event in batch.upserts for span in event.busy)


def listings(server: GoogleServer, since: int) -> list[Mapping[str, Any]]:
    return [entry for entry in server.log(since) if "/events" in entry["path"]]


def last_no(server: GoogleServer) -> int:
    return max((entry["no"] for entry in server.log()), default=0)


class TestGoogle(CalendarContract):
    """The contract."""


# The account


def test_the_calendars_are_listed_with_the_account_s_own_first(
    provider: GoogleCalendars, account: Any, calendar: CalendarRef
) -> None:
    account.make_calendar("Holidays", role="reader", zone="Europe/Berlin")
    account.make_calendar("Only when busy", role="freeBusyReader")
    listed = provider.list_calendars()
    assert listed[0].remote_id == account.email
    assert [entry.is_primary for entry in listed] == [True] + [False] * (len(listed) - 1)
    named = {entry.name: entry for entry in listed}
    assert (named["Work"].is_writable, named["Work"].zone, named["Work"].remote_id) == (True, ZONE, calendar.remote_id)
    assert (named["Holidays"].is_writable, named["Holidays"].zone) == (False, "Europe/Berlin")
    assert "Only when busy" not in named


def test_calendars_have_the_names_that_their_owner_gave_them_and_zones_that_exist(
    server: GoogleServer, between: StandIn, through: GoogleCalendars, account: Any, calendar: CalendarRef
) -> None:
    def rename(asked: Asked, answer: Answer) -> Answer:
        page = json.loads(answer.body)
        for entry in page["items"]:
            entry.update({"summaryOverride": "My work", "timeZone": "Middle/Earth"} if not entry.get("primary") else {})
        page["items"] += [
            {"id": "old", "accessRole": "owner", "deleted": True},
            {"id": "busy", "accessRole": "none"},
            None,
        ]
        return replace(answer, body=json.dumps(page).encode())

    between.spoil = rename
    named = {entry.remote_id: entry for entry in through.list_calendars()}
    assert named.keys() == {account.email, calendar.remote_id}
    assert (named[calendar.remote_id].name, named[calendar.remote_id].zone) == ("My work", None)


def test_the_list_of_calendars_is_read_to_its_end(
    server: GoogleServer, provider: GoogleCalendars, account: Any, calendar: CalendarRef
) -> None:
    server.empty_pages(True)
    try:
        assert {entry.remote_id for entry in provider.list_calendars()} == {account.email, calendar.remote_id}
    finally:
        server.empty_pages(False)


def test_what_may_be_done_in_a_calendar_is_told_by_the_role(
    provider: GoogleCalendars, account: Any, calendar: CalendarRef
) -> None:
    holidays = CalendarRef(remote_id=account.make_calendar("Holidays", role="reader", zone="Asia/Kolkata"), zone="UTC")
    writer = CalendarRef(remote_id=account.make_calendar("Room", role="writer"), zone="UTC")
    assert provider.capabilities(calendar).can_write
    assert provider.capabilities(writer).can_write
    assert not provider.capabilities(holidays).can_write
    assert provider.capabilities(holidays).details == {"zone": "Asia/Kolkata"}
    assert provider.capabilities(holidays).has_push


# Reading


def test_a_reading_without_changes_is_one_request(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    weekly(person)
    first = read(provider, calendar)
    since = last_no(server)
    read(provider, calendar, first.next_token, known_of(first))
    assert len(server.log(since)) == 1


def test_after_a_410_what_was_deleted_in_the_gap_is_missing_from_the_whole(
    provider: GoogleCalendars, account: Any, calendar: CalendarRef, person: GooglePerson
) -> None:
    kept, gone = (person.add_event(name, NINE, NINE + HOUR) for name in ("Kept", "Gone"))
    first = read(provider, calendar)
    account.forget_sync_tokens(calendar.remote_id)
    person.remove_event(gone)
    with pytest.raises(SyncTokenExpired):
        read(provider, calendar, first.next_token, known_of(first))
    again = read(provider, calendar, None, known_of(first))
    assert (again.is_complete, again.unchanged, again.upserts) == (True, {kept}, ())
    assert again.next_token
    assert again.next_token != first.next_token


def test_pages_are_read_to_the_end_and_an_empty_one_is_not_the_end(
    server: GoogleServer,
    between: StandIn,
    through: GoogleCalendars,
    calendar: CalendarRef,
    person: GooglePerson,
) -> None:
    server.empty_pages(True)
    between.script = lambda asked: between.forward(replace(asked, path=asked.path.replace("Results=2500", "Results=2")))
    try:
        added = {person.add_event(f"No {n}", NINE + n * HOUR, NINE + (n + 1) * HOUR) for n in range(5)}
        first = read(through, calendar)
        later = {person.add_event(f"Later {n}", NINE + n * HOUR, NINE + (n + 1) * HOUR) for n in range(3)}
        then = read(through, calendar, first.next_token, known_of(first))
    finally:
        server.empty_pages(False)
    assert by_id(first).keys() == added
    assert by_id(then).keys() == later
    assert ["pageToken" in asked.path for asked in between.asked] == [False, *[True] * 5, False, *[True] * 3]


def json_answer(body: object, status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": "application/json; charset=UTF-8"}, json.dumps(body).encode())


def test_what_never_touched_the_window_is_not_told(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    person.add_event("Long ago", WINDOW[0] - WEEK, WINDOW[0] - WEEK + HOUR)
    first = read(provider, calendar)
    person.add_event("Far away", WINDOW[1] + WEEK, WINDOW[1] + WEEK + HOUR)
    weekly(person, start=WINDOW[1] + WEEK)
    then = read(provider, calendar, first.next_token)
    assert (first.upserts, then.upserts, then.removals) == ((), (), ())


def test_what_leaves_the_window_is_told_and_takes_no_time_in_it(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    moved = person.add_event("Put off", NINE, NINE + HOUR)
    first = read(provider, calendar)
    person.move_event(moved, WINDOW[1] + WEEK)
    (event,) = read(provider, calendar, first.next_token, known_of(first)).upserts
    assert (event.remote_id, event.busy, event.start_at) == (moved, (), WINDOW[1] + WEEK)


def test_one_poisonous_event_does_not_hide_the_others(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    ids = [person.add_event(f"No {n}", NINE + n * HOUR, NINE + (n + 1) * HOUR) for n in range(50)]

    def poison(asked: Asked, answer: Answer) -> Answer:
        page = json.loads(answer.body)
        next(item for item in page["items"] if item["id"] == ids[20])["start"] = {"dateTime": "32 May"}
        return replace(answer, body=json.dumps(page).encode())

    between.spoil = poison
    found = by_id(read(through, calendar))
    assert found.keys() == set(ids)
    assert [remote_id for remote_id, event in found.items() if event.problem] == [ids[20]]
    assert len([event for event in found.values() if event.busy]) == 49


WORKS_THERE = {"workingLocationProperties": {"type": "homeOffice", "homeOffice": {}}, "visibility": "public"}
BIRTHDAY = {
    "start": {"date": "2027-03-01"},
    "end": {"date": "2027-03-02"},
    "visibility": "private",
    "recurrence": ["RRULE:FREQ=YEARLY"],
}


@pytest.mark.parametrize(
    ("fields", "is_busy"),
    [
        ({"eventType": "outOfOffice"}, True),
        ({"eventType": "focusTime"}, True),
        ({"eventType": "workingLocation", "transparency": "transparent", **WORKS_THERE}, False),
        ({"eventType": "birthday", "transparency": "transparent", **BIRTHDAY}, False),
        ({"transparency": "transparent"}, False),
        ({"status": "tentative"}, True),
        ({"attendees": [{"email": "SELF", "responseStatus": "declined"}]}, False),
        ({"attendees": [{"email": "SELF", "responseStatus": "tentative"}]}, True),
        ({"attendees": [{"email": "x@else.example", "responseStatus": "declined"}]}, True),
    ],
    ids=str,
)
def test_what_takes_time_at_google(provider: GoogleCalendars, account: Any, fields: Any, is_busy: bool) -> None:
    calendar = CalendarRef(remote_id=account.email, zone="UTC")
    fields = json.loads(json.dumps(fields).replace("SELF", account.email))
    remote_id = GooglePerson(account, account.email).add(**{"summary": "Perhaps", **times(NINE), **fields})
    expected = [(remote_id, (NINE, NINE + HOUR))] if is_busy else []
    assert [(event.remote_id, span) for event in read(provider, calendar).upserts for span in event.busy] == expected
    assert provider.busy(calendar, (NINE - HOUR, NINE + 2 * HOUR)) == expected


@pytest.mark.parametrize("zone", ["Europe/Madrid", "Pacific/Auckland", "America/New_York", "UTC"])
def test_a_whole_day_is_that_of_the_calendar_and_not_of_the_person(
    provider: GoogleCalendars, account: Any, zone: str
) -> None:
    remote_id = account.make_calendar("Days", role="owner", zone=zone)
    calendar = CalendarRef(remote_id=remote_id, zone="Asia/Tokyo")
    person = GooglePerson(account, remote_id)
    days = {"start": {"date": "2027-03-27"}, "end": {"date": "2027-03-29"}}
    person.add(summary="Trip", **days)
    first = read(provider, calendar)
    (span,) = [span for event in first.upserts for span in event.busy]
    (other,) = {span for _, span in provider.busy(calendar, WINDOW)}
    expected = {
        "Europe/Madrid": (datetime(2027, 3, 26, 23, tzinfo=UTC), 47),
        "Pacific/Auckland": (datetime(2027, 3, 26, 11, tzinfo=UTC), 48),
        "America/New_York": (datetime(2027, 3, 27, 4, tzinfo=UTC), 48),
        "UTC": (datetime(2027, 3, 27, tzinfo=UTC), 48),
    }[zone]
    assert span == other == (expected[0], expected[0] + expected[1] * HOUR)
    # Its etag says nothing of the calendar's zone, so a whole reading tells it again.
    assert by_id(read(provider, calendar, None, known_of(first))).keys() == known_of(first).keys()


# Series


def test_each_occurrence_of_a_series_is_an_object_of_its_own(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    series_id = weekly(person, 6)
    batch = read(provider, calendar)
    # Summer time begins between the fourth and the fifth: on the wall clock nothing changes.
    assert starts(batch) == [NINE + n * WEEK - (HOUR if n > 3 else 0 * HOUR) for n in range(6)]
    assert {event.remote_id.rsplit("_", 1)[0] for event in batch.upserts} == {series_id}
    assert not any(event.is_recurring for event in batch.upserts)


def test_a_series_that_began_long_ago_takes_time_next_week(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    began = datetime(2019, 1, 7, 9, tzinfo=UTC)
    person.add(summary="Always", recurrence=["RRULE:FREQ=WEEKLY"], **times(began))
    assert len(starts(read(provider, calendar))) in (12, 13)
    assert provider.busy(calendar, (NINE, NINE + 12 * HOUR))


def test_a_moved_occurrence_frees_its_time_and_takes_another(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    weekly(person)
    first = read(provider, calendar)
    second = sorted(known_of(first))[1]
    person.move_event(second, NINE + WEEK + 3 * HOUR)
    then = read(provider, calendar, first.next_token, known_of(first))
    assert {remote_id: event.busy for remote_id, event in by_id(then).items() if remote_id == second} == {
        second: ((NINE + WEEK + 3 * HOUR, NINE + WEEK + 4 * HOUR),)
    }
    assert then.removals == ()
    assert known_of(first, then).keys() == known_of(first).keys()


def test_an_occurrence_moved_out_of_the_window_frees_its_time(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    weekly(person)
    first = read(provider, calendar)
    second = sorted(known_of(first))[1]
    person.move_event(second, WINDOW[1] + WEEK)
    then = read(provider, calendar, first.next_token, known_of(first))
    assert then.removals == (second,)
    assert known_of(first, then).keys() == known_of(read(provider, calendar)).keys()


@pytest.mark.parametrize("how", ["deleted", "excluded"])
def test_a_cancelled_occurrence_frees_its_time(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson, how: str
) -> None:
    series_id = weekly(person)
    first = read(provider, calendar)
    third = sorted(known_of(first))[2]
    if how == "deleted":
        person.remove_event(third)
    else:
        exdate = f"EXDATE:{NINE + 2 * WEEK:%Y%m%dT%H%M%SZ}"
        person.patch(series_id, recurrence=["RRULE:FREQ=WEEKLY;COUNT=4", exdate])
    then = read(provider, calendar, first.next_token, known_of(first))
    assert then.removals == (third,)
    assert len(known_of(first, then)) == 3


def test_of_a_deleted_series_nothing_remains_however_far_it_went(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    """Google names only the occurrences of some months."""
    series_id = weekly(person, 60)
    other = person.add_event("Stays", NINE, NINE + HOUR)
    first = provider.changes(calendar, None, window=LONG, known={})
    assert len(known_of(first)) == 61
    person.remove_event(series_id)
    then = provider.changes(calendar, first.next_token, window=LONG, known=known_of(first))
    assert set(then.removals) == known_of(first).keys() - {other}


def test_a_series_cut_off_frees_all_its_time_after_the_cut(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    series_id = weekly(person, 60)
    first = provider.changes(calendar, None, window=LONG, known={})
    until = f"{NINE + 3 * WEEK - HOUR:%Y%m%dT%H%M%SZ}"
    person.patch(series_id, recurrence=[f"RRULE:FREQ=WEEKLY;UNTIL={until}"])
    then = provider.changes(calendar, first.next_token, window=LONG, known=known_of(first))
    assert len(then.removals) == 57
    assert len(known_of(first, then)) == 3


def test_a_series_moved_as_a_whole_leaves_nothing_behind(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    series_id = weekly(person)
    first = read(provider, calendar)
    person.patch(series_id, **times(NINE + 5 * HOUR))
    then = read(provider, calendar, first.next_token, known_of(first))
    whole = read(provider, calendar)
    assert known_of(first, then).keys() == known_of(whole).keys()
    assert starts(then) == starts(whole)
    assert starts(whole)[0] == NINE + 5 * HOUR


def test_a_single_event_made_a_series_is_known_only_by_its_occurrences(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    single = person.add_event("Once", NINE, NINE + HOUR)
    first = read(provider, calendar)
    person.patch(single, recurrence=["RRULE:FREQ=DAILY;COUNT=3"], **times(NINE))
    then = read(provider, calendar, first.next_token, known_of(first))
    assert then.removals == (single,)
    assert starts(then) == [NINE, NINE + DAY, NINE + 2 * DAY]


def test_a_series_made_single_is_known_only_by_itself(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    series_id = weekly(person)
    first = read(provider, calendar)
    person.patch(series_id, recurrence=None, **times(NINE))
    then = read(provider, calendar, first.next_token, known_of(first))
    assert known_of(first, then).keys() == {series_id}
    assert starts(then) == [NINE]


def test_a_series_cut_in_two_by_hand_is_read_like_two(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    series_id = weekly(person, 8)
    first = read(provider, calendar)
    until = f"{NINE + 2 * WEEK - HOUR:%Y%m%dT%H%M%SZ}"
    person.patch(series_id, recurrence=[f"RRULE:FREQ=WEEKLY;UNTIL={until}"])
    weekly(person, 3, start=NINE + 2 * WEEK + 2 * HOUR)
    then = read(provider, calendar, first.next_token, known_of(first))
    whole = read(provider, calendar)
    assert known_of(first, then).keys() == known_of(whole).keys()
    assert len(whole.upserts) == 5


@pytest.mark.parametrize("change", ["one", "all"])
def test_the_second_half_of_a_series_is_not_taken_for_the_first(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson, change: str
) -> None:
    """“This and following” makes a series with the id of the first, an R and a time: its occurrences begin with the same letters."""
    series_id = weekly(person)
    first = read(provider, calendar)
    half = {f"{series_id}_R20270329T080000_20270405T080000Z": '"1"', f"{series_id}_R20270329T080000": '"2"'}
    gone = sorted(known_of(first))[1] if change == "one" else series_id
    person.remove_event(gone)
    then = read(provider, calendar, first.next_token, {**known_of(first), **half})
    assert set(then.removals) == ({gone} if change == "one" else known_of(first).keys())


def test_a_deleted_series_that_google_names_itself_takes_its_occurrences_along(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    series_id = weekly(person)
    first = read(through, calendar)
    between.always("GET", json_answer({"items": [{"id": series_id, "status": "cancelled"}], "nextSyncToken": "t"}))
    then = read(through, calendar, first.next_token, known_of(first))
    assert set(then.removals) == {series_id, *known_of(first)}
    assert len(between.asked) == 2


def test_very_many_series_at_once_are_read_as_a_whole(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    first = read(provider, calendar)
    for n in range(51):
        weekly(person, 2, start=NINE + n * HOUR)
    with pytest.raises(SyncTokenExpired):
        read(provider, calendar, first.next_token)
    assert len(read(provider, calendar).upserts) == 102


# Our own events in people's hands


def test_our_event_made_a_series_is_one_object_of_ours_and_strangers(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    receipt = put(provider, calendar)
    first = read(provider, calendar, None, {receipt.remote_id: receipt.etag})
    known = {receipt.remote_id: receipt.etag}
    person.patch(receipt.remote_id, recurrence=["RRULE:FREQ=WEEKLY;COUNT=3"], **times(NINE))
    then = read(provider, calendar, first.next_token, known)
    whole = read(provider, calendar)
    for batch in (then, whole):
        found = by_id(batch)
        ours = found.pop(receipt.remote_id)
        assert (ours.mark, ours.is_recurring, ours.busy) == (draft().mark, True, ())
        assert (ours.start_at, ours.end_at) == (NINE, NINE + HOUR)
        assert [event.mark for event in found.values()] == [None, None]
        assert starts(batch) == [NINE + WEEK, NINE + 2 * WEEK]
    assert receipt.remote_id not in then.removals
    known = known_of(first, then)
    assert read(provider, calendar, then.next_token, known).upserts == ()
    assert read(provider, calendar, None, known).upserts == ()
    later = [span[0] for _, span in provider.busy(calendar, (NINE - HOUR, NINE + 3 * WEEK))]
    assert later == [NINE + WEEK, NINE + 2 * WEEK]
    assert provider.get(calendar, receipt.remote_id, window=WINDOW).is_recurring


def test_a_copy_of_our_event_takes_the_time_of_every_occurrence_by_its_own_text(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    receipt = put(provider, calendar)
    properties = person.event(receipt.remote_id)["extendedProperties"]
    copy = person.add(
        summary="Copy",
        extendedProperties=properties,
        recurrence=["RRULE:FREQ=WEEKLY;COUNT=3"],
        **times(NINE + 2 * HOUR),
    )
    found = by_id(read(provider, calendar))
    assert found[copy].mark == draft().mark
    assert found[copy].taken == ((NINE + 2 * HOUR, NINE + 3 * HOUR),)
    others = sorted(span[0] for event in found.values() for span in event.busy)
    assert others == [NINE + 2 * HOUR + WEEK, NINE + 2 * HOUR + 2 * WEEK]


def test_our_event_made_a_series_and_single_again_leaves_no_strangers(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    receipt = put(provider, calendar)
    first = read(provider, calendar)
    person.patch(receipt.remote_id, recurrence=["RRULE:FREQ=WEEKLY;COUNT=3"], **times(NINE))
    series = read(provider, calendar, first.next_token, known_of(first))
    person.patch(receipt.remote_id, recurrence=None, **times(NINE))
    then = read(provider, calendar, series.next_token, known_of(first, series))
    assert known_of(first, series, then).keys() == {receipt.remote_id}
    event = by_id(then)[receipt.remote_id]
    assert (event.mark, event.is_recurring, event.content_hash) == (draft().mark, False, receipt.content_hash)


def test_our_event_made_a_series_and_moved_out_of_the_window_is_told_where_it_is(
    between: StandIn, through: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    """As soon as Google mentions any of its occurrences."""
    receipt = put(through, calendar)
    first = read(through, calendar)
    away = WINDOW[1] + WEEK
    person.patch(receipt.remote_id, recurrence=["RRULE:FREQ=WEEKLY;COUNT=3"], **times(away))
    mentioned = {
        "id": f"{receipt.remote_id}_20270508T000000Z",
        "recurringEventId": receipt.remote_id,
        "status": "cancelled",
    }
    answer = json_answer({"items": [mentioned], "nextSyncToken": "t"})
    between.script = lambda asked: answer if "syncToken" in asked.path else None
    then = read(through, calendar, first.next_token, known_of(first))
    (event,) = then.upserts
    assert (event.remote_id, event.mark, event.start_at, then.removals) == (receipt.remote_id, draft().mark, away, ())


def test_our_event_made_a_series_and_deleted_is_removed_with_all_its_strangers(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    receipt = put(provider, calendar)
    first = read(provider, calendar)
    person.patch(receipt.remote_id, recurrence=["RRULE:FREQ=WEEKLY;COUNT=3"], **times(NINE))
    series = read(provider, calendar, first.next_token, known_of(first))
    person.remove_event(receipt.remote_id)
    then = read(provider, calendar, series.next_token, known_of(first, series))
    assert known_of(first, series, then) == {}
    with pytest.raises(Gone):
        provider.get(calendar, receipt.remote_id, window=WINDOW)


@pytest.mark.parametrize(
    "change",
    [
        {"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=3"], **times(NINE)},
        {
            "start": {"date": "2027-03-01", "dateTime": None, "timeZone": None},
            "end": {"date": "2027-03-02", "dateTime": None, "timeZone": None},
        },
        {"start": {"dateTime": "2027-03-01T18:00:00", "timeZone": "Asia/Kolkata"},
         "end": {"dateTime": "2027-03-01T19:00:00", "timeZone": "Asia/Kolkata"}},
        {"transparency": "transparent", "summary": "Renamed"},
    ],
    ids=["series", "whole day", "other zone", "free"],
)  # fmt: skip
def test_whatever_a_person_made_of_our_event_can_be_put_back(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson, change: dict[str, Any]
) -> None:
    receipt = put(provider, calendar)
    person.patch(receipt.remote_id, **change)
    with pytest.raises(Conflict) as caught:
        put(provider, calendar, receipt.etag, sequence=1)
    current = caught.value.current
    assert isinstance(current, RemoteEvent)
    assert current.content_hash != receipt.content_hash
    again = put(provider, calendar, current.etag, sequence=1)
    event = provider.get(calendar, receipt.remote_id, window=WINDOW)
    assert event.content_hash == again.content_hash == draft_hash(draft(sequence=1))
    assert (event.start_at, event.end_at, event.is_recurring) == (NINE, NINE + HOUR, False)
    assert [event.remote_id for event in read(provider, calendar).upserts] == [receipt.remote_id]


def test_what_people_added_to_our_event_survives_our_changes(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    receipt = put(provider, calendar)
    added = {
        "colorId": "5",
        "attendees": [{"email": "guest@x.example", "responseStatus": "accepted"}],
        "reminders": {"useDefault": False, "overrides": [{"method": "popup", "minutes": 5}]},
    }
    etag = person.patch(receipt.remote_id, **added)["etag"]
    put(provider, calendar, etag, start_at=NINE + HOUR, end_at=NINE + 2 * HOUR, sequence=1)
    stands = person.event(receipt.remote_id)
    assert (stands["colorId"], stands["reminders"]) == ("5", added["reminders"])
    assert [(guest["email"], guest["responseStatus"]) for guest in stands["attendees"]] == [
        ("guest@x.example", "accepted")
    ]


def test_nobody_is_mailed_by_google(server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef) -> None:
    since = last_no(server)
    receipt = put(provider, calendar)
    receipt = put(provider, calendar, receipt.etag, sequence=1)
    provider.delete(calendar, receipt.remote_id, if_match=receipt.etag)
    writes = [entry for entry in server.log(since) if entry["method"] in ("POST", "PATCH", "DELETE")]
    assert [entry["query"]["sendUpdates"] for entry in writes] == ["none"] * 3
    assert server.mails() == []


@pytest.mark.parametrize("words", ["nul\x00 and bell\x07 and \x1f", "\ud83d", "x" * 3000, "\ufffe"])
def test_words_that_google_refuses_are_written_as_well_as_can_be(
    provider: GoogleCalendars, calendar: CalendarRef, words: str
) -> None:
    made = draft(summary=words, description=words * 5, location=words)
    remote_id = provider.remote_id_for(calendar, made.uid)
    receipt = provider.put(calendar, made, remote_id=remote_id, if_match=None)
    assert receipt.content_hash == draft_hash(made)
    assert provider.get(calendar, remote_id, window=WINDOW).content_hash == draft_hash(made)
    assert provider.put(calendar, made, remote_id=remote_id, if_match=None) == receipt


def test_a_deleted_event_of_ours_stands_again_under_its_id(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    receipt = put(provider, calendar)
    first = read(provider, calendar)
    person.remove_event(receipt.remote_id)
    gone = read(provider, calendar, first.next_token, known_of(first))
    assert gone.removals == (receipt.remote_id,)
    again = put(provider, calendar)
    assert again.remote_id == receipt.remote_id
    back = read(provider, calendar, gone.next_token)
    assert by_id(back)[receipt.remote_id].etag == again.etag


def test_a_repeated_create_that_stands_already_writes_nothing(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef
) -> None:
    receipt = put(provider, calendar)
    assert put(provider, calendar) == receipt


def test_a_repeated_create_brings_the_newest_words(
    provider: GoogleCalendars, calendar: CalendarRef, person: GooglePerson
) -> None:
    """The first try may have been of an older draft, and its receipt lost."""
    put(provider, calendar)
    receipt = put(provider, calendar, description="A new note.")
    assert person.event(receipt.remote_id)["description"] == "A new note."
    assert person.event(receipt.remote_id)["etag"] == receipt.etag


# Meetings


def test_a_meeting_is_made_with_the_event_and_stays_the_same(provider: GoogleCalendars, calendar: CalendarRef) -> None:
    receipt = put(provider, calendar, wants_meeting=True)
    event = settled(provider, calendar, receipt.remote_id)
    assert event.meeting_url.startswith("https://")
    assert event.content_hash == draft_hash(draft(wants_meeting=True))
    moved = put(
        provider, calendar, event.etag, wants_meeting=True, start_at=NINE + HOUR, end_at=NINE + 2 * HOUR, sequence=1
    )
    assert settled(provider, calendar, moved.remote_id).meeting_url == event.meeting_url


def test_a_meeting_that_google_takes_time_to_make_is_told_by_the_next_change(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef
) -> None:
    server.meeting_delay(0.3)
    try:
        receipt = put(provider, calendar, wants_meeting=True)
        first = read(provider, calendar, None, {receipt.remote_id: receipt.etag})
        assert (receipt.meeting_url, first.unchanged) == ("", {receipt.remote_id})
        deadline = time.monotonic() + 10
        told: tuple[RemoteEvent, ...] = ()
        while not told and time.monotonic() < deadline:
            told = read(provider, calendar, first.next_token, {receipt.remote_id: receipt.etag}).upserts
    finally:
        server.meeting_delay(0)
    (event,) = told
    assert event.meeting_url.startswith("https://")
    assert event.content_hash == receipt.content_hash


def test_an_event_without_a_wish_for_a_meeting_has_none(provider: GoogleCalendars, calendar: CalendarRef) -> None:
    receipt = put(provider, calendar)
    assert receipt.meeting_url == ""
    assert provider.get(calendar, receipt.remote_id, window=WINDOW).meeting_url == ""


def test_a_meeting_wished_for_later_is_added(provider: GoogleCalendars, calendar: CalendarRef) -> None:
    receipt = put(provider, calendar)
    later = put(provider, calendar, receipt.etag, wants_meeting=True)
    assert settled(provider, calendar, later.remote_id).meeting_url


def test_a_repeated_create_that_finds_no_meeting_asks_for_one(provider: GoogleCalendars, calendar: CalendarRef) -> None:
    put(provider, calendar)
    assert put(provider, calendar, wants_meeting=True).meeting_url


def settled(provider: GoogleCalendars, calendar: CalendarRef, remote_id: str) -> RemoteEvent:
    """The event once Google has made its meeting, which takes it a moment."""
    for _ in range(10):
        event = provider.get(calendar, remote_id, window=WINDOW)
        if event.meeting_url:
            return event
    raise AssertionError("there is no meeting")


# Pushes


def test_pushes_are_granted_for_a_time_and_end_when_asked(
    server: GoogleServer, provider: GoogleCalendars, calendar: CalendarRef
) -> None:
    granted = provider.subscribe(
        calendar, address="https://portal.example/hooks/google", subscription_id="channel-1", secret="s3cret"
    )
    assert granted is not None
    assert granted.subscription_id == "channel-1"
    assert granted.resource_id
    left = granted.expires_at - datetime.now(UTC)
    assert timedelta(days=6) < left <= timedelta(days=7, minutes=1)
    assert "channel-1" in str(server.channels())
    provider.unsubscribe(granted)
    assert "channel-1" not in str(server.channels())
    provider.unsubscribe(granted)
