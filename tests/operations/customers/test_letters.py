"""One address in large and small letters is one address, whatever its letters, on both databases alike."""

from __future__ import annotations

import pytest
from sqlalchemy import literal, select

from portal.booking import operations
from portal.booking.operations import Customer
from portal.booking.time.queries import soonest_slots
from portal.clock import now_utc
from portal.customers.queries import bookings_of, has_anything
from portal.database.engine import small_letters
from portal.errors import LimitReached
from portal.extensions import db
from tests import factories

EVERY_DAY = {day: [(0, 24 * 60)] for day in range(7)}
PAIRS = [
    ("maria@example.org", "MARIA@Example.ORG"),
    ("ñandú@example.org", "ÑANDÚ@example.org"),
    ("ágnes.őri@példa.hu", "ÁGNES.ŐRI@PÉLDA.HU"),
    ("анна@пример.рф", "АННА@ПРИМЕР.РФ"),
    ("straße@example.org", "Straße@EXAMPLE.org"),
]


@pytest.mark.parametrize(("small", "large"), PAIRS)
def test_the_database_compares_letters_as_the_portal_does(app, small, large):
    assert db.session.scalar(select(small_letters(literal(large)))) == large.lower() == small


@pytest.mark.parametrize(("small", "large"), PAIRS)
def test_a_limit_and_one_s_own_page_know_an_address_in_whatever_letters(app, small, large):
    ana = factories.make_resource(slug="ana", weekly=EVERY_DAY)
    service = factories.make_service([ana], slug="consultation", per_customer=1)
    first, second = soonest(service, 2)
    book(first, small)
    with pytest.raises(LimitReached):
        book(second, large)
    assert has_anything(db.session(), large)
    assert len(bookings_of(db.session(), large)) == 1


def book(start_at, email):
    return operations.book(
        service_slug="consultation", start_at=start_at, customer=Customer(name="Somebody", email=email),
        idempotency_key=f"{start_at} {email}", now=now_utc(),
    )  # fmt: skip


def soonest(service, number):
    return [slot.interval.start for slot in soonest_slots(db.session(), service, now=now_utc(), limit=number)]
