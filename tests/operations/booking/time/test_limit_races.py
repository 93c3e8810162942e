"""Limits per day and week under fire, and moves of several seats, on both databases: many at once get no further than one after the other."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from portal.booking import operations
from portal.booking.models import Appointment, Booking, Seat
from portal.booking.operations import Customer
from portal.booking.time.queries import free_slots
from portal.business.models import Service
from portal.errors import Invalid, SlotTaken, TooLate
from portal.extensions import db
from portal.intervals import Interval
from portal.upkeep.doctor import invariants
from tests.factories import make_resource, make_service
from tests.operations.booking.test_races import in_processes

NOW = datetime(2027, 3, 1, 6, 0, tzinfo=UTC)  # a Monday; Madrid is an hour ahead
NINE = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)
HALF = timedelta(minutes=30)
DAY = timedelta(days=1)


def book(slug, start_at, *, name="Eva", **more):
    return operations.book(
        service_slug=slug, start_at=start_at, customer=Customer(name, f"{name.lower()}@example.org"),
        idempotency_key=f"{name}-{start_at.isoformat()}", now=NOW, **more,
    )  # fmt: skip


def people(count):
    return [make_resource(slug=f"person-{number}") for number in range(count)]


def active():
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Appointment).where(Appointment.is_active))


def want_a_time(number, slug, days):
    """Everybody another person and another time; every second one holds, as a visitor does, and confirms."""
    start_at = NINE + (number % days) * DAY + (number // days) * HALF
    try:
        if number % 2:
            book(slug, start_at, name=f"Guest{number}", resource_slug=f"person-{number}")
        else:
            hold = operations.place_hold(
                service_slug=slug, start_at=start_at, now=NOW, resource_slug=f"person-{number}"
            )
            customer = Customer(f"Guest {number}", f"guest{number}@example.org")
            operations.confirm_hold(hold.token, customer, idempotency_key=f"hold-{number}", now=NOW)
    except SlotTaken:
        return "refused"
    return "won"


@pytest.mark.parametrize(
    ("limit", "days"), [({"per_day": 3}, 1), ({"per_week": 3}, 5), ({"per_day": 1, "per_week": 3}, 3)]
)
def test_of_many_with_different_people_no_more_win_than_the_limit_allows(app, limit, days):
    slug = make_service(people(8), **limit).slug
    assert Counter(in_processes(app, 8, want_a_time, slug, days)) == {"won": 3, "refused": 5}
    assert active() == 3
    assert invariants(db.session()) == []


def move_to_tuesday(number, ids):
    try:
        operations.move_booking(ids[number], NINE + DAY + number * HALF, by="customer", now=NOW)
    except SlotTaken:
        return "refused"
    return "won"


def test_moves_do_not_get_round_the_limit_of_a_day_either(app):
    slug = make_service(people(6)).slug
    ids = [book(slug, NINE, name=f"Guest{number}", resource_slug=f"person-{number}").booking_id for number in range(6)]
    service = db.session.scalar(select(Service).where(Service.slug == slug))
    service.per_day = 2
    db.session.commit()
    assert Counter(in_processes(app, 6, move_to_tuesday, ids)) == {"won": 2, "refused": 4}
    assert invariants(db.session()) == []


def seats(start_at):
    """How many seats are taken at that time."""
    db.session.rollback()
    at = select(Appointment.id).where(Appointment.start_at == start_at, Appointment.is_active)
    return db.session.scalar(select(func.count()).select_from(Seat).where(Seat.appointment_id.in_(at)))


def test_a_party_moves_with_all_its_seats_or_not_at_all(app):
    slug = make_service(capacity=4).slug
    party = book(slug, NINE, name="Eva", party_size=3)
    book(slug, NINE, name="Ivo")
    book(slug, NINE + HALF, name="Zoe", party_size=2)
    with pytest.raises(SlotTaken) as refusal:
        operations.move_booking(party.booking_id, NINE + HALF, by="customer", now=NOW)
    assert NINE + HALF not in [slot.interval.start for slot in refusal.value.nearest]
    assert (seats(NINE), seats(NINE + HALF)) == (4, 2)
    operations.move_booking(party.booking_id, NINE + 2 * HALF, by="customer", now=NOW)
    assert (seats(NINE), seats(NINE + 2 * HALF)) == (1, 3)
    assert db.session.get(Booking, party.booking_id).party_size == 3
    assert invariants(db.session()) == []


def test_a_party_joins_the_group_that_stands_at_its_new_time(app):
    slug = make_service(capacity=4).slug
    party = book(slug, NINE, name="Eva", party_size=2)
    other = book(slug, NINE + HALF, name="Zoe", party_size=2)
    operations.move_booking(party.booking_id, NINE + HALF, by="customer", now=NOW)
    db.session.rollback()
    both = [db.session.get(Booking, outcome.booking_id).appointment_id for outcome in (party, other)]
    assert both[0] == both[1]
    assert (seats(NINE), seats(NINE + HALF), active()) == (0, 4, 1)


def test_a_party_moves_by_the_cut_off_like_everybody(app):
    slug = make_service(capacity=4, move_until=1440).slug
    party = book(slug, NINE, name="Eva", party_size=3)
    with pytest.raises(TooLate):
        operations.move_booking(party.booking_id, NINE + HALF, by="customer", now=NOW)
    operations.move_booking(party.booking_id, NINE + HALF, by="staff", now=NOW)
    assert seats(NINE + HALF) == 3


def move_party(number, ids):
    """Three parties of two, and room for one of them."""
    try:
        operations.move_booking(ids[number], NINE + DAY, by="customer", now=NOW)
    except SlotTaken:
        return "refused"
    return "won"


def test_parties_that_want_the_last_seats_at_once_do_not_share_them(app):
    slug = make_service(capacity=3).slug
    ids = [book(slug, NINE + number * HALF, name=f"Guest{number}", party_size=2).booking_id for number in range(4)]
    book(slug, NINE + DAY, name="Zoe")
    assert Counter(in_processes(app, 4, move_party, ids)) == {"won": 1, "refused": 3}
    assert seats(NINE + DAY) == 3
    assert invariants(db.session()) == []


def test_a_party_larger_than_any_appointment_is_refused_in_words(app):
    slug = make_service(capacity=3).slug
    with pytest.raises(Invalid, match="At most 3"):
        book(slug, NINE, party_size=4)
    service = db.session.scalar(select(Service).where(Service.slug == slug))
    assert [
        slot.seats_left
        for slot in free_slots(db.session(), service, window=Interval(NINE, NINE + HALF), now=NOW, party_size=4)
    ] == []
