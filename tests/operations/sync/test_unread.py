"""Entries that a server lists and does not give: what is known of them goes on counting, and people see it."""

from __future__ import annotations

from typing import Any

from providers.calendars.base import ChangeBatch, RemoteEvent
from tests.operations.sync.conftest import Studio, at

WHY = "The server lists this entry but does not give it."


def lists_only(studio: Studio, *remote_ids: str) -> None:
    """The next reading cannot have these entries."""
    answer = studio.store.changes

    def changes(*args: Any, **more: Any) -> ChangeBatch:
        studio.store.changes = answer  # type: ignore[method-assign]
        unread = tuple(RemoteEvent(remote_id=one, etag="", problem=WHY, is_unread=True) for one in remote_ids)
        return ChangeBatch(upserts=unread, next_token=None)

    studio.store.changes = changes  # type: ignore[method-assign]


def test_the_time_that_an_entry_was_known_to_take_stays_taken(studio: Studio):
    path = studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
    studio.pull()
    lists_only(studio, path)
    studio.pull()
    (known,) = studio.objects()
    assert studio.busy() == [(at(2, 14), at(2, 15))]
    assert (known.problem, known.etag, known.summary) == (WHY, "", "Dentist")
    assert studio.calendar().unreadable_objects == 1
    studio.pull()
    assert studio.calendar().unreadable_objects == 0, "it is asked for again, and mended by the next good answer"


def test_a_new_one_is_counted_as_unreadable(studio: Studio):
    lists_only(studio, "/never-seen.ics")
    studio.pull()
    assert [row.problem for row in studio.objects()] == [WHY]
    assert (studio.calendar().unreadable_objects, studio.busy()) == (1, [])


def test_an_event_of_ours_is_neither_moved_nor_deleted_by_it(studio: Studio):
    appointment_id = studio.booked(at(2, 10))
    before = studio.link(appointment_id)
    state = (before.state, before.etag, before.content_hash, before.outside)
    lists_only(studio, before.remote_id)
    studio.pull()
    after = studio.link(appointment_id)
    assert (after.state, after.etag, after.content_hash, after.outside) == state
    assert (studio.questions(), studio.appointment(appointment_id).start_at) == ([], at(2, 10))
