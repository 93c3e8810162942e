"""Fixed appointments under fire: the last seats, a capacity lowered, a date called off and moved while people book, two planners for one time.

Processes, not threads, on both databases; afterwards nothing may be wrong that the doctor could see.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from datetime import date, timedelta

import pytest
from sqlalchemy import func, select

from portal.booking import operations
from portal.booking.fixed import dates
from portal.booking.fixed.series import extend_series, plan_series
from portal.booking.models import STANDING, Appointment, Booking, Seat
from portal.booking.operations import Customer
from portal.errors import Invalid, NotFound, Refused
from portal.extensions import db
from tests.factories import make_resource, make_service
from tests.operations.booking.fixed.test_dates import HOUR, NOW, TEN, make_class, wrong
from tests.operations.booking.test_races import in_processes


def take_two_seats(number, slug):
    try:
        operations.book(
            service_slug=slug, start_at=TEN, party_size=2, customer=Customer("Guest", f"guest{number}@example.org"),
            idempotency_key=f"guest-{number}", now=NOW,
        )  # fmt: skip
    except Refused:
        return "refused"
    return "won"


def test_of_two_parties_for_the_last_seats_one_gets_them(app):
    service = make_class(capacity=3)
    dates.plan_date(service.slug, TEN, now=NOW)
    assert Counter(in_processes(app, 6, take_two_seats, service.slug)) == {"won": 1, "refused": 5}
    assert wrong() == []


def plan_the_same_time(number, slug):
    try:
        dates.plan_date(slug, TEN + (number % 2) * HOUR / 2, now=NOW)
    except Refused:
        return "refused"
    return "planned"


def test_of_many_planners_for_one_time_one_gets_it(app):
    service = make_class()
    assert Counter(in_processes(app, 6, plan_the_same_time, service.slug)) == {"planned": 1, "refused": 5}
    assert wrong() == []


def extend(_number):
    return extend_series(now=NOW + timedelta(days=7))


def test_many_workers_make_the_dates_of_a_series_once(app):
    service = make_class(horizon=20)
    plan_series(service.slug, weekday=5, starts=600, first_on=date(2027, 3, 6), now=NOW)
    before = db.session.scalar(select(func.count(Appointment.id)))
    assert sum(in_processes(app, 4, extend)) == 1
    assert db.session.scalar(select(func.count(Appointment.id))) == before + 1
    assert wrong() == []


def stir_or_book(number, slug, appointment_id, stir, rounds):
    """The first process stirs once in the middle of it; the others book and cancel. Returns what happened, and unexpected errors."""
    if number == 0:
        wait_for_bookings(6)
        try:
            STIRS[stir](appointment_id)
        except Exception as error:
            return Counter(), [f"{type(error).__name__}: {error}"[:300]]
        return Counter(stirred=1), []
    return book_and_cancel(number, slug, rounds)


def wait_for_bookings(number):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        db.session.rollback()
        if db.session.scalar(select(func.count(Booking.id)).where(Booking.status != "held")) >= number:
            return
        time.sleep(0.01)
    raise AssertionError("Nobody books.")


def book_and_cancel(number, slug, rounds):
    chance, mine, done, errors = random.Random(number), [], Counter(), []
    for turn in range(rounds):
        try:
            if mine and chance.random() < 0.4:
                operations.cancel_booking(mine.pop(), by="staff", now=NOW)
                done["cancelled"] += 1
                continue
            mine.append(book_somehow(slug, key=f"{number}-{turn}", chance=chance))
            done["booked"] += 1
        except (Refused, NotFound, Invalid):
            done["refused"] += 1
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}"[:300])
    return done, errors


def book_somehow(slug, *, key, chance):
    customer = Customer("Guest", f"guest{key}@example.org")
    if chance.random() < 0.5:
        hold = operations.place_hold(service_slug=slug, start_at=TEN, now=NOW)
        return operations.confirm_hold(hold.token, customer, idempotency_key=key, now=NOW).booking_id
    size = chance.choice([1, 2])
    return operations.book(
        service_slug=slug, start_at=TEN, customer=customer, idempotency_key=key, now=NOW, party_size=size
    ).booking_id


def lower(appointment_id):
    for capacity in range(11, 3, -1):
        try:
            dates.change_capacity(appointment_id, capacity, now=NOW)
        except Refused:
            return


STIRS = {
    "lower": lower,
    "raise": lambda id_: dates.change_capacity(id_, 20, now=NOW),
    "call off": lambda id_: dates.call_off(id_, now=NOW),
    "move": lambda id_: dates.move_appointment(id_, TEN + HOUR / 2, by="staff", now=NOW),
}


@pytest.mark.parametrize("stir", list(STIRS))
def test_a_change_while_people_book_and_cancel_leaves_all_seats_and_claims_right(app, stir):
    service = make_class(capacity=12)
    appointment_id = dates.plan_date(service.slug, TEN, now=NOW)
    results = in_processes(app, 5, stir_or_book, service.slug, appointment_id, stir, 16)
    assert [error for _, errors in results for error in errors] == []
    done = sum((done for done, _ in results), Counter())
    assert done["stirred"] == 1
    assert done["booked"] > 5
    assert wrong() == []
    appointment = db.session.get(Appointment, appointment_id)
    standing = select(func.count(Booking.id)).where(
        Booking.appointment_id == appointment_id, Booking.status.in_(STANDING)
    )
    if stir == "call off":
        assert not appointment.is_active
        assert db.session.scalar(standing) == 0
        assert db.session.scalar(select(func.count(Seat.seat_no))) == 0
    if stir == "move":
        assert appointment.start_at == TEN + HOUR / 2


def join_or_leave_a_group(number, slug, start_at, rounds):
    """Everybody comes and goes, so that the group closes and opens all the time."""
    errors, done = [], Counter()
    for turn in range(rounds):
        try:
            if (number + turn) % 3 == 0:
                operations.release_hold(operations.place_hold(service_slug=slug, start_at=start_at, now=NOW).token)
            else:
                outcome = operations.book(
                    service_slug=slug, start_at=start_at, customer=Customer("Guest", "guest@example.org"),
                    idempotency_key=f"{number}-{turn}", now=NOW,
                )  # fmt: skip
                operations.cancel_booking(outcome.booking_id, by="staff", now=NOW)
            done["done"] += 1
        except Refused:
            done["refused"] += 1
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}"[:300])
    return done, errors


def test_the_last_to_leave_a_group_and_the_next_to_join_it_do_not_meet(app):
    service = make_service([make_resource()], capacity=3, duration=60, step=60)
    start_at = TEN + timedelta(days=2)
    results = in_processes(app, 6, join_or_leave_a_group, service.slug, start_at, 15)
    assert [error for _, errors in results for error in errors] == []
    assert sum((done for done, _ in results), Counter())["done"] > 10
    assert wrong() == []


def book_where_one_a_day_is_allowed(number, slug, resources):
    try:
        operations.book(
            service_slug=slug, start_at=TEN + timedelta(days=2) + number % 4 * HOUR, resource_slug=resources[number % 3],
            customer=Customer("Guest", f"guest{number}@example.org"), idempotency_key=f"guest-{number}", now=NOW,
        )  # fmt: skip
    except Refused:
        return "refused"
    return "won"


@pytest.mark.parametrize("limit", ["per_day", "per_week"])
def test_a_race_does_not_get_round_a_limit_of_a_day_or_week(app, limit):
    people = [make_resource() for _ in range(3)]
    service = make_service(people, **{limit: 2})
    slugs = [row.slug for row in people]
    results = in_processes(app, 8, book_where_one_a_day_is_allowed, service.slug, slugs)
    assert Counter(results)["won"] == 2
    assert wrong() == []
