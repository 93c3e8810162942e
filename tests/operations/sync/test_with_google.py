"""Push and limits against the stand-in for Google, which really sends its messages by HTTP to this portal's own address."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Flask
from sqlalchemy import update
from werkzeug.serving import make_server

from portal.business.models import Resource
from portal.calendars.account import account_of
from portal.calendars.models import BusyInterval, Calendar, Connection, PushSubscription
from portal.clock import now_utc
from portal.database.engine import read_transaction, transaction
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.sync.pull.pull import pull
from portal.sync.push import state as push_state
from portal.sync.push import subscriptions
from portal.worker import drain
from portal.worker.loops import Background
from providers.calendars.memory import MemoryCalendars
from tests.factories import make_resource, make_service
from tests.operations.sync.conftest import ALL_DAY, HOUR, Studio, at, fresh, rows
from tests.support.google import connect
from tests.support.google_server import GoogleAccount, GoogleServer

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleServer]:
    with GoogleServer(tmp_path_factory.mktemp("google")) as server:
        yield server


@pytest.fixture
def ana(google: GoogleServer) -> GoogleAccount:
    return google.account(f"ana-{time.monotonic_ns()}@gmail.example")


@pytest.fixture
def portal(app: Flask, google: GoogleServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """The portal on each database, with an address that Google's messages reach, and so rarely polling that only push can explain a reading."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    values: dict[str, Any] = {
        name.lower(): value for name, value in google.environment().items() if name.startswith("GOOGLE_")
    }
    url = f"http://127.0.0.1:{server.server_port}"
    settings = dataclasses.replace(
        app.extensions["settings"], url=url, outbound_allow=("127.0.0.1",), poll_seconds=600, **values
    )
    monkeypatch.setitem(app.extensions, "settings", settings)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield app
    server.shutdown()
    thread.join(5)
    server.server_close()
    google.clear_faults()


@pytest.fixture
def calendar_id(portal: Flask, ana: GoogleAccount) -> int:
    """Ana's own calendar, connected and read."""
    (made,) = connect(ana, make_resource(weekly=ALL_DAY, zone="UTC").id).calendar_ids
    pull(made)
    return made


def keep() -> None:
    """As the worker does it."""
    subscriptions.keep_subscriptions()
    for work in drain.claim(10, topics=("calendar.push",)):
        drain.do(work, subscriptions.keep_entry)


def until(is_so: Callable[[], Any], seconds: float = 6.0) -> float:
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < seconds, "It never came true."
        time.sleep(0.02)
    return time.monotonic() - began


def grow_older(by: timedelta) -> None:
    def work(session: Any) -> None:
        for row in session.scalars(db.select(PushSubscription)):
            row.created_at, row.expires_at = row.created_at - by, row.expires_at - by

    transaction(work)


def state(calendar_id: int) -> push_state.PushState:
    return push_state.push_state(db.session(), fresh(Calendar, calendar_id), now=now_utc())


def channels(google: GoogleServer, ana: GoogleAccount) -> list[dict[str, Any]]:
    return [channel for channel in google.channels() if channel["calendar_id"] == ana.email]


@pytest.fixture
def live(google: GoogleServer, ana: GoogleAccount, calendar_id: int) -> int:
    keep()
    until(lambda: state(calendar_id).is_live)
    return calendar_id


def test_a_channel_is_opened_and_its_first_message_confirms_it(google, ana, portal, live):
    (channel,) = channels(google, ana)
    assert channel["address"] == portal.extensions["settings"].url + "/hooks/google"
    (row,) = rows(PushSubscription)
    assert row.resource_id
    assert 6 * DAY < state(live).until - now_utc() <= 8 * DAY
    assert fresh(Calendar, live).notified_at is None


def test_a_change_in_google_is_read_within_two_seconds(google, ana, portal, live):
    loops = Background(portal)
    loops.start()
    time.sleep(1.5)
    ana.add_event(ana.email, "Dentist", at(2, 14), at(2, 15))
    took = until(lambda: rows(BusyInterval, BusyInterval.start_at == at(2, 14)))
    assert loops.stop(5)
    assert took < 2


def test_a_hundred_messages_cost_few_requests(google, ana, portal, live):
    loops = Background(portal)
    loops.start()
    time.sleep(0.5)
    since, began = google.log()[-1]["no"], time.monotonic()
    for _ in range(100):
        google.push(ana.email)
    ana.add_event(ana.email, "Dentist", at(2, 14), at(2, 15))
    until(lambda: rows(BusyInterval, BusyInterval.start_at == at(2, 14)))
    time.sleep(0.3)
    seconds = time.monotonic() - began
    assert loops.stop(5)
    lists = [one for one in google.log(since) if one["method"] == "GET" and ana.email in unquote(one["path"])]
    assert 1 <= len(lists) <= seconds / 1.4 + 2


