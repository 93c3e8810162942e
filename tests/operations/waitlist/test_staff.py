"""Offering by hand, taking off, pausing, and the dry run."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from portal.booking.models import Booking, Offer, WaitlistReceipt
from portal.errors import NotAllowedNow, NotFound, SlotTaken
from portal.extensions import db
from portal.outbox import OutboxEntry
from portal.waitlist import queries
from tests.operations.waitlist.house import (
    NOW,
    TEN,
    cancel,
    entry,
    look,
    make_class,
    news,
    offers,
    receipts,
    seats,
    take,
    wait,
    waitlist,
    why,
)


def three_who_wait(capacity=2, **values):
    """A full class, and Bea, Leo (with two friends) and Mia, who came in this order."""
    klass = make_class(capacity, **values)
    booked = [take(klass, f"Full{number}") for number in range(capacity)]
    parties = (("Bea", 1), ("Leo", 3), ("Mia", 1))
    joined = [
        wait(klass, name, party_size=min(size, capacity), now=NOW + timedelta(minutes=n))
        for n, (name, size) in enumerate(parties)
    ]
    return klass, booked, joined


def test_a_paused_waitlist_makes_no_offers_until_it_goes_on(app):
    klass, booked, (bea, *_) = three_who_wait()
    slug = klass.service.slug
    waitlist.pause(slug, True)
    cancel(booked[0])
    assert look(klass.service_id) == []
    assert waitlist.look_at_waitlists(NOW) == []
    assert why(receipts()[0]) == ["paused", "party_too_large", "paused"]
    waitlist.pause(slug, False)
    waitlist.pause(slug, False)
    causes = [e.payload["cause"] for e in db.session.scalars(select(OutboxEntry).filter_by(topic="waitlist.look"))]
    assert (causes.count("paused"), causes.count("resumed")) == (1, 1)
    look(klass.service_id, cause="resumed")
    assert entry(bea).status == "offered"


def test_an_open_offer_stays_valid_while_the_waitlist_is_paused(app):
    klass, booked, (bea, *_) = three_who_wait()
    cancel(booked[0])
    look(klass.service_id)
    waitlist.pause(klass.service.slug, True)
    assert waitlist.accept(bea.token, now=NOW).status == "confirmed"


def test_the_dry_run_says_who_would_be_offered_and_changes_nothing(app):
    klass, _, joined = three_who_wait(capacity=3)
    slug, before = klass.service.slug, db.session.scalar(select(func.count(OutboxEntry.id)))
    assert waitlist.dry_run(slug, now=NOW) == []
    would = waitlist.dry_run(slug, appointment_id=klass.id, more_seats=2, now=NOW)
    assert [(each.customer_name, each.party_size, each.start_at) for each in would] == [
        ("Bea", 1, TEN),
        ("Mia", 1, TEN),
    ]
    assert would[0].length == timedelta(minutes=240)
    assert [each.customer_name for each in waitlist.dry_run(slug, appointment_id=klass.id, more_seats=5, now=NOW)] == [
        "Bea", "Leo", "Mia",
    ]  # fmt: skip
    waitlist.pause(slug, True)
    assert len(waitlist.dry_run(slug, appointment_id=klass.id, more_seats=2, now=NOW)) == 2
    db.session.rollback()
    assert [entry(each).status for each in joined] == ["waiting"] * 3
    assert (
        db.session.scalar(select(func.count(Offer.id)))
        == db.session.scalar(select(func.count(WaitlistReceipt.id)))
        == 0
    )
    assert db.session.scalar(select(func.count(OutboxEntry.id))) == before + 1  # the pause


def test_what_the_dry_run_says_is_what_then_happens(app):
    from portal.booking.fixed.dates import change_capacity

    klass, _, _ = three_who_wait(capacity=3)
    would = waitlist.dry_run(klass.service.slug, appointment_id=klass.id, more_seats=4, now=NOW)
    change_capacity(klass.id, 7, now=NOW)
    look(klass.service_id, cause="capacity")
    assert [each.entry_id for each in would] == [offer.entry_id for offer in offers()]


def test_staff_may_offer_to_anybody_and_the_receipt_says_by_hand(app):
    klass, booked, (bea, _, mia) = three_who_wait()
    waitlist.pause(klass.service.slug, True)
    cancel(booked[0])
    offer_id = waitlist.offer_by_hand(mia.entry_id, appointment_id=klass.id, now=NOW)
    assert (entry(mia).status, entry(bea).status) == ("offered", "waiting")
    offer = db.session.get(Offer, offer_id)
    assert (offer.made_by, offer.start_at, seats(klass.id)) == ("staff", TEN, 2)
    assert (receipts()[-1].cause, receipts()[-1].considered) == (
        "by hand", [{"entry": mia.entry_id, "party_size": 1, "outcome": "offered", "why": "by_hand"}],
    )  # fmt: skip
    with pytest.raises(NotAllowedNow):
        waitlist.offer_by_hand(mia.entry_id, appointment_id=klass.id, now=NOW)
    with pytest.raises(SlotTaken):
        waitlist.offer_by_hand(bea.entry_id, appointment_id=klass.id, now=NOW)
    assert waitlist.accept(mia.token, now=NOW).status == "confirmed"


def test_by_hand_also_in_the_last_minutes_but_not_after_the_start(app):
    klass, booked, (bea, *_) = three_who_wait()
    near = TEN - timedelta(minutes=6)
    cancel(booked[0], now=near)
    with pytest.raises(NotAllowedNow):
        waitlist.offer_by_hand(bea.entry_id, appointment_id=klass.id, now=TEN + timedelta(minutes=1))
    waitlist.offer_by_hand(bea.entry_id, appointment_id=klass.id, now=near)
    assert entry(bea).status == "offered"


def test_somebody_taken_off_is_told_and_the_next_is_served(app):
    klass, booked, (bea, leo, mia) = three_who_wait()
    cancel(booked[0])
    look(klass.service_id)
    waitlist.remove(bea.entry_id, now=NOW)
    waitlist.remove(bea.entry_id, now=NOW)
    assert [entry(each).status for each in (bea, leo, mia)] == ["left", "waiting", "offered"]
    assert news().count(("ended", "removed")) == 1
    with pytest.raises(NotFound):
        waitlist.remove(4711)


def test_whoever_waits_knows_their_place_and_whoever_accepts_leaves_the_queue(app):
    klass, booked, (bea, _, mia) = three_who_wait()
    cancel(booked[0])
    look(klass.service_id)
    assert [queries.position(db.session(), entry(each)) for each in (bea, mia)] == [0, 2]
    outcome = waitlist.accept(bea.token, now=NOW)
    assert db.session.get(Booking, outcome.booking_id).customer_name == "Bea"
    assert entry(bea).status == "accepted"
