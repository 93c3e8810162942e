"""Redis away, the calendar server away, a password changed: bookings go on, and everything catches up by itself."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from portal import doorbell
from portal.outbox import OutboxEntry
from portal.process.queue_server import QueueServer
from portal.sync.account.operations import refresh_connection
from tests.faults.house import House, Worker, environment, until
from tests.operations.sync.conftest import at, rows

ROOT = Path(__file__).resolve().parents[2]
WITHIN = 15.0
WORKER_BYTES = 160e6


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueueServer]:
    server = QueueServer(tmp_path_factory.mktemp("q"))
    server.start()
    assert server.wait_ready()
    yield server
    server.ask_to_stop()
    server.wait(3)


@pytest.fixture
def running(house: House, redis: QueueServer) -> Iterator[House]:
    """With a worker, and a Redis that carries the bells."""
    house.app.extensions["settings"] = house.settings = dataclasses.replace(house.settings, redis_url=redis.url)
    if not redis.is_alive():
        redis.start()
        assert redis.wait_ready()
    with house.worker() as worker:
        until(lambda: house.calendar().last_read_at is not None, what="the first reading")
        house.running_worker = worker  # type: ignore[attr-defined]
        yield house
        assert worker.stop() == 0, "it ends within five seconds, whatever it was doing"


def worker_of(house: House) -> Worker:
    return house.running_worker  # type: ignore[attr-defined, no-any-return]


def book_and_wait(house: House, start_at, *, seconds: float = WITHIN) -> float:
    """Seconds from the booking to the event."""
    appointment_id = house.book(start_at)
    doorbell.ring()
    return until(lambda: is_done(house, appointment_id), seconds=seconds, what="the event in the calendar")


def is_done(house: House, appointment_id: int) -> bool:
    from portal.booking.models import EventLink

    return any(link.state == "done" for link in rows(EventLink, EventLink.appointment_id == appointment_id))


def test_without_redis_bookings_reach_the_calendar(running: House, redis: QueueServer):
    book_and_wait(running, at(2, 8))
    redis.kill()
    book_and_wait(running, at(2, 9))
    redis.start()
    assert redis.wait_ready()
    book_and_wait(running, at(2, 10))
    assert len(running.own_events()) == 3


def test_an_emptied_redis_loses_nothing(running: House, redis: QueueServer):
    from portal.doorbell import connect

    with connect(redis.url) as client:
        for n in range(4):
            appointment_id = running.book(at(2, 8 + n))
            doorbell.ring()
            client.flushall()
            until(lambda i=appointment_id: is_done(running, i), seconds=WITHIN, what="the event in the calendar")
    assert len(running.own_events()) == 4


def test_the_worker_stays_small(running: House):
    for n in range(6):
        book_and_wait(running, at(2, 8 + n))
    assert psutil.Process(worker_of(running).pid).memory_info().rss < WORKER_BYTES


def test_a_server_that_was_down_gets_everything_when_it_is_back(running: House):
    running.server.stop()
    try:
        appointments = [running.book(at(2, 8 + n)) for n in range(4)]
        doorbell.ring()
        until(lambda: running.calendar().failures >= 1, what="the failure to be seen")
        until(lambda: bool(failed_entries()), what="a failed try")
        assert not any(entry.state == "stuck" for entry in rows(OutboxEntry))
    finally:
        running.server.start()
    until(lambda: all(is_done(running, i) for i in appointments), seconds=40, what="everything to catch up")
    assert len(running.own_events()) == 4
    until(lambda: running.connection().state == "connected", what="the connection to be well again")


def failed_entries() -> list[OutboxEntry]:
    return [entry for entry in rows(OutboxEntry, OutboxEntry.topic == "calendar.publish") if entry.last_error]


def test_a_changed_password_is_known_at_once_and_a_new_one_lets_everything_go(running: House):
    passwords: Path = running.server.folder / "users"
    passwords.write_text("ana:another\n")
    try:
        appointment_id = running.book(at(2, 8))
        doorbell.ring()
        took = until(lambda: running.connection().state == "needs reauth", what="the state to change")
        assert timedelta(seconds=took) < timedelta(minutes=1)
        news = [e.payload for e in running.news("notify.staff") if e.subject.startswith("connection:")]
        assert [n["state"] for n in news] == ["needs reauth"]
        refresh_connection(running.connection().id, password="another")
        doorbell.ring()
        until(lambda: is_done(running, appointment_id), what="the waiting booking")
        assert running.connection().state == "connected"
    finally:
        passwords.write_text("ana:secret\n")


def test_started_by_itself_it_works_stops_when_told_and_leaves_nothing_open(house: House):
    house.book(at(2, 8))
    process = subprocess.Popen(
        [sys.executable, "worker.py"], cwd=ROOT, env=environment(house.settings), stderr=subprocess.PIPE
    )
    try:
        until(house.is_settled, what="the booking")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=6)
    finally:
        process.kill()
    assert process.returncode == 0
    assert b"Traceback" not in errors
    assert house.calendar().read_lease_until is None
