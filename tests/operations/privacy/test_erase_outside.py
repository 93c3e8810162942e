"""Erasing with the world outside: the events in a real calendar server, and a process that is killed in the middle."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from portal.app import create_app
from portal.booking.models import Booking, EventLink
from portal.calendars.connect import ChosenCalendar, connect_caldav
from portal.calendars.models import Calendar, RemoteObject
from portal.clock import now_utc
from portal.customers.models import Erasure
from portal.database.engine import transaction
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.privacy import erase
from portal.sync.pull.pull import pull
from portal.worker import drain
from portal.worker.jobs import handler_of
from tests.operations.customers.people import a_booking, a_service
from tests.providers.servers import RadicaleServer
from tests.support import databases

ADDRESS = "quillmarker@example.org"
MARKERS = ("quill", "555 0199", "notemarker", "answermarker")
CUSTOMER = {"name": "Zsofia Quill", "phone": "555 0199", "note": "notemarker", "answers": {"allergies": "answermarker"}}


@pytest.fixture(scope="module")
def radicale(tmp_path_factory):
    with RadicaleServer(tmp_path_factory.mktemp("radicale")) as server:
        yield server


def drain_all():
    for _ in range(60):
        works = drain.claim(10, topics=("calendar.publish", "calendar.outside", "customer.erase"))
        if not works:
            return
        for work in works:
            drain.do(work, handler_of(work.topic))
    raise AssertionError("The outbox never became empty.")


def stored(server, name):
    """All that the calendar server has of this calendar on its disk."""
    files = [
        path for path in server.collections.rglob("*.ics") if name in path.parts and ".Radicale.cache" not in path.parts
    ]
    return [path.read_text(encoding="utf-8") for path in files]


def test_in_a_real_calendar_the_events_no_longer_name_the_customer_those_of_the_past_too(radicale, app, monkeypatch):
    settings = dataclasses.replace(app.extensions["settings"], outbound_allow=("127.0.0.1",))
    monkeypatch.setitem(app.extensions, "settings", settings)
    name = f"work-{time.monotonic_ns()}"
    url = radicale.make_calendar("ana", name)
    resource_id = a_service().needs[0].resource_id
    chosen = ChosenCalendar(remote_id=url, is_destination=True)
    made = connect_caldav(resource_id=resource_id, url=url, username="ana", password="secret", chosen=[chosen])
    transaction(lambda session: setattr(session.get_one(Calendar, made.calendar_ids[0]), "privacy", "full"))
    pull(made.calendar_ids[0])
    with time_machine.travel(now_utc() - timedelta(days=20)):
        past = a_booking(ADDRESS, **CUSTOMER)
        drain_all()
    a_booking(ADDRESS, days=2, **CUSTOMER)
    a_booking("eva@example.org", "Eva Other", days=3)
    drain_all()
    pull(made.calendar_ids[0])
    assert sum("Zsofia Quill" in text for text in stored(radicale, name)) == 2
    erase.carry_on(erase.begin(ADDRESS, is_told=False, user_id=None, now=now_utc()), now=now_utc())
    drain_all()
    texts = stored(radicale, name)
    assert [marker for marker in MARKERS if marker in " ".join(texts).lower()] == []
    assert len(texts) == 2  # the one of the past, and Eva's
    assert sum("Eva Other" in text for text in texts) == 1
    pull(made.calendar_ids[0])
    db.session.rollback()
    assert not [row.summary for row in db.session.scalars(select(RemoteObject)) if "Quill" in row.summary]
    link = db.session.scalars(select(EventLink).where(EventLink.appointment_id == past.appointment_id)).one()
    assert (link.state, bool(link.etag)) == ("done", True)


@pytest.mark.parametrize("place", ["erase.after_cancel", "erase.after_batch"])
def test_a_process_killed_in_between_leaves_an_erasure_that_the_worker_finishes(make_settings, place):
    """K14: from the moment it was wanted it will be done, and the address is not lost on the way."""
    settings = make_settings()
    databases.migrate(settings)
    app = create_app(settings)
    with app.app_context():
        booking_id = a_booking(ADDRESS, **CUSTOMER).id
        db.session.remove()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LOCKSTEP_")},
            "LOCKSTEP_DATA": str(settings.data), "DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key,
            "LOCKSTEP_FAILPOINT": place,
        }  # fmt: skip
        command = [sys.executable, "-m", "portal", "customer", "erase", ADDRESS, "--silent", "--yes"]
        died = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert died.returncode == -signal.SIGKILL, died.stderr
        entry = db.session.scalars(select(OutboxEntry).where(OutboxEntry.topic == "customer.erase")).one()
        assert entry.state == "todo"
        db.session.rollback()
        drain_all()
        db.session.rollback()
        assert db.session.scalars(select(Erasure)).one().sealed_email is None
        booking = db.session.get(Booking, booking_id)
        assert (booking.status, booking.customer_email) == ("cancelled", "")
        db.session.remove()
        db.engine.dispose()


def test_the_command_exports_and_erases(make_settings, tmp_path):
    settings = make_settings()
    databases.migrate(settings)
    app = create_app(settings)
    with app.app_context():
        a_booking(ADDRESS, **CUSTOMER)
        db.session.remove()
        db.engine.dispose()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LOCKSTEP_")},
        "LOCKSTEP_DATA": str(settings.data), "DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key,
    }  # fmt: skip

    def run(*arguments):
        command = [sys.executable, "-m", "portal", "customer", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, input="n\n")

    file = tmp_path / "data.json"
    assert run("export", ADDRESS.upper(), "--file", str(file)).returncode == 0
    assert "notemarker" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    asked = run("erase", ADDRESS)
    assert asked.returncode != 0
    assert "1 bookings (1 to come are cancelled)" in asked.stderr
    assert "Zsofia" in run("export", ADDRESS).stdout
    assert run("erase", ADDRESS, "--silent", "--yes").stdout == "Erased.\n"
    gone = run("export", ADDRESS)
    assert (gone.returncode, "Nothing is stored" in gone.stderr) == (1, True)
