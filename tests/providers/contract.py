"""The contract of a calendar provider as tests: every provider passes them all, against a real server where there is one.

A test file plugs a provider in by a subclass with three fixtures: `provider`, `calendar` (an empty one, as CalendarRef) and
`person`, somebody who works in that calendar with another program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from providers.calendars.base import (
    CalendarProvider,
    CalendarRef,
    ChangeBatch,
    EventDraft,
    EventMark,
    RemoteEvent,
    Span,
)
from providers.calendars.content import draft_hash
from providers.errors import Conflict, Gone, Misconfigured, SyncTokenExpired

HOUR = timedelta(hours=1)
NINE = datetime(2027, 3, 1, 9, tzinfo=UTC)
WINDOW: Span = (datetime(2027, 2, 1, tzinfo=UTC), datetime(2027, 5, 1, tzinfo=UTC))


class Person(Protocol):
    """Somebody at work in the calendar. Remote ids are those of the provider."""

    def add_event(self, summary: str, start_at: datetime, end_at: datetime, *, remote_id: str | None = None) -> str: ...

    def move_event(self, remote_id: str, start_at: datetime) -> None: ...

    def remove_event(self, remote_id: str) -> None: ...


def draft(number: int = 1, **changes: object) -> EventDraft:
    """A believable booking; `number` makes it another one."""
    made = EventDraft(
        uid=f"lockstep-test-{number}",
        mark=EventMark(instance_id="test", appointment_id=number, generation=1),
        summary="Consultation: Zoë Ng",
        description="Booked on the web.",
        url="https://book.example/b/abc",
        start_at=NINE,
        end_at=NINE + HOUR,
        zone="Europe/Madrid",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def read(
    provider: CalendarProvider, calendar: CalendarRef, token: str | None = None, known: Mapping[str, str] | None = None
) -> ChangeBatch:
    return provider.changes(calendar, token, window=WINDOW, known=known or {})


def by_id(batch: ChangeBatch) -> dict[str, RemoteEvent]:
    return {event.remote_id: event for event in batch.upserts}


class CalendarContract:
    """Subclass me; my name does not begin with Test, so I am not collected myself."""

    # Reading

    def test_the_calendar_is_listed_and_writable(self, provider: CalendarProvider, calendar: CalendarRef) -> None:
        found = {listed.remote_id: listed for listed in provider.list_calendars()}
        assert found[calendar.remote_id].is_writable
        assert found[calendar.remote_id].name

    def test_an_empty_calendar_is_read_completely_and_gives_a_token(
        self, provider: CalendarProvider, calendar: CalendarRef
    ) -> None:
        batch = read(provider, calendar)
        assert (batch.upserts, batch.removals, batch.is_complete) == ((), (), True)
        assert batch.next_token

    def test_an_event_of_a_person_takes_time(
        self, provider: CalendarProvider, calendar: CalendarRef, person: Person
    ) -> None:
        remote_id = person.add_event("Dentist", NINE, NINE + HOUR)
        event = by_id(read(provider, calendar))[remote_id]
        assert event.busy == ((NINE, NINE + HOUR),)
        assert (event.start_at, event.end_at, event.summary) == (NINE, NINE + HOUR, "Dentist")
        assert (event.mark, event.problem, event.is_recurring, event.is_cancelled) == (None, None, False, False)
        assert event.etag
        assert event.content_hash

    def test_a_token_leads_to_what_changed_since(
        self, provider: CalendarProvider, calendar: CalendarRef, person: Person
    ) -> None:
        stays = person.add_event("Stays", NINE, NINE + HOUR)
        moves = person.add_event("Moves", NINE + 2 * HOUR, NINE + 3 * HOUR)
        first = read(provider, calendar)
        person.move_event(moves, NINE + 5 * HOUR)
        added = person.add_event("Added", NINE + 7 * HOUR, NINE + 8 * HOUR)
        then = read(provider, calendar, first.next_token)
        assert by_id(then).keys() == {moves, added}
        assert by_id(then)[moves].busy == ((NINE + 5 * HOUR, NINE + 6 * HOUR),)
        assert by_id(then)[moves].content_hash != by_id(first)[moves].content_hash
        assert stays not in then.removals
        assert not then.is_complete

    def test_nothing_changed_is_nothing_said(
        self, provider: CalendarProvider, calendar: CalendarRef, person: Person
    ) -> None:
        person.add_event("Dentist", NINE, NINE + HOUR)
        first = read(provider, calendar)
        then = read(provider, calendar, first.next_token)
        assert (then.upserts, then.removals, then.unchanged, then.is_complete) == ((), (), frozenset(), False)
        assert then.next_token

    def test_a_removed_event_is_told_as_removed(
        self, provider: CalendarProvider, calendar: CalendarRef, person: Person
    ) -> None:
        kept, gone = (person.add_event(name, NINE, NINE + HOUR) for name in ("Kept", "Gone"))
        first = read(provider, calendar)
        person.remove_event(gone)
        then = read(provider, calendar, first.next_token)
        assert then.removals == (gone,)
        assert kept not in by_id(then)

    def test_an_event_added_and_removed_in_between_does_no_harm(
        self, provider: CalendarProvider, calendar: CalendarRef, person: Person
    ) -> None:
        first = read(provider, calendar)
        person.remove_event(person.add_event("Brief", NINE, NINE + HOUR))
        assert read(provider, calendar, first.next_token).upserts == ()

    def test_a_whole_reading_accounts_for_every_event(
        self, provider: CalendarProvider, calendar: CalendarRef, person: Person
    ) -> None:
        same, moved, gone = (person.add_event(name, NINE, NINE + HOUR) for name in ("Same", "Moved", "Gone"))
        known = {event.remote_id: event.etag for event in read(provider, calendar).upserts}
        person.move_event(moved, NINE + 3 * HOUR)
        person.remove_event(gone)
        added = person.add_event("Added", NINE, NINE + HOUR)
        batch = read(provider, calendar, None, known)
        assert batch.is_complete
        assert by_id(batch).keys() == {moved, added}
        assert batch.unchanged == {same}

    def test_a_token_that_was_never_given_is_refused(
        self, provider: CalendarProvider, calendar: CalendarRef, person: Person
    ) -> None:
        person.add_event("Dentist", NINE, NINE + HOUR)
        with pytest.raises(SyncTokenExpired):
            read(provider, calendar, "http://example.org/ns/sync/never-issued")

    def test_busy_time_is_cut_to_the_window(
        self, provider: CalendarProvider, calendar: CalendarRef, person: Person
    ) -> None:
        person.add_event("Over the edge", WINDOW[0] - HOUR, WINDOW[0] + HOUR)
        person.add_event("Outside", WINDOW[1] + HOUR, WINDOW[1] + 2 * HOUR)
        spans = [span for event in read(provider, calendar).upserts for span in event.busy]
        assert spans == [(WINDOW[0], WINDOW[0] + HOUR)]

    def test_many_events_are_all_read(self, provider: CalendarProvider, calendar: CalendarRef, person: Person) -> None:
        added = {person.add_event(f"No {n}", NINE + n * HOUR, NINE + (n + 1) * HOUR) for n in range(120)}
        assert by_id(read(provider, calendar)).keys() == added

    def test_a_calendar_that_is_not_there_is_misconfigured(
        self, provider: CalendarProvider, calendar: CalendarRef
    ) -> None:
        gone = replace(calendar, remote_id=calendar.remote_id.rstrip("/") + "-gone/")
        with pytest.raises(Misconfigured):
            read(provider, gone)

    # The last look

    def test_the_last_look_sees_what_touches_the_window_and_only_that(
        self, provider: CalendarProvider, calendar: CalendarRef, person: Person
    ) -> None:
        inside = person.add_event("Inside", NINE + HOUR / 2, NINE + 2 * HOUR)
        person.add_event("Ends as it begins", NINE - HOUR, NINE)
        person.add_event("Begins as it ends", NINE + HOUR, NINE + 2 * HOUR)
        provider.put(calendar, draft(), remote_id=provider.remote_id_for(calendar, draft().uid), if_match=None)
        assert provider.busy(calendar, (NINE, NINE + HOUR)) == [(inside, (NINE + HOUR / 2, NINE + HOUR))]

    # Writing

    def test_what_is_put_stands_there(self, provider: CalendarProvider, calendar: CalendarRef) -> None:
        remote_id = provider.remote_id_for(calendar, draft().uid)
        receipt = provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        event = provider.get(calendar, receipt.remote_id, window=WINDOW)
        assert (event.uid, event.mark, event.summary) == (draft().uid, draft().mark, draft().summary)
        assert (event.start_at, event.end_at) == (NINE, NINE + HOUR)
        assert (event.etag, event.content_hash) == (receipt.etag, receipt.content_hash)
        assert receipt.content_hash == draft_hash(draft())

    def test_our_own_event_takes_no_time(self, provider: CalendarProvider, calendar: CalendarRef) -> None:
        provider.put(calendar, draft(), remote_id=provider.remote_id_for(calendar, draft().uid), if_match=None)
        assert [event.busy for event in read(provider, calendar).upserts] == [()]

    @pytest.mark.parametrize(
        "words",
        ["a, b; c\\d", "two\nlines", "Zoë 王小明 😀", "BEGIN:VEVENT", 'say "hi": <b>&amp;</b>', "x" * 500, " spaces  "],
    )
    def test_words_come_back_as_they_were(self, provider: CalendarProvider, calendar: CalendarRef, words: str) -> None:
        made = draft(summary=words, description=words, location=words)
        remote_id = provider.remote_id_for(calendar, made.uid)
        receipt = provider.put(calendar, made, remote_id=remote_id, if_match=None)
        event = provider.get(calendar, receipt.remote_id, window=WINDOW)
        assert event.summary.strip() == words.strip()
        assert event.content_hash == draft_hash(made)

    @pytest.mark.parametrize("minute", [0, 30, 60, 90, 120, 150, 180])
    @pytest.mark.parametrize("zone", ["Europe/Madrid", "Asia/Kolkata", "Australia/Lord_Howe", "UTC", "Not/AZone"])
    def test_times_come_back_exactly_across_the_change_of_summer_time(
        self, provider: CalendarProvider, calendar: CalendarRef, zone: str, minute: int
    ) -> None:
        start = datetime(2027, 10, 30, 23, 30, tzinfo=UTC) + timedelta(minutes=minute)
        made = draft(start_at=start, end_at=start + HOUR / 2, zone=zone)
        remote_id = provider.remote_id_for(calendar, made.uid)
        receipt = provider.put(calendar, made, remote_id=remote_id, if_match=None)
        event = provider.get(calendar, receipt.remote_id, window=WINDOW)
        assert (event.start_at, event.end_at) == (start, start + HOUR / 2)

    def test_putting_the_same_again_changes_nothing(self, provider: CalendarProvider, calendar: CalendarRef) -> None:
        remote_id = provider.remote_id_for(calendar, draft().uid)
        receipts = {provider.put(calendar, draft(), remote_id=remote_id, if_match=None) for _ in range(3)}
        assert len({receipt.content_hash for receipt in receipts}) == 1
        assert len(read(provider, calendar).upserts) == 1

    def test_a_repeated_create_with_other_content_makes_ours_equal(
        self, provider: CalendarProvider, calendar: CalendarRef
    ) -> None:
        remote_id = provider.remote_id_for(calendar, draft().uid)
        provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        later = draft(start_at=NINE + HOUR, end_at=NINE + 2 * HOUR, sequence=1)
        provider.put(calendar, later, remote_id=remote_id, if_match=None)
        assert [event.start_at for event in read(provider, calendar).upserts] == [NINE + HOUR]

    def test_a_strangers_event_in_our_place_is_left_alone(
        self, provider: CalendarProvider, calendar: CalendarRef, person: Person
    ) -> None:
        remote_id = provider.remote_id_for(calendar, draft().uid)
        person.add_event("Not yours", NINE, NINE + HOUR, remote_id=remote_id)
        with pytest.raises(Conflict) as caught:
            provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        assert isinstance(caught.value.current, RemoteEvent)
        assert provider.get(calendar, remote_id, window=WINDOW).summary == "Not yours"

    def test_our_event_is_changed_by_its_etag(self, provider: CalendarProvider, calendar: CalendarRef) -> None:
        remote_id = provider.remote_id_for(calendar, draft().uid)
        first = provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        later = draft(start_at=NINE + HOUR, end_at=NINE + 2 * HOUR, sequence=1)
        second = provider.put(calendar, later, remote_id=remote_id, if_match=first.etag)
        assert second.etag != first.etag
        event = provider.get(calendar, remote_id, window=WINDOW)
        assert (event.start_at, event.sequence, event.etag) == (NINE + HOUR, 1, second.etag)

    def test_a_stale_etag_overwrites_nothing(
        self, provider: CalendarProvider, calendar: CalendarRef, person: Person
    ) -> None:
        remote_id = provider.remote_id_for(calendar, draft().uid)
        receipt = provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        person.move_event(remote_id, NINE + 3 * HOUR)
        later = draft(start_at=NINE + HOUR, end_at=NINE + 2 * HOUR, sequence=1)
        with pytest.raises(Conflict) as caught:
            provider.put(calendar, later, remote_id=remote_id, if_match=receipt.etag)
        assert isinstance(caught.value.current, RemoteEvent)
        assert caught.value.current.start_at == NINE + 3 * HOUR
        assert caught.value.current.mark == draft().mark
        assert provider.get(calendar, remote_id, window=WINDOW).start_at == NINE + 3 * HOUR

    def test_what_the_conflict_holds_is_enough_to_put_it_back(
        self, provider: CalendarProvider, calendar: CalendarRef, person: Person
    ) -> None:
        remote_id = provider.remote_id_for(calendar, draft().uid)
        receipt = provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        person.move_event(remote_id, NINE + 3 * HOUR)
        with pytest.raises(Conflict) as caught:
            provider.put(calendar, draft(sequence=2), remote_id=remote_id, if_match=receipt.etag)
        assert isinstance(caught.value.current, RemoteEvent)
        provider.put(calendar, draft(sequence=2), remote_id=remote_id, if_match=caught.value.current.etag)
        assert provider.get(calendar, remote_id, window=WINDOW).start_at == NINE

    def test_changing_what_is_gone_says_so(
        self, provider: CalendarProvider, calendar: CalendarRef, person: Person
    ) -> None:
        remote_id = provider.remote_id_for(calendar, draft().uid)
        receipt = provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        person.remove_event(remote_id)
        with pytest.raises(Gone):
            provider.put(calendar, draft(sequence=1), remote_id=remote_id, if_match=receipt.etag)
        assert read(provider, calendar).upserts == ()

    def test_an_event_deleted_may_be_made_again(self, provider: CalendarProvider, calendar: CalendarRef) -> None:
        remote_id = provider.remote_id_for(calendar, draft().uid)
        receipt = provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        provider.delete(calendar, remote_id, if_match=receipt.etag)
        provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        assert len(read(provider, calendar).upserts) == 1

    def test_deleting_twice_is_success(self, provider: CalendarProvider, calendar: CalendarRef) -> None:
        remote_id = provider.remote_id_for(calendar, draft().uid)
        receipt = provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        for etag in (receipt.etag, receipt.etag, None):
            provider.delete(calendar, remote_id, if_match=etag)
        with pytest.raises(Gone):
            provider.get(calendar, remote_id, window=WINDOW)

    def test_another_version_is_not_deleted(
        self, provider: CalendarProvider, calendar: CalendarRef, person: Person
    ) -> None:
        remote_id = provider.remote_id_for(calendar, draft().uid)
        receipt = provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        person.move_event(remote_id, NINE + 3 * HOUR)
        with pytest.raises(Conflict):
            provider.delete(calendar, remote_id, if_match=receipt.etag)
        assert provider.get(calendar, remote_id, window=WINDOW).start_at == NINE + 3 * HOUR

    # Recognising our own

    def test_our_own_write_comes_back_as_what_we_wrote(self, provider: CalendarProvider, calendar: CalendarRef) -> None:
        """As unchanged, or read anew: a feed that names an object is believed, for there are servers whose etags stay as they are."""
        first = read(provider, calendar)
        remote_id = provider.remote_id_for(calendar, draft().uid)
        receipt = provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        echo = read(provider, calendar, first.next_token, {receipt.remote_id: receipt.etag})
        assert echo.unchanged | {event.remote_id for event in echo.upserts} == {remote_id}
        assert {(event.etag, event.content_hash) for event in echo.upserts} <= {(receipt.etag, receipt.content_hash)}

    def test_a_move_by_hand_keeps_our_mark(
        self, provider: CalendarProvider, calendar: CalendarRef, person: Person
    ) -> None:
        remote_id = provider.remote_id_for(calendar, draft().uid)
        receipt = provider.put(calendar, draft(), remote_id=remote_id, if_match=None)
        first = read(provider, calendar)
        person.move_event(remote_id, NINE + 2 * HOUR)
        (event,) = read(provider, calendar, first.next_token, {remote_id: receipt.etag}).upserts
        assert (event.mark, event.start_at) == (draft().mark, NINE + 2 * HOUR)
        assert event.content_hash != receipt.content_hash

    def test_remote_ids_are_derived_from_the_uid(self, provider: CalendarProvider, calendar: CalendarRef) -> None:
        ids = [provider.remote_id_for(calendar, uid) for uid in ("a", "a", "b", "a/../b", "ä@x", "x" * 400)]
        assert ids[0] == ids[1]
        assert len(set(ids)) == 5

    def test_there_is_no_push(self, provider: CalendarProvider, calendar: CalendarRef) -> None:
        asked = provider.subscribe(calendar, address="https://x.example/hook", subscription_id="1", secret="s")
        assert (asked is None) == (not provider.capabilities(calendar).has_push)
