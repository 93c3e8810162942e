"""Forgetting by age: what is too old loses its person, what is not stays, and old mails go in any case."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import func, select

from portal.booking.models import Booking, WaitlistEntry
from portal.clock import now_utc
from portal.customers.models import Erasure
from portal.database.engine import transaction
from portal.errors import Invalid
from portal.extensions import db
from portal.notifications.models import Mail
from portal.outbox import OutboxEntry
from portal.privacy import forget, retention
from portal.upkeep.invariants import invariants
from tests.operations.customers.people import a_booking
from tests.support import mails


@pytest.fixture
def folder(app, tmp_path):
    kept = app.extensions["settings"]
    app.extensions["settings"] = dataclasses.replace(kept, data=tmp_path)
    app.extensions.pop("messenger", None)
    (tmp_path / "mail").mkdir()
    yield tmp_path / "mail"
    app.extensions["settings"] = kept


def past(days, email="maria@example.org", **customer):
    with time_machine.travel(now_utc() - timedelta(days=days)):
        booking = a_booking(email, **customer)
        mails.deliver_all()
        return booking.id


def names():
    db.session.rollback()
    return db.session.scalars(select(Booking.customer_name).order_by(Booking.id)).all()


def test_without_an_age_customers_stay_for_good(app, folder):
    past(400)
    assert retention.keep_retention(now=now_utc()) == (0, 0)
    assert names() == ["María Pérez"]


def test_only_what_is_older_loses_its_person(app, folder):
    past(100)
    past(20)
    a_booking("maria@example.org", days=2)
    retention.set_retention(60)
    assert retention.would_forget(60, now=now_utc()) == (1, 0)
    assert retention.keep_retention(now=now_utc()) == (1, 0)
    assert names() == ["", "María Pérez", "María Pérez"]
    assert retention.keep_retention(now=now_utc()) == (0, 0)
    erasure = db.session.scalars(select(Erasure)).one()
    assert (erasure.reason, erasure.bookings, erasure.user_id, erasure.sealed_email) == ("retention", 1, None, None)
    assert invariants(db.session()) == []


def test_it_goes_in_batches_and_comes_to_an_end(app, folder, monkeypatch):
    for number in range(5):
        past(100 + number)
    retention.set_retention(60)
    monkeypatch.setattr(forget, "BATCH", 2)
    assert retention.keep_retention(now=now_utc()) == (5, 0)
    assert db.session.scalar(select(func.sum(Erasure.bookings))) == 5


def test_entries_that_ended_long_ago_go_and_those_that_wait_stay(app, folder):
    service = a_booking("eva@example.org").appointment.service
    values = {"service_id": service.id, "wish": "any", "customer_name": "Marker", "customer_email": "m@example.org"}

    def entries(session):
        session.add(
            WaitlistEntry(
                public_id="1", token_hash="1", status="left", ended_at=now_utc() - timedelta(days=90), **values
            )
        )
        session.add(
            WaitlistEntry(
                public_id="2", token_hash="2", status="left", ended_at=now_utc() - timedelta(days=9), **values
            )
        )
        session.add(
            WaitlistEntry(
                public_id="3", token_hash="3", status="waiting", joined_at=now_utc() - timedelta(days=90), **values
            )
        )

    transaction(entries)
    retention.set_retention(60)
    assert retention.keep_retention(now=now_utc()) == (0, 1)
    found = db.session.scalars(select(WaitlistEntry.customer_name).order_by(WaitlistEntry.public_id)).all()
    assert found == ["", "Marker", "Marker"]


def test_mails_go_with_their_booking_and_after_half_a_year_in_any_case(app, folder):
    past(200, "old@example.org")
    past(100, "newer@example.org")
    assert len(list(folder.iterdir())) == db.session.scalar(select(func.count(Mail.id))) == 4
    retention.keep_retention(now=now_utc())
    db.session.rollback()
    assert {row.recipient for row in db.session.scalars(select(Mail))} == {"newer@example.org", "ana@studio.example"}
    assert len(list(folder.iterdir())) == 2
    retention.set_retention(60)
    retention.keep_retention(now=now_utc())
    db.session.rollback()
    assert db.session.scalar(select(func.count(Mail.id))) == 0
    assert list(folder.iterdir()) == []


def test_a_file_whose_row_is_gone_goes_by_its_own_age(app, folder):
    (folder / "20200101T100000000-booked-0a1b2c3d.eml").write_text("old")
    (folder / f"{now_utc():%Y%m%dT%H%M%S}000-booked-0a1b2c3e.eml").write_text("new")
    (folder / "notes.txt").write_text("not ours")
    retention.keep_retention(now=now_utc())
    assert sorted(path.read_text() for path in folder.iterdir()) == ["new", "not ours"]


def test_what_is_just_being_mailed_waits_for_the_next_hour(app, folder):
    with time_machine.travel(now_utc() - timedelta(days=100)):
        a_booking("maria@example.org")
    retention.set_retention(60)
    works = mails.claim()
    assert retention.keep_retention(now=now_utc()) == (0, 0)
    for work in works:
        mails.deliver(work)
    assert retention.keep_retention(now=now_utc()) == (1, 0)
    assert db.session.scalar(select(func.count(OutboxEntry.id)).where(OutboxEntry.subject.startswith("booking:"))) == 0


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_an_age_that_is_none_is_refused(app, days):
    with pytest.raises(Invalid):
        retention.set_retention(days)
