"""Waiting for a day, a week or any day of a service whose times are computed, and for groups that come and go with their bookings."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select

from portal.booking.models import Appointment, Booking
from portal.booking.operations import place_hold, release_hold, sweep_expired_holds
from portal.booking.time.queries import free_slots
from portal.business.models import Resource, WeeklyHours
from portal.errors import OfferOver
from portal.extensions import db
from portal.intervals import Interval
from tests.factories import make_resource, make_service
from tests.operations.waitlist.house import (
    NOW,
    book,
    cancel,
    entry,
    guest,
    look,
    news,
    offers,
    receipts,
    run_out,
    waitlist,
    why,
)

MONDAY = date(2027, 3, 8)
NINE = datetime(2027, 3, 8, 8, 0, tzinfo=UTC)
HALF = timedelta(minutes=30)
TWO_HALVES = {0: [(9 * 60, 10 * 60)]}


def practice(people=1, **values):
    """A service of people who each work from nine to ten on Mondays only."""
    staff = [make_resource(weekly=TWO_HALVES) for _ in range(people)]
    return make_service(staff, has_waitlist=True, **values), staff


def fill(service, count=2, *, start_at=NINE, party_size=1):
    """Book everything from nine to ten, and on the following Mondays."""
    return [
        book(
            service_slug=service.slug, start_at=start_at + HALF * (number % 2), customer=guest(f"Full{number}"),
            idempotency_key=f"{service.slug}-{start_at}-{number}", now=NOW, party_size=party_size,
        ).booking_id
        for number in range(count)
    ]  # fmt: skip


def join(service, name, *, wish="day", wish_on=MONDAY, party_size=1, now=NOW, **more):
    return waitlist.join(
        service_slug=service.slug, wish=wish, wish_on=wish_on, customer=guest(name), party_size=party_size,
        idempotency_key=f"{service.slug}-{name}-{wish}-{wish_on}-{more}", now=now, **more,
    )  # fmt: skip


def free(service):
    db.session.rollback()
    window = Interval(NINE - timedelta(days=1), NINE + timedelta(days=1))
    return [slot.interval.start for slot in free_slots(db.session(), service, window=window, now=NOW)]


def test_a_time_that_becomes_free_on_a_full_day_is_offered_and_held(app):
    service, _ = practice()
    _, second = fill(service)
    bea = join(service, "Bea")
    cancel(second)
    assert len(look(service.id)) == 1
    assert offers()[0].start_at == NINE + HALF
    assert free(service) == []
    booking_id = waitlist.accept(bea.token, now=NOW).booking_id
    assert db.session.get(Booking, booking_id).appointment.start_at == NINE + HALF


def test_an_offered_time_that_ran_out_is_free_again_and_leaves_nothing_behind(app):
    service, _ = practice()
    first, _ = fill(service)
    bea = join(service, "Bea")
    cancel(first)
    look(service.id)
    run_out(offers()[0])
    sweep_expired_holds()
    look(service.id)
    assert entry(bea).status == "lapsed"
    assert free(service) == [NINE]
    assert offers()[0].appointment_id is None


def test_one_offer_at_a_time_for_each_place(app):
    service, _ = practice()
    first, _ = fill(service)
    bea, leo = join(service, "Bea"), join(service, "Leo", now=NOW + timedelta(minutes=1))
    cancel(first)
    assert len(look(service.id)) == 1
    assert (entry(bea).status, entry(leo).status) == ("offered", "waiting")
    assert why(receipts()[0]) == ["offered", "seats_gone"]
    waitlist.decline(bea.token, keep_waiting=True, now=NOW)
    assert (entry(bea).status, entry(leo).status) == ("waiting", "offered")


def test_a_week_and_any_day_take_what_comes_first(app):
    service, _ = practice(horizon=20)
    fill(service, start_at=NINE - timedelta(days=7))
    (first, _), (next_week, _) = fill(service), fill(service, start_at=NINE + timedelta(days=7))
    day, week = join(service, "Bea"), join(service, "Leo", wish="week", wish_on=date(2027, 3, 20))
    anytime = join(service, "Mia", wish="any", wish_on=None)
    cancel(next_week)
    look(service.id)
    assert [entry(each).status for each in (day, week, anytime)] == ["waiting", "offered", "waiting"]
    cancel(first)
    look(service.id)
    assert [entry(each).status for each in (day, week, anytime)] == ["offered", "offered", "waiting"]


def test_who_wants_one_person_is_not_offered_another(app):
    service, (ana, ben) = practice(people=2)
    for person in (ana, ben):
        for number in range(2):
            book(
                service_slug=service.slug, start_at=NINE + HALF * number, customer=guest("Full"),
                idempotency_key=f"{person.slug}{number}", now=NOW, resource_slug=person.slug,
            )  # fmt: skip
    with_ben = join(service, "Bea", resource_slug=ben.slug)
    anyone = join(service, "Leo", now=NOW + timedelta(minutes=1))
    appointment = db.session.scalar(
        select(Appointment).where(Appointment.start_at == NINE, Appointment.resources.any(resource_id=ana.id))
    )
    cancel(appointment.bookings[0].id)
    look(service.id)
    assert (entry(with_ben).status, entry(anyone).status) == ("waiting", "offered")
    assert why(receipts()[0]) == ["other_person", "offered"]
    assert offers()[0].resource_id == ana.id


def test_hours_that_are_added_are_offered_without_anybodys_doing(app):
    service, (ana,) = practice()
    fill(service)
    bea = join(service, "Bea")
    assert waitlist.look_at_waitlists(NOW) == []
    db.session.get(Resource, ana.id).weekly_hours.append(WeeklyHours(weekday=0, starts=600, ends=630))
    db.session.commit()
    assert len(waitlist.look_at_waitlists(NOW)) == 1
    assert (entry(bea).status, offers()[0].start_at) == ("offered", NINE + 2 * HALF)


def test_a_visitors_hold_that_lapses_is_offered(app):
    service, _ = practice()
    first, _ = fill(service)
    cancel(first)
    hold = place_hold(service_slug=service.slug, start_at=NINE, now=NOW)
    bea = join(service, "Bea")
    assert look(service.id) == []
    release_hold(hold.token)
    look(service.id)
    assert entry(bea).status == "offered"


def test_a_limit_per_day_binds_the_waitlist_too(app):
    service, _ = practice(per_day=1)
    first = book(
        service_slug=service.slug, start_at=NINE, customer=guest("Eva"), idempotency_key="eva", now=NOW
    ).booking_id
    bea, leo = join(service, "Bea"), join(service, "Leo", now=NOW + timedelta(minutes=1))
    assert look(service.id) == []
    cancel(first)
    look(service.id)
    assert (entry(bea).status, entry(leo).status) == ("offered", "waiting")
    assert look(service.id) == []


def test_a_wish_for_a_day_is_over_when_the_day_is_and_one_for_any_day_never(app):
    service, _ = practice(horizon=10)
    fill(service)
    fill(service, start_at=NINE - timedelta(days=7))
    day = join(service, "Bea")
    anytime = join(service, "Mia", wish="any", wish_on=None)
    tomorrow = NINE + timedelta(days=2)
    waitlist.look_at_waitlists(tomorrow)
    assert entry(day).status == "over"
    assert entry(anytime).status in ("waiting", "offered")
    assert news().count(("ended", "over")) == 1


def group(capacity=3):
    service, staff = practice(capacity=capacity)
    first, second = fill(service, party_size=capacity)
    return service, staff, first, second


def test_a_group_that_came_to_nothing_is_opened_again_for_those_who_waited_for_it(app):
    """The last booking takes the appointment with it; whoever waited for it waits for its time."""
    service, _, first, _ = group()
    bea = join(service, "Bea", wish="appointment", wish_on=None, appointment_start_at=NINE, party_size=2)
    leo = join(service, "Leo", wish="appointment", wish_on=None, appointment_start_at=NINE, party_size=1,
               now=NOW + timedelta(minutes=1))  # fmt: skip
    assert entry(bea).appointment_id is not None
    cancel(first)
    assert len(look(service.id)) == 2
    assert (entry(bea).status, entry(leo).status) == ("offered", "offered")
    assert len({offer.appointment_id for offer in offers()}) == 1
    assert waitlist.accept(leo.token, now=NOW).status == "confirmed"
    assert waitlist.accept(bea.token, now=NOW).status == "confirmed"


def test_an_entry_outlives_the_group_that_it_was_made_for(app):
    """A group of nothing but a hold leaves no trace when the hold ends; the entry must not go with it."""
    service, _, first, _ = group()
    cancel(first)
    hold = place_hold(service_slug=service.slug, start_at=NINE, now=NOW, party_size=3)
    bea = join(service, "Bea", wish="appointment", wish_on=None, appointment_start_at=NINE)
    release_hold(hold.token)
    look(service.id)
    assert entry(bea).status == "offered"


def test_a_group_that_leaves_its_time_leaves_it_to_those_who_waited_there(app):
    from portal.booking.operations import move_booking

    service, _, first, second = group()
    bea = join(service, "Bea", wish="appointment", wish_on=None, appointment_start_at=NINE)
    cancel(second)
    move_booking(first, NINE + HALF, by="staff", now=NOW)
    look(service.id)
    assert (entry(bea).status, offers()[0].start_at) == ("offered", NINE)


def test_two_services_of_one_person_never_offer_the_same_time(app):
    ana = make_resource(weekly=TWO_HALVES)
    services = [make_service([ana], has_waitlist=True) for _ in range(2)]
    first, _ = fill(services[0])
    joined = [join(service, "Bea") for service in services]
    cancel(first)
    for service in services:
        look(service.id)
    assert sorted(entry(each).status for each in joined) == ["offered", "waiting"]
    with pytest.raises(OfferOver):
        waitlist.accept(joined[1].token, now=NOW)
