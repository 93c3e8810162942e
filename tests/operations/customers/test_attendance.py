"""Who came and who did not: marked from the start on, corrected, and what the two statuses mean for seats, calendars and lists."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import func, select

from portal.booking import operations
from portal.booking.models import Appointment, Booking, Claim, Seat
from portal.business.models import Resource
from portal.clock import now_utc
from portal.errors import NotAllowedNow, NotFound
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.upkeep.invariants import invariants
from tests.operations.customers.people import a_booking, a_service


def again(booking_id):
    db.session.rollback()
    return db.session.get(Booking, booking_id)


def mark(booking_id, status):
    operations.mark_attendance(booking_id, status, now=now_utc())


@pytest.fixture
def clock():
    with time_machine.travel(now_utc(), tick=False) as traveller:
        yield traveller


def test_it_is_marked_from_the_start_on_and_corrected(app, clock):
    booking = a_booking("maria@example.org")
    with pytest.raises(NotAllowedNow, match="not begun"):
        mark(booking.id, "completed")
    clock.move_to(again(booking.id).appointment.start_at)
    for status in ("no_show", "completed", "completed", "no_show"):
        mark(booking.id, status)
        assert again(booking.id).status == status


def test_what_is_cancelled_or_not_there_cannot_be_marked(app, clock):
    booking = a_booking("maria@example.org")
    operations.cancel_booking(booking.id, by="staff", now=now_utc())
    clock.move_to(again(booking.id).appointment.start_at)
    with pytest.raises(NotAllowedNow):
        mark(booking.id, "completed")
    with pytest.raises(NotFound):
        mark(987_654, "completed")


def test_a_marked_booking_can_neither_be_moved_nor_cancelled_and_nobody_is_told(app, clock):
    booking = a_booking("maria@example.org")
    clock.move_to(again(booking.id).appointment.start_at)
    told = db.session.scalar(select(func.count(OutboxEntry.id)))
    mark(booking.id, "no_show")
    db.session.rollback()
    assert db.session.scalar(select(func.count(OutboxEntry.id))) == told
    with pytest.raises(NotAllowedNow):
        operations.cancel_booking(booking.id, by="staff", now=now_utc())


def test_who_came_keeps_the_seat_and_the_time_when_the_others_cancel(app, clock):
    a_service("yoga", capacity=3)
    first = a_booking("maria@example.org", slug="yoga")
    start = first.appointment.start_at
    second = a_booking("eva@example.org", "Eva", slug="yoga", start_at=start)
    clock.move_to(start)
    mark(first.id, "completed")
    operations.cancel_booking(second.id, by="staff", now=now_utc())
    assert again(first.id).appointment.is_active
    assert db.session.scalar(select(func.count()).select_from(Seat)) == 1
    assert db.session.scalar(select(func.count()).select_from(Claim)) == 6
    assert invariants(db.session()) == []


def test_a_class_in_which_all_are_marked_is_not_closed_and_its_event_stays(app, clock):
    from portal.sync.event.stands import stands

    a_service("yoga", capacity=2)
    first = a_booking("maria@example.org", slug="yoga")
    second = a_booking("eva@example.org", "Eva", slug="yoga", start_at=first.appointment.start_at)
    clock.move_to(again(first.id).appointment.start_at + timedelta(minutes=5))
    mark(first.id, "completed")
    mark(second.id, "no_show")
    appointment = db.session.get(Appointment, again(first.id).appointment_id)
    assert (appointment.is_active, stands(appointment)) == (True, True)
    assert invariants(db.session()) == []
    assert db.session.scalar(select(func.count(Resource.id))) == 1
