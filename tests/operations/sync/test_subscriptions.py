"""Push subscriptions: opened where they are possible, renewed before they end, ended when nobody wants them, and never an alarm."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.calendars.account import account_of
from portal.calendars.models import Calendar, Connection, PushSubscription
from portal.clock import now_utc
from portal.config import Settings
from portal.database.engine import read_transaction, transaction
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.security import token_hash
from portal.sync import throttle
from portal.sync.account import operations
from portal.sync.push import state as push_state
from portal.sync.push import subscriptions
from providers.errors import AccessRevoked, Misconfigured, PermissionMissing, Temporary, Throttled
from tests.operations.sync.conftest import Studio, at, give_public_address, make_studio, rows
from tests.operations.sync.messenger import Messenger, headers_of

DAY = timedelta(days=1)


@pytest.fixture
def studio(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Studio:
    give_public_address(monkeypatch, app)
    made = make_studio()
    made.store.with_push(life=7 * DAY)
    made.pull()
    return made


@pytest.fixture
def messenger(app: Flask, studio: Studio) -> Messenger:
    return Messenger(app, studio.store)


@pytest.fixture
def live(studio: Studio, messenger: Messenger) -> Studio:
    """Its subscription is granted and confirmed."""
    studio.keep_subscriptions()
    messenger.send("sync")
    return studio


def all_rows() -> list[PushSubscription]:
    return sorted(rows(PushSubscription), key=lambda row: row.id)


def grow_older(by: timedelta) -> None:
    """As if so much time had passed for all subscriptions."""

    def work(session):
        for row in session.scalars(select(PushSubscription)):
            row.created_at -= by
            row.expires_at = row.expires_at and row.expires_at - by
            row.confirmed_at = row.confirmed_at and row.confirmed_at - by

    transaction(work)


def state_of(studio: Studio) -> push_state.PushState:
    return push_state.push_state(db.session(), studio.calendar(), now=now_utc())


class TestOpening:
    def test_a_connected_calendar_gets_a_subscription_of_its_own(self, studio):
        studio.keep_subscriptions()
        (held,) = studio.store.subscriptions.values()
        (row,) = all_rows()
        assert held.address == "https://book.studio.example/hooks/google"
        assert row.subscription_id == held.granted.subscription_id
        assert row.secret_hash == token_hash(held.secret)
        assert held.secret not in str(vars(row)), "only its hash is kept"
        assert len(held.secret) >= 40
        assert row.resource_id == held.granted.resource_id
        assert row.expires_at == held.granted.expires_at
        assert len(row.subscription_id) <= 64

    def test_two_subscriptions_share_no_secret(self, studio):
        make_other_calendar(studio)
        studio.keep_subscriptions()
        assert len({held.secret for held in studio.store.subscriptions.values()}) == 2

    def test_nothing_is_asked_twice(self, studio):
        for _ in range(5):
            studio.keep_subscriptions()
        assert studio.store.calls.count("subscribe") == 1

    def test_the_row_is_there_before_the_provider_is_asked(self, studio, messenger, monkeypatch):
        """Google's first message may overtake its own answer."""
        answers = []
        subscribe = studio.store.subscribe

        def quick(*args, **more):
            granted = subscribe(*args, **more)
            answers.extend(messenger.send("sync"))
            return granted

        monkeypatch.setattr(studio.store, "subscribe", quick)
        studio.keep_subscriptions()
        assert answers == [204]
        assert all_rows()[0].confirmed_at is not None
        assert state_of(studio).is_live

    @pytest.mark.parametrize(
        "url",
        [
            "http://book.studio.example",
            "http://127.0.0.1:8000",
            "https://127.0.0.1",
            "https://localhost",
            "https://192.168.1.5",
            "https://[::1]:8443",
            "https://portal",
            "https://nas.local",
        ],
    )
    def test_without_a_public_https_address_nothing_is_asked(self, studio, app, monkeypatch, url):
        monkeypatch.setitem(app.extensions, "settings", dataclasses.replace(app.extensions["settings"], url=url))
        studio.keep_subscriptions()
        assert studio.store.calls.count("subscribe") == 0
        assert "no public https address" in state_of(studio).reason
        assert "every 30 seconds" in state_of(studio).reason

    @pytest.mark.parametrize("state", ["needs reauth", "misconfigured", "paused"])
    def test_a_connection_that_does_not_work_is_not_asked(self, studio, state):
        set_connection(studio, state=state)
        studio.keep_subscriptions()
        assert studio.store.calls.count("subscribe") == 0

    def test_a_calendar_without_a_role_gets_none(self, studio):
        studio.set_rule(is_busy_source=False, is_destination=False)
        studio.keep_subscriptions()
        assert studio.store.calls.count("subscribe") == 0


