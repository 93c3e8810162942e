"""How long it takes to hand ten thousand reminders that are due in one minute to the outbox, on SQLite and on PostgreSQL."""

from __future__ import annotations

import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import func, insert, select

from portal.app import create_app
from portal.booking.models import Appointment, Booking
from portal.clock import now_utc
from portal.config import Settings
from portal.database.engine import read_transaction, transaction
from portal.extensions import db
from portal.notifications import reminders
from portal.outbox import OutboxEntry
from tests.factories import make_business, make_resource, make_service
from tests.support import databases, postgres

LIMIT = 30.0


def run(*, scale: float = 1.0) -> dict[str, dict[str, Any]]:
    """Name -> {"value", "unit", "limit"}."""
    count = max(int(10_000 * scale), 100)
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        figures = {f"{count} reminders due, SQLite": _measure(folder, databases.sqlite_url(folder), count)}
        programs = postgres.find_programs()
        if programs is None:
            return figures | {f"{count} reminders due, PostgreSQL": {"failed": postgres.MISSING}}
        cluster = postgres.Cluster(programs)
        try:
            url = databases.create_postgres_database(cluster.url, "bench_reminders")
            figures[f"{count} reminders due, PostgreSQL"] = _measure(folder, url, count)
        finally:
            cluster.stop()
    return figures


def _measure(folder: Path, url: str, count: int) -> dict[str, Any]:
    settings = Settings(data=folder, database_url=url, url="http://localhost", secret_key="bench" * 8)
    databases.migrate(settings)
    app = create_app(settings)
    with app.app_context():
        try:
            return _queue(app, count)
        finally:
            db.session.remove()
            db.engine.dispose()


def _queue(_app: Flask, count: int) -> dict[str, Any]:
    _fill(count)
    began = time.perf_counter()
    reminders.plan_everything()
    planned = time.perf_counter() - began
    began = time.perf_counter()
    queued = reminders.queue_due(now_utc() + timedelta(hours=2))
    seconds = time.perf_counter() - began
    written = read_transaction(
        lambda session: session.scalar(
            select(func.count(func.distinct(OutboxEntry.subject))).where(OutboxEntry.topic == reminders.TOPIC)
        )
    )
    if queued != count or written != count:
        return {"failed": f"{queued} of {count} reminders were queued, for {written} bookings"}
    return {"value": round(seconds, 2), "unit": "s", "limit": LIMIT, "planned_in": round(planned, 2)}


def _fill(count: int) -> None:
    """A hundred appointments in one minute, each fully booked, a day and an hour ahead."""
    make_business()
    service = make_service([make_resource()])
    start_at = now_utc().replace(microsecond=0) + timedelta(hours=25)
    each = max(count // 100, 1)

    def work(session: Any) -> None:
        for number in range(-(-count // each)):
            at = start_at + timedelta(seconds=number * 60 * each // count)
            end_at = at + timedelta(minutes=30)
            appointment = Appointment(
                service_id=service.id, start_at=at, end_at=end_at, claim_start_at=at, claim_end_at=end_at, capacity=each
            )
            session.add(appointment)
            session.flush()
            values = {"appointment_id": appointment.id, "status": "confirmed", "customer_email": "x@bench.example"}
            here = range(number * each, min((number + 1) * each, count))
            session.execute(insert(Booking), [values | {"public_id": f"{n:032}"} for n in here])

    transaction(work)
