"""The worker is killed at each step of a publish and of a pull; its successor finds neither loss nor duplicate.

Every kill hits a worker with three publishes in hand at once: an event to create, one to move and one to take away.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from portal.booking.operations import cancel_booking, move_booking
from portal.clock import now_utc
from portal.extensions import db
from portal.sync.pull import pull
from tests.faults.house import House, until
from tests.operations.sync.conftest import at


@pytest.fixture
def house_of(request: pytest.FixtureRequest) -> Iterator[House]:
    """The house that the test's parameter names."""
    house: House = request.getfixturevalue(request.param)
    with house.app.app_context():
        house.furnish()
        yield house
        db.session.remove()


PUBLISH_POINTS = [
    ("publish.before_intent", "sqlite_house"),
    ("publish.after_intent", "sqlite_house"),
    ("publish.after_request", "sqlite_house"),
    ("publish.before_receipt_commit", "sqlite_house"),
    ("publish.before_receipt_commit", "postgres_house"),
    ("publish.before_settle", "sqlite_house"),
    ("publish.after_intent", "google_house"),
    ("publish.after_request", "google_house"),
    ("publish.before_receipt_commit", "google_house"),
    ("publish.before_settle", "google_house"),
]


@pytest.mark.parametrize(("point", "house_of"), PUBLISH_POINTS, indirect=["house_of"])
def test_a_kill_in_the_middle_of_publishing(point: str, house_of: House):
    house = house_of
    moved, cancelled = house.booked(at(2, 9)), house.booked(at(2, 12))
    pull.pull(house.calendar_id)
    created = house.book(at(2, 15))
    move_booking(house.booking(moved).id, at(3, 10), by="staff", now=now_utc())
    cancel_booking(house.booking(cancelled).id, by="customer", now=now_utc())

    with house.worker(failpoint=point) as victim:
        until(victim.dies, what=f"the worker to die at {point}")
    house.let_leases_end()
    with house.worker() as successor:
        until(house.is_settled, what="the successor to finish")
        moment = now_utc()
        house.read_now()
        until(lambda: house.was_read_since(moment), what="the calendar to be read")
        until(house.is_settled, what="the successor to finish what it read")
        assert successor.stop() == 0

    assert [event.start_at for event in house.own_events()] == [at(2, 15), at(3, 10)], "neither lost nor doubled"
    assert {house.link(i).state for i in (created, moved)} == {"done"}
    assert house.link(cancelled).state == "none"
    assert [house.booking(i).status for i in (created, moved, cancelled)] == ["confirmed", "confirmed", "cancelled"]
    assert house.questions() == []
    assert house.conflicts() == []
    assert house.appointment(moved).start_at == at(3, 10), "our own half-known work was not mistaken for a person's"


PULL_POINTS = [
    ("pull.after_request", "sqlite_house"),
    ("pull.before_commit", "sqlite_house"),
    ("pull.before_commit", "postgres_house"),
    ("pull.after_commit", "sqlite_house"),
    ("pull.after_request", "google_house"),
    ("pull.before_commit", "google_house"),
    ("pull.after_commit", "google_house"),
]


@pytest.mark.parametrize(("point", "house_of"), PULL_POINTS, indirect=["house_of"])
def test_a_kill_in_the_middle_of_reading(point: str, house_of: House):
    house = house_of
    person = house.person
    dentist = person.add_event("Dentist", at(4, 9), at(4, 10))
    lunch = person.add_event("Lunch", at(4, 12), at(4, 13))
    followed, deleted = house.booked(at(2, 9)), house.booked(at(2, 12))
    pull.pull(house.calendar_id)

    person.move_event(dentist, at(5, 9))
    person.remove_event(lunch)
    person.add_event("Sport", at(4, 18), at(4, 19))
    person.move_event(house.link(followed).remote_id, at(3, 16))
    person.remove_event(house.link(deleted).remote_id)
    house.read_now()
    with house.worker(failpoint=point) as victim:
        until(victim.dies, what=f"the worker to die at {point}")
    moment = now_utc()
    house.let_leases_end()
    with house.worker() as successor:
        until(lambda: house.was_read_since(moment), what="the successor to read")
        until(lambda: bool(house.questions()) and house.is_settled(), what="the successor to finish")
        assert successor.stop() == 0

    assert house.busy() == [(at(4, 18), at(4, 19)), (at(5, 9), at(5, 10))]
    assert house.appointment(followed).start_at == at(3, 16)
    moves = [entry for entry in house.news("notify.customer") if entry.payload["news"] == "moved"]
    assert len(moves) == 1, "the customer is told once"
    assert [(q.kind, q.appointment_id) for q in house.questions()] == [("deleted", deleted)]
    assert house.booking(deleted).status == "confirmed"
    assert len(house.own_events()) == 1
