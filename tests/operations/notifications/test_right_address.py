"""A mistyped address that was put right: the right one reads it as new, with the link that counts, and the wrong one nothing more."""

from __future__ import annotations

from datetime import timedelta

import time_machine

from portal.booking.models import Booking
from portal.booking.strangers import address
from portal.clock import now_utc
from portal.extensions import db
from tests.operations.notifications.conftest import ZOE
from tests.support.mails import deliver_all, text, to

RIGHT = "zoe.right@example.org"


def test_the_right_address_gets_the_confirmation_with_the_new_link_after_the_wrong_one_had_it(sent, studio):
    outcome = studio.book()
    deliver_all()
    token = address.correct_address(outcome.booking_id, RIGHT, now=now_utc())
    assert deliver_all() == []
    [wrong], [right] = to(sent.sent, ZOE.email), to(sent.sent, RIGHT)
    assert right["Subject"] == wrong["Subject"]
    assert f"/b/{token}" in text(right)
    assert token not in text(wrong)
    assert len(to(sent.sent, "ana@studio.example")) == 1


def test_a_mail_that_had_not_left_goes_to_the_right_address_alone(sent, studio):
    outcome = studio.book()
    address.correct_address(outcome.booking_id, RIGHT, now=now_utc())
    assert deliver_all() == []
    assert to(sent.sent, ZOE.email) == []
    assert len(to(sent.sent, RIGHT)) == 1


def test_what_happens_later_is_told_to_the_right_address(sent, studio):
    outcome = studio.book()
    deliver_all()
    address.correct_address(outcome.booking_id, RIGHT, now=now_utc())
    deliver_all()
    studio.cancel(outcome)
    deliver_all()
    assert len(to(sent.sent, ZOE.email)) == 1
    assert len(to(sent.sent, RIGHT)) == 2
    assert db.session.get(Booking, outcome.booking_id).customer_email == RIGHT


def test_half_an_hour_later_it_is_too_late(studio):
    outcome = studio.book()
    booking = db.session.get(Booking, outcome.booking_id)
    with time_machine.travel(now_utc() + timedelta(minutes=31)):
        assert not address.may_correct(db.session(), booking, now=now_utc())
