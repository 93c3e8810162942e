"""How often a provider is asked: readings that pushes and people cause, and the rest that an account gets which asked too much."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from itertools import pairwise

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from portal import doorbell
from portal.calendars.models import PushSubscription
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.outbox import OutboxEntry
from portal.sync import due
from portal.sync import throttle as throttles
from portal.sync.account import operations
from portal.sync.publish import publish
from portal.sync.pull.ask import request_pull
from portal.sync.pull.pull import pull
from portal.sync.reconcile import reconcile
from portal.sync.throttle import LineBusy, line_to
from portal.worker import drain, jobs
from providers.errors import QuotaUsedUp, Temporary, Throttled
from tests.operations.sync.conftest import HOUR, Studio, at, give_public_address, make_studio, rows, until
from tests.operations.sync.messenger import Messenger

SECOND = timedelta(seconds=1)


class Clock:
    """A monotonic clock that a test turns on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(throttles.time, "monotonic", made.monotonic)
    return made


def pushed_studio(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """Its pushes are known to arrive."""
    give_public_address(monkeypatch, app)
    studio = make_studio()
    studio.store.with_push()
    studio.pull()
    studio.keep_subscriptions()
    Messenger(app, studio.store).send("sync")
    return studio


class TestPushes:
    def test_a_storm_of_pushes_causes_few_readings_and_the_last_change_is_read(self, app, background, monkeypatch):
        """300 messages in 3 seconds here; the benchmark sends 1,000 in 10."""
        studio = pushed_studio(app, monkeypatch)
        messenger = Messenger(app, studio.store)
        background.start()
        time.sleep(0.3)
        before, began = studio.store.calls.count("changes"), time.monotonic()
        for n in range(300):
            if n % 10 == 0:
                studio.store.add_event("calendar", f"{n}", at(2, 0) + n * timedelta(minutes=5), at(2, 1) + n * HOUR)
            messenger.send()
            time.sleep(max(began + n * 0.01 - time.monotonic(), 0.0))
        until(lambda: len(studio.busy()) == 30, seconds=4)
        time.sleep(0.5)
        seconds = time.monotonic() - began
        readings = studio.store.calls.count("changes") - before
        assert readings <= seconds / due.NOTICE_GAP.total_seconds() + 2

    def test_one_push_is_read_at_once(self, app, background, monkeypatch):
        studio = pushed_studio(app, monkeypatch)
        studio.set_rule(read_begun_at=now_utc() - 10 * SECOND)
        background.start()
        time.sleep(0.3)
        studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
        monkeypatch.setattr(doorbell, "ring", lambda **_: jobs.reading_bell.set())
        Messenger(app, studio.store).send()
        assert until(lambda: len(studio.busy()) == 1) < 0.8

    def test_a_push_right_after_a_reading_is_read_as_soon_as_the_distance_allows(self, app, background, monkeypatch):
        monkeypatch.setattr("portal.worker.loops.POLL", 10.0)
        monkeypatch.setattr(doorbell, "ring", lambda **_: jobs.reading_bell.set())
        studio = pushed_studio(app, monkeypatch)
        background.start()
        studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
        studio.set_rule(read_begun_at=now_utc(), last_read_at=now_utc())
        Messenger(app, studio.store).send()
        gap = due.NOTICE_GAP.total_seconds()
        assert gap - 0.2 < until(lambda: len(studio.busy()) == 1) < gap + 1

    def test_a_message_that_is_quicker_than_its_change_gets_a_second_look_and_no_third(self, app, monkeypatch):
        studio = pushed_studio(app, monkeypatch)
        studio.set_rule(read_begun_at=now_utc() - 10 * SECOND, next_read_at=now_utc())
        Messenger(app, studio.store).send()
        studio.pull()
        assert due.SECOND_LOOK - SECOND < studio.calendar().next_read_at - now_utc() <= due.SECOND_LOOK
        with time_machine.travel(studio.calendar().next_read_at, tick=True):
            studio.pull()
            assert studio.calendar().next_read_at - now_utc() > 45 * SECOND

    def test_a_message_whose_change_was_found_gets_none(self, app, monkeypatch):
        studio = pushed_studio(app, monkeypatch)
        studio.set_rule(read_begun_at=now_utc() - 10 * SECOND, next_read_at=now_utc())
        studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
        Messenger(app, studio.store).send()
        studio.pull()
        assert studio.calendar().next_read_at - now_utc() > 45 * SECOND

    def test_with_live_push_the_calendar_is_looked_at_less_often(self, app, monkeypatch):
        studio = pushed_studio(app, monkeypatch)
        studio.set_rule(next_read_at=now_utc())
        studio.pull()
        pause = studio.calendar().next_read_at - now_utc()
        assert 45 * SECOND < pause <= due.PUSHED_POLL

    @pytest.mark.parametrize(
        "change",
        [
            {"confirmed_at": None},
            {"expires_at": now_utc() - SECOND},
            {"ended_at": now_utc()},
        ],
        ids=["not confirmed", "over", "ended"],
    )
    def test_without_it_polling_is_as_ever(self, app, monkeypatch, change):
        studio = pushed_studio(app, monkeypatch)
        (row,) = rows(PushSubscription)

        def work(session):
            kept = session.get_one(PushSubscription, row.id)
            for name, value in change.items():
                setattr(kept, name, value)

        transaction(work)
        studio.set_rule(next_read_at=now_utc())
        studio.pull()
        assert 25 * SECOND < studio.calendar().next_read_at - now_utc() <= 30 * SECOND

    def test_a_longer_pause_than_that_stays(self):
        minutes = timedelta(minutes=5)
        assert due.after_success(poll=minutes, has_push=True) == minutes


class TestPeopleWhoAsk:
    def test_a_reading_asked_for_during_another_one_is_done_afterwards(self, studio, monkeypatch):
        changes = studio.store.changes

        def meanwhile(*args, **more):
            batch = changes(*args, **more)
            studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
            request_pull([studio.calendar_id])
            return batch

        monkeypatch.setattr(studio.store, "changes", meanwhile)
        pull(studio.calendar_id)
        assert studio.busy() == []
        assert studio.calendar().next_read_at <= now_utc() + due.NOTICE_GAP

    def test_without_a_wish_the_next_turn_is_the_usual_one(self, studio):
        pull(studio.calendar_id)
        assert studio.calendar().next_read_at > now_utc() + 25 * SECOND

    def test_a_wish_during_a_reading_that_fails_is_done_soon(self, studio, monkeypatch):
        def failing(*args, **more):
            operations.read_now(studio.connection().id, now=now_utc())
            raise Temporary("Down.", retry_after=600)

        monkeypatch.setattr(studio.store, "changes", failing)
        with pytest.raises(Temporary):
            pull(studio.calendar_id)
        assert studio.calendar().next_read_at <= now_utc() + 3 * SECOND

    def test_a_person_may_try_while_the_account_rests(self, studio, clock):
        studio.pull()
        studio.store.fail_next("changes", QuotaUsedUp("Used up.", retry_after=3600))
        with pytest.raises(QuotaUsedUp):
            pull(studio.calendar_id)
        clock.now += 60
        assert pull(studio.calendar_id) is None, "it rests"
        operations.read_now(studio.connection().id, now=now_utc())
        assert pull(studio.calendar_id) is not None
        assert studio.connection().state == "connected"
        with line_to(studio.connection().id):
            pass  # and everybody else may ask again


class TestAccountsThatAskedTooMuch:
    def throttle(self, connection_id: int, error: Throttled) -> Throttled:
        with pytest.raises(Throttled) as raised, line_to(connection_id, is_asked=True):
            raise error
        return raised.value

    def test_rest_as_long_as_the_provider_wants(self, clock):
        self.throttle(1, Throttled("Slow down.", retry_after=120))
        for elapsed in (0, 60, 119):
            clock.now = 1000.0 + elapsed
            with pytest.raises(Throttled, match="Slow down"), line_to(1):
                raise AssertionError("It was asked.")
        clock.now = 1121.0
        with line_to(1):
            pass

    def test_nobody_else_rests_with_them(self, clock):
        self.throttle(1, Throttled("Slow down.", retry_after=120))
        with line_to(2):
            pass

    def test_rest_longer_each_time_up_to_some_minutes(self, clock):
        rests = []
        for _ in range(12):
            error = self.throttle(1, Throttled("Slow down."))
            assert error.retry_after is not None
            rests.append(error.retry_after)
            clock.now += error.retry_after
        assert rests[0] < 3
        assert all(later > 1.5 * earlier for earlier, later in pairwise(rests[:7]))
        assert max(rests) <= throttles.LONGEST_REST * 1.25

    def test_begin_anew_after_a_calm_minute(self, clock):
        for _ in range(5):
            clock.now += self.throttle(1, Throttled("Slow down.")).retry_after or 0
        clock.now += throttles.CALM
        assert (self.throttle(1, Throttled("Slow down.")).retry_after or 99) < 3

    def test_rest_an_hour_when_the_quota_is_used_up(self, clock):
        self.throttle(1, QuotaUsedUp("Used up."))
        clock.now += 3590
        with pytest.raises(QuotaUsedUp) as raised, line_to(1):
            pass
        assert raised.value.retry_after is not None
        assert 10 <= raised.value.retry_after < 20
        clock.now += 11
        with line_to(1):
            pass

    def test_two_refusals_at_once_count_as_one(self, clock):
        def ask_together():
            with line_to(1):
                clock.now += 1
                self.throttle(1, Throttled("Slow down."))
                raise Throttled("Slow down.")

        with pytest.raises(Throttled):
            ask_together()
        clock.now += 3
        assert (self.throttle(1, Throttled("Slow down.")).retry_after or 99) < 6, "the second, not the third"

    def test_an_answer_to_an_older_question_does_not_end_the_rest(self, clock):
        with line_to(1):
            clock.now += 1
            self.throttle(1, Throttled("Slow down.", retry_after=60))
            clock.now += 1
        with pytest.raises(Throttled), line_to(1):
            pass

    def test_their_readings_wait_without_counting_as_failed(self, studio, clock):
        studio.pull()
        self.throttle(studio.connection().id, Throttled("Slow down.", retry_after=100))
        calls = len(studio.store.calls)
        assert pull(studio.calendar_id) is None
        calendar = studio.calendar()
        assert (calendar.failures, calendar.read_lease_until) == (0, None)
        assert 95 * SECOND < calendar.next_read_at - now_utc() < 110 * SECOND
        assert reconcile(studio.calendar_id) is None
        assert len(studio.store.calls) == calls

    def test_their_lines_say_how_long_to_wait(self, clock):
        self.throttle(1, Throttled("Slow down.", retry_after=100))
        with pytest.raises(LineBusy) as raised, line_to(1, is_probe=True):
            pass
        assert 100 <= raised.value.seconds <= 105


class TestWaitingWrites:
    def test_fifty_writes_and_a_limit_cost_few_requests_and_all_are_written(self, sqlite_studio, clock, monkeypatch):
        """A provider that takes ten requests in ten seconds, as its sliding window sees it."""
        studio, asked = sqlite_studio, []
        put = studio.store.put

        def limited(*args, **more):
            asked.append(clock.now)
            if sum(moment > clock.now - 10 for moment in asked) > 10:
                raise Throttled("Google asks us to come less often.")
            return put(*args, **more)

        monkeypatch.setattr(studio.store, "put", limited)
        for n in range(50):
            studio.book(at(2, 0) + n * HOUR)
        began = now_utc()
        for _ in range(400):
            if not waiting():
                break
            turn = now_utc()
            for work in drain.claim(100, topics=("calendar.publish",)):
                drain.do(work, publish.publish_entry)
            clock.now += 1
            let_time_pass(SECOND)
            assert now_utc() - turn < 20 * SECOND
        assert not waiting()
        assert len(studio.events()) == 50
        assert len(asked) < 50 + 25
        assert clock.now - 1000 < 300
        assert {entry.state for entry in rows(OutboxEntry, OutboxEntry.topic == "calendar.publish")} == {"done"}
        assert studio.connection().state == "connected"
        assert now_utc() - began < timedelta(minutes=2)

    def test_a_limit_is_no_failed_attempt(self, sqlite_studio):
        sqlite_studio.book(at(2, 10))
        sqlite_studio.store.fail_next("put", Throttled("Slow down.", retry_after=30))
        (work,) = drain.claim(5, topics=("calendar.publish",))
        drain.do(work, publish.publish_entry)
        (entry,) = rows(OutboxEntry, OutboxEntry.topic == "calendar.publish")
        assert entry.attempts == 0
        assert entry.last_error == "Slow down."
        assert 25 * SECOND < entry.next_at - now_utc() <= 40 * SECOND


def waiting() -> list[OutboxEntry]:
    return rows(OutboxEntry, OutboxEntry.topic == "calendar.publish", OutboxEntry.state == "todo")


def let_time_pass(by: timedelta) -> None:
    """As if so much time had passed for all waiting entries."""

    def work(session):
        for entry in session.scalars(select(OutboxEntry).where(OutboxEntry.state == "todo")):
            entry.next_at -= by

    transaction(work)


class TestTheState:
    def test_a_passing_limit_is_no_trouble_however_often_it_comes(self, studio):
        studio.pull()
        for _ in range(5):
            throttles.forget()
            studio.store.fail_next("changes", Throttled("Slow down."))
            with pytest.raises(Throttled):
                pull(studio.calendar_id)
        assert studio.connection().state == "connected"

    def test_one_that_lasts_is(self, studio):
        studio.pull()
        studio.set_rule(failing_since=now_utc() - timedelta(seconds=61))
        studio.store.fail_next("changes", Throttled("Slow down."))
        with pytest.raises(Throttled):
            pull(studio.calendar_id)
        assert studio.connection().state == "degraded"

    def test_a_used_up_quota_is_told_at_once_and_once(self, studio):
        studio.pull()
        studio.book(at(2, 10))
        studio.book(at(2, 12))
        studio.store.fail_next("put", QuotaUsedUp("The limit of the day is used up.", retry_after=3600))
        for work in drain.claim(5, topics=("calendar.publish",)):
            drain.do(work, publish.publish_entry)
        connection = studio.connection()
        assert (connection.state, connection.state_reason) == ("degraded", "The limit of the day is used up.")
        (news,) = [entry for entry in studio.news("notify.staff") if entry.payload["news"] == "connection"]
        assert news.payload["state"] == "degraded"
        assert news.payload["reason"] == "The limit of the day is used up."
        assert studio.store.calls.count("put") == 1
        assert studio.events() == []

    def test_after_the_quota_everything_is_written(self, studio, clock):
        studio.pull()
        studio.book(at(2, 10))
        studio.store.fail_next("put", QuotaUsedUp("Used up."))
        for work in drain.claim(5, topics=("calendar.publish",)):
            drain.do(work, publish.publish_entry)
        clock.now += 3700
        studio.pull()
        assert studio.connection().state == "connected"
        studio.publish_all()
        assert len(studio.events()) == 1


def test_lines_are_safe_between_threads():
    """Twenty threads, two at a time, and none left behind."""
    inside, most, lock = [], [], threading.Lock()

    def ask():
        for _ in range(20):
            try:
                with line_to(7):
                    with lock:
                        inside.append(1)
                        most.append(len(inside))
                    time.sleep(0.0005)
                    with lock:
                        inside.pop()
            except LineBusy:
                time.sleep(0.001)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == throttles.WIDTH
    with line_to(7), line_to(7):
        pass
