"""Promise 1 under fire: many processes want the same times at once, on both databases, and nothing overlaps.

Processes, not threads: that is how the web server runs, and SQLite's locking differs between the two.
"""

from __future__ import annotations

import multiprocessing
import os
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from portal.booking import operations
from portal.booking.models import ACTIVE, Appointment, AppointmentResource, Booking, Claim
from portal.booking.operations import Customer
from portal.errors import Refused
from portal.extensions import db
from portal.intervals import QUANTUM_SECONDS, Interval
from tests.factories import make_resource, make_service

NOW = datetime(2027, 3, 1, 6, 0, tzinfo=UTC)
NINE = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)
ROUNDS = int(os.environ.get("LOCKSTEP_RACE_ROUNDS", "30"))
"""Actions of each process; make it larger for a longer drill."""


def in_processes(app, count, function, *arguments):
    """Run `function(number, *arguments)` in `count` forked processes, which share the app and open connections of their own, as those of the web
    server do; the list of what they returned."""
    db.session.remove()
    db.engine.dispose()
    context = multiprocessing.get_context("fork")
    queue, barrier = context.Queue(), context.Barrier(count)

    def body(number):
        with app.app_context():
            barrier.wait(30)
            try:
                queue.put(function(number, *arguments))
            except BaseException as error:
                queue.put(error)
            db.session.remove()
            db.engine.dispose()
        queue.close()
        queue.join_thread()
        os._exit(0)

    children = [context.Process(target=body, args=(number,), daemon=True) for number in range(count)]
    for child in children:
        child.start()
    results = [queue.get(timeout=120) for _ in children]
    for child in children:
        child.join(30)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def want_the_same_slot(number, slug):
    try:
        customer = Customer(f"Guest {number}", f"guest{number}@example.org")
        operations.book(service_slug=slug, start_at=NINE, customer=customer, idempotency_key=f"guest-{number}", now=NOW)
    except Refused:
        return "refused"
    return "won"


def test_of_eight_who_want_one_slot_one_wins(app):
    service = make_service()
    assert Counter(in_processes(app, 8, want_the_same_slot, service.slug)) == {"won": 1, "refused": 7}


def repeat_one_request(_number, slug):
    customer = Customer("Eva", "eva@example.org")
    return operations.book(
        service_slug=slug, start_at=NINE, customer=customer, idempotency_key="one-click-too-many", now=NOW
    ).public_id


def test_a_double_click_gives_one_booking_to_all(app):
    service = make_service()
    assert len(set(in_processes(app, 6, repeat_one_request, service.slug))) == 1


def test_a_double_click_at_the_limit_of_a_customer_too(app):
    """In a group the second one would find a seat, and only then that its twin has used up the limit."""
    service = make_service(capacity=4, per_customer=1)
    assert len(set(in_processes(app, 6, repeat_one_request, service.slug))) == 1


def confirm_one_hold(_number, token):
    customer = Customer("Eva", "eva@example.org")
    return operations.confirm_hold(token, customer, idempotency_key=f"click-{token}", now=NOW).public_id


def test_a_double_click_on_a_held_time_gives_one_booking_to_all(app):
    for rules in ({}, {"capacity": 4, "per_customer": 1}):
        service = make_service(**rules)  # made anew: the processes close the session
        token = operations.place_hold(service_slug=service.slug, start_at=NINE, now=NOW).token
        assert len(set(in_processes(app, 6, confirm_one_hold, token))) == 1


def approve(_number, booking_id):
    try:
        operations.approve_booking(booking_id, now=NOW)
    except Refused:
        return "refused"
    return "approved"


def test_a_pending_booking_is_approved_once(app):
    service = make_service()
    customer = Customer("Eva", "eva@example.org")
    booking_id = operations.book(
        service_slug=service.slug, start_at=NINE, customer=customer, idempotency_key="key-12345", now=NOW
    ).booking_id
    booking = db.session.get(Booking, booking_id)
    booking.status = "pending"
    db.session.commit()
    assert Counter(in_processes(app, 4, approve, booking_id)) == {"approved": 1, "refused": 3}


def leave_the_class(number, ids):
    operations.cancel_booking(ids[number], by="customer", now=NOW)
    return ids[number]


