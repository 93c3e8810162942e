"""Customers with bookings, for the tests of what is stored about them."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

from portal.booking import operations
from portal.booking.models import Booking
from portal.booking.time import queries
from portal.business.models import Service, ServiceQuestion
from portal.clock import now_utc
from portal.extensions import db
from tests.factories import make_resource, make_service

ALWAYS = {day: [(0, 1440)] for day in range(7)}
_numbers = itertools.count(1)


def a_service(slug: str = "consultation", **values: Any) -> Service:
    """The service of this slug, made when it is not there: Ana gives it, day and night."""
    found = db.session.query(Service).filter_by(slug=slug).first()
    if found is not None:
        return found
    ana = make_resource(slug=f"ana-of-{slug}", name="Ana", weekly=ALWAYS, email="ana@studio.example")
    asked = ServiceQuestion(name="allergies", label="Allergies", kind="text", is_required=False, choices=[], position=0)
    return make_service([ana], slug=slug, questions=[asked], **values)


def a_booking(
    email: str, name: str = "María Pérez", *, slug: str = "consultation", start_at: datetime | None = None,
    days: int = 1, party_size: int = 1, answers: dict[str, Any] | None = None, **customer: Any
) -> Booking:  # fmt: skip
    """A confirmed booking of the soonest time from so many days ahead on."""
    service = a_service(slug)
    after = now_utc() + timedelta(days=days)
    start = (
        start_at or queries.soonest_slots(db.session(), service, now=now_utc(), after=after, limit=1)[0].interval.start
    )
    made = operations.book(
        service_slug=slug, start_at=start, customer=operations.Customer(name, email, **customer), now=now_utc(),
        idempotency_key=f"key-{next(_numbers)}", party_size=party_size, answers=answers, channel="web",
    )  # fmt: skip
    db.session.rollback()
    return db.session.get_one(Booking, made.booking_id)
