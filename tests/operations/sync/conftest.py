"""A studio with one member of staff, her calendar in memory, and a person who does things in it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import inspect, select

from portal import outbox
from portal.booking.models import Appointment, Booking, EventLink
from portal.booking.operations import book
from portal.booking.rules import Customer
from portal.business.models import Resource, Service
from portal.calendars.models import BusyInterval, Calendar, Connection, RemoteObject
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.sync import throttle
from portal.sync.models import Conflict, LedgerLine, Question
from portal.sync.pull import pull
from portal.sync.push import subscriptions
from portal.worker import drain
from portal.worker.jobs import handler_of
from portal.worker.loops import Background
from providers.calendars.base import RemoteEvent
from providers.calendars.memory import DEFAULT_CALENDAR, MemoryCalendars
from tests.factories import OFFICE_HOURS, make_calendar, make_resource, make_service

ALL_DAY = {day: [(0, 24 * 60)] for day in range(7)}
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def clean_slate() -> Iterator[None]:
    MemoryCalendars.reset()
    throttle.forget()
    yield
    MemoryCalendars.reset()
    throttle.forget()


def at(days: int, hour: int, minute: int = 0) -> datetime:
    """So many days from today, at this hour UTC."""
    today = now_utc().replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=days, hours=hour, minutes=minute)


@dataclass
class Studio:
    """What the tests of sync act on: everything by id, read afresh each time."""

    resource_id: int
    calendar_id: int
    service_slug: str
    store: MemoryCalendars

    def book(self, start_at: datetime, *, key: str = "", service: str = "", **more: Any) -> int:
        """A confirmed booking; returns the appointment's id."""
        outcome = book(
            service_slug=service or self.service_slug,
            start_at=start_at,
            customer=Customer(name="Eva Ruiz", email="eva@example.org", phone="+34 600 123 456"),
            idempotency_key=key or f"{service or self.service_slug} {start_at.isoformat()}",
            now=now_utc(),
            **more,
        )
        return db.session.get_one(Booking, outcome.booking_id).appointment_id

    def publish_all(self) -> None:
        """Do what the drain loop does, without its threads: all due entries of sync, until none is left."""
        for _ in range(20):
            entries = transaction(
                lambda s: [
                    outbox.work_of(row)
                    for row in outbox.claim_due(
                        s, now=now_utc(), topics=("calendar.publish", "calendar.outside", "calendar.rewrite")
                    )
                ]
            )
            if not entries:
                return
            for work in entries:
                handler_of(work.topic)(work)
                transaction(lambda s, work=work: outbox.settle(s, work.entry_id, work.lease_token))
        raise AssertionError("The outbox never became empty.")

    def booked(self, start_at: datetime, **more: Any) -> int:
        """A booking that stands in the calendar."""
        appointment_id = self.book(start_at, **more)
        self.publish_all()
        return appointment_id

    def keep_subscriptions(self) -> None:
        """Look, and do what is recorded of push subscriptions, as the worker does."""
        subscriptions.keep_subscriptions()
        for work in drain.claim(10, topics=("calendar.push",)):
            drain.do(work, subscriptions.keep_entry)

    def pull(self, **more: Any) -> Any:
        outcome = pull.pull(self.calendar_id, **more)
        self.publish_all()
        return outcome

    def events(self) -> list[RemoteEvent]:
        return self.store.events(DEFAULT_CALENDAR)

    def own_event(self) -> RemoteEvent:
        """The one event with our mark."""
        (event,) = [event for event in self.events() if event.mark is not None]
        return event

    def set_rule(self, **rules: Any) -> None:
        def work(session: Any) -> None:
            calendar = session.get_one(Calendar, self.calendar_id)
            for name, value in rules.items():
                setattr(calendar, name, value)

        transaction(work)

    def calendar(self) -> Calendar:
        return fresh(Calendar, self.calendar_id)

    def connection(self) -> Connection:
        return self.calendar().connection

    def appointment(self, appointment_id: int) -> Appointment:
        return fresh(Appointment, appointment_id)

    def booking(self, appointment_id: int) -> Booking:
        return self.appointment(appointment_id).bookings[0]

    def link(self, appointment_id: int) -> EventLink:
        db.session.rollback()
        return db.session.scalars(select(EventLink).where(EventLink.appointment_id == appointment_id)).one()

    def questions(self) -> list[Question]:
        """Those that are open."""
        return rows(Question, Question.answered_at.is_(None))

    def conflicts(self) -> list[Conflict]:
        return rows(Conflict, Conflict.resolved_at.is_(None))

    def busy(self) -> list[tuple[datetime, datetime]]:
        return sorted((row.start_at, row.end_at) for row in rows(BusyInterval))

    def objects(self) -> list[RemoteObject]:
        return rows(RemoteObject)

    def news(self, topic: str) -> list[OutboxEntry]:
        return rows(OutboxEntry, OutboxEntry.topic == topic)

    def story(self) -> list[str]:
        return [line.kind for line in rows(LedgerLine)]


def until(is_so: Callable[[], bool], seconds: float = 8.0) -> float:
    """How long it took; fails when it never came true."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < seconds, "It never came true."
        time.sleep(0.02)
    return time.monotonic() - began


def fresh(model: Any, row_id: int) -> Any:
    db.session.rollback()
    return db.session.get_one(model, row_id, populate_existing=True)


def rows(model: Any, *conditions: Any) -> list[Any]:
    db.session.rollback()
    in_order = select(model).where(*conditions).order_by(*inspect(model).primary_key)
    return list(db.session.scalars(in_order.execution_options(populate_existing=True)))


def make_studio() -> Studio:
    ana: Resource = make_resource(weekly=ALL_DAY, zone="UTC", email="ana@studio.example")
    service: Service = make_service([ana], duration=60, step=30)
    calendar = make_calendar(ana, remote_id=DEFAULT_CALENDAR, url=f"studio-{ana.id}", zone="UTC")
    store = MemoryCalendars.open(f"studio-{ana.id}")
    return Studio(ana.id, calendar.id, service.slug, store)


def give_public_address(monkeypatch: pytest.MonkeyPatch, app: Flask) -> None:
    """As if the portal stood where providers can send messages to."""
    public = dataclasses.replace(app.extensions["settings"], url="https://book.studio.example")
    monkeypatch.setitem(app.extensions, "settings", public)


@pytest.fixture
def background(app: Flask) -> Iterator[Background]:
    """The worker's loops, not started yet; they must end in good order."""
    loops = Background(app)
    yield loops
    assert loops.stop(5)


@pytest.fixture
def studio(app: Flask) -> Studio:
    """On both databases."""
    return make_studio()


@pytest.fixture
def sqlite_studio(sqlite_app: Flask) -> Studio:
    return make_studio()


__all__ = ["ALL_DAY", "HOUR", "OFFICE_HOURS", "UTC", "Studio", "at", "fresh", "make_studio", "rows", "until"]
