"""Appointments at times that staff set: planning, joining, moving, calling off, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from portal.booking import operations
from portal.booking.fixed import dates
from portal.booking.models import Appointment, AppointmentResource, Booking, Claim, Seat
from portal.booking.operations import Customer
from portal.booking.time.demand import Question, build_demand
from portal.booking.time.queries import free_slots, why_not
from portal.business.models import Service
from portal.calendars.models import BusyInterval
from portal.errors import Invalid, NotAllowedNow, NotFound, SlotTaken
from portal.extensions import db
from portal.intervals import Interval
from portal.outbox import OutboxEntry
from portal.upkeep.invariants import invariants
from tests.factories import make_calendar, make_resource, make_service

NOW = datetime(2027, 3, 1, 6, 0, tzinfo=UTC)
TEN = datetime(2027, 3, 6, 9, 0, tzinfo=UTC)  # a Saturday, when nobody works
HOUR = timedelta(hours=1)


def make_class(*lists, **values):
    return make_service(*lists, **{"timing": "fixed", "duration": 60, "step": 60, "capacity": 12, **values})


def customer(name="Eva"):
    return Customer(name=name, email=f"{name.lower()}@example.org")


def book(service, start_at=TEN, *, name="Eva", **more):
    return operations.book(
        service_slug=service.slug, start_at=start_at, customer=customer(name), idempotency_key=f"{name}-{start_at}",
        now=NOW, **more,
    )  # fmt: skip


def offered(service, **more):
    """(start, seats left) of what the page offers in March."""
    db.session.rollback()
    window = Interval(NOW, NOW + timedelta(days=30))
    slots = free_slots(db.session(), db.session.get(Service, service.id), window=window, now=NOW, **more)
    return [(slot.interval.start, slot.seats_left) for slot in slots]


def appointment(appointment_id):
    db.session.rollback()
    return db.session.get(Appointment, appointment_id)


def entries():
    """(topic, news) of everything that is to be told."""
    db.session.rollback()
    rows = db.session.scalars(select(OutboxEntry).order_by(OutboxEntry.id))
    return [(row.topic, row.payload.get("news") or row.payload.get("cause", "")) for row in rows]


def forget_entries():
    db.session.query(OutboxEntry).delete()
    db.session.commit()


def wrong():
    db.session.rollback()
    return [sentence for sentence in invariants(db.session()) if "calendar" not in sentence]


def put_outside(calendar, interval):
    db.session.add(
        BusyInterval(
            calendar_id=calendar.id, resource_id=calendar.resource_id, remote_id="r1", start_at=interval.start,
            end_at=interval.end,
        )
    )  # fmt: skip
    db.session.commit()


def test_a_planned_date_is_offered_without_bookings_and_outside_working_hours(app):
    service = make_class()
    appointment_id = dates.plan_date(service.slug, TEN, now=NOW)
    assert offered(service) == [(TEN, 12)]
    assert entries() == [("calendar.publish", "")]
    assert appointment(appointment_id).is_fixed
    assert len(db.session.query(Claim).all()) == 12
    assert wrong() == []


def test_nothing_is_computed_from_the_hours_of_a_fixed_service(app):
    assert offered(make_class()) == []


def test_a_date_has_its_own_capacity_and_its_own_person(app):
    ana, ben = make_resource(), make_resource()
    service = make_class([ana, ben], capacity=1)
    dates.plan_date(service.slug, TEN, capacity=8, resource_slug=ben.slug, now=NOW)
    assert offered(service, party_size=8) == [(TEN, 8)]
    assert offered(service, resource_id=ana.id) == []
    assert offered(service, resource_id=ben.id) == [(TEN, 8)]
    book(service, party_size=8)
    assert offered(service) == []
    with pytest.raises(Invalid, match="At most 8"):
        book(service, name="Ivo", party_size=9)


def test_whoever_is_free_gives_the_date_and_the_room_is_claimed_too(app):
    ana, ben, room = make_resource(), make_resource(), make_resource(kind="room")
    service = make_class([ana, ben], [room], assignment="any")
    other = make_class([ana])
    dates.plan_date(other.slug, TEN, now=NOW)
    appointment_id = dates.plan_date(service.slug, TEN, now=NOW)
    assert [(row.list_no, row.resource_id) for row in appointment(appointment_id).resources] == [
        (0, ben.id), (1, room.id),
    ]  # fmt: skip


def test_a_date_over_another_appointment_or_an_outside_event_is_refused_by_name(app):
    ana = make_resource(name="Ana Ruiz")
    service = make_class([ana])
    dates.plan_date(service.slug, TEN, now=NOW)
    with pytest.raises(SlotTaken, match="Ana Ruiz"):
        dates.plan_date(service.slug, TEN + HOUR / 2, now=NOW)
    put_outside(make_calendar(ana, last_read_at=NOW), Interval(TEN + 3 * HOUR, TEN + 4 * HOUR))
    with pytest.raises(SlotTaken, match="Ana Ruiz"):
        dates.plan_date(service.slug, TEN + 3 * HOUR, now=NOW)


def test_a_service_with_working_hours_has_no_dates_to_plan(app):
    with pytest.raises(NotAllowedNow):
        dates.plan_date(make_service().slug, TEN, now=NOW)


@pytest.mark.parametrize(("start_at", "capacity"), [(NOW - HOUR, None), (TEN, 0), (TEN, 501)])
def test_the_past_and_absurd_capacities_are_refused(app, start_at, capacity):
    with pytest.raises(Invalid):
        dates.plan_date(make_class().slug, start_at, capacity=capacity, now=NOW)


def test_a_fixed_appointment_stands_when_its_last_booking_or_hold_leaves(app):
    service = make_class()
    appointment_id = dates.plan_date(service.slug, TEN, now=NOW)
    hold = operations.place_hold(service_slug=service.slug, start_at=TEN, now=NOW, party_size=2)
    assert offered(service) == [(TEN, 10)]
    operations.release_hold(hold.token)
    outcome = book(service)
    operations.cancel_booking(outcome.booking_id, by="staff", now=NOW)
    hold = operations.place_hold(service_slug=service.slug, start_at=TEN, now=NOW)
    db.session.get(Booking, hold.booking_id).held_until = datetime.now(UTC) - timedelta(seconds=1)
    db.session.commit()
    operations.sweep_expired_holds()
    assert offered(service) == [(TEN, 12)]
    assert appointment(appointment_id).is_active
    assert wrong() == []


def test_an_expired_hold_in_a_fixed_date_frees_no_time_for_others(app):
    ana = make_resource()
    service, consultation = make_class([ana]), make_service([ana], duration=60, step=60)
    monday = datetime(2027, 3, 8, 9, 0, tzinfo=UTC)
    dates.plan_date(service.slug, monday, now=NOW)
    hold = operations.place_hold(service_slug=service.slug, start_at=monday, now=NOW)
    db.session.get(Booking, hold.booking_id).held_until = datetime.now(UTC) - timedelta(seconds=1)
    db.session.commit()
    assert monday not in [start for start, _ in offered(consultation)]


def test_an_outside_event_or_an_unreadable_calendar_shuts_what_stands(app):
    ana = make_resource()
    calendar = make_calendar(ana, last_read_at=NOW, when_unreadable="stop")
    service = make_class([ana])
    dates.plan_date(service.slug, TEN, now=NOW)
    put_outside(calendar, Interval(TEN + HOUR / 2, TEN + 3 * HOUR))
    assert offered(service) == []
    assert [reason.code for reason in why_not(db.session(), service, instant=TEN, now=NOW)] == ["taken"]
    with pytest.raises(SlotTaken):
        book(service)
    with pytest.raises(SlotTaken):
        operations.place_hold(service_slug=service.slug, start_at=TEN, now=NOW)
    db.session.query(BusyInterval).delete()
    calendar.last_read_at = NOW - timedelta(days=2)
    db.session.commit()
    assert offered(service) == []
    assert [reason.code for reason in why_not(db.session(), service, instant=TEN, now=NOW)] == ["unknown"]


def test_a_group_that_stands_is_shut_by_an_outside_event_too(app):
    ana = make_resource()
    calendar = make_calendar(ana, last_read_at=NOW)
    service = make_service([ana], capacity=4, duration=60, step=60)
    monday = datetime(2027, 3, 8, 9, 0, tzinfo=UTC)
    book(service, monday)
    assert (monday, 3) in offered(service)
    put_outside(calendar, Interval(monday, monday + HOUR))
    assert monday not in [start for start, _ in offered(service)]


def test_moving_takes_everybody_along_and_tells_them(app):
    service = make_class()
    appointment_id = dates.plan_date(service.slug, TEN, now=NOW)
    book(service, name="Eva", party_size=2)
    gone = book(service, name="Ivo")
    operations.cancel_booking(gone.booking_id, by="customer", now=NOW)
    forget_entries()
    dates.move_appointment(appointment_id, TEN + HOUR / 2, by="staff", now=NOW)
    assert offered(service) == [(TEN + HOUR / 2, 10)]
    assert sorted(entries()) == [("calendar.publish", ""), ("notify.customer", "moved"), ("notify.staff", "moved")]
    assert wrong() == []


def test_an_empty_date_can_be_moved_by_its_calendar_with_another_length(app):
    service = make_class()
    appointment_id = dates.plan_date(service.slug, TEN, now=NOW)
    forget_entries()
    dates.move_appointment(appointment_id, TEN + HOUR, end_at=TEN + 3 * HOUR, by="calendar", now=NOW, keep_event=True)
    assert entries() == []
    assert book(service, TEN + HOUR).status == "confirmed"
    row = appointment(appointment_id)
    assert (row.start_at, row.end_at) == (TEN + HOUR, TEN + 3 * HOUR)
    assert wrong() == []


def test_moving_onto_taken_time_changes_nothing(app):
    service = make_class()
    first = dates.plan_date(service.slug, TEN, now=NOW)
    dates.plan_date(service.slug, TEN + 2 * HOUR, now=NOW)
    for by in ("staff", "calendar"):
        with pytest.raises(SlotTaken):
            dates.move_appointment(first, TEN + HOUR * 3 / 2, by=by, now=NOW)
    assert appointment(first).start_at == TEN
    assert wrong() == []


def test_a_visitors_hold_does_not_move_along(app):
    service = make_class()
    appointment_id = dates.plan_date(service.slug, TEN, now=NOW)
    hold = operations.place_hold(service_slug=service.slug, start_at=TEN, now=NOW)
    dates.move_appointment(appointment_id, TEN + HOUR, by="staff", now=NOW)
    with pytest.raises(NotFound):
        operations.confirm_hold(hold.token, customer(), idempotency_key="key-1", now=NOW)
    assert offered(service) == [(TEN + HOUR, 12)]


def test_calling_off_cancels_everybody_and_frees_the_time(app):
    ana = make_resource()
    service = make_class([ana], has_waitlist=True)
    appointment_id = dates.plan_date(service.slug, TEN, now=NOW)
    booked = [book(service, name=name).booking_id for name in ("Eva", "Ivo")]
    hold = operations.place_hold(service_slug=service.slug, start_at=TEN, now=NOW)
    forget_entries()
    dates.call_off(appointment_id, now=NOW)
    dates.call_off(appointment_id, now=NOW)
    assert offered(service) == []
    assert {db.session.get(Booking, i).status for i in booked} == {"cancelled"}
    assert entries().count(("notify.customer", "cancelled")) == 2
    assert ("waitlist.look", "called off") in entries()
    assert ("calendar.publish", "") in entries()
    with pytest.raises(NotFound):
        operations.confirm_hold(hold.token, customer("Zoe"), idempotency_key="key-1", now=NOW)
    assert appointment(appointment_id).called_off_at == NOW
    assert db.session.query(Claim).count() == db.session.query(Seat).count() == 0
    assert wrong() == []
    with pytest.raises(NotAllowedNow):
        dates.move_appointment(appointment_id, TEN + HOUR, by="staff", now=NOW)
    dates.plan_date(service.slug, TEN, now=NOW)


def test_what_has_begun_is_neither_called_off_nor_moved_by_staff(app):
    appointment_id = dates.plan_date(make_class().slug, TEN, now=NOW)
    with pytest.raises(NotAllowedNow):
        dates.call_off(appointment_id, now=TEN)
    with pytest.raises(NotAllowedNow):
        dates.move_appointment(appointment_id, TEN + HOUR, by="staff", now=TEN)


def test_raising_and_lowering_the_capacity(app):
    service = make_class(capacity=3, has_waitlist=True)
    appointment_id = dates.plan_date(service.slug, TEN, now=NOW)
    first = book(service, name="Eva", party_size=2)
    book(service, name="Ivo")
    assert offered(service) == []
    forget_entries()
    dates.change_capacity(appointment_id, 5, now=NOW)
    assert offered(service) == [(TEN, 2)]
    assert entries() == [("calendar.publish", ""), ("waitlist.look", "capacity")]
    with pytest.raises(NotAllowedNow, match="3 seats are taken"):
        dates.change_capacity(appointment_id, 2, now=NOW)
    operations.cancel_booking(first.booking_id, by="staff", now=NOW)
    dates.change_capacity(appointment_id, 1, now=NOW)  # Ivo sat on seat 3
    assert offered(service) == []
    assert wrong() == []


def test_a_groups_capacity_can_be_raised_above_that_of_its_service(app):
    service = make_service(capacity=2, duration=60, step=60)
    monday = datetime(2027, 3, 8, 9, 0, tzinfo=UTC)
    outcome = book(service, monday, name="Eva")
    appointment_id = db.session.get(Booking, outcome.booking_id).appointment_id
    dates.change_capacity(appointment_id, 6, now=NOW)
    assert (monday, 5) in offered(service, party_size=5)
    assert book(service, monday, name="Ivo", party_size=5).status == "confirmed"
    assert wrong() == []


def test_an_appointment_for_one_customer_has_no_further_seats(app):
    outcome = book(make_service(), datetime(2027, 3, 8, 9, 0, tzinfo=UTC))
    with pytest.raises(NotAllowedNow):
        dates.change_capacity(db.session.get(Booking, outcome.booking_id).appointment_id, 2, now=NOW)


def test_a_booking_moves_from_one_date_to_another_whoever_gives_it(app):
    ana, ben = make_resource(), make_resource()
    service = make_class([ana, ben], capacity=2)
    first = dates.plan_date(service.slug, TEN, resource_slug=ana.slug, now=NOW)
    second = dates.plan_date(service.slug, TEN + HOUR, resource_slug=ben.slug, capacity=5, now=NOW)
    outcome = book(service, party_size=2)
    operations.move_booking(outcome.booking_id, TEN + HOUR, by="customer", now=NOW)
    assert db.session.get(Booking, outcome.booking_id).appointment_id == second
    assert appointment(first).is_active
    assert offered(service) == [(TEN, 2), (TEN + HOUR, 3)]
    assert wrong() == []


def test_the_window_of_a_question_keeps_what_stands_apart_from_new_times(app):
    service = make_class()
    dates.plan_date(service.slug, TEN, now=NOW)
    question = Question(window=Interval(NOW, NOW + timedelta(days=10)))
    demand = build_demand(db.session(), service, question, now=NOW)
    assert demand.is_fixed
    assert [each.seats_left for each in demand.open_appointments] == [12]


def test_the_doctor_sees_a_date_that_owns_no_time_or_more_seats_than_it_has(app):
    service = make_class()
    first = dates.plan_date(service.slug, TEN, now=NOW)
    second = dates.plan_date(service.slug, TEN + HOUR, now=NOW)
    book(service, TEN + HOUR, party_size=3)
    db.session.query(Claim).filter_by(appointment_id=first).delete()
    db.session.query(AppointmentResource).filter_by(appointment_id=first).delete()
    db.session.get(Appointment, second).capacity = 2
    db.session.commit()
    assert wrong() == [
        f"Appointment {second} has a seat number 3, more than it can hold.",
        f"Appointment {second} has 3 seats taken, and holds 2.",
        f"Appointment {first} takes nobody's time, so others may take it too.",
    ]
