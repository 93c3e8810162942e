"""Limits per day and per week, and seats that are kept for the waitlist, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from portal.booking import operations
from portal.booking.fixed import dates
from portal.booking.models import Appointment, Booking, Offer, WaitlistEntry
from portal.booking.time.demand import Question, build_demand
from portal.booking.time.queries import why_not
from portal.errors import SlotTaken
from portal.extensions import db
from portal.intervals import Interval
from tests.factories import make_resource, make_service
from tests.operations.booking.fixed.test_dates import HOUR, NOW, TEN, book, make_class, offered

MONDAY = datetime(2027, 3, 8, 8, 0, tzinfo=UTC)  # nine in Madrid
DAY = timedelta(days=1)


def days_offered(service):
    return {start.date() for start, _ in offered(service)}


def test_a_full_day_offers_nothing_more_to_anybody(app):
    ana, ben = make_resource(), make_resource()
    service = make_service([ana, ben], per_day=2)
    book(service, MONDAY, name="Eva")
    assert MONDAY.date() in days_offered(service)
    book(service, MONDAY, name="Ivo")
    assert MONDAY.date() not in days_offered(service)
    assert [reason.code for reason in why_not(db.session(), service, instant=MONDAY + HOUR, now=NOW)] == ["day_full"]
    with pytest.raises(SlotTaken):
        book(service, MONDAY + HOUR, name="Zoe")
    assert book(service, MONDAY + DAY, name="Zoe").status == "confirmed"


def test_a_week_runs_from_monday_to_sunday(app):
    service = make_service([make_resource(weekly={day: [(540, 1020)] for day in range(7)})], per_week=1)
    book(service, MONDAY + 6 * DAY)
    free = days_offered(service)
    assert free.isdisjoint((MONDAY + n * DAY).date() for n in range(7))
    assert {(MONDAY - DAY).date(), (MONDAY + 7 * DAY).date()} <= free
    reasons = why_not(db.session(), service, instant=MONDAY, now=NOW)
    assert [reason.code for reason in reasons] == ["week_full"]


def test_joining_a_group_that_stands_is_no_new_appointment(app):
    service = make_service(per_day=1, capacity=3)
    book(service, MONDAY, name="Eva")
    assert [(start, left) for start, left in offered(service) if start.date() == MONDAY.date()] == [(MONDAY, 2)]
    assert book(service, MONDAY, name="Ivo").status == "confirmed"


def test_a_booking_moves_within_its_own_full_day(app):
    service = make_service(per_day=1)
    outcome = book(service, MONDAY)
    operations.move_booking(outcome.booking_id, MONDAY + HOUR, by="customer", now=NOW)
    assert db.session.get(Booking, outcome.booking_id).appointment.start_at == MONDAY + HOUR


def test_an_expired_hold_fills_no_day(app):
    ana, ben = make_resource(), make_resource()
    service = make_service([ana, ben], per_day=1)
    hold = operations.place_hold(service_slug=service.slug, start_at=MONDAY, resource_slug=ana.slug, now=NOW)
    with pytest.raises(SlotTaken):
        book(service, MONDAY, resource_slug=ben.slug)
    db.session.get(Booking, hold.booking_id).held_until = datetime.now(UTC) - timedelta(seconds=1)
    db.session.commit()
    assert book(service, MONDAY, resource_slug=ben.slug, name="Ivo").status == "confirmed"


def test_staff_plan_as_many_dates_on_a_day_as_they_like(app):
    service = make_class(per_day=1)
    dates.plan_date(service.slug, TEN, now=NOW)
    dates.plan_date(service.slug, TEN + HOUR, now=NOW)
    assert len(offered(service)) == 2


def wait_for(service, appointment_id, party_size=1, name="Zoe", **values):
    """Somebody in the queue, behind those who are there."""
    entry = WaitlistEntry(
        **{
            "public_id": f"entry-{name}", "token_hash": f"hash-{name}", "service_id": service.id, "wish": "appointment",
            "appointment_id": appointment_id, "start_at": db.session.get(Appointment, appointment_id).start_at,
            "party_size": party_size, "customer_name": name, "customer_email": f"{name.lower()}@example.org",
            "joined_at": NOW, **values,
        }
    )  # fmt: skip
    db.session.add(entry)
    db.session.commit()
    return entry


@pytest.fixture
def full(app):
    """A class of three with a waitlist, of which one seat is free."""
    service = make_class(capacity=3, has_waitlist=True)
    appointment_id = dates.plan_date(service.slug, TEN, now=NOW)
    book(service, party_size=2)
    return service, appointment_id


def test_a_free_seat_is_kept_for_whoever_waits_for_it(full):
    service, appointment_id = full
    wait_for(service, appointment_id)
    assert offered(service) == []
    with pytest.raises(SlotTaken):
        book(service, name="Ivo")
    window = Interval(NOW, NOW + timedelta(days=10))
    demand = build_demand(db.session(), service, Question(window=window, for_waitlist=True), now=NOW)
    assert [each.seats_left for each in demand.open_appointments] == [1]


@pytest.mark.parametrize(
    "values",
    [
        {"party_size": 2},
        {"status": "offered"},
        {"status": "left"},
        {"name": "Eva"},  # has a booking in it already
        {"wish": "any", "appointment_id": None},
    ],
)
def test_nothing_is_kept_for_who_would_not_be_offered_it(full, values):
    service, appointment_id = full
    values = {"appointment_id": appointment_id, **values}
    entry = wait_for(service, appointment_id, **{k: v for k, v in values.items() if k in ("party_size", "name")})
    for name in ("status", "wish", "appointment_id"):
        if name in values:
            setattr(entry, name, values[name])
    db.session.commit()
    assert offered(service) == [(TEN, 1)]


def test_nothing_is_kept_for_who_let_that_time_go(full):
    service, appointment_id = full
    entry = wait_for(service, appointment_id)
    gone = {"start_at": TEN, "end_at": TEN + HOUR, "party_size": 1, "ends_at": NOW, "state": "declined"}
    db.session.add(Offer(entry_id=entry.id, appointment_id=appointment_id, **gone))
    db.session.commit()
    assert offered(service) == [(TEN, 1)]


def test_a_paused_waitlist_keeps_nothing_and_neither_does_one_without_time_for_an_offer(full):
    service, appointment_id = full
    wait_for(service, appointment_id)
    service = db.session.merge(service)
    service.is_waitlist_paused = True
    db.session.commit()
    assert offered(service) == [(TEN, 1)]
    service.is_waitlist_paused = False
    db.session.commit()
    question = Question(window=Interval(NOW, NOW + timedelta(days=10)))
    for minutes, left in ((25, 0), (15, 1)):
        demand = build_demand(db.session(), service, question, now=TEN - timedelta(minutes=minutes))
        assert [each.seats_left for each in demand.open_appointments] == [left]


def test_what_a_small_party_leaves_is_for_everybody(app):
    service = make_class(capacity=5, has_waitlist=True)
    appointment_id = dates.plan_date(service.slug, TEN, now=NOW)
    wait_for(service, appointment_id, party_size=6, name="Huge")
    wait_for(service, appointment_id, party_size=2, name="Zoe")
    assert offered(service) == [(TEN, 3)]