class TestRefusal:
    @pytest.mark.parametrize(
        "error",
        [PermissionMissing("Not allowed for this mailbox."), Misconfigured("No such address."), Temporary("Down.")],
    )
    def test_leaves_the_connection_well_and_the_reason_on_the_page(self, studio, error):
        studio.store.fail_next("subscribe", error)
        studio.keep_subscriptions()
        assert studio.connection().state == "connected"
        assert studio.calendar().failures == 0
        assert str(error) in state_of(studio).reason
        assert not state_of(studio).is_live
        assert studio.news("notify.staff") == []

    def test_is_tried_again_rarely(self, studio):
        studio.store.fail_next("subscribe", PermissionMissing("Not allowed."))
        for _ in range(5):
            studio.keep_subscriptions()
        assert studio.store.calls.count("subscribe") == 1
        grow_older(push_state.REFUSED_PAUSE)
        studio.keep_subscriptions()
        assert studio.store.calls.count("subscribe") == 2
        (row,) = all_rows()
        assert row.problem is None, "the note of the first try is gone"

    def test_of_a_renewal_keeps_the_old_one(self, live, messenger):
        grow_older(4 * DAY)
        live.store.fail_next("subscribe", PermissionMissing("Not allowed."))
        live.keep_subscriptions()
        assert state_of(live).is_live
        assert len(live.store.subscriptions) == 1
        live.set_rule(read_begun_at=None)
        messenger.send("exists")
        assert live.calendar().notified_at is not None

    def test_of_a_provider_without_push_is_said_so(self, app, monkeypatch):
        give_public_address(monkeypatch, app)
        studio = make_studio()
        studio.keep_subscriptions()
        assert "no messages for this calendar" in state_of(studio).reason

    def test_a_revoked_permission_is_left_for_the_reading_to_find(self, studio):
        studio.store.fail_next("subscribe", AccessRevoked("Revoked."))
        studio.keep_subscriptions()
        assert studio.connection().state == "connected"

    def test_while_the_account_rests_nothing_is_asked_and_no_try_is_noted(self, studio):
        studio.store.fail_next("changes", Throttled("Slow down.", retry_after=60))
        with pytest.raises(Throttled):
            studio.pull()
        studio.keep_subscriptions()
        assert studio.store.calls.count("subscribe") == 0
        assert all_rows() == []
        (entry,) = rows(OutboxEntry, OutboxEntry.topic == "calendar.push")
        assert entry.state == "todo"
        assert entry.next_at > now_utc() + timedelta(seconds=30)


class TestSilence:
    def test_what_is_not_confirmed_within_two_minutes_counts_as_off(self, studio):
        studio.keep_subscriptions()
        assert "not yet begun" in state_of(studio).reason
        grow_older(push_state.CONFIRMED_WITHIN)
        assert "messages do not arrive" in state_of(studio).reason

    def test_is_tried_again_after_an_hour_and_not_before(self, studio):
        studio.keep_subscriptions()
        grow_older(timedelta(minutes=59))
        studio.keep_subscriptions()
        assert studio.store.calls.count("subscribe") == 1
        grow_older(timedelta(minutes=1))
        studio.keep_subscriptions()
        assert studio.store.calls.count("subscribe") == 2
        assert len(studio.store.subscriptions) == 1, "the deaf one was ended"

    def test_a_first_message_that_comes_late_is_welcome(self, studio, messenger):
        studio.keep_subscriptions()
        grow_older(timedelta(minutes=10))
        messenger.send("sync")
        assert state_of(studio).is_live

    def test_a_worker_killed_before_the_answer_tries_again_soon(self, app, studio, monkeypatch):
        def killed(*args, **more):
            raise KeyboardInterrupt

        monkeypatch.setattr(studio.store, "subscribe", killed)
        with pytest.raises(KeyboardInterrupt):
            studio.keep_subscriptions()
        monkeypatch.undo()
        give_public_address(monkeypatch, app)
        hasten_entries()
        grow_older(push_state.CONFIRMED_WITHIN)
        studio.keep_subscriptions()
        assert len(studio.store.subscriptions) == 1
        assert [row.resource_id for row in all_rows()] == ["watched calendar"]


def hasten_entries() -> None:
    """As if the lease, or the pause, of every entry had ended."""
    values = {"next_at": now_utc(), "lease_until": None, "lease_token": None}
    transaction(lambda session: session.execute(update(OutboxEntry).values(**values)))


