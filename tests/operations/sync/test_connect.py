"""Connecting an account, giving it a new password, and letting it go."""

from __future__ import annotations

import pytest

from portal.booking.models import EventLink
from portal.calendars import connect
from portal.calendars.account import account_of, unseal_secret
from portal.calendars.connect import ChosenCalendar, connect_caldav, list_remote
from portal.calendars.models import BusyInterval, Calendar, Connection, RemoteObject
from portal.calendars.open import kept_provider, provider_of
from portal.clock import now_utc
from portal.errors import Invalid, NotFound
from portal.extensions import db
from portal.sync import due
from portal.sync.account.operations import disconnect, refresh_connection
from portal.sync.models import LedgerLine
from providers.errors import AccessRevoked, Misconfigured, Temporary
from tests.factories import make_resource
from tests.operations.sync.conftest import MemoryCalendars, at, fresh, rows


@pytest.fixture
def store(app):
    store = MemoryCalendars.open("account")
    store.add_calendar("private", name="Private")
    return store


def connected(chosen=None, resource_id=None):
    return connect_caldav(
        resource_id=resource_id or make_resource(zone="Europe/Madrid").id,
        url="account",
        username="ana",
        password="secret-word",
        chosen=chosen or [ChosenCalendar(remote_id="calendar", name="Work", is_destination=True)],
        provider="memory",
    )


def test_an_account_shows_its_calendars(store):
    assert [c.name for c in list_remote("account", "ana", "x", provider="memory")] == ["Calendar", "Private"]


def test_connecting_proves_each_calendar_readable_and_counts_what_blocks(store):
    store.add_event("calendar", "Dentist", at(2, 10), at(2, 11))
    result = connected([ChosenCalendar(remote_id="calendar", is_destination=True), ChosenCalendar(remote_id="private")])
    assert result.busy_counts == {"calendar": 1, "private": 0}
    calendar = fresh(Calendar, result.calendar_ids[0])
    assert (calendar.zone, calendar.is_destination, calendar.last_read_at) == ("Europe/Madrid", True, None)


def test_a_new_calendar_counts_as_stale_and_its_first_reading_is_due_at_once(store):
    calendar = fresh(Calendar, connected().calendar_ids[0])
    reading = due.Reading(
        connection_state=calendar.connection.state, last_read_at=calendar.last_read_at, failures=calendar.failures,
        next_read_at=calendar.next_read_at, lease_until=calendar.read_lease_until,
    )  # fmt: skip
    assert due.is_due(reading, now=now_utc())


def test_the_secret_is_sealed_and_opens_only_in_its_own_row(store):
    first, second = connected(), connected([ChosenCalendar(remote_id="private")])
    sealed = fresh(Connection, first.id).sealed_secret
    assert "secret-word" not in sealed
    assert unseal_secret(account_of(fresh(Connection, first.id))) == {"password": "secret-word"}
    stolen = fresh(Connection, second.id)
    stolen.sealed_secret = sealed
    db.session.commit()
    account = account_of(fresh(Connection, second.id))
    db.session.rollback()
    with pytest.raises(Misconfigured), provider_of(account):
        pass


def test_an_account_that_cannot_be_read_is_not_connected(store):
    store.fail_always(AccessRevoked("The password is not accepted."))
    with pytest.raises(AccessRevoked):
        connected()
    assert rows(Connection) == []


def test_a_calendar_that_is_too_slow_for_a_proof_is_connected_if_another_answered(store):
    chosen = [ChosenCalendar(remote_id="calendar"), ChosenCalendar(remote_id="private")]
    busy = store.busy
    store.busy = lambda ref, window: busy(ref, window) if ref.remote_id == "calendar" else slow()

    def slow():
        raise Temporary("did not answer in time")

    assert connected(chosen).busy_counts == {"calendar": 0, "private": None}


def test_the_same_calendar_is_not_connected_twice(store):
    resource_id = make_resource().id
    connected(resource_id=resource_id)
    with pytest.raises(Invalid):
        connected(resource_id=resource_id)
    assert len(rows(Connection)) == 1


def test_nothing_chosen_and_nobody_to_connect_are_refused(store):
    with pytest.raises(Invalid):
        connect_caldav(resource_id=1, url="account", username="ana", password="x", chosen=[], provider="memory")
    with pytest.raises(NotFound):
        connected(resource_id=999)


def test_a_new_password_keeps_every_mapping_and_mends_the_connection(studio):
    appointment_id = studio.booked(at(2, 10))
    studio.store.fail_next("changes", AccessRevoked("no"))
    with pytest.raises(AccessRevoked):
        studio.pull()
    link = studio.link(appointment_id).id
    refresh_connection(studio.connection().id, password="new word")
    connection = studio.connection()
    assert connection.state == "connected"
    assert unseal_secret(account_of(connection)) == {"password": "new word"}
    assert studio.link(appointment_id).id == link
    assert studio.calendar().next_read_at <= now_utc()


def test_a_new_password_that_is_wrong_changes_nothing(studio):
    before = studio.connection().sealed_secret
    studio.store.fail_next("list_calendars", AccessRevoked("no"))
    with pytest.raises(AccessRevoked):
        refresh_connection(studio.connection().id, password="wrong")
    assert studio.connection().sealed_secret == before


def test_disconnecting_forgets_what_was_read_and_leaves_written_events_where_they_are(studio):
    studio.booked(at(2, 10))
    studio.store.add_event("calendar", "Dentist", at(2, 14), at(2, 15))
    studio.pull()
    connection_id = studio.connection().id
    for _ in range(2):
        assert disconnect(connection_id, take_away=False, by="Ana", now=now_utc())
    for table in (Connection, Calendar, RemoteObject, BusyInterval, EventLink):
        assert rows(table) == [], table
    assert len(studio.events()) == 2
    assert rows(LedgerLine)[-1].kind == "disconnected"


def test_a_server_may_not_be_asked_while_a_transaction_is_open(studio):
    connection = studio.connection()
    account = account_of(connection)
    assert db.session().in_transaction()
    with pytest.raises(RuntimeError), kept_provider(account):
        pass


def test_every_step_of_connecting_is_bounded_in_time():
    assert connect.BUDGET <= 20
