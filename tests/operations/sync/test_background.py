"""The worker's loops, in this process: quick when rung, quick enough when not, and fair to everybody."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from flask import Flask

from portal import doorbell
from portal.booking.models import Booking
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.errors import Refused
from portal.extensions import db
from portal.sync import leases
from portal.sync.account import operations
from portal.sync.models import Lease
from portal.sync.pull.ask import request_pull
from portal.upkeep.vitals import HEARTBEAT, require_stopped
from portal.worker import jobs
from portal.worker.loops import Background
from providers.errors import Temporary
from tests.operations.sync.conftest import Studio, at, make_studio, rows, until


def test_bookings_reach_the_calendar_without_any_bell(studio: Studio, background: Background):
    background.start()
    appointment_id = studio.book(at(2, 10))
    until(lambda: bool(studio.events()))
    until(lambda: studio.link(appointment_id).state == "done")


def test_a_bell_makes_it_quick(studio: Studio, background: Background):
    background.start()
    studio.booked(at(2, 9))
    time.sleep(0.1)
    studio.book(at(2, 10))
    jobs.look_into_outbox()
    assert until(lambda: len(studio.events()) == 2) < 0.9, "quicker than the loop's own look"


def test_a_new_calendar_is_read_and_its_changes_followed(studio: Studio, background: Background):
    studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
    background.start()
    until(lambda: studio.busy() == [(at(2, 14), at(2, 15))])
    appointment_id = studio.book(at(3, 10))
    until(lambda: any(event.mark for event in studio.events()))
    until(lambda: studio.link(appointment_id).state == "done")
    studio.store.move_event("calendar", studio.own_event().remote_id, at(4, 16))
    request_pull([studio.calendar_id])
    jobs.look_at_calendars()
    until(lambda: studio.appointment(appointment_id).start_at == at(4, 16))


def test_one_slow_server_delays_nobody_else(app: Flask, background: Background):
    slow, quick = make_studio(), make_studio()
    appointments = [slow.book(at(2, hour)) for hour in range(9, 15)]
    quick.book(at(2, 10))
    go_on = threading.Event()
    put = slow.store.put
    slow.store.put = lambda *args, **more: go_on.wait(10) and put(*args, **more)  # type: ignore[method-assign]
    background.start()
    until(lambda: len(quick.events()) == 1, seconds=4)
    assert slow.events() == []
    go_on.set()
    until(lambda: len(slow.events()) == len(appointments), seconds=10)


def test_a_handler_that_fails_does_not_stop_the_loop(studio: Studio, background: Background):
    studio.book(at(2, 9))
    studio.store.fail_next("put", Temporary("down", retry_after=0.1))
    background.start()
    until(lambda: studio.news("calendar.publish")[0].last_error == "down")
    studio.book(at(2, 12))
    until(lambda: len(studio.events()) >= 1, seconds=10)


def test_the_heartbeat_is_noted(studio: Studio, background: Background):
    background.start()
    until(lambda: read_transaction(lambda s: s.get(Lease, HEARTBEAT) is not None))
    (lease,) = rows(Lease, Lease.name == HEARTBEAT)
    assert lease.last_done_at <= now_utc() < lease.until


def test_expired_holds_are_swept_and_the_ledger_sealed(studio: Studio, background: Background):
    from portal.booking.operations import place_hold
    from portal.sync.models import LedgerLine

    studio.booked(at(3, 9))
    hold = place_hold(service_slug=studio.service_slug, start_at=at(2, 10), now=now_utc())
    transaction(lambda s: setattr(s.get_one(Booking, hold.booking_id), "held_until", now_utc() - timedelta(seconds=1)))
    background.start()
    until(lambda: rows(Booking, Booking.id == hold.booking_id) == [])
    # PostgreSQL tells rows in no order of its own; later lines are sealed a minute later
    until(lambda: min(rows(LedgerLine), key=lambda line: line.id).seal is not None)


def test_the_lease_of_a_long_reading_is_prolonged(studio: Studio, background: Background, monkeypatch):
    go_on = threading.Event()
    changes = studio.store.changes
    monkeypatch.setattr(studio.store, "changes", lambda *a, **k: go_on.wait(10) and changes(*a, **k))
    background.start()
    until(lambda: studio.calendar().read_lease_until is not None)
    first = studio.calendar().read_lease_until
    later = now_utc() + timedelta(seconds=20)
    transaction(lambda session: leases.prolong_reads(session, now=later))
    assert studio.calendar().read_lease_until > first
    go_on.set()
    until(lambda: studio.calendar().last_read_at is not None)


def test_periodic_work_is_done_by_one_of_two_workers(studio: Studio):
    def take(holder: str, ago: float = 0.0) -> bool:
        now = now_utc() - timedelta(seconds=ago)
        return transaction(lambda s: leases.take(s, "sweep", holder=holder, every=timedelta(seconds=30), now=now))

    assert take("first", ago=60)
    assert take("second")
    assert not take("first")


def test_stopping_waits_for_what_is_in_hand_and_takes_nothing_new(studio: Studio, app: Flask):
    loops = Background(app)
    appointment_id = studio.book(at(2, 10))
    go_on, begun = threading.Event(), threading.Event()
    put = studio.store.put

    def slow(*args, **more):
        begun.set()
        go_on.wait(10)
        return put(*args, **more)

    studio.store.put = slow  # type: ignore[method-assign]
    loops.start()
    assert begun.wait(8)
    assert not loops.stop(0.1), "it is still in hand"
    studio.book(at(2, 14))
    go_on.set()
    assert loops.stop(5)
    assert studio.link(appointment_id).state == "done"
    assert len(studio.events()) == 1


def test_every_topic_has_a_handler_and_every_recorded_topic_is_known():
    import re
    from pathlib import Path

    for topic in jobs.TOPICS:
        assert callable(jobs.handler_of(topic))
    sources = [path.read_text() for path in Path("portal").rglob("*.py")]
    recorded = {topic for text in sources for topic in re.findall(r"outbox\.record\(\s*\w+,\s*\"([a-z.]+)\"", text)}
    assert recorded
    assert recorded <= set(jobs.TOPICS)


class TestBells:
    def test_ringing_without_redis_does_nothing(self, studio: Studio):
        assert doorbell.ring() is None

    def test_a_dead_redis_costs_a_visitor_nothing(self, studio: Studio, tmp_path, monkeypatch):
        from portal.doorbell import Bell

        bell = Bell(f"unix://{tmp_path}/nobody.sock")
        began = time.monotonic()
        for _ in range(100):
            bell.ring("portal.worker.jobs.look_into_outbox")
        assert time.monotonic() - began < 0.2
        until(lambda: bell._rests_until > 0)

    def test_a_redis_that_never_answers_costs_a_visitor_nothing(self):
        import socket

        from portal.doorbell import Bell

        with socket.create_server(("127.0.0.1", 0)) as server:
            bell = Bell(f"redis://127.0.0.1:{server.getsockname()[1]}/0")
            began = time.monotonic()
            bell.ring("portal.worker.jobs.look_into_outbox")
            assert time.monotonic() - began < 0.2
            until(lambda: bell._rests_until > 0)

    def test_request_pull_brings_forward_only_what_lies_ahead_and_is_well(self, studio: Studio):
        studio.pull()
        now = now_utc()
        request_pull([studio.calendar_id], now=now)
        assert studio.calendar().next_read_at == now
        request_pull([studio.calendar_id], now=now + timedelta(seconds=9))
        assert studio.calendar().next_read_at == now, "its turn had come already"
        calendar = studio.calendar()
        calendar.failures, calendar.next_read_at = 2, now + timedelta(minutes=3)
        db.session.commit()
        request_pull([studio.calendar_id], now=now)
        assert studio.calendar().next_read_at == now + timedelta(minutes=3)

    def test_a_person_who_asks_for_a_read_gets_one_though_the_calendar_is_in_trouble(self, studio: Studio):
        studio.pull()
        now = now_utc()
        calendar = studio.calendar()
        calendar.failures, calendar.next_read_at = 2, now + timedelta(minutes=3)
        db.session.commit()
        operations.read_now(studio.connection().id, now=now)
        assert studio.calendar().next_read_at == now


def test_whoever_stopped_the_worker_need_not_wait(studio: Studio, app: Flask):
    """A restore and a change of keys are refused while it runs."""
    loops = Background(app)
    loops.start()
    until(lambda: bool(rows(Lease, Lease.name == HEARTBEAT)))
    with pytest.raises(Refused, match="is running"):
        require_stopped()
    began = time.monotonic()
    assert loops.stop(5)
    assert time.monotonic() - began < 2
    require_stopped()


def test_the_end_of_one_worker_is_not_taken_for_that_of_another(studio: Studio, app: Flask):
    loops = Background(app)
    loops.start()
    until(lambda: bool(rows(Lease, Lease.name == HEARTBEAT)))
    assert loops.stop(5)
    lives = {"holder": "another", "now": now_utc(), "lives_for": timedelta(seconds=30)}
    transaction(lambda session: leases.beat(session, HEARTBEAT, **lives))
    transaction(lambda session: leases.end_beat(session, HEARTBEAT, holder="the first", now=now_utc()))
    with pytest.raises(Refused, match="is running"):
        require_stopped()
