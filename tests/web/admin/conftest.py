"""A studio with two members of staff, for the staff pages' tests. One database is enough here: what they call is tested on both."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal.booking import operations
from portal.booking.models import Booking
from portal.booking.time import queries
from portal.clock import now_utc
from portal.extensions import db
from tests.factories import make_resource, make_service
from tests.support.people import make_user, signed_in

ALWAYS = {day: [(0, 1440)] for day in range(7)}


@pytest.fixture
def studio(sqlite_app: Flask) -> Any:
    """`book(name, ...)` books the soonest time and gives the booking."""
    ana = make_resource(slug="ana", name="Ana", weekly=ALWAYS, email="ana@studio.example")
    ben = make_resource(slug="ben", name="Ben", weekly=ALWAYS, email="ben@studio.example")
    service = make_service([ana, ben], slug="consultation")
    keys = iter(range(10_000))

    def book(name: str = "Clara", *, who: str = "ana", **customer: Any) -> Booking:
        resource_id = {"ana": ana.id, "ben": ben.id}[who]
        slot = queries.soonest_slots(db.session(), service, now=now_utc(), limit=1, resource_id=resource_id)[0]
        values = {"email": f"{name.lower()}@example.org", **customer}
        made = operations.book(
            service_slug="consultation",
            start_at=slot.interval.start,
            customer=operations.Customer(name, **values),
            idempotency_key=f"key-number-{next(keys)}",
            now=now_utc(),
            resource_slug=who,
        )
        return db.session.get_one(Booking, made.booking_id)

    return SimpleNamespace(app=sqlite_app, ana=ana, ben=ben, service=service, book=book)


@pytest.fixture
def admin(studio: Any) -> FlaskClient:
    return signed_in(studio.app, make_user("owner", name="Olga"))


@pytest.fixture
def staff(studio: Any) -> FlaskClient:
    """Ben, signed in."""
    return signed_in(studio.app, make_user("staff", resource_id=studio.ben.id))


@pytest.fixture
def page() -> Callable[..., str]:
    """The text of a page, which must be there; after a POST that of the page it leads to."""

    def text(client: FlaskClient, address: str, *, post: dict[str, str] | None = None, partial: bool = False) -> str:
        headers = {"HX-Request": "true"} if partial else {}
        asked = {"headers": headers} if post is None else {"method": "POST", "data": post, "follow_redirects": True}
        response = client.open(address, **asked)
        assert response.status_code == 200, response.status_code
        return str(response.get_data(as_text=True))

    return text
