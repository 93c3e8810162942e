"""A backup goes back into an empty instance, on either database, and nothing is sent before a person has looked."""

from __future__ import annotations

import dataclasses
import json
import stat
import zipfile
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.app import create_app
from portal.backups.backup import restore_backup, write_backup
from portal.booking.models import Booking, Claim
from portal.booking.operations import Customer, book
from portal.booking.time.queries import free_slots
from portal.business.models import Business, DateOverride, Service
from portal.calendars.models import Calendar, Connection
from portal.clock import now_utc
from portal.customers import codes
from portal.customers.models import MailedCode
from portal.database import schema
from portal.errors import Invalid, Refused
from portal.extensions import db
from portal.intervals import Interval
from portal.notifications.models import Reminder
from portal.outbox import OutboxEntry
from portal.privacy import erase
from portal.upkeep.doctor import examine, invariants
from tests.factories import make_calendar, make_resource, make_service
from tests.support import databases


@pytest.fixture
def full(app):
    """An instance with a booking that is still to be written and mailed; gives its settings."""
    from datetime import date

    ana = make_resource(slug="ana", overrides={date(2027, 1, 6): []})
    make_calendar(ana, last_read_at=now_utc())
    service = make_service([ana], slug="consultation", name="Größe \u2028 ✓")
    now = now_utc()
    slot = free_slots(db.session(), service, window=Interval(now, now + timedelta(days=9)), now=now)[0]
    customer = Customer(name="Carla", email="carla@customer.example")
    book(service_slug="consultation", start_at=slot.interval.start, customer=customer, idempotency_key="k", now=now)
    return app.extensions["settings"]


@pytest.fixture
def empty(app, full, make_settings, tmp_path):
    """A second instance beside the first, on the same kind of database, upgraded and empty; its app context is pushed."""
    settings = dataclasses.replace(make_settings(), data=tmp_path / "second")
    if db.engine.dialect.name == "postgresql":
        url = databases.create_postgres_database(full.database_url, "lockstep_test_restore")
        settings = dataclasses.replace(settings, database_url=url)
    else:
        settings = dataclasses.replace(settings, database_url=databases.sqlite_url(tmp_path))
    second = create_app(settings)

    @contextmanager
    def inside():
        with second.app_context():
            schema.upgrade()
            yield settings
            db.session.remove()
            db.engine.dispose()

    return inside


def test_everything_comes_back(full, empty, tmp_path):
    path = tmp_path / "backup.zip"
    count = write_backup(path, full)
    was = {
        model: db.session.scalars(select(model)).all()[0].__dict__.copy() for model in (Service, Business, DateOverride)
    }
    claims = len(db.session.scalars(select(Claim)).all())
    with empty() as settings:
        assert restore_backup(path, settings) == count
        for model, values in was.items():
            now = db.session.scalars(select(model)).one().__dict__
            assert {k: v for k, v in now.items() if k[0] != "_"} == {k: v for k, v in values.items() if k[0] != "_"}
        assert len(db.session.scalars(select(Claim)).all()) == claims > 0
        assert invariants(db.session()) == []
        assert (settings.data / "keys" / "encryption").read_text() == (full.data / "keys" / "encryption").read_text()
        make_resource(slug="new")  # ids go on after those that came back


def test_after_a_restore_nothing_goes_out_by_itself(full, empty, tmp_path):
    write_backup(tmp_path / "backup.zip", full)
    with empty() as settings:
        restore_backup(tmp_path / "backup.zip", settings)
        entries = {entry.topic: entry.state for entry in db.session.scalars(select(OutboxEntry))}
        assert entries == {"calendar.publish": "todo", "notify.customer": "dropped", "notify.staff": "dropped"}
        assert [row.state for row in db.session.scalars(select(Connection))] == ["paused"]
        assert [row.sync_token for row in db.session.scalars(select(Calendar))] == [None]
        assert db.session.scalars(select(Booking)).one().status == "confirmed"


def test_reminders_that_came_due_since_the_backup_are_not_sent_after_a_restore(full, empty, tmp_path):
    now = now_utc()
    booking_id = db.session.scalars(select(Booking.id)).one()
    for lead, due_at in ((60, now - timedelta(minutes=1)), (30, now + timedelta(days=1))):
        db.session.add(Reminder(booking_id=booking_id, lead=lead, due_at=due_at))
    db.session.commit()
    write_backup(tmp_path / "backup.zip", full)
    with empty() as settings:
        restore_backup(tmp_path / "backup.zip", settings)
        rows = db.session.scalars(select(Reminder).order_by(Reminder.lead))
        assert [(row.lead, row.state) for row in rows] == [(30, "waiting"), (60, "dropped")]


def test_an_erasure_that_had_begun_goes_on_after_a_restore_and_nobody_is_still_signed_in(full, empty, tmp_path):
    codes.ask_for_code("carla@customer.example", client="192.0.2.1", language="en", now=now_utc())
    erasure_id = erase.begin("carla@customer.example", is_told=False, user_id=None, now=now_utc())
    write_backup(tmp_path / "backup.zip", full)
    with empty() as settings:
        restore_backup(tmp_path / "backup.zip", settings)
        assert db.session.scalars(select(MailedCode)).all() == []
        erase.carry_on(erasure_id, now=now_utc())
        booking = db.session.scalars(select(Booking)).one()
        assert (booking.status, booking.customer_email) == ("cancelled", "")


def test_a_restore_overwrites_nothing(full, tmp_path):
    write_backup(tmp_path / "backup.zip", full)
    with pytest.raises(Refused, match="not empty"):
        restore_backup(tmp_path / "backup.zip", full)
    assert db.session.scalars(select(Booking)).one().status == "confirmed"


def test_a_backup_is_for_its_owners_eyes_only(full, tmp_path):
    path = tmp_path / "backup.zip"
    write_backup(path, full)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".part")] == []


@pytest.mark.parametrize("damage", ["text", "cut", "other version", "lacks a table"])
def test_a_damaged_backup_is_refused_and_nothing_is_changed(full, empty, tmp_path, damage):
    path = tmp_path / "backup.zip"
    write_backup(path, full)
    content = path.read_bytes()
    if damage == "text":
        path.write_text("hello")
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        _rewrite(path, damage)
    with empty() as settings:
        with pytest.raises(Invalid):
            restore_backup(path, settings)
        assert db.session.scalars(select(Business)).all() == []


def test_the_doctor_finds_a_restored_instance_well_but_paused(full, empty, tmp_path):
    write_backup(tmp_path / "backup.zip", full)
    with empty() as settings:
        restore_backup(tmp_path / "backup.zip", settings)
        findings = examine(strict=True)
        assert [f.sentence for f in findings if f.state == "bad" and f.subject != "worker and outbox"] == []
        assert any("Paused" in finding.sentence for finding in findings)


def _rewrite(path, damage):
    with zipfile.ZipFile(path) as old:
        files = {name: old.read(name) for name in old.namelist()}
    if damage == "other version":
        files["about.json"] = json.dumps({**json.loads(files["about.json"]), "revision": "0000"}).encode()
    else:
        del files["tables/claim.jsonl"]
    with zipfile.ZipFile(path, "w") as new:
        for name, content in files.items():
            new.writestr(name, content)