class TestRenewal:
    def test_is_not_before_half_of_its_life(self, live):
        grow_older(3 * DAY)
        live.keep_subscriptions()
        assert live.store.calls.count("subscribe") == 1

    def test_overlaps_and_ends_the_old_one_only_when_the_new_one_is_heard(self, live, messenger):
        (old,) = live.store.subscriptions.values()
        grow_older(3.5 * DAY)
        live.keep_subscriptions()
        assert len(live.store.subscriptions) == 2
        live.keep_subscriptions()
        assert live.store.calls.count("unsubscribe") == 0
        (new,) = [one for one in live.store.subscriptions.values() if one is not old]
        messenger.post(headers_of(new, "sync"))
        live.keep_subscriptions()
        assert list(live.store.subscriptions.values()) == [new]
        assert [row.subscription_id for row in all_rows()] == [new.granted.subscription_id]
        assert state_of(live).until == new.granted.expires_at

    def test_both_are_heard_while_they_overlap(self, live, messenger):
        (old,) = live.store.subscriptions.values()
        grow_older(3.5 * DAY)
        live.keep_subscriptions()
        live.set_rule(read_begun_at=None)
        messenger.post(headers_of(old))
        assert live.calendar().notified_at is not None

    def test_one_that_ended_unrenewed_is_replaced(self, live):
        grow_older(8 * DAY)
        assert not state_of(live).is_live
        live.keep_subscriptions()
        assert len(all_rows()) == 1
        assert all_rows()[0].expires_at > now_utc()

    def test_a_refreshed_connection_gets_a_new_one(self, live):
        set_connection(live, refreshed_at=now_utc())
        live.keep_subscriptions()
        assert live.store.calls.count("subscribe") == 2

    def test_a_portal_that_moved_gets_a_new_one_for_its_new_address(self, live, app, monkeypatch):
        moved = dataclasses.replace(app.extensions["settings"], url="https://other.example")
        monkeypatch.setitem(app.extensions, "settings", moved)
        live.keep_subscriptions()
        assert [held.address for held in live.store.subscriptions.values()][-1] == "https://other.example/hooks/google"


class TestDeafness:
    """Providers forget subscriptions, and restart. What is found by looking shows it."""

    @pytest.fixture
    def silent(self, live) -> Studio:
        """A change was read of which no message told."""
        live.set_rule(next_read_at=now_utc())
        live.pull()
        live.set_rule(read_begun_at=now_utc() - timedelta(minutes=1))
        live.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
        live.pull()
        return live

    def doubt_for(self, age: timedelta) -> None:
        transaction(lambda s: s.execute(update(PushSubscription).values(doubted_at=now_utc() - age)))

    def test_is_only_a_doubt_at_first(self, silent):
        assert all_rows()[0].doubted_at is not None
        assert state_of(silent).is_live

    def test_ends_with_the_next_message(self, silent, messenger):
        messenger.send("exists")
        assert all_rows()[0].doubted_at is None

    def test_ends_even_with_a_message_that_nothing_else_is_done_about(self, silent, messenger):
        silent.set_rule(notified_at=now_utc())
        messenger.send("exists")
        assert all_rows()[0].doubted_at is None

    def test_is_certain_after_two_minutes_and_polling_is_as_ever(self, silent):
        self.doubt_for(push_state.CONFIRMED_WITHIN)
        assert not state_of(silent).is_live
        assert "messages do not arrive" in state_of(silent).reason
        silent.set_rule(next_read_at=now_utc())
        silent.pull()
        assert silent.calendar().next_read_at - now_utc() <= timedelta(seconds=30)

    def test_of_an_old_subscription_brings_a_new_one(self, silent, messenger):
        grow_older(timedelta(hours=1))
        self.doubt_for(push_state.CONFIRMED_WITHIN)
        silent.store.subscriptions.clear()
        silent.keep_subscriptions()
        messenger.send("sync")
        assert state_of(silent).is_live
        assert len(all_rows()) == 1

    def test_of_a_new_one_is_borne_for_an_hour(self, silent):
        self.doubt_for(push_state.CONFIRMED_WITHIN)
        silent.keep_subscriptions()
        assert silent.store.calls.count("subscribe") == 1

    def test_a_change_that_was_told_of_raises_no_doubt(self, live, messenger):
        live.set_rule(next_read_at=now_utc(), read_begun_at=now_utc() - timedelta(minutes=1))
        live.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
        messenger.send()
        live.pull()
        assert all_rows()[0].doubted_at is None

    def test_nor_does_one_that_was_told_of_a_little_too_early(self, live, messenger):
        live.set_rule(next_read_at=now_utc(), read_begun_at=now_utc() - timedelta(minutes=1))
        messenger.send()
        live.pull()
        live.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
        live.pull()
        assert len(live.busy()) == 1
        assert all_rows()[0].doubted_at is None

    def test_nor_does_a_complete_reading(self, live):
        live.set_rule(read_begun_at=now_utc() - timedelta(minutes=1))
        live.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
        live.pull(is_complete=True)
        assert all_rows()[0].doubted_at is None


