"""From seats that become free to an offer, and what becomes of the offer, on both databases."""

from datetime import timedelta

import pytest

from portal.booking.models import Booking
from portal.errors import NotFound, OfferOver
from portal.extensions import db
from tests.operations.waitlist.house import (
    NOW,
    cancel,
    entry,
    look,
    make_class,
    news,
    offers,
    receipts,
    run_out,
    seats,
    take,
    wait,
    waitlist,
    why,
)


def test_a_cancelled_seat_is_offered_to_the_first_who_waits(app):
    klass = make_class(2)
    first, _ = take(klass, "Eva"), take(klass, "Ivo")
    bea, leo = wait(klass, "Bea"), wait(klass, "Leo", now=NOW + timedelta(minutes=1))
    assert look(klass.service_id) == []
    cancel(first)
    assert len(look(klass.service_id)) == 1
    assert (entry(bea).status, entry(leo).status) == ("offered", "waiting")
    assert seats(klass.id) == 2
    assert why(receipts()[0]) == ["offered", "seats_gone"]
    assert look(klass.service_id) == []


def test_an_accepted_offer_is_a_booking_and_ends_the_entry(app):
    klass = make_class(1)
    first = take(klass, "Eva")
    bea = wait(klass, "Bea")
    cancel(first)
    look(klass.service_id)
    outcome = waitlist.accept(bea.token, now=NOW)
    assert outcome.status == "confirmed"
    booking = db.session.get(Booking, outcome.booking_id)
    assert (booking.customer_name, booking.party_size, booking.channel) == ("Bea", 1, "waitlist")
    assert (entry(bea).status, entry(bea).booking_id) == ("accepted", outcome.booking_id)
    again = waitlist.accept(bea.token, now=NOW)
    assert (again.booking_id, again.manage_token, again.is_repeat) == (outcome.booking_id, outcome.manage_token, True)
    cancel(outcome.booking_id)
    assert look(klass.service_id) == []
    assert entry(bea).status == "accepted"


def test_an_offer_that_ran_out_goes_to_the_next_and_says_so_once(app):
    klass = make_class(1)
    first = take(klass, "Eva")
    bea, leo = wait(klass, "Bea"), wait(klass, "Leo", now=NOW + timedelta(minutes=1))
    cancel(first)
    look(klass.service_id)
    run_out(offers()[0])
    with pytest.raises(OfferOver) as late:
        waitlist.accept(bea.token, now=NOW)
    assert late.value.why == "lapsed"
    assert (entry(bea).status, entry(leo).status) == ("lapsed", "offered")
    look(klass.service_id)
    assert news() == [("joined", ""), ("joined", ""), ("offered", ""), ("ended", "lapsed"), ("offered", "")]
    assert [offer.state for offer in offers()] == ["lapsed", "open"]


def test_nobody_can_answer_with_a_foreign_token(app):
    for answer in (waitlist.accept, waitlist.leave):
        with pytest.raises(NotFound):
            answer("nonsense", now=NOW)
