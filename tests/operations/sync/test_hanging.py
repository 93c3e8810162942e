"""Servers that take a call and never answer: known within a minute, and nobody else waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from portal.calendars.models import Calendar
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.outbox import Work
from portal.sync import throttle
from portal.sync.publish import publish
from portal.sync.pull import pull
from portal.worker.loops import Background
from providers.errors import Temporary
from tests.operations.sync.conftest import Studio, at, make_studio, until

SILENT = Temporary("calendar.example did not answer in time.")
KNOWN_BY = timedelta(seconds=45)
"""Within a minute from the first call, and the mail has its time, too."""


def hang(clock: time_machine.Coordinates, seconds: int) -> Callable[..., Any]:
    """A call that waits so long in vain."""

    def call(*_args: Any, **_more: Any) -> Any:
        clock.shift(seconds)
        raise SILENT

    return call


def read_until_known(studio: Studio, clock: time_machine.Coordinates, began: datetime) -> None:
    """As the worker does: each reading when its turn comes."""
    while studio.connection().state == "connected":
        clock.move_to(max(studio.calendar().next_read_at, now_utc()))
        with pytest.raises(Temporary):
            studio.pull()
        assert now_utc() - began <= KNOWN_BY


def news(studio: Studio) -> list[str]:
    return [e.payload["state"] for e in studio.news("notify.staff") if e.subject.startswith("connection:")]


def the_work(studio: Studio, *, attempts: int) -> Work:
    (entry,) = studio.news("calendar.publish")
    return Work(
        entry_id=entry.id, topic=entry.topic, subject=entry.subject, payload={}, attempts=attempts,
        created_at=entry.created_at, lease_token="none",
    )  # fmt: skip


@pytest.mark.parametrize("seconds", [10, 15])
def test_a_server_that_hangs_is_known_within_a_minute_of_the_first_call(studio: Studio, seconds: int):
    began = now_utc()
    with time_machine.travel(began, tick=False) as clock:
        studio.store.changes = hang(clock, seconds)  # type: ignore[method-assign]
        read_until_known(studio, clock, began)
    assert news(studio) == ["degraded"]


def test_a_write_that_hangs_is_the_first_call_too(studio: Studio):
    """Its calendar is looked at right away, and the minute counts from the write."""
    studio.pull()
    studio.book(at(2, 10))
    began = now_utc()
    with time_machine.travel(began, tick=False) as clock:
        studio.store.put = studio.store.changes = hang(clock, 10)  # type: ignore[method-assign, assignment]
        with pytest.raises(Temporary):
            publish.publish_entry(the_work(studio, attempts=1))
        assert studio.calendar().next_read_at <= now_utc()
        read_until_known(studio, clock, began)
    assert news(studio) == ["degraded"]


def test_a_calendar_that_is_read_well_but_hangs_over_every_write_is_mailed_of_once(studio: Studio):
    studio.pull()
    studio.book(at(2, 10))
    for attempt in range(1, 5):
        throttle.forget()
        studio.store.fail_next("put", SILENT)
        with pytest.raises(Temporary):
            publish.publish_entry(the_work(studio, attempts=attempt))
        pull.pull(studio.calendar_id)
        assert news(studio) == ([] if attempt == 1 else ["unwritable"])
    assert studio.connection().state == "connected"


def test_one_failed_write_of_a_calendar_that_is_read_well_is_no_news(studio: Studio):
    studio.pull()
    studio.book(at(2, 10))
    studio.store.fail_next("put", SILENT)
    with pytest.raises(Temporary):
        publish.publish_entry(the_work(studio, attempts=1))
    throttle.forget()
    pull.pull(studio.calendar_id)
    studio.publish_all()
    assert (len(studio.events()), news(studio)) == (1, [])


def test_several_calendars_that_hang_delay_neither_reading_nor_publishing_of_the_others(
    app: Flask, background: Background
):
    silent = [make_studio() for _ in range(3)]
    go_on = threading.Event()
    for studio in silent:
        for hour in (9, 10, 11):
            studio.book(at(2, hour))
        for name in ("changes", "put"):
            answer = getattr(studio.store, name)
            setattr(studio.store, name, lambda *a, answer=answer, **k: go_on.wait(20) and answer(*a, **k))
    well = make_studio()
    background.start()
    until(lambda: well.calendar().last_read_at is not None, seconds=4)
    well.book(at(2, 10))
    took = until(lambda: len(well.events()) == 1, seconds=4)
    assert all(studio.events() == [] for studio in silent)
    go_on.set()
    assert took < 3


def test_many_calendars_that_failed_leave_readers_to_those_that_were_read_well(app: Flask, background: Background):
    silent, go_on = [make_studio() for _ in range(8)], threading.Event()
    for studio in silent:
        studio.set_rule(failures=2)
        answer = studio.store.changes
        studio.store.changes = lambda *a, answer=answer, **k: go_on.wait(20) and answer(*a, **k)  # type: ignore[method-assign]
    well = make_studio()
    well.set_rule(next_read_at=now_utc() + timedelta(seconds=1), last_read_at=now_utc())
    background.start()
    before = well.calendar().last_read_at
    until(lambda: well.calendar().last_read_at != before, seconds=5)
    go_on.set()


def test_an_account_is_read_one_calendar_after_the_other(studio: Studio, background: Background):
    studio.store.add_calendar("second")
    first = studio.calendar()
    row = {"connection_id": first.connection_id, "resource_id": first.resource_id, "remote_id": "second", "zone": "UTC"}
    transaction(lambda session: session.add(Calendar(**row)))
    inside, most, lock = 0, 0, threading.Lock()
    answer = studio.store.changes

    def changes(*args: Any, **more: Any) -> Any:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        threading.Event().wait(0.2)
        with lock:
            inside -= 1
        return answer(*args, **more)

    studio.store.changes = changes  # type: ignore[method-assign]
    background.start()
    until(lambda: all(c.last_read_at is not None for c in studio.connection().calendars), seconds=6)
    assert (most, len(studio.connection().calendars)) == (1, 2)


def test_a_server_that_failed_over_a_listing_is_left_more_time_once_people_know(studio: Studio):
    asked: list[float] = []

    def changes(calendar: Any, *_args: Any, **_more: Any) -> Any:
        asked.append(calendar.silence_allowed)
        raise SILENT

    studio.store.changes = changes  # type: ignore[method-assign]
    for _ in range(3):
        with pytest.raises(Temporary):
            pull.pull(studio.calendar_id)
    assert asked[:2] == [0.0, 0.0]
    assert asked[2] > 100