def test_a_renewal_overlaps_and_then_ends_the_old_channel(google, ana, live):
    (old,) = channels(google, ana)
    grow_older(4 * DAY)
    keep()
    until(lambda: all(row.confirmed_at for row in rows(PushSubscription)))
    keep()
    (new,) = channels(google, ana)
    assert new["id"] != old["id"]
    assert [row.subscription_id for row in rows(PushSubscription)] == [new["id"]]
    assert state(live).is_live


def test_a_renewal_that_google_refuses_keeps_the_old_channel(google, ana, live):
    (old,) = channels(google, ana)
    grow_older(4 * DAY)
    google.fault(path="watch", kind="status", status=403, reason="forbidden")
    keep()
    assert [channel["id"] for channel in channels(google, ana)] == [old["id"]]
    assert state(live).is_live
    assert fresh(Calendar, live).connection.state == "connected"


def test_an_answer_of_google_that_was_lost_is_made_up_for_by_its_first_message(google, ana, calendar_id):
    google.fault(path="watch", kind="lost")
    keep()
    until(lambda: state(calendar_id).is_live)
    (row,) = rows(PushSubscription)
    assert row.resource_id
    assert row.expires_at > now_utc() + 6 * DAY


def test_when_google_refuses_the_page_says_why_and_polling_goes_on(google, ana, calendar_id):
    google.fault(path="watch", kind="status", status=403, reason="forbidden", times=5)
    keep()
    keep()
    assert not state(calendar_id).is_live
    assert "Google" in state(calendar_id).reason
    assert fresh(Calendar, calendar_id).connection.state == "connected"
    asked = [one for one in google.log() if "watch" in one["path"] and ana.email in unquote(one["path"])]
    assert len(asked) == 1, "no alarm loop"


def test_a_pause_stops_the_channel(google, ana, live):
    transaction(lambda session: session.execute(update(Connection).values(state="paused")))
    keep()
    assert channels(google, ana) == []
    assert rows(PushSubscription) == []


def test_disconnecting_stops_the_channel(google, ana, live):
    account = read_transaction(lambda session: account_of(session.get_one(Calendar, live).connection))
    subscriptions.stop_all(account)
    assert channels(google, ana) == []
    assert rows(PushSubscription) == []


def test_messages_of_a_channel_that_was_given_up_change_nothing(google, ana, live):
    transaction(lambda session: session.execute(update(PushSubscription).values(ended_at=now_utc())))
    before = fresh(Calendar, live).notified_at
    google.push(ana.email)
    until(lambda: len(channels(google, ana)[0]["sent"]) >= 2)
    assert channels(google, ana)[0]["sent"][-1]["status"] == 204
    assert fresh(Calendar, live).notified_at == before


def test_waiting_writes_and_a_limit_cost_few_requests_and_all_are_written(google, ana, portal, calendar_id):
    resource = db.session.get_one(Resource, fresh(Calendar, calendar_id).resource_id)
    service = make_service([resource], duration=60, step=30)
    studio = Studio(resource.id, calendar_id, service.slug, MemoryCalendars())
    for n in range(20):
        studio.book(at(3, 0) + n * HOUR)
    google.fault(method="POST", path="/events", kind="status", status=403, reason="rateLimitExceeded", times=2)
    since = google.log()[-1]["no"]
    loops = Background(portal)
    loops.start()
    until(lambda: len(ana.events(ana.email)) == 20, seconds=40)
    assert loops.stop(5)
    inserts = [one for one in google.log(since) if one["method"] == "POST" and one["path"].endswith("/events")]
    assert len(inserts) <= 20 + 3
    assert fresh(Calendar, calendar_id).connection.state == "connected"


def test_a_used_up_quota_is_told_at_once_and_nothing_more_is_asked(google, ana, portal, calendar_id):
    make_service([make_resource()])
    google.fault(path="/events", kind="status", status=403, reason="quotaExceeded", times=50)
    transaction(lambda session: session.execute(update(Calendar).values(next_read_at=now_utc())))
    since = google.log()[-1]["no"]
    loops = Background(portal)
    loops.start()
    until(lambda: fresh(Calendar, calendar_id).connection.state == "degraded")
    time.sleep(2)
    assert loops.stop(5)
    assert len([one for one in google.log(since) if ana.email in unquote(one["path"])]) == 1
    assert "used up" in fresh(Calendar, calendar_id).connection.state_reason
    assert [entry.payload["state"] for entry in rows(OutboxEntry, OutboxEntry.topic == "notify.staff")] == ["degraded"]


def test_the_portal_asks_google_nothing_that_is_not_well_made(google, ana, live):
    assert google.violations() == []
