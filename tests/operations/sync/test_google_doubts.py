"""Answers of Google that are not to be believed at once, however plain they sound: what becomes of the booking and its one event."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from portal.booking.operations import book, cancel_booking, move_booking
from portal.booking.rules import Customer
from portal.business.models import Resource
from portal.clock import now_utc
from portal.database.engine import transaction
from portal.outbox import OutboxEntry
from portal.sync import throttle
from portal.sync.pull.pull import pull
from tests.factories import make_service
from tests.operations.sync.conftest import at, rows
from tests.operations.sync.test_google_account import ana, booked, drain_all, google, ours, studio

__all__ = ["ana", "google", "studio"]


def moved(studio, appointment_id):
    """The booking is moved in the portal, and its event is to follow."""
    move_booking(studio.booking(appointment_id).id, at(3, 11), by="staff", now=now_utc())
    drain_all()


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("rule", ["cancel", "put back", "ask"])
def test_an_event_is_not_gone_because_one_write_was_told_so(studio, ana, google, status, rule):
    studio.set_rule(when_deleted=rule)
    appointment_id = booked(studio, at(2, 10))
    pull(studio.calendar_id)
    ((event_id, _),) = ours(ana)
    google.fault(status=status, reason="deleted" if status == 410 else "notFound", method="events.patch")
    moved(studio, appointment_id)
    assert ours(ana) == [(event_id, f"{at(3, 11):%Y-%m-%dT%H:%M:%SZ}")]
    assert studio.booking(appointment_id).status == "confirmed"
    assert studio.link(appointment_id).state == "done"
    assert studio.questions() == []


@pytest.mark.parametrize("rule", ["cancel", "put back"])
def test_an_event_that_a_write_finds_truly_gone_is_left_to_the_rule(studio, ana, google, rule):
    """The booking moved at the same time, so its event is written anew, whatever the rule."""
    studio.set_rule(when_deleted=rule)
    appointment_id = booked(studio, at(2, 10))
    ((event_id, _),) = ours(ana)
    ana.remove_event(ana.email, event_id)
    moved(studio, appointment_id)
    ((new_id, _),) = ours(ana)
    assert new_id != event_id


@pytest.mark.parametrize("kind", ["html", "cut"])
def test_a_spoiled_answer_to_a_write_does_not_make_it_wait_for_a_person(studio, ana, google, kind):
    """A proxy's page, or half an answer: soon it is tried again."""
    appointment_id = booked(studio, at(2, 10))
    pull(studio.calendar_id)
    google.fault(kind="html", method="events.patch")
    google.fault(kind=kind, method="events.get")
    moved(studio, appointment_id)
    assert studio.link(appointment_id).state == "waiting"
    assert [entry.state for entry in studio.news("calendar.publish")][-1] == "todo"
    google.clear_faults()
    let_it_be_tried(studio)
    assert [start for _, start in ours(ana)] == [f"{at(3, 11):%Y-%m-%dT%H:%M:%SZ}"]
    assert studio.link(appointment_id).state == "done"


def let_it_be_tried(studio):
    """The pause is over."""
    throttle.forget()
    transaction(lambda session: session.execute(update(OutboxEntry).values(next_at=now_utc())))
    drain_all()


def test_other_people_in_a_group_are_written_though_somebody_coloured_its_event(studio, ana):
    """One left and one came: the event means the same as before to whoever compares, but its words do not."""
    studio.set_rule(privacy="full")
    (resource,) = rows(Resource, Resource.id == studio.resource_id)
    group = make_service([resource], duration=60, step=30, capacity=5).slug
    join(group, "Ann")
    leaves = join(group, "Max")
    drain_all()
    ((event_id, _),) = ours(ana)
    ana.patch(ana.email, event_id, {"colorId": "5"})
    cancel_booking(leaves, by="staff", now=now_utc())
    join(group, "Kim")
    drain_all()
    event = ana.event(ana.email, event_id)
    assert [name for name in ("Ann", "Max", "Kim") if name in event["description"]] == ["Ann", "Kim"]
    assert event["colorId"] == "5"


def join(group, name):
    customer = Customer(name=name, email=f"{name.lower()}@example.org")
    return book(
        service_slug=group, start_at=at(2, 10), customer=customer, idempotency_key=f"{group} {name}", now=now_utc()
    ).booking_id
