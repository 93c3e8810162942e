"""SECURITY K12: the worker is killed between the mail server's 250 and the database's note of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from flask import Flask
from sqlalchemy import select, update

from portal.app import create_app
from portal.booking import operations
from portal.booking.operations import Customer
from portal.booking.time.queries import soonest_slots
from portal.clock import now_utc
from portal.config import Settings
from portal.database.engine import transaction
from portal.extensions import db
from portal.notifications.models import Mail
from portal.outbox import OutboxEntry
from tests.factories import make_resource, make_service
from tests.operations.notifications.test_smtp import Mailbox, free_port
from tests.support import databases

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield box, controller.port
    controller.stop()


@pytest.fixture
def instance(make_settings: Callable[..., Settings], mailbox: tuple[Mailbox, int]) -> Iterator[Flask]:
    settings = make_settings(smtp_url=f"smtp://127.0.0.1:{mailbox[1]}")
    databases.migrate(settings)
    app = create_app(settings)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def test_a_mail_whose_sending_was_not_noted_is_sent_once_more_under_the_same_name(instance, mailbox, tmp_path):
    box, _port = mailbox
    service = make_service([make_resource()])
    slot = soonest_slots(db.session(), service, now=now_utc(), limit=1)[0]
    zoe = Customer(name="Zoë", email="zoe@customer.example")
    operations.book(
        service_slug=service.slug,
        start_at=slot.interval.start,
        customer=zoe,
        idempotency_key="killed-once",
        now=now_utc(),
    )

    killed = start_worker(instance, LOCKSTEP_FAILPOINT="mail.after_send")
    assert killed.wait(PATIENCE) == -signal.SIGKILL
    assert len(box.received) == 1
    assert one(Mail).state == "sending"
    assert entry().state == "todo"

    let_leases_end()
    worker = start_worker(instance)
    try:
        wait_for(lambda: entry().state == "done")
    finally:
        worker.terminate()
    assert worker.wait(PATIENCE) == 0
    assert one(Mail).state == "sent"
    first, second = (message_from_bytes(content, policy=policy.default) for _, _, content in box.received)
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Subject"] == second["Subject"]


def start_worker(app: Flask, **more: str) -> subprocess.Popen[bytes]:
    settings: Settings = app.extensions["settings"]
    environ = {
        **os.environ,
        "LOCKSTEP_DATA": str(settings.data),
        "DATABASE_URL": settings.database_url,
        "SECRET_KEY": settings.secret_key,
        "SMTP_URL": settings.smtp_url,
        "REDIS_URL": "",
        **more,
    }
    return subprocess.Popen([sys.executable, str(ROOT / "worker.py")], env=environ, cwd=settings.data)


def let_leases_end() -> None:
    """What a minute and a half would do."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    leased = update(OutboxEntry).where(OutboxEntry.lease_token.is_not(None)).values(lease_until=past)
    transaction(lambda session: session.execute(leased))


def entry() -> OutboxEntry:
    db.session.rollback()
    return db.session.scalars(select(OutboxEntry).where(OutboxEntry.topic == "notify.customer")).one()


def one(model):
    db.session.rollback()
    return db.session.scalars(select(model)).one()


def wait_for(condition: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends_at, "it did not happen in time"
        time.sleep(0.1)
