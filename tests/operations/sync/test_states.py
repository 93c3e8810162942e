"""Connections in trouble: known within a minute, told once, mended by themselves."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal import outbox
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.errors import TryAgain
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.sync import throttle
from portal.sync.account import operations
from portal.sync.publish import publish
from portal.sync.state.states import classify
from portal.worker import drain
from providers.errors import (
    AccessRevoked,
    BadAnswer,
    Conflict,
    Misconfigured,
    PermissionMissing,
    ProviderError,
    Temporary,
)
from providers.messaging.base import DeliveryRefused, TemporaryDeliveryError
from tests.operations.sync.conftest import at, rows

REVOKED = AccessRevoked("The password is no longer accepted.")
DOWN = Temporary("The server is down.")


def fail(studio, error: ProviderError, times: int = 1):
    for _ in range(times):
        studio.store.fail_next("changes", error)
        with pytest.raises(type(error)):
            studio.pull()


def connection_news(studio):
    return [e.payload["state"] for e in studio.news("notify.staff") if e.subject.startswith("connection:")]


@pytest.mark.parametrize(
    ("error", "kind", "trouble"),
    [
        (DOWN, "retry", "degraded"),
        (REVOKED, "wait", "needs reauth"),
        (Misconfigured("Not there any more."), "wait", "misconfigured"),
        (PermissionMissing("Read only."), "stuck", "misconfigured"),
        (BadAnswer("A login page."), "stuck", "degraded"),
        (Conflict("Another event stands here."), "stuck", ""),
        (TemporaryDeliveryError("Mail server busy."), "retry", "degraded"),
        (DeliveryRefused("No such mailbox."), "stuck", ""),
        (TryAgain("Busy."), "retry", ""),
        (ZeroDivisionError(), "retry", ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_each_error_has_one_decision(error, kind, trouble):
    decision = classify(error)
    assert (decision.kind, decision.trouble) == (kind, trouble)
    assert decision.reason


def test_the_server_may_say_when_to_come_again():
    assert classify(Temporary("Busy.", retry_after=120)).retry_after == 120


def test_one_failed_reading_is_no_news(studio):
    fail(studio, DOWN)
    assert studio.connection().state == "connected"
    assert connection_news(studio) == []


def test_three_failed_readings_degrade_the_connection_and_tell_once(studio):
    fail(studio, DOWN, times=5)
    connection = studio.connection()
    assert (connection.state, connection.state_reason) == ("degraded", "The server is down.")
    assert connection_news(studio) == ["degraded"]
    assert "state" in studio.story()


def test_a_failure_that_lasts_a_minute_degrades_it_too(studio):
    fail(studio, DOWN)
    later = studio.calendar()
    later.failing_since = now_utc() - timedelta(seconds=61)
    db.session.commit()
    fail(studio, DOWN)
    assert studio.connection().state == "degraded"


def test_the_first_three_tries_fall_within_a_minute(studio):
    began = now_utc()
    fail(studio, DOWN, times=2)
    assert studio.calendar().next_read_at < began + timedelta(seconds=60)


def test_a_refused_sign_in_needs_a_person_at_once(studio):
    fail(studio, REVOKED)
    connection = studio.connection()
    assert (connection.state, connection.state_reason) == ("needs reauth", "The password is no longer accepted.")
    assert connection_news(studio) == ["needs reauth"]


def test_a_calendar_that_is_not_there_any_more_is_misconfigured(studio):
    studio.store.remove_calendar("calendar")
    with pytest.raises(Misconfigured):
        studio.pull()
    assert studio.connection().state == "misconfigured"
    assert studio.calendar().next_read_at < now_utc() + timedelta(minutes=1), "it may be back any moment"


def test_a_refused_sign_in_is_not_tried_again_soon(studio):
    fail(studio, REVOKED)
    assert studio.calendar().next_read_at > now_utc() + timedelta(minutes=5)


def test_success_mends_it_and_tells(studio):
    fail(studio, REVOKED)
    studio.pull()
    assert studio.connection().state == "connected"
    assert studio.calendar().failures == 0
    assert connection_news(studio) == ["needs reauth", "connected"]


def test_one_calendar_that_works_does_not_hide_another_that_does_not(studio):
    from portal.calendars.models import Calendar

    studio.store.add_calendar("second")
    second = Calendar(
        connection_id=studio.connection().id, resource_id=studio.resource_id, remote_id="second", zone="UTC"
    )
    db.session.add(second)
    db.session.commit()
    second_id = second.id
    studio.store.remove_calendar("second")
    from portal.sync.pull import pull

    with pytest.raises(Misconfigured):
        pull.pull(second_id)
    studio.pull()
    assert studio.connection().state == "misconfigured"
    assert connection_news(studio) == ["misconfigured"]


class TestWaitingWork:
    def drain(self, studio, now_plus=timedelta(0)):
        """One round of the drain loop."""
        works = drain.claim(10, topics=("calendar.publish",))
        for work in works:
            drain.do(work, publish.publish_entry)
        return works

    def entry(self) -> OutboxEntry:
        return rows(OutboxEntry, OutboxEntry.topic == "calendar.publish")[-1]

    def test_a_revoked_sign_in_makes_bookings_wait_and_a_good_one_releases_them(self, studio):
        studio.store.fail_always(REVOKED)
        appointment_id = book_unseen(studio)
        self.drain(studio)
        entry = self.entry()
        assert (entry.state, entry.attempts) == ("todo", 0)
        assert entry.next_at > now_utc() + timedelta(minutes=10)
        assert studio.link(appointment_id).state == "waiting"
        studio.store.fail_always(None)
        studio.pull()
        assert studio.link(appointment_id).state == "done"
        assert len(studio.events()) == 1

    def test_waiting_for_the_owner_never_becomes_stuck_by_age(self, studio):
        studio.store.fail_always(REVOKED)
        book_unseen(studio)
        entry = self.entry()
        entry.created_at = now_utc() - timedelta(days=3)
        db.session.commit()
        self.drain(studio)
        assert self.entry().state == "todo"

    def test_a_passing_failure_is_tried_again_later_and_stuck_after_a_day(self, studio):
        studio.store.fail_always(DOWN)
        appointment_id = book_unseen(studio)
        self.drain(studio)
        entry = self.entry()
        assert (entry.state, entry.attempts, entry.last_error) == ("todo", 1, "The server is down.")
        assert now_utc() < entry.next_at < now_utc() + timedelta(seconds=10)
        entry.created_at, entry.next_at = now_utc() - timedelta(hours=25), now_utc()
        db.session.commit()
        throttle.forget()
        self.drain(studio)
        assert self.entry().state == "stuck"
        link = studio.link(appointment_id)
        assert (link.state, link.last_error) == ("stuck", "The server is down.")

    def test_what_is_stuck_goes_out_when_the_connection_works_again(self, studio):
        studio.store.fail_always(PermissionMissing("Read only."))
        appointment_id = book_unseen(studio)
        self.drain(studio)
        assert (self.entry().state, studio.link(appointment_id).state) == ("stuck", "stuck")
        studio.store.fail_always(None)
        operations.refresh_connection(studio.connection().id, password="new")
        studio.publish_all()
        assert studio.link(appointment_id).state == "done"
        assert not rows(OutboxEntry, OutboxEntry.state == "stuck"), "nobody is told of a trouble that is over"

    def test_a_dead_server_is_asked_once_for_many_bookings(self, studio):
        book_unseen(studio, hours=(9, 10, 11, 12))
        studio.store.fail_always(DOWN)
        studio.store.calls.clear()
        self.drain(studio)
        assert len(studio.store.calls) == 1

    def test_an_unforeseen_failure_is_tried_again_too(self, studio, monkeypatch):
        book_unseen(studio)
        monkeypatch.setattr(studio.store, "put", lambda *_, **__: 1 / 0)
        self.drain(studio)
        assert self.entry().state == "todo"
        assert self.entry().attempts == 1

    def test_a_paused_connection_is_neither_read_nor_written(self, studio):
        operations.pause_connection(studio.connection().id)
        studio.store.calls.clear()
        appointment_id = book_unseen(studio)
        self.drain(studio)
        assert studio.store.calls == []
        operations.resume_connection(studio.connection().id)
        throttle.forget()
        studio.publish_all()
        assert studio.link(appointment_id).state == "done"

    def test_a_busy_line_costs_no_attempt(self, studio, monkeypatch):
        book_unseen(studio)

        def busy(work):
            raise throttle.LineBusy

        (work,) = drain.claim(10, topics=("calendar.publish",))
        drain.do(work, busy)
        entry = self.entry()
        assert (entry.state, entry.attempts, entry.lease_token) == ("todo", 0, None)

    def test_an_entry_that_another_worker_took_over_is_left_to_it(self, studio):
        book_unseen(studio)
        (work,) = drain.claim(10, topics=("calendar.publish",))
        entry = self.entry()
        entry.lease_until = now_utc() - timedelta(seconds=1)
        db.session.commit()
        (newer,) = drain.claim(10, topics=("calendar.publish",))
        drain.do(work, publish.publish_entry)
        assert self.entry().lease_token == newer.lease_token
        drain.do(newer, publish.publish_entry)
        assert (self.entry().state, len(studio.events())) == ("done", 1)

    def test_an_idle_drain_takes_no_write_lock(self, sqlite_studio, monkeypatch):
        from portal.database import engine as portal_db

        begun = []
        monkeypatch.setattr(portal_db, "begin_write", lambda session: begun.append(session))
        assert drain.claim(10, topics=("calendar.publish",)) == []
        assert begun == []


def book_unseen(studio, hours=(10,)):
    """A confirmed booking whose calendar is not asked first, so that a dead server does not make it pending."""
    from portal.calendars.models import Calendar

    def just_read(session):
        session.get_one(Calendar, studio.calendar_id).last_read_at = now_utc()

    transaction(just_read)
    return [studio.book(at(2, hour)) for hour in hours][-1]


def test_entries_are_hastened_or_written_anew(studio):
    transaction(lambda s: outbox.hasten(s, "calendar.publish", "appointment:1", now=now_utc()))
    transaction(lambda s: outbox.hasten(s, "calendar.publish", "appointment:1", now=now_utc()))
    assert len(studio.news("calendar.publish")) == 1
