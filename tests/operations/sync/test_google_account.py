"""The life of a Google account in the portal, against the stand-in: refreshed, disconnected, its permission given back, connected again."""

from __future__ import annotations

import dataclasses
import time
from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.booking.models import EventLink
from portal.calendars.models import Calendar, Connection, PushSubscription
from portal.clock import now_utc
from portal.database.engine import read_transaction
from portal.extensions import db
from portal.sync.account import disconnect, disconnecting, operations
from portal.sync.account.catch_up_card import card_of
from portal.sync.account.consent import renew_consent
from portal.sync.publish.publish import publish_entry
from portal.sync.pull.pull import pull
from portal.sync.push import subscriptions
from portal.sync.reconcile import reconcile
from portal.worker import drain
from tests.factories import make_resource, make_service
from tests.operations.sync.conftest import ALL_DAY, Studio, at, rows
from tests.support.google import account_and_secret, connect
from tests.support.google_server import GoogleServer


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    with GoogleServer(tmp_path_factory.mktemp("google")) as server:
        yield server


@pytest.fixture
def ana(google, sqlite_app, monkeypatch):
    """A Google account of her own in each test; the portal knows this Google."""
    values = {name.lower(): value for name, value in google.environment().items() if name.startswith("GOOGLE_")}
    settings = dataclasses.replace(sqlite_app.extensions["settings"], **values, outbound_allow=("127.0.0.1",))
    monkeypatch.setitem(sqlite_app.extensions, "settings", settings)
    yield google.account(f"ana-{time.monotonic_ns()}@gmail.example")
    google.clear_faults()


@pytest.fixture
def studio(ana):
    resource = make_resource(weekly=ALL_DAY, zone="UTC")
    service = make_service([resource], duration=60, step=30)
    made = connect(ana, resource.id)
    studio = Studio(resource.id, made.calendar_ids[0], service.slug, None)  # type: ignore[arg-type]
    pull(studio.calendar_id)
    return studio


def drain_all():
    handlers = {
        "calendar.publish": publish_entry, disconnecting.TOPIC: disconnect.farewell, "calendar.push": subscriptions.keep_entry,
    }  # fmt: skip
    for _ in range(10):
        works = drain.claim(10, topics=handlers)
        if not works:
            return
        for work in works:
            drain.do(work, handlers[work.topic])


def booked(studio, start_at):
    appointment_id = studio.book(start_at)
    drain_all()
    return appointment_id


def ours(person):
    """(id, start) of the events of ours that stand in her calendar."""
    events = [event for event in person.events(person.email) if event.get("extendedProperties")]
    return sorted((event["id"], event["start"]["dateTime"]) for event in events)


def leave(studio, *, take_away):
    connection_id = studio.connection().id
    operations.disconnect(connection_id, take_away=take_away, by="Ana", now=now_utc())
    drain_all()


def again(studio, person):
    """The same account, connected once more."""
    studio.calendar_id = connect(person, studio.resource_id).calendar_ids[0]
    pull(studio.calendar_id)
    reconcile(studio.calendar_id)
    drain_all()


def test_disconnecting_takes_the_events_away_ends_push_and_gives_the_permission_back(studio, ana, google):
    booked(studio, at(2, 10))
    booked(studio, at(3, 10))
    ana.add_event(ana.email, "Dentist", at(2, 14), at(2, 15))
    subscriptions.keep_subscriptions()
    drain_all()
    assert [channel["calendar_id"] for channel in google.channels()] == [ana.email]
    leave(studio, take_away=True)
    assert ours(ana) == []
    assert [event["summary"] for event in ana.events(ana.email)] == ["Dentist"]
    assert google.channels() == []
    assert not ana.grant_state()["granted"]
    assert rows(Connection) == rows(PushSubscription) == []
    assert google.violations() == []


def test_events_that_stay_are_taken_up_again_when_it_is_connected_again(studio, ana):
    kept = booked(studio, at(2, 10))
    before = ours(ana)
    leave(studio, take_away=False)
    assert ours(ana) == before
    assert not ana.grant_state()["granted"]
    again(studio, ana)
    assert ours(ana) == before
    assert [(link.appointment_id, link.state) for link in rows(EventLink)] == [(kept, "done")]
    assert studio.conflicts() == []


def test_events_that_were_taken_away_are_written_once_more_under_their_old_ids(studio, ana):
    """Google remembers deleted ids for ever, so this is a change of what was deleted, and no second event."""
    booked(studio, at(2, 10))
    before = ours(ana)
    leave(studio, take_away=True)
    again(studio, ana)
    assert ours(ana) == before


def test_a_permission_that_another_connection_uses_stays(studio, ana):
    other = make_resource(weekly=ALL_DAY, zone="UTC")
    connect(ana, other.id)
    leave(studio, take_away=False)
    assert ana.grant_state()["granted"]
    last = db.session.scalars(select(Connection.id)).one()
    db.session.rollback()
    operations.disconnect(last, take_away=False, by="Ana", now=now_utc())
    drain_all()
    assert not ana.grant_state()["granted"]


def test_a_permission_that_cannot_be_given_back_keeps_nobody(studio, ana, google):
    google.fault(path="/revoke", status=503, times=5)
    leave(studio, take_away=False)
    assert rows(Connection) == []


def test_an_account_that_was_revoked_says_so_and_may_be_left_as_it_is(studio, ana):
    booked(studio, at(2, 10))
    ana.revoke()
    ana.expire_access_tokens()
    leave(studio, take_away=True)
    connection_id = studio.connection().id
    parting = read_transaction(
        lambda s: disconnecting.parting_of(s, s.get_one(Connection, connection_id), now=now_utc())
    )
    assert (parting.remaining, parting.may_force) == (1, True)
    operations.disconnect_anyway(connection_id, by="Ana", now=now_utc())
    assert rows(Connection) == []
    assert len(ours(ana)) == 1


def test_a_refreshed_account_tells_what_changed_meanwhile_and_writes_what_waited(studio, ana):
    moved = ana.add_event(ana.email, "Dentist", at(2, 14), at(2, 15))
    gone = ana.add_event(ana.email, "Lunch", at(2, 12), at(2, 13))
    pull(studio.calendar_id)
    ana.revoke()
    studio.book(at(5, 10))
    drain_all()
    ana.add_event(ana.email, "Choir", at(4, 18), at(4, 20))
    ana.move_event(ana.email, moved, at(5, 16))
    ana.remove_event(ana.email, gone)
    account, secret = account_and_secret(ana)
    renew_consent(studio.connection().id, account=account, secret=secret, by="Ana", now=now_utc())
    drain_all()
    pull(studio.calendar_id)
    card = read_transaction(
        lambda s: card_of(
            s, s.get_one(Calendar, studio.calendar_id), now=now_utc() + timedelta(seconds=1), with_titles=True
        )
    )
    assert [change.summary for change in card.new.first] == ["Choir"]
    assert [(change.summary, change.start_at) for change in card.moved.first] == [("Dentist", at(5, 16))]
    assert [change.summary for change in card.gone.first] == ["Lunch"]
    assert (card.waited, card.written) == (1, 1)
