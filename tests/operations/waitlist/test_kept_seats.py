"""Two places judge who may be offered a seat: the page, which keeps it for them, and the waitlist, which offers it. They must agree, or a seat
would be kept for nobody, or sold from under somebody."""

import random
from datetime import timedelta

import pytest

from portal.booking.fixed.dates import change_capacity
from portal.booking.models import Offer, WaitlistEntry
from portal.booking.time.joinable import find_standing
from portal.booking.time.queries import soonest_slots
from portal.business.models import Resource, Service
from portal.database.engine import transaction
from portal.extensions import db
from portal.intervals import Interval
from tests.operations.waitlist.house import NOW, TEN, cancel, entry, look, make_class, offers, take, wait, waitlist
from tests.operations.waitlist.house import add_date as another_date

NAMES = ("Ada", "Bea", "Leo", "Mia", "Noa", "Pau")


def a_class_at_random(chance):
    """Some seats free, some people waiting for it, each with some reason or none to be passed by."""
    klass = make_class(5, per_customer=chance.choice([None, 1]))
    resource = db.session.get(Resource, klass.resources[0].resource_id)
    other = another_date(klass.service, resource, start_at=TEN + timedelta(days=1), capacity=9)
    for number in range(chance.randrange(5)):
        take(klass, f"Full{number}")
    for number, name in enumerate(chance.sample(NAMES, chance.randrange(1, 6))):
        add_entry(klass, name, number, chance)
        if chance.random() < 0.25 and seats_left(klass, for_waitlist=True):
            take(chance.choice([klass, other]), name)
    return klass


def add_entry(klass, name, number, chance):
    row = WaitlistEntry(
        public_id=f"{klass.id}-{name}", service_id=klass.service_id, appointment_id=klass.id, start_at=TEN, wish="appointment",
        party_size=chance.choice((1, 1, 2, 3, 5)), customer_name=name, customer_email=f"{name.lower()}@example.org",
        token_hash=f"{klass.id}-{name}", joined_at=NOW + timedelta(seconds=number),
    )  # fmt: skip
    if chance.random() < 0.2:
        row.status = "left"
        row.ended_at = NOW

    def work(session):
        session.add(row)
        session.flush()
        if chance.random() < 0.3:
            session.add(
                Offer(
                    entry_id=row.id, start_at=TEN, end_at=TEN + timedelta(hours=1), party_size=1, ends_at=NOW,
                    state=chance.choice(("declined", "withdrawn")), ended_at=NOW,
                )
            )  # fmt: skip

    transaction(work)


def seats_left(klass, *, for_waitlist, now=NOW):
    db.session.rollback()
    service = db.session.get(Service, klass.service_id)
    found = find_standing(
        db.session(), service, Interval(TEN, TEN + timedelta(minutes=5)), now=now, own=None, extra_busy={}, unknown=set(),
        for_waitlist=for_waitlist,
    )  # fmt: skip
    return found[0].seats_left


@pytest.mark.parametrize("seed", range(12))
def test_seats_are_kept_exactly_for_those_who_are_then_offered_them(sqlite_app, seed):
    chance = random.Random(seed)
    klass = a_class_at_random(chance)
    kept = seats_left(klass, for_waitlist=True) - seats_left(klass, for_waitlist=False)
    look(klass.service_id)
    assert sum(offer.party_size for offer in offers(state="open")) == kept
    assert seats_left(klass, for_waitlist=True) == seats_left(klass, for_waitlist=False)


def test_a_seat_that_nobody_who_waits_can_use_is_there_for_everybody(sqlite_app):
    klass = make_class(2)
    take(klass, "Eva")
    wait(klass, "Bea", party_size=2)
    assert look(klass.service_id) == []
    assert [slot.seats_left for slot in soonest_slots(db.session(), klass.service, now=NOW)] == [1]


def test_a_closed_service_offers_nothing(sqlite_app):
    klass = make_class(2)
    take(klass, "Eva")
    bea = wait(klass, "Bea", party_size=2)
    service = db.session.get(Service, klass.service_id)
    service.is_active = False
    db.session.commit()
    change_capacity(klass.id, 9, now=NOW)
    assert waitlist.look_at_waitlists(NOW) == look(klass.service_id) == []
    assert entry(bea).status == "waiting"


def test_a_day_of_fixed_dates_can_be_waited_for(sqlite_app):
    klass = make_class(1)
    resource = db.session.get(Resource, klass.resources[0].resource_id)
    later = another_date(klass.service, resource, start_at=TEN + timedelta(hours=3), capacity=1)
    next_day = another_date(klass.service, resource, start_at=TEN + timedelta(days=1), capacity=1)
    booked = [take(date, f"Full{date.id}") for date in (klass, later, next_day)]
    bea = wait(klass, "Bea", wish="day", wish_on=TEN.date())
    cancel(booked[2])
    assert look(klass.service_id) == []
    cancel(booked[1])
    look(klass.service_id)
    assert (entry(bea).status, offers()[0].appointment_id) == ("offered", later.id)
