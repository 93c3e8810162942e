"""Holding, confirming, moving and cancelling, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from portal.booking import operations
from portal.booking.models import Appointment, AppointmentResource, Booking, Claim, Seat
from portal.booking.operations import Customer
from portal.booking.time.queries import free_slots, soonest_slots
from portal.business.models import ServiceResource
from portal.errors import HoldExpired, Invalid, NotAllowedNow, NotFound, RepeatedDifferently, SlotTaken, TooLate
from portal.extensions import db
from portal.intervals import Interval
from portal.outbox import OutboxEntry
from tests.factories import make_resource, make_service

NOW = datetime(2027, 3, 1, 6, 0, tzinfo=UTC)  # a Monday; Madrid is an hour ahead
NINE = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)
EVA = Customer(name="Eva Sanz", email="eva@example.org")


def book(service, start_at=NINE, *, key=None, customer=EVA, **more):
    key = key or f"key-{start_at.isoformat()}-{customer.email}"
    return operations.book(
        service_slug=service.slug, start_at=start_at, customer=customer, idempotency_key=key, now=NOW, **more
    )


def starts(service, **more):
    window = Interval(NINE, NINE + timedelta(hours=8))
    return [slot.interval.start for slot in free_slots(db.session(), service, window=window, now=NOW, **more)]


def count(model):
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model))


def topics():
    db.session.rollback()
    return [entry.topic for entry in db.session.scalars(select(OutboxEntry).order_by(OutboxEntry.id))]


def test_a_booking_takes_its_slot_and_tells_the_world(app):
    service = make_service()
    outcome = book(service)
    assert outcome.status == "confirmed"
    assert NINE not in starts(service)
    assert topics() == ["calendar.publish", "notify.customer", "notify.staff"]


def test_buffers_are_claimed_too(app):
    service = make_service(duration=30, step=30, buffer_before=10, buffer_after=15)
    book(service, NINE + timedelta(hours=1))
    assert count(Claim) == (10 + 30 + 15) // 5
    hour = NINE + timedelta(hours=1)
    assert {hour - timedelta(minutes=30), hour, hour + timedelta(minutes=30)}.isdisjoint(starts(service))


def test_a_time_that_is_not_offered_is_refused_with_the_three_nearest(app):
    service = make_service()
    book(service)
    with pytest.raises(SlotTaken) as refusal:
        book(service, customer=Customer("Ivo", "ivo@example.org"))
    nearest = [slot.interval.start for slot in refusal.value.nearest]
    assert nearest == [NINE + timedelta(minutes=30 * n) for n in (1, 2, 3)]


@pytest.mark.parametrize("minutes", [7, 15, -60, 8 * 60, 60 * 24 * 5])
def test_off_the_grid_or_outside_the_hours_nothing_can_be_booked(app, minutes):
    with pytest.raises(SlotTaken):
        book(make_service(), NINE + timedelta(minutes=minutes))
    assert count(Booking) == 0


def test_a_hold_hides_the_time_and_releasing_it_frees_it(app):
    service = make_service()
    hold = operations.place_hold(service_slug=service.slug, start_at=NINE, now=NOW)
    assert NINE not in starts(service)
    operations.release_hold(hold.token)
    operations.release_hold(hold.token)
    assert NINE in starts(service)
    assert count(Appointment) == count(Claim) == count(Seat) == 0


def test_choosing_another_time_gives_the_first_one_back(app):
    service = make_service()
    first = operations.place_hold(service_slug=service.slug, start_at=NINE, now=NOW)
    later = NINE + timedelta(minutes=30)
    operations.place_hold(service_slug=service.slug, start_at=later, now=NOW, previous_hold=first.token)
    assert NINE in starts(service)
    assert later not in starts(service)


def test_a_taken_second_choice_keeps_the_first_hold(app):
    service = make_service()
    later = NINE + timedelta(minutes=30)
    book(service, later)
    first = operations.place_hold(service_slug=service.slug, start_at=NINE, now=NOW)
    with pytest.raises(SlotTaken):
        operations.place_hold(service_slug=service.slug, start_at=later, now=NOW, previous_hold=first.token)
    assert operations.confirm_hold(first.token, EVA, idempotency_key="key-12345", now=NOW).status == "confirmed"


def expire(hold):
    db.session.get(Booking, hold.booking_id).held_until = datetime.now(UTC) - timedelta(seconds=1)
    db.session.commit()


def test_an_expired_hold_frees_its_time_for_the_next(app):
    service = make_service()
    hold = operations.place_hold(service_slug=service.slug, start_at=NINE, now=NOW)
    expire(hold)
    assert book(service).status == "confirmed"
    with pytest.raises(NotFound):
        operations.confirm_hold(hold.token, EVA, idempotency_key="key-12345", now=NOW)


def test_an_expired_hold_cannot_be_confirmed(app):
    hold = operations.place_hold(service_slug=make_service().slug, start_at=NINE, now=NOW)
    expire(hold)
    with pytest.raises(HoldExpired):
        operations.confirm_hold(hold.token, EVA, idempotency_key="key-12345", now=NOW)


def test_readers_do_not_count_expired_holds_and_the_sweep_removes_them(app):
    service = make_service()
    expire(operations.place_hold(service_slug=service.slug, start_at=NINE, now=NOW))
    now = datetime.now(UTC)
    monday = NINE + timedelta(days=7 * ((now - NINE).days // 7 + 1)) if now > NINE else NINE
    assert monday in [
        slot.interval.start for slot in soonest_slots(db.session(), service, now=max(now, NOW), limit=400)
    ]
    assert operations.sweep_expired_holds() == 1
    assert count(Claim) == 0


def test_a_hold_can_be_extended_once(app):
    hold = operations.place_hold(service_slug=make_service().slug, start_at=NINE, now=NOW)
    longer = operations.extend_hold(hold.token, now=NOW)
    assert longer.held_until - hold.held_until == timedelta(minutes=5)
    assert operations.extend_hold(hold.token, now=NOW).held_until == longer.held_until


def test_the_same_request_twice_gives_the_first_result(app):
    service = make_service()
    first, second = book(service, key="the-same-key"), book(service, key="the-same-key")
    assert second.is_repeat
    assert (second.public_id, second.manage_token) == (first.public_id, first.manage_token)
    assert count(Booking) == 1


def test_the_same_key_with_other_content_is_refused(app):
    service = make_service()
    book(service, key="the-same-key")
    with pytest.raises(RepeatedDifferently):
        book(service, NINE + timedelta(hours=1), key="the-same-key")


def test_what_is_missing_is_named_field_by_field(app):
    with pytest.raises(Invalid) as refusal:
        book(make_service(), customer=Customer(name=" ", email="nobody", phone="call me"))
    assert set(refusal.value.fields) == {"name", "email", "phone"}
    assert count(Booking) == 0


def test_cancelling_frees_the_time_and_twice_is_the_same_as_once(app):
    service = make_service()
    booking_id = book(service).booking_id
    operations.cancel_booking(booking_id, by="customer", now=NOW)
    operations.cancel_booking(booking_id, by="customer", now=NOW)
    assert NINE in starts(service)
    assert count(Claim) == count(Seat) == 0
    assert topics().count("notify.customer") == 2
    assert db.session.get(Booking, booking_id).status == "cancelled"


def test_after_the_cut_off_customers_cannot_cancel_but_staff_can(app):
    service = make_service(cancel_until=24 * 60)
    booking_id = book(service).booking_id
    with pytest.raises(TooLate, match="1 day"):
        operations.cancel_booking(booking_id, by="customer", now=NOW)
    operations.cancel_booking(booking_id, by="staff", now=NOW)
    assert NINE in starts(service)


def test_a_cancelled_booking_cannot_be_moved_back_to_life(app):
    service = make_service()
    booking_id = book(service).booking_id
    operations.cancel_booking(booking_id, by="staff", now=NOW)
    with pytest.raises(NotAllowedNow):
        operations.move_booking(booking_id, NINE + timedelta(hours=1), by="staff", now=NOW)


def test_moving_by_ten_minutes_over_its_own_old_time_works(app):
    service = make_service(duration=30, step=10)
    booking_id = book(service).booking_id
    later = NINE + timedelta(minutes=10)
    operations.move_booking(booking_id, later, by="customer", now=NOW)
    appointment = db.session.get(Booking, booking_id).appointment
    assert (appointment.start_at, appointment.end_at) == (later, later + timedelta(minutes=30))
    assert count(Appointment) == count(AppointmentResource) == 1
    assert count(Claim) == 6


def test_a_move_onto_a_taken_time_leaves_everything_as_it_was(app):
    service = make_service()
    booking_id, later = book(service).booking_id, NINE + timedelta(hours=1)
    book(service, later)
    before = [
        tuple(row) for row in db.session.execute(select(Claim.resource_id, Claim.quantum_no, Claim.appointment_id))
    ]
    with pytest.raises(SlotTaken) as refusal:
        operations.move_booking(booking_id, later, by="customer", now=NOW)
    assert refusal.value.nearest
    after = [
        tuple(row) for row in db.session.execute(select(Claim.resource_id, Claim.quantum_no, Claim.appointment_id))
    ]
    assert sorted(after) == sorted(before)


def test_staff_who_move_the_event_by_hand_are_followed_off_the_grid(app):
    service = make_service()
    booking_id = book(service).booking_id
    at, until = NINE + timedelta(hours=9, minutes=7), NINE + timedelta(hours=10)
    operations.move_booking(booking_id, at, by="calendar", now=NOW, end_at=until, keep_event=True)
    appointment = db.session.get(Booking, booking_id).appointment
    assert (appointment.start_at, appointment.end_at) == (at, until)
    assert topics().count("calendar.publish") == 1


def no_longer_gives(resource, service):
    row = ServiceResource.query.filter_by(service_id=service.id, resource_id=resource.id).one()
    db.session.delete(row)
    db.session.commit()


def test_an_event_moved_by_hand_is_followed_when_its_person_no_longer_gives_the_service(app):
    ana, ben = make_resource(), make_resource()
    service = make_service([ana, ben])
    booking_id = book(service, resource_slug=ana.slug).booking_id
    no_longer_gives(ana, service)
    later = NINE + timedelta(hours=2)
    operations.move_booking(booking_id, later, by="calendar", now=NOW)
    appointment = db.session.get(Booking, booking_id).appointment
    assert (appointment.start_at, [row.resource_id for row in appointment.resources]) == (later, [ana.id])


def test_a_customer_whose_person_no_longer_gives_the_service_may_move_to_somebody_who_does(app):
    ana, ben = make_resource(), make_resource()
    service = make_service([ana, ben])
    booking_id = book(service, resource_slug=ana.slug).booking_id
    no_longer_gives(ana, service)
    operations.move_booking(booking_id, NINE + timedelta(hours=2), by="customer", now=NOW)
    assert [row.resource_id for row in db.session.get(Booking, booking_id).appointment.resources] == [ben.id]


def test_anyone_means_the_one_with_the_fewest_appointments(app):
    ana, ben = make_resource(), make_resource()
    service = make_service([ana, ben], assignment="any")
    for n in range(4):
        book(service, NINE + timedelta(minutes=30 * n))
    owners = db.session.scalars(select(AppointmentResource.resource_id)).all()
    assert sorted(owners) == sorted([ana.id, ana.id, ben.id, ben.id])


def test_a_chosen_person_is_the_one_who_is_taken(app):
    ana, ben = make_resource(), make_resource()
    service = make_service([ana, ben])
    book(service, resource_slug=ben.slug)
    assert db.session.scalars(select(AppointmentResource.resource_id)).all() == [ben.id]
    with pytest.raises(SlotTaken):
        book(service, resource_slug=ben.slug, customer=Customer("Ivo", "ivo@example.org"))
    assert book(service, customer=Customer("Ivo", "ivo@example.org")).status == "confirmed"


def test_all_of_several_and_a_room_are_claimed_together(app):
    ana, ben = make_resource(), make_resource()
    small, large = make_resource(kind="room"), make_resource(kind="room")
    both = make_service([ana, ben], [small, large], assignment="all")
    book(both)
    taken = set(db.session.scalars(select(AppointmentResource.resource_id)))
    assert taken == {ana.id, ben.id, small.id}
    alone = make_service([make_resource()], [small])
    assert NINE not in starts(alone)


def test_a_group_fills_one_appointment_seat_by_seat(app):
    service = make_service(capacity=3)
    book(service, party_size=2)
    ivo = Customer("Ivo", "ivo@example.org")
    with pytest.raises(SlotTaken):
        book(service, customer=ivo, party_size=2)
    book(service, customer=ivo)
    assert count(Appointment) == 1
    assert count(Seat) == 3
    assert NINE not in starts(service)


def test_leaving_a_group_keeps_the_others_in_it(app):
    service = make_service(capacity=3)
    first = book(service)
    book(service, customer=Customer("Ivo", "ivo@example.org"))
    operations.cancel_booking(first.booking_id, by="customer", now=NOW)
    assert count(Seat) == 1
    assert count(Claim) == 6
    operations.move_booking(
        book(service, key="again-12345").booking_id, NINE + timedelta(hours=1), by="customer", now=NOW
    )
    assert count(Appointment) == 2


def test_a_date_of_its_own_hours_or_a_closed_one_counts_instead_of_the_week(app):
    monday = NINE.date()
    closed = make_service([make_resource(overrides={monday: []})])
    short = make_service([make_resource(overrides={monday: [(10 * 60, 11 * 60), (15 * 60, 15 * 60 + 30)]})])
    assert starts(closed) == []
    assert starts(short) == [NINE + timedelta(minutes=minutes) for minutes in (60, 90, 6 * 60)]


def test_a_resource_that_is_switched_off_is_not_offered(app):
    ana, ben = make_resource(), make_resource()
    service = make_service([ana, ben], assignment="any")
    ana.is_active = False
    db.session.commit()
    book(service)
    assert NINE not in starts(service)
