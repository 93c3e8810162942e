"""Push messages: which are believed, what they cause, and that no message is lost between two readings."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event

from portal import doorbell
from portal.calendars.models import PushSubscription
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.extensions import db
from portal.sync import due
from portal.sync.models import LedgerLine
from portal.sync.push import counts
from tests.operations.sync.conftest import HOUR, Studio, at, give_public_address, make_studio, rows
from tests.operations.sync.messenger import Messenger, headers_of


@pytest.fixture
def pushed(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """A studio whose calendar is read and has a granted subscription, not yet confirmed."""
    return make_pushed(app, monkeypatch)


@pytest.fixture
def sqlite_pushed(sqlite_app: Flask, monkeypatch: pytest.MonkeyPatch) -> Studio:
    return make_pushed(sqlite_app, monkeypatch)


def make_pushed(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Studio:
    give_public_address(monkeypatch, app)
    studio = make_studio()
    studio.store.with_push()
    studio.pull()
    studio.keep_subscriptions()
    return studio


@pytest.fixture
def messenger(app: Flask, pushed: Studio) -> Messenger:
    return Messenger(app, pushed.store)


def counted(app: Flask) -> dict[str, int]:
    """How many messages came to which end."""
    return counts.counts(app.extensions["settings"].data)


def the_subscription() -> PushSubscription:
    (row,) = rows(PushSubscription)
    return row


def wait_for_turn(studio: Studio) -> None:
    """As if the last reading had begun a while ago."""
    studio.set_rule(read_begun_at=now_utc() - timedelta(seconds=5), next_read_at=now_utc() + timedelta(seconds=25))


class TestBelieved:
    def test_the_first_message_confirms_that_messages_arrive_and_causes_no_reading(self, app, pushed, messenger):
        before = pushed.calendar().next_read_at
        assert messenger.send("sync") == [204]
        assert the_subscription().confirmed_at is not None
        assert pushed.calendar().notified_at is None
        assert pushed.calendar().next_read_at == before
        assert "push" in pushed.story()

    @pytest.mark.parametrize("state", ["exists", "not_exists"])
    def test_a_change_brings_the_reading_forward_and_rings(self, pushed, messenger, monkeypatch, state):
        rung = []
        monkeypatch.setattr(doorbell, "ring", lambda **more: rung.append(more))
        messenger.send("sync")
        wait_for_turn(pushed)
        assert messenger.send(state) == [204]
        calendar = pushed.calendar()
        assert calendar.notified_at is not None
        assert calendar.next_read_at <= now_utc()
        assert the_subscription().heard_at is not None
        assert rung == [{"drain": False}]

    def test_a_change_whose_first_message_was_lost_confirms_too(self, pushed, messenger):
        messenger.send("exists")
        assert the_subscription().confirmed_at is not None

    def test_a_subscription_whose_answer_was_lost_learns_what_it_needs_from_its_first_message(self, app, monkeypatch):
        give_public_address(monkeypatch, app)
        studio = make_studio()
        studio.store.with_push()
        studio.store.lose_answer_next()
        studio.keep_subscriptions()
        assert (the_subscription().resource_id, the_subscription().expires_at) == ("", None)
        (held,) = studio.store.subscriptions.values()
        Messenger(app, studio.store).send("sync")
        row = the_subscription()
        assert row.resource_id == held.granted.resource_id
        assert abs(row.expires_at - held.granted.expires_at) < timedelta(seconds=2)
        assert row.confirmed_at is not None
        assert row.problem is None


class TestIgnored:
    """Each gets the same empty 204, changes nothing, and is counted."""

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"Id": "0" * 8 + "-" + "0" * 32}, "unknown"),
            ({"Id": "somebody else's"}, "unknown"),
            ({"Id": ""}, "unknown"),
            ({"Token": "guessed"}, "wrong secret"),
            ({"Token": ""}, "wrong secret"),
            ({"Token": "ümlaut"}, "wrong secret"),
            ({"Resource": "another calendar"}, "wrong resource"),
            ({"Resource": ""}, "wrong resource"),
        ],
    )
    @pytest.mark.parametrize("state", ["sync", "exists"])
    def test_a_message_that_does_not_fit(self, sqlite_app, sqlite_pushed, state, changes, reason):
        before = counted(sqlite_app)[reason]
        self.assert_ignored(sqlite_app, sqlite_pushed, state, **changes)
        assert counted(sqlite_app)[reason] == before + 1

    def test_a_message_of_a_subscription_that_was_ended(self, sqlite_app, sqlite_pushed):
        set_subscription(ended_at=now_utc())
        self.assert_ignored(sqlite_app, sqlite_pushed, "exists")

    def test_a_message_of_a_subscription_that_is_over(self, sqlite_app, sqlite_pushed):
        set_subscription(expires_at=now_utc() - timedelta(seconds=1))
        self.assert_ignored(sqlite_app, sqlite_pushed, "exists")

    def test_a_message_of_a_subscription_that_was_forgotten(self, sqlite_app, sqlite_pushed):
        (held,) = sqlite_pushed.store.subscriptions.values()
        transaction(lambda s: s.delete(s.get_one(PushSubscription, the_subscription().id)))
        assert Messenger(sqlite_app, sqlite_pushed.store).post(headers_of(held)).status_code == 204
        assert sqlite_pushed.calendar().notified_at is None

    def test_a_state_that_nobody_knows(self, sqlite_app, sqlite_pushed):
        self.assert_ignored(sqlite_app, sqlite_pushed, "moved")

    def test_no_headers_at_all(self, sqlite_app):
        assert sqlite_app.test_client().post("/hooks/google").status_code == 204

    def assert_ignored(self, app, studio, state, **changes):
        (held,) = studio.store.subscriptions.values()
        response = Messenger(app, studio.store).post(headers_of(held, state, **changes))
        assert (response.status_code, response.get_data()) == (204, b"")
        assert studio.calendar().notified_at is None
        assert the_subscription().confirmed_at is None
        assert the_subscription().heard_at is None


def set_subscription(**values):
    def work(session):
        row = session.get_one(PushSubscription, the_subscription().id)
        for name, value in values.items():
            setattr(row, name, value)

    transaction(work)


class TestNothingIsLost:
    def test_many_messages_before_a_reading_are_one_write(self, app, pushed, messenger):
        messenger.send("sync")
        wait_for_turn(pushed)
        messenger.send()
        noted_at = pushed.calendar().notified_at
        with writes_counted() as written:
            messenger.send(times=20)
        assert written == []
        assert pushed.calendar().notified_at == noted_at
        pushed.pull()
        assert messenger.send() == [204]
        assert pushed.calendar().notified_at > noted_at

    def test_a_message_during_a_reading_causes_another_one(self, pushed, messenger, monkeypatch):
        messenger.send("sync")
        changes = pushed.store.changes

        def meanwhile(*args, **more):
            batch = changes(*args, **more)
            pushed.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
            messenger.send()
            return batch

        monkeypatch.setattr(pushed.store, "changes", meanwhile)
        pushed.set_rule(next_read_at=now_utc())
        pushed.pull()
        monkeypatch.undo()
        calendar = pushed.calendar()
        assert pushed.busy() == []
        assert calendar.next_read_at <= calendar.read_begun_at + due.NOTICE_GAP + timedelta(seconds=0.2)

    def test_every_message_is_followed_by_a_reading_that_begins_later(self, app, pushed, messenger, monkeypatch):
        """Readers and messengers at the same time, in threads: at the end nothing is pending that no reading will see."""
        messenger.send("sync")
        stop = threading.Event()

        def read():
            with app.app_context():
                while not stop.is_set():
                    pushed.pull()

        reader = threading.Thread(target=read)
        reader.start()
        for n in range(30):
            pushed.store.add_event("calendar", f"event {n}", at(3, 0) + n * HOUR, at(3, 1) + n * HOUR)
            messenger.send()
            calendar = pushed.calendar()
            is_pending = calendar.notified_at is not None and calendar.notified_at >= (calendar.read_begun_at)
            assert is_pending or calendar.read_begun_at >= calendar.notified_at
        stop.set()
        reader.join()
        calendar = pushed.calendar()
        if len(pushed.busy()) < 30:
            assert calendar.next_read_at <= calendar.read_begun_at + due.NOTICE_GAP + timedelta(seconds=0.2)
            pushed.pull()
        assert len(pushed.busy()) == 30

    def test_readings_that_messages_cause_keep_a_distance(self, pushed, messenger):
        messenger.send("sync")
        pushed.pull()
        messenger.send()
        calendar = pushed.calendar()
        assert calendar.next_read_at == calendar.read_begun_at + due.NOTICE_GAP

    def test_a_calendar_in_trouble_keeps_its_pause(self, pushed, messenger):
        messenger.send("sync")
        later = now_utc() + timedelta(minutes=2)
        pushed.set_rule(failures=3, next_read_at=later)
        messenger.send()
        assert pushed.calendar().next_read_at == later


class writes_counted:
    """Statements that change something, or wait for a lock to do so."""

    def __enter__(self) -> list[str]:
        self.written: list[str] = []
        event.listen(db.engine, "before_cursor_execute", self._note)
        return self.written

    def __exit__(self, *_):
        event.remove(db.engine, "before_cursor_execute", self._note)

    def _note(self, _connection, _cursor, statement, *_):
        if statement.startswith(("INSERT", "UPDATE", "DELETE", "BEGIN IMMEDIATE")) or "FOR UPDATE" in statement:
            self.written.append(statement)


def test_the_ledger_tells_once_that_messages_arrive(app, pushed, messenger):
    messenger.send("sync", times=3)
    messenger.send()
    assert [line.kind for line in rows(LedgerLine)].count("push") == 1
