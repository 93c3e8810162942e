"""From seats that become free to an offer, and what becomes of the offer, on both databases."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.booking.fixed.dates import call_off, change_capacity, change_date
from portal.booking.models import Booking
from portal.booking.operations import place_hold, release_hold, sweep_expired_holds
from portal.booking.time.queries import soonest_slots
from portal.business.models import Resource
from portal.calendars.models import BusyInterval
from portal.clock import now_utc
from portal.database.engine import database_now
from portal.errors import LimitReached, NotAllowedNow, NotFound, OfferOver, SlotTaken, TryAgain
from portal.extensions import db
from portal.outbox import OutboxEntry, work_of
from portal.upkeep.adoption import adopt
from tests.factories import make_calendar
from tests.operations.waitlist.house import (
    NOW,
    TEN,
    add_date,
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
from tests.support.copies import make_foreign


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


def offered_to(name="Bea", *, capacity=1, **values):
    """A class whose one seat has just been offered to somebody: (appointment, what they joined with)."""
    klass = make_class(capacity, **values)
    first = take(klass, "Eva", party_size=capacity)
    joined = wait(klass, name, now=NOW)
    cancel(first)
    assert len(look(klass.service_id)) == 1
    return klass, joined


def test_an_offer_holds_its_seats_against_everybody(app):
    klass, _ = offered_to()
    with pytest.raises(SlotTaken):
        place_hold(service_slug=klass.service.slug, start_at=TEN, now=NOW)
    offer = offers()[0]
    assert offer.booking.status == "held"
    assert timedelta(minutes=239) < offer.ends_at - database_now(db.session()) <= timedelta(minutes=240)
    assert offer.booking.held_until == offer.ends_at
    assert (offer.start_at, offer.party_size, offer.made_by) == (TEN, 1, "portal")


def test_a_visitors_own_hold_does_not_touch_an_offer(app):
    klass, joined = offered_to(capacity=2)
    hold = place_hold(service_slug=klass.service.slug, start_at=TEN, now=NOW)
    release_hold(hold.token)
    release_hold(joined.token)
    sweep_expired_holds()
    assert entry(joined).status == "offered"
    assert waitlist.accept(joined.token, now=NOW).status == "confirmed"


def test_who_waits_with_people_sits_with_people(app):
    klass = make_class(3)
    first = take(klass, "Eva", party_size=3)
    big, small = wait(klass, "Bea", party_size=3), wait(klass, "Leo", party_size=2, now=NOW + timedelta(minutes=1))
    cancel(first)
    take(klass, "Ivo")
    look(klass.service_id)
    assert (entry(big).status, entry(small).status) == ("waiting", "offered")
    assert why(receipts()[0]) == ["party_too_large", "offered"]
    assert seats(klass.id) == 3


def test_a_receipt_is_written_when_it_says_something_new(app):
    klass = make_class(2)
    first = take(klass, "Eva", party_size=2)
    wait(klass, "Bea", party_size=2)
    cancel(first)
    ivo = take(klass, "Ivo")
    for _ in range(3):
        look(klass.service_id, cause="time")
    assert [why(receipt) for receipt in receipts()] == [["party_too_large"]]
    assert (receipts()[0].cause, receipts()[0].seats_free, receipts()[0].appointment_id) == ("time", 1, klass.id)
    cancel(ivo)
    look(klass.service_id)
    assert [why(receipt) for receipt in receipts()] == [["party_too_large"], ["offered"]]


def test_what_was_said_of_one_date_is_not_said_again_when_another_has_news(app):
    klass = make_class(2)
    ana = db.session.get(Resource, klass.resources[0].resource_id)
    other = add_date(klass.service, ana, start_at=TEN + timedelta(days=1), capacity=1)
    first, _, elsewhere = take(klass, "Eva"), take(klass, "Ivo"), take(other, "Ada")
    wait(klass, "Bea", party_size=2)
    wait(other, "Leo")
    cancel(first)
    look(klass.service_id)
    cancel(elsewhere)
    look(klass.service_id)
    assert [(receipt.appointment_id, why(receipt)) for receipt in receipts()] == [
        (klass.id, ["party_too_large"]), (other.id, ["other_time", "offered"]),
    ]  # fmt: skip


def test_declining_for_good_ends_the_entry_and_serves_the_next(app):
    klass, bea = offered_to()
    leo = wait(klass, "Leo")
    waitlist.decline(bea.token, keep_waiting=False, now=NOW)
    assert (entry(bea).status, entry(leo).status) == ("declined", "offered")
    assert ("ended", "declined") in news()
    waitlist.decline(bea.token, keep_waiting=False, now=NOW)
    with pytest.raises(OfferOver) as late:
        waitlist.accept(bea.token, now=NOW)
    assert late.value.why == "declined"
    assert len([each for each in news() if each[0] == "ended"]) == 1


def test_declining_and_waiting_on_keeps_the_place_but_not_for_that_time(app):
    klass, bea = offered_to()
    waitlist.decline(bea.token, keep_waiting=True, now=NOW)
    look(klass.service_id)
    row = entry(bea)
    assert (row.status, row.joined_at) == ("waiting", NOW)
    assert why(receipts()[-1]) == ["already_offered"]
    assert [offer.state for offer in offers()] == ["declined"]
    with pytest.raises(OfferOver) as late:
        waitlist.accept(bea.token, now=NOW)
    assert late.value.why == "declined"
    assert [slot.interval.start for slot in soonest_slots(db.session(), klass.service, now=NOW)] == [TEN]


def test_leaving_gives_an_offer_back_at_once(app):
    klass, bea = offered_to()
    leo = wait(klass, "Leo")
    waitlist.leave(bea.token, now=NOW)
    waitlist.leave(bea.token, now=NOW)
    assert (entry(bea).status, entry(leo).status) == ("left", "offered")
    assert news().count(("ended", "left")) == 1
    with pytest.raises(OfferOver) as late:
        waitlist.accept(bea.token, now=NOW)
    assert late.value.why == "left"
    waitlist.accept(leo.token, now=NOW)
    with pytest.raises(NotAllowedNow):
        waitlist.leave(leo.token, now=NOW)


def test_accepting_without_an_offer_says_so(app):
    klass = make_class(1)
    take(klass, "Eva")
    bea = wait(klass, "Bea")
    with pytest.raises(OfferOver) as refusal:
        waitlist.accept(bea.token, now=NOW)
    assert refusal.value.why == "none"


def test_whoever_sweeps_an_ended_offer_away_its_end_is_told_once(app):
    klass, bea = offered_to()
    run_out(offers()[0])
    assert sweep_expired_holds() == 1
    assert seats(klass.id) == 0
    for _ in range(2):
        waitlist.look_at_waitlists(NOW)
    assert entry(bea).status == "lapsed"
    assert news().count(("ended", "lapsed")) == 1
    assert offers()[0].state == "lapsed"


def test_after_a_lapse_one_may_join_again(app):
    klass, bea = offered_to()
    run_out(offers()[0])
    look(klass.service_id)
    take(klass, "Ivo")
    again = wait(klass, "Bea", key="again")
    assert (entry(bea).status, entry(again).status) == ("lapsed", "waiting")


def test_an_accepted_offer_of_a_service_with_approval_is_pending_and_owns_its_seat(app):
    klass, bea = offered_to(needs_approval=True)
    outcome = waitlist.accept(bea.token, now=NOW)
    assert outcome.status == "pending"
    assert db.session.get(Booking, outcome.booking_id).pending_reason == "approval"
    assert seats(klass.id) == 1


def test_a_limit_per_customer_passes_by_and_holds_at_the_acceptance_too(app):
    klass, bea = offered_to(per_customer=1)
    other = add_date(klass.service, db.session.get(Resource, klass.resources[0].resource_id),
                     start_at=TEN + timedelta(days=1), capacity=1)  # fmt: skip
    elsewhere = take(other, "Bea")
    with pytest.raises(LimitReached):
        waitlist.accept(bea.token, now=NOW)
    assert entry(bea).status == "offered"
    run_out(offers()[0])
    look(klass.service_id)
    ivo = take(klass, "Ivo")
    again = wait(klass, "Bea", key="again")
    cancel(ivo)
    assert look(klass.service_id) == []
    assert why(receipts()[-1]) == ["limit"]
    cancel(elsewhere)
    look(klass.service_id)
    assert entry(again).status == "offered"


def test_who_has_booked_that_very_appointment_meanwhile_is_passed_by(app):
    klass = make_class(3)
    first = take(klass, "Eva", party_size=3)
    bea, leo = wait(klass, "Bea"), wait(klass, "Leo", now=NOW + timedelta(minutes=1))
    cancel(first)
    take(klass, "Bea", party_size=2)
    look(klass.service_id)
    assert (entry(bea).status, entry(leo).status) == ("waiting", "offered")
    assert why(receipts()[0]) == ["has_booking", "offered"]


def test_an_outside_event_over_the_time_shuts_it_for_offers_and_for_acceptance(app):
    klass, bea = offered_to()
    resource = db.session.get(Resource, klass.resources[0].resource_id)
    calendar = make_calendar(resource, last_read_at=NOW)
    event = BusyInterval(
        calendar_id=calendar.id, resource_id=resource.id, remote_id="x", start_at=TEN, end_at=TEN + timedelta(hours=1)
    )
    db.session.add(event)
    db.session.commit()
    with pytest.raises(OfferOver) as refusal:
        waitlist.accept(bea.token, now=NOW)
    assert refusal.value.why == "withdrawn"
    assert (entry(bea).status, seats(klass.id)) == ("waiting", 0)
    assert look(klass.service_id) == []
    db.session.delete(db.session.get(BusyInterval, event.id))
    db.session.commit()
    assert len(look(klass.service_id)) == 1
    assert waitlist.accept(bea.token, now=NOW).status == "confirmed"


def test_a_calendar_that_cannot_be_read_stops_offers_where_the_rule_says_so(app):
    klass = make_class(1)
    first = take(klass, "Eva")
    wait(klass, "Bea")
    cancel(first)
    resource = db.session.get(Resource, klass.resources[0].resource_id)
    make_calendar(resource, last_read_at=NOW - timedelta(days=1), when_unreadable="stop")
    assert look(klass.service_id) == []


def test_an_appointment_called_off_ends_its_queue_and_tells_each_once(app):
    klass, bea = offered_to(capacity=2)
    leo = wait(klass, "Leo", party_size=2)
    call_off(klass.id, now=NOW)
    for _ in range(2):
        look(klass.service_id, cause="called off")
    assert (entry(bea).status, entry(leo).status) == ("over", "over")
    assert news().count(("ended", "over")) == 2
    assert offers()[0].state == "withdrawn"
    with pytest.raises(OfferOver) as late:
        waitlist.accept(bea.token, now=NOW)
    assert late.value.why == "over"


def test_when_staff_move_the_appointment_its_time_is_offered_anew(app):
    klass, bea = offered_to()
    later = TEN + timedelta(hours=2)
    change_date(klass.id, start_at=later, now=NOW)
    with pytest.raises(OfferOver):
        waitlist.accept(bea.token, now=NOW)
    assert [(offer.state, offer.start_at) for offer in offers()] == [("withdrawn", TEN), ("open", later)]
    booking_id = waitlist.accept(bea.token, now=NOW).booking_id
    assert db.session.get(Booking, booking_id).appointment.start_at == later


def test_more_seats_are_offered_and_fewer_than_are_held_is_refused(app):
    klass = make_class(1)
    take(klass, "Eva")
    bea, leo = wait(klass, "Bea"), wait(klass, "Leo", now=NOW + timedelta(minutes=1))
    change_capacity(klass.id, 2, now=NOW)
    look(klass.service_id, cause="capacity")
    assert (entry(bea).status, entry(leo).status) == ("offered", "waiting")
    with pytest.raises(NotAllowedNow):
        change_capacity(klass.id, 1, now=NOW)


def test_entries_end_when_their_appointment_has_begun(app):
    klass = make_class(1)
    take(klass, "Eva")
    bea = wait(klass, "Bea")
    late = TEN + timedelta(minutes=1)
    waitlist.look_at_waitlists(late)
    waitlist.look_at_waitlists(late)
    assert entry(bea).status == "over"
    assert news() == [("joined", ""), ("ended", "over")]


def test_shortly_before_the_start_the_receipt_says_too_late(app):
    klass = make_class(1)
    first = take(klass, "Eva")
    bea = wait(klass, "Bea")
    near = TEN - timedelta(minutes=10)
    cancel(first, now=near)
    assert look(klass.service_id, now=near) == []
    assert why(receipts()[0]) == ["too_late"]
    assert entry(bea).status == "waiting"


def test_the_outbox_asks_for_the_look_and_for_the_end_of_the_offer(app):
    klass, bea = offered_to()
    asked = db.session.scalars(select(OutboxEntry).filter_by(topic="waitlist.look").order_by(OutboxEntry.id)).all()
    offer = offers()[0]
    subjects = {each.subject: each.next_at for each in asked}
    assert subjects[f"offer:{offer.id}"] == offer.ends_at
    assert f"service:{klass.service_id}" in subjects
    run_out(offer)
    work = work_of(next(each for each in asked if each.subject == f"offer:{offer.id}"))
    waitlist.look_entry(work)
    waitlist.look_entry(work)
    assert entry(bea).status == "lapsed"


def test_a_look_with_nothing_to_do_writes_nothing(app, monkeypatch):
    klass = make_class(1)
    take(klass, "Eva")
    wait(klass, "Bea")
    monkeypatch.setattr("portal.waitlist.allot.write_transaction", None)
    assert look(klass.service_id) == []
    assert waitlist.look_at_waitlists(NOW) == []


def test_trouble_with_one_waitlist_does_not_hold_up_the_others(app, monkeypatch):
    classes = [make_class(1), make_class(1)]
    booked = [take(klass, "Eva") for klass in classes]
    joined = [wait(klass, "Bea") for klass in classes]
    for booking_id in booked:
        cancel(booking_id)
    troubled = classes[0].service_id

    def stumble(service_id, **more):
        if service_id == troubled:
            raise TryAgain("The portal is very busy at this moment.")
        return waitlist.look(service_id, **more)

    monkeypatch.setattr("portal.waitlist.allot.look", stumble)
    assert len(waitlist.look_at_waitlists(NOW)) == 1
    assert [entry(each).status for each in joined] == ["waiting", "offered"]


def test_a_copy_offers_nothing_before_it_is_adopted(app):
    klass = make_class(1)
    first = take(klass, "Eva")
    bea = wait(klass, "Bea")
    make_foreign()
    cancel(first)
    assert look(klass.service_id) == []
    assert (entry(bea).status, offers(), receipts()) == ("waiting", [], [])
    adopt(by="Olga", now=now_utc())
    assert len(look(klass.service_id)) == 1
    assert entry(bea).status == "offered"
