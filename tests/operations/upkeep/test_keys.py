"""A change of the encryption key leaves nothing that does not open, and forgets nothing that is sealed."""

from __future__ import annotations

import base64
import dataclasses
import os

import pytest
from sqlalchemy import select

from portal.booking.models import Booking
from portal.booking.operations import Customer, book
from portal.booking.time.queries import free_slots
from portal.calendars.account import seal_secret
from portal.calendars.models import Connection
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.errors import Invalid
from portal.extensions import db
from portal.intervals import Interval
from portal.security import load_sealer
from portal.upkeep.keys import SEALED, SHORT_LIVED, rotate, unreadable
from tests.factories import make_calendar, make_resource, make_service


@pytest.fixture
def sealed(app, tmp_path):
    """An instance with a key file of its own, a connection with a password and a booking with a manage link."""
    from datetime import timedelta

    settings = dataclasses.replace(app.extensions["settings"], data=tmp_path, encryption_keys="")
    kept, app.extensions["sealer"] = app.extensions["sealer"], load_sealer(settings)
    ana = make_resource()
    connection = make_calendar(ana).connection
    connection.sealed_secret = seal_secret(connection.id, {"password": "secret"})
    db.session.commit()
    service = make_service([ana])
    now = now_utc()
    slot = free_slots(db.session(), service, window=Interval(now, now + timedelta(days=9)), now=now)[0]
    customer = Customer(name="Carla", email="carla@customer.example")
    book(service_slug=service.slug, start_at=slot.interval.start, customer=customer, idempotency_key="k", now=now)
    yield settings
    app.extensions["sealer"] = kept


def texts():
    db.session.expire_all()
    return [
        db.session.scalars(select(Connection.sealed_secret)).one(),
        db.session.scalars(select(Booking.sealed_manage_token)).one(),
    ]


def test_everything_opens_with_the_new_key_and_nothing_with_the_old(sealed):
    old = load_sealer(sealed)
    assert unreadable(db.session(), sealer=old) == []
    before = texts()
    assert rotate(sealed) == 2
    new = load_sealer(sealed)
    assert unreadable(db.session(), sealer=new) == []
    assert len(unreadable(db.session(), sealer=old)) == 2
    assert all(a != b for a, b in zip(before, texts(), strict=True))
    path = sealed.data / "keys" / "encryption"
    assert "," not in path.read_text()  # the old one is forgotten
    assert path.stat().st_mode & 0o077 == 0


def test_a_failure_leaves_both_keys_so_that_all_still_opens(sealed):
    transaction(lambda session: setattr(session.scalars(select(Connection)).one(), "sealed_secret", "00000000.damaged"))
    with pytest.raises(Invalid):
        rotate(sealed)
    sentences = unreadable(db.session(), sealer=load_sealer(sealed))
    assert len(sentences) == 1
    assert "connection" in sentences[0]


def test_keys_from_the_environment_are_sealed_with_the_first(sealed):
    old = (sealed.data / "keys" / "encryption").read_text()
    new = base64.urlsafe_b64encode(os.urandom(32)).decode()
    both = dataclasses.replace(sealed, encryption_keys=f"{new},{old}")
    assert rotate(both) == 2
    assert unreadable(db.session(), sealer=load_sealer(dataclasses.replace(sealed, encryption_keys=new))) == []
    assert (sealed.data / "keys" / "encryption").read_text() == old


def test_no_sealed_column_is_forgotten():
    named = {(item.model.__tablename__, item.column) for item in SEALED}
    named |= {(model.__tablename__, column.name) for model in SHORT_LIVED for column in model.__table__.c}
    found = {
        (table.name, column.name)
        for table in db.metadata.tables.values()
        for column in table.c
        if "sealed" in column.name
    }
    assert found
    assert found <= named
