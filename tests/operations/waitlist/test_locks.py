"""Two transactions that meet, step by step: what the row locks are for. On SQLite the one simply waits for the other's turn."""

import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update

from portal.booking.models import Appointment, Booking
from portal.booking.operations import cancel_booking, place_hold, sweep_expired_holds
from portal.business.models import Resource
from portal.extensions import db
from tests.factories import make_resource, make_service
from tests.operations.waitlist.house import (
    NOW,
    TEN,
    book,
    cancel,
    entry,
    guest,
    look,
    make_class,
    offers,
    run_out,
    seats,
    take,
    wait,
    waitlist,
)

PAST = datetime(2020, 1, 1, tzinfo=UTC)


@contextmanager
def unfinished():
    """A transaction of somebody else, committed at the end of the block."""
    db.session.remove()
    with db.engine.connect().execution_options(lockstep_write=True) as connection, connection.begin():
        yield connection


def begun(app, act):
    """`act` in a thread of its own, and a moment for it to run into a lock."""
    caught = []

    def body():
        with app.app_context():
            try:
                caught.append(act())
            except Exception as error:
                caught.append(error)
            db.session.remove()

    thread = threading.Thread(target=body)
    thread.start()
    time.sleep(0.4)
    return thread, caught


def test_a_hold_that_is_confirmed_while_it_is_swept_away_keeps_its_seats(app):
    klass = make_class(2)
    klass_id = klass.id
    hold = place_hold(service_slug=klass.service.slug, start_at=TEN, now=NOW)
    mine = update(Booking).where(Booking.id == hold.booking_id)
    with unfinished() as other:
        other.execute(mine.values(held_until=PAST))
    with unfinished() as other:
        other.execute(mine.values(status="confirmed"))
        thread, caught = begun(app, sweep_expired_holds)
    thread.join(20)
    assert caught == [0]
    assert seats(klass_id) == 1


def test_an_offer_is_accepted_or_swept_away_and_never_both(app):
    klass = make_class(1)
    klass_id = klass.id
    first = take(klass, "Eva")
    bea = wait(klass, "Bea")
    cancel(first)
    look(klass.service_id)
    booking_id = offers()[0].booking_id
    with unfinished() as other:
        other.execute(update(Booking).where(Booking.id == booking_id).values(held_until=PAST))
        thread, caught = begun(app, lambda: waitlist.accept(bea.token, now=NOW))
    thread.join(20)
    assert [type(each).__name__ for each in caught] == ["OfferOver"]
    assert (entry(bea).status, seats(klass_id)) == ("lapsed", 0)


def test_of_two_taps_at_once_the_second_gets_the_booking_of_the_first(app):
    klass = make_class(1)
    first = take(klass, "Eva")
    bea = wait(klass, "Bea")
    cancel(first)
    look(klass.service_id)
    db.session.remove()
    taps = [begun(app, lambda: waitlist.accept(bea.token, now=NOW)) for _ in range(2)]
    for thread, _ in taps:
        thread.join(20)
    outcomes = [caught[0] for _, caught in taps]
    assert len({outcome.booking_id for outcome in outcomes}) == 1
    assert sorted(outcome.is_repeat for outcome in outcomes) == [False, True]


def test_accepting_and_declining_at_once_ends_in_one_of_both(app):
    klass = make_class(1)
    klass_id = klass.id
    first = take(klass, "Eva")
    bea = wait(klass, "Bea")
    cancel(first)
    look(klass.service_id)
    db.session.remove()
    barrier = threading.Barrier(2)

    def at_once(act):
        barrier.wait(10)
        return act()

    threads = [
        begun(app, lambda: at_once(lambda: waitlist.accept(bea.token, now=NOW))),
        begun(app, lambda: at_once(lambda: waitlist.decline(bea.token, keep_waiting=False, now=NOW))),
    ]
    for thread, _ in threads:
        thread.join(20)
    lost = [caught[0] for _, caught in threads if isinstance(caught[0], Exception)]
    assert [type(error).__name__ for error in lost] == ["OfferOver"]
    assert (entry(bea).status, seats(klass_id)) in [("accepted", 1), ("declined", 0)]


def test_a_group_whose_last_guest_leaves_while_a_seat_is_offered_does_not_swallow_the_offer(app):
    """Cancelling needs no lock of the resource: the offer must see that the group it meant to join is gone, or keep it open."""
    ana = make_resource(weekly={0: [(10 * 60, 11 * 60)]})
    service = make_service([ana], capacity=3, duration=60, step=60, has_waitlist=True)
    booked = [
        book(
            service_slug=service.slug, start_at=TEN, customer=guest(name), idempotency_key=name, now=NOW, party_size=size
        ).booking_id
        for name, size in (("Eva", 1), ("Ivo", 2))
    ]  # fmt: skip
    bea = waitlist.join(
        service_slug=service.slug, wish="appointment", appointment_start_at=TEN, customer=guest("Bea"), party_size=2,
        idempotency_key="bea", now=NOW,
    )  # fmt: skip
    cancel(booked[1])
    service_id = service.id
    with unfinished() as other:
        its_row = select(Appointment.id).join(Booking).where(Booking.id == booked[0]).with_for_update(of=Appointment)
        other.execute(its_row)
        leaving, left = begun(app, lambda: cancel_booking(booked[0], by="staff", now=NOW))
        looking, made = begun(app, lambda: look(service_id))
    for thread in (looking, leaving):
        thread.join(20)
    assert left == [None]
    assert not [each for each in made if isinstance(each, Exception)]
    look(service_id, now=NOW + timedelta(seconds=1))
    assert entry(bea).status == "offered"
    offer = offers(state="open")[0]
    assert offer.booking.appointment.is_active
    assert waitlist.accept(bea.token, now=NOW).status == "confirmed"


def test_an_offer_that_lapses_while_it_is_looked_at_twice_is_told_once(app):
    klass = make_class(1)
    first = take(klass, "Eva")
    wait(klass, "Bea")
    cancel(first)
    look(klass.service_id)
    run_out(offers()[0])
    service_id = klass.service_id
    db.session.remove()
    threads = [begun(app, lambda: look(service_id)) for _ in range(3)]
    for thread, _ in threads:
        thread.join(20)
    assert [caught for _, caught in threads] == [[[]]] * 3
    assert [offer.state for offer in offers()] == ["lapsed"]


def test_of_looks_that_come_at_once_one_waits_for_the_locks_and_serves_what_all_came_for(app):
    klass = make_class(2)
    service_id, resource_id = klass.service_id, klass.resources[0].resource_id
    booked = [take(klass, name) for name in ("Eva", "Ada")]
    waiting = [wait(klass, name) for name in ("Bea", "Leo")]
    for booking_id in booked:
        cancel(booking_id)
    with unfinished() as other:
        other.execute(update(Resource).where(Resource.id == resource_id).values(position=1))
        first, served = begun(app, lambda: look(service_id))
        second, nothing = begun(app, lambda: look(service_id))
        second.join(5)
        assert nothing == [[]], "it stood in no line"
    first.join(20)
    assert len(served[0]) == 2
    assert [entry(each).status for each in waiting] == ["offered", "offered"]
    assert look(service_id) == []
