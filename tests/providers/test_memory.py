"""The provider in memory fulfils the contract, and fails on demand as the real ones do by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from providers.calendars.base import CalendarRef
from providers.calendars.memory import DEFAULT_CALENDAR, MemoryCalendars
from providers.errors import AccessRevoked, SyncTokenExpired, Temporary
from providers.kinds import open_calendar_provider
from tests.providers.contract import HOUR, NINE, WINDOW, CalendarContract, draft, read


class MemoryPerson:
    """A person at work in the store."""

    def __init__(self, store: MemoryCalendars) -> None:
        self.store = store

    def add_event(self, summary: str, start_at: datetime, end_at: datetime, *, remote_id: str | None = None) -> str:
        return self.store.add_event(DEFAULT_CALENDAR, summary, start_at, end_at, remote_id=remote_id)

    def move_event(self, remote_id: str, start_at: datetime) -> None:
        self.store.move_event(DEFAULT_CALENDAR, remote_id, start_at)

    def remove_event(self, remote_id: str) -> None:
        self.store.remove_event(DEFAULT_CALENDAR, remote_id)


@pytest.fixture
def provider() -> Iterator[MemoryCalendars]:
    MemoryCalendars.reset()
    yield MemoryCalendars.open("ana")
    MemoryCalendars.reset()


@pytest.fixture
def calendar() -> CalendarRef:
    return CalendarRef(remote_id=DEFAULT_CALENDAR, zone="Europe/Madrid")


@pytest.fixture
def person(provider: MemoryCalendars) -> MemoryPerson:
    return MemoryPerson(provider)


class TestMemoryCalendars(CalendarContract):
    """The contract."""


def test_one_name_is_one_store(provider: MemoryCalendars) -> None:
    opened = open_calendar_provider("memory", account={"url": "ana"}, secret={}, http_session=None)
    assert opened is provider
    assert MemoryCalendars.open("ben") is not provider


def test_a_fault_hits_the_next_call_once(provider: MemoryCalendars, calendar: CalendarRef) -> None:
    provider.fail_next("put", Temporary("down", retry_after=3))
    remote_id = provider.remote_id_for(calendar, draft().uid)
    with pytest.raises(Temporary) as caught:
        provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
    assert caught.value.retry_after == 3
    assert provider.events() == []
    provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
    assert provider.calls == ["put", "put"]


def test_a_standing_fault_lasts_until_it_is_taken_away(provider: MemoryCalendars, calendar: CalendarRef) -> None:
    provider.fail_always(AccessRevoked("no"))
    for _ in range(2):
        with pytest.raises(AccessRevoked):
            read(provider, calendar)
    provider.fail_always(None)
    assert read(provider, calendar).is_complete


def test_a_lost_answer_has_had_its_effect(provider: MemoryCalendars, calendar: CalendarRef) -> None:
    remote_id = provider.remote_id_for(calendar, draft().uid)
    provider.lose_answer_next()
    with pytest.raises(Temporary):
        provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
    provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
    assert [event.uid for event in provider.events()] == [draft().uid]


def test_after_expiry_deletions_show_only_in_a_whole_reading(
    provider: MemoryCalendars, calendar: CalendarRef, person: MemoryPerson
) -> None:
    remote_id = person.add_event("Dentist", NINE, NINE + HOUR)
    first = read(provider, calendar)
    person.remove_event(remote_id)
    provider.expire_tokens()
    with pytest.raises(SyncTokenExpired):
        read(provider, calendar, first.next_token)
    again = read(provider, calendar, None, {remote_id: "x"})
    assert (again.is_complete, again.upserts, again.unchanged) == (True, (), frozenset())


def test_without_a_change_feed_every_reading_is_whole(provider: MemoryCalendars, calendar: CalendarRef) -> None:
    provider.without_change_feed()
    batch = read(provider, calendar)
    assert (batch.next_token, batch.is_complete) == (None, True)


def test_a_series_takes_each_of_its_times(provider: MemoryCalendars, calendar: CalendarRef) -> None:
    week = timedelta(days=7)
    repeats = tuple((NINE + n * week, NINE + n * week + HOUR) for n in range(1, 30))
    provider.add_event(DEFAULT_CALENDAR, "Choir", NINE, NINE + HOUR, repeats=repeats)
    (event,) = read(provider, calendar).upserts
    assert event.is_recurring
    assert len(event.busy) == 9
    assert all(WINDOW[0] <= start < WINDOW[1] for start, _ in event.busy)


def test_a_meeting_is_made_when_asked_for_and_kept(provider: MemoryCalendars, calendar: CalendarRef) -> None:
    plain = provider.put(calendar, draft(1), remote_id="plain", if_match=None)
    made = provider.put(calendar, draft(2, wants_meeting=True), remote_id="call", if_match=None)
    assert plain.meeting_url == ""
    assert made.meeting_url.startswith("https://meet.example/")
    later = draft(2, wants_meeting=True, start_at=NINE + HOUR, end_at=NINE + 2 * HOUR)
    assert provider.put(calendar, later, remote_id="call", if_match=made.etag).meeting_url == made.meeting_url
    assert {event.remote_id: event.meeting_url for event in provider.events()} == {
        "plain": "",
        "call": made.meeting_url,
    }


def test_a_meeting_may_take_its_time(provider: MemoryCalendars, calendar: CalendarRef) -> None:
    provider.make_meetings_slowly()
    made = provider.put(calendar, draft(wants_meeting=True), remote_id="call", if_match=None)
    token = read(provider, calendar).next_token
    provider.finish_meetings()
    (event,) = read(provider, calendar, token, {"call": made.etag}).upserts
    assert made.meeting_url == ""
    assert event.meeting_url.startswith("https://meet.example/")
