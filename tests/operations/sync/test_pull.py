"""Pull: what stands in a calendar is known here, and read once only."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import event

from portal.booking.operations import cancel_booking
from portal.calendars.models import BusyInterval, Calendar, RemoteObject
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.errors import NotFound
from portal.extensions import db
from portal.sync import leases
from portal.sync.pull import pull
from providers.calendars.base import ChangeBatch
from providers.errors import SyncTokenExpired, Temporary
from tests.operations.sync.conftest import HOUR, at, rows


def test_outside_events_block_their_time(studio):
    studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
    outcome = studio.pull()
    assert (outcome.upserts, outcome.is_complete) == (1, True)
    assert studio.busy() == [(at(2, 14), at(2, 15))]


def test_moved_and_removed_outside_events_free_their_time(studio):
    dentist = studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
    studio.pull()
    studio.store.move_event("calendar", dentist, at(2, 16))
    studio.pull()
    assert studio.busy() == [(at(2, 16), at(2, 17))]
    studio.store.remove_event("calendar", dentist)
    studio.pull()
    assert studio.busy() == []
    assert studio.objects() == []


def test_the_time_noted_is_that_before_the_request(studio, monkeypatch):
    changes, asked_at = studio.store.changes, []
    monkeypatch.setattr(studio.store, "changes", lambda *a, **k: asked_at.append(now_utc()) or changes(*a, **k))
    before = now_utc()
    studio.pull()
    calendar = studio.calendar()
    assert before <= calendar.last_read_at <= asked_at[0]
    assert calendar.next_read_at > now_utc()
    assert calendar.sync_token is not None


def test_a_pull_without_changes_writes_its_times_and_nothing_else(studio):
    studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
    studio.booked(at(3, 10))
    studio.pull()
    statements = []
    listen = lambda conn, cursor, statement, *_: statements.append(statement)  # noqa: E731
    event.listen(db.engine, "before_cursor_execute", listen)
    try:
        pull.pull(studio.calendar_id)
    finally:
        event.remove(db.engine, "before_cursor_execute", listen)
    written = [s for s in statements if s.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert all(statement.startswith("UPDATE calendar ") for statement in written), written
    assert len(written) == 2, "the lease, and the times"


def test_our_own_writes_are_not_even_fetched_again(studio):
    studio.pull()
    studio.booked(at(3, 10))
    outcome = studio.pull()
    assert (outcome.upserts, outcome.unchanged) == (0, 1)


def test_a_forgotten_sync_token_leads_to_a_full_reading_at_once(studio):
    dentist = studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
    studio.pull()
    studio.store.expire_tokens("calendar")
    studio.store.remove_event("calendar", dentist)
    studio.store.add_event("calendar", "Lunch", at(2, 12), at(2, 13))
    outcome = studio.pull()
    assert outcome.is_complete
    assert studio.busy() == [(at(2, 12), at(2, 13))], "what vanished in the gap is swept"


def test_a_server_without_change_feed_is_listed_each_time(studio):
    studio.store.without_change_feed()
    dentist = studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
    assert studio.pull().is_complete
    assert studio.pull().unchanged == 1
    studio.store.remove_event("calendar", dentist)
    studio.pull()
    assert studio.busy() == []


def test_a_calendar_is_read_by_one_at_a_time(studio):
    token = transaction(lambda session: leases.take_read(session, studio.calendar_id, now=now_utc()))
    assert pull.pull(studio.calendar_id) is None
    assert "changes" not in studio.store.calls
    leases.forget_read(studio.calendar_id)
    assert token


def test_the_lease_of_a_dead_reader_ends(studio):
    past = now_utc() - timedelta(minutes=1)
    transaction(lambda s: leases.take_read(s, studio.calendar_id, now=past, length=leases.READ_LEASE))
    assert studio.pull() is not None


def test_a_reader_that_was_away_too_long_writes_nothing(studio, monkeypatch):
    studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
    changes = studio.store.changes

    def slow(*args, **more):
        batch = changes(*args, **more)
        later = now_utc() + timedelta(hours=1)
        transaction(lambda session: leases.take_read(session, studio.calendar_id, now=later))
        return batch

    monkeypatch.setattr(studio.store, "changes", slow)
    pull.pull(studio.calendar_id)
    assert studio.busy() == []
    assert studio.calendar().last_read_at is None


def test_an_unreadable_object_is_counted_and_the_rest_still_counts(studio):
    studio.store.add_event("calendar", "Odd", at(2, 9), at(2, 10), problem="Its repetition rule makes no sense.")
    for hour in range(10, 15):
        studio.store.add_event("calendar", "Fine", at(2, hour), at(2, hour + 1))
    studio.pull()
    assert studio.calendar().unreadable_objects == 1
    assert len(studio.busy()) == 6


def test_nasty_texts_are_stored(studio):
    studio.store.add_event("calendar", "NUL \x00 half \ud83d " + "x" * 500, at(2, 9), at(2, 10))
    studio.pull()
    (stored,) = studio.objects()
    assert "\x00" not in stored.summary
    assert len(stored.summary) == 300


def test_a_failed_reading_changes_nothing_that_is_known(studio):
    studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
    studio.pull()
    token = studio.calendar().sync_token
    studio.store.fail_next("changes", Temporary("The server is down."))
    with pytest.raises(Temporary):
        studio.pull()
    calendar = studio.calendar()
    assert (calendar.sync_token, calendar.failures, calendar.last_error) == (token, 1, "The server is down.")
    assert calendar.read_lease_until is None
    assert studio.busy() == [(at(2, 14), at(2, 15))]


def test_an_unknown_calendar_is_not_found(studio):
    with pytest.raises(NotFound):
        pull.pull(999_999)


def test_a_token_that_is_refused_twice_is_an_error_not_a_loop(studio):
    studio.pull()
    studio.store.fail_next("changes", SyncTokenExpired("no"))
    studio.store.fail_next("changes", SyncTokenExpired("no"))
    with pytest.raises(SyncTokenExpired):
        studio.pull()
    assert studio.calendar().failures == 1


class TestQuarantine:
    def fill(self, studio, count=24):
        names = [studio.store.add_event("calendar", f"Event {n}", at(2 + n, 14), at(2 + n, 15)) for n in range(count)]
        studio.pull()
        return names

    def test_a_reading_that_lacks_most_is_read_again_and_then_held(self, studio):
        names = self.fill(studio)
        for name in names[:20]:
            studio.store.remove_event("calendar", name)
        calls = len([call for call in studio.store.calls if call == "changes"])
        outcome = studio.pull()
        assert outcome.is_quarantined
        assert len([call for call in studio.store.calls if call == "changes"]) == calls + 2
        assert len(studio.busy()) == 24, "known busy time stays"
        quarantine = studio.calendar().quarantine
        assert (quarantine["would_remove"], quarantine["known"]) == (20, 24)
        assert studio.news("notify.staff")[-1].payload["state"] == "quarantine"

    def test_a_hiccup_that_the_second_reading_does_not_confirm_is_nothing(self, studio, monkeypatch):
        self.fill(studio)
        changes = studio.store.changes
        answers = []

        def hiccup(calendar, token, **more):
            batch = changes(calendar, None, **more)
            answers.append(batch)
            return type(batch)(is_complete=True, next_token=batch.next_token) if len(answers) == 1 else batch

        monkeypatch.setattr(studio.store, "changes", hiccup)
        assert not studio.pull().is_quarantined
        assert len(studio.busy()) == 24
        assert studio.calendar().quarantine is None

    def test_what_else_happens_is_still_read(self, studio):
        names = self.fill(studio)
        for name in names[:20]:
            studio.store.remove_event("calendar", name)
        studio.pull()
        studio.store.move_event("calendar", names[-1], at(40, 9))
        studio.pull()
        assert (at(40, 9), at(40, 10)) in studio.busy()
        assert len(studio.busy()) == 24
        assert sum(kind == "quarantine" for kind in studio.story()) == 1, "one alarm"

    def test_a_person_may_accept(self, studio):
        names = self.fill(studio)
        for name in names[:20]:
            studio.store.remove_event("calendar", name)
        studio.pull()
        decide(studio, "accept")
        studio.pull()
        assert len(studio.busy()) == 4
        assert studio.calendar().quarantine is None

    def test_a_person_may_keep_what_is_known(self, studio):
        names = self.fill(studio)
        for name in names[:20]:
            studio.store.remove_event("calendar", name)
        studio.pull()
        decide(studio, "keep")
        studio.pull(is_complete=True)
        assert len(studio.busy()) == 24
        assert studio.calendar().quarantine["decision"] == "keep"

    def test_it_ends_when_the_events_come_back(self, studio):
        names = self.fill(studio)
        for name in names[:20]:
            studio.store.remove_event("calendar", name)
        studio.pull()
        for n, name in enumerate(names[:20]):
            studio.store.add_event("calendar", f"Event {n}", at(2 + n, 14), at(2 + n, 15), remote_id=name)
        studio.pull()
        assert studio.calendar().quarantine is None
        assert not rows(Calendar, Calendar.quarantine.is_not(None)), "those who count calendars in doubt find none"

    def test_it_ends_though_the_change_feed_tells_nothing_of_what_only_seemed_to_be_gone(self, studio, monkeypatch):
        """The server listed nothing for a while; then everything is there again, unchanged."""
        appointment_ids = [studio.booked(at(30 + n, 9)) for n in range(4)]
        self.fill(studio)
        with monkeypatch.context() as glitch:
            glitch.setattr(studio.store, "changes", lambda *a, **k: ChangeBatch(is_complete=True, next_token="later"))
            assert studio.pull().is_quarantined
        assert not studio.pull().is_quarantined
        assert (studio.calendar().quarantine, len(studio.busy())) == (None, 24)
        assert all(studio.link(i).state == "done" for i in appointment_ids)
        assert studio.questions() == []

    def test_a_deletion_that_is_left_when_the_rest_is_back_is_asked_about(self, studio, monkeypatch):
        appointment_ids = [studio.booked(at(30 + n, 9)) for n in range(4)]
        self.fill(studio)
        with monkeypatch.context() as glitch:
            glitch.setattr(studio.store, "changes", lambda *a, **k: ChangeBatch(is_complete=True, next_token="later"))
            studio.pull()
        studio.store.remove_event("calendar", studio.link(appointment_ids[0]).remote_id)
        assert not studio.pull().is_quarantined
        assert [question.appointment_id for question in studio.questions()] == [appointment_ids[0]]
        assert studio.booking(appointment_ids[0]).status == "confirmed"

    def test_what_is_left_stays_in_doubt_while_it_is_much(self, studio):
        names = self.fill(studio)
        for name in names[:20]:
            studio.store.remove_event("calendar", name)
        studio.pull()
        for n, name in enumerate(names[:5]):
            studio.store.add_event("calendar", f"Event {n}", at(2 + n, 14), at(2 + n, 15), remote_id=name)
        assert studio.pull().is_quarantined
        assert (studio.calendar().quarantine["would_remove"], len(studio.busy())) == (15, 24)

    def test_after_a_pause_of_weeks_what_is_over_may_be_missing(self, studio):
        """Google lists only what touches the window: the past is missing because it is past."""
        studio.store.sees_window_only()
        self.fill(studio)
        yesterday, coming = (at(20, 14), at(20, 15)), [(at(21, 14), at(21, 15))]
        with time_machine.travel(at(21, 12), tick=True):
            studio.store.expire_tokens()
            assert not studio.pull().is_quarantined
            assert studio.busy()[:2] == [yesterday, *coming]
            assert len(studio.objects()) == 6

    def test_but_not_what_is_to_come(self, studio):
        studio.store.sees_window_only()
        names, then = self.fill(studio, count=34), at(15, 12)
        with time_machine.travel(then, tick=True):
            studio.store.expire_tokens()
            for name in names:
                studio.store.remove_event("calendar", name)
            assert studio.pull().is_quarantined
            assert len([start for start, _ in studio.busy() if start > then]) == 21
            assert studio.calendar().quarantine["would_remove"] == 21

    def test_several_own_events_gone_at_once_ask_nobody_and_cancel_nothing(self, studio):
        studio.set_rule(when_deleted="cancel")
        appointments = [studio.booked(at(2 + n, 10)) for n in range(3)]
        studio.pull()
        for own in studio.events():
            studio.store.remove_event("calendar", own.remote_id)
        assert studio.pull().is_quarantined
        assert all(studio.booking(i).status == "confirmed" for i in appointments)

    def test_an_emptied_calendar_cancels_nothing_even_when_tokens_died(self, studio):
        studio.set_rule(when_deleted="cancel")
        appointments = [studio.booked(at(2 + n, 10)) for n in range(5)]
        self.fill(studio)
        for standing in studio.events():
            studio.store.remove_event("calendar", standing.remote_id)
        studio.store.expire_tokens("calendar")
        assert studio.pull().is_quarantined
        assert all(studio.booking(i).status == "confirmed" for i in appointments)


def decide(studio, decision):
    from portal.sync.account import operations

    operations.decide_quarantine(studio.calendar_id, accept=decision == "accept", by="Ana", now=now_utc())


def test_conflicts_end_when_the_outside_event_goes(studio):
    studio.booked(at(2, 10))
    dentist = studio.store.add_event("calendar", "Dentist", at(2, 10, 30), at(2, 11, 30))
    studio.pull()
    assert len(studio.conflicts()) == 1
    studio.store.remove_event("calendar", dentist)
    studio.pull()
    assert studio.conflicts() == []


def test_conflicts_end_when_the_booking_goes(studio):
    appointment_id = studio.booked(at(2, 10))
    studio.store.add_event("calendar", "Dentist", at(2, 10, 30), at(2, 11, 30))
    studio.pull()
    cancel_booking(studio.booking(appointment_id).id, by="staff", now=now_utc())
    studio.publish_all()
    assert studio.conflicts() == []


def test_events_that_only_touch_are_no_conflict(studio):
    studio.booked(at(2, 10))
    studio.store.add_event("calendar", "Before", at(2, 9), at(2, 10))
    studio.store.add_event("calendar", "After", at(2, 11), at(2, 12))
    studio.pull()
    assert studio.conflicts() == []


def test_a_calendar_of_ten_thousand_events_is_taken_in_quickly(sqlite_studio):
    """A ratio, not a stopwatch: the database's part may not cost more than a few times the bare insert of as many rows."""
    studio = sqlite_studio
    day = at(1, 0)
    for n in range(10_000):
        studio.store.add_event(
            "calendar", f"E{n}", day + n * timedelta(minutes=10), day + n * timedelta(minutes=10) + HOUR / 12
        )
    began = time.perf_counter()
    studio.pull()
    took = time.perf_counter() - began
    assert len(rows(RemoteObject)) == 10_000
    plain = bare_insert_seconds()
    assert took < 12 * plain + 1.5, (took, plain)


def bare_insert_seconds():
    from sqlalchemy import delete, insert

    calendar = rows(Calendar)[0]
    values = [
        {"calendar_id": calendar.id, "resource_id": calendar.resource_id, "remote_id": f"x{n}", "start_at": at(1, 0), "end_at": at(1, 1)}
        for n in range(10_000)
    ]  # fmt: skip
    began = time.perf_counter()
    transaction(lambda session: session.execute(insert(BusyInterval), values))
    took = time.perf_counter() - began
    transaction(lambda session: session.execute(delete(BusyInterval).where(BusyInterval.remote_id.startswith("x"))))
    return took
