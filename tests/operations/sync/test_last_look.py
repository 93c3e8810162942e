"""The last look: what stands in the calendars now, found within its budget or left to the calendars' rules."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from portal.calendars import last_look
from portal.calendars.last_look import BUDGET, look
from portal.calendars.models import Calendar, Connection
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.extensions import db
from portal.intervals import Interval
from portal.process import web_server
from providers.errors import Temporary
from tests.factories import make_calendar, make_resource
from tests.operations.sync.conftest import MemoryCalendars, at

WINDOW = Interval(at(2, 9), at(2, 12))


def set_read(studio, ago_seconds):
    def work(session):
        session.get_one(Calendar, studio.calendar_id).last_read_at = now_utc() - timedelta(seconds=ago_seconds)

    transaction(work)


def test_finds_what_was_entered_since_the_last_reading(studio):
    set_read(studio, 60)
    studio.store.add_event("calendar", "Dentist", at(2, 10), at(2, 11))
    result = look([studio.resource_id], WINDOW, now=now_utc())
    assert [(f.calendar_id, f.resource_id, f.interval) for f in result.busy] == [
        (studio.calendar_id, studio.resource_id, Interval(at(2, 10), at(2, 11)))
    ]
    assert result.unreadable == []


def test_a_calendar_that_was_just_read_is_not_asked(studio):
    set_read(studio, 10)
    studio.store.calls.clear()
    result = look([studio.resource_id], WINDOW, now=now_utc())
    assert (result.busy, result.unreadable, studio.store.calls) == ([], [], [])


def test_other_peoples_calendars_are_not_asked(studio):
    result = look([studio.resource_id + 1], WINDOW, now=now_utc())
    assert (result.busy, result.unreadable) == ([], [])


def test_an_error_leaves_the_calendar_to_its_rule(studio):
    studio.store.fail_next("busy", Temporary("down"))
    assert look([studio.resource_id], WINDOW, now=now_utc()).unreadable == [studio.calendar_id]


def test_a_calendar_in_trouble_is_not_waited_for(studio):
    transaction(lambda s: setattr(s.get_one(Calendar, studio.calendar_id), "failures", 3))
    studio.store.calls.clear()
    assert look([studio.resource_id], WINDOW, now=now_utc()).unreadable == [studio.calendar_id]
    assert studio.store.calls == []


def test_our_own_events_are_left_out_even_where_the_server_keeps_no_mark(studio, monkeypatch):
    studio.booked(at(2, 10))
    own = studio.own_event().remote_id
    monkeypatch.setattr(studio.store, "busy", lambda *_: [(own, (at(2, 10), at(2, 11))), ("x", (at(2, 9), at(2, 10)))])
    set_read(studio, 60)
    assert [found.remote_id for found in look([studio.resource_id], WINDOW, now=now_utc()).busy] == ["x"]


def test_slow_servers_are_asked_together_and_given_up_together(app, monkeypatch):
    resource = make_resource(zone="UTC")
    calendars = [make_calendar(resource, remote_id="calendar", url=f"slow-{n}") for n in range(4)]
    ids = sorted(calendar.id for calendar in calendars)
    quick = MemoryCalendars.open("slow-0")
    quick.add_event("calendar", "Dentist", at(2, 10), at(2, 11))
    ended = threading.Event()
    for n in range(1, 4):
        monkeypatch.setattr(MemoryCalendars.open(f"slow-{n}"), "busy", lambda *_: ended.wait(20) and [])
    began = time.monotonic()
    result = look([resource.id], WINDOW, now=now_utc())
    took = time.monotonic() - began
    ended.set()
    assert BUDGET <= took < BUDGET + 1
    assert sorted(result.unreadable) == ids[1:]
    assert len(result.busy) == 1


def test_no_transaction_is_open_while_servers_are_asked(studio, monkeypatch):
    session, seen = db.session(), []
    monkeypatch.setattr(studio.store, "busy", lambda *_: seen.append(session.in_transaction()) or [])
    look([studio.resource_id], WINDOW, now=now_utc())
    assert seen == [False]


@pytest.mark.parametrize("state", ["needs reauth", "misconfigured", "paused"])
def test_a_connection_that_needs_a_person_is_not_asked(studio, state):
    connection = studio.connection()
    connection.state = state
    db.session.commit()
    studio.store.calls.clear()
    assert look([studio.resource_id], WINDOW, now=now_utc()).unreadable == [studio.calendar_id]
    assert studio.store.calls == []


class TestWarmingUp:
    """Importing a provider's libraries takes longer than half the budget, so a web process does it before the first look."""

    def test_one_of_each_kind_in_use_is_opened_and_the_network_left_alone(self, studio, monkeypatch):
        make_calendar(make_resource(), url="another-account")
        opened = []

        def open_provider(account, *, budget):
            opened.append(account.provider)
            return last_look_open(account, budget=budget)

        last_look_open = last_look.open_provider
        monkeypatch.setattr(last_look, "open_provider", open_provider)
        studio.store.calls.clear()
        last_look.warm_up()
        assert (opened, studio.store.calls) == (["memory"], [])

    def test_a_connection_that_cannot_be_opened_does_no_harm(self, studio):
        transaction(lambda s: setattr(s.scalars(select(Connection)).first(), "provider", "unheard-of"))
        last_look.warm_up()

    def test_a_web_process_does_it_by_itself(self, studio, app, monkeypatch):
        is_warm = threading.Event()
        monkeypatch.setattr(last_look, "warm_up", is_warm.set)
        monkeypatch.setattr(web_server, "WARM_UP_AFTER", 0.01)
        listener = web_server.listen("127.0.0.1", 0)
        try:
            web_server._Server(app, listener).cfg.post_worker_init(SimpleNamespace(age=1))
        finally:
            listener.close()
        assert is_warm.wait(5)