class TestEnding:
    def test_a_pause_ends_it_and_the_end_of_the_pause_opens_another(self, live):
        operations.pause_connection(live.connection().id)
        live.keep_subscriptions()
        assert live.store.subscriptions == {}
        assert all_rows() == []
        operations.resume_connection(live.connection().id)
        live.keep_subscriptions()
        assert len(live.store.subscriptions) == 1

    def test_its_messages_count_no_more_even_if_the_provider_cannot_be_told(self, live, messenger):
        (held,) = live.store.subscriptions.values()
        operations.pause_connection(live.connection().id)
        live.store.fail_next("unsubscribe", Temporary("Down."))
        live.keep_subscriptions()
        assert len(live.store.subscriptions) == 1
        live.set_rule(read_begun_at=None)
        assert messenger.post(headers_of(held)).status_code == 204
        assert live.calendar().notified_at is None

    def test_a_provider_that_is_down_is_told_later(self, live):
        operations.pause_connection(live.connection().id)
        live.store.fail_next("unsubscribe", Temporary("Down.", retry_after=0.0))
        live.keep_subscriptions()
        hasten_entries()
        throttle.forget()
        live.keep_subscriptions()
        assert live.store.subscriptions == {}
        assert all_rows() == []

    def test_one_that_the_provider_forgot_already_is_ended(self, live):
        live.store.subscriptions.clear()
        operations.pause_connection(live.connection().id)
        live.keep_subscriptions()
        assert all_rows() == []

    def test_it_is_not_tried_for_ever(self, live):
        operations.pause_connection(live.connection().id)
        live.store.fail_next("unsubscribe", PermissionMissing("Not yours."))
        live.keep_subscriptions()
        assert all_rows() == []

    def test_disconnecting_ends_all(self, live):
        make_other_calendar(live)
        live.keep_subscriptions()
        assert len(live.store.subscriptions) == 2
        account = read_transaction(lambda session: account_of(live.connection()))
        subscriptions.stop_all(account)
        assert live.store.subscriptions == {}
        assert all_rows() == []

    def test_disconnecting_does_not_wait_for_a_provider_that_is_down(self, live):
        live.store.fail_always(Temporary("Down."))
        account = read_transaction(lambda session: account_of(live.connection()))
        subscriptions.stop_all(account)
        assert all_rows() == []


@pytest.mark.parametrize("state", ["paused", "needs reauth", "misconfigured"])
def test_push_is_not_said_to_be_on_for_an_account_that_does_not_work(live, state):
    set_connection(live, state=state)
    assert not state_of(live).is_live
    assert "does not work" in state_of(live).reason


class TestTheAddress:
    def settings(self, **values: str) -> Settings:
        return Settings(**values)  # type: ignore[arg-type]

    def test_a_stand_in_on_this_machine_may_send_to_loopback(self):
        settings = self.settings(google_api_url="http://127.0.0.1:9999", url="http://127.0.0.1:8000")
        assert push_state.push_address(settings, "google") == "http://127.0.0.1:8000/hooks/google"

    def test_google_itself_may_not(self):
        assert push_state.push_address(self.settings(url="http://127.0.0.1:8000"), "google") == ""

    def test_a_public_address_will_do(self):
        settings = self.settings(url="https://book.studio.example")
        assert push_state.push_address(settings, "google") == "https://book.studio.example/hooks/google"

    def test_caldav_has_no_push(self):
        assert push_state.push_address(self.settings(url="https://book.studio.example"), "caldav") == ""


def set_connection(studio: Studio, **values):
    def work(session):
        connection = session.get_one(Connection, studio.connection().id)
        for name, value in values.items():
            setattr(connection, name, value)

    transaction(work)


def make_other_calendar(studio: Studio) -> None:
    studio.store.add_calendar("other")
    connection_id = studio.connection().id

    def work(session):
        session.add(
            Calendar(
                connection_id=connection_id, resource_id=studio.resource_id, remote_id="other", name="Other", zone="UTC"
            )
        )

    transaction(work)
