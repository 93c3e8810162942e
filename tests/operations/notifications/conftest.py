"""A business with two members of staff and one service, on a Monday morning, and its mails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask

from portal.booking import operations
from portal.booking.operations import Customer, Outcome
from portal.business.models import Resource, Service
from portal.clock import now_utc
from providers.messaging.memory import MemoryMessenger
from tests.factories import make_business, make_resource, make_service
from tests.support.mails import memory_mail

MONDAY = datetime(2027, 3, 1, 6, 0, tzinfo=UTC)  # Madrid is an hour ahead
NINE = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
ZOE = Customer(
    name="Zoë Novák", email="zoe@customer.example", phone="+34 600 123 456", note="I ring twice.", zone="Europe/London"
)
MAX = Customer(name="Max Maier", email="max@customer.example", note="Max's own secret")


@pytest.fixture(autouse=True)
def monday_morning() -> Iterator[None]:
    with time_machine.travel(MONDAY, tick=True):
        yield


@pytest.fixture
def sent(app: Flask) -> Iterator[MemoryMessenger]:
    yield memory_mail(app)
    del app.extensions["messenger"]


@dataclass
class Studio:
    ana: Resource
    ben: Resource
    service: Service

    def book(self, start_at: datetime = NINE, customer: Customer = ZOE, *, who: str | None = None) -> Outcome:
        return operations.book(
            service_slug=self.service.slug,
            start_at=start_at,
            customer=customer,
            idempotency_key=f"{customer.email} {start_at} {who}",
            now=now_utc(),
            resource_slug=who or self.ana.slug,
        )

    def move(self, outcome: Outcome, start_at: datetime, *, by: str = "customer", who: str | None = None) -> None:
        operations.move_booking(outcome.booking_id, start_at, by=by, now=now_utc(), resource_slug=who)

    def cancel(self, outcome: Outcome, *, by: str = "customer") -> None:
        operations.cancel_booking(outcome.booking_id, by=by, now=now_utc())


@pytest.fixture
def studio(app: Flask) -> Studio:
    make_business(name="Studio Ana", instance_id="instance-1")
    ana = make_resource(slug="ana", name="Ana", email="ana@studio.example")
    ben = make_resource(slug="ben", name="Ben", email="ben@studio.example")
    return Studio(ana, ben, make_service([ana, ben], slug="consultation", location="Calle Mayor 1"))