def test_each_of_eight_who_leave_a_class_at_once_is_a_version_that_calendars_must_show(app):
    """Two changes under one number would be one to a calendar, and its title would count a seat too many."""
    slug = make_service([make_resource()], capacity=8).slug
    ids = [
        operations.book(
            service_slug=slug, start_at=NINE, customer=Customer(f"Guest {n}", f"guest{n}@example.org"),
            idempotency_key=f"guest {n}", now=NOW,
        ).booking_id
        for n in range(8)
    ]  # fmt: skip
    appointment_id = db.session.get_one(Booking, ids[0]).appointment_id
    before = db.session.get_one(Appointment, appointment_id).version
    assert sorted(in_processes(app, 8, leave_the_class, ids)) == ids
    assert db.session.get_one(Appointment, appointment_id).version == before + 8


def do_at_random(number, slugs, rounds):
    """Hold, confirm, book, move and cancel at random, so many times. Returns how often each happened, and unexpected errors."""
    chance = random.Random(number)
    mine, done, errors = [], Counter(), []
    for _ in range(rounds):
        at = NINE + timedelta(minutes=10 * chance.randrange(30))
        slug, key = chance.choice(slugs), f"{number}-{chance.random()}"
        customer = Customer("Guest", f"guest{number}@example.org")
        action = chance.choice(["book", "hold", "move", "cancel"])
        try:
            if action == "book":
                mine.append(
                    operations.book(
                        service_slug=slug, start_at=at, customer=customer, idempotency_key=key, now=NOW
                    ).booking_id
                )
            elif action == "hold":
                hold = operations.place_hold(service_slug=slug, start_at=at, now=NOW)
                if chance.random() < 0.5:
                    outcome = operations.confirm_hold(hold.token, customer, idempotency_key=key, now=NOW)
                    mine.append(outcome.booking_id)
            elif action == "move" and mine:
                operations.move_booking(chance.choice(mine), at, by="staff", now=NOW)
            elif action == "cancel" and mine:
                operations.cancel_booking(mine.pop(), by="staff", now=NOW)
            done[action] += 1
        except Refused:
            done["refused"] += 1
        except Exception as error:
            errors.append(f"{action}: {type(error).__name__}: {error}"[:300])
    return done, errors


def test_whatever_eight_processes_do_nothing_ever_overlaps(app):
    ana, ben, room = make_resource(), make_resource(), make_resource(kind="room")
    services = [
        make_service([ana, ben], duration=30, step=10, assignment="any"),
        make_service([ana], [room], duration=40, step=10, buffer_before=10, buffer_after=5),
        make_service([ana, ben], [room], duration=20, step=10, assignment="all"),
        make_service([ben], duration=30, step=30, capacity=3),
    ]
    slugs = [service.slug for service in services]
    results = in_processes(app, 8, do_at_random, slugs, ROUNDS)
    assert [error for _, errors in results for error in errors] == []
    assert sum(sum(done.values()) for done, _ in results) == 8 * ROUNDS
    assert min(sum((done for done, _ in results), Counter())[name] for name in ("book", "hold", "move", "refused")) > 5
    assert overlaps() == []
    assert claims_that_differ() == (set(), set())


def overlaps():
    """Pairs of active appointments that share a resource's time, buffers included; found without using the claims."""
    rows = db.session.execute(
        select(AppointmentResource.resource_id, Appointment.id, Appointment.claim_start_at, Appointment.claim_end_at)
        .join(Appointment, Appointment.id == AppointmentResource.appointment_id)
        .where(Appointment.is_active)
        .order_by(AppointmentResource.resource_id, Appointment.claim_start_at)
    ).all()
    found = []
    for a in rows:
        for b in rows:
            if a.resource_id == b.resource_id and a.id < b.id and Interval(a[2], a[3]).overlaps(Interval(b[2], b[3])):
                found.append((a, b))
    return found


def claims_that_differ():
    """(claims that no active booking justifies, claims that active bookings lack)."""
    active = (
        select(AppointmentResource.resource_id, Appointment.id, Appointment.claim_start_at, Appointment.claim_end_at)
        .join(Appointment, Appointment.id == AppointmentResource.appointment_id)
        .where(Appointment.bookings.any(Booking.status.in_(ACTIVE)))
    )
    wanted = {
        (resource_id, number, id_)
        for resource_id, id_, start_at, end_at in db.session.execute(active)
        for number in range(int(start_at.timestamp()) // QUANTUM_SECONDS, int(end_at.timestamp()) // QUANTUM_SECONDS)
    }
    stands = {
        tuple(row) for row in db.session.execute(select(Claim.resource_id, Claim.quantum_no, Claim.appointment_id))
    }
    return stands - wanted, wanted - stands


@pytest.fixture(autouse=True)
def _forked_apps_leave_no_connections(app):
    yield
    db.session.remove()
