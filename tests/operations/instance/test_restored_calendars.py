"""Backup, book, restore, book: against a real CalDAV server and the stand-in for Google, from the file to the last event."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.app import create_app
from portal.backups.backup import restore_backup, write_backup
from portal.booking.models import Booking
from portal.booking.operations import cancel_booking
from portal.booking.rules import Customer
from portal.booking.taking_up import Person, Wanted
from portal.booking.time.queries import free_slots
from portal.business.models import Service
from portal.calendars.connect import ChosenCalendar, connect_account
from portal.calendars.models import Calendar, Connection
from portal.calendars.open import calendar_ref, provider_of
from portal.clock import now_utc
from portal.database import schema
from portal.errors import NotAllowedNow
from portal.extensions import db
from portal.intervals import Interval
from portal.outbox import OutboxEntry, work_of
from portal.sync.account import operations
from portal.sync.outside import unknown
from portal.sync.pull.pull import pull
from portal.upkeep.adoption import adopt, settle
from tests.factories import make_resource, make_service
from tests.operations.sync.conftest import ALL_DAY, Studio, at, clean_slate, fresh, rows
from tests.providers.servers import RadicaleServer
from tests.support import databases
from tests.support.copies import inside
from tests.support.google import connect
from tests.support.google_server import GoogleServer

__all__ = ["clean_slate"]


@pytest.fixture(scope="module")
def radicale(tmp_path_factory):
    with RadicaleServer(tmp_path_factory.mktemp("radicale")) as server:
        yield server


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    with GoogleServer(tmp_path_factory.mktemp("google")) as server:
        yield server


@pytest.fixture(params=["caldav", "google"])
def studio(request, app, monkeypatch) -> Studio:
    """A studio whose calendar stands at a server; its store is nobody's."""
    values: dict = {"outbound_allow": ("127.0.0.1",)}
    if request.param == "google":
        google = request.getfixturevalue("google")
        values |= {name.lower(): value for name, value in google.environment().items() if name.startswith("GOOGLE_")}
    monkeypatch.setitem(app.extensions, "settings", dataclasses.replace(app.extensions["settings"], **values))
    settle()
    ana = make_resource(weekly=ALL_DAY, zone="UTC")
    service = make_service([ana], duration=60, step=60)
    if request.param == "google":
        person = google.account(f"ana-{time.monotonic_ns()}@gmail.example")
        (calendar_id,) = connect(person, ana.id).calendar_ids
    else:
        calendar_id = _radicale_calendar(request.getfixturevalue("radicale"), ana.id)
    made = Studio(ana.id, calendar_id, service.slug, None)  # type: ignore[arg-type]
    made.pull()
    return made


def test_a_restored_portal_touches_nothing_that_was_booked_since(app, studio, tmp_path):
    known = studio.booked(at(3, 1))
    write_backup(tmp_path / "backup.zip", app.extensions["settings"])
    lost = studio.booked(at(3, 9))
    with _restored(app.extensions["settings"], tmp_path):
        statuses = {studio.booking(studio.book(at(3, hour))).status for hour in (9, 12)}
        assert statuses == {"pending"}  # nothing is promised blindly
        with pytest.raises(NotAllowedNow):
            operations.resume_connection(studio.connection().id)
        adopt(by="Olga", now=now_utc())
        operations.resume_connection(studio.connection().id)
        pull(studio.calendar_id)
        studio.publish_all()
        assert {booking.appointment.start_at: booking.status for booking in rows(Booking)} == {
            at(3, 1): "confirmed", at(3, 9): "pending", at(3, 12): "confirmed",
        }  # fmt: skip
        new = studio.booked(at(3, 6))
        assert lost in range(known + 1, new + 1)  # the number was given again
        assert _events(studio) == [at(3, hour) for hour in (1, 6, 9, 12)]
        assert at(3, 9) not in _offered(studio)

        (row,) = unknown.open_rows(db.session())
        assert row.start_at == at(3, 9)
        _refuse_pending()
        service_id, interval = db.session.scalars(select(Service.id)).one(), Interval(row.start_at, row.end_at)
        wanted = Wanted(service_id=service_id, interval=interval, resource_ids=(studio.resource_id,))
        unknown_id = row.id
        db.session.rollback()
        taken = unknown.take_up(unknown_id, wanted, [Person(Customer("Eva", ""))], user_id=None, now=now_utc())
        studio.publish_all()
        for entry in rows(OutboxEntry, OutboxEntry.topic == unknown.TOPIC):
            unknown.clear_away(work_of(entry))
        pull(studio.calendar_id, is_complete=True)
        assert _events(studio) == [at(3, hour) for hour in (1, 6, 9, 12)]
        assert studio.link(taken).state == "done"
        assert (unknown.open_rows(db.session()), studio.conflicts(), studio.questions()) == ([], [], [])
        cancel_booking(studio.booking(known).id, by="staff", now=now_utc())
        studio.publish_all()
        assert _events(studio) == [at(3, hour) for hour in (6, 9, 12)]  # what the backup knows keeps its name


@contextmanager
def _restored(settings, tmp_path) -> Iterator[None]:
    """Inside of another installation into which the backup was put."""
    if db.engine.dialect.name == "postgresql":
        url = databases.create_postgres_database(settings.database_url, "lockstep_test_restore")
    else:
        url = databases.sqlite_url(tmp_path)
    second = dataclasses.replace(settings, data=tmp_path / "second", database_url=url)
    with inside(create_app(second)):
        schema.upgrade()
        restore_backup(tmp_path / "backup.zip", second)
        yield


def _radicale_calendar(server: RadicaleServer, resource_id: int) -> int:
    server.make_calendar("ana", f"work-{resource_id}-{time.monotonic_ns()}")
    name = sorted(path.name for path in (server.collections / "ana").iterdir() if path.is_dir())[-1]
    url = server.calendar_url("ana", name)
    username, password = server.credentials()
    done = connect_account(
        resource_id=resource_id, provider="caldav", account={"url": url, "username": username},
        secret={"password": password}, chosen=[ChosenCalendar(remote_id=url, name="Work", zone="UTC", is_destination=True)],
    )  # fmt: skip
    return done.calendar_ids[0]


def _events(studio: Studio) -> list:
    """When the events with our mark stand, as the server has them."""
    calendar = fresh(Calendar, studio.calendar_id)
    ref, connection = calendar_ref(calendar), db.session.get_one(Connection, calendar.connection_id)
    from portal.calendars.account import account_of

    account = account_of(connection)
    db.session.rollback()
    window = (now_utc() - timedelta(days=1), now_utc() + timedelta(days=30))
    with provider_of(account) as provider:
        batch = provider.changes(ref, None, window=window, known={})
    return sorted(event.start_at for event in batch.upserts if event.mark is not None and not event.is_cancelled)


def _refuse_pending() -> None:
    from portal.booking.operations import refuse_booking

    for booking in rows(Booking, Booking.status == "pending"):
        refuse_booking(booking.id, now=now_utc())


def _offered(studio: Studio) -> set:
    db.session.rollback()
    service = db.session.scalars(select(Service)).one()
    window = Interval(at(3, 0), at(4, 0))
    return {slot.interval.start for slot in free_slots(db.session(), service, window=window, now=now_utc())}
